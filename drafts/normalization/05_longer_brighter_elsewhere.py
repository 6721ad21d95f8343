# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Longer, brighter, elsewhere
#
# *What could change the ranking: more epochs, a brighter roof, or factors of another latitude?*
#
# {cite:t}`omankadunc2022` suspect that more {term}`epochs <epoch>` would close the gap between their best and their worst normalization. They warn that factors of one latitude may not fit another. They tested neither. Nor does a reader know how far their min-max depends on the few pixels that set its limits.
#
# All three can be asked of simulated fields. Networks, images and scores are those of [the chapter before](04_does_it_matter.ipynb), which explains them.
#
# **You will learn** to tell a slow start from a worse end, what one bright pixel does to min-max, and what happens when a network or its factors move to another belt of latitudes. **You need** [the chapter before](04_does_it_matter.ipynb). **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from millpond import plots, published
from millpond.claims import verdict, verdict_of_equality
from millpond.experiment import load_paired_runs, results_dir
from millpond.normalization import fit_normalization
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.fields import BELTS, BOTH, LATITUDES_DEG, PER_IMAGE, TRAIN, VALID, fields, year_histogram
from millpond.normalization.study import EXTREMES, MARGIN_MCC

plots.use_style()
ARCHIVE = results_dir() / "normalization" / "full"
REFERENCE, WORST = EXTREMES
COLORS = dict(zip(EXTREMES, ("#0072B2", "#D55E00"), strict=True))
METRICS = {
    "valid_extent_iou": "extent, IoU",
    "valid_extent_mcc": "extent, MCC",
    "valid_boundary_iou": "boundary, IoU",
    "valid_boundary_mcc": "boundary, MCC",
}


def at_the_end(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["epoch"] == runs["epoch"].max()]


def lead(frame: pd.DataFrame, metric: str = "valid_extent_mcc") -> pd.Series:
    """By how much p1-p99 is ahead of min-max, by seed."""
    scores = frame.pivot(index="seed", columns="normalization", values=metric)
    return scores[REFERENCE] - scores[WORST]


def interval(differences: pd.Series) -> str:
    return plots.mean_and_interval(differences, "{:+.3f}")


# %% [markdown]
# ## A network that moves
#
# First what moving means, live and small. A network learns fields of the south. Its factors come from all land of the south. Then it meets the north: as it is; with factors of the north in its first layer; and with means and variances of its {term}`batch normalization` taken anew from images of the north. Its weights stay the same.

# %%
size = 64
south, north = (fields(0, TRAIN, 24, size, belt) for belt in BELTS)
held_out = fields(0, VALID, 12, size, "north")
histograms = {belt: year_histogram(0, size, belt, n=60) for belt in BELTS}
normalizations = {belt: fit_normalization("p1-p99", histograms[belt]) for belt in BELTS}
network = FieldSegmenter(normalizations["south"], max_epochs=2, batch_size=2).fit(*south)
networks = {
    "as it is": network,
    "factors of the north": network.renormalized(normalizations["north"]),
    "batch statistics of the north": network.adapted(north[0]),
}
scores = pd.DataFrame({how: moved.evaluate(*held_out) for how, moved in networks.items()}).T
scores[["extent_iou", "extent_mcc"]].round(2)

# %% tags=["hide-input", "remove-output"]
fig, ax = plt.subplots(figsize=(6.5, 2.4))
for belt, color in zip(BELTS, ("#E69F00", "#0072B2"), strict=True):
    dn = np.arange(1, 12_000)
    ax.plot(
        dn,
        np.cumsum(histograms[belt].counts[0, 1:12_000]) / histograms[belt].counts[0, 1:].sum(),
        color=color,
        label=f"survey of the {belt}",
    )
    for percent in (1, 99):
        ax.axvline(histograms[belt].percentile([percent])[0, 0], color=color, ls=":", lw=1)
