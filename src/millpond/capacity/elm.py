"""Extreme learning machines, with input weights left as drawn or tuned by a particle swarm.

The hidden layer is random and only the output weights are fitted, by linear least squares. So a fit is one
decomposition, and the leave-one-out error has a closed form: the swarm can be led by an error that the training samples
alone give and that doesn't shrink as the machine memorizes them.

The random layer presupposes inputs of about -1 to 1: put a StandardScaler or MinMaxScaler before it in a Pipeline.
There is no output bias, as in the study's equation (2): a penalized machine (`alpha`) is drawn to 0, so centre the
target then.

Source: Huang et al. 2006, doi:10.1016/j.neucom.2005.12.126, and the study, Hydrology Research 53(7), 1001 (2022),
equation (2) and the steps of PSO-ELM; for the leave-one-out error Allen 1974, doi:10.1080/00401706.1974.10489157.
"""

from numbers import Integral

import numba
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from millpond.capacity.errors import CapacityError
from millpond.capacity.swarm import ParticleSwarm
from millpond.raster import unmasked

ACTIVATIONS = ("sigmoid", "tanh", "relu", "rbf")
"""g(w x + b) for the first three; exp(-(b |x - w|)^2) for "rbf", a bump at w whose width is 1 / |b|."""

FITNESS = ("press", "training")
"""Root mean square of the leave-one-out errors (PRESS is its square times the samples), or of the residuals."""

FITNESS_TOLERANCE = 1e-6
"""Largest relative difference between the fitness that leads the swarm and that of the exact fit (tested)."""

# Gram-Schmidt loses digits as neurons become alike, and leave-one-out errors count them in proportion to 1 - leverage.
# Layers below these limits are decomposed exactly; the rest stays well within FITNESS_TOLERANCE.
_LEAST_INDEPENDENCE = 1e-6
_LEAST_INDEPENDENT_SLACK = 1e-8
# Closer to leverage 1 than this, e / (1 - h) is 0 / 0 but for rounding: the sample is left out indeed.
_LEAST_SLACK = 1e-6
# A bump this far from a sample doesn't feel it; the squares of smaller numbers leave the range of float64.
_SILENT = 1e-100


class ELMRegressor(RegressorMixin, BaseEstimator):
    """Extreme learning machine: a random hidden layer and output weights by least squares.

    Parameters
    ----------
    n_hidden : int
        Neurons. With as many as samples it interpolates them.
    activation : "sigmoid", "tanh", "relu" or "rbf"
        See `ACTIVATIONS`.
    alpha : float
        Ridge penalty on the squared output weights, in squared units of a neuron's output; with 0, the Moore-Penrose
        pseudo-inverse.
    random_state : int, RandomState or None

    Attributes
    ----------
    weights_ : (n_hidden, n_features) array
        Uniform in [-1, 1), in units of 1 / input ("rbf": of the input).
    biases_ : (n_hidden,) array
        Likewise.
    coef_ : (n_hidden,) array
        Output weights, in units of the target.
    """

    def __init__(self, n_hidden=20, activation="sigmoid", alpha=0.0, random_state=None):
        self.n_hidden = n_hidden
        self.activation = activation
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X, y):
        """Draw the hidden layer and fit the output weights.

        Parameters
        ----------
        X : (n_samples, n_features) array
        y : (n_samples,) array

        Raises
        ------
        CapacityError
            If a setting is out of its range.
        """
        X, y = self._validate(X, y)
        rng = check_random_state(self.random_state)
        return self._fit_outputs(
            X, y, rng.uniform(-1, 1, (self.n_hidden, X.shape[1])), rng.uniform(-1, 1, self.n_hidden)
        )

    def predict(self, X):
        """(n_samples,) estimates, in units of the target."""
        check_is_fitted(self)
        X = validate_data(self, nan_where_masked(X), dtype=np.float64, reset=False)
        return self.coef_ @ hidden_layer(X, self.weights_, self.biases_, self.activation)

    def _validate(self, X, y):
        if not (isinstance(self.n_hidden, Integral) and self.n_hidden >= 1):
            raise CapacityError(f"n_hidden={self.n_hidden} found, an integer of 1 or more expected.")
        if self.activation not in ACTIVATIONS:
            raise CapacityError(f"activation {self.activation!r} found, one of {', '.join(ACTIVATIONS)} expected.")
        if not 0 <= self.alpha < np.inf:
            raise CapacityError(f"alpha={self.alpha} found, a finite number of 0 or more expected.")
        X, y = validate_data(self, nan_where_masked(X), nan_where_masked(y), dtype=np.float64, y_numeric=True)
        return X, y.astype(np.float64)

    def _fit_outputs(self, X, y, weights, biases):
        self.weights_, self.biases_ = weights, biases
        self.coef_ = output_weights(hidden_layer(X, weights, biases, self.activation), y, self.alpha)
        return self


