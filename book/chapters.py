"""Lay out the book for Sphinx, and execute the chapters whose inputs changed.

`stage` copies the book's sources to _build/source, changed files only, so that Sphinx stays incremental. Each chapter
is executed there when its inputs differ from those of its last execution on this machine; the executed notebooks are
kept in _build/executed. `notebooks` writes the same executed notebooks, made from their .py sources, to notebooks/,
those alone that say something new. A chapter that fails keeps its committed outputs, and the exit status is 3.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import re
import shutil
import sys
import time
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import numpy as np
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from PIL import Image

from millpond.datasets import data_root

ROOT = Path(__file__).resolve().parent.parent
STAGED = ("_config.yml", "_toc.yml", "book", "notebooks", "results")
FAILED = 3  # the exit status when a chapter failed: the book can be rendered all the same
READERS = ("scoreboard", "execution")  # pages that tell of all before them, in this order


def chapters(root: Path) -> list[Path]:
    """Chapters as paths without suffix, relative to `root`; those that read the others last."""
    files = [*root.glob("notebooks/*/*.py"), *root.glob("notebooks/*/*.ipynb")]
    found = {p.relative_to(root).with_suffix("") for p in files}
    order = {name: place for place, name in enumerate(READERS)}
    return sorted(found, key=lambda chapter: (order.get(chapter.name, -1), chapter))


def as_script(notebook: nbformat.NotebookNode, script: Path) -> str:
    """The percent script that belongs to a notebook."""
    return jupytext.writes(notebook, "py:percent", config=load_jupytext_config(str(script)))


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def from_script(script: Path, notebook: Path) -> nbformat.NotebookNode:
    """The notebook that belongs to a percent script; cells that did not change keep their id and outputs."""
    new = jupytext.read(script, fmt="py:percent", config=load_jupytext_config(str(script)))
    if notebook.exists():
        new = combine_inputs_with_outputs(new, nbformat.read(notebook, 4), "py:percent")
    return new


def edited(root: Path, chapter: Path) -> set[str]:
    """Which sides of the pair, "py" and "ipynb", changed since they last said the same; none when they do so now."""
    script, notebook = root / f"{chapter}.py", root / f"{chapter}.ipynb"
    if not (script.exists() and notebook.exists()):
        return {"py" if script.exists() else "ipynb"}
    content = nbformat.read(notebook, 4)
    sides = {"py": script.read_text(), "ipynb": as_script(content, script)}
    if sides["py"] == sides["ipynb"]:
        return set()
    paired = content.metadata.get("millpond", {}).get("source")
    return {side for side, text in sides.items() if fingerprint(text) != paired}


def newer(root: Path, chapter: Path) -> str:
    """The side of the pair that was written last."""
    return max(("py", "ipynb"), key=lambda side: (root / f"{chapter}.{side}").stat().st_mtime)


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


def start_seconds(cell_seconds: int) -> int:
    """How long a kernel may take to start: as long as a cell, and never less than Jupyter allows."""
    return max(60, cell_seconds)


def execute(notebook: nbformat.NotebookNode, folder: Path, cell_seconds: int) -> nbformat.NotebookNode:
    """Run all cells in `folder`, without traces of time or machine other than our own."""
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=cell_seconds,
        startup_timeout=start_seconds(cell_seconds),
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute()
    notebook.metadata["language_info"].pop("version", None)
    seconds = round(time.perf_counter() - start, 1)
    notebook.metadata["millpond"] = {
        "executed": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
        "source": fingerprint(as_script(notebook, folder / "chapter.py")),
    }
    return notebook


def said(notebook: nbformat.NotebookNode) -> tuple[list, list[np.ndarray]]:
    """What a notebook says, in text and in pictures: all but times, counts and names of cells."""
    texts, pictures = [notebook.metadata.get("millpond", {}).get("source")], []
    for cell in notebook.cells:
        texts.append([cell.cell_type, cell.source, {**cell.metadata}])
        for output in cell.get("outputs", []):
            data = dict(output.get("data", {}))
            if "image/png" in data:
                pictures.append(
                    np.asarray(Image.open(io.BytesIO(base64.b64decode(data.pop("image/png")))).convert("RGB"))
                )
            texts.append([output.output_type, output.get("text"), data, {**output.get("metadata", {})}])
    return texts, pictures


def same(one: Path, other: Path) -> bool:
    """Whether two notebooks say the same; a few pixels at the edges of lines and letters differ between machines."""
    if not other.exists():
        return False
    (texts, pictures), (their_texts, their_pictures) = (said(nbformat.read(path, 4)) for path in (one, other))
    return texts == their_texts and all(
        a.shape == b.shape and (np.abs(a.astype(int) - b) > 32).mean() < 1e-3
        for a, b in zip(pictures, their_pictures, strict=True)
    )


def up_to_date(root: Path, chapter: Path, side: str, force: bool, cell_seconds: int) -> Path | None:
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
        executed = execute(source, folder, cell_seconds)
    except (CellExecutionError, CellTimeoutError, RuntimeError) as error:  # a kernel that dies or never starts
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        if isinstance(error, CellTimeoutError) or "respond" in text:
            text += (
                f"\n\nA cell may take {cell_seconds} s, the start of a kernel {start_seconds(cell_seconds)} s. "
                f"On a busy or slow machine allow more: make book CELL_SECONDS={4 * cell_seconds}"
            )
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
    parser.add_argument(
        "--cell-seconds",
        type=int,
        default=os.environ.get("CELL_SECONDS", 900),
        help="longest time for a cell (default: the environment's CELL_SECONDS, or 900)",
    )
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = options.root.resolve()

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # kernels inherit it; spinning threads starve a busy machine

    stage(root)
    failed = []
    for chapter in chapters(root):
        committed, staged = root / f"{chapter}.ipynb", root / f"_build/source/{chapter}.ipynb"
        if options.verb == "stage" and options.execute == "off":
            if not committed.exists():
                sys.exit(f"{chapter}.ipynb is missing: make it with `make notebooks`.")
            put(committed, staged)
            continue
        sides = edited(root, chapter)
        if options.verb == "notebooks" and "ipynb" in sides and not options.force:
            other = "; the .py was edited too, so merge by hand" if "py" in sides else ""
            sys.exit(
                f"{chapter}.ipynb holds edits that its .py lacks{other}. Carry them over with\n"
                f"  .venv/bin/jupytext --to py:percent {chapter}.ipynb\n"
                "or drop them with `make notebooks FORCE=1`."
            )
        side = "ipynb" if sides == {"ipynb"} else "py"
        if options.verb == "notebooks":
            side = "py"
        elif len(sides) == 2:
            side = newer(root, chapter)
            print(f"  {chapter}: the .py and the .ipynb were both edited; taking the .{side}, the newer", flush=True)
        elif sides and committed.exists():
            print(f"  {chapter}: the .py and the .ipynb differ; taking the .{side}, which was edited", flush=True)
        executed = up_to_date(root, chapter, side, options.force, options.cell_seconds)
        if executed is None:
            failed.append(str(chapter))
            if committed.exists():
                put(committed, staged)
            continue
        if options.verb == "notebooks":
            if options.force or not same(executed, committed):
                put(executed, committed)
            executed = committed
        put(executed, staged)
    if failed:
        print(f"Failed: {', '.join(failed)}. Their pages show the committed outputs.", file=sys.stderr)
    return FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
