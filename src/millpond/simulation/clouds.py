"""Haze and clouds over a scene. All of it is built in: shapes are thresholded noise."""

import numpy as np
from scipy import ndimage

from millpond.simulation.illumination import (
    PATH_REFLECTANCE_PER_DEPTH,
    WAVELENGTH_UM,
    Sun,
    diffuse_share,
    optical_depth,
)

CLOUD_REFLECTANCE = 0.62
"""Of a thick cloud, alike in all bands."""

SIZE_PIXELS = 5.0
"""Standard deviation of the smoothing that makes clouds of noise."""


def cloud(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """(rows, cols) opacity of clouds, 0 to 1, over about this share of the scene."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), SIZE_PIXELS)
    edge = np.quantile(field, 1 - share)
    return np.clip((field - edge) / (field.std() / 2), 0, 1)


def shaded(reflectance: np.ndarray, shadow: np.ndarray, sun: Sun, bands: tuple[str, ...]) -> np.ndarray:
    """The ground in the shadow of clouds: the light of the sun goes, that of the sky stays, and it is bluer.

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
        Before the light of the atmosphere is added.
    shadow : (rows, cols) array
        Opacity of the clouds that throw it. A thousand metres high, they stand beyond a small scene.
    sun : Sun
    bands : tuple of str
    """
    depth = np.array([optical_depth(WAVELENGTH_UM[band]) for band in bands])
    from_sun = 1 - diffuse_share(depth, sun.elevation_deg)
    return reflectance * (1 - shadow * from_sun[:, None, None])


def covered(reflectance: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """The scene below clouds: (n_bands, rows, cols)."""
    return reflectance * (1 - opacity) + CLOUD_REFLECTANCE * opacity


def haze(bands: tuple[str, ...], aerosol_depths: float) -> np.ndarray:
    """(n_bands, 1, 1) reflectance that haze adds, of so many times the clear day's optical depth."""
    depth = np.array([optical_depth(WAVELENGTH_UM[band]) for band in bands])
    return (PATH_REFLECTANCE_PER_DEPTH * aerosol_depths * depth)[:, None, None]
