from datetime import date
from pathlib import Path

import pytest

from millpond.normalization import NormalizationError, radiometric_offset
from millpond.normalization.offset import offset_of_product


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
        ({}, "S2_99999999_B02.tif", None),
        ({}, "LC08_L1TP_014034_20230115_B2.tif", None),
        ({}, "scene.tif", None),
    ],
)
def test_a_product_tells_its_offset(tags, path, offset):
    assert offset_of_product(tags, [Path(path)]) == offset


def test_files_that_disagree_tell_nothing():
    assert offset_of_product({}, [Path("S2_20210101.tif"), Path("S2_20230101.tif")]) is None


def test_an_unreadable_offset_in_the_metadata_is_refused():
    with pytest.raises(NormalizationError, match=r"RADIO_ADD_OFFSET='x' found in the metadata, a number .* expected"):
        offset_of_product({"RADIO_ADD_OFFSET": "x"}, [])
