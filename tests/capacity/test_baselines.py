import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from millpond.capacity.baselines import PowerLawRegressor

RNG = np.random.default_rng(0)


def test_a_known_law_is_recovered_exactly():
    area_km2, height_m = RNG.lognormal(size=(2, 30))
    X = np.column_stack([area_km2, height_m])
    model = PowerLawRegressor().fit(X, 0.4 * area_km2**1.2 * height_m**0.9)
    assert model.scale_ == pytest.approx(0.4)
    assert model.exponents_ == pytest.approx([1.2, 0.9])
    assert model.residual_std_ == pytest.approx(0, abs=1e-12)
    assert model.predict([[2.0, 10.0]]) == pytest.approx([0.4 * 2**1.2 * 10**0.9])


def test_units_change_the_scale_and_nothing_else():
    X = RNG.lognormal(size=(20, 2))
    y = RNG.lognormal(size=20)
    in_km2, in_m2 = PowerLawRegressor().fit(X, y), PowerLawRegressor().fit(X * 1e6, y)
    assert in_m2.exponents_ == pytest.approx(in_km2.exponents_)
    assert in_m2.predict(X * 1e6) == pytest.approx(in_km2.predict(X))
    assert in_m2.scale_ == pytest.approx(in_km2.scale_ / 1e6 ** in_km2.exponents_.sum())


def test_smearing_by_hand():
    # A level line through 1 and 4, and 1 and 4 again: the median is 2, the residuals -ln 2 and ln 2 twice
    X, y = [[1.0], [1.0], [3.0], [3.0]], [1.0, 4.0, 1.0, 4.0]
    plain, smeared = PowerLawRegressor().fit(X, y), PowerLawRegressor(smearing=True).fit(X, y)
    assert plain.predict(X) == pytest.approx([2, 2, 2, 2])
    assert (plain.smearing_factor_, smeared.smearing_factor_) == (1, pytest.approx((0.5 + 2) / 2))
    assert smeared.predict(X) == pytest.approx([2.5, 2.5, 2.5, 2.5])  # the mean of y
    assert (smeared.scale_, smeared.exponents_) == (pytest.approx(2), pytest.approx([0], abs=1e-12))
    assert plain.residual_std_ == pytest.approx(np.sqrt(4 * np.log(2) ** 2 / 2))


def test_a_law_through_as_many_points_as_parameters_has_no_spread():
    assert np.isnan(PowerLawRegressor().fit([[1.0], [2.0]], [1.0, 3.0]).residual_std_)


@pytest.mark.parametrize("rounding", [0, 1e-9, 1e-7])
def test_a_feature_that_is_equal_but_for_rounding_has_no_exponent(rounding):
    # 4 x 4 cells of a DEM, outlined in another reference system: areas are equal to seven digits
    noise = RNG.uniform(-1, 1, (2, 40))
    height_m, area_km2 = RNG.lognormal(size=40), 0.0144 * (1 + rounding * noise[0])
    capacity = 0.5 * height_m**1.5
    model = PowerLawRegressor().fit(np.column_stack([area_km2, height_m]), capacity)
    assert model.exponents_ == pytest.approx([0, 1.5], abs=1e-5)
    assert model.scale_ == pytest.approx(0.5, rel=1e-4)
    # two features that tell the same share the exponent
    twins = np.column_stack([height_m, height_m * (1 + rounding * noise[1])])
    assert PowerLawRegressor().fit(twins, capacity).exponents_ == pytest.approx([0.75, 0.75], rel=1e-4)


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_what_has_no_logarithm_is_refused(bad):
    X, y = [[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"1 of 3 values of X aren't positive, the smallest is (0|-1)\."):
        PowerLawRegressor().fit([[1.0], [bad], [3.0]], y)
    with pytest.raises(ValueError, match="1 of 3 values of y aren't positive"):
        PowerLawRegressor().fit(X, [1.0, bad, 3.0])
    with pytest.raises(ValueError, match="1 of 1 values of X aren't positive"):
        make_pipeline(PowerLawRegressor()).fit(X, y).predict([[bad]])


@pytest.mark.parametrize("smearing", [False, True])
def test_scikit_learns_checks_pass_on_positive_data(smearing, monkeypatch):
    # For scikit-learn "positive only" includes zero, and its checks feed zeros: they are moved up by one.
    prepare = estimator_checks._enforce_estimator_tags_X

    def prepare_positive(*args, **kwargs):
        prepared = prepare(*args, **kwargs)
        return tuple(X + 1 for X in prepared) if isinstance(prepared, tuple) else prepared + 1

    monkeypatch.setattr(estimator_checks, "_enforce_estimator_tags_X", prepare_positive)
    estimator_checks.check_estimator(PowerLawRegressor(smearing=smearing), on_skip=None)
