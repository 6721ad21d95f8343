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
from millpond.normalization.histogram import DEFAULT_BANDS, offset_of_scene, read_digital_numbers
from millpond.normalization.segmentation import STRIDE, Segmenter
from millpond.normalization.targets import TARGETS
from millpond.normalization.transforms import Normalization
from millpond.raster import Raster, band_name, open_raster, write_blocks
from millpond.sentinel2 import shifted


def predict_scene(
    segmenter: Segmenter,
    raster: Raster | str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    bands: Sequence[str] | None = None,
    tile: int = 512,
    overlap: int = 64,
    offset: int | None = None,
    progress: bool = True,
) -> np.ndarray | Path:
    """Probabilities of a whole scene; NaN where a band is 0, or what the file itself calls no data.

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
        To open, for a network without normalization; by default `DEFAULT_BANDS`. With one they are those of the
        normalization, in its order, and nothing else is taken.
    tile : int
        Side in pixels of what is kept of a tile, a multiple of 32.
    overlap : int
        Width in pixels of the margin around it, a multiple of 32.
    offset : int, optional
        Radiometric offset of the scene; by default from its metadata, name or date. Where it isn't that of the
        normalization, the digital numbers are shifted (`millpond.sentinel2.shifted`). A network without
        normalization keeps no offset to shift to, so that it takes none.
    progress : bool
        Show a bar on stderr, if it is a terminal.

    Returns
    -------
    (n_outputs, rows, cols) float32 array, or `out` as a Path
        Layers as of `predict_proba`.

    Raises
    ------
    NormalizationError
        If a setting is out of its range, the bands aren't those of the normalization, offset of scene or normalization
        is unknown where the other is known, or an offset is stated for a network without normalization.
    RasterError
        If the scene can't be read or `out` not be written.
    """
    if not (tile >= STRIDE and overlap >= 0 and tile % STRIDE == 0 == overlap % STRIDE):
        raise NormalizationError(
            f"tiles of {tile} pixels with an overlap of {overlap} found, multiples of {STRIDE} expected, the tile's "
            f"above 0. Round both."
        )
    normalization = segmenter.normalization
    if normalization is None and offset is not None:
        raise NormalizationError(
            f"offset={offset} for a network without normalization found, none expected: it knows nothing of the offset "
            "it was trained on. Leave it away, and pass digital numbers with that offset."
        )
    if bands is None:
        bands = DEFAULT_BANDS if normalization is None else normalization.bands
    bands = tuple(map(band_name, bands))
    _check_bands(bands, normalization)
    opened = nullcontext(raster) if isinstance(raster, Raster) else open_raster(raster, bands)
    with opened as scene:
        _check_bands(scene.bands, normalization)
        shift = 0
        if normalization is not None and (found := offset_of_scene(scene, normalization.offset, offset)) is not None:
            shift = normalization.offset - found
        tiles = _predicted(segmenter, scene, tile, overlap, shift, progress)
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


def _predicted(segmenter, scene, tile, overlap, shift, progress) -> Iterator[tuple[Window, np.ndarray]]:
    nodata = 0 if segmenter.normalization is None else segmenter.normalization.nodata
    for keep, read in tqdm(windows(scene.shape, tile, overlap), unit="tile", disable=None if progress else True):
        dn = read_digital_numbers(scene, read, nodata)
        empty = np.ma.getmaskarray(dn).any(axis=0)
        dn = shifted(dn.filled(0), shift)
        top, left = keep.row_off - read.row_off, keep.col_off - read.col_off
        inner = slice(top, top + keep.height), slice(left, left + keep.width)
        if empty[inner].all():
            yield keep, np.full((len(_layers(segmenter)), keep.height, keep.width), np.nan, np.float32)
            continue
        values = segmenter.predict_proba(dn[None])[0][:, *inner]
        values[:, empty[inner]] = np.nan
        yield keep, values


def _check_bands(found: Sequence[str], normalization: Normalization | None) -> None:
    if normalization is not None and tuple(found) != tuple(map(band_name, normalization.bands)):
        raise NormalizationError(
            f"bands {', '.join(found)} found, {', '.join(normalization.bands)} in this order expected, as the "
            "network's normalization was fitted. Open the scene with these bands, or leave bands=... away."
        )


def _layers(segmenter: Segmenter) -> tuple[str, ...]:
    classes = getattr(segmenter, "classes_", None)
    return TARGETS if classes is None else tuple(f"class {number}" for number in classes)
