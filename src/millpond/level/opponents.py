"""Opponents of a model that learns from many levels: one that looks at no image, and one that knows a single level."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from millpond.level.baselines import AreaLevelRegressor
from millpond.level.errors import LevelError


class LastLevelRegressor(RegressorMixin, BaseEstimator):
    """Persistence: the level of the latest training day before, or where there is none of the first one."""

    def fit(self, X, y):
        """X : (n, 1) array, days since any date; y : (n,) levels in metres."""
        days = np.asarray(X).ravel()
        order = np.argsort(days, kind="stable")
        self.days_, self.levels_m_ = days[order], np.asarray(y, dtype=float)[order]
        return self

    def predict(self, X):
        """(n,) levels in metres; of a day of the training, that of the training day before it."""
        check_is_fitted(self)
        before = np.searchsorted(self.days_, np.asarray(X).ravel(), side="left") - 1
        return self.levels_m_[np.maximum(before, 0)]


class HypsometryRegressor(AreaLevelRegressor):
    """The level up to which the terrain holds the area of the water, shifted so that one level fits.

    Of the levels of the training it uses one alone, that of the date with the median area. Where gauge and terrain have
    the same zero, not even that one is needed.

    Parameters
    ----------
    heights_m : (rows, cols) array
        Ground below the water, NaN where it isn't known; there no pixel counts.
    **others
        As of `AreaLevelRegressor`.

    Attributes
    ----------
    sorted_m_ : (n_pixels,) array
        Heights of the pixels that count: the terrain's area-level curve.
    offset_m_ : float
        What is added to its levels.
    """

    def __init__(self, bands=("B03", "B08"), pixel_area_km2=1e-4, threshold=None, min_occurrence=0.1, heights_m=None):
        super().__init__(bands, pixel_area_km2, threshold, min_occurrence)
        self.heights_m = heights_m

    def fit(self, X, y):
        """X : (n, n_bands, rows, cols) array; y : (n,) levels in metres, of which one is used."""
        super().fit(X, y)
        self.counted_ = self.counted_ & np.isfinite(self.heights_m)
        if not self.counted_.any():
            raise LevelError("no height of a pixel that is water found, those of the ground expected. Check the place.")
        self.sorted_m_ = np.sort(np.asarray(self.heights_m, dtype=float)[self.counted_])
        area = self.area_km2(X)
        median = np.argsort(area, kind="stable")[len(area) // 2]
        self.offset_m_ = float(y[median] - self._terrain_m(area[median]))
        return self

    def predict(self, X):
        """(n,) levels in metres."""
        check_is_fitted(self)
        return self._terrain_m(self.area_km2(X)) + self.offset_m_

    def _terrain_m(self, area_km2):
        n_pixels = np.arange(1, len(self.sorted_m_) + 1)
        return np.interp(np.asarray(area_km2) / self.pixel_area_km2, n_pixels, self.sorted_m_)
