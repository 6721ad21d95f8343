import gzip
import json
import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge

USGS_ROW = {"parameter_code": "62614", "statistic_id": "00003", "monitoring_location_id": "USGS-08255000"}
USGS_SERIES = {
    "sourceInfo": {"siteCode": [{"value": "08255000"}]},
    "variable": {
        "variableCode": [{"value": "62614"}],
        "unit": {"unitCode": "ft"},
        "options": {"option": [{"optionCode": "00003"}]},
    },
    "values": [
        {
            "method": [{"methodID": 1}],
            "value": [
                {"dateTime": "2018-07-03T00:00:00.000", "value": "100.00"},
                {"dateTime": "2018-07-04T00:00:00.000", "value": "-999999"},
                {"dateTime": "2018-07-05T00:00:00.000", "value": "110.00"},
            ],
        }
    ],
}


def features(rows, **more):
    """An answer of an OGC API."""
    return json.dumps({"type": "FeatureCollection", "features": [{"properties": row} for row in rows]} | more)


def usgs_json(*rows, **more):
    """Of USGS's Water Data API; a row is a time, a level, and what differs from `USGS_ROW`."""
    named = [{"time": time, "value": level, "unit_of_measure": "ft"} | USGS_ROW | rest for time, level, rest in rows]
    return features(named, **more)


