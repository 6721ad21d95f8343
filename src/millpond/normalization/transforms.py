"""The study's eight normalizations and what others use, each a function of the digital number that never decreases.

A function of a 16-bit number is a table of 65,536 entries. So a fitted normalization *is* such a table, one
a band: the slowest formula costs as much as the fastest, and a network on a GPU looks up the very same numbers.

Source: Oman Kadunc et al., How to normalize satellite images for deep learning (Sentinel Hub blog, 2022); for
`DynamicWorld` Brown et al. 2022, doi:10.1038/s41597-022-01307-4.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numba
import numpy as np
import pandas as pd
from scipy.special import expit

from millpond import __version__
from millpond.files import write_text
from millpond.normalization.errors import NormalizationError
from millpond.normalization.histogram import N_DN, BandHistogram, as_digital_numbers, check_offset
from millpond.sentinel2 import shifted

_ALL_DN = np.arange(N_DN)
_FORMAT = "millpond normalization, version 1"
DRIFT_SHIFT_LIMIT = 0.1
"""Drift warns if the percentiles have moved by more than this share of the fitted p1-p99 range on average."""
DRIFT_OUTSIDE_LIMIT = 0.05
"""Drift warns if more than this share of the new pixels lies outside the fitted p1-p99 range (0.02 by construction)."""


class DriftWarning(UserWarning):
    """New imagery is far from what a normalization was fitted on."""


@dataclass(frozen=True)
class Linear:
    """The study's linear normalization: y = (x - c) (b - a) / (d - c) + a.

    Parameters
    ----------
    lower, upper : float
        Percentiles of the digital numbers that become c and d; 0 and 100 are the minimum and the maximum.
    bounded : bool
        Clip the result to [a, b].
    a, b : float
        Range that c and d are mapped to.
    """

    lower: float = 1
    upper: float = 99
    bounded: bool = False
    a: float = 0.0
    b: float = 1.0

    def __post_init__(self):
        _check_percentiles(self.lower, self.upper)
        if not self.a < self.b:
            raise NormalizationError(f"a range from {self.a:g} to {self.b:g} found, a below b expected.")

    def fit(self, histogram: BandHistogram) -> list[dict]:
        """c and d for each band."""
        c, d = histogram.percentile([self.lower, self.upper])
        return [{"c": float(low), "d": float(high)} for low, high in zip(c, d, strict=True)]

    def apply(self, dn: np.ndarray, c: float, d: float) -> np.ndarray:
        """Float64 values of digital numbers."""
        y = (dn - c) * ((self.b - self.a) / (d - c)) + self.a
        return np.clip(y, self.a, self.b) if self.bounded else y


@dataclass(frozen=True)
class DynamicWorld:
    """Dynamic World's squashing: a percentile range of the logarithm is mapped to fixed points of a sigmoid.

    x = log(0.005 DN + 1), or DN itself; u = (x - p_lower) / divisor; y = 1 / (1 + exp(-(5 u - 1))).

    Parameters
    ----------
    lower, upper : float
        Percentiles of x. The lower one is mapped to sigmoid(-1); with `divisor="difference"` the upper one to
        sigmoid(4).
    log : bool
        Take the logarithm first.
    divisor : "upper" or "difference"
        The upper percentile, as in the model runner that Google published, or the difference of the percentiles, as
        the words of Brown et al. imply. Only with the first do the tails look as the study describes them.
    """

    lower: float = 30
    upper: float = 70
    log: bool = True
    divisor: str = "upper"

    def __post_init__(self):
        _check_percentiles(self.lower, self.upper)
        if self.divisor not in ("upper", "difference"):
            raise NormalizationError(f"divisor {self.divisor!r} found, 'upper' or 'difference' expected.")

    def fit(self, histogram: BandHistogram) -> list[dict]:
        """The two percentiles of x for each band."""
        c, d = histogram.percentile([self.lower, self.upper], of=self._x)
        return [{"c": float(low), "d": float(high)} for low, high in zip(c, d, strict=True)]

    def apply(self, dn: np.ndarray, c: float, d: float) -> np.ndarray:
        """Float64 values in [0, 1] of digital numbers."""
        return expit(5 * (self._x(dn) - c) / (d - c if self.divisor == "difference" else d) - 1)

    def _x(self, dn: np.ndarray) -> np.ndarray:
        return np.log(0.005 * dn + 1) if self.log else dn


@dataclass(frozen=True)
class Equalization:
    """Histogram equalization: a digital number becomes the share of pixels that lie below it.

    Of pixels that are equal one half lies below. The study takes 40,000 bins, without saying what they span; here each
    digital number has its own, so that no value hangs on where a number lies in its bin.
    """

    def fit(self, histogram: BandHistogram) -> list[dict]:
        """The exact counts of each band from its minimum c to its maximum d."""
        return [
            {"c": int(c), "d": int(d), "pixels": counts[c : d + 1].tolist()}
            for c, d, counts in zip(histogram.min, histogram.max, histogram.counts, strict=True)
        ]

    def apply(self, dn: np.ndarray, c: int, d: int, pixels: list[int]) -> np.ndarray:
        """Float64 values in [0, 1] of digital numbers."""
        at_or_below = np.cumsum(pixels)
        share = (at_or_below - np.divide(pixels, 2)) / at_or_below[-1]
        return np.interp(dn, np.arange(c, d + 1), share, left=0, right=1)


@dataclass(frozen=True)
class Standardization:
    """Mean and standard deviation in place of percentiles: c = mean + lower std becomes 0, d = mean + upper std 1.

    None of the study's eight. (0, 1) is the z-score, which the study advises against where bands have long tails;
    (-2, 2), bounded, is what SatMAE and SSL4EO-S12 use.

    Parameters
    ----------
    lower, upper : float
        Standard deviations above the mean.
    bounded : bool
        Clip the result to [0, 1].
    """

    lower: float = 0.0
    upper: float = 1.0
    bounded: bool = False

    def fit(self, histogram: BandHistogram) -> list[dict]:
        """c and d for each band."""
        return [
            {"c": float(mean + self.lower * std), "d": float(mean + self.upper * std)}
            for mean, std in zip(histogram.mean, histogram.std, strict=True)
        ]

    def apply(self, dn: np.ndarray, c: float, d: float) -> np.ndarray:
        """Float64 values of digital numbers."""
        y = (dn - c) / (d - c)
        return np.clip(y, 0, 1) if self.bounded else y


@dataclass(frozen=True)
class Division:
    """One divisor for all bands, whatever the imagery: nothing is learned from the histogram.

    None of the study's eight; networks for Fields of The World divide by 3,000.

    Parameters
    ----------
    divisor : float
    """

    divisor: float = 3000.0

    def fit(self, histogram: BandHistogram) -> list[dict]:
        """c = 0 and d = divisor for each band."""
        return [{"c": 0.0, "d": float(self.divisor)} for _ in histogram.bands]

    def apply(self, dn: np.ndarray, c: float, d: float) -> np.ndarray:
        """Float64 values of digital numbers."""
        return dn / d


def _check_percentiles(lower: float, upper: float) -> None:
    if not 0 <= lower < upper <= 100:
        raise NormalizationError(
            f"percentiles {lower:g} and {upper:g} found, a lower one below an upper one, both in 0..100, expected."
        )


Method = Linear | DynamicWorld | Equalization | Standardization | Division

NORMALIZATIONS: dict[str, Method] = {
    "min-max": Linear(0, 100),
    "p1-p99": Linear(1, 99),
    "p1-p99-bounded": Linear(1, 99, bounded=True),
    "dynamic-world-log-30-70": DynamicWorld(30, 70),
    "dynamic-world-log-30-50": DynamicWorld(30, 50),
    "dynamic-world-30-95": DynamicWorld(30, 95, log=False),
    "dynamic-world-20-95": DynamicWorld(20, 95, log=False),
    "equalization": Equalization(),
}
"""The eight of the study by name."""

DIFFERENCES: dict[str, Method] = {
    f"{name}-difference": replace(method, divisor="difference")
    for name, method in NORMALIZATIONS.items()
    if isinstance(method, DynamicWorld)
}
"""Dynamic World's four with the other divisor."""

