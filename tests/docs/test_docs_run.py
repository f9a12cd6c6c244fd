"""The pipelines in the documents run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.ml.feature import VectorAssembler
from tests.planted_shop import plant_shop

import purchasecast.stages

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_code_of(page: str, **names: Any) -> dict[str, Any]:
    """Run the Python blocks of a page one after the other; return what they left."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), names)  # noqa: S102  that it runs is what is tested
    return names


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    table = plant_shop(customers=40, products=25, rows=500, interaction_sd=900.0).rows
    return spark.createDataFrame(table.assign(fold=np.arange(500) % 5, label=table["spend"])).cache()


def test_the_pipeline_of_the_stages_runs(rows: DataFrame) -> None:
    names = {name: getattr(purchasecast.stages, name) for name in purchasecast.stages.__all__}
    left = run_code_of("howto/pipeline.md", training=rows, new_rows=rows.drop("fold"))
    run_code_of("concepts/stages.md", **names)
    error = left["scored"].selectExpr("sqrt(avg(power(prediction - spend, 2))) / stddev_pop(spend)").first()[0]
    assert error < 0.7


def test_the_pipeline_of_the_search_runs(rows: DataFrame) -> None:
    assembler = VectorAssembler(inputCols=["group"], outputCol="features")
    left = run_code_of("concepts/search.md", frame=rows, assembler=assembler)
    assert left["native"].transform(rows).where("prediction is null").count() == 0
