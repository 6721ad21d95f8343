import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from shapely.geometry import box

from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS, factors_on_network, reservoir_factors
from millpond.capacity.terrain import FlowNetwork
from millpond.raster import RasterError

HUNDRED_METRES = Affine(100, 0, 150_000, 0, -100, 4_000_000)
TRUE_TO_SCALE = "EPSG:3011"  # at 150 km east

# A channel in the middle column falls by a metre a cell, from 15 m in row 1 to 9 m at the southern edge. Every cell of
# a row drains straight into its channel cell; row 0 drains into row 1.
VALLEY = np.array([[200, 100, 16 - row, 100, 200] for row in range(8)], np.float32)
VALLEY[0] = 200
WATER = np.zeros(VALLEY.shape, int)
WATER[3:6, 2] = 1


@pytest.fixture
def net():
    return FlowNetwork.from_dem(VALLEY, transform=HUNDRED_METRES, crs=TRUE_TO_SCALE)


def test_the_six_factors_of_a_valley_by_hand(net):
    row = factors_on_network(net, WATER).loc[1]
    assert (row["outlet_row"], row["outlet_col"]) == (5, 2)
    assert row["Asc_km2"] == pytest.approx(0.30)  # six rows of five cells
    # from the corner: a diagonal, a straight step to the channel, and four steps down it
    assert row["Lsc_km"] == pytest.approx((100 * 2**0.5 + 500) / 1000)
    assert row["Aws_km2"] == pytest.approx(0.03)
    assert row["Ssc_deg"] == pytest.approx(net.slope_deg[:6].mean(), rel=1e-6)
    assert (row["waterline_m"], row["crest_m"]) == (13, 16)
    assert row["Sb_deg"] == pytest.approx(net.slope_deg[1:3, 2].mean(), rel=1e-6)  # the channel cells of 14 and 15 m
    assert row["Rsc_m"] == 200 - 11
    assert row["edge_contaminated"]


def test_a_known_crest_and_a_fixed_buffer(net):
    lower = factors_on_network(net, WATER, crest_m={1: 14}).loc[1]
    assert lower["Sb_deg"] == pytest.approx(net.slope_deg[2, 2])
    ring = factors_on_network(net, WATER, buffer_m=100).loc[1]
    beside = np.zeros(VALLEY.shape, bool)
    beside[3:6, [1, 3]] = True
    beside[[2, 6], 2] = True
    assert ring["Sb_deg"] == pytest.approx(net.slope_deg[beside].mean(), rel=1e-6)


def test_nested_reservoirs_cut_or_share_their_catchments(net):
    water = WATER.copy()
    water[2, 2] = 2  # three rows upstream belong to it
    cut = factors_on_network(net, water)
    assert cut["Asc_km2"].tolist() == pytest.approx([0.15, 0.15])
    assert cut.loc[1, "Lsc_km"] == pytest.approx(0.4)  # two steps to the channel and two down it
    share = factors_on_network(net, water, nested="share")
    assert share["Asc_km2"].tolist() == pytest.approx([0.30, 0.15])


def test_shared_catchments_share_their_buffers_too(net):
    water = WATER.copy()
    water[2, 2] = 2
    share = factors_on_network(net, water, nested="share")
    assert share.loc[1, "Sb_deg"] == pytest.approx(net.slope_deg[1, 2])  # 15 m, upstream of the other reservoir


def test_banks_take_the_place_of_a_buffer_without_a_cell(net):
    water = WATER.copy()
    water[2, 2] = 2  # cut there, nothing between 13 and 16 m is left to reservoir 1
    beside = np.zeros(VALLEY.shape, bool)
    beside[2:7, [1, 3]] = beside[6, 2] = True
    found = factors_on_network(net, water).loc[1, "Sb_deg"]
    assert found == pytest.approx(net.slope_deg[beside].mean(), rel=1e-6)


def test_basins_are_those_of_the_outlets():
    # two valleys side by side, a square kilometre a cell: each is a sub-basin of its own
    twins = np.hstack([VALLEY, VALLEY])
    net = FlowNetwork.from_dem(twins, transform=HUNDRED_METRES @ Affine.scale(10), crs=TRUE_TO_SCALE)
    water = np.zeros(twins.shape, int)
    water[5, 2], water[5, 7], water[6, 7] = 1, 2, 2
    basins = factors_on_network(net, water)["basin"]
    assert basins[1] != basins[2]


