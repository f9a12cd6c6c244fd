"""The built site: every link inside it leads somewhere, nothing comes from another server, no page scrolls sideways.

`make docs` builds the site into site/ and then runs these tests; without it they are skipped.
"""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).resolve().parents[2] / "site"
PAGES = sorted(path for path in SITE.glob("**/*.html") if "_static" not in path.parts) if SITE.is_dir() else []
CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not PAGES, reason="the site has not been built; `make docs` builds it"),
]


class _Page(HTMLParser):
    """Collect the anchors of a page, the links to other places, and what it loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") in {"stylesheet", "preload", "icon"}:
            self.loads.append(values.get("href", ""))
        elif tag in {"script", "img", "iframe"} and "src" in values:
            self.loads.append(values["src"])


@cache
def read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def name_of(path: Path) -> str:
    return str(path.relative_to(SITE))


def test_the_site_has_every_part():
    names = {name_of(path) for path in PAGES}
    parts = ("index", "start", "guide/train", "howto/own-columns", "concepts/leakage", "reference/python")
    assert {f"{part}.html" for part in (*parts, "reference/command-line", "decisions/index", "changes")} <= names


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_inside_the_site_lead_somewhere(path):
    dead = []
    for link in read(path).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file() or (
            parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in read(target).anchors
        ):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_nothing_is_loaded_from_another_server(path):
    assert [address for address in read(path).loads if urlsplit(address).netloc] == []


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser at /usr/bin/chromium")
def test_no_page_is_wider_than_the_screen():
    sync_api = pytest.importorskip("playwright.sync_api")
    # Code, tables and formulas scroll by themselves; what has no size is hidden, or for screen readers.
    script = """() => [...document.querySelectorAll('main *')].filter(element => {
        const box = element.getBoundingClientRect();
        return box.width > 1 && box.height > 1 && box.right > innerWidth + 1
            && !element.closest('pre, .pst-scrollable-table-container, .math-block, .output_subarea, .bd-sidebar');
    }).map(element => element.tagName + ' ' + element.textContent.trim().slice(0, 40)).slice(0, 3)"""
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(java_script_enabled=False)  # a third of the time, and the layout does not need it
        wide = {}
        for path in PAGES:
            page.goto(path.as_uri(), wait_until="load")  # style sheets are part of the layout
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                if found := page.evaluate(script):
                    wide[name_of(path), width] = found
        browser.close()
    assert wide == {}
