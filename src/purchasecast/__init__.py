"""Predict what each customer will spend on each product, on Spark, and say what to do about it.

Examples
--------
>>> import purchasecast as pc
>>> model = pc.train("train.csv", schema="black_friday")  # doctest: +SKIP
>>> model.evaluation  # doctest: +SKIP
>>> model.predict([{"User_ID": 1000001, "Product_ID": "P00069042"}])  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purchasecast import datasets, errors, search, stages
    from purchasecast.api import draft_schema, evaluate, measure, monitor, plan, profile, train, validate
    from purchasecast.config import InsightSettings, MonitorSettings, PlanSettings, TrainSettings
    from purchasecast.drafting import SchemaDraft
    from purchasecast.io import read_table, write_table
    from purchasecast.model import Model, load
    from purchasecast.planning import PlannedCampaign
    from purchasecast.results import DriftReport, Evaluation, Insights, Measurement, Plan, Profile, ValidationReport
    from purchasecast.schema import Schema, load_schema
    from purchasecast.spark import get_session

__version__ = "0.1.0"

__all__ = [
    "DriftReport",
    "Evaluation",
    "InsightSettings",
    "Insights",
    "Measurement",
    "Model",
    "MonitorSettings",
    "Plan",
    "PlanSettings",
    "PlannedCampaign",
    "Profile",
    "Schema",
    "SchemaDraft",
    "TrainSettings",
    "ValidationReport",
    "datasets",
    "draft_schema",
    "errors",
    "evaluate",
    "get_session",
    "load",
    "load_schema",
    "measure",
    "monitor",
    "plan",
    "profile",
    "read_table",
    "search",
    "stages",
    "train",
    "validate",
    "write_table",
]

# Where each name is defined. It is imported when it is first used, so that `import purchasecast` loads neither Spark
# nor NumPy.
_HOMES = {
    "purchasecast.api": ("draft_schema", "evaluate", "measure", "monitor", "plan", "profile", "train", "validate"),
    "purchasecast.config": ("InsightSettings", "MonitorSettings", "PlanSettings", "TrainSettings"),
    "purchasecast.drafting": ("SchemaDraft",),
    "purchasecast.io": ("read_table", "write_table"),
    "purchasecast.model": ("Model", "load"),
    "purchasecast.planning": ("PlannedCampaign",),
    "purchasecast.results": (
        "DriftReport",
        "Evaluation",
        "Insights",
        "Measurement",
        "Plan",
        "Profile",
        "ValidationReport",
    ),
    "purchasecast.schema": ("Schema", "load_schema"),
    "purchasecast.spark": ("get_session",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    if name in __all__:
        return import_module(f"purchasecast.{name}")
    raise AttributeError(f"module 'purchasecast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
