"""U-Nets that take digital numbers: the normalization is their first layer, so that it can't be lost or mixed up.

`LandCoverSegmenter` gives each pixel a class; `millpond.normalization.delineation` finds fields with the same network.
Everything but input normalization is held equal: with one seed, networks start with the same weights and see the same
samples in the same order whatever their normalization is.
"""

import copy
import json
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from millpond.augmentation import dihedral, divisor
from millpond.files import write_text
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import as_digital_numbers
from millpond.normalization.module import NormalizationModule
from millpond.normalization.parcel_metrics import accuracy, confusion_counts, iou, mcc
from millpond.normalization.targets import UNLABELLED, with_unlabelled
from millpond.normalization.transforms import Normalization
from millpond.training import Batches, MixedPrecision, TorchEstimator, save_weights, seeded

STRIDE = 32
"""A U-Net with five halvings sees its input on a grid of this many pixels."""

_AUGMENTATIONS = (None, "dihedral", "divisor", "dihedral+divisor")
_FORMAT = "millpond segmenter, version 1"
_NOT_SAVED = ("normalization", "checkpoint", "device", "progress")


class ReflectanceModule(nn.Module):
    """No normalization beforehand: reflectance, normalized by the network over each batch (Ioffe and Szegedy 2015).

    Parameters
    ----------
    n_bands : int
    """

    def __init__(self, n_bands: int):
        super().__init__()
        self.batch_norm = nn.BatchNorm2d(n_bands)

    def forward(self, dn: torch.Tensor) -> torch.Tensor:
        return self.batch_norm(dn.float() / 10_000)


class SegmentationNet(nn.Module):
    """Digital numbers to one or more values a pixel.

    Parameters
    ----------
    n_bands, n_outputs : int
    encoder : str
        A name of segmentation-models-pytorch, without pretrained weights.
    table : (n_bands, 65536) float32 array, optional
        `Normalization.table`; without one `ReflectanceModule` comes first.
    """

    def __init__(self, n_bands: int, n_outputs: int, encoder: str = "resnet18", table: np.ndarray | None = None):
        super().__init__()
        # Of the two layers only this one draws random numbers, so the first can't change the weights of the second.
        unet = smp.Unet(encoder, encoder_weights=None, in_channels=n_bands, classes=n_outputs)
        self.unet = unet.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
        self.first = ReflectanceModule(n_bands) if table is None else NormalizationModule(table)

    def forward(self, dn: torch.Tensor) -> torch.Tensor:
        """(n, n_bands, rows, cols) digital numbers to (n, n_outputs, rows, cols); any number of rows and columns."""
        rows, cols = dn.shape[2:]
        values = self.first(dn)
        if rows % STRIDE or cols % STRIDE:
            values = functional.pad(values, (0, -cols % STRIDE, 0, -rows % STRIDE), mode="replicate")
        return self.unet(values)[..., :rows, :cols]


class PixelMetrics(Callback):
    """Judge each epoch on the validation samples: IoU, accuracy and MCC from counts over all batches."""

    def __init__(self, compare):
        self.compare = compare

    def on_epoch_begin(self, net, **kwargs) -> None:
        self.counts_ = {}

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs) -> None:
        if not training:
            add_counts(self.counts_, self.compare(y_pred, batch[1]))

    def on_epoch_end(self, net, **kwargs) -> None:
        for name, value in scores(self.counts_).items():
            net.history.record(f"valid_{name}", value)


def add_counts(total: dict, counts: dict) -> None:
    """Add counts of confusion to a total, name by name."""
    for name, more in counts.items():
        total[name] = total.get(name, 0) + more


def scores(counts: dict[str, np.ndarray]) -> dict[str, float]:
    """IoU, accuracy and MCC of each layer; the IoU of what the layer shows, or the mean over the classes that occur."""
    result = {}
    for layer, confusion in counts.items():
        each = iou(confusion)
        judged = each[~np.isnan(each)] if layer == "class" else each[1:]
        result[f"{layer}_iou"] = float(judged.mean()) if len(judged) else float("nan")
        result[f"{layer}_acc"] = accuracy(confusion)
        result[f"{layer}_mcc"] = mcc(confusion)
    return result


