import numpy as np
import pytest
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter

from millpond.capacity.errors import CapacityError
from millpond.capacity.shadow import mountain_shadow, remove_shadow

TRUE_TO_SCALE = "EPSG:3011"  # at 150 km east


def grid(cell_m=10.0, rows=60):
    return Affine(cell_m, 0, 150_000, 0, -cell_m, 4_000_000 + rows * cell_m)


@pytest.mark.parametrize("sun_elevation_deg", [15, 30, 45, 60])
@pytest.mark.parametrize(
    ("azimuth", "along"), [(90, (0, -1)), (270, (0, 1)), (0, (1, 0)), (360, (1, 0)), (180, (-1, 0))]
)
def test_a_wall_casts_a_shadow_of_its_height_over_the_tangent(azimuth, along, sun_elevation_deg):
    # A wall of 40 m and one cell thick, across the sun's direction; the sun in the east shades the west.
    ground = np.zeros((61, 61))
    down, right = along
    ground[(30, slice(None)) if down else (slice(None), 30)] = 40
    shadow = mountain_shadow(
        ground,
        grid(),
        TRUE_TO_SCALE,
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=sun_elevation_deg,
        min_illumination=-np.inf,
    )
    across = shadow if down else shadow.T
    length = 10 * across.sum(axis=0)
    assert (length == length[0]).all()  # up to both edges
    assert length[0] == pytest.approx(40 / np.tan(np.radians(sun_elevation_deg)), abs=10)
    shaded = np.flatnonzero(across[:, 0])
    assert (shaded > 30).all() if down + right > 0 else (shaded < 30).all()


def test_an_oblique_shadow_falls_away_from_the_sun_on_cells_that_are_not_square():
    # A tower in the middle, the sun at azimuth 150: the tip of the shadow lies towards 330.
    ground = np.zeros((81, 81))
    ground[39:42, 39:42] = 100
    transform = Affine(20, 0, 150_000, 0, -10, 4_001_000)
    shadow = mountain_shadow(
        ground, transform, TRUE_TO_SCALE, sun_azimuth_deg=150, sun_elevation_deg=20, min_illumination=0.0
    )
    rows, cols = np.nonzero(shadow & (ground == 0))
    east, north = 20 * (cols - 40), -10 * (rows - 40)
    distance = np.hypot(east, north)
    tip = distance.argmax()
    assert np.degrees(np.arctan2(east[tip], north[tip])) % 360 == pytest.approx(330, abs=5)
    assert distance[tip] == pytest.approx(100 / np.tan(np.radians(20)), abs=25)


def test_slopes_are_dark_by_their_angle_to_the_sun():
    # A plane that falls to the west by 20 degrees, the sun in the east at 30: the cosine of incidence is sin(30 - 20).
    _, col = np.indices((20, 20))
    plane = col * 10 * np.tan(np.radians(20))
    share = np.sin(np.radians(10)) / np.sin(np.radians(30))
    sun = {"sun_azimuth_deg": 90, "sun_elevation_deg": 30}
    assert mountain_shadow(plane, grid(), TRUE_TO_SCALE, **sun, min_illumination=share + 0.01).all()
    assert not mountain_shadow(plane, grid(), TRUE_TO_SCALE, **sun, min_illumination=share - 0.01).any()
    assert not mountain_shadow(plane, grid(), TRUE_TO_SCALE, sun_azimuth_deg=270, sun_elevation_deg=30).any()
    assert not mountain_shadow(np.full((20, 20), 5.0), grid(), TRUE_TO_SCALE, **sun).any()


def test_degrees_are_measured_on_the_ground():
    # One arc-second at 60 degrees north: 31 m to the north, 15.5 m to the east. The same wall shades twice the cells.
    ground = np.zeros((81, 81))
    ground[:, 40] = 120
    second = 1 / 3600
    transform = Affine(second, 0, 10, 0, -second, 60 + 40 * second)
    shadow = mountain_shadow(
        ground, transform, "EPSG:4326", sun_azimuth_deg=90, sun_elevation_deg=30, min_illumination=-9
    )
    assert shadow[40].sum() * 15.5 == pytest.approx(120 / np.tan(np.radians(30)), abs=15.5)


def test_unknown_ground_is_neither_shaded_nor_shading():
    ground = np.zeros((30, 30))
    ground[:, 15] = 50
    ground[5, 15] = ground[20, 10] = np.nan
    shadow = mountain_shadow(
        ground, grid(), TRUE_TO_SCALE, sun_azimuth_deg=90, sun_elevation_deg=45, min_illumination=-np.inf
    )
    assert not shadow[20, 10]
    assert shadow[20, 11]
    assert not shadow[5].any()


