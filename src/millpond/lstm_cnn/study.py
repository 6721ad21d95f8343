"""The LSTM-CNN study's archived runs: digits, tissue, and patches of a satellite image."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from millpond.experiment import run_grids
from millpond.lstm_cnn.classifier import SequenceClassifier
from millpond.lstm_cnn.datasets import (
    LabelledImages,
    load_digits,
    load_idc,
    load_mnist,
    split_by_group,
    split_by_image,
)
from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.evaluation import best_threshold, encode_doubts, tissue_scores
from millpond.lstm_cnn.networks import NETWORKS, Sizes, n_parameters, sizes_of_equal_count
from millpond.lstm_cnn.patches import read_patches, shuffle_pixels

PROFILES = ("quick", "full")

EQUALS = ("layers", "count")
"""What "identical parameters" means: layers of the same sizes, or as many parameters as the LSTM-CNN."""

ORDERS = ("rows", "columns", "permuted rows")
"""What the sequence is; the permutation is one and the same for all images."""

SPLITS = ("by patch", "by patient")

FOREST = "random forest"

EPOCHS = {None: 8, "affine": 12}
"""Of the runs on MNIST, without and with augmentation."""

TISSUE_EPOCHS = 12

_BATCH = {"mnist": 128, "digits": 32}
_N_VALIDATION = {"mnist": 5_000, "digits": 144}


def run(profile: str, store: Path, **options) -> dict[str, pd.DataFrame]:
    """Run or resume.

    Parameters
    ----------
    profile : "quick" or "full"
        `quick` takes the bundled digits and three seeds, `full` MNIST and the histology patches of the data root.
    store : path
        Folder for the archives: `digits`, or those of `full_grids`.
    **options
        As of `millpond.experiment.run_grids`.

    Returns
    -------
    dict of archive name to DataFrame
    """
    if profile not in PROFILES:
        raise ClassificationError(f"profile {profile!r} found, one of {', '.join(PROFILES)} expected.")
    on_digits = [{"images": "digits", "network": name, "max_epochs": 20} for name in NETWORKS]
    grids = {"digits": (classify_digits, on_digits, 3, "Networks of the study on scikit-learn's digits")}
    return run_grids(grids if profile == "quick" else full_grids(), store, **options)


def full_grids() -> dict[str, tuple]:
    """What is planned, by archive: function, cases, number of seeds, and what it is, in words; decisions first."""
    mnist, affine = {"images": "mnist"}, {"augmentation": "affine", "max_epochs": EPOCHS["affine"]}
    on_validation = {"tested": False}
    return {
        "mnist_decisions": (
            classify_digits,
            [
                mnist | on_validation | {"network": "lstm-cnn"} | choice
                for choice in ({}, {"dropout": 0.5}, {"augmentation": "affine"}, affine)
            ],
            1,
            "Choices on the validation part of MNIST",
        ),
        "tissue_decisions": (
            classify_tissue,
            [
                {"network": "lstm-cnn", "split": "by patient", "max_epochs": n, "augmentation": name} | on_validation
                for n in (12, 24)
                for name in (None, "dihedral")
            ],
            1,
            "Choices on validation patients",
        ),
        "mnist": (
            classify_digits,
            [mnist | {"network": name} for name in ("lstm-cnn", "cnn-lstm", "lstm", "cnn")],
            5,
            "Networks of equal layers on MNIST",
        ),
        "tissue": (
            classify_tissue,
            [
                {"split": split, "network": name, "augmentation": "dihedral"} | equal
                for split in SPLITS
                for name, equal in (
                    ("lstm-cnn", {}),
                    ("lstm", {}),
                    ("cnn", {}),
                    ("cnn", {"equal": "count"}),
                    ("cnn-2d", {"equal": "count"}),
                )
            ],
            5,
            "Networks on histology patches, split by patch and by patient",
        ),
        "mnist_augmented": (
            classify_digits,
            [mnist | affine | {"network": name} for name in ("lstm-cnn", "lstm-cnn-3")],
            5,
            "Networks on MNIST with augmentation",
        ),
        "mnist_counts": (
            classify_digits,
            [mnist | {"network": name, "equal": "count"} for name in ("cnn-lstm", "lstm", "cnn", "cnn-2d")],
            3,
            "Networks of equal parameter counts on MNIST",
        ),
        "mnist_order": (
            classify_digits,
            [
                mnist | {"network": name, "order": order}
                for order in ("columns", "permuted rows")
                for name in ("lstm-cnn", "lstm", "cnn")
            ],
            3,
            "Columns, and rows in another order, as the sequence",
        ),
        "patches": (
            classify_patches,
            [
                {"split": split, "pixels": pixels, "network": name, "equal": equal}
                for split in ("by patch", "by block")
                for pixels in ("in place", "shuffled")
                for name, equal in (("lstm-cnn", "layers"), ("cnn", "count"), ("cnn-2d", "count"), (FOREST, "layers"))
            ],
            5,
            "Land use of patches of a satellite image",
        ),
        "mnist_deep": (
            classify_digits,
            [mnist | {"network": "lstm-cnn-3"}],
            3,
            "Three hybrids on top of each other on MNIST, without augmentation",
        ),
    }


def classify_digits(
    images: str,
    network: str,
    seed: int,
    *,
    equal: str = "layers",
    order: str = "rows",
    augmentation: str | None = None,
    max_epochs: int = 8,
    dropout: float = 0.3,
    tested: bool = True,
) -> list[dict]:
    """Train a network on handwritten digits, watch it on a validation part, and test it once.

    Parameters
    ----------
    images : "mnist" or "digits"
    network : str
        One of `millpond.lstm_cnn.networks.NETWORKS` or `OPPONENTS`.
    seed : int
        Of the validation part, the weights and the order of the samples.
    equal : str
        One of `EQUALS`.
    order : str
        One of `ORDERS`.
    augmentation, max_epochs, dropout
        As in `SequenceClassifier`.
    tested : bool
        Whether the test images are looked at; not while choosing.

    Returns
    -------
    list of dict
        An epoch a row: `epoch`, `steps` (of the optimizer), `train_loss`, `train_acc`, `valid_loss`, `valid_acc`. The
        last one has in addition `parameters`, `fit_seconds`, and if tested, `train_accuracy` (without dropout, of all
        images that train or validate), `test_accuracy`, `test_loss`, and `doubts` (of `encode_doubts`).
    """
    train, test = _digits(images)
    shown, hidden = (_in_order(data.images, order) for data in (train, test))
    fitted = SequenceClassifier(
        network,
        **_sizes(network, shown.shape[1:], len(train.classes), equal, dropout),
        sequence="columns" if order == "columns" else "rows",
        augmentation=augmentation,
        max_epochs=max_epochs,
        batch_size=_BATCH[images],
        validation_size=_N_VALIDATION[images] / len(train),
        random_state=seed,
    ).fit(shown, train.labels)
    rows = _epochs(fitted)
    if tested:
        probabilities = fitted.predict_proba(hidden)
        rows[-1] |= {
            "train_accuracy": float(fitted.score(shown, train.labels)),
            "test_accuracy": accuracy_score(test.labels, probabilities.argmax(axis=1)),
            "test_loss": log_loss(test.labels, probabilities),
            "doubts": encode_doubts(probabilities, test.labels),
        }
    return rows


def classify_tissue(
    network: str,
    split: str,
    seed: int,
    *,
    equal: str = "layers",
    augmentation: str | None = None,
    max_epochs: int = TISSUE_EPOCHS,
    tested: bool = True,
) -> list[dict]:
    """Train a network on histology patches, watch it on a validation part, and test it once.

    Three fifths of the patients (or patches) train, one fifth is for validation, one for the test.

    Parameters
    ----------
    network : str
    split : str
        One of `SPLITS`.
    seed : int
        Of the split, the weights and the order of the samples.
    equal, augmentation, max_epochs
        As in `classify_digits`.
    tested : bool
        Whether scores come from the test part; if not, from the validation part.

    Returns
    -------
    list of dict
        Rows as those of `classify_digits`. The last one has `parameters`, `fit_seconds`, `train_accuracy`,
        `n_all`, `n_all_patients`, `n_padded` of the data set; `n_patients`, `n_patches`, `positive_rate` of the part
        that is scored, and `tissue_scores`.
    """
    data = load_idc()
    train, valid, outside = tissue_parts(data, split, seed)
    fitted = SequenceClassifier(
        network,
        **_sizes(network, data.images.shape[1:], len(data.classes), equal, Sizes.dropout),
        augmentation=augmentation,
        max_epochs=max_epochs,
        random_state=seed,
    ).fit(data.images[train], data.labels[train], validation=(data.images[valid], data.labels[valid]))
    rows = _epochs(fitted)
    scored = outside if tested else valid
    threshold = best_threshold(data.labels[valid], fitted.predict_proba(data.images[valid])[:, 1])
    positive = fitted.predict_proba(data.images[scored])[:, 1]
    rows[-1] |= {
        "train_accuracy": float(fitted.score(data.images[train], data.labels[train])),
        "n_all": len(data),
        "n_all_patients": len(np.unique(data.groups)),
        "n_padded": data.n_padded,
        "n_patients": len(np.unique(data.groups[scored])),
        "n_patches": len(scored),
        "positive_rate": float(data.labels[scored].mean()),
    }
    rows[-1] |= tissue_scores(data.labels[scored], positive, data.groups[scored], threshold, seed)
    return rows


def classify_patches(network: str, split: str, seed: int, *, equal: str = "layers", pixels: str = "in place") -> dict:
    """Train on patches of the German satellite image, and test on one of four folds.

    Parameters
    ----------
    network : str
        As in `classify_digits`, or `FOREST`: a random forest on mean and standard deviation of each band.
    split : str
        "by block": `read_patches` keeps the folds apart. "by patch": as many patches of the same, drawn at random.
    seed : int
        Of the split and the model.
    equal : str
        One of `EQUALS`.
    pixels : str
        "in place", or "shuffled" within each patch (`millpond.lstm_cnn.patches.shuffle_pixels`).

    Returns
    -------
    dict
        `n_train`, `n_test`, `majority_rate`, `train_accuracy`, `accuracy`, `balanced_accuracy`, and
        `balanced_accuracy_turned`, with each test patch turned by 90 degrees.
    """
    data = read_patches(random_state=seed)
    images = shuffle_pixels(data.images, seed) if pixels == "shuffled" else data.images
    tested = data.groups == 0
    if split == "by block":
        train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    else:
        train, test = split_by_image(data.labels, tested.mean(), seed)
    if network == FOREST:
        model = make_pipeline(FunctionTransformer(_band_statistics), RandomForestClassifier(300, random_state=seed))
    else:
        sizes = _sizes(network, images.shape[1:], len(data.classes), equal, Sizes.dropout)
        model = SequenceClassifier(network, **sizes, max_epochs=30, batch_size=32, random_state=seed)
    model.fit(images[train], data.labels[train])
    predicted, turned = (model.predict(x) for x in (images[test], np.rot90(images[test], axes=(2, 3)).copy()))
    return {
        "n_train": len(train),
        "n_test": len(test),
        "majority_rate": float(np.bincount(data.labels[test]).max() / len(test)),
        "train_accuracy": float(model.score(images[train], data.labels[train])),
        "accuracy": accuracy_score(data.labels[test], predicted),
        "balanced_accuracy": balanced_accuracy_score(data.labels[test], predicted),
        "balanced_accuracy_turned": balanced_accuracy_score(data.labels[test], turned),
    }


@cache
def _digits(images: str) -> tuple[LabelledImages, LabelledImages]:
    """Images that train, and those that test."""
    if images == "mnist":
        return load_mnist("train"), load_mnist("test")
    data = load_digits()
    parts = train_test_split(np.arange(len(data)), test_size=0.2, stratify=data.labels, random_state=0)
    return tuple(LabelledImages(data.images[part], data.labels[part], data.classes) for part in parts)


def _in_order(images: np.ndarray, order: str) -> np.ndarray:
    if order != "permuted rows":
        return images
    return images[:, :, np.random.default_rng(0).permutation(images.shape[2])]


def tissue_parts(data: LabelledImages, split: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of three fifths that train, one for validation, one for the test."""
    inside, outside = _split(data, np.arange(len(data)), split, 0.2, seed)
    train, valid = _split(data, inside, split, 0.25, seed)
    return train, valid, outside


