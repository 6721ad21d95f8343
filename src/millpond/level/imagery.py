"""One image of a reservoir: its bands as reflectance or backscatter, and where its mask leaves water untold."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rasterio.windows import Window

from millpond.level.errors import LevelError
from millpond.raster import Raster
from millpond.sentinel2 import reflectance

SMALLEST_CLOUD_PROBABILITY = 40
"""Percent in the band CLDPRB from which a pixel counts as cloudy."""

SCL_CLOUDY = (0, 1, 3, 8, 9, 10, 11)
"""Classes of the band SCL that count as cloudy, since water can't be told there: no data, saturated or defective, cloud
shadow, clouds of medium and high probability, thin cirrus, snow or ice."""

QA60 = "QA60"
QA60_CLOUDS = (1 << 10) | (1 << 11)
"""Bits of the band QA60: opaque clouds and cirrus."""

MASKS = {
    "CLDPRB": lambda values: values >= SMALLEST_CLOUD_PROBABILITY,
    "SCL": lambda values: np.isin(values, SCL_CLOUDY),
    QA60: lambda values: (values.astype(np.int64) & QA60_CLOUDS) > 0,
}
"""Bands that tell clouds, the best first, and what is cloudy by them."""

LARGEST_EMPTY = 0.01
"""Share of an image that may be without data, since some shadows are; the edge of a swath is larger.

A pixel is, if a band that is read has the file's no-data value or no finite number there; or if it is 0 in all bands of
digital numbers, whether that is the file's no-data value or not."""

_HIGHEST_MEDIAN = 2.0  # no scene is brighter than snow


@dataclass(frozen=True, eq=False)
class Image:
    """What a file holds of a reservoir.

    Attributes
    ----------
    date : Timestamp
    path : Path
    level_m : float
    values : (n_bands, rows, cols) float32 array
        Of pixels without data, up to `LARGEST_EMPTY`, reflectance is 0 and backscatter the band's median. If there are
        more, they are NaN.
    cloudy : (rows, cols) bool array
        By the mask, or without data.
    offset_told : bool
        Whether the file says how to get reflectance.
    empty_qa60 : bool
        Whether its mask is a band QA60 that is 0 everywhere.
    """

    date: pd.Timestamp
    path: Path
    level_m: float
    values: np.ndarray
    cloudy: np.ndarray
    offset_told: bool = True
    empty_qa60: bool = False


def read_image(
    raster: Raster, date: pd.Timestamp, level_m: float, bands: Sequence[str], window: Window, masked: bool
) -> Image:
    """Read bands of an opened file, VV and VH as backscatter in dB, all others as reflectance.

    Parameters
    ----------
    raster : Raster
        With all its bands.
    date, level_m
        Of the image, kept beside its values.
    bands : sequence of str
    window : rasterio.windows.Window
    masked : bool
        Whether its band `CLDPRB`, `SCL` or `QA60` is to tell clouds.

    Raises
    ------
    LevelError
        If a band is missing, or numbers are no reflectance, or no backscatter in dB.
    """
    if missing := [band for band in bands if band not in raster.bands]:
        raise LevelError(
            f"{raster.paths[0]}: bands {', '.join(raster.bands)} found, {', '.join(missing)} expected too. Read "
            "others (bands, --bands), or describe the bands of the file."
        )
    read = raster.read(window, masked=True)
    values = dict(zip(raster.bands, read.data, strict=True))
    stored = read[[raster.bands.index(band) for band in bands]]
    about = date, raster.paths[0], level_m
    if is_radar(bands):
        return Image(*about, *_backscatter(raster, bands, stored))
    cloudy, mask = np.zeros(stored.shape[1:], bool), None
    if masked:
        mask = next((name for name in MASKS if name in values), None)
        if mask is None:
            raise LevelError(
                f"{raster.paths[0]}: bands {', '.join(raster.bands)} found, one of {', '.join(MASKS)} expected to "
                "tell clouds. Add it, or take every image (max_cloud=None, --no-mask)."
            )
        cloudy = MASKS[mask](np.nan_to_num(values[mask]))
    empty_qa60 = mask == QA60 and not values[QA60].any()
    digital = stored.dtype.kind in "iu"
    if digital:  # a single band may well be 0, over dark water, where somebody has taken the offset off
        stored = np.ma.array(stored.data, mask=np.ma.getmaskarray(stored) & (stored.data != 0))
    image, empty = _without_nodata(stored)
    if digital:
        empty |= np.all([values[name] == 0 for name in values if name not in MASKS], axis=0)
    image[:, empty] = np.nan
    image, told = _reflectance(raster, bands, image)
    if empty.mean() <= LARGEST_EMPTY:
        image[:, empty] = 0
    return Image(*about, image, cloudy | empty, told, empty_qa60)


def is_radar(bands: Sequence[str]) -> bool:
    """Whether bands are those of Sentinel-1."""
    return set(bands) <= {"VV", "VH", "HH", "HV"}


def _without_nodata(stored: np.ma.MaskedArray) -> tuple[np.ndarray, np.ndarray]:
    """Values with NaN where masked, and which pixels lack one of a band."""
    image = stored.astype(np.float32).filled(np.nan)
    return image, ~np.isfinite(image).all(axis=0)


def _backscatter(raster: Raster, bands: Sequence[str], stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Backscatter in dB, with the bands' medians where few pixels have none, and which those are."""
    image, empty = _without_nodata(stored)
    places = [raster.bands.index(band) for band in bands]
    scale, offset = (of[places].astype(np.float32)[:, None, None] for of in (raster.scales, raster.offsets))
    image = image * scale + offset
    if empty.mean() > LARGEST_EMPTY:
        return image, empty
    medians = np.median(image[:, ~empty], axis=1)
    if medians.max() > 0:  # land and water send back less than all, which is 0 dB
        raise LevelError(
            f"{raster.paths[0]}: backscatter with a median of {medians.max():g} found, dB below 0 expected. Store 10 "
            "log10 of linear power."
        )
    image[:, empty] = medians[:, None]
    return image, empty


def _reflectance(raster: Raster, bands: Sequence[str], stored: np.ndarray) -> tuple[np.ndarray, bool]:
    """Reflectance of what a file stores, and whether the file tells how to get it; what pixels contradict is told."""
    values, offset = reflectance(raster, stored, bands, dates=False)  # a series tells better: screening.warn_of_offset
    if offset.doubt:
        warnings.warn(offset.doubt, stacklevel=4)
    known = values[np.isfinite(values)]
    if (raster.dtype.kind == "f" or raster.offsets.any()) and known.size and np.median(known) > _HIGHEST_MEDIAN:
        raise LevelError(
            f"{raster.paths[0]}: {raster.dtype} with a median of {np.median(known):g} found, reflectance from 0 to 1 "
            "expected. Store digital numbers as integers, or divide them by 10,000."
        )
    return values, offset.dn is not None
