"""Virtual dams on real terrain: reservoirs whose capacity is known exactly.

A dam at a cell of a DEM floods every upstream cell below its crest. The volume between crest and ground is the capacity
that a survey of the empty valley would have measured. Dams are virtual, terrain is real.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
from matplotlib import cbook
from rasterio.transform import Affine
from scipy.interpolate import RectBivariateSpline
from sklearn.utils import check_random_state

from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALL_CAPACITY_1E6_M3, SMALLEST_WATER_KM2
from millpond.capacity.terrain import FlowNetwork
from millpond.raster import unmasked

LARGEST_HEIGHT_M = 15.0
"""Small dams are lower than this, from foundation to crest (as the study quotes)."""


@dataclass(frozen=True)
class Flooding:
    """A flooded valley.

    Attributes
    ----------
    cells : (n,) array of int
        Flat indexes of the flooded cells.
    depth_m : (n,) array
    area_km2, volume_1e6_m3 : float
    dam_length_m : float
        Length of the wall: the flooded cells that would spill over a divide or at the outlet, times the cell size.
    """

    cells: np.ndarray
    depth_m: np.ndarray
    area_km2: float
    volume_1e6_m3: float
    dam_length_m: float


def flood(elevation_m: np.ndarray, net: FlowNetwork, outlet: int, crest_m: float) -> Flooding:
    """Flood the catchment of `outlet` up to the crest.

    Parameters
    ----------
    elevation_m : (rows, cols) array
        Ground before the dam was built; NaN where unknown.
    net : FlowNetwork
        Of this ground.
    outlet : int
        Flat index of the dam cell.
    crest_m : float
        Elevation of the dam crest.

    Returns
    -------
    Flooding

    Raises
    ------
    CapacityError
        If the crest is not above the ground at the outlet, or the flood reaches the edge of the DEM, where the volume
        would be a lower bound.
    """
    elevation_m = unmasked(elevation_m)
    if not crest_m > elevation_m.flat[outlet]:
        raise CapacityError(
            f"a crest of {crest_m:g} m at ground of {elevation_m.flat[outlet]:g} m found, a crest above the ground "
            "expected."
        )
    cells, spilling, at_edge = _flooded(net.filled_m, net.flow.idxs_ds, outlet, crest_m)
    if at_edge:
        raise CapacityError("the flood reaches the edge of the DEM. Lower the crest, or use a larger DEM.")
    # Flattening whole grids would copy them for every dam that is tried.
    rows, cols = np.divmod(cells, net.shape[1])
    depth = np.maximum(crest_m - elevation_m[rows, cols], 0)
    area_km2 = (net.cell_width_m * net.cell_height_m / 1e6)[rows]
    return Flooding(
        cells=cells,
        depth_m=depth,
        area_km2=float(area_km2.sum()),
        volume_1e6_m3=float((depth * area_km2).sum()),
        dam_length_m=float(spilling * np.sqrt(net.cell_area_km2.flat[outlet]) * 1000),
    )


def build_dams(
    elevation_m: np.ndarray,
    net: FlowNetwork,
    n: int,
    *,
    random_state=None,
    area_km2: tuple[float, float] = (0.2, 50.0),
    longest_dam_m: float = 600.0,
    within: np.ndarray | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Build small virtual dams at random places on streams, and fill them partly.

    Sites are tried in random order. A dam stands if its capacity is in `SMALL_CAPACITY_1E6_M3`, its wall is not longer
    than `longest_dam_m`, it doesn't touch another, and a satellite would find it when it is partly full.

    Parameters
    ----------
    elevation_m : (rows, cols) array
    net : FlowNetwork
        Of this ground.
    n : int
    random_state : int, RandomState or None
    area_km2 : (float, float)
        Range of the catchments of the sites.
    longest_dam_m : float
    within : (rows, cols) bool array, optional
        Where the reservoirs have to lie.

    Returns
    -------
    reservoirs : DataFrame
        By label: `outlet`, `height_m`, `crest_m`, `capacity_1e6_m3`, `full_area_km2`, `waterline_m` (a random level
        between 40 and 90 % of the height, as a satellite would find it).
    water : (rows, cols) int32 array
        Labels of the water at the waterline.

    Raises
    ------
    CapacityError
        If the terrain has fewer than `n` such places.
    """
    rng, elevation_m = check_random_state(random_state), unmasked(elevation_m)
    low, high = area_km2
    streams = (net.upstream_area_km2 >= low) & (net.upstream_area_km2 <= high) & ~net.edge_contaminated()
    water = np.zeros(net.shape, np.int32)
    taken = np.zeros(net.shape, bool) if within is None else ~unmasked(within, False)
    around = np.add.outer(np.array([-1, 0, 1]) * net.shape[1], [-1, 0, 1]).ravel()
    rows = []
    for outlet in rng.permutation(np.flatnonzero(streams)):
        if len(rows) == n:
            break
        height = rng.uniform(4, LARGEST_HEIGHT_M)
        fill = rng.uniform(0.4, 0.9)
        ground = float(elevation_m.flat[outlet])
        try:
            full = flood(elevation_m, net, outlet, ground + height)
        except CapacityError:  # at the edge
            continue
        small = SMALL_CAPACITY_1E6_M3[0] <= full.volume_1e6_m3 <= SMALL_CAPACITY_1E6_M3[1]
        seen = flood(elevation_m, net, outlet, ground + fill * height)
        visible = seen.area_km2 >= SMALLEST_WATER_KM2
        if not (small and visible) or full.dam_length_m > longest_dam_m or taken.flat[full.cells].any():
            continue
        taken.flat[np.add.outer(full.cells, around).ravel()] = True  # floods don't reach the edge of the grid
        water.flat[seen.cells] = len(rows) + 1
        rows.append((outlet, height, ground + height, full.volume_1e6_m3, full.area_km2, ground + fill * height))
    if len(rows) < n:
        raise CapacityError(
            f"{len(rows)} sites for dams found, {n} expected. Use a larger DEM or a wider range of areas."
        )
    columns = ["outlet", "height_m", "crest_m", "capacity_1e6_m3", "full_area_km2", "waterline_m"]
    return pd.DataFrame(rows, columns=columns, index=pd.RangeIndex(1, n + 1, name="label")), water


