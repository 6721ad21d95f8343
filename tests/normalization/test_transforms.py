import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from millpond.normalization import (
    NORMALIZATIONS,
    RIVALS,
    BandHistogram,
    DriftWarning,
    DynamicWorld,
    Equalization,
    Linear,
    Normalization,
    NormalizationError,
    fit_normalization,
)

BOUNDED = [name for name in NORMALIZATIONS if name not in ("min-max", "p1-p99")]
dn_images = hnp.arrays(
    np.uint16, st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12)), elements=st.integers(1, 65535)
)


def fit(name, dn, **kwargs):
    histogram = BandHistogram.from_array(dn, ("B02",), offset=0)
    try:
        return fit_normalization(name, histogram, **kwargs)
    except NormalizationError:
        assume(False)


@pytest.mark.parametrize("name", NORMALIZATIONS)
@given(dn=dn_images)
def test_every_normalization_is_increasing(name, dn):
    assert (np.diff(fit(name, dn).table) >= 0).all()


@pytest.mark.parametrize("name", BOUNDED)
@given(dn=dn_images)
def test_bounded_normalizations_stay_in_0_to_1_for_any_digital_number(name, dn):
    table = fit(name, dn).table
    assert table.min() >= 0
    assert table.max() <= 1


@given(dn=dn_images)
def test_min_max_fills_0_to_1_on_what_it_was_fitted_on(dn):
    normalized = fit("min-max", dn).transform(dn)
    assert normalized.min() == 0
    assert normalized.max() == 1


@given(dn=dn_images)
def test_unbounded_p1_p99_leaves_at_most_one_percent_outside_at_each_end(dn):
    normalized = fit("p1-p99", dn).transform(dn)
    one_percent = 0.01 * (dn.size - 1) + 1  # the percentile lies between two pixels, so up to one more may lie outside
    assert (normalized < 0).sum() <= one_percent
    assert (normalized > 1).sum() <= one_percent


@given(dn=dn_images)
def test_equalization_is_uniform_to_within_half_the_largest_mass_of_a_digital_number(dn):
    normalized = np.sort(fit("equalization", dn).transform(dn).ravel())
    largest_mass = np.unique(dn, return_counts=True)[1].max() / dn.size
    at_or_below = np.searchsorted(normalized, normalized, side="right") / dn.size
    below = np.searchsorted(normalized, normalized, side="left") / dn.size
    assert np.abs(at_or_below - normalized).max() <= largest_mass / 2 + 1e-6
    assert np.abs(below - normalized).max() <= largest_mass / 2 + 1e-6


def test_linear_follows_the_studys_equation():
    # 101 digital numbers 100, 110, ..., 1100: p1 = 110 and p99 = 1090
    dn = np.arange(100, 1101, 10, dtype=np.uint16).reshape(1, 1, -1)
    histogram = BandHistogram.from_array(dn, ("B02",))
    fitted = fit_normalization("p1-p99", histogram)
    assert fitted.parameters == {"B02": {"c": 110.0, "d": 1090.0}}
    np.testing.assert_allclose(fitted.table[0, [110, 600, 1090, 2070]], [0, 0.5, 1, 2])
    to_minus_one = fit_normalization(Linear(0, 100, a=-1, b=1), histogram)
    np.testing.assert_allclose(to_minus_one.table[0, [100, 600, 1100]], [-1, 0, 1])


def test_dynamic_world_maps_its_percentiles_to_fixed_points_of_the_sigmoid():
    # 11 pixels, so that the percentiles 30 and 70 are the pixels 3 and 7
    dn = np.array([1, 10, 100, 200, 300, 400, 500, 1800, 2000, 3000, 9000], np.uint16).reshape(1, 1, -1)
    histogram = BandHistogram.from_array(dn, ("B02",))
    sigmoid_of_minus_1, sigmoid_of_4 = 1 / (1 + np.e), 1 / (1 + np.e**-4)
    for method in ("dynamic-world-log-30-70-difference", DynamicWorld(30, 70, log=False, divisor="difference")):
        table = fit_normalization(method, histogram).table[0]
        np.testing.assert_allclose(table[[200, 1800]], [sigmoid_of_minus_1, sigmoid_of_4], rtol=1e-6)
    # log(0.005 * 200 + 1) = log 2 and log(0.005 * 1800 + 1) = log 10; halfway between them is sigmoid(1.5) at sqrt(20)
    halfway = (20**0.5 - 1) / 0.005
    log_table = fit_normalization("dynamic-world-log-30-70-difference", histogram).table[0]
    assert log_table[int(halfway)] == pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-3)


