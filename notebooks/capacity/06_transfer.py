# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Transfer and estimation
#
# *Can reservoirs that were measured in one basin tell the capacity of those in another, and how sure is the answer?*
#
# That is what all this is for. The study {cite:p}`hydrology2022` trains its PSO-ELM on the measured reservoirs of a reference and a target basin and estimates
# the unmeasured ones of the target basin. As a check it trains on the reference basin alone and tests on the few that are measured in the target basin. Nobody can say
# how good its estimates of the others are: they have no truth. Ours have, since our reservoirs are virtual.
#
# **You will learn** how far a score on a dozen reservoirs can be trusted, what a change of terrain does to a model, and how to give an
# estimate an interval that keeps its promise. **You need** [the factors](02_terrain.ipynb) and [the models](05_scenarios.ipynb).
# **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LightSource
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from myst_nb import glue

from millpond import plots, published
from millpond.capacity.estimation import COVERAGE, fit_capacity_model
from millpond.capacity.scenarios import COMPARED, fit_and_estimate, scenarios, scores
from millpond.capacity.study import areas, network
from millpond.experiment import load_runs, results_dir

plots.use_style()
ARCHIVE = results_dir() / "capacity" / "full"
UNITS = {"km2": "km²", "km": "km", "deg": "degree"}
PLACES = {"jacksboro": "Jacksboro", "bigtujunga": "Big Tujunga", "robit": "Robit"}


def claim(quantity):
    return published.value("capacity_text_claims", quantity=quantity)


# %% [markdown]
# ## Two areas
#
# The bundled hills are cut in two halves. The eastern one is the reference area, with as many measured reservoirs as the study's; the western one
# is the target area, again with the study's numbers: few that are measured, many that are not. Dams are built at random places where
# they touch no other; water is seen at a random level.

# %%
elevation, net = network("jacksboro")
# one row a reservoir: the factors, capacity_1e6_m3, and known for the target
reference, target, water = areas(0)
known, unmeasured = target[target["known"]], target[~target["known"]]

# %% tags=["hide-input", "remove-output"]
shade = LightSource(315, 45).hillshade(elevation, vert_exag=2, dx=27, dy=27)
kinds = {
    "reference, measured": (reference, "#0072B2", "o"),
    "target, measured": (known, "#D55E00", "s"),
    "target, to estimate": (unmeasured, "#F0E442", "^"),
}
fig, ax = plt.subplots(figsize=(7.5, 6.2))
ax.imshow(shade, cmap="gray", alpha=0.8)
for label, (part, color, marker) in kinds.items():
    ax.plot(part["outlet_col"], part["outlet_row"], marker, ms=5, mec="black", mew=0.5, color=color, label=label)
ax.axvline(net.shape[1] // 2, color="black", lw=1.5)
ax.set_axis_off()
fig.legend(loc="outside upper center", ncols=3)
glue("fig-transfer-map", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
glue("transfer_n_reference", f"{len(reference)}", display=False)
glue("transfer_n_known", f"{len(known)}", display=False)
glue("transfer_n_unmeasured", f"{len(unmeasured)}", display=False)
for name, part in (("reference", reference), ("target", target)):
    glue(f"transfer_slope_{name}", f"{part['Ssc_deg'].median():.0f}°", display=False)
    glue(f"transfer_relief_{name}", f"{part['Rsc_m'].median():.0f} m", display=False)
print(len(reference), len(known), len(unmeasured), round(float(unmeasured["capacity_1e6_m3"].median()), 2))

# %% [markdown]
# ```{glue:figure} fig-transfer-map
# :name: fig-transfer-map
# :alt: Shaded relief of the bundled hills, cut in two by a line. Measured reservoirs of the reference area fill the right half; in the left half a few squares mark measured reservoirs among many triangles to estimate.
#
# Simulated dams on real terrain: {glue:text}`transfer_n_reference` reservoirs of the reference area, {glue:text}`transfer_n_known` measured ones of the target area and {glue:text}`transfer_n_unmeasured` to estimate (counterpart of the study's Fig. 1).
# ```
#
# {numref}`fig-transfer-map` shows them. The halves share one DEM, not one terrain: the median sub-catchment has a mean slope of {glue:text}`transfer_slope_reference`
# and a relief of {glue:text}`transfer_relief_reference` in the reference area, {glue:text}`transfer_slope_target` and {glue:text}`transfer_relief_target` in the target area.
#
# ## From one area to the other
#
# A model sees the reference area alone, with the study's five best factors. The measured reservoirs of the target area are its test, as in the study.

# %%
features = scenarios()[5]
carried = {
    model: fit_and_estimate(model, reference, target, features, random_state=0)
    for model in ("PSO-ELM", "power law on Aws")
}

# %% tags=["hide-input", "remove-output"]
true = target["capacity_1e6_m3"].to_numpy()
few = target["known"].to_numpy()
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.9), sharey=True)
for ax, (model, estimated) in zip(axes, carried.items(), strict=True):
    ax.loglog(true[~few], estimated[~few], "o", ms=4, alpha=0.5, color="gray", label="all of the target area")
    ax.loglog(true[few], estimated[few], "s", ms=6, color="#D55E00", mec="black", mew=0.5, label="the measured few")
    ax.plot([0.08, 12], [0.08, 12], color="black", lw=0.8)
    ax.set_title(model)
    ax.set_xlabel("true capacity (million m³)")
