"""A simulated Europe: Sentinel-2 L1C patches with fields whose outlines are known.

A patch is a mosaic of land cover. On cropland, blocks between roads are cut into parallel strips and these into fields;
each grows one crop. Crops, meadows and trees follow the climate of their place and day (`millpond.normalization.
climate`), the ground is seen through the air (`millpond.simulation.atmosphere`), and a few roofs glitter until the
instrument saturates. Everything is built in, and fixed before any experiment. Reflectances of the materials were set so
that land cover looks at the top of the simulated atmosphere as in the real L1C scenes that are at hand, see chapter 3.

What is left out: relief, coasts, shadows, view angles, the overlap of detectors, and how landscapes really come about.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform
from scipy import ndimage

from millpond.files import replacing
from millpond.normalization import climate
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import DEFAULT_BANDS
from millpond.raster import check_written
from millpond.simulation.atmosphere import MIN_SUN_ELEVATION_DEG, saturated, top_of_atmosphere
from millpond.simulation.clouds import cloud, covered
from millpond.simulation.illumination import TURBIDITY, Sun, sun_at

PIXEL_M = 10.0
EUROPE = {"latitude_deg": (36.0, 66.0), "longitude_deg": (-10.0, 50.0)}
NODE_SOLAR_HOUR, INCLINATION_DEG = 10.5, 98.62
"""Sentinel-2 crosses the equator at half past ten, and other latitudes of its southward pass later in the day."""

MECHANISMS = ("sun", "season", "cover", "soil", "passes")
"""Ways in which a place's latitude can tell; each can be switched off. "passes" is which days clouds and sun leave."""

CLOUD, SNOW = 1, 2
"""Values of a patch's mask."""

MATERIALS = {
    "leaf": ((0.022, 0.048, 0.026, 0.41), 0.12),
    "canopy": ((0.011, 0.027, 0.014, 0.25), 0.15),
    "bark": ((0.028, 0.042, 0.056, 0.11), 0.15),
    "straw": ((0.070, 0.105, 0.150, 0.26), 0.12),
    "soil": ((0.052, 0.077, 0.107, 0.16), 0.30),
    "roof": ((0.085, 0.095, 0.105, 0.15), 0.35),
    "rock": ((0.120, 0.150, 0.180, 0.23), 0.20),
    "water": ((0.045, 0.050, 0.035, 0.016), 0.40),
    "marsh": ((0.030, 0.042, 0.042, 0.09), 0.20),
    "snow": ((0.75, 0.76, 0.76, 0.72), 0.10),
}
"""Median reflectance in B02, B03, B04 and B08, and the standard deviation of its logarithm, alike in all bands."""

CROPS = {
    # share of the fields, degree days, green share, share of straw; the rest is soil
    "winter cereal": (0.38, (0, 100, 350, 1000, 1400, 1700, 2100), (0.15, 0.3, 0.9, 0.9, 0.1, 0.0, 0.0), 4),
    "rape": (0.10, (0, 60, 250, 800, 1150, 1400, 1800), (0.3, 0.45, 0.9, 0.9, 0.1, 0.0, 0.0), 4),
    "summer crop": (0.27, (0, 350, 450, 900, 1600, 2000, 2400), (0.05, 0.05, 0.1, 0.9, 0.8, 0.1, 0.0), 5),
    "ley": (0.17, None, None, None),
    "fallow": (0.08, (0, 300, 900, 1500, 2200, 2600, 3000), (0.1, 0.2, 0.45, 0.3, 0.2, 0.15, 0.1), 2),
}
"""The last number is the knot from which on what isn't green is straw until the field is tilled."""

SOWN_IN_AUTUMN = ("winter cereal", "rape")

COVER = {  # ESA WorldCover's code: score at 48 N, and what a degree to the north adds
    10: (0.55, 0.035),
    20: (-1.2, -0.06),
    30: (0.25, 0.01),
    40: (0.2, -0.01),
    50: (-1.15, 0.0),
    60: (-1.9, -0.05),
    80: (-1.15, 0.03),
    90: (-1.7, 0.04),
}
"""Trees, shrubland, grassland, cropland, built-up, bare, water, wetland: the largest sum of score and noise wins."""

