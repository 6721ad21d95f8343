"""A map of estimated capacities, and estimates with their intervals against something known."""

from collections.abc import Iterator
from contextlib import contextmanager

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LightSource, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from rasterio.transform import Affine
from rasterio.windows import Window, from_bounds

from millpond.capacity.errors import CapacityError
from millpond.capacity.terrain import cell_size_m
from millpond.plots import use_style
from millpond.raster import Raster

_LARGEST_HILLSHADE = 1500  # rows or columns; more than a page can show
_COLOR = "#0072B2"


def scatter(x: pd.Series, estimates: pd.DataFrame, *, x_label: str, diagonal: bool = False) -> Figure:
    """Draw estimates, and intervals where there are any, on logarithmic axes; extrapolations are hollow.

    Parameters
    ----------
    x : (n,) Series
        Positive.
    estimates : (n,) DataFrame
        As from `CapacityModel.estimate`, with or without its bounds; rows without an estimate aren't drawn.
    x_label : str
    diagonal : bool
        Mark where estimate and x are equal.
    """
    with _styled(6, 5) as figure:
        ax = figure.add_subplot()
        outside = (estimates["extrapolates"] != "").to_numpy()
        y = estimates["capacity_1e6_m3"]
        if "low_1e6_m3" in estimates:
            bounds = estimates["low_1e6_m3"], estimates["high_1e6_m3"]
            ax.vlines(x, *bounds, color=_COLOR, alpha=0.35, linewidth=1, label="interval")
        ax.scatter(x[~outside], y[~outside], s=22, color=_COLOR, zorder=3)
        if outside.any():
            hollow = {"facecolor": "white", "edgecolor": _COLOR, "label": "extrapolates"}
            ax.scatter(x[outside], y[outside], s=22, zorder=3, **hollow)
        if diagonal:
            ends = [x.min(), x.max()]
            ax.plot(ends, ends, color="0.3", linewidth=1, linestyle="--", label="estimate = known")
        ax.set(xscale="log", yscale="log", xlabel=x_label, ylabel="estimated capacity (million m³)")
        _plain_log_ticks(ax.xaxis)
        _plain_log_ticks(ax.yaxis)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def capacity_map(reservoirs: gpd.GeoDataFrame, dem: Raster | None = None) -> Figure:
    """Map reservoirs in the colour of their capacity; triangles are extrapolations.

    Parameters
    ----------
    reservoirs : GeoDataFrame
        Polygons or points, with the columns of `CapacityModel.estimate`; rows without an estimate aren't drawn.
    dem : Raster, optional
        Elevation, shaded behind the map, whose reference system the map then has.

    Raises
    ------
    CapacityError
        If no reservoir lies on the DEM.
    """
    shown = reservoirs[reservoirs["capacity_1e6_m3"].notna()]
    shown = (shown if dem is None else shown.to_crs(dem.crs)).reset_index(drop=True)
    west, south, east, north = shown.total_bounds
    metres = _metres_per_unit(shown.crs, (west + east) / 2, (south + north) / 2)
    middle, half = _extent((west, south, east, north), metres)
    west, south, east, north = *(middle - half), *(middle + half)
    aspect = metres[1] / metres[0]
    height = float(np.clip(7 * aspect * half[1] / half[0], 3, 9))
    with _styled(8.4, height + 0.5) as figure:
        ax = figure.add_subplot()
        if dem is not None:
            _draw_hillshade(ax, dem, (west, south, east, north))
        capacity = shown["capacity_1e6_m3"].to_numpy()
        spread = 1.1 if capacity.min() == capacity.max() else 1
        colors = {"cmap": "viridis", "norm": LogNorm(capacity.min() / spread, capacity.max() * spread)}
        parts = shown.geometry.explode(index_parts=False)
        polygons = parts[parts.geom_type == "Polygon"]
        outlines = [np.array(polygon.exterior.coords)[:, :2] for polygon in polygons]
        if outlines:
            ax.add_collection(PolyCollection(outlines, array=capacity[polygons.index], **colors), autolim=False)
        inside = shown.geometry.representative_point()
        outside = (shown["extrapolates"] != "").to_numpy()
        for rows, marker, size, edge, label in (
            (~outside, "o", 36, "white", "within the range of the training"),
            (outside, "^", 60, "black", "extrapolates"),
        ):
            if rows.any():
                ax.scatter(
                    inside.x[rows],
                    inside.y[rows],
                    c=capacity[rows],
                    marker=marker,
                    s=size,
                    edgecolor=edge,
                    linewidth=0.8,
                    zorder=3,
                    label=label,
                    **colors,
                )
        bar = figure.colorbar(mpl.cm.ScalarMappable(**colors), ax=ax, label="estimated capacity (million m³)")
        _plain_log_ticks(bar.ax.yaxis)
        ax.set(xlim=(west, east), ylim=(south, north), aspect=aspect)
        ax.grid(False)
        _label_axes(ax, None if shown.crs.is_geographic else metres)
        _draw_scale(ax, metres[0])
        legend = figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2)
        for handle in legend.legend_handles:
            handle.set(array=None, facecolor="0.5")  # the marker's shape is what it explains
    return figure


