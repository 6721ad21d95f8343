"""`millpond normalize fields`, from files in AI4Boundaries' layout to a GeoPackage."""

import subprocess
import sys

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import typer
import xarray as xr
from affine import Affine

from millpond.cli import main
from millpond.normalization import BandHistogram, ai4boundaries_download, fields_commands, fit_normalization, polygons
from millpond.normalization.ai4boundaries import SPLIT_TABLE, TILE_PIXELS
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.fields_commands import app
from millpond.normalization.segmentation import LandCoverSegmenter
from millpond.raster import open_raster
from millpond.training import Checkpoint

BANDS = ("B02", "B03", "B04", "B08")
SPLITS = {"AT_1": "train", "AT_2": "train", "LU_1": "train", "NL_1": "train", "SE_1": "val", "SI_1": "val"}
SMALL = ("--encoder", "tu-lcnet_050", "--batch-size", "2", "--months", "5")


def land(side, seed):
    """(4, side, side) digital numbers of bright fields of 28 pixels on dark ground, and their numbers.

    Nine neighbours have all nine brightnesses, so that a part of the land has the histogram of the whole.
    """
    rng = np.random.default_rng(seed)
    number = np.arange(side) // 32
    gap = np.arange(side) % 32 >= 28
    kind = (3 * number[:, None] + number) % 9
    brightness = np.array([rng.permutation(9) for _ in BANDS])[:, kind] * 300 + 1500
    parcels = np.where(gap[:, None] | gap, 0, 100 * number[:, None] + number + 1)
    return (np.where(parcels, brightness, 300) * rng.lognormal(0, 0.05, (4, side, side))).astype(np.uint16), parcels


def write_tile(folder, name, seed):
    dn, parcels = land(TILE_PIXELS, seed)
    dn[:, :4] = 0
    for place in ("images", "masks"):
        (folder / place / name[:2]).mkdir(parents=True, exist_ok=True)
    west, north = 4_321_000, 3_210_000
    metres = 10 * np.arange(TILE_PIXELS) + 5.0
    time = pd.date_range("2019-04-01", periods=2, freq="MS")
    xr.Dataset(
        {
            f"B{int(band[1:])}": (("time", "y", "x"), np.stack([layer] * 2))
            for band, layer in zip(BANDS, dn, strict=True)
        },
        coords={"time": time, "y": north - metres, "x": west + metres},
    ).to_netcdf(folder / "images" / name[:2] / f"{name}_S2_10m_256.nc", engine="netcdf4")
    profile = {"driver": "GTiff", "dtype": "float32", "count": 4, "height": TILE_PIXELS, "width": TILE_PIXELS}
    with rasterio.open(
        folder / "masks" / name[:2] / f"{name}_S2label_10m_256.tif",
        "w",
        **profile | {"crs": "EPSG:3035", "transform": Affine(10, 0, west, 0, -10, north)},
    ) as file:
        file.write(np.where(parcels > 0, parcels, -10_000).astype(np.float32), 4)


def write_table(folder, splits=SPLITS):
    lines = [f"{name},http://x/a.nc,http://x/a.tif,{split}" for name, split in splits.items()]
    head = "file_id,sentinel2_images_file_url,sentinel2_masks_file_url,split"
    (folder / SPLIT_TABLE).write_text("\n".join([head, *lines]) + "\n")


def write_scene(path, dn, crs="EPSG:32633", baseline="02.07", bands=BANDS):
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(dn), "height": dn.shape[1], "width": dn.shape[2]}
    with rasterio.open(path, "w", crs=crs, transform=Affine(10, 0, 600_000, 0, -10, 5_000_000), **profile) as file:
        file.write(dn)
        file.descriptions = bands
        if baseline:
            file.update_tags(PROCESSING_BASELINE=baseline)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ai4boundaries")
    for seed, name in enumerate(SPLITS):
        write_tile(folder, name, seed)
    write_table(folder)
    return folder


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """What `fit` writes, and what it printed."""
    folder = tmp_path_factory.mktemp("models") / "model"
    assert main(["normalize", "fields", "fit", str(data), "--out", str(folder), "--epochs", "3", *SMALL]) == 0
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fields(*arguments):
    return main(["normalize", "fields", *map(str, arguments)])


