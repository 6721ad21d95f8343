"""AI4Boundaries' layout in small: the files are made here, since no published one is at hand."""

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine

from millpond.normalization import NormalizationError
from millpond.normalization.ai4boundaries import SPLIT_TABLE, TILE_PIXELS, read_ai4boundaries, read_split_table

BANDS = ("B2", "B3", "B4", "B8")
WEST, NORTH = 4_321_000, 3_210_000


def image(path, *, first_month=3, n_months=3, bands=BANDS, side=TILE_PIXELS, north_up=True, change=None, **how):
    """DN = 1000 x place of the band + 100 x month + 1 x row modulo 100, the same in every column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = pd.date_range(f"2019-{first_month:02d}-01", periods=n_months, freq="MS")
    months = time.month.values[:, None, None]
    row = np.broadcast_to(np.arange(side)[:, None] % 100, (side, side))
    values = {band: (1000 * (place + 1) + 100 * months + row).astype("int16") for place, band in enumerate(bands)}
    values["NDVI"] = np.zeros((n_months, side, side), "float32")
    if change:
        change(values)
    y = NORTH - 10 * np.arange(side) - 5.0
    data = xr.Dataset(
        {band: (("time", "y", "x"), value) for band, value in values.items()},
        coords={"time": time, "y": y, "x": WEST + 10 * np.arange(side) + 5.0},
    )
    data = data if north_up else data.isel(y=slice(None, None, -1))
    encoding = {} if how else {band: {"zlib": True, "complevel": 1} for band in values}
    data.to_netcdf(path, encoding=encoding, engine="netcdf4", **how)
    return path


def label(path, *, count=4, side=TILE_PIXELS, west=WEST, change=None):
    """Parcel 2 in rows 10..19, parcel 3 in rows 20..29, and -10000 elsewhere in band 4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = np.zeros((count, side, side), "float32")
    bands[0, 10:30] = 1
    bands[-1] = -10_000
    bands[-1, 10:20], bands[-1, 20:30] = 2, 3
    if change:
        change(bands)
    profile = {"driver": "GTiff", "dtype": "float32", "count": count, "height": side, "width": side}
    profile |= {"crs": "EPSG:3035", "transform": Affine(10, 0, west, 0, -10, NORTH), "compress": "deflate"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)
    return path


def pair(folder, name="AT_7", **how):
    country = name[:2]
    label(folder / "masks" / country / f"{name}_S2label_10m_256.tif")
    return image(folder / "images" / country / f"{name}_S2_10m_256.nc", **how)


def placeholder(folder, name, kind="both"):
    """Empty files: enough for the index."""
    for place, end in (("images", "S2_10m_256.nc"), ("masks", "S2label_10m_256.tif")):
        if kind in ("both", place):
            (folder / place / name[:2]).mkdir(parents=True, exist_ok=True)
            (folder / place / name[:2] / f"{name}_{end}").touch()


def table(folder, rows):
    lines = ["file_id,sentinel2_images_file_url,sentinel2_masks_file_url,split"]
    lines += [f"{name},http://x/a.nc,http://x/a.tif,{split}" for name, split in rows]
    (folder / SPLIT_TABLE).write_text("\n".join(lines) + "\n")


def test_images_come_in_four_bands_with_their_parcels(tmp_path):
    pair(tmp_path)
    batch = read_ai4boundaries(tmp_path, months=[5, 3]).load()
    assert batch.dn.dtype == "uint16"
    assert batch.dn.shape == (2, 4, 256, 256)
    assert batch.dn[0, :, 7, 0].tolist() == [1507, 2507, 3507, 4507]  # B02, B03, B04, B08 in May
    assert batch.dn[1, :, 7, 255].tolist() == [1307, 2307, 3307, 4307]
    assert batch.parcels.dtype == "int32"
    assert batch.parcels.shape == (2, 256, 256)
    assert batch.parcels[0, [9, 10, 19, 20, 29, 30], 0].tolist() == [0, 2, 2, 3, 3, 0]
    assert batch.names.tolist() == ["AT_7", "AT_7"]
    assert batch.countries.tolist() == ["AT", "AT"]
    assert batch.months.tolist() == [5, 3]


def test_a_file_that_begins_in_the_south_is_turned(tmp_path):
    pair(tmp_path, north_up=False)
    assert read_ai4boundaries(tmp_path, months=[3]).load().dn[0, 0, [0, 7], 0].tolist() == [1300, 1307]


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_no_data_become_zero(tmp_path, dtype):
    def spoil(values):
        values["B3"] = values["B3"].astype(dtype)
        values["B3"][0, 0, :3] = -9999, -1, 0
        if dtype == "float32":
            values["B3"][0, 0, 3:5] = np.nan, 1234.6

    pair(tmp_path, change=spoil)
    dn = read_ai4boundaries(tmp_path, months=[3]).load().dn
    expected = [0, 0, 0] + ([0, 1235] if dtype == "float32" else [2300, 2300]) + [2300]
    assert dn[0, 1, 0, :6].tolist() == expected
    assert dn[0, 0, 0, :6].tolist() == [1300] * 6  # the other bands stay as the publisher has them


