"""Gauge records of water levels, as their publishers write them, in metres and one value a day."""

import csv
import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from millpond.level.errors import LevelError

METRES = {"m": 1.0, "ft": 0.3048}
"""Metres of a unit; the foot is the international one (the US survey foot differs by 2 in a million)."""

FARTHEST_FROM_MEDIAN_M = 10.0
"""A level farther from the median of its month is reported as impossible; most are a digit too many or too few."""

FEWEST_IN_MONTH = 3
"""Levels that a month's median takes: of one it is the level itself, of two it is as far from both."""

NEAREST = 5
"""Where a month has fewer, the median is that of so many levels in a row."""

SMALLEST_SPIKE_M = 1.0
"""Levels that step away by more than this, and back, are impossible too; smaller are floods, gates and rounding."""

SPIKE_IN_STEPS = 10
"""Or by more than so many of the record's median step, where that is more: some reservoirs are never still."""

SPIKE_IN_OTHERS = 1.5
"""And by more than so many times any other step there: floods rise and ebb over days."""

SPIKE_DAYS = 10
"""Longest time from the last level before a spike to the first after it."""

_SPELLINGS = {
    "m": "m",
    "masl": "m",
    "meter": "m",
    "meters": "m",
    "metre": "m",
    "metres": "m",
    "ft": "ft",
    "feet": "ft",
    "foot": "ft",
}
_RDB_FEET = {"00062", "00065", "62614", "62615", "62616", "63160", "72275", "72292", "72293", "72333"}
_RDB_METRES = {"30211", "30207", "62617", "62618", "62619", "72335", "72336"}
_MISSING = re.compile(
    r"|-+|\*+|n/?a|[+-]?nan|null|none"
    r"|-(9{3,6}|999\d|123456)(\.0*)?"  # CDEC's -9999, -9998 and -9997 (beyond the rating table), USGS's -999999
    r"|m|brt|art"  # CDEC: missing, below or above the rating table
    r"|ssn|bkw|ice|pr|rat|nd|eqp|fld|dry|dis|mnt|zfl"  # USGS's status in the place of a value
)
_ZONE = re.compile(r"\d{2}:?\d{2}(?::\d{2}(?:\.\d+)?)?\s*(Z|[A-Z]{3,4}|[+-]\d{2}(?::?\d{2})?)$")


def read_gauge(path: str | Path, unit: str | None = None) -> pd.Series:
    """Read a record of water levels.

    Parameters
    ----------
    path : path
        CDEC's download (first line with the sensor in quotes) or its CSV with `STATION_ID`; USGS's tab-separated RDB,
        or its CSV with `time`, `value` and `unit_of_measure`; ECCC's daily CSV (`PARAM` 2 is the level) or its
        real-time CSV; or a CSV of a date and a level. Lines that begin with # are comments.
    unit : "m" or "ft", optional
        Of the levels; by default what the file says of itself.

    Returns
    -------
    Series
        `level_m` by `date`, sorted, one value a day: the mean where there are several. Its `attrs` say what was found:
        `format`; `unit`; `zones`, those that its times name; `n_missing`, rows without a level; `n_repeated`, rows of a
        day that had one already; `contradicting`, days with two levels for one time, more than a centimetre apart;
        `gaps`, pairs of (last day before, first day after) of more than 31 days; `impossible`, days whose level is
        farther than `FARTHEST_FROM_MEDIAN_M` from the median of the month around them, or that step away from the level
        before and come back (see Notes). Nothing of this is removed.

    Warns
    -----
    UserWarning
        If there are contradicting or impossible levels.

    Raises
    ------
    LevelError
        If the file is unreadable or of another kind, its unit is unknown or not the same in all rows, or it holds no
        level.

    Notes
    -----
    A run of levels is a spike if within `SPIKE_DAYS` all of it lies beyond both the level before and the one after by
    more than `SMALLEST_SPIKE_M`, `SPIKE_IN_STEPS` times the record's median daily step, and `SPIKE_IN_OTHERS` times the
    steps within it, the one just before it, and what the two sides differ. So a step without return is none, nor is a
    flood that rises or ebbs over days.

    Where a month has fewer than `FEWEST_IN_MONTH` levels, the median is that of the `NEAREST` levels around, and the
    level must be farther from it than `SPIKE_IN_STEPS` times the record's median step too, since reservoirs fill and
    empty within months. In sparse records of five levels or fewer none is found.

    A day is the one that is written, in the zone that is written: local time in most files, UTC in USGS's CSV of
    instantaneous values. Satellite images are dated in UTC.

    Rows that CDEC flags with N (error) or ECCC with D (dry) count as rows without a level; other flags are not looked
    at. In ECCC's, levels are in metres.

    CDEC's download and the plain CSV were tested on real records. Of the others none was at hand: they were tested on
    files written after the publishers' descriptions.
    """
    path = Path(path)
    if unit is not None and unit not in METRES:
        raise LevelError(
            f"the unit {unit!r} found, one of {', '.join(METRES)} expected. Name one (unit, --unit), or convert the "
            "record."
        )
    text = _text(path)
    kind, read = next((kind, read) for kind, (belongs, read) in _FORMATS.items() if belongs(text))
    times, values, found = read(path, text)
    found = {_SPELLINGS.get(name.strip().lower(), name) for name in found}
    if len(found) > 1:
        raise LevelError(f"{path}: levels in {' and '.join(sorted(found))} found, one unit expected. Split the file.")
    unit = unit or next(iter(found), None)
    if unit not in METRES:
        raise LevelError(
            f"{path}: {'no unit' if unit is None else f'the unit {unit!r}'} of the levels found, one of "
            f"{', '.join(METRES)} expected. Name the unit (unit, --unit)."
        )
    return _daily(path, kind, times, values, unit)


