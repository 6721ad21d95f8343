import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond import datasets
from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge

RECORDS = {
    "CDEC download": "2173,PST,'RESERVOIR ELEVATION (feet)'\n20180703,0000,100.00\n20180704,0000,m\n"
    "20180705,0000,110.00\n",
    "CDEC CSV": "STATION_ID,DURATION,SENSOR_NUMBER,SENSOR_TYPE,DATE TIME,OBS DATE,VALUE,DATA_FLAG,UNITS\n"
    "ANT,D,6,RES ELE,20180703 0000,20180703 0000,100.0, ,FEET\n"
    "ANT,D,6,RES ELE,20180704 0000,20180704 0000,---, ,FEET\n"
    "ANT,D,6,RES ELE,20180705 0000,20180705 0000,110.0, ,FEET\n",
    "USGS RDB": "# U.S. Geological Survey\n#\nagency_cd\tsite_no\tdatetime\t142_62614_32400\t142_62614_32400_cd\n"
    "5s\t15s\t20d\t14n\t10s\nUSGS\t08255000\t2018-07-03\t100.00\tA\nUSGS\t08255000\t2018-07-04\tEqp\tP:Eqp\n"
    "USGS\t08255000\t2018-07-05\t110.00\tA\n",
    "USGS CSV": "time_series_id,monitoring_location_id,parameter_code,time,value,unit_of_measure\n"
    "a,USGS-08255000,62614,2018-07-03,100.00,ft\na,USGS-08255000,62614,2018-07-04,,ft\n"
    "a,USGS-08255000,62614,2018-07-05,110.00,ft\n",
    "ECCC daily": "Some disclaimer\n ID,PARAM,Date,Value,SYM\n05AH037,1,2018/07/03,3.2,\n05AH037,2,2018/07/03,30.48,\n"
    "05AH037,2,2018/07/04,,B\n05AH037,2,2018/07/05,33.528,\n",
    "ECCC real-time": " ID,Date,Water Level / Niveau d'eau (m),Grade,Symbol / Symbole,QA/QC,Discharge / Débit (cms)\n"
    "05AH037,2018-07-03T01:00:00-07:00,30.40,,,1,\n05AH037,2018-07-03T23:55:00-07:00,30.56,,,1,\n"
    "05AH037,2018-07-04T01:00:00-07:00,,,,1,\n05AH037,2018-07-05T01:00:00-07:00,33.528,,,1,\n",
    "plain": "date,water_level_ft\n2018-07-05,110\n2018-07-03,100\n2018-07-04,\n",
}


def write(tmp_path, text):
    path = tmp_path / "levels.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("kind", RECORDS)
def test_every_format_gives_the_same_days_in_metres(tmp_path, kind):
    level = read_gauge(write(tmp_path, RECORDS[kind]))
    assert level.index.strftime("%Y-%m-%d").tolist() == ["2018-07-03", "2018-07-05"]
    np.testing.assert_allclose(level, [30.48, 33.528])
    assert level.name == "level_m"
    assert (level.attrs["format"], level.attrs["n_missing"]) == (kind, 1)
    assert level.attrs["n_repeated"] == (kind == "ECCC real-time")
    assert level.attrs["contradicting"] == []


@pytest.mark.parametrize(
    ("header", "unit", "metres"),
    [
        ("date,water_level_masl", None, 1),
        ("Date,Stage (m)", None, 1),
        ("date,elevation_feet", None, 0.3048),
        ("date,level", "ft", 0.3048),
        ("date,level_ft", "m", 1),  # the user knows better
    ],
)
def test_the_unit_is_the_users_or_the_columns(tmp_path, header, unit, metres):
    assert read_gauge(write(tmp_path, f"{header}\n2018-07-03,10\n"), unit)["2018-07-03"] == pytest.approx(10 * metres)


