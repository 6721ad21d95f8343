import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pooch
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from millpond import datasets as sources
from millpond.lstm_cnn import datasets
from millpond.lstm_cnn.datasets import load_digits, load_idc, load_mnist, split_by_group, split_by_image
from millpond.lstm_cnn.errors import ClassificationError

# Digits


def test_digits_have_the_publishers_number_of_each_class():
    digits = load_digits()
    assert digits.images.shape == (1797, 1, 8, 8)
    assert (digits.images.dtype, digits.labels.dtype) == (np.uint8, np.int64)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.classes == tuple("0123456789")
    assert digits.groups is None


def test_digits_fill_the_range_by_the_stated_rule():
    # the first row of the first digit is 0 0 5 13 9 1 0 0: 5 * 255 / 16 = 79.7, 13: 207.2, 9: 143.4, 1: 15.9
    digits = load_digits()
    assert digits.images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    # 17 values, of which 8 is the half: 127.5 becomes 128
    assert sorted(set(digits.images.ravel().tolist()) & {0, 127, 128, 255}) == [0, 128, 255]
    assert len(np.unique(digits.images)) == 17


# MNIST

TEN = np.arange(10, dtype=np.uint8)
PICTURES = np.arange(10 * 2 * 3, dtype=np.uint8).reshape(10, 2, 3)


def idx(array, magic=None):
    """The bytes of an IDX file of uint8: two zeros, the type 8, the number of dimensions, big-endian sizes, values."""
    head = bytes([0, 0, 8, array.ndim]) if magic is None else struct.pack(">I", magic)
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder, images=None, labels=None, prefix="train", suffix="", pack=bytes):
    for name, content in (("images-idx3", images or idx(PICTURES)), ("labels-idx1", labels or idx(TEN))):
        (folder / f"{prefix}-{name}-ubyte{suffix}").write_bytes(pack(content))
    return folder


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), ("", gzip.compress), (".gz", bytes)])
@pytest.mark.parametrize(("part", "prefix"), [("train", "train"), ("test", "t10k")])
def test_idx_files_are_read_packed_or_not_whatever_they_are_called(tmp_path, part, prefix, suffix, pack):
    found = load_mnist(part, write_mnist(tmp_path, prefix=prefix, suffix=suffix, pack=pack))
    assert found.images.tolist() == PICTURES[:, np.newaxis].tolist()
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
    assert found.labels.tolist() == list(range(10))
    assert len(found) == 10


def test_reading_leaves_no_file_behind(tmp_path, monkeypatch):
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    load_mnist("train", write_mnist(tmp_path, pack=gzip.compress))
    assert list(scratch.iterdir()) == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_cut_or_lengthened_idx_file_is_refused(tmp_path_factory, data):
    whole = {"images": idx(PICTURES), "labels": idx(TEN)}
    kind = data.draw(st.sampled_from(["images", "labels"]))
    length = data.draw(st.integers(0, len(whole[kind]) + 3).filter(lambda n: n != len(whole[kind])))
    whole[kind] = (whole[kind] + b"more")[:length] or b"\0"
    folder = write_mnist(
        tmp_path_factory.mktemp("idx"), **whole, pack=data.draw(st.sampled_from([bytes, gzip.compress]))
    )
    with pytest.raises(ClassificationError, match=rf"train-{kind}-idx\d-ubyte: .* expected.* again\.$"):
        load_mnist("train", folder)