class PSOELMRegressor(ELMRegressor):
    """Extreme learning machine whose input weights and biases a particle swarm looks for.

    A particle is one hidden layer; its fitness is that of the best output weights on the training samples. The study
    doesn't say what it computes the fitness of. No other sample is ever looked at, so there is nothing to leak.

    Parameters
    ----------
    n_hidden, activation, alpha
        As in `ELMRegressor`.
    fitness : "press" or "training"
        See `FITNESS`. The training error always prefers the layer that memorizes best.
    n_particles, max_iterations, inertia, c1, c2, tol, patience, random_state
        As in `ParticleSwarm`; `tol` is in units of the target.
    position_limit : float
        Largest absolute weight and bias.
    velocity_limit : float, optional
        Largest absolute change of a weight or bias in an iteration; `position_limit` where not stated.

    Attributes
    ----------
    weights_, biases_, coef_
        As in `ELMRegressor`.
    swarm_ : SwarmResult
        The search: `swarm_.fitness` in units of the target, `swarm_.history`.
    """

    def __init__(
        self,
        n_hidden=20,
        activation="sigmoid",
        alpha=0.0,
        fitness="press",
        n_particles=40,
        max_iterations=200,
        inertia=0.7298,
        c1=1.49618,
        c2=1.49618,
        position_limit=1.0,
        velocity_limit=None,
        tol=0.0,
        patience=None,
        random_state=None,
    ):
        super().__init__(n_hidden, activation, alpha, random_state)
        self.fitness = fitness
        self.n_particles = n_particles
        self.max_iterations = max_iterations
        self.inertia = inertia
        self.c1 = c1
        self.c2 = c2
        self.position_limit = position_limit
        self.velocity_limit = velocity_limit
        self.tol = tol
        self.patience = patience

    def fit(self, X, y):
        """Search for the hidden layer and fit the output weights.

        Parameters
        ----------
        X : (n_samples, n_features) array
        y : (n_samples,) array

        Raises
        ------
        CapacityError
            If a setting is out of its range.
        """
        X, y = self._validate(X, y)
        if self.fitness not in FITNESS:
            raise CapacityError(f"fitness {self.fitness!r} found, one of {', '.join(FITNESS)} expected.")
        swarm = ParticleSwarm(
            n_particles=self.n_particles,
            max_iterations=self.max_iterations,
            inertia=self.inertia,
            c1=self.c1,
            c2=self.c2,
            position_limits=(-self.position_limit, self.position_limit),
            velocity_limit=self.velocity_limit,
            tol=self.tol,
            patience=self.patience,
            random_state=self.random_state,
        )
        n_weights = self.n_hidden * X.shape[1]

        def layers(positions):
            weights, biases = positions[..., :n_weights], positions[..., n_weights:]
            return weights.reshape(*positions.shape[:-1], self.n_hidden, -1), biases

        def objective(positions):
            hidden = hidden_layer(X, *layers(positions), self.activation)
            return layer_fitness(hidden, y, self.alpha, self.fitness)

        self.swarm_ = swarm.minimize(objective, n_weights + self.n_hidden)
        return self._fit_outputs(X, y, *layers(self.swarm_.position))


