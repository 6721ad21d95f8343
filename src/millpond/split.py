"""Hold-out in space: whole blocks of a scene, with a strip between those that train and those that test."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from millpond.errors import MillpondError

_TRIALS = 200  # enough for balance, and few enough that seeds give different folds


class SpatialBlocks(NamedTuple):
    """Patches for a hold-out in space.

    Attributes
    ----------
    images : (n, 4, patch, patch) array
        As given.
    labels : (n, patch, patch) int16 array
        -1 where unlabelled, where another fold is near, and where most of the polygon lies in another fold.
    fold : (n,) int array
        From 0; all patches of a block have the same.
    row, col : (n,) int arrays
        The patch's first pixel in the scene.
    """

    images: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    row: np.ndarray
    col: np.ndarray


def spatial_blocks(
    dn: np.ndarray,
    labels: np.ndarray,
    polygons: np.ndarray | None = None,
    *,
    block_pixels: int = 256,
    patch_pixels: int = 128,
    n_folds: int = 3,
    buffer_pixels: int = 32,
    random_state: int = 0,
) -> SpatialBlocks:
    """Cut a scene into patches and give whole blocks of them to folds.

    Neighbouring pixels are alike, so that random patches of one scene would test memory. Here a fold is made of whole
    blocks, and between labelled pixels of different folds lie at least `buffer_pixels` unlabelled ones, half of them on
    either side. The images of the patches don't overlap. A polygon that reaches across a buffer keeps its labels in the
    fold that has most of them, if `polygons` tells which pixels are of one.

    Of many random assignments of the blocks, equally many to each fold as far as possible, the one is taken that leaves
    the fewest folds without a class, and among these the one whose smallest share of a class in a fold is the largest.
    Classes are counted before the buffer is cut.

    Parameters
    ----------
    dn : (bands, rows, cols) array
    labels : (rows, cols) integer array
        -1 is unlabelled.
    polygons : (rows, cols) integer array, optional
        Number of the polygon that a labelled pixel belongs to, from 0 on.
    block_pixels, patch_pixels : int
        Sides; the first is a multiple of the second. What doesn't fill a patch at the right and lower edge is left out.
    n_folds : int
    buffer_pixels : int
        0 for none.
    random_state : int

    Returns
    -------
    SpatialBlocks
        Patches without any label are left out.

    Raises
    ------
    MillpondError
        If shapes don't match, sides don't divide, there are fewer blocks than folds, or no label is left in a fold.
    """
    labels = np.asarray(labels)
    if dn.ndim != 3 or dn.shape[1:] != labels.shape:
        raise MillpondError(
            f"dn of shape {dn.shape} and labels of shape {labels.shape} found, (bands, rows, cols) and (rows, cols) "
            "of one scene expected. Cut both to the same grid."
        )
    if polygons is not None and np.shape(polygons) != labels.shape:
        raise MillpondError(
            f"polygons of shape {np.shape(polygons)} for labels of shape {labels.shape} found, the same expected. Cut "
            "both to the same grid."
        )
    if patch_pixels < 1 or block_pixels < patch_pixels or block_pixels % patch_pixels:
        raise MillpondError(
            f"block_pixels = {block_pixels} found, a multiple of patch_pixels = {patch_pixels} expected. Change one "
            "of them."
        )
    if n_folds < 2 or buffer_pixels < 0:
        raise MillpondError(
            f"n_folds = {n_folds} and buffer_pixels = {buffer_pixels} found, 2 or more folds and no negative buffer "
            "expected. Set them so."
        )
    rows, cols = (n // patch_pixels for n in labels.shape)
    across = -(-cols * patch_pixels // block_pixels)
    patch_row, patch_col = (index.ravel() for index in np.indices((rows, cols)))
    per_block = block_pixels // patch_pixels
    block = patch_row // per_block * across + patch_col // per_block
    n_blocks = len(np.unique(block))
    if n_blocks < n_folds:
        raise MillpondError(
            f"{n_blocks} blocks of {block_pixels} pixels found in a scene of {labels.shape[0]} x {labels.shape[1]}, at "
            f"least {n_folds} expected, one a fold. Take smaller blocks or fewer folds."
        )
    labels = labels[: rows * patch_pixels, : cols * patch_pixels].astype(np.int16)
    fold_of_patch = _assign(_patches(labels[None], patch_pixels)[:, 0], block, n_folds, random_state)[block]
    folds = np.kron(fold_of_patch.reshape(rows, cols), np.ones((patch_pixels, patch_pixels), int))
    if buffer_pixels:
        window = 2 * (-(-buffer_pixels // 2)) + 1
        is_near = minimum_filter(folds, window, mode="nearest") != maximum_filter(folds, window, mode="nearest")
        labels = np.where(is_near, np.int16(-1), labels)
    if polygons is not None:
        labels = _in_one_fold(labels, folds, polygons[: folds.shape[0], : folds.shape[1]])
    targets = _patches(labels[None], patch_pixels)[:, 0]
    keep = (targets >= 0).any((1, 2))
    if len(empty := sorted(set(range(n_folds)) - set(fold_of_patch[keep].tolist()))):
        raise MillpondError(
            f"no labelled pixel found in fold {', '.join(map(str, empty))} of {n_folds}, at least one expected. Take "
            f"fewer folds, or a narrower buffer than {buffer_pixels} pixels in blocks of {block_pixels}."
        )
    images = _patches(dn[:, : labels.shape[0], : labels.shape[1]], patch_pixels)[keep]
    first = patch_row[keep] * patch_pixels, patch_col[keep] * patch_pixels
    return SpatialBlocks(images, targets[keep], fold_of_patch[keep], *first)


def _in_one_fold(labels: np.ndarray, folds: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Labels of each polygon where it has most of them, -1 in the other folds."""
    known = labels >= 0
    counts = np.zeros((polygons.max() + 1, folds.max() + 1), int)
    np.add.at(counts, (polygons[known], folds[known]), 1)
    return np.where(known & (counts.argmax(axis=1)[polygons] == folds), labels, np.int16(-1))


def _patches(values: np.ndarray, side: int) -> np.ndarray:
    """(n, bands, side, side) of (bands, rows, cols), row by row."""
    bands, rows, cols = values.shape
    cut = values.reshape(bands, rows // side, side, cols // side, side)
    return np.ascontiguousarray(cut.transpose(1, 3, 0, 2, 4).reshape(-1, bands, side, side))


def _assign(targets: np.ndarray, block: np.ndarray, n_folds: int, random_state: int) -> np.ndarray:
    """Fold of each block."""
    n_blocks, n_classes = block.max() + 1, max(int(targets.max()) + 1, 1)
    counts = np.zeros((n_blocks, n_classes))
    for patch, i in zip(targets, block, strict=True):
        counts[i] += np.bincount(patch[patch >= 0], minlength=n_classes)
    counts = counts[:, counts.sum(0) > 0]
    rng = np.random.default_rng(random_state)
    trials = rng.permuted(np.tile(np.arange(n_blocks) % n_folds, (_TRIALS, 1)), axis=1)
    in_fold = np.eye(n_folds)[trials]
    share = np.einsum("tbf,bc->tfc", in_fold, counts / counts.sum(0))
    n_missing = (share == 0).sum((1, 2))
    smallest = np.min(share, axis=(1, 2), where=share > 0, initial=1)
    return trials[np.lexsort((-smallest, n_missing))[0]]
