import numpy as np
import pytest
from scipy import stats

from millpond.normalization import BandHistogram, Linear, fit_normalization
from millpond.normalization.assessment import long_tail, losses, separability
from millpond.normalization.landcover import LAND_COVER, classify_land_cover
from millpond.normalization.samples import read_sample, read_vegetation
from millpond.normalization.study import compare_separability, counts_by_block, describe_tail, run

RNG = np.random.default_rng(0)


def one_band(values, **kwargs):
    return BandHistogram.from_array(np.array(values, np.uint16).reshape(1, 1, -1), ("B02",), **kwargs)


def test_the_tail_of_a_thousand_pixels_by_hand():
    # 999 pixels from 1000 to 1998 and one at 11000
    histogram = one_band([*range(1000, 1999), 11_000])
    row = long_tail(histogram).loc["B02"]
    assert (row["minimum"], row["maximum"], row["n_pixels"]) == (1000, 11_000, 1000)
    assert row["median"] == 1499.5
    # p99.9 lies at rank 998.001, a thousandth of the way from 1998 to 11000
    assert row["p99_9"] == pytest.approx(1998 + 0.001 * 9002)
    assert row["tail_share_of_range"] == pytest.approx((11_000 - 2007.002) / 10_000)
    assert (row["above_reflectance_1"], row["at_65535"]) == (1, 0)


def test_reflectance_above_1_starts_1000_higher_where_the_offset_is_included():
    assert long_tail(one_band([100, 11_000, 11_001, 65535], offset=1000)).loc["B02", "above_reflectance_1"] == 2
    assert long_tail(one_band([100, 10_000, 10_001, 65535], offset=0)).loc["B02", "above_reflectance_1"] == 2
    assert long_tail(one_band([100, 65535])).loc["B02", "at_65535"] == 1


def test_skewness_is_that_of_scipy():
    dn = RNG.gamma(1, 300, 5000).astype(np.uint16) + 1
    assert long_tail(one_band(dn)).loc["B02", "skewness"] == pytest.approx(stats.skew(dn.astype(float)))


def test_losses_by_hand():
    # p10 = 20 and p90 = 100 of eleven pixels 10, 20, ..., 110: one pixel below and one above
    histogram = one_band(range(10, 111, 10))
    bounded = losses(fit_normalization(Linear(10, 90, bounded=True), histogram), histogram).loc["B02"]
    unbounded = losses(fit_normalization(Linear(10, 90), histogram), histogram).loc["B02"]
    # bounded, 10 joins 20 at zero and 110 joins 100 at one
    assert (bounded["clipped_share"], bounded["outside_share"]) == (pytest.approx(2 / 11), 0)
    assert (unbounded["clipped_share"], unbounded["outside_share"]) == (0, pytest.approx(2 / 11))
    assert (bounded["levels"], bounded["levels_kept"], unbounded["levels_kept"]) == (11, 9, 11)
    assert unbounded["entropy_bits"] == pytest.approx(np.log2(11))
    # on a screen the two ends hold two pixels each in both
    shown = -(2 * 2 / 11 * np.log2(2 / 11) + 7 * 1 / 11 * np.log2(1 / 11))
    assert bounded["display_entropy_bits"] == unbounded["display_entropy_bits"] == pytest.approx(shown)


