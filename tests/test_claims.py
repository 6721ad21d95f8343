from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from millpond.claims import (
    holm,
    mean_and_interval,
    p_above,
    verdict,
    verdict_of_counts,
    verdict_of_equality,
    verdict_of_extreme,
    verdict_of_interval,
)


def test_an_interval_by_hand():
    # mean 2, standard deviation 1, n = 3: t(0.975, 2) = 4.303
    mean, low, high = mean_and_interval([1, 2, 3, np.nan])
    assert (mean, low, high) == pytest.approx((2, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9).filter(lambda values: np.std(values) > 1e-3))
def test_intervals_are_those_of_scipy(values):
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_and_interval(values)[1:] == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("differences", "said"),
    [([1, 1.1, 0.9], "holds here"), ([-1, -1.1, -0.9], "fails here"), ([1, -1, 0.5], "undecided"), ([5], "undecided")],
)
def test_a_claim_gets_a_verdict(differences, said):
    assert verdict(differences) == said


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, 2, "holds here"), (-2, -0.1, "fails here"), (-0.1, 0.1, "undecided")]
)
def test_an_interval_gets_a_verdict(low, high, said):
    assert verdict_of_interval(low, high) == said


@pytest.mark.parametrize(
    ("counts", "said"),
    [([(3, 3)], "holds here"), ([(0, 3)], "fails here"), ([(1, 3)], "in part"), ([(0, 3), (1, 1)], "in part")],
)
def test_counts_get_a_verdict(counts, said):
    assert verdict_of_counts(*counts) == said


def test_shared_training_data_widen_an_interval():
    # nine values of three folds, three times: the variance is that of 1/9 + 1/2 instead of 1/9
    values = np.arange(9.0)
    mean, low, high = mean_and_interval(values, 1 / 2)
    alone = mean_and_interval(values)
    assert mean == alone[0] == 4
    assert (high - low) / (alone[2] - alone[1]) == pytest.approx(np.sqrt((1 / 9 + 1 / 2) * 9))


def scores(**means) -> pd.DataFrame:
    """Five rows that differ by more than the columns do, so that only pairs tell."""
    noise = np.random.default_rng(0).normal(0, 0.01, (5, len(means)))
    return pd.DataFrame(noise + np.arange(5)[:, None] + [*means.values()], columns=[*means])


@pytest.mark.parametrize(
    ("means", "name", "highest", "found"),
    [
        ({"a": 1, "b": 0, "c": 0.5}, "a", True, ("holds here", 2, 0)),
        ({"a": 1, "b": 0, "c": 0.5}, "b", False, ("holds here", 2, 0)),
        ({"a": 1, "b": 0, "c": 0.5}, "c", True, ("fails here", 1, 1)),
        ({"a": 1, "b": 0, "c": 1}, "a", True, ("undecided", 1, 0)),
    ],
)
def test_the_best_must_beat_each(means, name, highest, found):
    assert verdict_of_extreme(scores(**means), name, highest=highest) == found


def test_nothing_is_concluded_from_one_row_or_from_a_tie():
    assert verdict_of_extreme(scores(a=1, b=0)[:1], "a") == ("undecided", 0, 0)
    assert verdict_of_equality(scores(a=0, b=0)[:1], 9) == "undecided"
    tie = pd.DataFrame({"a": [1.0, 1], "b": [1.0, 1], "c": [0.0, 0]})
    assert verdict_of_extreme(tie, "a") == ("undecided", 1, 0)


def test_rows_that_are_not_whole_count_nowhere():
    table = scores(a=1, b=0, c=0.5)
    expected = verdict_of_extreme(table[:4], "a")
    table.loc[4, "b"] = np.nan
    assert verdict_of_extreme(table, "a") == expected


def test_error_rates_are_kept():
    rng = np.random.default_rng(0)
    said = [verdict_of_extreme(pd.DataFrame(rng.normal(size=(5, 8))), 0)[0] for _ in range(400)]
    assert said.count("holds here") <= 0.05 * 400
    assert said.count("fails here") <= 0.08 * 400  # 5 % two-sided, with what 400 draws may add


@pytest.mark.parametrize(
    ("apart", "margin", "said"), [(0.0, 0.1, "holds here"), (0.5, 0.1, "fails here"), (0.0, 0.001, "undecided")]
)
def test_about_the_same_takes_a_margin(apart, margin, said):
    table = scores(a=0, b=apart, c=0)
    pairs = pd.DataFrame({"ab": table["a"] - table["b"], "ac": table["a"] - table["c"]})
    assert verdict_of_equality(pairs, margin) == said


def test_p_is_that_of_scipy():
    table = scores(a=0.1, b=0, c=-0.1)
    differences = table.sub(table["b"], axis=0)[["a", "c"]]
    expected = stats.ttest_1samp(differences, 0.02, alternative="greater").pvalue
    np.testing.assert_allclose(p_above(differences, 0.02), expected)
    shared = p_above(differences, 0.02, 0.5)
    assert shared[0] > expected[0]
    assert shared[1] < expected[1]


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.0125, 0.02, 0.025, 0.04, 0.05, 0.3, 1.0]), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p):
    with mock.patch("gc.collect"):  # statsmodels calls it each time: a minute in all, after many other tests
        expected = multipletests(p, 0.05, method="holm")[0]
    np.testing.assert_array_equal(holm(np.array(p)), expected)


def test_real_data_confirm_and_refute_and_a_simulation_says_what_holds_in_it():
    ahead = pd.DataFrame({"a": [1.0, 1.2], "b": [0.0, 0.1]})
    words = {real: (verdict([1, 1.1], real=real), verdict([-1, -1.1], real=real)) for real in (False, True)}
    assert words == {False: ("holds here", "fails here"), True: ("confirmed", "refuted")}
    assert verdict_of_counts((2, 2), real=True) == "confirmed"
    assert verdict_of_extreme(ahead, "a", real=True)[0] == "confirmed"
    assert verdict_of_extreme(ahead, "b", real=True)[0] == "refuted"
    assert verdict_of_equality(ahead[["a"]] - 1.1, 5, real=True) == "confirmed"


@pytest.mark.parametrize(("lead", "said"), [(1.0, "holds here"), (-1.0, "fails here"), (0.0, "undecided")])
def test_identical_leads_get_one_verdict_whoever_is_asked(lead, said):
    leads = pd.Series([lead] * 3)
    assert verdict(leads) == said
    assert verdict_of_extreme(pd.DataFrame({"a": leads, "b": leads * 0}), "a")[0] == said
