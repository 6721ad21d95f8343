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
# It is larger than the small reservoirs of this book, and its level moved by {glue:text}`itoiz_range`; few are published with both images and levels.
#
# **You will learn** which dates to throw away and how to notice, how far area alone tells the level, what a network adds, and how to get levels of a reservoir of your own.
# **You need** the idea of a regression. **It runs** in under half a minute on two cores.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from millpond import datasets, plots
from millpond.experiment import load_runs, results_dir
from millpond.level import read_scenes
from millpond.level.baselines import AreaLevelRegressor, ShoreLevelRegressor
from millpond.level.estimation import fit_level_model
from millpond.level.study import (
    BASELINES,
    COARSER,
    CORRECTED_BY_NETWORK,
    CORRECTED_BY_RIDGE,
    CURVE,
    FOLDS,
    NETWORK,
    NETWORKS,
    SETTINGS,
    SHORE,
    grids_of,
)
from millpond.level.twin import CHARACTERS, simulate

plots.use_style()
ARCHIVE = results_dir() / "level" / "full"
live = datasets.is_present("itoiz")

# %% [markdown]
# ## Which dates can be used
#
# Each image has a band with the probability of cloud. We drop a date if more than a tenth of where the water may be, and 100 m around it, is cloudy. That is not enough. On some dates the mask is clear and the image is not: haze,
# the shadow of a cloud outside the scene. One rule finds them without looking at any level. A reservoir's smaller water lies inside its larger water. So if a scene shows as much water as so many
# pixels, these should be the ones that are most often wet. If more than a tenth of them are dry, or that much water lies elsewhere, the scene is spoiled.

# %% tags=["hide-input", "remove-output"]
listed = load_runs(ARCHIVE / "itoiz_scenes")
listed["date"] = pd.to_datetime(listed["date"])
used = listed[listed["reason"] == "used"]
reasons = listed["reason"].value_counts()
glue("tab-itoiz-reasons", plots.table(pd.DataFrame({"what became of it": reasons.index, "dates": reasons.map(str).to_numpy()})))

if live:
    scenes = read_scenes(datasets.path("itoiz"))
    shown = [0, 6, 8, 12, 16, len(scenes) - 1]
    told = "Itoiz in real images, near infrared as red and green as green and blue"
else:
    scenes = simulate(CHARACTERS["LYS"], n=30)
    shown = range(0, 30, 5)
    told = "Itoiz is not in the data root; shown instead is a simulated reservoir"
fig, axes = plt.subplots(2, 3, figsize=(7.5, 4.4))
curve = AreaLevelRegressor(scenes.bands)
water = curve.water(scenes.images)
for ax, i in zip(axes.flat, shown, strict=True):
    infrared, green = scenes.band("B08")[i], scenes.band("B03")[i]
    plots.show_composite(ax, np.stack([infrared / 0.4, green / 0.2, green / 0.2]))
    ax.contour(water[i], levels=[0.5], colors="#F0E442", linewidths=0.6)
    ax.set_title(f"{scenes.dates[i]:%Y-%m-%d}, {scenes.level_m[i]:.1f} m")
glue("itoiz_told", f"{told}", display=False)
glue("fig-itoiz-scenes", fig)
plt.close(fig)

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
# ```{glue:figure} fig-itoiz-scenes
# :name: fig-itoiz-scenes
# :alt: Six images of a reservoir between hills with its outline in yellow; the water shrinks and grows again.
#
# Real data, where they are present ({glue:text}`itoiz_told`). The yellow line is where the index for water, NDWI, is zero.
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
left.tick_params(axis="x", rotation=30)
left.legend()
order = used.sort_values("area_km2")
falling = used["date"] < used.loc[used["level_m"].idxmin(), "date"]
for name, part, marker in (("falling", used[falling], "v"), ("rising", used[~falling], "^")):
    right.plot(part["area_km2"], part["level_m"], marker, ms=5, label=name, color="#0072B2" if name == "falling" else "#009E73")
fitted = IsotonicRegression().fit(order["area_km2"], order["level_m"])
grid = np.linspace(order["area_km2"].min(), order["area_km2"].max(), 200)
right.plot(grid, fitted.predict(grid), color="black", lw=1)
right.set(xlabel="area that looks like water (km²)")
right.legend()
glue("fig-itoiz-area", fig)
plt.close(fig)
