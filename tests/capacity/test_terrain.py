import re

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyproj import Geod, Transformer
from rasterio.transform import Affine

from millpond import datasets
from millpond.capacity.errors import CapacityError
from millpond.capacity.terrain import (
    FlowNetwork,
    check_memory,
    elevation_of,
    horn_slope_deg,
    read_elevation,
    recondition,
)
from millpond.raster import open_raster

TEN_METRES = Affine(10, 0, 150_000, 0, -10, 4_000_000)
TRUE_TO_SCALE = "EPSG:3011"  # at 150 km east

# A 3 x 3 valley: the middle row is a channel that falls to the east.
CORNER_DEM = np.array([[40, 39, 38], [30, 20, 10], [40, 39, 38]], float)


def network(elevation, **kwargs):
    return FlowNetwork.from_dem(elevation, **{"transform": TEN_METRES, "crs": TRUE_TO_SCALE} | kwargs)


def test_longest_path_turns_a_corner():
    # from the far corner to the channel one diagonal (14.14 m) and one straight step (10 m)
    net = network(CORNER_DEM)
    assert net.longest_path_km[1, 2] == pytest.approx((10 * 2**0.5 + 10) / 1000)


def test_a_channel_collects_its_valley():
    net = network(CORNER_DEM)
    assert net.upstream_cells.tolist() == [[1, 1, 1], [1, 4, 9], [1, 1, 1]]
    assert net.upstream_area_km2[1, 2] == pytest.approx(9 * 100 / 1e6)


def test_the_steepest_drop_wins_over_the_lowest_neighbour():
    # the diagonal neighbour is lower (drop 12 over 14.1 m), the straight one steeper (drop 10 over 10 m)
    net = network(np.array([[100, 90, 95], [95, 88, 95], [95, 95, 95]], float))
    assert net.d8("taudem")[0, 0] == 1


def test_a_pit_is_filled_and_drains():
    bowl = np.array([[9, 9, 9, 9], [9, 2, 9, 9], [9, 9, 5, 9], [9, 9, 9, 4]], float)
    net = network(bowl)
    assert net.filled_m[1, 1] == 5
    assert net.upstream_cells[3, 3] == np.max(net.upstream_cells) > 4


def test_unknown_cells_take_no_part():
    dem = CORNER_DEM.copy()
    dem[0, 0] = -9999
    net = network(dem, nodata=-9999)
    assert net.upstream_cells[0, 0] == 0
    assert net.upstream_cells[1, 2] == 8
    assert net.d8()[0, 0] == -1


def test_masked_cells_take_no_part():
    masked = np.ma.masked_equal(np.where(CORNER_DEM == 40, -32768, CORNER_DEM).astype("int16"), -32768)
    expected = network(np.where(CORNER_DEM == 40, np.nan, CORNER_DEM))
    found = network(masked)
    np.testing.assert_array_equal(found.elevation_m, expected.elevation_m)
    np.testing.assert_array_equal(found.upstream_cells, expected.upstream_cells)
    np.testing.assert_array_equal(
        horn_slope_deg(masked, found.cell_width_m, found.cell_height_m),
        horn_slope_deg(expected.elevation_m, found.cell_width_m, found.cell_height_m),
    )


@pytest.mark.parametrize("void", [-32768, -9999, -3.4028234663852886e38, 32767])
def test_elevations_that_no_land_has_are_voids(void):
    dem = CORNER_DEM.copy()
    dem[0, 0] = void
    message = re.escape(f"1 cells with elevations such as {void:g} m found, -500 to 9000 m expected")
    with pytest.warns(UserWarning, match=message):
        net = network(dem)
    assert net.upstream_cells[1, 2] == 8
    assert net.edge_contaminated()[1, 1]


def test_lands_below_the_sea_and_above_the_clouds_are_land():
    assert (elevation_of(np.array([[-430.0, 8849.0]])) == [[-430, 8849]]).all()


@pytest.mark.parametrize(
    ("unit", "crs", "metres"),
    [
        ("", "EPSG:32633", 1),
        ("metre", "EPSG:32633", 1),
        ("ft", "EPSG:32633", 0.3048),
        ("feet", "EPSG:32633", 0.3048),
        ("US survey foot", "EPSG:32633", 1200 / 3937),
        ("", "EPSG:32633+6360", 1200 / 3937),  # NAVD88 height in US survey feet
        ("m", "EPSG:32633+6360", 1),
        ("", "EPSG:32633+5703", 1),
    ],
)
def test_elevations_are_read_in_metres(tmp_path, unit, crs, metres):
    profile = {"transform": TEN_METRES, "crs": crs, "width": 3, "height": 3, "count": 1, "dtype": "float32"}
    with rasterio.open(tmp_path / "dem.tif", "w", **profile) as file:
        file.write(CORNER_DEM.astype("float32"), 1)
        file.units = (unit,)
    with open_raster({"elevation": tmp_path / "dem.tif"}) as dem:
        np.testing.assert_allclose(read_elevation(dem), CORNER_DEM * metres, rtol=1e-6)