SOIL_TREND_PER_DEG = 0.03
"""Relative brightness of soil that a degree to the south adds: a guess, for dry soils are brighter."""

GLINT_SHARE = 3e-4
"""Share of built-up pixels in which a roof throws the sun into the instrument."""

_COVER_SCALE = 24  # pixels: how far land cover is alike
_MIN_PARCEL_PIXELS = 25


@dataclass(frozen=True)
class Patch:
    """A simulated image and its truth.

    Attributes
    ----------
    dn : (4, rows, cols) uint16 array
        Digital numbers of B02, B03, B04, B08 without radiometric offset.
    land_cover : (rows, cols) uint8 array
        ESA WorldCover's codes.
    parcels : (rows, cols) int32 array
        Numbers of the fields from 1; 0 where there is none.
    mask : (rows, cols) uint8 array
        `CLOUD`, `SNOW`, or 0. As a mask would: its edges are a little off, and thin cloud escapes it.
    latitude_deg, longitude_deg : float
    acquired : datetime.date
    sun : Sun
    """

    dn: np.ndarray
    land_cover: np.ndarray
    parcels: np.ndarray
    mask: np.ndarray
    latitude_deg: float
    longitude_deg: float
    acquired: date
    sun: Sun


def simulate_patch(
    latitude_deg: float,
    longitude_deg: float,
    day_of_year: int,
    *,
    size: int = 256,
    rng: np.random.Generator,
    cloud_share: float = 0.0,
    without: tuple[str, ...] = (),
) -> Patch:
    """Simulate one patch.

    Parameters
    ----------
    latitude_deg, longitude_deg : float
        Meant for Europe (`EUROPE`).
    day_of_year : int
    size : int
        Rows and columns of 10 m.
    rng : numpy.random.Generator
    cloud_share : float
        About this share lies below clouds.
    without : tuple of str
        Names in `MECHANISMS` that act as at 48 N wherever the patch lies. The day is given, so "passes" changes nothing
        here. Whatever is switched off, all that doesn't depend on it stays as it is, noise included.

    Raises
    ------
    NormalizationError
        If a mechanism is unknown or the patch too small.
    SimulationError
        If the sun stands too low.
    """
    if unknown := set(without) - set(MECHANISMS):
        raise NormalizationError(
            f"mechanisms {', '.join(sorted(unknown))} found, some of {', '.join(MECHANISMS)} expected. Name these."
        )
    if size < 32:
        raise NormalizationError(f"a patch of {size} pixels found, at least 32 expected. Make it larger.")
    mosaic_rng, ground_rng, snow_rng, air_rng, cloud_rng, noise_rng = rng.spawn(6)
    at = {name: climate.REFERENCE_LATITUDE_DEG if name in without else latitude_deg for name in MECHANISMS}
    sun = sun_at_pass(at["sun"], day_of_year)
    land_cover, parcels, margin = _mosaic(at["cover"], size, mosaic_rng)
    ground = _ground(land_cover, parcels, margin, at, longitude_deg, day_of_year, ground_rng)
    snow = snow_rng.random() < climate.snow_chance(at["season"], longitude_deg, day_of_year)
    if snow:
        cover = np.clip(0.75 + 0.35 * _smooth(1, size, 16, snow_rng)[0], 0, 1) * np.where(land_cover == 10, 0.45, 1.0)
        ground += cover * (_draw("snow", 1, snow_rng)[0][:, None, None] - ground)
    turbidity = TURBIDITY * np.exp(0.5 * air_rng.standard_normal())
    seen = top_of_atmosphere(_blurred(ground), sun, DEFAULT_BANDS, turbidity)
    mask = np.full((size, size), SNOW if snow else 0, np.uint8)
    if cloud_share > 0:
        opacity = cloud((size, size), cloud_share, cloud_rng)
        seen = covered(seen, opacity)
        mask[ndimage.uniform_filter((opacity > 0.3).astype(np.float32), 5) > 0.2] = CLOUD
    seen += noise_rng.standard_normal(seen.shape, np.float32) * (0.0008 + 0.004 * seen)  # the instrument's
    seen = saturated(seen, sun, DEFAULT_BANDS)
    return Patch(
        dn=np.clip(np.rint(seen * 10_000), 1, 65535).astype(np.uint16),
        land_cover=land_cover,
        parcels=parcels,
        mask=mask,
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        acquired=date(2021, 1, 1) + timedelta(days=int(day_of_year) - 1),
        sun=sun,
    )


