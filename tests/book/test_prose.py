"""What the book promises its readers about numbers, figures and checks, as far as a test can read it."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(ROOT.glob("notebooks/*/*.py"))
CHAPTERS = sorted(p for p in ROOT.glob("notebooks/*/*.ipynb") if p.parent.name != "appendix")
FIGURE = re.compile(r"^(`{3,}|:{3,})\{(glue:figure|figure)\} *(\S+)\n(.*?)^\1 *$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^(`{3,}|:{3,})\{(?:list-|csv-)?table\} *(.*)$", re.MULTILINE)


def literal(value: ast.expr) -> bool:
    """Whether an expression is typed rather than computed."""
    if isinstance(value, ast.JoinedStr):
        return all(literal(part.value) for part in value.values if isinstance(part, ast.FormattedValue))
    if isinstance(value, ast.BinOp):
        return literal(value.left) and literal(value.right)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute | ast.Name):
        typed = all(literal(argument) for argument in value.args)
        method = isinstance(value.func, ast.Attribute) and literal(value.func.value)
        wrapper = isinstance(value.func, ast.Name) and value.func.id in {
            "str",
            "repr",
            "format",
            "round",
            "float",
            "int",
        }
        return typed and (method or wrapper)
    return isinstance(value, ast.Constant) or (isinstance(value, ast.UnaryOp) and literal(value.operand))


def typed_glues(source: str) -> list[str]:
    """The calls of glue whose value is typed; lines for IPython alone are left out."""
    code = re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    names = {"glue", "myst_nb.glue"}
    return [
        ast.unparse(call)
        for call in calls
        if ast.unparse(call.func) in names
        for value in [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "variable")]
        if literal(value)
    ]


def faults(markdown: str) -> list[str]:
    """What is wrong with the figures and tables of a text."""
    wrong = []
    for _, kind, name, body in FIGURE.findall(markdown):
        options = dict(re.findall(r"^:(\w+): *(.*)$", body, re.MULTILINE))
        caption = re.sub(r"^:\w+:.*$", "", body, flags=re.MULTILINE).strip()
        if not options.get("alt", "").strip():
            wrong.append(f"{name}: no alternative text")
        if not options.get("name", "").strip():
            wrong.append(f"{name}: no name to cite it by")
        if not re.search(r"\b(real|simulated)\b", caption, re.IGNORECASE):
            wrong.append(f"{name}: the caption says neither real nor simulated")
        if kind == "glue:figure" and f"{{numref}}`{options.get('name', '').strip()}`" not in markdown:
            wrong.append(f"{name}: never cited by number")
    for fence, caption in TABLE.findall(markdown):
        if fence.startswith("`") and "`" in caption:
            wrong.append(
                f"table {caption!r}: a caption with backticks ends the fence, and the table swallows what follows"
            )
        if not re.search(r"\b(real|simulated)\b", caption, re.IGNORECASE):
            wrong.append(f"table {caption!r}: the caption says neither real nor simulated")
    return wrong


def text_of(notebook: Path) -> str:
    return "\n\n".join(cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_no_number_in_the_prose_is_typed(script):
    assert typed_glues(script.read_text()) == []


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda p: p.stem)
def test_figures_and_tables_say_what_they_show(notebook):
    assert faults(text_of(notebook)) == []


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda p: p.stem)
def test_figures_come_with_a_caption_only(notebook):
    shown = [
        cell.source
        for cell in nbformat.read(notebook, 4).cells
        if not {"remove-cell", "remove-output"} & set(cell.metadata.get("tags", []))
        for output in cell.get("outputs", [])
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    assert shown == [], "close the figure after glueing it, and paste it with {glue:figure}"


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_checks_three_numbers(notebook):
    checked = [
        cell
        for cell in nbformat.read(notebook, 4).cells
        if "nbval-check-output" in cell.metadata.get("tags", [])
        and any(output["output_type"] in {"stream", "execute_result"} for output in cell.outputs)
    ]
    assert len(checked) >= 3


@pytest.mark.parametrize("page", sorted(ROOT.glob("book/*.md")), ids=lambda p: p.stem)
def test_figures_of_a_page_have_alternative_text(page):
    assert faults(page.read_text()) == []


@pytest.mark.parametrize(
    "value", ["'27 %'", "0.27", "-3", "f'27 %'", "f'{27} %'", "'{:.1f}'.format(2.7)", "str(27)", "'a' + 'b'"]
)
def test_a_typed_glue_is_found(value):
    assert len(typed_glues(f"glue('x', {value}, display=False)")) == 1


@pytest.mark.parametrize(
    "value", ["f'{share:.0%}'", "figure", "str(share)", "Markdown('\\n'.join(rows))", "'a' + unit"]
)
def test_a_computed_glue_passes(value):
    assert typed_glues(f"%matplotlib inline\nglue('x', {value}, display=False)") == []


def test_a_bare_figure_is_found():
    assert len(faults("```{glue:figure} fig-x\n\nA caption.\n```\n")) == 4
    good = "{numref}`fig-x`\n\n```{glue:figure} fig-x\n:name: fig-x\n:alt: A line.\n\nReal data: a line.\n```\n"
    assert faults(good) == []


def test_a_table_without_provenance_is_found():
    assert len(faults("````{table} Numbers.\n:name: tab-x\n````\n")) == 1
    assert faults("````{table} Simulated: numbers.\n:name: tab-x\n````\n") == []


def test_backticks_in_the_caption_of_a_table_are_found():
    assert len(faults("````{table} Simulated: {glue:text}`n` numbers.\n:name: tab-x\n````\n")) == 1
