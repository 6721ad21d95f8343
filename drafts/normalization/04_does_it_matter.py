# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does it matter to the network?
#
# *Which of the eight normalizations lets a network find fields best, and is the difference larger than chance?*
#
# {cite:t}`omankadunc2022` trained a U-Net on a part of AI4Boundaries {cite:p}`dandrimont2023`, once with each normalization, for 4 epochs. Percentiles without bounds were best, min-max was worst. They trained each network once, and say themselves that 4 epochs may be few.
#
# We ask again on simulated fields, where we can have as many parts of the world as we like: each seed has other fields, the same for all normalizations. Then on real images, once with labels, and once to look at.
#
# **You will learn** how fields are delineated, to compare normalizations in pairs, to tell a slow start from a worse end, and what happens when factors of one region meet another. **You need** [the chapter before](03_land_latitude_season.ipynb). **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy import stats
from shapely import from_wkt
from statsmodels.stats.multitest import multipletests

from millpond import datasets, plots, published
from millpond.claims import mean_and_interval, verdict
from millpond.experiment import load_runs, results_dir
from millpond.normalization import NORMALIZATIONS, fit_normalization
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.fields import (
    INPUTS,
    PER_IMAGE,
    TRAIN,
    VALID,
    fields,
    real_scenes,
    year_histogram,
)
from millpond.normalization.study import EXTREMES, LONGER_EPOCHS, TRANSFERRED, grids_of
from millpond.normalization.targets import parcel_targets

plots.use_style()
ARCHIVE = results_dir() / "normalization" / "full"
COLORS = dict(
    zip(
        INPUTS,
        ["#000000", "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#117733", "#88CC33", "#AA4499", "#888888", "#BBBBBB"],
        strict=True,
    )
)
LINEAR = ("min-max", "p1-p99", "p1-p99-bounded")
REFERENCE, WORST = EXTREMES
SHORT = {name: name.replace("dynamic-world", "dw") for name in INPUTS}
METRICS = {
    "extent_iou": "extent, IoU",
    "extent_acc": "extent, accuracy",
    "extent_mcc": "extent, MCC",
    "boundary_iou": "boundary, IoU",
    "boundary_acc": "boundary, accuracy",
    "boundary_mcc": "boundary, MCC",
}

# %% [markdown]
# ## The task
#
# An image goes in; out come three layers, those of AI4Boundaries: where there are fields (*extent*), where they end (*boundary*), and how far from the boundary a pixel lies (*distance*). The network is a U-Net {cite:p}`ronneberger2015` with a ResNet-18 as encoder and random weights. Its loss adds cross-entropies and Tanimoto distances {cite:p}`diakogiannis2020`. The normalization is its first layer.
#
# Two short networks, live, show how it goes. The factors are not taken from the images that train but from a survey of all land and the whole year. The study has done so for equalization; for the others it doesn't say.

# %%
train, held_out = fields(0, TRAIN, 24, 64), fields(0, VALID, 12, 64)
histogram = year_histogram(0, 64, n=60)
live = {}
for name in EXTREMES:
    normalization = fit_normalization(name, histogram)
    network = FieldSegmenter(normalization, max_epochs=2, batch_size=2)
    live[name] = network.fit(*train).evaluate(*held_out)

# %% tags=["hide-input", "remove-output"]
dn, parcels = (part[int(np.argmax([(p > 0).mean() for p in train[1]]))] for part in train)
extent, boundary, distance = parcel_targets(parcels)
fig, axes = plt.subplots(1, 4, figsize=(7.5, 2.2))
plots.show_composite(axes[0], np.stack([dn[3] / 5000, dn[2] / 2500, dn[1] / 2000]), "image")
for ax, layer, title in zip(axes[1:], (extent, boundary, distance), ("extent", "boundary", "distance"), strict=True):
    ax.imshow(layer, cmap="cividis")
    ax.set(title=title)
    ax.set_axis_off()
