"""Torch networks behind skorch: the same seeds give the same weights, and a killed run goes on where it was.

All randomness of an epoch, the order of the samples and what dropout drops, comes from one seed that is made of the
caller's seed and the number of the epoch; the learning rate is a function of the number of the step. So weights and
state of the optimizer after an epoch are all that a checkpoint needs.
"""

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as save_tensors
from sklearn.base import BaseEstimator, clone
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import nn
from tqdm import tqdm

from millpond.augmentation import AUGMENTATIONS
from millpond.errors import MillpondError
from millpond.files import replacing


class TrainingError(MillpondError):
    """A network can't be trained, saved or loaded as asked."""


def best_device() -> str:
    """ "cuda" where there is a GPU that torch can use, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's random numbers from a seed; afterwards they go on as if nothing had happened."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


class Batches(torch.utils.data.Dataset):
    """Samples that are fetched a batch at a time: one indexing instead of one a sample. Goes with `as_batch`."""

    def __init__(self, X: np.ndarray, y: np.ndarray | None = None):
        self.X = torch.as_tensor(X)
        self.y = torch.zeros(len(self.X)) if y is None else torch.as_tensor(y)

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.X[i], self.y[i]

    def __getitems__(self, indexes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.X[indexes], self.y[indexes]


def as_batch(batch):
    """The collate function of `Batches`: they are batches already."""
    return batch


class Seeds(Callback):
    """Give each epoch random numbers of its own."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_epoch_begin(self, net, **kwargs) -> None:
        torch.manual_seed(int(np.random.SeedSequence([self.seed, len(net.history)]).generate_state(1)[0]))


class OneCycle(Callback):
    """Learning rate that rises for three tenths of the steps and falls for the rest, both along a cosine.

    Source: Smith and Topin 2018, doi:10.1117/12.2520589; the shape is that of `torch.optim.lr_scheduler.OneCycleLR`.
    """

    def __init__(self, highest: float, rise: float = 0.3):
        self.highest = highest
        self.rise = rise

    def on_train_begin(self, net, X=None, **kwargs) -> None:
        self.steps_an_epoch_ = len(net.get_iterator(net.get_dataset(X), training=True))
        self.step_ = (len(net.history)) * self.steps_an_epoch_

    def on_batch_begin(self, net, batch=None, training=False, **kwargs) -> None:
        if training:
            for group in net.optimizer_.param_groups:
                group["lr"] = self.rate(self.step_ / (net.max_epochs * self.steps_an_epoch_))
            self.step_ += 1

    def rate(self, done: float) -> float:
        """Learning rate after a share of all steps."""
        if done < self.rise:
            low, high, along = self.highest / 25, self.highest, done / self.rise
        else:
            low, high, along = self.highest, self.highest / 25e4, (done - self.rise) / (1 - self.rise)
        return high + (low - high) * (1 + math.cos(math.pi * along)) / 2


class Bar(Callback):
    """A progress bar on stderr, a unit an epoch, with the losses of the last one."""

    def on_train_begin(self, net, **kwargs) -> None:
        self.bar_ = tqdm(total=net.max_epochs, initial=len(net.history), unit="epoch", disable=None)

    def on_epoch_end(self, net, **kwargs) -> None:
        last = net.history[-1]
        self.bar_.set_postfix({name: f"{last[name]:.4f}" for name in ("train_loss", "valid_loss") if name in last})
        self.bar_.update()

    def on_train_end(self, net, **kwargs) -> None:
        self.bar_.close()


class NoImprovement(Exception):
    """Training has stopped early."""


class Patience(Callback):
    """Stop when the loss on held-out samples has not fallen for some epochs; must come after `Checkpoint`.

    The weights are those of the last epoch, and with `OneCycle` the rate has not come down yet: it tells when training
    is hopeless, and doesn't choose the best weights.
    """

    def __init__(self, n_epochs: int):
        self.n_epochs = n_epochs

    def on_train_begin(self, net, **kwargs) -> None:
        self.on_epoch_end(net)  # a resumed run may have stopped already

    def on_epoch_end(self, net, **kwargs) -> None:
        losses = net.history[:, "valid_loss"] if net.history else []
        if len(losses) and len(losses) - 1 - int(np.argmin(losses)) >= self.n_epochs:
            raise NoImprovement