def jacksboro(refine: int = 3) -> tuple[np.ndarray, Affine, str]:
    """Hilly terrain around Jacksboro, Tennessee, that ships with matplotlib: 3 arc-seconds, refined by a spline.

    Parameters
    ----------
    refine : int
        Cells of the refined grid along a cell of the original; 3 gives about 30 m. The cubic spline adds no
        information; it lets small water bodies cover more than two cells.

    Returns
    -------
    elevation_m : (rows, cols) float32 array
    transform : affine.Affine
    crs : str
    """
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as dem:
        coarse = dem["elevation"].astype(float)
        west, step_x, step_y = (float(dem[key]) for key in ("xmin", "dx", "dy"))
        north = float(max(dem["ymin"], dem["ymax"]))  # the file's names are swapped: rows run from the north
    rows, cols = (np.arange(n) + 0.5 for n in coarse.shape)
    fine = [(np.arange(n * refine) + 0.5) / refine for n in coarse.shape]
    spline = RectBivariateSpline(rows, cols, coarse)
    inside = [np.clip(axis, 0.5, n - 0.5) for axis, n in zip(fine, coarse.shape, strict=True)]
    elevation = spline(*inside).astype(np.float32)
    return elevation, Affine(step_x / refine, 0, west, 0, -step_y / refine, north), "EPSG:4326"


@numba.njit(cache=True)
def _flooded(filled, downstream, outlet, crest):
    """Cells upstream of the outlet below the crest, how many of them would spill, and whether one lies at the edge."""
    rows, cols = filled.shape
    flat = filled.ravel()
    inside = {outlet}
    cells = [outlet]
    at_edge = False
    i = 0
    while i < len(cells):
        row, col = cells[i] // cols, cells[i] % cols
        i += 1
        if row == 0 or col == 0 or row == rows - 1 or col == cols - 1:
            at_edge = True
            continue
        for r in range(row - 1, row + 2):
            for c in range(col - 1, col + 2):
                cell = r * cols + c
                if np.isnan(flat[cell]):
                    at_edge = True
                elif downstream[cell] == cells[i - 1] and cell != cells[i - 1] and flat[cell] < crest:
                    inside.add(cell)
                    cells.append(cell)
    spilling = 0
    for cell in cells:
        row, col = cell // cols, cell % cols
        if 0 < row < rows - 1 and 0 < col < cols - 1:
            for k in (cell - 1, cell + 1, cell - cols, cell + cols):
                if k not in inside and flat[k] < crest:
                    spilling += 1
                    break
    return np.array(cells), spilling, at_edge