RIVALS: dict[str, Method] = {
    "z-score": Standardization(),
    "mean-2-std": Standardization(-2, 2, bounded=True),
    "divisor-3000": Division(3000),
}
"""What others use today, and the study did not try."""

_NAMED = NORMALIZATIONS | DIFFERENCES | RIVALS

_KINDS = {
    "linear": Linear,
    "dynamic-world": DynamicWorld,
    "equalization": Equalization,
    "standardization": Standardization,
    "division": Division,
}


def method_named(name: str) -> Method:
    """One of `NORMALIZATIONS`, `DIFFERENCES` or `RIVALS`.

    Raises
    ------
    NormalizationError
        If there is none of this name.
    """
    if name not in _NAMED:
        raise NormalizationError(f"normalization {name!r} found, one of {', '.join(_NAMED)} expected.")
    return _NAMED[name]


def fit_normalization(method: str | Method, histogram: BandHistogram, *, source: str = "") -> "Normalization":
    """Fit a normalization to the pixels of a histogram.

    Parameters
    ----------
    method : str or Linear, DynamicWorld, Equalization, Standardization, Division
        One of `NORMALIZATIONS`, `DIFFERENCES` or `RIVALS` by name, or one with parameters of your own, such as
        `Linear(2, 98)`.
    histogram : BandHistogram
        The pixels to fit on: the training images, and nothing else.
    source : str
        What these pixels are, for the record; by default the names of the files.

    Returns
    -------
    Normalization

    Raises
    ------
    NormalizationError
        If the name is unknown, a band has no valid pixel, or a band has no spread (a constant band, a single pixel, or
        both percentiles on one digital number).
    """
    name = method if isinstance(method, str) else _describe(method)
    if isinstance(method, str):
        method = method_named(method)
    parameters = dict(zip(histogram.bands, method.fit(histogram), strict=True))
    for band, fitted in parameters.items():
        if not fitted["c"] < fitted["d"]:
            raise NormalizationError(
                f"{band}: both ends of the range fall on one value ({fitted['c']:g}), two different values expected "
                f"for {name}. The band is constant or nearly so: leave it out, fit on more images, or use wider "
                "percentiles."
            )
    grid = np.arange(101)
    return Normalization(
        name=name,
        method=method,
        bands=histogram.bands,
        offset=histogram.offset,
        parameters=parameters,
        n_pixels=tuple(int(n) for n in histogram.n_pixels),
        percentiles={
            band: tuple(map(float, p)) for band, p in zip(histogram.bands, histogram.percentile(grid).T, strict=True)
        },
        source=source or _listed(histogram),
        nodata=histogram.nodata,
    )


