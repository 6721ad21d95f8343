"""The level study's archived runs: a real reservoir, and the twins of the study's four."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import rasterio
import torch
from affine import Affine
from rasterio.warp import Resampling, reproject
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import GroupKFold

from millpond import datasets
from millpond.experiment import run_grids
from millpond.files import make_folder
from millpond.level.baselines import AreaLevelRegressor, CorrectedLevelRegressor, baselines
from millpond.level.errors import LevelError
from millpond.level.estimation import BLOCK_DAYS, COVERAGE, fit_level_model
from millpond.level.gauges import read_gauge
from millpond.level.gradcam import grad_cam, share_on_shore
from millpond.level.imagery import SMALLEST_CLOUD_PROBABILITY
from millpond.level.opponents import HypsometryRegressor, LastLevelRegressor
from millpond.level.regressor import LevelRegressor
from millpond.level.sampling import blocked_split, chronological_split, random_split
from millpond.level.scenes import Scenes, read_scenes
from millpond.level.twin import ALIKE, CHARACTERS, Character, simulate, valley
from millpond.sentinel2 import REFLECTANCE_PER_DN

PROFILES = ("quick", "full", "paper")

CALIFORNIA = ("BHC", "BIL", "GLL", "LYS")
"""The study's four, of its Table 4."""

ELSEWHERE = {"MCR": "sentinel2", "ARR": "sentinel2", "CTR": "sentinel1"}
"""The study's three of its Table 6, with the satellite that it reports."""

SENSORS = ("sentinel2", "sentinel1")

SAMPLINGS = ("random", "chronological", "blocked")

NETWORK = "network"
"""The study's, without attention."""

NETWORKS = {NETWORK: None, "network with CAM": "channel", "network with CSAM": "channel-spatial"}

NETWORKS_BEST = "network with CAM"
"""The study's best one, which it regionalizes."""

CURVE, SHORE = "area-level curve", "shore-level fit"

CORRECTED_BY_RIDGE, CORRECTED_BY_NETWORK = "curve, then ridge", "curve, then network"
"""The second learns what the curve without a mask leaves."""

RIDGE, FOREST = "ridge on band statistics", "random forest on band statistics"

UNMASKED = "area-level curve, every pixel"
"""Counts every pixel of the image that looks like water, shadows on land included."""

LAST, HYPSOMETRY = "last known level", "terrain and one level"
"""Opponents that learn from no image, or from a single level (`millpond.level.opponents`)."""

BASELINES = ("mean level", LAST, HYPSOMETRY, UNMASKED, CURVE, SHORE, RIDGE, FOREST)

ANYWHERE = ("mean level", UNMASKED, RIDGE, FOREST)
"""Baselines that know no place, and so can learn from several reservoirs."""

COARSER = 4
"""Pixels along an edge that are averaged for networks on Itoiz: 40 m, so that one trains in a minute."""

THRESHOLDS = (-0.2, -0.1, 0.1, 0.2)
"""Of NDWI, beside 0."""

FOLDS = ("random", "months")
"""How dates are dealt into five folds: one by one, or whole blocks of 30 days."""

EFFECTS = {
    "flooded vegetation": {"flooded_vegetation": 0.0},
    "undetected cloud": {"undetected_cloud": 0.0},
    "displacement": {"jitter_pixels": 0.0},
    "steep banks": {"bank_factor": 1.0},
    "colour of shallow water": {"shallow_colour": False},
    "ice": {"freezes": False},
    "quick turnover": {"storage_days": 200.0},
}
"""What can be taken out of a twin, and how its character then differs."""

REMOVED = (
    ("BHC", "sentinel2", "undetected cloud", "random"),
    ("BHC", "sentinel2", "displacement", "random"),
    ("BHC", "sentinel2", "flooded vegetation", "random"),
    ("BHC", "sentinel1", "flooded vegetation", "random"),
    ("GLL", "sentinel2", "steep banks", "random"),
    ("GLL", "sentinel2", "colour of shallow water", "random"),
    ("GLL", "sentinel1", "steep banks", "random"),
    ("GLL", "sentinel1", "flooded vegetation", "random"),
    ("CTR", "sentinel1", "ice", "random"),
    ("BHC", "sentinel2", "quick turnover", "random"),
    ("BHC", "sentinel2", "quick turnover", "blocked"),
)
"""Reservoir, satellite, effect and sampling of the sweep."""