def test_dividing_by_the_upper_percentile_gives_the_published_runners_numbers():
    dn = np.array([1, 10, 100, 200, 300, 400, 500, 1800, 2000, 3000, 9000], np.uint16).reshape(1, 1, -1)
    table = fit_normalization("dynamic-world-log-30-70", BandHistogram.from_array(dn, ("B02",))).table[0]
    squashed = np.exp((np.log(1800 * 0.005 + 1) - np.log(2)) / np.log(10) * 5 - 1)
    assert table[1800] == pytest.approx(squashed / (squashed + 1), rel=1e-6)
    with pytest.raises(NormalizationError, match=r"divisor 'mean' found, 'upper' or 'difference' expected"):
        DynamicWorld(divisor="mean")


def test_what_others_use_has_its_ends_where_they_say():
    # 100 and 300 in equal parts: mean 200, standard deviation 100
    histogram = BandHistogram.from_array(np.array([[[100, 300]]], np.uint16), ("B02",))
    ends = {"z-score": [0, 1, -2, 3], "mean-2-std": [0.5, 0.75, 0, 1], "divisor-3000": [1 / 15, 0.1, 0, 1 / 6]}
    assert set(ends) == set(RIVALS)
    for name, expected in ends.items():
        np.testing.assert_allclose(fit_normalization(name, histogram).table[0, [200, 300, 0, 500]], expected, rtol=1e-6)


def test_a_range_that_begins_below_zero_is_read_back(tmp_path):
    histogram = BandHistogram.from_array(np.array([[[1, 1, 1, 900]]], np.uint16), ("B02",))
    fitted = fit_normalization("mean-2-std", histogram)
    assert fitted.parameters["B02"]["c"] < 0
    fitted.save(tmp_path / "n.json")
    loaded = Normalization.load(tmp_path / "n.json")
    assert (loaded.name, loaded.method) == ("mean-2-std", RIVALS["mean-2-std"])
    np.testing.assert_array_equal(loaded.table, fitted.table)


def test_equalization_is_scipys_mid_rank_of_each_pixel():
    dn = np.random.default_rng(0).gamma(2, 300, (1, 200, 200)).astype(np.uint16) + np.uint16(1)
    fitted = fit_normalization("equalization", BandHistogram.from_array(dn, ("B02",)))
    expected = (stats.rankdata(dn) - 0.5) / dn.size
    np.testing.assert_allclose(fitted.transform(dn).ravel(), expected, atol=1e-7)
    np.testing.assert_array_equal(fitted.table[0, [dn.min() - 1, dn.max() + 1]], [0, 1])


@pytest.mark.parametrize("brightest", [901, 902, 903, 990, 50_000])
def test_one_bright_pixel_does_not_move_a_frequent_value(brightest):
    # 10 pixels are darker, 40 equal, 49 brighter, and the brightest: (10 + 40 / 2) / 100
    dn = np.array([100] * 10 + [800] * 40 + [900] * 49 + [brightest], np.uint16).reshape(1, 1, -1)
    assert fit("equalization", dn).table[0, 800] == pytest.approx(0.3)


@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("values", [[1200], [1200] * 6])
def test_a_single_pixel_or_a_constant_band_is_refused(name, values):
    histogram = BandHistogram.from_array(np.array([[values]], np.uint16), ("B02",))
    with pytest.raises(NormalizationError, match=r"B02: both ends of the range fall on one value .* leave it out"):
        fit_normalization(name, histogram)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_band_of_no_data_is_refused(name):
    histogram = BandHistogram.from_array(np.zeros((1, 3, 3), np.uint16), ("B02",))
    with pytest.raises(NormalizationError, match=r"no valid pixel found in B02"):
        fit_normalization(name, histogram)


def test_an_unknown_name_is_refused_with_those_there_are():
    histogram = BandHistogram.from_array(np.ones((1, 1, 1), np.uint16), ("B02",))
    with pytest.raises(NormalizationError, match=r"'softmax' found, one of min-max, p1-p99, .* expected"):
        fit_normalization("softmax", histogram)


RNG = np.random.default_rng(1)
IMAGE = RNG.gamma(2, 400, (4, 30, 20)).astype(np.uint16) + np.uint16(1)
HISTOGRAM = BandHistogram.from_array(IMAGE, offset=0)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_arrays_batches_and_torch_agree_to_the_last_bit(name):
    fitted = fit_normalization(name, HISTOGRAM)
    normalized = fitted.transform(IMAGE)
    assert normalized.dtype == np.float32
    assert normalized.shape == IMAGE.shape
    batch = np.stack([IMAGE, IMAGE[:, ::-1]])
    np.testing.assert_array_equal(fitted.transform(batch)[1], normalized[:, ::-1])
    module = fitted.to_module()
    np.testing.assert_array_equal(module(torch.from_numpy(IMAGE)).numpy(), normalized)
    np.testing.assert_array_equal(module(torch.from_numpy(batch.astype(np.int32))).numpy(), fitted.transform(batch))
    assert "table" in module.state_dict()


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32])
def test_the_layer_is_exported_and_compiled_with_the_weights(dtype):
    fitted = fit_normalization("p1-p99", HISTOGRAM)
    module, dn = fitted.to_module(), torch.from_numpy(IMAGE.astype(np.int32)).to(dtype)
    exported = torch.export.export(module, (dn,)).module()
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    for layer in (exported, compiled):
        np.testing.assert_array_equal(layer(dn).numpy(), fitted.transform(IMAGE))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_saving_and_loading_gives_the_same_bits(name, tmp_path):
    fitted = fit_normalization(name, HISTOGRAM, source="a test image")
    fitted.save(tmp_path / "n.json")
    loaded = Normalization.load(tmp_path / "n.json")
    assert loaded == fitted
    assert loaded.source == "a test image"
    np.testing.assert_array_equal(loaded.table, fitted.table)
    assert [path.name for path in tmp_path.iterdir()] == ["n.json"]