BAD_MNIST = {
    "truncated": (
        {"images": idx(PICTURES)[:-7]},
        r"train-images-idx3-ubyte: 69 bytes found after unpacking, 76 for 10 x 2 x 3 values expected\. Get the file",
    ),
    "cut in its header": (
        {"images": idx(PICTURES)[:7]},
        r"train-images-idx3-ubyte: 7 bytes found, a header of 16 expected\.",
    ),
    "truncated gzip": (
        {"images": gzip.compress(idx(PICTURES))[:-20]},
        r"train-images-idx3-ubyte: not readable \(Compressed file ended before .*\), an undamaged IDX file, gzip",
    ),
    "damaged gzip": (
        {"labels": gzip.compress(idx(TEN))[:-6] + b"damage"},
        r"train-labels-idx1-ubyte: not readable \(CRC check failed .*\), an undamaged IDX file",
    ),
    "swapped": (
        {"images": idx(TEN), "labels": idx(PICTURES)},
        r"train-images-idx3-ubyte: labels found \(magic number 2049\), images expected\. The files .* swapped; rename",
    ),
    "images twice": (
        {"labels": idx(PICTURES)},
        r"train-labels-idx1-ubyte: images found \(magic number 2051\), labels expected\.",
    ),
    "wrong magic": (
        {"images": idx(PICTURES, magic=0x0D03)},
        r"train-images-idx3-ubyte: the magic number 3331 found, 2051 expected \(images of uint8, IDX format\)\. Get",
    ),
    "no IDX": (
        {"labels": b"<html>404</html>"},
        r"train-labels-idx1-ubyte: the magic number 1013478509 found, 2049 expected \(labels of uint8",
    ),
    "fewer labels": (
        {"labels": idx(TEN[:9])},
        r"train-labels-idx1-ubyte: 9 labels found, but train-images-idx3-ubyte holds 10 images\. Put files of the same",
    ),
    "no images": (
        {"images": idx(PICTURES[:0])},
        r"train-images-idx3-ubyte: no images found, at least one expected\.",
    ),
    "label 10": (
        {"labels": idx(TEN + 1)},
        r"train-labels-idx1-ubyte: the label 10 found, 0 to 9 expected\. Get",
    ),
    "empty classes": (
        {"labels": idx(TEN.clip(2, 8))},
        r"train-labels-idx1-ubyte: no image of class 0, 1, 9 among 10 found, at least one of each class .* Add images",
    ),
}


@pytest.mark.parametrize("case", BAD_MNIST)
def test_bad_idx_files_say_what_is_wrong(tmp_path, case):
    files, message = BAD_MNIST[case]
    with pytest.raises(ClassificationError, match=message):
        load_mnist("train", write_mnist(tmp_path, **files))


