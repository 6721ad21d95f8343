# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Eight normalizations
#
# *What does each way of normalizing do to the histograms and to the image, and what does it lose?*
#
# {cite:t}`omankadunc2022` compare eight normalizations: three linear ones, four with the sigmoid of Dynamic World
# {cite:p}`brown2022`, and histogram equalization. They show the transformed histograms and images, and remark that the
# schemes of Dynamic World set vegetation off from the rest. Whether a network cares is another question, for another
# chapter. Here we look at what goes in.
#
# **You will learn** the equations of the eight, to fit and apply them, to count what they clip and merge, to test the remark
# about vegetation, and to notice when new imagery no longer fits. **You need** [the chapter before](01_a_long_tail.ipynb).
# **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy.special import expit

from millpond import plots
from millpond.experiment import load_manifest, load_runs, results_dir
from millpond.normalization import (
    DIFFERENCES,
    NORMALIZATIONS,
    BandHistogram,
    DriftWarning,
    Linear,
    Normalization,
    fit_normalization,
)
from millpond.normalization.assessment import losses, separability
from millpond.normalization.fields import year_histogram
from millpond.normalization.samples import read_sample, read_vegetation
from millpond.normalization.study import BLOCK_PIXELS, counts_by_block

plots.use_style()
SCHEMES = [name for name in NORMALIZATIONS if name.startswith("dynamic")]
COLORS = dict(
    zip(
        NORMALIZATIONS,
        ["#000000", "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#117733", "#88CC33", "#AA4499"],
        strict=True,
    )
)

# %% [markdown]
# ## Fit, then apply
#
# A normalization is fitted on a histogram: on the training images, never on those that a network is tested with. Here, to
# look at it, we fit on the scene that we transform.

# %%
dn = read_sample("virginia")  # digital numbers: (4 bands, rows, cols), uint16
histogram = BandHistogram.from_array(dn, offset=0)
fitted = {name: fit_normalization(name, histogram) for name in NORMALIZATIONS}

# %% [markdown]
# ### Three lines
#
# The linear ones map the range from $c$ to $d$ to that from $a = 0$ to $b = 1$:
#
# $$
# y = (x - c)\,\frac{b - a}{d - c} + a
# $$ (eq-linear)
#
# | symbol | meaning | unit |
# |---|---|---|
# | $x$ | {term}`digital number` | 1 |
# | $c$, $d$ | smallest and largest digital number, or 1st and 99th {term}`percentile` | 1 |
# | $a$, $b$ | ends of the resulting range | 1 |
# | $y$ | network input | 1 |
#
# With the smallest and the largest value nothing is cut off. With percentiles about 2 % of the pixels end up outside $[0, 1]$,
# or are clipped to its ends in the bounded version.
#
# ### Four sigmoids
#
# Dynamic World takes the logarithm first, $x = \ln(0.005\,\mathrm{DN} + 1)$. Two percentiles $p_l$ and $p_u$ of $x$ place it on a
# sigmoid:
#
# $$
# y = \frac{1}{1 + e^{-(5u - 1)}}, \qquad u = \frac{x - p_l}{p_u}
# $$ (eq-dynamic-world)
#
# So $p_l$ becomes {glue:text}`eight_sigmoid_low`, whatever the band. The formula and its constants are those of Google's published code;
# the words would divide by $p_u - p_l$. *Which divisor?*, below, shows why we follow the code. The study tries the
# percentiles 30 and 70, and 30 and 50, with the logarithm; and 30 and 95, and 20 and 95, without.
#
# ### One equalization
#
# Histogram equalization replaces a value by the share of the pixels below it. The study builds the
# cumulative distribution $F$ on 40,000 bins and does not say what they span. Ours has a bin for each digital number, and of
# pixels that are equal one half counts as darker:
#
# $$
# y = F(x)
# $$ (eq-equalization)
#
# ### One table each
#
# All eight are functions of a 16-bit number, and none of them ever decreases. So each is a table of 65,536 entries a band,
# and applying it costs the same whatever the formula. `to_module()` gives the same table as a layer of a network.

# %% tags=["remove-cell", "nbval-check-output"]
eight = [fitted[name].table for name in NORMALIZATIONS]
increasing = all((np.diff(table) >= 0).all() for table in eight)
glue("eight_sigmoid_low", f"{expit(-1):.2f}", display=False)  # u is 0 at the lower percentile
print(len(eight), increasing)

