"""A simulated satellite image of hilly land with reservoirs, whose land use, water and shadow are known.

The terrain is what the caller gives; all else is built in, by the constants below. They were fixed before the first
result was seen.
"""

from typing import NamedTuple

import geopandas as gpd
import numpy as np
from rasterio.features import shapes
from rasterio.transform import Affine
from scipy import ndimage
from shapely.geometry import shape
from sklearn.utils import check_random_state

from millpond.capacity.errors import CapacityError
from millpond.capacity.land_use import LAND_USE
from millpond.capacity.terrain import cell_size_m, horn_slope_deg
from millpond.simulation.illumination import Sun, illuminate
from millpond.simulation.spectra import BANDS, draw_spectra

FIELD_CELLS = 60
"""Cells of a field in the mean."""

STEEP_DEG = 15.0
"""A field whose mean slope is larger is green space."""

SHARES = {"construction": 0.15, "green space": 0.25, "cultivated": 0.45, "greenhouse": 0.15}
"""Probability of each land use on the other fields."""

PIXEL_VARIATION = 0.05
"""Standard deviation of the logarithm of a pixel's brightness within its field."""

SENSOR_NOISE = 0.002
"""Standard deviation of the noise, in reflectance."""

BLUR_CELLS = 0.5
"""Standard deviation of the sensor's point spread: it makes mixed pixels of shorelines and field borders."""


class Scene(NamedTuple):
    """A simulated image and the truth about it.

    Attributes
    ----------
    reflectance : (n_bands, rows, cols) float32 array
        In the order of `millpond.simulation.spectra.BANDS`.
    land_use : (rows, cols) int8 array
        Indexes of `LAND_USE`; 0 is water.
    parcels : (rows, cols) int32 array
        Labels of fields and water bodies, from 1; those of water bodies come first and are the caller's.
    shadow : (rows, cols) bool array
        No direct light.
    surface_m : (rows, cols) array
        Elevation of the ground, or of the water over it.
    transform, crs
        Georeferencing as given.
    """

    reflectance: np.ndarray
    land_use: np.ndarray
    parcels: np.ndarray
    shadow: np.ndarray
    surface_m: np.ndarray
    transform: Affine
    crs: object

    @property
    def water(self) -> np.ndarray:
        """(rows, cols) bool array."""
        return self.land_use == LAND_USE.index("water")


def simulate_scene(
    elevation_m: np.ndarray, water: np.ndarray, transform: Affine, crs: object, *, sun: Sun, random_state=None
) -> Scene:
    """See a hilly land with reservoirs from a satellite.

    A field is what lies nearest to a random cell. Each field and each water body has a spectrum of its own. Light and
    shadow follow the terrain (`millpond.simulation.illumination.illuminate`). The sensor blurs what it sees and adds
    noise. The same `random_state` gives the same land under any sun.

    Parameters
    ----------
    elevation_m : (rows, cols) array
        Ground, also under water; known everywhere.
    water : (rows, cols) array of int
        Labels of the water bodies from 1; 0 is land. Each is as high as the highest ground under it.
    transform, crs
        Georeferencing as rasterio has it, north up. In geographic coordinates, cells are as large as in the middle row.
    sun : Sun
    random_state : int, RandomState or None

    Returns
    -------
    Scene

    Raises
    ------
    CapacityError
        If the shapes differ, or the grid has no reference system or isn't north up.
    SimulationError
        As `illuminate` does.
    """
    if water.shape != elevation_m.shape:
        raise CapacityError(
            f"water of shape {water.shape} and a DEM of shape {elevation_m.shape} found, one grid expected."
        )
    rng = check_random_state(random_state)
    _, widths, heights = cell_size_m(elevation_m.shape, transform, crs)
    n_bodies = int(water.max())
    surface = elevation_m.astype(np.float32)
    if n_bodies:
        waterline = ndimage.maximum(surface, water, np.arange(1, n_bodies + 1))
        surface = np.where(water > 0, np.concatenate([[0], waterline]).astype(np.float32)[water], surface)

    fields, n_fields = _fields(elevation_m.shape, rng)
    steepness = ndimage.mean(horn_slope_deg(elevation_m, widths, heights), fields, np.arange(n_fields))
    use_of_field = rng.choice([LAND_USE.index(name) for name in SHARES], n_fields, p=list(SHARES.values()))
    use_of_field[steepness > STEEP_DEG] = LAND_USE.index("green space")
    parcels = np.where(water > 0, water, fields + n_bodies + 1).astype(np.int32)
    use_of_parcel = np.concatenate([[-1], np.full(n_bodies, LAND_USE.index("water")), use_of_field]).astype(np.int8)

    spectra = np.empty((len(use_of_parcel), len(BANDS)), np.float32)
    for use, name in enumerate(LAND_USE):
        of_use = use_of_parcel == use
        spectra[of_use] = draw_spectra(name, int(of_use.sum()), rng)
    brightness = np.exp(rng.normal(0, PIXEL_VARIATION, parcels.shape)).astype(np.float32)
    ground = np.stack([spectra[parcels, i] * brightness for i in range(len(BANDS))])

    middle = len(widths) // 2
    seen, shadow = illuminate(ground, surface, widths[middle], heights[middle], sun, BANDS)
    for band in seen:
        band[:] = ndimage.gaussian_filter(band, BLUR_CELLS, mode="nearest")
        band += rng.normal(0, SENSOR_NOISE, band.shape).astype(np.float32)
    return Scene(seen, use_of_parcel[parcels], parcels, shadow, surface, transform, crs)


