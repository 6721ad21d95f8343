"""What Sentinel-1 sees: mean backscatter of surfaces, slopes, and speckle.

The means are built in; they are within the ranges that C-band radar has over such surfaces.
"""

import numpy as np
from scipy import ndimage

from millpond.simulation.illumination import Sun, incidence_cosine

BANDS = ("VV", "VH")

BACKSCATTER_DB = {
    "water": (-21.0, -28.0),
    "mud": (-17.0, -24.0),
    "ground": (-11.0, -18.0),
    "vegetation": (-9.0, -14.5),
    "flooded vegetation": (-7.0, -15.0),
    "ice": (-14.0, -22.0),
}
"""Mean of VV and VH. Wet mud is smooth and nearly as dark as water."""

WIND_DB = (8.0, 3.0)
"""How much brighter, at most, waves make water."""

LOOKS = 4.4
"""Equivalent number of looks of a GRD product: how strong its speckle is."""

RADAR = Sun(azimuth_deg=260.0, elevation_deg=52.0)
"""Where the radar stands, seen from the ground."""

LAYOVER_BRIGHTNESS = 4.0
"""Built in: how much brighter than flat ground a slope looks that is steeper than the radar's wave front."""

SPECKLE_KERNEL = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
"""How far speckle is alike."""

NOISE_DB = -23.0
"""What the instrument adds (noise-equivalent backscatter): nothing looks darker."""


def power(surface: str) -> np.ndarray:
    """(2,) mean backscatter in VV and VH, in linear units."""
    return 10 ** (np.array(BACKSCATTER_DB[surface]) / 10)


def slope_brightness(surface_m: np.ndarray, cell_m: float) -> np.ndarray:
    """(rows, cols) brightness relative to flat ground: slopes towards the radar are brighter, those away darker.

    The cosine of the angle of incidence, relative to flat ground's, to the second power; in layover, where the echoes
    of a whole slope arrive at once, `LAYOVER_BRIGHTNESS`. That layover also displaces, and radar shadow, are left out.
    """
    cosine = incidence_cosine(surface_m, cell_m, cell_m, RADAR) / np.sin(np.radians(RADAR.elevation_deg))
    return np.where(layover(surface_m, cell_m), LAYOVER_BRIGHTNESS, np.clip(cosine, 0.2, None) ** 2)


def layover(surface_m: np.ndarray, cell_m: float) -> np.ndarray:
    """(rows, cols) bool: where the ground rises away from the radar more steeply than its wave front stands."""
    to_south, to_east = np.gradient(surface_m.astype(float), cell_m)
    azimuth, elevation = np.radians(RADAR)
    rise_away = np.cos(azimuth) * to_south - np.sin(azimuth) * to_east
    return rise_away > 1 / np.tan(elevation)


def measured(backscatter: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, rows, cols) backscatter with noise and speckle: gamma-distributed, of `LOOKS` looks, and as wide as the
    resolution, which is about two pixels of 10 m."""
    noisy = backscatter + 10 ** (NOISE_DB / 10)
    # Smoothing over two pixels raises the number of looks; drawn with fewer, it has `LOOKS` after it.
    before = LOOKS * (SPECKLE_KERNEL**2).sum()
    speckle = rng.gamma(before, 1 / before, noisy.shape)
    return noisy * ndimage.convolve(speckle, SPECKLE_KERNEL[None], mode="nearest")
