# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Land, latitude, season
#
# *Is one set of factors good enough for a whole continent and a whole year?*
#
# A normalization is fitted on some images and used on others. If the histograms of Spain in July differ from those of Latvia in March, factors of the one do not fit the other. {cite:t}`omankadunc2022` looked at histograms of patches from all over Europe, by land cover, by region and by month, and concluded that latitude matters more than longitude, and January differs most from July. They judged by eye. We measure.
#
# Their patches are not published, and a book cannot bring a continent along. So this chapter has two kinds of evidence: a *simulated* Europe whose causes we know because we built them in, and the few *real* scenes that are free to use.
#
# **You will learn** to count a folder of patches by land cover, region and month in one pass, to measure how far histograms are apart, and to ask whether that goes with latitude or with longitude. **You need** [the chapter before](02_eight_normalizations.ipynb). **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from myst_nb import glue

from millpond import plots
from millpond.claims import verdict_of_counts
from millpond.experiment import load_manifest, load_runs, results_dir
from millpond.normalization import BandHistogram, climate
from millpond.normalization.distances import histogram_distances
from millpond.normalization.europe import BIN_DN, LEAST_PATCHES, NOTHING, REGION_SIZE_DEG, REGIONS, survey, write_survey
from millpond.normalization.exploration import patch_statistics, region_name
from millpond.normalization.parcels import EUROPE, SOIL_TREND_PER_DEG, simulate_patch
from millpond.normalization.patches import WORLD_COVER
from millpond.normalization.real_patches import real_histograms
from millpond.normalization.samples import read_sample, read_virginia_land_cover
from millpond.normalization.study import EVERY_MECHANISM, EVERY_MECHANISM_BUT_PASSES

plots.use_style()
BANDS = ("B02", "B03", "B04", "B08")
COVERS = {
    "trees": "#117733",
    "grassland": "#88CC33",
    "cropland": "#DDAA33",
    "built-up": "#CC3311",
    "water": "#4477AA",
    "shrubland": "#8C6D46",
    "wetland": "#44AA99",
    "bare or sparse": "#888888",
}
REGION_COLORS = dict(zip(REGIONS, ["#4477AA", "#AA3377", "#228833", "#EE7733", "#CC3311"], strict=True))
MONTHS = ["J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D"]

# %% [markdown]
# ## A simulated Europe
#
# A patch is a mosaic of land cover, cut into fields where there is cropland. What stands on a field follows from a calendar of its crop, and the calendar from the temperatures of the place. The light then goes through the air twice. {numref}`tab-land-built-in` lists the ways by which latitude can get into an image. All of them are *built in*, and were set before any distance between histograms was measured. Temperatures are round figures of climate; colours come from real scenes. How much brighter soils get to the south was guessed, {glue:text}`land_soil_trend` a degree, and how land cover changes too. Longitude acts through temperature alone: the west is milder, and to the east winters grow colder and summers hotter. So that latitude matters more than longitude is nearly built in. The band is partly: soils are brighter in B04 than in B02 and B03, so their trend alone favours it among the visible ones. How the causes work together, nobody wrote down beforehand.

# %%
with tempfile.TemporaryDirectory() as folder:
    surveyed = list(survey(60, 64, np.random.default_rng(0)))
    write_survey(surveyed, Path(folder))
    counted = patch_statistics(folder, region_size_deg=REGION_SIZE_DEG)

# %% tags=["remove-cell", "nbval-check-output"]
n_masked = sum(len(names) for names in counted.skipped.values())
glue("land_live_patches", f"{len(surveyed)}", display=False)
glue("land_live_skipped", f"{n_masked}", display=False)
print(counted.n_patches, n_masked, counted.table("landcover")["landcover"].tolist())

# %% tags=["hide-input", "remove-output"]
rows = [
    {"cause": "sun", "what it does": "stands lower in the north: more haze before the ground, longer ways through it"},
    {"cause": "season", "what it does": "spring comes later in the north, summers are dry in the south, snow lies where it is cold and takes patches out"},
    {"cause": "cover", "what it does": "more trees, wetland and lakes in the north, more shrubs and bare ground in the south"},
    {"cause": "soil", "what it does": "soils of the south are brighter"},
    {"cause": "passes", "what it does": "a low sun and more clouds leave fewer winter days in the north"},
]  # fmt: skip
glue("tab-land-built-in", plots.table(pd.DataFrame(rows)))

CODES = {name: code for code, name in WORLD_COVER.items()}
by_code = sorted(COVERS, key=CODES.get)
fig = plt.figure(figsize=(7.5, 8.6))
grid = fig.add_gridspec(4, 4, height_ratios=(1.3, 1, 1, 1))
ax = fig.add_subplot(grid[0, :])
dots = ax.scatter(
    [patch.longitude_deg for patch in surveyed],
    [patch.latitude_deg for patch in surveyed],
    c=[patch.acquired.month for patch in surveyed],
    cmap="twilight_shifted",
    vmin=0.5,
    vmax=12.5,
    s=22,
    edgecolor="black",
    lw=0.4,
)
ax.set(xlim=EUROPE["longitude_deg"], ylim=EUROPE["latitude_deg"], xlabel="longitude (°)", ylabel="latitude (°)")
fig.colorbar(dots, ax=ax, label="month", ticks=[1, 4, 7, 10])
for i, (name, (latitude, longitude)) in enumerate(list(REGIONS.items())[:1] + list(REGIONS.items())[2:]):
    for row, day in ((1, 115), (2, 205)):
        ax = fig.add_subplot(grid[row, i])
        patch = simulate_patch(latitude, longitude, day, size=200, rng=np.random.default_rng(35))
        blue, green, red, infrared = patch.dn / 10_000
        plots.show_composite(ax, np.stack([infrared / 0.5, red / 0.25, green / 0.2]))
        ax.set_title(f"{name}, {patch.acquired:%d %b}", fontsize=8)
    ax = fig.add_subplot(grid[3, i])
    classes = np.searchsorted([CODES[cover] for cover in by_code], patch.land_cover)
    colors = ListedColormap([COVERS[cover] for cover in by_code])
    ax.imshow(classes, cmap=colors, vmin=-0.5, vmax=len(COVERS) - 0.5, interpolation="nearest")
    ax.set_title("its land cover", fontsize=8)
    ax.set_axis_off()