# %% [markdown]
# ## What becomes of the histograms
#
# {numref}`fig-eight-linear`, {numref}`fig-eight-dw` and {numref}`fig-eight-equal` are the counterparts of the study's Figs. 9, 10
# and 11.

# %% tags=["hide-input", "remove-output"]
values = np.arange(65536)


def before_and_after(names, log=False):
    """Histograms of B02 and B08, original on top and then normalized, one row a method."""
    fig, axes = plt.subplots(len(names) + 1, 2, figsize=(7.5, 1.75 * (len(names) + 1)))
    for column, band in zip(axes.T, ("B02", "B08"), strict=True):
        i = histogram.bands.index(band)
        counts, color = histogram.counts[i], plots.BAND_COLORS[band]
        low, high = histogram.min[i], histogram.max[i]
        plots.histogram_line(column[0], values, counts, np.linspace(low, high, 81), color=color, fill=True, alpha=0.6)
        column[0].set_title(f"{band}, digital numbers")
        for ax, name in zip(column[1:], names, strict=True):
            table = fitted[name].table[i]
            ends = (-0.5, 2.5) if name == "p1-p99" else (0, 1)
            plots.histogram_line(ax, table, counts, np.linspace(*ends, 81), color=color, fill=True, alpha=0.6)
            ax.set_title(f"{band}, {name}")
    for ax in axes[:, 0]:
        ax.set_ylabel("density")
    return fig


fig = before_and_after(["min-max", "p1-p99", "p1-p99-bounded"])
glue("fig-eight-linear", fig)
plt.close(fig)
fig = before_and_after(SCHEMES)
glue("fig-eight-dw", fig)
plt.close(fig)

fig, axes = plt.subplots(1, 4, figsize=(7.5, 2.2), sharey=True)
for i, (ax, band) in enumerate(zip(axes, histogram.bands, strict=True)):
    table, counts = fitted["equalization"].table[i], histogram.counts[i]
    plots.histogram_line(ax, table, counts, np.linspace(0, 1, 51), color=plots.BAND_COLORS[band], fill=True, alpha=0.6)
    ax.set_title(band)
    ax.set_xlabel("equalized value")
