"""The study's experiment: eight combinations of factors, three kinds of network, and what a hydrologist would do first.

Every model sees logarithms of factors and capacity, since both spread over orders of magnitude. The number of hidden
neurons is chosen inside the training part, by folds that keep a sub-basin together. Two models look at the calibration
part, to measure what that hides.
"""

import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from millpond import published
from millpond.capacity.baselines import PowerLawRegressor
from millpond.capacity.elm import ELMRegressor, PSOELMRegressor, hidden_layer, output_weights
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS
from millpond.capacity.swarm import ParticleSwarm

HIDDEN = (3, 5, 10, 20)
"""Numbers of hidden neurons to choose from."""

COMPARED = ("ANN", "ELM", "PSO-ELM", "random forest", "power law", "power law on Aws")
"""The study's three, and three that need no network."""

ON_TRAINING_ERROR = "PSO-ELM on training error"
"""The same swarm led by the training error instead of the leave-one-out error."""

PEEKING = ("ELM chosen on the calibration part", "PSO-ELM led by the calibration part")
"""Two mistakes, made to be measured: the error they report is not that on new reservoirs."""

MODELS = (*COMPARED, ON_TRAINING_ERROR, *PEEKING)

N_DRAWS = 100
"""Random machines of which the best on the calibration part is kept."""

N_HIDDEN_PEEKING = 10

OUTLIER_FACTOR = 2
"""An estimate that is off by more than this factor counts as an outlier (the study doesn't say what it counts)."""


def scenarios() -> dict[int, list[str]]:
    """The study's Table 2: number of the scenario -> names in `FACTORS`."""
    full_name = {factor.split("_")[0]: factor for factor in FACTORS}
    table = published.load("capacity_table2_scenarios")
    return {
        int(number): [full_name[short] for short in factors.split()]
        for number, factors in zip(table["scenario"], table["factors"], strict=True)
    }


def scores(true: np.ndarray, estimated: np.ndarray) -> dict[str, float]:
    """Scores of estimated capacities.

    Returns
    -------
    dict
        `r2_log` and `r2`, coefficients of determination of log capacity and of capacity; `r_squared`, the squared
        Pearson correlation (the study's R2); `mape_percent` and `median_ape_percent`, mean and median absolute
        percentage error; `outliers`, estimates off by more than `OUTLIER_FACTOR`; `total_ratio`, estimated over true
        sum.
    """
    error = np.abs(estimated / true - 1)
    factor_off = np.exp(np.abs(np.log(estimated / true)))
    return {
        "r2_log": r2_score(np.log(true), np.log(estimated)),
        "r2": r2_score(true, estimated),
        "r_squared": float(stats.pearsonr(true, estimated).statistic ** 2),
        "mape_percent": float(error.mean() * 100),
        "median_ape_percent": float(np.median(error) * 100),
        "outliers": int((factor_off > OUTLIER_FACTOR).sum()),
        "total_ratio": float(estimated.sum() / true.sum()),
    }


def fit_and_estimate(
    model: str, train: pd.DataFrame, test: pd.DataFrame, features: list[str], random_state: int
) -> np.ndarray:
    """Fit one of `MODELS` on the training part and estimate the calibration part.

    Parameters
    ----------
    model : str
    train, test : DataFrame
        With the columns `features` and `capacity_1e6_m3`, all positive, and `basin`.
    features : list of str
    random_state : int

    Returns
    -------
    (n_test,) array of capacities in million cubic metres

    Raises
    ------
    CapacityError
        If there is no such model.
    """
    x, y = train[features], train["capacity_1e6_m3"]
    if model == "power law on Aws":
        return PowerLawRegressor().fit(x[["Aws_km2"]], y).predict(test[["Aws_km2"]])
    if model == "power law":
        return PowerLawRegressor().fit(x, y).predict(test[features])
    if model in PEEKING:
        peek = _chosen_on_calibration_part if model == PEEKING[0] else _led_by_calibration_part
        return peek(x, y, test[features], test["capacity_1e6_m3"].to_numpy(), random_state)
    with warnings.catch_warnings():
        # The archive's scores tell whether a network has learned; that its optimizer could go on is no news.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = unfitted(model, random_state)
        grouped = {"groups": train["basin"]} if isinstance(estimator, GridSearchCV) else {}
        return estimator.fit(x, y, **grouped).predict(test[features])


