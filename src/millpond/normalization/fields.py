"""Does it matter to the network? Field delineation under the eight normalizations, archived.

The study trains one network with each normalization on a part of AI4Boundaries. Here fields are simulated
(`millpond.normalization.parcels`), so that a seed is another part of the world, and everything but the normalization
is the same within a seed: images, first weights, order of the samples. Factors come from a survey of all land and the
whole year, which holds none of the images that train or test. So the study has it for equalization, and does not say
what the others were fitted on.
"""

import operator
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, reduce
from itertools import islice

import numpy as np
from rasterio.transform import Affine
from shapely import to_wkt

from millpond import datasets
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.europe import survey
from millpond.normalization.histogram import N_DN, BandHistogram
from millpond.normalization.parcel_metrics import parcel_scores
from millpond.normalization.parcels import Patch, draw_clear_day, draw_places, simulate_patch
from millpond.normalization.polygons import parcel_polygons
from millpond.normalization.real_labels import read_ftw_inference, read_osm_land_cover
from millpond.normalization.samples import read_sample
from millpond.normalization.segmentation import LandCoverSegmenter
from millpond.normalization.transforms import DIFFERENCES, NORMALIZATIONS, RIVALS, Normalization, fit_normalization
from millpond.split import spatial_blocks

Z_SCORE, MEAN_2_STD, DIVISOR = RIVALS
BATCH_NORM, RANDOM_DIVISOR = "batch normalization", "divisor-1500-4500"

PER_IMAGE = "p1-p99 of each image"
"""No common factors at all: the rival of one set for a continent."""

OTHERS_USE = (*RIVALS, RANDOM_DIVISOR, BATCH_NORM)
"""What the study doesn't have: also a divisor drawn anew for each training image, and reflectance that the network
normalizes."""

INPUTS = (*NORMALIZATIONS, *DIFFERENCES, *OTHERS_USE)
"""All that networks are trained with: the study's eight, four of them with the other divisor too, and what others
use."""

EVERYWHERE = "everywhere"
LATITUDES_DEG = {EVERYWHERE: (36.0, 66.0), "south": (36.0, 44.0), "north": (54.0, 62.0)}

SEASON = (60, 243)
"""Days of the images: March to August, as in AI4Boundaries."""

SMALLEST_FIELD_SHARE = 0.1
"""Of a patch; AI4Boundaries' patches were chosen where there are fields."""

N_FACTORS = 300
"""Patches of the whole year from which factors are taken."""

N_SETTLE = 100
"""Images from which statistics of batch normalization are taken anew."""

BELTS = ("south", "north")
BOTH = "both"

TRAIN, VALID, FACTORS = range(3)

OSM_EPOCHS = 20
OSM_EDGE_PIXELS = 1
OSM_FOLDS = 3


@lru_cache(maxsize=4)
def fields(seed: int, part: int, n: int, size: int, where: str = EVERYWHERE) -> tuple[np.ndarray, np.ndarray]:
    """Images with fields, in the growing season: (n, 4, size, size) digital numbers, (n, size, size) parcels."""
    patches = list(islice(_with_fields(seed, part, size, where), n))
    found = np.stack([patch.dn for patch in patches]), np.stack([patch.parcels for patch in patches])
    for array in found:
        array.flags.writeable = False  # whoever asks again gets the same arrays
    return found


@lru_cache(maxsize=8)
def year_histogram(seed: int, size: int, where: str = EVERYWHERE, n: int = N_FACTORS) -> BandHistogram:
    """Digital numbers of all land and all seasons, without what the masks take out: what factors are taken from."""
    patches = survey(n, size, _rng(seed, FACTORS, where), latitude_deg=LATITUDES_DEG[where])
    parts = (BandHistogram.from_array(patch.dn, mask=patch.mask > 0, offset=0) for patch in patches)
    return reduce(operator.add, parts)


def factors(name: str, histogram: BandHistogram) -> Normalization | None:
    """One of `INPUTS`, fitted; None is batch normalization."""
    if name == BATCH_NORM:
        return None
    return fit_normalization(DIVISOR if name == RANDOM_DIVISOR else name, histogram)


def with_largest(histogram: BandHistogram, largest: int) -> BandHistogram:
    """The histogram with brighter pixels cut, and at least one pixel of this digital number in each band."""
    counts = histogram.counts.copy()
    counts[:, largest] += np.maximum(counts[:, largest + 1 :].sum(axis=1), 1)
    counts[:, largest + 1 :] = 0
    return replace(histogram, counts=counts)


