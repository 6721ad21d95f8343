"""Land use from a satellite image and training polygons, as in the study.

The study classifies a calibrated Landsat image into five land uses and keeps the water. How good that is can only be
told by polygons that didn't train the classifier.
"""

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.features import rasterize
from rasterio.transform import Affine
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier

from millpond.capacity.errors import CapacityError
from millpond.raster import unmasked

LAND_USE = ("water", "construction", "green space", "cultivated", "greenhouse")
"""The classes of the study."""


def classify_land_use(
    image: np.ndarray,
    polygons: gpd.GeoDataFrame,
    transform: Affine,
    crs: object,
    classifier: ClassifierMixin | None = None,
) -> tuple[np.ndarray, ClassifierMixin]:
    """Classify an image with training polygons.

    Parameters
    ----------
    image : (n_bands, rows, cols) array
        Reflectance, and whatever else tells the classes apart; NaN where there are no data.
    polygons : GeoDataFrame
        Column `land_use` names the class (`LAND_USE` in the study); reprojected if need be. A pixel belongs to the
        polygon that holds its centre, where several do to the last.
    transform, crs
        Georeferencing of the image as rasterio has it.
    classifier : scikit-learn classifier, optional
        By default a random forest. It is cloned, not changed.

    Returns
    -------
    labels : (rows, cols) int8 array
        Indexes of `classifier.classes_`; -1 where there are no data.
    classifier
        Fitted.

    Raises
    ------
    CapacityError
        If polygons have no classes or no coordinate reference system, or fewer than two classes have pixels.
    """
    image = unmasked(image)
    inside, land_use = _pixels_of(polygons, image.shape[1:], transform, crs)
    valid = ~np.isnan(image).any(axis=0)
    with_data = valid[inside[:, 0], inside[:, 1]]
    (at_row, at_col), land_use = inside[with_data].T, land_use[with_data]
    n_classes = len(set(land_use))
    if n_classes < 2:
        raise CapacityError(
            f"pixels of {n_classes} classes found inside the polygons, two classes or more expected. "
            "Check that the polygons lie on the image, away from its no-data, and are larger than its pixels."
        )
    forest = RandomForestClassifier(n_estimators=100, min_samples_leaf=3, random_state=0)
    fitted = clone(classifier if classifier is not None else forest)
    fitted.fit(image[:, at_row, at_col].T, land_use)
    labels = np.full(valid.shape, -1, np.int8)
    if valid.any():
        labels[valid] = np.searchsorted(fitted.classes_, fitted.predict(image[:, valid].T))
    return labels, fitted


def split_polygons(
    polygons: gpd.GeoDataFrame, *, test_size: float = 0.3, random_state: int | None = 0
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Hold out a share of each class's polygons, whole ones: pixels of one field are too alike to test each other.

    Returns
    -------
    train, test : GeoDataFrame

    Raises
    ------
    CapacityError
        If a class has a single polygon.
    """
    rng = np.random.default_rng(random_state)
    held_out = np.zeros(len(polygons), bool)
    for name, rows in polygons.groupby("land_use").indices.items():
        if len(rows) < 2:
            raise CapacityError(f"one polygon of {name} found, two or more expected to hold one out. Draw another.")
        n_test = min(max(round(test_size * len(rows)), 1), len(rows) - 1)
        held_out[rng.choice(rows, n_test, replace=False)] = True
    return polygons[~held_out], polygons[held_out]


def confusion_matrix(
    labels: np.ndarray, classes: np.ndarray, polygons: gpd.GeoDataFrame, transform: Affine, crs: object
) -> pd.DataFrame:
    """Pixels of held-out polygons by true class (rows) and predicted class (columns).

    Parameters
    ----------
    labels, classes
        From `classify_land_use`; classes are `classifier.classes_`.
    polygons : GeoDataFrame
        None of those that trained the classifier.
    transform, crs
        Georeferencing of the labels.
    """
    inside, land_use = _pixels_of(polygons, labels.shape, transform, crs)
    predicted = unmasked(labels, -1)[inside[:, 0], inside[:, 1]]
    seen = predicted >= 0
    counts = pd.crosstab(land_use[seen], np.asarray(classes)[predicted[seen]])
    names = sorted(set(classes) | set(counts.index))
    return counts.reindex(index=names, columns=names, fill_value=0).rename_axis(index="true", columns="predicted")


def _pixels_of(polygons: gpd.GeoDataFrame, shape_: tuple, transform: Affine, crs: object) -> tuple:
    """(n, 2) rows and columns of the pixels inside polygons, and (n,) their classes."""
    if "land_use" not in polygons or polygons["land_use"].isna().any():
        raise CapacityError(
            f"polygons with columns {', '.join(polygons.columns)} found, a class for each in `land_use` expected, such "
            f"as {', '.join(LAND_USE)}."
        )
    if polygons.crs is None or crs is None:
        raise CapacityError("polygons or an image without coordinate reference system found. Set it: set_crs(...).")
    geometries = polygons.geometry.to_crs(crs)
    burnt = [(geometry, i) for i, geometry in enumerate(geometries, start=1)]
    owner = rasterize(burnt, shape_, transform=transform, dtype="int32") if burnt else np.zeros(shape_, np.int32)
    inside = np.argwhere(owner > 0)
    return inside, polygons["land_use"].to_numpy()[owner[owner > 0] - 1]
