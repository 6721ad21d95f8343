"""Speed of the level room: training against a bare PyTorch loop in the same run, reading Itoiz, and predicting.

The ratio is that of medians over interleaved repetitions; above 1 means that `LevelRegressor` is the faster one.
"""

import resource
import statistics
import time

import numpy as np
import torch
from torch import nn

from millpond import datasets
from millpond.level import LevelNet, LevelRegressor, read_scenes

N_CHIPS, BATCH, REPEATS = 96, 8, 3


def by_hand(images: torch.Tensor, levels: torch.Tensor) -> None:
    """An epoch as one would write it: the same network, optimizer and batches, on scaled tensors."""
    torch.manual_seed(0)
    network = LevelNet(images.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for chosen in torch.randperm(len(images)).split(BATCH):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(images[chosen]), levels[chosen])
        loss.backward()
        optimizer.step()


def compare_training() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(N_CHIPS, 3, 64, 64)).astype(np.float32)
    levels = rng.uniform(size=N_CHIPS)
    tensors = torch.as_tensor(images), torch.as_tensor(levels, dtype=torch.float32)
    ours, theirs = [], []
    for repeat in range(REPEATS + 1):
        for function, own in (
            (lambda: LevelRegressor(max_epochs=1, batch_size=BATCH, device="cpu").fit(images, levels), ours),
            (lambda: by_hand(*tensors), theirs),
        ):
            start = time.perf_counter()
            function()
            if repeat:
                own.append(time.perf_counter() - start)
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(
        f"an epoch of {N_CHIPS} chips of 64 x 64, speed of LevelRegressor / speed of a bare PyTorch loop with the same "
        f"network: {ratio:.2f}  (at least 0.9)"
    )

    fitted = LevelRegressor(max_epochs=1, batch_size=BATCH, device="cpu").fit(images, levels)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    many = np.tile(images, (11, 1, 1, 1))[:1000]
    start = time.perf_counter()
    fitted.predict(many)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"levels of 1,000 chips of 64 x 64, predicted in one call: {time.perf_counter() - start:.1f} s; peak memory of "
        f"the process grew by {grown:.0f} MB"
    )


def main() -> None:
    compare_training()
    if datasets.is_present("itoiz"):
        read_scenes(datasets.path("itoiz"))  # rasterio's first import and GDAL's start
        start = time.perf_counter()
        scenes = read_scenes(datasets.path("itoiz"))
        seconds = time.perf_counter() - start
        n_read = len(scenes) + len(scenes.dropped)
        print(f"{n_read} scenes of Itoiz read and masked, {len(scenes)} kept: {seconds:.2f} s  (limit 3 s)")
    else:
        print("reading Itoiz is not measured: itoiz of the data root is missing (set MILLPOND_DATA)")


if __name__ == "__main__":
    main()
