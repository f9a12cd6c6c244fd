"""Compute all findings and target lists of a model and its tables."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from purchasecast.bundle import MANIFEST, pinned
from purchasecast.bundle.pipeline import load_level_stages, load_pipeline, load_propensity
from purchasecast.config import InsightSettings
from purchasecast.errors import DataError
from purchasecast.formatting import percent
from purchasecast.insights.concentration import measure_concentration, revenue_tables
from purchasecast.insights.dates.leaving import LIST_NAME as LEAVING_LIST
from purchasecast.insights.dates.leaving import leaving_list, measure_leaving
from purchasecast.insights.dates.trend import measure_growth, measure_trend
from purchasecast.insights.dates.visits import MIN_DAYS, read_visits
from purchasecast.insights.demand.findings import Demand
from purchasecast.insights.demand.measure import (
    default_pair,
    demand_columns,
    demand_frame,
    expected_by,
    noise_of,
    place_of,
    uncertain_products,
)
from purchasecast.insights.demand.orders import orders_frame, sum_orders
from purchasecast.insights.offers.lists import (
    Offers,
    calibration_error,
    campaign_lists,
    offers_by_customer,
    scored_offers,
)
from purchasecast.insights.output import results_folder, table_of, write_findings, write_list
from purchasecast.insights.peers.regression import fit_peers
from purchasecast.insights.peers.segments import contrast_segments
from purchasecast.insights.peers.shortfalls import LIST_NAME, Shortfalls, measure_shortfalls
from purchasecast.insights.peers.spread import measure_spread
from purchasecast.insights.phrases import Phrases, slug
from purchasecast.insights.prices.measure import measure_prices
from purchasecast.insights.sales import Sales, read_sales
from purchasecast.insights.significance import Evidence, judge, rank_findings
from purchasecast.io import write_table
from purchasecast.prediction import score
from purchasecast.progress import Steps
from purchasecast.results import Absent, Campaign, Evaluation, Finding, Insights
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, PRODUCT_ROWS
from purchasecast.spark.caching import cached
from purchasecast.spark.executors import check_executors
from purchasecast.stages import CrossedEffectsModel
from purchasecast.validation import checked_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.insights.demand.measure import Noise
    from purchasecast.schema import Schema

__all__ = ["find_insights"]

_MAX_PER_KIND = 10
_STEPS = 9


@dataclass(slots=True)
class _Run:
    """Inputs of a run, and the results so far."""

    bundle: Bundle
    out: Path
    settings: InsightSettings
    steps: Steps
    max_reject_rate: float
    evidence: list[Evidence] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    cleanup: ExitStack = field(default_factory=ExitStack)
    loaded: Any = None

    @property
    def schema(self) -> Schema:
        """Description of the tables."""
        return self.bundle.schema

    @property
    def rate(self) -> float:
        """False discovery rate."""
        return self.settings.false_discovery_rate

    @property
    def phrases(self) -> Phrases:
        """Names, money and intervals as text."""
        return Phrases(self.schema, self.settings.level)

    @property
    def model(self) -> Any:
        """The pipeline, loaded once; only its stages with tables of levels where the portable model scores."""
        if self.loaded is None:
            load = load_level_stages if self.bundle.scorer_folder.is_dir() else load_pipeline
            with self.steps.step("load model"):
                self.loaded = load(self.bundle)
        return self.loaded

    def noise(self) -> Noise:
        """Return the variances of the errors of predictions."""
        document = self.bundle.document("evaluation")
        return noise_of(Evaluation.from_dict(document) if document else None, self.model, self.schema)

    def miss(self, reason: str, *kinds: str) -> None:
        """Record that kinds of findings cannot be computed."""
        self.absent += [Absent(kind, reason) for kind in kinds]

    def add_list(self, name: str, title: str, table: pa.Table, expected_revenue: float | None) -> None:
        """Write a list, and record it."""
        files = write_list(table, self.out, name)
        self.campaigns.append(Campaign(name, title, files, table.num_rows, expected_revenue))

    def accept(
        self, raw: DataFrame | None, step_name: str, target: Literal["required", "optional"]
    ) -> DataFrame | None:
        """Validate a table, and return its accepted rows."""
        if raw is None:
            return None
        options: Any = {"target": target, "max_reject_rate": self.max_reject_rate, "step": step_name}
        checked = self.cleanup.enter_context(checked_rows(raw, self.schema, self.steps, **options))
        if not checked.report.accepted:
            rows = checked.report.rows
            raise DataError(
                f"insights: expected accepted rows, found none of {rows:,}; see `validate` for the reasons."
            )
        return checked.accepted


def find_insights(
    bundle: Bundle,
    out: str | Path,
    *,
    data: DataFrame | None = None,
    demand: DataFrame | None = None,
    settings: InsightSettings | None = None,
    max_reject_rate: float = 0.01,
    steps: Steps | None = None,
) -> Insights:
    """Compute findings and target lists, and write them to a folder.

    Parameters
    ----------
    bundle : Bundle
        The model.
    out : str or Path
        Folder for ``findings.json``, tables and target lists. Files of an earlier run are replaced.
    data : DataFrame, optional
        Past, labelled transactions, as `read_table` returns them. Without them, the only findings are those of the
        tables in the model. Rows without the target count as `demand`.
    demand : DataFrame, optional
        Rows to score; by default `data`.
    settings : InsightSettings, optional
        Level of intervals, false discovery rate, length of lists, and pairs of columns.
    max_reject_rate : float, default 0.01
        Largest share of rejected rows to continue with.
    steps : Steps, optional
        Measures the seconds per step, and reports progress.

    Returns
    -------
    Insights
        Ranked findings, kinds of findings that could not be computed, and target lists.

    Raises
    ------
    RejectRateError
        If too many rows are rejected.
    DataError
        If a table has no accepted row, or `data` and `demand` both lack the target.
    SourceError
        If `out` cannot be written.
    """
    data, demand = _by_target(data, demand, bundle.schema)
    given = data if data is not None else demand
    with pinned(bundle) as model, results_folder(Path(out)) as folder:
        if given is not None:
            check_executors(given.sparkSession, reads=model.path.resolve() / MANIFEST, writes=folder)
        run = _Run(model, folder, settings or InsightSettings(), steps or Steps(), max_reject_rate)
        run.steps.expect(_STEPS)
        with run.cleanup:
            insights = _insights(run, data, demand)
        write_findings(insights, folder)
    return insights


def _by_target(
    data: DataFrame | None, demand: DataFrame | None, schema: Schema
) -> tuple[DataFrame | None, DataFrame | None]:
    """Return past transactions and rows to score: a table without the target is one to score."""
    if data is None or schema.target in data.columns:
        return data, demand
    if demand is not None:
        raise DataError(
            f"insights: expected past transactions with the column {schema.target}, found none; give rows without it "
            "as demand= only."
        )
    return None, data


def _insights(run: _Run, data: DataFrame | None, demand: DataFrame | None) -> Insights:
    """Measure everything, adjust for the number of tests, and rank the findings."""
    past = run.accept(data, "validate", "required")
    coming = run.accept(demand, "validate rows to score", "optional")
    sales = None
    if past is None:
        _measure_model(run)
    else:
        sales = read_sales(past, run.schema)
        run.cleanup.callback(sales.close)
        _measure_sales(run, sales)
    _measure_demand(run, past, coming)
    findings = _judge(run)  # all tests have to be known before any is judged
    if past is not None and sales is not None:
        findings += _make_offers(run, sales, past, coming)
    return Insights(
        rank_findings(findings, max_per_kind=_MAX_PER_KIND),
        tuple(run.absent),
        tuple(run.campaigns),
        _computed_on(sales, has_demand=coming is not None),
        run.schema.money,
        run.rate,
        run.settings.level,
        dict(run.steps.seconds),
    )


def _computed_on(sales: Sales | None, *, has_demand: bool) -> str:
    """Say in one sentence which rows the findings describe."""
    facts = f"Computed on {sales.rows:,} past transactions" if sales else "Computed on the tables of the model"
    if has_demand:
        return f"{facts}; expected revenue is that of the rows to score."
    return f"{facts}; expected revenue is that of the same rows." if sales else f"{facts}."


def _measure_model(run: _Run) -> None:
    """Measure the only facts that the model has: the revenue of each customer and product in its training data."""
    tables = {}
    for stage in run.model.stages:
        if isinstance(stage, CrossedEffectsModel):
            for entity, name in (("customer", run.schema.customer), ("product", run.schema.product)):
                if name in stage.getInputCols():
                    tables[entity] = stage.level_table(name).selectExpr("level", "rows", "rows * mean as total")
    if tables:
        run.evidence.append(measure_concentration(tables, None))
    reason = "These findings need past transactions: give the labelled table as the data."
    run.miss(reason, "segment", "segment-mix", "pricing", "reach", "customers", "offer", "trend", "leaving")


def _measure_sales(run: _Run, sales: Sales) -> None:
    """Measure concentration, differences between customers, and prices."""
    customers = sales.customer_count
    with run.steps.step("concentration") as step:
        step.rows = sales.rows
        tables = revenue_tables(sales)
        if tables:
            run.evidence.append(measure_concentration(tables, customers))
        else:
            run.miss("The schema has no customer, no product and no category of products.", "concentration")
    _compare_customers(run, sales)
    _measure_dates(run, sales)
    with run.steps.step("prices"):
        prices = measure_prices(sales, customers, run.rate)
    if prices is None:
        reason = "Prices need a product column and a category with at least 8 products of 10 purchases or more."
        run.miss(reason, "pricing", "reach")
        return
    run.evidence += [prices.bands, prices.off_band]
    if prices.reach is None:
        run.miss("The reach of a product needs a customer column.", "reach")
    else:
        run.evidence.append(prices.reach)


def _compare_customers(run: _Run, sales: Sales) -> None:
    """Compare customers and segments for the same items."""
    if sales.customers is None:
        reason = "The schema has no customer column, so purchases cannot be compared by customer."
        run.miss(reason, "segment", "segment-mix", "customers")
        return
    same = _same_items(run.schema)
    with run.steps.step("compare customers"):
        peers = fit_peers(sales)
        if sales.attributes:
            run.evidence.append(contrast_segments(peers, sales.attributes, same))
        else:
            reason = 'The schema has no attribute of customers (of = "customer") with at most 50 levels.'
            run.miss(reason, "segment", "segment-mix")
        run.evidence.append(measure_shortfalls(peers.residuals, run.rate, same, run.settings.response))
        run.evidence.append(measure_spread(peers.spread, sales.category, same, peers.customers))


def _measure_dates(run: _Run, sales: Sales) -> None:
    """Measure trend and growth, and find customers who are leaving."""
    if not sales.schema.time or not sales.schema.customer:
        run.miss("Findings on time need a time column and a customer column.", "trend", "leaving")
        return
    with run.steps.step("dates"):
        visits = read_visits(sales)
        trend = measure_trend(visits) if visits else None
        if visits is None or trend is None:
            run.miss(f"Findings on time need purchases of at least {MIN_DAYS} days.", "trend", "leaving")
            return
        growth = measure_growth(sales, visits, trend)
        run.evidence += [trend, *([growth] if growth else [])]
        lost = measure_leaving(visits, run.settings.response)
        if lost is None:
            run.miss("Customers who are leaving are found from 16 weeks of purchases on.", "leaving")
            return
        run.evidence.append(lost)
        table = leaving_list(visits, lost, run.settings.cap).toArrow()
    if table.num_rows:
        names = [run.schema.customer or "customer", *table.column_names[1:]]
        run.add_list(LEAVING_LIST, "Customers who are late by their own habit", table.rename_columns(names), None)


def _same_items(schema: Schema) -> str:
    """Return what is equal between customers who are compared, for sentences."""
    if schema.product:
        return "the same products"
    of_product = [c for c in (*schema.nominal, *schema.ordinal) if c.of == "product"]
    return "the same kinds of products" if of_product else "a purchase"


def _measure_demand(run: _Run, past: DataFrame | None, coming: DataFrame | None) -> None:
    """Sum the expected revenue of the rows to score, and write its tables."""
    rows = coming if coming is not None else past
    pair = default_pair(run.schema)
    pairs = run.settings.by or ((pair,) if pair else ())
    if rows is None:
        run.miss("Expected revenue needs rows to score: give them as the demand.", "inventory")
        return
    if not pairs:
        run.miss("The schema has no category and place to sum expected revenue by: name two columns.", "inventory")
        return
    noise, place = run.noise(), place_of(run.schema)
    ordered = ((run.schema.product, place),) if run.schema.product and place else ()
    with run.steps.step("inventory") as step:
        read = [name for name in demand_columns(run.schema, (*pairs, *ordered)) if name in rows.columns]
        scored = score(rows, run.bundle, read, derived=[CUSTOMER_ROWS, PRODUCT_ROWS])
        frame = demand_frame(scored, run.schema, noise, (*pairs, *ordered))
        frame = run.cleanup.enter_context(cached(frame))
        whole = expected_by(frame, None, noise)[0]
        cells = tuple(expected_by(frame, k, noise) for k in range(len(pairs)))
        products = uncertain_products(frame, noise, run.settings.cap) if run.schema.product else ()
        step.rows = whole.rows
    scored_rows = "the purchases to come" if coming is not None else "the same purchases, if they are repeated"
    demand = Demand(pairs, cells, whole, products, noise.source, scored_rows)
    run.evidence.append(demand)
    for k, names in enumerate(pairs):
        title = f"Expected revenue and units by {' and '.join(map(run.phrases.label, names))}"
        table = table_of(*demand.listing(k, run.phrases))
        run.add_list(f"inventory-{slug(' '.join(names))}", title, table, whole.expected)
    for names in ordered:
        _write_orders(run, frame, len(pairs), noise, names)


def _write_orders(run: _Run, demand: DataFrame, pair: int, noise: Noise, names: tuple[str, str]) -> None:
    """Write how much of each product to order for each place, by the executors: products may be many."""
    file = run.out / "orders.parquet"
    with run.steps.step("orders") as step:
        orders = orders_frame(demand, pair, noise, run.settings.service, run.settings.level)
        orders = run.cleanup.enter_context(cached(orders))  # written, and summed up
        named = orders.withColumnsRenamed({"a": names[0], "b": names[1]})
        write_table(named, file.resolve().as_uri(), format="parquet", mode="overwrite")
        summed = sum_orders(orders, names[1], run.settings.service, file.name)
        step.rows = summed.cells
    run.evidence.append(summed)
    title = f"How much to order, by {' and '.join(map(run.phrases.label, names))}"
    run.campaigns.append(Campaign("orders", title, (file.name,), summed.cells, summed.revenue))


def _judge(run: _Run) -> list[Finding]:
    """Return the findings that remain after adjusting for the number of tests."""
    findings: list[Finding] = []
    for evidence, q in zip(run.evidence, judge(run.evidence, run.rate), strict=True):
        findings += evidence.findings(q, run.rate, run.phrases)
        if isinstance(evidence, Shortfalls):
            columns, lines = evidence.listing(q, run.rate)
            if lines:
                names = (run.schema.customer or columns[0], *columns[1:])
                title = "Customers who pay less than comparable customers"
                run.add_list(LIST_NAME, title, table_of(names, lines[: run.settings.cap]), None)
    return findings


def _make_offers(run: _Run, sales: Sales, past: DataFrame, coming: DataFrame | None) -> list[Finding]:
    """Score offers, write the lists of all customers and campaigns, and return the findings on them."""
    if sales.customers is None or sales.products is None:
        run.miss("Personal offers need a customer column and a product column.", "offer")
        return []
    propensity = load_propensity(run.bundle)
    if propensity is None:
        run.miss("Offers need a model that knows who buys what: train it with offers.", "offer")
        return []
    noise = run.noise()
    with run.steps.step("offers") as step:
        offered = run.cleanup.enter_context(cached(scored_offers(sales, past, run.bundle, coming, run.settings)))
        personal = offers_by_customer(offered, run.settings.offers)
        file = run.out / "offers-by-customer.parquet"
        named = personal.toDF(*_list_columns(personal.columns, sales))
        write_table(named, file.resolve().as_uri(), format="parquet", mode="overwrite")
        lists = campaign_lists(offered, sales, run.settings)
        step.rows = personal.count()
    title = f"The {run.settings.offers} best offers for each customer"
    run.campaigns.append(Campaign("offers-by-customer", title, (file.name,), step.rows, None))
    for offer in lists:
        table = offer.lines.rename_columns(_list_columns(offer.lines.column_names, sales))
        run.add_list(offer.file_name, offer.title(run.phrases, sales.category), table, offer.expected)
    error = calibration_error(propensity.hidden_purchases)
    offers = Offers(lists, noise, sales.category, _lists_checked(run), error)
    return offers.findings(judge([offers], run.rate)[0], run.rate, run.phrases)


def _lists_checked(run: _Run) -> str:
    """Say how many of the best offers were bought on the holdout, beside those of popular products."""
    document = run.bundle.document("evaluation")
    evaluated = Evaluation.from_dict(document).lists if document else None
    best, popular = (evaluated.quality(name, 5) if evaluated else None for name in ("probability", "popularity"))
    if best is None or popular is None:
        return ""
    return (
        f"Of five offers to each customer, made in the same way, {percent(best.precision)} were bought in the "
        f"holdout; of the five most popular products, {percent(popular.precision)}."
    )


def _list_columns(columns: list[str], sales: Sales) -> list[str]:
    """Return the columns of a list with the names of the schema."""
    names = {
        "customer": sales.schema.customer,
        "product": sales.schema.product,
        "category": sales.category,
        "amount": "predicted_spend",
    }
    return [names.get(name) or name for name in columns]
