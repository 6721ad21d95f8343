"""What a hydrologist would do first: a power law.

The capacity of small reservoirs is commonly estimated from their surface area by a power law, a straight line in
logarithms. Whatever a swarm or a network adds has to show against it.
"""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from millpond.capacity.elm import nan_where_masked

SMALLEST_RANGE = 1e-6
"""Range of natural logarithms below which values count as equal: no area is known to a millionth."""


class PowerLawRegressor(RegressorMixin, BaseEstimator):
    """capacity = a * x_1^b_1 * ... * x_m^b_m by ordinary least squares in logarithms.

    The exponential of a mean logarithm is a median: it underestimates the mean, and so the sum over many reservoirs.
    Duan's smearing estimate corrects this without assuming a distribution; it helps totals and errors in cubic metres,
    not relative errors.

    Parameters
    ----------
    smearing : bool
        Whether to multiply predictions by the mean of the exponentials of the residuals (Duan 1983,
        doi:10.1080/01621459.1983.10478017).

    Attributes
    ----------
    scale_ : float
        a, without smearing: in units of the target over those of the features to their exponents.
    exponents_ : (n_features,) array
        b_1 ... b_m; the shortest ones if the features don't determine them, as when they are equal but for rounding.
    smearing_factor_ : float
        What predictions are multiplied by; 1 without smearing.
    residual_std_ : float
        Standard deviation of the residuals in natural logarithms, with n - m - 1 degrees of freedom; NaN without any.
    """

    def __init__(self, smearing=False):
        self.smearing = smearing

    def fit(self, X, y):
        """Fit.

        Parameters
        ----------
        X : (n, n_features) array
            Positive.
        y : (n,) array
            Positive.

        Raises
        ------
        ValueError
            If a value isn't positive (as everywhere in scikit-learn, not the package's own error).
        """
        X, y = validate_data(self, nan_where_masked(X), nan_where_masked(y), y_numeric=True, dtype=float)
        # Centred, so that neither the units nor the condition of the features touch the intercept.
        log_x, log_y = _log(X, "X"), _log(y, "y")
        mean_x, mean_y = log_x.mean(axis=0), log_y.mean()
        centred = log_x - mean_x
        # Spreads as small as rounding errors determine no exponent, and would make it huge.
        rcond = SMALLEST_RANGE * np.sqrt(len(y)) / max(np.linalg.norm(centred, 2), SMALLEST_RANGE)
        self.exponents_ = np.linalg.lstsq(centred, log_y - mean_y, rcond=rcond)[0]
        intercept = mean_y - mean_x @ self.exponents_
        residuals = log_y - intercept - log_x @ self.exponents_
        self.scale_ = float(np.exp(intercept))
        self.smearing_factor_ = float(np.exp(residuals).mean()) if self.smearing else 1.0
        free = len(y) - X.shape[1] - 1
        self.residual_std_ = float(np.sqrt(residuals @ residuals / free)) if free > 0 else float("nan")
        return self

    def predict(self, X):
        """(n,) predictions in the units of the target.

        Raises
        ------
        ValueError
            If a feature isn't positive.
        """
        check_is_fitted(self)
        X = validate_data(self, nan_where_masked(X), reset=False, dtype=float)
        return self.smearing_factor_ * self.scale_ * np.exp(_log(X, "X") @ self.exponents_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        return tags


def _log(values: np.ndarray, name: str) -> np.ndarray:
    n_bad = int((values <= 0).sum())
    if n_bad:
        # The first words are scikit-learn's.
        raise ValueError(
            f"Negative values in data or zeros: {n_bad} of {values.size} values of {name} aren't positive, the "
            f"smallest is {values.min():g}. A power law needs their logarithms: leave those rows out."
        )
    return np.log(values)