def test_unknown_units_are_refused(tmp_path):
    with rasterio.open(
        tmp_path / "dem.tif", "w", transform=TEN_METRES, crs="EPSG:3011", width=3, height=3, count=1, dtype="int16"
    ) as file:
        file.units = ("fathoms of rope",)
    message = r"elevations in 'fathoms of rope' found, metres \(m\) or feet \(ft\)"
    with open_raster({"elevation": tmp_path / "dem.tif"}) as dem, pytest.raises(CapacityError, match=message):
        read_elevation(dem)


def test_too_large_a_dem_is_refused_before_the_work():
    check_memory((100, 100))
    with pytest.raises(CapacityError, match=r"a DEM of 10000000 x 10000000 cells found, .* about 16500000\.0 GB"):
        check_memory((10**7, 10**7))


def test_catchments_carry_their_slope_and_relief():
    net = network(CORNER_DEM)
    whole = net.catchments()
    assert whole.relief_m[1, 2] == 40 - 10
    assert whole.relief_m[0, 2] == 0
    pit = CORNER_DEM.copy()
    pit[1, 1] = 4  # filled to 10 m for the directions, but the relief is the ground's
    assert network(pit).catchments().relief_m[1, 2] == 40 - 4
    assert whole.mean_slope_deg[1, 2] == pytest.approx(net.slope_deg.mean(), rel=1e-6)


def test_a_cut_cell_passes_nothing_on():
    net = network(CORNER_DEM)
    below = net.catchments(cut=np.array([4]))  # the middle of the channel controls four cells
    assert below.cells[1, 1] == 4
    assert below.cells[1, 2] == 9 - 4
    assert below.longest_path_km[1, 2] == pytest.approx(10 * 2**0.5 / 1000)  # from the second column's corners


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 9), st.integers(2, 9)),
        elements=st.integers(0, 50).map(float) | st.floats(-50, 50, width=32),
    )
)
def test_every_cell_drains_and_is_counted_once(dem):
    if dem.min() == dem.max():
        return
    net = network(dem)
    downstream = net.flow.idxs_ds
    outlets = downstream == np.arange(dem.size)
    assert net.upstream_cells.ravel()[outlets].sum() == dem.size
    filled = net.filled_m.ravel()
    assert (filled[downstream] <= filled).all()
    assert (net.filled_m >= dem).all()


def test_geographic_cells_have_the_size_of_the_ellipsoid():
    step = 1 / 1200
    net = network(CORNER_DEM, transform=Affine(step, 0, 15, 0, -step, 48), crs="EPSG:4326")
    geod = Geod(ellps="WGS84")
    area, _ = geod.polygon_area_perimeter([15, 15, 15 + step, 15 + step], [48, 48 - step, 48 - step, 48])
    assert net.cell_area_km2[0, 0] == pytest.approx(area / 1e6, rel=1e-6)
    assert net.cell_width_m[0] == pytest.approx(geod.inv(15, 48 - step / 2, 15 + step, 48 - step / 2)[2])


def test_feet_become_metres():
    # California zone 1 in US survey feet, near its first standard parallel, where the scale is 1
    net = network(CORNER_DEM, transform=Affine(10, 0, 6_561_667, 0, -10, 1_882_000), crs="EPSG:2225")
    assert net.cell_width_m[0] == pytest.approx(10 * 1200 / 3937, rel=1e-4)


def test_directions_of_both_encodings_are_the_same():
    taudem = np.array([[8, 7, 6], [1, 1, 1], [2, 3, 4]])
    esri = np.array([[2, 4, 8], [1, 1, 1], [128, 64, 32]])
    a, b = (
        FlowNetwork.from_d8(codes, encoding=name, transform=TEN_METRES, crs=TRUE_TO_SCALE)
        for codes, name in ((taudem, "taudem"), (esri, "esri"))
    )
    np.testing.assert_array_equal(a.upstream_cells, b.upstream_cells)
    np.testing.assert_array_equal(a.d8("esri")[:2], esri[:2] * (esri[:2] > 0) * np.array([[1, 1, 1], [1, 1, 0]]))


