"""Land cover of a Sentinel-2 L1C scene from the bands that the histograms leave out.

The study takes its classes from ESA WorldCover, which no small package ships. These classes are read from red edge and
short-wave infrared instead (B05, B8A, B11, B12, all at 20 m): not from B02, B03, B04 and B08, so that no class is
defined by a threshold on a histogram that is then compared between classes. B8A lies close to B08, though: what is
called vegetated here is bright in both. Dunes come out as bare cropland.
"""

import numpy as np

from millpond.normalization.errors import NormalizationError

LAND_COVER_BANDS = ("B05", "B8A", "B11", "B12")

LAND_COVER = ("surf", "water", "marsh", "trees", "green cropland", "bare cropland", "built-up or sand")
"""Names of the labels 0 to 6."""

WATER = (0, 1)
"""Labels of water: surf and calm."""

VEGETATED = (3, 4)
"""Labels with green vegetation: trees and green cropland."""


def classify_land_cover(reflectance: np.ndarray) -> np.ndarray:
    """Label each pixel by a short list of decisions; the first that holds wins.

    Foam is bright up to the near infrared and dark in the short-wave infrared, where all water is. Wet, dormant marsh
    is dim in near and short-wave infrared alike. Green leaves have a red edge; those of a forest canopy stand in each
    other's shadow and hold more water. Of what has no red edge, moist soil is darker at 2.2 than at 1.6 micrometres;
    sand, roofs and asphalt are nearly as bright at both, or bright throughout. The thresholds were read from the
    spectra of the bundled scene; they were not validated on the ground.

    Parameters
    ----------
    reflectance : (4, rows, cols) array
        Top-of-atmosphere reflectance in `LAND_COVER_BANDS`, in 0..1.

    Returns
    -------
    (rows, cols) int8 array
        Indexes of `LAND_COVER`; -1 where there are no data (zero in every band, or masked in any).
    """
    if len(reflectance) != len(LAND_COVER_BANDS):
        raise NormalizationError(
            f"{len(reflectance)} bands found, {', '.join(LAND_COVER_BANDS)} expected in this order. Read these bands."
        )
    b05, b8a, b11, b12 = np.ma.getdata(reflectance)
    without_data = ~np.any(reflectance, axis=0) | np.ma.getmaskarray(reflectance).any(axis=0)
    red_edge = (b8a - b05) / np.where(b8a + b05 == 0, 1, b8a + b05)
    decisions = [
        without_data,
        (b8a > 0.13) & (b11 < 0.12) & (red_edge < 0.1),
        b11 < 0.03,
        (b8a < 0.13) & (b11 < 0.13),
        (red_edge > 0.3) & (b11 < 0.15) & (b8a < 0.26),
        red_edge > 0.3,
        (b05 < 0.21) & ~((b12 > 0.78 * b11) & (b11 > 0.12)),
    ]
    return np.select(decisions, range(-1, 6), default=6).astype(np.int8)
