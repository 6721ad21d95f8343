"""What becomes of a claim: by the interval of a difference, or by the cases in which it holds."""

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
    return verdict_of_interval(*mean_and_interval(differences)[1:])


def verdict_of_interval(low: float, high: float) -> str:
    """The same, of an interval that was made in another way."""
    return "confirmed" if low > 0 else "refuted" if high < 0 else "open"


def verdict_of_counts(*counts: tuple[int, int]) -> str:
    """What becomes of a claim that is asked in several cases.

    Parameters
    ----------
    *counts : (int, int)
        In how many cases it holds, and how many there are; of several such pairs the sums count.

    Returns
    -------
    "confirmed", "refuted" or "in part"
        Whether it holds in all cases, in none, or in some.
    """
    true, cases = (sum(numbers) for numbers in zip(*counts, strict=True))
    return "confirmed" if true == cases else "refuted" if true == 0 else "in part"
