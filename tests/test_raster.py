import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from millpond.datasets import virginia_scene
from millpond.raster import RasterError, band_name, open_raster, read_onto, write_blocks

TEN_METRES = rasterio.Affine(10, 0, 500_000, 0, -10, 4_000_000)


@pytest.fixture
def write(tmp_path):
    def write(name, values, descriptions=None, crs="EPSG:32633", transform=TEN_METRES, **profile):
        values = np.asarray(values)
        values = values[None] if values.ndim == 2 else values
        count, height, width = values.shape
        shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
        path = tmp_path / name
        with rasterio.open(
            path, "w", **{"driver": "GTiff", "crs": crs, "transform": transform, **shape, **profile}
        ) as out:
            out.write(values)
            if descriptions:
                out.descriptions = descriptions
        return path

    return write


def numbers(*shape, dtype="uint16"):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def expect(path, *parts):
    """A RasterError names the file and says what was found, what was expected and how to mend it."""
    return pytest.raises(RasterError, match=".*".join(re.escape(part) for part in (str(path), *parts)))


def test_bands_come_by_their_descriptions_in_the_order_asked_for(write):
    path = write("scene.tif", numbers(3, 2, 2), ("B8", "B03", "VV"))
    with open_raster(path, ("B03", "B08")) as raster:
        assert raster.bands == ("B03", "B08")
        assert raster.shape == (2, 2)
        np.testing.assert_array_equal(raster.read(), numbers(3, 2, 2)[[1, 0]])


def test_bands_come_by_file_names(write):
    paths = [
        write(f"T33UUU_20170216T102101_{band}.tif", np.full((2, 2), i, "uint16"))
        for i, band in enumerate(("B02", "B8A"))
    ]
    with open_raster(paths) as raster:
        assert raster.bands == ("B02", "B8A")
        assert raster.read()[:, 0, 0].tolist() == [0, 1]


def test_bands_come_by_a_mapping_whatever_the_files_are_called(write):
    red, blue = write("rot.tif", np.full((2, 2), 7, "uint16")), write("blau.tif", np.full((2, 2), 3, "uint16"))
    with open_raster({"B02": blue, "B04": red}, bands=("B04",)) as raster:
        assert raster.read().tolist() == [[[7, 7], [7, 7]]]


def test_unnamed_bands_get_names_from_the_caller(write):
    path = write("patch.tif", numbers(2, 2, 2))
    with open_raster(path, ("B03",), names=("B02", "B03")) as raster:
        np.testing.assert_array_equal(raster.read(), numbers(2, 2, 2)[1:])


@pytest.mark.parametrize(
    ("text", "name"), [("B2", "B02"), ("b8a", "B8A"), ("B12", "B12"), ("B011", "B011"), ("VV", "VV")]
)
def test_band_names_are_those_of_sentinel_2(text, name):
    assert band_name(text) == name


@pytest.mark.parametrize(
    "layout", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 32}, {"interleave": "pixel", "compress": "deflate"}]
)
@pytest.mark.parametrize("max_pixels", [1, 100, 600, 10_000])
def test_blocks_cover_the_raster_once(write, layout, max_pixels):
    values = numbers(2, 70, 50)
    with open_raster(write("scene.tif", values, ("B02", "B03"), **layout)) as raster:
        seen, rebuilt = np.zeros((70, 50), int), np.zeros_like(values)
        for window, block in raster.blocks(max_pixels):
            seen[window.toslices()] += 1
            rebuilt[:, *window.toslices()] = block
    assert (seen == 1).all()
    np.testing.assert_array_equal(rebuilt, values)


def test_blocks_are_no_larger_than_asked_for_once_they_hold_a_block_of_the_file(write):
    path = write("scene.tif", numbers(1, 128, 128), ("B02",), tiled=True, blockxsize=16, blockysize=16)
    with open_raster(path) as raster:
        assert max(w.width * w.height for w in raster.windows(16 * 16 * 4)) == 16 * 16 * 4
        assert max(w.width * w.height for w in raster.windows(1)) == 16 * 16


def test_scaling_gives_reflectance_and_nan_without_data(write):
    path = write("scene.tif", np.array([[0, 5000], [10_000, 1]], "uint16"), ("B02",), nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (1e-4,), (-0.1,)
    with open_raster(path) as raster:
        scaled = raster.read(scaled=True)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled[0], [[np.nan, 0.4], [0.9, -0.0999]], rtol=1e-6)


