"""Downloads from a local STAC API, whose images it serves itself, and from local stand-ins of the gauges' services."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from shapely.geometry import box, mapping, shape

from millpond import downloads, published
from millpond.cli import main
from millpond.downloads import RETRY
from millpond.level import LevelError, read_gauge, read_scenes
from millpond.level import download_levels as levels_module
from millpond.level import download_scenes as scenes_module
from millpond.level.download_levels import download_levels
from millpond.level.download_scenes import download_scenes
from millpond.level.reservoirs import reservoir, reservoirs

pytestmark = [  # what odc-geo calls
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

CRS = "EPSG:32610"
WEST, NORTH = 700_000, 4_200_400  # of the area that the catalogue has: 80 x 80 pixels of 10 m
PLACE = (-120.719889, 37.92552)  # its middle
WIDTH_M = 150.0
CONFORMS = [
    f"https://api.stacspec.org/v1.0.0/{part}" for part in ("core", "item-search", "item-search#query", "collections")
]


class Server(BaseHTTPRequestHandler):
    """A STAC API, the files of its images, and whatever else `pages` holds."""

    def do_GET(self):
        where = urlsplit(self.path)
        self.service.asked.append(self.path)
        if where.path == "/stac":
            link = {"rel": "search", "href": f"{self.service.url}/search", "type": "application/geo+json"}
            links = [link | {"method": method} for method in ("GET", "POST")]
            landing = {"type": "Catalog", "stac_version": "1.0.0", "id": "local", "description": "of tests"}
            self.reply(landing | {"conformsTo": CONFORMS, "links": links})
        elif where.path == "/stac/search":
            self.search({name: values[0] for name, values in parse_qs(where.query).items()})
        elif where.path.rpartition("_")[2] in self.service.silent:
            self.service.ended.wait(20)
        elif where.path in self.service.pages:
            page = self.service.pages[where.path]
            self.reply(page(parse_qs(where.query)) if callable(page) else page)
        elif (self.service.folder / where.path.strip("/")).is_file():
            self.reply_file((self.service.folder / where.path.strip("/")).read_bytes())
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def do_POST(self):
        self.service.asked.append(self.path)
        self.search(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def search(self, asked):
        if self.service.busy:
            status, wait = self.service.busy.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", wait)
            self.end_headers()
            return
        bounds, collections = asked["bbox"], asked["collections"]
        bounds = [float(x) for x in bounds.split(",")] if isinstance(bounds, str) else bounds
        first, last = asked["datetime"].split("/")
        found = [
            item
            for item in self.service.items
            if item["collection"] in collections
            and first <= (item["properties"]["datetime"] or first) <= last
            and (self.service.careless or shape(item["geometry"]).intersects(box(*bounds)))
        ]
        self.reply({"type": "FeatureCollection", "features": found, "links": []})

    def reply(self, body):
        text = body if isinstance(body, str) else json.dumps(body)
        self.reply_file(text.encode())

    def reply_file(self, content):
        begin, end = 0, len(content)
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last or end - 1) + 1, end)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[begin:end])

    def log_message(self, *_):
        pass


class Service:
    def __init__(self, folder):
        self.folder, self.items, self.asked, self.pages, self.careless = folder, [], [], {}, False
        self.busy, self.silent, self.ended = [], (), threading.Event()

    @property
    def asked_images(self):
        return [path for path in self.asked if path.endswith(".tif")]

    def add(self, name, time, bands, cols=(0, 80), collection="sentinel-2-l2a", nodata=0, **properties):
        """An item over some columns of the area; a band is a number or an array of (80, its columns)."""
        bounds = (WEST + 10 * cols[0], NORTH - 800, WEST + 10 * cols[1], NORTH)
        assets = {}
        for band, values in bands.items():
            coarse = 2 if band.lower() == "scl" else 1
            values = np.broadcast_to(values, (80, cols[1] - cols[0]))[::coarse, ::coarse]
            transform = rasterio.Affine(10 * coarse, 0, bounds[0], 0, -10 * coarse, NORTH)
            path = self.folder / f"{name}_{band}.tif"
            dtype = "float32" if collection == "sentinel-1-rtc" else "uint16"
            profile = {"crs": CRS, "transform": transform, "nodata": nodata, "dtype": dtype, "count": 1}
            with rasterio.open(path, "w", "GTiff", *values.shape[::-1], **profile) as file:
                file.write(values.astype(dtype), 1)
            assets[band] = {
                "href": f"{self.url.removesuffix('/stac')}/{path.name}",
                "type": "image/tiff",
                "roles": ["data"],
            }
        footprint = gpd.GeoSeries([box(*bounds)], crs=CRS).to_crs(4326).iloc[0]
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "links": [],
            "geometry": mapping(footprint), "bbox": footprint.bounds, "assets": assets,
            "properties": {"datetime": time} | properties,
        }  # fmt: skip
        self.items.append(item)
        return item


@pytest.fixture
def service(serve, tmp_path):
    (tmp_path / "served").mkdir()
    found = Service(tmp_path / "served")
    found.url = serve(type("Handler", (Server,), {"service": found})) + "/stac"
    yield found
    found.ended.set()


@pytest.fixture
def fetch(service, tmp_path):
    def call(sensor="sentinel2_l2a", first="2020-01-01", last="2022-12-31", place=PLACE, **options):
        options = {"half_width_m": WIDTH_M, "catalog": service.url, "folder": "pond"} | options
        return download_scenes(place, tmp_path / options.pop("folder"), sensor, first, last, **options)

    return call


def sentinel2(b03=500, b04=400, b08=300, scl=6):
    return {"B03": b03, "B04": b04, "B08": b08, "SCL": scl}


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.descriptions, file.tags()


OLD, NEW = {"s2:processing_baseline": "02.12"}, {"s2:processing_baseline": "05.00"}
COUNT = np.arange(80 * 80).reshape(80, 80) + 1


def test_pixels_are_those_of_the_catalogue_and_read_scenes_reads_them(service, fetch, tmp_path):
    for day in ("03", "08", "13"):
        bands = sentinel2(b03=COUNT, b08=COUNT // 2 + 1, scl=np.where(COUNT % 80 < 38, 4, 6))
        service.add(f"T10_{day}", f"2020-07-{day}T18:50:00Z", bands, **OLD)
    found = fetch()
    assert [path.name for path in found.written] == ["S2_20200703.tif", "S2_20200708.tif", "S2_20200713.tif"]
    assert (found.kept, found.cloudy, found.orbit) == ((), 0, None)
    image, bands, tags = read(found.written[0])
    assert bands == ("B03", "B04", "B08", "SCL")
    with rasterio.open(found.written[0]) as file:
        assert (file.crs.to_string(), file.res, file.nodata, file.dtypes[0]) == (CRS, (10, 10), 0, "uint16")
        assert file.bounds.left % 10 == file.bounds.top % 10 == 0
        col, row = int(file.bounds.left - WEST) // 10, int(NORTH - file.bounds.top) // 10
    rows, cols = image.shape[1:]
    assert 30 <= rows <= 32
    assert np.array_equal(image[0], COUNT[row : row + rows, col : col + cols])
    assert (image[1] == 400).all()
    assert set(np.unique(image[3])) == {4, 6}  # classes of 20 m aren't mixed
    assert tags["ITEMS"] == "T10_03"
    assert tags["TIME_UTC"] == "2020-07-03T18:50:00"
    assert (tags["SUBTRACTED_DN"], tags["ITEM_BASELINES"]) == ("0", "02.12")
    assert (tags["CATALOG"], tags["COLLECTION"]) == (service.url, "sentinel-2-l2a")
    levels = pd.DataFrame({"date": ["2020-07-03", "2020-07-08", "2020-07-13"], "level_m": [10.0, 11.0, 12.0]})
    levels.to_csv(tmp_path / "pond" / "levels.csv", index=False)
    scenes = read_scenes(tmp_path / "pond")
    assert list(scenes.level_m) == [10, 11, 12]
    assert np.allclose(scenes.band("B03")[0], image[0] / 10_000)


def test_a_second_call_reads_no_image(service, fetch):
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    service.add("b", "2020-07-08T18:50:00Z", sentinel2(), **OLD)
    first = fetch(last="2020-07-04")
    assert len(first.written) == 1
    assert service.asked_images
    both = fetch()
    assert (len(both.written), both.kept) == (1, first.written)
    service.asked.clear()
    again = fetch()
    assert (again.written, len(again.kept)) == ((), 2)
    assert service.asked_images == []


def test_what_is_stopped_leaves_whole_files_and_goes_on(service, fetch, tmp_path, monkeypatch):
    for day in ("03", "08", "13"):
        service.add(f"T10_{day}", f"2020-07-{day}T18:50:00Z", sentinel2(), **OLD)
    folder = tmp_path / "pond" / "sentinel2_l2a"
    with monkeypatch.context() as patched:
        patched.setattr(scenes_module, "_write", _interrupting(scenes_module._write, "S2_20200708"))
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert [path.name for path in folder.iterdir()] == ["S2_20200703.tif"]
    found = fetch()
    assert sorted(path.name for path in folder.iterdir()) == [f"S2_202007{day}.tif" for day in ("03", "08", "13")]
    assert (len(found.written), len(found.kept)) == (2, 1)
    assert (read(folder / "S2_20200708.tif")[0][0] == 500).all()


def _interrupting(write, name):
    def call(path, image, *rest):
        if name in path.name:
            image = Interrupting(image)
        write(path, image, *rest)

    return call


class Interrupting:
    """Bands of which writing is interrupted."""

    def __init__(self, image):
        self.image = image

    def __len__(self):
        return len(self.image)

    def __array__(self, *_, **__):
        raise KeyboardInterrupt


def test_tiles_of_a_day_are_put_together_and_shifts_removed_before(service, fetch):
    # the middle of the place, of 31 columns, is the 40th of the area's 80, where the eastern tile begins
    service.add("east", "2022-03-01T18:50:10Z", sentinel2(b03=1700, b04=900, b08=1000), cols=(40, 80), **NEW)
    service.add("west", "2022-03-01T18:50:00Z", sentinel2(b03=600), cols=(0, 42), **OLD)
    (path,) = fetch().written
    image, _, tags = read(path)
    assert set(np.unique(image[0])) == {600, 700}
    assert set(np.unique(image[1])) == {1, 400}  # 900 - 1000 is less than nothing, and 0 is no data
    assert set(np.unique(image[2])) == {1, 300}
    assert (image[3] == 6).all()  # no reflectance: unshifted
    assert (image[0, :, -1] == 700).all()
    assert (image[0, :, 0] == 600).all()
    with rasterio.open(path) as file:
        seam = int(WEST + 400 - file.bounds.left) // 10
    assert (image[0, :, seam] == 700).all()  # where both have data, the newer processing counts
    assert (tags["ITEMS"], tags["SUBTRACTED_DN"]) == ("east,west", "1000,0")


def test_a_tile_on_our_grid_comes_before_one_to_be_resampled(service, fetch):
    service.add("a", "2022-03-01T18:50:00Z", sentinel2(b03=500), **OLD, **{"proj:code": "EPSG:32611"})
    service.add("b", "2022-03-01T18:50:00Z", sentinel2(b03=600), **OLD, **{"proj:code": CRS})
    (path,) = fetch().written
    image, _, tags = read(path)
    assert (image[0] == 600).all()
    assert tags["ITEMS"] == "b"
    assert not any("/a_" in path for path in service.asked_images)  # nothing was missing


def test_pixels_without_data_stay_so(service, fetch):
    service.add("a", "2022-03-01T18:50:00Z", sentinel2(b03=np.where(COUNT % 80 < 40, 0, 1500)), **NEW)
    (path,) = fetch().written
    assert set(np.unique(read(path)[0][0])) == {0, 500}


def test_read_scenes_does_not_subtract_the_shift_again(service, fetch, tmp_path):
    service.add("old", "2021-07-01T18:50:00Z", sentinel2(b03=600), **OLD)
    service.add("new", "2022-07-01T18:50:00Z", sentinel2(b03=1600, b04=1400, b08=1300), **NEW)
    fetch()
    scenes = read_scenes(tmp_path / "pond", gauge=None)
    assert len(scenes) == 2
    assert np.allclose(scenes.band("B03"), 0.06)
    assert np.allclose(scenes.band("B08"), 0.03)


@pytest.mark.parametrize(
    ("properties", "asset", "dn", "expected"),
    [
        ({"s2:processing_baseline": "03.01"}, {}, 1500, 1500),
        ({"s2:processing_baseline": "04.00"}, {}, 1500, 500),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, {}, 1500, 1500),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False}, {}, 1500, 500),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False}, {}, 450, 450),  # it was, though
        ({}, {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, 1500, 500),
        ({}, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, 1500, 1500),
        ({}, {"raster:scale": 0.0001, "raster:offset": -0.1}, 1500, 500),
    ],
)
def test_digital_numbers_are_comparable_whatever_the_metadata(service, fetch, properties, asset, dn, expected):
    item = service.add("a", "2022-03-01T18:50:00Z", {"green": dn, "red": dn, "nir": dn, "scl": 4}, **properties)
    item["assets"]["green"] |= asset
    (path,) = fetch().written
    assert (read(path)[0][:3] == expected).all()


def test_days_are_solar_and_cloudy_ones_left_out(service, fetch):
    # 2020-07-03T02:00 is the evening of the 2nd in California
    for name, time, cloud in (("a", "2020-07-03T02:00:00Z", 20.0), ("b", "2020-07-08T18:50:00Z", 90.0)):
        service.add(name, time, sentinel2(), **OLD, **{"eo:cloud_cover": cloud})
    service.add("c", "2020-07-08T18:50:00Z", sentinel2(), **OLD, **{"eo:cloud_cover": 80.0})
    found = fetch(max_cloud=0.5)
    assert [path.name for path in found.written] == ["S2_20200702.tif"]
    assert found.cloudy == 1
    assert fetch(max_cloud=0.8).cloudy == 0


def test_radar_is_in_decibels_of_one_orbit(service, fetch, tmp_path):
    power = np.where(COUNT == 40 * 80 + 41, -32768, 0.01)
    radar = {"collection": "sentinel-1-rtc", "nodata": -32768}
    for day, orbit in (("01", 137), ("07", 64), ("13", 137), ("14", 64), ("25", 137)):
        state = {"sat:relative_orbit": orbit, "sat:orbit_state": "descending"}
        service.add(f"S1_{day}", f"2020-07-{day}T14:00:00Z", {"vv": power, "vh": 0.001}, **radar, **state)
    service.add("S1_HH", "2020-07-20T14:00:00Z", {"hh": 1}, **radar)
    found = fetch("sentinel1_rtc")
    assert found.orbit == 137
    assert [path.name for path in found.written] == ["S1_20200701.tif", "S1_20200713.tif", "S1_20200725.tif"]
    image, bands, tags = read(found.written[0])
    assert bands == ("VV", "VH")
    assert np.isnan(image[0]).sum() == 1
    assert np.nanmax(abs(image[0] + 20)) < 1e-4
    assert np.abs(image[1] + 30).max() < 1e-4
    assert (tags["RELATIVE_ORBIT"], tags["ORBIT_STATE"]) == ("137", "descending")
    assert tags["UNIT"].startswith("dB")
    for name in ("a", "b", "c"):  # later, another orbit has more images, but these do not belong to the same folder
        service.add(
            name,
            f"2021-07-0{ord(name) - 96}T14:00:00Z",
            {"vv": 1, "vh": 1},
            **radar,
            **state | {"sat:relative_orbit": 64},
        )
    assert len(fetch("sentinel1_rtc").kept) == 3
    with pytest.raises(
        LevelError, match=r"orbit 137 found, but .*, orbit 64 expected, as asked for. Name another folder"
    ):
        fetch("sentinel1_rtc", orbit=64)
    with pytest.raises(LevelError, match=r"relative orbits 64 \(5 days\), 137 \(3 days\) found, 7 expected"):
        download_scenes(
            PLACE, tmp_path / "other", "sentinel1_rtc", "2020-01-01", "2022-12-31", orbit=7, catalog=service.url
        )
    scenes = read_scenes(tmp_path / "pond", "sentinel1_rtc", ("VH",), gauge=None)
    assert np.abs(scenes.images + 30).max() < 1e-4


def test_the_commonest_orbit_is_of_days_that_cover_the_place_and_not_of_slices(service, fetch):
    def add(day, orbit, *slices):
        for cols in slices:
            radar = {"collection": "sentinel-1-rtc", "nodata": -32768, "cols": cols, "sat:relative_orbit": orbit}
            service.add(f"S1_{day}_{cols[0]}", f"2020-07-{day:02}T14:00:00Z", {"vv": 0.01, "vh": 0.01}, **radar)

    for day in (1, 13):
        add(day, 137, (0, 40), (40, 80))  # the place in two slices
    for day in (2, 14, 26):
        add(day, 64, (0, 38))  # more days, but only the west
    add(3, 35, (0, 30), (20, 50), (30, 60), (40, 80), (10, 80))  # most images, but of one day
    found = fetch("sentinel1_rtc")
    assert (found.orbit, [path.name for path in found.written]) == (137, ["S1_20200701.tif", "S1_20200713.tif"])
    service.items = [item for item in service.items if item["properties"]["sat:relative_orbit"] == 64]
    add(4, 35, (0, 30), (10, 35), (5, 38), (20, 38))
    assert fetch("sentinel1_rtc", place=(PLACE[0], PLACE[1] + 0.0001), folder="other").orbit == 64  # none covers it


def test_a_polygon_is_taken_with_its_margin(service, fetch, tmp_path):
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    outline = gpd.GeoDataFrame(geometry=[box(WEST + 300, NORTH - 500, WEST + 420, NORTH - 400)], crs=CRS)
    outline.to_crs(4326).to_file(tmp_path / "pond.geojson")
    (path,) = fetch(place=tmp_path / "pond.geojson").written
    with rasterio.open(path) as file:
        assert file.bounds == pytest.approx((WEST + 200, NORTH - 600, WEST + 520, NORTH - 300), abs=10)


@pytest.mark.parametrize(
    ("shape", "crs", "message"),
    [
        (box(5e5, 4e6, 5.1e5, 4.1e6), 4326, r"found, one on the globe and below 84 degrees of latitude expected\."),
        (None, 4326, "no shape with a coordinate reference system found"),
    ],
)
def test_shapes_that_are_nowhere_are_refused(shape, crs, message, fetch, tmp_path):
    gpd.GeoDataFrame({"name": ["pond"]}, geometry=[shape], crs=crs).to_file(tmp_path / "pond.geojson")
    with pytest.raises(LevelError, match=message):
        fetch(place=tmp_path / "pond.geojson")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from rasterio.transform import Affine
from millpond.level.download_scenes import _PRODUCTS, _write
from millpond.raster import RasterError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as if the disk were full after 0.1 MB
image = np.random.default_rng(0).integers(1, 9999, (4, 120, 120)).astype("uint16")
grid = SimpleNamespace(shape=SimpleNamespace(y=120, x=120), crs="EPSG:32610", affine=Affine(10, 0, 7e5, 0, -10, 4e6))
try:
    _write(Path(sys.argv[1]), image, _PRODUCTS["sentinel2_l2a"], grid, {})
except RasterError as error:
    print(error)
"""


