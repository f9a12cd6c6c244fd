"""The page: whole without a network or a script, its numbers those of its sources, and parts that drop out."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from purchasecast.bundle import save_bundle
from purchasecast.cli import cli
from purchasecast.errors import SourceError
from purchasecast.evaluate import Evaluation, Slice
from purchasecast.finding import Absent, Campaign, Chart, Finding, Insights, Support
from purchasecast.report import ReportData, read_report, render_profile, render_report
from purchasecast.search import Candidate, SearchResult
from purchasecast.validate import ValidationReport

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.profile import Profile

VOID = {"meta", "link", "br", "hr", "img", "input", "source"}


class Outline(HTMLParser):
    """Read a page as a browser without network or script would: its texts, ids, and whether tags match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: dict[str, int] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [value for name, value in attrs if name in {"href", "src", "xlink:href"} and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(" ".join(data.split()))

    @property
    def words(self) -> str:
        return " ".join(filter(None, self.text))


def part(by: str, level: str, rows: int, rmse: float, coverage: float | None = None) -> Slice:
    baselines = {"mean": 2 * rmse, "product_mean": 0.9 * rmse if level == "odd" else 1.2 * rmse}
    width = None if coverage is None else 50.0
    return Slice(by, level, rows, rmse, 0.7 * rmse, 0.5, -1.5, baselines, coverage, width)


def make_data(profile: Profile | None, schema: Any, **parts: Any) -> ReportData:
    candidates = tuple(
        Candidate(reg, ratio, (9.0, 11.0), 10.0 + reg + ratio, 1.0, 4.5)
        for reg in (0.001, 0.1, 10.0)
        for ratio in (0.0, 1.0)
    )
    search = SearchResult("rmse", False, candidates, 0, "best", 2, 3_000, 7, "one-pass", 5)
    slices = tuple(
        part(by, level, 100, rmse, 0.91)
        for by, level, rmse in (
            ("product", "seen", 20.0),
            ("product", "unseen", 30.0),
            ("Kind", "a", 15.0),
            ("Kind", "odd", 9.0),
        )
    )
    evaluation = Evaluation(part("all", "all", 600, 21.5, 0.9), slices, "Computed on rows of a test.")
    manifest = {
        "settings": {"seed": 7, "reg_param": []},
        "libraries": {"numpy": "2"},
        "data": {"rows": 3_000, "hash": "abc"},
    }
    values = {
        "validation": ValidationReport(3_010, 3_000, 10, {"Spend: negative": 10}, {"Kind": 300}),
        "profile": profile,
        "search": search,
        "evaluation": evaluation,
    }
    return ReportData(schema, manifest, **{**values, **parts})


def make_insights() -> Insights:
    charts = (
        Chart("bar", ("city", "gain"), (("A & B", 1_200.0), ("C", -300.0)), "A & B gains most", "gain", "city", "EUR"),
        Chart(
            "line",
            ("share of w", "share of revenue"),
            ((0.0, 0.0), (1.0, 1.0)),
            "Even",
            "share of w",
            "share of revenue",
        ),
        Chart(
            "interval",
            ("Region", "EUR a purchase", "low", "high", "series"),
            (("north", 5.0, 4.0, 6.0, "raw"), ("north", 3.0, 2.0, 4.0, "adjusted")),
            "North shrinks",
            "EUR a purchase",
            "Region",
        ),
        Chart("heatmap", ("x.y", "z", "units"), (("u", "v", 2.5e6), ("w", "v", 3.0)), "Most at u", "x.y", "z", "EUR"),
        Chart(
            "scatter",
            ("price", "reach", "product"),
            ((1.0, 2.0, "p1"), (3.0, 1.0, "p2")),
            "Dear is rare",
            "price",
            "reach",
        ),
        None,
    )
    findings = tuple(
        Finding(
            f"finding-{k}",
            "segment",
            f"Claim number {k} <b>",
            0.5,
            "share" if k else "EUR",
            (0.4, 0.6) if k else None,
            Support(900, 45 if k else None),
            "By counting.",
            "Do it.",
            12_345.0 if k else None,
            "No cause.",
            chart,
            0.02,
        )
        for k, chart in enumerate(charts)
    )
    campaign = Campaign("offers", "Offers to all", ("offers.csv",), 90, 4_321.0)
    return Insights(
        findings, (Absent("pricing", "No product role, so no prices."),), (campaign,), "On test rows.", "EUR"
    )


@pytest.fixture(scope="module")
def page(shop_profile: Profile, schemas: Any) -> str:
    return render_report(make_data(shop_profile, schemas(), insights=make_insights()))


def test_the_page_is_whole_and_asks_for_nothing(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert "script" not in outline.tags
    assert len(page.encode()) < 3_000_000
    assert all(link.startswith(("#", "data:")) for link in outline.links)
    assert not re.search(r"url\((?!data:|#)|@import|https?://(?!www\.w3\.org/)", page)
    assert len(outline.ids) == len(set(outline.ids))
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)
    assert outline.tags["h1"] == 1


def test_every_picture_has_a_name_and_its_numbers(page: str) -> None:
    outline = Outline(page)
    assert page.count('class="chart"') == page.count('role="img"') == outline.tags["figure"]
    assert outline.tags["figure"] >= 20
    assert outline.tags["table"] >= outline.tags["figure"]
    assert all(re.findall(r'role="img" aria-label="([^"]*)"', page))


def test_the_page_shows_what_its_sources_hold(page: str, shop_profile: Profile, shop: Any) -> None:
    words = Outline(page).words
    assert f"{shop['Spend'].sum():,.0f}"[:3] in words
    region = shop.groupby("Region")["Spend"].mean()
    assert f"“south” has the highest mean, {region['south']:,.1f} EUR" in words
    assert f"{100 * shop_profile.concentrations[0].top_fifth:.1f}%" in words
    for expected in (
        "10 0.33% of 3,010",
        "Spend: negative",
        "regParam 0.001 with elasticNetParam 0 does best of 6: RMSE 10.0",
        "The model errs 16.7% less than each product's mean",
        "worse than the product mean for odd",
        "90% intervals hold 91.0% to 91.0% of the truths",
        "Claim number 3 <b> At stake: 12,345 EUR.",
        "Number 0.5 EUR",
        "Number 50.0% (40.0% to 60.0%)",
        "900 rows of 45 customers",
        "No product role, so no prices.",
        "offers.csv",
        "Computed on rows of a test.",
    ):
        assert expected in words, expected


def test_texts_of_the_data_cannot_become_markup(page: str) -> None:
    assert "A shop &lt;with&gt; a name" in page
    assert "<with>" not in page
    assert "Claim number 1 <b>" not in page


def test_missing_parts_drop_out_with_a_sentence(schemas: Any) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("validation", "search", "evaluation"))
    words = Outline(render_report(make_data(None, schemas(), **nothing))).words
    for sentence in (
        "There is no profile in this model",
        "There was no grid search",
        "No rows were held out",
        "No findings were handed to this report",
        "does not list its stages",
        "comes without coefficients",
    ):
        assert sentence in words


