"""Estimates of capacity for one's own reservoirs: a model that can be kept in a file and says how sure it is.

Reservoirs are dealt into folds, whole drainage basins where those are given, and a network or power law is fitted
without each fold; all choices and all scaling happen inside that training part. The estimate is the median of what they
say, and the scores are those of each on its own fold.

Intervals are those of CV+ (`millpond.conformal`), on the logarithm of the capacity. They hold their share if new
reservoirs are exchangeable with those of the training. Reservoirs of another basin hardly are; the book's chapter on
transfer counts what intervals hold there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold
from tqdm import tqdm

from millpond.capacity.baselines import PowerLawRegressor
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

_FORMAT = "millpond capacity model"
_VERSION = 1


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

    def estimate(self, factors: pd.DataFrame, coverage: float = COVERAGE) -> pd.DataFrame:
        """Estimate capacities.

        Parameters
        ----------
        factors : DataFrame
            With the columns `features`, all positive.
        coverage : float
            Share of reservoirs whose interval should hold their capacity, 0.5 or more and below 1.

        Returns
        -------
        DataFrame
            With the index of `factors`: `capacity_1e6_m3`, the median of the folds' models (each counts by its
            held-out reservoirs), which lies inside every interval; `low_1e6_m3`, `high_1e6_m3`; `extrapolates`, names
            of the factors outside the range of the training, joined by spaces.

        Raises
        ------
        CapacityError
            If a factor is missing, no number or not positive, or the training reservoirs are too few for the coverage.
        """
        x = _positive(factors, self.features)
        by_fold = np.array([_log_capacity(parameters, np.log(x)) for parameters in self.parameters])
        known = self.training
        residuals = np.abs(np.log(known[CAPACITY]) - np.log(known["out_of_fold_1e6_m3"])).to_numpy()
        logs = cv_plus(by_fold[known["fold"]].T, residuals, coverage, "reservoirs", CapacityError)
        seen = known[[*self.features]].to_numpy()
        outside = (x < seen.min(axis=0)) | (x > seen.max(axis=0))
        columns = dict(zip((CAPACITY, "low_1e6_m3", "high_1e6_m3"), np.exp(logs), strict=True))
        columns["extrapolates"] = [" ".join(np.array(self.features)[row]) for row in outside]
        return pd.DataFrame(columns, index=factors.index)

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
    within each training part.

    Parameters
    ----------
    reservoirs : DataFrame
        With the columns `features` and `capacity_1e6_m3`, all positive.
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
        If there is no such model, a column is missing, a value is no number or not positive, all capacities are equal,
        or reservoirs or groups are too few for the folds or the neurons.
    """
    features = tuple(features)
    if model not in MODELS:
        raise CapacityError(f"model {model!r} found, one of {', '.join(MODELS)} expected.")
    if not features or len(set(features)) < len(features) or CAPACITY in features:
        raise CapacityError(f"features {', '.join(features) or '(none)'} found, different names of factors expected.")
    values = _positive(reservoirs, (*features, CAPACITY))
    x, y = values[:, :-1], values[:, -1]
    _check_capacities(y)
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


def _positive(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(n, n_columns) values, all of them positive numbers."""
    missing = [name for name in columns if name not in table]
    if missing:
        raise CapacityError(
            f"columns {', '.join(map(str, table.columns))} found, {', '.join(missing)} missing. "
            "Measure them (`millpond capacity factors`), or name other factors."
        )
    if table.empty:
        raise CapacityError("no reservoirs found, one or more expected.")
    for name in columns:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
        for wrong, what in ((~np.isfinite(values), "no number"), (values <= 0, "zero or less")):
            if wrong.any():
                rows = [str(label) for label in table.index[wrong]]
                more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
                raise CapacityError(
                    f"{name}: {what} in row{'s' if len(rows) > 1 else ''} {', '.join(rows[:5])}{more} found, positive "
                    "numbers expected. Correct or leave out those rows, or do without the column."
                )
    return table[[*columns]].apply(pd.to_numeric).to_numpy(float)


def _check_capacities(capacity_1e6_m3: np.ndarray) -> None:
    if capacity_1e6_m3.min() == capacity_1e6_m3.max():
        raise CapacityError(
            f"{CAPACITY}: {capacity_1e6_m3[0]:g} for all {len(capacity_1e6_m3)} reservoirs found, different ones "
            "expected. Check the column."
        )


def _numbered(groups: ArrayLike | None, n: int) -> np.ndarray:
    """(n,) numbers of groups from 0; one a reservoir where there are none."""
    if groups is None:
        return np.arange(n)
    numbers, _ = pd.factorize(np.asarray(groups))
    if numbers.shape != (n,) or (numbers < 0).any():
        raise CapacityError(
            f"groups for {int((numbers >= 0).sum())} of {n} reservoirs found, one for each expected. Fill the gaps."
        )
    return numbers


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
