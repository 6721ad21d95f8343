"""The study's six terrain factors of a reservoir, from a DEM and a water mask."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rasterio.features import rasterize, shapes
from scipy import ndimage
from shapely.geometry import shape

from millpond.capacity.errors import CapacityError
from millpond.capacity.lakes import drain_to_lakes
from millpond.capacity.terrain import FlowNetwork, place_on_earth, read_elevation
from millpond.raster import Raster, check_same_grid, open_raster, unmasked

FACTORS = ("Asc_km2", "Lsc_km", "Aws_km2", "Ssc_deg", "Sb_deg", "Rsc_m")
"""Area of the sub-catchment, its longest flow path, area of the water surface, mean slope of the sub-catchment, mean
slope of the buffer around the water, relief of the sub-catchment: the study's factors, with units."""

SMALL_CAPACITY_1E6_M3 = (0.1, 10.0)
"""The study's small reservoirs: from 0.1 to 10 million cubic metres."""

SMALLEST_WATER_KM2 = 0.002
"""The study leaves out smaller water bodies."""

SUB_BASIN_KM2 = 10.0
"""Basins are split where both parts are larger; the parts number the column `basin`."""


def reservoir_factors(
    dem_path: str | Path,
    water: np.ndarray | str | Path | gpd.GeoDataFrame,
    *,
    crest_m: Mapping[int, float] | None = None,
    freeboard_m: float = 3.0,
    buffer_m: float | None = None,
    nested: str = "cut",
) -> pd.DataFrame:
    """Measure the terrain factors of every reservoir on a DEM.

    Parameters
    ----------
    dem_path : path
        Ground elevation in metres, one band, with a coordinate reference system.
    water : (rows, cols) array of int, path of such a raster on the DEM's grid, or GeoDataFrame
        Water bodies: labels from 1, or polygons, labelled from 1 in their order.
    crest_m, freeboard_m, buffer_m, nested
        As in `factors_on_network`.

    Returns
    -------
    DataFrame
        As from `factors_on_network`.

    Raises
    ------
    RasterError
        If the DEM or the water raster can't be read, or their grids differ.
    CapacityError
        If the coordinate reference systems differ, no water lies on the DEM, the DEM is unusable, or a raster's labels
        look like classes.
    """
    with open_raster({"elevation": dem_path}) as dem:
        place_on_earth(dem.crs)
        elevation = read_elevation(dem)
        if isinstance(water, str | Path):
            with open_raster({"water": water}) as raster:
                check_same_grid(dem, raster)
                labels, areas_km2 = known_labels(raster.read(masked=True)[0]), None
            check_bodies(labels)
        elif isinstance(water, gpd.GeoDataFrame):
            labels, areas_km2 = rasterized(water, dem)
        else:
            labels, areas_km2 = unmasked(water, 0), None
            check_bodies(labels)
        net = FlowNetwork.from_dem(elevation, transform=dem.transform, crs=dem.crs)
    return factors_on_network(
        net, labels, areas_km2, crest_m=crest_m, freeboard_m=freeboard_m, buffer_m=buffer_m, nested=nested
    )


