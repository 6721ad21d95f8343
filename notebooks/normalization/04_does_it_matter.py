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
# {cite:t}`omankadunc2022` trained a {term}`U-Net` on a part of AI4Boundaries {cite:p}`dandrimont2023`, once with each normalization, for {glue:text}`matter_epochs_published` {term}`epochs <epoch>`. Best was p1-p99, which sends the 1st and 99th percentile to 0 and 1 and lets the tails leave the interval. Worst was min-max. They trained each network once, and say themselves that so few epochs may not be enough.
#
# We ask again on simulated fields, where we can have as many parts of the world as we like. Each {term}`seed` has other fields, other first weights and another order of samples, all three the same for all normalizations. Then we turn to real images: one with labels of land cover, and a few without labels.
#
# **You will learn** how fields are delineated, to compare normalizations in pairs, and what it takes to call one of them best. **You need** [the chapter before](03_land_latitude_season.ipynb). **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from rasterio.features import rasterize
from scipy import stats
from shapely import from_wkt, get_parts

from millpond import plots, published
from millpond.claims import (
    UNDECIDED,
    fails,
    holds,
    holm,
    p_above,
    verdict,
    verdict_of_counts,
    verdict_of_equality,
    verdict_of_extreme,
)
from millpond.experiment import load_manifest, load_paired_runs, load_runs, results_dir
from millpond.normalization import DIFFERENCES, NORMALIZATIONS, fit_normalization
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.fields import (
    INPUTS,
    OSM_EPOCHS,
    OSM_FOLDS,
    OTHERS_USE,
    SEASON,
    TRAIN,
    VALID,
    Z_SCORE,
    fields,
    real_scenes,
    year_histogram,
)
from millpond.normalization.real_labels import LAND_COVER
from millpond.normalization.study import EXTREMES, MARGIN_MCC, STRETCHED, at_the_end, by_seed, updates
from millpond.normalization.targets import parcel_targets

plots.use_style()
ARCHIVE = results_dir() / "normalization" / "full"
PALETTE = ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#117733", "#88CC33", "#AA4499")
COLORS = dict(zip(NORMALIZATIONS, PALETTE, strict=True))
COLORS |= {f"{name}": COLORS[name.removesuffix("-difference")] for name in DIFFERENCES}
COLORS |= dict(zip(OTHERS_USE, ("#888888", "#CC6677", "#999933", "#44AA99", "#BBBBBB"), strict=True))
LINEAR = ("min-max", "p1-p99", "p1-p99-bounded")
OTHERS = [name for name in NORMALIZATIONS if name not in LINEAR]
REFERENCE, WORST = EXTREMES
SECOND = "p1-p99-bounded"
LEAST_TAU = 0.5
SHORT = {name: name.replace("dynamic-world", "dw") for name in INPUTS}
METRICS = {
    "extent_iou": "extent, IoU",
    "extent_acc": "extent, accuracy",
    "extent_mcc": "extent, MCC",
    "boundary_iou": "boundary, IoU",
    "boundary_acc": "boundary, accuracy",
    "boundary_mcc": "boundary, MCC",
}


def interval(differences, test_to_train: float = 0.0) -> str:
    return plots.mean_and_interval(differences, "{:+.3f}", test_to_train)


def against(frame: pd.DataFrame, metric: str, name: str, reference: str = REFERENCE) -> str:
    """Difference from another normalization within seeds."""
    scores = by_seed(frame, metric)
    return "0" if name == reference else interval(scores[name] - scores[reference])


# %% [markdown]
# ## The task
#
# An image goes in; out come three layers, those of AI4Boundaries: where there are fields (*extent*), where they end (*boundary*), and how far from the boundary a pixel lies (*distance*). The network is a U-Net {cite:p}`ronneberger2015` with a ResNet-18 as its descending part and random weights at first. What it minimizes adds two measures of disagreement, cross-entropy and the Tanimoto distance {cite:p}`diakogiannis2020`. The normalization is its first layer. Beside the study's eight we try Dynamic World's four with the other divisor ([chapter 2](02_eight_normalizations.ipynb)), and what others use: the {term}`z-score`; the mean less and plus two standard deviations as 0 and 1, clipped; a divisor of 3,000 for all bands; the same with a divisor drawn anew for each training image; and raw reflectance that the network normalizes itself, batch by batch.
#
# Two short networks, live, show how it goes. Images are of one clear day between {glue:text}`matter_season`. The factors are not taken from these but from a survey of all land and the whole year. The study has done so for equalization; for the others it doesn't say. Three scores are in use. {term}`IoU` is the common part of two areas over their union. {term}`MCC`, the Matthews correlation, is 1 for a perfect map and 0 for chance, however rare a class is. Accuracy says little about boundaries, since few pixels are of one.

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
months = pd.to_datetime(pd.Series(SEASON), unit="D", origin="2016-12-31").dt.strftime("%B")
glue("matter_season", " and ".join(months), display=False)
epochs = published.text("normalization_claims", section="experiment", claim="epochs")
glue("matter_epochs_published", epochs, display=False)
print({name: bool(scores["extent_acc"] > 0.4) for name, scores in live.items()})  # chance, or a little more

