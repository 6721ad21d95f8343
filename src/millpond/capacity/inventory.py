"""Real reservoirs whose capacity is known: the US National Inventory of Dams and the surveys of Ceará, Brazil.

Both are dirty. Rows are left out for missing or contradictory figures (a reservoir larger than its catchment, deeper
on average than its dam is high) and where an agency's units are wrong, never by their distance from a fitted law. Each
rule is counted. Natural lakes that a low dam has raised may be deeper than the dam is high; they are lost too.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALL_CAPACITY_1E6_M3

# The international foot is 0.3048 m exactly, the only foot since 2023 (NIST, 85 FR 62698, 2020). An acre is 43,560 ft2,
# an acre-foot 43,560 ft3, a square mile 640 acres. (With the older survey foot, acres are 0.0004 % larger.)
M_PER_FOOT = 0.3048
KM2_PER_ACRE = 43_560 * M_PER_FOOT**2 / 1e6
KM2_PER_SQUARE_MILE = 640 * KM2_PER_ACRE
MILLION_M3_PER_ACRE_FOOT = 43_560 * M_PER_FOOT**3 / 1e6
KM2_PER_HECTARE = 0.01

LARGEST_BASIN_KM2 = 1_150_000 * KM2_PER_SQUARE_MILE
"""The Mississippi's, the largest of the United States (Kammerer 1990, USGS Open-File Report 87-242)."""

MIXED_DRAINAGE_UNITS = ("GA", "MO")
"""State agencies whose drainage areas are partly acres instead of square miles, with nothing to tell which.

Of their small reservoirs the median catchment is about 10,000 times the reservoir, against less than 200 times in every
other state whose surface areas are right; read as acres it is 15 to 20 times, as in their neighbours. For example
GA01591 on the Little River has 385,000 and MO20006 on Shoal Creek 275,000: more square miles than their states have.
"""

_NID_COLUMNS = {
    "NID_ID": "nid_id",
    "Dam_Name": "name",
    "State": "state",
    "Source_Agency": "source",
    "Latitude": "latitude_deg",
    "Longitude": "longitude_deg",
    "NID_Height": "height_m",
    "Normal_Storage": "capacity_1e6_m3",
    "Max_Storage": "max_storage_1e6_m3",
    "Surface_Area": "surface_area_km2",
    "Drainage_Area": "drainage_area_km2",
    "Other_Structure_ID": "structure",
}
_NID_UNITS = {
    "height_m": M_PER_FOOT,
    "capacity_1e6_m3": MILLION_M3_PER_ACRE_FOOT,
    "max_storage_1e6_m3": MILLION_M3_PER_ACRE_FOOT,
    "surface_area_km2": KM2_PER_ACRE,
    "drainage_area_km2": KM2_PER_SQUARE_MILE,
}
_NID_MEASURED = ["capacity_1e6_m3", "surface_area_km2", "drainage_area_km2", "height_m"]
_NEIGHBOURHOOD_DEG = 0.1


