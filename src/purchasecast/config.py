"""Settings of a run: frozen, and checked when they are made."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from purchasecast.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "TARGET_TRANSFORMS",
    "HoldoutBy",
    "InsightSettings",
    "ModelName",
    "MonitorSettings",
    "PlanSettings",
    "TargetTransform",
    "TrainSettings",
]

ModelName = Literal["linear", "boosted", "blend", "auto"]
HoldoutBy = Literal["auto", "random", "time"]
TargetTransform = Literal["auto", "none", "log1p", "sqrt"]
BudgetUnit = Literal["contacts", "money"]
TARGET_TRANSFORMS: tuple[str, ...] = get_args(TargetTransform)

# Text and not a number, because the unit decides what is counted.
_BUDGET = re.compile(r"[1-9]\d*|[1-9]\d*(\.\d+)?min")
_MAX_SEED = 2**31 - 1  # the largest that Spark, NumPy and XGBoost all take
_MAX_CONTROL_SHARE = 0.9
_SERVICE_LEVEL = 0.95  # of orders
_MAX_OFFERS, _MAX_CAP = 100, 100_000  # lists that people still read, and that fit on the driver


@dataclass(frozen=True, slots=True)
class _Settings:
    """Base of the settings."""

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build settings from values by name.

        Parameters
        ----------
        **values
            Settings.

        Returns
        -------
        Settings
            The settings.

        Raises
        ------
        SettingsError
            If a name is not that of a field, or a value is outside its range.
        """
        for name in values:
            _check_choice(cls.__name__, name, [field.name for field in fields(cls)])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as values for JSON.

        Returns
        -------
        dict
            Settings by name.
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class TrainSettings(_Settings):
    """Settings of `purchasecast.train`.

    Parameters
    ----------
    model : {"linear", "boosted", "blend", "auto"}, default "linear"
        Name of the recipe; ``auto`` takes the cheapest whose error on the folds is within half a percent, or within
        noise, of the best.
    minutes : float, default 10.0
        Time that a training with ``auto`` should take at most: it leaves out the trees where they would take longer.
    folds : int, default 5
        Number of folds of cross-fitting and of the grid search, at least 2.
    holdout : float, default 0.2
        Share of rows that are held out for the evaluation, in [0, 1); 0 skips the evaluation.
    holdout_by : {"auto", "random", "time"}, default "auto"
        Whether the latest rows are held out or random ones; ``auto`` takes the latest if the schema has a time column.
    refit : bool, default True
        Whether the saved model is fitted again on all rows after the evaluation.
    seed : int, default 7
        Seed of the split, the folds and the latent factors.
    target_transform : {"auto", "none", "log1p", "sqrt"}, default "auto"
        Transformation of the target before the regressions; ``auto`` takes the one with the smallest error in money
        on the folds.
    reg_param, elastic_net_param : tuple of float, default ()
        Grid of the search; the default grid if empty.
    tune : str, default ""
        Budget for tuning the trees: a number of trials, such as ``20``, or minutes, such as ``15min``; not tuned if
        empty.
    max_reject_rate : float, default 0.01
        Largest share of rejected rows to continue with, in [0, 1].
    max_task_rows : int, default 5,000,000
        Rows up to which a fit is solved inside one task, which takes up to 600 bytes a row; above it the same fit is
        solved by many tasks.
    offers : bool, default True
        Whether to learn who buys what, for lists of offers; needs a customer and a product column.

    Raises
    ------
    SettingsError
        If a setting is outside its range.
    """

    model: ModelName = "linear"
    minutes: float = 10.0
    folds: int = 5
    holdout: float = 0.2
    holdout_by: HoldoutBy = "auto"
    refit: bool = True
    seed: int = 7
    target_transform: TargetTransform = "auto"
    reg_param: tuple[float, ...] = ()
    elastic_net_param: tuple[float, ...] = ()
    tune: str = ""
    max_reject_rate: float = 0.01
    max_task_rows: int = 5_000_000
    offers: bool = True

    def __post_init__(self) -> None:
        _check_choice("model", self.model, get_args(ModelName))
        _check_choice("holdout_by", self.holdout_by, get_args(HoldoutBy))
        _check_choice("target_transform", self.target_transform, TARGET_TRANSFORMS)
        if not self.minutes > 0:
            raise SettingsError(f"minutes: expected a number above 0, found {self.minutes}; take 10.")
        if self.tune and (self.model == "linear" or not _BUDGET.fullmatch(self.tune)):
            raise SettingsError(
                f"tune: expected trials (20) or minutes (15min), and model boosted, blend or auto, found {self.tune!r} "
                f"for {self.model}; leave out tune=, or take another model=."
            )
        if self.folds < 2:
            raise SettingsError(f"folds: expected at least 2, found {self.folds}; take 5.")
        if not 0 <= self.holdout < 1:
            raise SettingsError(f"holdout: expected a share of at least 0 and below 1, found {self.holdout}; take 0.2.")
        if not 0 <= self.seed <= _MAX_SEED:
            raise SettingsError(
                f"seed: expected a whole number from 0 to {_MAX_SEED}, found {self.seed}; take another."
            )
        if self.max_task_rows < 1:
            raise SettingsError(f"max_task_rows: expected at least 1, found {self.max_task_rows}; take 5,000,000.")
        _check_share("max_reject_rate", self.max_reject_rate)

    @property
    def tune_budget(self) -> tuple[int | None, float | None]:
        """Largest number of trials and of seconds for tuning; None for no limit of that kind."""
        if self.tune.endswith("min"):
            return None, 60.0 * float(self.tune.removesuffix("min"))
        return (int(self.tune) if self.tune else 0), None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainSettings:
        """Build settings from the result of `to_dict`.

        Parameters
        ----------
        data : dict
            Settings by name.

        Returns
        -------
        TrainSettings
            The settings.
        """
        values = dict(data)
        for name in ("reg_param", "elastic_net_param"):
            values[name] = tuple(float(value) for value in values.get(name, ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class InsightSettings(_Settings):
    """Settings of `purchasecast.insights.find_insights`.

    Parameters
    ----------
    level : float, default 0.9
        Level of all intervals, in (0, 1).
    false_discovery_rate : float, default 0.1
        Largest expected share of false findings among those that rest on a test, in (0, 1).
    by : tuple of (str, str), default ()
        Pairs of columns to sum expected revenue by; by default a category and a place, if the schema has them.
    offers : int, default 5
        Number of products, and of categories, to offer to a customer.
    cap : int, default 1000
        Largest number of lines in the list of a campaign.
    response : float, default 0.05
        Share of a customer's shortfall that contacting the customer is assumed to close, 0 to 1. The data cannot tell
        it; replace it by the result of a first test.
    service_level : float, optional
        Probability with which the order of a product is to be enough, in (0, 1); by default that of `margin`, or 0.95.
    margin : float, optional
        Share of the price that a sold unit earns, in (0, 1): with `leftover_loss`, it says how far to go for a sale.
    leftover_loss : float, default 1
        Share of its cost that a unit loses which is not sold in the period, in (0, 1].
    repeat : bool, optional
        Whether offers are products that the customer has bought before (True), or new ones (False); by default both,
        as far as products are bought again at all.
    purchases : float, optional
        Number of purchases in the period to come, of all customers; by default as many as were hidden in training.

    Raises
    ------
    SettingsError
        If a setting is outside its range.
    """

    level: float = 0.9
    false_discovery_rate: float = 0.1
    by: tuple[tuple[str, str], ...] = ()
    offers: int = 5
    cap: int = 1000
    response: float = 0.05
    service_level: float | None = None
    margin: float | None = None
    leftover_loss: float = 1.0
    repeat: bool | None = None
    purchases: float | None = None

    def __post_init__(self) -> None:
        _check_share("response", self.response)
        for name in ("level", "false_discovery_rate", "service_level", "margin"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise SettingsError(f"{name}: expected a share between 0 and 1, found {value}; take 0.1 or 0.9.")
        if not 0 < self.leftover_loss <= 1:
            raise SettingsError(
                f"leftover_loss: expected a share above 0 and up to 1, found {self.leftover_loss}; take 1."
            )
        for name, largest in (("offers", _MAX_OFFERS), ("cap", _MAX_CAP)):
            if not 1 <= getattr(self, name) <= largest:
                raise SettingsError(
                    f"{name}: expected 1 to {largest:,}, found {getattr(self, name)}; take a number between."
                )
        if self.purchases is not None and not self.purchases > 0:
            raise SettingsError(f"purchases: expected a number above 0, found {self.purchases}; leave it out.")

    @property
    def service(self) -> float:
        """Probability with which an order is to be enough.

        Where a margin is given and no level, it is that of the newsvendor: a unit too few loses its margin, a unit too
        many a share of its cost.
        """
        if self.service_level is not None:
            return self.service_level
        if self.margin is None:
            return _SERVICE_LEVEL
        return self.margin / (self.margin + (1 - self.margin) * self.leftover_loss)


@dataclass(frozen=True, slots=True)
class MonitorSettings(_Settings):
    """Limits of `purchasecast.monitor`.

    Parameters
    ----------
    threshold : float, default 0.2
        Largest population stability index of a column, above 0. By convention, up to 0.1 is little and 0.2 is a shift.
    max_unseen : float, default 0.2
        Largest share of rows with a customer, or a product, that was not in the training data.
    max_error_growth : float, default 0.1
        Share by which the error may exceed that of the holdout, for labelled rows.
    max_coverage_loss : float, default 0.03
        How far the coverage of the intervals may be below their level, for labelled rows.

    Raises
    ------
    SettingsError
        If a setting is outside its range.
    """

    threshold: float = 0.2
    max_unseen: float = 0.2
    max_error_growth: float = 0.1
    max_coverage_loss: float = 0.03

    def __post_init__(self) -> None:
        if self.threshold <= 0:
            raise SettingsError(f"threshold: expected a number above 0, found {self.threshold}; take 0.2.")
        _check_share("max_unseen", self.max_unseen)
        _check_share("max_coverage_loss", self.max_coverage_loss)
        if self.max_error_growth < 0:
            raise SettingsError(
                f"max_error_growth: expected a share of 0 or more, found {self.max_error_growth}; take 0.1."
            )


@dataclass(frozen=True, slots=True)
class PlanSettings(_Settings):
    """Settings of `purchasecast.plan`.

    Parameters
    ----------
    budget : float, optional
        Largest number of contacts, or largest cost of all contacts; by default all contacts that pay are planned.
    budget_in : {"contacts", "money"}, default "contacts"
        What `budget` counts. A contact is one product that one customer is offered.
    cost : float, default 0
        Cost of a contact, in money.
    margin : float, default 1
        Share of an amount that remains as profit, in (0, 1], for offers without a margin of their own.
    max_per_customer : int, default 5
        Largest number of products that a customer is offered.
    max_per_product : int, optional
        Largest number of customers whom a product is offered to.
    control_share : float, default 0.1
        Share of the planned customers who are drawn at random and not contacted, in [0, 0.9].
    control_size : int, optional
        Number of customers in the control group, instead of a share.
    expected_lift : float, default 0.1
        Share by which a contact is expected to raise the revenue of the offered products: the control group is
        judged by whether it would show such a lift.
    level : float, default 0.9
        Level of all intervals, in (0, 1).
    segments : tuple of str, default ()
        Columns of the offers by which `purchasecast.measure` compares customers; constant for each customer.
    seed : int, default 7
        Seed of the control group.

    Raises
    ------
    SettingsError
        If a setting is outside its range.
    """

    budget: float | None = None
    budget_in: BudgetUnit = "contacts"
    cost: float = 0.0
    margin: float = 1.0
    max_per_customer: int = 5
    max_per_product: int | None = None
    control_share: float = 0.1
    control_size: int | None = None
    expected_lift: float = 0.1
    level: float = 0.9
    segments: tuple[str, ...] = ()
    seed: int = 7

    def __post_init__(self) -> None:
        _check_choice("budget_in", self.budget_in, get_args(BudgetUnit))
        for name, low, high in (
            ("budget", 0, math.inf),
            ("cost", 0, math.inf),
            ("max_per_customer", 1, math.inf),
            ("max_per_product", 1, math.inf),
            ("control_share", 0, _MAX_CONTROL_SHARE),
            ("control_size", 0, math.inf),
            ("seed", 0, _MAX_SEED),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                upper = "" if high == math.inf else f" to {high}"
                raise SettingsError(
                    f"{name}: expected a number from {low}{upper or ' on'}, found {value}; take another."
                )
        for name in ("margin", "expected_lift", "level"):
            value = getattr(self, name)
            if not 0 < value <= 1 or (name == "level" and value == 1):
                raise SettingsError(f"{name}: expected a share above 0 and up to 1, found {value}; take another.")
        if self.budget_in == "money" and not self.cost:
            raise SettingsError(
                "cost: expected the cost of a contact, because the budget is in money, found 0; set it."
            )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        hint = did_you_mean(str(value), choices) or f"; take {choices[0]}."
        raise SettingsError(f"{name}: expected one of {', '.join(choices)}, found {value}{hint}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise SettingsError(f"{name}: expected a share from 0 to 1, found {value}; take for example 0.05.")