glue("fig-matter-task", fig)
plt.close(fig)
rows = [
    {"normalization": name} | {told: f"{scores[metric]:.2f}" for metric, told in METRICS.items() if "acc" not in metric}
    for name, scores in live.items()
]
glue("tab-matter-live", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
print({name: sorted(scores) == sorted(METRICS) for name, scores in live.items()})

# %% [markdown]
# ```{glue:figure} fig-matter-task
# :name: fig-matter-task
# :alt: A false-colour image of fields, and three layers made of its parcels.
#
# Simulated patch, and the three layers that the network learns.
# ```
#
# ````{table} Simulated fields, live: two networks after two short epochs, on images that they haven't seen.
# :name: tab-matter-live
# ```{glue:md} tab-matter-live
# :format: myst
# ```
# ````
#
# {numref}`fig-matter-task` is made like the {glue:text}`matter_n_train` patches of {glue:text}`matter_size` pixels that train in the archive. {numref}`tab-matter-live` shows that two epochs on a few small ones are no result.
#
# ## A few epochs

# %% tags=["hide-input", "remove-output"]
archived = load_runs(ARCHIVE / "fields")
last = archived[archived["epoch"] == archived["epoch"].max()]
n_seeds = archived["seed"].nunique()
N_EPOCHS = int(archived["epoch"].max())
case = grids_of("full")["fields"][1][0]

fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.4), sharex=True, sharey="row")
groups = (LINEAR, [name for name in INPUTS if name not in LINEAR])
for column, names in zip(axes.T, groups, strict=True):
    for ax, loss in zip(column, ("train_loss", "valid_loss"), strict=True):
        for name in names:
            part = archived[archived["normalization"] == name].pivot(index="epoch", columns="seed", values=loss)
            ax.plot(part.index, part.mean(axis=1), "o-", ms=3, color=COLORS[name], label=SHORT[name])
            ax.fill_between(part.index, part.min(axis=1), part.max(axis=1), color=COLORS[name], alpha=0.12, lw=0)
axes[0, 0].set(ylabel="training loss", title="linear")
axes[0, 1].set(title="others")
axes[1, 0].set(ylabel="validation loss")
for ax in axes[1]:
    ax.set(xlabel="epoch", xticks=range(1, N_EPOCHS + 1))
for ax in axes[0]:
    ax.legend(fontsize=7)
glue("fig-matter-losses", fig)
plt.close(fig)

fig, axes = plt.subplots(2, 3, figsize=(7.5, 5.2), sharey=True)
for ax, (metric, title) in zip(axes.flat, METRICS.items(), strict=True):
    part = last.pivot(index="seed", columns="normalization", values=f"valid_{metric}")[list(INPUTS)]
    for i, name in enumerate(INPUTS):
        ax.plot(part[name], [i] * len(part), "o", ms=3, color=COLORS[name], alpha=0.6)
        ax.plot(part[name].mean(), i, "|", ms=12, mew=2, color=COLORS[name])
    ax.set(title=title, yticks=range(len(INPUTS)), yticklabels=[SHORT[name] for name in INPUTS])
    ax.tick_params(labelsize=7)
axes[0, 0].invert_yaxis()
glue("fig-matter-metrics", fig)
plt.close(fig)


def paired(frame: pd.DataFrame, metric: str, name: str, reference: str = REFERENCE) -> tuple[float, float, float]:
    """Mean of the paired differences from the reference, and the 95 % interval by Student's t over the seeds."""
    by_seed = frame.pivot(index="seed", columns="normalization", values=metric)
    return mean_and_interval(by_seed[name] - by_seed[reference])


def with_interval(mean: float, low: float, high: float) -> str:
    """As text."""
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})" if np.isfinite(low) else f"{mean:+.3f}"


rows = []
for name in INPUTS:
    part = last[last["normalization"] == name]
    rows.append(
        {
            "normalization": SHORT[name],
            "extent, MCC": plots.mean_and_range(part["valid_extent_mcc"], "{:.3f}"),
            "boundary, MCC": plots.mean_and_range(part["valid_boundary_mcc"], "{:.3f}"),
            "extent, against p1-p99": with_interval(*paired(last, "valid_extent_mcc", name))
            if name != REFERENCE
            else "0",
            "boundary, against p1-p99": with_interval(*paired(last, "valid_boundary_mcc", name))
            if name != REFERENCE
            else "0",
        }
    )
glue("tab-matter-paired", plots.table(pd.DataFrame(rows)))


