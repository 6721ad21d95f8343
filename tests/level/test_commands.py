import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio

from millpond.cli import main
from millpond.level.twin import CHARACTERS, simulate


@pytest.fixture(scope="module")
def reservoir(tmp_path_factory):
    """A twin of Lyons as files: 40 scenes, and a gauge record in feet."""
    folder = tmp_path_factory.mktemp("lyons")
    (folder / "sentinel2").mkdir()
    scenes = simulate(CHARACTERS["LYS"], n=40)
    transform = rasterio.Affine(10, 0, 700_000, 0, -10, 4_200_000)
    profile = {"driver": "GTiff", "count": 4, "height": 64, "width": 64, "dtype": "uint16", "crs": 32610}
    for image, cloudy, date in zip(scenes.images, scenes.cloudy, scenes.dates, strict=True):
        with rasterio.open(folder / "sentinel2" / f"S2_{date:%Y%m%d}.tif", "w", transform=transform, **profile) as file:
            file.write(np.rint(np.clip(image, 0, 6) * 10_000).astype("uint16"), [1, 2, 3])
            file.write(np.where(cloudy, 90, 0).astype("uint16"), 4)
            file.descriptions = ("B03", "B04", "B08", "CLDPRB")
    feet = pd.DataFrame({"date": scenes.dates, "elevation_ft": scenes.level_m / 0.3048})
    feet.to_csv(folder / "levels.csv", index=False)
    return folder


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code=0):
        assert main(["level", *map(str, arguments)]) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    return call


def test_from_a_folder_of_images_to_levels_with_intervals(reservoir, run, tmp_path):
    images, levels = reservoir / "sentinel2", reservoir / "levels.csv"
    told = run("fit", "--scenes", images, "--levels", levels, "--out", "model")
    assert f"{levels}: 40 days from " in told
    assert " m (plain, elevation_ft in ft by date)" in told
    assert "model: shore on " in told
    assert "left out" in told
    assert "Out-of-fold, 5 folds of whole blocks of 30 days: R2 0.9" in told
    told = run("predict", "--scenes", images, "--model", "model", "-o", "estimates.csv")
    assert "levels with intervals of 90%" in told
    table = pd.read_csv("estimates.csv", parse_dates=["date"], index_col="date", keep_default_na=False, na_values=[""])
    assert len(table) == 40
    gauge = pd.read_csv(levels, parse_dates=["date"], index_col="date")["elevation_ft"] * 0.3048
    given = table["level_m"].notna()
    assert given.sum() > 20
    assert table["in_training"][given].all()  # and so these are estimates of the folds without them
    assert (table["level_m"] - gauge)[given].abs().mean() < 1
    assert table.loc[~given, "abstains"].notna().all()
    told = run("report", "--scenes", images, "--model", "model", "-o", "report", "--coverage", "0.8")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["estimates.csv", "estimates.png"]
    assert (tmp_path / "report" / "estimates.png").read_bytes()[:4] == b"\x89PNG"
    assert "intervals of 80%" in told


def test_a_gauge_record_is_not_overwritten_by_estimates(reservoir, run, tmp_path):
    images, levels = reservoir / "sentinel2", reservoir / "levels.csv"
    run("fit", "--scenes", images, "--levels", levels, "--out", "model", "--model", "shore")
    before = levels.read_bytes()
    told = run("predict", "--scenes", images, "--model", "model", "-o", levels, code=2)
    assert "levels.csv: a file with 'date,elevation_ft' found, none or older estimates expected" in told
    assert levels.read_bytes() == before
    for _ in range(2):  # older estimates are
        run("report", "--scenes", images, "--model", "model", "-o", reservoir)
    assert levels.read_bytes() == before
    told = run("fit", "--scenes", images, "--levels", reservoir / "estimates.csv", "--out", "again", code=2)
    assert "estimates.csv: estimates of this package found, a gauge record expected" in told


