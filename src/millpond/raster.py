"""Bands by name from GeoTIFF, JPEG 2000 and whatever else GDAL reads.

Satellite scenes come as one file with many bands or as many files with one band. Here both are one `Raster`: bands
have names, share one grid, and are read whole, by window, or block by block in bounded memory. Everything that can be
wrong with a file ends in one exception, `RasterError`, that names the file, what was found, what was expected and how
to mend it.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioIOError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from millpond.errors import RasterError
from millpond.files import replacing
from millpond.products import (
    BESIDE_THE_BANDS,
    Scene,
    band_name,
    is_local,
    layer_in_name,
    raster_files,
    scenes_of,
)

SENTINEL2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""The thirteen bands of a Sentinel-2 L1C product in the order of their wavelengths, as products stack them."""

# Reading keeps no more decoded blocks than this; GDAL's own default is a share of the machine's memory.
_GDAL_CACHE_BYTES = 64 * 2**20


def open_raster(
    source: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    bands: Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    dtype: str | None = None,
    resolution_m: float | None = None,
) -> "Raster":
    """Open bands that share one grid.

    Parameters
    ----------
    source : path, sequence of paths, or mapping of band name to path
        One file with named bands, or a SAFE folder or zip; or one file a band, named by its description or by its file
        name (`..._B03.jp2`); or the names stated.
    bands : sequence of str, optional
        The bands wanted, in this order. By default all that are there.
    names : sequence of str, optional
        Names for the bands of a single file, or of as many files with one band each. A file whose own descriptions
        share a name with these keeps its own.
    dtype : str, optional
        The expected data type, such as `"uint16"` for Sentinel-2 digital numbers.
    resolution_m : float, optional
        Bring bands of unlike pixel sizes to this one, in the unit of the coordinate reference system: coarser ones by
        repeating pixels, finer ones by averaging.

    Returns
    -------
    Raster
        To be closed, best by `with`.

    Raises
    ------
    RasterError
        If a file is missing, truncated or no raster; if a band is absent or unnamed; if the data type isn't `dtype`; if
        sizes, georeferencing or coordinate reference systems differ.
    """
    if not isinstance(source, Mapping) and names is None:
        source = _one_scene([source] if isinstance(source, str | Path) else list(source), resolution_m)
        if isinstance(source, Mapping) and bands is None:
            source = {name: file for name, file in source.items() if name not in BESIDE_THE_BANDS}
    with ExitStack() as stack:
        if isinstance(source, Mapping):
            asked = {*map(band_name, bands or source)}
            found = {band_name(name): str(path) for name, path in source.items()}
            found |= {name: _place_of(name, _open(found[name], stack)) for name in found if name in asked}
        elif isinstance(source, str | Path):
            found = _bands_of(_open(source, stack), names)
        else:
            found = {}
            paths = list(source)
            if names is not None and len(names) != len(paths):
                raise RasterError(
                    f"{len(paths)} files found, {len(names)} names given ({', '.join(names)}). Give one name a file."
                )
            for i, path in enumerate(paths):
                for name, place in _bands_of(_open(path, stack), None if names is None else names[i : i + 1]).items():
                    if name in found:
                        first = found[name][0].name
                        raise RasterError(
                            f"{path}: band {name} found, but {first} holds it too. Give one scene "
                            "at a time, with one file a band, or pass a mapping of band name to path."
                        )
                    found[name] = place
        if not found:
            raise RasterError("no files given, at least one expected. Pass a path, several paths or a mapping.")
        wanted = tuple(map(band_name, bands)) if bands is not None else tuple(found)
        if not wanted or len(set(wanted)) < len(wanted):
            raise RasterError(
                f"bands ({', '.join(wanted)}) asked for, one or more different names expected. Name each band once."
            )
        missing = [name for name in wanted if name not in found]
        if missing:
            where = next(iter(found.values()))
            where = where if isinstance(where, str) else where[0].name
            raise RasterError(
                f"{where}: bands {', '.join(found)} found, {', '.join(missing)} missing. Name the bands in the file's "
                "band descriptions or in the file names, or ask for some of those found."
            )
        chosen = {name: found[name] for name in wanted}
        if resolution_m is not None:
            chosen = _resampled(chosen, resolution_m, stack)
        _check_alike(chosen, dtype)
        return Raster(chosen, stack.pop_all())