def draw_polygons(
    scene: Scene, n_per_class: int, *, largest_shaded_share: float = 0.0, random_state=None
) -> gpd.GeoDataFrame:
    """Draw polygons inside fields and water bodies, as somebody would on the screen.

    A polygon is the inside of a parcel, without the pixels that touch another one. Nobody can tell what a shaded slope
    is, so parcels with a larger share of shadow aren't drawn.

    Parameters
    ----------
    scene : Scene
    n_per_class : int
        Polygons of each land use; all there are, if they are fewer.
    largest_shaded_share : float
        From 0 to 1.
    random_state : int, RandomState or None

    Returns
    -------
    GeoDataFrame
        Columns `land_use`, `parcel` and `geometry`.
    """
    rng = check_random_state(random_state)
    parcels = scene.parcels
    inside = ndimage.maximum_filter(parcels, 3) == ndimage.minimum_filter(parcels, 3)
    cells = np.bincount(parcels.ravel())
    shaded = np.bincount(parcels[scene.shadow], minlength=len(cells))
    n_inside = np.bincount(parcels[inside], minlength=len(cells))
    usable = (n_inside > 0) & (shaded <= largest_shaded_share * cells)
    use_of_parcel = np.full(len(cells), -1, np.int8)
    use_of_parcel[parcels] = scene.land_use
    chosen = []
    for use in range(len(LAND_USE)):
        candidates = np.flatnonzero(usable & (use_of_parcel == use))
        chosen.append(rng.permutation(candidates)[:n_per_class])
    drawn = np.where(inside & np.isin(parcels, np.concatenate(chosen)), parcels, 0)
    outlines = [
        (shape(outline), int(label)) for outline, label in shapes(drawn, mask=drawn > 0, transform=scene.transform)
    ]
    polygons = gpd.GeoDataFrame(
        {"parcel": [label for _, label in outlines]}, geometry=[outline for outline, _ in outlines], crs=scene.crs
    ).dissolve("parcel", as_index=False)
    polygons.insert(0, "land_use", np.array(LAND_USE)[use_of_parcel[polygons["parcel"]]])
    return polygons


def _fields(shape_: tuple[int, int], rng: np.random.RandomState) -> tuple[np.ndarray, int]:
    """(rows, cols) labels from 0 of the random cell that is nearest, and how many there are."""
    size = shape_[0] * shape_[1]
    n_fields = max(size // FIELD_CELLS, 1)
    labels = np.zeros(shape_, np.int32)
    elsewhere = np.ones(shape_, bool)
    seeds = rng.permutation(size)[:n_fields]
    labels.flat[seeds] = np.arange(n_fields)
    elsewhere.flat[seeds] = False
    nearest = ndimage.distance_transform_edt(elsewhere, return_distances=False, return_indices=True)
    return labels[tuple(nearest)], n_fields
