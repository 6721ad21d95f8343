from datetime import date

import numpy as np
import pytest
import rasterio

from millpond.raster import RasterError, open_raster
from millpond.sentinel2 import find_offset, radiometric_offset, reflectance, shifted

TEN_METRES = rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000)
WITH_OFFSET = np.random.default_rng(0).integers(1050, 3500, (2, 40, 30)).astype(np.uint16)


@pytest.fixture
def scene(tmp_path):
    """An opened file with two bands; by default its pixels could hold either offset."""

    def scene(name="scene.tif", dn=WITH_OFFSET, tags=None, band_tags=None, scaling=None, bands=("B02", "B08")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {"count": len(dn), "height": dn.shape[1], "width": dn.shape[2], "dtype": dn.dtype}
        with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32633", transform=TEN_METRES, **profile) as file:
            file.write(dn)
            file.descriptions = bands
            file.update_tags(**tags or {})
            for index in file.indexes if band_tags else ():
                file.update_tags(index, **band_tags)
            if scaling:
                file.scales, file.offsets = ([value] * len(dn) for value in scaling)
        return open_raster(path)

    return scene


def test_the_baseline_decides_whatever_the_date_says():
    assert [radiometric_offset(baseline=baseline) for baseline in (2.14, "03.01", "N0301")] == [0, 0, 0]
    assert [radiometric_offset(baseline=baseline) for baseline in ("04.00", 5.11, "N0400")] == [1000, 1000, 1000]
    assert radiometric_offset(baseline="05.00", acquired=date(2018, 7, 1)) == 1000  # reprocessed, Collection 1


def test_without_a_baseline_the_date_decides():
    assert radiometric_offset(acquired=date(2022, 1, 24)) == 0
    assert radiometric_offset(acquired=date(2022, 1, 25)) == 1000
    assert radiometric_offset() is None


def test_a_baseline_that_is_no_number_is_refused():
    with pytest.raises(RasterError, match=r"baseline 'latest' found, a number such as '04\.00' expected\. State"):
        radiometric_offset(baseline="latest")


@pytest.mark.parametrize(
    ("tags", "name", "offset"),
    [
        ({}, "scene.tif", None),
        ({"AREA_OR_POINT": "Area"}, "scene.tif", None),
        ({"RADIO_ADD_OFFSET": "-1000"}, "scene.tif", 1000),
        ({"BOA_ADD_OFFSET_B2": "-1000.0"}, "scene.tif", 1000),
        ({"PROCESSING_BASELINE": "05.09", "BOA_ADD_OFFSET": "0"}, "S2_20230101.tif", 0),  # somebody has taken it off
        ({"PROCESSING_BASELINE": "04.00"}, "S2_20180101.tif", 1000),
        ({"PROCESSING_BASELINE": "03.01"}, "S2_20230101.tif", 0),
        ({"s2:processing_baseline": "05.10"}, "scene.tif", 1000),
        ({"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": "True"}, "S2_20230101.tif", 0),
        ({"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": "False"}, "scene.tif", 1000),
        ({}, "S2A_MSIL1C_20180101T102401_N0500_R065_T32.SAFE/T32_20180101T102401_B02.tif", 1000),
        ({}, "S2A_MSIL2A_20220601T102401_N0301_R065_T32.SAFE/T32UUU_20220601T102401_B02.tif", 0),
        ({}, "COPERNICUS_S2_SR_HARMONIZED_20220601T101031.tif", 0),
        ({}, "T33UUU_20170216T102101_B02.tif", 0),
        ({}, "S2_20220125.tif", 1000),
        ({}, "S2A_2019-07-11.tif", 0),
        ({}, "S2_99999999_B02.tif", None),
        ({}, "LC08_L1TP_014034_20230115_B2.tif", None),
    ],
)
def test_a_file_tells_its_offset(scene, tags, name, offset):
    with scene(name, tags=tags) as raster:
        found = find_offset(raster)
    assert (found.dn, found.doubt) == (offset, "")


def test_the_tags_of_bands_count_too(scene):
    with scene(band_tags={"BOA_ADD_OFFSET": "-1000"}) as raster:
        assert find_offset(raster)[:2] == (1000, "BOA_ADD_OFFSET=-1000")


@pytest.mark.parametrize(
    ("scaling", "name", "offset"),
    [
        ((1e-4, -0.1), "S2B_T33UUU_20190601_0_L2A.tif", 1000),  # Collection 1: the date would say 0
        ((1, -1000), "scene.tif", 1000),
        ((1e-4, 0), "S2_20220601.tif", 1000),  # nothing said of an offset
        ((2.75e-5, -0.2), "LC08.tif", None),  # Landsat's is none of Sentinel-2
    ],
)
def test_the_files_own_offset_counts_more_than_its_date(scene, scaling, name, offset):
    with scene(name, scaling=scaling) as raster:
        assert find_offset(raster).dn == offset


def test_files_that_disagree_tell_nothing(scene, tmp_path):
    def both(**tags):
        for band, value in tags.items():
            scene(f"{band}.tif", WITH_OFFSET[:1], {"PROCESSING_BASELINE": value} if value else {}, bands=(band,))
        return open_raster([tmp_path / f"{band}.tif" for band in tags])

    with both(B02="02.04", B03="05.10") as raster:
        assert find_offset(raster) == (None, "files that disagree", "")
    with both(B02="", B03="05.10") as raster:
        assert find_offset(raster).dn == 1000


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"BOA_ADD_OFFSET": "unknown"}, r"BOA_ADD_OFFSET='unknown' found in the metadata, a number such as -1000 exp"),
        ({"BOA_ADD_OFFSET": "nan"}, r"BOA_ADD_OFFSET='nan' found"),
        (  # the sign of what is to be subtracted
            {"BOA_ADD_OFFSET": "1000"},
            r"BOA_ADD_OFFSET='1000' found in the metadata, 0 or a whole number below it such as -1000 expected, which",
        ),
        (
            {"RADIO_ADD_OFFSET_B2": "-999.9"},
            r"RADIO_ADD_OFFSET_B2='-999\.9' found .* added to digital numbers\. Correct",
        ),
        ({"BOA_ADD_OFFSET": "-0.1"}, r"BOA_ADD_OFFSET='-0\.1' found"),  # of reflectance
        (
            {"PROCESSING_BASELINE": "newest"},
            r"PROCESSING_BASELINE='newest' found in the metadata, a number such as 04\.00 expected\. Correct it",
        ),
    ],
)
def test_metadata_that_can_be_no_offset_are_refused(scene, tags, message):
    with scene(tags=tags) as raster, pytest.raises(RasterError, match=r"scene\.tif: " + message):
        find_offset(raster)


