import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from millpond import datasets, published
from millpond.experiment import load_runs
from millpond.level import random_split, study
from millpond.level.baselines import AreaLevelRegressor
from millpond.level.errors import LevelError
from millpond.level.estimation import fit_level_model
from millpond.level.twin import ALIKE, CHARACTERS, simulate
from millpond.training import Checkpoint


def small_twin(name, sensor, seed, without=None):
    character = replace((CHARACTERS | ALIKE)[name], **study.EFFECTS[without] if without else {})
    return simulate(character, sensor, n=30, size=32, random_state=seed)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few scenes, two epochs."""
    monkeypatch.setattr(study, "twin", small_twin)
    monkeypatch.setitem(study.SETTINGS, "quick", {"max_epochs": 2, "batch_size": 8})


@pytest.fixture
def log(monkeypatch):
    """What area-level curves are fitted to and asked about: ("fit" or "predict", images as bytes)."""
    calls = []

    def recording(name):
        method = getattr(AreaLevelRegressor, name)

        def call(self, X, *levels):
            calls.append((name, {image.tobytes() for image in np.asarray(X)}))
            return method(self, X, *levels)

        monkeypatch.setattr(AreaLevelRegressor, name, call)

    recording("fit")
    recording("predict")
    return calls


def check_last(log, n_test):
    """What was asked last are the test dates, and none of them was in any fit."""
    fitted = set().union(*(images for name, images in log if name == "fit"))
    name, tested = log[-1]
    assert (name, len(tested)) == ("predict", n_test)
    assert not tested & fitted


@pytest.mark.parametrize("sampling", study.SAMPLINGS)
def test_a_twin_is_tested_on_dates_that_no_training_has(sampling, log):
    (row,) = study.score_twin("LYS", "sentinel2", sampling, study.CURVE, seed=0)
    check_last(log, row["n_test"])
    assert row["n_train"] + row["n_test"] == 30
    assert row["train_r2"] > 0.8


@pytest.mark.parametrize("own", [True, False])
def test_depths_are_tested_on_dates_that_no_training_has(own, log):
    (row,) = study.score_depth("BHC", "BIL+LYS", study.CURVE, seed=0, own=own)
    check_last(log, row["n_test"])


@pytest.mark.parametrize("sampling", study.SAMPLINGS)
def test_intervals_are_tested_on_dates_that_no_training_has(sampling, log):
    row = study.score_intervals("LYS", "sentinel2", sampling, "curve", seed=0)
    check_last(log, row["n_test"])


@pytest.mark.parametrize("folds", study.FOLDS)
def test_a_fold_of_itoiz_is_estimated_without_it(folds, log):
    if not datasets.is_present("itoiz"):
        pytest.skip("needs itoiz of the data root (set MILLPOND_DATA)")
    study.score_itoiz(study.CURVE, seed=0, folds=folds)
    fits = [i for i, (name, _) in enumerate(log) if name == "fit"]
    assert len(fits) == 5
    for i in fits:
        assert not log[i][1] & log[i + 1][1]
    assert len(set().union(*(log[i + 1][1] for i in fits))) == len(study.itoiz(study.COARSER))


def test_a_network_on_a_twin_leaves_its_history():
    rows = study.score_twin("LYS", "sentinel1", "random", "network with CAM", seed=0, profile="quick")
    assert [(row["epoch"], row["steps"]) for row in rows] == [(1, 3), (2, 6)]
    assert set(rows[-1]) >= {"r2", "rmse_m", "mae_m", "days_above_1_m", "train_r2", "train_loss"}


def test_the_quick_profile_runs_and_resumes(tmp_path):
    first = study.run("quick", tmp_path)["twin"]
    assert set(first["model"]) == {*study.BASELINES, study.NETWORK}
    study.run("quick", tmp_path)
    assert load_runs(tmp_path / "twin")["seconds"].tolist() == first["seconds"].tolist()


def test_a_training_as_the_study_did_goes_on_after_a_kill_to_the_same_numbers(monkeypatch, tmp_path):
    monkeypatch.setitem(study.SETTINGS, "paper", study.SETTINGS["paper"] | {"max_epochs": 4, "batch_size": 8})
    monkeypatch.setattr(study, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(study, "EVERY_EPOCH_UNTIL", 1)
    case = {"reservoir": "BHC", "sensor": "sentinel2", "sampling": "random", "model": study.NETWORK, "seed": 0}
    whole = study.score_twin(**case, profile="paper")
    write = Checkpoint.on_epoch_end

    def write_and_die(self, net, **kwargs):
        self.minutes = 0
        write(self, net, **kwargs)
        if len(net.history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", write_and_die)
        with pytest.raises(KeyboardInterrupt):
            study.score_twin(**case, profile="paper")
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert study.score_twin(**case, profile="paper") == whole
    assert [(row["epoch"], row["steps"]) for row in whole] == [(1, 3), (4, 12)]  # each, then each tenth, and the last
    assert not list((tmp_path / "checkpoints").iterdir())


def test_errors_while_a_network_trains_are_those_of_its_test_dates(monkeypatch, tmp_path):
    monkeypatch.setitem(study.SETTINGS, "paper", study.SETTINGS["paper"] | {"max_epochs": 2, "batch_size": 8})
    monkeypatch.setattr(study, "CHECKPOINTS", tmp_path)
    seen = {}
    scores = study._scores
    monkeypatch.setattr(study, "_scores", lambda *known: seen.update(scores(*known)) or {})
    last = study.score_twin("BHC", "sentinel2", "random", study.NETWORK, 0, profile="paper")[-1]
    for name in ("r2", "rmse_m", "mae_m"):
        assert last[name] == pytest.approx(seen[name], rel=1e-3), name


def test_planned_runs_are_counted():
    # four reservoirs, two satellites, three samplings, three seeds; and one neighbour, two, three with three seeds
    assert study.n_planned("twin") == 4 * 2 * 3 * 3
    assert study.n_planned("twin", "regionalization") == 72 + 9


@pytest.mark.parametrize("profile", study.PROFILES)
def test_every_planned_case_has_the_arguments_of_its_function(profile):
    for function, cases, n_seeds, _ in study.grids_of(profile).values():
        assert n_seeds >= 1
        for case in cases:
            inspect.signature(function).bind(seed=0, **case)
            assert not set(case) & {"n_train", "n_test", "epoch"}  # these are results


def test_the_papers_settings_are_its_table_3():
    table = published.load("wu2023_table3_hyperparameters").set_index("hyperparameter")["value"].astype(float)
    ours = study.SETTINGS["paper"]
    assert (ours["batch_size"], ours["learning_rate"], ours["max_epochs"]) == tuple(
        table[["batch_size", "learning_rate", "epochs"]]
    )
    assert study.grids_of("paper")["twin"][2] == 20  # it averages twenty runs


def test_names_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(LevelError, match="profile 'huge' found, one of quick, full, paper expected"):
        study.run("huge", tmp_path)
    with pytest.raises(LevelError, match="model 'oracle' found, one of mean level, area-level curve"):
        study.score_twin("LYS", "sentinel2", "random", "oracle", seed=0)


@pytest.mark.parametrize("folds", study.FOLDS)
def test_folds_of_itoiz_are_pooled(folds):
    if not datasets.is_present("itoiz"):
        pytest.skip("needs itoiz of the data root (set MILLPOND_DATA)")
    rows = pd.DataFrame(study.score_itoiz("area-level curve", seed=0, folds=folds, coarser=1))
    assert len(rows) == len(study.itoiz(1))
    assert sorted(rows["fold"].unique()) == [0, 1, 2, 3, 4]
    errors = rows["level_m"] - rows["estimate_m"]
    assert 1 - np.square(errors).sum() / np.square(rows["level_m"] - rows["level_m"].mean()).sum() > 0.9
    months = pd.to_datetime(rows["date"]).sub(pd.Timestamp(rows["date"].min())).dt.days // 30
    assert (rows["fold"].groupby(months).nunique() == 1).all() == (folds == "months")
    assert rows["train_r2"].iloc[-1] > 0.95
    other = pd.DataFrame(study.score_itoiz("area-level curve", seed=0, folds=folds, coarser=1, threshold=0.2))
    assert (other["fold"] == rows["fold"]).all()
    assert not np.allclose(other["estimate_m"], rows["estimate_m"])


def test_a_twin_without_an_effect_differs_from_the_whole(monkeypatch):
    monkeypatch.undo()  # the real function
    whole, without = (study.twin("CTR", "sentinel1", 0, effect) for effect in (None, "ice"))
    assert len(whole) == len(without) == CHARACTERS["CTR"].n_radar
    winter = whole.dates.month.isin([12, 1, 2, 3])
    assert not np.array_equal(whole.images[winter], without.images[winter])


def test_depths_of_other_reservoirs_are_borrowed():
    options = {"target": "BHC", "sources": "BIL+GLL", "model": "ridge on band statistics", "seed": 0}
    (own,) = study.score_depth(**options)
    (left_out,) = study.score_depth(**options, own=False)
    assert (own["n_train"], own["n_test"]) == (24 + 30 + 30, 6)
    assert (left_out["n_train"], left_out["n_test"]) == (60, 30)
    assert len(left_out["days"].split()) == 30
    depths = study.depth_m("BHC", study.twin("BHC", "sentinel2", 0))
    assert 0 < depths.min() < depths.max() <= CHARACTERS["BHC"].dam_m
    assert max(map(int, left_out["levels_cm"].split())) / 100 == pytest.approx(depths.max(), abs=0.01)


def test_borrowed_dates_can_buy_no_updates():
    """24 own dates and 30 borrowed: two epochs of three batches alone, one of seven with both."""
    rows = study.score_depth("BHC", "BC1", study.NETWORK, 0, same_updates=True, profile="quick")
    assert [(row["epoch"], row["steps"]) for row in rows] == [(1, 7)]


def test_an_effect_can_be_taken_out():
    rows = [
        study.score_twin("GLL", "sentinel2", "random", "area-level curve", 0, without=effect)
        for effect in (None, "steep banks")
    ]
    assert rows[0] != rows[1]


def test_errors_of_each_date_are_kept():
    (row,) = study.score_twin("LYS", "sentinel2", "blocked", "area-level curve", seed=0, at_most=12)
    errors = np.array(row["errors_cm"].split(), int) / 100
    assert row["n_train"] == 12
    days, days_apart = (list(map(int, row[name].split())) for name in ("days", "days_apart"))
    assert len(errors) == row["n_test"] == len(days) == len(days_apart)
    scenes = small_twin("LYS", "sentinel2", 0)
    others = set((scenes.dates - scenes.dates.min()).days) - set(days)  # of which twelve trained
    assert all(day + apart in others or day - apart in others for day, apart in zip(days, days_apart, strict=True))
    assert np.abs(errors).mean() == pytest.approx(row["mae_m"], abs=0.01)


def test_choices_are_made_on_dates_that_no_result_has():
    row = study.score_choice("half the resolution", seed=0, profile="quick")[-1]
    assert (row["n_train"], row["n_test"]) == (24, 6)
    planned = [seeds for _, _, seeds, _ in study.grids_of("paper").values()]
    assert max(planned) < study.VALIDATION_SEED


def test_intervals_are_counted():
    row = study.score_intervals("LYS", "sentinel2", "random", "curve", seed=0, coverage=0.8)
    assert row["n_test"] == 6
    scenes = small_twin("LYS", "sentinel2", 0)
    train, test = random_split(scenes.level_m, random_state=0)
    table = fit_level_model(scenes[train], "curve", random_state=0).estimate(scenes[test], 0.8)
    within = [
        low <= level <= high
        for level, low, high in zip(scenes.level_m[test], table["low_m"], table["high_m"], strict=True)
    ]
    assert (row["abstains"], row["inside"]) == ((table["abstains"] != "").sum(), sum(within))


def test_every_date_of_itoiz_is_listed():
    if not datasets.is_present("itoiz"):
        pytest.skip("needs itoiz of the data root (set MILLPOND_DATA)")
    rows = pd.DataFrame(study.list_itoiz(seed=0))
    assert len(rows) == 49
    assert rows["date"].is_monotonic_increasing
    assert rows.set_index("date").loc[["2018-09-11", "2019-02-08"], "reason"].eq("spoiled").all()
    assert (rows["reason"] == "used").sum() == len(study.itoiz(1)) == rows["area_km2"].notna().sum()
