"""Score rows with a portable model: NumPy and Arrow only, no Spark and no Java."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from purchasecast.errors import BundleCorruptError, DataError, SettingsError
from purchasecast.frames import to_arrow
from purchasecast.schema import Schema
from purchasecast.schema.reserved_columns import LOWER, PREDICTION, UPPER
from purchasecast.scorer.batch import Batch, KeyedLevels, Row
from purchasecast.scorer.catalogue import Catalogue
from purchasecast.scorer.contributions import Contributions, contributions_of, read_averages
from purchasecast.scorer.format import read_manifest
from purchasecast.scorer.inputs import InputReader, Problem
from purchasecast.scorer.levels import read_levels
from purchasecast.scorer.parsing import BadValueError
from purchasecast.scorer.steps import build_step
from purchasecast.scorer.steps.base import Context, Feature
from purchasecast.scorer.steps.interval import Interval

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from purchasecast.scorer.parsing import Value

__all__ = ["LOWER", "PREDICTION", "UPPER", "Estimate", "Prediction", "Scorer", "read_scorer"]

_TOLERANCE = 1e-6  # relative, of the self-test: boosted trees add up in single precision


@dataclass(frozen=True, slots=True)
class Estimate:
    """The prediction of one row.

    Attributes
    ----------
    prediction : float
        In money.
    lower, upper : float or None
        Bounds of the interval; None where the model has none.
    unseen : tuple of str
        Roles (customer, product) whose level training has not seen.
    """

    prediction: float
    lower: float | None = None
    upper: float | None = None
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions of many rows, in the order of the rows.

    Attributes
    ----------
    prediction : ndarray of float
        In money; NaN for a row with a problem.
    lower, upper : ndarray of float or None
        Bounds of the interval; None where the model has none.
    contributions : Contributions or None
        What drives each prediction; None where it was not asked for.
    problems : tuple of Problem
        Values that break a rule of the schema.
    unseen : mapping of str to ndarray of bool
        By role (customer, product) or column: whether training has not seen the row's level.
    derived : mapping of str to ndarray
        The derived columns that were asked for, such as a customer's number of training rows.
    """

    prediction: NDArray[np.float64]
    lower: NDArray[np.float64] | None = None
    upper: NDArray[np.float64] | None = None
    contributions: Contributions | None = None
    problems: tuple[Problem, ...] = ()
    unseen: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    derived: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def to_columns(self) -> dict[str, pa.Array]:
        """Return the predictions as Arrow columns; null where a row has a problem."""
        named = {PREDICTION: self.prediction, LOWER: self.lower, UPPER: self.upper}
        return {name: pa.array(values, from_pandas=True) for name, values in named.items() if values is not None}


