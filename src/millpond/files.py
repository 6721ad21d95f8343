"""Files appear whole or not at all; folders are made."""

import glob
import os
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from millpond.errors import MillpondError

ABANDONED_S = 24 * 3600
"""Age from which an unfinished file is taken for what a killed process left, and removed by the next writer."""


def check_target(path: str | Path, error: type[MillpondError], inputs: Iterable[str | Path] = ()) -> None:
    """Refuse a file that could not be written, before hours are spent on what goes into it.

    Parameters
    ----------
    path : path
        The file to be written.
    error : exception type
    inputs : iterable of path
        Files that are being read, or written too, and must not be overwritten.
    """
    path = Path(path)
    if any(path.resolve() == Path(source).resolve() for source in inputs):
        raise error(f"{path}: an input or another output found, a file of its own expected. Choose another name.")
    if not path.parent.is_dir():
        raise error(f"{path}: no folder {path.parent} found, an existing one expected. Make it, or check the path.")
    if path.exists() and not path.is_file():
        raise error(f"{path}: a folder or device found, a file to write expected. Choose another name.")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()  # rights alone don't tell: a disk may be read-only
    except OSError as refusal:
        raise error(_not_written(path, refusal)) from None


def make_folder(path: str | Path, error: type[MillpondError]) -> None:
    """Make a folder, and those above it, unless it is there.

    Parameters
    ----------
    path : path
    error : exception type
        Raised if the file system refuses.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as refusal:
        raise error(f"{path}: not made ({refusal.strerror}), a folder expected. Choose another.") from None


@contextmanager
def replacing(path: str | Path, error: type[MillpondError], inputs: Iterable[str | Path] = ()) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block ends well, and vanishes if it doesn't.

    Each writer has one of its own: of several, the last to end well counts, whole.

    Parameters
    ----------
    path, error, inputs
        As of `check_target`; the error is also raised for what the file system refuses.
    """
    path = Path(path)
    check_target(path, error, inputs)
    for other in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        with suppress(OSError):  # it has just been finished, or is another user's
            if time.time() - other.stat().st_mtime > ABANDONED_S:
                other.unlink()
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as refusal:
        raise error(_not_written(path, refusal)) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _not_written(path: Path, refusal: OSError) -> str:
    reason = refusal.strerror or refusal
    return f"{path}: not written ({reason}), a writable folder with free space expected. Check both."


def write_text(path: str | Path, text: str, error: type[MillpondError], inputs: Iterable[str | Path] = ()) -> None:
    """Write a text in one step; it is on disk when this returns."""
    with replacing(path, error, inputs) as unfinished, open(unfinished, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