axes[0].set_ylabel("density")
glue("fig-eight-equal", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
after = {name: losses(normalization, histogram) for name, normalization in fitted.items()}
minmax = after["min-max"].loc["B02"]
largest_mass = (histogram.counts.max(axis=1) / histogram.n_pixels).max()
distance_from_uniform = 0
for table, counts in zip(fitted["equalization"].table, histogram.counts, strict=True):
    at_or_below = np.cumsum(counts) / counts.sum()
    below = at_or_below - counts / counts.sum()
    for share in (at_or_below, below):
        distance_from_uniform = max(distance_from_uniform, np.abs(table - share)[counts > 0].max())
brightest_blue = float(fitted["p1-p99"].table[0, histogram.max[0]])
glue("eight_p99_max", f"{brightest_blue:.1f}", display=False)
glue("eight_minmax_p1", f"{minmax['p1']:.2f}", display=False)
glue("eight_minmax_p99", f"{minmax['p99']:.2f}", display=False)
glue("eight_uniform_distance", f"{distance_from_uniform:.2%}", display=False)
glue("eight_largest_mass", f"{largest_mass:.2%}", display=False)
print(round(float(minmax["p99"]), 2), bool(distance_from_uniform <= largest_mass / 2 + 1e-6))

# %% [markdown]
# ```{glue:figure} fig-eight-linear
# :name: fig-eight-linear
# :alt: Histograms of the blue and the near-infrared band before and after three linear normalizations. The shape never changes; with min-max the blue peak sits at a tenth of the range, with percentiles it fills it, and bounded there are spikes at zero and one.
#
# Real data: the linear normalizations of B02 and B08 on the Virginia scene (counterpart of the study's Fig. 9). The axis of p1-p99 ends at 2.5; the brightest blue pixels reach {glue:text}`eight_p99_max`.
# ```
#
# A line keeps the shape. After min-max scaling the middle 98 % of the blue pixels lie between
# {glue:text}`eight_minmax_p1` and {glue:text}`eight_minmax_p99`. The 1st and the 99th percentile open that range up; the
# bounded version pays for it with a spike at each end.
#
# ```{glue:figure} fig-eight-dw
# :name: fig-eight-dw
# :alt: Histograms of the blue and the near-infrared band before and after four sigmoid normalizations. With a logarithm the blue values stay in the lower half and keep their long tail; without it the tail is squeezed against one.
#
# Real data: Dynamic World's normalization of B02 and B08 with four sets of parameters (counterpart of the study's Fig. 10).
# ```
#
# The sigmoids change the shape. With the logarithm the long tail of the blue band stays a tail; without it, it is squeezed
# against one. In the near infrared the scene has two kinds of ground, sea and land, and 30 and 50 make the sea the measure of
# both: whatever is brighter than the median piles up at one.
#
# ```{glue:figure} fig-eight-equal
# :name: fig-eight-equal
# :alt: Four flat histograms, one a band, between zero and one.
#
# Real data: all four bands after equalization (counterpart of the study's Fig. 11).
# ```
#
# Equalization gives what it promises. The result differs from a uniform distribution by at most
# {glue:text}`eight_uniform_distance` of the pixels, half the share of the commonest digital number
# ({glue:text}`eight_largest_mass`). All pixels of one digital number stay together, so no table can do better.
#
# ## What becomes of the image

# %% tags=["hide-input", "remove-output"]
crop = dn[:, 500:1000, 700:1300]
fig, axes = plt.subplots(4, 4, figsize=(7.5, 6.8))
for (ax_true, ax_false), (name, normalization) in zip(axes.reshape(-1, 2), fitted.items(), strict=True):
    blue, green, red, near_infrared = normalization.transform(crop)
    plots.show_composite(ax_true, np.stack([red, green, blue]), name.replace("dynamic-world", "dw"), every=4)
    plots.show_composite(ax_false, np.stack([near_infrared, red, green]), every=4)
glue("fig-eight-images", fig)
plt.close(fig)

# %% [markdown]
# {numref}`fig-eight-images` shows the same fields, woods, creeks and marsh eight times, each time as true colour (B04, B03, B02)
# and as false colour (B08, B04, B03). The caption of the study's Fig. 12 names other bands than its text; we follow the text.
#
# ```{glue:figure} fig-eight-images
# :name: fig-eight-images
# :alt: Sixteen small images of a coast with fields, in true and false colour under eight normalizations. Min-max is dark, percentiles bring contrast, the sigmoids look faded in true and reddish in false colour, and equalization shows detail everywhere, even in the water.
#
# Real data: a part of the Virginia scene under the eight normalizations, in true colour (left) and false colour (right) of each pair; dw is Dynamic World. Values outside 0 to 1 are clipped by the screen, so the bounded and the unbounded percentiles look alike.
# ```
#
# To the eye, min-max is dull, percentiles look natural, the log sigmoids look faded, and equalization shows texture in
# the sea that nobody asked for. The study warns that the eye is no judge here. So let us count.
#
# ## What is lost

# %% tags=["hide-input", "remove-output"]
rows = []
for name, table in after.items():
    rows.append(
        {
            "normalization": name,
            "clipped, B02": f"{table.loc['B02', 'clipped_share']:.1%}",
            "clipped, B08": f"{table.loc['B08', 'clipped_share']:.1%}",
            "outside 0 to 1, B02": f"{table.loc['B02', 'outside_share']:.1%}",
            "levels kept, B02": f"{table.loc['B02', 'levels_kept']:,} of {table.loc['B02', 'levels']:,}",
            "levels kept, B08": f"{table.loc['B08', 'levels_kept']:,} of {table.loc['B08', 'levels']:,}",
            "bits on a screen, B02": f"{table.loc['B02', 'display_entropy_bits']:.1f}",
            "bits on a screen, B08": f"{table.loc['B08', 'display_entropy_bits']:.1f}",
        }
    )
glue("tab-eight-losses", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]
bits = pd.DataFrame({name: table["display_entropy_bits"] for name, table in after.items()})
clipped = pd.DataFrame({name: table["clipped_share"] for name, table in after.items()})
worst = clipped.loc["B08"].idxmax()
steep = pd.Series(
    {
        name: losses(fit_normalization(name, histogram), histogram).loc["B08", "clipped_share"]
        for name in (*SCHEMES, *DIFFERENCES)
    }
)
glue("eight_bits_b02", f"{after['min-max'].loc['B02', 'entropy_bits']:.1f}", display=False)
glue("eight_bits_minmax", f"{bits.loc['B02', 'min-max']:.1f}", display=False)
glue("eight_bits_best", f"{bits.loc['B02'].max():.1f}", display=False)
glue("eight_bits_best_name", bits.loc["B02"].idxmax(), display=False)
glue("eight_worst", worst, display=False)
glue("eight_worst_share", f"{clipped.loc['B08', worst]:.0%}", display=False)
glue("eight_gentle_share", f"{steep[SCHEMES].max():.1%}", display=False)
glue("eight_steep", steep.idxmax(), display=False)
glue("eight_steep_share", f"{steep.max():.0%}", display=False)
print(worst, round(float(clipped.loc["B08", worst]), 2), steep.round(2).to_dict())
print(bits.loc["B02"].round(1).to_dict())

# %% [markdown]
# ````{table} Real data: what each normalization loses on the Virginia scene. Clipped: pixels that share the value of the darkest or the brightest although their digital numbers differ. Levels: distinct float32 values. Bits on a screen: Shannon entropy after cutting 0 to 1 into 256 levels.
# :name: tab-eight-losses
# ```{glue:md} tab-eight-losses
# :format: myst
# ```
# ````
#
# {numref}`tab-eight-losses` says three things.
#
# 1. In float32 a line loses nothing here unless it is clipped. Min-max looks poor on a screen
#    ({glue:text}`eight_bits_minmax` of {glue:text}`eight_bits_b02` bits in B02), but a network that reads floats still gets
#    every level. What it gets is badly scaled, not destroyed.
# 2. Clipping loses for good: under {glue:text}`eight_worst`, {glue:text}`eight_worst_share` of the near-infrared pixels become equal to the
#    darkest or the brightest. A sigmoid can do so too, since near one the steps of float32 are coarse. The four above lose
#    {glue:text}`eight_gentle_share` at most, but {glue:text}`eight_steep`, with another divisor (see below), {glue:text}`eight_steep_share`.
# 3. For eight bits, {glue:text}`eight_bits_best_name` packs best, with {glue:text}`eight_bits_best` of 8 bits in B02. Equal shares are
#    what it aims at, and they maximize this entropy.
#
# ## Does Dynamic World's scheme set vegetation off?
#
# The study says that its log and no-log transforms enhance the difference between vegetated and non-vegetated land, most
# visibly where B08 is shown as red. We measure it: the distance between the means of both, in units of their pooled standard
# deviation (Cohen's $d$). A line cannot change that distance, so min-max is the reference, and what another normalization adds
# to it is its gain. Neighbouring pixels are alike; therefore the intervals come from resampling whole blocks of the image.

# %%
vegetated = read_vegetation("virginia")  # 1 vegetated, 0 other land
inside, outside = counts_by_block(dn, vegetated, block_pixels=256)
quick = separability(fitted, inside, outside, n_resamples=500, random_state=0)

# %% tags=["remove-cell", "nbval-check-output"]
CASES = {  # the archive's cases by what the columns of the table call them
    ("virginia", "land"): "Virginia, other land",
    ("virginia", "everything"): "Virginia, water too",
    ("germany-2017-02-16", "land"): "Germany, other land",
    ("germany-2017-02-16", "everything"): "Germany, water too",
}
archived = load_runs(results_dir() / "normalization" / "full" / "separability")
archived = archived.set_index(["sample", "against", "normalization", "band"]).sort_index()
live = quick.set_index(["normalization", "band"])["d"]
manifest = load_manifest(results_dir() / "normalization" / "full" / "separability")
revisions = {environment["revision"][:8] for environment in manifest["environments"].values()}
glue("eight_revision", ", ".join(sorted(revisions)), display=False)
kept = archived.loc["virginia", "land"]["d"]
glue("eight_blocks", f"{len(inside)}", display=False)
glue("eight_d_minmax", f"{live['min-max', 'B08']:.2f}", display=False)
glue("eight_agree", "the same" if np.allclose(live, kept.loc[live.index], atol=1e-6) else "other", display=False)
glue("eight_block_km", f"{BLOCK_PIXELS * 10 / 1000:.2f} km", display=False)
glue("eight_resamples", f"{archived['n_resamples'].iloc[0]:,}", display=False)
for (sample, against), short in zip(CASES, ("va_land", "va_all", "de_land", "de_all"), strict=True):
    case = archived.loc[sample, against].iloc[0]
    glue(f"eight_{short}_blocks", f"{case['n_blocks']}", display=False)
    glue(f"eight_{short}_other", f"{case['n_other']:,}", display=False)
    glue(f"eight_{short}_vegetated", f"{case['n_vegetated']:,}", display=False)
print(len(inside), round(float(live["min-max", "B08"]), 2), np.allclose(live, kept.loc[live.index], atol=1e-6))
print(abs(quick.set_index(["normalization", "band"]).loc["p1-p99", "gain"]).max() < 1e-4)

# %% tags=["hide-input", "remove-output"]
changing = [name for name in NORMALIZATIONS if name not in ("min-max", "p1-p99")]
fig, axes = plt.subplots(2, 2, figsize=(7.5, 6), sharey=True)
for ax, band in zip(axes.flat, histogram.bands, strict=True):
    for shift, sample, marker, color in (
        (-0.15, "virginia", "o", "#0072B2"),
        (0.15, "germany-2017-02-16", "s", "#D55E00"),
    ):
        part = archived.loc[sample, "land"].xs(band, level="band").loc[changing]
        errors = np.abs(part[["gain_low", "gain_high"]].T.to_numpy(float) - part["gain"].to_numpy(float))
        y = np.arange(len(part)) + shift
        label = CASES[sample, "land"].split(",")[0]
        ax.errorbar(part["gain"], y, xerr=errors, fmt=marker, ms=4, lw=1, color=color, label=label)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_title(f"{band} ({plots.BAND_NAMES[band]})")
    ax.set_xlabel("gain in d")
axes[0, 0].set_yticks(range(len(changing)), changing)
axes[0, 0].invert_yaxis()
handles, names = axes[0, 0].get_legend_handles_labels()
fig.legend(handles, names, loc="outside upper center", ncols=2)
glue("fig-eight-separability", fig)
plt.close(fig)

rows = []
for name in SCHEMES:
    row = {"scheme": name.removeprefix("dynamic-world-")}
    for (sample, against), title in CASES.items():
        gain = archived.loc[sample, against, name, "B08"]
        row[title] = f"{gain['gain']:+.2f} ({gain['gain_low']:+.2f} to {gain['gain_high']:+.2f})"
    rows.append(row)
glue("tab-eight-b08", plots.table(pd.DataFrame(rows)))


# %% tags=["remove-cell", "nbval-check-output"]
def names_where(condition, sample, against):
    """Schemes that fulfil a condition on the gain in B08, in words."""
    gains = archived.loc[sample, against].xs("B08", level="band").loc[SCHEMES]
    return ", ".join(gains.index[condition(gains)].str.removeprefix("dynamic-world-")) or "none"


def more(gains):
    return gains["gain_low"] > 0


def less(gains):
    return gains["gain_high"] < 0


found = {
    (sample[:8], against, word.__name__): names_where(word, sample, against)
    for sample, against in CASES
    for word in (more, less)
}
for (sample, against, word), names in found.items():
    glue(f"eight_b08_{sample[:2]}_{against}_{word}", names, display=False)
visible = archived.loc["virginia", "everything"].loc[SCHEMES]
visible = visible[visible.index.get_level_values("band") != "B08"]
glue("eight_visible_more", f"{int(more(visible).sum())} of {len(visible)}", display=False)
germany = archived.loc["germany-2017-02-16", "land"].xs("B08", level="band").loc[SCHEMES]
glue("eight_de_excluding", f"{int((more(germany) | less(germany)).sum()) or 'none'}", display=False)
red = archived.xs("land", level="against").xs("B04", level="band").loc[(slice(None), SCHEMES), :]
for short, sample in (("va", "virginia"), ("de", "germany-2017-02-16")):
    glue(f"eight_red_{short}", f"{int(more(red.loc[sample]).sum())} of {len(SCHEMES)}", display=False)
d_germany = archived.loc["germany-2017-02-16", "land", "min-max"]["d"]
glue("eight_de_d_b04", f"{d_germany['B04']:+.2f}", display=False)
for key, names in found.items():
    print(*key, names)
print(more(red).groupby("sample").sum().to_dict(), less(red).groupby("sample").sum().to_dict())
print(int(more(visible).sum()), len(visible), round(float(d_germany["B04"]), 1))

# %% [markdown]
# {numref}`fig-eight-separability` and {numref}`tab-eight-b08` show the archived full runs (made by revision {glue:text}`eight_revision` of the
# package), with {glue:text}`eight_resamples` resamples of blocks of {glue:text}`eight_block_km`. In Virginia {glue:text}`eight_va_land_vegetated` vegetated pixels meet {glue:text}`eight_va_land_other` of other land,
# in {glue:text}`eight_va_land_blocks` blocks. In a German winter scene OpenStreetMap's land use gives
# {glue:text}`eight_de_land_vegetated` pixels of forest, meadow, scrub and grass and {glue:text}`eight_de_land_other` of residential land, in
# {glue:text}`eight_de_land_blocks` blocks. The live cell above, with {glue:text}`eight_blocks` larger blocks, gives
# {glue:text}`eight_agree` distances as the archive: $d$ = {glue:text}`eight_d_minmax` for min-max in B08.
#
# ```{glue:figure} fig-eight-separability
# :name: fig-eight-separability
# :alt: Gains in class distance with intervals for six normalizations, four bands and two scenes. In the near infrared three of the four sigmoids gain on the Virginia scene, while all German intervals of the sigmoids include zero. In red the sigmoids gain in Germany and not in Virginia.
#
# Real data, archived: what each normalization adds to the distance between vegetated and other land, compared with a line. Bars are 95 % intervals from resampled blocks, for the normalization as fitted. Right of zero: set off more.
# ```
#
# ````{table} Real data, archived: gain in B08 of the four schemes of Dynamic World, with 95 % intervals; vegetation against other land, and against everything else.
# :name: tab-eight-b08
# ```{glue:md} tab-eight-b08
# :format: myst
# ```
# ````
#
# **In the near infrared the remark holds on one scene of two.** Against other land in
# Virginia, {glue:text}`eight_b08_vi_land_more` set vegetation off more than a line does; less: {glue:text}`eight_b08_vi_land_less`.
# In Germany {glue:text}`eight_de_excluding` of the four intervals exclude zero. With water among the rest,
# {glue:text}`eight_b08_vi_everything_more` gain in Virginia, and {glue:text}`eight_b08_vi_everything_less` lose; in Germany
# {glue:text}`eight_b08_ge_everything_more` gain, and {glue:text}`eight_b08_ge_everything_less` lose. The visible bands depend on the
# scene and on the question: against other land {glue:text}`eight_red_va` schemes gain in Virginia's red and {glue:text}`eight_red_de` in
# Germany's, and once the sea counts as other, {glue:text}`eight_visible_more` combinations of visible band and scheme gain in Virginia.
#
# How to read this. The intervals stand one by one, without a correction for their number, and bands and schemes share their
# pixels. In the German winter vegetation is the *brighter* class even in red ($d$ = {glue:text}`eight_de_d_b04` in B04): dormant grass
# against roofs and gardens is another contrast than crops against soil. A function that never decreases cannot reorder
# pixels, and a strictly increasing one leaves every threshold's result as it was. So a gain in $d$ creates no information;
# merged values ({numref}`tab-eight-losses`) destroy some. Whether a network cares is not tested here.
#
# ## Which divisor?
#
# *Did the study divide by the upper percentile, or by the difference of both?* The words of {cite:t}`brown2022` imply the difference.
# The code that Google published divides by the upper one. The study says neither. But it says what it sees in its Fig. 10: with
# the logarithm "the flat tails" of the histogram are retained, without it they are squeezed. Only one divisor can do that.
#
# So we ask both: how much of the unit interval does a scheme leave to the brightest 1 % of the pixels? On the real scene, and on
# a simulated survey of Europe (all land, all seasons), which is nearer to what the study fitted on.

# %%
imagery = {"Virginia, real": histogram, "Europe, simulated": year_histogram(0, 64, n=60)}
room = {}  # what a scheme leaves to the brightest 1 % of the pixels, by band
for where, seen in imagery.items():
    p99 = seen.percentile(99).astype(int)
    for scheme in (*SCHEMES, *DIFFERENCES):
        table = fit_normalization(scheme, seen).table
        bands = range(len(table))
        room[where, scheme] = table[bands, seen.max] - table[bands, p99]

# %% tags=["hide-input", "remove-output"]
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3), sharey=True)
for ax, band in zip(axes, ("B02", "B08"), strict=True):
    i = histogram.bands.index(band)
    shown = slice(histogram.min[i], histogram.max[i])
    for name, color in ((SCHEMES[0], "#0072B2"), (f"{SCHEMES[0]}-difference", "#D55E00")):
        label = "difference (words)" if name in DIFFERENCES else "upper percentile (code)"
        ax.plot(values[shown], fit_normalization(name, histogram).table[i][shown], color=color, label=label)
    ax.set_title(band)
    ax.set_xlabel("digital number")
