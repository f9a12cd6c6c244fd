"""Docstrings of all that a face shows are complete: parameters, results and what is raised, in numpydoc's form."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

SOURCE = Path(__file__).resolve().parents[1] / "src" / "purchasecast"
#: What shows nothing to users, and commands, whose help is written for a terminal.
INNER = {"cli", "formatting", "numerics"}
# See `[tool.numpydoc_validation]`; a constructor is described by the docstring of its class.
LEFT_OUT = {"ES01", "EX01", "SA01", "GL01", "SS05"}


def shown() -> list[tuple[str, Any]]:
    """Return names and objects of every face: functions, classes and their public methods."""
    rooms = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py") if path.parent.name not in INNER)
    modules = sorted({path.stem for path in SOURCE.glob("[a-z]*.py")} - INNER)
    found = []
    for name in ["", *rooms, *modules]:
        module = importlib.import_module(f"purchasecast.{name}".rstrip("."))
        for item in getattr(module, "__all__", []):
            thing = getattr(module, item)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)):
                continue
            found.append((f"{module.__name__}.{item}", thing))
            if inspect.isclass(thing):
                found += [
                    (f"{module.__name__}.{item}.{key}", value)
                    for key, value in vars(thing).items()
                    if is_public_method(thing, key, value)
                ]
    return found


def is_public_method(owner: type, name: str, value: Any) -> bool:
    """Tell whether a member is a method that users call; getters and setters of Spark params need no words."""
    is_accessor = hasattr(owner, "params") and name[:3] in {"get", "set"}
    kinds = (property, classmethod, staticmethod)
    return not name.startswith("_") and not is_accessor and (inspect.isfunction(value) or isinstance(value, kinds))


def undocumented(name: str, thing: Any) -> list[str]:
    """Return what numpydoc finds wrong; the fields of a data class may be told as attributes."""
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in LEFT_OUT]
    if "\n" not in (inspect.getdoc(thing) or "") and count_of_parameters(thing) <= 1:
        errors = [(code, text) for code, text in errors if code not in {"PR01", "RT01"}]  # one sentence says it all
    if dataclasses.is_dataclass(thing) and isinstance(thing, type):
        document = NumpyDocString(inspect.getdoc(thing) or "")
        told = [
            one
            for section in ("Parameters", "Attributes")
            for item in document[section]
            for one in item.name.split(", ")
        ]
        if {field.name for field in dataclasses.fields(thing) if not field.name.startswith("_")} <= set(told):
            errors = [(code, text) for code, text in errors if code != "PR01"]
    return [f"{code}: {text}" for code, text in errors]


def count_of_parameters(thing: Any) -> int:
    """Return the number of parameters of a function or method, without the object itself."""
    if inspect.isclass(thing):  # a protocol is never made
        return 0 if getattr(thing, "_is_protocol", False) else 99
    function = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
    return len([name for name in inspect.signature(function).parameters if name not in {"self", "cls"}])


THINGS = shown()


def test_there_is_something_to_check() -> None:
    assert len(THINGS) > 100


@pytest.mark.parametrize(("name", "thing"), [pytest.param(name, thing, id=name) for name, thing in THINGS])
def test_docstrings_are_complete(name: str, thing: Any) -> None:
    assert undocumented(name, thing) == []
