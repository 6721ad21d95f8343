"""The study's experiment: eight combinations of factors, three kinds of network, and what a hydrologist would do first.

Every model sees logarithms of factors and capacity, since both spread over orders of magnitude. The number of hidden
neurons is chosen inside the training part. One way of choosing looks at the calibration part, to measure what that
hides.
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
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from millpond import published
from millpond.capacity.baselines import PowerLawRegressor
from millpond.capacity.elm import ELMRegressor, PSOELMRegressor
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS

HIDDEN = (3, 5, 10, 20)
"""Numbers of hidden neurons to choose from."""

NETWORKS = ("ANN", "ELM", "PSO-ELM", "PSO-ELM on training error")
MODELS = (*NETWORKS, "random forest", "power law", "power law on Aws", "ELM chosen on the calibration part")
"""The study's three, the swarm with the other fitness, three that need no network, and a way not to choose."""

N_DRAWS = 100
"""Random machines of which the best on the calibration part is kept, to measure what that hides."""


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
        percentage error; `total_ratio`, estimated over true sum.
    """
    error = np.abs(estimated / true - 1)
    return {
        "r2_log": r2_score(np.log(true), np.log(estimated)),
        "r2": r2_score(true, estimated),
        "r_squared": float(stats.pearsonr(true, estimated).statistic ** 2),
        "mape_percent": float(error.mean() * 100),
        "median_ape_percent": float(np.median(error) * 100),
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
        With the columns `features` and `capacity_1e6_m3`, all positive.
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
    if model == "ELM chosen on the calibration part":
        return _chosen_on_calibration_part(x, y, test[features], test["capacity_1e6_m3"].to_numpy(), random_state)
    with warnings.catch_warnings():
        # The archive's scores tell whether a network has learned; that its optimizer could go on is no news.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _estimator(model, random_state).fit(x, y).predict(test[features])


def _estimator(model: str, random_state: int) -> BaseEstimator:
    regressors = {
        "ANN": (MLPRegressor(solver="lbfgs", max_iter=500, random_state=random_state), "hidden_layer_sizes"),
        "ELM": (ELMRegressor(random_state=random_state), "n_hidden"),
        "PSO-ELM": (PSOELMRegressor(fitness="press", random_state=random_state), "n_hidden"),
        "PSO-ELM on training error": (PSOELMRegressor(fitness="training", random_state=random_state), "n_hidden"),
    }
    if model == "random forest":
        return _on_logs(RandomForestRegressor(200, random_state=random_state))
    if model not in regressors:
        raise CapacityError(f"model {model!r} found, one of {', '.join(MODELS)} expected.")
    regressor, parameter = regressors[model]
    last_step = regressor.__class__.__name__.lower()
    choices = [(hidden,) if parameter == "hidden_layer_sizes" else hidden for hidden in HIDDEN]
    folds = KFold(3, shuffle=True, random_state=random_state)
    return GridSearchCV(
        _on_logs(regressor),
        {f"regressor__{last_step}__{parameter}": choices},
        cv=folds,
        scoring="neg_mean_absolute_percentage_error",
    )


def _on_logs(regressor: BaseEstimator) -> TransformedTargetRegressor:
    inputs = make_pipeline(FunctionTransformer(np.log), StandardScaler(), regressor)
    return TransformedTargetRegressor(inputs, func=np.log, inverse_func=np.exp)


def _chosen_on_calibration_part(x, y, x_test, y_test, random_state: int) -> np.ndarray:
    """Of many random hidden layers the one that fits the calibration part best: a mistake, made to be measured."""
    best, smallest = None, np.inf
    for draw in range(N_DRAWS):
        model = clone(_on_logs(ELMRegressor(n_hidden=10, random_state=random_state * N_DRAWS + draw)))
        estimated = model.fit(x, y).predict(x_test)
        error = np.abs(estimated / y_test - 1).mean()
        if error < smallest:
            best, smallest = estimated, error
    return best
