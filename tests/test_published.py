"""The published tables are complete and exact, and ours are put next to theirs honestly."""

import math

import pandas as pd
import pytest

from millpond import published
from millpond.published import PublishedError

ROWS = {
    "capacity_table1_correlations": 21,  # seven variables by three methods
    "capacity_table2_scenarios": 8,
    "capacity_table3_calibration": 24,  # eight scenarios by three models
    "capacity_text_claims": 17,
    "lstm_cnn_text_claims": 5,
    "lstm_cnn_table1_mnist": 5,
    "lstm_cnn_table2_idc": 3,
    "normalization_claims": 20,
    "wu2023_other_methods": 8,  # of its section 5
    "wu2023_table1_california_reservoirs": 4,
    "wu2023_table2_validation_reservoirs": 3,
    "wu2023_table3_hyperparameters": 3,
    "wu2023_table4_source_and_sampling": 16,  # four reservoirs, two sources, two samplings
    "wu2023_table5_regionalization_bhc": 2,
    "wu2023_table6_benchmark_validation": 3,
    "wu2023_table7_attention_validation": 6,
    "wu2023_text_claims": 42,
}
TABLE4 = "wu2023_table4_source_and_sampling"
CLAIMS = "wu2023_text_claims"


def test_the_tables_are_all_there():
    assert published.names() == sorted(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_table_loads_whole(name):
    table = published.load(name)
    assert len(table) == ROWS[name]
    assert not table.isna().any(axis=None)
    assert not table.duplicated().any()
    cited = published.source(name)
    assert name.startswith(("wu2023" if cited.study == "level" else cited.study) + "_")
    assert cited.citation
    assert cited.url.startswith("https://")


def test_numbers_are_numbers_and_sections_are_text():
    table4 = published.load(TABLE4)
    assert table4.select_dtypes("number").columns.tolist() == ["r2", "rmse_m", "mae_m"]
    assert set(published.load(CLAIMS)["section"]) == {"abstract", "4.1", "4.3", "4.4", "4.6", "5"}
    assert published.load("capacity_table3_calibration").dtypes.map(lambda dtype: dtype.kind).tolist() == [*"iOff"]


@pytest.mark.parametrize(
    ("expected", "name", "column", "where"),
    [
        (0.73, CLAIMS, "value", {"section": "4.1", "quantity": "mean R2, random sampling"}),
        (36.4, CLAIMS, "value", {"section": "abstract", "quantity": "MAE decrease with CAM"}),
        (-1.1, TABLE4, "r2", {"reservoir": "BHC", "source": "sentinel-1", "sampling": "chronological"}),
        (0.59, TABLE4, "mae_m", {"reservoir": "LYS", "source": "sentinel-2", "sampling": "random"}),
        (0.838, "capacity_table1_correlations", "Aws", {"method": "pearson", "variable": "Vrc"}),
        (9.82, "capacity_table3_calibration", "mape_percent", {"scenario": 5, "model": "PSO-ELM"}),
        (89, "capacity_text_claims", "value", {"quantity": "reservoirs with known capacity, reference area"}),
        (98.125, "lstm_cnn_table1_mnist", "validation_accuracy_percent", {"model": "LSTM"}),
        (85.017, "lstm_cnn_table2_idc", "validation_accuracy_percent", {"model": "LSTM-CNN"}),
        (180138886, "normalization_claims", "value", {"claim": "pixels after filtering"}),
        (1.01, "wu2023_other_methods", "value", {"quantity": "highest RMSE (m)"}),
        (7682, "wu2023_table1_california_reservoirs", "capacity_1e3_m3", {"name": "Lyons"}),
        (-102.57, "wu2023_table2_validation_reservoirs", "longitude_deg", {"reservoir": "ARR"}),
        (1500, "wu2023_table3_hyperparameters", "value", {"hyperparameter": "epochs"}),
        (0.69, "wu2023_table5_regionalization_bhc", "rmse_m", {"stage": "after"}),
        (1.27, "wu2023_table6_benchmark_validation", "rmse_m", {"reservoir": "CTR"}),
        (0.38, "wu2023_table7_attention_validation", "mae_m", {"reservoir": "CTR", "attention": "CAM"}),
    ],
)
def test_a_value_as_printed(expected, name, column, where):
    found = published.value(name, column, **where)
    assert type(found) is float
    assert found == expected


def test_a_text_as_printed():
    assert published.text("capacity_table2_scenarios", "factors", scenario=5) == "Asc Lsc Aws Ssc Sb"
    assert published.text("normalization_claims", claim="worst") == "min-max"
    with pytest.raises(PublishedError, match=r"value is the text 'min-max'; expected a number. Use published.text"):
        published.value("normalization_claims", claim="worst")


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(PublishedError, match=f"Did you mean '{TABLE4}'"):
        published.load("wu2023_tabel4")
    with pytest.raises(PublishedError) as error:
        published.load("wu2023_table4")
    assert f"No published table 'wu2023_table4'. Did you mean '{TABLE4}'? There are: capacity_table1" in str(
        error.value
    )
    with pytest.raises(PublishedError, match=r"No published table 'x'\. There are: "):
        published.source("x")


def test_an_ambiguous_value_tells_how_to_narrow_it():
    with pytest.raises(PublishedError) as error:
        published.value(TABLE4, "r2", reservoir="BHC", sampling="random")
    assert str(error.value).startswith(
        f"{TABLE4}: 2 rows match reservoir='BHC', sampling='random'; expected one. "
        "Narrow it by source: 'sentinel-1', 'sentinel-2'."
    )
    with pytest.raises(PublishedError, match="16 rows match no condition; expected one"):
        published.value(TABLE4, "r2")


def test_an_absent_value_tells_what_there_is():
    with pytest.raises(PublishedError) as error:
        published.value(CLAIMS, section="4.1", quantity="mean R2, random")
    assert "0 rows match section='4.1', quantity='mean R2, random'; expected one. Known as quantity: " in str(
        error.value
    )
    assert "Known as quantity: 'mean R2, random sampling', " in str(error.value)
    with pytest.raises(PublishedError, match="Each of these is known, but not together"):
        published.value(CLAIMS, section="4.6", quantity="mean R2, random sampling")
    with pytest.raises(PublishedError, match=r"no column 'site'. There are: reservoir, source, sampling, r2, rmse_m"):
        published.value(TABLE4, "r2", site="BHC")


def test_the_means_of_section_4_1_are_those_of_sentinel_2_alone():
    means = published.load(TABLE4).groupby(["sampling", "source"])["r2"].mean().unstack()
    claimed = {
        sampling: published.value(CLAIMS, section="4.1", quantity=f"mean R2, {sampling} sampling")
        for sampling in ("random", "chronological")
    }
    assert claimed == {"random": 0.73, "chronological": 0.26}
    # (0.54 + 0.80 + 0.75 + 0.84) / 4 and (-0.24 - 0.05 + 0.77 + 0.59) / 4
    assert means.loc["random", "sentinel-2"] == pytest.approx(0.7325)
    assert means.loc["chronological", "sentinel-2"] == pytest.approx(0.2675)
    for sampling, of_all_rows in (("random", 0.5575), ("chronological", 0.1875)):
        assert abs(means.loc[sampling, "sentinel-2"] - claimed[sampling]) < 0.01
        assert means.loc[sampling].mean() == pytest.approx(of_all_rows)


def test_random_sampling_does_not_beat_chronological_in_rmse():
    rmse = published.load(TABLE4).pivot(index=["reservoir", "source"], columns="sampling", values="rmse_m")
    assert (rmse["chronological"] < rmse["random"]).sum() == 6
    assert len(rmse) == 8


STAGES = "wu2023_table5_regionalization_bhc"  # R2 0.63 before and 0.67 after


def test_compare_by_hand():
    ours = pd.DataFrame({"stage": ["before"] * 3, "r2": [0.5, 0.6, 0.7], "seed": [0, 1, 2]})
    table = published.compare(STAGES, ours, ["stage"], "r2")
    before, after = table.to_dict("records")
    half = 4.302653 * 0.1 / math.sqrt(3)  # Student's t at 0.975 with 2 degrees of freedom; s = 0.1
    assert before["ours_mean"] == pytest.approx(0.6)
    assert before["ours_low"] == pytest.approx(0.6 - half)
    assert before["ours_high"] == pytest.approx(0.6 + half)
    assert before["difference"] == pytest.approx(-0.03)
    assert (before["stage"], before["published"], before["n"], before["published_within"]) == ("before", 0.63, 3, True)
    assert (after["stage"], after["published"], after["n"]) == ("after", 0.67, 0)
    assert all(math.isnan(after[name]) for name in ("ours_mean", "ours_low", "ours_high", "difference"))
    assert table["published_within"].isna().tolist() == [False, True]


def test_compare_tells_a_published_value_outside_the_interval():
    ours = pd.DataFrame({"stage": ["after"] * 2 + ["before"], "r2": [0.10, 0.11, 0.6]})
    table = published.compare(STAGES, ours, ["stage"], "r2").set_index("stage")
    # 0.105 +- 12.706 * 0.00707 / sqrt(2) reaches up to 0.1685
    assert table.loc["after", "ours_high"] == pytest.approx(0.1685, abs=1e-4)
    assert not table.loc["after", "published_within"]
    assert table.loc["before", "n"] == 1
    assert table.loc["before", "difference"] == pytest.approx(-0.03)
    assert math.isnan(table.loc["before", "ours_low"])
    assert table["published_within"].isna().to_dict() == {"before": True, "after": False}


def test_compare_by_several_keys_keeps_the_published_order():
    theirs = published.load(TABLE4)
    keys = ["reservoir", "source", "sampling"]
    ours = pd.concat([theirs.assign(seed=0), theirs.assign(seed=1, r2=theirs["r2"] + 0.02)]).sample(
        frac=1, random_state=0
    )
    table = published.compare(TABLE4, ours, keys, "r2")
    assert list(table.columns) == [
        *keys,
        *("published", "ours_mean", "ours_low", "ours_high", "n", "difference", "published_within"),
    ]
    assert table[keys].equals(theirs[keys])
    assert table["difference"].to_numpy() == pytest.approx(0.01)
    assert table["published_within"].all()


def test_compare_without_any_run_of_ours():
    table = published.compare(STAGES, pd.DataFrame({"stage": [], "r2": []}), ["stage"], "r2")
    assert table["n"].tolist() == [0, 0]


def test_compare_refuses_what_it_cannot_place():
    ours = pd.DataFrame({"stage": ["before", "later"], "r2": [0.5, 0.6]})
    with pytest.raises(PublishedError, match=r"ours: stage = \[\('later',\)\] have no counterpart in wu2023_table5"):
        published.compare(STAGES, ours, ["stage"], "r2")
    with pytest.raises(PublishedError, match=r"ours: 1 of 2 rows have no 'r2'. Find out why"):
        published.compare(STAGES, ours.assign(r2=[0.5, None]), ["stage"], "r2")
    with pytest.raises(PublishedError, match=r"ours: no column 'mae_m'. There are: stage, r2"):
        published.compare(STAGES, ours, ["stage"], "mae_m")
    with pytest.raises(PublishedError, match=r"do not tell its rows apart; .* Add some of \['sampling', 'rmse_m'"):
        published.compare(TABLE4, published.load(TABLE4), ["reservoir", "source"], "r2")
    text = published.load("normalization_claims")
    with pytest.raises(PublishedError, match=r"normalization_claims: column 'value' holds text; expected numbers"):
        published.compare("normalization_claims", text, ["claim"], "value")


def test_sources_are_cited():
    assert published.source(TABLE4).doi == "10.3390/rs15245740"
    assert "Hydrology Research 53(7), 1001" in published.source("capacity_table2_scenarios").citation