ax.set(xlabel="digital number of B02", ylabel="share that is darker", xscale="log", xlim=(300, 12_000))
ax.legend()
glue("fig-elsewhere-surveys", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
for belt in BELTS:
    low, high = histograms[belt].percentile([1, 99])[:, 0]
    print(belt, round(float(low), -1), round(float(high), -2))

# %% [markdown]
# ```{glue:figure} fig-elsewhere-surveys
# :name: fig-elsewhere-surveys
# :alt: Two cumulative curves of digital numbers, south and north, with dotted lines at their 1st and 99th percentiles.
#
# Simulated surveys of all land and the whole year, live: share of the pixels that are darker, in two belts. Dotted: the 1st and 99th percentile, which are the factors of p1-p99.
# ```
#
# {numref}`fig-elsewhere-surveys` shows the two sets of factors. The scores above it are of a network that has seen too little to count; what follows is archived.
#
# ## For longer
#
# Do the study's extremes end up alike? {numref}`fig-elsewhere-longer` gives them {glue:text}`elsewhere_longer` epochs instead of {glue:text}`elsewhere_epochs`. The step of the optimizer rises and falls once over all epochs, so this is another schedule and no continuation.

# %% tags=["hide-input", "remove-output"]
archived = load_paired_runs(ARCHIVE / "fields")
last = at_the_end(archived[archived["normalization"].isin(EXTREMES)])
longer = load_paired_runs(ARCHIVE / "fields_longer")
at_longer = at_the_end(longer)
short = last[last["seed"].isin(at_longer["seed"])]
N_EPOCHS, LONGER_EPOCHS = (int(runs["epoch"].max()) for runs in (archived, longer))

fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.7), sharex=True)
shown = {"valid_loss": "validation loss"} | {name: METRICS[name] for name in ("valid_extent_mcc", "valid_boundary_mcc")}
for ax, (metric, title) in zip(axes, shown.items(), strict=True):
    for name in EXTREMES:
        part = longer[longer["normalization"] == name].pivot(index="epoch", columns="seed", values=metric)
        ax.plot(part.index, part.mean(axis=1), color=COLORS[name], label=name)
        ax.fill_between(part.index, part.min(axis=1), part.max(axis=1), color=COLORS[name], alpha=0.15, lw=0)
    ax.set(title=title, xlabel="epoch")
axes[0].legend()
glue("fig-elsewhere-longer", fig)
plt.close(fig)

after = {N_EPOCHS: short, LONGER_EPOCHS: at_longer}
rows = []
for metric, told in METRICS.items():
    row = {"score": told}
    for n_epochs, frame in after.items():
        means = frame.groupby("normalization")[metric].mean()
        row[f"after {n_epochs} epochs"] = f"{means[REFERENCE]:.3f} and {means[WORST]:.3f}"
    for n_epochs, frame in after.items():
        row[f"lead of p1-p99 after {n_epochs}"] = interval(lead(frame, metric))
    rows.append(row | {"shrinks by": interval(lead(short, metric) - lead(at_longer, metric))})
glue("tab-elsewhere-longer", plots.table(pd.DataFrame(rows)))

rows = []
for n_epochs, frame in after.items():
    for name in EXTREMES:
        part = frame[frame["normalization"] == name]
        rows.append(
            {
                "normalization": name,
                "epochs": f"{n_epochs}",
                "over-segmentation": plots.mean_and_range(part["oversegmentation"], "{:.2f}"),
                "under-segmentation": plots.mean_and_range(part["undersegmentation"], "{:.2f}"),
                "F1 of parcels": plots.mean_and_range(part["f1"], "{:.2f}"),
                "median IoU": plots.mean_and_range(part["median_iou"], "{:.2f}"),
            }
        )
glue("tab-elsewhere-parcels", plots.table(pd.DataFrame(rows)))

closing = lead(short) - lead(at_longer)

# %% tags=["remove-cell", "nbval-check-output"]
glue("elsewhere_epochs", f"{N_EPOCHS}", display=False)
glue("elsewhere_longer", f"{LONGER_EPOCHS}", display=False)
glue("elsewhere_lead", interval(lead(short)), display=False)
glue("elsewhere_lead_longer", interval(lead(at_longer)), display=False)
glue("elsewhere_closing", interval(closing), display=False)
glue("elsewhere_closing_verdict", verdict(closing), display=False)
glue("elsewhere_longer_seeds", f"{at_longer['seed'].nunique()}", display=False)
print(f"{lead(short).mean():+.3f} {lead(at_longer).mean():+.3f}")

