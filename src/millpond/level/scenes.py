"""Dated images of one reservoir, each with the level that a gauge measured that day."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from rasterio.features import geometry_mask
from rasterio.windows import Window
from scipy import ndimage

from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge
from millpond.raster import Raster, open_raster, read_onto

SMALLEST_CLOUD_PROBABILITY = 40
"""Percent in the band CLDPRB from which a pixel counts as cloudy."""

SCL_CLOUDY = (0, 1, 3, 8, 9, 10, 11)
"""Classes of the band SCL that count as cloudy, since water can't be told there: no data, saturated or defective, cloud
shadow, clouds of medium and high probability, thin cirrus, snow or ice."""

QA60_CLOUDS = (1 << 10) | (1 << 11)
"""Bits of the band QA60: opaque clouds and cirrus."""

SPOILED_FROM = 0.1
"""Largest share of a scene's water that may lie elsewhere than where all scenes most often have it; chosen on Itoiz."""

MARGIN_M = 100.0
"""Land that is kept around the area of interest."""

SEEN_WET_FROM = 0.1
"""Share of the clear scenes that must show water at a pixel for clouds over it to matter."""

LARGEST_EMPTY = 0.01
"""Share of an image that may have digital number 0 in all bands, or no backscatter: some shadows have none, the edge
of a swath is larger."""

OFFSET_SINCE = pd.Timestamp(2022, 1, 25)
"""Since this day, of processing baseline 04.00, ESA's digital numbers of Sentinel-2 are 1,000 higher."""