axes[0].set_ylabel("normalized value")
axes[1].legend(loc="lower right")
glue("fig-eight-divisor", fig)
plt.close(fig)
rows = [
    {"imagery": where, "divisor": "difference" if scheme in DIFFERENCES else "upper percentile"}
    | {"scheme": scheme.removeprefix("dynamic-world-").removesuffix("-difference")}
    | {band: f"{value:.3f}" for band, value in zip(histogram.bands, values, strict=True)}
    for (where, scheme), values in room.items()
]
glue("tab-eight-rooms", plots.table(pd.DataFrame(rows)))

# %% tags=["remove-cell", "nbval-check-output"]


def as_said(where: str, divisor: str) -> tuple[int, int]:
    """Pairs of a scheme with and one without logarithm, in each band: where does the first leave the tail more room?"""
    schemes = [f"{name}-difference" if divisor == "difference" else name for name in SCHEMES]
    log, no_log = ([name for name in schemes if ("-log-" in name) is wanted] for wanted in (True, False))
    more = [room[where, a] > room[where, b] for a in log for b in no_log]
    return int(np.sum(more)), int(np.size(more))


agree = {(where, divisor): as_said(where, divisor) for where in imagery for divisor in ("upper", "difference")}
for (where, divisor), counts in agree.items():
    glue(f"eight_said_{where[:2]}_{divisor}", "{} of {}".format(*counts), display=False)
