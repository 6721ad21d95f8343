"""Dated images of one reservoir, each with the level that a gauge measured that day."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge
from millpond.level.grid import Grid, longitude_deg
from millpond.level.imagery import Image, is_radar, read_image
from millpond.level.screening import (
    percentages,
    share_wet,
    spoiled,
    tells_water,
    warn_of_empty_qa60,
    warn_of_offset,
    where_clouds_matter,
)
from millpond.raster import Raster, open_raster

NO_LEVEL = "no level that day"

MORNING, NOON = pd.Timedelta(hours=10.5), pd.Timedelta(hours=12)
"""Solar time at which Sentinel-2 passes, and the middle of the day that a daily level stands for."""

TIME_TAG = "TIME_UTC"

_DATE = r"((?:19|20)\d{2})-?(\d{2})-?(\d{2})"
_DATES = (  # old products of Sentinel-2 have a V before the time of sensing, and that of processing comes first
    re.compile(rf"(?<=_V){_DATE}T(\d{{6}})"),
    re.compile(rf"(?<!\d){_DATE}(?:T(\d{{6}})|(?!\d))"),
)


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images and levels of the dates that could be used, in order of time.

    Attributes
    ----------
    images : (n_dates, n_bands, rows, cols) float32 array
        Reflectance of Sentinel-2; backscatter in dB of Sentinel-1.
    cloudy : (n_dates, rows, cols) bool array
        Pixels that are unknown, neither water nor land: by the mask, or for lack of data.
    dates : (n_dates,) DatetimeIndex
        Days of solar time at the place, where the time of sensing is known; or else those of the files' names.
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
    wet_share : (rows, cols) float32 array or None
        Share of the scenes that were read in which water was seen at each pixel, on the grid that was read: it stays
        when dates are chosen or pixels averaged. None without B03 and B08.
    inside : (rows, cols) bool array or None
        The area of interest and its margin (`read_scenes`, `area`); None if none was named.
    orbit : str or None
        From where radar looks, if its files tell: the relative orbit, or `ascending` or `descending`.
    """

    images: np.ndarray = field(repr=False)
    cloudy: np.ndarray = field(repr=False)
    dates: pd.DatetimeIndex
    level_m: np.ndarray = field(repr=False)
    bands: tuple[str, ...]
    pixel_m: tuple[float, float]
    dropped: pd.DataFrame = field(repr=False)
    place: tuple[str, float, float] | None = None
    wet_share: np.ndarray | None = field(default=None, repr=False)
    inside: np.ndarray | None = field(default=None, repr=False)
    orbit: str | None = None

    def __len__(self) -> int:
        return len(self.dates)

    def __getitem__(self, chosen) -> "Scenes":
        """Scenes of some dates: a position, a slice, positions or a mask."""
        chosen = [chosen] if isinstance(chosen, int | np.integer) else chosen
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
        """Means over blocks of `factor` x `factor` pixels: of reflectance, or of the power behind decibels.

        Unknown pixels count where a block has no others. A block is cloudy, or inside, if half of it is. Edges are cut
        to fit.
        """
        if not 1 <= factor <= min(self.images.shape[2:]):
            raise LevelError(
                f"factor {factor} for images of {self.images.shape[2]} x {self.images.shape[3]} pixels found, 1 to "
                f"{min(self.images.shape[2:])} expected. Choose another (factor, --coarser)."
            )
        if factor == 1:
            return self
        rows, cols = (n // factor * factor for n in self.images.shape[2:])

        def blocks(values: np.ndarray) -> np.ndarray:
            shape = (*values.shape[:-2], rows // factor, factor, cols // factor, factor)
            return values[..., :rows, :cols].reshape(shape).mean(axis=(-3, -1), dtype=np.float32)

        linear = 10 ** (self.images / 10) if is_radar(self.bands) else self.images
        known = ~self.cloudy[:, None]
        share = blocks(known)
        means = np.divide(blocks(linear * known), share, out=blocks(linear), where=share > 0)
        height, width = self.pixel_m
        return replace(
            self,
            images=10 * np.log10(means) if is_radar(self.bands) else means,
            cloudy=share[:, 0] <= 0.5,
            pixel_m=(height * factor, width * factor),
            inside=None if self.inside is None else blocks(self.inside) >= 0.5,
        )


def read_scenes(
    folder: str | Path,
    sensor: str = "sentinel2_l2a",
    bands: Sequence[str] = ("B03", "B08"),
    gauge: str | Path | pd.Series | None = "levels.csv",
    max_cloud: float | None = 0.1,
    *,
    area: str | Path | None = None,
    tolerance_days: int = 0,
    unit: str | None = None,
    may_be_empty: bool = False,
    wet_share: np.ndarray | None = None,
    orbit: str | int | None = None,
) -> Scenes:
    """Read dated images of a reservoir, and the levels of their days.

    Parameters
    ----------
    folder : path
        Of the reservoir; `sensor` is a folder in it, with a GeoTIFF a date whose name holds the date, such as
        `S2_20180703.tif`, or the time (UTC) too, such as `20180703T105621`; a tag `TIME_UTC` counts more. With a time,
        the day is that of solar time at the place, and so the gauge's: in New Zealand the next one.
    sensor : str
        Name of that folder.
    bands : sequence of str
        By their names in the files. VV and VH are backscatter in dB, all others reflectance: as it is, if the file
        holds floating-point numbers or states a scale, or else as digital numbers (see Notes).
    gauge : path, Series or None
        Record of levels, as `millpond.level.read_gauge` reads or returns it; a path is relative to `folder` unless
        absolute. None reads the images alone; their levels are NaN.
    max_cloud : float or None
        Largest share that may be cloudy of where it matters, by a band CLDPRB (cloud probability), SCL or QA60: of
        `area` and `MARGIN_M` around it; or else of the pixels that look like water in `SEEN_WET_FROM` of the scenes
        that are clear as a whole (or of those of `wet_share`), and `MARGIN_M` around them; or else, without such scenes
        or B03 and B08, of the image. None takes every image, and needs none of these bands. Of no meaning for
        Sentinel-1.
    area : path, optional
        Polygon of the reservoir, or a GeoTIFF of water occurrence in percent (as that of the JRC's Global Surface
        Water) whose values above 0 and up to 100 are its area, but not its no-data value; images are cut to the
        rectangle that holds it and `MARGIN_M` around. What lies in the rectangle beside it is kept, since networks see
        rectangles; `Scenes.inside` tells it apart. By default images stay whole.
    tolerance_days : int
        A day without a level takes the nearest one this many days before or after.
    unit : "m" or "ft", optional
        Of the gauge.
    may_be_empty : bool
        Return no scenes, and the reasons, where none can be used, be it that none has a level.
    wet_share : (rows, cols) array, optional
        `Scenes.wet_share` of earlier scenes on the same grid. Each image is screened by these, and none by the others
        of the folder.
    orbit : str or int, optional
        Of radar, as in `Scenes.orbit`. Images of different orbits look from different sides; by default those of the
        orbit with most images are read.

    Returns
    -------
    Scenes
        Images that are spoiled although their mask is clear, by haze or shadow or a wrong mask, are dropped too. Water
        is what has a higher reflectance in B03 than in B08. A reservoir's smaller water lies inside its larger; so a
        scene whose water has a pixels should have it in the a pixels that are wet most often in the good scenes, of
        those that no cloud hides. If more than `SPOILED_FROM` of a are missing there, or lie elsewhere, the scene is
        spoiled. This looks at `area` and its margin, or at the whole image; it needs both bands and looks at no level;
        however low the water is, it is no reason. A folder of one image has nothing to compare with, unless by
        `wet_share`. Of several good images of a
        day the first is kept.

    Warns
    -----
    UserWarning
        If digital numbers rise on the day of ESA's offset as by it (`millpond.sentinel2`), and files don't state
        theirs; if pixels contradict what they state; if the mask is QA60, and 0 in all images of the years in which it
        wasn't filled (`millpond.level.screening`), or CLDPRB and a share instead of a percentage; if radar looks from
        several orbits.

    Raises
    ------
    LevelError
        If there are no images, or none can be used and `may_be_empty` is False; if a band is missing, grids differ (be
        it from `wet_share`), aren't in metres or are rotated, or numbers are no reflectance, or no backscatter in dB.
    RasterError
        If a file can't be read.

    Notes
    -----
    Reflectance is (digital number + offset) / 10,000. The offset is the one that the file's metadata state, as
    `BOA_ADD_OFFSET` or `RADIO_ADD_OFFSET`, or else by `PROCESSING_BASELINE` -1,000 since 04.00; or else 0, since many
    sources have taken it off.

    A pixel is without data as `millpond.level.imagery.read_image` tells it, whether the file says so or not. Up to
    `LARGEST_EMPTY` of an image may be, as in deep shadow: these pixels count as cloudy, their reflectance is 0, their
    backscatter the band's median. An image with more is dropped. Snow, ice and clouds that the mask doesn't know count
    as cloudy too where they would look like water: brighter than `BRIGHTEST_WATER` in B08, and brighter still in B03.
    """
    folder = Path(folder)
    masked = max_cloud is not None and not is_radar(bands)
    level = read_gauge(folder / gauge, unit) if isinstance(gauge, str | Path) else gauge
    files = _dated_files(folder / sensor)
    within_days = None if level is None else level.attrs.get("readings")
    images, dropped, grid, readings = [], [], None, None
    for day, clock, path in files:
        with open_raster(path) as raster:
            time = _solar_time(day, clock, raster)
            date = time.normalize()
            if readings is None and within_days is not None and raster.crs is not None:
                readings = within_days.by_solar_time(longitude_deg(raster))
            measured, reason = (np.nan, None) if level is None else _level_of(level, readings, time, tolerance_days)
            if reason is None:
                if grid is None:
                    grid = Grid.of(raster, area)
                    _check_share(wet_share, grid)
                grid.check(raster)
                image = read_image(raster, date, measured, bands, grid.window, masked)
                if not np.isfinite(image.values).all():
                    reason = "pixels without data"
        if reason is None:
            images.append(image)
        else:
            dropped.append((date, path.name, reason))
    images.sort(key=lambda image: (image.date, image.path.name))
    warn_of_empty_qa60(folder / sensor, images)
    images = percentages(folder / sensor, images)
    orbit = _orbit_of(folder / sensor, images, orbit)
    matters = None if grid is None or area is None else grid.inside
    if images and masked and area is None:
        matters = where_clouds_matter(images, bands, max_cloud, grid.pixel_m, wet_share)
    rules = (
        (orbit is not None, "another orbit", lambda: [image.orbit not in (orbit, None) for image in images]),
        (masked, "cloudy", lambda: [(image.cloudy & ~image.snowy)[matters].mean() > max_cloud for image in images]),
        (masked, "snow, or as bright", lambda: [image.cloudy[matters].mean() > max_cloud for image in images]),
        (masked and tells_water(bands), "spoiled", lambda: spoiled(images, bands, grid.inside, wet_share)),
        (True, "another image of the same day is kept", lambda: pd.Series([i.date for i in images]).duplicated()),
    )
    for applies, reason, are_bad in rules:
        if applies and images:
            bad = list(zip(images, are_bad(), strict=True))
            dropped += [(image.date, image.path.name, reason) for image, is_bad in bad if is_bad]
            images = [image for image, is_bad in bad if not is_bad]
    table = pd.DataFrame(sorted(dropped), columns=["date", "file", "reason"])
    if not images and not may_be_empty:
        raise _unusable(folder, sensor, level, len(files), table)
    warn_of_offset(folder / sensor, images)
    pixel_m, place, shape = (
        ((np.nan, np.nan), None, (1, 1)) if grid is None else (grid.pixel_m, grid.place, grid.inside.shape)
    )
    return Scenes(
        np.array([image.values for image in images], np.float32).reshape(len(images), len(bands), *shape),
        np.array([image.cloudy for image in images], bool).reshape(len(images), *shape),
        pd.DatetimeIndex([image.date for image in images], name="date"),
        np.array([image.level_m for image in images], float),
        tuple(bands),
        pixel_m,
        table,
        place,
        share_wet(images, bands),
        None if area is None or grid is None else grid.inside,
        orbit,
    )


def _dated_files(folder: Path) -> list[tuple[pd.Timestamp, pd.Timedelta | None, Path]]:
    """Files, in order of time, with the day and, if it is there, the time in their names."""
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".tif", ".tiff"))
    if not files:
        raise LevelError(
            f"{folder}: no GeoTIFF found, one a date expected. Name the folder of the images (folder and sensor, "
            "--scenes)."
        )
    dated = []
    for path in files:
        match = next(filter(None, (pattern.search(path.stem) for pattern in _DATES)), None)
        try:
            *day, clock = match.groups()
            at = clock and pd.Timedelta(f"{clock[:2]}:{clock[2:4]}:{clock[4:]}")
            dated.append((pd.Timestamp(*map(int, day)), at, path))
        except (AttributeError, ValueError):
            raise LevelError(
                f"{path}: no date in the name found, one such as S2_20180703.tif expected. Rename it."
            ) from None
    return sorted(dated, key=lambda file: (file[0], file[2]))