TRAINING_SIZES = (20, 40, 80, 160, 320)
"""Dates of Lyons that train."""

N_EACH = 150
"""Dates that train: of each of the other reservoirs where none of the target's do, and of choices."""

CHOICES = {
    "as chosen": {},
    "rate of 0.0003": {"learning_rate": 3e-4},
    "twice the epochs": {"max_epochs": 40},
    "batches of 4": {"batch_size": 4},
    "absolute error": {"loss": "absolute"},
    "turned and mirrored": {"augmentation": "dihedral"},
    "CAM": {"attention": "channel"},
    "CAM, hidden layer of 16": {"attention": "channel", "attention_width": 16},
    "half the resolution": {"coarser": 2},
}
"""What is compared where the study is silent; settings of the network, or pixels that are averaged along an edge."""

CALM_DB = -20.0
"""Mean backscatter in VH below which a pixel of Sentinel-1 is water, where only its place is asked for."""

VALIDATION_SEED = 100
"""Weather of the choices, from this seed on; no result has it."""

SETTINGS = {
    "quick": {"max_epochs": 3, "batch_size": 16},
    "full": {"max_epochs": 20, "batch_size": 8},
    "itoiz": {"max_epochs": 40, "batch_size": 4},
    "paper": {"max_epochs": 1500, "batch_size": 4, "learning_rate": 1e-4, "schedule": "constant"},
}
"""Of the network: `itoiz` is `full` for so few dates, `paper` the study's Table 3, which states one rate."""

CLEAR = 0.02
"""Share of an image under clouds, below which a date of Itoiz is clear and a mask hides nothing."""

CHECKPOINTS = Path(pooch.os_cache("millpond")) / "checkpoints"
"""Where trainings at `paper`, hours long, keep what they go on from when they were stopped."""

EVERY_EPOCH_UNTIL, EVERY = 50, 10
"""Of a training at `paper`, these epochs are kept, and every tenth beyond."""


def run(profile: str, store: Path, **options) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick", "full" or "paper"
        `quick` takes the baselines and one short network on the twin of Lyons; `full` Itoiz, and all of Table 4 with
        three seeds, attention and regionalization; `paper` the same with the epochs of the study and twenty seeds, for
        a GPU.
    store : path
        Folder for the archives: `twin`, and beyond `quick` those of `grids_of`.
    **options
        As of `millpond.experiment.run_grids`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise LevelError(f"profile {profile!r} found, one of {', '.join(PROFILES)} expected.")
    return run_grids(grids_of(profile), store, **options)


def n_planned(*names: str) -> int:
    """How many runs `full` plans for some of its archives."""
    grids = grids_of("full")
    return sum(len(cases) * n_seeds for _, cases, n_seeds, _ in map(grids.get, names))