class Checkpoint(Callback):
    """Write a checkpoint after each epoch, or after those by whose end some minutes have passed, and after the last."""

    def __init__(self, path: str | Path, settings: dict, minutes: float = 0.0):
        self.path = Path(path)
        self.settings = settings
        self.minutes = minutes
        self.written_ = time.monotonic()

    def on_epoch_end(self, net, **kwargs) -> None:
        if time.monotonic() - self.written_ < 60 * self.minutes and len(net.history) < net.max_epochs:
            return
        self.written_ = time.monotonic()
        content = {
            "settings": json.dumps(self.settings, sort_keys=True),
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": json.dumps([row | {"batches": []} for row in net.history.to_list()], default=float),
        }
        with replacing(self.path, TrainingError) as unfinished:
            torch.save(content, unfinished)


def resume(net: NeuralNet, path: str | Path, settings: dict) -> None:
    """Bring an initialized net to the state of a checkpoint, if there is one.

    Raises
    ------
    TrainingError
        If the checkpoint is unreadable or of a run with other settings.
    """
    path = Path(path)
    if not path.exists():
        return
    try:
        content = torch.load(path, weights_only=True, map_location=net.device)
        found = json.loads(content["settings"])
    except Exception as error:  # torch has no single exception for a file that is none of its own
        raise TrainingError(
            f"{path}: no complete checkpoint found ({type(error).__name__}), one of this run expected. Delete it to "
            "start anew."
        ) from error
    if found != settings:
        different = sorted(name for name in {*found, *settings} if found.get(name) != settings.get(name))
        raise TrainingError(
            f"{path}: a checkpoint of a run with other settings found ({', '.join(different)}), the same expected. "
            "Choose another file, or delete this one."
        )
    net.module_.load_state_dict(content["module"])
    net.optimizer_.load_state_dict(content["optimizer"])
    net.history_ = History(json.loads(content["history"]))


def fingerprint(estimator: BaseEstimator, *samples: np.ndarray) -> dict:
    """What a checkpoint has to agree with: the estimator's settings, and the samples of its training and validation."""
    free = ("checkpoint", "checkpoint_minutes", "progress")
    settings = {name: value for name, value in estimator.get_params().items() if name not in free}
    state = hashlib.sha256()
    for array in samples:
        state.update(f"{array.dtype}{array.shape}".encode())
        state.update(np.ascontiguousarray(array))
    # numpy's numbers and torch's devices as what JSON knows
    plain = json.dumps(settings, default=lambda value: value.item() if isinstance(value, np.generic) else str(value))
    return json.loads(plain) | {"samples": state.hexdigest()}


def train(net: NeuralNet, X, y) -> None:
    """Train an initialized net until it has `max_epochs` epochs in its history, or a callback stops it early."""
    with contextlib.suppress(NoImprovement):
        net.notify("on_train_begin", X=X, y=y)
        todo = net.max_epochs - len(net.history)
        if todo > 0:
            net.fit_loop(X, y, epochs=todo)
    net.notify("on_train_end", X=X, y=y)


def save_weights(module: nn.Module, path: str | Path, about: dict) -> None:
    """Write weights as safetensors, in one step, and what is needed to use them (JSON)."""
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    with replacing(path, TrainingError) as unfinished:
        unfinished.write_bytes(save_tensors(tensors, {"about": json.dumps(about)}))


def load_weights(build: Callable[[dict], nn.Module], path: str | Path) -> nn.Module:
    """Read what `save_weights` wrote.

    Parameters
    ----------
    build : callable
        Makes the module from what was said about it.
    path : path

    Raises
    ------
    TrainingError
        If the file is missing, unreadable or of another network.
    """
    try:
        with safe_open(path, "pt") as file:
            module = build(json.loads(file.metadata()["about"]))
            module.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
    except Exception as error:  # safetensors and torch raise errors of their own kinds
        raise TrainingError(
            f"{path}: no weights of this network found ({' '.join(str(error).split())[:200]}), a safetensors file as "
            "saved expected. Check the path and the network."
        ) from error
    return module