RECORDS = {
    "CDEC download": "2173,PST,'RESERVOIR ELEVATION (feet)'\n20180703,0000,100.00\n20180704,0000,m\n"
    "20180705,0000,110.00\n",
    "CDEC download (with a title)": "Title: \"ANT.csv\"\n2173,PST,'RESERVOIR ELEVATION (feet)'\n20180703,0000,100.00\n"
    "20180704,0000,m\n20180705,0000,110.00\n",
    "CDEC CSV": "STATION_ID,DURATION,SENSOR_NUMBER,SENSOR_TYPE,DATE TIME,OBS DATE,VALUE,DATA_FLAG,UNITS\n"
    "ANT,D,6,RES ELE,20180703 0000,20180703 0000,100.0, ,FEET\n"
    "ANT,D,6,RES ELE,20180704 0000,20180704 0000,---, ,FEET\n"
    "ANT,D,6,RES ELE,20180705 0000,20180705 0000,110.0, ,FEET\n",
    "USGS NWIS": "# U.S. Geological Survey\n#\nagency_cd\tsite_no\tdatetime\t142_62614_32400\t142_62614_32400_cd\n"
    "5s\t15s\t20d\t14n\t10s\nUSGS\t08255000\t2018-07-03\t100.00\tA\nUSGS\t08255000\t2018-07-04\tEqp\tP:Eqp\n"
    "USGS\t08255000\t2018-07-05\t110.00\tA\n",
    "USGS NWIS (without widths)": "agency_cd\tsite_no\tdatetime\t142_00065\t142_00065_cd\n"
    "USGS\t08255000\t2018-07-03\t100.00\tA\nUSGS\t08255000\t2018-07-04\t\t\nUSGS\t08255000\t2018-07-05\t110.00\tA\n",
    "USGS NWIS (from R)": '"","agency_cd","site_no","Date","X_62614_00003","X_62614_00003_cd"\n'
    '"1","USGS","08255000",2018-07-03,100,"A"\n"2","USGS","08255000",2018-07-04,NA,NA\n'
    '"3","USGS","08255000",2018-07-05,110,"A"\n',
    "USGS NWIS (from Python)": "datetime,site_no,62614_Mean,62614_Mean_cd\n2018-07-03 00:00:00+00:00,08255000,100.0,A\n"
    "2018-07-04 00:00:00+00:00,08255000,,\n2018-07-05 00:00:00+00:00,08255000,110.0,A\n",
    "USGS Water Data": "time_series_id,monitoring_location_id,parameter_code,time,value,unit_of_measure\n"
    "a,USGS-08255000,62614,2018-07-03,100.00,ft\na,USGS-08255000,62614,2018-07-04,,ft\n"
    "a,USGS-08255000,62614,2018-07-05,110.00,ft\nb,USGS-08255000,00060,2018-07-03,7.0,ft^3/s\n",
    "USGS Water Data (JSON)": usgs_json(
        ("2018-07-05", "110.00", {}), ("2018-07-03", "100.00", {}), ("2018-07-04", None, {})
    ),
    "USGS Water Data (WaterServices)": json.dumps({"value": {"timeSeries": [USGS_SERIES]}}),
    "ECCC daily": "Daily Discharge (m3/s) (PARAM = 1) and Daily Water Level (m) (PARAM = 2)\n"
    " ID,PARAM,Date,Value,SYM\n05AH037,1,2018/07/03,3.2,\n05AH037,2,2018/07/03,30.48,\n"
    "05AH037,2,2018/07/04,,B\n05AH037,2,2018/07/05,33.528,\n",
    "ECCC real-time": " ID,Date,Water Level / Niveau d'eau (m),Grade,Symbol / Symbole,QA/QC,Discharge / Débit (cms)\n"
    "05AH037,2018-07-03T01:00:00-07:00,30.40,,,1,\n05AH037,2018-07-03T23:55:00-07:00,30.56,,,1,\n"
    "05AH037,2018-07-04T01:00:00-07:00,,,,1,\n05AH037,2018-07-05T01:00:00-07:00,33.528,,,1,\n",
    "ECCC web": "Station Number: 05AH037\nDate (MST),Parameter ,Value (m)\n2018-07-03 00:00:00,46,30.48\n"
    "2018-07-03 00:00:00,47,3.2\n2018-07-04 00:00:00,46,\n2018-07-05 00:00:00,46,33.528\n",
    "ECCC GeoMet": "IDENTIFIER,STATION_NUMBER,DATE,LEVEL,DISCHARGE,LEVEL_SYMBOL_EN\n"
    "05AH037.2018-07-03,05AH037,2018-07-03,30.48,,\n05AH037.2018-07-04,05AH037,2018-07-04,0.0,,Dry\n"
    "05AH037.2018-07-05,05AH037,2018-07-05,33.528,,\n",
    "ECCC GeoMet (JSON)": features(
        {"STATION_NUMBER": "05AH037", "DATE": f"2018-07-0{day}", "LEVEL": level, "LEVEL_SYMBOL_EN": None}
        for day, level in ((3, 30.48), (4, None), (5, 33.528))
    ),
    "BoM": "#Station Number,410730\n#Unit,m\n#Timestamp,Value,Quality Code,Interpolation Type\n"
    "2018-07-03T00:00:00.000+10:00,30.48,10,603\n2018-07-04T00:00:00.000+10:00,,10,603\n"
    "2018-07-05T00:00:00.000+10:00,33.528,10,603\n",
    "Environment Agency": "measure,dateTime,date,value,completeness,quality,qcode\n"
    "http://x/a-level-i-900-m,2018-07-03T09:00:00,2018-07-03,30.48,Complete,Good,\n"
    "http://x/a-level-i-900-m,2018-07-04T09:00:00,2018-07-04,,Missing,Missing,\n"
    "http://x/a-level-i-900-m,2018-07-05T09:00:00,2018-07-05,33.528,Complete,Good,\n",
    "Hydstra": "03/07/2018 @ 01:00:00     30.480000 Q21  T2\n04/07/2018 @ 01:00:00     -- Q255  T2\n"
    "05/07/2018 @ 01:00:00     33.528000 Q21  T2\n",
    "plain": "date,water_level_ft\n2018-07-05,110\n2018-07-03,100\n2018-07-04,\n",
    "plain (tabs, below titles)": "Pond of the utility\n\ncomma, semicolon; and text\ndate\tlevel [cm]\n"
    "2018-07-05\t3352.8\n2018-07-03\t3048\n2018-07-04\t\n",
    "plain (decimal comma)": "Fecha;Nivel (msnm)\n03/07/2018;30,48\n04/07/2018;\n05/07/2018;33,528\n",
    "plain (blanks)": "date   time  level_m\n2018-07-03 12:00   30.48\n2018-07-04 12:00 nan\n2018-07-05 12:00 33.528\n",
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
    assert (level.attrs["format"], level.attrs["n_missing"]) == (kind.split(" (")[0], 1)
    assert level.attrs["n_repeated"] == (kind == "ECCC real-time")
    assert level.attrs["contradicting"] == []


@pytest.mark.parametrize(
    ("header", "unit", "metres"),
    [
        ("date,water_level_masl", None, 1),
        ("Date,Stage (m)", None, 1),
        ("date,elevation_feet", None, 0.3048),
        ("date,level", "ft", 0.3048),
        ("date,level_ft", "ft", 0.3048),
        ("date,Pegel in cm", None, 0.01),
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
    named = {
        "CDEC download": ["PST"],
        "ECCC real-time": ["-07:00"],
        "ECCC web": ["MST"],
        "BoM": ["+10:00"],
        "USGS NWIS (from Python)": ["+00:00"],
        "plain": [],
    }
    for kind, zones in named.items():
        assert read_gauge(write(tmp_path, RECORDS[kind])).attrs["zones"] == zones
    rows = "a,USGS-08255000,62614,2018-07-04T03:00:00+00:00,120.00,ft\n"  # the evening of 3 July at the gauge
    level = read_gauge(write(tmp_path, RECORDS["USGS Water Data"] + rows))
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
            r"no unit of the levels found, one of m, cm, ft expected\. Name the unit \(unit, --unit\)",
        ),
        ("#\n\n", "nothing but comments found \\('#'\\), dates and levels expected"),
        ("#  No sites found matching all criteria\n", r"comments found \('#  No sites found matching all criteria'\)"),
        ("# from the utility\nday,flow\n2018-07-03,5\n", "columns day, flow found, one called date and one whose name"),
        ("date,level_m\n2018-07-03,m\n", "no level in 1 rows found"),
        ("date,level_m\n2018-07-03,5\n03.07.18,5\n", r"the date '03\.07\.18' found, dates such as 2018-07-03 expected"),
        ("date,level_m\n2018-07-03,5\n2018-02-30,5\n", "the date '2018-02-30' found"),
        ("date,level_m\n13/07/2018,5\n07/13/2018,5\n", "the date '07/13/2018' found"),
        ("date,level_m\n2018-07-03,high\n", "the level 'high' found, a number expected. Correct the row."),
        ("date,level_m\n2018-07-03,inf\n", "the level 'inf' found, a number expected"),
        ("date;level_m\n2018-07-03;5,1,2\n", "the level '5,1,2' found, a number expected"),
        (
            "date,level_m\n2018-07-03,579,87\n2018-07-04,579\n",
            "3 cells in row 2 below 2 names found, as many expected. If the commas are decimal marks, save the table",
        ),
        (
            'date,level_ft\n2018-07-03,"1,910"\n',
            "the level '1,910' found, which may be thousands or have a decimal comma",
        ),
        (
            "date,level_m\n03/07/2018,5\n04/07/2018,6\n",
            r"dates such as 03/07/2018 found, which may begin with the day or the month\. Say which \(day_first; ",
        ),
        (
            "date,day,level_m\n2018-07-03,3,5\n",
            r"columns date, day found, a single one of a date expected\. Name it \(date_c",
        ),
        (
            "date,level_m,stage_ft\n2018-07-03,3,5\n",
            r"columns level_m, stage_ft found, a single one of a level expected\. Name it \(level_column",
        ),
        ("<waterml>" + "<value>579.6</value>" * 10_000, "columns <waterml><value>579.6.* found, one called date"),
        ("{}", "no record in JSON found, USGS's or GeoMet's expected"),
        (features([]), "no row found, levels expected"),
        (usgs_json(("2018-07-03", "7.0", {"parameter_code": "00060"})), "no level in 1 rows found"),
        ("date,level_m\n2018-07-03\n", "row 2 is cut off after 1 of 2 cells"),
        ("day,flow\n2018-07-03,5\n", "columns day, flow found, one called date and one whose name has level"),
        ("no table at all\n", "columns no, table, at, all found, one called date and one whose name has level"),
        (RECORDS["CDEC CSV"].replace("110.0, ,FEET", "33.5, ,METERS"), "levels in ft and m found, one unit expected"),
        (RECORDS["USGS Water Data"].replace("110.00,ft", "33.5,m"), "levels in ft and m found, one unit expected"),
        (RECORDS["CDEC CSV"].replace("FEET", "CFS"), "the unit 'CFS' of the levels found"),
        (
            RECORDS["USGS NWIS"].replace("62614", "00060"),
            "columns agency_cd, site_no, datetime, 142_00060_32400, .* found",
        ),
        (RECORDS["CDEC download"] + "20180706,0000\n", "row 5 is cut off after 2 of 3 cells"),
    ],
)
def test_records_that_cannot_be_used_say_why(tmp_path, text, message):
    with pytest.raises(LevelError, match=message):
        read_gauge(write(tmp_path, text))


