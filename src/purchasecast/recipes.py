"""Turn a schema and the name of a model into the stages of a `pyspark.ml.Pipeline`.

The columns that stages hand each other start with ``_pc_`` (`purchasecast.schema.reserved_columns`), which no table may
use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml.feature import Imputer, OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.sql import functions as sf

from purchasecast.schema.reserved_columns import (
    BASELINE,
    BOOSTED_PREDICTION,
    CUSTOMER_ROWS,
    EFFECT,
    FEATURES,
    FITS,
    FITTED,
    FOLD,
    INDEX,
    INDICATORS,
    LABEL,
    LEVEL,
    NO_LEVEL,
    NUMBER,
    ORDER,
    PRODUCT_ROWS,
    SCALE,
    STATISTICS_OF,
    TASTE,
    UNKNOWN_LEVEL,
    made_name,
)
from purchasecast.spark.columns import col
from purchasecast.stages import (
    BoostedTreesRegressor,
    ColumnPreparation,
    CrossedEffectsEncoder,
    LatentFactorEncoder,
    LevelStatisticsEncoder,
)
from purchasecast.stages.level_statistics import STATISTICS, WITHIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from purchasecast.config import ModelName, TrainSettings
    from purchasecast.schema import Schema

__all__ = ["Recipe", "columns_read", "interval_columns", "resolve_recipe", "step_name"]

MAX_ONE_HOT_LEVELS = 100
_RANK = 16  # of taste; more gains little (docs/decisions/0012-factors-with-a-posterior.md)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The stages of a model before they are fitted; resolved once for the whole run.

    Attributes
    ----------
    model : {"linear", "boosted", "blend"}
        Name of the recipe.
    stages : tuple of Estimator or Transformer
        From accepted rows to what the members read; where there is a linear member, the last one assembles
        ``_pc_features``.
    trees : BoostedTreesRegressor or None
        The boosted member; None in ``linear``.
    """

    model: ModelName
    stages: tuple[Any, ...]
    trees: BoostedTreesRegressor | None

    @property
    def has_linear_member(self) -> bool:
        """Whether the recipe has a linear regression."""
        return self.model != "boosted"

    @property
    def member_columns(self) -> list[str]:
        """Columns that the members read."""
        features = [FEATURES] if self.has_linear_member else []
        return [*features, FOLD, ORDER, *(self.trees.getInputCols() if self.trees else [])]


@dataclass(frozen=True, slots=True)
class _FeaturePlan:
    """How each column is encoded.

    Attributes
    ----------
    groups : tuple of str
        Columns encoded by crossed effects: customer, product, and nominal features of very many levels.
    one_hot : tuple of str
        Nominal and ordinal columns encoded by indicators, of few levels each.
    numbers : tuple of (str, str, bool)
        Column, part of the date (empty for a number), and whether nulls are filled by the median.
    """

    groups: tuple[str, ...]
    one_hot: tuple[str, ...]
    numbers: tuple[tuple[str, str, bool], ...]

    @property
    def index(self) -> list[str]:
        """Columns of level numbers."""
        return [made_name(INDEX, name) for name in self.one_hot]

    @property
    def numeric(self) -> list[str]:
        """Columns of numbers, parts of dates included."""
        return [_number_name(name, part) for name, part, _ in self.numbers]

    @property
    def effects(self) -> list[str]:
        """Columns of crossed effects."""
        return [made_name(EFFECT, name) for name in self.groups]


def resolve_recipe(rows: DataFrame, schema: Schema, settings: TrainSettings) -> Recipe:
    """Resolve the recipe for a table.

    Parameters
    ----------
    rows : DataFrame
        Accepted rows.
    schema : Schema
        Their description.
    settings : TrainSettings
        The model's name, folds and seed.

    Returns
    -------
    Recipe
        The same for the same rows, whatever their order.

    Notes
    -----
    One pass, over the nominal features without a domain only; none where all have one.
    """
    plan = _plan_features(rows, schema)
    stages: list[Any] = [_preparation(schema, plan)]
    imputed = [_number_name(name, part) for name, part, fill in plan.numbers if fill]
    if imputed:
        stages.append(Imputer(inputCols=imputed, outputCols=imputed, strategy="median"))
    if plan.index:
        levels = [made_name(LEVEL, name) for name in plan.one_hot]
        # "keep" gives unseen levels an index of their own, which dropLast then leaves without an indicator.
        stages.append(StringIndexer(inputCols=levels, outputCols=plan.index, handleInvalid="keep"))
    encoders = _encoders(schema, plan, settings)
    stages += encoders
    # Once effects and taste are there, statistics give a line less than they cost (docs/benchmarks.md).
    statistics = _statistics(schema, settings.folds) if settings.model != "linear" else []
    stages += statistics
    if settings.model != "boosted":
        stages += _assembly(plan, encoders)
    trees = _boosted_trees(plan, encoders, statistics, settings.seed) if settings.model != "linear" else None
    return Recipe(settings.model, tuple(stages), trees)