@pytest.mark.parametrize(("cell_m", "split"), [(470, False), (500, True)])
def test_basins_part_where_both_parts_have_ten_square_kilometres(cell_m, split):
    # Two valleys run into a channel to the east: 47 cells above the junction from the west, 43 are left. With cells of
    # 470 m they have 10.4 and 9.5 km2, with cells of 500 m 11.8 and 10.8 km2.
    ground = np.vstack([np.hstack([VALLEY, VALLEY]), 9 - np.arange(10.0)])
    net = FlowNetwork.from_dem(ground, transform=Affine(cell_m, 0, 150_000, 0, -cell_m, 4e6), crs=TRUE_TO_SCALE)
    water = np.zeros(ground.shape, int)
    water[6, 2], water[6, 7] = 1, 2
    basins = factors_on_network(net, water)["basin"]
    assert (basins[1] != basins[2]) == split


def test_a_crest_needs_a_reservoir_of_its_label(net):
    with pytest.raises(CapacityError, match="a crest for reservoir 7 found, none without water of that label expected"):
        factors_on_network(net, WATER, crest_m={7: 16})
    assert factors_on_network(net, WATER, {1: 0.03, 7: 0.02}, crest_m={7: 16}).index.tolist() == [1]  # off the DEM


def test_masked_labels_are_land(net):
    covered = np.ma.array(WATER + 1, mask=WATER == 0)
    assert factors_on_network(net, covered).loc[2].equals(factors_on_network(net, WATER).loc[1])


def test_a_buffer_has_its_width_in_metres_whatever_the_shape_of_the_cells():
    oblong = FlowNetwork.from_dem(VALLEY, transform=Affine(50, 0, 150_000, 0, -100, 4_000_000), crs=TRUE_TO_SCALE)
    ring = factors_on_network(oblong, WATER, buffer_m=60).loc[1]
    beside = np.zeros(VALLEY.shape, bool)
    beside[3:6, [1, 3]] = True  # the cells beside are 50 m away, those above and below 100 m
    assert ring["Sb_deg"] == pytest.approx(oblong.slope_deg[beside].mean(), rel=1e-6)


def test_small_water_bodies_are_dropped_and_counted(net):
    small = FlowNetwork.from_dem(VALLEY, transform=HUNDRED_METRES @ Affine.scale(0.3), crs=TRUE_TO_SCALE)
    water = WATER.copy()
    water[1, 2] = 2  # 30 m x 30 m
    table = factors_on_network(small, water)
    assert table.index.tolist() == [1]
    assert table.attrs["dropped"] == 1
    with pytest.raises(CapacityError, match=r"all 1 water bodies are below 0\.002 km2"):
        factors_on_network(small, np.where(water == 2, 2, 0))


def test_unusable_water_is_refused(net):
    with pytest.raises(CapacityError, match=r"water of shape \(2, 2\) found, \(8, 5\) as of the DEM expected"):
        factors_on_network(net, np.ones((2, 2), int))
    with pytest.raises(CapacityError, match="no water found on the DEM"):
        factors_on_network(net, np.zeros(VALLEY.shape, int))
    with pytest.raises(CapacityError, match="nested='both' found, 'cut' or 'share' expected"):
        factors_on_network(net, WATER, nested="both")


@pytest.fixture
def files(tmp_path):
    def write(name, values, **profile):
        path = tmp_path / name
        shape = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
        with rasterio.open(
            path, "w", **{"transform": HUNDRED_METRES, "crs": TRUE_TO_SCALE} | shape | profile
        ) as dataset:
            dataset.write(values, 1)
        return path

    return write


def test_files_polygons_and_arrays_give_the_same(files):
    dem, raster = files("dem.tif", VALLEY), files("water.tif", WATER.astype("int32"))
    expected = reservoir_factors(dem, WATER)
    assert reservoir_factors(dem, raster).equals(expected)
    # a little smaller than its three cells, so that it touches no other
    polygon = box(150_201, 4_000_000 - 599, 150_299, 4_000_000 - 301)
    table = reservoir_factors(dem, gpd.GeoDataFrame(geometry=[polygon], crs=TRUE_TO_SCALE), crest_m={1: 16})
    unchanged = [name for name in FACTORS if name != "Aws_km2"]
    assert table.loc[1, unchanged].tolist() == pytest.approx(expected.loc[1, unchanged].tolist())
    assert table.loc[1, "Aws_km2"] == pytest.approx(0.098 * 0.298, rel=2e-3)  # true areas


def test_grids_and_reference_systems_must_agree(files):
    dem = files("dem.tif", VALLEY)
    elsewhere = files("water.tif", WATER.astype("int32"), transform=HUNDRED_METRES @ Affine.translation(1, 0))
    with pytest.raises(RasterError, match=r"water\.tif: georeferencing .* found"):
        reservoir_factors(dem, elsewhere)
    polygons = gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs="EPSG:4326")
    with pytest.raises(CapacityError, match=r"water in EPSG:4326 found, EPSG:3011 .* water\.to_crs\(dem\.crs\)"):
        reservoir_factors(dem, polygons)
    with pytest.raises(CapacityError, match="no coordinate reference system found"):
        reservoir_factors(files("bare.tif", VALLEY, crs=None), WATER)
