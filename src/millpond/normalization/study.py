"""The normalization study's archived runs: how long the tails are, and what each normalization separates."""

from pathlib import Path

import numpy as np
import pandas as pd

from millpond.experiment import run_grid
from millpond.normalization.assessment import long_tail, separability
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import BandHistogram
from millpond.normalization.samples import SAMPLES, read_sample, read_vegetation
from millpond.normalization.transforms import NORMALIZATIONS, fit_normalization

PROFILES = ("quick", "full")
BLOCK_PIXELS = 128
"""Side of the blocks that are resampled: 1.28 km, several fields wide."""


def run(
    profile: str, store: Path, workers: int = 1, scheduler: str | None = None, retry_failed: bool = False
) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick" or "full"
        `quick` takes the bundled scene alone and few resamples, `full` every sample of the data root.
    store : path
        Folder for the archives `long_tail` and `separability`.
    workers, scheduler, retry_failed
        As in `millpond.experiment.run_grid`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise NormalizationError(f"profile {profile!r} found, one of {', '.join(PROFILES)} expected.")
    full = profile == "full"
    common = {"seeds": [0], "workers": workers, "scheduler": scheduler, "retry_failed": retry_failed}
    return {
        "long_tail": run_grid(
            describe_tail,
            [{"sample": name} for name in (SAMPLES if full else ["virginia"])],
            store=Path(store) / "long_tail",
            what="Long tail of the digital numbers of each real L1C sample",
            **common,
        ),
        "separability": run_grid(
            compare_separability,
            [
                {"sample": name, "against": against, "n_resamples": 2000 if full else 200}
                for name in (["virginia", "germany-2017-02-16"] if full else ["virginia"])
                for against in ("land", "everything")
            ],
            store=Path(store) / "separability",
            what="Distance of vegetation from other land, and from everything else, under the eight normalizations",
            **common,
        ),
    }


def describe_tail(sample: str, seed: int = 0) -> list[dict]:
    """`long_tail` of one sample, a row a band (nothing here is random)."""
    histogram = BandHistogram.from_array(read_sample(sample), offset=0)
    return long_tail(histogram).reset_index().to_dict("records")


def compare_separability(sample: str, against: str, n_resamples: int, seed: int = 0) -> list[dict]:
    """`separability` of vegetation in one sample, a row a normalization and band.

    Parameters
    ----------
    sample : str
        One of the samples with labels, see `millpond.normalization.samples.read_vegetation`.
    against : "land" or "everything"
        What vegetation is compared with: other land, or water too.
    n_resamples : int
    seed : int
        Of the resampling.
    """
    dn = read_sample(sample)
    histogram = BandHistogram.from_array(dn, offset=0)
    normalizations = {name: fit_normalization(name, histogram) for name in NORMALIZATIONS}
    inside = read_vegetation(sample, water=against == "everything")
    vegetated, other = counts_by_block(dn, inside)
    table = separability(normalizations, vegetated, other, n_resamples=n_resamples, random_state=seed)
    counts = {"n_blocks": len(vegetated), "n_vegetated": int((inside == 1).sum()), "n_other": int((inside == 0).sum())}
    return table.assign(**counts).to_dict("records")


def counts_by_block(
    dn: np.ndarray, inside: np.ndarray, block_pixels: int = BLOCK_PIXELS
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the digital numbers inside and outside a class, block by block.

    Parameters
    ----------
    dn : (n_bands, rows, cols) array of uint16
    inside : (rows, cols) array
        1 inside, 0 outside, -1 not labelled.
    block_pixels : int

    Returns
    -------
    two (n_blocks, n_bands, largest digital number + 1) arrays of int64
        Of the blocks that hold labelled pixels, those of one kind only included.
    """
    n_dn = int(dn.max()) + 1
    counts = {1: [], 0: []}
    for row in range(0, inside.shape[0], block_pixels):
        for col in range(0, inside.shape[1], block_pixels):
            block = np.s_[row : row + block_pixels, col : col + block_pixels]
            if (inside[block] >= 0).any():
                for kind, kept in counts.items():
                    values = dn[:, *block][:, inside[block] == kind]
                    kept.append([np.bincount(band, minlength=n_dn) for band in values])
    return np.array(counts[1]), np.array(counts[0])