def _plan_features(rows: DataFrame, schema: Schema) -> _FeaturePlan:
    """Decide how each column is encoded, from the schema and the number of levels."""
    categories = [*schema.nominal, *schema.ordinal]
    open_ended = [column.name for column in categories if not (column.domain or column.order)]
    many: list[str] = []
    if open_ended:
        counts = rows.agg(*[sf.approx_count_distinct(col(name)) for name in open_ended]).collect()[0]
        many = [name for name, count in zip(open_ended, counts, strict=True) if count > MAX_ONE_HOT_LEVELS]
    parts = [(column, "") for column in schema.numeric]
    parts += [(column, part) for column in schema.calendars for part in column.calendar]
    return _FeaturePlan(
        groups=tuple([name for name in (schema.customer, schema.product) if name] + many),
        one_hot=tuple(column.name for column in categories if column.name not in many),
        numbers=tuple((column.name, part, column.null != "forbidden") for column, part in parts),
    )


def _preparation(schema: Schema, plan: _FeaturePlan) -> ColumnPreparation:
    """Return the stage that gives nulls their meaning and dates their parts."""
    nulls = {name: NO_LEVEL if schema.column(name).null == "level" else UNKNOWN_LEVEL for name in plan.one_hot}
    return ColumnPreparation(
        levelCols=list(plan.one_hot),
        nullLevels=list(nulls.values()),
        levelOutputCols=[made_name(LEVEL, name) for name in plan.one_hot],
        numberCols=[name for name, _, _ in plan.numbers],
        numberParts=[part for _, part, _ in plan.numbers],
        numberOutputCols=plan.numeric,
    )


def _encoders(schema: Schema, plan: _FeaturePlan, settings: TrainSettings) -> list[Any]:
    """Return the stages of crossed effects and taste; none without groups."""
    encoders: list[Any] = []
    if plan.groups:
        effects = CrossedEffectsEncoder(
            inputCols=list(plan.groups),
            outputCols=plan.effects,
            countCols=[_count_name(schema, name) for name in plan.groups],
            labelCol=schema.target,
            attributeCols=plan.index,
            numericCols=plan.numeric,
            baselineCol=BASELINE,
            fittedCol=FITTED,
            fitsCol=FITS,
            foldCol=FOLD,
            numFolds=settings.folds,
        )
        encoders.append(effects.setWeightCol(schema.weight) if schema.weight else effects)
    if schema.customer and schema.product:
        encoders.append(
            LatentFactorEncoder(
                userCol=schema.customer,
                itemCol=schema.product,
                labelCol=schema.target,
                offsetCol=FITS,
                outputCol=TASTE,
                foldCol=FOLD,
                numFolds=settings.folds,
                seed=settings.seed,
                rank=_RANK,
                userAttributeCols=_indexed(schema, plan, "customer"),
                itemAttributeCols=_indexed(schema, plan, "product"),
                scaleCol=SCALE,
            )
        )
    return encoders


def _indexed(schema: Schema, plan: _FeaturePlan, role: str) -> list[str]:
    """Return the columns of level numbers of the customer's or the product's attributes."""
    return [made_name(INDEX, name) for name in plan.one_hot if schema.column(name).of == role]


def _statistics(schema: Schema, folds: int) -> list[LevelStatisticsEncoder]:
    """Return the stage for customers, products, and customers within the main category; none without either role."""
    keys = [(name, "") for name in (schema.customer, schema.product) if name]
    if not keys:
        return []
    if schema.customer and schema.main_category:
        keys.append((schema.customer, schema.main_category))
    ranked = schema.customer is not None and schema.product is not None
    encoder = LevelStatisticsEncoder(
        inputCols=[first for first, _ in keys],
        crossCols=[second for _, second in keys],
        outputCols=[made_name(STATISTICS_OF, " ".join(filter(None, key))) for key in keys],
        # Without z-scores: what was measured had rank and lift in their place.
        statistics=[name for name in STATISTICS if name != "z" and (ranked or name not in WITHIN)],
        rankWithinCol=str(schema.product) if ranked else "",
        scaleCol=SCALE if ranked else "",
        labelCol=schema.target,
        foldCol=FOLD,
        numFolds=folds,
    )
    return [encoder]


