import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from millpond.level.errors import LevelError
from millpond.level.regressor import LevelRegressor
from millpond.training import Checkpoint, TrainingError

SMALL = {"max_epochs": 2, "batch_size": 8, "device": "cpu"}


def lakes(n=24, seed=0):
    """Images (n, 2, 32, 32) with water up to a level, and the levels in metres."""
    rng = np.random.default_rng(seed)
    level_m = rng.uniform(500, 520, n)
    water = np.arange(32) < ((level_m - 496) * 1.2)[:, None, None]
    water = np.broadcast_to(water, (n, 32, 32))
    images = np.stack([np.where(water, 0.08, 0.05), np.where(water, 0.03, 0.25)], axis=1)
    return (images + rng.normal(0, 0.003, images.shape)).astype(np.float32), level_m


X, Y = lakes()


def weights(model):
    return [value.numpy() for value in model.network_.state_dict().values()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.fixture(scope="module")
def fitted():
    return LevelRegressor("channel", **SMALL).fit(X, Y)


def test_the_training_loss_falls():
    losses = [row["train_loss"] for row in LevelRegressor(**SMALL | {"max_epochs": 16}).fit(X, Y).history_]
    assert losses[-1] < 0.5 * losses[0]


def test_scales_come_from_the_training_dates_alone():
    model = LevelRegressor(**SMALL | {"max_epochs": 1}, validation_size=0.25).fit(X, Y)
    train, valid, y_train, _ = train_test_split(X, Y, test_size=0.25, random_state=0)
    assert (model.lowest_m_, model.highest_m_) == (y_train.min(), y_train.max())
    np.testing.assert_allclose(model.band_mean_, train.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(model.band_std_, train.std(axis=(0, 2, 3)), rtol=1e-5)
    assert len(model.history_) == 1
    assert model.history_[0]["valid_loss"] > 0
    assert len(valid) == 6


def test_the_same_seed_gives_the_same_bits(fitted):
    assert same(fitted, clone(fitted).fit(X, Y))
    assert not same(fitted, clone(fitted).set_params(random_state=1).fit(X, Y))


class Killed(Exception):
    pass


@pytest.mark.parametrize("n", [24, 17])  # of 17, a last batch of one is left out
def test_a_stopped_fit_goes_on_to_the_same_weights(n, tmp_path, monkeypatch):
    X, Y = lakes()
    X, Y = X[:n], Y[:n]
    whole = LevelRegressor("channel", **SMALL).fit(X, Y)
    write = Checkpoint.on_epoch_end

    def write_and_die(self, net, **kwargs):
        write(self, net, **kwargs)
        raise Killed

    path = tmp_path / "epoch.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", write_and_die)
        with pytest.raises(Killed):
            LevelRegressor("channel", **SMALL, checkpoint=path).fit(X, Y)
    resumed = LevelRegressor("channel", **SMALL, checkpoint=path).fit(X, Y)
    assert same(whole, resumed)
    with pytest.raises(TrainingError, match=r"other settings found \(samples\)"):
        LevelRegressor("channel", **SMALL, checkpoint=path).fit(X, Y + 1)


def test_watched_dates_change_no_weight():
    alone = LevelRegressor(**SMALL).fit(X[:16], Y[:16])
    watched = LevelRegressor(**SMALL).fit(X[:16], Y[:16], watched=(X[16:], Y[16:]))
    assert same(alone, watched)
    error_m = np.abs(watched.predict(X[16:]) - Y[16:]).mean()
    scaled = watched.history_[-1]["valid_mae"]
    assert scaled * (watched.highest_m_ - watched.lowest_m_) == pytest.approx(error_m, rel=1e-4)


def test_a_constant_rate_stays():
    fitted = LevelRegressor(**SMALL, schedule="constant").fit(X[:16], Y[:16])
    assert {group["lr"] for group in fitted.net_.optimizer_.param_groups} == {1e-3}


def test_checkpoints_are_as_rare_as_asked_and_the_last_epoch_has_one(tmp_path, monkeypatch):
    path, seen = tmp_path / "epoch.pt", []
    write = Checkpoint.on_epoch_end
    monkeypatch.setattr(
        Checkpoint, "on_epoch_end", lambda self, net, **kw: (write(self, net, **kw), seen.append(path.exists()))
    )
    LevelRegressor(**SMALL, checkpoint=path, checkpoint_minutes=60).fit(X[:16], Y[:16])
    assert seen == [False] * (SMALL["max_epochs"] - 1) + [True]


def test_the_learning_rate_falls_to_its_end_without_the_batch_of_one():
    fitted = LevelRegressor(**SMALL).fit(X[:17], Y[:17])
    cycle = dict(fitted.net_.callbacks_)["OneCycle"]
    assert cycle.step_ == SMALL["max_epochs"] * 2 == sum(fitted.net_.history[:, "train_batch_count"])
    assert fitted.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(cycle.rate(0.75))


def test_saved_weights_predict_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "level.safetensors")
    loaded = LevelRegressor("channel", **SMALL).load(tmp_path / "level.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    with pytest.raises(TrainingError, match=r"level\.safetensors: no weights of this network found"):
        LevelRegressor(**SMALL).load(tmp_path / "level.safetensors")


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({}, {"X": X[:, 0]}, r"images of shape \(24, 32, 32\) found, \(n_dates, n_bands, rows, cols\) expected"),
        ({}, {"y": Y[:5]}, r"levels of shape \(5,\) for 24 images found"),
        ({}, {"y": np.full(24, 3.0)}, "a constant level of 3 m found"),
        ({}, {"y": np.where(Y > 510, np.nan, Y)}, "NaN or infinite levels found"),
        ({}, {"X": np.where(X < 0.03, np.nan, X)}, "images with NaN or infinite values found"),
        ({"augmentation": "affine"}, {}, "augmentation='affine' found, None or dihedral expected"),
        ({"augmentation": "dihedral"}, {"X": X[:, :, :8]}, "images of 8 x 32 pixels found, square ones expected"),
        ({"patience": 2}, {}, "patience without validation dates found"),
        ({"random_state": -1}, {}, "random_state=-1 found"),
        ({"max_epochs": 0}, {}, "max_epochs=0 found, an integer of 1 or more expected"),
        ({"batch_size": 2.5}, {}, "batch_size=2.5 found, an integer of 1 or more expected"),
        ({"learning_rate": -1}, {}, "learning_rate=-1 found, a number of 0 or more expected"),
        ({"validation_size": 2.0}, {}, "validation_size=2.0 found, a share from 0 to below 1 expected"),
    ],
)
def test_what_cannot_train_is_refused(settings, change, message):
    with pytest.raises(LevelError, match=message):
        LevelRegressor(**SMALL | settings).fit(**{"X": X, "y": Y} | change)


def test_images_of_other_bands_are_refused(fitted):
    with pytest.raises(LevelError, match="images of 1 bands found, 2 as in the training expected"):
        fitted.predict(X[:, :1])
