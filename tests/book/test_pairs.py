"""Each chapter is a pair: the .py is the source, and the .ipynb says the same."""

from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from jupytext.config import load_jupytext_config

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(ROOT.glob("notebooks/*/*.py"))
NOTEBOOKS = sorted(ROOT.glob("notebooks/*/*.ipynb"))


def test_no_half_is_missing():
    assert [p.with_suffix("") for p in SCRIPTS] == [p.with_suffix("") for p in NOTEBOOKS]


def test_every_chapter_is_in_the_table_of_contents():
    def files(entry):
        yield entry["file"]
        for section in entry.get("sections", []):
            yield from files(section)

    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    listed = {file for part in parts for chapter in part["chapters"] for file in files(chapter)}
    assert {str(p.relative_to(ROOT).with_suffix("")) for p in NOTEBOOKS} == {
        name for name in listed if name.startswith("notebooks/")
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_every_marker_begins_a_cell(script):
    # a role in the caption of a fence of backticks hides the cells that follow
    markers = [line for line in script.read_text().splitlines() if line.startswith("# %%")]
    assert len(jupytext.read(script, fmt="py:percent").cells) == len(markers)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_both_halves_say_the_same(notebook):
    config = load_jupytext_config(str(notebook))
    script = jupytext.writes(nbformat.read(notebook, 4), "py:percent", config=config)
    assert script == notebook.with_suffix(".py").read_text(), "run `make notebooks`"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_outputs_are_complete_and_clean(notebook):
    content = nbformat.read(notebook, 4)
    assert content.metadata["kernelspec"]["name"] == "python3"
    assert "millpond" in content.metadata, "not executed by `make notebooks`"
    for cell in content.cells:
        assert "execution" not in cell.metadata, "time stamps change at each run"
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error", cell.source
            assert output.get("name") != "stderr", f"a warning in the book: {output['text']}"
