"""Gauge records of water levels, as their publishers write them, in metres and one value a day.

A record is a table, or becomes one: `_FORMATS` says by which columns each publisher's is known. What a file can't tell,
such as whether 03/07 is in March, is asked for and not guessed; `attrs["read"]` says what was understood.
"""

import csv
import json
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from millpond.level.errors import LevelError

METRES = {"m": 1.0, "cm": 0.01, "ft": 0.3048}
"""Metres of a unit; the foot is the international one (the US survey foot differs by 2 in a million)."""

USGS_LEVELS = {
    **dict.fromkeys(("62615", "62614", "00062", "62616", "63160", "00065"), "ft"),
    **dict.fromkeys(("62619", "62618", "62617", "30211", "30207", "72335", "72336"), "m"),
    **dict.fromkeys(("72275", "72292", "72293", "72333"), "ft"),
}
"""Units of USGS's parameters of levels, best first: elevations in feet, the gage height, elevations in metres."""

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
    **dict.fromkeys(("m", "masl", "msl", "msnm", "maod", "mahd", "mnn", "mnap", "metros"), "m"),
    **dict.fromkeys(("meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("ft", "feet", "foot"), "ft"),
    "cm": "cm",
}
_MISSING = (
    r"|-+|\*+|n/?a|[+-]?nan|null|none"
    r"|-(9{3,6}|999\d|123456)(\.0*)?"  # CDEC's -9999, -9998 and -9997 (beyond the rating table), USGS's -999999
    r"|m|brt|art"  # CDEC: missing, below or above the rating table
    r"|ssn|bkw|ice|pr|rat|nd|eqp|fld|dry|dis|mnt|zfl"  # USGS's status in the place of a value
)
_CODE = r"[+-]?(?:0+(?:\.0*)?|([1-9])\1+(?:\.(?:0*|\1*))?|[1-8]9{3,}(?:\.0*)?)|-1(?:\.0*)?"
"""Numbers that stand for none where no level is near them: 0, 9999, -99.99, -777, -7999."""

_USGS = "|".join(USGS_LEVELS)
_DATE = r"(?:date|datetime|timestamp|day|fecha|datum|data|jour)(?:[ (\[/].*|_(?:utc|local|time|hora))?"
_CLOCK = r"(?:time|hora|heure|uhrzeit)(?:[ (\[](?!.*zone).*|_(?:utc|local))?"
_LEVEL = r"(?!.*(?:flag|_cd|_qc|quality|symbol|grade)$).*(?:level|elev|stage|height|nivel|cota|niveau|cote|pegel).*"
_PLACE = r"(?:station|site|gauge|gage|location|reservoir|lake|dam|embalse)(?:[\W_]?(?:id|no|nr|number|name|code))?"
_ZONE = r"\d{2}:?\d{2}(?::\d{2}(?:\.\d+)?)?\s*(Z|[A-Z]{3,4}|[+-]\d{2}(?::?\d{2})?)$"
_AMBIGUOUS = ("%d-%m-%Y", "%m-%d-%Y")
_DATES = ("%Y-%m-%d", "%Y%m%d", *_AMBIGUOUS, "%d-%b-%Y", "%b-%d-%Y")
_CLOCK_TIME = r"[T@\s](\d{1,2}):?(\d{2})(?::\d{2}(?:\.\d+)?)?\s*(Z|[A-Z]{3,4}|[+-]\d{2}(?::?\d{2})?)?$"
_HOURS = {"Z": 0, "UTC": 0, "GMT": 0, "PST": -8, "PDT": -7, "MST": -7, "MDT": -6, "CST": -6, "CDT": -5, "EST": -5}
_HOURS |= {"EDT": -4, "AST": -4, "ADT": -3, "NST": -3.5, "NDT": -2.5, "AKST": -9, "AKDT": -8, "HST": -10}
_CELLS_APART = "\t;, "
_MOST_TITLES = 1000
_LONGEST_HEADER = 10_000


class _Format(NamedTuple):
    """A publisher's table. All are patterns of whole names and cells, whatever their case."""

    name: str
    level: str
    unit: str = ""  # of all levels; or else the column that holds it, without which the format is another
    rows: tuple[str, str] = ("", "")  # a column, without which the format is another, and what it holds beside a level
    none: tuple[str, str] = ("", "")  # a column, and what it holds beside a level that is none
    one: str = ""  # columns that hold one value in the whole record
    day_first: bool | None = None


_FORMATS = (
    _Format("CDEC CSV", "value", "units", none=("data_flag", "n"), one="station_id|sensor_number"),
    _Format("CDEC download", r"cdec \(.*\)"),
    _Format(
        "USGS Water Data",
        "value",
        "unit_of_measure",
        rows=("parameter_code", _USGS),
        one="monitoring_location_id|parameter_code|statistic_id|time_series_id",
    ),
    _Format("USGS NWIS", rf"(?:x_(?:\.\w+\._)?|\d+_)?({_USGS})(?:_(?!cd$)[^_]+)*", one="site_no"),
    _Format("ECCC daily", "value", "m", rows=("param", "2"), none=("sym", "d"), one="id"),
    _Format("ECCC real-time", "water level.*", rows=("id", ".+"), one="id"),
    _Format("ECCC web", "value.*", "m", rows=("parameter", "46")),
    _Format("ECCC GeoMet", "level", "m", ("station_number", ".+"), ("level_symbol_en", "d|dry"), "station_number"),
    _Format("BoM", "value", rows=("quality code", "(?!-1).*")),
    _Format("Environment Agency", "value", "m", rows=("measure", ".*level.*"), one="measure"),
    _Format("Hydstra", "hydstra", "m", day_first=True),
    _Format("plain", _LEVEL, one=_PLACE),
)
"""Those of publishers, and what else has a date and a level."""

_HEADLESS = (
    (r"^\s*\d+,(\w+),'[^'\n]*\(([^)\n]*)\)'.*$", r"date,time (\1),cdec (\2)"),
    (r"\A(?=\s*\d+/\d+/\d{4} @ )", "date @ time hydstra quality type\n"),
)
"""What tells a format whose columns have no names, and the names they get."""


@dataclass(frozen=True, eq=False)
class Readings:
    """Levels within days; `table` has `time` as written, `utc_hours` that its zone is ahead of UTC, `day` and `m`."""

    table: pd.DataFrame

    def __deepcopy__(self, memo: dict) -> "Readings":
        return self  # pandas copies attrs whenever it touches a series

    def by_solar_time(self, longitude_deg: float) -> pd.DataFrame:
        """`day` and `m` by solar time at a place; for this, a clock without a zone is taken."""
        ahead = longitude_deg / 15 - self.table["utc_hours"]
        times = self.table["time"] + pd.to_timedelta(ahead.fillna(0), unit="h")
        return self.table[["day", "m"]].set_index(pd.DatetimeIndex(times)).sort_index(kind="stable")


def read_gauge(
    path: str | Path,
    unit: str | None = None,
    *,
    date_column: str | None = None,
    level_column: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    day_first: bool | None = None,
) -> pd.Series:
    """Read a record of water levels.

    Parameters
    ----------
    path : path
        CDEC's download (a line with the sensor in quotes) or its CSV; USGS's RDB, its Water Data API's CSV or JSON, the
        old WaterServices' JSON, or what its packages for R and Python write; ECCC's daily and real-time CSV, or
        GeoMet's CSV and JSON; Australia's BoM or Hydstra; England's Environment Agency; or a table with a date and a
        level. Lines that begin with # are comments; titles may stand above the columns' names.
    unit : "m", "cm" or "ft", optional
        Of the levels, where the file doesn't tell.
    date_column, level_column : str, optional
        Names of these columns, where they can't be told.
    separator, decimal : str, optional
        Between cells, and before a level's fraction; by default what fits the file.
    day_first : bool, optional
        Whether 03/07/2018 is in July. Told by any day above 12, by a decimal comma and by dates such as 03.07.2018.

    Returns
    -------
    Series
        `level_m` by `date`, sorted, one value a day: the mean where there are several. Its `attrs` say what was found:
        `path`; `read`, how the file was understood; `format`; `unit`; `zones`, those that its times name;
        `n_missing`, rows without a level; `codes`, numbers that were taken as none (see Notes), and how often;
        `n_repeated`, rows of a day that had one already; `contradicting`, days with two levels for one time, more than
        a centimetre apart; `gaps`, pairs of (last day before, first day after) of more than 31 days; `impossible`, days
        whose level is farther than `FARTHEST_FROM_MEDIAN_M` from the median of the month around them, or that step away
        from the level before and come back; `readings`, the levels within days (`Readings`), or None. Nothing of this
        is removed, but rows with codes.

    Warns
    -----
    UserWarning
        If there are codes, contradicting or impossible levels, or a JSON file is one page of several.

    Raises
    ------
    LevelError
        If the file is unreadable or of another kind; if it holds several stations or series; if its unit is unknown,
        another than `unit`, or not the same in all rows; if decimal marks or dates can be read in two ways; if a row is
        cut off or too long; if there is no level.

    Notes
    -----
    Publishers fill outages with 0, -99.99, 9999 and the like. Such a number is none if no level is near, and if it lies
    farther from the bulk of the levels than these spread and than `SPIKE_IN_STEPS` median steps; and than
    `SMALLEST_SPIKE_M` where it comes `FEWEST_IN_MONTH` times, or `FARTHEST_FROM_MEDIAN_M` where more seldom. Another
    number that comes so often so far away is impossible.

    A run of levels is a spike if within `SPIKE_DAYS` all of it lies beyond both the level before and the one after by
    more than `SMALLEST_SPIKE_M`, `SPIKE_IN_STEPS` times the record's median daily step, and `SPIKE_IN_OTHERS` times the
    steps within it, the one just before it, and what the two sides differ. So a step without return is none, nor is a
    flood that rises or ebbs over days.

    Where a month has fewer than `FEWEST_IN_MONTH` levels, the median is that of the `NEAREST` levels around, and the
    level must be farther from it than `SPIKE_IN_STEPS` times the record's median step too, since reservoirs fill and
    empty within months. In sparse records of five levels or fewer none is found.

    A day is the one that is written, in the zone that is written: local time in most files, UTC in USGS's instantaneous
    values. Satellite images are dated in UTC; `read_scenes` takes the reading nearest to the sensing by the zone. The
    hour that comes twice where clocks are set back contradicts nothing.

    Rows that CDEC flags with N (error), ECCC with D (dry) or BoM with -1 (no data) count as rows without a level; other
    flags are not looked at. ECCC's, the Environment Agency's and Hydstra's levels are in metres.

    CDEC's download, USGS's RDB and JSON, ECCC's daily CSV and the plain table were tested on real records, the others
    on files written after the publishers' descriptions.
    """
    path = Path(path)
    asked = (date_column, level_column)
    kind, header, table, separator, comments = _table(path, _text(path), separator, asked)
    level, when = _columns(path, kind, header, asked)
    n_rows = len(table)
    if kind.rows[0]:
        table = table[_holds(table, header, *kind.rows)]
    if table.empty:
        raise LevelError(f"{path}: no level in {n_rows} rows found, at least one expected. Look at the file.")
    cut_off = table[[level, *when]].isna().any(axis=1)
    if cut_off.any():
        number = cut_off.idxmax()
        raise LevelError(
            f"{path}: row {number + 2} is cut off after {table.loc[number].count()} of {len(header)} cells. Get it "
            "again."
        )
    for at in _matching(header, kind.one):
        if len(found := sorted(set(table[at].str.strip()) - {""})) > 1:
            raise LevelError(
                f"{path}: {header[at]} {', '.join(found[:5])} found, a single one expected. Split the file."
            )
    unit = _unit(path, kind, header, table, level, comments, unit)
    texts = table[level].str.strip()
    missing = texts.str.fullmatch(_MISSING, case=False) | _holds(table, header, *kind.none)
    if missing.all():
        raise LevelError(f"{path}: no level in {n_rows} rows found, at least one expected. Look at the file.")
    numbers, decimal = _numbers(path, texts[~missing], separator, decimal)
    when_written = [table.loc[~missing, at].str.strip() for at in when]
    times = when_written[0].str.cat(when_written[1:], sep=" ")
    if day_first is None:
        day_first = kind.day_first or (True if decimal == "," else None)
    days, day_first = _days(path, times, day_first)
    rows = pd.DataFrame({"day": days, "time": times, "text": texts[~missing], "m": numbers * METRES[unit]})
    daily = _daily(path, rows)
    order = "" if day_first is None else f", {'day' if day_first else 'month'} first"
    daily.attrs |= {
        "path": str(path),
        "format": kind.name,
        "unit": unit,
        "read": f"{kind.name}, {header[level]} in {unit} by {' and '.join(header[at] for at in when)}{order}"
        + (", decimal comma" if decimal == "," else ""),
        "zones": sorted({*times.str.extract(_ZONE)[0].dropna(), *re.findall(r"\(([A-Z]{3,4})\)", str(header))}),
    }
    daily.attrs["n_missing"] += int(missing.sum())
    daily.attrs["readings"] = _readings(rows, daily.attrs)
    _warn(path, daily)
    return daily


# From a file to a table of texts


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise LevelError(
            f"{path}: not readable ({error.strerror}), a text file with levels expected. Check the path."
        ) from None
    for encoding in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        with suppress(UnicodeError):
            text = raw.decode(encoding)
            if "\0" not in text:
                break
    else:
        raise LevelError(f"{path}: no text found, a table as text expected. Save it as CSV.")
    if not text.strip():
        raise LevelError(f"{path}: an empty file found, dates and levels expected. Get it from its publisher again.")
    return text


def _table(
    path: Path, text: str, separator: str | None, asked: tuple[str | None, str | None]
) -> tuple[_Format, list[str], pd.DataFrame, str, list[str]]:
    """Format, names of columns, cells as text, what separates them, and comments."""
    comments = []
    if text.lstrip().startswith("{"):
        header, rows = _from_json(path, text)
        kind, separator = _kind(header, asked), ""
    else:
        for pattern, names in _HEADLESS:
            text = re.sub(pattern, names, text, count=1, flags=re.MULTILINE)
        lines = [line for line in text.splitlines() if line.strip()]
        comments, body = ([line for line in lines if line.startswith("#") is told] for told in (True, False))
        if not body:
            raise LevelError(
                f"{path}: nothing but comments found ({lines[0]!r}), dates and levels expected. Ask its publisher for "
                "another station or other days."
            )
        separators = (separator or _CELLS_APART).replace("\\t", "\t")  # as it is typed in a shell
        kind, header, separator, rows = (
            _header(body, separators, asked)
            or _header([comment.lstrip("# ") for comment in comments[-1:]] + body, separators[:3], asked)
            or (None, _split(body[0], max(separators, key=body[0].count)), "", [])
        )
    if kind is None:
        raise LevelError(
            f"{path}: columns {', '.join(header)} found, one called date and one whose name has level, elevation, "
            "stage or height expected. Name them (date_column, level_column; --date-column, --level-column)."
        )
    if {"low_m", "high_m", "abstains"} <= set(header):
        raise LevelError(f"{path}: estimates of this package found, a gauge record expected. Name the record.")
    long = next((number for number, row in enumerate(rows) if any(row[len(header) :])), None)
    if long is not None:
        raise LevelError(
            f"{path}: {len(rows[long])} cells in row {long + 2} below {len(header)} names found, as many expected. If "
            "the commas are decimal marks, save the table with another separator, such as a semicolon."
        )
    padding = [None] * len(header)  # of rows that are cut off
    table = pd.DataFrame([[*row, *padding][: len(header)] for row in rows], columns=range(len(header)), dtype=object)
    return kind, header, table, separator, comments


def _from_json(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    """Of an OGC API, as USGS's Water Data and ECCC's GeoMet are, or of USGS's old WaterServices."""
    try:
        answer = json.loads(text)
        if "features" in answer:
            rows = [feature["properties"] for feature in answer["features"]]
        else:
            rows = [
                {
                    "monitoring_location_id": series["sourceInfo"]["siteCode"][0]["value"],
                    "parameter_code": series["variable"]["variableCode"][0]["value"],
                    "unit_of_measure": series["variable"]["unit"]["unitCode"],
                    "statistic_id": series["variable"]["options"]["option"][0]["optionCode"],
                    "time_series_id": part["method"][0]["methodID"],
                    "time": row["dateTime"],
                    "value": row["value"],
                }
                for series in answer["value"]["timeSeries"]
                for part in series["values"]
                for row in part["value"]
            ]
    except (ValueError, LookupError, TypeError):
        raise LevelError(
            f"{path}: no record in JSON found, USGS's or GeoMet's expected. Get it as CSV, or ask its publisher again."
        ) from None
    if not rows:
        raise LevelError(f"{path}: no row found, levels expected. Ask its publisher for another station or other days.")
    if any(link.get("rel") == "next" for link in answer.get("links", ())):
        warnings.warn(f"{path}: one page of several found, the whole record expected. Ask for more days.", stacklevel=4)
    header = list(dict.fromkeys(name for row in rows for name in row))
    return header, [["" if row.get(name) is None else str(row[name]) for name in header] for row in rows]


def _split(line: str, separator: str) -> list[str]:
    beginning = line[:_LONGEST_HEADER]  # a file may be a single line
    return [cell.strip() for cell in next(csv.reader([beginning], delimiter=separator, skipinitialspace=True))]


def _header(lines: list[str], separators: str, asked: tuple) -> tuple[_Format, list[str], str, list[list[str]]] | None:
    """The first line that names a format's columns, maybe below titles, and the rows below it."""
    for separator in separators:
        for number, line in enumerate(lines[:_MOST_TITLES]):
            header = _split(line, separator)
            if kind := _kind(header, asked):
                rows = list(csv.reader(lines[number + 1 :], delimiter=separator, skipinitialspace=True))
                if rows and all(re.fullmatch(r"\d+[sdn]", cell) for cell in rows[0]):  # USGS's widths of columns
                    del rows[0]
                return kind, header, separator, [row for row in rows if any(cell.strip() for cell in row)]
    return None


# What the columns are


def _matching(header: list[str], pattern: str) -> list[int]:
    return [at for at, name in enumerate(header) if pattern and re.fullmatch(pattern, name, re.IGNORECASE)]


def _candidates(
    kind: _Format, header: list[str], date_column: str | None, level_column: str | None
) -> tuple[list[int], list[int]]:
    """Columns that may hold dates, and levels, by names asked for or the format's; none if it is another."""
    needed = [pattern for pattern in (kind.rows[0], "" if kind.unit in METRES else kind.unit) if pattern]
    if not all(_matching(header, pattern) for pattern in needed):
        return [], []
    levels, dates = _matching(header, kind.level), _matching(header, _DATE) or _matching(header, _CLOCK)[:1]
    if level_column is not None:
        named = _matching(header, re.escape(level_column.strip()))
        levels = named if kind.name == "plain" else [at for at in named if at in levels]
    if date_column is not None:
        dates = _matching(header, re.escape(date_column.strip()))
    return dates, levels


def _kind(header: list[str], asked: tuple) -> _Format | None:
    for kind in _FORMATS:
        dates, levels = _candidates(kind, header, *asked)
        if levels and set(dates) - set(levels):
            return kind
    return None


def _columns(path: Path, kind: _Format, header: list[str], asked: tuple) -> tuple[int, list[int]]:
    """The column of levels, and those of dates, times of day and zones."""
    dates, levels = _candidates(kind, header, *asked)
    whole = [at for at in dates if header[at].lower() in ("datetime", "timestamp")]
    dates = whole if len(whole) == 1 else dates
    for found, what in ((dates, "date"), (levels, "level")):
        if len(found) != 1:
            raise LevelError(
                f"{path}: columns {', '.join(header[at] for at in found)} found, a single one of a {what} expected. "
                f"Name it ({what}_column, --{what}-column)."
            )
    clocks = [at for at in _matching(header, _CLOCK)[:1] if at not in dates]
    return levels[0], [*dates, *clocks, *_matching(header, "tz_cd")]


def _holds(table: pd.DataFrame, header: list[str], column: str, content: str) -> pd.Series:
    found = _matching(header, column)
    if not found:
        return pd.Series(False, table.index)
    return table[found[0]].fillna("").str.strip().str.fullmatch(content, case=False)


def _unit(
    path: Path,
    kind: _Format,
    header: list[str],
    table: pd.DataFrame,
    level: int,
    comments: list[str],
    asked: str | None,
) -> str:
    """What the record says of its unit, or else what the user says."""
    name = header[level].lower()
    if kind.unit in METRES:
        told = {kind.unit}
    elif kind.name == "USGS NWIS":
        told = {USGS_LEVELS[re.fullmatch(kind.level, name)[1]]}
    elif columns := _matching(header, kind.unit or "units?"):
        told = set(table[columns[0]].dropna()) - {""}
    else:
        told = {word for word in re.split(r"[^a-z]+", name) if word in _SPELLINGS} or {
            found[1] for line in comments if (found := re.match(r"#\s*units?\W+(\w+)", line, re.IGNORECASE))
        }
    told = {_SPELLINGS.get(word.strip().lower(), word.strip()) for word in told}
    if len(told) > 1:
        raise LevelError(f"{path}: levels in {' and '.join(sorted(told))} found, one unit expected. Split the file.")
    unit = next(iter(told), asked)
    if unit not in METRES:
        raise LevelError(
            f"{path}: {'no unit' if unit is None else f'the unit {unit!r}'} of the levels found, one of "
            f"{', '.join(METRES)} expected. Name the unit (unit, --unit)."
        )
    if asked not in (None, unit):
        raise LevelError(
            f"{path}: levels in {unit} found, as the record says, but {asked} asked for (unit, --unit). Leave it out; "
            "if the record is wrong about itself, correct it there."
        )
    return unit


# From texts to levels a day


def _numbers(path: Path, texts: pd.Series, separator: str, decimal: str | None) -> tuple[pd.Series, str]:
    """Levels, and the decimal mark."""
    with_comma = texts[texts.str.contains(",")]
    if decimal is None and len(with_comma):
        if separator != ";" and with_comma.str.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}").all():
            raise LevelError(
                f"{path}: the level {with_comma.iloc[0]!r} found, which may be thousands or have a decimal comma. Say "
                "which (decimal, --decimal)."
            )
        decimal = "," if with_comma.str.rfind(",").gt(with_comma.str.rfind(".")).all() else "."
    decimal = decimal or "."
    mark, other = re.escape(decimal), "," if decimal == "." else r"\."
    number = rf"[+-]?(?:[1-9]\d{{0,2}}(?:{other}\d{{3}})+|\d*)(?:{mark}\d*)?(?:e[+-]?\d+)?"
    plain = texts.where(texts.str.fullmatch(number, case=False))
    plain = plain.str.replace(other, "", regex=True).str.replace(decimal, ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce")
    if numbers.isna().any():
        raise LevelError(
            f"{path}: the level {texts[numbers.isna()].iloc[0]!r} found, a number expected. Correct the row."
        )
    return numbers, decimal


def _days(path: Path, times: pd.Series, day_first: bool | None) -> tuple[pd.Series, bool | None]:
    """Dates as they are written, a time in another zone than the gauge's is not converted; and whether days are first.

    All dates of a record are written alike.
    """
    dates = times.str.extract(r"^(?:(\d{8})(?:[T\s].*)?|(.*?)(?:[T@\s]+\d{1,2}:\d{2}.*)?)$")
    dates = dates[0].fillna(dates[1]).str.strip()
    if day_first is None and dates.str.contains(".", regex=False).all():
        day_first = True
    written = dates.str.replace(r"[/.,\s]+", "-", regex=True)
    read = {style: pd.to_datetime(written, format=style, errors="coerce") for style in _DATES}
    fits = [style for style in _DATES if read[style].notna().all()]
    if set(_AMBIGUOUS) <= set(fits) and not read[_AMBIGUOUS[0]].equals(read[_AMBIGUOUS[1]]):
        if day_first is None:
            raise LevelError(
                f"{path}: dates such as {dates.iloc[0]} found, which may begin with the day or the month. Say which "
                "(day_first; --day-first, --month-first)."
            )
        fits = [_AMBIGUOUS[not day_first]]
    style = fits[0] if fits else max(_DATES, key=lambda style: read[style].count())
    if not fits:
        raise LevelError(
            f"{path}: the date {dates[read[style].isna()].iloc[0]!r} found, dates such as 2018-07-03 expected. Correct "
            "the row."
        )
    return read[style], style == _AMBIGUOUS[0] if style in _AMBIGUOUS else None


def _daily(path: Path, rows: pd.DataFrame) -> pd.Series:
    """One level a day, with what was found on the way in its `attrs`."""
    coded, stuck = _apart(rows)
    codes = rows["text"][coded].value_counts().to_dict()
    rows = rows[~coded]
    daily = rows.groupby("day")["m"].mean().rename_axis("date").rename("level_m")
    by_time = rows.groupby("time")["m"]
    differing = rows[(by_time.transform("max") - by_time.transform("min") > 0.01).to_numpy()]["day"].drop_duplicates()
    far = _far(daily) | daily.index.isin(rows["day"][stuck[~coded]])
    steps = daily.index.to_series().diff().dt.days
    daily.attrs = {
        "n_missing": int(coded.sum()),
        "codes": codes,
        "n_repeated": len(rows) - len(daily),
        "contradicting": sorted(
            day for day in differing if not _sets_clocks_back(day, rows["time"][rows["day"] == day])
        ),
        "gaps": [(day - pd.Timedelta(days=n), day) for day, n in steps[steps > 31].items()],
        "impossible": sorted([*daily.index[far], *_spikes(daily[~far])]),
    }
    return daily


def _readings(rows: pd.DataFrame, found: dict) -> Readings | None:
    """What the rows tell of times within days, without codes."""
    clock = rows["time"].str.extract(_CLOCK_TIME)
    if not found["n_repeated"] or clock[[0, 1]].isna().any(axis=None):
        return None
    zone = clock[2].fillna(found["zones"][0] if len(found["zones"]) == 1 else "")
    offset = zone.str.extract(r"^([+-])(\d{2}):?(\d{2})?$")
    hours = (offset[1].astype(float) + offset[2].astype(float).fillna(0) / 60) * offset[0].map({"+": 1, "-": -1})
    time = rows["day"] + pd.to_timedelta(clock[0].astype(int) * 60 + clock[1].astype(int), unit="min")
    table = pd.DataFrame(
        {"time": time, "utc_hours": zone.map(_HOURS).fillna(hours), "day": rows["day"], "m": rows["m"]}
    )
    return Readings(table[~rows["text"].isin(found["codes"])])


def _warn(path: Path, daily: pd.Series) -> None:
    for code, n in daily.attrs["codes"].items():
        warnings.warn(
            f"{path}: {code} found in {n} rows, far from all other levels, and taken as no level. Look at the record.",
            stacklevel=3,
        )
    for what in ("contradicting", "impossible"):
        if days := daily.attrs[what]:
            warnings.warn(
                f"{path}: {what} levels found on {len(days)} days, the first on {days[0]:%Y-%m-%d}. The series keeps "
                f"them, attrs[{what!r}] lists them, and scenes of these days are left out. Look at the record.",
                stacklevel=3,
            )


def _apart(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Which rows hold a code for a missing level, and which another number that comes again and again, far off."""
    levels = rows.sort_values("day", kind="stable")["m"]
    least = max(SMALLEST_SPIKE_M, SPIKE_IN_STEPS * levels.diff().abs().median())
    distinct = np.unique(levels)
    breaks = np.flatnonzero(np.diff(distinct) > least) + 1
    groups = np.split(distinct, breaks)
    bulk = max(groups, key=len)
    group = rows["m"].groupby(np.searchsorted([one[0] for one in groups], rows["m"], side="right"))
    often = rows.groupby("m")["m"].transform("size") >= FEWEST_IN_MONTH
    least = np.where(often, least, np.maximum(least, FARTHEST_FROM_MEDIAN_M))
    beyond = np.maximum(bulk[0] - rows["m"], rows["m"] - bulk[-1]) > np.maximum(least, np.ptp(bulk))
    beyond &= len(bulk) >= NEAREST
    codes = rows["text"].str.fullmatch(_CODE).groupby(group.ngroup()).transform("all")  # with no level among them
    return beyond & codes, beyond & ~codes & often & (group.transform("nunique") == 1)


def _sets_clocks_back(day: pd.Timestamp, times: pd.Series) -> bool:
    """Whether it is a Sunday on which, in the order of rows, one hour of the night is repeated."""
    clock = times.str.extract(r"(\d{1,2}):?(\d{2})(?::\d{2}(?:\.\d+)?)?$").astype(float)
    minutes = 60 * clock[0] + clock[1]
    steps = minutes.diff()[1:] * (1 if minutes.iloc[-1] > minutes.iloc[0] else -1)
    back = steps[steps <= 0]
    hourly = day.day_of_week == 6 and len(times) > 20
    return hourly and len(back) == 1 and back.iloc[0] > -60 and minutes[back.index[0]] < 4 * 60


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
