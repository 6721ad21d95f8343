"""Mountain shadow on a DEM, and water bodies that are only shadow.

A shaded slope is as dark as water, so a classifier takes it for water. Where the sun stood is known, and so is the
ground: cells that the sun barely grazes, and cells that other ground hides from it, are in shadow.

Angles: azimuth is the direction towards the sun, clockwise from true north (90 is east); elevation is its height above
the horizon. Products give both (`MTL` of Landsat; Sentinel-2's zenith angle is 90 minus elevation).
"""

from typing import NamedTuple

import numba
import numpy as np
from rasterio.transform import Affine
from scipy import ndimage

from millpond.capacity.errors import CapacityError
from millpond.capacity.terrain import cell_size_m


class Unshadowed(NamedTuple):
    """Water without the bodies that are shadow.

    Attributes
    ----------
    water, shadow : (rows, cols) bool array
    n_removed : int
        Bodies that were removed.
    """

    water: np.ndarray
    shadow: np.ndarray
    n_removed: int


def remove_shadow(
    water: np.ndarray,
    elevation_m: np.ndarray,
    transform: Affine,
    crs: object,
    *,
    sun_azimuth_deg: float,
    sun_elevation_deg: float,
    largest_share: float = 0.5,
    min_illumination: float = 0.2,
) -> Unshadowed:
    """Remove water bodies that lie mostly in mountain shadow.

    A real reservoir that lies in shadow goes too: nothing tells it from its surroundings then. One that is partly
    shaded stays whole, unless shadow makes up most of it, or of the body it forms with a shaded slope it touches.

    Parameters
    ----------
    water : (rows, cols) bool array
        Touching pixels, corners included, are one body.
    elevation_m : (rows, cols) array
        On the same grid, reaching as far as the mountains that may cast shadow; NaN where unknown.
    transform, crs
        Georeferencing as rasterio has it, north up.
    sun_azimuth_deg, sun_elevation_deg : float
        At acquisition.
    largest_share : float
        A body with a larger share of its pixels in shadow is removed.
    min_illumination : float
        As in `mountain_shadow`.

    Returns
    -------
    Unshadowed

    Raises
    ------
    CapacityError
        If the shapes differ, and as `mountain_shadow` does.
    """
    if water.shape != elevation_m.shape:
        raise CapacityError(
            f"water of shape {water.shape} and a DEM of shape {elevation_m.shape} found, one grid expected. "
            "Resample the DEM to the image (millpond.raster.read_onto)."
        )
    shadow = mountain_shadow(
        elevation_m,
        transform,
        crs,
        sun_azimuth_deg=sun_azimuth_deg,
        sun_elevation_deg=sun_elevation_deg,
        min_illumination=min_illumination,
    )
    bodies, n_bodies = ndimage.label(water, structure=np.ones((3, 3)))
    pixels = np.bincount(bodies.ravel(), minlength=n_bodies + 1)
    shaded = np.bincount(bodies[shadow], minlength=n_bodies + 1)
    removed = shaded > largest_share * pixels
    removed[0] = False  # the background
    return Unshadowed(water & ~removed[bodies], shadow, int(removed.sum()))


def mountain_shadow(
    elevation_m: np.ndarray,
    transform: Affine,
    crs: object,
    *,
    sun_azimuth_deg: float,
    sun_elevation_deg: float,
    min_illumination: float = 0.2,
) -> np.ndarray:
    """Cells that are turned from the sun or hidden from it.

    Parameters
    ----------
    elevation_m, transform, crs, sun_azimuth_deg, sun_elevation_deg
        As in `remove_shadow`. In geographic coordinates, cells are as large as in the middle row.
    min_illumination : float
        A cell is turned from the sun if the cosine of its angle of incidence is below this share of flat ground's.

    Returns
    -------
    (rows, cols) bool array
        False where the elevation is unknown. Unknown ground and ground beyond the edge hide nothing.

    Raises
    ------
    CapacityError
        If the sun isn't above the horizon, the grid has no reference system or isn't north up, or nothing is known of
        the elevation.
    """
    if not 0 < sun_elevation_deg <= 90:
        raise CapacityError(
            f"sun elevation of {sun_elevation_deg:g} degrees found, above 0 and up to 90 expected. "
            "Give the height above the horizon, in degrees."
        )
    known = ~np.isnan(elevation_m)
    if not known.any():
        raise CapacityError("no cell of the DEM has data. Check the file and its no-data value.")
    _, widths, heights = cell_size_m(elevation_m.shape, transform, crs)
    width, height = widths[len(widths) // 2], heights[len(heights) // 2]
    azimuth, altitude = np.radians([sun_azimuth_deg, sun_elevation_deg])
    east, north = np.sin(azimuth), np.cos(azimuth)

    to_south, to_east = np.gradient(elevation_m.astype(float), height, width)
    # Sun direction times the ground's normal (-dz/dx, -dz/dy, 1), over its length.
    incidence = np.sin(altitude) - np.cos(altitude) * (east * to_east - north * to_south)
    incidence /= np.sqrt(1 + to_east**2 + to_south**2)
    turned = incidence < min_illumination * np.sin(altitude)

    # One step is one cell along the axis on which the ray advances faster.
    step_row, step_col = -north / height, east / width
    longer = max(abs(step_row), abs(step_col))
    ground = np.where(known, elevation_m, np.nanmin(elevation_m)).astype(float)
    rise_m = np.tan(altitude) / longer
    # Rounded, so that a ray along an edge of the grid doesn't leave it: the sine of 360 degrees isn't quite zero.
    step_row, step_col = round(step_row / longer, 12), round(step_col / longer, 12)
    return known & (turned | _hidden(ground, step_row, step_col, rise_m, ground.max()))


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
