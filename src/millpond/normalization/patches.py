"""A folder of patches: where each lies, when it was taken, and which rasters beside it say what it shows.

A patch is a GeoTIFF `<name>.tif` with the bands by name. Beside it there may be `<name>_landcover.tif` with codes of
ESA WorldCover and `<name>_mask.tif`, which is not zero where a pixel is left out (cloud, snow). Each of them may end in
`.tif` or `.tiff`, in upper case too. The day of acquisition is in the tag `ACQUIRED` or in the file's name; the tag
`LAND_COVER` labels a whole patch.
"""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from rasterio.warp import transform
from tqdm import tqdm

from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import found_offset, warn_of_doubts
from millpond.products import Scene, raster_files, scene_name
from millpond.raster import Raster, RasterError, open_raster
from millpond.sentinel2 import acquired

WORLD_COVER = {
    10: "trees",
    20: "shrubland",
    30: "grassland",
    40: "cropland",
    50: "built-up",
    60: "bare or sparse",
    70: "snow and ice",
    80: "water",
    90: "wetland",
    95: "mangroves",
    100: "moss and lichen",
}
"""Codes of ESA WorldCover (Zanaga et al., 2022, https://doi.org/10.5281/zenodo.7254221); 0 is no data."""

UNLABELLED = "unlabelled"
"""Land cover of pixels without a label."""

_PIXEL_SIZE_TOLERANCE = 0.05
UNREADABLE = "not readable, or without one of the bands"
"""Why a patch is skipped that `millpond.raster` refuses."""

_LABELS, _MASK = "_landcover", "_mask"
_BESIDE = (_LABELS, _MASK, "_parcels")
_ENDINGS = (".tif", ".tiff")


class Patch(NamedTuple):
    """What is known of a patch before its pixels are read."""

    path: Path
    name: str
    grid: tuple
    latitude_deg: float
    longitude_deg: float
    acquired: date | None
    offset: int | None
    land_cover: Path | str
    mask: Path | None


def find_patches(
    folder: str | Path,
    bands: Sequence[str],
    names: Sequence[str] | None = None,
    offset: int | str | None = "auto",
    dated: bool = True,
) -> tuple[list[Patch], dict[str, list[str]]]:
    """Look at the headers of all patches below a folder.

    Patches may lie in different UTM zones. Those whose size in pixels is not the most frequent one, whose pixels are
    more than 5 % larger or smaller than the most frequent ones, that can't be read, lack a band, a coordinate reference
    system, or a date where `dated`, or that have place and day of an earlier one, are skipped.

    Parameters
    ----------
    folder : path
        Searched recursively.
    bands : sequence of str
    names : sequence of str, optional
        Names for the bands of files that carry none.
    offset : "auto", int or None
        Radiometric offset; by default from the metadata, the product's name or the date in it.
    dated : bool
        Whether a patch needs a date.

    Returns
    -------
    list of Patch, dict of reason to names
        The patches in the order of their names, and those skipped.

    Raises
    ------
    NormalizationError
        If there is no patch, a tag can't be read, or labels or a mask belong to no patch or are there twice.
    RasterError
        If no file can be read that has the bands.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise NormalizationError(f"{folder}: {found} found, a folder with patches expected. Check the path.")
    files = patch_files(folder)
    paths = [path for path in files if not lies_beside(path)]
    beside = _beside(files, paths)
    if not paths:
        raise NormalizationError(
            f"{folder}: no patch found, GeoTIFFs (.tif) with bands {', '.join(bands)} expected. Check the folder."
        )
    skipped: dict[str, list[str]] = {}
    found: list[tuple[Patch, tuple[int, int], float]] = []
    doubts, refusals = [], []
    for path in tqdm(paths, desc="headers", unit="patch", disable=None):
        name = path.relative_to(folder).as_posix()
        with ExitStack() as stack:
            try:
                raster = stack.enter_context(open_raster(path, bands, names=names))
            except RasterError as refusal:
                refusals.append(refusal)
                skipped.setdefault(UNREADABLE, []).append(name)
                continue
            day = acquired(raster)
            if raster.crs is None:
                skipped.setdefault("no coordinate reference system", []).append(name)
            elif dated and day is None:
                skipped.setdefault("no date", []).append(name)
            else:
                offset_dn, doubt = found_offset(raster, offset)
                doubts.append(doubt)
                found.append(
                    (
                        _patch(raster, path, name, day, offset_dn, beside),
                        raster.shape,
                        math.sqrt(abs(raster.transform.determinant)),
                    )
                )
    warn_of_doubts(doubts)
    if len(refusals) == len(paths):
        raise refusals[0]
    if not found:
        return [], skipped
    # Of sizes that are equally frequent the largest, so that the order of the files doesn't matter.
    shape = max(Counter(size for _, size, _ in found).items(), key=lambda item: item[::-1])[0]
    pixel = _commonest([size for _, own_shape, size in found if own_shape == shape])
    kept, seen = [], set()
    for patch, own_shape, size in found:
        if own_shape != shape:
            skipped.setdefault(f"size not {shape[0]} x {shape[1]}", []).append(patch.name)
        elif abs(size / pixel - 1) > _PIXEL_SIZE_TOLERANCE:
            skipped.setdefault(f"pixel size not {pixel:.3g}", []).append(patch.name)
        elif patch.acquired and (patch.grid, patch.acquired) in seen:
            skipped.setdefault("place and day of an earlier patch", []).append(patch.name)
        else:
            seen.add((patch.grid, patch.acquired))
            kept.append(patch)
    return kept, skipped


def _commonest(sizes: list[float]) -> float:
    """The size with most others within the tolerance; of equals the smallest."""
    ordered = np.sort(sizes)
    ends = [ordered * (1 + sign * _PIXEL_SIZE_TOLERANCE) for sign in (-1, 1)]
    n_alike = np.searchsorted(ordered, ends[1], "right") - np.searchsorted(ordered, ends[0], "left")
    return float(ordered[n_alike.argmax()])


def lies_beside(path: str | Path) -> bool:
    """Whether a file's name is that of labels, a mask or parcels beside a patch."""
    return PurePosixPath(path).stem.endswith(_BESIDE)


