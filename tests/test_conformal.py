import numpy as np
import pytest
from scipy.stats import norm

from millpond.conformal import cv_plus
from millpond.errors import MillpondError


def test_bounds_of_cv_plus_by_hand():
    # four reservoirs, alpha = 0.4: the floor(0.4 * 5) = 2nd smallest of 0, 1, 2, -1 and the 3rd smallest of 2, 3, 4, 7
    estimates, residuals = np.array([[1.0, 2.0, 3.0, 3.0]]), np.array([1.0, 1.0, 1.0, 4.0])
    found = cv_plus(estimates, residuals, 0.6, "dates", MillpondError)
    assert found.ravel().tolist() == [2.5, 0.0, 4.0]


@pytest.mark.parametrize("n", [30, 100])
def test_intervals_hold_what_they_promise_on_average(n):
    rng = np.random.default_rng(n)
    held = []
    for _ in range(500):
        residuals = np.abs(rng.normal(size=n))
        _, low, high = cv_plus(np.zeros((1, n)), residuals, 0.8, "dates", MillpondError)
        held.append(np.diff(norm.cdf([low.item(), high.item()])).item())
    promised = 1 - np.floor(0.2 * (n + 1)) / (n + 1)  # of exchangeable residuals, exactly
    assert abs(np.mean(held) - promised) < 4 * np.std(held) / np.sqrt(len(held))


def test_too_few_samples_for_an_interval_are_refused():
    with pytest.raises(
        MillpondError, match=r"intervals of coverage 0\.9 from 8 dates found, 9 or more expected\. Add dates"
    ):
        cv_plus(np.zeros((1, 8)), np.ones(8), 0.9, "dates", MillpondError)
    with pytest.raises(MillpondError, match=r"coverage=0\.4 found, 0\.5 or more and below 1 expected"):
        cv_plus(np.zeros((1, 8)), np.ones(8), 0.4, "dates", MillpondError)