@pytest.mark.parametrize(
    ("kind", "row", "column", "values"),
    [
        ("CDEC CSV", "BIL,D,6,RES ELE,20180706 0000,20180706,9, ,FEET\n", "STATION_ID", "ANT, BIL"),
        ("CDEC CSV", "ANT,D,7,STAGE,20180706 0000,20180706,9, ,FEET\n", "SENSOR_NUMBER", "6, 7"),
        ("USGS NWIS", "USGS\t08167700\t2018-07-06\t899.5\tA\n", "site_no", "08167700, 08255000"),
        ("USGS NWIS (from Python)", "2018-07-06,08167700,899.5,A\n", "site_no", "08167700, 08255000"),
        (
            "USGS Water Data",
            "a,USGS-08167700,62614,2018-07-06,4,ft\n",
            "monitoring_location_id",
            "USGS-08167700, USGS-08255",
        ),
        ("USGS Water Data", "a,USGS-08255000,00065,2018-07-06,4,ft\n", "parameter_code", "00065, 62614"),
        ("ECCC daily", "05AH038,2,2018/07/06,30,\n", "ID", "05AH037, 05AH038"),
        ("ECCC GeoMet", "x,05AH038,2018-07-06,30,,\n", "STATION_NUMBER", "05AH037, 05AH038"),
        (
            "Environment Agency",
            "http://x/b-level-m,2018-07-06T09:00:00,2018-07-06,30,,,\n",
            "measure",
            "http://x/a-level-i",
        ),
    ],
)
def test_several_stations_or_series_are_refused_and_not_averaged(tmp_path, kind, row, column, values):
    with pytest.raises(LevelError, match=f"{column} {values}.* found, a single one expected. Split the file."):
        read_gauge(write(tmp_path, RECORDS[kind] + row))


