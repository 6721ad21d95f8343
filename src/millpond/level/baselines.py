"""What a hydrologist would try before a network: no image, the water's area or its place, and band statistics."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.isotonic import IsotonicRegression, isotonic_regression
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from millpond.level.errors import LevelError

VH_THRESHOLDS_DB = np.arange(-26.0, -14.0, 0.5)

SPECKLE_PIXELS = 5
"""Edge of the window in which backscatter is averaged."""

OCCURRENCES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""Shares of the training dates from which a pixel may count."""

PERCENTILES = (5, 25, 50, 75, 95)
"""Of each band, besides mean and standard deviation."""


class AreaLevelRegressor(RegressorMixin, BaseEstimator):
    """The level as a rising function of the area that looks like water.

    A pixel of Sentinel-2 looks like water where its NDWI is above a threshold (McFeeters 1996,
    doi:10.1080/01431169608948714); one of Sentinel-1 where the mean backscatter in VH of the 5 x 5 pixels around it is
    below one, since speckle hides a single pixel's. What counts is the largest connected area that was often enough
    water on the dates of the training: shadows on land, ponds and flooded fields around don't. A pixel that is NaN is
    unknown, as under a cloud: it counts by the share of water that this image shows where water occurs as often in the
    training. Between the areas of the training the curve is straight; outside it stays at the lowest or highest level.

    Parameters
    ----------
    bands : sequence of str
        Of the images, in order; B03 and B08, or VH, among them.
    pixel_area_km2 : float
    threshold : float, optional
        By default 0 for NDWI; for VH the one of `VH_THRESHOLDS_DB` whose areas go best with the levels of the training.
    min_occurrence : float, optional
        Share of the training dates on which a pixel must have looked like water to count; 0 counts every pixel. By
        default the one of `OCCURRENCES` whose areas go best with the levels of the training.

    Attributes
    ----------
    threshold_ : float
    occurrence_ : (rows, cols) array
        Share of the training dates that show water, of those that show anything.
    counted_ : (rows, cols) bool array
        Pixels that count.
    curve_ : sklearn.isotonic.IsotonicRegression
        From km2 to metres.
    """

    def __init__(
        self,
        bands: Sequence[str] = ("B03", "B08"),
        pixel_area_km2: float = 1e-4,
        threshold: float | None = None,
        min_occurrence: float | None = None,
    ):
        self.bands = bands
        self.pixel_area_km2 = pixel_area_km2
        self.threshold = threshold
        self.min_occurrence = min_occurrence

    def water(self, X) -> np.ndarray:
        """(n, rows, cols) bool: which pixels look like water.

        Raises
        ------
        LevelError
            If the bands allow neither index.
        """
        return self.seen(X)[0]

    def seen(self, X) -> tuple[np.ndarray, np.ndarray]:
        """(n, rows, cols) bool each: which pixels look like water, and which are unknown."""
        default = VH_THRESHOLDS_DB.mean() if self._is_radar else 0.0
        threshold = getattr(self, "threshold_", default if self.threshold is None else self.threshold)
        signals = self._signals(X)
        return _looks_wet(signals, threshold), _unknown(signals)

    def area_km2(self, X) -> np.ndarray:
        """(n,) areas that look like water: of the pixels that count, or before a fit of all that are known."""
        water, unknown = self.seen(X)
        if not hasattr(self, "counted_"):
            return water.sum(axis=(1, 2)) * self.pixel_area_km2
        return _expected(water, unknown, self.occurrence_, self.counted_) * self.pixel_area_km2

    def fit(self, X, y):
        """X : (n, n_bands, rows, cols) array, NaN where unknown; y : (n,) levels in metres."""
        signals, ranks, best = self._signals(X), rankdata(y), -np.inf
        unknown = _unknown(signals)
        n_known = np.maximum((~unknown).sum(axis=0), 1)
        thresholds = [self.threshold] if self.threshold is not None else VH_THRESHOLDS_DB if self._is_radar else [0.0]
        occurrences = OCCURRENCES if self.min_occurrence is None else [self.min_occurrence]
        for threshold in thresholds:
            water = _looks_wet(signals, threshold)
            share = water.sum(axis=0) / n_known
            for occurrence in occurrences:
                counted = _largest(share >= occurrence)
                area = _expected(water, unknown, share, counted)
                fits = np.corrcoef(rankdata(area), ranks)[0, 1] if np.ptp(area) and np.ptp(ranks) else -1.0
                if fits > best:
                    best, self.threshold_, self.counted_, self.occurrence_ = fits, float(threshold), counted, share
        self.curve_ = IsotonicRegression(out_of_bounds="clip").fit(self.area_km2(X), y)
        return self

    @property
    def _is_radar(self) -> bool:
        return "VH" in self.bands and not {"B03", "B08"} <= set(self.bands)

    def _signals(self, X) -> tuple[np.ndarray, ...]:
        """What tells water: green and infrared, or the mean backscatter around each pixel in dB."""
        X, bands = np.asarray(X), list(self.bands)
        if self._is_radar:
            power = 10 ** (X[:, bands.index("VH")] / 10)
            known = ~np.isnan(power)
            around = (0, SPECKLE_PIXELS, SPECKLE_PIXELS)
            total = ndimage.uniform_filter(np.where(known, power, 0), around)
            share = ndimage.uniform_filter(known.astype(power.dtype), around)
            return (10 * np.log10(np.divide(total, share, out=np.full_like(power, np.nan), where=known)),)
        if {"B03", "B08"} <= set(bands):
            return X[:, bands.index("B03")], X[:, bands.index("B08")]
        raise LevelError(f"bands {', '.join(bands)} found, B03 and B08, or VH, expected to tell water.")

    def predict(self, X):
        """(n,) levels in metres."""
        check_is_fitted(self)
        return self.level_m(*self.seen(X))

    def level_m(self, water: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """(n,) levels by what `seen` gives."""
        area_km2 = _expected(water, unknown, self.occurrence_, self.counted_) * self.pixel_area_km2
        return self.curve_.predict(area_km2)


def _looks_wet(signals: tuple[np.ndarray, ...], threshold: float) -> np.ndarray:
    if len(signals) == 1:
        return signals[0] < threshold
    green, infrared = signals
    return green - infrared > threshold * (green + infrared)


def _unknown(signals: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.any([np.isnan(signal) for signal in signals], axis=0)


def _expected(water: np.ndarray, unknown: np.ndarray, occurrence: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(n,) pixels of water, of those that count: seen, and expected where they are unknown.

    How likely an unknown pixel is wet rises with its occurrence, as the seen pixels of the image show it; or is the
    occurrence, where none is seen.
    """
    water = water & ~unknown
    n_water = (water & counted).sum(axis=(1, 2)).astype(float)
    percent = np.round(100 * occurrence[counted]).astype(int)
    for i in np.flatnonzero((unknown & counted).any(axis=(1, 2))):
        hidden, wet = unknown[i][counted], water[i][counted]
        n_hidden, n_seen, n_wet = (np.bincount(percent[of], minlength=101) for of in (hidden, ~hidden, wet))
        likely, some = np.arange(101) / 100, n_seen > 0
        if some.any():
            rising = isotonic_regression(n_wet[some] / n_seen[some], sample_weight=n_seen[some])
            likely = np.interp(likely, likely[some], rising)
        n_water[i] += n_hidden @ likely
    return n_water


def _largest(often: np.ndarray) -> np.ndarray:
    """(rows, cols) bool: the largest connected part."""
    parts, _ = ndimage.label(often)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (parts == sizes.argmax()) & often


class ShoreLevelRegressor(AreaLevelRegressor):
    """The level whose water would lie where water is seen.

    Each pixel is wet from some level of the training on: the one that the fewest images contradict, or the middle
    between the first and the last of several. The pixels that change between two neighbouring levels are a zone. Of a
    new image, the zones below the level should be wet and those above dry, and of the zone around it the share that the
    level has risen through. The estimate is the level whose zones differ least from the seen ones, in pixels; unknown
    pixels don't vote. A cloud or a shadow that no mask tells changes the area; but it puts water where none can be at
    that level, and is outvoted.

    Parameters and attributes are those of `AreaLevelRegressor`; besides, `levels_m_` are the sorted levels of the
    training and `zone_` (rows, cols) the number of levels that leave a pixel dry.
    """

    def fit(self, X, y):
        """X : (n, n_bands, rows, cols) array, NaN where unknown; y : (n,) levels in metres."""
        super().fit(X, y)
        order = np.argsort(y, kind="stable")
        wet, unknown = (of[order] for of in self.seen(X))
        self.levels_m_, first = np.unique(np.asarray(y, dtype=float)[order], return_index=True)
        # Contradictions if a pixel were dry at the k lowest images and wet at all others.
        changes = np.where(unknown, np.int16(0), np.where(wet, np.int16(1), np.int16(-1)))
        wrong = np.concatenate([np.zeros_like(changes[:1]), np.cumsum(changes, axis=0, dtype=np.int16)])
        wrong = wrong[[*first, len(wet)]]
        least = wrong == wrong.min(axis=0)
        lowest, highest = least.argmax(axis=0), len(wrong) - 1 - least[::-1].argmax(axis=0)
        self.zone_ = np.where(unknown.all(axis=0), 0, (lowest + highest + 1) // 2)  # what was never seen never changes
        return self

    def level_m(self, water: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """(n,) levels by what `seen` gives, within those of the training."""
        n_zones = len(self.levels_m_) + 1
        candidates_m = np.linspace(self.levels_m_[0], self.levels_m_[-1], 1001)
        steps_m = np.diff(self.levels_m_)
        risen = np.clip((candidates_m[:, None] - self.levels_m_[:-1]) / steps_m, 0, 1)
        estimates = []
        for wet, hidden in zip(water, unknown, strict=True):
            n_wet, n_seen = (np.bincount(self.zone_[of], minlength=n_zones)[1:-1] for of in (wet & ~hidden, ~hidden))
            differing = np.abs(n_wet - risen * n_seen).sum(axis=1)
            estimates.append(candidates_m[differing <= differing.min() + 1e-9].mean())
        return np.array(estimates)


class CorrectedLevelRegressor(RegressorMixin, BaseEstimator):
    """A first estimate, and a second model of the same images that learns what the first one leaves.

    Parameters
    ----------
    first, correction : regressors of images
        The correction is fitted to the levels less what the first one says of dates that it wasn't fitted to, in five
        folds.
    random_state : int
        Of the folds.
    """

    def __init__(self, first, correction, random_state=0):
        self.first = first
        self.correction = correction
        self.random_state = random_state

    def fit(self, X, y):
        """X : (n, n_bands, rows, cols) array; y : (n,) levels in metres."""
        folds = KFold(5, shuffle=True, random_state=self.random_state)
        left_m = np.asarray(y, dtype=float) - cross_val_predict(self.first, X, y, cv=folds)
        self.first_ = clone(self.first).fit(X, y)
        self.correction_ = clone(self.correction).fit(X, left_m)
        return self

    def predict(self, X):
        """(n,) levels in metres."""
        check_is_fitted(self)
        return self.first_.predict(X) + self.correction_.predict(X)


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
        "area-level curve, every pixel": AreaLevelRegressor(bands, pixel_area_km2, min_occurrence=0),
        "shore-level fit": ShoreLevelRegressor(bands, pixel_area_km2),
        "ridge on band statistics": make_pipeline(statistics, StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
        "random forest on band statistics": make_pipeline(
            statistics, RandomForestRegressor(300, random_state=random_state)
        ),
    }
