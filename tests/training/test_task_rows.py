"""Whether fits run inside one task is decided once, on all rows, before the first fit."""

from __future__ import annotations

from typing import Any

import pytest

from purchasecast.config import TrainSettings
from purchasecast.errors import SettingsError
from purchasecast.recipes import Recipe
from purchasecast.stages import BoostedTreesRegressor, LatentFactorEncoder
from purchasecast.training.train import _limit_tasks

HERE: Any = object()  # a session that is none of Spark Connect


class Remote:
    """A session of Spark Connect, told by its module."""


Remote.__module__ = "pyspark.sql.connect.session"


def limited(rows: int, spark: Any = HERE, **settings: Any) -> Recipe:
    trees = None if settings.get("model") == "linear" else BoostedTreesRegressor()
    recipe = Recipe(settings["model"], (LatentFactorEncoder(),), trees)
    _limit_tasks(recipe, TrainSettings(max_task_rows=1_000, **settings), rows, spark)
    return recipe


def limit_of(stage: Any) -> int:
    return int(stage.getMaxTaskRows())


def test_few_rows_keep_the_limit() -> None:
    recipe = limited(1_000, model="boosted")
    assert [limit_of(stage) for stage in (*recipe.stages, recipe.trees)] == [1_000, 1_000]


def test_the_training_rows_are_divided_where_all_rows_are() -> None:
    """Of 1,100 rows 880 train the model that is measured: it is fitted as the model of all rows is."""
    recipe = limited(1_100, model="blend")
    assert all(limit_of(stage) < 880 for stage in (*recipe.stages, recipe.trees))
    assert limit_of(limited(10_000, model="linear").stages[0]) == 1_000


@pytest.mark.parametrize(
    ("settings", "spark", "said"),
    [
        ({"model": "boosted", "tune": "20"}, HERE, "rows to tune on, found 1,100"),
        ({"model": "blend"}, Remote(), "rows for trees over Spark Connect, found 1,100"),
    ],
)
def test_what_cannot_be_done_is_refused(settings: dict[str, Any], spark: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        limited(1_100, spark, **settings)
    limited(1_000, spark, **settings)
    limited(1_100, spark, model="linear")