def test_a_file_that_a_full_disk_cut_off_is_not_kept(tmp_path):
    path = tmp_path / "S2_20200703.tif"
    told = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True).stdout
    assert str(path) in told
    assert list(tmp_path.iterdir()) == []


def test_an_orbit_is_of_radar(fetch):
    with pytest.raises(LevelError, match="orbit 64 for sentinel2_l2a found, one for sentinel1_rtc alone expected"):
        fetch(orbit=64)


@pytest.mark.parametrize("last", ["2020", "2020-07", "07/08/2020", ""])
def test_parts_of_days_are_no_days(last, fetch):
    with pytest.raises(LevelError, match=f"to {last} found, days such as 2020-07-03 expected"):
        fetch(last=last)


def test_tokens_are_asked_for_once_and_sent_along(service, fetch, monkeypatch):
    monkeypatch.setattr(scenes_module, "TOKENS", {service.url: service.url.replace("/stac", "/token")})
    service.pages["/token/sentinel-2-l2a"] = {"token": "sig=secret"}
    for day in ("03", "08"):
        service.add(f"T10_{day}", f"2020-07-{day}T18:50:00Z", sentinel2(), **OLD)
    fetch()
    assert service.asked.count("/token/sentinel-2-l2a") == 1
    images = [path for path in service.asked if ".tif" in path]
    assert images
    assert all(path.endswith(".tif?sig=secret") for path in images)


