"""One image of a reservoir: its bands as reflectance or backscatter, and where its mask leaves water untold."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rasterio.windows import Window

from millpond.level.errors import LevelError
from millpond.raster import SENTINEL2_BANDS, Raster
from millpond.sentinel2 import reflectance

SMALLEST_CLOUD_PROBABILITY = 40
"""Percent in the band CLDPRB from which a pixel counts as cloudy."""

SCL_CLEAR = (2, 4, 5, 6, 7)
"""Classes of the band SCL in which water can be told: dark, vegetation, soil, water, unclassified. The others are no
data, saturated or defective, cloud shadow, clouds of medium and high probability, thin cirrus, snow or ice."""

QA60 = "QA60"
QA60_CLOUDS = (1 << 10) | (1 << 11)
"""Bits of the band QA60: opaque clouds and cirrus."""

MASKS = {
    "CLDPRB": lambda values: ~((values >= 0) & (values < SMALLEST_CLOUD_PROBABILITY)),
    "SCL": lambda values: ~np.isin(values, SCL_CLEAR),
    QA60: lambda values: ~(values >= 0) | ((np.nan_to_num(values).astype(np.int64) & QA60_CLOUDS) > 0),
}
"""Bands that tell clouds, the best first, and what is cloudy by them or not known."""

SNOW = {"SCL": lambda values: values == 11, "SNWPRB": lambda values: values >= SMALLEST_CLOUD_PROBABILITY}
"""Bands that tell snow and ice, whichever tells clouds."""

BRIGHTEST_WATER = 0.3
"""Reflectance in B08. What is brighter, and brighter still in B03, looks like water by these two and is snow, ice or
cloud. In Itoiz's clear images one in 10,000 of the pixels that look like water is, over clouds most are."""

LARGEST_EMPTY = 0.01
"""Share of an image that may be without data, since some shadows are; the edge of a swath is larger."""

REFLECTANCE = -0.2, 3.0
"""What reflectance can be, with what atmospheric correction leaves below 0 and glint above 1."""

BACKSCATTER_DB = -70.0, 40.0
"""What backscatter can be, from what is left of subtracted noise to a corner of metal."""

ORBIT_TAGS = ("RELATIVE_ORBIT", "relativeOrbitNumber_start", "ORBIT_STATE", "orbitProperties_pass")
"""Where files of Sentinel-1 tell from which side they look, what says most first; as we and Earth Engine write it."""

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
        By the mask, as bright as snow, or without data.
    snowy : (rows, cols) bool array or None
        Snow by a mask, or as bright as it and not cloudy by the mask.
    share : (rows, cols) bool array or None
        What would be cloudy if CLDPRB were a share; None if it exceeds 1 and so is a percentage, or isn't read.
    offset_told : bool
        Whether the file says how to get reflectance.
    empty_qa60 : bool
        Whether its mask is a band QA60 that is 0 everywhere.
    orbit : str or None
        From where radar looks, if the file tells.
    """

    date: pd.Timestamp
    path: Path
    level_m: float
    values: np.ndarray
    cloudy: np.ndarray
    snowy: np.ndarray | None = None
    share: np.ndarray | None = None
    offset_told: bool = True
    empty_qa60: bool = False
    orbit: str | None = None


def read_image(
    raster: Raster, date: pd.Timestamp, level_m: float, bands: Sequence[str], window: Window, masked: bool
) -> Image:
    """Read bands of an opened file, VV and VH as backscatter in dB, all others as reflectance.

    A pixel is without data if the file says so of a band that is read, by a no-data value or a mask; if a number there
    isn't finite or lies outside `REFLECTANCE` or `BACKSCATTER_DB`, as 65535 and -9999 do; or if all bands are 0.

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
    stored = raster.read(window, masked=True)
    about = date, raster.paths[0], level_m
    if is_radar(bands):
        tags = raster.tags()
        orbit = next((tags[tag].lower() for tag in ORBIT_TAGS if tag in tags), None)
        return Image(*about, *_backscatter(raster, bands, stored), orbit=orbit)
    image, told = _reflectance(raster, bands, stored)
    empty = ~np.isfinite(image).all(axis=0)
    image[:, empty] = 0 if empty.mean() <= LARGEST_EMPTY else np.nan
    cloudy, snowy, share, mask = np.zeros(empty.shape, bool), np.zeros(empty.shape, bool), None, None
    if masked:
        values = dict(zip(raster.bands, stored.data, strict=True))
        mask = next((name for name in MASKS if name in values), None)
        if mask is None:
            raise LevelError(
                f"{raster.paths[0]}: bands {', '.join(raster.bands)} found, one of {', '.join(MASKS)} expected to "
                "tell clouds. Add it, or take every image (max_cloud=None, --no-mask)."
            )
        cloudy = MASKS[mask](values[mask])
        if mask == "CLDPRB" and not (values[mask][~empty] > 1).any():
            share = values[mask] >= SMALLEST_CLOUD_PROBABILITY / 100
        for name in SNOW.keys() & values.keys():
            snowy |= SNOW[name](values[name])
        cloudy &= ~snowy
    if {"B03", "B08"} <= set(bands):
        green, infrared = image[bands.index("B03")], image[bands.index("B08")]
        snowy |= (infrared > BRIGHTEST_WATER) & (green > infrared) & ~cloudy
    empty_qa60 = mask == QA60 and not values[QA60].any()
    return Image(*about, image, cloudy | snowy | empty, snowy, share, told, empty_qa60)


