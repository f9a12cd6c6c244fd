"""The run from a model and its tables to findings and target lists."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast.bundle.pipeline import load_level_stages, load_pipeline
from purchasecast.config import InsightSettings
from purchasecast.errors import DataError
from purchasecast.insights.concentration import measure_concentration, revenue_tables
from purchasecast.insights.demand.findings import Stock
from purchasecast.insights.demand.measure import (
    default_pair,
    demand_columns,
    demand_frame,
    expected_by,
    noise_of,
    uncertain_products,
)
from purchasecast.insights.offers.lists import Offers, campaign_lists, find_lines, offers_by_customer
from purchasecast.insights.output import make_folder, table_of, write_findings, write_list
from purchasecast.insights.peers.regression import fit_peers
from purchasecast.insights.peers.segments import contrast_segments
from purchasecast.insights.peers.shortfalls import Shortfalls, measure_shortfalls
from purchasecast.insights.peers.spread import measure_spread
from purchasecast.insights.phrases import Phrases, slug
from purchasecast.insights.prices.measure import measure_pricing
from purchasecast.insights.sales import Sales, read_sales
from purchasecast.insights.significance import Evidence, judge, rank_findings
from purchasecast.io import write_table
from purchasecast.prediction import score
from purchasecast.progress import Steps
from purchasecast.results import Absent, Campaign, Evaluation, Finding, Insights, check_reject_rate
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, PRODUCT_ROWS
from purchasecast.spark.caching import cached
from purchasecast.stages import CrossedEffectsModel
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.insights.demand.measure import Noise
    from purchasecast.insights.prices.findings import Reach

__all__ = ["find_insights"]

MOST_OF_A_KIND = 10
MOST_LITTLE_KNOWN = 10  # products that every customer is scored for
_NEEDS_DATA = "needs past transactions: give the labelled table as DATA."


@dataclass(slots=True)
class _Run:
    """What a run has at hand, and what it has found so far."""

    bundle: Bundle
    out: Path
    settings: InsightSettings
    steps: Steps
    evidence: list[Evidence] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    loaded: Any = None

    @property
    def phrases(self) -> Phrases:
        """The shop's own phrases."""
        return Phrases(self.bundle.schema, self.settings.level)

    @property
    def model(self) -> Any:
        """The pipeline, loaded once; only what knows levels, where the portable model scores."""
        if self.loaded is None:
            load = load_level_stages if self.bundle.scorer_folder.is_dir() else load_pipeline
            with self.steps.step("load model"):
                self.loaded = load(self.bundle)
        return self.loaded

    def noise(self) -> Noise:
        """Return what the model's errors are made of."""
        document = self.bundle.document("evaluation")
        return noise_of(Evaluation.from_dict(document) if document else None, self.model, self.bundle.schema)

    def misses(self, kind: str, reason: str) -> None:
        """Say that a kind of finding cannot be looked for."""
        self.absent.append(Absent(kind, reason))


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
    """Find what the data and the model say, and write it with target lists.

    Parameters
    ----------
    bundle : Bundle
        The model.
    out : str or Path
        Folder for ``findings.json``, tables and target lists; files of an earlier run are replaced.
    data : DataFrame, optional
        Past, labelled transactions, as `purchasecast.io.tables.read_table` returned them. Without them only what the
        model itself knows can be told.
    demand : DataFrame, optional
        Rows to come, without a target: their revenue is expected. Without them that of `data` coming again is.
    settings : InsightSettings, optional
        Levels, caps and pairs of columns.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    Insights
        Findings, ranked; what was not looked for, and why; target lists.

    Raises
    ------
    RejectRateError
        If more rows are bad than allowed.
    DataError
        If a table has no good row.
    SourceError
        If `out` cannot be written.
    """
    run = _Run(bundle, Path(out), settings or InsightSettings(), steps or Steps())
    make_folder(run.out)
    schema = bundle.schema
    if data is not None and schema.target not in data.columns:
        if demand is not None:
            raise DataError(
                f"insights: expected past transactions with the column {schema.target}, found none; "
                "give rows without it as demand= only."
            )
        data, demand = None, data
    run.steps.expect(8)
    with ExitStack() as cleanup:
        accepted = _accept(run, data, "validate", max_reject_rate, cleanup, target="required")
        coming = _accept(run, demand, "validate rows to score", max_reject_rate, cleanup, target="optional")
        if accepted is None:
            _without_data(run)
            reach, sales = None, None
        else:
            sales = read_sales(accepted, schema)
            cleanup.callback(sales.close)
            reach = _facts(run, sales)
        _inventory(run, accepted, coming, cleanup)
        found, little_known = _conclude(run, reach)
        if accepted is not None and sales is not None:
            found += _offers(run, sales, accepted, coming, little_known, cleanup)
        computed_on = _computed_on(sales, coming is not None)
    ranked = rank_findings(found, most_of_a_kind=MOST_OF_A_KIND)
    insights = Insights(
        ranked,
        tuple(run.absent),
        tuple(run.campaigns),
        computed_on,
        schema.money,
        run.settings.false_discovery_rate,
        run.settings.level,
        dict(run.steps.seconds),
    )
    write_findings(insights, run.out)
    return insights


