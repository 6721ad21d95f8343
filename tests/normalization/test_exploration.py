import gc
import json
import math
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.cli import main
from millpond.normalization import BandHistogram, NormalizationError, exploration
from millpond.normalization.exploration import (
    PatchStatistics,
    _from_runs,
    _merged,
    _runs,
    patch_statistics,
    region_name,
)
from millpond.normalization.patches import patch_files
from millpond.raster import RasterError

BANDS = ("B02", "B03")
TREES, CROPS, WATER = 10, 40, 80


def write_patch(
    folder,
    name,
    dn,
    *,
    labels=None,
    mask=None,
    north=5_000_000,
    east=500_000,
    pixel=10,
    crs="EPSG:32633",
    bands=BANDS,
    **tags,
):
    """A patch of (bands, rows, cols), and the rasters beside it."""
    dn = np.asarray(dn, np.uint16)
    profile = {"driver": "GTiff", "height": dn.shape[1], "width": dn.shape[2], "crs": crs}
    profile |= {"transform": rasterio.Affine(pixel, 0, east, 0, -pixel, north)}
    path = Path(folder) / f"{name}.tif"
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", count=len(dn), dtype="uint16", **profile) as dataset:
        dataset.write(dn)
        dataset.descriptions = bands
        dataset.update_tags(**tags)
    for suffix, values in (("landcover", labels), ("mask", mask)):
        if values is not None:
            with rasterio.open(path.with_stem(f"{name}_{suffix}"), "w", count=1, dtype="uint8", **profile) as dataset:
                dataset.write(np.asarray(values, np.uint8), 1)
                dataset.descriptions = (suffix,)
    return path


def content(statistics, tmp_path, name="stats.json"):
    statistics.save(tmp_path / name)
    return json.loads((tmp_path / name).read_text())


@pytest.fixture
def two_places(tmp_path):
    """A place at 15 E 45.1 N in January and July, and one at 15 E 54.1 N in July, with offset 0."""
    folder = tmp_path / "patches"
    folder.mkdir()
    old = {"PROCESSING_BASELINE": "02.04"}
    south = {"labels": [[TREES, CROPS], [CROPS, 0]], **old}
    write_patch(folder, "south_20190115", [[[1, 2], [2, 3]], [[5, 5], [5, 5]]], **south)
    write_patch(folder, "south_20190715", [[[10, 20], [20, 0]], [[5, 6], [7, 8]]], mask=[[0, 0], [1, 0]], **south)
    write_patch(
        folder / "north",
        "a",
        [[[9, 9], [9, 9]]] * 2,
        north=6_000_000,
        ACQUIRED="2019-07-01T10:00",
        LAND_COVER="80",
        **old,
    )
    return folder


def test_groups_hold_the_pixels_they_should(two_places):
    statistics = patch_statistics(two_places, bands=BANDS)
    crops = statistics.histogram(landcover="cropland")
    assert crops.counts[0, [2, 20]].tolist() == [2, 1]  # the other 20 of July is masked
    assert crops.n_pixels.tolist() == [3, 3]
    assert crops.offset == 0
    assert statistics.histogram(landcover="water").mean.tolist() == [9, 9]
    assert statistics.histogram(month=1).mean.tolist() == [2, 5]
    assert statistics.histogram(region="N45E010", landcover="trees").counts[0, [1, 10]].tolist() == [1, 1]
    unlabelled = statistics.histogram(landcover="unlabelled")
    assert unlabelled.n_pixels.tolist() == [1, 2]  # the pixel without B02 in July counts in B03
    table = statistics.table("month")
    assert table.month.tolist() == [1, 7]
    assert table.n_patches.tolist() == [1, 2]
    assert table.n_pixels.tolist() == [4, 7]
    assert table.share.sum() == pytest.approx(1)


def test_places_and_the_mean_position_of_regions(two_places):
    write_patch(two_places, "other_20190715", [[[1, 1], [1, 1]]] * 2, north=5_050_000, PROCESSING_BASELINE="02.04")
    statistics = patch_statistics(two_places, bands=BANDS)
    assert statistics.n_patches == 4
    assert statistics.places.n_patches.tolist() == [2, 1, 1]
    assert statistics.places.region.tolist() == ["N45E010", "N45E010", "N50E010"]
    south = statistics.regions.loc["N45E010"]
    assert south.n_places == 2
    assert south.latitude_deg == pytest.approx((45.1531 + 45.6031) / 2, abs=1e-3)
    assert south.longitude_deg == pytest.approx(15.0, abs=1e-3)


