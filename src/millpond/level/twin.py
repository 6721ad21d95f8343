"""A twin of the study's data: reservoirs on real terrain, seen by two satellites, whose level is known exactly.

What the twin shows follows from what was put in. All of that is in `Character`, one for each reservoir of the study,
and in the constants below; both were fixed before any network was trained on it. The terrain is real, if smooth: a
scene has some sixty heights of a DEM, interpolated, with a wall around the square. Water and vegetation have mean
spectra measured by Landsat 8 (`millpond.simulation.spectra`), bare ground those of urban land, since there are none of
soil. Everything else is built in.

The study prints no ranges of levels. RMSE and R2 of its Tables 4 and 6 tell how much the levels of its test dates
spread, RMSE / sqrt(1 - R2); `range_m` and `storage_days` were set so that the twins' levels spread about as much.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyflwdir
from matplotlib import cbook
from scipy import ndimage
from scipy.interpolate import RectBivariateSpline

from millpond.level.errors import LevelError
from millpond.level.scenes import Scenes
from millpond.simulation import clouds, radar
from millpond.simulation.illumination import illuminate, sun_at
from millpond.simulation.spectra import BANDS as SPECTRAL_BANDS
from millpond.simulation.spectra import draw_spectra

OPTICAL = ("B03", "B04", "B08")
"""Bands of the study; of the radar, both."""

PIXEL_M = 10.0
SUBPIXELS = 3
"""Cells along a pixel in which the water is drawn: shore pixels are mixed."""

FIRST_DAY, LAST_DAY = "2015-07-01", "2022-06-30"
ICE_MONTHS = (12, 1, 2, 3)
OVERPASS_HOUR = 10.5
"""Of Sentinel-2, in solar time."""

FREEBOARD_M = 1.5

ROUGHNESS_M = 1.0
"""Standard deviation of the relief that a DEM of 90 m doesn't have, smoothed over 30 m."""

ATTENUATION_PER_M = {"B03": 0.5, "B04": 0.9, "B08": 8.0}
"""How fast light is lost on its way down and up; the ground is seen through shallow water, least in the infrared."""

TURBID_REFLECTANCE = {"B03": 0.10, "B04": 0.09, "B08": 0.035}
"""Water as turbid as it gets; margins and floods are."""

ICE_REFLECTANCE = {"B03": 0.25, "B04": 0.22, "B08": 0.15}
SNOW_REFLECTANCE = {"B03": 0.80, "B04": 0.80, "B08": 0.75}
"""On a frozen date, a random share of the ice and of the land is under snow."""

HAZE_DEPTHS = 1.0
"""Mean haze, in optical depths of a clear day; exponentially distributed."""

SENSOR_NOISE = 0.002

DRYING_DAYS = 14
"""So long after the water has left it, the rim is mud: dark and, we assume, smooth to a radar. Then it is dry."""

AIMED_AT, AIMED_SWING = 0.6, 0.2
"""Share of the storage that the operators aim at, on average, and how far it swings with the season."""

CURTAILED_BELOW = 0.2
"""Share of the storage below which less is taken, in proportion; so the reservoir never empties."""

SPILLS_ABOVE = 0.95
"""Share of the storage from which water spills, in proportion; so a full reservoir's level still moves."""

SURROUND_PIXELS = 48
"""Terrain kept around the scene, so that hills beyond its edge throw their shadows into it."""


