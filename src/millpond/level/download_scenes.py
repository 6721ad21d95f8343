"""Images from their publishers, written so that `read_scenes` can read them.

They come from a STAC catalogue: Sentinel-2 L2A, and Sentinel-1 RTC. The study took Sentinel-1 GRD as Google Earth
Engine prepares it, with the geometry of the terrain corrected; radiometrically terrain corrected gamma nought is the
nearest product that is open and ready. The default catalogue is Microsoft's Planetary Computer: it has both, worldwide
and from 2016 on, asks for no account, and its metadata tell which digital numbers are shifted. Element 84's Earth
Search (https://earth-search.aws.element84.com/v1) has Sentinel-2 too, but some of its items are wrong about the shift
(`_shift_dn`). The packages that this needs are the extra `download`.
"""

import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from rasterio.errors import RasterioError
from shapely import make_valid, union_all
from shapely.geometry import mapping, shape
from tqdm import tqdm

from millpond.downloads import RETRY, TIMEOUT_S
from millpond.files import make_folder, replacing
from millpond.level.errors import LevelError
from millpond.level.grid import MARGIN_M
from millpond.level.web import first_line, get_json, period_of, require
from millpond.raster import RasterError, check_written, open_raster
from millpond.sentinel2 import radiometric_offset

PLANETARY_COMPUTER = "https://planetarycomputer.microsoft.com/api/stac/v1"

TOKENS = {PLANETARY_COMPUTER: "https://planetarycomputer.microsoft.com/api/sas/v1/token"}
"""Where catalogues give out the tokens without which their images can't be read."""

PIXEL_M = 10
LARGEST_PIXELS = 5000
"""Along an edge; a place larger than this is a mistake, or no small reservoir."""

DARKEST_SHIFTED_DN = 500
"""Shifted digital numbers are hardly ever smaller: that would be a reflectance below -0.05."""

