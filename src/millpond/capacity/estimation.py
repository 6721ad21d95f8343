"""Estimates of capacity for one's own reservoirs: a model that can be kept in a file and says how sure it is.

Reservoirs are dealt into folds, whole drainage basins where those are given, and a network or power law is fitted
without each fold; all choices and all scaling happen inside that training part. The estimate is the median of what they
say, and the scores are those of each on its own fold.

A median is not a mean: medians add up to less than the reservoirs hold together. Means, and so totals, come from Duan's
smearing estimate (1983, doi:10.1080/01621459.1983.10478017): a median times the mean ratio of known to out-of-fold
capacity.

Intervals are those of CV+ (`millpond.conformal`), on the logarithm of the capacity. They hold their share if new
reservoirs are exchangeable with those of the training. Reservoirs of another basin hardly are; the book's chapter on
transfer counts what intervals hold there.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold
from tqdm import tqdm

from millpond.capacity.baselines import SMALLEST_RANGE, PowerLawRegressor
from millpond.capacity.elm import hidden_layer
from millpond.capacity.errors import CapacityError
from millpond.capacity.scenarios import HIDDEN, scenarios, scores, unfitted
from millpond.conformal import cv_plus
from millpond.files import write_text

MODELS = ("PSO-ELM", "ELM", "power law")
"""The last is what a hydrologist does first."""

FEATURES = tuple(scenarios()[5])
"""The factors of the study's best scenario."""

COVERAGE = 0.9
"""Share of reservoirs that an interval should hold, where none is stated."""

CAPACITY = "capacity_1e6_m3"

CATCHMENT_FACTORS = ("Asc_km2", "Lsc_km", "Ssc_deg", "Rsc_m")
"""What is measured on a part only where the catchment reaches beyond the DEM (`edge_contaminated`)."""

POSSIBLE_DEPTH_M = (0.05, 200.0)
"""Capacity over water surface that a reservoir can have. The deepest in the cleaned US inventory (`inventory.read_nid`)
has 40 m, the deepest large ones of the world about 100 m; and an image may show a surface at low water."""

_CHUNK = 2_000_000  # numbers in memory at a time while intervals are found
_N_TOTALS = 2_000
_EDGE = "edge-contaminated: the catchment may reach beyond the DEM"
_FORMAT = "millpond capacity model"
_VERSION = 1


class Total(NamedTuple):
    """What several reservoirs hold together, in million m3: the expected sum, and an interval."""

    mean_1e6_m3: float
    low_1e6_m3: float
    high_1e6_m3: float


