"""A schema and a model's name become one `pyspark.ml.Pipeline`.

The columns that stages hand each other start with ``_pc_``, which no table may use; what users read is
``prediction`` and the columns of `Features`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml.feature import Imputer, OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler
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
    LEVEL,
    LINEAR_PREDICTION,
    NO_LEVEL,
    NUMBER,
    ORDER,
    PREDICTION,
    PRODUCT_ROWS,
    SCALE,
    STATISTICS_OF,
    TASTE,
    UNKNOWN_LEVEL,
    made_name,
)
from purchasecast.spark.columns import col, quoted
from purchasecast.stages import (
    BoostedTreesRegressor,
    CrossedEffectsEncoder,
    LatentFactorEncoder,
    LevelStatisticsEncoder,
)
from purchasecast.stages.level_statistics.params import STATISTICS, WITHIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame

    from purchasecast.config import ModelName
    from purchasecast.numerics.soft_minimum import SoftMinimum
    from purchasecast.schema import Column, Schema

__all__ = [
    "FeaturePlan",
    "boosted_stage",
    "columns_read",
    "feature_stages",
    "plan_features",
    "prediction_stage",
    "step_name",
    "weighed_sum",
]

MOST_ONE_HOT_LEVELS = 100

_RANK = 16  # of taste; more gains little (docs/decisions/0012-factors-with-a-posterior.md)


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """Which column is encoded how.

    Attributes
    ----------
    groups : tuple of str
        Columns encoded by crossed effects: customer, product, and nominal features of very many levels.
    one_hot : tuple of str
        Nominal and ordinal columns encoded by indicators, of few levels each.
    numeric : tuple of str
        Numeric columns, calendar parts included.
    imputed : tuple of str
        Those of `numeric` whose nulls are filled by the median.
    """

    groups: tuple[str, ...]
    one_hot: tuple[str, ...]
    numeric: tuple[str, ...]
    imputed: tuple[str, ...]


def plan_features(frame: DataFrame, schema: Schema) -> FeaturePlan:
    """Decide how each column is encoded, from the schema and the number of levels.

    Parameters
    ----------
    frame : DataFrame
        Accepted rows.
    schema : Schema
        Their description.

    Returns
    -------
    FeaturePlan
        The decision; deterministic for the same rows.

    Notes
    -----
    One pass, over the nominal features without a domain only, and none where all have one.
    """
    categories = [*schema.nominal, *schema.ordinal]
    open_ended = [column.name for column in categories if not (column.domain or column.order)]
    counts: dict[str, int] = {}
    if open_ended:
        row = frame.agg(*[sf.approx_count_distinct(col(name)) for name in open_ended]).collect()[0]
        counts = dict(zip(open_ended, map(int, row), strict=True))
    many = [name for name in open_ended if counts[name] > MOST_ONE_HOT_LEVELS]
    calendar = [_calendar_name(column, part) for column in schema.calendars for part in column.calendar]
    imputed = [column.name for column in schema.numeric if column.null != "forbidden"]
    imputed += [
        _calendar_name(column, part)
        for column in schema.calendars
        for part in column.calendar
        if column.null != "forbidden"
    ]
    return FeaturePlan(
        groups=tuple([name for name in (schema.customer, schema.product) if name] + many),
        one_hot=tuple(column.name for column in categories if column.name not in many),
        numeric=tuple([column.name for column in schema.numeric] + calendar),
        imputed=tuple(imputed),
    )


def feature_stages(
    schema: Schema, plan: FeaturePlan, *, folds: int, seed: int, model: ModelName = "linear"
) -> list[Any]:
    """Return the stages from accepted rows to the features.

    Parameters
    ----------
    schema : Schema
        Description of the rows.
    plan : FeaturePlan
        How each column is encoded.
    folds : int
        Folds of cross-fitting; training rows carry them in ``_pc_fold``.
    seed : int
        Seed of the latent factors.
    model : {"linear", "boosted", "blend"}, default "linear"
        The recipe.

    Returns
    -------
    list of Estimator or Transformer
        Stages for a `Pipeline`; where the recipe has a linear member, the last makes the vector ``_pc_features``.
    """
    numeric = [made_name(NUMBER, name) for name in plan.numeric]
    stages: list[Any] = [SQLTransformer(statement=_prepare_statement(schema, plan))]
    if plan.imputed:
        names = [made_name(NUMBER, name) for name in plan.imputed]
        stages.append(Imputer(inputCols=names, outputCols=names, strategy="median"))
    index = [made_name(INDEX, name) for name in plan.one_hot]
    indicators = [made_name(INDICATORS, name) for name in plan.one_hot]
    if index:
        levels = [made_name(LEVEL, name) for name in plan.one_hot]
        # "keep" gives unseen levels an index of their own, which dropLast then leaves without an indicator.
        stages.append(StringIndexer(inputCols=levels, outputCols=index, handleInvalid="keep"))
    features = [*indicators, *numeric]
    if plan.groups:
        effects = [made_name(EFFECT, name) for name in plan.groups]
        encoder = CrossedEffectsEncoder(
            inputCols=list(plan.groups),
            outputCols=effects,
            countCols=[_count_name(schema, name) for name in plan.groups],
            labelCol=schema.target,
            attributeCols=index,
            numericCols=numeric,
            baselineCol=BASELINE,
            fittedCol=FITTED,
            fitsCol=FITS,
            foldCol=FOLD,
            numFolds=folds,
        )
        stages.append(encoder.setWeightCol(schema.weight) if schema.weight else encoder)
        features += [*effects, FITTED]
    if schema.customer and schema.product:
        stages.append(
            LatentFactorEncoder(
                userCol=schema.customer,
                itemCol=schema.product,
                labelCol=schema.target,
                offsetCol=FITS,
                outputCol=TASTE,
                foldCol=FOLD,
                numFolds=folds,
                seed=seed,
                rank=_RANK,
                userAttributeCols=_indexed(schema, plan, "customer"),
                itemAttributeCols=_indexed(schema, plan, "product"),
                scaleCol=SCALE,
            )
        )
        features.append(TASTE)
    if model != "linear":
        # Once effects and taste are there, statistics give a line less than they cost (docs/benchmarks.md).
        stages += _statistics_stages(schema, folds=folds)
    if model == "boosted":
        return stages
    if index:
        # After the encoders, which read index columns: the vectors need not wait in memory for them.
        stages.append(OneHotEncoder(inputCols=index, outputCols=indicators, dropLast=True))
    stages.append(VectorAssembler(inputCols=features, outputCol=FEATURES))
    return stages


def _indexed(schema: Schema, plan: FeaturePlan, role: str) -> list[str]:
    """Return the columns of level numbers of what belongs to the customer or to the product."""
    return [made_name(INDEX, name) for name in plan.one_hot if schema.column(name).of == role]


def boosted_stage(schema: Schema, plan: FeaturePlan, *, seed: int) -> BoostedTreesRegressor:
    """Return the boosted trees on what the encoders make: no indicators, but spreads and all statistics.

    Of the counts only those of the statistics, which out of fold are scaled up to what they will be at scoring.
    """
    columns = [
        *[made_name(INDEX, name) for name in plan.one_hot],
        *[made_name(NUMBER, name) for name in plan.numeric],
    ]
    if plan.groups:
        columns += [made_name(EFFECT, name) for name in plan.groups]
        columns += [BASELINE, FITTED]
    if schema.customer and schema.product:
        columns += [TASTE, SCALE]
    for encoder in _statistics_stages(schema, folds=2):
        columns += encoder.output_names()
    return BoostedTreesRegressor(
        inputCols=columns,
        labelCol="label",
        predictionCol=BOOSTED_PREDICTION,
        foldCol=FOLD,
        validationFold=0,
        everyFold=True,
        orderCol=ORDER,
        seed=seed,
    )


def _statistics_stages(schema: Schema, *, folds: int) -> list[LevelStatisticsEncoder]:
    """Return the stage of customers, products, and customers within the first category; none without either."""
    keys = [(name, "") for name in (schema.customer, schema.product) if name]
    if not keys:
        return []
    category = schema.main_category
    if schema.customer and category:
        keys.append((schema.customer, category))
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


def prediction_stage(
    schema: Schema, members: Mapping[str, float] | None = None, bend: SoftMinimum | None = None
) -> SQLTransformer:
    """Return the last stage but the intervals: the members' values, held to the range that the schema allows.

    Parameters
    ----------
    schema : Schema
        Description of the rows.
    members : mapping of str to float, optional
        Weight of each member's column; by default the linear regression alone.
    bend : SoftMinimum, optional
        How values come near to the least purchase; by default they are cut off at it.
    """
    value = weighed_sum(members)
    minimum = schema.target_minimum
    if bend is not None:
        bounded = bend.sql(f"({value})")
    else:
        bounded = value if minimum is None else f"greatest({value}, {minimum!r}D)"
    return SQLTransformer(statement=_select_all_and([f"{bounded} AS {quoted(PREDICTION)}"]))


def weighed_sum(members: Mapping[str, float] | None = None) -> str:
    """Return the members' columns, weighed and added up, as SQL; by default the linear regression alone."""
    terms = [
        quoted(name) if weight == 1.0 else f"{float(weight)!r}D * {quoted(name)}"
        for name, weight in (members or {LINEAR_PREDICTION: 1.0}).items()
    ]
    return " + ".join(terms)