_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(\d{2})-?(\d{2})(?!\d)")
_MASKS = {
    "CLDPRB": lambda values: values >= SMALLEST_CLOUD_PROBABILITY,
    "SCL": lambda values: np.isin(values, SCL_CLOUDY),
    "QA60": lambda values: (values.astype(np.int64) & QA60_CLOUDS) > 0,
}
_OPTICAL_SCALE = 1e-4  # Sentinel-2's digital number to reflectance
_OFFSET_DN = -1000.0  # as ESA's metadata have it: to be added
_HIGHEST_MEDIAN = 2.0  # no scene is brighter than snow


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images and levels of the dates that could be used, in order of time.

    Attributes
    ----------
    images : (n_dates, n_bands, rows, cols) float32 array
        Reflectance of Sentinel-2; backscatter in dB of Sentinel-1.
    cloudy : (n_dates, rows, cols) bool array
        Where the mask, or a lack of data, leaves water untold.
    dates : (n_dates,) DatetimeIndex
    level_m : (n_dates,) float64 array
        Above the gauge's datum.
    bands : tuple of str
    pixel_m : (height, width) of a pixel in metres
        NaN where no image was read, since none had a level.
    dropped : DataFrame
        `date`, `file` and `reason` of every image that wasn't used.
    place : tuple or None
        Coordinate reference system, and x and y of the upper left corner; None of a place that doesn't exist, and
        where no image was read.
    """

    images: np.ndarray = field(repr=False)
    cloudy: np.ndarray = field(repr=False)
    dates: pd.DatetimeIndex
    level_m: np.ndarray = field(repr=False)
    bands: tuple[str, ...]
    pixel_m: tuple[float, float]
    dropped: pd.DataFrame = field(repr=False)
    place: tuple[str, float, float] | None = None

    def __len__(self) -> int:
        return len(self.dates)

    def __getitem__(self, chosen) -> "Scenes":
        """Scenes of some dates: a slice, positions or a mask."""
        return replace(
            self,
            images=self.images[chosen],
            cloudy=self.cloudy[chosen],
            dates=self.dates[chosen],
            level_m=self.level_m[chosen],
        )

    def band(self, name: str) -> np.ndarray:
        """(n_dates, rows, cols) of one band."""
        if name not in self.bands:
            raise LevelError(f"bands {', '.join(self.bands)} found, {name} expected. Read it with the scenes.")
        return self.images[:, self.bands.index(name)]

    def coarse(self, factor: int) -> "Scenes":
        """Means over blocks of `factor` x `factor` pixels; a block is cloudy if half of it is. Edges are cut to fit."""
        rows, cols = (n // factor * factor for n in self.images.shape[2:])
        if factor < 1 or not rows or not cols:
            raise LevelError(
                f"factor {factor} for images of {self.images.shape[2]} x {self.images.shape[3]} pixels found, 1 to "
                f"{min(self.images.shape[2:])} expected. Choose another (factor, --coarser)."
            )

        def blocks(values: np.ndarray) -> np.ndarray:
            shape = (*values.shape[:-2], rows // factor, factor, cols // factor, factor)
            return values[..., :rows, :cols].reshape(shape).mean(axis=(-3, -1), dtype=np.float32)

        height, width = self.pixel_m
        return replace(
            self,
            images=blocks(self.images),
            cloudy=blocks(self.cloudy) >= 0.5,
            pixel_m=(height * factor, width * factor),
        )


def read_scenes(
    folder: str | Path,
    sensor: str = "sentinel2_l2a",
    bands: Sequence[str] = ("B03", "B08"),
    gauge: str | Path | None = "levels.csv",
    max_cloud: float | None = 0.1,
    *,
    area: str | Path | None = None,
    tolerance_days: int = 0,
    unit: str | None = None,
    may_be_empty: bool = False,
) -> Scenes:
    """Read dated images of a reservoir, and the levels of their days.

    Parameters
    ----------
    folder : path
        Of the reservoir; `sensor` is a folder in it, with a GeoTIFF a date whose name holds the date, such as
        `S2_20180703.tif`.
    sensor : str
        Name of that folder.
    bands : sequence of str
        By their names in the files. VV and VH are backscatter in dB, all others reflectance: as it is, if the file
        holds floating-point numbers or states a scale, or else as digital numbers (see Notes). Backscatter may be
        missing at up to `LARGEST_EMPTY` of the pixels, as in the radar's shadow; they take the band's median.
    gauge : path or None
        Record of levels as `millpond.level.read_gauge` reads it, relative to `folder` unless absolute. None reads the
        images alone; their levels are NaN.
    max_cloud : float or None
        Largest share that may be cloudy of where it matters, by a band CLDPRB (cloud probability), SCL or QA60: of
        `area` and `MARGIN_M` around it; or else of the pixels that look like water in `SEEN_WET_FROM` of the scenes
        that are clear as a whole, and `MARGIN_M` around them; or else, without such scenes or B03 and B08, of the
        image. None takes every image, and needs none of these bands. Of no meaning for Sentinel-1.
    area : path, optional
        Polygon of the reservoir, or a raster of water occurrence whose values above 0 are its area (as that of the
        JRC's Global Surface Water); images are cut to the rectangle that holds it and `MARGIN_M` around. What lies in
        the rectangle beside it is kept, since models see rectangles. By default images stay whole.
    tolerance_days : int
        A day without a level takes the nearest one this many days before or after.
    unit : "m" or "ft", optional
        Of the gauge.
    may_be_empty : bool
        Return no scenes, and the reasons, where none can be used, be it that none has a level.

    Returns
    -------
    Scenes
        Images that are spoiled although their mask is clear, by haze or shadow or a wrong mask, are dropped too. Water
        is what has a higher reflectance in B03 than in B08. A reservoir's smaller water lies inside its larger; so a
        scene whose water has a pixels should have it in the a pixels that are wet most often in all scenes. If more
        than `SPOILED_FROM` of a are missing there, or lie elsewhere, the scene is spoiled. This looks at all that
        models see, beside an `area` too; it needs both bands and looks at no level; however low the water is, it is no
        reason. A folder of one image has nothing to compare with. Of several good images of a day the first is kept.

    Warns
    -----
    UserWarning
        If digital numbers rise with `OFFSET_SINCE` as by ESA's offset, and files don't state theirs.

    Raises
    ------
    LevelError
        If there are no images, or none can be used and `may_be_empty` is False; if a band is missing, grids differ or
        aren't in metres, or numbers are no reflectance, or no backscatter in dB.
    RasterError
        If a file can't be read.

    Notes
    -----
    Reflectance is (digital number + offset) / 10,000. The offset is the one that the file's metadata state, as
    `BOA_ADD_OFFSET` or `RADIO_ADD_OFFSET`, or else by `PROCESSING_BASELINE` -1,000 since 04.00; or else 0, since many
    sources have taken it off. Digital numbers of 0 in all bands are no data, whether the file says so or not.
    """
    folder = Path(folder)
    radar = set(bands) <= {"VV", "VH"}
    masked = max_cloud is not None and not radar
    level = None if gauge is None else read_gauge(folder / gauge, unit)
    files = _dated_files(folder / sensor)
    images, dropped, grid = [], [], None
    for date, path in files:
        measured, reason = (np.nan, None) if level is None else _level_of(level, date, tolerance_days)
        if reason is None:
            with open_raster(path) as raster:
                _check_bands(raster, bands)
                if grid is None:
                    grid = _Grid.of(raster, area)
                grid.check(raster)
                image = _Image(date, path, measured, *_read_image(raster, bands, grid.window, masked, radar))
            if np.isfinite(image.values).all():
                images.append(image)
            else:
                reason = "pixels without data"
        if reason is not None:
            dropped.append((date, path.name, reason))
    if images and masked:
        matters = grid.inside if area is not None else _shores(images, bands, max_cloud, grid.pixel_m)
        images = _without(images, [image.cloudy[matters].mean() > max_cloud for image in images], "cloudy", dropped)
    if images and masked and {"B03", "B08"} <= set(bands):
        images = _without(images, _misplaced(images, bands) > SPOILED_FROM, "spoiled", dropped)
    again = [i > 0 and images[i - 1].date == image.date for i, image in enumerate(images)]
    images = _without(images, again, "another image of the same day is kept", dropped)
    table = pd.DataFrame(sorted(dropped), columns=["date", "file", "reason"])
    if not images and may_be_empty:
        none = np.empty((0, len(bands), 1, 1), np.float32)
        empty = pd.DatetimeIndex([], name="date")
        pixel_m, place = ((np.nan, np.nan), None) if grid is None else (grid.pixel_m, grid.place)
        return Scenes(none, none[:, 0] > 0, empty, np.empty(0), tuple(bands), pixel_m, table, place)
    if not images and (table["reason"] == _NO_LEVEL).all():
        raise LevelError(
            f"{folder / gauge}: levels from {level.index[0]:%Y-%m-%d} to {level.index[-1]:%Y-%m-%d} found, but images "
            f"from {files[0][0]:%Y-%m-%d} to {files[-1][0]:%Y-%m-%d}; days with both expected. Get the record of these "
            "years, or take levels of days nearby (tolerance_days, --tolerance-days)."
        )
    if not images:
        reasons = table["reason"].value_counts()
        raise LevelError(
            f"{folder / sensor}: no usable image among {len(files)} found "
            f"({', '.join(f'{n} {reason}' for reason, n in reasons.items())}). Allow more clouds (max_cloud, "
            "--max-cloud), correct the levels, or add images."
        )
    _warn_of_offset(folder / sensor, images)
    return Scenes(
        np.stack([image.values for image in images]),
        np.stack([image.cloudy for image in images]),
        pd.DatetimeIndex([image.date for image in images], name="date"),
        np.array([image.level_m for image in images]),
        tuple(bands),
        grid.pixel_m,
        table,
        grid.place,
    )


_NO_LEVEL = "no level that day"


def _dated_files(folder: Path) -> list[tuple[pd.Timestamp, Path]]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".tif", ".tiff"))
    if not files:
        raise LevelError(
            f"{folder}: no GeoTIFF found, one a date expected. Name the folder of the images (folder and sensor, "
            "--scenes)."
        )
    dated = []
    for path in files:
        match = _DATE.search(path.stem)
        try:
            dated.append((pd.Timestamp(*map(int, match.groups())), path))
        except (AttributeError, ValueError):
            raise LevelError(
                f"{path}: no date in the name found, one such as S2_20180703.tif expected. Rename it."
            ) from None
    return sorted(dated)


def _level_of(level: pd.Series, date: pd.Timestamp, tolerance_days: int) -> tuple[float, str | None]:
    nearest = level.index.get_indexer([date], method="nearest", tolerance=pd.Timedelta(days=tolerance_days))[0]
    if nearest < 0:
        return np.nan, _NO_LEVEL
    if level.index[nearest] in level.attrs["impossible"]:
        return np.nan, "impossible level"
    if level.index[nearest] in level.attrs["contradicting"]:
        return np.nan, "contradicting levels"
    return float(level.iloc[nearest]), None


def _check_bands(raster: Raster, bands: Sequence[str]) -> None:
    if missing := [band for band in bands if band not in raster.bands]:
        raise LevelError(
            f"{raster.paths[0]}: bands {', '.join(raster.bands)} found, {', '.join(missing)} expected too. Read "
            "others (bands, --bands), or describe the bands of the file."
        )


@dataclass(frozen=True, eq=False)
class _Image:
    """A file's image; `offset_told` if the file says how to get reflectance."""

    date: pd.Timestamp
    path: Path
    level_m: float
    values: np.ndarray
    cloudy: np.ndarray
    offset_told: bool


@dataclass(frozen=True, eq=False)
class _Grid:
    """What all images share; `inside` the window, the area of interest and its margin."""

    path: Path
    shape: tuple[int, int]
    transform: object
    crs: object
    window: Window
    inside: np.ndarray

    @classmethod
    def of(cls, raster: Raster, area: str | Path | None) -> "_Grid":
        return cls(raster.paths[0], raster.shape, raster.transform, raster.crs, *_window(raster, area))

    @property
    def pixel_m(self) -> tuple[float, float]:
        return abs(self.transform.e), abs(self.transform.a)

    @property
    def place(self) -> tuple[str, float, float]:
        x, y = self.transform @ (self.window.col_off, self.window.row_off)
        return self.crs.to_string(), float(x), float(y)

    def check(self, raster: Raster) -> None:
        if (raster.shape, raster.crs) != (self.shape, self.crs) or not raster.transform.almost_equals(self.transform):
            raise LevelError(
                f"{raster.paths[0]}: {raster.shape[0]} x {raster.shape[1]} pixels in {raster.crs} found, the grid of "
                f"{self.path.name} ({self.shape[0]} x {self.shape[1]}, {self.crs}) expected. Resample all to one grid."
            )


def _window(raster: Raster, area: str | Path | None) -> tuple[Window, np.ndarray]:
    """Rows and columns of the area of interest and its margin, and which of their pixels belong to these."""
    rows, cols = raster.shape
    if raster.crs is None or not raster.crs.is_projected or raster.crs.linear_units_factor[1] != 1:
        raise LevelError(
            f"{raster.paths[0]}: {raster.crs} found, projected coordinates in metres expected. Reproject it."
        )
    if area is None:
        return Window(0, 0, cols, rows), np.ones(raster.shape, bool)
    if Path(area).suffix.lower() in (".tif", ".tiff"):
        inside = read_onto(area, raster) > 0
        if not inside.any():
            raise LevelError(f"{area}: no water in the images' area found, values above 0 expected. Check the place.")
    else:
        try:
            outline = gpd.read_file(area).to_crs(raster.crs).union_all()
            inside = geometry_mask([outline], raster.shape, raster.transform, all_touched=True, invert=True)
        except Exception as error:  # pyogrio's errors are of several kinds
            raise LevelError(f"{area}: no polygon found ({error}), a GeoPackage or GeoJSON expected.") from None
        if not inside.any():
            raise LevelError(f"{area}: no overlap with the images found, the reservoir in them expected.")
    pixel_m = abs(raster.transform.e), abs(raster.transform.a)
    down, across = (round(MARGIN_M / size) for size in pixel_m)
    wet_rows, wet_cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, bottom = max(0, wet_rows[0] - down), min(rows, wet_rows[-1] + 1 + down)
    left, right = max(0, wet_cols[0] - across), min(cols, wet_cols[-1] + 1 + across)
    window = Window(int(left), int(top), int(right - left), int(bottom - top))
    return window, _with_margin(inside[top:bottom, left:right], pixel_m)


def _with_margin(mask: np.ndarray, pixel_m: tuple[float, float]) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=pixel_m) <= MARGIN_M