def test_what_a_record_does_not_tell_is_asked_for(reservoir, run, tmp_path):
    feet = pd.read_csv(reservoir / "levels.csv", parse_dates=["date"])
    feet["date"] = feet["date"].dt.strftime("%d/%m/%Y")
    feet.rename(columns={"elevation_ft": "H"}).to_csv(tmp_path / "H.csv", index=False, sep="|", decimal=",")
    fit = ("fit", "--scenes", reservoir / "sentinel2", "--levels", tmp_path / "H.csv", "--model", "shore")
    assert "--level-column" in run(*fit, "--out", "a", code=2)
    options = ("--level-column", "H", "--separator", "|", "--decimal", ",", "--day-first", "--date-column", "date")
    assert "no unit of the levels found" in run(*fit, *options, "--out", "a", code=2)
    told = run(*fit, *options, "--unit", "ft", "--out", "a")
    assert " m (plain, H in ft by date, day first, decimal comma)" in told
    record = ("fit", "--scenes", reservoir / "sentinel2", "--levels", reservoir / "levels.csv", "--unit", "m")
    assert "levels in ft found, as the record says, but m asked for" in run(*record, "--out", "b", code=2)


def test_a_network_is_fitted_and_used_in_the_same_way(reservoir, run, tmp_path):
    images, levels = reservoir / "sentinel2", reservoir / "levels.csv"
    options = ("--model", "network", "--bands", "B03,B04,B08", "--coarser", 4, "--epochs", 1, "--folds", 3)
    run("fit", "--scenes", images, "--levels", levels, "--out", "model", *options)
    assert "levels with intervals" in run("predict", "--scenes", images, "--model", "model", "-o", "estimates.csv")
    assert len(pd.read_csv("estimates.csv")) == 40


def test_a_cloudy_image_is_a_row_with_a_reason(reservoir, run, tmp_path):
    run("fit", "--scenes", reservoir / "sentinel2", "--levels", reservoir / "levels.csv", "--out", "model")
    (tmp_path / "new").mkdir()
    source = min((reservoir / "sentinel2").iterdir())
    with rasterio.open(source) as file:
        profile, dn, names = file.profile, file.read(), file.descriptions
    dn[3] = 100
    with rasterio.open(tmp_path / "new" / "S2_20230101.tif", "w", **profile) as file:
        file.write(dn)
        file.descriptions = names
    told = run("predict", "--scenes", "new", "--model", "model", "-o", "estimates.csv")
    assert "0 levels with intervals of 90%; none for 1 (cloudy)" in told
    assert (tmp_path / "estimates.csv").read_text().splitlines()[1] == "2023-01-01,,,,,,cloudy"
    told = run("predict", "--scenes", "new", "--model", "model", "-o", "estimates.csv", "--no-mask")
    assert "cloudy" not in told


def test_a_new_scene_is_judged_by_itself_and_the_model_alone(reservoir, run, tmp_path):
    files = sorted((reservoir / "sentinel2").iterdir())
    for folder, chosen in {"old": files[:-6], "new": files[-6:]}.items():
        (tmp_path / folder).mkdir()
        for file in chosen:
            shutil.copy(file, folder)
    with rasterio.open("new/" + files[-2].name, "r+") as file:
        dn = file.read()
        wet = dn[0] > dn[2]
        dn[2][wet & (wet.cumsum().reshape(wet.shape) % 2 == 0)] = 5000  # haze hides half of the water
        dn[3] = 0
        file.write(dn)
    run("fit", "--scenes", "old", "--levels", reservoir / "levels.csv", "--out", "model")
    weights = [f"weights-{fold}.safetensors" for fold in range(5)]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "water.safetensors", *weights]
    run("predict", "--scenes", "new", "--model", "model", "-o", "together.csv")
    head, *together = (tmp_path / "together.csv").read_text().splitlines()
    assert sum(row.endswith(",") for row in together) >= 2  # levels
    assert together[-2].endswith(",spoiled")
    for file, row in zip(files[-6:], together, strict=True):
        (tmp_path / file.stem).mkdir()
        shutil.copy("new/" + file.name, file.stem)
        run("predict", "--scenes", file.stem, "--model", "model", "-o", "alone.csv")
        assert (tmp_path / "alone.csv").read_text().splitlines() == [head, row]


