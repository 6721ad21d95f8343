"""AI4Boundaries: monthly Sentinel-2 images of European farmland with the parcels that farmers declared in 2019.

The Sentinel-2 part of the data set (d'Andrimont et al. 2023, doi:10.5194/essd-15-317-2023) has 7,831 tiles of 256 x 256
pixels of 10 m in EPSG:3035, from Austria, Catalonia, France, Luxembourg, the Netherlands, Slovenia and Sweden. A tile
is a NetCDF and a GeoTIFF::

    ai4boundaries_ftp_urls_sentinel2_split.csv   file_id, sentinel2_images_file_url, sentinel2_masks_file_url, split
    images/AT/AT_1433_S2_10m_256.nc              B2, B3, B4, B8, NDVI: (time, y, x), monthly composites, March to August
    masks/AT/AT_1433_S2label_10m_256.tif         4 float32 bands: extent, boundary, distance, parcel number

The publisher's archives hold the same files in folders `train`, `val` and `test` (there the labels are named like the
images, `AT_1433_S2_10m_256.tif`). Both arrangements are read. In the table some tiles belong to no split.

No real file was at hand when this was written: the extent comes from the paper's abstract, the layout from public
programs that read the data, and the tests make small files of that layout. These programs agree on the order of the
label bands. What they leave open: one takes -9999 for no data and others NaN, so both and every other value below 1
become 0, no data; they differ in whether the composites are of level L1C or L2A; parcel numbers are said to begin at 2,
with negative numbers for what is no parcel, so every number below 1 becomes 0. Clouds that are left in a composite stay
as they are. Land without a parcel is not surely without fields: not every parcel is declared, or published.
"""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from millpond.normalization.errors import NormalizationError
from millpond.raster import RasterError, open_raster

SPLIT_TABLE = "ai4boundaries_ftp_urls_sentinel2_split.csv"
SPLITS = ("train", "val", "test")
MONTHS = (3, 4, 5, 6, 7, 8)
TILE_PIXELS = 256

_BANDS = ("B2", "B3", "B4", "B8")
_LABEL_BANDS = ("extent", "boundary", "distance", "parcels")
_NAME = re.compile(r"([A-Z]{2}_\d+)_S2(label)?_10m_256\.(nc|tif)")
_NUMBER = re.compile(r"([A-Z]{2})_(\d+)")
_IMAGE_BYTES = TILE_PIXELS**2 * (2 * len(_BANDS) + 4)


class FieldBatch(NamedTuple):
    """Images and their parcels, in memory.

    Attributes
    ----------
    dn : (n, 4, 256, 256) uint16 array
        Digital numbers (10,000 x reflectance) of B02, B03, B04 and B08; 0 is no data.
    parcels : (n, 256, 256) int32 array
        The publisher's number of the parcel, different for each in a tile; 0 where there is none.
    names, countries : (n,) str arrays
        Tile, such as "AT_1433", and its country, such as "AT".
    months : (n,) int array
        March is 3.
    """

    dn: np.ndarray
    parcels: np.ndarray
    names: np.ndarray
    countries: np.ndarray
    months: np.ndarray


class _Tile(NamedTuple):
    name: str
    split: str
    image: Path
    label: Path