def _split(data: LabelledImages, among: np.ndarray, split: str, size: float, seed: int) -> list[np.ndarray]:
    labels = data.labels[among]
    if split == "by patient":
        parts = split_by_group(labels, data.groups[among], size, seed)
    else:
        parts = split_by_image(labels, size, seed)
    return [among[part] for part in parts]


def _band_statistics(images: np.ndarray) -> np.ndarray:
    return np.hstack([images.mean(axis=(2, 3)), images.std(axis=(2, 3))])


def _sizes(network: str, input_shape: tuple, n_classes: int, equal: str, dropout: float) -> dict:
    sizes = Sizes()
    if equal == "count":
        sizes = sizes_of_equal_count(network, input_shape, n_classes, like="lstm-cnn")
    return {"hidden": sizes.hidden, "filters": sizes.filters, "dropout": dropout}


def _epochs(fitted: SequenceClassifier) -> list[dict]:
    """History a row an epoch; the last one with what belongs to the whole."""
    names = ("train_loss", "train_acc", "valid_loss", "valid_acc")
    rows = [
        {"epoch": row["epoch"], "steps": row["epoch"] * fitted.steps_an_epoch_} | {k: float(row[k]) for k in names}
        for row in fitted.history_
    ]
    seconds = sum(row["dur"] for row in fitted.history_)
    rows[-1] |= {"parameters": n_parameters(fitted.network_), "fit_seconds": round(seconds, 2)}
    return rows
