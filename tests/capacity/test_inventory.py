import pandas as pd
import pytest

from millpond import datasets
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALL_CAPACITY_1E6_M3
from millpond.capacity.inventory import (
    KM2_PER_ACRE,
    KM2_PER_SQUARE_MILE,
    MILLION_M3_PER_ACRE_FOOT,
    MIXED_DRAINAGE_UNITS,
    read_ceara,
    read_nid,
)

GOOD = {
    "NID_ID": "VA00001",
    "Dam_Name": "MILL POND",
    "State": "VA",
    "Source_Agency": "VA",
    "Latitude": 37.0,
    "Longitude": -79.0,
    "NID_Height": 30.0,
    "Normal_Storage": 200.0,
    "Max_Storage": 300.0,
    "Surface_Area": 20.0,
    "Drainage_Area": 2.0,
    "Other_Structure_ID": None,
}


def nid(tmp_path, *rows):
    """Clean a table of changes to a good dam; ids differ and places are a degree apart unless they are given."""
    numbered = [{**GOOD, "NID_ID": f"VA{i:05}", "Latitude": 37.0 + i, **row} for i, row in enumerate(rows)]
    pd.DataFrame(numbered).to_csv(tmp_path / "nid.csv", index=False)
    dams, cleaning = read_nid(tmp_path / "nid.csv")
    assert (cleaning["rows_left"].diff().iloc[1:] == -cleaning["rows_removed"].iloc[1:]).all()
    return dams, cleaning.set_index("rule")["rows_removed"].loc[lambda removed: removed > 0]


def test_conversions_are_those_of_nist():
    converted = [KM2_PER_ACRE, KM2_PER_SQUARE_MILE, MILLION_M3_PER_ACRE_FOOT]
    assert converted == pytest.approx([4046.8564224e-6, 2.589988110336, 1233.48183754752e-6])


def test_a_good_dam_is_kept_in_si_units(tmp_path):
    dams, removed = nid(tmp_path, {})
    assert removed.empty
    assert dams.iloc[0].to_dict() == {
        "nid_id": "VA00000",
        "name": "MILL POND",
        "state": "VA",
        "source": "VA",
        "latitude_deg": 37.0,
        "longitude_deg": -79.0,
        "height_m": pytest.approx(9.144),
        "capacity_1e6_m3": pytest.approx(200 * 1233.48184e-6),  # normal storage, not the maximum
        "surface_area_km2": pytest.approx(20 * 4046.85642e-6),
        "drainage_area_km2": pytest.approx(2 * 2.58998811),
    }


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"Latitude": None}, "coordinates are given"),
        ({"Longitude": None}, "coordinates are given"),
        ({"Normal_Storage": None}, "normal storage, surface area, drainage area and height are given"),
        ({"NID_Height": None}, "normal storage, surface area, drainage area and height are given"),
        ({"Surface_Area": 0}, "and positive"),
        ({"Drainage_Area": -1}, "and positive"),
        ({"Max_Storage": 199}, "maximum storage isn't below normal storage"),
        ({"Normal_Storage": 81}, "capacity is 0.1 to 10 million m3"),  # 0.0999
        ({"Normal_Storage": 8108, "Max_Storage": 8108}, "capacity is 0.1 to 10 million m3"),  # 10.001
        ({"Source_Agency": "MO"}, "agency doesn't mix acres with square miles (GA and MO do)"),
        ({"Drainage_Area": 0.031}, "drainage area isn't below surface area"),  # 20 acres are 0.03125 square miles
        ({"Drainage_Area": 1.2e6}, "drainage area isn't above the Mississippi's"),
        ({"Surface_Area": 6.6}, "mean depth isn't above the height of the dam"),  # 30.3 feet behind 30
        (
            {"Surface_Area": 6.6, "Source_Agency": "MA"},
            "at least half of the agency's reservoirs pass the next rule (surface areas of MA are wrong)",
        ),
    ],
)
def test_each_rule_removes_what_it_says(tmp_path, bad, rule):
    dams, removed = nid(tmp_path, {}, bad)
    assert removed.to_dict() == {rule: 1}
    assert dams["nid_id"].tolist() == ["VA00000"]


@pytest.mark.parametrize(
    "possible",
    [
        {"Max_Storage": None},
        {"Normal_Storage": 82},
        {"Drainage_Area": 0.03125},  # off-stream: nothing but the reservoir drains into it
        {"Surface_Area": 6.7},
        {"State": "MO", "Source_Agency": "CE"},  # a federal agency
        {"Drainage_Area": 260_000},
    ],
)
def test_what_is_merely_unusual_stays(tmp_path, possible):
    dams, removed = nid(tmp_path, {}, possible)
    assert removed.empty
    assert len(dams) == 2


