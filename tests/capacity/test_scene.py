import numpy as np
import pytest
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy import ndimage

from millpond.capacity.errors import CapacityError
from millpond.capacity.land_use import LAND_USE
from millpond.capacity.scene import FIELD_CELLS, SENSOR_NOISE, draw_polygons, simulate_scene
from millpond.simulation.errors import SimulationError
from millpond.simulation.illumination import Sun
from millpond.simulation.spectra import BANDS, SURFACES, measured_spectra

THIRTY_METRES = Affine(30, 0, 500_000, 0, -30, 4_000_000)
UTM = "EPSG:32650"
HIGH, LOW = Sun(150, 60), Sun(150, 25)


def valley(shape=(90, 120)):
    """Hills of 18 degrees in the north-west, a plain in the south-east, and two ponds that slope on their ground."""
    row, col = np.indices(shape)
    steep = np.clip(60 - col, 0, None) * 30 * np.tan(np.radians(18))
    elevation = 200 + steep + 0.1 * row
    water = np.zeros(shape, np.int32)
    water[40:60, 80:95], water[70:75, 70:76] = 1, 2
    return elevation, water


@pytest.fixture(scope="module")
def scene():
    elevation, water = valley()
    return simulate_scene(elevation, water, THIRTY_METRES, UTM, sun=HIGH, random_state=3)


def test_every_land_use_has_a_spectrum():
    assert set(SURFACES) == set(LAND_USE)


def test_truth_is_what_was_put_in(scene):
    elevation, water = valley()
    np.testing.assert_array_equal(scene.water, water > 0)
    np.testing.assert_array_equal(np.where(scene.water, scene.parcels, 0), water)
    # Ponds are level, as high as their highest ground: rows 59 and 74. Elsewhere the ground stays.
    np.testing.assert_allclose(scene.surface_m[water == 1], 205.9)
    np.testing.assert_allclose(scene.surface_m[water == 2], 207.4)
    np.testing.assert_allclose(scene.surface_m[water == 0], elevation[water == 0], rtol=1e-6)
    assert scene.reflectance.shape == (len(BANDS), 90, 120)
    assert scene.reflectance.dtype == "float32"


def test_fields_are_whole_steep_ones_green_and_flat_ones_of_every_use(scene):
    pairs = np.unique(np.stack([scene.parcels.ravel(), scene.land_use.ravel()]), axis=1)
    assert len(set(pairs[0])) == pairs.shape[1]  # one use a parcel
    assert pairs.shape[1] == pytest.approx(90 * 120 / FIELD_CELLS + 2, abs=5)
    assert (scene.land_use[:, :45] == LAND_USE.index("green space")).all()
    assert set(scene.land_use[:, 75:].ravel()) == set(range(5))


def test_the_sun_changes_the_light_and_not_the_land(scene):
    elevation, water = valley()
    low = simulate_scene(elevation, water, THIRTY_METRES, UTM, sun=LOW, random_state=3)
    np.testing.assert_array_equal(low.parcels, scene.parcels)
    np.testing.assert_array_equal(low.land_use, scene.land_use)
    # The slope falls to the east; the sun from the south-south-east lights it, more so when it is low.
    hill, plain = np.s_[:, 20:70, 5:40], np.s_[:, 5:30, 80:115]
    gain = (low.reflectance[hill].mean() - low.reflectance[plain].mean()) - (
        scene.reflectance[hill].mean() - scene.reflectance[plain].mean()
    )
    assert gain > 0
    assert not scene.shadow.any()


def test_one_seed_gives_the_same_bits(scene):
    elevation, water = valley()
    again, other = (
        simulate_scene(elevation, water, THIRTY_METRES, UTM, sun=HIGH, random_state=seed) for seed in (3, 4)
    )
    assert again.reflectance.tobytes() == scene.reflectance.tobytes()
    assert (other.parcels != scene.parcels).any()


def test_water_looks_like_measured_water_inside_and_like_a_mixture_at_the_shore(scene):
    infrared, pond = scene.reflectance[BANDS.index("B08")], scene.parcels == 1
    inside = ndimage.binary_erosion(pond, iterations=2)
    shore = pond & ~ndimage.binary_erosion(pond)
    land = ndimage.binary_dilation(pond, iterations=4) & ~ndimage.binary_dilation(pond, iterations=2)
    measured = measured_spectra("water")[:, BANDS.index("B08")]
    assert measured.min() / 2 < infrared[inside].mean() < 2 * measured.max()
    # A Gaussian of half a cell takes 16 % of a straight shore's light from the land.
    share = (infrared[shore].mean() - infrared[inside].mean()) / (infrared[land].mean() - infrared[inside].mean())
    assert 0.1 < share < 0.25


