"""Grids of runs: resumable, independent of order and workers, exact on disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from millpond import experiment, provenance
from millpond.experiment import (
    ExperimentError,
    load_manifest,
    load_paired_runs,
    load_runs,
    results_dir,
    run_grid,
    run_grids,
)
from millpond.runs import digest, from_cell, read_cells, to_cell

CASES = [{"size": size, "noise": noise} for size in (3, 5) for noise in (0.0, 0.1)]


def mean_of_noise(seed, size, noise):
    draws = np.random.default_rng(seed).normal(size=size)
    return {"mean": float(noise * draws.mean()), "n": size, "positive": bool(draws.mean() > 0)}


def two_rows(seed, size):
    return [{"part": part, "total": size + seed + i} for i, part in enumerate(("train", "test"))]


def fails_at_two(seed):
    if seed == 2:
        raise ValueError("no water\nin sight")
    return {"value": seed}


def kills_its_worker_once(seed, marker):
    if seed == 1 and not Path(marker).exists():
        Path(marker).touch()
        time.sleep(0.8)  # seed 0 is through by then
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": seed}


def own_threads(seed):
    return {"threads": int(os.environ["OMP_NUM_THREADS"])}


def grid(store, function=mean_of_noise, cases=CASES, seeds=3, **options):
    return run_grid(function, cases, seeds, store, what="a test", progress=False, **options)


def without_times(runs):
    return runs.drop(columns=["seconds", "environment"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return grid(tmp_path_factory.mktemp("whole"))


# A script of slow runs that logs each start: what it logs twice was repeated.
SLOW = """
import signal, sys, time
from millpond.experiment import run_grid

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

def slow(seed, base):
    with open(sys.argv[1] + ".log", "a") as log:
        log.write(f"{base} {seed}\\n")
    time.sleep(float(sys.argv[2]))
    return {"value": base / (seed + 3), "name": "a, b"}

if __name__ == "__main__":
    cases = [{"base": 1.0}, {"base": 2.0}]
    run_grid(slow, cases, 4, sys.argv[1], what="slow", workers=int(sys.argv[3]), progress=False)
