"""The command: what it prints, on which stream, and with which exit code."""

import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

from millpond import cli, datasets
from millpond.datasets import Dataset, DatasetError, File
from millpond.normalization import study as study_of_normalization

COMMAND = [sys.executable, "-c", "import sys; from millpond.cli import main; sys.exit(main())"]


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = cli.main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def ponds(monkeypatch, tmp_path):
    """Two registered data sets without addresses: "a" is here, "b" is not."""
    file = File("x.csv", 1, "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b")  # of "1"
    entries = {n: Dataset(n, "data root", f"Pond {n}", "CC0", "https://pond.example", files=(file,)) for n in "ab"}
    monkeypatch.setattr(datasets, "registry", lambda: entries)
    monkeypatch.setenv("MILLPOND_DATA", str(tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").write_bytes(b"1")
    return tmp_path


@pytest.fixture
def study(monkeypatch):
    """A study that notes how it was called."""
    calls = []
    module = SimpleNamespace(PROFILES=("quick", "full"), run=lambda **options: calls.append(options))
    monkeypatch.setitem(sys.modules, "pond_study", module)
    monkeypatch.setattr(cli, "STUDIES", {"pond": "pond_study"})
    return calls


# The real command


def test_a_mistake_is_one_line_and_exit_code_2():
    done = subprocess.run([*COMMAND, "data", "get", "lake"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("millpond: no data set is called 'lake'. Known are virginia, ")
    assert done.stderr.count("\n") == 1


def test_help_is_fast_because_nothing_heavy_is_imported():
    code = "import sys; from millpond.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "pandas", "rasterio", "requests", "torch"}.isdisjoint(done.stdout.splitlines()[-1].split())


def test_a_closed_pipe_is_quiet():
    shown = subprocess.Popen([*COMMAND, "data", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shown.stdout.close()
    with shown.stderr:
        assert shown.stderr.read() == b""
    assert shown.wait() == 1


# Help and errors


@pytest.mark.parametrize("arguments", [(), ("--help",), ("data",), ("data", "--help"), ("data", "get", "--help")])
def test_help(run, arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: millpond")


def test_version(run):
    assert run("--version") == (0, "millpond 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pool",), "No such command 'pool'. See `millpond --help`."),
        (("data", "list", "--al"), "See `millpond data list --help`."),
        (("data", "get"), "Invalid value: name the data sets, or pass --all. See `millpond data get --help`."),
        (("data", "get", "a", "--all"), "Invalid value: name the data sets, or pass --all. See"),
        (("run",), "Missing argument 'STUDY'. See `millpond run --help`."),
        (
            ("run", "lake"),
            "Invalid value: no study is called 'lake'; known: normalization, capacity, lstm_cnn, level. See",
        ),
    ],
)
def test_usage_errors_are_one_line(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("millpond: ")
    assert message in err


def broken(error):
    def fetch(*_, **__):
        raise error

    return fetch


def test_a_defect_is_called_a_defect(run, ponds, monkeypatch):
    monkeypatch.setattr(datasets, "fetch", broken(ZeroDivisionError("division\nby zero")))
    assert run("data", "get", "a") == (
        2,
        "",
        "millpond: this is a defect, not your mistake: ZeroDivisionError: division by zero. "
        "Please report it with what the same command prints with --debug.\n",
    )


@pytest.mark.parametrize("arguments", [("--debug", "data", "get", "a"), ("data", "get", "a", "--debug")])
def test_debug_shows_the_traceback(run, ponds, monkeypatch, arguments):
    monkeypatch.setattr(datasets, "fetch", broken(DatasetError("dried up")))
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("Traceback")
    assert err.endswith("millpond.downloads.DatasetError: dried up\n")


def test_an_interrupt_is_one_line(run, ponds, monkeypatch):
    monkeypatch.setattr(datasets, "fetch", broken(KeyboardInterrupt()))
    code, _, err = run("data", "get", "a")
    assert (code, err) == (
        130,
        "millpond: stopped. Nothing is half-written. Downloads, runs and whatever keeps a checkpoint go on where they "
        "stopped with the same command; others begin anew.\n",
    )


# Data


def test_data_list(run, ponds):
    code, out, _ = run("data", "list")
    assert code == 0
    assert out.splitlines() == [
        "name  tier       here  size    licence  title",
        "a     data root  yes   0.0 MB  CC0      Pond a",
        "b     data root  no    0.0 MB  CC0      Pond b",
        "",
        f"The data root is {ponds}.",
        "Real outlines of fields (AI4Boundaries): millpond normalize fields download FOLDER",
    ]


def test_data_get_says_where_a_data_set_is(run, ponds):
    assert run("data", "get", "a") == (0, f"a: complete in {ponds / 'a'}\n", "")


def test_data_get_all_goes_on_after_a_failure(run, ponds, monkeypatch):
    failing_first = dict(reversed(datasets.registry().items()))
    monkeypatch.setattr(datasets, "registry", lambda: failing_first)
    code, out, err = run("data", "get", "--all")
    assert (code, out) == (2, f"a: complete in {ponds / 'a'}\n")
    first, last = err.splitlines()
    assert first.startswith("millpond: b: no download address is known for x.csv. Look at https://pond.example and put")
    assert last == "millpond: 1 of 2 data sets are not complete; the lines above say why."


def test_data_verify_finds_a_changed_file(run, ponds):
    assert run("data", "verify") == (0, "a: 1 of 1 files as registered\n", "")
    (ponds / "a" / "x.csv").write_bytes(b"2")
    assert run("data", "verify", "a", "b") == (
        2,
        "a: 0 of 1 files as registered\n  wrong checksum: x.csv\nb: 0 of 1 files as registered\n  missing: x.csv\n",
        "millpond: 2 of 2 data sets are not as registered. `millpond data get NAME` mends them.\n",
    )


# Studies and results


def test_run_passes_on_what_is_given(run, study, monkeypatch, tmp_path):
    monkeypatch.setenv("MILLPOND_RESULTS", str(tmp_path))
    folder = tmp_path / "pond" / "quick"
    assert run("run", "pond") == (0, f"pond, quick: all runs are in {folder} (`millpond results`).\n", "")
    options = ("--workers", "2", "--scheduler", "tcp://h:1", "--store", str(tmp_path), "--retry-failed")
    options += ("--only", "deep")
    run("run", "pond", "--profile", "full", *options)
    assert study == [
        dict(profile="quick", workers=1, scheduler=None, store=folder, retry_failed=False, only=None),
        dict(profile="full", workers=2, scheduler="tcp://h:1", store=tmp_path, retry_failed=True, only="deep"),
    ]


def test_warnings_of_a_study_are_told(run, study, monkeypatch, tmp_path):
    odd = SimpleNamespace(PROFILES=("quick",), run=lambda **_: warnings.warn("impossible levels found", stacklevel=1))
    monkeypatch.setitem(sys.modules, "pond_study", odd)
    code, _, err = run("run", "pond", "--store", str(tmp_path))
    assert (code, err) == (0, "millpond: warning: impossible levels found\n")


def test_failed_runs_are_an_error_with_a_way_on(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MILLPOND_DATA", str(tmp_path / "nothing"))
    tails = {"long_tail": study_of_normalization.grids_of("full")["long_tail"]}  # the rest trains for hours
    monkeypatch.setattr(study_of_normalization, "grids_of", lambda profile: tails)
    store = tmp_path / "store"
    for option, count in (((), 9), (("--retry-failed",), 9)):
        code, _, err = run("run", "normalization", "--profile", "full", "--store", str(store), *option)
        assert code == 2
        message = err.splitlines()[-1]
        assert message.startswith(f"millpond: {count} of 10 runs failed, the first with")
        assert message.endswith("Here: --retry-failed.")


def test_run_names_the_profiles(run, study):
    code, _, err = run("run", "pond", "--profile", "slow")
    assert code == 2
    assert err == (
        "millpond: Invalid value: pond has no profile 'slow'; it has: quick, full. See `millpond run --help`.\n"
    )
    assert study == []


def test_results(run, monkeypatch, tmp_path):
    monkeypatch.setenv("MILLPOND_RESULTS", str(tmp_path))
    assert run("results") == (0, f"{tmp_path} holds no runs. `millpond run STUDY` makes some.\n", "")
    (tmp_path / "pond" / "full").mkdir(parents=True)
    manifest = {
        "what": "Eight normalizations",
        "function": "pond:run",
        "cases": [{}],
        "seeds": [0],
        "totals": {"planned": 40, "finished": 38, "failed": 2, "wall_seconds": 11_520.4},
        "environments": {"1": {"revision": "0123456789abcdef", "uncommitted_changes": True}},
    }
    (tmp_path / "pond" / "full" / "manifest.json").write_text(json.dumps(manifest))
    assert run("results") == (
        0,
        "folder     finished  failed  wall time  revision   what\n"
        "pond/full  38/40     2       3:12:00    01234567+  Eight normalizations\n",
        "",
    )


def test_a_room_has_its_own_parser(run, monkeypatch):
    def app(args, prog_name, standalone_mode):
        print(args, prog_name, standalone_mode)
        return 2

    monkeypatch.setitem(sys.modules, cli.ROOMS["normalize"][0], SimpleNamespace(app=app))
    assert run("normalize", "scene.tif", "--help", "-x") == (
        2,
        "['scene.tif', '--help', '-x'] millpond normalize False\n",
        "",
    )