def find_scenes(sources: Iterable[str | Path], resolution_m: float | None = None) -> list[Scene]:
    """The scenes among files, folders, SAFE products and zips, as `open_raster` takes them.

    Parameters
    ----------
    sources : iterable of path
        A file counts once, however often and by whatever link it is named.
    resolution_m : float, optional
        Where a product holds a band at several resolutions, take the nearest; by default the finest.

    Returns
    -------
    list of str or dict of band to str
        Files that are named alike but for the band are one scene, unless they hold several bands each.
    """
    found: list[Scene] = []
    for scene in scenes_of((file for source in sources for file in raster_files(source)), resolution_m):
        if isinstance(scene, str):
            found.append(scene)
            continue
        first = next((file for name, file in scene.items() if name not in BESIDE_THE_BANDS), None)
        found += scene.values() if first is not None and n_bands(first) > 1 else [scene]
    return found


def n_bands(file: str | Path) -> int:
    """How many bands a file has, without an alpha band."""
    with ExitStack() as stack:
        return len(_image_indexes(_open(file, stack)))


class Raster:
    """Open bands on one grid; made by `open_raster`.

    Attributes
    ----------
    bands : tuple of str
    shape : (rows, cols)
    transform, crs
        Georeferencing as rasterio has it.
    georeferencing : dict
        The same for `rasterio.open` when a file is written, with ground control points where those are what there is.
    dtype : numpy.dtype
    nodatavals : tuple of float or None
        What each band's file declares; a mask or an alpha band may tell more (`read` with `masked`).
    scales, offsets : (n_bands,) float64 array
        Of the files: measured = stored * scale + offset.
    units : tuple of str or None
        Of each band, as its file has it.
    name : str
        Of the first band's file, for messages.
    paths : tuple of Path
        The file of each band.
    """

    def __init__(self, places: dict, stack: ExitStack):
        self._places = places
        self._stack = stack
        first = next(iter(places.values()))[0]
        self.bands = tuple(places)
        self.shape = first.shape
        self.transform = first.transform
        self.crs = first.crs
        points, crs = first.gcps
        # without either, a transform of ones is only rasterio's way to say that there is none
        placed = points or first.transform.is_identity
        self.georeferencing = {"gcps": points, "crs": crs} if points else {"crs": first.crs}
        self.georeferencing |= {} if placed else {"transform": first.transform}
        self.dtype = np.dtype(first.dtypes[0])
        self.nodatavals = self._of_bands("nodatavals")
        self.scales, self.offsets = np.array(self._of_bands("scales")), np.array(self._of_bands("offsets"))
        self.units = self._of_bands("units")
        names = [_source(dataset).name for dataset, _ in places.values()]
        self.name, self.paths = names[0], tuple(map(Path, names))

    def __enter__(self) -> "Raster":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def tags(self) -> dict[str, str]:
        """Metadata of the first band's file (for example `PROCESSING_BASELINE`)."""
        return _source(next(iter(self._places.values()))[0]).tags()

    def tags_by_file(self) -> dict[str, dict[str, str]]:
        """Metadata of each file and of its bands, by its full name."""
        found = {}
        for dataset, index in self._places.values():
            file = _source(dataset)
            name = os.path.abspath(file.name) if is_local(file.name) else file.name
            found.setdefault(name, file.tags()).update(file.tags(index))
        return found

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a pixel in the unit of the coordinate reference system."""
        return math.hypot(self.transform.b, self.transform.e), math.hypot(self.transform.a, self.transform.d)

    def declared_by_masks(self) -> set[str]:
        """Which of `mask` and `alpha band` the files have beside no-data values."""
        found = set()
        for dataset, _, indexes in self._by_file():
            flags = {flag for index in indexes for flag in dataset.mask_flag_enums[index - 1]}
            alpha = len(_image_indexes(dataset)) < dataset.count
            found |= {"alpha band"} if alpha else {"mask"} if MaskFlags.per_dataset in flags else set()
        return found

    def read(self, window: Window | None = None, *, masked: bool = False, scaled: bool = False) -> np.ndarray:
        """Read all bands. From then on GDAL keeps at most 64 MB of decoded blocks in this process.

        Parameters
        ----------
        window : rasterio.windows.Window, optional
            Must lie inside the raster; the whole by default.
        masked : bool
            A masked array: without what the file declares to be no data, by a value of each band, by a mask (GDAL's
            RFC 15) or by an alpha band of 0, and without NaN.
        scaled : bool
            Apply the file's scale and offset: float32, NaN where `masked` would mask.

        Returns
        -------
        (n_bands, rows, cols) array
        """
        rows, cols = self.shape
        window = window or Window(0, 0, cols, rows)
        if (
            window.row_off < 0
            or window.col_off < 0
            or window.row_off + window.height > rows
            or (window.col_off + window.width > cols)
        ):
            raise RasterError(
                f"{self.name}: window {_rows_cols(window)} found, but the raster has rows 0..{rows} and columns "
                f"0..{cols}. Intersect the window with the raster first."
            )
        shape = len(self.bands), int(window.height), int(window.width)
        out, mask = np.empty(shape, self.dtype), np.zeros(shape if masked or scaled else (), bool)
        for dataset, target, indexes in self._by_file():
            with _readable(dataset.name), rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE_BYTES):
                if target == slice(None):
                    dataset.read(indexes, window=window, out=out)
                else:
                    out[target] = dataset.read(indexes, window=window)
                if masked or scaled:
                    mask[target] = _no_data(dataset, indexes, window)
        if out.dtype.kind == "f" and (masked or scaled):
            mask |= np.isnan(out)
        if scaled:
            out = out * self.scales[:, None, None] + self.offsets[:, None, None]
            out[mask] = np.nan
            return out.astype(np.float32)
        return np.ma.array(out, mask=mask if mask.any() else np.ma.nomask) if masked else out

    def sample(self, n_windows: int = 16) -> Iterator[np.ndarray]:
        """Some windows, spread over the raster, as `read` with `masked` gives them."""
        windows = self.windows(2**16)
        for i in np.unique(np.linspace(0, len(windows) - 1, n_windows).astype(int)):
            yield self.read(windows[i], masked=True)

    def blocks(self, max_pixels: int = 2**21) -> Iterator[tuple[Window, np.ndarray]]:
        """Read block by block, in the file's own blocks as far as they fit into `max_pixels`.

        Yields
        ------
        (window, array)
            Windows cover the raster once; array as in `read`. Memory is bounded by `max_pixels`, or by one block of the
            file where that is larger.
        """
        for window in self.windows(max_pixels):
            yield window, self.read(window)

    def windows(self, max_pixels: int = 2**21) -> list[Window]:
        """Windows that cover the raster once: whole blocks of the file, as many as fit into `max_pixels`."""
        rows, cols = self.shape
        block_rows, block_cols = next(iter(self._places.values()))[0].block_shapes[0]
        across = min(cols, max(1, max_pixels // (block_rows * block_cols)) * block_cols)
        down = min(rows, max(1, max_pixels // (block_rows * across)) * block_rows)
        return [
            Window(col, row, min(across, cols - col), min(down, rows - row))
            for row in range(0, rows, down)
            for col in range(0, cols, across)
        ]

    def _by_file(self) -> Iterator[tuple]:
        """Each open file once (interleaved bands are decoded once): dataset, places in the output, band indexes."""
        datasets = {id(dataset): dataset for dataset, _ in self._places.values()}
        for key, dataset in datasets.items():
            rows = [i for i, (other, _) in enumerate(self._places.values()) if id(other) == key]
            indexes = [index for other, index in self._places.values() if id(other) == key]
            yield dataset, slice(None) if len(rows) == len(self.bands) else rows, indexes

    def _of_bands(self, attribute: str) -> tuple:
        return tuple(getattr(dataset, attribute)[index - 1] for dataset, index in self._places.values())


def read_onto(path: str | Path, like: Raster, *, resampling: str = "nearest", pad: int = 0) -> np.ndarray:
    """Read the first band of another file on the grid of `like`, resampled and reprojected as needed.

    Parameters
    ----------
    path : path
        A coarser or finer band, a DEM, a label raster.
    like : Raster
    resampling : str
        A name of rasterio's `Resampling`; keep `nearest` for labels.
    pad : int
        Read this many cells more on each side.

    Returns
    -------
    (rows + 2 pad, cols + 2 pad) array
        Float, by the file's scale and offset; NaN where it has no data or doesn't reach.

    Raises
    ------
    RasterError
        If one of the two has no coordinate reference system, and the other has.
    """
    with ExitStack() as stack:
        dataset = _open(path, stack)
        if (dataset.crs is None) != (like.crs is None):
            raise RasterError(
                f"{path}: {dataset.crs or 'no coordinate reference system'} found, but {like.crs or 'none'} in "
                f"{like.paths[0]}; both with one expected. Assign the one that is missing (gdal_edit -a_srs)."
            )
        rows, cols = (n + 2 * pad for n in like.shape)
        grid = {"crs": like.crs, "transform": like.transform @ Affine.translation(-pad, -pad)}
        grid |= {"height": rows, "width": cols, "nodata": np.nan}
        grid["dtype"] = "float32" if np.can_cast(dataset.dtypes[0], "float32") else "float64"
        grid["SRC_ALPHA_MAX"] = 1  # GDAL warps by the no-data value, mask or alpha band, which we take as a mask too
        with _readable(path), WarpedVRT(dataset, resampling=Resampling[resampling], **grid) as warped:
            return warped.read(1) * dataset.scales[0] + dataset.offsets[0]


def unmasked(values: np.ndarray, missing: float = np.nan) -> np.ndarray:
    """A plain array: of a masked one (`read(masked=True)` of rasterio) with `missing` under the mask."""
    if not np.ma.isMaskedArray(values):
        return np.asarray(values)
    dtype = np.result_type(values.dtype, np.float32) if np.isnan(missing) else values.dtype
    return values.astype(dtype).filled(missing)


def write_blocks(
    path: str | Path,
    blocks: Iterable[tuple[Window, np.ndarray]],
    *,
    like: Raster,
    bands: Sequence[str],
    inputs: Iterable[str | Path] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write float32 blocks as a tiled, compressed GeoTIFF on the grid of `like`; nothing is left if it fails midway.

    Parameters
    ----------
    path : path
    blocks : iterable of (window, (n_bands, rows, cols) array)
        NaN where there is no data.
    like : Raster
    bands : sequence of str
        Become the band descriptions.
    inputs : iterable of path
        Files that are being read and must not be overwritten.
    tags : mapping, optional
        Metadata.

    Raises
    ------
    RasterError
        If the file can't be written whole.
    """
    rows, cols = like.shape
    profile = {"driver": "GTiff", "dtype": "float32", "nodata": np.nan, "count": len(bands)}
    profile |= {"height": rows, "width": cols, **like.georeferencing}
    profile |= {"tiled": True, "compress": "deflate", "predictor": 3, "BIGTIFF": "IF_SAFER"}
    with replacing(path, RasterError, inputs) as unfinished:
        with rasterio.open(unfinished, "w", **profile) as dataset:
            dataset.descriptions = tuple(bands)
            dataset.update_tags(**tags or {})
            for window, values in blocks:
                dataset.write(values, window=window)
        check_written(unfinished, path)


