"""Counts and times of the server, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Measures"]

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Measures:
    """What one application counts; each has a registry of its own, so that tests do not share any."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "purchasecast_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "purchasecast_request_seconds",
            "Seconds from a request to the end of its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._rows = Counter("purchasecast_rows_scored", "Rows scored.", ["route"], registry=self._registry)
        self._unseen = Counter(
            "purchasecast_rows_unseen",
            "Rows of a customer or product that training has not seen.",
            ["role"],
            registry=self._registry,
        )
        self._model = Gauge("purchasecast_model", "The model in use.", ["id"], registry=self._registry)
        self._reloads = Counter("purchasecast_reloads", "Reloads of the model.", ["outcome"], registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        known = method if method in {"GET", "HEAD", "POST"} else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rows(self, route: str, rows: int) -> None:
        """Count rows that were scored."""
        self._rows.labels(route).inc(rows)

    def unseen(self, role: str) -> None:
        """Count a row of an unseen customer or product."""
        self._unseen.labels(role).inc()

    def model(self, identity: str) -> None:
        """Note which model is in use."""
        self._model.clear()
        self._model.labels(identity).set(1)

    def reload(self, *, worked: bool) -> None:
        """Count a reload."""
        self._reloads.labels("done" if worked else "kept the old model").inc()

    def text(self) -> bytes:
        """Return all of it."""
        return generate_latest(self._registry)
