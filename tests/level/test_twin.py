from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from millpond import published
from millpond.level.baselines import AreaLevelRegressor
from millpond.level.errors import LevelError
from millpond.level.twin import (
    ALIKE,
    ATTENUATION_PER_M,
    CHARACTERS,
    Character,
    _Land,
    daily_level,
    simulate,
    valley,
)

CLEAN = Character("clean", (57, 261), 12, 4, 60, 60, vegetation=0.3, undetected_cloud=0.0, jitter_pixels=0.0)


@pytest.mark.parametrize("name", CHARACTERS)
def test_a_valley_holds_its_water(name):
    character = CHARACTERS[name]
    ground = valley(character)
    levels = np.linspace(ground.full_m - character.range_m, ground.full_m, 5)
    areas = ground.area_km2(levels)
    assert (np.diff(areas) > 0).all()
    assert 0.02 < areas[0] < areas[-1] < 0.25
    full = ground.waterline_m <= ground.full_m
    edge = np.ones(full.shape, bool)
    edge[1:-1, 1:-1] = False
    assert not full[edge].any()  # nothing spills over the wall
    assert (ground.waterline_m >= ground.elevation_m - 1e-3).all()
    assert areas[-1] == pytest.approx(full.sum() * (10 / 3) ** 2 / 1e6)
    assert (ground.pixels_m <= ground.full_m).sum() * 1e-4 == pytest.approx(areas[-1], rel=0.05)


def test_a_cylinder_keeps_its_area():
    grounds = {name: valley(CHARACTERS[name]) for name in ("GLL", "BIL")}
    dry = {name: ground.share_dry(3) for name, ground in grounds.items()}
    assert dry["GLL"] < 0.1
    assert dry["GLL"] < 0.5 * dry["BIL"]
    low, full = grounds["BIL"].area_km2([grounds["BIL"].full_m - 3, grounds["BIL"].full_m])
    assert low == pytest.approx((1 - dry["BIL"]) * full)


@pytest.mark.parametrize("name", ALIKE)
def test_likes_of_brush_creek_have_its_depths_shape_and_slopes(name):
    grounds = [valley(character) for character in (CHARACTERS["BHC"], ALIKE[name])]
    depths = grounds[0].full_m - np.linspace(0, CHARACTERS["BHC"].range_m, 6)
    np.testing.assert_allclose(*(ground.area_km2(depths) for ground in grounds), rtol=0.05)
    slopes_deg = []
    for ground in grounds:
        steepness = np.hypot(*np.gradient(ground.elevation_m, 10 / 3))[ground.waterline_m > ground.full_m]
        slopes_deg.append(np.degrees(np.arctan(steepness)).mean())
    assert abs(np.diff(slopes_deg)) < 4


def test_levels_follow_a_water_balance():
    ground = valley(CLEAN)
    days = daily_level(CLEAN, ground)
    assert days["level_m"].between(ground.full_m - CLEAN.range_m, ground.full_m).all()
    assert days["inflow"].mean() == pytest.approx(1)
    rising = days["level_m"].diff() > 1e-9
    unusual = days["inflow"] / days["inflow"].rolling(91, center=True, min_periods=1).mean()
    assert unusual[rising].mean() > 1.2 * unusual[~rising].mean()
    at_an_end = days["level_m"].isin([ground.full_m, ground.full_m - CLEAN.range_m])
    assert at_an_end.mean() < 0.1


def test_a_large_storage_remembers_longer():
    ground = valley(CLEAN)
    alike = [daily_level(replace(CLEAN, storage_days=n), ground)["level_m"].autocorr(30) for n in (15, 200)]
    assert alike[0] < 0.6 < 0.8 < alike[1]


@pytest.mark.parametrize("reservoir", ["BHC", "BIL", "GLL", "LYS"])
def test_levels_spread_as_the_studys_table_4_tells(reservoir):
    table = published.load("wu2023_table4_source_and_sampling")
    table = table[(table["reservoir"] == reservoir) & (table["sampling"] == "random")]
    told_m = (table["rmse_m"] / np.sqrt(1 - table["r2"])).mean()
    character = CHARACTERS[reservoir]
    ours_m = np.mean([daily_level(character, valley(character), seed)["level_m"].std() for seed in range(4)])
    assert ours_m == pytest.approx(told_m, rel=0.15)