def grids_of(profile: str) -> dict[str, tuple]:
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
    elsewhere = [{"reservoir": name, "sensor": sensor, "sampling": "random"} for name, sensor in ELSEWHERE.items()]
    optical = [{"reservoir": name, "sensor": "sentinel2", "sampling": "random"} for name in CALIFORNIA]
    removed = [
        {"reservoir": reservoir, "sensor": sensor, "sampling": sampling, "without": effect}
        for reservoir, sensor, effect, sampling in REMOVED
    ]
    attentive = [name for name, attention in NETWORKS.items() if attention]
    borrowing = [{"target": "BHC", "sources": sources} for sources in ("BIL", "BIL+GLL", "BIL+GLL+LYS")]
    alike = [{"target": "BHC", "sources": sources} for sources in ("BC1", "BC1+BC2+BC3")]
    left_out = [
        {"target": name, "sources": "+".join(other for other in CALIFORNIA if other != name), "own": False}
        for name in CALIFORNIA
    ]
    grids = {
        "itoiz_scenes": (list_itoiz, [{}], 1, "What became of the dates of Itoiz"),
        "itoiz_baselines": (
            score_itoiz,
            [
                {"model": model, "folds": folds, "coarser": coarser}
                for model in (*BASELINES, CORRECTED_BY_RIDGE)
                for folds in FOLDS
                for coarser in (1, COARSER)
            ],
            max(n_seeds, 5),
            "Baselines on Itoiz, pooled folds",
        ),
        "itoiz_thresholds": (
            score_itoiz,
            [
                {"model": model, "folds": folds, "coarser": 1, "threshold": threshold}
                for model in (CURVE, SHORE)
                for folds in FOLDS
                for threshold in THRESHOLDS
            ],
            max(n_seeds, 5),
            "Other thresholds of NDWI on Itoiz, pooled folds",
        ),
        "twin_baselines": (
            score_twin,
            [case | {"model": model} for case in (*combinations, *elsewhere, *removed) for model in BASELINES],
            n_seeds,
            "Baselines on the twins",
        ),
        "depth_baselines": (
            score_depth,
            [case | {"model": model} for case in (*borrowing, *alike, *left_out) for model in ANYWHERE],
            n_seeds,
            "Baselines with depths of other twins",
        ),
        "itoiz_clouds": (
            score_clouds,
            [{"model": model} for model in ("curve", "shore")],
            3,
            "Clear dates of Itoiz under the clouds of its other dates",
        ),
        "intervals": (
            score_intervals,
            [
                {"reservoir": reservoir, "sensor": sensor, "sampling": sampling, "model": model}
                for reservoir in CALIFORNIA
                for sensor in SENSORS
                for sampling in SAMPLINGS
                for model in ("curve", "shore")
            ],
            n_seeds,
            "What intervals hold, on the twins",
        ),
        "choices": (
            score_choice,
            [{"choice": choice} | settings for choice in CHOICES],
            2,
            "Choices where the study is silent, in a weather that no result has",
        ),
        "twin": (
            score_twin,
            [case | {"model": NETWORK} | settings for case in combinations],
            n_seeds,
            "The study's network on the twins of its reservoirs",
        ),
        "attention": (
            score_twin,
            [case | {"model": model} | settings for case in optical for model in attentive],
            n_seeds,
            "Attention on the twins of the study's reservoirs",
        ),
        "elsewhere": (
            score_twin,
            [case | {"model": model} | settings for case in elsewhere for model in NETWORKS],
            n_seeds,
            "Networks on the twins of the study's three reservoirs elsewhere",
        ),
        "itoiz": (
            score_itoiz,
            [
                {"model": model, "folds": folds, "profile": "itoiz" if profile == "full" else profile}
                for model, folds in [(NETWORK, folds) for folds in FOLDS]
                + [(model, "random") for model in (CORRECTED_BY_NETWORK, *attentive)]
            ],
            5,
            "Networks on Itoiz, pooled folds",
        ),
        "training_size": (
            score_twin,
            [
                {"reservoir": "LYS", "sensor": "sentinel2", "sampling": "random", "model": model, "at_most": n}
                | settings
                for n in TRAINING_SIZES
                for model in (*BASELINES, NETWORK)
            ],
            n_seeds,
            "How many dates a model needs",
        ),
        "removed": (
            score_twin,
            [case | {"model": NETWORK} | settings for case in removed],
            n_seeds,
            "The network on twins without one of the effects that were built in",
        ),
        "regionalization": (
            score_depth,
            [case | {"model": NETWORKS_BEST} | settings for case in borrowing],
            n_seeds,
            "Depths of other reservoirs added to Brush Creek's",
        ),
        "neighbours": (
            score_depth,
            [
                case | {"model": NETWORKS_BEST, "same_updates": True} | settings
                for case in (borrowing[0], borrowing[-1], *alike)
            ],
            n_seeds,
            "Depths of unlike and of like reservoirs added to Brush Creek's, with as many updates as without",
        ),
        "left_out": (
            score_depth,
            [case | {"model": NETWORK} | settings for case in left_out],
            n_seeds,
            "Depths of a reservoir that no training has seen",
        ),
    }
    if profile == "full":
        as_the_study = [optical[0] | {"model": model, "profile": "paper"} for model in NETWORKS]
        grids["as_the_study"] = (score_twin, as_the_study, 1, "The twin of Brush Creek with the study's 1,500 epochs")
    return grids


