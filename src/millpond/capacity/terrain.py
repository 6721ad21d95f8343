"""Where water flows on a DEM, and what lies upstream of every cell.

Depressions are filled (Wang and Liu 2006, doi:10.1080/13658810500433453, as pyflwdir has it) and every cell drains to
the neighbour with the steepest drop (D8; O'Callaghan and Mark 1984, doi:10.1016/S0734-189X(84)80011-0). Flats drain
away from higher ground and towards lower (Garbrecht and Martz 1997, doi:10.1016/S0022-1694(96)03138-1), as in TauDEM.
Then one sweep from the divides down gives each cell the aggregates of its catchment, so the cost doesn't grow with the
number of reservoirs. Distances and areas are those on the ellipsoid, whatever the map. Filling is for directions only:
the elevation of the ground is kept beside it.
"""

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np
import pyflwdir
from pyproj import CRS, Transformer
from pyproj.database import get_units_map
from rasterio.transform import Affine
from scipy import ndimage

from millpond.capacity.errors import CapacityError
from millpond.raster import Raster, unmasked

# The step to each neighbour and the code of its direction: east, north, west, south, then the diagonals. Of equal ways
# out of a flat the first is taken, so straight ones go first, as in TauDEM.
_ROW_STEP = np.array([0, -1, 0, 1, -1, -1, 1, 1])
_COL_STEP = np.array([1, 0, -1, 0, 1, -1, -1, 1])
_ESRI = np.array([1, 64, 16, 4, 128, 32, 8, 2], np.uint8)
_ENCODINGS = {"esri": _ESRI, "taudem": np.array([1, 3, 5, 7, 2, 4, 6, 8])}
_PIT, _NO_DATA = np.uint8(0), np.uint8(247)  # pyflwdir's codes

LARGEST_DISTORTION = 0.05
"""Grids whose cells differ by more in area along a row, or in their two diagonals, are refused: sizes go by row."""

LAND_M = (-500.0, 9000.0)
"""No land is lower or higher: the shore of the Dead Sea is at -430 m, Mount Everest at 8,849 m."""

_BYTES_PER_CELL = 165  # measured, with the aggregates


class Catchments(NamedTuple):
    """What lies upstream of each cell, itself included; every field is a (rows, cols) array."""

    cells: np.ndarray
    area_km2: np.ndarray
    longest_path_km: np.ndarray
    mean_slope_deg: np.ndarray
    relief_m: np.ndarray