chosen = max(("upper", "difference"), key=lambda divisor: sum(agree[where, divisor][0] for where in imagery))
assert all(NORMALIZATIONS[name].divisor == chosen for name in SCHEMES)  # the default is what the words select
glue("eight_chosen", {"upper": "the upper percentile", "difference": "the difference"}[chosen], display=False)
for divisor, name in (("upper", SCHEMES[0]), ("difference", f"{SCHEMES[0]}-difference")):
    blue = fit_normalization(name, histogram).table[0][[int(histogram.percentile(99)[0]), histogram.max[0]]]
    glue(f"eight_blue_{divisor}", "{:.2f} and {:.2f}".format(*blue), display=False)
print(chosen, agree)

# %% [markdown]
# ```{glue:figure} fig-eight-divisor
# :name: fig-eight-divisor
# :alt: Two curves for each of two bands. Dividing by the difference gives a steep sigmoid that saturates early; dividing by the upper percentile gives a gentle one.
#
# Real data: the sigmoid with percentiles 30 and 70 fitted on the Virginia scene, with either divisor.
# ```
#
# ````{table} How much of the unit interval the brightest 1 % of the pixels get (value of the largest digital number less that of the 99th percentile), on the real scene and on a simulated survey.
# :name: tab-eight-rooms
# ```{glue:md} tab-eight-rooms
# :format: myst
# ```
# ````
#
# Take each pair of a scheme with and a scheme without logarithm, band by band ({numref}`tab-eight-rooms`). Divided by the upper percentile, the one with logarithm
# leaves the tail more room in {glue:text}`eight_said_Vi_upper` pairs on the real scene and in {glue:text}`eight_said_Eu_upper` on the
# simulated one. Divided by the difference, in {glue:text}`eight_said_Vi_difference` and {glue:text}`eight_said_Eu_difference`: there the
# 99th percentile and the maximum of B02 both come out as {glue:text}`eight_blue_difference` with 30 and 70 in Virginia, and nothing is left of the
# tail. With the upper percentile they are {glue:text}`eight_blue_upper`. **So {glue:text}`eight_chosen` is our default**, and the four with
# the other divisor have `-difference` behind their names. Weights trained with one do not fit inputs made with the other
# ({numref}`fig-eight-divisor`).
#
# ## Try it: percentiles of your own
#
# Open this page on Binder or Colab (the rocket above) or on your own machine, change the two numbers, and run the cell: it
# draws {numref}`fig-eight-mine` anew. Which pair would you choose for the sea? Which for the fields?