"""


@pytest.fixture
def slow(tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(SLOW)

    def start(store, seconds, workers=1):
        return subprocess.Popen([sys.executable, script, tmp_path / store, str(seconds), str(workers)])

    return start


def wait_for_rows(path, n):
    deadline = time.monotonic() + 20
    while not path.exists() or len(path.read_text().splitlines()) < n + 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_after_a_kill_the_grid_goes_on_and_repeats_no_finished_run(tmp_path, slow):
    killed = slow("killed", 0.2)
    wait_for_rows(tmp_path / "killed" / "runs.csv", 3)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    runs = load_runs(tmp_path / "killed")
    finished = {f"{base} {seed}" for base, seed in zip(runs["base"], runs["seed"], strict=True)}
    assert 3 <= len(finished) < 8

    assert slow("killed", 0).wait() == 0
    assert slow("undisturbed", 0).wait() == 0
    assert_frame_equal(
        without_times(load_runs(tmp_path / "killed")), without_times(load_runs(tmp_path / "undisturbed"))
    )
    started = (tmp_path / "killed.log").read_text().splitlines()
    assert all(started.count(run) == 1 for run in finished)
    assert len(started) <= 9  # eight runs, and the one under way when it was killed
    assert not list((tmp_path / "killed").glob("*.part"))


def test_workers_end_with_a_killed_parent(tmp_path, slow):
    killed = slow("killed", 0.6, workers=2)
    wait_for_rows(tmp_path / "killed" / "runs.csv", 1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(0.2)
    begun = (tmp_path / "killed.log").read_text()
    time.sleep(0.8)  # a worker that lived on would begin the next run
    assert (tmp_path / "killed.log").read_text() == begun


def test_an_interrupt_ends_quickly_and_leaves_the_store_resumable(tmp_path, slow):
    interrupted = slow("interrupted", 0.2, workers=2)
    wait_for_rows(tmp_path / "interrupted" / "runs.csv", 1)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=5) != 0
    assert 1 <= len(load_runs(tmp_path / "interrupted")) < 8
    assert slow("interrupted", 0).wait() == 0
    assert len(load_runs(tmp_path / "interrupted")) == 8


def test_results_do_not_depend_on_the_number_of_workers(tmp_path, whole):
    assert_frame_equal(without_times(grid(tmp_path, workers=2)), without_times(whole))


def test_each_worker_takes_its_share_of_the_cores(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    shared = grid(tmp_path, own_threads, [{}], 2, workers=2)["threads"]
    assert shared.tolist() == [max(1, len(os.sched_getaffinity(0)) // 2)] * 2


def test_results_do_not_depend_on_a_dask_cluster(tmp_path, whole):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        runs = grid(tmp_path, scheduler=cluster.scheduler_address)
    assert_frame_equal(without_times(runs), without_times(whole))


def test_a_scheduler_that_does_not_answer(tmp_path):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "300ms"}),
        pytest.raises(ExperimentError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9 .*or use workers=n"),
    ):
        grid(tmp_path, scheduler="tcp://127.0.0.1:9")


def test_a_run_does_not_depend_on_what_else_is_planned(tmp_path, whole):
    backwards = grid(tmp_path, cases=CASES[::-1], seeds=[2, 0])
    key = ["size", "noise", "seed"]
    both = backwards.merge(whole, on=key, suffixes=("", "_whole"))
    assert len(both) == len(backwards) == 8
    assert (both["mean"] == both["mean_whole"]).all()
    assert (both["run"] == both["run_whole"]).all()


def test_rows_come_in_planned_order_seed_by_seed(whole):
    assert list(whole.columns) == [
        *("run", "size", "noise", "seed"),
        *("mean", "n", "positive", "seconds", "environment"),
    ]
    assert whole["seed"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert whole["size"].tolist() == [3, 3, 5, 5] * 3
    assert whole["positive"].dtype == bool


def test_a_grid_grows_and_keeps_what_it_has(tmp_path, whole):
    first = grid(tmp_path, cases=CASES[:2], seeds=2)
    assert_frame_equal(grid(tmp_path)[lambda runs: runs["run"].isin(first["run"])].reset_index(drop=True), first)
    assert len(grid(tmp_path, cases=CASES[:1], seeds=1)) == 1
    assert len(load_runs(tmp_path)) == 12


def fails_once(seed, size):
    if (seed, size) == (1, 3):
        raise ValueError("no water")
    return [{"value": seed + size}] * 2


def test_of_an_unfinished_grid_only_whole_seeds_are_paired(tmp_path):
    cases = [{"size": 2}, {"size": 3}]
    grid(tmp_path, fails_once, cases[:1], [0, 1, 2])
    with pytest.warns(UserWarning, match="1 of 4 runs failed"):
        grid(tmp_path, fails_once, cases, 2)
    paired = load_paired_runs(tmp_path)
    assert paired[["seed", "size", "value"]].to_numpy().tolist() == [[0, 2, 2], [0, 2, 2], [0, 3, 3], [0, 3, 3]]
    with pytest.warns(UserWarning, match="1 of 2 runs failed"):
        grid(tmp_path / "other", fails_once, cases, [1])
    with pytest.raises(ExperimentError, match=r"no seed with all cases found, 1 of 2 in the fullest\. Run the grid"):
        load_paired_runs(tmp_path / "other")


def test_looking_at_a_complete_store_leaves_its_files_alone(tmp_path):
    grid(tmp_path)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    grid(tmp_path)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_a_run_of_several_rows(tmp_path):
    runs = grid(tmp_path, two_rows, [{"size": 10}], 2)
    assert runs["part"].tolist() == ["train", "test"] * 2
    assert runs["total"].tolist() == [10, 11, 11, 12]
    assert runs["run"].nunique() == 2
    assert load_manifest(tmp_path)["totals"]["finished"] == 2


def test_a_failure_is_kept_with_its_traceback_and_the_others_go_on(tmp_path):
    with pytest.warns(UserWarning, match=r"1 of 4 runs failed, the first with 'in sight'.*retry_failed=True"):
        runs = grid(tmp_path, fails_at_two, [{}], 4)
    assert runs["value"].tolist() == [0, 1, 3]
    error = load_runs(tmp_path, failed=True).set_index("seed")["error"]
    assert error.notna().tolist() == [False, False, True, False]
    assert error[2].endswith("ValueError: no water\nin sight\n")
    assert 'File "tests/test_experiment.py", line' in error[2]
    assert "/tests" not in error[2]
    totals = load_manifest(tmp_path)["totals"]
    assert (totals["planned"], totals["finished"], totals["failed"]) == (4, 3, 1)


def test_a_failure_is_repeated_on_demand_only(tmp_path, monkeypatch):
    with pytest.warns(UserWarning, match="1 of 4 runs failed"):
        grid(tmp_path, fails_at_two, [{}], 4)
    monkeypatch.setitem(fails_at_two.__globals__, "ValueError", None)  # it would fail with another error now
    for again, last_line in ((False, "in sight"), (True, "TypeError: 'NoneType' object is not callable")):
        with pytest.warns(UserWarning, match="1 of 4 runs failed"):
            grid(tmp_path, fails_at_two, [{}], 4, retry_failed=again)
        assert load_runs(tmp_path, failed=True)["error"].dropna().item().strip().endswith(last_line)
    mended = lambda seed: {"value": seed}  # noqa: E731
    mended.__module__, mended.__qualname__ = fails_at_two.__module__, fails_at_two.__qualname__
    assert grid(tmp_path, mended, [{}], 4, retry_failed=True)["value"].tolist() == [0, 1, 2, 3]
    assert load_manifest(tmp_path)["totals"]["failed"] == 0


def test_a_dead_worker_loses_nothing_that_was_finished(tmp_path):
    cases = [{"marker": str(tmp_path / "marker")}]
    store = tmp_path / "store"
    with pytest.raises(
        ExperimentError, match=r"A worker died .*finished runs are kept in .*store: call again to go on"
    ):
        grid(store, kills_its_worker_once, cases, 2, workers=2)
    assert load_runs(store)["value"].tolist() == [0]
    assert grid(store, kills_its_worker_once, cases, 2, workers=2)["value"].tolist() == [0, 1]


@pytest.mark.parametrize("kept_bytes", [-1, -5, -40])
def test_a_truncated_last_line_is_dropped_and_its_run_repeated(tmp_path, whole, kept_bytes):
    grid(tmp_path)
    table = tmp_path / "runs.csv"
    table.write_bytes(table.read_bytes()[:kept_bytes])
    assert len(load_runs(tmp_path)) == 11
    assert_frame_equal(without_times(grid(tmp_path)), without_times(whole))


def test_a_run_that_lost_one_of_its_rows_is_no_finished_run(tmp_path):
    runs = grid(tmp_path, two_rows, [{"size": 10}], 2)
    table = tmp_path / "runs.csv"
    table.write_bytes(table.read_bytes()[:-5])
    assert load_runs(tmp_path)["seed"].tolist() == [0, 0]
    assert_frame_equal(without_times(grid(tmp_path, two_rows, [{"size": 10}], 2)), without_times(runs))


def test_a_damaged_table_is_named_with_its_line(tmp_path):
    grid(tmp_path)
    table = tmp_path / "runs.csv"
    table.write_text(table.read_text() + "<<<<<<< HEAD\n")
    with pytest.raises(ExperimentError, match=r"runs.csv, line 14: 1 cells found, 10 expected. Restore the file"):
        load_runs(tmp_path)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(SCALARS)
def test_a_cell_gives_back_the_exact_value(value):
    cell = to_cell(value)
    assert cell.isprintable()
    assert cell
    back = from_cell(cell)
    assert type(back) is type(value)
    assert repr(back) == repr(value)  # tells -0.0 from 0.0, and lets NaN equal itself


@pytest.mark.parametrize("text", ["007", "7", "true", "null", "NaN", "", " 7", "1e3", '"quoted"', "a,b", "two\nlines"])
def test_a_text_stays_a_text(text):
    assert from_cell(to_cell(text)) == text


def test_types_survive_the_table(tmp_path):
    case = {"code": "007", "flag": True, "nothing": None, "tenth": 0.1, "whole": 1, "real": 1.0, "text": 'é, "b"\r\n'}
    grid(tmp_path, returns_third, [case], 1)
    (row,) = read_cells(tmp_path / "runs.csv")[1]
    assert {name: from_cell(row[name]) for name in case} == case
    assert [type(from_cell(row[name])) for name in ("whole", "real", "third", "count")] == [int, float, float, int]
    assert from_cell(row["third"]) == 1 / 3
    runs = load_runs(tmp_path)
    assert runs["code"].item() == "007"
    assert runs["text"].item() == case["text"]
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 2


def returns_third(seed, **case):
    return {"third": np.float64(1 / 3), "count": np.int64(3)}


def test_columns_that_come_later_or_not_at_all(tmp_path):
    runs = grid(tmp_path, returns_own_column, [{"kind": "a"}, {"kind": "b", "depth": 2}], 1)
    assert list(runs.columns) == ["run", "kind", "depth", "seed", "a", "b", "seconds", "environment"]
    assert runs[["depth", "a", "b"]].isna().to_numpy().tolist() == [[True, False, True], [False, True, False]]


def returns_own_column(seed, kind, depth=0):
    return {kind: 1.5}


def test_the_manifest_says_what_was_run_and_on_what(tmp_path):
    runs = grid(tmp_path)
    manifest = load_manifest(tmp_path)
    assert manifest["what"] == "a test"
    assert manifest["function"].endswith("test_experiment:mean_of_noise")
    assert (manifest["cases"], manifest["seeds"]) == (CASES, [0, 1, 2])
    assert {"planned": 12, "finished": 12, "failed": 0}.items() <= manifest["totals"].items()
    assert manifest["totals"]["wall_seconds"] >= 0
    (key,) = manifest["environments"]
    assert (runs["environment"] == key).all()
    environment = manifest["environments"][key]
    assert environment["packages"]["numpy"] == np.__version__
    assert {"platform", "processor", "cores", "threads", "memory_gb"} == set(environment["machine"])
    assert pd.Timestamp(environment["started"]).tz is not None


def test_the_revision_is_that_of_the_package(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "package").mkdir()
    module = tmp_path / "package" / "module.py"
    monkeypatch.setattr(provenance, "__file__", str(module))
    found = provenance.environment()
    assert (found["revision"], found["uncommitted_changes"]) == (None, None)

    module.touch()
    git("init")
    git("add", ".")
    git("commit", "-m", "Add the package")
    first = provenance.environment()
    assert len(first["revision"]) == 40
    (tmp_path / "results.csv").touch()
    git("add", ".")
    git("commit", "-m", "Archive results")
    assert provenance.environment() == first
    assert first["uncommitted_changes"] is False
    module.write_text("changed = True")
    assert provenance.environment() == {**first, "uncommitted_changes": True}


def test_a_store_serves_one_grid(tmp_path):
    grid(tmp_path)
    with pytest.raises(ExperimentError, match=r"holds runs of .*:mean_of_noise \('a test'\), not of .*:two_rows"):
        grid(tmp_path, two_rows, [{"size": 10}])
    with pytest.raises(ExperimentError, match=r"not of .* \('something else'\). Give this grid a store of its own"):
        run_grid(mean_of_noise, CASES, 1, tmp_path, what="something else", progress=False)


def test_a_second_process_is_noticed_and_its_runs_are_kept(tmp_path):
    def disturbed(seed):
        table = tmp_path / "runs.csv"
        if seed == 1:
            table.write_text(table.read_text().replace("original", "changed by another"))
        return {"text": "original"}

    with pytest.raises(ExperimentError, match=r"changed by another process; what it wrote is kept. Let one process"):
        grid(tmp_path, disturbed, [{}], 3)
    assert load_runs(tmp_path)["text"].tolist() == ["changed by another"]


def test_a_function_that_workers_cannot_import(tmp_path):
    with pytest.raises(ExperimentError, match=r"Worker processes cannot import .*<lambda>. Define it at the top level"):
        grid(tmp_path, lambda seed: {"value": seed}, [{}], 2, workers=2)
    typed = (
        "from millpond.experiment import *\ndef f(seed): return {}\nrun_grid(f, [{}], 1, 'store', what='', workers=2)"
    )
    answer = subprocess.run([sys.executable, "-c", typed], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ExperimentError: Worker processes cannot import __main__:f." in answer.stderr


@pytest.mark.parametrize(
    ("cases", "seeds", "message"),
    [
        ([{"size": 3}, {"size": 3}], 1, r"Case \{'size': 3\} with seed 0 is planned twice"),
        ([{"size": 3}], [4, 4], "with seed 4 is planned twice"),
        ([{"size": 3}, {"size": [1, 2]}], 1, "Case 1 has a list as 'size'; expected a text, number"),
        ([{"seed": 3}], 1, "Case 0 has the key 'seed'; expected a name other than run, seed, seconds"),
        ([3], 1, "Case 0 is a int; expected a flat dict of scalars"),
    ],
)
def test_a_plan_that_cannot_be_run(tmp_path, cases, seeds, message):
    with pytest.raises(ExperimentError, match=message):
        grid(tmp_path, two_rows, cases, seeds)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("[]", "The function returned an empty list"),
        ("None", "A row of the result is a NoneType; expected a flat dict"),
        ("{'error': 1}", "A row of the result has the key 'error'"),
        ("{'result': 1}", "A row of the result has the key 'result'"),  # the case has it already
        ("{'array': {}}", "A row of the result has a dict as 'array'"),
    ],
)
def test_a_result_that_is_no_row_is_a_failure(tmp_path, result, message):
    with pytest.warns(UserWarning, match="1 of 1 runs failed"):
        grid(tmp_path, evaluates, [{"result": result}], 1)
    assert message in load_runs(tmp_path, failed=True)["error"].item()


def evaluates(seed, result):
    return eval(result)


def test_the_progress_bar_goes_to_stderr_and_only_there(tmp_path, capsys):
    run_grid(mean_of_noise, CASES, 2, tmp_path, what="a visible grid")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a visible grid" in captured.err
    assert "8/8" in captured.err
    grid(tmp_path / "silent")
    assert capsys.readouterr() == ("", "")


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(ExperimentError, match=r"runs.csv not found: no run of this grid is finished. Run it, or name"):
        load_runs(tmp_path)
    with pytest.raises(ExperimentError, match=r"manifest.json: No such file .* Name a folder that run_grid wrote"):
        load_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ExperimentError, match=r"manifest.json is no JSON .*Restore it from the last commit"):
        load_manifest(tmp_path)


def test_results_lie_beside_the_table_of_contents(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "notebooks" / "results").mkdir(parents=True)
    monkeypatch.delenv("MILLPOND_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path / "notebooks")
    with pytest.raises(ExperimentError, match=r"No folder 'results' beside a '_toc.yml' .*MILLPOND_RESULTS"):
        results_dir()
    (tmp_path / "_toc.yml").touch()
    assert results_dir() == tmp_path / "results"
    monkeypatch.setenv("MILLPOND_RESULTS", str(tmp_path / "elsewhere"))
    assert results_dir() == tmp_path / "elsewhere"


def test_a_run_whose_id_looks_like_a_number_is_not_repeated(tmp_path):
    # one id in some two thousand has digits only, or digits and an exponent
    seed = next(n for n in range(10**6) if digest({"case": {"x": 1}, "seed": n}, 16).isdigit())
    first = run_grid(double, [{"x": 1}], [seed], tmp_path, what="digits", progress=False)
    again = run_grid(double, [{"x": 1}], [seed], tmp_path, what="digits", progress=False)
    assert len(again) == 1
    assert again.equals(first)
    assert len(load_runs(tmp_path)) == 1


def double(x, seed):
    return {"y": 2 * x}


def test_one_grid_of_several_is_run_alone(tmp_path):
    grids = {name: (two_rows, [{"size": 3}], 1, name) for name in ("first", "second")}
    assert list(run_grids(grids, tmp_path, only="second", progress=False)) == ["second"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["second"]
    with pytest.raises(ExperimentError, match="archive 'third' found, one of first, second expected"):
        run_grids(grids, tmp_path, only="third")


@pytest.mark.parametrize(("seconds", "n_times"), [(0.9, 0), (1.1, 1)])
def test_what_a_long_run_left_is_given_back(monkeypatch, seconds, n_times):
    given_back, clock = [], iter([0.0, seconds])
    monkeypatch.setattr(experiment.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(experiment, "_release_memory", lambda: given_back.append(1))
    assert experiment._run(two_rows, {"size": 3}, 0)[2] == seconds
    assert len(given_back) == n_times
