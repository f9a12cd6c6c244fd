"""Turn a schema and the name of a model into the stages of a `pyspark.ml.Pipeline`.

The columns that stages hand each other start with ``_pc_`` (`purchasecast.schema.reserved_columns`), which no table may
use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.ml.feature import Bucketizer, Imputer, OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.sql import functions as sf

from purchasecast.recipes.prices import PricePlan, plan_prices, unit_prices
from purchasecast.schema.reserved_columns import (
    BASE_AMOUNT,
    BASELINE,
    BOOSTED_PREDICTION,
    CUSTOMER_PATTERN,
    CUSTOMER_ROWS,
    EFFECT,
    FEATURES,
    FITS,
    FITTED,
    FOLD,
    INDEX,
    INDICATORS,
    INTERVAL_GROUP,
    LABEL,
    LEVEL,
    NO_LEVEL,
    NUMBER,
    ORDER,
    PRODUCT_MEAN,
    PRODUCT_MEDIAN,
    PRODUCT_PATTERN,
    PRODUCT_ROWS,
    SCALE,
    STATISTICS_OF,
    TASTE,
    UNIT_PRICE_AMOUNT,
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
    PurchasePatternEncoder,
    ScaledColumns,
    SimplePredictors,
)
from purchasecast.stages.level_statistics import STATISTICS, WITHIN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.config import ModelName, TrainSettings
    from purchasecast.schema import Schema

__all__ = ["Recipe", "resolve_recipe"]

MAX_ONE_HOT_LEVELS = 100
_LARGEST_LOG_RATIO = 2.0  # of what a product's line or attributes may say of its price
_FEW_ROWS = 5  # of a product, up to which its intervals are calibrated apart
_BLENDED = ("blend", "auto")
_RANK = 16  # of taste; more gains little (docs/decisions/0012-factors-with-a-posterior.md)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The stages of a model before they are fitted; resolved once for the whole run.

    Attributes
    ----------
    model : {"linear", "boosted", "blend", "auto"}
        Name of the recipe; ``auto`` has the members of ``blend``.
    stages : tuple of Estimator or Transformer
        From accepted rows to what the members read; where there is a linear member, the last one assembles
        ``_pc_features``.
    trees : BoostedTreesRegressor or None
        The boosted member; None in ``linear``.
    is_priced : bool
        Whether members predict multiples of quantity times unit price, and not amounts; in shops with a quantity.
    simple : tuple of str
        Columns of simple predictions that are members of the blend.
    interval_group : str
        Column of the groups that intervals are calibrated by; empty for none.
    """

    model: ModelName
    stages: tuple[Any, ...]
    trees: BoostedTreesRegressor | None
    is_priced: bool = False
    simple: tuple[str, ...] = ()
    interval_group: str = ""

    def without_trees(self) -> Recipe:
        """Return the recipe without the trees and the stages that only they read."""
        stages = tuple(stage for stage in self.stages if not isinstance(stage, LevelStatisticsEncoder))
        return replace(self, stages=stages, trees=None)

    @property
    def has_linear_member(self) -> bool:
        """Whether the recipe has a linear regression."""
        return self.model != "boosted"

    @property
    def member_columns(self) -> list[str]:
        """Columns that the members read."""
        features = [FEATURES] if self.has_linear_member else []
        base = [BASE_AMOUNT] if self.is_priced else []
        trees = self.trees.getInputCols() if self.trees else []
        return [*features, FOLD, ORDER, *base, *self.simple, *trees]

    @property
    def interval_columns(self) -> list[str]:
        """Columns that intervals read beside the prediction, where they are there."""
        return [CUSTOMER_ROWS, PRODUCT_ROWS, SCALE, *([self.interval_group] if self.interval_group else [])]


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
    prices : PricePlan or None
        How unit prices are estimated; None in a shop without a quantity.
    """

    groups: tuple[str, ...]
    one_hot: tuple[str, ...]
    numbers: tuple[tuple[str, str, bool], ...]
    prices: PricePlan | None = None

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
    One pass, over the nominal features without a domain only; none where all have one. In a shop with a quantity one
    more, which groups the rows by the columns of the product.
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
    stages.append(_simple_predictors(schema, settings))
    if plan.prices is not None:
        return _priced_recipe(schema, plan, settings, stages)
    encoders = _encoders(schema, plan, settings)
    # Once effects and taste are there, statistics give a line less than they cost (docs/benchmarks.md).
    statistics = _statistics(schema, settings.folds) if settings.model != "linear" else []
    stages += [*encoders, *statistics]
    simple = [PRODUCT_MEAN, PRODUCT_MEDIAN] if schema.product else []
    if settings.model != "boosted":
        # Without prior means: by them and an indicator of the same attribute, a line tells the mean of the fold that
        # the fit left out, so that it errs less on the folds than on rows to come.
        stages += _assembly(plan, _encoded(plan, encoders, [], [TASTE]))
    trees = None
    if settings.model != "linear":
        # Of the counts only those of the statistics, which out of fold are scaled up to what they are at scoring.
        columns = [*plan.index, *plan.numeric, *_encoded(plan, encoders, [BASELINE, FITTED], [TASTE, SCALE])]
        trees = _boosted_trees(
            [*columns, *[name for encoder in statistics for name in encoder.output_names()]], settings
        )
    members = tuple(simple) if settings.model in _BLENDED else ()
    return Recipe(settings.model, tuple(stages), trees, False, members, schema.main_category or "")


def _priced_recipe(schema: Schema, plan: _FeaturePlan, settings: TrainSettings, stages: list[Any]) -> Recipe:
    """Return the recipe of a shop with a quantity: members predict multiples of quantity times unit price."""
    prices = unit_prices(schema, plan.prices or PricePlan((), (), ()), settings.folds)
    effects = _encoders(schema, plan, settings)[:1]
    names = prices.output_names()
    stages = [*stages, *effects, prices]
    if schema.product:
        stages.append(ScaledColumns(inputCols=[names["spread"]], outputCols=[SCALE], scaleCol=BASE_AMOUNT))
        # New products, those of a few rows, and all others: an interval of each kind needs quantiles of its own.
        splits = [-math.inf, *map(math.log1p, (0.5, _FEW_ROWS + 0.5)), math.inf]
        rows = names["rows_product"]
        stages.append(Bucketizer(splits=splits, inputCol=rows, outputCol=INTERVAL_GROUP, handleInvalid="keep"))
    described = [name for kind, name in names.items() if kind != "amount"]
    if settings.model != "boosted":
        stages += _price_assembly(plan, names)
    trees = None
    if settings.model != "linear":
        columns = [*plan.index, *plan.numeric, BASE_AMOUNT, PRODUCT_MEAN, PRODUCT_MEDIAN, *described]
        # In the order of time the last block is most like the rows to come; the first one trains no member.
        trees = _boosted_trees(columns, settings, stops_on=settings.folds - 2 if schema.time else 0)
    simple = (BASE_AMOUNT, UNIT_PRICE_AMOUNT, PRODUCT_MEAN, PRODUCT_MEDIAN) if settings.model in _BLENDED else ()
    group = INTERVAL_GROUP if schema.product else ""
    return Recipe(settings.model, tuple(stages), trees, True, simple, group)


def _plan_features(rows: DataFrame, schema: Schema) -> _FeaturePlan:
    """Decide how each column is encoded, from the schema and the numbers of levels."""
    categories = [*schema.nominal, *schema.ordinal]
    counts = _count_levels(rows, schema)
    many = [column.name for column in categories if counts.get(column.name, 0) > MAX_ONE_HOT_LEVELS]
    parts = [(column, "") for column in schema.numeric]
    parts += [(column, part) for column in schema.calendars for part in column.calendar]
    prices = plan_prices(rows, schema, counts) if schema.quantity else None
    groups = many if prices is None else []  # unit prices take in what has very many levels
    return _FeaturePlan(
        groups=tuple([name for name in (schema.customer, schema.product) if name] + groups),
        one_hot=tuple(column.name for column in categories if column.name not in many),
        numbers=tuple((column.name, part, column.null != "forbidden") for column, part in parts),
        prices=prices,
    )


def _count_levels(rows: DataFrame, schema: Schema) -> dict[str, int]:
    """Return about how many levels the open columns have."""
    categories = [*schema.nominal, *schema.ordinal]
    names = [one.name for one in categories if not (one.domain or one.order)]
    if not names:
        return {}
    found = rows.agg(*[sf.approx_count_distinct(sf.struct(col(name)), 0.02) for name in names]).collect()[0]
    return dict(zip(names, map(int, found), strict=True))


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


def _simple_predictors(schema: Schema, settings: TrainSettings) -> SimplePredictors:
    """Return the stage of the product's mean, median, and unit price times quantity.

    In ``linear`` they are no members but what the evaluation compares with: predictions out of fold, which take six
    times as long, are not needed.
    """
    out_of_fold = settings.model != "linear"
    return SimplePredictors(
        productCol=schema.product or "",
        quantityCol=made_name(NUMBER, schema.quantity) if schema.quantity else "",
        labelCol=schema.target,
        outputCols=[PRODUCT_MEAN, PRODUCT_MEDIAN, UNIT_PRICE_AMOUNT],
        foldCol=FOLD if out_of_fold else "",
        numFolds=settings.folds,
    )


def _encoders(schema: Schema, plan: _FeaturePlan, settings: TrainSettings) -> list[Any]:
    """Return the stages of crossed effects, purchase patterns and taste; none without groups."""
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
        encoders.append(effects)
    if schema.customer and schema.product:
        encoders.append(
            PurchasePatternEncoder(
                userCol=schema.customer,
                itemCol=schema.product,
                userOutputCol=CUSTOMER_PATTERN,
                itemOutputCol=PRODUCT_PATTERN,
                seed=settings.seed,
            )
        )
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
                userVectorCol=CUSTOMER_PATTERN,
                itemVectorCol=PRODUCT_PATTERN,
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


def _assembly(plan: _FeaturePlan, described: list[str]) -> list[Any]:
    """Return the stages that make the vector of the linear member."""
    indicators = [made_name(INDICATORS, name) for name in plan.one_hot]
    stages: list[Any] = []
    if plan.index:
        # After the encoders, which read index columns: the vectors need not wait in memory for them.
        stages.append(OneHotEncoder(inputCols=plan.index, outputCols=indicators, dropLast=True))
    features = [*indicators, *plan.numeric, *described]
    return [*stages, VectorAssembler(inputCols=features, outputCol=FEATURES)]


def _price_assembly(plan: _FeaturePlan, names: dict[str, str]) -> list[Any]:
    """Return the stages that make the vector of the linear member of a priced recipe.

    What the line and the attributes of a product say counts as far as the product's own price is not known: the less,
    the more rows it has.
    """
    unknown = [kind for kind in names if kind == "line_excess" or kind.startswith("attribute_")]
    if "newness" not in names:
        return _assembly(plan, [name for kind, name in names.items() if kind != "amount"])
    scaled = [f"{names[kind]}_new" for kind in unknown]
    stage = ScaledColumns(
        inputCols=[names[kind] for kind in unknown],
        outputCols=scaled,
        scaleCol=names["newness"],
        lower=-_LARGEST_LOG_RATIO,
        upper=_LARGEST_LOG_RATIO,
    )
    others = [name for kind, name in names.items() if kind not in {"amount", "line", *unknown}]
    return [stage, *_assembly(plan, [*others, *scaled])]


def _boosted_trees(columns: list[str], settings: TrainSettings, *, stops_on: int = 0) -> BoostedTreesRegressor:
    """Return the boosted member, which stops growing by its error on one fold."""
    return BoostedTreesRegressor(
        inputCols=columns,
        labelCol=LABEL,
        predictionCol=BOOSTED_PREDICTION,
        foldCol=FOLD,
        validationFold=stops_on,
        everyFold=True,
        orderCol=ORDER,
        seed=settings.seed,
    )


def _encoded(plan: _FeaturePlan, encoders: list[Any], with_effects: list[str], with_taste: list[str]) -> list[str]:
    """Return the columns of the encoders that are there."""
    kinds = {type(encoder) for encoder in encoders}
    effects = [*plan.effects, *with_effects] if CrossedEffectsEncoder in kinds else []
    return [*effects, *(with_taste if LatentFactorEncoder in kinds else [])]


def _count_name(schema: Schema, name: str) -> str:
    return {schema.customer: CUSTOMER_ROWS, schema.product: PRODUCT_ROWS}.get(name, made_name("_pc_n_", name))


def _number_name(column: str, part: str) -> str:
    return made_name(NUMBER, f"{column} {part}" if part else column)