def _assembly(plan: _FeaturePlan, encoders: list[Any]) -> list[Any]:
    """Return the stages that make the vector of the linear member."""
    indicators = [made_name(INDICATORS, name) for name in plan.one_hot]
    features = [*indicators, *plan.numeric, *_encoded(plan, encoders, [FITTED], [TASTE])]
    stages: list[Any] = []
    if plan.index:
        # After the encoders, which read index columns: the vectors need not wait in memory for them.
        stages.append(OneHotEncoder(inputCols=plan.index, outputCols=indicators, dropLast=True))
    return [*stages, VectorAssembler(inputCols=features, outputCol=FEATURES)]


def _boosted_trees(
    plan: _FeaturePlan, encoders: list[Any], statistics: list[LevelStatisticsEncoder], seed: int
) -> BoostedTreesRegressor:
    """Return the boosted member: level numbers instead of indicators, and spreads and statistics besides.

    Of the counts it reads only those of the statistics, which out of fold are scaled up to what they are at scoring.
    """
    columns = [*plan.index, *plan.numeric, *_encoded(plan, encoders, [BASELINE, FITTED], [TASTE, SCALE])]
    for encoder in statistics:
        columns += encoder.output_names()
    return BoostedTreesRegressor(
        inputCols=columns,
        labelCol=LABEL,
        predictionCol=BOOSTED_PREDICTION,
        foldCol=FOLD,
        validationFold=0,
        everyFold=True,
        orderCol=ORDER,
        seed=seed,
    )


def _encoded(plan: _FeaturePlan, encoders: list[Any], with_effects: list[str], with_taste: list[str]) -> list[str]:
    """Return the columns of the encoders that are there."""
    kinds = {type(encoder) for encoder in encoders}
    effects = [*plan.effects, *with_effects] if CrossedEffectsEncoder in kinds else []
    return [*effects, *(with_taste if LatentFactorEncoder in kinds else [])]


def interval_columns(schema: Schema) -> list[str]:
    """Return the columns that intervals read beside the prediction."""
    return [CUSTOMER_ROWS, PRODUCT_ROWS, SCALE, *([schema.main_category] if schema.main_category else [])]


def _count_name(schema: Schema, name: str) -> str:
    return {schema.customer: CUSTOMER_ROWS, schema.product: PRODUCT_ROWS}.get(name, made_name("_pc_n_", name))


def _number_name(column: str, part: str) -> str:
    return made_name(NUMBER, f"{column} {part}" if part else column)


_COLUMN_PARAMS = (
    *("inputCol", "inputCols", "attributeCols", "numericCols", "labelCol", "weightCol"),
    *("userCol", "itemCol", "offsetCol", "foldCol", "featuresCol", "crossCols", "rankWithinCol", "scaleCol"),
    *("userAttributeCols", "itemAttributeCols", "levelCols", "numberCols"),
)
_STEP_NAMES = {
    "ColumnPreparation": "prepare",
    "Imputer": "impute",
    "StringIndexer": "index levels",
    "OneHotEncoder": "indicators",
    "CrossedEffectsEncoder": "crossed effects",
    "LatentFactorEncoder": "latent factors",
    "LevelStatisticsEncoder": "level statistics",
    "BoostedTreesRegressor": "boosted trees",
    "VectorAssembler": "assemble",
}


def step_name(stage: Any) -> str:
    """Return what a stage does, in words for people."""
    name = type(stage).__name__
    return _STEP_NAMES.get(name, name)


def columns_read(stages: Iterable[Any]) -> set[str]:
    """Return the names of the columns that stages read, from their params."""
    names: set[str] = set()
    for stage in stages:
        for param in _COLUMN_PARAMS:
            if stage.hasParam(param) and stage.isDefined(param):
                value = stage.getOrDefault(param)
                names.update([value] if isinstance(value, str) else value)
    return names