def test_other_dates_are_had_when_one_is_not_readable(service, fetch, tmp_path):
    for day in ("03", "08", "13"):
        service.add(f"T10_{day}", f"2020-07-{day}T18:50:00Z", sentinel2(), **OLD)
    (service.folder / "T10_08_B04.tif").write_bytes(b"no image")
    with pytest.raises(
        LevelError, match=r"1 of 3 dates not readable, the first 2020-07-08 \(.*\); all expected. 2 are in"
    ):
        fetch()
    assert sorted(path.name for path in (tmp_path / "pond" / "sentinel2_l2a").iterdir()) == [
        "S2_20200703.tif",
        "S2_20200713.tif",
    ]


def test_dates_that_stay_unreadable_do_not_block_the_others(service, fetch, tmp_path, monkeypatch):
    for day in range(1, 9):
        service.add(f"T10_{day}", f"2020-07-0{day}T18:50:00Z", sentinel2(), **OLD)
    for day in (1, 2, 3):
        (service.folder / f"T10_{day}_B04.tif").write_bytes(b"no image")
    with pytest.raises(
        LevelError, match=r"3 of 8 dates not readable, the first 2020-07-01 \(.*\); all expected. 5 are"
    ):
        fetch()
    folder = tmp_path / "pond" / "sentinel2_l2a"
    assert sorted(path.name for path in folder.iterdir()) == [f"S2_2020070{day}.tif" for day in range(4, 9)]

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(scenes_module, "_mosaic", refuse)
    message = (
        r"4 of 8 dates not readable, the first 2020-07-01 \(OSError\), and 4 not tried; all expected. 0 are in .* and "
        "are kept. Try again later."
    )
    with pytest.raises(LevelError, match=message):
        fetch(folder="other")


