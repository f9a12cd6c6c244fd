r"""Customers who pay much less than comparable customers do for the same items.

The residuals :math:`r_i` of a customer are what the customer paid minus what comparable customers pay for the same item
(`regression`). Their mean is tested against 0, one-sided, with the customer's own spread or, where that is larger, with
the spread that these items have among all buyers. This matters because purchases are skewed: a customer who by chance
made none of the few large purchases has both a low mean and a small spread. With the own spread alone, one customer in
nine of a log-normal shop without effects would be reported. The sum of a customer's shortfall is shrunken, because the
lowest of many means are low by chance, too:

.. math:: \hat R_c = n_c \bar r_c \frac{\tau^2}{\tau^2 + v_c}, \qquad
          v_c = \frac{\kappa}{n_c^2} \sum_{i \in c} \sigma^2_{p(i)},

with :math:`\tau^2` the variance of the customers' true means (method of moments), :math:`\sigma_p` the standard
deviation of the purchases of an item, and :math:`\kappa` the share of that variance within customers.

How much of a shortfall lasts is checked on hidden purchases: customers are selected on one half of their purchases, and
what they fall short in the other half is compared with what :math:`\hat R_c` of the first half predicts. If less was
seen than predicted, all shortfalls are multiplied by that share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from purchasecast.formatting import counted, percent
from purchasecast.insights.significance import MAX_COLLECTED, Evidence, Trials, normal_interval
from purchasecast.results import Chart, Finding, Support
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["LIST_NAME", "HiddenHalf", "Shortfalls", "measure_shortfalls"]

#: Name of the target list, without suffix.
LIST_NAME = "customers-below-peers"
MIN_ROWS = 10  # of a customer: the spread of fewer is not known
_SHOWN = 10
_SELECT_P = 0.01  # p-value below which a customer is selected on half of the purchases, for the check on the others


@dataclass(frozen=True, slots=True)
class HiddenHalf:
    """Shortfalls in the half of the purchases that customers were not selected on."""

    customers: int  # selected on the other half
    expected: float  # their shortfall in this half, predicted from the other half
    actual: float  # their shortfall in this half
    variance: float  # of the actual one, money squared

    @property
    def lasting(self) -> float:
        """Share of the predicted shortfall that was seen, from 0 to 1; 1 where nobody was selected."""
        return min(max(self.actual / self.expected, 0.0), 1.0) if self.expected > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Shortfalls(Evidence):
    """Customers with low residuals; one test per customer."""

    customers: tuple[str, ...]
    # Of each customer: transactions, revenue, mean and standard deviation of the residuals, and the standard
    # deviation that is usual for the items bought.
    rows: Floats
    totals: Floats
    means: Floats
    spreads: Floats
    usual: Floats
    tried: int  # number of customers with enough rows
    variance: float  # variance of the customers' true means, money squared
    same: str  # what is compared, for sentences
    hidden: HiddenHalf
    response: float  # share of a shortfall that a contact is assumed to close

    @property
    def trials(self) -> tuple[Trials, ...]:
        """One-sided tests: paying less."""
        errors = np.maximum(np.maximum(self.spreads, self.usual), 1e-12) / np.sqrt(self.rows)
        return (Trials(stats.t.cdf(self.means / errors, self.rows - 1), self.tried),)

    def shrunken(self) -> tuple[Floats, Floats]:
        """Return the part of each customer's shortfall that lasts, in sum, and its standard error."""
        noise = self.usual**2 / self.rows
        share = self.variance / (self.variance + noise) if self.variance > 0 else np.zeros_like(noise)
        lasting = self.hidden.lasting
        return -self.rows * self.means * share * lasting, self.rows * np.sqrt(noise * share) * lasting

    def listing(self, q: Floats, rate: float) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
        """Return the columns and lines of the target list, largest shortfall first."""
        shortfall, error = self.shrunken()
        kept = [i for i in np.argsort(-shortfall, kind="stable") if q[i] <= rate]
        columns = ("customer", "purchases", "spent", "shortfall", "standard_error", "q_value")
        lines = [
            (self.customers[i], int(self.rows[i]), *map(float, (self.totals[i], shortfall[i], error[i], q[i])))
            for i in kept
        ]
        return columns, lines

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding on all customers who pay less than comparable customers."""
        kept = np.flatnonzero(q <= rate)
        if not len(kept):
            return []
        shortfall, error = self.shrunken()
        value = float(shortfall[kept].sum())
        interval = normal_interval(value, float(np.sqrt((error[kept] ** 2).sum())), phrases.level)
        low, high = (self.response * end for end in interval)
        return [
            Finding(
                id="customers:below-peers",
                kind="customers",
                claim=(
                    f"{len(kept):,} of {self.tried:,} customers pay{'s' if len(kept) == 1 else ''} less for "
                    f"{self.same} than comparable customers, together {phrases.money(value)} "
                    f"({phrases.interval(*interval)})."
                ),
                value=value,
                unit=phrases.money_unit,
                interval=interval,
                support=Support(int(self.rows[kept].sum()), len(kept)),
                method=(
                    f"Purchases of each customer minus what customers with the same attributes pay for {self.same}. "
                    "One-sided t-test per customer, with the spread of the customer or of the items, whichever is "
                    "larger. The sum is shrunken toward 0, because the lowest of many are low by chance, too, and "
                    "multiplied by the share that lasted on hidden purchases."
                ),
                action=(
                    f"Draw half of the list {LIST_NAME} at random, ask these customers what they buy elsewhere, and "
                    "leave the other half alone for comparison."
                ),
                money=self.response * value,
                caveat=f"They may buy elsewhere or need less; the data do not say. {phrases.no_trend}",
                chart=self._chart(kept, shortfall, phrases),
                q_value=float(q[kept].max()),
                stake=(
                    f"if the contact closes {percent(self.response)} of their shortfall, which is an assumption until "
                    "a test has measured it"
                ),
                money_interval=(low, high),
                who="Customer care",
                when="within four weeks",
                checked=self._checked(phrases),
                wrong_if="The customers who were asked do not spend more afterwards than the half that was left alone.",
            )
        ]

    def _chart(self, kept: NDArray[np.int64], shortfall: Floats, phrases: Phrases) -> Chart:
        largest = sorted(kept, key=lambda i: (-shortfall[i], self.customers[i]))[:_SHOWN]
        first = f"Customer {self.customers[largest[0]]} has the largest shortfall against comparable customers"
        bars = [(self.customers[i], float(shortfall[i])) for i in largest]
        title = f"{first}: {phrases.money(shortfall[largest[0]])}"
        return Chart.bars("customer", "shortfall", bars, title, phrases.money_unit)

    def _checked(self, phrases: Phrases) -> str:
        """Say what the same selection on half of the purchases told about the other half."""
        hidden = self.hidden
        if not hidden.customers:
            return ""
        interval = normal_interval(hidden.actual, math.sqrt(hidden.variance), phrases.level)
        return (
            f"{counted(hidden.customers, 'customer')} selected on half of their purchases fell short by "
            f"{phrases.money(hidden.actual)} ({phrases.interval(*interval)}) in the other half, where "
            f"{phrases.money(hidden.expected)} was expected."
        )


def measure_shortfalls(residuals: DataFrame, rate: float, same: str, response: float) -> Shortfalls:
    """Find customers whose residuals (`Peers.residuals`) are low, and check on hidden purchases how much lasts.

    The driver receives only customers whose p-value is below the false discovery rate, at most `MAX_COLLECTED`.
    """
    known = residuals.where(f"level is not null and rows >= {MIN_ROWS}").selectExpr(
        "cast(level as string) as level",
        "cast(rows as double) as rows",
        "total",
        "r / rows as mean",
        "greatest(rr - r * r / rows, 0D) / (rows - 1) as own",
        "usual_rr / rows as usual",
        "hidden_rows",
        "hidden_r",
        "hidden_usual_rr",
        "rows - hidden_rows as shown_rows",
        "r - hidden_r as shown_r",
        "(usual_rr - hidden_usual_rr) / nullif(pow(rows - hidden_rows, 2), 0D) as shown_noise",
    )
    tried, means, noise, within = known.selectExpr(
        "count(1)",
        "coalesce(var_samp(mean), 0D)",
        "coalesce(avg(own / rows), 0D)",
        "coalesce(sum(own * (rows - 1)) / nullif(sum(usual * (rows - 1)), 0D), 0D)",
    ).collect()[0]
    variance = max(float(means) - float(noise), 0.0)
    known = known.selectExpr("*", "sqrt(own) as spread", f"sqrt({number_literal(within)} * usual) as expected")
    # The normal distribution has lighter tails than the t-distribution: no p-value below the rate is missed.
    lowest = number_literal(-stats.norm.isf(rate))
    low = known.where(f"mean <= {lowest} * greatest(spread, expected) / sqrt(rows)").orderBy("mean", "level")
    rows = low.limit(MAX_COLLECTED).collect()

    def column(name: str) -> Floats:
        return np.array([float(row[name]) for row in rows])

    return Shortfalls(
        tuple(row["level"] for row in rows),
        column("rows"),
        column("total"),
        column("mean"),
        column("spread"),
        column("expected"),
        tried=int(tried),
        variance=variance,
        same=same,
        hidden=_hidden_half(known, variance, float(within)),
        response=response,
    )


def _hidden_half(known: DataFrame, variance: float, within: float) -> HiddenHalf:
    """Select customers on the shown half of their purchases, and sum their shortfalls in the hidden half."""
    noise = f"{number_literal(within)} * shown_noise"
    limit = number_literal(-stats.norm.isf(_SELECT_P))
    halves = known.selectExpr("*", "shown_r / nullif(shown_rows, 0D) as shown_mean").where("hidden_rows > 0")
    selected = halves.where(f"shown_mean < {limit} * sqrt({noise})")
    # Where all purchases of an item are equal, there is no noise, and nothing to shrink.
    share = f"coalesce({number_literal(variance)} / nullif({number_literal(variance)} + {noise}, 0D), 0D)"
    row = selected.selectExpr(
        "count(1)",
        f"coalesce(sum(-shown_mean * hidden_rows * {share}), 0D)",
        "coalesce(sum(-hidden_r), 0D)",
        f"coalesce(sum({number_literal(within)} * hidden_usual_rr), 0D)",
    ).collect()[0]
    return HiddenHalf(int(row[0]), *map(float, row[1:]))