def _solar_time(day: pd.Timestamp, clock: pd.Timedelta | None, raster: Raster) -> pd.Timestamp:
    """When the sun saw the place as the satellite did, by a tag or the name; else the morning of the name's day."""
    utc = pd.to_datetime(raster.tags().get(TIME_TAG), errors="coerce", utc=True).tz_localize(None)
    if pd.isna(utc) and clock is not None:
        utc = day + clock
    if raster.crs is None or pd.isna(utc):
        return day + (MORNING if clock is None else clock)
    return utc + pd.Timedelta(hours=longitude_deg(raster) / 15)


def _unusable(folder: Path, sensor: str, level: pd.Series | None, n_files: int, dropped: pd.DataFrame) -> LevelError:
    """Why no image is left."""
    if (dropped["reason"] == NO_LEVEL).all():
        return LevelError(
            f"{level.attrs['path']}: levels from {level.index[0]:%Y-%m-%d} to {level.index[-1]:%Y-%m-%d} found, but "
            f"images from {dropped['date'].min():%Y-%m-%d} to {dropped['date'].max():%Y-%m-%d}; days with both "
            "expected. Get the record of these years, or take levels of days nearby (tolerance_days, --tolerance-days)."
        )
    reasons = dropped["reason"].value_counts()
    return LevelError(
        f"{folder / sensor}: no usable image among {n_files} found "
        f"({', '.join(f'{n} {reason}' for reason, n in reasons.items())}). Allow more clouds (max_cloud, "
        "--max-cloud), name another orbit (orbit, --orbit), correct the levels, or add images."
    )


