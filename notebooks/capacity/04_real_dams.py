# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Real dams, and a power law first
#
# *How well does the water surface tell the capacity of a real reservoir, before any machine learning?*
#
# A hydrologist who has to guess a capacity draws a straight line through the logarithms of surface and volume. Whatever a
# neural network reaches should be compared with that. The study {cite:p}`hydrology2022` does not. It carries its model from a
# reference basin to a target basin; we carry the line from one American state to others, and to Brazil.
#
# **You will learn** to clean an inventory by rules that are counted, to fit a power law, and why one R² is not another.
# **You need** the idea of a regression. **It runs** in a few seconds.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from millpond import datasets, plots, published
from millpond.capacity.study import CEARA, FEATURES, REFERENCE, TARGETS, dams, dams_of_ceara
from millpond.experiment import load_runs, results_dir

plots.use_style()
ARCHIVE = results_dir() / "capacity" / "full"
STATES = {"VA": "Virginia", "KY": "Kentucky", "TN": "Tennessee", "NH": "New Hampshire", "all": "all states"}
STATES |= {CEARA: CEARA}

# %% [markdown]
# ## An inventory, cleaned by counted rules
#
# The US National Inventory of Dams lists storage, surface and drainage area and height, in acre-feet, acres, square miles and feet. It is
# dirty. We leave out rows with missing or contradictory figures, reservoirs outside the study's range of sizes, and three
# agencies whose units or areas are wrong; none for its distance from a fitted law. As capacity we take the normal storage: it belongs to
# the water level at which the surface is stated. The study's is the designed capacity, which may include room for floods and then is larger.

# %% tags=["hide-input", "remove-output"]
cleaning = load_runs(ARCHIVE / "nid_cleaning")
shown = pd.DataFrame(
    {
        "rule": cleaning["rule"],
        "rows removed": cleaning["rows_removed"].map("{:,}".format),
        "rows left": cleaning["rows_left"].map("{:,}".format),
    }
)
glue("tab-dams-cleaning", plots.table(shown))

# %% tags=["remove-cell", "nbval-check-output"]
first, last = cleaning["rows_left"].iloc[[0, -1]]
glue("dams_first", f"{first:,}", display=False)
glue("dams_last", f"{last:,}", display=False)
print(first, last)

# %% [markdown]
# ````{table} Real data, archived: the rules, in the order in which they were applied, and the dams that they removed.
# :name: tab-dams-cleaning
# ```{glue:md} tab-dams-cleaning
# :format: myst
# ```
# ````
#
# {numref}`tab-dams-cleaning` leaves {glue:text}`dams_last` of {glue:text}`dams_first` dams; {numref}`fig-dams-scatter` shows them. The last rule also
# removes natural lakes that a low dam has raised, which do exist. It cuts off the largest volumes for a surface, and so flatters every
# model, most of all those that are told the height.

# %% tags=["hide-input", "remove-output"]
if datasets.is_present("nid"):
    known, _ = dams()
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    ax.loglog(
        known["surface_area_km2"], known["capacity_1e6_m3"], ".", ms=2, alpha=0.15, color="gray", label="all states"
    )
    for state, color in ((REFERENCE, "#0072B2"), ("NH", "#D55E00")):
        part = known[known["state"] == state]
        ax.loglog(
            part["surface_area_km2"], part["capacity_1e6_m3"], "o", ms=3, alpha=0.6, color=color, label=STATES[state]
        )
    ax.set_xlabel("surface area (km²)")
    ax.set_ylabel("capacity (million m³)")
    ax.legend()
    told = "each dot is a dam"
else:
    splits = load_runs(ARCHIVE / "real_splits")
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    surface = splits[splits["features"] == "surface"]
    for state, part in surface.groupby("state"):
        ax.hist(part["r2_log"], bins=20, alpha=0.6, label=STATES[state])
    ax.set_xlabel("R² of log capacity from the surface")
    ax.set_ylabel("random splits")
    ax.legend()
    told = "the dams themselves need nid of the data root; shown instead are archived scores of random splits"
