"""A reservoir's levels over time with their intervals, and against the area of its water."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from millpond.plots import use_style

_MEASURED, _ESTIMATED = "#000000", "#0072B2"


def level_figure(estimates: pd.DataFrame, training: pd.DataFrame) -> Figure:
    """Draw estimates and intervals, and the levels that trained the model.

    Parameters
    ----------
    estimates : DataFrame
        As from `LevelModel.estimate`; dates that it abstains from are crosses at the foot.
    training : DataFrame
        As `LevelModel.training`.
    """
    with mpl.rc_context():
        use_style()
        figure = Figure(figsize=(9, 4))
        series, curve = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    given = estimates[estimates["abstains"] == ""]
    reach = [given["level_m"] - given["low_m"], given["high_m"] - given["level_m"]]
    for ax, known, new in (
        (series, training.index, given.index),
        (curve, training["area_km2"], given["area_km2"]),
    ):
        ax.plot(known, training["level_m"], ".", color=_MEASURED, ms=4, label="gauge, training")
        ax.errorbar(new, given["level_m"], reach, fmt="o", ms=4, lw=1, color=_ESTIMATED, alpha=0.8, label="estimate")
    refused = estimates.index[estimates["abstains"] != ""]
    if len(refused):
        series.plot(
            refused,
            [0.02] * len(refused),
            "x",
            color="#D55E00",
            transform=series.get_xaxis_transform(),
            label="abstains",
        )
    series.set(xlabel="date", ylabel="level (m above the gauge's datum)")
    curve.set(xlabel="area that looks like water (km²)")
    series.tick_params(axis="x", rotation=30)
    handles, names = series.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure
