import json

import numpy as np
import pytest
from scipy import stats

from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.evaluation import (
    best_threshold,
    committee,
    compare_errors,
    decode_doubts,
    encode_doubts,
    is_a_share,
    tissue_scores,
    wrong,
)

LABELS = np.array([0, 1, 2, 1])
ONE = np.array([[1.0, 0, 0], [0.3, 0.6, 0.1], [0.55, 0, 0.45], [0.001, 0.998, 0.001]])
OTHER = np.array([[1.0, 0, 0], [0.7, 0.3, 0], [0, 0.1, 0.9], [0, 1.0, 0]])


def test_doubted_images_are_written_and_read_in_whole_percent():
    doubted = decode_doubts(encode_doubts(ONE, LABELS))
    assert doubted.index.tolist() == [1, 2]  # 99.8 % is 100 %
    assert doubted["label"].tolist() == [1, 2]
    np.testing.assert_allclose(doubted[[0, 1, 2]], ONE[1:3])
    assert wrong(doubted).tolist() == [2]


def test_an_image_that_is_wrong_and_sure_is_doubted_too():
    assert wrong(decode_doubts(encode_doubts([[1.0, 0], [0, 1.0]], np.array([1, 1])))).tolist() == [0]


def test_a_tie_of_whole_percent_keeps_what_was_predicted():
    probabilities = np.array([[0.497, 0.503], [0.503, 0.497]])
    assert wrong(decode_doubts(encode_doubts(probabilities, np.array([0, 0])))).tolist() == [0]
    assert wrong(decode_doubts(encode_doubts(probabilities, np.array([1, 1])))).tolist() == [1]


def test_a_committee_averages_what_its_members_think():
    together = committee([encode_doubts(p, LABELS) for p in (ONE, OTHER)])
    np.testing.assert_allclose(together[[0, 1, 2]], (ONE + OTHER)[1:3] / 2)
    assert wrong(together).tolist() == [1]  # one was right, and less sure than the other was wrong
    assert wrong(decode_doubts(encode_doubts(OTHER, LABELS))).tolist() == [1]


def test_no_doubt_at_all():
    sure = encode_doubts(np.eye(3)[LABELS], LABELS)
    np.testing.assert_allclose(committee([encode_doubts(ONE, LABELS), sure]).loc[2, [0, 1, 2]], [0.275, 0, 0.725])
    assert wrong(decode_doubts(encode_doubts(np.eye(3)[LABELS], LABELS))).empty


def test_a_committee_without_doubts_is_right_throughout():
    sure = encode_doubts(np.eye(3)[LABELS], LABELS)
    assert wrong(committee([sure, sure])).empty


def test_scores_need_both_classes():
    with pytest.raises(ClassificationError, match="2 patches of one class found, both expected"):
        tissue_scores([1, 1], [0.3, 0.7], ["a", "b"])


def test_errors_are_compared_by_a_sign_test():
    images = [decode_doubts(encode_doubts(np.eye(2)[[1] * n], np.zeros(n, int))).index for n in (9, 3)]
    found = compare_errors(*images)
    assert (found["only_one"], found["only_other"]) == (6, 0)
    assert found["p_value"] == pytest.approx(2 * 0.5**6)
    assert compare_errors(images[0], images[0])["p_value"] == 1


@pytest.mark.parametrize(
    ("percent", "n", "decimals", "possible"),
    [
        (98.27, 10_000, 2, True),
        (98.267, 10_000, 3, False),
        (98.125, 16, 3, False),
        (98.125, 800, 3, True),
        (98.13, 800, 2, True),  # 785 of 800, half up
        (98.12, 800, 2, True),  # and half down
        (100.01, 10_000, 2, False),
    ],
)
def test_percentages_that_are_counts(percent, n, decimals, possible):
    assert is_a_share(percent, n, decimals) is possible


def test_scores_are_those_computed_by_hand():
    labels, positive = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.55, 0.4, 0.9])
    found = tissue_scores(labels, positive, ["a", "b", "a", "b", "c"], threshold=0.3, n_resamples=20)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["f1"] == pytest.approx(1 / 2)
    assert found["auc"] == pytest.approx(5 / 6)  # of six pairs, 0.55 before 0.4 is the wrong one
    assert found["balanced_accuracy_tuned"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["f1_tuned"] == pytest.approx(4 / 5)
    assert json.loads(found["calibration"]) == [[1, 0.1, 0], [1, 0.2, 0], [1, 0.4, 1], [1, 0.55, 0], [1, 0.9, 1]]


def test_intervals_come_from_drawing_patients():
    rng = np.random.default_rng(0)
    patients, labels = np.repeat(np.arange(40), 50), rng.integers(0, 2, 2000)
    right = np.repeat(rng.random(40) < 0.8, 50)  # all patches of a patient are right, or none
    found = tissue_scores(labels, np.where(right, labels, 1 - labels) * 0.8 + 0.1, patients, n_resamples=500)
    spread = stats.norm.ppf(0.975) * np.sqrt(found["accuracy"] * (1 - found["accuracy"]) / 40)
    assert found["accuracy_high"] - found["accuracy_low"] == pytest.approx(2 * spread, rel=0.2)


def test_the_best_threshold_separates():
    assert best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.3)