# %% tags=["remove-output"]
lower, upper = 2, 98  # percentiles, 0 to 100

mine = fit_normalization(Linear(lower, upper), histogram)
blue, green, red, near_infrared = mine.transform(dn[:, ::6, ::6])
bits = losses(mine, histogram).loc["B02", "display_entropy_bits"]

fig, axes = plt.subplots(1, 2, figsize=(7.5, 4))
true_color, false_color = [red, green, blue], [near_infrared, red, green]
told = f"percentiles {lower} and {upper}", f"{bits:.1f} bits on a screen in B02"
for ax, bands, title in zip(axes, (true_color, false_color), told, strict=True):
    plots.show_composite(ax, np.stack(bands), title)
glue("fig-eight-mine", fig)
plt.close(fig)

# %% [markdown]
# ```{glue:figure} fig-eight-mine
# :name: fig-eight-mine
# :alt: The scene in true and in false colour, stretched between two percentiles.
#
# Real data: the Virginia scene between the percentiles chosen in the cell above.
# ```
#
# ## Keep it, and notice when it no longer fits
#
# A fitted normalization belongs to the network's weights. It is saved as a small JSON file with its bands, its
# {term}`radiometric offset`, its parameters and the number of pixels behind it, and read back to the same bits.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "p1-p99.json"
    fitted["p1-p99"].save(path)
    size = path.stat().st_size
    same = (Normalization.load(path).table == fitted["p1-p99"].table).all()