def test_an_agency_is_left_out_as_a_whole_if_most_of_its_reservoirs_are_impossible(tmp_path):
    deep, fine = {"Surface_Area": 6.6, "Source_Agency": "MA"}, {"Surface_Area": 21, "Source_Agency": "MA"}
    dams, removed = nid(tmp_path, {}, fine, deep, {**deep, "Normal_Storage": 210})
    assert dams["source"].tolist() == ["VA"]
    assert removed.tolist() == [3]
    # at half of them, only the impossible one goes
    dams, removed = nid(tmp_path, {}, fine, deep)
    assert dams["nid_id"].tolist() == ["VA00000", "VA00001"]


def test_of_several_structures_the_tallest_is_the_dam(tmp_path):
    dike = {"NID_ID": "VA1", "NID_Height": 15, "Other_Structure_ID": "S001", "Dam_Name": "DIKE"}
    dams, removed = nid(tmp_path, dike, {"NID_ID": "VA1", "Dam_Name": "MAIN"}, {**dike, "NID_Height": 14})
    assert (dams["name"].tolist(), removed.tolist()) == (["MAIN"], [2])
    # equally tall: the one without a structure id
    dams, _ = nid(tmp_path, {**dike, "NID_Height": 30}, {"NID_ID": "VA1", "Dam_Name": "MAIN"})
    assert dams["name"].tolist() == ["MAIN"]


def test_a_reservoir_with_several_ids_counts_once(tmp_path):
    near = [
        {"Latitude": 37.0, "Longitude": -79.0 - i / 50, "NID_Height": height} for i, height in enumerate((29, 30, 28))
    ]
    dams, removed = nid(tmp_path, *near)
    assert (dams["nid_id"].tolist(), removed.tolist()) == (["VA00001"], [2])
    # equal figures far away, in another state, or unlike figures at the same place are other reservoirs
    here = {"Latitude": 37.0}
    dams, _ = nid(tmp_path, here, {"Latitude": 37.2}, {**here, "State": "NC"}, {**here, "Surface_Area": 21})
    assert len(dams) == 4


def test_a_folder_will_do_and_its_absence_is_told(tmp_path):
    pd.DataFrame([GOOD]).to_csv(tmp_path / "nid.csv.gz", index=False)
    assert len(read_nid(tmp_path)[0]) == 1
    with pytest.raises(CapacityError, match=r"none\.csv: no such file"):
        read_nid(tmp_path / "none.csv")
    pd.DataFrame([GOOD]).drop(columns=["State", "NID_Height"]).to_csv(tmp_path / "nid.csv", index=False)
    with pytest.raises(CapacityError, match="columns State, NID_Height missing, NID_ID, Dam_Name"):
        read_nid(tmp_path / "nid.csv")


@pytest.fixture(scope="module")
def real_nid():
    if not datasets.is_present("nid"):
        pytest.skip("needs nid of the data root (set MILLPOND_DATA)")
    return read_nid(datasets.path("nid"))


@pytest.fixture(scope="module")
def two_states(excerpts):
    """Virginia and Kentucky of the real inventory."""
    return read_nid(excerpts)


def test_the_counts_of_the_real_inventory_add_up(real_nid):
    dams, cleaning = real_nid
    assert cleaning["rows_left"].iloc[0] == 74_096
    assert cleaning["rows_removed"].sum() == 74_096 - len(dams)
    assert cleaning["rows_left"].iloc[-1] == len(dams) == 17_610
    assert dams["nid_id"].is_unique
    assert dams.notna().drop(columns="name").all(axis=None)


def test_the_real_inventory_is_physically_possible(two_states):
    dams, _ = two_states
    assert dams["capacity_1e6_m3"].between(*SMALL_CAPACITY_1E6_M3).all()
    assert (dams["drainage_area_km2"] >= dams["surface_area_km2"]).all()
    mean_depth_m = dams["capacity_1e6_m3"] / dams["surface_area_km2"]
    assert (mean_depth_m <= dams["height_m"]).all()
    assert (mean_depth_m / dams["height_m"]).median() == pytest.approx(1 / 3, abs=0.1)  # a cone's is a third
    assert dams["latitude_deg"].between(17, 72).all()
    assert dams["longitude_deg"].between(-180, -65).all()


def test_a_known_dam_by_hand(two_states):
    # Burton Dam on Tomahawk Creek, Virginia: 730 acre-feet, 68 acres, 7.65 square miles, 33 feet
    dam = two_states[0].set_index("nid_id").loc["VA14304"]
    assert dam["name"] == "BURTON DAM"
    assert dam[["capacity_1e6_m3", "surface_area_km2", "drainage_area_km2", "height_m"]].tolist() == pytest.approx(
        [730 * 1233.48184e-6, 68 * 4046.85642e-6, 7.65 * 2.58998811, 33 * 0.3048]
    )


def test_only_the_named_agencies_mix_units(real_nid):
    dams, _ = real_nid
    of_a_state = dams[dams["source"] == dams["state"]]
    times = (of_a_state["drainage_area_km2"] / of_a_state["surface_area_km2"]).groupby(of_a_state["state"])
    assert not set(MIXED_DRAINAGE_UNITS) & set(of_a_state["state"])
    assert times.median()[times.size() >= 20].max() < 200
    assert "MA" not in set(of_a_state["state"])


