"""Declared params: defaults, getters and checks, and that every constructor and docstring says the same."""

from __future__ import annotations

import inspect
import re

import pytest
from pyspark.ml.param.shared import HasSeed

from purchasecast import search, stages
from purchasecast.errors import SettingsError
from purchasecast.stages.params import (
    StageParams,
    bool_param,
    float_list_param,
    float_param,
    int_param,
    str_list_param,
    str_param,
)


class Sample(StageParams, HasSeed):
    inputCols = str_list_param("columns", default=None)
    otherCols = str_list_param("more columns")
    statistics = str_list_param("statistics", default=("mean",), choices=("mean", "sd"))
    outputCol = str_param("output", default=None)
    solver = str_param("how", default="exact", choices=("exact", "fast"))
    rank = int_param("number of factors", default=8, minimum=1, maximum=100)
    share = float_param("share of rows", default=0.5, above=0, maximum=1)
    level = float_param("level", default=0.9, above=0, below=1)
    means = float_list_param("two means", default=(0.0, 0.0), length=2)
    everyFold = bool_param("whether", default=False)
    seed = int_param("seed", default=7)


def sample(**params: object) -> Sample:
    made = Sample()
    made._set(**{"inputCols": ["a"], "outputCol": "b", **params})
    return made


def test_a_declared_param_has_a_name_a_default_a_getter_and_its_range_in_the_documentation() -> None:
    made = sample()
    assert (made.rank.name, made.getOrDefault(made.rank), made.getRank()) == ("rank", 8, 8)
    assert made.getOtherCols() == []
    assert made.getSeed() == 7  # not the hash of the class's name, which differs from run to run
    assert made.rank.doc == "number of factors (a whole number >= 1 and <= 100)"
    assert Sample.getRank.__doc__ == "Return `rank`: number of factors (a whole number >= 1 and <= 100)."
    assert made.copy().getRank() == 8
    made.check_params()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("rank", 0, "Sample.rank: expected a whole number >= 1 and <= 100, found 0; use for example 8."),
        ("rank", 101, "found 101"),
        ("share", 0.0, "Sample.share: expected a number > 0 and <= 1, found 0.0; use for example 0.5."),
        ("share", float("nan"), "found nan"),
        ("level", 1.0, "a number > 0 and < 1"),
        ("solver", "slow", "Sample.solver: expected one of exact, fast, found 'slow'; use for example 'exact'."),
        ("statistics", ["mode"], "expected some of mean, sd, found ['mode']"),
        ("statistics", [], "found []"),
        ("inputCols", [], "Sample.inputCols: expected a list of texts, found []; set inputCols."),
        ("outputCol", "", "Sample.outputCol: expected a text, found ''; set outputCol."),
        ("means", [1.0], "expected a list of 2 numbers, found [1.0]"),
        ("means", [1.0, float("inf")], "found [1.0, inf]"),
    ],
)
def test_a_value_outside_its_range_is_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        sample(**{name: value}).check_params()


def test_a_param_without_a_default_has_to_be_set() -> None:
    with pytest.raises(
        SettingsError, match=r"Sample\.inputCols: expected a list of texts, found none; set inputCols\."
    ):
        Sample().check_params()


FACES = [getattr(room, name) for room in (stages, search) for name in room.__all__]


@pytest.mark.parametrize(
    "stage",
    [face for face in FACES if "_input_kwargs" in getattr(face, "__annotations__", {})],
    ids=lambda stage: stage.__name__,
)
def test_constructor_defaults_and_docstring_agree_with_the_declared_params(stage: type) -> None:
    arguments = inspect.signature(stage.__init__).parameters
    made = stage()
    declared = {param.name for param in made.params}
    assert set(arguments) - {"self"} == declared
    for name in declared:
        default = made.getOrDefault(name) if made.isDefined(name) else None
        if isinstance(default, list) or default == f"{made.uid}__output":  # pyspark's own default of outputCol
            assert arguments[name].default is None
        else:
            assert arguments[name].default == default, name
    listed = re.search(r"Parameters\n +-+\n(.*?)\n\n", stage.__doc__, re.DOTALL)[1]
    documented = [name for line in re.findall(r"^    (\w.*?) :", listed, re.MULTILINE) for name in line.split(", ")]
    assert sorted(documented) == sorted(declared)
