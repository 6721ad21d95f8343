# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Borrowing data
#
# *Can images of other reservoirs help where one's own are few, or replace them?*
#
# A network needs dates with levels. Brush Creek has {glue:text}`borrow_published_n` that train. The level study {cite:p}`wu2023` adds those of other reservoirs, as depths instead of levels, since each gauge has its own datum. It reports that one neighbour helps a little and that more harm. And most reservoirs of the world have no gauge at all;
# there a network would have to know a reservoir that it has never seen.
#
# **You will learn** what borrowed dates do, how many of one's own are needed, what a model is worth on a strange reservoir, and how the errors compare with other methods.
# **You need** [the second chapter](02_satellite_and_split.ipynb). **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from millpond import plots, published
from millpond.experiment import load_runs, results_dir
from millpond.level import random_split
from millpond.level.baselines import AreaLevelRegressor, ShoreLevelRegressor
from millpond.level.estimation import BLOCK_DAYS
from millpond.level.evaluation import scores_of_run, with_interval, with_spread
from millpond.level.study import (
    CALIFORNIA,
    CURVE,
    ELSEWHERE,
    N_EACH,
    NETWORK,
    NETWORKS,
    NETWORKS_BEST,
    SHORE,
    depth_m,
    grids_of,
)
from millpond.level.twin import CHARACTERS, simulate

plots.use_style()
ARCHIVE = results_dir() / "level" / "full"
FOREST, RIDGE = "random forest on band statistics", "ridge on band statistics"
COLORS = {
    NETWORK: "#0072B2",
    CURVE: "#E69F00",
    SHORE: "#009E73",
    RIDGE: "#CC79A7",
    FOREST: "#56B4E9",
    "mean level": "#888888",
}

# %% [markdown]
# ## How many dates?
#
# The study's discussion asks for this curve and does not have it. {numref}`fig-borrow-size` has it for the twin of Lyons: the models on a part of the training dates, always tested on the same ones.

# %% tags=["hide-input", "remove-output"]
sizes = load_runs(ARCHIVE / "training_size").dropna(subset="r2")
fig, ax = plt.subplots(figsize=(6, 3.6))
for model, color in COLORS.items():
    part = sizes[sizes["model"] == model].groupby("n_train")["rmse_m"].agg(["mean", "min", "max"])
    ax.plot(part["mean"], "-o", ms=4, color=color, label=model)
    ax.fill_between(part.index, part["min"], part["max"], color=color, alpha=0.15, lw=0)
