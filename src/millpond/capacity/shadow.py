"""Mountain shadow on a DEM, and water bodies that are only shadow.

A shaded slope is as dark as water, so a classifier takes it for water. Where the sun stood is known, and so is the
ground: cells that the sun barely grazes, and cells that other ground hides from it, are in shadow.

Angles: azimuth is the direction towards the sun, clockwise from true north (90 is east); elevation is its height above
the horizon. Products give both (`MTL` of Landsat; Sentinel-2's zenith angle is 90 minus elevation).
"""

from typing import NamedTuple

import numpy as np
from rasterio.transform import Affine
from scipy import ndimage

from millpond.capacity.errors import CapacityError
from millpond.capacity.terrain import cell_size_m, elevation_of
from millpond.raster import unmasked
from millpond.simulation import illumination
from millpond.simulation.errors import SimulationError


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
    kept, n_removed = drop_shaded(water, shadow, largest_share=largest_share)
    return Unshadowed(kept, shadow, n_removed)


def drop_shaded(water: np.ndarray, shadow: np.ndarray, *, largest_share: float = 0.5) -> tuple[np.ndarray, int]:
    """Remove water bodies that lie mostly in a shadow that is known already, as `remove_shadow` does.

    Returns
    -------
    water : (rows, cols) bool array
    n_removed : int
    """
    water, shadow = unmasked(water, False), unmasked(shadow, False)
    bodies, n_bodies = ndimage.label(water, structure=np.ones((3, 3)))
    pixels = np.bincount(bodies.ravel(), minlength=n_bodies + 1)
    shaded = np.bincount(bodies[shadow], minlength=n_bodies + 1)
    removed = shaded > largest_share * pixels
    removed[0] = False  # the background
    return water & ~removed[bodies], int(removed.sum())


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
    elevation_m = elevation_of(elevation_m)
    _, widths, heights = cell_size_m(elevation_m.shape, transform, crs)
    sun = illumination.Sun(sun_azimuth_deg, sun_elevation_deg)
    middle = elevation_m.shape[0] // 2
    try:
        return illumination.mountain_shadow(
            elevation_m, widths[middle], heights[middle], sun, min_illumination=min_illumination
        )
    except SimulationError as error:
        raise CapacityError(str(error)) from error