GDAL = {
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_LOW_SPEED_TIME": 20,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 100,  # bytes a second
    "GDAL_HTTP_TIMEOUT": TIMEOUT_S,  # of a request for a part of a file
    "GDAL_HTTP_MAX_RETRY": 2,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
"""GDAL's settings while images are read; by itself it waits for ever."""

_TOKEN_S = 20 * 60  # they last for 45 minutes at least
_PATIENCE = 3  # dates in a row that can't be read; then the last date tells whether others can
_WHOLE = 0.99  # share of the place that a day covers; footprints are coarse


@dataclass(frozen=True)
class _Product:
    """`assets` are the names of a band in several catalogues."""

    prefix: str
    collection: str
    assets: dict[str, tuple[str, ...]]
    dtype: str
    nodata: float


_PRODUCTS = {
    "sentinel2_l2a": _Product(
        "S2",
        "sentinel-2-l2a",
        {"B03": ("B03", "green"), "B04": ("B04", "red"), "B08": ("B08", "nir"), "SCL": ("SCL", "scl")},
        "uint16",
        0,
    ),
    "sentinel1_rtc": _Product("S1", "sentinel-1-rtc", {"VV": ("vv", "VV"), "VH": ("vh", "VH")}, "float32", np.nan),
}


class _UnknownShift(LevelError):
    """An item doesn't tell how its numbers are shifted; no later attempt will mend it."""


@dataclass(frozen=True)
class Downloaded:
    """What was downloaded.

    Files `written` and `kept` from before, how many days were too `cloudy`, why which days (or items, where the day is
    unknown) are `unusable` whenever they are asked for, and the relative `orbit` of radar.
    """

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    cloudy: int
    unusable: dict[str, str]
    orbit: int | None = None


def download_scenes(
    place: tuple[float, float] | str | Path,
    folder: str | Path,
    sensor: str,
    first: str | pd.Timestamp,
    last: str | pd.Timestamp,
    *,
    half_width_m: float = 2000.0,
    max_cloud: float | None = None,
    orbit: int | None = None,
    catalog: str = PLANETARY_COMPUTER,
    collection: str | None = None,
    progress: bool = False,
) -> Downloaded:
    """Download images of a place, a GeoTIFF a day.

    Files that are there already are kept and not read again. A file appears when it is complete, so a download that was
    stopped goes on where it was.

    Parameters
    ----------
    place : (longitude, latitude) in degrees, or path
        The centre of a square, or a polygon's file, of which `MARGIN_M` around are taken.
    folder : path
        Of the reservoir. Files are written into the folder `sensor` in it, as `read_scenes` expects: `S2_20200703.tif`
        or `S1_20200703.tif`. All are on one grid of `PIXEL_M` in UTM.
    sensor : "sentinel2_l2a" or "sentinel1_rtc"
        The bands are B03, B04, B08 (digital numbers; 0 is no data) and SCL; or VV and VH (gamma nought in dB; NaN is no
        data).
    first, last : str or Timestamp
        Days, both included. Days are those of solar time, and so those of the gauge beside the water.
    half_width_m : float
        Of the square around a point.
    max_cloud : float, optional
        Leave out days whose clearest tile has a larger share of clouds, if its metadata tell. A tile is 110 km wide, so
        this saves time and is no mask: `read_scenes` looks at the pixels.
    orbit : int, optional
        Relative orbit of Sentinel-1. Images of different orbits look from different sides and are not comparable. By
        default the one of the files that are there, or else the one that covers the whole place on most days.
    catalog, collection : str, optional
        Address of a STAC API, and the collection in it. Sentinel-1's has to hold linear power, and not the digital
        numbers of GRD.
    progress : bool
        Show a progress bar if there is a terminal.

    Returns
    -------
    Downloaded

    Notes
    -----
    Tiles of one day are put together: first those of our UTM zone, and of these the newest processing. The radiometric
    offset (`millpond.sentinel2`) is subtracted if the baseline has it and the publisher hasn't done it; what would be
    less than 1 then is 1. Each file's tags name its items, its time (UTC), and what was subtracted, and state that no
    offset is left (`BOA_ADD_OFFSET` 0).

    Raises
    ------
    LevelError
        If the place, the period or the sensor make no sense; if the catalogue can't be reached or has no usable image;
        if files in the folder are of another grid, collection or orbit; if images can't be read now. What doesn't come
        in time (`GDAL`) counts as not readable; an image that lacks bands or doesn't tell its offset is unusable, and
        no error beside others.
    """
    if sensor not in _PRODUCTS:
        raise LevelError(f"sensor {sensor!r} found, one of {', '.join(_PRODUCTS)} expected.")
    if orbit is not None and sensor != "sentinel1_rtc":
        raise LevelError(f"orbit {orbit} for {sensor} found, one for sentinel1_rtc alone expected. Leave it out.")
    product = _PRODUCTS[sensor]
    collection = collection or product.collection
    first, last = period_of(first, last)
    grid = _grid(place, half_width_m)
    items, unusable = _search(catalog, collection, grid, first, last)
    items, incomplete = _usable(items, product, catalog)
    target = Path(folder) / sensor
    earlier = _check_earlier(target, product, grid, collection, orbit)
    days, cloudy = _days(items, grid, first, last, max_cloud)
    known = _days(items, grid, first, last, None)[0]
    for day, found in _days(incomplete, grid, first, last, None)[0].items():
        missing = [band for band in product.assets if not any(band in _keys(item, product) for item in found)]
        if day not in known:
            unusable[f"{day:%Y-%m-%d}"] = f"no {', '.join(missing)}"
    if sensor == "sentinel1_rtc":
        days, orbit = _of_one_orbit(days, grid, orbit if earlier is None else earlier)
    make_folder(target, LevelError)
    paths = {day: target / f"{product.prefix}_{day:%Y%m%d}.tif" for day in days}
    kept = tuple(path for path in paths.values() if path.exists())
    written, failed, in_a_row = [], [], 0
    sign = _signing(catalog, collection)
    todo = deque(day for day in days if not paths[day].exists())
    bar = tqdm(total=len(todo), desc=sensor, unit="date", disable=None if progress else True)
    with bar, rasterio.Env(**GDAL):
        while todo and in_a_row <= _PATIENCE:
            day = todo.popleft() if in_a_row < _PATIENCE else todo.pop()
            try:
                image, tags = _mosaic(days[day], product, grid, sign)
            except _UnknownShift as error:
                unusable[f"{day:%Y-%m-%d}"] = str(error)
            except (LevelError, RasterioError, OSError, ValueError) as error:
                failed.append(f"{day:%Y-%m-%d} ({first_line(error)})")
                in_a_row += 1
            else:
                in_a_row = 0
                _write(paths[day], image, product, grid, tags | {"CATALOG": catalog, "COLLECTION": collection})
                written.append(paths[day])
            bar.update()
    if failed:
        untried = f", and {len(todo)} not tried" if todo else ""
        raise LevelError(
            f"{catalog}: {len(failed)} of {len(days)} dates not readable, the first {failed[0]}{untried}; all "
            f"expected. {len(kept) + len(written)} are in {target} and are kept. Try again later."
        )
    if unusable and not (written or kept or cloudy):
        day, reason = next(iter(unusable.items()))
        raise LevelError(
            f"{catalog}: no usable image among {len(unusable)} found, the first is {day} ({reason}). Name another "
            "catalogue."
        )
    return Downloaded(tuple(sorted(written)), kept, cloudy, unusable, orbit)


def _grid(place: tuple[float, float] | str | Path, half_width_m: float):
    """GeoBox of the place: one grid for all dates, whose pixels lie as Sentinel-2's."""
    geobox = require("odc.geo.geobox")
    if isinstance(place, str | Path):
        try:
            outline, margin_m = gpd.read_file(place).geometry, MARGIN_M
        except Exception as error:  # pyogrio's errors are of several kinds
            raise LevelError(f"{place}: no polygon found ({error}), a GeoPackage or GeoJSON expected.") from None
        outline = outline[~(outline.isna() | outline.is_empty)]
        if outline.empty or outline.crs is None:
            raise LevelError(f"{place}: no shape with a coordinate reference system found, a polygon expected.")
    else:
        (lon, lat), margin_m = place, half_width_m
        if not (abs(lon) <= 180 and abs(lat) <= 84 and 0 < half_width_m < np.inf):
            raise LevelError(
                f"longitude {lon}, latitude {lat} and half width {half_width_m} m found, degrees within 180 and 84 and "
                "a positive width expected. Were longitude and latitude swapped?"
            )
        outline = gpd.GeoSeries.from_xy([lon], [lat], crs="EPSG:4326")
    try:
        crs = outline.estimate_utm_crs()
    except RuntimeError:  # what pyproj says of places beyond the globe
        bounds = ", ".join(f"{number:g}" for number in outline.total_bounds)
        raise LevelError(
            f"{place}: a shape within {bounds} in {outline.crs} found, one on the globe and below 84 degrees of "
            "latitude expected. Were longitude and latitude swapped, or is the reference system another?"
        ) from None
    west, south, east, north = outline.to_crs(crs).total_bounds
    bounds = (west - margin_m, south - margin_m, east + margin_m, north + margin_m)
    grid = geobox.GeoBox.from_bbox(bounds, crs=crs, resolution=PIXEL_M)
    if max(grid.shape) > LARGEST_PIXELS:
        where = place if isinstance(place, str | Path) else f"{place[0]}, {place[1]}"
        raise LevelError(
            f"{where}: {grid.shape.x} x {grid.shape.y} pixels of {PIXEL_M} m found, {LARGEST_PIXELS} at most expected. "
            "Name a smaller place."
        )
    return grid


# Finding images


def _search(
    catalog: str, collection: str, grid, first: pd.Timestamp, last: pd.Timestamp
) -> tuple[list, dict[str, str]]:
    """Items over the grid; and by the names of those whose metadata can't be understood, why not."""
    client, pystac = require("pystac_client"), require("pystac")
    exceptions = require("pystac_client.exceptions")
    PystacClientWarning = require("pystac_client.warnings").PystacClientWarning
    day = pd.Timedelta(days=1)  # solar days begin and end at other times than UTC's
    area = grid.geographic_extent
    try:
        with warnings.catch_warnings(action="ignore", category=PystacClientWarning):  # of what is checked here
            io = require("pystac_client.stac_api_io").StacApiIO(max_retries=RETRY, timeout=TIMEOUT_S)
            api = client.Client.open(catalog, stac_io=io)
        if not (api.conforms_to("ITEM_SEARCH") and api.get_search_link()):
            raise LevelError(f"{catalog}: a catalogue without search found, a STAC API expected. Name another.")
        search = api.search(
            collections=[collection],
            bbox=tuple(area.boundingbox),
            datetime=f"{first - day:%Y-%m-%d}/{last + day:%Y-%m-%d}",
        )
        found = list(search.items_as_dicts())
    except (exceptions.APIError, pystac.STACError, pystac.STACTypeError, OSError, ValueError, LookupError) as error:
        told = first_line(error)
        if isinstance(error, exceptions.APIError):  # its text is a whole page
            told = getattr(error, "status_code", None) or "no connection"
        mend = "Try again later" if told in RETRY.status_forcelist else "Check address and network"
        raise LevelError(f"{catalog}: no answer ({told}), a STAC API expected. {mend}.") from None
    items, unusable = [], {}
    for one in found:
        try:
            item = pystac.Item.from_dict(one, root=api)
            _time(item)
            if item.geometry is None:  # its pixels will tell what it covers
                item.geometry, item.bbox = mapping(area.geom), list(area.boundingbox)
            if shape(item.geometry).intersects(area.geom):
                items.append(item)
        except Exception as error:  # whatever a stranger's metadata lead to
            unusable[str(one.get("id"))] = f"metadata that can't be understood: {first_line(error)}"
    if not items:
        lon, lat = area.centroid.coords[0]
        what = f"only images elsewhere ({len(found) - len(unusable)})" if len(found) > len(unusable) else "no image"
        what += f" and {len(unusable)} unusable ({next(iter(unusable.values()))})" if unusable else ""
        raise LevelError(
            f"{catalog}: {what} found, some of {collection} over {lon:.3f}, {lat:.3f} from {first:%Y-%m-%d} to "
            f"{last:%Y-%m-%d} expected. Check place, period and collection."
        )
    return items, unusable


def _keys(item, product: _Product) -> dict[str, str]:
    """The item's assets by band, of those it has."""
    found = {band: next((key for key in keys if key in item.assets), None) for band, keys in product.assets.items()}
    return {band: key for band, key in found.items() if key is not None}


def _usable(items: list, product: _Product, catalog: str) -> tuple[list, list]:
    """Those with all bands, and the others: where there is little land, Sentinel-1 sends HH and HV."""
    usable, others = [], []
    for item in items:
        (usable if len(_keys(item, product)) == len(product.assets) else others).append(item)
    if not usable:
        raise LevelError(
            f"{catalog}: assets {', '.join(items[0].assets)} found, "
            f"{', '.join('/'.join(keys) for keys in product.assets.values())} expected. Name another collection."
        )
    return usable, others


def _of_one_orbit(days: dict, grid, orbit: int | None) -> tuple[dict, int | None]:
    """Of a relative orbit's items by day: by default, of the one with most days that cover the grid, or most days."""
    orbits: dict = {}
    for day, items in days.items():
        for item in items:
            orbits.setdefault(item.properties.get("sat:relative_orbit"), {}).setdefault(day, []).append(item)
    if orbit is None and orbits:
        whole = {found: sum(_is_whole(items, grid) for items in its.values()) for found, its in orbits.items()}
        orbit = min(orbits, key=lambda found: (-whole[found], -len(orbits[found]), str(found)))
    if orbits and orbit not in orbits:
        most = sorted(orbits, key=lambda found: (-len(orbits[found]), str(found)))
        told = ", ".join(f"{'unknown' if found is None else found} ({len(orbits[found])} days)" for found in most)
        raise LevelError(f"relative orbits {told} found, {orbit} expected. Name one of these.")
    return orbits.get(orbit, {}), orbit


def _is_whole(items: list, grid) -> bool:
    """Whether the footprints of slices cover the grid together."""
    area = grid.geographic_extent.geom
    joined = union_all([make_valid(shape(item.geometry)) for item in items])
    return joined.intersection(area).area >= _WHOLE * area.area


def _days(items: list, grid, first: pd.Timestamp, last: pd.Timestamp, max_cloud: float | None) -> tuple[dict, int]:
    """Items by their solar days, in order of time, and how many days are too cloudy."""
    shift = pd.Timedelta(hours=grid.geographic_extent.centroid.coords[0][0] / 15)
    days: dict[pd.Timestamp, list] = {}
    for item in items:
        day = (_time(item) + shift).normalize()
        if first <= day <= last:
            days.setdefault(day, []).append(item)
    clear = {day: found for day, found in sorted(days.items()) if max_cloud is None or _cloud(found) <= max_cloud}
    return clear, len(days) - len(clear)


def _time(item) -> pd.Timestamp:
    return pd.Timestamp(item.datetime or item.common_metadata.start_datetime).tz_convert(None)


def _cloud(items: list) -> float:
    return min(item.properties.get("eo:cloud_cover") or 0 for item in items) / 100


def _check_earlier(target: Path, product: _Product, grid, collection: str, orbit: int | None) -> int | None:
    """The relative orbit of the files that are there, which must be of the same grid and collection."""
    path = min(target.glob(f"{product.prefix}_*.tif"), default=None)
    if path is None:
        return None
    with open_raster(path) as raster:
        tags = raster.tags()
        there = int(tags["RELATIVE_ORBIT"]) if "RELATIVE_ORBIT" in tags else None
        found = (raster.shape, raster.transform, str(raster.crs), tags.get("COLLECTION"), there)
    wanted = (tuple(grid.shape), grid.affine, str(grid.crs), collection, there if orbit is None else orbit)
    if found != wanted:
        told = (
            f"{rows} x {cols} pixels from {to_map.c:.0f}, {to_map.f:.0f} in {crs}, collection {origin or 'unknown'}"
            + ("" if of_orbit is None else f", orbit {of_orbit}")
            for (rows, cols), to_map, crs, origin, of_orbit in (found, wanted)
        )
        raise LevelError("{}: {} found, but {} expected, as asked for. Name another folder.".format(path, *told))
    return there


# Reading and writing images


def _signing(catalog: str, collection: str) -> Callable[[str], str] | None:
    """What adds a token to an address, fetched anew before it ends."""
    if catalog not in TOKENS:
        return None
    token: dict = {"until": 0.0}

    def sign(url: str) -> str:
        if time.monotonic() > token["until"]:
            text = get_json(f"{TOKENS[catalog]}/{collection}", {}, "token")["token"]
            token.update(text=text, until=time.monotonic() + _TOKEN_S)
        return f"{url}?{token['text']}"

    return sign


def _mosaic(items: list, product: _Product, grid, sign: Callable | None) -> tuple[np.ndarray, dict[str, str]]:
    """(n_bands, rows, cols) of one day, and tags. A pixel has the value of the first item that has one."""
    image = np.full((len(product.assets), *grid.shape), np.nan, np.float32)
    used, shifts = [], []
    newest_first = sorted(sorted(items, key=lambda item: item.id), key=_baseline, reverse=True)
    for item in sorted(newest_first, key=lambda item: not _lies_on(item, grid)):
        values = _read(item, product, grid, sign)
        values[~(values > 0)] = np.nan
        if product.prefix == "S2":
            shifts.append(_shift_dn(item, _keys(item, product)["B03"], values[:-1]))
            values[:-1] = np.maximum(values[:-1] - shifts[-1], 1)  # NaN stays NaN
        else:
            values = 10 * np.log10(values)
        image = np.where(np.isnan(image), values, image)
        used.append(item)
        if not np.isnan(image).any():
            break
    tags = {"ITEMS": ",".join(item.id for item in used), "TIME_UTC": f"{_time(used[0]):%Y-%m-%dT%H:%M:%S}"}
    if product.prefix == "S2":
        baselines = ",".join(str(item.properties.get("s2:processing_baseline", "")) for item in used)
        tags |= {"BOA_ADD_OFFSET": "0", "SUBTRACTED_DN": ",".join(map(str, shifts)), "ITEM_BASELINES": baselines}
        return np.nan_to_num(image, nan=product.nodata).astype(product.dtype), tags
    for tag in ("RELATIVE_ORBIT", "ORBIT_STATE"):
        if (value := used[0].properties.get(f"sat:{tag.lower()}")) is not None:
            tags[tag] = str(value)
    return image, tags | {"UNIT": "dB (gamma nought, radiometrically terrain corrected)"}


def _read(item, product: _Product, grid, sign: Callable | None) -> np.ndarray:
    keys = _keys(item, product)
    loaded = require("odc.stac").load(
        [item],
        bands=list(keys.values()),
        geobox=grid,
        dtype=product.dtype,
        nodata=None if np.isnan(product.nodata) else product.nodata,
        resampling={"*": "bilinear"} | ({keys["SCL"]: "nearest"} if "SCL" in keys else {}),
        patch_url=sign,
        stac_cfg={"*": {"warnings": "ignore"}},  # of colours that several bands share; we name assets
    )
    return np.stack([loaded[keys[band]].values[0] for band in product.assets]).astype(np.float32)


def _lies_on(item, grid) -> bool:
    """Whether its pixels are ours: tiles of two UTM zones overlap, and those of the other have to be resampled."""
    codes = item.properties.get("proj:code"), f"EPSG:{item.properties.get('proj:epsg')}"
    return str(grid.crs) in codes


def _baseline(item) -> str:
    return str(item.properties.get("s2:processing_baseline") or "").removeprefix("N")


def _shift_dn(item, key: str, dn: np.ndarray) -> int:
    """What must be subtracted from digital numbers, (n_bands, rows, cols), NaN where none; `key` is one of the assets.

    Earth Search says in `earthsearch:boa_offset_applied` that it has done it, and where that is false it is not always
    true (issues 66 and 71 of Element84/earth-search). There, numbers that are too small to be shifted decide.
    """
    applied = item.properties.get("earthsearch:boa_offset_applied")
    if applied:
        return 0
    if baseline := item.properties.get("s2:processing_baseline"):
        try:
            shift = radiometric_offset(baseline=baseline)
        except RasterError as error:
            raise _UnknownShift(str(error)) from None
    else:
        fields = item.assets[key].extra_fields
        band = next(iter(fields.get("raster:bands", ())), {}) | {
            name: fields[f"raster:{name}"] for name in ("offset", "scale") if f"raster:{name}" in fields
        }
        if not {"offset", "scale"} <= set(band):
            raise _UnknownShift(
                f"neither s2:processing_baseline nor an offset of {key}, which tell how numbers are shifted"
            )
        shift = round(-band["offset"] / band["scale"])
    known = dn[np.isfinite(dn)]
    if applied is False and known.size and np.mean(known < DARKEST_SHIFTED_DN) > 0.01:
        return 0
    return shift


def _write(path: Path, image: np.ndarray, product: _Product, grid, tags: dict[str, str]) -> None:
    profile = {
        "driver": "GTiff",
        "count": len(image),
        "height": grid.shape.y,
        "width": grid.shape.x,
        "dtype": product.dtype,
        "crs": str(grid.crs),
        "transform": grid.affine,
        "nodata": product.nodata,
        "compress": "deflate",
    }
    with replacing(path, LevelError) as unfinished:
        with rasterio.open(unfinished, "w", **profile) as file:
            file.write(image)
            file.descriptions = tuple(product.assets)
            file.update_tags(**tags)
        check_written(unfinished, path)
