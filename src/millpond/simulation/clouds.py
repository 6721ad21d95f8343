"""Haze and clouds over a scene.

All of it is built in: the shapes are thresholded noise, and a cloud's shadow lies where its sun would put it.
"""

import numpy as np
from scipy import ndimage

from millpond.simulation.illumination import PATH_REFLECTANCE_PER_DEPTH, WAVELENGTH_UM, optical_depth

CLOUD_REFLECTANCE = 0.62
"""Of a thick cloud, alike in all bands."""

SHADOW_TAKES = 0.5
"""Share of the light that the shadow of a thick cloud takes."""

SIZE_PIXELS = 5.0
"""Standard deviation of the smoothing that makes clouds of noise."""


def cloud(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """(rows, cols) opacity of clouds, 0 to 1, over about this share of the scene."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), SIZE_PIXELS)
    edge = np.quantile(field, 1 - share)
    return np.clip((field - edge) / (field.std() / 2), 0, 1)


def seen_through(reflectance: np.ndarray, opacity: np.ndarray, shadow_offset: tuple[int, int]) -> np.ndarray:
    """The scene below a cloud and its shadow.

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
    opacity : (rows, cols) array
    shadow_offset : (rows, cols)
        Where the shadow lies from its cloud.
    """
    shadow = SHADOW_TAKES * ndimage.shift(opacity, shadow_offset, order=0)
    return reflectance * (1 - shadow) * (1 - opacity) + CLOUD_REFLECTANCE * opacity


def haze(bands: tuple[str, ...], aerosol_depths: float) -> np.ndarray:
    """(n_bands, 1, 1) reflectance that haze adds, of so many times the clear day's optical depth."""
    depth = np.array([optical_depth(WAVELENGTH_UM[band]) for band in bands])
    return (PATH_REFLECTANCE_PER_DEPTH * aerosol_depths * depth)[:, None, None]