def nan_where_masked(values):
    """Values of a masked array that scikit-learn then refuses, since it takes what is under a mask for data."""
    return unmasked(values) if np.ma.isMaskedArray(values) else values


def hidden_layer(X: np.ndarray, weights: np.ndarray, biases: np.ndarray, activation: str) -> np.ndarray:
    """Outputs of the hidden neurons, of one layer or of many at once.

    Parameters
    ----------
    X : (n_samples, n_features) array
    weights : (..., n_hidden, n_features) array
    biases : (..., n_hidden) array
    activation : str
        One of `ACTIVATIONS`.

    Returns
    -------
    (..., n_hidden, n_samples) array
        A row a neuron: all neurons of all layers come from one matrix product.
    """
    flat = weights.reshape(-1, weights.shape[-1])
    b = biases.reshape(-1, 1)
    if activation == "rbf":
        z = flat @ X.T
        z *= -2
        z += (flat**2).sum(axis=1)[:, None] + (X**2).sum(axis=1)
        np.clip(z, 0, None, out=z)  # a squared distance, but for rounding
        z *= -(b**2)
        np.exp(z, out=z)
        z[z < _SILENT] = 0
    else:
        slope = 0.5 if activation == "sigmoid" else 1
        z = np.hstack([flat, b]) * slope @ np.hstack([X, np.ones((len(X), 1))]).T
        if activation == "relu":
            np.clip(z, 0, None, out=z)
        else:
            np.tanh(z, out=z)
        if activation == "sigmoid":  # 1 / (1 + exp(-z)) = (tanh(z / 2) + 1) / 2, three times as fast this way
            z += 1
            z *= 0.5
    return z.reshape(*biases.shape, len(X))


def output_weights(hidden: np.ndarray, y: np.ndarray, alpha: float = 0.0) -> np.ndarray:
    """Output weights by ridge, or by the Moore-Penrose pseudo-inverse where alpha is 0.

    Parameters
    ----------
    hidden : (..., n_hidden, n_samples) array
        Of one layer or of many.
    y : (n_samples,) array
    alpha : float

    Returns
    -------
    (..., n_hidden) array
    """
    u, s, vt, gain = _decompose(hidden, alpha)
    return ((gain * s * (y @ u))[..., None, :] @ vt)[..., 0, :]


def layer_fitness(hidden: np.ndarray, y: np.ndarray, alpha: float = 0.0, fitness: str = "press") -> np.ndarray:
    """Fitness of many hidden layers, to `FITNESS_TOLERANCE` that of `output_weights` with each.

    Where a layer interpolates the samples, the training error is nothing but rounding errors.

    Parameters
    ----------
    hidden : (n_layers, n_hidden, n_samples) array
    y : (n_samples,) array
    alpha : float
    fitness : str
        One of `FITNESS`.

    Returns
    -------
    (n_layers,) array
        In units of y.
    """
    leave_one_out = fitness == "press"
    errors, slack = np.empty((2, len(hidden), len(y)))
    independence = np.empty(len(hidden))
    _orthogonalize(hidden, y, float(alpha), errors, slack, independence)
    trusted = independence > _LEAST_INDEPENDENCE
    if leave_one_out:
        trusted &= independence * slack.min(axis=1) > _LEAST_INDEPENDENT_SLACK
        np.divide(errors, slack, out=errors, where=trusted[:, None])
    if not trusted.all():
        errors[~trusted] = _exact_errors(hidden[~trusted], y, alpha, leave_one_out)
    return np.sqrt(np.einsum("ln,ln->l", errors, errors) / len(y))


