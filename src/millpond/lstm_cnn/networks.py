"""The study's networks: an image, read row by row as a sequence, through recurrent and convolutional layers.

Source: Aditi, Nagda and Poovammal 2019, doi:10.35940/ijeat.F8602.088619, section III and Fig. 3. The study states the
order of the layers, not their sizes; `Sizes` has ours, and all networks share them.
"""

import itertools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from millpond.lstm_cnn.errors import ClassificationError

NETWORKS = ("lstm-cnn", "cnn-lstm", "lstm", "cnn", "lstm-cnn-3")
"""The study's hybrid, the same layers the other way round, each kind alone, and three hybrids on top of each other."""

OPPONENTS = ("cnn-2d",)
"""Not in the study: convolutions over the plane of the image, which is what "CNN" means elsewhere."""

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

    Every channel of the image is normalized over the batch: the study normalizes "every feature map" separately. The
    image becomes a sequence of its rows, all channels of a row side by side. What the layers make of the sequence, all
    its steps, goes into a dense layer; its softmax is left to the loss.

    Parameters
    ----------
    name : str
        One of `NETWORKS` or `OPPONENTS`.
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
    if name not in NETWORKS + OPPONENTS:
        raise ClassificationError(
            f"network {name!r} found, one of {', '.join(NETWORKS + OPPONENTS)} expected. Choose one."
        )
    if sequence not in SEQUENCES:
        raise ClassificationError(
            f"sequence of {sequence!r} found, one of {', '.join(SEQUENCES)} expected. Choose one."
        )
    if sizes.kernel % 2 == 0 or min(sizes.hidden, sizes.filters, sizes.kernel, n_classes, *input_shape) < 1:
        raise ClassificationError(
            f"{sizes} for images of shape {input_shape} and {n_classes} classes found, sizes of 1 or more and an odd "
            "kernel expected."
        )
    channels, rows, cols = input_shape
    if name == "cnn-2d":
        return _in_the_plane(input_shape, n_classes, sizes)
    steps, across = (rows, cols) if sequence == "rows" else (cols, rows)
    layers: list[nn.Module] = [AsFloat(), nn.BatchNorm2d(channels), ToSequence(sequence)]
    width = channels * across
    repeats = 3 if name == "lstm-cnn-3" else 1
    for kind in name.removesuffix("-3").split("-") * repeats:
        layer = Recurrent if kind == "lstm" else Convolution
        layers += [layer(width, sizes), nn.Dropout(sizes.dropout)]
        width = sizes.hidden if kind == "lstm" else sizes.filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(steps * width, n_classes))


def _in_the_plane(input_shape: tuple[int, int, int], n_classes: int, sizes: Sizes) -> nn.Sequential:
    """Three convolutions with ReLU and dropout, each at half the resolution of the one before and twice as wide."""
    width, rows, cols = input_shape
    layers: list[nn.Module] = [AsFloat(), nn.BatchNorm2d(width)]
    for filters in (math.ceil(sizes.filters / 4), math.ceil(sizes.filters / 2), sizes.filters):
        convolution = nn.Conv2d(width, filters, sizes.kernel, stride=2, padding=sizes.kernel // 2)
        layers += [convolution, nn.ReLU(), nn.Dropout(sizes.dropout)]
        width, rows, cols = filters, math.ceil(rows / 2), math.ceil(cols / 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * rows * cols, n_classes))


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


def sizes_of_equal_count(name: str, input_shape: tuple[int, int, int], n_classes: int, *, like: str) -> Sizes:
    """Sizes that give a network as nearly as possible as many parameters as another has with the sizes of `Sizes()`.

    "Identical parameters" may mean layers of the same sizes, or as many numbers to adjust; this is the second. Hidden
    units and filters keep their proportion.

    Parameters
    ----------
    name, like : str
        The network, and the one whose count it is to have.
    input_shape : (channels, rows, cols)
    n_classes : int
    """

    def count(network: str, filters: int) -> int:
        with torch.device("meta"):  # counts without numbers
            return n_parameters(build_network(network, input_shape, n_classes, sizes=scaled(filters)))

    def scaled(filters: int) -> Sizes:
        return replace(Sizes(), filters=filters, hidden=round(filters * Sizes.hidden / Sizes.filters))

    wanted = count(like, Sizes.filters)
    above = next(filters for filters in itertools.count(1) if count(name, filters) >= wanted)
    return scaled(
        min((above - 1, above), key=lambda filters: abs(count(name, filters) - wanted) if filters else wanted)
    )


def operations(name: str, input_shape: tuple[int, int, int], n_classes: int, *, sizes: Sizes = Sizes()) -> int:
    """Floating-point operations of the matrix products and convolutions that classify one image, a sum and a product
    counted as two; what is done to single values isn't counted."""
    found = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output) -> None:
        weights = sum(weight.numel() for weight in layer.parameters() if weight.ndim > 1)
        if isinstance(layer, nn.LSTM):
            found.append(2 * weights * inputs[0].shape[1])  # at every step
        elif isinstance(layer, nn.Conv1d | nn.Conv2d):
            found.append(2 * weights * output[0, 0].numel())  # at every place
        else:
            found.append(2 * weights)

    network = build_network(name, input_shape, n_classes, sizes=sizes).eval()
    for layer in network.modules():
        if isinstance(layer, nn.LSTM | nn.Conv1d | nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, *input_shape))
    return sum(found)