def _text(path: Path) -> str:
    """What the file holds, without comments."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text in UTF-8"
        raise LevelError(
            f"{path}: not readable ({reason}), a text file with levels expected. Check the path."
        ) from None
    if not text.strip():
        raise LevelError(f"{path}: an empty file found, dates and levels expected. Get it from its publisher again.")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    if not "".join(lines).strip():
        raise LevelError(
            f"{path}: nothing but comments found ({text.strip().splitlines()[0]!r}), dates and levels "
            "expected. Ask its publisher for another station or other days."
        )
    return "".join(lines).lstrip("\r\n")


def _daily(path: Path, kind: str, times: list[str], values: list[str], unit: str) -> pd.Series:
    missing = [_MISSING.fullmatch(value.strip().lower()) is not None for value in values]
    rows = [(t, v) for t, v, absent in zip(times, values, missing, strict=True) if not absent]
    if not rows:
        raise LevelError(f"{path}: no level in {len(values)} rows found, at least one expected. Look at the file.")
    try:
        dates = pd.DatetimeIndex([_day(time) for time, _ in rows], name="date")
        levels = np.array([float(value) for _, value in rows]) * METRES[unit]
    except ValueError as error:
        raise LevelError(f"{path}: {error}; dates such as 2018-07-03 and numbers expected. Correct the row.") from None
    if not np.isfinite(levels).all():
        raise LevelError(f"{path}: an infinite level found, finite numbers expected. Correct the row.")
    daily = pd.Series(levels, dates, name="level_m").groupby(level=0).mean()
    by_time = pd.Series(levels, [time.strip() for time, _ in rows]).groupby(level=0)
    differing = by_time.max() - by_time.min() > 0.01
    far = _far(daily)
    steps = daily.index.to_series().diff().dt.days
    daily.attrs = {
        "format": kind,
        "unit": unit,
        "zones": sorted({zone[1] for time, _ in rows if (zone := _ZONE.search(time.strip()))}),
        "n_missing": sum(missing),
        "n_repeated": len(rows) - len(daily),
        "contradicting": sorted({_day(time) for time in differing.index[differing]}),
        "gaps": [(day - pd.Timedelta(days=n), day) for day, n in steps[steps > 31].items()],
        "impossible": sorted([*daily.index[far], *_spikes(daily[~far])]),
    }
    for what in ("contradicting", "impossible"):
        if days := daily.attrs[what]:
            warnings.warn(
                f"{path}: {what} levels found on {len(days)} days, the first on {days[0]:%Y-%m-%d}. The series keeps "
                f"them, attrs[{what!r}] lists them, and scenes of these days are left out. Look at the record.",
                stacklevel=3,
            )
    return daily


def _far(daily: pd.Series) -> pd.Series:
    """Which levels are far from those around them."""
    around = daily.rolling("31D", center=True, min_periods=FEWEST_IN_MONTH).median()
    nearest = daily.rolling(NEAREST, center=True, min_periods=FEWEST_IN_MONTH).median()
    alone = around.isna()
    apart = np.maximum(FARTHEST_FROM_MEDIAN_M, SPIKE_IN_STEPS * daily.diff().abs().median())
    return (daily - around.fillna(nearest)).abs() > np.where(alone, apart, FARTHEST_FROM_MEDIAN_M)


def _spikes(daily: pd.Series) -> list[pd.Timestamp]:
    """Days whose levels step away and come back."""
    days, levels = daily.index, daily.to_numpy()
    smallest = max(SMALLEST_SPIKE_M, SPIKE_IN_STEPS * np.median(np.abs(np.diff(levels)))) if len(daily) > 2 else np.inf
    spikes, earlier, before, first = [], 0, 0, 1

    def comes_back(after: int) -> bool:
        run, sides = levels[first:after], (levels[before], levels[after])
        away = max(run.min() - max(sides), min(sides) - run.max())
        others = [abs(sides[1] - sides[0]), abs(levels[before] - levels[earlier]), *np.abs(np.diff(run))]
        return away > max(smallest, SPIKE_IN_OTHERS * max(others))

    while first < len(levels):
        after = None
        if abs(levels[first] - levels[before]) > smallest:
            end = days.searchsorted(days[before] + pd.Timedelta(days=SPIKE_DAYS), side="right")
            after = next(filter(comes_back, range(first + 1, end)), None)
        if after is None:
            earlier, before, first = before, first, first + 1
        else:  # what comes after is measured against the level before too: it may be another spike
            spikes.extend(days[first:after])
            first = after
    return spikes


def _day(time: str) -> pd.Timestamp:
    """The date as it is written; a time in another zone than the gauge's is not converted."""
    match = re.match(r"\s*(\d{4})[-/]?(\d{2})[-/]?(\d{2})(?!\d)", time)
    if not match:
        raise ValueError(f"the date {time!r} found")
    return pd.Timestamp(*map(int, match.groups()))


