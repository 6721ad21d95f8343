"""The hilly terrains of the capacity chapters, and the virtual reservoirs built on them."""

import numpy as np
import pandas as pd
from rasterio.transform import Affine

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
        elevation = raster.read()[0].astype(np.float32)
        elevation[elevation == raster.nodata] = np.nan
        return elevation, raster.transform, raster.crs.to_string()


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
    measured = factors_on_network(net, water, crest_m=dams["crest_m"].to_dict())
    return measured.join(dams[["capacity_1e6_m3", "height_m", "full_area_km2"]]), water