handles = [Patch(color=color, label=cover) for cover, color in COVERS.items()]
fig.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
glue("fig-land-patches", fig)
plt.close(fig)

# %% [markdown]
# ````{table} Simulated: the causes by which a patch's latitude acts on it.
# :name: tab-land-built-in
# ```{glue:md} tab-land-built-in
# :format: myst
# ```
# ````
#
# ```{glue:figure} fig-land-patches
# :name: fig-land-patches
# :alt: Above, a map of dots over Europe, coloured by month. Below, eight false-colour patches. In April fields are partly bare and partly red with young crops; in July they are ripe in the south and red in the north. At the bottom the land cover of the four places.
#
# Simulated. Above: places and months of the patches that are counted live. Below: patches in April and July, from the same random numbers in four places, in false colour (B08, B04, B03), and their land cover. Counterpart of the study's Fig. 1.
# ```
#
# {numref}`fig-land-patches` shows some. In the cell above {glue:text}`land_live_patches` patches were written as files with their land cover and masks, and counted in one pass by `patch_statistics`, which reads any such folder; {glue:text}`land_live_skipped` were skipped since they lay under snow, and of the others clouds were masked. The archive has more: {glue:text}`land_seeds` Europes of {glue:text}`land_n_patches` patches of {glue:text}`land_size` pixels.
#
# ### Does it look real?
#
# The colours of the materials were set by hand so that land cover looks, at the top of the simulated air, as in real L1C scenes. {numref}`fig-land-likeness` compares what came of it with those scenes: it shows how well the fitting went, and tests nothing.

# %% tags=["hide-input", "remove-output"]
real = real_histograms()
labelled = real[(real["level"] == "L1C") & real["land_cover"].notna() & real["month"].notna()]
pairs = []
for (month, latitude, longitude), group in labelled.groupby(["month", "latitude_deg", "longitude_deg"]):
    day = int((month - 0.5) * 30.4)
    rng = np.random.default_rng(int(month))
    patches = [simulate_patch(latitude, longitude, day, size=64, rng=rng) for _ in range(40)]
    for cover, found in group.groupby("land_cover"):
        pixels = [p.dn[:, (p.land_cover == CODES[cover]) & (p.mask == 0)] for p in patches]
        pixels = np.concatenate(pixels, axis=1)
        if pixels.shape[1] > 500:
            histogram = sum(found["histogram"].iloc[1:], found["histogram"].iloc[0])
            pairs.append((cover, histogram.percentile([5, 50, 95]), np.percentile(pixels, [5, 50, 95], axis=1)))
# the bundled scene carries no date: late summer by the look of its fields
virginia, labels = read_sample("virginia"), read_virginia_land_cover()
rng = np.random.default_rng(0)
patches = [simulate_patch(37.7, 0, 260, size=64, rng=rng) for _ in range(60)]
for cover, wanted in {"trees": (3,), "cropland": (4, 5), "water": (1,), "built-up": (6,)}.items():
    pixels = np.concatenate([p.dn[:, p.land_cover == CODES[cover]] for p in patches], axis=1)
    histogram = BandHistogram.from_array(virginia, mask=~np.isin(labels, wanted), offset=0)
    pairs.append((cover, histogram.percentile([5, 50, 95]), np.percentile(pixels, [5, 50, 95], axis=1)))
fig, axes = plt.subplots(1, 4, figsize=(7.5, 2.6))
off = []
for i, (ax, band) in enumerate(zip(axes, BANDS, strict=True)):
    for cover, theirs, ours in pairs:
        low, middle, high = theirs[:, i]
        ax.plot([low, high], [ours[1, i]] * 2, color=COVERS[cover], lw=0.8)
        ax.plot([middle] * 2, ours[[0, 2], i], color=COVERS[cover], lw=0.8)
        ax.plot(middle, ours[1, i], "o", ms=4, color=COVERS[cover])
        off.append((cover, band, np.log(ours[1, i] / middle)))
    ends = (200, 6000)
    ax.plot(ends, ends, color="black", lw=0.6)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title=band, xlabel="real", aspect=1)
    ax.set_xticks([300, 1000, 3000], ["300", "1000", "3000"], fontsize=7)
    ax.set_yticks([300, 1000, 3000], ["300", "1000", "3000"] if i == 0 else [], fontsize=7)
    ax.minorticks_off()
axes[0].set_ylabel("simulated")
handles = [plt.Line2D([], [], marker="o", ls="", color=COVERS[cover]) for cover in dict.fromkeys(c for c, *_ in pairs)]
fig.legend(handles, dict.fromkeys(c for c, *_ in pairs), loc="outside upper center", ncols=5, fontsize=8)
glue("fig-land-likeness", fig)
glue("land_likeness", f"{np.exp(np.median([abs(log) for *_, log in off])) - 1:.0%}", display=False)
crops = [log for cover, band, log in off if (cover, band) == ("cropland", "B04")]
glue("land_likeness_crop", f"{np.exp(np.median(crops)):.1f}", display=False)
plt.close(fig)

ARCHIVE = results_dir() / "normalization" / "full"
archive = load_runs(ARCHIVE / "europe")
tails = load_runs(ARCHIVE / "long_tail")
of_images = {"simulated": archive[archive["kind"] == "tail"], "Virginia": tails[tails["sample"] == "virginia"]}
rows = [
    {
        "images": images,
        "band": band,
        "median (DN)": f"{of_band['median']:,.0f}",
        "99 % (DN)": f"{of_band['p99']:,.0f}",
        "99.9 % (DN)": f"{of_band['p99_9']:,.0f}",
        "largest (DN)": f"{of_band['maximum']:,.0f}",
        "brightest 0.1 %, of the range": f"{of_band['tail_share_of_range']:.0%}",
    }
    for images, table in of_images.items()
    for band, of_band in table.groupby("band")[["median", "p99", "p99_9", "maximum", "tail_share_of_range"]].mean().iterrows()
]  # fmt: skip
glue("tab-land-tail", plots.table(pd.DataFrame(rows)))

