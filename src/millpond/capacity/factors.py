"""The study's six terrain factors of a reservoir, from a DEM and a water mask."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.features import rasterize
from scipy import ndimage

from millpond.capacity.errors import CapacityError
from millpond.capacity.terrain import FlowNetwork
from millpond.raster import check_same_grid, open_raster

FACTORS = ("Asc_km2", "Lsc_km", "Aws_km2", "Ssc_deg", "Sb_deg", "Rsc_m")
"""Area of the sub-catchment, its longest flow path, area of the water surface, mean slope of the sub-catchment, mean
slope of the buffer around the water, relief of the sub-catchment: the study's factors, with units."""

SMALL_CAPACITY_1E6_M3 = (0.1, 10.0)
"""The study's small reservoirs: from 0.1 to 10 million cubic metres."""

SMALLEST_WATER_KM2 = 0.002
"""The study leaves out smaller water bodies."""

SUB_BASIN_KM2 = 10.0
"""Least size of the sub-basins that number the column `basin`."""


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
        If the coordinate reference systems differ, no water lies on the DEM, or the DEM is unusable.
    """
    with open_raster({"elevation": dem_path}) as dem:
        elevation = dem.read()[0]
        if isinstance(water, str | Path):
            with open_raster({"water": water}) as raster:
                check_same_grid(dem, raster)
                labels, areas_km2 = raster.read()[0], None
        elif isinstance(water, gpd.GeoDataFrame):
            labels, areas_km2 = rasterized(water, dem)
        else:
            labels, areas_km2 = np.asarray(water), None
        net = FlowNetwork.from_dem(elevation, transform=dem.transform, crs=dem.crs, nodata=dem.nodata)
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

    Parameters
    ----------
    net : FlowNetwork
    labels : (rows, cols) array of int
        0 where there is no water.
    areas_km2 : mapping of label to float, optional
        Areas of the water surfaces where they are known better than from cells.
    crest_m : mapping of label to float, optional
        Elevation of the dam crests.
    freeboard_m : float
        Height of the crest above the waterline where the crest isn't known. The waterline is the highest ground
        under water.
    buffer_m : float, optional
        Take a buffer of this width around the water instead of the micro-terrain, on all sides.
    nested : "cut" or "share"
        Whether a reservoir downstream of another controls only what the other doesn't, as in the study, or all that
        lies upstream.

    Returns
    -------
    DataFrame
        One row a reservoir, by label: `FACTORS`, `outlet_row`, `outlet_col`, `waterline_m`, `crest_m`,
        `edge_contaminated` (part of the catchment may lie outside the DEM), `basin` (the sub-basin of at least
        `SUB_BASIN_KM2` that holds the outlet: neighbours share slopes, so an honest split keeps a basin on one side).
        `attrs["dropped"]` counts the water bodies below `SMALLEST_WATER_KM2`.

    Raises
    ------
    CapacityError
        If shapes differ, `nested` is unknown, or no water body is left.
    """
    if nested not in ("cut", "share"):
        raise CapacityError(f"nested={nested!r} found, 'cut' or 'share' expected.")
    if labels.shape != net.shape:
        raise CapacityError(f"water of shape {labels.shape} found, {net.shape} as of the DEM expected. Resample it.")
    labels = np.where(net.upstream_cells > 0, labels, 0)
    found = np.unique(labels[labels > 0])
    if found.size == 0:
        raise CapacityError("no water found on the DEM. Check that both cover the same place, and that water is not 0.")
    area = pd.Series(ndimage.sum(net.cell_area_km2, labels, found), found)
    if areas_km2 is not None:
        area = area.index.to_series().map(areas_km2).fillna(area)
    kept = area.index[area >= SMALLEST_WATER_KM2]
    if kept.empty:
        raise CapacityError(f"all {found.size} water bodies are below {SMALLEST_WATER_KM2} km2, larger ones expected.")

    outlets = np.array(ndimage.maximum_position(net.upstream_cells, labels, kept)).reshape(-1, 2).astype(int)
    flat = np.ravel_multi_index(tuple(outlets.T), net.shape)
    catchments = net.catchments(cut=flat if nested == "cut" else None)
    waterline = pd.Series(ndimage.maximum(net.filled_m, labels, kept), kept)
    crest = kept.to_series().map(crest_m or {}).astype(float).fillna(waterline + freeboard_m)
    at = tuple(outlets.T)
    buffer_slope = _buffer_slope_deg(net, labels, kept, flat, waterline, crest, buffer_m, nested)
    bare = np.isnan(buffer_slope)
    buffer_slope[bare] = _bank_slope_deg(net, labels, kept[bare])
    table = pd.DataFrame(
        {
            "Asc_km2": catchments.area_km2[at],
            "Lsc_km": catchments.longest_path_km[at],
            "Aws_km2": area[kept],
            "Ssc_deg": catchments.mean_slope_deg[at],
            "Sb_deg": buffer_slope,
            "Rsc_m": catchments.max_elevation_m[at] - net.filled_m[at],
            "outlet_row": at[0],
            "outlet_col": at[1],
            "waterline_m": waterline,
            "crest_m": crest,
            "edge_contaminated": net.edge_contaminated[at],
            "basin": net.flow.subbasins_area(SUB_BASIN_KM2, uparea=net.upstream_area_km2)[0][at],
        },
        index=pd.Index(kept, name="label"),
    )
    table.attrs["dropped"] = int(found.size - kept.size)
    return table