def test_a_file_that_never_comes_costs_its_own_date_alone(service, fetch, tmp_path, monkeypatch):
    for name, value in (("GDAL_HTTP_LOW_SPEED_TIME", 1), ("GDAL_HTTP_MAX_RETRY", 0)):
        assert scenes_module.GDAL[name] > 0
        monkeypatch.setitem(scenes_module.GDAL, name, value)
    for day in ("03", "08", "13"):
        service.add(f"T10_{day}", f"2020-07-{day}T18:50:00Z", sentinel2(), **OLD)
    b08 = service.items[1]["assets"]["B08"]
    b08["href"] += "_silent"
    service.silent = ("silent",)
    with pytest.raises(LevelError, match=r"1 of 3 dates not readable, the first 2020-07-08 \(.*too slow"):
        fetch()
    there = sorted(path.name for path in (tmp_path / "pond" / "sentinel2_l2a").iterdir())
    assert there == ["S2_20200703.tif", "S2_20200713.tif"]


@pytest.mark.parametrize("refusals", [[(429, "1")], [(503, "0"), (502, "0"), (500, "0")], [(429, "3600")]])
def test_a_catalogue_that_is_busy_is_asked_again(service, fetch, monkeypatch, refusals):
    monkeypatch.setattr(RETRY, "backoff_factor", 0)
    monkeypatch.setattr(downloads, "TIMEOUT_S", 1)  # nobody waits for an hour
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    service.busy = list(refusals)
    assert len(fetch().written) == 1
    assert service.asked.count("/stac/search") == len(refusals) + 1


