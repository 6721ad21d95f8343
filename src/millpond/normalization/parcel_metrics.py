"""How well fields are found: pixel by pixel, and parcel by parcel.

Pixels are judged by counts of confusion, which add up over batches and scenes. A map can have most pixels right and
still merge two fields into one, so parcels are judged as well.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from millpond.normalization.errors import NormalizationError
from millpond.normalization.targets import UNLABELLED, as_parcels, with_unlabelled


def confusion_counts(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count pixels by true and predicted class, as `sklearn.metrics.confusion_matrix` does.

    Parameters
    ----------
    truth, predicted : arrays of integers, of one shape
        Classes 0, 1, ...; pixels whose truth is negative, or that are masked, are left out.

    Returns
    -------
    (n_classes, n_classes) int64 array
        Row: truth; column: prediction.
    """
    known = (with_unlabelled(truth) >= 0) & ~np.ma.getmaskarray(predicted)
    truth, predicted = np.ma.getdata(truth), np.ma.getdata(predicted)
    pairs = truth[known].astype(np.int64) * n_classes + predicted[known]
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def iou(counts: np.ndarray) -> np.ndarray:
    """(n_classes,) intersection over union of each class: TP / (TP + FP + FN); NaN for a class that occurs nowhere."""
    hits = np.diag(counts)
    return _share(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits)


def accuracy(counts: np.ndarray) -> float:
    """Share of the pixels whose class is right; NaN without pixels."""
    return float(_share(np.trace(counts), counts.sum()))


def mcc(counts: np.ndarray) -> float:
    """Matthews correlation coefficient.

    (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)) for two classes; for more its generalization R_K
    (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006). 0 where truth or prediction has one class only.
    """
    counts = np.asarray(counts, float)
    n, true, predicted = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    spread = (n**2 - predicted @ predicted) * (n**2 - true @ true)
    return float((np.trace(counts) * n - true @ predicted) / np.sqrt(spread)) if spread > 0 else 0.0


MATCH_IOU = 0.5
"""Intersection over union from which on a reference and a predicted parcel are the same."""


def parcel_scores(reference: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Compare predicted parcels with those of a reference.

    For a reference parcel R and the predicted parcel S that covers most of it, over-segmentation is 1 - |R ∩ S| / |R|
    (the rest of R went to other parcels or to none) and under-segmentation is 1 - |R ∩ S| / |S| (the rest of S belongs
    to other parcels or to none); equations of Clinton et al. 2010, doi:10.14358/PERS.76.3.289, for the one parcel of
    largest overlap, as Persello and Bruzzone 2010 have it, doi:10.1109/TGRS.2009.2029570.

    Parameters
    ----------
    reference, predicted : (rows, cols) or (n, rows, cols) arrays of integers
        Numbers of parcels, 0 for none; numbers of different images have nothing to do with each other. Pixels whose
        reference is -1, or that are masked, are left out.

    Returns
    -------
    dict
        `n_reference`, `n_predicted`, `oversegmentation` (mean over the reference parcels; 1 for one that nothing
        covers), `undersegmentation` (mean over those that something covers), `recall` and `precision` (matched part of
        the reference and of the predicted parcels: each is matched once, with an IoU of `MATCH_IOU` or more), `f1`, and
        `median_iou` (over the reference parcels, each with the predicted parcel of largest IoU, 0 without one). NaN
        where there are no parcels to take a mean of.

    Raises
    ------
    NormalizationError
        If shapes or types don't fit.
    """
    masked = np.ma.getmaskarray(predicted)
    reference, predicted = as_parcels(reference), as_parcels(predicted)
    if reference.shape != predicted.shape or reference.ndim not in (2, 3):
        raise NormalizationError(
            f"reference parcels of shape {reference.shape} and predicted ones of {predicted.shape} found, twice "
            "(rows, cols) or twice (n, rows, cols) expected. Bring them onto one grid."
        )
    known = (reference != UNLABELLED) & ~masked
    rows, reference_sizes = _numbered(reference, known)
    columns, predicted_sizes = _numbered(predicted, known)
    both = (rows >= 0) & (columns >= 0)
    shape = len(reference_sizes), len(predicted_sizes)
    shared = sparse.coo_array((np.ones(both.sum(), np.int64), (rows[both], columns[both])), shape)
    shared = shared.tocsr().tocoo()  # adds up pixels of the same pair
    row, column, common = *shared.coords, shared.data
    overlap = common / (reference_sizes[row] + predicted_sizes[column] - common)

    covered = np.zeros(shape[0])
    best_iou = np.zeros(shape[0])
    np.maximum.at(covered, row, common)
    np.maximum.at(best_iou, row, overlap)
    # of predicted parcels that cover equally much, the smallest counts
    in_predicted = np.full(shape[0], np.nan)
    largest = common == covered[row]
    np.fmax.at(in_predicted, row[largest], (common / predicted_sizes[column])[largest])

    same = overlap >= MATCH_IOU
    pairs = sparse.csr_array((np.ones(same.sum(), np.int8), (row[same], column[same])), shape)
    matched = int((csgraph.maximum_bipartite_matching(pairs) >= 0).sum()) if pairs.nnz else 0
    return {
        "n_reference": shape[0],
        "n_predicted": shape[1],
        "oversegmentation": _mean(1 - covered / reference_sizes),
        "undersegmentation": _mean(1 - in_predicted[~np.isnan(in_predicted)]),
        "recall": float(_share(matched, shape[0])),
        "precision": float(_share(matched, shape[1])),
        "f1": float(_share(2 * matched, sum(shape))),
        "median_iou": float(np.median(best_iou)) if shape[0] else float("nan"),
    }


def _numbered(parcels: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the parcels of all images from 0 on: the number of each known pixel (-1 without parcel), and the sizes."""
    image = np.broadcast_to(np.arange(len(parcels))[:, None, None] if parcels.ndim == 3 else 0, parcels.shape)[known]
    values = parcels[known].astype(np.int64)
    inside = values > 0
    _, number, sizes = np.unique(
        image[inside] * (values.max(initial=0) + 1) + values[inside], return_inverse=True, return_counts=True
    )
    numbers = np.full(len(values), -1)
    numbers[inside] = number
    return numbers, sizes


def _share(part, whole):
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
