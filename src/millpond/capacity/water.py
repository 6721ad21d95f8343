"""Water bodies from a satellite image: reflectance, a water index with Otsu's threshold, outlines with true areas.

This is the route for whoever has no training polygons; the study's own, a supervised classification, is
`millpond.capacity.land_use`. Both end in the same outlines. What looks like water because a mountain shades it is
`millpond.capacity.shadow`'s matter.
"""

from typing import NamedTuple

import geopandas as gpd
import numpy as np
from rasterio.features import shapes
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from shapely.geometry import shape

from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALLEST_WATER_KM2
from millpond.raster import unmasked

SCALINGS = {
    "sentinel-2": (1e-4, 0.0),
    "sentinel-2-with-offset": (1e-4, -0.1),
    "landsat-collection-2": (2.75e-5, -0.2),
}
"""Scale and offset of digital numbers: Sentinel-2 before and since processing baseline 04.00 (ESA, Sentinel-2 Products
Specification Document), Landsat Collection 2 Level-2 (USGS, LSDS-1618 for Landsat 4 to 7, LSDS-1619 for 8 and 9)."""

# An index between -1 and 1 is counted in bins of 1/128 and smoothed over three of them: wide enough for scenes of a
# thousand pixels, narrow enough to keep water apart from wet soil. A mode stands out by a share of the highest.
_BINS = 256
_SMOOTHING_BINS = 3
_LEAST_PROMINENCE = 0.02
_EQUAL_AREA = "EPSG:6933"  # in it the edges of cells on a geographic grid stay straight


class IndexWater(NamedTuple):
    """Water found by an index.

    Attributes
    ----------
    water : (rows, cols) bool array
    index : (rows, cols) float32 array
        NaN where there are no data.
    threshold : float
        Water lies above.
    """

    water: np.ndarray
    index: np.ndarray
    threshold: float


def reflectance(dn: np.ndarray, scaling: str, *, nodata: float = 0) -> np.ndarray:
    """Reflectance of digital numbers, of any shape: float32, NaN where there are no data.

    Parameters
    ----------
    dn : array
        May be masked.
    scaling : str
        A name of `SCALINGS`. A Sentinel-2 product has the offset since processing baseline 04.00.
    nodata : float

    Raises
    ------
    CapacityError
        If the scaling is unknown.
    """
    if scaling not in SCALINGS:
        raise CapacityError(f"scaling {scaling!r} found, one of {', '.join(SCALINGS)} expected.")
    scale, offset = SCALINGS[scaling]
    known = np.ma.masked_equal(dn, nodata)
    return np.ma.filled((known * scale + offset).astype(np.float32), np.nan)


def normalized_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(a - b) / (a + b) of two bands of reflectance, in -1..1: float32, NaN where undefined.

    Reflectance below zero, which atmospheric correction leaves on dark water, counts as zero.
    """
    first, second = (np.maximum(unmasked(band), 0).astype(np.float32) for band in (first, second))
    total = first + second
    return np.divide(first - second, total, out=np.full_like(total, np.nan), where=total > 0)


def water_by_index(green: np.ndarray, infrared: np.ndarray, *, threshold: float | None = None) -> IndexWater:
    """Water by a normalized difference of green and infrared reflectance.

    With the near infrared this is the NDWI of McFeeters (1996, doi:10.1080/01431169608948714), with the short-wave
    infrared the MNDWI of Xu (2006, doi:10.1080/01431160600589179).

    Parameters
    ----------
    green, infrared : (rows, cols) array
        Reflectance, NaN where there are no data.
    threshold : float, optional
        By default Otsu's; McFeeters proposes 0.

    Returns
    -------
    IndexWater

    Raises
    ------
    CapacityError
        If the shapes differ or no pixel has data. With Otsu's threshold also if it doesn't part two modes, the upper
        above zero, or falls where the histogram is higher than half its highest mode: Otsu halves the land of a scene
        that has no water, or hardly any.
    """
    if green.shape != infrared.shape:
        raise CapacityError(f"bands of shapes {green.shape} and {infrared.shape} found, one shape expected. Resample.")
    index = normalized_difference(green, infrared)
    if np.isnan(index).all():
        raise CapacityError("an image without data found, reflectance in both bands expected.")
    if threshold is None:
        threshold = _two_mode_threshold(index[~np.isnan(index)])
    return IndexWater(index > threshold, index, threshold)


def _two_mode_threshold(values: np.ndarray) -> float:
    counts, edges = np.histogram(values, bins=_BINS, range=(-1, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    cut = _otsu(counts, centres)
    # Padded, because the outermost bin may be a mode: where the infrared is zero, the index is exactly one.
    density = np.pad(gaussian_filter1d(counts.astype(float), _SMOOTHING_BINS), 1)
    modes = find_peaks(density, prominence=_LEAST_PROMINENCE * density.max())[0] - 1
    upper = modes[modes >= cut]
    between_modes = (modes < cut).any() and upper.size and centres[upper[-1]] > 0
    if not between_modes or density[cut + 1] > density.max() / 2:
        raise CapacityError(
            f"modes of the index at {', '.join(f'{mode:.2f}' for mode in centres[modes])} and Otsu's threshold at "
            f"{edges[cut]:.2f} found, one of land below it and one of water above it and above 0 expected. Cut the "
            "image to the surroundings of the water, or state a threshold (0 is usual)."
        )
    return float(edges[cut])


def _otsu(counts: np.ndarray, centres: np.ndarray) -> int:
    """First bin of the upper class when the variance between two classes is largest (doi:10.1109/TSMC.1979.4310076)."""
    weight = np.cumsum(counts)[:-1] / counts.sum()
    first_moment = np.cumsum(counts * centres) / counts.sum()
    between = np.zeros(len(weight))
    np.divide(
        (first_moment[-1] * weight - first_moment[:-1]) ** 2,
        weight * (1 - weight),
        out=between,
        where=(weight > 0) & (weight < 1),
    )
    # Empty bins between the classes share the maximum: take the middle one.
    return int(np.median(np.flatnonzero(between >= between.max() * (1 - 1e-12)))) + 1


def polygons_of(
    labels: np.ndarray, transform: Affine, crs: object, min_area_km2: float = SMALLEST_WATER_KM2
) -> tuple[gpd.GeoDataFrame, int]:
    """Outline water bodies, without the small ones.

    Parameters
    ----------
    labels : (rows, cols) array of bool or int
        Touching pixels of one label above zero, corners included, are one body.
    transform, crs
        Georeferencing as rasterio has it.
    min_area_km2 : float
        The study's least area by default.

    Returns
    -------
    polygons : GeoDataFrame
        Columns `label`, `area_km2` (true area, by a projection that keeps it) and `geometry`; index from 1.
    n_dropped : int
        Bodies smaller than `min_area_km2`.

    Raises
    ------
    CapacityError
        If there is no coordinate reference system.
    """
    if crs is None:
        raise CapacityError("a mask without coordinate reference system found, needed for areas. Set it in the image.")
    labels = unmasked(labels, 0)
    found = list(shapes(labels.astype(np.int32), mask=labels > 0, connectivity=8, transform=transform))
    columns = {"label": np.array([label for _, label in found], int)}
    polygons = gpd.GeoDataFrame(columns, geometry=[shape(outline) for outline, _ in found], crs=crs)
    polygons.insert(1, "area_km2", polygons.to_crs(_EQUAL_AREA).area / 1e6)
    kept = polygons[polygons["area_km2"] >= min_area_km2]
    return kept.set_axis(range(1, len(kept) + 1)), len(polygons) - len(kept)
