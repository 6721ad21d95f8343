import operator
from functools import reduce

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from millpond.normalization import BandHistogram, NormalizationError, fit_normalization
from millpond.normalization.histogram import N_DN, offset_of_scene
from millpond.raster import RasterError, open_raster

BANDS = ("B02", "B03")


def images(smallest=1, largest=65535):
    shape = st.tuples(st.just(len(BANDS)), st.integers(1, 8), st.integers(1, 8))
    return hnp.arrays(np.uint16, shape, elements=st.integers(smallest, largest))


def write_scene(path, dn, descriptions=BANDS, tags=None):
    profile = {"driver": "GTiff", "dtype": dn.dtype, "count": len(dn), "height": dn.shape[1], "width": dn.shape[2]}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(dn)
        dataset.descriptions = descriptions
        dataset.update_tags(**(tags or {}))
    return path


@given(dn=images(), q=st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_percentiles_equal_numpys_to_the_last_bit(dn, q):
    histogram = BandHistogram.from_array(dn, BANDS)
    np.testing.assert_array_equal(histogram.percentile(q), np.percentile(dn.reshape(2, -1), q, axis=1))
    np.testing.assert_array_equal(histogram.percentile(q[0]), np.percentile(dn.reshape(2, -1), q[0], axis=1))


@given(dn=images(), q=st.floats(0, 100))
def test_percentiles_of_transformed_values_equal_numpys(dn, q):
    histogram = BandHistogram.from_array(dn, BANDS)
    np.testing.assert_array_equal(
        histogram.percentile(q, of=np.log), np.percentile(np.log(dn.astype(float)).reshape(2, -1), q, axis=1)
    )


@given(dn=images(0, 3))
def test_no_data_is_left_out_band_by_band(dn):
    histogram = BandHistogram.from_array(dn, BANDS, nodata=0)
    valid = [band[band != 0] for band in dn]
    assert histogram.n_pixels.tolist() == [len(band) for band in valid]
    if all(map(len, valid)):
        np.testing.assert_array_equal(histogram.percentile(37.5), [np.percentile(band, 37.5) for band in valid])


@given(dn=images())
def test_moments_are_those_of_numpy(dn):
    histogram = BandHistogram.from_array(dn, BANDS)
    flat = dn.reshape(2, -1).astype(float)
    np.testing.assert_allclose(histogram.mean, flat.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(histogram.std, flat.std(axis=1), rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(histogram.min, flat.min(axis=1))
    np.testing.assert_array_equal(histogram.max, flat.max(axis=1))


@given(parts=st.lists(images(), min_size=2, max_size=4), data=st.data())
def test_merging_in_any_order_gives_the_same_histogram(parts, data):
    histograms = [BandHistogram.from_array(dn, BANDS, offset=0) for dn in parts]
    shuffled = data.draw(st.permutations(histograms))
    forwards = histograms[0]
    for histogram in histograms[1:]:
        forwards = forwards + histogram
    backwards = shuffled[-1]
    for histogram in shuffled[-2::-1]:
        backwards = histogram + backwards
    np.testing.assert_array_equal(forwards.counts, backwards.counts)
    everything = np.concatenate([dn.reshape(2, -1) for dn in parts], axis=1)
    np.testing.assert_array_equal(forwards.percentile(30), np.percentile(everything, 30, axis=1))


def test_masked_pixels_are_left_out_in_every_band():
    dn = np.array([[[1, 2, 3]], [[4, 5, 6]]], np.uint16)
    histogram = BandHistogram.from_array(dn, BANDS, mask=[[False, True, False]])
    assert histogram.n_pixels.tolist() == [2, 2]
    assert histogram.mean.tolist() == [2, 5]


def test_groups_are_counted_in_one_pass():
    dn = np.array([[[1, 2, 3, 9]], [[4, 5, 0, 9]]], np.uint16)
    groups = BandHistogram.grouped_from_array(
        dn, np.array([[7, 2, 7, -1]]), BANDS, mask=[[False, False, False, False]], offset=0
    )
    assert list(groups) == [2, 7]
    assert groups[7].mean.tolist() == [2, 4]
    assert groups[7].n_pixels.tolist() == [2, 1]
    assert groups[2].offset == 0


def test_other_integer_types_are_taken_if_they_fit():
    dn = np.array([[[1, 300]], [[2, 4]]])
    assert BandHistogram.from_array(dn.astype(np.int16), BANDS).max.tolist() == [300, 4]
    with pytest.raises(
        NormalizationError, match=r"values from -5 to 300 found, digital numbers in 0\.\.65535 expected"
    ):
        BandHistogram.from_array(np.where(dn == 1, -5, dn), BANDS)
    with pytest.raises(NormalizationError, match=r"type float64 found, .* Multiply reflectances by 10,000"):
        BandHistogram.from_array(dn / 10_000, BANDS)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(NormalizationError, match=r"shape \(3, 2, 2\) found, \(n_bands, rows, cols\) with 2 bands"):
        BandHistogram.from_array(np.ones((3, 2, 2), np.uint16), BANDS)
    with pytest.raises(NormalizationError, match=r"shape \(2, 3\) found, \(2, 2\) as of the image expected"):
        BandHistogram.from_array(np.ones((2, 2, 2), np.uint16), BANDS, mask=np.zeros((2, 3), bool))
    with pytest.raises(NormalizationError, match="groups of type float64 found, integers expected"):
        BandHistogram.grouped_from_array(np.ones((2, 1, 1), np.uint16), np.array([[0.5]]), BANDS)


def test_a_band_without_valid_pixels_has_no_statistics():
    histogram = BandHistogram.from_array(np.array([[[1]], [[0]]], np.uint16), BANDS)
    for statistic in ("mean", "std", "min", "max"):
        with pytest.raises(NormalizationError, match="no valid pixel found in B03, at least one expected"):
            getattr(histogram, statistic)
    with pytest.raises(NormalizationError, match="no valid pixel found in B03"):
        histogram.percentile(50)


def test_a_percentile_outside_0_to_100_is_refused():
    histogram = BandHistogram.from_array(np.ones((2, 1, 1), np.uint16), BANDS)
    with pytest.raises(NormalizationError, match="percentile 101 found, a number from 0 to 100 expected"):
        histogram.percentile(101)


def test_offsets_do_not_mix_silently():
    dn = np.full((2, 1, 1), 1500, np.uint16)
    before, since, unknown = (BandHistogram.from_array(dn, BANDS, offset=offset) for offset in (0, 1000, None))
    with pytest.raises(NormalizationError, match=r"offsets 0 and 1,000 found, .* Harmonize them"):
        before + since
    with pytest.raises(NormalizationError, match=r"offsets 0 and unknown found"):
        before + unknown
    assert (before + since.harmonized()).mean.tolist() == [1000, 1000]
    with pytest.raises(NormalizationError, match=r"unknown radiometric offset found, .* State it when counting"):
        unknown.harmonized()


@given(dn=images())
def test_harmonizing_shifts_by_1000_and_clips_negative_reflectance(dn):
    harmonized = BandHistogram.from_array(dn, BANDS, offset=1000).harmonized()
    shifted = np.where(dn == 65_535, dn, np.clip(dn.astype(int) - 1000, 0, None))
    np.testing.assert_array_equal(harmonized.counts, BandHistogram.from_array(shifted, BANDS, nodata=None).counts)
    assert harmonized.offset == 0


def test_bands_must_agree():
    a, b = (BandHistogram.from_array(np.ones((1, 1, 1), np.uint16), (band,)) for band in BANDS)
    with pytest.raises(NormalizationError, match="bands B02 and B03 found, the same bands in the same order expected"):
        a + b
    with pytest.raises(NormalizationError, match="bands B02 found, B08 missing"):
        a.select(("B08",))


RNG = np.random.default_rng(0)
SCENES = [RNG.integers(0, 5000, (2, 40, 30)).astype(np.uint16) for _ in range(3)]


@pytest.fixture
def scenes(tmp_path):
    return [write_scene(tmp_path / f"scene{i}.tif", dn) for i, dn in enumerate(SCENES)]


def test_rasters_are_counted_like_arrays(scenes):
    histogram = BandHistogram.from_rasters(scenes, BANDS, offset=0)
    stacked = np.concatenate([dn.reshape(2, 1, -1) for dn in SCENES], axis=2)
    np.testing.assert_array_equal(histogram.counts, BandHistogram.from_array(stacked, BANDS).counts)
    assert histogram.sources == ("scene0.tif", "scene1.tif", "scene2.tif")
    assert histogram.offset == 0


def test_of_many_files_a_few_names_are_kept_and_all_are_counted():
    parts = [BandHistogram(np.ones((1, N_DN), np.int64), ("B02",), 0, (f"{i}.tif",)) for i in range(8)]
    total = reduce(operator.add, parts)
    assert (total.sources, total.n_sources) == (("0.tif", "1.tif", "2.tif", "3.tif", "4.tif"), 8)
    assert fit_normalization("p1-p99", total).source == "0.tif, 1.tif, 2.tif, 3.tif, 4.tif and 3 more"


def test_several_scenes_of_unknown_offset_warn(scenes):
    with pytest.warns(UserWarning, match=r"offset of 3 scenes is unknown; .* State it: offset=0 or offset=1000"):
        BandHistogram.from_rasters(scenes, BANDS)
    BandHistogram.from_rasters(scenes[:1], BANDS)


def test_one_file_a_band_is_one_scene(tmp_path):
    paths = [write_scene(tmp_path / f"scene_{band}.tif", SCENES[0][i : i + 1], (band,)) for i, band in enumerate(BANDS)]
    expected = BandHistogram.from_array(SCENES[0], BANDS).counts
    for source in (paths, [paths], dict(zip(BANDS, paths, strict=True))):
        np.testing.assert_array_equal(BandHistogram.from_rasters(source, BANDS).counts, expected)


def test_masks_come_from_rasters(scenes, tmp_path):
    mask = RNG.integers(0, 2, (1, 40, 30)).astype(np.uint8)
    path = write_scene(tmp_path / "mask.tif", mask, ("mask",))
    histogram = BandHistogram.from_rasters(scenes[:1], BANDS, masks=[path])
    np.testing.assert_array_equal(
        histogram.counts, BandHistogram.from_array(SCENES[0], BANDS, mask=mask[0] != 0).counts
    )
    with pytest.raises(NormalizationError, match="1 masks for 3 scenes found, one a scene expected"):
        BandHistogram.from_rasters(scenes, BANDS, masks=[path])


def test_the_offset_comes_from_the_metadata_and_is_harmonized_on_request(tmp_path):
    old = write_scene(tmp_path / "old.tif", SCENES[0], tags={"PROCESSING_BASELINE": "02.04"})
    new = write_scene(tmp_path / "new.tif", SCENES[0] + np.uint16(1000), tags={"PROCESSING_BASELINE": "05.11"})
    with pytest.raises(NormalizationError, match=r"0 \(old.tif\) and 1,000 \(new.tif\) found"):
        BandHistogram.from_rasters([old, new], BANDS)
    pooled = BandHistogram.from_rasters([old, new], BANDS, nodata=None, harmonize=True)
    np.testing.assert_array_equal(pooled.counts, 2 * BandHistogram.from_array(SCENES[0], BANDS, nodata=None).counts)


@pytest.mark.parametrize("processes", [False, True])
def test_a_cluster_counts_the_same(scenes, processes):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=processes, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        ours = BandHistogram.from_rasters(scenes, BANDS, client=client, offset=0)
    serial = BandHistogram.from_rasters(scenes, BANDS, offset=0)
    np.testing.assert_array_equal(ours.counts, serial.counts)
    assert ours.sources == serial.sources


def test_masks_must_lie_on_the_scenes_grid(scenes, tmp_path):
    for values in (np.zeros((1, 40, 31), np.uint8), np.zeros((1, 41, 30), np.uint8)):
        path = write_scene(tmp_path / "beside.tif", values, ("beside",))
        with pytest.raises(RasterError, match=r"beside\.tif: size .* found, \(40, 30\) expected as in .*scene0\.tif"):
            BandHistogram.from_rasters(scenes[:1], BANDS, masks=[path])


def test_what_the_file_calls_no_data_is_left_out_too(tmp_path):
    dn = np.array([[[5, 9999], [7, 0]], [[1, 2], [3, 4]]], np.int16)
    path = write_scene(tmp_path / "scene.tif", dn)
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = 9999
    histogram = BandHistogram.from_rasters(path, BANDS)
    assert histogram.max.tolist() == [7, 4]
    assert histogram.n_pixels.tolist() == [2, 4]


def test_histograms_of_unlike_no_data_are_not_mixed():
    zero, none = (BandHistogram.from_array(np.ones((2, 1, 1), np.uint16), BANDS, nodata) for nodata in (0, None))
    assert none.nodata is None
    with pytest.raises(
        NormalizationError, match=r"without 0 and without None as no data found, one such value expected"
    ):
        zero + none


def test_a_scene_whose_offset_its_pixels_contradict_is_warned_of_once(tmp_path):
    dark = np.full((2, 5, 5), 300, np.uint16)
    paths = [write_scene(tmp_path / f"S2_2022060{day}.tif", dark) for day in (1, 2, 3)]
    with pytest.warns(UserWarning, match=r"S2_20220601\.tif: a radiometric .* Likewise 2 more of 3 scenes") as warned:
        histogram = BandHistogram.from_rasters(paths, BANDS)
    assert (histogram.offset, len(warned)) == (0, 1)


def test_a_normalization_meets_only_scenes_whose_offset_is_known_like_its_own(tmp_path):
    known = write_scene(tmp_path / "known.tif", np.full((2, 1, 1), 2000, np.uint16))
    with rasterio.open(known, "r+") as file:
        file.update_tags(PROCESSING_BASELINE="05.10")
    with open_raster(known) as known, open_raster(write_scene(tmp_path / "unknown.tif", SCENES[0])) as unknown:
        assert offset_of_scene(known, 0) == 1000
        assert offset_of_scene(known, 0, 0) == 0
        assert offset_of_scene(unknown, None) is None
        with pytest.raises(NormalizationError, match=r"unknown\.tif: radiometric offset unknown, .* --offset 1000"):
            offset_of_scene(unknown, 0)
        with pytest.raises(NormalizationError, match=r"known\.tif: radiometric offset 1,000 found, but .* unknown off"):
            offset_of_scene(known, None)
        with pytest.raises(NormalizationError, match=r"radiometric offset -1000 found, .* leave out the sign"):
            offset_of_scene(known, 0, -1000)


def test_bands_without_names_are_named_by_the_caller(tmp_path):
    path = write_scene(tmp_path / "scene.tif", SCENES[0], (None, None))
    histogram = BandHistogram.from_rasters(path, BANDS[1:], names=BANDS)
    np.testing.assert_array_equal(histogram.counts[0], BandHistogram.from_array(SCENES[0], BANDS).counts[1])


def test_a_scene_of_reflectances_is_named(tmp_path):
    path = write_scene(tmp_path / "reflectance.tif", (SCENES[0] / 10_000).astype("float32"))
    with pytest.raises(NormalizationError, match=r"reflectance\.tif: values of type float32 found"):
        BandHistogram.from_rasters(path, BANDS)


@pytest.mark.parametrize("nodata", [-1, 70_000, 0.5, float("nan")])
def test_an_impossible_no_data_value_is_refused(scenes, nodata):
    message = r"no-data value .* found, None or a digital number in 0\.\.65535 expected"
    with pytest.raises(NormalizationError, match=message):
        BandHistogram.from_rasters(scenes[0], BANDS, nodata)
    with pytest.raises(NormalizationError, match=message):
        BandHistogram.from_array(SCENES[0], BANDS, nodata)


def test_saturated_pixels_stay_saturated():
    dn = np.array([[[0, 500, 1500, 65_534, 65_535]]], np.uint16)
    counts = BandHistogram.from_array(dn, ("B02",), nodata=None, offset=1000).harmonized().counts[0]
    assert {int(at): int(counts[at]) for at in counts.nonzero()[0]} == {0: 2, 500: 1, 64_534: 1, 65_535: 1}


def test_masked_arrays_keep_their_mask():
    dn = np.ma.masked_greater(np.array([[[1, 300]], [[2, 4]]], np.uint16), 100)
    for nodata in (0, None):
        histogram = BandHistogram.from_array(dn, BANDS, nodata)
        assert histogram.max.tolist() == [1, 4]
        assert histogram.n_pixels.tolist() == [1, 2]
    by_group = BandHistogram.grouped_from_array(dn, np.array([[3, 3]]), BANDS)
    assert by_group[3].n_pixels.tolist() == [1, 2]
    negative = np.ma.masked_less(np.array([[[1, -9999]], [[2, 4]]], np.int16), 0)
    assert BandHistogram.from_array(negative, BANDS).n_pixels.tolist() == [1, 2]


@pytest.mark.parametrize("offset", [-1000, 70_000, "1000", 0.5])
def test_an_impossible_offset_is_refused(offset):
    with pytest.raises(NormalizationError, match=r"offset .* found, .* -1000: leave out the sign"):
        BandHistogram.from_array(np.ones((2, 1, 1), np.uint16), BANDS, offset=offset)