@contextmanager
def _styled(width: float, height: float) -> Iterator[Figure]:
    with mpl.rc_context():
        use_style()
        yield Figure(figsize=(width, height))


def _metres_per_unit(crs, x: float, y: float) -> tuple[float, float]:
    """Metres that a unit of the reference system makes along x and y at a place."""
    unit = 1e-3
    _, width, height = cell_size_m((1, 1), Affine(unit, 0, x, 0, -unit, y), crs)
    return width[0] / unit, height[0] / unit


def _extent(bounds, metres) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half size of a map with a margin, at least a kilometre wide."""
    bounds = np.reshape(bounds, (2, 2))
    half = np.maximum(0.55 * (bounds[1] - bounds[0]), 500 / np.array(metres))
    longest = (half * metres).max() / np.array(metres)
    return bounds.mean(axis=0), np.maximum(half, longest / 3)


def _draw_hillshade(ax: Axes, dem: Raster, bounds) -> None:
    rows, cols = dem.shape
    wanted = from_bounds(*bounds, transform=dem.transform).round_offsets().round_lengths()
    top, left = max(wanted.row_off, 0), max(wanted.col_off, 0)
    bottom, right = min(wanted.row_off + wanted.height, rows), min(wanted.col_off + wanted.width, cols)
    if bottom <= top or right <= left:
        raise CapacityError(f"{dem.paths[0]}: no reservoir on the DEM found, one or more expected. Choose another DEM.")
    every = int(np.ceil(max(bottom - top, right - left) / _LARGEST_HILLSHADE))
    elevation = dem.read(Window(left, top, right - left, bottom - top), scaled=True)[0][::every, ::every]
    x_metres, y_metres = _metres_per_unit(dem.crs, (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    step = {"dx": dem.transform.a * x_metres * every, "dy": -dem.transform.e * y_metres * every}
    shade = LightSource(azdeg=315, altdeg=45).hillshade(elevation, **step) if min(elevation.shape) > 1 else elevation
    west, north = dem.transform @ (left, top)
    east, south = dem.transform @ (right, bottom)
    style = {"cmap": "gray", "vmin": 0, "vmax": 1, "alpha": 0.6, "interpolation": "bilinear", "zorder": 0}
    ax.imshow(shade, extent=(west, east, south, north), **style)


def _plain_log_ticks(axis) -> None:
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _label_axes(ax: Axes, metres: tuple[float, float] | None) -> None:
    """Kilometres along both axes of a projected map, degrees along those of a geographic one."""
    if metres is None:
        named = zip((ax.xaxis, ax.yaxis), ("longitude (°)", "latitude (°)"), (1, 1), strict=True)
    else:
        named = zip((ax.xaxis, ax.yaxis), ("easting (km)", "northing (km)"), np.divide(metres, 1000), strict=True)
    for axis, name, unit in named:
        axis.set_label_text(name)
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: f"{value * unit:g}"))


def _draw_scale(ax: Axes, metres_per_unit: float) -> None:
    """Above the map, a bar of 1, 2 or 5 times a power of ten metres, about a fifth of the width."""
    west, east = ax.get_xlim()
    width_m = (east - west) * metres_per_unit
    power = 10.0 ** np.floor(np.log10(width_m / 5))
    length_m = power * max(step for step in (1, 2, 5) if step * power <= width_m / 5)
    start = 1 - length_m / width_m
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    ax.plot([start, 1], [1.02, 1.02], color="black", linewidth=3, transform=ax.transAxes, clip_on=False)
    ax.text((start + 1) / 2, 1.03, text, ha="center", va="bottom", transform=ax.transAxes)
