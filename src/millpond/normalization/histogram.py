"""Exact histograms of digital numbers.

A digital number (DN) of Sentinel-2 is a 16-bit integer, so 65,536 counters a band hold everything that percentiles,
means and normalizations need: exactly, in memory that doesn't grow with the archive, and in a form that can be added up
over scenes, machines and years. Pixels are visited once.
"""

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from pathlib import Path

import numba
import numpy as np
from rasterio.windows import Window
from tqdm import tqdm

from millpond.normalization.errors import NormalizationError
from millpond.raster import Raster, RasterError, band_name, check_same_grid, find_scenes, n_bands, open_raster
from millpond.sentinel2 import find_offset

N_DN = 65536
"""Number of values that a 16-bit digital number can take."""

DEFAULT_BANDS = ("B02", "B03", "B04", "B08")
"""The study's bands: blue, green, red and near infrared, all at 10 m."""

N_SOURCES = 5
"""So many names of files are kept; there may be half a million."""


@dataclass(frozen=True, eq=False)
class BandHistogram:
    """Counts of every digital number in every band.

    Attributes
    ----------
    counts : (n_bands, 65536) int64 array
    bands : tuple of str
    offset : int or None
        Radiometric offset that the digital numbers include (0 or 1000 for Sentinel-2); None if unknown.
    sources : tuple of str
        Names of the files counted, the first `N_SOURCES` of them.
    n_sources : int
        How many files that were.
    nodata : int or None
        Digital number that wasn't counted.
    """

    counts: np.ndarray
    bands: tuple[str, ...]
    offset: int | None = None
    sources: tuple[str, ...] = field(default=())
    nodata: int | None = 0
    n_sources: int | None = None

    def __post_init__(self):
        check_offset(self.offset)
        if self.n_sources is None:
            object.__setattr__(self, "n_sources", len(self.sources))
        object.__setattr__(self, "sources", tuple(sorted(self.sources)[:N_SOURCES]))
        if len(set(self.bands)) < len(self.bands):
            raise NormalizationError(
                f"bands {', '.join(self.bands)} found, different names expected. Name those of several dates apart, "
                "such as B02-1 and B02-2, or count each date by itself."
            )

    @property
    def offset_in_words(self) -> str:
        """The offset for a message."""
        return "unknown" if self.offset is None else f"{self.offset:,}"

    @classmethod
    def from_array(
        cls,
        dn: np.ndarray,
        bands: Sequence[str] = DEFAULT_BANDS,
        nodata: int | None = 0,
        *,
        mask: np.ndarray | None = None,
        offset: int | None = None,
    ) -> "BandHistogram":
        """Count an array.

        Parameters
        ----------
        dn : (n_bands, rows, cols) array of uint16
            Other integer types are taken if their values are in 0..65535. Of a masked array masked values aren't
            counted.
        bands : sequence of str
        nodata : int or None
            Digital number that stands for "no data", beside what a file declares; not counted, band by band.
        mask : (rows, cols) bool array, optional
            True where a pixel is left out in all bands (cloud, snow).
        offset : int, optional
            Radiometric offset included in `dn`; see `millpond.sentinel2`.

        Raises
        ------
        NormalizationError
            If shape, data type or number of bands don't fit.
        """
        groups = None if mask is None else np.where(np.asarray(mask, bool), -1, 0)
        counts = _count_array(dn, bands, groups, n_groups=1)
        return cls._finish(counts[0], bands, nodata, offset)

    @classmethod
    def grouped_from_array(
        cls,
        dn: np.ndarray,
        groups: np.ndarray,
        bands: Sequence[str] = DEFAULT_BANDS,
        nodata: int | None = 0,
        *,
        mask: np.ndarray | None = None,
        offset: int | None = None,
    ) -> dict[int, "BandHistogram"]:
        """Count an array by the label of each pixel, in one pass.

        Parameters
        ----------
        groups : (rows, cols) array of integers
            Land cover, region or any other label; negative labels are left out.

        Returns
        -------
        dict of label to BandHistogram
            In the order of the labels; labels without pixels are absent.
        """
        labels, index = np.unique(np.asarray(groups), return_inverse=True)
        if not np.issubdtype(labels.dtype, np.integer):
            raise NormalizationError(f"groups of type {labels.dtype} found, integers expected. Number the classes.")
        left_out = int((labels < 0).sum())
        labels, index = labels[left_out:], index.reshape(np.shape(groups)) - left_out
        if mask is not None:
            index = np.where(np.asarray(mask, bool), -1, index)
        counts = _count_array(dn, bands, index, n_groups=len(labels))
        return {
            int(label): cls._finish(group, bands, nodata, offset)
            for label, group in zip(labels, counts, strict=True)
            if group.any()
        }

    @classmethod
    def from_rasters(
        cls,
        paths,
        bands: Sequence[str] = DEFAULT_BANDS,
        nodata: int | None = 0,
        client=None,
        *,
        names: Sequence[str] | None = None,
        masks: Sequence[str | Path] | None = None,
        offset: int | str | None = "auto",
        harmonize: bool = False,
        resolution_m: float | None = None,
    ) -> "BandHistogram":
        """Count scenes of any size, block by block.

        Parameters
        ----------
        paths : path, mapping of band to path, or a sequence of these
            One scene or several: files, SAFE folders, zips. Files with one band each that are named alike but for the
            band are one scene; so is a list of other files with one band each. Lists of them may be nested.
        bands, nodata
            As in `from_array`.
        client : dask.distributed.Client, optional
            Counts scenes on a cluster; every worker must see the files.
        names : sequence of str, optional
            Names for the bands of files that carry none.
        masks : sequence of path, optional
            One raster a scene, on its grid; pixels where it isn't zero are left out.
        offset : "auto", int or None
            Radiometric offset; by default from the metadata, the product's name or the date (None if nothing is found).
        harmonize : bool
            Bring every scene to offset 0 before adding. Otherwise scenes of unlike offsets are refused.
        resolution_m : float, optional
            As of `millpond.raster.open_raster`.

        Raises
        ------
        RasterError
            If a file can't be read as expected.
        NormalizationError
            If scenes of unlike offsets would be mixed, or the values aren't digital numbers.

        Warns
        -----
        UserWarning
            If pixels contradict an offset, or there are several scenes and nothing tells theirs.
        """
        scenes = scenes_among(paths, names, resolution_m)
        masks = [None] * len(scenes) if masks is None else list(masks)
        if len(masks) != len(scenes):
            raise NormalizationError(f"{len(masks)} masks for {len(scenes)} scenes found, one a scene expected.")
        settings = bands, names, nodata, offset, harmonize, resolution_m
        jobs = [(scene, mask, *settings) for scene, mask in zip(scenes, masks, strict=True)]
        # a bar for a single scene would stand still
        scenes_counted = tqdm(
            _run(jobs, client), total=len(jobs), unit="scene", disable=None if len(jobs) > 1 else True
        )
        histograms, doubts = zip(*scenes_counted, strict=True)
        warn_of_doubts(doubts)
        histogram = reduce(operator.add, histograms)
        if len(scenes) > 1 and histogram.offset is None:
            warnings.warn(
                f"the radiometric offset of {len(scenes)} scenes is unknown; if some are from before and some since "
                "processing baseline 04.00, their digital numbers don't fit together. State it: offset=0 or "
                "offset=1000 (--offset).",
                stacklevel=2,
            )
        return histogram

    @classmethod
    def _finish(cls, counts, bands, nodata, offset, sources=()) -> "BandHistogram":
        check_nodata(nodata)
        if nodata is not None:
            counts[:, int(nodata)] = 0
        return cls(counts, tuple(map(band_name, bands)), offset, tuple(sources), nodata)

    def __add__(self, other: "BandHistogram") -> "BandHistogram":
        """The histogram of the pixels of both.

        Raises
        ------
        NormalizationError
            If bands or radiometric offsets differ, or one of the offsets is unknown.
        """
        if not isinstance(other, BandHistogram):
            return NotImplemented
        if self.bands != other.bands:
            raise NormalizationError(
                f"histograms of bands {', '.join(self.bands)} and {', '.join(other.bands)} found, the same bands in "
                "the same order expected. Count both with the same bands=(...)."
            )
        if self.offset != other.offset:
            raise NormalizationError(
                f"histograms with radiometric offsets {_whose(self)} and {_whose(other)} found, one offset expected: "
                "since processing baseline 04.00 (25 January 2022) digital numbers include 1,000. Harmonize them "
                "(harmonized(), harmonize=True, --harmonize); or state the offset (offset=, --offset): 1000, or 0, if "
                "the provider has taken it off as Earth Search does."
            )
        if self.nodata != other.nodata:
            raise NormalizationError(
                f"histograms without {self.nodata} and without {other.nodata} as no data found, one such value "
                "expected. Count both with the same nodata (--nodata)."
            )
        return replace(
            self,
            counts=self.counts + other.counts,
            sources=tuple({*self.sources, *other.sources}),
            n_sources=self.n_sources + other.n_sources,
        )

    def harmonized(self) -> "BandHistogram":
        """The same pixels with the radiometric offset taken off.

        Negative reflectances become digital number 0. 65535, which stands for saturation, stays.

        Raises
        ------
        NormalizationError
            If the offset is unknown.
        """
        if self.offset is None:
            raise NormalizationError(
                "a histogram of unknown radiometric offset found, a known one expected. State it when counting: "
                "offset=0 before processing baseline 04.00, offset=1000 since."
            )
        shifted = np.zeros_like(self.counts)
        shifted[:, -1] = self.counts[:, -1]
        shifted[:, : N_DN - 1 - self.offset] = self.counts[:, self.offset : -1]
        shifted[:, 0] += self.counts[:, : self.offset].sum(axis=1)
        return replace(self, counts=shifted, offset=0)

    def select(self, bands: Sequence[str]) -> "BandHistogram":
        """The histogram of some of the bands, in the order asked for."""
        bands = tuple(map(band_name, bands))
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise NormalizationError(
                f"bands {', '.join(self.bands)} found, {', '.join(missing)} missing. Count these bands too."
            )
        return replace(self, counts=self.counts[[self.bands.index(band) for band in bands]], bands=bands)

    @cached_property
    def n_pixels(self) -> np.ndarray:
        """(n_bands,) int64: valid pixels of each band."""
        return self.counts.sum(axis=1)

    @cached_property
    def min(self) -> np.ndarray:
        """(n_bands,) smallest valid digital number."""
        self._require_pixels()
        return (self.counts > 0).argmax(axis=1)

    @cached_property
    def max(self) -> np.ndarray:
        """(n_bands,) largest valid digital number."""
        self._require_pixels()
        return N_DN - 1 - (self.counts[:, ::-1] > 0).argmax(axis=1)

    @cached_property
    def mean(self) -> np.ndarray:
        """(n_bands,) mean digital number, from exact integer sums."""
        self._require_pixels()
        return self.counts @ np.arange(N_DN) / self.n_pixels

    @cached_property
    def std(self) -> np.ndarray:
        """(n_bands,) population standard deviation."""
        return np.sqrt(self.central_moment(2))

    def central_moment(self, order: int) -> np.ndarray:
        """(n_bands,) central moment of the digital numbers."""
        deviations = np.arange(N_DN) - self.mean[:, None]
        return (self.counts * deviations**order).sum(axis=1) / self.n_pixels

    def percentile(self, q, of: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """Percentiles as `numpy.percentile(..., method="linear")` gives them on the same pixels, to the last bit.

        Parameters
        ----------
        q : float or array of float
            In 0..100, taken as float64.
        of : callable, optional
            An increasing function; then the percentiles are those of the transformed values.

        Returns
        -------
        (*shape of q, n_bands) float64 array

        Raises
        ------
        NormalizationError
            If a band has no valid pixel or `q` is out of range.
        """
        self._require_pixels()
        fractions = np.asarray(q, float) / 100
        if not np.all((fractions >= 0) & (fractions <= 1)):
            raise NormalizationError(f"percentile {q} found, a number from 0 to 100 expected.")
        position = (self.n_pixels - 1) * fractions[..., None]  # of the value in the sorted pixels, between two of them
        below = np.floor(position)
        weight = position - below
        left = self._order_statistic(below)
        right = self._order_statistic(np.minimum(below + 1, self.n_pixels - 1))
        if of is not None:
            left, right = of(left), of(right)
        # numpy interpolates from the nearer end; anything else differs from it in the last bit.
        step = right - left
        return np.where(weight >= 0.5, right - step * (1 - weight), left + step * weight)

    @cached_property
    def _cumulative(self) -> np.ndarray:
        return self.counts.cumsum(axis=1)

    def _order_statistic(self, rank: np.ndarray) -> np.ndarray:
        """Value at a rank (0 = smallest) of the sorted pixels; `rank` is (..., n_bands)."""
        return np.stack(
            [np.searchsorted(self._cumulative[band], rank[..., band], side="right") for band in range(len(self.bands))],
            axis=-1,
        ).astype(float)

    def _require_pixels(self) -> None:
        empty = [band for band, n in zip(self.bands, self.n_pixels, strict=True) if n == 0]
        if empty:
            raise NormalizationError(
                f"no valid pixel found in {', '.join(empty)}, at least one expected. "
                "Check the no-data value and the mask."
            )


def check_offset(offset: int | None) -> None:
    """Refuse what can't be a radiometric offset in digital numbers."""
    if not (offset is None or (isinstance(offset, int | np.integer) and 0 <= offset < N_DN)):
        raise NormalizationError(
            f"radiometric offset {offset!r} found, None or what digital numbers include, 0 or 1000 for Sentinel-2, "
            "expected. ESA's metadata state what is to be added, -1000: leave out the sign."
        )


def check_nodata(nodata: float | None) -> None:
    """Refuse what no pixel could hold."""
    if not (nodata is None or nodata in range(N_DN)):
        raise NormalizationError(
            f"no-data value {nodata!r} found, None or a digital number in 0..65535 expected. What a file itself calls "
            "no data is known without saying."
        )


def as_digital_numbers(dn: np.ndarray) -> np.ndarray:
    """View or convert integers in 0..65535 as uint16, masked as they are; anything else is refused.

    Raises
    ------
    NormalizationError
        For reflectances (floats) and for integers out of range.
    """
    dn = np.asanyarray(dn)
    if dn.dtype == np.uint16:
        return dn
    if not np.issubdtype(dn.dtype, np.integer):
        raise NormalizationError(
            f"values of type {dn.dtype} found, digital numbers (uint16) expected. "
            "Multiply reflectances by 10,000 and round them."
        )
    if dn.size and (dn.min() < 0 or dn.max() >= N_DN):
        raise NormalizationError(
            f"values from {dn.min()} to {dn.max()} found, digital numbers in 0..65535 expected. "
            "Set no-data values to 0 and clip the rest."
        )
    return dn.astype(np.uint16)


def read_digital_numbers(raster: Raster, window: Window, nodata: int | None) -> np.ma.MaskedArray:
    """(n_bands, rows, cols) uint16 values of a window, masked where they are `nodata` or the file declares no data.

    Raises
    ------
    NormalizationError
        If the values aren't digital numbers; the message names the file.
    """
    check_nodata(nodata)
    try:
        dn = as_digital_numbers(raster.read(window, masked=True))
        return dn if nodata is None else np.ma.masked_where(dn.data == nodata, dn, copy=False)
    except NormalizationError as error:
        raise NormalizationError(f"{raster.name}: {error}") from None


def _count_array(dn: np.ndarray, bands: Sequence[str], groups: np.ndarray | None, n_groups: int) -> np.ndarray:
    """(n_groups, n_bands, 65536) counts; `groups` is (rows, cols) with -1 for pixels to be left out."""
    dn = as_digital_numbers(dn)
    if dn.ndim != 3 or len(dn) != len(bands):
        raise NormalizationError(
            f"an array of shape {dn.shape} found, (n_bands, rows, cols) with {len(bands)} bands "
            f"({', '.join(bands)}) expected. Name the bands with bands=(...), bands first."
        )
    if groups is not None and groups.shape != dn.shape[1:]:
        raise NormalizationError(
            f"a mask or groups of shape {groups.shape} found, {dn.shape[1:]} as of the image expected. "
            "Resample it to the image's grid."
        )
    counts = np.zeros((n_groups, len(bands), N_DN), np.int64)
    missing = np.ma.getmask(dn)
    for band, values in enumerate(np.ma.getdata(dn)):
        if groups is None:
            known = values if missing is np.ma.nomask else values[~missing[band]]
            _count(np.ascontiguousarray(known).ravel(), counts[0, band])
        else:
            index = groups if missing is np.ma.nomask else np.where(missing[band], -1, groups)
            index = np.ascontiguousarray(index, dtype=np.int64).ravel()
            _count_by_group(np.ascontiguousarray(values).ravel(), index, counts[:, band])
    return counts


@numba.njit(nogil=True, cache=True)
def _count(dn, counts):
    # Neighbouring pixels are often equal. Two tables taken in turn spare the wait for the increment just written.
    other = np.zeros_like(counts)
    n = dn.size
    for i in range(0, n - 1, 2):
        counts[dn[i]] += 1
        other[dn[i + 1]] += 1
    if n % 2:
        counts[dn[n - 1]] += 1
    counts += other


@numba.njit(nogil=True, cache=True)
def _count_by_group(dn, group, counts):
    for i in range(dn.size):
        if group[i] >= 0:
            counts[group[i], dn[i]] += 1


def scenes_among(paths, names: Sequence[str] | None = None, resolution_m: float | None = None) -> list:
    """What `from_rasters` counts one by one: files, mappings of band to file, and lists of files with one band each."""
    if isinstance(paths, Mapping):
        return [paths]
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    if not all(isinstance(path, str | Path) for path in paths):
        return paths
    scenes = find_scenes(paths, resolution_m)
    if not scenes:
        raise RasterError("no files given, at least one expected. Check the folder or the pattern.")
    one_a_band = len(scenes) > 1 and (names is None or len(names) == len(scenes))
    if one_a_band and all(isinstance(scene, str) for scene in scenes) and n_bands(scenes[0]) == 1:
        return [scenes]
    return scenes


def _run(jobs: list[tuple], client) -> Iterator[tuple[BandHistogram, str]]:
    if client is None:
        yield from (_count_scene(*job) for job in jobs)
        return
    from distributed import as_completed  # slow to import, and few need it

    for _, counted in as_completed(client.map(lambda job: _count_scene(*job), jobs, pure=False), with_results=True):
        yield counted


def _count_scene(scene, mask, bands, names, nodata, offset, harmonize, resolution_m) -> tuple[BandHistogram, str]:
    """The histogram of a scene, and what speaks against its offset."""
    with ExitStack() as stack:
        raster = stack.enter_context(open_raster(scene, bands, names=names, resolution_m=resolution_m))
        if mask is not None:
            mask = stack.enter_context(open_raster({"mask": mask}))
            check_same_grid(raster, mask)
        offset, doubt = found_offset(raster, offset)
        sources = tuple(dict.fromkeys(path.name for path in raster.paths))
        histogram = BandHistogram(np.zeros((len(raster.bands), N_DN), np.int64), raster.bands, offset, sources, nodata)
        for window in raster.windows():
            is_masked = None if mask is None else mask.read(window)[0] != 0
            dn = read_digital_numbers(raster, window, None)  # from_array leaves out nodata faster than a mask does
            histogram.counts[:] += BandHistogram.from_array(dn, raster.bands, nodata, mask=is_masked).counts
    return histogram.harmonized() if harmonize else histogram, doubt


def found_offset(raster: Raster, offset: int | str | None) -> tuple[int | None, str]:
    """The offset, found where it is `"auto"`, and what speaks against it."""
    if offset is None:
        return None, ""
    if offset != "auto":
        check_offset(offset)
    found = find_offset(raster, None if offset == "auto" else offset)
    return found.dn, found.doubt


def warn_of_doubts(doubts: Sequence[str]) -> None:
    """One warning of offsets that pixels contradict, however many scenes there are."""
    if found := [doubt for doubt in doubts if doubt]:
        more = f" Likewise {len(found) - 1:,} more of {len(doubts):,} scenes." if len(found) > 1 else ""
        warnings.warn(found[0] + more, stacklevel=3)


def offset_of_scene(scene: Raster, fitted: int | None, stated: int | None = None) -> int | None:
    """The offset of an open scene that a normalization is to be applied to.

    Parameters
    ----------
    scene : Raster
    fitted : int or None
        Of the imagery that the normalization was fitted on; None if unknown.
    stated : int, optional
        What the caller says; by default the offset is found as by `millpond.sentinel2.find_offset`.

    Raises
    ------
    NormalizationError
        If one of the two offsets is known and the other isn't: they can't be told to be the same.

    Warns
    -----
    UserWarning
        If pixels contradict the offset.
    """
    offset, doubt = found_offset(scene, "auto" if stated is None else stated)
    warn_of_doubts([doubt])
    if offset is None and fitted is not None:
        raise NormalizationError(
            f"{scene.name}: radiometric offset unknown, needed since the normalization was fitted on offset "
            f"{fitted}. State it: --offset 0 before processing baseline 04.00, or if the provider has taken it off; "
            "--offset 1000 since (in Python offset=0 or offset=1000)."
        )
    if offset is not None and fitted is None:
        raise NormalizationError(
            f"{scene.name}: radiometric offset {offset:,} found, but the normalization was fitted on imagery of "
            "unknown offset. Fit it on a histogram with a stated offset (offset=..., --offset)."
        )
    return offset


def _whose(histogram: BandHistogram) -> str:
    names = f" ({', '.join(histogram.sources[:3])})" if histogram.sources else ""
    return histogram.offset_in_words + names
