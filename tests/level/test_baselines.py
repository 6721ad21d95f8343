import numpy as np
import pytest
from sklearn.base import clone

from millpond.level.baselines import (
    AreaLevelRegressor,
    CorrectedLevelRegressor,
    ShoreLevelRegressor,
    band_statistics,
    baselines,
)
from millpond.level.errors import LevelError


def lakes(water_cols, seed=0):
    """Images (n, 2, 10, 20) of B03 and B08 with water in the first columns."""
    rng = np.random.default_rng(seed)
    water = np.arange(20) < np.asarray(water_cols)[:, None, None]
    water = np.broadcast_to(water, (len(water_cols), 10, 20))
    images = np.stack([np.where(water, 0.08, 0.05), np.where(water, 0.03, 0.25)], axis=1)
    return images + rng.normal(0, 0.002, images.shape)


def test_the_curve_goes_through_the_training_and_stays_inside_it():
    model = AreaLevelRegressor(pixel_area_km2=1e-4).fit(lakes([4, 8, 12]), [500.0, 510.0, 512.0])
    np.testing.assert_allclose(model.area_km2(lakes([4, 8])), [40e-4, 80e-4])
    np.testing.assert_allclose(model.predict(lakes([6, 10, 2, 19])), [505, 511, 500, 512])


def test_the_curve_never_falls():
    model = AreaLevelRegressor().fit(lakes([4, 8, 12]), [500.0, 512.0, 508.0])
    np.testing.assert_allclose(model.predict(lakes([8, 12])), [510, 510])


def with_pond(images, cols, rows=slice(None)):
    """A second water beside the lake, or its shadow: what looks like water there."""
    images = images.copy()
    images[:, 0, rows, cols], images[:, 1, rows, cols] = 0.05, 0.02
    return images


def test_water_beside_the_reservoir_does_not_count():
    cols = np.arange(4, 14)
    train, level_m = lakes(cols), 500.0 + cols
    train[::9] = with_pond(train[::9], slice(16, 20))  # on two dates of ten, apart from the lake
    model = AreaLevelRegressor(pixel_area_km2=1e-4, min_occurrence=0.1).fit(train, level_m)
    assert model.counted_.all(axis=0).tolist() == [True] * 13 + [False] * 7
    flooded = with_pond(lakes([5, 9]), slice(16, 20))
    np.testing.assert_allclose(model.area_km2(flooded), [50e-4, 90e-4])
    np.testing.assert_allclose(model.predict(flooded), [505, 509])
    whole = AreaLevelRegressor(pixel_area_km2=1e-4, min_occurrence=0).fit(train, level_m)
    assert whole.counted_.all()
    np.testing.assert_allclose(whole.area_km2(flooded), [90e-4, 130e-4])


def test_a_pixel_counts_from_its_share_of_the_training_dates_on():
    cols = np.r_[[4] * 18, 8, 12]  # columns 4 to 7 on two dates of twenty, 8 to 11 on one
    for share, n_cols in ((0.05, 12), (0.06, 8), (0.1, 8), (0.11, 4)):
        model = AreaLevelRegressor(min_occurrence=share).fit(lakes(cols), 500.0 + cols)
        assert model.counted_[0].sum() == n_cols


def test_how_often_wet_a_pixel_must_be_is_what_goes_best_with_the_levels():
    cols = np.tile(np.arange(4, 14), 4)
    train, level_m = lakes(cols), 500.0 + cols
    train[[3, 17, 25]] = with_pond(train[[3, 17, 25]], slice(14, 20))  # beside the fullest shore, on 7 % of the dates
    model = AreaLevelRegressor().fit(train, level_m)
    assert model.counted_[0].sum() == 13
    assert model.predict(with_pond(lakes([6]), slice(14, 20))) == pytest.approx(506)


def test_where_there_never_is_water_nothing_counts():
    dry = lakes([0, 0, 0])
    model = AreaLevelRegressor(min_occurrence=0.1).fit(dry, [1.0, 2.0, 3.0])
    assert not model.counted_.any()
    assert model.predict(dry) == pytest.approx([2, 2, 2])


