"""What histograms of a simulated Europe tell about place and season, archived.

The patches are simulated (`millpond.normalization.parcels`), written as files, and counted by the same
`patch_statistics` that reads anybody's folder.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from millpond.normalization.assessment import long_tail
from millpond.normalization.climate import REFERENCE_LATITUDE_DEG
from millpond.normalization.distances import histogram_distances, matrix_regression, position_gaps, season_gaps
from millpond.normalization.errors import NormalizationError
from millpond.normalization.exploration import BY, PatchStatistics, patch_statistics, region_name
from millpond.normalization.histogram import BandHistogram
from millpond.normalization.parcels import EUROPE, Patch, draw_clear_day, draw_places, simulate_patch, write_patch

REGION_SIZE_DEG = (6.0, 10.0)

REGIONS = {
    "Spain": (39.5, -4.0),
    "Turkey": (39.0, 33.0),
    "Hungary": (47.0, 19.0),
    "United Kingdom": (54.5, -3.0),
    "Baltic countries": (56.5, 24.0),
}
"""The study's five, by a place within: latitude and longitude."""

NOTHING = "nothing"

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

BIN_DN = 50
SHOWN_DN = 5000
"""Histograms are archived in bins of `BIN_DN` up to here."""

LEAST_PATCHES = 10
"""With cropland, for a region to be compared, or a month of one land cover."""

CLOUDY_SHARE = 0.5
LARGEST_CLOUD = 0.3
"""Half of the patches have clouds, over up to so much of them; what clear means in the study isn't said."""


def survey(
    n: int,
    size: int,
    rng: np.random.Generator,
    *,
    latitude_deg: tuple[float, float] = EUROPE["latitude_deg"],
    without: tuple[str, ...] = (),
) -> Iterator[Patch]:
    """Patches from all over the simulated Europe, or a belt of it, and its year.

    Parameters
    ----------
    n, size : int
        Number of patches, and rows and columns of each.
    rng : numpy.random.Generator
    latitude_deg : (south, north)
    without : tuple of str
        Mechanisms of `millpond.normalization.parcels.MECHANISMS` that act as at 48 N everywhere. Patch by patch all
        else stays as it is.

    Raises
    ------
    NormalizationError
        If "passes" is switched off and "sun" isn't: on some of the days the sun would be below the horizon.
    """
    if "passes" in without and "sun" not in without:
        raise NormalizationError("passes switched off without sun found, both expected. Switch sun off too.")
    for (latitude, longitude), own in zip(draw_places(n, rng, latitude_deg), rng.spawn(n), strict=True):
        pass_rng, patch_rng = own.spawn(2)
        day = draw_clear_day(REFERENCE_LATITUDE_DEG if "passes" in without else latitude, pass_rng)
        share = LARGEST_CLOUD * pass_rng.random() * (pass_rng.random() < CLOUDY_SHARE)
        yield simulate_patch(latitude, longitude, day, size=size, rng=patch_rng, cloud_share=share, without=without)


def write_survey(patches: Iterable[Patch], folder: Path) -> None:
    """Write patches into a folder that `patch_statistics` reads."""
    for i, patch in enumerate(patches):
        write_patch(patch, folder, f"{i:05d}_{patch.acquired:%Y%m%d}")


def explore(seed: int, *, n_patches: int, size: int, without: str = NOTHING) -> list[dict]:
    """Simulate and count a Europe.

    Parameters
    ----------
    seed : int
    n_patches, size : int
        Number of patches, and rows and columns of each.
    without : str
        Mechanisms as of `survey`, joined by a plus sign, or `NOTHING`.

    Returns
    -------
    list of dict
        Rows of four kinds. "histogram": `by` ("all", "landcover", "region", "month", "cropland"), `label`, `band`,
        `n_pixels`, `patches`, percentiles `p1` to `p99`, `counts` in bins of 50 digital numbers, and of regions the
        mean `latitude_deg` and `longitude_deg` of their places. "distance": `by` ("region", "cropland": between the
        five regions of the study; "month"; "month in the south": between months in the two southern rows of regions;
        "trees in the south" and so on: the same in one land cover), `a`, `b`, `band`, `wasserstein_dn`. "regression":
        `by` ("region", "cropland"; "cropland in the south" on gaps in months), `band`, `gap`, `slope`, `low`, `high`,
        `p`, `r2`. "tail": `long_tail` of all pixels, by `band`. Without a mechanism there are only regressions.
    """
    rng = np.random.default_rng([seed, n_patches, size])
    off = () if without == NOTHING else tuple(without.split("+"))
    with TemporaryDirectory() as folder:
        write_survey(survey(n_patches, size, rng, without=off), Path(folder))
        statistics = patch_statistics(folder, by=(*BY, "landcover:region:month"), region_size_deg=REGION_SIZE_DEG)
    rows = summarize(statistics)
    return rows if without == NOTHING else [row for row in rows if row["kind"] == "regression"]


