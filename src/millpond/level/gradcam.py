"""Where a trained network looks: Grad-CAM for levels (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74)."""

import numpy as np
import torch
from torch import nn

from millpond.level.regressor import LevelRegressor

LAYER = "layer1"
"""Of the ResNet: its maps have a quarter of the image's resolution. At the end, where Grad-CAM is usual, an image of 64
pixels is 2 x 2, too coarse for a shore."""

SHORE = (0.05, 0.95)
"""Pixels that are wet in more than the first and less than the second share of the dates are the shore."""


def grad_cam(regressor: LevelRegressor, images: np.ndarray, layer: str = LAYER) -> np.ndarray:
    """How much each place of an image moves the estimate, up or down.

    The mean gradient of the level with respect to each map of a layer weighs the map; what is usually cut off below
    zero, since it speaks against a class, is kept here, since a level may also be lowered.

    Parameters
    ----------
    regressor : LevelRegressor
        Fitted.
    images : (n, n_bands, rows, cols) array
    layer : str
        A part of `LevelNet.resnet`.

    Returns
    -------
    (n, rows, cols) float array
        0 or more; each map sums to 1.
    """
    network = regressor.network_.eval()
    seen = {}

    def keep(module: nn.Module, given: tuple, maps: torch.Tensor) -> None:
        seen["maps"] = maps
        maps.retain_grad()

    hook = network.resnet.get_submodule(layer).register_forward_hook(keep)
    try:
        scaled = torch.as_tensor(regressor.scaled(images)).to(next(network.parameters()).device)
        network(scaled).sum().backward()
    finally:
        hook.remove()
        network.zero_grad()
    weights = seen["maps"].grad.mean(dim=(2, 3), keepdim=True)
    moved = (weights * seen["maps"]).sum(dim=1, keepdim=True).abs().detach()
    moved = nn.functional.interpolate(moved, images.shape[2:], mode="bilinear")[:, 0].cpu().numpy()
    return moved / np.maximum(moved.sum(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)


def share_on_shore(maps: np.ndarray, water: np.ndarray) -> tuple[float, float]:
    """Mean share of Grad-CAM on pixels that the water sometimes covers, and these pixels' share of the image.

    Parameters
    ----------
    maps : (n, rows, cols) array
    water : (n_dates, rows, cols) bool array
        Of all dates.
    """
    often = water.mean(axis=0)
    shore = (often > SHORE[0]) & (often < SHORE[1])
    return float(maps[:, shore].sum(axis=1).mean()), float(shore.mean())
