"""What becomes of a claim: by the interval of a difference, or by the cases in which it holds."""

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05
"""Of all tests; intervals hold the rest."""


def mean_and_interval(differences, test_to_train: float = 0.0) -> tuple[float, float, float]:
    """Mean of paired differences with its 95 % interval by Student's t.

    Parameters
    ----------
    differences : (n,) array-like
        One value a pair; NaN is left out.
    test_to_train : float
        Of repeated cross-validation, whose trainings share data: how many samples test for one that trains. The
        variance grows by that (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366).

    Returns
    -------
    mean, low, high : float
        The interval of a single value is infinite.
    """
    values = np.asarray(differences, dtype=float)
    values = values[np.isfinite(values)]
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, -np.inf, np.inf
    half = stats.t.ppf(1 - ALPHA / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + test_to_train)
    return mean, mean - float(half), mean + float(half)


def verdict(differences, test_to_train: float = 0.0) -> str:
    """What becomes of the claim that `differences` are above zero.

    Returns
    -------
    "confirmed", "refuted" or "open"
        Whether the 95 % interval of their mean (`mean_and_interval`) lies above zero, below, or holds it.
    """
    return verdict_of_interval(*mean_and_interval(differences, test_to_train)[1:])


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


def p_above(differences: pd.DataFrame, null: float = 0.0, test_to_train: float = 0.0) -> np.ndarray:
    """One-sided p of the t-test that a column's mean is above `null`, over the rows that are whole.

    1 where there is no spread to test with. `test_to_train` as in `mean_and_interval`.
    """
    whole = differences.dropna()
    spread, n = whole.std().to_numpy(), len(whole)
    p = np.ones(whole.shape[1])
    usable = spread > 0  # false for one row too
    error = spread[usable] * np.sqrt(1 / max(n, 1) + test_to_train)
    p[usable] = stats.t.sf((whole.mean().to_numpy()[usable] - null) / error, n - 1)
    return p


def holm(p: np.ndarray) -> np.ndarray:
    """Which of several tests are significant after Holm's correction for their number.

    Holm 1979, https://www.jstor.org/stable/4615733. statsmodels has it too, but collects garbage at each call.
    """
    order = np.argsort(p)
    corrected = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1))
    significant = np.empty(len(p), bool)
    significant[order] = corrected <= ALPHA
    return significant


def verdict_of_extreme(
    scores: pd.DataFrame, name: str, *, highest: bool = True, test_to_train: float = 0.0
) -> tuple[str, int, int]:
    """What becomes of the claim that one column is above all others, or below them.

    Parameters
    ----------
    scores : DataFrame
        A row a pair (a seed), a column a method.
    name : str
        The column that is said to be the highest, or the lowest.
    highest : bool
    test_to_train : float
        As in `mean_and_interval`.

    Returns
    -------
    verdict : "confirmed", "refuted" or "open"
        Confirmed if the claim holds against each of the others, by two-sided t-tests within rows. That takes no
        correction, since all must hold. Refuted if the opposite holds against one of them, with Holm's correction for
        their number.
    n_ahead, n_behind : int
        So many tests say that it holds, or, corrected, the opposite.
    """
    others = scores.drop(columns=name)
    lead = -others.sub(scores[name], axis=0).dropna() * (1 if highest else -1)
    ahead, behind = (np.minimum(1, 2 * p_above(side, 0, test_to_train)) for side in (lead, -lead))
    n_ahead, n_behind = int((ahead < ALPHA).sum()), int(holm(behind).sum())
    said = "refuted" if n_behind else "confirmed" if n_ahead == others.shape[1] else "open"
    return said, n_ahead, n_behind


def verdict_of_equality(differences: pd.DataFrame, margin: float) -> str:
    """What becomes of the claim that several things are about the same.

    Parameters
    ----------
    differences : DataFrame
        A row a pair, a column two things that are compared.
    margin : float
        What counts as about the same; to be chosen before looking.

    Returns
    -------
    "confirmed", "refuted" or "open"
        Confirmed if each difference is significantly above -margin and below +margin (two one-sided t-tests); refuted
        if one is significantly beyond, with Holm's correction for the number of differences.
    """
    within = np.maximum(p_above(differences, -margin), p_above(-differences, -margin))
    if (within < ALPHA).all():
        return "confirmed"
    beyond = np.minimum(p_above(differences, margin), p_above(-differences, margin))
    return "refuted" if holm(np.minimum(1, 2 * beyond)).any() else "open"
