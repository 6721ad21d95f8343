"""The tables that the four studies published, and ours next to theirs.

One CSV file a table lies beside this module; units stand in the column names. The values are as printed, with their
inconsistencies: the book computes these from here.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
from scipy import stats

from millpond.errors import MillpondError

__all__ = ["PublishedError", "Source", "compare", "load", "names", "source", "text", "value"]


class PublishedError(MillpondError):
    """A published table, row or value that was asked for does not exist, or is not the only one."""


@dataclass(frozen=True)
class Source:
    """Where a table comes from; `doi` is None where we do not know of one."""

    study: str
    citation: str
    doi: str | None
    url: str


# by the prefix of a table's name
_SOURCES = {
    "normalization": Source(
        study="normalization",
        citation="Oman Kadunc, N. (2022): How to normalize satellite images for deep learning. Sentinel Hub Blog, "
        "27 September 2022. Work by D. Peressutti, N. Vesel, M. Batič, S. Verbič, Ž. Lukšič, M. Aleksandrov and "
        "N. Oman Kadunc.",
        doi=None,
        url="https://medium.com/sentinel-hub/how-to-normalize-satellite-images-for-deep-learning-d5b668c885af",
    ),
    "wu2023": Source(
        study="level",
        citation="Wu, J.; Huang, X.; Xu, N.; Zhu, Q.; Zorn, C.; Guo, W.; Wang, J.; Wang, B.; Shao, S.; Yu, C. (2023): "
        "Combining satellite imagery and a deep learning algorithm to retrieve the water levels of small reservoirs. "
        "Remote Sensing 15(24), 5740.",
        doi="10.3390/rs15245740",
        url="https://doi.org/10.3390/rs15245740",
    ),
    # The text that we worked from names neither title, authors nor DOI; the title, cut short, is that of its address.
    "capacity": Source(
        study="capacity",
        citation="A novel approach for estimating the capacity of … [small reservoirs, by PSO-ELM; Mihe River basin]. "
        "Hydrology Research 53(7), 1001 (2022).",
        doi=None,
        url="https://iwaponline.com/hr/article/53/7/1001/89299/A-novel-approach-for-estimating-the-capacity-of",
    ),
    "lstm_cnn": Source(
        study="lstm_cnn",
        citation="Aditi; Nagda, M. K.; Poovammal, E. (2019): Image classification using a hybrid LSTM-CNN deep neural "
        "network. International Journal of Engineering and Advanced Technology 8(6), 1342-1348.",
        doi="10.35940/ijeat.F8602.088619",
        url="https://doi.org/10.35940/ijeat.F8602.088619",
    ),
}


def names() -> list[str]:
    """Names of all the tables, sorted."""
    return sorted(file.name.removesuffix(".csv") for file in files(__name__).iterdir() if file.name.endswith(".csv"))


def load(name: str) -> pd.DataFrame:
    """Read a published table.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    DataFrame
        A row as the study printed it; numbers as numbers, everything else as text. An empty `unit`: dimensionless.

    Raises
    ------
    PublishedError
        If there is no such table.
    """
    _check_name(name)
    with files(__name__).joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype={"section": str}, keep_default_na=False)


def source(name: str) -> Source:
    """Citation of the study that published the table `name`.

    Raises
    ------
    PublishedError
        If there is no such table.
    """
    _check_name(name)
    return next(found for prefix, found in _SOURCES.items() if name.startswith(f"{prefix}_"))


def value(name: str, column: str = "value", /, **where) -> float:
    """Read one number: `value("wu2023_table4_source_and_sampling", "r2", reservoir="LYS", source="sentinel-2", ...)`.

    Parameters
    ----------
    name : str
        One of `names()`.
    column : str
        Column of the number.
    **where
        Values of other columns, which together must be those of exactly one row.

    Raises
    ------
    PublishedError
        If there is no such table or column, no row or more than one matches, or the cell is not a number.
    """
    cell = _cell(name, column, where)
    try:
        return float(cell)
    except ValueError:
        raise PublishedError(
            f"{name}: {column} is the text {cell!r}; expected a number. Use published.text to read it."
        ) from None


def text(name: str, column: str = "value", /, **where) -> str:
    """Read one cell as text; see `value`."""
    return str(_cell(name, column, where))


def compare(name: str, ours: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """Put our runs next to a published column.

    Parameters
    ----------
    name : str
        One of `names()`.
    ours : DataFrame
        Tidy runs: a row for each independent repetition, with the columns `keys` and `value`.
    keys : sequence of str
        Columns, of both tables, that together name a published row.
    value : str
        Column, of both tables, that is compared.

    Returns
    -------
    DataFrame
        A row for each published row, in its order: `keys`; `published`; `ours_mean`; `ours_low` and `ours_high`, the
        95 % interval of our mean by Student's t (NaN for fewer than two runs); `n` runs of ours, 0 where we ran none;
        `difference` (ours - published); `published_within` the interval (NA without one).

    Raises
    ------
    PublishedError
        If a column is missing or not numeric, the keys name a published row twice, or ours has a row without published
        counterpart or without a value.
    """
    theirs, keys = load(name), list(keys)
    for table, whose in ((theirs, name), (ours, "ours")):
        _check_columns(table, [*keys, value], whose)
        if not pd.api.types.is_numeric_dtype(table[value]):
            raise PublishedError(f"{whose}: column {value!r} holds text; expected numbers. Compare another column.")
    if theirs.duplicated(keys).any():
        raise PublishedError(
            f"{name}: {keys} do not tell its rows apart; expected one row each. "
            f"Add some of {[column for column in theirs if column not in (*keys, value)]} to the keys."
        )
    if missing := int(ours[value].isna().sum()):
        raise PublishedError(
            f"ours: {missing} of {len(ours)} rows have no {value!r}. Find out why, or drop them openly."
        )

    runs = {key: group.to_numpy(float) for key, group in ours.groupby(keys, dropna=False)[value]}
    rows = []
    for key, published in zip(theirs[keys].itertuples(index=False, name=None), theirs[value], strict=True):
        rows.append(dict(zip(keys, key, strict=True)) | _against(float(published), runs.pop(key, np.empty(0))))
    if runs:
        raise PublishedError(
            f"ours: {', '.join(keys)} = {list(runs)} have no counterpart in {name}. "
            "Spell the keys as it does (published.load shows them), or leave these rows out."
        )
    return pd.DataFrame(rows).astype({"published_within": "boolean"})


def _against(published: float, runs: np.ndarray) -> dict:
    n = len(runs)
    mean = runs.mean() if n else np.nan
    # half width of the interval: t(0.975, n - 1) s / sqrt(n)
    half = stats.t.ppf(0.975, n - 1) * runs.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return {
        "published": published,
        "ours_mean": mean,
        "ours_low": mean - half,
        "ours_high": mean + half,
        "n": n,
        "difference": mean - published,
        "published_within": bool(abs(mean - published) <= half) if n > 1 else None,
    }


def _cell(name: str, column: str, where: dict):
    table = load(name)
    _check_columns(table, [column, *where], name)
    chosen = table[np.logical_and.reduce([np.ones(len(table), bool), *(table[key] == where[key] for key in where)])]
    if len(chosen) == 1:
        return chosen[column].iloc[0]
    told = ", ".join(f"{key}={wanted!r}" for key, wanted in where.items()) or "no condition"
    if chosen.empty:
        absent = [key for key in where if not (table[key] == where[key]).any()]
        hint = " ".join(f"Known as {key}: {_listed(table[key], where[key])}." for key in absent)
        hint = hint or "Each of these is known, but not together."
    else:
        free = [key for key in table if key not in where and key != column and chosen[key].nunique() > 1]
        hint = " ".join(f"Narrow it by {key}: {_listed(chosen[key])}." for key in free)
    raise PublishedError(f"{name}: {len(chosen)} rows match {told}; expected one. {hint}")


def _listed(column: pd.Series, wanted=None) -> str:
    """The values of a column, the most similar to the wanted one first."""
    known = column.drop_duplicates().tolist()
    if isinstance(wanted, str):
        near = difflib.get_close_matches(wanted, [item for item in known if isinstance(item, str)])
        known = [*near, *(item for item in known if item not in near)]
    return ", ".join(repr(item) for item in known)


def _check_name(name: str) -> None:
    known = names()
    if name not in known:
        # most names are long, and what one remembers is how they begin
        likeness = {other: difflib.SequenceMatcher(None, name, other[: len(name)]).ratio() for other in known}
        nearest = max(likeness, key=likeness.get)
        guess = f" Did you mean {nearest!r}?" if likeness[nearest] > 0.6 else ""
        raise PublishedError(f"No published table {name!r}.{guess} There are: {', '.join(known)}.")


def _check_columns(table: pd.DataFrame, wanted: Sequence[str], whose: str) -> None:
    if missing := [column for column in wanted if column not in table]:
        raise PublishedError(f"{whose}: no column {', '.join(map(repr, missing))}. There are: {', '.join(table)}.")
