"""Daily levels from CDEC (California), USGS (United States) or ECCC (Canada), as files that `read_gauge` reads.

The package that USGS's needs is an extra: `pip install "millpond[download]"`.
"""

import csv
import io
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd

from millpond.files import write_text
from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge
from millpond.level.web import get_json, get_text, period_of, require

AGENCIES = {
    "cdec": "https://cdec.water.ca.gov/dynamicapp/req/CSVDataServlet",
    "usgs": "https://api.waterdata.usgs.gov",
    "eccc": "https://api.weather.gc.ca/collections/hydrometric-daily-mean/items",
}
"""Who gauges, and where the levels are asked for."""

CDEC_ELEVATION = "6"
"""CDEC's number of the sensor that measures a reservoir's elevation, in feet."""

USGS_LEVELS = ("62615", "62614", "00062", "62616", "63160", "00065", "62619", "62618", "62617", "30211")
"""USGS's parameters of levels: elevations in feet, then the gage height, then elevations in metres."""


def download_levels(
    agency: str,
    station: str,
    path: str | Path,
    first: str | pd.Timestamp,
    last: str | pd.Timestamp,
    *,
    url: str | None = None,
) -> pd.Series:
    """Download the daily levels of a station, unless the file is there.

    Parameters
    ----------
    agency : "cdec", "usgs" or "eccc"
    station : str
        Its identifier there, such as "LYS", "08253900" or "05AA004".
    path : path
        The file to write. CDEC's is kept as it comes; of USGS, it is the parameter and statistic with most days; of
        ECCC, date and level, with its symbol. A file that is there is kept, whatever it holds.
    first, last : str or Timestamp
        Days, both included.
    url : str, optional
        Another address of the agency's service.

    Returns
    -------
    Series
        The record, as `read_gauge` reads it from the file.

    Raises
    ------
    LevelError
        If the agency is unknown, doesn't answer, or has no daily level of the station in that period.
    """
    if agency not in AGENCIES:
        raise LevelError(f"agency {agency!r} found, one of {', '.join(AGENCIES)} expected.")
    first, last = period_of(first, last)
    path = Path(path)
    if not path.exists():
        text = _LEVELS[agency](station, first, last, url or AGENCIES[agency])
        if text is None:
            raise LevelError(
                f"{agency} {station}: no daily level from {first:%Y-%m-%d} to {last:%Y-%m-%d} found, at least one "
                f"expected. Check station and period; {_WHERE[agency].format(station=station)} tells what there is."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LevelError(
                f"{path.parent}: not made ({error.strerror}), a folder expected. Choose another."
            ) from None
        write_text(path, text, LevelError)
    return read_gauge(path)


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
        told = str(error).partition("\n")[0]
        raise LevelError(f"{url}: no answer ({told}), data expected. Check station and network.") from None
    if levels.empty or levels["value"].isna().all():
        return None
    series = [found for _, found in levels.groupby(["parameter_code", "statistic_id"])]
    order = {code: i for i, code in enumerate(USGS_LEVELS)}
    best = min(series, key=lambda found: (-found["value"].count(), order[found["parameter_code"].iloc[0]]))
    columns = ["time", "value", "unit_of_measure", "monitoring_location_id", "parameter_code", "statistic_id"]
    return best.sort_values("time")[columns].to_csv(index=False)


def _eccc(station: str, first: pd.Timestamp, last: pd.Timestamp, url: str) -> str | None:
    asked = {"f": "json", "STATION_NUMBER": station, "datetime": f"{first:%Y-%m-%d}/{last:%Y-%m-%d}", "limit": 10_000}
    rows: list[dict] = []
    while True:
        page = [found["properties"] for found in get_json(url, asked | {"offset": len(rows)}, "features")]
        rows += page
        if len(page) < asked["limit"]:
            break
    levels = sorted(
        (row["DATE"][:10], row["LEVEL"], row.get("LEVEL_SYMBOL_EN") or "") for row in rows if row["LEVEL"] is not None
    )
    return pd.DataFrame(levels, columns=["date", "level_m", "symbol"]).to_csv(index=False) if levels else None


_LEVELS = {"cdec": _cdec, "usgs": _usgs, "eccc": _eccc}
_WHERE = {
    "cdec": "https://cdec.water.ca.gov/dynamicapp/staMeta?station_id={station}",
    "usgs": "https://waterdata.usgs.gov/monitoring-location/{station}",
    "eccc": "https://wateroffice.ec.gc.ca",
}
"""Where people look up a station."""
