import numpy as np
import pytest

from millpond.simulation import atmosphere
from millpond.simulation.atmosphere import molecular_reflectance, saturated, top_of_atmosphere
from millpond.simulation.errors import SimulationError
from millpond.simulation.illumination import Sun, aerosol_depth, rayleigh_depth


def test_thin_air_scatters_once():
    # tau P / (4 m), with Rayleigh's phase function 3/4 (1 + cos^2): at 30 degrees m is 1/2 and the angle's cosine -1/2
    assert molecular_reflectance(0.001, 0.5) == pytest.approx(0.001 * 15 / 16 / (4 * 0.5), rel=0.03)


def test_thick_air_adds_less_than_in_proportion_and_more_than_what_scatters_once():
    once = 15 / 16 * (1 - np.exp(-0.16 * 3)) / (4 * 1.5)
    assert 1.02 * once < molecular_reflectance(0.16, 0.5) < 0.16 * 15 / 16 / 2


def test_the_order_of_the_bands_and_of_the_suns_height():
    blue = molecular_reflectance(np.array([0.16, 0.09, 0.045, 0.018]), 0.8)
    assert (np.diff(blue) < 0).all()
    low, high = (molecular_reflectance(0.16, m) for m in (0.25, 0.9))
    assert low > high


def test_ozone_takes_more_of_the_green_than_of_the_blue(monkeypatch):
    ground, sun, bands = np.full((4, 1, 1), 0.2), Sun(180, 30), ("B02", "B03", "B04", "B08")
    seen = top_of_atmosphere(ground, sun, bands)
    monkeypatch.setattr(atmosphere, "OZONE_DEPTH", dict.fromkeys(bands, 0.0))
    left = (seen / top_of_atmosphere(ground, sun, bands)).ravel()
    assert left[1] == pytest.approx(0.911, abs=1e-3)  # exp(-0.031 (1 / sin 30 + 1))
    assert left[1] < left[2] < left[0] < left[3]


def test_bright_ground_loses_and_dark_ground_gains():
    ground = np.array([0.02, 0.8]).reshape(1, 1, 2)
    seen = top_of_atmosphere(ground, Sun(180, 40), ("B02",))
    dark, bright = seen[0, 0]
    assert dark > 0.02
    assert bright < 0.8


def test_air_matters_less_in_the_infrared_and_under_a_high_sun():
    ground = np.full((2, 1, 1), 0.05)
    bands = ("B02", "B08")
    blue, infrared = top_of_atmosphere(ground, Sun(180, 40), bands).ravel() - 0.05
    high, _ = top_of_atmosphere(ground, Sun(180, 70), bands).ravel() - 0.05
    assert abs(infrared) < blue / 3
    assert high < blue


def test_published_depths():
    # Bodhaine et al. 1999 (doi:10.1175/1520-0426(1999)016<1854:ORODC>2.0.CO;2): 0.0969 at 0.55 micrometres, sea level
    assert rayleigh_depth(0.55) == pytest.approx(0.0969, rel=0.04)
    assert aerosol_depth(1.0, 0.07) == 0.07


def test_a_low_sun_saturates_later():
    bright = np.full((1, 1, 1), 5.0)
    assert saturated(bright, Sun(180, 90), ("B02",)).item() == pytest.approx(0.99)
    assert saturated(bright, Sun(180, 30), ("B02",)).item() == pytest.approx(1.98)


def test_a_sun_near_the_horizon_is_refused():
    with pytest.raises(SimulationError, match=r"sun elevation of 9\.0 degrees found, at least 10 expected\."):
        top_of_atmosphere(np.zeros((1, 1, 1)), Sun(180, 9), ("B02",))


def test_bands_that_are_not_simulated_are_refused():
    with pytest.raises(SimulationError, match=r"bands B11, B12 found, some of B02, B03, B04, B08 expected\. Leave"):
        top_of_atmosphere(np.zeros((3, 1, 1)), Sun(180, 40), ("B02", "B11", "B12"))
    with pytest.raises(SimulationError, match="bands B11 found, some of B02, B03, B04, B08 expected"):
        saturated(np.zeros((1, 1, 1)), Sun(180, 40), ("B11",))
