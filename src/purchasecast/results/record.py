"""JSON in and out, for every result."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Self, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Record"]


@dataclass(frozen=True, slots=True)
class Record:
    """Base of the results: a frozen dataclass of plain values, tuples, dicts and other records."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON.

        Returns
        -------
        dict
            What `from_dict` reads.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the record that `to_dict` was called on, also after a trip through JSON.

        Parameters
        ----------
        values : mapping
            Fields by name. Unknown names are ignored, so that documents of a later version can be read.

        Returns
        -------
        Record
            The record.
        """
        hints = _hints(cls)  # type: ignore[arg-type]  # mypy does not take a class as hashable
        known = {field.name for field in fields(cls)} & values.keys()
        return cls(**{name: _read(hints[name], values[name]) for name in known})


@functools.cache
def _hints(cls: type[Record]) -> dict[str, Any]:
    return get_type_hints(cls)


def _read(hint: Any, value: Any) -> Any:
    """Turn lists into tuples and dicts into records, as a field's type says."""
    origin, arguments = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin in {Union, UnionType}:
        return _read(next(argument for argument in arguments if argument is not type(None)), value)
    if origin is tuple:
        # tuple[X, ...] holds any number of X; tuple[X, Y] holds one of each.
        members = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_read(member, one) for member, one in zip(members, value, strict=True))
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict(value)
    return value
