import numpy as np
import pytest

from millpond.errors import MillpondError
from millpond.split import spatial_blocks


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
    with pytest.raises(MillpondError, match=r"polygons of shape \(3, 3\) for labels of shape \(128, 256\) found"):
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
    with pytest.raises(MillpondError, match=message):
        spatial_blocks(*scene, **how)


def test_labels_of_another_scene_are_refused(scene):
    with pytest.raises(MillpondError, match=r"dn of shape \(4, 384, 520\) and labels of shape \(3, 3\) found"):
        spatial_blocks(scene[0], np.zeros((3, 3)))