def unfitted(model: str, random_state: int) -> BaseEstimator:
    """A network of `MODELS` with the search for its number of neurons (to be fitted with `groups`), or a forest."""
    regressors = {
        "ANN": (MLPRegressor(solver="lbfgs", random_state=random_state), "hidden_layer_sizes"),
        "ELM": (ELMRegressor(random_state=random_state), "n_hidden"),
        "PSO-ELM": (PSOELMRegressor(fitness="press", random_state=random_state), "n_hidden"),
        ON_TRAINING_ERROR: (PSOELMRegressor(fitness="training", random_state=random_state), "n_hidden"),
    }
    if model == "random forest":
        return on_logs(RandomForestRegressor(200, random_state=random_state))
    if model not in regressors:
        raise CapacityError(f"model {model!r} found, one of {', '.join(MODELS)} expected.")
    regressor, parameter = regressors[model]
    last_step = regressor.__class__.__name__.lower()
    choices = [(hidden,) if parameter == "hidden_layer_sizes" else hidden for hidden in HIDDEN]
    folds = GroupKFold(3, shuffle=True, random_state=random_state)
    return GridSearchCV(
        on_logs(regressor),
        {f"regressor__{last_step}__{parameter}": choices},
        cv=folds,
        scoring="neg_mean_absolute_percentage_error",
    )


def on_logs(regressor: BaseEstimator) -> TransformedTargetRegressor:
    """A regressor that sees standardized logarithms of the factors and the logarithm of the capacity."""
    inputs = make_pipeline(FunctionTransformer(np.log), StandardScaler(), regressor)
    return TransformedTargetRegressor(inputs, func=np.log, inverse_func=np.exp)


def _chosen_on_calibration_part(x, y, x_test, y_test, random_state: int) -> np.ndarray:
    """Of many random hidden layers the one that fits the calibration part best."""
    best, smallest = None, np.inf
    for draw in range(N_DRAWS):
        model = clone(on_logs(ELMRegressor(N_HIDDEN_PEEKING, random_state=random_state * N_DRAWS + draw)))
        estimated = model.fit(x, y).predict(x_test)
        error = np.abs(estimated / y_test - 1).mean()
        if error < smallest:
            best, smallest = estimated, error
    return best


def _led_by_calibration_part(x, y, x_test, y_test, random_state: int) -> np.ndarray:
    """PSO-ELM whose output weights are fitted on the training part, and whose fitness is the calibration error."""
    scaler = StandardScaler().fit(np.log(x))
    inputs, inputs_test = scaler.transform(np.log(x)), scaler.transform(np.log(x_test))
    n_weights = N_HIDDEN_PEEKING * inputs.shape[1]

    def estimates(positions: np.ndarray) -> np.ndarray:
        layers = positions[..., :n_weights].reshape(-1, N_HIDDEN_PEEKING, inputs.shape[1]), positions[..., n_weights:]
        coef = output_weights(hidden_layer(inputs, *layers, "sigmoid"), np.log(y.to_numpy()))
        return np.exp((coef[:, None] @ hidden_layer(inputs_test, *layers, "sigmoid"))[:, 0])

    def calibration_error(positions: np.ndarray) -> np.ndarray:
        return np.abs(estimates(positions) / y_test - 1).mean(axis=1)

    swarm = ParticleSwarm(position_limits=(-1, 1), random_state=random_state)
    best = swarm.minimize(calibration_error, n_weights + N_HIDDEN_PEEKING)
    return estimates(best.position[None])[0]