ax.set(xscale="log", yscale="log", xlabel="dates that train", ylabel="RMSE on test dates (m)")
ticks = sorted(sizes["n_train"].unique())
ax.set_xticks(ticks, [f"{n:.0f}" for n in ticks])
ax.minorticks_off()
ax.legend(fontsize=8)
glue("fig-borrow-size", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
by_size = sizes.pivot_table(index="n_train", columns="model", values="rmse_m")
fewest, most = by_size.index.min(), by_size.index.max()
glue("borrow_fewest", f"{fewest:.0f}", display=False)
glue("borrow_most", f"{most:.0f}", display=False)
glue("borrow_network_fewest", f"{by_size.loc[fewest, NETWORK]:.1f} m", display=False)
glue("borrow_network_most", f"{by_size.loc[most, NETWORK]:.1f} m", display=False)
glue("borrow_shore_fewest", f"{by_size.loc[fewest, SHORE]:.1f} m", display=False)
glue("borrow_shore_most", f"{by_size.loc[most, SHORE]:.1f} m", display=False)
print(by_size[[NETWORK, SHORE]].round(1).to_dict())

# %% [markdown]
# ```{glue:figure} fig-borrow-size
# :name: fig-borrow-size
# :alt: Curves of the error against the number of training dates for six models;
#
# Simulated reservoir, archived: RMSE on the test dates of Lyons against the number of training dates, Sentinel-2; mean and range over the seeds. The network has as many epochs throughout, so fewer dates also mean fewer steps.
# ```
#
# With {glue:text}`borrow_fewest` dates the network is off by {glue:text}`borrow_network_fewest` and the shore-level fit by {glue:text}`borrow_shore_fewest`; with {glue:text}`borrow_most` by {glue:text}`borrow_network_most` and {glue:text}`borrow_shore_most`.
#
# ## Neighbours' dates, as depths
#
# Now Brush Creek, in the study's order: its own training dates; with all of Buck Island's; with Gerle Lake's too; with Lyons' too. The network is the one with CAM, the study's best. {numref}`tab-borrow-region` and {numref}`fig-borrow-region` have both.

# %% tags=["hide-input", "remove-output"]
own = load_runs(ARCHIVE / "attention")
own = own[(own["reservoir"] == "BHC") & (own["model"] == NETWORKS_BEST)].dropna(subset="r2")
regional = load_runs(ARCHIVE / "regionalization").dropna(subset="r2")
table5 = published.load("wu2023_table5_regionalization_bhc").set_index("stage")
borrowed = load_runs(ARCHIVE / "depth_baselines").dropna(subset="r2")
strangers = borrowed[borrowed["own"].astype(str) == "False"]
simple = borrowed.drop(strangers.index)
alone = load_runs(ARCHIVE / "twin_baselines").dropna(subset="r2")
if "without" in alone:
    alone = alone[alone["without"].isna()]
alone = alone[(alone["reservoir"] == "BHC") & (alone["sensor"] == "sentinel2") & (alone["sampling"] == "random")]
STAGES = {"BHC alone": None, "+ BIL": "BIL", "+ BIL, GLL": "BIL+GLL", "+ BIL, GLL, LYS": "BIL+GLL+LYS"}


def stage_of(frame: pd.DataFrame, first: pd.DataFrame, sources: str | None) -> pd.DataFrame:
    if sources is None:
        return first.set_index("seed")
    return frame[(frame["target"] == "BHC") & (frame["sources"] == sources)].set_index("seed")


rows = []
for stage, sources in STAGES.items():
    part = stage_of(regional, own, sources)
    stated = {"BHC alone": "before", "+ BIL": "after"}.get(stage)
    row = {"trained on": stage, "dates": f"{part['n_train'].iloc[0]:,.0f}"}
    row["R², published"] = f"{table5.loc[stated, 'r2']:.2f}" if stated else "Fig. 11 only"
    row["R², network"] = with_spread(part, "r2")
    row["RMSE, published (m)"] = f"{table5.loc[stated, 'rmse_m']:.2f}" if stated else "Fig. 11 only"
    row["RMSE, network (m)"] = with_spread(part, "rmse_m")
    base = stage_of(simple[simple["model"] == FOREST], alone[alone["model"] == FOREST], sources)
    row["RMSE, forest (m)"] = with_spread(base, "rmse_m")
    rows.append(row)
glue("tab-borrow-region", plots.table(pd.DataFrame(rows)))

fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.8))
for ax, column, told in zip(axes, ("r2", "rmse_m", "mae_m"), ("R²", "RMSE (m)", "MAE (m)"), strict=True):
    parts = [stage_of(regional, own, sources)[column] for sources in STAGES.values()]
    for x, part in enumerate(parts):
        ax.plot(np.full(len(part), x), part, "o", color=COLORS[NETWORK], alpha=0.6, label="twin" if x == 0 else None)
    ax.plot([part.mean() for part in parts], color=COLORS[NETWORK])
    ax.plot([0, 1], table5[column], "D", color="black", ms=5, label="published")
    ax.set(ylabel=told, xlabel="reservoirs that train")
    ax.set_xticks(range(4), ["1", "2", "3", "4"])
axes[0].legend(fontsize=8)
glue("fig-borrow-region", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]


