"""The level study's archived runs: a real reservoir, and the twins of the study's four."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import GroupKFold

from millpond import datasets
from millpond.experiment import run_grids
from millpond.level.baselines import baselines
from millpond.level.errors import LevelError
from millpond.level.network import ATTENTIONS
from millpond.level.regressor import LevelRegressor
from millpond.level.sampling import blocked_split, chronological_split, random_split
from millpond.level.scenes import Scenes, read_scenes
from millpond.level.twin import CHARACTERS, simulate

PROFILES = ("quick", "full", "paper")

CALIFORNIA = ("BHC", "BIL", "GLL", "LYS")
"""The study's four, of its Table 4."""

SENSORS = ("sentinel2", "sentinel1")

SAMPLINGS = ("random", "chronological", "blocked")

NETWORK = "network"
"""The study's, without attention."""

NETWORKS = {NETWORK: None, "network with CAM": "channel", "network with CSAM": "channel-spatial"}

BASELINES = ("mean level", "area-level curve", "ridge on band statistics", "random forest on band statistics")

COARSER = 4
"""Pixels along an edge that are averaged for networks on Itoiz: 40 m, so that one trains in a minute."""

FOLDS = ("random", "months")
"""How dates are dealt into five folds: one by one, or whole blocks of 30 days."""

SETTINGS = {
    "quick": {"max_epochs": 3, "batch_size": 16},
    "full": {"max_epochs": 20, "batch_size": 8},
    "paper": {"max_epochs": 1500, "batch_size": 4, "learning_rate": 1e-4},
}
"""Of the network; the last is the study's Table 3."""


def run(
    profile: str, store: Path, workers: int = 1, scheduler: str | None = None, retry_failed: bool = False
) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick", "full" or "paper"
        `quick` takes the baselines and one short network on the twin of Lyons; `full` Itoiz, and all of Table 4 with
        three seeds; `paper` the same with the study's epochs and twenty seeds, for a GPU.
    store : path
        Folder for the archives: `twin`, and beyond `quick` also `itoiz` and `attention`.
    workers, scheduler, retry_failed
        As in `millpond.experiment.run_grids`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise LevelError(f"profile {profile!r} found, one of {', '.join(PROFILES)} expected.")
    return run_grids(_grids(profile), store, workers=workers, scheduler=scheduler, retry_failed=retry_failed)


def _grids(profile: str) -> dict[str, tuple]:
    """By archive: function, cases, number of seeds, and what it is, in words; short ones first."""
    settings = {"profile": profile}
    if profile == "quick":
        models = (*BASELINES, NETWORK)
        lyons = [
            {"reservoir": "LYS", "sensor": "sentinel2", "sampling": "random", "model": m} | settings for m in models
        ]
        return {"twin": (score_twin, lyons, 1, "The twin of Lyons")}
    n_seeds = 20 if profile == "paper" else 3
    combinations = [
        {"reservoir": reservoir, "sensor": sensor, "sampling": sampling}
        for reservoir in CALIFORNIA
        for sensor in SENSORS
        for sampling in SAMPLINGS
    ]
    return {
        "itoiz_baselines": (
            score_itoiz,
            [
                {"model": model, "folds": folds, "coarser": coarser}
                for model in BASELINES
                for folds in FOLDS
                for coarser in (1, COARSER)
            ],
            20,
            "Baselines on Itoiz, pooled folds",
        ),
        "twin_baselines": (
            score_twin,
            [combination | {"model": model} for combination in combinations for model in BASELINES],
            n_seeds,
            "Baselines on the twins of the study's reservoirs",
        ),
        "itoiz": (
            score_itoiz,
            [{"model": model, "folds": folds} | settings for model in NETWORKS for folds in FOLDS],
            5,
            "Networks on Itoiz, pooled folds",
        ),
        "twin": (
            score_twin,
            [combination | {"model": NETWORK} | settings for combination in combinations],
            n_seeds,
            "The study's network on the twins of its reservoirs",
        ),
        "attention": (
            score_twin,
            [
                {"reservoir": reservoir, "sensor": "sentinel2", "sampling": "random", "model": model} | settings
                for reservoir in CALIFORNIA
                for model in NETWORKS
                if NETWORKS[model] in ATTENTIONS[1:]
            ],
            n_seeds,
            "Attention on the twins of the study's reservoirs",
        ),
    }


@lru_cache(maxsize=2)
def itoiz(coarser: int) -> Scenes:
    """The scenes of Itoiz that can be used, with so many pixels averaged along each edge."""
    return read_scenes(datasets.path("itoiz")).coarse(coarser)