glue("fig-dams-scatter", fig)
glue("dams_scatter_told", f"{told}", display=False)
plt.close(fig)

# %% [markdown]
# ```{glue:figure} fig-dams-scatter
# :name: fig-dams-scatter
# :alt: Capacity against surface area of American dams on logarithmic axes: a band about one order of magnitude high. Dams of New Hampshire lie lower than those of Virginia.
#
# Real data: small reservoirs of the US National Inventory of Dams ({glue:text}`dams_scatter_told`).
# ```
#
# ## The power law
#
# With surface $A$, and catchment $D$ and dam height $H$ where they are used,
#
# $$
# V = a\,A^{b}\,D^{c}\,H^{d}, \qquad \log V = \log a + b \log A + c \log D + d \log H ,
# $$ (eq-power-law)
#
# and least squares on the logarithms give the constants. It is fitted on 80 % of the dams and scored on the rest, in {glue:text}`dams_splits` random splits.
# We give several scores, because they say different things: R² of the logarithms treats a factor of two alike for all
# reservoirs; plain R² is ruled by the few largest; the squared correlation, which we take the study's R² to be, forgives any wrong scale. The mean
# absolute percentage error,
#
# $$
# \mathrm{MAPE} = \frac{100\,\%}{n} \sum_i \left| \frac{\hat V_i}{V_i} - 1 \right| ,
# $$ (eq-mape)
#
# is ruled by the few worst, and punishes overestimates more: an underestimate can't cost more than 100 %. The sum is that of the estimates over
# that of the true capacities.

# %% tags=["hide-input", "remove-output"]
SCORES = {
    "R² of logs": ("r2_log", "{:.2f}"),
    "R²": ("r2", "{:.2f}"),
    "squared correlation": ("r_squared", "{:.2f}"),
    "MAPE (%)": ("mape_percent", "{:.0f}"),
    "median error (%)": ("median_ape_percent", "{:.0f}"),
    "sum": ("total_ratio", "{:.2f}"),
}


def score_table(runs, by, names):
    """Mean and 95 % range of each score over the runs, a row a case."""
    rows = []
    for case in names:
        for features in FEATURES:
            part = runs[(runs[by] == case) & (runs["features"] == features)]
            if part.empty:
                continue
            row = {by: STATES[case], "given": features, "n": f"{part['n_test'].iloc[0]:,}"}
            for title, (column, form) in SCORES.items():
                middle, (low, high) = part[column].mean(), part[column].quantile([0.025, 0.975])
                row[title] = f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"
            rows.append(row)
    return pd.DataFrame(rows)


splits, transfer = load_runs(ARCHIVE / "real_splits"), load_runs(ARCHIVE / "real_transfer")
glue("tab-dams-splits", plots.table(score_table(splits, "state", ["all", REFERENCE, *TARGETS, CEARA])))
glue("tab-dams-transfer", plots.table(score_table(transfer, "target", [*TARGETS, CEARA])))

# %% tags=["remove-cell", "nbval-check-output"]
everywhere = splits[splits["state"] == "all"].groupby("features")[["r2_log", "median_ape_percent"]].mean()
paired = splits[splits["state"] == "all"].pivot(index="seed", columns="features", values="r2_log")
catchment_gain = paired["surface and catchment"] - paired["surface"]
low, high = catchment_gain.quantile([0.025, 0.975])
glue("dams_splits", f"{splits['seed'].nunique()}", display=False)
glue("dams_resamples", f"{transfer['seed'].nunique()}", display=False)
glue("dams_surface_r2", f"{everywhere.loc['surface', 'r2_log']:.2f}", display=False)
glue("dams_surface_error", f"{everywhere.loc['surface', 'median_ape_percent']:.0f} %", display=False)
glue("dams_height_r2", f"{everywhere.loc['surface, catchment and height', 'r2_log']:.2f}", display=False)
glue("dams_catchment_gain", f"{catchment_gain.mean():+.3f} ({low:+.3f} to {high:+.3f})", display=False)
print(everywhere["r2_log"].round(2).to_dict(), round(float(catchment_gain.mean()), 3))

