"""Draw the histology chapter's picture of patches that the LSTM-CNN is sure of, rightly and wrongly.

Trains the archive's first run by patient again, so it needs the data set `idc` in the data root, and two minutes.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from millpond import plots
from millpond.files import replacing
from millpond.lstm_cnn import ClassificationError, SequenceClassifier
from millpond.lstm_cnn.datasets import load_idc
from millpond.lstm_cnn.study import TISSUE_EPOCHS, tissue_parts

PICTURE = Path(__file__).parent / "_static" / "tissue-errors.png"
N_EACH = 5


def main() -> None:
    torch.set_num_threads(1)  # as the archive's runs, for the same weights
    data = load_idc()
    train, valid, test = tissue_parts(data, "by patient", seed=0)
    fitted = SequenceClassifier("lstm-cnn", augmentation="dihedral", max_epochs=TISSUE_EPOCHS, random_state=0).fit(
        data.images[train], data.labels[train], validation=(data.images[valid], data.labels[valid])
    )
    positive, labels = fitted.predict_proba(data.images[test])[:, 1], data.labels[test]
    rows = {
        "healthy,\nand called so": ((labels == 0) & (positive < 0.5), positive),
        "healthy,\ncalled cancer": ((labels == 0) & (positive >= 0.5), -positive),
        "cancer,\nand found": ((labels == 1) & (positive >= 0.5), -positive),
        "cancer,\nmissed": ((labels == 1) & (positive < 0.5), positive),
    }
    plots.use_style()
    fig, axes = plt.subplots(len(rows), N_EACH, figsize=(7.5, 6.6))
    for row, (name, (among, order)) in zip(axes, rows.items(), strict=True):
        candidates = np.flatnonzero(among)
        # one patch a patient, lest all be of one
        sure = candidates[np.argsort(order[candidates], kind="stable")]
        _, first = np.unique(data.groups[test][sure], return_index=True)
        for ax, i in zip(row, sure[np.sort(first)], strict=False):
            ax.imshow(data.images[test[i]].transpose(1, 2, 0))
            ax.set_title(f"{positive[i]:.1%}", loc="center")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(False)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    with replacing(PICTURE, ClassificationError) as unfinished:
        fig.savefig(unfinished, dpi=110, format="png")


if __name__ == "__main__":
    main()
