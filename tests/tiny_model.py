"""A tiny portable model, written by hand from plain dictionaries, and a slow oracle of what it must predict."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.bundle import save_bundle
from purchasecast.schema import Schema
from purchasecast.scorer.format import ScorerWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RANK = 3
SCHEMA = {
    "name": "corner shop",
    "money": "EUR",
    "key": ["Customer", "Product"],
    "ignore": ["note_*"],
    "columns": [
        {"name": "Customer", "kind": "nominal", "type": "integer", "role": "customer"},
        {"name": "Product", "kind": "nominal", "role": "product"},
        {"name": "Age", "kind": "ordinal", "order": ["young", "middle", "old"], "of": "customer"},
        {"name": "City", "kind": "nominal", "domain": ["A", "B", "C"], "of": "customer"},
        {
            "name": "Category",
            "kind": "nominal",
            "type": "integer",
            "minimum": 1,
            "null": "level",
            "of": "product",
            "title": "Product category",
        },
        {"name": "Quantity", "kind": "numeric", "type": "integer", "minimum": 1, "maximum": 99, "null": "unknown"},
        {"name": "Day", "kind": "date", "format": "M/d/yyyy", "calendar": ["month", "dayofweek"], "null": "unknown"},
        {"name": "Spend", "kind": "numeric", "role": "target"},
    ],
}


@dataclass
class TinyShop:
    """All numbers of the model, by name; `predict` is the oracle."""

    seed: int = 5
    customers: int = 40
    products: int = 25
    labels: dict[str, list[str]] = field(default_factory=dict)
    effect: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    factors: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)
    attributes: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    means: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.labels = {
            "Age": ["middle", "young", "old"],
            "City": ["C", "A", "B"],
            "Category": ["7", "(none)", "12"],
        }
        keys = {
            "Customer": [str(1000 + k) for k in range(self.customers)],
            "Product": [f"P{k:03d}" for k in range(self.products)] + ["Ünï côde"],
        }
        for column, names in keys.items():
            self.effect[column] = {key: float(random.normal(0, 20)) for key in names}
            self.rows[column] = {key: float(random.integers(1, 50)) for key in names}
            # Single precision, as Spark's ALS computes.
            self.factors[column] = {key: [float(np.float32(x)) for x in random.normal(0, 1, RANK)] for key in names}
        del self.factors["Customer"]["1007"]  # whose purchases were all of unknown products: effects, but no taste
        self.scale = {key: float(random.uniform(1, 5)) for key in keys["Product"]}
        self.attributes["Customer"] = {
            key: {"Age": str(random.choice(["young", "middle", "old"])), "City": str(random.choice(["A", "B", "C"]))}
            for key in keys["Customer"]
        }
        self.attributes["Product"] = {
            key: {"Category": [None, 7, 12][int(random.integers(3))]} for key in keys["Product"]
        }
        # What attributes say of who has no factors: a constant and one a level; of products the scale's logarithm, too.
        self.means = {
            column: {
                "constant": random.normal(0, 1, width).tolist(),
                "levels": {name: random.normal(0, 1, (3, width)).tolist() for name in names},
            }
            for column, width, names in (("Customer", RANK, ["Age", "City"]), ("Product", RANK + 1, ["Category"]))
        }
        self.level_effects = {name: random.normal(0, 5, 3).tolist() for name in self.labels}
        self.one_hot = {name: random.normal(0, 3, 3).tolist() for name in self.labels}
        self.slopes = {"Quantity": 2.5, "Day month": -0.5, "Day dayofweek": 0.25}
        self.weights = {"Quantity": 0.75, "Day month": 0.1, "Day dayofweek": -0.2}
        self.fills = {"Quantity": 3.0, "Day month": 6.0, "Day dayofweek": 4.0}
        self.group_weights = {"Customer": 0.3, "Product": 0.2}
        self.fitted_weight, self.taste_weight = 0.9, 1.1
        self.intercepts = (50.0, 4.0)  # of the attributes' baseline, of the regression

    def predict(self, row: Mapping[str, Any]) -> float:
        """Say what the model must predict, in the most obvious way."""
        customer, product = str(row["Customer"]), str(row["Product"])
        texts = {
            "Age": row["Age"],
            "City": row["City"],
            "Category": "(none)" if row["Category"] is None else str(row["Category"]),
        }
        numbers = dict(self.fills)
        if row["Quantity"] is not None:
            numbers["Quantity"] = float(row["Quantity"])
        if row["Day"] is not None:
            month, day, year = map(int, row["Day"].split("/"))
            numbers["Day month"] = float(month)
            numbers["Day dayofweek"] = float(date(year, month, day).isoweekday() % 7 + 1)
        baseline, regression = self.intercepts
        for name, text in texts.items():
            if text in self.labels[name]:
                baseline += self.level_effects[name][self.labels[name].index(text)]
                regression += self.one_hot[name][self.labels[name].index(text)]
        for name, number in numbers.items():
            baseline += self.slopes[name] * number
            regression += self.weights[name] * number
        fitted = baseline
        for column, key in (("Customer", customer), ("Product", product)):
            effect = self.effect[column].get(key, 0.0)
            fitted += effect
            regression += self.group_weights[column] * effect
        left = self.factors["Customer"].get(customer) or self.expected("Customer", texts)
        right = [*self.factors["Product"][product], math.log(self.scale[product])] if product in self.scale else []
        *right, log_scale = right or self.expected("Product", texts)
        taste = math.exp(log_scale) * sum(u * v for u, v in zip(left, right, strict=True))
        return max(regression + self.fitted_weight * fitted + self.taste_weight * taste, 0.0)

    def expected(self, column: str, texts: Mapping[str, str]) -> list[float]:
        """Say what the attributes of a row make of a customer or product without factors."""
        found = list(self.means[column]["constant"])
        for name, levels in self.means[column]["levels"].items():
            if texts[name] in self.labels[name]:
                contribution = levels[self.labels[name].index(texts[name])]
                found = [a + b for a, b in zip(found, contribution, strict=True)]
        return found

    def random_rows(self, count: int, seed: int = 1) -> list[dict[str, Any]]:
        """Draw rows, some with unseen levels and nulls."""
        random = np.random.default_rng(seed)
        return [
            {
                "Customer": int(1000 + random.integers(self.customers + 5)),
                "Product": f"P{random.integers(self.products + 4):03d}",
                "Age": str(random.choice(["young", "middle", "old"])),
                "City": str(random.choice(["A", "B", "C"])),
                "Category": [None, 7, 12, 13][int(random.integers(4))],
                "Quantity": [None, int(random.integers(1, 99))][int(random.integers(2))],
                "Day": [None, f"{random.integers(1, 13)}/{random.integers(1, 29)}/2024"][int(random.integers(2))],
            }
            for _ in range(count)
        ]

    def write(self, folder: Path, *, self_test: bool = True) -> None:
        """Write the scorer's folder."""
        writer = ScorerWriter(Schema.from_dict(SCHEMA))
        groups, numbers = [], {}
        for column in ("Customer", "Product"):
            keys = list(self.effect[column])
            number = writer.add_levels([column], pa.array(keys))
            numbers[column] = number
            for name, values in (("effect", self.effect[column]), ("rows", self.rows[column])):
                writer.add_values(number, name, pa.array([*values.values(), 0.0]))
            writer.add_values(number, "mean", pa.array([*[60.0 + v for v in self.effect[column].values()], np.nan]))
            factors = [self.factors[column].get(key, [0.0] * RANK) for key in keys]
            flat = np.array([*factors, [0.0] * RANK], dtype=np.float32)
            writer.add_values(number, "factors", pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), RANK))
            writer.add_values(number, "rated", pa.array([*[float(key in self.factors[column]) for key in keys], 0.0]))
            for name in next(iter(self.attributes[column].values())):
                texts = [self.attributes[column][key][name] for key in keys]
                values = [None if text is None else str(text) for text in texts]
                writer.add_values(number, f"attribute {name}", pa.array([*values, None], pa.string()))
            count = f"{column} rows"
            groups.append(
                {"levels": number, "effect": "effect", "rows": "rows", "output": f"e {column}", "count": count}
            )
        writer.add_values(numbers["Product"], "scale", pa.array([*self.scale.values(), 2.0]))
        self._add_steps(writer, groups, numbers)
        known = {
            role: {
                "levels": numbers[column],
                "rows": "rows",
                "mean": "mean",
                "attributes": {n: f"attribute {n}" for n in next(iter(self.attributes[column].values()))},
                "factors": ["factors"],
            }
            for role, column in (("customer", "Customer"), ("product", "Product"))
        }
        writer.set("known", known)
        writer.set("typical", {"Quantity": 2, "Day": "5/6/2024"})
        writer.set("averages", [{"columns": ["City"], "average": 1.5}, {"columns": ["Customer"], "average": -0.5}])
        tests = self.random_rows(6) if self_test else []
        writer.set("self_test", [{"row": row, "prediction": self.predict(row)} for row in tests])
        writer.write(folder)

    def _add_steps(self, writer: ScorerWriter, groups: list[dict[str, Any]], numbers: dict[str, int]) -> None:
        made = {"Quantity": ("Quantity", None), "Day month": ("Day", "month"), "Day dayofweek": ("Day", "dayofweek")}
        columns = [
            {"column": c, "part": part, "output": f"x {name}", "fill": self.fills[name]}
            for name, (c, part) in made.items()
        ]
        writer.add_step({"kind": "numeric", "columns": columns})
        indexed = [
            {
                "column": name,
                "text": f"l {name}",
                "output": f"i {name}",
                "null": "(none)" if name == "Category" else "(unknown)",
                "labels": labels,
            }
            for name, labels in self.labels.items()
        ]
        writer.add_step({"kind": "index", "columns": indexed})
        attributes = {
            "intercept": self.intercepts[0],
            "levels": {f"i {name}": effects for name, effects in self.level_effects.items()},
            "slopes": {f"x {name}": slope for name, slope in self.slopes.items()},
        }
        writer.add_step(
            {
                "kind": "crossed_effects",
                "baseline": "baseline",
                "fitted": "fitted",
                "groups": groups,
                "attributes": attributes,
            }
        )
        means = {
            column: {**of, "levels": {f"i {name}": levels for name, levels in of["levels"].items()}}
            for column, of in self.means.items()
        }
        writer.add_step(
            {
                "kind": "latent_factors",
                "user": numbers["Customer"],
                "item": numbers["Product"],
                "factors": "factors",
                "rated": "rated",
                "item_scale": "scale",
                "user_means": means["Customer"],
                "item_means": means["Product"],
                "output": "taste",
                "scale": "spread",
                "user_outputs": "u",
                "item_outputs": "v",
            }
        )
        features: list[dict[str, Any]] = [{"column": f"i {name}", "size": 3} for name in self.labels]
        scalars = [*[f"x {name}" for name in made], "e Customer", "e Product", "fitted", "taste"]
        writer.add_vector("features", [*features, *[{"column": name} for name in scalars]])
        coefficients = [weight for name in self.labels for weight in self.one_hot[name]]
        coefficients += [self.weights[name] for name in made]
        coefficients += [*self.group_weights.values(), self.fitted_weight, self.taste_weight]
        writer.add_step(
            {
                "kind": "linear",
                "features": "features",
                "output": "raw",
                "intercept": self.intercepts[1],
                "coefficients": coefficients,
            }
        )
        writer.add_step({"kind": "clip", "input": "raw", "output": "prediction", "minimum": 0.0})

    def save(self, path: Path) -> Path:
        """Write a bundle that holds the scorer."""
        manifest = {
            "schema": Schema.from_dict(SCHEMA).to_dict(),
            "data": {"rows": 1_000, "columns": [], "hash": hashlib.sha256(b"tiny").hexdigest()[:16]},
            "metrics": {"rmse": 12.5, "mae": 9.0, "r2": 0.8},
            "settings": {"model": "linear"},
        }
        save_bundle(
            path,
            write_parts=lambda folder: self.write(folder / "scorer"),
            documents={"evaluation": {"rows": 200, "rmse": 12.5, "mae": 9.0, "r2": 0.8, "computed_on": "A holdout."}},
            manifest=manifest,
        )
        return path


@pytest.fixture(scope="session")
def shop() -> TinyShop:
    return TinyShop()


@pytest.fixture(scope="session")
def model(shop: TinyShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with nothing but a scorer."""
    return shop.save(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def scorer_json(model: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((model / "scorer" / "scorer.json").read_text())
    return document


class LiveServer:
    """A server in a process of its own, as users run it."""

    def __init__(self, model: Path, log: Path, **settings: Any) -> None:
        code = f"""
from pathlib import Path
from purchasecast.serve.json_logs import set_up_logs
from purchasecast.serve.server import run_server
from purchasecast.serve.settings import ServeSettings
set_up_logs()
run_server(Path({str(model)!r}), ServeSettings(port=0, **{settings!r}), lambda url: print(url, flush=True))
"""
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, log.read_text()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        self._wait()

    def _wait(self) -> None:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(self.log.read_text())

    def stop(self) -> int:
        """Ask the server to stop, as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = LiveServer(model, tmp_path_factory.mktemp("log") / "server.log")
    yield live
    assert live.stop() == 0
    assert "Traceback" not in live.log.read_text()
