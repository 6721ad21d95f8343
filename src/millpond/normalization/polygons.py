"""From probabilities to parcels, and from parcels to polygons that a GIS reads.

Fields are basins of the boundary probability: water that rises from where there is surely no boundary fills each field
up to the ridge between it and the next one.
"""

import heapq
import io
from collections.abc import Iterable
from pathlib import Path

import geopandas as gpd
import numba
import numpy as np
import shapely
from rasterio.features import shapes
from rasterio.transform import Affine
from scipy import ndimage

from millpond.files import replacing
from millpond.normalization.errors import NormalizationError
from millpond.normalization.targets import as_parcels
from millpond.raster import open_raster

_EQUAL_AREA = "EPSG:6933"
_HEIGHTS = 256


def separate_parcels(
    extent: np.ndarray,
    boundary: np.ndarray,
    *,
    threshold: float = 0.5,
    boundary_threshold: float = 0.2,
    smallest: int = 8,
) -> np.ndarray:
    """Cut what is field into parcels, by a watershed of the boundary probability within the extent.

    Seeds are connected pixels (by edges, not corners) that are field and no boundary; a piece of field that is boundary
    throughout is a parcel of its own. From the seeds, field pixels are taken in the order of their boundary
    probability, in 256 steps. Parcels that stay too small are given, the smallest first, to the neighbour behind the
    lowest ridge, or up if they have none.

    Parameters
    ----------
    extent, boundary : (rows, cols) arrays
        Probabilities; NaN or masked where there are no data, which is no field.
    threshold, boundary_threshold : float
        From which probability on a pixel is field, and no part of a seed. The latter is low, since one gap in a ridge
        makes two fields one; `millpond.normalization.delineation.choose_boundary_threshold` finds a better one.
    smallest : int
        Pixels that a parcel has at least.

    Returns
    -------
    (rows, cols) int32 array
        Numbers of parcels from 1 on; 0 where there is no field.

    Raises
    ------
    NormalizationError
        If shapes differ or a setting is out of its range.
    """
    extent, boundary = (np.ma.filled(layer, np.nan) for layer in (extent, boundary))
    if extent.shape != boundary.shape or extent.ndim != 2:
        raise NormalizationError(
            f"extent of shape {extent.shape} and boundary of {boundary.shape} found, twice (rows, cols) expected. Pass "
            "the first two layers of one image's predict_proba."
        )
    if not (0 <= threshold <= 1 and 0 <= boundary_threshold <= 1 and smallest >= 1):
        raise NormalizationError(
            f"thresholds {threshold:g} and {boundary_threshold:g} and a smallest parcel of {smallest} pixels found, "
            "thresholds in 0..1 and 1 pixel or more expected. Set them so."
        )
    field = extent >= threshold  # False for NaN
    height = np.where(field, np.nan_to_num(boundary) * (_HEIGHTS - 1), 0).astype(np.uint8)
    parcels, n_seeds = ndimage.label(field & ~(boundary >= boundary_threshold), output=np.int32)
    pieces, n_pieces = ndimage.label(field, output=np.int32)
    seeded = np.zeros(n_pieces + 1, bool)
    seeded[pieces[parcels > 0]] = True
    bare = field & ~seeded[pieces]
    parcels[bare] = pieces[bare] + n_seeds
    _flood(height, field, parcels)
    parcels = _merge_smallest_first(parcels, height, smallest)
    too_small = np.bincount(parcels.ravel()) < smallest  # pieces of field without a neighbour
    parcels[too_small[parcels]] = 0
    return _renumbered(parcels)


def parcels_of_scene(path: str | Path, **settings) -> tuple[np.ndarray, Affine, object]:
    """Parcels of a scene that `millpond.normalization.tiles.predict_scene` has written.

    Memory is about 30 bytes a pixel, whatever the tiles were: a whole scene is cut at once, so that no parcel ends at
    the border of a tile.

    Parameters
    ----------
    path : path
    **settings
        Of `separate_parcels`.

    Returns
    -------
    parcels : (rows, cols) int32 array
    transform, crs
        As rasterio has them; with the parcels what `parcel_polygons` takes.
    """
    with open_raster(path, ("extent", "boundary")) as raster:
        extent, boundary = raster.read()
        return separate_parcels(extent, boundary, **settings), raster.transform, raster.crs