def test_a_catalogue_that_stays_busy_is_to_be_tried_later(service, fetch, monkeypatch):
    monkeypatch.setattr(RETRY, "backoff_factor", 0)
    service.busy = [(503, "0")] * 9
    with pytest.raises(LevelError, match=r"/stac: no answer \(503\), a STAC API expected\. Try again later\."):
        fetch()
    assert service.asked.count("/stac/search") == 4


def test_an_unknown_cloud_cover_is_no_reason_to_leave_a_day_out(service, fetch):
    for day, cloud in (("03", None), ("08", 90.0), ("13", 0.0)):
        service.add(f"T10_{day}", f"2020-07-{day}T18:50:00Z", sentinel2(), **OLD, **{"eo:cloud_cover": cloud})
    found = fetch(max_cloud=0.5)
    assert [path.name for path in found.written] == ["S2_20200703.tif", "S2_20200713.tif"]
    assert found.cloudy == 1


def without(bands, *missing):
    return {name: value for name, value in bands.items() if name not in missing}


def test_days_whose_images_lack_bands_are_told(service, fetch):
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    service.add("b", "2020-07-03T18:50:00Z", without(sentinel2(), "SCL"), **OLD)  # another tile of the same day
    service.add("c", "2020-07-08T18:50:00Z", without(sentinel2(), "SCL"), **OLD)
    service.add("d", "2020-07-13T18:50:00Z", without(sentinel2(), "B04", "B08"), **OLD)
    service.add("e", "2023-07-13T18:50:00Z", without(sentinel2(), "SCL"), **OLD)  # nobody asked for that day
    found = fetch()
    assert [path.name for path in found.written] == ["S2_20200703.tif"]
    assert found.unusable == {"2020-07-08": "no SCL", "2020-07-13": "no B04, B08"}


def test_one_bad_item_does_not_block_the_others(service, fetch):
    service.add("good", "2022-07-03T18:50:00Z", sentinel2(b03=1500), **NEW)
    service.add("silent", "2022-07-08T18:50:00Z", sentinel2())
    service.add("null", "2022-07-13T18:50:00Z", sentinel2(), **{"s2:processing_baseline": None})
    service.add("odd", "2022-07-18T18:50:00Z", sentinel2(), **{"s2:processing_baseline": "new"})
    service.add("N", "2022-07-23T18:50:00Z", sentinel2(b03=1500), **{"s2:processing_baseline": "N0500"})
    service.add("nowhere", "2022-07-28T18:50:00Z", sentinel2(), **OLD)["geometry"] = None
    service.add("never", None, sentinel2(), **OLD)
    service.careless = True
    found = fetch()
    assert [path.name[3:11] for path in found.written] == ["20220703", "20220723", "20220728"]
    assert [read(path)[0][0].max() for path in found.written] == [500, 500, 500]
    assert list(found.unusable) == ["never", "2022-07-08", "2022-07-13", "2022-07-18"]
    assert found.unusable["2022-07-08"].startswith("neither s2:processing_baseline nor an offset of B03")
    assert "'new'" in found.unusable["2022-07-18"]
    assert found.unusable["never"].startswith("metadata that can't be understood: ")
    assert fetch().kept == found.written
    service.items = service.items[1:4]
    with pytest.raises(
        LevelError, match=r"no usable image among 3 found, the first is 2022-07-08 \(neither s2:process"
    ):
        fetch(folder="other")


@pytest.mark.parametrize("conforms", [[], CONFORMS[:1], CONFORMS])  # the last without a link to search
def test_a_catalogue_without_search_is_refused(service, fetch, conforms):
    links = [{"rel": "self", "href": f"{service.url}/static"}]
    landing = {"type": "Catalog", "stac_version": "1.0.0", "id": "static", "description": "of tests", "links": links}
    service.pages["/stac/static"] = landing | ({"conformsTo": conforms} if conforms else {})
    with pytest.raises(
        LevelError, match=r"static: a catalogue without search found, a STAC API expected\. Name another"
    ):
        fetch(catalog=f"{service.url}/static")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sensor": "landsat"}, "sensor 'landsat' found, one of sentinel2_l2a, sentinel1_rtc expected."),
        ({"first": "2023-01-01"}, "2023-01-01 to 2022-12-31 found, the first day before the last expected. Swap them."),
        ({"first": "spring"}, "the period spring to 2022-12-31 found, days such as 2020-07-03 expected."),
        ({"first": ""}, "the period  to 2022-12-31 found, days such as 2020-07-03 expected."),
        ({"first": ["2020"]}, "the period .* to 2022-12-31 found, days such as 2020-07-03 expected."),
        ({"place": (37.9, -120.7)}, "longitude 37.9, latitude -120.7 and half width 150.0 m found, .* swapped"),
        (
            {"half_width_m": 100_000},
            r"^-120.719889, 37.92552: 20001 x 20001 pixels of 10 m found, 5000 at most expected. Name a smaller place.",
        ),
        ({"place": "nowhere.geojson"}, "nowhere.geojson: no polygon found .*, a GeoPackage or GeoJSON expected."),
        ({"place": (10.0, 50.0)}, "no image found, some of sentinel-2-l2a over 10.000, 50.000 from 2020-01-01 to"),
        ({"collection": "other"}, "no image found, some of other over"),
        ({"last": "2020-01-31"}, "no image found, .* Check place, period and collection."),
        (
            {"sensor": "sentinel1_rtc", "collection": "sentinel-2-l2a"},
            "assets B03, B04, B08, SCL found, vv/VV, vh/VH exp",
        ),
        (
            {"catalog": "http://127.0.0.1:9"},
            r"http://127.0.0.1:9: no answer \(no connection\), a STAC API expected. Check address and network.",
        ),
        ({"catalog": "{url}/nothing"}, r"nothing: no answer \(404\), a STAC API expected"),
    ],
)
def test_errors_say_what_was_found_and_expected(service, fetch, tmp_path, options, message):
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    if "catalog" in options:
        options = {"catalog": options["catalog"].format(url=service.url)}
    with pytest.raises(LevelError, match=message):
        fetch(**options)
    assert not (tmp_path / "pond").exists()