@dataclass(frozen=True, eq=False)
class FlowNetwork:
    """Flow directions on a DEM; made by `from_dem` or `from_d8`. Takes about 165 bytes a cell with its aggregates.

    Attributes
    ----------
    flow : pyflwdir.FlwdirRaster
        Directions and the order of the cells.
    elevation_m : (rows, cols) float32 array
        The ground; NaN where unknown.
    surface_m : (rows, cols) float32 array
        What the directions follow: the ground, unless `from_dem` was told otherwise.
    filled_m : (rows, cols) float32 array
        The surface with depressions filled.
    slope_deg : (rows, cols) float32 array
        Horn's slope of the ground as it is.
    cell_width_m, cell_height_m : (rows,) arrays
        Size of the cells of each row on the ground.
    transform : affine.Affine
    crs : pyproj.CRS
    sinks : (n,) array of int
        Flat indexes of cells inside the grid where water gathers (`with_sinks`).
    """

    flow: pyflwdir.FlwdirRaster
    elevation_m: np.ndarray
    surface_m: np.ndarray
    filled_m: np.ndarray
    slope_deg: np.ndarray
    cell_width_m: np.ndarray
    cell_height_m: np.ndarray
    transform: Affine
    crs: CRS
    sinks: np.ndarray = field(default_factory=lambda: np.array([], np.intp))

    @classmethod
    def from_dem(
        cls, elevation: np.ndarray, *, transform: Affine, crs, nodata: float | None = None, surface_m=None
    ) -> "FlowNetwork":
        """Fill depressions and derive D8 directions.

        Parameters
        ----------
        elevation : (rows, cols) array
            Ground elevation in metres; masked, NaN or `nodata` where unknown, and as `elevation_of` where impossible.
        transform : affine.Affine
            North up.
        crs
            Anything that `pyproj.CRS.from_user_input` takes; projected or geographic.
        nodata : float, optional
        surface_m : (rows, cols) array, optional
            What the directions follow instead of the ground, such as from `recondition`.

        Raises
        ------
        CapacityError
            If there is no coordinate reference system, the grid is rotated, no cell has data, the DEM is flat, or the
            memory isn't there.
        """
        elevation = elevation_of(elevation, nodata).astype(np.float32)
        crs, width, height = cell_size_m(elevation.shape, transform, crs)
        check_memory(elevation.shape)
        known = elevation[~np.isnan(elevation)]
        if known.size == 0:
            raise CapacityError("no cell of the DEM has data. Check the file and its no-data value.")
        if known.min() == known.max():
            raise CapacityError(f"a flat DEM found (all cells {known.min():g} m), relief expected. Check the file.")
        surface = elevation if surface_m is None else surface_m
        codes, filled = _route(surface, width, height, np.array([], int))
        slope = horn_slope_deg(elevation, width, height)
        return cls._finish(codes, elevation, surface, filled, slope, width, height, transform, crs)

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
            esri[unmasked(codes, 0) == code] = same
        if (esri == _NO_DATA).all():
            raise CapacityError(f"no cell with a {encoding} direction found. Check the encoding and the file.")
        crs, width, height = cell_size_m(esri.shape, transform, crs)
        unknown = np.full(esri.shape, np.nan, np.float32)
        return cls._finish(esri, unknown, unknown, unknown, unknown, width, height, transform, crs)

    @classmethod
    def _finish(cls, codes, *attributes) -> "FlowNetwork":
        flow = pyflwdir.from_array(codes, ftype="d8", check_ftype=False)
        if len(flow.idxs_seq) < flow.mask.sum():
            raise CapacityError("directions that run in a circle found, every cell must drain. Derive them anew.")
        return cls(flow, *attributes)

    def with_sinks(self, sinks: np.ndarray) -> "FlowNetwork":
        """The network in which what comes into the depression of a sink gathers there, not on its filled flat.

        From a sink, water runs on where it left the depression before, straight to the first cell beyond: what lies
        downstream keeps what lies upstream.

        Parameters
        ----------
        sinks : (n,) array of int
            Flat indexes of cells, such as the beds of lakes.
        """
        before = self.flow.idxs_ds
        every = np.union1d(self.sinks, sinks)
        codes, filled = _route(self.surface_m, self.cell_width_m, self.cell_height_m, every)
        flow = pyflwdir.from_array(codes, ftype="d8", check_ftype=False)
        gathers = flow.basins(idxs=every, ids=np.arange(1, every.size + 1, dtype=np.uint32)).ravel()
        downstream = flow.idxs_ds.copy()
        downstream[self.sinks] = before[self.sinks]
        for sink in sinks:
            way = _way_down(before, sink)
            last = np.flatnonzero(gathers[way] == gathers[sink])[-1]
            if last + 1 < way.size and sink not in _way_down(downstream, way[last + 1]):
                downstream[sink] = way[last + 1]
        flow = pyflwdir.FlwdirRaster(downstream, self.shape, "d8")
        return replace(self, flow=flow, filled_m=filled, sinks=every)

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
        cells, area, path, slope, relief = _sweep(
            self.flow.idxs_seq,
            self.flow.idxs_ds,
            self._passes(cut),
            self.cell_width_m,
            self.cell_height_m,
            self.slope_deg.ravel(),
            self.elevation_m.ravel(),
        )
        with np.errstate(invalid="ignore"):  # no mean without data
            mean_slope = slope / area
        found = (cells, area / 1e6, path / 1e3, mean_slope, relief)
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
        at_edge = _edge(self.flow.mask.reshape(self.shape)).ravel()
        reached = _spread_downstream(self.flow.idxs_seq, self.flow.idxs_ds, self._passes(cut), at_edge)
        return reached.reshape(self.shape)

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
    elevation_m = unmasked(elevation_m)
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
    elevation_m, streams = unmasked(elevation_m), unmasked(streams, False)
    unknown = np.isnan(elevation_m)
    if streams.shape == elevation_m.shape:
        streams = streams & ~unknown
    if streams.shape != elevation_m.shape or not streams.any():
        raise CapacityError(
            f"streams of shape {streams.shape} with {int(streams.sum())} cells found, a network on the DEM's grid "
            f"{elevation_m.shape} expected. Rasterize the streams onto the DEM."
        )
    to_stream, stream = ndimage.distance_transform_edt(~streams, return_indices=True)
    buffer = to_stream <= buffer_cells
    to_outside, outside = ndimage.distance_transform_edt(buffer | unknown, return_indices=True)
    bed = elevation_m[tuple(stream)] - smooth_drop_m
    bank = elevation_m[tuple(outside)]
    bent = bed + (bank - bed) * to_stream / np.maximum(to_stream + to_outside, 1)
    out = np.where(buffer & ~unknown, np.fmin(bent, elevation_m), elevation_m)
    out[streams] -= sharp_drop_m
    return out.astype(np.float32)


