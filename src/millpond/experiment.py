"""A grid of cases x seeds becomes a folder of results that can be stopped, committed and resumed at any time."""

import ctypes
import gc
import os
import pickle
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from functools import cache
from multiprocessing import active_children, get_context, parent_process
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from millpond.provenance import environment
from millpond.runs import LAST_COLUMNS, ExperimentError, Store, digest, load_manifest, load_paired_runs, load_runs

__all__ = [
    "ExperimentError",
    "FailedRunsWarning",
    "load_manifest",
    "load_paired_runs",
    "load_runs",
    "results_dir",
    "run_grid",
    "run_grids",
]


class FailedRunsWarning(UserWarning):
    """Some runs of a grid failed; the others are there."""


_RESERVED = ("run", "seed", *LAST_COLUMNS)
_environment = cache(environment)  # asked once a process: a worker may sit on another machine than its neighbour


def run_grid(
    function: Callable[..., Mapping | list[Mapping]],
    cases: Sequence[Mapping],
    seeds: int | Sequence[int],
    store: str | os.PathLike,
    *,
    what: str,
    workers: int = 1,
    scheduler: str | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Run `function(seed=seed, **case)` for every case and seed, and keep each result as soon as it is there.

    Runs that the store already holds are not repeated. The seeds are the outer loop: a grid stopped half-way holds
    every case about equally often; and since every case gets the same seeds, cases can be paired by seed.

    Parameters
    ----------
    function : callable
        Named function that returns a flat dict of scalars, or a list of such dicts for several rows.
    cases : sequence of dict
        Flat dicts of JSON scalars, each the keyword arguments of a case.
    seeds : int or sequence of int
        A number n stands for the seeds 0 ... n-1.
    store : path
        Folder of this grid, made when missing. One process a store.
    what : str
        What is run, in words; also the label of the progress bar.
    workers : int
        Local processes; 1 runs everything in this process. Ignored when there is a `scheduler`.
    scheduler : str, optional
        Address of a Dask cluster, such as ``"tcp://host:8786"``.
    retry_failed : bool
        Repeat the runs that the store holds as failed.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    DataFrame
        The planned runs that succeeded, in planned order: `run`, case columns, `seed`, result columns, `seconds` (of
        the whole run, on each of its rows) and `environment` (a key into the manifest).

    Raises
    ------
    ExperimentError
        If the store belongs to another grid, a case is no flat dict of scalars or is planned twice, the function cannot
        be sent to a worker, or a worker died. Finished runs are kept in every case.

    Warns
    -----
    FailedRunsWarning
        If planned runs failed. A failing run does not stop the others; its traceback is in the store.
    """
    if workers < 1:
        raise ExperimentError(f"{workers} workers found, at least 1 expected.")
    cases = [_flat(case, f"Case {i}", _RESERVED) for i, case in enumerate(cases)]
    seeds = list(range(seeds)) if isinstance(seeds, Integral) else [int(seed) for seed in seeds]
    plan = _plan(cases, seeds)
    name = _name(function, for_processes=scheduler is None and workers > 1)
    _environment.cache_clear()  # the code may have changed since the last grid of this process
    kept = Store(Path(store), plan, {"what": what, "function": name, "cases": cases, "seeds": seeds})
    again = set(kept.failed) if retry_failed else set()
    todo = {run: plan[run] for run in plan if run not in kept or run in again}

    if scheduler is None and workers == 1:
        results = _serial(function, todo)
    else:
        results = _concurrent(function, todo, workers, scheduler, kept.folder)
    bar = tqdm(total=len(plan), initial=len(plan) - len(todo), desc=what, unit="run", disable=not progress)
    with bar, closing(results):
        for run, result in results:
            kept.add(run, *result)
            bar.update()

    if kept.failed:
        last_line = kept.frame(failed=True)["error"].dropna().iloc[0].strip().splitlines()[-1]
        warnings.warn(
            f"{len(kept.failed)} of {len(plan)} runs failed, the first with {last_line!r}. Their tracebacks: "
            f"load_runs({str(store)!r}, failed=True). Mend the cause and call again with retry_failed=True.",
            FailedRunsWarning,
            stacklevel=2,
        )
    return kept.frame()


def run_grids(
    grids: Mapping[str, tuple[Callable, Sequence[Mapping], int | Sequence[int], str]],
    store: str | os.PathLike,
    *,
    only: str | None = None,
    **options,
) -> dict[str, pd.DataFrame]:
    """Run or resume the grids of a study one after the other.

    Parameters
    ----------
    grids : mapping
        By archive, the folder of `store` that it gets: function, cases, seeds, and what it is, in words.
    store : path
    only : str, optional
        The archive to run; by default all.
    **options
        As in `run_grid`: `workers`, `scheduler`, `retry_failed`.

    Returns
    -------
    dict of archive name to DataFrame

    Raises
    ------
    ExperimentError
        If there is no archive called so.
    """
    if only is not None and only not in grids:
        raise ExperimentError(f"archive {only!r} found, one of {', '.join(grids)} expected.")
    return {
        name: run_grid(function, cases, seeds, Path(store) / name, what=what, **options)
        for name, (function, cases, seeds, what) in grids.items()
        if only in (None, name)
    }


def results_dir() -> Path:
    """Folder of archived results: `MILLPOND_RESULTS`, else `results` beside the nearest `_toc.yml` at or above here.

    Raises
    ------
    ExperimentError
        If there is neither.
    """
    if named := os.environ.get("MILLPOND_RESULTS"):
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").is_file() and (folder / "results").is_dir():
            return folder / "results"
    raise ExperimentError(
        f"No folder 'results' beside a '_toc.yml' at or above {here}. Start in the book's folder, "
        "or set the environment variable MILLPOND_RESULTS to the folder of the results."
    )


def _plan(cases: list[dict], seeds: list[int]) -> dict[str, tuple[dict, int]]:
    """Run id -> (case, seed). The id depends on these two alone: not on order, and not on how a table is parsed."""
    plan = {}
    for seed in seeds:
        for case in cases:
            run = digest({"case": case, "seed": seed}, 16)
            if run in plan:
                raise ExperimentError(f"Case {case} with seed {seed} is planned twice. Give each case and seed once.")
            plan[run] = (case, seed)
    return plan


def _flat(row: Mapping, whose: str, taken: Sequence[str]) -> dict:
    if not isinstance(row, Mapping):
        raise ExperimentError(f"{whose} is a {type(row).__name__}; expected a flat dict of scalars.")
    row = {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
    for key, value in row.items():
        if not isinstance(key, str) or not key.isprintable() or key in ("", *taken):
            raise ExperimentError(f"{whose} has the key {key!r}; expected a name other than {', '.join(taken)}.")
        if not isinstance(value, str | int | float | None):
            raise ExperimentError(
                f"{whose} has a {type(value).__name__} as {key!r}; expected a text, number, truth value or None. "
                "Spread it over several keys, or over several rows."
            )
    return row


def _name(function: Callable, for_processes: bool) -> str:
    """Module and name of the function: what the manifest calls it, and where a worker process finds it."""
    if not hasattr(function, "__qualname__"):
        raise ExperimentError(f"{function!r} has no name. Pass a function; fixed arguments belong in the cases.")
    name = f"{function.__module__}:{function.__qualname__}"
    if for_processes:
        try:
            pickle.dumps(function)
            importable = function.__module__ != "__main__" or hasattr(sys.modules["__main__"], "__file__")
        except (pickle.PicklingError, AttributeError, TypeError):
            importable = False
        if not importable:  # a lambda, an inner function, or one typed into a notebook
            raise ExperimentError(
                f"Worker processes cannot import {name}. Define it at the top level of a module, or use workers=1."
            )
    return name


def _run(function: Callable, case: dict, seed: int) -> tuple[list[dict], str | None, float, dict]:
    """Rows, error, seconds and environment of one run; never raises, so that one failure cannot stop a grid."""
    made_by = _environment()
    started, error = time.perf_counter(), None
    try:
        rows = function(seed=seed, **case)
        rows = rows if isinstance(rows, list) else [rows]
        if not rows:
            raise ExperimentError("The function returned an empty list; expected at least one row.")
        rows = [_flat(row, "A row of the result", (*_RESERVED, *case)) for row in rows]
    except (Exception, SystemExit):
        rows = [{}]
        # of a file its last folder and name: what is above differs between machines and tells nothing of the failure
        error = re.sub(r'File "[^"]*?([^/\\"]+[/\\][^/\\"]+)"', r'File "\1"', traceback.format_exc())
    seconds = round(time.perf_counter() - started, 3)
    if seconds > 1:  # what runs in less leaves little, and to look through all objects takes a third of a second
        _release_memory()
    return rows, error, seconds, made_by


def _release_memory() -> None:
    """Give back what a run left: networks that hold each other in cycles, and freed tensors, which glibc keeps.

    Together they are half a gigabyte a training.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim:
            trim(0)


def _serial(function: Callable, todo: dict) -> Iterator[tuple[str, tuple]]:
    for run, (case, seed) in todo.items():
        yield run, _run(function, case, seed)


def _concurrent(
    function: Callable, todo: dict, workers: int, scheduler: str | None, folder: Path
) -> Iterator[tuple[str, tuple]]:
    lost = None
    with _executor(workers, scheduler) as executor:
        try:
            futures = {executor.submit(_run, function, case, seed): run for run, (case, seed) in todo.items()}
            for future in as_completed(futures):
                # `_run` never raises, so an exception is a lost worker's; runs that others finished still come after it
                if future.cancelled() or future.exception() is not None:
                    lost = "cancelled" if future.cancelled() else future.exception()
                else:
                    yield futures[future], future.result()
        except BrokenExecutor as error:  # while submitting
            lost = error
    if lost:
        raise ExperimentError(
            f"A worker died ({lost}); often memory ran out. The finished runs are kept in {folder}: "
            "call again to go on, with fewer workers if it was memory."
        )


@contextmanager
def _executor(workers: int, scheduler: str | None) -> Iterator[Executor]:
    """Local processes or a Dask cluster. Left by an exception, it gives up the runs under way and does not wait."""
    if scheduler is None:
        others = set(active_children())
        pool = ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(max(1, _n_cores() // workers),),
        )
        try:
            yield pool
        except BaseException:
            for process in set(active_children()) - others:
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return

    from distributed import Client  # slow to import, and few need it

    try:
        client = Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ExperimentError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler`, or use workers=n."
        ) from error
    with client:
        pool = client.get_executor(pure=False)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False)


def _n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(n_threads: int) -> None:
    """A worker takes its share of the cores, leaves an interrupt to its parent, and ends when the parent was killed."""
    # For torch, which is imported later; with all cores for every worker it is many times slower than with its share.
    os.environ["OMP_NUM_THREADS"] = str(n_threads)

    def follow():
        parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=follow, daemon=True).start()