def read_nid(path: str | Path, *, small_only: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read and clean the National Inventory of Dams in its table of 2013.

    `Normal_Storage` is the capacity: the water below the normal retention level, to which `Surface_Area` belongs as
    well and at which a satellite mostly sees a reservoir. `Max_Storage` includes the room for floods above that level
    (in the median 1.8 times as much), and `NID_Storage` is only the larger of the two. `NID_Height` is the largest of
    up to three heights of a dam, hence the most generous limit to a depth.

    Parameters
    ----------
    path : str or Path
        The table as CSV, compressed or not, or the folder with `nid.csv.gz`.
    small_only : bool
        Keep the study's small reservoirs alone (`SMALL_CAPACITY_1E6_M3`).

    Returns
    -------
    dams : DataFrame
        One row a dam: `nid_id`, `name`, `state`, `source` (the agency that filed it), `latitude_deg`, `longitude_deg`,
        `height_m`, `capacity_1e6_m3`, `surface_area_km2`, `drainage_area_km2`. Some drainage areas of Oklahoma are
        acres too; they are possible and stay.
    cleaning : DataFrame
        The rules in the order in which they are applied: `rule`, `rows_removed`, `rows_left`.

    Raises
    ------
    CapacityError
        If the file isn't there or columns are missing.
    """
    path = Path(path)
    dams = _read_csv(path / "nid.csv.gz" if path.is_dir() else path, _NID_COLUMNS)
    for column, unit in _NID_UNITS.items():
        dams[column] *= unit

    steps = [("all rows", 0, len(dams))]

    def keep(wanted: pd.Series, rule: str) -> None:
        nonlocal dams
        steps.append((rule, int((~wanted).sum()), int(wanted.sum())))
        dams = dams[wanted]

    keep(dams[["latitude_deg", "longitude_deg"]].notna().all(axis=1), "coordinates are given")
    keep(dams[_NID_MEASURED].notna().all(axis=1), "normal storage, surface area, drainage area and height are given")
    keep((dams[_NID_MEASURED] > 0).all(axis=1), "and positive")
    # The tallest structure stands where the valley is deepest; of equals, the main one, which has no structure id.
    dams = dams.sort_values("structure", na_position="first", kind="stable")
    dams = dams.sort_values("height_m", ascending=False, kind="stable")
    keep(~dams.duplicated("nid_id"), "one row a dam: the tallest of several structures under an id")
    keep(~_repeated_reservoirs(dams), "one dam a reservoir: the tallest of several ids with equal figures within 0.1°")
    keep(~(dams["max_storage_1e6_m3"] < dams["capacity_1e6_m3"]), "maximum storage isn't below normal storage")
    if small_only:
        keep(dams["capacity_1e6_m3"].between(*SMALL_CAPACITY_1E6_M3), "capacity is 0.1 to 10 million m3")
    keep(~dams["source"].isin(MIXED_DRAINAGE_UNITS), "agency doesn't mix acres with square miles (GA and MO do)")
    keep(dams["drainage_area_km2"] >= dams["surface_area_km2"], "drainage area isn't below surface area")
    keep(dams["drainage_area_km2"] <= LARGEST_BASIN_KM2, "drainage area isn't above the Mississippi's")
    # km2 times m are million m3.
    possible = dams["capacity_1e6_m3"] <= dams["surface_area_km2"] * dams["height_m"]
    trusted = possible.groupby(dams["source"]).transform("mean") >= 0.5
    keep(trusted, "at least half of the agency's reservoirs pass the next rule (surface areas of MA are wrong)")
    keep(possible[trusted], "mean depth isn't above the height of the dam")

    dams = dams.drop(columns=["max_storage_1e6_m3", "structure"]).sort_values("nid_id", ignore_index=True)
    return dams, pd.DataFrame(steps, columns=["rule", "rows_removed", "rows_left"])


def read_ceara(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read and clean the height-area-volume curves of Ceará and the reservoirs that they belong to.

    Between the lowest and the highest level of a curve, the gain in volume is the integral of the area over the height.
    Where the two differ by more than a factor of 2, a unit is wrong: areas are hectares if the volume is about 0.01
    times the integral, which is mended; otherwise it stays unknown.

    Parameters
    ----------
    folder : str or Path
        With `height_area_volume.csv` and `reservoirs.csv`.

    Returns
    -------
    curves : DataFrame
        One row a reservoir and level, by height: `reservoir`, `level_m` (often above a local datum), `area_km2`,
        `volume_1e6_m3`.
    reservoirs : DataFrame
        One row a reservoir with a curve that reaches its capacity: `reservoir`, `name`, `latitude_deg`,
        `longitude_deg`, `capacity_1e6_m3`, `dam_height_m` (NaN where unknown), `surface_area_km2` and `depth_m` (both
        on the curve, at that capacity).
    cleaning : DataFrame
        The rules in the order in which they are applied: `rule`, `table`, `rows_removed`, `rows_changed`, `rows_left`
        and `reservoirs_left`.

    Raises
    ------
    CapacityError
        If a file isn't there or columns are missing.
    """
    curves = _read_csv(
        Path(folder) / "height_area_volume.csv",
        {
            "codigo": "row",
            "reservatorio": "reservoir",
            "cota": "level_m",
            "area": "area_km2",
            "volume": "volume_1e6_m3",
        },
    )
    reservoirs = _read_csv(
        Path(folder) / "reservoirs.csv",
        {
            "cod": "reservoir",
            "nome": "name",
            "lat": "latitude_deg",
            "lon": "longitude_deg",
            "capacidade": "capacity_1e6_m3",
            "altura_maxima": "dam_height_m",
        },
    )
    steps = []

    def log(rule: str, name: str, before: int, table: pd.DataFrame, changed: int = 0) -> pd.DataFrame:
        steps.append((rule, name, before - len(table), changed, len(table), table["reservoir"].nunique()))
        return table

    curves = log("all rows", "curves", len(curves), curves)
    curves = curves.sort_values(["reservoir", "level_m", "row"], ignore_index=True)
    kept = curves.drop_duplicates(["reservoir", "level_m"], keep="last")
    curves = log("one row a level: the one entered last", "curves", len(curves), kept.drop(columns="row"))

    by_reservoir = curves.groupby("reservoir")
    falls = (by_reservoir[["area_km2", "volume_1e6_m3"]].diff() < 0).any(axis=1)
    kept = curves[~falls.groupby(curves["reservoir"]).transform("any")]
    curves = log("no area or volume falls as the level rises", "curves", len(curves), kept)

    ratio = curves["reservoir"].map(_volume_over_integral(curves))
    hectares = _within_factor_2(ratio / KM2_PER_HECTARE)
    curves = curves.assign(area_km2=curves["area_km2"].where(~hectares, curves["area_km2"] * KM2_PER_HECTARE))
    log("areas in hectares become km2", "curves", len(curves), curves, changed=int(hectares.sum()))
    rule = "volumes and areas agree within a factor of 2"
    curves = log(rule, "curves", len(curves), curves[hectares | _within_factor_2(ratio)]).reset_index(drop=True)

    reservoirs = log("all rows", "reservoirs", len(reservoirs), reservoirs)
    kept = reservoirs[reservoirs["capacity_1e6_m3"] > 0]
    reservoirs = log("capacity is given and positive", "reservoirs", len(reservoirs), kept)
    kept = reservoirs[reservoirs["reservoir"].isin(curves["reservoir"])]
    reservoirs = log("there is a curve", "reservoirs", len(reservoirs), kept)
    shapes = pd.DataFrame(
        [_at_capacity(curves[curves["reservoir"] == row.reservoir], row.capacity_1e6_m3) for row in kept.itertuples()],
        columns=["surface_area_km2", "depth_m", "range_m"],
        index=kept.index,
    )
    kept = kept.join(shapes).dropna(subset="surface_area_km2")
    reservoirs = log("the curve reaches the capacity", "reservoirs", len(reservoirs), kept)
    wrong = kept["dam_height_m"].notna() & ~_within_factor_2(kept["dam_height_m"] / kept["range_m"])
    reservoirs = kept.assign(dam_height_m=kept["dam_height_m"].mask(wrong))
    rule = "dam heights off the range of the curve by more than a factor of 2 become unknown"
    log(rule, "reservoirs", len(kept), reservoirs, changed=int(wrong.sum()))

    columns = ["rule", "table", "rows_removed", "rows_changed", "rows_left", "reservoirs_left"]
    reservoirs = reservoirs.drop(columns="range_m").sort_values("reservoir", ignore_index=True)
    return curves, reservoirs, pd.DataFrame(steps, columns=columns)


def _read_csv(path: Path, names: dict[str, str]) -> pd.DataFrame:
    if not path.is_file():
        raise CapacityError(f"{path}: no such file. Name the table, or the folder that holds it.")
    found = pd.read_csv(path, nrows=0).columns
    missing = [name for name in names if name not in found]
    if missing:
        raise CapacityError(f"{path}: columns {', '.join(missing)} missing, {', '.join(found)} found.")
    return pd.read_csv(path, usecols=list(names), low_memory=False)[list(names)].rename(columns=names)


def _repeated_reservoirs(dams: pd.DataFrame) -> pd.Series:
    """True for each dam whose reservoir an earlier row describes by the same figures a few kilometres away."""
    first = dams.groupby(["state", "capacity_1e6_m3", "surface_area_km2", "drainage_area_km2"])
    near = pd.Series(True, index=dams.index)
    for column in ("latitude_deg", "longitude_deg"):
        near &= (dams[column] - first[column].transform("first")).abs() <= _NEIGHBOURHOOD_DEG
    return near & (first.cumcount() > 0)


def _volume_over_integral(curves: pd.DataFrame) -> pd.Series:
    """By reservoir: gain in volume over the integral of the area (trapezoids); 1 if units agree, NaN without area."""
    by_reservoir = curves.groupby("reservoir")
    rise = by_reservoir["level_m"].diff()
    mean_area = (curves["area_km2"] + by_reservoir["area_km2"].shift()) / 2
    integral = (rise * mean_area).groupby(curves["reservoir"]).sum()
    gain = by_reservoir["volume_1e6_m3"].last() - by_reservoir["volume_1e6_m3"].first()
    return gain / integral.where(integral > 0)


def _within_factor_2(ratio: pd.Series) -> pd.Series:
    return ratio.between(0.5, 2)


def _at_capacity(curve: pd.DataFrame, capacity_1e6_m3: float) -> tuple[float, float, float]:
    """Surface area and depth where the curve holds the capacity (NaN if nowhere), and the range of its levels."""
    volume, level, area = (curve[name].to_numpy() for name in ("volume_1e6_m3", "level_m", "area_km2"))
    level_at, area_at = (
        np.interp(capacity_1e6_m3, volume, values, left=np.nan, right=np.nan) for values in (level, area)
    )
    return area_at, level_at - level[0], level[-1] - level[0]
