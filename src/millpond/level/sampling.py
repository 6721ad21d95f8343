"""Ways to divide dates into those that train and those that test."""

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from millpond.level.errors import LevelError


def random_split(level_m, test_size: float = 0.2, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw the same share from each quarter of the levels, as the study does (its section 3.2).

    Parameters
    ----------
    level_m : (n_dates,) array
    test_size : float
        Share of the dates that test.
    random_state : int

    Returns
    -------
    train, test : arrays of int
        Sorted positions.

    Raises
    ------
    LevelError
        If a quarter is too small to give to both sides.
    """
    level_m = np.asarray(level_m, dtype=float)
    quarter = pd.Series(level_m).rank(method="first").sub(1) * 4 // len(level_m)
    return _checked(
        lambda: train_test_split(
            np.arange(len(level_m)), test_size=test_size, stratify=quarter, random_state=random_state
        ),
        len(level_m),
        test_size,
    )


def chronological_split(dates, test_size: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Train on the earlier dates and test on the later ones (the study's section 3.2).

    Parameters
    ----------
    dates : (n_dates,) array of dates
    test_size : float

    Returns
    -------
    train, test : arrays of int
        Positions, each part in order of time.

    Raises
    ------
    LevelError
        If one part would be empty.
    """
    order = np.argsort(np.asarray(dates, dtype="datetime64[ns]"), kind="stable")
    return _checked(
        lambda: train_test_split(order, test_size=test_size, shuffle=False), len(order), test_size, order=False
    )


def blocked_split(
    dates, test_size: float = 0.2, random_state: int = 0, block_days: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out whole blocks of time: dates near each other have nearly the same level and look alike.

    Parameters
    ----------
    dates : (n_dates,) array of dates
    test_size : float
        Share of the blocks that test.
    random_state : int
    block_days : int
        Length of a block, counted from the first date: 7 for weeks, 91 for seasons.

    Returns
    -------
    train, test : arrays of int
        Sorted positions.

    Raises
    ------
    LevelError
        If there are fewer than two blocks.
    """
    dates = pd.DatetimeIndex(dates)
    blocks = (dates - dates.min()).days // block_days
    draw = GroupShuffleSplit(1, test_size=test_size, random_state=random_state)
    return _checked(lambda: next(draw.split(blocks, groups=blocks)), len(dates), test_size)


def _checked(split, n_dates: int, test_size: float, order: bool = True) -> tuple[np.ndarray, np.ndarray]:
    if not 0 < test_size < 1:
        raise LevelError(f"test_size={test_size} found, a share between 0 and 1 expected.")
    try:
        train, test = split()
    except ValueError as refusal:
        raise LevelError(
            f"{n_dates} dates found, too few for test_size={test_size} ({refusal}). Add scenes, or choose another "
            "share."
        ) from None
    return (np.sort(train), np.sort(test)) if order else (train, test)
