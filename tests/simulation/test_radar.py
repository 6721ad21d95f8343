import numpy as np
import pytest

from millpond.simulation.radar import LOOKS, power, slope_brightness, with_speckle


def test_decibels_become_power():
    np.testing.assert_allclose(power("water"), [10**-2.1, 10**-2.8])


def test_slopes_towards_the_radar_are_bright():
    cols = np.mgrid[:20, :20][1]
    east, west = (slope_brightness(sign * 2.0 * cols, 10.0)[5, 5] for sign in (1, -1))  # the radar stands in the west
    assert slope_brightness(np.zeros((20, 20)), 10.0) == pytest.approx(1)
    assert east > 1.5
    assert west < 0.7
    assert slope_brightness(30.0 * cols, 10.0).max() <= 16


def test_speckle_has_the_mean_of_what_it_spoils_and_its_looks():
    speckled = with_speckle(np.full((400, 400), 0.3), np.random.default_rng(0))
    assert speckled.mean() == pytest.approx(0.3, rel=0.01)
    assert (speckled.mean() / speckled.std()) ** 2 == pytest.approx(LOOKS, rel=0.03)