def test_extremes_of_a_day_are_not_averaged_and_stations_of_a_plain_table_neither(tmp_path):
    extremes = usgs_json(("2018-07-03", "99.0", {"statistic_id": "00002"}), ("2018-07-03", "101.0", {}))
    with pytest.raises(LevelError, match="statistic_id 00002, 00003 found, a single one expected"):
        read_gauge(write(tmp_path, extremes))
    for name in ("station", "Site No", "reservoir"):
        text = f"{name},datetime,level_m\nA,2018-07-03 08:00,579.1\nB,2018-07-03 09:00,612.1\n"
        with pytest.raises(LevelError, match=f"{name} A, B found, a single one expected"):
            read_gauge(write(tmp_path, text))


def test_instantaneous_values_of_the_water_data_api_are_read(tmp_path):
    # two rows of USGS's answer for 06904500, 1 January 2025 (public domain), beside one of its discharge
    stage = {"parameter_code": "00065", "statistic_id": "00011", "time_series_id": "b36569a0067443ac9425e850a3ac7baa"}
    flow = {
        "parameter_code": "00060",
        "unit_of_measure": "ft^3/s",
        "time_series_id": "627c17455f9e4a4286e1d75dde4d8470",
    }
    times = "2025-01-01T00:00:00+00:00", "2025-01-01T00:15:00+00:00"
    text = usgs_json((times[0], "1.76", stage), (times[1], "1.76", stage), (times[1], "535", flow))
    level = read_gauge(write(tmp_path, text))
    assert level.to_dict() == {pd.Timestamp("2025-01-01"): pytest.approx(1.76 * 0.3048)}
    assert level.attrs["zones"] == ["+00:00"]
    page = usgs_json((times[0], "1.76", stage), links=[{"rel": "next", "href": "https://example.org"}])
    with pytest.warns(UserWarning, match="one page of several found, the whole record expected"):
        assert len(read_gauge(write(tmp_path, page))) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_the_encoding_is_told_by_the_file(tmp_path, encoding):
    (tmp_path / "levels.csv").write_bytes("estación X\ndate,level_m\n2018-07-03,579.6\n".encode(encoding))
    assert list(read_gauge(tmp_path / "levels.csv")) == [579.6]