# %% [markdown]
# ```{glue:figure} fig-elsewhere-longer
# :name: fig-elsewhere-longer
# :alt: Validation loss and two scores over many epochs for p1-p99 and min-max.
#
# Simulated fields, archived: the study's best and worst for longer, mean and range of {glue:text}`elsewhere_longer_seeds` seeds.
# ```
#
# ````{table} Simulated fields, archived: p1-p99 and min-max (means of the seeds), and by how much p1-p99 is ahead within seeds with its 95 % interval, after few epochs and after many. A gap that closes shrinks.
# :name: tab-elsewhere-longer
# ```{glue:md} tab-elsewhere-longer
# :format: myst
# ```
# ````
#
# After {glue:text}`elsewhere_epochs` epochs p1-p99 is ahead of min-max by {glue:text}`elsewhere_lead` in the {term}`MCC` of the extent, after {glue:text}`elsewhere_longer` by {glue:text}`elsewhere_lead_longer`. The lead shrinks by {glue:text}`elsewhere_closing` ({numref}`tab-elsewhere-longer`): that the gap closes is {glue:text}`elsewhere_closing_verdict`.
#
# {numref}`tab-elsewhere-parcels` has what a user wants, parcels.
#
# ````{table} Simulated fields, archived: parcels on held-out images after few and many epochs, mean and range of the seeds.
# :name: tab-elsewhere-parcels
# ```{glue:md} tab-elsewhere-parcels
# :format: myst
# ```
# ````
#
# ## How bright is the brightest?
#
# The largest digital number decides on min-max, and it belongs to a handful of roofs. How bright those are we built in. The study's B02 ends up at {glue:text}`elsewhere_published_range` of the range. {numref}`tab-elsewhere-largest` trains min-max with other largest numbers.

# %% tags=["hide-input", "remove-output"]
brightest = at_the_end(load_paired_runs(ARCHIVE / "fields_largest"))
same = last[last["seed"].isin(brightest["seed"])]
of_survey = same[same["normalization"] == WORST]
rows = []
for told, part in [*((f"{dn:,.0f}", part) for dn, part in brightest.groupby("largest")), ("of the survey", of_survey)]:
    both = pd.concat([part, same[same["normalization"] == REFERENCE]])
    low, high = part[["low_B02", "high_B02"]].mean()
    rows.append(
        {
            "largest digital number": told,
            "middle 98 % of B02": f"{low:.3f} to {high:.3f}",
            "extent, MCC": plots.mean_and_range(part["valid_extent_mcc"], "{:.3f}"),
            "extent: lead of p1-p99": interval(lead(both)),
            "boundary: lead of p1-p99": interval(lead(both, "valid_boundary_mcc")),
        }
    )
glue("tab-elsewhere-largest", plots.table(pd.DataFrame(rows)))
by_largest = brightest.pivot(index="seed", columns="largest", values="valid_extent_mcc")
darkening = by_largest[by_largest.columns[0]] - by_largest[by_largest.columns[-1]]

# %% tags=["remove-cell", "nbval-check-output"]
published_range = published.text(
    "normalization_claims", section="linear", claim="range of the min/max result for B2, effective"
)
glue("elsewhere_published_range", " to ".join(published_range.split("-")), display=False)
glue("elsewhere_largest_seeds", f"{brightest['seed'].nunique()}", display=False)
glue("elsewhere_darkening", interval(darkening), display=False)
glue("elsewhere_dimmest", f"{by_largest.columns[0]:,.0f}", display=False)
glue("elsewhere_brightest", f"{by_largest.columns[-1]:,.0f}", display=False)
print(f"{darkening.mean():+.3f}")

# %% [markdown]
# ````{table} Simulated fields, archived: min-max with other largest digital numbers; where the middle 98 % of B02 lie, MCC (mean and range of the seeds), and the lead of p1-p99 within seeds with its 95 % interval.
# :name: tab-elsewhere-largest
# ```{glue:md} tab-elsewhere-largest
# :format: myst
# ```
# ````
#
# With a largest number of {glue:text}`elsewhere_dimmest` min-max scores {glue:text}`elsewhere_darkening` more than with {glue:text}`elsewhere_brightest` ({glue:text}`elsewhere_largest_seeds` seeds, MCC of the extent).
#
# ## Factors of another latitude
#
# The study asks whether one set of factors serves a continent, and warns that those of one latitude may not fit another. It never tests it. Here are two belts, one from {glue:text}`elsewhere_south` north, one from {glue:text}`elsewhere_north`. {numref}`tab-elsewhere-factors` moves the factors alone: a network is trained and tested in one belt, with factors of that belt, of the other, or of both. {numref}`tab-elsewhere-transfer` moves the network as well. It meets the other belt as it is; with factors, or with statistics of its batch normalization, taken anew from that belt, its weights untouched; or it was trained with factors of both belts from the start. *Each image* has no common factors at all: every band of every image is stretched by its own percentiles.

