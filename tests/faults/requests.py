"""Hostile requests beside those of schemathesis: random bytes, half files, wrong types, long texts."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient
from tests.faults.files import EXCEPTION_NAMES
from tests.tiny_model import TinyShop

from purchasecast.serve import create_app

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hostile_requests"]

_TEXTS = [
    "",
    " ",
    "\0",
    "\ufffd",
    "\ud800",
    "=1+1",
    "'",
    '"',
    "a" * 70_000,
    "\u200b",
    "NaN",
    "1e999",
    "-1",
    "\r\n",
    "null",
]
_NUMBERS = [0, -1, 1e308, 1e-308, 2**63, -(2**63) - 1, 10**400, 0.1, True, None, float("nan"), float("inf")]
_PATHS = [
    *(
        "/v1/explain",
        "/ui/result",
        "/",
        "/v1/search/product",
        "/v1/search/customer",
        "/v1/model",
        "/report",
        "/metrics",
    ),
    *("/v1/similar/{}", "/v1/recommend/{}", "/openapi.json", "/healthz", "/readyz", "/nothing", "/static/{}", "/login"),
]
_METHODS = ["GET", "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]
_TYPES = [
    "application/json",
    "text/csv",
    "application/vnd.apache.parquet",
    "multipart/form-data; boundary=x",
    "",
    "x/y",
]


def hostile_requests(count: int, folder: Path, seed: int = 1) -> list[str]:
    """Send so many requests; return those that were answered by 5xx (but 503 to try again), or named an exception."""
    shop, draw = TinyShop(seed=1), random.Random(seed)
    rows = shop.random_rows(20)
    failures = []
    app = create_app(shop.save(folder / "model"))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        for number in range(count):
            method, path, options = _request(draw, rows)
            answer = client.request(method, path, **options)
            may_try_again = answer.status_code == 503 and "retry-after" in answer.headers
            if answer.status_code >= 500 and not may_try_again:
                failures.append(f"{number}: {answer.status_code} for {method} {path[:80]} {str(options)[:200]}")
            elif answer.status_code >= 400 and EXCEPTION_NAMES.search(answer.text):
                failures.append(f"{number}: {answer.text[:200]}")
            elif answer.status_code >= 400 and len(answer.content) > 60_000:
                failures.append(f"{number}: an answer of {len(answer.content):,} bytes to {method} {path[:80]}")
    return failures


def _request(draw: random.Random, rows: list[dict[str, Any]]) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and other arguments of a request."""
    kind = draw.choice(["rows", "rows", "query", "query", "file", "file", "path", "noise"])
    if kind == "rows":
        body = {"rows": [_changed(draw, row) for row in draw.choices(rows, k=draw.choice([1, 1, 2, 40]))]}
        if draw.random() < 0.2:
            body["explain"] = draw.choice([True, False, *_NUMBERS, *_TEXTS])  # type: ignore[assignment]
        content = json.dumps(body).encode()
        return "POST", "/v1/predict", {"content": _cut(draw, content), "headers": {"content-type": "application/json"}}
    if kind == "query":
        texts = {name: _text(value) for name, value in _changed(draw, draw.choice(rows)).items()}
        return "GET", draw.choice(["/v1/explain", "/ui/result", "/"]), {"params": texts}
    if kind == "file":
        names = list(rows[0])
        sent = [_changed(draw, row) for row in draw.choices(rows, k=3)]
        lines = [",".join(names), *(",".join(_text(row.get(name)) for name in names) for row in sent)]
        content = (
            draw.choice(["\n", "\r\n", "\r"]).join(lines).encode(draw.choice(["utf-8", "latin-1", "utf-16"]), "replace")
        )
        return (
            "POST",
            "/v1/predict/file",
            {
                "content": _cut(draw, content),
                "headers": {"content-type": draw.choice(_TYPES[:4])},
            },
        )
    path = draw.choice(_PATHS).format(draw.choice(["1003", "%00", "%ed%a0%80", "..%2f..", "x" * 300, "%F0%9F%98%80"]))
    options: dict[str, Any] = {"params": {draw.choice(["q", "limit", "x"]): draw.choice(["", "1", "-1", "1e9", "\0"])}}
    if kind == "noise":
        options = {"content": draw.randbytes(draw.randrange(2_000)), "headers": {"content-type": draw.choice(_TYPES)}}
    return draw.choice(_METHODS), path, options


def _changed(draw: random.Random, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with up to two values that it should not have."""
    changed = dict(row)
    for name in draw.choices([*row, "unknown", "\0"], k=draw.choice([0, 1, 1, 2])):
        value = draw.choice([*_TEXTS, *_NUMBERS, [], {}, [[]]])
        if draw.random() < 0.2:
            changed.pop(name, None)
        else:
            changed[name] = value
    return changed


def _text(value: Any) -> str:
    return "" if value is None else str(value).encode("utf-8", "replace").decode()[:2_000]


def _cut(draw: random.Random, content: bytes) -> bytes:
    """Return a body, now and then only a part of it, or with a byte changed."""
    how = draw.random()
    if how < 0.15:
        return content[: draw.randrange(len(content) + 1)]
    if how < 0.3 and content:
        place = draw.randrange(len(content))
        return content[:place] + draw.randbytes(1) + content[place + 1 :]
    return content