class Scorer:
    """A portable model.

    Parameters
    ----------
    folder : Path
        The folder that ``scorer.json`` is in.
    document : mapping
        Its content.

    Attributes
    ----------
    schema : Schema
        Description of the rows that the model takes.
    columns : tuple of str
        Names of the columns that a row must have.
    catalogue : Catalogue
        What the model knows of customers and products.
    labels : dict of str to tuple of str
        Levels that training has seen, by column, most frequent first; of columns that become indicators.
    examples : tuple of dict
        A few rows that the model takes.
    """

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.schema = Schema.from_dict(document["schema"])
        self._levels = tuple(
            KeyedLevels(tuple(entry["columns"]), read_levels(folder / entry["file"])) for entry in document["levels"]
        )
        vectors = {
            name: tuple(Feature(entry["column"], int(entry.get("size", 0))) for entry in entries)
            for name, entries in document["vectors"].items()
        }
        context = Context(folder, self._levels, vectors)
        self._steps = tuple(build_step(entry, context) for entry in document["steps"])
        self._row_steps = tuple(step.row for step in self._steps)
        self._averages = read_averages(document.get("averages", ()))
        self._reader = InputReader(self.schema)
        self.columns = tuple(column.name for column in self._reader.columns)
        self.catalogue = Catalogue(self.schema, document, self._levels)
        self.examples: tuple[dict[str, Any], ...] = tuple(example["row"] for example in document.get("self_test", ()))
        self.labels: dict[str, tuple[str, ...]] = {
            column["column"]: tuple(label for label in column["labels"] if label != column["null"])
            for entry in document["steps"]
            if entry["kind"] == "index"
            for column in entry["columns"]
        }
        self._indices = tuple(
            (column["column"], column["output"], len(column["labels"]))
            for entry in document["steps"]
            if entry["kind"] == "index"
            for column in entry["columns"]
        )
        roles = {"customer": self.schema.customer, "product": self.schema.product}
        known = document.get("known", {})
        self._roles = tuple(
            (role, known[role]["levels"] if role in known else None) for role, column in roles.items() if column
        )
        self._test(document.get("self_test", ()))

    @property
    def roles(self) -> tuple[str, ...]:
        """Return which of customer and product a row names."""
        return tuple(role for role, _ in self._roles)

    def predict_one(self, row: Mapping[str, Any], *, reader: InputReader | None = None) -> Estimate:
        """Score one row; the fast way for one.

        Parameters
        ----------
        row : mapping of str to object
            Values by column. Attributes that it leaves out are taken from what the model knows of its customer and
            product.
        reader : InputReader, optional
            Holds the values to rules of its own; by default to the schema's, which take text for numbers, too.

        Returns
        -------
        Estimate
            Prediction and bounds.

        Raises
        ------
        DataError
            If a value breaks a rule of the schema, or is missing.
        """
        reader = reader or self._reader
        try:
            values: dict[str, Any] = {name: parse(row[name]) for name, parse in reader.plan}
        except (KeyError, BadValueError):
            values = self._values_of_incomplete(row, reader)
        state = Row(values, self._levels)
        for step in self._row_steps:
            step(state)
        unseen = tuple(role for role, k in self._roles if k is None or state.position(k) == self._levels[k].table.rows)
        return Estimate(values[PREDICTION], values.get(LOWER), values.get(UPPER), unseen)

    def predict(
        self,
        rows: Any,
        *,
        explain: bool = False,
        errors: Literal["raise", "mark"] = "raise",
        reader: InputReader | None = None,
        derived: Sequence[str] = (),
    ) -> Prediction:
        """Score many rows.

        Parameters
        ----------
        rows : sequence of mappings, or table
            Rows as in `predict_one`; or a pyarrow, pandas or Polars table, or any other that exports Arrow, with the
            schema's columns.
        explain : bool, default False
            Whether to return what drives each prediction.
        errors : {"raise", "mark"}, default "raise"
            What a row that breaks a rule of the schema does: stop the call, or be left without a prediction and
            listed in `Prediction.problems`.
        reader : InputReader, optional
            As in `predict_one`.
        derived : sequence of str, default ()
            Columns that the steps make and that are wanted besides; those that no step makes are left out.

        Returns
        -------
        Prediction
            One prediction a row.

        Raises
        ------
        ColumnMismatchError
            If the table's columns are not those of the schema.
        DataError
            If a row breaks a rule and `errors` is ``raise``.
        """
        inputs: dict[str, Any]
        reader = reader or self._reader
        if isinstance(rows, Sequence):
            completed = [self.catalogue.complete(row) for row in rows]
            inputs, problems = reader.rows(completed)
            count = len(rows)
        else:
            table = to_arrow(rows)
            reader.check_columns(table.column_names)
            inputs, problems = reader.table(table)
            count = len(table)
        if problems and errors == "raise":
            raise DataError(_told(problems))
        return self._score(inputs, count, problems, explain=explain, derived=derived)

    @property
    def level(self) -> float | None:
        """Return the share of purchases that are to fall between the bounds; None where the model has none."""
        return next((step.level for step in self._steps if isinstance(step, Interval)), None)

    def set_level(self, level: float) -> None:
        """Set the level of the intervals.

        Parameters
        ----------
        level : float
            Share of purchases between the bounds, in (0, 1).

        Raises
        ------
        SettingsError
            If it is not between 0 and 1, or the model has no intervals.
        """
        intervals = [step for step in self._steps if isinstance(step, Interval)]
        if not intervals:
            raise SettingsError("level: expected a model with intervals, found one without; train it again.")
        for step in intervals:
            step.set_level(level)

    def check_columns(self, found: Sequence[str]) -> None:
        """Check that a table has the columns that the model reads, and no others.

        Parameters
        ----------
        found : sequence of str
            Names of the columns of the table.

        Raises
        ------
        ColumnMismatchError
            If a column is missing, extra or named twice.
        """
        self._reader.check_columns(found)

    def check(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return what is wrong with a row, by column; empty for a good one."""
        return self._reader.row(row)[1]

    def _score(
        self,
        inputs: dict[str, Any],
        count: int,
        problems: Sequence[Problem],
        *,
        explain: bool,
        derived: Sequence[str] = (),
    ) -> Prediction:
        batch = Batch(count, inputs, self._levels, explains=explain)
        for step in self._steps:
            step.batch(batch)
        bad = np.array(sorted({problem.row for problem in problems}), dtype=np.intp)
        found: dict[str, NDArray[np.float64] | None] = {}
        for name in (PREDICTION, LOWER, UPPER):
            values = batch.columns.get(name)
            if values is not None and len(bad):
                values = values.copy()
                values[bad] = np.nan
            found[name] = values
        contributions = contributions_of(batch, PREDICTION, self._averages) if explain else None
        prediction = found[PREDICTION]
        if prediction is None:
            raise BundleCorruptError(f"scorer: expected a step that makes {PREDICTION}, found none; train again.")
        unseen = self._unseen(batch)
        asked = {name: batch.columns[name] for name in derived if name in batch.columns}
        return Prediction(prediction, found[LOWER], found[UPPER], contributions, tuple(problems), unseen, asked)

    def _unseen(self, batch: Batch) -> dict[str, NDArray[np.bool_]]:
        roles = {self.schema.customer: "customer", self.schema.product: "product"}
        flags = {
            roles.get(levels.columns[0], levels.columns[0]): batch.positions(k) == levels.table.rows
            for k, levels in enumerate(self._levels)
            if len(levels.columns) == 1
        }
        for name, output, unseen in self._indices:
            flags[name] = batch.columns[output] == unseen
        return flags

    def _values_of_incomplete(self, row: Mapping[str, Any], reader: InputReader) -> dict[str, Value]:
        """Return the values of a row that lacks some, or has a bad one, which is told."""
        values, problems = reader.row(self.catalogue.complete(row))
        if problems:
            raise DataError("; ".join(f"{name}: {reason}" for name, reason in problems.items()))
        return {name: values.get(name) for name, _ in reader.plan}

    def _test(self, examples: Sequence[Mapping[str, Any]]) -> None:
        """Score the rows that the exporter has scored on Spark, both ways, and refuse to differ."""
        if not examples:
            return
        together = self.predict([example["row"] for example in examples]).prediction
        for example, of_batch in zip(examples, together, strict=True):
            expected = float(example["prediction"])
            for found in (float(of_batch), self.predict_one(example["row"]).prediction):
                if not math.isclose(found, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
                    raise BundleCorruptError(
                        f"scorer: expected the prediction {expected!r} of its own test row, found {found!r}; "
                        "train the model again, or use the purchasecast that wrote it."
                    )


def read_scorer(folder: Path) -> Scorer:
    """Read a scorer's folder, without checksums.

    Parameters
    ----------
    folder : Path
        The folder that ``scorer.json`` is in.

    Returns
    -------
    Scorer
        The model; it has passed its own test.

    Raises
    ------
    BundleError
        If there is no scorer, it is of another format, or it is damaged.
    """
    document = read_manifest(folder)
    try:
        return Scorer(folder, document)
    except (KeyError, TypeError, IndexError) as error:
        raise BundleCorruptError(
            f"scorer: expected a whole description, found one that lacks {error}; train the model again."
        ) from error


def _told(problems: Sequence[Problem]) -> str:
    first = "; ".join(f"row {problem.row}, {problem.column}: {problem.reason}" for problem in problems[:3])
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"rows: expected values that the schema allows, found {first}{more}; correct them, or pass errors='mark'."