def test_images_of_another_lake_are_refused_rather_than_called_spoiled(reservoir, run, tmp_path):
    run("fit", "--scenes", reservoir / "sentinel2", "--levels", reservoir / "levels.csv", "--out", "model")
    (tmp_path / "new").mkdir()
    source = min((reservoir / "sentinel2").iterdir())
    with rasterio.open(source) as file:
        profile, dn, names = file.profile, file.read()[:, ::-1, ::-1], file.descriptions
    dn[3] = 0
    profile["transform"] = rasterio.Affine(10, 0, 700_000, 0, -10, 4_300_000)
    with rasterio.open(tmp_path / "new" / "S2_20230101.tif", "w", **profile) as file:
        file.write(dn)
        file.descriptions = names
    told = run("predict", "--scenes", "new", "--model", "model", "-o", "estimates.csv", code=2)
    assert "A model is of one reservoir: cut the images alike." in told
    assert not (tmp_path / "estimates.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "--scenes", "{images}", "--levels", "nowhere.csv", "--out", "m"), "nowhere.csv: not readable"),
        (("fit", "--scenes", "{images}", "--levels", "{levels}", "--out", "m", "--bands", "B11"), "B11 expected too"),
        (
            ("fit", "--scenes", "{images}", "--levels", "{levels}", "--out", "m", "--model", "oracle"),
            "--model oracle found, one of curve, shore, network",
        ),
        (("predict", "--scenes", "{images}", "--model", "nowhere", "-o", "x.csv"), "nowhere/model.json: No such file"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(reservoir, run, tmp_path, arguments, message):
    places = {"images": reservoir / "sentinel2", "levels": reservoir / "levels.csv"}
    told = run(*(argument.format(**places) for argument in arguments), code=2)
    assert message in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_radar_keeps_to_its_orbit(run, tmp_path):
    dates = pd.date_range("2019-01-01", periods=25, freq="15D")
    levels_m = 95 + 3 * np.sin(np.arange(25))
    distance = np.hypot(*np.mgrid[-20:20, -20:20])
    profile = {"driver": "GTiff", "count": 2, "height": 40, "width": 40, "dtype": "float32", "crs": 32610}
    profile["transform"] = rasterio.Affine(10, 0, 700_000, 0, -10, 4_200_000)
    (tmp_path / "s1").mkdir()
    for i, (date, level_m) in enumerate(zip(dates, levels_m, strict=True)):
        wet = distance < level_m - 85
        db = np.stack([np.where(wet, -18, -9), np.where(wet, -25, -15)])
        db = db + np.random.default_rng(i).normal(size=db.shape)
        with rasterio.open(tmp_path / "s1" / f"S1_{date:%Y%m%d}.tif", "w", **profile) as file:
            file.write(db.astype("float32"))
            file.descriptions = ("VV", "VH")
            file.update_tags(RELATIVE_ORBIT="37" if i % 5 == 4 else "110")
    pd.DataFrame({"date": dates, "level_m": levels_m}).to_csv("levels.csv", index=False)
    told = run("fit", "--scenes", "s1", "--levels", "levels.csv", "--bands", "VV,VH", "--out", "model")
    assert "shore on 20 scenes, 5 left out: 5 (another orbit)" in told
    for date in dates[:20].difference(dates[4::5]):  # then the other orbit has more, but the model has seen none of it
        (tmp_path / "s1" / f"S1_{date:%Y%m%d}.tif").unlink()
    run("predict", "--scenes", "s1", "--model", "model", "-o", "estimates.csv")
    table = pd.read_csv("estimates.csv", index_col="date", parse_dates=["date"])
    other = table.index.isin(dates[4::5])
    assert table["level_m"].isna()[other].all()
    assert (table["abstains"][other] == "another orbit").all()
    assert table["level_m"][~other].notna().any()
    options = "--levels", "levels.csv", "--bands", "VV,VH", "--out", "other", "--orbit", "9"
    assert "another orbit). " in run("fit", "--scenes", "s1", *options, code=2)
