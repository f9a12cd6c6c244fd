"""Params of `pyspark.ml` stages, each declared, documented and checked in one line.

::

    class _FactorParams(StageParams, HasLabelCol):
        rank = int_param("number of factors", default=8, minimum=1)

gives the stage the param ``rank``, its default, the getter ``getRank`` and a check. A constructor of `pyspark.ml` only
stores its arguments, so that a pipeline may set them later: `StageParams.check_params` runs at the start of a fit.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark.ml.param import Param, Params, TypeConverters

from purchasecast.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

__all__ = [
    "HasLevel",
    "StageParam",
    "StageParams",
    "bool_param",
    "float_list_param",
    "float_param",
    "int_param",
    "str_list_param",
    "str_param",
]

_COMPARISONS = {
    "minimum": (">=", operator.ge),
    "above": (">", operator.gt),
    "maximum": ("<=", operator.le),
    "below": ("<", operator.lt),
}
T = TypeVar("T")
P = TypeVar("P", bound=Params)


class StageParam(Param[T]):
    """A param that knows its default and which values it allows; it takes its name from the attribute it is set to.

    Parameters
    ----------
    doc : str
        What the param means; the allowed values are added to it.
    converter : callable
        One of `pyspark.ml.param.TypeConverters`.
    default : object
        None where the user has to set the param.
    expected : str
        The allowed values in words.
    allows : callable
        Whether a converted value is allowed.
    """

    def __init__(
        self,
        doc: str,
        converter: Callable[[Any], T],
        default: T | None,
        expected: str,
        allows: Callable[[Any], bool] = lambda _: True,
    ) -> None:
        super().__init__(Params._dummy(), "", f"{doc} ({expected})", converter)
        self.default, self.expected, self.allows = default, expected, allows

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the attribute's name, and give the class a getter unless it has one."""
        self.name = name
        getter = f"get{name[0].upper()}{name[1:]}"
        if not hasattr(owner, getter):

            def get(stage: Params) -> Any:
                return stage.getOrDefault(name)

            get.__name__, get.__doc__ = getter, f"Return `{name}`: {self.doc}."
            setattr(owner, getter, get)

    def check(self, stage: Params) -> None:
        """Check the value that a stage has.

        Raises
        ------
        SettingsError
            If the value is not allowed, or there is none.
        """
        where = f"{type(stage).__name__}.{self.name}"
        if not stage.isDefined(self.name):
            raise SettingsError(f"{where}: expected {self.expected}, found none; set {self.name}.")
        value = stage.getOrDefault(self.name)
        if not self.allows(value):
            advice = f"set {self.name}" if self.default is None else f"use for example {self.default!r}"
            raise SettingsError(f"{where}: expected {self.expected}, found {value!r}; {advice}.")


class StageParams(Params):
    """Base of the params of a stage; first among the bases, so that its defaults replace those of pyspark's mixins."""

    def __init__(self) -> None:
        super().__init__()
        declared = [param for param in self.params if isinstance(param, StageParam)]
        self._setDefault(**{param.name: param.default for param in declared if param.default is not None})

    def check_params(self) -> None:
        """Check all params that are declared by this module.

        Raises
        ------
        SettingsError
            If a value is outside its range, or a param without default is not set.
        """
        for param in self.params:
            if isinstance(param, StageParam):
                param.check(self)

    def _fitted(self, model: P) -> P:
        """Return the model with this estimator's uid and params."""
        model._resetUid(self.uid)
        return self._copyValues(model)


def _in_range(kind: str, **limits: float | None) -> tuple[str, Callable[[float], bool]]:
    """Return a range in words, and whether a number lies in it; NaN and infinity never do."""
    given = [(*_COMPARISONS[name], limit) for name, limit in limits.items() if limit is not None]
    words = " and ".join(f"{sign} {limit:,g}" for sign, _, limit in given)

    def allows(value: float) -> bool:
        return math.isfinite(value) and all(holds(value, limit) for _, holds, limit in given)

    return f"{kind} {words}".strip(), allows