def test_the_index_is_sorted_counts_what_is_incomplete_and_reads_nothing(tmp_path):
    for name in ("NL_3", "AT_20", "AT_7"):
        placeholder(tmp_path, name)
    placeholder(tmp_path, "FR_1", "images")
    placeholder(tmp_path, "FR_2", "images")
    placeholder(tmp_path, "SE_1", "masks")
    images = read_ai4boundaries(tmp_path, months=(3, 4))
    assert images.names.tolist() == ["AT_7", "AT_7", "AT_20", "AT_20", "NL_3", "NL_3"]
    assert images.months.tolist() == [3, 4] * 3
    assert (images.n_without_label, images.n_without_image) == (2, 1)
    assert repr(images) == "<6 images of 3 tiles, 2 images without label>"
    assert len(read_ai4boundaries(tmp_path)) == 18  # March to August
    assert set(read_ai4boundaries(tmp_path, countries=["NL"]).names) == {"NL_3"}


def test_images_can_be_picked(tmp_path):
    for name in ("NL_3", "AT_20", "AT_7"):
        placeholder(tmp_path, name)
    images = read_ai4boundaries(tmp_path, months=(3, 4))
    assert images[images.countries == "NL"].months.tolist() == [3, 4]
    assert images[[5, 0]].names.tolist() == ["NL_3", "AT_7"]
    assert images[-2:].names.tolist() == ["NL_3", "NL_3"]
    assert images[2].names.tolist() == ["AT_20"]
    with pytest.raises(IndexError):
        images[6]


def test_splits_come_from_the_table_before_the_folders(tmp_path):
    for name in ("AT_1", "AT_2", "AT_3", "AT_4"):
        placeholder(tmp_path / "val", name)
    assert set(read_ai4boundaries(tmp_path, "val").names) == {"AT_1", "AT_2", "AT_3", "AT_4"}
    table(tmp_path, [("AT_1", "train"), ("AT_2", "test"), ("AT_3", "NA")])
    assert {s: set(read_ai4boundaries(tmp_path, s).names) for s in ("train", "test")} == {
        "train": {"AT_1"},
        "test": {"AT_2"},
    }
    everything = read_ai4boundaries(tmp_path, months=[3])
    assert everything.splits.tolist() == ["train", "test", "", ""]
    with pytest.raises(NormalizationError, match="4 images found, 0 of them without label, and none with a label and"):
        read_ai4boundaries(tmp_path, "val")


def test_labels_of_the_archives_are_named_like_the_images(tmp_path):
    image(tmp_path / "train" / "images" / "AT_7_S2_10m_256.nc", n_months=1)
    label(tmp_path / "train" / "masks" / "AT_7_S2_10m_256.tif")
    assert read_ai4boundaries(tmp_path, "train", months=[3]).load().parcels.max() == 3


def test_batches_read_every_image_once(tmp_path):
    for name in ("AT_1", "AT_2", "LU_1"):
        pair(tmp_path, name, n_months=2)
    images = read_ai4boundaries(tmp_path, months=[3, 4])
    for rng in (None, np.random.default_rng(0)):
        batches = list(images.batches(4, rng))
        assert [len(batch.dn) for batch in batches] == [4, 2]
        seen = [pair for batch in batches for pair in zip(batch.names, batch.months.tolist(), strict=True)]
        assert sorted(seen) == sorted(zip(images.names, images.months.tolist(), strict=True))
        for batch in batches:
            np.testing.assert_array_equal(batch.dn[:, 0, 0, 0], 1000 + 100 * batch.months)
    assert seen != sorted(seen)


