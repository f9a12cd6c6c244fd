"""Commands around a campaign: plan it, and measure what it has brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import purchasecast as pc
from purchasecast.cli.options import Run, common
from purchasecast.config import PlanSettings

__all__ = ["measure", "plan"]

_TABLE: dict[str, Any] = {"type": click.Path(path_type=Path), "metavar": "FILE"}


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Results.")
@click.option("--budget", type=float, metavar="N", help="Most contacts, or most money; no limit by default.")
@click.option(
    "--budget-in", type=click.Choice(["contacts", "money"]), default="contacts", show_default=True, help="Its unit."
)
@click.option("--cost", default=0.0, show_default=True, metavar="MONEY", help="Cost of a contact.")
@click.option("--margin", default=1.0, show_default=True, metavar="SHARE", help="Share of an amount that is profit.")
@click.option("--max-per-customer", default=5, show_default=True, metavar="N", help="Most offers a customer.")
@click.option("--max-per-product", type=int, metavar="N", help="Most customers a product.")
@click.option("--stock", **_TABLE, help="Units there are: columns of the product and stock.")
@click.option("--must", **_TABLE, help="Lines that must be: columns of customer and product.")
@click.option("--must-not", **_TABLE, help="Customers, products or lines that must not be.")
@click.option("--control-share", default=0.1, show_default=True, metavar="SHARE", help="Customers left alone.")
@click.option("--control-size", type=int, metavar="N", help="The same as a number of customers.")
@click.option("--expected-lift", default=0.1, show_default=True, metavar="SHARE", help="To judge the control group by.")
@click.option("--level", default=0.9, show_default=True, metavar="SHARE", help="Level of the intervals.")
@click.option("--segment", "segments", multiple=True, metavar="COLUMN", help="Measure by this; may be repeated.")
@click.option("--seed", default=7, show_default=True, help="Seed of the control group.")
@common
def plan(run: Run, model: Path, data: str, out: Path, **options: Any) -> int:
    """Choose whom to offer what within a budget, and hold out a control group.

    DATA are offers: a CSV or Parquet file with the columns of customer and product as MODEL names them, and
    `probability` and `amount` of a purchase.
    """
    tables = {name: options.pop(name) for name in ("stock", "must", "must_not")}
    schema = pc.load(model).schema
    names = {"customer": schema.customer or "customer", "product": schema.product or "product", "amount": schema.target}
    settings = PlanSettings(**options)
    result = pc.plan(data, **tables, **names, money=schema.money, out=out, settings=settings, steps=run.steps)
    run.result(result.plan.to_dict(), f"{result}\nplan: {out}")
    return 0


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="Page.")
@common
def measure(run: Run, plan: Path, results: Path, out: Path | None) -> int:
    """Tell what a campaign has brought, from PLAN (the folder that `plan` wrote) and RESULTS.

    RESULTS are the purchases since: a CSV or Parquet file with the columns of customer, product and amount as the model
    names them, and, where not everybody was contacted as planned, `contacted`. Customers without a row bought nothing.
    """
    result = pc.measure(plan, results, out=out, steps=run.steps)
    run.result(result.to_dict(), "\n".join([repr(result), *([f"page: {out}"] if out is not None else [])]))
    return 0
