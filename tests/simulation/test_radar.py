import numpy as np
import pytest

from millpond.simulation.radar import LAYOVER_BRIGHTNESS, LOOKS, layover, measured, power, slope_brightness


def test_decibels_become_power():
    np.testing.assert_allclose(power("water"), [10**-2.1, 10**-2.8])


def test_slopes_towards_the_radar_are_bright():
    cols = np.mgrid[:20, :20][1]
    east, west = (slope_brightness(sign * 2.0 * cols, 10.0)[5, 5] for sign in (1, -1))  # the radar stands in the west
    assert slope_brightness(np.zeros((20, 20)), 10.0) == pytest.approx(1)
    assert east > 1.2
    assert west < 0.8


def test_slopes_steeper_than_the_wave_front_lay_over():
    cols = np.mgrid[:20, :20][1]
    assert layover(10.0 * cols, 10.0).all()  # 45 degrees towards the radar, whose wave front stands at 38
    assert not layover(7.0 * cols, 10.0).any()  # 35 degrees
    assert not layover(-10.0 * cols, 10.0).any()  # turned away
    assert slope_brightness(10.0 * cols, 10.0)[5, 5] == LAYOVER_BRIGHTNESS


def test_speckle_has_the_mean_of_what_it_spoils_and_its_looks():
    speckled = measured(np.full((1, 400, 400), 0.3), np.random.default_rng(0))
    assert speckled.mean() == pytest.approx(0.3 + 10**-2.3, rel=0.01)
    assert (speckled.mean() / speckled.std()) ** 2 == pytest.approx(LOOKS, rel=0.05)
    neighbours = np.corrcoef(speckled[0, :, 1:].ravel(), speckled[0, :, :-1].ravel())[0, 1]
    assert neighbours > 0.4
    assert measured(np.zeros((1, 50, 50)), np.random.default_rng(0)).mean() == pytest.approx(10**-2.3, rel=0.05)
