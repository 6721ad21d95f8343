import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import rasterio

from millpond.cli import main
from millpond.normalization import BandHistogram, Normalization, fit_normalization

BANDS = ("B02", "B03", "B04", "B08")
RNG = np.random.default_rng(0)
DN = RNG.gamma(2, 500, (4, 60, 50)).astype(np.uint16) + np.uint16(1)
DN[:, :5, :5] = 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, dn, **tags):
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "height": 60, "width": 50}
    with rasterio.open(
        name, "w", crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **profile
    ) as dataset:
        dataset.write(dn)
        dataset.descriptions = BANDS
        dataset.update_tags(**tags)


def write_band(name, values):
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": 60, "width": 50}
    with rasterio.open(name, "w", crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **profile) as file:
        file.write(values.astype("uint16"), 1)


def fails(capsys, *arguments):
    """Exit code 2 and one readable line, which is returned."""
    assert main(["normalize", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    return printed


def test_fit_and_apply_give_what_the_package_gives(folder, capsys):
    write("scene.tif", DN)
    assert main(["normalize", "fit", "scene.tif", "--method", "equalization", "--out", "n.json"]) == 0
    assert "equalization, bands B02,B03,B04,B08, 2,975 pixels, radiometric offset unknown" in capsys.readouterr().out
    assert main(["normalize", "apply", "n.json", "scene.tif", "--out", "normalized.tif"]) == 0
    expected = fit_normalization("equalization", BandHistogram.from_array(DN)).transform(DN)
    expected[DN == 0] = np.nan
    with rasterio.open("normalized.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), expected)
        assert dataset.descriptions == BANDS
        assert dataset.crs.to_epsg() == 32633
    assert sorted(path.name for path in folder.iterdir()) == ["n.json", "normalized.tif", "scene.tif"]


def test_an_offset_in_the_new_scene_is_taken_off(folder):
    write("old.tif", DN, PROCESSING_BASELINE="02.04")
    shifted = np.where(DN == 0, 0, DN + 1000).astype(np.uint16)
    write("new.tif", shifted, PROCESSING_BASELINE="05.10")
    assert main(["normalize", "fit", "old.tif", "-o", "n.json"]) == 0
    for name in ("old", "new"):
        assert main(["normalize", "apply", "n.json", f"{name}.tif", "-o", f"{name}_out.tif"]) == 0
    with rasterio.open("old_out.tif") as old, rasterio.open("new_out.tif") as new:
        np.testing.assert_array_equal(old.read(), new.read())


def test_a_scene_of_unknown_offset_is_not_mixed_in(folder, capsys):
    write("old.tif", DN, PROCESSING_BASELINE="02.04")
    write("scene.tif", DN)
    main(["normalize", "fit", "old.tif", "-o", "n.json"])
    capsys.readouterr()
    message = fails(capsys, "apply", "n.json", "scene.tif", "-o", "out.tif")
    assert "scene.tif: radiometric offset unknown" in message
    assert "--offset 1000" in message
    assert not (folder / "out.tif").exists()


def test_a_scene_of_known_offset_is_not_mixed_with_a_normalization_of_unknown(folder, capsys):
    write("scene.tif", DN)
    write("old.tif", DN, PROCESSING_BASELINE="02.04")
    main(["normalize", "fit", "scene.tif", "-o", "n.json"])
    capsys.readouterr()
    message = fails(capsys, "apply", "n.json", "old.tif", "-o", "out.tif")
    assert "old.tif: radiometric offset 0 found, but the normalization was fitted on imagery of unknown" in message


def test_drift_prints_a_table_and_says_what_has_drifted(folder, capsys):
    write("scene.tif", DN)
    write("brighter.tif", np.where(DN == 0, 0, DN + 700).astype(np.uint16))
    main(["normalize", "fit", "scene.tif", "-o", "n.json"])
    capsys.readouterr()
    assert main(["normalize", "drift", "n.json", "brighter.tif"]) == 0
    printed = capsys.readouterr()
    assert "median_change" in printed.out
    assert "warning: B08: the percentiles have moved by" in printed.err
    assert Normalization.load("n.json").bands == BANDS


def test_mistakes_are_one_line_and_nothing_is_written(folder, capsys):
    write("scene.tif", DN)
    assert "no such file found" in fails(capsys, "fit", "missing.tif", "-o", "n.json")
    assert "'softmax' found, one of min-max" in fails(capsys, "fit", "scene.tif", "--method", "softmax", "-o", "n.json")
    assert "B11 missing" in fails(capsys, "fit", "scene.tif", "--bands", "B02,B11", "-o", "n.json")
    assert "a saved normalization expected" in fails(capsys, "apply", "n.json", "scene.tif", "-o", "out.tif")
    assert [path.name for path in folder.iterdir()] == ["scene.tif"]


def test_a_scene_that_breaks_off_leaves_no_output(folder, capsys):
    write("scene.tif", DN)
    main(["normalize", "fit", "scene.tif", "-o", "n.json"])
    content = (folder / "scene.tif").read_bytes()
    (folder / "scene.tif").write_bytes(content[: len(content) * 2 // 3])
    capsys.readouterr()
    fails(capsys, "apply", "n.json", "scene.tif", "-o", "out.tif")
    assert sorted(path.name for path in folder.iterdir()) == ["n.json", "scene.tif"]


def test_no_input_is_ever_overwritten(folder, capsys):
    write("scene.tif", DN)
    main(["normalize", "fit", "scene.tif", "-o", "n.json"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    for arguments in (
        ("fit", "scene.tif", "-o", "scene.tif"),
        ("apply", "n.json", "scene.tif", "-o", "scene.tif"),
        ("apply", "n.json", "scene.tif", "-o", "n.json"),
    ):
        assert "an input or another output found, a file of its own expected" in fails(capsys, *arguments)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_folder_is_named(folder, capsys):
    write("scene.tif", DN)
    assert "no folder nowhere found" in fails(capsys, "fit", "scene.tif", "-o", "nowhere/n.json")
    assert "no folder nowhere found" in fails(capsys, "fit", "missing.tif", "-o", "nowhere/n.json")  # refused first


def test_unnamed_bands_and_the_files_own_no_data(folder, capsys):
    write("scene.tif", np.where(DN == 0, 9999, DN).astype(np.uint16))
    with rasterio.open("scene.tif", "r+") as dataset:
        dataset.descriptions, dataset.nodata = (None,) * 4, 9999
    assert "Pass names=" in fails(capsys, "fit", "scene.tif", "-o", "n.json")
    names = ["--names", ",".join(BANDS)]
    assert main(["normalize", "fit", "scene.tif", *names, "-o", "n.json"]) == 0
    assert main(["normalize", "apply", "n.json", "scene.tif", *names, "-o", "out.tif"]) == 0
    with rasterio.open("out.tif") as dataset:
        np.testing.assert_array_equal(np.isnan(dataset.read()), DN == 0)


def test_the_no_data_of_a_fit_is_that_of_what_it_is_applied_to(folder, capsys):
    dn = DN.copy()  # 65535 stands for no data, which the file doesn't say; 0 is a measurement
    dn[:, 50:] = 65535
    write("scene.tif", dn)
    assert main(["normalize", "fit", "scene.tif", "--nodata", "65535", "--method", "min-max", "-o", "n.json"]) == 0
    assert "2,500 pixels" in capsys.readouterr().out
    main(["normalize", "apply", "n.json", "scene.tif", "-o", "out.tif"])
    main(["normalize", "apply", "n.json", "scene.tif", "--nodata", "none", "-o", "all.tif"])
    with rasterio.open("out.tif") as out, rasterio.open("all.tif") as everything:
        values = out.read()
        np.testing.assert_array_equal(np.isnan(values), dn == 65535)
        assert values[0, 0, 0] == 0  # the smallest number measured
        assert not np.isnan(everything.read()).any()
    capsys.readouterr()
    main(["normalize", "drift", "n.json", "scene.tif"])
    assert "drifted" in capsys.readouterr().out  # without a warning: 65535 isn't counted
    assert "--nodata x found, a whole number or none expected" in fails(
        capsys, "fit", "scene.tif", "--nodata", "x", "-o", "m.json"
    )


@pytest.mark.parametrize(("nodata", "n_pixels"), [("0", 2973), ("none", 2998), ("65535", 2998), ("7", 2997)])
def test_what_counts_as_no_data_may_lie_outside_the_data_type(folder, capsys, nodata, n_pixels):
    picture = np.arange(4 * 3000).reshape(4, 60, 50) % 254 + 1
    picture[:, :5, :5] = 0  # black
    picture[:, 30, :2] = 255
    picture[:, 40] = np.where(picture[:, 40] == 7, 8, picture[:, 40])
    picture[picture == 7] = 8
    picture[:, 10, 10] = 7
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 4, "height": 60, "width": 50, "nodata": 255}
    profile |= {"photometric": "MINISBLACK", "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open("rgb.tif", "w", **profile) as dataset:
        dataset.write(picture.astype(np.uint8))
        dataset.descriptions = BANDS
    assert main(["normalize", "fit", "rgb.tif", "--nodata", nodata, "-o", "n.json"]) == 0
    assert f" {n_pixels:,} pixels" in capsys.readouterr().out


def test_what_apply_writes_keeps_place_and_date(folder):
    corners = [(0, 0, 15, 45), (0, 50, 15.01, 45), (60, 0, 15, 44.99), (60, 50, 15.01, 44.99)]
    points = [rasterio.control.GroundControlPoint(*corner) for corner in corners]
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "height": 60, "width": 50, "crs": "EPSG:4326"}
    with rasterio.open("S2_20190711.tif", "w", gcps=points, **profile) as dataset:
        dataset.write(DN)
        dataset.descriptions = BANDS
        dataset.update_tags(STATION="Graz", BOA_ADD_OFFSET="0")
    main(["normalize", "fit", "S2_20190711.tif", "-o", "n.json"])
    assert main(["normalize", "apply", "n.json", "S2_20190711.tif", "-o", "out.tif"]) == 0
    with rasterio.open("out.tif") as dataset:
        found, crs = dataset.gcps
        tags = dataset.tags()
    assert [(point.row, point.col, point.x, point.y) for point in found] == corners
    assert crs.to_epsg() == 4326
    assert (tags["ACQUIRED"], tags["STATION"]) == ("2019-07-11", "Graz")
    assert tags["NORMALIZATION"] == "p1-p99, fitted on S2_20190711.tif"
    assert "BOA_ADD_OFFSET" not in tags  # what was written are no digital numbers


def test_info_says_what_would_be_read_and_why(folder, capsys):
    dn = np.clip(DN, None, 4000)
    dn[:, 30:] = 60_000
    write("S2A_20230711.tif", dn, PROCESSING_BASELINE="03.01")
    with rasterio.open("S2A_20230711.tif", "r+") as dataset:
        dataset.write_mask(np.arange(60)[:, None] * np.ones(50, int) < 30)
    assert main(["normalize", "info", "S2A_20230711.tif"]) == 0
    printed = capsys.readouterr().out
    assert "grid: 60 x 50 pixels of 10 x 10 in EPSG:32633, uint16" in printed
    assert "date: 2023-07-11" in printed
    assert "radiometric offset: 0 (PROCESSING_BASELINE=03.01)" in printed
    assert "no data: 0 (--nodata); the files declare: mask" in printed
    # half, without 25 pixels of 0
    assert f"B02    49.2% valid, {DN[0, :30][DN[0, :30] > 0].min()} to {dn[0, :30].max()}" in printed


def test_info_reads_a_mask_beside_and_tells_doubts(folder, capsys):
    write("S2_20230711.tif", np.full_like(DN, 500))
    write_band("S2_20230711_mask.tif", np.repeat([1, 0], [15, 45])[:, None] * np.ones(50))
    assert main(["normalize", "info", "."]) == 0
    printed = capsys.readouterr().out
    assert "mask beside it: S2_20230711_mask.tif" in printed
    assert "B08    75.0% valid, 500 to 500" in printed
    assert "radiometric offset: 0 (pixels, against the date 2023-07-11)" in printed
    assert "doubt: a radiometric offset of 1,000 found (the date 2023-07-11), but 100% of the valid pixels" in printed


def test_one_file_a_band_of_two_dates_and_their_masks(folder, capsys):
    for day in ("07", "17"):
        for i, band in enumerate(BANDS):
            write_band(f"T33UUU_201906{day}T101611_{band}.tif", DN[i] + 1)
    write_band("T33UUU_20190607T101611_mask.tif", np.repeat([1, 0], 30)[:, None] * np.ones(50))
    assert main(["normalize", "fit", ".", "-o", "n.json"]) == 0
    printed = capsys.readouterr()
    assert "4,500 pixels, radiometric offset 0" in printed.out
    assert "masks of 1 of 2 scenes found and used" in printed.err
    names = sorted(path.name for path in folder.glob("*_B*.tif"))
    assert "2 scenes found, one expected" in fails(capsys, "apply", "n.json", *names, "-o", "out.tif")
    assert main(["normalize", "apply", "n.json", *names[:4], "-o", "out.tif"]) == 0


SERVER = """
import functools, http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_addresses_are_taken_as_they_stand(folder, capsys):
    write("x.tif", DN)
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.write("x.tif")
    # a process of its own: GDAL holds this one's lock while it waits for an answer
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        address = f"http://127.0.0.1:{int(server.stdout.readline())}/x.tif"
        for source in (address, f"/vsicurl/{address}", f"/vsizip/{folder}/a.zip/x.tif", "a.zip"):
            assert main(["normalize", "fit", source, "-o", "n.json"]) == 0
            assert "2,975 pixels" in capsys.readouterr().out
        assert f"{address}.no: no raster found" in fails(capsys, "fit", f"{address}.no", "-o", "n.json")
    finally:
        server.kill()
        server.communicate()


def test_the_bare_verb_shows_its_help(capsys):
    assert main(["normalize"]) == 0
    printed = capsys.readouterr()
    assert "drift" in printed.out
    assert printed.err == ""


def test_the_methods_are_listed(capsys):
    assert main(["normalize", "methods"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8 + 4 + 3


def test_numbers_for_other_frameworks_are_numpys(folder, capsys):
    write("scene.tif", DN, PROCESSING_BASELINE="02.08")
    assert main(["normalize", "numbers", "scene.tif", "--divisor", "10000", "--percentiles", "2,98"]) == 0
    told = json.loads(capsys.readouterr().out)
    pixels = DN[:, (DN > 0).all(axis=0)] / 10_000  # 0 is no data
    assert told["bands"] == ["B02", "B03", "B04", "B08"]
    np.testing.assert_allclose(told["mean"], pixels.mean(axis=1))
    np.testing.assert_allclose(told["std"], pixels.std(axis=1))
    np.testing.assert_allclose([told["p2"], told["p98"]], np.percentile(pixels, [2, 98], axis=1))


def test_masks_beside_scenes_count_and_what_lies_beside_is_no_scene(folder, capsys):
    bright = DN.copy()
    bright[:, 40:] = 9000
    write("scene.tif", bright)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 60, "width": 50, "crs": "EPSG:32633"}
    for name, where in (("scene_mask.tif", np.s_[40:]), ("scene_landcover.tif", np.s_[:])):
        raster = np.zeros((60, 50), np.uint8)
        raster[where] = 10
        with rasterio.open(name, "w", transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **profile) as dataset:
            dataset.write(raster, 1)
    expected = fit_normalization("p1-p99", BandHistogram.from_array(bright[:, :40])).parameters
    for scenes in (["scene.tif"], ["scene.tif", "scene_mask.tif", "scene_landcover.tif"], ["."]):
        assert main(["normalize", "fit", *scenes, "-o", "n.json"]) == 0
        assert "masks of 1 of 1 scenes found and used" in capsys.readouterr().err
        assert str(Normalization.load("n.json").parameters) == str(expected)
    assert main(["normalize", "drift", "n.json", "scene.tif"]) == 0
    assert "True" not in capsys.readouterr().out
    assert "scene_mask.tif: labels or masks alone found, a scene expected" in fails(
        capsys, "fit", "scene_mask.tif", "-o", "m.json"
    )


def test_a_folder_is_no_scene_to_normalize(folder, capsys):
    write("scene.tif", DN)
    main(["normalize", "fit", "scene.tif", "-o", "n.json"])
    capsys.readouterr()
    (folder / "empty").mkdir()
    assert "empty: a folder found, a raster expected. Name the files" in fails(
        capsys, "apply", "n.json", "empty", "-o", "o.tif"
    )
    assert "empty: no GeoTIFF or JPEG 2000 found, a scene expected" in fails(capsys, "fit", "empty", "-o", "m.json")


def test_labels_that_were_cut_off_are_one_line(folder, capsys):
    write("a_20190101.tif", DN, PROCESSING_BASELINE="02.04")
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 60, "width": 50, "crs": "EPSG:32633"}
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open("a_20190101_landcover.tif", "w", **profile) as dataset,
    ):
        dataset.write(np.full((1, 60, 50), 10, np.uint8))
    message = fails(capsys, "stats", ".", "--by", "landcover", "-o", "stats.json")
    assert "a_20190101_landcover.tif: georeferencing" in message
    assert "or copy the file again if it was cut off." in message
