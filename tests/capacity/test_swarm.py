import logging.config

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from millpond.capacity.errors import CapacityError
from millpond.capacity.swarm import ParticleSwarm


def sphere(positions):
    return (positions**2).sum(axis=1)


def rastrigin(positions):
    return (positions**2 - 10 * np.cos(2 * np.pi * positions) + 10).sum(axis=1)


def rosenbrock(positions):
    head, tail = positions[:, :-1], positions[:, 1:]
    return (100 * (tail - head**2) ** 2 + (1 - head) ** 2).sum(axis=1)


def recorded(objective):
    """The objective, and the list of all positions that it is asked about."""
    asked = []

    def recording(positions):
        asked.append(positions.copy())
        return objective(positions)

    return recording, asked


def draws(seed, n_particles, n_dims, limit, velocity_limit):
    """The swarm's random numbers in the order of drawing: positions, velocities, then r1 and r2."""
    rng = np.random.RandomState(seed)
    shape = (n_particles, n_dims)
    yield rng.uniform(-limit, limit, shape)
    yield rng.uniform(-velocity_limit, velocity_limit, shape)
    while True:
        yield rng.random_sample((2, *shape))


def test_without_attraction_a_particle_coasts():
    objective, asked = recorded(sphere)
    settings = {"n_particles": 3, "max_iterations": 2, "inertia": 0.5, "c1": 0, "c2": 0}
    ParticleSwarm(**settings, position_limits=(-9, 9), velocity_limit=2, random_state=5).minimize(objective, 2)
    numbers = draws(5, 3, 2, 9, 2)
    y, v = next(numbers), next(numbers)
    assert asked[0] == pytest.approx(y)
    assert asked[1] == pytest.approx(y + v / 2)
    assert asked[2] == pytest.approx(y + v / 2 + v / 4)


def test_two_steps_of_equations_3_and_4_with_known_random_numbers():
    # one dimension, two particles, by hand: fitness |y - 1|
    fitness = lambda y: np.abs(y - 1).sum(axis=1)  # noqa: E731
    objective, asked = recorded(fitness)
    settings = {"n_particles": 2, "max_iterations": 2, "inertia": 0.6, "c1": 1.5, "c2": 1.25}
    ParticleSwarm(**settings, position_limits=(-9, 9), velocity_limit=20, random_state=0).minimize(objective, 1)
    numbers = draws(0, 2, 1, 9, 20)
    (y1,), (y2,) = next(numbers)
    (v1,), (v2,) = next(numbers)
    assert [y1, y2] == pytest.approx([0.878643, 3.873409], abs=1e-6)  # so the first one leads
    _, ((_,), (u,)) = next(numbers)
    v1 = 0.6 * v1  # the leader is at both of its attractors
    v2 = 0.6 * v2 + 1.25 * u * (y1 - y2)
    z1, z2 = np.clip([y1 + v1, y2 + v2], -9, 9)
    assert asked[1].ravel() == pytest.approx([z1, z2])
    # the first has got worse, so its own best and the leader stay at y1; the second has got better, but doesn't lead
    assert abs(z1 - 1) > abs(z2 - 1) > abs(y1 - 1)
    assert abs(z2 - 1) < abs(y2 - 1)
    ((r,), _), ((t,), (u,)) = next(numbers)
    v1 = 0.6 * v1 + 1.5 * r * (y1 - z1) + 1.25 * t * (y1 - z1)
    v2 = 0.6 * v2 + 1.25 * u * (y1 - z2)
    assert asked[2].ravel() == pytest.approx(np.clip([z1 + v1, z2 + v2], -9, 9))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lower=st.lists(st.floats(-100, 100), min_size=1, max_size=4),
    width=st.floats(0.01, 100),
    velocity_limit=st.none() | st.floats(0.001, 1000),
    strength=st.floats(0, 5),
)
def test_positions_and_velocities_stay_within_their_limits(seed, lower, width, velocity_limit, strength):
    lower = np.array(lower)
    upper = lower + width
    objective, asked = recorded(lambda y: -y.sum(axis=1))  # pulls against the upper limit
    swarm = ParticleSwarm(
        n_particles=5,
        max_iterations=15,
        inertia=strength,
        c1=strength,
        c2=strength,
        position_limits=(lower, upper),
        velocity_limit=velocity_limit,
        random_state=seed,
    )
    swarm.minimize(objective, len(lower))
    asked = np.array(asked)
    assert (asked >= lower).all()
    assert (asked <= upper).all()
    largest = width / 2 if velocity_limit is None else velocity_limit
    assert np.abs(np.diff(asked, axis=0)).max() <= largest * (1 + 1e-9) + 1e-12


def test_history_is_that_of_the_evaluated_positions():
    objective, asked = recorded(rastrigin)
    result = ParticleSwarm(n_particles=7, max_iterations=30, position_limits=(-5, 5), random_state=1).minimize(
        objective, 3
    )
    best = np.minimum.accumulate([rastrigin(positions).min() for positions in asked])
    assert (result.history == best).all()
    assert (result.n_evaluated == 7 * np.arange(1, 32)).all()
    assert result.n_iterations == 30
    assert result.fitness == best[-1] == rastrigin(result.position[None])[0]
    assert not result.converged


def test_a_swarm_without_iterations_returns_the_best_of_its_start():
    objective, asked = recorded(sphere)
    result = ParticleSwarm(n_particles=6, max_iterations=0, random_state=1).minimize(objective, 2)
    assert len(asked) == 1
    assert result.fitness == sphere(asked[0]).min()