def check_written(unfinished: Path, path: str | Path) -> None:
    """Read a new file: GDAL is silent about a disk that is full when it writes the last blocks.

    Raises
    ------
    RasterError
        If it can't be read; the message names `path`, which it is to become.
    """
    with _readable(path), rasterio.open(unfinished) as dataset:
        for _, window in dataset.block_windows(1):
            dataset.read(window=window)


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except RasterioIOError as error:
        detail = str(error.__cause__ or error)
        raise RasterError(
            f"{path}: the header is readable but the pixels are not ({detail}); a complete file expected. "
            "The file is probably truncated: download or copy it again."
        ) from error


def _one_scene(sources: list[str | Path], resolution_m: float | None) -> Scene | list[str | Path]:
    scenes = find_scenes(sources, resolution_m)
    if len(sources) > 1 and all(isinstance(scene, str) for scene in scenes):
        return sources  # by descriptions
    if len(scenes) > 1:
        raise RasterError(f"{sources[0]}: {len(scenes)} scenes found, one expected. Name the files of one.")
    return scenes[0] if scenes else sources


def _open(path: str | Path, stack: ExitStack) -> rasterio.DatasetReader:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise RasterError(
            f"{str(path)!a}: a file name found that isn't UTF-8, one in UTF-8 expected. Rename the file."
        ) from None
    if is_local(path) and not Path(path).exists():  # what isn't local can't be checked beforehand
        raise RasterError(f"{path}: no such file found, a raster expected. Check the path.")
    try:
        dataset = stack.enter_context(rasterio.open(path))
    except RasterioIOError as error:
        if Path(path).is_dir():
            raise RasterError(f"{path}: a folder found, a raster expected. Name the files in it.") from None
        raise RasterError(
            f"{path}: no raster found ({error}), a GeoTIFF, JPEG 2000 or another GDAL format expected. "
            "Check that the file is what its name says and that it was downloaded whole."
        ) from error
    if dataset.count == 0:
        names = [name.rsplit(":", 1)[-1] for name in dataset.subdatasets]
        example = f"Name one or more, such as {dataset.subdatasets[0]}." if names else "Name another file."
        raise RasterError(f"{path}: {len(names)} data sets found ({', '.join(names)}), none of them chosen. {example}")
    return dataset


