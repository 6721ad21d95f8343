"""Daily levels from CDEC (California), USGS (United States) or ECCC (Canada), as files that `read_gauge` reads.

The package that USGS's needs is of the extra `download`.
"""

import csv
import hashlib
import io
import json
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd

from millpond.files import make_folder, replacing, write_text
from millpond.level.errors import LevelError
from millpond.level.gauges import USGS_LEVELS, read_gauge
from millpond.level.web import first_line, get_json, get_text, period_of, require

AGENCIES = {
    "cdec": "https://cdec.water.ca.gov/dynamicapp/req/CSVDataServlet",
    "usgs": "https://api.waterdata.usgs.gov",
    "eccc": "https://api.weather.gc.ca/collections/hydrometric-daily-mean/items",
}
"""Who gauges, and where the levels are asked for."""

CDEC_ELEVATION = "6"
"""CDEC's number of the sensor that measures a reservoir's elevation, in feet."""

USGS_STATISTICS = ("00003", "32400", "3", "")
"""How the codes of USGS's statistics begin: the mean, the level at midnight or at another time, then extremes."""


def download_levels(
    agency: str,
    station: str,
    path: str | Path,
    first: str | pd.Timestamp,
    last: str | pd.Timestamp,
    *,
    url: str | None = None,
) -> pd.Series:
    """Download the daily levels of a station, unless the file has them.

    Parameters
    ----------
    agency : "cdec", "usgs" or "eccc"
    station : str
        Its identifier there, such as "LYS", "08253900" or "05AA004".
    path : path
        The file to write. CDEC's is kept as it comes; of USGS, it is the time series with most days; of ECCC, date and
        level, with its symbol, but not those of dry days. A note of station and period is written beside it, with
        `.json` after its name. A file that has no note or was changed since is the user's own, and kept whatever it
        holds.
    first, last : str or Timestamp
        Days, both included. If an earlier download has fewer, it is replaced by one of its days and these.
    url : str, optional
        Another address of the agency's service.

    Returns
    -------
    Series
        The record, as `read_gauge` reads it from the file. `origin` in its `attrs` is "new"; "kept" if it was
        downloaded before; or "own" if the file is the user's.

    Raises
    ------
    LevelError
        If the agency is unknown, doesn't answer, or has no daily level of the station in that period; if the file is a
        download of another station.
    """
    if agency not in AGENCIES:
        raise LevelError(f"agency {agency!r} found, one of {', '.join(AGENCIES)} expected.")
    first, last = period_of(first, last)
    path = Path(path)
    note = path.with_name(path.name + ".json")
    asked = {"agency": agency, "station": station.strip().upper().removeprefix("USGS-")}
    origin = "new"
    if path.exists():
        origin, earlier = _earlier(path, note, asked)
        if origin == "kept" and not earlier[0] <= first <= last <= earlier[1]:
            origin, first, last = "new", min(first, earlier[0]), max(last, earlier[1])
    if origin == "new":
        text = _LEVELS[agency](asked["station"], first, last, url or AGENCIES[agency])
        if text is None:
            raise LevelError(
                f"{agency} {station}: no daily level from {first:%Y-%m-%d} to {last:%Y-%m-%d} found, at least one "
                f"expected. Check station and period; {_WHERE[agency].format(station=station)} tells what there is."
            )
        make_folder(path.parent, LevelError)
        with replacing(path, LevelError) as unfinished:
            write_text(unfinished, text, LevelError)
            with warnings.catch_warnings(action="ignore"):
                read_gauge(unfinished)  # what can't be read replaces nothing
            known = min(last, pd.Timestamp.now().normalize() - pd.Timedelta(days=1))  # later levels are still to come
            asked |= {"first": f"{first:%Y-%m-%d}", "last": f"{known:%Y-%m-%d}", "sha256": _sha256(unfinished)}
            write_text(note, json.dumps(asked, indent=1) + "\n", LevelError)
    level_m = read_gauge(path)
    level_m.attrs["origin"] = origin
    return level_m


