"""The capacity study's archived runs: agreement with TauDEM, virtual reservoirs, and real dams."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from scipy import stats
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, train_test_split
from sklearn.utils import resample

from millpond import datasets
from millpond.capacity.baselines import PowerLawRegressor
from millpond.capacity.errors import CapacityError
from millpond.capacity.estimation import fit_capacity_model
from millpond.capacity.factors import FACTORS, SMALL_CAPACITY_1E6_M3
from millpond.capacity.inventory import read_ceara, read_nid
from millpond.capacity.samples import (
    N_REFERENCE,
    N_TARGET_KNOWN,
    TERRAINS,
    TwoAreas,
    read_terrain,
    two_areas,
    virtual_reservoirs,
)
from millpond.capacity.scenarios import COMPARED, ON_TRAINING_ERROR, PEEKING, fit_and_estimate, scenarios, scores
from millpond.capacity.terrain import FlowNetwork
from millpond.experiment import run_grids

PROFILES = ("quick", "full")
FEATURES = {
    "surface": ["surface_area_km2"],
    "surface and catchment": ["surface_area_km2", "drainage_area_km2"],
    "surface, catchment and height": ["surface_area_km2", "drainage_area_km2", "height_m"],
}
"""What the power law on real dams is given."""

REFERENCE, TARGETS = "VA", ("KY", "TN", "NH")
"""States of the transfer: from hilly Virginia to two hilly neighbours, and to New Hampshire farther away."""

CEARA = "Ceará"

TRANSFERS = (
    ("jacksboro, east", "jacksboro, west"),
    *((reference, target) for reference in TERRAINS for target in TERRAINS),
)
"""Reference and target. From a terrain to itself: estimated by folds of whole sub-basins."""

TRAINED_ON = ("both areas", "reference area", "another terrain")
"""Whose reservoirs give the intervals for those of the target area."""

WITH_INTERVALS = {
    "PSO-ELM": {"model": "PSO-ELM"},
    "power law": {"model": "power law"},
    "power law on Aws": {"model": "power law", "features": ["Aws_km2"]},
}
"""Arguments of `millpond.capacity.estimation.fit_capacity_model`."""

SPLITS = ("random", "by sub-basin")
"""As in the study, and so that no sub-basin lies on both sides."""

N_MEASURED = N_REFERENCE + N_TARGET_KNOWN
"""Reservoirs of known capacity in the study: 12 in its target basin and 89 in its reference basin."""

_CORRELATIONS = {"kendall": stats.kendalltau, "spearman": stats.spearmanr, "pearson": stats.pearsonr}


def run(profile: str, store: Path, **options) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick" or "full"
        `quick` takes the bundled terrain and three sets of dams, `full` every terrain of the data root, twenty sets,
        all models and splits, the comparison with TauDEM, and the real dams of the United States and of Ceará.
    store : path
        Folder for the archives: `correlation`, and at `full` those of `_full_grids`.
    **options
        As of `millpond.experiment.run_grids`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise CapacityError(f"profile {profile!r} found, one of {', '.join(PROFILES)} expected.")
    full = profile == "full"
    grids = {
        "correlation": (
            correlate,
            [{"terrain": name, "n": N_MEASURED} for name in (TERRAINS if full else ["jacksboro"])],
            20 if full else 3,
            "Correlation of capacity and terrain factors of virtual reservoirs",
        )
    }
    if full:
        grids |= _full_grids()
    return run_grids(grids, store, **options)


def _full_grids() -> dict[str, tuple]:
    """By archive: function, cases, number of seeds, and what it is, in words; short ones first."""
    on_real_dams = [
        {"features": features, "state": state} for features in FEATURES for state in ("all", REFERENCE, *TARGETS)
    ]
    to_states = [{"features": features, "target": target} for features in FEATURES for target in TARGETS]
    return {
        "taudem": (compare_with_taudem, [{}], 1, "Flow network against TauDEM's"),
        "nid_cleaning": (clean_nid, [{}], 1, "Rules by which the National Inventory of Dams was cleaned"),
        "ceara_cleaning": (clean_ceara, [{}], 1, "Rules by which the curves of Ceará were cleaned"),
        "real_splits": (
            fit_split,
            [*on_real_dams, {"features": "surface", "state": CEARA}],
            50,
            "Power law on real dams, random 80/20 splits",
        ),
        "real_transfer": (
            fit_transfer,
            [*to_states, {"features": "surface", "target": CEARA}],
            200,
            "Power law from Virginia's dams to those of other places, both resampled",
        ),
        "power_laws": (
            fit_law,
            [{"place": p, "size": s} for p in ("all", REFERENCE, *TARGETS, CEARA) for s in ("small", "any")],
            200,
            "Constants of the power law on the surface, dams drawn anew with replacement",
        ),
        "transfer": (
            score_transfer,
            [{"reference": r, "target": t, "model": m} for r, t in TRANSFERS for m in COMPARED],
            10,
            "Models of one area or terrain applied to another, virtual reservoirs",
        ),
        "intervals": (
            score_intervals,
            [{"trained_on": part, "model": model} for part in TRAINED_ON for model in WITH_INTERVALS],
            10,
            "Intervals of 90 % for reservoirs that no model saw, virtual reservoirs",
        ),
        "leak": (
            score_scenario,
            [{"scenario": 5, "model": model, "split": split} for model in COMPARED for split in SPLITS],
            100,
            "Random splits against splits that keep sub-basins together, virtual reservoirs",
        ),
        "peeking": (
            score_scenario,
            [{"scenario": n, "model": m} for n in scenarios() for m in (*PEEKING, ON_TRAINING_ERROR)],
            50,
            "Eight scenarios and models that look at the calibration part, or at the training error alone",
        ),
        "scenarios": (
            score_scenario,
            [{"scenario": n, "model": m} for n in scenarios() for m in COMPARED],
            200,
            "Eight scenarios and six models on virtual reservoirs, random 80/20 splits",
        ),
    }


@cache
def network(terrain: str) -> tuple[np.ndarray, FlowNetwork]:
    """Elevation and flow network of a terrain of `millpond.capacity.samples`; kept, since many runs share it."""
    elevation, transform, crs = read_terrain(terrain)
    return elevation, FlowNetwork.from_dem(elevation, transform=transform, crs=crs)


def correlate(terrain: str, n: int, seed: int) -> list[dict]:
    """Correlations of `n` virtual reservoirs, a row a method and pair: the study's Table 1.

    Parameters
    ----------
    terrain : str
    n : int
    seed : int
        Of the dams.
    """
    reservoirs, _ = virtual_reservoirs(*network(terrain), n, random_state=seed)
    return correlations(reservoirs)


def correlations(reservoirs: pd.DataFrame) -> list[dict]:
    """`method`, `factor`, `r` and `p_value` of each factor with the capacity (two-sided)."""
    rows = []
    for method, test in _CORRELATIONS.items():
        for factor in FACTORS:
            known = reservoirs[[factor, "capacity_1e6_m3"]].dropna()
            result = test(known[factor], known["capacity_1e6_m3"])
            rows.append({"method": method, "factor": factor, "r": result.statistic, "p_value": result.pvalue})
    return rows


@cache
def dams(small_only: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Real dams and the rules of their cleaning (`millpond.capacity.inventory.read_nid`)."""
    return read_nid(datasets.path("nid"), small_only=small_only)


