import numpy as np
import pytest

from millpond.level import LevelRegressor
from millpond.level.gradcam import grad_cam, share_on_shore


@pytest.fixture(scope="module")
def fitted():
    """Images whose brightness between columns 8 and 16 alone tells the level; all else is noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.1, (48, 1, 32, 32)).astype(np.float32)
    levels = rng.uniform(0, 3, 48)
    images[:, 0, :, 8:16] += levels[:, None, None]
    return LevelRegressor(max_epochs=8, batch_size=8, device="cpu").fit(images, levels), images


def test_a_network_looks_where_the_level_is_told(fitted):
    regressor, images = fitted
    maps = grad_cam(regressor, images[:12])
    assert maps.shape == (12, 32, 32)
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, rtol=1e-4)
    assert maps[:, :, 4:20].sum(axis=(1, 2)).mean() > 0.6  # half of the image


def test_the_network_is_left_as_it_was(fitted):
    regressor, images = fitted
    before = regressor.predict(images)
    grad_cam(regressor, images[:2])
    np.testing.assert_array_equal(regressor.predict(images), before)
    assert all(p.grad is None or not p.grad.any() for p in regressor.network_.parameters())


def test_the_shore_is_what_the_water_sometimes_covers():
    water = np.zeros((4, 2, 10), bool)
    water[:, :, :2] = True
    water[:2, :, 2:4] = True
    maps = np.full((3, 2, 10), 0.05)
    assert share_on_shore(maps, water) == pytest.approx((0.2, 0.2))
    maps[:, :, 2:4], maps[:, :, 5:] = 0.2, 0.0
    assert share_on_shore(maps, water)[0] == pytest.approx(0.8)
