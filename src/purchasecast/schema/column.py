"""Description of one column of the transaction table, and checks that it is consistent."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, get_args

from purchasecast.errors import did_you_mean
from purchasecast.schema.date_format import spark_date_format
from purchasecast.schema.reserved_columns import RESERVED_PREFIX
from purchasecast.schema.toml_fields import COLUMN_FIELDS, FieldError, check_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CALENDAR_PARTS", "RESERVED_PREFIX", "Bound", "Column"]

Kind = Literal["nominal", "ordinal", "numeric", "date"]
ValueType = Literal["string", "integer", "number", "date", "timestamp"]
Role = Literal["customer", "product", "target", "quantity", "time", "row"]
NullMeaning = Literal["forbidden", "level", "unknown"]
Owner = Literal["customer", "product"]
Bound = int | float | date

CALENDAR_PARTS = ("year", "quarter", "month", "week", "dayofmonth", "dayofweek", "dayofyear")
_RESERVED_NAMES = ("reasons",)  # validation adds it to rejected rows
_MAX_LEVELS_NAMED = 12  # in a sentence

_TYPES_OF_KIND: dict[str, tuple[ValueType, ...]] = {  # the first is the default
    "nominal": ("string", "integer"),
    "ordinal": ("string", "integer"),
    "numeric": ("number", "integer"),
    "date": ("date", "timestamp"),
}
_KIND_OF_ROLE: dict[str, Kind] = {
    "customer": "nominal",
    "product": "nominal",
    "target": "numeric",
    "quantity": "numeric",
    "time": "date",
    "row": "nominal",
}
# Intervals, baselines and findings count every row once: a weight that the regression alone knew would contradict them.
_REFUSED_ROLES: dict[str, str] = {"weight": "; every row counts once: ignore the column, or repeat rows by it"}


@dataclass(frozen=True, slots=True)
class Column:
    """Description of one column of the transaction table.

    Parameters
    ----------
    name : str
        Name in the file.
    kind : {"nominal", "ordinal", "numeric", "date"}
        Kind of the values: names, ordered names, quantities, days.
    type : {"string", "integer", "number", "date", "timestamp"}, optional
        Type of the values; by default ``string`` for nominal and ordinal, ``number`` for numeric, ``date`` for date.
    role : {"customer", "product", "target", "quantity", "time", "row"}, optional
        Role of the column; a column without one is a feature. ``row`` only identifies rows, such as an order number.
    order : sequence of str or int, default ()
        All levels of an ordinal column, lowest first.
    domain : sequence of str or int, default ()
        All levels of a nominal column; any level is allowed if it is empty.
    minimum, maximum : int, float or date, optional
        Smallest and largest value allowed. The minimum of a target is 0 by default.
    pattern : str, optional
        Regular expression that the whole text must match.
    null : {"forbidden", "level", "unknown"}, default "forbidden"
        Meaning of a null: the row is rejected, the null is a level of its own ("no second category"), or the value
        is unknown and will be imputed.
    of : {"customer", "product"}, optional
        Owner of the feature: an attribute of the customer or of the product.
    format : str, optional
        How a date is written, in Spark's pattern letters, such as ``M/d/yyyy``, or in ``strptime``'s, such as
        ``%m/%d/%Y``, which are turned into Spark's; ISO by default.
    calendar : sequence of str, default ()
        Features to derive from a date, from `CALENDAR_PARTS`.
    title : str, optional
        Name for people; by default `name`.
    unit : str, optional
        Unit for people, such as ``years``.

    Raises
    ------
    SchemaError
        If the description contradicts itself.

    Examples
    --------
    >>> Column("Age", "ordinal", order=("0-17", "18-25", "26+")).levels
    ('0-17', '18-25', '26+')
    """

    name: str
    kind: Kind
    type: ValueType | None = None
    role: Role | None = None
    order: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    minimum: Bound | None = None
    maximum: Bound | None = None
    pattern: str | None = None
    null: NullMeaning = "forbidden"
    of: Owner | None = None
    format: str | None = None
    calendar: tuple[str, ...] = ()
    title: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        self._check_name()
        self._check_choice("kind", get_args(Kind))
        if self.type is None:
            object.__setattr__(self, "type", _TYPES_OF_KIND[self.kind][0])
        self._check_choice("type", _TYPES_OF_KIND[self.kind], f" for a {self.kind} column")
        if self.role in _REFUSED_ROLES:
            self._refuse("role", f"one of {', '.join(get_args(Role))}", str(self.role), _REFUSED_ROLES[self.role])
        for field, choices in (("role", get_args(Role)), ("of", get_args(Owner))):
            if getattr(self, field) is not None:
                self._check_choice(field, choices)
        self._check_choice("null", get_args(NullMeaning))
        self._check_role()
        for field in ("order", "domain"):
            object.__setattr__(self, field, self._canonical_levels(field))
        self._check_levels()
        for field in ("minimum", "maximum"):
            object.__setattr__(self, field, self._canonical_bound(field))
        if self.minimum is None and self.role == "target":
            object.__setattr__(self, "minimum", 0)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:  # type: ignore[operator]
            self._refuse("maximum", f"at least the minimum {self.minimum}", str(self.maximum))
        self._check_pattern()
        self._check_format_and_calendar()

    @property
    def label(self) -> str:
        """Name for people: the title, or else the name."""
        return self.title or self.name

    @property
    def levels(self) -> tuple[str, ...]:
        """All values that the column may have, in their order if there is one; empty if any value is allowed."""
        return self.order or self.domain

    @property
    def expectation(self) -> str:
        """Description of a valid value to follow the word "expected", such as ``one of F, M``."""
        if self.levels:
            more = ", ..." if len(self.levels) > _MAX_LEVELS_NAMED else ""
            return f"one of {', '.join(self.levels[:_MAX_LEVELS_NAMED])}{more}"
        what = {"integer": "a whole number", "number": "a number", "string": "text"}.get(self.type or "", "a date")
        if self.kind == "date":
            what += f" written as {self.format or '2024-12-31'}"
        if self.pattern is not None:
            what += f" of the pattern {self.pattern}"
        if self.minimum is not None and self.maximum is not None:
            what += f" from {self.minimum} to {self.maximum}"
        elif self.minimum is not None:
            what += f" of at least {self.minimum}"
        elif self.maximum is not None:
            what += f" of at most {self.maximum}"
        return what

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON-safe values, without defaults.

        Returns
        -------
        dict
            Input for `from_dict`.
        """
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if isinstance(value, date):
                value = value.isoformat()
            values[field.name] = list(value) if isinstance(value, tuple) else value
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Column:
        """Build a column from the result of `to_dict`, or from a table of a schema file and a name.

        Parameters
        ----------
        values : mapping
            Fields by name.

        Returns
        -------
        Column
            The column.

        Raises
        ------
        SchemaError
            If a field is unknown, missing or wrong.
        """
        rest = dict(values)
        name = rest.pop("name", None)
        if not isinstance(name, str):
            raise FieldError(("columns",), f"expected a column with a name in text, found {name!r}")
        check_fields(rest, COLUMN_FIELDS, required=("kind",), field=("columns", name))
        return cls(name, **rest)

    def _refuse(self, field: str, expected: str, found: str, hint: str = "") -> None:
        raise FieldError(("columns", self.name, field), f"expected {expected}, found {found}{hint}")

    def _check_name(self) -> None:
        if not self.name or self.name != self.name.strip():
            raise FieldError(("columns", self.name), f"expected a name without blanks around it, found {self.name!r}")
        if self.name.casefold().startswith(RESERVED_PREFIX) or self.name.casefold() in _RESERVED_NAMES:
            raise FieldError(
                ("columns", self.name),
                f"expected a name that purchasecast does not use itself ({', '.join(_RESERVED_NAMES)} and "
                f"all that start with {RESERVED_PREFIX}), found {self.name}; rename the column",
            )

    def _check_choice(self, field: str, choices: Sequence[str], where: str = "") -> None:
        value = getattr(self, field)
        if value not in choices:
            hint = did_you_mean(str(value), choices)
            self._refuse(field, f"one of {', '.join(choices)}{where}", str(value), hint)

    @property
    def is_feature(self) -> bool:
        """Whether the column describes the purchase, the customer or the product: without a role, or the quantity."""
        return self.role in {None, "quantity"}

    def _check_role(self) -> None:
        if self.role is None:
            return
        if self.kind != _KIND_OF_ROLE[self.role]:
            self._refuse("kind", f"{_KIND_OF_ROLE[self.role]} for the role {self.role}", self.kind)
        if self.null != "forbidden" and self.role not in {"customer", "product", "quantity"}:
            self._refuse("null", f"forbidden for the role {self.role}", self.null)
        if self.of is not None:
            self._refuse("of", "nothing, because only features belong to a customer or product", self.of)

    def _canonical_levels(self, field: str) -> tuple[str, ...]:
        """Return the levels in canonical form, as validation does: integers without leading zeros, all as text."""
        levels = getattr(self, field)
        if isinstance(levels, str):
            self._refuse(field, "a list", repr(levels))
        canonical = []
        for level in levels:
            if self.type == "integer":
                if not re.fullmatch(r"[+-]?\d+", str(level)):
                    self._refuse(field, "whole numbers, as the type is integer", repr(level))
                canonical.append(str(int(level)))
            elif isinstance(level, str):
                canonical.append(level)
            else:
                self._refuse(field, f"texts in quotes, as the type is {self.type}", repr(level))
        twice = next((level for level in canonical if canonical.count(level) > 1), None)
        if twice is not None:
            self._refuse(field, "every level once", f"{twice} twice")
        return tuple(canonical)

    def _check_levels(self) -> None:
        if self.kind == "ordinal" and not self.order:
            self._refuse("order", "the levels of an ordinal column, lowest first", "none")
        if self.kind != "ordinal" and self.order:
            self._refuse("order", f"none for a {self.kind} column", str(list(self.order)), "; is it ordinal?")
        if self.kind in {"numeric", "date"} and self.domain:
            self._refuse("domain", f"none for a {self.kind} column", str(list(self.domain)))
        if self.order and self.domain and set(self.order) != set(self.domain):
            differing = sorted(set(self.order) ^ set(self.domain))
            self._refuse("domain", "the same levels as in order", f"{', '.join(differing)} in one only")
        if self.null not in {"forbidden", "unknown"} and self.kind in {"numeric", "date"}:
            self._refuse("null", f"forbidden or unknown for a {self.kind} column", self.null)

    def _canonical_bound(self, field: str) -> Bound | None:
        value = getattr(self, field)
        if value is None:
            return None
        if self.kind == "date":
            if isinstance(value, str):
                try:
                    return date.fromisoformat(value)
                except ValueError:
                    self._refuse(field, "a date such as 2024-12-31", value)
            if type(value) is not date:  # a datetime is also a date, and has a time of day
                self._refuse(field, "a date such as 2024-12-31", repr(value))
            return value  # type: ignore[no-any-return]
        if self.type == "string":
            self._refuse(field, f"none for a {self.kind} column of type string", repr(value))
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124  NaN
            self._refuse(field, "a number", repr(value))
        return value  # type: ignore[no-any-return]

    def _check_pattern(self) -> None:
        if self.pattern is None:
            return
        if self.type != "string":
            self._refuse("pattern", f"none for a column of type {self.type}", repr(self.pattern))
        try:
            re.compile(self.pattern)
        except re.error as error:
            self._refuse("pattern", "a regular expression", f"{self.pattern!r} ({error})")
        if re.search(r"\(\?P|\\Z", self.pattern):  # Java does not know the first, and reads the second otherwise
            self._refuse("pattern", r"a regular expression without (?P...) and \Z", repr(self.pattern))

    def _check_format_and_calendar(self) -> None:
        if self.format is not None:
            if self.kind != "date":
                self._refuse("format", f"none for a {self.kind} column", repr(self.format))
            try:
                object.__setattr__(self, "format", spark_date_format(self.format))
            except ValueError as error:
                raise FieldError(("columns", self.name, "format"), str(error)) from None
        if self.kind != "date" and self.calendar:
            self._refuse("calendar", f"none for a {self.kind} column", str(list(self.calendar)))
        for part in self.calendar:
            if part not in CALENDAR_PARTS:
                hint = did_you_mean(part, CALENDAR_PARTS)
                self._refuse("calendar", f"some of {', '.join(CALENDAR_PARTS)}", part, hint)
        object.__setattr__(self, "calendar", tuple(self.calendar))