def middle(frame: pd.DataFrame) -> str:
    """Where the middle 98 % of B02 lie, mean of the seeds."""
    low, high = frame[["low_B02", "high_B02"]].mean()
    return f"{low:.3f} to {high:.3f}" if np.isfinite(low) else "—"


rows = []
for name in INPUTS:
    part = last[last["normalization"] == name]
    rows.append(
        {
            "normalization": SHORT[name],
            "as it is": plots.mean_and_range(part["valid_extent_mcc"], "{:.3f}"),
            "settled": plots.mean_and_range(part["settled_extent_mcc"], "{:.3f}"),
            "middle 98 % of B02": middle(part),
        }
    )
glue("tab-matter-settled", plots.table(pd.DataFrame(rows)))
brightest = load_runs(ARCHIVE / "fields_largest")
brightest = brightest[brightest["epoch"] == brightest["epoch"].max()]
rows = []
for told, part in [
    *((f"{largest:,.0f}", part) for largest, part in brightest.groupby("largest")),
    ("of the survey", last[last["normalization"] == WORST]),
]:
    both = pd.concat([part, last[last["normalization"] == REFERENCE]])
    rows.append(
        {
            "largest digital number": told,
            "middle 98 % of B02": middle(part),
            "extent, MCC": plots.mean_and_range(part["valid_extent_mcc"], "{:.3f}"),
            "extent, against p1-p99": with_interval(*paired(both, "valid_extent_mcc", WORST)),
            "boundary, against p1-p99": with_interval(*paired(both, "valid_boundary_mcc", WORST)),
        }
    )
glue("tab-matter-largest", plots.table(pd.DataFrame(rows)))
published_range = published.text(
    "normalization_claims", section="linear", claim="range of the min/max result for B2, effective"
)

# %% [markdown]
# ```{glue:figure} fig-matter-losses
# :name: fig-matter-losses
# :alt: Four panels of training and validation loss over the epochs, linear normalizations left, the others right, with bands of the seeds.
#
# Simulated fields, archived: training loss (above) and validation loss (below), mean and range of {glue:text}`matter_seeds` seeds. Counterpart of the study's Fig. 13.
# ```
#
# ```{glue:figure} fig-matter-metrics
# :name: fig-matter-metrics
# :alt: Six panels of dots, one row for each normalization.
#
# Simulated fields, archived: scores on held-out images after {glue:text}`matter_epochs` epochs, each seed (dots) and their mean (strokes). Counterpart of the study's Fig. 14.
# ```
#
# {numref}`fig-matter-losses` and {numref}`fig-matter-metrics` show what the study shows, with the spread that it lacks. A seed is a part of the world, and some parts are harder than others; so {numref}`tab-matter-paired` compares within seeds.
#
# ````{table} Simulated fields, archived: Matthews correlation after the last epoch, mean and range over the seeds, and the difference from p1-p99 within seeds with its 95 % interval.
# :name: tab-matter-paired
# ```{glue:md} tab-matter-paired
# :format: myst
# ```
# ````
#
# One thing to know when reading {numref}`fig-matter-losses`: a network with batch normalization judges new images by running means of what it saw, and these begin at one. After the first epoch they still remember it, most for inputs that are small, as those of min-max are. {numref}`tab-matter-settled` takes the statistics anew from training images before the last test.
#
# ````{table} Simulated fields, archived: Matthews correlation of the extent after the last epoch as it is, and with statistics of batch normalization taken anew; mean and range over the seeds. Last column: where the middle 98 % of the B02 pixels of the survey lie.
# :name: tab-matter-settled
# ```{glue:md} tab-matter-settled
# :format: myst
# ```
# ````
#
# ## How bright is the brightest?
#
# The largest digital number decides on min-max, and it belongs to a handful of roofs. How bright those are we built in. The study's B02 ends up at {glue:text}`matter_published_range` of the range. {numref}`tab-matter-largest` trains min-max with other largest numbers.
#
# ````{table} Simulated fields, archived: min-max with other largest digital numbers; where the middle 98 % of B02 lie, and the difference from p1-p99 within seeds with its 95 % interval.
# :name: tab-matter-largest
# ```{glue:md} tab-matter-largest
# :format: myst
# ```
# ````
#
# ## For longer
#
# Do the extremes end up alike? {numref}`fig-matter-longer` gives them {glue:text}`matter_longer` epochs; since the learning rate rises and falls once over all epochs, this is another schedule and no continuation. A second look asks for a cause. The encoder has batch normalization after each convolution. It undoes a common scale of the input, not the ratio of the bands. The study does not describe its network. {numref}`tab-matter-plain` has the extremes in one encoder (VGG-11) without batch normalization and with it.

