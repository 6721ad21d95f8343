"""book/chapters.py on a tiny book: what is executed when, what is staged, and what a failing chapter leaves behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "book/chapters.py"
CHAPTER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A chapter

# %% tags=["nbval-check-output"]
print(6 * 7)
"""


@pytest.fixture
def book(tmp_path):
    for path, text in {
        "jupytext.toml": (SCRIPT.parents[1] / "jupytext.toml").read_text(),
        "_config.yml": "title: t",
        "book/page.md": "# A page",
        "src/millpond/code.py": "x = 1",
        "requirements.lock": "a==1",
        "notebooks/pond/01_one.py": CHAPTER,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def run(book: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"MILLPOND_DATA": str(book / "data")}
    command = [sys.executable, SCRIPT, *arguments, "--root", book]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def outputs(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(output["text"]) for cell in cells for output in cell.get("outputs", [])]


def test_a_chapter_is_executed_once_and_again_when_the_package_changes(book):
    first = run(book, "stage")
    assert first.returncode == 0, first.stderr
    assert "01_one (never executed here)" in first.stdout
    staged = book / "_build/source/notebooks/pond/01_one.ipynb"
    assert outputs(staged) == ["42\n"]
    assert json.loads(staged.read_text())["metadata"]["millpond"]["seconds"] > 0
    written = staged.stat().st_mtime_ns

    assert "01_one (" not in run(book, "stage").stdout
    assert staged.stat().st_mtime_ns == written

    (book / "src/millpond/code.py").write_text("x = 2")
    assert "01_one (package)" in run(book, "stage").stdout

    (book / "data").mkdir()
    (book / "data/scene.tif").write_text("pixels")
    assert "01_one (data)" in run(book, "stage").stdout


def test_a_failing_chapter_is_reported_and_does_not_stop_the_others(book):
    (book / "notebooks/pond/02_two.py").write_text(CHAPTER.replace("6 * 7", "6 / 0"))
    (book / "notebooks/pond/03_three.py").write_text(CHAPTER.replace("6 * 7", "8"))
    done = run(book, "stage")
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stdout
    assert "print(6 / 0)" in (book / "_build/reports/pond-02_two.txt").read_text()
    assert outputs(book / "_build/source/notebooks/pond/03_three.ipynb") == ["8\n"]
    assert not (book / "_build/source/notebooks/pond/02_two.ipynb").exists()


def test_a_failing_chapter_keeps_its_committed_outputs(book):
    assert run(book, "notebooks").returncode == 0
    (book / "notebooks/pond/01_one.py").write_text(CHAPTER.replace("6 * 7", "6 / 0"))
    done = run(book, "stage")
    assert done.returncode == 3
    assert "Failed: notebooks/pond/01_one. Their pages show the committed outputs." in done.stderr
    assert outputs(book / "_build/source/notebooks/pond/01_one.ipynb") == ["42\n"]


def test_a_cell_that_takes_too_long_says_how_to_allow_more(book):
    (book / "notebooks/pond/01_one.py").write_text(CHAPTER.replace("print(6 * 7)", "import time; time.sleep(60)"))
    (book / "notebooks/pond/02_two.py").write_text(CHAPTER.replace("print(6 * 7)", "import os; os._exit(1)"))
    (book / "notebooks/pond/03_three.py").write_text(CHAPTER)
    done = run(book, "stage", "--cell-seconds", "8")
    assert done.returncode == 3
    report = (book / "_build/reports/pond-01_one.txt").read_text()
    assert "time.sleep(60)" in report
    assert "A cell may take 8 s" in report
    assert "allow more: make book CELL_SECONDS=32" in report
    assert "Kernel died" in (book / "_build/reports/pond-02_two.txt").read_text()
    assert outputs(book / "_build/source/notebooks/pond/03_three.ipynb") == ["42\n"]


def test_pages_that_read_the_others_are_executed_after_them(book):
    (book / "notebooks/appendix").mkdir()
    for name in ("execution", "scoreboard"):
        (book / f"notebooks/appendix/{name}.py").write_text(CHAPTER)

    def executed() -> list[tuple[str, str]]:
        return re.findall(r"(\w+) \((.+)\)", run(book, "stage").stdout)

    new = "never executed here"
    assert executed() == [("01_one", new), ("scoreboard", new), ("execution", new)]
    (book / "notebooks/pond/01_one.py").write_text(CHAPTER.replace("6 * 7", "6 * 8"))
    assert executed() == [("01_one", "chapter"), ("scoreboard", "others"), ("execution", "others")]


def test_notebooks_writes_the_pair_and_refuses_to_drop_an_edit(book):
    script, notebook = book / "notebooks/pond/01_one.py", book / "notebooks/pond/01_one.ipynb"
    assert run(book, "notebooks").returncode == 0
    assert outputs(notebook) == ["42\n"]
    heading = json.loads(notebook.read_text())["cells"][0]["id"]

    script.write_text(CHAPTER.replace("6 * 7", "7 * 7"))
    assert run(book, "notebooks").returncode == 0
    assert outputs(notebook) == ["49\n"]
    assert json.loads(notebook.read_text())["cells"][0]["id"] == heading

    edited = notebook.read_text().replace("7 * 7", "7 * 8")
    notebook.write_text(edited)
    os.utime(script)  # a checkout may give the .py the later date
    refused = run(book, "notebooks")
    assert refused.returncode == 1
    assert "holds edits that its .py lacks. Carry them over" in refused.stderr
    assert notebook.read_text() == edited

    shown = run(book, "stage")
    assert "taking the .ipynb, which was edited" in shown.stdout
    assert outputs(book / "_build/source/notebooks/pond/01_one.ipynb") == ["56\n"]

    script.write_text(CHAPTER.replace("6 * 7", "7 * 9"))
    refused = run(book, "notebooks")
    assert refused.returncode == 1
    assert "the .py was edited too, so merge by hand" in refused.stderr
    assert notebook.read_text() == edited
    assert run(book, "notebooks", "--force").returncode == 0
    assert outputs(notebook) == ["63\n"]


PICTURE = """
import matplotlib.pyplot as plt
plt.plot(eval(open("../../../../line").read()))
plt.show()
"""


def test_notebooks_are_written_only_when_they_say_something_new(book):
    one, two = book / "notebooks/pond/01_one.ipynb", book / "notebooks/pond/02_two.ipynb"
    one.with_suffix(".py").write_text(CHAPTER)
    two.with_suffix(".py").write_text(CHAPTER + PICTURE)
    (book / "line").write_text("[0, 1]")
    assert run(book, "notebooks").returncode == 0
    before, theirs = one.read_bytes(), two.read_bytes()

    one.with_suffix(".py").write_text(CHAPTER.replace("6 * 7", "7 * 7"))
    (book / "src/millpond/code.py").write_text("x = 2")
    again = run(book, "notebooks")
    assert "02_two (package)" in again.stdout
    assert (one.read_bytes() != before, two.read_bytes() != theirs) == (True, False)

    (book / "line").write_text("[1, 0]")  # the text stays as it is, the picture does not
    (book / "src/millpond/code.py").write_text("x = 3")
    before = one.read_bytes()
    assert run(book, "notebooks").returncode == 0
    assert (one.read_bytes() != before, two.read_bytes() != theirs) == (False, True)


def test_committed_outputs_are_staged_as_they_are(book):
    missing = run(book, "stage", "--execute", "off")
    assert missing.returncode != 0
    assert "make notebooks" in missing.stderr

    run(book, "notebooks")
    notebook = book / "notebooks/pond/01_one.ipynb"
    notebook.write_text(notebook.read_text().replace("42\\n", "41\\n"))
    assert run(book, "stage", "--execute", "off").returncode == 0
    assert outputs(book / "_build/source/notebooks/pond/01_one.ipynb") == ["41\n"]


def test_what_vanished_from_the_sources_vanishes_from_the_stage(book):
    run(book, "notebooks")
    page = book / "_build/html/book/page.html"
    page.parent.mkdir(parents=True)
    page.touch()
    (book / "book/page.md").unlink()
    (book / "notebooks/pond/01_one.py").unlink()
    (book / "notebooks/pond/01_one.ipynb").unlink()
    assert run(book, "stage", "--execute", "off").returncode == 0
    assert [p.name for p in (book / "_build/source").rglob("*") if p.is_file()] == ["_config.yml"]
    assert not page.exists()
