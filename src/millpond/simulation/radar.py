"""What Sentinel-1 sees: mean backscatter of surfaces, slopes, and speckle.

The means are built in; they are within the ranges that C-band radar has over such surfaces.
"""

import numpy as np

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

BRIGHTEST_SLOPE = 16.0
"""Of slopes in layover, relative to flat ground."""


def power(surface: str) -> np.ndarray:
    """(2,) mean backscatter in VV and VH, in linear units."""
    return 10 ** (np.array(BACKSCATTER_DB[surface]) / 10)


def slope_brightness(surface_m: np.ndarray, cell_m: float) -> np.ndarray:
    """(rows, cols) brightness relative to flat ground: slopes towards the radar are brighter, up to layover."""
    cosine = incidence_cosine(surface_m, cell_m, cell_m, RADAR) / np.sin(np.radians(RADAR.elevation_deg))
    return np.clip(np.clip(cosine, 0.2, None) ** 4, None, BRIGHTEST_SLOPE)


def with_speckle(backscatter: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multiply by speckle: gamma-distributed, of mean 1 and `LOOKS` looks."""
    return backscatter * rng.gamma(LOOKS, 1 / LOOKS, backscatter.shape)
