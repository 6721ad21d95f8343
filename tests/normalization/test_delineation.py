import copy
import json

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import jaccard_score, matthews_corrcoef

from millpond.normalization import (
    BandHistogram,
    NormalizationError,
    Standardization,
    delineation,
    fit_normalization,
    segmentation,
)
from millpond.normalization.delineation import DelineationLoss, FieldSegmenter, choose_boundary_threshold, tanimoto
from millpond.normalization.segmentation import LandCoverSegmenter, SegmentationNet
from millpond.normalization.targets import parcel_targets
from millpond.training import Batches, Checkpoint, TrainingError

SMALL = {"max_epochs": 2, "batch_size": 4, "device": "cpu", "encoder": "tu-lcnet_050"}  # 2 of ResNet-18's 14 million


def fields(n=6, side=32, seed=0):
    """Digital numbers (n, 4, side, side) of four fields around a crossroads, and their parcels."""
    rng = np.random.default_rng(seed)
    down, right = rng.integers(side // 4, 3 * side // 4, (2, n))
    line = np.arange(side)
    rows, cols = (np.where(abs(line - road[:, None]) < 3, -9, line > road[:, None]) for road in (down, right))
    parcels = np.maximum(1 + rows[:, :, None] + 2 * cols[:, None, :], 0).astype(np.int32)
    brightness = rng.uniform(800, 4000, (n, 5, 4))
    brightness[:, 0] = 300
    dn = brightness[np.arange(n)[:, None, None], parcels] * rng.lognormal(0, 0.05, (n, side, side, 4))
    return np.moveaxis(dn, -1, 1).astype(np.uint16), parcels


DN, PARCELS = fields()
HISTOGRAM = BandHistogram.from_array(DN.swapaxes(0, 1).reshape(4, -1, 32))
P1_P99 = fit_normalization("p1-p99", HISTOGRAM)
DYNAMIC_WORLD = fit_normalization("dynamic-world-log-30-70", HISTOGRAM)


def weights(segmenter):
    return [value.numpy() for value in segmenter.network_.state_dict().values()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.fixture(scope="module")
def fitted():
    return FieldSegmenter(P1_P99, **SMALL).fit(DN, PARCELS)


def test_a_network_learns_its_own_fields():
    model = FieldSegmenter(P1_P99, **SMALL | {"max_epochs": 12}, learning_rate=5e-3).fit(DN, PARCELS)
    losses = [row["train_loss"] for row in model.history_]
    assert losses[-1] < 0.5 * losses[0]
    assert model.evaluate(DN, PARCELS)["extent_iou"] > (PARCELS > 0).mean() + 0.05  # that of a map that is all field
    assert model.score(DN, PARCELS) > 0.5


# ---- what is compared differs in nothing but the normalization


@pytest.mark.parametrize("normalization", [DYNAMIC_WORLD, None, fit_normalization(Standardization(), HISTOGRAM)])
def test_with_one_seed_weights_and_order_are_those_of_any_normalization(monkeypatch, normalization):
    def first_weights_and_order(normalization):
        orders = []
        fetch = Batches.__getitems__
        monkeypatch.setattr(Batches, "__getitems__", lambda self, i: orders.append(list(i)) or fetch(self, i))
        still = {"learning_rate": 0, "weight_decay": 0, "augmentation": "dihedral"}
        model = FieldSegmenter(normalization, **SMALL, **still).fit(DN, PARCELS)
        monkeypatch.setattr(Batches, "__getitems__", fetch)
        return [p.detach().numpy() for p in model.network_.unet.parameters()], orders

    (one, one_order), (other, other_order) = (first_weights_and_order(n) for n in (P1_P99, normalization))
    assert one_order == other_order
    assert sorted(one_order[0] + one_order[1]) == list(range(len(DN)))
    assert one_order[:2] != one_order[2:]
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_same_seed_gives_the_same_bits(fitted):
    again = clone(fitted).fit(DN, PARCELS)
    assert same(fitted, again)
    assert not same(fitted, clone(fitted).set_params(random_state=1).fit(DN, PARCELS))


def test_the_first_layer_is_the_normalization():
    dn = torch.as_tensor(DN)
    np.testing.assert_array_equal(SegmentationNet(4, 3, table=P1_P99.table).first(dn), P1_P99.transform(DN))
    plain = SegmentationNet(4, 3).first.eval()
    np.testing.assert_allclose(plain(dn).detach(), DN / 10_000, rtol=1e-4)  # before it has seen a batch


def test_standardization_has_mean_0_and_standard_deviation_1(tmp_path):
    normalization = fit_normalization(Standardization(), HISTOGRAM)
    values = normalization.transform(DN.swapaxes(0, 1).reshape(4, -1, 32))
    np.testing.assert_allclose(values.mean(axis=(1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axis=(1, 2)), 1, atol=1e-4)
    normalization.save(tmp_path / "z.json")
    np.testing.assert_array_equal(type(normalization).load(tmp_path / "z.json").table, normalization.table)


def test_a_standard_deviation_above_the_mean_may_lie_above_the_largest_digital_number(tmp_path):
    dn = np.full((1, 10, 10), 65535, np.uint16)
    dn[0, 0] = 1
    normalization = fit_normalization(Standardization(), BandHistogram.from_array(dn, ("B02",)))
    normalization.save(tmp_path / "z.json")
    loaded = type(normalization).load(tmp_path / "z.json")
    assert loaded.transform(dn)[0, 1, 0] == pytest.approx(1 / 3, rel=1e-5)  # (1 - 0.9) / (0.9 0.1)^0.5


def test_dihedral_turns_image_and_target_alike():
    model = FieldSegmenter(augmentation="dihedral")
    # each target says what the first band has in its place, so a batch that agrees has turned as one
    X = torch.as_tensor(np.random.default_rng(0).integers(0, 65536, (16, 4, 32, 32), np.uint16))
    target = (X[:, :3].float() / 65536).half()
    with torch.random.fork_rng():
        turned, turned_target = model._changed((X, target))
        assert torch.equal((turned[:, :3].float() / 65536).half(), turned_target.half())
        assert len({tuple(map(tuple, image[0].tolist())) for image in turned}) == 16
        assert not torch.equal(turned, X.to(torch.int32))
        classes = X[:, 0].to(torch.int32) // 9000
        turned, turned_classes = model._changed((X, classes.to(torch.int16)))
    assert torch.equal(turned[:, 0] // 9000, turned_classes.to(torch.int32))


# ---- losses and metrics


def test_tanimoto_by_hand():
    p, y = torch.tensor([1.0, 1.0, 0.0, 0.5]), torch.tensor([1.0, 0.0, 0.0, 0.5])
    # common 1.25, squares 2.25 and 1.25; of the complements 1.25, 1.25 and 2.25
    assert tanimoto(p, y).item() == pytest.approx(1.25 / (2.25 + 1.25 - 1.25), rel=1e-5)
    assert tanimoto(y, y).item() == pytest.approx(1)
    assert tanimoto(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(1)
    # unlike halves: T = 1 / (2 + 1 - 1) and, of the complements, 2 / (2 + 3 - 2)
    p, y = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert tanimoto(p, y).item() == pytest.approx((1 / 2 + 2 / 3) / 2, rel=1e-5)


def test_the_loss_is_0_where_all_is_right_and_ignores_what_is_unlabelled():
    targets = torch.as_tensor(np.stack(parcel_targets(PARCELS[0])), dtype=torch.float32)[None]
    right = torch.logit(targets, eps=1e-7)
    loss = DelineationLoss()
    assert loss(right, targets).item() == pytest.approx(0, abs=1e-3)
    wrong, some = right.clone(), targets.clone()
    wrong[..., :9], some[..., :9] = 50, -1
    assert loss(wrong, some).item() == pytest.approx(0, abs=1e-3)
    parts = loss.parts(torch.zeros_like(some), some)
    assert list(parts) == ["extent_bce", "boundary_bce", "extent_tanimoto", "boundary_tanimoto", "distance_tanimoto"]
    assert parts["boundary_bce"].item() == pytest.approx(np.log(2))
    assert torch.isfinite(loss(right, torch.full_like(targets, -1)))


def test_metrics_of_the_history_are_scikit_learns_on_labelled_pixels():
    dn, parcels = fields(5, seed=7)
    parcels[:, :10] = -1
    model = FieldSegmenter(P1_P99, **SMALL).fit(DN, PARCELS, validation=(dn, parcels))
    probabilities = model.predict_proba(dn)
    truth = np.stack([np.stack(parcel_targets(p)[:2]) for p in parcels])
    last = model.history_[-1]
    for i, layer in enumerate(("extent", "boundary")):
        true, predicted = truth[:, i][parcels >= 0], probabilities[:, i][parcels >= 0] > 0.5
        assert last[f"valid_{layer}_iou"] == pytest.approx(jaccard_score(true, predicted))
        assert last[f"valid_{layer}_acc"] == pytest.approx((true == predicted).mean())
        assert last[f"valid_{layer}_mcc"] == pytest.approx(matthews_corrcoef(true, predicted))
    judged = {name: value for name, value in last.items() if name.startswith("valid") and name != "valid_loss"}
    assert {f"valid_{name}": value for name, value in model.evaluate(dn, parcels).items()} == judged
    assert last["valid_loss"] > 0


def test_unlabelled_pixels_are_neither_learnt_nor_judged():
    parcels = PARCELS.copy()
    parcels[:, 20:] = -1
    model = FieldSegmenter(P1_P99, **SMALL).fit(DN, parcels)
    right = (model.predict_proba(DN)[:, 0] > 0.5) == (PARCELS > 0)
    assert model.evaluate(DN, parcels)["extent_acc"] == pytest.approx(right[:, :20].mean())
    parcels[:5] = -1  # whole batches without a label
    assert np.isfinite([row["train_loss"] for row in FieldSegmenter(P1_P99, **SMALL).fit(DN, parcels).history_]).all()


# ---- prediction


def test_probabilities_are_float32_and_parcels_are_numbered_in_each_image(fitted):
    probabilities = fitted.predict_proba(DN)
    assert probabilities.shape == (6, 3, 32, 32)
    assert probabilities.dtype == np.float32
    assert 0 <= probabilities.min() <= probabilities.max() <= 1
    parcels = fitted.predict(DN)
    assert parcels.shape == (6, 32, 32)
    assert parcels.dtype == np.int32
    assert fitted.predict(DN, threshold=0, smallest=32 * 32).max() == 1


def test_the_threshold_that_parts_the_fields_is_chosen():
    # a ridge with a gap of 0.25: at 0.3 both fields are one, and below 0.2 noise is a ridge too
    parcels = np.repeat([[[1] * 5 + [2] * 5]], 10, axis=1)
    layers = np.zeros((1, 3, 10, 10), np.float32)
    layers[:, 0] = 1
    layers[:, 1] = np.random.default_rng(0).uniform(0, 0.19, (10, 10))
    layers[:, 1, :, 4:6] = 0.9
    layers[:, 1, 5, 4:6] = 0.25
    assert choose_boundary_threshold(layers, parcels) == 0.2


def test_what_is_unlabelled_does_not_choose_the_threshold():
    parcels = np.repeat([[[1] * 5 + [2] * 5 + [-1] * 10]], 10, axis=1)
    layers = np.zeros((1, 3, 10, 20), np.float32)
    layers[:, 0] = 1
    layers[:, 1, :, 4:6] = 0.9
    layers[:, 1, 5, 4:6] = 0.25
    # at 0.2 too, the field that nobody has mapped falls into many
    layers[:, 1, :, 10] = 0.9
    layers[:, 1, :, 11::2] = layers[:, 1, ::2, 11:] = 0.22
    assert choose_boundary_threshold(layers, parcels) == choose_boundary_threshold(layers[..., :10], parcels[..., :10])
    assert choose_boundary_threshold(layers, np.where(parcels < 0, 3, parcels)) != 0.2


def test_fit_chooses_the_threshold_on_the_first_training_images_with_fields(monkeypatch):
    monkeypatch.setattr(delineation, "N_THRESHOLD", 3)
    asked = []

    def choose(probabilities, parcels):
        asked.append((probabilities, parcels))
        return 0.4

    monkeypatch.setattr(delineation, "choose_boundary_threshold", choose)
    parcels = PARCELS.copy()
    parcels[0], parcels[2, :, :16], parcels[3] = -1, -1, 0
    model = FieldSegmenter(P1_P99, **SMALL).fit(DN, parcels)
    np.testing.assert_array_equal(asked[0][1], parcels[[1, 2, 4]])
    np.testing.assert_array_equal(asked[0][0], model.predict_proba(DN[[1, 2, 4]]))
    assert model.boundary_threshold_ == 0.4


def test_training_images_without_any_field_are_no_mistake():
    model = FieldSegmenter(P1_P99, **SMALL | {"max_epochs": 1}).fit(DN, np.minimum(PARCELS, 0))
    assert 0 < model.boundary_threshold_ < 1


def test_the_chosen_threshold_cuts_parcels_unless_another_is_stated(fitted):
    assert fitted.boundary_threshold_ == choose_boundary_threshold(fitted.predict_proba(DN), PARCELS)
    other = copy.copy(fitted)
    for threshold in (0.05, 0.5):
        other.boundary_threshold_ = threshold
        np.testing.assert_array_equal(other.predict(DN), fitted.predict(DN, boundary_threshold=threshold))
    assert not np.array_equal(fitted.predict(DN, boundary_threshold=0.05), fitted.predict(DN, boundary_threshold=0.5))
    assert fitted.renormalized(DYNAMIC_WORLD).boundary_threshold_ == fitted.boundary_threshold_
    with pytest.raises(NotFittedError):
        FieldSegmenter(P1_P99).predict(DN)


@pytest.mark.parametrize("side", [1, 31, 33, 50])
def test_images_of_any_size_can_be_predicted(fitted, side):
    assert fitted.predict_proba(np.ones((1, 4, side, 40), np.uint16)).shape == (1, 3, side, 40)


def test_images_of_any_size_can_be_trained_on():
    assert FieldSegmenter(P1_P99, **SMALL).fit(DN[:, :, :30], PARCELS[:, :30]).n_bands_ == 4


def test_it_can_be_fitted_again_on_other_bands():
    model = FieldSegmenter(None, **SMALL | {"max_epochs": 1})
    assert model.fit(DN, PARCELS).fit(DN[:, :3], PARCELS).n_bands_ == 3
    with pytest.raises(NormalizationError, match=r"\(n, 3, rows, cols\) with one image or more expected"):
        model.predict(DN)


def test_one_image_left_over_is_left_out_where_it_could_not_be_normalized():
    FieldSegmenter(P1_P99, **SMALL).fit(DN[:5], PARCELS[:5])


def test_it_does_not_matter_how_an_array_lies_in_memory(fitted):
    read_only = DN.copy()
    read_only.flags.writeable = False
    last_band_first = np.asfortranarray(DN)
    np.testing.assert_array_equal(fitted.predict_proba(read_only), fitted.predict_proba(DN))
    np.testing.assert_array_equal(fitted.predict_proba(last_band_first), fitted.predict_proba(DN))


# ---- files


@pytest.mark.parametrize("normalization", [P1_P99, None])
def test_saved_and_loaded_it_predicts_the_same(tmp_path, normalization):
    model = FieldSegmenter(normalization, **SMALL, augmentation="dihedral").fit(DN, PARCELS)
    model.save(tmp_path / "model")
    expected = {"segmenter.json", "weights.safetensors"} | ({"normalization.json"} if normalization else set())
    assert {path.name for path in (tmp_path / "model").iterdir()} == expected
    loaded = FieldSegmenter.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(DN), model.predict_proba(DN))
    np.testing.assert_array_equal(loaded.predict(DN), model.predict(DN))
    assert loaded.boundary_threshold_ == model.boundary_threshold_
    assert loaded.augmentation == "dihedral"
    assert loaded.normalization == normalization


def test_what_does_not_belong_together_is_not_loaded(tmp_path, fitted):
    folder = tmp_path / "model"
    with pytest.raises(NormalizationError, match=r"no saved FieldSegmenter found .*No such file.* Check the path"):
        FieldSegmenter.load(folder)
    fitted.save(folder)
    with pytest.raises(NormalizationError, match="no saved LandCoverSegmenter found"):
        LandCoverSegmenter.load(folder)
    DYNAMIC_WORLD.save(folder / "normalization.json")
    with pytest.raises(NormalizationError, match="weights of a network with another normalization found"):
        FieldSegmenter.load(folder)
    (folder / "segmenter.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(NormalizationError, match="no saved FieldSegmenter found"):
        FieldSegmenter.load(folder)


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_to_the_same_result(tmp_path, monkeypatch):
    whole = FieldSegmenter(P1_P99, **SMALL | {"max_epochs": 3}).fit(DN, PARCELS, validation=(DN, PARCELS))
    half = clone(whole).set_params(checkpoint=tmp_path / "run.pt")
    written = Checkpoint.on_epoch_end

    def dies(self, net, **kwargs):
        written(self, net, **kwargs)
        if len(net.history) == 1:
            raise Killed

    monkeypatch.setattr(Checkpoint, "on_epoch_end", dies)
    with pytest.raises(Killed):
        half.fit(DN, PARCELS, validation=(DN, PARCELS))
    monkeypatch.setattr(Checkpoint, "on_epoch_end", written)
    half.fit(DN, PARCELS, validation=(DN, PARCELS))
    assert same(whole, half)
    without_time = [[row | {"dur": 0} for row in model.history_] for model in (whole, half)]
    assert without_time[0] == without_time[1]
    with pytest.raises(TrainingError, match=r"other settings found \(normalization\)"):
        clone(half).set_params(normalization=DYNAMIC_WORLD).fit(DN, PARCELS, validation=(DN, PARCELS))


# ---- land cover


def test_land_cover_learns_the_classes_it_is_given(tmp_path):
    classes = np.where(PARCELS == 0, 7, np.where(DN[:, 3] > 2200, 3, 1)).astype(np.int32)
    classes[:, :3] = -1
    model = LandCoverSegmenter(P1_P99, **SMALL | {"max_epochs": 12}, learning_rate=5e-3).fit(
        DN, classes, validation=(DN, classes)
    )
    assert model.classes_ == [1, 3, 7]
    predicted = model.predict(DN)
    assert set(np.unique(predicted)) <= {1, 3, 7}
    largest = max(np.mean(classes[classes >= 0] == c) for c in (1, 3, 7))
    right = (predicted == classes)[classes >= 0].mean()
    assert right > largest + 0.05
    assert model.history_[-1]["valid_class_acc"] == pytest.approx(right)
    assert model.score(DN, classes) == pytest.approx(matthews_corrcoef(classes[classes >= 0], predicted[classes >= 0]))
    np.testing.assert_allclose(model.predict_proba(DN).sum(axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(LandCoverSegmenter.load(tmp_path / "model").predict(DN), predicted)
    with pytest.raises(NormalizationError, match=r"classes \[2\] found, \[1, 3, 7\] as in the training expected"):
        model.evaluate(DN, np.full_like(classes, 2))


def test_one_class_is_nothing_to_learn():
    with pytest.raises(NormalizationError, match=r"one class \(4\) found, two or more expected"):
        LandCoverSegmenter(P1_P99, **SMALL).fit(DN, np.full_like(PARCELS, 4))


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dn": DN / 10_000}, r"type float64 found, digital numbers \(uint16\) expected.*10,000"),
        ({"dn": DN[:, :3]}, r"shape \(6, 3, 32, 32\) found, \(n, 4, rows, cols\).*order the bands"),
        ({"dn": DN[0]}, r"shape \(4, 32, 32\) found"),
        ({"labels": PARCELS[:2]}, r"labels of shape \(2, 32, 32\) and type int32 for images of shape \(6, 4, 32, 32\)"),
        ({"labels": PARCELS.astype(float)}, "type float64 for images"),
        ({"labels": np.full_like(PARCELS, -1)}, "labels from -1 to -1 found, labels of 0 or more on some pixels"),
        ({"labels": PARCELS - 3}, "labels from -3 to 1 found"),
        ({"dn": DN[:1], "labels": PARCELS[:1]}, "1 images of 32 x 32 pixels in batches of 4 found, two or more"),
        ({"validation": (DN[:1], PARCELS)}, "validation samples with labels of shape"),
        ({"validation": (DN[:, :2], PARCELS)}, "validation samples of shape"),
    ],
)
def test_samples_that_do_not_fit_are_refused(change, message):
    samples = {"dn": DN, "labels": PARCELS} | change
    with pytest.raises(NormalizationError, match=message):
        FieldSegmenter(P1_P99, **SMALL).fit(**samples)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"normalization": "p1-p99"}, "normalization='p1-p99' found, None or what fit_normalization returns expected"),
        ({"encoder": "resnet"}, "encoder='resnet' found"),
        ({"encoder": "tu-resnet"}, "encoder='tu-resnet' found"),
        ({"augmentation": "affine"}, "augmentation='affine' found, one of .*'dihedral\\+divisor'"),
        ({"max_epochs": 0}, "max_epochs=0 found"),
        ({"patience": 2}, "patience without validation samples found"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting, message):
    with pytest.raises(NormalizationError, match=message):
        FieldSegmenter(**{"normalization": P1_P99} | SMALL | setting).fit(DN, PARCELS)


def test_a_divisor_changes_images_and_leaves_their_parcels():
    model = FieldSegmenter(augmentation="divisor")
    X, y = model._changed((torch.as_tensor(DN[:2]), torch.as_tensor(PARCELS[:2])))
    assert not np.array_equal(X.numpy(), DN[:2])
    np.testing.assert_array_equal(y.numpy(), PARCELS[:2])


def test_dihedral_needs_square_images():
    with pytest.raises(NormalizationError, match="30 x 32 pixels found, square ones expected by dihedral"):
        FieldSegmenter(P1_P99, augmentation="dihedral").fit(DN[:, :, :30], PARCELS[:, :30])


def test_behind_another_normalization_only_the_table_differs(fitted):
    other = fitted.renormalized(DYNAMIC_WORLD)
    assert np.array_equal(other.network_.first.table.numpy(), DYNAMIC_WORLD.table)
    assert np.array_equal(fitted.network_.first.table.numpy(), P1_P99.table)
    assert (other.predict_proba(DN) != fitted.predict_proba(DN)).any()
    # what the tables give is all that the rest sees
    assert np.array_equal(other.renormalized(P1_P99).predict_proba(DN), fitted.predict_proba(DN))


def test_only_a_normalization_of_the_same_bands_can_be_exchanged(fitted):
    two = fit_normalization("p1-p99", HISTOGRAM.select(("B02", "B03")))
    with pytest.raises(
        NormalizationError, match=r"a network for B02, B03, B04, B08 found, one with .* of B02, B03 exp"
    ):
        fitted.renormalized(two)
    without = FieldSegmenter(None, **SMALL | {"max_epochs": 1}).fit(DN, PARCELS)
    with pytest.raises(NormalizationError, match=r"a network for batch normalization found"):
        without.renormalized(P1_P99)


def test_adapted_statistics_are_those_of_the_images():
    resnet = SMALL | {"encoder": "resnet18", "max_epochs": 1}
    model = FieldSegmenter(P1_P99, **resnet).fit(DN, PARCELS)
    adapted = model.adapted(DN[:4])
    encoder = model.network_.unet.encoder
    with torch.no_grad():
        first = encoder.conv1(model.network_.first(torch.as_tensor(DN[:4])))
    statistics = adapted.network_.unet.encoder.bn1
    assert statistics.running_mean.numpy() == pytest.approx(first.mean(dim=(0, 2, 3)).numpy(), abs=1e-5)
    assert statistics.running_var.numpy() == pytest.approx(first.var(dim=(0, 2, 3)).numpy(), rel=1e-4)
    assert statistics.momentum == encoder.bn1.momentum
    learnt = [dict(net.network_.named_parameters()) for net in (model, adapted)]
    assert all(torch.equal(value, learnt[1][name]) for name, value in learnt[0].items())
    assert not torch.equal(encoder.bn1.running_mean, statistics.running_mean)


def test_adapted_statistics_are_the_mean_over_batches_whatever_is_augmented():
    resnet = SMALL | {"encoder": "resnet18", "max_epochs": 1, "augmentation": "dihedral"}
    model = FieldSegmenter(P1_P99, **resnet).fit(DN, PARCELS)
    dn, _ = fields(9, seed=3)  # in batches of four; the ninth has no spread by itself and goes with the second batch
    adapted, again, plain = model.adapted(dn), model.adapted(dn), model.set_params(augmentation=None).adapted(dn)
    assert same(adapted, again)
    assert same(adapted, plain)
    encoder = model.network_.unet.encoder
    with torch.no_grad():
        first = encoder.conv1(model.network_.first(torch.as_tensor(dn)))
    statistics = adapted.network_.unet.encoder.bn1
    means, variances = (
        np.mean([getattr(batch, what)(dim=(0, 2, 3)).numpy() for batch in (first[:4], first[4:])], axis=0)
        for what in ("mean", "var")
    )
    assert statistics.running_mean.numpy() == pytest.approx(means, abs=1e-5)
    assert statistics.running_var.numpy() == pytest.approx(variances, rel=1e-4)
    assert statistics.num_batches_tracked == 2
    assert not any(layer.training for layer in adapted.network_.modules())


def test_fewer_images_than_a_batch_adapt_too_and_one_small_image_is_refused(fitted):
    assert not same(fitted, fitted.adapted(DN[:2]))
    with pytest.raises(
        NormalizationError, match=r"one image of 32 x 32 pixels found, two or more expected.* Pass more"
    ):
        fitted.adapted(DN[:1])
    fitted.adapted(fields(1, side=64)[0])  # large enough to have a spread by itself


def test_a_model_that_is_half_replaced_is_not_loaded(tmp_path, monkeypatch, fitted):
    folder = tmp_path / "model"
    fitted.save(folder)
    other = clone(fitted).set_params(random_state=1).fit(DN, PARCELS)

    def dies(*arguments):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(segmentation, "save_weights", dies)
        with pytest.raises(Killed):
            other.save(folder)
    with pytest.raises(NormalizationError, match="no saved FieldSegmenter found"):
        FieldSegmenter.load(folder)
    other.save(folder)
    assert same(FieldSegmenter.load(folder), other)