# %% tags=["hide-input", "remove-output"]
transfer = load_paired_runs(ARCHIVE / "transfer")
transfer["place"] = np.where(transfer["tested"] == transfer["trained"], "home", "away")
transfer["factors"] = np.select(
    [transfer["fitted"] == transfer["trained"], transfer["fitted"] == BOTH], ["own", BOTH], "other"
)
cells = transfer.set_index(["normalization", "place", "factors", "changed", "tested", "seed"])[
    "extent_mcc"
].sort_index()
CARRIED = {REFERENCE: REFERENCE, PER_IMAGE: "each image"}


def scored(name: str, place: str, factors: str = "own", changed: str = "nothing") -> pd.Series:
    """MCC of the extent by belt and seed; empty where that was not asked."""
    key = name, place, factors, changed
    return cells.loc[key] if key in cells.index else pd.Series(dtype=float)


def gain(first: pd.Series, second: pd.Series) -> pd.Series:
    """The first less the second by seed, mean of the belts; empty if one is."""
    return (first - second).groupby("seed").mean() if len(first) and len(second) else first[:0]


def told(scores: pd.Series, belt: str) -> str:
    return plots.mean_and_range(scores[belt], "{:.2f}") if len(scores) else "—"


HOME = {"own factors": "own", "factors of the other belt": "other", "factors of both": BOTH}
AWAY = {
    "as it is": ("own", "nothing"),
    "factors refitted": ("own", "factors"),
    "batch statistics": ("own", "batch statistics"),
    "factors of both": (BOTH, "nothing"),
}
at_home, away = [], []
for name, short_name in CARRIED.items():
    for belt in BELTS:
        row = {"normalization": short_name, "trained and tested in the": belt}
        if name != PER_IMAGE:
            at_home.append(row | {what: told(scored(name, "home", factors), belt) for what, factors in HOME.items()})
        row = {"normalization": short_name, "tested in the": belt, "trained there": told(scored(name, "home"), belt)}
        away.append(row | {what: told(scored(name, "away", *how), belt) for what, how in AWAY.items()})
glue("tab-elsewhere-factors", plots.table(pd.DataFrame(at_home)))
glue("tab-elsewhere-transfer", plots.table(pd.DataFrame(away)))
gains = {}
for name in CARRIED:
    home, as_it_is = scored(name, "home"), scored(name, "away")
    gains[name] = {
        "at home: factors of the other belt, less own": gain(scored(name, "home", "other"), home),
        "at home: factors of both, less own": gain(scored(name, "home", BOTH), home),
        "as it is, less trained there": gain(as_it_is, home),
        "away: factors refitted, less as it is": gain(scored(name, "away", "own", "factors"), as_it_is),
        "away: batch statistics, less as it is": gain(scored(name, "away", "own", "batch statistics"), as_it_is),
        "away: factors of both, less as it is": gain(scored(name, "away", BOTH), as_it_is),
        "away, less p1-p99 as it is": gain(as_it_is, scored(REFERENCE, "away")),
    }
rows = [
    {"difference": what}
    | {
        short_name: interval(gains[name][what]) if len(gains[name][what]) else "—"
        for name, short_name in CARRIED.items()
    }
    for what in gains[REFERENCE]
    if what != "away, less p1-p99 as it is"
]
rows.append(
    {"difference": "away, less p1-p99 as it is"}
    | {
        short_name: interval(gains[name]["away, less p1-p99 as it is"]) if name != REFERENCE else "0"
        for name, short_name in CARRIED.items()
    }
)
glue("tab-elsewhere-gains", plots.table(pd.DataFrame(rows)))
foreign = gains[REFERENCE]["at home: factors of the other belt, less own"]
shared = gains[REFERENCE]["at home: factors of both, less own"]
refitted = gains[REFERENCE]["away: factors refitted, less as it is"]

