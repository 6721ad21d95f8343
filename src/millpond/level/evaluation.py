"""Scores of repeated estimates of the same dates, and how far they hang on which dates there are."""

import numpy as np

from millpond.level.errors import LevelError
from millpond.level.estimation import BLOCK_DAYS
from millpond.plots import mean_and_range

SCORES = ("r2", "rmse_m", "mae_m")
"""The study's equations (1) to (3)."""

N_DRAWS = 2000


def pooled_scores(level_m, estimates_m, blocks, random_state: int = 0) -> dict[str, np.ndarray]:
    """Score estimates that are pooled over folds.

    Parameters
    ----------
    level_m : (n_dates,) array
    estimates_m : (n_repeats, n_dates) array
        Of each repetition, one estimate a date.
    blocks : (n_dates,) array
        Which dates belong together; whole blocks are drawn.
    random_state : int
        Of the draws; the same draws for the same dates, so that differences of models are paired.

    Returns
    -------
    dict of (1 + N_DRAWS,) arrays
        For each of `SCORES` its mean over the repetitions: on all dates, and on each draw of blocks with replacement.
        NaN where all levels of a draw are the same. Trainings aren't drawn anew, and blocks may be few, so that
        intervals are rather too narrow.

    Raises
    ------
    LevelError
        If shapes don't fit.
    """
    level_m, estimates_m = np.asarray(level_m, dtype=float), np.atleast_2d(np.asarray(estimates_m, dtype=float))
    if estimates_m.shape[1:] != level_m.shape or np.shape(blocks) != level_m.shape:
        raise LevelError(
            f"estimates of shape {estimates_m.shape} and blocks of shape {np.shape(blocks)} for {level_m.size} levels "
            "found, one of each for each date expected."
        )
    _, block = np.unique(blocks, return_inverse=True)
    n_blocks = block.max() + 1
    drawn = np.random.default_rng(random_state).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), N_DRAWS)
    times = np.concatenate([np.ones((1, len(level_m))), drawn[:, block]])  # how often each date counts
    n = times.sum(axis=1)
    squared, absolute = (np.mean(f(estimates_m - level_m), axis=0) for f in (np.square, np.abs))
    centred = level_m - level_m.mean()  # levels of hundreds of metres would drown their differences in rounding
    spread = times @ centred**2 - (times @ centred) ** 2 / n
    spread[spread < 1e-9 * spread[0]] = np.nan  # a draw of one level has no R2
    rmse_m = np.mean([np.sqrt(times @ np.square(each - level_m) / n) for each in estimates_m], axis=0)
    return {"r2": 1 - times @ squared / spread, "rmse_m": rmse_m, "mae_m": times @ absolute / n}


def with_interval(values: np.ndarray, form: str = "{:.2f}") -> str:
    """ "value (low to high)" of an array of `pooled_scores` or of the difference of two, of 95 %."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return f"{form.format(values[0])} ({form.format(low)} to {form.format(high)})"


def scores_of_run(run) -> dict[str, np.ndarray]:
    """`pooled_scores` of an archived run, by blocks of `BLOCK_DAYS`.

    Parameters
    ----------
    run : mapping
        A row of an archive of `millpond.level.study`: `days`, `levels_cm` and `errors_cm` of the test dates, as text.
    """
    days, levels_cm, errors_cm = (np.array(run[name].split(), float) for name in ("days", "levels_cm", "errors_cm"))
    return pooled_scores(levels_cm / 100, (levels_cm + errors_cm) / 100, days // BLOCK_DAYS)


def offset_of_run(run) -> dict[str, float]:
    """Split the errors of an archived run into what is the same on all dates, and the rest.

    Parameters
    ----------
    run : mapping
        As for `scores_of_run`.

    Returns
    -------
    dict
        `offset_m`: mean error; `rest_m`: standard deviation of the errors around it;
        `constant_m`: standard deviation of the true levels, which is `rest_m` of an estimate that never changes.
    """
    levels_m, errors_m = (np.array(run[name].split(), float) / 100 for name in ("levels_cm", "errors_cm"))
    return {"offset_m": errors_m.mean(), "rest_m": errors_m.std(), "constant_m": levels_m.std()}


def with_spread(runs, score: str, form: str = "{:.2f}") -> str:
    """A score of archived runs: of several seeds their mean and range, of one seed the value and its interval.

    Parameters
    ----------
    runs : DataFrame
        Rows of an archive of `millpond.level.study`, one a seed.
    score : str
        One of `SCORES`.
    form : str
    """
    if len(runs) == 1:
        return with_interval(scores_of_run(runs.iloc[0])[score], form)
    return mean_and_range(runs[score], form)
