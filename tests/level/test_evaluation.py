import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from millpond.level.errors import LevelError
from millpond.level.evaluation import offset_of_run, pooled_scores, scores_of_run, with_interval, with_spread


def test_scores_are_means_over_repetitions():
    rng = np.random.default_rng(0)
    level_m = rng.uniform(500, 530, 25)
    estimates = level_m + rng.normal(0, 2, (4, 25))
    found = pooled_scores(level_m, estimates, np.arange(25) // 5)
    for name, score in (("r2", r2_score), ("rmse_m", root_mean_squared_error), ("mae_m", mean_absolute_error)):
        assert found[name][0] == pytest.approx(np.mean([score(level_m, each) for each in estimates]))


def test_whole_blocks_are_drawn():
    # two blocks: without error, and off by 2 m; a draw has either, or both
    found = pooled_scores([1.0, 2.0, 3.0, 4.0], [[1.0, 2.0, 5.0, 6.0]], [0, 0, 1, 1])
    assert set(found["mae_m"].round(6)) == {0.0, 1.0, 2.0}
    assert (found["mae_m"][1:] == 1).mean() == pytest.approx(0.5, abs=0.05)


def test_models_are_compared_on_the_same_draws():
    level_m, blocks = np.linspace(0, 1, 12), np.arange(12) // 3
    one, other = (pooled_scores(level_m, level_m + shift, blocks)["mae_m"] for shift in (0.1, 0.3))
    np.testing.assert_allclose(other - one, 0.2)
    assert with_interval(other - one) == "0.20 (0.20 to 0.20)"


def test_a_draw_of_one_level_has_no_r2():
    level_m = np.array([2865.3, 2865.3, 2866.1, 2866.1])
    found = pooled_scores(level_m, level_m + 0.1, [0, 0, 1, 1])
    alone = np.isnan(found["r2"])
    assert alone.mean() == pytest.approx(0.5, abs=0.05)
    assert found["r2"][~alone].min() > 0.9
    assert with_interval(found["r2"]).count("nan") == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(LevelError, match=r"estimates of shape \(1, 2\) and blocks of shape \(3,\) for 3 levels found"):
        pooled_scores([1, 2, 3], [1, 2], [0, 0, 1])


def archived(levels_cm, errors_cm, **more):
    text = {
        "days": "0 3 40 41 90",
        "levels_cm": " ".join(map(str, levels_cm)),
        "errors_cm": " ".join(map(str, errors_cm)),
    }
    return text | more


def test_an_archived_run_is_scored_by_blocks_of_its_days():
    run = archived([100, 200, 300, 400, 500], [0, 0, 50, -50, 0])
    found = scores_of_run(run)
    assert found["mae_m"][0] == pytest.approx(0.2)
    assert found["r2"][0] == pytest.approx(r2_score([1, 2, 3, 4, 5], [1, 2, 3.5, 3.5, 5]))
    # three blocks, of which one has all the errors: 0 where it isn't drawn, 0.5 m where it is alone
    assert {0.0, 0.5} <= set(found["mae_m"].round(6))


def test_one_seed_has_an_interval_and_several_a_range():
    one = pd.DataFrame([archived([100, 200, 300, 400, 500], [0, 0, 50, -50, 0], mae_m=0.2)])
    assert with_spread(one, "mae_m") == "0.20 (0.00 to 0.50)"
    two = pd.concat([one, one.assign(mae_m=0.4)])
    assert with_spread(two, "mae_m") == "0.30 (0.20 to 0.40)"


def test_an_offset_is_told_from_the_rest():
    # levels 1, 2, 3 m; estimates are 5 m too high, and off by 0, -1 and +1 m from there
    found = offset_of_run({"levels_cm": "100 200 300", "errors_cm": "500 400 600"})
    assert found == pytest.approx({"offset_m": 5, "rest_m": (2 / 3) ** 0.5, "constant_m": (2 / 3) ** 0.5})
    constant = offset_of_run({"levels_cm": "100 200 300", "errors_cm": "900 800 700"})
    assert constant["rest_m"] == pytest.approx(constant["constant_m"])
