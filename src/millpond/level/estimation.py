"""Water levels for one's own reservoir: a model that can be kept in a folder, and says how sure it is or why it won't.

Dates are dealt into folds of whole blocks of 30 days (`BLOCK_DAYS`), since neighbouring days look alike, and a model is
fitted without each fold. The estimate is the median of what they say, each counted by its held-out dates; intervals are
those of CV+ (`millpond.conformal`) on the level. What CV+ guarantees needs folds that are dealt at random. Folds of
blocks are more honest about new ones and have no guarantee: look at the out-of-fold scores, and at later levels as they
come.

A pixel under a cloud, or outside the area of interest, is unknown to a curve and a shore. For a new image with unknown
pixels, the errors that make its interval are those of the training dates with the same pixels hidden (Zaffran,
Dieuleveut, Josse and Romano 2023, Conformal prediction with missing values, algorithm CP-MDA). And errors count
relative to how large they are at similar levels, so that intervals are wider where the area hardly changes with the
level. A network sees pixels under a cloud as they are.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from sklearn.base import BaseEstimator, clone
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import GroupKFold

from millpond.conformal import cv_plus
from millpond.files import replacing, write_text
from millpond.level.baselines import AreaLevelRegressor, ShoreLevelRegressor
from millpond.level.errors import LevelError
from millpond.level.network import ATTENTIONS
from millpond.level.regressor import LevelRegressor
from millpond.level.scenes import Scenes

CURVE, SHORE, NETWORK = "curve", "shore", "network"
MODELS = (CURVE, SHORE, NETWORK)
"""Area-level curve and shore-level fit (both in `millpond.level.baselines`), and the study's network."""

SMALLEST_SCENES = 15
"""Scenes with a level from which a model is fitted."""

SMALLEST_WATER_KM2 = 0.01
"""A hundred pixels of 10 m: the area below which shore pixels decide."""

COVERAGE = 0.9
"""Share of dates whose interval should hold the level, where none is stated."""

BLOCK_DAYS = 30
"""Length of the blocks, counted from the first date: about a month, but none of the calendar's."""

SIMILAR = 0.2
"""Share of the training dates, those of the nearest levels, whose errors say how large an error is at a level."""

BEYOND_RANGE = 0.1
"""Share of the range of a band's means in the training by which a new image may lie outside of it."""

BEYOND_AREA = 0.02
"""The same of areas: the curve ends there, and so little is noise."""

_OF_WATER = {CURVE: AreaLevelRegressor, SHORE: ShoreLevelRegressor}
_FORMAT, _VERSION = "millpond level model", 3
_JSON, _WATER = "model.json", "water.safetensors"