def test_radar_sees_water_where_it_is_dark():
    images = np.full((2, 2, 12, 20), -12.0)
    images[1, 1, :, :8] = -30
    model = AreaLevelRegressor(("VV", "VH"), pixel_area_km2=1.0, threshold=-17.0)
    assert model.area_km2(images).tolist() == [
        0,
        12 * 7,
    ]  # a fifth of -12 dB beside four of -30 is -18.9 dB, two are -16
    images[1, 1, 6, 1] = -12  # a pixel of speckle
    assert model.area_km2(images).tolist()[1] > 12 * 7 - 30
    with pytest.raises(LevelError, match="bands VV found, B03 and B08, or VH, expected to tell water"):
        AreaLevelRegressor(("VV",)).fit(images[:, :1], [1, 2])


def test_the_threshold_of_backscatter_is_the_one_that_goes_with_the_levels():
    rng = np.random.default_rng(0)
    cols = rng.integers(4, 16, 30)
    mud = np.arange(20) < 16  # dark too, wherever there was water once
    water = np.arange(20) < cols[:, None, None]
    vh = np.where(water, -23.5, np.where(mud, -18.0, -12.0)) + rng.normal(0, 0.3, (30, 12, 20))
    model = AreaLevelRegressor(("VV", "VH")).fit(np.stack([vh, vh], axis=1), 500.0 + cols)
    assert -23.5 < model.threshold_ < -18.0
    assert model.score(np.stack([vh, vh], axis=1), 500.0 + cols) > 0.95
    before_km2 = model.area_km2(np.stack([vh, vh], axis=1)[[4]])
    vh[4, :5, -3:] = -30  # the shadow of a hill
    assert model.area_km2(np.stack([vh, vh], axis=1)[[4]]) == before_km2


def test_a_shore_lies_between_those_of_the_training():
    model = ShoreLevelRegressor().fit(lakes([4, 8, 12]), [500.0, 510.0, 512.0])
    assert model.zone_[0].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 8
    np.testing.assert_allclose(model.predict(lakes([6, 10, 2, 19, 8])), [505, 511, 500, 512, 510], atol=0.02)


def test_water_where_none_can_be_is_outvoted():
    train, levels = lakes(range(4, 17)), 500.0 + np.arange(4, 17)
    shore, curve = ShoreLevelRegressor().fit(train, levels), AreaLevelRegressor(min_occurrence=0).fit(train, levels)
    shadow = lakes([8])
    shadow[0, 1, :, 13:16] = 0.01  # looks like water, on the slope above
    assert curve.predict(shadow) == pytest.approx(511)
    assert shore.predict(shadow) == pytest.approx(508, abs=0.02)


def test_a_pixel_changes_where_it_contradicts_the_fewest_images():
    train = lakes([4, 6, 8, 10, 12])
    train[3, 1, 5, 5] = 0.9  # a cloud on a pixel that is wet from the second image on
    model = ShoreLevelRegressor().fit(train, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert model.zone_[5, 5] == 1
    assert (model.zone_[5, :12] == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]).all()


