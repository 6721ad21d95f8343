import os
import zipfile

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from millpond.normalization import BandHistogram
from millpond.products import band_name, is_local, layer_in_name, raster_files, scene_name, scenes_of
from millpond.raster import RasterError, find_scenes, open_raster
from millpond.sentinel2 import acquired, find_offset

CORNER = 300_000, 5_000_000


def write(path, values, pixel_m=10, driver="GTiff", **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    values = values[None] if values.ndim == 2 else values
    count, height, width = values.shape
    grid = rasterio.Affine(pixel_m, 0, CORNER[0], 0, -pixel_m, CORNER[1])
    profile |= {"count": count, "height": height, "width": width, "dtype": values.dtype, "crs": "EPSG:32633"}
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"} if driver == "JP2OpenJPEG" else {}
    with rasterio.open(path, "w", driver=driver, transform=grid, **profile, **lossless) as file:
        file.write(values)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def tile(value, n=8):
    return np.full((n, n), value, np.uint16)


def product(folder, day="07", level="1C"):
    """A SAFE folder as ESA's, in small: blue 2,000 + day and red edge 3,000, of which the west half is 3,100."""
    name = f"S2A_MSIL{level}_202206{day}T101611_N0400_R065_T33UUU_202206{day}T122139.SAFE"
    image = folder / name / "GRANULE" / f"L{level}_T33UUU_A036345" / "IMG_DATA"
    tens, twenties = (image / f"R{size}0m" if level == "2A" else image for size in (1, 2))
    ends = ("_10m", "_20m") if level == "2A" else ("", "")
    start = f"T33UUU_202206{day}T101611"
    for band in ("B02", "B03", "B04", "B08"):
        write(tens / f"{start}_{band}{ends[0]}.jp2", tile(2000 + int(day)), driver="JP2OpenJPEG")
    edge = tile(3000, 4)
    edge[:, :2] = 3100
    write(twenties / f"{start}_B05{ends[1]}.jp2", edge, 20, "JP2OpenJPEG")
    write(tens / f"{start}_TCI{ends[0]}.jp2", np.full((3, 8, 8), 90, np.uint8), driver="JP2OpenJPEG")
    if level == "2A":
        write(twenties / f"{start}_B02_20m.jp2", tile(2500, 4), 20, "JP2OpenJPEG")
        write(twenties / f"{start}_SCL_20m.jp2", np.full((4, 4), 4, np.uint8), 20, "JP2OpenJPEG")
    write(
        folder / name / "GRANULE" / "x" / "QI_DATA" / "MSK_CLDPRB_20m.jp2",
        np.zeros((4, 4), np.uint8),
        20,
        "JP2OpenJPEG",
    )
    write(folder / name / f"{start}_PVI.jp2", np.zeros((4, 4), np.uint8), 320, "JP2OpenJPEG")
    (folder / name / f"MTD_MSIL{level}.xml").write_text("<n1/>")
    return folder / name


FOUR = ("B02", "B03", "B04", "B08")


@pytest.mark.parametrize("level", ["1C", "2A"])
@pytest.mark.parametrize("form", ["folder", "file of metadata", "zip"])
def test_a_product_is_a_scene(tmp_path, level, form):
    safe = product(tmp_path, level=level)
    if form == "file of metadata":
        safe = safe / f"MTD_MSIL{level}.xml"
    elif form == "zip":
        safe = zipped(safe)
    with open_raster(safe, FOUR) as raster:
        assert raster.read()[:, 0, 0].tolist() == [2007] * 4
        assert raster.pixel == (10, 10)
        assert find_offset(raster).dn == 1000  # baseline 04.00, by the folder's name
        assert acquired(raster).isoformat() == "2022-06-07"
    assert BandHistogram.from_rasters(safe).n_pixels.tolist() == [64] * 4


def zipped(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder.parent))
    return path


def test_coarser_bands_are_repeated_and_finer_ones_averaged(tmp_path):
    safe = product(tmp_path)
    with pytest.raises(RasterError, match=r"B05\.jp2: size .* \(4, 4\) found, \(8, 8\) expected .*--resolution"):
        open_raster(safe, ("B02", "B05"))
    with open_raster(safe, ("B02", "B05"), resolution_m=10) as raster:
        assert raster.pixel == (10, 10)
        assert raster.read()[:, 7].tolist() == [[2007] * 8, [3100] * 4 + [3000] * 4]
    with open_raster(safe, ("B02", "B05"), resolution_m=20) as raster:
        assert raster.shape == (4, 4)
        assert raster.read()[:, 0].tolist() == [[2007] * 4, [3100, 3100, 3000, 3000]]
    with open_raster(safe, ("B02",), resolution_m=40) as raster:  # a size that no band has
        assert (raster.shape, raster.read().tolist()) == ((2, 2), [[[2007, 2007], [2007, 2007]]])
    assert BandHistogram.from_rasters(safe, ("B02", "B05"), resolution_m=20).n_pixels.tolist() == [16, 16]


def test_esas_own_coarser_band_is_taken_where_there_is_one(tmp_path):
    safe = product(tmp_path, level="2A")
    with open_raster(safe, ("B02", "B05"), resolution_m=20) as raster:
        assert raster.read()[:, 0, 0].tolist() == [2500, 3100]
    with open_raster(safe, ("SCL",)) as raster:
        assert raster.read().max() == 4