def borrowed_less_own(sources: str) -> np.ndarray:
    """Difference of the RMSE that borrowing makes, on all test dates and on draws of their blocks, mean of the seeds."""
    pairs = stage_of(regional, own, sources).join(stage_of(regional, own, None), rsuffix="_own", how="inner")
    differences = []
    for _, pair in pairs.iterrows():
        alone_too = {name: pair[f"{name}_own"] for name in ("days", "levels_cm", "errors_cm")}
        differences.append(scores_of_run(pair)["rmse_m"] - scores_of_run(alone_too)["rmse_m"])
    return np.mean(differences, axis=0)


def verdict(difference: np.ndarray) -> str:
    low, high = np.nanpercentile(difference[1:], [2.5, 97.5])
    return "that helps" if high < 0 else "that harms" if low > 0 else "not to be told from no effect"


one_more, three_more = borrowed_less_own("BIL"), borrowed_less_own("BIL+GLL+LYS")
glue(
    "borrow_published_n", f"{published.value('wu2023_text_claims', quantity='BHC training samples'):.0f}", display=False
)
glue("borrow_one", f"{with_interval(one_more, '{:+.2f}')} m: {verdict(one_more)}", display=False)
glue("borrow_three", f"{with_interval(three_more, '{:+.2f}')} m: {verdict(three_more)}", display=False)
glue("borrow_block_days", f"{BLOCK_DAYS}", display=False)
glue("borrow_one_published", f"{table5.loc['after', 'rmse_m'] - table5.loc['before', 'rmse_m']:+.2f} m", display=False)
print(f"{one_more[0]:+.2f} {three_more[0]:+.2f}", verdict(one_more), verdict(three_more))

# %% [markdown]
# ````{table} Simulated reservoirs, archived, beside the study's Table 5: Brush Creek's test dates. In brackets: of several seeds the range; of one seed the 95 % interval.
# :name: tab-borrow-region
# ```{glue:md} tab-borrow-region
# :format: myst
# ```
# ````
#
# ```{glue:figure} fig-borrow-region
# :name: fig-borrow-region
# :alt: R squared, RMSE and MAE against the number of reservoirs that train, ours and the two published points.
#
# Simulated reservoirs, archived: scores on Brush Creek's test dates by the number of reservoirs that train, the counterpart of the study's Fig. 11; diamonds are its Table 5.
# ```
#
# One neighbour changes the RMSE by {glue:text}`borrow_one`. Published is {glue:text}`borrow_one_published`. Three change it by {glue:text}`borrow_three`. The intervals come from drawing blocks of {glue:text}`borrow_block_days` days, the same for both networks; they hold no spread between trainings. With as many epochs, borrowed dates also buy more steps of the optimizer, here as in the study; part of any gain may be that.
#
# ## A reservoir that no training has seen
#
# The hardest test. A model learns from {glue:text}`borrow_each` dates of each of three reservoirs, in depth, and is asked for all dates of the fourth ({numref}`tab-borrow-left-out`). The shore-level fit cannot take part, since its pixels are those of one place.

# %% tags=["hide-input", "remove-output"]
left_out = load_runs(ARCHIVE / "left_out").dropna(subset="r2")
rows = []
for reservoir in CALIFORNIA:
    row = {"left out": reservoir}
    part = left_out[left_out["target"] == reservoir]
    row["network: R²"] = plots.mean_and_range(part["r2"], "{:.1f}")
    row["RMSE (m)"] = with_spread(part, "rmse_m", "{:.1f}")
    for model, told in (("mean level", "mean depth"), (CURVE, "curve"), (RIDGE, "ridge"), (FOREST, "forest")):
        base = strangers[(strangers["target"] == reservoir) & (strangers["model"] == model)]
        row[f"{told} (m)"] = with_spread(base, "rmse_m", "{:.1f}")
    rows.append(row)
