import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from millpond.normalization import NormalizationError
from millpond.normalization.targets import parcel_targets

rasters = hnp.arrays(
    np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([-1, 0, 1, 2, 7_000_000])
)


def test_two_adjacent_fields_have_a_boundary_on_either_side():
    parcels = np.repeat([[4, 4, 4, 9, 9, 9]], 3, axis=0)
    extent, boundary, distance = parcel_targets(parcels)
    assert extent.all()
    np.testing.assert_array_equal(boundary, np.repeat([[0, 0, 1, 1, 0, 0]], 3, axis=0))
    np.testing.assert_array_equal(distance, np.repeat(np.float32([[1, 0.5, 0, 0, 0.5, 1]]), 3, axis=0))


def test_a_corner_is_touched_too():
    parcels = np.ones((3, 3), int)
    parcels[0, 0] = 0
    np.testing.assert_array_equal(parcel_targets(parcels).boundary, [[0, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_a_field_of_seven_by_five_has_its_distances():
    parcels = np.zeros((9, 7), int)
    parcels[1:8, 1:6] = 3
    # the outermost ring is boundary; within it, 5 x 3 pixels are one pixel from it, and those of the middle two
    expected = np.zeros((9, 7), np.float32)
    expected[2:7, 2:5] = 0.5
    expected[3:6, 3] = 1
    np.testing.assert_array_equal(parcel_targets(parcels).distance, expected)


def test_neither_the_rasters_edge_nor_unlabelled_pixels_are_a_boundary():
    extent, boundary, distance = parcel_targets(np.array([[5, 5, 5, -1, -1]] * 3))
    np.testing.assert_array_equal(extent, [[1, 1, 1, 0, 0]] * 3)
    assert not boundary.any()
    np.testing.assert_array_equal(distance, extent)


def test_a_field_without_boundary_lies_at_1_whatever_other_fields_show():
    # between the two lies what nobody has mapped; only the second one shows where it ends
    row = np.array([[1, 1, 1, -1, -1, 2, 2, 0]])
    np.testing.assert_array_equal(parcel_targets(row).distance, [[1, 1, 1, 0, 0, 1, 0, 0]])


def test_distances_are_those_from_a_fields_own_boundary():
    # the second field's boundary is nearer to the end of the first than that one's own
    row = np.array([[0, 1, 1, 1, 1, 1, -1, 2, 0]])
    np.testing.assert_array_equal(parcel_targets(row).distance, np.float32([[0, 0, 0.25, 0.5, 0.75, 1, 0, 0, 0]]))


def by_hand(parcels):
    """Boundary and distance as defined, pixel by pixel."""
    boundary = np.zeros(parcels.shape, np.uint8)
    for place, number in np.ndenumerate(parcels):
        around = parcels[tuple(slice(max(i - 1, 0), i + 2) for i in place)]
        boundary[place] = number > 0 and bool(((around != number) & (around >= 0)).any())
    distance = np.zeros(parcels.shape)
    for number in np.unique(parcels[parcels > 0]):
        ends = np.argwhere((boundary > 0) & (parcels == number))
        for place in np.argwhere(parcels == number):
            distance[tuple(place)] = np.hypot(*(ends - place).T).min() if len(ends) else 1
        deepest = distance[parcels == number].max()
        distance[parcels == number] /= deepest or 1
    return boundary, distance


@given(parcels=rasters)
def test_targets_follow_their_definition(parcels):
    extent, boundary, distance = parcel_targets(parcels)
    expected_boundary, expected_distance = by_hand(parcels)
    np.testing.assert_array_equal(extent, parcels > 0)
    np.testing.assert_array_equal(boundary, expected_boundary)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-6)


@given(parcels=rasters)
def test_turned_parcels_have_turned_targets(parcels):
    for layer, turned in zip(parcel_targets(parcels), parcel_targets(np.rot90(parcels)), strict=True):
        np.testing.assert_array_equal(np.rot90(layer), turned)


def test_what_is_no_raster_of_parcels_is_refused():
    with pytest.raises(NormalizationError, match=r"type float64 found, integers expected.*astype"):
        parcel_targets(np.zeros((2, 2)))
    with pytest.raises(NormalizationError, match=r"number -2 found, -1 \(unlabelled\)"):
        parcel_targets(np.full((2, 2), -2))
    with pytest.raises(NormalizationError, match=r"shape \(2,\) found, \(rows, cols\) expected"):
        parcel_targets(np.zeros(2, int))