def test_a_table_without_customers_and_products_has_a_page(shop: Any, schemas: Any, profiler: Any) -> None:
    schema = schemas(customer=False, product=False)
    profile = profiler(shop, schema)
    words = Outline(render_profile(profile, ValidationReport(3_000, 3_000, 0))).words
    assert "customer" not in words.lower()
    assert "Largest fifth" not in words
    assert "No accepted row has an empty value" in words


def test_stages_and_coefficients_are_drawn_where_there_are_some(shop_profile: Profile, schemas: Any) -> None:
    model = {
        "stages": [{"name": "index levels", "detail": "Region"}, {"name": "regression", "detail": "5 features"}],
        "coefficients": [
            {"name": "Region south", "value": 30.0, "low": 20.0, "high": 40.0},
            {"name": "Kind b", "value": -4.0, "low": None, "high": None},
        ],
    }
    words = Outline(render_report(make_data(shop_profile, schemas(), model=model))).words
    assert "index levels Region regression 5 features" in words
    assert "Region south moves the prediction most, all else equal" in words


def test_the_command_reads_a_bundle_and_findings(shop_profile: Profile, schemas: Any, tmp_path: Path) -> None:
    data = make_data(shop_profile, schemas())
    assert data.evaluation is not None
    assert data.search is not None
    assert data.validation is not None
    documents = {
        "profile": shop_profile.to_dict(),
        "evaluation": data.evaluation.to_dict(),
        "search": data.search.to_dict(),
        "validation": data.validation.to_dict(),
    }
    manifest = {**data.manifest, "schema": schemas().to_dict()}
    bundle = save_bundle(tmp_path / "model", write_parts=lambda _: None, documents=documents, manifest=manifest)
    found = read_report(bundle)
    assert (found.profile, found.evaluation, found.search) == (data.profile, data.evaluation, data.search)
    (tmp_path / "findings.json").write_text(json.dumps(make_insights().to_dict()))
    arguments = ["report", str(tmp_path / "model"), "--out", str(tmp_path / "r.html"), "--insights", str(tmp_path)]
    shown = CliRunner().invoke(cli, [*arguments, "--json", "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["bytes"] == (tmp_path / "r.html").stat().st_size
    assert "Claim number 1" in (tmp_path / "r.html").read_text()
    with pytest.raises(SourceError, match="no such file"):
        read_report(bundle, insights=tmp_path / "nowhere")