def test_a_clean_reservoirs_area_tells_its_level():
    scenes = simulate(CLEAN)
    assert scenes.images.shape == (60, 3, 64, 64)
    assert scenes.images.dtype == np.float32
    ground = valley(CLEAN)
    true = ground.area_km2(scenes.level_m - CLEAN.base_m + ground.full_m)
    seen = AreaLevelRegressor(scenes.bands).area_km2(scenes.images)
    clear = ~scenes.cloudy.any(axis=(1, 2))
    assert clear.sum() > 30
    assert np.median(seen[clear] / true[clear]) == pytest.approx(1, abs=0.05)
    assert (np.abs(seen / true - 1)[clear] < 0.1).mean() > 0.7  # the others are in shadow of clouds or mountains


def test_radar_sees_water_dark_in_decibels():
    scenes = simulate(CLEAN, "sentinel1", n=20)
    ground = valley(CLEAN)
    inner = ground.waterline_m[3:-3, 3:-3]
    always = inner.reshape(64, 3, 64, 3).max(axis=(1, 3)) < ground.full_m - CLEAN.range_m
    never = inner.reshape(64, 3, 64, 3).min(axis=(1, 3)) > ground.full_m
    for band, contrast in (("VV", 4), ("VH", 3)):
        values = scenes.band(band)
        assert values[:, never].mean() - values[:, always].mean() > contrast
    assert scenes.bands == ("VV", "VH")
    # speckle of 4.4 looks, in decibels
    assert scenes.band("VH")[:, always].std(axis=1).mean() == pytest.approx(4.34 / np.sqrt(4.4), rel=0.25)


def test_seeds_change_weather_and_never_the_land():
    once, again, other = (simulate(CLEAN, n=10, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once.images, again.images)
    assert not np.array_equal(once.level_m, other.level_m)
    renamed = simulate(replace(CLEAN, name="another"), n=10)
    assert not np.array_equal(once.level_m, renamed.level_m)


def test_ice_gaps_and_clouds_are_where_they_were_put():
    frozen = simulate(replace(CLEAN, freezes=True), n=200)
    middle = frozen.images[:, 1, 28:36, 28:36].mean(axis=(1, 2))
    winter = np.isin(frozen.dates.month, (12, 1, 2, 3))
    assert middle[winter].min() > 0.1 > np.median(middle[~winter])
    gauge = simulate(replace(CLEAN, freezes=True, gauge_freezes=True), n=100)
    assert not gauge.dates.month.isin([12, 1, 2, 3]).any()
    gap = simulate(replace(CLEAN, gap=(2018, 2020)), n=100)
    assert not gap.dates.year.isin([2018, 2019, 2020]).any()
    assert 0 < frozen.cloudy.mean() < 0.1
    bright = frozen.images[:, 0][frozen.cloudy].mean()
    assert bright > 2 * np.median(frozen.images[:, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate(CLEAN, "landsat"), "sensor 'landsat' found, sentinel1 or sentinel2 expected"),
        (lambda: simulate(CLEAN, n=10_000), "10000 scenes of 2557 days found, 1 to 2557 expected"),
        (lambda: valley(replace(CLEAN, site=(2, 2))), r"a site at \(2, 2\) with 64 pixels found, one inside the DEM"),
    ],
)
def test_what_cannot_be_simulated_is_refused(call, message):
    with pytest.raises(LevelError, match=message):
        call()


def test_levels_are_those_of_the_day():
    scenes = simulate(CLEAN, n=30)
    ground = valley(CLEAN)
    days = daily_level(CLEAN, ground)["level_m"] - ground.full_m + CLEAN.base_m
    pd.testing.assert_series_equal(
        pd.Series(scenes.level_m, scenes.dates), days[scenes.dates], check_names=False, check_freq=False
    )


def test_hills_beyond_the_scene_throw_shadows_into_it():
    ground = valley(CLEAN)
    wall = ground.surround_m.copy()
    wall[-20:] += 500  # where the sun stands, 280 m south of the scene
    land, walled = (_Land(CLEAN, replace(ground, surround_m=m), 64) for m in (ground.surround_m, wall))
    day = daily_level(CLEAN, ground).loc["2020-12-21"]
    open_, shaded = (
        each.seen_by_sentinel2(day, pd.Timestamp("2020-12-21"), np.random.default_rng(0))[0] for each in (land, walled)
    )
    assert shaded[:, -20:].mean() < 0.6 * open_[:, -20:].mean()


