"""The pages in a real browser: at a desk, on a telephone, in the dark, and without a script."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from purchasecast.report import render_profile, render_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from purchasecast.report import ReportData
    from purchasecast.results import Profile

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        # The sandbox needs rights that containers withhold; the pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["profile", "report"])
def file(
    request: pytest.FixtureRequest,
    shop_profile: Profile,
    shop_report: ReportData,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    page = render_profile(shop_profile) if request.param == "profile" else render_report(shop_report)
    path.write_text(page, encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_the_page_is_quiet_fits_shows_every_picture_and_is_accessible(
    browser: Browser, file: Path, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(s => s.getBoundingClientRect()).map(r => [r.width, r.height])"
    )
    assert len(sizes) >= 12
    assert all(across > 250 and down > 40 for across, down in sizes)
    assert page.locator("h1").is_visible()
    serious = [v for v in axe.run(page).response["violations"] if v["impact"] in {"serious", "critical"}]
    assert serious == []
    page.close()


def test_letters_of_pictures_stay_inside_them_and_readable(browser: Browser, file: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(file.as_uri())
    sizes, outside = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll('svg.chart text')].filter(t => t.textContent.trim());
          const box = t => t.getBoundingClientRect(), edge = t => t.closest('figure').getBoundingClientRect();
          const scale = t => { const m = t.getScreenCTM(); return Math.hypot(m.a, m.b); };  // names may stand upright
          return [all.map(t => parseFloat(getComputedStyle(t).fontSize) * scale(t)),
                  all.filter(t => box(t).left < edge(t).left || box(t).right > edge(t).right).map(t => t.textContent)];
        }"""
    )
    assert outside == []
    assert min(sizes) >= 8  # pixels
    page.close()


def test_the_first_screen_of_a_desk_holds_the_whole_summary(browser: Browser, file: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(file.as_uri())
    assert page.evaluate("document.querySelector('.summary').getBoundingClientRect().bottom") <= 800
    page.close()


def test_the_keyboard_reaches_the_numbers_without_a_script(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(file.as_uri())
    first = page.locator("figure details").first
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.locator("table").is_visible()
    context.close()
