import numpy as np
import pytest
from rasterio.transform import Affine

from millpond.capacity.dams import LARGEST_HEIGHT_M, build_dams, flood, jacksboro
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALL_CAPACITY_1E6_M3, SMALLEST_WATER_KM2, factors_on_network
from millpond.capacity.terrain import FlowNetwork

# A channel of 15, 14, ..., 10 m between walls of 100 m; cells of 10 m x 10 m.
GORGE = np.full((8, 5), 100, np.float32)
GORGE[1:, 2] = np.arange(15, 8, -1)
OUTLET = 5 * 5 + 2  # ground at 11 m


@pytest.fixture(scope="module")
def gorge():
    return FlowNetwork.from_dem(GORGE, transform=Affine(10, 0, 150_000, 0, -10, 4_000_000), crs="EPSG:3011")


def test_a_gorge_floods_to_the_crest(gorge):
    flooding = flood(GORGE, gorge, OUTLET, 13.5)
    # cells at 11, 12 and 13 m lie 2.5, 1.5 and 0.5 m deep
    assert sorted(flooding.depth_m) == [0.5, 1.5, 2.5]
    assert flooding.area_km2 == pytest.approx(300 / 1e6)
    assert flooding.volume_1e6_m3 == pytest.approx(450 / 1e6)
    assert flooding.dam_length_m == pytest.approx(10)


def test_a_pool_in_the_valley_counts_with_its_depth(gorge):
    ground = GORGE.copy()
    ground[4, 2] = 8  # below the outlet: it was a pond before the dam
    net = FlowNetwork.from_dem(ground, transform=gorge.transform, crs=gorge.crs)
    assert flood(ground, net, OUTLET, 13.5).volume_1e6_m3 == pytest.approx((450 + 400) / 1e6)


def test_masked_ground_counts_as_unknown(gorge):
    ground = np.ma.masked_greater(GORGE, 50)
    net = FlowNetwork.from_dem(ground, transform=gorge.transform, crs=gorge.crs)
    with pytest.raises(CapacityError, match="the flood reaches the edge of the DEM"):
        flood(ground, net, OUTLET, 13.5)
    assert flood(np.ma.array(GORGE, mask=False), gorge, OUTLET, 13.5).volume_1e6_m3 == pytest.approx(450 / 1e6)


def test_floods_that_cannot_be_measured_are_refused(gorge):
    with pytest.raises(CapacityError, match="a crest of 11 m at ground of 11 m found, a crest above"):
        flood(GORGE, gorge, OUTLET, 11)
    with pytest.raises(CapacityError, match=r"the flood reaches the edge of the DEM\. Lower the crest"):
        flood(GORGE, gorge, OUTLET, 150)


@pytest.fixture(scope="module")
def hills():
    elevation, transform, crs = jacksboro(refine=3)
    return elevation, FlowNetwork.from_dem(elevation, transform=transform, crs=crs)


def test_the_bundled_hills_keep_their_elevation(hills):
    elevation, net = hills
    coarse, transform, _ = jacksboro(refine=1)
    assert elevation.shape == tuple(3 * n for n in coarse.shape)
    np.testing.assert_allclose(elevation[1::3, 1::3], coarse, atol=1e-3)  # the middle of three cells is the old one
    assert 25 < np.sqrt(net.cell_area_km2.mean()) * 1000 < 30
    assert transform.f == pytest.approx(36.7329, abs=1e-4)


def test_virtual_reservoirs_are_small_apart_and_visible(hills):
    elevation, net = hills
    reservoirs, water = build_dams(elevation, net, 40, random_state=1)
    assert reservoirs["capacity_1e6_m3"].between(*SMALL_CAPACITY_1E6_M3).all()
    assert (reservoirs["height_m"] <= LARGEST_HEIGHT_M).all()
    assert sorted(np.unique(water)) == list(range(41))
    table = factors_on_network(net, water, crest_m=reservoirs["crest_m"].to_dict())
    assert (table["Aws_km2"] >= SMALLEST_WATER_KM2).all()
    assert (table["Aws_km2"] < reservoirs["full_area_km2"]).all()
    np.testing.assert_array_equal(table["outlet_row"] * net.shape[1] + table["outlet_col"], reservoirs["outlet"])
    assert (table["waterline_m"] < reservoirs["crest_m"]).all()
    again, _ = build_dams(elevation, net, 40, random_state=1)
    assert again.equals(reservoirs)


def test_capacity_is_what_the_dem_holds_below_the_crest(hills):
    # by an independent way: label what lies below the crest in the catchment that pyflwdir delineates
    elevation, net = hills
    reservoirs, _ = build_dams(elevation, net, 5, random_state=2)
    for dam in reservoirs.itertuples():
        catchment = net.flow.basins(idxs=np.array([dam.outlet])) == 1
        below = catchment & (net.filled_m < dam.crest_m)
        depth = np.clip(dam.crest_m - elevation[below], 0, None)
        assert (depth * net.cell_area_km2[below]).sum() == pytest.approx(dam.capacity_1e6_m3, rel=1e-5)


def test_too_few_sites_are_said(gorge):
    with pytest.raises(CapacityError, match="0 sites for dams found, 3 expected"):
        build_dams(GORGE, gorge, 3, random_state=0)
