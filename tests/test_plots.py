import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation

from millpond import plots


def test_runs_are_told_as_mean_and_range():
    assert plots.mean_and_range(pd.Series([1.0, 2.0, 6.0]), "{:.1f}") == "3.0 (1.0 to 6.0)"
    assert plots.mean_and_range(pd.Series([2.5]), "{:+.1f}") == "+2.5"


def test_means_are_told_with_their_interval():
    assert plots.mean_and_interval([1, 2, 3], "{:+.2f}") == "+2.00 (-0.48 to +4.48)"  # 4.303 / sqrt(3) either side
    assert plots.mean_and_interval([1.5], "{:.1f}") == "1.5"


def test_a_band_reaches_from_the_smallest_run_to_the_largest():
    _, ax = plt.subplots()
    plots.mean_and_band(ax, pd.Series([1.0, 4, 6, 5], index=[2, 1, 1, 2]), "o-", color="red", label="a network")
    (line,), (band,) = ax.lines, ax.collections
    assert line.get_xydata().tolist() == [[1, 5], [2, 3]]
    assert {tuple(point) for point in band.get_paths()[0].vertices} == {(1, 4), (1, 6), (2, 1), (2, 5)}
    assert (line.get_color(), line.get_label()) == ("red", "a network")
    assert np.allclose(band.get_facecolor(), matplotlib.colors.to_rgba("red", 0.15))
    plt.close()


def test_numbers_stand_to_the_right_in_tables():
    shown = plots.table(pd.DataFrame({"network": ["lstm"], "accuracy": ["99.1"]})).data
    assert shown.splitlines()[1] == "|:----------|-----------:|"


def test_arrows_of_a_flow_chart_end_at_the_sides_of_boxes():
    _, ax = plt.subplots()
    boxes = {"a": (0, 1, "from", True), "b": (3, 1, "to the right", False), "c": (0, 0, "below", False)}
    plots.flow_chart(ax, boxes, "a>b a>c b>c", {"b>c": 0.2})
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["from", "to the right", "below"]
    right, down, bent = (text for text in ax.texts if isinstance(text, Annotation))
    assert (*right.get_position(), *right.xy) == pytest.approx((1.01, 1, 1.99, 1))
    assert (*down.get_position(), *down.xy) == pytest.approx((0, 0.64, 0, 0.36))
    assert (*bent.get_position(), *bent.xy) == (3, 1, 0, 0)  # cut at the boxes when drawn
    plt.close()
