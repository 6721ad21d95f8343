"""The radiometric offset of a Sentinel-2 product, from its metadata, its name or its date (see `millpond.offset`)."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from millpond.normalization.errors import NormalizationError
from millpond.offset import FIRST_DATE_WITH_OFFSET, OFFSET_DN, offset_of_baseline, stated_offset

_BASELINE_IN_NAME = re.compile(r"_N(\d{2})(\d{2})_")
_SENTINEL2_NAME = re.compile(r"(?:^|_)(?:S2[ABC]?|T\d{2}[A-Z]{3})_")
_DATE_IN_NAME = re.compile(r"(?<!\d)((?:20)\d{2})(\d{2})(\d{2})(?=T\d{6}|\D|$)")


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


def offset_of_product(tags: Mapping[str, str], paths: Iterable[str | Path]) -> int | None:
    """Find the offset of opened files: from metadata tags, from the product's name, at last from the date in it.

    The date is believed in names of Sentinel-2 only (`S2...` or a tile such as `T33UUU`).

    Parameters
    ----------
    tags : mapping
        GDAL metadata: `RADIO_ADD_OFFSET`, `BOA_ADD_OFFSET` or `PROCESSING_BASELINE`.
    paths : iterable of path
        Full paths: the product folder (`..._N0400_...SAFE`) names the baseline, the file often only the date.

    Returns
    -------
    int or None
        None where nothing is known, and where the files disagree.
    """
    paths = list(paths)
    stated = stated_offset(tags, paths[0] if paths else "product", NormalizationError)
    if stated is not None:
        return int(stated)
    found = {_offset_in_name(str(path)) for path in paths}
    return found.pop() if len(found) == 1 else None


def _offset_in_name(path: str) -> int | None:
    if match := _BASELINE_IN_NAME.search(path):
        return radiometric_offset(baseline=f"{match[1]}.{match[2]}")
    if not _SENTINEL2_NAME.search(Path(path).name):
        return None
    for match in _DATE_IN_NAME.finditer(Path(path).name):
        try:
            return radiometric_offset(acquired=date(*map(int, match.groups())))
        except ValueError:  # eight digits that are no date
            continue
    return None
