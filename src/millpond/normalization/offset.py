"""The radiometric offset of a Sentinel-2 product, from its metadata, its name or its date (see `millpond.offset`)."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from millpond.normalization.errors import NormalizationError
from millpond.offset import FIRST_DATE_WITH_OFFSET, OFFSET_DN, offset_of_baseline, stated_offset
from millpond.raster import Raster

_LARGEST_DN = 65535
_BASELINE_IN_NAME = re.compile(r"_N(\d{2})(\d{2})_")
_SENTINEL2_NAME = re.compile(r"(?:^|_)(?:S2[ABC]?|T\d{2}[A-Z]{3})_")
_DATE_IN_NAME = re.compile(r"(?<!\d)(20\d{2})(-?)(\d{2})\2(\d{2})(?!\d)")


def radiometric_offset(*, baseline: str | float | None = None, acquired: date | None = None) -> int | None:
    """Offset in digital numbers that a Sentinel-2 product carries.

    Parameters
    ----------
    baseline : str or float, optional
        Processing baseline such as `"04.00"`; decides when given.
    acquired : datetime.date, optional
        Date of acquisition; decides otherwise, on the assumption that scenes from before 25 January 2022 weren't
        reprocessed. State the offset yourself if they may have been.

    Returns
    -------
    int or None
        0, 1000, or None if neither is known.
    """
    if baseline is not None:
        try:
            number = float(baseline)
        except ValueError:
            raise NormalizationError(
                f"processing baseline {baseline!r} found, a number such as '04.00' expected. "
                "State the offset (0 or 1000)."
            ) from None
        return offset_of_baseline(number)
    if acquired is not None:
        return OFFSET_DN if acquired >= FIRST_DATE_WITH_OFFSET else 0
    return None


def offset_of_product(files: Mapping[str | Path, Mapping[str, str]]) -> int | None:
    """Find the offset of a scene: from metadata tags, from the product's name, at last from the date in it.

    The date is believed in names of Sentinel-2 only (`S2...` or a tile such as `T33UUU`).

    Parameters
    ----------
    files : mapping of path to tags
        As of `Raster.tags_by_path`. Full paths: the product folder (`..._N0400_...SAFE`) names the baseline, the file
        often only the date. GDAL metadata: `RADIO_ADD_OFFSET`, `BOA_ADD_OFFSET` or `PROCESSING_BASELINE`.

    Returns
    -------
    int or None
        None where nothing is known, and where the files disagree.
    """
    found = set()
    for path, tags in files.items():
        stated = stated_offset(tags, path, NormalizationError)
        found.add(_offset_in_name(str(path)) if stated is None else stated)
    known = found - {None}
    return known.pop() if len(known) == 1 else None


def date_in_name(name: str) -> date | None:
    """The first date in a name, as 20190711 or 2019-07-11."""
    for year, _, month, day in _DATE_IN_NAME.findall(name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:  # eight digits that are no date
            continue
    return None


def offset_of_scene(scene: Raster, fitted: int | None, stated: int | None = None) -> int | None:
    """The offset of an open scene that a normalization is to be applied to.

    Parameters
    ----------
    scene : Raster
    fitted : int or None
        Of the imagery that the normalization was fitted on; None if unknown.
    stated : int, optional
        What the caller says; by default the offset is found as by `offset_of_product`.

    Raises
    ------
    NormalizationError
        If one of the two offsets is known and the other isn't: they can't be told to be the same.
    """
    offset = stated
    if offset is None:
        offset = offset_of_product(scene.tags_by_path())
    if offset is None and fitted is not None:
        raise NormalizationError(
            f"{scene.paths[0]}: radiometric offset unknown, needed since the normalization was fitted on offset "
            f"{fitted}. State it: --offset 0 before processing baseline 04.00, --offset 1000 "
            "since (in Python offset=0 or offset=1000)."
        )
    if offset is not None and fitted is None:
        raise NormalizationError(
            f"{scene.paths[0]}: radiometric offset {offset:,} found, but the normalization was fitted on imagery of "
            "unknown offset. Fit it on a histogram with a stated offset (offset=..., --offset)."
        )
    return offset


def shifted(dn: np.ndarray, by: int, nodata: int = 0) -> np.ndarray:
    """Digital numbers brought from one radiometric offset to another.

    0 and `nodata` stay, and so does 65535, which stands for saturation; nothing else becomes 0 or 65535.

    Parameters
    ----------
    dn : array of uint16
    by : int
        What is added.
    nodata : int

    Returns
    -------
    array of uint16
    """
    if not by:
        return dn
    kept = (dn == 0) | (dn == nodata) | (dn == _LARGEST_DN)
    return np.where(kept, dn, np.clip(dn.astype(np.int32) + by, 1, _LARGEST_DN - 1).astype(np.uint16))


def _offset_in_name(path: str) -> int | None:
    if match := _BASELINE_IN_NAME.search(path):
        return radiometric_offset(baseline=f"{match[1]}.{match[2]}")
    if not _SENTINEL2_NAME.search(Path(path).name):
        return None
    return radiometric_offset(acquired=date_in_name(Path(path).name))