# %% tags=["hide-input", "remove-output"]
longer = load_runs(ARCHIVE / "fields_longer")
encoders = load_runs(ARCHIVE / "fields_encoders")
encoders = encoders[encoders["epoch"] == encoders["epoch"].max()]
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.7), sharex=True)
for ax, (metric, title) in zip(
    axes,
    (("valid_loss", "validation loss"), ("valid_extent_mcc", "extent, MCC"), ("valid_boundary_mcc", "boundary, MCC")),
    strict=True,
):
    for name in EXTREMES:
        part = longer[longer["normalization"] == name].pivot(index="epoch", columns="seed", values=metric)
        ax.plot(part.index, part.mean(axis=1), color=COLORS[name], label=name)
        ax.fill_between(part.index, part.min(axis=1), part.max(axis=1), color=COLORS[name], alpha=0.15, lw=0)
    ax.set(title=title, xlabel="epoch")
axes[0].legend()
glue("fig-matter-longer", fig)
plt.close(fig)
settings = {
    f"{N_EPOCHS} epochs, ResNet-18": last,
    f"{LONGER_EPOCHS} epochs, ResNet-18": longer[longer["epoch"] == longer["epoch"].max()],
    f"{N_EPOCHS} epochs, VGG-11 without": encoders[encoders["encoder"] == "vgg11"],
    f"{N_EPOCHS} epochs, VGG-11 with": encoders[encoders["encoder"] == "vgg11_bn"],
}
rows = []
for told, frame in settings.items():
    row = {"network": told}
    for metric, name in (("valid_extent_mcc", "extent, MCC"), ("valid_boundary_mcc", "boundary, MCC")):
        by_name = frame.groupby("normalization")[metric].mean()
        row[name] = f"{by_name[REFERENCE]:.3f} and {by_name[WORST]:.3f}"
        row[f"{name}: min-max less p1-p99"] = with_interval(*paired(frame, metric, WORST))
    rows.append(row)
glue("tab-matter-plain", plots.table(pd.DataFrame(rows)))

# %% [markdown]
# ```{glue:figure} fig-matter-longer
# :name: fig-matter-longer
# :alt: Validation loss and two scores over many epochs for p1-p99 and min-max.
#
# Simulated fields, archived: the study's best and worst for longer, mean and range of the seeds.
# ```
#
# ````{table} Simulated fields, archived: p1-p99 and min-max (mean over the seeds), and their difference within seeds with its 95 % interval, after few and many epochs, and in an encoder without batch normalization and with it.
# :name: tab-matter-plain
# ```{glue:md} tab-matter-plain
# :format: myst
# ```
# ````
#
# ## Fields, not pixels
#
# A user wants parcels. {numref}`tab-matter-parcels` cuts the predictions into parcels, with a threshold chosen on training images, and compares them with the true ones. Over-segmentation: the part of a true field that its best parcel misses. Under-segmentation: the part of that parcel that belongs elsewhere {cite:p}`persello2010`.

# %% tags=["hide-input", "remove-output"]
rows = []
for name, frame, told in [(name, last, f"{N_EPOCHS} epochs") for name in INPUTS] + [
    (name, settings[f"{LONGER_EPOCHS} epochs, ResNet-18"], f"{LONGER_EPOCHS} epochs") for name in EXTREMES
]:
    part = frame[frame["normalization"] == name]
    rows.append(
        {
            "normalization": SHORT[name],
            "trained for": told,
            "over-segmentation": plots.mean_and_range(part["oversegmentation"], "{:.2f}"),
            "under-segmentation": plots.mean_and_range(part["undersegmentation"], "{:.2f}"),
            "F1 of parcels": plots.mean_and_range(part["f1"], "{:.2f}"),
            "median IoU": plots.mean_and_range(part["median_iou"], "{:.2f}"),
            "F1, against p1-p99": with_interval(*paired(frame, "f1", name)) if name != REFERENCE else "0",
        }
    )