# %% [markdown]
# ```{glue:figure} fig-matter-task
# :name: fig-matter-task
# :alt: A false-colour image of fields, and three layers made of its parcels.
#
# Simulated patch in false colour (B08, B04, B03), and the three layers that the network learns.
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
last = at_the_end(archived)
n_seeds = archived["seed"].nunique()
trained = [name for name in INPUTS if name in set(archived["normalization"])]
others_use = [name for name in OTHERS_USE if name in trained]
N_EPOCHS = int(archived["epoch"].max())
case = load_manifest(ARCHIVE / "fields")["cases"][0]
N_UPDATES = updates(load_manifest(ARCHIVE / "fields"), N_EPOCHS)


fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.4), sharex=True, sharey="row")
groups = ((*LINEAR, *others_use), [*OTHERS, *(name for name in DIFFERENCES if name in trained)])
for column, names in zip(axes.T, groups, strict=True):
    for ax, loss in zip(column, ("train_loss", "valid_loss"), strict=True):
        for name in names:
            part = archived[archived["normalization"] == name].set_index("epoch")[loss]
            style = "o:" if name in DIFFERENCES else "o-"
            plots.mean_and_band(ax, part, style, ms=3, color=COLORS[name], label=SHORT[name])
axes[0, 0].set(ylabel="training loss", title="linear, and what others use")
axes[0, 1].set(title="not linear")
axes[1, 0].set(ylabel="validation loss")
for ax in axes[1]:
    ax.set(xlabel="epoch", xticks=range(1, N_EPOCHS + 1))
for ax in axes[0]:
    ax.legend(fontsize=6)
glue("fig-matter-losses", fig)
plt.close(fig)

fig, axes = plt.subplots(2, 3, figsize=(7.5, 6.6), sharey=True)
for ax, (metric, title) in zip(axes.flat, METRICS.items(), strict=True):
    part = by_seed(last, f"valid_{metric}")
    for i, name in enumerate(trained):
        ax.plot(part[name], [i] * len(part), "o", ms=3, color=COLORS[name], alpha=0.6)
        ax.plot(part[name].mean(), i, "|", ms=12, mew=2, color=COLORS[name])
    ax.set(title=title, yticks=range(len(trained)), yticklabels=[SHORT[name] for name in trained])
    ax.tick_params(labelsize=7)
axes[0, 0].invert_yaxis()
glue("fig-matter-metrics", fig)
plt.close(fig)


def middle(frame: pd.DataFrame) -> str:
    """Where the middle 98 % of B02 lie, mean of the seeds."""
    low, high = frame[["low_B02", "high_B02"]].mean()
    return f"{low:.3f} to {high:.3f}" if np.isfinite(low) else "—"


paired, settled = {"extent": [], "boundary": []}, []
for name in trained:
    part = last[last["normalization"] == name]
    for layer, rows in paired.items():
        metric = f"valid_{layer}_mcc"
        rows.append(
            {"normalization": SHORT[name], "seeds": f"{len(part)}", "MCC": plots.mean_and_range(part[metric], "{:.3f}")}
            | {f"against {extreme}": against(last, metric, name, extreme) for extreme in EXTREMES}
        )
    settled.append(
        {
            "normalization": SHORT[name],
            "as it is": plots.mean_and_range(part["valid_extent_mcc"], "{:.3f}"),
            "settled": plots.mean_and_range(part["settled_extent_mcc"], "{:.3f}"),
            "middle 98 % of B02": middle(part),
        }
    )
for layer, rows in paired.items():
    glue(f"tab-matter-{layer}", plots.table(pd.DataFrame(rows)))
glue("tab-matter-settled", plots.table(pd.DataFrame(settled)))

# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_n_train", f"{case['n_train']}", display=False)
glue("matter_n_valid", f"{case['n_valid']}", display=False)
glue("matter_size", f"{case['size']} x {case['size']}", display=False)
glue("matter_seeds", f"{n_seeds}", display=False)
glue("matter_epochs", f"{N_EPOCHS}", display=False)
glue("matter_updates", f"{N_UPDATES:,}", display=False)
means = by_seed(last, "valid_extent_mcc").mean().sort_values()
for which, i in (("lowest", 0), ("highest", -1)):
    glue(f"matter_{which}", f"{SHORT[means.index[i]]} ({means.iloc[i]:.3f})", display=False)
