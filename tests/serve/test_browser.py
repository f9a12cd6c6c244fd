"""The page in a real browser: by mouse, by keyboard, on a phone, in the dark, and without JavaScript."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from tests.tiny_model import LiveServer, TinyShop

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; apt-get install chromium")
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
SMALL = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        # The sandbox needs rights that containers withhold; the pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    complaints: list[str] = []
    page = browser.new_page(viewport=DESK)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Security" in message.text else None)
    page.goto(server.url)
    yield page
    page.close()
    assert not complaints


def amount(text: str) -> float:
    """Read an amount such as "1,234 EUR"."""
    found = re.search(r"[+-]?[\d,.]+", text.replace("\N{MINUS SIGN}", "-"))
    assert found is not None, text
    return float(found.group(0).replace(",", ""))


def fill_known(page: Page) -> None:
    page.get_by_role("combobox", name="Customer").fill("1003")
    page.get_by_role("option", name=re.compile("^1003")).click()
    page.get_by_role("combobox", name="Product", exact=True).fill("P00")
    page.get_by_role("option", name=re.compile("^P004")).click()


def expected(shop: TinyShop, **change: Any) -> float:
    row = {"Customer": 1003, "Product": "P004", "Quantity": None, "Day": None}
    return shop.predict(row | shop.attributes["Customer"]["1003"] | shop.attributes["Product"]["P004"] | change)


def test_a_known_customer_and_product_are_predicted(page: Page, shop: TinyShop) -> None:
    fill_known(page)
    assert page.locator("#ask").get_by_label("City").input_value() == shop.attributes["Customer"]["1003"]["City"]
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_selector(".price")
    assert amount(page.locator(".price").inner_text()) == pytest.approx(expected(shop), abs=0.5)
    bars = page.locator(".waterfall tbody tr")
    amounts = [amount(text) for text in bars.locator(".amount").all_inner_texts()]
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=1.0)
    assert page.get_by_role("heading", name="Similar products").is_visible()
    assert page.locator(".ranked").first.locator("li").count() == 6
    page.reload()
    assert amount(page.locator(".price").inner_text()) == pytest.approx(expected(shop), abs=0.5)


def test_another_product_is_one_click_away(page: Page, shop: TinyShop) -> None:
    fill_known(page)
    page.get_by_role("button", name="Predict", exact=True).click()
    best = page.locator(".card", has_text="Best products").get_by_role("link").first
    product = best.inner_text()
    best.click()
    page.wait_for_url("**Product=*")
    assert page.locator('#ask [name="Product"]').input_value() == product
    of_product = shop.attributes["Product"][product]
    wanted = expected(shop, Product=product, **of_product)
    assert amount(page.locator(".price").inner_text()) == pytest.approx(wanted, abs=0.5)


def test_an_unknown_id_is_told_while_typing(page: Page) -> None:
    page.get_by_role("combobox", name="Customer").press_sequentially("nobody")
    told = page.locator(".field", has=page.locator('[name="Customer"]')).locator("[data-none]")
    told.wait_for()
    assert "describe it below" in told.inner_text()
    page.get_by_role("combobox", name="Customer").fill("1003")
    page.get_by_role("option", name=re.compile("^1003")).wait_for()
    assert told.is_hidden()


def test_what_if_shows_both_side_by_side(page: Page, shop: TinyShop) -> None:
    fill_known(page)
    page.get_by_role("button", name="Predict", exact=True).click()
    other = "B" if shop.attributes["Customer"]["1003"]["City"] != "B" else "C"
    form = page.locator("#what-if")
    form.get_by_label("City").select_option(other)
    form.get_by_label("Quantity").fill("40")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector(".side-by-side")
    before, after = [amount(text) for text in page.locator(".price").all_inner_texts()]
    assert before == pytest.approx(expected(shop), abs=0.5)
    assert after == pytest.approx(expected(shop, City=other, Quantity=40), abs=0.5)
    assert page.locator(".changes li").count() == 2


def test_a_new_customer_is_described(page: Page, shop: TinyShop) -> None:
    page.get_by_role("combobox", name="Customer").fill("77777")
    page.get_by_role("combobox", name="Product", exact=True).fill("P004")
    form = page.locator("#ask")
    form.get_by_label("Age").select_option("old")
    form.get_by_label("City").select_option("B")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_selector(".notice")
    assert "This customer is not in the training data" in page.locator(".notice").inner_text()
    found = amount(page.locator(".price").inner_text())
    assert found == pytest.approx(expected(shop, Customer=77777, Age="old", City="B"), abs=0.5)


@pytest.mark.parametrize("script", [True, False])
def test_bad_input_is_shown_at_its_field(browser: Browser, server: LiveServer, *, script: bool) -> None:
    page = browser.new_page(java_script_enabled=script)
    page.goto(server.url)
    form = page.locator("#ask")
    form.locator('[name="Customer"]').fill("nobody")
    form.locator('[name="Product"]').fill("P004")
    form.locator('[name="Quantity"]').fill("100")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_selector('[name="Quantity"][aria-invalid="true"]')
    told = form.locator('[data-error="Quantity"]').inner_text()
    assert told == 'Expected a whole number from 1 to 99, found "100"'
    assert "whole number" in form.locator('[data-error="Customer"]').inner_text()
    assert form.locator('[name="Quantity"]').input_value() == "100"
    described = form.locator('[name="Quantity"]').get_attribute("aria-describedby")
    assert described is not None
    assert form.locator('[data-error="Quantity"]').get_attribute("id") in described.split()
    if script:
        assert page.evaluate("document.activeElement.name") == "Customer"
    page.close()


def test_the_form_works_without_javascript(browser: Browser, server: LiveServer, shop: TinyShop) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(server.url)
    page.locator('[name="Customer"]').fill("1003")
    page.locator('[name="Product"]').fill("P004")
    page.get_by_role("button", name="Predict", exact=True).click()
    assert amount(page.locator(".price").inner_text()) == pytest.approx(expected(shop), abs=0.5)
    page.locator("#what-if").get_by_label("Quantity").fill("40")
    page.get_by_role("button", name="Compare").click()
    after = amount(page.locator(".price").nth(1).inner_text())
    assert after == pytest.approx(expected(shop, Quantity=40), abs=0.5)
    page.close()


def test_a_file_is_sent_and_comes_back_scored(page: Page, shop: TinyShop, tmp_path: Path) -> None:
    rows = shop.random_rows(500)
    frame = pd.DataFrame(rows).astype({"Quantity": "Int64", "Category": "Int64"})
    frame.loc[7, "City"] = "Z"
    frame.to_csv(tmp_path / "shop.csv", index=False)
    page.get_by_label("CSV or Parquet file").set_input_files(tmp_path / "shop.csv")
    page.get_by_role("button", name="Predict the file").click()
    link = page.get_by_role("link", name="Download shop.scored.csv")
    link.wait_for()
    assert "500 rows read, 1 of them without" in page.locator("#upload-done").inner_text()
    with page.expect_download() as download:
        link.click()
    found = pd.read_csv(download.value.path())
    wanted = [float("nan") if k == 7 else shop.predict(row) for k, row in enumerate(rows)]
    assert found["prediction"].to_numpy() == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    page.get_by_label("CSV or Parquet file").set_input_files(tmp_path / "wrong.csv")
    page.get_by_role("button", name="Predict the file").click()
    page.wait_for_selector("#file-error:not([hidden])")
    assert "missing: Customer" in page.locator("#file-error").inner_text()


def test_the_keyboard_is_enough(page: Page, shop: TinyShop) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    while page.evaluate("document.activeElement.name") != "Customer":
        page.keyboard.press("Tab")
    page.keyboard.type("1003")
    page.wait_for_selector("[role=option]")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-activedescendant')")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("P004")
    page.wait_for_selector("#field-1-choices [role=option]")
    page.keyboard.press("Escape")
    assert page.locator("#field-1-choices").is_hidden()
    page.keyboard.press("Enter")
    page.wait_for_selector(".price")
    assert amount(page.locator(".price").inner_text()) == pytest.approx(expected(shop), abs=0.5)


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark"), (SMALL, "light")],
    ids=["desk", "desk in the dark", "phone", "phone in the dark", "small phone"],
)
def test_it_fits_and_axe_finds_nothing_serious(
    browser: Browser, server: LiveServer, size: dict[str, int], scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe is put into the page, which its own policy forbids; nothing else is loosened.
    context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    for query in ("", "?Customer=1003&Product=P004&if:City=B", "?Customer=x"):
        page.goto(server.url + query)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        found = axe.Axe().run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in {"serious", "critical"}] == []
    context.close()
