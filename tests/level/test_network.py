import numpy as np
import pytest
import torch

from millpond.level.errors import LevelError
from millpond.level.network import ATTENTIONS, ChannelAttention, LevelNet, SpatialAttention


@pytest.fixture(autouse=True)
def one_seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("bands", [1, 2, 3])
def test_images_of_any_size_and_bands_become_one_number_each(attention, bands):
    net = LevelNet(bands, attention).eval()
    assert net(torch.rand(2, bands, 40, 33)).shape == (2,)


def test_parameters_are_those_of_resnet_34_and_its_attention():
    def count(net):
        return sum(parameter.numel() for parameter in net.parameters())

    plain = 21_797_672 - 513_000 + 513  # torchvision's, with one output in place of a thousand
    assert count(LevelNet(3)) == plain
    assert count(LevelNet(2)) == plain - 64 * 49
    assert count(LevelNet(3, "channel")) == plain + 2 * (3 * 3 + 3)
    assert count(LevelNet(3, "channel-spatial")) == plain + 2 * (3 * 3 + 3) + 2 * 49


def test_channel_attention_by_hand():
    layer = ChannelAttention(2)
    with torch.no_grad():
        for linear, weight, bias in (
            (layer.mlp[0], [[1.0, 0], [0, -1]], [0.0, 1]),
            (layer.mlp[2], [[1.0, 1], [0, 2]], [0.0, 0]),
        ):
            linear.weight.copy_(torch.tensor(weight))
            linear.bias.copy_(torch.tensor(bias))
    image = torch.tensor([[[[1.0, 3]], [[0.0, 0.5]]]])  # largest 3 and 0.5, means 2 and 0.25
    hidden = np.maximum([[3, 1 - 0.5], [2, 1 - 0.25]], 0)
    outputs = np.array([[row[0] + row[1], 2 * row[1]] for row in hidden]).sum(axis=0)
    expected = 1 / (1 + np.exp(-outputs))
    np.testing.assert_allclose(layer.weights(image).detach().numpy()[0, :, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(layer(image).detach().numpy()[0, 0, 0], [expected[0], 3 * expected[0]], rtol=1e-6)


def test_spatial_attention_by_hand():
    layer = SpatialAttention()
    with torch.no_grad():
        layer.convolution.weight.zero_()
        layer.convolution.weight[0, 0, 3, 3] = 2.0  # the largest band of the pixel itself
        layer.convolution.weight[0, 1, 3, 4] = -1.0  # the mean of its neighbour to the right
    image = torch.tensor([[[[1.0, 0.0]], [[0.0, 4.0]]]])
    expected = 1 / (1 + np.exp(-np.array([2 * 1 - 2, 2 * 4 - 0])))
    np.testing.assert_allclose(layer.weights(image).detach().numpy()[0, 0, 0], expected, rtol=1e-6)


def test_attention_can_be_looked_at():
    net = LevelNet(3, "channel-spatial").eval()
    images = torch.rand(2, 3, 32, 32)
    found = net.attention_weights(images)
    assert found["channel"].shape == (2, 3)
    assert found["spatial"].shape == (2, 32, 32)
    attended = images * found["channel"][:, :, None, None] * found["spatial"][:, None]
    torch.testing.assert_close(net.attention(images), attended)
    assert LevelNet(3).attention_weights(images) == {}


@pytest.mark.parametrize("arguments", [(3, "spatial"), (0, None)])
def test_networks_that_cannot_be_are_refused(arguments):
    with pytest.raises(LevelError, match="found, one of None, channel, channel-spatial and one band or more expected"):
        LevelNet(*arguments)
