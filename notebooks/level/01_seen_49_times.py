# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A reservoir seen 49 times
#
# *How well do images alone tell the water level of one real reservoir?*
#
# The level study {cite:p}`wu2023` trains a network on images of a reservoir and the levels that a {term}`gauge` measured on the same days. Afterwards the network is to do without the gauge. We
# begin with a real reservoir: Itoiz, in Navarra, Spain, which Sentinel-2 saw on {glue:text}`itoiz_images` dates in one drawdown and refilling.
# It is larger than the small reservoirs of this book, and its level moved by {glue:text}`itoiz_range`; we know of few whose images and levels are published together.
#
# **You will learn** which dates to throw away and how to notice, how far area alone tells the level, what a network adds, and how to get levels of a reservoir of your own.
# **You need** the idea of a regression. **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import MonthLocator
from myst_nb import glue
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from millpond import plots
from millpond.experiment import load_runs, results_dir
from millpond.level.estimation import BLOCK_DAYS, fit_level_model
from millpond.level.evaluation import pooled_scores, with_interval
from millpond.level.study import (
    BASELINES,
    COARSER,
    CORRECTED_BY_NETWORK,
    CORRECTED_BY_RIDGE,
    CURVE,
    FOLDS,
    HYPSOMETRY,
    LAST,
    NETWORK,
    NETWORKS,
    RIDGE,
    SETTINGS,
    SHORE,
    UNMASKED,
    n_planned,
)
from millpond.level.twin import CHARACTERS, simulate

plots.use_style()
ARCHIVE = results_dir() / "level" / "full"

# %% [markdown]
# ## From images to levels
#
# {numref}`fig-itoiz-flow` has the way, as the study draws it in its Fig. 4, and what we add: models without a network, and an interval or a reason for none.

# %% tags=["hide-input", "remove-output"]
BOXES = {  # name: (x, y, text, whether the study has it too)
    "images": (1, 4, "satellite images\nand their masks", True),
    "gauge": (4, 4, "daily levels\nof a gauge", True),
    "scenes": (1, 3, "scenes that are\nclear, not spoiled", True),
    "pairs": (4, 3, "scene and level\nof the same day", True),
    "scaled": (1, 2, "levels, scaled\nto 0 to 1", True),
    "split": (4, 2, "training dates\nand test dates", True),
    "network": (1, 1, "ResNet-34, with or\nwithout attention", True),
    "simple": (4, 1, "area-level curve,\nband statistics", False),
    "estimate": (4, 0, "level with interval,\nor why there is none", False),
    "scores": (7, 1, "R², RMSE, MAE\non test dates", True),
}
ARROWS = (
    "images>scenes scenes>pairs gauge>pairs pairs>split split>scaled scaled>network split>simple"
    " network>estimate simple>estimate estimate>scores split>scores"
)
fig, ax = plt.subplots(figsize=(7.5, 4.6))
plots.flow_chart(ax, BOXES, ARROWS, {})
glue("fig-itoiz-flow", fig)
plt.close(fig)

# %% [markdown]
# ```{glue:figure} fig-itoiz-flow
# :name: fig-itoiz-flow
# :alt: Boxes and arrows. Images and masks give scenes; these and levels of a gauge give pairs; pairs are split into training and test dates. A network or a simple model learns from the training dates and gives a level with an interval, or a reason for none; test dates give the scores.
#
# From images to levels, for real and simulated reservoirs alike; the counterpart of the study's Fig. 4. Blue: as in the study. Grey: ours.
# ```
#
# ## Which dates can be used
#
# Each image has a band with the probability of cloud. We drop a date if more than a tenth of where the water may be, and 100 m around it, is cloudy. That is not enough. On some dates the mask is clear and the image is not: haze,
# the shadow of a cloud outside the scene. One rule finds them without looking at any level: a reservoir's smaller water lies inside its larger water. Of two images that contradict each other in that, the one goes that differs more from all others; those that are left give a map of how often each pixel is wet. Then every image is judged by the map: as many pixels as it shows water, so many should be the ones that are most often wet. If more than a tenth of its water lies elsewhere, the scene is spoiled.

# %% tags=["hide-input", "remove-output"]
listed = load_runs(ARCHIVE / "itoiz_scenes")
listed["date"] = pd.to_datetime(listed["date"])
used = listed[listed["reason"] == "used"]
reasons = listed["reason"].value_counts()
glue(
    "tab-itoiz-reasons",
    plots.table(pd.DataFrame({"what became of it": reasons.index, "dates": reasons.map(str).to_numpy()})),
)