def test_a_coarser_band_is_read_onto_a_finer_grid(write):
    fine = write("fine_B02.tif", numbers(4, 4))
    coarse = write("coarse_B11.tif", numbers(2, 2), transform=rasterio.Affine(20, 0, 500_000, 0, -20, 4_000_000))
    with open_raster(fine) as raster:
        np.testing.assert_array_equal(read_onto(coarse, raster), np.kron(numbers(2, 2), np.ones((2, 2), int)))


def test_a_file_on_another_grid_is_read_by_its_scale_and_offset(write):
    # decimetres above a datum that lies 5 m below the sea
    coarse = write(
        "dem.tif", np.array([[100, 120]], "int16"), transform=TEN_METRES @ rasterio.Affine.scale(2), nodata=0
    )
    with rasterio.open(coarse, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.1,), (-5,)
    with open_raster(write("fine_B02.tif", numbers(2, 4))) as raster:
        np.testing.assert_allclose(read_onto(coarse, raster), [[5, 5, 7, 7]] * 2, rtol=1e-6)


def test_the_bundled_scene_is_read_by_name():
    with open_raster(virginia_scene(), ("B02", "B03", "B04", "B08"), dtype="uint16") as raster:
        assert raster.shape == (1947, 1933)
        assert raster.crs.to_epsg() == 32618
        corner = raster.read(Window(1900, 1900, 33, 47))
    assert corner.shape == (4, 47, 33)
    assert corner.min() > 0


def test_a_missing_file_is_named(tmp_path):
    with expect(tmp_path / "no.tif", "no such file found", "Check the path"):
        open_raster(tmp_path / "no.tif")


def test_a_text_file_is_no_raster(tmp_path):
    (tmp_path / "page_B02.tif").write_text("<html>404</html>")
    with expect(tmp_path / "page_B02.tif", "no raster found", "GeoTIFF", "Check that"):
        open_raster(tmp_path / "page_B02.tif")


def test_a_truncated_geotiff_is_recognised(write):
    path = write("scene_B02.tif", numbers(1, 200, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with expect(path, "pixels are not", "truncated", "again"), open_raster(path) as raster:
        raster.read()


def test_a_truncated_jpeg_2000_is_recognised(write):
    noise = np.random.default_rng(0).integers(0, 4000, (1, 200, 200)).astype("uint16")
    path = write("scene_B02.jp2", noise, driver="JP2OpenJPEG", quality="100", reversible="yes")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with expect(path, "truncated"), open_raster(path) as raster:
        raster.read()


def test_another_data_type_is_refused(write):
    path = write("scene.tif", numbers(1, 2, 2, dtype="float32"), ("B02",))
    with expect(path, "band B02 is float32", "uint16 expected", "Convert"):
        open_raster(path, dtype="uint16")


def test_an_absent_band_is_named_beside_those_found(write):
    path = write("scene.tif", numbers(2, 2, 2), ("B02", "B03"))
    with expect(path, "bands B02, B03 found", "B08 missing", "Name the bands"):
        open_raster(path, ("B02", "B08"))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"values": numbers(3, 2)}, ("size (rows, cols) (3, 2) found", "(2, 2) expected", "Resample")),
        ({"crs": "EPSG:32634"}, ("coordinate reference system EPSG:32634 found", "EPSG:32633 expected", "Resample")),
        (
            {"transform": rasterio.Affine(10, 0, 500_005, 0, -10, 4_000_000)},
            ("georeferencing (10.0, 0.0, 500005.0", "(10.0, 0.0, 500000.0", "Resample"),
        ),
    ],
)
def test_bands_on_different_grids_are_refused(write, change, parts):
    first = write("a_B02.tif", numbers(2, 2))
    second = write("a_B03.tif", change.pop("values", numbers(2, 2)), **change)
    with expect(second, *parts):
        open_raster([first, second])


def test_bands_without_names_are_refused_with_the_way_out(write):
    many = write("patch.tif", numbers(2, 2, 2))
    with expect(many, "2 bands without names", "names="):
        open_raster(many)
    with expect(many, "2 bands found", "3 names given"):
        open_raster(many, names=("B02", "B03", "B04"))
    one = write("patch1.tif", numbers(2, 2))
    with expect(one, "one band without a name", "mapping"):
        open_raster(one)


def test_the_same_band_twice_is_refused(write):
    first, second = write("a_B02.tif", numbers(2, 2)), write("b_B02.tif", numbers(2, 2))
    with expect(second, "band B02 found", "a_B02.tif holds it too", "mapping"):
        open_raster([first, second])


