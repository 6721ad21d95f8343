"""What is masked counts nowhere: no function may look at the numbers beneath a mask."""

import numpy as np
import pytest

from millpond.normalization import BandHistogram, fit_normalization
from millpond.normalization.landcover import classify_land_cover
from millpond.normalization.masks import SNOW_BANDS, bright_cloud_mask, snow_mask
from millpond.normalization.parcel_metrics import confusion_counts, parcel_scores
from millpond.normalization.polygons import separate_parcels
from millpond.normalization.segmentation import LandCoverSegmenter
from millpond.normalization.targets import parcel_targets

WEST = np.zeros((32, 32), bool)
WEST[:, :16] = True


def test_the_masked_half_of_an_image_trains_no_network_and_has_no_answer():
    rng = np.random.default_rng(0)
    dn = rng.integers(300, 3000, (4, 4, 32, 32)).astype(np.uint16)
    classes = rng.integers(0, 2, (4, 32, 32))
    masked = np.broadcast_to(WEST, dn.shape)
    normalization = fit_normalization("p1-p99", BandHistogram.from_array(dn[0]))
    small = {"max_epochs": 1, "batch_size": 4, "device": "cpu", "encoder": "tu-lcnet_050", "random_state": 0}

    def trained(beneath, labels):
        images = np.ma.array(np.where(masked, np.uint16(beneath), dn), mask=masked)
        return LandCoverSegmenter(normalization, **small).fit(images, labels), images

    one, images = trained(60_000, classes)
    other, _ = trained(5, np.where(WEST, 1 - classes, classes))
    np.testing.assert_array_equal(one.predict(dn), other.predict(dn))
    found = one.predict(images)
    assert (found[:, WEST] == -1).all()
    assert set(np.unique(found[:, ~WEST])) <= {0, 1}
    of_labels = np.ma.array(classes.astype(np.uint8), mask=np.broadcast_to(WEST, classes.shape))
    assert one.evaluate(dn, of_labels) == one.evaluate(dn, np.where(WEST, -1, classes))
    assert np.isnan(one.predict_proba(images)[:, :, WEST]).all()


def test_masked_pixels_are_neither_cloud_nor_snow_nor_any_land_cover():
    bright = np.full((4, 2, 2), 0.5)
    masked = np.ma.array(bright, mask=[[[True, False], [False, False]]] * 4)
    for mask, bands in ((snow_mask, SNOW_BANDS), (bright_cloud_mask, ("B02", "B03", "B04", "B08"))):
        values = masked.copy()
        values.data[3] = 0.1 if mask is snow_mask else 0.5
        if mask is bright_cloud_mask:
            values.data[0] = 0.6
        assert mask(values.data, bands).all()
        assert mask(values, bands).tolist() == [[False, True], [True, True]]
    covers = classify_land_cover(masked)
    assert covers[0, 0] == -1
    assert (covers.ravel()[1:] == classify_land_cover(bright)[0, 1]).all()


@pytest.mark.parametrize("beneath", [0.0, 1.0])
def test_masked_probabilities_are_no_field(beneath):
    extent = np.ma.array(np.where(WEST, beneath, 1.0), mask=WEST)
    parcels = separate_parcels(extent, np.zeros((32, 32)), smallest=1)
    assert (parcels[WEST] == 0).all()
    assert (parcels[~WEST] == 1).all()


def test_masked_parcels_are_unlabelled():
    parcels = np.ma.array(np.where(WEST, 7, 1).astype(np.uint8), mask=WEST)
    targets = parcel_targets(parcels)
    assert not targets.boundary.any()  # nobody knows whether the field goes on in the west
    assert parcel_scores(parcels, np.where(WEST, 3, 1))["n_predicted"] == 1
    assert parcel_scores(np.where(WEST, 3, 1), parcels)["n_reference"] == 1


def test_masked_pixels_are_not_compared():
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    last = [False, False, False, True]
    for pair in ((np.ma.array(truth, mask=last), predicted), (truth, np.ma.array(predicted, mask=last))):
        assert confusion_counts(*pair, 2).tolist() == [[1, 0], [1, 1]]