# %% tags=["remove-cell", "nbval-check-output"]
glue("itoiz_images", f"{len(listed)}", display=False)
glue("itoiz_used", f"{len(used)}", display=False)
glue("itoiz_spoiled", f"{reasons['spoiled']}", display=False)
glue("itoiz_range", f"{np.ptp(used['level_m']):.0f} m", display=False)
print(len(listed), reasons.to_dict())

# %% [markdown]
# ````{table} Real data, archived: what became of the dates of Itoiz.
# :name: tab-itoiz-reasons
# ```{glue:md} tab-itoiz-reasons
# :format: myst
# ```
# ````
#
# ```{figure} ../../book/_static/itoiz-scenes.jpg
# :name: fig-itoiz-scenes
# :alt: Six images of a reservoir between hills with its outline in yellow; the water shrinks and grows again.
#
# Real data, archived: Itoiz on six dates, near infrared as red and green as green and blue, with the level at the gauge. The yellow line is where the index for water, NDWI, is zero. Images: M. Montesino-San Martin, CC BY-SA 2.0.
# ```
#
# {numref}`tab-itoiz-reasons` leaves {glue:text}`itoiz_used` dates; {numref}`fig-itoiz-scenes` has six of them. The rule finds {glue:text}`itoiz_spoiled` spoiled dates. Its threshold was chosen on this
# reservoir, so it is tested on none. It needs several scenes, and water that moves.
#
# ## Area against level
#
# What would a hydrologist do? Count the water's pixels, and plot area against level. A pixel is water where {term}`NDWI`, the difference of green and near infrared over their sum, is above zero. Of the dates with levels
# we draw the rising curve that fits best, by isotonic regression: it assumes nothing but that more water stands higher.

# %% tags=["hide-input", "remove-output"]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.2), width_ratios=(1.5, 1), sharey=True)
left.plot(used["date"], used["level_m"], "-o", ms=4, color="#0072B2", label="used")
dropped = listed[(listed["reason"] != "used") & listed["level_m"].notna()]
for reason, marker in zip([r for r in reasons.index if r in set(dropped["reason"])], "x+1", strict=False):
    part = dropped[dropped["reason"] == reason]
    left.plot(part["date"], part["level_m"], marker, color="#D55E00", label=reason)
left.set(ylabel="level at the gauge (m above sea level)", xlabel="date")
left.xaxis.set_major_locator(MonthLocator(interval=3))
left.legend()
order = used.sort_values("area_km2")
falling = used["date"] < used.loc[used["level_m"].idxmin(), "date"]
for name, part, marker in (("falling", used[falling], "v"), ("rising", used[~falling], "^")):
    right.plot(
        part["area_km2"], part["level_m"], marker, ms=5, label=name, color="#0072B2" if name == "falling" else "#009E73"
    )
