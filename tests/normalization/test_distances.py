import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import wasserstein_distance

from millpond.normalization import BandHistogram, NormalizationError, distances
from millpond.normalization.distances import histogram_distances, matrix_regression, position_gaps, season_gaps

pixels = hnp.arrays(np.uint16, st.tuples(st.just(1), st.just(1), st.integers(1, 30)), elements=st.integers(1, 65535))


def histogram(*values, band="B02", offset=0):
    return BandHistogram.from_array(np.array([[values]], np.uint16), (band,), offset=offset)


@settings(deadline=None)  # the first example compiles
@given(pixels, pixels)
def test_distances_are_scipys(a, b):
    table = histogram_distances(
        {"a": BandHistogram.from_array(a, ("B02",)), "b": BandHistogram.from_array(b, ("B02",))}
    )
    assert table.wasserstein_dn[0] == pytest.approx(wasserstein_distance(a.ravel(), b.ravel()), rel=1e-9, abs=1e-6)


def test_distances_by_hand():
    table = histogram_distances({1: histogram(10), 2: histogram(10, 30), 3: histogram(65535)})
    assert table[["a", "b"]].to_numpy().tolist() == [[1, 2], [1, 3], [2, 3]]
    assert table.wasserstein_dn.tolist() == [10, 65525, 65515]


def test_histograms_that_cannot_be_compared_are_named():
    with pytest.raises(
        NormalizationError, match=r"histogram 'b' with bands B03 and radiometric offset 0 found, B02 and 0"
    ):
        histogram_distances({"a": histogram(1), "b": histogram(1, band="B03")})
    with pytest.raises(NormalizationError, match=r"radiometric offset unknown found, B02 and 0 expected"):
        histogram_distances({"a": histogram(1), "b": histogram(1, offset=None)})
    with pytest.raises(NormalizationError, match="histogram 'b' without a valid pixel in some band found"):
        histogram_distances({"a": histogram(1), "b": histogram(0)})


def test_gaps_of_places():
    regions = pd.DataFrame({"latitude_deg": [50.0, 70.0], "longitude_deg": [0.0, 30.0]}, index=["a", "b"])
    gaps = position_gaps(regions)
    assert gaps.loc[0, "latitude"] == 20
    assert gaps.loc[0, "longitude"] == pytest.approx(15)  # cos 60 degrees


def regions_on_a_grid(shape, rng=None):
    lat, lon = (
        axis.ravel().astype(float) for axis in np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    )
    names = [f"{i}" for i in range(lat.size)]
    return pd.DataFrame({"latitude_deg": 40 + 5 * lat, "longitude_deg": 10 * lon}, index=names)


def distances_of(regions, value):
    value = np.asarray(value)
    return histogram_distances({name: histogram(int(value[i])) for i, name in enumerate(regions.index)})


def test_a_north_south_gradient_is_found():
    regions = regions_on_a_grid((3, 4))
    noise = np.random.default_rng(1).normal(0, 20, len(regions))
    table = matrix_regression(
        distances_of(regions, 2000 + 30 * regions.latitude_deg + noise), position_gaps(regions), n_permutations=499
    ).set_index("gap")
    assert table.p["latitude"] == pytest.approx(1 / 500)
    assert table.p["longitude"] > 0.05
    assert table.slope["latitude"] == pytest.approx(30, rel=0.3)
    assert table.low["difference"] > 0
    assert table.low["latitude"] < table.slope["latitude"] < table.high["latitude"]
    assert table.mantel_r["latitude"] > table.mantel_r["longitude"]


def test_coefficients_are_those_of_ordinary_least_squares():
    statsmodels = pytest.importorskip("statsmodels.api")
    regions = regions_on_a_grid((2, 4))
    value = np.random.default_rng(0).integers(1000, 3000, len(regions))
    distances, gaps = distances_of(regions, value), position_gaps(regions)
    table = matrix_regression(distances, gaps, n_permutations=9).set_index("gap")
    fit = statsmodels.OLS(distances.wasserstein_dn, statsmodels.add_constant(gaps[["latitude", "longitude"]])).fit()
    np.testing.assert_allclose(table.slope[["latitude", "longitude"]], fit.params[["latitude", "longitude"]])
    assert table.r2.iloc[0] == pytest.approx(fit.rsquared)
    assert table.slope["difference"] == pytest.approx(fit.params["latitude"] - fit.params["longitude"])


