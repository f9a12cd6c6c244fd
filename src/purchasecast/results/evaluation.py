"""What an evaluation found, as data without Spark."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = ["PREDICTION_TENTH", "Evaluation", "Reference", "Slice"]

#: What `Slice.by` says of the tenths of the rows by prediction.
PREDICTION_TENTH = "prediction tenth"


@dataclass(frozen=True, slots=True)
class Reference:
    """What the training rows say that an evaluation compares with.

    Attributes
    ----------
    rows : int
        Training rows.
    mean : float
        Mean of the target over them, in money: the first baseline.
    heavy_customer_rows : float
        Median of the rows a customer has: customers with more are heavy, the others light; 0 without customers.
    """

    rows: int
    mean: float
    heavy_customer_rows: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Reference:
        """Return what `to_dict` was called on."""
        return cls(int(data["rows"]), float(data["mean"]), float(data["heavy_customer_rows"]))


@dataclass(frozen=True, slots=True)
class Slice:
    """Metrics of some of the rows.

    Attributes
    ----------
    by, level : str
        What the rows have in common, such as ``product`` and ``unseen``.
    rows : int
        Number of rows.
    rmse, mae : float
        Root mean squared and mean absolute error, in money.
    r2 : float or None
        Coefficient of determination around the slice's own mean; None where all its targets are equal.
    bias : float
        Mean of prediction minus target, in money.
    baseline_rmse : dict of str to float
        RMSE of the baselines on the same rows: ``mean`` and ``product_mean`` (of the training rows).
    coverage : float or None
        Share of targets inside the interval; None without intervals.
    mean_width : float or None
        Mean width of the interval, in money.
    interval_score : float or None
        Mean Winkler score, in money: the width, and for a target outside 2 / (1 - level) times its distance to the
        interval; the smaller the better.
    constant_width : float or None
        Mean width of an interval of the same level that is as wide for every row, in money.
    mean_prediction : float or None
        Mean prediction, in money: beside the mean target, which is that much less the bias, it shows calibration.
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
class Evaluation:
    """How good predictions were on labelled rows.

    Attributes
    ----------
    overall : Slice
        All rows.
    slices : tuple of Slice
        Seen and unseen products and customers, light and heavy customers, every first category, all rows without and
        with only the smallest categories, and tenths of the rows by prediction.
    computed_on : str
        Which rows these were, in one sentence.
    seconds : dict of str to float
        Seconds a step.
    level : float or None
        Level of the intervals; None without.
    target_transform : dict or None
        What the target was put through before the regressions, and the errors that say why; None where not known.
    """

    overall: Slice
    slices: tuple[Slice, ...]
    computed_on: str
    seconds: dict[str, float] = field(default_factory=dict)
    level: float | None = None
    target_transform: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data, with the overall figures at the top level."""
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
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """Return what `to_dict` was called on."""
        values = dict(data)
        slices = tuple(Slice(**part) for part in values.pop("slices"))
        computed_on, level, seconds = values.pop("computed_on"), values.pop("level", None), values.pop("seconds")
        transform = values.pop("target_transform", None)
        return cls(Slice(by="all", level="all", **values), slices, computed_on, seconds, level, transform)

    def with_seconds(self, seconds: dict[str, float]) -> Evaluation:
        """Return the same evaluation with other timings."""
        return replace(self, seconds=dict(seconds))

    def with_transform(self, choice: dict[str, Any] | None) -> Evaluation:
        """Return the same evaluation with the target's transformation and its evidence."""
        return replace(self, target_transform=choice)