def test_no_files_at_all_are_refused():
    with pytest.raises(RasterError, match="no files given, at least one expected"):
        open_raster([])


def test_a_window_outside_the_raster_is_refused(write):
    path = write("scene.tif", numbers(1, 4, 4), ("B02",))
    with open_raster(path) as raster, expect(path, "rows 2..6", "0..4", "Intersect"):
        raster.read(Window(0, 2, 4, 4))


def test_bands_asked_for_twice_or_not_at_all_are_refused(write):
    path = write("scene.tif", numbers(2, 2, 2), ("B02", "B03"))
    for bands in (("B02", "B2"), ()):
        with pytest.raises(RasterError, match=r"asked for, one or more different names expected"):
            open_raster(path, bands)
    with expect(write("twice.tif", numbers(2, 2, 2), ("B2", "B02")), "bands B2, B02 found", "different names expected"):
        open_raster(path.with_name("twice.tif"))


def test_a_mapping_finds_a_band_in_a_stack_by_its_description(write):
    path = write("stack.tif", numbers(2, 2, 2), ("B02", "B03"))
    with open_raster({"B03": path}) as raster:
        np.testing.assert_array_equal(raster.read(), numbers(2, 2, 2)[1:])
    with expect(path, "2 bands found", "one described as B08 expected"):
        open_raster({"B08": path})


def test_each_file_has_its_own_no_data(write):
    values = np.array([[0, 1, 9]], "uint16")
    paths = [write(f"a_B0{i}.tif", values, nodata=nodata) for i, nodata in enumerate((0, 9, None), start=2)]
    with open_raster(paths) as raster:
        assert raster.read(masked=True)[:, 0].tolist() == [[None, 1, 9], [0, 1, None], [0, 1, 9]]
        assert raster.read()[:, 0].tolist() == [[0, 1, 9]] * 3
        assert raster.nodatavals == (0, 9, None)


def test_each_band_of_a_vrt_has_its_own_no_data(write, tmp_path):
    write("stack.tif", np.array([[[7, 8, 9]], [[7, 8, 9]]], "uint16"))
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{i}"><Description>B0{i}</Description><NoDataValue>{nodata}'
        '</NoDataValue><SimpleSource><SourceFilename relativeToVRT="1">stack.tif</SourceFilename>'
        f"<SourceBand>{i}</SourceBand></SimpleSource></VRTRasterBand>"
        for i, nodata in ((1, 7), (2, 9))
    )
    grid = "<SRS>EPSG:32633</SRS><GeoTransform>500000,10,0,4000000,0,-10</GeoTransform>"
    (tmp_path / "scene.vrt").write_text(f'<VRTDataset rasterXSize="3" rasterYSize="1">{grid}{bands}</VRTDataset>')
    with open_raster(tmp_path / "scene.vrt", ("B02", "B01")) as raster:
        assert raster.read(masked=True)[:, 0].tolist() == [[7, 8, None], [None, 8, 9]]
        assert raster.read(Window(1, 0, 2, 1), scaled=True)[0, 0].tolist()[0] == 8


SOUTH = np.repeat(np.array([255, 0], "uint8"), 4)[:, None] * np.ones((1, 8), "uint8")  # of 8 x 8 cells the last 4 rows


@pytest.fixture(params=["internal", "sidecar", "alpha", "float alpha", "undeclared NaN"])
def half(request, tmp_path):
    """A file whose southern half is declared to hold no data; there it holds 60,000."""
    dtype = "uint16" if request.param in ("internal", "sidecar", "alpha") else "float32"
    values = numbers(8, 8, dtype=dtype)
    values[4:] = np.nan if request.param == "undeclared NaN" else 60_000
    count = 2 if "alpha" in request.param else 1
    profile = {"height": 8, "width": 8, "count": count, "dtype": dtype, "crs": "EPSG:32633", "transform": TEN_METRES}
    if count == 2:
        profile["alpha"] = "YES"
    path = tmp_path / "dem_B02.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=request.param == "internal"),
        rasterio.open(path, "w", driver="GTiff", **profile) as file,
    ):
        file.write(values, 1)
        if count == 2:
            file.write(SOUTH.astype(dtype), 2)
        elif "NaN" not in request.param:
            file.write_mask(SOUTH)
    return path


