from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from millpond.level.baselines import AreaLevelRegressor
from millpond.level.errors import LevelError
from millpond.level.estimation import LevelModel, fit_level_model
from millpond.level.scenes import Scenes
from millpond.level.twin import CHARACTERS, simulate
from millpond.training import TrainingError

CLEAN = replace(CHARACTERS["LYS"], undetected_cloud=0.0)


@pytest.fixture(scope="module")
def scenes():
    found = simulate(CLEAN, n=90)
    clear = ~found.cloudy.any(axis=(1, 2))
    return found[clear]


@pytest.fixture(scope="module")
def curve(scenes):
    return fit_level_model(scenes[np.arange(len(scenes)) % 2 == 0], "curve")


def test_levels_of_new_dates_lie_in_their_intervals_about_as_often_as_asked(scenes, curve):
    new = scenes[np.arange(len(scenes)) % 2 == 1]
    estimates = curve.estimate(new, coverage=0.8)
    given = (estimates["abstains"] == "").to_numpy()
    assert given.mean() > 0.8
    inside = (estimates["low_m"] <= new.level_m) & (new.level_m <= estimates["high_m"])
    assert inside[given].mean() > 0.6
    assert (estimates["high_m"] - estimates["low_m"])[given].max() < 4
    assert curve.scores["r2"] > 0.6


def test_each_estimate_out_of_fold_is_by_a_model_that_has_not_seen_its_30_days(scenes, curve):
    known = curve.training
    blocks = (known.index - known.index.min()).days // 30
    assert all(known["fold"].to_numpy()[blocks == block].std() == 0 for block in set(blocks))
    train = scenes[np.arange(len(scenes)) % 2 == 0]
    for fold, model in enumerate(curve.fitted):
        rows = (known["fold"] == fold).to_numpy()
        np.testing.assert_allclose(model.predict(train.images[rows]), known["out_of_fold_m"][rows])
        assert model.curve_.X_max_ == model.area_km2(train.images[~rows]).max()


def test_dates_of_the_training_are_estimated_by_the_fold_without_them(scenes, curve):
    estimates = curve.estimate(scenes)
    known = curve.training
    assert estimates["in_training"].tolist() == [i % 2 == 0 for i in range(len(scenes))]
    own = estimates[estimates["in_training"] & (estimates["abstains"] == "")]
    np.testing.assert_allclose(own["level_m"], known.loc[own.index, "out_of_fold_m"])


def test_levels_beyond_those_of_the_training_are_not_told(scenes):
    low = np.argsort(scenes.level_m)[:45]
    model = fit_level_model(scenes[np.sort(low)], "curve")
    high = scenes[np.argsort(scenes.level_m)[-5:]]
    assert (model.estimate(high)["abstains"] == "area outside the training's").sum() >= 4  # one looks smaller


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda images: np.broadcast_to(np.reshape([0.05, 0.05, 0.3], (3, 1, 1)), images.shape), "little water"),
        (lambda images: np.broadcast_to(np.reshape([0.05, 0.05, 0.02], (3, 1, 1)), images.shape), "area outside"),
        (lambda images: images * 3, "image unlike the training's"),
    ],
)
def test_it_abstains_with_a_reason(scenes, curve, change, reason):
    odd = scenes[np.arange(3)]
    estimates = curve.estimate(replace(odd, images=change(odd.images).astype(np.float32)))
    assert all(told.startswith(reason) for told in estimates["abstains"])
    assert estimates[["level_m", "low_m", "high_m"]].isna().all(axis=None)


def test_a_saved_curve_estimates_the_same(scenes, curve, tmp_path):
    curve.save(tmp_path / "model")
    loaded = LevelModel.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.estimate(scenes), curve.estimate(scenes))
    assert loaded.scores == curve.scores
    curve.save(tmp_path / "model")  # over an older one
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "model.json",
        "water.safetensors",
        *(f"weights-{fold}.safetensors" for fold in range(5)),
    ]