@cache
def dams_of_ceara(small_only: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Surveyed reservoirs of Ceará, and the rules of their cleaning (`millpond.capacity.inventory.read_ceara`).

    Their surface is that on the curve at the capacity, so they are full; catchments and most heights are unknown.
    """
    _, reservoirs, cleaning = read_ceara(datasets.path("ceara"))
    small = reservoirs["capacity_1e6_m3"].between(*SMALL_CAPACITY_1E6_M3)
    return reservoirs[small | (not small_only)], cleaning


def clean_nid(seed: int = 0) -> list[dict]:
    """`rule`, `rows_removed`, `rows_left` (nothing here is random)."""
    return dams()[1].to_dict("records")


def clean_ceara(seed: int = 0) -> list[dict]:
    """`rule`, `table`, `rows_removed`, `rows_changed`, `rows_left`, `reservoirs_left` (nothing here is random)."""
    return dams_of_ceara()[1].to_dict("records")


def real_dams(place: str, *, small_only: bool = True) -> pd.DataFrame:
    """Real dams of a state, of "all" states, or of `CEARA`."""
    if place == CEARA:
        return dams_of_ceara(small_only)[0]
    known, _ = dams(small_only)
    return known if place == "all" else known[known["state"] == place]


def fit_split(features: str, state: str, seed: int) -> dict:
    """Fit the power law on 80 % of the dams of a place (as in `real_dams`) and score it on the others."""
    train, test = train_test_split(real_dams(state), test_size=0.2, random_state=seed)
    return score_power_law(train, test, FEATURES[features])


def fit_transfer(features: str, target: str, seed: int) -> dict:
    """Fit the power law on Virginia's dams and score it on those of a place, both drawn anew with replacement."""
    reference, other = (resample(real_dams(place), random_state=seed) for place in (REFERENCE, target))
    return score_power_law(reference, other, FEATURES[features])


def fit_law(place: str, size: str, seed: int) -> dict:
    """Constants of the power law on the surface for the "small" or "any" dams of a place, drawn anew.

    Returns
    -------
    dict
        `n`; `scale`, million cubic metres at a surface of 1 km2; `exponent`.
    """
    known = resample(real_dams(place, small_only=size == "small"), random_state=seed)
    law = PowerLawRegressor().fit(known[["surface_area_km2"]], known["capacity_1e6_m3"])
    return {"n": len(known), "scale": law.scale_, "exponent": float(law.exponents_[0])}


def score_power_law(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> dict:
    """Scores of the power law on `test`.

    Returns
    -------
    dict
        `n_train`, `n_test`, and `millpond.capacity.scenarios.scores`.
    """
    model = PowerLawRegressor().fit(train[features], train["capacity_1e6_m3"])
    found = scores(test["capacity_1e6_m3"].to_numpy(), model.predict(test[features]))
    return {"n_train": len(train), "n_test": len(test)} | found


@cache
def reservoir_set(number: int) -> pd.DataFrame:
    """`N_MEASURED` virtual reservoirs on the bundled hills; each number is another set."""
    return _terrain_set("jacksboro", number)


@cache
def areas(seed: int) -> TwoAreas:
    """The study's two areas on the bundled hills (`millpond.capacity.samples.two_areas`)."""
    return two_areas(*network("jacksboro"), random_state=seed)


def score_transfer(reference: str, target: str, model: str, seed: int) -> list[dict]:
    """Fit a model on the reservoirs of one place, with the study's best factors, and score it on those of another.

    Parameters
    ----------
    reference, target : str
        As in `TRANSFERS`.
    model : str
        One of `millpond.capacity.scenarios.COMPARED`.
    seed : int
        Of dams and model.

    Returns
    -------
    list of dict
        `n_train` (reservoirs of the reference; four fifths of them at a time where it is the target), `n_test` and
        `millpond.capacity.scenarios.scores`, a row for each `scored_on`: "all" reservoirs of the target and, in the
        study's setting, as few as it had ("known").
    """
    features = scenarios()[5]
    if reference == "jacksboro, east":
        train, test, _ = areas(seed)
        parts = {"known": test["known"].to_numpy(), "all": np.ones(len(test), bool)}
    else:
        train, test = (_terrain_set(name, seed) for name in (reference, target))
        parts = {"all": np.ones(len(test), bool)}
    if reference == target:
        estimated = np.empty(len(test))
        for inside, outside in GroupKFold(5, shuffle=True, random_state=seed).split(test, groups=test["basin"]):
            estimated[outside] = fit_and_estimate(model, test.iloc[inside], test.iloc[outside], features, seed)
    else:
        estimated = fit_and_estimate(model, train, test, features, seed)
    true = test["capacity_1e6_m3"].to_numpy()
    return [
        {"scored_on": name, "n_train": len(train), "n_test": int(part.sum())} | scores(true[part], estimated[part])
        for name, part in parts.items()
    ]


def score_intervals(trained_on: str, model: str, seed: int) -> dict:
    """Estimate the unmeasured reservoirs of the target area with intervals, and look at the truth.

    Parameters
    ----------
    trained_on : str
        One of `TRAINED_ON`: the measured reservoirs of both areas, those of the reference area, or as many of Big
        Tujunga.
    model : str
        One of `WITH_INTERVALS`.
    seed : int

    Returns
    -------
    dict
        `n_train`, `n_test`, `millpond.capacity.scenarios.scores`; `coverage`, the share of truths inside their
        interval, and `coverage_inside`, that among reservoirs that don't extrapolate; `extrapolating`, the share that
        does; `width_ratio`, median of upper over lower bound; `smallest_1e6_m3`, `largest_1e6_m3` of the estimates.
    """
    reference, target, _ = areas(seed)
    known, unmeasured = target[target["known"]], target[~target["known"]]
    train = {
        "both areas": lambda: pd.concat([reference, known]),
        "reference area": lambda: reference,
        "another terrain": lambda: _terrain_set("bigtujunga", seed),
    }[trained_on]()
    fitted = fit_capacity_model(train, groups=train["basin"], n_folds=5, random_state=seed, **WITH_INTERVALS[model])
    estimates = fitted.estimate(unmeasured)
    true = unmeasured["capacity_1e6_m3"]
    inside = true.between(estimates["low_1e6_m3"], estimates["high_1e6_m3"])
    within_range = estimates["extrapolates"] == ""
    return {
        "n_train": len(train),
        "n_test": len(unmeasured),
        "coverage": float(inside.mean()),
        "coverage_inside": float(inside[within_range].mean()),
        "extrapolating": float(1 - within_range.mean()),
        "width_ratio": float((estimates["high_1e6_m3"] / estimates["low_1e6_m3"]).median()),
        "smallest_1e6_m3": float(estimates["capacity_1e6_m3"].min()),
        "largest_1e6_m3": float(estimates["capacity_1e6_m3"].max()),
    } | scores(true.to_numpy(), estimates["capacity_1e6_m3"].to_numpy())


@cache
def _terrain_set(terrain: str, seed: int) -> pd.DataFrame:
    return virtual_reservoirs(*network(terrain), N_MEASURED, random_state=seed)[0]


def score_scenario(scenario: int, model: str, seed: int, split: str = "random") -> dict:
    """Fit a model on 80 % of a set of virtual reservoirs and score it on the calibration part.

    Parameters
    ----------
    scenario : int
        Number in the study's Table 2.
    model : str
        One of `millpond.capacity.scenarios.MODELS`.
    seed : int
        Of split and model; the set of reservoirs changes with every tenth seed.
    split : str
        One of `SPLITS`.
    """
    reservoirs = reservoir_set(seed // 10)
    if split == "random":
        train, test = train_test_split(reservoirs, test_size=0.2, random_state=seed)
    else:
        by_basin = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
        train, test = (reservoirs.iloc[i] for i in next(by_basin.split(reservoirs, groups=reservoirs["basin"])))
    estimated = fit_and_estimate(model, train, test, scenarios()[scenario], random_state=seed)
    return {"n_train": len(train), "n_test": len(test)} | scores(test["capacity_1e6_m3"].to_numpy(), estimated)


def compare_with_taudem(seed: int = 0) -> dict:
    """How far our flow network agrees with TauDEM's on its own test data (nothing here is random).

    Returns
    -------
    dict
        From TauDEM's directions: `cells_equal`, share of the cells that it reports, and `path_max_difference_m`. From
        the DEM: `filled_max_difference_m`; `directions_equal` outside flats, `directions_equal_in_flats` and
        `flat_share`; `outlets` and `outlets_within`: tributaries of at least 500 cells just above their junctions, and
        the share of them that have a catchment of the same size to within 2 % at the same cell.
    """
    results = {}
    folder = datasets.path("taudem")
    for name in ("", "p", "ad8", "plen", "fel", "sd8"):
        with rasterio.open(folder / f"enogeo{name}.tif") as dataset:
            results[name] = dataset.read(1, masked=True)
            grid = {"transform": dataset.transform, "crs": dataset.crs}
    theirs = FlowNetwork.from_d8(results["p"].filled(0), encoding="taudem", **grid)
    ours = FlowNetwork.from_dem(results[""].filled(np.nan), **grid)
    reported, paths = ~results["ad8"].mask, ~results["plen"].mask
    known = ~results["p"].mask
    sloping = known & (results["sd8"].filled(-1) > 0)

    cells = np.where(reported, results["ad8"].filled(0), 0)
    streams = np.flatnonzero(cells >= 500)
    below = theirs.flow.idxs_ds[streams]
    joins = cells.ravel()[below] > 1.3 * cells.ravel()[streams]
    same = ours.upstream_cells.ravel()[streams[joins]]
    same_direction = ours.d8("taudem") == results["p"].data
    return {
        "cells_equal": float((theirs.upstream_cells == cells)[reported].mean()),
        "path_max_difference_m": float(np.abs(theirs.longest_path_km * 1000 - results["plen"].data)[paths].max()),
        "filled_max_difference_m": float(np.abs(ours.filled_m - results["fel"].data)[known].max()),
        "directions_equal": float(same_direction[sloping].mean()),
        "directions_equal_in_flats": float(same_direction[known & ~sloping].mean()),
        "flat_share": float((known & ~sloping).sum() / known.sum()),
        "outlets": int(joins.sum()),
        "outlets_within": float((np.abs(same / cells.ravel()[streams[joins]] - 1) <= 0.02).mean()),
    }
