"""Settings of a run, frozen and checked once."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from purchasecast.errors import SettingsError, did_you_mean

__all__ = [
    "TARGET_TRANSFORMS",
    "HoldoutBy",
    "InsightSettings",
    "ModelName",
    "MonitorSettings",
    "TargetTransform",
    "TrainSettings",
]

ModelName = Literal["linear", "boosted", "blend"]
HoldoutBy = Literal["auto", "random", "time"]
TargetTransform = Literal["auto", "none", "log1p", "sqrt"]
TARGET_TRANSFORMS: tuple[str, ...] = get_args(TargetTransform)


_BUDGET = re.compile(r"[1-9]\d*|[1-9]\d*(\.\d+)?min")
_LARGEST_SEED = 2**31 - 1  # what Spark, NumPy and XGBoost all take


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What `train` is asked to do.

    Parameters
    ----------
    model : {"linear", "boosted", "blend"}, default "linear"
        Name of the recipe.
    folds : int, default 5
        Folds for cross-fitting and for the grid search.
    holdout : float, default 0.2
        Share of rows that nothing sees before the evaluation; 0 skips the evaluation.
    holdout_by : {"auto", "random", "time"}, default "auto"
        See `purchasecast.training.split.holdout_split`.
    refit : bool, default True
        Whether the saved model is fitted again on all rows after the evaluation.
    seed : int, default 7
        Seed of the split, the folds and the latent factors.
    target_transform : {"auto", "none", "log1p", "sqrt"}, default "auto"
        What the target is put through before the regressions; by default what errs least in money on the folds.
    reg_param, elastic_net_param : tuple of float, default ()
        The grid; empty takes the default grid of `purchasecast.search.estimator`.
    tune : str, default ""
        Budget to tune the trees with: trials, such as ``20``, or minutes, such as ``15min``; by default none.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.

    Raises
    ------
    SettingsError
        If a setting is outside its range.
    """

    model: ModelName = "linear"
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

    def __post_init__(self) -> None:
        if self.model not in get_args(ModelName):
            raise SettingsError(f"model: expected one of {', '.join(get_args(ModelName))}, found {self.model}.")
        if self.target_transform not in TARGET_TRANSFORMS:
            raise SettingsError(
                f"target_transform: expected one of {', '.join(TARGET_TRANSFORMS)}, found {self.target_transform}."
            )
        if self.tune and (self.model == "linear" or not _BUDGET.fullmatch(self.tune)):
            raise SettingsError(
                f"tune: expected trials (20) or minutes (15min), and model boosted or blend, found {self.tune!r} for "
                f"{self.model}."
            )
        if self.folds < 2:
            raise SettingsError(f"folds: expected at least 2, found {self.folds}; take 5.")
        if not 0 <= self.holdout < 1:
            raise SettingsError(f"holdout: expected a share of at least 0 and below 1, found {self.holdout}; take 0.2.")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise SettingsError(
                f"seed: expected a whole number from 0 to {_LARGEST_SEED}, found {self.seed}; take another."
            )
        if not 0 <= self.max_reject_rate <= 1:
            raise SettingsError(f"max_reject_rate: expected a share from 0 to 1, found {self.max_reject_rate}.")

    @classmethod
    def of(cls, **values: Any) -> TrainSettings:
        """Return settings with these fields.

        Raises
        ------
        SettingsError
            If a name is not that of a field, or a value is outside its range.
        """
        known = [one.name for one in fields(cls)]
        for name in values:
            if name not in known:
                raise SettingsError(
                    f"train: expected settings among {', '.join(known)}, found {name}{did_you_mean(name, known)}."
                )
        return cls(**values)

    @property
    def tune_budget(self) -> tuple[int | None, float | None]:
        """Return the most trials and the most seconds of tuning; None where there is no limit of that kind."""
        if self.tune.endswith("min"):
            return None, 60.0 * float(self.tune.removesuffix("min"))
        return (int(self.tune) if self.tune else 0), None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainSettings:
        """Return what `to_dict` was called on."""
        values = dict(data)
        for name in ("reg_param", "elastic_net_param"):
            values[name] = tuple(float(value) for value in values.get(name, ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class InsightSettings:
    """What `find_insights` is asked to do.

    Parameters
    ----------
    level : float, default 0.9
        Level of all intervals.
    false_discovery_rate : float, default 0.1
        Largest share of false findings among those that rest on a test.
    by : tuple of (str, str), default ()
        Pairs of columns to add expected revenue up by; by default a category and a place, where the schema has them.
    offers : int, default 5
        Products, and categories, to offer a customer.
    cap : int, default 1000
        Most lines of a campaign's list.

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

    def __post_init__(self) -> None:
        for name in ("level", "false_discovery_rate"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name}: expected a share between 0 and 1, found {getattr(self, name)}.")
        for name, most in (("offers", 100), ("cap", 100_000)):
            if not 1 <= getattr(self, name) <= most:
                raise SettingsError(f"{name}: expected 1 to {most:,}, found {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """How much drift is too much.

    Parameters
    ----------
    threshold : float, default 0.2
        Largest population stability index of a column. Usual reading: up to 0.1 little, from 0.2 on a shift.
    max_unseen : float, default 0.2
        Largest share of rows whose customer, or product, training has not seen.
    max_error_growth : float, default 0.1
        By what share the error may exceed that of the holdout; for labelled rows.
    max_coverage_loss : float, default 0.03
        How far the coverage of the intervals may fall below their level; for labelled rows.

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
        for name in ("max_unseen", "max_coverage_loss"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise SettingsError(f"{name.replace('_', '-')}: expected a share from 0 to 1, found {value}.")
        if self.max_error_growth < 0:
            raise SettingsError(f"max_error_growth: expected a share of 0 or more, found {self.max_error_growth}.")
