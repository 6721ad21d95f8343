"""The study's network as a scikit-learn regressor of water levels."""

from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetRegressor
from skorch.helper import predefined_split
from torch import nn

from millpond.augmentation import dihedral
from millpond.level.errors import LevelError
from millpond.level.network import LevelNet
from millpond.training import (
    Bar,
    Batches,
    Checkpoint,
    OneCycle,
    Patience,
    Seeds,
    as_batch,
    best_device,
    fingerprint,
    load_weights,
    resume,
    save_weights,
    seeded,
    train,
)

_SCALES = ("lowest_m_", "highest_m_", "band_mean_", "band_std_")


class LevelRegressor(RegressorMixin, BaseEstimator):
    """Read water levels off images with a ResNet-34, with or without attention.

    Levels are scaled to 0..1 by the lowest and the highest of the training, bands to mean 0 and standard deviation 1 by
    all its pixels. Trained with AdamW, a one-cycle learning rate and the squared error. The study states the learning
    rate, the number of epochs and the batch: `LevelRegressor(max_epochs=1500, batch_size=4, learning_rate=1e-4)`.

    Parameters
    ----------
    attention : None, "channel" or "channel-spatial"
        As in `millpond.level.network.LevelNet`.
    augmentation : str, optional
        How training images are changed at random. "dihedral" (`millpond.augmentation.dihedral`) keeps every area and
        every shore; "affine" doesn't, and is refused.
    max_epochs, batch_size : int
    learning_rate : float
        The highest of the cycle.
    weight_decay : float
    validation_size : float
        Share of the training dates that is set aside, for the history and early stopping.
    patience : int, optional
        Stop after this many epochs in which the loss on what was set aside hasn't fallen; never where not stated.
    checkpoint : path, optional
        File that is written after each epoch. A fit that finds one of the same settings and samples goes on from there,
        to the same result.
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
        An epoch a row: `epoch`, `train_loss`, `dur`, and `valid_loss` if there are validation dates.
    """

    def __init__(
        self,
        attention=None,
        augmentation=None,
        max_epochs=40,
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.01,
        validation_size=0.0,
        patience=None,
        checkpoint=None,
        device="auto",
        random_state=0,
        progress=False,
    ):
        self.attention = attention
        self.augmentation = augmentation
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_size = validation_size
        self.patience = patience
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X, y):
        """Train.

        Parameters
        ----------
        X : (n_dates, n_bands, rows, cols) array
            Reflectance, or backscatter in dB.
        y : (n_dates,) array
            Levels in metres.

        Raises
        ------
        LevelError
            If shapes don't fit, levels are constant or not finite, or a setting is out of its range.
        TrainingError
            If the checkpoint is of another run.
        """
        X, y = _images(X), np.asarray(y, dtype=np.float64)
        self._check(X, y)
        held_out = ()
        if self.validation_size > 0:
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
            if self.checkpoint is not None:
                settings = fingerprint(self, X, y, *held_out)
                resume(net, self.checkpoint, settings)
                net.callbacks_.append(("checkpoint", Checkpoint(self.checkpoint, settings)))
            if self.patience is not None:
                net.callbacks_.append(("patience", Patience(self.patience)))
            train(net, *self._scaled(X, y))
        self.net_ = net
        return self

    @property
    def network_(self) -> LevelNet:
        return self.net_.module_

    @property
    def history_(self) -> list[dict]:
        return [
            {name: row[name] for name in row if name == "epoch" or name == "dur" or name.endswith("_loss")}
            for row in self.net_.history
        ]

    def predict(self, X):
        """(n,) levels in metres; in batches, so that memory grows with the images alone."""
        check_is_fitted(self)
        X = _images(X)
        if X.shape[1] != len(self.band_mean_):
            raise LevelError(
                f"images of {X.shape[1]} bands found, {len(self.band_mean_)} as in the training expected. Read "
                "the same."
            )
        found = [self.net_.predict(self._scaled(X[i : i + 256])[0]) for i in range(0, len(X), 256)]
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
        with seeded(0):
            loaded = clone(self)

            def build(scales: dict) -> nn.Module:
                for name in _SCALES:
                    setattr(loaded, name, np.asarray(scales[name]) if name.startswith("band") else scales[name])
                loaded.net_ = loaded._net(None)
                return loaded.network_

            load_weights(build, path)
        for name in (*_SCALES, "net_"):
            setattr(self, name, getattr(loaded, name))
        return self

    def _scaled(self, X, y=None):
        mean, std = (v[:, None, None].astype(np.float32) for v in (self.band_mean_, self.band_std_))
        X = (X - mean) / std
        if y is None:
            return X, None
        return X, ((y - self.lowest_m_) / (self.highest_m_ - self.lowest_m_)).astype(np.float32)

    def _check(self, X: np.ndarray, y: np.ndarray) -> None:
        if y.shape != (len(X),):
            raise LevelError(f"levels of shape {y.shape} for {len(X)} images found, one for each expected.")
        if not np.isfinite(y).all():
            raise LevelError("NaN or infinite levels found, finite metres expected. Drop these dates.")
        if len(X) < 2 or self.batch_size < 2:
            raise LevelError(f"{len(X)} images in batches of {self.batch_size} found, two or more expected in each.")
        if not (isinstance(self.random_state, Integral) and self.random_state >= 0):
            raise LevelError(f"random_state={self.random_state!r} found, an integer of 0 or more expected.")
        if self.augmentation not in (None, "dihedral"):
            raise LevelError(f"augmentation={self.augmentation!r} found, None or dihedral expected.")
        if self.augmentation and X.shape[2] != X.shape[3]:
            raise LevelError(
                f"images of {X.shape[2]} x {X.shape[3]} pixels found, square ones expected by dihedral augmentation. "
                "Cut them."
            )
        if self.patience is not None and not self.validation_size > 0:
            raise LevelError("patience without validation dates found. Give a validation_size above 0.")

    def _changed(self, batch):
        X, y = batch
        return (X if self.augmentation is None else dihedral(X)), y

    def _net(self, train_split, n_samples: int = 0) -> NeuralNetRegressor:
        callbacks = [Seeds(self.random_state), OneCycle(float(self.learning_rate))]
        if self.progress:
            callbacks.append(Bar())
        net = _Net(
            LevelNet(len(self.band_mean_), self.attention),
            criterion=nn.MSELoss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=float(self.weight_decay),
            lr=float(self.learning_rate),
            max_epochs=int(self.max_epochs),
            batch_size=int(self.batch_size),
            dataset=Batches,
            iterator_train__shuffle=True,
            iterator_train__collate_fn=self._changed,
            iterator_train__drop_last=n_samples % int(self.batch_size) == 1,  # nothing can be normalized over one image
            iterator_valid__collate_fn=as_batch,
            iterator_valid__batch_size=64,
            train_split=train_split,
            callbacks=callbacks,
            callbacks__print_log=None,
            device=best_device() if self.device == "auto" else self.device,
        )
        return net.initialize()


class _Net(NeuralNetRegressor):
    """Mixed precision on a GPU."""

    def infer(self, x, **fit_params):
        with torch.autocast("cuda", torch.bfloat16, enabled=str(self.device).startswith("cuda")):
            return super().infer(x, **fit_params).float()


def _images(X) -> np.ndarray:
    X = np.asarray(X, dtype=np.float32)
    if X.ndim != 4 or not X.size:
        raise LevelError(f"images of shape {X.shape} found, (n_dates, n_bands, rows, cols) expected.")
    if not np.isfinite(X).all():
        raise LevelError("images with NaN or infinite values found, finite numbers expected. Drop these dates.")
    return X
