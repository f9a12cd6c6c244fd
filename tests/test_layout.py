"""The layout of the package: few modules at the root, rooms that are entered by their face, short functions.

The direction of imports is held by the contracts in `pyproject.toml`.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "purchasecast"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {module: ast.parse(module.read_text(encoding="utf-8")) for module in MODULES}
ROOMS = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file()}

#: Modules that other rooms import directly, and why they do not go through the face of their room.
SHARED = {
    "bundle.pipeline": "loads Spark, which the face of bundle must not",
    "prediction.predict": "monitoring checks rows as predict does",
    "prediction.scoring": "monitoring counts unseen levels as predict does",
    "schema.date_format": "how texts become days, for Spark's rules and the scorer",
    "schema.reserved_columns": "names of the columns that stages and steps hand each other",
    "schema.values": "how values are written, for Spark's rules and the scorer",
    "scorer.catalogue": "serve shows what it finds",
    "scorer.contributions": "export writes what the scorer reads",
    "scorer.dates": "export writes days as the scorer reads them",
    "scorer.format": "export writes what the scorer reads",
    "scorer.inputs": "serve checks rows as the scorer does",
    "scorer.offers": "needs SciPy, which predictions do not",
    "scorer.parsing": "serve checks values as the scorer does",
    "serve.json_logs": "its face loads the web framework, and the command line says first what is missing",
    "serve.settings": "its face loads the web framework, and the command line checks settings first",
    "spark.caching": "a helper for code on Spark",
    "spark.columns": "a helper for code on Spark",
    "spark.compat": "a helper for code on Spark",
    "spark.executors": "a check before work on Spark",
    "spark.database": "a helper for code on Spark",
    "spark.failures": "a helper for code on Spark",
    "spark.gram": "a helper for code on Spark",
    "spark.shipping": "a helper for code on Spark",
    "stages.level_statistics": "recipes name its statistics",
    "stages.params": "the search declares its params as stages do",
    "stages.tasks": "training decides for all stages how many rows one task takes",
    "stages.retransform": "training chooses what it turns back",
}
WITHOUT_FACE = {"numerics"}  # methods that have nothing in common but NumPy
MAX_ROOT_MODULES = 12
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 50
MIN_COMMENTS = 0.03  # a line of code, without what only speaks to a tool
SPEAKS_TO_A_TOOL = ("# noqa", "# type: ignore", "# ruff")
TESTS_OF_NO_ROOM = {"cluster", "deploy", "docs", "faults", "flow", "mutants"}


def entered() -> dict[str, set[str]]:
    """Return what is imported past the face of a room: the module, and the modules that do so."""
    found: dict[str, set[str]] = {}
    for module, tree in TREES.items():
        own_room = module.relative_to(SOURCE).parts[0]
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                package, _, rest = name.partition(".")
                room = rest.partition(".")[0]
                if package == "purchasecast" and "." in rest and room != own_room and room not in WITHOUT_FACE:
                    found.setdefault(rest, set()).add(str(module.relative_to(SOURCE)))
    return found


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def comments_and_code(module: Path) -> tuple[int, int]:
    """Return the number of comments in a module, and of lines of code, without docstrings."""
    tokens = list(tokenize.generate_tokens(io.StringIO(module.read_text(encoding="utf-8")).readline))
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    told = [comment for comment in comments if not comment.string.startswith(SPEAKS_TO_A_TOOL)]
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code = {line for token in tokens if token.type not in blank for line in range(token.start[0], token.end[0] + 1)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(TREES[module]):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            code -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(told), len(code)


def test_the_root_holds_few_modules_and_none_is_private() -> None:
    names = [path.stem for path in SOURCE.glob("*.py")]
    assert len(names) <= MAX_ROOT_MODULES
    assert [name for name in names if name.startswith("_") and not name.startswith("__")] == []


def test_rooms_are_entered_by_their_face() -> None:
    past_the_face = entered()
    assert {name: users for name, users in past_the_face.items() if name not in SHARED} == {}
    assert set(SHARED) - set(past_the_face) == set()  # who needs no exception any more is no exception


@pytest.mark.parametrize("room", sorted(ROOMS - WITHOUT_FACE))
def test_a_face_names_what_it_shows(room: str) -> None:
    body = TREES[SOURCE / room / "__init__.py"].body
    assert any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in body)


def test_modules_and_functions_are_short() -> None:
    lengths = {str(module.relative_to(SOURCE)): len(module.read_text().splitlines()) for module in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}
    functions = {
        f"{module.relative_to(SOURCE)}:{node.name}": lines_of_code(node)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > MAX_FUNCTION_LINES} == {}


def test_reasons_are_told_in_comments() -> None:
    counts = [comments_and_code(module) for module in MODULES]
    assert sum(comments for comments, _ in counts) >= MIN_COMMENTS * sum(code for _, code in counts)


def test_the_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in Path(__file__).parent.iterdir() if list(path.glob("test_*.py"))}
    assert folders <= ROOMS | TESTS_OF_NO_ROOM
