"""The top of the page: what happened, how good the predictions are, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import compact, counted, money, percent
from purchasecast.report.elements import Action, Summary, Tile
from purchasecast.report.sections.findings import gain_of, theme_of
from purchasecast.report.sections.profile import explained_shares, plural_name
from purchasecast.report.sections.quality import best_baseline, interval_level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.results import Evaluation, Finding, Insights, Profile

__all__ = [
    "business_tiles",
    "profile_summary",
    "quality_summary",
    "quality_tiles",
    "top_actions",
    "warning_summary",
]

_MAX_ACTIONS = 3
_WEAK = 0.005  # a column that explains less of the differences than this hardly helps on its own
_EXACT = 0.001  # a difference between totals below this is not worth a number


def business_tiles(profile: Profile) -> tuple[Tile, ...]:
    """Return the total, and the shares of the top customers and products."""
    target, unit = profile.target, profile.money
    mean, median = money(target.numbers.mean, unit), compact(target.numbers.quantiles["0.5"])
    tiles = [Tile(f"Total {target.label}", money(target.total, unit), f"mean {mean} per purchase, median {median}")]
    for one in profile.concentrations:
        if one.role is not None:
            name = plural_name(one)
            tiles.append(Tile(f"Top fifth of {name}", percent(one.top_fifth), f"of the total; {one.levels:,} {name}"))
    return tuple(tiles)


def quality_tiles(evaluation: Evaluation, unit: str | None) -> tuple[Tile, ...]:
    """Return the error of the model and the coverage of its intervals."""
    whole = evaluation.overall
    baseline, error = best_baseline(whole)
    change = whole.rmse / error - 1 if error else 0.0
    note = f"{percent(abs(change))} {'above' if change >= 0 else 'below'} {baseline}"
    tiles = [Tile("Typical error (RMSE)", money(whole.rmse, unit), note)]
    if whole.coverage is not None:
        note = f"of new rows; the intervals aim at {interval_level(evaluation)}"
        tiles.append(Tile("Inside the interval", percent(whole.coverage), note))
    return tuple(tiles)


def profile_summary(profile: Profile) -> Summary:
    """Say what the table contains and which columns are related to the target."""
    levels = {one.role: one.levels for one in profile.concentrations if one.role}
    rows, total = counted(profile.rows, "purchase"), money(profile.target.total, profile.money)
    customers = f"{counted(levels['customer'], 'customer')} made " if "customer" in levels else ""
    products = f" of {counted(levels['product'], 'product')}" if "product" in levels else ""
    sentences = [f"{customers}{rows}{products}, worth {total} in total."]
    strongest = max(explained_shares(profile), key=lambda pair: pair[1], default=None)
    if strongest is not None:
        label, (name, share) = profile.target.label, strongest
        weak = [one.label for one in profile.features if one.explained < _WEAK]
        rest = f" {_list(weak)} explain{'s' if len(weak) == 1 else ''} less than {percent(_WEAK)}" if weak else ""
        each = " each." if len(weak) > 1 else "." if weak else ""
        sentences.append(f"{name} alone explains {percent(share)} of the differences in {label}.{rest}{each}")
    return Summary("What happened", tuple(sentences))


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def quality_summary(evaluation: Evaluation | None, unit: str | None) -> Summary:
    """Say how reliable the predictions are."""
    title = "How good the predictions are"
    if evaluation is None:
        return Summary(
            title, ("Not known, because no rows were held out. Train with a holdout before relying on them.",)
        )
    whole = evaluation.overall
    # The mean of the actual amounts is the mean prediction minus the bias.
    actual = None if whole.mean_prediction is None else whole.mean_prediction - whole.bias
    share = f", which is {percent(whole.mae / actual)} of the mean purchase" if actual and actual > 0 else ""
    baseline, error = best_baseline(whole)
    off = f"predictions are off by {money(whole.mae, unit)} on average{share}"
    sentences = [
        f"On {whole.rows:,} purchases that the model had not seen, {off}.",
        f"The typical error (RMSE) is {percent(1 - whole.rmse / error)} smaller than that of {baseline}."
        if whole.rmse < error
        else f"The typical error (RMSE) is no smaller than that of {baseline}.",
    ]
    if actual and actual > 0:
        bias = abs(whole.bias) / actual
        difference = f"{percent(bias)} too {'high' if whole.bias > 0 else 'low'}"
        sentences.append(f"In total, predictions are {difference if bias >= _EXACT else 'right to within 0.1%'}.")
    if whole.coverage is not None and whole.mean_width is not None:
        sentences.append(
            f"The {interval_level(evaluation)} intervals contain {percent(whole.coverage)} of the actual amounts; they "
            f"are {money(whole.mean_width, unit)} wide on average."
        )
    return Summary(title, tuple(sentences))


def warning_summary(profile: Profile) -> tuple[Summary, ...]:
    """Return the first warning and where the others are; nothing where there is no warning."""
    if not profile.warnings:
        return ()
    more = len(profile.warnings) - 1
    rest = f" See {counted(more, 'more warning')} under “The data”." if more else ""
    return (Summary("Warning", (profile.warnings[0].sentence + rest,)),)


def top_actions(insights: Insights | None) -> tuple[Action, ...]:
    """Return the best decision of each theme, at most three; those that were checked on hidden purchases come first."""
    if insights is None:
        return ()
    # Findings are ranked, so the first one of each theme is its best.
    best: dict[str, Finding] = {}
    for finding in insights.findings:
        if finding.is_decision and finding.money:
            best.setdefault(theme_of(finding.kind), finding)
    chosen = sorted(best.values(), key=lambda finding: not finding.checked)[:_MAX_ACTIONS]
    return tuple(
        Action(f"{one.who}, {one.when}: {one.action}", gain_of(one, insights), one.stake, one.checked, one.id)
        for one in chosen
    )
