"""Which pixels are cloud or snow, by the rules the study used, and by a rougher one for four bands.

The study masked with s2cloudless and with the snow mask of eo-learn. Both were made for L1C. s2cloudless is an
optional package (`pip install ".[clouds]"`) and needs ten bands; snow needs the short-wave infrared. Of blue, green,
red and near infrared alone only thick cloud can be told, and not from snow.
"""

from collections.abc import Sequence

import numpy as np

from millpond.normalization.errors import NormalizationError
from millpond.raster import band_name

CLOUD_BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
"""What s2cloudless looks at."""

SNOW_BANDS = ("B03", "B04", "B08", "B11")


def cloud_mask(
    reflectance: np.ndarray,
    bands: Sequence[str],
    threshold: float = 0.4,
    average_over: int = 4,
    dilation_size: int = 2,
) -> np.ndarray:
    """Cloud by s2cloudless, a boosted ensemble of trees trained on hand-labelled L1C pixels.

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
        Top-of-atmosphere reflectance in 0..1: digital numbers without radiometric offset over 10,000.
    bands : sequence of str
        Their names; `CLOUD_BANDS` must be among them, on one grid.
    threshold : float
        Probability from which a pixel is cloud.
    average_over, dilation_size : int
        Radius in pixels over which probabilities are averaged, and by which clouds then grow.

    Returns
    -------
    (rows, cols) bool array

    Raises
    ------
    NormalizationError
        If s2cloudless isn't installed or bands are missing.
    """
    chosen = _chosen(reflectance, bands, CLOUD_BANDS)
    try:
        from s2cloudless import S2PixelCloudDetector  # optional, and slow to import
    except ImportError as error:
        raise NormalizationError(
            f"no package {error.name or 's2cloudless'} found, but cloud masks of ten bands need it. In the "
            'repository\'s folder, `pip install ".[clouds]"` installs it; `bright_cloud_mask` needs no more than B02, '
            "B03, B04 and B08."
        ) from None
    detector = S2PixelCloudDetector(threshold, average_over=average_over, dilation_size=dilation_size)
    return detector.get_cloud_masks(np.moveaxis(chosen, 0, -1)[None])[0] > 0


def snow_mask(
    reflectance: np.ndarray, bands: Sequence[str], ndsi_threshold: float = 0.4, brightness_threshold: float = 0.3
) -> np.ndarray:
    """Snow by the rule of eo-learn's `SnowMaskTask`, with its default thresholds.

    A pixel is snow if it is bright in green and either its normalized difference snow index, of B03 and B11, reaches
    the threshold (Hall, Riggs and Salomonson, 1995, https://doi.org/10.1016/0034-4257(95)00137-P), or its NDVI lies
    between 0.05 and 0.15. The second condition has nothing to do with ice: it also takes bright clouds and bare soil.

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
        Top-of-atmosphere reflectance in 0..1.
    bands : sequence of str
        Their names; `SNOW_BANDS` must be among them, on one grid.
    ndsi_threshold : float
    brightness_threshold : float
        Least reflectance in B03.

    Returns
    -------
    (rows, cols) bool array
    """
    green, red, near_infrared, short_wave = _chosen(reflectance, bands, SNOW_BANDS)
    sum_to_zero = (green + short_wave == 0) | (near_infrared + red == 0)
    icy = _index(green, short_wave) >= ndsi_threshold
    dull = np.abs(_index(near_infrared, red) - 0.1) < 0.05
    return (icy | dull) & (green >= brightness_threshold) & ~sum_to_zero


def bright_cloud_mask(reflectance: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Thick cloud from the study's four bands alone: what is bright in blue, white, hazy and not green.

    White and hazy are two of the tests of Fmask (Zhu and Woodcock, 2012, https://doi.org/10.1016/j.rse.2011.10.028):
    the three visible bands deviate from their mean by less than 0.7 of it in sum, and blue exceeds half of red by more
    than 0.08. Here blue must also exceed 0.18 and NDVI stay below 0.4, since Fmask's other tests need bands that are
    missing. Thin cloud passes unnoticed; snow, surf and bright roofs or sand are taken for cloud.

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
        Top-of-atmosphere reflectance in 0..1.
    bands : sequence of str
        Their names; B02, B03, B04 and B08 must be among them.

    Returns
    -------
    (rows, cols) bool array
    """
    blue, green, red, near_infrared = _chosen(reflectance, bands, ("B02", "B03", "B04", "B08"))
    mean = (blue + green + red) / 3
    deviation = sum(np.abs(band - mean) for band in (blue, green, red))
    return (blue > 0.18) & (deviation < 0.7 * mean) & (blue - 0.5 * red > 0.08) & (_index(near_infrared, red) < 0.4)


def _chosen(reflectance: np.ndarray, bands: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    names = [band_name(band) for band in bands]
    reflectance = np.ma.filled(reflectance, 0)  # without data, and so neither cloud nor snow
    if reflectance.ndim != 3 or len(reflectance) != len(names):
        raise NormalizationError(
            f"an array of shape {reflectance.shape} found, (n_bands, rows, cols) with {len(names)} bands "
            f"({', '.join(names)}) expected. Put bands first, and name each."
        )
    if missing := [band for band in wanted if band not in names]:
        raise NormalizationError(
            f"bands {', '.join(names)} found, {', '.join(missing)} missing. This mask needs "
            f"{', '.join(wanted)}: add them."
        )
    if not np.issubdtype(reflectance.dtype, np.floating):
        raise NormalizationError(
            f"values of type {reflectance.dtype} found, reflectances (float) expected. Take off the radiometric offset "
            "and divide by 10,000."
        )
    return reflectance[[names.index(band) for band in wanted]].astype(float)


def _index(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalized difference; 0 where both bands cancel."""
    total = a + b
    return (a - b) / np.where(total == 0, np.inf, total)