def test_it_stops_after_as_many_idle_iterations_as_its_patience():
    result = ParticleSwarm(patience=4, random_state=0).minimize(lambda y: np.ones(len(y)), 2)
    assert result.converged
    assert result.n_iterations == 4


def test_small_improvements_do_not_count_but_add_up():
    generations = iter(range(100))
    declining = lambda y: np.full(len(y), 10 - 0.4 * next(generations))  # noqa: E731
    # 0.4 an iteration: over 1.0 in three iterations, so patience 3 never runs out and patience 2 does at once
    swarm = {"tol": 1.0, "max_iterations": 20, "random_state": 0}
    assert ParticleSwarm(patience=2, **swarm).minimize(declining, 1).n_iterations == 2
    generations = iter(range(100))
    assert not ParticleSwarm(patience=3, **swarm).minimize(declining, 1).converged


def test_infinite_fitness_marks_positions_that_cannot_be_used():
    result = ParticleSwarm(position_limits=(-5, 5), patience=200, random_state=0).minimize(
        lambda y: np.where(y[:, 0] < 1, np.inf, y[:, 0] ** 2), 1
    )
    assert result.fitness == pytest.approx(1)


def test_the_same_seed_gives_the_same_bits():
    swarm = ParticleSwarm(max_iterations=50, random_state=3)
    first, second = swarm.minimize(rastrigin, 5), swarm.minimize(rastrigin, 5)
    assert first.position.tobytes() == second.position.tobytes()
    assert first.history.tobytes() == second.history.tobytes()
    other = ParticleSwarm(max_iterations=50, random_state=4).minimize(rastrigin, 5)
    assert first.position.tobytes() != other.position.tobytes()


@pytest.fixture
def pyswarms(monkeypatch):
    # it configures the root logger and writes report.log where it is started
    monkeypatch.setattr(logging.config, "dictConfig", lambda config: None)
    return pytest.importorskip("pyswarms")


@pytest.mark.filterwarnings("ignore")  # the peer's own
@pytest.mark.parametrize(("objective", "limit"), [(sphere, 5.12), (rastrigin, 5.12), (rosenbrock, 5.0)])
def test_median_over_20_seeds_is_not_worse_than_that_of_pyswarms(pyswarms, objective, limit):
    n_particles, n_generations, n_dims = 30, 150, 10
    ours, theirs = [], []
    for seed in range(20):
        swarm = ParticleSwarm(
            n_particles=n_particles,
            max_iterations=n_generations - 1,  # the peer counts generations
            position_limits=(-limit, limit),
            random_state=seed,
        )
        result = swarm.minimize(objective, n_dims)
        assert result.n_evaluated[-1] == n_particles * n_generations
        ours.append(result.fitness)
        np.random.seed(seed)  # noqa: NPY002 - the only way to seed it
        peer = pyswarms.single.GlobalBestPSO(
            n_particles=n_particles,
            dimensions=n_dims,
            options={"w": swarm.inertia, "c1": swarm.c1, "c2": swarm.c2},
            bounds=(np.full(n_dims, -limit), np.full(n_dims, limit)),
        )
        theirs.append(peer.optimize(objective, n_generations, verbose=False)[0])
    print(f"{objective.__name__}: median {np.median(ours):.3g}, pyswarms {np.median(theirs):.3g}")
    assert mannwhitneyu(ours, theirs, alternative="greater").pvalue > 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_particles": 0}, r"n_particles=0 found, an integer of 1 or more expected\."),
        ({"n_particles": 2.5}, r"n_particles=2\.5 found, an integer of 1 or more expected\."),
        ({"max_iterations": -1}, r"max_iterations=-1 found, an integer of 0 or more expected\."),
        ({"patience": 0}, r"patience=0 found, an integer of 1 or more expected, or None\."),
        ({"inertia": -0.1}, r"inertia=-0\.1 found, a finite number of 0 or more expected\."),
        ({"c1": np.nan}, r"c1=nan found, a finite number of 0 or more expected\."),
        ({"tol": np.inf}, r"tol=inf found, a finite number of 0 or more expected\."),
        ({"position_limits": (1, -1)}, r"position limits 1\. and -1\. found, finite lower ones below the upper ones"),
        ({"velocity_limit": 0}, r"velocity_limit=0 found, more than 0 expected, or None for half the range"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(CapacityError, match=message):
        ParticleSwarm(**settings)


def test_what_does_not_fit_the_objective_is_refused():
    with pytest.raises(CapacityError, match=r"position_limits of shape \(2,\) found, one number or one for each of 3"):
        ParticleSwarm(position_limits=([-1, -1], [1, 1])).minimize(sphere, 3)
    with pytest.raises(CapacityError, match=r"velocity_limit of shape \(2,\) found"):
        ParticleSwarm(velocity_limit=[1, 1]).minimize(sphere, 3)
    with pytest.raises(
        CapacityError, match=r"fitness of shape \(\) found, \(40,\) expected: .* returns one number for"
    ):
        ParticleSwarm().minimize(lambda y: y.sum(), 3)
    with pytest.raises(CapacityError, match=r"fitness NaN found for 40 of 40 particles, .* Return infinity"):
        ParticleSwarm().minimize(lambda y: np.full(len(y), np.nan), 3)
