"""What a hydrologist would try before a network: no image at all, the water's area, and statistics of the bands."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from millpond.level.errors import LevelError

VH_THRESHOLDS_DB = np.arange(-26.0, -14.0, 0.5)

SPECKLE_PIXELS = 5
"""Edge of the window in which backscatter is averaged."""

PERCENTILES = (5, 25, 50, 75, 95)
"""Of each band, besides mean and standard deviation."""


class AreaLevelRegressor(RegressorMixin, BaseEstimator):
    """The level as a rising function of the area that looks like water.

    A pixel of Sentinel-2 looks like water where its NDWI is above a threshold (McFeeters 1996,
    doi:10.1080/01431169608948714); one of Sentinel-1 where the mean backscatter in VH of the 5 x 5 pixels around it is
    below one, since speckle hides a single pixel's. Between the areas of the
    training the curve is straight; outside it stays at the lowest or highest level.

    Parameters
    ----------
    bands : sequence of str
        Of the images, in order; B03 and B08, or VH, among them.
    pixel_area_km2 : float
    threshold : float, optional
        By default 0 for NDWI; for VH the one of `VH_THRESHOLDS_DB` whose areas go best with the levels of the training.

    Attributes
    ----------
    threshold_ : float
    curve_ : sklearn.isotonic.IsotonicRegression
        From km2 to metres.
    """

    def __init__(
        self, bands: Sequence[str] = ("B03", "B08"), pixel_area_km2: float = 1e-4, threshold: float | None = None
    ):
        self.bands = bands
        self.pixel_area_km2 = pixel_area_km2
        self.threshold = threshold

    def water(self, X) -> np.ndarray:
        """(n, rows, cols) bool: which pixels look like water.

        Raises
        ------
        LevelError
            If the bands allow neither index.
        """
        X = np.asarray(X)
        if {"B03", "B08"} <= set(self.bands):
            green, infrared = (X[:, list(self.bands).index(band)] for band in ("B03", "B08"))
            return green - infrared > (self.threshold or 0.0) * (green + infrared)
        if "VH" in self.bands:
            return self._calm_db(X) < getattr(self, "threshold_", self.threshold or VH_THRESHOLDS_DB.mean())
        raise LevelError(f"bands {', '.join(self.bands)} found, B03 and B08, or VH, expected to tell water.")

    def area_km2(self, X) -> np.ndarray:
        """(n,) areas that look like water."""
        return self.water(X).sum(axis=(1, 2)) * self.pixel_area_km2

    def fit(self, X, y):
        """X : (n, n_bands, rows, cols) array; y : (n,) levels in metres."""
        self.threshold_ = self.threshold or 0.0
        if self.threshold is None and not {"B03", "B08"} <= set(self.bands) and "VH" in self.bands:
            calm = self._calm_db(np.asarray(X))
            ranks = rankdata(y)
            areas = [(calm < threshold).sum(axis=(1, 2)) for threshold in VH_THRESHOLDS_DB]
            fits = [np.corrcoef(rankdata(area), ranks)[0, 1] if np.ptp(area) else -1.0 for area in areas]
            self.threshold_ = float(VH_THRESHOLDS_DB[np.argmax(fits)])
        self.curve_ = IsotonicRegression(out_of_bounds="clip").fit(self.area_km2(X), y)
        return self

    def _calm_db(self, X: np.ndarray) -> np.ndarray:
        """(n, rows, cols) mean backscatter around each pixel, in dB."""
        power = 10 ** (X[:, list(self.bands).index("VH")] / 10)
        return 10 * np.log10(ndimage.uniform_filter(power, (0, SPECKLE_PIXELS, SPECKLE_PIXELS)))

    def predict(self, X):
        """(n,) levels in metres."""
        check_is_fitted(self)
        return self.curve_.predict(self.area_km2(X))


def band_statistics(images) -> np.ndarray:
    """(n, n_bands, rows, cols) to (n, 7 n_bands): mean, standard deviation and `PERCENTILES` of each band."""
    pixels = np.asarray(images).reshape(*np.shape(images)[:2], -1)
    statistics = [pixels.mean(axis=2), pixels.std(axis=2), *np.percentile(pixels, PERCENTILES, axis=2)]
    return np.stack(statistics, axis=2).reshape(len(pixels), -1)


def baselines(bands: Sequence[str], pixel_area_km2: float, random_state: int = 0) -> dict[str, BaseEstimator]:
    """Regressors of images, by name; none is fitted."""
    statistics = FunctionTransformer(band_statistics)
    return {
        "mean level": DummyRegressor(),
        "area-level curve": AreaLevelRegressor(bands, pixel_area_km2),
        "ridge on band statistics": make_pipeline(statistics, StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
        "random forest on band statistics": make_pipeline(
            statistics, RandomForestRegressor(300, random_state=random_state)
        ),
    }
