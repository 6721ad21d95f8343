import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from millpond.capacity.baselines import PowerLawRegressor
from millpond.capacity.elm import (
    ACTIVATIONS,
    FITNESS,
    FITNESS_TOLERANCE,
    ELMRegressor,
    PSOELMRegressor,
    hidden_layer,
    layer_fitness,
    output_weights,
)
from millpond.capacity.errors import CapacityError

SMALL_SWARM = {"n_hidden": 10, "n_particles": 8, "max_iterations": 5, "random_state": 0}


@parametrize_with_checks(
    [
        *(ELMRegressor(activation=activation) for activation in ACTIVATIONS),
        ELMRegressor(alpha=0.01),
        *(PSOELMRegressor(**SMALL_SWARM, fitness=fitness) for fitness in FITNESS),
        PSOELMRegressor(**SMALL_SWARM, activation="relu", patience=2),
        PSOELMRegressor(**SMALL_SWARM, activation="rbf", alpha=0.01),
    ]
)
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def random_layer(n_samples, n_features, n_hidden, activation="sigmoid", seed=0):
    """Inputs, a target with noise, and a drawn layer's outputs (n_hidden, n_samples)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    y = 2 + X[:, 0] - X[:, -1] ** 2 + rng.normal(0, 0.3, n_samples)
    weights, biases = rng.uniform(-1, 1, (n_hidden, n_features)), rng.uniform(-1, 1, n_hidden)
    return X, y, hidden_layer(X, weights, biases, activation)


def leave_one_out_by_refitting(hidden, y, alpha):
    """Root mean square of what a fit to all others misses each sample by."""
    errors = []
    for i in range(len(y)):
        coef = output_weights(np.delete(hidden, i, axis=1), np.delete(y, i), alpha)
        errors.append(y[i] - coef @ hidden[:, i])
    return np.sqrt(np.mean(np.square(errors)))


def training_error(hidden, y, alpha):
    return np.sqrt(np.mean((y - output_weights(hidden, y, alpha) @ hidden) ** 2))


def test_neurons_by_hand():
    # two samples of two features; w x + b = 2 * 1 - 1 * 3 + 0.5 = -0.5 and 2 * 0 + 1 * 2 + 0.5 = 2.5
    X, weights, biases = np.array([[1.0, 3.0], [0.0, -2.0]]), np.array([[2.0, -1.0]]), np.array([0.5])
    expected = {
        "sigmoid": 1 / (1 + np.exp([0.5, -2.5])),
        "tanh": np.tanh([-0.5, 2.5]),
        "relu": [0, 2.5],
        "rbf": np.exp([-0.25 * (1 + 16), -0.25 * (4 + 1)]),  # |x - w|^2 = 17 and 5
    }
    assert set(expected) == set(ACTIVATIONS)
    for activation, row in expected.items():
        assert hidden_layer(X, weights, biases, activation)[0] == pytest.approx(row, rel=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_many_layers_at_once_equal_one_by_one(activation):
    rng = np.random.default_rng(0)
    X, weights, biases = rng.normal(size=(9, 3)), rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6))
    together = hidden_layer(X, weights, biases, activation)
    assert together.shape == (4, 6, 9)
    for layer in range(4):
        one = hidden_layer(X, weights[layer], biases[layer], activation)
        assert together[layer] == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_saturated_and_silent_neurons_are_finite(activation):
    X = np.array([[-1e6], [0.0], [1e6]])
    hidden = hidden_layer(X, np.full((2, 3, 1), 1e6), np.ones((2, 3)), activation)
    assert np.isfinite(hidden).all()
    assert np.isfinite(layer_fitness(hidden, np.arange(3.0))).all()


@pytest.mark.parametrize(("n_samples", "n_hidden"), [(30, 8), (8, 30)])
def test_output_weights_are_those_of_the_pseudo_inverse(n_samples, n_hidden):
    _, y, hidden = random_layer(n_samples, 4, n_hidden)
    assert output_weights(hidden, y) == pytest.approx(np.linalg.pinv(hidden.T) @ y, rel=1e-6)


def test_a_penalty_gives_ridge():
    _, y, hidden = random_layer(30, 4, 8)
    ridge = np.linalg.solve(hidden @ hidden.T + 0.3 * np.eye(8), hidden @ y)
    assert output_weights(hidden, y, 0.3) == pytest.approx(ridge)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_target_that_the_layer_can_represent_is_found_exactly(activation):
    X, _, _ = random_layer(40, 3, 6)
    model = ELMRegressor(n_hidden=6, activation=activation, random_state=5)
    drawn = model.fit(X, np.zeros(40))
    truth = np.array([3.0, -1.0, 0.5, 2.0, -4.0, 1.0])
    y = truth @ hidden_layer(X, drawn.weights_, drawn.biases_, activation)
    model.fit(X, y)
    assert model.coef_ == pytest.approx(truth, rel=1e-6)
    new = np.random.default_rng(1).normal(size=(20, 3))
    assert model.predict(new) == pytest.approx(truth @ hidden_layer(new, model.weights_, model.biases_, activation))


def test_as_many_neurons_as_samples_interpolate():
    X, y, _ = random_layer(10, 3, 1)
    assert ELMRegressor(n_hidden=10, random_state=0).fit(X, y).predict(X) == pytest.approx(y, abs=1e-6)


# more samples than neurons, as many, and fewer
CASES = [
    (alpha, activation, n_samples, n_hidden)
    for alpha in (0.0, 1e-6, 0.1)
    for activation in ACTIVATIONS
    for n_samples, n_hidden in ((30, 8), (12, 12), (12, 20), (6, 40))
]


@pytest.mark.parametrize(("alpha", "activation", "n_samples", "n_hidden"), CASES)
def test_press_equals_refitting_without_each_sample(alpha, activation, n_samples, n_hidden):
    _, y, hidden = random_layer(n_samples, 5, n_hidden, activation)
    assert layer_fitness(hidden[None], y, alpha)[0] == pytest.approx(
        leave_one_out_by_refitting(hidden, y, alpha), rel=FITNESS_TOLERANCE
    )


def test_press_equals_refitting_where_one_sample_alone_lights_a_neuron():
    _, y, hidden = random_layer(20, 4, 6)
    hidden[2] = 0
    hidden[2, 7] = 1.5  # leverage 1: e / (1 - h) would be 0 / 0
    hidden[3] = 0  # a dead neuron
    hidden[4] = hidden[5]  # twins
    for alpha in (0.0, 1e-9, 0.1):
        assert layer_fitness(hidden[None], y, alpha)[0] == pytest.approx(
            leave_one_out_by_refitting(hidden, y, alpha), rel=FITNESS_TOLERANCE
        )


@pytest.mark.parametrize("others", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-10])
def test_press_equals_refitting_where_one_sample_almost_alone_lights_a_neuron(others):
    rng = np.random.default_rng(0)
    _, y, hidden = random_layer(20, 4, 6)
    for _ in range(10):
        hidden[2] = others * rng.normal(size=20)
        hidden[2, 7] = 1.5
        assert layer_fitness(hidden[None], y)[0] == pytest.approx(
            leave_one_out_by_refitting(hidden, y, 0), rel=FITNESS_TOLERANCE
        )


def test_bumps_too_far_away_to_be_felt_are_silent():
    hidden = hidden_layer(np.array([[0.0], [1.0]]), np.array([[25.0]]), np.ones(1), "rbf")  # exp(-625) and exp(-576)
    assert (hidden == 0).all()
    assert (output_weights(hidden, np.ones(2)) == 0).all()


def test_press_of_a_single_sample_and_of_a_dead_layer_is_that_of_predicting_zero():
    y = np.array([3.0])
    assert layer_fitness(np.array([[[0.7], [0.2]]]), y) == pytest.approx(3)
    assert layer_fitness(np.zeros((1, 2, 4)), np.full(4, 3.0)) == pytest.approx(3)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    activation=st.sampled_from(ACTIVATIONS),
    closeness=st.floats(-9, 0),
    size=st.floats(-9, 1),
    alpha=st.sampled_from([0.0, 1e-8, 1e-3, 1.0]),
)
def test_fitness_is_that_of_the_exact_fit_however_alike_the_neurons_are(seed, activation, closeness, size, alpha):
    # 20 neurons on 81 x 5 as in the study; half of them resemble each other, one is faint
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(81, 5)), rng.normal(5, 1, size=81)
    weights, biases = rng.uniform(-1, 1, (3, 20, 5)), rng.uniform(-1, 1, (3, 20))
    weights[1:, 10:] = weights[1:, :1] + 10**closeness * weights[1:, 10:]
    biases[1:, 10:] = biases[1:, :1]
    hidden = hidden_layer(X, weights, biases, activation)
    hidden[2, 4] *= 10**size
    exact = [training_error(layer, y, alpha) for layer in hidden]
    assert layer_fitness(hidden, y, alpha, "training") == pytest.approx(exact, rel=FITNESS_TOLERANCE)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), activation=st.sampled_from(ACTIVATIONS), alpha=st.sampled_from([0.0, 1e-3]))
def test_press_is_that_of_refitting_for_a_whole_swarm(seed, activation, alpha):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(81, 5)), rng.normal(5, 1, size=81)
    hidden = hidden_layer(X, rng.uniform(-1, 1, (5, 20, 5)), rng.uniform(-1, 1, (5, 20)), activation)
    exact = [leave_one_out_by_refitting(layer, y, alpha) for layer in hidden]
    assert layer_fitness(hidden, y, alpha) == pytest.approx(exact, rel=FITNESS_TOLERANCE)


@pytest.mark.parametrize("fitness", FITNESS)
def test_the_swarm_finds_a_better_layer_and_the_fit_has_the_fitness_that_it_reports(fitness):
    X, y, _ = random_layer(60, 3, 1)
    model = PSOELMRegressor(n_hidden=8, fitness=fitness, max_iterations=40, random_state=0).fit(X, y)
    hidden = hidden_layer(X, model.weights_, model.biases_, "sigmoid")
    exact = {"training": training_error, "press": leave_one_out_by_refitting}[fitness](hidden, y, 0)
    assert model.swarm_.fitness == pytest.approx(exact, rel=FITNESS_TOLERANCE)
    assert model.swarm_.fitness < 0.9 * model.swarm_.history[0]
    assert np.abs(model.weights_).max() <= 1
    if fitness == "training":
        assert np.sqrt(np.mean((y - model.predict(X)) ** 2)) == pytest.approx(exact)


def test_position_limit_bounds_weights_and_biases():
    X, y, _ = random_layer(60, 3, 1)
    model = PSOELMRegressor(n_hidden=8, max_iterations=20, position_limit=0.1, random_state=0).fit(X, y)
    assert max(np.abs(model.weights_).max(), np.abs(model.biases_).max()) == pytest.approx(0.1)


@pytest.mark.parametrize("model", [ELMRegressor(), PSOELMRegressor(**SMALL_SWARM)])
def test_the_same_seed_gives_the_same_bits(model):
    X, y, _ = random_layer(50, 5, 1)
    first, second, other = (model.set_params(random_state=seed).fit(X, y).predict(X).tobytes() for seed in (1, 1, 2))
    assert first == second
    assert first != other


@pytest.mark.parametrize("model", [ELMRegressor(n_hidden=8, random_state=0), PSOELMRegressor(**SMALL_SWARM)])
def test_it_works_on_logarithms_in_a_pipeline(model):
    rng = np.random.default_rng(0)
    area_km2 = np.exp(rng.normal(-3, 1, (80, 2)))
    capacity_1e6_m3 = 5 * area_km2[:, 0] ** 1.2 * np.exp(rng.normal(0, 0.1, 80))
    pipeline = make_pipeline(StandardScaler(), model)
    whole = TransformedTargetRegressor(pipeline, func=np.log, inverse_func=np.exp)
    whole.fit(np.log(area_km2[:60]), capacity_1e6_m3[:60])
    estimate = whole.predict(np.log(area_km2[60:]))
    assert np.median(np.abs(estimate / capacity_1e6_m3[60:] - 1)) < 0.2
    name = f"regressor__{pipeline.steps[-1][0]}__n_hidden"
    search = GridSearchCV(whole, {name: [2, 8]}, cv=3).fit(np.log(area_km2), capacity_1e6_m3)
    assert search.best_params_ == {name: 8}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ELMRegressor(n_hidden=0), r"n_hidden=0 found, an integer of 1 or more expected\."),
        (ELMRegressor(activation="sine"), r"activation 'sine' found, one of sigmoid, tanh, relu, rbf expected\."),
        (ELMRegressor(alpha=-1), r"alpha=-1 found, a finite number of 0 or more expected\."),
        (PSOELMRegressor(fitness="test"), r"fitness 'test' found, one of press, training expected\."),
        (PSOELMRegressor(n_particles=0), r"n_particles=0 found, an integer of 1 or more expected\."),
        (PSOELMRegressor(position_limit=-1), r"position limits 1\. and -1\. found, finite lower ones below"),
    ],
)
def test_settings_out_of_range_are_refused_by_fit(model, message):
    with pytest.raises(CapacityError, match=message):
        model.fit(np.eye(3), np.arange(3.0))


@pytest.mark.parametrize("model", [ELMRegressor(3, random_state=0), PowerLawRegressor()])
def test_what_lies_under_a_mask_is_refused_not_used(model):
    rng = np.random.default_rng(0)
    X, y = rng.lognormal(size=(20, 2)), rng.lognormal(size=20)
    masked = np.ma.masked_array(X, X[0, 0] == X)
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        model.fit(masked, y)
    with pytest.raises(ValueError, match=r"Input y contains NaN"):
        model.fit(X, np.ma.masked_array(y, y == y[0]))
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        model.fit(X, y).predict(masked)
    np.testing.assert_array_equal(model.predict(np.ma.masked_array(X)), model.predict(X))
