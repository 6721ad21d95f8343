import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from millpond.claims import mean_and_interval, verdict, verdict_of_counts, verdict_of_interval


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
    [([1, 1.1, 0.9], "confirmed"), ([-1, -1.1, -0.9], "refuted"), ([1, -1, 0.5], "open"), ([5], "open")],
)
def test_a_claim_gets_a_verdict(differences, said):
    assert verdict(differences) == said


@pytest.mark.parametrize(("low", "high", "said"), [(0.1, 2, "confirmed"), (-2, -0.1, "refuted"), (-0.1, 0.1, "open")])
def test_an_interval_gets_a_verdict(low, high, said):
    assert verdict_of_interval(low, high) == said


@pytest.mark.parametrize(
    ("counts", "said"),
    [([(3, 3)], "confirmed"), ([(0, 3)], "refuted"), ([(1, 3)], "in part"), ([(0, 3), (1, 1)], "in part")],
)
def test_counts_get_a_verdict(counts, said):
    assert verdict_of_counts(*counts) == said