axes[0].set_ylabel("estimated (million m³)")
axes[0].legend()
glue("fig-transfer-scatter", fig)
plt.close(fig)

# %% tags=["hide-input", "remove-output"]
archived = load_runs(ARCHIVE / "transfer")
east_west = archived[archived["reference"] == "jacksboro, east"]


SCORES = {"MAPE (%)": ("mape_percent", "{:.0f}"), "squared correlation": ("r_squared", "{:.2f}")}
rows = [
    {
        "model": "PSO-ELM, published",
        "MAPE (%), the few": f"{claim('MAPE, transfer from reference to study area'):.1f}",
        "squared correlation, the few": f"{claim('R2, transfer from reference to study area'):.2f}",
        "MAPE (%), all": "",
        "squared correlation, all": "",
        "R² of logs, all": "",
    }
]
for model in COMPARED:
    part = {name: runs for name, runs in east_west[east_west["model"] == model].groupby("scored_on")}
    row = {"model": model}
    for scored_on, told in (("known", "the few"), ("all", "all")):
        for title, (column, form) in SCORES.items():
            row[f"{title}, {told}"] = plots.median_and_range(part[scored_on][column], form)
    row["R² of logs, all"] = plots.median_and_range(part["all"]["r2_log"], "{:.2f}")
    rows.append(row)
glue("tab-transfer-areas", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
swarm = east_west[east_west["model"] == "PSO-ELM"].pivot(index="seed", columns="scored_on", values="mape_percent")
surface = east_west[east_west["model"] == "power law on Aws"].pivot(
    index="seed", columns="scored_on", values="mape_percent"
)
few_low, few_high = swarm["known"].quantile([0.025, 0.975])
published_mape = claim("MAPE, transfer from reference to study area")
as_good = (swarm["known"] <= published_mape).sum()
glue("transfer_sets", f"{len(swarm)}", display=False)
glue("transfer_published_mape", f"{published_mape:.1f} %", display=False)
in_reach = few_low <= published_mape <= few_high
glue("transfer_reach", "in reach" if in_reach else "not reached", display=False)
glue("transfer_few_range", f"{few_low:.0f} % to {few_high:.0f} %", display=False)
glue("transfer_swarm_all", f"{swarm['all'].median():.0f} %", display=False)
glue("transfer_surface_all", f"{surface['all'].median():.0f} %", display=False)
glue("transfer_swarm_wins", f"{(swarm['all'] < surface['all']).sum()}", display=False)
glue("transfer_as_good", f"{as_good or 'none'}", display=False)
print(len(swarm), round(swarm["all"].median()), round(surface["all"].median()), as_good)

# %% [markdown]
# ```{glue:figure} fig-transfer-scatter
# :name: fig-transfer-scatter
# :alt: Estimated against true capacity in the target area for PSO-ELM and a power law on the water surface. Both clouds lie along the diagonal; the few squares alone could lie anywhere in them.
#
# Simulated dams on real terrain: estimates in the target area by models of the reference area (counterpart of the study's Fig. 9).
# ```
#
# ````{table} Simulated dams on real terrain, archived: models of the eastern half scored in the western half, on as few reservoirs as the study had and on all; median and 95 % range over sets of dams. The first row is the study's, on real reservoirs.
# :name: tab-transfer-areas
# ```{glue:md} tab-transfer-areas
# :format: myst
# ```
# ````
#
# {numref}`fig-transfer-scatter` is one set of dams, {numref}`tab-transfer-areas` has {glue:text}`transfer_sets`. **A dozen reservoirs cannot tell.** With the same model and
# the same areas, the MAPE on the few runs over {glue:text}`transfer_few_range`. The study's {glue:text}`transfer_published_mape` is {glue:text}`transfer_reach`, and reached in
# {glue:text}`transfer_as_good` of the sets. On all reservoirs of the target area PSO-ELM errs by {glue:text}`transfer_swarm_all` in the median, the power law on the
# water surface by {glue:text}`transfer_surface_all`; PSO-ELM is better in {glue:text}`transfer_swarm_wins` of the {glue:text}`transfer_sets` sets.
#
# ## From one terrain to another
#
# Tennessee, California and Ethiopia differ more than the halves of a tile. Here a model of one terrain estimates the reservoirs of another; on the diagonal it
# estimates its own, by folds that leave out whole sub-basins.

# %% tags=["hide-input", "remove-output"]
between = archived[archived["reference"] != "jacksboro, east"]
shown = ("PSO-ELM", "power law", "power law on Aws")
fig, axes = plt.subplots(1, 3, figsize=(7.5, 3.2), sharey=True)
for ax, model in zip(axes, shown, strict=True):
    grid = between[between["model"] == model].groupby(["reference", "target"])["mape_percent"].median().unstack()
    grid = grid.loc[list(PLACES), list(PLACES)]
    picture = ax.imshow(grid, vmin=20, vmax=100, cmap="cividis")
    for (i, j), value in np.ndenumerate(grid.to_numpy()):
        ax.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 60 else "black")
    ax.set_xticks(range(3), PLACES.values(), rotation=30, ha="right")
    ax.set_yticks(range(3), PLACES.values())
    ax.set_title(model)
    ax.grid(False)
