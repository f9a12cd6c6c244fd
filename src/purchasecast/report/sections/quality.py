"""The section on the errors of the predictions: baselines, calibration, slices, and coverage of the intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import money, named, number, percent, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Fold, Note, Section, Table, Tile, Tiles
from purchasecast.report.sections.offers import offer_figures
from purchasecast.results import PREDICTION_TENTH, largest_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.report.elements import Block
    from purchasecast.results import AmountEvaluation, Evaluation, Slice
    from purchasecast.schema import Schema

__all__ = ["best_baseline", "interval_level", "quality_section"]

_MAX_SLICES = 10  # in one chart; the others are in a folded table
_MAX_FOLDED = 200  # a column of thousands of levels would make the page large; evaluation.json has them all
#: Names of the baselines in a sentence.
_BASELINES = {"mean": "the overall mean", "product_mean": "the mean of each product"}
_DEFAULT_LEVEL = 0.9  # of evaluations that do not say it


def best_baseline(part: Slice) -> tuple[str, float]:
    """Return the baseline with the smallest error: its name in a sentence, and its RMSE."""
    name, error = min(part.baseline_rmse.items(), key=lambda pair: pair[1])
    return _BASELINES.get(name, name.replace("_", " ")), error


def interval_level(evaluation: Evaluation) -> str:
    """Return the level of the intervals as a percentage."""
    return f"{evaluation.level or _DEFAULT_LEVEL:.0%}"


def quality_section(evaluation: Evaluation | None, schema: Schema) -> Section:
    """Show how good the predictions are, with a warning where this is not known."""
    title = "How good the predictions are"
    if evaluation is None:
        note = Note("No rows were held out, so the errors of this model are not known.", "warning")
        return Section("quality", title, "Errors on rows that the model has not seen.", (note,))
    unit = schema.money
    blocks: list[Block] = [_tiles(evaluation, unit), _baseline_figure(evaluation, unit)]
    blocks.append(_calibration(evaluation, unit))
    folded: list[Table] = []
    for by in dict.fromkeys(part.by for part in evaluation.slices if part.by != PREDICTION_TENTH):
        parts = [part for part in evaluation.slices if part.by == by]
        shown, rest = largest_errors(parts, _MAX_SLICES)
        name = schema.column(by).label if by in schema.names else by
        # A lone slice is worth a chart only where it has nothing to be compared with, such as a category.
        if len(parts) > 1 or by not in {"customer", "product"}:
            blocks.append(_slice_figure(name, shown, len(parts), unit))
        if by in schema.names and len(parts) > 1:
            blocks.append(_bias_figure(name, shown, unit))
        if rest:
            folded.append(_slice_table(f"{name}: {_range_of(shown, rest)}", name, rest[:_MAX_FOLDED]))
    blocks.append(_coverage(evaluation, unit, schema))
    if evaluation.amounts is not None:
        blocks.append(_amounts(evaluation.amounts, evaluation.overall.mean_width))
    if evaluation.lists is not None:
        blocks += offer_figures(evaluation.lists, unit)
    if folded:
        blocks.append(Fold("Errors of the other slices", tuple(folded)))
    # Notes come last, so that the charts stand side by side.
    return Section("quality", title, evaluation.computed_on, tuple(sorted(blocks, key=lambda b: b.kind == "note")))


def _range_of(shown: Sequence[Slice], rest: Sequence[Slice]) -> str:
    whole, last = len(shown) + len(rest), len(shown) + min(len(rest), _MAX_FOLDED)
    return f"slices {len(shown) + 1} to {last} of {whole:,}, by squared error"


def _tiles(evaluation: Evaluation, unit: str | None) -> Tiles:
    whole = evaluation.overall
    tiles = [
        Tile("Rows measured", f"{whole.rows:,}"),
        Tile("RMSE", money(whole.rmse, unit), "weighs large errors more"),
        Tile("Mean absolute error", money(whole.mae, unit)),
        Tile("R2", "-" if whole.r2 is None else f"{whole.r2:.3f}", "1 is perfect, 0 is as good as the mean"),
        Tile("Bias", money(whole.bias, unit), "mean of prediction minus actual"),
    ]
    if whole.coverage is not None:
        note = f"of actual amounts inside their {interval_level(evaluation)} interval"
        tiles.append(Tile("Interval coverage", percent(whole.coverage), note))
    return Tiles(tuple(tiles))


def _baseline_figure(evaluation: Evaluation, unit: str | None) -> Figure:
    whole = evaluation.overall
    baselines = {"overall mean" if name == "mean" else name: error for name, error in whole.baseline_rmse.items()}
    errors = {"this model": whole.rmse} | {name.replace("_", " "): error for name, error in baselines.items()}
    rows = [(name, error, number(error)) for name, error in sorted(errors.items(), key=lambda pair: pair[1])]
    baseline, error = best_baseline(whole)
    title = (
        f"The error of the model is {percent(1 - whole.rmse / error)} smaller than that of {baseline}"
        if whole.rmse < error
        else f"The model is no better than {baseline}"
    )
    table = Table("RMSE on the holdout", ("prediction", "RMSE"), tuple((name, text) for name, _, text in rows))
    return Figure(title, charts.bars(rows, with_unit("RMSE", unit)), table)


def _calibration(evaluation: Evaluation, unit: str | None) -> Figure | Note:
    """Compare the mean prediction with the mean actual amount in each tenth of the predictions."""
    # The mean of the actual amounts is the mean prediction minus the bias.
    tenths = [
        (part, part.mean_prediction, part.mean_prediction - part.bias)
        for part in evaluation.slices
        if part.by == PREDICTION_TENTH and part.mean_prediction is not None
    ]
    if not tenths:
        return Note("This evaluation has no calibration by tenth of the predictions.")
    worst = max((part for part, *_ in tenths), key=lambda part: abs(part.bias))
    across, up = with_unit("mean prediction", unit), with_unit("mean actual amount", unit)
    rows = tuple((part.level, f"{part.rows:,}", number(mean), number(actual)) for part, mean, actual in tenths)
    side = "high" if worst.bias > 0 else "low"
    return Figure(
        f"In every tenth of the predictions, the mean is off by at most {money(abs(worst.bias), unit)} (too {side})",
        charts.points([(mean, actual, part.level) for part, mean, actual in tenths], across, up, diagonal=True),
        Table("Calibration by tenth of the predictions", ("tenth", "rows", across, up), rows),
        "One point per tenth of the rows, ordered by prediction. On the dashed line both means are equal.",
    )


def _slice_figure(name: str, shown: Sequence[Slice], count: int, unit: str | None) -> Figure:
    """Compare the errors of the model with those of the product mean, slice by slice."""
    by_error = sorted(shown, key=lambda part: -part.rmse)
    pairs = [(part, part.baseline_rmse["product_mean"]) for part in by_error]
    rows = [
        row for part, mean in pairs for row in ((part.level, part.rmse, "model"), (part.level, mean, "product mean"))
    ]
    worse = [part.level for part, mean in pairs if part.rmse > mean]
    everywhere = "in every slice shown" if len(shown) < count else "in every slice"
    size, where = ("larger", f"for {', '.join(worse[:3])}") if worse else ("smaller", everywhere)
    title = f"Error by {name}: {size} than that of the product mean {where}"
    note = (
        f"The {len(shown)} slices with the largest sum of squared errors, of {count:,}." if len(shown) < count else ""
    )
    svg = charts.ranges(rows, with_unit("RMSE", unit))
    return Figure(title, svg, _slice_table(f"Error by {name}", name, shown), note)


def _slice_table(caption: str, name: str, parts: Sequence[Slice]) -> Table:
    columns = (name, "rows", "RMSE", "RMSE of product mean", "R2", "bias")
    rows = tuple(
        (
            part.level,
            f"{part.rows:,}",
            number(part.rmse),
            number(part.baseline_rmse["product_mean"]),
            "-" if part.r2 is None else f"{part.r2:.3f}",
            number(part.bias),
        )
        for part in parts
    )
    return Table(caption, columns, rows)


def _bias_figure(name: str, shown: Sequence[Slice], unit: str | None) -> Figure:
    """Show where predictions are too high or too low on average."""
    by_bias = sorted(shown, key=lambda part: -part.bias)
    worst = max(shown, key=lambda part: abs(part.bias))
    side = "high" if worst.bias > 0 else "low"
    table = Table(
        f"Bias by {name}",
        (name, "rows", with_unit("bias", unit)),
        tuple((part.level, f"{part.rows:,}", number(part.bias)) for part in by_bias),
    )
    rows = [(part.level, part.bias, number(part.bias)) for part in by_bias]
    title = f"Largest bias: {named(name, worst.level)} is predicted {money(abs(worst.bias), unit)} too {side}"
    return Figure(title, charts.bars(rows, with_unit("mean of prediction minus actual", unit)), table)


def _coverage(evaluation: Evaluation, unit: str | None, schema: Schema) -> Figure | Note:
    """Show the share of actual amounts inside their intervals, for the slices that lie furthest from the level."""
    aim, level = evaluation.level or _DEFAULT_LEVEL, interval_level(evaluation)
    known = [
        (_slice_name(part, schema), part, part.coverage)
        for part in evaluation.slices
        if part.coverage is not None and part.by != PREDICTION_TENTH
    ]
    if evaluation.overall.coverage is None or not known:
        return Note("The model gives no intervals, so there is no coverage to show.")
    # By the number of rows that are inside and should not be, or the reverse: small slices deviate by chance.
    known.sort(key=lambda one: -abs(one[2] - aim) * one[1].rows)
    shown = sorted(known[:_MAX_SLICES], key=lambda one: one[2])
    table = Table(
        f"Coverage of the {level} intervals",
        ("slice", "rows", "coverage", with_unit("mean width", unit)),
        tuple((name, f"{p.rows:,}", percent(share), number(p.mean_width or 0.0)) for name, p, share in shown),
    )
    svg = charts.dots(
        [(name, share, None, None, "") for name, _, share in shown],
        "share of actual amounts inside",
        rule=aim,
        share=True,
    )
    which = (
        f"The {len(shown)} of {len(known):,} slices with the most rows too many or too few inside. "
        if len(shown) < len(known)
        else ""
    )
    note = f"{which}The line marks {level}. Slices with few rows vary more."
    title = f"The {level} intervals contain {percent(shown[0][2])} to {percent(shown[-1][2])} of the actual amounts"
    return Figure(f"{title}, depending on the slice", svg, table, note)


def _amounts(amounts: AmountEvaluation, width: float | None) -> Figure:
    """Show how often steps came that had a probability, and say how good the sets of steps are."""
    bins = [(one.expected / one.pairs, one.actual / one.pairs, one.pairs) for one in amounts.reliability]
    rows = tuple((f"{pairs:,}", percent(chance), percent(share)) for chance, share, pairs in bins)
    saved = f", while the intervals are {money(width, amounts.money)} wide" if width else ""
    note = (
        f"Amounts stand on steps. One point per tenth of the probability, over {amounts.rows:,} rows. The sets have "
        f"{amounts.mean_steps:.1f} steps and a total length of {money(amounts.mean_length, amounts.money)} on "
        f"average{saved}."
    )
    return Figure(
        f"The {amounts.level:.0%} sets of amounts contain {percent(amounts.coverage)} of the actual amounts",
        charts.points(
            [(chance, share, "") for chance, share, _ in bins],
            "probability of a step",
            "share of these steps that came",
            diagonal=True,
        ),
        Table("Steps by tenth of their probability", ("pairs of row and step", "probability", "came"), rows),
        note,
    )


def _slice_name(part: Slice, schema: Schema) -> str:
    """Name a slice: ``seen product``, ``City category A``."""
    if part.by in schema.names:
        return named(schema.column(part.by).label, part.level)
    if part.by == "categories":
        return f"{'smallest' if part.level == 'the smallest' else 'larger'} categories"
    return f"{part.level} {'customers' if part.by == 'customer activity' else part.by}"
