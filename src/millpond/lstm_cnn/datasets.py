"""Images and labels of the LSTM-CNN study: MNIST and the histology of invasive ductal carcinoma (IDC).

Images come as published, in whole numbers from 0 to 255. What had to be changed or left out is counted, and everything
else that is wrong with a file is refused. Histology patches of one patient resemble each other; hence two ways to split
them, by patient, and by patch as the study most likely did.
"""

import gzip
import hashlib
import io
import math
import os
import re
import shutil
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pooch
import sklearn.datasets
from PIL import Image
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from tqdm import tqdm

from millpond import datasets
from millpond.files import replacing
from millpond.lstm_cnn.errors import ClassificationError

DIGITS = tuple("0123456789")
IDC_CLASSES = ("negative", "positive")
"""In the files, class 0 is tissue without and class 1 with invasive ductal carcinoma."""

N_DRAWS = 50
"""How many random draws of patients `split_by_group` chooses from."""

_DIGITS_LARGEST = 16
_IDX_MAGIC = {2051: "images", 2049: "labels"}
_IDX_DIMENSIONS = {"images": 3, "labels": 1}
_PATCH = re.compile(
    r"(?:.*/)?(?P<folder>[^/]+)/(?P<class_folder>[01])/"
    r"(?P<patient>[^/]+)_idx5_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<class_name>[01])\.png"
)
_LAYOUT = "<patient>/<class>/<patient>_idx5_x<X>_y<Y>_class<class>.png with class 0 or 1"
_BIT_DEPTH_AT = 24  # in every PNG, since its header comes first (ISO/IEC 15948)
_LARGEST_PNG_BYTES = 2**20  # a patch of 50 x 50 has 7 kB
_CACHE_FORMAT = 1  # another number makes older caches void
_UNREADABLE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
_NO_IMAGE = (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError)