@pytest.mark.parametrize(
    ("text", "options", "level_m"),
    [
        ('date,level_m\n2018-07-03,"579,87"\n2018-07-04,"581"\n', {}, [579.87, 581]),
        ('date,level_m\n2018-07-03,"1,910.25"\n', {}, [1910.25]),
        ("date;level_m\n2018-07-03;1.910,25\n", {}, [1910.25]),
        ("date;level_m\n2018-07-03;579,870\n", {}, [579.87]),  # semicolons stand where commas are decimal marks
        ('date,level_m\n2018-07-03,"0,870"\n', {}, [0.87]),
        ('date,level_m\n2018-07-03,"1,910"\n', {"decimal": "."}, [1910]),
        ('date,level_m\n2018-07-03,"1,910"\n', {"decimal": ","}, [1.91]),
        ("date|level_m\n2018-07-03|579.8\n", {"separator": "|"}, [579.8]),
        ("date\tlevel_m\n2018-07-03\t579.8\n", {"separator": "\\t"}, [579.8]),
        (
            "site_no\tdatetime\t230211_62614_00001\t230212_62614_00003\n1\t2018-07-03\t99\t100\n",
            {"level_column": "230212_62614_00003"},
            [30.48],
        ),  # whose number is no code
        ("date,level_m,stage_m\n2018-07-03,579.8,3.1\n", {"level_column": "Stage_m"}, [3.1]),
        ("date,H (m)\n2018-07-03,579.8\n", {"level_column": "H (m)"}, [579.8]),
        ("read on,sent date,level_m\n2018-07-03,2019-01-01,579.8\n", {"date_column": "read on"}, [579.8]),
    ],
)
def test_decimal_marks_and_columns_are_told_or_asked_for(tmp_path, text, options, level_m):
    level = read_gauge(write(tmp_path, text), **options)
    assert list(level) == level_m
    assert level.index[0] == pd.Timestamp("2018-07-03")


@pytest.mark.parametrize(
    ("dates", "options", "first"),
    [
        (["03.07.2018", "04.07.2018"], {}, "2018-07-03"),
        (["03/07/2018", "13/07/2018"], {}, "2018-07-03"),
        (["03/07/2018", "03/13/2018"], {}, "2018-03-07"),
        (["3/7/2018 12:00 AM", "4/7/2018 12:00 AM"], {"day_first": True}, "2018-07-03"),
        (["3/7/2018", "4/7/2018"], {"day_first": False}, "2018-03-07"),
        (["03/03/2018"], {}, "2018-03-03"),  # the same either way
        (["03-Jul-2018"], {}, "2018-07-03"),
        (["20180703"], {}, "2018-07-03"),
        (["2018/7/3"], {}, "2018-07-03"),
    ],
)
def test_days_and_months_are_told_or_asked_for(tmp_path, dates, options, first):
    rows = "".join(f"{date},{level}\n" for level, date in enumerate(dates, start=5))
    level = read_gauge(write(tmp_path, "date,level_m\n" + rows), **options)
    assert (level.index[0], level.iloc[0]) == (pd.Timestamp(first), 5)
    assert len(level) == len(dates)