glue("tab-matter-parcels", plots.table(pd.DataFrame(rows)))

# %% [markdown]
# ````{table} Simulated fields, archived: parcels on held-out images, mean and range over the seeds. F1: a parcel counts if it has at least half of its union with a true one in common. Last column: the difference from p1-p99 within seeds with its 95 % interval.
# :name: tab-matter-parcels
# ```{glue:md} tab-matter-parcels
# :format: myst
# ```
# ````
#
# ## Factors of another latitude
#
# The study asks whether one set of factors serves a continent, and warns that those of one latitude may not fit another. It never tests it. {numref}`tab-matter-transfer` does, between a belt in the south (36° to 44° N) and one in the north (54° to 62° N). A network meets the other belt as it is; with factors, or with statistics of its batch normalization, taken anew from that belt, its weights untouched; or it was trained with factors of both belts from the start.

# %% tags=["hide-input", "remove-output"]
transfer = load_runs(ARCHIVE / "transfer")
rows = []
for name in (*TRANSFERRED, PER_IMAGE):
    for trained, tested in (("south", "north"), ("north", "south")):
        part = transfer[(transfer["normalization"] == name) & (transfer["trained"] == trained)]
        unpooled = part[~part["pooled"].astype(bool)]
        away = unpooled[unpooled["tested"] == tested]
        there = transfer[
            (transfer["normalization"] == name) & (transfer["trained"] == tested) & (transfer["tested"] == tested)
        ]
        pooled = part[part["pooled"].astype(bool) & (part["tested"] == tested) & (part["changed"] == "nothing")]
        kinds = {
            "trained there": there[~there["pooled"].astype(bool)],
            "as it is": away[away["changed"] == "nothing"],
            "factors refitted": away[away["changed"] == "factors"],
            "batch statistics": away[away["changed"] == "batch statistics"],
            "pooled factors": pooled,
        }
        rows.append(
            {"normalization": SHORT.get(name, "each image"), "trained → tested": f"{trained} → {tested}"}
            | {
                told: plots.mean_and_range(chosen["extent_mcc"], "{:.2f}") if len(chosen) else "—"
                for told, chosen in kinds.items()
            }
        )
glue("tab-matter-transfer", plots.table(pd.DataFrame(rows)))


def gains(changed: str, *, pooled: bool = False) -> pd.DataFrame:
    """Extent MCC away less that of the network as it is, by seed (rows) and normalization (columns), mean of belts."""
    away = transfer[transfer["tested"] != transfer["trained"]]
    is_pooled = away["pooled"].astype(bool)
    keys = ["seed", "normalization", "trained"]
    own = away[~is_pooled & (away["changed"] == "nothing")].set_index(keys)["extent_mcc"]
    other = away[(is_pooled if pooled else ~is_pooled) & (away["changed"] == changed)].set_index(keys)["extent_mcc"]
    return (other - own).dropna().groupby(["seed", "normalization"]).mean().unstack("normalization")


def interval(values) -> str:
    """Mean and 95 % interval by Student's t."""
    return with_interval(*mean_and_interval(values))


