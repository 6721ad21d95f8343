import re
from functools import partial

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from matplotlib import image as pictures
from rasterio.transform import Affine
from scipy import ndimage
from shapely.geometry import LineString, Point, Polygon, box

from millpond import cli
from millpond.capacity import FACTORS, PSOELMRegressor, scenarios
from millpond.capacity.errors import CapacityError
from millpond.capacity.estimation import CapacityModel
from millpond.capacity.factors import reservoir_factors
from millpond.cli import main

TRUE_TO_SCALE = "EPSG:3011"  # at 150 km east
GRID = Affine(30, 0, 150_000, 0, -30, 4_000_000)

# Six valleys of twenty columns run to the south. A row's cells drain straight into its channel, 4 m a cell; the channel
# falls by 0.6 m a cell. So a catchment is its rows times 20 cells of 0.0009 km2.
ROW, COL = np.indices((120, 120))
DEM = (100 + 4 * np.abs(COL % 20 - 10) + 0.6 * (119 - ROW)).astype("float32")

# Three water bodies a valley, three to eight rows long; the last one has two cells, 0.0018 km2.
WATER = np.zeros(DEM.shape, "int32")
for _i in range(18):
    _length = 2 if _i == 17 else 3 + _i % 6
    WATER[32 * (_i % 3) + 28 - _length : 32 * (_i % 3) + 28, 20 * (_i // 3) + 10] = _i + 1
CAPACITY = (16 * np.bincount(WATER.ravel())[1:] ** 1.1 / 3 + np.arange(18) % 5) / 4000  # mean depths of about 2 m

# For an image: the same five cells broad, and a pond of two cells.
BROAD = ndimage.binary_dilation(WATER > 0, np.ones((1, 5)))
BROAD[5, 50:52] = True


def outlines(crs=TRUE_TO_SCALE):
    """A little smaller than the cells, so that they touch no other."""
    shapes = []
    for label in range(1, 19):
        rows, cols = np.nonzero(label == WATER)
        west, north = GRID @ (cols.min(), rows.min())
        east, south = GRID @ (cols.max() + 1, rows.max() + 1)
        shapes.append(box(west + 1, south + 1, east - 1, north - 1))
    columns = {"name": [f"pond {i}" for i in range(18)], "capacity_1e6_m3": CAPACITY, "valley": np.arange(18) // 3}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=TRUE_TO_SCALE).to_crs(crs)


def write(name, *bands, descriptions=None, **profile):
    profile = {"transform": GRID, "crs": TRUE_TO_SCALE, "dtype": bands[0].dtype, "count": len(bands)} | profile
    rows, cols = bands[0].shape
    scales = profile.pop("scales", None)
    with rasterio.open(name, "w", driver="GTiff", height=rows, width=cols, **profile) as dataset:
        dataset.write(np.stack(bands))
        if scales:
            dataset.scales = scales
        if descriptions:
            dataset.descriptions = descriptions


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("dem.tif", DEM)
    outlines().to_file("ponds.gpkg")
    return tmp_path


@pytest.fixture
def run(capsys):
    def call(*arguments):
        """What a command that succeeds prints."""
        code = main(["capacity", *map(str, arguments)])
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return call


@pytest.fixture
def fails(capsys, folder):
    def call(*arguments):
        """The one line that a command prints that fails, after which every file is as it was."""
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert main(["capacity", *map(str, arguments)]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        return printed.err

    return call


@pytest.fixture
def factors(folder, run):
    run("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "--id-column", "name", "-o", "factors.gpkg")
    return "factors.gpkg"


@pytest.fixture
def model(factors, run):
    run("fit", factors, "--model", "power law", "--features", "Aws_km2", "--folds", "5", "-o", "law.json")
    return "law.json"


# ---- factors


def test_factors_of_polygons_by_hand(folder, run):
    printed = run("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "factors.csv")
    assert printed == (
        "factors.csv: 17 reservoirs, 9 edge-contaminated (their catchments may reach beyond the DEM); "
        "left out: 1 below 0.002 km2\n"
    )
    table = pd.read_csv("factors.csv", index_col="label")
    first, second = table.loc[1], table.loc[2]
    assert first[["name", "capacity_1e6_m3"]].tolist() == ["pond 0", pytest.approx(CAPACITY[0])]
    assert first["Asc_km2"] == pytest.approx(28 * 20 * 0.0009)  # the outlet is in row 27
    assert second["Asc_km2"] == pytest.approx(32 * 20 * 0.0009)  # cut at the other one, 32 rows upstream
    assert first["Aws_km2"] == pytest.approx(0.028 * 0.088, rel=2e-3)  # three cells, less a metre on each side
    assert first["Lsc_km"] == pytest.approx((10 + 27) * 0.03)
    assert first["Rsc_m"] == pytest.approx(40 + 0.6 * 27, rel=1e-4)
    here = gpd.GeoSeries(gpd.points_from_xy(table["lon"], table["lat"]), crs="EPSG:4326", index=table.index).to_crs(
        TRUE_TO_SCALE
    )
    assert outlines().set_axis(range(1, 19)).loc[table.index].contains(here).all()


def test_a_raster_of_labels_or_a_mask_gives_what_the_package_gives(folder, run):
    write("labels.tif", WATER)
    write("mask.tif", (WATER > 0).astype("uint8") + (WATER == 0).astype("uint8") * np.uint8(255), nodata=255)
    expected = reservoir_factors("dem.tif", WATER)
    for water in ("labels.tif", "mask.tif"):
        assert "17 reservoirs" in run("factors", "--dem", "dem.tif", "--water", water, "-o", "factors.gpkg")
        table = gpd.read_file("factors.gpkg").set_index("label")
        ours = table if water == "labels.tif" else table.sort_values(["outlet_col", "outlet_row"])
        np.testing.assert_allclose(ours[[*FACTORS]], expected[[*FACTORS]], rtol=1e-6)
        assert table.crs.to_epsg() == 3011
        assert table.geometry.area.to_numpy() == pytest.approx(table["Aws_km2"] * 1e6)
    assert ours.index.tolist() != expected.index.tolist()  # a mask has no labels to keep


def test_the_options_reach_the_measurement(folder, run):
    outlines().assign(crest=180.0).to_file("ponds.gpkg")
    arguments = ("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "factors.csv")
    for options, expected in (
        (("--freeboard", 5), {"freeboard_m": 5}),
        (("--buffer", 70), {"buffer_m": 70}),
        (("--nested", "share"), {"nested": "share"}),
        (("--crest-column", "crest"), {"crest_m": dict.fromkeys(range(1, 19), 180)}),
    ):
        run(*arguments, *options)
        measured = pd.read_csv("factors.csv", index_col="label")
        wanted = reservoir_factors("dem.tif", outlines(), **expected)[["Asc_km2", "Sb_deg", "crest_m"]]
        np.testing.assert_allclose(measured[["Asc_km2", "Sb_deg", "crest_m"]], wanted, rtol=1e-6)


def test_water_elsewhere_and_in_degrees_is_brought_onto_the_dem(folder, run, fails):
    outlines("EPSG:4326").to_file("degrees.geojson")
    write("shifted.tif", WATER, transform=GRID @ Affine.translation(-2, 0))
    arguments = ("factors", "--dem", "dem.tif", "-o", "factors.geojson", "--water")
    assert "degrees.geojson: EPSG:4326 found, EPSG:3011 as of the DEM expected. Reproject it, here by --repr" in fails(
        *arguments, "degrees.geojson"
    )
    assert "shifted.tif: georeferencing" in fails(*arguments, "shifted.tif")
    assert fails(*arguments, "shifted.tif").endswith("Here: --reproject.\n")
    run(*arguments, "degrees.geojson", "--reproject")
    table = gpd.read_file("factors.geojson")
    assert table.crs.to_epsg() == 4326
    assert table["Asc_km2"].iloc[0] == pytest.approx(28 * 20 * 0.0009)
    run(*arguments, "shifted.tif", "--reproject")
    assert (gpd.read_file("factors.geojson")["outlet_col"] % 20 == 8).all()


def test_flow_follows_the_streams_but_heights_stay(folder, run):
    # the first valley's stream is said to run beside its channel, five cells to the east
    stream = [LineString([GRID @ (15.5, 0.5), GRID @ (15.5, 119.5)])]
    gpd.GeoDataFrame(geometry=stream, crs=TRUE_TO_SCALE).to_file("streams.gpkg")
    arguments = ("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "factors.csv")
    run(*arguments)
    plain = pd.read_csv("factors.csv", index_col="label")
    run(*arguments, "--streams", "streams.gpkg")
    bent = pd.read_csv("factors.csv", index_col="label")
    assert (bent.loc[:3, "Asc_km2"] < 0.75 * plain.loc[:3, "Asc_km2"]).all()  # nothing comes from the east any more
    assert bent.loc[7:, "Asc_km2"].tolist() == plain.loc[7:, "Asc_km2"].tolist()
    assert bent["waterline_m"].equals(plain["waterline_m"])


def test_measuring_anew_replaces_the_old_factors_and_says_so(factors, run):
    printed = run("factors", "--dem", "dem.tif", "--water", factors, "--freeboard", "4", "-o", "again.gpkg")
    assert "; columns replaced: Asc_km2, Lsc_km" in printed
    again, first = gpd.read_file("again.gpkg"), gpd.read_file(factors)
    assert list(again) == list(first)
    assert again["label"].tolist() == first["label"].tolist() == [f"pond {i}" for i in range(17)]
    assert (again["crest_m"] == first["crest_m"] + 1).all()


def test_water_partly_off_the_dem_is_counted(folder, run):
    ponds = outlines()
    ponds.loc[0, "geometry"] = box(0, 0, 500, 500)
    ponds.to_file("ponds.gpkg")
    printed = run("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "factors.csv")
    assert "16 reservoirs" in printed
    assert "left out: 1 below 0.002 km2 and 1 not on the DEM" in printed


def test_a_column_of_names_comes_before_one_of_labels(folder, run):
    outlines().assign(label=range(101, 119)).to_file("both.gpkg")
    for options, first in (((), 101), (("--id-column", "name"), "pond 0")):
        run("factors", "--dem", "dem.tif", "--water", "both.gpkg", *options, "-o", "both.csv")
        assert pd.read_csv("both.csv")["label"][0] == first


def test_outlines_that_cross_themselves_are_mended(folder, run):
    ponds = outlines()
    west, south, east, north = ponds.geometry[4].bounds
    crossed = Polygon([(west, south), (east, north), (east, south), (west, north)])  # two triangles, half of the area
    ponds.set_geometry([*ponds.geometry[:4], crossed, *ponds.geometry[5:]]).to_file("crossed.gpkg")
    for name in ("ponds", "crossed"):
        run("factors", "--dem", "dem.tif", "--water", f"{name}.gpkg", "-o", f"{name}.csv")
    whole, half = (pd.read_csv(f"{name}.csv").set_index("name")["Aws_km2"]["pond 4"] for name in ("ponds", "crossed"))
    assert half == pytest.approx(whole / 2, rel=1e-3)


def test_parts_of_a_label_count_together(folder, run):
    labels = np.where(WATER == 9, 9, 0).astype("int32")
    labels[[30, 32, 34], 70] = 5  # three cells of 0.0009 km2
    write("parts.tif", labels)
    assert "left out: 0 below" in run("factors", "--dem", "dem.tif", "--water", "parts.tif", "-o", "parts.csv")
    assert pd.read_csv("parts.csv").set_index("label")["Aws_km2"][5] == pytest.approx(0.0027)


def test_an_unknown_cell_of_a_buffer_is_left_out(folder, run):
    # with the same slope everywhere else, the mean doesn't move
    holed = DEM.copy()
    holed[60, 5] = np.nan
    write("holed.tif", holed)
    slopes = []
    for dem in ("dem.tif", "holed.tif"):
        run("factors", "--dem", dem, "--water", "ponds.gpkg", "--buffer", "150", "-o", "slopes.csv")
        slopes.append(pd.read_csv("slopes.csv")["Sb_deg"])
    assert slopes[1].to_numpy() == pytest.approx(slopes[0].to_numpy(), rel=0.02)


def test_outlines_may_wander_by_a_part_of_a_cell(folder, run):
    # cells that water only touches are bank, 4 m higher here: they must not raise the waterline
    run("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "exact.csv")
    outlines().set_geometry(outlines().translate(5, 3)).to_file("moved.gpkg")
    run("factors", "--dem", "dem.tif", "--water", "moved.gpkg", "-o", "moved.csv")
    exact, moved = pd.read_csv("exact.csv"), pd.read_csv("moved.csv")
    assert (exact["waterline_m"] == moved["waterline_m"]).all()
    assert (exact["Sb_deg"] == moved["Sb_deg"]).all()


def test_labels_of_any_size_and_in_parts_keep_their_names(folder, run, fails):
    labels = np.where(WATER > 0, WATER.astype("float64") * 2**31, 0)
    labels[22:24, 10] = 2**31  # of two cells, just above the first of three
    labels[labels == 2 * 2**31] = 0
    write("large.tif", labels)
    run("factors", "--dem", "dem.tif", "--water", "large.tif", "-o", "large.csv")
    found = pd.read_csv("large.csv").set_index("label")
    assert found.index.tolist() == [2**31, *(i * 2**31 for i in range(3, 18))]
    assert found.loc[2**31, "Aws_km2"] == pytest.approx((3 + 2) * 0.0009)
    write("half.tif", labels / 2**32)
    message = "half.tif: fractions found, whole numbers expected"
    assert message in fails("factors", "--dem", "dem.tif", "--water", "half.tif", "-o", "half.csv")


def test_a_map_of_water_classes_is_refused(folder, run, fails):
    # as of JRC's Global Surface Water: 1 not water, 2 seasonal, 3 permanent in its middle
    ring = ndimage.binary_dilation(WATER > 0, np.ones((3, 3)))
    for name, classes, message in (
        (
            "seasonality.tif",
            np.where(WATER > 0, 2, ring),
            "label 1 in 18 places far apart found, one water body expected",
        ),
        (
            "yearly.tif",
            1 + np.where(WATER > 0, 2, ring),
            "label 2 in 18 places far apart found, one water body expected",
        ),
        (
            "one.tif",
            np.where(WATER == 9, 2, 1 * (ndimage.binary_dilation(WATER == 9, np.ones((3, 3))))),
            "label 2 inside another",
        ),
    ):
        write(name, classes.astype("uint8"))
        assert message in fails("factors", "--dem", "dem.tif", "--water", name, "-o", "x.csv")
    with pytest.raises(CapacityError, match=r"Take a mask of 0 and 1, or number the bodies"):
        reservoir_factors("dem.tif", (WATER > 0).astype(int))


def test_catchments_and_outlets_are_layers_of_the_output(folder, run, fails):
    common = ("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "--id-column", "name", "--catchments", "-o")
    for nested in ("cut", "share"):
        run(*common, "basins.gpkg", "--nested", nested)
        table = gpd.read_file("basins.gpkg", layer="basins").set_index("label")
        areas, outlets = (
            gpd.read_file("basins.gpkg", layer=name).set_index("label") for name in ("catchments", "outlets")
        )
        assert areas.index.tolist() == outlets.index.tolist() == table.index.tolist()
        np.testing.assert_allclose(areas.area / 1e6, table["Asc_km2"], rtol=1e-6)
        assert areas.buffer(1).contains(outlets.geometry).all()
        assert table.buffer(15).contains(outlets.geometry).all()
    assert run("fit", "basins.gpkg", *LAW, "-o", "law.json").startswith("law.json: power law")  # takes the first layer
    assert "only a .gpkg file has several layers" in fails(*common, "basins.csv")


def test_heights_and_widths_above_nothing_are_expected(folder, run, fails):
    measure = ("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "x.csv")
    assert "a freeboard of 0 m found, more than 0 m expected" in fails(*measure, "--freeboard", "0")
    assert "a freeboard of inf m found" in fails(*measure, "--freeboard", "inf")
    assert "a buffer of nan m found, more than 0 m expected" in fails(*measure, "--buffer", "nan")
    outlines().assign(crest=np.inf).to_file("crests.gpkg")
    crests = ("factors", "--dem", "dem.tif", "--water", "crests.gpkg", "-o", "x.csv", "--crest-column", "crest")
    assert "a crest of inf m over water of" in fails(*crests)


def test_a_spike_of_an_outline_is_no_water(folder, run):
    ponds = outlines()
    west, south, east, north = ponds.geometry[8].bounds
    ponds.loc[8, "geometry"] = Polygon(
        [(west, south), (east, south), (east, north), (east + 300, north), (east, north), (west, north)]
    )
    ponds.to_file("spike.gpkg")
    for name in ("ponds", "spike"):
        run("factors", "--dem", "dem.tif", "--water", f"{name}.gpkg", "-o", f"{name}.csv")
    pd.testing.assert_frame_equal(pd.read_csv("spike.csv"), pd.read_csv("ponds.csv"))


def test_columns_of_any_name_go_through(folder, run):
    odd = outlines().assign(lon="here", lat="there", Basin="north", fid=["a"] * 18)
    odd.to_file("odd.geojson", driver="GeoJSON")
    odd_water = ("--dem", "dem.tif", "--water", "odd.geojson", "--reproject")
    assert "columns replaced: Basin" in run("factors", *odd_water, "-o", "odd.csv")
    assert pd.read_csv("odd.csv")["lon"].between(17, 19).all()
    run("factors", *odd_water, "-o", "odd.gpkg")
    assert gpd.read_file("odd.gpkg")["lon"].tolist() == ["here"] * 17


def test_contamination_stops_at_a_reservoir_upstream(folder, run):
    # the catchment of the uppermost pond of a valley reaches the edge, those of the others begin below it
    run("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "cut.csv")
    run("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "--nested", "share", "-o", "share.csv")
    middle = pd.read_csv("cut.csv")["name"].isin(["pond 4", "pond 7", "pond 10"])  # in valleys away from the sides
    assert not pd.read_csv("cut.csv").loc[middle, "edge_contaminated"].any()
    assert pd.read_csv("share.csv").loc[middle, "edge_contaminated"].all()


def test_unusable_rasters_are_refused(fails):
    write("nowhere.tif", DEM, crs=None)
    write("degrees.tif", DEM, crs="EPSG:4326")
    write("nothing.tif", np.full_like(DEM, -9999), nodata=-9999)
    write("flat.tif", np.full_like(DEM, 7))
    write("dry.tif", np.zeros_like(WATER))
    write("bare.tif", WATER, crs=None)
    out = ("-o", "factors.gpkg")
    ponds = ("--water", "ponds.gpkg")
    for options, message in (
        (
            ("--dem", "nowhere.tif", *ponds),
            "nowhere.tif: no coordinate reference system found, one with a place on Earth expected. Set it",
        ),
        (("--dem", "degrees.tif", *ponds, "--reproject"), "found, which lie outside WGS 84. Check the"),
        (("--dem", "nothing.tif", *ponds), "no cell of the DEM has data"),
        (("--dem", "flat.tif", *ponds), "a flat DEM found (all cells 7 m), relief expected"),
        (("--dem", "lost.tif", *ponds), "lost.tif: no such file found, a raster expected"),
        (("--dem", "ponds.gpkg", *ponds), "ponds.gpkg: no raster found"),
        (("--dem", "dem.tif", "--water", "dry.tif"), "dry.tif: no water body of 0.002 km2 or more found on the DEM"),
        (("--dem", "dem.tif", "--water", "bare.tif"), "bare.tif: no coordinate reference system found"),
        (("--dem", "dem.tif", "--water", "dry.tif", "--id-column", "x"), "dry.tif: a raster found, polygons expected"),
    ):
        assert message in fails("factors", *options, *out)


def test_unusable_polygons_are_refused(fails, folder):
    ponds = outlines()
    ponds.set_geometry(ponds.centroid).to_file("points.gpkg")
    ponds.set_geometry(ponds.translate(1e5, 0)).to_file("away.gpkg")
    ponds.iloc[:0].to_file("empty.geojson")
    ponds.set_geometry([None, *ponds.geometry[1:]]).to_file("gap.gpkg")
    ponds.assign(name="pond", crest="high", label=3).to_file("labels.gpkg")
    ponds.assign(name="pond", crest="high").to_file("twins.gpkg")
    ponds.assign(crest=50).to_file("low.gpkg")
    ponds.assign(label=range(1, 19)).to_file("labelled.gpkg")
    pd.concat([ponds, ponds.iloc[[4]]]).to_file("double.gpkg")
    ponds.geometry.to_file("bare.shp")
    (folder / "bare.prj").unlink()
    (folder / "broken.gpkg").write_bytes((folder / "ponds.gpkg").read_bytes()[:5000])
    (folder / "text.geojson").write_text("no shapes")
    out = ("--dem", "dem.tif", "-o", "factors.gpkg")
    for options, message in (
        (("points.gpkg",), "points.gpkg: Point found, polygons expected"),
        (("away.gpkg",), "no water found on the DEM"),
        (("empty.geojson",), "empty.geojson: no rows found, one or more expected"),
        (("gap.gpkg",), "gap.gpkg: no shape in row 1 found, one in each row expected"),
        (("bare.shp",), "bare.shp: no coordinate reference system found, one expected"),
        (("broken.gpkg",), "broken.gpkg: no readable shapes found"),
        (("text.geojson",), "text.geojson: no readable shapes found"),
        (("lost.gpkg",), "lost.gpkg: no such file found, a table expected"),
        (("twins.gpkg", "--id-column", "name"), "gaps or repetitions in name found, a name for each row expected"),
        (("labelled.gpkg", "--id-column", "id"), "geometry found, id missing. Name one that is there"),
        (("twins.gpkg", "--id-column", "id"), "geometry found, id missing. Name one that is there"),
        (("twins.gpkg", "--crest-column", "crest"), "twins.gpkg: crest with "),
        (("labels.gpkg",), "labels.gpkg: gaps or repetitions in label found, a name for each row expected"),
        (("low.gpkg", "--crest-column", "crest"), "a crest of 50 m over water of 15"),
        (("low.gpkg", "--crest-column", "crest", "--buffer", "30"), "a --buffer of fixed width knows no crest"),
        (("double.gpkg",), "overlapping water bodies found, first 5 and 19, each cell in one expected"),
        (("ponds.gpkg", "--nested", "both"), "nested is cut or share"),
    ):
        assert message in fails("factors", "--water", *options, *out)


# ---- water


def scene(lake=BROAD):
    """Reflectance in digital numbers: green and near infrared."""
    noise = np.random.default_rng(0).normal(0, 40, (2, *DEM.shape))
    green = np.where(lake, 600, 800) + noise[0]
    infrared = np.where(lake, 200 + noise[1] / 4, 2500 + 5 * noise[1])
    return green.astype("uint16"), infrared.astype("uint16")


def test_water_bodies_by_index(folder, run):
    write("scene.tif", *scene(), descriptions=("B03", "B08"))
    printed = run("water", "scene.tif", "--scaling", "sentinel-2", "-o", "water.gpkg")
    assert printed.startswith("water.gpkg: 18 water bodies (index above ")
    assert printed.endswith("); left out: 1 below 0.002 km2\n")
    found = gpd.read_file("water.gpkg")
    assert found["label"].tolist() == list(range(1, 19))
    assert found["area_km2"].sum() == pytest.approx((BROAD.sum() - 2) * 0.0009, rel=2e-3)
    assert "18 reservoirs" in run("factors", "--dem", "dem.tif", "--water", "water.gpkg", "-o", "factors.csv")


def test_a_threshold_and_bands_without_names(folder, run):
    write("scene.tif", *scene())
    printed = run("water", "scene.tif", "--names", "B03,B8", "--threshold", "0.1", "-o", "water.geojson")
    assert "18 water bodies (index above 0.100)" in printed


def test_water_that_is_shadow_goes(folder, run):
    lake = BROAD.copy()
    lake[50:54, 14:18] = True  # on a slope of 7.6 degrees to the west
    write("scene.tif", *scene(lake), descriptions=("B03", "B08"))
    sun = ("--sun-azimuth", 90, "--sun-elevation", 8)
    assert "19 water bodies" in run("water", "scene.tif", "-o", "water.gpkg")
    printed = run("water", "scene.tif", "--dem", "dem.tif", *sun, "-o", "water.gpkg")
    assert "18 water bodies (index above " in printed
    assert ", 1 removed as mountain shadow)" in printed
    write("tenths.tif", (10 * DEM).astype("int16"), scales=(0.1,))
    write("feet.tif", DEM / np.float32(0.3048))
    with rasterio.open("feet.tif", "r+") as file:
        file.units = ("ft",)
    for dem in ("tenths.tif", "feet.tif"):
        assert ", 1 removed as mountain shadow)" in run("water", "scene.tif", "--dem", dem, *sun, "-o", "w.gpkg")


def test_mountains_beyond_the_image_cast_shadow_too(folder, run):
    # a wall 25 columns east of the image's edge, 300 m high, with the sun behind it at 15 degrees: 37 cells of shadow
    wall = np.zeros((120, 120), "float32")
    wall[:, 85] = 300
    wall[0, 0] = 1
    write("wall.tif", wall)
    write("scene.tif", *(band[:, :60] for band in scene()), descriptions=("B03", "B08"))
    sun = ("--dem", "wall.tif", "--sun-azimuth", 90, "--sun-elevation", 15)
    printed = run("water", "scene.tif", *sun, "-o", "water.gpkg")
    assert "4 removed as mountain shadow" in printed  # those of column 50; the 48th is the first in shadow


def test_no_data_of_the_file_is_no_water(folder, run):
    green, infrared = scene()
    green[:, 60:], infrared[:, 60:] = 65535, 65535
    write("border.tif", green, infrared, descriptions=("B03", "B08"), nodata=65535)
    printed = run("water", "border.tif", "--scaling", "sentinel-2", "-o", "water.gpkg")
    assert printed.startswith("water.gpkg: 9 water bodies")


@pytest.mark.parametrize(
    ("tags", "scaling"),
    [({"PROCESSING_BASELINE": "05.09"}, None), ({"BOA_ADD_OFFSET": "-1000"}, None), ({}, (1e-4, -0.1))],
)
def test_the_radiometric_offset_does_not_change_the_water(folder, run, tags, scaling):
    write("plain.tif", *scene(), descriptions=("B03", "B08"))
    expected = run("water", "plain.tif", "-o", "water.gpkg")
    write("later.tif", *(band + np.uint16(1000) for band in scene()), descriptions=("B03", "B08"))
    with rasterio.open("later.tif", "r+") as file:
        file.update_tags(**tags)
        if scaling:
            file.scales, file.offsets = zip(scaling, scaling, strict=True)
    assert run("water", "later.tif", "-o", "water.gpkg") == expected


def test_an_offset_that_the_pixels_contradict_is_not_taken_off(folder, capsys):
    write("S2_20230701.tif", *scene(), descriptions=("B03", "B08"))  # of a provider that has done it
    assert main(["capacity", "water", "S2_20230701.tif", "-o", "water.gpkg"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("water.gpkg: 18 water bodies")
    assert "S2_20230701.tif: a radiometric offset of 1,000 found (the date 2023-07-01), but" in printed.err


def test_a_mask_says_where_the_terrain_ends(folder, run):
    known = np.ones(DEM.shape, bool)
    known[:10] = False  # the upper ends of the three uppermost catchments
    write("nodata.tif", np.where(known, DEM, -9999).astype("float32"), nodata=-9999)
    write("mask.tif", np.where(known, DEM, 0).astype("float32"))
    with rasterio.open("mask.tif", "r+") as file:
        file.write_mask(known)
    tables = []
    for name in ("nodata", "mask"):
        run("factors", "--dem", f"{name}.tif", "--water", "ponds.gpkg", "-o", "factors.csv")
        tables.append(pd.read_csv("factors.csv", index_col="label"))
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["edge_contaminated"].any()


def test_water_by_training_polygons(folder, run, fails):
    write("scene.tif", *scene(WATER > 0), descriptions=("B03", "B08"))
    ponds = outlines().iloc[:9]
    land = ponds.set_geometry(ponds.translate(150, 0))
    both = pd.concat([ponds.assign(land_use="water"), land.assign(land_use="green space")])
    both.to_file("training.gpkg")
    classify = ("water", "scene.tif", "--method", "classify", "-o", "water.gpkg", "--training")
    printed = run(*classify, "training.gpkg")
    assert "water.gpkg: 17 water bodies (classified; on held-out polygons 100% of the water was found, and " in printed
    both.replace({"land_use": {"water": "lake"}}).to_file("lakes.gpkg")
    assert "lakes.gpkg: classes green space, lake found, one called water expected" in fails(*classify, "lakes.gpkg")


def test_mistakes_about_water(fails):
    write("scene.tif", *scene(), descriptions=("B03", "B08"))
    write("bare.tif", *scene(), descriptions=("B03", "B08"), crs=None)
    out = ("-o", "water.gpkg")
    for options, message in (
        (("scene.tif", "--method", "magic", *out), "the method is otsu, or classify together with --training"),
        (("scene.tif", "--method", "classify", *out), "the method is otsu, or classify together with --training"),
        (("scene.tif", "--dem", "dem.tif", *out), "needs all of --dem, --sun-azimuth and --sun-elevation"),
        (("scene.tif", "--infrared", "B11", *out), "scene.tif: bands B03, B08 found, B11 missing"),
        (("scene.tif", "--scaling", "modis", *out), "scaling 'modis' found, one of sentinel-2"),
        (("scene.tif", "--threshold", "0.99", *out), "scene.tif: no water body of 0.002 km2 or more found"),
        (("bare.tif", *out), "bare.tif: no coordinate reference system found"),
        (("scene.tif", "-o", "water.csv"), "water.csv: suffix .csv found, .gpkg or .geojson expected"),
        (("scene.tif", "-o", "no/water.gpkg"), "no/water.gpkg: no folder no found, an existing one expected"),
    ):
        assert message in fails("water", *options)


# ---- fit and estimate

LAW = ("--model", "power law", "--features", "Aws_km2", "--folds", "5")


def test_fit_prints_honest_scores_beside_the_common_law(factors, run, monkeypatch):
    small = partial(PSOELMRegressor, n_particles=3, max_iterations=1)
    monkeypatch.setattr(scenarios, "PSOELMRegressor", small)
    gpd.read_file(factors).assign(edge_contaminated=False).to_file("whole.gpkg")
    printed = run("fit", "whole.gpkg", "--folds", "5", "-o", "model.json", "--plot", "scatter.png")
    head, columns, ours, common = printed.splitlines()
    assert head == (
        "model.json: PSO-ELM on Asc_km2, Lsc_km, Aws_km2, Ssc_deg, Sb_deg; 17 of 17 rows have a capacity, 17 train. "
        "Out-of-fold scores, 5 folds, whole groups of basin:"
    )
    heads = ["R2 of logs", "R2", "squared correlation", "median error", "mean error"]
    assert re.split(r"\s{2,}", columns.strip()) == heads
    assert ours.startswith("PSO-ELM ")
    assert common.startswith("power law on Aws_km2 ")
    fitted = CapacityModel.load("model.json")
    assert f"{fitted.scores['r2_log']:.2f}" in ours
    assert fitted.training.index.tolist() == [f"pond {i}" for i in range(17)]
    assert pictures.imread("scatter.png").std() > 0


def test_fit_never_trains_on_estimates_or_on_the_capacity(factors, model, run, fails):
    run("estimate", factors, "--model", model, "-o", "estimates.gpkg")
    message = "estimated capacities found in capacity_1e6_m3, known ones expected"
    assert message in fails("fit", "estimates.gpkg", "-o", "again.json")
    law = ("--model", "power law", "--features", "Aws_km2", "--folds", "5", "-o", "again.json")
    run("fit", "estimates.gpkg", "--capacity-column", "known_1e6_m3", *law)
    cheat = ("--capacity-column", "known_1e6_m3", "--features", "known_1e6_m3", "-o", "cheat.json")
    assert "known_1e6_m3 found among the factors" in fails("fit", "estimates.gpkg", *cheat)


def test_a_factor_that_nobody_asked_for_may_have_gaps(factors, run):
    table = gpd.read_file(factors)
    table.loc[0, ["Aws_km2", "basin"]] = np.nan
    table["edge_contaminated"] = False
    table.to_file("gaps.gpkg")
    options = ("--model", "power law", "--features", "Ssc_deg", "--folds", "5", "-o", "slopes.json")
    printed = run("fit", "gaps.gpkg", *options)
    assert "neighbours on both sides" in printed
    assert "power law on Aws_km2" not in printed


def test_fit_takes_rows_with_a_capacity_and_groups(factors, run):
    table = gpd.read_file(factors).rename(columns={"capacity_1e6_m3": "surveyed"})
    table.loc[[3, 8], "surveyed"] = np.nan
    table.drop(columns="geometry").to_csv("factors.csv", index=False)
    options = ("--capacity-column", "surveyed", "--groups-column", "valley", "--folds", "4", "--features", "Aws_km2")
    printed = run("fit", "factors.csv", "--model", "power law", *options, "-o", "model.json")
    assert (
        "power law on Aws_km2; 15 of 17 rows have a capacity, 15 train. Out-of-fold scores, 4 folds, whole" in printed
    )
    assert "groups of valley:" in printed
    too_few = run("fit", "factors.csv", "--capacity-column", "surveyed", *LAW[:4], "--folds", "15", "-o", "other.json")
    assert "15 folds, neighbours on both sides:" in too_few  # not as many basins
    fitted = CapacityModel.load("model.json")
    assert "pond 3" not in fitted.training.index
    assert (fitted.training["fold"].groupby(np.delete(np.arange(17) // 3, [3, 8])).nunique() == 1).all()


def test_estimates_are_the_models_and_columns_stay(factors, model, run):
    printed = run("estimate", factors, "--model", model, "-o", "estimates.gpkg", "--coverage", "0.8")
    assert printed == (
        "estimates.gpkg: 17 capacities (medians) with intervals of 80%; 0 extrapolate, with factors outside the range "
        "of the training\n"
    )
    found, table = gpd.read_file("estimates.gpkg"), gpd.read_file(factors)
    expected = CapacityModel.load(model).estimate(table, coverage=0.8)
    for name in ("capacity_1e6_m3", "low_1e6_m3", "high_1e6_m3"):
        assert found[name].tolist() == expected[name].tolist()
    assert found["known_1e6_m3"].tolist() == table["capacity_1e6_m3"].tolist()
    assert found.geometry.equals(table.geometry)
    run("estimate", "estimates.gpkg", "--model", model, "-o", "again.csv")
    again = pd.read_csv("again.csv")
    assert again["known_1e6_m3"].tolist() == pytest.approx(table["capacity_1e6_m3"].tolist())
    assert {"label", "lon", "lat", "low_1e6_m3", "extrapolates"} < {*again}


def test_extrapolations_are_marked_and_mapped(factors, model, run):
    table = gpd.read_file(factors)
    table.loc[0, "Aws_km2"] *= 100
    table.to_file("large.gpkg")
    pictures_ = ("--map", "map.png", "--dem", "dem.tif", "--plot", "plot.png")
    printed = run("estimate", "large.gpkg", "--model", model, "-o", "estimates.csv", *pictures_)
    assert "; 1 extrapolate" in printed
    found = pd.read_csv("estimates.csv", index_col="label", keep_default_na=False)
    assert found["extrapolates"].tolist() == ["Aws_km2"] + [""] * 16
    run("estimate", "estimates.csv", "--model", model, "-o", "points.geojson", "--map", "points.png")
    assert (gpd.read_file("points.geojson").geom_type == "Point").all()
    for name in ("map.png", "plot.png", "points.png"):
        assert pictures.imread(name).shape[1] > 800


def test_unusable_tables_and_models_are_refused(factors, model, fails, folder):
    table = pd.DataFrame(gpd.read_file(factors).drop(columns="geometry")).assign(edge_contaminated=False)
    for name, broken in (
        ("negative", table.assign(capacity_1e6_m3=-1)),
        ("blank", table.assign(capacity_1e6_m3=np.nan)),
        ("same", table.assign(capacity_1e6_m3=1.5)),
        ("short", table.drop(columns="Sb_deg")),
        ("gaps", table.assign(Sb_deg=np.nan)),
        ("few", table.iloc[:6]),
        ("fine", table),
    ):
        broken.to_csv(f"{name}.csv", index=False)
    (folder / "empty.csv").write_text("")
    head, *rows = (folder / "fine.csv").read_text().splitlines()
    (folder / "comma.csv").write_text("\n".join([head, *(f"{row}," for row in rows)]))
    table.assign(lon="14,5", lat=36.1).to_csv("positions.csv", index=False)
    table.assign(lon=5e5, lat=4e6).to_csv("metres.csv", index=False)
    table.assign(geometry="POINT (14 36)").to_csv("wkt.csv", index=False)
    gpd.read_file(factors).assign(Name="a").to_file("case.geojson", driver="GeoJSON")  # beside name
    (folder / "head.csv").write_text("label,Aws_km2\n")
    law = ("--model", "power law", "-o", "model.json")
    for options, message in (
        (("negative.csv", *law), "capacity_1e6_m3: zero or less in row pond 0 found, and none of 17 rows with pos"),
        (("blank.csv", *law), "blank.csv: no capacity in column capacity_1e6_m3 found"),
        (("same.csv", *law), "capacity_1e6_m3: 1.5 for all 17 reservoirs found, different ones expected"),
        (("short.csv", *law), "Sb_deg missing. Measure them"),
        (("gaps.csv", *law), "Sb_deg: no number in row pond 0 found, and none of 17 rows with positive numbers"),
        (("few.csv", "--folds", 3, "-o", "model.json"), "in the smallest training part found, more than the 3 neurons"),
        (("fine.csv", "--model", "SVM", "-o", "model.json"), "model 'SVM' found, one of PSO-ELM, ELM, power law exp"),
        (("fine.csv", *law, "--capacity-column", "volume"), "fine.csv: columns name, capacity_1e6_m3, valley"),
        (("fine.csv", *law, "--groups-column", "river"), "river missing"),
        (("fine.csv", *law, "--groups-column", "valley"), "6 groups for 10 folds found"),
        (("empty.csv", *law), "empty.csv: no table found (No columns to parse from file), comma-separated values"),
        (("head.csv", *law), "head.csv: no rows found"),
        (("lost.csv", *law), "lost.csv: no such file found"),
        (("comma.csv", *law), "comma.csv: rows with more fields than names found, as many expected"),
        (("positions.csv", *law), "positions.csv: lon and lat that are no numbers found"),
        (("table.xlsx", *law), "table.xlsx: suffix .xlsx found, .csv or .gpkg or .geojson or .shp expected"),
        (("fine.csv", "-o", "model.pkl"), "model.pkl: suffix .pkl found, .json expected"),
        (("fine.csv", *law, "--plot", "plot.pdf"), "plot.pdf: suffix .pdf found, .png expected"),
        (("fine.csv", *law, "--plot", "no/plot.png"), "no/plot.png: no folder no found"),
    ):
        assert message in fails("fit", *options)
    given = ("--model", model)
    for options, message in (
        (("short.csv", *given[:1], "fine.csv", "-o", "e.csv"), "fine.csv: no complete JSON found"),
        (
            ("fine.csv", *given[:1], "lost.json", "-o", "e.csv"),
            "lost.json: No such file or directory, a saved capacity",
        ),
        (("fine.csv", *given, "-o", "e.gpkg"), "e.gpkg: a table without positions can't be a .gpkg file. Choose .csv"),
        (("fine.csv", *given, "-o", "e.csv", "--map", "m.png"), "fine.csv: no positions found, shapes or columns lon"),
        (("wkt.csv", *given, "-o", "e.csv", "--map", "m.png"), "wkt.csv: no positions found, shapes or columns lon"),
        (
            ("metres.csv", *given, "-o", "e.csv", "--map", "m.png"),
            "rows from 4e+06 to 4e+06 found, which lie outside WGS 84",
        ),
        (("case.geojson", *given, "-o", "e.gpkg"), "e.gpkg: columns that a .gpkg file can't hold found"),
        (("fine.csv", *given, "-o", "e.txt"), "e.txt: suffix .txt found, .csv or .gpkg or .geojson expected"),
        (("fine.csv", *given, "-o", "fine.csv"), "fine.csv: an input or another output found"),
        (("fine.csv", *given, "-o", "no/e.csv"), "no/e.csv: no folder no found"),
        (("fine.csv", *given, "-o", "e.csv", "--coverage", "0.99"), "intervals of coverage 0.99 from 17 reservoirs"),
        (("fine.csv", *given, "-o", "e.csv", "--dem", "dem.tif"), "--dem is the background of a --map"),
        ((factors, *given, "-o", "e.csv", "--map", "p.png", "--plot", "p.png"), "p.png: named for two outputs"),
    ):
        assert message in fails("estimate", *options)


def test_a_map_away_from_its_dem_is_refused_and_nothing_is_written(factors, model, fails):
    write("away.tif", DEM, transform=GRID @ Affine.translation(5000, 0))
    options = ("-o", "e.gpkg", "--map", "map.png", "--dem", "away.tif")
    assert "away.tif: no reservoir on the DEM found" in fails("estimate", factors, "--model", model, *options)


def test_no_input_is_ever_overwritten(factors, model, fails):
    for arguments in (
        ("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "-o", "ponds.gpkg"),
        ("factors", "--dem", "dem.tif", "--water", "ponds.gpkg", "--streams", "s.gpkg", "-o", "s.gpkg"),
        ("estimate", factors, "--model", model, "-o", factors),
    ):
        assert "an input or another output found, a file of its own expected" in fails(*arguments)


def test_units_of_capacities_are_converted_or_noticed(factors, model, run, capsys):
    table = gpd.read_file(factors)
    for unit, in_unit in (("m3", 1e6), ("ML", 1e3), ("acre-ft", 810.714)):
        table.assign(held=table["capacity_1e6_m3"] * in_unit).to_file("unit.gpkg")
        known = ("--capacity-column", "held", "--capacity-unit", unit)
        run("fit", "unit.gpkg", *LAW, *known, "-o", "unit.json")
        capacities = CapacityModel.load("unit.json").training["capacity_1e6_m3"]
        assert capacities.tolist() == pytest.approx(table["capacity_1e6_m3"].tolist(), rel=1e-6)
        run("estimate", "unit.gpkg", "--model", "unit.json", *known, "-o", "e.csv")
        assert pd.read_csv("e.csv")["known_1e6_m3"].tolist() == pytest.approx(capacities.tolist())
    assert main(["capacity", "fit", "unit.gpkg", *LAW, "--capacity-unit", "ft", "-o", "m.json"]) == 2
    assert "capacity unit 'ft' found, one of hm3, m3, ML, acre-ft expected" in capsys.readouterr().err
    table.assign(capacity_1e6_m3=table["capacity_1e6_m3"] * 1e6).to_file("m3.gpkg")
    assert main(["capacity", "fit", "m3.gpkg", *LAW, "-o", "m.json"]) == 0
    printed = capsys.readouterr().err
    assert printed.startswith(
        "millpond: warning: mean depths (capacity by Aws_km2) outside 0.05 to 200 m found in 17 of 17"
    )
    assert "pond 4 (" in printed
    assert "and 12 more. Check the units of both." in printed
    assert printed.count("\n") == 1


def test_a_bad_row_costs_no_other_its_estimate(factors, model, run, capsys):
    table = gpd.read_file(factors)
    table.loc[3, "Aws_km2"] = np.nan
    table.to_file("gap.gpkg")
    options = ("--map", "map.png", "--plot", "plot.png")
    printed = run("estimate", "gap.gpkg", "--model", model, "-o", "e.csv", *options)
    assert printed.startswith("e.csv: 16 capacities (medians) with intervals of 90%; 0 extrapolate")
    assert "; 1 without an estimate (Aws_km2: no number)\n" in printed
    found = pd.read_csv("e.csv", index_col="label", keep_default_na=False)
    assert found.loc["pond 3", ["capacity_1e6_m3", "mean_1e6_m3", "low_1e6_m3"]].tolist() == ["", "", ""]
    assert found["reason"].tolist() == ["Aws_km2: no number" if i == 3 else "" for i in range(17)]
    assert main(["capacity", "fit", "gap.gpkg", *LAW, "-o", "m.json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "millpond: warning: 1 of 17 reservoirs left out: pond 3 (Aws_km2: no number).\n"
    assert "17 of 17 rows have a capacity, 16 train." in printed.out


def test_what_is_edge_contaminated_does_not_train_and_is_marked(factors, run, capsys):
    table = gpd.read_file(factors)
    table.assign(edge_contaminated=table.index < 3).to_file("edge.gpkg")
    options = ("--model", "power law", "--features", "Aws_km2,Rsc_m", "--folds", "5", "-o", "m.json")
    assert main(["capacity", "fit", "edge.gpkg", *options]) == 0
    printed = capsys.readouterr()
    assert printed.err == (
        "millpond: warning: 3 of 17 reservoirs left out: pond 0, pond 1, pond 2 (edge-contaminated: the catchment may "
        "reach beyond the DEM).\n"
    )
    rows = [line.split("  ")[0] for line in printed.out.splitlines()[2:]]
    assert rows == ["power law", "power law on Aws_km2"]  # both on the same reservoirs
    printed = run("estimate", "edge.gpkg", "--model", "m.json", "-o", "e.csv")
    assert "; 3 in doubt (edge-contaminated: the catchment may reach beyond the DEM)\n" in printed
    assert pd.read_csv("e.csv")["reason"].notna().tolist() == [True] * 3 + [False] * 14


def test_the_total_of_what_is_not_known(factors, model, run):
    table = gpd.read_file(factors)
    table.loc[5:, "capacity_1e6_m3"] = np.nan
    table.to_file("some.gpkg")
    printed = run("estimate", "some.gpkg", "--model", model, "--coverage", "0.8", "-o", "e.csv")
    found = pd.read_csv("e.csv").iloc[5:]
    mean, low, high = CapacityModel.load(model).total(table.iloc[5:], 0.8)
    assert mean == pytest.approx(found["mean_1e6_m3"].sum())
    total = (
        f"the 12 without a known capacity hold {mean:.4g} million m3 together, the sum of mean_1e6_m3, with an interval"
    )
    medians = (
        f"capacity_1e6_m3 holds medians, whose sum, {found['capacity_1e6_m3'].sum():.4g}, is no estimate of a total"
    )
    assert printed.splitlines()[1] == f"{total} of {low:.4g} to {high:.4g}; {medians}"


def test_show_tells_the_law_and_what_trained_it(factors, run, monkeypatch):
    table = gpd.read_file(factors)
    table.assign(capacity_1e6_m3=1.5 * table["Aws_km2"] ** 1.2).to_file("exact.gpkg")
    run("fit", "exact.gpkg", *LAW, "-o", "law.json")
    law, mean, _, in_training, heads, areas, capacities, *_, scores = run("show", "law.json").splitlines()
    assert law == "law.json: power law on Aws_km2; 17 reservoirs in 5 folds"
    assert mean.startswith(
        "capacity_1e6_m3 = 1.5 * Aws_km2^1.2 (medians of the folds: a 1.5 to 1.5, Aws_km2 1.2 to 1.2)"
    )
    assert mean.endswith("; mean_1e6_m3 = 1 * capacity_1e6_m3")
    assert in_training == "In the training:"
    assert heads.split() == ["min", "median", "max"]
    area = table["Aws_km2"]
    assert areas.split() == ["Aws_km2", *(f"{value:.4g}" for value in (area.min(), area.median(), area.max()))]
    assert capacities.split()[0] == "capacity_1e6_m3"
    assert scores.split()[:3] == ["power", "law", "1.00"]
    gpd.read_file(factors).assign(edge_contaminated=False).to_file("whole.gpkg")
    run("fit", "whole.gpkg", "--model", "ELM", "--folds", "5", "-o", "elm.json")
    sizes = [len(network["coef"]) for network in CapacityModel.load("elm.json").parameters]
    printed = run("show", "elm.json")
    assert f"median of 5 networks of {min(sizes)} to {max(sizes)} neurons" in printed


def test_a_file_with_several_layers_needs_the_name_of_one(folder, factors, model, run, fails):
    ponds = outlines()
    ponds.iloc[:2].to_file("two.gpkg", layer="villages")
    ponds.to_file("two.gpkg", layer="ponds")
    measure = ("factors", "--dem", "dem.tif", "--water", "two.gpkg", "-o", "two.csv")
    assert "two.gpkg: layers villages, ponds found, one of them expected. Name one by --layer." in fails(*measure)
    assert "two.gpkg: layers villages, ponds found, lakes expected" in fails(*measure, "--layer", "lakes")
    assert run(*measure, "--layer", "villages").startswith("two.csv: 2 reservoirs")
    assert run(*measure, "--layer", "ponds").startswith("two.csv: 17 reservoirs")
    assert "dem.tif: a raster found, polygons expected, with a layer ponds" in fails(
        "factors", "--dem", "dem.tif", "--water", "dem.tif", "--layer", "ponds", "-o", "x.csv"
    )
    table = gpd.read_file(factors)
    table.iloc[:9].to_file("tables.gpkg", layer="some")
    table.to_file("tables.gpkg", layer="all")
    pd.DataFrame({"note": ["no shapes"]}).pipe(gpd.GeoDataFrame).to_file("tables.gpkg", layer="notes")
    assert "tables.gpkg: layers some, all found" in fails("fit", "tables.gpkg", *LAW, "-o", "m.json")
    assert "17 of 17 rows" in run("fit", "tables.gpkg", *LAW, "--layer", "all", "-o", "m.json")
    assert run("estimate", "tables.gpkg", "--model", model, "--layer", "some", "-o", "e.csv").startswith("e.csv: 9 cap")
    gpd.GeoDataFrame(geometry=[LineString([(150_315, 4e6), (150_315, 3_996_400)])], crs=TRUE_TO_SCALE).to_file(
        "two.gpkg", layer="a"
    )
    streams = (*measure[:3], "--water", "ponds.gpkg", "--streams", "two.gpkg", "-o", "s.csv")
    assert "two.gpkg: layers villages, ponds, a found, one of them expected. Name one by --streams-layer." in fails(
        *streams
    )
    assert "17 reservoirs" in run(*streams, "--streams-layer", "a")


def test_elevations_in_a_unit_that_the_file_does_not_state(folder, run, fails):
    write("bare.tif", DEM / np.float32(0.3048))
    common = ("--water", "ponds.gpkg", "--freeboard", 3.1)  # no cell lies just there
    feet = ("factors", "--dem", "bare.tif", *common, "-o", "feet.csv", "--elevation-unit")
    run(*feet, "ft")
    run("factors", "--dem", "dem.tif", *common, "-o", "metres.csv")
    pd.testing.assert_frame_equal(pd.read_csv("feet.csv"), pd.read_csv("metres.csv"), rtol=1e-5)
    message = "elevations in 'yalms' found, metres (m) or feet (ft) expected. Give the unit (--elevation-unit)"
    assert message in fails(*feet, "yalms")


def test_a_failure_while_scores_are_told_leaves_no_model(factors, fails, monkeypatch):
    monkeypatch.setattr("millpond.capacity.commands._scores_table", lambda fits: 1 / 0)
    assert "ZeroDivisionError" in fails("fit", factors, *LAW, "-o", "m.json")


def test_text_with_numbers_is_read_as_numbers(factors, model, run):
    gpd.read_file(factors).astype({"Aws_km2": str, "capacity_1e6_m3": str}).to_file("text.gpkg")
    run("fit", "text.gpkg", "--model", "power law", "--features", "Aws_km2", "--folds", "5", "-o", "text.json")
    run("estimate", "text.gpkg", "--model", "text.json", "-o", "e.csv", "--plot", "plot.png")
    run("estimate", factors, "--model", model, "-o", "numbers.csv")
    text, numbers = (pd.read_csv(name)["capacity_1e6_m3"] for name in ("e.csv", "numbers.csv"))
    assert text.tolist() == numbers.tolist()


def test_a_map_is_true_to_scale_where_its_reservoirs_are(factors, model, run):
    # zone 5 of Gauss and Krueger begins with 5,500,000: x = 0 is half round the globe
    gpd.read_file(factors).to_crs(31469).to_file("zone.gpkg")
    run("estimate", "zone.gpkg", "--model", model, "-o", "zone.csv", "--map", "zone.png")
    assert pictures.imread("zone.png").std() > 0.05


def test_one_point_has_a_map_too(folder, model, run):
    one = gpd.GeoDataFrame({"Aws_km2": [0.004]}, geometry=[Point(18.003, 36.12)], crs="EPSG:4326")
    one.to_file("one.geojson")
    run("estimate", "one.geojson", "--model", model, "-o", "one.csv", "--map", "one.png", "--dem", "dem.tif")
    assert pd.read_csv("one.csv")["lon"].tolist() == [18.003]


def test_the_bare_verb_shows_its_help(capsys):
    assert "capacity" in cli.ROOMS
    assert main(["capacity"]) == 0
    printed = capsys.readouterr()
    assert all(verb in printed.out for verb in ("water", "factors", "fit", "estimate", "show"))
    assert printed.err == ""
