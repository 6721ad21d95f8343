import pandas as pd

from millpond import plots


def test_runs_are_told_as_mean_and_range():
    assert plots.mean_and_range(pd.Series([1.0, 2.0, 6.0]), "{:.1f}") == "3.0 (1.0 to 6.0)"
    assert plots.mean_and_range(pd.Series([2.5]), "{:+.1f}") == "+2.5"


def test_numbers_stand_to_the_right_in_tables():
    shown = plots.table(pd.DataFrame({"network": ["lstm"], "accuracy": ["99.1"]})).data
    assert shown.splitlines()[1] == "|:----------|-----------:|"
