import numpy as np
import pandas as pd
import pytest

from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS
from millpond.capacity.scenarios import MODELS, PEEKING, fit_and_estimate, scenarios
from millpond.capacity.study import score_scenario

RNG = np.random.default_rng(0)


def reservoirs(n):
    """Reservoirs whose capacity is a power law of the water surface, with some noise."""
    table = pd.DataFrame(RNG.lognormal(0, 1, (n, len(FACTORS))), columns=FACTORS).assign(basin=np.arange(n) // 3)
    return table.assign(capacity_1e6_m3=3 * table["Aws_km2"] ** 1.2 * RNG.lognormal(0, 0.05, n))


def test_the_scenarios_are_the_studys():
    found = scenarios()
    assert list(found) == list(range(1, 9))
    assert found[1] == ["Asc_km2", "Lsc_km", "Aws_km2"]
    assert sorted(found[8]) == sorted(FACTORS)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_a_law_that_is_there(model):
    train, test = reservoirs(80), reservoirs(20)
    features = scenarios()[5]
    estimated = fit_and_estimate(model, train, test, features, random_state=0)
    inside = test["Aws_km2"].between(*train["Aws_km2"].quantile([0.1, 0.9]))
    error = np.abs(np.log(estimated / test["capacity_1e6_m3"]))[inside]
    assert np.median(error) < 0.5 * np.log(test["capacity_1e6_m3"]).std()
    again = fit_and_estimate(model, train, test, features, random_state=0)
    np.testing.assert_array_equal(estimated, again)


def test_no_honest_model_sees_the_calibration_part():
    train, test = reservoirs(40), reservoirs(10)
    other = test.assign(capacity_1e6_m3=test["capacity_1e6_m3"] * RNG.lognormal(0, 2, 10))
    for model in MODELS:
        pair = [fit_and_estimate(model, train, part, scenarios()[1], random_state=0) for part in (test, other)]
        assert np.array_equal(*pair) == (model not in PEEKING)


def test_an_unknown_model_is_refused():
    with pytest.raises(CapacityError, match=r"model 'SVM' found, one of ANN, .* expected"):
        fit_and_estimate("SVM", reservoirs(10), reservoirs(5), ["Aws_km2"], random_state=0)


def test_a_score_names_its_parts():
    found = score_scenario(1, "power law", seed=0)
    assert (found["n_train"], found["n_test"]) == (80, 21)
    assert 0 < found["r_squared"] < 1