class FieldImages:
    """An index of images that are read when they are needed; made by `read_ai4boundaries`.

    An image is a tile in a month; the months of a tile follow each other. A slice, an array of indices or a boolean
    array picks some of them: `images[images.countries == "NL"]`. Split by `names`, never by image: the months of a
    tile show the same parcels.

    Attributes
    ----------
    names, countries, splits : (n,) str arrays
        `splits` is "" for tiles that the publisher put into none.
    months : (n,) int array
    n_without_label, n_without_image : int
        Images and labels of the folder whose counterpart is missing; they were left out.
    """

    def __init__(self, tiles: Sequence[_Tile], months: np.ndarray, n_without_label: int, n_without_image: int):
        self._tiles = tuple(tiles)
        self.months = months
        self.names = np.array([tile.name for tile in tiles])
        self.countries = np.array([tile.name[:2] for tile in tiles])
        self.splits = np.array([tile.split for tile in tiles])
        self.n_without_label = n_without_label
        self.n_without_image = n_without_image

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, which) -> "FieldImages":
        chosen = np.atleast_1d(np.arange(len(self))[which])
        tiles = [self._tiles[i] for i in chosen]
        return FieldImages(tiles, self.months[chosen], self.n_without_label, self.n_without_image)

    def __repr__(self) -> str:
        return f"<{len(self)} images of {len(set(self.names))} tiles, {self.n_without_label} images without label>"

    def load(self, max_bytes: float = 4e9) -> FieldBatch:
        """Read all images of this index.

        Parameters
        ----------
        max_bytes : float
            The most memory that the arrays may take.

        Raises
        ------
        NormalizationError
            If they'd take more, or a file isn't as published (the message names the file).
        """
        if len(self) * _IMAGE_BYTES > max_bytes:
            raise NormalizationError(
                f"{len(self):,} images of {len(self) * _IMAGE_BYTES / 1e9:.1f} GB found, at most {max_bytes / 1e9:.1f} "
                "GB expected at once. Use batches(), pick some images (images[:100].load()), or raise max_bytes."
            )
        dn = np.empty((len(self), len(_BANDS), TILE_PIXELS, TILE_PIXELS), np.uint16)
        parcels = np.empty((len(self), TILE_PIXELS, TILE_PIXELS), np.int32)
        # Neighbours of one tile share a file, which is opened once.
        for tile, group in groupby(range(len(self)), key=lambda i: self._tiles[i]):
            rows = list(group)
            dn[rows], corner = _read_image(tile.image, self.months[rows])
            parcels[rows] = _read_parcels(tile.label, corner)
        return FieldBatch(dn, parcels, self.names, self.countries, self.months)

    def batches(self, size: int = 16, rng: np.random.Generator | None = None) -> Iterator[FieldBatch]:
        """Read `size` images after another, in an order that `rng` shuffles if given; the last batch may be smaller."""
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for begin in range(0, len(self), size):
            yield self[order[begin : begin + size]].load()


def read_ai4boundaries(
    folder: str | Path,
    split: str | None = None,
    months: Sequence[int] | None = None,
    countries: Sequence[str] | None = None,
) -> FieldImages:
    """Find the tiles of AI4Boundaries in a folder; pixels are read later.

    Parameters
    ----------
    folder : path
        Holds images and labels in the publisher's layout, at any depth.
    split : {"train", "val", "test"}, optional
        The publisher's split, from the table if it is in the folder, otherwise from folders of these names. By default
        all tiles, also those that belong to none.
    months : sequence of int, optional
        By default March to August.
    countries : sequence of str, optional
        Such as ("AT", "NL"); by default all.

    Returns
    -------
    FieldImages
        In the order of country, number and month. Images without a label are left out and counted.

    Raises
    ------
    NormalizationError
        If there are no such tiles, a tile is there twice, or an argument is not one of those named.
    """
    folder = Path(folder)
    months = MONTHS if months is None else tuple(months)
    if not months or len(set(months)) < len(months) or not set(months) <= set(MONTHS):
        raise NormalizationError(
            f"months {months} found, one or more different numbers from 3 to 8 expected. The "
            "composites are of March to August; name some of these months."
        )
    if split not in (None, *SPLITS):
        raise NormalizationError(
            f"split {split!r} found, one of {', '.join(SPLITS)} or None expected. Name one, or leave it away."
        )
    if not Path(folder).is_dir():
        found = "a file" if Path(folder).exists() else "no such folder"
        raise NormalizationError(f"{folder}: {found} found, a folder with AI4Boundaries expected. Check the path.")
    images, labels, table = _scan(folder)
    if not images:
        raise NormalizationError(
            f"{folder}: no file named like AT_1433_S2_10m_256.nc found, the images of AI4Boundaries expected. "
            "Name the folder that holds them, or get them with `millpond normalize fields download`."
        )
    listed = read_split_table(table) if table else {}
    tiles = []
    for name in sorted(images.keys() & labels.keys(), key=_country_and_number):
        if table:
            of = listed[name].split if name in listed else ""
        else:
            of = next((part for part in images[name].relative_to(folder).parts if part in SPLITS), "")
        if split in (None, of) and (countries is None or name[:2] in countries):
            tiles.append(_Tile(name, of, images[name], labels[name]))
    n_without_label, n_without_image = len(images.keys() - labels.keys()), len(labels.keys() - images.keys())
    if not tiles:
        wanted = [f"split {split}"] * (split is not None) + [f"countries {countries}"] * (countries is not None)
        raise NormalizationError(
            f"{folder}: {len(images)} images found, {n_without_label} of them without label, and none with a label"
            f"{' and '.join(['', *wanted])} where at least one is expected. Get the labels (masks); splits come from "
            f"{SPLIT_TABLE} or from folders named {', '.join(SPLITS)}."
        )
    repeated = [tile for tile in tiles for _ in months]
    return FieldImages(repeated, np.tile(np.array(months), len(tiles)), n_without_label, n_without_image)