def _accept(
    run: _Run, raw: DataFrame | None, name: str, max_reject_rate: float, cleanup: ExitStack, *, target: Any
) -> DataFrame | None:
    """Send a table through the gate."""
    if raw is None:
        return None
    with run.steps.step(name) as step:
        checked = cleanup.enter_context(validate(raw, run.bundle.schema, target=target, cache=True))
        step.rows = checked.report.rows
    check_reject_rate(checked.report, max_reject_rate, schema=run.bundle.schema)
    if not checked.report.accepted:
        raise DataError(f"insights: expected good rows, found none in {step.rows:,}; look at them with `validate`.")
    return checked.accepted


def _without_data(run: _Run) -> None:
    """Tell what the model alone knows: the revenue of each customer and product it was trained on."""
    schema = run.bundle.schema
    tables = {}
    for stage in run.model.stages:
        if isinstance(stage, CrossedEffectsModel):
            for entity, name in (("customer", schema.customer), ("product", schema.product)):
                if name in stage.getInputCols():
                    tables[entity] = stage.level_table(name).selectExpr("level", "rows", "rows * mean as total")
    if tables:
        run.evidence.append(measure_concentration(tables, None))
    for kind in ("segment", "segment-mix", "pricing", "reach", "customers", "offer"):
        run.misses(kind, f"This kind of finding {_NEEDS_DATA}")


def _facts(run: _Run, sales: Sales) -> Reach | None:
    """Measure what past transactions say; return what decides which products are little known."""
    rate = run.settings.false_discovery_rate
    customers = sales.customer_count
    with run.steps.step("concentration") as step:
        step.rows = sales.rows
        tables = revenue_tables(sales)
        if tables:
            run.evidence.append(measure_concentration(tables, customers))
        else:
            run.misses("concentration", "The schema names no customer, no product and no category of products.")
    _compare_customers(run, sales, rate)
    with run.steps.step("prices"):
        pricing = measure_pricing(sales, customers, rate)
    if pricing is None:
        for kind in ("pricing", "reach"):
            run.misses(kind, "Prices need a product column and a category with at least 8 often bought products.")
        return None
    run.evidence += [pricing.bands, pricing.off_band]
    if pricing.reach is None:
        run.misses("reach", "The reach of a product needs a customer column.")
        return None
    run.evidence.append(pricing.reach)
    return pricing.reach


def _compare_customers(run: _Run, sales: Sales, rate: float) -> None:
    """Compare customers and segments for the same items."""
    if sales.customers is None:
        for kind in ("segment", "segment-mix", "customers"):
            run.misses(kind, "The schema names no customer column, so purchases cannot be told apart by customer.")
        return
    same = _same_items(sales)
    with run.steps.step("customers alike"):
        peers = fit_peers(sales)
        if sales.attributes:
            run.evidence.append(contrast_segments(peers, sales.attributes, same))
        else:
            for kind in ("segment", "segment-mix"):
                run.misses(kind, 'The schema has no attribute of customers (of = "customer") with at most 50 levels.')
        run.evidence.append(measure_shortfalls(peers.residuals, rate, same))
        run.evidence.append(measure_spread(peers.spread, sales.category, same, peers.customers))


def _same_items(sales: Sales) -> str:
    if sales.schema.product:
        return "the same products"
    of_product = [c for c in (*sales.schema.nominal, *sales.schema.ordinal) if c.of == "product"]
    return "the same kinds of product" if of_product else "a purchase"


