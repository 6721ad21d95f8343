"""The radiometric offset of Sentinel-2: a step of 1,000 digital numbers with processing baseline 04.00.

Since that baseline, of 25 January 2022, a product holds reflectance times 10,000 *plus 1,000*, so that small negative
reflectances survive. ESA has reprocessed older scenes (Collection 1) with it, and some providers take it off again:
Element 84's Earth Search, Google Earth Engine's HARMONIZED collections, Sentinel Hub. So what says most comes first: a
file's metadata, the baseline, the date in a name; and the pixels may contradict.

Source: ESA, Sentinel-2 Products Specification Document, `RADIO_ADD_OFFSET` (L1C) and `BOA_ADD_OFFSET` (L2A).
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from millpond.raster import Raster, RasterError

OFFSET_DN = 1000
FIRST_BASELINE_WITH_OFFSET = 4.0
FIRST_DATE_WITH_OFFSET = date(2022, 1, 25)

REFLECTANCE_PER_DN = 1e-4

CONTRADICTED_BELOW = -0.02
"""Reflectance that atmospheric correction seldom leaves, even in shadows and on dark water."""
CONTRADICTED_FROM = 0.1
"""Share of the valid pixels that must lie below it to contradict an offset."""

_LARGEST_DN = 65535
_BASELINE_IN_NAME = re.compile(r"_N(\d{2})(\d{2})_")
_SENTINEL2_NAME = re.compile(r"(?:^|_)(?:S2[ABCD]?|T\d{2}[A-Z]{3})_")
_DATE_IN_NAME = re.compile(r"(?<!\d)(20\d{2})(-?)(\d{2})\2(\d{2})(?!\d)")
_HARMONIZED_NAME = re.compile(r"S2(?:_SR|_L1C|_L2A)?_HARMONIZED", re.IGNORECASE)
_OPTICAL_BAND = re.compile(r"B(0[1-9]|1[0-2]|8A)")


class Offset(NamedTuple):
    """A radiometric offset and what it was learned from.

    Attributes
    ----------
    dn : int or None
        What digital numbers include: 0, 1000, or None if nothing tells.
    why : str
    doubt : str
        Why it may be wrong, to be warned of; empty if nothing speaks against it.
    """

    dn: int | None
    why: str
    doubt: str = ""


def radiometric_offset(*, baseline: str | float | None = None, acquired: date | None = None) -> int | None:
    """Offset in digital numbers that ESA's products carry.

    Parameters
    ----------
    baseline : str or float, optional
        Processing baseline such as `"04.00"` or `"N0400"`; decides when given.
    acquired : datetime.date, optional
        Date of acquisition; decides otherwise, on the assumption that scenes from before 25 January 2022 weren't
        reprocessed. State the offset yourself if they may have been.

    Returns
    -------
    int or None
        0, 1000, or None if neither is known.
    """
    if baseline is not None:
        text = re.sub(r"^N(\d\d)(\d\d)$", r"\1.\2", str(baseline).strip())
        number = _number(text, f"processing baseline {baseline!r} found", "'04.00'", "State the offset (0 or 1000)")
        return OFFSET_DN if number >= FIRST_BASELINE_WITH_OFFSET else 0
    if acquired is not None:
        return OFFSET_DN if acquired >= FIRST_DATE_WITH_OFFSET else 0
    return None


def find_offset(raster: Raster, stated: int | None = None, *, dates: bool = True) -> Offset:
    """Find the offset of an open scene.

    In this order: what the provider says to have taken off; `RADIO_ADD_OFFSET` or `BOA_ADD_OFFSET`, which are what is
    to be *added* and so -1000; the file's own scale and offset; the processing baseline in the metadata or in the
    path; the date in the file's name.

    Parameters
    ----------
    raster : Raster
    stated : int, optional
        What the caller says; then pixels alone are asked.
    dates : bool
        Whether a date in a name of Sentinel-2 (`S2...` or a tile such as `T33UUU`) counts.

    Returns
    -------
    Offset
        Unknown where the scene's files disagree. Where more than a tenth of the valid pixels would have a reflectance
        below -0.02, a baseline or date is not believed: the offset is 0. All else is kept; both are put in doubt.

    Raises
    ------
    RasterError
        If the metadata hold what can be no such offset.
    """
    if stated is not None:
        found, certain = Offset(int(stated), "stated"), True
    else:
        files = {_of_file(path, tags, dates) for path, tags in raster.tags_by_file().items()}
        by_scale = {_of_scale(*pair) for pair in zip(raster.scales, raster.offsets, strict=True)} - {None}
        certain = any(sure for _, _, sure in files) or bool(by_scale)
        if by_scale and not any(sure for _, _, sure in files):
            files = {(dn, "the file's scale and offset", True) for dn in by_scale}
        known = {dn: why for dn, why, _ in sorted(files, key=str) if dn is not None}
        if len(known) != 1:
            return Offset(None, "files that disagree" if known else "nothing in metadata or names")
        found = Offset(*known.popitem())
    if not found.dn or raster.dtype.kind not in "iu":
        return found
    limit = found.dn + round(CONTRADICTED_BELOW / REFLECTANCE_PER_DN)
    share = _share_below(raster, limit)
    if share <= CONTRADICTED_FROM:
        return found
    doubt = (
        f"{raster.name}: a radiometric offset of {found.dn:,} found ({found.why}), but {share:.0%} of the valid "
        f"pixels lie below {limit:,}, which hardly any do where it is included. Earth Search, Earth Engine's "
        "HARMONIZED collections and Sentinel Hub take it off. "
    )
    if certain:
        return found._replace(doubt=doubt + "It is used as it was found; mend it if it is wrong.")
    return Offset(0, f"pixels, against {found.why}", doubt + "So 0 is used; state it (--offset, offset=) to be sure.")


def reflectance(
    raster: Raster, dn: np.ndarray, bands: Sequence[str] | None = None, *, dates: bool = True
) -> tuple[np.ndarray, Offset]:
    """Reflectance of what a Sentinel-2 file stores; nothing is taken off twice.

    A file's own offset counts, with its scale. Otherwise integers are digital numbers, whose radiometric offset is
    found as by `find_offset`, and floating-point numbers are what they are.

    Parameters
    ----------
    raster : Raster
    dn : (n_bands, rows, cols) array
        May be masked.
    bands : sequence of str, optional
        Of `dn`; all of the raster by default.
    dates : bool
        As in `find_offset`.

    Returns
    -------
    (n_bands, rows, cols) float32 array, Offset
        NaN where there is no data: masked, or 0 in all bands of digital numbers.
        The offset is unknown if it was taken for 0 without a word in the file.
    """
    places = [raster.bands.index(band) for band in bands or raster.bands]
    scale, offset = (of[places].astype(np.float32)[:, None, None] for of in (raster.scales, raster.offsets))
    dn = np.ma.filled(dn.astype(np.float32), np.nan)
    if raster.dtype.kind not in "iu" or offset.any():
        return dn * scale + offset, Offset(0, "the file's scale and offset")
    found = find_offset(raster, dates=dates)
    if (scale == 1).all():
        scale = np.float32(REFLECTANCE_PER_DN)
    elif found.dn is None:
        found = Offset(0, "the file's scale")
    return np.where((dn == 0).all(axis=0), np.nan, dn - np.float32(found.dn or 0)) * scale, found


def date_in_name(name: str) -> date | None:
    """The first date in a name, as 20190711 or 2019-07-11."""
    for year, _, month, day in _DATE_IN_NAME.findall(name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:  # eight digits that are no date
            continue
    return None


def acquired(raster: Raster) -> date | None:
    """The day of acquisition: the tag `ACQUIRED`, or the date in the name of the file or its folder.

    Raises
    ------
    RasterError
        If the tag holds no date.
    """
    if text := raster.tags().get("ACQUIRED"):
        try:
            return date.fromisoformat(text.strip()[:10])
        except ValueError:
            raise RasterError(
                f"{raster.name}: ACQUIRED={text} found, an ISO date such as 2019-07-11 expected. Mend the tag."
            ) from None
    return date_in_name(PurePosixPath(raster.name).stem)


def lasting_tags(raster: Raster) -> dict[str, str]:
    """Metadata that stay true when digital numbers become something else, and the day of acquisition."""
    of_dn = "RADIO_ADD_OFFSET", "BOA_ADD_OFFSET", "QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE"
    kept = {name: value for name, value in raster.tags().items() if not name.startswith(of_dn)}
    day = acquired(raster)
    return kept if day is None else {"ACQUIRED": day.isoformat()} | kept


def shifted(dn: np.ndarray, by: int) -> np.ndarray:
    """Digital numbers brought from one radiometric offset to another.

    0 and masked values stay, and so does 65535, which stands for saturation; nothing else becomes 0 or 65535.

    Parameters
    ----------
    dn : array of uint16
    by : int
        What is added.

    Returns
    -------
    array of uint16
        Masked as `dn` is.
    """
    if not by:
        return dn
    values = np.ma.getdata(dn)
    moved = np.clip(values.astype(np.int32) + by, 1, _LARGEST_DN - 1).astype(np.uint16)
    moved = np.where((values == 0) | (values == _LARGEST_DN), values, moved)
    return np.ma.array(moved, mask=dn.mask) if isinstance(dn, np.ma.MaskedArray) else moved


def _of_file(path: str, tags: Mapping[str, str], dates: bool) -> tuple[int | None, str, bool]:
    """Offset, what tells it, and whether that is more than a guess."""
    tags = _without_prefix(tags)
    if tags.get("BOA_OFFSET_APPLIED", "").lower() in ("true", "1", "yes"):
        return 0, "earthsearch:boa_offset_applied", True
    for name in tags:
        if name.startswith(("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")):
            found = f"{path}: {name}={tags[name]!r} found in the metadata"
            number = _number(tags[name], found, "-1000", "Correct it")
            if number > 0 or not number.is_integer():
                raise RasterError(
                    f"{found}, 0 or a whole number below it such as -1000 expected, which is added to digital numbers. "
                    "Correct it."
                )
            return -int(number), f"{name}={tags[name]}", True
    if _HARMONIZED_NAME.search(path):
        return 0, "a name that says harmonized", True
    if baseline := tags.get("PROCESSING_BASELINE"):
        try:
            return radiometric_offset(baseline=baseline), f"PROCESSING_BASELINE={baseline}", False
        except RasterError:
            raise RasterError(
                f"{path}: PROCESSING_BASELINE={baseline!r} found in the metadata, a number such as 04.00 expected. "
                "Correct it."
            ) from None
    if match := _BASELINE_IN_NAME.search(path):
        return radiometric_offset(baseline=f"{match[1]}.{match[2]}"), f"the baseline {match[0].strip('_')}", False
    # Earth Search's folders are the scenes, and its files are called B02.tif
    named = [name for name in PurePosixPath(path).parts[:-3:-1] if dates and _SENTINEL2_NAME.search(name)]
    acquired = next(filter(None, map(date_in_name, named)), None)
    return radiometric_offset(acquired=acquired), f"the date {acquired}", False


def _without_prefix(tags: Mapping[str, str]) -> dict[str, str]:
    """STAC's `s2:processing_baseline` as PROCESSING_BASELINE; GDAL parts `s2:name=value` at the colon."""
    parted = ((value.split("=", 1) if name in ("s2", "earthsearch") else (name, value)) for name, value in tags.items())
    return {name.rsplit(":", 1)[-1].upper(): value for name, value in parted}


def _of_scale(scale: float, offset: float) -> int | None:
    """Digital numbers to be subtracted before scaling; None if there are none, or no whole number, as for Landsat."""
    dn = -offset / scale if scale else 0
    return round(dn) if dn > 0 and math.isclose(dn, round(dn), abs_tol=1e-3) else None


def _share_below(raster: Raster, limit: int) -> float:
    """Share of the valid pixels of optical bands that lie below a digital number; 0 has always meant no data."""
    optical = [bool(_OPTICAL_BAND.fullmatch(band)) for band in raster.bands]
    optical = optical if any(optical) else [True] * len(optical)
    n_below = n_valid = 0
    for dn in raster.sample():
        known = dn[optical].compressed()
        n_valid += np.count_nonzero(known)
        n_below += np.count_nonzero(known[known != 0] < limit)
    return n_below / max(n_valid, 1)


def _number(text: str, found: str, example: str, mend: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RasterError(f"{found}, a number such as {example} expected. {mend}.")
    return number