def parcel_polygons(parcels: np.ndarray, transform: Affine, crs, *, tolerance: float = 1.0) -> gpd.GeoDataFrame:
    """Outline parcels; neighbours keep their common border when it is simplified.

    Parameters
    ----------
    parcels : (rows, cols) array of integers
        Pixels of one number above 0 are one parcel.
    transform : Affine
    crs
        What geopandas takes for one.
    tolerance : float
        How much is simplified, in pixels (`shapely.coverage_simplify`, Visvalingam and Whyatt 1993,
        doi:10.1179/000870493786962263): corners that cut off less than about its square go. 0: the pixels' edges.

    Returns
    -------
    GeoDataFrame
        `parcel` (its number), `area_ha` (on the ellipsoid, by an equal-area projection: the plane of a projected CRS
        isn't true to area, and degrees aren't metres), `geometry` in `crs`.

    Raises
    ------
    NormalizationError
        If there is no CRS, or shape, type or tolerance don't fit.
    """
    parcels = as_parcels(parcels)
    if parcels.ndim != 2 or not tolerance >= 0:
        raise NormalizationError(
            f"parcels of shape {parcels.shape} and a tolerance of {tolerance:g} pixels found, (rows, cols) and 0 or "
            "more expected. Pass one raster, and a tolerance that isn't negative."
        )
    if crs is None:
        raise NormalizationError(
            "no coordinate reference system found, one expected: without it parcels have no area. Pass that of the "
            "scene, or write it into the scene's file."
        )
    if parcels.max(initial=0) > np.iinfo(np.int32).max:
        raise NormalizationError(f"parcel number {parcels.max()} found, up to 2147483647 expected. Number them anew.")
    # In pixels, where all corners are whole numbers: neighbours then agree on them to the last bit.
    found = list(shapes(parcels.astype(np.int32), mask=parcels > 0, connectivity=4))
    numbers = np.array([int(number) for _, number in found], np.int64)
    pieces = np.array([shapely.geometry.shape(outline) for outline, _ in found], dtype=object)
    if tolerance and len(pieces):
        # a corner of three parcels lies amid a straight edge of one; simplification keeps only corners that all know
        noded = shapely.transform(shapely.segmentize(pieces, 1.0), np.round)
        pieces = shapely.coverage_simplify(noded, tolerance)
    if len(pieces):
        pieces = shapely.transform(pieces, lambda xy: np.column_stack(transform @ (xy[:, 0], xy[:, 1])))
    table = gpd.GeoDataFrame({"parcel": numbers}, geometry=gpd.GeoSeries(pieces, crs=crs), crs=crs)
    if table["parcel"].duplicated().any():
        table = table.dissolve("parcel").reset_index()
    table.insert(1, "area_ha", table.to_crs(_EQUAL_AREA).area / 10_000)
    return table.sort_values("parcel", ignore_index=True)


