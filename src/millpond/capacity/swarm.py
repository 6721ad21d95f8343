"""Particle swarm optimization: the search that the study tunes its extreme learning machine with.

A generation of particles is evaluated by one call. That is where the speed comes from: an objective that works on all
particles at once does in one matrix product what a loop over particles does in many.

Source: equations (3) and (4) of the study, Hydrology Research 53(7), 1001 (2022). It names neither inertia nor
acceleration; the defaults are the constriction coefficients of Clerc and Kennedy 2002, doi:10.1109/4235.985692
(phi = 4.1: inertia chi = 0.7298, accelerations 2.05 chi = 1.49618), with which a swarm converges, and the velocity
limit that Eberhart and Shi 2000, doi:10.1109/CEC.2000.870279, found to go with them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from millpond.capacity.errors import CapacityError


@dataclass(frozen=True)
class SwarmResult:
    """What a swarm has found.

    Attributes
    ----------
    position : (n_dims,) array
        The best position of any particle in any generation.
    fitness : float
        The objective there.
    history : (n_iterations + 1,) array
        Best fitness so far, after the initial generation and after each iteration; it never increases.
    n_evaluated : (n_iterations + 1,) array of int
        Positions evaluated so far, likewise.
    converged : bool
        Stopped for lack of improvement.
    """

    position: np.ndarray
    fitness: float
    history: np.ndarray
    n_evaluated: np.ndarray
    converged: bool

    @property
    def n_iterations(self) -> int:
        """Moves of the swarm."""
        return len(self.history) - 1


@dataclass(frozen=True, kw_only=True)
class ParticleSwarm:
    """A swarm in which every particle knows its own best position and that of all.

    In each iteration, with random numbers r1 and r2 in [0, 1) drawn anew for each particle and dimension,

    v = inertia v + c1 r1 (own best - y) + c2 r2 (best of all - y)     (3)
    y = y + v                                                          (4)

    where v and then y are limited. A particle at a limit keeps its velocity.

    Parameters
    ----------
    n_particles : int
    max_iterations : int
        The objective is evaluated at n_particles (max_iterations + 1) positions at most.
    inertia, c1, c2 : float
        Of the velocity, towards the particle's own best position, towards the best of all.
    position_limits : pair of float or of (n_dims,) array
        Lower and upper limit of a position; the swarm starts uniformly between them.
    velocity_limit : float or (n_dims,) array, optional
        Largest absolute velocity, in units of the position; half the range of the positions where not stated. The swarm
        starts with velocities uniformly within it.
    tol : float
        An improvement of the best fitness by this much or less doesn't count.
    patience : int, optional
        Stop after this many iterations without an improvement that counts; where not stated, never.
    random_state : int, RandomState or None

    Raises
    ------
    CapacityError
        If a setting is out of its range.
    """

    n_particles: int = 40
    max_iterations: int = 200
    inertia: float = 0.7298
    c1: float = 1.49618
    c2: float = 1.49618
    position_limits: tuple[ArrayLike, ArrayLike] = (-1.0, 1.0)
    velocity_limit: ArrayLike | None = None
    tol: float = 0.0
    patience: int | None = None
    random_state: int | np.random.RandomState | None = None

    def __post_init__(self):
        for name, least in (("n_particles", 1), ("max_iterations", 0), ("patience", 1)):
            value = getattr(self, name)
            optional = name == "patience"
            if not ((optional and value is None) or (isinstance(value, Integral) and value >= least)):
                raise CapacityError(
                    f"{name}={value} found, an integer of {least} or more expected{', or None' if optional else ''}."
                )
        for name in ("inertia", "c1", "c2", "tol"):
            if not 0 <= getattr(self, name) < np.inf:
                raise CapacityError(f"{name}={getattr(self, name)} found, a finite number of 0 or more expected.")
        lower, upper = (np.asarray(limit, float) for limit in self.position_limits)
        if not (np.isfinite(lower).all() and np.isfinite(upper).all() and np.all(lower < upper)):
            raise CapacityError(
                f"position limits {_briefly(lower)} and {_briefly(upper)} found, finite lower ones below the upper "
                "ones expected."
            )
        if self.velocity_limit is not None and not np.all(np.asarray(self.velocity_limit, float) > 0):
            raise CapacityError(
                f"velocity_limit={self.velocity_limit} found, more than 0 expected, or None for half the range of the "
                "positions."
            )

    def minimize(self, objective: Callable[[np.ndarray], np.ndarray], n_dims: int) -> SwarmResult:
        """Look for the position of least fitness.

        Parameters
        ----------
        objective : callable
            Takes positions (n_particles, n_dims), which it must not change, and returns their fitness (n_particles,).
            Infinite fitness marks a position that can't be used.
        n_dims : int

        Returns
        -------
        SwarmResult

        Raises
        ------
        CapacityError
            If the limits have another number of dimensions, or the objective returns another shape or NaN.
        """
        lower, upper = (_per_dimension(limit, n_dims, "position_limits") for limit in self.position_limits)
        fastest = (upper - lower) / 2 if self.velocity_limit is None else self.velocity_limit
        fastest = _per_dimension(fastest, n_dims, "velocity_limit")
        rng = check_random_state(self.random_state)
        shape = (self.n_particles, n_dims)
        position = rng.uniform(lower, upper, shape)
        velocity = rng.uniform(-fastest, fastest, shape)

        own_best, own_fitness = position.copy(), _evaluate(objective, position)
        leader = own_fitness.argmin()
        history = [float(own_fitness[leader])]
        reference, idle = history[0], 0
        for _ in range(self.max_iterations):
            if idle == self.patience:
                break
            r1, r2 = rng.random_sample((2, *shape))
            velocity *= self.inertia
            velocity += self.c1 * r1 * (own_best - position) + self.c2 * r2 * (own_best[leader] - position)  # (3)
            np.clip(velocity, -fastest, fastest, out=velocity)
            position += velocity  # (4)
            np.clip(position, lower, upper, out=position)

            fitness = _evaluate(objective, position)
            better = fitness < own_fitness
            own_best[better], own_fitness[better] = position[better], fitness[better]
            leader = own_fitness.argmin()
            history.append(float(own_fitness[leader]))
            if history[-1] < reference - self.tol:
                reference, idle = history[-1], 0
            else:
                idle += 1
        return SwarmResult(
            position=own_best[leader].copy(),
            fitness=history[-1],
            history=np.array(history),
            n_evaluated=self.n_particles * np.arange(1, len(history) + 1),
            converged=idle == self.patience,
        )


def _per_dimension(limit: ArrayLike, n_dims: int, name: str) -> np.ndarray:
    limit = np.asarray(limit, float)
    if limit.shape not in ((), (n_dims,)):
        raise CapacityError(f"{name} of shape {limit.shape} found, one number or one for each of {n_dims} expected.")
    return np.broadcast_to(limit, n_dims)


def _evaluate(objective: Callable, position: np.ndarray) -> np.ndarray:
    fitness = np.array(objective(position), float)  # a copy: it is updated in place
    if fitness.shape != position.shape[:1]:
        raise CapacityError(
            f"fitness of shape {fitness.shape} found, ({len(position)},) expected: the objective gets all particles at "
            "once and returns one number for each."
        )
    if np.isnan(fitness).any():
        raise CapacityError(
            f"fitness NaN found for {np.isnan(fitness).sum()} of {len(fitness)} particles, a number expected. Return "
            "infinity for positions that can't be used."
        )
    return fitness


def _briefly(limit: np.ndarray) -> str:
    return np.array2string(limit, threshold=6, separator=", ")
