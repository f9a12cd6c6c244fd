"""Measure a campaign: compare those who were to be contacted with the control group, as they were planned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.campaigns.outcomes import read_outcomes, take_results
from purchasecast.numerics.lift import holm, measure_lift
from purchasecast.numerics.power import customers_needed
from purchasecast.progress import Steps
from purchasecast.results import MeasuredLift, Measurement, SegmentLift

if TYPE_CHECKING:
    from typing import Any

    import pyarrow as pa
    from numpy.typing import NDArray

    from purchasecast.campaigns.outcomes import Outcomes
    from purchasecast.results import Plan

__all__ = ["measure_campaign"]

_MIN_IN_SEGMENT = 20  # customers of either group: below, not even the deviation is known
_LABELS = {
    "offered_revenue": "revenue from the offered products",
    "offered_purchases": "purchases of the offered products",
    "all_revenue": "revenue from all products",
    "all_purchases": "purchases of all products",
}


def measure_campaign(
    plan: Plan, contacts: pa.Table, control: pa.Table, results: Any, *, steps: Steps | None = None
) -> Measurement:
    """Say what a campaign has changed.

    Parameters
    ----------
    plan : Plan
        The plan.
    contacts, control : pyarrow.Table
        Its lists.
    results : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        Purchases of the period after the contacts: the plan's columns of customer, amount and, to tell offered products
        from others, product; optional ``contacted``, where not everybody was contacted as planned. Customers without a
        row have bought nothing.
    steps : Steps, optional
        Measures the seconds per step.

    Returns
    -------
    Measurement
        Lift in revenue and purchases, profit, and segments.

    Raises
    ------
    DataError
        If a group has less than two customers, or an amount is no number.
    """
    steps = steps or Steps()
    with steps.step("read results") as step:
        outcomes = read_outcomes(take_results(results, plan), plan, contacts, control)
        step.rows = outcomes.purchases
    with steps.step("compare"):
        lifts = tuple(_lift(name, outcomes, plan) for name in _LABELS if name in outcomes.bought)
        segments, left_out = _segment_lifts(outcomes, plan, lifts[0].name)
        profit, profit_interval, cost = _profit(outcomes, plan)
    treated, said = outcomes.is_contacted, outcomes.was_contacted
    measurement = Measurement(
        contacted=int(treated.sum()),
        control=int((~treated).sum()),
        level=plan.settings["level"],
        money=plan.money,
        lifts=lifts,
        profit=profit,
        profit_interval=profit_interval,
        cost=cost,
        expected_lift=plan.settings["expected_lift"],
        more_customers=_more_customers(outcomes, plan, lifts[0]),
        segments=segments,
        segments_left_out=left_out,
        contacted_share=None if said is None else float(said[treated].mean()),
        control_contacted_share=None if said is None else float(said[~treated].mean()),
        purchases=outcomes.purchases,
        outside=outcomes.outside,
    )
    return replace(measurement, seconds=dict(steps.seconds))


def _lift(name: str, outcomes: Outcomes, plan: Plan) -> MeasuredLift:
    bought, expected, treated = outcomes.bought[name], outcomes.expected[name], outcomes.is_contacted
    level = plan.settings["level"]
    adjusted, plain = measure_lift(bought, treated, expected), measure_lift(bought, treated)
    ratio = adjusted.ratio(level)
    return MeasuredLift(
        name=name,
        label=_LABELS[name],
        is_money=name.endswith("revenue"),
        contacted=adjusted.contacted.value,
        control=adjusted.control.value,
        difference=adjusted.difference,
        interval=adjusted.interval(level),
        lift=ratio[0] if ratio else None,
        lift_interval=ratio[1:] if ratio else None,
        p_value=adjusted.p_value,
        correlation=_correlation(bought, expected),
        narrowed=1 - adjusted.error / plain.error if plain.error > 0 else 0.0,
    )


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def _profit(outcomes: Outcomes, plan: Plan) -> tuple[float, tuple[float, float], float]:
    """Return what the contacts have brought to the compared customers, its interval, and what they have cost."""
    treated = outcomes.is_contacted
    lift = measure_lift(outcomes.bought["profit"], treated, outcomes.expected["profit"])
    count, cost = int(treated.sum()), plan.settings["cost"] * float(outcomes.contacts[treated].sum())
    low, high = lift.interval(plan.settings["level"])
    return count * lift.difference - cost, (count * low - cost, count * high - cost), cost


def _more_customers(outcomes: Outcomes, plan: Plan, main: MeasuredLift) -> int:
    """Return how many more customers, in groups of the same shares, would show the expected lift."""
    treated = outcomes.is_contacted
    lift = measure_lift(outcomes.bought[main.name], treated, outcomes.expected[main.name])
    difference = plan.settings["expected_lift"] * lift.control.value
    share = float((~treated).mean())
    needed = customers_needed(difference, lift.deviation, plan.settings["level"], share)
    return max(needed - len(treated), 0)


def _segment_lifts(outcomes: Outcomes, plan: Plan, name: str) -> tuple[tuple[SegmentLift, ...], int]:
    """Return the lift of each segment with enough customers, the most certain first, and the number of the others."""
    bought, expected, treated = outcomes.bought[name], outcomes.expected[name], outcomes.is_contacted
    found, left_out = [], 0
    for by, levels in outcomes.segments.items():
        for level in sorted(set(levels)):
            members = levels == level
            sizes = int((members & treated).sum()), int((members & ~treated).sum())
            if min(sizes) < _MIN_IN_SEGMENT:
                left_out += 1
                continue
            lift = measure_lift(bought[members], treated[members], expected[members])
            found.append((by, str(level), *sizes, lift))
    adjusted = holm([lift.p_value for *_, lift in found])
    segments = [
        SegmentLift(
            by, level, contacted, control, lift.difference, lift.interval(plan.settings["level"]), lift.p_value, p
        )
        for (by, level, contacted, control, lift), p in zip(found, adjusted, strict=True)
    ]
    return tuple(sorted(segments, key=lambda one: one.p_value)), left_out