# %% [markdown]
# ````{table} Real data, archived: scores of the power law on held-out dams, mean and 95 % range over random splits.
# :name: tab-dams-splits
# ```{glue:md} tab-dams-splits
# :format: myst
# ```
# ````
#
# The surface alone explains {glue:text}`dams_surface_r2` of the variance of log capacity over all agencies but three, and the median error is
# {glue:text}`dams_surface_error` ({numref}`tab-dams-splits`; for Ceará see below). The catchment adds {glue:text}`dams_catchment_gain` to that R², paired over the splits.
# The height of the dam lifts it to {glue:text}`dams_height_r2`: after the surface, height is worth more than the catchment. Plain R² does not
# improve; it rests on a few large errors.
#
# ### What the law says
#
# The constants themselves tell two things.

# %% tags=["hide-input", "remove-output"]
laws = load_runs(ARCHIVE / "power_laws")
rows = []
for place in ["all", REFERENCE, *TARGETS, CEARA]:
    row = {"place": STATES[place]}
    for size, told in (("small", "small"), ("any", "any size")):
        part = laws[(laws["place"] == place) & (laws["size"] == size)]
        row[f"n, {told}"] = f"{part['n'].iloc[0]:,}"
        row[f"a, {told}"] = plots.median_and_range(part["scale"], "{:.2f}")
        row[f"b, {told}"] = plots.median_and_range(part["exponent"], "{:.2f}")
    rows.append(row)
