"""How far apart histograms are, and whether that goes with latitude, longitude or season."""

import math
from collections.abc import Hashable, Iterable, Mapping
from itertools import combinations, permutations

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state

from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import BandHistogram

_MAX_RESPONSES = 2**21
"""Distances of permuted regions that are held at once: 16 MB, and a few times as much for the regression."""


def histogram_distances(histograms: Mapping[Hashable, BandHistogram]) -> pd.DataFrame:
    """The 1-Wasserstein distance of every two histograms: by how many digital numbers the mean pixel must be moved.

    Digital numbers are integers, so the distance is the sum over them of the difference of the cumulative shares.

    Returns
    -------
    DataFrame
        One row a pair and band: `a`, `b`, `band`, `wasserstein_dn`.

    Raises
    ------
    NormalizationError
        If bands or radiometric offsets differ, or a band of a histogram has no pixel.
    """
    shares, bands, offset = {}, None, None
    for label, histogram in histograms.items():
        if bands is None:
            bands, offset = histogram.bands, histogram.offset
        if (histogram.bands, histogram.offset) != (bands, offset):
            raise NormalizationError(
                f"histogram {label!r} with bands {', '.join(histogram.bands)} and radiometric offset "
                f"{histogram.offset_in_words} found, {', '.join(bands)} and "
                f"{'unknown' if offset is None else f'{offset:,}'} expected. Count all alike."
            )
        if not histogram.n_pixels.all():
            raise NormalizationError(f"histogram {label!r} without a valid pixel in some band found. Leave it out.")
        # Nothing lies above the largest digital number: the shares are 1 from there on, and needn't be kept.
        end = int(histogram.max.max()) + 1
        shares[label] = histogram.counts[:, :end].cumsum(axis=1) / histogram.n_pixels[:, None]
    rows = []
    for a, b in combinations(shares, 2):
        short, long = sorted((shares[a], shares[b]), key=lambda share: share.shape[1])
        end = short.shape[1]
        distance = np.abs(long[:, :end] - short).sum(axis=1) + (1 - long[:, end:]).sum(axis=1)
        rows.extend((a, b, band, float(dn)) for band, dn in zip(bands, distance, strict=True))
    return pd.DataFrame(rows, columns=["a", "b", "band", "wasserstein_dn"])


def position_gaps(regions: pd.DataFrame) -> pd.DataFrame:
    """How far apart regions lie, north to south and west to east, in degrees of a great circle (111 km).

    Parameters
    ----------
    regions : DataFrame
        `latitude_deg` and `longitude_deg` by region, such as `PatchStatistics.regions`.

    Returns
    -------
    DataFrame
        `a`, `b`, `latitude`, `longitude`: the latter is taken the shorter way round the globe, and shortened by the
        cosine of the mean latitude, so that the slopes on both can be compared.
    """
    rows = []
    for a, b in combinations(regions.index, 2):
        (lat_a, lon_a), (lat_b, lon_b) = (regions.loc[name, ["latitude_deg", "longitude_deg"]] for name in (a, b))
        across = abs(lon_a - lon_b) % 360
        shortened = min(across, 360 - across) * math.cos(math.radians((lat_a + lat_b) / 2))
        rows.append((a, b, abs(lat_a - lat_b), shortened))
    return pd.DataFrame(rows, columns=["a", "b", "latitude", "longitude"])


def season_gaps(months: Iterable[int]) -> pd.DataFrame:
    """How far apart months of the year lie, the shorter way round.

    Returns
    -------
    DataFrame
        `a`, `b`, `months` (0 to 6).
    """
    rows = [(a, b, min(abs(a - b), 12 - abs(a - b))) for a, b in combinations(months, 2)]
    return pd.DataFrame(rows, columns=["a", "b", "months"])


