"""Make the excerpts in this folder from the data root. README.md names their publishers and licences."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.enums import Resampling

from millpond import datasets

HERE = Path(__file__).parent
# Ten clear dates of Itoiz from full to low and back, one that clouds hide, and the two that are spoiled.
ITOIZ = "20180708 20180802 20180822 20180916 20181016 20181115 20181220 20190104 20190213 20190429"
ITOIZ += " 20190424 20180911 20190208"
ITOIZ_COARSER = 4
ITOIZ_STEP = 20  # digital numbers, 0.2 % reflectance
NID_STATES = ("VA", "KY")
NID_COLUMNS = "NID_ID Dam_Name State Source_Agency Latitude Longitude NID_Height Normal_Storage Max_Storage"
NID_COLUMNS += " Surface_Area Drainage_Area Other_Structure_ID"


def itoiz() -> None:
    """Means of 4 x 4 pixels, so 40 m instead of 10 m, the bands in steps of 0.2 % reflectance."""
    source, target = datasets.path("itoiz"), HERE / "itoiz"
    (target / "sentinel2_l2a").mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "levels.csv", target)
    for day in ITOIZ.split():
        with rasterio.open(source / "sentinel2_l2a" / f"S2_{day}.tif") as image:
            rows, cols = image.height // ITOIZ_COARSER, image.width // ITOIZ_COARSER
            pixels = image.read(out_shape=(image.count, rows, cols), resampling=Resampling.average)
            pixels[:2] = np.round(pixels[:2] / ITOIZ_STEP) * ITOIZ_STEP
            grid = image.transform @ image.transform.scale(image.width / cols, image.height / rows)
            profile = image.profile | {"height": rows, "width": cols, "transform": grid}
            names, tags = image.descriptions, image.tags()
        profile |= {"compress": "deflate", "predictor": 2, "tiled": False, "blockxsize": cols, "blockysize": rows}
        with rasterio.open(target / "sentinel2_l2a" / f"S2_{day}.tif", "w", **profile) as image:
            image.write(pixels)
            image.descriptions = names
            image.update_tags(**tags)


def slovenia() -> None:
    """Every fourth pixel each way of five dates, as digital numbers."""
    scenes = np.load(datasets.path("s2_l1c/eolearn") / "REFERENCE_SCENES.npy", allow_pickle=False)[:, ::4, ::4]
    np.savez_compressed(HERE / "slovenia.npz", dn=np.round(scenes * 10_000).astype(np.uint16))


def cdec() -> None:
    """Both records, whole."""
    for path in datasets.path("cdec").glob("*.csv"):
        (HERE / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def nid() -> None:
    """The dams of two states, in the columns that are read."""
    dams = pd.read_csv(datasets.path("nid") / "nid.csv.gz", dtype=str)
    dams = dams.loc[dams["State"].isin(NID_STATES), NID_COLUMNS.split()]
    (HERE / "nid.csv.gz").write_bytes(gzip.compress(dams.to_csv(index=False).encode(), mtime=0))


if __name__ == "__main__":
    itoiz()
    slovenia()
    cdec()
    nid()
