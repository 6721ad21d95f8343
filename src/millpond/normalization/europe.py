"""What histograms of a simulated Europe tell about place and season, archived.

The patches are simulated (`millpond.normalization.parcels`), written as files, and counted by the same
`patch_statistics` that reads anybody's folder.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from millpond.normalization.distances import histogram_distances, matrix_regression, month_gaps, position_gaps
from millpond.normalization.exploration import PatchStatistics, patch_statistics, region_name
from millpond.normalization.histogram import BandHistogram
from millpond.normalization.parcels import draw_clear_day, draw_places, simulate_patch, write_patch

REGION_SIZE_DEG = (6.0, 10.0)

REGIONS = {
    "Spain": (39.5, -4.0),
    "Turkey": (39.0, 33.0),
    "Hungary": (47.0, 19.0),
    "United Kingdom": (53.0, -2.0),
    "Baltic countries": (56.0, 24.0),
}
"""The study's five, by a place within: latitude and longitude."""

NOTHING = "nothing"

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

BIN_DN = 50
SHOWN_DN = 5000
"""Histograms are archived in bins of `BIN_DN` up to here."""

CLOUDY_SHARE = 0.5
LARGEST_CLOUD = 0.3
"""Half of the patches have clouds, over up to so much of them; what clear means in the study isn't said."""


def write_europe(
    folder: Path, n_patches: int, size: int, rng: np.random.Generator, without: tuple[str, ...] = ()
) -> None:
    """Write patches from all over the simulated Europe and its year."""
    for i, (latitude_deg, longitude_deg) in enumerate(draw_places(n_patches, rng)):
        day = draw_clear_day(latitude_deg, rng)
        share = LARGEST_CLOUD * rng.random() if rng.random() < CLOUDY_SHARE else 0.0
        patch = simulate_patch(latitude_deg, longitude_deg, day, size=size, rng=rng, cloud_share=share, without=without)
        write_patch(patch, folder, f"{i:05d}_{patch.acquired:%Y%m%d}")


def explore(seed: int, *, n_patches: int, size: int, without: str = NOTHING) -> list[dict]:
    """Simulate and count a Europe.

    Parameters
    ----------
    seed : int
    n_patches, size : int
        Number of patches, and rows and columns of each.
    without : str
        A mechanism of `millpond.normalization.parcels.MECHANISMS` that acts as at 48 N everywhere, or `NOTHING`.

    Returns
    -------
    list of dict
        Rows of three kinds. "histogram": `by` ("landcover", "region", "month", "cropland"), `label`, `band`,
        `n_pixels`, `patches`, percentiles `p1` to `p99`, `counts` in bins of 50 digital numbers. "distance": `by`,
        `a`, `b`, `band`, `wasserstein_dn` between months and between the five regions of the study. "regression": `by`
        ("region", "cropland", "month"), `band`, `gap`, `slope`, `low`, `high`, `p`, `r2`. Without a mechanism there are
        only the latter.
    """
    rng = np.random.default_rng([seed, n_patches, size])
    with TemporaryDirectory() as folder:
        write_europe(Path(folder), n_patches, size, rng, () if without == NOTHING else (without,))
        statistics = patch_statistics(folder, region_size_deg=REGION_SIZE_DEG)
    rows = summarize(statistics)
    return rows if without == NOTHING else [row for row in rows if row["kind"] == "regression"]


def summarize(statistics: PatchStatistics) -> list[dict]:
    """The rows of `explore`."""
    rows = []
    regions = statistics.regions
    named = {name: region_name(*place, REGION_SIZE_DEG) for name, place in REGIONS.items()}
    of_cropland = {
        label[1]: histogram
        for label, histogram in statistics.histograms("landcover:region").items()
        if label[0] == "cropland"
    }
    groupings = {
        "landcover": statistics.histograms("landcover"),
        "region": statistics.histograms("region"),
        "month": statistics.histograms("month"),
        "cropland": of_cropland,
    }
    patches = {by: statistics.table(by).set_index(by)["n_patches"] for by in ("landcover", "region", "month")}
    for by, histograms in groupings.items():
        for label, histogram in histograms.items():
            n = {"patches": int(patches[by][label])} if by in patches else {}
            rows += [{"kind": "histogram", "by": by, "label": str(label)} | n | row for row in _of_bands(histogram)]
    for by in ("region", "cropland"):
        found = groupings[by]
        five = {name: found[region] for name, region in named.items() if region in found}
        rows += _tidy("distance", by, histogram_distances(five))
        enough = {region: found[region] for region in regions.index if region in found}
        if len(enough) >= 5:
            gaps = position_gaps(regions.loc[list(enough)])
            rows += _tidy("regression", by, matrix_regression(histogram_distances(enough), gaps))
    months = groupings["month"]
    between = histogram_distances(months)
    rows += _tidy("distance", "month", between)
    if len(months) >= 5:
        rows += _tidy("regression", "month", matrix_regression(between, month_gaps(list(months))))
    return rows


def _of_bands(histogram: BandHistogram) -> list[dict]:
    percentiles = histogram.percentile(PERCENTILES)
    binned = histogram.counts[:, :SHOWN_DN].reshape(len(histogram.bands), -1, BIN_DN).sum(axis=2)
    return [
        {"band": band, "n_pixels": int(histogram.n_pixels[i])}
        | {f"p{q}": float(percentiles[j, i]) for j, q in enumerate(PERCENTILES)}
        | {"counts": " ".join(map(str, binned[i]))}
        for i, band in enumerate(histogram.bands)
    ]


def _tidy(kind: str, by: str, table: pd.DataFrame) -> list[dict]:
    return [{"kind": kind, "by": by} | row for row in table.to_dict("records")]