def test_images_elsewhere_and_other_grids_are_errors(service, fetch, tmp_path):
    service.careless = True  # a catalogue that doesn't look at the place
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    with pytest.raises(
        LevelError, match=r"only images elsewhere \(1\) found, some of sentinel-2-l2a over 10.000, 50.000"
    ):
        fetch(place=(10.0, 50.0))
    fetch()
    with pytest.raises(LevelError, match=r"S2_20200703.tif: 3\d x 3\d pixels from .* found, but 2\d x 2\d pixels from"):
        fetch(half_width_m=100.0)


def test_days_are_taken_as_written_in_whatever_zone(service, fetch):
    service.add("a", "2020-07-03T18:50:00Z", sentinel2(), **OLD)
    day = pd.Timestamp("2020-07-03T22:00", tz="US/Pacific")  # the 4th in UTC
    assert len(fetch(first=day, last="2020-07-03T01:00+02:00").written) == 1


def test_packages_that_are_not_installed_are_named(fetch, monkeypatch):
    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(LevelError, match=r'no package pystac_client found.*`pip install "\.\[download\]"`'):
        fetch()


# Levels

CDEC = (
    "STATION_ID,DURATION,SENSOR_NUMBER,SENSOR_TYPE,DATE TIME,OBS DATE,VALUE,DATA_FLAG,UNITS\n"
    "LYS,D,6,RES ELE,20200701 0000,20200701 0000,4200.00, ,FEET\n"
    "LYS,D,6,RES ELE,20200702 0000,20200702 0000,---, ,FEET\n"
)


def test_cdec_is_kept_as_it_comes(service, tmp_path):
    service.pages["/cdec"] = CDEC
    url = service.url.replace("/stac", "/cdec")
    level = download_levels("cdec", "LYS", tmp_path / "pond" / "levels.csv", "2020-07-01", "2020-07-02", url=url)
    assert level.to_dict() == {pd.Timestamp("2020-07-01"): pytest.approx(4200 * 0.3048)}
    assert level.attrs["format"] == "CDEC CSV"
    assert (tmp_path / "pond" / "levels.csv").read_text() == CDEC
    assert parse_qs(urlsplit(service.asked[0]).query) == {
        "Stations": ["LYS"], "SensorNums": ["6"], "dur_code": ["D"], "Start": ["2020-07-01"], "End": ["2020-07-02"],
    }  # fmt: skip
    service.pages.clear()
    assert download_levels("cdec", "LYS", tmp_path / "pond" / "levels.csv", "2020-07-01", "2020-07-02", url=url).equals(
        level
    )


def test_an_earlier_download_is_kept_only_for_its_station_and_period(service, tmp_path):
    path, note = tmp_path / "levels.csv", tmp_path / "levels.csv.json"
    asked = []

    def page(query):
        first, last = query["Start"][0], query["End"][0]
        asked.append((first, last))
        days = pd.date_range(first, last).strftime("%Y%m%d 0000")
        lines = [f"LYS,D,6,RES ELE,{day},{day},4200.00, ,FEET\n" for day in days]
        return CDEC.splitlines()[0] + "\n" + "".join(lines)

    def download(first, last, agency="cdec", station="LYS"):
        found = download_levels(agency, station, path, first, last, url=service.url.replace("/stac", "/cdec"))
        return found.attrs["origin"], len(found)

    service.pages["/cdec"] = page
    assert download("2020-07-10", "2020-07-20") == ("new", 11)
    assert {name: json.loads(note.read_text())[name] for name in ("agency", "station", "first", "last")} == {
        "agency": "cdec", "station": "LYS", "first": "2020-07-10", "last": "2020-07-20",
    }  # fmt: skip
    assert download("2020-07-12", "2020-07-20", station="lys") == ("kept", 11)
    assert download("2020-07-15", "2020-07-25") == ("new", 16)
    assert download("2020-07-10", "2020-07-25") == ("kept", 16)
    assert asked == [("2020-07-10", "2020-07-20"), ("2020-07-10", "2020-07-25")]  # no day is lost
    before = path.read_bytes(), note.read_bytes()
    for other in ({"station": "BHC"}, {"agency": "eccc"}):
        with pytest.raises(
            LevelError, match=r"levels.csv: levels of cdec LYS found, .* expected, as asked for. Name ano"
        ):
            download("2020-07-10", "2020-07-20", **other)
    for bad, message in (("", "no daily level from 2020-07-01"), (CDEC + "LYS,D,6\n", "row 4 is cut off")):
        service.pages["/cdec"] = bad
        with pytest.raises(LevelError, match=message):
            download("2020-07-01", "2020-07-31")
    assert (path.read_bytes(), note.read_bytes()) == before
    assert sorted(tmp_path.glob("levels*")) == [path, note]
    service.pages["/cdec"] = page
    tomorrow = pd.Timestamp.now().normalize() + pd.Timedelta(days=1)
    for _ in range(2):  # levels that are still to come are asked for again
        assert download("2020-07-10", tomorrow)[0] == "new"
    assert json.loads(note.read_text())["last"] < f"{tomorrow - pd.Timedelta(days=1):%Y-%m-%d}"