# %% tags=["remove-cell", "nbval-check-output"]
for belt in BELTS:
    glue(f"elsewhere_{belt}", "{:.0f}° to {:.0f}°".format(*LATITUDES_DEG[belt]), display=False)
glue("elsewhere_transfer_seeds", f"{transfer['seed'].nunique()}", display=False)
glue("elsewhere_foreign", interval(foreign), display=False)
glue("elsewhere_refitted", interval(refitted), display=False)
glue("elsewhere_refitted_verdict", verdict(refitted), display=False)
glue("elsewhere_shared", interval(shared), display=False)
glue("elsewhere_shared_verdict", verdict_of_equality(shared.to_frame(), MARGIN_MCC), display=False)
glue("elsewhere_foreign_verdict", verdict(-foreign), display=False)
glue("elsewhere_margin", f"{MARGIN_MCC:g}", display=False)
print(f"{foreign.mean():+.3f} {shared.mean():+.3f} {refitted.mean():+.3f}")

# %% [markdown]
# ````{table} Simulated fields, archived: MCC of the extent in a belt of latitudes, of networks that were trained there with factors of that belt, of the other or of both; mean and range over the seeds.
# :name: tab-elsewhere-factors
# ```{glue:md} tab-elsewhere-factors
# :format: myst
# ```
# ````
#
# ````{table} Simulated fields, archived: MCC of the extent in a belt of latitudes. Trained there: what one would wish for. The others come from the other belt: as they are, with factors or batch statistics of the belt that is tested, or trained with factors of both; mean and range over the seeds.
# :name: tab-elsewhere-transfer
# ```{glue:md} tab-elsewhere-transfer
# :format: myst
# ```
# ````
#
# ````{table} Simulated fields, archived: differences within seeds, mean of both belts with its 95 % interval. Factors of both belts are those of another trained network; refitted factors and batch statistics leave the weights as they are.
# :name: tab-elsewhere-gains
# ```{glue:md} tab-elsewhere-gains
# :format: myst
# ```
# ````
#
# Factors of the other belt change the score of p1-p99 at home by {glue:text}`elsewhere_foreign` ({numref}`tab-elsewhere-gains`, {glue:text}`elsewhere_transfer_seeds` seeds): a network can learn to live with foreign factors. Away, factors taken anew change it by {glue:text}`elsewhere_refitted`; that they help is {glue:text}`elsewhere_refitted_verdict`. Factors are those of all land and the whole year, images are of fields in the growing season. That dilutes what refitting could do. *Each image* has three advantages or burdens of its own: it uses the image that is tested, its percentiles are of fields in their season, and it sees no more than one patch. What latitude does to the images was built in ([chapter 3](03_land_latitude_season.ipynb)).
#
# ## What becomes of the study's warnings
#
# - *Given time, the gap between best and worst closes*: {glue:text}`elsewhere_closing_verdict`.
# - *Factors of another latitude suit less*, asked of networks trained with them: {glue:text}`elsewhere_foreign_verdict`.
# - *One set of factors serves both latitudes*, to within an MCC of {glue:text}`elsewhere_margin`: {glue:text}`elsewhere_shared_verdict`. The margin was set before any two networks could be compared.
#
# Confirmed and refuted go by 95 % intervals within seeds; open is what they leave undecided.
#
# ## What this chapter cannot say
#
# - The study's best and worst alone were trained for longer. If others are best and worst here, that question was asked of the wrong pair.
# - Few seeds give wide intervals. A seed is another part of the world and another network at once.
# - What latitude does, and how bright glints are, was built in.
# - All of it is simulated. Networks for real fields would show whether the order of the differences holds.
#
# ## Exercises
#
# 1. Swap south and north in the live network. Is the loss as large?
# 2. Which digital number is the brightest of your own scenes? `millpond normalize stats` tells. Where does min-max with it put the middle of B02?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. {numref}`tab-elsewhere-transfer` has both directions.
# 2. Compare with {numref}`tab-elsewhere-largest`.
# ```
#
# The works cited are listed under [references](../../book/references.md).