def test_deep_inside_a_pond_only_the_stated_variation_is_left(scene):
    inside = ndimage.binary_erosion(scene.parcels == 1, iterations=3)
    # Noise of the sensor, and 5 % of a reflectance of about 0.02, which the blur makes smaller.
    assert scene.reflectance[BANDS.index("B08")][inside].std() == pytest.approx(SENSOR_NOISE, rel=0.25)


def test_shadow_is_dark_and_less_so_in_the_blue():
    elevation, water = valley()
    elevation[:, 100] += 400  # a wall: its shadow reaches 14 cells to the west under the low sun, 4 under the high one
    lit, shaded = (simulate_scene(elevation, water, THIRTY_METRES, UTM, sun=sun, random_state=3) for sun in (HIGH, LOW))
    behind = np.s_[20:30, 88:95]
    assert shaded.shadow[behind].all()
    assert not lit.shadow[behind].any()
    blue, infrared = (
        shaded.reflectance[BANDS.index(name)][behind].mean() / lit.reflectance[BANDS.index(name)][behind].mean()
        for name in ("B02", "B12")
    )
    assert infrared < 0.1
    assert 0.2 < blue < 0.5


def test_land_without_water_is_a_scene_too():
    elevation, water = valley()
    dry = simulate_scene(elevation, 0 * water, THIRTY_METRES, UTM, sun=HIGH, random_state=0)
    assert not dry.water.any()
    assert dry.parcels.min() == 1
    assert set(draw_polygons(dry, 3, random_state=0)["land_use"]) == set(LAND_USE) - {"water"}


def test_grids_that_do_not_fit_are_refused():
    elevation, water = valley()
    with pytest.raises(CapacityError, match=r"water of shape \(90, 119\) and a DEM of shape \(90, 120\) found"):
        simulate_scene(elevation, water[:, 1:], THIRTY_METRES, UTM, sun=HIGH)
    with pytest.raises(CapacityError, match="no coordinate reference system found"):
        simulate_scene(elevation, water, THIRTY_METRES, None, sun=HIGH)
    with pytest.raises(SimulationError, match="sun elevation of 0 degrees found"):
        simulate_scene(elevation, water, THIRTY_METRES, UTM, sun=Sun(90, 0))


# ---- polygons


def test_polygons_lie_inside_one_parcel_of_their_land_use(scene):
    polygons = draw_polygons(scene, 6, random_state=0)
    counts = polygons["land_use"].value_counts()
    assert counts["water"] == 2  # all there are
    assert (counts.drop("water") == 6).all()
    assert polygons["parcel"].is_unique
    for land_use, parcel, geometry in polygons.itertuples(index=False):
        cells = rasterize([geometry], scene.parcels.shape, transform=THIRTY_METRES) == 1
        assert (ndimage.binary_dilation(cells, np.ones((3, 3))) <= (scene.parcels == parcel)).all()
        assert (scene.land_use[cells] == LAND_USE.index(land_use)).all()
    pond = polygons.set_index("parcel").geometry[1]
    assert pond.area == 18 * 13 * 900  # 20 by 15 cells without their rim


def test_shaded_parcels_are_drawn_only_on_request():
    elevation, water = valley()
    elevation[:, 100] += 400
    shaded = simulate_scene(elevation, water, THIRTY_METRES, UTM, sun=LOW, random_state=3)

    def in_shadow(polygons):
        return [shaded.shadow[shaded.parcels == parcel].mean() for parcel in polygons["parcel"]]

    assert max(in_shadow(draw_polygons(shaded, 1000, random_state=0))) == 0
    assert 0 < max(in_shadow(draw_polygons(shaded, 1000, largest_shaded_share=0.3, random_state=0))) <= 0.3
    assert max(in_shadow(draw_polygons(shaded, 1000, largest_shaded_share=1, random_state=0))) == 1


def test_draws_depend_on_the_seed_alone(scene):
    first, again, other = (list(draw_polygons(scene, 5, random_state=seed)["parcel"]) for seed in (0, 0, 1))
    assert first == again != other
