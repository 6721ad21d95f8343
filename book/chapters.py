"""Lay out the book for Sphinx, and execute the chapters whose inputs changed.

`stage` copies the book's sources to _build/source, changed files only, so that Sphinx stays incremental. Each chapter
is executed there when its inputs differ from those of its last execution on this machine; the executed notebooks are
kept in _build/executed. `notebooks` writes the same executed notebooks, made from their .py sources, to notebooks/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import time
from functools import cache
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from millpond.datasets import data_root

ROOT = Path(__file__).resolve().parent.parent
STAGED = ("_config.yml", "_toc.yml", "book", "notebooks", "results")
READERS = ("scoreboard", "execution")  # pages that tell of all before them, in this order


def chapters(root: Path) -> list[Path]:
    """Chapters as paths without suffix, relative to `root`; those that read the others last."""
    files = [*root.glob("notebooks/*/*.py"), *root.glob("notebooks/*/*.ipynb")]
    found = {p.relative_to(root).with_suffix("") for p in files}
    order = {name: place for place, name in enumerate(READERS)}
    return sorted(found, key=lambda chapter: (order.get(chapter.name, -1), chapter))


def as_script(notebook: Path) -> str:
    """The percent script that belongs to a notebook."""
    return jupytext.writes(nbformat.read(notebook, 4), "py:percent", config=load_jupytext_config(str(notebook)))


def from_script(script: Path, notebook: Path) -> nbformat.NotebookNode:
    """The notebook that belongs to a percent script; cells that did not change keep their id and outputs."""
    new = jupytext.read(script, fmt="py:percent", config=load_jupytext_config(str(script)))
    if notebook.exists():
        new = combine_inputs_with_outputs(new, nbformat.read(notebook, 4), "py:percent")
    return new


def newer_side(root: Path, chapter: Path) -> str:
    """Which side of the pair holds the latest edit: "both" when they say the same, else "py" or "ipynb"."""
    script, notebook = root / f"{chapter}.py", root / f"{chapter}.ipynb"
    if not (script.exists() and notebook.exists()):
        return "py" if script.exists() else "ipynb"
    if as_script(notebook) == script.read_text():
        return "both"
    return "ipynb" if notebook.stat().st_mtime > script.stat().st_mtime else "py"


def digest(paths: list[Path], root: Path) -> str:
    """One hash of names and contents."""
    state = hashlib.sha256()
    for path in sorted(p for p in paths if p.is_file() and "__pycache__" not in p.parts):
        state.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return state.hexdigest()


@cache
def data_state() -> str:
    """Which files the data root holds: chapters show more when the real data are there."""
    files = sorted(f"{p} {p.stat().st_size}" for p in data_root().rglob("*") if p.is_file())
    return hashlib.sha256("\n".join([str(data_root()), *files]).encode()).hexdigest()


def inputs(root: Path, chapter: Path, notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Everything that a chapter's outputs depend on, one hash a kind."""
    cells = [[cell.cell_type, cell.source, cell.metadata.get("tags", [])] for cell in notebook.cells]
    state = {
        "chapter": hashlib.sha256(json.dumps(cells).encode()).hexdigest(),
        "package": digest(list(root.glob("src/**/*")), root),
        "results": digest(list(root.glob("results/**/*")), root),
        "lock": digest([root / "requirements.lock"], root),
        "data": data_state(),
    }
    if chapter.name in READERS:
        executed = sorted(root.glob("_build/executed/*/*.json"))
        state["others"] = digest([p for p in executed if p.stem not in READERS[READERS.index(chapter.name) :]], root)
    return state


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in `folder`, without traces of time or machine other than our own."""
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=300,  # of a cell
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute()
    notebook.metadata["language_info"].pop("version", None)
    seconds = round(time.perf_counter() - start, 1)
    notebook.metadata["millpond"] = {"executed": time.strftime("%Y-%m-%d"), "seconds": seconds}
    return notebook


def up_to_date(root: Path, chapter: Path, side: str, force: bool) -> Path | None:
    """The executed notebook of a chapter, executed now if its inputs changed; None when it fails."""
    kept = root / "_build/executed" / chapter.relative_to("notebooks")
    notebook, known = kept.with_suffix(".ipynb"), kept.with_suffix(".json")
    report = root / "_build/reports" / f"{chapter.parent.name}-{chapter.name}.txt"
    script, committed = root / f"{chapter}.py", root / f"{chapter}.ipynb"
    source = from_script(script, committed) if side == "py" else nbformat.read(committed, 4)
    state = inputs(root, chapter, source)
    last = json.loads(known.read_text()) if known.exists() and notebook.exists() else {}
    changed = [name for name in state if state[name] != last.get(name)]
    if not changed and not force:
        return notebook

    why = ", ".join(changed) or "forced"
    print(f"  {chapter} ({why if last else 'never executed here'}) ", end="", flush=True)
    folder = root / "_build/source" / chapter.parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executed = execute(source, folder)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(f"{chapter}\n\n{text}\n")
        print(f"FAILED, see {report.relative_to(root)}\n{text}\n", flush=True)
        return None
    run = executed.metadata["millpond"]
    print(f"{run['seconds']:.1f} s", flush=True)
    report.unlink(missing_ok=True)
    notebook.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(executed, notebook)
    known.write_text(json.dumps(state | {"run": run}, indent=1))
    return notebook


def put(source: Path, target: Path) -> None:
    """Copy a file unless the target already says the same."""
    if not target.exists() or source.read_bytes() != target.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def stage(root: Path) -> None:
    """Copy everything but the chapters to _build/source, and delete what vanished from the sources."""
    staged = root / "_build/source"
    files = [p for top in STAGED for p in (root / top, *(root / top).rglob("*")) if p.is_file()]
    keep = {p.relative_to(root) for p in files if p.suffix != ".py" and not {".ipynb_checkpoints"} & set(p.parts)}
    keep |= {Path(f"{chapter}.ipynb") for chapter in chapters(root)}
    for path in list(staged.rglob("*")):
        if path.is_file() and path.relative_to(staged) not in keep:
            path.unlink()
            (root / "_build/html" / path.relative_to(staged)).with_suffix(".html").unlink(missing_ok=True)
    for path in keep:
        if path.suffix != ".ipynb":
            put(root / path, staged / path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["stage", "notebooks"])
    parser.add_argument("--execute", choices=["on", "off"], default="on", help="off: stage the committed outputs")
    parser.add_argument("--force", action="store_true", help="execute even where nothing changed")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = options.root.resolve()

    stage(root)
    failed = []
    for chapter in chapters(root):
        committed, staged = root / f"{chapter}.ipynb", root / f"_build/source/{chapter}.ipynb"
        side = newer_side(root, chapter)
        if options.verb == "notebooks":
            if side == "ipynb" and not options.force:
                sys.exit(
                    f"{chapter}.ipynb holds edits that its .py lacks. Carry them over with\n"
                    f"  .venv/bin/jupytext --to py:percent {chapter}.ipynb\n"
                    "or drop them with `make notebooks FORCE=1`."
                )
            side = "py"
        elif side != "both":
            print(f"  {chapter}: the .py and the .ipynb differ; the .{side} is newer", flush=True)
        if options.verb == "stage" and options.execute == "off":
            if not committed.exists():
                sys.exit(f"{chapter}.ipynb is missing: make it with `make notebooks`.")
            put(committed, staged)
            continue
        executed = up_to_date(root, chapter, side, options.force)
        if executed is None:
            failed.append(str(chapter))
            continue
        put(executed, staged)
        if options.verb == "notebooks":
            put(executed, committed)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main())
