"""Params of `UnitPriceEncoder` and its model, and what follows from them alone."""

from __future__ import annotations

from pyspark.ml.param.shared import HasLabelCol, HasWeightCol

from purchasecast.errors import SettingsError
from purchasecast.stages.base import HasFolds, HasQuantity
from purchasecast.stages.params import (
    StageParams,
    bool_param,
    float_list_param,
    float_param,
    str_list_param,
    str_param,
)
from purchasecast.stages.tasks import HasTaskRows

__all__ = ["QUANTITY_BIN", "UnitPriceParams"]

QUANTITY_BIN = "@quantity"  # as the second column of an effect: the quantity in steps of the square root of e


class UnitPriceParams(StageParams, HasLabelCol, HasWeightCol, HasQuantity, HasFolds, HasTaskRows):
    """Params of the encoder and its model."""

    labelCol = str_param("numeric column of the amount, in money", default="label")
    productCol = str_param('column of the product; "" for none', default="")
    levelCols = str_list_param("levels of the product from coarse to fine, such as department, category, type")
    timeCol = str_param('column of the time; "" for none', default="")
    effectCols = str_list_param("first column of the key of each effect on the log unit price, in their order")
    effectCrossCols = str_list_param(
        f'second column of the key of each effect; "" for none, "{QUANTITY_BIN}" for the quantity in steps'
    )
    effectShrinkages = float_list_param("rows that each effect is shrunk by", minimum=0.0)
    attributeCols = str_list_param("first column of the key of each effect of an attribute on what the line leaves")
    attributeCrossCols = str_list_param('second column of the key of each attribute; "" for none')
    amountCol = str_param("output column for quantity times unit price, in money", default="base_amount")
    outputPrefix = str_param("prefix of the other output columns", default="unit_price")
    forward = bool_param(
        "whether folds are numbered in the order of time, and each is encoded from the earlier ones only", default=False
    )
    levelShrinkage = float_param("rows that the line of a level is shrunk by in height", default=3.0, minimum=0.0)
    slopeShrinkage = float_param("spread of log quantity that a slope is shrunk by", default=5.0, above=0.0)
    productShrinkage = float_param("rows that a unit price is shrunk by toward the line", default=0.1, minimum=0.0)
    halfLife = float_param(
        "share of the time that all rows take, after which a row counts half as much in a recent price",
        default=1 / 30,
        above=0.0,
    )
    attributeShrinkage = float_param("weight that the effect of an attribute is shrunk by", default=2.0, minimum=0.0)

    def effect_keys(self) -> list[tuple[str, str]]:
        """Return the two columns of the key of each effect; the second may be empty."""
        return self._pairs("effectCols", "effectCrossCols")

    def effect_shrinkages(self) -> list[float]:
        """Return the rows that each effect is shrunk by."""
        return self.getOrDefault(self.effectShrinkages) or [20.0] * len(self.getOrDefault(self.effectCols))

    def attribute_keys(self) -> list[tuple[str, str]]:
        """Return the two columns of the key of each attribute; the second may be empty."""
        return self._pairs("attributeCols", "attributeCrossCols")

    def part_columns(self) -> dict[str, list[str]]:
        """Return the columns of the key of each level table: levels, product, attributes and effects, in this order."""
        product = self.getOrDefault(self.productCol)
        parts = {f"level_{i}": [name] for i, name in enumerate(self.getOrDefault("levelCols"))}
        parts |= {"product": [product]} if product else {}
        parts |= {f"attribute_{i}": [x for x in key if x] for i, key in enumerate(self.attribute_keys())}
        return parts | {f"effect_{i}": [x for x in key if x] for i, key in enumerate(self.effect_keys())}

    def output_names(self) -> dict[str, str]:
        """Return the output columns by what they hold, in their order."""
        prefix = self.getOrDefault(self.outputPrefix)
        kinds = ["line", "log_quantity"]
        kinds += [f"rows_{i}" for i in range(len(self.getOrDefault(self.levelCols)))]
        if self.getOrDefault(self.productCol):
            kinds += ["line_excess", "newness", "log_quantity_excess", "rows_product", "spread", "low", "high"]
            kinds += ["recent"] if self.getOrDefault(self.timeCol) else []
        for i in range(len(self.effect_keys())):
            kinds += [f"effect_{i}", f"effect_rows_{i}"]
        kinds += [f"attribute_{i}" for i in range(len(self.attribute_keys()))]
        return {"amount": self.getOrDefault(self.amountCol), **{kind: f"{prefix}_{kind}" for kind in kinds}}

    def _pairs(self, first: str, second: str) -> list[tuple[str, str]]:
        firsts: list[str] = self.getOrDefault(first)
        seconds: list[str] = self.getOrDefault(second) or [""] * len(firsts)
        if len(firsts) != len(seconds):
            raise SettingsError(
                f"UnitPriceEncoder.{first} and {second}: expected lists of one length, found {firsts} and {seconds}; "
                'give each key a second column, or "".'
            )
        return list(zip(firsts, seconds, strict=True))

    def _input_columns(self) -> list[str]:
        """Return the distinct columns that a row is encoded from."""
        keys = [name for key in (*self.effect_keys(), *self.attribute_keys()) for name in key]
        named = [
            self.getOrDefault(self.quantityCol),
            self.getOrDefault(self.productCol),
            *self.getOrDefault(self.levelCols),
            *keys,
        ]
        return [name for name in dict.fromkeys(named) if name not in {"", QUANTITY_BIN}]

    def check_params(self) -> None:
        """Check what needs no frame: the params one by one, and that they go together."""
        super().check_params()
        shrinkages, effects = self.effect_shrinkages(), self.effect_keys()
        if len(shrinkages) != len(effects):
            raise SettingsError(
                f"UnitPriceEncoder.effectShrinkages: expected {len(effects)} numbers, found {shrinkages}; "
                "give one an effect, or none for 20 each."
            )
        firsts = [first for first, _ in (*effects, *self.attribute_keys())]
        if "" in firsts or QUANTITY_BIN in firsts or QUANTITY_BIN in dict(self.attribute_keys()).values():
            raise SettingsError(
                f"UnitPriceEncoder.effectCols and attributeCols: expected names of columns, found {firsts} and "
                f'{self.attribute_keys()}; "{QUANTITY_BIN}" may stand in effectCrossCols only.'
            )
        outputs = list(self.output_names().values())
        if len(set(outputs)) != len(outputs):
            amount = self.getOrDefault(self.amountCol)
            raise SettingsError(
                f"UnitPriceEncoder.amountCol: expected a name that no other output has, found {amount}; choose another."
            )