def fails(capsys, *arguments):
    """Exit code 2 and one readable line, which is returned."""
    capsys.readouterr()
    assert fields(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    return printed


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- from labels to parcels


def test_a_scene_becomes_parcels(folder, model, capsys):
    dn, _ = land(96, 9)
    dn[:, :, 90:] = 0
    write_scene("scene.tif", dn)
    outputs = ("--out", "parcels.gpkg", "--probabilities", "p.tif")
    assert fields("predict", "scene.tif", "--model", model, *outputs, "--tile", "64") == 0
    printed = capsys.readouterr()
    assert "warning" not in printed.err
    table = gpd.read_file("parcels.gpkg")
    assert table.crs == "EPSG:32633"
    told = (
        f"parcels.gpkg: {len(table)} parcel{'s' * (len(table) > 1)}, median area {table['area_ha'].median():.2f} ha\n"
    )
    assert printed.out.endswith(told)
    assert table["area_ha"].min() > 0.05  # 0.1 ha before the outline is simplified
    assert table.total_bounds[2] <= 600_900  # no data, no parcel
    with open_raster("p.tif") as raster:
        extent = raster.read()[0]
    assert table["area_ha"].sum() == pytest.approx((extent >= 0.5).sum() / 100, rel=0.05)
    assert names(folder) == ["p.tif", "parcels.gpkg", "scene.tif"]


def test_pixels_of_another_size_than_those_trained_on_are_told(folder, model, capsys):
    write_scene("coarse.tif", land(64, 9)[0])
    with rasterio.open("coarse.tif", "r+") as dataset:
        dataset.transform = Affine(20, 0, 600_000, 0, -20, 5_000_000)
    assert fields("predict", "coarse.tif", "--model", model, "--out", "p.gpkg") == 0
    assert "coarse.tif: pixels of 20 m found, 10 m expected as in AI4Boundaries" in capsys.readouterr().err


def test_parcels_are_cut_with_the_chosen_threshold_and_the_smallest_area(folder, model, monkeypatch):
    asked = []
    cut = polygons.parcels_of_scene
    monkeypatch.setattr(polygons, "parcels_of_scene", lambda path, **how: asked.append(how) or cut(path, **how))
    write_scene("utm.tif", land(64, 9)[0])
    write_scene("web.tif", land(64, 9)[0], crs="EPSG:3857")  # 10 m there are 7.6 m on the ground at 40.9 degrees
    for scene, smallest_ha in (("utm.tif", 0.1), ("utm.tif", 0), ("web.tif", 2)):
        assert fields("predict", scene, "--model", model, "--out", "p.gpkg", "--smallest-ha", smallest_ha) == 0
    assert [how["smallest"] for how in asked] == [10, 1, pytest.approx(200 / np.cos(np.deg2rad(40.9)) ** 2, rel=0.01)]
    assert {how["boundary_threshold"] for how in asked} == {FieldSegmenter.load(model).boundary_threshold_}


def test_offsets_and_files_of_one_band_make_no_difference(folder, model):
    dn, _ = land(96, 9)
    write_scene("old.tif", dn)
    write_scene("new.tif", dn + np.uint16(1000), baseline=None)
    for band, layer in zip(BANDS, dn, strict=True):
        write_scene(f"s_{band}.tif", layer[None], bands=(band,))
    write_scene("bare.tif", dn, bands=(None,) * 4)
    calls = (
        ("old.tif",),
        ("new.tif", "--offset", "1000"),
        [f"s_{band}.tif" for band in BANDS],
        ("bare.tif", "--names", ",".join(BANDS)),
    )
    for i, call in enumerate(calls):
        assert fields("predict", *call, "--model", model, "--out", f"{i}.gpkg") == 0
    first, *others = (gpd.read_file(f"{i}.gpkg") for i in range(len(calls)))
    assert all(first.equals(other) for other in others)


def test_a_scene_unlike_the_training_images_is_one_warning(folder, model, capsys):
    write_scene("scene.tif", land(96, 9)[0] + np.uint16(2000))
    assert fields("predict", "scene.tif", "--model", model, "--out", "p.gpkg") == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warned) == 1
    assert "scene.tif: the scene isn't like the training images in B02, B03, B04, B08 (B" in warned[0]


