"""The radiometric offset of Sentinel-2: a step of 1,000 digital numbers with processing baseline 04.00.

Since that baseline, of 25 January 2022, every Sentinel-2 product holds reflectance times 10,000 *plus 1,000*, so that
small negative reflectances survive. Statistics from before and after must not meet unnoticed. Only the baseline is
conclusive: ESA has reprocessed older scenes (Collection 1) with baselines that carry the offset.

Source: ESA, Sentinel-2 Products Specification Document, `RADIO_ADD_OFFSET` (L1C) and `BOA_ADD_OFFSET` (L2A).
"""

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from millpond.errors import MillpondError

OFFSET_DN = 1000
FIRST_BASELINE_WITH_OFFSET = 4.0
FIRST_DATE_WITH_OFFSET = date(2022, 1, 25)


def offset_of_baseline(baseline: float) -> int:
    """Offset in digital numbers that products of a processing baseline carry."""
    return OFFSET_DN if baseline >= FIRST_BASELINE_WITH_OFFSET else 0


def stated_offset(tags: Mapping[str, str], path: str | Path, error: type[MillpondError]) -> int | None:
    """Offset in digital numbers that a file's metadata state.

    Parameters
    ----------
    tags : mapping
        GDAL metadata. `RADIO_ADD_OFFSET` or `BOA_ADD_OFFSET`, of a band or of all, count most: they also tell if
        somebody has taken the offset off. They are what is to be *added* to digital numbers, as -1000, and so whole
        and never above 0. Else `PROCESSING_BASELINE` decides.
    path : path
        Of the file, for the message.
    error : exception type
        Of the caller's room, raised if what is stated is no number, or none that can be such an offset.

    Returns
    -------
    int or None
        None if the metadata state nothing.
    """
    added = [name for name in tags if name.startswith(("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"))]
    if added:
        number = _number(tags, added[0], "-1000", path, error)
        if number > 0 or not number.is_integer():
            raise error(
                f"{path}: {added[0]}={tags[added[0]]!r} found in the metadata, 0 or a whole number below it such as "
                "-1000 expected, which is added to digital numbers. Correct it."
            )
        return -int(number)
    if "PROCESSING_BASELINE" in tags:
        return offset_of_baseline(_number(tags, "PROCESSING_BASELINE", "04.00", path, error))
    return None


def _number(tags: Mapping[str, str], name: str, example: str, path: str | Path, error: type[MillpondError]) -> float:
    try:
        number = float(tags[name])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise error(
            f"{path}: {name}={tags[name]!r} found in the metadata, a number such as {example} expected. Correct it."
        )
    return number