def _source(dataset: rasterio.DatasetReader) -> rasterio.DatasetReader:
    return getattr(dataset, "src_dataset", dataset)


def _resampled(places: dict, pixel: float, stack: ExitStack) -> dict:
    """The same bands on a grid of this pixel size: that of a band that has it, or a coarsened or refined first one."""
    sizes = {name: abs(dataset.transform.a) for name, (dataset, _) in places.items()}
    like = places[min(sizes, key=lambda name: abs(sizes[name] - pixel))][0]
    factor = pixel / abs(like.transform.a)
    shape = [max(1, round(n / factor)) for n in like.shape]
    grid = {"crs": like.crs, "transform": like.transform @ Affine.scale(factor), "height": shape[0], "width": shape[1]}
    found = {}
    for name, (dataset, index) in places.items():
        if not math.isclose(sizes[name], pixel, rel_tol=1e-6):
            how = Resampling.average if sizes[name] < pixel else Resampling.nearest
            nodata = dataset.nodata
            if nodata is None and dataset.dtypes[0] == "uint16":
                nodata = 0  # of digital numbers, which mustn't be averaged with others
            dataset = stack.enter_context(
                WarpedVRT(dataset, resampling=how, src_nodata=nodata, nodata=nodata, SRC_ALPHA_MAX=1, **grid)
            )
        found[name] = dataset, index
    return found


