"""The normalization study's archived runs: tails, histograms of a simulated Europe, and networks under each
normalization."""

from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd

from millpond.experiment import run_grids
from millpond.normalization.assessment import long_tail, separability
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.errors import NormalizationError
from millpond.normalization.europe import NOTHING, explore
from millpond.normalization.fields import (
    BELTS,
    BOTH,
    INPUTS,
    PER_IMAGE,
    map_real_scenes,
    score_fields,
    score_land_cover,
    score_transfer,
)
from millpond.normalization.histogram import BandHistogram
from millpond.normalization.parcels import MECHANISMS
from millpond.normalization.samples import SAMPLES, read_sample, read_vegetation
from millpond.normalization.transforms import DIFFERENCES, NORMALIZATIONS, fit_normalization

PROFILES = ("quick", "full", "paper")

EUROPES = {
    "quick": {"n_patches": 60, "size": 32},
    "full": {"n_patches": 1000, "size": 256},
    "paper": {"n_patches": 10_000, "size": 256},
}
"""Of the simulated Europe; the study has 10,000 patches."""

FIELDS = {
    "quick": {"epochs": 1, "n_train": 16, "n_valid": 8, "size": 64},
    "full": {"epochs": 4, "n_train": 400, "n_valid": 100, "size": 128},
    "paper": {"epochs": 4, "n_train": 5000, "n_valid": 1000, "size": 256},
}
"""Of the networks that delineate fields. The study says 4 epochs, and not how many images."""

EXTREMES = ("p1-p99", "min-max")
"""The study's best and worst."""

SIGMOIDS = ("dynamic-world-log-30-70", "dynamic-world-log-30-70-difference")
"""Moved to another belt too: the scheme that Dynamic World itself uses, with either divisor."""

LARGEST_DN = (10_000, 20_000, 65_535)
"""Largest digital numbers that min-max is to see: a few pixels decide on it, and how bright they are was built in."""

STRETCHED = {"p1-p99": 0.1, "min-max": 10.0}
"""Factors that bring each of the extremes to about the scale of the other, with its own ratio of the bands."""

LONGER_EPOCHS = 20

MARGIN_MCC = 0.02
"""Differences of Matthews correlation below this count as none; chosen before any two networks could be compared."""

EVERY_MECHANISM_BUT_PASSES = "+".join(name for name in MECHANISMS if name != "passes")
EVERY_MECHANISM = "+".join(MECHANISMS)

BLOCK_PIXELS = 128
"""Side of the blocks that are resampled: 1.28 km, several fields wide."""


def run(profile: str, store: Path, **options) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick", "full" or "paper"
        `quick` takes the bundled scene, a small Europe and one short network; `full` every sample of the data root and
        what two cores can do in a few hours; `paper` as many patches as the study, for a GPU.
    store : path
        Folder for the archives of `grids_of`.
    **options
        As of `millpond.experiment.run_grids`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise NormalizationError(
            f"profile {profile!r} found, one of {', '.join(PROFILES)} expected. Name one of these."
        )
    return run_grids(grids_of(profile), store, **options)


def grids_of(profile: str) -> dict[str, tuple]:
    """By archive: function, cases, number of seeds, and what it is, in words."""
    quick = profile == "quick"
    europe = EUROPES[profile]
    settings = FIELDS[profile]
    longer = [{"normalization": name, "epochs": LONGER_EPOCHS} for name in INPUTS]
    sensitivity = [*(name for name in MECHANISMS if name != "passes"), EVERY_MECHANISM_BUT_PASSES, EVERY_MECHANISM]
    transfers = [
        {"normalization": name, "trained": trained, "fitted": fitted}
        for trained in BELTS
        for name, fitted in (
            *((EXTREMES[0], belt) for belt in (*BELTS, BOTH)),
            *((name, trained) for name in (PER_IMAGE, *SIGMOIDS)),
        )
    ]
    grids = {
        "long_tail": (
            describe_tail,
            [{"sample": name} for name in (["virginia"] if quick else SAMPLES)],
            1,
            "Long tail of the digital numbers of each real L1C sample",
        ),
        "separability": (
            compare_separability,
            [
                {"sample": name, "against": against, "n_resamples": 200 if quick else 2000}
                for name in (["virginia"] if quick else ["virginia", "germany-2017-02-16"])
                for against in ("land", "everything")
            ],
            1,
            "Distance of vegetation from other land, and from everything else, under the eight normalizations",
        ),
        "europe": (
            explore,
            [europe | {"without": without} for without in ([NOTHING] if quick else [NOTHING, *sensitivity])],
            1 if quick else 3,
            "Histograms of a simulated Europe by land cover, region and month, and what their distances go with",
        ),
        "fields": (
            score_fields,
            [settings | {"normalization": name} for name in (EXTREMES[:1] if quick else INPUTS)],
            1 if quick else 5,
            "Delineation of simulated fields under each normalization",
        ),
    }
    if quick:
        return grids
    return grids | {
        "transfer": (
            score_transfer,
            [settings | case for case in transfers],
            3,
            "Factors and networks of one belt of latitudes in another",
        ),
        "land_cover": (
            score_land_cover,
            [{"normalization": name} for name in INPUTS],
            3,
            "Real land cover under each normalization, blocks of the scene held out",
        ),
        "fields_longer": (
            score_fields,
            [settings | case for case in longer],
            3,
            "All inputs for longer: does the gap close?",
        ),
        "real_maps": (
            map_real_scenes,
            [{"epochs": LONGER_EPOCHS, "n_train": settings["n_train"], "size": settings["size"]}],
            1,
            "What a network trained on simulated fields takes for fields on real scenes",
        ),
        "fields_largest": (
            score_fields,
            [settings | {"normalization": "min-max", "largest": largest} for largest in LARGEST_DN],
            3,
            "Min-max with other largest digital numbers",
        ),
        "fields_stretched": (
            score_fields,
            [settings | {"normalization": name, "stretch": stretch} for name, stretch in STRETCHED.items()],
            3,
            "The extremes, each at the scale of the other",
        ),
    }


def at_the_end(runs: pd.DataFrame) -> pd.DataFrame:
    """Of trainings with a row an epoch, the rows after the last."""
    return runs[runs["epoch"] == runs["epoch"].max()]


def updates(manifest: dict, epochs: int) -> int:
    """Steps of the optimizer in so many epochs of an archive's trainings: what can be compared with other studies."""
    return epochs * ceil(manifest["cases"][0]["n_train"] / FieldSegmenter().batch_size)


def by_seed(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """What a column holds, a row a seed and a column a normalization: pairs to be compared."""
    return runs.pivot(index="seed", columns="normalization", values=column)


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
    normalizations = {name: fit_normalization(name, histogram) for name in (*NORMALIZATIONS, *DIFFERENCES)}
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