# Sums in any order, so that they vectorize; loops, because temporary rows would take as long as the arithmetic.
@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def _product(rows, i, j):
    total = 0.0
    for n in range(rows.shape[1]):
        total += rows[i, n] * rows[j, n]
    return total


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _orthogonalize(hidden, y, alpha, errors, slack, independence):
    """Least squares of many layers by the modified Gram-Schmidt process; a layer fits the processor's cache.

    Fills errors (n_layers, n_samples), slack = 1 - leverage (likewise) and independence (n_layers,), the least distance
    of a neuron from the span of those before it as a share of the longest neuron: about 1 / condition number.
    """
    n_layers, n_hidden, n_samples = hidden.shape
    # Ridge is least squares with a sample more for each neuron, of target 0. Whole vectors of eight are faster.
    width = -(-(n_samples + (n_hidden if alpha > 0 else 0)) // 8) * 8
    rows = np.empty((n_hidden + 1, width))  # the last one is the target
    for layer in range(n_layers):
        rows[:, n_samples:] = 0
        rows[:n_hidden, :n_samples] = hidden[layer]
        rows[n_hidden, :n_samples] = y
        longest = 0.0
        for j in range(n_hidden):
            if alpha > 0:
                rows[j, n_samples + j] = np.sqrt(alpha)
            longest = max(longest, np.sqrt(_product(rows, j, j)))
        slack[layer] = 1
        independence[layer] = 1
        for j in range(n_hidden):
            length = np.sqrt(_product(rows, j, j))
            if length == 0 and not hidden[layer, j].any():
                continue  # a dead neuron gets no weight from the pseudo-inverse either
            independence[layer] = min(independence[layer], length / longest)
            if not independence[layer] > _LEAST_INDEPENDENCE:
                break
            shrink = 1 / length
            for n in range(width):
                rows[j, n] *= shrink
            for i in range(j + 1, n_hidden + 1):
                along = _product(rows, i, j)
                for n in range(width):
                    rows[i, n] -= along * rows[j, n]
            for n in range(n_samples):
                slack[layer, n] -= rows[j, n] ** 2
        errors[layer] = rows[n_hidden, :n_samples]


def _exact_errors(hidden, y, alpha, leave_one_out):
    """(n_layers, n_samples) errors by singular values, whatever the rank."""
    u, s, vt, gain = _decompose(hidden, alpha)
    projected = y @ u
    coef = (gain * s * projected)[:, None] @ vt
    errors = y - (coef @ hidden)[:, 0]
    if leave_one_out:
        squared = u**2
        slack = 1 - (squared @ (gain * s**2)[:, :, None])[:, :, 0]
        # A layer that can interpolate has residuals and slack of 0, or kept from it by alpha alone; their ratio is that
        # of [(H H' + alpha)^-1 y]_i and [(H H' + alpha)^-1]_ii, where H is samples by neurons.
        interpolates = (gain > 0).sum(axis=1, keepdims=True) == len(y)
        errors = np.where(interpolates, (u @ (gain * projected)[:, :, None])[:, :, 0], errors)
        slack = np.where(interpolates, (squared @ gain[:, :, None])[:, :, 0], slack)
        # In others, a sample that lights a neuron all but alone.
        for layer, i in np.argwhere(~interpolates & (slack < _LEAST_SLACK)):
            coef = output_weights(np.delete(hidden[layer], i, axis=1), np.delete(y, i), alpha)
            errors[layer, i], slack[layer, i] = y[i] - coef @ hidden[layer, :, i], 1
        errors /= slack
    return errors


def _decompose(hidden, alpha):
    """Singular vectors and values of samples by neurons, and 1 / (s^2 + alpha), or 0 where s counts as 0."""
    u, s, vt = np.linalg.svd(hidden.swapaxes(-1, -2), full_matrices=False)
    kept = s > max(hidden.shape[-2:]) * np.finfo(float).eps * s[..., :1]
    return u, s, vt, np.divide(1, s**2 + alpha, out=np.zeros_like(s), where=kept)
