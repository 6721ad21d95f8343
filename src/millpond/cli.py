"""The command `millpond`. It parses and reports; the work is done by the package.

Whatever goes wrong is one readable line on stderr and exit code 2, and a traceback only with `--debug`. What a verb
needs is imported by that verb, so that help and typing errors don't wait for torch.
"""

import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from millpond import __version__
from millpond.errors import MillpondError

STUDIES = {
    "normalization": "millpond.normalization.study",
    "capacity": "millpond.capacity.study",
    "lstm_cnn": "millpond.lstm_cnn.study",
    "level": "millpond.level.study",
}
"""Modules with `run(profile, store, **options of run_grids)` and the names of their `PROFILES`."""

ROOMS = {
    "normalize": ("millpond.normalization.commands", "Normalize your own images."),
    "capacity": ("millpond.capacity.commands", "Estimate the capacity of your own reservoirs."),
    "level": ("millpond.level.commands", "Read water levels off images of your own reservoir."),
}
"""Verbs that a study's room brings: a module with a typer `app`, and the line that the help shows."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
data_app = typer.Typer(rich_markup_mode=None)
app.add_typer(data_app, name="data")

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Data sets, as `millpond data list` names them.")
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 after any error, 130 if interrupted."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        # rasterio's, of labels that are cut off for instance; what needs a place says so itself
        warnings.filterwarnings("ignore", "Dataset has no geotransform")
        warnings.showwarning = lambda message, *_: _complain(f"warning: {message}")
        return _main(list(sys.argv[1:] if argv is None else argv))


def _main(arguments: list[str]) -> int:
    debug = "--debug" in arguments  # wherever it stands: who adds it adds it at the end
    try:
        code = app(args=[a for a in arguments if a != "--debug"], prog_name="millpond", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            _complain(_explain(error))
        return 2
    if code == 130:  # newer typers turn the interrupt into an exit code
        _complain(
            "stopped. Nothing is half-written. Downloads, runs and whatever keeps a checkpoint go on where they "
            "stopped with the same command; others begin anew."
        )
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> str:
    if isinstance(error, MillpondError):
        return str(error)
    if hasattr(error, "format_message"):  # click's errors; typer brings its own copy of click or uses the installed one
        context = getattr(error, "ctx", None)
        message = error.format_message()
        message += "" if message.endswith((".", "?")) else "."
        return f"{message} See `{context.command_path if context else 'millpond'} --help`."
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}). Cut the input to a part, or use a machine with more of it."
    return (
        f"this is a defect, not your mistake: {type(error).__name__}: {error}. "
        "Please report it with what the same command prints with --debug."
    )


def _complain(message: str) -> None:
    print("millpond:", " ".join(message.split()), file=sys.stderr)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"millpond {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Reading small reservoirs from space: data, studies and methods of the book."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@data_app.callback(invoke_without_command=True)
def _data(context: typer.Context) -> None:
    """List, download and check the data sets."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@data_app.command("list")
def list_data() -> None:
    """Show every data set and whether it is here."""
    from millpond import datasets

    _table(
        ("name", "tier", "here", "size", "licence", "title"),
        (
            (
                entry.name,
                entry.tier,
                "yes" if datasets.is_present(entry.name) else "no",
                f"{entry.size / 1e6:.1f} MB" if entry.size else "-",
                entry.licence,
                entry.title,
            )
            for entry in datasets.registry().values()
        ),
    )
    typer.echo(f"\nThe data root is {datasets.data_root()}.")
    typer.echo("Real outlines of fields (AI4Boundaries): millpond normalize fields download FOLDER")


@data_app.command("get")
def get_data(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be downloaded.")] = False,
) -> None:
    """Download data sets, or what is missing of them.

    They go into the data root: the folder that the environment variable MILLPOND_DATA names, or the user's cache.
    """
    from millpond import datasets

    if bool(names) == everything:
        raise typer.BadParameter("name the data sets, or pass --all")
    chosen = list(datasets.registry()) if everything else [datasets.dataset(name).name for name in names]
    failed = 0
    for name in chosen:
        try:
            typer.echo(f"{name}: complete in {datasets.fetch(name)}")
        except datasets.DatasetError as error:
            if len(chosen) == 1:
                raise
            _complain(str(error))  # the others may still be had
            failed += 1
    if failed:
        raise datasets.DatasetError(f"{failed} of {len(chosen)} data sets are not complete; the lines above say why.")


