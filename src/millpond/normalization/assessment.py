"""What a histogram's long tail amounts to, and what a normalization does to it.

Everything here follows from exact counts and a table of 65,536 values: nothing is sampled, no pixel is visited again.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state

from millpond.normalization.histogram import N_DN, BandHistogram
from millpond.normalization.transforms import Normalization

_DN_OF_REFLECTANCE_1 = 10_000
_DISPLAY_LEVELS = 256


def long_tail(histogram: BandHistogram) -> pd.DataFrame:
    """Quantify the long tail of each band.

    Returns
    -------
    DataFrame
        By band: `n_pixels`, `minimum`, `median`, `p99`, `p99_9`, `maximum` (digital numbers), `skewness` (third
        standardized moment), `tail_share_of_range` (part of the range from minimum to maximum that the brightest 0.1 %
        of the pixels occupy), `above_reflectance_1` and `at_65535` (numbers of pixels; L1C products mark saturated
        pixels with 65535).
    """
    p50, p99, p999 = histogram.percentile([50, 99, 99.9])
    offset = histogram.offset or 0
    return pd.DataFrame(
        {
            "n_pixels": histogram.n_pixels,
            "minimum": histogram.min,
            "median": p50,
            "p99": p99,
            "p99_9": p999,
            "maximum": histogram.max,
            "skewness": histogram.central_moment(3) / histogram.std**3,
            "tail_share_of_range": (histogram.max - p999) / (histogram.max - histogram.min),
            "above_reflectance_1": histogram.counts[:, _DN_OF_REFLECTANCE_1 + offset + 1 :].sum(axis=1),
            "at_65535": histogram.counts[:, N_DN - 1],
        },
        index=pd.Index(histogram.bands, name="band"),
    )


def losses(normalization: Normalization, histogram: BandHistogram) -> pd.DataFrame:
    """What a normalization loses of a histogram.

    Returns
    -------
    DataFrame
        By band: `p1`, `p99` (where the middle 98 % of the pixels end up), `clipped_share` (pixels made equal to the
        darkest or the brightest although their digital numbers are not), `outside_share` (pixels outside 0..1),
        `levels` and `levels_kept` (distinct digital numbers, and distinct float32 values after), `entropy_bits` and
        `display_entropy_bits` (Shannon entropy of the digital numbers, and of the values cut into 256 levels of 0..1).
    """
    rows = []
    for values, counts in zip(normalization.table, histogram.select(normalization.bands).counts, strict=True):
        present = np.flatnonzero(counts)
        values, counts = values[present], counts[present]
        share = counts / counts.sum()
        at_an_end = (values == values[0]) | (values == values[-1])
        at_an_end[[0, -1]] = False
        shown = np.bincount((np.clip(values, 0, 1) * (_DISPLAY_LEVELS - 1)).round().astype(int), weights=counts)
        cumulative = np.cumsum(share)
        rows.append(
            {
                "p1": values[np.searchsorted(cumulative, 0.01)],
                "p99": values[np.searchsorted(cumulative, 0.99)],
                "clipped_share": share[at_an_end].sum(),
                "outside_share": share[(values < 0) | (values > 1)].sum(),
                "levels": len(values),
                "levels_kept": len(np.unique(values)),
                "entropy_bits": stats.entropy(counts, base=2),
                "display_entropy_bits": stats.entropy(shown, base=2),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(normalization.bands, name="band"))


def separability(
    normalizations: Mapping[str, Normalization],
    inside: np.ndarray,
    outside: np.ndarray,
    *,
    n_resamples: int = 1000,
    random_state=0,
) -> pd.DataFrame:
    """How far apart two classes are under several normalizations, with intervals from resampled blocks of the image.

    The distance is the difference of the means over the pooled standard deviation (Cohen's d). Neighbouring pixels are
    alike, so not pixels but whole blocks are resampled, the same ones for every normalization.

    Parameters
    ----------
    normalizations : mapping of name to Normalization
        The first one is the reference for the gain.
    inside, outside : (n_blocks, n_bands, n_values) arrays of int
        How often each digital number from 0 occurs in the pixels of the two classes, block by block; the bands are
        those of the normalizations. A block may lack one of the classes; resamples that do are left out.
    n_resamples : int
    random_state : int, RandomState or None

    Returns
    -------
    DataFrame
        One row a normalization and band: `d`, `d_low`, `d_high` (95 % percentile bootstrap, given the fitted
        normalization), and `gain`, `gain_low`, `gain_high`: what is added to the distance of the reference, in the
        direction that the classes have there.
    """
    rng = check_random_state(random_state)
    n_blocks = len(inside)
    draws = np.vstack([np.arange(n_blocks), rng.randint(n_blocks, size=(n_resamples, n_blocks))])
    weights = np.stack([np.bincount(draw, minlength=n_blocks) for draw in draws])
    has_both = ((weights @ inside.sum(axis=(1, 2)) > 0) & (weights @ outside.sum(axis=(1, 2)) > 0))[1:]
    weights = weights[np.append(True, has_both)]  # the first row is the sample itself
    distances = {
        name: _cohens_d(weights @ _moments(normalization, inside), weights @ _moments(normalization, outside))
        for name, normalization in normalizations.items()
    }
    reference = next(iter(distances.values()))
    direction = np.sign(reference[:, :1])
    rows = []
    for name, d in distances.items():
        gain = direction * (d - reference)
        for i, band in enumerate(normalizations[name].bands):
            low, high = np.percentile(d[i, 1:], [2.5, 97.5])
            gain_low, gain_high = np.percentile(gain[i, 1:], [2.5, 97.5])
            rows.append((name, band, d[i, 0], low, high, gain[i, 0], gain_low, gain_high))
    columns = ["normalization", "band", "d", "d_low", "d_high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns)


def _moments(normalization: Normalization, counts: np.ndarray) -> np.ndarray:
    """(n_bands, n_blocks, 3): number, sum and sum of squares of the normalized values; they add up over blocks."""
    values = normalization.table[:, : counts.shape[-1]].astype(float)
    powers = np.stack([np.ones_like(values), values, values**2], axis=-1)
    return counts.swapaxes(0, 1).astype(float) @ powers


def _cohens_d(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n_bands, n_resamples) from moments (n_bands, n_resamples, 3)."""
    mean_a, mean_b = a[..., 1] / a[..., 0], b[..., 1] / b[..., 0]
    within = (a[..., 2] - a[..., 0] * mean_a**2) + (b[..., 2] - b[..., 0] * mean_b**2)
    return (mean_a - mean_b) / np.sqrt(within / (a[..., 0] + b[..., 0] - 2))
