import inspect
import io
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from millpond.experiment import load_runs
from millpond.lstm_cnn import study
from millpond.lstm_cnn.datasets import LabelledImages, load_idc
from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.evaluation import decode_doubts, tissue_scores, wrong


def test_a_run_on_digits_says_what_it_did():
    rows = study.classify_digits("digits", "cnn", seed=1, max_epochs=3)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["steps"] == 3 * 41  # 1,437 digits less 144 for validation, 32 a step
    assert rows[-1]["parameters"] == 6_732
    n_wrong = round((1 - rows[-1]["test_accuracy"]) * 360)
    assert abs(len(wrong(decode_doubts(rows[-1]["doubts"]))) - n_wrong) <= 1  # in whole percent, two may tie
    assert all(0 < row["valid_acc"] <= 1 for row in rows)


def test_choices_are_made_without_a_look_at_the_test():
    rows = study.classify_digits("digits", "cnn", seed=1, max_epochs=1, tested=False)
    assert not any(name.startswith("test") or name == "doubts" for row in rows for name in row)


def test_permuted_rows_are_the_same_rows_in_one_order_for_all():
    images = np.arange(2 * 6 * 3).reshape(2, 1, 6, 3)
    permuted = study._in_order(images, "permuted rows")
    order = permuted[0, 0, :, 0] // 3
    assert sorted(order) == list(range(6))
    assert order.tolist() != list(range(6))
    np.testing.assert_array_equal(permuted, images[:, :, order])


@pytest.fixture
def tissue(tmp_path, monkeypatch):
    """Twenty patients with four patches of each class, bright ones positive, in the official layout."""
    rng = np.random.default_rng(0)
    path = tmp_path / "idc.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for patient in range(20):
            for number in range(8):
                positive = number % 2
                pixels = rng.integers(0, 100, (50, 50, 3), dtype=np.uint8) + np.uint8(100 * positive)
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG")
                name = f"{patient}/{positive}/{patient}_idx5_x{50 * number + 1}_y1_class{positive}.png"
                archive.writestr(name, file.getvalue())
    monkeypatch.setattr(study, "load_idc", lambda: load_idc(path, cached=False))
    monkeypatch.setattr(study, "tissue_scores", partial(tissue_scores, n_resamples=20))


def test_a_run_on_tissue_keeps_patients_apart_and_scores_them(tissue):
    whole = study.load_idc()
    parts = study.tissue_parts(whole, "by patient", seed=0)
    patients = [set(whole.groups[part]) for part in parts]
    assert sum(map(len, parts)) == len(whole)
    assert [len(part) for part in patients] == [12, 4, 4]
    assert len(set.union(*patients)) == 20
    last = study.classify_tissue("cnn", "by patient", seed=0, max_epochs=40)[-1]
    assert (last["n_patients"], last["n_patches"], last["positive_rate"]) == (4, 32, 0.5)
    assert last["accuracy"] == last["accuracy_low"] == 1  # bright against dark
    chosen = study.classify_tissue("cnn", "by patch", seed=0, max_epochs=1, tested=False)[-1]
    assert chosen["n_patches"] == 32


def test_runs_on_patches_of_a_satellite_image(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 5
    images = rng.random((120, 4, 8, 8), dtype=np.float32) * 0.1 + labels[:, None, None, None] * 0.1
    data = LabelledImages(images, labels, tuple("abcde"), groups=np.arange(120) // 30)
    monkeypatch.setattr(study, "read_patches", lambda random_state: data)
    found = study.classify_patches(study.FOREST, "by block", seed=0, pixels="shuffled")
    assert found["accuracy"] == found["balanced_accuracy"] == found["balanced_accuracy_turned"] == 1
    assert (found["n_train"], found["n_test"]) == (90, 30)
    assert study.classify_patches("cnn", "by patch", seed=0)["accuracy"] > 0.5  # a fifth by chance


def test_the_quick_profile_runs_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "NETWORKS", ("cnn",))
    first = study.run("quick", tmp_path)["digits"]
    assert first.groupby("seed").size().tolist() == [20, 20, 20]
    study.run("quick", tmp_path)
    again = load_runs(tmp_path / "digits")
    assert again["seconds"].tolist() == first["seconds"].tolist()
    with pytest.raises(ClassificationError, match="profile 'paper' found, one of quick, full expected"):
        study.run("paper", tmp_path)


def test_every_planned_case_has_the_arguments_of_its_function():
    for function, cases, n_seeds, _ in study.full_grids().values():
        assert n_seeds >= 1
        for case in cases:
            inspect.signature(function).bind(seed=0, **case)
