"""Speed of the LSTM-CNN room: training against a bare PyTorch loop in the same run, and reading the data sets.

The ratio is that of medians over interleaved repetitions; above 1 means faster than the loop.
"""

import statistics
import time

import numpy as np
import torch
import torchvision.datasets  # noqa: F401  (imported once a process; its seconds are not those of reading)
from torch import nn

from millpond import datasets
from millpond.lstm_cnn import SequenceClassifier, build_network
from millpond.lstm_cnn.datasets import load_idc, load_mnist

N_IMAGES, BATCH, REPEATS = 12_800, 128, 5


def by_hand(images: torch.Tensor, labels: torch.Tensor) -> None:
    """An epoch as one would write it: the same network, optimizer, batches and device."""
    torch.manual_seed(0)
    network = build_network("lstm-cnn", tuple(images.shape[1:]), 10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for chosen in torch.randperm(len(images)).split(BATCH):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()


def compare_training() -> float:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N_IMAGES, 1, 28, 28), dtype=np.uint8)
    labels = np.arange(N_IMAGES) % 10
    tensors = torch.as_tensor(images), torch.as_tensor(labels)
    ours, theirs = [], []
    for repeat in range(REPEATS + 1):
        for function, own in (
            (lambda: SequenceClassifier(max_epochs=1, batch_size=BATCH, device="cpu").fit(images, labels), ours),
            (lambda: by_hand(*tensors), theirs),
        ):
            start = time.perf_counter()
            function()
            if repeat:
                own.append(time.perf_counter() - start)
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(f"training throughput, SequenceClassifier / bare PyTorch loop: {ratio:.2f} (at least 0.9)")
    return ratio


def seconds(what: str, limit: float, function) -> None:
    start = time.perf_counter()
    n = len(function())
    print(f"{what}: {n:,} images in {time.perf_counter() - start:.2f} s (limit {limit:g} s)")


def main() -> None:
    compare_training()
    if datasets.is_present("mnist"):
        seconds("MNIST, 60,000 training digits decoded", 1, lambda: load_mnist("train"))
    if datasets.is_present("idc"):
        seconds("IDC zip read and decoded", 15, lambda: load_idc(cached=False))
        load_idc()
        seconds("IDC from the cache", 15, load_idc)


if __name__ == "__main__":
    main()