print(n_seeds, list(means.index), means.round(3).tolist())

# %% [markdown]
# ```{glue:figure} fig-matter-losses
# :name: fig-matter-losses
# :alt: Four panels of training and validation loss over the epochs. Left linear normalizations and what others use; right those that are not linear; with bands of the seeds; dotted where the divisor is the difference.
#
# Simulated fields, archived: training loss (above) and validation loss (below), mean and range of {glue:text}`matter_seeds` seeds. Counterpart of the study's Fig. 13.
# ```
#
# ```{glue:figure} fig-matter-metrics
# :name: fig-matter-metrics
# :alt: Six panels of dots, one row for each normalization.
#
# Simulated fields, archived: scores on held-out images after {glue:text}`matter_epochs` epochs, which are {glue:text}`matter_updates` updates of the weights; each seed (dots) and their mean (strokes). Counterpart of the study's Fig. 14.
# ```
#
# {numref}`fig-matter-losses` and {numref}`fig-matter-metrics` show what the study shows, with the spread that it lacks. A seed is a part of the world, and some parts are harder than others; so {numref}`tab-matter-extent` and {numref}`tab-matter-boundary` compare within seeds. By the MCC of the extent the highest mean has {glue:text}`matter_highest`, the lowest {glue:text}`matter_lowest`. The study has p1-p99 first and min-max last.
#
# ````{table} Simulated fields, archived: MCC of the extent after the last epoch, mean and range over the seeds, and the differences from p1-p99 and min-max within seeds with their 95 % intervals (Student's t). Batch normalization takes its statistics from the images that train, all others from the survey.
# :name: tab-matter-extent
# ```{glue:md} tab-matter-extent
# :format: myst
# ```
# ````
#
# ````{table} Simulated fields, archived: the same of the boundary.
# :name: tab-matter-boundary
# ```{glue:md} tab-matter-boundary
# :format: myst
# ```
# ````
#
# One thing to know when reading {numref}`fig-matter-losses`. In training, a network with {term}`batch normalization` normalizes by the batch; on new images by running means and variances, which begin at 0 and 1. After the first epoch these still remember where they began, and the first validation loss can be too high. After the last epoch little should be left of it: {numref}`tab-matter-settled` compares scores as they are with those after taking the statistics anew from training images.
#
# ````{table} Simulated fields, archived: MCC of the extent after the last epoch as it is, and with statistics of batch normalization taken anew; mean and range over the seeds. Last column: where the middle 98 % of the B02 pixels of the survey lie.
# :name: tab-matter-settled
# ```{glue:md} tab-matter-settled
# :format: myst
# ```
# ````
#
# ## Scale, or the ratio of the bands?
#
# A linear normalization sets a zero, a common scale, and how much room each band gets in comparison with the others. {numref}`tab-matter-room` has that room. p1-p99 gives all bands the same. Min-max gives each what its brightest pixel leaves: the near infrared gets {glue:text}`matter_room_ratio` times as much as the blue. {term}`Batch normalization`, behind the first convolution, undoes a common scale and, but for the edges, the zero. It does not undo the ratio. So two more networks: p1-p99 at a tenth of its scale, and min-max at ten times its own.

# %% tags=["hide-input", "remove-output"]
room = {}
for name in EXTREMES:
    low, high = histogram.percentile([1, 99]).astype(int)
    table = fit_normalization(name, histogram).table
    room[name] = pd.Series([table[i, high[i]] - table[i, low[i]] for i in range(4)], histogram.bands)
rows = [
    {"normalization": name} | {band: f"{width:.3f}" for band, width in widths.items()} for name, widths in room.items()
]
glue("tab-matter-room", plots.table(pd.DataFrame(rows)))

stretched = at_the_end(load_paired_runs(ARCHIVE / "fields_stretched"))
same = last[last["seed"].isin(stretched["seed"]) & last["normalization"].isin(EXTREMES)].assign(stretch=1.0)
four = pd.concat([same, stretched])
factorial = {
    metric: four.pivot(index="seed", columns=["normalization", "stretch"], values=f"valid_{metric}")
    for metric in METRICS
}
rows = []
for name, stretch in sorted(set(factorial["extent_mcc"].columns), reverse=True):
    row = {"ratio of the bands": name, "scale": f"× {stretch:g}"}
    for metric in ("extent_mcc", "boundary_mcc"):
        values = factorial[metric][name, stretch]
        row[METRICS[metric]] = plots.mean_and_range(values, "{:.3f}")
        row[f"{METRICS[metric]}: against p1-p99"] = (
            "0" if (name, stretch) == (REFERENCE, 1) else interval(values - factorial[metric][REFERENCE, 1])
        )
    rows.append(row)