# %% [markdown]
# ```{glue:figure} fig-land-likeness
# :name: fig-land-likeness
# :alt: Four panels, one a band, of simulated against real digital numbers of land-cover classes. Most points lie near the line of equality, with wide ranges; cropland lies above it in B04, water below it in B08.
#
# Simulated against real digital numbers by land cover: medians (dots) and the range from the 5th to the 95th percentile (lines). Real: the Virginia scene, and where the data root has them north-east Germany in February and Slovenia from July to September; simulated for the same latitudes and months. The Virginia scene has no date and lies on another continent; for it 17 September at longitude 0° was simulated.
# ```
#
# In half of the pairs of medians the two differ by {glue:text}`land_likeness` or less. Cropland in B04, the band with the largest slopes below, is off by a factor of {glue:text}`land_likeness_crop` in the middle.
#
# And the long tail? {numref}`tab-land-tail` has it beside that of one real scene. A few roofs and glints were given their brightness by us; how far the tail reaches follows from them and from the number of pixels.
#
# ````{table} The long tail: simulated (archived, all patches of a seed, mean of the seeds) and real (the Virginia scene). Last column: how much of the range from smallest to largest the brightest thousandth of the pixels takes.
# :name: tab-land-tail
# ```{glue:md} tab-land-tail
# :format: myst
# ```
# ````
#
# ## Land cover

# %% tags=["hide-input", "remove-output"]
whole = archive[archive["without"] == NOTHING]
seeds = sorted(whole["seed"].unique())
histograms = whole[whole["kind"] == "histogram"]
case = load_manifest(ARCHIVE / "europe")["cases"][0]
edges = np.arange(0, 5001, BIN_DN)


def binned(by: str, label: str, band: str, seed: int | None = None) -> np.ndarray:
    """(n_bins,) pixels of a group over all seeds, or of one, by digital number."""
    part = histograms[(histograms["by"] == by) & (histograms["label"] == label) & (histograms["band"] == band)]
    if seed is not None:
        part = part[part["seed"] == seed]
    return np.sum([np.array(text.split(), float) for text in part["counts"]], axis=0)


def of(by: str, band: str, column: str) -> pd.DataFrame:
    """A column of the archive by seed (rows) and label (columns)."""
    part = histograms[(histograms["by"] == by) & (histograms["band"] == band)]
    return part.pivot(index="seed", columns="label", values=column)


share = of("landcover", "B02", "n_pixels")
share = share.div(share.sum(axis=1), axis=0)
order = share.mean().sort_values(ascending=False).index
fig = plt.figure(figsize=(7.5, 6.4))
grid = fig.add_gridspec(3, 4, height_ratios=(0.8, 1, 1))
top = fig.add_subplot(grid[0, :])
top.bar(order, 100 * share[order].mean(), color=[COVERS[name] for name in order])
top.set_ylabel("share of pixels (%)")
top.tick_params(axis="x", labelsize=8)
for i, band in enumerate(BANDS):
    for row, scale in ((1, "linear"), (2, "log")):
        ax = fig.add_subplot(grid[row, i])
        for name in order:
            counts = binned("landcover", name, band)
            ax.stairs(counts / 1e6 / len(seeds), edges, color=COVERS[name], lw=1)
        ax.set(yscale=scale, xlim=(0, 2500 if band != "B08" else 5000), title=f"{band}, {scale}")
        ax.tick_params(labelsize=7)
        if scale == "log":
            ax.set(ylim=(1e-4, None), xlabel="digital number")
        if i == 0:
            ax.set_ylabel("million pixels")
