"""The sections on the model: its steps, the grid search, the coefficients, and how everything was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import money, number, span, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Fold, Note, Section, Stages, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.report.elements import Block
    from purchasecast.report.model_description import Coefficient
    from purchasecast.report.report_data import ReportData
    from purchasecast.results import SearchResult

__all__ = ["method_section", "model_section"]

_MAX_COEFFICIENTS = 20
_TRANSFORMATIONS = {"none": "as it is", "log1p": "as its logarithm", "sqrt": "as its square root"}


def model_section(data: ReportData) -> Section:
    """Show the steps of the model, the grid search and the coefficients."""
    blocks: list[Block] = []
    notes: list[Note] = []
    if data.model and data.model.stages:
        blocks.append(Stages(data.model.stages))
    else:
        notes.append(Note("This model does not list its steps."))
    if data.search:
        blocks.append(_search_figure(data.search))
    else:
        notes.append(Note("There was no grid search."))
    choice = data.evaluation.target_transform if data.evaluation else None
    if choice and choice["rmse"]:
        notes.append(Note(_transformation_sentence(choice, data.schema.money)))
    if data.model and data.model.coefficients:
        blocks.append(_coefficient_block(data.model.coefficients, data.schema.money))
    else:
        notes.append(Note("This model has no coefficients to show."))
    lead = "How a prediction is made, and how the settings were chosen."
    # Notes come last, so that the charts stand side by side.
    return Section("model", "The model", lead, (*blocks, *notes))


def _transformation_sentence(choice: Mapping[str, Any], unit: str | None) -> str:
    """Say how the target was transformed, and the errors of the alternatives."""
    tried = sorted(choice["rmse"].items(), key=lambda pair: pair[1])
    errors = ", ".join(f"{money(error, unit)} {_TRANSFORMATIONS[name]}" for name, error in tried)
    return (
        f"The target is modelled {_TRANSFORMATIONS[choice['chosen']]}. Error (RMSE) of a trial model on held-out "
        f"folds, transformed back to money: {errors}."
    )


def _search_figure(search: SearchResult) -> Figure:
    """Show the metric of every candidate of the grid."""
    best, name = search.best, search.metric.upper()
    ordered = sorted(search.candidates, key=lambda c: (c.reg_param, c.elastic_net_param))
    cells = [(number(c.elastic_net_param), f"{c.reg_param:g}", c.average, _metric(c.average)) for c in ordered]
    rows = tuple(
        (
            f"{c.reg_param:g}",
            f"{c.elastic_net_param:g}",
            _metric(c.average),
            number(c.standard_deviation),
            "" if c.nonzero is None else f"{c.nonzero:,.1f}",
        )
        for c in search.candidates
    )
    columns = ("regParam", "elasticNetParam", f"mean {name}", "standard deviation over folds", "coefficients not 0")
    count = len(search.candidates)
    return Figure(
        f"Best of {count} candidates: regParam {best.reg_param:g} and elasticNetParam {best.elastic_net_param:g}, "
        f"with {name} {_metric(best.average)}",
        charts.grid(
            cells,
            "elasticNetParam (0 ridge, 1 lasso)",
            "regParam",
            f"mean {name} over {search.folds} folds",
            reverse=not search.larger_is_better,
            marked=(number(best.elastic_net_param), f"{best.reg_param:g}"),
        ),
        Table(f"All {count} candidates", columns, rows, names=2),
        note=f"Dark is better; the frame marks the choice. {search.folds} folds of the training rows.",
    )


def _metric(value: float) -> str:
    """Write a metric with one digit more than `number`, because candidates differ little."""
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def _coefficient_block(coefficients: Sequence[Coefficient], unit: str | None) -> Figure | Fold:
    """Show the largest coefficients that are amounts of money, and all of them as a table."""
    ordered = sorted(coefficients, key=lambda one: -abs(one.value))
    table = Table(
        "All coefficients",
        ("input", "coefficient", "95% interval"),
        tuple((one.name, number(one.value), span(one.low, one.high)) for one in ordered),
    )
    in_money = [one for one in ordered if one.in_money]
    shown, has_effects = in_money[:_MAX_COEFFICIENTS], len(in_money) < len(ordered)
    if not shown:
        return Fold(f"All {len(ordered)} coefficients", (table,))
    note = (
        f"The {len(shown)} largest of {len(ordered)} coefficients, each with all other inputs held fixed. They are "
        "associations, not causes."
    )
    if has_effects:
        note += (
            " The model also has effects of customers and products, which offset a part of large coefficients. To "
            "compare customers, use the findings."
        )
    if any(one.low is not None for one in shown):
        note += (
            " Lines are 95% intervals for the given penalty. They assume independent errors, and are too narrow where "
            "errors of one customer or product are correlated."
        )
    else:
        note += " No intervals are available."
    rows = [(one.name, one.value, one.low, one.high, "") for one in shown]
    beside = ", in addition to the effects of products" if has_effects else ""
    svg = charts.dots(rows, with_unit("added to the prediction", unit), sort=True, rule=0.0)
    return Figure(f"{shown[0].name} has the largest coefficient{beside}", svg, table, note)


def method_section(data: ReportData) -> Section:
    """Show settings, versions, data fingerprint and timings."""
    manifest = data.manifest
    versions = {"purchasecast": manifest.get("purchasecast", "unknown"), **manifest.get("libraries", {})}
    tables = [
        Table("Settings", ("setting", "value"), _text_pairs(manifest.get("settings", {}))),
        Table("Versions", ("library", "version"), _text_pairs(versions)),
        Table("The data", ("property", "value"), _text_pairs(manifest.get("data", {}))),
    ]
    for name, result in (("Profile", data.profile), ("Evaluation", data.evaluation), ("Findings", data.insights)):
        if result is not None and result.seconds:
            rows = tuple((step, f"{value:,.1f}") for step, value in result.seconds.items())
            tables.append(Table(f"{name}: seconds per step", ("step", "seconds"), rows))
    trained = manifest.get("trained_on", "all rows")
    lead = f"The saved model was trained on {trained}. Use the settings, versions and fingerprint to repeat the run."
    return Section("method", "How it was computed", lead, (Fold("Settings, versions and data", tuple(tables)),))


def _text_pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    def text(value: Any) -> str:
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value)) or "(default)"
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

    return tuple((str(key), text(value)) for key, value in values.items())