# The formats


def _only(path: Path, what: str, found: set[str]) -> None:
    if len(found) > 1:
        raise LevelError(f"{path}: {what} {', '.join(sorted(found))} found, a single one expected. Split the file.")


def _columns(path: Path, text: str, *names: str, flag: str | None = None) -> list[list[str]]:
    """Cells of the columns whose header is one of `names` (of which `|` separates spellings), row by row.

    The last cell is that of the column `flag`, or empty if there is none.
    """
    table = list(csv.reader(io.StringIO(text)))
    header = [cell.strip().lower() for cell in table[0]]
    at = []
    for name in names:
        found = [i for i, cell in enumerate(header) if cell in name.lower().split("|")]
        if not found:
            raise LevelError(
                f"{path}: columns {', '.join(table[0])} found, one called {name.replace('|', ' or ')} expected."
            )
        at.append(found[0])
    flagged = header.index(flag) if flag in header else len(header)
    rows = [row for row in table[1:] if any(cell.strip() for cell in row)]
    for number, row in enumerate(rows, start=2):
        if len(row) <= max(at):
            raise LevelError(f"{path}: row {number} is cut off after {len(row)} of {len(header)} cells. Get it again.")
    return [[*(row[i] for i in at), "".join(row[flagged : flagged + 1]).strip()] for row in rows]


def _cdec_download(path: Path, text: str) -> tuple[list, list, set]:
    head, *lines = text.splitlines()
    rows = [line.split(",") for line in lines if line.strip()]
    if any(len(row) != 3 for row in rows):
        raise LevelError(f"{path}: rows of other than three cells found, date, time and level expected. Get it again.")
    zone = head.split(",")[1]
    times = [f"{date} {time} {zone}" for date, time, _ in rows]
    return times, [row[2] for row in rows], set(re.findall(r"\(([^)]*)\)", head))


def _cdec_csv(path: Path, text: str) -> tuple[list, list, set]:
    names = ("obs date|date time", "value", "units", "station_id", "sensor_number")
    rows = _columns(path, text, *names, flag="data_flag")
    _only(path, "stations and sensors", {f"{row[3]} {row[4]}" for row in rows})
    values = ["" if row[-1] == "N" else row[1] for row in rows]
    return [row[0] for row in rows], values, {row[2] for row in rows if row[2].strip()}