def int_param(doc: str, *, default: int, minimum: int | None = None, maximum: int | None = None) -> Param[int]:
    """Declare a whole number.

    Parameters
    ----------
    doc : str
        What the param means.
    default : int
        Its default.
    minimum, maximum : int, optional
        Least and greatest allowed value.

    Returns
    -------
    Param of int
        To be set as an attribute of a `StageParams`.
    """
    expected, allows = _in_range("a whole number", minimum=minimum, maximum=maximum)
    return StageParam(doc, TypeConverters.toInt, default, expected, allows)


def float_param(
    doc: str,
    *,
    default: float,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Param[float]:
    """Declare a finite number.

    Parameters
    ----------
    doc : str
        What the param means.
    default : float
        Its default.
    minimum, maximum : float, optional
        Least and greatest allowed value.
    above, below : float, optional
        Limits that are not allowed themselves.

    Returns
    -------
    Param of float
        To be set as an attribute of a `StageParams`.
    """
    expected, allows = _in_range("a number", minimum=minimum, above=above, maximum=maximum, below=below)
    return StageParam(doc, TypeConverters.toFloat, default, expected, allows)


def bool_param(doc: str, *, default: bool) -> Param[bool]:
    """Declare a switch.

    Parameters
    ----------
    doc : str
        What the param means.
    default : bool
        Its default.

    Returns
    -------
    Param of bool
        To be set as an attribute of a `StageParams`.
    """
    return StageParam(doc, TypeConverters.toBoolean, default, "True or False")


def str_param(doc: str, *, default: str | None, choices: Sequence[str] = ()) -> Param[str]:
    """Declare a text, as a rule the name of a column.

    Parameters
    ----------
    doc : str
        What the param means.
    default : str or None
        Its default; None where the user has to set a text that is not empty.
    choices : sequence of str, optional
        The allowed texts; by default any.

    Returns
    -------
    Param of str
        To be set as an attribute of a `StageParams`.
    """
    expected = f"one of {', '.join(choices)}" if choices else "a text"
    return StageParam(
        doc,
        TypeConverters.toString,
        default,
        expected,
        lambda value: value in choices if choices else bool(value) or default is not None,
    )


def str_list_param(doc: str, *, default: Sequence[str] | None = (), choices: Sequence[str] = ()) -> Param[list[str]]:
    """Declare a list of texts, as a rule the names of columns.

    Parameters
    ----------
    doc : str
        What the param means.
    default : sequence of str or None, default ()
        Its default; None where the user has to set a list that is not empty.
    choices : sequence of str, optional
        The allowed texts, of which the list has to hold at least one; by default any.

    Returns
    -------
    Param of list of str
        To be set as an attribute of a `StageParams`.
    """
    expected = f"some of {', '.join(choices)}" if choices else "a list of texts"
    may_be_empty = default is not None and not choices
    return StageParam(
        doc,
        TypeConverters.toListString,
        None if default is None else list(default),
        expected,
        lambda values: (may_be_empty or bool(values)) and not (choices and set(values) - set(choices)),
    )


def float_list_param(
    doc: str, *, default: Sequence[float] = (), length: int | None = None, minimum: float | None = None
) -> Param[list[float]]:
    """Declare a list of finite numbers.

    Parameters
    ----------
    doc : str
        What the param means.
    default : sequence of float, default ()
        Its default.
    length : int, optional
        How many numbers the list has to hold; by default any.
    minimum : float, optional
        Least allowed value of each.

    Returns
    -------
    Param of list of float
        To be set as an attribute of a `StageParams`.
    """
    words, allows = _in_range("numbers" if length is None else f"{length} numbers", minimum=minimum)
    return StageParam(
        doc,
        TypeConverters.toListFloat,
        list(default),
        f"a list of {words}",
        lambda values: length in {None, len(values)} and all(map(allows, values)),
    )


class HasLevel(StageParams):
    """Params of stages whose bounds or sets hold a share of the amounts."""

    level = float_param("share of the amounts that is inside", default=0.9, above=0, below=1)

    def getLevel(self) -> float:
        """Return the share of the amounts that is inside."""
        return self.getOrDefault(self.level)

    def setLevel(self, value: float) -> Self:
        """Set the share of the amounts that is inside; one fit serves any level.

        Parameters
        ----------
        value : float
            Above 0 and below 1.

        Returns
        -------
        Self
            This stage.

        Raises
        ------
        SettingsError
            If the value is outside its range.
        """
        self._set(level=value)
        self.check_params()
        return self