glue("tab-matter-stretched", plots.table(pd.DataFrame(rows)))


def effects(metric: str) -> tuple[pd.Series, pd.Series]:
    """By seed: what the ratios of min-max add, mean of both scales, and what the small scale adds, of both ratios."""
    of = factorial[metric]
    small, large = of[REFERENCE, STRETCHED[REFERENCE]], of[WORST, STRETCHED[WORST]]
    ratio = ((of[WORST, 1] - small) + (large - of[REFERENCE, 1])) / 2
    scale = ((of[WORST, 1] - large) + (small - of[REFERENCE, 1])) / 2
    return ratio, scale


# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_room_ratio", f"{room[WORST]['B08'] / room[WORST]['B02']:.1f}", display=False)
of_both = [effects(metric) for metric in ("extent_mcc", "boundary_mcc")]
n_apart = sum(verdict(effect) != UNDECIDED for effect_pair in of_both for effect in effect_pair)
glue("matter_effects_apart", f"{n_apart}" if n_apart else "none", display=False)
for metric, (ratio, scale) in zip(("extent_mcc", "boundary_mcc"), of_both, strict=True):
    glue(f"matter_ratio_{metric}", interval(ratio), display=False)
    glue(f"matter_scale_{metric}", interval(scale), display=False)
    print(metric, f"{ratio.mean():+.3f} {scale.mean():+.3f}")
glue("matter_stretched_seeds", f"{stretched['seed'].nunique()}", display=False)

# %% [markdown]
# ````{table} Simulated survey, live: how wide the middle 98 % of each band is after normalization.
# :name: tab-matter-room
# ```{glue:md} tab-matter-room
# :format: myst
# ```
# ````
#
# ````{table} Simulated fields, archived: two ratios of the bands at two scales; mean and range over the seeds, and the difference from p1-p99 within seeds with its 95 % interval.
# :name: tab-matter-stretched
# ```{glue:md} tab-matter-stretched
# :format: myst
# ```
# ````
#
# By {numref}`tab-matter-stretched` ({glue:text}`matter_stretched_seeds` seeds) the ratios of min-max change the MCC of the extent by {glue:text}`matter_ratio_extent_mcc`, mean of both scales; its small scale changes it by {glue:text}`matter_scale_extent_mcc`, mean of both ratios. For boundaries it is {glue:text}`matter_ratio_boundary_mcc` and {glue:text}`matter_scale_boundary_mcc`. Of these four effects {glue:text}`matter_effects_apart` can be told from none.
#
# ## Fields, not pixels
#
# A user wants parcels. {numref}`tab-matter-parcels` cuts the predictions into parcels, with a threshold chosen on training images, and compares them with the true ones. Over-segmentation: the part of a true field that its best parcel misses. Under-segmentation: the part of that parcel that belongs elsewhere {cite:p}`persello2010`.