CHANGES = {
    "factors refitted": gains("factors"),
    "batch statistics": gains("batch statistics"),
    "pooled factors": gains("nothing", pooled=True),
}
rows = [
    {"normalization": SHORT.get(name, "each image")}
    | {told: interval(frame[name].to_numpy()) if name in frame else "—" for told, frame in CHANGES.items()}
    for name in (*TRANSFERRED, PER_IMAGE)
]
glue("tab-matter-gains", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_n_train", f"{case['n_train']}", display=False)
glue("matter_size", f"{case['size']} x {case['size']}", display=False)
glue("matter_seeds", f"{n_seeds}", display=False)
glue("matter_epochs", f"{N_EPOCHS}", display=False)
glue("matter_longer", f"{LONGER_EPOCHS}", display=False)
low, high = published_range.split("-")
glue("matter_published_range", f"{low} to {high}", display=False)
print({told: frame.mean().round(3).to_dict() for told, frame in CHANGES.items()})

# %% [markdown]
# ````{table} Simulated fields, archived: Matthews correlation of the extent in a belt of latitudes. "Trained there": of a network of that belt, what one would wish for. The others come from the other belt: as they are, with factors or batch statistics of the belt that is tested, or trained with factors of both belts; mean and range over the seeds.
# :name: tab-matter-transfer
# ```{glue:md} tab-matter-transfer
# :format: myst
# ```
# ````
#
# ````{table} Simulated fields, archived: what is gained away from home over the network as it is, within seeds, mean of both directions with its 95 % interval. "Pooled" is another trained network, the other two have the same weights.
# :name: tab-matter-gains
# ```{glue:md} tab-matter-gains
# :format: myst
# ```
# ````
#
# Factors are those of all land and the whole year, images are of fields from March to August; that dilutes what refitting could do. "Each image" has no common factors at all: every band of every image is stretched by its own percentiles ({numref}`tab-matter-gains`).
#
# ## Real land cover
#
# No outlines of real fields can be bundled. But the German scene has polygons of OpenStreetMap. So a second task, on real images: give each pixel its land cover. Whole blocks of the scene are held out, with a strip between; pixels without a polygon count nowhere.

# %% tags=["hide-input", "remove-output"]
cover = load_runs(ARCHIVE / "land_cover")
by_seed = cover.groupby(["seed", "normalization"])[["class_iou", "class_acc", "class_mcc"]].mean().reset_index()
rows = []
for name in INPUTS:
    part = by_seed[by_seed["normalization"] == name]
    if not len(part):
        continue
    rows.append(
        {
            "normalization": SHORT[name],
            "mean IoU": plots.mean_and_range(part["class_iou"], "{:.3f}"),
            "accuracy": plots.mean_and_range(part["class_acc"], "{:.3f}"),
            "MCC": plots.mean_and_range(part["class_mcc"], "{:.3f}"),
            "MCC, against p1-p99": with_interval(*paired(by_seed, "class_mcc", name)) if name != REFERENCE else "0",
        }
    )
glue("tab-matter-cover", plots.table(pd.DataFrame(rows)))
largest = cover.groupby(["seed", "fold"])["largest_share"].first().mean()

# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_largest", f"{largest:.0%}", display=False)
glue("matter_cover_seeds", f"{cover['seed'].nunique()}", display=False)
print(f"{largest:.3f}", cover["seed"].nunique())

# %% [markdown]
# ````{table} Real data (lossy L1C of February): land cover on held-out blocks, mean over three folds, then mean and range over seeds, which deal the blocks anew; and the difference from p1-p99 within seeds with its 95 % interval.
# :name: tab-matter-cover
# ```{glue:md} tab-matter-cover
# :format: myst
# ```
# ````
#
# Who always says the commonest class is right on {glue:text}`matter_largest` of the pixels ({numref}`tab-matter-cover`). The seeds share one scene and differ in its blocks, so these intervals are too narrow.
#
# ## Real scenes
#
# What does a network that saw simulated fields alone take for fields on real ones? {numref}`fig-matter-maps` has no truth to be scored with. Look at it.

# %% tags=["hide-input", "remove-output"]
maps = load_runs(ARCHIVE / "real_maps")
shown = real_scenes() if datasets.is_present("ftw") else {}
heights = [dn.shape[1] / dn.shape[2] for dn in shown.values()] or [1]
fig, axes = plt.subplots(
    len(heights), 2, figsize=(7.5, 3.8 * sum(heights) + 0.3 * len(heights)), height_ratios=heights, squeeze=False
)
for pair, (scene, dn) in zip(axes, shown.items(), strict=False):
    scale = np.percentile(dn, 98, axis=(1, 2))
    for ax, factors in zip(pair, ("simulated", "scene"), strict=True):
        plots.show_composite(ax, dn[[3, 2, 1]] / scale[[3, 2, 1], None, None], f"{scene}: {factors} factors")
        part = maps[(maps["scene"] == scene) & (maps["factors"] == factors)]
        for outline in from_wkt(part["outline"].to_numpy(str)):
            for piece in getattr(outline, "geoms", [outline]):
                ax.plot(*np.array(piece.exterior.coords).T, color="yellow", lw=0.6)
if not shown:
    for ax in axes.flat:
        ax.set_axis_off()
glue("fig-matter-maps", fig)
plt.close(fig)
rows = [
    {
        "scene": scene,
        "factors": factors,
        "parcels": f"{len(part):,}",
        "median area (ha)": f"{part['area_ha'].median():.1f}",
        "total area (ha)": f"{part['area_ha'].sum():,.0f}",
    }
    for (scene, factors), part in maps.groupby(["scene", "factors"], sort=False)
]
glue("tab-matter-maps", plots.table(pd.DataFrame(rows)))

# %% [markdown]
# ```{glue:figure} fig-matter-maps
# :name: fig-matter-maps
# :alt: Real scenes in false colour with yellow outlines of what a network takes for fields, with factors of the simulated Europe and of the scene.
#
# Real scenes (where the data root has them), and what a network trained on simulated fields outlines on them. Left with the factors that it was trained with, right with factors of the scene. Upper Austria is L2A: another product than the network knows.
# ```
#
# ````{table} Real scenes, archived: parcels that a network trained on simulated fields finds.
# :name: tab-matter-maps
# ```{glue:md} tab-matter-maps
# :format: myst
# ```
# ````
#
# ## The study's claims

# %% tags=["hide-input", "remove-output"]
mcc = last.pivot(index="seed", columns="normalization", values="valid_extent_mcc")[list(NORMALIZATIONS)]
curves = archived.set_index(["normalization", "seed", "epoch"])["valid_loss"].unstack("epoch")
falls = (curves.diff(axis=1).iloc[:, 1:] < 0).all(axis=1)
training = archived.set_index(["normalization", "seed", "epoch"])["train_loss"].unstack("epoch")
early = ((training[1] - training[2]) / (training[1] - training[N_EPOCHS])).unstack("seed").T[list(NORMALIZATIONS)]
gap = (
    (last.set_index(["normalization", "seed"])[["valid_loss", "train_loss"]])
    .eval("valid_loss - train_loss")
    .unstack("seed")
    .T
)


def clear(differences: pd.DataFrame) -> np.ndarray:
    """Which columns have a mean other than zero: t-tests over the seeds, with Holm's correction for their number."""
    return multipletests(stats.ttest_1samp(differences, 0).pvalue, method="holm")[0]


def is_extreme(
    frame: pd.DataFrame, metric: str, name: str, *, best: bool = True, smaller: bool = False
) -> tuple[str, str]:
    """What becomes of the claim that one normalization is the best, or the worst; if `smaller` values are better."""
    by_seed = frame.pivot(index="seed", columns="normalization", values=metric)
    others = by_seed[[other for other in NORMALIZATIONS if other != name and other in by_seed]]
    ahead = -others.sub(by_seed[name], axis=0) * (1 if best != smaller else -1)
    n_ahead, n_behind = (int((clear(ahead) & side).sum()) for side in (ahead.mean() > 0, ahead.mean() < 0))
    one, other = ("better", "worse") if best else ("worse", "better")
    return (
        f"{one} than {n_ahead}, {other} than {n_behind} of {others.shape[1]}",
        "refuted" if n_behind else "confirmed" if n_ahead == others.shape[1] else "open",
    )


linear, others = list(LINEAR), [name for name in NORMALIZATIONS if name not in LINEAR]
pairs = pd.DataFrame({f"{a} less {b}": mcc[a] - mcc[b] for a, b in combinations(others, 2)})
differ = int(clear(pairs).sum())
steady = falls[linear].mean(), falls[others].mean()
faster = early[WORST] - early.drop(columns=WORST).mean(axis=1)
within = np.ptp(mcc[linear], axis=1) - (mcc[linear].mean(axis=1) - mcc[others].mean(axis=1)).abs()
further = gap[others].mean(axis=1) - gap[linear].mean(axis=1)
of_real = (
    is_extreme(by_seed, "class_mcc", REFERENCE),
    is_extreme(by_seed, "class_mcc", WORST, best=False),
    is_extreme(by_seed, "class_iou", REFERENCE),
)
claims = [
    ("p1-p99 is best by MCC of the extent", *is_extreme(last, "valid_extent_mcc", REFERENCE), ", ".join(of_real[0])),
    ("p1-p99 is best by MCC of the boundary", *is_extreme(last, "valid_boundary_mcc", REFERENCE), "—"),
    ("p1-p99 is best by IoU of the extent", *is_extreme(last, "valid_extent_iou", REFERENCE), ", ".join(of_real[2])),
    ("p1-p99 is best by validation loss", *is_extreme(last, "valid_loss", REFERENCE, smaller=True), "—"),
    ("min-max is worst by MCC of the extent", *is_extreme(last, "valid_extent_mcc", WORST, best=False), ", ".join(of_real[1])),
    ("min-max is worst by MCC of the boundary", *is_extreme(last, "valid_boundary_mcc", WORST, best=False), "—"),
    (
        "min-max converges faster than others",
        f"larger part of its fall in the second epoch: {interval(faster)}",
        verdict(faster),
        "—",
    ),
    ("p1-p99-bounded is second", *is_extreme(last[last["normalization"] != REFERENCE], "valid_extent_mcc", "p1-p99-bounded"), "—"),
    (
        "the five others are comparable with each other",
        f"{differ} of {pairs.shape[1]} pairs differ clearly",
        "refuted" if differ else "not refuted",
        "—",
    ),
    (
        "small changes within a kind matter more than the kind",
        f"range among linear less difference of the kinds: {interval(within)}",
        verdict(within),
        "—",
    ),
    (
        "validation loss falls steadily for linear methods and not for the others",
        f"in {falls[linear].sum()} of {falls[linear].size} and in {falls[others].sum()} of {falls[others].size}",
        "confirmed" if steady == (1, 0) else "refuted" if steady[0] <= steady[1] else "open",
        "—",
    ),
    (
        "validation loss is further from training loss for the others",
        f"difference of the gaps: {interval(further)}",
        verdict(further),
        "—",
    ),
]  # fmt: skip
contenders = [
    SHORT[name]
    for name in NORMALIZATIONS
    if name == mcc.mean().idxmax() or paired(last, "valid_extent_mcc", name, mcc.mean().idxmax())[2] >= 0
]
glue(
    "tab-matter-claims",
    plots.table(pd.DataFrame(claims, columns=["claim", "simulated fields", "verdict", "real land cover"])),
)
best = published.text("normalization_claims", section="experiment", claim="best by loss, IoU, accuracy and MCC")

# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_best_published", best, display=False)
glue("matter_contenders", ", ".join(contenders), display=False)
glue("matter_n_contenders", f"{len(contenders)}", display=False)
glue("matter_spread", f"{mcc.mean().max() - mcc.mean().min():.3f}", display=False)
print(mcc.mean().idxmax(), mcc.mean().idxmin(), {claim: said for claim, _, said, _ in claims})

# %% [markdown]
# ````{table} Claims of the study (real fields, one run each) asked of simulated fields, and where they can be of real land cover. Better and worse: the difference within seeds is significant at 5 % by a t-test, with Holm's correction for the number of comparisons. Confirmed: better, or worse, than all others; refuted: the opposite of one of them; open: neither.
# :name: tab-matter-claims
# ```{glue:md} tab-matter-claims
# :format: myst
# ```
# ````
#
# Published as best: {glue:text}`matter_best_published`. Ours by the correlation of the extent: {glue:text}`matter_n_contenders` of the eight cannot be told from the one with the highest mean ({glue:text}`matter_contenders`); {glue:text}`matter_spread` lies between the highest and the lowest mean ({numref}`tab-matter-claims`).
#
# ## What this chapter cannot say
#
# - Simulated fields are no fields: no relief, straight edges, crops that keep a calendar. Real outlines were not at hand; `millpond normalize fields fit` trains the same network on AI4Boundaries.
# - The study's network, loss, learning rate and number of images are unknown. Ours were chosen once and not tuned for any normalization; each might have a rate of its own that suits it better.
# - Few seeds give wide intervals. Those of {numref}`tab-matter-paired` are not corrected for the number of comparisons, the verdicts of {numref}`tab-matter-claims` are.
# - The German scene is a lossy copy of one February day.
#
# ## Exercises
#
# 1. Train the live networks above for 10 epochs. Which of them gains more?
# 2. Take `Linear(0.1, 99.9)`. Is it nearer to p1-p99 or to min-max?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. With so few images both learn them by heart. Compare with {numref}`fig-matter-longer`.
# 2. By its factors nearer to p1-p99: `fit_normalization(Linear(0.1, 99.9), histogram).parameters` tells.
# ```
#
# The works cited are listed under [references](../../book/references.md).