def test_horn_slope_of_a_plane_a_cone_and_a_paraboloid():
    size = np.full(41, 10.0)
    y, x = np.mgrid[-20:21, -20:21] * 10.0
    inner = np.s_[1:-1, 1:-1]
    plane = horn_slope_deg(3 * x + 4 * y, size, size)
    np.testing.assert_allclose(plane[inner], np.degrees(np.arctan(5)), rtol=1e-5)
    radius = np.hypot(x, y)
    far = (radius > 100)[inner]
    cone = horn_slope_deg(-0.5 * radius, size, size)[inner]
    np.testing.assert_allclose(cone[far], np.degrees(np.arctan(0.5)), rtol=0.01)
    bowl = horn_slope_deg(radius**2 / 1000, size, size)[inner]
    np.testing.assert_allclose(bowl, np.degrees(np.arctan(2 * radius[inner] / 1000)), atol=1e-3)


def test_reconditioning_makes_the_flow_follow_the_stream():
    # a plane to the south; the known stream runs along the middle row to the east
    dem = np.repeat(np.arange(21, 0, -1.0)[:, None], 21, axis=1)
    streams = np.zeros(dem.shape, bool)
    streams[10] = True
    before = network(dem).upstream_cells[10, 20]
    after = network(recondition(dem, streams, buffer_cells=3)).upstream_cells[10]
    assert before < 21
    assert after.max() >= 11 * 21
    unchanged = recondition(dem, streams, buffer_cells=3)[:6]
    np.testing.assert_array_equal(unchanged, dem[:6])
    pond = dem.copy()
    pond[9:12, 3:6] = np.nan
    lowered = recondition(pond, streams, buffer_cells=3)
    np.testing.assert_array_equal(np.isnan(lowered), np.isnan(pond))
    with pytest.raises(CapacityError, match=r"streams of shape .* with 0 cells found"):
        recondition(dem, np.zeros(dem.shape, bool))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crs": 'LOCAL_CS["site grid",UNIT["metre",1]]'}, r"a local reference system \(site grid\) found"),
        ({"crs": None}, "no coordinate reference system found"),
        ({"transform": Affine(10, 1, 0, 0, -10, 0)}, "a rotated or flipped grid found, north up expected"),
        ({"elevation": np.ones((3, 3))}, r"a flat DEM found \(all cells 1 m\), relief expected"),
        ({"elevation": np.full((3, 3), np.nan)}, r"no cell of the DEM has data"),
        ({"elevation": np.ones((1, 3, 3))}, r"elevation of shape \(1, 3, 3\) found, \(rows, cols\) expected"),
    ],
)
def test_unusable_dems_are_refused(change, message):
    with pytest.raises(CapacityError, match=message):
        network(change.pop("elevation", CORNER_DEM), **change)


def test_unusable_directions_are_refused():
    common = {"transform": TEN_METRES, "crs": TRUE_TO_SCALE}
    with pytest.raises(CapacityError, match="D8 encoding 'grass' found, one of esri, taudem expected"):
        FlowNetwork.from_d8(np.ones((2, 2)), encoding="grass", **common)
    with pytest.raises(CapacityError, match="no cell with a taudem direction found"):
        FlowNetwork.from_d8(np.zeros((2, 2)), encoding="taudem", **common)
    with pytest.raises(CapacityError, match=r"directions that run in a circle found"):
        FlowNetwork.from_d8(np.array([[1, 5], [1, 1]]), encoding="taudem", **common)


@pytest.fixture(scope="module")
def taudem():
    """What TauDEM computed from a DEM in North Carolina, by the ends of its file names."""
    if not datasets.is_present("taudem"):
        pytest.skip("needs taudem of the data root (set MILLPOND_DATA)")
    folder = datasets.path("taudem")
    results = {}
    for name in ("", "p", "ad8", "plen", "fel", "sd8"):
        with rasterio.open(folder / f"enogeo{name}.tif") as dataset:
            results[name] = dataset.read(1, masked=True)
            grid = {"transform": dataset.transform, "crs": dataset.crs}
    return results, grid


def test_taudems_directions_give_taudems_catchments(taudem):
    results, grid = taudem
    net = FlowNetwork.from_d8(results["p"].filled(0), encoding="taudem", **grid)
    reported = ~results["ad8"].mask
    np.testing.assert_array_equal(net.upstream_cells[reported], results["ad8"].data[reported])
    np.testing.assert_array_equal(net.edge_contaminated() | results["p"].mask, ~reported)
    has_path = ~results["plen"].mask
    longest_m = net.longest_path_km[has_path] * 1000
    np.testing.assert_allclose(longest_m, results["plen"].data[has_path], atol=0.5)


