"""The grid that all images of a reservoir share, and what of it is read."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import Geod
from pyproj.exceptions import ProjError
from rasterio import warp
from rasterio.features import geometry_mask
from rasterio.windows import Window
from scipy import ndimage

from millpond.level.errors import LevelError
from millpond.raster import Raster, read_onto

MARGIN_M = 100.0
"""Land that is kept around the area of interest."""

LARGEST_OCCURRENCE = 100
"""Percent. What a raster of water occurrence has above isn't water: the JRC writes 255 where it knows nothing."""

_LARGEST_DISTORTION = 0.01  # of lengths; that of UTM is a tenth of it
_LARGEST_SHEAR = 1e-6  # of a pixel, a pixel: less than a hundredth over a tile of Sentinel-2 in 10 m is rounding


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of the first image.

    `pixel_m` is height and width of a pixel on the ground, `window` what is read, `inside` where in it the area and its
    margin are.
    """

    path: Path
    shape: tuple[int, int]
    transform: object
    crs: object
    pixel_m: tuple[float, float]
    window: Window
    inside: np.ndarray

    @classmethod
    def of(cls, raster: Raster, area: str | Path | None) -> "Grid":
        """The grid of an image, cut to a polygon or a raster of water occurrence and `MARGIN_M` around.

        Raises
        ------
        LevelError
            If coordinates aren't in metres, rows and columns don't run along them, or the area can't be read or lies
            elsewhere.
        """
        return cls(raster.paths[0], raster.shape, raster.transform, raster.crs, *_read(raster, area))

    @property
    def place(self) -> tuple[str, float, float]:
        """Coordinate reference system, and x and y of the window's upper left corner."""
        x, y = self.transform @ (self.window.col_off, self.window.row_off)
        return self.crs.to_string(), float(x), float(y)

    def check(self, raster: Raster) -> None:
        """Refuse an image on another grid."""
        if (raster.shape, raster.crs) != (self.shape, self.crs) or not raster.transform.almost_equals(self.transform):
            raise LevelError(
                f"{raster.paths[0]}: {raster.shape[0]} x {raster.shape[1]} pixels in {raster.crs} found, the grid of "
                f"{self.path.name} ({self.shape[0]} x {self.shape[1]}, {self.crs}) expected. Resample all to one grid."
            )


def with_margin(mask: np.ndarray, pixel_m: tuple[float, float]) -> np.ndarray:
    """What is up to `MARGIN_M` away too."""
    return ndimage.distance_transform_edt(~mask, sampling=pixel_m) <= MARGIN_M


def longitude_deg(raster: Raster) -> float:
    """Of the middle."""
    rows, cols = raster.shape
    x, y = raster.transform @ (cols / 2, rows / 2)
    return warp.transform(raster.crs, "EPSG:4326", [x], [y])[0][0]


def _pixel_m(raster: Raster) -> tuple[float, float]:
    """What the grid says, or what is true in its middle where that differs: Web Mercator's metres are too short."""
    rows, cols = raster.shape
    middle = np.array([[cols, rows]]) / 2 + [[0, 0], [0, 1], [1, 0]]
    lon, lat = warp.transform(raster.crs, "EPSG:4326", *(raster.transform @ middle.T))
    true = Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])[2]
    stated = abs(raster.transform.e), abs(raster.transform.a)
    return stated if np.allclose(true, stated, rtol=_LARGEST_DISTORTION) else tuple(map(float, true))


def _read(raster: Raster, area: str | Path | None) -> tuple[tuple[float, float], Window, np.ndarray]:
    """Size of pixels, rows and columns of the area of interest and its margin, and which of them belong to these."""
    rows, cols = raster.shape
    if raster.crs is None or not raster.crs.is_projected or raster.crs.linear_units_factor[1] != 1:
        raise LevelError(
            f"{raster.paths[0]}: {raster.crs} found, projected coordinates in metres expected. Reproject it."
        )
    grid = raster.transform
    if max(abs(grid.b), abs(grid.d)) > _LARGEST_SHEAR * max(abs(grid.a), abs(grid.e)):
        raise LevelError(
            f"{raster.paths[0]}: a rotated or sheared grid found ({', '.join(f'{n:g}' for n in grid[:6])}), rows from "
            "west to east and columns from north to south expected. Resample it to such a grid (gdalwarp does)."
        )
    pixel_m = _pixel_m(raster)
    if area is None:
        return pixel_m, Window(0, 0, cols, rows), np.ones(raster.shape, bool)
    inside = (_often_wet if Path(area).suffix.lower() in (".tif", ".tiff") else _in_polygon)(area, raster)
    down, across = (round(MARGIN_M / size) for size in pixel_m)
    wet_rows, wet_cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, bottom = max(0, wet_rows[0] - down), min(rows, wet_rows[-1] + 1 + down)
    left, right = max(0, wet_cols[0] - across), min(cols, wet_cols[-1] + 1 + across)
    window = Window(int(left), int(top), int(right - left), int(bottom - top))
    return pixel_m, window, with_margin(inside[top:bottom, left:right], pixel_m)


def _often_wet(area: str | Path, raster: Raster) -> np.ndarray:
    """(rows, cols) bool: where a raster of water occurrence has any."""
    occurrence = read_onto(area, raster)
    inside = (occurrence > 0) & (occurrence <= LARGEST_OCCURRENCE)
    if not inside.any():
        raise LevelError(
            f"{area}: no water in the images' area found, occurrence above 0 and up to {LARGEST_OCCURRENCE} % "
            "expected. Check the place, or write 1 where there is water."
        )
    return inside


def _in_polygon(area: str | Path, raster: Raster) -> np.ndarray:
    """(rows, cols) bool: what polygons touch."""
    try:
        outlines = gpd.read_file(area)
        if not isinstance(outlines, gpd.GeoDataFrame):
            raise DataLayerError("a table without geometry")
        if outlines.crs is None:
            raise DataLayerError("no coordinate reference system")
        outlines = outlines.to_crs(raster.crs)
        if np.isinf(outlines.total_bounds).any():
            raise DataLayerError("coordinates that aren't in its reference system")
        outline = outlines.make_valid().union_all()
        if outline.area == 0:
            raise DataLayerError("nothing with an area")
    except (DataSourceError, DataLayerError, ProjError) as error:
        raise LevelError(
            f"{area}: no polygon found ({error}), a GeoPackage or GeoJSON with the reservoir's outline expected. Check "
            "the path, or draw and save it anew."
        ) from None
    inside = geometry_mask([outline], raster.shape, raster.transform, all_touched=True, invert=True)
    if not inside.any():
        raise LevelError(
            f"{area}: no overlap with the images found, the reservoir in them expected. Check its place and its "
            "coordinate reference system, or take the images of this reservoir."
        )
    return inside
