"""Params of `UnitPriceEncoder` and its model, and what follows from them alone."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasWeightCol

from purchasecast.errors import SettingsError
from purchasecast.stages.base import HasFolds

__all__ = ["QUANTITY_BIN", "UnitPriceParams"]

QUANTITY_BIN = "@quantity"  # as the second column of an effect: the quantity in steps of the square root of e


def _text(name: str, doc: str) -> Param[str]:
    return Param(Params._dummy(), name, doc, typeConverter=TypeConverters.toString)


def _texts(name: str, doc: str) -> Param[list[str]]:
    return Param(Params._dummy(), name, doc, typeConverter=TypeConverters.toListString)


def _number(name: str, doc: str) -> Param[float]:
    return Param(Params._dummy(), name, doc, typeConverter=TypeConverters.toFloat)


class UnitPriceParams(HasLabelCol, HasWeightCol, HasFolds):
    """Params of the encoder and its model."""

    quantityCol = _text("quantityCol", 'numeric column of the quantity; "" where every row counts 1')
    productCol = _text("productCol", 'column of the product; "" for none')
    levelCols = _texts("levelCols", "levels of the product from coarse to fine, such as department, category, type")
    effectCols = _texts("effectCols", "first column of the key of each effect on the log unit price, in their order")
    effectCrossCols = _texts(
        "effectCrossCols",
        f'second column of the key of each effect; "" for none, "{QUANTITY_BIN}" for the quantity in steps',
    )
    effectShrinkages: Param[list[float]] = Param(
        Params._dummy(),
        "effectShrinkages",
        "rows that each effect is shrunk by (>= 0)",
        typeConverter=TypeConverters.toListFloat,
    )
    attributeCols = _texts(
        "attributeCols", "first column of the key of each effect of an attribute on what the line leaves"
    )
    attributeCrossCols = _texts("attributeCrossCols", 'second column of the key of each attribute; "" for none')
    amountCol = _text("amountCol", "output column for quantity times unit price, in money")
    outputPrefix = _text("outputPrefix", "prefix of the other output columns")
    forward: Param[bool] = Param(
        Params._dummy(),
        "forward",
        "whether folds are numbered in the order of time, and each is encoded from the earlier ones only",
        typeConverter=TypeConverters.toBoolean,
    )
    levelShrinkage = _number("levelShrinkage", "rows that the line of a level is shrunk by in height (>= 0)")
    slopeShrinkage = _number("slopeShrinkage", "spread of log quantity that a slope is shrunk by (> 0)")
    productShrinkage = _number("productShrinkage", "rows that a unit price is shrunk by toward the line (>= 0)")
    attributeShrinkage = _number("attributeShrinkage", "weight that the effect of an attribute is shrunk by (>= 0)")

    def _set_defaults(self) -> None:
        self._setDefault(
            labelCol="label",
            quantityCol="",
            productCol="",
            levelCols=[],
            effectCols=[],
            effectCrossCols=[],
            effectShrinkages=[],
            attributeCols=[],
            attributeCrossCols=[],
            amountCol="base_amount",
            outputPrefix="unit_price",
            foldCol="fold",
            numFolds=5,
            forward=False,
            levelShrinkage=3.0,
            slopeShrinkage=5.0,
            productShrinkage=0.1,
            attributeShrinkage=2.0,
        )

    def getQuantityCol(self) -> str:
        """Return the name of the column of the quantity."""
        return self.getOrDefault(self.quantityCol)

    def getProductCol(self) -> str:
        """Return the name of the column of the product."""
        return self.getOrDefault(self.productCol)

    def getLevelCols(self) -> list[str]:
        """Return the names of the levels' columns, from coarse to fine."""
        return self.getOrDefault(self.levelCols)

    def getEffectKeys(self) -> list[tuple[str, str]]:
        """Return the two columns of the key of each effect; the second may be empty."""
        return self._pairs("effectCols", "effectCrossCols")

    def getEffectShrinkages(self) -> list[float]:
        """Return the rows that each effect is shrunk by."""
        return self.getOrDefault(self.effectShrinkages) or [20.0] * len(self.getOrDefault(self.effectCols))

    def getAttributeKeys(self) -> list[tuple[str, str]]:
        """Return the two columns of the key of each attribute; the second may be empty."""
        return self._pairs("attributeCols", "attributeCrossCols")

    def getAmountCol(self) -> str:
        """Return the name of the column of quantity times unit price."""
        return self.getOrDefault(self.amountCol)

    def getForward(self) -> bool:
        """Return whether a fold is encoded from the earlier ones only."""
        return self.getOrDefault(self.forward)

    def output_names(self) -> dict[str, str]:
        """Return the output columns by what they hold, in their order."""
        prefix = self.getOrDefault(self.outputPrefix)
        kinds = ["line", "log_quantity"]
        kinds += [f"rows_{i}" for i in range(len(self.getLevelCols()))]
        if self.getProductCol():
            kinds += ["line_excess", "newness", "log_quantity_excess", "rows_product", "spread", "low", "high"]
        for i in range(len(self.getEffectKeys())):
            kinds += [f"effect_{i}", f"effect_rows_{i}"]
        kinds += [f"attribute_{i}" for i in range(len(self.getAttributeKeys()))]
        return {"amount": self.getAmountCol(), **{kind: f"{prefix}_{kind}" for kind in kinds}}

    def _pairs(self, first: str, second: str) -> list[tuple[str, str]]:
        firsts: list[str] = self.getOrDefault(first)
        seconds: list[str] = self.getOrDefault(second) or [""] * len(firsts)
        if len(firsts) != len(seconds):
            raise SettingsError(
                f"{first} and {second}: expected lists of one length, found {firsts} and {seconds}; "
                'give each key a second column, or "".'
            )
        return list(zip(firsts, seconds, strict=True))

    def _input_columns(self) -> list[str]:
        """Return the distinct columns that a row is encoded from."""
        keys = [name for key in (*self.getEffectKeys(), *self.getAttributeKeys()) for name in key]
        named = [self.getQuantityCol(), self.getProductCol(), *self.getLevelCols(), *keys]
        return [name for name in dict.fromkeys(named) if name not in {"", QUANTITY_BIN}]

    def _check_params(self) -> None:
        """Check what needs no frame."""
        for name in ("levelShrinkage", "productShrinkage", "attributeShrinkage"):
            if not self.getOrDefault(name) >= 0:
                raise SettingsError(f"{name}: expected at least 0, found {self.getOrDefault(name)}.")
        if not self.getOrDefault("slopeShrinkage") > 0:
            raise SettingsError(f"slopeShrinkage: expected more than 0, found {self.getOrDefault('slopeShrinkage')}.")
        shrinkages, effects = self.getEffectShrinkages(), self.getEffectKeys()
        if len(shrinkages) != len(effects) or any(not value >= 0 for value in shrinkages):
            raise SettingsError(
                f"effectShrinkages: expected {len(effects)} numbers of at least 0, one an effect, found {shrinkages}."
            )
        firsts = [first for first, _ in (*effects, *self.getAttributeKeys())]
        if "" in firsts or QUANTITY_BIN in firsts or QUANTITY_BIN in dict(self.getAttributeKeys()).values():
            raise SettingsError(
                f"effectCols and attributeCols: expected names of columns, found {firsts} and "
                f'{self.getAttributeKeys()}; "{QUANTITY_BIN}" may stand in effectCrossCols only.'
            )
        outputs = list(self.output_names().values())
        if len(set(outputs)) != len(outputs):
            raise SettingsError(f"amountCol: expected a name of its own, found {self.getAmountCol()}; choose another.")
