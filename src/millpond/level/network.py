"""The study's network: a ResNet-34 that reads the level off an image, and attention in front of it.

Source: Wu et al. 2023, doi:10.3390/rs15245740, section 3.3 and Figs. 5 and 6; attention as in Woo et al. 2018,
doi:10.1007/978-3-030-01234-2_1, which its description follows.
"""

import torch
from torch import Tensor, nn
from torchvision.models import resnet34

from millpond.level.errors import LevelError

ATTENTIONS = (None, "channel", "channel-spatial")
"""The study's plain network, CAM and CSAM."""


class LevelNet(nn.Module):
    """An image to one number: the level between the lowest (0) and the highest (1) of the training.

    Parameters
    ----------
    in_channels : int
        Bands.
    attention : None, "channel" or "channel-spatial"
    attention_width : int, optional
        Of the hidden layer of the channel attention; by default as many as bands.

    Raises
    ------
    LevelError
        If there is no such attention, or no band.
    """

    def __init__(self, in_channels: int = 3, attention: str | None = None, attention_width: int | None = None):
        super().__init__()
        if attention not in ATTENTIONS or in_channels < 1:
            raise LevelError(
                f"attention={attention!r} for {in_channels} bands found, one of {', '.join(map(str, ATTENTIONS))} and "
                "one band or more expected."
            )
        layers = {"channel": ChannelAttention(in_channels, attention_width)} if attention else {}
        if attention == "channel-spatial":
            layers["spatial"] = SpatialAttention()
        self.attention = nn.Sequential()
        for name, layer in layers.items():
            self.attention.add_module(name, layer)
        self.resnet = resnet34(weights=None, num_classes=1)
        self.resnet.conv1 = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.resnet.conv1.weight, mode="fan_out", nonlinearity="relu")  # as the others' are

    def forward(self, images: Tensor) -> Tensor:
        """(n, in_channels, rows, cols) to (n,)."""
        return self.resnet(self.attention(images)).squeeze(1)

    @torch.no_grad()
    def attention_weights(self, images: Tensor) -> dict[str, Tensor]:
        """What the attention multiplies with, from 0 to 1: `channel` (n, in_channels), `spatial` (n, rows, cols)."""
        weights = {}
        for name, layer in self.attention.named_children():
            weights[name] = layer.weights(images).squeeze((2, 3) if name == "channel" else 1)
            images = layer(images)
        return weights


class ChannelAttention(nn.Module):
    """CAM: weigh each band by what its largest and its mean value tell.

    The study doesn't state how wide the hidden layer is. A ratio of 16, as for the hundreds of channels within a
    network, would leave nothing of two or three bands; unless stated it is as wide as there are bands.
    """

    def __init__(self, channels: int, width: int | None = None):
        super().__init__()
        width = width or channels
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, channels))

    def weights(self, images: Tensor) -> Tensor:
        """(n, channels, rows, cols) to (n, channels, 1, 1)."""
        largest, mean = images.amax(dim=(2, 3)), images.mean(dim=(2, 3))
        return torch.sigmoid(self.mlp(largest) + self.mlp(mean))[:, :, None, None]

    def forward(self, images: Tensor) -> Tensor:
        return images * self.weights(images)


class SpatialAttention(nn.Module):
    """Weigh each pixel by the largest and the mean of the bands around it."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def weights(self, images: Tensor) -> Tensor:
        """(n, channels, rows, cols) to (n, 1, rows, cols)."""
        seen = torch.cat([images.amax(dim=1, keepdim=True), images.mean(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.convolution(seen))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.weights(images)