def test_regions_are_named_after_their_south_west_corner():
    assert region_name(45.0, 19.999) == "N45E010"
    assert region_name(-0.5, -0.1) == "S05W010"
    assert region_name(52.6, 13.2, (2.5, 2.5)) == "N52.5E12.5"


def test_one_date_of_each_place_is_the_one_with_most_valid_pixels(two_places):
    statistics = patch_statistics(two_places, bands=BANDS, one_date_per_place=True)
    crops = statistics.histogram(landcover="cropland")
    assert crops.counts[0].nonzero()[0].tolist() == [2]  # January: July is partly masked
    assert statistics.histogram(landcover="cropland", region="N45E010").n_pixels.tolist() == [3, 3]
    assert statistics.histogram(month=7).n_pixels.tolist() == [6, 7]


def test_of_equally_valid_dates_the_earliest_is_taken(tmp_path):
    for day, value in (("20190801", 8), ("20190301", 3), ("20190501", 5)):
        write_patch(tmp_path, f"S2A_{day}T1", [[[value]]] * 2, LAND_COVER="heath")
    statistics = patch_statistics(tmp_path, by=["landcover"], bands=BANDS, one_date_per_place=True)
    assert statistics.histogram(landcover="heath").mean.tolist() == [3, 3]
    assert statistics.histogram().n_pixels.tolist() == [3, 3]


def test_saved_statistics_come_back_whole(two_places, tmp_path):
    statistics = patch_statistics(two_places, bands=BANDS)
    saved = content(statistics, tmp_path)
    loaded = PatchStatistics.load(tmp_path / "stats.json")
    assert content(loaded, tmp_path, "again.json") == saved
    assert loaded.places.equals(statistics.places)
    np.testing.assert_array_equal(loaded.histogram(month=7).counts, statistics.histogram(month=7).counts)
    assert (tmp_path / "stats.json").stat().st_size < 5000
    january = next(group for group in saved["groups"] if group["labels"] == [1])
    assert january["counts"] == {"B02": [-1, 1, 2, 1], "B03": [-5, 4]}


def test_files_that_are_no_statistics_are_refused(two_places, tmp_path):
    path = tmp_path / "stats.json"
    with pytest.raises(NormalizationError, match=r"stats\.json: No such file .*, saved statistics expected"):
        PatchStatistics.load(path)
    path.write_text("[")
    with pytest.raises(NormalizationError, match="no JSON found"):
        PatchStatistics.load(path)
    path.write_text("{}")
    with pytest.raises(
        NormalizationError, match="JSON of another format found, 'millpond patch statistics 1' expected"
    ):
        PatchStatistics.load(path)
    saved = content(patch_statistics(two_places, bands=BANDS), tmp_path)
    saved["groups"][0]["counts"]["B02"] = [-65536, 1]
    path.write_text(json.dumps(saved))
    with pytest.raises(NormalizationError, match=r"incomplete or edited statistics found .*digital number 65536"):
        PatchStatistics.load(path)


counts = st.dictionaries(st.integers(0, 3 * 65536 - 1), st.integers(1, 2**40), max_size=20)


def as_group(counted):
    dn = np.array(sorted(counted), np.int32)
    from millpond.normalization.exploration import Group

    return Group(dn, np.array([counted[int(key)] for key in dn], np.int64), 1)


@settings(deadline=None)
@given(counts)
def test_runs_are_exact(counted):
    group = as_group(counted)
    again = _from_runs(_runs(group, 3), 1)
    np.testing.assert_array_equal(again.dn, group.dn)
    np.testing.assert_array_equal(again.counts, group.counts)


