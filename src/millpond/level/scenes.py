"""Dated images of one reservoir, each with the level that a gauge measured that day."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.errors import WindowError
from rasterio.features import bounds as shape_bounds
from rasterio.windows import Window, from_bounds

from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge
from millpond.raster import Raster, open_raster, read_onto

SMALLEST_CLOUD_PROBABILITY = 40
"""Percent in the band CLDPRB from which a pixel counts as cloudy."""

SCL_CLOUDS = (3, 8, 9, 10)
"""Classes of the band SCL that count as cloudy: cloud shadow, clouds of medium and high probability, thin cirrus."""

QA60_CLOUDS = (1 << 10) | (1 << 11)
"""Bits of the band QA60: opaque clouds and cirrus."""

SPOILED_FROM = 0.1
"""Largest share of a scene's water that may lie elsewhere than where all scenes most often have it; chosen on Itoiz."""

MARGIN_M = 100.0
"""Land that is kept around the area of interest."""

_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(\d{2})-?(\d{2})(?!\d)")
_MASKS = {
    "CLDPRB": lambda values: values >= SMALLEST_CLOUD_PROBABILITY,
    "SCL": lambda values: np.isin(values, SCL_CLOUDS),
    "QA60": lambda values: (values.astype(np.int64) & QA60_CLOUDS) > 0,
}
_OPTICAL_SCALE = 1e-4  # Sentinel-2's digital number to reflectance


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images and levels of the dates that could be used, in order of time.

    Attributes
    ----------
    images : (n_dates, n_bands, rows, cols) float32 array
        Reflectance of Sentinel-2; backscatter in dB of Sentinel-1.
    cloudy : (n_dates, rows, cols) bool array
    dates : (n_dates,) DatetimeIndex
    level_m : (n_dates,) float64 array
        Above the gauge's datum.
    bands : tuple of str
    pixel_m : (height, width) of a pixel in metres
    dropped : DataFrame
        `date`, `file` and `reason` of every image that wasn't used.
    place : tuple or None
        Coordinate reference system, and x and y of the upper left corner; None of a place that doesn't exist.
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
                f"{min(self.images.shape[2:])} expected."
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
        By their names in the files. VV and VH are backscatter in dB, all others digital numbers of reflectance.
    gauge : path or None
        Record of levels as `millpond.level.read_gauge` reads it, relative to `folder` unless absolute. None reads the
        images alone; their levels are NaN.
    max_cloud : float or None
        Largest share of the image that may be cloudy, by a band CLDPRB (cloud probability), SCL or QA60. None takes
        every image, and needs none of these bands. Of no meaning for Sentinel-1.
    area : path, optional
        Polygon of the reservoir, or a raster of water occurrence whose values above 0 are its area (as that of the
        JRC's Global Surface Water); images are cut to it and `MARGIN_M` around. By default they stay whole.
    tolerance_days : int
        A day without a level takes the nearest one this many days before or after.
    unit : "m" or "ft", optional
        Of the gauge.
    may_be_empty : bool
        Return no scenes, and the reasons, where none can be used.

    Returns
    -------
    Scenes
        Images that are spoiled although their mask is clear, by haze or shadow or a wrong mask, are dropped too. Water
        is what has a higher reflectance in B03 than in B08. A reservoir's smaller water lies inside its larger; so a
        scene whose water has a pixels should have it in the a pixels that are wet most often in all scenes. If more
        than `SPOILED_FROM` of a are missing there, or lie elsewhere, the scene is spoiled. This needs both bands and
        looks at no level; however low the water is, it is no reason. A folder of one image has nothing to compare with.

    Raises
    ------
    LevelError
        If there are no images, or none has a level; if a band is missing, or grids differ.
    RasterError
        If a file can't be read.
    """
    folder = Path(folder)
    radar = set(bands) <= {"VV", "VH"}
    level = None if gauge is None else read_gauge(folder / gauge, unit)
    files = _dated_files(folder / sensor)
    kept, dropped, grid = [], [], None
    for date, path in files:
        measured, reason = (np.nan, None) if level is None else _level_of(level, date, tolerance_days)
        if reason is None:
            with open_raster(path) as raster:
                _check_bands(raster, bands)
                if grid is None:
                    grid = _Grid.of(raster, area)
                grid.check(raster)
                image, cloudy, reason = _read_image(raster, bands, grid.window, None if radar else max_cloud, radar)
        if reason is None and kept and kept[-1][0] == date:
            reason = "another image of the same day is kept"
        if reason is None:
            kept.append((date, path, image, cloudy, measured))
        else:
            dropped.append((date, path.name, reason))
    if not any(reason != _NO_LEVEL for _, _, reason in dropped) and not kept:
        raise LevelError(
            f"{folder / gauge}: levels from {level.index[0]:%Y-%m-%d} to {level.index[-1]:%Y-%m-%d} found, but images "
            f"from {files[0][0]:%Y-%m-%d} to {files[-1][0]:%Y-%m-%d}; days with both expected. Get the record of these "
            "years, or widen tolerance_days."
        )
    if kept and max_cloud is not None and not radar and {"B03", "B08"} <= set(bands):
        kept, spoiled = _without_spoiled(kept, list(bands))
        dropped += spoiled
    if not kept and may_be_empty:
        none = np.empty((0, len(bands), 1, 1), np.float32)
        table = pd.DataFrame(sorted(dropped), columns=["date", "file", "reason"])
        empty = pd.DatetimeIndex([], name="date")
        return Scenes(none, none[:, 0] > 0, empty, np.empty(0), tuple(bands), grid.pixel_m, table, grid.place)
    if not kept:
        reasons = pd.Series([reason for _, _, reason in dropped]).value_counts()
        raise LevelError(
            f"{folder / sensor}: no usable image among {len(files)} found "
            f"({', '.join(f'{n} {reason}' for reason, n in reasons.items())}). Raise max_cloud, or add images."
        )
    dates, _, images, cloudy, levels = zip(*kept, strict=True)
    return Scenes(
        np.stack(images),
        np.stack(cloudy),
        pd.DatetimeIndex(dates, name="date"),
        np.array(levels),
        tuple(bands),
        grid.pixel_m,
        pd.DataFrame(sorted(dropped), columns=["date", "file", "reason"]),
        grid.place,
    )


_NO_LEVEL = "no level that day"


def _dated_files(folder: Path) -> list[tuple[pd.Timestamp, Path]]:
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".tif", ".tiff"))
    if not files:
        raise LevelError(f"{folder}: no GeoTIFF found, one a date expected. Name the folder above, and its sensor.")
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
            "others, or describe the bands of the file."
        )


@dataclass(frozen=True)
class _Grid:
    """What all images share."""

    path: Path
    shape: tuple[int, int]
    transform: object
    crs: object
    window: Window

    @classmethod
    def of(cls, raster: Raster, area: str | Path | None) -> "_Grid":
        window = _window(raster, area)
        return cls(raster.paths[0], raster.shape, raster.transform, raster.crs, window)

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


def _window(raster: Raster, area: str | Path | None) -> Window:
    """Rows and columns of the area of interest and its margin."""
    rows, cols = raster.shape
    whole = Window(0, 0, cols, rows)
    if raster.crs is None or not raster.crs.is_projected:
        raise LevelError(
            f"{raster.paths[0]}: {raster.crs} found, projected coordinates in metres expected. Reproject it."
        )
    if area is None:
        return whole
    if Path(area).suffix.lower() in (".tif", ".tiff"):
        inside = np.argwhere(read_onto(area, raster) > 0)
        if not len(inside):
            raise LevelError(f"{area}: no water in the images' area found, values above 0 expected. Check the place.")
        (row, col), (last_row, last_col) = inside.min(axis=0), inside.max(axis=0)
        window = Window(int(col), int(row), int(last_col - col + 1), int(last_row - row + 1))
    else:
        try:
            outline = gpd.read_file(area).to_crs(raster.crs)
        except Exception as error:  # pyogrio's errors are of several kinds
            raise LevelError(f"{area}: no polygon found ({error}), a GeoPackage or GeoJSON expected.") from None
        window = from_bounds(*shape_bounds(outline.union_all()), raster.transform)
    down, across = (round(MARGIN_M / abs(size)) for size in (raster.transform.e, raster.transform.a))
    row, col = int(np.floor(window.row_off)) - down, int(np.floor(window.col_off)) - across
    last_row = int(np.ceil(window.row_off + window.height)) + down
    last_col = int(np.ceil(window.col_off + window.width)) + across
    try:
        return Window(col, row, last_col - col, last_row - row).intersection(whole)
    except WindowError:
        raise LevelError(f"{area}: no overlap with the images found, the reservoir in them expected.") from None


def _read_image(
    raster: Raster, bands: Sequence[str], window: Window, max_cloud: float | None, radar: bool
) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Image, cloudy pixels, and why it can't be used, or None."""
    values = dict(zip(raster.bands, raster.read(window), strict=True))
    image = np.stack([values[band] for band in bands]).astype(np.float32)
    if raster.nodata is not None:
        image[np.stack([values[band] for band in bands]) == raster.nodata] = np.nan
    cloudy = np.zeros(image.shape[1:], bool)
    if not np.isfinite(image).all():
        return image, cloudy, "pixels without data"
    if radar:
        return image, cloudy, None
    if max_cloud is not None:
        mask = next((name for name in _MASKS if name in values), None)
        if mask is None:
            raise LevelError(
                f"{raster.paths[0]}: bands {', '.join(raster.bands)} found, one of {', '.join(_MASKS)} expected to "
                "tell clouds. Add it, or pass max_cloud=None."
            )
        cloudy = _MASKS[mask](values[mask])
        if cloudy.mean() > max_cloud:
            return image, cloudy, "cloudy"
    return image * np.float32(_OPTICAL_SCALE), cloudy, None


def _without_spoiled(kept: list, bands: list[str]) -> tuple[list, list]:
    green, infrared = bands.index("B03"), bands.index("B08")
    water = np.stack([image[green] > image[infrared] for _, _, image, _, _ in kept])
    often = water.mean(axis=0)
    misplaced = []
    for seen in water:
        n_wet = int(seen.sum())
        rank = np.sort(often, axis=None)[-n_wet] if n_wet else 1.0
        missing, elsewhere = ((often > rank) & ~seen).sum(), ((often < rank) & seen).sum()
        misplaced.append(max(missing, elsewhere) / max(n_wet, 1))
    good = [scene for scene, share in zip(kept, misplaced, strict=True) if share <= SPOILED_FROM]
    spoiled = [
        (date, path.name, "spoiled")
        for (date, path, *_), share in zip(kept, misplaced, strict=True)
        if share > SPOILED_FROM
    ]
    return good, spoiled