@dataclass(frozen=True)
class Character:
    """What sets a reservoir apart.

    Attributes
    ----------
    name : str
        As the study has it.
    site : (row, col)
        Of the dam, in cells of the bundled DEM.
    dam_m : float
        Height of the dam.
    range_m : float
        How far below the full level the operators draw it down.
    storage_days : float
        Days of mean inflow that this range holds: how long the level remembers.
    n_optical, n_radar : int
        Scenes of each satellite.
    bank_factor : float
        Vertical exaggeration of the ground below the full level: steep banks make a cylinder. Heights above the foot of
        the dam stay those above the foot before.
    vegetation : float
        Share of dense vegetation around the water.
    flooded_vegetation : float
        Metres below the full level down to which vegetation is rooted, and stands in the water.
    undetected_cloud : float
        Share of the optical scenes with thin cloud that the mask misses.
    shallow_colour : bool
        Shallow water is turbid and shows its ground.
    jitter_pixels : float
        Largest displacement of a scene.
    freezes : bool
        Ice from December to March.
    gauge_freezes : bool
        No levels while there is ice.
    inflow_peak : int
        Day of the year around which most water comes: February where it rains, May where snow melts.
    latitude_deg : float
    gap : (first year, last year) or None
        Without a gauge.
    base_m : float
        Elevation of the full level above the gauge's datum.
    """

    name: str
    site: tuple[int, int]
    dam_m: float
    range_m: float
    n_optical: int
    n_radar: int
    storage_days: float = 30.0
    bank_factor: float = 1.0
    vegetation: float = 0.5
    flooded_vegetation: float = 0.0
    undetected_cloud: float = 0.1
    shallow_colour: bool = True
    jitter_pixels: float = 1.0
    freezes: bool = False
    gauge_freezes: bool = False
    inflow_peak: int = 50
    latitude_deg: float = 38.8
    gap: tuple[int, int] | None = None
    base_m: float = 1000.0

    @property
    def full_m(self) -> float:
        """The full level above the foot of the dam: its height less the freeboard."""
        return self.dam_m - FREEBOARD_M


CHARACTERS = {
    "BHC": Character(
        "Brush Creek",
        (204, 120),
        20,
        4.5,
        344,
        430,
        storage_days=20,
        vegetation=0.85,
        flooded_vegetation=1.5,
        undetected_cloud=0.15,
        base_m=891,
    ),
    "BIL": Character("Buck Island", (57, 261), 12, 2.8, 380, 430, vegetation=0.3, inflow_peak=140, base_m=1957),
    "GLL": Character(
        "Gerle Lake",
        (141, 81),
        12,
        2,
        400,
        430,
        storage_days=15,
        bank_factor=4,
        vegetation=0.85,
        flooded_vegetation=1.5,
        inflow_peak=130,
        base_m=1595,
    ),
    "LYS": Character("Lyons", (30, 129), 30, 10.5, 420, 430, storage_days=60, vegetation=0.5, base_m=1287),
    "MCR": Character(
        "Mackay Creek",
        (81, 45),
        12,
        3.7,
        300,
        300,
        storage_days=90,
        vegetation=0.2,
        freezes=True,
        gauge_freezes=True,
        inflow_peak=110,
        latitude_deg=49.7,
        base_m=744,
    ),
    "ARR": Character(
        "Arrow",
        (87, 261),
        20,
        10,
        306,
        300,
        storage_days=60,
        vegetation=0.6,
        undetected_cloud=0.2,
        inflow_peak=140,
        latitude_deg=49.7,
        base_m=520,
    ),
    "CTR": Character(
        "Costilla",
        (51, 126),
        30,
        17,
        115,
        115,
        storage_days=120,
        vegetation=0.3,
        freezes=True,
        inflow_peak=150,
        latitude_deg=36.9,
        gap=(2018, 2020),
        base_m=2865,
    ),
}
"""The study's reservoirs (its Tables 1 and 2) by what it says of them.

Of Brush Creek, Costilla and Arrow it states how many dates train; with those that test they are a quarter more. All
other numbers of scenes are assumed."""

ALIKE = {
    f"BC{i}": replace(CHARACTERS["BHC"], name=f"like Brush Creek, {i}", site=site)
    for i, site in enumerate([(106, 40), (256, 208), (292, 196)], start=1)
}
"""Neighbours of Brush Creek's that are like it but for their weather: of a grid of sites, those whose area goes with
the depth as there, and whose slopes are within four degrees of its."""


