"""What becomes of a claim: by the interval of a difference, or by the cases in which it holds.

One rule for the words: *confirmed* and *refuted* is said by real data or by a study's own numbers (`real=True`); a
simulation can only say that a claim *holds here* or *fails here*. Where neither is significant it is *undecided*.
"""

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05
"""Of all tests; intervals hold the rest."""

UNDECIDED = "undecided"


def holds(real: bool) -> str:
    """The word for a claim that holds."""
    return "confirmed" if real else "holds here"


def fails(real: bool) -> str:
    """The word for a claim whose opposite holds."""
    return "refuted" if real else "fails here"


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


def verdict(differences, test_to_train: float = 0.0, *, real: bool = False) -> str:
    """What becomes of the claim that `differences` are above zero.

    Returns
    -------
    str
        "holds here", "fails here" or "undecided": whether the 95 % interval of their mean (`mean_and_interval`) lies
        above zero, below, or holds it; of `real` data "confirmed", "refuted" or "undecided".
    """
    return verdict_of_interval(*mean_and_interval(differences, test_to_train)[1:], real=real)


def verdict_of_interval(low: float, high: float, *, real: bool = False) -> str:
    """The same, of an interval that was made in another way."""
    return holds(real) if low > 0 else fails(real) if high < 0 else UNDECIDED


def verdict_of_counts(*counts: tuple[int, int], real: bool = False) -> str:
    """What becomes of a claim that is asked in several cases: does it hold in all, in none, or in part?

    Parameters
    ----------
    *counts : (int, int)
        In how many cases it holds, and how many there are; of several such pairs the sums count.
    real : bool

    Returns
    -------
    str
        As `verdict`, and "in part" where it holds in some cases: a count isn't a test, so nothing is undecided.
    """
    true, cases = (sum(numbers) for numbers in zip(*counts, strict=True))
    return holds(real) if true == cases else fails(real) if true == 0 else "in part"


def p_above(differences: pd.DataFrame, null: float = 0.0, test_to_train: float = 0.0) -> np.ndarray:
    """One-sided p of the t-test that a column's mean is above `null`, over the rows that are whole.

    The same rule as `mean_and_interval`: of one row nothing is significant; of several that are identical any
    difference from `null` is.
    """
    whole = differences.dropna()
    n = len(whole)
    if n < 2:
        return np.ones(whole.shape[1])
    ahead = whole.mean().to_numpy() - null
    error = whole.std().to_numpy() * np.sqrt(1 / n + test_to_train)
    t = np.divide(ahead, error, out=np.copysign(np.inf, ahead), where=error > 0)
    return np.where((error == 0) & (ahead == 0), 1.0, stats.t.sf(t, n - 1))


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
    scores: pd.DataFrame, name: str, *, highest: bool = True, test_to_train: float = 0.0, real: bool = False
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
    verdict : str
        It holds if it holds against each of the others, by two-sided t-tests within rows. That takes no correction,
        since all must hold. It fails if the opposite holds against one of them, with Holm's correction for their
        number.
    n_ahead, n_behind : int
        So many tests say that it holds, or, corrected, the opposite.
    """
    others = scores.drop(columns=name)
    lead = -others.sub(scores[name], axis=0).dropna() * (1 if highest else -1)
    ahead, behind = (np.minimum(1, 2 * p_above(side, 0, test_to_train)) for side in (lead, -lead))
    n_ahead, n_behind = int((ahead < ALPHA).sum()), int(holm(behind).sum())
    said = fails(real) if n_behind else holds(real) if n_ahead == others.shape[1] else UNDECIDED
    return said, n_ahead, n_behind


def verdict_of_equality(differences: pd.DataFrame, margin: float, *, real: bool = False) -> str:
    """What becomes of the claim that several things are about the same.

    Parameters
    ----------
    differences : DataFrame
        A row a pair, a column two things that are compared.
    margin : float
        What counts as about the same; to be chosen before looking.

    Returns
    -------
    str
        It holds if each difference is significantly above -margin and below +margin (two one-sided t-tests); it fails
        if one is significantly beyond, with Holm's correction for the number of differences.
    """
    within = np.maximum(p_above(differences, -margin), p_above(-differences, -margin))
    if (within < ALPHA).all():
        return holds(real)
    beyond = np.minimum(p_above(differences, margin), p_above(-differences, margin))
    return fails(real) if holm(np.minimum(1, 2 * beyond)).any() else UNDECIDED