def factors_on_network(
    net: FlowNetwork,
    labels: np.ndarray,
    areas_km2: Mapping[int, float] | None = None,
    *,
    crest_m: Mapping[int, float] | None = None,
    freeboard_m: float = 3.0,
    buffer_m: float | None = None,
    nested: str = "cut",
) -> pd.DataFrame:
    """The six factors of labelled water bodies.

    The outlet of a reservoir is the cell of its water with the largest contributing area. With S its sub-catchment, W
    its water and z the elevation: Asc is the area of S; Lsc the longest flow path in S that ends at the outlet; Aws the
    area of W; Ssc the mean of Horn's slope over S; Rsc = max z - min z over S; Sb the mean slope over the buffer, the
    study's micro-terrain: the cells of S above the waterline and not above the dam crest. Where there is none, since
    the banks are steeper than the grid can show or all of S is water, it is taken over the dry cells next to W.
    Elevations are those of the ground. A depression that holds water drains to it (`millpond.capacity.lakes`).

    Parameters
    ----------
    net : FlowNetwork
    labels : (rows, cols) array of int
        0 or less where there is no water.
    areas_km2 : mapping of label to float, optional
        Areas of the water surfaces where they are known better than from cells.
    crest_m : mapping of label to float, optional
        Elevation of the dam crests.
    freeboard_m : float
        Height of the crest above the waterline where the crest isn't known, above 0. The waterline is the highest
        ground under water.
    buffer_m : float, optional
        Take a buffer of this width around the water instead of the micro-terrain, on all sides; above 0.
    nested : "cut" or "share"
        Whether a reservoir downstream of another controls only what the other doesn't, which is how we read the study,
        or all that lies upstream.

    Returns
    -------
    DataFrame
        One row a reservoir, by label: `FACTORS`, `outlet_row`, `outlet_col`, `waterline_m`, `crest_m`,
        `edge_contaminated` (part of the sub-catchment may lie outside the DEM), `depression_m` (how far the water lies
        below the way out of its depression, 0 in an open valley: a wall that the DEM shows, a crater, a pit), `basin`
        (number of the sub-basin that holds the outlet, see `SUB_BASIN_KM2`: neighbours share slopes, so an honest split
        keeps a basin on one side).
        `attrs["dropped"]` counts the water bodies below `SMALLEST_WATER_KM2`.

    Raises
    ------
    CapacityError
        If shapes differ, `nested` is unknown, no water body is left, a crest isn't above its water or has no
        reservoir, or a height or width isn't above 0.
    """
    for name, size_m in (("freeboard", freeboard_m), ("buffer", buffer_m)):
        if size_m is not None and not 0 < size_m < np.inf:
            raise CapacityError(f"a {name} of {size_m:g} m found, more than 0 m expected. Leave it out, or correct it.")
    if nested not in ("cut", "share"):
        raise CapacityError(f"nested={nested!r} found, 'cut' or 'share' expected.")
    if labels.shape != net.shape:
        raise CapacityError(f"water of shape {labels.shape} found, {net.shape} as of the DEM expected. Resample it.")
    labels = unmasked(labels, 0)
    stray = sorted(set(crest_m or ()) - set(np.unique(labels)) - set(areas_km2 or ()))
    if stray:
        raise CapacityError(
            f"a crest for reservoir {stray[0]} found, none without water of that label expected. Correct the label."
        )
    # Numbered from 1, whatever the labels are: tables of a row a number stay small.
    found, numbers = np.unique(np.where(net.upstream_cells > 0, labels, 0), return_inverse=True)
    numbers = numbers.reshape(net.shape).astype(np.int32) - np.searchsorted(found, 1) + 1
    np.maximum(numbers, 0, out=numbers)
    found = found[found > 0]
    if found.size == 0:
        raise CapacityError("no water found on the DEM. Check that both cover the same place, and that water is not 0.")
    area = pd.Series(ndimage.sum(net.cell_area_km2, numbers, range(1, found.size + 1)), found)
    if areas_km2 is not None:
        area = area.index.to_series().map(areas_km2).fillna(area)
    kept = area.index[area >= SMALLEST_WATER_KM2]
    if kept.empty:
        raise CapacityError(f"all {found.size} water bodies are below {SMALLEST_WATER_KM2} km2, larger ones expected.")

    bodies = np.searchsorted(found, kept) + 1  # the number of each kept label
    net, depression_m = drain_to_lakes(net, numbers, bodies)
    outlets = np.array(ndimage.maximum_position(net.upstream_cells, numbers, bodies)).reshape(-1, 2).astype(int)
    flat = np.ravel_multi_index(tuple(outlets.T), net.shape)
    cut = flat if nested == "cut" else None
    catchments = net.catchments(cut)
    waterline = pd.Series(ndimage.maximum(net.elevation_m, numbers, bodies), kept)
    crest = kept.to_series().map(crest_m or {}).astype(float).fillna(waterline + freeboard_m)
    low = crest.index[~((crest > waterline) & (crest < np.inf))]
    if len(low) and buffer_m is None:
        raise CapacityError(
            f"a crest of {crest[low[0]]:g} m over water of {waterline[low[0]]:g} m in reservoir {low[0]} found, a "
            "higher one expected. Correct it or leave it out."
        )
    at = tuple(outlets.T)
    levels = waterline.to_numpy(), crest.to_numpy()
    buffer_slope = _buffer_slope_deg(net, numbers, bodies, flat, levels, buffer_m, nested)
    bare = np.isnan(buffer_slope)
    if bare.any():
        buffer_slope[bare] = _bank_slope_deg(net, numbers, bodies[bare])
    table = pd.DataFrame(
        {
            "Asc_km2": catchments.area_km2[at],
            "Lsc_km": catchments.longest_path_km[at],
            "Aws_km2": area[kept],
            "Ssc_deg": catchments.mean_slope_deg[at],
            "Sb_deg": buffer_slope,
            "Rsc_m": catchments.relief_m[at],
            "outlet_row": at[0],
            "outlet_col": at[1],
            "waterline_m": waterline,
            "crest_m": crest,
            "edge_contaminated": net.edge_contaminated(cut)[at],
            "depression_m": depression_m,
            "basin": net.flow.subbasins_area(SUB_BASIN_KM2, uparea=net.upstream_area_km2)[0][at],
        },
        index=pd.Index(kept, name="label"),
    )
    table.attrs["dropped"] = int(found.size - kept.size)
    return table


