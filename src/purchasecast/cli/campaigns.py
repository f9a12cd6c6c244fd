"""Commands around a campaign: plan it, and measure what it has brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import purchasecast as pc
from purchasecast.cli.options import Run, common, model_argument, page_option
from purchasecast.config import PlanSettings
from purchasecast.io import peek_names

__all__ = ["measure", "plan"]

_TABLE: dict[str, Any] = {"type": click.Path(path_type=Path), "metavar": "FILE"}


@click.command()
@model_argument
@click.argument("data")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for contacts, control group and page.",
)
@click.option(
    "--budget", type=float, metavar="N", help="Largest number of contacts, or amount of money; by default no limit."
)
@click.option(
    "--budget-in",
    type=click.Choice(["contacts", "money"]),
    default="contacts",
    show_default=True,
    help="Unit of --budget.",
)
@click.option("--cost", default=0.0, show_default=True, metavar="MONEY", help="Cost of a contact.")
@click.option(
    "--margin",
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Profit as a share of the amount.",
)
@click.option(
    "--max-per-customer",
    default=5,
    show_default=True,
    metavar="N",
    help="Largest number of offers per customer.",
)
@click.option("--max-per-product", type=int, metavar="N", help="Largest number of customers per product.")
@click.option("--stock", **_TABLE, help="Units in stock: columns of the product and `stock`.")
@click.option("--must", **_TABLE, help="Offers that must be made: columns of customer and product.")
@click.option("--must-not", **_TABLE, help="Customers, products or pairs that must not be offered.")
@click.option(
    "--control-share",
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Share of the customers that are held out, to measure the effect.",
)
@click.option(
    "--control-size", type=int, metavar="N", help="Number of customers that are held out, instead of a share."
)
@click.option(
    "--expected-lift",
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Effect that the control group should be able to show.",
)
@click.option("--level", default=0.9, show_default=True, metavar="SHARE", help="Level of the intervals.")
@click.option("--purchases", type=float, metavar="N", help="Purchases in the period to come, of all customers.")
@click.option("--repeat/--no-repeat", default=None, help="Only what the customer has bought before, or all else.")
@click.option(
    "--segment",
    "segments",
    multiple=True,
    metavar="COLUMN",
    help="Also measure the effect by this column; may be repeated.",
)
@click.option("--seed", default=7, show_default=True, help="Seed of the control group.")
@common
def plan(run: Run, model: Path, data: str, out: Path, **options: Any) -> int:
    """Choose whom to offer what, and whom to leave alone.

    DATA are past purchases, from which MODEL makes the offers; or offers, if there is a column `probability`: a CSV or
    Parquet file with customer and product as MODEL names them, and probability and `amount` of a purchase.
    """
    tables = {name: options.pop(name) for name in ("stock", "must", "must_not")}
    from_model = {name: options.pop(name) for name in ("purchases", "repeat")}
    loaded, settings = pc.load(model), PlanSettings(**options)
    arguments: dict[str, Any] = {**tables, "out": out, "settings": settings}
    if "probability" in (peek_names(data) or ()):
        schema = loaded.schema
        names = {"customer": str(schema.customer), "product": str(schema.product), "amount": schema.target}
        arguments |= {**names, "money": schema.money}
        result = pc.plan(data, **arguments, steps=run.steps)
    else:
        result = loaded.plan(data, **from_model, **arguments, **run.spark_and_steps(data))
    run.result(result.plan.to_dict(), f"{result}\nplan: {out}")
    return 0


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@page_option(required=False)
@common
def measure(run: Run, plan: Path, results: Path, out: Path | None) -> int:
    """Measure what a campaign has brought.

    PLAN is the folder that `plan` wrote. RESULTS are the purchases since: a CSV or Parquet file with the columns of
    customer, product and amount as the model names them, and, where not everybody was contacted as planned,
    `contacted`. Customers without a row bought nothing.
    """
    result = pc.measure(plan, results, out=out, steps=run.steps)
    run.result(result.to_dict(), "\n".join([repr(result), *([f"page: {out}"] if out is not None else [])]))
    return 0