axes[0].set_ylabel("model of")
axes[1].set_xlabel("estimates for")
fig.colorbar(picture, ax=axes, label="MAPE (%)", shrink=0.8, extend="max")
glue("fig-transfer-terrains", fig)
plt.close(fig)

rows = []
for (source, aim), part in between.groupby(["reference", "target"], sort=False):
    row = {"model of": PLACES[source], "estimates for": PLACES[aim]}
    for model in shown:
        own = part[part["model"] == model]
        row[f"{model}: MAPE (%)"] = plots.median_and_range(own["mape_percent"], "{:.0f}")
        row[f"{model}: total"] = f"{own['total_ratio'].median():.2f}"
    rows.append(row)
glue("tab-transfer-terrains", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
own = between[between["reference"] == between["target"]].groupby("model")["mape_percent"].median()
other = between[between["reference"] != between["target"]].groupby("model")["mape_percent"].median()
for model, short in (("PSO-ELM", "swarm"), ("power law on Aws", "surface"), ("power law", "law")):
    glue(f"transfer_{short}_own", f"{own[model]:.0f} %", display=False)
    glue(f"transfer_{short}_other", f"{other[model]:.0f} %", display=False)
best = other[list(COMPARED)].idxmin()
worst = between[(between["reference"] == "robit") & (between["target"] == "bigtujunga")]
worst = worst.groupby("model")["mape_percent"].median()
glue("transfer_robit_swarm", f"{worst['PSO-ELM']:.0f} %", display=False)
glue("transfer_robit_surface", f"{worst['power law on Aws']:.0f} %", display=False)
glue("transfer_best_other", best, display=False)
print(own.round().astype(int).to_dict())
print(other.round().astype(int).to_dict())

# %% [markdown]
# ```{glue:figure} fig-transfer-terrains
# :name: fig-transfer-terrains
# :alt: Three matrices of MAPE, model's terrain against target's terrain. Most values lie between a quarter and a half. The models of Robit err far more in the other two terrains, except for the power law on the water surface.
#
# Simulated dams on real terrain, archived: median over the sets of the MAPE; rows are the terrain of the model, columns that of the reservoirs.
# ```
#
# ````{table} Simulated dams on real terrain, archived: MAPE, median and 95 % range over sets of dams, and the sum of the estimates over the true sum.
# :name: tab-transfer-terrains
# ```{glue:md} tab-transfer-terrains
# :format: myst
# ```
# ````
#
# At home PSO-ELM errs by {glue:text}`transfer_swarm_own`, abroad by {glue:text}`transfer_swarm_other`; the power law on the water surface goes from
# {glue:text}`transfer_surface_own` to {glue:text}`transfer_surface_other`, that on all five factors from {glue:text}`transfer_law_own` to {glue:text}`transfer_law_other`
# ({numref}`fig-transfer-terrains`, {numref}`tab-transfer-terrains`). The worst is a model of Robit, the smallest terrain, in Big Tujunga: with five factors
# PSO-ELM errs by {glue:text}`transfer_robit_swarm` there, the power law on the surface by {glue:text}`transfer_robit_surface`. More factors are more ways to leave the range
# of the training. Abroad the smallest median MAPE is that of: {glue:text}`transfer_best_other`.
# Between [American states](04_real_dams.ipynb) real dams say it too: the ranking of reservoirs carries over, the scale need not.
#
# ## The unmeasured ones, with intervals
#
# An estimate without an interval is not an answer. We deal the measured reservoirs of both areas into folds, whole sub-basins at a time, and fit a
# model without each. How far each model is off on its own fold says how far it will be off elsewhere. CV+ {cite:p}`barber2021` turns that into intervals.
# With $\hat\mu_{-k}$ the model without fold $k$, on the logarithm of the capacity, and $R_i = |\log y_i - \hat\mu_{-k(i)}(x_i)|$, the interval at $x$ reaches
#
# $$
# \begin{aligned}
# \text{from} \quad & \lfloor \alpha (n+1) \rfloor\text{-th smallest of } \hat\mu_{-k(i)}(x) - R_i \\
# \text{to} \quad & \lceil (1-\alpha)(n+1) \rceil\text{-th smallest of } \hat\mu_{-k(i)}(x) + R_i .
# \end{aligned}
# $$ (eq-cv-plus)
#
# For reservoirs exchangeable with the measured ones, and folds of equal size, it is proven to hold at least $1 - 2\alpha$ of the capacities, less a small term, whatever the
# model, and it usually holds about $1 - \alpha$. Our folds are unequal and the two areas differ; so we count.

# %%
measured = pd.concat([reference, known])
model = fit_capacity_model(
    measured,
    features=features,
    model="PSO-ELM",
    groups=measured["basin"],
    n_folds=5,
    max_iterations=60,
)
# capacity_1e6_m3 (a median), mean_1e6_m3, low_1e6_m3, high_1e6_m3, extrapolates, reason
estimates = model.estimate(unmeasured)
# what they hold together: mean_1e6_m3, low_1e6_m3, high_1e6_m3
total = model.total(unmeasured)

# %% tags=["hide-input", "remove-output"]
truth = unmeasured["capacity_1e6_m3"]
inside = truth.between(estimates["low_1e6_m3"], estimates["high_1e6_m3"])
outside_range = estimates["extrapolates"] != ""
ordered = estimates.sort_values("capacity_1e6_m3")
x = np.arange(len(ordered))
fig, (ax, *below) = plt.subplots(
    1 + len(features), 1, figsize=(7.5, 8), sharex=True, height_ratios=[3.2, *[1] * len(features)]
)
ax.vlines(x, ordered["low_1e6_m3"], ordered["high_1e6_m3"], color="#88AACC", lw=2)
ax.plot(x, ordered["capacity_1e6_m3"], ".", color="#0072B2", ms=5)
hit = inside[ordered.index].to_numpy()
ax.plot(x[hit], truth[ordered.index][hit], "o", mfc="none", color="black", ms=4)
ax.plot(x[~hit], truth[ordered.index][~hit], "x", color="#D55E00", ms=6, mew=2)
ax.set_yscale("log")
ax.set_ylabel("capacity (million m³)")
ax.legend(
    handles=[
        Line2D([], [], color="#88AACC", lw=2, label=f"{COVERAGE:.0%} interval"),
        Line2D([], [], color="#0072B2", marker=".", ls="", label="estimate"),
        Line2D([], [], color="black", marker="o", mfc="none", ls="", label="truth, inside"),
        Line2D([], [], color="#D55E00", marker="x", ls="", mew=2, label="truth, outside"),
    ],
    ncols=2,
)
for panel, factor in zip(below, features, strict=True):
    values = unmeasured.loc[ordered.index, factor]
    flagged = estimates.loc[ordered.index, "extrapolates"].str.split().map(lambda names, f=factor: f in names)
    panel.plot(x, values, ".", color="gray", ms=4)
    panel.plot(x[flagged], values[flagged], "D", color="#D55E00", ms=4)
    if not factor.endswith("deg"):
        panel.set_yscale("log")
        panel.yaxis.set_minor_formatter(NullFormatter())
    short, unit = factor.split("_")
    panel.set_ylabel(f"{short}\n({UNITS[unit]})", fontsize=8)
below[-1].set_xlabel("unmeasured reservoirs, by their estimate")
glue("fig-transfer-estimates", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
found = scores(truth.to_numpy(), estimates["capacity_1e6_m3"].to_numpy())
width = (estimates["high_1e6_m3"] / estimates["low_1e6_m3"]).median()
low, high = estimates["capacity_1e6_m3"].agg(["min", "max"])
glue("estimate_coverage_wanted", f"{COVERAGE:.0%}", display=False)
glue("estimate_coverage", f"{inside.mean():.0%}", display=False)
glue("estimate_width", f"{width:.1f}", display=False)
glue("estimate_mape", f"{found['mape_percent']:.0f} %", display=False)
glue("estimate_range", f"{low:.2f} to {high:.2f} million m³", display=False)
glue("estimate_true_range", f"{truth.min():.2f} to {truth.max():.2f} million m³", display=False)
glue(
    "estimate_published_range",
    f"{claim('smallest estimated capacity'):.2f} to {claim('largest estimated capacity'):.2f} million m³",
    display=False,
)
glue("estimate_extrapolates", f"{outside_range.sum() or 'none'}", display=False)
print(len(estimates), bool(inside.mean() > 0.8), int(outside_range.sum()))

# %% tags=["remove-cell"]
held = truth.sum()
glue("total_medians", f"{estimates['capacity_1e6_m3'].sum() / held:.2f}", display=False)
glue("total_means", f"{total.mean_1e6_m3 / held:.2f}", display=False)
glue("total_estimated", f"{total.mean_1e6_m3:.0f} million m³", display=False)
glue("total_interval", f"{total.low_1e6_m3:.0f} to {total.high_1e6_m3:.0f}", display=False)
glue("total_true", f"{held:.0f}", display=False)
glue("total_smearing", f"{model.smearing_factor:.2f}", display=False)
glue("total_held", "inside" if total.low_1e6_m3 <= held <= total.high_1e6_m3 else "outside", display=False)

# %% tags=["hide-input", "remove-output"]
intervals = load_runs(ARCHIVE / "intervals")
rows = []
for (trained_on, name), part in intervals.groupby(["trained_on", "model"], sort=False):
    rows.append(
        {
            "trained on": trained_on,
            "model": name,
            "MAPE (%)": plots.median_and_range(part["mape_percent"], "{:.0f}"),
            "truth inside the interval": plots.median_and_range(part["coverage"] * 100, "{:.0f} %"),
            "inside, no extrapolation": f"{part['coverage_inside'].median():.0%}",
            "upper / lower bound": f"{part['width_ratio'].median():.1f}",
            "marked as extrapolation": f"{part['extrapolating'].median():.0%}",
        }
    )
glue("tab-transfer-intervals", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
coverage = intervals.groupby(["trained_on", "model"])["coverage"].median()
width_ratio = intervals.groupby(["trained_on", "model"])["width_ratio"].median()
glue("intervals_sets", f"{intervals['seed'].nunique()}", display=False)
for trained_on, short in zip(("both areas", "reference area", "another terrain"), ("both", "area", "far"), strict=True):
    glue(f"intervals_{short}", f"{coverage[trained_on, 'PSO-ELM']:.0%}", display=False)
    glue(f"intervals_{short}_surface", f"{coverage[trained_on, 'power law on Aws']:.0%}", display=False)
glue("intervals_width_swarm", f"{width_ratio['both areas', 'PSO-ELM']:.1f}", display=False)
glue("intervals_width_surface", f"{width_ratio['both areas', 'power law on Aws']:.1f}", display=False)
print(coverage.round(2).to_string())

# %% [markdown]
# ```{glue:figure} fig-transfer-estimates
# :name: fig-transfer-estimates
# :alt: Above, estimates in rising order with intervals; most true capacities, drawn as circles, lie inside, a few crosses outside. Below, the five factors of the same reservoirs; a few points are marked as lying outside the range of the training.
#
# Simulated dams on real terrain: estimates of the unmeasured reservoirs with {glue:text}`estimate_coverage_wanted` intervals and the truth, and their factors; orange diamonds lie outside the range of the measured reservoirs (counterpart of the study's Fig. 10).
# ```
#
# In {numref}`fig-transfer-estimates` the estimates reach from {glue:text}`estimate_range`; the true capacities from {glue:text}`estimate_true_range`. The study's
# reach from {glue:text}`estimate_published_range`, which it calls rational because that lies within its limits for small reservoirs. The median of
# the measured ones, for all, would pass that test too. Here {glue:text}`estimate_coverage` of the truths lie inside intervals meant for
# {glue:text}`estimate_coverage_wanted`, and the MAPE is {glue:text}`estimate_mape`. The upper bound is {glue:text}`estimate_width` times the lower one in the median:
# this is how well five numbers know a reservoir. {glue:text}`estimate_extrapolates` of the reservoirs have a factor outside the range of the training and are marked.
#
# These estimates are medians: half of the capacities should lie above, half below. Medians do not add up, since what lies above lies farther off in million m³.
# Duan's smearing estimate {cite:p}`duan1983` multiplies a median by the mean ratio of known to held-out estimated capacities, here {glue:text}`total_smearing`. The medians of
# the unmeasured reservoirs add up to {glue:text}`total_medians` times the truth, the means to {glue:text}`total_means`: {glue:text}`total_estimated`, with an interval of
# {glue:text}`total_interval`, and the true {glue:text}`total_true` lie {glue:text}`total_held`. For one reservoir take the median, for a total the means.
#
# Does the promise hold in other draws, and where it cannot be expected to?
#
# ````{table} Simulated dams on real terrain, archived: intervals scored on reservoirs that no model saw; median and 95 % range over sets of dams.
# :name: tab-transfer-intervals
# ```{glue:md} tab-transfer-intervals
# :format: myst
# ```
# ````
#
# Over {glue:text}`intervals_sets` sets of dams, with some measured reservoirs of the target area in the training, the intervals hold {glue:text}`intervals_both` in the median, without any
# {glue:text}`intervals_area`, and on another terrain {glue:text}`intervals_far` ({numref}`tab-transfer-intervals`). The proof wants new reservoirs like those of the
# training, and another terrain is not like this one. The intervals of the power law on the water surface are as honest
# ({glue:text}`intervals_both_surface`), with a ratio of {glue:text}`intervals_width_surface` between their bounds instead of {glue:text}`intervals_width_swarm`.
#
# ## With your own reservoirs
#
# ```bash
# millpond capacity factors --dem dem.tif --water water.gpkg --out factors.gpkg
# millpond capacity fit factors.gpkg --out model.json
# millpond capacity estimate factors.gpkg --model model.json --out estimates.gpkg --map map.png
# ```
#
# The first command measures the factors and keeps the columns of the water bodies. The second takes the rows whose column `capacity_1e6_m3` is filled, and tells how
# well the model did on reservoirs that it had not seen. The third gives capacities with intervals, and marks where they extrapolate; it also tells what the
# reservoirs without a known capacity hold together. `millpond capacity show model.json` tells what the model consists of.
#
# ## What this chapter cannot say
#
# - All these dams are virtual, built by one rule on all three terrains. Real builders differ from place to place; see
#   [real dams](04_real_dams.ipynb).
# - Sets of dams on one terrain share the terrain and many sites, so the ranges are too narrow.
# - Jacksboro's ground is known at 90 m and interpolated, the others' at 30 m: slopes and small valleys are smoother there. What changes from terrain to terrain may partly be
#   the DEM.
# - An interval knows nothing of errors in the water mask or the DEM; here both are perfect.
#
# ## Exercises
#
# 1. Fit without the measured reservoirs of the target area. Do the intervals still hold?
# 2. Take `coverage=0.5`. How often should the truth lie outside, and how often does it?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. Replace `measured` by `reference`, and estimate all of `target`. Compare with the row "reference area" of the table.
# 2. `model.estimate(unmeasured, coverage=0.5)`: half of them, give or take the spread of a coin tossed as often as there are reservoirs.
# ```
#
# The works cited are listed under [references](../../book/references.md).
