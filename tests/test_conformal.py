import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.conformal import cv_plus
from millpond.errors import MillpondError


def test_bounds_of_cv_plus_by_hand():
    # four reservoirs, alpha = 0.4: the floor(0.4 * 5) = 2nd smallest of 0, 1, 2, -1 and the 3rd smallest of 2, 3, 4, 7
    estimates, residuals = np.array([[1.0, 2.0, 3.0, 3.0]]), np.array([1.0, 1.0, 1.0, 4.0])
    found = cv_plus(estimates, residuals, 0.6, "dates", MillpondError)
    assert found.ravel().tolist() == [2.5, 0.0, 4.0]


@given(st.integers(30, 200), st.integers(0, 99))
def test_new_samples_lie_inside_about_as_often_as_asked(n, seed):
    rng = np.random.default_rng(seed)
    residuals = np.abs(rng.normal(size=n))
    new = rng.normal(size=2000)
    _, low, high = cv_plus(np.zeros((1, n)), residuals, 0.8, "dates", MillpondError)
    assert abs(((new > low) & (new < high)).mean() - 0.8) < 0.25


def test_too_few_samples_for_an_interval_are_refused():
    with pytest.raises(
        MillpondError, match=r"intervals of coverage 0\.9 from 8 dates found, 9 or more expected\. Add dates"
    ):
        cv_plus(np.zeros((1, 8)), np.ones(8), 0.9, "dates", MillpondError)
    with pytest.raises(MillpondError, match=r"coverage=0\.4 found, 0\.5 or more and below 1 expected"):
        cv_plus(np.zeros((1, 8)), np.ones(8), 0.4, "dates", MillpondError)