# ---- fit


def test_fit_tells_how_good_the_network_is(folder, data, model, capsys):
    assert fields("fit", data, "--out", "m", "--epochs", "1", *SMALL) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("m: p1-p99, 4 images of 4 tiles, 1 epoch, boundary threshold 0.")
    assert second.startswith("Validation, 2 images of 2 tiles: extent IoU 0.")
    assert "; boundary IoU" in second
    loaded = FieldSegmenter.load("m")
    assert loaded.normalization.offset == 0
    assert loaded.normalization.n_pixels == (4 * 252 * 256,) * 4  # those of `train`, without what has no data
    assert names(folder) == ["m"]


def test_a_killed_fit_goes_on_to_the_same_network(folder, data, model, monkeypatch, capsys):
    written = Checkpoint.on_epoch_end

    def dies(self, net, **kwargs):
        written(self, net, **kwargs)
        raise KeyboardInterrupt

    call = ("fit", data, "--out", "m", "--epochs", "3", *SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "on_epoch_end", dies)
        assert fields(*call) == 130
    assert "whatever keeps a checkpoint go on where they stopped with the same command" in capsys.readouterr().err
    assert names(folder) == ["m.checkpoint"]
    assert "other settings found (max_epochs)" in fails(capsys, *call[:5], "2", *SMALL)
    assert fields(*call) == 0
    assert names(folder) == ["m"]
    assert (folder / "m" / "weights.safetensors").read_bytes() == (model / "weights.safetensors").read_bytes()


def test_what_is_left_out_is_told(data, capsys):
    train, valid = fields_commands._chosen(data, (5,), 3, seed=0)
    assert (len(train), len(valid)) == (3, 1)
    assert capsys.readouterr().err.splitlines() == [
        "4 training images found, 3 of them used (--n).",
        "2 validation images found, 1 of them used (--n).",
    ]
    whole, _ = fields_commands._chosen(data, (4, 5), 100, seed=0)
    assert len(whole) == 8
    assert whole.names.tolist() != sorted(whole.names)
    assert {SPLITS[name] for name in whole.names} == {"train"}
    assert capsys.readouterr().err == ""


def test_without_splits_all_images_train(folder, capsys):
    write_tile(folder / "data", "AT_1", 0)
    assert fields("fit", "data", "--out", "m", "--epochs", "1", *SMALL) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "No image of the split val found: how good the network is remains untold."
    ]


def test_where_an_image_has_no_data_nothing_is_learnt(data):
    dn, parcels, histogram = fields_commands._loaded(fields_commands._chosen(data, (5,), 1, seed=0)[0])
    assert (parcels[0, :4] == -1).all()
    assert parcels[0, 4:].min() == 0
    assert histogram.n_pixels.tolist() == [(dn[0, 0] > 0).sum()] * 4


def test_mistakes_before_a_fit_are_one_line_and_nothing_is_written(folder, data, capsys):
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").touch()
    (folder / "val").mkdir()
    write_tile(folder / "val", "SE_1", 0)
    write_table(folder / "val")
    before = names(folder)
    assert "full: a folder that isn't empty found, a new folder" in fails(capsys, "fit", data, "--out", "full")
    assert "notes.txt: a file found, a new folder" in fails(capsys, "fit", data, "--out", "full/notes.txt")
    assert "no folder nowhere found" in fails(capsys, "fit", data, "--out", "nowhere/m")
    assert "'softmax' found, one of min-max" in fails(capsys, "fit", data, "--out", "m", "--method", "softmax")
    assert "--months May found, numbers such as 4,6,8" in fails(capsys, "fit", data, "--out", "m", "--months", "May")
    assert "6 images found, none of them in the split train" in fails(capsys, "fit", "val", "--out", "m")
    assert "no file named like AT_1433_S2_10m_256.nc" in fails(capsys, "fit", "full", "--out", "m")
    for encoder in ("resnet", "tu-resnet"):
        wrong = ("--encoder", encoder, "--months", "5")
        assert f"encoder='{encoder}' found" in fails(capsys, "fit", data, "--out", "m", *wrong)
    assert names(folder) == before