def summarize(statistics: PatchStatistics) -> list[dict]:
    """The rows of `explore`."""
    with_cropland = statistics.table("landcover:region").query("landcover == 'cropland'").set_index("region")
    enough = with_cropland.index[with_cropland["n_patches"] >= LEAST_PATCHES]
    groupings = {
        "all": {"all": statistics.histogram()},
        "landcover": statistics.histograms("landcover"),
        "region": statistics.histograms("region"),
        "month": statistics.histograms("month"),
        "cropland": {
            label[1]: histogram
            for label, histogram in statistics.histograms("landcover:region").items()
            if label[0] == "cropland"
        },
    }
    patches = {by: statistics.table(by).set_index(by)["n_patches"] for by in ("landcover", "region", "month")}
    patches["cropland"] = with_cropland["n_patches"]
    rows = []
    for by, histograms in groupings.items():
        for label, histogram in histograms.items():
            n = statistics.n_patches if by == "all" else int(patches[by][label])
            about = {"kind": "histogram", "by": by, "label": str(label), "patches": n}
            if by == "region":
                about |= statistics.regions.loc[label, ["latitude_deg", "longitude_deg"]].to_dict()
            rows += [about | row for row in _of_bands(histogram)]
    named = {name: region_name(*place, REGION_SIZE_DEG) for name, place in REGIONS.items()}
    for by in ("region", "cropland"):
        found = groupings[by]
        five = {name: found[region] for name, region in named.items() if region in found}
        rows += _tidy("distance", by, histogram_distances(five))
        if len(enough) >= 5:
            gaps = position_gaps(statistics.regions.loc[enough])
            between = histogram_distances({region: found[region] for region in enough})
            rows += _tidy("regression", by, matrix_regression(between, gaps, n_permutations=999))
    rows += _tidy("distance", "month", histogram_distances(groupings["month"]))
    rows += _tidy("distance", "month in the south", histogram_distances(_months_in_the_south(statistics)))
    for cover in groupings["landcover"]:
        months = _months_in_the_south(statistics, cover)
        between = histogram_distances(months)
        rows += _tidy("distance", f"{cover} in the south", between)
        if cover == "cropland" and len(months) >= 5:
            regression = matrix_regression(between, season_gaps(months), n_permutations=999)
            rows += _tidy("regression", f"{cover} in the south", regression)
    rows += [{"kind": "tail"} | row for row in long_tail(statistics.histogram()).reset_index().to_dict("records")]
    return rows


def _months_in_the_south(statistics: PatchStatistics, cover: str | None = None) -> dict[int, BandHistogram]:
    """By month, where passes are left all year: else winter would be the south, and summer all of Europe.

    Of one land cover, months with few patches are left out.
    """
    south, north = EUROPE["latitude_deg"][0], EUROPE["latitude_deg"][0] + 2 * REGION_SIZE_DEG[0]
    latitude_deg = statistics.regions["latitude_deg"]
    table = statistics.table("landcover:region:month")
    table = table[latitude_deg[table["region"]].between(south, north, inclusive="left").to_numpy()]
    if cover:
        table = table[table["landcover"] == cover]
        table = table[table.groupby("month")["n_patches"].transform("sum") >= LEAST_PATCHES]
    histograms = statistics.histograms("landcover:region:month")
    months: dict[int, BandHistogram] = {}
    for label in table[["landcover", "region", "month"]].itertuples(index=False, name=None):
        month = label[-1]
        months[month] = months[month] + histograms[label] if month in months else histograms[label]
    return dict(sorted(months.items()))


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