def draw_places(
    n: int, rng: np.random.Generator, latitude_deg: tuple[float, float] = EUROPE["latitude_deg"]
) -> np.ndarray:
    """(n, 2) latitudes and longitudes, spread over `EUROPE`, or a belt of it, as over a globe."""
    south, north = np.sin(np.radians(latitude_deg))
    latitude = np.degrees(np.arcsin(rng.uniform(south, north, n)))
    return np.column_stack([latitude, rng.uniform(*EUROPE["longitude_deg"], n)])


def draw_clear_day(latitude_deg: float, rng: np.random.Generator, days: tuple[int, int] = (1, 365)) -> int:
    """A day of the year on which a pass is clear enough and the sun high enough, drawn until there is one.

    Parameters
    ----------
    latitude_deg : float
    rng : numpy.random.Generator
    days : (int, int)
        First and last day to draw from.

    Raises
    ------
    NormalizationError
        If the sun is high enough on no day of the range.
    """
    # From the middle on, where the sun is soon found in most ranges.
    in_order = sorted(range(days[0], days[1] + 1), key=lambda day: abs(day - sum(days) / 2))
    if not any(sun_at_pass(latitude_deg, day).elevation_deg >= MIN_SUN_ELEVATION_DEG for day in in_order):
        raise NormalizationError(
            f"days {days[0]} to {days[1]} at a latitude of {latitude_deg:g} degrees found, one or more on which the "
            f"sun stands at {MIN_SUN_ELEVATION_DEG:g} degrees or higher expected. Choose other days or "
            "another latitude."
        )
    while True:
        day = int(rng.integers(days[0], days[1] + 1))
        high = sun_at_pass(latitude_deg, day).elevation_deg >= MIN_SUN_ELEVATION_DEG
        if rng.random() > climate.cloud_chance(latitude_deg, day) and high:
            return day


def sun_at_pass(latitude_deg: float, day_of_year: int) -> Sun:
    """Where the sun stands when Sentinel-2 passes southward."""
    tilt = np.tan(np.radians(INCLINATION_DEG - 90))
    later = np.degrees(np.arcsin(np.tan(np.radians(latitude_deg)) * tilt)) / 15
    return sun_at(latitude_deg, day_of_year, NODE_SOLAR_HOUR + float(later))


