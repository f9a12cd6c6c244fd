"""The HTTP API: answers, limits, problems that name the field, access, reload; without a network."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import shutil
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter
from starlette.testclient import TestClient
from tests.tiny_model import TinyShop

from purchasecast.bundle import load_bundle
from purchasecast.cli import cli
from purchasecast.errors import SettingsError
from purchasecast.scorer import read_scorer
from purchasecast.serve import create_app
from purchasecast.serve.json_logs import JsonFormatter
from purchasecast.serve.model_holder import ModelHolder
from purchasecast.serve.response_models import (
    Explanation,
    ModelDescription,
    Predictions,
    Problem,
    Recommendations,
    ReloadResult,
    SearchResult,
    SimilarProducts,
)
from purchasecast.serve.settings import ServeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx2 import Response

    from purchasecast.scorer.format import ScorerWriter


HERE = "http://127.0.0.1:8000"
TOKEN = "a-token-of-some-length"


def client_of(model: Path, **settings: Any) -> TestClient:
    return TestClient(create_app(model, ServeSettings(**settings)), base_url=HERE, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[TestClient]:
    with client_of(model) as client:
        yield client


def problem(response: Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert {"type", "title", "detail"} <= set(document)
    return document


def test_rows_are_predicted_as_the_oracle_says(client: TestClient, shop: TinyShop) -> None:
    for count in (1, 7, 100):
        rows = shop.random_rows(count)
        answer = client.post("/v1/predict", json={"rows": rows}).json()
        assert answer["money"] == "EUR"
        found = [one["prediction"] for one in answer["predictions"]]
        assert found == pytest.approx([shop.predict(row) for row in rows], rel=1e-12)
    seen = [one["seen"] for one in answer["predictions"]]
    assert [s["customer"] for s in seen] == [row["Customer"] < 1040 for row in rows]


def test_asked_to_explain_the_parts_sum_to_the_prediction(client: TestClient, shop: TinyShop) -> None:
    body = {"rows": shop.random_rows(3), "explain": True}
    for one in client.post("/v1/predict", json=body).json()["predictions"]:
        total = one["base"] + sum(part["contribution"] for part in one["contributions"])
        assert total == pytest.approx(one["prediction"])
    query = {"Customer": 1003, "Product": "P004", "Quantity": 3}
    found = client.get("/v1/explain", params=query).json()
    assert found["base"] + sum(p["contribution"] for p in found["contributions"]) == pytest.approx(found["prediction"])
    full = {"Day": None} | query | shop.attributes["Customer"]["1003"] | shop.attributes["Product"]["P004"]
    assert found["prediction"] == pytest.approx(shop.predict(full))
    assert {"Product category", "Customer with Product"} <= {part["label"] for part in found["contributions"]}


class LadderShop(TinyShop):
    """The tiny shop, whose amounts of category 7 stand on the steps 20 and 40."""

    def _add_steps(self, writer: ScorerWriter, groups: list[dict[str, Any]], numbers: dict[str, int]) -> None:
        super()._add_steps(writer, groups, numbers)
        level = {"unit": 20.0, "steps": [1, 2], "low": [20.0, 40.0], "high": [24.0, 44.0]}
        fitted = {
            "centre": 2.0,
            "width": 1.0,
            "usual_spread": 0.1,
            "x_range": [0.0, 6.0],
            "precision_range": [0.5, 2.0],
            "positions": [0.0, 1.0],
            # The further the prediction is above two steps, the more speaks for the second one.
            "levels": {"7": {**level, "coefficients": [[0.0] * 5, [0.0, 2.0, 0.0, 0.0, 0.0]]}},
            "quantiles": {"": {"rows": 999, "values": [0.0, 1.0], "ranks": [0.0, 1.0]}},
        }
        entry = {"kind": "price_ladder", "group": "Category", "prediction": "prediction", "spread": "spread"}
        bounds = {"lower": "", "upper": ""}
        writer.add_step({**entry, **bounds, "level": 0.9, "fitted": fitted})


def test_asked_for_amounts_each_step_has_its_probability(shop: TinyShop, client: TestClient, tmp_path: Path) -> None:
    ladder = LadderShop()
    rows = shop.random_rows(40)
    with client_of(ladder.save(tmp_path / "model")) as asked:
        answers = asked.post("/v1/predict", json={"rows": rows, "amounts": True}).json()["predictions"]
        assert "amounts" in str(asked.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["requestBody"])
        assert "amounts" not in asked.post("/v1/predict", json={"rows": rows[:1]}).json()["predictions"][0]
        problem(asked.post("/v1/predict", json={"rows": rows, "amounts": 1}), 422)
    for row, answer in zip(rows, answers, strict=True):
        assert answer["prediction"] == pytest.approx(shop.predict(row))
        if row["Category"] != 7:
            assert answer["amounts"] == []
            continue
        steps = min(max(answer["prediction"] / 20.0, 0.0), 6.0)
        second = 1.0 / (1.0 + math.exp(-2.0 * (steps - 2.0)))
        expected = [(1, 20.0, 24.0, 1.0 - second), (2, 40.0, 44.0, second)]
        found = [(one["step"], one["low"], one["high"], one["probability"]) for one in answer["amounts"]]
        assert found == [pytest.approx(one) for one in expected]
        # The limit of probabilities that are spread evenly, at 0.9, is 0.1.
        assert [one["in_set"] for one in answer["amounts"]] == [chance >= 0.1 for *_, chance in expected]
    assert {one["in_set"] for answer in answers for one in answer["amounts"]} == {True, False}
    told = problem(client.post("/v1/predict", json={"rows": rows, "amounts": True}), 422)
    assert told["detail"].startswith("amounts: expected a model of amounts on steps")


@pytest.mark.parametrize(
    ("change", "field", "pointer", "told"),
    [
        ({"Age": "ancient"}, "Age", "#/rows/1/Age", 'expected one of young, middle, old, found "ancient"'),
        ({"Customer": "1003"}, "Customer", "#/rows/1/Customer", "expected a whole number"),
        ({"Customer": True}, "Customer", "#/rows/1/Customer", "expected a whole number"),
        ({"Quantity": 100}, "Quantity", "#/rows/1/Quantity", "from 1 to 99, found 100"),
        ({"Day": "2024-01-05"}, "Day", "#/rows/1/Day", "written as M/d/yyyy"),
        ({"Product": " "}, "Product", "#/rows/1/Product", "found nothing"),
        ({"Product": "x" * 300}, "Product", "#/rows/1/Product", "expected text"),
        ({"Agee": "old"}, "Agee", "#/rows/1/Agee", "did you mean Age?"),
        ({"a/b~c": 1}, "a/b~c", "#/rows/1/a~1b~0c", "expected a column"),
    ],
)
def test_a_wrong_value_is_named(
    client: TestClient, shop: TinyShop, change: dict[str, Any], field: str, pointer: str, told: str
) -> None:
    good, bad = shop.random_rows(2)
    found = problem(client.post("/v1/predict", json={"rows": [good, bad | change]}), 422)
    assert [(e["field"], e["pointer"]) for e in found["errors"]] == [(field, pointer)]
    assert told in found["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"rows": [{"Customer": NaN}]}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
        (b'{"rows": [' + b"9" * 5_000 + b"]}", 400),
        (b"[]", 422),
        (b'{"rows": []}', 422),
        (b'{"rows": [1]}', 422),
        (b'{"rows": [{}], "more": 1}', 422),
        (b'{"rows": [{}], "explain": "yes"}', 422),
    ],
)
def test_malformed_bodies_are_told(client: TestClient, body: bytes, status: int) -> None:
    problem(client.post("/v1/predict", content=body, headers={"content-type": "application/json"}), status)


def test_limits_hold(model: Path, shop: TinyShop) -> None:
    with client_of(model, max_rows=5, max_body_bytes=4_000, max_file_bytes=3_000, max_file_rows=10) as client:
        problem(client.post("/v1/predict", json={"rows": shop.random_rows(6)}), 422)
        problem(client.post("/v1/predict", json={"rows": ["x" * 5_000]}), 413)
        chunked = client.post(
            "/v1/predict", content=iter([b"x" * 3_000] * 3), headers={"content-type": "application/json"}
        )
        problem(chunked, 413)
        many = pd.DataFrame(shop.random_rows(11)).to_csv(index=False).encode()
        problem(client.post("/v1/predict/file", content=many, headers={"content-type": "text/csv"}), 413)
        problem(client.post("/v1/predict/file", content=many * 9, headers={"content-type": "text/csv"}), 413)
        problem(client.post("/v1/predict", content=b"x", headers={"content-type": "text/plain"}), 415)
        problem(client.post("/v1/predict/file", content=b"x", headers={"content-type": "image/png"}), 415)
        assert client.post("/v1/predict", json={"rows": shop.random_rows(5)}).status_code == 200


def test_heavy_work_keeps_its_slot_until_its_thread_ends_also_past_a_timeout(
    model: Path, shop: TinyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr("purchasecast.serve.api.recommend", lambda *_: over.wait(10) and [])
    rows = {"rows": shop.random_rows(1_000), "explain": True}
    file = pd.DataFrame(shop.random_rows(3)).to_csv(index=False).encode()
    with client_of(model, max_heavy_requests=1, request_seconds=0.3) as client:
        assert problem(client.get("/v1/recommend/1003"), 503)["detail"].startswith("The request took too long")
        for path in ("/v1/recommend/1003", "/v1/similar/P004", "/ui/result?Customer=1003&Product=P004"):
            busy = client.get(path)
            assert problem(busy, 503)["detail"].startswith("The server is busy")
            assert busy.headers["retry-after"] == "1"
        problem(client.post("/v1/predict", json=rows), 503)
        problem(client.post("/v1/predict/file", content=file, headers={"content-type": "text/csv"}), 503)
        assert client.post("/v1/predict", json={"rows": shop.random_rows(1)}).status_code == 200
        over.set()
        until = time.monotonic() + 10
        while client.get("/v1/recommend/1003").status_code == 503 and time.monotonic() < until:
            time.sleep(0.01)
        assert client.get("/v1/recommend/1003").status_code == 200


def test_whoever_watches_the_server_is_answered_under_any_load(model: Path, shop: TinyShop) -> None:
    with client_of(model, max_requests=1) as client:
        client.app._active.add(object())  # type: ignore[attr-defined]  # as if one were under way
        problem(client.post("/v1/predict", json={"rows": shop.random_rows(1)}), 503)
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/file", "/login"])
def test_a_client_that_hangs_up_is_no_mistake_of_the_server(
    model: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    kinds = {"/v1/predict": "application/json", "/v1/predict/file": "text/csv"}
    kind = kinds.get(path, "application/x-www-form-urlencoded")
    headers = [(b"host", b"localhost"), (b"content-type", kind.encode()), (b"content-length", b"900")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def hang_up() -> None:
        await create_app(model)(scope, receive, send)
        await asyncio.sleep(0)  # the line of the log comes after the answer

    with caplog.at_level(logging.INFO, logger="purchasecast"):  # a command may have set its level before
        asyncio.run(hang_up())
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.msg == "request"]
    assert (line["status"], line["level"], sent) == (499, "info", [])
    assert "error" not in line


def test_a_request_that_takes_too_long_is_ended_and_one_that_reads_no_body_is_not_late(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("purchasecast.serve.api.recommend", lambda *_: time.sleep(0.4) or [])
    with client_of(model, request_seconds=0.1) as client:
        found = client.get("/v1/recommend/1003")
        problem(found, 503)
        assert found.headers["retry-after"] == "5"
    with client_of(model, body_seconds=0.1) as client:
        assert client.request("GET", "/v1/recommend/1003", content=b"unread").status_code == 200


def test_a_mistake_of_the_server_tells_nothing(
    model: Path, shop: TinyShop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret of /etc/passwd")

    monkeypatch.setattr("purchasecast.serve.api.predict_rows", fail)
    with client_of(model) as client, caplog.at_level(logging.INFO):
        answer = client.post("/v1/predict", json={"rows": shop.random_rows(1)}, headers={"x-request-id": "abc-1"})
    problem(answer, 500)
    assert answer.headers["x-request-id"] == "abc-1"
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("RuntimeError at" in line and "abc-1" in line for line in lines)
    assert not any(word in line for line in [answer.text, *lines] for word in ("secret", "passwd", "Traceback", ".py"))


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/healthz", "/v1/model", "/nothing", "/static/page.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert len(headers["x-request-id"]) == 32
        assert "access-control-allow-origin" not in headers
    assert client.get("/healthz", headers={"x-request-id": "bad id\t"}).headers["x-request-id"] != "bad id\t"


def test_a_token_keeps_everybody_else_out(model: Path, shop: TinyShop) -> None:
    with client_of(model, host="0.0.0.0", token=TOKEN) as client:
        for path in ("/v1/model", "/metrics", "/openapi.json", "/report", "/ui/result", "/v1/search/customer"):
            found = client.get(path)
            assert problem(found, 401)
            assert found.headers["www-authenticate"] == "Bearer"
        wrong = [
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": TOKEN},
            {"cookie": "purchasecast_session=1.2"},
        ]
        for headers in wrong:
            problem(client.post("/v1/predict", json={"rows": shop.random_rows(1)}, headers=headers), 401)
        right = {"authorization": f"Bearer {TOKEN}"}
        assert client.post("/v1/predict", json={"rows": shop.random_rows(1)}, headers=right).status_code == 200
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert TOKEN not in client.get("/v1/model", headers=right).text


def test_the_page_signs_in_with_a_cookie(model: Path) -> None:
    with client_of(model, host="0.0.0.0", token=TOKEN) as client:
        assert "Access token" in client.get("/").text
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        answer = client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        assert answer.status_code == 303
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "SameSite=strict" in answer.headers["set-cookie"]
        assert TOKEN not in answer.headers["set-cookie"]
        assert "Predict a purchase" in client.get("/").text
        assert client.get("/v1/model").status_code == 200
        until, _, signature = client.cookies["purchasecast_session"].partition(".")
        client.cookies.clear()
        forged = {"cookie": f"purchasecast_session={int(until) + 1}.{signature}"}
        problem(client.get("/v1/model", headers=forged), 401)


def test_a_public_address_needs_a_token() -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "example.com"):
        with pytest.raises(SettingsError, match="no token"):
            ServeSettings(host=host)
    assert ServeSettings(host="0.0.0.0", token=TOKEN).host == "0.0.0.0"
    for host in ("127.0.0.1", "::1", "localhost"):
        ServeSettings(host=host)
    with pytest.raises(SettingsError, match="at least 16"):
        ServeSettings(token="short")


def test_other_sites_cannot_use_the_browser(client: TestClient, shop: TinyShop) -> None:
    body = {"rows": shop.random_rows(1)}
    problem(client.post("/v1/predict", json=body, headers={"host": "evil.example"}), 421)
    problem(client.post("/v1/reload", headers={"sec-fetch-site": "cross-site"}), 403)
    assert client.post("/v1/reload", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert client.get("/healthz", headers={"host": "[::1]:8000"}).status_code == 200


def test_recommendations_without_offers_are_by_prediction_and_popularity(client: TestClient, shop: TinyShop) -> None:
    found = client.get("/v1/recommend/1003", params={"limit": 5}).json()["recommendations"]
    row = {"Customer": 1003, "Quantity": 2, "Day": "5/6/2024"} | shop.attributes["Customer"]["1003"]
    expected = {
        key: shop.predict(row | {"Product": key} | shop.attributes["Product"][key]) for key in shop.effect["Product"]
    }
    best = sorted(expected, key=lambda key: -expected[key] * shop.rows["Product"][key])[:5]
    assert best != sorted(expected, key=lambda key: -expected[key])[:5]
    assert [item["product"] for item in found] == best
    assert [item["prediction"] for item in found] == pytest.approx([expected[key] for key in best])
    problem(client.get("/v1/recommend/999"), 404)
    assert problem(client.get("/v1/recommend/1003?limit=0"), 422)["errors"][0]["field"] == "limit"


def test_what_the_model_knows_can_be_searched(client: TestClient, shop: TinyShop) -> None:
    found = client.get("/v1/search/product", params={"q": "P00", "limit": 2}).json()["found"]
    assert [one["id"] for one in found] == ["P000", "P001"]
    assert found[0]["attributes"] == shop.attributes["Product"]["P000"]
    assert len(client.get("/v1/similar/P003").json()["similar"]) == 8
    problem(client.get("/v1/similar/none"), 404)
    problem(client.get("/v1/search/moon"), 422)


def test_machines_can_watch(client: TestClient, shop: TinyShop) -> None:
    client.post("/v1/predict", json={"rows": [shop.random_rows(1)[0] | {"Product": "new"}]})
    text = client.get("/metrics").text
    assert 'purchasecast_requests_total{method="POST",route="/v1/predict",status="200"}' in text
    assert 'purchasecast_rows_unseen_total{role="product"}' in text
    assert "purchasecast_request_seconds_bucket" in text
    described = client.get("/v1/model").json()
    assert described["metrics"]["rmse"] == 12.5
    assert described["known"] == {"customers": 40, "products": 26}
    assert described["evaluation"]["computed_on"] == "A holdout."


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_csv_file_comes_back_with_predictions(client: TestClient, shop: TinyShop, delimiter: str) -> None:
    rows = shop.random_rows(200)
    frame = pd.DataFrame(rows).astype({"Quantity": "Int64", "Category": "Int64"})
    frame.loc[0, "Product"] = f'a{delimiter} "quoted" one'
    rows[0]["Product"] = frame.loc[0, "Product"]
    text = "\ufeff" + frame.to_csv(index=False, sep=delimiter, lineterminator="\r\n")
    answer = client.post("/v1/predict/file", files={"file": ("My sales.csv", text.encode(), "text/csv")})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="My_sales.scored.csv"'
    assert answer.headers["x-rows"] == "200"
    found = pd.read_csv(io.BytesIO(answer.content), sep=delimiter)
    assert list(found.columns) == [*frame.columns, "prediction", "problem"]
    assert found["Product"][0] == rows[0]["Product"]
    assert found["prediction"].to_numpy() == pytest.approx([shop.predict(row) for row in rows], rel=1e-12)
    raw = client.post("/v1/predict/file", content=text.encode(), headers={"content-type": "text/csv"})
    assert raw.content == answer.content


def test_a_parquet_file_comes_back_with_predictions(client: TestClient, shop: TinyShop) -> None:
    rows = shop.random_rows(50)
    sink = io.BytesIO()
    pd.DataFrame(rows).to_parquet(sink)
    kind = "application/vnd.apache.parquet"
    answer = client.post("/v1/predict/file", content=sink.getvalue(), headers={"content-type": kind})
    assert answer.headers["content-type"] == kind
    found = pd.read_parquet(io.BytesIO(answer.content))
    assert found["prediction"].to_numpy() == pytest.approx([shop.predict(row) for row in rows], rel=1e-12)
    cut = client.post("/v1/predict/file", content=sink.getvalue()[:-20], headers={"content-type": kind})
    assert "damaged" in problem(cut, 422)["detail"]


def test_bad_rows_of_a_file_are_told_and_the_others_scored(client: TestClient, shop: TinyShop) -> None:
    frame = pd.DataFrame(shop.random_rows(4)).astype({"Quantity": "Int64", "Category": "Int64"})
    frame.loc[2, "City"] = "Z"
    answer = client.post("/v1/predict/file", content=frame.to_csv(index=False), headers={"content-type": "text/csv"})
    found = pd.read_csv(io.BytesIO(answer.content))
    assert answer.headers["x-rows-without-prediction"] == "1"
    assert found["problem"].fillna("").tolist() == ["", "", "City: not in domain", ""]
    assert found["prediction"].isna().tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "nothing"),
        (b"Customer,Product\n1,2\n", "missing: Age"),
        (b"Customer,Product,Age,City,Category,Quantity,Day\n", "header alone"),
        (b"Customer,Product,Age,City,Category,Quantity,Day\n1,2,old\n", "line 2: expected 7 fields, found 3"),
        (b"Customer,Product,Age,City,Category,Quantity,Day\n1,\xff,old,A,1,1,\n", "UTF-8"),
        (b"\x00\x01\x02" * 100, ""),
    ],
)
def test_malformed_files_are_told(client: TestClient, content: bytes, told: str) -> None:
    found = problem(client.post("/v1/predict/file", content=content, headers={"content-type": "text/csv"}), 422)
    assert told in found["detail"]


@pytest.mark.parametrize("names", [["\0" * 50_000], [f"column {k}" for k in range(20_000)], ["Customer"] * 20_000])
def test_a_monstrous_header_gets_a_short_answer_soon(client: TestClient, names: list[str]) -> None:
    started = time.monotonic()
    content = (",".join(names) + "\n1\n").encode()
    answer = client.post("/v1/predict/file", content=content, headers={"content-type": "text/csv"})
    problem(answer, 422)
    assert len(answer.content) < 5_000
    assert time.monotonic() - started < 5.0  # was two minutes


@pytest.mark.parametrize(
    "body",
    [{"rows": [{"\0" * 50_000: 1}]}, {"\0" * 50_000: 1}, {"rows": [{"\0" * 900 + str(k): 1} for k in range(90)]}],
)
def test_an_answer_does_not_repeat_all_that_was_sent(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/v1/predict", json=body)
    problem(answer, 422)
    assert len(answer.content) < 40_000  # was 600,000


def test_a_spreadsheet_finds_no_formula_in_a_scored_file(client: TestClient, shop: TinyShop) -> None:
    products = ['=HYPERLINK("http://evil","x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "-20", "plain"]
    frame = pd.DataFrame([row | {"note_=1": "=2"} for row in shop.random_rows(len(products))])
    frame["Product"] = products
    frame = frame.astype({"Quantity": "Int64", "Category": "Int64"})
    text = frame.to_csv(index=False)
    answer = client.post("/v1/predict/file", content=text, headers={"content-type": "text/csv"})
    found = pd.read_csv(io.BytesIO(answer.content), dtype=str)
    assert found["Product"].tolist() == [*(f"'{product}" for product in products[:4]), "-20", "plain"]
    assert set(found["note_=1"]) == {"'=2"}
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    kind = "application/vnd.apache.parquet"
    answer = client.post("/v1/predict/file", content=parquet.getvalue(), headers={"content-type": kind})
    assert pd.read_parquet(io.BytesIO(answer.content))["Product"].tolist() == products


def test_a_form_without_a_file_is_told(client: TestClient) -> None:
    found = problem(client.post("/v1/predict/file", files={"other": ("x.csv", b"1")}), 422)
    assert found["errors"][0]["field"] == "file"
    broken = client.post(
        "/v1/predict/file", content=b"--x\r\nnothing", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code in {400, 422}
    problem(broken, broken.status_code)


def test_a_new_model_is_taken_up_and_a_bad_one_is_not(tmp_path: Path) -> None:
    TinyShop().save(tmp_path / "model")
    shutil.copytree(tmp_path / "model", tmp_path / "first")
    other = TinyShop(seed=6)
    row = other.random_rows(1)[0]
    with client_of(tmp_path / "model") as client:
        before = client.post("/v1/predict", json={"rows": [row]}).json()
        other.save(tmp_path / "model")
        assert client.post("/v1/reload").json()["changed"] is True
        after = client.post("/v1/predict", json={"rows": [row]}).json()
        assert after["model"] != before["model"]
        assert after["predictions"][0]["prediction"] == pytest.approx(other.predict(row))
        (tmp_path / "model" / "scorer" / "levels" / "0.arrow").write_bytes(b"broken")
        found = problem(client.post("/v1/reload"), 409)
        assert after["model"] in found["detail"]
        assert str(tmp_path) not in json.dumps(found)
        assert client.post("/v1/predict", json={"rows": [row]}).json() == after
        assert 'outcome="kept the old model"' in client.get("/metrics").text


def test_a_model_that_is_replaced_while_it_is_read_is_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = TinyShop(), TinyShop(seed=6)
    first.save(tmp_path / "model")
    before = load_bundle(tmp_path / "model").manifest
    waiting = [second]

    def replace_and_read(source: Any) -> Any:
        if waiting:
            waiting.pop().save(tmp_path / "model")  # after the manifest was read, and before the scorer
        return read_scorer(source)

    monkeypatch.setattr("purchasecast.serve.model_holder.read_scorer", replace_and_read)
    served = ModelHolder(tmp_path / "model").served
    row = second.random_rows(1)[0]
    assert served.scorer.predict_one(row).prediction == pytest.approx(second.predict(row))
    assert served.bundle.manifest == load_bundle(tmp_path / "model").manifest != before


def test_a_model_that_vanishes_leaves_the_old_one(tmp_path: Path) -> None:
    shop = TinyShop()
    shop.save(tmp_path / "model")
    with client_of(tmp_path / "model") as client:
        shutil.rmtree(tmp_path / "model")
        problem(client.post("/v1/reload"), 409)
        assert client.post("/v1/predict", json={"rows": shop.random_rows(1)}).status_code == 200


def test_a_report_is_one_click_away_and_no_other_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = TinyShop().save(tmp_path / "model")
    drawn = SimpleNamespace(  # drawing a real one takes seconds
        read_report=lambda *_, **__: None,
        render_report=lambda _: "<!doctype html><title>All about it</title>",
        write_page=lambda html, page: [page.write_text(html), page][1],
    )
    monkeypatch.setitem(sys.modules, "purchasecast.report", drawn)
    with client_of(path) as client:
        assert "/report" not in client.get("/").text
        for keep in ("--no-keep", "--keep"):
            arguments = ["report", str(path), "--out", str(tmp_path / "page.html"), keep]
            shown = CliRunner().invoke(cli, arguments)
            assert shown.exit_code == 0, shown.output
            assert client.post("/v1/reload").json()["changed"] is False
            assert ('href="/report"' in client.get("/").text) == (keep == "--keep")
        found = client.get("/report")
        assert found.content == (tmp_path / "page.html").read_bytes()
        assert "sandbox" in found.headers["content-security-policy"]


def test_a_result_without_a_question_names_what_is_missing(client: TestClient) -> None:
    found = client.get("/ui/result")
    assert found.status_code == 422
    assert 'data-field="Customer"' in found.text


def test_wrong_methods_and_addresses_are_problems(client: TestClient) -> None:
    found = client.get("/v1/predict")
    problem(found, 405)
    assert found.headers["allow"] == "POST"
    problem(client.get("/v2/predict"), 404)
    problem(client.get("/report"), 404)


def test_the_api_describes_itself_by_the_model(client: TestClient, shop: TinyShop) -> None:
    document = client.get("/openapi.json").json()
    row = document["components"]["schemas"]["Row"]
    assert row["required"] == ["Customer", "Product"]
    assert row["properties"]["Age"]["enum"] == ["young", "middle", "old"]
    assert row["additionalProperties"] is False
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = body["examples"]["two rows"]["value"]
    assert client.post("/v1/predict", json=example).status_code == 200
    assert {"/", "/login", "/report"}.isdisjoint(document["paths"])


def test_answers_are_of_the_types_that_the_document_names(client: TestClient, shop: TinyShop) -> None:
    question = "Customer=1003&Product=P004"
    rows = {"rows": shop.random_rows(2), "explain": True}
    answers: dict[Any, Any] = {
        Predictions: client.post("/v1/predict", json=rows).json(),
        Explanation: client.get(f"/v1/explain?{question}").json(),
        Recommendations: client.get("/v1/recommend/1003").json(),
        SimilarProducts: client.get("/v1/similar/P004").json(),
        SearchResult: client.get("/v1/search/product").json(),
        ModelDescription: client.get("/v1/model").json(),
        ReloadResult: client.post("/v1/reload").json(),
        Problem: client.get("/v1/explain?Customer=x").json(),
    }
    described = client.get("/openapi.json").json()["components"]["schemas"]
    for kind, answer in answers.items():
        TypeAdapter(kind).validate_python(answer)
        assert set(answer) <= set(kind.__annotations__) == set(described[kind.__name__]["properties"])
