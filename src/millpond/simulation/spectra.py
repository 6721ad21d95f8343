"""Reflectance of surfaces in six bands, from measured spectra where there are any.

The package spyndex ships 120 surface reflectance spectra of Landsat 8: water, vegetation and urban land. A draw of one
of these three comes from the lognormal distribution that has the mean and the covariance of the measured logarithms, so
that no two draws are the same spectrum. Other surfaces are mixtures, and these are built in:

- green space is vegetation, construction is urban land;
- cultivated land is vegetation over bare soil, for which urban land has to stand, since there are no spectra of soil;
- a greenhouse is plastic film over vegetation. The spectrum of the film is an assumption: grey, with what polyethylene
  absorbs in the short-wave infrared.
"""

import numpy as np
import spyndex
from sklearn.utils import check_random_state

from millpond.simulation.errors import SimulationError

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
"""Bands of a simulated scene, by Sentinel-2's names."""

MATERIALS = {"water": "Water", "vegetation": "Vegetation", "urban land": "Urban"}
"""What was measured, and the name that spyndex gives it."""

PLASTIC = (0.30, 0.31, 0.32, 0.33, 0.25, 0.20)
"""Assumed reflectance of plastic film, by `BANDS`."""

SURFACES: dict[str, tuple[str, str | None, tuple[float, float]]] = {
    "water": ("water", None, (1, 1)),
    "construction": ("urban land", None, (1, 1)),
    "green space": ("vegetation", None, (1, 1)),
    "cultivated": ("vegetation", "urban land", (0.3, 0.7)),
    "greenhouse": ("plastic", "vegetation", (0.4, 0.8)),
}
"""Each surface: a material, a second one, and the range of the share of the first."""

_LANDSAT8 = ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")  # the same colours as BANDS


def measured_spectra(material: str) -> np.ndarray:
    """(n_spectra, n_bands) surface reflectance of a material of `MATERIALS`.

    Raises
    ------
    SimulationError
        If there are no spectra of it.
    """
    if material not in MATERIALS:
        raise SimulationError(f"material {material!r} found, one of {', '.join(MATERIALS)} expected.")
    spectra = spyndex.datasets.open("spectral")
    return spectra.loc[spectra["class"] == MATERIALS[material], list(_LANDSAT8)].to_numpy()


def draw_spectra(surface: str, n: int, random_state=None) -> np.ndarray:
    """Draw the spectra of n pieces of ground.

    Parameters
    ----------
    surface : str
        A name of `SURFACES`.
    n : int
    random_state : int, RandomState or None

    Returns
    -------
    (n, n_bands) array
        Reflectance in 0..1.

    Raises
    ------
    SimulationError
        If there is no such surface.
    """
    if surface not in SURFACES:
        raise SimulationError(f"surface {surface!r} found, one of {', '.join(SURFACES)} expected.")
    rng = check_random_state(random_state)
    first, second, (low, high) = SURFACES[surface]
    spectra = _draw_material(first, n, rng)
    if second is not None:
        share = rng.uniform(low, high, (n, 1))
        spectra = share * spectra + (1 - share) * _draw_material(second, n, rng)
    return np.minimum(spectra, 1)


def _draw_material(material: str, n: int, rng: np.random.RandomState) -> np.ndarray:
    if material == "plastic":
        return np.tile(PLASTIC, (n, 1))
    logarithms = np.log(measured_spectra(material))
    # By Cholesky: the roots that numpy's own draw takes have signs that differ between machines.
    root = np.linalg.cholesky(np.cov(logarithms, rowvar=False))
    return np.exp(logarithms.mean(axis=0) + rng.standard_normal((n, len(BANDS))) @ root.T)