@settings(deadline=None)
@given(st.lists(counts, min_size=1, max_size=4), st.data())
def test_merging_in_any_order_gives_the_same(parts, data):
    groups = [as_group(part) for part in parts]
    merged = _merged(data.draw(st.permutations(groups)))
    expected = {}
    for part in parts:
        for key, n in part.items():
            expected[key] = expected.get(key, 0) + n
    assert dict(zip(merged.dn.tolist(), merged.counts.tolist(), strict=True)) == expected
    assert merged.n_patches == len(parts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_grouping_adds_up_to_the_whole_whatever_the_names(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("patches")
    dn = rng.integers(0, 4, (5, 2, 3, 4))
    where = [(5_000_000 + 200_000 * rng.integers(4), f"EPSG:326{rng.integers(32, 35)}") for _ in dn]
    labels = rng.choice([0, TREES, CROPS, WATER], (5, 3, 4))
    masks = rng.integers(0, 2, (5, 3, 4))
    masks[:, 0, 0], dn[:, :, 0, 0] = 0, 1  # no patch is skipped
    months = rng.integers(1, 13, 5)
    by = ("landcover", "region", "month", "landcover:region", "month:region")
    everything = []
    for round_, order in enumerate((range(5), rng.permutation(5))):
        for name, i in enumerate(order):
            place = {"north": where[i][0], "crs": where[i][1], "labels": labels[i], "mask": masks[i]}
            write_patch(folder / str(round_), f"{name}", dn[i], ACQUIRED=f"2019-{months[i]:02}-{i + 1:02}", **place)
        everything.append(patch_statistics(folder / str(round_), by, BANDS, offset=0))
    first, second = everything
    whole = sum(BandHistogram.from_array(dn[i], BANDS, mask=masks[i], offset=0).counts for i in range(5))
    for grouping in by:
        np.testing.assert_array_equal(sum(h.counts for h in first.histograms(grouping).values()), whole)
    for (key, one), (other_key, two) in zip(first.groups.items(), second.groups.items(), strict=True):
        assert key == other_key
        np.testing.assert_array_equal(one.dn, two.dn)
        np.testing.assert_array_equal(one.counts, two.counts)
        assert one.n_patches == two.n_patches
    assert first.places.equals(second.places)


def test_dask_counts_the_same(two_places, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        ours = patch_statistics(two_places, bands=BANDS, client=client)
    assert content(ours, tmp_path) == content(patch_statistics(two_places, bands=BANDS), tmp_path)


def test_patches_that_do_not_fit_are_counted_and_named(two_places):
    two = [[[1, 1], [1, 1]]] * 2
    old = {"PROCESSING_BASELINE": "02.04"}
    write_patch(two_places, "cloud_20190101", two, mask=np.ones((2, 2)), east=1, **old)
    write_patch(two_places, "nothing_20190101", np.zeros((2, 2, 2)), east=2, **old)
    write_patch(two_places, "wide_20190101", [[[1, 1, 1]]] * 2, east=3, **old)
    write_patch(two_places, "coarse_20190101", two, pixel=20, east=4, **old)
    write_patch(two_places, "nowhere_20190101", two, crs=None, east=5, **old)
    write_patch(two_places, "undated", two, east=6, **old)
    statistics = patch_statistics(two_places, bands=BANDS)
    assert statistics.skipped == {
        "all cloud or snow": ["cloud_20190101.tif"],
        "no coordinate reference system": ["nowhere_20190101.tif"],
        "no data": ["nothing_20190101.tif"],
        "no date": ["undated.tif"],
        "pixel size not 10": ["coarse_20190101.tif"],
        "size not 2 x 2": ["wide_20190101.tif"],
    }
    assert statistics.n_patches == 3
    assert "no date" not in patch_statistics(two_places, ["region"], BANDS).skipped
    partly = patch_statistics(two_places, bands=BANDS, max_masked=0.2)
    assert partly.skipped["more than 20% masked"] == ["south_20190715.tif"]


def test_folders_without_a_patch_to_count_are_refused(tmp_path):
    with pytest.raises(NormalizationError, match="nowhere: no such folder found, a folder with patches expected"):
        patch_statistics(tmp_path / "nowhere")
    with pytest.raises(NormalizationError, match=r"no patch found, GeoTIFFs \(.tif\) with bands B02, B03, B04, B08"):
        patch_statistics(tmp_path)
    write_patch(tmp_path, "S2A_20190101", [[[1]]] * 2, mask=[[1]])
    with pytest.raises(NormalizationError, match=r"no patch to count found.* 1 skipped: all cloud or snow \(S2A_2019"):
        patch_statistics(tmp_path, bands=BANDS)


def test_unknown_codes_and_unreadable_tags_are_named(tmp_path):
    path = write_patch(tmp_path, "a_20190101", [[[1, 1, 1]]] * 2, labels=[[TREES, 11, 200]])
    with pytest.raises(
        NormalizationError, match=r"a_20190101_landcover\.tif: codes 11, 200 found, a code of ESA World"
    ):
        patch_statistics(tmp_path, bands=BANDS)
    path.with_stem("a_20190101_landcover").unlink()
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(LAND_COVER="11")
    with pytest.raises(NormalizationError, match=r"a_20190101\.tif: LAND_COVER=11 found, a code of ESA WorldCover"):
        patch_statistics(tmp_path, bands=BANDS)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(LAND_COVER="10", ACQUIRED="summer")
    with pytest.raises(RasterError, match=r"ACQUIRED=summer found, an ISO date such as 2019-07-11 expected"):
        patch_statistics(tmp_path, bands=BANDS)


def test_label_rasters_on_another_grid_are_refused(tmp_path):
    path = write_patch(tmp_path, "a_20190101", [[[1, 1]]] * 2)
    other = write_patch(tmp_path, "b_20190101", [[[1, 1]]], east=7, bands=("labels",))
    other.rename(path.with_stem("a_20190101_landcover"))
    with pytest.raises(RasterError, match=r"a_20190101_landcover\.tif: georeferencing"):
        patch_statistics(tmp_path, bands=BANDS)


def test_what_labels_themselves_call_no_data_is_unlabelled(tmp_path):
    path = write_patch(tmp_path, "a_20190101", [[[1, 2, 3]]] * 2, labels=[[TREES, 255, 0]])
    with rasterio.open(path.with_stem("a_20190101_landcover"), "r+") as dataset:
        dataset.nodata = 255
    table = patch_statistics(tmp_path, bands=BANDS).table("landcover").set_index("landcover")
    assert table["n_pixels"].to_dict() == {"trees": 1, "unlabelled": 2}


def test_a_patch_that_is_there_twice_counts_once(tmp_path):
    for folder in ("one", "two"):
        write_patch(tmp_path / folder, "a_20190101", [[[1, 2, 3]]] * 2)
    write_patch(tmp_path / "two", "a_20190106", [[[1, 2, 3]]] * 2)
    statistics = patch_statistics(tmp_path, bands=BANDS, offset=0)
    assert statistics.n_patches == 2
    assert statistics.skipped == {"place and day of an earlier patch": ["two/a_20190101.tif"]}


def test_a_patch_that_cannot_be_read_is_skipped_and_named(tmp_path):
    write_patch(tmp_path, "a_20190101", [[[1, 2, 3]]] * 2)
    (tmp_path / "b_20190101.tif").write_text("no raster")
    write_patch(tmp_path, "c_20190101", [[[1, 2, 3]]], bands=BANDS[:1])
    cut = write_patch(tmp_path, "d_20190106", np.ones((2, 200, 200), np.uint16))
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for name in ("d_20190201", "d_20190301"):  # most patches are as large as the one that is cut off
        write_patch(tmp_path, name, np.ones((2, 200, 200), np.uint16))
    statistics = patch_statistics(tmp_path, bands=BANDS, offset=0)
    assert statistics.n_patches == 2
    unread = ["b_20190101.tif", "c_20190101.tif", "d_20190106.tif"]
    assert statistics.skipped["not readable, or without one of the bands"] == unread


def test_if_no_patch_can_be_read_the_first_refusal_tells_why(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}_20190101.tif").write_text("no raster")
    with pytest.raises(RasterError, match=r"a_20190101\.tif: no raster found"):
        patch_statistics(tmp_path, bands=BANDS)


def test_links_to_folders_are_followed_and_hidden_files_passed_over(tmp_path):
    write_patch(tmp_path / "archive", "a_20190101", [[[1, 2, 3]]] * 2)
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "linked").symlink_to(tmp_path / "archive")
    (patches / "._a_20190101.tif").write_text("what macOS leaves")
    assert patch_files(patches) == [patches / "linked" / "a_20190101.tif"]


def test_a_file_is_no_folder(tmp_path):
    path = write_patch(tmp_path, "a_20190101", [[[1, 2, 3]]] * 2)
    with pytest.raises(NormalizationError, match=r"a_20190101\.tif: a file found, a folder with patches expected"):
        patch_statistics(path, bands=BANDS)


def test_label_rasters_of_another_zone_are_refused(tmp_path):
    path = write_patch(tmp_path, "a_20190101", [[[1, 1]]] * 2)
    other = write_patch(tmp_path, "b_20190101", [[[1, 1]]], crs="EPSG:32634", bands=("labels",))
    other.rename(path.with_stem("a_20190101_landcover"))
    with pytest.raises(RasterError, match=r"landcover\.tif: coordinate reference system EPSG:32634 found, EPSG:32633"):
        patch_statistics(tmp_path, bands=BANDS)


def test_a_patch_in_degrees_lies_where_its_middle_does_and_does_not_mix_with_metres(tmp_path):
    degrees = {"crs": "EPSG:4326", "pixel": 0.5}
    write_patch(tmp_path, "a_20190101", [[[1, 2], [3, 4]]] * 2, north=46, east=15, **degrees)
    (place,) = patch_statistics(tmp_path, bands=BANDS).places.itertuples()
    assert (place.latitude_deg, place.longitude_deg, place.region) == (45.5, 15.5, "N45E010")
    for name in "bc":
        write_patch(tmp_path, f"{name}_20190101", [[[1, 2], [3, 4]]] * 2, north=5_000_000 + ord(name) * 1000)
    write_patch(tmp_path, "d_20190101", [[[1, 2], [3, 4]]] * 2, north=47, east=15, **degrees)
    statistics = patch_statistics(tmp_path, bands=BANDS, offset=0)
    # two of each: the smaller pixels stay, and nothing between the two is expected
    assert statistics.skipped == {"pixel size not 0.5": ["b_20190101.tif", "c_20190101.tif"]}
    write_patch(tmp_path, "e_20190101", [[[1, 2], [3, 4]]] * 2, pixel=10.2)
    statistics = patch_statistics(tmp_path, bands=BANDS, offset=0)
    assert statistics.skipped == {"pixel size not 10": ["a_20190101.tif", "d_20190101.tif"]}
    assert statistics.n_patches == 3


def test_unlike_offsets_are_refused_or_harmonized(tmp_path):
    write_patch(tmp_path, "a_20190101", [[[5, 0, 0]]] * 2, PROCESSING_BASELINE="02.04")
    write_patch(tmp_path, "b_20230101", [[[1005, 900, 65535]]] * 2, PROCESSING_BASELINE="05.10", north=5_100_000)
    with pytest.raises(NormalizationError, match=r"offsets 0 \(a_20190101.tif\) and 1,000 \(b_20230101.tif\) found"):
        patch_statistics(tmp_path, bands=BANDS)
    statistics = patch_statistics(tmp_path, bands=BANDS, harmonize=True)
    assert statistics.offset == 0
    assert statistics.histogram().counts[0, [0, 5, 65_535]].tolist() == [1, 2, 1]  # saturated pixels stay so
    write_patch(tmp_path, "c_20190101", [[[5, 0, 0]]] * 2, north=5_200_000)
    with pytest.raises(NormalizationError, match=r"c_20190101\.tif: unknown radiometric offset found, a known one"):
        patch_statistics(tmp_path, bands=BANDS, harmonize=True)


def test_an_unknown_offset_of_several_patches_is_warned_of(tmp_path):
    write_patch(tmp_path, "a_20190101", [[[5]]] * 2)
    assert patch_statistics(tmp_path, bands=BANDS).offset is None
    write_patch(tmp_path, "b_20190101", [[[5]]] * 2, north=5_100_000)
    with pytest.warns(UserWarning, match="the radiometric offset of 2 patches is unknown"):
        patch_statistics(tmp_path, bands=BANDS)


def test_questions_that_were_not_counted_are_refused(two_places):
    with pytest.raises(NormalizationError, match="grouping 'season' found, landcover, region, month or several"):
        patch_statistics(two_places, ["season"], BANDS)
    with pytest.raises(NormalizationError, match="one or more different ones expected"):
        patch_statistics(two_places, ["landcover:region", "region:landcover"], BANDS)
    with pytest.raises(NormalizationError, match=r"region size \(0, 10\) found"):
        patch_statistics(two_places, bands=BANDS, region_size_deg=(0, 10))
    with pytest.raises(NormalizationError, match="largest masked share 2 found"):
        patch_statistics(two_places, bands=BANDS, max_masked=2)
    statistics = patch_statistics(two_places, ["month"], BANDS)
    with pytest.raises(NormalizationError, match="grouping 'region' found, one of month expected"):
        statistics.histograms("region")
    with pytest.raises(NormalizationError, match="group 3 found, one of 1, 7 expected"):
        statistics.histogram(month=3)


def test_the_command_counts_and_prints_a_table(two_places, tmp_path, capsys):
    arguments = ["normalize", "stats", str(two_places), "--bands", "B02,B03"]
    assert main([*arguments, "--out", str(tmp_path / "stats.json")]) == 0
    printed = capsys.readouterr().out
    assert "cropland" in printed
    assert "stats.json: 3 patches of 2 places" in printed
    loaded = PatchStatistics.load(tmp_path / "stats.json")
    assert loaded.by == ("landcover", "region", "month", "landcover:region")
    assert math.isclose(loaded.table("landcover").share.sum(), 1)
    assert main([*arguments, "--region-size", "5", "--out", str(tmp_path / "stats.json")]) == 2
    assert "region size 5 found, two numbers such as 5,10 expected" in capsys.readouterr().err
    assert main([*arguments, "--region-size", "wide,5", "--out", str(tmp_path / "stats.json")]) == 2
    assert "region size wide,5 found, two numbers such as 5,10 expected" in capsys.readouterr().err
    assert main(["normalize", "stats", str(tmp_path / "none"), "-o", str(tmp_path / "stats.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_tells_what_it_skipped_and_why(two_places, tmp_path, capsys):
    old = {"PROCESSING_BASELINE": "02.04"}
    for east, name in enumerate(("cloud_20190101", "cloud_20190201"), start=1):
        write_patch(two_places, name, [[[1, 1], [1, 1]]] * 2, mask=np.ones((2, 2)), east=east, **old)
    write_patch(two_places, "undated", [[[1, 1], [1, 1]]] * 2, east=3, **old)
    out = str(tmp_path / "stats.json")
    assert main(["normalize", "stats", str(two_places), "--bands", "B02,B03", "--out", out]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if " skipped: " in line]
    assert told == ["2 skipped: all cloud or snow (cloud_20190101.tif)", "1 skipped: no date (undated.tif)"]


def test_an_output_that_is_an_input_is_refused_before_anything_is_counted(two_places, tmp_path, monkeypatch, capsys):
    path = two_places / "south_20190715_mask.tif"
    content = path.read_bytes()
    statistics = patch_statistics(two_places, bands=BANDS)
    monkeypatch.setattr(exploration, "patch_statistics", None)
    arguments = ["normalize", "stats", str(two_places), "--bands", "B02,B03", "--out"]
    assert main([*arguments, str(path)]) == 2
    assert "south_20190715_mask.tif: an input or another output found" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "nowhere" / "stats.json")]) == 2
    assert "no folder" in capsys.readouterr().err
    with pytest.raises(NormalizationError, match="an input or another output found, a file of its own expected"):
        statistics.save(path, inputs=[path])
    assert path.read_bytes() == content


@pytest.mark.parametrize("ending", [".tif", ".tiff", ".TIF", ".TIFF"])
def test_labels_and_masks_are_found_whatever_their_ending(two_places, ending):
    expected = patch_statistics(two_places, bands=BANDS)
    for path in sorted(two_places.glob("south*_*_*.tif")):
        path.rename(path.with_suffix(ending))
    found = patch_statistics(two_places, bands=BANDS)
    assert found.table("landcover").equals(expected.table("landcover"))
    assert found.histogram().n_pixels.tolist() == expected.histogram().n_pixels.tolist()
    for path in sorted(two_places.glob("south_????????.tif")):
        path.rename(path.with_suffix(ending))
    assert patch_statistics(two_places, bands=BANDS).table("landcover").equals(expected.table("landcover"))


def test_labels_and_masks_without_a_patch_or_twice_are_refused(two_places):
    mask = two_places / "south_20190715_mask.tif"
    shutil.copy(mask, mask.with_suffix(".TIFF"))
    with pytest.raises(
        NormalizationError, match=r"south_20190715_mask\.tif: south_20190715_mask\.TIFF beside it found"
    ):
        patch_statistics(two_places, bands=BANDS)
    mask.with_suffix(".TIFF").rename(two_places / "north" / "south_20190715_mask.tif")
    with pytest.raises(
        NormalizationError, match=r"north/south_20190715_mask\.tif: labels or a mask without a patch found"
    ):
        patch_statistics(two_places, bands=BANDS)
    shutil.copy(mask, two_places / "b_landcover.tif")
    with pytest.raises(NormalizationError, match=r"b_landcover\.tif \(and 1 more\): labels or a mask without a patch"):
        patch_statistics(two_places, bands=BANDS)


def test_bands_may_be_named_with_one_digit(two_places, tmp_path):
    short = patch_statistics(two_places, bands=("B2", "b3"))
    assert content(short, tmp_path) == content(patch_statistics(two_places, bands=BANDS), tmp_path)
    assert short.histogram().select(("B3",)).bands == ("B03",)
    assert BandHistogram.from_array(np.ones((1, 1, 1), np.uint16), ("B2",)).bands == ("B02",)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": []},
        {"offset": 70_000},
        {"skipped": None},
        {"skipped": {"no date": None}},
        {"region_size_deg": [0, 10]},
        {"region_size_deg": [5]},
        {"places": [[45.0, 15.0, float("inf")]]},
        {"places": None},
        {"bands": ["B02", "B11"]},
    ],
)
def test_edited_statistics_are_one_clear_error(two_places, tmp_path, change):
    path = tmp_path / "stats.json"
    saved = content(patch_statistics(two_places, bands=BANDS), tmp_path)
    path.write_text(json.dumps(saved | change))
    with pytest.raises(NormalizationError, match=r"stats\.json: incomplete or edited statistics found"):
        PatchStatistics.load(path)