def test_gaps_repetitions_and_impossible_levels_are_reported_and_kept(tmp_path):
    days = pd.date_range("2018-01-01", periods=60).append(pd.date_range("2018-04-05", periods=30))
    rows = [f"{day:%Y-%m-%d},{500 + 0.01 * i}" for i, day in enumerate(days)]
    rows[10] = "2018-01-11,5001"  # a digit too many
    rows += ["2018-01-03,500.02", "2018-01-04,500.5"]  # the same again; and another
    path = write(tmp_path, "date,level_m\n" + "\n".join(rows) + "\n")
    with pytest.warns(UserWarning, match="levels found on 1 days") as caught:
        level = read_gauge(path)
    assert sorted(str(warning.message).split(": ", 1)[1].split(" found")[0] for warning in caught) == [
        "contradicting levels",
        "impossible levels",
    ]
    assert level.attrs["gaps"] == [(pd.Timestamp("2018-03-01"), pd.Timestamp("2018-04-05"))]
    assert level.attrs["n_repeated"] == 2
    assert level.attrs["contradicting"] == [pd.Timestamp("2018-01-04")]
    assert level.attrs["impossible"] == [pd.Timestamp("2018-01-11")]
    assert level["2018-01-11"] == 5001
    assert level["2018-01-04"] == pytest.approx((500.03 + 500.5) / 2)