fitted = IsotonicRegression().fit(order["area_km2"], order["level_m"])
grid = np.linspace(order["area_km2"].min(), order["area_km2"].max(), 200)
right.plot(grid, fitted.predict(grid), color="black", lw=1)
right.set(xlabel="water in the window (km²)")
right.legend()
glue("fig-itoiz-area", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
low = used.nsmallest(len(used) // 3, "level_m")
high = used.drop(low.index)
for name, part in (("low", low), ("high", high)):
    rank = stats.spearmanr(part["area_km2"], part["level_m"]).statistic
    glue(f"itoiz_rank_{name}", f"{rank:.2f}", display=False)
    glue(f"itoiz_n_{name}", f"{len(part)}", display=False)
bright = used.sort_values("infrared_over_water").tail(2)
clear_low = low.drop(low.index.intersection(bright.index))
rank_clear = stats.spearmanr(clear_low["area_km2"], clear_low["level_m"]).statistic
glue("itoiz_rank_clear", f"{rank_clear:+.2f}", display=False)
glue("itoiz_n_clear", f"{len(clear_low)}", display=False)
leftmost = used.nsmallest(2, "area_km2").index.intersection(bright.index)
glue("itoiz_low", f"{low['level_m'].max():.0f} m", display=False)
glue("itoiz_hazy", " and ".join(f"{date:%d %B %Y}".lstrip("0") for date in bright["date"].sort_values()), display=False)
glue("itoiz_hazy_infrared", f"{bright['infrared_over_water'].min():.3f}", display=False)
glue("itoiz_clear_infrared", f"{used['infrared_over_water'].median():.3f}", display=False)
glue("itoiz_hazy_leftmost", {0: "neither is", 1: "one is", 2: "both are"}[len(leftmost)], display=False)
smallest, largest = used["area_km2"].min(), used["area_km2"].max()
glue("itoiz_areas", f"{smallest:.1f} to {largest:.1f} km²", display=False)
print(f"{rank:.2f}", f"{smallest:.1f}", f"{largest:.1f}", len(leftmost))

# %% [markdown]
# ```{glue:figure} fig-itoiz-area
# :name: fig-itoiz-area
# :alt: Left, levels over ten months, falling in autumn and rising in winter, with the dropped dates as crosses. Right, level against area, a rising curve through the dates.
#
# Real data, archived: levels of Itoiz and what became of each date; and level against the area that looks like water, as the level fell and as it rose, with the rising curve that fits all dates best.
# ```
#
# Set apart the lowest third of the levels, up to {glue:text}`itoiz_low`. The rank correlation of area and level is {glue:text}`itoiz_rank_low` for these {glue:text}`itoiz_n_low` dates, and {glue:text}`itoiz_rank_high` for the other
# {glue:text}`itoiz_n_high` ({numref}`fig-itoiz-area`). Haze has a part in that. On {glue:text}`itoiz_hazy` the near infrared over water that is always there is brightest, {glue:text}`itoiz_hazy_infrared` or more where {glue:text}`itoiz_clear_infrared` is usual. Then NDWI falls below zero in the middle of the lake and water goes missing: of the two smallest areas,
# {glue:text}`itoiz_hazy_leftmost` of these dates. Without these two dates the rank correlation at low water is {glue:text}`itoiz_rank_clear`, over {glue:text}`itoiz_n_clear`: too few to say whether area tells little there. The rule let them pass, and we keep them: to drop dates because they don't fit would be cheating. The areas, {glue:text}`itoiz_areas`, are those inside the window; the water reaches its frame.
#
# ## How good is that on dates that it has not seen?
#
# A curve through all dates says nothing about new ones. So the dates are dealt into five folds, each is estimated by what the others teach, and the estimates of all folds are pooled into one score. We do that
# {glue:text}`itoiz_repeats` times with other folds. And we do it in two ways: dates one by one, and in blocks of 30 days. Neighbouring dates look alike and have nearly the same level, so with dates dealt one
# by one a model may remember rather than know.
#
# The opponents: the mean level and the *last known level* of the training, which know no image. *Terrain and one level*: the published terrain of Itoiz reaches below its water; the estimate is the level up to which the ground holds the area of the water, shifted so that it fits the gauge on one date of the training. No other level is used. Two regressions on means and percentiles of the bands. The curve, which counts the pixels that are often enough water on the dates of the training, in one piece, so that shadows and fields don't count; and the same with every pixel of the window. And a *shore-level fit*, which is ours. Each pixel is wet from some level on, which
# the training dates tell. The estimate is the level at which the most pixels are as they should be. A shadow on a hill is counted as water too, but where no level would put any. So it counts against all levels alike, and moves the estimate little.

# %% [markdown]
# ```python
# # of each pixel, by level: how many images contradict it, if it is dry up to here
# wrong = np.cumsum(np.where(wet, 1, -1), axis=0)
# # from which level on it is wet: the middle of the best ones
# zone = (first_minimum + last_minimum + 1) // 2
# # of a new image, for each candidate level: pixels that are not as they should be
# differing = abs(n_wet - risen * n_pixels).sum(axis=1)
# ```

# %% tags=["hide-input", "remove-output"]
runs = load_runs(ARCHIVE / "itoiz_baselines")
repeats = runs["seed"].nunique()


def scores_of(part: pd.DataFrame) -> dict[str, np.ndarray]:
    """On all dates, and on draws of whole blocks of 30 days."""
    wide = part.pivot(index="seed", columns="date", values="estimate_m")
    days = pd.to_datetime(wide.columns)
    level_m = part.groupby("date")["level_m"].first()[wide.columns]
    return pooled_scores(level_m, wide, (days - days.min()).days // BLOCK_DAYS)


def table_row(found: dict[str, np.ndarray]) -> dict[str, str]:
    return {
        "R²": f"{found['r2'][0]:.3f}",
        "RMSE (m)": with_interval(found["rmse_m"]),
        "MAE (m)": with_interval(found["mae_m"]),
    }


models = (*BASELINES, CORRECTED_BY_RIDGE)
found = {(name, folds, n): scores_of(part) for (name, folds, n), part in runs.groupby(["model", "folds", "coarser"])}
rows = [
    {"model": name, "folds of": {"random": "dates", "months": "blocks"}[folds]} | table_row(found[name, folds, 1])
    for name in models
    for folds in FOLDS
]
glue("tab-itoiz-baselines", plots.table(pd.DataFrame(rows)))
other_thresholds = load_runs(ARCHIVE / "itoiz_thresholds").groupby(["model", "folds", "threshold"])
by_threshold = {key: scores_of(part) for key, part in other_thresholds}
by_threshold |= {(name, folds, 0.0): found[name, folds, 1] for name in (CURVE, SHORE) for folds in FOLDS}
thresholds = sorted({threshold for *_, threshold in by_threshold})
rows = [
    {"NDWI above": f"{threshold:+.1f}" if threshold else "0"}
    | {
        f"{short}, {told} (m)": with_interval(by_threshold[name, folds, threshold]["rmse_m"])
        for name, short in ((CURVE, "curve"), (SHORE, "shore"))
        for folds, told in (("random", "dates"), ("months", "blocks"))
    }
    for threshold in thresholds
]
glue("tab-itoiz-thresholds", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
curve_random, curve_months = found[CURVE, "random", 1], found[CURVE, "months", 1]
shore_months = found[SHORE, "months", 1]
glue("itoiz_repeats", f"{repeats}", display=False)
n_blocks = ((used["date"] - used["date"].min()).dt.days // BLOCK_DAYS).nunique()
glue("itoiz_blocks", f"{n_blocks}", display=False)
glue("itoiz_curve_r2", f"{curve_random['r2'][0]:.3f}", display=False)
glue("itoiz_curve_rmse", f"{curve_random['rmse_m'][0]:.2f} m", display=False)
glue("itoiz_curve_share", f"{curve_random['rmse_m'][0] / np.ptp(used['level_m']):.0%}", display=False)
glue("itoiz_curve_months", f"{curve_months['r2'][0]:.3f}", display=False)
glue("itoiz_curve_months_rmse", f"{curve_months['rmse_m'][0]:.2f} m", display=False)
glue(
    "itoiz_shore_gain", with_interval(shore_months["rmse_m"] - curve_months["rmse_m"], "{:+.2f}") + " m", display=False
)
coarse_gain = found[SHORE, "months", COARSER]["rmse_m"] - found[CURVE, "months", COARSER]["rmse_m"]
glue("itoiz_shore_gain_coarse", with_interval(coarse_gain, "{:+.2f}") + " m", display=False)
for name, short in ((CURVE, "curve"), (SHORE, "shore")):
    errors_m = [by_threshold[name, "random", threshold]["rmse_m"][0] for threshold in thresholds]
    glue(f"itoiz_threshold_{short}", f"{min(errors_m):.2f} to {max(errors_m):.2f} m", display=False)
glue("itoiz_forest", f"{found['random forest on band statistics', 'random', 1]['r2'][0]:.2f}", display=False)
glue("itoiz_ridge", f"{found[RIDGE, 'random', 1]['r2'][0]:.2f}", display=False)
for name, short in ((LAST, "last"), (HYPSOMETRY, "terrain")):
    for folds, told in (("random", "dates"), ("months", "blocks")):
        glue(f"itoiz_{short}_{told}", f"{found[name, folds, 1]['rmse_m'][0]:.2f} m", display=False)
mask_gain = found[CURVE, "random", 1]["rmse_m"] - found[UNMASKED, "random", 1]["rmse_m"]
glue("itoiz_mask_gain", with_interval(mask_gain, "{:+.2f}") + " m", display=False)
print(f"{curve_random['r2'][0]:.3f} {curve_months['r2'][0]:.3f} {shore_months['r2'][0]:.3f}")

# %% [markdown]
# ````{table} Real data, archived: pooled scores on Itoiz at 10 m, mean over the repetitions, errors with 95 % intervals from drawing blocks of 30 days anew.
# :name: tab-itoiz-baselines
# ```{glue:md} tab-itoiz-baselines
# :format: myst
# ```
# ````
#
# The curve explains {glue:text}`itoiz_curve_r2` of the variance with an RMSE of {glue:text}`itoiz_curve_rmse`, {glue:text}`itoiz_curve_share` of the range of levels, where dates are dealt one by one; in blocks, {glue:text}`itoiz_curve_months` and {glue:text}`itoiz_curve_months_rmse`
# ({numref}`tab-itoiz-baselines`). Its mask changes its RMSE by {glue:text}`itoiz_mask_gain`. Statistics of the bands that know no shape are far behind: an R² of {glue:text}`itoiz_forest` for the forest, {glue:text}`itoiz_ridge` for ridge regression. But the last known level, without any image, has an RMSE of {glue:text}`itoiz_last_dates`, and in blocks {glue:text}`itoiz_last_blocks`: where the gauge was read a few days ago, an image must tell more than that. The terrain with one known level has {glue:text}`itoiz_terrain_dates` and {glue:text}`itoiz_terrain_blocks`.
# In blocks, the shore-level fit changes the curve's RMSE by {glue:text}`itoiz_shore_gain` at 10 m, and by {glue:text}`itoiz_shore_gain_coarse` at 40 m, where many pixels are half water. An interval that holds zero does not demonstrate a difference; with {glue:text}`itoiz_blocks` blocks, some of a single date, the intervals themselves are rather too narrow.
#
# The threshold is the usual one and was not tuned. How much hangs on it? {numref}`tab-itoiz-thresholds` has others. Over these, with dates dealt one by one, the curve's RMSE goes from {glue:text}`itoiz_threshold_curve`, that of the shore-level fit from {glue:text}`itoiz_threshold_shore`. A threshold could be chosen within the training dates, or scene by scene; neither is tried.
#
# ````{table} Real data, archived: RMSE on Itoiz at 10 m of area-level curve and shore-level fit, by the NDWI above which a pixel is water, in folds of dates and of blocks, with 95 % intervals from drawing blocks of 30 days anew.
# :name: tab-itoiz-thresholds
# ```{glue:md} tab-itoiz-thresholds
# :format: myst
# ```
# ````
#
# ## A network
#
# Now the study's: a residual network of 34 layers, {term}`ResNet-34`, that reads an image and gives a number on a scale where 0 is the lowest and 1 the highest level of the training. Nothing keeps it inside, while the curve cannot leave that range. It gets Itoiz at 40 m, as means over 4 x 4 pixels, so that it can be
# trained without a GPU, in {glue:text}`itoiz_seconds` on a core that had other work: {glue:text}`itoiz_epochs` epochs, batches of {glue:text}`itoiz_batch`, by AdamW and a learning rate that rises and falls once. The study says {glue:text}`itoiz_paper_epochs` epochs in batches of {glue:text}`itoiz_paper_batch` and nothing of optimizer and loss. CAM and CSAM put
# attention to bands, and to bands and places, in front of it. The last row trains a network on what the curve of every pixel leaves.

# %% tags=["hide-input", "remove-output"]
networks = load_runs(ARCHIVE / "itoiz")
of_networks = {key: scores_of(part) for key, part in networks.groupby(["model", "folds"])}
both = runs[runs["date"].isin(networks["date"])]  # scored on the same dates
on_both = {
    (name, folds): scores_of(part)
    for (name, folds), part in both[both["coarser"] == COARSER].groupby(["model", "folds"])
}
rows = []
for name in (LAST, HYPSOMETRY, RIDGE, UNMASKED, CURVE, SHORE):
    for folds in FOLDS:
        rows.append(
            {"model": f"{name}, at 40 m" if name != LAST else name, "folds of": folds, "repeats": f"{repeats}"}
            | table_row(on_both[name, folds])
        )
for name in (*NETWORKS, CORRECTED_BY_NETWORK):
    for folds in FOLDS:
        if (name, folds) in of_networks:
            n = networks.loc[(networks["model"] == name) & (networks["folds"] == folds), "seed"].nunique()
            rows.append({"model": name, "folds of": folds, "repeats": f"{n}"} | table_row(of_networks[name, folds]))
shown = pd.DataFrame(rows)
shown["folds of"] = shown["folds of"].map({"random": "dates", "months": "blocks"})
glue("tab-itoiz-networks", plots.table(shown))

first = networks[(networks["model"] == NETWORK) & (networks["folds"] == "random") & (networks["seed"] == 0)]
baseline = runs[(runs["model"] == CURVE) & (runs["folds"] == "random") & (runs["coarser"] == 1) & (runs["seed"] == 0)]
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), sharex=True, sharey=True)
ends = [used["level_m"].min() - 2, used["level_m"].max() + 2]
for ax, part, title in ((axes[0], baseline, "area-level curve, 10 m"), (axes[1], first, "network, 40 m")):
    ax.plot(ends, ends, color="black", lw=0.8)
    ax.plot(part["level_m"], part["estimate_m"], "o", color="#0072B2", alpha=0.7)
    ax.set(title=title, xlabel="level at the gauge (m)", aspect="equal", xlim=ends, ylim=ends)
axes[0].set_ylabel("estimate from the image (m)")
glue("fig-itoiz-estimates", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
network = of_networks[NETWORK, "random"]
curve_40, unmasked_40, ridge_40 = (on_both[name, "random"] for name in (CURVE, UNMASKED, RIDGE))
glue("itoiz_both", f"{both['date'].nunique()} of {runs['date'].nunique()}", display=False)
glue("itoiz_ridge_40", f"{ridge_40['r2'][0]:.2f}", display=False)
glue("itoiz_network_ridge", with_interval(network["rmse_m"] - ridge_40["rmse_m"], "{:+.1f}") + " m", display=False)
terrain_40 = on_both[HYPSOMETRY, "random"]
glue("itoiz_network_terrain", with_interval(network["rmse_m"] - terrain_40["rmse_m"], "{:+.1f}") + " m", display=False)
lowest = networks.dropna(subset="train_r2").groupby("model")["train_r2"].min()
glue("itoiz_network_r2", f"{network['r2'][0]:.2f}", display=False)
glue("itoiz_network_rmse", f"{network['rmse_m'][0]:.1f} m", display=False)
glue("itoiz_network_behind", with_interval(network["rmse_m"] - curve_40["rmse_m"], "{:+.1f}") + " m", display=False)
if (NETWORK, "months") in of_networks:
    blocked = of_networks[NETWORK, "months"]["r2"][0]
    glue("itoiz_network_months", f"{blocked:.2f}", display=False)
corrected = of_networks[CORRECTED_BY_NETWORK, "random"]["rmse_m"] - unmasked_40["rmse_m"]
ridge_gain = found[CORRECTED_BY_RIDGE, "random", 1]["rmse_m"] - found[UNMASKED, "random", 1]["rmse_m"]
glue("itoiz_corrected", with_interval(corrected, "{:+.2f}") + " m", display=False)
glue("itoiz_corrected_ridge", with_interval(ridge_gain, "{:+.2f}") + " m", display=False)
shore_gain_random = on_both[SHORE, "random"]["rmse_m"] - curve_40["rmse_m"]
glue("itoiz_shore_random", with_interval(shore_gain_random, "{:+.2f}") + " m", display=False)
changes = (shore_gain_random, coarse_gain, shore_months["rmse_m"] - curve_months["rmse_m"], ridge_gain, corrected)
beyond_doubt = sum(np.percentile(change[1:], 97.5) < 0 for change in changes)
glue("itoiz_changes", f"{len(changes)}", display=False)
glue("itoiz_beyond_doubt", f"{beyond_doubt}" if beyond_doubt else "none", display=False)
glue("itoiz_train_r2", f"{lowest[NETWORK]:.2f}", display=False)
fit_seconds = networks.drop_duplicates("run")["seconds"] / 5  # folds
glue("itoiz_seconds", f"{fit_seconds.median():.0f} seconds", display=False)
glue("itoiz_there", f"{networks['run'].nunique()}", display=False)
glue("itoiz_planned", f"{n_planned('itoiz')}", display=False)
glue("itoiz_epochs", f"{SETTINGS['itoiz']['max_epochs']}", display=False)
glue("itoiz_batch", f"{SETTINGS['itoiz']['batch_size']}", display=False)
glue("itoiz_paper_epochs", f"{SETTINGS['paper']['max_epochs']:,}", display=False)
glue("itoiz_paper_batch", f"{SETTINGS['paper']['batch_size']}", display=False)
print(f"{network['r2'][0]:.2f} {lowest[NETWORK]:.2f}", networks["run"].nunique())

# %% [markdown]
# ````{table} Real data, archived: pooled scores on Itoiz at 40 m, on the dates that the networks have too, mean over the repetitions, errors with 95 % intervals from drawing blocks of 30 days anew.
# :name: tab-itoiz-networks
# ```{glue:md} tab-itoiz-networks
# :format: myst
# ```
# ````
#
# ```{glue:figure} fig-itoiz-estimates
# :name: fig-itoiz-estimates
# :alt: Estimated against measured levels of the same dates, by the area-level curve and by the network, with the diagonal.
#
# Real data, archived: estimates of dates that were in no training, first repetition, dates dealt one by one.
# ```
#
# The networks were trained before the screening learned to keep two more dates, so {numref}`tab-itoiz-networks` scores all models on {glue:text}`itoiz_both`. The network reaches an R² of {glue:text}`itoiz_network_r2` and an RMSE of {glue:text}`itoiz_network_rmse`; against the curve on the same coarse images that is {glue:text}`itoiz_network_behind` ({numref}`tab-itoiz-networks`, {numref}`fig-itoiz-estimates`). Ridge regression on statistics of the same images, the work of seconds, has an R² of {glue:text}`itoiz_ridge_40`: against it the network is {glue:text}`itoiz_network_ridge`, and against the terrain with one known level {glue:text}`itoiz_network_terrain`.
# On the dates that train it, its lowest R² is {glue:text}`itoiz_train_r2`: not every network was done learning, which may be a part of its error. It has some twenty images to learn from what water is; the curve was told.
#
# ## Can the curve be beaten?
#
# We tried three additions. A ridge regression on the bands, trained on the errors of the curve of every pixel, changes its RMSE by {glue:text}`itoiz_corrected_ridge` at 10 m; a network trained on them by {glue:text}`itoiz_corrected` at 40 m. The shore-level fit, which asks where the water is and not how much,
# changes the curve's by {glue:text}`itoiz_shore_random` at 40 m. Of the {glue:text}`itoiz_changes` changes in this chapter, {glue:text}`itoiz_beyond_doubt` lies below zero with its whole interval. With so few months the curve is hard to beat, and hard to prove beaten.
#
# ## What a known cloud hides
#
# *Which model is safer under clouds that the mask knows?* What is masked is unknown, neither land nor water. We lay the real masks of Itoiz's cloudy dates over its clear ones, whose levels are known, and estimate these with models that were trained on other months.

# %% tags=["hide-input", "remove-output"]
clouded = load_runs(ARCHIVE / "itoiz_clouds")
clouded["error_m"] = clouded["estimate_m"] - clouded["level_m"]
clouded["inside"] = clouded["level_m"].between(clouded["low_m"], clouded["high_m"])
clouded["hidden"] = pd.cut(
    clouded["hidden"], [-1, 0, 0.1, 0.3, 0.6, 1], labels=["nothing", "up to 10 %", "10 to 30 %", "30 to 60 %", "more"]
)
rows = []
for (hidden, model_name), part in clouded.groupby(["hidden", "model"], observed=True):
    rows.append(
        {
            "hidden of where water counts": hidden,
            "model": model_name,
            "estimates": f"{part['error_m'].notna().sum():,} of {len(part):,}",
            "RMSE (m)": f"{np.sqrt((part['error_m'] ** 2).mean()):.1f}",
            "bias (m)": f"{part['error_m'].mean():+.1f}",
            "largest error (m)": f"{part['error_m'].abs().max():.1f}",
            "inside the 90 % interval": f"{part.loc[part['error_m'].notna(), 'inside'].mean():.0%}",
        }
    )
glue("tab-itoiz-clouds", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
half = clouded[clouded["hidden"].isin(["30 to 60 %", "more"])]
for name in ("curve", "shore"):
    worst_m = half.loc[half["model"] == name, "error_m"].abs().max()
    glue(f"itoiz_hidden_{name}", f"{worst_m:.1f} m", display=False)
    print(name, f"{worst_m:.1f}", clouded.loc[clouded["model"] == name, "seed"].nunique())

# %% [markdown]
# ````{table} Real data, archived: levels of clear dates of Itoiz at 10 m under the real clouds of its other dates, by how much these hide, all seeds and masks together. The dates and masks are few and combined many times, so the rows are no independent samples.
# :name: tab-itoiz-clouds
# ```{glue:md} tab-itoiz-clouds
# :format: myst
# ```
# ````
#
# Where 30 % or more is hidden, the curve is off by up to {glue:text}`itoiz_hidden_curve`, the shore-level fit by up to {glue:text}`itoiz_hidden_shore` ({numref}`tab-itoiz-clouds`). The curve has to guess the water under a cloud; the shore-level fit only asks the pixels that it sees. So `millpond level fit` takes the shore-level fit unless told otherwise. One reservoir decided that. Where the shore hardly moves, as at [Gerle Lake's twin](02_satellite_and_split.ipynb), it is the worse choice.
#
# ## How sure is a level?
#
# An estimate without an interval is of little use. The package keeps, for each fold, a model without it, and takes from the errors of the held-out dates how far a new one may be off
# ({term}`CV+`, {cite:p}`barber2021`). It also refuses: where the water is too small, or its area or the image is outside of what it was trained on.

# %%
scenes = simulate(CHARACTERS["LYS"], n=30)
model = fit_level_model(scenes[:-4], "shore", n_folds=3)
estimates = model.estimate(scenes[-4:], coverage=0.8)

# %% tags=["hide-input", "remove-output"]
told = pd.DataFrame(
    {
        "date": [f"{date:%Y-%m-%d}" for date in estimates.index],
        "gauge (m)": [f"{level:.1f}" for level in scenes.level_m[-4:]],
        "estimate (m)": estimates["level_m"].map("{:.1f}".format).replace("nan", "—"),
        "interval (m)": [
            f"{low:.1f} to {high:.1f}" if low == low else "—" for low, high in estimates[["low_m", "high_m"]].to_numpy()
        ],
        "abstains": estimates["abstains"].replace("", "—"),
    }
)
glue("tab-itoiz-told", plots.table(told))

# %% [markdown]
# ````{table} Simulated, live: what a model of all but the last four of 30 dates says of these, with intervals meant to hold 80 %.
# :name: tab-itoiz-told
# ```{glue:md} tab-itoiz-told
# :format: myst
# ```
# ````
#
# An interval takes its width from all held-out errors, and those at low water and in haze are large ({numref}`tab-itoiz-told`). Here whole blocks of 30 days are held out, and the dates are later than all others: for such the method, {term}`CV+`, guarantees nothing.
#
# ## Your own reservoir
#
# All this is one command. A folder has a GeoTIFF a date, whose name holds the date and whose bands are named; the levels are a file of CDEC, USGS or ECCC, or a CSV. `millpond level download` gets both; [the study's page](../../book/level.md) tells how.
#
# ```bash
# millpond level fit --scenes itoiz/sentinel2_l2a --levels itoiz/levels.csv \
#   --out model
# millpond level predict --scenes new/sentinel2_l2a --model model \
#   --out estimates.csv
# millpond level report --scenes new/sentinel2_l2a --model model --out report
# ```
#
# `--model shore` fits the shore, `--model network` the network, which takes longer. `predict` writes a level above the gauge's datum, an interval, and for each date without a level the reason.
# `report` adds a picture of the series and of area against level.
#
# ## What this chapter cannot say
#
# - Of {glue:text}`itoiz_planned` planned repetitions of networks {glue:text}`itoiz_there` are archived. They were trained with {glue:text}`itoiz_both` dates that the other models have.
# - One reservoir, one drawdown. The dates are few, and the rule that drops some was chosen on them.
# - Itoiz is large. At a small reservoir a pixel is a larger part of the water, and area tells less.
# - There is no red band and no radar here.
# - With sixteen pixels averaged into one, the network saw less than the curve at 10 m. The table compares it with the curve on the same images.
#
# ## Exercises
#
# 1. Take `max_cloud=0.3` instead of a tenth. Which dates come back, and what do they cost?
# 2. Fit the curve to dates of falling water only, and estimate the rising ones. Is there a hysteresis?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. `read_scenes(datasets.path("itoiz"), max_cloud=0.3).dropped` tells. What the mask lets pass then, the second rule finds.
# 2. The dates farthest off are hazy ones at low water; neighbours of five days, under the same sun, lie near the curve. That is no hysteresis.
# ```
#
# The works cited are listed under [references](../../book/references.md).