def _count_name(schema: Schema, name: str) -> str:
    return {schema.customer: CUSTOMER_ROWS, schema.product: PRODUCT_ROWS}.get(name, made_name("_pc_n_", name))


def _calendar_name(column: Column, part: str) -> str:
    return f"{column.name} {part}"


def _prepare_statement(schema: Schema, plan: FeaturePlan) -> str:
    """Return the SELECT that gives nulls their meaning and dates their calendar parts."""
    terms = []
    for name in plan.one_hot:
        stand_in = NO_LEVEL if schema.column(name).null == "level" else UNKNOWN_LEVEL
        terms.append(f"coalesce({quoted(name)}, '{stand_in}') AS {quoted(made_name(LEVEL, name))}")
    for column in schema.numeric:
        alias = quoted(made_name(NUMBER, column.name))
        terms += [f"CAST({quoted(column.name)} AS DOUBLE) AS {alias}"]
    for column in schema.calendars:
        for part in column.calendar:
            alias = quoted(made_name(NUMBER, _calendar_name(column, part)))
            terms.append(f"CAST({_CALENDAR_SQL[part]}({quoted(column.name)}) AS DOUBLE) AS {alias}")
    return _select_all_and(terms)


def _select_all_and(terms: list[str]) -> str:
    """Return the statement of a SQLTransformer; every name in it is quoted, every number a float's own text."""
    return f"SELECT {', '.join(['*', *terms])} FROM __THIS__"  # noqa: S608  see above


_CALENDAR_SQL = {
    "year": "year",
    "quarter": "quarter",
    "month": "month",
    "week": "weekofyear",
    "dayofmonth": "dayofmonth",
    "dayofweek": "dayofweek",
    "dayofyear": "dayofyear",
}

_COLUMN_PARAMS = (
    *("inputCol", "inputCols", "attributeCols", "numericCols", "labelCol", "weightCol"),
    *("userCol", "itemCol", "offsetCol", "foldCol", "featuresCol", "crossCols", "rankWithinCol", "scaleCol"),
    *("userAttributeCols", "itemAttributeCols"),
)
_STEP_NAMES = {
    "SQLTransformer": "prepare",
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


def columns_read(stages: Sequence[Any]) -> set[str]:
    """Return the names of the columns that stages read, from their params."""
    names: set[str] = set()
    for stage in stages:
        for param in _COLUMN_PARAMS:
            if stage.hasParam(param) and stage.isDefined(param):
                value = stage.getOrDefault(param)
                names.update([value] if isinstance(value, str) else value)
    return names
