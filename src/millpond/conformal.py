"""Intervals of CV+: how far a model that was fitted without a sample was off it, for new samples.

With mu_k the model fitted without fold k, k(i) the fold of the training sample i and R_i = |y_i - mu_k(i)(x_i)|, the
interval at x reaches

    from the floor(alpha (n + 1))-th smallest of mu_k(i)(x) - R_i
    to the ceil((1 - alpha)(n + 1))-th smallest of mu_k(i)(x) + R_i,    i = 1 ... n.

Whatever the model, with folds of equal size it holds at least 1 - 2 alpha of new samples, less a term of the order of
the number of folds over n, and usually about 1 - alpha, if they are exchangeable with those of the training (Barber,
Candes, Ramdas and Tibshirani 2021, section 3 and theorem 4, doi:10.1214/20-AOS1965).
"""

import numpy as np

from millpond.errors import MillpondError


def cv_plus(
    estimates: np.ndarray, residuals: np.ndarray, coverage: float, what: str, error: type[MillpondError]
) -> np.ndarray:
    """Median of the folds' estimates, and bounds.

    Parameters
    ----------
    estimates : (n_new, n) array
        mu_k(i)(x): for each training sample, what the model without its fold says of each new one.
    residuals : (n,) or (n_new, n) array
        R_i; if they differ by new sample, those of the training under its conditions.
    coverage : float
        1 - alpha, 0.5 or more and below 1.
    what : str
        The samples, in the plural.
    error : exception type
        Of the caller's room.

    Returns
    -------
    (3, n_new) array
        Median, lower and upper bound.
    """
    n = residuals.shape[-1]
    if not 0.5 <= coverage < 1:
        raise error(f"coverage={coverage:g} found, 0.5 or more and below 1 expected.")
    rank = int(np.floor(np.round((1 - coverage) * (n + 1), 9)))  # rounded, since 0.1 * 10 is 1
    if rank < 1:
        least = int(np.ceil(np.round(1 / (1 - coverage), 9))) - 1
        raise error(
            f"intervals of coverage {coverage:g} from {n} {what} found, {least} or more expected. Add {what}, or lower "
            "the coverage."
        )
    low = np.partition(estimates - residuals, rank - 1, axis=1)[:, rank - 1]
    high = np.partition(estimates + residuals, n - rank, axis=1)[
        :, n - rank
    ]  # the ceil((1 - alpha)(n + 1))-th smallest
    return np.stack([np.median(estimates, axis=1), low, high])