def score_fields(
    normalization: str,
    seed: int,
    *,
    epochs: int,
    n_train: int,
    n_valid: int,
    size: int,
    encoder: str = "resnet18",
    largest: int | None = None,
    stretch: float = 1.0,
) -> list[dict]:
    """Train one network, and judge it after each epoch.

    Parameters
    ----------
    normalization : str
        One of `INPUTS`.
    seed : int
    epochs, n_train, n_valid, size : int
    encoder : str
    largest : int, optional
        Largest digital number that factors are to see (`with_largest`); otherwise that of the survey.
    stretch : float
        What values of a linear normalization are multiplied by.

    Returns
    -------
    list of dict
        A row an epoch: `epoch`, `train_loss`, `valid_loss`, `valid_extent_iou`, ... `valid_boundary_mcc`. The last one
        also has `settled_extent_mcc` and the like, with statistics of batch normalization from training images,
        `boundary_threshold`, the entries of `parcel_scores`, and `low_B02`, `high_B02`: where the middle 98 % of the
        survey's B02 lie after normalization.
    """
    train, valid = fields(seed, TRAIN, n_train, size), fields(seed, VALID, n_valid, size)
    histogram = year_histogram(seed, size)
    seen = histogram if largest is None else with_largest(histogram, largest)
    fitted = factors(normalization, seen)
    if stretch != 1:
        fitted = fit_normalization(replace(NORMALIZATIONS[normalization], b=stretch), seen)
    augmentation = "divisor" if normalization == RANDOM_DIVISOR else None
    network = FieldSegmenter(fitted, encoder=encoder, augmentation=augmentation, max_epochs=epochs, random_state=seed)
    network.fit(*train, validation=valid)
    rows = network.history_
    settled = network.adapted(train[0][:N_SETTLE]).evaluate(*valid)
    rows[-1] |= {f"settled_{name}": value for name, value in settled.items()}
    found = network.predict(valid[0])
    rows[-1] |= {"boundary_threshold": network.boundary_threshold_} | parcel_scores(valid[1], found)
    if fitted is not None:
        low, high = fitted.table[0, histogram.percentile([1, 99])[:, 0].astype(int)]
        rows[-1] |= {"low_B02": float(low), "high_B02": float(high)}
    return rows


def score_transfer(
    normalization: str, trained: str, seed: int, *, fitted: str, epochs: int, n_train: int, n_valid: int, size: int
) -> list[dict]:
    """Train in one belt of latitudes, with factors of that belt, of the other or of both, and test in both.

    Parameters
    ----------
    normalization : str
        One of `INPUTS` but for batch normalization, or `PER_IMAGE`.
    trained : str
        "south" or "north".
    seed : int
    fitted : str
        Where the factors come from: "south", "north" or "both". Of `PER_IMAGE` only `trained` makes sense.
    epochs, n_train, n_valid, size : int

    Returns
    -------
    list of dict
        `tested`; `changed`: what was done to the network before the test, "nothing", "factors" (taken anew from the
        belt that is tested) or "batch statistics" (from images of that belt, but not those that are tested); scores as
        of `FieldSegmenter.evaluate`.
    """

    def images(part: int, n: int, where: str) -> tuple[np.ndarray, np.ndarray]:
        dn, parcels = fields(seed, part, n, size, where)
        return (stretched(dn) if normalization == PER_IMAGE else dn), parcels

    if normalization == PER_IMAGE:
        belts = {where: _histogram_of(images(TRAIN, n_train, where)[0]) for where in BELTS}
        normalization_of_image = "p1-p99"
    else:
        belts = {where: year_histogram(seed, size, where) for where in BELTS}
        normalization_of_image = normalization
    histogram = reduce(operator.add, belts.values()) if fitted == BOTH else belts[fitted]
    network = FieldSegmenter(factors(normalization_of_image, histogram), max_epochs=epochs, random_state=seed)
    network.fit(*images(TRAIN, n_train, trained))
    rows = []
    for tested in BELTS:
        networks = {"nothing": network}
        if tested != trained:
            networks["batch statistics"] = network.adapted(images(TRAIN, N_SETTLE, tested)[0])
            if fitted == trained and normalization != PER_IMAGE:
                networks["factors"] = network.renormalized(factors(normalization, belts[tested]))
        held_out = images(VALID, n_valid, tested)
        rows += [
            {"tested": tested, "changed": changed} | used.evaluate(*held_out) for changed, used in networks.items()
        ]
    return rows


def stretched(dn: np.ndarray) -> np.ndarray:
    """Each band of each image on its own: its 1st percentile becomes 10,000 and its 99th 20,000.

    Parameters
    ----------
    dn : (n, n_bands, rows, cols) array of uint16

    Returns
    -------
    (n, n_bands, rows, cols) uint16 array
    """
    low, high = np.percentile(dn, [1, 99], axis=(2, 3), keepdims=True)
    scaled = 10_000 * (1 + (dn - low) / np.maximum(high - low, 1))
    return np.clip(np.rint(scaled), 1, N_DN - 1).astype(np.uint16)