def _inventory(run: _Run, accepted: DataFrame | None, coming: DataFrame | None, cleanup: ExitStack) -> None:
    """Add up what rows to come are expected to bring."""
    rows = coming if coming is not None else accepted
    schema = run.bundle.schema
    pair = default_pair(schema)
    pairs = run.settings.by or ((pair,) if pair else ())
    if rows is None:
        run.misses("inventory", "Expected revenue needs a table to score: give one as the demand.")
        return
    if not pairs:
        run.misses("inventory", "The schema has no category and place to add expected revenue up by: name two columns.")
        return
    noise = run.noise()
    with run.steps.step("inventory") as step:
        read = [name for name in demand_columns(schema, pairs) if name in rows.columns]
        scored = score(rows, run.bundle, read, derived=[CUSTOMER_ROWS, PRODUCT_ROWS])
        demand = demand_frame(scored, schema, noise, pairs)
        cleanup.enter_context(cached(demand))
        whole = expected_by(demand, None, noise)[0]
        cells = tuple(expected_by(demand, k, noise) for k in range(len(pairs)))
        products = uncertain_products(demand, noise, run.settings.cap) if schema.product else ()
        step.rows = whole.rows
    told = "the purchases to come" if coming is not None else "the same purchases, if they came again,"
    stock = Stock(pairs, cells, whole, products, noise.source, told)
    run.evidence.append(stock)
    for k, names in enumerate(pairs):
        title = f"Expected revenue and units by {' and '.join(map(run.phrases.label, names))}"
        table = table_of(*stock.listing(k, run.phrases))
        files = write_list(table, run.out, f"inventory-{slug(' '.join(names))}")
        run.campaigns.append(Campaign(files[0].removesuffix(".csv"), title, files, table.num_rows, whole.expected))


def _conclude(run: _Run, reach: Reach | None) -> tuple[list[Finding], list[str]]:
    """Adjust for the number of tests, and put into words what is kept."""
    rate = run.settings.false_discovery_rate
    found: list[Finding] = []
    little_known: list[str] = []
    for evidence, q in zip(run.evidence, judge(run.evidence, rate), strict=True):
        found += evidence.findings(q, rate, run.phrases)
        if evidence is reach and reach is not None:
            little_known = [product.product for product, _ in reach.kept(q, rate)][:MOST_LITTLE_KNOWN]
        if isinstance(evidence, Shortfalls):
            columns, lines = evidence.listing(q, rate)
            if lines:
                table = table_of((run.bundle.schema.customer or columns[0], *columns[1:]), lines[: run.settings.cap])
                files = write_list(table, run.out, "below-their-like")
                title = "Customers who pay less than customers like them"
                run.campaigns.append(Campaign("below-their-like", title, files, table.num_rows, None))
    return found, little_known


def _offers(
    run: _Run, sales: Sales, accepted: DataFrame, coming: DataFrame | None, little_known: list[str], cleanup: ExitStack
) -> list[Finding]:
    """Score offers, write every customer's and every campaign's list, and return what they promise."""
    schema = sales.schema
    if sales.customers is None or sales.products is None:
        run.misses("offer", "Personal offers need a customer column and a product column.")
        return []
    noise, model = run.noise(), run.model
    with run.steps.step("offers") as step:
        found = find_lines(sales, accepted, run.bundle, model, coming, little_known, run.settings)
        cleanup.enter_context(cached(found))
        everyone = run.out / "offers-by-customer.parquet"
        personal = offers_by_customer(found)
        renamed = _in_words_of(personal, schema, sales.category)
        write_table(renamed, everyone.resolve().as_uri(), format="parquet", mode="overwrite")
        lists = campaign_lists(found, run.settings.cap)
        step.rows = personal.count()
    title = f"Every customer's {run.settings.offers} best offers"
    run.campaigns.append(Campaign("offers-by-customer", title, (everyone.name,), step.rows, None))
    offers = Offers(lists, noise, sales.category, sales.customer_count or 0)
    for offer in lists:
        table = offer.lines.rename_columns(_names(offer.lines.column_names, schema, sales.category))
        files = write_list(table, run.out, offer.file_name)
        title = offer.title(run.phrases, sales.category)
        run.campaigns.append(Campaign(offer.file_name, title, files, table.num_rows, offer.expected))
    rate = run.settings.false_discovery_rate
    return offers.findings(judge([offers], rate)[0], rate, run.phrases)


def _names(columns: list[str], schema: Any, category: str | None) -> list[str]:
    """Return the columns of a list by the shop's own names."""
    own = {
        "customer": schema.customer,
        "product": schema.product,
        "category": category,
        "predicted": "predicted_spend",
        "expected": "expected_revenue",
    }
    return [own.get(name) or name for name in columns]


def _in_words_of(frame: DataFrame, schema: Any, category: str | None) -> DataFrame:
    return frame.toDF(*_names(frame.columns, schema, category))


def _computed_on(sales: Sales | None, has_demand: bool) -> str:
    facts = f"Facts are of {sales.rows:,} past transactions" if sales else "Facts are what the model knows"
    expected = "expected revenue is of a table to score" if has_demand else "expected revenue is of the same rows again"
    return f"{facts}; {expected}." if sales or has_demand else f"{facts}."
