"""The capacity study's archived runs: agreement with TauDEM, and what the capacity of virtual reservoirs goes with."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from scipy import stats

from millpond import datasets
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS
from millpond.capacity.samples import TERRAINS, read_terrain, virtual_reservoirs
from millpond.capacity.terrain import FlowNetwork
from millpond.experiment import run_grid

PROFILES = ("quick", "full")
N_MEASURED = 101
"""Reservoirs of known capacity in the study: 12 in its target basin and 89 in its reference basin."""

_CORRELATIONS = {"kendall": stats.kendalltau, "spearman": stats.spearmanr, "pearson": stats.pearsonr}


def run(
    profile: str, store: Path, workers: int = 1, scheduler: str | None = None, retry_failed: bool = False
) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick" or "full"
        `quick` takes the bundled terrain and three sets of dams, `full` every terrain of the data root, twenty sets,
        and the comparison with TauDEM.
    store : path
        Folder for the archives `correlation` and, at `full`, `taudem`.
    workers, scheduler, retry_failed
        As in `millpond.experiment.run_grid`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise CapacityError(f"profile {profile!r} found, one of {', '.join(PROFILES)} expected.")
    full = profile == "full"
    common = {"workers": workers, "scheduler": scheduler, "retry_failed": retry_failed}
    done = {
        "correlation": run_grid(
            correlate,
            [{"terrain": name, "n": N_MEASURED} for name in (TERRAINS if full else ["jacksboro"])],
            seeds=20 if full else 3,
            store=Path(store) / "correlation",
            what="Correlation of capacity and terrain factors of virtual reservoirs",
            **common,
        )
    }
    if full:
        done["taudem"] = run_grid(
            compare_with_taudem, [{}], [0], Path(store) / "taudem", what="Flow network against TauDEM's", **common
        )
    return done


@cache
def network(terrain: str) -> tuple[np.ndarray, FlowNetwork]:
    """Elevation and flow network of a terrain of `millpond.capacity.samples`; kept, since many runs share it."""
    elevation, transform, crs = read_terrain(terrain)
    return elevation, FlowNetwork.from_dem(elevation, transform=transform, crs=crs)


def correlate(terrain: str, n: int, seed: int) -> list[dict]:
    """Correlations of `n` virtual reservoirs, a row a method and pair: the study's Table 1.

    Parameters
    ----------
    terrain : str
    n : int
    seed : int
        Of the dams.
    """
    reservoirs, _ = virtual_reservoirs(*network(terrain), n, random_state=seed)
    return correlations(reservoirs)


def correlations(reservoirs: pd.DataFrame) -> list[dict]:
    """`method`, `factor`, `r` and `p_value` of each factor with the capacity (two-sided)."""
    rows = []
    for method, test in _CORRELATIONS.items():
        for factor in FACTORS:
            known = reservoirs[[factor, "capacity_1e6_m3"]].dropna()
            result = test(known[factor], known["capacity_1e6_m3"])
            rows.append({"method": method, "factor": factor, "r": result.statistic, "p_value": result.pvalue})
    return rows


def compare_with_taudem(seed: int = 0) -> dict:
    """How far our flow network agrees with TauDEM's on its own test data (nothing here is random).

    Returns
    -------
    dict
        From TauDEM's directions: `cells_equal`, share of the cells that it reports, and `path_max_difference_m`. From
        the DEM: `filled_max_difference_m`; `directions_equal` outside flats and `flat_share`; `outlets` and
        `outlets_within`: tributaries of at least 500 cells just above their junctions, and the share of them that have
        a catchment of the same size to within 2 % in a window of 5 x 5 cells.
    """
    results = {}
    folder = datasets.path("taudem")
    for name in ("", "p", "ad8", "plen", "fel", "sd8"):
        with rasterio.open(folder / f"enogeo{name}.tif") as dataset:
            results[name] = dataset.read(1, masked=True)
            grid = {"transform": dataset.transform, "crs": dataset.crs}
    theirs = FlowNetwork.from_d8(results["p"].filled(0), encoding="taudem", **grid)
    ours = FlowNetwork.from_dem(results[""].filled(np.nan), **grid)
    reported, paths = ~results["ad8"].mask, ~results["plen"].mask
    known = ~results["p"].mask
    sloping = known & (results["sd8"].filled(-1) > 0)

    cells = np.where(reported, results["ad8"].filled(0), 0)
    streams = np.flatnonzero(cells >= 500)
    below = theirs.flow.idxs_ds[streams]
    joins = cells.ravel()[below] > 1.3 * cells.ravel()[streams]
    matched = [_nearest_size(ours.upstream_cells, cell, cells.flat[cell]) for cell in streams[joins]]
    return {
        "cells_equal": float((theirs.upstream_cells == cells)[reported].mean()),
        "path_max_difference_m": float(np.abs(theirs.longest_path_km * 1000 - results["plen"].data)[paths].max()),
        "filled_max_difference_m": float(np.abs(ours.filled_m - results["fel"].data)[known].max()),
        "directions_equal": float((ours.d8("taudem") == results["p"].data)[sloping].mean()),
        "flat_share": float((known & ~sloping).sum() / known.sum()),
        "outlets": len(matched),
        "outlets_within": float((np.array(matched) <= 0.02).mean()),
    }


def _nearest_size(upstream_cells: np.ndarray, cell: int, size: int) -> float:
    """Relative difference to the most similar catchment around a cell."""
    row, col = np.unravel_index(cell, upstream_cells.shape)
    window = upstream_cells[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
    return float(np.abs(window / size - 1).min())
