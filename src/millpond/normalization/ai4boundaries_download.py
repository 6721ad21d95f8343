"""Download AI4Boundaries' Sentinel-2 tiles, as many as wanted.

We know no checksums of the publisher's 7,831 tiles, so that they can't be in the registry of `millpond.datasets`.
Instead, a file is kept only if it has the size that the server states and begins as its format does, and the SHA-256
of all that was received is written to `SHA256SUMS`, in the format of `sha256sum -c`. A file whose sum is in there must
come with that sum from then on: put the `SHA256SUMS` of a colleague into a new folder, and it checks the download.

No byte was downloaded from the publisher when this was written: the tests run against a server of their own.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import numpy as np
import requests
from tqdm.auto import tqdm

from millpond.downloads import DatasetError
from millpond.files import write_text
from millpond.normalization.ai4boundaries import SPLIT_TABLE, SPLITS, read_split_table
from millpond.normalization.errors import NormalizationError

AI4BOUNDARIES_URL = "https://jeodpp.jrc.ec.europa.eu/ftp/jrc-opendata/DRLL/AI4BOUNDARIES"
"""Where the Joint Research Centre offers the data set (doi:10.5194/essd-15-317-2023)."""

SUMS = "SHA256SUMS"

_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 16
_ATTEMPTS = 3
_PAUSE_S = 2.0
_MOST_FAILURES_IN_A_ROW = 5
_BEGINNINGS = {
    ".nc": (b"\x89HDF", b"CDF"),
    ".tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ".csv": (b"file_id", b'"file_id', b'"",', b"\xef\xbb\xbf", b","),
}


class Downloaded(NamedTuple):
    """What `download_ai4boundaries` did.

    Attributes
    ----------
    folder : Path
    n_pairs : int
        Pairs of image and label that are there now, of those asked for.
    n_new : int
        Files that were downloaded this time.
    n_without_address : int
        Tiles of the table that lack an address of image or label; they were left out.
    """

    folder: Path
    n_pairs: int
    n_new: int
    n_without_address: int


def download_ai4boundaries(
    folder: str | Path,
    n: int | None = None,
    *,
    split: str | None = None,
    countries: Sequence[str] | None = None,
    random_state: int = 0,
    base: str = AI4BOUNDARIES_URL,
    progress: bool = True,
) -> Downloaded:
    """Download pairs of image and label; what is there stays, and a partial file is continued.

    Parameters
    ----------
    folder : path
        Gets the publisher's table, `images/AT/...nc` and `masks/AT/...tif`, for `read_ai4boundaries`.
    n : int, optional
        Number of tiles, drawn at random (the table is sorted by country); those of a smaller `n` are among those of a
        larger one. By default all, at several MB each.
    split : {"train", "val", "test"}, optional
        Only tiles of the publisher's split.
    countries : sequence of str, optional
        Only these, such as ("AT", "NL").
    random_state : int
        Which tiles are drawn.
    base : str
        Address that holds `sentinel2/`. Hosts named in the table are not asked: only the paths below it count.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    NormalizationError
        If the arguments or the table name no tile.
    DatasetError
        If files can't be had or written. Those that came are kept; the same call goes on from there.
    """
    folder = Path(folder)
    if split not in (None, *SPLITS):
        raise NormalizationError(
            f"split {split!r} found, one of {', '.join(SPLITS)} or None expected. Name one, or leave it away."
        )
    if n is not None and n < 1:
        raise NormalizationError(f"n = {n} found, at least one tile expected. Ask for more, or leave n away for all.")
    base = base.rstrip("/")
    sums = _read_sums(folder / SUMS)
    n_new, failures, in_a_row = 0, {}, 0
    try:
        with requests.Session() as session:
            n_new += _fetch(session, f"{base}/sentinel2/{SPLIT_TABLE}", folder, SPLIT_TABLE, sums)
            pairs, n_without_address = _choose(folder / SPLIT_TABLE, split, countries)
            order = np.random.default_rng(random_state).permutation(len(pairs))[:n]
            for i in tqdm(order, unit="tile", disable=not progress):
                for path in pairs[i]:
                    try:
                        n_new += _fetch(session, f"{base}/sentinel2/{quote(path)}", folder, path, sums)
                        in_a_row = 0
                    except _Refused as refusal:
                        failures[path] = str(refusal)
                        in_a_row += 1
                if in_a_row >= _MOST_FAILURES_IN_A_ROW:
                    break  # the server is gone, and 15,000 more attempts would be rude
    except _Refused as refusal:
        raise DatasetError(
            f"{SPLIT_TABLE} could not be downloaded: {refusal}. Check the connection and try again."
        ) from None
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be written ({error.strerror or error}); several MB a tile are needed. "
            "Free some space, or name another folder."
        ) from error
    finally:
        if sums:
            write_text(folder / SUMS, "".join(f"{sums[path]}  {path}\n" for path in sorted(sums)), DatasetError)
    if failures:
        shown = "; ".join(f"{path}: {reason}" for path, reason in list(failures.items())[:3])
        raise DatasetError(
            f"{len(failures)} of {2 * len(order)} files could not be downloaded: {shown}"
            f"{'; ...' if len(failures) > 3 else ''}. The others are in {folder}; the same call goes on from there."
        )
    return Downloaded(folder, len(order), n_new, n_without_address)


class _Refused(Exception):
    """One file can't be had now; the message says why."""


