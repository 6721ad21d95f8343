"""What the air adds to and takes from the light between the sun, the ground and a satellite overhead.

Digital numbers of Sentinel-2's L1C products are reflectances at the top of the atmosphere. Air makes dark ground
brighter, most in the blue and under a low sun, and bright ground darker. What is reflected from the ground to the air
and back is left out, and so are water vapour and the height of the ground.
"""

import numpy as np

from millpond.simulation.errors import SimulationError
from millpond.simulation.illumination import TURBIDITY, WAVELENGTH_UM, Sun, aerosol_depth, rayleigh_depth

MIN_SUN_ELEVATION_DEG = 10.0
"""Below, a flat atmosphere is no longer a fair picture."""

AEROSOL_BACKSCATTER = 0.25
"""Built in: the phase function of aerosols towards a satellite overhead, times their single-scattering albedo."""

AEROSOL_FORWARD_SHARE = 0.83
"""Built in: share of the light that aerosols meet and that goes on towards the ground or the satellite."""

OZONE_DEPTH = {"B02": 0.006, "B03": 0.031, "B04": 0.015, "B08": 0.001}
"""Vertical optical depth of 300 Dobson units of ozone, whose Chappuis bands absorb most between green and red."""

_MULTIPLE = (0.33243832, 0.16285370, -0.30924818, -0.10324388, 0.11493334)
_MULTIPLE_BY_LOG_DEPTH = (-6.777104e-02, 1.577425e-03, -1.240906e-02, 3.241678e-02, -3.503695e-02)
_ANISOTROPY = 0.958725775

SATURATION_OVERHEAD = {"B02": 0.99, "B03": 0.96, "B04": 1.01, "B08": 0.93}
"""Largest reflectance that the instrument can tell under a sun overhead; under a lower sun it is larger.

The largest radiances of Sentinel-2's specification (Drusch et al. 2012, doi:10.1016/j.rse.2011.11.026) over the sun's
irradiance, times pi.
"""


def top_of_atmosphere(
    reflectance: np.ndarray, sun: Sun, bands: tuple[str, ...], turbidity: float = TURBIDITY
) -> np.ndarray:
    """Reflectance at the top of the atmosphere, seen from straight above.

    With m the sine of the sun's elevation, t_r, t_a and t_o the optical depths of molecules, aerosols and ozone, and
    rho the reflectance of the ground, the satellite sees

        (R(t_r, m) + t_a P_a / (4 m) + rho T(m) T(1)) exp(-t_o (1 / m + 1)),
        T(m) = exp(-(t_r / 2 + (1 - F) t_a) / m),

    where R is `molecular_reflectance`, P_a is `AEROSOL_BACKSCATTER` and F is `AEROSOL_FORWARD_SHARE`. T counts the
    scattered light that arrives all the same (Gordon et al. 1983, doi:10.1364/AO.22.000020, eq. 6).

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
        Of the ground.
    sun : Sun
    bands : tuple of str
        Names in `OZONE_DEPTH`: what the short-wave infrared loses to water vapour isn't simulated.
    turbidity : float
        Optical depth of aerosols at one micrometre.

    Raises
    ------
    SimulationError
        If the sun stands lower than `MIN_SUN_ELEVATION_DEG`, or a band is unknown.
    """
    _check_bands(bands, OZONE_DEPTH)
    if sun.elevation_deg < MIN_SUN_ELEVATION_DEG:
        raise SimulationError(
            f"sun elevation of {sun.elevation_deg:.1f} degrees found, at least {MIN_SUN_ELEVATION_DEG:g} expected. "
            "Choose another day or latitude."
        )
    wavelength = np.array([WAVELENGTH_UM[band] for band in bands])[:, None, None]
    molecules, aerosols = rayleigh_depth(wavelength), aerosol_depth(wavelength, turbidity)
    height = np.sin(np.radians(sun.elevation_deg))
    path = molecular_reflectance(molecules, height) + aerosols * AEROSOL_BACKSCATTER / (4 * height)
    lost = molecules / 2 + (1 - AEROSOL_FORWARD_SHARE) * aerosols
    ozone = np.array([OZONE_DEPTH[band] for band in bands])[:, None, None]
    way = 1 / height + 1
    return (path + reflectance * np.exp(-lost * way)) * np.exp(-ozone * way)


def molecular_reflectance(depth: float | np.ndarray, sun_height: float) -> float | np.ndarray:
    """Reflectance of molecules over black ground, seen from straight above; all orders of scattering.

    The fit of the radiative transfer code 6S, for a view from the zenith (Vermote et al. 1997,
    doi:10.1109/36.581987).

    Parameters
    ----------
    depth : float or array
        Vertical optical depth, up to about 0.5.
    sun_height : float
        Sine of the sun's elevation.
    """
    m = sun_height
    phase = 1 + (3 * m**2 - 1) * _ANISOTROPY / 4
    once = (1 - np.exp(-depth * (1 / m + 1))) / (4 * (m + 1))
    terms = np.array([1, m + 1, m, m**2 + 1, m**2])
    more = terms @ _MULTIPLE + np.log(depth) * (terms @ _MULTIPLE_BY_LOG_DEPTH)
    return phase * (once + (1 - np.exp(-depth / m)) * (1 - np.exp(-depth)) * more)


def saturated(reflectance: np.ndarray, sun: Sun, bands: tuple[str, ...]) -> np.ndarray:
    """(n_bands, rows, cols) reflectance, cut where the instrument saturates; bands are names in `SATURATION_OVERHEAD`.

    Raises
    ------
    SimulationError
        If a band is unknown.
    """
    _check_bands(bands, SATURATION_OVERHEAD)
    highest = np.array([SATURATION_OVERHEAD[band] for band in bands]) / np.sin(np.radians(sun.elevation_deg))
    return np.minimum(reflectance, highest[:, None, None])


def _check_bands(bands: tuple[str, ...], known: dict[str, float]) -> None:
    if unknown := [band for band in bands if band not in known]:
        raise SimulationError(
            f"bands {', '.join(unknown)} found, some of {', '.join(known)} expected. Leave the others out."
        )