def _buffer_slope_deg(net, labels, kept, outlets, waterline, crest, buffer_m, nested) -> np.ndarray:
    """Mean slope of each buffer; NaN for one without a cell."""
    if buffer_m is not None:
        size_m = (net.cell_height_m.mean(), net.cell_width_m.mean())
        dry = ~np.isin(labels, kept)
        distance_m, nearest = ndimage.distance_transform_edt(dry, sampling=size_m, return_indices=True)
        owner = np.where((distance_m > 0) & (distance_m <= buffer_m), labels[tuple(nearest)], 0)
    elif nested == "share":
        # Buffers may overlap, so each is taken by itself; the other way needs one pass for all.
        slopes = []
        for label, outlet in zip(kept, outlets, strict=True):
            upstream = net.flow.basins(idxs=np.array([outlet])) == 1
            inside = upstream & (net.filled_m > waterline[label]) & (net.filled_m <= crest[label]) & (labels == 0)
            slopes.append(net.slope_deg[inside].mean() if inside.any() else np.nan)
        return np.array(slopes)
    else:
        # Cells of a sub-catchment drain through its outlet, so those below the crest are connected with the water.
        owner = net.flow.basins(idxs=outlets, ids=np.arange(1, len(kept) + 1, dtype=np.uint32))
        limits = np.full((2, len(kept) + 1), np.nan)
        limits[:, 1:] = waterline[kept], crest[kept]
        low, high = limits[:, owner]
        with np.errstate(invalid="ignore"):
            inside = (net.filled_m > low) & (net.filled_m <= high) & (labels == 0)
        owner = np.where(inside, np.concatenate([[0], kept])[owner], 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ndimage.sum(net.slope_deg, owner, kept) / ndimage.sum(owner > 0, owner, kept)


def _bank_slope_deg(net, labels, wanted) -> list[float]:
    """Mean slope of the dry cells that touch each water body, corners included."""
    dry = (labels == 0) & ~np.isnan(net.slope_deg)
    places = ndimage.find_objects(labels)
    slopes = []
    for label in wanted:
        rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in places[label - 1])
        body = labels[rows, cols] == label
        beside = ndimage.binary_dilation(body, np.ones((3, 3))) & dry[rows, cols]
        slopes.append(net.slope_deg[rows, cols][beside].mean() if beside.any() else np.nan)
    return slopes


def rasterized(water: gpd.GeoDataFrame, dem) -> tuple[np.ndarray, dict[int, float]]:
    """Labels of polygons on the DEM's grid, from 1 in their order, and their true areas in km2.

    Raises
    ------
    CapacityError
        If the coordinate reference systems differ.
    """
    if water.crs is None or water.crs != dem.crs:
        raise CapacityError(
            f"water in {water.crs} found, {dem.crs} as of the DEM expected. Reproject it: water.to_crs(dem.crs)."
        )
    numbers = range(1, len(water) + 1)
    shapes = list(zip(water.geometry, numbers, strict=True))
    labels = rasterize(shapes, dem.shape, transform=dem.transform, dtype="int32", all_touched=True)
    equal_area = water.to_crs("EPSG:6933")  # cylindrical equal area: true areas from any reference system
    return labels, dict(zip(numbers, equal_area.area / 1e6, strict=True))