Read = Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with a label each.

    Attributes
    ----------
    images : (n, channels, rows, cols) array
        uint8, or reflectance as float32.
    labels : (n,) int64 array
        Positions in `classes`.
    classes : tuple of str
    groups : (n,) array or None
        What must not be torn apart when splitting: the patient of a histology patch, the fold of a scene's patch.
    corners_px : (n, 2) int64 array or None
        Column and row of a patch's upper left pixel in the image that it was cut from.
    n_padded, n_skipped : int
        Undersized images that were padded and are here, or that are not; of patches of a scene, those that can't be
        used (`millpond.lstm_cnn.patches.read_patches`).
    n_repeated : int
        Second copies of an image, equal to the first and left out.
    n_other_files : int
        Files that are no images (and weren't read).
    """

    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    groups: np.ndarray | None = field(default=None, repr=False)
    corners_px: np.ndarray | None = field(default=None, repr=False)
    n_padded: int = 0
    n_skipped: int = 0
    n_repeated: int = 0
    n_other_files: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def load_digits() -> LabelledImages:
    """Read scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, which work offline.

    Their values are counts of ink from 0 to 16; they become 255/16 of that, rounded, halves up.
    """
    digits = sklearn.datasets.load_digits()
    counts = digits.images.astype(np.int64)
    images = (counts * 255 + _DIGITS_LARGEST // 2) // _DIGITS_LARGEST
    return LabelledImages(images.astype(np.uint8)[:, np.newaxis], digits.target.astype(np.int64), DIGITS)


def load_mnist(part: str, folder: str | Path | None = None) -> LabelledImages:
    """Read one part of MNIST from its original IDX files.

    Parameters
    ----------
    part : "train" or "test"
        60,000 or 10,000 digits of 28 x 28 pixels.
    folder : path, optional
        Where `train-images-idx3-ubyte` and the others are, compressed by gzip (with or without `.gz` in their names) or
        not. By default the data root.

    Raises
    ------
    ClassificationError
        If a file is missing, damaged, or not what its name says; if there aren't as many labels as images, or not all
        ten digits among them.
    """
    prefixes = {"train": "train", "test": "t10k"}
    if part not in prefixes:
        raise ClassificationError(f"MNIST's part {part!r} found, 'train' or 'test' expected. Choose one of them.")
    folder = datasets.path("mnist", required=False) if folder is None else Path(folder)
    images_path = _idx_file(folder, f"{prefixes[part]}-images-idx3-ubyte")
    labels_path = _idx_file(folder, f"{prefixes[part]}-labels-idx1-ubyte")
    images, labels = _read_idx(images_path, "images"), _read_idx(labels_path, "labels")
    if len(images) != len(labels):
        raise ClassificationError(
            f"{labels_path}: {len(labels)} labels found, but {images_path.name} holds {len(images)} images. "
            "Put files of the same part and the same edition together."
        )
    if labels.max() >= len(DIGITS):
        raise ClassificationError(
            f"{labels_path}: the label {labels.max()} found, 0 to 9 expected. Get the file from its publisher again."
        )
    return _with_all_classes(LabelledImages(images[:, np.newaxis], labels, DIGITS), labels_path)


def _idx_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise ClassificationError(
        f"{folder / name}: no such file, nor one with .gz, but MNIST's four IDX files expected. "
        "`millpond data get mnist` brings them into the data root; or name the folder that holds them."
    )


def _read_idx(path: Path, kind: str) -> np.ndarray:
    from torchvision.datasets import mnist  # seconds to import, and nothing else here needs it

    again = "Get the file from its publisher again."
    n_dimensions = _IDX_DIMENSIONS[kind]
    with _uncompressed(path) as plain:
        with plain.open("rb") as file:
            magic, header = int.from_bytes(file.read(4), "big"), file.read(4 * n_dimensions)
        length = plain.stat().st_size
        if magic in _IDX_MAGIC and _IDX_MAGIC[magic] != kind:
            raise ClassificationError(
                f"{path}: {_IDX_MAGIC[magic]} found (magic number {magic}), {kind} expected. The files of images and "
                "labels are swapped; rename them."
            )
        if magic not in _IDX_MAGIC:
            expected = next(number for number, holds in _IDX_MAGIC.items() if holds == kind)
            raise ClassificationError(
                f"{path}: the magic number {magic} found, {expected} expected ({kind} of uint8, IDX format). {again}"
            )
        if len(header) < 4 * n_dimensions:
            raise ClassificationError(
                f"{path}: {length} bytes found, a header of {4 + 4 * n_dimensions} expected. {again}"
            )
        sizes = struct.unpack(f">{n_dimensions}I", header)
        expected = 4 + len(header) + math.prod(sizes)
        if length != expected:
            values = " x ".join(map(str, sizes))
            raise ClassificationError(
                f"{path}: {length} bytes found after unpacking, {expected} for {values} values expected. {again}"
            )
        if not all(sizes):
            raise ClassificationError(f"{path}: no {kind} found, at least one expected. {again}")
        # torchvision's reader checks no lengths and opens nothing but an uncompressed file.
        read = mnist.read_image_file if kind == "images" else mnist.read_label_file
        return read(os.fspath(plain)).numpy()


@contextmanager
def _uncompressed(path: Path) -> Iterator[Path]:
    """The file itself, or what gzip has packed into it as a temporary file; its content tells which."""
    with tempfile.TemporaryDirectory(prefix="millpond-") as scratch:
        try:
            with path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            plain = Path(scratch) / path.name if packed else path
            if packed:
                with gzip.open(path) as source, plain.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 2**20)
        except _UNREADABLE as damage:
            raise ClassificationError(
                f"{path}: not readable ({_reason(damage)}), an undamaged IDX file, gzip or not, expected. Get it from "
                "its publisher again."
            ) from None
        yield plain


def load_idc(
    path: str | Path | None = None,
    *,
    size: int = 50,
    undersized: str = "pad",
    progress: bool = False,
    cached: bool = True,
) -> LabelledImages:
    """Read the patches of invasive ductal carcinoma (IDC) in their publisher's layout.

    A patch is `<patient>/<class>/<patient>_idx5_x<X>_y<Y>_class<class>.png`, in any folder. Patches are sorted by
    patient, X and Y. Those at the lower and right margin of a slice are smaller than the others; they are padded there
    by reflection (numpy's "symmetric", which a patch of one row permits too), because a black or smeared margin would
    be a mark of its own: nearly all of them are negative, and a network would learn the margin. One row of pixels
    says little, though; `undersized="skip"` leaves them out.

    What was decoded is kept in the user's cache, never beside the source, and read from there until size or time of
    modification of the source change (of every file, if it is a folder). It takes as much room as the result: 76 MB for
    the sample of 10,194 patches, 2 GB for all 277,524. Memory needed is that of the result and of the list of files.

    Parameters
    ----------
    path : path, optional
        The zip file, which isn't unpacked, or the folder it was unpacked into. By default the sample of the data root.
    size : int
        Rows and columns of the result.
    undersized : "pad" or "skip"
        What happens to smaller patches; either way they are counted.
    progress : bool
        Whether to show a progress bar while decoding.
    cached : bool
        Whether to use the cache.

    Returns
    -------
    LabelledImages
        `images` is (n, 3, size, size), `groups` are the patients. A patch that is there twice, as in a copy that is
        going round, counts once (`n_repeated`). Files that aren't PNGs are no patches (`n_other_files`).

    Raises
    ------
    ClassificationError
        If the source is missing or unreadable; a PNG is damaged, larger, not RGB, or lies outside the layout; its
        folder contradicts its name; copies differ; there are no patches, or only of one class.
    """
    if undersized not in ("pad", "skip"):
        raise ClassificationError(f"undersized={undersized!r} found, 'pad' or 'skip' expected. Choose one of them.")
    if size < 1:
        raise ClassificationError(f"size={size} found, at least 1 expected. The patches of the publisher have 50.")
    if path is None:
        path = datasets.path("idc", required=False) / datasets.dataset("idc").files[0].path
    path = Path(path)
    if not path.exists():
        raise ClassificationError(
            f"{path}: no such file, a zip file of IDC patches or its unpacked folder expected. Check the path; "
            "`millpond data get idc` says where the publisher offers them."
        )
    if not cached:
        return _decode_idc(path, size, undersized, progress)
    store, state = _cache_file(path, size, undersized), _state(path)
    kept = _read_cache(store, state)
    if kept is None:
        kept = _decode_idc(path, size, undersized, progress)
        _write_cache(store, state, kept)
    return kept


def _decode_idc(path: Path, size: int, undersized: str, progress: bool) -> LabelledImages:
    with _members(path) as members:
        patches, n_other_files = _sort_patches(path, members)
        n = len(patches)
        images = np.empty((n, 3, size, size), np.uint8)
        keep = np.ones(n, bool)
        n_padded = n_repeated = at = 0
        for i, (key, copies) in enumerate(tqdm(patches, desc=path.name, unit="patch", disable=not progress)):
            (name, content), *others = [(name, _content(path, name, read)) for name, read in copies]
            for other, again in others:
                if again != content:
                    raise ClassificationError(
                        f"{path}: {name} and {other} found, which differ, but patch ({key[1]}, {key[2]}) of patient "
                        f"{key[0]} is expected once. Remove the wrong one."
                    )
            n_repeated += len(others)
            patch = _decode(content, f"{path}: {name}", size)
            if patch.shape[:2] != (size, size):
                if undersized == "skip":
                    keep[i] = False
                    continue
                n_padded += 1
                missing = [(0, size - length) for length in patch.shape[:2]]
                patch = np.pad(patch, (*missing, (0, 0)), mode="symmetric")
            images[at] = patch.transpose(2, 0, 1)
            at += 1
    patients, *numbers = zip(*(key for key, _ in patches), strict=True)
    x, y, labels = np.array(numbers, np.int64)[:, keep]
    data = LabelledImages(
        images[:at],
        labels,
        IDC_CLASSES,
        groups=np.array(patients)[keep],
        corners_px=np.column_stack([x, y]),
        n_padded=n_padded,
        n_skipped=n - at,
        n_repeated=n_repeated,
        n_other_files=n_other_files,
    )
    return _with_all_classes(data, path)


@contextmanager
def _members(path: Path) -> Iterator[Iterable[tuple[str, int, Read]]]:
    """Name, size in bytes and reader of each file in the zip file or folder."""
    if path.is_dir():
        yield [(file.relative_to(path).as_posix(), found.st_size, file.read_bytes) for file, found in _walk(path)]
        return
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as damage:
        raise ClassificationError(
            f"{path}: not readable ({_reason(damage)}), an undamaged zip file expected. Get it from its publisher "
            "again."
        ) from None
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        yield [(info.filename, info.file_size, lambda info=info: archive.read(info)) for info in files]


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    def refuse(error: OSError) -> None:
        raise ClassificationError(
            f"{error.filename}: not readable ({error.strerror}), readable files and folders expected. Check its "
            "permissions."
        )

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            file = Path(place) / name
            try:
                found = file.stat()
            except OSError as error:
                refuse(error)
            yield file, found


def _sort_patches(path: Path, members: Iterable[tuple[str, int, Read]]) -> tuple[list, int]:
    """Patches in order, ((patient, x, y, class), [(name, reader), ...] of each copy), and the number of other files."""
    patches: dict[tuple[str, int, int, int], list[tuple[str, Read]]] = {}
    outside, contradicting, large, n_other_files = [], [], [], 0
    for name, n_bytes, read in members:
        base = name.rpartition("/")[2]
        # On a Mac, archives get a companion "._name" of each file, which ends like an image and isn't one.
        if not base.lower().endswith(".png") or base.startswith("._"):
            n_other_files += 1
            continue
        match = _PATCH.fullmatch(name)
        if not match:
            outside.append(name)
        elif match["folder"] != match["patient"] or match["class_folder"] != match["class_name"]:
            contradicting.append(name)
        elif n_bytes > _LARGEST_PNG_BYTES:
            large.append(name)
        else:
            key = (match["patient"], int(match["x"]), int(match["y"]), int(match["class_name"]))
            patches.setdefault(key, []).append((name, read))
    if outside:
        raise ClassificationError(
            f"{path}: PNG files outside the layout found ({_some(outside)}), {_LAYOUT} expected. Name the folder "
            "above the patients, or remove what is no patch."
        )
    if contradicting:
        raise ClassificationError(
            f"{path}: patches found in the folder of another patient or class than their names say "
            f"({_some(contradicting)}), {_LAYOUT} expected. Move them to where they belong."
        )
    if large:
        raise ClassificationError(
            f"{path}: PNG files of more than 1 MB found ({_some(large)}), small patches expected. Remove them."
        )
    if not patches:
        raise ClassificationError(
            f"{path}: no patch among {n_other_files} files found, {_LAYOUT} expected. Name the zip file of the "
            "publisher, or the folder it was unpacked into."
        )
    return sorted(patches.items(), key=lambda patch: patch[0]), n_other_files


def _content(path: Path, name: str, read: Read) -> bytes:
    try:
        return read()
    except _UNREADABLE as damage:
        raise ClassificationError(
            f"{path}: {name} not readable ({_reason(damage)}), an undamaged PNG expected. Get the data from their "
            "publisher again."
        ) from None


def _decode(content: bytes, where: str, size: int) -> np.ndarray:
    """Pixels (rows, cols, 3) of a PNG that is at most `size` high and wide."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.verify()  # decoding alone doesn't look at the last checksums
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            (cols, rows), kind = image.size, (image.mode, content[_BIT_DEPTH_AT])
            if kind == ("RGB", 8) and max(rows, cols) <= size:
                return np.asarray(image)
    except _NO_IMAGE as damage:
        raise ClassificationError(
            f"{where}: no readable PNG ({_reason(damage)}), an undamaged one expected. Get it from its publisher again."
        ) from None
    if kind != ("RGB", 8):
        raise ClassificationError(
            f"{where}: a PNG of mode {kind[0]} with {kind[1]} bits found, RGB with 8 bits expected. Convert it, or "
            "remove it."
        )
    raise ClassificationError(
        f"{where}: {rows} x {cols} pixels found, at most {size} x {size} expected. "
        f"Pass size={max(rows, cols)} to pad the others, or remove it."
    )


# The cache


def _cache_file(path: Path, size: int, undersized: str) -> Path:
    """One file a source and way to read it, so that a changed source replaces its old cache."""
    what = f"{_CACHE_FORMAT}\n{path.resolve()}\n{size}\n{undersized}"
    return Path(pooch.os_cache("millpond")) / "decoded" / f"idc-{hashlib.sha256(what.encode()).hexdigest()[:16]}.npz"


def _state(path: Path) -> str:
    """Size and time of modification of a file; of a folder, those of all its files, by name."""
    if path.is_file():
        found = path.stat()
        return f"{found.st_size} {found.st_mtime_ns}"
    names = hashlib.sha256()
    for file, found in _walk(path):
        names.update(f"{file.relative_to(path).as_posix()}\0{found.st_size} {found.st_mtime_ns}\0".encode())
    return names.hexdigest()


def _read_cache(store: Path, state: str) -> LabelledImages | None:
    try:
        # numpy leaves a file open that it has opened and can't read.
        with store.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["state"]) != state:
                return None
            arrays = {name: kept[name] for name in ("images", "labels", "groups", "corners_px")}
            counts = {name: int(kept[name]) for name in ("n_padded", "n_skipped", "n_repeated", "n_other_files")}
    except (*_UNREADABLE, ValueError, KeyError):
        return None  # absent, cut short or from another program: decoding gives the same
    return LabelledImages(classes=IDC_CLASSES, **arrays, **counts)


def _write_cache(store: Path, state: str, data: LabelledImages) -> None:
    arrays = {name: value for name, value in vars(data).items() if name != "classes"}
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with replacing(store, ClassificationError) as unfinished, unfinished.open("wb") as file:
            np.savez(file, state=np.array(state), **arrays)
    except (OSError, ClassificationError) as refusal:
        warnings.warn(
            f"the decoded patches are not kept, so that the next call decodes them again ({refusal}). Make room, or "
            "pass cached=False.",
            stacklevel=3,
        )


# Splits


def split_by_group(
    labels: Sequence[int], groups: Sequence, test_size: float = 0.2, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split so that all images of a group (patient) are on one side.

    Of `N_DRAWS` random draws by scikit-learn's `GroupShuffleSplit`, which looks at patients and not at classes, the one
    is kept whose test part comes nearest to `test_size` of each class; the worst class decides. scikit-learn's
    `StratifiedGroupKFold` balances a little better, but it places patients by their counts and leaves to chance only
    the order of equals, so that the splits of different seeds differ less than by chance; and some of the versions that
    we permit don't balance what they shuffle (scikit-learn's issue 32478).

    Parameters
    ----------
    labels, groups : (n,) arrays
    test_size : float
        Share of the groups that are tested, and as nearly as possible of the images of each class.
    random_state : int

    Returns
    -------
    train, test : arrays of int
        Sorted positions.

    Raises
    ------
    ClassificationError
        If there are fewer than two groups, or a class is missing on one side in every draw.
    """
    labels = _checked(labels, test_size)
    if groups is None or len(groups) != len(labels):
        found = "no groups" if groups is None else f"{len(groups)} groups"
        raise ClassificationError(
            f"{found} found for {len(labels)} labels, one each expected. Pass the groups of the same images."
        )
    names, groups = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ClassificationError(
            f"one group found ({names[0]}), at least two expected: a patient can't be trained on and tested on. "
            "Add patients."
        )
    n_test = math.ceil(test_size * len(names))
    if n_test == len(names):
        raise ClassificationError(
            f"test_size={test_size} found, which leaves none of {len(names)} groups to train on. Choose a smaller one."
        )

    class_sizes = np.bincount(labels)
    occurring = class_sizes > 0

    def imbalance(split: tuple[np.ndarray, np.ndarray]) -> float:
        in_test = np.bincount(labels[split[1]], minlength=len(class_sizes))
        missing = np.any((in_test == 0)[occurring] | (in_test == class_sizes)[occurring])
        return missing + np.abs(in_test[occurring] / class_sizes[occurring] - test_size).max()

    draws = GroupShuffleSplit(N_DRAWS, test_size=n_test, random_state=random_state)
    train, test = min(draws.split(labels, labels, groups), key=imbalance)
    _check_both_sides(labels, train, test, f"{len(names)} groups")
    return train, test


def split_by_image(
    labels: Sequence[int], test_size: float = 0.2, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split image by image, each class in proportion: most likely the study's way, which says nothing of patients.

    Parameters
    ----------
    labels : (n,) array
    test_size : float
        Share of the images that are tested.
    random_state : int

    Returns
    -------
    train, test : arrays of int
        Sorted positions.

    Raises
    ------
    ClassificationError
        If a class can't be on both sides.
    """
    labels = _checked(labels, test_size)
    try:
        train, test = train_test_split(
            np.arange(len(labels)), test_size=test_size, stratify=labels, random_state=random_state
        )
    except ValueError as refusal:
        raise ClassificationError(
            f"{len(labels)} images found that can't be split with test_size={test_size}, at least one of each class "
            f"on both sides expected ({_reason(refusal)}). Add images, or choose another test_size."
        ) from None
    train.sort()
    test.sort()
    _check_both_sides(labels, train, test, f"{len(labels)} images")
    return train, test


def _checked(labels: Sequence[int], test_size: float) -> np.ndarray:
    if not 0 < test_size < 1:
        raise ClassificationError(f"test_size={test_size} found, a share between 0 and 1 expected. Choose 0.2, say.")
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ClassificationError(
            f"labels of type {labels.dtype} and shape {labels.shape} found, one whole number from 0 for each image "
            "expected. Pass the `labels` of the images."
        )
    return labels


def _check_both_sides(labels: np.ndarray, train: np.ndarray, test: np.ndarray, what: str) -> None:
    for side, other in ((train, test), (test, train)):
        if absent := sorted(set(labels[other].tolist()) - set(labels[side].tolist())):
            raise ClassificationError(
                f"class {absent[0]} found on one side only of every split of {what}, on both sides expected. Add "
                "images or groups of that class, or choose another test_size."
            )


def _with_all_classes(data: LabelledImages, path: Path) -> LabelledImages:
    counts = np.bincount(data.labels, minlength=len(data.classes))
    if empty := [name for name, n in zip(data.classes, counts, strict=True) if not n]:
        raise ClassificationError(
            f"{path}: no image of class {', '.join(empty)} among {len(data)} found, at least one of each class "
            f"({', '.join(data.classes)}) expected. Add images of it, or get the data from their publisher again."
        )
    return data


def _some(names: list[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0].rstrip(".:")
