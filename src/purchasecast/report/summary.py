"""The first screen: what happened, how good the predictions are, and what to do, in plain words and with the money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import compact, counted, money, percent
from purchasecast.report.elements import Action, Brief, Tile
from purchasecast.report.sections.findings import theme_of
from purchasecast.report.sections.model import level_of, simple_rule
from purchasecast.report.sections.profile import explained, plural_name

if TYPE_CHECKING:
    from purchasecast.results import Evaluation, Insights, Profile

__all__ = ["headline_tiles", "profile_brief", "quality_brief", "quality_tiles", "top_actions", "warning_brief"]

_MOST_ACTIONS = 5
_LITTLE = 0.005  # of the differences: a column that accounts for less hardly helps by itself


def headline_tiles(profile: Profile) -> tuple[Tile, ...]:
    """Return the size of the business in three numbers at most."""
    target, unit = profile.target, profile.money
    mean, median = money(target.numbers.mean, unit), compact(target.numbers.quantiles["0.5"])
    tiles = [Tile(f"{target.label} in all", money(target.total, unit), f"{mean} a row, half of them below {median}")]
    for one in profile.concentrations:
        if one.role is not None:
            held = f"of the total; {one.levels:,} {plural_name(one)} in all"
            tiles.append(Tile(f"Top fifth of {plural_name(one)}", percent(one.top_fifth), held))
    return tuple(tiles)


def quality_tiles(evaluation: Evaluation, unit: str | None) -> tuple[Tile, ...]:
    """Return the error of the model beside that of the best simple rule, and how far its intervals hold."""
    whole = evaluation.overall
    rule, error = simple_rule(whole)
    below = 1 - whole.rmse / error if error else 0.0
    beside = f"{percent(abs(below))} {'below' if below > 0 else 'above'} {rule}"
    tiles = [Tile("Typical error (RMSE)", money(whole.rmse, unit), beside)]
    if whole.coverage is not None:
        tiles.append(
            Tile("In the range given", percent(whole.coverage), f"of new rows, {level_of(evaluation)} aimed at")
        )
    return tuple(tiles)


def profile_brief(profile: Profile) -> Brief:
    """Say what the table holds and what the target goes with."""
    roles = {one.role: one.levels for one in profile.concentrations if one.role}
    by = f" by {counted(roles['customer'], 'customer')}" if "customer" in roles else ""
    of = f" of {counted(roles['product'], 'product')}" if "product" in roles else ""
    label = profile.target.label
    sentences = [f"{counted(profile.rows, 'purchase')}{by}{of} came to {money(profile.target.total, profile.money)}."]
    strongest = max(explained(profile), key=lambda pair: pair[1], default=None)
    if strongest is not None:
        weak = [one.label for one in profile.features if one.explained < _LITTLE]
        little = f"; {_and(weak)} for less than {percent(_LITTLE)}{' each' if len(weak) > 1 else ''}" if weak else ""
        name, share = strongest[0], percent(strongest[1])
        sentences.append(f"{name} alone accounts for {share} of the differences in {label}{little}.")
    return Brief("What happened", tuple(sentences))


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def quality_brief(evaluation: Evaluation | None, unit: str | None) -> Brief:
    """Say in plain words how far the predictions can be relied on."""
    title = "How good the predictions are"
    if evaluation is None:
        return Brief(title, ("No rows were held out, so nobody knows: train with a holdout before relying on them.",))
    whole = evaluation.overall
    truth = None if whole.mean_prediction is None else whole.mean_prediction - whole.bias
    beside = f", {percent(whole.mae / truth)} of what it brings" if truth and truth > 0 else ""
    rule, error = simple_rule(whole)
    better = whole.rmse < error
    than = f"{percent(1 - whole.rmse / error)} smaller than by" if better else "no smaller than by"
    off = f"a prediction is off by {money(whole.mae, unit)} on average{beside}"
    sentences = [f"On {whole.rows:,} purchases that the model had not seen, {off}. Its typical error is {than} {rule}."]
    if truth and truth > 0:
        side = "high" if whole.bias > 0 else "low"
        sentences.append(f"Added up, predictions are {percent(abs(whole.bias) / truth)} too {side}.")
    if whole.coverage is not None and whole.mean_width is not None:
        sentences.append(
            f"Ranges meant to hold {level_of(evaluation)} of the purchases hold {percent(whole.coverage)}; on average "
            f"they reach {money(whole.mean_width / 2, unit)} to either side."
        )
    return Brief(title, tuple(sentences))


def warning_brief(profile: Profile) -> tuple[Brief, ...]:
    """Return the first warning, and say where the others are."""
    if not profile.warnings:
        return ()
    more = len(profile.warnings) - 1
    rest = f" {counted(more, 'more warning')} under “The data”." if more else ""
    return (Brief("Mind", (profile.warnings[0].sentence + rest,)),)


def top_actions(insights: Insights | None) -> tuple[Action, ...]:
    """Return the best finding of each theme, at most five, best first."""
    chosen, seen = [], set()
    for finding in insights.findings if insights else ():
        theme = theme_of(finding.kind)
        if finding.money and theme not in seen:
            seen.add(theme)
            amount = money(finding.money, insights.money_unit if insights else None)
            chosen.append(Action(finding.action, amount, finding.stake, finding.id))
    return tuple(chosen[:_MOST_ACTIONS])