def test_separability_is_cohens_d_and_blind_to_linear_maps():
    inside = RNG.normal(3000, 400, (5, 500)).clip(1).astype(np.uint16)  # five blocks
    outside = RNG.normal(2000, 300, (5, 300)).clip(1).astype(np.uint16)
    pooled = one_band([*inside.ravel(), *outside.ravel()])
    methods = {name: fit_normalization(name, pooled) for name in ("min-max", "p1-p99", "equalization")}

    def counts(blocks):
        return np.array([[np.bincount(block, minlength=5000)] for block in blocks])

    table = separability(methods, counts(inside), counts(outside), n_resamples=100).set_index("normalization")
    a, b = inside.ravel().astype(float), outside.ravel().astype(float)
    pooled_std = np.sqrt(((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / (a.size + b.size - 2))
    assert table.loc["min-max", "d"] == pytest.approx((a.mean() - b.mean()) / pooled_std, rel=1e-6)
    assert table.loc["p1-p99", "d"] == pytest.approx(table.loc["min-max", "d"], rel=1e-5)
    assert abs(table.loc["equalization", "gain"]) > 0.01
    assert table.loc["min-max", "d_low"] < table.loc["min-max", "d"] < table.loc["min-max", "d_high"]


def test_resamples_without_one_of_the_classes_are_left_out():
    counts = np.zeros((2, 12, 1, 5000), int)
    counts[0, 0, 0, 2900:3100] = counts[1, :, 0, 1900:2100] = 1  # one of twelve blocks has the class
    pooled = one_band([*range(1900, 2100), *range(2900, 3100)])
    table = separability({"p1-p99": fit_normalization("p1-p99", pooled)}, *counts, n_resamples=50)
    assert np.isfinite(table[["d_low", "d_high"]].to_numpy()).all()


def test_a_gain_is_counted_in_the_direction_of_the_reference():
    # darker inside: d is negative, and a normalization that makes it more negative gains
    inside, outside = np.array([[1000, 1100, 1200, 1300]]), np.array([[1250, 1400, 1500, 9000]])
    counts = [np.array([[np.bincount(block, minlength=9001)] for block in blocks]) for blocks in (inside, outside)]
    pooled = one_band([*inside[0], *outside[0]])
    methods = {name: fit_normalization(name, pooled) for name in ("min-max", "equalization")}
    table = separability(methods, *counts, n_resamples=1).set_index("normalization")
    assert table.loc["equalization", "d"] < table.loc["min-max", "d"] < 0
    assert table.loc["equalization", "gain"] > 0


def test_all_labelled_pixels_take_part_whatever_their_block_holds():
    inside = np.array([[1, 0, 1, 1, -1, -1], [0, -1, 1, 1, -1, -1]])
    dn = np.arange(1, 49, dtype=np.uint16).reshape(4, 2, 6)
    yes, no = counts_by_block(dn, inside, block_pixels=2)
    assert yes.shape == no.shape == (2, 4, 49)  # the third block holds no labels
    assert yes.sum(axis=2)[:, 0].tolist() == [1, 4]
    assert no.sum(axis=2)[:, 0].tolist() == [2, 0]
    assert np.flatnonzero(no[0, 3]).tolist() == [38, 43]


def test_land_cover_of_typical_spectra():
    spectra = {  # reflectance in B05, B8A, B11, B12
        "surf": (0.27, 0.24, 0.06, 0.03),
        "water": (0.07, 0.03, 0.01, 0.005),
        "marsh": (0.06, 0.07, 0.06, 0.04),
        "trees": (0.07, 0.19, 0.09, 0.04),
        "green cropland": (0.11, 0.36, 0.20, 0.11),
        "bare cropland": (0.15, 0.22, 0.25, 0.17),
        "built-up or sand": (0.25, 0.30, 0.33, 0.30),
    }
    labels = classify_land_cover(np.array([*spectra.values(), (0, 0, 0, 0)]).T[:, None])[0]
    assert [LAND_COVER[label] for label in labels[:-1]] == list(spectra)
    assert labels[-1] == -1
    # a canopy is dim and moist: what has the red edge but is brighter at 0.86 or at 1.6 micrometres is a crop
    brighter = [(0.06, 0.20, 0.17, 0.1), (0.06, 0.30, 0.12, 0.1)]
    found = classify_land_cover(np.array(brighter).T[:, None])[0]
    assert [LAND_COVER[label] for label in found] == ["green cropland"] * 2
    assert classify_land_cover(np.array([0, 0, 0.3, 0.3])[:, None, None])[0, 0] >= 0  # a band alone is no gap


def test_the_bundled_scene_and_its_vegetation():
    dn, vegetated = read_sample("virginia"), read_vegetation("virginia")
    assert dn.shape == (4, *vegetated.shape)
    near_infrared, red = dn[3].astype(int), dn[2].astype(int)
    index = (near_infrared - red) / (near_infrared + red)
    assert np.median(index[vegetated == 1]) > 0.5
    assert np.median(index[vegetated == 0]) < 0.3
    water_too = read_vegetation("virginia", water=True)
    np.testing.assert_array_equal(water_too == 1, vegetated == 1)
    assert np.median(index[(water_too == 0) & (vegetated == -1)]) < 0


def test_the_studys_cases_speak_of_every_band_and_method():
    assert [row["band"] for row in describe_tail("virginia")] == ["B02", "B03", "B04", "B08"]
    rows = compare_separability("virginia", against="land", n_resamples=10)
    assert len(rows) == (8 + 4) * 4
    assert rows[0]["n_vegetated"] > rows[0]["n_other"] > 0


def test_a_quick_run_archives_and_resumes(tmp_path):
    first = run("quick", tmp_path)
    again = run("quick", tmp_path)
    assert (tmp_path / "long_tail" / "manifest.json").exists()
    assert first["long_tail"].equals(again["long_tail"])
    assert set(first) == {"long_tail", "separability", "europe", "fields"}