def _image_indexes(dataset: rasterio.DatasetReader) -> list[int]:
    """The bands that hold measurements: all but an alpha band, unless somebody gave it a name of its own."""
    return [
        index
        for index, colour, name in zip(dataset.indexes, dataset.colorinterp, dataset.descriptions, strict=True)
        if colour != ColorInterp.alpha or (name or "alpha").lower() != "alpha"
    ]


def _no_data(dataset: rasterio.DatasetReader, indexes: list[int], window: Window) -> np.ndarray:
    """(n_bands, rows, cols) bool, or one False for all: what the file declares to be no data, band by band."""
    alpha = set(dataset.indexes) - set(_image_indexes(dataset))
    if not alpha and all(dataset.mask_flag_enums[index - 1] == [MaskFlags.all_valid] for index in indexes):
        return np.zeros((), bool)
    missing = dataset.read_masks(indexes, window=window) == 0
    if alpha:  # GDAL itself looks at alpha bands of 8 and 16 bits alone
        missing |= (dataset.read(sorted(alpha), window=window) == 0).any(axis=0)
    return missing


def _bands_of(dataset: rasterio.DatasetReader, names: Sequence[str] | None) -> dict:
    indexes = _image_indexes(dataset)
    described = [dataset.descriptions[index - 1] for index in indexes]
    if names is not None and not (all(described) and {*map(band_name, described)} & {*map(band_name, names)}):
        if len(names) != len(indexes):
            raise RasterError(
                f"{dataset.name}: {len(indexes)} bands found, {len(names)} names given ({', '.join(names)}). "
                "Give one name a band."
            )
        found = list(names)
    elif all(described):
        found = described
    elif len(indexes) == 1:
        found = [layer_in_name(dataset.name)]
        if found == [None]:
            raise RasterError(
                f"{dataset.name}: one band without a name found, a band description or a file name such as "
                "scene_B03.jp2 expected. Pass names (--names) or a mapping of band name to path; leave it out if it "
                "is no image."
            )
    else:
        raise RasterError(
            f"{dataset.name}: {len(indexes)} bands without names found, band descriptions such as B03 expected. "
            "Pass names=(...), or --names, one a band."
        )
    places = {band_name(name): (dataset, index) for name, index in zip(found, indexes, strict=True)}
    if len(places) < len(found):
        raise RasterError(
            f"{dataset.name}: bands {', '.join(found)} found, different names expected. Pass names=(...), or --names, "
            "one a band."
        )
    return places


