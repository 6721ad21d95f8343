"""Training images, changed at random in ways that leave their class alone."""

import math

import torch
from torch import Tensor
from torch.nn import functional

LARGEST_TURN_DEG = 10
LARGEST_STRETCH = 0.1
LARGEST_SHIFT = 0.08
"""Of the image's width or height: two pixels of a digit of MNIST."""
DIVISORS = (1500, 4500)
"""What images of fields are divided by at random, where 3,000 is usual."""


def affine(images: Tensor) -> Tensor:
    """Turn, stretch along each axis, and shift every image by random amounts; for images on an empty background.

    Parameters
    ----------
    images : (n, channels, rows, cols) tensor
        uint8, which is scaled to 0..1, or float.

    Returns
    -------
    (n, channels, rows, cols) float tensor
        Interpolated linearly; 0 where the original has no pixel.
    """
    if images.dtype == torch.uint8:
        images = images.float() / 255
    n = len(images)
    angle = (torch.rand(n) * 2 - 1) * math.radians(LARGEST_TURN_DEG)
    stretch = 1 + (torch.rand(n, 2, 1) * 2 - 1) * LARGEST_STRETCH
    shift = (torch.rand(n, 2, 1) * 2 - 1) * LARGEST_SHIFT * 2  # affine_grid's image is 2 wide
    rows, cols = images.shape[2:]  # the grid is square whatever the image is; a turn isn't, on it
    turn = torch.stack([angle.cos(), -angle.sin() * rows / cols, angle.sin() * cols / rows, angle.cos()], dim=1).view(
        n, 2, 2
    )
    grid = functional.affine_grid(torch.cat([turn * stretch, shift], dim=2), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def dihedral(images: Tensor) -> Tensor:
    """Turn every image by a random multiple of 90 degrees and mirror every other; for images without an up.

    Parameters
    ----------
    images : (n, channels, side, side) tensor

    Returns
    -------
    (n, channels, side, side) tensor
        The same pixels in other places.
    """
    transpose, left_right, up_down = (torch.rand(3, len(images), 1, 1, 1) < 0.5).unbind()
    images = torch.where(transpose, images.transpose(2, 3), images)
    images = torch.where(left_right, images.flip(3), images)
    return torch.where(up_down, images.flip(2), images)


def divisor(images: Tensor) -> Tensor:
    """Digital numbers as they would be if 3,000 were another divisor, drawn from `DIVISORS` for each image.

    An augmentation that networks for Fields of The World offer.

    Parameters
    ----------
    images : (n, bands, rows, cols) tensor
        Digital numbers.

    Returns
    -------
    (n, bands, rows, cols) float tensor
        Whole numbers up to 65,535.
    """
    low, high = DIVISORS
    drawn = low + (high - low) * torch.rand(len(images), 1, 1, 1)
    return (images.float() * 3000 / drawn).round().clamp(max=65_535)


AUGMENTATIONS = {"affine": affine, "dihedral": dihedral}
