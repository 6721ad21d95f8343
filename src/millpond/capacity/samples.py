"""The hilly terrains of the capacity chapters, and the virtual reservoirs built on them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from rasterio.transform import Affine
from sklearn.utils import check_random_state

from millpond import datasets
from millpond.capacity.dams import build_dams, jacksboro
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import factors_on_network
from millpond.capacity.terrain import FlowNetwork
from millpond.raster import open_raster

TERRAINS: dict[str, tuple[str | None, str]] = {
    "jacksboro": (None, "Jacksboro, Tennessee; 3 arc-seconds, refined to about 30 m"),
    "bigtujunga": ("dem", "Big Tujunga, California; 30 m"),
    "robit": ("dem", "Robit, Ethiopia; 30 m"),
}
"""Name of each terrain: the data set of the data root that holds it (None: bundled), and what it is."""

N_REFERENCE, N_TARGET, N_TARGET_KNOWN = 89, 123, 12
"""The study's reservoirs: measured ones in its reference basin, all in its target basin, and measured ones of these."""


def read_terrain(name: str) -> tuple[np.ndarray, Affine, str]:
    """(rows, cols) float32 elevation in metres, NaN where unknown; transform; coordinate reference system.

    Raises
    ------
    CapacityError
        If there is no such terrain.
    DatasetError
        If its data set isn't in the data root.
    """
    if name not in TERRAINS:
        raise CapacityError(f"terrain {name!r} found, one of {', '.join(TERRAINS)} expected.")
    dataset, _ = TERRAINS[name]
    if dataset is None:
        return jacksboro()
    with open_raster({"elevation": datasets.path(dataset) / f"{name}.tif"}) as raster:
        return raster.read(scaled=True)[0], raster.transform, raster.crs.to_string()


def virtual_reservoirs(
    elevation_m: np.ndarray, net: FlowNetwork, n: int, random_state=None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Build dams and measure their factors as a satellite and a DEM would show them.

    Parameters
    ----------
    elevation_m : (rows, cols) array
    net : FlowNetwork
        Of this ground.
    n : int
    random_state : int, RandomState or None

    Returns
    -------
    reservoirs : DataFrame
        By label: the factors (`millpond.capacity.factors.FACTORS` and what belongs to them), and `capacity_1e6_m3`,
        `height_m` and `full_area_km2`, which are known exactly.
    water : (rows, cols) int32 array
        Labels of the water surfaces.
    """
    dams, water = build_dams(elevation_m, net, n, random_state=random_state)
    return _measured(net, dams, water), water


class TwoAreas(NamedTuple):
    """The study's setting: reservoirs in a reference area and in a target area, where few are measured.

    Attributes
    ----------
    reference, target : DataFrame
        As from `virtual_reservoirs`, labelled by the values of `water`; `target` has the column `known` too.
    water : (rows, cols) int32 array
    """

    reference: pd.DataFrame
    target: pd.DataFrame
    water: np.ndarray


def two_areas(elevation_m: np.ndarray, net: FlowNetwork, random_state=None) -> TwoAreas:
    """Build the study's numbers of reservoirs on the eastern (reference) and the western half (target) of a terrain.

    All capacities are known exactly; `known` marks those that a model may see.

    Parameters
    ----------
    elevation_m : (rows, cols) array
    net : FlowNetwork
        Of this ground.
    random_state : int, RandomState or None
    """
    rng = check_random_state(random_state)
    west = np.broadcast_to(np.arange(net.shape[1]) < net.shape[1] // 2, net.shape)
    reference, water = build_dams(elevation_m, net, N_REFERENCE, random_state=rng, within=~west)
    target, others = build_dams(elevation_m, net, N_TARGET, random_state=rng, within=west)
    target.index += N_REFERENCE
    water = np.where(others > 0, others + N_REFERENCE, water)
    measured = _measured(net, pd.concat([reference, target]), water)
    target = measured.loc[target.index]
    known = rng.permutation(N_TARGET) < N_TARGET_KNOWN
    return TwoAreas(measured.loc[reference.index], target.assign(known=known), water)


def _measured(net: FlowNetwork, dams: pd.DataFrame, water: np.ndarray) -> pd.DataFrame:
    factors = factors_on_network(net, water, crest_m=dams["crest_m"].to_dict())
    return factors.join(dams[["capacity_1e6_m3", "height_m", "full_area_km2"]])
