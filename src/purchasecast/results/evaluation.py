"""Result of an evaluation on labelled rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from purchasecast.results.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREDICTION_TENTH", "Evaluation", "Reference", "Slice"]

#: `Slice.by` of the tenths of the rows by prediction.
PREDICTION_TENTH = "prediction tenth"


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
    """

    rows: int
    mean: float
    heavy_customer_rows: float


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
        RMSE of the baselines on the same rows: ``mean`` and ``product_mean``, both of the training rows.
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


@dataclass(frozen=True, slots=True)
class Evaluation(Record):
    """How well predictions matched labelled rows.

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
    """

    overall: Slice
    slices: tuple[Slice, ...]
    computed_on: str
    seconds: dict[str, float] = field(default_factory=dict)
    level: float | None = None
    target_transform: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, with the figures of all rows at the top level.

        Returns
        -------
        dict
            What `from_dict` reads.
        """
        overall = asdict(self.overall)
        del overall["by"], overall["level"]
        return {
            **overall,
            "computed_on": self.computed_on,
            "level": self.level,
            "target_transform": self.target_transform,
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
        options = {name: values[name] for name in ("seconds", "level", "target_transform") if name in values}
        return cls(whole, slices, values["computed_on"], **options)

    def with_seconds(self, seconds: dict[str, float]) -> Evaluation:
        """Return the same evaluation with other timings."""
        return replace(self, seconds=dict(seconds))

    def with_transform(self, choice: dict[str, Any] | None) -> Evaluation:
        """Return the same evaluation with the target's transformation and its evidence."""
        return replace(self, target_transform=choice)
