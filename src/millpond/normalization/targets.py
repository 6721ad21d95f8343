"""What a field-delineation network is to learn, from a raster of parcels.

AI4Boundaries gives three layers with each image: where fields are, where they end, and how far inside a field a pixel
lies. All three follow from the parcels' numbers, so a raster of numbers from any source trains the same network.

Source: d'Andrimont et al. 2023, doi:10.5194/essd-15-317-2023; the three layers as in Waldner and Diakogiannis 2020,
doi:10.1016/j.rse.2020.111741.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.ndimage import maximum_filter, minimum_filter

from millpond.normalization.errors import NormalizationError

UNLABELLED = -1
"""Of a pixel that nobody has mapped."""

TARGETS = ("extent", "boundary", "distance")


class Targets(NamedTuple):
    """Layers of (rows, cols); unlabelled pixels are 0 in all of them.

    Attributes
    ----------
    extent : uint8
        1 in a field.
    boundary : uint8
        1 on the outermost pixels of a field.
    distance : float32
        From the nearest boundary pixel of the parcel, over the largest such distance in it: 0 on the boundary, 1
        deepest inside.
    """

    extent: np.ndarray
    boundary: np.ndarray
    distance: np.ndarray


def parcel_targets(parcels: np.ndarray) -> Targets:
    """Extent, boundary and distance of a raster of parcels.

    A boundary pixel is a pixel of a parcel that touches, with an edge or a corner, a pixel of another parcel or of no
    parcel: the pixels of the field that touch its outline. Two adjacent fields so have a boundary of two pixels, one on
    either side. Where the raster ends, or unlabelled pixels begin, nobody knows whether the field goes on: that makes
    no boundary. A field that shows no boundary at all lies at distance 1 throughout, whatever other fields show; one
    that is nothing but boundary at 0.

    Parameters
    ----------
    parcels : (rows, cols) array of integers
        0 where there is no field, -1 or masked where nothing is known; pixels of one number above 0 are one parcel.

    Raises
    ------
    NormalizationError
        If shape, type or a number doesn't fit.
    """
    parcels = as_parcels(parcels)
    if parcels.ndim != 2:
        raise NormalizationError(f"parcels of shape {parcels.shape} found, (rows, cols) expected. Pass one raster.")
    extent = parcels > 0
    boundary = extent & _touches_another(parcels)
    labels = np.zeros(parcels.shape, np.int32)
    labels[extent] = np.unique(parcels[extent], return_inverse=True)[1] + 1
    boxes = ndimage.find_objects(labels)
    distance = np.zeros(parcels.shape, np.float32)
    # Each parcel by itself: beyond unlabelled pixels the boundary of another one may be nearer than its own.
    for number in np.unique(labels[extent & ~boundary]):
        box = boxes[number - 1]
        own = labels[box] == number
        ends = own & boundary[box]
        if ends.any():
            depth = ndimage.distance_transform_edt(~ends)[own].astype(np.float32)
            distance[box][own] = depth / depth.max()
        else:
            distance[box][own] = 1
    return Targets(extent.astype(np.uint8), boundary.astype(np.uint8), distance)


def with_unlabelled(labels: np.ndarray) -> np.ndarray:
    """Labels with -1 where they are masked."""
    if not isinstance(labels, np.ma.MaskedArray):
        return np.asarray(labels)
    return np.where(np.ma.getmaskarray(labels), np.int64(UNLABELLED), np.ma.getdata(labels))


def as_parcels(parcels: np.ndarray) -> np.ndarray:
    """Check the numbers of parcels; masked ones become -1.

    Raises
    ------
    NormalizationError
        If they aren't integers of -1 or more.
    """
    parcels = with_unlabelled(parcels)
    if not np.issubdtype(parcels.dtype, np.integer):
        raise NormalizationError(
            f"parcels of type {parcels.dtype} found, integers expected: 0 for no field, -1 for unlabelled. Convert "
            "them with astype(numpy.int32)."
        )
    if parcels.size and parcels.min() < UNLABELLED:
        raise NormalizationError(
            f"parcel number {parcels.min()} found, -1 (unlabelled), 0 (no field) or more expected. Number them anew."
        )
    return parcels


def _touches_another(parcels: np.ndarray) -> np.ndarray:
    """Whether one of the eight neighbours, if its label is known, has another number."""
    known = parcels != UNLABELLED
    lowest = minimum_filter(np.where(known, parcels, parcels.max(initial=0)), 3)
    return known & (maximum_filter(parcels, 3) != lowest)