def ceara(tmp_path, curves, reservoirs):
    columns = ["reservatorio", "cota", "area", "volume"]
    rows = [(name, *row) for name, curve in curves.items() for row in curve]
    pd.DataFrame(rows, columns=columns).rename_axis("codigo").to_csv(tmp_path / "height_area_volume.csv")
    columns = ["cod", "nome", "capacidade", "altura_maxima", "lon", "lat"]
    pd.DataFrame(reservoirs, columns=columns).to_csv(tmp_path / "reservoirs.csv", index=False)
    curves, reservoirs, cleaning = read_ceara(tmp_path)
    return curves, reservoirs, cleaning.set_index(["table", "rule"])


BOX = [(100.0, 0.0, 0.0), (102.0, 1.0, 1.0), (104.0, 1.0, 3.0)]
"""1 km2 with a ramp below: 1 million m3 up to 102 m, 3 up to 104 m."""


def test_area_and_depth_are_those_at_capacity(tmp_path):
    _, reservoirs, _ = ceara(tmp_path, {1: BOX}, [(1, "Box", 0.5, 4.2, -39.0, -5.0)])
    assert reservoirs.iloc[0].to_dict() == {
        "reservoir": 1,
        "name": "Box",
        "latitude_deg": -5.0,
        "longitude_deg": -39.0,
        "capacity_1e6_m3": 0.5,
        "dam_height_m": 4.2,
        "surface_area_km2": pytest.approx(0.5),  # half-way up the first step
        "depth_m": pytest.approx(1.0),
    }


def test_areas_in_hectares_are_mended_and_other_units_left_out(tmp_path):
    hectares = [(level, 100 * area, volume) for level, area, volume in BOX]
    thousandfold = [(level, area, 1000 * volume) for level, area, volume in BOX]
    empty = [(level, 0.0, volume) for level, _, volume in BOX]
    places = [(i, "", 1.0, None, -39.0, -5.0) for i in (1, 2, 3)]
    curves, reservoirs, cleaning = ceara(tmp_path, {1: hectares, 2: thousandfold, 3: empty}, places)
    assert curves["area_km2"].tolist() == pytest.approx([0, 1, 1])
    assert reservoirs["surface_area_km2"].tolist() == pytest.approx([1.0])
    counts = cleaning.loc["curves"]
    assert counts.loc["areas in hectares become km2", ["rows_removed", "rows_changed"]].tolist() == [0, 3]
    assert counts.loc["volumes and areas agree within a factor of 2", "rows_removed"] == 6


def test_of_two_rows_for_a_level_the_later_entry_counts(tmp_path):
    curves, _, cleaning = ceara(tmp_path, {1: [*BOX, (104.0, 1.1, 3.1)]}, [])
    assert curves["volume_1e6_m3"].tolist() == [0, 1, 3.1]
    assert cleaning.loc[("curves", "one row a level: the one entered last"), "rows_removed"] == 1


def test_curves_that_fall_are_left_out(tmp_path):
    falling = [*BOX, (105.0, 0.9, 4.0)]
    curves, _, cleaning = ceara(tmp_path, {1: BOX, 2: falling}, [])
    assert set(curves["reservoir"]) == {1}
    assert cleaning.loc[("curves", "no area or volume falls as the level rises"), "rows_removed"] == 4


def test_reservoirs_need_a_capacity_on_a_curve_and_heights_to_fit_it(tmp_path):
    places = [
        (1, "fine", 2.0, 4.0, -39.0, -5.0),
        (2, "no curve", 2.0, 4.0, -39.0, -5.0),
        (3, "unknown", None, 4.0, -39.0, -5.0),
        (4, "too large", 3.1, 4.0, -39.0, -5.0),
        (5, "metres taken for decimetres", 2.0, 40.0, -39.0, -5.0),
    ]
    _, reservoirs, cleaning = ceara(tmp_path, {i: BOX for i in (1, 3, 4, 5)}, places)
    assert reservoirs["name"].tolist() == ["fine", "metres taken for decimetres"]
    assert reservoirs["dam_height_m"].isna().tolist() == [False, True]
    assert cleaning.loc["reservoirs", "rows_removed"].tolist() == [0, 1, 1, 1, 0]
    assert cleaning.loc["reservoirs", "rows_changed"].sum() == 1


def test_the_counts_of_the_real_curves_add_up():
    if not datasets.is_present("ceara"):
        pytest.skip("needs ceara of the data root (set MILLPOND_DATA)")
    curves, reservoirs, cleaning = read_ceara(datasets.path("ceara"))
    for name, table in (("curves", curves), ("reservoirs", reservoirs)):
        counts = cleaning[cleaning["table"] == name]
        assert counts["rows_left"].iloc[0] - counts["rows_removed"].sum() == len(table)
        assert counts["reservoirs_left"].iloc[-1] == table["reservoir"].nunique()
    assert (len(curves), len(reservoirs)) == (3179, 140)
    # Castanhão holds 6,700 million m3 on more than 300 km2
    assert reservoirs.set_index("name").loc["Castanhão", "surface_area_km2"] == pytest.approx(440, abs=20)