class Segmenter(TorchEstimator):
    """What both segmenters share. A subclass says what its targets, its loss and its predictions are.

    Parameters
    ----------
    normalization : Normalization, optional
        Fitted on the training images; becomes the first layer. None: reflectance and batch normalization of the input.
    encoder : str
        As segmentation-models-pytorch names them; always with random weights.
    augmentation : None, "dihedral", "divisor" or "dihedral+divisor"
        Turn and mirror training images and what belongs to them, make them brighter or darker, or both
        (`millpond.augmentation`).
    max_epochs, batch_size : int
    learning_rate : float
        The highest of the cycle.
    weight_decay : float
    patience : int, optional
        Stop after this many epochs in which the validation loss hasn't fallen; never where not stated.
    checkpoint : path, optional
        File that is written after each epoch. A fit that finds one of the same settings and samples goes on from there,
        to the same result.
    device : str
        "auto", or a name that torch knows. On a GPU the arithmetic is in mixed precision.
    random_state : int
    progress : bool
        Show bars on stderr, if it is a terminal.

    Attributes
    ----------
    n_bands_ : int
    network_ : SegmentationNet
    history_ : list of dict
        An epoch a row: `epoch`, `train_loss`, `dur`, and with validation samples `valid_loss` and the entries of
        `evaluate`, each with `valid_` before its name.
    """

    def __init__(
        self,
        normalization=None,
        encoder="resnet18",
        augmentation=None,
        max_epochs=4,
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.01,
        patience=None,
        checkpoint=None,
        device="auto",
        random_state=0,
        progress=False,
    ):
        self.normalization = normalization
        self.encoder = encoder
        self.augmentation = augmentation
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, dn, labels, *, validation=None):
        """Train.

        Parameters
        ----------
        dn : (n, n_bands, rows, cols) array of uint16
            Digital numbers, all with the radiometric offset that the normalization was fitted on. Masked ones count
            nowhere.
        labels : (n, rows, cols) array of integers
            Numbers of parcels or classes; -1 where nothing is known: such pixels count nowhere. Pixels without data
            are best labelled so.
        validation : (dn, labels), optional
            Samples for the history and early stopping.

        Raises
        ------
        NormalizationError
            If shapes or types don't fit, no pixel is labelled, or a setting is out of its range.
        TrainingError
            If the checkpoint is of another run.
        """
        self._check_settings(validation is not None)
        dn, labels = self._samples(dn, labels, None)
        self.n_bands_ = dn.shape[1]
        self._check_batches(dn)
        self._learn_classes(labels)
        samples, split = (dn, labels), None
        if validation is not None:
            valid = self._samples(*validation, self.n_bands_, "validation samples")
            samples, split = samples + valid, predefined_split(Batches(valid[0], self._targets(valid[1])))
        with seeded(self.random_state):
            net = self._net(split, len(dn) if _is_one_value(dn) else 0)
            self._train(net, dn, self._targets(labels), samples)
        self._calibrate(dn, labels)
        return self

    def renormalized(self, normalization: Normalization) -> "Segmenter":
        """The same network behind another normalization of the same bands; this one stays as it is.

        Raises
        ------
        NormalizationError
            If the network normalizes by batches, or the bands differ.
        """
        check_is_fitted(self)
        if self.normalization is None or normalization.bands != self.normalization.bands:
            found = "batch normalization" if self.normalization is None else ", ".join(self.normalization.bands)
            raise NormalizationError(
                f"a network for {found} found, one with a normalization of {', '.join(normalization.bands)} expected. "
                "Train it with one."
            )
        other = copy.deepcopy(self)
        other.normalization = normalization
        other.network_.first.table.copy_(torch.as_tensor(normalization.table))
        return other

    def adapted(self, dn) -> "Segmenter":
        """The same weights, with the statistics of batch normalization taken anew from images.

        Labels aren't needed. For images of another kind (Li et al. 2018, doi:10.1016/j.patcog.2018.03.005), and for
        training images after few steps, when the running statistics still remember where they began. Images are taken
        in their order and as they are, without augmentation; each batch counts alike.

        Parameters
        ----------
        dn : (n, n_bands, rows, cols) array of uint16

        Raises
        ------
        NormalizationError
            If shape or type don't fit, or a single image is too small to have statistics.
        """
        check_is_fitted(self)
        dn = self._images(dn, self.n_bands_)
        batches = self._batches_with_spread(dn)
        other = copy.deepcopy(self)
        update_bn(map(torch.as_tensor, batches), other.network_, device=other.net_.device)
        other.network_.eval()
        return other

    def predict_proba(self, dn):
        """(n, n_outputs, rows, cols) float32 in 0..1, in batches: memory doesn't grow with n but for the result.

        NaN where `dn` is masked in any band.
        """
        check_is_fitted(self)
        masked = np.ma.getmaskarray(dn).any(axis=1) if np.ma.is_masked(dn) else None
        dn = self._images(dn, self.n_bands_)
        probabilities = np.empty((len(dn), self._n_outputs(), *dn.shape[2:]), np.float32)
        done = 0
        for outputs in self.net_.forward_iter(dn):
            probabilities[done : done + len(outputs)] = self._to_probabilities(outputs)
            done += len(outputs)
        if masked is not None:
            probabilities[np.broadcast_to(masked[:, None], probabilities.shape)] = np.nan
        return probabilities

    def evaluate(self, dn, labels) -> dict[str, float]:
        """IoU, accuracy and MCC over all labelled pixels, in batches."""
        check_is_fitted(self)
        dn, labels = self._samples(dn, labels, self.n_bands_)
        counts = {}
        for batch in self.net_.get_iterator(Batches(dn, self._targets(labels))):
            add_counts(counts, self._compare(self.net_.evaluation_step(batch), batch[1]))
        return scores(counts)

    def save(self, folder: str | Path) -> None:
        """Write a folder: weights (safetensors), settings and the normalization (JSON); nothing is pickled.

        An older model in the folder is replaced; if that breaks off, neither is loaded.

        Raises
        ------
        NormalizationError, TrainingError
            If a file can't be written.
        """
        check_is_fitted(self)
        folder = Path(folder)
        try:
            folder.mkdir(exist_ok=True)
            # Without this file nothing is loaded. It goes first and comes last, so that an old model's files never
            # pass for a part of this one.
            (folder / "segmenter.json").unlink(missing_ok=True)
            (folder / "normalization.json").unlink(missing_ok=True)
        except OSError as refusal:
            raise NormalizationError(
                f"{folder}: no folder made ({refusal.strerror}), a new name in an existing folder expected. Check the "
                "path."
            ) from None
        settings = {name: value for name, value in self.get_params().items() if name not in _NOT_SAVED}
        about = {"format": _FORMAT, "kind": type(self).__name__, "normalized": self.normalization is not None}
        if self.normalization is not None:
            self.normalization.save(folder / "normalization.json")
        about |= {"settings": settings, "fitted": self._fitted()}
        save_weights(self.network_, folder / "weights.safetensors", {})
        write_text(
            folder / "segmenter.json", json.dumps(about, indent=1, default=np.generic.item) + "\n", NormalizationError
        )

    @classmethod
    def load(cls, folder: str | Path) -> "Segmenter":
        """Read what `save` wrote.

        Raises
        ------
        NormalizationError, TrainingError
            If a file is missing, damaged or of something else, or weights and normalization don't belong together.
        """
        path = Path(folder) / "segmenter.json"
        try:
            about = json.loads(path.read_text())
            if about["format"] != _FORMAT or about["kind"] != cls.__name__:
                raise ValueError(f"{about['kind']}, {about['format']}")
            segmenter = cls(**about["settings"])
            fitted, normalized = dict(about["fitted"]), about["normalized"]
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise NormalizationError(
                f"{path}: no saved {cls.__name__} found ({error}), a folder as {cls.__name__}.save writes it expected. "
                "Check the path."
            ) from error
        if normalized:
            segmenter.normalization = Normalization.load(Path(folder) / "normalization.json")

        def build(loaded: Segmenter, _: dict) -> NeuralNet:
            vars(loaded).update({name: fitted[name] for name in loaded._fitted_names})
            return loaded._net(None)

        segmenter._load(Path(folder) / "weights.safetensors", build)
        if normalized and not np.array_equal(segmenter.network_.first.table.cpu(), segmenter.normalization.table):
            raise NormalizationError(
                f"{folder}: weights of a network with another normalization found, those trained with "
                f"normalization.json expected. Save the {cls.__name__} again."
            )
        return segmenter

    _fitted_names = ("n_bands_",)

    def _fitted(self) -> dict:
        return {name: getattr(self, name) for name in self._fitted_names}

    def _learn_classes(self, labels: np.ndarray) -> None:
        """Take what the network needs to know from the training labels."""

    def _calibrate(self, dn: np.ndarray, labels: np.ndarray) -> None:
        """Choose on the training samples how the trained network's probabilities are read."""

    def _changed(self, batch):
        X, y = batch
        if self.augmentation is None:
            return X, y
        if "divisor" in self.augmentation:
            X = divisor(X).to(torch.int32)
        if "dihedral" not in self.augmentation:
            return X, y
        layers = y if y.ndim == 4 else y[:, None]
        # One tensor, so that a target turns as its image does; float32 holds every digital number and label exactly.
        both = dihedral(torch.cat([X.float(), layers.float()], dim=1))
        X, layers = both[:, : X.shape[1]].to(torch.int32), both[:, X.shape[1] :]
        return X, layers if y.ndim == 4 else layers[:, 0].to(y.dtype)

    def _net(self, train_split, n_samples: int = 0) -> NeuralNet:
        settings = self._settings_of_net()
        if train_split is not None:
            settings["callbacks"].insert(0, PixelMetrics(self._compare))
        table = None if self.normalization is None else self.normalization.table
        try:
            module = SegmentationNet(self.n_bands_, self._n_outputs(), self.encoder, table)
        except (KeyError, RuntimeError):  # the latter is what timm raises, for names that begin with tu-
            raise NormalizationError(
                f"encoder={self.encoder!r} found, a name of segmentation_models_pytorch.encoders expected, such as "
                "resnet18."
            ) from None
        net = _Net(
            module,
            criterion=self._criterion,
            iterator_train__drop_last=n_samples % int(self.batch_size) == 1,  # see _check_batches
            optimizer__fused=True,
            train_split=train_split,
            **settings,
        )
        return net.initialize()

    def _images(self, dn, n_bands: int | None, what: str = "digital numbers") -> np.ndarray:
        dn = np.ma.filled(as_digital_numbers(dn), 0)
        if self.normalization is not None:
            n_bands = len(self.normalization.bands)
        if dn.ndim != 4 or not dn.size or n_bands not in (None, dn.shape[1]):
            raise NormalizationError(
                f"{what} of shape {dn.shape} found, (n, {n_bands or 'n_bands'}, rows, cols) with one image or more "
                "expected. Choose and order the bands as they were fitted."
            )
        # torch warns of read-only memory, and sums in another order where pixels lie in another
        return np.require(dn, requirements=["C", "W"])

    def _samples(self, dn, labels, n_bands: int | None, what: str = "samples") -> tuple[np.ndarray, np.ndarray]:
        masked = np.ma.getmaskarray(dn).any(axis=1) if np.ma.is_masked(dn) else None
        dn, labels = self._images(dn, n_bands, what), with_unlabelled(labels)
        if labels.shape != (len(dn), *dn.shape[2:]) or not np.issubdtype(labels.dtype, np.integer):
            raise NormalizationError(
                f"{what} with labels of shape {labels.shape} and type {labels.dtype} for images of shape {dn.shape} "
                f"found, integers of shape {(len(dn), *dn.shape[2:])} expected: one a pixel."
            )
        if masked is not None:
            labels = np.where(masked, UNLABELLED, labels)
        if labels.min() < UNLABELLED or not (labels != UNLABELLED).any():
            raise NormalizationError(
                f"{what} with labels from {labels.min()} to {labels.max()} found, labels of 0 or more on some pixels "
                "and -1 on those without expected. Leave out what isn't labelled at all."
            )
        return dn, labels

    def _check_settings(self, has_validation: bool) -> None:
        more = {
            "normalization": (Normalization | None, lambda _: True, "None or what fit_normalization returns"),
            "augmentation": (str | None, lambda name: name in _AUGMENTATIONS, f"one of {_AUGMENTATIONS}"),
        }
        self._check_ranges(NormalizationError, more)
        if self.patience is not None and not has_validation:
            raise NormalizationError("patience without validation samples found. Pass validation=(dn, labels).")

    def _check_batches(self, dn: np.ndarray) -> None:
        """Refuse what can't be trained on."""
        if "dihedral" in (self.augmentation or "") and dn.shape[2] != dn.shape[3]:
            raise NormalizationError(
                f"images of {dn.shape[2]} x {dn.shape[3]} pixels found, square ones expected by dihedral augmentation. "
                "Cut them."
            )
        if _is_one_value(dn) and min(len(dn), self.batch_size) < 2:
            raise NormalizationError(
                f"{len(dn)} images of {dn.shape[2]} x {dn.shape[3]} pixels in batches of {self.batch_size} found, two "
                f"or more in each expected where none has more than {STRIDE} rows or columns. Cut larger ones."
            )

    def _batches_with_spread(self, dn: np.ndarray) -> list[np.ndarray]:
        """Images in batches, in their order; a last image that has no spread by itself goes with those before it."""
        begins = list(range(0, len(dn), int(self.batch_size)))
        if _is_one_value(dn):
            if len(dn) < 2:
                raise NormalizationError(
                    f"one image of {dn.shape[2]} x {dn.shape[3]} pixels found, two or more expected where none has "
                    f"more than {STRIDE} rows or columns. Pass more images, or larger ones."
                )
            begins = list(range(0, len(dn), max(2, int(self.batch_size))))
            if len(dn) - begins[-1] == 1:
                begins.pop()
        return np.split(dn, begins[1:])