def test_no_data_is_not_averaged_with_measurements(tmp_path):
    blue = tile(1000)
    blue[0, 0], blue[2:4, 2:4] = 0, 0
    blue[6:, 6:] = [[10, 20], [30, 60]]
    write(tmp_path / "a_B02.tif", blue)
    write(tmp_path / "a_B05.tif", tile(5, 4), 20)
    with open_raster([tmp_path / "a_B02.tif", tmp_path / "a_B05.tif"], resolution_m=20) as raster:
        found = raster.read(masked=True)[0]
    assert found[0].tolist() == [1000] * 4
    assert found[1].tolist() == [1000, None, 1000, 1000]
    assert found[3].tolist() == [1000, 1000, 1000, 30]  # the mean of 10, 20, 30 and 60


def test_files_by_band_of_several_scenes_are_kept_apart(tmp_path):
    first, second = product(tmp_path, "07"), product(tmp_path, "17")
    everything = raster_files(first) + raster_files(second)
    assert not [file for file in everything if "QI_DATA" in file or "PVI" in file]
    histogram = BandHistogram.from_rasters(everything)
    assert histogram.n_pixels.tolist() == [128] * 4
    assert np.flatnonzero(histogram.counts[0]).tolist() == [2007, 2017]
    assert len(find_scenes([tmp_path])) == 2
    with pytest.raises(RasterError, match=r": 2 scenes found, one expected\. Name the files of one\."):
        open_raster([first, second], FOUR)


def test_all_bands_of_a_product_are_without_pictures_and_classes(tmp_path):
    with open_raster(product(tmp_path, level="2A"), resolution_m=20) as raster:
        assert sorted(raster.bands) == ["B02", "B03", "B04", "B05", "B08"]


def test_stacks_whose_names_look_like_bands_are_scenes_of_their_own(tmp_path):
    for field in ("B1", "B2"):  # two fields, not two bands
        write(tmp_path / f"field_{field}.tif", np.ones((4, 2, 2), np.uint16))
    files = sorted(map(str, tmp_path.iterdir()))
    assert find_scenes(files) == files
    assert BandHistogram.from_rasters(files, names=FOUR, offset=0).n_pixels.tolist() == [8] * 4


def test_a_file_counts_once_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "dark.tif", np.full((4, 2, 2), 300, np.uint16))
    os.symlink("dark.tif", "link.tif")
    once = BandHistogram.from_rasters(["dark.tif"], names=FOUR, offset=0)
    for paths in (["dark.tif", "dark.tif"], [".", "dark.tif"], ["dark.tif", "link.tif", tmp_path / "dark.tif"]):
        again = BandHistogram.from_rasters(paths, names=FOUR, offset=0)
        np.testing.assert_array_equal(again.counts, once.counts)
        assert again.sources == ("dark.tif",)


def test_addresses_and_names_of_gdal_are_left_as_they_are():
    for name in ("https://a.b/c.tif", "s3://a/b.tif", "/vsizip//tmp/a.zip/b.tif", "netcdf:cube.nc:B02", "ZARR:/a:/B2"):
        assert not is_local(name)
        assert raster_files(name) == [name]
    assert is_local("C_B02.tif")
    assert is_local("/tmp/scene:1.tif")


@pytest.mark.parametrize(
    ("file", "scene", "layer"),
    [
        ("a/T33UUU_20220607T101611_B8A_20m.jp2", "a/T33UUU_20220607T101611", "B8A"),
        ("a/R10m/T33UUU_B02_10m.jp2", "a/T33UUU", "B02"),
        ("a/R20m/T33UUU_SCL_20m.jp2", "a/T33UUU", "SCL"),
        ("https://host/S2B_33UUU_20220601_0_L2A/B02.tif", "https:/host/S2B_33UUU_20220601_0_L2A/_", "B02"),
        ("netcdf:cube.nc:B04", "netcdf:cube.nc", "B04"),
        ("S1_20180701.tif", "S1_20180701", None),
        ("B1_lake.tif", "_lake", "B01"),
    ],
)
def test_names_tell_scene_and_band(file, scene, layer):
    assert (scene_name(file), layer_in_name(file)) == (scene, layer)


def test_bands_come_as_gdal_describes_them():
    assert band_name("B4, central wavelength 665 nm") == "B04"


def test_the_finest_file_of_a_band_is_taken_unless_another_is_asked_for():
    files = ["a/R10m/T_B02_10m.jp2", "a/R20m/T_B02_20m.jp2", "a/R60m/T_B02_60m.jp2"]
    assert scenes_of(files) == [{"B02": files[0]}]
    assert scenes_of(files, 20) == [{"B02": files[1]}]
    assert scenes_of(files, 60) == [{"B02": files[2]}]


def test_a_broken_zip_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(RasterError, match=r"a\.zip: no zip found .*, a product or rasters in one expected"):
        open_raster(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")  # the file around them
def test_data_sets_of_a_file_are_chosen_by_name(tmp_path, monkeypatch):
    xarray = pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    axis = np.arange(4) * 10.0
    bands = {band: (("y", "x"), np.full((4, 4), i, np.int32)) for i, band in enumerate(FOUR, start=1)}
    xarray.Dataset(bands, coords={"x": axis, "y": axis[::-1]}).to_netcdf("cube.nc")
    with pytest.raises(
        RasterError, match=r"cube\.nc: 4 data sets found \(B02, B03, B04, B08\), none .*netcdf:cube\.nc:B02"
    ):
        open_raster("cube.nc")
    histogram = BandHistogram.from_rasters([f"netcdf:cube.nc:{band}" for band in FOUR], offset=0)
    assert histogram.max.tolist() == [1, 2, 3, 4]
    with pytest.raises(RasterError, match=r"netcdf:other\.nc:B02: no raster found"):
        open_raster("netcdf:other.nc:B02")
