import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from millpond import augmentation
from millpond.augmentation import DIVISORS, affine, dihedral, divisor


def one_of(monkeypatch, *, turn_deg=0.0, stretch=0.0, shift=0.0):
    """Make every random amount its largest."""
    monkeypatch.setattr(augmentation, "LARGEST_TURN_DEG", turn_deg)
    monkeypatch.setattr(augmentation, "LARGEST_STRETCH", stretch)
    monkeypatch.setattr(augmentation, "LARGEST_SHIFT", shift)
    monkeypatch.setattr(torch, "rand", lambda *size: torch.ones(size))


def blob():
    rows, cols = np.mgrid[:28, :28]
    return np.exp(-((rows - 10.0) ** 2 + (cols - 16.0) ** 2) / 6).astype(np.float32)


def moved(image):
    return affine(torch.as_tensor(image)[None, None])[0, 0].numpy()


def test_nothing_moves_where_the_largest_amounts_are_none(monkeypatch):
    one_of(monkeypatch)
    np.testing.assert_allclose(moved(blob()), blob(), atol=1e-5)


def test_a_shift_is_in_parts_of_the_width(monkeypatch):
    one_of(monkeypatch, shift=2 / 28)
    np.testing.assert_allclose(moved(blob())[:-2, :-2], blob()[2:, 2:], atol=1e-5)
    assert not moved(np.ones((28, 28), np.float32))[-1].any()  # no pixel there


def test_a_turn_is_scipys(monkeypatch):
    one_of(monkeypatch, turn_deg=30)
    np.testing.assert_allclose(moved(blob()), ndimage.rotate(blob(), 30, reshape=False, order=1), atol=1e-4)


def test_a_turn_keeps_its_angle_in_images_that_are_no_squares(monkeypatch):
    one_of(monkeypatch, turn_deg=30)
    image = np.zeros((20, 60), np.float32)
    image[6:14, 20:40] = blob()[6:14, 8:28]
    np.testing.assert_allclose(moved(image), ndimage.rotate(image, 30, reshape=False, order=1), atol=1e-4)


def test_a_stretch_is_about_the_centre(monkeypatch):
    one_of(monkeypatch, stretch=0.25)
    image = blob()
    row, col = ndimage.center_of_mass(moved(image))
    assert (row, col) == pytest.approx((13.5 - 3.5 / 1.25, 13.5 + 2.5 / 1.25), abs=0.05)


def test_amounts_stay_within_their_limits_and_differ_between_images():
    torch.manual_seed(0)
    images = torch.zeros(200, 1, 29, 29, dtype=torch.uint8)
    images[:, :, 14, 14] = 255  # the centre, which only a shift moves
    found = np.array([ndimage.center_of_mass(image[0]) for image in affine(images).numpy()]) - 14
    assert np.abs(found).max() <= augmentation.LARGEST_SHIFT * 29 * math.sqrt(2) * 1.1 + 0.6
    assert found.std() > 0.5


def test_the_eight_ways_to_lay_a_square_come_equally_often():
    torch.manual_seed(0)
    square = torch.tensor([[0.0, 1], [2, 3]])
    found = dihedral(square.expand(8_000, 2, 2, 2))
    ways, counts = np.unique(found[:, 0].reshape(-1, 4).numpy(), axis=0, return_counts=True)
    assert len(ways) == 8
    assert counts.min() > 900
    assert torch.equal(found[:, 0], found[:, 1])  # all channels alike


def test_a_divisor_is_drawn_for_each_image_and_shared_by_its_bands():
    torch.manual_seed(0)
    dn = torch.tensor([3000, 1500]).view(1, 2, 1, 1).expand(4_000, 2, 3, 3)
    found = divisor(dn)
    assert (found == found[:, :, :1, :1]).all()
    assert (found[:, 0] - 2 * found[:, 1]).abs().max() <= 1  # rounded
    divided_by = 3000 * 3000 / found[:, 0, 0, 0]
    assert DIVISORS[0] - 1 <= divided_by.min() < DIVISORS[0] + 20
    assert DIVISORS[1] - 20 < divided_by.max() <= DIVISORS[1] + 5
    assert divided_by.mean() == pytest.approx(np.mean(DIVISORS), rel=0.02)
    assert divisor(torch.full((100, 1, 1, 1), 65_535)).max() == 65_535
