"""The reservoirs of Wu et al. (2023), ready for the downloader: where they are, how large, and who gauges them.

Names, coordinates and capacities are those of the study's Tables 1 and 2, as printed. They are not corrected, but a
record says in its `note` what is wrong with them. Stations of gauges are not in the study. California's are its
codes, which are those of the California Data Exchange Center (CDEC).
"""

from dataclasses import dataclass
from functools import cache

from millpond import published
from millpond.level.errors import LevelError

TABLES = ("wu2023_table1_california_reservoirs", "wu2023_table2_validation_reservoirs")

_GAUGES = {
    "BHC": ("cdec", "BHC"),
    "BIL": ("cdec", "BIL"),
    "GLL": ("cdec", "GLL"),
    "LYS": ("cdec", "LYS"),
    "MCR": ("eccc", None),
    "ARR": ("eccc", None),
    "CTR": ("usgs", "08253900"),  # named in the remarks of USGS's station 08261000, downstream
}
_UNKNOWN = (
    "The study does not name its station. Look it up on the map of https://wateroffice.ec.gc.ca and name it as "
    "eccc:STATION."
)
_NOTES = {
    "MCR": _UNKNOWN,
    "ARR": "The coordinates that the study prints lie in Saskatchewan, but it says British Columbia, all of which is "
    f"west of 114 W. Check the place before you trust its images. {_UNKNOWN}",
    "CTR": "The capacity that the study prints is about a quarter of what the US National Inventory of Dams has as "
    "normal storage (15,830 acre-feet).",
}


@dataclass(frozen=True)
class Reservoir:
    """A reservoir of the study.

    Attributes
    ----------
    code, name, region : str
        As the study has them; `region` is its hydrologic area or its location.
    longitude_deg, latitude_deg : float
        WGS 84, printed with two decimals: they may be off by half a kilometre. Those of Arrow (ARR) lie in
        Saskatchewan and not, as its table says, in British Columbia; they are kept as printed.
    capacity_m3 : float
    agency : str
        Who gauges it: "cdec", "usgs" or "eccc" (Environment and Climate Change Canada).
    station : str or None
        Its identifier there; None if we know of none.
    note : str
        What to know before use.
    """

    code: str
    name: str
    region: str
    longitude_deg: float
    latitude_deg: float
    capacity_m3: float
    agency: str
    station: str | None
    note: str = ""

    @property
    def place(self) -> tuple[float, float]:
        """Longitude and latitude, as `millpond.level.download_scenes.download_scenes` takes them."""
        return self.longitude_deg, self.latitude_deg


@cache
def reservoirs() -> dict[str, Reservoir]:
    """The study's seven reservoirs by their codes, those of California first."""
    rows = [row for table in TABLES for row in published.load(table).to_dict("records")]
    return {row["reservoir"]: _reservoir(row) for row in rows}


def reservoir(code: str) -> Reservoir:
    """The reservoir of a code, in any case; `LevelError` if there is none."""
    try:
        return reservoirs()[code.upper()]
    except KeyError:
        known = ", ".join(f"{found.code} ({found.name})" for found in reservoirs().values())
        raise LevelError(f"reservoir {code!r} found, one of {known} expected. Or name coordinates.") from None


def _reservoir(row: dict) -> Reservoir:
    code = row["reservoir"]
    return Reservoir(
        code,
        row["name"],
        row.get("hydrologic_area") or row["location"],
        row["longitude_deg"],
        row["latitude_deg"],
        row["capacity_1e3_m3"] * 1000.0,
        *_GAUGES[code],
        _NOTES.get(code, ""),
    )