@pytest.mark.parametrize("runs", [[2**70], [-1, 2**70], [1.5], ["many"], None])
def test_edited_counts_are_one_clear_error(two_places, tmp_path, runs):
    saved = content(patch_statistics(two_places, bands=BANDS), tmp_path)
    saved["groups"][0]["counts"]["B02"] = runs
    (tmp_path / "stats.json").write_text(json.dumps(saved))
    with pytest.raises(NormalizationError, match="incomplete or edited statistics found"):
        PatchStatistics.load(tmp_path / "stats.json")


@pytest.mark.parametrize("one_date", [False, True])
def test_dates_of_a_place_are_not_kept(tmp_path, monkeypatch, one_date):
    for day in range(1, 13):
        dn = [[[day, day + 1] if day == 5 else [day, 0]]] * 2
        write_patch(tmp_path, f"a_201901{day:02}", dn, labels=[[TREES, CROPS]])
    count, kept, alive = exploration._count_patch, [], []

    def counting(*arguments):
        alive.append(sum(array() is not None for array in kept))
        result = count(*arguments)
        kept.extend(weakref.ref(group.dn) for group in result[0].values())
        return result

    monkeypatch.setattr(exploration, "_count_patch", counting)
    statistics = patch_statistics(tmp_path, bands=BANDS, one_date_per_place=one_date, offset=0)
    assert max(alive) <= 5  # of trees the first, the last and the best, and cropland
    assert statistics.histogram().n_pixels.tolist() == [13, 13]
    crops = statistics.table("landcover").set_index("landcover").loc["cropland"]
    assert (crops.n_pixels, crops.n_patches) == (1, 1)
    trees = statistics.table("landcover").set_index("landcover").loc["trees"]
    assert (trees.n_pixels, trees.n_patches) == ((1, 1) if one_date else (12, 12))
    assert statistics.table("landcover:region").n_patches.tolist() == [1, 12]


def test_results_on_a_cluster_are_let_go_once_they_are_here():
    from distributed import Client, LocalCluster

    class Watched(Client):
        watched = ()

        def map(self, *arguments, **settings):
            futures = super().map(*arguments, **settings)
            Watched.watched = [weakref.ref(future) for future in futures]
            return futures

    def counted(place, *settings):
        return place, {}, []

    with (
        pytest.MonkeyPatch.context() as patched,
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Watched(cluster) as client,
    ):
        patched.setattr(exploration, "_count_place", counted)
        results = exploration._run([[n] for n in range(20)], (), client)
        assert sorted(next(results)[0][0] for _ in range(20)) == list(range(20))
        gc.collect()
        assert len(Watched.watched) == 20
        assert sum(future() is not None for future in Watched.watched) <= 1


def test_the_package_gives_statistics_without_importing_anything_heavy():
    code = "import sys; from millpond.normalization import PatchStatistics, patch_statistics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "segmentation_models_pytorch", "geopandas", "distributed"}.isdisjoint(done.stdout.split())
