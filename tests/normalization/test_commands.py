import json

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
    assert "empty: no GeoTIFF found, a scene expected" in fails(capsys, "fit", "empty", "-o", "m.json")


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
