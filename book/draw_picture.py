"""Draw the picture of the README: one real scene under four of the eight normalizations."""

from pathlib import Path

import matplotlib.pyplot as plt

from millpond import plots
from millpond.normalization import BandHistogram, fit_normalization
from millpond.normalization.samples import read_sample

SHOWN = {
    "min-max": "min-max",
    "p1-p99-bounded": "1st to 99th percentile",
    "dynamic-world-30-95": "Dynamic World, no log",
    "equalization": "equalization",
}


def main() -> None:
    plots.use_style()
    dn = read_sample("virginia")
    histogram = BandHistogram.from_array(dn, offset=0)
    fig, axes = plt.subplots(1, 4, figsize=(8, 2.3))
    for ax, (name, title) in zip(axes, SHOWN.items(), strict=True):
        normalized = fit_normalization(name, histogram).transform(dn[:, 300:1200:4, 500:1400:4])
        plots.show_composite(ax, normalized[[3, 2, 1]], title)
    fig.savefig(Path(__file__).parent / "_static" / "four-normalizations.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