def is_radar(bands: Sequence[str]) -> bool:
    """Whether bands are those of Sentinel-1."""
    return set(bands) <= {"VV", "VH", "HH", "HV"}


def _backscatter(raster: Raster, bands: Sequence[str], stored: np.ma.MaskedArray) -> tuple[np.ndarray, np.ndarray]:
    """Backscatter in dB, with the bands' medians where few pixels have none, and which those are."""
    places = [raster.bands.index(band) for band in bands]
    scale, offset = (of[places].astype(np.float32)[:, None, None] for of in (raster.scales, raster.offsets))
    stored = stored[places].astype(np.float32)
    image = stored.filled(np.nan) * scale + offset
    image[:, (stored.data == 0).all(axis=0)] = np.nan
    if (median := _median(image)) > 0:  # land and water send back less than all, which is 0 dB
        raise LevelError(
            f"{raster.paths[0]}: backscatter with a median of {median:g} found, dB below 0 expected. Store 10 log10 of "
            "linear power."
        )
    empty = _implausible(image, BACKSCATTER_DB)
    image[:, empty] = np.median(image[:, ~empty], axis=1)[:, None] if empty.mean() <= LARGEST_EMPTY else np.nan
    return image, empty


def _reflectance(raster: Raster, bands: Sequence[str], stored: np.ma.MaskedArray) -> tuple[np.ndarray, bool]:
    """Reflectance, NaN where there are no data, and whether the file tells how to get it."""
    # A single band may well be 0, over dark water, where somebody has taken the offset off: others tell.
    optical = [band for band in raster.bands if band in SENTINEL2_BANDS or band in bands]
    numbers = stored[[raster.bands.index(band) for band in optical]]
    nothing = (numbers.data == 0).all(axis=0)
    numbers.mask = (np.ma.getmaskarray(numbers) & (numbers.data != 0)) | nothing
    values, offset = reflectance(raster, numbers, optical, dates=False)  # a series tells better: warn_of_offset
    if offset.doubt:
        warnings.warn(offset.doubt, stacklevel=4)
    image = values[[optical.index(band) for band in bands]]
    if (raster.dtype.kind == "f" or raster.offsets.any()) and (median := _median(image)) > _HIGHEST_MEDIAN:
        raise LevelError(
            f"{raster.paths[0]}: {raster.dtype} with a median of {median:g} found, reflectance from 0 to 1 expected. "
            "Store digital numbers as integers, or divide them by 10,000."
        )
    image[:, _implausible(image, REFLECTANCE)] = np.nan
    return image, offset.dn is not None


def _median(image: np.ndarray) -> float:
    """Of the different finite numbers, so that what fills an edge counts once; NaN without any."""
    known = np.unique(image[np.isfinite(image)])
    return float(np.median(known)) if known.size else np.nan


def _implausible(image: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(rows, cols) bool: where a band has no number within the limits."""
    return ~((image >= limits[0]) & (image <= limits[1])).all(axis=0)