@lru_cache(maxsize=2)
def itoiz(coarser: int) -> Scenes:
    """The scenes of Itoiz that can be used, with so many pixels averaged along each edge."""
    return read_scenes(datasets.path("itoiz")).coarse(coarser)


@lru_cache(maxsize=8)
def twin(reservoir: str, sensor: str, seed: int, without: str | None = None) -> Scenes:
    """A twin of one of the study's reservoirs; each seed is another weather."""
    return simulate(_character(reservoir, without), sensor, random_state=seed)


def _character(reservoir: str, without: str | None) -> Character:
    return replace((CHARACTERS | ALIKE)[reservoir], **EFFECTS[without] if without else {})


def list_itoiz(seed: int) -> list[dict]:
    """A row a date of Itoiz: `date`, `reason` to drop it or "used", `level_m`, `area_km2` that looks like water.

    `infrared_over_water` is the median reflectance in B08 of the pixels that look like water on nine dates of ten: haze
    brightens it. Nothing is random; the seed is not used.
    """
    scenes = itoiz(1)
    index = AreaLevelRegressor(scenes.bands)
    area_km2 = index.area_km2(scenes.images)
    deep = index.water(scenes.images).mean(axis=0) >= 0.9
    infrared = np.median(scenes.band("B08")[:, deep], axis=1)
    gauge = read_gauge(datasets.path("itoiz") / "levels.csv")
    rows = [
        {"date": f"{row.date:%Y-%m-%d}", "reason": row.reason, "level_m": float(gauge.get(row.date, np.nan))}
        for row in scenes.dropped.itertuples()
    ]
    for date, level_m, area, bright in zip(scenes.dates, scenes.level_m, area_km2, infrared, strict=True):
        used = {"date": f"{date:%Y-%m-%d}", "reason": "used", "level_m": float(level_m), "area_km2": float(area)}
        rows.append(used | {"infrared_over_water": float(bright)})
    return sorted(rows, key=lambda row: row["date"])


def score_itoiz(
    model: str,
    seed: int,
    *,
    folds: str = "random",
    coarser: int = COARSER,
    profile: str = "itoiz",
    threshold: float | None = None,
) -> list[dict]:
    """Cross-validate on Itoiz in five folds, and pool what each says of its own.

    Parameters
    ----------
    model : str
        One of `BASELINES` or `NETWORKS`, `CORRECTED_BY_RIDGE` or `CORRECTED_BY_NETWORK`.
    seed : int
        Of the folds and the model.
    folds : str
        One of `FOLDS`.
    coarser : int
    profile : str
    threshold : float, optional
        NDWI above which a curve or the shore-level fit takes a pixel for water; 0 where not stated.

    Returns
    -------
    list of dict
        A row a date: `date`, `level_m`, `estimate_m`, `fold`; on the last `train_r2`, the lowest over the folds.
    """
    scenes = itoiz(coarser)
    blocks = np.arange(len(scenes)) if folds == "random" else (scenes.dates - scenes.dates.min()).days // BLOCK_DAYS
    splits = GroupKFold(5, shuffle=True, random_state=seed).split(scenes.images, groups=blocks)
    inputs, heights_m = _inputs(model, scenes), itoiz_heights_m(coarser) if model == HYPSOMETRY else None
    if model in (CURVE, SHORE):  # they know what to do without pixels under clouds
        inputs = np.where(scenes.cloudy[:, None], np.nan, inputs)
    estimate_m, fold_of, train_r2 = np.empty(len(scenes)), np.empty(len(scenes), int), []
    for fold, (train, test) in enumerate(splits):
        fitted = unfitted(model, scenes, seed, profile, heights_m)
        if threshold is not None:
            fitted.set_params(threshold=threshold)
        fitted.fit(inputs[train], scenes.level_m[train])
        estimate_m[test], fold_of[test] = fitted.predict(inputs[test]), fold
        train_r2.append(_r2(fitted, inputs[train], scenes.level_m[train]))
    rows = [
        {"date": f"{date:%Y-%m-%d}", "level_m": float(level), "estimate_m": float(estimate), "fold": int(fold)}
        for date, level, estimate, fold in zip(scenes.dates, scenes.level_m, estimate_m, fold_of, strict=True)
    ]
    rows[-1]["train_r2"] = float(min(train_r2))
    return rows