def test_shadow_on_simulated_hills_is_removed_and_water_stays():
    # Hills as a formula, so that the true shadow comes from the formula and not from the package.
    size, cell, azimuth, altitude = 240, 20.0, np.radians(150), np.radians(24)
    peaks = np.random.default_rng(4).uniform(0, size * cell, (30, 2))

    def height(x, y):
        hills = (260 * np.exp(-((x - east) ** 2 + (y - north) ** 2) / (2 * 180.0**2)) for east, north in peaks)
        return sum(hills)

    rows, cols = np.indices((size, size))
    x, y = (cols + 0.5) * cell, (size - rows - 0.5) * cell
    ground = height(x, y)
    step, sun_east, sun_north = 5.0, np.sin(azimuth), np.cos(azimuth)
    slope_east = (height(x + 1, y) - height(x - 1, y)) / 2
    slope_north = (height(x, y + 1) - height(x, y - 1)) / 2
    incidence = np.sin(altitude) - np.cos(altitude) * (sun_east * slope_east + sun_north * slope_north)
    dark = incidence / np.sqrt(1 + slope_east**2 + slope_north**2) < 0.2 * np.sin(altitude)
    for distance in np.arange(step, 1000, step):
        dark |= height(x + distance * sun_east, y + distance * sun_north) > ground + distance * np.tan(altitude)

    # Lakes lie on the lowest ground, some of them partly in shadow; a classifier takes shadow for water, with noise.
    rough = gaussian_filter(np.random.default_rng(1).normal(size=(size, size)), 5)
    lakes = (ground < np.quantile(ground, 0.5)) & (rough > np.quantile(rough, 0.9))
    taken_for_water = lakes | (gaussian_filter(dark + 0.0, 0.7) > 0.4)
    transform = Affine(cell, 0, 150_000, 0, -cell, 4_000_000 + size * cell)
    noisy = ground + np.random.default_rng(2).normal(0, 1, ground.shape)
    found = remove_shadow(taken_for_water, noisy, transform, TRUE_TO_SCALE, sun_azimuth_deg=150, sun_elevation_deg=24)

    def scores(water):
        both = (water & lakes).sum()
        return both / water.sum(), both / lakes.sum()

    before, (precision, recall) = scores(taken_for_water), scores(found.water)
    assert (found.shadow & dark).sum() / (found.shadow | dark).sum() > 0.9
    assert before == pytest.approx((0.20, 1.0), abs=0.01)
    assert precision > 0.95
    # The price: 8 % of the lakes' pixels are dark themselves, and lakes that touch a larger shadow go with it.
    assert recall == pytest.approx(0.80, abs=0.03)


def test_masked_ground_hides_nothing_and_masked_water_is_land():
    ground, wall = np.zeros((40, 40)), np.zeros((40, 40), bool)
    ground[:, 30], wall[:, 30] = 60, True
    water = np.zeros((40, 40), bool)
    water[2:5, 20:30] = water[10:13, 20:30] = True
    where = grid(), TRUE_TO_SCALE
    sun = {"sun_azimuth_deg": 90, "sun_elevation_deg": 45}
    assert remove_shadow(water, ground, *where, **sun).n_removed == 2
    assert not remove_shadow(water, np.ma.array(ground, mask=wall), *where, **sun).shadow.any()
    first = np.ma.array(water, mask=np.indices(water.shape)[0] > 6)
    assert remove_shadow(first, ground, *where, **sun).n_removed == 1
    voids = np.where(wall, -32768, ground)
    with pytest.warns(UserWarning, match="40 cells with elevations such as -32768 m found"):
        assert not remove_shadow(water, voids, *where, **sun).shadow.any()


def test_bodies_are_removed_whole_by_the_share_in_shadow():
    ground = np.zeros((40, 40))
    ground[:, 30] = 60  # shades columns 24 to 29
    water = np.zeros((40, 40), bool)
    water[2:5, 20:30] = True  # 6 of 10 columns in shadow
    water[10:13, 16:28] = True  # 4 of 12
    water[20, 26] = water[21, 27] = True  # one body, touching by a corner
    sun = {"sun_azimuth_deg": 90, "sun_elevation_deg": 45}
    found = remove_shadow(water, ground, grid(), TRUE_TO_SCALE, **sun)
    assert found.n_removed == 2
    np.testing.assert_array_equal(np.argwhere(found.water), [(r, c) for r in (10, 11, 12) for c in range(16, 28)])
    assert remove_shadow(water, ground, grid(), TRUE_TO_SCALE, **sun, largest_share=0.65).n_removed == 1


@pytest.mark.parametrize("sun_elevation_deg", [0, -10, 91, np.nan])
def test_a_sun_that_does_not_shine_is_refused(sun_elevation_deg):
    with pytest.raises(CapacityError, match=r"sun elevation of .* degrees found, above 0 and up to 90 expected"):
        mountain_shadow(
            np.zeros((5, 5)), grid(), TRUE_TO_SCALE, sun_azimuth_deg=90, sun_elevation_deg=sun_elevation_deg
        )


def test_grids_that_do_not_fit_are_refused():
    sun = {"sun_azimuth_deg": 90, "sun_elevation_deg": 45}
    with pytest.raises(CapacityError, match=r"water of shape \(4, 4\) and a DEM of shape \(5, 5\) found, one grid"):
        remove_shadow(np.zeros((4, 4), bool), np.zeros((5, 5)), grid(), TRUE_TO_SCALE, **sun)
    with pytest.raises(CapacityError, match="no coordinate reference system found"):
        mountain_shadow(np.zeros((5, 5)), grid(), None, **sun)
    with pytest.raises(CapacityError, match="no cell of the DEM has data"):
        mountain_shadow(np.full((5, 5), np.nan), grid(), TRUE_TO_SCALE, **sun)
