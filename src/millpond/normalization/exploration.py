"""Histograms of many patches by land cover, region and month, in one pass over their pixels.

A full histogram takes half a megabyte a band, and regions times land covers are hundreds: only the digital numbers that
occur are kept here, with their counts. Nothing is rounded.
"""

import json
import math
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from millpond.files import write_text
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import DEFAULT_BANDS, N_DN, BandHistogram, check_offset, read_digital_numbers
from millpond.normalization.patches import (
    UNLABELLED,
    UNREADABLE,
    WORLD_COVER,
    Patch,
    codes_expected,
    find_patches,
)
from millpond.raster import RasterError, band_name, check_same_grid, open_raster

DIMENSIONS = ("landcover", "region", "month")
BY = ("landcover", "region", "month", "landcover:region")
"""The groupings of the study: land cover, region, month, and cropland by region."""

_FORMAT = "millpond patch statistics 1"
_MAX_PIXELS = 2**20
_EVERYTHING = ((), ())


class Group(NamedTuple):
    """Counts of one group: `dn` is the digital number plus 65,536 times the index of the band, in rising order."""

    dn: np.ndarray
    counts: np.ndarray
    n_patches: int


@dataclass(frozen=True, eq=False)
class PatchStatistics:
    """What patches hold, by group; made by `patch_statistics`.

    Attributes
    ----------
    bands : tuple of str
    by : tuple of str
        Groupings: "landcover", "region", "month", or two of them joined by a colon.
    region_size_deg : (float, float)
        Height and width of a region in degrees of latitude and longitude.
    offset : int or None
        Radiometric offset in the digital numbers.
    one_date_per_place : bool
        Whether "landcover" counts a single date of each place.
    places : DataFrame
        One row a place: `latitude_deg`, `longitude_deg`, `region`, `n_patches` (dates).
    skipped : dict of str to list of str
        Reason to names of patches.
    """

    bands: tuple[str, ...]
    by: tuple[str, ...]
    region_size_deg: tuple[float, float]
    offset: int | None
    one_date_per_place: bool
    groups: dict[tuple, Group]
    places: pd.DataFrame
    skipped: dict[str, list[str]]

    @property
    def n_patches(self) -> int:
        """Patches counted."""
        return self.groups[_EVERYTHING].n_patches

    def histogram(self, **labels: Hashable) -> BandHistogram:
        """The histogram of a group, such as `landcover="cropland", region="N45E010"`; without labels, of everything.

        Raises
        ------
        NormalizationError
            If there is no such group.
        """
        grouping = self._grouping(":".join(labels)) if labels else ()
        label = tuple(labels[name] for name in grouping)
        if (grouping, label) not in self.groups:
            known = [_shown(other) for name, other in self.groups if name == grouping]
            raise NormalizationError(
                f"group {_shown(label)} found, one of {', '.join(known)} expected. Ask for one of these."
            )
        return self._dense(self.groups[grouping, label])

    def histograms(self, by: str) -> Mapping[Hashable, BandHistogram]:
        """The histograms of a grouping by label, or by tuple of labels; each is made when it is taken."""
        grouping = self._grouping(by)
        found = {label: group for (name, label), group in self.groups.items() if name == grouping}
        return _Histograms(self, {label[0] if len(label) == 1 else label: group for label, group in found.items()})

    def table(self, by: str) -> pd.DataFrame:
        """One row a group: its labels, `n_pixels` (of the band with most), `share` of the pixels, `n_patches`."""
        grouping = self._grouping(by)
        rows = [
            (*label, _most_pixels(group, len(self.bands)), group.n_patches)
            for (name, label), group in self.groups.items()
            if name == grouping
        ]
        table = pd.DataFrame(rows, columns=[*grouping, "n_pixels", "n_patches"])
        table.insert(len(grouping) + 1, "share", table.n_pixels / table.n_pixels.sum())
        return table

    @property
    def regions(self) -> pd.DataFrame:
        """By region: `n_places`, and `latitude_deg` and `longitude_deg`, the means of its places."""
        by_region = self.places.groupby("region")
        return by_region.agg(
            n_places=("latitude_deg", "size"),
            latitude_deg=("latitude_deg", "mean"),
            longitude_deg=("longitude_deg", "mean"),
        )

    def save(self, path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
        """Write a JSON file; nothing is rounded.

        The counts of a band are a list that begins at digital number 0, in which a negative number stands for so many
        digital numbers that don't occur.

        Parameters
        ----------
        path : path
        inputs : iterable of path
            Files that are being read and must not be overwritten.
        """
        head = {
            "format": _FORMAT,
            "bands": list(self.bands),
            "by": list(self.by),
            "region_size_deg": list(self.region_size_deg),
            "offset": self.offset,
            "one_date_per_place": self.one_date_per_place,
            "skipped": self.skipped,
            "places": self.places[["latitude_deg", "longitude_deg", "n_patches"]].to_numpy().tolist(),
        }
        lines = [f'"{name}": {json.dumps(value, allow_nan=False)}' for name, value in head.items()]
        groups = (
            json.dumps(
                {
                    "by": list(grouping),
                    "labels": list(label),
                    "n_patches": group.n_patches,
                    "counts": dict(zip(self.bands, _runs(group, len(self.bands)), strict=True)),
                },
                separators=(",", ":"),
            )
            for (grouping, label), group in self.groups.items()
        )
        lines.append('"groups": [\n' + ",\n".join(groups) + "\n]")
        write_text(path, "{\n" + ",\n".join(lines) + "\n}\n", NormalizationError, inputs)

    @classmethod
    def load(cls, path: str | Path) -> "PatchStatistics":
        """Read what `save` wrote.

        Raises
        ------
        NormalizationError
            If the file is missing or isn't such a file.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise NormalizationError(
                f"{path}: {error.strerror or error}, saved statistics expected. Check the path."
            ) from error
        except ValueError as error:
            raise NormalizationError(
                f"{path}: no JSON found ({error}), saved statistics expected. Make them with "
                "`millpond normalize stats`."
            ) from error
        if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
            raise NormalizationError(
                f"{path}: JSON of another format found, {_FORMAT!r} expected. Make it with `millpond normalize stats`."
            )
        try:
            size = tuple(content["region_size_deg"])
            groups = {
                (tuple(group["by"]), tuple(group["labels"])): _from_runs(
                    [group["counts"][band] for band in content["bands"]], group["n_patches"]
                )
                for group in content["groups"]
            }
            skipped = content["skipped"]
            check_offset(content["offset"])
            facts = {
                "groups": _EVERYTHING in groups and all(len(name) == len(label) for name, label in groups),
                "skipped": isinstance(skipped, dict) and all(isinstance(names, list) for names in skipped.values()),
                "region_size_deg": len(size) == 2 and all(0 < degrees <= 180 for degrees in size),
            }
            if wrong := [name for name, holds in facts.items() if not holds]:
                raise ValueError(f"{', '.join(wrong)} incomplete")
            return cls(
                tuple(content["bands"]),
                tuple(content["by"]),
                size,
                content["offset"],
                content["one_date_per_place"],
                groups,
                _places([(lat, lon, int(n)) for lat, lon, n in content["places"]], size),
                skipped,
            )
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, NormalizationError) as error:
            raise NormalizationError(
                f"{path}: incomplete or edited statistics found ({error!r}), all fields that save writes expected. "
                "Count the patches again."
            ) from error

    def _grouping(self, by: str) -> tuple[str, ...]:
        wanted = set(by.split(":"))
        for known in self.by:
            if set(known.split(":")) == wanted:
                return tuple(known.split(":"))
        raise NormalizationError(f"grouping {by!r} found, one of {', '.join(self.by)} expected. Count by it.")

    def _dense(self, group: Group) -> BandHistogram:
        counts = np.zeros(len(self.bands) * N_DN, np.int64)
        counts[group.dn] = group.counts
        return BandHistogram(counts.reshape(len(self.bands), N_DN), self.bands, self.offset)


class _Histograms(Mapping):
    def __init__(self, statistics: PatchStatistics, groups: dict[Hashable, Group]):
        self._statistics, self._groups = statistics, groups

    def __getitem__(self, label: Hashable) -> BandHistogram:
        return self._statistics._dense(self._groups[label])

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


def patch_statistics(
    folder: str | Path,
    by: Sequence[str] = BY,
    bands: Sequence[str] = DEFAULT_BANDS,
    nodata: int | None = 0,
    client=None,
    *,
    region_size_deg: tuple[float, float] = (5, 10),
    one_date_per_place: bool = False,
    max_masked: float = 1.0,
    names: Sequence[str] | None = None,
    offset: int | str | None = "auto",
    harmonize: bool = False,
) -> PatchStatistics:
    """Count the patches of a folder, laid out as `millpond.normalization.patches` says.

    Patches on the same grid are dates of one place. Pixels without a label are the land cover "unlabelled". Memory
    grows with the digital numbers that occur in each group, not with the number of patches.

    Parameters
    ----------
    folder : path
        Searched recursively.
    by : sequence of str
        Groupings: "landcover", "region", "month", or several of them joined by a colon.
    bands, nodata
        As in `BandHistogram.from_array`.
    client : dask.distributed.Client, optional
        Counts places on a cluster; every worker must see the files.
    region_size_deg : (float, float)
        Height and width of a region, in degrees of latitude and longitude. A region is named after its south-west
        corner: N45E010.
    one_date_per_place : bool
        Count a single date of each place for the grouping "landcover" (not for others with it), as the study did since
        WorldCover is one map for all dates: the date with most valid pixels, the earliest of equals. The study doesn't
        say which date it took.
    max_masked : float
        Largest masked share of a patch; patches with more are skipped whole.
    names, offset, harmonize
        As in `BandHistogram.from_rasters`.

    Raises
    ------
    NormalizationError
        If the folder holds no patch, all are skipped, a label raster holds unknown codes, or patches of unlike offsets
        would be mixed.
    RasterError
        If a file can't be read as expected.

    Warns
    -----
    UserWarning
        If there are several patches and nothing tells their offset.
    """
    by = _checked(by)
    bands = tuple(map(band_name, bands))
    if not (len(region_size_deg) == 2 and all(0 < size <= 180 for size in region_size_deg)):
        raise NormalizationError(
            f"region size {region_size_deg} found, two numbers of degrees in 0..180 expected. Pass height "
            "and width, such as (5, 10)."
        )
    if not 0 <= max_masked <= 1:
        raise NormalizationError(
            f"largest masked share {max_masked} found, a number from 0 to 1 expected. State it as a share, not in %."
        )
    if offset != "auto":
        check_offset(offset)
    dated = any("month" in grouping.split(":") for grouping in by)
    patches, skipped = find_patches(folder, bands, names, offset, dated)
    offset = _common_offset(patches, harmonize)
    patches.sort(key=lambda patch: (patch.grid, str(patch.acquired), patch.name))
    places = [list(dates) for _, dates in groupby(patches, key=lambda patch: patch.grid)]
    settings = (by, bands, names, nodata, tuple(region_size_deg), one_date_per_place, max_masked, harmonize)
    totals: dict[tuple, Group] = {}
    counted = []
    with tqdm(total=len(patches), desc="pixels", unit="patch", disable=None) as progress:
        for place, groups, left_out in _run(places, settings, client):
            progress.update(len(place))
            for reason, name in left_out:
                skipped.setdefault(reason, []).append(name)
            if groups:
                counted.append((place[0].latitude_deg, place[0].longitude_deg, groups[_EVERYTHING].n_patches))
            _add(totals, groups)
    if not totals:
        reasons = "; ".join(f"{len(listed)} skipped: {reason} ({listed[0]})" for reason, listed in skipped.items())
        raise NormalizationError(
            f"{folder}: no patch to count found, at least one expected. {reasons}. Mend them, or name another folder."
        )
    return PatchStatistics(
        bands,
        by,
        tuple(region_size_deg),
        offset,
        one_date_per_place,
        _in_order(totals),
        _places(counted, tuple(region_size_deg)),
        {reason: sorted(listed) for reason, listed in sorted(skipped.items())},
    )


def region_name(latitude_deg: float, longitude_deg: float, size_deg: tuple[float, float] = (5, 10)) -> str:
    """The region of a place by its south-west corner, such as N45E010."""
    south, west = (
        math.floor(at / size) * size for at, size in zip((latitude_deg, longitude_deg), size_deg, strict=True)
    )
    return f"{'S' if south < 0 else 'N'}{abs(south):02g}{'W' if west < 0 else 'E'}{abs(west):03g}"


def _checked(by: Sequence[str]) -> tuple[str, ...]:
    by = (by,) if isinstance(by, str) else tuple(by)
    for grouping in by:
        names = grouping.split(":")
        if len(set(names)) < len(names) or not set(names) <= set(DIMENSIONS):
            raise NormalizationError(
                f"grouping {grouping!r} found, {', '.join(DIMENSIONS)} or several of them joined by a colon expected. "
                "Group by these."
            )
    if not by or len({frozenset(grouping.split(":")) for grouping in by}) < len(by):
        raise NormalizationError(
            f"groupings ({', '.join(by)}) found, one or more different ones expected. Name each once."
        )
    return by


def _common_offset(patches: list[Patch], harmonize: bool) -> int | None:
    """The offset that the counts will have; refuses mixtures, before a pixel is read."""
    examples = {patch.offset: patch.name for patch in reversed(patches)}
    if None in examples and (harmonize or len(examples) > 1):
        raise NormalizationError(
            f"{examples[None]}: unknown radiometric offset found, a known one expected. State it: offset=0 or "
            "offset=1000 (--offset)."
        )
    if harmonize:
        return 0
    if len(examples) > 1:
        found = " and ".join(f"{offset:,} ({examples[offset]})" for offset in sorted(examples))
        raise NormalizationError(
            f"patches with radiometric offsets {found} found, one offset expected: since processing baseline 04.00 "
            "(25 January 2022) digital numbers include 1,000. Harmonize them (harmonize=True, --harmonize)."
        )
    if None in examples and len(patches) > 1:
        warnings.warn(
            f"the radiometric offset of {len(patches)} patches is unknown; if some are from before and some since "
            "processing baseline 04.00, their digital numbers don't fit together. State it: offset=0 or offset=1000 "
            "(--offset).",
            stacklevel=3,
        )
    return next(iter(examples), None)


def _run(places: list[list[Patch]], settings: tuple, client) -> Iterator[tuple]:
    if client is None:
        yield from (_count_place(place, *settings) for place in places)
        return
    from distributed import as_completed  # slow to import, and few need it

    # Nothing here may hold a future once its result is out: the cluster keeps results as long as somebody does.
    counting = as_completed(
        client.map(lambda place: _count_place(place, *settings), places, pure=False), with_results=True
    )
    for future, counted in counting:
        del future
        yield counted


def _count_place(place, by, bands, names, nodata, region_size_deg, one_date, max_masked, harmonize) -> tuple:
    """The place itself, its groups, and (reason, name) of what was left out."""
    groupings = [(), *(tuple(name.split(":")) for name in by)]
    once = ("landcover",) if one_date else None
    totals: dict[tuple, Group] = {}
    left_out = []
    most, best = -1, {}
    for patch in place:
        try:
            covers, masked, n_pixels = _count_patch(patch, bands, names, nodata, harmonize)
        except RasterError as refusal:
            if not str(refusal).startswith(f"{patch.path}:"):  # it is about labels or a mask
                raise
            left_out.append((UNREADABLE, patch.name))
            continue
        if masked > max_masked * n_pixels and masked < n_pixels:
            left_out.append((f"more than {max_masked:.0%} masked", patch.name))
            continue
        if not covers:
            left_out.append(("all cloud or snow" if masked else "no data", patch.name))
            continue
        fixed = {
            "region": region_name(patch.latitude_deg, patch.longitude_deg, region_size_deg),
            "month": patch.acquired.month if patch.acquired else None,
        }
        _add(totals, _grouped(covers, fixed, [grouping for grouping in groupings if grouping != once]))
        if once in groupings:
            # Of equals the first stays, and the dates are in order.
            n = sum(int(group.counts.sum()) for group in covers.values())
            if n > most:
                most, best = n, _grouped(covers, fixed, [once])
    _add(totals, best)
    return place, totals, left_out


def _grouped(covers: dict[str, Group], fixed: dict, groupings: list[tuple[str, ...]]) -> dict[tuple, Group]:
    """The land covers of a patch, put together by each grouping; in a group it is one patch."""
    parts: dict[tuple, list[Group]] = {}
    for grouping in groupings:
        for cover, group in covers.items():
            labels = fixed | {"landcover": cover}
            key = grouping, tuple(labels[name] for name in grouping)
            n_patches = int(key not in parts)
            parts.setdefault(key, []).append(group._replace(n_patches=n_patches))
    return {key: _merged(groups) for key, groups in parts.items()}


def _add(totals: dict[tuple, Group], groups: dict[tuple, Group]) -> None:
    for key, group in groups.items():
        totals[key] = _merged([totals[key], group]) if key in totals else group


def _count_patch(patch: Patch, bands, names, nodata, harmonize) -> tuple[dict[str, Group], int, int]:
    """Groups by land cover, number of masked pixels, number of pixels."""
    parts, n_masked = [], 0
    with ExitStack() as stack:
        raster = stack.enter_context(open_raster(patch.path, bands, names=names))
        rasters = {"mask": patch.mask, "labels": patch.land_cover if isinstance(patch.land_cover, Path) else None}
        beside = {what: stack.enter_context(open_raster({what: path})) for what, path in rasters.items() if path}
        for other in beside.values():
            check_same_grid(raster, other)
        for window in raster.windows(_MAX_PIXELS):
            dn = read_digital_numbers(raster, window, nodata)
            keep, dn = ~np.ma.getmaskarray(dn), dn.data
            if "mask" in beside:
                masked = beside["mask"].read(window)[0] != 0
                n_masked += int(masked.sum())
                keep &= ~masked
            key = dn.astype(np.int32)
            if harmonize:  # as BandHistogram.harmonized
                key[dn < N_DN - 1] -= patch.offset
                np.maximum(key, 0, out=key)
            key += np.arange(len(bands), dtype=np.int32)[:, None, None] * N_DN
            if "labels" in beside:
                labels = beside["labels"].read(window, masked=True)[0].filled(0)
                key += _codes(labels, patch.land_cover) * np.int32(len(bands) * N_DN)
            parts.append(np.unique(key[keep], return_counts=True))
        rows, cols = raster.shape
    whole = _merged([Group(dn, counts, 0) for dn, counts in parts])
    code, dn = np.divmod(whole.dn, len(bands) * N_DN)
    covers = {}
    for value in np.unique(code):
        name = patch.land_cover if "labels" not in beside else WORLD_COVER.get(int(value), UNLABELLED)
        covers[name] = Group(dn[code == value], whole.counts[code == value], 1)
    return covers, n_masked, rows * cols


def _codes(labels: np.ndarray, path: Path) -> np.ndarray:
    unknown = sorted({*np.unique(labels).tolist()} - {0, *WORLD_COVER})
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise NormalizationError(
            f"{path}: codes {shown} found, {codes_expected()}, or 0 for no data. Recode the raster."
        )
    return labels.astype(np.int32)


def _merged(groups: list[Group]) -> Group:
    if len(groups) == 1:
        return groups[0]
    dn = np.concatenate([group.dn for group in groups])
    # A stable sort merges what is already in order.
    order = np.argsort(dn, kind="stable")
    dn = dn[order]
    starts = np.flatnonzero(np.diff(dn, prepend=-1))
    counts = np.add.reduceat(np.concatenate([group.counts for group in groups])[order], starts)
    return Group(dn[starts], counts, sum(group.n_patches for group in groups))


def _most_pixels(group: Group, n_bands: int) -> int:
    edges = np.searchsorted(group.dn, np.arange(n_bands + 1) * N_DN)
    return max(int(group.counts[a:b].sum()) for a, b in pairwise(edges))


def _runs(group: Group, n_bands: int) -> list[list[int]]:
    edges = np.searchsorted(group.dn, np.arange(n_bands + 1) * N_DN)
    runs = []
    for band, (a, b) in enumerate(pairwise(edges)):
        gaps = np.diff(group.dn[a:b] - band * N_DN, prepend=-1) - 1
        pairs = np.column_stack([-gaps, group.counts[a:b]]).ravel()
        runs.append(pairs[pairs != 0].tolist())
    return runs


def _from_runs(runs: list[list[int]], n_patches: int) -> Group:
    dn, counts = [], []
    for band, numbers in enumerate(runs):
        numbers = np.array(numbers)
        if numbers.size and numbers.dtype.kind != "i":
            raise ValueError(f"counts of type {numbers.dtype}")
        numbers = numbers.astype(np.int64)
        places = np.cumsum(np.where(numbers < 0, -numbers, 1)) - 1
        if len(places) and places[-1] >= N_DN:
            raise ValueError(f"digital number {places[-1]}")
        dn.append(places[numbers > 0] + band * N_DN)
        counts.append(numbers[numbers > 0])
    return Group(np.concatenate(dn).astype(np.int32), np.concatenate(counts), n_patches)


def _places(rows: list[tuple[float, float, int]], size_deg: tuple[float, float]) -> pd.DataFrame:
    places = pd.DataFrame(rows, columns=["latitude_deg", "longitude_deg", "n_patches"])
    names = [region_name(lat, lon, size_deg) for lat, lon, _ in rows]
    places.insert(2, "region", pd.Series(names, dtype=str))
    return _sorted_places(places)


def _sorted_places(places: pd.DataFrame) -> pd.DataFrame:
    return places.sort_values(["latitude_deg", "longitude_deg", "n_patches"], ignore_index=True)


def _in_order(groups: dict[tuple, Group]) -> dict[tuple, Group]:
    return dict(sorted(groups.items(), key=lambda item: (item[0][0], tuple((str(type(x)), x) for x in item[0][1]))))


def _shown(label: tuple) -> str:
    return ", ".join(map(str, label)) or "everything"