def _read_image(
    raster: Raster, bands: Sequence[str], window: Window, masked: bool, radar: bool
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Image, NaN where there are no data; cloudy pixels; and whether the file tells what its numbers mean."""
    values = dict(zip(raster.bands, raster.read(window), strict=True))
    stored = np.stack([values[band] for band in bands])
    cloudy = np.zeros(stored.shape[1:], bool)
    if masked:
        mask = next((name for name in _MASKS if name in values), None)
        if mask is None:
            raise LevelError(
                f"{raster.paths[0]}: bands {', '.join(raster.bands)} found, one of {', '.join(_MASKS)} expected to "
                "tell clouds. Add it, or take every image (max_cloud=None, --no-mask)."
            )
        cloudy = _MASKS[mask](np.nan_to_num(values[mask]))
    image = stored.astype(np.float32)
    digital = not radar and stored.dtype.kind in "iu"
    if digital:  # a single band may well be 0, over dark water, where somebody has taken the offset off
        empty = np.all([values[name] == 0 for name in values if name not in _MASKS], axis=0)
        cloudy |= empty
        if empty.mean() > LARGEST_EMPTY:
            image[:, empty] = np.nan
    if raster.nodata is not None and not (digital and raster.nodata == 0):
        image[stored == raster.nodata] = np.nan
    if radar:
        return *_backscatter(raster, image), True
    image, told = _reflectance(raster, bands, image, digital)
    return image, cloudy, told


def _backscatter(raster: Raster, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Backscatter in dB, with the bands' medians where few pixels have none, and which those are."""
    empty = ~np.isfinite(stored).all(axis=0)
    if empty.mean() > LARGEST_EMPTY:
        return stored, empty
    medians = np.median(stored[:, ~empty], axis=1)
    if medians.max() > 0:  # land and water send back less than all, which is 0 dB
        raise LevelError(
            f"{raster.paths[0]}: backscatter with a median of {medians.max():g} found, dB below 0 expected. Store 10 "
            "log10 of linear power."
        )
    stored[:, empty] = medians[:, None]
    return stored, empty


def _reflectance(raster: Raster, bands: Sequence[str], stored: np.ndarray, digital: bool) -> tuple[np.ndarray, bool]:
    """Reflectance of what a file stores, and whether the file tells how to get it."""
    with rasterio.open(raster.paths[0]) as file:
        scaling = dict(zip(raster.bands, zip(file.scales, file.offsets, strict=True), strict=True))
    scale, offset = np.array([scaling[band] for band in bands], np.float32).T[:, :, None, None]
    if digital and (scale == 1).all() and (offset == 0).all():
        added = _stated_offset(raster)
        return (stored + np.float32(added or 0)) * np.float32(_OPTICAL_SCALE), added is not None
    reflectance = stored * scale + offset
    known = reflectance[np.isfinite(reflectance)]
    if known.size and np.median(known) > _HIGHEST_MEDIAN:
        raise LevelError(
            f"{raster.paths[0]}: {raster.dtype} with a median of {np.median(known):g} found, reflectance from 0 to 1 "
            "expected. Store digital numbers as integers, or divide them by 10,000."
        )
    return reflectance, True


def _stated_offset(raster: Raster) -> float | None:
    """What the metadata say is to be added to digital numbers."""
    tags = raster.tags()
    stated = [name for name in tags if name.startswith(("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET"))]
    for name in [*stated, "PROCESSING_BASELINE"]:
        try:
            if name in tags:
                number = float(tags[name])
                return number if name in stated else _OFFSET_DN * (number >= 4)
        except ValueError:
            raise LevelError(
                f"{raster.paths[0]}: {name}={tags[name]!r} found in the metadata, a number expected. Correct it."
            ) from None
    return None


def _warn_of_offset(folder: Path, images: list[_Image]) -> None:
    """The darkest pixels tell whether ESA's offset is still in."""
    darkest = [(image.date, image.values.min() / _OPTICAL_SCALE) for image in images if not image.offset_told]
    before, since = ([dn for date, dn in darkest if (date >= OFFSET_SINCE) == later] for later in (False, True))
    if before and since and (rise := np.median(since) - np.median(before)) > -_OFFSET_DN / 2:
        warnings.warn(
            f"{folder}: in images since {OFFSET_SINCE:%Y-%m-%d} the darkest digital numbers are {rise:.0f} higher than "
            "in earlier ones, and their metadata state no offset. ESA adds 1,000 since that day; it is still in them. "
            "Subtract it, or write BOA_ADD_OFFSET=-1000 into their metadata.",
            stacklevel=3,
        )


def _without(images: list[_Image], bad: Sequence[bool], reason: str, dropped: list) -> list[_Image]:
    """Those that aren't bad; the others are noted in `dropped`."""
    dropped += [(image.date, image.path.name, reason) for image, is_bad in zip(images, bad, strict=True) if is_bad]
    return [image for image, is_bad in zip(images, bad, strict=True) if not is_bad]


def _shores(images: list[_Image], bands: Sequence[str], max_cloud: float, pixel_m: tuple[float, float]) -> np.ndarray:
    """Where clouds matter: where water is often seen, and around it; everywhere, if that can't be told."""
    everywhere = np.ones(images[0].cloudy.shape, bool)
    clear = [image for image in images if image.cloudy.mean() <= max_cloud]
    if not clear or not {"B03", "B08"} <= set(bands):
        return everywhere
    seen = sum((_looks_wet(image, bands) & ~image.cloudy).astype(np.float32) for image in clear) / len(clear)
    often = seen >= SEEN_WET_FROM
    return _with_margin(often, pixel_m) if often.any() else everywhere


def _looks_wet(image: _Image, bands: Sequence[str]) -> np.ndarray:
    return image.values[bands.index("B03")] > image.values[bands.index("B08")]


def _misplaced(images: list[_Image], bands: Sequence[str]) -> np.ndarray:
    """(n,) share of each image's water that isn't where all have it most often."""
    water = np.stack([_looks_wet(image, bands) for image in images])
    often = water.mean(axis=0)
    misplaced = []
    for seen in water:
        n_wet = int(seen.sum())
        rank = np.sort(often, axis=None)[-n_wet] if n_wet else 1.0
        missing, elsewhere = ((often > rank) & ~seen).sum(), ((often < rank) & seen).sum()
        misplaced.append(max(missing, elsewhere) / max(n_wet, 1))
    return np.array(misplaced)
