"""The study's network as a scikit-learn regressor of water levels."""

from numbers import Real
from pathlib import Path

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetRegressor
from skorch.callbacks import EpochScoring
from skorch.helper import predefined_split
from torch import nn

from millpond.level.errors import LevelError
from millpond.level.network import LevelNet
from millpond.training import Batches, MixedPrecision, TorchEstimator, save_weights, seeded

_SCALES = ("lowest_m_", "highest_m_", "band_mean_", "band_std_")
_LOSSES = {"squared": nn.MSELoss, "absolute": nn.L1Loss}
_SCHEDULES = ("one-cycle", "constant")


class LevelRegressor(RegressorMixin, TorchEstimator):
    """Read water levels off images with a ResNet-34, with or without attention.

    Levels are scaled to 0..1 by the lowest and the highest of the training, bands to mean 0 and standard deviation 1 by
    all its pixels. Trained with AdamW, by default with a one-cycle learning rate and on the squared error. The study
    states one rate, the number of epochs and the batch:
    `LevelRegressor(max_epochs=1500, batch_size=4, learning_rate=1e-4, schedule="constant")`.

    Parameters
    ----------
    attention, attention_width
        As in `millpond.level.network.LevelNet`.
    loss : str
        "squared" or "absolute" error of the scaled level.
    augmentation : str, optional
        How training images are changed at random. "dihedral" (`millpond.augmentation.dihedral`) keeps every area and
        every shore; "affine" doesn't, and is refused.
    max_epochs, batch_size : int
    learning_rate : float
        The highest of the cycle.
    schedule : str
        "one-cycle", or "constant" for the same rate in each step.
    weight_decay : float
    validation_size : float
        Share of the training dates that is set aside, for the history and early stopping.
    patience : int, optional
        Stop after this many epochs in which the loss on what was set aside hasn't fallen; never where not stated.
    checkpoint : path, optional
        File that is written after each epoch. A fit that finds one of the same settings and samples goes on from there,
        to the same result.
    checkpoint_minutes : float
        Write it less often, so many minutes after the last time: it has a quarter of a gigabyte.
    device : str
        "auto", or a name that torch knows. On a GPU the arithmetic is in mixed precision.
    random_state : int
    progress : bool
        Show a bar on stderr, if it is a terminal.

    Attributes
    ----------
    lowest_m_, highest_m_ : float
        Levels of the training that 0 and 1 stand for.
    band_mean_, band_std_ : (n_bands,) arrays
    network_ : LevelNet
    history_ : list of dict
        An epoch a row: `epoch`, `train_loss`, `dur`, and if there are validation dates `valid_loss` and `valid_mae`.
    """

    def __init__(
        self,
        attention=None,
        attention_width=None,
        loss="squared",
        augmentation=None,
        max_epochs=40,
        batch_size=8,
        learning_rate=1e-3,
        schedule="one-cycle",
        weight_decay=0.01,
        validation_size=0.0,
        patience=None,
        checkpoint=None,
        checkpoint_minutes=0.0,
        device="auto",
        random_state=0,
        progress=False,
    ):
        self.attention = attention
        self.attention_width = attention_width
        self.loss = loss
        self.augmentation = augmentation
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.validation_size = validation_size
        self.patience = patience
        self.checkpoint = checkpoint
        self.checkpoint_minutes = checkpoint_minutes
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X, y, watched=None):
        """Train.

        Parameters
        ----------
        X : (n_dates, n_bands, rows, cols) array
            Reflectance, or backscatter in dB.
        y : (n_dates,) array
            Levels in metres.
        watched : (images, levels) pair, optional
            Validation dates in place of a share of the training's. Nothing is learnt from them.

        Raises
        ------
        LevelError
            If shapes don't fit, levels are constant or not finite, or a setting is out of its range.
        TrainingError
            If the checkpoint is of another run.
        """
        X, y = _images(X), np.asarray(y, dtype=np.float64)
        self._check(X, y)
        held_out = () if watched is None else (_images(watched[0]), np.asarray(watched[1], dtype=np.float64))
        if watched is None and self.validation_size > 0:
            X, X_valid, y, y_valid = train_test_split(
                X, y, test_size=self.validation_size, random_state=self.random_state
            )
            held_out = X_valid, y_valid
        self.lowest_m_, self.highest_m_ = float(y.min()), float(y.max())
        if self.lowest_m_ == self.highest_m_:
            raise LevelError(f"a constant level of {self.lowest_m_:g} m found, different ones expected. Add dates.")
        self.band_mean_ = X.mean(axis=(0, 2, 3), dtype=np.float64)
        self.band_std_ = np.maximum(X.std(axis=(0, 2, 3), dtype=np.float64), 1e-6)
        with seeded(self.random_state):
            net = self._net(predefined_split(Batches(*self._scaled(*held_out))) if held_out else None, len(X))
            self._train(net, *self._scaled(X, y), (X, y, *held_out))
        return self

    def predict(self, X):
        """(n,) levels in metres; in batches, so that memory grows with the images alone."""
        check_is_fitted(self)
        X = _images(X)
        if X.shape[1] != len(self.band_mean_):
            raise LevelError(
                f"images of {X.shape[1]} bands found, {len(self.band_mean_)} as in the training expected. Read "
                "the same."
            )
        found = [self.net_.predict(self.scaled(X[i : i + 256])) for i in range(0, len(X), 256)]
        scaled = np.concatenate(found).astype(np.float64)
        return self.lowest_m_ + scaled * (self.highest_m_ - self.lowest_m_)

    def save(self, path: str | Path) -> None:
        """Write weights and scales as safetensors; `load` needs a regressor of the same settings."""
        check_is_fitted(self)
        scales = {name: np.asarray(getattr(self, name)).tolist() for name in _SCALES}
        save_weights(self.network_, path, scales)

    def load(self, path: str | Path) -> "LevelRegressor":
        """Take over saved weights instead of fitting.

        Raises
        ------
        TrainingError
            If the file holds no weights of this network.
        """

        def build(regressor: LevelRegressor, scales: dict) -> NeuralNetRegressor:
            for name in _SCALES:
                setattr(regressor, name, np.asarray(scales[name]) if name.startswith("band") else scales[name])
            return regressor._net(None)

        self._load(path, build)
        return self

    def scaled(self, X) -> np.ndarray:
        """Images as the network gets them."""
        mean, std = (v[:, None, None].astype(np.float32) for v in (self.band_mean_, self.band_std_))
        return (_images(X) - mean) / std

    def _scaled(self, X, y):
        return self.scaled(X), ((y - self.lowest_m_) / (self.highest_m_ - self.lowest_m_)).astype(np.float32)

    def _check(self, X: np.ndarray, y: np.ndarray) -> None:
        if y.shape != (len(X),):
            raise LevelError(f"levels of shape {y.shape} for {len(X)} images found, one for each expected.")
        if not np.isfinite(y).all():
            raise LevelError("NaN or infinite levels found, finite metres expected. Drop these dates.")
        share = {"validation_size": (Real, lambda size: 0 <= size < 1, "a share from 0 to below 1")}
        self._check_ranges(LevelError, share)
        if len(X) < 2 or self.batch_size < 2:
            raise LevelError(f"{len(X)} images in batches of {self.batch_size} found, two or more expected in each.")
        if self.schedule not in _SCHEDULES:
            raise LevelError(f"schedule={self.schedule!r} found, one of {', '.join(_SCHEDULES)} expected.")
        if self.loss not in _LOSSES:
            raise LevelError(f"loss={self.loss!r} found, one of {', '.join(_LOSSES)} expected.")
        if self.augmentation not in (None, "dihedral"):
            raise LevelError(f"augmentation={self.augmentation!r} found, None or dihedral expected.")
        if self.augmentation and X.shape[2] != X.shape[3]:
            raise LevelError(
                f"images of {X.shape[2]} x {X.shape[3]} pixels found, square ones expected by dihedral augmentation. "
                "Cut them."
            )
        if self.patience is not None and not self.validation_size > 0:
            raise LevelError("patience without validation dates found. Give a validation_size above 0.")

    def _net(self, train_split, n_samples: int = 0) -> NeuralNetRegressor:
        settings = self._settings_of_net()
        if train_split is not None:
            settings["callbacks"].append(EpochScoring(make_scorer(mean_absolute_error), name="valid_mae"))
        net = _Net(
            LevelNet(len(self.band_mean_), self.attention, self.attention_width),
            criterion=_LOSSES[self.loss],
            iterator_train__drop_last=n_samples % int(self.batch_size) == 1,  # nothing can be normalized over one image
            iterator_valid__batch_size=64,
            optimizer__fused=True,  # 21 million weights: a third of a step's time else goes into their update
            train_split=train_split,
            **settings,
        )
        return net.initialize()


class _Net(MixedPrecision, NeuralNetRegressor):
    pass


def _images(X) -> np.ndarray:
    X = np.asarray(X, dtype=np.float32)
    if X.ndim != 4 or not X.size:
        raise LevelError(f"images of shape {X.shape} found, (n_dates, n_bands, rows, cols) expected.")
    if not np.isfinite(X).all():
        raise LevelError("images with NaN or infinite values found, finite numbers expected. Drop these dates.")
    return X