class _Listed(NamedTuple):
    split: str
    image_url: str
    label_url: str


def read_split_table(path: str | Path) -> dict[str, _Listed]:
    """The publisher's table: tile -> split ("" for none) and the addresses of image and label ("" if not there).

    Raises
    ------
    NormalizationError
        If the file can't be read or lacks a column.
    """
    columns = ("file_id", "split", "sentinel2_images_file_url", "sentinel2_masks_file_url")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := [column for column in columns[:2] if column not in (rows.fieldnames or ())]:
                raise NormalizationError(
                    f"{path}: columns {', '.join(rows.fieldnames or ()) or '(none)'} found, {', '.join(missing)} "
                    "missing. Get the table from the publisher again."
                )
            table = {}
            for row in rows:
                found, image, label = ((row.get(column) or "").strip() for column in columns[1:])
                urls = (url if url.endswith(end) else "" for url, end in ((image, ".nc"), (label, ".tif")))
                # The name becomes part of paths: nothing but a name passes.
                if _NUMBER.fullmatch(row["file_id"] or ""):
                    table[row["file_id"]] = _Listed(found if found in SPLITS else "", *urls)
            return table
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NormalizationError(
            f"{path}: no readable table found ({error}), comma-separated text with the columns {', '.join(columns)} "
            "expected. Get it from the publisher again."
        ) from error


def _scan(folder: Path) -> tuple[dict[str, Path], dict[str, Path], Path | None]:
    images, labels, table = {}, {}, None
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in files:
            if file == SPLIT_TABLE:
                table = table or Path(place, file)
            elif match := _NAME.fullmatch(file):
                name, is_label, kind = match.groups()
                if is_label and kind == "nc":
                    continue
                known = images if kind == "nc" else labels
                if name in known:
                    raise NormalizationError(
                        f"{Path(place, file)}: tile {name} found, but {known[name]} is the same; each tile expected "
                        "once. Name a folder that holds one copy of the data."
                    )
                known[name] = Path(place, file)
    return images, labels, table


def _country_and_number(name: str) -> tuple[str, int]:
    country, number = _NUMBER.fullmatch(name).groups()
    return country, int(number)


def _read_image(path: Path, months: Sequence[int]) -> tuple[np.ndarray, tuple[float, float] | None]:
    """(len(months), 4, rows, cols) uint16, north up, and the centre of its first pixel if the file has coordinates."""
    try:
        with xr.open_dataset(path, engine="netcdf4") as content:
            _check_size_on_disk(path, content)
            _check_variables(path, content)
            found = [int(month) for month in content["time"].dt.month]
            if len(set(found)) < len(found) or (absent := [int(m) for m in months if m not in found]):
                wanted = f"{', '.join(map(str, absent))} too" if len(set(found)) == len(found) else "each once"
                raise NormalizationError(
                    f"{path}: months {', '.join(map(str, found))} found, {wanted} expected. Ask for months that are "
                    "there (months=..., --months), or download the file again."
                )
            steps = [found.index(month) for month in months]
            values = np.stack([content[band].isel(time=steps).transpose("time", "y", "x") for band in _BANDS], axis=1)
            corner = None
            if {"x", "y"} <= set(content.coords):
                x, y = content["x"].values, content["y"].values
                values = values[..., :: -1 if y[-1] > y[0] else 1, :: -1 if x[-1] < x[0] else 1]
                corner = float(min(x[0], x[-1])), float(max(y[0], y[-1]))
    except (OSError, RuntimeError, ValueError) as error:
        raise NormalizationError(
            f"{path}: no readable NetCDF found ({error}), a complete file expected. The file is probably truncated: "
            "delete it and download it again."
        ) from error
    valid = np.isfinite(values) & (values >= 1)  # no data is NaN in float files, and negative or 0 in integer ones
    peak = float(np.max(values, where=np.isfinite(values), initial=0))
    if 0 < peak < 10 or peak > 65_535:
        raise NormalizationError(
            f"{path}: values up to {peak:g} found, digital numbers (10,000 x reflectance) up to 65,535 expected. "
            "Rescale the file, or download it again."
        )
    return np.where(valid, np.rint(np.where(valid, values, 0)), 0).astype(np.uint16), corner


