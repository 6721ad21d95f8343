"""Which code, which versions and which machine computed something."""

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path


def environment() -> dict:
    """Describe what this process runs on.

    Returns
    -------
    dict
        `revision`: last commit that changed the package, not HEAD, so that committing results does not look like a
        change of the code; `uncommitted_changes` of the package (both None outside a repository); `python`; `packages`:
        versions of millpond and of what it requires; `machine`: `platform`, `processor`, `cores`, `threads`
        (what OMP_NUM_THREADS says: it decides the order of sums, and so last digits), `memory_gb`.
    """
    revision = _git("log", "-1", "--format=%H", "--", ".") or None
    required = [line for line in metadata.requires("millpond") or () if "extra ==" not in line]
    names = ["millpond", *(re.match(r"[\w.-]+", line)[0] for line in required)]
    return {
        "revision": revision,
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", ".")) if revision else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in names},
        "machine": {
            "platform": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "memory_gb": _memory_gb(),
        },
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Answer of git about the package's folder; None without git or outside a repository."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        answer = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _processor() -> str:
    try:
        return re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):  # not Linux, or a processor without a model name
        return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