@data_app.command("unpack")
def unpack_data(
    archive: Annotated[Path, typer.Argument(help="A zip or tar file.")],
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
) -> None:
    """Unpack an archive; nothing leaves the folder, and links are refused."""
    from millpond import datasets

    typer.echo(f"{datasets.unpack(archive, folder)}: unpacked")


@data_app.command("verify")
def verify_data(names: Names = None) -> None:
    """Compare files with their checksums.

    Without names, all data sets that are here are compared.
    """
    from millpond import datasets

    chosen = names or [name for name in datasets.registry() if datasets.path(name, required=False).exists()]
    wrong = 0
    for name in chosen:
        found = datasets.verify(name)
        bad = [file for file in found if file.state != "present"]
        typer.echo(f"{name}: {len(found) - len(bad)} of {len(found)} files as registered")
        for file in bad:
            typer.echo(f"  {file.state}: {file.path}")
        wrong += bool(bad)
    if wrong:
        raise datasets.DatasetError(
            f"{wrong} of {len(chosen)} data sets are not as registered. `millpond data get NAME` mends them."
        )


@app.command()
def run(
    study: Annotated[str, typer.Argument(metavar="STUDY", help=f"One of: {', '.join(STUDIES)}.")],
    profile: Annotated[str, typer.Option(help="quick, full, or paper where a study has one.")] = "quick",
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask cluster.")] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the runs; default: results/STUDY/PROFILE.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Repeat runs that failed before.")] = False,
    only: Annotated[
        str | None, typer.Option(metavar="ARCHIVE", help="One archive of the study, as its folder is called.")
    ] = None,
) -> None:
    """Run a study, going on with what an earlier call left to do."""
    if study not in STUDIES:
        raise typer.BadParameter(f"no study is called {study!r}; known: {', '.join(STUDIES)}.")
    module = import_module(STUDIES[study])
    if profile not in module.PROFILES:
        raise typer.BadParameter(f"{study} has no profile {profile!r}; it has: {', '.join(module.PROFILES)}.")
    if store is None:
        from millpond.experiment import results_dir

        store = results_dir() / study / profile
    from millpond.experiment import ExperimentError, FailedRunsWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FailedRunsWarning)
        module.run(
            profile=profile, store=store, workers=workers, scheduler=scheduler, retry_failed=retry_failed, only=only
        )
    failed = [str(warning.message) for warning in caught if issubclass(warning.category, FailedRunsWarning)]
    for warning in caught:
        if not issubclass(warning.category, FailedRunsWarning):
            _complain(f"warning: {warning.message}")
    if failed:
        raise ExperimentError(f"{' '.join(failed)} Here: --retry-failed.")
    typer.echo(f"{study}, {profile}: all runs{f' of {only}' if only else ''} are in {store} (`millpond results`).")


@app.command()
def results() -> None:
    """List the archived runs."""
    from millpond.experiment import load_manifest, results_dir

    root = results_dir()
    stores = sorted(manifest.parent for manifest in root.rglob("manifest.json"))
    if not stores:
        typer.echo(f"{root} holds no runs. `millpond run STUDY` makes some.")
        return
    _table(
        ("folder", "finished", "failed", "wall time", "revision", "what"),
        (_result(store.relative_to(root).as_posix(), load_manifest(store)) for store in stores),
    )


def _result(folder: str, manifest: dict) -> tuple[str, ...]:
    totals = manifest["totals"]
    minutes, seconds = divmod(round(totals["wall_seconds"]), 60)
    revisions = {
        (environment["revision"] or "unknown")[:8] + ("+" if environment["uncommitted_changes"] else "")
        for environment in manifest["environments"].values()
    }
    return (
        folder,
        f"{totals['finished']}/{totals['planned']}",
        str(totals["failed"]),
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02}",
        ", ".join(sorted(revisions)) or "-",
        manifest["what"],
    )


def _add_room(verb: str, module: str, summary: str) -> None:
    # The room's own parser, with its own help, is imported when its verb is used: rooms import heavy things.
    @app.command(
        verb,
        help=summary,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    def forward(context: typer.Context) -> None:
        code = import_module(module).app(args=context.args, prog_name=f"millpond {verb}", standalone_mode=False)
        raise typer.Exit(code if isinstance(code, int) else 0)


for _verb, _room in ROOMS.items():
    _add_room(_verb, *_room)