def _check_share(wet_share: np.ndarray | None, grid: Grid) -> None:
    if wet_share is not None and wet_share.shape != grid.inside.shape:
        raise LevelError(
            f"{grid.path}: {grid.inside.shape[0]} x {grid.inside.shape[1]} pixels found, {wet_share.shape[0]} x "
            f"{wet_share.shape[1]} expected as in the scenes before (wet_share). Cut the images alike (area, --area)."
        )


def _level_of(
    level: pd.Series, readings: pd.DataFrame | None, time: pd.Timestamp, tolerance_days: int
) -> tuple[float, str | None]:
    """The reading nearest to a solar time, within half a day, or else the level of the nearest day; or why not."""
    if readings is not None and (apart := np.abs(readings.index - time)).min() <= NOON:
        day, level_m = readings.iloc[apart.argmin()]
    else:
        day = level.index[(level.index + NOON).get_indexer([time], method="nearest")[0]]
        level_m = level[day]
        if abs(day - time.normalize()) > pd.Timedelta(days=tolerance_days):
            return np.nan, NO_LEVEL
    if day in level.attrs["impossible"]:
        return np.nan, "impossible level"
    if day in level.attrs["contradicting"]:
        return np.nan, "contradicting levels"
    return float(level_m), None


def _orbit_of(folder: Path, images: list[Image], wanted: str | int | None) -> str | None:
    """The orbit that is wanted, or else the one of most images."""
    found = Counter(image.orbit for image in images if image.orbit is not None)
    if wanted is not None or not found:
        return None if wanted is None else str(wanted).lower()
    most = sorted(found, key=lambda orbit: (-found[orbit], orbit))
    if len(most) > 1:
        warnings.warn(
            f"{folder}: images of the orbits {', '.join(f'{orbit} ({found[orbit]})' for orbit in most)} found, which "
            "look from different sides and are not comparable. Those of "
            f"{most[0]} are read. Name the one that you want (orbit, --orbit).",
            stacklevel=3,
        )
    return most[0]
