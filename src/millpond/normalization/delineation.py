"""Find the fields of a satellite image with a U-Net: where they are, where they end, how far inside a pixel lies.

The study has its own, unpublished network; here it is a U-Net with a ResNet-18 and random weights, trained on the three
targets of AI4Boundaries. What the three outputs say together becomes parcels in `millpond.normalization.polygons`.
"""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from millpond.normalization.parcel_metrics import confusion_counts, parcel_scores
from millpond.normalization.polygons import separate_parcels
from millpond.normalization.segmentation import Segmenter
from millpond.normalization.targets import TARGETS, UNLABELLED, as_parcels, parcel_targets

N_THRESHOLD = 50
"""Training images on which `FieldSegmenter.fit` chooses the threshold of the boundary."""

_TINY = 1e-6


THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the probability of a boundary, to choose from."""


def tanimoto(p: Tensor, y: Tensor) -> Tensor:
    """Tanimoto similarity with its complement, (T(p, y) + T(1 - p, 1 - y)) / 2: 1 where p equals y, else less.

    T(p, y) = sum(p y) / (sum(p^2) + sum(y^2) - sum(p y)) over all pixels of a batch; for y of 0 or 1, and for what lies
    between. Source: Diakogiannis et al. 2020, doi:10.1016/j.isprsjprs.2020.01.013, eqs. (2) and (3).

    Parameters
    ----------
    p, y : (..., n_pixels) tensors
        In 0..1.

    Returns
    -------
    (...) tensor
    """

    def similarity(a, b):
        common = (a * b).sum(dim=-1)
        return (common + _TINY) / ((a**2).sum(dim=-1) + (b**2).sum(dim=-1) - common + _TINY)

    return (similarity(p, y) + similarity(1 - p, 1 - y)) / 2


class DelineationLoss(nn.Module):
    """How far outputs are from the three targets: the sum of `parts`, all of equal weight."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of (n, 3, rows, cols) outputs before the sigmoid; targets of the same shape, -1 where unlabelled."""
        return sum(self.parts(outputs, targets).values())

    def parts(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The five summands, over the labelled pixels of a batch.

        `extent_bce`, `boundary_bce`: mean binary cross-entropy, which judges each pixel by itself and gives gradients
        from the first step on. `extent_tanimoto`, `boundary_tanimoto`: 1 - `tanimoto`, which judges the overlap as a
        whole, however few pixels are boundary. `distance_tanimoto`: the same for distances, in place of a squared error
        whose size would depend on how deep the fields are.
        """
        labelled = (targets[:, :1] != UNLABELLED).to(outputs.dtype)
        n_labelled = labelled.sum().clamp(min=1)
        y = targets.to(outputs.dtype).clamp(min=0)
        cross_entropy = functional.binary_cross_entropy_with_logits(outputs[:, :2], y[:, :2], reduction="none")
        cross_entropy = (cross_entropy * labelled).sum(dim=(0, 2, 3)) / n_labelled
        keep = labelled[:, 0].flatten() > 0
        by_layer = (layers.transpose(0, 1).flatten(1)[:, keep] for layers in (outputs.sigmoid(), y))
        overlap = 1 - tanimoto(*by_layer)
        return {
            **{f"{name}_bce": value for name, value in zip(TARGETS[:2], cross_entropy, strict=True)},
            **{f"{name}_tanimoto": value for name, value in zip(TARGETS, overlap, strict=True)},
        }


def choose_boundary_threshold(probabilities: np.ndarray, parcels: np.ndarray) -> float:
    """The `boundary_threshold` of `separate_parcels` that gives the best F1 of the parcels.

    Parameters
    ----------
    probabilities : (n, 3, rows, cols) array
        Of `FieldSegmenter.predict_proba`, for images of the training: chosen on the test images it flatters.
    parcels : (n, rows, cols) array of integers
        -1 where nothing is known; such pixels count nowhere.

    Returns
    -------
    float
        Of `THRESHOLDS` the first of the best.
    """

    def f1(threshold: float) -> float:
        found = [separate_parcels(*layers[:2], boundary_threshold=threshold) for layers in probabilities]
        return np.nan_to_num(parcel_scores(parcels, np.stack(found))["f1"])

    return max(THRESHOLDS, key=f1)


class FieldSegmenter(Segmenter):
    """Delineate fields: a U-Net for extent, boundary and distance, trained on rasters of parcels.

    Labels are numbers of parcels, 0 where there is no field, -1 where nothing is known. `evaluate` gives IoU, accuracy
    and MCC of extent and boundary (`extent_iou`, ..., `boundary_mcc`), each where its probability exceeds one half.
    Parameters and attributes are those of `Segmenter`, and:

    Attributes
    ----------
    boundary_threshold_ : float
        Of `choose_boundary_threshold`, on the first `N_THRESHOLD` training images; those without a field come last.

    Examples
    --------
    >>> normalization = fit_normalization("p1-p99", histogram)  # doctest: +SKIP
    >>> segmenter = FieldSegmenter(normalization).fit(dn, parcels, validation=(dn_2, parcels_2))  # doctest: +SKIP
    """

    _criterion = DelineationLoss
    _fitted_names = ("n_bands_", "boundary_threshold_")

    def predict(self, dn, **settings):
        """(n, rows, cols) int32 numbers of parcels, 0 where there is no field; anew from 1 on in each image.

        `settings` are those of `millpond.normalization.polygons.separate_parcels`; `boundary_threshold` is
        `boundary_threshold_` where not stated.
        """
        check_is_fitted(self)
        settings = {"boundary_threshold": self.boundary_threshold_} | settings
        return np.stack([separate_parcels(*layers[:2], **settings) for layers in self.predict_proba(dn)])

    def score(self, dn, parcels) -> float:
        """Matthews correlation coefficient of the extent."""
        return self.evaluate(dn, parcels)["extent_mcc"]

    def _calibrate(self, dn: np.ndarray, parcels: np.ndarray) -> None:
        # Images without a field have no F1 that tells thresholds apart: they come after all others.
        without = ~(parcels > 0).any(axis=(1, 2))
        some = np.argsort(without, kind="stable")[:N_THRESHOLD]
        self.boundary_threshold_ = choose_boundary_threshold(self.predict_proba(dn[some]), parcels[some])

    def _n_outputs(self) -> int:
        return len(TARGETS)

    def _targets(self, parcels: np.ndarray) -> np.ndarray:
        """(n, 3, rows, cols) float16, -1 where unlabelled; a distance is exact to 0.0005."""
        targets = np.empty((len(parcels), len(TARGETS), *parcels.shape[1:]), np.float16)
        for image, target in zip(as_parcels(parcels), targets, strict=True):
            target[:] = parcel_targets(image)
            target[:, image == UNLABELLED] = UNLABELLED
        return targets

    def _to_probabilities(self, outputs: Tensor) -> np.ndarray:
        return outputs.sigmoid().numpy()

    def _compare(self, outputs: Tensor, target: Tensor) -> dict[str, np.ndarray]:
        truth = target[:, :2].cpu().to(torch.int8).numpy()
        predicted = (outputs[:, :2] > 0).cpu().numpy()
        return {name: confusion_counts(truth[:, i], predicted[:, i], 2) for i, name in enumerate(TARGETS[:2])}