def test_a_saved_shore_estimates_the_same(scenes, tmp_path):
    fitted = fit_level_model(scenes, "shore")
    assert fitted.scores["r2"] > 0.8
    fitted.save(tmp_path / "model")
    loaded = LevelModel.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.estimate(scenes), fitted.estimate(scenes))
    (tmp_path / "model" / "weights-2.safetensors").write_bytes(b"cut off")
    with pytest.raises(LevelError, match=r"weights-2\.safetensors: no arrays of this model found"):
        LevelModel.load(tmp_path / "model")
    (tmp_path / "model" / "weights-2.safetensors").unlink()
    with pytest.raises(LevelError, match=r"weights-2\.safetensors: no arrays of this model found"):
        LevelModel.load(tmp_path / "model")


def test_a_saved_model_knows_where_water_was_seen(scenes, tmp_path):
    seen = np.random.default_rng(0).uniform(size=(130, 129)).astype(np.float32)
    fitted = fit_level_model(replace(scenes, wet_share=seen))
    folder = tmp_path / "model"
    for _ in range(2):  # over an older one
        fitted.save(folder)
    np.testing.assert_array_equal(LevelModel.load(folder).wet_share, seen)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1  # whoever may read one file may read all
    save_file({"wet_share": seen}, folder / "water.safetensors")
    with pytest.raises(LevelError, match=r"no saved level model found \('area_km2'\)"):
        LevelModel.load(folder)
    (folder / "water.safetensors").unlink()
    with pytest.raises(LevelError, match=r"water\.safetensors: no arrays of this model found"):
        LevelModel.load(folder)
    fitted.save(folder)
    fit_level_model(scenes).save(folder)  # of scenes that don't know
    assert LevelModel.load(folder).wet_share is None


def test_radar_water_is_that_of_the_curve(tmp_path):
    radar = simulate(CHARACTERS["LYS"], "sentinel1", n=60)
    model = fit_level_model(radar, "curve")
    estimates = model.estimate(radar)
    np.testing.assert_allclose(estimates["area_km2"], model.training["area_km2"])
    whole = AreaLevelRegressor(radar.bands, 1e-4, model.index.threshold_).area_km2(radar.images)
    assert (estimates["area_km2"] <= whole).all()
    assert estimates["area_km2"].corr(pd.Series(radar.level_m, radar.dates)) > 0.8
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(LevelModel.load(tmp_path / "model").estimate(radar), estimates)


def test_a_saved_network_estimates_the_same(scenes, tmp_path):
    small = scenes.coarse(2)[np.arange(20)]
    fitted = fit_level_model(
        small, "network", n_folds=3, attention="channel", attention_width=5, max_epochs=1, device="cpu"
    )
    fitted.save(tmp_path / "model")
    assert sorted(path.suffix for path in (tmp_path / "model").iterdir()) == [".json", *[".safetensors"] * 4]
    loaded = LevelModel.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.estimate(small, 0.6), fitted.estimate(small, 0.6))
    fit_level_model(scenes, n_folds=4).save(tmp_path / "model")
    assert len(list((tmp_path / "model").iterdir())) == 6  # nothing is left of the network
    fitted.save(tmp_path / "model")
    (tmp_path / "model" / "weights-1.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"weights-1\.safetensors: no weights of this network found"):
        LevelModel.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("options", "rows", "level_m", "message"),
    [
        (
            {"model": "oracle"},
            40,
            None,
            r"model 'oracle' found, one of curve, shore, network expected\. Choose one \(model, --model\)",
        ),
        (
            {"attention": "channel"},
            40,
            None,
            r"attention 'channel' of a shore found, channel, channel-spatial of a .*Choose another \(attention, --",
        ),
        ({"checkpoint": "c.pt"}, 40, None, "a checkpoint for several folds found, none expected"),
        ({}, 14, None, "14 usable scenes with a level found, 15 or more expected"),
        ({}, 20, 5.0, "constant or missing levels found"),
        ({}, 20, np.nan, "constant or missing levels found"),
        ({"n_folds": 2}, 40, None, "2 folds of .* blocks of 30 days with scenes found, 3 folds or more"),
        ({"n_folds": 90}, 40, None, r"90 folds of .* Choose another number \(n_folds, --folds\), or add dates"),
    ],
)
def test_scenes_that_cannot_be_fitted_are_refused(scenes, options, rows, level_m, message):
    few = scenes[np.arange(rows)]
    if level_m is not None:
        few = replace(few, level_m=np.full(rows, level_m))
    with pytest.raises(LevelError, match=message):
        fit_level_model(few, **options)