glue("tab-dams-laws", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
exponent = laws.groupby(["place", "size"])["exponent"].median().unstack()
glue("dams_law_small", f"{exponent['small'].min():.2f} to {exponent['small'].max():.2f}", display=False)
glue("dams_law_any", f"{exponent['any'].min():.2f} to {exponent['any'].max():.2f}", display=False)
print(exponent.round(1).to_string())

# %% [markdown]
# ````{table} Real data, archived: constants of the law on the surface, V = a A^b, in million m³ and km²; median and 95 % range over resamples, for the study's small reservoirs and for all sizes.
# :name: tab-dams-laws
# ```{glue:md} tab-dams-laws
# :format: myst
# ```
# ````
#
# The exponent should be above one: a larger reservoir of the same shape is also a deeper one, and surveys of small reservoirs say so
# {cite:p}`liebe2005`. Among the small ones it is {glue:text}`dams_law_small` ({numref}`tab-dams-laws`). That is the selection: to keep only capacities between two
# limits cuts large volumes of small surfaces, and small volumes of large ones. Without the limits it is {glue:text}`dams_law_any`. So a law fitted on small
# reservoirs must not be used beyond them, and a study that selects by capacity, the thing to be estimated, makes its own task easier.
#
# ## From one state to another

# %% tags=["remove-cell", "nbval-check-output"]
moved = transfer.groupby(["target", "features"])[["r2_log", "r_squared", "mape_percent", "total_ratio"]].mean()
moved_r2 = transfer.groupby(["target", "features"])["r2"].mean()
study_r2 = published.value("capacity_text_claims", quantity="R2, transfer from reference to study area")
study_mape = published.value("capacity_text_claims", quantity="MAPE, transfer from reference to study area")
glue("dams_study_r2", f"{study_r2:.2f}", display=False)
glue("dams_study_mape", f"{study_mape:.1f} %", display=False)
for target in TARGETS:
    row = moved.loc[(target, "surface")]
    glue(f"dams_{target}_r2", f"{row['r_squared']:.2f}", display=False)
    glue(f"dams_{target}_mape", f"{row['mape_percent']:.0f} %", display=False)
    glue(f"dams_{target}_log", f"{row['r2_log']:.2f}", display=False)
own = splits[splits["features"] == "surface"].groupby("state")[["r2_log", "mape_percent"]].mean()
for target in TARGETS:
    glue(f"dams_{target}_own_mape", f"{own.loc[target, 'mape_percent']:.0f} %", display=False)
    glue(f"dams_{target}_own_log", f"{own.loc[target, 'r2_log']:.2f}", display=False)
with_height = moved.loc[("NH", "surface, catchment and height")]
home = splits[splits["state"] == REFERENCE].groupby("features")[["total_ratio"]].mean()["total_ratio"]
glue("dams_home_total", f"{home['surface']:.2f}", display=False)
glue("dams_home_height_total", f"{home['surface, catchment and height']:.2f}", display=False)
glue("dams_NH_height_total", f"{with_height['total_ratio']:.2f}", display=False)
glue("dams_NH_r2_plain", f"{moved_r2.loc[('NH', 'surface')]:.1f}", display=False)
glue(
    "dams_NH_height_r2",
    f"{transfer[(transfer['target'] == 'NH') & (transfer['features'] == 'surface, catchment and height')]['r2'].mean():.1f}",
    display=False,
)
glue("dams_NH_total", f"{moved.loc[('NH', 'surface'), 'total_ratio']:.1f}", display=False)
ceara, ceara_own = moved.loc[(CEARA, "surface")], own.loc[CEARA]
ceara_total = transfer[transfer["target"] == CEARA]["total_ratio"].quantile([0.025, 0.975])
ceara_splits = splits[splits["state"] == CEARA]
glue("dams_ceara_n", f"{ceara_splits[['n_train', 'n_test']].sum(axis=1).iloc[0]:.0f}", display=False)
log_low, log_high = transfer[transfer["target"] == CEARA]["r2_log"].quantile([0.025, 0.975])
glue("dams_ceara_log", f"{ceara['r2_log']:.2f} ({log_low:.2f} to {log_high:.2f})", display=False)
glue("dams_ceara_mape", f"{ceara['mape_percent']:.0f} %", display=False)
glue("dams_ceara_own_log", f"{ceara_own['r2_log']:.2f}", display=False)
glue("dams_ceara_own_mape", f"{ceara_own['mape_percent']:.0f} %", display=False)
glue(
    "dams_ceara_total",
    f"{ceara['total_ratio']:.2f} ({ceara_total.iloc[0]:.2f} to {ceara_total.iloc[1]:.2f})",
    display=False,
)
print(moved["r2_log"].round(1).unstack().to_string())

# %% [markdown]
# The law of Virginia's dams is applied to other states. The intervals come from drawing the dams of both states anew, {glue:text}`dams_resamples` times.
#
# ````{table} Real data, archived: the power law of Virginia applied to other states, mean and 95 % range over resamples of both.
# :name: tab-dams-transfer
# ```{glue:md} tab-dams-transfer
# :format: myst
# ```
# ````
#
# To neighbours the surface alone carries over ({numref}`tab-dams-transfer`): with Virginia's law the MAPE is
# {glue:text}`dams_KY_mape` in Kentucky and {glue:text}`dams_TN_mape` in Tennessee, with their own laws {glue:text}`dams_KY_own_mape` and
# {glue:text}`dams_TN_own_mape` ({numref}`tab-dams-splits`). The squared correlation is {glue:text}`dams_KY_r2` in
# Kentucky and {glue:text}`dams_TN_r2` in Tennessee. The study reports {glue:text}`dams_study_r2` for its transfer, with a MAPE of
# {glue:text}`dams_study_mape`. In the squared correlation a line on one factor is on a par with that; its MAPE
# is far larger. The reservoirs are not the same, and the study's target holds twelve, which leaves a wide interval.
#
# To New Hampshire it fails. The squared correlation is still {glue:text}`dams_NH_r2`, while R² of the logs falls to {glue:text}`dams_NH_log`. The sum of the
# estimates is {glue:text}`dams_NH_total` times the truth; at home, in Virginia, it is {glue:text}`dams_home_total`, because the exponential of a mean logarithm is a
# median, which lies below the mean. A law of New Hampshire's own has {glue:text}`dams_NH_own_log`. So it is the scale that
# fails: water there is shallower for its surface. A score that forgives a wrong scale would have hidden that. With the height the sum is
# {glue:text}`dams_NH_height_total`, against {glue:text}`dams_home_height_total` at home, and plain R² rises from {glue:text}`dams_NH_r2_plain` to
# {glue:text}`dams_NH_height_r2`: better, and still poor.
#
# ### To another continent
#
# In Ceará, Brazil, reservoirs were surveyed: the agency publishes height, area and volume, level by level. We cleaned these curves by
# rules, too ({numref}`tab-dams-ceara`), and take the area where the curve reaches the capacity, so these reservoirs are full. {glue:text}`dams_ceara_n`
# are small ones.

# %% tags=["hide-input", "remove-output"]
steps = load_runs(ARCHIVE / "ceara_cleaning")
glue(
    "tab-dams-ceara",
    plots.table(
        steps[["table", "rule", "rows_removed", "rows_changed", "reservoirs_left"]]
        .astype(str)
        .rename(columns=lambda name: name.replace("_", " "))
    ),
)
if datasets.is_present("ceara") and datasets.is_present("nid"):
    brazil, (known, _) = dams_of_ceara()[0], dams()
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    virginia = known[known["state"] == REFERENCE]
    for label, part, color in ((STATES[REFERENCE], virginia, "#0072B2"), (CEARA, brazil, "#117733")):
        ax.loglog(part["surface_area_km2"], part["capacity_1e6_m3"], "o", ms=4, alpha=0.6, color=color, label=label)
    ax.set_xlabel("surface area (km²)")
    ax.set_ylabel("capacity (million m³)")
    ax.legend()
    told = "each dot is a reservoir"
else:
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    for label, part in (
        (f"{CEARA}, own law", ceara_splits),
        (f"{CEARA}, Virginia's law", transfer[transfer["target"] == CEARA]),
    ):
        ax.hist(part["mape_percent"], bins=20, alpha=0.6, density=True, label=label)
    ax.set_xlabel("MAPE (%)")
    ax.set_ylabel("density of archived runs")
    ax.legend()
    told = "the reservoirs themselves need nid and ceara of the data root; shown instead are archived errors"
glue("fig-dams-ceara", fig)
glue("dams_ceara_told", f"{told}", display=False)
plt.close(fig)

# %% [markdown]
# ````{table} Real data, archived: how the curves of Ceará and the list of its reservoirs were cleaned.
# :name: tab-dams-ceara
# ```{glue:md} tab-dams-ceara
# :format: myst
# ```
# ````
#
# ```{glue:figure} fig-dams-ceara
# :name: fig-dams-ceara
# :alt: Capacity against surface area on logarithmic axes. The reservoirs of Ceará continue the cloud of Virginia's towards larger surfaces.
#
# Real data: small reservoirs of Ceará beside Virginia's ({glue:text}`dams_ceara_told`).
# ```
#
# Virginia's law has an R² of the logs of {glue:text}`dams_ceara_log` there and a MAPE of {glue:text}`dams_ceara_mape`; a law of Ceará's own has
# {glue:text}`dams_ceara_own_log` and {glue:text}`dams_ceara_own_mape` ({numref}`fig-dams-ceara`). The sum of the estimates is
# {glue:text}`dams_ceara_total` times the truth, below the {glue:text}`dams_home_total` of home. The scale fails again, and the other way: water there is deeper for its surface
# than in Virginia, or Virginia's line is too flat for large surfaces, since its dams were selected by their capacity.
#
# ## What this chapter cannot say
#
# - The terrain factors of these dams are unknown here: their catchments would have to be cut from a DEM, one by one.
# - The scores are those of small reservoirs, selected by their capacity, as in the study.
# - Wrong rows remain, and plain R² rests on a few of them.
#
# ## Exercises
#
# 1. Fit with `PowerLawRegressor(smearing=True)`. Which score gets better, and which worse?
# 2. Choose another pair of states in `fit_transfer`. Which neighbours do not fit?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. Smearing corrects the bias that logarithms bring into the mean, so the sum of the estimates comes closer to the true sum. The
#    percentage errors of single reservoirs grow.
# 2. Compare the mean depth, capacity over surface, of both states: where it differs, the scale of the law does.
# ```
#
# The works cited are listed under [references](../../book/references.md).
