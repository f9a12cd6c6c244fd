"""Result of an evaluation on labelled rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any, Self

from purchasecast.formatting import html_table, number, percent, text_table
from purchasecast.results.amounts import AmountEvaluation
from purchasecast.results.lists import ListEvaluation
from purchasecast.results.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PREDICTION_TENTH", "Evaluation", "LargestErrors", "Reference", "Slice", "largest_errors"]

#: `Slice.by` of the tenths of the rows by prediction.
PREDICTION_TENTH = "prediction tenth"

_LARGE_SHARE = 0.2  # of the squared error, from which on the largest errors are mentioned
_BASELINE_NAMES = {
    "mean": "mean",
    "median": "median",
    "product_mean": "product mean",
    "product_median": "product median",
    "unit_price": "unit price x quantity",
}
_MAX_SLICES = 10  # of a column, in a printed table


@dataclass(frozen=True, slots=True)
class Reference(Record):
    """Figures of the training rows that an evaluation compares with.

    Attributes
    ----------
    rows : int
        Training rows.
    mean : float
        Mean of the target, in money: the first baseline.
    heavy_customer_rows : float
        Median number of rows per customer: customers with more are heavy, the others light; 0 without customers.
    median : float or None
        Median of the target, in money.
    """

    rows: int
    mean: float
    heavy_customer_rows: float
    median: float | None = None


@dataclass(frozen=True, slots=True)
class Slice(Record):
    """Metrics of a subset of the rows.

    Attributes
    ----------
    by, level : str
        What the rows have in common, such as ``product`` and ``unseen``.
    rows : int
        Number of rows.
    rmse, mae : float
        Root mean squared error and mean absolute error, in money.
    r2 : float or None
        Coefficient of determination around the slice's own mean; None where all targets are equal.
    bias : float
        Mean of prediction minus target, in money.
    baseline_rmse : dict of str to float
        RMSE of the baselines on the same rows, all of the training rows: ``mean``, ``median``, ``product_mean``,
        ``product_median`` and, where the schema has a quantity, ``unit_price`` (times quantity).
    baseline_mae : dict of str to float
        Mean absolute error of the same baselines.
    coverage : float or None
        Share of the targets inside their interval; None without intervals.
    mean_width : float or None
        Mean width of the intervals, in money.
    interval_score : float or None
        Mean Winkler score, in money: the width plus, for a target outside, 2 / (1 - level) times its distance to the
        interval. Smaller is better.
    constant_width : float or None
        Width that an interval of the same level needs if it is equal for all rows, in money.
    mean_prediction : float or None
        Mean prediction, in money; minus the bias it is the mean target, which shows calibration.
    """

    by: str
    level: str
    rows: int
    rmse: float
    mae: float
    r2: float | None
    bias: float
    baseline_rmse: dict[str, float]
    coverage: float | None = None
    mean_width: float | None = None
    interval_score: float | None = None
    constant_width: float | None = None
    mean_prediction: float | None = None
    baseline_mae: dict[str, float] = field(default_factory=dict)

    def to_line(self) -> tuple[str, ...]:
        """Return the line of a table: name, rows, errors, and the interval where there is one."""
        name = "all" if self.by == "all" else f"{self.by} {self.level}"
        line = [
            name[:34],
            f"{self.rows:,}",
            number(self.rmse),
            number(self.mae),
            "-" if self.r2 is None else f"{self.r2:.3f}",
            number(self.baseline_rmse["product_mean"]),
        ]
        if self.coverage is not None and self.mean_width is not None:
            line += [percent(self.coverage), number(self.mean_width)]
        return tuple(line)


def largest_errors(parts: Sequence[Slice], most: int) -> tuple[list[Slice], list[Slice]]:
    """Split slices into those with the largest sum of squared errors, largest first, and the others.

    Parameters
    ----------
    parts : sequence of Slice
        Slices of an evaluation.
    most : int
        Largest number of slices in the first part.

    Returns
    -------
    tuple of (list of Slice, list of Slice)
        Both parts. If there are no more slices than `most`, all are in the first, in their own order.
    """
    if len(parts) <= most:
        return list(parts), []
    ordered = sorted(parts, key=lambda part: -part.rows * part.rmse**2)
    return ordered[:most], ordered[most:]


@dataclass(frozen=True, slots=True)
class LargestErrors(Record):
    """The few rows with the largest errors.

    Attributes
    ----------
    rows : int
        How many rows.
    share : float
        Their share of the sum of squared errors, 0..1.
    rmse_without : float
        Root mean squared error of all other rows, in money.
    """

    rows: int
    share: float
    rmse_without: float


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Record):
    """How well predictions matched labelled rows; prints as a table.

    Attributes
    ----------
    overall : Slice
        All rows.
    slices : tuple of Slice
        Seen and unseen products and customers, light and heavy customers, each level of the main category, the smallest
        categories and all others, and tenths of the rows by prediction.
    computed_on : str
        The rows that were measured, in one sentence.
    seconds : dict of str to float
        Seconds per step.
    level : float or None
        Level of the intervals; None without intervals.
    target_transform : dict or None
        The transformation of the target and the errors it was chosen by; None where not known.
    money : str or None
        Currency of the target.
    largest : LargestErrors or None
        The ten rows with the largest errors.
    lists : ListEvaluation or None
        What lists of offers would have brought; None for a model without offers.
    amounts : AmountEvaluation or None
        Probabilities and sets of steps; None where amounts stand on none.
    """

    overall: Slice
    slices: tuple[Slice, ...]
    computed_on: str
    seconds: dict[str, float] = field(default_factory=dict)
    level: float | None = None
    target_transform: dict[str, Any] | None = None
    money: str | None = None
    largest: LargestErrors | None = None
    lists: ListEvaluation | None = None
    amounts: AmountEvaluation | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, with the figures of all rows at the top level.

        Returns
        -------
        dict
            What `from_dict` reads.
        """
        # Programs that read this JSON rely on `rows`, `rmse` and the other figures at the top level.
        overall = asdict(self.overall)
        del overall["by"], overall["level"]
        return {
            **overall,
            "computed_on": self.computed_on,
            "level": self.level,
            "target_transform": self.target_transform,
            "money": self.money,
            "largest": self.largest.to_dict() if self.largest else None,
            "lists": self.lists.to_dict() if self.lists else None,
            "amounts": self.amounts.to_dict() if self.amounts else None,
            "slices": [asdict(part) for part in self.slices],
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the evaluation that `to_dict` was called on, also after a trip through JSON.

        Parameters
        ----------
        values : mapping
            Fields by name.

        Returns
        -------
        Evaluation
            The evaluation.
        """
        whole = Slice.from_dict({**values, "by": "all", "level": "all"})
        slices = tuple(Slice.from_dict(part) for part in values["slices"])
        options = {name: values[name] for name in ("seconds", "level", "target_transform", "money") if name in values}
        if values.get("largest"):
            options["largest"] = LargestErrors.from_dict(values["largest"])
        if values.get("lists"):
            options["lists"] = ListEvaluation.from_dict(values["lists"])
        if values.get("amounts"):
            options["amounts"] = AmountEvaluation.from_dict(values["amounts"])
        return cls(whole, slices, values["computed_on"], **options)

    def with_seconds(self, seconds: dict[str, float]) -> Evaluation:
        """Return the same evaluation with other timings."""
        return replace(self, seconds=dict(seconds))

    def with_transform(self, choice: dict[str, Any] | None) -> Evaluation:
        """Return the same evaluation with the target's transformation and its evidence."""
        return replace(self, target_transform=choice)

    def with_lists(self, lists: ListEvaluation | None) -> Evaluation:
        """Return the same evaluation with what lists of offers would have brought."""
        return replace(self, lists=lists)

    def __repr__(self) -> str:
        """Return the table, the baselines and what to know of the figures, as text."""
        parts = [self.computed_on, text_table(*self._table()), "", text_table(*self._baselines())]
        offers = ["", repr(self.lists)] if self.lists and self.lists.lists else []
        sets = [repr(self.amounts)] if self.amounts else []
        return "\n".join([*parts, *sets, *self.warnings(), *offers])

    def _repr_html_(self) -> str:
        """Return the same as HTML, for a notebook."""
        sets = [repr(self.amounts)] if self.amounts else []
        notes = "".join(f"<p>{escape(note)}</p>" for note in [*sets, *self.warnings()])
        offers = html_table(*self.lists.to_table()) if self.lists and self.lists.lists else ""
        return html_table(*self._table(), caption=self.computed_on) + html_table(*self._baselines()) + notes + offers

    def warnings(self) -> list[str]:
        """Return what a reader should know before trusting the figures."""
        if self.largest is None or self.largest.share <= _LARGE_SHARE:
            return []
        rest, share = number(self.largest.rmse_without), percent(self.largest.share)
        sentence = f"The {self.largest.rows} largest errors make {share} of the squared error; without them the RMSE is"
        return [f"{sentence} {rest}."]

    def _baselines(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return headers and lines: the model and each baseline, on all rows."""
        whole = self.overall
        lines: list[tuple[str, ...]] = [("this model", number(whole.rmse), number(whole.mae))]
        for name, rmse in whole.baseline_rmse.items():
            mae = number(whole.baseline_mae[name]) if name in whole.baseline_mae else "-"
            lines.append((_BASELINE_NAMES.get(name, name), number(rmse), mae))
        return ("", "RMSE", "MAE"), lines

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return headers and lines: all rows, then of each column the slices with the largest errors, no tenths."""
        unit = f" {self.money}" if self.money else ""
        headers = ["", "rows", f"RMSE{unit}", "MAE", "R2", "product mean"]
        if self.overall.coverage is not None:
            headers += ["coverage", "width"]
        lines: list[tuple[str, ...]] = [self.overall.to_line()]
        for by in dict.fromkeys(part.by for part in self.slices if part.by != PREDICTION_TENTH):
            shown, rest = largest_errors([part for part in self.slices if part.by == by], _MAX_SLICES)
            lines += [part.to_line() for part in shown]
            if rest:
                lines.append((f"{by}: {len(rest):,} more",))
        return tuple(headers), [(*line, *[""] * (len(headers) - len(line))) for line in lines]