def test_a_file_that_is_no_saved_normalization_is_refused(tmp_path):
    path = tmp_path / "n.json"
    with pytest.raises(NormalizationError, match=r"n.json: No such file or directory, a saved normalization expected"):
        Normalization.load(path)
    path.write_text("min-max")
    with pytest.raises(NormalizationError, match=r"n.json: no JSON found"):
        Normalization.load(path)
    path.write_text("{}")
    with pytest.raises(NormalizationError, match=r"n.json: JSON of another format found"):
        Normalization.load(path)
    fit_normalization("p1-p99", HISTOGRAM).save(path)


def test_bands_must_be_those_fitted():
    fitted = fit_normalization("p1-p99", HISTOGRAM)
    with pytest.raises(
        NormalizationError, match=r"shape \(3, 30, 20\) found, \(\.\.\., 4, rows, cols\) expected: bands B02"
    ):
        fitted.transform(IMAGE[:3])


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_imagery_of_another_offset_gives_the_same_values(name):
    fitted = fit_normalization(name, HISTOGRAM)
    np.testing.assert_array_equal(
        fitted.transform(IMAGE + np.uint16(1000), offset=1000), fitted.transform(IMAGE, offset=0)
    )
    saturated = np.full((4, 1, 1), 65_535, np.uint16)
    np.testing.assert_array_equal(fitted.transform(saturated, offset=1000), fitted.transform(saturated))
    without = fit_normalization(name, BandHistogram.from_array(IMAGE))
    with pytest.raises(NormalizationError, match=r"offset 1000 found, but .* unknown"):
        without.transform(IMAGE, offset=1000)


def test_drift_is_silent_about_the_same_imagery():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drift = fit_normalization("p1-p99", HISTOGRAM).drift(HISTOGRAM)
    assert (drift["shift"] == 0).all()
    assert (drift[["share_below_p1", "share_above_p99"]] <= 0.011).all(axis=None)
    assert not drift["drifted"].any()


def test_drift_measures_a_shift_in_units_of_the_fitted_range():
    fitted = fit_normalization("min-max", HISTOGRAM.select(["B02"]))
    p1, p99 = HISTOGRAM.percentile([1, 99])[:, 0]
    shifted = BandHistogram.from_array(IMAGE[:1] + np.uint16(500), ("B02",), offset=0)
    with pytest.warns(
        DriftWarning, match=r"B02: the percentiles have moved by .* Fit the normalization on imagery like"
    ):
        drift = fitted.drift(shifted)
    assert drift.loc["B02", "shift"] == pytest.approx(500 / (p99 - p1))
    assert drift.loc["B02", "median_change"] == pytest.approx(500 / (p99 - p1))
    assert drift.loc["B02", "drifted"]


def test_drift_refuses_another_offset_and_missing_bands():
    fitted = fit_normalization("min-max", HISTOGRAM)
    with pytest.raises(NormalizationError, match=r"offset 1,000 found, 0 as fitted expected"):
        fitted.drift(BandHistogram.from_array(IMAGE, offset=1000))
    with pytest.raises(NormalizationError, match=r"B03, B04, B08 missing"):
        fitted.drift(HISTOGRAM.select(["B02"]))