class TorchEstimator(BaseEstimator):
    """What estimators with a torch network share: one way to train, resume, stop, save and load.

    A subclass has the parameters `augmentation`, `max_epochs`, `batch_size`, `learning_rate`, `weight_decay`,
    `patience`, `checkpoint`, `device`, `random_state` and `progress`. It may have those that are set here, too.
    """

    schedule = "one-cycle"
    checkpoint_minutes = 0.0

    @property
    def network_(self) -> nn.Module:
        return self.net_.module_

    @property
    def history_(self) -> list[dict]:
        kept = ("_loss", "_mae", "_acc", "_iou", "_mcc")
        rows = self.net_.history
        return [{name: row[name] for name in row if name in ("epoch", "dur") or name.endswith(kept)} for row in rows]

    def _check_ranges(self, error: type[MillpondError], more: dict[str, tuple]) -> None:
        """Refuse settings out of their range; `more` by name: type, whether a value fits, what is expected."""
        ranges = {
            "max_epochs": (Integral, lambda n: n >= 1, "an integer of 1 or more"),
            "batch_size": (Integral, lambda n: n >= 1, "an integer of 1 or more"),
            "random_state": (Integral, lambda n: n >= 0, "an integer of 0 or more"),
            "learning_rate": (Real, lambda rate: rate >= 0, "a number of 0 or more"),
            "weight_decay": (Real, lambda decay: decay >= 0, "a number of 0 or more"),
            "patience": (Integral | None, lambda n: n is None or n >= 1, "None or an integer of 1 or more"),
        }
        for name, (kind, fits, expected) in (more | ranges).items():
            value = getattr(self, name)
            if not (isinstance(value, kind) and fits(value)):
                raise error(f"{name}={value!r} found, {expected} expected. Set it so.")

    def _settings_of_net(self) -> dict:
        """Arguments of a skorch net, but for what is to be learnt."""
        callbacks = [Seeds(self.random_state)]
        if self.schedule == "one-cycle":
            callbacks.append(OneCycle(float(self.learning_rate)))
        if self.progress:
            callbacks.append(Bar())
        return {
            "optimizer": torch.optim.AdamW,
            "optimizer__weight_decay": float(self.weight_decay),
            "lr": float(self.learning_rate),
            "max_epochs": int(self.max_epochs),
            "batch_size": int(self.batch_size),
            "dataset": Batches,
            "iterator_train__shuffle": True,
            "iterator_train__collate_fn": self._changed,
            "iterator_valid__collate_fn": as_batch,
            "callbacks": callbacks,
            "callbacks__print_log": None,
            "device": best_device() if self.device == "auto" else self.device,
        }

    def _changed(self, batch):
        X, y = batch
        return (X if self.augmentation is None else AUGMENTATIONS[self.augmentation](X)), y

    def _train(self, net: NeuralNet, X, y, samples: Sequence[np.ndarray]) -> None:
        """Train an initialized net, from a checkpoint on if there is one of the same settings and `samples`."""
        if self.checkpoint is not None:
            settings = fingerprint(self, *samples)
            resume(net, self.checkpoint, settings)
            net.callbacks_.append(("checkpoint", Checkpoint(self.checkpoint, settings, self.checkpoint_minutes)))
        if self.patience is not None:
            net.callbacks_.append(("patience", Patience(self.patience)))
        train(net, X, y)
        self.net_ = net

    def _load(self, path: str | Path, build: Callable[["TorchEstimator", dict], NeuralNet]) -> None:
        """Take over saved weights; nothing is changed if they can't be read.

        Parameters
        ----------
        path : path
        build : callable
            Sets the fitted attributes of an estimator from what was said about the weights, and returns its net.
        """
        loaded = clone(self)

        def built(about: dict) -> nn.Module:
            loaded.net_ = build(loaded, about)
            return loaded.network_

        with seeded(0):
            load_weights(built, path)
        vars(self).update({name: value for name, value in vars(loaded).items() if name.endswith("_")})


class MixedPrecision:
    """For skorch nets: half precision on a GPU; loss and predictions in full precision."""

    def infer(self, x, **fit_params):
        with torch.autocast("cuda", torch.bfloat16, enabled=str(self.device).startswith("cuda")):
            return super().infer(x, **fit_params).float()