def _place_of(name: str, dataset: rasterio.DatasetReader) -> tuple:
    """Where a mapping's file holds the band: its only band, whatever that is called, or the one described so."""
    indexes = _image_indexes(dataset)
    if len(indexes) == 1:
        return dataset, indexes[0]
    described = [band_name(description or "") for description in dataset.descriptions]
    if described.count(name) != 1:
        raise RasterError(
            f"{dataset.name}: {dataset.count} bands found, one band or one described as {name} expected. "
            "Map the name to a file with that band."
        )
    return dataset, described.index(name) + 1


def check_same_grid(first: Raster, second: Raster) -> None:
    """Refuse rasters that don't lie on one grid.

    Raises
    ------
    RasterError
        If size, coordinate reference system or georeferencing differ.
    """
    _check_grid(next(iter(second._places.values()))[0], next(iter(first._places.values()))[0])


def _check_grid(dataset: rasterio.DatasetReader, reference: rasterio.DatasetReader) -> None:
    for what, found, expected, equal in (
        ("size (rows, cols)", dataset.shape, reference.shape, dataset.shape == reference.shape),
        ("coordinate reference system", dataset.crs, reference.crs, dataset.crs == reference.crs),
        (
            "georeferencing",
            tuple(dataset.transform)[:6],
            tuple(reference.transform)[:6],
            dataset.transform.almost_equals(reference.transform, precision=1e-6),
        ),
    ):
        if not equal:
            raise RasterError(
                f"{dataset.name}: {what} {found} found, {expected} expected as in {reference.name}. "
                "Resample to one grid first (--resolution, resolution_m=), or copy the file again if it was cut off."
            )


def _check_alike(places: dict, dtype: str | None) -> None:
    reference = next(iter(places.values()))[0]
    for name, (dataset, index) in places.items():
        found = dataset.dtypes[index - 1]
        expected = dtype or reference.dtypes[0]
        if np.dtype(found) != np.dtype(expected):
            raise RasterError(
                f"{dataset.name}: band {name} is {found}, {np.dtype(expected)} expected. Convert it, or choose bands "
                "of one data type."
            )
        _check_grid(dataset, reference)


def _rows_cols(window: Window) -> str:
    return (
        f"rows {window.row_off}..{window.row_off + window.height} and "
        f"columns {window.col_off}..{window.col_off + window.width}"
    )