@lru_cache(maxsize=8)
def twin(reservoir: str, sensor: str, seed: int) -> Scenes:
    """A twin of one of the study's reservoirs; each seed is another weather."""
    return simulate(CHARACTERS[reservoir], sensor, random_state=seed)


def score_itoiz(
    model: str, seed: int, *, folds: str = "random", coarser: int = COARSER, profile: str = "full"
) -> list[dict]:
    """Cross-validate on Itoiz in five folds, and pool what each says of its own.

    Parameters
    ----------
    model : str
        One of `BASELINES` or `NETWORKS`.
    seed : int
        Of the folds and the model.
    folds : str
        One of `FOLDS`.
    coarser : int
    profile : str

    Returns
    -------
    list of dict
        A row a date: `date`, `level_m`, `estimate_m`, `fold`; on the last `train_r2`, the lowest over the folds.
    """
    scenes = itoiz(coarser)
    blocks = np.arange(len(scenes)) if folds == "random" else (scenes.dates - scenes.dates.min()).days // 30
    splits = GroupKFold(5, shuffle=True, random_state=seed).split(scenes.images, groups=blocks)
    estimate_m, fold_of, train_r2 = np.empty(len(scenes)), np.empty(len(scenes), int), []
    for fold, (train, test) in enumerate(splits):
        fitted = clone(unfitted(model, scenes, seed, profile)).fit(scenes.images[train], scenes.level_m[train])
        estimate_m[test], fold_of[test] = fitted.predict(scenes.images[test]), fold
        train_r2.append(r2_score(scenes.level_m[train], fitted.predict(scenes.images[train])))
    rows = [
        {"date": f"{date:%Y-%m-%d}", "level_m": float(level), "estimate_m": float(estimate), "fold": int(fold)}
        for date, level, estimate, fold in zip(scenes.dates, scenes.level_m, estimate_m, fold_of, strict=True)
    ]
    rows[-1]["train_r2"] = float(min(train_r2))
    return rows


def score_twin(reservoir: str, sensor: str, sampling: str, model: str, seed: int, profile: str = "full") -> list[dict]:
    """Train on four fifths of a twin's scenes, and test on the others.

    Parameters
    ----------
    reservoir : str
        One of `millpond.level.twin.CHARACTERS`.
    sensor : str
        One of `SENSORS`.
    sampling : str
        One of `SAMPLINGS`.
    model : str
        One of `BASELINES` or `NETWORKS`.
    seed : int
        Of weather, split and model.
    profile : str

    Returns
    -------
    list of dict
        For a network, an epoch a row: `epoch`, `steps`, `train_loss`. The last one, or the only one, has `n_train`,
        `n_test`, `train_r2`, and of the test `r2`, `rmse_m`, `mae_m`, `days_above_1_m` (errors of more than a metre).
    """
    scenes = twin(reservoir, sensor, seed)
    train, test = {
        "random": lambda: random_split(scenes.level_m, random_state=seed),
        "chronological": lambda: chronological_split(scenes.dates),
        "blocked": lambda: blocked_split(scenes.dates, random_state=seed),
    }[sampling]()
    fitted = unfitted(model, scenes, seed, profile).fit(scenes.images[train], scenes.level_m[train])
    rows = [{}]
    if model in NETWORKS:
        steps = -(-len(train) // fitted.batch_size)
        rows = [
            {"epoch": row["epoch"], "steps": row["epoch"] * steps, "train_loss": float(row["train_loss"])}
            for row in fitted.history_
        ]
    true, estimate = scenes.level_m[test], fitted.predict(scenes.images[test])
    rows[-1] |= {
        "n_train": len(train),
        "n_test": len(test),
        "train_r2": r2_score(scenes.level_m[train], fitted.predict(scenes.images[train])),
        "r2": r2_score(true, estimate),
        "rmse_m": root_mean_squared_error(true, estimate),
        "mae_m": mean_absolute_error(true, estimate),
        "days_above_1_m": int((np.abs(true - estimate) > 1).sum()),
    }
    return rows


def unfitted(model: str, scenes: Scenes, seed: int, profile: str):
    """A regressor of the images of these scenes.

    Raises
    ------
    LevelError
        If there is no such model.
    """
    if model in NETWORKS:
        return LevelRegressor(NETWORKS[model], random_state=seed, **SETTINGS[profile])
    pixel_area_km2 = scenes.pixel_m[0] * scenes.pixel_m[1] / 1e6
    known = baselines(scenes.bands, pixel_area_km2, seed)
    if model not in known:
        raise LevelError(f"model {model!r} found, one of {', '.join([*known, *NETWORKS])} expected.")
    return known[model]