def test_the_users_own_levels_are_kept(service, tmp_path):
    service.pages["/cdec"] = CDEC
    path, note = tmp_path / "levels.csv", tmp_path / "levels.csv.json"

    def download(last="2020-07-02"):
        return download_levels("cdec", "LYS", path, "2020-07-01", last, url=service.url.replace("/stac", "/cdec"))

    path.write_text("date,level_m\n2019-01-01,5.0\n")
    assert (download().attrs["origin"], list(download())) == ("own", [5.0])
    assert not note.exists()
    path.unlink()
    assert download().attrs["origin"] == "new"
    corrected = CDEC.replace("4200.00", "4201.00")
    path.write_text(corrected)
    assert download("2020-12-31").attrs["origin"] == "own"
    assert path.read_text() == corrected
    note.write_text("{}")
    with pytest.raises(
        LevelError, match=r"levels.csv.json: no note of a download found .* Remove it if levels.csv is yo"
    ):
        download()


def test_of_usgs_the_longest_series_is_taken_or_else_the_mean(service, tmp_path):
    def row(day, value, parameter, statistic, series=""):
        return {
            "type": "Feature", "id": f"{parameter}{statistic}{day}", "geometry": None,
            "properties": {
                "time_series_id": parameter + statistic + series, "monitoring_location_id": "USGS-08253900",
                "parameter_code": parameter, "statistic_id": statistic, "time": f"2020-07-0{day}", "value": value,
                "unit_of_measure": "ft", "approval_status": "Approved", "qualifier": None,
                "last_modified": "2021-01-01T00:00:00+00:00",
            },
        }  # fmt: skip

    rows = [row(1, "9400.0", "62614", "00003"), row(2, "60.5", "00065", "00003"), row(1, "60.0", "00065", "00003")]
    page = {"type": "FeatureCollection", "features": rows, "numberReturned": 3, "links": []}
    service.pages["/ogcapi/v1/collections/daily/items"] = page
    url = service.url.removesuffix("/stac")
    level = download_levels("usgs", "08253900", tmp_path / "levels.csv", "2020-07-01", "2020-07-31", url=url)
    assert level.attrs["format"] == "USGS Water Data"
    assert level.to_numpy() == pytest.approx([60.0 * 0.3048, 60.5 * 0.3048])
    assert set(pd.read_csv(tmp_path / "levels.csv", dtype=str)["parameter_code"]) == {"00065"}
    for statistics in (("00001", "00003", "32400"), ("00001", "30800", "32400"), ("00001", "00002", "31200")):
        page["features"] = [row(1, "9400.0", "62614", statistic) for statistic in statistics]
        path = tmp_path / f"{statistics[2]}{statistics[1]}.csv"
        download_levels("usgs", "08253900", path, "2020-07-01", "2020-07-31", url=url)
        expected = next(code for code in ("00003", "32400", "31200") if code in statistics)
        assert list(pd.read_csv(path, dtype=str)["statistic_id"]) == [expected]
    # two gauges of one site aren't mixed
    page["features"] = [row(day, "9400.0", "62614", "00003") for day in (1, 2)] + [row(1, "9.0", "62614", "00003", "b")]
    level = download_levels("usgs", "USGS-08253900", tmp_path / "b.csv", "2020-07-01", "2020-07-31", url=url)
    assert level.to_numpy() == pytest.approx([9400 * 0.3048] * 2)


def test_eccc_becomes_dates_and_levels(service, tmp_path):
    def row(day, level, symbol=None):
        return {"properties": {"DATE": f"2020-07-0{day}", "LEVEL": level, "LEVEL_SYMBOL_EN": symbol, "DISCHARGE": None}}

    dry = [row(4, 0.0, "Dry"), row(5, 0.0, "D")]
    service.pages["/eccc"] = {"features": [row(2, 1.5, "Ice Conditions"), row(1, 1.25), row(3, None), *dry]}
    url = service.url.replace("/stac", "/eccc")
    level = download_levels("eccc", "05AA004", tmp_path / "levels.csv", "2020-07-01", "2020-07-31", url=url)
    assert list(level) == [1.25, 1.5]
    assert level.attrs["unit"] == "m"
    assert (tmp_path / "levels.csv").read_text().splitlines()[2] == "2020-07-02,1.5,Ice Conditions"


@pytest.mark.parametrize("told", [{"numberMatched": 9}, {}])
def test_eccc_is_asked_on_if_it_sends_fewer_days_than_asked_for(service, tmp_path, told):
    rows = [{"properties": {"DATE": f"2020-07-0{day}", "LEVEL": float(day)}} for day in range(1, 10)]
    asked = ("eccc", "05AA004", tmp_path / "levels.csv", "2020-07-01", "2020-07-31")
    url = service.url.replace("/stac", "/eccc")
    if told:
        service.pages["/eccc"] = {"features": rows[:4]} | told  # whatever the offset
        with pytest.raises(LevelError, match=r"/eccc: 4 of 9 days found, all expected. Try again later, or"):
            download_levels(*asked, url=url)
        assert not asked[2].exists()
    service.pages["/eccc"] = lambda query: {"features": rows[int(query["offset"][0]) :][:4]} | told
    assert list(download_levels(*asked, url=url)) == list(range(1, 10))