def test_of_several_levels_a_pixel_takes_the_middle():
    train = lakes([0, 8, 8, 8, 8])
    train[2, 1, 5, 5] = 0.9  # dry, wet, dry, wet, wet: wet from the second image on, or from the fourth, is as good
    model = ShoreLevelRegressor().fit(train, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert (model.zone_[5, 4], model.zone_[5, 5]) == (1, 2)


def test_a_correction_learns_what_the_first_estimate_leaves():
    rng = np.random.default_rng(0)
    cols = rng.integers(4, 16, 40)
    images = lakes(cols)
    tint = rng.uniform(0, 1, 40)
    images[:, 0] += 0.1 * tint[:, None, None]
    level_m = 500.0 + cols + 2 * tint
    known = baselines(("B03", "B08"), 1e-4)
    curve, ridge = known["area-level curve"], known["ridge on band statistics"]
    both = CorrectedLevelRegressor(curve, ridge).fit(images[:30], level_m[:30])
    rmse = [
        np.sqrt(np.mean((m.predict(images[30:]) - level_m[30:]) ** 2))
        for m in (both, clone(curve).fit(images[:30], level_m[:30]))
    ]
    assert rmse[0] < 0.5 * rmse[1]


def test_statistics_of_a_band_by_hand():
    image = np.arange(101.0).reshape(1, 1, 101, 1)
    expected = [50, np.sqrt((101**2 - 1) / 12), 5, 25, 50, 75, 95]
    np.testing.assert_allclose(band_statistics(image)[0], expected)
    assert band_statistics(np.zeros((3, 2, 4, 4))).shape == (3, 14)


@pytest.mark.parametrize("name", baselines(("B03", "B08"), 1e-4))
def test_every_baseline_takes_images(name):
    cols = np.arange(2, 18)
    model = baselines(("B03", "B08"), 1e-4)[name].fit(lakes(cols), 500.0 + cols)
    error = np.abs(model.predict(lakes([5, 9, 15], seed=1)) - [505, 509, 515])
    assert error.max() < (6 if name == "mean level" else 1)


def hidden(images, rows, cols):
    images = images.copy()
    images[:, :, rows, cols] = np.nan
    return images


@pytest.mark.parametrize("model", [AreaLevelRegressor, ShoreLevelRegressor])
def test_a_hidden_pixel_is_neither_water_nor_land(model):
    cols = np.arange(4, 14)
    fitted = model(pixel_area_km2=1e-4).fit(lakes(cols), 500.0 + cols)
    np.testing.assert_allclose(
        fitted.predict(hidden(lakes([6, 9, 12]), slice(0, 4), slice(2, 13))), [506, 509, 512], atol=0.02
    )
    np.testing.assert_allclose(
        fitted.area_km2(hidden(lakes([6, 9, 12]), slice(0, 4), slice(2, 13))), [6e-3, 9e-3, 0.012]
    )


def test_of_a_hidden_shore_water_is_expected_as_often_as_it_was_there():
    # columns up to 5 always wet, from 5 to 10 on half of the dates; rows 0 to 9 alike
    train = lakes([5, 10] * 5)
    fitted = AreaLevelRegressor(pixel_area_km2=1.0, min_occurrence=0.1).fit(train, [1.0, 2.0] * 5)
    np.testing.assert_allclose(fitted.occurrence_[0], [1] * 5 + [0.5] * 5 + [0] * 10)
    all_hidden = hidden(lakes([10]), slice(None), slice(None))
    assert fitted.area_km2(all_hidden) == pytest.approx(10 * (5 + 0.5 * 5))
    half = hidden(lakes([10]), slice(0, 5), slice(None))
    half[0, 1, 5, 5:10] = 0.9  # one row of five that are seen is dry there
    assert fitted.area_km2(half) == pytest.approx(10 * 5 + 4 * 5 + 5 * 5 * 0.8)


def test_training_dates_with_hidden_pixels_train_by_what_they_show():
    cols = np.tile(np.arange(4, 14), 3)
    train = lakes(cols)
    train[::4] = hidden(train[::4], slice(0, 6), slice(None))
    for model in (AreaLevelRegressor, ShoreLevelRegressor):
        fitted = model().fit(train, 500.0 + cols)
        np.testing.assert_allclose(fitted.predict(lakes([5, 12])), [505, 512], atol=0.3)
        whole = fitted.predict(hidden(lakes([8]), slice(0, 2), slice(None)))
        assert whole == pytest.approx(508, abs=0.3)


def test_radar_around_a_hidden_pixel_is_averaged_over_the_others():
    images = np.full((1, 1, 9, 9), -12.0)
    images[0, 0, :, :5] = -30
    images[0, 0, 4, 2] = np.nan
    wet, unknown = AreaLevelRegressor(("VH",), threshold=-25.0).seen(images)
    assert np.argwhere(unknown).tolist() == [[0, 4, 2]]
    assert wet[0, :, 2].tolist() == [True] * 4 + [False] + [True] * 4