# %% tags=["hide-input", "remove-output"]
rows = []
for name in trained:
    part = last[last["normalization"] == name]
    rows.append(
        {
            "normalization": SHORT[name],
            "over-segmentation": plots.mean_and_range(part["oversegmentation"], "{:.2f}"),
            "under-segmentation": plots.mean_and_range(part["undersegmentation"], "{:.2f}"),
            "F1 of parcels": plots.mean_and_range(part["f1"], "{:.2f}"),
            "median IoU": plots.mean_and_range(part["median_iou"], "{:.2f}"),
            "F1, against p1-p99": against(last, "f1", name),
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
# ## Real land cover
#
# Outlines of real fields were not at hand. But the German scene has polygons of OpenStreetMap. So a second task, on real images: give each pixel its land cover, one of {glue:text}`matter_classes` classes, after {glue:text}`matter_cover_epochs` epochs. Whole blocks of the scene are held out, with a strip between; of a polygon that reaches into several folds, labels remain in one; pixels without a polygon count nowhere. Factors come from the blocks that train.

# %% tags=["hide-input", "remove-output"]
cover = load_runs(ARCHIVE / "land_cover")
covering = [name for name in INPUTS if name in set(cover["normalization"])]
TEST_TO_TRAIN = 1 / (OSM_FOLDS - 1)


def by_fold(metric: str) -> pd.DataFrame:
    """A row a seed and fold, a column a normalization."""
    return cover.pivot(index=["seed", "fold"], columns="normalization", values=metric)


per_seed = cover.groupby(["seed", "normalization"])[["class_iou", "class_acc", "class_mcc"]].mean().reset_index()
largest = cover.groupby(["seed", "fold"])["largest_share"].first().mean()
rows = [
    {
        "normalization": "always the commonest class",
        "seeds": "—",
        "mean IoU": "—",
        "accuracy": f"{largest:.3f}",
        "MCC": "0",
        "MCC, against p1-p99": "—",
        "MCC, against min-max": "—",
    }
]
for name in covering:
    part = per_seed[per_seed["normalization"] == name]
    row = {"normalization": SHORT[name], "seeds": f"{len(part)}"}
    for metric, what in (("class_iou", "mean IoU"), ("class_acc", "accuracy"), ("class_mcc", "MCC")):
        row[what] = plots.mean_and_range(part[metric], "{:.3f}")
    for extreme in EXTREMES:
        gap = by_fold("class_mcc")[name] - by_fold("class_mcc")[extreme]
        row[f"MCC, against {extreme}"] = "0" if name == extreme else interval(gap, TEST_TO_TRAIN)
    rows.append(row)
glue("tab-matter-cover", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_classes", f"{len(LAND_COVER)}", display=False)
glue("matter_cover_epochs", f"{OSM_EPOCHS}", display=False)
glue("matter_cover_seeds", f"{cover['seed'].nunique()}", display=False)
glue("matter_cover_folds", f"{OSM_FOLDS}", display=False)
glue("matter_cover_pixels", f"{cover[['n_train_pixels', 'n_test_pixels']].sum(axis=1).mean():,.0f}", display=False)
cover_means = per_seed.groupby("normalization")["class_mcc"].mean().sort_values()
for which, i in (("lowest", 0), ("highest", -1)):
    glue(f"matter_cover_{which}", f"{SHORT[cover_means.index[i]]} ({cover_means.iloc[i]:.3f})", display=False)
told_apart = {
    extreme: [
        SHORT[name]
        for name in covering
        if verdict(by_fold("class_mcc")[name] - by_fold("class_mcc")[extreme], TEST_TO_TRAIN) != UNDECIDED
    ]
    for extreme in EXTREMES
}
for extreme, names in told_apart.items():
    glue(f"matter_cover_apart_{extreme}", ", ".join(names) or "none", display=False)
print(f"{largest:.3f}", cover["seed"].nunique(), list(cover_means.index), told_apart)

# %% [markdown]
# ````{table} Real data (lossy L1C of February): land cover on held-out blocks, mean over the folds, then mean and range over seeds, which deal the blocks anew; and the differences from p1-p99 and min-max fold by fold with their 95 % intervals, corrected for trainings that share images.
# :name: tab-matter-cover
# ```{glue:md} tab-matter-cover
# :format: myst
# ```
# ````
#
# About {glue:text}`matter_cover_pixels` pixels have a label. {numref}`tab-matter-cover` has {glue:text}`matter_cover_folds` folds and {glue:text}`matter_cover_seeds` seeds. All seeds share one scene, so the intervals are widened by the correction of {cite:t}`nadeau2003`. The highest mean MCC has {glue:text}`matter_cover_highest`, the lowest {glue:text}`matter_cover_lowest`; told apart from p1-p99 by the intervals: {glue:text}`matter_cover_apart_p1-p99`; from min-max: {glue:text}`matter_cover_apart_min-max`. This copy of the scene is compressed with loss, and its brightest values are overshoots of the compression: for min-max it is a special case.
#
# ## Real scenes
#
# What does a network that saw simulated fields alone take for fields on real ones? For {numref}`fig-matter-maps` there is no truth to score it with. One thing can be checked without: water is no field ({numref}`tab-matter-maps`). Of Virginia it is a window of {glue:text}`matter_virginia` pixels, of Upper Austria the whole image.

# %% tags=["hide-input", "remove-output"]
maps = load_runs(ARCHIVE / "real_maps")
shown = real_scenes()
fig, axes = plt.subplots(len(shown), 2, figsize=(7.5, 3.1 * len(shown)), squeeze=False)
rows = []
for pair, (scene, dn) in zip(axes, shown.items(), strict=True):
    scale = np.percentile(dn, 98, axis=(1, 2))
    green, infrared = dn[[1, 3]].astype(float)
    is_water = (green - infrared) / (green + infrared) > 0
    for ax, factors in zip(pair, ("simulated", "scene"), strict=True):
        part = maps[(maps["scene"] == scene) & (maps["factors"] == factors)]
        outlines = from_wkt(part["outline"].to_numpy(str))
        plots.show_composite(ax, dn[[3, 2, 1]] / scale[[3, 2, 1], None, None], f"{scene}: {factors} factors")
        for ring in (ring for piece in get_parts(outlines) for ring in (piece.exterior, *piece.interiors)):
            ax.plot(*np.array(ring.coords).T, color="yellow", lw=0.8)
        ax.set(xlim=(0, 300), ylim=(270, 0))
        is_field = rasterize(outlines, is_water.shape).astype(bool)
        rows.append(
            {
                "scene": scene,
                "factors": factors,
                "parcels": f"{len(part):,}",
                "median area (ha)": f"{part['area_ha'].median():.1f}",
                "of the scene (%)": f"{100 * is_field.mean():.0f}",
                "of its water (%)": f"{100 * is_field[is_water].mean():.1f}",
            }
        )
glue("fig-matter-maps", fig)
plt.close(fig)
glue("tab-matter-maps", plots.table(pd.DataFrame(rows)))
glue("matter_maps_shown", "; ".join(shown), display=False)
glue("matter_virginia", "{} x {}".format(*shown["Virginia"].shape[1:]), display=False)

# %% [markdown]
# ```{glue:figure} fig-matter-maps
# :name: fig-matter-maps
# :alt: Real scenes in false colour with yellow outlines of what a network takes for fields, with factors of the simulated Europe and of the scene.
#
# Corners of 3 by 2.7 km of real scenes, those that the data root has ({glue:text}`matter_maps_shown`), in false colour (B08, B04, B03). Yellow: what one network, trained on simulated fields with p1-p99, outlines on them. Left with the factors that it was trained with, right with factors of the scene. Upper Austria is L2A: another product than the network knows.
# ```
#
# ````{table} Real scenes, archived: parcels that a network trained on simulated fields finds on each, and the shares of all pixels and of the water (NDWI above 0) that lie in them.
# :name: tab-matter-maps
# ```{glue:md} tab-matter-maps
# :format: myst
# ```
# ````
#
# What works: most outlines follow edges that can be seen, and most of the woods and nearly all water stay out. What fails: large fields are cut into pieces, villages come out as heaps of tiny fields, and clearings in woods as fields. Bright bare fields are lost with factors of the scene, others with those of the simulated Europe. So it is a start for who has no outlines, and no map to count hectares with.
#
# ## The study's claims
#
# First the ranking ({numref}`tab-matter-ranking`), then the rest ({numref}`tab-matter-claims`).

# %% tags=["hide-input", "remove-output"]
LOSSES = {"train_loss": "training loss", "valid_loss": "validation loss"}
SCORES = LOSSES | {f"valid_{metric}": what for metric, what in METRICS.items()}
COVER = {
    "class_iou": "real land cover, mean IoU",
    "class_acc": "real land cover, accuracy",
    "class_mcc": "real land cover, MCC",
}


def ranked(
    scores: pd.DataFrame, *, smaller: bool = False, test_to_train: float = 0.0, real: bool = False
) -> dict[str, str]:
    """What becomes of the study's best, second and worst."""
    how = {"test_to_train": test_to_train, "real": real}
    best, ahead, behind = verdict_of_extreme(scores, REFERENCE, highest=not smaller, **how)
    worst, under, over = verdict_of_extreme(scores, WORST, highest=smaller, **how)
    first_of_rest, *_ = verdict_of_extreme(scores.drop(columns=REFERENCE), SECOND, highest=not smaller, **how)
    below_first = verdict((scores[REFERENCE] - scores[SECOND]) * (-1 if smaller else 1), **how)
    both = {first_of_rest, below_first}
    return {
        "p1-p99 is best": f"better than {ahead}, worse than {behind}",
        "best: verdict": best,
        "min-max is worst": f"worse than {under}, better than {over}",
        "worst: verdict": worst,
        "p1-p99-bounded is second: verdict": fails(real)
        if fails(real) in both
        else holds(real)
        if both == {holds(real)}
        else UNDECIDED,
    }


eight = list(NORMALIZATIONS)
rows = [
    {"score": what} | ranked(by_seed(last, metric)[eight], smaller=metric in LOSSES) for metric, what in SCORES.items()
]
rows += [
    {"score": what} | ranked(by_fold(metric)[eight], test_to_train=TEST_TO_TRAIN, real=True)
    for metric, what in COVER.items()
]
glue("tab-matter-ranking", plots.table(pd.DataFrame(rows)))

mcc = by_seed(last, "valid_extent_mcc").dropna(subset=eight)
linear, others = list(LINEAR), OTHERS
of_eight = archived[archived["normalization"].isin(eight) & archived["seed"].isin(mcc.index)]
losses = {column: of_eight.pivot(index=["seed", "normalization"], columns="epoch", values=column) for column in LOSSES}
falls = (losses["valid_loss"].diff(axis=1).loc[:, 3:] < 0).all(axis=1).unstack("normalization")
fall = (losses["train_loss"][1] - losses["train_loss"][2]).unstack("normalization")[eight]
share = fall / (losses["train_loss"][1] - losses["train_loss"][N_EPOCHS]).unstack("normalization")[eight]
gap = (losses["valid_loss"] - losses["train_loss"])[N_EPOCHS].abs().unstack("normalization")
further = gap[others].mean(axis=1) - gap[linear].mean(axis=1)
pairs = pd.DataFrame({f"{a} less {b}": mcc[a] - mcc[b] for a, b in combinations(others, 2)})
kind = mcc[linear].mean(axis=1) - mcc[others].mean(axis=1)


def within_less_between(alike: list[str]) -> pd.Series:
    """Range of the scores within a kind less the difference of the kinds without its sign, seed by seed."""
    return mcc[alike].max(axis=1) - mcc[alike].min(axis=1) - kind.abs()


schemes = [name for name in eight if name.startswith("dynamic-world")]
within, within_schemes = within_less_between(linear), within_less_between(schemes)
by_score = {metric: by_seed(last, f"valid_{metric}")[eight] for metric in METRICS}
by_score |= {loss: -by_seed(last, loss)[eight] for loss in LOSSES}


def likeness_of_rankings(seed: int, loss: str) -> float:
    """Mean Kendall's tau of two scores' rankings of the eight in one seed, a loss, IoU, accuracy and MCC of a layer."""
    taus = []
    for layer in ("extent", "boundary"):
        scores = (by_score[what].loc[seed] for what in (loss, f"{layer}_iou", f"{layer}_acc", f"{layer}_mcc"))
        taus += [stats.kendalltau(a, b).statistic for a, b in combinations(scores, 2)]
    return float(np.mean(taus))


taus = {loss: pd.Series({seed: likeness_of_rankings(seed, loss) for seed in mcc.index}) for loss in LOSSES}
faster = [verdict_of_extreme(falling, WORST) for falling in (fall, share)]
steady = int(falls[linear].to_numpy().sum()), falls[linear].size
unsteady = int((~falls[others]).to_numpy().sum()), falls[others].size
claims = [
    ("min-max converges faster than the others", "fall of the training loss from the first to the second epoch", "faster than {1}, slower than {2} of 7".format(*faster[0]), faster[0][0]),
    ("min-max converges faster, for what there is to gain", "as a share of the whole fall after the first epoch", "faster than {1}, slower than {2} of 7".format(*faster[1]), faster[1][0]),
    ("the five that are not linear are comparable", f"MCC of the extent, all pairs within {MARGIN_MCC:g}", f"largest mean difference {pairs.mean().abs().max():.3f}", verdict_of_equality(pairs, MARGIN_MCC)),
    ("what is not linear performs as what is", f"mean of the linear ones less that of the others, within {MARGIN_MCC:g}", interval(kind), verdict_of_equality(kind.to_frame(), MARGIN_MCC)),
    ("small changes within a kind matter more than the kind: linear", "highest less lowest of the linear ones, less the difference of the kinds without sign, seed by seed", interval(within), verdict(within)),
    ("small changes within a kind matter more than the kind: Dynamic World's", "highest less lowest of its four, less the difference of the kinds without sign", interval(within_schemes), verdict(within_schemes)),
    ("p1-p99 is closely followed by p1-p99-bounded", f"their difference, within {MARGIN_MCC:g}", interval(mcc[REFERENCE] - mcc[SECOND]), verdict_of_equality((mcc[REFERENCE] - mcc[SECOND]).to_frame(), MARGIN_MCC)),
    ("values that leave [0, 1] help", "p1-p99 less p1-p99-bounded", interval(mcc[REFERENCE] - mcc[SECOND]), verdict(mcc[REFERENCE] - mcc[SECOND])),
    ("validation loss falls steadily for linear methods, and not for the others", "from the second epoch on", "{} of {}; not {} of {}".format(*steady, *unsteady), verdict_of_counts(steady, unsteady)),
    ("validation loss is further from training loss for the others", "difference of the gaps without sign, after the last epoch", interval(further), verdict(further)),
    *((f"{what}, IoU, accuracy and MCC rank alike", f"Kendall's tau of the eight, mean of all pairs of scores of a layer; above {LEAST_TAU:g}, which is three of four pairs in one order", interval(taus[loss]), verdict(taus[loss] - LEAST_TAU)) for loss, what in LOSSES.items()),
    ("standardization suits less than percentiles", "p1-p99 less z-score", interval(mcc[REFERENCE] - mcc[Z_SCORE]), verdict(mcc[REFERENCE] - mcc[Z_SCORE])),
]  # fmt: skip
glue(
    "tab-matter-claims",
    plots.table(pd.DataFrame(claims, columns=["claim", "asked how", "simulated fields", "verdict"])),
)
top = mcc[eight].mean().idxmax()
rest = [name for name in eight if name != top]
behind = holm(p_above(mcc[rest].rsub(mcc[top], axis=0)))
contenders = [name for name, is_behind in zip(rest, behind, strict=True) if not is_behind]
best = published.text("normalization_claims", section="experiment", claim="best by loss, IoU, accuracy and MCC")

# %% tags=["remove-cell", "nbval-check-output"]
glue("matter_best_published", best, display=False)
glue("matter_contenders", ", ".join(SHORT[name] for name in contenders), display=False)
glue("matter_n_contenders", f"{len(contenders)}", display=False)
glue("matter_spread", f"{np.ptp(mcc[eight].mean()):.3f}", display=False)
glue("matter_margin", f"{MARGIN_MCC:g}", display=False)
glue("matter_kind", interval(kind), display=False)
glue("matter_within_verdict", verdict(within), display=False)
glue("matter_within_schemes_verdict", verdict(within_schemes), display=False)
print(top, mcc[eight].mean().idxmin(), {claim: said for claim, _, _, said in claims})

# %% [markdown]
# ````{table} The study's ranking (real fields, one run each), asked of simulated fields and of real land cover, of the seven others. Better and worse: significant at 5 % by t-tests within seeds, or within folds for land cover. Holds here, or confirmed where data are real: better, or worse, than all others. Fails here, or refuted: the opposite of one of them, with Holm's correction within the row. Undecided: neither. Second is what is worse than p1-p99 and better than the other six.
# :name: tab-matter-ranking
# ```{glue:md} tab-matter-ranking
# :format: myst
# ```
# ````
#
# ````{table} Other claims of the study, asked of simulated fields. Of intervals: holds here above zero, fails here below. Faster and slower: as in the ranking. Counts: holds if all cases agree, fails if none. Comparable: holds if all differences lie significantly within the margin, fails if one lies significantly beyond. Nothing is corrected across rows.
# :name: tab-matter-claims
# ```{glue:md} tab-matter-claims
# :format: myst
# ```
# ````
#
# Published as best: {glue:text}`matter_best_published`. Ours by the MCC of the extent: {glue:text}`matter_n_contenders` of the seven others cannot be told from the one with the highest mean, which was chosen after looking, with Holm's correction ({glue:text}`matter_contenders`). Between the highest and the lowest mean lie {glue:text}`matter_spread`. The linear ones together are ahead of the five others by {glue:text}`matter_kind`; that small changes matter more than the kind is {glue:text}`matter_within_verdict` when asked of the linear ones, and {glue:text}`matter_within_schemes_verdict` of Dynamic World's four. The gaps between the losses are without sign, since ours lie the other way: training loss is collected during an epoch, validation loss after it. The margin of {glue:text}`matter_margin` was set before any two networks could be compared; the limit for the rankings was set with the archive at hand. How fast a network learns within the first epoch, where the loss falls most, the archive does not tell.
#
# ## Fields of your own
#
# The same network, trained on real outlines, and its parcels on your scene:
#
# ```bash
# millpond normalize fields download ai4boundaries --n 400
# millpond normalize fields fit ai4boundaries --out model
# millpond normalize fields predict scene.tif --model model --out parcels.gpkg
# ```
#
# ## What this chapter cannot say
#
# - Simulated fields are no fields: no relief, straight edges, crops that keep a calendar. AI4Boundaries has monthly composites; our images are of one clear day. Fields cut by the edge of a patch count as fields.
# - What latitude does, how bright glints are and how long the tail is were built in.
# - The study's network, loss, learning rate and number of images are unknown. Ours were chosen once and not tuned for any normalization; each might have a rate of its own that suits it better.
# - A seed changes fields, first weights and order of the samples together. Few seeds give wide intervals.
# - The German scene is a lossy copy of one February day.
# - Whether more epochs close the gap, how much min-max owes to its brightest pixel, and what factors of another latitude do, is for [the next chapter](05_longer_brighter_elsewhere.ipynb).
#
# ## Exercises
#
# 1. Train the live networks above for 10 epochs. Which of them gains more?
# 2. Take `Linear(0.1, 99.9)`. Is it nearer to p1-p99 or to min-max?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. With so few images both learn them by heart; the scores on other images tell who gains.
# 2. By its factors nearer to p1-p99: `fit_normalization(Linear(0.1, 99.9), histogram).parameters` tells.
# ```
#
# The works cited are listed under [references](../../book/references.md).