def test_it_is_said_what_was_read(tmp_path):
    level = read_gauge(write(tmp_path, RECORDS["plain (decimal comma)"]))
    assert level.attrs["read"] == "plain, Nivel (msnm) in m by Fecha, day first, decimal comma"
    level = read_gauge(write(tmp_path, RECORDS["USGS NWIS"]))
    assert level.attrs["read"] == "USGS NWIS, 142_62614_32400 in ft by datetime"


@pytest.mark.parametrize(
    ("kind", "unit"), [("plain", "m"), ("CDEC download", "m"), ("ECCC daily", "ft"), ("BoM", "ft")]
)
def test_a_unit_that_contradicts_the_record_is_refused(tmp_path, kind, unit):
    with pytest.raises(LevelError, match=f"found, as the record says, but {unit} asked for .* Leave it out"):
        read_gauge(write(tmp_path, RECORDS[kind]), unit)


def outage(tmp_path, code, first=90, last=190, every=1, low_m=95.0, range_m=10.0):
    """Two years of daily levels, of which some are a code."""
    days = pd.date_range("2018-01-01", "2019-12-31")
    level_m = low_m + range_m / 2 * (1 + np.sin(np.arange(len(days)) / 80))
    rows = [f"{day:%Y-%m-%d},{value:.2f}" for day, value in zip(days, level_m, strict=True)]
    for i in range(first, last, every):
        rows[i] = f"{days[i]:%Y-%m-%d},{code}"
    return write(tmp_path, "date,level_m\n" + "\n".join(rows) + "\n")


@pytest.mark.parametrize(
    "code", ["0", "0.00", "-99", "-99.99", "-999.9", "9999", "99999", "-9999.99", "-777", "-7999", "-1", "9999.00"]
)
def test_a_run_of_codes_for_missing_levels_is_no_level(tmp_path, code):
    with pytest.warns(UserWarning, match=f"levels.csv: {code} found in 100 rows, far from all other levels"):
        level = read_gauge(outage(tmp_path, code))
    assert (level.attrs["n_missing"], level.attrs["codes"], level.attrs["impossible"]) == (100, {code: 100}, [])
    assert level.min() >= 95
    assert level.max() <= 105


def test_codes_may_be_scattered_alone_or_of_several_kinds(tmp_path):
    for every, n in ((7, 15), (100, 1)):
        with pytest.warns(UserWarning, match=f": 0 found in {n} rows"):
            assert read_gauge(outage(tmp_path, "0", every=every)).attrs["n_missing"] == n
    with pytest.warns(UserWarning, match=": 0 found in 100 rows"):  # nearer, but farther than levels spread
        assert read_gauge(outage(tmp_path, "0", low_m=3, range_m=2)).attrs["n_missing"] == 100
    path = outage(tmp_path, "0")
    path.write_text(path.read_text() + "".join(f"2020-01-{day:02},9999\n" for day in range(1, 32)))
    with pytest.warns(UserWarning, match="found in"):
        assert read_gauge(path).attrs["codes"] == {"0": 100, "9999": 31}


@pytest.mark.parametrize(
    ("code", "low_m", "range_m"),
    [("0.00", 0.1, 8), ("0.00", -3, 8), ("99", 95, 10), ("-99", -103, 10), ("0", 9, 10)],
)
def test_a_number_that_may_be_a_level_is_one(tmp_path, code, low_m, range_m):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        level = read_gauge(outage(tmp_path, code, low_m=low_m, range_m=range_m))
    assert (level.attrs["codes"], level.attrs["n_missing"], len(level)) == ({}, 0, 730)