def test_pixels_contradict_a_date_or_a_baseline(scene):
    dn = np.full((2, 40, 30), 1500, np.uint16)
    dn[:, :5] = 799  # 5 of 40 rows
    for name, tags in (("S2B_33UUU_20220601_0_L2A.tif", {}), ("scene.tif", {"PROCESSING_BASELINE": "05.09"})):
        with scene(name, dn, tags) as raster:
            found = find_offset(raster)
        assert found.dn == 0
        assert f"{name}: a radiometric offset of 1,000 found" in found.doubt
        assert "12% of the valid pixels lie below 800" in found.doubt
        assert "Earth Search" in found.doubt
        assert "So 0 is used; state it" in found.doubt


@pytest.mark.parametrize("tags", [{"BOA_ADD_OFFSET": "-1000"}, None])
def test_pixels_only_put_in_doubt_what_the_file_or_the_caller_states(scene, tags):
    with scene("scene.tif", WITH_OFFSET - np.uint16(1000), tags) as raster:
        found = find_offset(raster, None if tags else 1000)
    assert found.dn == 1000
    assert "It is used as it was found; mend it if it is wrong" in found.doubt


def test_shadows_no_data_and_a_scene_classification_contradict_nothing(scene):
    dn = np.concatenate([WITH_OFFSET, np.full((1, 40, 30), 6, np.uint16)])  # SCL: water everywhere
    dn[:2, :20] = 0
    dn[:2, 20:22] = 700  # 60 of 600 valid pixels
    with scene("S2_20220601.tif", dn, bands=("B02", "B08", "SCL")) as raster:
        assert find_offset(raster) == (1000, "the date 2022-06-01", "")


@pytest.mark.parametrize(
    ("added", "scaling", "tags"),
    [
        (0, None, {}),
        (1000, None, {"PROCESSING_BASELINE": "05.09"}),
        (1000, (1e-4, 0), {"BOA_ADD_OFFSET": "-1000"}),
        (1000, (1e-4, -0.1), {"BOA_ADD_OFFSET": "-1000"}),  # taken off once, not twice
    ],
)
def test_reflectance_is_the_same_however_a_file_states_it(scene, added, scaling, tags):
    dn = np.full((2, 2, 3), 500 + added, np.uint16)
    dn[:, 0, 0] = 0
    with scene("scene.tif", dn, tags, scaling=scaling) as raster:
        values, _ = reflectance(raster, raster.read(masked=True))
    assert values[:, 0, 1:] == pytest.approx(0.05)
    if scaling != (1e-4, -0.1):  # a file with its own offset says itself what is no data
        assert np.isnan(values[:, 0, 0]).all()


def test_reflectance_of_bands_keeps_what_was_masked(scene):
    values = np.array([[[0.1, np.nan]], [[0.3, 0.4]]], np.float32)
    with scene(dn=values) as raster:
        found, offset = reflectance(raster, raster.read(masked=True)[1:], ("B08",))
    np.testing.assert_allclose(found, [[[0.3, 0.4]]], rtol=1e-6)
    assert offset.dn == 0


def test_shifted_numbers_keep_what_0_masks_and_65535_mean():
    dn = np.array([0, 1, 900, 1500, 9999, 64_700, 65_534, 65_535], np.uint16)
    assert shifted(dn, -1000).tolist() == [0, 1, 1, 500, 8999, 63_700, 64_534, 65_535]
    assert shifted(np.ma.masked_equal(dn, 9999), 1000).tolist() == [0, 1001, 1900, 2500, None, 65_534, 65_534, 65_535]
    assert shifted(dn, 1000).dtype == np.uint16
    assert shifted(dn, 0) is dn