def test_images_of_another_place_are_refused(scenes):
    here, there = (replace(scenes, place=("EPSG:32610", 7e5, 4e6 + north)) for north in (0, 200))
    model = fit_level_model(here)
    assert len(model.estimate(here)) == len(scenes)
    with pytest.raises(LevelError, match=r"64 x 64 pixels at .*4000200\.0.* found, 64 x 64 at .* A model is of one"):
        model.estimate(there)
    with pytest.raises(LevelError, match="images of 63 x 64 pixels"):
        model.estimate(replace(here, images=here.images[:, :, :63]))


def test_scenes_of_other_bands_or_pixels_are_refused(scenes, curve):
    with pytest.raises(
        LevelError, match=r"bands B03, B04, B08 of 20 m found, B03, B04, B08 of 10 m as in the training"
    ):
        curve.estimate(scenes.coarse(2))


def test_folders_that_are_no_model_are_refused(curve, tmp_path):
    with pytest.raises(
        LevelError, match=r"model\.json: No such file or directory; a folder with a saved model expected"
    ):
        LevelModel.load(tmp_path)
    (tmp_path / "model.json").write_text('{"format": "another"}')
    with pytest.raises(LevelError, match="no saved level model found"):
        LevelModel.load(tmp_path)
    curve.save(tmp_path / "old")
    older = (tmp_path / "old" / "model.json").read_text().replace('"version": 3', '"version": 2')
    (tmp_path / "old" / "model.json").write_text(older)
    with pytest.raises(LevelError, match=r"\(millpond level model, version 2; version 3 expected\)\. Fit and save"):
        LevelModel.load(tmp_path / "old")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    with pytest.raises(LevelError, match="full: 1 other files found, an empty folder or a model expected"):
        curve.save(tmp_path / "full")


def bowl(levels_m, shaded=0.0, deepest_m=90.0, wall_from_m=np.inf):
    """Scenes every ten days of a bowl that is 1 m deeper every 2 pixels, in which winter shades land north of it.

    Walls keep the shore where it is above `wall_from_m`.
    """
    rng, levels_m = np.random.default_rng(0), np.asarray(levels_m, float)
    y, x = np.mgrid[:48, :48] - 23.5
    ground_m = deepest_m + np.hypot(x, y) / 2
    dates = pd.date_range("2015-07-01", periods=len(levels_m), freq="10D", name="date")
    images = []
    for date, level_m in zip(dates, levels_m, strict=True):
        wet = ground_m < min(level_m, wall_from_m)
        image = np.stack([np.where(wet, 0.06, 0.08), np.where(wet, 0.03, 0.25)]) + rng.normal(0, 0.006, (2, 48, 48))
        winter = np.cos(2 * np.pi * (date.day_of_year - 355) / 365)
        image[:, (y < -16 + 8 * shaded * winter) & ~wet & (winter > 0.5)] *= np.array([[0.6], [0.1]])
        images.append(image)
    return Scenes(
        np.array(images, np.float32),
        np.zeros((len(dates), 48, 48), bool),
        dates,
        levels_m,
        ("B03", "B08"),
        (30.0, 30.0),
        pd.DataFrame(columns=["date", "file", "reason"]),
        inside=ground_m < 98.5,
    )


def seasons(n, rng):
    """Levels with a low each autumn, other each year, between 93 and 98 m."""
    day = 10 * np.arange(n)
    return 95.5 + 2.3 * np.cos(2 * np.pi * (day - 120) / 365) * (0.8 + 0.2 * np.sin(day / 500)) + rng.normal(0, 0.1, n)