def _check_size_on_disk(path: Path, content: xr.Dataset) -> None:
    # The library reads what is missing at the end of a NetCDF 3 file as zeros; a NetCDF 4 file it refuses by itself.
    with open(path, "rb") as file:
        classic = file.read(3) == b"CDF"
    stored = sum(np.dtype(v.encoding.get("dtype", v.dtype)).itemsize * v.size for v in content.variables.values())
    if classic and path.stat().st_size < stored:
        raise ValueError(f"{path.stat().st_size:,} bytes of at least {stored:,}")


def _check_variables(path: Path, content: xr.Dataset) -> None:
    if missing := [band for band in _BANDS if band not in content]:
        raise NormalizationError(
            f"{path}: variables {', '.join(map(str, content.data_vars)) or '(none)'} found, {', '.join(missing)} "
            "missing. Download the file again."
        )
    if "time" not in content.coords or not (
        np.issubdtype(content["time"].dtype, np.datetime64) or content["time"].dtype == object
    ):
        raise NormalizationError(f"{path}: no dates found, a coordinate `time` with dates expected. Download it again.")
    for band in _BANDS:
        sizes = {str(name): size for name, size in content[band].sizes.items()}
        if set(sizes) != {"time", "y", "x"} or (sizes["y"], sizes["x"]) != (TILE_PIXELS, TILE_PIXELS):
            shape = " x ".join(f"{name} {size}" for name, size in sizes.items())
            raise NormalizationError(
                f"{path}: {band} of {shape} found, time x y {TILE_PIXELS} x x {TILE_PIXELS} expected. "
                "Download the file again."
            )


def _read_parcels(path: Path, corner: tuple[float, float] | None) -> np.ndarray:
    try:
        with open_raster(path, ("parcels",), names=_LABEL_BANDS) as raster:
            transform, shape, numbers = raster.transform, raster.shape, raster.read()[0]
    except RasterError as error:
        raise NormalizationError(str(error)) from error
    if shape != (TILE_PIXELS, TILE_PIXELS):
        raise NormalizationError(
            f"{path}: size (rows, cols) {shape} found, {(TILE_PIXELS, TILE_PIXELS)} expected. Download the file again."
        )
    label_corner = transform @ (0.5, 0.5)
    # Up to a pixel: some writers give corners for centres.
    if corner and max(abs(a - b) for a, b in zip(corner, label_corner, strict=True)) > 1.05 * abs(transform.a):
        raise NormalizationError(
            f"{path}: first pixel at {label_corner[0]:.0f}, {label_corner[1]:.0f} found, {corner[0]:.0f}, "
            f"{corner[1]:.0f} expected as in the image. Download both files again."
        )
    is_parcel = np.isfinite(numbers) & (numbers >= 1)
    parcels = np.where(is_parcel, np.rint(np.where(is_parcel, numbers, 0)), 0)
    if not np.array_equal(parcels[is_parcel], numbers[is_parcel]):
        raise NormalizationError(
            f"{path}: fractions found in band 4, whole parcel numbers expected. The bands must be "
            f"{', '.join(_LABEL_BANDS)}; download the file again."
        )
    return parcels.astype(np.int32)
