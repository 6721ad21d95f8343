import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from millpond.normalization import NormalizationError
from millpond.normalization.parcel_metrics import accuracy, confusion_counts, iou, mcc, parcel_scores

pairs = hnp.array_shapes(min_dims=1, max_dims=1, min_side=1, max_side=40).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.int16, shape, elements=st.integers(-1, 2)),
        hnp.arrays(np.int16, shape, elements=st.integers(0, 2)),
    )
)
maps = hnp.arrays(np.int32, (2, 6, 6), elements=st.sampled_from([-1, 0, 1, 2, 5]))


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(pair=pairs)
def test_pixel_metrics_are_scikit_learns(pair):
    truth, predicted = pair
    counts = confusion_counts(truth, predicted, 3)
    truth, predicted = truth[truth >= 0], predicted[truth >= 0]
    if not len(truth):
        assert np.isnan(accuracy(counts))
        return
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(truth, predicted, labels=[0, 1, 2]))
    assert accuracy(counts) == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert mcc(counts) == pytest.approx(metrics.matthews_corrcoef(truth, predicted), abs=1e-9)
    occurring = np.union1d(truth, predicted)
    jaccard = metrics.jaccard_score(truth, predicted, labels=occurring, average=None)
    np.testing.assert_allclose(iou(counts)[occurring], jaccard)
    assert np.isnan(np.delete(iou(counts), occurring)).all()


def test_mcc_of_two_classes_is_the_studys_formula():
    counts = np.array([[50, 10], [5, 35]])  # TN, FP; FN, TP
    assert mcc(counts) == pytest.approx((35 * 50 - 10 * 5) / (45 * 40 * 60 * 55) ** 0.5)
    assert iou(counts)[1] == pytest.approx(35 / 50)
    assert accuracy(counts) == pytest.approx(0.85)


def test_parcels_by_hand():
    reference = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 0, 0]])
    predicted = np.array([[7, 7, 7, 8, 9, 9, 9, 9, 9, 9, 0, 4]])
    scores = parcel_scores(reference, predicted)
    # 1 and 7 share 3 of 4 and 3 pixels; 2 and 9 share 4 of 4 and 6; 3 and 9 share 2 of 2 and 6
    assert scores["n_reference"] == 3
    assert scores["n_predicted"] == 4
    assert scores["oversegmentation"] == pytest.approx((1 / 4 + 0 + 0) / 3)
    assert scores["undersegmentation"] == pytest.approx((0 + 2 / 6 + 4 / 6) / 3)
    assert scores["median_iou"] == pytest.approx(4 / 6)  # of 3/4, 4/6 and 2/6
    assert scores["recall"] == pytest.approx(2 / 3)
    assert scores["precision"] == pytest.approx(2 / 4)
    assert scores["f1"] == pytest.approx(2 * 2 / (3 + 4))


def test_the_halves_of_a_field_are_not_both_that_field():
    scores = parcel_scores(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 2, 2]]))
    assert (scores["recall"], scores["precision"]) == (1, 0.5)
    assert scores["oversegmentation"] == 0.5
    assert scores["undersegmentation"] == 0


def test_what_nothing_covers_is_missed():
    scores = parcel_scores(np.array([[1, 1, 0, 2]]), np.array([[3, 3, 0, 0]]))
    assert scores["oversegmentation"] == 0.5
    assert scores["undersegmentation"] == 0
    assert scores["median_iou"] == 0.5
    assert (scores["recall"], scores["precision"]) == (0.5, 1)


def test_unlabelled_pixels_count_nowhere():
    # predicted parcel 5 goes on where nobody knows the truth; 6 lies there wholly
    scores = parcel_scores(np.array([[1, 1, -1, -1, -1]]), np.array([[5, 5, 5, 0, 6]]))
    assert scores["median_iou"] == 1
    assert (scores["n_predicted"], scores["precision"]) == (1, 1)


def test_without_parcels_there_is_nothing_to_take_a_mean_of():
    scores = parcel_scores(np.zeros((3, 3), int), np.zeros((3, 3), int))
    assert scores["n_reference"] == scores["n_predicted"] == 0
    assert all(np.isnan(value) for name, value in scores.items() if not name.startswith("n_"))


@given(parcels=maps)
def test_a_map_agrees_with_itself_whatever_its_numbers_are(parcels):
    scores = parcel_scores(parcels, np.where(parcels > 0, 100 - parcels, 0))
    if scores["n_reference"]:
        assert scores["recall"] == scores["precision"] == scores["f1"] == scores["median_iou"] == 1
        assert scores["oversegmentation"] == scores["undersegmentation"] == 0


@given(reference=maps, predicted=maps)
def test_numbers_of_different_images_have_nothing_to_do_with_each_other(reference, predicted):
    predicted = np.maximum(predicted, 0)
    apart = np.stack([reference[0], np.where(reference[1] > 0, reference[1] + 50, reference[1])])
    other = np.stack([predicted[0], np.where(predicted[1] > 0, predicted[1] + 70, predicted[1])])
    np.testing.assert_equal(parcel_scores(reference, predicted), parcel_scores(apart, other))
    side_by_side = parcel_scores(np.hstack([*apart]), np.hstack([*other]))
    np.testing.assert_equal(side_by_side, parcel_scores(reference, predicted))


def test_what_does_not_fit_is_refused():
    with pytest.raises(NormalizationError, match=r"shape \(2, 2\) and predicted ones of \(2, 3\) found"):
        parcel_scores(np.zeros((2, 2), int), np.zeros((2, 3), int))