def test_flats_drain_away_from_higher_ground_and_towards_lower():
    # A flat of 5 x 5 cells in a wall, open in the middle of the south. By Garbrecht and Martz, water leaves the walls
    # first and gathers in the middle column: a straight way to the opening would follow the western and eastern walls.
    walled = np.full((7, 7), 9.0)
    walled[1:6, 1:6] = 5
    walled[6, 3] = 4
    net = network(walled)
    codes = net.d8("taudem")[1:6, 1:6]
    assert codes[:, 2].tolist() == [7, 7, 7, 7, 7]
    assert set(codes[1:4, 0]) <= {1, 8}  # away from the western wall
    assert set(codes[1:4, 4]) <= {5, 6}
    assert net.upstream_cells[6, 3] >= 26


def test_flats_whose_two_gradients_cancel_still_drain():
    # a lake that opens in its far wall: in its middle the steps from the walls and to the opening cancel
    lake = np.full((100, 100), 9.0)
    lake[1:-1, 1:-1] = 5
    lake[-1, 50] = 4
    assert network(lake).upstream_cells[-1, 50] >= 98 * 98


def test_a_pit_far_below_its_rim_is_filled_exactly():
    # sums in single precision would leave it a little below its way out, a flat that nothing drains
    dem = np.full((5, 5), 20, np.float32)
    dem[2, 1:] = 0.20788945, 0.2969849, 5.1, 5.1
    net = network(dem)
    assert (net.filled_m[2, 1:] == np.float32(5.1)).all()
    assert net.upstream_cells[2, 4] >= 4


def test_cells_have_their_size_on_the_ground_whatever_the_map():
    # Web Mercator at 17.5 degrees stretches a sphere by 1 / cos, the ellipsoid a little more to the north than east
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(10, 17.5)
    stretch = 1 / np.cos(np.radians(17.5))
    place = Affine(30 * stretch, 0, x, 0, -30 * stretch, y)
    net = network(CORNER_DEM, transform=place, crs="EPSG:3857")
    ellipsoid = Geod(ellps="WGS84")
    north = Transformer.from_crs(3857, 4326, always_xy=True).transform(x, y - 30 * stretch)[1]
    assert net.cell_height_m[0] == pytest.approx(ellipsoid.inv(10, 17.5, 10, north)[2], rel=1e-6)
    assert net.cell_area_km2.mean() == pytest.approx(0.0009, rel=0.006)  # 10 % more by the map
    # UTM's scale is 0.9996 in the middle of a zone: what is 10 m on the map is 10.004 m on the ground
    middle = network(CORNER_DEM, transform=Affine(10, 0, 500_000, 0, -10, 4_000_000), crs="EPSG:32633")
    assert middle.cell_width_m == pytest.approx(10 / 0.9996)
    assert middle.longest_path_km[1, 2] == pytest.approx((10 * 2**0.5 + 10) / 999.6)


def test_maps_that_stretch_the_cells_of_a_row_differently_are_refused():
    sinusoidal = "+proj=sinu +lon_0=0 +R=6371007.181"  # of MODIS, 60 degrees east of its meridian
    with pytest.raises(
        CapacityError, match=r"cells that differ by \d+% in area along a row or in their diagonals found"
    ):
        network(CORNER_DEM, transform=Affine(500, 0, 5_000_000, 0, -500, 4_000_000), crs=sinusoidal)
    with pytest.raises(
        CapacityError, match=r"cells that differ by .* Warp the DEM to UTM \(gdalwarp -t_srs\), or cut it"
    ):
        network(CORNER_DEM, transform=Affine(1_000_000, 0, 500_000, 0, -10, 4_000_000), crs="EPSG:32633")


def test_our_filling_and_directions_are_taudems(taudem):
    results, grid = taudem
    net = FlowNetwork.from_dem(results[""].filled(np.nan), **grid)
    np.testing.assert_array_equal(net.filled_m, results["fel"].filled(np.nan))
    slope = results["sd8"].filled(-1)
    sloping = (slope > 0) & ~results["p"].mask
    known = ~results["p"].mask  # flats too
    assert (net.d8("taudem")[known] == results["p"].data[known]).mean() > 0.999
    # the drop over the distance to the cell below, as TauDEM's sd8 is defined
    cells = np.flatnonzero(sloping)
    below = net.flow.idxs_ds[cells]
    rows, cols = np.divmod(cells, net.shape[1])
    down, right = np.divmod(below, net.shape[1])
    distance = np.hypot((down - rows) * net.cell_height_m[rows], (right - cols) * net.cell_width_m[rows])
    filled = net.filled_m.ravel()
    np.testing.assert_allclose((filled[cells] - filled[below]) / distance, slope.ravel()[cells], rtol=1e-3, atol=1e-5)
