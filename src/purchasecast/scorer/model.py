"""Score rows with a portable model, by NumPy and Arrow only: no Spark and no Java."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import BundleCorruptError, DataError, SettingsError
from purchasecast.files import SealedFiles
from purchasecast.frames import to_arrow
from purchasecast.schema import Schema
from purchasecast.schema.reserved_columns import AMOUNTS, LOWER, PREDICTION, UPPER
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
from purchasecast.scorer.steps.price_ladder import PriceLadder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from purchasecast.scorer.parsing import Value

__all__ = ["Estimate", "Prediction", "Scorer", "read_scorer"]

_TOLERANCE = 1e-6  # relative, of the self-test: boosted trees add up in single precision
_SHOWN_PROBLEMS = 3  # in a message


@dataclass(frozen=True, slots=True)
class Estimate:
    """The prediction of one row.

    Attributes
    ----------
    prediction : float
        Predicted amount, in money.
    lower, upper : float or None
        Bounds of the interval; None if the model has no intervals.
    unseen : tuple of str
        Which of ``customer`` and ``product`` is not in the training data.
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
        Predicted amounts, in money; NaN for a row with a problem.
    lower, upper : ndarray of float or None
        Bounds of the intervals; None if the model has no intervals.
    contributions : Contributions or None
        What drives each prediction; None if it was not asked for.
    problems : tuple of Problem
        Values that break a rule of the schema.
    unseen : mapping of str to ndarray of bool
        By role (customer, product) or column: whether the row's level is not in the training data.
    derived : mapping of str to ndarray
        The derived columns that were asked for, such as a customer's number of training rows.
    amounts : pyarrow.ListArray or None
        The steps that each amount may stand on, with their probabilities; None if they were not asked for.
    """

    prediction: NDArray[np.float64]
    lower: NDArray[np.float64] | None = None
    upper: NDArray[np.float64] | None = None
    contributions: Contributions | None = None
    problems: tuple[Problem, ...] = ()
    unseen: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    derived: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    amounts: pa.ListArray | None = None

    def to_columns(self) -> dict[str, pa.Array]:
        """Return what was predicted as Arrow columns; null for a row with a problem.

        Returns
        -------
        dict of str to pyarrow.Array
            ``prediction``; if the model has intervals, ``lower`` and ``upper``; if they were asked for, ``amounts`` and
            the contributions.
        """
        named = {PREDICTION: self.prediction, LOWER: self.lower, UPPER: self.upper}
        columns = {name: pa.array(values, from_pandas=True) for name, values in named.items() if values is not None}
        if self.amounts is not None:
            columns[AMOUNTS] = self.amounts
        return columns if self.contributions is None else columns | self.contributions.to_columns()


class Scorer:
    """A portable model, as `load` returns it.

    Parameters
    ----------
    files : SealedFiles
        The files beside ``scorer.json``.
    document : mapping
        The content of ``scorer.json``.

    Attributes
    ----------
    schema : Schema
        Schema of the rows that the model takes.
    columns : tuple of str
        Columns that a row must have.
    catalogue : Catalogue
        What the model knows of customers and products.
    labels : dict of str to tuple of str
        Levels of the training data by column, most frequent first; for columns that become indicators.
    examples : tuple of dict
        A few rows that the model takes.
    trained_level : float or None
        Share of purchases between the bounds that the training chose; `level` may be set to another.

    Examples
    --------
    >>> from purchasecast.scorer import load
    >>> scorer = load("model")  # doctest: +SKIP
    >>> scorer.predict_one({"User_ID": 1000001, "Product_ID": "P00069042"}).prediction  # doctest: +SKIP
    14812.3
    """

    def __init__(self, files: SealedFiles, document: Mapping[str, Any]) -> None:
        self.schema = Schema.from_dict(document["schema"])
        self._levels = tuple(
            KeyedLevels(tuple(entry["columns"]), read_levels(files, entry["file"])) for entry in document["levels"]
        )
        vectors = {
            name: tuple(Feature(entry["column"], int(entry.get("size", 0))) for entry in entries)
            for name, entries in document["vectors"].items()
        }
        context = Context(files, self._levels, vectors)
        self._steps = tuple(build_step(entry, context) for entry in document["steps"])
        self._row_steps = tuple(step.row for step in self._steps)  # bound once, not for every row
        self._intervals = [step for step in self._steps if isinstance(step, Interval | PriceLadder)]
        self.trained_level = self.level
        self._averages = read_averages(document.get("averages", ()))
        self._reader = InputReader(self.schema)
        self.columns = tuple(column.name for column in self._reader.columns)
        self.catalogue = Catalogue(self.schema, document, self._levels)
        self._indices = [
            column for entry in document["steps"] if entry["kind"] == "index" for column in entry["columns"]
        ]
        self.labels: dict[str, tuple[str, ...]] = {
            column["column"]: tuple(label for label in column["labels"] if label != column["null"])
            for column in self._indices
        }
        known = document.get("known", {})
        roles = {"customer": self.schema.customer, "product": self.schema.product}
        self._roles = tuple((role, known.get(role, {}).get("levels")) for role, column in roles.items() if column)
        tests = document.get("self_test", ())
        self.examples: tuple[dict[str, Any], ...] = tuple(test["row"] for test in tests if not test.get("unusual"))
        self._test(tests)

    @property
    def roles(self) -> tuple[str, ...]:
        """Which of ``customer`` and ``product`` the schema has."""
        return tuple(role for role, _ in self._roles)

    @property
    def has_ladder(self) -> bool:
        """Whether amounts stand on steps, so that each row has the probability of every step."""
        return any(isinstance(step, PriceLadder) for step in self._steps)

    @property
    def level(self) -> float | None:
        """Share of purchases that are to fall between the bounds; None if the model has no intervals."""
        return self._intervals[0].level if self._intervals else None

    def set_level(self, level: float) -> None:
        """Set the share of purchases that are to fall between the bounds.

        Parameters
        ----------
        level : float
            Above 0 and below 1.

        Raises
        ------
        SettingsError
            If it is outside that range, or the model has no intervals.
        """
        if not self._intervals:
            raise SettingsError("level: expected a model with intervals, found one without; train it again.")
        for step in self._intervals:
            step.set_level(level)

    def check_ladder(self) -> None:
        """Check that amounts stand on steps.

        Raises
        ------
        SettingsError
            If they do not, so that no step has a probability.
        """
        if not self.has_ladder:
            raise SettingsError(
                "amounts: expected a model of amounts that stand on steps of a unit, found one without; leave it out."
            )

    def check_columns(self, found: Sequence[str]) -> None:
        """Check that a table has all columns of the model and no unknown one.

        Parameters
        ----------
        found : sequence of str
            Names of the table's columns.

        Raises
        ------
        ColumnMismatchError
            If a column is missing, unknown or named twice.
        """
        self._reader.check_columns(found)

    def check(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return which rules a row breaks.

        Parameters
        ----------
        row : mapping of str to object
            Values by column.

        Returns
        -------
        dict of str to str
            The rule by column; empty for a good row.
        """
        return self._reader.row(row)[1]

    def predict_one(self, row: Mapping[str, Any], *, reader: InputReader | None = None) -> Estimate:
        """Score one row; for a single row this is faster than `predict`.

        Parameters
        ----------
        row : mapping of str to object
            Values by column. Attributes of a known customer or product may be left out.
        reader : InputReader, optional
            Checks the values; by default against the schema, which accepts numbers as text.

        Returns
        -------
        Estimate
            The prediction and its bounds.

        Raises
        ------
        DataError
            If a value is missing or breaks a rule of the schema.
        """
        reader = reader or self._reader
        try:
            # Nearly all rows are complete and good, and need no look-up of attributes.
            values: dict[str, Any] = {name: parse(row[name]) for name, parse in reader.plan}
        except (KeyError, BadValueError):
            values = self._completed(row, reader)
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
        amounts: bool = False,
    ) -> Prediction:
        """Score many rows.

        Parameters
        ----------
        rows : sequence of mappings, or table
            Rows as in `predict_one`; or a pyarrow, pandas or Polars table, or any other that exports Arrow, with the
            columns of the schema.
        explain : bool, default False
            Whether to return what drives each prediction.
        errors : {"raise", "mark"}, default "raise"
            What to do if a row breaks a rule of the schema: raise an error, or list it in `Prediction.problems` and
            return no prediction for it.
        reader : InputReader, optional
            As in `predict_one`.
        derived : sequence of str, default ()
            Columns derived by the steps to return as well; names that no step makes are left out.
        amounts : bool, default False
            Whether to list the steps that each amount may stand on, with their probabilities.

        Returns
        -------
        Prediction
            One prediction a row.

        Raises
        ------
        ColumnMismatchError
            If the table has other columns than the schema.
        DataError
            If a row breaks a rule and `errors` is ``raise``.
        SettingsError
            If amounts are asked of a model without a ladder.
        """
        inputs: Any
        if amounts:
            self.check_ladder()
        reader = reader or self._reader
        if isinstance(rows, Sequence):
            inputs, problems = reader.rows([self.catalogue.complete(row) for row in rows])
        else:
            rows = to_arrow(rows)
            reader.check_columns(rows.column_names)
            inputs, problems = reader.table(rows)
        if problems and errors == "raise":
            raise DataError(_text_of(problems))
        batch = Batch(len(rows), inputs, self._levels, explains=explain, lists_amounts=amounts)
        for step in self._steps:
            step.batch(batch)
        if PREDICTION not in batch.columns:
            raise BundleCorruptError(f"scorer: expected a step that makes {PREDICTION}, found none; train again.")
        bad = np.array(sorted({problem.row for problem in problems}), dtype=np.intp)
        lists = batch.amounts
        if lists is not None and len(bad):
            lists = pc.if_else(pa.array(~np.isin(np.arange(len(rows)), bad)), lists, None)
        return Prediction(
            prediction=_without(batch.columns[PREDICTION], bad),
            lower=_without(batch.columns[LOWER], bad) if LOWER in batch.columns else None,
            upper=_without(batch.columns[UPPER], bad) if UPPER in batch.columns else None,
            contributions=contributions_of(batch, PREDICTION, self._averages) if explain else None,
            problems=tuple(problems),
            unseen=self._unseen(batch),
            derived={name: batch.columns[name] for name in derived if name in batch.columns},
            amounts=lists,
        )

    def _completed(self, row: Mapping[str, Any], reader: InputReader) -> dict[str, Value]:
        """Return the values of a row in which some are missing or wrong; wrong ones raise an error."""
        values, problems = reader.row(self.catalogue.complete(row))
        if problems:
            told = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
            raise DataError(f"row: expected values that the schema allows, found {told}; correct them.")
        return {name: values.get(name) for name, _ in reader.plan}

    def _unseen(self, batch: Batch) -> dict[str, NDArray[np.bool_]]:
        roles = {self.schema.customer: "customer", self.schema.product: "product"}
        flags = {
            roles.get(levels.columns[0], levels.columns[0]): batch.positions(k) == levels.table.rows
            for k, levels in enumerate(self._levels)
            if len(levels.columns) == 1
        }
        for column in self._indices:
            flags[column["column"]] = batch.columns[column["output"]] == len(column["labels"])
        return flags

    def _test(self, tests: Sequence[Mapping[str, Any]]) -> None:
        """Check, by both ways of scoring, that the test rows get what Spark made of them at export."""
        if not tests:
            return
        rows = [test["row"] for test in tests]
        predicted = self.predict(rows, amounts=self.has_ladder)
        by_batch = predicted.to_columns()
        by_row = [self.predict_one(row) for row in rows]
        for name in (PREDICTION, LOWER, UPPER):
            for place, test in enumerate(tests):
                if name not in test:
                    continue
                for value in (by_batch[name][place].as_py(), getattr(by_row[place], name)):
                    if value is None or not math.isclose(value, test[name], rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
                        raise BundleCorruptError(
                            f"scorer: expected the {name} {test[name]!r} of its own test row, found {value!r}; "
                            "train the model again, or use the purchasecast that wrote it."
                        )
        if predicted.amounts is not None:
            self._test_amounts(predicted.amounts, tests)

    def _test_amounts(self, found: pa.ListArray, tests: Sequence[Mapping[str, Any]]) -> None:
        """Check that the test rows get the steps and probabilities that Spark made at export."""
        for test, steps in zip(tests, found.to_pylist(), strict=True):
            mine = {str(step["step"]): step["probability"] for step in steps or ()}
            theirs = test.get("steps", mine)
            near = theirs.keys() == mine.keys() and all(
                math.isclose(theirs[number], chance, abs_tol=_TOLERANCE) for number, chance in mine.items()
            )
            if not near:
                raise BundleCorruptError(
                    f"scorer: expected the steps {theirs} of its own test row, found {mine}; train the model again, or "
                    "use the purchasecast that wrote it."
                )


def read_scorer(source: Path | SealedFiles) -> Scorer:
    """Read the portable model of a folder; `load` reads a whole bundle and checks all its files.

    Parameters
    ----------
    source : Path or SealedFiles
        The folder of ``scorer.json``, unchecked; or its files with their checksums, as `Bundle.scorer_files` has them.

    Returns
    -------
    Scorer
        The model; it has passed its own test.

    Raises
    ------
    BundleError
        If there is no scorer, it is of another format, it is damaged, or it is not the one of the checksums.
    """
    files = source if isinstance(source, SealedFiles) else SealedFiles(str(source))
    document = read_manifest(files)
    try:
        return Scorer(files, document)
    except (KeyError, TypeError, IndexError, OSError) as error:
        raise BundleCorruptError(
            f"scorer: expected a complete description, found one that lacks {error}; train the model again."
        ) from error


def _without(values: NDArray[np.float64], bad: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return values with NaN for bad rows."""
    if len(bad):
        values = values.copy()  # the batch may hold the same array under another name
        values[bad] = np.nan
    return values


def _text_of(problems: Sequence[Problem]) -> str:
    shown = problems[:_SHOWN_PROBLEMS]
    first = "; ".join(f"row {problem.row}, {problem.column}: {problem.reason}" for problem in shown)
    more = f" and {len(problems) - len(shown):,} more" if len(problems) > len(shown) else ""
    return f"rows: expected values that the schema allows, found {first}{more}; correct them or pass errors='mark'."
