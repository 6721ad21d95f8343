"""Speed of the normalization room as ratios against named peers, measured in one run.

Each figure is the ratio of medians over interleaved repetitions; a ratio below 1 means faster than the peer.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from millpond.datasets import virginia_scene
from millpond.normalization import NORMALIZATIONS, BandHistogram, fit_normalization
from millpond.normalization.histogram import DEFAULT_BANDS
from millpond.normalization.parcels import simulate_patch
from millpond.raster import open_raster

SIDE = 7746  # 4 bands of 7746 x 7746 pixels are 240 million samples
REPEATS = 5


def median_seconds(*functions):
    """Median of each function's times over interleaved repetitions, after one warm-up."""
    times = [[] for _ in functions]
    for repeat in range(REPEATS + 1):
        for function, own in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if repeat:
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def read_blocks(path: Path) -> None:
    with rasterio.open(path) as dataset:
        for _, window in dataset.block_windows(1):
            dataset.read(window=window)


def write_big_scene(path: Path, dn: np.ndarray) -> None:
    """The real scene repeated in both directions until it has the size of a large product."""
    times = -(-SIDE // min(dn.shape[1:]))
    big = np.tile(dn, (1, times, times))[:, :SIDE, :SIDE]
    profile = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    profile |= {"count": len(big), "height": SIDE, "width": SIDE, "dtype": "uint16", "BIGTIFF": "YES"}
    profile |= {"crs": "EPSG:32618", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0), "num_threads": "all_cpus"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(big)
        dataset.descriptions = DEFAULT_BANDS


def peak_memory_mb(path: Path) -> float:
    """Peak resident memory (Linux) of a fresh process that counts the file, imports included."""
    code = (
        "from millpond.normalization import BandHistogram\n"
        f"BandHistogram.from_rasters({os.fspath(path)!r})\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(run.stdout) / 1024


def main() -> None:
    scene = {band: path for band, path in virginia_scene().items() if band in DEFAULT_BANDS}
    with open_raster(scene, DEFAULT_BANDS) as raster:
        dn = raster.read()
    histogram = BandHistogram.from_array(dn)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.tif"
        write_big_scene(path, dn)
        counted, read = median_seconds(lambda: BandHistogram.from_rasters(path), lambda: read_blocks(path))
        print(
            f"histogram of 240 million samples / reading their blocks with rasterio: {counted / read:.2f}  (limit 1.6)"
        )
        print(f"peak memory of that histogram: {peak_memory_mb(path):.0f} MB  (limit 600 MB)")

    pixels = np.tile(dn[:, :1936, :1936].reshape(4, -1), (1, 5))[:, :15_000_000].reshape(4, 3000, 5000)
    for name in NORMALIZATIONS:
        normalization = fit_normalization(name, histogram)
        _ = normalization.table

        def copy_and_scale():
            return pixels.astype(np.float32) * np.float32(1e-4)

        ours, copied = median_seconds(lambda n=normalization: n.transform(pixels), copy_and_scale)
        print(f"{name} of 60 million pixels / numpy copy and scale: {ours / copied:.2f}  (limit 2.5)")

    table_dn = np.arange(65536)

    def interpolate():
        return [np.interp(band, table_dn, row) for band, row in zip(pixels, normalization.table, strict=True)]

    ours, interpolated = median_seconds(lambda: normalization.transform(pixels), interpolate)
    print(f"numpy.interp / equalization of 60 million pixels: {interpolated / ours:.1f}  (at least 10)")

    rng = np.random.default_rng(0)

    def simulate():
        for day in range(90, 250, 8):
            simulate_patch(48, 10, day, size=128, rng=rng)

    def smooth():  # what a mosaic of eight classes costs, with a textbook's smooth noise
        for _ in range(20):
            gaussian_filter(rng.standard_normal((8, 128, 128), np.float32), (0, 24, 24))

    with threadpool_limits(1):
        simulated, smoothed = median_seconds(simulate, smooth)
    print(f"a simulated patch of 128 x 128 / its noise by scipy.ndimage: {simulated / smoothed:.2f}  (limit 1)")
    print(f"that is {20 / simulated:.0f} patches a second on one core  (at least 40)")


if __name__ == "__main__":
    main()
