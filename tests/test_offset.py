import pytest

from millpond.errors import MillpondError
from millpond.offset import offset_of_baseline, stated_offset


class RoomError(MillpondError):
    pass


def test_products_carry_the_offset_since_baseline_04_00():
    assert [offset_of_baseline(baseline) for baseline in (2.14, 3.01, 4.0, 5.11)] == [0, 0, 1000, 1000]


@pytest.mark.parametrize(
    ("tags", "offset"),
    [
        ({}, None),
        ({"AREA_OR_POINT": "Area"}, None),
        ({"RADIO_ADD_OFFSET": "-1000"}, 1000),
        ({"BOA_ADD_OFFSET_B2": "-1000.0"}, 1000),
        ({"PROCESSING_BASELINE": "05.09", "BOA_ADD_OFFSET": "0"}, 0),  # somebody has taken it off
        ({"PROCESSING_BASELINE": "04.00"}, 1000),
        ({"PROCESSING_BASELINE": "03.01"}, 0),
    ],
)
def test_metadata_state_an_offset(tags, offset):
    assert stated_offset(tags, "scene.tif", RoomError) == offset


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
            {"PROCESSING_BASELINE": "N0400"},
            r"PROCESSING_BASELINE='N0400' found .* such as 04\.00 expected\. Correct it",
        ),
    ],
)
def test_what_can_be_no_offset_is_refused_in_the_rooms_own_words(tags, message):
    with pytest.raises(RoomError, match=r"scene\.tif: " + message):
        stated_offset(tags, "scene.tif", RoomError)
