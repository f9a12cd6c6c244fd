"""Recommendations and audiences of a model with offers: by expected revenue, with reasons, without Java."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from starlette.testclient import TestClient
from tests.tiny_model import SCHEMA, TinyShop

from purchasecast.bundle import save_bundle
from purchasecast.numerics.purchases.fit import FitSettings, fit_purchase_model
from purchasecast.numerics.purchases.history import Purchases
from purchasecast.schema import Schema
from purchasecast.scorer import load as load_scorer
from purchasecast.scorer.offers import read_offers, write_offers
from purchasecast.serve import create_app
from purchasecast.serve.campaign import CampaignLines, CampaignSettings, campaign_view
from purchasecast.serve.settings import ServeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from purchasecast.scorer.offers import OfferScorer


def add_offers(shop: TinyShop, folder: Path) -> None:
    """Let customers with even numbers buy products with even numbers."""
    rng = np.random.default_rng(6)
    likes = (np.arange(shop.customers)[:, None] + np.arange(shop.products)[None, :]) % 2 == 0
    bought = rng.random(likes.shape) < np.where(likes, 0.5, 0.05)
    customer, product = np.nonzero(bought)
    rows = Purchases(customer, product, None, *likes.shape)
    none = sparse.csr_matrix((shop.customers, 0), dtype=np.float32)
    model, history = fit_purchase_model(rows, none, np.zeros(shop.products, np.int64), FitSettings(penalty=5.0))
    lists = np.split(history.product, history.indptr[1:-1])
    ones = [np.ones(len(items)) for items in lists]
    customers = pa.table(
        {
            "customer": [str(1000 + k) for k in range(shop.customers)],
            "items": pa.array([items.tolist() for items in lists], pa.list_(pa.int32())),
            **{
                name: pa.array([one.tolist() for one in ones], pa.list_(pa.float32())) for name in ("counts", "recents")
            },
            "ages": pa.array([(0 * one).tolist() for one in ones], pa.list_(pa.float32())),
            "attributes": pa.array([[]] * shop.customers, pa.list_(pa.string())),
        }
    )
    products = pa.table({"number": range(shop.products), "level": [f"P{k:03d}" for k in range(shop.products)]})
    write_offers(folder, model.to_bytes(), products, customers, [])


@pytest.fixture(scope="module")
def folder(shop: TinyShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def write_parts(folder: Path) -> None:
        shop.write(folder / "scorer")
        add_offers(shop, folder / "scorer")

    path = tmp_path_factory.mktemp("offers") / "model"
    save_bundle(path, write_parts=write_parts, documents={}, manifest={"schema": Schema.from_dict(SCHEMA).to_dict()})
    return path


@pytest.fixture(scope="module")
def offers(folder: Path) -> OfferScorer:
    found = read_offers(folder / "scorer")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    app = create_app(folder, ServeSettings())
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def test_a_customer_and_a_product_agree_on_their_probability(offers: OfferScorer) -> None:
    for one in offers.best_products("1004", 8):
        (same,) = [other for other in offers.best_customers(one.product, 1_000) if other.customer == "1004"]
        assert same.probability == pytest.approx(one.probability, rel=1e-5)
        assert same.because == one.because
    assert offers.best_products("nobody") == []
    assert offers.best_customers("nothing") == []


def test_recommendations_are_by_expected_revenue_and_give_reasons(client: TestClient) -> None:
    answer = client.get("/v1/recommend/1004?limit=6").json()
    items = answer["recommendations"]
    assert len(items) == 6
    revenues = [item["chance"]["expected_revenue"] for item in items]
    assert revenues == sorted(revenues, reverse=True)
    for item in items:
        told = item["chance"]["probability"] * max(item["prediction"], 0.0)
        assert item["chance"]["expected_revenue"] == pytest.approx(told, rel=1e-3)
        assert not item["chance"]["bought_before"]
    likely = max(items, key=lambda item: item["chance"]["probability"])
    assert all(int(product[1:]) % 2 == 0 for product in likely["chance"]["because"])
    assert likely["chance"]["because"]


def test_an_audience_has_the_customers_of_a_product(client: TestClient) -> None:
    members = client.get("/v1/audience/P006?limit=5").json()["audience"]
    revenues = [member["chance"]["expected_revenue"] for member in members]
    assert revenues == sorted(revenues, reverse=True)
    assert len({member["customer"] for member in members}) == 5
    assert client.get("/v1/audience/none").status_code == 404


def test_answers_take_milliseconds(offers: OfferScorer) -> None:
    offers.best_customers("P006", 10)
    started = time.perf_counter()
    for _ in range(20):
        offers.best_products("1004", 10)
        offers.best_customers("P006", 10)
    assert (time.perf_counter() - started) / 20 < 0.05


def test_a_model_without_offers_says_so(model: Path) -> None:
    assert read_offers(model / "scorer") is None
    with TestClient(create_app(model, ServeSettings()), base_url="http://127.0.0.1:8000") as client:
        assert "chance" not in client.get("/v1/recommend/1004").json()["recommendations"][0]
        assert client.get("/v1/audience/P006").status_code == 404


def test_the_page_shows_how_likely_and_why(client: TestClient) -> None:
    page = client.get("/ui/result?Customer=1004&Product=P004").text
    assert "% likely" in page
    assert "bought P" in page


def test_the_page_of_a_product_shows_its_best_customers(client: TestClient) -> None:
    page = client.get("/ui/result?Customer=1004&Product=P004").text
    assert "Best customers for this product" in page
    members = client.get("/v1/audience/P004?limit=6").json()["audience"]
    assert all(f"Customer={member['customer']}" in page for member in members)


def test_a_campaign_is_planned_at_any_budget_and_margin(folder: Path, offers: OfferScorer) -> None:
    source = CampaignLines(load_scorer(folder), offers)
    whole = campaign_view(source, CampaignSettings(contacts=10**6, cost=0.0, margin=100.0, each=2))
    lines = source.lines()
    assert np.bincount(lines.customer).max() <= 10
    revenue = lines.probability * lines.amount
    of_two = sum(np.sort(revenue[lines.customer == k])[-2:].sum() for k in np.unique(lines.customer))
    assert whole["profit"] == pytest.approx(of_two)
    cost = float(np.median(revenue)) / 2
    best = campaign_view(source, CampaignSettings(contacts=10**6, cost=cost, margin=50.0, each=10))
    assert best["contacts"] == (0.5 * revenue > cost).sum()
    assert best["profit"] == pytest.approx(np.maximum(0.5 * revenue - cost, 0).sum())
    few = campaign_view(source, CampaignSettings(contacts=3, cost=cost, margin=50.0, each=10))
    assert few["profit"] == pytest.approx((0.5 * np.sort(revenue)[-3:] - cost).sum())
    assert few["curve"]["best"] == best["contacts"]


def test_the_lines_of_a_campaign_are_those_of_single_customers(folder: Path, offers: OfferScorer) -> None:
    lines = CampaignLines(load_scorer(folder), offers).lines()
    own = lines.customer == lines.customers.index("1004")
    single = {one.product: one.probability for one in offers.best_products("1004", 40)}
    told = {lines.products[k]: p for k, p in zip(lines.product[own], lines.probability[own], strict=True)}
    assert told == pytest.approx({product: single[product] for product in told})


def test_the_page_of_a_campaign_takes_any_number_and_keeps_to_its_limits(client: TestClient) -> None:
    assert 'href="/campaign"' in client.get("/").text
    page = client.get("/campaign?contacts=4&cost=0.5&margin=40&each=2").text
    assert 'type="range"' in page
    assert "--budget 4 --cost 0.5 --margin 0.4 --max-per-customer 2" in page
    part = client.get("/ui/campaign?contacts=4&cost=0.5&margin=40&each=2").text
    assert part.strip() in page
    for query in ("contacts=x&cost=&margin=-4&each=99", "contacts=0", "cost=1e9"):
        assert client.get(f"/campaign?{query}").status_code == 200


def test_a_model_without_offers_has_no_campaign(model: Path) -> None:
    with TestClient(create_app(model, ServeSettings()), base_url="http://127.0.0.1:8000") as client:
        assert "/campaign" not in client.get("/").text
        assert client.get("/campaign").status_code == 404
