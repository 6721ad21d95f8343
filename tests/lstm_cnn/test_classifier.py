import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split

from millpond.augmentation import AUGMENTATIONS
from millpond.lstm_cnn.classifier import SequenceClassifier
from millpond.lstm_cnn.errors import ClassificationError
from millpond.training import Checkpoint, OneCycle, TrainingError

DIGITS = load_digits()
IMAGES = (DIGITS.images * 255 / 16).astype(np.uint8)[:, None]
X, X_TEST, Y, Y_TEST = train_test_split(IMAGES, DIGITS.target, stratify=DIGITS.target, random_state=0)
SMALL = {"hidden": 16, "filters": 16, "batch_size": 64, "learning_rate": 1e-2, "device": "cpu"}


def weights(classifier):
    return [value.numpy() for value in classifier.network_.state_dict().values()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.fixture(scope="module")
def fitted():
    return SequenceClassifier(**SMALL, max_epochs=6).fit(X, Y)


def test_real_digits_are_learnt(fitted):
    assert fitted.score(X_TEST, Y_TEST) > 0.9
    probabilities = fitted.predict_proba(X_TEST[:7])
    assert probabilities.shape == (7, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_leaves_others_randomness_alone(fitted):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = SequenceClassifier(**SMALL, max_epochs=6).fit(X, Y)
    assert torch.equal(torch.rand(1), expected)
    assert same(fitted, again)
    assert not same(fitted, clone(again).set_params(random_state=1).fit(X, Y))


def test_words_are_classes_too():
    names = np.array(["even", "odd"])[Y % 2]
    model = SequenceClassifier("cnn", **SMALL, max_epochs=3).fit(X, names)
    assert model.classes_.tolist() == ["even", "odd"]
    assert set(model.predict(X_TEST)) == {"even", "odd"}


class Killed(Exception):
    pass


def kill_after(monkeypatch, n_epochs):
    write = Checkpoint.on_epoch_end

    def write_and_die(self, net, **kwargs):
        write(self, net, **kwargs)
        if len(net.history) == n_epochs:
            raise Killed

    monkeypatch.setattr(Checkpoint, "on_epoch_end", write_and_die)


def test_a_stopped_fit_goes_on_to_the_same_weights(fitted, tmp_path, monkeypatch):
    settings = SMALL | {"max_epochs": 6, "checkpoint": tmp_path / "epoch.pt"}
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(Killed):
            SequenceClassifier(**settings).fit(X, Y)
    resumed = SequenceClassifier(**settings).fit(X, Y)
    assert same(fitted, resumed)
    assert [row["train_loss"] for row in resumed.history_] == [row["train_loss"] for row in fitted.history_]
    finished = SequenceClassifier(**settings).fit(X, Y)  # nothing is left to do
    assert same(fitted, finished)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_classifier import Checkpoint, SMALL, SequenceClassifier, X, Y, torch
torch.set_num_threads(1)  # the number of threads decides the order of sums
write = Checkpoint.on_epoch_end
def write_and_die(self, net, **kwargs):
    write(self, net, **kwargs)
    if len(net.history) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.on_epoch_end = write_and_die
SequenceClassifier(**SMALL, max_epochs=6, checkpoint={path!r}).fit(X, Y)
"""


def test_a_killed_process_goes_on_to_the_same_metrics(fitted, tmp_path):
    path = str(tmp_path / "epoch.pt")
    script = KILLED.format(tests=os.path.dirname(__file__), path=path)
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    resumed = SequenceClassifier(**SMALL, max_epochs=6, checkpoint=path).fit(X, Y)
    assert resumed.score(X_TEST, Y_TEST) == fitted.score(X_TEST, Y_TEST)
    assert same(fitted, resumed)


def test_checkpoints_of_other_runs_or_none_at_all_are_refused(tmp_path):
    path = tmp_path / "epoch.pt"
    settings = SMALL | {"max_epochs": 1, "checkpoint": path}
    SequenceClassifier("cnn", **settings).fit(X, Y)
    with pytest.raises(
        TrainingError, match=r"a checkpoint of a run with other settings found \(max_epochs\), the same"
    ):
        SequenceClassifier("cnn", **settings | {"max_epochs": 2}).fit(X, Y)
    with pytest.raises(TrainingError, match=r"other settings found \(samples\)"):
        SequenceClassifier("cnn", **settings).fit(X[::-1], Y)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"epoch\.pt: no complete checkpoint found .* Delete it to start anew"):
        SequenceClassifier("cnn", **settings).fit(X, Y)


def test_training_stops_when_held_out_samples_get_no_better(tmp_path):
    settings = SMALL | {"max_epochs": 40, "learning_rate": 0.3, "validation_size": 0.3, "patience": 2}
    stopped = SequenceClassifier("cnn", **settings, checkpoint=tmp_path / "epoch.pt").fit(X, Y)
    losses = [row["valid_loss"] for row in stopped.history_]
    assert len(losses) < 40
    assert int(np.argmin(losses)) == len(losses) - 3
    again = SequenceClassifier("cnn", **settings, checkpoint=tmp_path / "epoch.pt").fit(X, Y)
    assert len(again.history_) == len(losses)


def test_held_out_samples_never_train():
    settings = SMALL | {"max_epochs": 2, "validation_size": 0.25}
    model = SequenceClassifier("cnn", **settings).fit(X, Y)
    train, _, target, _ = train_test_split(X, Y, test_size=0.25, stratify=Y, random_state=0)
    alone = SequenceClassifier("cnn", **settings | {"validation_size": 0.0}).fit(train, target)
    assert same(model, alone)


def test_validation_samples_are_watched_and_never_train(fitted, tmp_path):
    settings = SMALL | {"max_epochs": 6, "checkpoint": tmp_path / "epoch.pt"}
    watched = SequenceClassifier(**settings).fit(X, Y, validation=(X_TEST, Y_TEST))
    assert same(watched, fitted)
    assert watched.history_[-1]["valid_acc"] == fitted.score(X_TEST, Y_TEST)
    with pytest.raises(TrainingError, match=r"other settings found \(samples\)"):
        SequenceClassifier(**settings).fit(X, Y, validation=(X_TEST[1:], Y_TEST[1:]))
    with pytest.raises(ClassificationError, match=r"validation samples of shape .* with classes \[11\] found"):
        SequenceClassifier(**SMALL).fit(X, Y, validation=(X_TEST, np.full(len(X_TEST), 11)))


def test_the_training_accuracy_is_that_of_the_epochs_batches():
    whole = SMALL | {"learning_rate": 0.0, "dropout": 0.0, "max_epochs": 1, "batch_size": len(X)}
    untrained = SequenceClassifier("cnn", **whole).fit(X, Y)
    with torch.no_grad():  # in training, batch normalization goes by the batch, which is everything here
        seen = untrained.network_.train()(torch.as_tensor(X)).argmax(dim=1).numpy()
    assert untrained.history_[0]["train_acc"] == pytest.approx((seen == Y).mean())


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_augmentation_changes_training_alone_and_by_the_seed(augmentation):
    settings = SMALL | {"max_epochs": 1, "augmentation": augmentation}
    once, again = (SequenceClassifier("cnn", **settings).fit(X, Y) for _ in range(2))
    assert same(once, again)
    assert not same(once, SequenceClassifier("cnn", **settings | {"augmentation": None}).fit(X, Y))
    assert not same(once, SequenceClassifier("cnn", **settings, random_state=1).fit(X, Y))
    np.testing.assert_array_equal(once.predict_proba(X_TEST), once.predict_proba(X_TEST))


def test_a_committee_is_scikit_learns_voting_classifier():
    members = [(f"seed {seed}", SequenceClassifier("cnn", **SMALL, max_epochs=3, random_state=seed)) for seed in (0, 1)]
    together = VotingClassifier(members, voting="soft").fit(X, Y)
    alone = [member.predict_proba(X_TEST) for member in together.estimators_]
    np.testing.assert_allclose(together.predict_proba(X_TEST), np.mean(alone, axis=0))


def test_saved_weights_predict_the_same(fitted, tmp_path):
    path = tmp_path / "digits.safetensors"
    fitted.save(path)
    loaded = SequenceClassifier(**SMALL).load(path)
    np.testing.assert_array_equal(loaded.predict_proba(X_TEST), fitted.predict_proba(X_TEST))
    np.testing.assert_array_equal(loaded.predict(X_TEST), fitted.predict(X_TEST))
    other = SequenceClassifier("lstm", **SMALL)
    with pytest.raises(TrainingError, match=r"digits\.safetensors: no weights of this network found"):
        other.load(path)
    with pytest.raises(NotFittedError):
        other.predict(X_TEST)


def test_names_of_classes_are_saved_too(tmp_path):
    names = np.array(["even, or 0", "odd"])[Y % 2]
    model = SequenceClassifier("cnn", **SMALL, max_epochs=1).fit(X, names)
    model.save(tmp_path / "parity.safetensors")
    loaded = SequenceClassifier("cnn", **SMALL).load(tmp_path / "parity.safetensors")
    np.testing.assert_array_equal(loaded.predict(X_TEST), model.predict(X_TEST))


def test_half_precision_ends_in_full_probabilities(monkeypatch):
    def on_cpu(_, dtype, enabled):
        return autocast("cpu", dtype)

    autocast = torch.autocast
    monkeypatch.setattr(torch, "autocast", on_cpu)
    model = SequenceClassifier("cnn", **SMALL, max_epochs=4).fit(X, Y)
    assert model.predict_proba(X_TEST).dtype == np.float32
    assert model.score(X_TEST, Y_TEST) > 0.7


def test_a_checkpoint_takes_numpys_numbers(tmp_path):
    settings = SMALL | {"max_epochs": np.int64(1), "random_state": np.int64(3), "checkpoint": tmp_path / "epoch.pt"}
    once, again = (SequenceClassifier("cnn", **settings | {"learning_rate": np.float64(0.01)}).fit(X, Y) for _ in "12")
    assert same(once, again)


def test_the_rate_is_that_of_torchs_one_cycle():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=1001)
    ours = OneCycle(0.02)
    assert [ours.rate(done) for done in (0, 0.15, 0.3, 1)] == pytest.approx([0.0008, 0.0104, 0.02, 0.02 / 25e4])
    for step in range(1000):
        # theirs ends the rise a step earlier
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours.rate(step / 1000), rel=0.01, abs=1e-6)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": X[:, 0]}, r"images of shape \(1347, 8, 8\) found, \(n, channels, rows, cols\) expected"),
        ({"y": Y[:5]}, r"labels of shape \(5,\) for 1347 images found, one for each expected"),
        ({"y": np.zeros(len(X))}, "1 class found, two or more expected"),
        ({"X": np.where(X == 0, np.nan, X)}, "images with NaN or infinite values found"),
        ({"X": X.astype(int)}, "images of int64 found, uint8 or float expected"),
    ],
)
def test_samples_that_cannot_train_are_refused(change, message):
    with pytest.raises(ClassificationError, match=message):
        SequenceClassifier(**SMALL).fit(**{"X": X, "y": Y} | change)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 3}, "patience without a validation part found"),
        ({"patience": 0, "validation_size": 0.2}, "patience=0 found, None or an integer of 1 or more expected"),
        ({"random_state": -1}, "random_state=-1 found, an integer of 0 or more expected"),
        ({"max_epochs": 0}, "max_epochs=0 found, an integer of 1 or more expected"),
        ({"max_epochs": 2.5}, "max_epochs=2.5 found"),
        ({"batch_size": 0}, "batch_size=0 found"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 found, a number of 0 or more expected"),
        ({"dropout": 1.5}, "dropout=1.5 found, a share from 0 to below 1 expected"),
        ({"validation_size": -0.2}, "validation_size=-0.2 found, a share from 0 to below 1 expected"),
        ({"validation_size": 0.001}, "validation_size=0.001 of 1347 images found, which leaves a class out"),
        ({"augmentation": "mixup"}, "augmentation='mixup' found, None or one of affine, dihedral expected"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ClassificationError, match=message):
        SequenceClassifier(**SMALL | settings).fit(X, Y)


def test_images_of_other_sizes_are_refused(fitted):
    with pytest.raises(ClassificationError, match=r"images of shape \(1, 8, 4\) found, \(1, 8, 8\) as in the training"):
        fitted.predict(X_TEST[..., :4])
    with pytest.raises(ClassificationError, match="images of 8 x 4 pixels found, square ones expected"):
        SequenceClassifier(**SMALL, augmentation="dihedral").fit(X[..., :4], Y)