def _usgs_rdb(path: Path, text: str) -> tuple[list, list, set]:
    lines = [line for line in text.splitlines() if line.strip()]
    header = lines[0].split("\t")
    levels = {}
    for i, name in enumerate(header):
        code = re.fullmatch(r"(?:\d+_)?(\d{5})(?:_\d{5})?", name)
        if code and code[1] in _RDB_FEET | _RDB_METRES:
            levels[i] = "ft" if code[1] in _RDB_FEET else "m"
    if len(levels) != 1 or "datetime" not in header:
        raise LevelError(
            f"{path}: {len(levels)} columns of water levels found among {', '.join(header)}, one and `datetime` "
            "expected. Ask for one parameter, 62614 or 62615, say."
        )
    (at, unit), when = next(iter(levels.items())), header.index("datetime")
    rows = [line.split("\t") for line in lines[2:]]  # below the header, a line says how wide the columns are
    if any(len(row) <= max(at, when) for row in rows):
        raise LevelError(f"{path}: a row that is cut off found, {len(header)} cells expected. Get the file again.")
    zone = header.index("tz_cd") if "tz_cd" in header else None  # of instantaneous values
    times = [row[when] if zone is None else f"{row[when]} {row[zone]}" for row in rows]
    return times, [row[at] for row in rows], {unit}


def _usgs_csv(path: Path, text: str) -> tuple[list, list, set]:
    rows = _columns(path, text, "time", "value", "unit_of_measure", "monitoring_location_id", "parameter_code")
    _only(path, "sites and parameters", {f"{row[3]} {row[4]}" for row in rows})
    return [row[0] for row in rows], [row[1] for row in rows], {row[2] for row in rows if row[2].strip()}


def _eccc_daily(path: Path, text: str) -> tuple[list, list, set]:
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "PARAM" in line)  # a disclaimer may stand above
    rows = _columns(path, "\n".join(lines[first:]), "param", "date", "value", "id", flag="sym")
    levels = [row for row in rows if row[0].strip() == "2"]
    _only(path, "stations", {row[3] for row in levels})
    return [row[1] for row in levels], ["" if row[-1] == "D" else row[2] for row in levels], {"m"}


def _eccc_real_time(path: Path, text: str) -> tuple[list, list, set]:
    header = next(csv.reader(io.StringIO(text)))
    level = next(cell.strip() for cell in header if cell.strip().startswith("Water Level"))
    rows = _columns(path, text, "date", level, "id")
    _only(path, "stations", {row[2] for row in rows})
    return [row[0] for row in rows], [row[1] for row in rows], set(re.findall(r"\((\w+)\)", level)[-1:])


def _plain(path: Path, text: str) -> tuple[list, list, set]:
    header = [cell.strip() for cell in next(csv.reader(io.StringIO(text)))]
    if len(header) < 2:
        raise LevelError(f"{path}: no columns found in {header!r}, a CSV with a date and a level expected.")
    if {"low_m", "high_m", "abstains"} <= set(header):
        raise LevelError(f"{path}: estimates of this package found, a gauge record expected. Name the record.")
    dates = [name for name in header if name.lower() in ("date", "datetime", "time", "day")]
    levels = [name for name in header if re.search("level|elevation|stage|height", name.lower())]
    if len(dates) != 1 or len(levels) != 1:
        raise LevelError(
            f"{path}: columns {', '.join(header)} found, one called date and one whose name has level, elevation, "
            "stage or height expected. Rename them."
        )
    rows = _columns(path, text, dates[0], levels[0])
    words = re.split(r"[^a-z]+", levels[0].lower())
    return [row[0] for row in rows], [row[1] for row in rows], {word for word in words if word in _SPELLINGS}


def _first_line(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.match(pattern, text.splitlines()[0], re.IGNORECASE) is not None


_FORMATS: dict[str, tuple[Callable, Callable]] = {
    "CDEC download": (_first_line(r"\s*\d+,\w+,'.*'"), _cdec_download),
    "CDEC CSV": (_first_line("station_id,"), _cdec_csv),
    "USGS RDB": (_first_line(r"(.*\t)?agency_cd\t"), _usgs_rdb),
    "USGS CSV": (_first_line(r".*\bunit_of_measure\b"), _usgs_csv),
    "ECCC daily": (lambda text: re.search(r"^\s*ID,\s*PARAM", text, re.MULTILINE) is not None, _eccc_daily),
    "ECCC real-time": (_first_line(r"\s*ID,Date,Water Level"), _eccc_real_time),
    "plain": (lambda text: True, _plain),
}
"""What a file of each format looks like, and its reader: times, levels and the units that it names."""
