"""The folder that holds the runs of a grid: `runs.csv`, one line a row of result, and `manifest.json`.

Every write replaces a whole file in one step: what lies on disk, and what is committed from there while a grid is under
way, is always consistent. Long grids have thousands of rows at most; writing them again costs nothing next to a run.
"""

import csv
import hashlib
import io
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from millpond.errors import MillpondError
from millpond.files import make_folder, write_text

LAST_COLUMNS = ("seconds", "environment", "error")


class ExperimentError(MillpondError):
    """A grid cannot be run, or its store cannot be read."""


def load_runs(store: str | os.PathLike, failed: bool = False) -> pd.DataFrame:
    """Read the runs of a store, one line a row of result.

    Parameters
    ----------
    store : path
        Folder written by `millpond.experiment.run_grid`.
    failed : bool
        Also return the runs that failed, and a column `error` with their tracebacks.

    Raises
    ------
    ExperimentError
        If the folder holds no runs, or its table is damaged.
    """
    path = Path(store) / "runs.csv"
    if not path.is_file():
        raise ExperimentError(f"{path} not found: no run of this grid is finished. Run it, or name another store.")
    columns, rows = read_cells(path)
    return frame(columns, rows, failed=failed)


def load_paired_runs(store: str | os.PathLike) -> pd.DataFrame:
    """Read the runs of the seeds that have all cases: what of an unfinished grid can be compared within seeds.

    Raises
    ------
    ExperimentError
        As `load_runs` and `load_manifest`, and if no seed has all cases.
    """
    runs, n_cases = load_runs(store), len(load_manifest(store)["cases"])
    n_of_seed = runs.groupby("seed")["run"].transform("nunique")
    paired = runs[n_of_seed == n_cases]
    if paired.empty:
        found = f"{int(n_of_seed.max())} of {n_cases}" if len(runs) else f"none of {n_cases}"
        raise ExperimentError(
            f"{store}: no seed with all cases found, {found} in the fullest. Run the grid again; it goes on where it "
            "stopped."
        )
    return paired


def load_manifest(store: str | os.PathLike) -> dict:
    """Read what a store says of itself: `what`, `function`, `cases`, `seeds`, `totals` and `environments`.

    The totals count the planned runs (`finished` ones succeeded); `wall_seconds` add up over all calls that ran any.

    Raises
    ------
    ExperimentError
        If the folder has no readable manifest.
    """
    path = Path(store) / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ExperimentError(
            f"{path}: {error.strerror}. Name a folder that run_grid wrote, or restore the file."
        ) from None
    except ValueError as error:
        raise ExperimentError(f"{path} is no JSON ({error}). Restore it from the last commit.") from None
    wanted = {"what", "function", "cases", "seeds", "totals", "environments"}
    if not (isinstance(manifest, dict) and wanted <= set(manifest)):
        raise ExperimentError(f"{path} is no manifest of a grid. Restore it from the last commit.")
    return manifest