def impossible(tmp_path, levels_m, start="2018-01-01"):
    """Which of the days are found impossible, counted from 0; None is a day without a level."""
    days = pd.date_range(start, periods=len(levels_m))
    rows = [f"{day:%Y-%m-%d},{'' if level is None else level}" for day, level in zip(days, levels_m, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        level = read_gauge(write(tmp_path, "date,level_m\n" + "\n".join(rows) + "\n"))
    return [(day - days[0]).days for day in level.attrs["impossible"]]


STILL = [500.0] * 20


@pytest.mark.parametrize(
    ("between", "after", "found"),
    [
        ([503.05], 500, [20]),  # ten feet too many, for a day
        ([498.9], 500, [20]),
        ([503.1, 503.0, 503.2], 500.1, [20, 21, 22]),
        ([503, 500, 503], 500, [20, 22]),  # what is true between two errors isn't one
        ([506, None, None, 504], 500, [20, 23]),
        ([506.2, 504.6], 502, []),  # 2.6 m above both sides, but these differ by 2 m
        ([500.9], 500, []),  # 0.9 m: a flood of a day may do that
        ([504, 504.5], 504.2, []),  # a step without return
        ([508, 504, 502, 501], 500.5, []),  # a flood that halves every day
        ([506, 504, 502], 500, []),  # one that ebbs by 2 m a day
        ([495] * 10, 500, []),  # emptied, and filled again ten days later
        ([501.3, 502.5, 501.3], 500, []),  # 1.3 m a day, up and down
    ],
)
def test_levels_that_step_away_and_come_back_are_impossible(tmp_path, between, after, found):
    assert impossible(tmp_path, STILL + between + [after] * 20) == found


SWING = [500, 515, 528, 540, 530, 512] * 4  # a reservoir that fills and empties every year


@pytest.mark.parametrize(
    ("levels_m", "every", "found"),
    [
        (SWING, 30, []),
        ([*SWING[:9], 5400, *SWING[10:]], 30, [9]),  # two in a window of 31 days
        ([*SWING[:9], 54, *SWING[10:]], 40, [9]),  # one
        ([5000, *SWING[1:]], 40, [0]),
        ([*STILL[:9], 515, *STILL[10:]], 15, [9]),  # three: as in daily records
        ([500, 5010], 15, []),  # who is to tell which?
        ([500], 1, []),
    ],
)
def test_in_sparse_records_the_nearest_levels_tell_what_is_impossible(tmp_path, levels_m, every, found):
    days = impossible(tmp_path, [level for one in levels_m for level in [one] + [None] * (every - 1)])
    assert days == [every * i for i in found]


def test_a_comment_may_stand_above_a_plain_csv_and_within(tmp_path):
    date, *rows = RECORDS["plain"].splitlines()
    level = read_gauge(write(tmp_path, "\n".join(["# levels\tof the utility", "", date, "# the first year", *rows])))
    assert level.attrs["format"] == "plain"
    np.testing.assert_allclose(level, [30.48, 33.528])


def test_where_levels_move_much_from_day_to_day_a_spike_must_be_larger(tmp_path):
    pumped = [500 + 0.3 * (day % 2) for day in range(40)]  # the median step is 0.3 m, ten of them 3 m
    for height, found in ((2.9, []), (3.4, [20])):
        assert impossible(tmp_path, [*pumped[:20], 500.3 + height, *pumped[21:]]) == found


@pytest.mark.parametrize(
    "codes",
    [
        "m --- BRT ART -9999.00 -9998 -9997",  # CDEC
        "-- *** -999999 -123456 Ssn Bkw Ice Pr Rat Nd Eqp Fld Dry Dis Mnt ZFl",  # USGS
        "NaN -nan N/A NA null none -999",
    ],
)
def test_what_publishers_write_in_place_of_a_level_is_counted(tmp_path, codes):
    rows = "".join(f"2018-07-04,{code}\n" for code in codes.split())
    level = read_gauge(write(tmp_path, f"date,level_m\n2018-07-03,5\n{rows}"))
    assert (level.tolist(), level.attrs["n_missing"]) == ([5], len(codes.split()))


@pytest.mark.parametrize(
    ("kind", "row", "n_missing"),
    [
        ("CDEC CSV", "ANT,D,6,RES ELE,20180706 0000,20180706 0000,1050.0,N,FEET\n", 2),  # an error, says CDEC
        ("CDEC CSV", "ANT,D,6,RES ELE,20180706 0000,20180706 0000,105.0,e,FEET\n", 1),  # estimated
        ("ECCC daily", "05AH037,2,2018/07/06,30.1,D\n", 2),  # dry: no water at the gauge
        ("ECCC daily", "05AH037,2,2018/07/06,30.1,B\n", 1),  # ice
        ("ECCC daily", "05AH037,2,2018/07/06,30.1\n", 1),
    ],
)
def test_flags_of_errors_and_dry_gauges_make_no_level(tmp_path, kind, row, n_missing):
    level = read_gauge(write(tmp_path, RECORDS[kind] + row))
    assert level.attrs["n_missing"] == n_missing
    assert len(level) == 4 - n_missing


def test_the_day_is_the_one_that_is_written_and_the_zone_is_told(tmp_path):
    named = {"CDEC download": ["PST"], "ECCC real-time": ["-07:00"]}
    for kind, text in RECORDS.items():
        assert read_gauge(write(tmp_path, text)).attrs["zones"] == named.get(kind, [])
    rows = "a,USGS-08255000,62614,2018-07-04T03:00:00+00:00,120.00,ft\n"  # the evening of 3 July at the gauge
    level = read_gauge(write(tmp_path, RECORDS["USGS CSV"] + rows))
    assert level["2018-07-04"] == pytest.approx(36.576)
    assert level.attrs["zones"] == ["+00:00"]


def test_an_hour_that_comes_twice_is_no_contradiction(tmp_path):
    rdb = (
        "agency_cd\tsite_no\tdatetime\ttz_cd\t1_62614\t1_62614_cd\n5s\t15s\t20d\t6s\t14n\t10s\n"
        "USGS\t1\t2018-11-04 01:30\tPDT\t100.0\tA\nUSGS\t1\t2018-11-04 01:30\tPST\t100.5\tA\n"
    )
    level = read_gauge(write(tmp_path, rdb))
    assert level.attrs["zones"] == ["PDT", "PST"]
    assert level.attrs["contradicting"] == []
    hourly = "2173,PST,'RESERVOIR ELEVATION (feet)'\n20180703,0000,100.00\n20180703,0100,101.00\n"
    assert read_gauge(write(tmp_path, hourly)).attrs["contradicting"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file found"),
        (
            "date,level\n2018-07-03,1\n",
            r"no unit of the levels found, one of m, ft expected\. Name the unit \(unit, --unit\)",
        ),
        ("#\n\n", "nothing but comments found \\('#'\\), dates and levels expected"),
        ("#  No sites found matching all criteria\n", r"comments found \('#  No sites found matching all criteria'\)"),
        ("# from the utility\nday,flow\n2018-07-03,5\n", "columns day, flow found, one called date and one whose name"),
        ("date,level_m\n2018-07-03,m\n", "no level in 1 rows found"),
        ("date,level_m\n03.07.2018,5\n", r"the date '03\.07\.2018' found; dates such as 2018-07-03"),
        ("date,level_m\n2018-07-03,high\n", "could not convert string to float: 'high'; dates such as"),
        ("date,level_m\n2018-07-03,inf\n", "an infinite level found"),
        ("date,level_m\n2018-07-03\n", "row 2 is cut off after 1 of 2 cells"),
        ("day,flow\n2018-07-03,5\n", "columns day, flow found, one called date and one whose name has level"),
        ("no table at all\n", "no columns found"),
        (RECORDS["CDEC CSV"].replace("110.0, ,FEET", "33.5, ,METERS"), "levels in ft and m found, one unit expected"),
        (RECORDS["USGS CSV"].replace("110.00,ft", "33.5,m"), "levels in ft and m found, one unit expected"),
        (RECORDS["CDEC CSV"].replace("FEET", "CFS"), "the unit 'CFS' of the levels found"),
        (RECORDS["CDEC CSV"] + "BIL,D,6,RES ELE,,20180706,9, ,FEET\n", "stations and sensors ANT 6, BIL 6 found"),
        (RECORDS["USGS CSV"] + "b,USGS-08255000,00065,2018-07-06,4,ft\n", "08255000 00065, USGS-08255000 62614 found"),
        (
            RECORDS["ECCC daily"] + "05AH038,2,2018/07/06,30,\n",
            "stations 05AH037, 05AH038 found, a single one expected",
        ),
        (RECORDS["USGS RDB"].replace("62614", "00060"), "0 columns of water levels found among agency_cd"),
        (RECORDS["CDEC download"] + "20180706,0000\n", "rows of other than three cells found"),
    ],
)
def test_records_that_cannot_be_used_say_why(tmp_path, text, message):
    with pytest.raises(LevelError, match=message):
        read_gauge(write(tmp_path, text))


def test_missing_files_binary_files_and_other_units_are_refused(tmp_path):
    with pytest.raises(LevelError, match=r"nowhere\.csv: not readable \(No such file or directory\)"):
        read_gauge(tmp_path / "nowhere.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(LevelError, match=r"image\.csv: not readable \(no text in UTF-8\)"):
        read_gauge(tmp_path / "image.csv")
    with pytest.raises(LevelError, match=r"the unit 'fathom' found, .* expected\. Name one \(unit, --unit\)"):
        read_gauge(write(tmp_path, RECORDS["plain"]), unit="fathom")


@given(
    st.lists(
        st.tuples(st.dates(date(1700, 1, 1), date(2200, 1, 1)), st.floats(-400, 5000)),
        min_size=1,
        unique_by=lambda row: row[0],
    )
)
def test_what_is_written_is_read_in_order(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("gauge") / "levels.csv"
    path.write_text("date,level_m\n" + "".join(f"{day},{level!r}\n" for day, level in rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # levels at random are impossible
        level = read_gauge(path)
    assert [(day.date(), value) for day, value in level.items()] == sorted(rows)


@pytest.mark.parametrize(
    ("name", "lowest_m", "highest_m", "n_far", "n_spikes"), [("ANT", 1518, 1527, 63, 13), ("FRD", 1688, 1704, 32, 21)]
)
def test_real_records_of_two_dirty_gauges(name, lowest_m, highest_m, n_far, n_spikes):
    if not datasets.is_present("cdec"):
        pytest.skip("needs cdec of the data root (set MILLPOND_DATA)")
    with pytest.warns(UserWarning, match="impossible levels found"):
        level = read_gauge(datasets.path("cdec") / f"cdec_{name}_elevation_daily.csv")
    assert not level.between(lowest_m, highest_m).all()  # feet with a digit too many, and -1
    found = level.attrs["impossible"]
    assert len(found) == n_far + n_spikes  # looked at one by one: many are whole tens of feet off
    assert level.drop(found).between(lowest_m, highest_m).all()
    flood = pd.date_range("1997-01-01", "1997-01-03")  # California's of that new year: 1.1 m up in a day
    assert not flood.isin(found).any()


def test_a_real_record_that_moves_much_has_no_impossible_level():
    if not datasets.is_present("itoiz"):
        pytest.skip("needs itoiz of the data root (set MILLPOND_DATA)")
    assert read_gauge(datasets.path("itoiz") / "levels.csv").attrs["impossible"] == []