@dataclass(frozen=True, eq=False)
class CapacityModel:
    """A fitted model; made by `fit_capacity_model` or `CapacityModel.load`.

    Attributes
    ----------
    model : str
        One of `MODELS`.
    features : tuple of str
        The factors that it needs.
    training : DataFrame
        One row a training reservoir: `features`, `capacity_1e6_m3`, `fold`, and `out_of_fold_1e6_m3`, what the model
        without its fold says of it.
    parameters : tuple of dict
        Of the model fitted without fold 0, 1, ...: the numbers that it consists of.
    """

    model: str
    features: tuple[str, ...]
    training: pd.DataFrame
    parameters: tuple[dict, ...]

    @property
    def scores(self) -> dict[str, float]:
        """What `millpond.capacity.scenarios.scores` says of the out-of-fold estimates."""
        return scores(self.training[CAPACITY].to_numpy(), self.training["out_of_fold_1e6_m3"].to_numpy())

    @property
    def smearing_factor(self) -> float:
        """Mean over median: the mean ratio of known to out-of-fold capacity."""
        return float(self._ratios.mean())

    @property
    def law(self) -> pd.DataFrame | None:
        """Of a power law a row for each fold: its factor `a`, and the exponent of each feature; None for networks."""
        if self.model != "power law":
            return None
        rows = [(np.exp(own["intercept"]), *own["exponents"]) for own in self.parameters]
        return pd.DataFrame(rows, columns=["a", *self.features])

    @property
    def _ratios(self) -> np.ndarray:
        return (self.training[CAPACITY] / self.training["out_of_fold_1e6_m3"]).to_numpy()

    def estimate(self, factors: pd.DataFrame, coverage: float = COVERAGE) -> pd.DataFrame:
        """Estimate capacities.

        Parameters
        ----------
        factors : DataFrame
            With the columns `features`, and `edge_contaminated` if it is known.
        coverage : float
            Share of reservoirs whose interval should hold their capacity, 0.5 or more and below 1.

        Returns
        -------
        DataFrame
            With the index of `factors`: `capacity_1e6_m3`, the median of the folds' models (each counts by its
            held-out reservoirs), which lies inside every interval; `mean_1e6_m3`, which is what adds up to a total;
            `low_1e6_m3`, `high_1e6_m3`; `extrapolates`, names of the factors outside the range of the training, joined
            by spaces; `reason`, why there is no estimate (then the numbers are NaN), or why to doubt it: the catchment
            of an edge-contaminated reservoir may reach beyond the DEM.

        Raises
        ------
        CapacityError
            If a factor is missing, no row has positive numbers for all, or the training reservoirs are too few for the
            coverage.
        """
        reason, usable = self._usable(factors)
        x = _numbers(factors[usable], self.features)
        known = self.training
        residuals = np.abs(np.log(self._ratios))
        by_fold = self._by_fold(x)
        # A few new reservoirs at a time: each needs as many numbers as there are training reservoirs.
        parts = np.array_split(by_fold, int(np.ceil(len(x) * len(known) / _CHUNK)), axis=1)
        bounds = [cv_plus(part[known["fold"]].T, residuals, coverage, "reservoirs", CapacityError) for part in parts]
        median, low, high = np.exp(np.concatenate(bounds, axis=1))
        seen = known[[*self.features]].to_numpy()
        outside = (x < seen.min(axis=0)) | (x > seen.max(axis=0))
        found = pd.DataFrame(
            {
                CAPACITY: median,
                "mean_1e6_m3": median * self.smearing_factor,
                "low_1e6_m3": low,
                "high_1e6_m3": high,
                "extrapolates": [" ".join(np.array(self.features)[row]) for row in outside],
            },
            index=np.flatnonzero(usable),
        )
        found = found.reindex(range(len(factors))).fillna({"extrapolates": ""}).set_axis(factors.index)
        return found.assign(reason=reason)

    def total(self, factors: pd.DataFrame, coverage: float = COVERAGE) -> Total:
        """Estimate what reservoirs hold together, as far as they have an estimate.

        The interval adds two errors. That of each reservoir is a ratio of known to out-of-fold capacity, drawn anew
        for each; that of the model is common to all, and is the spread of the total when a fold is left out (the
        jackknife). It takes the new reservoirs to be exchangeable with those of the training, and independent of each
        other.

        Parameters
        ----------
        factors : DataFrame
            As of `estimate`.
        coverage : float
            How often the interval should hold the sum.

        Returns
        -------
        Total
        """
        median = self.estimate(factors, 0.5)[CAPACITY].dropna().to_numpy()
        by_fold = np.exp(self._by_fold(_numbers(factors[self._usable(factors)[1]], self.features)))
        ratios, fold = self._ratios, self.training["fold"].to_numpy()
        left_out = np.log([own.sum() * ratios[fold != k].mean() for k, own in enumerate(by_fold)])
        common = np.sqrt((len(left_out) - 1) * left_out.var())
        rng = np.random.default_rng(0)
        sums = np.array([median @ rng.choice(ratios, len(median)) for _ in range(_N_TOTALS)])
        ends = np.quantile(
            sums * np.exp(common * rng.standard_normal(_N_TOTALS)), [(1 - coverage) / 2, (1 + coverage) / 2]
        )
        return Total(float(median.sum() * self.smearing_factor), *map(float, ends))

    def _by_fold(self, x: np.ndarray) -> np.ndarray:
        """(n_folds, n) logarithms of capacity."""
        return np.array([_log_capacity(parameters, np.log(x)) for parameters in self.parameters])

    def _usable(self, factors: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
        """Why each row has no estimate or a doubtful one, and (n,) whether it has one."""
        reason = unusable(factors, self.features)
        usable = (reason == "").to_numpy()
        return reason.mask(reason.eq("") & edge_contaminated(factors, self.features), _EDGE), usable

    def save(self, path: str | Path) -> None:
        """Write a JSON file; reading it back gives the same estimates to the last bit."""
        content = {
            "model": self.model,
            "features": self.features,
            "index": {"name": self.training.index.name, "labels": self.training.index.tolist()},
            "training": {name: column.tolist() for name, column in self.training.items()},
            "parameters": self.parameters,
        }
        text = json.dumps(content, default=_plain)
        head = json.dumps({"format": _FORMAT, "version": _VERSION, "sha256": _digest(text)})
        write_text(path, f'{head[:-1]},\n"content": {text}}}\n', CapacityError)

    @classmethod
    def load(cls, path: str | Path) -> "CapacityModel":
        """Read what `save` wrote.

        Raises
        ------
        CapacityError
            If the file is missing, isn't such a file, or isn't as `save` wrote it.
        """
        try:
            file = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise CapacityError(f"{path}: {error.strerror or error}, a saved capacity model expected.") from error
        except ValueError as error:
            raise CapacityError(
                f"{path}: no complete JSON found ({error}), a saved capacity model expected. Fit and save it again."
            ) from error
        if not isinstance(file, Mapping) or file.get("format") != _FORMAT or file.get("version") != _VERSION:
            raise CapacityError(
                f"{path}: JSON of another format or version found, {_FORMAT!r} of version {_VERSION} expected. "
                "Save it with CapacityModel.save."
            )
        content = file.get("content")
        if not isinstance(content, Mapping) or _digest(json.dumps(content)) != file.get("sha256"):
            raise CapacityError(
                f"{path}: a changed capacity model found, one as saved expected. Fit and save it again."
            )
        index = pd.Index(content["index"]["labels"], name=content["index"]["name"])
        arrays = (
            {name: np.array(value) if isinstance(value, list) else value for name, value in parameters.items()}
            for parameters in content["parameters"]
        )
        training = pd.DataFrame(content["training"], index=index)
        return cls(content["model"], tuple(content["features"]), training, tuple(arrays))


def fit_capacity_model(
    reservoirs: pd.DataFrame,
    *,
    features: Sequence[str] = FEATURES,
    model: str = "PSO-ELM",
    groups: ArrayLike | None = None,
    n_folds: int = 10,
    random_state: int | None = 0,
    progress: bool = False,
    **settings,
) -> CapacityModel:
    """Fit a model to reservoirs of known capacity.

    A network sees standardized logarithms of the factors, and its number of neurons is chosen by cross-validation
    within each training part. Rows without positive numbers for all are left out, and those that are
    `edge_contaminated` if a factor describes the catchment; a warning names them.

    Parameters
    ----------
    reservoirs : DataFrame
        With the columns `features` and `capacity_1e6_m3`, and `edge_contaminated` if it is known.
    features : sequence of str
    model : str
        One of `MODELS`; "power law" with `features=("Aws_km2",)` is the common one.
    groups : (n,) array, optional
        What each reservoir belongs to, such as its drainage basin. A group is never on both sides of a split. Without
        it every reservoir stands for itself, and neighbours that share a catchment make the scores look better.
    n_folds : int
        3 or more.
    random_state : int, optional
        Of the folds (if there are no groups) and of the networks.
    progress : bool
        Show a progress bar if stderr is a terminal.
    **settings
        Of the regressor, such as `n_particles` of `PSOELMRegressor`.

    Returns
    -------
    CapacityModel

    Raises
    ------
    CapacityError
        If there is no such model, a column is missing, no row can be used, all capacities or values of a factor are
        equal, or reservoirs or groups are too few for the folds or the neurons.
    """
    features = tuple(features)
    if model not in MODELS:
        raise CapacityError(f"model {model!r} found, one of {', '.join(MODELS)} expected.")
    if not features or len(set(features)) < len(features) or CAPACITY in features:
        raise CapacityError(f"features {', '.join(features) or '(none)'} found, different names of factors expected.")
    if groups is not None and len(groups) != len(reservoirs):
        raise CapacityError(
            f"groups for {len(groups)} of {len(reservoirs)} reservoirs found, one for each expected. Fill the gaps."
        )
    reason = unusable(reservoirs, (*features, CAPACITY))
    reason = reason.mask(reason.eq("") & edge_contaminated(reservoirs, features), _EDGE)
    usable = (reason == "").to_numpy()
    if not usable.any():
        raise CapacityError("reservoirs that are all edge-contaminated found, others expected. Take a larger DEM.")
    if not usable.all():
        left_out = reason[~usable]
        rows = "; ".join(f"{_listed(part.index)} ({why})" for why, part in left_out.groupby(left_out, sort=False))
        warnings.warn(f"{len(left_out)} of {len(reason)} reservoirs left out: {rows}.", UserWarning, stacklevel=2)
    reservoirs, groups = reservoirs[usable], None if groups is None else np.asarray(groups)[usable]
    values = _numbers(reservoirs, (*features, CAPACITY))
    x, y = values[:, :-1], values[:, -1]
    for name, column in zip((CAPACITY, *features), (y, *x.T), strict=True):
        _check_varied(column, name)
    _warn_of_depths(reservoirs)
    group = _numbered(groups, len(y))
    if n_folds < 3 or group.max() + 1 < n_folds:
        raise CapacityError(
            f"{group.max() + 1} {'reservoirs' if groups is None else 'groups'} for {n_folds} folds found, 3 folds or "
            "more expected and one or more for each. Take fewer folds, or add reservoirs."
        )

    # Groups of unlike size are dealt so that folds are of like size, which shuffling would undo.
    shuffled = {"shuffle": True, "random_state": random_state} if groups is None else {}
    fold = np.empty(len(y), int)
    for k, (_, held_out) in enumerate(GroupKFold(n_folds, **shuffled).split(x, groups=group)):
        fold[held_out] = k
    parts = [np.flatnonzero(fold != k) for k in range(n_folds)]
    searches = [_prepared(model, x[rows], group[rows], random_state, settings) for rows in parts]
    parameters = tuple(
        _parameters(search.fit(x[rows], y[rows]))
        for search, rows in zip(tqdm(searches, unit="fold", disable=None if progress else True), parts, strict=True)
    )
    by_fold = np.array([_log_capacity(own, np.log(x)) for own in parameters])
    training = pd.DataFrame(values, columns=[*features, CAPACITY], index=reservoirs.index)
    training = training.assign(fold=fold, out_of_fold_1e6_m3=np.exp(by_fold[fold, np.arange(len(y))]))
    return CapacityModel(model, features, training, parameters)


def _prepared(model: str, x: np.ndarray, group: np.ndarray, random_state, settings: Mapping) -> BaseEstimator:
    """An unfitted model for a training part; the numbers of neurons to choose from leave more samples than neurons."""
    if model == "power law":
        _check_size(len(x), x.shape[1], "factors")
        return PowerLawRegressor(**settings)
    search = unfitted(model, random_state)
    enough_groups = len(set(group)) >= search.cv.get_n_splits()
    inner = list(search.cv.split(x, groups=group)) if enough_groups else []
    smallest = min((len(train) for train, _ in inner), default=0)
    if not enough_groups:
        raise CapacityError(
            f"{len(set(group))} groups in a training part found, {search.cv.get_n_splits()} expected, to choose the "
            "number of neurons. Add reservoirs of more groups, take more folds, or the power law."
        )
    _check_size(smallest, min(HIDDEN), "neurons")
    ((n_hidden, choices),) = search.param_grid.items()
    search.set_params(cv=inner, param_grid={n_hidden: [n for n in choices if n < smallest]})
    prefix = n_hidden.removesuffix("n_hidden")
    search.estimator.set_params(**{prefix + name: value for name, value in settings.items()})
    return search


def _check_size(n: int, n_parameters: int, what: str) -> None:
    if n <= n_parameters:
        raise CapacityError(
            f"{n} reservoirs in the smallest training part found, more than the {n_parameters} {what} expected. Add "
            "reservoirs (of more groups), take more folds, or the power law with fewer factors."
        )


def _parameters(fitted: BaseEstimator) -> dict:
    """The numbers that a fitted model consists of."""
    if isinstance(fitted, PowerLawRegressor):
        return {"intercept": np.log(fitted.scale_ * fitted.smearing_factor_), "exponents": fitted.exponents_}
    _, scaler, network = fitted.best_estimator_.regressor_.named_steps.values()
    arrays = {"mean": scaler.mean_, "std": scaler.scale_, "weights": network.weights_, "biases": network.biases_}
    # Copied, since the layout of an array in memory can change the last bit of a product.
    arrays = {name: np.array(value, order="C") for name, value in (arrays | {"coef": network.coef_}).items()}
    return {"activation": network.activation} | arrays


def _log_capacity(parameters: Mapping, log_factors: np.ndarray) -> np.ndarray:
    """(n,) logarithms of capacity by one model."""
    if "exponents" in parameters:
        return parameters["intercept"] + log_factors @ parameters["exponents"]
    standardized = (log_factors - parameters["mean"]) / parameters["std"]
    layer = hidden_layer(standardized, parameters["weights"], parameters["biases"], parameters["activation"])
    return parameters["coef"] @ layer


def unusable(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Why each row is of no use to a model of these columns; "" where all are positive numbers.

    Raises
    ------
    CapacityError
        If a column is missing, or no row can be used.
    """
    missing = [name for name in columns if name not in table]
    if missing:
        raise CapacityError(
            f"columns {', '.join(map(str, table.columns))} found, {', '.join(missing)} missing. "
            "Measure them (`millpond capacity factors`), or name other factors."
        )
    if table.empty:
        raise CapacityError("no reservoirs found, one or more expected.")
    reason = pd.Series("", index=table.index)
    for name, values in zip(columns, _numbers(table, columns).T, strict=True):
        for wrong, what in ((~np.isfinite(values), "no number"), (values <= 0, "zero or less")):
            reason = reason.mask(wrong & (reason == ""), f"{name}: {what}")
    if (reason != "").all():
        raise CapacityError(
            f"{reason.iloc[0]} in row {table.index[0]} found, and none of {len(table)} rows with positive numbers for "
            f"{', '.join(columns)}. Correct them, or do without the column."
        )
    return reason


def edge_contaminated(table: pd.DataFrame, features: Sequence[str]) -> np.ndarray:
    """(n,) whether one of the factors may have been measured on a part of the catchment only."""
    if "edge_contaminated" not in table or not {*features} & {*CATCHMENT_FACTORS}:
        return np.zeros(len(table), bool)
    return table["edge_contaminated"].astype(str).str.lower().isin(["true", "1", "1.0"]).to_numpy()


def _numbers(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(n, n_columns) values, NaN for words."""
    return table[[*columns]].apply(pd.to_numeric, errors="coerce").to_numpy(float)


def _listed(names: Iterable) -> str:
    """Five names at most, and how many more there are."""
    names = [str(name) for name in names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _warn_of_depths(reservoirs: pd.DataFrame) -> None:
    """Name the reservoirs whose capacity and area can't both be right, mostly since a unit differs by 1,000."""
    if "Aws_km2" not in reservoirs:
        return
    capacity, area = _numbers(reservoirs, (CAPACITY, "Aws_km2")).T
    depth_m = pd.Series(capacity, reservoirs.index)[area > 0] / area[area > 0]  # million m3 by km2
    low, high = POSSIBLE_DEPTH_M
    odd = depth_m[~depth_m.between(low, high)]
    if len(odd):
        rows = _listed(f"{label} ({depth:.4g} m)" for label, depth in odd.items())
        warnings.warn(
            f"mean depths (capacity by Aws_km2) outside {low:g} to {high:g} m found in {len(odd)} of {len(depth_m)} "
            f"reservoirs: {rows}. Check the units of both.",
            UserWarning,
            stacklevel=3,
        )


def _check_varied(values: np.ndarray, name: str) -> None:
    """Refuse what says nothing: a law or a network would make its rounding errors a trend."""
    if np.log(values.max() / values.min()) < SMALLEST_RANGE:
        raise CapacityError(
            f"{name}: {values[0]:g} for all {len(values)} reservoirs found, different ones expected. Check the column, "
            "or do without it."
        )


def _numbered(groups: ArrayLike | None, n: int) -> np.ndarray:
    """(n,) numbers of groups from 0; one a reservoir where there are none."""
    if groups is None:
        return np.arange(n)
    numbers, _ = pd.factorize(np.asarray(groups))
    if (numbers < 0).any():
        raise CapacityError(
            f"groups for {int((numbers >= 0).sum())} of {n} reservoirs found, one for each expected. Fill the gaps."
        )
    return numbers


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
