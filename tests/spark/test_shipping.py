"""Every function that is sent to executors loads where this package is not installed."""

from __future__ import annotations

import ast
import base64
import importlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import purchasecast
from purchasecast.spark import compat, shipping

SOURCE = Path(purchasecast.__file__).parent
#: Calls that send a function, and the place of the function among their arguments.
SENDERS = {
    "map_in_tasks": 1,
    "apply_in_tasks": 1,
    "apply_to_groups": 1,
    "arrow_column": 0,
    "text_column": 0,
    "solve_in_tasks": 3,
    "_with_tables": 3,
}
SENT_BY = {"spark/shipping.py", "stages/tasks.py"}  # send what they are given
#: What executors have, beside the standard library.
LIBRARIES = ("numpy", "scipy", "pyarrow", "pandas", "xgboost", "pyspark", "py4j", "dateutil", "pytz", "tzdata", "six")

ON_AN_EXECUTOR = f"""
import base64, dis, importlib.abc, json, sys
from functools import partial
from types import CodeType, FunctionType, MethodType

ALLOWED = set(sys.stdlib_module_names) | set({LIBRARIES!r})

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and not name.startswith("_"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from pyspark import cloudpickle

def imports(code):
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imports(constant)

def reached(thing, seen):
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    if isinstance(thing, partial):
        parts = [thing.func, *thing.args, *thing.keywords.values()]
    elif isinstance(thing, MethodType):
        parts = [thing.__func__, thing.__self__]
    elif isinstance(thing, FunctionType):
        if not thing.__module__.startswith("purchasecast"):
            return
        names = {{*thing.__code__.co_names}}
        names |= {{name for part in thing.__code__.co_consts if isinstance(part, CodeType) for name in part.co_names}}
        parts = [thing.__globals__[name] for name in names if name in thing.__globals__]
        parts += [cell.cell_contents for cell in thing.__closure__ or ()]
    elif isinstance(thing, type) and thing.__module__.startswith("purchasecast"):
        parts = [*vars(thing).values(), *thing.__mro__[1:]]
    elif isinstance(thing, (classmethod, staticmethod)):
        parts = [thing.__func__]
    elif isinstance(thing, property):
        parts = [thing.fget]
    elif type(thing).__module__.startswith("purchasecast"):
        parts = [type(thing)]
    else:
        return
    for part in parts:
        reached(part, seen)

problems = {{}}
for name, code in json.load(sys.stdin).items():
    try:
        loaded, seen = cloudpickle.loads(base64.b64decode(code)), {{}}
        reached(loaded, seen)
        late = {{module for function in seen.values() if isinstance(function, FunctionType)
                for module in imports(function.__code__) if module.partition(".")[0] == "purchasecast"}}
        if late:
            problems[name] = f"imports {{sorted(late)}} when it runs"
    except Exception as error:
        problems[name] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(problems))
"""


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def sent_functions() -> dict[str, Any]:
    """Return every function of the package that is sent to executors, by the place of the call."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        file = path.relative_to(SOURCE).as_posix()
        if file in SENT_BY:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for outer in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for call in (node for node in ast.walk(outer) if isinstance(node, ast.Call) and called(node) in SENDERS):
                module = importlib.import_module("purchasecast." + file.removesuffix(".py").replace("/", "."))
                sent = call.args[SENDERS[called(call)]]
                found[f"{file}:{call.lineno}"] = resolve(sent, outer, module, f"{file}:{call.lineno}")
    return found


def resolve(sent: ast.expr, outer: ast.FunctionDef, module: Any, place: str) -> Any:
    """Return the function, or the class of a method, behind an argument."""
    if isinstance(sent, ast.Call):  # partial(function, ...), or a function that makes one
        return resolve(sent.args[0], outer, module, place) if called(sent) == "partial" else vars(module)[called(sent)]
    if isinstance(sent, ast.Attribute) and isinstance(sent.value, ast.Name):  # work.score, with work: _Work
        arguments = {argument.arg: argument.annotation for argument in outer.args.args}
        return vars(module)[ast.unparse(arguments[sent.value.id])]
    if isinstance(sent, ast.Name) and sent.id in vars(module):
        return vars(module)[sent.id]
    for node in ast.walk(outer):
        is_it = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(sent)
        if is_it:
            return resolve(node.value, outer, module, place)
    pytest.fail(f"{place}: what is sent to executors? Give map_in_tasks a function, a partial of one, or a method")


def problems_on_an_executor(functions: dict[str, Any]) -> dict[str, str]:
    """Load pickled functions in a Python without this package; return what is wrong, by name."""
    sent = {name: base64.b64encode(shipping._pickled(function)).decode() for name, function in functions.items()}
    done = subprocess.run(
        [sys.executable, "-c", ON_AN_EXECUTOR],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    problems: dict[str, str] = json.loads(done.stdout)
    return problems


def test_every_function_that_is_sent_loads_on_an_executor() -> None:
    functions = sent_functions()
    assert len(functions) > 20
    assert all(isinstance(function, FunctionType | type) for function in functions.values())
    assert problems_on_an_executor(functions) == {}


def test_what_an_executor_lacks_is_noticed() -> None:
    import click

    def by_reference() -> Any:
        return click.echo("")

    def later() -> Any:
        from purchasecast.errors import DataError

        return DataError

    later.__module__ = "purchasecast.planted"
    problems = problems_on_an_executor({"reference": by_reference, "later": partial(later)})
    assert "click" in problems["reference"]
    assert "purchasecast.errors" in problems["later"]


@pytest.mark.parametrize(("value", "hashed"), [(0, 933211791), (1, -559580957), (42, 29417773), (-1, -1604776387)])
def test_the_hash_is_that_of_spark(value: int, hashed: int) -> None:
    assert compat._murmur3(value) == hashed