@pytest.mark.parametrize("model", ["curve", "shore"])
@pytest.mark.parametrize("shaded", [0.0, 0.5, 1.0])
def test_intervals_hold_what_they_promise_in_the_shade_of_winter(model, shaded):
    found = bowl(seasons(110, np.random.default_rng(1)), shaded)
    estimates = fit_level_model(found[:73], model).estimate(found[73:], 0.9)
    given = (estimates["abstains"] == "").to_numpy()
    true = found.level_m[73:]
    inside = (estimates["low_m"] <= true) & (true <= estimates["high_m"])
    assert given.mean() > 0.8
    assert inside[given].mean() > 0.8
    assert (estimates["level_m"] - true)[given].abs().median() < 0.1


def test_water_outside_the_area_of_interest_does_not_count():
    dry = bowl(seasons(60, np.random.default_rng(2)))
    flooded = replace(dry, images=dry.images.copy())
    outside = ~dry.inside & (np.arange(48) < 8)
    flooded.images[:, 0, outside], flooded.images[:, 1, outside] = 0.06, 0.03
    for model in ("curve", "shore"):
        fitted = fit_level_model(dry, model)
        pd.testing.assert_frame_equal(fitted.estimate(flooded), fitted.estimate(dry))
    assert not fit_level_model(flooded).index.counted_[outside].any()


def test_intervals_are_wider_where_the_area_hardly_tells_the_level():
    rng = np.random.default_rng(3)
    found = bowl(rng.permutation(np.linspace(93, 99, 250)), wall_from_m=96)  # the same shore from 96 to 99 m
    estimates = fit_level_model(found[:120], "curve").estimate(found[120:])
    true, given = found.level_m[120:], (estimates["abstains"] == "").to_numpy()
    width_m = (estimates["high_m"] - estimates["low_m"]).to_numpy()
    above, below = given & (true > 96.2), given & (true < 95.8)
    assert np.median(width_m[above]) > 2 * np.median(width_m[below])
    inside = ((estimates["low_m"] <= true) & (true <= estimates["high_m"])).to_numpy()
    assert min(inside[above].mean(), inside[below].mean()) > 0.75


def under_cloud(scenes, rows, cols):
    cloudy, images = scenes.cloudy.copy(), scenes.images.copy()
    cloudy[:, rows, cols], images[:, :, rows, cols] = True, 0.4
    return replace(scenes, cloudy=cloudy, images=images)


@pytest.mark.parametrize("model", ["curve", "shore"])
def test_a_known_cloud_is_neither_water_nor_land(model, tmp_path):
    found = bowl(seasons(100, np.random.default_rng(4)))
    fitted, new = fit_level_model(found[:70], model), found[70:]
    clear, clouded = fitted.estimate(new), fitted.estimate(under_cloud(new, slice(4, 22), slice(8, 40)))
    assert (clouded["abstains"] == clear["abstains"]).all()
    given = clouded["abstains"] == ""
    assert (clouded["level_m"] - new.level_m)[given].abs().max() < 0.5
    inside = (clouded["low_m"] <= new.level_m) & (new.level_m <= clouded["high_m"])
    assert inside[given].mean() > 0.8
    np.testing.assert_allclose(clouded["area_km2"], clear["area_km2"], rtol=0.03)
    fitted.save(tmp_path / "model")
    again = LevelModel.load(tmp_path / "model").estimate(under_cloud(new, slice(4, 22), slice(8, 40)))
    pd.testing.assert_frame_equal(again, clouded)


@pytest.mark.parametrize("model", ["curve", "shore"])
def test_an_interval_is_wider_the_less_is_visible(model):
    found = bowl(seasons(100, np.random.default_rng(5)))
    fitted, new = fit_level_model(found[:70], model), found[70:]
    deep = np.hypot(*np.mgrid[-23.5:24, -23.5:24]) < 2  # nothing but what is always wet is left
    hidden = replace(new, cloudy=np.broadcast_to(~deep, new.cloudy.shape))
    widths_m = [
        (estimates["high_m"] - estimates["low_m"]).median() for estimates in map(fitted.estimate, (new, hidden))
    ]
    assert widths_m[0] < 1
    assert widths_m[1] > 2
    nothing = fitted.estimate(under_cloud(new, slice(None), slice(None)))
    assert set(nothing["abstains"]) == {"nothing visible"}
    assert nothing["level_m"].isna().all()