def test_memory_is_bounded(tmp_path):
    placeholder(tmp_path, "AT_1")
    with pytest.raises(
        NormalizationError,
        match=r"6 images of 0\.0 GB found, at most 0\.0 GB expected at once\. Use batches\(\), pick some images",
    ):
        read_ai4boundaries(tmp_path).load(max_bytes=1e6)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"split": "training"}, "split 'training' found, one of train, val, test or None expected"),
        ({"months": ()}, r"months \(\) found, one or more different numbers from 3 to 8 expected"),
        ({"months": (3, 3)}, r"months \(3, 3\) found"),
        ({"months": (13,)}, r"months \(13,\) found"),
        ({"months": (3, 9)}, r"months \(3, 9\) found"),
        ({"countries": ["PL"]}, r"and none with a label and countries \['PL'\] where at least one is expected"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, argument, message):
    placeholder(tmp_path, "AT_1")
    with pytest.raises(NormalizationError, match=message):
        read_ai4boundaries(tmp_path, **argument)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(
        NormalizationError,
        match=r"no file named like AT_1433_S2_10m_256\.nc found, the images of AI4Boundaries expected\. Name the",
    ):
        read_ai4boundaries(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(NormalizationError, match="absent: no such folder found, a folder with AI4Boundaries expected"):
        read_ai4boundaries(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(NormalizationError, match="file: a file found, a folder with AI4Boundaries expected"):
        read_ai4boundaries(tmp_path / "file")


def test_images_without_any_label_are_refused(tmp_path):
    placeholder(tmp_path, "AT_1", "images")
    with pytest.raises(
        NormalizationError, match="1 images found, 1 of them without label, and none with a label where"
    ):
        read_ai4boundaries(tmp_path)


def test_a_tile_that_is_there_twice_is_refused(tmp_path):
    placeholder(tmp_path / "a", "AT_1")
    placeholder(tmp_path / "b", "AT_1")
    with pytest.raises(NormalizationError, match=r"tile AT_1 found, but .* is the same; each tile expected once"):
        read_ai4boundaries(tmp_path)


def refuse(folder, message):
    with pytest.raises(NormalizationError, match=message):
        read_ai4boundaries(folder, months=[3]).load()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"bands": ("B2", "B4", "B8")}, r"AT_7_S2_10m_256\.nc: variables B2, B4, B8, NDVI found, B3 missing"),
        ({"first_month": 4}, r"months 4, 5, 6 found, 3 too expected\. Ask for months that are there"),
        ({"side": 128}, r"B2 of time 3 x y 128 x x 128 found, time x y 256 x x 256 expected"),
        ({"change": lambda v: [v.update({b: v[b] / 1e4}) for b in BANDS]}, r"values up to 0\.4399 found, digital num"),
    ],
)
def test_images_of_another_layout_are_refused(tmp_path, how, message):
    pair(tmp_path, **how)
    refuse(tmp_path, message)


def test_images_without_dates_are_refused(tmp_path):
    path = pair(tmp_path)
    with xr.open_dataset(path) as content:
        other = content.load().assign_coords(time=[0, 1, 2])
    other.to_netcdf(path)
    refuse(tmp_path, "no dates found, a coordinate `time` with dates expected")


def test_a_month_that_is_there_twice_is_refused(tmp_path):
    path = pair(tmp_path)
    with xr.open_dataset(path) as content:
        other = content.load().isel(time=[0, 0, 1])
    other.to_netcdf(path)
    refuse(tmp_path, "months 3, 3, 4 found, each once expected")


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_64BIT"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_images_are_refused(tmp_path, format, share):
    path = pair(tmp_path, format=format)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refuse(tmp_path, r"AT_7_S2_10m_256\.nc: no readable NetCDF found .* The file is probably truncated: delete it and")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"count": 3}, "3 bands found, 4 names given"),
        ({"side": 128}, r"size \(rows, cols\) \(128, 128\) found, \(256, 256\) expected"),
        ({"west": WEST + 100}, "first pixel at 4321105, 3209995 found, 4321005, 3209995 expected as in the image"),
        ({"change": lambda b: b[3].fill(1.5)}, "fractions found in band 4, whole parcel numbers expected"),
    ],
)
def test_labels_of_another_layout_are_refused(tmp_path, how, message):
    pair(tmp_path)
    label(tmp_path / "masks" / "AT" / "AT_7_S2label_10m_256.tif", **how)
    refuse(tmp_path, message)


def test_truncated_labels_are_refused(tmp_path):
    pair(tmp_path)
    path = tmp_path / "masks" / "AT" / "AT_7_S2label_10m_256.tif"
    label(path, change=lambda bands: bands.__setitem__(2, np.random.default_rng(0).random((256, 256))))
    path.write_bytes(path.read_bytes()[:20_000])
    refuse(tmp_path, r"AT_7_S2label_10m_256\.tif: (the header is readable but the pixels are not|no raster found)")


def test_tables_of_another_layout_are_refused(tmp_path):
    path = tmp_path / SPLIT_TABLE
    path.write_text("id,split\n1,train\n")
    with pytest.raises(NormalizationError, match="columns id, split found, file_id missing"):
        read_split_table(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NormalizationError, match="no readable table found"):
        read_split_table(path)
    with pytest.raises(NormalizationError, match="no readable table found"):
        read_split_table(tmp_path / "absent.csv")


def test_names_of_the_table_that_are_paths_are_ignored(tmp_path):
    table(tmp_path, [("../AT_1", "train"), ("AT_2", "train")])
    assert list(read_split_table(tmp_path / SPLIT_TABLE)) == ["AT_2"]