def score_land_cover(normalization: str, seed: int, *, epochs: int = OSM_EPOCHS) -> list[dict]:
    """Real land cover: train on blocks of the German scene and test on others; all folds in turn.

    Factors come from the blocks that train.

    Returns
    -------
    list of dict
        A row a fold: `fold`, `n_train_pixels` and `n_test_pixels` with labels, `class_iou`, `class_acc`, `class_mcc`,
        `train_loss`, `largest_share` of a class among the test pixels, which is the accuracy of who always says that.
    """
    augmentation = "dihedral+divisor" if normalization == RANDOM_DIVISOR else "dihedral"
    scene = read_osm_land_cover(OSM_EDGE_PIXELS)
    blocks = spatial_blocks(scene.dn, scene.labels, scene.polygons, n_folds=OSM_FOLDS, random_state=seed)
    rows = []
    for fold in range(OSM_FOLDS):
        test = blocks.fold == fold
        images = blocks.images[~test]
        network = LandCoverSegmenter(
            factors(normalization, _histogram_of(images)),
            augmentation=augmentation,
            max_epochs=epochs,
            random_state=seed,
        )
        network.fit(images, blocks.labels[~test])
        truth = blocks.labels[test]
        rows.append(
            {
                "fold": fold,
                "n_train_pixels": int((blocks.labels[~test] >= 0).sum()),
                "n_test_pixels": int((truth >= 0).sum()),
                "largest_share": float(np.bincount(truth[truth >= 0]).max() / (truth >= 0).sum()),
                "train_loss": network.history_[-1]["train_loss"],
            }
            | network.evaluate(blocks.images[test], truth)
        )
    return rows


def map_real_scenes(seed: int, *, epochs: int, n_train: int, size: int) -> list[dict]:
    """Train on simulated fields with p1-p99, and outline what the network takes for fields on real scenes.

    Returns
    -------
    list of dict
        A row a parcel: `scene`, `factors` ("simulated": those that the network was trained with; "scene": taken from
        the scene itself), `area_ha`, `outline` (WKT, in pixels from the scene's upper left corner).

    Raises
    ------
    DatasetError
        If the data set ftw isn't in the data root.
    """
    datasets.path("ftw")  # an archive holds all scenes, or there is none
    network = FieldSegmenter(factors("p1-p99", year_histogram(seed, size)), max_epochs=epochs, random_state=seed)
    network.fit(*fields(seed, TRAIN, n_train, size))
    rows = []
    for scene, dn in real_scenes().items():
        of_scene = factors("p1-p99", BandHistogram.from_array(dn, offset=0))
        for told, used in (("simulated", network), ("scene", network.renormalized(of_scene))):
            (found,) = used.predict(dn[None])
            outlines = parcel_polygons(found, Affine.identity(), "EPSG:32633")  # in pixels; any projection will do
            for outline, n_pixels in zip(
                outlines.geometry, np.bincount(found.ravel())[outlines["parcel"]], strict=True
            ):
                text = to_wkt(outline, rounding_precision=1)
                rows.append({"scene": scene, "factors": told, "area_ha": float(n_pixels) / 100, "outline": text})
    return rows


VIRGINIA_WINDOW = np.s_[:, 500:884, 300:684]
"""Fields and woods of the bundled scene."""


def real_scenes() -> dict[str, np.ndarray]:
    """Real images without outlines of fields, those that are at hand: (4, rows, cols) digital numbers by name."""
    scenes = {"Virginia": read_sample("virginia")[VIRGINIA_WINDOW]}
    if datasets.is_present("ftw"):
        austria = read_ftw_inference()
        scenes |= {"Upper Austria, first date": austria.first, "Upper Austria, second date": austria.second}
    return scenes


def _histogram_of(dn: np.ndarray) -> BandHistogram:
    """Of (n, n_bands, rows, cols) images."""
    return BandHistogram.from_array(np.concatenate(list(dn), axis=2), offset=0)


def _with_fields(seed: int, part: int, size: int, where: str) -> Iterator[Patch]:
    """Patches without end, of places where there are fields."""
    rng = _rng(seed, part, where)
    while True:
        ((latitude_deg, longitude_deg),) = draw_places(1, rng, LATITUDES_DEG[where])
        day = draw_clear_day(latitude_deg, rng, SEASON)
        patch = simulate_patch(latitude_deg, longitude_deg, day, size=size, rng=rng)
        if (patch.parcels > 0).mean() >= SMALLEST_FIELD_SHARE and not patch.mask.any():
            yield patch


def _rng(seed: int, part: int, where: str) -> np.random.Generator:
    return np.random.default_rng([seed, part, list(LATITUDES_DEG).index(where)])