def _buffer_slope_deg(net, numbers, bodies, outlets, levels, buffer_m, nested) -> np.ndarray:
    """Mean slope of each buffer; NaN for one without a cell."""
    if buffer_m is not None:
        buffer_m *= 1.001  # a width of whole cells shall not hang on the scale of the map
        size_m = (net.cell_height_m.mean(), net.cell_width_m.mean())
        dry = ~np.isin(numbers, bodies)
        distance_m, nearest = ndimage.distance_transform_edt(dry, sampling=size_m, return_indices=True)
        inside = (distance_m > 0) & (distance_m <= buffer_m) & ~np.isnan(net.elevation_m)
        owner = np.where(inside, numbers[tuple(nearest)], 0)
    elif nested == "share":
        # Buffers may overlap, so each is taken by itself; the other way needs one pass for all.
        slopes = []
        for outlet, waterline, crest in zip(outlets, *levels, strict=True):
            upstream = net.flow.basins(idxs=np.array([outlet])) == 1
            inside = upstream & (net.elevation_m > waterline) & (net.elevation_m <= crest) & (numbers == 0)
            slopes.append(net.slope_deg[inside].mean() if inside.any() else np.nan)
        return np.array(slopes)
    else:
        owner = net.flow.basins(idxs=outlets, ids=np.arange(1, len(bodies) + 1, dtype=np.uint32))
        limits = np.full((2, len(bodies) + 1), np.nan, np.float32)
        limits[:, 1:] = levels
        low, high = limits[:, owner]
        with np.errstate(invalid="ignore"):
            inside = (net.elevation_m > low) & (net.elevation_m <= high) & (numbers == 0)
        owner = np.where(inside, np.concatenate([[0], bodies])[owner], 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ndimage.sum(net.slope_deg, owner, bodies) / ndimage.sum(owner > 0, owner, bodies)


def _bank_slope_deg(net, numbers, bodies) -> list[float]:
    """Mean slope of the dry cells that touch each water body, corners included."""
    dry = (numbers == 0) & ~np.isnan(net.slope_deg)
    places = ndimage.find_objects(numbers)
    slopes = []
    for number in bodies:
        rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in places[number - 1])
        body = numbers[rows, cols] == number
        beside = ndimage.binary_dilation(body, np.ones((3, 3))) & dry[rows, cols]
        slopes.append(net.slope_deg[rows, cols][beside].mean() if beside.any() else np.nan)
    return slopes


def known_labels(labels: np.ndarray) -> np.ndarray:
    """Labels of a raster, 0 where there are no data: masked or NaN."""
    return np.nan_to_num(np.ma.filled(labels, 0))


def check_bodies(labels: np.ndarray) -> None:
    """Refuse labels that look like classes, such as seasonal and permanent water: a label is one water body.

    Raises
    ------
    CapacityError
        If a label lies in places more than six cells apart, or inside another.
    """
    values, codes = np.unique(np.maximum(labels, 0), return_inverse=True)
    codes = np.pad(codes.reshape(labels.shape) + (values[0] > 0), 1, constant_values=0)
    square = np.ones((3, 3))
    for number, place in enumerate(ndimage.find_objects(codes), start=1):
        around = codes[tuple(slice(side.start - 1, side.stop + 1) for side in place)]
        body = around == number
        _, n_places = ndimage.label(ndimage.binary_dilation(body, square, iterations=3), square)
        beside = ndimage.binary_dilation(body, square) & ~body
        found = f"in {n_places} places far apart" if n_places > 1 else "inside another"
        if n_places > 1 or (around[beside] > 0).all():
            raise CapacityError(
                f"label {values[values > 0][number - 1]:g} {found} found, one water body expected: is this a map of "
                "classes? Take a mask of 0 and 1, or number the bodies (scipy.ndimage.label)."
            )


