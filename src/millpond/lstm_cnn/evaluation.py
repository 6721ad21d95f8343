"""What is said of a classifier: scores with intervals, and the images that it doubts."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score, roc_curve

from millpond.lstm_cnn.errors import ClassificationError

_N_BINS = 10


def tissue_scores(labels, positive, patients, threshold: float = 0.5, seed: int = 0, n_resamples: int = 1_000) -> dict:
    """Scores of probabilities that patches are positive, with 95 % intervals from drawing patients anew.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    positive : (n,) array
        Probability of class 1.
    patients : (n,) array
    threshold : float
        At which the scores `..._tuned` call a patch positive; the others do at 0.5.
    seed, n_resamples : int
        Of the patients that are drawn.

    Returns
    -------
    dict
        `accuracy`, `balanced_accuracy`, `f1`, `auc`, `balanced_accuracy_tuned`, `f1_tuned`, each also with `_low` and
        `_high`; `threshold`; `log_loss`; `calibration`: JSON, for each tenth of the probabilities the number of
        patches, their mean probability, and the number of positive ones; empty tenths are left out.

    Raises
    ------
    ClassificationError
        If all patches are of one class.
    """
    labels, positive = np.asarray(labels), np.asarray(positive, dtype=float)
    if len(np.unique(labels)) < 2:
        raise ClassificationError(f"{len(labels)} patches of one class found, both expected. Test more patients.")
    at_half, tuned = positive >= 0.5, positive >= threshold

    def scores(weight=None) -> dict:
        return {
            "accuracy": accuracy_score(labels, at_half, sample_weight=weight),
            "balanced_accuracy": balanced_accuracy_score(labels, at_half, sample_weight=weight),
            "f1": f1_score(labels, at_half, sample_weight=weight),
            "auc": roc_auc_score(labels, positive, sample_weight=weight),
            "balanced_accuracy_tuned": balanced_accuracy_score(labels, tuned, sample_weight=weight),
            "f1_tuned": f1_score(labels, tuned, sample_weight=weight),
        }

    names, which = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    n_of_class = np.array([np.bincount(which, labels == c, minlength=len(names)) for c in (0, 1)])
    drawn = drawn[(drawn @ n_of_class.T > 0).all(axis=1)]  # without both classes, most scores don't exist
    resampled = pd.DataFrame([scores(times[which]) for times in drawn])
    low, high = resampled.quantile(0.025), resampled.quantile(0.975)
    found = {}
    for name, value in scores().items():
        found |= {name: float(value), f"{name}_low": float(low[name]), f"{name}_high": float(high[name])}
    bins = np.minimum((positive * _N_BINS).astype(int), _N_BINS - 1)
    calibration = [
        [int((bins == b).sum()), round(float(positive[bins == b].mean()), 4), int(labels[bins == b].sum())]
        for b in np.unique(bins)
    ]
    loss = log_loss(labels, positive)
    return found | {"threshold": threshold, "log_loss": float(loss), "calibration": json.dumps(calibration)}


def best_threshold(labels, positive) -> float:
    """Probability from which on calling patches positive gives the best balanced accuracy."""
    false, true, thresholds = roc_curve(labels, positive)
    return float(min(thresholds[np.argmax(true - false)], 1))


def encode_doubts(probabilities, labels) -> str:
    """Write down the images whose probabilities, in whole percent, are not 100 for the true class.

    Parameters
    ----------
    probabilities : (n, n_classes) array
    labels : (n,) array of int

    Returns
    -------
    str
        JSON: position, true class, and percent of each class, of every such image. The true class leads in all others.
        Where rounding makes a tie, the predicted class gets one percent more: it leads in what is written too.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    percent = np.rint(probabilities * 100).astype(int)
    predicted = probabilities == probabilities.max(axis=1, keepdims=True)
    percent += predicted & ((percent == percent.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True) > 1)
    doubtful = np.flatnonzero(percent[np.arange(len(labels)), labels] < 100)
    return json.dumps([[int(i), int(labels[i]), *percent[i].tolist()] for i in doubtful], separators=(",", ":"))


def decode_doubts(text: str) -> pd.DataFrame:
    """What `encode_doubts` wrote, an image a row: a column a class with its probability, and `label`."""
    rows = json.loads(text)
    if not rows:
        return pd.DataFrame({"label": []}, index=pd.Index([], name="image"), dtype=int)
    table = pd.DataFrame(rows).set_index(0).rename_axis("image")
    return (table.drop(columns=1) / 100).set_axis(range(table.shape[1] - 1), axis=1).assign(label=table[1])


def committee(doubts: Sequence[str]) -> pd.DataFrame:
    """Mean of the probabilities of several classifiers, for the images that any of them doubts.

    Parameters
    ----------
    doubts : sequence of str
        Of `encode_doubts`, for the same images.

    Returns
    -------
    DataFrame
        As of `decode_doubts`.
    """
    members = [member for text in doubts if len(member := decode_doubts(text))]
    if not members:
        return decode_doubts("[]")
    n_sure = len(doubts) - len(members)  # members that doubt no image
    labels = pd.concat([member["label"] for member in members])
    labels = labels[~labels.index.duplicated()].sort_index()
    sure = pd.DataFrame(np.eye(members[0].shape[1] - 1)[labels], index=labels.index)
    doubting = [member.drop(columns="label").reindex(labels.index).fillna(sure) for member in members]
    return ((sum(doubting) + sure * n_sure) / len(doubts)).assign(label=labels)


def wrong(doubted: pd.DataFrame) -> pd.Index:
    """Images that are classified wrongly, among those of `decode_doubts` or `committee`."""
    return (
        doubted.index
        if doubted.empty
        else doubted.index[doubted.drop(columns="label").idxmax(axis=1) != doubted["label"]]
    )


def compare_errors(one: pd.Index, other: pd.Index) -> dict:
    """McNemar's exact test: of the images that one classifier alone gets wrong, is either as likely to be the one?

    Parameters
    ----------
    one, other : index
        Images that each classifies wrongly.

    Returns
    -------
    dict
        `only_one` and `only_other`, images that one of them alone gets wrong, and `p_value` (two-sided).

    Notes
    -----
    McNemar 1947, doi:10.1007/BF02295996.
    """
    only_one, only_other = len(one.difference(other)), len(other.difference(one))
    differing = only_one + only_other
    p_value = binomtest(only_one, differing).pvalue if differing else 1.0
    return {"only_one": only_one, "only_other": only_other, "p_value": float(p_value)}


def is_a_share(percent: float, n: int, decimals: int) -> bool:
    """Whether a printed percentage can be a count out of `n`, rounded to so many decimals either way."""
    count = round(percent / 100 * n)
    return 0 <= count <= n and abs(100 * count / n - percent) <= 0.5 * 10**-decimals + 1e-9
