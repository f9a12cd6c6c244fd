"""Change one thing in a module: what counts as a change, and how a module with one is imported."""

from __future__ import annotations

import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import CodeType, ModuleType

__all__ = ["Mutant", "import_mutated", "mutants_of"]

_OPERATORS: dict[type[ast.AST], type[Any]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Lt: ast.GtE,  # not LtE: on real numbers that is most often the same
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}
_NAMES |= {"floor": "ceil", "ceil": "floor", "exp": "log1p", "log": "log1p", "log1p": "log", "sqrt": "abs"}
_NAMES |= {"cumsum": "sort", "argsort": "arange", "sum": "mean", "mean": "sum", "zeros": "ones", "ones": "zeros"}


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str  # dotted
    where: str  # the function, or the class and the method
    line: int  # of the unchanged file, for people: the name does not hold it
    before: str
    after: str
    repeat: int  # which of those that are alike
    tree: ast.Module  # of the unchanged module
    place: ast.expr
    changed: ast.expr

    @property
    def name(self) -> str:
        """A name that outlives changes elsewhere in the file."""
        again = f" #{self.repeat}" if self.repeat else ""
        return f"{self.module}:{self.where}: {self.before} -> {self.after}{again}"

    def code(self, file: Path) -> CodeType:
        """Return the module with the change, compiled."""
        return compile(_replaced(self.tree, self.place, self.changed), str(file), "exec")


def mutants_of(module: str, file: Path) -> list[Mutant]:
    """Return all changes of a module, in the order of its lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: list[Mutant] = []
    counts: dict[tuple[str, str, str], int] = {}
    for where, place in _places(tree):
        for changed in _changes(place):
            before, after = ast.unparse(place), ast.unparse(changed)
            key = (where, before, after)
            number = counts[key] = counts.get(key, -1) + 1
            found.append(Mutant(module, where, place.lineno, before, after, number, tree, place, changed))
    return found


def _places(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the expressions that may be changed: of functions that need no Spark, and nothing that only speaks."""
    of_spark = _names_of_spark(tree)

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, ast.expr]]:
        is_option = isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant)  # such as copy=False
        if is_option or isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
            return
        is_function = isinstance(node, ast.FunctionDef)
        if is_function and of_spark & {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}:
            return
        if is_function or isinstance(node, ast.ClassDef):
            names = (*names, node.name)  # type: ignore[attr-defined]
        children: list[ast.AST] = list(node.body) if is_function else list(ast.iter_child_nodes(node))  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign):
            children = [node.value] if node.value else []
        if isinstance(node, ast.expr) and names:
            yield ".".join(names), node
        for child in children:
            if not (isinstance(node, ast.ClassDef) and not isinstance(child, ast.FunctionDef)):
                yield from walk(child, names)

    yield from walk(tree, ())


def _names_of_spark(tree: ast.Module) -> set[str]:
    """Return the names that a module imports from Spark, also for types."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    aliases = [alias for node in imports if (node.module or "").startswith("pyspark") for alias in node.names]
    return {alias.asname or alias.name for alias in aliases}


def _changes(node: ast.expr) -> list[ast.expr]:
    """Return what an expression could be instead."""
    changed: list[ast.expr] = []
    other: Any = copy.copy(node)
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _OPERATORS and not _is_text(node):
        other.op = _OPERATORS[type(node.op)]()
        changed.append(other)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
        other.ops = [_OPERATORS[type(node.ops[0])](), *node.ops[1:]]
        changed.append(other)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        changed.append(node.operand)
    elif isinstance(node, ast.IfExp) and not (_spells(node.body) or _spells(node.orelse)):
        other.body, other.orelse = node.orelse, node.body
        changed.append(other)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        changed.append(ast.Constant(not node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        changed.append(ast.Constant(node.value + 1 if isinstance(node.value, int) else node.value * 2 or 1.0))
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        other.attr = _NAMES[node.attr]
        changed.append(other)
    elif isinstance(node, ast.Name) and node.id in _NAMES and isinstance(node.ctx, ast.Load):
        changed.append(ast.Name(_NAMES[node.id], node.ctx))
    return changed


def _is_text(node: ast.BinOp | ast.BoolOp) -> bool:
    """Tell whether texts are put together."""
    parts = [node.left, node.right] if isinstance(node, ast.BinOp) else node.values
    return any(isinstance(part, ast.JoinedStr | ast.Constant) and _spells(part) for part in parts)


def _spells(part: ast.expr) -> bool:
    return isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))


def _replaced(tree: ast.Module, place: ast.expr, changed: ast.expr) -> ast.Module:
    """Return a tree in which one expression is another."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if node is place:
                return ast.copy_location(changed, place)
            fields = {}
            for name, value in ast.iter_fields(node):
                if isinstance(value, list):
                    fields[name] = [self.visit(item) if isinstance(item, ast.AST) else item for item in value]
                else:
                    fields[name] = self.visit(value) if isinstance(value, ast.AST) else value
            return ast.copy_location(type(node)(**fields), node)

    replaced = Replace().visit(tree)
    assert isinstance(replaced, ast.Module)
    return ast.fix_missing_locations(replaced)


def import_mutated(mutant: Mutant, file: Path) -> None:
    """Let this process import a module with a change; it must not have been imported before."""
    assert mutant.module not in sys.modules

    class Loader(importlib.abc.Loader):
        def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
            del spec

        def exec_module(self, module: ModuleType) -> None:
            exec(mutant.code(file), module.__dict__)  # noqa: S102  what mutation is

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(
            self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
        ) -> importlib.machinery.ModuleSpec | None:
            del path, target
            return importlib.util.spec_from_loader(name, Loader(), origin=str(file)) if name == mutant.module else None

    sys.meta_path.insert(0, Finder())
