"""Where water flows on a DEM, and what lies upstream of every cell.

Depressions are filled (Wang and Liu 2006, doi:10.1080/13658810500433453, as pyflwdir has it) and every cell drains to
the neighbour with the steepest drop (D8; O'Callaghan and Mark 1984, doi:10.1016/S0734-189X(84)80011-0). Flats drain
away from higher ground and towards lower (Garbrecht and Martz 1997, doi:10.1016/S0022-1694(96)03138-1), as in TauDEM.
Then one sweep from the divides down gives each cell the aggregates of its catchment, so the cost doesn't grow with the
number of reservoirs. Distances and areas are those of the ellipsoid where coordinates are geographic.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np
import pyflwdir
from pyproj import CRS, Proj, Transformer
from rasterio.transform import Affine
from scipy.ndimage import distance_transform_edt

from millpond.capacity.errors import CapacityError

# The step to each neighbour and the code of its direction: east, north, west, south, then the diagonals. Of equal ways
# out of a flat the first is taken, so straight ones go first, as in TauDEM.
_ROW_STEP = np.array([0, -1, 0, 1, -1, -1, 1, 1])
_COL_STEP = np.array([1, 0, -1, 0, 1, -1, -1, 1])
_ESRI = np.array([1, 64, 16, 4, 128, 32, 8, 2], np.uint8)
_ENCODINGS = {"esri": _ESRI, "taudem": np.array([1, 3, 5, 7, 2, 4, 6, 8])}
_PIT, _NO_DATA = np.uint8(0), np.uint8(247)  # pyflwdir's codes

LARGEST_SCALE_ERROR = 0.05
"""Projections whose scale differs more from 1 are refused."""


class Catchments(NamedTuple):
    """What lies upstream of each cell, itself included; every field is a (rows, cols) array."""

    cells: np.ndarray
    area_km2: np.ndarray
    longest_path_km: np.ndarray
    mean_slope_deg: np.ndarray
    max_elevation_m: np.ndarray


@dataclass(frozen=True, eq=False)
class FlowNetwork:
    """Flow directions on a DEM; made by `from_dem` or `from_d8`. Takes about 140 bytes a cell with its aggregates.

    Attributes
    ----------
    flow : pyflwdir.FlwdirRaster
        Directions and the order of the cells.
    filled_m : (rows, cols) float32 array
        Elevation with depressions filled; NaN where unknown.
    slope_deg : (rows, cols) float32 array
        Horn's slope of the ground as it is.
    cell_width_m, cell_height_m : (rows,) arrays
        Size of the cells of each row on the ground.
    transform : affine.Affine
    crs : pyproj.CRS
    """

    flow: pyflwdir.FlwdirRaster
    filled_m: np.ndarray
    slope_deg: np.ndarray
    cell_width_m: np.ndarray
    cell_height_m: np.ndarray
    transform: Affine
    crs: CRS

    @classmethod
    def from_dem(cls, elevation: np.ndarray, *, transform: Affine, crs, nodata: float | None = None) -> "FlowNetwork":
        """Fill depressions and derive D8 directions.

        Parameters
        ----------
        elevation : (rows, cols) array
            Ground elevation in metres; NaN or `nodata` where unknown.
        transform : affine.Affine
            North up.
        crs
            Anything that `pyproj.CRS.from_user_input` takes; projected or geographic.
        nodata : float, optional

        Raises
        ------
        CapacityError
            If there is no coordinate reference system, the grid is rotated, no cell has data, or the DEM is flat.
        """
        elevation = _as_elevation(elevation, nodata)
        crs, width, height = cell_size_m(elevation.shape, transform, crs)
        _, flooded = pyflwdir.dem.fill_depressions(elevation, nodata=np.nan)
        flood = pyflwdir.from_array(flooded, ftype="d8", check_ftype=False)
        # pyflwdir fills by sums in float32, which can leave a pit an ulp below its way out.
        filled = _levels(flood.idxs_seq, flood.idxs_ds, elevation)
        codes = _steepest(filled, width, height)
        flat = (codes == _PIT) & (flooded != _PIT)  # where the flood began, water leaves the grid
        _drain_flats(codes, filled, flat, width, height)
        return cls._finish(codes, filled, horn_slope_deg(elevation, width, height), width, height, transform, crs)

    @classmethod
    def from_d8(cls, codes: np.ndarray, *, encoding: str, transform: Affine, crs) -> "FlowNetwork":
        """Take over D8 directions that another program computed.

        Parameters
        ----------
        codes : (rows, cols) array of int
            Cells with any other than the eight codes have no data.
        encoding : "taudem" or "esri"
            1 to 8 counter-clockwise from the east, or powers of two clockwise from the east.
        transform, crs
            As in `from_dem`. Slope and relief stay unknown.

        Raises
        ------
        CapacityError
            If the encoding is unknown, no cell has a code, or the directions run in a circle.
        """
        if encoding not in _ENCODINGS:
            raise CapacityError(f"D8 encoding {encoding!r} found, one of {', '.join(_ENCODINGS)} expected.")
        esri = np.full(np.shape(codes), _NO_DATA)
        for code, same in zip(_ENCODINGS[encoding], _ESRI, strict=True):
            esri[np.asarray(codes) == code] = same
        if (esri == _NO_DATA).all():
            raise CapacityError(f"no cell with a {encoding} direction found. Check the encoding and the file.")
        crs, width, height = cell_size_m(esri.shape, transform, crs)
        unknown = np.full(esri.shape, np.nan, np.float32)
        return cls._finish(esri, unknown, unknown, width, height, transform, crs)

    @classmethod
    def _finish(cls, codes, filled, slope, width, height, transform, crs) -> "FlowNetwork":
        flow = pyflwdir.from_array(codes, ftype="d8", check_ftype=False, transform=transform, latlon=crs.is_geographic)
        if len(flow.idxs_seq) < flow.mask.sum():
            raise CapacityError("directions that run in a circle found, every cell must drain. Derive them anew.")
        return cls(flow, filled, slope, width, height, transform, crs)

    @property
    def shape(self) -> tuple[int, int]:
        return self.flow.shape

    @cached_property
    def cell_area_km2(self) -> np.ndarray:
        """(rows, cols) area of each cell."""
        return np.broadcast_to((self.cell_width_m * self.cell_height_m / 1e6)[:, None], self.shape)

    def d8(self, encoding: str = "esri") -> np.ndarray:
        """(rows, cols) int16 codes of the directions; 0 where water leaves the grid, -1 without data."""
        esri = self.flow.to_array("d8")
        codes = np.where(esri == _NO_DATA, -1, 0).astype(np.int16)
        for code, same in zip(_ENCODINGS[encoding], _ESRI, strict=True):
            codes[esri == same] = code
        return codes

    def catchments(self, cut: np.ndarray | None = None) -> Catchments:
        """Aggregate everything upstream of each cell, in one sweep.

        Parameters
        ----------
        cut : array of int, optional
            Flat indexes of cells that pass nothing on: below them only what they don't control is counted.

        Returns
        -------
        Catchments
            Zero cells where there are no data.
        """
        cells, area, path, slope, highest = _sweep(
            self.flow.idxs_seq,
            self.flow.idxs_ds,
            self._passes(cut),
            self.cell_width_m,
            self.cell_height_m,
            self.slope_deg.ravel(),
            self.filled_m.ravel(),
        )
        with np.errstate(invalid="ignore"):  # no mean without data
            mean_slope = slope / area
        found = (cells, area / 1e6, path / 1e3, mean_slope, highest)
        return Catchments(*(values.reshape(self.shape) for values in found))

    @cached_property
    def _whole(self) -> Catchments:
        return self.catchments()

    @property
    def upstream_cells(self) -> np.ndarray:
        """(rows, cols) number of cells that drain through each cell, itself included; 0 without data."""
        return self._whole.cells

    @property
    def upstream_area_km2(self) -> np.ndarray:
        """(rows, cols) area that drains through each cell."""
        return self._whole.area_km2

    @property
    def longest_path_km(self) -> np.ndarray:
        """(rows, cols) length of the longest flow path that ends in each cell."""
        return self._whole.longest_path_km

    def edge_contaminated(self, cut: np.ndarray | None = None) -> np.ndarray:
        """(rows, cols) bool: part of the catchment may lie outside the grid or where data lack (as in TauDEM).

        Parameters
        ----------
        cut : array of int, optional
            As in `catchments`: what lies upstream of these cells doesn't count below them.
        """
        known = np.pad(self.flow.mask.reshape(self.shape), 1)
        rows, cols = self.shape
        beside = np.zeros(self.shape, bool)
        for down, right in zip(_ROW_STEP, _COL_STEP, strict=True):
            beside |= ~known[1 + down : 1 + down + rows, 1 + right : 1 + right + cols]
        return _spread_downstream(self.flow.idxs_seq, self.flow.idxs_ds, self._passes(cut), beside.ravel()).reshape(
            self.shape
        )

    def _passes(self, cut: np.ndarray | None) -> np.ndarray:
        passes = np.ones(self.filled_m.size, bool)
        if cut is not None:
            passes[cut] = False
        return passes


def horn_slope_deg(elevation_m: np.ndarray, cell_width_m: np.ndarray, cell_height_m: np.ndarray) -> np.ndarray:
    """Slope from the eight neighbours, weighted as by Horn (1981, doi:10.1109/PROC.1981.11918).

    Parameters
    ----------
    elevation_m : (rows, cols) float array
        NaN where unknown; unknown neighbours are taken to be as high as the cell.
    cell_width_m, cell_height_m : (rows,) arrays

    Returns
    -------
    (rows, cols) float32 array in degrees, NaN where unknown
    """
    rows, cols = elevation_m.shape
    padded = np.pad(elevation_m.astype(np.float32), 1, constant_values=np.nan)

    def neighbour(down, right):
        values = padded[1 + down : 1 + down + rows, 1 + right : 1 + right + cols]
        return np.where(np.isnan(values), elevation_m, values)

    east = neighbour(-1, 1) + 2 * neighbour(0, 1) + neighbour(1, 1)
    west = neighbour(-1, -1) + 2 * neighbour(0, -1) + neighbour(1, -1)
    north = neighbour(-1, -1) + 2 * neighbour(-1, 0) + neighbour(-1, 1)
    south = neighbour(1, -1) + 2 * neighbour(1, 0) + neighbour(1, 1)
    x = (east - west) / (8 * cell_width_m[:, None])
    y = (north - south) / (8 * cell_height_m[:, None])
    slope_deg = np.degrees(np.arctan(np.hypot(x, y)))
    return np.where(np.isnan(elevation_m), np.nan, slope_deg).astype(np.float32)


def recondition(
    elevation_m: np.ndarray,
    streams: np.ndarray,
    *,
    buffer_cells: float = 5,
    smooth_drop_m: float = 10,
    sharp_drop_m: float = 100,
) -> np.ndarray:
    """Lower a DEM along a known stream network, so that flow follows it (AGREE; Hellweger 1997, as in ArcHydro).

    Within the buffer the ground is bent linearly down to `smooth_drop_m` below the stream; the stream itself is then
    lowered by `sharp_drop_m`. Use the result for directions only: its elevations aren't those of the ground.

    Parameters
    ----------
    elevation_m : (rows, cols) array
    streams : (rows, cols) bool array
        Cells without elevation don't count.
    buffer_cells : float
        Distance from the stream that is bent, in cells.
    smooth_drop_m, sharp_drop_m : float

    Returns
    -------
    (rows, cols) float32 array
    """
    unknown = np.isnan(elevation_m)
    if streams.shape == elevation_m.shape:
        streams = streams & ~unknown
    if streams.shape != elevation_m.shape or not streams.any():
        raise CapacityError(
            f"streams of shape {streams.shape} with {int(streams.sum())} cells found, a network on the DEM's grid "
            f"{elevation_m.shape} expected. Rasterize the streams onto the DEM."
        )
    to_stream, stream = distance_transform_edt(~streams, return_indices=True)
    buffer = to_stream <= buffer_cells
    to_outside, outside = distance_transform_edt(buffer | unknown, return_indices=True)
    bed = elevation_m[tuple(stream)] - smooth_drop_m
    bank = elevation_m[tuple(outside)]
    bent = bed + (bank - bed) * to_stream / np.maximum(to_stream + to_outside, 1)
    out = np.where(buffer & ~unknown, np.fmin(bent, elevation_m), elevation_m)
    out[streams] -= sharp_drop_m
    return out.astype(np.float32)


def _as_elevation(elevation: np.ndarray, nodata: float | None) -> np.ndarray:
    values = np.array(elevation, np.float32)
    if values.ndim != 2:
        raise CapacityError(f"elevation of shape {values.shape} found, (rows, cols) expected. Pass one band.")
    if nodata is not None:
        values[np.asarray(elevation) == nodata] = np.nan
    known = values[np.isfinite(values)]
    if known.size == 0:
        raise CapacityError("no cell of the DEM has data. Check the file and its no-data value.")
    if known.min() == known.max():
        raise CapacityError(f"a flat DEM found (all cells {known.min():g} m), relief expected. Check the file.")
    values[~np.isfinite(values)] = np.nan
    return values


def cell_size_m(shape: tuple[int, int], transform: Affine, crs) -> tuple[CRS, np.ndarray, np.ndarray]:
    """The reference system, and (rows,) width and height of the cells of each row on the ground.

    Raises
    ------
    CapacityError
        If there is no reference system, the grid isn't north up, or a projected map isn't true to scale, such as Web
        Mercator far from the equator.
    """
    if crs is None:
        raise CapacityError("no coordinate reference system found, needed for lengths. Set it in the DEM (gdal_edit).")
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise CapacityError("a rotated or flipped grid found, north up expected. Warp the DEM (gdalwarp).")
    crs = CRS.from_user_input(crs)
    rows = np.arange(shape[0])
    if not crs.is_geographic:
        _check_scale(crs, transform @ (0.5, shape[0] / 2))
        metres = crs.axis_info[0].unit_conversion_factor
        return crs, np.full(len(rows), transform.a * metres), np.full(len(rows), -transform.e * metres)
    geod = crs.get_geod()
    top = transform.f + rows * transform.e
    middle = top + transform.e / 2
    here, there = np.zeros(len(rows)), np.full(len(rows), transform.a)
    width = geod.inv(here, middle, there, middle)[2]
    height = geod.inv(here, top, here, top + transform.e)[2]
    if not (np.isfinite(width).all() and np.isfinite(height).all()):
        raise CapacityError(
            f"latitudes from {top[-1] + transform.e:g} to {top[0]:g} found, -90 to 90 degrees expected in {crs.name}. "
            "Check the coordinates and their reference system."
        )
    return crs, width, height


def _check_scale(crs: CRS, place: tuple[float, float]) -> None:
    degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(*place)
    factors = Proj(crs).get_factors(*degrees)
    worst = max(factors.meridional_scale, factors.parallel_scale, key=lambda scale: abs(np.log(scale)))
    if not abs(worst - 1) <= LARGEST_SCALE_ERROR:
        raise CapacityError(
            f"a map of scale {worst:.2f} found ({crs.name}), within {LARGEST_SCALE_ERROR:.0%} of 1 expected: its "
            "lengths aren't those on the ground. Warp the DEM to UTM (gdalwarp -t_srs)."
        )


@numba.njit(cache=True)
def _levels(order, downstream, ground):
    """Ground with depressions filled: the highest ground on the way out, from the outlets up."""
    levels = ground.copy()
    flat = levels.ravel()
    for cell in order:
        flat[cell] = max(flat[cell], flat[downstream[cell]])
    return levels


@numba.njit(cache=True)
def _length(k, width, height):
    """Distance to neighbour k from a cell of this size."""
    return np.hypot(width, height) if k >= 4 else width if k % 2 == 0 else height


@numba.njit(cache=True)
def _steepest(filled, width, height):
    """ESRI codes of the steepest drops; `_PIT` without any, `_NO_DATA` where nothing is known."""
    rows, cols = filled.shape
    codes = np.full(filled.shape, _NO_DATA)
    for row in range(rows):
        for col in range(cols):
            if np.isnan(filled[row, col]):
                continue
            codes[row, col] = _PIT
            steepest = 0.0
            for k in range(8):
                r, c = row + _ROW_STEP[k], col + _COL_STEP[k]
                if 0 <= r < rows and 0 <= c < cols and not np.isnan(filled[r, c]):
                    drop = (filled[row, col] - filled[r, c]) / _length(k, width[row], height[row])
                    if drop > steepest:
                        steepest = drop
                        codes[row, col] = _ESRI[k]
    return codes


def _drain_flats(codes, surface, flat, width, height) -> None:
    """Give the cells of flats a code: down a relief made of the steps to lower ground and those from higher ground.

    The two may cancel. Where they do, the made relief has flats, which drain likewise. Every flat has a way out, since
    a depression is filled to the level of its rim, and each round drains at least the cells next to one.
    """
    while flat.any():
        cells = np.flatnonzero(flat)
        to_lower, from_higher = (_steps(surface, flat, cells, lower) for lower in (True, False))
        # Unknown outside this flat, so that the next round stays inside it.
        relief = np.where(flat, to_lower - from_higher, np.nan)
        flat = _point_down(codes, surface, flat, cells, relief, width, height)
        surface = relief


@numba.njit(cache=True)
def _steps(surface, flat, cells, lower):
    """Steps from each cell of a flat to a way out of it, or to the higher ground around it; 0 where there is none."""
    rows, cols = surface.shape
    steps = np.zeros(surface.shape, np.int32)
    queue = np.empty_like(cells)
    n = 0
    for cell in cells:
        row, col = cell // cols, cell % cols
        for k in range(8):
            r, c = row + _ROW_STEP[k], col + _COL_STEP[k]
            if not (0 <= r < rows and 0 <= c < cols):
                continue
            rise = surface[r, c] - surface[row, col]
            if (lower and rise <= 0 and not flat[r, c]) or (not lower and rise > 0):
                steps[row, col] = 1
                queue[n] = cell
                n += 1
                break
    i = 0
    while i < n:
        row, col = queue[i] // cols, queue[i] % cols
        i += 1
        for k in range(8):
            r, c = row + _ROW_STEP[k], col + _COL_STEP[k]
            if not (0 <= r < rows and 0 <= c < cols) or steps[r, c] > 0 or not flat[r, c]:
                continue
            if surface[r, c] == surface[row, col]:
                steps[r, c] = steps[row, col] + 1
                queue[n] = r * cols + c
                n += 1
    return steps


@numba.njit(cache=True)
def _point_down(codes, surface, flat, cells, relief, width, height):
    """Point each cell to a way out of its flat, else to the steepest drop of the relief; what is left stays flat."""
    rows, cols = surface.shape
    left = np.zeros(flat.shape, np.bool_)
    for cell in cells:
        row, col = cell // cols, cell % cols
        left[row, col] = True
        steepest = 0.0
        for k in range(8):
            r, c = row + _ROW_STEP[k], col + _COL_STEP[k]
            if not (0 <= r < rows and 0 <= c < cols):
                continue
            way_out = not flat[r, c] and surface[r, c] <= surface[row, col]
            drop = (relief[row, col] - relief[r, c]) / _length(k, width[row], height[row])
            if way_out or (flat[r, c] and drop > steepest):
                steepest = drop
                codes[row, col] = _ESRI[k]
                left[row, col] = False
            if way_out:
                break
    return left


@numba.njit(cache=True)
def _sweep(order, downstream, passes, width, height, slope, elevation):
    """Aggregates of everything upstream; `order` runs from the outlets up, so it is walked backwards."""
    cols = downstream.size // width.size
    cells = np.zeros(downstream.size, np.int64)
    area = np.zeros(downstream.size)
    path = np.zeros(downstream.size)
    slope_area = np.zeros(downstream.size)
    highest = np.full(downstream.size, np.nan, np.float32)
    for i in range(order.size - 1, -1, -1):
        cell = order[i]
        row, col = cell // cols, cell % cols
        own = width[row] * height[row]
        cells[cell] += 1
        area[cell] += own
        slope_area[cell] += own * slope[cell]
        if not highest[cell] > elevation[cell]:
            highest[cell] = elevation[cell]
        below = downstream[cell]
        if below == cell or not passes[cell]:
            continue
        down, right = below // cols - row, below % cols - col
        step = np.hypot(down * height[row], right * width[row])
        cells[below] += cells[cell]
        area[below] += area[cell]
        slope_area[below] += slope_area[cell]
        path[below] = max(path[below], path[cell] + step)
        if not highest[below] > highest[cell]:
            highest[below] = highest[cell]
    return cells, area, path, slope_area, highest


@numba.njit(cache=True)
def _spread_downstream(order, downstream, passes, seeds):
    reached = seeds.copy()
    for i in range(order.size - 1, -1, -1):
        if reached[order[i]] and passes[order[i]]:
            reached[downstream[order[i]]] = True
    return reached
