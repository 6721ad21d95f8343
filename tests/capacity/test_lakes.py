"""Lakes in depressions, by ground whose catchments are known."""

import numpy as np
import pytest
from rasterio.transform import Affine
from scipy import ndimage

from millpond import datasets
from millpond.capacity.factors import factors_on_network
from millpond.capacity.terrain import FlowNetwork, read_elevation
from millpond.raster import open_raster

THIRTY_METRES = Affine(30, 0, 150_000, 0, -30, 4_000_000)
TRUE_TO_SCALE = "EPSG:3011"  # at 150 km east
ROW, COL = np.indices((121, 121))


def network(elevation):
    return FlowNetwork.from_dem(elevation, transform=THIRTY_METRES, crs=TRUE_TO_SCALE)


def crater():
    """Slopes of 0.1 up to a rim of 190 m, 900 m around the middle, where a lake of 150 m radius stands at 115 m."""
    radius_m = 30 * np.hypot(ROW - 60, COL - 60)
    ground = np.where(radius_m < 900, 100 + 0.1 * radius_m, 190 - 0.1 * (radius_m - 900))
    lake = radius_m < 150
    return np.where(lake, 115, ground), lake.astype(int)


def dammed(rows=60, cols=21):
    """A valley that falls to the south by a metre a cell, with a wall of 40 m across it in row 40."""
    row, col = np.indices((rows, cols))
    ground = 200.0 - row + 5 * np.abs(col - cols // 2)
    ground[40] = np.maximum(ground[40], 200)
    return ground


def test_all_of_a_crater_drains_to_its_lake():
    row = factors_on_network(network(crater()[0]), crater()[1]).loc[1]
    assert row["Asc_km2"] == pytest.approx(np.pi * 0.9**2, rel=0.01)
    assert row["Lsc_km"] == pytest.approx(0.9, rel=0.1)  # D8 zigzags between its eight directions
    assert row["Rsc_m"] == pytest.approx(190 - 115, abs=0.5)
    assert row["waterline_m"] == 115
    assert row["depression_m"] == pytest.approx(190 - 115, abs=2)  # the lowest cell of the rim
    assert not row["edge_contaminated"]


def test_a_wall_in_the_dem_lifts_no_waterline():
    # Water covers the channel of rows 30 to 39 behind the wall, up to 170 m; over the wall it would stand at 200 m.
    ground = dammed()
    water = np.zeros(ground.shape, int)
    water[30:40, 10] = 1
    net = network(ground)
    row = factors_on_network(net, water).loc[1]
    assert (row["waterline_m"], row["crest_m"], row["depression_m"]) == (170, 173, 30)
    assert row["Rsc_m"] == ground[:40].max() - 161  # the channel before the wall
    belt = (ground > 170) & (ground <= 173) & (np.indices(ground.shape)[0] < 40)
    assert row["Sb_deg"] == pytest.approx(net.slope_deg[belt].mean(), rel=1e-6)
    assert row["Asc_km2"] == pytest.approx(0.0009 * 21 * 40, rel=0.06)  # the ends of the wall may drain either way
    known = factors_on_network(net, water, crest_m={1: 199}).loc[1]
    belt = (ground > 170) & (ground <= 199) & (np.indices(ground.shape)[0] < 40)
    assert known["Sb_deg"] == pytest.approx(net.slope_deg[belt].mean(), rel=1e-6)


def test_what_lies_below_a_wall_shares_what_lies_above():
    # the second reservoir lies in the channel of rows 50 to 52, in the open valley
    ground = dammed()
    water = np.zeros(ground.shape, int)
    water[30:40, 10] = 1
    water[50:53, 10] = 2
    cut, share = (factors_on_network(network(ground), water, nested=nested) for nested in ("cut", "share"))
    assert share.loc[2, "Asc_km2"] == pytest.approx(0.0009 * 21 * 53, rel=0.01)
    assert cut.loc[2, "Asc_km2"] == pytest.approx(share.loc[2, "Asc_km2"] - share.loc[1, "Asc_km2"])
    assert share["depression_m"].tolist() == [30, 0]


def test_a_pond_on_the_side_of_a_depression_gets_what_comes_down_to_it():
    # The crater without water at its bottom, and a pond of 3 x 3 cells at its side, 20 cells from the middle.
    ground, _ = crater()
    water = np.zeros(ground.shape, int)
    water[39:42, 59:62] = 1
    row = factors_on_network(network(ground), water).loc[1]
    assert row["depression_m"] > 20
    assert 0.009 < row["Asc_km2"] < 0.2  # a slice of the slope of 2.5 km2 above, not all of the crater


def test_two_lakes_in_a_depression_drain_one_to_the_other():
    # A trough behind a wall with a bar of 180 m in row 20: a lake on either side, at 185 and 165 m.
    ground = dammed()
    ground[20] = np.maximum(ground[20], 190)
    water = np.zeros(ground.shape, int)
    water[16:20, 10], water[35:40, 10] = 1, 2
    cut, share = (factors_on_network(network(ground), water, nested=nested) for nested in ("cut", "share"))
    assert cut["depression_m"].tolist() == [200 - 184, 200 - 165]
    assert cut.loc[1, "Asc_km2"] == pytest.approx(0.0009 * 21 * 20, rel=0.08)
    assert cut["Asc_km2"].sum() == pytest.approx(share.loc[2, "Asc_km2"])


def test_small_depressions_of_an_open_valley_change_nothing():
    noise = np.random.default_rng(0).normal(0, 0.3, ROW.shape)
    ground = 100 + 4 * np.abs(COL - 60) + 0.6 * (120 - ROW) + noise
    water = np.zeros(ground.shape, int)
    water[80:100, 60] = 1
    row = factors_on_network(network(ground), water).loc[1]
    assert row["depression_m"] == 0
    assert row["waterline_m"] == np.float32(ground[80:100, 60].max())


def test_cogswell_reservoir_behind_the_wall_that_srtm_shows():
    # The water of 690 m and the cells below it; the lowest way out is over the wall, at 712 m.
    if not datasets.is_present("dem"):
        pytest.skip("needs dem of the data root (set MILLPOND_DATA)")
    with open_raster({"elevation": datasets.path("dem") / "bigtujunga.tif"}) as dem:
        ground = read_elevation(dem)
        net = FlowNetwork.from_dem(ground, transform=dem.transform, crs=dem.crs)
    low = np.zeros(ground.shape, bool)
    low[606:629, 1115:1159] = ground[606:629, 1115:1159] <= 690
    bodies, _ = ndimage.label(low, np.ones((3, 3)))
    water = (bodies == np.bincount(bodies[bodies > 0]).argmax()).astype(int)
    assert water.sum() == 76
    row = factors_on_network(net, water).loc[1]
    assert (row["waterline_m"], row["crest_m"], row["depression_m"]) == (690, 693, 22)
    assert row["Rsc_m"] == 2295 - 675  # its bed
    assert row["Asc_km2"] == pytest.approx(85, abs=0.5)
    assert factors_on_network(net, water, crest_m={1: 711}).loc[1, "Sb_deg"] == pytest.approx(16.7, abs=0.3)