@dataclass(frozen=True, eq=False)
class LevelModel:
    """A fitted model; made by `fit_level_model` or `LevelModel.load`.

    Attributes
    ----------
    model : str
        One of `MODELS`.
    bands : tuple of str
    pixel_m : (height, width)
    training : DataFrame
        By date: `level_m`, `area_km2` that looks like water, `fold`, and `out_of_fold_m`, what the model without its
        fold says.
    band_range : (2, n_bands) array
        Lowest and highest mean of each band in the training.
    shape : (rows, cols)
    place : tuple or None
        As `Scenes.place`.
    fitted : tuple
        A regressor for each fold, fitted without it.
    index : AreaLevelRegressor
        What looks like water and where it counts, by all training dates.
    usual : (n_bands, rows, cols) array
        Mean image of the training, which stands for unknown pixels where an image is compared with the training.
    seen : pair of (n_dates, rows, cols) bool arrays, or None
        Of the training, which pixels look like water and which are unknown, each date by the regressor without it.
        None of a network.
    wet_share : (rows, cols) array or None
        As `Scenes.wet_share`, by which `read_scenes` screens new images without asking others.
    """

    model: str
    bands: tuple[str, ...]
    pixel_m: tuple[float, float]
    training: pd.DataFrame
    band_range: np.ndarray
    shape: tuple[int, int]
    place: tuple[str, float, float] | None
    fitted: tuple[BaseEstimator, ...] = field(repr=False)
    index: AreaLevelRegressor = field(repr=False)
    usual: np.ndarray = field(repr=False)
    seen: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    wet_share: np.ndarray | None = field(default=None, repr=False)

    @property
    def orbit(self) -> str | None:
        """As `Scenes.orbit`, of the training; kept in its `attrs`."""
        return self.training.attrs.get("orbit")

    @property
    def scores(self) -> dict[str, float]:
        """`r2`, `rmse_m` and `mae_m` of the out-of-fold estimates."""
        known = self.training
        return {
            "r2": float(r2_score(known["level_m"], known["out_of_fold_m"])),
            "rmse_m": float(root_mean_squared_error(known["level_m"], known["out_of_fold_m"])),
            "mae_m": float(mean_absolute_error(known["level_m"], known["out_of_fold_m"])),
        }

    def estimate(self, scenes: Scenes, coverage: float = COVERAGE) -> pd.DataFrame:
        """Estimate levels.

        Parameters
        ----------
        scenes : Scenes
            Of the same reservoir, bands and pixels as the training; their levels aren't looked at.
        coverage : float
            Share of dates whose interval should hold the level, 0.5 or more and below 1.

        Returns
        -------
        DataFrame
            By date: `level_m`, `low_m`, `high_m`, above the datum of the training's gauge; `area_km2`; `in_training`,
            whether the date has trained the model, and then level and interval are those of the fold without it;
            `abstains`, why there is no level: "nothing visible", "little water", "area outside the training's" or
            "image unlike the training's".

        Raises
        ------
        LevelError
            If bands, pixels or place differ, or training dates are too few for the coverage.
        """
        self.check(scenes)
        known = self.training
        images = _visible(scenes)
        of_model = scenes.images if self.model == NETWORK else images
        by_fold = np.array([model.predict(of_model) for model in self.fitted])
        in_training = scenes.dates.isin(known.index)
        # What a model says of its own training is no estimate: of these dates, only the one without them counts.
        alone = known["fold"].reindex(scenes.dates)[in_training].to_numpy(int)
        by_fold[:, in_training] = by_fold[alone, in_training]
        by_date = by_fold[known["fold"]].T
        area_km2, (_, unknown) = self.index.area_km2(images), self.index.seen(images)
        residuals = self._residuals(np.median(by_date, axis=1), unknown)
        estimates = cv_plus(by_date, residuals, coverage, "dates", LevelError)
        table = pd.DataFrame(dict(zip(("level_m", "low_m", "high_m"), estimates, strict=True)), index=scenes.dates)
        low, high = self.band_range
        margin = BEYOND_RANGE * (high - low)
        means = np.where(np.isnan(of_model), self.usual, of_model).mean(axis=(2, 3))
        smallest, largest = known["area_km2"].min(), known["area_km2"].max()
        noise = BEYOND_AREA * (largest - smallest)
        table["area_km2"], table["in_training"] = area_km2, in_training
        table["abstains"] = np.select(
            [
                (unknown | ~self.index.counted_).all(axis=(1, 2)),
                area_km2 < SMALLEST_WATER_KM2,
                (area_km2 < smallest - noise) | (area_km2 > largest + noise),
                ((means < low - margin) | (means > high + margin)).any(axis=1),
            ],
            ["nothing visible", "little water", "area outside the training's", "image unlike the training's"],
            default="",
        )
        table.loc[table["abstains"] != "", ["level_m", "low_m", "high_m"]] = np.nan
        return table

    def _residuals(self, estimate_m: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """(n_new, n) absolute errors of the training dates, as they would be at each new date.

        With its unknown pixels hidden, and times how large errors are at its level, relative to the date's own.
        """
        level_m, fold = self.training["level_m"].to_numpy(), self.training["fold"].to_numpy()
        residuals, usual, said_under = [], self.training["out_of_fold_m"].to_numpy(), {}
        for new_m, hidden in zip(estimate_m, unknown, strict=True):
            said = usual
            if self.seen is not None and (hidden & ~self.seen[1].all(axis=0)).any():
                if (mask := hidden.tobytes()) not in said_under:
                    said = said_under[mask] = np.empty(len(level_m))
                    for k, model in enumerate(self.fitted):
                        water, before = (of[fold == k] for of in self.seen)
                        said[fold == k] = model.level_m(water, before | hidden)
                said = said_under[mask]
            errors = np.abs(level_m - said)
            residuals.append(errors * _usual_error(new_m, said, errors) / _usual_error(said[:, None], said, errors))
        return np.array(residuals)

    def check(self, scenes: Scenes) -> None:
        """Refuse scenes of another place, other bands or other pixels, even if none of their images can be used.

        Raises
        ------
        LevelError
        """
        if scenes.bands != self.bands or not np.allclose(scenes.pixel_m, self.pixel_m, rtol=0.01):
            raise LevelError(
                f"bands {', '.join(scenes.bands)} of {scenes.pixel_m[0]:g} m found, {', '.join(self.bands)} of "
                f"{self.pixel_m[0]:g} m as in the training expected. Read the scenes in the same way."
            )
        same_corner = self.place is None or (
            scenes.place is not None
            and scenes.place[0] == self.place[0]
            and np.allclose(scenes.place[1:], self.place[1:], rtol=0, atol=self.pixel_m[0] / 2)
        )
        if scenes.images.shape[2:] != self.shape or not same_corner:
            raise LevelError(
                f"images of {scenes.images.shape[2]} x {scenes.images.shape[3]} pixels at {scenes.place} found, "
                f"{self.shape[0]} x {self.shape[1]} at {self.place} as in the training expected. A model is of one "
                "reservoir: cut the images alike."
            )

    def save(self, folder: str | Path) -> None:
        """Write `model.json`, and files of arrays (safetensors): of water, and of each fold.

        Raises
        ------
        LevelError
            If the folder holds something else, or can't be written.
        """
        folder = check_folder(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _JSON).unlink(missing_ok=True)  # without it there is no model until all else is there
            for path in (*folder.glob(_weights("*")), *folder.glob(_WATER)):
                path.unlink()
        except OSError as error:
            raise LevelError(f"{folder}: {error.strerror}; a folder for the model expected. Choose another.") from None
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "model": self.model,
            "bands": self.bands,
            "pixel_m": self.pixel_m,
            "band_range": self.band_range.tolist(),
            "shape": self.shape,
            "place": self.place,
            "orbit": self.orbit,
            "dates": [f"{date:%Y-%m-%d}" for date in self.training.index],
            "training": {name: column.tolist() for name, column in self.training.items()},
        }
        water = (
            _arrays_of(self.index)
            | {"usual": self.usual}
            | ({} if self.wet_share is None else {"wet_share": self.wet_share})
        )
        if self.seen is not None:
            water["seen"] = np.packbits(self.seen, axis=-1)
        _write_arrays(folder / _WATER, water)
        if self.model != NETWORK:
            for fold, regressor in enumerate(self.fitted):
                _write_arrays(folder / _weights(fold), _arrays_of(regressor))
        else:
            content |= {name: getattr(self.fitted[0], name) for name in ("attention", "attention_width")}
            for fold, regressor in enumerate(self.fitted):
                regressor.save(folder / _weights(fold))
        write_text(folder / _JSON, json.dumps(content, indent=1) + "\n", LevelError)

    @classmethod
    def load(cls, folder: str | Path) -> "LevelModel":
        """Read what `save` wrote.

        Raises
        ------
        LevelError
            If there is no such model, or an array is missing or damaged.
        TrainingError
            If weights of a network are.
        """
        path = Path(folder) / _JSON
        try:
            content = json.loads(path.read_text("utf-8"))
            if (content["format"], content["version"]) != (_FORMAT, _VERSION):
                raise ValueError(f"{content['format']}, version {content['version']}; version {_VERSION} expected")
            bands, pixel_m = tuple(content["bands"]), tuple(content["pixel_m"])
            training = pd.DataFrame(content["training"], index=pd.DatetimeIndex(content["dates"], name="date"))
            training.attrs["orbit"] = content.get("orbit")
            n_folds = int(training["fold"].max()) + 1
            paths = [Path(folder) / _weights(fold) for fold in range(n_folds)]
            if content["model"] == NETWORK:
                about = content["attention"], content.get("attention_width")
                fitted = tuple(LevelRegressor(*about).load(path) for path in paths)
            else:
                fitted = tuple(_of_water(content["model"], bands, pixel_m, _arrays(path)) for path in paths)
            water = _arrays(Path(folder) / _WATER)
            index = _of_water(CURVE, bands, pixel_m, water)
            place = None if content["place"] is None else tuple(content["place"])
            band_range, shape = np.array(content["band_range"]), tuple(content["shape"])
            about = bands, pixel_m, training, band_range, shape, place
            seen = None
            if content["model"] != NETWORK:
                seen = tuple(np.unpackbits(water["seen"], axis=-1, count=shape[1]).astype(bool))
            return cls(content["model"], *about, fitted, index, water["usual"], seen, water.get("wet_share"))
        except OSError as error:
            raise LevelError(
                f"{path}: {error.strerror}; a folder with a saved model expected. Check the path."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise LevelError(f"{path}: no saved level model found ({error}). Fit and save it again.") from None


def fit_level_model(
    scenes: Scenes,
    model: str = SHORE,
    *,
    n_folds: int = 5,
    attention: str | None = None,
    random_state: int = 0,
    **settings,
) -> LevelModel:
    """Fit a model to scenes with levels.

    Parameters
    ----------
    scenes : Scenes
    model : str
        One of `MODELS`. The shore-level fit stays safer than the curve under clouds
        (`millpond.level.study.score_clouds`).
    n_folds : int
        3 or more, of whole blocks of `BLOCK_DAYS` from the first date on.
    attention : str, optional
        Of the network.
    random_state : int
    **settings
        Of `LevelRegressor`, but for `checkpoint`: each fold is a training of its own.

    Raises
    ------
    LevelError
        If there is no such model, a checkpoint is asked for, scenes or blocks are too few, or levels constant or
        missing.
    """
    if model not in MODELS:
        raise LevelError(f"model {model!r} found, one of {', '.join(MODELS)} expected. Choose one (model, --model).")
    if attention not in (ATTENTIONS if model == NETWORK else (None,)):
        known = ", ".join(name for name in ATTENTIONS if name)
        raise LevelError(
            f"attention {attention!r} of a {model} found, {known} of a network, or none, expected. Choose another "
            "(attention, --attention), or the network (model, --model)."
        )
    if settings.get("checkpoint") is not None:
        raise LevelError("a checkpoint for several folds found, none expected: each is a training. Leave it out.")
    if len(scenes) < SMALLEST_SCENES:
        raise LevelError(
            f"{len(scenes)} usable scenes with a level found, {SMALLEST_SCENES} or more expected. Add dates."
        )
    if not np.isfinite(scenes.level_m).all() or np.ptp(scenes.level_m) == 0:
        raise LevelError("constant or missing levels found, different finite ones expected. Look at the gauge record.")
    blocks = (scenes.dates - scenes.dates.min()).days // BLOCK_DAYS
    if not 3 <= n_folds <= blocks.nunique():
        raise LevelError(
            f"{n_folds} folds of {blocks.nunique()} blocks of {BLOCK_DAYS} days with scenes found, 3 folds or more and "
            "a block or more for each expected. Choose another number (n_folds, --folds), or add dates."
        )
    if model == NETWORK:
        unfitted = LevelRegressor(attention, random_state=random_state, **settings)
    else:
        unfitted = _OF_WATER[model](scenes.bands, _pixel_km2(scenes.pixel_m))
    images = _visible(scenes)
    index = AreaLevelRegressor(scenes.bands, _pixel_km2(scenes.pixel_m)).fit(images, scenes.level_m)
    area_km2 = index.area_km2(images)
    if model == NETWORK:
        images = scenes.images
    fold = np.empty(len(scenes), int)
    out_of_fold_m = np.empty(len(scenes))
    fitted, seen = [], None if model == NETWORK else np.empty((2, len(scenes), *images.shape[2:]), bool)
    splits = GroupKFold(n_folds, shuffle=True, random_state=random_state).split(images, groups=blocks)
    for k, (train, test) in enumerate(splits):
        fitted.append(clone(unfitted).fit(images[train], scenes.level_m[train]))
        fold[test], out_of_fold_m[test] = k, fitted[-1].predict(images[test])
        if seen is not None:
            seen[:, test] = fitted[-1].seen(images[test])
    training = pd.DataFrame(
        {"level_m": scenes.level_m, "area_km2": area_km2, "fold": fold, "out_of_fold_m": out_of_fold_m},
        index=scenes.dates,
    )
    training.attrs["orbit"] = scenes.orbit
    known = ~np.isnan(images)
    usual = np.where(known, images, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    means = np.where(known, images, usual).mean(axis=(2, 3))
    band_range = np.stack([means.min(axis=0), means.max(axis=0)])
    shape = scenes.images.shape[2:]
    about = scenes.bands, scenes.pixel_m, training, band_range, shape, scenes.place
    return LevelModel(model, *about, tuple(fitted), index, usual, seen, scenes.wet_share)


def check_folder(folder: str | Path) -> Path:
    """Whether a model may be written there, before hours are spent on one.

    Raises
    ------
    LevelError
        If it is a file, holds something else, or nothing can be written there.
    """
    folder = Path(folder)
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise LevelError(f"{nearest}: a file found, a folder for the model expected. Choose another.")
    if not os.access(nearest, os.W_OK):
        raise LevelError(f"{nearest}: no permission to write found, a folder for the model expected. Choose another.")
    if not folder.exists():
        return folder
    own = [path for name in (_weights("*"), _JSON, _WATER) for path in folder.glob(name + "*")]  # unfinished ones too
    if others := [path.name for path in folder.iterdir() if path not in own]:
        raise LevelError(
            f"{folder}: {len(others)} other files found, an empty folder or a model expected. Choose another."
        )
    return folder


def _visible(scenes: Scenes) -> np.ndarray:
    """Images with NaN where a pixel is unknown: under a cloud, or outside the area of interest."""
    unknown = scenes.cloudy if scenes.inside is None else scenes.cloudy | ~scenes.inside
    return np.where(unknown[:, None], np.float32(np.nan), scenes.images)


def _usual_error(at_m: np.ndarray, said_m: np.ndarray, errors_m: np.ndarray) -> np.ndarray:
    """How large errors are at a level: the mean of those at similar levels, and a tenth of that of all.

    Of a column of the levels themselves, each without its own error.
    """
    distance_m = np.abs(np.atleast_2d(at_m - said_m))
    if len(distance_m) > 1:
        np.fill_diagonal(distance_m, np.inf)
    nearest = np.argsort(distance_m, axis=1, kind="stable")[:, : max(2, round(SIMILAR * len(said_m)))]
    return errors_m[nearest].mean(axis=1) + errors_m.mean() / 10 if errors_m.any() else np.ones(len(distance_m))


def _pixel_km2(pixel_m: Iterable[float]) -> float:
    return float(np.prod(list(pixel_m))) / 1e6


def _arrays_of(regressor: AreaLevelRegressor) -> dict[str, np.ndarray]:
    """What a regressor has learned; the curve by its points, since isotonic regression is straight between them."""
    curve = {"area_km2": regressor.curve_.X_thresholds_, "level_m": regressor.curve_.y_thresholds_}
    learned = {name: value for name, value in vars(regressor).items() if name.endswith("_") and name != "curve_"}
    return curve | {name: np.asarray(value) for name, value in learned.items()}


def _of_water(model: str, bands: tuple[str, ...], pixel_m: tuple[float, float], arrays: dict) -> AreaLevelRegressor:
    """The regressor that has learned this."""
    regressor = _OF_WATER[model](bands, _pixel_km2(pixel_m))
    for name, value in arrays.items():
        if name.endswith("_"):
            setattr(regressor, name, value if value.ndim else value.item())
    regressor.curve_ = IsotonicRegression(out_of_bounds="clip").fit(arrays["area_km2"], arrays["level_m"])
    return regressor


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with replacing(path, LevelError) as unfinished:
        unfinished.write_bytes(save({name: np.ascontiguousarray(value) for name, value in arrays.items()}))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise LevelError(
            f"{path}: no arrays of this model found ({error}), a safetensors file as saved expected. Fit and save it "
            "again."
        ) from None


def _weights(fold: int | str) -> str:
    return f"weights-{fold}.safetensors"
