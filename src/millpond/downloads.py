"""Files from strangers: download them over a network that fails, unpack archives that may be hostile.

A download is continued where it stopped, tried at several mirrors, and kept only if its SHA-256 is the expected one.
A zip or tar file can name members outside the folder it is unpacked into, or links through which later members leave
it; nothing that we need is a link or a device, so everything but plain files and folders is refused.
"""

import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath

import pooch
import requests
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3 import Retry

from millpond.errors import MillpondError
from millpond.files import make_folder

TIMEOUT_S = 60
"""Longest silence of a server."""

_CHUNK_BYTES = 1 << 16
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class _Retry(Retry):
    def get_retry_after(self, response) -> float | None:
        asked = super().get_retry_after(response)
        return asked and min(asked, TIMEOUT_S)  # some ask for hours


RETRY = _Retry(
    3,
    connect=1,
    read=1,
    backoff_factor=1,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,  # of POST too: we only ask
    raise_on_status=False,
)
"""Three more attempts at a server that is busy, no sooner than it says; one more where no answer comes."""


def session() -> requests.Session:
    """A session with `RETRY`; requests need `timeout=TIMEOUT_S` beside."""
    found = requests.Session()
    for scheme in ("https://", "http://"):
        found.mount(scheme, HTTPAdapter(max_retries=RETRY))
    return found


class DatasetError(MillpondError):
    """Data are absent, damaged or out of reach; the message says which, and how to get them."""


def download(urls: Sequence[str], target: Path, *, sha256: str, size: int, progress: bool = True) -> None:
    """Download a file from the first mirror that gives it, replacing what is there.

    Parameters
    ----------
    urls : sequence of str
        The mirrors, in the order to try them.
    target : Path
        The file to write. What has come of it so far is kept beside it in a `.part` file.
    sha256, size : str, int
        What the file must be; the size in bytes.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    DatasetError
        If no mirror gives the file, or it can't be written.
    """
    part = target.with_name(target.name + ".part")
    downloader = partial(_continue, part=part, size=size, progress=progress)
    pooch.get_logger().setLevel("WARNING")  # the progress bar says what is going on
    failures = []
    # A part that is no beginning of this file (the publisher changed it) spoils one attempt, so there is a second.
    for url in [url for url in urls for _ in range(1 + part.exists())]:
        try:
            pooch.retrieve(url, f"sha256:{sha256}", target.name, target.parent, downloader=downloader)
            return
        except requests.HTTPError as error:
            failures.append(f"{url} answers {error.response.status_code} {error.response.reason}")
        except requests.RequestException as error:
            failures.append(f"{url} broke off or cannot be reached ({type(error).__name__})")
        except ValueError:
            failures.append(f"{url} gave a file that is not the expected one (SHA-256 {sha256}) and was not kept")
        except OSError as error:
            raise DatasetError(
                f"{target} cannot be written ({error.strerror or error}); {size / 1e6:.1f} MB are needed. Free some "
                "space, or let the environment variable MILLPOND_DATA name another folder."
            ) from error
    raise DatasetError(f"{target.name} could not be downloaded: {'; '.join(dict.fromkeys(failures))}.")


def _continue(url: str, output_file: str, _: object, *, part: Path, size: int, progress: bool) -> None:
    # pooch's downloaders begin anew each time; this one asks the server for what is missing.
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        os.replace(part, output_file)
        return
    # Without identity, servers compress text on the fly, and neither ranges nor sizes would be those of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session() as http, http.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
        answer.raise_for_status()
        continues = answer.status_code == requests.codes.partial_content
        have *= continues  # a server that ignores the range sends all of it
        bar = tqdm(desc=part.stem, total=size, initial=have, unit="B", unit_scale=True, disable=not progress)
        with bar, part.open("ab" if continues else "wb") as content:
            for chunk in answer.iter_content(_CHUNK_BYTES):
                content.write(chunk)
                bar.update(len(chunk))
                if content.tell() > size:  # not our file; its checksum will tell
                    break
    os.replace(part, output_file)


def unpack(archive: str | Path, target: str | Path) -> Path:
    """Unpack a zip or tar file (plain, gzip, bzip2 or xz) into a new folder.

    The folder appears at once when everything is unpacked; after a failure nothing is left behind.

    Parameters
    ----------
    archive : path
        The archive; its kind is told by its content.
    target : path
        The folder to make; it must not exist.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DatasetError
        If the target exists, the archive is damaged or of another kind, or a member is a link, a device or leaves the
        target.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise DatasetError(f"{archive} is not a file. Name the archive to unpack.")
    if os.path.lexists(target):
        raise DatasetError(f"{target} is there already. Remove it, or unpack {archive.name} into another folder.")
    make_folder(target.parent, DatasetError)
    # A sibling is on the same disk as the target, so that the final rename is one step.
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as scratch:
            folder = Path(scratch) / "content"
            folder.mkdir()
            _unpack(archive, folder)
            folder.rename(target)
    except OSError as error:
        raise DatasetError(f"{target} cannot be made ({error.strerror}). Name another folder.") from error
    return target


def _unpack(archive: Path, folder: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                # Archives made on Windows carry no Unix mode.
                modes = {info.filename: stat.S_IFMT(info.external_attr >> 16) for info in content.infolist()}
                _check_members(archive, {name: mode in (0, stat.S_IFREG, stat.S_IFDIR) for name, mode in modes.items()})
                content.extractall(folder)
        else:
            with tarfile.open(archive) as content:
                _check_members(archive, {info.name: info.isfile() or info.isdir() for info in content})
                content.extractall(folder, filter="data")
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise DatasetError(
            f"{archive} cannot be unpacked ({reason}). Expected is an undamaged zip or tar "
            "file and enough space on the disk; download it again if it is damaged."
        ) from error


def _check_members(archive: Path, plain: dict[str, bool]) -> None:
    for name, is_plain in plain.items():
        parts = PureWindowsPath(name)  # its rules see more than POSIX ones: both separators, drives, and roots
        if not is_plain or parts.drive or parts.root or ".." in parts.parts:
            reason = "would leave the folder it is unpacked into" if is_plain else "is a link or a device"
            raise DatasetError(
                f"{archive}: the member {name!r} {reason}. Expected are plain files and folders; nothing was unpacked. "
                "Get the archive from its publisher again."
            )