def catchment_shapes(
    net: FlowNetwork, labels: np.ndarray, table: pd.DataFrame, *, nested: str = "cut"
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Sub-catchments as polygons and outlets as points, in the order of the table.

    Parameters
    ----------
    net, labels, nested
        As in `factors_on_network`.
    table : DataFrame
        What that returned.
    """
    numbers = np.where(np.isin(labels, table.index), labels, 0)
    net, _ = drain_to_lakes(net, numbers, table.index.to_numpy())
    rows, cols = table["outlet_row"].to_numpy(), table["outlet_col"].to_numpy()
    outlets = np.ravel_multi_index((rows, cols), net.shape)
    ids = np.arange(1, outlets.size + 1, dtype=np.uint32)
    # Shared catchments overlap, so each needs a grid of its own.
    parts = [slice(None)] if nested == "cut" else [slice(i, i + 1) for i in range(outlets.size)]
    found = []
    for part in parts:
        owner = net.flow.basins(idxs=outlets[part], ids=ids[part]).astype(np.int32)
        found += [(int(number), shape(outline)) for outline, number in shapes(owner, owner > 0, 8, net.transform)]
    numbers, outlines = zip(*found, strict=True)
    areas = gpd.GeoDataFrame({"number": numbers}, geometry=list(outlines), crs=net.crs).dissolve("number").make_valid()
    x, y = net.transform @ np.array([cols + 0.5, rows + 0.5])
    return (
        gpd.GeoDataFrame(geometry=areas.to_numpy(), index=table.index, crs=net.crs),
        gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), index=table.index, crs=net.crs),
    )


def rasterized(water: gpd.GeoDataFrame, dem: Raster) -> tuple[np.ndarray, dict[int, float]]:
    """Labels of polygons on the DEM's grid, from 1 in their order, and their true areas in km2.

    A cell belongs to the polygon that holds its centre: one that water only touches is bank, and often far above the
    water. A polygon without any centre gets the cells that it touches.

    Raises
    ------
    CapacityError
        If the coordinate reference systems differ, or polygons overlap.
    """
    if water.crs is None or water.crs != dem.crs:
        raise CapacityError(
            f"water in {water.crs} found, {dem.crs} as of the DEM expected. Reproject it: water.to_crs(dem.crs)."
        )
    # Outlines may touch or cross themselves; a spike without area is no water.
    water = water.set_geometry(water.make_valid(method="structure", keep_collapsed=False))
    _check_apart(water)
    outlines = list(zip(water.geometry, range(1, len(water) + 1), strict=True))
    grid = {"out_shape": dem.shape, "transform": dem.transform, "dtype": "int32"}
    labels = rasterize(outlines, **grid)
    found = np.unique(labels)
    if small := [(geometry, number) for geometry, number in outlines if number not in found]:
        labels = np.where(labels > 0, labels, rasterize(small, all_touched=True, **grid))
    equal_area = water.to_crs("EPSG:6933")  # cylindrical equal area: true areas from any reference system
    return labels, dict(enumerate(equal_area.area / 1e6, start=1))


def _check_apart(water: gpd.GeoDataFrame) -> None:
    """Refuse polygons that share more than a hundredth of the smaller one: a cell can belong to one only."""
    outlines = water.geometry.to_numpy()
    first, second = water.sindex.query(outlines, predicate="intersects")
    pairs = first < second
    first, second = first[pairs], second[pairs]
    shared = shapely.area(shapely.intersection(outlines[first], outlines[second]))
    overlap = shared > 0.01 * np.minimum(shapely.area(outlines[first]), shapely.area(outlines[second]))
    if overlap.any():
        names = [str(water.index[side[overlap][0]]) for side in (first, second)]
        raise CapacityError(
            f"overlapping water bodies found, first {' and '.join(names)}, each cell in one expected. Merge or cut "
            "them."
        )
