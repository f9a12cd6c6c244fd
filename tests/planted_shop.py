"""Small shops with planted truth, built on the driver so that every test knows all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

FOLDS = 4


@dataclass(frozen=True)
class PlantedShop:
    """Rows, and what they were made from."""

    rows: pd.DataFrame
    customer_effect: NDArray[np.float64]
    product_effect: NDArray[np.float64]
    interaction: NDArray[np.float64]
    noise_sd: float

    def frame(self, spark: SparkSession, partitions: int = 3) -> DataFrame:
        """Return the rows as a frame, with folds."""
        return spark.createDataFrame(self.rows).repartition(partitions)


def plant_shop(
    *,
    customers: int = 150,
    products: int = 80,
    rows: int = 6_000,
    customer_sd: float = 800.0,
    product_sd: float = 1_500.0,
    interaction_sd: float = 0.0,
    noise_sd: float = 1_000.0,
    seed: int = 1,
) -> PlantedShop:
    """Plant additive effects, and an interaction of rank 2, and draw rows of distinct pairs."""
    random = np.random.default_rng(seed)
    pairs = random.choice(customers * products, size=rows, replace=False)
    c, p = pairs // products, pairs % products
    a = random.normal(0, customer_sd, customers)
    b = random.normal(0, product_sd, products)
    z = (random.normal(size=(customers, 2))[c] * random.normal(size=(products, 2))[p]).sum(axis=1) / np.sqrt(2)
    spend = 9_000 + a[c] + b[p] + interaction_sd * z + random.normal(0, noise_sd, rows)
    table = pd.DataFrame(
        {
            "customer": [f"c{i}" for i in c],
            "product": [f"p{j}" for j in p],
            "group": (p % 3).astype(float),
            "spend": spend,
            "fold": random.integers(0, FOLDS, rows).astype("int32"),
        }
    )
    return PlantedShop(table, a, b, interaction_sd * z, noise_sd)


@pytest.fixture(scope="session")
def shop() -> PlantedShop:
    """Return a shop with additive effects and taste."""
    return plant_shop(interaction_sd=1_200.0, noise_sd=700.0)