# %% [markdown]
# What if the next images are unlike? We fit on the western half of the scene, mostly land, and look at the eastern half,
# mostly sea. `drift` compares the percentiles, and warns.

# %%
middle = dn.shape[2] // 2
west = BandHistogram.from_array(dn[:, :, :middle], offset=0)
east = BandHistogram.from_array(dn[:, :, middle:], offset=0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", DriftWarning)
    drift = fit_normalization("p1-p99", west).drift(east)

# %% tags=["hide-input", "remove-output"]
percent = "{:.0%}".format
shown = pd.DataFrame(
    {
        "band": drift.index,
        "shift of the percentiles": drift["shift"].map(percent),
        "change of the median": drift["median_change"].map("{:+.0%}".format),
        "below p1": drift["share_below_p1"].map(percent),
        "above p99": drift["share_above_p99"].map(percent),
        "warns": ["yes" if warned else "no" for warned in drift["drifted"]],
    }
)
glue("tab-eight-drift", plots.table(shown))

# %% tags=["remove-cell", "nbval-check-output"]
glue("eight_json_kb", f"{size / 1000:.0f} kB", display=False)
glue("eight_same", "identical" if same else "different", display=False)
glue("eight_warnings", f"{len(caught)}", display=False)
glue("eight_drift_b08", f"{drift.loc['B08', 'shift']:.0%}", display=False)
print(bool(same), len(caught), drift["shift"].round(2).to_dict())

# %% [markdown]
# The file takes {glue:text}`eight_json_kb`; the table read back is {glue:text}`eight_same`. Drift warns
# {glue:text}`eight_warnings` times, once for each band in {numref}`tab-eight-drift`. In the near infrared the percentiles have
# moved by {glue:text}`eight_drift_b08` of the fitted range.
#
# ````{table} Real data: drift from the western half of the scene (mostly fields and woods) to the eastern half (mostly sea), as shares of the western range from the 1st to the 99th percentile.
# :name: tab-eight-drift
# ```{glue:md} tab-eight-drift
# :format: myst
# ```
# ````
#
# For scenes of your own, the command does the same:
#
# ```bash
# source .venv/bin/activate
# millpond normalize fit scenes/*.tif --method p1-p99 --out p1-p99.json
# millpond normalize drift p1-p99.json new.tif
# millpond normalize apply p1-p99.json new.tif --out normalized.tif
# ```
#
# ## What this chapter cannot say
#
# - Fitting on one scene is the extreme case. On an archive the ends of the range lie farther out, and drift should be
#   expected.
# - Vegetated land was defined by spectra on the Virginia scene. B8A, which took part, is a neighbour of B08. That favours
#   B08, and perhaps the normalizations that are steep near its thresholds. In Germany the labels are independent of the
#   image, but they tell land use, not greenness, the copy is lossy, and fields and meadows are dormant.
# - None of this tells whether a network learns better. That needs networks.
#
# ## Exercises
#
# 1. Fit `dynamic-world-log-30-50-difference` on the western half only. How many of the near-infrared pixels share the brightest value now?
# 2. Add 1,000 to every digital number, as products since processing baseline 04.00 have it, and transform with and without
#    `offset=1000`.
#
# ```{admonition} Solutions
# :class: dropdown
#
# 1. `losses(fit_normalization("dynamic-world-log-30-50-difference", west), west)`: hardly any. With less water the median is land, and
#    the sigmoid has its steep part where the pixels are. The red band now suffers instead.
# 2. `fitted["p1-p99"].transform(dn + 1000, offset=1000)` equals `fitted["p1-p99"].transform(dn)` to the last bit. Without the argument every
#    value is shifted by 1,000 over the fitted range.
# ```
#
# The works cited are listed under [references](../../book/references.md).