def write_polygons(table: gpd.GeoDataFrame, path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Write a GeoPackage, whole or not at all.

    Parameters
    ----------
    table : GeoDataFrame
    path : path
    inputs : iterable of path
        Files that are being read and must not be overwritten.

    Raises
    ------
    NormalizationError
        If it can't be written.
    """
    with replacing(path, NormalizationError, inputs) as unfinished:
        content = io.BytesIO()  # in memory: GDAL warns of a file whose name doesn't end in .gpkg
        table.to_file(content, driver="GPKG", layer="parcels", engine="pyogrio")
        unfinished.write_bytes(content.getbuffer())


def _merge_smallest_first(parcels: np.ndarray, height: np.ndarray, smallest: int) -> np.ndarray:
    """Give each parcel, the smallest first, to the neighbour behind the lowest ridge until all are large enough."""
    sizes = np.bincount(parcels.ravel())
    sizes[0] = 0
    if not (sizes[sizes > 0] < smallest).any():
        return parcels
    ridges: dict[int, dict[int, int]] = {int(number): {} for number in np.flatnonzero(sizes)}
    for a, b, ridge in _borders(parcels, height):
        ridges[a][b] = ridges[b][a] = ridge
    goes_to = np.arange(len(sizes), dtype=np.int32)
    queue = [(int(sizes[number]), number) for number in ridges if sizes[number] < smallest]
    heapq.heapify(queue)
    while queue:
        size, number = heapq.heappop(queue)
        if size != sizes[number] or not ridges.get(number):  # it has grown, has gone, or stands alone
            continue
        into = min((ridge, other) for other, ridge in ridges[number].items())[1]
        goes_to[number] = into
        sizes[into] += size
        for other, ridge in ridges.pop(number).items():
            del ridges[other][number]
            if other != into:
                ridges[other][into] = ridges[into][other] = min(ridge, ridges[into].get(other, ridge))
        if sizes[into] < smallest:
            heapq.heappush(queue, (int(sizes[into]), into))
    while (goes_to != goes_to[goes_to]).any():
        goes_to = goes_to[goes_to]
    return goes_to[parcels]


def _borders(parcels: np.ndarray, height: np.ndarray) -> list[tuple[int, int, int]]:
    """Each two parcels that share an edge, and the height of the lowest way from one to the other."""
    n = int(parcels.max()) + 1
    pairs, ridges = [], []
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        a, b = parcels[here], parcels[there]
        border = (a != b) & (a > 0) & (b > 0)
        a, b = a[border].astype(np.int64), b[border]
        pairs.append(np.minimum(a, b) * n + np.maximum(a, b))
        ridges.append(np.maximum(height[here], height[there])[border])
    pairs, ridges = np.concatenate(pairs), np.concatenate(ridges)
    order = np.lexsort((ridges, pairs))
    found, first = np.unique(pairs[order], return_index=True)
    return list(zip((found // n).tolist(), (found % n).tolist(), ridges[order][first].tolist(), strict=True))


def _renumbered(parcels: np.ndarray) -> np.ndarray:
    """The same parcels with the numbers 1, 2, ..."""
    present = np.bincount(parcels.ravel()) > 0
    present[0] = False
    return (np.cumsum(present, dtype=np.int32) * present)[parcels]


@numba.njit(nogil=True, cache=True)
def _flood(height, inside, labels):
    """Let labels grow, by edges, over what is inside, lowest first and evenly; one queue for each height."""
    rows, cols = height.shape
    following = np.full(rows * cols, -1, np.int64)
    first = np.full(_HEIGHTS, -1, np.int64)
    last = np.full(_HEIGHTS, -1, np.int64)
    for pixel in range(rows * cols):
        row, col = pixel // cols, pixel % cols
        if labels[row, col] == 0:
            continue
        open_edge = (
            (row > 0 and inside[row - 1, col] and labels[row - 1, col] == 0)
            or (row < rows - 1 and inside[row + 1, col] and labels[row + 1, col] == 0)
            or (col > 0 and inside[row, col - 1] and labels[row, col - 1] == 0)
            or (col < cols - 1 and inside[row, col + 1] and labels[row, col + 1] == 0)
        )
        if open_edge:
            level = height[row, col]
            if first[level] < 0:
                first[level] = pixel
            else:
                following[last[level]] = pixel
            last[level] = pixel
    for level in range(_HEIGHTS):
        pixel = first[level]
        while pixel >= 0:
            row, col = pixel // cols, pixel % cols
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                i, j = row + down, col + right
                if 0 <= i < rows and 0 <= j < cols and inside[i, j] and labels[i, j] == 0:
                    labels[i, j] = labels[row, col]
                    # what lies lower than the water is under it as soon as it is reached
                    its_level = max(level, height[i, j])
                    neighbour = i * cols + j
                    if first[its_level] < 0:
                        first[its_level] = neighbour
                    else:
                        following[last[its_level]] = neighbour
                    last[its_level] = neighbour
            pixel = following[pixel]