def test_vegetation_stays_rooted_when_the_water_falls():
    flooded = replace(CLEAN, vegetation=1.0, flooded_vegetation=1.5)
    ground = valley(flooded)
    land = _Land(flooded, ground, 64)
    depth_when_full = ground.full_m - land.elevation_m
    assert not land.rooted[depth_when_full > 1.5].any()
    assert land.rooted[depth_when_full < 1.5].mean() > 0.99
    assert not _Land(CLEAN, ground, 64).rooted.any()
    low = pd.Series({"level_m": ground.full_m - 3, "recent_m": ground.full_m - 3, "inflow": 1.0})
    rng = np.random.default_rng
    seen = {
        c.name + str(c.flooded_vegetation): _Land(c, ground, 64).seen_by_sentinel1(
            low, pd.Timestamp("2020-07-01"), rng(0)
        )[0]
        for c in (flooded, replace(flooded, flooded_vegetation=0.0))
    }
    rooted, bare = seen.values()
    rim = (land.rooted & (depth_when_full > 0.3))[1:-1, 1:-1]
    assert rooted[1][rim].mean() > bare[1][rim].mean() + 1  # plants on the dry rim, not bare ground


def deep_green_and_infrared(character):
    """Of every pixel on a July day the depth, and reflectance in B03, B04 and B08."""
    ground = valley(character)
    land = _Land(character, ground, 64)
    day = pd.Series({"level_m": ground.full_m, "recent_m": ground.full_m, "inflow": 0.0})
    seen, _ = land.seen_by_sentinel2(day, pd.Timestamp("2020-07-01"), np.random.default_rng(1))
    depth_m = (ground.full_m - land.elevation_m)[1:-1, 1:-1]
    return depth_m, seen


def test_the_ground_is_seen_through_shallow_water_least_in_the_infrared():
    """Red and infrared are lost as in pure water, which absorbs 0.43 (665 nm, Pope and Fry 1997,
    doi:10.1364/AO.36.008710) and about 4 (842 nm) of a metre, on the way down and up. A green disc is lost to sight
    where 1.7 is lost on the way down: 6 to 8 m in a clear mountain lake."""
    assert ATTENUATION_PER_M["B04"] == pytest.approx(2 * 0.43, rel=0.1)
    assert ATTENUATION_PER_M["B08"] == pytest.approx(2 * 4, rel=0.1)
    assert 6 < 1.7 / (ATTENUATION_PER_M["B03"] / 2) < 8


def test_without_its_colour_shallow_water_looks_like_deep_water():
    for character, differs in ((CLEAN, True), (replace(CLEAN, shallow_colour=False), False)):
        depth_m, seen = deep_green_and_infrared(character)
        shallow, deep = (depth_m > 0.5) & (depth_m < 1.2), depth_m > 5
        assert (abs(np.median(seen[0][shallow]) / np.median(seen[0][deep]) - 1) > 0.2) == differs


def test_mud_dries():
    ground = valley(CLEAN)
    land = _Land(CLEAN, ground, 64)
    levels = pd.Series({"level_m": ground.full_m - 3, "recent_m": ground.full_m - 1})
    wet, mud, dry = land.shares(levels)
    areas = ground.area_km2([ground.full_m - 3, ground.full_m - 1, ground.full_m])
    np.testing.assert_allclose([part.sum() * 1e-4 for part in (wet, mud, dry)], [areas[0], *np.diff(areas)])
    days = daily_level(CLEAN, ground)
    for date in days.index[[13, 500, 900]]:
        assert days.loc[date, "recent_m"] == days["level_m"][:date].iloc[-14:].max()


def test_shadows_and_thin_clouds_change_what_looks_like_water():
    spoiled = simulate(replace(CLEAN, undetected_cloud=1.0), n=100)
    ground = valley(CLEAN)
    true = ground.area_km2(spoiled.level_m - CLEAN.base_m + ground.full_m)
    seen = AreaLevelRegressor(spoiled.bands).area_km2(spoiled.images)
    assert (np.abs(seen - true) > 0.05 * true).mean() > 0.05
