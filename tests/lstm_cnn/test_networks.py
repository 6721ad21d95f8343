from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.networks import (
    NETWORKS,
    OPPONENTS,
    Recurrent,
    Sizes,
    ToSequence,
    build_network,
    n_parameters,
    operations,
    sizes_of_equal_count,
)

SMALL = Sizes(hidden=5, filters=4, kernel=3, dropout=0.0)


def test_a_cell_by_the_studys_equations_is_torchs():
    torch.manual_seed(0)
    layer = Recurrent(3, SMALL).double()
    x = torch.randn(1, 7, 3, dtype=torch.float64)
    parameters = {name: value.detach().numpy() for name, value in layer.lstm.named_parameters()}
    # torch stacks the gates: input, forget, cell, output; W acts on [h, x]
    w = np.hstack([parameters["weight_hh_l0"], parameters["weight_ih_l0"]]).reshape(4, 5, 8)
    b = (parameters["bias_hh_l0"] + parameters["bias_ih_l0"]).reshape(4, 5)
    h = c = np.zeros(5)
    for step, x_t in enumerate(x[0].numpy()):
        z = w @ np.concatenate([h, x_t]) + b
        i, f, o = (1 / (1 + np.exp(-z[k])) for k in (0, 1, 3))  # (2), (1), (5)
        c = f * c + i * np.tanh(z[2])  # (3), (4)
        h = o * np.tanh(c)  # (6)
        np.testing.assert_allclose(layer(x)[0, step].detach().numpy(), h, rtol=1e-12)


def test_a_step_is_a_row_or_a_column_with_all_its_channels():
    image = torch.arange(12.0).reshape(1, 2, 2, 3)  # two channels, two rows, three columns
    assert ToSequence("rows")(image)[0].tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]
    assert ToSequence("columns")(image)[0].tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sequence", ["rows", "columns"])
def test_every_network_turns_images_into_logits(name, sequence):
    network = build_network(name, (3, 6, 10), 4, sizes=SMALL, sequence=sequence)
    assert network(torch.rand(2, 3, 6, 10)).shape == (2, 4)


def test_parameters_are_those_counted_by_hand():
    bands, dense = 2 * 1, 28 * 4 * 10 + 10
    convolution, lstm = 28 * 3 * 4 + 4, 4 * (5 * (28 + 5) + 2 * 5)
    counted = {name: n_parameters(build_network(name, (1, 28, 28), 10, sizes=SMALL)) for name in NETWORKS}
    assert counted["cnn"] == bands + convolution + dense
    assert counted["lstm"] == bands + lstm + 28 * 5 * 10 + 10
    assert counted["lstm-cnn"] == bands + lstm + (5 * 3 * 4 + 4) + dense
    assert counted["cnn-lstm"] == bands + convolution + 4 * (5 * (4 + 5) + 2 * 5) + 28 * 5 * 10 + 10
    second = 4 * (5 * (4 + 5) + 2 * 5) + 5 * 3 * 4 + 4
    assert counted["lstm-cnn-3"] == counted["lstm-cnn"] + 2 * second


def test_bytes_are_the_same_as_their_floats():
    network = build_network("cnn", (1, 4, 4), 2, sizes=SMALL).eval()
    images = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(network(images), network(images.float() / 255))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "gru"}, r"network 'gru' found, one of lstm-cnn, .* expected"),
        ({"sequence": "diagonals"}, "sequence of 'diagonals' found, one of rows, columns expected"),
        ({"sizes": Sizes(kernel=4)}, r"kernel=4.* found, sizes of 1 or more and an odd kernel expected"),
        ({"n_classes": 0}, "and 0 classes found"),
    ],
)
def test_networks_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ClassificationError, match=message):
        build_network(**{"name": "cnn", "input_shape": (1, 4, 4), "n_classes": 2} | arguments)


def test_convolutions_in_the_plane_see_no_rows():
    network = build_network("cnn-2d", (3, 6, 10), 4, sizes=SMALL)
    assert network(torch.rand(2, 3, 6, 10)).shape == (2, 4)
    # filters 1, 2, 4; 1 x 2 values of each of the last four
    assert n_parameters(network) == 2 * 3 + (3 * 9 + 1) * 1 + (9 + 1) * 2 + (2 * 9 + 1) * 4 + 8 * 4 + 4


@pytest.mark.parametrize("name", [*NETWORKS, *OPPONENTS])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 50, 50)])
def test_networks_of_equal_count_have_nearly_as_many_parameters(name, shape):
    wanted = n_parameters(build_network("lstm-cnn", shape, 10))
    sizes = sizes_of_equal_count(name, shape, 10, like="lstm-cnn")
    assert n_parameters(build_network(name, shape, 10, sizes=sizes)) == pytest.approx(wanted, rel=0.025)
    off = abs(n_parameters(build_network(name, shape, 10, sizes=sizes)) - wanted)
    for filters in (sizes.filters - 1, sizes.filters + 1):
        other = replace(sizes, filters=filters, hidden=filters * 2)
        assert abs(n_parameters(build_network(name, shape, 10, sizes=other)) - wanted) >= off


def test_operations_are_those_counted_by_hand():
    # a step: four gates from 4 values of the row and 5 of before; three steps of five values into four filters
    lstm, convolution, dense = 2 * 6 * 4 * 5 * (4 + 5), 2 * 6 * 4 * 5 * 3, 2 * 6 * 4 * 3
    assert operations("lstm-cnn", (1, 6, 4), 3, sizes=SMALL) == lstm + convolution + dense
    assert operations("cnn", (1, 6, 4), 3, sizes=SMALL) == 2 * 6 * 4 * 4 * 3 + dense
    in_plane = 2 * 9 * (6 * 1 * 1 + 2 * 1 * 2 + 1 * 2 * 4) + 2 * 4 * 3  # at 3 x 2, 2 x 1 and 1 x 1 places
    assert operations("cnn-2d", (1, 6, 4), 3, sizes=SMALL) == in_plane


def test_the_chapters_table_of_choices_tells_the_default_sizes():
    text = (Path(__file__).parents[2] / "notebooks/lstm_cnn/01_four_networks.py").read_text("utf-8")
    told = Sizes()
    assert f"| units of the LSTM | {told.hidden} |" in text
    assert f"| filters, and steps that a filter sees | {told.filters}, {told.kernel} |" in text
    assert f"| dropout | {told.dropout:g} after each layer" in text