def test_equal_histograms_leave_nothing_to_explain():
    regions = regions_on_a_grid((3, 3))
    with pytest.raises(
        NormalizationError, match="B02: equal distances between all labels found, different ones expected"
    ):
        matrix_regression(distances_of(regions, np.full(9, 1000)), position_gaps(regions), n_permutations=9)


def test_five_labels_are_permuted_in_every_way():
    # Values rise with the number: only the order itself and its reverse fit as well, 2 of 120 permutations.
    labels = [1, 2, 3, 4, 5]
    distances = histogram_distances({label: histogram(1000 + 100 * label + label % 2) for label in labels})
    gaps = pd.DataFrame({"a": distances.a, "b": distances.b, "steps": distances.b - distances.a})
    table = matrix_regression(distances, gaps, n_permutations=10)
    assert table.p[0] == pytest.approx(2 / 120)
    assert table.gap.tolist() == ["steps"]


def test_p_is_uniform_where_there_is_nothing_to_find():
    regions = regions_on_a_grid((2, 4))
    rng = np.random.default_rng(3)
    p = []
    for _ in range(60):
        value = rng.integers(1000, 3000, len(regions))
        table = matrix_regression(
            distances_of(regions, value), position_gaps(regions), n_permutations=99, random_state=rng.integers(9**9)
        )
        p.append(table.p[0])
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) <= 0.1) < 0.25


def test_what_cannot_be_tested_is_refused():
    regions = regions_on_a_grid((2, 2))
    with pytest.raises(NormalizationError, match="4 labels found, five or more expected"):
        matrix_regression(distances_of(regions, range(1, 5)), position_gaps(regions))
    regions = regions_on_a_grid((6, 1))
    distances = distances_of(regions, range(1, 7))
    with pytest.raises(NormalizationError, match="gaps latitude, longitude that are constant or proportional found"):
        matrix_regression(distances, position_gaps(regions))
    with pytest.raises(NormalizationError, match="no wasserstein_dn of 0 and 1 found, one for every pair"):
        matrix_regression(distances[1:], position_gaps(regions_on_a_grid((2, 3))))


def test_the_shorter_way_round_the_globe_counts():
    regions = pd.DataFrame({"latitude_deg": [0.0, 0.0], "longitude_deg": [175.0, -175.0]}, index=["a", "b"])
    assert position_gaps(regions).longitude.tolist() == [10]


def test_no_permutations_are_no_test():
    regions = regions_on_a_grid((2, 4))
    distances = distances_of(regions, range(1000, 1008))
    with pytest.raises(NormalizationError, match=r"n_permutations=0 found, 1 or more expected"):
        matrix_regression(distances, position_gaps(regions), n_permutations=0)


def test_permutations_are_taken_in_parts_to_the_same_result(monkeypatch):
    regions = regions_on_a_grid((3, 4))
    value = np.random.default_rng(0).integers(1000, 3000, len(regions))
    data = distances_of(regions, value), position_gaps(regions)
    whole = matrix_regression(*data, n_permutations=99)
    solve, widths = distances._least_squares, []

    def solved(design, responses):
        widths.append(responses.shape[1])
        return solve(design, responses)

    monkeypatch.setattr(distances, "_MAX_RESPONSES", 10 * 66)
    monkeypatch.setattr(distances, "_least_squares", solved)
    pd.testing.assert_frame_equal(matrix_regression(*data, n_permutations=99), whole)
    assert widths == [11] + [10] * 8 + [9]


def test_months_are_apart_the_shorter_way_round():
    gaps = season_gaps([1, 4, 7, 12])
    assert list(gaps.itertuples(index=False, name=None)) == [
        (1, 4, 3),
        (1, 7, 6),
        (1, 12, 1),
        (4, 7, 3),
        (4, 12, 4),
        (7, 12, 5),
    ]