def read_elevation(dem: Raster, unit: str | None = None) -> np.ndarray:
    """(rows, cols) float32 elevation in metres of a DEM's first band, NaN where unknown.

    The unit is the one given, else that of the band, else that of the vertical reference system, else the metre.

    Raises
    ------
    CapacityError
        If the unit isn't known.
    """
    unit, metres = unit or dem.units[0], 1.0
    vertical = [] if dem.crs is None else CRS.from_user_input(dem.crs).sub_crs_list[1:]
    if unit:
        known = {name.lower(): found.conv_factor for name, found in get_units_map(category="linear").items()}
        known |= {"m": 1.0, "meter": 1.0, "meters": 1.0, "metres": 1.0, "ft": 0.3048, "feet": 0.3048}
        known |= {"ftus": known["us survey foot"], "us-ft": known["us survey foot"]}
        if unit.lower() not in known:
            raise CapacityError(
                f"{dem.paths[0]}: elevations in {unit!r} found, metres (m) or feet (ft) expected. Give the unit "
                "(--elevation-unit), correct that of the band (gdal_edit -units m), or convert the DEM (gdal_calc)."
            )
        metres = known[unit.lower()]
    elif vertical:
        metres = vertical[0].axis_info[0].unit_conversion_factor
    return elevation_of(dem.read(scaled=True)[0] * metres)


