"""The study's networks: an image, read row by row as a sequence, through recurrent and convolutional layers.

Source: Aditi, Nagda and Poovammal 2019, doi:10.35940/ijeat.F8602.088619, section III and Fig. 3. The study states the
order of the layers, not their sizes; `Sizes` has ours, and all networks share them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from millpond.lstm_cnn.errors import ClassificationError

NETWORKS = ("lstm-cnn", "cnn-lstm", "lstm", "cnn", "lstm-cnn-3")
"""The study's hybrid, the same layers the other way round, each kind alone, and three hybrids on top of each other."""

SEQUENCES = ("rows", "columns")


@dataclass(frozen=True)
class Sizes:
    """Sizes of the layers, the same in every network; the study states none of them.

    Attributes
    ----------
    hidden : int
        Units of an LSTM layer.
    filters : int
        Of a convolution.
    kernel : int
        Steps of the sequence that a filter sees; odd, so that the sequence keeps its length.
    dropout : float
        Share of values that are dropped in training, after the LSTM and after the convolution.
    """

    hidden: int = 128
    filters: int = 64
    kernel: int = 3
    dropout: float = 0.3


def build_network(
    name: str,
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    sizes: Sizes = Sizes(),
    sequence: str = "rows",
) -> nn.Sequential:
    """Build a network of the study.

    Every channel of the image is normalized over the batch (the axis that the study leaves open). The image becomes a
    sequence of its rows, all channels of a row side by side. What the layers make of the sequence, all its steps, goes
    into a dense layer; its softmax is left to the loss.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    input_shape : (channels, rows, cols)
    n_classes : int
    sizes : Sizes
    sequence : "rows" or "columns"
        What is a step of the sequence.

    Returns
    -------
    torch.nn.Sequential
        From (n, channels, rows, cols) to (n, n_classes) logits.

    Raises
    ------
    ClassificationError
        If a name is unknown or a size is out of its range.
    """
    if name not in NETWORKS:
        raise ClassificationError(f"network {name!r} found, one of {', '.join(NETWORKS)} expected.")
    if sequence not in SEQUENCES:
        raise ClassificationError(f"sequence of {sequence!r} found, one of {', '.join(SEQUENCES)} expected.")
    if sizes.kernel % 2 == 0 or min(sizes.hidden, sizes.filters, sizes.kernel, n_classes, *input_shape) < 1:
        raise ClassificationError(
            f"{sizes} for images of shape {input_shape} and {n_classes} classes found, sizes of 1 or more and an odd "
            "kernel expected."
        )
    channels, rows, cols = input_shape
    steps, across = (rows, cols) if sequence == "rows" else (cols, rows)
    layers: list[nn.Module] = [AsFloat(), nn.BatchNorm2d(channels), ToSequence(sequence)]
    width = channels * across
    repeats = 3 if name == "lstm-cnn-3" else 1
    for kind in name.removesuffix("-3").split("-") * repeats:
        layer = Recurrent if kind == "lstm" else Convolution
        layers += [layer(width, sizes), nn.Dropout(sizes.dropout)]
        width = sizes.hidden if kind == "lstm" else sizes.filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(steps * width, n_classes))


class AsFloat(nn.Module):
    """Bytes 0..255 to float 0..1; so images stay bytes until their batch is due."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float() / 255 if images.dtype == torch.uint8 else images


class ToSequence(nn.Module):
    """(n, channels, rows, cols) to (n, steps, channels x values): a step is a row or a column of the image."""

    def __init__(self, sequence: str):
        super().__init__()
        self.order = (0, 2, 1, 3) if sequence == "rows" else (0, 3, 1, 2)

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(self.order).flatten(2)


class Recurrent(nn.Module):
    """(n, steps, width) to (n, steps, hidden): an LSTM with tanh, equations (1) to (6) of the study."""

    def __init__(self, width: int, sizes: Sizes):
        super().__init__()
        self.lstm = nn.LSTM(width, sizes.hidden, batch_first=True)

    def forward(self, sequence: Tensor) -> Tensor:
        return self.lstm(sequence)[0]


class Convolution(nn.Module):
    """(n, steps, width) to (n, steps, filters): a convolution along the sequence, and ReLU."""

    def __init__(self, width: int, sizes: Sizes):
        super().__init__()
        self.convolution = nn.Conv1d(width, sizes.filters, sizes.kernel, padding=sizes.kernel // 2)

    def forward(self, sequence: Tensor) -> Tensor:
        return torch.relu(self.convolution(sequence.transpose(1, 2))).transpose(1, 2)


def n_parameters(network: nn.Module) -> int:
    """Numbers that training adjusts."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