@dataclass(frozen=True, eq=False)
class Valley:
    """Real terrain with a wall around it, on a grid of `SUBPIXELS` cells a pixel and a margin of one pixel.

    Attributes
    ----------
    elevation_m : (n, n) array
        Above the foot of the dam.
    waterline_m : (n, n) array
        The lowest level at which a cell is under water.
    full_m : float
        The full level.
    surround_m : (n / 3 + 96, n / 3 + 96) array
        Elevation of the pixels and of `SURROUND_PIXELS` around them.
    """

    elevation_m: np.ndarray
    waterline_m: np.ndarray
    full_m: float
    surround_m: np.ndarray

    @property
    def pixels_m(self) -> np.ndarray:
        """(rows, cols) mean level at which a pixel of the scene is under water."""
        return _by_pixel(self.waterline_m)[1:-1, 1:-1]

    def area_km2(self, level_m) -> np.ndarray:
        """Area under water at each level, above the foot of the dam."""
        lines = np.sort(self.waterline_m, axis=None)
        return np.searchsorted(lines, level_m, side="right") * (PIXEL_M / SUBPIXELS) ** 2 / 1e6

    def share_dry(self, drop_m: float) -> float:
        """Share of the full area that falls dry when the level falls by so much."""
        low, full = self.area_km2([self.full_m - drop_m, self.full_m])
        return float(1 - low / full)


def valley(character: Character, size: int = 64) -> Valley:
    """Cut `size` pixels around the dam out of the bundled DEM, with the small relief that it doesn't have."""
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as dem:
        coarse = dem["elevation"].astype(float)
        cell_m = np.array([abs(float(dem["dy"])) * 110_900, abs(float(dem["dx"])) * 111_300 * np.cos(np.radians(36.5))])
    refined = RectBivariateSpline(*map(np.arange, coarse.shape), coarse)

    def around_dam(n: int, spacing_m: float) -> np.ndarray:
        rows, cols = (
            centre + (np.arange(n) - (n - 1) / 2) * spacing_m / width
            for centre, width in zip(character.site, cell_m, strict=True)
        )
        if rows[0] < 0 or cols[0] < 0 or rows[-1] > coarse.shape[0] - 1 or cols[-1] > coarse.shape[1] - 1:
            raise LevelError(
                f"a site at {character.site} with {size} pixels found, one inside the DEM expected. Move it."
            )
        return refined(rows, cols)

    n = (size + 2) * SUBPIXELS
    elevation = around_dam(n, PIXEL_M / SUBPIXELS)
    surround = around_dam(size + 2 + 2 * SURROUND_PIXELS, PIXEL_M)
    rough = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(n, n)), 30 / PIXEL_M * SUBPIXELS / 2)
    elevation += rough * ROUGHNESS_M / rough.std()
    edge = np.ones((n, n), bool)
    edge[1:-1, 1:-1] = False
    foot = elevation[edge].min()
    elevation, surround = elevation - foot, surround - foot
    full = character.full_m
    elevation = np.where(elevation < full, full - (full - elevation) * character.bank_factor, elevation)
    pool = np.argmin(np.where(edge, elevation, np.inf))
    elevation[edge] = np.maximum(elevation[edge], character.dam_m)  # the wall
    inside = np.unravel_index(pool, elevation.shape)
    pool = tuple(np.clip(inside, 1, n - 2))
    waterline = pyflwdir.dem.fill_depressions(
        elevation.astype(np.float32), idxs_pit=np.array([np.ravel_multi_index(pool, elevation.shape)], np.int32)
    )[0]
    surround[SURROUND_PIXELS:-SURROUND_PIXELS, SURROUND_PIXELS:-SURROUND_PIXELS] = _by_pixel(elevation)
    return Valley(elevation, waterline.astype(float), full, surround)