def mask_beside(scene: Scene) -> Path | None:
    """The mask of a patch or scene, if there is one; that of a file a band is called as these without the band."""
    path = Path(scene if isinstance(scene, str) else scene_name(next(iter(scene.values()))) + _ENDINGS[0])
    names = (path.stem + _MASK + ending for lower in _ENDINGS for ending in (lower, lower.upper()))
    return next((beside for beside in map(path.with_name, names) if beside.exists()), None)


def patch_files(folder: str | Path) -> list[Path]:
    """All GeoTIFFs below a folder by their names: patches, labels and masks."""
    return [Path(file) for file in raster_files(folder) if file.lower().endswith(_ENDINGS)]


def centre_deg(raster) -> tuple[float, float]:
    """Latitude and longitude of the middle of an open raster."""
    rows, cols = raster.shape
    return to_degrees(raster.crs, *(raster.transform @ (cols / 2, rows / 2)))


def to_degrees(crs, x: float, y: float) -> tuple[float, float]:
    """Latitude and longitude of a place."""
    (longitude,), (latitude,) = transform(crs, "EPSG:4326", [x], [y])
    return latitude, longitude


def _patch(
    raster: Raster, path: Path, name: str, day: date | None, offset: int | None, beside: dict[Path, Path]
) -> Patch:
    latitude, longitude = centre_deg(raster)
    labels, mask = (beside.get(path.with_name(path.stem + what)) for what in (_LABELS, _MASK))
    corner = tuple(round(number, 6) for number in tuple(raster.transform)[:6])
    return Patch(
        path,
        name,
        (raster.crs.to_string(), corner, raster.shape),
        round(latitude, 6),
        round(longitude, 6),
        day,
        offset,
        labels or _label(raster, path),
        mask,
    )


def _beside(files: list[Path], patches: list[Path]) -> dict[Path, Path]:
    """Labels and masks, by their path without the ending; each must belong to a patch."""
    owners = {path.with_suffix("") for path in patches}
    found: dict[Path, Path] = {}
    orphans = []
    for path in files:
        place = path.with_name(path.stem)
        for what in (_LABELS, _MASK):
            if path.stem.endswith(what) and place.with_name(path.stem.removesuffix(what) or "_") not in owners:
                orphans.append(path)
            elif path.stem.endswith(what):
                if place in found:
                    raise NormalizationError(
                        f"{path}: {found[place].name} beside it found, one of them expected. Remove the other."
                    )
                found[place] = path
    if orphans:
        more = f" (and {len(orphans) - 1:,} more)" if len(orphans) > 1 else ""
        raise NormalizationError(
            f"{orphans[0]}{more}: labels or a mask without a patch found, a patch of the same name without {_LABELS} "
            f"or {_MASK} expected beside it. Add the patch, or move the file away; rename it if it is a patch itself."
        )
    return found


def _label(raster: Raster, path: Path) -> str:
    text = raster.tags().get("LAND_COVER", "").strip()
    if not text.isdecimal():
        return text or UNLABELLED
    if int(text) not in WORLD_COVER:
        raise NormalizationError(f"{path}: LAND_COVER={text} found, {codes_expected()}. Mend the tag.")
    return WORLD_COVER[int(text)]


def codes_expected() -> str:
    """The codes, for a message."""
    return f"a code of ESA WorldCover ({', '.join(map(str, WORLD_COVER))}) expected"
