"""A schema and a model's name become one `pyspark.ml.Pipeline`.

The columns that stages hand each other start with ``_pc_``, which no table may use; what users read is
``prediction`` and the columns of `Features`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml.feature import Imputer, OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler
from pyspark.sql import functions as sf

from purchasecast._columns import col, quoted
from purchasecast.split import FOLD
from purchasecast.stages import CrossedEffectsEncoder, LatentFactorEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast.schema import Column, Schema

__all__ = [
    "BASELINE",
    "CUSTOMER_ROWS",
    "FEATURES",
    "FITTED",
    "INDEX",
    "PREDICTION",
    "PRODUCT_ROWS",
    "FeaturePlan",
    "columns_read",
    "feature_stages",
    "plan_features",
    "prediction_stage",
]

PREDICTION = "prediction"
RAW_PREDICTION = "_pc_linear"
FEATURES = "_pc_features"
BASELINE = "_pc_baseline"
FITTED = "_pc_fitted"
FITS = "_pc_fits"
CUSTOMER_ROWS = "_pc_customer_rows"
PRODUCT_ROWS = "_pc_product_rows"
MOST_ONE_HOT_LEVELS = 100
NO_LEVEL = "(none)"  # what a null stands for where the schema gives it a meaning of its own
UNKNOWN = "(unknown)"
INDEX = "_pc_i_"  # before the name of a column: its level's index

# Two ranks see more than one: a coarse and a fine picture of taste, weighed by the regression that follows.
_LATENT = ((8, 0.10), (12, 0.12))  # rank, regParam


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


def feature_stages(schema: Schema, plan: FeaturePlan, *, folds: int, seed: int) -> list[Any]:
    """Return the stages from accepted rows to the vector of features.

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

    Returns
    -------
    list of Estimator or Transformer
        Stages for a `Pipeline`; the last one makes the vector ``_pc_features``.
    """
    numeric = [f"_pc_x_{name}" for name in plan.numeric]
    stages: list[Any] = [SQLTransformer(statement=_prepare_statement(schema, plan))]
    if plan.imputed:
        names = [f"_pc_x_{name}" for name in plan.imputed]
        stages.append(Imputer(inputCols=names, outputCols=names, strategy="median"))
    index = [INDEX + name for name in plan.one_hot]
    indicators = [f"_pc_h_{name}" for name in plan.one_hot]
    if index:
        levels = [f"_pc_l_{name}" for name in plan.one_hot]
        # "keep" gives unseen levels an index of their own, which dropLast then leaves without an indicator.
        stages.append(StringIndexer(inputCols=levels, outputCols=index, handleInvalid="keep"))
    features = [*indicators, *numeric]
    if plan.groups:
        effects = [f"_pc_e_{name}" for name in plan.groups]
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
        for j, (rank, penalty) in enumerate(_LATENT):
            interaction = f"_pc_z_{j}"
            stages.append(
                LatentFactorEncoder(
                    userCol=schema.customer,
                    itemCol=schema.product,
                    labelCol=schema.target,
                    offsetCol=FITS,
                    outputCol=interaction,
                    foldCol=FOLD,
                    numFolds=folds,
                    seed=seed + j,
                    rank=rank,
                    regParam=penalty,
                )
            )
            features.append(interaction)
    if index:
        # After the encoders, which read index columns: the vectors need not wait in memory for them.
        stages.append(OneHotEncoder(inputCols=index, outputCols=indicators, dropLast=True))
    stages.append(VectorAssembler(inputCols=features, outputCol=FEATURES))
    return stages


def prediction_stage(schema: Schema) -> SQLTransformer:
    """Return the last stage: the regression's value, held to the range that the schema allows a purchase."""
    value = quoted(RAW_PREDICTION)
    minimum = schema.column(schema.target).minimum
    bounded = f"greatest({value}, {float(minimum)!r}D)" if isinstance(minimum, int | float) else value
    return SQLTransformer(statement=_select_all_and([f"{bounded} AS {quoted(PREDICTION)}"]))


def _count_name(schema: Schema, name: str) -> str:
    return {schema.customer: CUSTOMER_ROWS, schema.product: PRODUCT_ROWS}.get(name, f"_pc_n_{name}")


def _calendar_name(column: Column, part: str) -> str:
    return f"{column.name} {part}"


def _prepare_statement(schema: Schema, plan: FeaturePlan) -> str:
    """Return the SELECT that gives nulls their meaning and dates their calendar parts."""
    terms = []
    for name in plan.one_hot:
        stand_in = NO_LEVEL if schema.column(name).null == "level" else UNKNOWN
        terms.append(f"coalesce({quoted(name)}, '{stand_in}') AS {quoted('_pc_l_' + name)}")
    terms += [f"CAST({quoted(column.name)} AS DOUBLE) AS {quoted('_pc_x_' + column.name)}" for column in schema.numeric]
    for column in schema.calendars:
        for part in column.calendar:
            alias = quoted("_pc_x_" + _calendar_name(column, part))
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
    *("userCol", "itemCol", "offsetCol", "foldCol", "featuresCol"),
)
_STEP_NAMES = {
    "SQLTransformer": "prepare",
    "Imputer": "impute",
    "StringIndexer": "index levels",
    "OneHotEncoder": "indicators",
    "CrossedEffectsEncoder": "crossed effects",
    "LatentFactorEncoder": "latent factors",
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