@pytest.mark.parametrize(
    ("agency", "page", "message"),
    [
        (
            "cdec",
            CDEC.splitlines()[0] + "\n",
            "cdec X: no daily level from 2020-07-01 to 2020-07-31 found.*station_id=X",
        ),
        ("cdec", "<html>busy</html>", "cdec X: no daily level"),
        ("cdec", None, "/cdec: the answer 404 Not Found found, data expected. Try again later, or check it."),
        ("eccc", {"features": []}, "eccc X: no daily level .*wateroffice.ec.gc.ca tells what there is"),
        ("eccc", "<html>busy</html>", "/eccc: no JSON with features found, data expected. Try again later."),
        ("dwd", None, "agency 'dwd' found, one of cdec, usgs, eccc expected."),
    ],
)
def test_levels_that_are_not_there_are_errors(service, tmp_path, agency, page, message):
    if page is not None:
        service.pages[f"/{agency}"] = page
    with pytest.raises(LevelError, match=message):
        download_levels(
            agency,
            "X",
            tmp_path / "pond" / "x.csv",
            "2020-07-01",
            "2020-07-31",
            url=service.url.replace("/stac", f"/{agency}"),
        )
    assert not (tmp_path / "pond").exists()


def test_usgs_out_of_reach_or_without_levels_is_an_error(service, tmp_path, monkeypatch):
    monkeypatch.setenv("API_USGS_RETRIES", "0")
    asked = ("usgs", "08253900", tmp_path / "x.csv", "2020-07-01", "2020-07-31")
    with pytest.raises(LevelError, match=r"http://127.0.0.1:9: no answer .* Check station and network."):
        download_levels(*asked, url="http://127.0.0.1:9")
    page = {"type": "FeatureCollection", "features": [], "numberReturned": 0, "links": []}
    service.pages["/ogcapi/v1/collections/daily/items"] = page
    service.pages["/ogcapi/v1/collections/daily/schema"] = {"properties": {"value": {"type": "string"}}}
    with pytest.raises(LevelError, match="usgs 08253900: no daily level from 2020-07-01"):
        download_levels(*asked, url=service.url.removesuffix("/stac"))


# The study's reservoirs


def test_reservoirs_are_as_published():
    assert list(reservoirs()) == ["BHC", "BIL", "GLL", "LYS", "MCR", "ARR", "CTR"]
    lyons = reservoir("lys")
    table = "wu2023_table1_california_reservoirs"
    assert lyons.capacity_m3 == 1000 * published.value(table, "capacity_1e3_m3", reservoir="LYS")
    assert lyons.place == (lyons.longitude_deg, lyons.latitude_deg) == (-120.16, 38.09)
    assert (lyons.agency, lyons.station, lyons.region) == ("cdec", "LYS", "San Joaquin River")
    arrow = reservoir("ARR")
    assert arrow.region == "British Columbia, Canada"
    assert arrow.longitude_deg > -114  # the easternmost point of British Columbia
    assert "Saskatchewan" in arrow.note
    assert arrow.station is None
    with pytest.raises(LevelError, match=r"reservoir 'XYZ' found, one of BHC \(Brush Creek\), .* expected"):
        reservoir("XYZ")


# The command


def run(capsys, *arguments, code=0):
    assert main(["level", "download", *map(str, arguments)]) == code
    return capsys.readouterr()


def test_from_a_code_to_images_and_levels_in_one_command(service, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    service.pages["/cdec"] = CDEC
    monkeypatch.setitem(levels_module.AGENCIES, "cdec", service.url.replace("/stac", "/cdec"))
    lyons = gpd.GeoSeries.from_xy(*([x] for x in reservoir("LYS").place), crs=4326).to_crs(CRS).iloc[0]
    monkeypatch.setattr(sys.modules[__name__], "WEST", round(lyons.x, -1) - 400)
    monkeypatch.setattr(sys.modules[__name__], "NORTH", round(lyons.y, -1) + 400)
    service.add("a", "2020-07-01T18:50:00Z", sentinel2(), **OLD)
    service.add("b", "2020-07-08T18:50:00Z", without(sentinel2(), "SCL"), **OLD)
    asked = (
        "--reservoir",
        "LYS",
        "--from",
        "2020-07-01",
        "--to",
        "2020-07-31",
        "--out",
        "lyons",
        "--half-width-m",
        100,
    )
    told = run(capsys, *asked, "--catalog", service.url)
    assert told.out.splitlines() == [
        "lyons/levels.csv: 1 days from 2020-07-01 to 2020-07-01, 1280.16 to 1280.16 m (CDEC CSV, VALUE in ft by DATE "
        "TIME); 1 rows without a level",
        "lyons/sentinel2_l2a: 1 dates written, 0 were there, 0 too cloudy; none for 1 (no SCL)",
    ]
    assert told.err == ""  # no bar where no terminal is
    again = run(capsys, *asked, "--catalog", service.url).out
    assert "without a level, was there" in again
    assert "0 dates written, 1 were there" in again
    (tmp_path / "lyons" / "levels.csv.json").unlink()
    own = run(capsys, *asked, "--catalog", service.url).out
    assert "without a level, was there; kept as your own, so cdec:LYS was not asked" in own
    scenes = read_scenes(tmp_path / "lyons")
    assert scenes.level_m == pytest.approx([4200 * 0.3048])
    assert read_gauge("lyons/levels.csv").attrs["format"] == "CDEC CSV"


def test_the_command_tells_what_is_unknown_and_what_is_wrong(service, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    period = ("--from", "2020-07-01", "--to", "2020-07-31", "--out", "pond", "--catalog", service.url)
    told = run(capsys, "--reservoir", "ARR", *period, code=2)
    assert "Saskatchewan" in told.err
    assert "no image found" in told.err
    for place in ((), ("--lon", 1), ("--reservoir", "LYS", "--lon", 1, "--lat", 1), ("--lat", 1, "--area", "x.gpkg")):
        assert "name the place once" in run(capsys, *place, *period, code=2).err
    assert "agency 'x'" in run(capsys, "--lon", 1, "--lat", 1, "--gauge", "x:1", *period, code=2).err
    told = run(capsys, "--lon", 1, "--lat", 1, "--gauge", "LYS", *period, code=2).err
    assert "--gauge LYS found, agency and station, as cdec:LYS, or none expected." in told
    assert list(tmp_path.glob("pond*")) == []
