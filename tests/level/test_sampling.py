import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.level.errors import LevelError
from millpond.level.sampling import blocked_split, chronological_split, random_split


@given(st.integers(20, 200), st.integers(0, 99), st.booleans())
def test_every_quarter_of_the_levels_gives_its_share(n, seed, tied):
    level_m = np.random.default_rng(seed).integers(0, 5 if tied else 10**6, n).astype(float)
    train, test = random_split(level_m, 0.25, random_state=seed)
    assert sorted([*train, *test]) == list(range(n))
    assert len(test) == -(-n // 4)
    edges = np.sort(level_m)
    highest = np.sum(np.sort(level_m[test])[::-1][: n // 16] >= edges[n // 2])
    assert highest == n // 16  # the highest sixteenth of the test is in the upper half of all


def test_the_draw_goes_by_the_seed():
    level_m = np.arange(40.0)
    assert random_split(level_m, random_state=3)[1].tolist() == random_split(level_m, random_state=3)[1].tolist()
    assert random_split(level_m, random_state=3)[1].tolist() != random_split(level_m, random_state=4)[1].tolist()
    assert [sum(test // 10 == q) for q in range(4) for test in [random_split(level_m)[1]]] == [2, 2, 2, 2]


def test_the_last_dates_test():
    dates = pd.to_datetime(["2019-05-01", "2018-01-01", "2020-01-01", "2018-06-01", "2019-01-01"])
    train, test = chronological_split(dates, 0.4)
    assert train.tolist() == [1, 3, 4]
    assert test.tolist() == [0, 2]


@given(st.integers(0, 50), st.sampled_from([7, 30, 91]))
def test_no_block_is_on_both_sides(seed, block_days):
    days = np.sort(np.random.default_rng(seed).choice(700, 60, replace=False))
    dates = pd.Timestamp("2018-03-04") + pd.to_timedelta(days, "D")
    train, test = blocked_split(dates, 0.25, seed, block_days)
    blocks = (days - days[0]) // block_days
    assert not set(blocks[train]) & set(blocks[test])
    assert sorted([*train, *test]) == list(range(60))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda: random_split(np.arange(5.0)), r"5 dates found, too few for test_size=0\.2"),
        (lambda: random_split(np.arange(50.0), 1.5), r"test_size=1\.5 found, a share between 0 and 1 expected"),
        (lambda: chronological_split(pd.date_range("2018-01-01", periods=1)), "1 dates found, too few"),
        (lambda: blocked_split(pd.date_range("2018-01-01", periods=20)), "20 dates found, too few"),
    ],
)
def test_too_few_dates_are_refused(split, message):
    with pytest.raises(LevelError, match=message):
        split()
