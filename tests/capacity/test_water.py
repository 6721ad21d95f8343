import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from rasterio.features import shapes
from rasterio.transform import Affine
from shapely.geometry import box, shape
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from millpond import datasets
from millpond.capacity.errors import CapacityError
from millpond.capacity.land_use import LAND_USE, classify_land_use, confusion_matrix, split_polygons
from millpond.capacity.water import normalized_difference, polygons_of, reflectance, water_by_index
from millpond.raster import SENTINEL2_BANDS, open_raster

TEN_METRES = Affine(10, 0, 500_000, 0, -10, 4_000_000)
UTM = "EPSG:32650"


def lake_and_land(share=0.3, seed=0, shape_=(80, 80)):
    """Green and near infrared reflectance of an image whose left part is water."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape_, bool)
    truth[:, : round(share * shape_[1])] = True
    green = np.where(truth, 0.06, 0.08) + rng.normal(0, 0.005, shape_)
    near_infrared = np.where(truth, 0.02, 0.25) + rng.normal(0, 0.005, shape_)
    return green, near_infrared, truth


@pytest.mark.parametrize(
    ("scaling", "dn", "expected"),
    [
        ("sentinel-2", 1500, 0.15),
        ("sentinel-2-with-offset", 1500, 0.05),
        ("sentinel-2-with-offset", 900, -0.01),
        ("landsat-collection-2", 10_000, 0.075),
    ],
)
def test_digital_numbers_become_reflectance(scaling, dn, expected):
    values = reflectance(np.array([[dn, 0]], np.uint16), scaling)
    assert values.dtype == "float32"
    assert values[0, 0] == pytest.approx(expected, abs=1e-7)
    assert np.isnan(values[0, 1])


def test_unknown_scalings_are_refused():
    with pytest.raises(CapacityError, match=r"scaling 'modis' found, one of sentinel-2, .* expected"):
        reflectance(np.ones((2, 2)), "modis")


def test_the_index_is_computed_by_hand_and_undefined_without_light():
    index = normalized_difference(np.array([0.06, 0.05, 0.0, np.nan]), np.array([0.02, -0.01, 0.0, 0.1]))
    np.testing.assert_allclose(index, [0.5, 1.0, np.nan, np.nan], rtol=1e-6)


def test_otsu_separates_water_from_land():
    green, near_infrared, truth = lake_and_land()
    green[0, 0] = np.nan
    found = water_by_index(green, near_infrared)
    truth[0, 0] = False
    assert -0.4 < found.threshold < 0.4  # the modes are at -0.51 and 0.5
    np.testing.assert_array_equal(found.water, truth)
    assert np.isnan(found.index[0, 0])


def test_otsu_is_the_cut_with_the_largest_variance_between_classes():
    rng = np.random.default_rng(3)
    index = np.concatenate([rng.normal(-0.4, 0.15, 4000), rng.normal(0.4, 0.08, 1500)]).clip(-0.9, 0.9)
    threshold = water_by_index((1 + index)[None] / 2, (1 - index)[None] / 2).threshold

    def between(cut):
        low, high = index[index <= cut], index[index > cut]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(np.linspace(-0.5, 0.5, 501), key=between)
    assert threshold == pytest.approx(best, abs=2 / 128)


@pytest.mark.parametrize("share", [0.0, 0.001, 1.0])
def test_otsu_refuses_a_scene_with_one_mode_and_a_stated_threshold_still_works(share):
    rng = np.random.default_rng(1)
    truth = rng.random((200, 200)) < share
    green = np.full(truth.shape, 0.08)
    near_infrared = np.where(truth, 0.02, rng.normal(0.25, 0.04, truth.shape))
    with pytest.raises(
        CapacityError, match=r"modes of the index .* expected\. Cut .* state a threshold \(0 is usual\)"
    ):
        water_by_index(green, near_infrared)
    np.testing.assert_array_equal(water_by_index(green, near_infrared, threshold=0).water, truth)


def test_otsu_finds_a_lake_of_a_hundredth_of_the_scene_and_water_without_any_infrared():
    green, near_infrared, truth = lake_and_land(share=0.01, shape_=(50, 200))
    near_infrared[truth] = 0  # the index is exactly 1
    np.testing.assert_array_equal(water_by_index(green, near_infrared).water, truth)


def test_otsu_refuses_two_kinds_of_land():
    rng = np.random.default_rng(1)
    near_infrared = np.where(rng.random((100, 100)) < 0.5, 0.15, 0.4) + rng.normal(0, 0.01, (100, 100))
    with pytest.raises(CapacityError, match=r"index at -0\.\d+, -0\.\d+ and .* above it and above 0 expected"):
        water_by_index(np.full((100, 100), 0.1), near_infrared)


def test_images_that_do_not_fit_or_are_empty_are_refused():
    with pytest.raises(CapacityError, match=r"shapes \(2, 2\) and \(4, 4\) found"):
        water_by_index(np.ones((2, 2)), np.ones((4, 4)))
    with pytest.raises(CapacityError, match="an image without data found"):
        water_by_index(np.full((2, 2), np.nan), np.ones((2, 2)))


# ---- the real chip


@pytest.fixture(scope="module")
def chip():
    """Reflectance by band, hand-drawn label (-1 no data), transform and crs."""
    if not datasets.is_present("sen1floods11"):
        pytest.skip("needs sen1floods11 of the data root (set MILLPOND_DATA)")
    folder = datasets.path("sen1floods11")
    with open_raster(folder / "Spain_7370579_S2Hand.tif") as raster:
        bands = dict(zip(SENTINEL2_BANDS, reflectance(raster.read(), "sentinel-2"), strict=True))
    with open_raster({"label": folder / "Spain_7370579_LabelHand.tif"}) as raster:
        return bands, raster.read()[0], raster.transform, raster.crs


def iou(water, label):
    return (water & (label == 1)).sum() / ((water | (label == 1)) & (label >= 0)).sum()


def test_indexes_find_most_of_a_turbid_flood(chip):
    # Half-drowned fields and mud: no single index with an untuned threshold reaches 0.8 here.
    bands, label, _, _ = chip
    ndwi = water_by_index(bands["B03"], bands["B08"])
    mndwi = water_by_index(bands["B03"], bands["B11"])
    assert iou(ndwi.water, label) == pytest.approx(0.69, abs=0.01)
    assert iou(mndwi.water, label) == pytest.approx(0.72, abs=0.01)
    assert iou(ndwi.index > 0, label) == pytest.approx(0.68, abs=0.01)
    assert iou(mndwi.index > 0, label) == pytest.approx(0.61, abs=0.01)


def test_the_supervised_route_finds_water_on_blocks_that_did_not_train_it(chip):
    bands, label, transform, crs = chip
    image = [bands[name] for name in ("B02", "B03", "B04", "B08", "B11", "B12")]
    for first, second in (("B03", "B08"), ("B03", "B11"), ("B08", "B04")):
        image.append(normalized_difference(bands[first], bands[second]))
    rows, cols = np.indices(label.shape) // 32
    block = rows * 16 + cols
    held_out = np.isin(block, np.random.default_rng(0).choice(256, 64, replace=False))
    drawn = shapes(
        (block * 2 + label).astype(np.int32), mask=(label >= 0) & ~held_out, connectivity=8, transform=transform
    )
    outlines = [(shape(outline), ("land", "water")[int(value) % 2]) for outline, value in drawn]
    training = gpd.GeoDataFrame(
        {"land_use": [name for _, name in outlines]}, geometry=[outline for outline, _ in outlines], crs=crs
    )
    forest = RandomForestClassifier(30, min_samples_leaf=3, max_samples=20_000, n_jobs=2, random_state=0)
    labels, fitted = classify_land_use(np.array(image), training, transform, crs, forest)
    water = labels == list(fitted.classes_).index("water")
    assert iou(water, np.where(held_out, label, -1)) >= 0.8


# ---- five classes with known truth

# Blue, green, red, near and short-wave infrared; greenhouses are plastic over green leaves.
SPECTRA = {
    "water": (0.07, 0.06, 0.04, 0.03, 0.02),
    "construction": (0.15, 0.17, 0.19, 0.23, 0.26),
    "green space": (0.04, 0.07, 0.05, 0.35, 0.17),
    "cultivated": (0.07, 0.10, 0.11, 0.29, 0.24),
    "greenhouse": (0.18, 0.20, 0.19, 0.33, 0.22),
}


@pytest.fixture(scope="module")
def simulated():
    """An image of 15 x 15 fields of 12 x 12 pixels, their classes, and polygons just inside a third of the fields."""
    rng = np.random.default_rng(0)
    fields = rng.integers(0, 5, (15, 15))
    truth = fields.repeat(12, 0).repeat(12, 1)
    spectra = np.array([SPECTRA[name] for name in LAND_USE])
    # Fields of a class differ from each other more than their pixels do.
    of_fields = spectra[fields] * rng.lognormal(0, 0.18, (15, 15, 5))
    image = of_fields.repeat(12, 0).repeat(12, 1) + rng.normal(0, 0.008, (180, 180, 5))
    image = np.moveaxis(image, -1, 0).astype(np.float32)
    image[:, :3, :3] = np.nan
    # Clear of the corner without data.
    drawn = [(row, col) for row in range(15) for col in range(15) if (row + 2 * col) % 3 == 1]
    x, y = TEN_METRES.c, TEN_METRES.f
    polygons = gpd.GeoDataFrame(
        {"land_use": [LAND_USE[fields[row, col]] for row, col in drawn]},
        geometry=[
            box(x + 120 * col + 10, y - 120 * row - 110, x + 120 * col + 110, y - 120 * row - 10) for row, col in drawn
        ],
        crs=UTM,
    )
    return image, truth, polygons


def test_five_classes_are_told_apart_on_polygons_that_were_held_out(simulated):
    image, truth, polygons = simulated
    training, held_out = split_polygons(polygons, test_size=0.4, random_state=1)
    labels, fitted = classify_land_use(image, training, TEN_METRES, UTM)
    confusion = confusion_matrix(labels, fitted.classes_, held_out, TEN_METRES, UTM)
    assert list(confusion.index) == list(confusion.columns) == sorted(LAND_USE)
    np.testing.assert_array_equal(
        confusion.sum(axis=1), 100 * held_out["land_use"].value_counts().reindex(confusion.index)
    )
    accuracy = np.trace(confusion) / confusion.to_numpy().sum()
    of_all = fitted.classes_[labels[labels >= 0]] == np.array(LAND_USE)[truth[labels >= 0]]
    assert accuracy > 0.85
    assert accuracy == pytest.approx(of_all.mean(), abs=0.08)  # honest: the rest of the image fares no worse
    assert confusion.loc["water", "water"] == confusion.loc["water"].sum()
    assert (labels[:3, :3] == -1).all()
    assert (labels == -1).sum() == 9


def test_pixels_held_out_instead_of_polygons_flatter(simulated):
    image, _, polygons = simulated
    training, held_out = split_polygons(polygons, test_size=0.4, random_state=1)
    labels, fitted = classify_land_use(image, training, TEN_METRES, UTM)
    own = confusion_matrix(labels, fitted.classes_, training, TEN_METRES, UTM)
    other = confusion_matrix(labels, fitted.classes_, held_out, TEN_METRES, UTM)
    assert np.trace(own) / own.to_numpy().sum() > np.trace(other) / other.to_numpy().sum() + 0.02


def test_splits_keep_every_class_on_both_sides_and_no_polygon_twice(simulated):
    _, _, polygons = simulated
    training, held_out = split_polygons(polygons, test_size=0.3, random_state=5)
    assert not set(training.index) & set(held_out.index)
    assert len(training) + len(held_out) == len(polygons)
    assert set(training["land_use"]) == set(held_out["land_use"]) == set(LAND_USE)
    again, _ = split_polygons(polygons, test_size=0.3, random_state=5)
    assert list(again.index) == list(training.index)


def test_polygons_in_another_reference_system_train_alike_and_the_classifier_given_stays_unfitted(simulated):
    image, _, polygons = simulated
    tree = DecisionTreeClassifier(random_state=0)
    labels, _ = classify_land_use(image, polygons, TEN_METRES, UTM, tree)
    degrees, _ = classify_land_use(image, polygons.to_crs("EPSG:4326"), TEN_METRES, UTM, tree)
    np.testing.assert_array_equal(labels, degrees)
    assert not hasattr(tree, "tree_")


def test_what_is_masked_has_no_data(simulated):
    image, _, polygons = simulated
    tree = DecisionTreeClassifier(random_state=0)
    hidden = np.zeros(image.shape, bool)
    hidden[0, 40:80, 40:80] = True
    masked = np.ma.array(np.where(hidden, 0, image), mask=hidden)
    plain = np.where(hidden, np.nan, image)
    labels, expected = (classify_land_use(one, polygons, TEN_METRES, UTM, tree)[0] for one in (masked, plain))
    np.testing.assert_array_equal(labels, expected)
    classes = np.array(sorted(LAND_USE))
    grid = classes, polygons, TEN_METRES, UTM
    unseen = np.ma.array(labels.clip(0), mask=labels < 0)
    pd.testing.assert_frame_equal(confusion_matrix(unseen, *grid), confusion_matrix(labels, *grid))

    green, infrared = np.ma.array([[0.3, 0.5]], mask=[[False, True]]), np.array([[0.1, 0.1]])
    np.testing.assert_allclose(normalized_difference(green, infrared), [[0.5, np.nan]], rtol=1e-6)
    assert water_by_index(green, infrared, threshold=0).water.tolist() == [[True, False]]
    bodies = np.ma.array(np.ones((20, 20), int), mask=np.arange(400).reshape(20, 20) % 20 > 9)
    assert polygons_of(bodies, TEN_METRES, UTM)[0]["area_km2"].sum() == pytest.approx(0.02, rel=2e-3)


def test_training_polygons_that_cannot_train_are_refused(simulated):
    image, _, polygons = simulated
    with pytest.raises(CapacityError, match=r"columns class, geometry found, a class for each in `land_use` expected"):
        classify_land_use(image, polygons.rename(columns={"land_use": "class"}), TEN_METRES, UTM)
    with pytest.raises(CapacityError, match="without coordinate reference system found"):
        classify_land_use(image, polygons.set_crs(None, allow_override=True), TEN_METRES, UTM)
    with pytest.raises(CapacityError, match="pixels of 0 classes found inside the polygons, two"):
        classify_land_use(image, polygons.translate(1e5).to_frame("geometry").join(polygons.land_use), TEN_METRES, UTM)
    with pytest.raises(CapacityError, match="pixels of 0 classes"):
        classify_land_use(image, polygons[:0], TEN_METRES, UTM)
    water = polygons[polygons["land_use"] == "water"]
    with pytest.raises(CapacityError, match="pixels of 1 classes"):
        classify_land_use(image, water, TEN_METRES, UTM)
    with pytest.raises(CapacityError, match="one polygon of water found, two or more expected"):
        split_polygons(water[:1])


# ---- outlines


def test_small_bodies_are_dropped_and_counted():
    mask = np.zeros((40, 40), bool)
    mask[2:6, 2:7] = True  # 20 pixels of 100 m2
    mask[20:30, 20:30] = True
    mask[30, 30] = True  # touches a corner
    mask[10, 35] = mask[35, 3] = True
    polygons, n_dropped = polygons_of(mask, TEN_METRES, UTM, min_area_km2=0.00199)
    assert n_dropped == 2
    assert list(polygons.index) == [1, 2]
    # On UTM's central meridian the scale is 0.9996: true areas are larger by 0.08 %.
    np.testing.assert_allclose(sorted(polygons["area_km2"]), np.array([0.002, 0.0101]) / 0.9996**2, rtol=1e-4)
    assert polygons.crs == UTM
    assert len(polygons_of(mask, TEN_METRES, UTM)[0]) == 2
    assert len(polygons_of(mask, TEN_METRES, UTM, min_area_km2=0.003)[0]) == 1


def test_labels_stay_apart_and_no_water_gives_no_polygons():
    labels = np.zeros((20, 20), np.int16)
    labels[2:10, 2:10], labels[2:10, 10:18], labels[15:, :] = 3, 7, -1
    polygons, n_dropped = polygons_of(labels, TEN_METRES, UTM)
    assert list(polygons["label"]) == [3, 7]
    assert n_dropped == 0
    nothing, n_dropped = polygons_of(np.zeros((5, 5), bool), TEN_METRES, UTM)
    assert len(nothing) == n_dropped == 0
    assert list(nothing.columns) == ["label", "area_km2", "geometry"]


@pytest.mark.parametrize("latitude", [0, 36, 60])
def test_areas_in_degrees_are_those_on_the_ellipsoid(latitude):
    mask = np.zeros((50, 50), bool)
    mask[10:40, 10:40] = True
    cell = 1 / 3600
    polygons, _ = polygons_of(mask, Affine(cell, 0, 118, 0, -cell, latitude + 25 * cell), "EPSG:4326")
    # Radii of curvature of WGS 84 in the meridian and across it, by hand.
    a, e2, sine = 6_378_137.0, 0.00669437999, np.sin(np.radians(latitude))
    north = np.radians(30 * cell) * a * (1 - e2) / (1 - e2 * sine**2) ** 1.5
    east = np.radians(30 * cell) * a / (1 - e2 * sine**2) ** 0.5 * np.cos(np.radians(latitude))
    assert polygons["area_km2"].item() == pytest.approx(north * east / 1e6, rel=1e-5)


def test_a_mask_without_reference_system_is_refused():
    with pytest.raises(CapacityError, match="a mask without coordinate reference system found"):
        polygons_of(np.ones((3, 3), bool), TEN_METRES, None)
