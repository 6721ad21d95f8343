import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.simulation.errors import SimulationError
from millpond.simulation.illumination import (
    PATH_REFLECTANCE_PER_DEPTH,
    WAVELENGTH_UM,
    Sun,
    diffuse_share,
    illuminate,
    incidence_cosine,
    mountain_shadow,
    optical_depth,
    sun_at,
)

EAST_30 = Sun(90, 30)
BANDS = ("B02", "B08", "B12")


def ground(value=0.2, shape=(12, 12)):
    return np.full((len(BANDS), *shape), value)


def falling_to_the_west(angle_deg, cols=12, cell_m=10):
    return np.tile(np.arange(cols) * cell_m * np.tan(np.radians(angle_deg)), (12, 1))


@pytest.mark.parametrize(
    ("latitude", "day", "hour", "azimuth", "elevation"),
    [
        (36.5, 81, 12, 180, 53.5),  # equinox, noon: 90 degrees less the latitude
        (36.5, 172, 12, 180, 76.95),  # the longest day: 23.45 degrees higher
        (36.5, 355, 12, 180, 30.05),
        (0, 81, 6, 90, 0),  # rises in the east
        (0, 81, 16, 270, 30),  # two hours before it sets
        (-40, 81, 12, 0, 50),  # in the north
    ],
)
def test_the_sun_stands_where_a_calendar_says(latitude, day, hour, azimuth, elevation):
    sun = sun_at(latitude, day, hour)
    assert sun.elevation_deg == pytest.approx(elevation, abs=0.05)
    assert sun.azimuth_deg == pytest.approx(azimuth, abs=0.05)


def test_morning_sun_is_east_of_south():
    morning, afternoon = sun_at(36.5, 355, 10.5), sun_at(36.5, 355, 13.5)
    assert 90 < morning.azimuth_deg < 180
    assert afternoon.azimuth_deg == pytest.approx(360 - morning.azimuth_deg)
    assert afternoon.elevation_deg == pytest.approx(morning.elevation_deg)


def test_air_is_thicker_for_blue():
    # At one micrometre: 0.008735 of molecules and 0.05 of aerosols; at half of it 2^4.08 and 2^1.3 times as much.
    assert optical_depth(1.0) == pytest.approx(0.058735)
    assert optical_depth(0.5) == pytest.approx(0.008735 * 16.912 + 0.05 * 2.4623, rel=1e-4)


@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(10, 90), st.floats(10, 90))
def test_the_sky_gives_more_of_the_light_in_thick_air_and_under_a_low_sun(depth, more, elevation, lower):
    share = diffuse_share(depth, elevation)
    assert 0 < share < 1
    assert diffuse_share(depth + more, elevation) >= share
    assert diffuse_share(depth, min(lower, elevation)) >= share


def test_half_of_what_is_taken_from_the_direct_light_comes_from_the_sky():
    # The sun at 30 degrees doubles the path: of depth ln(2) / 2 a half goes through, and a quarter arrives diffusely.
    assert diffuse_share(np.log(2) / 2, 30) == pytest.approx(0.25 / 0.75)


def test_flat_ground_in_the_sun_shows_its_reflectance_and_the_path_s():
    seen, shadow = illuminate(ground(), np.full((12, 12), 5.0), 10, 10, EAST_30, BANDS)
    assert seen.dtype == "float32"
    assert not shadow.any()
    # Two hundredths of the depths 0.2868, 0.0801 and 0.0184.
    np.testing.assert_allclose(seen[:, 4, 4], 0.2 + np.array([0.005736, 0.001603, 0.000368]), atol=1e-6)


def test_a_slope_to_the_sun_is_brighter_by_the_cosine_of_incidence():
    # It faces the sun at a right angle: a cosine of 1 against 1/2 of flat ground. It sees (1 + cos 60) / 2 of the sky.
    slope = -falling_to_the_west(60)
    seen, _ = illuminate(ground(), slope, 10, 10, EAST_30, BANDS)
    np.testing.assert_allclose(incidence_cosine(slope, 10, 10, EAST_30), 1)
    for i, name in enumerate(BANDS):
        depth = optical_depth(WAVELENGTH_UM[name])
        sky = diffuse_share(depth, 30)
        expected = PATH_REFLECTANCE_PER_DEPTH * depth + 0.2 * (2 * (1 - sky) + 0.75 * sky)
        assert seen[i, 5, 5] == pytest.approx(expected, rel=1e-5)


def test_a_shaded_cell_keeps_the_light_of_the_sky_and_is_blue():
    wall = np.zeros((12, 40))
    wall[:, 30] = 100  # its shadow is 173 m long
    seen, shadow = illuminate(ground(0.2, wall.shape), wall, 10, 10, EAST_30, BANDS)
    assert shadow[6, 20]
    assert not shadow[6, 5]
    depth = optical_depth(np.array([WAVELENGTH_UM[name] for name in BANDS]))
    np.testing.assert_allclose(
        seen[:, 6, 20], PATH_REFLECTANCE_PER_DEPTH * depth + 0.2 * diffuse_share(depth, 30), rtol=1e-5
    )
    lost = seen[:, 6, 5] - seen[:, 6, 20]
    assert (np.diff(seen[:, 6, 20]) < 0).all()  # blue is brightest, though the ground is grey
    assert (np.diff(lost) > 0).all()


def test_ground_turned_from_the_sun_is_in_shadow_but_grazed_ground_is_not():
    for angle, dark in ((29, False), (31, True)):
        shadow = mountain_shadow(falling_to_the_west(angle), 10, 10, EAST_30, min_illumination=0)
        assert shadow.all() == shadow.any() == dark
    # Cosine of incidence at 25 degrees: sin(5) against sin(30), or 0.17 of flat ground's.
    grazed = falling_to_the_west(25)
    assert mountain_shadow(grazed, 10, 10, EAST_30, min_illumination=0.18).all()
    assert not mountain_shadow(grazed, 10, 10, EAST_30, min_illumination=0.17).any()


@given(st.floats(0, 360), st.floats(5, 90), st.floats(0, 1))
def test_reflectance_is_never_dimmer_than_the_path_and_grows_with_the_ground_s(azimuth, elevation, value):
    rough = np.random.default_rng(0).normal(0, 30, (12, 12))
    dark, _ = illuminate(ground(0.0), rough, 10, 10, Sun(azimuth, elevation), BANDS)
    bright, _ = illuminate(ground(value), rough, 10, 10, Sun(azimuth, elevation), BANDS)
    assert (dark > 0).all()
    assert (bright >= dark).all()


@pytest.mark.parametrize("elevation", [0, -5, 91, np.nan])
def test_a_sun_that_does_not_shine_is_refused(elevation):
    with pytest.raises(SimulationError, match=r"sun elevation of .* found, above 0 and up to 90 expected"):
        illuminate(ground(), np.zeros((12, 12)), 10, 10, Sun(90, elevation), BANDS)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SimulationError, match=r"shape \(3, 12, 12\) found, \(2, 12, 12\) expected"):
        illuminate(ground(), np.zeros((12, 12)), 10, 10, EAST_30, BANDS[:2])
    with pytest.raises(SimulationError, match=r"bands B99 found, some of B02, .* expected"):
        illuminate(ground(), np.zeros((12, 12)), 10, 10, EAST_30, ("B02", "B08", "B99"))
    holed = np.zeros((12, 12))
    holed[3, 3] = np.nan
    with pytest.raises(SimulationError, match="cells of unknown elevation found, none expected"):
        illuminate(ground(), holed, 10, 10, EAST_30, BANDS)