glue("tab-borrow-left-out", plots.table(pd.DataFrame(rows)))
better_than_mean = [
    left_out[left_out["target"] == r]["rmse_m"].mean()
    < strangers[(strangers["target"] == r) & (strangers["model"] == "mean level")]["rmse_m"].mean()
    for r in CALIFORNIA
]
ways = pd.DataFrame(
    {
        name: pd.concat([load_runs(ARCHIVE / "twin"), load_runs(ARCHIVE / "twin_baselines")])
        .dropna(subset="r2")
        .query("sensor == 'sentinel2' and model == @model")
        .loc[lambda frame: frame["reservoir"].isin(CALIFORNIA)]
        .loc[lambda frame: frame["without"].isna() if "without" in frame else frame.index == frame.index]
        .groupby("sampling")["rmse_m"]
        .mean()
        for name, model in (("network", NETWORK), ("curve", CURVE), ("forest", FOREST))
    }
)
strange = {
    "network": left_out["rmse_m"].mean(),
    "curve": strangers[strangers["model"] == CURVE]["rmse_m"].mean(),
    "forest": strangers[strangers["model"] == FOREST]["rmse_m"].mean(),
}
rows = [
    {"tested on": told} | {f"{name} (m)": f"{ways.loc[sampling, name]:.2f}" for name in ways}
    for sampling, told in (
        ("random", "dates drawn at random"),
        ("blocked", "months held out"),
        ("chronological", "later years"),
    )
] + [{"tested on": "another reservoir (depth)"} | {f"{name} (m)": f"{value:.2f}" for name, value in strange.items()}]
glue("tab-borrow-ways", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
glue("borrow_each", f"{N_EACH}", display=False)
glue("borrow_better", f"{sum(better_than_mean)}", display=False)
glue("borrow_strange", f"{strange['network']:.1f} m", display=False)
glue("borrow_known", f"{ways.loc['random', 'network']:.1f} m", display=False)
print(sum(better_than_mean), f"{strange['network']:.1f}")

# %% [markdown]
# ````{table} Simulated reservoirs, archived: depth of a reservoir that was in no training. R² of the network, and RMSE of all models. In brackets: of several seeds the range; of one seed the 95 % interval from drawing blocks of days.
# :name: tab-borrow-left-out
# ```{glue:md} tab-borrow-left-out
# :format: myst
# ```
# ````
#
# ````{table} Simulated reservoirs, archived: four ways to test, side by side. Mean RMSE over the four reservoirs and the seeds, Sentinel-2.
# :name: tab-borrow-ways
# ```{glue:md} tab-borrow-ways
# :format: myst
# ```
# ````
#
# On a strange reservoir the network is off by {glue:text}`borrow_strange`, on dates drawn at random from known ones by {glue:text}`borrow_known` ({numref}`tab-borrow-ways`). In {glue:text}`borrow_better` of four it is better than the mean depth of the others, which looks at no image. The study says itself that its models cannot easily be transferred.
# An accuracy for known reservoirs is no guide to unknown ones.
#
# ## Three reservoirs elsewhere
#
# The study then turns to three reservoirs in other climates, for each with one satellite: winter ice and no levels in it at Mackay Creek, few dates and levels missing for years at Costilla, a humid climate at Arrow, which the twin has as cloud. {numref}`tab-borrow-elsewhere` is its Tables 6 and 7.

# %% tags=["hide-input", "remove-output"]
elsewhere = load_runs(ARCHIVE / "elsewhere").dropna(subset="r2")
bases = load_runs(ARCHIVE / "twin_baselines").dropna(subset="r2")
if "without" in bases:
    bases = bases[bases["without"].isna()]
table6 = published.load("wu2023_table6_benchmark_validation").set_index("reservoir")
table7 = published.load("wu2023_table7_attention_validation").set_index(["reservoir", "attention"])
rows = []
for reservoir, sensor in ELSEWHERE.items():
    for model in (*NETWORKS, CURVE, SHORE):
        pool = elsewhere if model in NETWORKS else bases
        part = pool[
            (pool["reservoir"] == reservoir)
            & (pool["model"] == model)
            & (pool["sensor"] == sensor)
            & (pool["sampling"] == "random")
        ]
        short = model.split()[-1]
        stated = (
            table6.loc[reservoir] if model == NETWORK else table7.loc[(reservoir, short)] if model in NETWORKS else None
        )
        rows.append(
            {
                "reservoir": f"{reservoir}, {'Sentinel-2' if sensor == 'sentinel2' else 'Sentinel-1'}",
                "model": model,
                "R², published": "—" if stated is None else f"{stated['r2']:.2f}",
                "R²": with_spread(part, "r2"),
                "RMSE, published (m)": "—" if stated is None else f"{stated['rmse_m']:.2f}",
                "RMSE (m)": with_spread(part, "rmse_m"),
            }
        )
glue("tab-borrow-elsewhere", plots.table(pd.DataFrame(rows)))
wide = elsewhere.pivot(index=["reservoir", "seed"], columns="model", values="r2")
cam = (wide["network with CAM"] - wide[NETWORK]).dropna()
csam = (wide["network with CSAM"] - wide["network with CAM"]).dropna()

# %% tags=["remove-cell", "nbval-check-output"]
glue("borrow_cam", f"{(cam > 0).sum()} of {len(cam)}", display=False)
glue("borrow_csam", f"{(csam < 0).sum()} of {len(csam)}", display=False)
plain_published, cam_published = table6["r2"], table7["r2"].xs("CAM", level=1)
glue("borrow_cam_published", f"{(cam_published > plain_published).sum()} of {len(plain_published)}", display=False)
print((cam > 0).sum(), len(cam), (csam < 0).sum())

# %% [markdown]
# ````{table} Simulated reservoirs, archived, beside the study's Tables 6 and 7: test dates of random sampling. In brackets: of several seeds the range; of one seed the 95 % interval from drawing blocks of days.
# :name: tab-borrow-elsewhere
# ```{glue:md} tab-borrow-elsewhere
# :format: myst
# ```
# ````
#
# CAM raises R² in {glue:text}`borrow_cam_published` published cases, and in {glue:text}`borrow_cam` of ours, counted by reservoir and seed. CSAM is behind CAM in {glue:text}`borrow_csam`.
#
# ## Beside other methods
#
# The study compares its errors with those of two others. {cite:t}`chen2022` measure levels of 40 reservoirs, mostly large ones, from the laser altimeter ICESat-2, with an R² of 0.60 to 0.99 and an RMSE of 0.37 to 1.01 m, without any training, but only where a track crosses, every 91 days along each.
# {cite:t}`donchyts2022` relate the area of 768 reservoirs to their levels: R² exceeds 0.7 in 67 % of them; probably of the fit, not of dates held out. The study's best models have an R² of {glue:text}`borrow_best_low` to {glue:text}`borrow_best_high`, {glue:text}`borrow_best_mean` on average, over seven. Our area-level curves on the twins exceed 0.7 in {glue:text}`borrow_curves` of seven, the shore-level fits in
# {glue:text}`borrow_shores`. Three samples of reservoirs, three ways to test: only the orders of magnitude compare.

# %% tags=["remove-cell", "nbval-check-output"]
text = published.load("wu2023_text_claims").set_index("quantity")["value"].astype(float)
seven = bases[(bases["sampling"] == "random") & ((bases["sensor"] == "sentinel2") | (bases["reservoir"] == "CTR"))]
means = seven.groupby(["model", "reservoir"])["r2"].mean()
glue("borrow_best_low", f"{text['best R2, low end over 7 reservoirs']:.2f}", display=False)
glue("borrow_best_high", f"{text['best R2, high end over 7 reservoirs']:.2f}", display=False)
glue("borrow_best_mean", f"{text['mean best R2']:.2f}", display=False)
glue("borrow_curves", f"{(means[CURVE] > 0.7).sum()}", display=False)
glue("borrow_shores", f"{(means[SHORE] > 0.7).sum()}", display=False)
planned = {
    name: len(grids_of("full")[name][1]) * grids_of("full")[name][2]
    for name in ("training_size", "regionalization", "left_out", "elsewhere")
}
there = sum(frame["run"].nunique() for frame in (sizes, regional, left_out, elsewhere))
glue("borrow_there", f"{there}", display=False)
glue("borrow_planned", f"{sum(planned.values())}", display=False)
print((means[CURVE] > 0.7).sum(), (means[SHORE] > 0.7).sum(), len(means[CURVE]))

# %% [markdown]
# ## Borrowing, live
#
# Here the curve of one is drawn over the dates of another.

# %%
scenes = {name: simulate(CHARACTERS[name], n=60, random_state=3) for name in ("BIL", "BHC")}
curves = {name: AreaLevelRegressor(each.bands).fit(each.images, depth_m(name, each)) for name, each in scenes.items()}
train, test = random_split(scenes["BHC"].level_m)
own_fit = ShoreLevelRegressor(scenes["BHC"].bands).fit(
    scenes["BHC"].images[train], depth_m("BHC", scenes["BHC"])[train]
)
true = depth_m("BHC", scenes["BHC"])[test]
off = {
    "curve of BIL": np.abs(curves["BIL"].predict(scenes["BHC"].images[test]) - true).mean(),
    "own shores": np.abs(own_fit.predict(scenes["BHC"].images[test]) - true).mean(),
}

# %% tags=["hide-input", "remove-output"]
fig, ax = plt.subplots(figsize=(5.5, 3.2))
for (name, each), color in zip(scenes.items(), ("#0072B2", "#D55E00"), strict=True):
    area = curves[name].area_km2(each.images)
    ax.plot(area, depth_m(name, each), "o", ms=4, alpha=0.5, color=color, label=CHARACTERS[name].name)
    grid = np.linspace(area.min(), area.max(), 100)
    ax.plot(grid, curves[name].curve_.predict(grid), color=color)
ax.set(xlabel="area that looks like water (km²)", ylabel="depth at the dam (m)")
ax.legend()
glue("fig-borrow-curves", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
glue("borrow_live_bil", f"{off['curve of BIL']:.1f} m", display=False)
glue("borrow_live_own", f"{off['own shores']:.1f} m", display=False)
glue("borrow_live_n", f"{len(train)}", display=False)
print(bool(off["curve of BIL"] > off["own shores"]))

# %% [markdown]
# ```{glue:figure} fig-borrow-curves
# :name: fig-borrow-curves
# :alt: Depth against area for two reservoirs; the two curves lie apart.
#
# Simulated reservoirs, live: depth and area of two neighbours, and the curve of each.
# ```
#
# By the neighbour's curve, Brush Creek's depth is off by {glue:text}`borrow_live_bil` on average; by its own shores, with {glue:text}`borrow_live_n` dates, by {glue:text}`borrow_live_own` ({numref}`fig-borrow-curves`). {term}`Hypsometry <hypsometry>` is a reservoir's own. An image shows it only above the water, and only
# if the water falls.
#
# ## What this chapter cannot say
#
# - Of {glue:text}`borrow_planned` planned runs {glue:text}`borrow_there` are archived so far.
# - Four twins on one DEM are alike in ways in which real reservoirs are not.
# - Depths need the height of the dam's foot. For a real reservoir somebody has to know it.
# - The comparison with other methods is one of published numbers.
#
# ## Exercises
#
# 1. Add ten dates of Brush Creek to the neighbour's, in depth. How many are needed until the own dates alone are better?
# 2. Scale depth and area by their largest values before borrowing the curve. Does that help?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. `score_depth` in `millpond.level.study` is a start. A curve has few unknowns.
# 2. It does where valleys have the same shape. It also needs the largest depth and area, which an ungauged reservoir does not tell.
# ```
#
# The works cited are listed under [references](../../book/references.md).
