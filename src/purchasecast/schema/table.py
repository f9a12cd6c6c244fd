"""Description of a transaction table: the roles of its columns and the values that they may have.

A schema is a TOML file with some settings of the table and one table ``[columns.NAME]`` for each column::

    name = "shop"
    money = "EUR"
    key = ["Customer", "Product"]   # columns that together identify a row; leave it out if there are none
    ignore = ["Profit", "note_*"]   # columns that the file may have and that are not used

    [csv]                           # how its CSV files are written, where it is not the usual way
    sep = ";"
    decimal = ","

    [columns.Customer]
    kind = "nominal"
    role = "customer"

    [columns.Age]
    kind = "ordinal"
    order = ["young", "middle", "old"]
    of = "customer"

    [columns.Spend]
    kind = "numeric"
    role = "target"
    minimum = 0

This module imports neither Spark nor NumPy, because the scorer without Java reads schemas too.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast.errors import SchemaError, did_you_mean
from purchasecast.schema.column import CALENDAR_PARTS, Column
from purchasecast.schema.reserved_columns import RESERVED_PREFIX
from purchasecast.schema.toml_fields import TABLE_FIELDS, FieldError, check_fields, line_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CALENDAR_PARTS", "RESERVED_PREFIX", "Column", "Schema", "load_schema", "shipped_schemas"]

#: How a CSV file may be written: options of Spark's reader, and the decimal sign.
_CSV_OPTIONS = ("sep", "encoding", "quote", "escape", "nullValue", "decimal")
_SINGLE_ROLES = ("customer", "product", "target", "quantity", "time")
_PIECES = frozenset({"pieces", "units", "items"})  # what a quantity was called before it was a role


@dataclass(frozen=True, slots=True)
class Schema:
    """Description of a transaction table.

    Parameters
    ----------
    name : str
        Short name, for messages and the bundle.
    title : str
        Name for people.
    columns : tuple of Column
        All columns that are used, one of them the target.
    key : tuple of str, default ()
        Columns that together identify a row; without them, duplicates are not looked for.
    ignore : tuple of str, default ()
        Columns that a file may have and that are not used; ``*`` stands for any text, ``""`` for a column
        without a name.
    money : str, optional
        Unit of the target, such as ``USD``.
    csv : mapping of str to str, optional
        How its CSV files are written, where it is not the usual way: ``sep``, ``encoding``, ``quote``, ``escape``,
        ``nullValue`` (a word for an empty value), and ``decimal`` (``","`` or ``"."``), with which numbers may also
        have signs between thousands and a currency's sign. Other sources keep types.

    Raises
    ------
    SchemaError
        If the description contradicts itself.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    money: str | None = None
    csv: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("columns", "key", "ignore"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "csv", dict(self.csv))
        self._check_csv()
        self._check_names()
        self._check_roles()
        self._check_key()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in schema order."""
        return tuple(column.name for column in self.columns)

    @property
    def customer(self) -> str | None:
        """Name of the customer column."""
        return self._with_role("customer")

    @property
    def product(self) -> str | None:
        """Name of the product column."""
        return self._with_role("product")

    @property
    def target(self) -> str:
        """Name of the target column; every schema has one."""
        return next(column.name for column in self.columns if column.role == "target")

    @property
    def quantity(self) -> str | None:
        """Name of the column that says how much was bought; None where each row is one purchase.

        A numeric column with ``unit = "pieces"`` counts as one where no column has the role.
        """
        counted = next((column.name for column in self.columns if column.unit in _PIECES), None)
        return self._with_role("quantity") or counted

    @property
    def time(self) -> str | None:
        """Name of the column with the time of the transaction."""
        return self._with_role("time")

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns without a role, and the quantity, in schema order."""
        return tuple(column for column in self.columns if column.is_feature)

    @property
    def nominal(self) -> tuple[Column, ...]:
        """The nominal features."""
        return tuple(column for column in self.features if column.kind == "nominal")

    @property
    def ordinal(self) -> tuple[Column, ...]:
        """The ordinal features."""
        return tuple(column for column in self.features if column.kind == "ordinal")

    @property
    def numeric(self) -> tuple[Column, ...]:
        """The numeric features."""
        return tuple(column for column in self.features if column.kind == "numeric")

    @property
    def main_category(self) -> str | None:
        """Name of the first nominal feature of the product, or else of any; None without nominal features."""
        of_product = [column.name for column in self.nominal if column.of == "product"]
        return next(iter([*of_product, *[column.name for column in self.nominal]]), None)

    @property
    def target_minimum(self) -> float | None:
        """Smallest value that the target may have; None if the schema does not say."""
        minimum = self.column(self.target).minimum
        return float(minimum) if isinstance(minimum, int | float) else None

    @property
    def dates(self) -> tuple[Column, ...]:
        """The date features, without the time column."""
        return tuple(column for column in self.features if column.kind == "date")

    @property
    def calendars(self) -> tuple[Column, ...]:
        """All date columns with calendar features, the time column included."""
        return tuple(column for column in self.columns if column.calendar)

    def required_columns(self, *, with_target: bool) -> tuple[str, ...]:
        """Return the names of the columns that a table must have.

        Parameters
        ----------
        with_target : bool
            Whether rows are labelled; rows to score need no target.

        Returns
        -------
        tuple of str
            Names in schema order.
        """
        return tuple(column.name for column in self.columns if with_target or column.role != "target")

    def explain(self, reason: str) -> str:
        """Add what a column expects to a reason of the validation.

        Parameters
        ----------
        reason : str
            Such as ``Gender: not in domain``.

        Returns
        -------
        str
            Such as ``Gender: not in domain, expected one of F, M``; other reasons, such as a null, are returned as
            they are.
        """
        name, separator, rule = reason.rpartition(": ")
        if not separator or rule == "null" or name not in self.names:
            return reason
        return f"{reason}, expected {self.column(name).expectation}"

    def column(self, name: str) -> Column:
        """Return a column by name.

        Parameters
        ----------
        name : str
            Name of the column in the file.

        Returns
        -------
        Column
            Its description.

        Raises
        ------
        SchemaError
            If there is no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(
            f"{self.name}: expected one of its columns {', '.join(self.names)}, "
            f"found {name}{did_you_mean(name, self.names) or '.'}"
        )

    def ignores(self, name: str) -> bool:
        """Return whether a file may have a column that the schema does not describe.

        Parameters
        ----------
        name : str
            Name in the header; empty for a column without a name.

        Returns
        -------
        bool
            True if `ignore` lists it.
        """
        return any(name == pattern or (pattern and fnmatchcase(name, pattern)) for pattern in self.ignore)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-safe values.

        Returns
        -------
        dict
            Input for `from_dict`; columns are a list, so that their order survives a writer that sorts keys.
        """
        return {
            "name": self.name,
            "title": self.title,
            "money": self.money,
            "key": list(self.key),
            "ignore": list(self.ignore),
            **({"csv": dict(self.csv)} if self.csv else {}),
            "columns": [column.to_dict() for column in self.columns],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """Build a schema from the result of `to_dict`, or from a parsed schema file.

        Parameters
        ----------
        values : mapping
            The document; ``columns`` is a list of columns with names, or a mapping from names to columns.

        Returns
        -------
        Schema
            The schema.

        Raises
        ------
        SchemaError
            If a field is unknown, missing or wrong.
        """
        document = {key: value for key, value in values.items() if value is not None}
        if isinstance(document.get("columns"), list):
            document["columns"] = {column.get("name"): column for column in document["columns"]}
        check_fields(document, TABLE_FIELDS, required=("name", "columns"))
        columns = []
        for name, fields in document.pop("columns").items():
            if not isinstance(fields, dict):
                raise FieldError(("columns", name), f"expected a table, found {fields!r}")
            columns.append(Column.from_dict({**fields, "name": name}))
        title = document.pop("title", document["name"])
        return cls(title=title, columns=tuple(columns), **document)

    def _with_role(self, role: str) -> str | None:
        return next((column.name for column in self.columns if column.role == role), None)

    def _check_csv(self) -> None:
        for option, value in self.csv.items():
            if option not in _CSV_OPTIONS:
                hint = did_you_mean(option, _CSV_OPTIONS)
                raise FieldError(("csv", option), f"expected one of {', '.join(_CSV_OPTIONS)}, found {option}{hint}")
            if option == "decimal" and value not in {".", ","}:
                raise FieldError(("csv", option), f'expected "." or ",", found {value!r}')

    def _check_names(self) -> None:
        folded: dict[str, str] = {}
        for name in self.names:
            # Spark ignores case in names, so that names that differ in case only are the same.
            other = folded.setdefault(name.casefold(), name)
            if self.names.count(name) > 1 or other != name:
                raise FieldError(("columns", name), f"expected every name once, found {other} and {name}")
        for name in self.names:
            if name in self.ignore:
                raise FieldError(("ignore",), f"expected columns that are not described, found {name}")

    def _check_roles(self) -> None:
        holders: dict[str, str] = {}
        for column in self.columns:
            if column.role in _SINGLE_ROLES and column.role in holders:
                raise FieldError(
                    ("columns", column.name, "role"),
                    f"expected one column with the role {column.role}, found {holders[column.role]} and {column.name}",
                )
            holders[column.role or ""] = column.name
        if "target" not in holders:
            raise FieldError(("columns",), 'expected a column with role = "target", found none; add one')
        if not {"customer", "product", ""} & set(holders):
            raise FieldError(("columns",), "expected a customer, a product or a feature beside the target, found none")

    def _check_key(self) -> None:
        for name in self.key:
            if name not in self.names:
                raise FieldError(("key",), f"expected names of columns, found {name}{did_you_mean(name, self.names)}")
            column = self.column(name)
            if column.role == "target":
                raise FieldError(("key",), f"expected columns that identify a row, found the {column.role} {name}")
            if column.null != "forbidden":
                raise FieldError(
                    ("columns", name, "null"),
                    f"expected forbidden for a column of the key, found {column.null}",
                )


def shipped_schemas() -> tuple[str, ...]:
    """Return the names of the schemas that come with the package.

    Returns
    -------
    tuple of str
        Names for `load_schema`, sorted.

    Examples
    --------
    >>> shipped_schemas()
    ('black_friday', 'complete_journey')
    """
    folder = files("purchasecast.schema")
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_schema(name_or_path: str | Path) -> Schema:
    """Read a schema from a file, or one that comes with the package.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped schema (`shipped_schemas`), or path of a TOML file.

    Returns
    -------
    Schema
        The schema.

    Raises
    ------
    SchemaError
        If there is no such file, or it is wrong; the message names file, line and field.

    Examples
    --------
    >>> load_schema("black_friday").target
    'Purchase'
    """
    where = str(name_or_path)
    shipped = shipped_schemas()
    path = files("purchasecast.schema") / f"{where}.toml" if where in shipped else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SchemaError(f"{where}: expected a schema file in UTF-8, found other bytes.") from None
    except OSError as error:
        raise SchemaError(
            f"{where}: expected a schema file or one of {', '.join(shipped)}, found none "
            f"({error.strerror or error}){did_you_mean(where, shipped) or '.'}"
        ) from None
    try:
        return Schema.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{where}: expected TOML, found an error: {error}.") from None
    except FieldError as error:
        raise SchemaError(f"{where}, line {line_of(text, error.field)}, {error}") from None