def daily_level(character: Character, ground: Valley, random_state: int = 0) -> pd.DataFrame:
    """Level of every day, from what flows in, what is taken, and what spills.

    Inflow follows the season, the water year (from October) and the weather. The operators take what the season usually
    brings, and a little more or less to return to a level that is higher after the season of inflow than before it.
    They take less when little is left, and in one autumn of four they draw down for works. What doesn't fit in spills.
    Levels stay within `range_m` of the full one.

    Returns
    -------
    DataFrame
        By date: `level_m`, above the foot of the dam; `recent_m`, the highest level of the last `DRYING_DAYS`;
        `inflow`, relative to its mean.
    """
    rng = _rng(character, random_state, 1)
    dates = pd.date_range(FIRST_DAY, LAST_DAY, name="date")
    season = 2 * np.pi * dates.day_of_year.to_numpy() / 365
    year = (dates + pd.Timedelta(days=92)).year.to_numpy() - dates.year[0]
    wet = rng.lognormal(0, 0.4, year.max() + 1)[year]
    weather = ndimage.gaussian_filter1d(rng.normal(size=len(dates)), 5)
    since_peak = season - 2 * np.pi * character.inflow_peak / 365
    usual = (1 + np.cos(since_peak)) ** 2 / 1.5  # 1 on average
    inflow = usual * wet * np.exp(1.2 * weather / weather.std() - 0.7)
    inflow /= inflow.mean()
    aimed = AIMED_AT + AIMED_SWING * np.cos(since_peak - np.pi / 4)
    works = (rng.random(year.max() + 1) < 0.25)[year] & (dates.month.to_numpy() == 10)
    levels = np.linspace(ground.full_m - character.range_m, ground.full_m, 200)
    storage = np.concatenate([[0], np.cumsum(ground.area_km2(levels))[:-1]])
    storage /= storage[-1]
    held = np.empty(len(dates))
    now = 0.7
    for i in range(len(dates)):
        taken = max(0, usual[i] + now - aimed[i] + 3 * works[i]) * min(1, now / CURTAILED_BELOW)
        spilled = max(0, (inflow[i] - taken) * (now - SPILLS_ABOVE) / (1 - SPILLS_ABOVE)) if now > SPILLS_ABOVE else 0
        now = np.clip(now + (inflow[i] - taken - spilled) / character.storage_days, 0, 1)
        held[i] = now
    level_m = pd.Series(np.interp(held, storage, levels), dates)
    recent_m = level_m.rolling(DRYING_DAYS, min_periods=1).max()
    return pd.DataFrame({"level_m": level_m, "recent_m": recent_m, "inflow": inflow})


def simulate(
    character: Character, sensor: str = "sentinel2", *, size: int = 64, n: int | None = None, random_state: int = 0
) -> Scenes:
    """See a reservoir at random dates.

    Parameters
    ----------
    character : Character
        One of `CHARACTERS`, or changed by `dataclasses.replace`.
    sensor : "sentinel2" or "sentinel1"
    size : int
        Pixels along an edge.
    n : int, optional
        Scenes; by default the character's number.
    random_state : int
        Of weather, operation, dates and noise; the land is always the same.

    Returns
    -------
    Scenes
        Levels are exact. `cloudy` is what a mask would say: thin cloud and the shadows of clouds escape it.

    Raises
    ------
    LevelError
        If there is no such sensor, or there aren't as many days.
    """
    if sensor not in ("sentinel1", "sentinel2"):
        raise LevelError(f"sensor {sensor!r} found, sentinel1 or sentinel2 expected.")
    optical = sensor == "sentinel2"
    ground = valley(character, size)
    days = daily_level(character, ground, random_state)
    rng = _rng(character, random_state, 2 if optical else 3)
    possible = days.index
    if character.gap:
        possible = possible[(possible.year < character.gap[0]) | (possible.year > character.gap[1])]
    if character.gauge_freezes:
        possible = possible[~possible.month.isin(ICE_MONTHS)]
    if n is None:
        n = character.n_optical if optical else character.n_radar
    if not 1 <= n <= len(possible):
        raise LevelError(f"{n} scenes of {len(possible)} days found, 1 to {len(possible)} expected.")
    dates = possible[np.sort(rng.choice(len(possible), n, replace=False))]
    land = _Land(character, ground, size)
    see = land.seen_by_sentinel2 if optical else land.seen_by_sentinel1
    images, cloudy = zip(*(see(days.loc[date], date, rng) for date in dates), strict=True)
    return Scenes(
        np.stack(images).astype(np.float32),
        np.stack(cloudy),
        dates,
        days.loc[dates, "level_m"].to_numpy() - ground.full_m + character.base_m,
        OPTICAL if optical else radar.BANDS,
        (PIXEL_M, PIXEL_M),
        pd.DataFrame(columns=["date", "file", "reason"]),
    )


