import numpy as np
from scipy.stats import norm

from millpond.simulation.clouds import CLOUD_REFLECTANCE, cloud, covered, haze, shaded
from millpond.simulation.illumination import Sun


def test_a_cloud_covers_about_its_share():
    opacity = cloud((200, 200), 0.2, np.random.default_rng(0))
    assert opacity.min() == 0
    assert opacity.max() == 1
    assert abs((opacity > 0).mean() - 0.2) < 0.01


def test_a_cloud_is_thick_from_half_a_standard_deviation_inside_its_edge():
    """Of smoothed normal noise, a fifth lies above 0.84 standard deviations and 9 % above 1.34."""
    opacity = cloud((600, 600), 0.2, np.random.default_rng(0))
    assert abs((opacity == 1).mean() - 0.09) < 0.01
    assert abs((opacity > 0.5).mean() - norm.sf(0.84 + 0.25)) < 0.01


def test_a_thick_cloud_hides_the_ground():
    opacity = np.zeros((6, 6))
    opacity[4, 4] = 1
    seen = covered(np.full((2, 6, 6), 0.1), opacity)
    assert seen[0, 4, 4] == CLOUD_REFLECTANCE
    assert (seen == 0.1).sum() == 2 * 35


def test_in_its_shadow_the_light_of_the_sky_stays():
    shadow = np.array([[0.0, 1.0]])
    seen = shaded(np.full((2, 1, 2), 0.1), shadow, Sun(azimuth_deg=135.0, elevation_deg=45.0), ("B02", "B08"))
    assert seen[:, 0, 0].tolist() == [0.1, 0.1]
    assert 0 < seen[1, 0, 1] < seen[0, 0, 1] < 0.05  # bluish


def test_haze_is_blue():
    added = haze(("B02", "B03", "B08"), 2.0)
    assert added.shape == (3, 1, 1)
    assert added[0] > added[1] > added[2] > 0
    np.testing.assert_allclose(added, 2 * haze(("B02", "B03", "B08"), 1.0))