def matrix_regression(
    distances: pd.DataFrame, gaps: pd.DataFrame, *, n_permutations: int = 9999, random_state=0
) -> pd.DataFrame:
    """Multiple regression on distance matrices: what do distances between histograms go with?

    Pairs that share a region aren't independent, so the regions are permuted, all their pairs with them, and the t of
    each slope is compared with those of the permutations (Legendre, Lapointe and Casgrain, 1994,
    https://doi.org/10.1111/j.1558-5646.1994.tb02191.x; Lichstein, 2007, https://doi.org/10.1007/s11258-006-9126-3).
    With up to seven regions every permutation is taken. The permutations test whether the histograms have to do with
    the gaps at all. Whether one slope is larger than the other is another question: the row "difference" answers it by
    a jackknife that leaves out one region after the other.

    Parameters
    ----------
    distances : DataFrame
        As of `histogram_distances`.
    gaps : DataFrame
        `a`, `b` and one or two columns of gaps, as of `position_gaps` or `season_gaps`.
    n_permutations : int
        One or more; of memory, only that for the orders grows with it.
    random_state : int, RandomState or None

    Returns
    -------
    DataFrame
        One row a band and column of gaps: `slope` (digital numbers for one unit of the gap, all other gaps being
        equal), `low`, `high` (95 % interval by the jackknife), `standardized` (slope in standard deviations),
        `mantel_r` (plain correlation with the gap), `p` (two-sided, by permutation), `r2` (of the whole regression),
        `n_labels`.
        With two columns of gaps a row "difference" (first slope less the second) has `slope`, `low` and `high`.

    Raises
    ------
    NormalizationError
        If there are fewer than five labels or no permutations, a pair is missing, the gaps can't be told apart, or all
        distances of a band are equal.
    """
    if n_permutations < 1:
        raise NormalizationError(
            f"n_permutations={n_permutations} found, 1 or more expected; p is never smaller than one over as many and "
            "one. Take 999 or more."
        )
    rng = check_random_state(random_state)
    names = [name for name in gaps.columns if name not in ("a", "b")]
    labels = list(dict.fromkeys([*gaps.a, *gaps.b]))
    if len(labels) < 5:
        raise NormalizationError(
            f"{len(labels)} labels found, five or more expected: there are too few pairs to test. "
            "Make regions smaller, or add patches."
        )
    x = np.stack([_square(gaps, name, labels) for name in names])
    pairs = np.triu_indices(len(labels), 1)
    if np.linalg.matrix_rank(_design(x, pairs)) < len(names) + 1:
        raise NormalizationError(
            f"gaps {', '.join(names)} that are constant or proportional found, different ones expected. Add regions."
        )
    if math.factorial(len(labels)) <= math.factorial(7):
        orders = np.array(list(permutations(range(len(labels)))))[1:]  # the first is the order itself
    else:
        orders = np.stack([rng.permutation(len(labels)) for _ in range(n_permutations)])
    rows = []
    for band, of_band in distances.groupby("band", sort=False):
        y = _square(of_band, "wasserstein_dn", labels)
        if np.ptp(y[pairs]) == 0:
            raise NormalizationError(
                f"{band}: equal distances between all labels found, different ones expected. Look at what was counted."
            )
        design = _design(x, pairs)
        # The order itself counts as one permutation.
        n_extreme, at_once = 0, max(1, _MAX_RESPONSES // len(pairs[0]))
        for begin in range(0, len(orders), at_once):
            permuted = (y[np.ix_(order, order)][pairs] for order in orders[begin : begin + at_once])
            responses = np.stack(list(permuted) if begin else [y[pairs], *permuted], axis=1)
            found = _least_squares(design, responses)
            if not begin:
                slopes, t, r2 = found
            # Equal t differ in the last digits.
            n_extreme += (np.abs(found[1]) >= np.abs(t[:, :1]) * (1 - 1e-9)).sum(axis=1)
        p = n_extreme / (len(orders) + 1)
        low, high, difference = _jackknife(x, y, slopes[:, 0])
        for i, name in enumerate(names):
            gap = x[i][pairs]
            scale = gap.std() / y[pairs].std()
            r = float(np.corrcoef(gap, y[pairs])[0, 1])
            rows.append((band, name, slopes[i, 0], low[i], high[i], slopes[i, 0] * scale, r, p[i], r2[0], len(labels)))
        if len(names) == 2:
            nothing = (math.nan,) * 3
            rows.append((band, "difference", slopes[0, 0] - slopes[1, 0], *difference, *nothing, r2[0], len(labels)))
    columns = ["band", "gap", "slope", "low", "high", "standardized", "mantel_r", "p", "r2", "n_labels"]
    return pd.DataFrame(rows, columns=columns)


def _square(tidy: pd.DataFrame, column: str, labels: list) -> np.ndarray:
    """(n, n) symmetric matrix of what the pairs say; the diagonal is 0."""
    values = {frozenset(pair): value for *pair, value in zip(tidy.a, tidy.b, tidy[column], strict=True)}
    matrix = np.zeros((len(labels), len(labels)))
    for (i, a), (j, b) in combinations(enumerate(labels), 2):
        if frozenset((a, b)) not in values:
            raise NormalizationError(
                f"no {column} of {a} and {b} found, one for every pair of labels expected. "
                "Take distances and gaps of the same labels."
            )
        matrix[i, j] = matrix[j, i] = values[frozenset((a, b))]
    return matrix


def _design(x: np.ndarray, pairs: tuple) -> np.ndarray:
    return np.column_stack([np.ones(len(pairs[0])), *(matrix[pairs] for matrix in x)])


def _least_squares(design: np.ndarray, responses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes and their t, (n_gaps, n_responses), and R2, (n_responses,)."""
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ responses
    residual = ((responses - design @ coefficients) ** 2).sum(axis=0)
    variance = residual / (len(design) - design.shape[1])
    with np.errstate(divide="ignore"):  # a perfect fit has an infinite t
        t = coefficients / np.sqrt(np.outer(np.diag(inverse), variance))
    total = ((responses - responses.mean(axis=0)) ** 2).sum(axis=0)
    return coefficients[1:], t[1:], 1 - residual / total


def _jackknife(x: np.ndarray, y: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """95 % intervals of the slopes, and of the first less the second; regions are left out one by one."""
    n = len(y)
    pairs = np.triu_indices(n - 1, 1)
    left_out = []
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        design = _design(x[:, rest[:, None], rest], pairs)
        left_out.append(np.linalg.lstsq(design, y[np.ix_(rest, rest)][pairs], rcond=None)[0][1:])
    left_out = np.array(left_out)
    if left_out.shape[1] == 2:
        left_out = np.column_stack([left_out, left_out[:, 0] - left_out[:, 1]])
        slopes = np.append(slopes, slopes[0] - slopes[1])
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    half = stats.t.ppf(0.975, n - 1) * error
    low, high = slopes - half, slopes + half
    return low, high, (float(low[-1]), float(high[-1]))