def test_masks_and_alpha_bands_tell_where_there_is_no_data(half):
    for source in (half, {"elevation": half}):
        with open_raster(source) as raster:
            assert len(raster.bands) == 1
            found = raster.read(masked=True)[0]
            np.testing.assert_array_equal(np.ma.getmaskarray(found), SOUTH == 0)
            assert found.max() == 31
            np.testing.assert_array_equal(np.isnan(raster.read(scaled=True)[0]), SOUTH == 0)
            # rows 3 and 4, of which the latter has none
            assert raster.read(Window(2, 3, 1, 2), masked=True).tolist() == [[[26], [None]]]


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_resampling_goes_by_masks_and_alpha_bands(half, write, resampling):
    with open_raster(write("grid_B03.tif", numbers(8, 8))) as like:
        values = read_onto(half, like, resampling=resampling, pad=1)
    assert values.shape == (10, 10)
    np.testing.assert_array_equal(np.isnan(values[1:9, 1:9]), SOUTH == 0)
    assert np.isnan(values[0]).all()
    assert np.nanmax(values) == 31


def test_an_alpha_band_with_a_name_of_its_own_is_a_measurement(tmp_path):
    # GDAL calls the fourth of four 8-bit bands alpha unless told otherwise
    path = tmp_path / "scene.tif"
    profile = {"height": 1, "width": 2, "count": 4, "dtype": "uint8", "crs": "EPSG:32633", "transform": TEN_METRES}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        file.write(np.full((4, 1, 2), 5, "uint8"))
        file.descriptions = ("B02", "B03", "B04", "B08")
        assert file.colorinterp[3].name == "alpha"
    with open_raster(path) as raster:
        assert raster.bands == ("B02", "B03", "B04", "B08")


def test_names_are_for_files_that_carry_none(write):
    # taken for the names of the bands in their order, B02 would hold 2
    named = write("named.tif", np.array([[[2]], [[1]]], "uint16"), ("B03", "B02"))
    other = write("other.tif", np.array([[[2]], [[1]]], "uint16"), ("red", "blue"))
    with open_raster(named, names=("B02", "B03")) as raster:
        assert raster.bands == ("B03", "B02")
    with open_raster(other, names=("B02", "B03")) as raster:
        assert raster.bands == ("B02", "B03")


def blocks_of(raster, values):
    for window in raster.windows(50_000):
        yield window, values[:, *window.toslices()]


def test_written_blocks_read_back(write, tmp_path):
    values = np.random.default_rng(0).random((2, 300, 200)).astype("float32")
    with open_raster(write("grid_B02.tif", numbers(300, 200))) as like:
        write_blocks(tmp_path / "out.tif", blocks_of(like, values), like=like, bands=("B02", "B03"))
    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert dataset.descriptions == ("B02", "B03")
        assert dataset.transform == TEN_METRES


def test_a_failure_midway_leaves_the_old_file_alone(write, tmp_path):
    path = tmp_path / "out.tif"
    path.write_text("old")

    def failing(raster):
        yield from list(blocks_of(raster, np.zeros((1, 300, 200), "float32")))[:1]
        raise RasterError("broken off")

    with open_raster(write("grid_B02.tif", numbers(300, 200))) as like, pytest.raises(RasterError, match="broken off"):
        write_blocks(path, failing(like), like=like, bands=("B02",))
    assert path.read_text() == "old"
    assert not list(tmp_path.glob("*.part"))


FULL_DISK = """
import resource, signal, sys
import numpy as np
from millpond.raster import RasterError, open_raster, write_blocks

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))  # as if the disk were full after 2 MB
values = np.random.default_rng(0).random((2, 1000, 1000)).astype("float32")
with open_raster(sys.argv[1]) as like:
    try:
        blocks = ((window, values[:, *window.toslices()]) for window in like.windows(50_000))
        write_blocks(sys.argv[2], blocks, like=like, bands=("B02", "B03"))
    except RasterError as error:
        print(error)
"""


def test_a_full_disk_is_noticed_even_if_gdal_says_nothing(write, tmp_path):
    grid, out = write("grid_B02.tif", numbers(1000, 1000)), tmp_path / "out.tif"
    run = subprocess.run([sys.executable, "-c", FULL_DISK, grid, out], capture_output=True, text=True, check=True)
    assert str(out) in run.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [grid.name]


def test_a_name_that_is_no_utf8_is_refused_with_the_name(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfcn.tif"))
    path.write_bytes(b"")
    with pytest.raises(RasterError, match=r"gr\\udcfcn\.tif': a file name found that isn't UTF-8.* Rename the file"):
        open_raster(path)
