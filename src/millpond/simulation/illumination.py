"""Sunlight on terrain: where the sun stands, which ground it reaches, and how bright the ground then looks.

Light arrives directly from the sun and diffusely from the sky. The share of diffuse light is larger in the blue than
in the infrared, and larger under a low sun. Ground without direct light therefore is dark and bluish, much like water.

Angles: azimuth is the direction towards the sun, clockwise from true north (90 is east); elevation is its height above
the horizon. Grids are north up, with cells of one size in metres.
"""

from typing import NamedTuple

import numba
import numpy as np

from millpond.simulation.errors import SimulationError

WAVELENGTH_UM = {"B02": 0.49, "B03": 0.56, "B04": 0.665, "B08": 0.842, "B11": 1.61, "B12": 2.19}
"""Centres of Sentinel-2's bands in micrometres."""

TURBIDITY = 0.05
"""Angstrom's turbidity: the optical depth of aerosols at one micrometre, here that of a clear day."""

PATH_REFLECTANCE_PER_DEPTH = 0.02
"""Built in: an atmospheric correction leaves this much reflectance behind for each unit of optical depth."""


class Sun(NamedTuple):
    """Where the sun stands.

    Attributes
    ----------
    azimuth_deg : float
        Clockwise from true north.
    elevation_deg : float
        Above the horizon.
    """

    azimuth_deg: float
    elevation_deg: float


def sun_at(latitude_deg: float, day_of_year: int, solar_hour: float) -> Sun:
    """Where the sun stands at a true solar time (12 is when it crosses the meridian).

    The declination is that of Cooper (1969, doi:10.1016/0038-092X(69)90047-4), good to one and a half degrees.
    """
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + day_of_year) / 365)
    latitude, hour_angle = np.radians(latitude_deg), np.radians(15 * (solar_hour - 12))
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(latitude) * np.sin(declination) - np.sin(latitude) * np.cos(declination) * np.cos(hour_angle)
    return Sun(float(np.degrees(np.arctan2(east, north)) % 360), float(np.degrees(np.arcsin(up))))


def rayleigh_depth(wavelength_um: float | np.ndarray) -> float | np.ndarray:
    """Vertical optical depth of the molecules of the air at sea level (Leckner 1978,
    doi:10.1016/0038-092X(78)90187-1)."""
    return 0.008735 * wavelength_um**-4.08


def aerosol_depth(wavelength_um: float | np.ndarray, turbidity: float = TURBIDITY) -> float | np.ndarray:
    """Vertical optical depth of aerosols after Angstrom, with the exponent 1.3."""
    return turbidity * wavelength_um**-1.3


def optical_depth(wavelength_um: float | np.ndarray) -> float | np.ndarray:
    """Vertical optical depth of clear air without absorption, at sea level."""
    return rayleigh_depth(wavelength_um) + aerosol_depth(wavelength_um)


def diffuse_share(depth: float | np.ndarray, sun_elevation_deg: float) -> float | np.ndarray:
    """Share of the sky in the light on flat ground: half of what the air takes from the direct light arrives too."""
    direct = np.exp(-depth / np.sin(np.radians(sun_elevation_deg)))
    return (1 - direct) / (1 + direct)


def incidence_cosine(elevation_m: np.ndarray, cell_width_m: float, cell_height_m: float, sun: Sun) -> np.ndarray:
    """(rows, cols) cosine of the angle between the sun and the ground's normal; NaN beside unknown ground."""
    azimuth, altitude = np.radians(sun)
    to_south, to_east = np.gradient(elevation_m.astype(float), cell_height_m, cell_width_m)
    # Sun direction times the ground's normal (-dz/dx, -dz/dy, 1), over its length.
    uphill = np.sin(azimuth) * to_east - np.cos(azimuth) * to_south
    return (np.sin(altitude) - np.cos(altitude) * uphill) / np.sqrt(1 + to_east**2 + to_south**2)


def mountain_shadow(
    elevation_m: np.ndarray, cell_width_m: float, cell_height_m: float, sun: Sun, *, min_illumination: float
) -> np.ndarray:
    """Cells that are turned from the sun or hidden from it.

    Parameters
    ----------
    elevation_m : (rows, cols) array
        NaN where unknown.
    cell_width_m, cell_height_m : float
    sun : Sun
    min_illumination : float
        A cell is turned from the sun if the cosine of its angle of incidence is below this share of flat ground's.
        At 0 these are the cells without any direct light.

    Returns
    -------
    (rows, cols) bool array
        False where the elevation is unknown. Unknown ground and ground beyond the edge hide nothing.

    Raises
    ------
    SimulationError
        If the sun isn't above the horizon, or nothing is known of the elevation.
    """
    _check_sun(sun)
    known = ~np.isnan(elevation_m)
    if not known.any():
        raise SimulationError("no cell of the DEM has data. Check the file and its no-data value.")
    azimuth, altitude = np.radians(sun)
    turned = incidence_cosine(elevation_m, cell_width_m, cell_height_m, sun) < min_illumination * np.sin(altitude)

    # One step is one cell along the axis on which the ray advances faster.
    step_row, step_col = -np.cos(azimuth) / cell_height_m, np.sin(azimuth) / cell_width_m
    longer = max(abs(step_row), abs(step_col))
    ground = np.where(known, elevation_m, np.nanmin(elevation_m)).astype(float)
    rise_m = np.tan(altitude) / longer
    # Rounded, so that a ray along an edge of the grid doesn't leave it: the sine of 360 degrees isn't quite zero.
    step_row, step_col = round(step_row / longer, 12), round(step_col / longer, 12)
    return known & (turned | _hidden(ground, step_row, step_col, rise_m, ground.max()))


