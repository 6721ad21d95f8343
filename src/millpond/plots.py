"""The book's plotting style, and the plots and tables that recur."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.patches import FancyBboxPatch

from millpond import claims

BAND_COLORS = {"B02": "#0072B2", "B03": "#009E73", "B04": "#D55E00", "B08": "#882E72"}
"""A colour a band that the colour-blind can tell apart (Okabe and Ito; Tol)."""

BAND_NAMES = {"B02": "blue", "B03": "green", "B04": "red", "B08": "near infrared"}

LAND_COVER_COLORS = ("#AA4499", "#4477AA", "#8C6D46", "#117733", "#88CC33", "#DDCC77", "#CC3311")
"""In the order of `millpond.normalization.landcover.LAND_COVER`."""


def use_style() -> None:
    """Readable sizes, an opaque white background (readable in dark mode too), a perceptually uniform colour map."""
    mpl.rcParams.update(
        {
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "image.cmap": "cividis",
            "image.interpolation": "nearest",
        }
    )


def histogram_line(ax, values: np.ndarray, counts: np.ndarray, bins: np.ndarray, **style) -> None:
    """Draw the density of counted values as a step line.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    values : (65536,) array
        Value of each digital number: the digital number itself, or a row of `Normalization.table`.
    counts : (65536,) array
        A row of `BandHistogram.counts`.
    bins : (n_bins + 1,) array
        Edges; values outside are not drawn but count in the total, so that areas stay comparable.
    """
    heights, edges = np.histogram(values, bins=bins, weights=counts)
    ax.stairs(heights / counts.sum() / np.diff(edges), edges, **style)


def mean_and_band(ax, runs: pd.Series, line: str = "-", **style) -> None:
    """Draw the mean of repeated runs, and a band from the smallest to the largest.

    Parameters
    ----------
    ax : matplotlib Axes
    runs : Series
        Its index is what stands on the x axis, an epoch for instance; each of its values occurs once a run.
    line : str
        As `ax.plot` takes it.
    **style
        Of the line; the band has its `color`.
    """
    band = runs.groupby(level=0).agg(["mean", "min", "max"])
    (drawn,) = ax.plot(band["mean"], line, **style)
    ax.fill_between(band.index, band["min"], band["max"], color=drawn.get_color(), alpha=0.15, lw=0)


def show_composite(ax, bands: np.ndarray, title: str = "", every: int = 1) -> None:
    """Show three bands as red, green and blue; values outside 0..1 are clipped as a screen does.

    Parameters
    ----------
    bands : (3, rows, cols) array
    every : int
        Draw each `every`-th row and column.
    """
    ax.imshow(np.clip(np.moveaxis(bands[:, ::every, ::every], 0, -1), 0, 1))
    ax.set_title(title)
    ax.set_axis_off()


def flow_chart(ax, boxes: dict[str, tuple[float, float, str, bool]], arrows: str, bends: dict[str, float]) -> None:
    """Draw boxes and arrows.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    boxes : dict of name to (x, y, text, stressed)
        Centres, with columns 3 apart and rows 1 apart; stressed boxes are blue, the others grey.
    arrows : str
        "a>b b>c": from which box to which.
    bends : dict of arrow to float
        How far an arrow leaves the straight line, as a share of its length; for those with a box in their way.
    """
    patches = {}
    for name, (x, y, text, stressed) in boxes.items():
        color = "#CCE5F5" if stressed else "#F2F2F2"
        patch = FancyBboxPatch((x - 0.95, y - 0.3), 1.9, 0.6, "round,pad=0.06", fc=color, ec="#333333", lw=0.8)
        patches[name] = ax.add_patch(patch)
        ax.text(x, y, text, ha="center", va="center", fontsize=9)
    for arrow in arrows.split():
        names = arrow.split(">")
        start, end = (np.array(boxes[name][:2], float) for name in names)
        style = {"arrowstyle": "-|>", "color": "#333333", "shrinkA": 0, "shrinkB": 0}
        if arrow in bends:
            style |= dict(zip(("patchA", "patchB"), (patches[name] for name in names), strict=True))
            style["connectionstyle"] = f"arc3,rad={2 * bends[arrow]}"
        else:  # from side to side
            step = end - start
            side = np.array([1.01, 0]) if abs(step[0]) > abs(step[1]) else np.array([0, 0.36])
            start, end = start + np.sign(step) * side, end - np.sign(step) * side
        ax.annotate("", end, start, arrowprops=style)
    x, y = np.array([box[:2] for box in boxes.values()]).T
    ax.set(xlim=(x.min() - 1.1, x.max() + 1.1), ylim=(y.min() - 0.4, y.max() + 0.4))
    ax.set_axis_off()


def table(frame: pd.DataFrame):
    """A frame of preformatted strings as an `IPython.display.Markdown` table: selectable text, numbers to the right."""
    from IPython.display import Markdown

    looks_numeric = frame.map(lambda cell: any(c.isdigit() for c in str(cell)[:2])).all()
    align = ["right" if numeric else "left" for numeric in looks_numeric]
    return Markdown(frame.to_markdown(index=False, disable_numparse=True, colalign=align))


def mean_and_range(values: pd.Series, form: str) -> str:
    """ "mean (smallest to largest)" of runs that are too few for percentiles; of one run, its value."""
    if len(values) == 1:
        return form.format(values.iloc[0])
    return f"{form.format(values.mean())} ({form.format(values.min())} to {form.format(values.max())})"


def mean_and_interval(differences, form: str, test_to_train: float = 0.0) -> str:
    """ "mean (low to high)" with the interval of `millpond.claims.mean_and_interval`; of one value, that."""
    mean, low, high = claims.mean_and_interval(differences, test_to_train)
    return f"{form.format(mean)} ({form.format(low)} to {form.format(high)})" if np.isfinite(low) else form.format(mean)


def median_and_range(values: pd.Series, form: str = "{:.0f}") -> str:
    """ "median (from to)" of repeated runs, where the range holds 95 % of them."""
    low, high = values.quantile([0.025, 0.975])
    return f"{form.format(values.median())} ({form.format(low)} to {form.format(high)})"