class Store:
    """What is finished: in memory as the text cells of `runs.csv`, and on disk.

    Parameters
    ----------
    folder : path
        Made when missing.
    plan : dict
        Run id -> (case, seed).
    grid : dict
        `what`, `function`, `cases` and `seeds`, for the manifest.
    """

    def __init__(self, folder: Path, plan: dict[str, tuple[dict, int]], grid: dict):
        self.folder, self.plan = folder, plan
        self._csv, self._json = folder / "runs.csv", folder / "manifest.json"
        self._rows: dict[str, list[dict[str, str]]] = {}
        self._manifest = {"totals": {"wall_seconds": 0.0}, "environments": {}}
        if self._csv.exists() or self._json.exists():
            self._manifest = found = load_manifest(folder)
            if (found["function"], found["what"]) != (grid["function"], grid["what"]):
                raise ExperimentError(
                    f"{folder} holds runs of {found['function']} ({found['what']!r}), not of {grid['function']} "
                    f"({grid['what']!r}). Give this grid a store of its own, or delete that folder if it is not needed."
                )
        if self._csv.exists():
            for row in read_cells(self._csv)[1]:
                # An id of digits alone stands quoted in its cell, lest it be taken for a number.
                self._rows.setdefault(from_cell(row["run"]), []).append(row)
        self._manifest = {**grid, **self._manifest, **grid}  # the grid first in the file, and as planned now
        self._seen = self._stamp()
        self._started = time.perf_counter() - self._manifest["totals"]["wall_seconds"]
        make_folder(folder, ExperimentError)
        self._write_manifest()

    def __contains__(self, run: str) -> bool:
        return run in self._rows

    @property
    def failed(self) -> list[str]:
        """Planned runs that failed."""
        return [run for run in self.plan if run in self and "error" in self._rows[run][0]]

    def frame(self, failed: bool = False) -> pd.DataFrame:
        """Rows of the planned runs in planned order, as `load_runs` returns them."""
        return frame(self._columns(), [row for run in self.plan if run in self for row in self._rows[run]], failed)

    def add(self, run: str, rows: list[dict], error: str | None, seconds: float, environment: dict) -> None:
        """Keep a run; it is on disk when this returns."""
        known, key = self._manifest["environments"], digest(environment, 8)
        if key not in known:
            known[key] = {"started": datetime.now(UTC).isoformat(timespec="seconds"), **environment}
            self._write_manifest()  # before the run that refers to it
        case, seed = self.plan[run]
        last = {"seconds": seconds, "environment": key} | ({"error": error} if error else {})
        rows = [{"run": run, **case, "seed": seed, **row, **last} for row in rows]
        self._rows[run] = [{name: to_cell(value) for name, value in row.items()} for row in rows]
        self._write_runs()
        self._manifest["totals"]["wall_seconds"] = round(time.perf_counter() - self._started, 1)
        self._write_manifest()

    def _order(self) -> list[str]:
        """Planned order, whatever the order of completion; then what earlier calls had planned."""
        return [*(run for run in self.plan if run in self), *(run for run in self._rows if run not in self.plan)]

    def _columns(self) -> list[str]:
        first = ["run", *dict.fromkeys(name for case, _ in self.plan.values() for name in case), "seed"]
        found = dict.fromkeys(name for run in self._order() for row in self._rows[run] for name in row)
        return [*first, *(name for name in found if name not in first and name not in LAST_COLUMNS), *LAST_COLUMNS]

    def _write_runs(self) -> None:
        if self._stamp() != self._seen:
            raise ExperimentError(
                f"{self._csv} was changed by another process; what it wrote is kept. "
                "Let one process at a time use a store, then call again."
            )
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns(), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for run in self._order() for row in self._rows[run])
        write_text(self._csv, text.getvalue(), ExperimentError)
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int, int] | None:
        if not self._csv.exists():
            return None
        found = self._csv.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _write_manifest(self) -> None:
        done, failed = sum(run in self for run in self.plan), len(self.failed)
        self._manifest["totals"] |= {"planned": len(self.plan), "finished": done - failed, "failed": failed}
        text = json.dumps(self._manifest, indent=1, ensure_ascii=False) + "\n"
        if not self._json.exists() or self._json.read_text("utf-8") != text:  # looking at a full store leaves it alone
            write_text(self._json, text, ExperimentError)


def digest(content: dict, length: int) -> str:
    """First `length` hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:length]


def to_cell(value: str | float | bool | None) -> str:
    """Scalar -> text on one line: JSON, but a text stays bare where it cannot be taken for anything else."""
    if isinstance(value, str) and value and value.isprintable() and from_cell(value) is value:
        return value
    return json.dumps(value)


def from_cell(cell: str) -> str | float | bool | None:
    """Inverse of `to_cell`, exact for every type and every float."""
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def read_cells(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns, and rows of text cells without the empty ones. No cell holds a line break: a line is a row."""
    # A last line without its end was cut off, in copying for instance, and its numbers may have lost digits.
    whole, _, cut = path.read_bytes().rpartition(b"\n")
    csv.field_size_limit(2**31 - 1)  # tracebacks and texts may be longer than the module's default of 128 KiB
    columns, *table = csv.reader(whole.decode().split("\n"))
    rows = []
    for number, cells in enumerate(table, start=2):
        if len(cells) != len(columns):
            raise ExperimentError(
                f"{path}, line {number}: {len(cells)} cells found, {len(columns)} expected. "
                "Restore the file from the last commit."
            )
        rows.append({name: cell for name, cell in zip(columns, cells, strict=True) if cell})
    if cut and rows and rows[-1]["run"].startswith(cut.decode(errors="replace").split(",")[0]):
        run = rows[-1]["run"]  # several rows, of which the last is lost, are no finished run
        rows = [row for row in rows if row["run"] != run]
    return columns, rows


def frame(columns: list[str], rows: list[dict[str, str]], failed: bool) -> pd.DataFrame:
    """Decoded rows; without the failed ones and the column `error` unless these are wanted."""
    if not failed:
        rows = [row for row in rows if "error" not in row]
        columns = [name for name in columns if name != "error"]
    return pd.DataFrame([{name: from_cell(cell) for name, cell in row.items()} for row in rows], columns=columns)
