"""Predict a scene of any size, tile by tile, without seams.

A network sees less at the border of its input. So each tile is read with a margin, and the margin of its prediction is
thrown away. Tiles begin on multiples of the network's stride: its coarse grids then lie the same way in every tile.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from rasterio.windows import Window
from tqdm import tqdm

from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import DEFAULT_BANDS, N_DN, read_digital_numbers
from millpond.normalization.offset import offset_of_product
from millpond.normalization.segmentation import STRIDE, Segmenter
from millpond.normalization.targets import TARGETS
from millpond.raster import Raster, open_raster, write_blocks


def predict_scene(
    segmenter: Segmenter,
    raster: Raster | str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    bands: Sequence[str] | None = None,
    tile: int = 512,
    overlap: int = 64,
    nodata: int = 0,
    offset: int | None = None,
    progress: bool = True,
) -> np.ndarray | Path:
    """Probabilities of a whole scene.

    A pixel has the same value whatever the tiles are if `overlap` is at least the distance from which the network draws
    information: some 300 pixels for a ResNet-18; any, for an encoder that pools over its whole input. Little comes from
    farther away than the default of 64. `tests/bench/delineation.py` measures how much.

    Parameters
    ----------
    segmenter : Segmenter
        Fitted.
    raster : Raster, path or paths
        One scene; opened with `millpond.raster.open_raster`, if it isn't open.
    out : path, optional
        GeoTIFF to write: float32, NaN where there are no data. Memory then doesn't grow with the scene.
    bands : sequence of str, optional
        To open; by default those of the normalization, else `DEFAULT_BANDS`.
    tile : int
        Side in pixels of what is kept of a tile, a multiple of 32.
    overlap : int
        Width in pixels of the margin around it, a multiple of 32.
    nodata : int
        Digital number that stands for no data, beside what the file itself says; a pixel with it in any band is NaN.
    offset : int, optional
        Radiometric offset of the scene; by default from its metadata, name or date. Where it isn't that of the
        normalization, the digital numbers are shifted.
    progress : bool
        Show a bar on stderr, if it is a terminal.

    Returns
    -------
    (n_outputs, rows, cols) float32 array, or `out` as a Path
        Layers as of `predict_proba`.

    Raises
    ------
    NormalizationError
        If a setting is out of its range, or offset of scene or normalization unknown where the other is known.
    RasterError
        If the scene can't be read or `out` not be written.
    """
    if not (tile >= STRIDE and overlap >= 0 and tile % STRIDE == 0 == overlap % STRIDE):
        raise NormalizationError(
            f"tiles of {tile} pixels with an overlap of {overlap} found, multiples of {STRIDE} expected, the tile's "
            f"above 0. Round both."
        )
    normalization = segmenter.normalization
    if bands is None:
        bands = DEFAULT_BANDS if normalization is None else normalization.bands
    opened = nullcontext(raster) if isinstance(raster, Raster) else open_raster(raster, bands)
    with opened as scene:
        shift = 0 if normalization is None else _shift(normalization.offset, offset, scene)
        tiles = _predicted(segmenter, scene, tile, overlap, nodata, shift, progress)
        if out is not None:
            write_blocks(out, tiles, like=scene, bands=_layers(segmenter), inputs=scene.paths)
            return Path(out)
        whole = np.empty((len(_layers(segmenter)), *scene.shape), np.float32)
        for window, values in tiles:
            whole[:, *window.toslices()] = values
        return whole


def windows(shape: tuple[int, int], tile: int, overlap: int) -> list[tuple[Window, Window]]:
    """What to keep and what to read for it: windows that cover a scene once, and the same with their margins."""
    rows, cols = shape
    pairs = []
    for row in range(0, rows, tile):
        for col in range(0, cols, tile):
            keep = Window(col, row, min(tile, cols - col), min(tile, rows - row))
            top, left = max(row - overlap, 0), max(col - overlap, 0)
            bottom, right = min(row + tile + overlap, rows), min(col + tile + overlap, cols)
            pairs.append((keep, Window(left, top, right - left, bottom - top)))
    return pairs


def _predicted(segmenter, scene, tile, overlap, nodata, shift, progress) -> Iterator[tuple[Window, np.ndarray]]:
    for keep, read in tqdm(windows(scene.shape, tile, overlap), unit="tile", disable=None if progress else True):
        dn = read_digital_numbers(scene, read, nodata)
        empty = (dn == nodata).any(axis=0)
        if shift:
            # 0 and 65535 keep their meaning of no data and of saturation
            moved = np.clip(dn.astype(np.int32) + shift, 1, N_DN - 1).astype(np.uint16)
            dn = np.where(empty | (dn == N_DN - 1), dn, moved)
        top, left = keep.row_off - read.row_off, keep.col_off - read.col_off
        inner = slice(top, top + keep.height), slice(left, left + keep.width)
        if empty[inner].all():
            yield keep, np.full((len(_layers(segmenter)), keep.height, keep.width), np.nan, np.float32)
            continue
        values = segmenter.predict_proba(dn[None])[0][:, *inner]
        values[:, empty[inner]] = np.nan
        yield keep, values


def _shift(fitted: int | None, offset: int | None, scene: Raster) -> int:
    """What to add to a scene's digital numbers."""
    if offset is None:
        offset = offset_of_product(scene.tags(), (path.resolve() for path in scene.paths))
    if (offset is None) != (fitted is None):
        unknown = "scene" if offset is None else "normalization"
        raise NormalizationError(
            f"{scene.paths[0]}: radiometric offset of the {unknown} unknown, needed since that of the other is "
            f"{offset if fitted is None else fitted}. Pass offset=0 for a scene from before processing baseline 04.00, "
            "offset=1000 since, and fit normalizations on histograms with a stated offset."
        )
    return 0 if offset is None else fitted - offset


def _layers(segmenter: Segmenter) -> tuple[str, ...]:
    classes = getattr(segmenter, "classes_", None)
    return TARGETS if classes is None else tuple(f"class {number}" for number in classes)
