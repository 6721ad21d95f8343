"""What a folder's images tell of each other: where clouds matter, which are spoiled, and what can't be believed."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from millpond.level.grid import with_margin
from millpond.level.imagery import Image
from millpond.sentinel2 import FIRST_DATE_WITH_OFFSET, OFFSET_DN, REFLECTANCE_PER_DN

SPOILED_FROM = 0.1
"""Largest share of a scene's water that may lie elsewhere than where the good ones most often have it; chosen on Itoiz.

Two scenes may differ by twice as much."""

SEEN_WET_FROM = 0.1
"""Share of the clear scenes that must show water at a pixel for clouds over it to matter."""

QA60_EMPTY = pd.Timestamp(2022, 1, 25), pd.Timestamp(2024, 2, 28)
"""From the first of these days to before the last, products came without the polygons of clouds that QA60 was made of,
and it is 0. Since then Google Earth Engine makes it from MSK_CLASSI (its catalogue, COPERNICUS/S2_SR_HARMONIZED)."""


def tells_water(bands: Sequence[str]) -> bool:
    """Whether bands are enough to see water without any training: it is brighter in B03 than in B08."""
    return {"B03", "B08"} <= set(bands)


def looks_wet(image: Image, bands: Sequence[str]) -> np.ndarray:
    """(rows, cols) bool."""
    return image.values[bands.index("B03")] > image.values[bands.index("B08")]


def share_wet(images: list[Image], bands: Sequence[str]) -> np.ndarray | None:
    """(rows, cols) float32 share of the images without a cloud there that show water; None if none can be seen."""
    if not images or not tells_water(bands):
        return None
    wet = sum((looks_wet(image, bands) & ~image.cloudy).astype(np.float32) for image in images)
    return wet / np.maximum(sum((~image.cloudy).astype(np.float32) for image in images), 1)


def where_clouds_matter(
    images: list[Image],
    bands: Sequence[str],
    max_cloud: float,
    pixel_m: tuple[float, float],
    wet_share: np.ndarray | None = None,
) -> np.ndarray:
    """(rows, cols) bool: where water is often seen, and around it; everywhere, if that can't be told.

    By default water is looked for in the images that are clear as a whole; `wet_share` is what earlier ones had.
    """
    if wet_share is None:
        wet_share = share_wet([image for image in images if image.cloudy.mean() <= max_cloud], bands)
    often = np.zeros(images[0].cloudy.shape, bool) if wet_share is None else wet_share >= SEEN_WET_FROM
    return with_margin(often, pixel_m) if often.any() else ~often


def spoiled(
    images: list[Image], bands: Sequence[str], inside: np.ndarray, wet_share: np.ndarray | None = None
) -> np.ndarray:
    """(n,) bool: which images have their water elsewhere than where the good ones, or earlier ones, have it.

    Spoiled images would blur the map of where water is, and against a blurred map good images of low water look
    spoiled. So the map is made of images whose smaller waters lie inside the larger ones: of two that contradict each
    other, the one goes that differs more from all. Then all are judged by the map.

    Parameters
    ----------
    images : list of Image
    bands : sequence of str
    inside : (rows, cols) bool array
        Where to look.
    wet_share : (rows, cols) array, optional
        `share_wet` of earlier images, by which all are judged.
    """
    known = np.stack([~image.cloudy[inside] for image in images])
    water = np.stack([looks_wet(image, bands)[inside] for image in images]) & known
    if wet_share is None:
        kept = _nested(water, known)
        often = water[kept].sum(axis=0) / np.maximum(known[kept].sum(axis=0), 1)
    else:
        often = wet_share[inside]
    return _misplaced(water, known, often) > SPOILED_FROM


def _nested(water: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) bool: images of which each smaller water lies inside each larger one, where both are known."""
    ever = water.any(axis=0)
    wet, dry = water[:, ever].astype(np.float32), (known & ~water)[:, ever].astype(np.float32)
    outside = wet @ dry.T  # pixels of one image's water that the other shows dry
    common = outside + wet @ wet.T
    differ = np.where(common <= common.T, outside / np.maximum(common, 1), 0)  # of the smaller water
    differ = np.maximum(differ, differ.T)
    contradict = differ > 2 * SPOILED_FROM
    kept = np.ones(len(water), bool)
    while (doubtful := contradict[:, kept].any(axis=1) & kept).any():
        kept[np.where(doubtful, differ[:, kept].sum(axis=1), -1).argmax()] = False
    return kept


def _misplaced(water: np.ndarray, known: np.ndarray, often: np.ndarray) -> np.ndarray:
    """(n,) share of each image's water that isn't where, of the pixels without a cloud, there most often is water."""
    shares = []
    for seen, clear in zip(water, known, strict=True):
        n_wet = int(seen.sum())
        rank = np.partition(often[clear], -n_wet)[-n_wet] if n_wet else 1.0
        missing, elsewhere = (clear & (often > rank) & ~seen).sum(), ((often < rank) & seen).sum()
        shares.append(max(missing, elsewhere) / max(n_wet, 1))
    return np.array(shares)


def warn_of_offset(folder: Path, images: list[Image]) -> None:
    """The darkest pixels tell whether ESA's offset is still in."""
    first = pd.Timestamp(FIRST_DATE_WITH_OFFSET)
    darkest = [(image.date, _darkest(image) / REFLECTANCE_PER_DN) for image in images if not image.offset_told]
    before, since = ([dn for date, dn in darkest if (date >= first) == later] for later in (False, True))
    if before and since and (rise := np.median(since) - np.median(before)) > OFFSET_DN / 2:
        warnings.warn(
            f"{folder}: in images since {first:%Y-%m-%d} the darkest digital numbers are {rise:.0f} higher than "
            "in earlier ones, and their metadata state no offset. ESA adds 1,000 since that day; it is still in them. "
            "Subtract it, or write BOA_ADD_OFFSET=-1000 into their metadata.",
            stacklevel=3,
        )


def _darkest(image: Image) -> float:
    """Lowest value of pixels that tell something; where all are cloudy, of those that have data (others are 0)."""
    told = ~image.cloudy
    if not told.any():
        told = image.values.any(axis=0)
    return float(image.values[:, told].min()) if told.any() else 0.0


def percentages(folder: Path, images: list[Image]) -> list[Image]:
    """Images whose clouds are those of a percentage: s2cloudless gives shares from 0 to 1, and stays below 1 always."""
    shares = [image.share for image in images if image.share is not None]
    if len(shares) < len(images) or not any(share.any() for share in shares):
        return images
    warnings.warn(
        f"{folder}: CLDPRB never exceeds 1 in {len(images)} images; it is read as a share of 1, and not as a "
        "percentage. If it is one, leave out this band, or add images with clouds.",
        stacklevel=3,
    )
    return [replace(image, cloudy=image.cloudy | image.share) for image in images]


def warn_of_empty_qa60(folder: Path, images: list[Image]) -> None:
    """A mask that nobody filled calls every image clear."""
    first, end = QA60_EMPTY
    then = [image.empty_qa60 for image in images if first <= image.date < end]
    if then and all(then):
        warnings.warn(
            f"{folder}: QA60 is 0 in all images from {first:%Y-%m-%d} to {end:%Y-%m-%d} ({len(then)}), when Sentinel-2 "
            "came without it, and hides none of their clouds: give these images a band SCL or CLDPRB instead.",
            stacklevel=3,
        )
