"""What repeated, paired runs say of a claim that one thing is larger than another."""

import numpy as np
from scipy import stats


def mean_and_interval(differences) -> tuple[float, float, float]:
    """Mean of paired differences with its 95 % interval by Student's t.

    Parameters
    ----------
    differences : (n,) array-like
        One value a pair; NaN is left out.

    Returns
    -------
    mean, low, high : float
        The interval of a single value is infinite.
    """
    values = np.asarray(differences, dtype=float)
    values = values[np.isfinite(values)]
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else np.inf
    return mean, mean - half, mean + half


def verdict(differences) -> str:
    """What becomes of the claim that `differences` are above zero.

    Returns
    -------
    "confirmed", "refuted" or "open"
        Whether the 95 % interval of their mean (`mean_and_interval`) lies above zero, below, or holds it.
    """
    _, low, high = mean_and_interval(differences)
    return "confirmed" if low > 0 else "refuted" if high < 0 else "open"