class ClassLoss(nn.Module):
    """Mean cross-entropy over the labelled pixels; 0 where a batch has none."""

    def forward(self, outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        total = functional.cross_entropy(outputs, classes.long(), ignore_index=UNLABELLED, reduction="sum")
        return total / (classes != UNLABELLED).sum().clamp(min=1)


class LandCoverSegmenter(Segmenter):
    """Give each pixel a land-cover class: a U-Net trained on cross-entropy over the labelled pixels.

    Labels are numbers of classes from 0 on, -1 where nothing is known. `evaluate` gives `class_iou` (mean over the
    classes that occur), `class_acc` and `class_mcc`. Parameters and attributes are those of `Segmenter`, and:

    Attributes
    ----------
    classes_ : list of int
        Those of the training labels, in the order of the network's outputs.
    """

    _criterion = ClassLoss
    _fitted_names = ("n_bands_", "classes_")

    def predict(self, dn):
        """(n, rows, cols) int32 classes, -1 where `dn` is masked in any band."""
        probabilities = self.predict_proba(dn)
        classes = np.asarray(self.classes_, np.int32)[probabilities.argmax(axis=1)]
        return np.where(np.isnan(probabilities[:, 0]), UNLABELLED, classes)

    def score(self, dn, labels) -> float:
        """Matthews correlation coefficient of the classes."""
        return self.evaluate(dn, labels)["class_mcc"]

    def _learn_classes(self, labels: np.ndarray) -> None:
        self.classes_ = np.unique(labels[labels != UNLABELLED]).tolist()
        if len(self.classes_) < 2:
            raise NormalizationError(f"one class ({self.classes_[0]}) found, two or more expected. Add other labels.")

    def _n_outputs(self) -> int:
        return len(self.classes_)

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        """(n, rows, cols) int16: which output each pixel belongs to."""
        new = np.setdiff1d(labels, [UNLABELLED, *self.classes_])
        if len(new):
            raise NormalizationError(
                f"classes {new.tolist()} found, {self.classes_} as in the training expected. Set their pixels to "
                f"{UNLABELLED}."
            )
        index = np.searchsorted(self.classes_, labels)
        return np.where(labels == UNLABELLED, UNLABELLED, index).astype(np.int16)

    def _to_probabilities(self, outputs: torch.Tensor) -> np.ndarray:
        return outputs.softmax(dim=1).numpy()

    def _compare(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
        predicted = outputs.argmax(dim=1).cpu().numpy()
        return {"class": confusion_counts(target.cpu().numpy(), predicted, len(self.classes_))}


class _Net(MixedPrecision, NeuralNet):
    pass


def _is_one_value(dn: np.ndarray) -> bool:
    """Whether each image is one value deep inside the network, which has no spread to be normalized by."""
    return max(dn.shape[2:]) <= STRIDE