@dataclass(frozen=True)
class Normalization:
    """A fitted normalization; made by `fit_normalization` or `Normalization.load`.

    Attributes
    ----------
    name : str
    method : Linear, DynamicWorld, Equalization, Standardization or Division
    bands : tuple of str
    offset : int or None
        Radiometric offset of the digital numbers fitted on.
    parameters : dict of band to dict
    n_pixels : tuple of int
        Valid pixels fitted on, by band.
    percentiles : dict of band to tuple
        The percentiles 0, 1, ..., 100 of the digital numbers fitted on; `drift` compares with them.
    source : str
        What it was fitted on.
    version : str
        Version of millpond that fitted it.
    nodata : int or None
        Digital number that stood for no data in the imagery fitted on.
    """

    name: str
    method: Method
    bands: tuple[str, ...]
    offset: int | None
    parameters: dict[str, dict]
    n_pixels: tuple[int, ...]
    percentiles: dict[str, tuple[float, ...]]
    source: str = ""
    version: str = __version__
    nodata: int | None = 0

    @cached_property
    def table(self) -> np.ndarray:
        """(n_bands, 65536) float32: the value of each digital number."""
        rows = [self.method.apply(_ALL_DN, **self.parameters[band]) for band in self.bands]
        return np.stack(rows).astype(np.float32)

    def transform(self, dn: np.ndarray, *, offset: int | None = None) -> np.ndarray:
        """Normalize digital numbers.

        Parameters
        ----------
        dn : (..., n_bands, rows, cols) array of uint16
            Pixels without data get the value of their digital number too, unless they are masked.
        offset : int, optional
            Radiometric offset of `dn`, if it may differ from that of the imagery fitted on.

        Returns
        -------
        (..., n_bands, rows, cols) float32 array
            Masked, and NaN beneath, where `dn` is.

        Raises
        ------
        NormalizationError
            If the number of bands or the data type doesn't fit, or an offset is stated and the fitted one is unknown.
        """
        dn = as_digital_numbers(dn)
        if dn.ndim < 3 or dn.shape[-3] != len(self.bands):
            raise NormalizationError(
                f"an array of shape {dn.shape} found, (..., {len(self.bands)}, rows, cols) expected: bands "
                f"{', '.join(self.bands)} before rows and columns. Choose and order the bands as they were fitted."
            )
        table = self.table if offset is None else self._table_for(offset)
        out = np.empty(dn.shape, np.float32)
        pixels = dn.shape[-2] * dn.shape[-1]
        if pixels == 0:
            return out
        _look_up(np.ascontiguousarray(np.ma.getdata(dn)).reshape(-1, pixels), table, out.reshape(-1, pixels))
        if not isinstance(dn, np.ma.MaskedArray):
            return out
        out[np.ma.getmaskarray(dn)] = np.nan
        return np.ma.array(out, mask=dn.mask)

    def _table_for(self, offset: int) -> np.ndarray:
        check_offset(offset)
        if self.offset is None:
            raise NormalizationError(
                f"imagery with radiometric offset {offset} found, but the normalization was fitted on imagery of "
                "unknown offset. Fit it on a histogram with a stated offset."
            )
        return self.table[:, shifted(_ALL_DN.astype(np.uint16), self.offset - offset)]

    def to_module(self):
        """The same table as a `torch.nn.Module` (`millpond.normalization.module.NormalizationModule`)."""
        from millpond.normalization.module import NormalizationModule

        return NormalizationModule(self.table)

    def drift(self, histogram: BandHistogram) -> pd.DataFrame:
        """How far new imagery is from what this was fitted on.

        Parameters
        ----------
        histogram : BandHistogram
            New imagery with the same bands and offset.

        Returns
        -------
        DataFrame
            By band: `shift`, the mean distance of the percentiles 1 to 99 (the Wasserstein distance of the
            distributions without their tails) as a share of the fitted p1-p99 range; `median_change`, likewise with its
            sign; `share_below_p1` and `share_above_p99` of the new pixels (0.01 each where nothing has changed);
            `drifted`.

        Warns
        -----
        DriftWarning
            For each band with a shift over `DRIFT_SHIFT_LIMIT` or more than `DRIFT_OUTSIDE_LIMIT` of the pixels
            outside.
        """
        if self.offset != histogram.offset:
            raise NormalizationError(
                f"imagery with radiometric offset {histogram.offset_in_words} found, "
                f"{'unknown' if self.offset is None else self.offset} as fitted expected. "
                "Harmonize the histogram (harmonized(), --harmonize), or state the offset when counting (--offset) and "
                "fitting."
            )
        new = histogram.select(self.bands)
        grid = np.arange(1, 100)
        rows = []
        for band, new_percentiles, counts in zip(self.bands, new.percentile(grid).T, new.counts, strict=True):
            fitted = np.array(self.percentiles[band])
            p1, p50, p99 = fitted[[1, 50, 99]]
            spread = p99 - p1
            if spread == 0:
                raise NormalizationError(
                    f"{band}: the fitted percentiles 1 and 99 are both {p1:g}, a spread expected to measure drift by. "
                    "Fit on more images."
                )
            below = float(counts[p1 > _ALL_DN].sum() / counts.sum())
            above = float(counts[p99 < _ALL_DN].sum() / counts.sum())
            shift = float(np.abs(new_percentiles - fitted[grid]).mean() / spread)
            drifted = shift > DRIFT_SHIFT_LIMIT or below + above > DRIFT_OUTSIDE_LIMIT
            change = float((new_percentiles[49] - p50) / spread)
            rows.append((band, shift, change, below, above, drifted))
            if drifted:
                warnings.warn(
                    f"{band}: the percentiles have moved by {shift:.0%} of the fitted p1-p99 range and "
                    f"{below + above:.0%} of the new pixels lie outside it (2% expected). Fit the normalization on "
                    "imagery like the new one, or pool both.",
                    DriftWarning,
                    stacklevel=2,
                )
        columns = ["band", "shift", "median_change", "share_below_p1", "share_above_p99", "drifted"]
        return pd.DataFrame(rows, columns=columns).set_index("band")

    def save(self, path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
        """Write a small JSON file; reading it back gives the same table to the last bit.

        Parameters
        ----------
        path : path
        inputs : iterable of path
            Files that are being read and must not be overwritten.
        """
        content = {
            "format": _FORMAT,
            "name": self.name,
            "method": {"kind": _kind(self.method), **asdict(self.method)},
            "bands": list(self.bands),
            "offset": self.offset,
            "n_pixels": list(self.n_pixels),
            "source": self.source,
            "version": self.version,
            "nodata": self.nodata,
            "parameters": self.parameters,
            "percentiles": self.percentiles,
        }
        lines = (
            f'"{key}": {json.dumps(value, allow_nan=False, default=np.generic.item)}' for key, value in content.items()
        )
        write_text(path, "{\n" + ",\n".join(lines) + "\n}\n", NormalizationError, inputs)

    @classmethod
    def load(cls, path: str | Path) -> "Normalization":
        """Read what `save` wrote.

        Raises
        ------
        NormalizationError
            If the file is missing or isn't such a file.
        """
        try:
            content = json.loads(Path(path).read_text())
        except OSError as error:
            raise NormalizationError(f"{path}: {error.strerror or error}, a saved normalization expected.") from error
        except ValueError as error:
            raise NormalizationError(f"{path}: no JSON found ({error}), a saved normalization expected.") from error
        if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
            raise NormalizationError(
                f"{path}: JSON of another format found, {_FORMAT!r} expected. Save it with Normalization.save, or "
                "`millpond normalize fit`."
            )
        try:
            settings = dict(content["method"])
            method = _KINDS[settings.pop("kind")](**settings)
            content.setdefault("nodata", 0)  # as files without it were fitted, unless somebody said otherwise
            loaded = {field.name: content[field.name] for field in fields(cls) if field.name != "method"}
            loaded["bands"], loaded["n_pixels"] = tuple(loaded["bands"]), tuple(loaded["n_pixels"])
            loaded["percentiles"] = {band: tuple(p) for band, p in loaded["percentiles"].items()}
            normalization = cls(method=method, **loaded)
            normalization._check()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, NormalizationError) as error:
            raise NormalizationError(
                f"{path}: an incomplete or edited normalization found ({error!r}), all fields that save writes "
                "expected. Fit and save it again."
            ) from error
        return normalization

    def _check(self) -> None:
        """Whether the parts fit together, as those of a file may not; raises ValueError and its like."""
        limits = [(p["c"], p["d"]) for p in self.parameters.values()]
        percentiles = np.array(list(self.percentiles.values()), float)
        counts = np.array([n for p in self.parameters.values() for n in p.get("pixels", [])], float)
        facts = {
            "bands": len(set(self.bands)) == len(self.bands) == len(self.n_pixels) > 0,
            "parameters": tuple(self.parameters) == tuple(self.percentiles) == self.bands,
            "offset": self.offset is None or (isinstance(self.offset, int) and 0 <= self.offset < N_DN),
            "nodata": self.nodata is None or self.nodata in range(N_DN),
            "percentiles": percentiles.shape == (len(self.bands), 101) and bool((np.diff(percentiles) >= 0).all()),
            "range": all(-N_DN < c < min(d, N_DN) and d < 2 * N_DN for c, d in limits),  # mean - 2 std may be below 0
            "pixels": bool((counts >= 0).all()),
        }
        wrong = [name for name, holds in facts.items() if not holds]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} inconsistent")
        if not (np.isfinite(self.table).all() and (np.diff(self.table) >= 0).all()):
            raise ValueError("a table that decreases or isn't finite")


def _listed(histogram: BandHistogram) -> str:
    n_more = histogram.n_sources - len(histogram.sources)
    return ", ".join(histogram.sources) + (f" and {n_more:,} more" if n_more else "")


def _kind(method) -> str:
    return next(kind for kind, cls in _KINDS.items() if isinstance(method, cls))


def _describe(method) -> str:
    known = [name for name, other in _NAMED.items() if other == method]
    return known[0] if known else repr(method)


@numba.njit(nogil=True, cache=True)
def _look_up(dn, table, out):
    for image in range(dn.shape[0]):
        values, row, normalized = dn[image], table[image % table.shape[0]], out[image]
        for i in range(values.size):
            normalized[i] = row[values[i]]