# ---- what predict refuses


def test_mistakes_before_a_prediction_are_one_line_and_nothing_is_written(folder, model, capsys):
    dn, parcels = land(64, 9)
    write_scene("scene.tif", dn)
    write_scene("bare.tif", dn, crs=None)
    write_scene("unknown.tif", dn, baseline=None)
    normalization = fit_normalization("p1-p99", BandHistogram.from_array(dn, offset=0))
    small = {"encoder": "tu-lcnet_050", "max_epochs": 1, "device": "cpu"}
    LandCoverSegmenter(normalization, **small).fit(dn[None], (parcels[None] > 0).astype(int)).save("cover")
    (folder / "taken").mkdir()
    before = names(folder)

    def refused(scene, *more, model=model, out="p.gpkg"):
        return fails(capsys, "predict", scene, "--model", model, "--out", out, *more)

    assert "nowhere/segmenter.json: no saved FieldSegmenter found" in refused("scene.tif", model="nowhere")
    assert "no saved FieldSegmenter found (LandCoverSegmenter" in refused("scene.tif", model="cover")
    assert "bare.tif: no coordinate reference system found, one expected" in refused("bare.tif")
    assert "--offset 0 before processing baseline 04.00" in refused("unknown.tif")
    assert "taken: a folder or device found, a file to write expected" in refused("scene.tif", out="taken")
    assert "p.shp: a name ending in .shp found, .gpkg expected" in refused("scene.tif", out="p.shp")
    assert "no folder nowhere found" in refused("scene.tif", out="nowhere/p.gpkg")
    assert "scene.tif: an input or another output found" in refused("scene.tif", out="scene.tif")
    assert "p.gpkg: an input or another output found" in refused("scene.tif", "--probabilities", "p.gpkg")
    assert "tiles of 100 pixels" in refused("scene.tif", "--tile", "100")
    assert "missing.tif: no such file found" in refused("missing.tif")
    assert "no parcel found, at least one expected" in refused("scene.tif", "--smallest-ha", "1000")
    assert names(folder) == before


# ---- download and help


def test_download_passes_on_what_is_wanted(folder, monkeypatch, capsys):
    asked = []

    def pretend(*arguments, **settings):
        asked.append((*arguments, settings))
        return ai4boundaries_download.Downloaded(arguments[0], 7, 14, 2)

    monkeypatch.setattr(ai4boundaries_download, "download_ai4boundaries", pretend)
    assert fields("download", "data", "--n", "7", "--split", "val", "--countries", "AT, ES") == 0
    ((path, n, settings),) = asked
    assert (str(path), n, settings["split"], settings["countries"]) == ("data", 7, "val", ("AT", "ES"))
    assert capsys.readouterr().out == "data: 7 tiles with labels, 14 files new; 2 tiles have no address\n"


def test_an_unknown_split_is_refused_before_anything_is_downloaded(folder, capsys):
    assert "split 'training' found, one of train, val, test" in fails(capsys, "download", "d", "--split", "training")
    assert names(folder) == []


def test_every_option_is_explained():
    commands = typer.main.get_command(app).commands
    assert all(option.help for command in commands.values() for option in command.params)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from millpond.cli import main; main(['normalize', 'fields', 'fit', '--help']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: millpond normalize fields fit")
    assert {"torch", "geopandas", "xarray", "requests"}.isdisjoint(done.stdout.splitlines()[-1].split())
    assert (
        "download"
        in subprocess.run(
            [sys.executable, "-c", "from millpond.cli import main; main(['normalize', 'fields'])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