def _earlier(path: Path, note: Path, asked: dict[str, str]) -> tuple[str, tuple[pd.Timestamp, ...]]:
    """Whether a file is "kept" or the user's "own", and the period of what was downloaded."""
    if not note.exists():
        return "own", ()
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        there, period = (found["agency"], found["station"]), (pd.Timestamp(found["first"]), pd.Timestamp(found["last"]))
        sha256 = found["sha256"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise LevelError(
            f"{note}: no note of a download found ({first_line(error)}), agency, station and period expected. Remove "
            f"it if {path.name} is your own, and both if not."
        ) from None
    if there != (asked["agency"], asked["station"]):
        raise LevelError(
            f"{path}: levels of {' '.join(there)} found, {asked['agency']} {asked['station']} expected, as asked for. "
            f"Name another folder; or remove {note.name} if the file is your own by now."
        )
    return ("kept" if sha256 == _sha256(path) else "own"), period


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_number(text: str | None) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except (TypeError, ValueError):
        return False


def _cdec(station: str, first: pd.Timestamp, last: pd.Timestamp, url: str) -> str | None:
    asked = {"Stations": station, "SensorNums": CDEC_ELEVATION, "dur_code": "D"}
    text = get_text(url, asked | {"Start": f"{first:%Y-%m-%d}", "End": f"{last:%Y-%m-%d}"})
    return text if any(_is_number(row.get("VALUE")) for row in csv.DictReader(io.StringIO(text))) else None


def _usgs(station: str, first: pd.Timestamp, last: pd.Timestamp, url: str) -> str | None:
    dataretrieval, waterdata = require("dataretrieval"), require("dataretrieval.waterdata")
    elsewhere = nullcontext()
    if url != AGENCIES["usgs"]:
        elsewhere = dataretrieval.configure(waterdata.WaterdataConfiguration(base_url=url))
    try:
        with elsewhere:
            levels, _ = waterdata.get_daily(
                monitoring_location_id=f"USGS-{station.removeprefix('USGS-')}",
                parameter_code=list(USGS_LEVELS),
                time=f"{first:%Y-%m-%d}/{last:%Y-%m-%d}",
                skip_geometry=True,
            )
    except Exception as error:  # dataretrieval's errors changed from version to version
        raise LevelError(f"{url}: no answer ({first_line(error)}), data expected. Check station and network.") from None
    if levels.empty or levels["value"].isna().all():
        return None
    kind = ["parameter_code", "statistic_id", "time_series_id"]

    def rank(found: pd.DataFrame) -> tuple[int, int, int]:
        parameter, statistic = found[kind[:2]].iloc[0]
        begins = [str(statistic).startswith(start) for start in USGS_STATISTICS]
        return -found["value"].count(), list(USGS_LEVELS).index(parameter), begins.index(True)

    best = min((found for _, found in levels.groupby(kind, dropna=False)), key=rank)
    columns = ["time", "value", "unit_of_measure", "monitoring_location_id", *kind]
    return best.sort_values("time")[columns].to_csv(index=False)


def _eccc(station: str, first: pd.Timestamp, last: pd.Timestamp, url: str) -> str | None:
    asked = {"f": "json", "STATION_NUMBER": station, "datetime": f"{first:%Y-%m-%d}/{last:%Y-%m-%d}", "limit": 10_000}
    days: dict[str, dict] = {}
    n_days, before = None, -1
    while len(days) not in (n_days, before):  # pages may be shorter than asked for
        before = len(days)
        answer = get_json(url, asked | {"offset": before}, "features")
        n_days = answer.get("numberMatched")
        days |= {found["properties"]["DATE"][:10]: found["properties"] for found in answer["features"]}
    if n_days is not None and len(days) < n_days:
        raise LevelError(
            f"{url}: {len(days)} of {n_days} days found, all expected. Try again later, or ask for a shorter period."
        )
    symbols = {day: row.get("LEVEL_SYMBOL_EN") or "" for day, row in days.items()}
    levels = [
        (day, row["LEVEL"], symbols[day])
        for day, row in sorted(days.items())
        if row["LEVEL"] is not None and symbols[day].strip().lower() not in ("d", "dry")
    ]
    return pd.DataFrame(levels, columns=["date", "level_m", "symbol"]).to_csv(index=False) if levels else None


_LEVELS = {"cdec": _cdec, "usgs": _usgs, "eccc": _eccc}
_WHERE = {
    "cdec": "https://cdec.water.ca.gov/dynamicapp/staMeta?station_id={station}",
    "usgs": "https://waterdata.usgs.gov/monitoring-location/{station}",
    "eccc": "https://wateroffice.ec.gc.ca",
}
"""Where people look up a station."""