def _smooth(n: int, size: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """(n, size, size) noise of unit variance that is alike over about `scale` pixels: a sum of Gaussian bumps."""
    centres = np.arange(-2 * scale, size + 2 * scale + 1, scale)
    bumps = np.exp(-(((np.arange(size)[:, None] - centres) / scale) ** 2)).astype(np.float32)
    bumps /= np.sqrt((bumps**2).sum(axis=1, keepdims=True))
    return bumps @ rng.standard_normal((n, len(centres), len(centres)), np.float32) @ bumps.T


def _mosaic(latitude_deg: float, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Land cover, fields, and where their margins lie (0 none, 1 track, 2 hedge, 3 road); each (size, size)."""
    codes = np.array(list(COVER), np.uint8)
    north = latitude_deg - climate.REFERENCE_LATITUDE_DEG
    score = np.array([at_48 + degree * north for at_48, degree in COVER.values()], np.float32)
    # Besides the smooth noise, a patch as a whole leans to some of the classes: plains, uplands, lakes.
    score = score + 0.9 * rng.standard_normal(len(codes), np.float32)
    fields = _smooth(len(codes), size, _COVER_SCALE, rng) + score[:, None, None]
    crop = int(np.flatnonzero(codes == 40)[0])
    land_cover = codes[fields.argmax(axis=0)]

    number, block, block_edge, edge = _cut(size, rng)
    # A field is cropland as a whole, or not at all: its outline is straight, not that of the noise.
    n = int(number.max()) + 1
    pixels = np.bincount(number.ravel(), minlength=n)
    share = np.bincount(number.ravel(), weights=(land_cover == 40).ravel(), minlength=n) / pixels
    tilled = (share > 0.5) & (pixels >= _MIN_PARCEL_PIXELS)
    others = np.delete(fields, crop, axis=0).argmax(axis=0)
    land_cover = np.where(tilled[number], np.uint8(40), np.delete(codes, crop)[others])
    kept = np.cumsum(tilled) * tilled
    parcels = kept[number].astype(np.int32)
    # What runs between fields: in each block a track, a hedge or nothing but the change of crop; roads between blocks.
    between = rng.choice(3, p=(0.35, 0.4, 0.25), size=int(block.max()) + 1)
    margin = np.where(block_edge, 3, np.where(edge, between[block], 0)) * (parcels > 0)
    return land_cover, parcels, margin


def _cut(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of fields and blocks, and the pixels on the edges of blocks and of fields; each (size, size)."""
    side_m = size * PIXEL_M
    field_ha = np.exp(np.log(3.0) + 0.7 * rng.standard_normal())  # a region's usual size
    rows, cols = np.mgrid[:size, :size].astype(np.float32) * PIXEL_M
    bend = _smooth(2, size, 32, rng) * 40
    y, x = rows + bend[0], cols + bend[1]
    n_blocks = max(3, int((side_m + 1200) ** 2 / 600_000))
    seeds = rng.uniform(-600, side_m + 600, (n_blocks, 2)).astype(np.float32)
    block = np.argmin((y[None] - seeds[:, 0, None, None]) ** 2 + (x[None] - seeds[:, 1, None, None]) ** 2, axis=0)

    angle = rng.uniform(0, np.pi, n_blocks)
    hectares = np.exp(np.log(field_ha) + 0.4 * rng.standard_normal(n_blocks))
    stretch = np.exp(rng.uniform(0, 1.2, n_blocks))  # length over width of a field
    width = np.sqrt(hectares * 10_000 / stretch)
    cos, sin = np.cos(angle)[block], np.sin(angle)[block]
    across = ((cos * x + sin * y) / width[block]).astype(np.float32)
    strip = np.floor(across).astype(np.int64)
    # The cuts of a strip begin somewhere else than those of the next one.
    phase = ((strip * 0.618034 + block * 0.414214) % 1).astype(np.float32)
    along = np.floor((cos * y - sin * x) / (width * stretch)[block] + phase).astype(np.int64)
    key = (block * 4096 + strip % 4096) * 4096 + along % 4096
    number = np.unique(key, return_inverse=True)[1].reshape(size, size)
    return number, block, _edge(block), _edge(number)


def _edge(labels: np.ndarray) -> np.ndarray:
    """Pixels that share an edge with one of another label."""
    on_edge = np.zeros(labels.shape, bool)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = labels[here] != labels[there]
        on_edge[here] |= differs
        on_edge[there] |= differs
    return on_edge


def _draw(material: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, n_bands) reflectance of n pieces of ground: bright or dark as a whole, and a little of another colour."""
    median, spread = MATERIALS[material]
    noise = spread * rng.standard_normal((n, 1)) + 0.3 * spread * rng.standard_normal((n, len(median)))
    return (np.array(median) * np.exp(noise)).astype(np.float32)


def _ground(land_cover, parcels, margin, at, longitude_deg, day_of_year, rng) -> np.ndarray:
    """(n_bands, rows, cols) reflectance of the ground."""
    size = len(land_cover)
    where = (at["season"], longitude_deg, day_of_year)
    # Each on its own: how many fields there are must not change what the rest is made of.
    material_rng, field_rng, texture_rng = rng.spawn(3)
    texture = _smooth(2, size, 3, texture_rng)
    brightness = (1 + 0.06 * texture[0])[..., None]
    # Dry soils of the south hold less humus and are brighter.
    soil = _draw("soil", 1, material_rng)[0] * np.exp(
        SOIL_TREND_PER_DEG * (climate.REFERENCE_LATITUDE_DEG - at["soil"])
    )
    rock, leaf, straw = (_draw(material, 1, material_rng)[0] for material in ("rock", "leaf", "straw"))
    grass = climate.grass_cover(*where)

    green, dry = _field_covers(int(parcels.max()) + 1, where, grass, field_rng)
    n = len(green)
    leaves = leaf * np.exp(0.12 * field_rng.standard_normal((n, 1)))
    soils = soil * np.exp(0.10 * field_rng.standard_normal((n, 1)))
    straws = straw * np.exp(0.10 * field_rng.standard_normal((n, 1)))
    fields = green[:, None] * leaves + dry[:, None] * straws + (1 - green - dry)[:, None] * soils

    deciduous = material_rng.beta(2, 2)
    bare_crowns = deciduous * (1 - climate.leaf_cover(*where))
    trees = (1 - bare_crowns) * _draw("canopy", 1, material_rng)[0] + bare_crowns * _draw("bark", 1, material_rng)[0]
    meadow = grass * leaf * 0.85 + (1 - grass) * (0.6 * straw + 0.4 * soil)
    surfaces = {
        10: trees,
        20: 0.4 * trees + 0.25 * meadow + 0.35 * soil,
        30: meadow,
        50: 0.6 * _draw("roof", 1, material_rng)[0] + 0.25 * meadow + 0.15 * trees,
        60: 0.7 * rock + 0.3 * soil,
        80: _draw("water", 1, material_rng)[0],
        90: 0.6 * _draw("marsh", 1, material_rng)[0] + 0.4 * meadow,
    }
    by_code = np.zeros((max(COVER) + 1, 4), np.float32)
    for code, reflectance in surfaces.items():
        by_code[code] = reflectance
    ground = by_code[land_cover]
    tilled = parcels > 0
    ground[tilled] = fields[parcels[tilled]]
    # Land isn't even: moisture and growth vary within fields, crowns and roofs from pixel to pixel.
    rough = np.zeros(max(COVER) + 1, np.float32)
    rough[[10, 20, 30, 50, 60, 90]] = (0.12, 0.12, 0.08, 0.3, 0.12, 0.1)
    ground *= brightness * np.exp(rough[land_cover] * texture_rng.standard_normal((size, size), np.float32))[..., None]
    # Greener here, barer there: what the near infrared gains the red loses.
    ground *= 1 + 0.07 * texture[1][..., None] * np.array([-0.5, -0.3, -0.8, 1.0], np.float32)

    strip = {1: 0.5 * meadow + 0.5 * soil, 2: 0.6 * trees + 0.4 * meadow, 3: 0.6 * by_code[50] + 0.4 * soil}
    for kind, reflectance in strip.items():
        part = material_rng.uniform(0.2, 0.5)  # of the pixels on either side: a strip of 4 to 10 m
        there = margin == kind
        ground[there] += part * (reflectance - ground[there])
    glint = (land_cover == 50) & (texture_rng.random((size, size), np.float32) < GLINT_SHARE)
    ground[glint] = np.exp(texture_rng.normal(0.0, 0.8, (int(glint.sum()), 1)))
    return np.moveaxis(ground, -1, 0)


def _field_covers(n: int, where: tuple, grass: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Green share and share of straw of n fields, (n,) each."""
    names = list(CROPS)
    crop = rng.choice(len(names), p=[CROPS[name][0] for name in names], size=n)
    sums = climate.degree_days(*where) + rng.normal(0, 130, n)
    latitude_deg, _, day_of_year = where
    winter = rng.uniform(0.15, 0.4, n)  # what was sown in autumn covers by the new year
    green, dry = np.empty(n, np.float32), np.zeros(n, np.float32)
    for i, name in enumerate(names):
        _, knots, cover, turn = CROPS[name]
        mine = crop == i
        if knots is None:
            green[mine] = grass * rng.uniform(0.8, 1.15, mine.sum())
            dry[mine] = 0.6 * (1 - green[mine])
            continue
        green[mine] = np.interp(sums[mine], knots, cover)
        if name in SOWN_IN_AUTUMN:
            green[mine] = np.where(sums[mine] < knots[2], np.maximum(green[mine], winter[mine]), green[mine])
        # Stubble stays for a while after the harvest; tillage comes at another time in each field.
        tilled = knots[turn] + rng.uniform(200, 900, mine.sum())
        stubble = (sums[mine] > knots[turn - 1]) & (sums[mine] < tilled) & (day_of_year < climate.HARVEST_OVER)
        dry[mine] = np.where(stubble, 0.8 * (1 - green[mine]), 0)
    # Summer crops suffer from drought where they aren't watered; half of the fields are.
    thirsty = (crop == names.index("summer crop")) & (rng.random(n) < 0.5)
    green[thirsty] *= 1 - 0.5 * climate.drought(latitude_deg, day_of_year)
    if day_of_year >= climate.HARVEST_OVER:
        # All crops are off; winter cereals and rape have been sown for the next year.
        sown = np.isin(crop, [names.index(name) for name in SOWN_IN_AUTUMN])
        gone = crop != names.index("ley")
        growth = np.clip((day_of_year - climate.HARVEST_OVER + 20) / 60, 0, 1) * winter
        green[gone] = np.where(sown, growth, 0.05)[gone]
    return np.clip(green, 0, 0.95), dry


def _blurred(ground: np.ndarray) -> np.ndarray:
    """What the optics mix: about a seventh of a pixel's light comes from each of its neighbours along an axis."""
    kernel = np.array([0.14, 0.72, 0.14], np.float32)
    for axis in (1, 2):
        ground = ndimage.convolve1d(ground, kernel, axis=axis, mode="nearest")
    return ground


def write_patch(patch: Patch, folder: str | Path, name: str) -> Path:
    """Write a patch as the GeoTIFFs that `millpond normalize stats` reads.

    The image is `NAME.tif` with named bands and the tags `ACQUIRED` and `RADIO_ADD_OFFSET`; beside it lie
    `NAME_landcover.tif`, `NAME_mask.tif` and `NAME_parcels.tif`. The grid is that of the place's UTM zone.

    Returns
    -------
    Path
        Of the image.
    """
    size = patch.dn.shape[1]
    crs = f"EPSG:{32601 + int((patch.longitude_deg + 180) // 6)}"
    (x,), (y,) = transform("EPSG:4326", crs, [patch.longitude_deg], [patch.latitude_deg])
    half = size * PIXEL_M / 2
    grid = {
        "driver": "GTiff",
        "height": size,
        "width": size,
        "crs": crs,
        "transform": Affine(PIXEL_M, 0, round(x - half, -1), 0, -PIXEL_M, round(y + half, -1)),
        "compress": "deflate",
    }
    image = Path(folder) / f"{name}.tif"
    for path, layers, nodata in (
        (image, patch.dn, 0),
        (image.with_name(f"{name}_landcover.tif"), patch.land_cover[None], 0),
        (image.with_name(f"{name}_mask.tif"), patch.mask[None], None),
        (image.with_name(f"{name}_parcels.tif"), patch.parcels[None], None),
    ):
        profile = grid | {"count": len(layers), "dtype": layers.dtype, "nodata": nodata}
        with replacing(path, NormalizationError) as unfinished:
            with rasterio.open(unfinished, "w", **profile) as file:
                file.write(layers)
                if path == image:
                    file.descriptions = DEFAULT_BANDS
                    file.update_tags(ACQUIRED=patch.acquired.isoformat(), RADIO_ADD_OFFSET="0")
            check_written(unfinished, path)
    return image