def elevation_of(values: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """(rows, cols) float elevation in metres, NaN where masked, infinite or `nodata`, or outside `LAND_M`.

    Warns
    -----
    UserWarning
        Of cells outside `LAND_M`: voids that the file doesn't declare.

    Raises
    ------
    CapacityError
        If the shape is another.
    """
    if np.ndim(values) != 2:
        raise CapacityError(f"elevation of shape {np.shape(values)} found, (rows, cols) expected. Pass one band.")
    found = np.ma.getdata(values)
    elevation = np.array(found, np.result_type(found, np.float32))
    elevation[np.ma.getmaskarray(values) | ~np.isfinite(elevation) | (found == nodata)] = np.nan
    low, high = LAND_M
    impossible = (elevation < low) | (elevation > high)
    if impossible.any():
        example = elevation[impossible][0]
        warnings.warn(
            f"{impossible.sum()} cells with elevations such as {example:g} m found, {low:g} to {high:g} m expected: "
            f"they count as unknown. Declare the no-data value (gdal_edit -a_nodata {example:g}), or convert the unit.",
            UserWarning,
            stacklevel=2,
        )
        elevation[impossible] = np.nan
    return elevation


def check_memory(shape: tuple[int, int]) -> None:
    """Refuse a DEM whose flow network doesn't fit into memory, before the work starts."""
    size = shape[0] * shape[1] * _BYTES_PER_CELL
    try:
        np.empty(size, np.uint8)
    except MemoryError:
        raise CapacityError(
            f"a DEM of {shape[0]} x {shape[1]} cells found, which needs about {size / 1e9:.1f} GB of memory: more than "
            "there is. Cut it to the catchments (gdalwarp -te), or make its cells larger (gdalwarp -tr)."
        ) from None


def place_on_earth(crs: object) -> CRS:
    """The reference system, without its vertical part.

    Raises
    ------
    CapacityError
        If there is none, or it is a local one, which has no place on Earth.
    """
    crs = None if crs is None else CRS.from_user_input(crs)
    if crs is None or crs.geodetic_crs is None:
        found = "no coordinate reference system" if crs is None else f"a local reference system ({crs.name})"
        raise CapacityError(
            f"{found} found, one with a place on Earth expected. Set it in the file (gdal_edit -a_srs)."
        )
    return crs.sub_crs_list[0] if crs.is_compound else crs


def cell_size_m(shape: tuple[int, int], transform: Affine, crs: object) -> tuple[CRS, np.ndarray, np.ndarray]:
    """The reference system, and (rows,) width and height of the cells in the middle column, along the ellipsoid.

    Raises
    ------
    CapacityError
        If there is no reference system with a place on Earth, the grid isn't north up or isn't on Earth, or cells
        differ by more than `LARGEST_DISTORTION`.
    """
    crs = place_on_earth(crs)
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise CapacityError("a rotated or flipped grid found, north up expected. Warp the DEM (gdalwarp).")
    rows, cols = shape
    geod = crs.get_geod()
    if crs.is_geographic:  # the same at every longitude
        columns, to_degrees = np.array([0.0]), lambda *degrees: degrees
    else:
        columns = transform.c + transform.a * np.array([cols // 2, 0, cols - 1])
        to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform
    left, top = np.meshgrid(columns, transform.f + transform.e * np.arange(rows))
    right, bottom = left + transform.a, top + transform.e
    middle = top + transform.e / 2

    def length_m(x, y, other_x, other_y):
        return geod.inv(*to_degrees(x, y), *to_degrees(other_x, other_y))[2]

    width, height = length_m(left, middle, right, middle), length_m(left, top, left, bottom)
    falling, rising = length_m(left, top, right, bottom), length_m(left, bottom, right, top)
    if not (np.isfinite(width).all() and np.isfinite(height).all()):
        raise CapacityError(
            f"rows from {bottom.min():g} to {top.max():g} found, which lie outside {crs.name}. Check the coordinates "
            "and their reference system."
        )
    area = width * height
    pairs = (area, area[:, :1]), (falling, rising)
    distortion = max(np.abs(one / other - 1).max() for one, other in pairs)
    if distortion > LARGEST_DISTORTION:
        raise CapacityError(
            f"cells that differ by {distortion:.0%} in area along a row or in their diagonals found ({crs.name}), less "
            f"than {LARGEST_DISTORTION:.0%} expected. Warp the DEM to UTM (gdalwarp -t_srs), or cut it."
        )
    return crs, width[:, 0], height[:, 0]


def _route(surface, width, height, sinks) -> tuple[np.ndarray, np.ndarray]:
    """ESRI codes of the way to the edge or to a sink (flat indexes), and the surface filled up to it."""
    known = ~np.isnan(surface)
    starts = np.concatenate([np.flatnonzero(_edge(known)), sinks])
    _, flooded = pyflwdir.dem.fill_depressions(surface, idxs_pit=starts, nodata=np.nan)
    flood = pyflwdir.from_array(flooded, ftype="d8", check_ftype=False)
    # pyflwdir fills by sums in float32, which can leave a pit an ulp below its way out.
    filled = _levels(flood.idxs_seq, flood.idxs_ds, surface)
    codes = _steepest(filled, width, height)
    codes.flat[sinks] = _PIT
    flat = (codes == _PIT) & (flooded != _PIT)  # where the flood began, water leaves the grid or gathers
    _drain_flats(codes, filled, flat, width, height)
    return codes, filled


def _edge(known: np.ndarray) -> np.ndarray:
    """Known cells at the edge of the grid, or beside an unknown one."""
    inner = ndimage.binary_erosion(known, np.ones((3, 3)))
    return known & ~inner


def _way_down(downstream: np.ndarray, cell: int) -> np.ndarray:
    """The cells from one to the end of its flow path."""
    way = [cell]
    while downstream[way[-1]] != way[-1]:
        way.append(downstream[way[-1]])
    return np.array(way)


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
    lowest = highest.copy()
    for i in range(order.size - 1, -1, -1):
        cell = order[i]
        row, col = cell // cols, cell % cols
        own = width[row] * height[row]
        cells[cell] += 1
        area[cell] += own
        slope_area[cell] += own * slope[cell]
        if not highest[cell] > elevation[cell]:
            highest[cell] = elevation[cell]
        if not lowest[cell] < elevation[cell]:
            lowest[cell] = elevation[cell]
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
        if not lowest[below] < lowest[cell]:
            lowest[below] = lowest[cell]
    return cells, area, path, slope_area, highest - lowest


@numba.njit(cache=True)
def _spread_downstream(order, downstream, passes, seeds):
    reached = seeds.copy()
    for i in range(order.size - 1, -1, -1):
        if reached[order[i]] and passes[order[i]]:
            reached[downstream[order[i]]] = True
    return reached