def test_a_level_that_looks_like_a_code_is_none_only_if_no_other_is_near(tmp_path):
    days = pd.date_range("2018-01-01", periods=150)
    high, low = 790 + np.arange(100) / 20, 776.9 + np.arange(50) % 10 / 20  # drawn down while the gauge was silent
    days = days[:100].append(days[100:] + pd.Timedelta(days=60))
    rows = [f"{day:%Y-%m-%d},{level:.2f}\n" for day, level in zip(days, [*high, *low], strict=True)]
    level = read_gauge(write(tmp_path, "date,level_m\n" + "".join(rows)))
    assert (level == 777).sum() == 5
    assert (level.attrs["codes"], level.attrs["impossible"]) == ({}, [])


def test_a_sensor_that_is_stuck_far_off_is_impossible(tmp_path):
    with pytest.warns(UserWarning, match="impossible levels found on 100 days"):
        level = read_gauge(outage(tmp_path, "12.34"))
    assert len(level) == 730
    assert (level[level.attrs["impossible"]] == 12.34).all()


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize("newest_first", [False, True])
def test_the_hour_that_is_repeated_when_clocks_are_set_back_contradicts_nothing(tmp_path, minutes, newest_first):
    times = pd.date_range("2018-11-01", "2018-11-08", freq=f"{minutes}min", tz="America/Los_Angeles")
    rows = [f"{time:%Y-%m-%d %H:%M},{100 + minutes / 1200 * i:.2f}\n" for i, time in enumerate(times)]
    text = "datetime,level_m\n" + "".join(rows[::-1] if newest_first else rows)
    assert read_gauge(write(tmp_path, text)).attrs["contradicting"] == []
    wrong = text.replace("2018-11-06 01:00", "2018-11-06 02:00")  # a Tuesday
    with pytest.warns(UserWarning, match="contradicting levels found on 1 days, the first on 2018-11-06"):
        read_gauge(write(tmp_path, wrong))


def test_missing_files_binary_files_and_other_units_are_refused(tmp_path):
    with pytest.raises(LevelError, match=r"nowhere\.csv: not readable \(No such file or directory\)"):
        read_gauge(tmp_path / "nowhere.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with pytest.raises(LevelError, match=r"image\.csv: no text found, a table as text expected\. Save it as CSV"):
        read_gauge(tmp_path / "image.csv")
    with pytest.raises(LevelError, match=r"the unit 'fathom' of the levels found, one of m, cm, ft expected"):
        read_gauge(write(tmp_path, "date,level\n2018-07-03,5\n"), unit="fathom")


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.dates(date(1700, 1, 1), date(2200, 1, 1)), st.integers(-40_000, 500_000)),
        min_size=1,
        unique_by=lambda row: row[0],
    )
)
def test_what_is_written_is_read_in_order(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("gauge") / "levels.csv"
    path.write_text("date,level_m\n" + "".join(f"{day},{level / 100 + 0.003:.3f}\n" for day, level in rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # levels at random are impossible
        level = read_gauge(path)
    assert [(day.date(), round(100 * (value - 0.003))) for day, value in level.items()] == sorted(rows)


@pytest.mark.parametrize(
    ("name", "lowest_m", "highest_m", "n_far", "n_spikes"), [("ANT", 1518, 1527, 63, 13), ("FRD", 1688, 1704, 32, 21)]
)
def test_real_records_of_two_dirty_gauges(name, lowest_m, highest_m, n_far, n_spikes, excerpts, tmp_path):
    path = tmp_path / "elevation.csv"
    path.write_bytes(gzip.decompress((excerpts / f"cdec_{name}_elevation_daily.csv.gz").read_bytes()))
    with pytest.warns(UserWarning, match="impossible levels found"):
        level = read_gauge(path)
    assert not level.between(lowest_m, highest_m).all()  # feet with a digit too many, and -1
    found = level.attrs["impossible"]
    assert len(found) == n_far + n_spikes  # looked at one by one: many are whole tens of feet off
    assert level.drop(found).between(lowest_m, highest_m).all()
    flood = pd.date_range("1997-01-01", "1997-01-03")  # California's of that new year: 1.1 m up in a day
    assert not flood.isin(found).any()


def test_a_real_record_that_moves_much_has_no_impossible_level(excerpts):
    assert read_gauge(excerpts / "itoiz/levels.csv").attrs["impossible"] == []