def illuminate(
    reflectance: np.ndarray,
    elevation_m: np.ndarray,
    cell_width_m: float,
    cell_height_m: float,
    sun: Sun,
    bands: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Reflectance as a satellite sees it after an atmospheric correction that knows nothing of the terrain.

    With rho the reflectance of the ground, i the angle of incidence, h the sun's elevation, s the slope, and in each
    band d the diffuse share and p the path reflectance that is left, the sensor sees

        p + rho * ((1 - d) * cos(i) / sin(h) + d * (1 + cos(s)) / 2),

    without the first term in the bracket where no direct light arrives. On flat ground in the sun this is p + rho. What
    neighbouring slopes reflect, and what they hide of the sky, is left out.

    Parameters
    ----------
    reflectance : (n_bands, rows, cols) array
        Of the ground.
    elevation_m : (rows, cols) array
        Known everywhere.
    cell_width_m, cell_height_m : float
    sun : Sun
    bands : tuple of str
        Names in `WAVELENGTH_UM`.

    Returns
    -------
    seen : (n_bands, rows, cols) float32 array
    shadow : (rows, cols) bool array
        Cells without direct light.

    Raises
    ------
    SimulationError
        If the sun isn't above the horizon, elevation is unknown somewhere, or shapes or bands don't fit.
    """
    if reflectance.shape != (len(bands), *elevation_m.shape):
        raise SimulationError(
            f"reflectance of shape {reflectance.shape} found, {(len(bands), *elevation_m.shape)} expected: as many "
            "bands as names, on the grid of the elevation."
        )
    if unknown := [band for band in bands if band not in WAVELENGTH_UM]:
        raise SimulationError(f"bands {', '.join(unknown)} found, some of {', '.join(WAVELENGTH_UM)} expected.")
    if np.isnan(elevation_m).any():
        raise SimulationError("cells of unknown elevation found, none expected. Fill them or cut them off.")
    shadow = mountain_shadow(elevation_m, cell_width_m, cell_height_m, sun, min_illumination=0)
    to_south, to_east = np.gradient(elevation_m.astype(float), cell_height_m, cell_width_m)
    sky = (1 + 1 / np.sqrt(1 + to_east**2 + to_south**2)) / 2
    direct = incidence_cosine(elevation_m, cell_width_m, cell_height_m, sun) / np.sin(np.radians(sun.elevation_deg))
    direct[shadow] = 0
    seen = np.empty(reflectance.shape, np.float32)
    for i, band in enumerate(bands):
        depth = optical_depth(WAVELENGTH_UM[band])
        diffuse = diffuse_share(depth, sun.elevation_deg)
        light = (1 - diffuse) * direct + diffuse * sky
        seen[i] = PATH_REFLECTANCE_PER_DEPTH * depth + reflectance[i] * light
    return seen, shadow


def _check_sun(sun: Sun) -> None:
    if not 0 < sun.elevation_deg <= 90:
        raise SimulationError(
            f"sun elevation of {sun.elevation_deg:g} degrees found, above 0 and up to 90 expected. "
            "Give the height above the horizon, in degrees."
        )


@numba.njit(cache=True)
def _hidden(ground, step_row, step_col, rise, highest):
    """March from each cell towards the sun until the ground is higher than the ray, or nothing is as high as it."""
    rows, cols = ground.shape
    hidden = np.zeros((rows, cols), np.bool_)
    for row in range(rows):
        for col in range(cols):
            y, x, ray = float(row), float(col), ground[row, col]
            while True:
                y, x, ray = y + step_row, x + step_col, ray + rise
                if ray >= highest or y < 0 or x < 0 or y > rows - 1 or x > cols - 1:
                    break
                top, left = int(y), int(x)
                below, right = min(top + 1, rows - 1), min(left + 1, cols - 1)
                down, across = y - top, x - left
                upper = ground[top, left] * (1 - across) + ground[top, right] * across
                lower = ground[below, left] * (1 - across) + ground[below, right] * across
                if upper * (1 - down) + lower * down > ray:
                    hidden[row, col] = True
                    break
    return hidden
