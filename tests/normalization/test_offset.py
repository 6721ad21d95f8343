from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

from millpond.normalization import NormalizationError, radiometric_offset
from millpond.normalization.offset import offset_of_product, offset_of_scene, shifted
from millpond.raster import open_raster


def test_the_baseline_decides_whatever_the_date_says():
    assert radiometric_offset(baseline="04.00") == 1000
    assert radiometric_offset(baseline="03.01") == 0
    assert (
        radiometric_offset(baseline="05.00", acquired=date(2018, 7, 1)) == 1000
    )  # Collection 1 reprocesses old scenes


def test_without_a_baseline_the_date_decides():
    assert radiometric_offset(acquired=date(2022, 1, 24)) == 0
    assert radiometric_offset(acquired=date(2022, 1, 25)) == 1000
    assert radiometric_offset() is None


def test_a_baseline_that_is_no_number_is_refused():
    with pytest.raises(NormalizationError, match=r"baseline 'N0400' found, a number such as '04\.00' expected"):
        radiometric_offset(baseline="N0400")


@pytest.mark.parametrize(
    ("tags", "path", "offset"),
    [
        ({"RADIO_ADD_OFFSET": "-1000"}, "any.jp2", 1000),
        ({"BOA_ADD_OFFSET_B2": "-1000"}, "any.jp2", 1000),
        ({"PROCESSING_BASELINE": "02.08"}, "S2_20230101.tif", 0),
        ({}, "S2A_MSIL1C_20180101T102401_N0500_R065_T32.SAFE/T32_20180101T102401_B02.jp2", 1000),
        ({}, "T33UUU_20170216T102101_B02.jp2", 0),
        ({}, "S2_20220125.tif", 1000),
        ({}, "S2A_2019-07-11.tif", 0),
        ({}, "S2_99999999_B02.tif", None),
        ({}, "LC08_L1TP_014034_20230115_B2.tif", None),
        ({}, "scene.tif", None),
    ],
)
def test_a_product_tells_its_offset(tags, path, offset):
    assert offset_of_product({Path(path): tags}) == offset


def test_files_that_disagree_tell_nothing():
    assert offset_of_product({Path("S2_20210101.tif"): {}, Path("S2_20230101.tif"): {}}) is None
    old, new = {"PROCESSING_BASELINE": "02.04"}, {"PROCESSING_BASELINE": "05.10"}
    assert offset_of_product({"B02.tif": old, "B03.tif": new}) is None
    assert offset_of_product({"B02.tif": {}, "B03.tif": new}) == 1000


def test_an_unreadable_offset_in_the_metadata_is_refused():
    with pytest.raises(NormalizationError, match=r"RADIO_ADD_OFFSET='x' found in the metadata, a number .* expected"):
        offset_of_product({"scene.tif": {"RADIO_ADD_OFFSET": "x"}})


def test_shifted_numbers_keep_what_0_no_data_and_65535_mean():
    dn = np.array([0, 1, 900, 1500, 9999, 64_700, 65_534, 65_535], np.uint16)
    assert shifted(dn, -1000).tolist() == [0, 1, 1, 500, 8999, 63_700, 64_534, 65_535]
    assert shifted(dn, 1000, nodata=9999).tolist() == [0, 1001, 1900, 2500, 9999, 65_534, 65_534, 65_535]
    assert shifted(dn, 1000).dtype == np.uint16
    assert shifted(dn, 0) is dn


def test_the_offset_of_a_scene_and_of_a_normalization_are_both_known_or_both_unknown(tmp_path):
    def scene(name, **tags):
        profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": 1, "width": 1, "crs": "EPSG:32633"}
        grid = rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000)
        with rasterio.open(tmp_path / name, "w", transform=grid, **profile) as file:
            file.descriptions = ("B02",)
            file.update_tags(**tags)
        return open_raster(tmp_path / name)

    with scene("known.tif", PROCESSING_BASELINE="05.10") as known, scene("unknown.tif") as unknown:
        assert offset_of_scene(known, 0) == 1000
        assert offset_of_scene(known, 0, 0) == 0
        assert offset_of_scene(unknown, None) is None
        assert offset_of_scene(unknown, 0, 1000) == 1000
        with pytest.raises(
            NormalizationError, match=r"unknown\.tif: radiometric offset unknown, .* --offset 1000 since"
        ):
            offset_of_scene(unknown, 0)
        with pytest.raises(
            NormalizationError, match=r"known\.tif: radiometric offset 1,000 found, but .* unknown offset"
        ):
            offset_of_scene(known, None)