class _Land:
    """What stays the same from date to date, on pixels with a margin of one."""

    def __init__(self, character: Character, ground: Valley, size: int):
        self.character, self.ground, self.size = character, ground, size
        self.elevation_m = _by_pixel(ground.elevation_m)
        rng = np.random.default_rng(0)
        shape = self.elevation_m.shape
        patches = ndimage.gaussian_filter(rng.normal(size=shape), 3)
        self.vegetated = patches < np.quantile(patches, character.vegetation)
        rooted_m = ground.full_m - character.flooded_vegetation
        self.rooted = self.vegetated & (self.elevation_m > rooted_m) & (character.flooded_vegetation > 0)
        variation = np.exp(rng.normal(0, 0.08, shape))
        index = [SPECTRAL_BANDS.index(band) for band in OPTICAL]
        mean = {
            name: draw_spectra(name, 200, 0)[:, index].mean(axis=0) for name in ("water", "green space", "construction")
        }
        self.water = mean["water"]
        self.green = mean["green space"][:, None, None] * variation
        self.bare = mean["construction"][:, None, None] * variation

    def shares(self, day: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each pixel: under water, mud, and dry ground that is under water at the full level."""
        up_to = [_by_pixel(self.ground.waterline_m <= m) for m in (day["level_m"], day["recent_m"], self.ground.full_m)]
        return up_to[0], up_to[1] - up_to[0], up_to[2] - up_to[1]

    def surface(self, level_m: float, wet: np.ndarray) -> np.ndarray:
        """Elevation of the land and of the water, with the hills around."""
        surround = self.ground.surround_m.copy()
        inner = surround[SURROUND_PIXELS:-SURROUND_PIXELS, SURROUND_PIXELS:-SURROUND_PIXELS]
        inner[wet > 0.5] = level_m
        return surround

    def frozen(self, date: pd.Timestamp) -> bool:
        return self.character.freezes and date.month in ICE_MONTHS

    def seen_by_sentinel2(
        self, day: pd.Series, date: pd.Timestamp, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        wet, mud, dry = self.shares(day)
        depth_m = np.clip(day["level_m"] - self.elevation_m, 0, None)
        season = 2 * np.pi * date.day_of_year / 365
        greenness = self.vegetated * (0.75 + 0.25 * np.cos(season - 2.8))
        land = self.green * greenness + self.bare * (1 - greenness)
        wet_ground, dry_ground = (np.where(self.rooted, land, ground) for ground in (0.7 * self.bare, self.bare))
        margin = 0.5 * np.exp(-depth_m / 0.7) * self.character.shallow_colour
        turbid = np.clip(0.08 * day["inflow"] * rng.lognormal(0, 0.5) + margin, 0, 1)
        water = np.empty_like(land)
        tint = rng.lognormal(0, 0.2)
        for i, band in enumerate(OPTICAL):
            column = self.water[i] * tint * (1 - turbid) + TURBID_REFLECTANCE[band] * turbid
            through = np.exp(-ATTENUATION_PER_M[band] * depth_m) * self.character.shallow_colour
            water[i] = column * (1 - through) + wet_ground[i] * through
        standing = 0.5 * self.rooted
        water = self.green * standing + water * (1 - standing)
        if self.frozen(date):
            snow = np.reshape(list(SNOW_REFLECTANCE.values()), (3, 1, 1))
            ice = np.reshape(list(ICE_REFLECTANCE.values()), (3, 1, 1))
            on_ice, on_land = rng.uniform(0, 1), rng.uniform(0, 0.9)
            water = snow * on_ice + ice * (1 - on_ice) + 0 * land
            land, wet_ground, dry_ground = (
                snow * on_land + ground * (1 - on_land) for ground in (land, wet_ground, dry_ground)
            )
        scene = water * wet + wet_ground * mud + dry_ground * dry + land * (1 - wet - mud - dry)
        sun = sun_at(self.character.latitude_deg, date.day_of_year, OVERPASS_HOUR)
        if rng.random() < 0.3:  # the shadow of a cloud beyond the scene, which no mask finds
            scene = clouds.shaded(scene, clouds.cloud(wet.shape, rng.uniform(0.02, 0.1), rng), sun, OPTICAL)
        around = np.pad(scene, ((0, 0), *[(SURROUND_PIXELS, SURROUND_PIXELS)] * 2))
        seen, _ = illuminate(around, self.surface(day["level_m"], wet), PIXEL_M, PIXEL_M, sun, OPTICAL)
        seen = seen[:, SURROUND_PIXELS:-SURROUND_PIXELS, SURROUND_PIXELS:-SURROUND_PIXELS]
        seen = seen + clouds.haze(OPTICAL, rng.exponential(HAZE_DEPTHS))
        cloudy = np.zeros(wet.shape, bool)
        if rng.random() < 0.3:  # a cloud that the mask finds
            thick = clouds.cloud(wet.shape, rng.uniform(0.02, 0.1), rng)
            cloudy = thick > 0.3
            seen = clouds.covered(seen, thick)
        if rng.random() < self.character.undetected_cloud:
            seen = clouds.covered(seen, 0.4 * clouds.cloud(wet.shape, rng.uniform(0.1, 0.5), rng))
        seen = self._displaced(seen, rng) + rng.normal(0, SENSOR_NOISE, (3, self.size, self.size))
        return np.clip(seen, 0, None), cloudy[1:-1, 1:-1]

    def seen_by_sentinel1(
        self, day: pd.Series, date: pd.Timestamp, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        wet, mud, dry = self.shares(day)
        wind_db = np.array(radar.WIND_DB) * rng.beta(1, 2)
        water = radar.power("ice") if self.frozen(date) else radar.power("water") * 10 ** (wind_db / 10)
        steep = radar.slope_brightness(np.where(wet > 0.5, day["level_m"], self.elevation_m), PIXEL_M)
        scene = np.empty((2, *wet.shape))
        for i in range(2):
            vegetation, ground, smooth, flooded = (
                radar.power(name)[i] for name in ("vegetation", "ground", "mud", "flooded vegetation")
            )
            land = np.where(self.vegetated, vegetation, ground)
            under = np.where(self.rooted, flooded, water[i])
            mud_there, dry_there = (np.where(self.rooted, vegetation, cover) for cover in (smooth, ground))
            scene[i] = under * wet + steep * (mud_there * mud + dry_there * dry + land * (1 - wet - mud - dry))
        scene = ndimage.gaussian_filter(scene, (0, 0.8, 0.8))  # 20 m by 22 m
        scene = radar.measured(self._displaced(scene, rng), rng)
        return 10 * np.log10(scene), np.zeros(scene.shape[1:], bool)

    def _displaced(self, scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        by = rng.uniform(-1, 1, 2) * self.character.jitter_pixels
        return ndimage.shift(scene, (0, *by), order=1, mode="nearest")[:, 1:-1, 1:-1]


def _rng(character: Character, random_state: int, purpose: int) -> np.random.Generator:
    """Each reservoir has a weather of its own."""
    return np.random.default_rng([random_state, purpose, zlib.crc32(character.name.encode())])


def _by_pixel(fine: np.ndarray) -> np.ndarray:
    n = len(fine) // SUBPIXELS
    return fine.reshape(n, SUBPIXELS, n, SUBPIXELS).mean(axis=(1, 3))
