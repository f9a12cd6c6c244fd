"""The sections that show the model: its stages, its search, its coefficients, and how well it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import money, named, number, percent
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Fold, Note, Section, Stage, Stages, Table, Tile, Tiles
from purchasecast.results.evaluation import PREDICTION_TENTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.report.report_data import ReportData
    from purchasecast.results import Evaluation, SearchResult, Slice
    from purchasecast.schema import Schema

__all__ = ["level_of", "method_section", "model_section", "quality_section", "simple_rule"]

_MOST_COEFFICIENTS = 20
_MOST_SLICES = 21
_BASELINES = {"mean": "the mean of all rows", "product_mean": "each product's mean"}


def simple_rule(part: Slice) -> tuple[str, float]:
    """Return the simple rule that errs least, in words, and its error."""
    rule, error = min(part.baseline_rmse.items(), key=lambda pair: pair[1])
    return _BASELINES.get(rule, rule), error


def model_section(data: ReportData) -> Section:
    """Show the pipeline, the grid search and the coefficients."""
    blocks: list[Any] = []
    stages = (data.model or {}).get("stages")
    if stages:
        blocks.append(Stages(tuple(Stage(stage["name"], stage["detail"]) for stage in stages)))
    else:
        blocks.append(Note("This model does not list its stages, so the pipeline is not drawn."))
    blocks += _search_blocks(data.search) if data.search else [Note("There was no grid search.")]
    choice = data.evaluation.target_transform if data.evaluation else None
    if choice and choice["rmse"]:
        blocks.append(Note(_transform_sentence(choice, data.schema.money)))
    coefficients = (data.model or {}).get("coefficients")
    if coefficients:
        blocks += _coefficient_blocks(coefficients, data.schema.money)
    else:
        blocks.append(Note("This model comes without coefficients, so none are shown."))
    lead = "How a prediction is made, and how its settings were chosen."
    return Section("model", "The model", lead, _notes_last(blocks))


def _transform_sentence(choice: Mapping[str, Any], unit: str | None) -> str:
    """Say what the target was put through, beside what else was tried."""
    ways = {"none": "as it is", "log1p": "as its logarithm", "sqrt": "as its square root"}
    tried = sorted(choice["rmse"].items(), key=lambda pair: pair[1])
    told = ", ".join(f"{money(error, unit)} {ways[name]}" for name, error in tried)
    return (
        f"The target is fitted {ways[choice['chosen']]}. A trial fit errs on folds it has not seen by {told}, "
        "each turned back into money without bias."
    )


def _notes_last(blocks: Sequence[Any]) -> tuple[Any, ...]:
    """Put sentences after pictures, so that these stand side by side."""
    return tuple(sorted(blocks, key=lambda block: block.kind == "note"))


def _search_blocks(search: SearchResult) -> list[Figure | Note]:
    best = search.best
    ratios = sorted({c.elastic_net_param for c in search.candidates})
    strengths = sorted({c.reg_param for c in search.candidates})
    by_place = {(c.reg_param, c.elastic_net_param): c for c in search.candidates}
    cells = [
        (number(ratio), f"{strength:g}", by_place[strength, ratio].average, _digits(by_place[strength, ratio].average))
        for strength in strengths
        for ratio in ratios
        if (strength, ratio) in by_place
    ]
    name = search.metric.upper()
    rows = tuple(
        (
            f"{c.reg_param:g}",
            f"{c.elastic_net_param:g}",
            f"{c.average:,.2f}",
            f"{c.standard_deviation:,.2f}",
            "" if c.nonzero is None else f"{c.nonzero:,.1f}",
        )
        for c in search.candidates
    )
    columns = ("regParam", "elasticNetParam", f"mean {name}", "standard deviation over folds", "coefficients not 0")
    figure = Figure(
        f"regParam {best.reg_param:g} with elasticNetParam {best.elastic_net_param:g} does best of "
        f"{len(search.candidates)}: {name} {best.average:,.1f}",
        charts.grid(
            cells,
            "elasticNetParam (0 ridge, 1 lasso)",
            "regParam",
            f"mean {name} over {search.folds} folds",
            reverse=not search.larger_is_better,
            marked=(number(best.elastic_net_param), f"{best.reg_param:g}"),
        ),
        Table(f"All {len(search.candidates)} candidates", columns, rows, names=2),
        note=f"Dark is better; the frame is the choice. {search.folds} folds of the training rows.",
    )
    return [figure]


def _digits(value: float) -> str:
    """Write a metric with a digit more than `number`: candidates differ little."""
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def _coefficient_blocks(coefficients: Sequence[Mapping[str, Any]], unit: str | None) -> list[Figure | Fold]:
    """Show the coefficients of indicators, which are money a purchase, largest first; and all in a table."""
    ordered = sorted(coefficients, key=lambda one: -abs(one["value"]))
    table = Table(
        "All coefficients",
        ("input", "coefficient", "95% interval"),
        tuple((one["name"], number(one["value"]), _interval_text(one)) for one in ordered),
    )
    all_in_money = [one for one in ordered if one.get("in_money", True)]
    in_money, has_effects = all_in_money[:_MOST_COEFFICIENTS], len(all_in_money) < len(ordered)
    if not in_money:
        return [Fold(f"All {len(ordered)} coefficients", (table,))]
    rows = [(one["name"], one["value"], one["low"], one["high"], "") for one in in_money]
    has_intervals = any(one["low"] is not None for one in in_money)
    note = f"The {len(rows)} largest of {len(ordered)} coefficients, each with all other inputs held fixed; no causes."
    if has_effects:
        note += " They stand beside the effects of customers and products, which take much of a large one back: read "
        note += "differences between customers off the findings, and not here."
    note += (
        " Lines are 95% intervals, given the penalty and as if errors were independent: too narrow where those of one "
        "customer or product go together."
        if has_intervals
        else " No intervals of them were kept."
    )
    axis = f"added to the prediction ({unit})" if unit else "added to the prediction"
    beside = ", beside the effects of products" if has_effects else ""
    title = f"{in_money[0]['name']} has the largest coefficient{beside}"
    return [Figure(title, charts.dots(rows, axis, sort=True, rule=0.0), table, note)]


def _interval_text(one: Mapping[str, Any]) -> str:
    return "" if one["low"] is None else f"{number(one['low'])} to {number(one['high'])}"


def quality_section(evaluation: Evaluation | None, schema: Schema) -> Section:
    """Show how good the predictions are, beside simple rules, in slices, and whether their intervals hold."""
    title, lead = "How good it is", "Errors on rows that the model has not seen."
    if evaluation is None:
        note = Note("No rows were held out, so there are no honest figures of this model's errors.", "warning")
        return Section("quality", title, lead, (note,))
    unit = schema.money
    blocks: list[Any] = [_quality_tiles(evaluation, unit), _baseline_figure(evaluation, unit)]
    blocks += _calibration_blocks(evaluation, unit)
    for by in dict.fromkeys(part.by for part in evaluation.slices if part.by != PREDICTION_TENTH):
        parts = [part for part in evaluation.slices if part.by == by]
        if len(parts) > 1 or by not in {"customer", "product"}:
            blocks.append(_slice_figure(by, parts, unit, schema))
        if by in schema.names and len(parts) > 1:
            blocks.append(_bias_figure(by, parts, unit, schema))
    blocks += _coverage_blocks(evaluation, unit, schema)
    return Section("quality", title, evaluation.computed_on, _notes_last(blocks))


def _quality_tiles(evaluation: Evaluation, unit: str | None) -> Tiles:
    whole = evaluation.overall
    tiles = [
        Tile("Rows measured", f"{whole.rows:,}"),
        Tile("RMSE", money(whole.rmse, unit), "large errors count more"),
        Tile("Mean absolute error", money(whole.mae, unit)),
        Tile("R2", "-" if whole.r2 is None else f"{whole.r2:.3f}", "1 is perfect, 0 is the mean"),
        Tile("Bias", money(whole.bias, unit), "prediction less truth, on average"),
    ]
    if whole.coverage is not None:
        inside = f"of truths inside their {level_of(evaluation)} interval"
        tiles.append(Tile("Interval coverage", percent(whole.coverage), inside))
    return Tiles(tuple(tiles))


def level_of(evaluation: Evaluation) -> str:
    """Return the level of the intervals, as people read it."""
    return f"{evaluation.level or 0.9:.0%}"


def _baseline_figure(evaluation: Evaluation, unit: str | None) -> Figure:
    whole = evaluation.overall
    errors = {"this model": whole.rmse} | {_BASELINES.get(k, k): v for k, v in whole.baseline_rmse.items()}
    rows = [(name, error, number(error)) for name, error in sorted(errors.items(), key=lambda pair: pair[1])]
    rule, error = simple_rule(whole)
    title = (
        f"The model errs {percent(1 - whole.rmse / error)} less than {rule}"
        if whole.rmse < error
        else f"The model does no better than {rule}"
    )
    return Figure(
        title,
        charts.bars(rows, f"RMSE ({unit})" if unit else "RMSE"),
        Table("RMSE on the held-out rows", ("prediction by", "RMSE"), tuple((name, text) for name, _, text in rows)),
    )


def _calibration_blocks(evaluation: Evaluation, unit: str | None) -> list[Figure | Note]:
    """Show mean truth against mean prediction by tenth of the predictions, where the evaluation has them."""
    tenths = [
        (part, float(prediction))
        for part in evaluation.slices
        if part.by == PREDICTION_TENTH and (prediction := getattr(part, "mean_prediction", None)) is not None
    ]
    if not tenths:
        return [Note("This evaluation holds no calibration by tenth of the predictions.")]
    worst = max((part for part, _ in tenths), key=lambda part: abs(part.bias))
    of = f" ({unit})" if unit else ""
    high = "high" if worst.bias > 0 else "low"
    return [
        Figure(
            f"Tenth by tenth, predictions are off by {money(abs(worst.bias), unit)} at most, too {high}",
            charts.points(
                [(mean, mean - part.bias, part.level) for part, mean in tenths],
                f"mean prediction{of}",
                f"mean truth{of}",
                diagonal=True,
            ),
            Table(
                "Calibration by tenth of the predictions",
                ("tenth", "rows", f"mean prediction{of}", f"mean truth{of}"),
                tuple((part.level, f"{part.rows:,}", number(m), number(m - part.bias)) for part, m in tenths),
            ),
            "One point a tenth of the rows, by prediction. On the dashed line prediction and truth agree.",
        )
    ]


def _name_of(by: str, schema: Schema) -> str:
    return schema.column(by).label if by in schema.names else by


def _slice_figure(by: str, parts: Sequence[Slice], unit: str | None, schema: Schema) -> Figure:
    shown = sorted(parts, key=lambda part: -part.rows)[:_MOST_SLICES]
    shown.sort(key=lambda part: -part.rmse)
    rows = [
        row
        for part in shown
        for row in (
            (part.level, part.rmse, "model"),
            (part.level, part.baseline_rmse["product_mean"], "product's mean"),
        )
    ]
    worse = [part for part in shown if part.rmse > part.baseline_rmse["product_mean"]]
    name = _name_of(by, schema)
    claim = (
        f"worse than the product's mean for {', '.join(p.level for p in worse[:3])}"
        if worse
        else "better than the product's mean in every slice"
    )
    table = Table(
        f"Errors by {name}",
        (name, "rows", "RMSE", "product's mean", "R2", "bias"),
        tuple(
            (
                part.level,
                f"{part.rows:,}",
                number(part.rmse),
                number(part.baseline_rmse["product_mean"]),
                "-" if part.r2 is None else f"{part.r2:.3f}",
                number(part.bias),
            )
            for part in parts
        ),
    )
    return Figure(
        f"By {name}: {claim}",
        charts.ranges(rows, f"RMSE ({unit})" if unit else "RMSE"),
        table,
        f"The {len(shown)} slices with most rows of {len(parts)}." if len(shown) < len(parts) else "",
    )


def _bias_figure(by: str, parts: Sequence[Slice], unit: str | None, schema: Schema) -> Figure:
    """Show mean residuals: where the model predicts too much and where too little."""
    shown = sorted(sorted(parts, key=lambda part: -part.rows)[:_MOST_SLICES], key=lambda part: -part.bias)
    worst = max(shown, key=lambda part: abs(part.bias))
    name = _name_of(by, schema)
    of = f" ({unit})" if unit else ""
    rows = [(part.level, part.bias, number(part.bias)) for part in shown]
    table = Table(
        f"Bias by {name}", (name, "rows", f"bias{of}"), tuple((p.level, f"{p.rows:,}", number(p.bias)) for p in shown)
    )
    side = "high" if worst.bias > 0 else "low"
    title = f"{named(name, worst.level)} is predicted {money(abs(worst.bias), unit)} too {side}, more than any other"
    return Figure(title, charts.bars(rows, f"prediction less truth, on average{of}"), table)


def _coverage_blocks(evaluation: Evaluation, unit: str | None, schema: Schema) -> list[Figure | Note]:
    parts = [part for part in evaluation.slices if part.coverage is not None and part.by != PREDICTION_TENTH]
    if evaluation.overall.coverage is None or not parts:
        return [Note("The model gives no intervals, so their coverage is not shown.")]
    shown = sorted(sorted(parts, key=lambda part: -part.rows)[:_MOST_SLICES], key=lambda part: part.coverage or 0.0)
    names = [_slice_name(part, schema) for part in shown]
    rows = [(name, part.coverage or 0.0, None, None, "") for name, part in zip(names, shown, strict=True)]
    lowest, highest = shown[0].coverage or 0.0, shown[-1].coverage or 0.0
    table = Table(
        f"Coverage of the {level_of(evaluation)} intervals",
        ("slice", "rows", "coverage", f"mean width ({unit})" if unit else "mean width"),
        tuple(
            (name, f"{part.rows:,}", percent(part.coverage or 0.0), number(part.mean_width or 0.0))
            for name, part in zip(names, shown, strict=True)
        ),
    )
    title = (
        f"{level_of(evaluation)} intervals hold {percent(lowest)} to {percent(highest)} of the truths, slice by slice"
    )
    rule = evaluation.level or 0.9
    note = f"Line: the {level_of(evaluation)} aimed at. Slices of few rows scatter more around it."
    return [Figure(title, charts.dots(rows, "share of truths inside", rule=rule, share=True), table, note)]


def _slice_name(part: Slice, schema: Schema) -> str:
    """Name a slice so that it stands for itself: ``seen product``, ``City category A``."""
    if part.by in schema.names:
        return named(_name_of(part.by, schema), part.level)
    if part.by == "categories":
        return f"{'smallest' if part.level == 'the smallest' else 'larger'} categories"
    return f"{part.level} {'customers' if part.by == 'customer activity' else part.by}"


def method_section(data: ReportData) -> Section:
    """Say how everything was computed: settings, versions, fingerprint and seconds."""
    manifest = data.manifest
    tables = [
        Table("Settings", ("setting", "value"), _pairs(manifest.get("settings", {}))),
        Table(
            "Versions",
            ("library", "version"),
            _pairs({"purchasecast": manifest.get("purchasecast", "unknown"), **manifest.get("libraries", {})}),
        ),
        Table("The data", ("fact", "value"), _pairs(manifest.get("data", {}))),
    ]
    for name, seconds in (("Profile", data.profile), ("Evaluation", data.evaluation), ("Findings", data.insights)):
        if seconds is not None and seconds.seconds:
            rows = tuple((step, f"{value:,.1f}") for step, value in seconds.seconds.items())
            tables.append(Table(f"{name}: seconds by step", ("step", "seconds"), rows))
    trained = manifest.get("trained_on", "all rows")
    lead = f"The saved model was fitted on {trained}. Settings, versions and the fingerprint of the rows, to repeat it."
    return Section("method", "How it was computed", lead, (Fold("Settings, versions and data", tuple(tables)),))


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    def text(value: Any) -> str:
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value)) or "(default)"
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

    return tuple((str(key), text(value)) for key, value in values.items())
