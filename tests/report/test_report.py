"""The page: whole without a network or a script, its numbers those of its sources, and parts that drop out."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from purchasecast.bundle import save_bundle
from purchasecast.cli import cli
from purchasecast.errors import SourceError
from purchasecast.report import read_report, render_profile, render_report
from purchasecast.report.elements import Stage
from purchasecast.report.model_description import Coefficient, ModelDescription
from purchasecast.results import Slice, ValidationReport

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.report import ReportData
    from purchasecast.results import Finding, Insights, Profile

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


@pytest.fixture(scope="module")
def page(shop_report: ReportData) -> str:
    return render_report(shop_report)


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
    assert f"“south” has the highest mean, {region['south']:,.0f} EUR" in words
    assert f"{100 * shop_profile.concentrations[0].top_fifth:.1f}%" in words
    for expected in (
        "10 0.33% of 3,010",
        "Spend: negative",
        "Best of 6 candidates: regParam 0.001 and elasticNetParam 0, with RMSE 10",
        "The error of the model is 16.7% smaller than that of the mean of each product",
        "Error by Kind: larger than that of the product mean for odd",
        "The 90% intervals contain 91.0% to 91.0% of the actual amounts",
        "Marketing, within a week: Do number 1. 12,345 EUR (90% interval 10,000 to 15,000) : what is left over",
        "Value 0.5 EUR",
        "Value 50.0% (90% interval 40.0% to 60.0%)",
        "Gain to expect 12,345 EUR (90% interval 10,000 to 15,000): what is left over",
        "Who Marketing When within a week Checked Claim 1 held on hidden rows. Wrong if Nobody buys more.",
        "Know your shop",
        "The typical error (RMSE) is 16.7% smaller than that of the mean of each product",
        "The 90% intervals contain 90.0% of the actual amounts; they are 50 EUR wide on average",
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


def test_missing_parts_drop_out_with_a_sentence(schemas: Any, report_data: Any) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("validation", "search", "evaluation"))
    words = Outline(render_report(report_data(None, schemas(), **nothing))).words
    for sentence in (
        "This model has no profile",
        "There was no grid search",
        "no rows were held out",
        "This report has no findings",
        "does not list its steps",
        "has no coefficients",
    ):
        assert sentence in words


def test_a_table_without_customers_and_products_has_a_page(shop: Any, schemas: Any, profiler: Any) -> None:
    schema = schemas(customer=False, product=False)
    profile = profiler(shop, schema)
    words = Outline(render_profile(profile, ValidationReport(3_000, 3_000, 0))).words
    assert "customer" not in words.lower()
    assert "Largest fifth" not in words
    assert "No accepted row has an empty value" in words


def test_stages_and_coefficients_are_drawn_where_there_are_some(
    shop_profile: Profile, schemas: Any, report_data: Any
) -> None:
    stages = (Stage("index levels", "Region"), Stage("regression", "5 features"))
    south, b = Coefficient("Region south", 30.0, 20.0, 40.0), Coefficient("Kind b", -4.0, None, None)
    model = ModelDescription(stages, (south, b))
    words = Outline(render_report(report_data(shop_profile, schemas(), model=model))).words
    assert "index levels Region regression 5 features" in words
    assert "Region south has the largest coefficient" in words
    assert "in addition to the effects of products" not in words
    effect = Coefficient("effect of What", 1.0, None, None, in_money=False)
    model = ModelDescription(stages, (south, b, effect))
    words = Outline(render_report(report_data(shop_profile, schemas(), model=model))).words
    assert "Region south has the largest coefficient, in addition to the effects of products" in words


def test_long_columns_of_slices_fold_to_the_ten_with_the_largest_errors(
    shop_profile: Profile, schemas: Any, report_data: Any
) -> None:
    whole = report_data(shop_profile, schemas()).evaluation
    slices = tuple(Slice("Kind", f"k{i:03}", 100 + i, 10.0, 7.0, 0.5, 1.0, {"product_mean": 12.0}) for i in range(300))
    evaluation = replace(whole, slices=(*whole.slices[:2], *slices))
    page = render_report(report_data(shop_profile, schemas(), evaluation=evaluation))
    words = Outline(page).words
    assert "The 10 slices with the largest sum of squared errors, of 300." in words
    assert "Kind: slices 11 to 210 of 300, by squared error" in words
    for i, shown in ((299, True), (290, True), (100, True), (89, False)):  # all but the largest stand in the fold
        assert (f"k{i:03} " in words) == shown
    lines = repr(evaluation).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("Kind k")][-1] == "k290"
    assert "Kind: 290 more" in lines


def test_the_first_screen_holds_the_best_action_of_each_theme(
    schemas: Any, report_data: Any, shop_insights: Any
) -> None:
    kinds = ("concentration", "offer", "leaving", "offer", "customers", "inventory")
    checked = {3: "It held.", 4: "It held, too."}  # 1 is better than 3, 2 than 4, but nothing was hidden from 2
    found = tuple(
        replace(one, kind=kind, money=100.0 - k if one.who else None, chart=None, checked=checked.get(k, ""))
        for k, (one, kind) in enumerate(zip(shop_insights.findings, kinds, strict=True))
    )
    found = (replace(found[3], id="best", money=200.0), *found)
    page = render_report(report_data(None, schemas(), insights=replace(shop_insights, findings=found)))
    first = page[: page.index("<nav")]
    assert re.findall(r"Do number (\d)", first) == ["3", "2", "5"]  # the best of each theme, what was checked first
    assert re.findall(r'href="#([^"]*)"', first)[1:] == ["best", "finding-2", "finding-5"]
    assert "It held." in first
    titles = [one.strip() for one in re.findall(r'class="whole theme">([^<]*)<', page)]
    assert titles == [
        "What to offer to whom",
        "What to stock",
        "Which customers to contact",
        "Where the revenue comes from",
    ]


def test_findings_of_one_picture_share_a_card_and_late_ones_a_table(
    schemas: Any, report_data: Any, shop_insights: Any
) -> None:
    def drawn(findings: tuple[Finding, ...]) -> tuple[str, int]:
        page = render_report(report_data(None, schemas(), insights=replace(shop_insights, findings=findings)))
        section = page[page.index('<section id="findings"') :].split('<section id="data"')[0]
        assert all(one.claim in html.unescape(section) for one in findings)
        return section, section.count("<article")

    same = tuple(replace(one, chart=shop_insights.findings[0].chart) for one in shop_insights.findings[1:4])
    section, cards = drawn(same)
    assert (cards, section.count('class="chart"')) == (1, 1)
    assert "2 more findings in this chart" in section
    section, cards = drawn(shop_insights.findings)
    assert cards == 5  # four decisions, and the description under "Know your shop"
    assert "1 more finding of this theme" in section


def test_the_command_reads_a_bundle_and_findings(
    shop_profile: Profile, schemas: Any, report_data: Any, shop_insights: Insights, tmp_path: Path
) -> None:
    data = report_data(shop_profile, schemas())
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
    (tmp_path / "findings.json").write_text(json.dumps(shop_insights.to_dict()))
    arguments = ["report", str(tmp_path / "model"), "--out", str(tmp_path / "r.html"), "--insights", str(tmp_path)]
    shown = CliRunner().invoke(cli, [*arguments, "--json", "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["bytes"] == (tmp_path / "r.html").stat().st_size
    assert "Claim number 1" in (tmp_path / "r.html").read_text()
    with pytest.raises(SourceError, match="no such file"):
        read_report(bundle, insights=tmp_path / "nowhere")
