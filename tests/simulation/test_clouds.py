import numpy as np

from millpond.simulation.clouds import CLOUD_REFLECTANCE, SHADOW_TAKES, cloud, haze, seen_through


def test_a_cloud_covers_about_its_share():
    opacity = cloud((200, 200), 0.2, np.random.default_rng(0))
    assert opacity.min() == 0
    assert opacity.max() == 1
    assert abs((opacity > 0).mean() - 0.2) < 0.01


def test_a_thick_cloud_hides_the_ground_and_darkens_it_elsewhere():
    opacity = np.zeros((6, 6))
    opacity[4, 4] = 1
    seen = seen_through(np.full((2, 6, 6), 0.1), opacity, (-2, -3))
    assert seen[0, 4, 4] == CLOUD_REFLECTANCE
    np.testing.assert_allclose(seen[1, 2, 1], 0.1 * (1 - SHADOW_TAKES))
    assert np.isclose(seen, 0.1).sum() == 2 * 34


def test_haze_is_blue():
    added = haze(("B02", "B03", "B08"), 2.0)
    assert added.shape == (3, 1, 1)
    assert added[0] > added[1] > added[2] > 0
    np.testing.assert_allclose(added, 2 * haze(("B02", "B03", "B08"), 1.0))
