"""The documents against the code: commands parse, code compiles and imports, schemas load, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import purchasecast
from purchasecast.cli import cli
from purchasecast.config import PlanSettings, TrainSettings
from purchasecast.schema import Schema

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GALLERY = re.compile(r"(?:\.\./)*gallery/(index|plot_\w+)\.rst")  # these pages are made of examples/ with the site
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (f"{page.relative_to(ROOT)}-{place}", language, text)
    for page in PAGES
    for place, (language, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]
PROGRAM = re.compile(r"^(?:\S*/)?purchasecast(?: |$)")


def commands_of(text: str) -> list[list[str]]:
    """Return the words of every command line of ours in a block, without comments and where its output goes."""
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if PROGRAM.match(line)]
    return [words[: words.index(">")] if ">" in words else words for words in commands]


COMMANDS = [(name, words) for name, language, text in BLOCKS if language != "python" for words in commands_of(text)]


def is_ours(node: ast.AST) -> bool:
    """Return whether a node is a name of the package, such as `pc.train`."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pc"


def test_there_is_something_to_check():
    assert len(COMMANDS) > 10
    assert sum(language == "python" for _, language, _ in BLOCKS) > 10


@pytest.mark.parametrize(("name", "words"), COMMANDS, ids=[f"{name} {' '.join(words)}" for name, words in COMMANDS])
def test_every_command_in_the_documents_is_one_of_ours(name, words):
    command, *arguments = words
    cli.commands[command].make_context(command, arguments)


@pytest.mark.parametrize(
    "target", sorted({t for _, _, text in BLOCKS for t in re.findall(r"^make (\w[\w-]*)", text, re.MULTILINE)})
)
def test_every_target_in_the_documents_is_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("text", [pytest.param(t, id=n) for n, language, t in BLOCKS if language == "python"])
def test_code_in_the_documents_compiles_and_its_imports_are_there(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.Call) and is_ours(node.func):
            arguments = {word.arg for word in node.keywords if word.arg}
            call = inspect.signature(getattr(purchasecast, node.func.attr)).bind(*node.args, **dict.fromkeys(arguments))
            settings = set(call.arguments.get("options", {}) or call.arguments.get("reader", {}))
            known = PlanSettings if node.func.attr == "plan" else TrainSettings
            assert settings <= {*(field.name for field in fields(known)), "format", "table", "options"}
        elif is_ours(node):
            assert hasattr(purchasecast, node.attr)


@pytest.mark.parametrize("text", [pytest.param(t, id=n) for n, language, t in BLOCKS if language == "toml"])
def test_schemas_in_the_documents_are_schemas(text):
    document = tomllib.loads(text)
    if "name" not in document:  # some columns only
        others = {"Spend": {"kind": "numeric", "role": "target"}, "Item": {"kind": "nominal", "role": "product"}}
        document = {"name": "shop", "columns": {**others, **document["columns"]}}
    assert Schema.from_dict(document).target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_the_documents_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t and t[0] != "#"]
    for target in targets:
        if found := GALLERY.fullmatch(target):
            assert found[1] == "index" or (ROOT / "examples" / f"{found[1]}.py").exists(), target
        else:
            assert (page.parent / target).exists(), target


def test_documents_that_the_code_names_are_there():
    named = {
        (file.relative_to(ROOT), path)
        for file in (ROOT / "src").rglob("*.py")
        for path in re.findall(r"docs/[\w/-]+\.(?:md|rst)", file.read_text(encoding="utf-8"))
    }
    assert named
    assert [one for one in sorted(named) if not (ROOT / one[1]).is_file()] == []


def test_every_decision_has_a_number_of_its_own():
    numbers = {}
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        number = int(page.name[:4])
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. "), page.name
        assert numbers.setdefault(number, page) == page, f"{page.name} and {numbers[number].name}"
