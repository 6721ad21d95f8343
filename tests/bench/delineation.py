"""Speed of field delineation: training against a bare PyTorch loop, and a scene in tiles against one in big chunks.

Ratios are of medians over interleaved repetitions in one run; above 1 means faster than the loop. A small run:
`python tests/bench/delineation.py --patches 8 --side 64 --scene 256 --repeats 1`.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import segmentation_models_pytorch as smp
import torch

from millpond.normalization import BandHistogram, fit_normalization
from millpond.normalization.delineation import DelineationLoss, FieldSegmenter
from millpond.normalization.histogram import DEFAULT_BANDS
from millpond.normalization.tiles import predict_scene
from millpond.training import Batches, as_batch, seeded

BATCH = 8


def landscape(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Digital numbers (n, 4, side, side) of rectangular fields, and their parcels."""
    rng = np.random.default_rng(0)
    line = np.arange(side) // 17
    parcels = np.tile(line[:, None] * (line.max() + 1) + line + 1, (n, 1, 1)).astype(np.int32)
    brightness = rng.uniform(500, 4000, (n, 4, parcels.max() + 1))
    dn = np.take_along_axis(brightness, parcels.reshape(n, 1, -1), axis=2).reshape(n, 4, side, side)
    return (dn * rng.lognormal(0, 0.05, dn.shape)).astype(np.uint16), parcels


def by_hand(normalized: torch.Tensor, targets: torch.Tensor) -> None:
    """An epoch as one would write it: the same network, loss, optimizer and batches, on normalized tensors."""
    with seeded(0):
        network = smp.Unet("resnet18", encoder_weights=None, in_channels=4, classes=3)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
        criterion = DelineationLoss()
        for chosen in torch.randperm(len(normalized)).split(BATCH):
            optimizer.zero_grad()
            criterion(network(normalized[chosen]), targets[chosen]).backward()
            optimizer.step()


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare_training(n_patches: int, side: int, repeats: int) -> FieldSegmenter:
    dn, parcels = landscape(n_patches, side)
    normalization = fit_normalization("p1-p99", BandHistogram.from_array(dn.swapaxes(0, 1).reshape(4, -1, side)))
    model = FieldSegmenter(normalization, max_epochs=1, batch_size=BATCH, device="cpu")
    targets = torch.as_tensor(model._targets(parcels))
    normalized = torch.as_tensor(normalization.transform(dn))
    ours, theirs = [], []
    for repeat in range(repeats + 1):  # the first is a warm-up
        # targets are made once a fit, not once an epoch: only the epoch is compared, and building the network in both
        model.fit(dn, parcels)
        built = seconds(lambda: smp.Unet("resnet18", encoder_weights=None, in_channels=4, classes=3))
        spent = seconds(lambda: by_hand(normalized, targets)) - built
        if repeat:
            ours.append(model.history_[0]["dur"])
            theirs.append(spent)
    epoch = statistics.median(ours)
    ratio = statistics.median(theirs) / epoch
    print(f"training throughput, FieldSegmenter / bare PyTorch loop: {ratio:.2f} (at least 0.9)")

    loader = torch.utils.data.DataLoader(Batches(dn, targets), BATCH, shuffle=True, collate_fn=as_batch)
    first = model.network_.first
    waited = statistics.median(seconds(lambda: [first(X) for X, _ in loader]) for _ in range(5))
    print(f"share of an epoch spent on loading and normalizing: {waited / epoch:.1%} (limit 5%)")
    made = seconds(lambda: model._targets(parcels)) / n_patches
    print(f"targets of a patch of {side} x {side}: {made * 1000:.1f} ms, once a fit")
    return model


def write_scene(path: Path, side: int) -> None:
    dn, _ = landscape(1, side)
    profile = {"driver": "GTiff", "tiled": True, "compress": "deflate", "count": 4, "dtype": "uint16"}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000)}
    with rasterio.open(path, "w", height=side, width=side, **profile) as dataset:
        dataset.write(dn[0])
        dataset.descriptions = DEFAULT_BANDS


def in_chunks(model: FieldSegmenter, path: Path, chunk: int) -> np.ndarray:
    """The scene in big pieces without margins, as one would who doesn't mind seams."""
    with rasterio.open(path) as dataset:
        dn = dataset.read()
    network = model.network_.eval()
    out = np.empty((3, *dn.shape[1:]), np.float32)
    with torch.no_grad():
        for row in range(0, dn.shape[1], chunk):
            for col in range(0, dn.shape[2], chunk):
                piece = np.s_[:, row : row + chunk, col : col + chunk]
                out[piece] = network(torch.as_tensor(dn[piece].copy())[None])[0].sigmoid().numpy()
    return out


def peak_memory_mb(code: str, *arguments: str) -> float:
    """Peak resident memory (Linux) of a fresh process, imports included."""
    code += "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    run = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return int(run.stdout) / 1024


_TILED = (
    "import sys\nfrom millpond.normalization.delineation import FieldSegmenter\n"
    "from millpond.normalization.tiles import predict_scene\nmodel = FieldSegmenter.load(sys.argv[1])\n"
    "if len(sys.argv) > 2: predict_scene(model, *sys.argv[2:4], tile=int(sys.argv[4]), progress=False)"
)


def compare_inference(model: FieldSegmenter, side: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene, out, saved = (Path(folder) / name for name in ("scene.tif", "out.tif", "model"))
        write_scene(scene, side)
        model.save(saved)
        chunk = 1024
        piece = Path(folder) / "piece.tif"
        write_scene(piece, min(side, chunk))
        at_once = in_chunks(model, piece, chunk)
        theirs = statistics.median(seconds(lambda: in_chunks(model, scene, chunk)) for _ in range(repeats))
        for tile, overlap in ((256, 32), (256, 64), (512, 64), (512, 96)):
            settings = {"tile": tile, "overlap": overlap, "progress": False}
            ours = statistics.median(
                seconds(partial(predict_scene, model, scene, out, **settings)) for _ in range(repeats)
            )
            share = (1 + 2 * overlap / tile) ** -2
            print(
                f"scene of {side} x {side}, tiles of {tile} + 2 x {overlap}: {theirs / ours:.2f} of the speed of "
                f"chunks of {chunk} without margins ({share:.2f} by the area read), {ours:.1f} s"
            )
            # what the network gives for a piece in one go, and the same piece in tiles
            off = np.abs(predict_scene(model, piece, **settings) - at_once)
            print(
                f"    off that of {at_once.shape[1]} x {at_once.shape[2]} at once: {off.mean():.1e} on average, "
                f"{off.max():.1e} at most"
            )
        large = Path(folder) / "large.tif"
        write_scene(large, 2 * side)
        base = peak_memory_mb(_TILED, str(saved))
        for tile in (256, 512):
            peak, of_large = (
                peak_memory_mb(_TILED, str(saved), str(path), str(out), str(tile)) for path in (scene, large)
            )
            print(
                f"peak memory, tiles of {tile}: {peak:.0f} MB, of which {base:.0f} MB before the first tile; "
                f"{of_large / peak:.2f} times as much for four times the scene (limit 1.1)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=32)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--scene", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    model = compare_training(wanted.patches, wanted.side, wanted.repeats)
    compare_inference(model, wanted.scene, wanted.repeats)


if __name__ == "__main__":
    main()
