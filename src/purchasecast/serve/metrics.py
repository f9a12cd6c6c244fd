"""Counts and times of the server, in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

# Seconds: a row takes less than a millisecond, a file up to a minute.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The metrics of one application, in a registry of their own, so that tests do not share them."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "purchasecast_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "purchasecast_request_seconds",
            "Seconds from a request to the end of its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._rows = Counter("purchasecast_rows_scored", "Rows scored.", ["route"], registry=registry)
        self._unseen = Counter(
            "purchasecast_rows_unseen",
            "Rows whose customer or product is not in the training data.",
            ["role"],
            registry=registry,
        )
        self._model = Gauge("purchasecast_model", "The model in use.", ["id"], registry=registry)
        self._reloads = Counter("purchasecast_reloads", "Reloads of the model.", ["outcome"], registry=registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request and the time it took."""
        # A client may invent methods; each label would become a time series of its own.
        label = method if method in {"GET", "HEAD", "POST"} else "other"
        self._requests.labels(label, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_rows(self, route: str, rows: int) -> None:
        """Count scored rows."""
        self._rows.labels(route).inc(rows)

    def count_unseen(self, role: str) -> None:
        """Count a row whose customer or product is unseen."""
        self._unseen.labels(role).inc()

    def set_model(self, identity: str) -> None:
        """Set which model is in use."""
        self._model.clear()
        self._model.labels(identity).set(1)

    def count_reload(self, *, worked: bool) -> None:
        """Count a reload by its outcome."""
        self._reloads.labels("done" if worked else "kept the old model").inc()

    def text(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self._registry)