def test_missing_idx_files_say_where_to_get_them(tmp_path, monkeypatch):
    message = r"t10k-images-idx3-ubyte: no such file, nor one with \.gz, .* `millpond data get mnist` brings them"
    with pytest.raises(ClassificationError, match=message):
        load_mnist("test", write_mnist(tmp_path))
    monkeypatch.setenv("MILLPOND_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ClassificationError, match=message):
        load_mnist("test")


def test_a_part_of_another_name_is_refused():
    with pytest.raises(ClassificationError, match=r"MNIST's part 'valid' found, 'train' or 'test' expected\. Choose"):
        load_mnist("valid")


def test_mnist_is_whole_and_as_published():
    if not sources.is_present("mnist"):
        pytest.skip("needs mnist of the data root (set MILLPOND_DATA)")
    train, test = load_mnist("train"), load_mnist("test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # the mean that everybody uses for MNIST
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


# Invasive ductal carcinoma


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Each test has a cache of its own."""
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "millpond" / "decoded"


def png(value=0, rows=50, cols=50, mode="RGB", format="PNG"):
    """An image of one colour, or of the given pixels."""
    pixels = Image.fromarray(value) if isinstance(value, np.ndarray) else Image.new("L", (cols, rows), value)
    content = io.BytesIO()
    pixels.convert(mode).save(content, format)
    return content.getvalue()


def patch_name(patient="17", label=0, x=1, y=1):
    return f"{patient}/{label}/{patient}_idx5_x{x}_y{y}_class{label}.png"


POSITIVE = patch_name("9", 1, 51, 101)
NEGATIVE = patch_name("17", 0, 1, 1)


def write_idc(place, members=(), *, good=True, kind="zip"):
    """A zip file or a folder of two good patches and further members."""
    members = [*({POSITIVE: png(200), NEGATIVE: png(100)}.items() if good else ()), *dict(members).items()]
    if kind == "folder":
        for name, content in members:
            (place / "idc" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "idc" / name).write_bytes(content)
        return place / "idc"
    with zipfile.ZipFile(place / "idc.zip", "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return place / "idc.zip"


@pytest.mark.parametrize("kind", ["zip", "folder"])
@pytest.mark.parametrize("above", ["", "IDC_regular_ps50_idx5/", "a/b/"])
def test_patches_are_sorted_by_patient_and_place(tmp_path, kind, above):
    places = [("8", 0, 101, 51), ("8", 1, 51, 1001), ("12", 1, 1, 1), ("8", 0, 51, 201), ("8", 0, 1001, 1)]
    members = {above + patch_name(*place): png(10 * i) for i, place in enumerate(places)}
    found = load_idc(write_idc(tmp_path, members, good=False, kind=kind))
    assert found.groups.tolist() == ["12", "8", "8", "8", "8"]
    assert found.corners_px.tolist() == [[1, 1], [51, 201], [51, 1001], [101, 51], [1001, 1]]
    assert found.labels.tolist() == [1, 0, 1, 0, 0]
    assert found.images[:, 0, 0, 0].tolist() == [20, 30, 10, 0, 40]
    assert found.images.shape == (5, 3, 50, 50)
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
    assert found.classes == ("negative", "positive")


def test_channels_come_first_and_rows_stay_rows(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    found = load_idc(write_idc(tmp_path, {patch_name("20"): png(pixels)}))
    assert (found.images[1] == pixels.transpose(2, 0, 1)).all()  # "17" < "20" < "9"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
def test_small_patches_are_continued_by_their_mirror_image(rows, cols, size):
    assume(max(rows, cols) <= size)
    pixels = np.random.default_rng(rows * 10 + cols).integers(0, 256, (rows, cols, 3), np.uint8)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(patch_name("1", 0), png(pixels))
        archive.writestr(patch_name("1", 1), png(pixels))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", lambda _, opened=zipfile.ZipFile: opened(content))
        found = load_idc(os.devnull, size=size, cached=False)
    row, col = ([min(i % (2 * n), 2 * n - 1 - i % (2 * n)) for i in range(size)] for n in (rows, cols))
    assert (found.images[0] == pixels[np.ix_(row, col)].transpose(2, 0, 1)).all()
    assert found.n_padded == 2 * ((rows, cols) != (size, size))


def test_small_patches_can_be_skipped_and_are_counted(tmp_path):
    small = {patch_name("17", 0, 51): png(rows=50, cols=42), patch_name("9", 1, 1): png(rows=1, cols=50)}
    source = write_idc(tmp_path, small)
    padded, skipped = load_idc(source), load_idc(source, undersized="skip")
    assert (len(padded), padded.n_padded, padded.n_skipped) == (4, 2, 0)
    assert (len(skipped), skipped.n_padded, skipped.n_skipped) == (2, 0, 2)
    assert skipped.groups.tolist() == ["17", "9"]
    assert skipped.corners_px.tolist() == [[1, 1], [51, 101]]
    assert skipped.labels.tolist() == [0, 1]
    assert skipped.images[:, 0, 0, 0].tolist() == [100, 200]


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_second_copy_of_everything_counts_once(tmp_path, kind):
    # the archive that goes round holds the patients twice: at its top, and again in a folder
    copies = {
        f"IDC_regular_ps50_idx5/{name}": content for name, content in ((POSITIVE, png(200)), (NEGATIVE, png(100)))
    }
    found = load_idc(write_idc(tmp_path, copies, kind=kind))
    assert (len(found), found.n_repeated) == (2, 2)


def test_files_that_are_no_images_are_counted(tmp_path):
    others = {".DS_Store": b"", "readme.txt": b"", f"__MACOSX/9/1/._{POSITIVE[4:]}": b"\0\5\x16\7"}
    found = load_idc(write_idc(tmp_path, others))
    assert (len(found), found.n_other_files) == (2, 3)


def test_progress_is_shown_when_asked_for(tmp_path, capsys):
    source = write_idc(tmp_path)
    load_idc(source, cached=False)
    assert capsys.readouterr().err == ""
    load_idc(source, cached=False, progress=True)
    assert "idc.zip: 100%" in capsys.readouterr().err


def deep_png():
    """A PNG of 16 bits a channel, which Pillow reads as if it had 8: the header says so in its 25th byte."""
    content = bytearray(png())
    content[24] = 16
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


NEXT = patch_name("17", 0, 51)
BAD_IDC = {
    "larger": (
        {NEXT: png(rows=60, cols=51)},
        rf"{NEXT}: 60 x 51 pixels found, at most 50 x 50 expected\. Pass size=60 to pad the others, or remove it\.",
    ),
    "grey": ({NEXT: png(mode="L")}, rf"{NEXT}: a PNG of mode L with 8 bits found, RGB with 8 bits expected\. Convert"),
    "transparent": (
        {NEXT: png(mode="RGBA")},
        rf"{NEXT}: a PNG of mode RGBA with 8 bits found, RGB with 8 bits expected",
    ),
    "deep": ({NEXT: deep_png()}, rf"{NEXT}: a PNG of mode RGB with 16 bits found, RGB with 8 bits expected"),
    "palette": ({NEXT: png(mode="P")}, rf"{NEXT}: a PNG of mode P with 8 bits found, RGB with 8 bits expected"),
    "another format": ({NEXT: png(format="JPEG")}, rf"{NEXT}: no readable PNG \(cannot identify.*\), an undamaged one"),
    "cut": ({NEXT: png()[:-20]}, rf"{NEXT}: no readable PNG \(.*\), an undamaged one expected\. Get it"),
    "empty": ({NEXT: b""}, rf"{NEXT}: no readable PNG \(cannot identify.*\), an undamaged one expected\. Get it"),
    "huge": ({NEXT: bytes(2**20 + 1)}, rf": PNG files of more than 1 MB found \({NEXT}\), small patches expected\."),
    "outside the layout": (
        {f"17/0/{i}.png": png() for i in range(5)} | {"17/2/17_idx5_x1_y1_class2.png": png()},
        r": PNG files outside the layout found \(17/0/0.png, 17/0/1.png, 17/0/2.png and 3 more\), <patient>/<class>/",
    ),
    "folder of another class": (
        {NEXT.replace("/0/", "/1/"): png()},
        r": patches found in the folder of another patient or class .* \(17/1/17_idx5_x51_y1_class0.png\), <patient>",
    ),
    "folder of another patient": (
        {NEXT.replace("17/0", "9/0"): png()},
        r": patches found in the folder of another patient or class .* \(9/0/17_idx5_x51_y1_class0.png\), <patient>",
    ),
    "copies that differ": (
        {f"copy/{NEGATIVE}": png(99)},
        rf": {NEGATIVE} and copy/{NEGATIVE} found, which differ, but patch \(1, 1\) of patient 17 is expected once\.",
    ),
}


@pytest.mark.parametrize("kind", ["zip", "folder"])
@pytest.mark.parametrize("case", BAD_IDC)
def test_bad_patches_say_what_is_wrong(tmp_path, case, kind):
    members, message = BAD_IDC[case]
    source = write_idc(tmp_path, members, kind=kind)
    with pytest.raises(ClassificationError, match=message) as error:
        load_idc(source)
    assert str(error.value).startswith(f"{source}: ")


def test_a_folder_inside_a_patient_is_refused(tmp_path):
    with pytest.raises(
        ClassificationError, match=r"\(1/9_idx5.*\), <patient>/<class>/.* Name the folder above the pat"
    ):
        load_idc(write_idc(tmp_path, kind="folder") / "9")


@pytest.mark.parametrize(("only", "missing"), [(POSITIVE, "negative"), (NEGATIVE, "positive")])
def test_a_class_without_patches_is_refused(tmp_path, only, missing):
    message = rf"idc.zip: no image of class {missing} among 1 found, at least one of each class \(negative, positive\)"
    with pytest.raises(ClassificationError, match=message):
        load_idc(write_idc(tmp_path, {only: png()}, good=False))


def test_a_class_whose_patches_are_all_skipped_is_refused(tmp_path):
    source = write_idc(tmp_path, {POSITIVE: png(rows=9), NEGATIVE: png(), NEXT: png(rows=9)}, good=False)
    assert len(load_idc(source)) == 3
    with pytest.raises(ClassificationError, match=r"idc.zip: no image of class positive among 1 found"):
        load_idc(source, undersized="skip")


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_source_without_patches_is_refused(tmp_path, kind):
    source = write_idc(tmp_path, {"readme.txt": b""}, good=False, kind=kind)
    with pytest.raises(ClassificationError, match=r": no patch among 1 files found, <patient>/<class>/.* Name the zip"):
        load_idc(source)


def test_a_corrupt_member_is_named(tmp_path):
    source = write_idc(tmp_path)
    content = bytearray(source.read_bytes())
    content[content.index(b"IDAT") + 9] ^= 0xFF
    source.write_bytes(content)
    message = rf"idc.zip: {POSITIVE} not readable \(Bad CRC-32 .*\), an undamaged PNG expected\. Get the data"
    with pytest.raises(ClassificationError, match=message):
        load_idc(source)


@pytest.mark.parametrize("damage", [lambda content: content[:-30], lambda _: b"no zip", lambda _: b""])
def test_an_unreadable_zip_is_refused(tmp_path, damage):
    source = write_idc(tmp_path)
    source.write_bytes(damage(source.read_bytes()))
    message = r"idc.zip: not readable \(File is not a zip file\), an undamaged zip file expected\. Get it from its pub"
    with pytest.raises(ClassificationError, match=message):
        load_idc(source)


def test_a_missing_source_says_where_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(
        ClassificationError, match=r"idc.zip: no such file, a zip file of IDC patches or its unpacked fold"
    ):
        load_idc(tmp_path / "idc.zip")
    monkeypatch.setenv("MILLPOND_DATA", str(tmp_path))
    with pytest.raises(ClassificationError, match=r"sample.zip: no such file, .* `millpond data get idc` says where"):
        load_idc()


def test_a_broken_link_is_refused(tmp_path):
    source = write_idc(tmp_path, kind="folder")
    try:
        (source / "link.png").symlink_to(tmp_path / "nowhere.png")
    except OSError:
        pytest.skip("needs symbolic links")
    with pytest.raises(
        ClassificationError, match=r"link.png: not readable \(No such file.*\), readable files and folders"
    ):
        load_idc(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"undersized": "crop"}, r"undersized='crop' found, 'pad' or 'skip' expected\. Choose one of them\."),
        ({"size": 0}, r"size=0 found, at least 1 expected\. The patches of the publisher have 50\."),
    ],
)
def test_options_of_another_kind_are_refused(tmp_path, options, message):
    with pytest.raises(ClassificationError, match=message):
        load_idc(write_idc(tmp_path), **options)


# The cache


def no_decoding(*_):
    raise AssertionError("decoded again")


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_the_second_call_reads_the_cache(tmp_path, monkeypatch, cache, kind):
    members = {NEXT: png(rows=9), f"copy/{NEXT}": png(rows=9), "readme.txt": b""}
    source = write_idc(tmp_path, members, kind=kind)
    first = load_idc(source)
    monkeypatch.setattr(datasets, "_decode", no_decoding)
    second = load_idc(source)
    assert (second.n_padded, second.n_skipped, second.n_repeated, second.n_other_files) == (1, 0, 1, 1)
    assert second.classes == first.classes
    for name in ("images", "labels", "groups", "corners_px"):
        kept, decoded = getattr(second, name), getattr(first, name)
        assert kept.dtype == decoded.dtype
        assert kept.tolist() == decoded.tolist()
    assert [file.suffix for file in cache.iterdir()] == [".npz"]
    with pytest.raises(AssertionError, match="decoded again"):
        load_idc(source, cached=False)
    with pytest.raises(AssertionError, match="decoded again"):
        load_idc(source, undersized="skip")
    with pytest.raises(AssertionError, match="decoded again"):
        load_idc(source, size=60)


@pytest.mark.parametrize("kind", ["zip", "folder"])
@pytest.mark.parametrize("change", ["content", "time"])
def test_a_changed_source_is_decoded_again_into_the_same_file(tmp_path, cache, kind, change):
    source = write_idc(tmp_path, kind=kind)
    load_idc(source)
    file = source / NEGATIVE if kind == "folder" else source
    if change == "content":
        write_idc(tmp_path, {NEXT: png(30)}, kind=kind)
    else:
        write_idc(tmp_path, {NEGATIVE: png(101), POSITIVE: png(201)}, good=False, kind=kind)
        os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 10**9))
    found = load_idc(source)
    assert found.images[:, 0, 0, 0].tolist() == ([100, 30, 200] if change == "content" else [101, 201])
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"no archive", "cut", "pickle"])
def test_a_damaged_cache_is_decoded_again(tmp_path, cache, content):
    source = write_idc(tmp_path)
    load_idc(source)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    if content == "pickle":
        state = datasets._state(source)
        np.savez(kept, state=state, images=np.array([{}], dtype=object))
    else:
        kept.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    assert load_idc(source).images[:, 0, 0, 0].tolist() == [100, 200]
    assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_only_a_warning(tmp_path, cache):
    source = write_idc(tmp_path)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"the decoded patches are not kept, .* Make room, or pass cached=False\."):
        found = load_idc(source)
    assert len(found) == 2


def test_nothing_is_written_beside_the_source(tmp_path):
    (place := tmp_path / "place").mkdir()
    source = write_idc(place)
    load_idc(source)
    assert list(place.iterdir()) == [source]


def test_idc_sample_is_as_described():
    if not sources.is_present("idc"):
        pytest.skip("needs idc of the data root (set MILLPOND_DATA)")
    found = load_idc(cached=False)
    assert found.images.shape == (10_194, 3, 50, 50)
    assert np.bincount(found.labels).tolist() == [7500, 2694]
    assert len(np.unique(found.groups)) == 279
    assert (found.n_padded, found.n_skipped, found.n_repeated, found.n_other_files) == (87, 0, 0, 0)
    assert len(np.unique(np.column_stack([found.groups, found.corners_px]), axis=0)) == 10_194
    train, test = split_by_group(found.labels, found.groups, 0.2, 0)
    for label in (0, 1):
        share = (found.labels[test] == label).sum() / (found.labels == label).sum()
        assert share == pytest.approx(0.2, abs=0.01)
    assert not set(found.groups[train]) & set(found.groups[test])


# Splits


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.sampled_from([0.1, 0.2, 0.3, 0.5]), st.integers(0, 2**31))
def test_no_group_is_torn_apart_and_no_image_lost(n_groups, test_size, seed):
    groups = np.random.default_rng(seed).integers(0, n_groups, 300)
    labels = np.arange(300) % 2  # every patient has both classes, or nearly so
    assume(len(np.unique(groups)) > 1)
    train, test = split_by_group(labels, groups, test_size, seed)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(300))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    assert set(labels[train]) == set(labels[test]) == {0, 1}
    again = split_by_group(labels, groups, test_size, seed)
    assert (again[0] == train).all()


def uneven_patients():
    """40 patients with 5 to 100 patches each, of which the first half is nearly all negative."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(40), rng.integers(5, 101, 40))
    return (rng.random(len(groups)) < np.where(groups < 20, 0.05, 0.6)).astype(int), groups.astype(str)


def test_classes_stay_in_proportion_although_patients_differ():
    labels, groups = uneven_patients()
    for seed in range(5):
        _, test = split_by_group(labels, groups, 0.25, seed)
        assert np.bincount(labels[test]) / np.bincount(labels) == pytest.approx([0.25, 0.25], abs=0.05)


def test_different_seeds_give_different_patients():
    labels, groups = uneven_patients()
    tests = [frozenset(groups[split_by_group(labels, groups, 0.25, seed)[1]]) for seed in range(8)]
    assert len(set(tests)) == 8
    overlaps = [len(a & b) / 10 for i, a in enumerate(tests) for b in tests[:i]]
    assert np.mean(overlaps) == pytest.approx(0.25, abs=0.1)  # of 10 patients each, as chance has it


def test_a_rare_class_is_on_both_sides_if_any_draw_allows_it():
    labels, groups = np.zeros(60, int), np.arange(60) // 2
    labels[[0, 59]] = 1  # two of 30 patients; a draw parts them every third time
    train, test = split_by_group(labels, groups, 0.2, 0)
    assert labels[train].sum() == labels[test].sum() == 1


@pytest.mark.parametrize(
    ("labels", "groups", "test_size", "message"),
    [
        ([0, 1, 0], ["8"] * 3, 0.2, r"one group found \(8\), at least two expected: a patient can't .* Add patients\."),
        (
            [0, 1, 0],
            None,
            0.2,
            r"no groups found for 3 labels, one each expected\. Pass the groups of the same images\.",
        ),
        ([0, 1, 0], ["8", "9"], 0.2, r"2 groups found for 3 labels, one each expected"),
        (
            [0, 0, 1],
            ["8", "9", "9"],
            0.2,
            r"class 1 found on one side only of every split of 2 groups, on both .* Add im",
        ),
        ([0, 1, 0, 1], list("8899"), 0.9, r"test_size=0\.9 found, which leaves none of 2 groups to train on\. Choose"),
        (
            [0, 1, 0, 1],
            list("8899"),
            1.5,
            r"test_size=1\.5 found, a share between 0 and 1 expected\. Choose 0\.2, say\.",
        ),
        ([0.5, 1], list("89"), 0.5, r"labels of type float64 and shape \(2,\) found, one whole number from 0 for each"),
        ([[0], [1]], list("89"), 0.5, r"labels of type int64 and shape \(2, 1\) found, one whole number"),
    ],
)
def test_groups_that_cannot_be_split_are_refused(labels, groups, test_size, message):
    with pytest.raises(ClassificationError, match=message):
        split_by_group(labels, groups, test_size, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(20, 60), min_size=2, max_size=4), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 2**31))
def test_split_by_image_keeps_every_class_in_proportion(sizes, test_size, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, test = split_by_image(labels, test_size, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    assert np.bincount(labels[test]) == pytest.approx(test_size * np.array(sizes), abs=1)
    assert (split_by_image(labels, test_size, seed)[1] == test).all()


@pytest.mark.parametrize(
    ("labels", "test_size", "message"),
    [
        (
            [0, 0, 0, 1],
            0.5,
            r"4 images found that can't be split with test_size=0\.5, .* expected \(The least populated",
        ),
        (
            [0, 0, 1, 1],
            0.1,
            r"4 images found that can't be split with test_size=0\.1, at least one of each class on both",
        ),
        (
            [0] * 98 + [1] * 2,
            0.2,
            r"class 1 found on one side only of every split of 100 images, on both sides expected",
        ),
        ([], 0.2, r"labels of type float64 and shape \(0,\) found, one whole number from 0 for each image expected"),
    ],
)
def test_images_that_cannot_be_split_are_refused(labels, test_size, message):
    with pytest.raises(ClassificationError, match=message):
        split_by_image(labels, test_size, 0)