glue("fig-land-cover", fig)
plt.close(fig)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Common area of two histograms."""
    return float(np.minimum(a / a.sum(), b / b.sum()).sum())


overlaps = {
    other: pd.DataFrame(
        {
            band: [overlap(*(binned("landcover", name, band, seed) for name in ("cropland", other))) for seed in seeds]
            for band in BANDS
        }
    )
    for other in ("grassland", "trees")
}
crops_between = pd.DataFrame(
    {
        band: of("landcover", band, "p50")["cropland"].between(
            of("all", band, "p25")["all"], of("all", band, "p75")["all"]
        )
        for band in BANDS
    }
)


def share_of_darkest(darkest: float, band: str) -> tuple[float, float]:
    """Share of water among the darkest pixels, simulated (from the bins) and real (Virginia)."""
    by_cover = {name: binned("landcover", name, band) for name in order}
    total = np.cumsum(sum(by_cover.values()))
    end = int(np.searchsorted(total, darkest * total[-1])) + 1
    simulated = by_cover["water"][:end].sum() / total[end - 1]
    i = BANDS.index(band)
    everything = sum(h.counts[i] for h in real_covers.values())
    last = int(np.searchsorted(np.cumsum(everything), darkest * everything.sum()))
    return simulated, real_covers[1].counts[i, : last + 1].sum() / everything[: last + 1].sum()


real_covers = BandHistogram.grouped_from_array(virginia, labels, offset=0)
darkest = {band: share_of_darkest(0.05, band) for band in BANDS}
overall = share["water"].mean(), real_covers[1].n_pixels[0] / sum(h.n_pixels[0] for h in real_covers.values())
rows = [
    {"band": band, "simulated": f"{ours:.0%}", "Virginia": f"{theirs:.0%}"} for band, (ours, theirs) in darkest.items()
]
rows.append({"band": "of all pixels", "simulated": f"{overall[0]:.0%}", "Virginia": f"{overall[1]:.0%}"})
glue("tab-land-water", plots.table(pd.DataFrame(rows)))
ranked = (share["trees"] > share["grassland"]) & (share["grassland"] > share["cropland"])

# %% tags=["remove-cell", "nbval-check-output"]
glue("land_seeds", f"{len(seeds)}", display=False)
glue("land_virginia_water", f"{overall[1]:.0%}", display=False)
glue("land_soil_trend", f"{SOIL_TREND_PER_DEG:.0%}", display=False)
glue("land_n_patches", f"{case['n_patches']:,}", display=False)
glue("land_size", f"{case['size']} x {case['size']}", display=False)
for band in BANDS:
    glue(f"land_overlap_{band}", f"{overlaps['grassland'][band].mean():.0%}", display=False)
glue("land_regions", f"{histograms.loc[histograms['by'] == 'region', 'label'].nunique()}", display=False)
glue("land_least", f"{LEAST_PATCHES}", display=False)
glue(
    "land_overlap_trees",
    " and ".join(f"{overlaps['trees'][band].mean():.0%}" for band in ("B03", "B04")),
    display=False,
)
print({band: f"{ours:.2f}" for band, (ours, _) in darkest.items()})

# %% [markdown]
# ```{glue:figure} fig-land-cover
# :name: fig-land-cover
# :alt: A bar chart of the shares of land cover, trees first, then grassland and cropland; below, histograms of each band by land cover in linear and logarithmic scale.
#
# Simulated, archived: share of the pixels by land cover, and their histograms in linear and logarithmic scale, mean of the seeds. Colours as in the bars. Counterparts of the study's Figs. 2 and 3.
# ```
#
# The order of trees, grassland and cropland in {numref}`fig-land-cover` is built in. The study sees water dominate the left part of the histograms in B03, B04 and B08. {numref}`tab-land-water` asks for its share among the darkest twentieth of all pixels. In the near infrared water fills nearly all of it. In the visible bands forests are darker, and how bright lakes are was our choice. In the real scene {glue:text}`land_virginia_water` of the pixels are water, yet few of the darkest in the visible bands. Its labels were read from other bands of the same image, and one coast is no Europe.
#
# ````{table} Share of water among the darkest 5 % of the pixels, by band: simulated (archived, to the next bin of 50 DN), and real (the Virginia scene, labels from other bands of it, surf not counted). Last row: its share of all pixels.
# :name: tab-land-water
# ```{glue:md} tab-land-water
# :format: myst
# ```
# ````
#
# The study finds cropland and grassland strongly overlapping in B02, B03 and B04. Here they share {glue:text}`land_overlap_B02`, {glue:text}`land_overlap_B03` and {glue:text}`land_overlap_B04` of their area, and {glue:text}`land_overlap_B08` in B08; cropland and trees share {glue:text}`land_overlap_trees` in B03 and B04. It also finds cropland in the middle of the histogram. Ours leaves the middle in B04, where it is too bright.
#
# ## Latitude and longitude

# %% tags=["hide-input", "remove-output"]
named = {name: region_name(*place, REGION_SIZE_DEG) for name, place in REGIONS.items()}
fig = plt.figure(figsize=(7.5, 7))
grid = fig.add_gridspec(3, 4, height_ratios=(1.1, 1, 1))
ax = fig.add_subplot(grid[0, :])
south, north = EUROPE["latitude_deg"]
west, east = EUROPE["longitude_deg"]
for latitude in np.arange(south, north + 1, REGION_SIZE_DEG[0]):
    ax.axhline(latitude, color="grey", lw=0.5)
for longitude in np.arange(west, east + 1, REGION_SIZE_DEG[1]):
    ax.axvline(longitude, color="grey", lw=0.5)
centres = histograms[histograms["by"] == "region"].groupby("label")[["latitude_deg", "longitude_deg"]].mean()
ax.plot(centres["longitude_deg"], centres["latitude_deg"], "o", ms=3, color="grey")
for name, region in named.items():
    latitude, longitude = centres.loc[region]
    ax.plot(longitude, latitude, "o", color=REGION_COLORS[name])
    ax.annotate(name, (longitude, latitude), (4, 3), textcoords="offset points", fontsize=7)
ax.set(xlim=(west, east), ylim=(south, north), xlabel="longitude (°)", ylabel="latitude (°)", title="regions")
ax.grid(visible=False)
for row, (by, told) in enumerate((("region", "all pixels"), ("cropland", "cropland")), start=1):
    for i, band in enumerate(BANDS):
        ax = fig.add_subplot(grid[row, i])
        for name, region in named.items():
            counts = binned(by, region, band)
            ax.stairs(counts / counts.sum() * 1000, edges, color=REGION_COLORS[name], lw=1.1)
        ax.set(xlim=(0, 2500 if band != "B08" else 5000), title=f"{band}, {told}", yticks=[])
        ax.tick_params(labelsize=7)
        if row == 2:
            ax.set_xlabel("digital number")
glue("fig-land-regions", fig)
plt.close(fig)

regressions = archive[archive["kind"] == "regression"]
place = regressions[regressions["by"].isin(["region", "cropland"]) & (regressions["without"] == NOTHING)]
assert (place["n_labels"] == histograms.loc[histograms["by"] == "region", "label"].nunique()).all()  # all take part
control = regressions[(regressions["without"] == EVERY_MECHANISM) & (regressions["gap"] == "latitude")]
holds_zero = (control["low"] < 0) & (control["high"] > 0)
glue("land_control_zero", f"{holds_zero.sum()} of {len(control)}", display=False)


def slopes(by: str, band: str, gap: str, without: str = NOTHING) -> pd.DataFrame:
    """Rows of the seeds."""
    part = regressions[(regressions["by"] == by) & (regressions["band"] == band) & (regressions["gap"] == gap)]
    return part[part["without"] == without].set_index("seed")


rows = []
for by, told in (("region", "all pixels"), ("cropland", "cropland")):
    for band in BANDS:
        difference = slopes(by, band, "difference")
        rows.append(
            {
                "pixels": told,
                "band": band,
                "latitude (DN a degree)": plots.mean_and_range(slopes(by, band, "latitude")["slope"], "{:+.1f}"),
                "longitude (DN a degree)": plots.mean_and_range(slopes(by, band, "longitude")["slope"], "{:+.1f}"),
                "difference above 0": f"{(difference['low'] > 0).sum()} of {len(difference)}",
                "R²": plots.mean_and_range(slopes(by, band, "latitude")["r2"], "{:.2f}"),
            }
        )
glue("tab-land-slopes", plots.table(pd.DataFrame(rows)))

rows = []
for by, told in (("region", "all pixels"), ("cropland", "cropland")):
    for band in BANDS:
        row = {
            "pixels": told,
            "band": band,
            "none": plots.mean_and_range(slopes(by, band, "latitude")["slope"], "{:+.1f}"),
        }
        for off in ("sun", "season", "cover", "soil"):
            change = slopes(by, band, "latitude", off)["slope"] - slopes(by, band, "latitude")["slope"]
            row[off] = plots.mean_and_range(change, "{:+.1f}") if len(change.dropna()) else "—"
        rows.append(row)
glue("tab-land-causes", plots.table(pd.DataFrame(rows)))
rows = []
for by, told in (("region", "all pixels"), ("cropland", "cropland")):
    for band in BANDS:
        row = {"pixels": told, "band": band}
        for off, name in ((EVERY_MECHANISM_BUT_PASSES, "passes alone"), (EVERY_MECHANISM, "no cause of latitude")):
            row[name] = plots.mean_and_range(slopes(by, band, "latitude", off)["slope"], "{:+.1f}")
        rows.append(row)
glue("tab-land-floor", plots.table(pd.DataFrame(rows)))

# %% [markdown]
# ```{glue:figure} fig-land-regions
# :name: fig-land-regions
# :alt: A map of regions with five of them named; below, histograms of the five, for all pixels and for cropland, in four bands.
#
# Simulated, archived: the regions, and the histograms of the five that the study compares, for all pixels, water included, and for cropland. A dot is the mean place of the patches of a cell; histograms are of the five cells with names; each has the same area, and vertical axes differ in scale. Colours as on the map. Counterparts of the study's Figs. 4, 5 and 6.
# ```
#
# By eye one would say much about {numref}`fig-land-regions`. To measure, we take the {term}`Wasserstein distance` of two histograms: how far pixels must be moved on average, in digital numbers, to make one from the other. With distances $d_{ij}$ of all pairs of regions, a regression asks what they go with {cite:p}`legendre1994,lichstein2007`:
#
# $$
# d_{ij} = a + b_\varphi\,|\varphi_i - \varphi_j| + b_\lambda\,|\lambda_i - \lambda_j| \cos\bar\varphi + \varepsilon_{ij},
# $$ (eq-mrm)
#
# with latitudes $\varphi$ and longitudes $\lambda$ of the regions, the latter shortened to degrees of a great circle. All {glue:text}`land_regions` regions have cropland in {glue:text}`land_least` patches or more, and take part. Pairs that share a region are not independent; so intervals come from leaving out one region after the other. "Latitude matters more" is a claim about $b_\varphi - b_\lambda$ ({numref}`tab-land-slopes`).
#
# ````{table} Simulated, archived: slopes of the distances between regions on the gaps in latitude and longitude as in the equation above, mean and range over the seeds; in how many seeds the 95 % interval of their difference lies above zero; and how much of the distances both explain.
# :name: tab-land-slopes
# ```{glue:md} tab-land-slopes
# :format: myst
# ```
# ````
#
# The slope on latitude is larger on average in every row, clearly in B03 and B04. In B02, and in B08, position explains little of the distances. A negative slope on longitude adds to the difference, so both columns have to be read.
#
# How strong each cause is was typed in by us. So {numref}`tab-land-causes` is no decomposition: it asks how sensitive the slope is to each. One after the other acts as at {glue:text}`land_reference` everywhere; within a seed all else stays as it is, patch by patch. Where a slope *grows* when a cause goes, that cause works against the others.
#
# ````{table} Simulated, archived: slope on latitude (DN a degree) with no cause switched off, and by how much it changes without one; mean and range over the seeds.
# :name: tab-land-causes
# ```{glue:md} tab-land-causes
# :format: myst
# ```
# ````
#
# The sun works against the others in every row. In cropland soil counts most in B03 and B04; in all pixels cover counts about as much. In the near infrared of cropland the slope grows without any of the four, most without soil.
#
# {numref}`tab-land-floor` is the control: no cause of latitude is left, that of longitude stays. The 95 % interval of the slope holds zero in {glue:text}`land_control_zero` cases. But intervals are wide, and in B08 of cropland a slope is left in every seed, about a third of the whole one: that row is not to be trusted. It may come from the northern cells, which hold the fewest patches: histograms of few patches lie farther apart. The cause *passes* cannot be switched off alone, since the sun of a northern winter is too low for a picture.
#
# ````{table} Simulated, archived: slope on latitude (DN a degree) with the selection of passes as the only cause, and with none; mean and range over the seeds.
# :name: tab-land-floor
# ```{glue:md} tab-land-floor
# :format: myst
# ```
# ````
#
# On average over the seeds passes alone give more than the whole slope in B02 of all pixels and in B08 of cropland.
#
# ## Months

# %% tags=["hide-input", "remove-output"]
per_month = of("month", "B02", "patches").reindex(columns=[str(m) for m in range(1, 13)]).fillna(0)


def month_distances(by: str) -> pd.DataFrame:
    """Archived distances between months, the earlier as `first`."""
    part = whole[(whole["kind"] == "distance") & (whole["by"] == by)].copy()
    months = part[["a", "b"]].astype(float).astype(int)
    return part.assign(first=months.min(axis=1), second=months.max(axis=1))


between = month_distances("month")
distance = between.pivot_table(index=["first", "second"], columns="band", values="wasserstein_dn")
everything = histograms[histograms["by"] == "all"].groupby("band")[["p25", "p75"]].mean()
relative = distance / (everything["p75"] - everything["p25"])
in_the_south = month_distances("month in the south").pivot_table(
    index=["first", "second"], columns="band", values="wasserstein_dn"
)
fig, axes = plt.subplots(2, 4, figsize=(7.5, 4.6))
SHOWN_MONTHS = {1: "#4477AA", 4: "#228833", 7: "#CC3311", 10: "#EE9933"}
for i, band in enumerate(BANDS):
    matrix = np.full((12, 12), np.nan)
    for (a, b), value in distance[band].items():
        matrix[a - 1, b - 1] = matrix[b - 1, a - 1] = value
    image = axes[1, i].imshow(matrix, cmap="cividis")
    axes[1, i].set(xticks=range(12), yticks=range(12), xticklabels=MONTHS, yticklabels=MONTHS)
    axes[1, i].tick_params(labelsize=6)
    axes[1, i].grid(visible=False)
    fig.colorbar(image, ax=axes[1, i], location="bottom", label="distance (DN)", shrink=0.9)
    for month, color in SHOWN_MONTHS.items():
        counts = binned("month", str(month), band)
        axes[0, i].stairs(counts / counts.sum(), edges, color=color, label=f"{pd.Timestamp(2021, month, 1):%b}")
    axes[0, i].set(xlim=(0, 2500 if band != "B08" else 5000), title=band, yticks=[], xlabel="digital number")
    axes[0, i].tick_params(labelsize=7)
axes[0, 0].legend(fontsize=7)
glue("fig-land-months", fig)
plt.close(fig)
fig, ax = plt.subplots(figsize=(7.5, 2.2))
ax.bar(range(1, 13), per_month.mean(), color="#4477AA")
ax.set(xticks=range(1, 13), xticklabels=MONTHS, ylabel="patches", xlabel="month")
glue("fig-land-per-month", fig)
plt.close(fig)

farthest = {band: distance[band].idxmax() for band in BANDS}
january_july = relative.loc[(1, 7), :].sort_values(ascending=False)
peak = per_month.idxmax(axis=1)
rank = {band: int(distance[band].rank(ascending=False)[(1, 7)]) for band in BANDS}


def told(pair: tuple[int, int]) -> str:
    """Months by name."""
    return " and ".join(f"{pd.Timestamp(2021, month, 1):%B}" for month in pair)


rows = [
    {
        "band": band,
        "farthest months": told(farthest[band]),
        "their distance (DN)": f"{distance[band].max():.0f}",
        "January and July (DN)": f"{distance[band][(1, 7)]:.0f}",
        "rank among the pairs": f"{rank[band]} of {len(distance)}",
        "January and July in the south (DN)": f"{in_the_south[band][(1, 7)]:.0f}",
        "farthest in the south": told(in_the_south[band].idxmax()),
    }
    for band in BANDS
]
glue("tab-land-months", plots.table(pd.DataFrame(rows)))

VEGETATION, WITHOUT = ("trees", "grassland", "cropland"), ("built-up", "bare or sparse")
months_of = pd.concat({cover: month_distances(f"{cover} in the south") for cover in COVERS}, names=["cover"])
winter_summer = months_of[(months_of["first"] == 1) & (months_of["second"] == 7)].pivot_table(
    index=["cover", "seed"], columns="band", values="wasserstein_dn"
)
rows = [
    {"land cover": cover}
    | {f"{band} (DN)": plots.mean_and_range(winter_summer.loc[cover, band], "{:.0f}") for band in BANDS}
    for cover in (*VEGETATION, *WITHOUT)
]
glue("tab-land-vegetation", plots.table(pd.DataFrame(rows)))
more_than = {
    bare: pd.concat([winter_summer.loc[cover] > winter_summer.loc[bare] for cover in VEGETATION]) for bare in WITHOUT
}
of_season = archive[(archive["by"] == "cropland in the south") & (archive["gap"] == "months")]
of_season = of_season[of_season["without"] == NOTHING]
five = whole[(whole["kind"] == "distance") & (whole["by"] == "cropland") & (whole["band"] == "B08")]
glue("land_crop_regions", f"{five.groupby(['a', 'b'])['wasserstein_dn'].mean().median():,.0f}", display=False)
of_crops = months_of.loc["cropland"].pivot_table(index=["first", "second"], columns="band", values="wasserstein_dn")
glue("land_crop_season", f"{of_crops['B08'].median():,.0f}", display=False)

# %% [markdown]
# ```{glue:figure} fig-land-per-month
# :name: fig-land-per-month
# :alt: Bars of the number of patches by month, few in winter and most in summer.
#
# Simulated, archived: patches by month of those that clouds, snow and a low sun left, mean of the seeds. Counterpart of the study's Fig. 7.
# ```
#
# ```{glue:figure} fig-land-months
# :name: fig-land-months
# :alt: Above, histograms of four months in each band. Below, matrices of the distances between all months, dark blocks of similar months in summer and larger distances to winter.
#
# Simulated, archived: histograms of four months (above), and distances between all months (below). Counterpart of the study's Fig. 8.
# ```
#
# Fewer clear days in winter ({numref}`fig-land-per-month`) are built in; the histograms of {numref}`fig-land-months` follow from crops, leaves and the height of the sun. There is a catch, in the study as well. In winter more of the passes that are left lie in the south. So January against July is partly Spain against Europe. The last columns of {numref}`tab-land-months` therefore take the southern regions alone. There January and July are closer in every band. That does not tell place from season: the sun and the plants of the north change more over the year than those of the south, and little of the northern winter is left to see. Other pairs are farther apart than January and July: in the visible bands those of November to January with spring and early summer, in the near infrared March or November with June or July. A month of winter has few patches, so ranks are uncertain.
#
# ````{table} Simulated, archived: the two months farthest apart, and January and July, by band; mean of the seeds. South: 36° to 48° N.
# :name: tab-land-months
# ```{glue:md} tab-land-months
# :format: myst
# ```
# ````
#
# The study says that vegetation is the reason. Then January and July should lie farther apart where plants grow than where they don't. {numref}`tab-land-vegetation` asks that of land cover by land cover, in the south.
#
# ````{table} Simulated, archived: distance between January and July in the south, by land cover; mean and range over the seeds.
# :name: tab-land-vegetation
# ```{glue:md} tab-land-vegetation
# :format: myst
# ```
# ````
#
# Built-up land has few plants; what moves it is the sun and the air. In the visible bands that is about as much as cropland moves. In trees the distance is larger than that in every band, several times so in B08. Grassland and cropland are not clearly farther apart: in a southern July much of them is dry or harvested. Bare land has few patches, and moves much. The season of cropland runs otherwise than from January to July: in B08 the median pair of its months is {glue:text}`land_crop_season` DN apart in the south. The median pair of the five regions is {glue:text}`land_crop_regions`, with all their months in one.
#
# ## What it means for factors
#
# A normalization such as p1-p99 takes two numbers from a histogram. {numref}`tab-land-factors` has them for the whole and for its parts.

# %% tags=["hide-input", "remove-output"]
rows, moves = [], {}
for band in BANDS:
    pooled = {end: of("all", band, end).mean().item() for end in ("p1", "p99")}
    row = {"band": band, "all: p1 to p99 (DN)": f"{pooled['p1']:,.0f} to {pooled['p99']:,.0f}"}
    for by in ("region", "month"):
        ends = {end: of(by, band, end).mean() for end in ("p1", "p99")}
        for end in ("p1", "p99"):
            row[f"{end} by {by} (DN)"] = f"{ends[end].min():,.0f} to {ends[end].max():,.0f}"
        moves[band, by] = (ends["p99"] - pooled["p99"]).abs().max() / (pooled["p99"] - pooled["p1"])
    rows.append(row)
glue("tab-land-factors", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
for by in ("region", "month"):
    of_bands = [moves[band, by] for band in BANDS]
    glue(f"land_moves_{by}", f"{min(of_bands):.0%} to {max(of_bands):.0%}", display=False)
print({f"{band}, {by}": f"{share_:.2f}" for (band, by), share_ in moves.items()})

# %% [markdown]
# ````{table} Simulated, archived: the factors of p1-p99 from all pixels, and from the pixels of one region or month, from the smallest to the largest; mean of the seeds.
# :name: tab-land-factors
# ```{glue:md} tab-land-factors
# :format: myst
# ```
# ````
#
# The factors of a single region would move the upper end by up to {glue:text}`land_moves_region` of the pooled range, band by band, those of a single month by up to {glue:text}`land_moves_month`. That is the answer to this chapter's question as far as pixels go: one set fits no part exactly, and the misfit is that large. The largest of many small samples is partly chance. Whether a network minds is a question of its own.
#
# ## What real scenes say
#
# {numref}`tab-land-real` has the free real samples, and {numref}`fig-land-real` the months of one place in Belgium. s2cloudless, the study's mask of clouds, needs ten bands and is an optional package. We ran it on the five dates of Slovenia: it takes two of them almost whole, and nothing of the others. One patch of BigEarthNet is snow by its index of green and short-wave infrared. These three are named in the table and used nowhere else. What a rough rule for four bands takes for cloud is in the column of bright pixels. It misses thin cloud, and some of what it takes is surf, roofs or overshoots of a lossy compression.

# %% tags=["hide-input", "remove-output"]
rows = []
for sample, group in real_histograms(include_covered=True).groupby("sample", sort=False):
    if sample.startswith("belgium"):
        continue
    first = group.iloc[0]
    histogram = sum(group["histogram"].iloc[1:], first["histogram"])
    b04, b08 = histogram.percentile(50)[[2, 3]]
    name = sample if len(sample) < 25 else f"BigEarthNet, patch {'_'.join(sample.split('_')[-2:])}"
    rows.append(
        {
            "sample": name if pd.isna(first["covered"]) else f"{name} ({first['covered']})",
            "level": first["level"],
            "month": "unknown" if pd.isna(first["month"]) else f"{first['month']}",
            "latitude (°)": f"{first['latitude_deg']:.1f}",
            "bright (%)": f"{100 * np.average(group['bright_share'], weights=group['n_pixels']):.1f}",
            "median B04 (DN)": f"{b04:,.0f}",
            "median B08 (DN)": f"{b08:,.0f}",
        }
    )
glue("tab-land-real", plots.table(pd.DataFrame(rows)))
belgium = real[real["sample"].str.startswith("belgium")]
fig, axes = plt.subplots(1, 4, figsize=(7.5, 2.3), sharex=True)
for i, (ax, band) in enumerate(zip(axes, BANDS, strict=True)):
    for row in belgium.itertuples():
        low, middle, high = row.histogram.percentile([25, 50, 75])[:, i]
        ax.plot([row.month] * 2, [low, high], color=plots.BAND_COLORS[band])
        ax.plot(row.month, middle, "o", ms=4, color=plots.BAND_COLORS[band])
    ax.set(title=band, xticks=[2, 5, 8, 11], xlabel="month")
axes[0].set_ylabel("digital number")
glue("fig-land-real", fig)
plt.close(fig)
months = {int(row.month): row.histogram for row in belgium.itertuples()}
of_belgium = "not at hand"
if len(months) > 1:
    far = histogram_distances(months).sort_values("wasserstein_dn").groupby("band", sort=False).tail(1)
    far = far.set_index("band")[["a", "b"]]
    of_belgium = "; ".join(f"{band}: {told(tuple(sorted(far.loc[band])))}" for band in BANDS)
glue("land_belgium", of_belgium, display=False)

# %% [markdown]
# ````{table} Real samples by their medians; of Germany and Slovenia the pixels with a label. Bright: the share that the rule for four bands takes for cloud. L1C is the reflectance at the top of the atmosphere, L2A at the ground: they must not be compared.
# :name: tab-land-real
# ```{glue:md} tab-land-real
# :format: myst
# ```
# ````
#
# ```{glue:figure} fig-land-real
# :name: fig-land-real
# :alt: Medians and middle halves of four bands by month; near infrared rises to June and falls after it; red is low in May and June, higher in August and September, and low again in October and November.
#
# Real data (L2A, where the data root has it): monthly composites of one square kilometre in Belgium, medians and middle halves.
# ```
#
# The months of Belgium that differ most are, band by band: {glue:text}`land_belgium`. That is one square kilometre of one year. It has no December and no January, so the study's pair cannot be asked of it. Slovenia has three dates of one summer and no winter. Three patches of June share their level and differ in latitude, but in their land as well; three patches cannot tell the two apart. So nothing real here can support or refute a claim about latitude.
#
# ## The study's claims

# %% tags=["hide-input", "remove-output"]
apart = whole[(whole["kind"] == "distance") & whole["by"].isin(["region", "cropland"])]


def between_regions(by: str, a: str, b: str) -> pd.DataFrame:
    """Distances by seed (rows) and band (columns)."""
    part = apart[
        (apart["by"] == by) & (((apart["a"] == a) & (apart["b"] == b)) | ((apart["a"] == b) & (apart["b"] == a)))
    ]
    return part.pivot(index="seed", columns="band", values="wasserstein_dn")[list(BANDS)]


def holds(true: pd.DataFrame | pd.Series) -> tuple[int, int]:
    """In how many of the cases, and bands if there are some; and how many there are."""
    values = np.asarray(true)
    return int(values.sum()), values.size


difference = place[place["gap"] == "difference"]
both_lands = difference[difference["by"].isin(["region", "cropland"])]
less_without = {
    off: pd.DataFrame({band: slopes("region", band, "latitude", off)["slope"] for band in BANDS})
    < pd.DataFrame({band: slopes("region", band, "latitude")["slope"] for band in BANDS})
    for off in ("season", "cover")
}
strongest = {
    by: place[(place["gap"] == "latitude") & (place["by"] == by)].pivot(
        index="seed", columns="band", values="standardized"
    )
    for by in ("region", "cropland")
}
spain_turkey = between_regions("cropland", "Spain", "Turkey")
uk_baltic = between_regions("cropland", "United Kingdom", "Baltic countries")
cross = [between_regions("cropland", a, b) for a in ("Spain", "Turkey") for b in ("United Kingdom", "Baltic countries")]
like = pd.concat([spain_turkey < other for other in cross])
alike = pd.concat([uk_baltic < other for other in cross])
middle = pd.concat(
    [
        (between_regions("cropland", a, "Hungary") < between_regions("cropland", a, b))
        & (between_regions("cropland", "Hungary", b) < between_regions("cropland", a, b))
        for a in ("Spain", "Turkey")
        for b in ("United Kingdom", "Baltic countries")
    ]
)
first_pair = {
    band: between[between["band"] == band]
    .sort_values("wasserstein_dn")
    .groupby("seed")[["first", "second"]]
    .last()
    .eq([1, 7])
    .all(axis=1)
    for band in BANDS
}
in_dn = sum(band in ("B04", "B08") for band in distance.loc[(1, 7), :].nlargest(2).index)
two_most = sum(band in ("B04", "B08") for band in january_july.index[:2])
claims = [
    ("Most pixels are trees, then grassland, then cropland", "built in", [holds(ranked)]),
    ("Water dominates the left in B03, B04 and B08", "follows from colours set by hand; more than half of the darkest twentieth, by band", [holds(pd.Series([darkest[band][0] > 0.5 for band in BANDS[1:]]))]),
    ("Cropland lies in the middle", "follows from colours set by hand; median between the quartiles of all pixels, by seed and band", [holds(crops_between)]),
    ("Cropland strongly overlaps with grassland in B02, B03 and B04", "follows from colours set by hand; more than half of the area in common, by seed and band", [holds(overlaps["grassland"][list(BANDS[:3])] > 0.5)]),
    ("Distances go with latitude more than with longitude", "largely built in; difference of the slopes above 0, its interval above 0; by seed and band, all land and cropland", [holds(both_lands["slope"] > 0), holds(both_lands["low"] > 0)]),
    ("Latitude probably acts through climate and vegetation", "built in: how strong each cause is was typed in; slope smaller without season, without cover, all land, by seed and band", [holds(less) for less in less_without.values()]),
    ("Most so in B04", "partly built in; largest standardized slope, by seed; all land, cropland", [holds(slope.idxmax(axis=1) == "B04") for slope in strongest.values()]),
    ("Cropland of Spain is like that of Turkey", "largely built in; closer than to UK or Baltic, by seed, band and pair; half by chance", [holds(like)]),
    ("That of the UK is like that of the Baltic countries", "largely built in; closer than to Spain or Turkey; half by chance", [holds(alike)]),
    ("Hungary lies between", "largely built in; closer to both of a pair than these to each other, by seed, band and pair (Spain or Turkey with UK or Baltic); a third by chance", [holds(middle)]),
    ("Most acquisitions are left in July", "nearly built in; by seed", [holds(peak == "7")]),
    ("January and July differ most, in all bands", f"farthest pair of {len(distance)}, by seed and band", [holds(pd.DataFrame(first_pair))]),
    ("January and July differ because of vegetation, which contributes the most", "partly built in; farther apart in trees, grassland and cropland than in built-up land, than in bare land, in the south, in B04 and B08, by seed; half by chance", [holds(more[["B04", "B08"]]) for more in more_than.values()]),
    ("Most discernible in B04 and B08", "the two largest distances of January and July, in DN; in interquartile ranges", [(in_dn, 2), (two_most, 2)]),
    ("Seasons show in cropland", "largely built in; distance grows with the months between, at 5 % by permutation, in the south, by seed and band", [holds((of_season["slope"] > 0) & (of_season["p"] < 0.05))]),
]  # fmt: skip
rows = [
    {
        "claim": claim,
        "asked how": how,
        "simulated Europe agrees": "; ".join(f"{true} of {cases}" for true, cases in counts),
        "verdict": "built in" if how.startswith("built in") else verdict_of_counts(*counts),
    }
    for claim, how, counts in claims
]
glue("tab-land-claims", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
glue("land_reference", f"{climate.REFERENCE_LATITUDE_DEG:.0f}° N", display=False)
print({claim: counts for claim, _, counts in claims})

# %% [markdown]
# ````{table} Claims of the study (real data of Europe, judged by eye) asked of the simulated Europe: in how many of the cases they hold. Holds here: in all of them; fails here: in none; an interval that holds zero counts as one in which a claim does not hold. Limits such as half were set after looking.
# :name: tab-land-claims
# ```{glue:md} tab-land-claims
# :format: myst
# ```
# ````
#
# {numref}`tab-land-claims` is no proof for or against the real Europe. It says what came out of the causes and the sizes that we put in. Latitude counts for more than longitude: largely built in. B04 shows it most, in cropland too: partly built in, and simulated cropland fits the real one badly in this band ({numref}`fig-land-likeness`). The five regions then behave as the study says in most bands and seeds. That is much the same result again, since Spain and Turkey lie in one row of the grid, the United Kingdom and the Baltic countries in another. Three claims do not come out: water on the left in the visible bands, January and July as the extremes, and B04 and B08 as the bands that tell months apart. One comes out for trees alone: vegetation as the reason. Distances between months of cropland grow with the months between, in every band and seed; by how much a month, twelve months tell poorly. July and August have too few patches to be told apart as the peak.
#
# ## Your own patches
#
# For a folder of GeoTIFFs with dates, and land cover beside them as `NAME_landcover.tif`:
#
# ```bash
# source .venv/bin/activate
# millpond normalize stats patches/ --by landcover,region,month --out stats.json
# ```
#
# [About this study](../../book/normalization.md) shows how to make masks, and how to read the result.
#
# ## What this chapter cannot say
#
# - Nothing about real latitudes and longitudes: see above.
# - The simulated Europe has no coasts, no mountains, no overlapping orbits, no real weather, and climate that changes along straight lines. Real longitude carries distance from the sea, and with it rain, soils and fields of other sizes; ours carries the swing of the year and a mild west.
# - A patch lies under snow or it doesn't, and snow is masked without fault. What masks of clouds miss was guessed.
# - A seed is one sample of one Europe with one set of assumptions. Counts by seed, band and pair are not independent.
# - The study doesn't say how its regions were cut; ours are {glue:text}`land_cells`.
#
# ## Exercises
#
# 1. Count the patches above by `landcover:month`. In which month are cropland and grassland farthest apart?
# 2. Simulate a Europe without the cause "sun". What happens to B02 in winter?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. `patch_statistics(folder, by=("landcover:month",))`, then `histogram_distances` of the two classes month by month.
# 2. `survey(60, 64, rng, without=("sun",))`. Passes north of 48° get a higher sun and less blue light from the air, those south of it a lower sun and more. Since most winter passes lie in the south, the histogram of winter moves to the right.
# ```
#
# The works cited are listed under [references](../../book/references.md).

# %% tags=["remove-cell"]
glue("land_cells", f"{REGION_SIZE_DEG[0]:.0f}° by {REGION_SIZE_DEG[1]:.0f}°", display=False)