def _choose(table: Path, split: str | None, countries: Sequence[str] | None) -> tuple[list[tuple[str, str]], int]:
    listed = read_split_table(table)
    wanted = {
        name: row
        for name, row in listed.items()
        if split in (None, row.split) and (countries is None or name[:2] in countries)
    }
    pairs = [
        (_path(row.image_url, "images"), _path(row.label_url, "masks"))
        for row in wanted.values()
        if row.image_url and row.label_url
    ]
    if not pairs:
        raise NormalizationError(
            f"{table}: {len(listed)} tiles found, {len(wanted)} of them in split {split or '(any)'} and countries "
            f"{countries or '(any)'}, none with the addresses of image and label. Ask for others; if the table looks "
            "damaged, delete it and try again."
        )
    return pairs, len(wanted) - len(pairs)


def _path(url: str, kind: str) -> str:
    """`images/AT/AT_1_S2_10m_256.nc` of the address: the path below `sentinel2`, which must not lead elsewhere."""
    parts = PurePosixPath(unquote(urlsplit(url).path)).parts
    if len(parts) < 3 or parts[-3] != kind or ".." in parts or any("\\" in part for part in parts):
        raise NormalizationError(
            f"{SPLIT_TABLE}: address {url!r} found, one like .../sentinel2/{kind}/AT/NAME expected. "
            "Get the table from the publisher again."
        )
    return "/".join(parts[-3:])


def _fetch(session: requests.Session, url: str, folder: Path, path: str, sums: dict[str, str]) -> bool:
    """Whether the file had to be downloaded."""
    target = folder / path
    if target.is_file():  # it got its name when it was complete
        if path not in sums:
            sums[path] = _sha256(target)
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _continue(session, url, part)
            break
        except requests.RequestException as error:
            answer = error.response
            # What the server doesn't have (4xx) it won't have in two seconds; but the range may have been wrong.
            if answer is not None and answer.status_code < 500 and answer.status_code not in (408, 416, 429):
                raise _Refused(f"{url} answers {answer.status_code} {answer.reason}") from None
            if attempt == _ATTEMPTS:
                what = f"answers {answer.status_code} {answer.reason}" if answer is not None else "broke off"
                raise _Refused(f"{url} {what} ({type(error).__name__}, {attempt} attempts)") from None
            time.sleep(_PAUSE_S * attempt)
    with part.open("rb") as content:
        beginning = content.read(16)
    sha256 = _sha256(part)
    if not beginning.startswith(_BEGINNINGS[target.suffix]):
        reason = f"{url} gave something else than a {target.suffix} file (it begins with {beginning!r})"
    elif sums.get(path, sha256) != sha256:
        reason = f"{url} gave a file that is not the one in {SUMS} (SHA-256 {sums[path]})"
    else:
        os.replace(part, target)
        _tag(part).unlink(missing_ok=True)
        sums[path] = sha256
        return True
    part.unlink()
    _tag(part).unlink(missing_ok=True)
    raise _Refused(f"{reason} and was not kept")


def _continue(session: requests.Session, url: str, part: Path) -> None:
    # Without a checksum, only the server can tell whether the rest still belongs to what is here: it is asked for the
    # rest only if its mark of the file (ETag or date) is the one that was kept.
    tag = _tag(part).read_text() if part.exists() and _tag(part).exists() else ""
    have = part.stat().st_size if tag else 0
    # Without identity, servers compress text on the fly, and neither ranges nor sizes would be those of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-", "If-Range": tag} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
        answer.raise_for_status()
        continues = answer.status_code == requests.codes.partial_content
        if continues and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise requests.ConnectionError("the server sent another range")
        if "Content-Length" not in answer.headers:
            raise _Refused(f"{url} states no size, so that a part of it could pass for the whole")
        size = have * continues + int(answer.headers["Content-Length"])
        if not continues:
            part.unlink(missing_ok=True)
            etag = answer.headers.get("ETag", "")
            # A weak ETag doesn't vouch for bytes.
            _tag(part).write_text(etag if etag.startswith('"') else answer.headers.get("Last-Modified", ""))
        with part.open("ab") as content:
            for chunk in answer.iter_content(_CHUNK_BYTES):
                content.write(chunk)
    if part.stat().st_size != size:
        raise requests.ConnectionError(f"{part.stat().st_size} bytes of {size}")


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        pairs = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {name.lstrip("*"): sha256.lower() for sha256, name in pairs}
    except ValueError as error:
        raise DatasetError(
            f"{path}: no list of checksums found, lines of SHA-256 and file name expected. Mend or delete it."
        ) from error
