"""The study's networks as a scikit-learn classifier."""

import math
from numbers import Real
from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from skorch.helper import predefined_split
from torch import nn

from millpond.augmentation import AUGMENTATIONS
from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.networks import Sizes, build_network
from millpond.training import Batches, MixedPrecision, TorchEstimator, save_weights, seeded


class SequenceClassifier(ClassifierMixin, TorchEstimator):
    """Classify images that are read as a sequence of their rows.

    Trained with AdamW, a one-cycle learning rate and cross-entropy; the study names none of these.

    Parameters
    ----------
    network : str
        A name of `millpond.lstm_cnn.NETWORKS`.
    hidden, filters, kernel, dropout
        As in `millpond.lstm_cnn.networks.Sizes`.
    sequence : "rows" or "columns"
    augmentation : str, optional
        How training images are changed at random: a name of `millpond.augmentation.AUGMENTATIONS`.
    max_epochs, batch_size : int
    learning_rate : float
        The highest of the cycle.
    weight_decay : float
    validation_size : float
        Share of the training samples that is set aside, stratified by class, for the history and early stopping.
    patience : int, optional
        Stop after this many epochs in which the loss on what was set aside hasn't fallen, with the weights of the last
        one; never where not stated.
    checkpoint : path, optional
        File that is written after each epoch. A fit that finds one of the same settings and samples goes on from there,
        to the same result.
    device : str
        "auto", or a name that torch knows. On a GPU the arithmetic is in mixed precision.
    random_state : int
        The same one gives the same weights on the same machine with the same number of threads.
    progress : bool
        Show a bar on stderr, if it is a terminal.

    Attributes
    ----------
    classes_ : (n_classes,) array
    network_ : torch.nn.Module
    steps_an_epoch_ : int
        Of the optimizer.
    history_ : list of dict
        An epoch a row: `epoch`, `train_loss`, `train_acc`, `dur`, and `valid_loss`, `valid_acc` if there are validation
        samples. What is said of training is the mean over the epoch's batches, with dropout, as they went by.
    """

    def __init__(
        self,
        network="lstm-cnn",
        hidden=128,
        filters=64,
        kernel=3,
        dropout=0.3,
        sequence="rows",
        augmentation=None,
        max_epochs=8,
        batch_size=128,
        learning_rate=3e-3,
        weight_decay=0.01,
        validation_size=0.0,
        patience=None,
        checkpoint=None,
        device="auto",
        random_state=0,
        progress=False,
    ):
        self.network = network
        self.hidden = hidden
        self.filters = filters
        self.kernel = kernel
        self.dropout = dropout
        self.sequence = sequence
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

    def fit(self, X, y, *, validation=None):
        """Train.

        Parameters
        ----------
        X : (n, channels, rows, cols) array
            uint8, which is scaled to 0..1, or float, on one scale for training and prediction.
        y : (n,) array
        validation : (X, y), optional
            Samples for the history and early stopping, in place of `validation_size`; of other patients, say.

        Raises
        ------
        ClassificationError
            If shapes don't fit, there are fewer than two classes, or a setting is out of its range.
        TrainingError
            If the checkpoint is of another run.
        """
        X, y = _labelled(X, y)
        self._check_settings(X, validation is not None)
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ClassificationError(f"{len(self.classes_)} class found, two or more expected. Add images of another.")
        held_out = ()
        if validation is not None:
            X_valid, y_valid = _labelled(*validation)
            if X_valid.shape[1:] != X.shape[1:] or not np.isin(y_valid, self.classes_).all():
                raise ClassificationError(
                    f"validation samples of shape {X_valid.shape[1:]} with classes {np.unique(y_valid).tolist()} "
                    f"found, {X.shape[1:]} and {self.classes_.tolist()} as in the training expected."
                )
            held_out = X_valid, np.searchsorted(self.classes_, y_valid)
        elif self.validation_size > 0:
            try:
                X, X_valid, target, y_valid = train_test_split(
                    X, target, test_size=self.validation_size, stratify=target, random_state=self.random_state
                )
            except ValueError as refusal:
                raise ClassificationError(
                    f"validation_size={self.validation_size} of {len(X)} images found, which leaves a class out "
                    f"({refusal}). Add images, or choose another share."
                ) from None
            held_out = X_valid, y_valid
        self.steps_an_epoch_ = math.ceil(len(X) / self.batch_size)
        with seeded(self.random_state):
            self.input_shape_ = X.shape[1:]
            net = self._net(predefined_split(Batches(*held_out)) if held_out else None)
            self._train(net, X, target, (X, target, *held_out))
        return self

    def predict_proba(self, X):
        """(n, n_classes) probabilities, in batches: memory doesn't grow with n but for the result."""
        check_is_fitted(self)
        X = _images(X)
        if X.shape[1:] != self.input_shape_:
            raise ClassificationError(
                f"images of shape {X.shape[1:]} found, {self.input_shape_} as in the training expected. Resize them."
            )
        return self.net_.predict_proba(X)

    def predict(self, X):
        """(n,) classes."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def save(self, path: str | Path) -> None:
        """Write the weights as safetensors, with classes and shape; `load` needs a classifier of the same settings."""
        check_is_fitted(self)
        save_weights(self.network_, path, {"classes": self.classes_.tolist(), "input_shape": self.input_shape_})

    def load(self, path: str | Path) -> "SequenceClassifier":
        """Take over saved weights instead of fitting.

        Raises
        ------
        TrainingError
            If the file holds no weights of this network.
        """

        def build(classifier: SequenceClassifier, about: dict) -> NeuralNetClassifier:
            classifier.classes_, classifier.input_shape_ = np.array(about["classes"]), tuple(about["input_shape"])
            return classifier._net(None)

        self._load(path, build)
        return self

    def _net(self, train_split) -> NeuralNetClassifier:
        settings = self._settings_of_net()
        accuracy = EpochScoring("accuracy", name="train_acc", on_train=True, lower_is_better=False)
        settings["callbacks"].append(("train_acc", accuracy))
        sizes = Sizes(self.hidden, self.filters, self.kernel, self.dropout)
        net = _Net(
            build_network(self.network, self.input_shape_, len(self.classes_), sizes=sizes, sequence=self.sequence),
            criterion=nn.CrossEntropyLoss,
            iterator_valid__batch_size=1024,
            train_split=train_split,
            classes=np.arange(len(self.classes_)),
            **settings,
        )
        return net.initialize()

    def _check_settings(self, X: np.ndarray, has_validation: bool) -> None:
        more = {
            "validation_size": (Real, lambda share: 0 <= share < 1, "a share from 0 to below 1"),
            "dropout": (Real, lambda share: 0 <= share < 1, "a share from 0 to below 1"),
            "augmentation": (
                str | None,
                lambda name: name is None or name in AUGMENTATIONS,
                f"None or one of {', '.join(AUGMENTATIONS)}",
            ),
        }
        self._check_ranges(ClassificationError, more)
        if self.augmentation == "dihedral" and X.shape[2] != X.shape[3]:
            raise ClassificationError(
                f"images of {X.shape[2]} x {X.shape[3]} pixels found, square ones expected by dihedral augmentation. "
                "Crop them."
            )
        if self.patience is not None and not has_validation and not self.validation_size > 0:
            raise ClassificationError(
                "patience without a validation part found. Give a validation_size above 0, or validation samples."
            )


class _Net(MixedPrecision, NeuralNetClassifier):
    pass


def _labelled(X, y) -> tuple[np.ndarray, np.ndarray]:
    X, y = _images(X), np.asarray(y)
    if y.shape != (len(X),):
        raise ClassificationError(f"labels of shape {y.shape} for {len(X)} images found, one for each expected.")
    return X, y


def _images(X) -> np.ndarray:
    X = np.ascontiguousarray(X)  # torch takes no views that run backwards
    if X.ndim != 4 or not X.size:
        raise ClassificationError(
            f"images of shape {X.shape} found, (n, channels, rows, cols) expected. Add the axis of channels to grey "
            "images."
        )
    if X.dtype != np.uint8:
        if not np.issubdtype(X.dtype, np.floating):
            raise ClassificationError(
                f"images of {X.dtype} found, uint8 or float expected. Convert them, to uint8 if they are 0..255."
            )
        X = X.astype(np.float32)
        if not np.isfinite(X).all():
            raise ClassificationError(
                "images with NaN or infinite values found, finite numbers expected. Fill the gaps."
            )
    return X