def test_methods_of_ones_own_are_described():
    assert fit_normalization(Linear(2, 98), HISTOGRAM).name == "Linear(lower=2, upper=98, bounded=False, a=0.0, b=1.0)"
    assert fit_normalization(Equalization(), HISTOGRAM).name == "equalization"


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content["parameters"].pop("B03"),
        lambda content: content["parameters"]["B02"].update(c=float("nan")),
        lambda content: content["parameters"]["B02"].update(c=content["parameters"]["B02"]["d"]),
        lambda content: content["parameters"]["B02"].update(d=1e13),
        lambda content: content["method"].update(lower="x"),
        lambda content: content["method"].update(lower=99, upper=1),
        lambda content: content.update(offset="zero"),
        lambda content: content.update(offset=-1),
        lambda content: content.update(n_pixels=[1]),
        lambda content: content.update(bands=["B02", "B02", "B04", "B08"]),
        lambda content: content.update(percentiles={}),
        lambda content: content["percentiles"].update(B04=[1, 2, 3]),
        lambda content: content.update(percentiles=[]),
        lambda content: content.update(percentiles=None),
        lambda content: content.update(parameters=[]),
    ],
)
def test_an_edited_file_is_refused(edit, tmp_path):
    path = tmp_path / "n.json"
    fit_normalization("p1-p99", HISTOGRAM).save(path)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(NormalizationError, match=r"n\.json: an incomplete or edited normalization found"):
        Normalization.load(path)


def test_nothing_is_written_where_nothing_can_be(tmp_path):
    fitted = fit_normalization("p1-p99", HISTOGRAM)
    with pytest.raises(NormalizationError, match=r"no folder .*nowhere found, an existing one expected"):
        fitted.save(tmp_path / "nowhere" / "n.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NormalizationError, match="a folder or device found, a file to write expected"):
        fitted.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(98, 2), "percentiles 98 and 2 found, a lower one below an upper one"),
        (lambda: Linear(-1, 99), "percentiles -1 and 99 found"),
        (lambda: Linear(a=1, b=0), "a range from 1 to 0 found, a below b expected"),
        (lambda: DynamicWorld(70, 30), "percentiles 70 and 30 found"),
    ],
)
def test_impossible_parameters_are_refused_at_once(make, message):
    with pytest.raises(NormalizationError, match=message):
        make()


@pytest.mark.parametrize(
    ("dn", "message"),
    [
        (torch.zeros(1, 4, 4, dtype=torch.int32), r"shape \(1, 4, 4\) .* integers of shape \(\.\.\., 4, rows, cols\)"),
        (torch.rand(4, 2, 2), r"type torch\.float32 found, integers"),
        (torch.full((4, 2, 2), -3), "values from -3 to -3 found"),
        (torch.full((4, 2, 2), 65536), "values from 65536 to 65536 found"),
    ],
)
def test_the_module_refuses_what_is_no_digital_number(dn, message):
    with pytest.raises(NormalizationError, match=message):
        fit_normalization("p1-p99", HISTOGRAM).to_module()(dn)


def test_an_empty_image_stays_empty():
    assert fit_normalization("p1-p99", HISTOGRAM).transform(np.zeros((2, 4, 0, 3), np.uint16)).shape == (2, 4, 0, 3)


def test_masked_digital_numbers_stay_masked():
    dn = np.ma.masked_greater(np.array([[[10, 20], [30, 60_000]]], np.uint16), 50_000)
    fitted = fit_normalization("min-max", BandHistogram.from_array(dn, ("B02",), nodata=None))
    for values in (dn, np.ma.masked_greater(dn.data.astype(np.int32), 50_000)):
        normalized = fitted.transform(values)
        assert normalized.tolist() == [[[0.0, 0.5], [1.0, None]]]
        assert np.isnan(normalized.data[0, 1, 1])
    assert not isinstance(fitted.transform(dn.data), np.ma.MaskedArray)


@pytest.mark.parametrize("offset", [-1000, 70_000, "1000"])
def test_an_offset_of_esas_sign_is_refused(offset):
    fitted = fit_normalization("min-max", BandHistogram.from_array(np.array([[[1, 9]]], np.uint16), ("B02",), offset=0))
    with pytest.raises(NormalizationError, match=r"radiometric offset .* found, .* leave out the sign"):
        fitted.transform(np.ones((1, 1, 1), np.uint16), offset=offset)


def test_bands_of_several_dates_need_different_names():
    dn = np.array([[[1, 9]], [[1001, 1009]]], np.uint16)
    with pytest.raises(NormalizationError, match=r"bands B02, B02 found, different names .* B02-1 and B02-2"):
        BandHistogram.from_array(dn, ("B02", "B2"))
    fitted = fit_normalization("min-max", BandHistogram.from_array(dn, ("B02-1", "B02-2")))
    assert fitted.transform(dn).tolist() == [[[0, 1]], [[0, 1]]]


def test_the_no_data_value_is_saved_and_older_files_mean_0(tmp_path):
    dn = np.array([[[10, 20]]], np.uint16)
    for nodata in (0, 65_535, None):
        fitted = fit_normalization("min-max", BandHistogram.from_array(dn, ("B02",), nodata))
        fitted.save(tmp_path / "n.json")
        assert Normalization.load(tmp_path / "n.json").nodata == nodata
    content = json.loads((tmp_path / "n.json").read_text())
    del content["nodata"]
    (tmp_path / "n.json").write_text(json.dumps(content))
    assert Normalization.load(tmp_path / "n.json").nodata == 0