def score_twin(
    reservoir: str,
    sensor: str,
    sampling: str,
    model: str,
    seed: int,
    *,
    without: str | None = None,
    at_most: int | None = None,
    profile: str = "full",
) -> list[dict]:
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
    without : str, optional
        One of `EFFECTS`.
    at_most : int, optional
        So many of the training dates, at random; by default all.
    profile : str

    Returns
    -------
    list of dict
        For a network, an epoch a row: `epoch`, `steps` (updates), `train_loss`, and at `paper` `r2`, `rmse_m`, `mae_m`
        of the test. The last one, or the only one, has `n_train`, `n_test`, `train_r2`, and of the test `r2`, `rmse_m`,
        `mae_m`, `days_above_1_m` (errors of more than a metre) and, of each test date, joined by blanks, `levels_cm`,
        `errors_cm`, `days` since the first scene and `days_apart` from the nearest date that trained.
        A network's also has `seen_on_shore` and `shore` (`share_on_shore`), and one with attention `band_weights`, the
        mean weight of each band.
    """
    scenes = twin(reservoir, sensor, seed, without)
    train, test = _split(scenes, sampling, seed)
    if at_most is not None:
        train = np.random.default_rng(seed).permutation(train)[:at_most]
    heights_m = None
    if model == HYPSOMETRY:  # no real ground is known so well
        heights_m = valley(_character(reservoir, without), scenes.images.shape[2]).pixels_m
    fitted, inputs, options = unfitted(model, scenes, seed, profile, heights_m), _inputs(model, scenes), {}
    resumable = profile == "paper" and model in NETWORKS
    if resumable:
        make_folder(CHECKPOINTS, LevelError)
        name = "-".join(str(part) for part in (reservoir, sensor, sampling, model, without, at_most, seed))
        fitted.set_params(checkpoint=CHECKPOINTS / f"{name}.pt", checkpoint_minutes=10)
        options["watched"] = inputs[test], scenes.level_m[test]
    fitted.fit(inputs[train], scenes.level_m[train], **options)
    rows = _history(fitted, scenes.level_m[test])
    rows[-1] |= {"n_train": len(train), "train_r2": _r2(fitted, inputs[train], scenes.level_m[train])}
    rows[-1] |= _scores(scenes.level_m[test], fitted.predict(inputs[test]))
    apart = np.abs(_days_since_first(scenes)[test][:, None] - _days_since_first(scenes)[train]).min(axis=1)
    rows[-1] |= {"days": _days(scenes, test), "days_apart": " ".join(map(str, apart))}
    if model in NETWORKS:
        water = AreaLevelRegressor(scenes.bands, threshold=CALM_DB if sensor == "sentinel1" else None).water(
            scenes.images
        )
        maps = grad_cam(fitted, scenes.images[test])
        rows[-1]["seen_on_shore"], rows[-1]["shore"] = share_on_shore(maps, water)
        weights = fitted.network_.attention_weights(torch.as_tensor(fitted.scaled(scenes.images[test])))
        if NETWORKS[model]:
            rows[-1]["band_weights"] = " ".join(f"{weight:.3f}" for weight in weights["channel"].mean(dim=0))
    if resumable:
        fitted.checkpoint.unlink()
    return rows


def score_depth(
    target: str,
    sources: str,
    model: str,
    seed: int,
    *,
    own: bool = True,
    same_updates: bool = False,
    profile: str = "full",
) -> list[dict]:
    """Train on depths of several twins, seen by Sentinel-2, and test on one.

    Parameters
    ----------
    target : str
        One of `millpond.level.twin.CHARACTERS`.
    sources : str
        Others, joined by +, or of `millpond.level.twin.ALIKE`.
    model : str
        One of `BASELINES` or `NETWORKS`.
    seed : int
    own : bool
        Whether the target's training part of the random sampling trains too; it is tested on the rest. Otherwise none
        of it trains, all of it tests, and of each source `N_EACH` dates train.
    same_updates : bool
        Whether a network gets as many updates as with the target's own dates alone, or as many epochs.
    profile : str

    Returns
    -------
    list of dict
        As of `score_twin`, without what the network looks at.
    """
    scenes = twin(target, "sentinel2", seed)
    train, test = _split(scenes, "random", seed) if own else (np.array([], int), np.arange(len(scenes)))
    images, depths_m = [scenes.images[train]], [depth_m(target, scenes)[train]]
    for name in sources.split("+"):
        other = twin(name, "sentinel2", seed)
        taken = np.random.default_rng(seed).permutation(len(other))[: None if own else N_EACH]
        images.append(other.images[taken])
        depths_m.append(depth_m(name, other)[taken])
    images, depths_m = np.concatenate(images), np.concatenate(depths_m)
    fitted = unfitted(model, scenes, seed, profile)
    if same_updates:
        fitted.set_params(max_epochs=round(fitted.max_epochs * len(train) / len(images)))
    fitted.fit(images, depths_m)
    rows = _history(fitted)
    rows[-1] |= {"n_train": len(images), "train_r2": _r2(fitted, images, depths_m)}
    rows[-1] |= _scores(depth_m(target, scenes)[test], fitted.predict(scenes.images[test]))
    rows[-1]["days"] = _days(scenes, test)
    return rows


def depth_m(reservoir: str, scenes: Scenes) -> np.ndarray:
    """Level above the foot of the dam, which unlike that above the gauge's datum compares between reservoirs.

    At Gerle Lake it is the foot before the valley below the full level was cut deeper.
    """
    character = (CHARACTERS | ALIKE)[reservoir]
    return scenes.level_m - character.base_m + character.full_m


def score_choice(choice: str, seed: int, *, profile: str = "full") -> list[dict]:
    """Train on `N_EACH` scenes of Buck Island in a weather of its own, and look at the test part of that weather.

    Parameters
    ----------
    choice : str
        One of `CHOICES`.
    seed : int
    profile : str

    Returns
    -------
    list of dict
        As of `score_twin`, without what the network looks at.
    """
    settings = {"random_state": seed} | SETTINGS[profile] | CHOICES[choice]
    scenes = twin("BIL", "sentinel2", VALIDATION_SEED + seed).coarse(settings.pop("coarser", 1))
    train, seen = _split(scenes, "random", seed)
    train = np.random.default_rng(seed).permutation(train)[:N_EACH]
    fitted = LevelRegressor(**settings).fit(scenes.images[train], scenes.level_m[train])
    rows = _history(fitted)
    rows[-1] |= {"n_train": len(train), "train_r2": _r2(fitted, scenes.images[train], scenes.level_m[train])}
    rows[-1] |= _scores(scenes.level_m[seen], fitted.predict(scenes.images[seen]))
    return rows


def score_clouds(model: str, seed: int, coverage: float = COVERAGE) -> list[dict]:
    """Lay the real clouds of Itoiz over its clear dates, as a known mask, and estimate these by models without them.

    Parameters
    ----------
    model : "curve" or "shore"
    seed : int
        Of the five folds, of whole blocks of 30 days.
    coverage : float
        Of the intervals.

    Returns
    -------
    list of dict
        A row a clear date and mask: `date`, `clouds_of` (empty for none), `hidden`, the share of where water counts
        that is under them; `level_m`; `estimate_m`, `low_m`, `high_m` and `abstains`.
    """
    scenes = itoiz(1)
    with_mask = read_scenes(datasets.path("itoiz"), bands=("CLDPRB", *scenes.bands), gauge=None, max_cloud=None)
    cloudy = with_mask.band("CLDPRB") >= SMALLEST_CLOUD_PROBABILITY * REFLECTANCE_PER_DN
    clear = scenes.cloudy.mean(axis=(1, 2)) < CLEAR
    blocks = (scenes.dates - scenes.dates.min()).days // BLOCK_DAYS
    rows = []
    for train, test in GroupKFold(5, shuffle=True, random_state=seed).split(scenes.images, groups=blocks):
        fitted = fit_level_model(scenes[train], model, n_folds=4, random_state=seed)
        held_out = scenes[test[clear[test]]]
        hidden = cloudy[:, fitted.index.counted_].mean(axis=1)
        laid = [("", np.zeros_like(held_out.cloudy[:1]))]
        laid += [
            (f"{with_mask.dates[i]:%Y-%m-%d}", cloudy[[i]]) for i in np.flatnonzero((hidden > CLEAR) & (hidden < 1))
        ]
        for clouds_of, mask in laid:
            estimates = fitted.estimate(replace(held_out, cloudy=held_out.cloudy | mask), coverage)
            table = estimates.rename(columns={"level_m": "estimate_m"}).assign(
                date=estimates.index.strftime("%Y-%m-%d"),
                clouds_of=clouds_of,
                hidden=float(mask[0, fitted.index.counted_].mean()),
                level_m=held_out.level_m,
            )
            columns = ["date", "clouds_of", "hidden", "level_m", "estimate_m", "low_m", "high_m", "abstains"]
            rows += table[columns].to_dict("records")
    return rows


def score_intervals(
    reservoir: str, sensor: str, sampling: str, model: str, seed: int, coverage: float = COVERAGE
) -> dict:
    """Count how many levels of the test part lie in the intervals that were meant to hold so many.

    Returns
    -------
    dict
        `n_test`; `abstains`, how many got no level; `inside`, how many of the others lie in their interval; `width_m`,
        the median width of an interval; `rmse_m` of those with a level.
    """
    scenes = twin(reservoir, sensor, seed)
    train, test = _split(scenes, sampling, seed)
    fitted = fit_level_model(scenes[train], model, random_state=seed)
    estimates = fitted.estimate(scenes[test], coverage)
    true = scenes.level_m[test]
    given = (estimates["abstains"] == "").to_numpy()
    inside = (estimates["low_m"] <= true) & (true <= estimates["high_m"])
    return {
        "n_test": len(test),
        "abstains": int((~given).sum()),
        "inside": int(inside[given].sum()),
        "width_m": float((estimates["high_m"] - estimates["low_m"])[given].median()),
        "rmse_m": float(np.sqrt(np.square(estimates["level_m"] - true)[given].mean())),
    }


def _split(scenes: Scenes, sampling: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return {
        "random": lambda: random_split(scenes.level_m, random_state=seed),
        "chronological": lambda: chronological_split(scenes.dates),
        "blocked": lambda: blocked_split(scenes.dates, random_state=seed),
    }[sampling]()


def _history(fitted, watched_m: np.ndarray | None = None) -> list[dict]:
    """What the epochs left; `watched_m` are the levels of the validation dates, of which errors are told."""
    if not isinstance(fitted, LevelRegressor):
        return [{}]
    rows, range_m = [], fitted.highest_m_ - fitted.lowest_m_
    for seen, steps in zip(fitted.history_, np.cumsum(fitted.net_.history[:, "train_batch_count"]), strict=True):
        row = {"epoch": seen["epoch"], "steps": int(steps), "train_loss": float(seen["train_loss"])}
        if "valid_loss" in seen:  # a mean squared error, levels scaled to 0..1
            mse_m2 = seen["valid_loss"] * range_m**2
            row |= {"r2": 1 - mse_m2 / watched_m.var(), "rmse_m": mse_m2**0.5, "mae_m": seen["valid_mae"] * range_m}
            if row["epoch"] > EVERY_EPOCH_UNTIL and row["epoch"] % EVERY and row["epoch"] < fitted.max_epochs:
                continue
        rows.append(row)
    return rows


def _r2(fitted, images: np.ndarray, level_m: np.ndarray) -> float:
    return r2_score(level_m, fitted.predict(images))


def _days(scenes: Scenes, chosen: np.ndarray) -> str:
    """Days since the first scene, joined by blanks."""
    return " ".join(map(str, _days_since_first(scenes)[chosen]))


def _days_since_first(scenes: Scenes) -> np.ndarray:
    return (scenes.dates - scenes.dates.min()).days.to_numpy()


def _inputs(model: str, scenes: Scenes) -> np.ndarray:
    """What a model is fitted to and asked about: images, or the days of those that look at none."""
    return _days_since_first(scenes)[:, None] if model == LAST else scenes.images


def _scores(true: np.ndarray, estimate: np.ndarray) -> dict:
    errors = estimate - true
    return {
        "n_test": len(true),
        "r2": r2_score(true, estimate),
        "rmse_m": root_mean_squared_error(true, estimate),
        "mae_m": mean_absolute_error(true, estimate),
        "days_above_1_m": int((np.abs(errors) > 1).sum()),
        "levels_cm": " ".join(f"{100 * level:.0f}" for level in true),
        "errors_cm": " ".join(f"{100 * error:.0f}" for error in errors),
    }


def itoiz_heights_m(coarser: int) -> np.ndarray:
    """(rows, cols) ground of Itoiz on the grid of its scenes, below the water too; NaN beyond the published terrain."""
    scenes = itoiz(coarser)
    crs, left, top = scenes.place
    height_m, width_m = scenes.pixel_m
    heights_m = np.full(scenes.images.shape[2:], np.nan, np.float32)
    with rasterio.open(datasets.path("itoiz") / "dem.tif") as terrain:
        grid = {"dst_crs": crs, "dst_transform": Affine(width_m, 0, left, 0, -height_m, top), "dst_nodata": np.nan}
        reproject(rasterio.band(terrain, 1), heights_m, resampling=Resampling.average, **grid)
    return heights_m


def unfitted(model: str, scenes: Scenes, seed: int, profile: str, heights_m: np.ndarray | None = None):
    """A regressor of the images of these scenes, or of their days; `heights_m` is the ground for `HYPSOMETRY`.

    Raises
    ------
    LevelError
        If there is no such model.
    """
    if model in NETWORKS:
        return LevelRegressor(NETWORKS[model], random_state=seed, **SETTINGS[profile])
    pixel_area_km2 = scenes.pixel_m[0] * scenes.pixel_m[1] / 1e6
    known = baselines(scenes.bands, pixel_area_km2, seed)
    known[LAST] = LastLevelRegressor()
    calm_db = CALM_DB if "VH" in scenes.bands else None  # not the threshold that goes best with many levels
    known[HYPSOMETRY] = HypsometryRegressor(scenes.bands, pixel_area_km2, calm_db, heights_m=heights_m)
    known[CORRECTED_BY_RIDGE] = CorrectedLevelRegressor(known[UNMASKED], known[RIDGE], seed)
    if model == CORRECTED_BY_NETWORK:
        return CorrectedLevelRegressor(known[UNMASKED], unfitted(NETWORK, scenes, seed, profile), seed)
    if model not in known:
        raise LevelError(f"model {model!r} found, one of {', '.join([*known, *NETWORKS])} expected.")
    return known[model]
