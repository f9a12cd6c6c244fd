"""Level tables of the stages, collected, aligned by key, and handed to the scorer's writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import BundleError
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from purchasecast.scorer.format import ScorerWriter

__all__ = [
    "MOST_LEVELS",
    "Aligned",
    "add_crossed_effects",
    "add_latent_factors",
    "add_level_statistics",
    "add_simple_predictors",
    "add_unit_price",
    "collect_levels",
]

MOST_LEVELS = 5_000_000  # rows of a level table: what a driver of 2 GB and a scoring machine can hold


class Aligned:
    """A collected level table, its rows brought into the order of a scorer's keys.

    Parameters
    ----------
    writer : ScorerWriter
        Where the keys are.
    columns : sequence of str
        Columns of the schema that the key is made of.
    table : pyarrow.Table
        With ``level``.
    """

    def __init__(self, writer: ScorerWriter, columns: Sequence[str], table: pa.Table) -> None:
        levels = table["level"].combine_chunks()
        number = writer.levels_of(columns)
        self.number = writer.add_levels(columns, levels) if number is None else number
        self._writer = writer
        self._table = table
        self._places = pc.index_in(writer.keys(self.number), value_set=levels)

    def array(self, name: str, unseen: float = 0.0) -> NDArray[np.float64]:
        """Return a column in the order of the keys, with the value of unseen levels in gaps and at the end."""
        values = self._table[name].combine_chunks().cast(pa.float64()).take(self._places)
        found = pc.fill_null(values, unseen).to_numpy(zero_copy_only=False)
        return np.append(found, unseen)

    def present(self) -> NDArray[np.float64]:
        """Return 1 for every key that the table has, 0 for the others and for unseen levels."""
        return np.append(pc.is_valid(self._places).to_numpy(zero_copy_only=False).astype(np.float64), 0.0)

    def add(self, name: str, values: NDArray[np.float64]) -> None:
        """Give the table a column."""
        self._writer.add_values(self.number, name, _arrow(values))


def collect_levels(frame: DataFrame) -> pa.Table:
    """Collect a level table, its keys as text.

    Raises
    ------
    BundleError
        If it has more rows than the cap.
    """
    others = [col(name) for name in frame.columns if name != "level"]
    table = frame.select(col("level").cast("string").alias("level"), *others).limit(MOST_LEVELS + 1).toArrow()
    if len(table) > MOST_LEVELS:
        raise BundleError(
            f"scorer: expected at most {MOST_LEVELS:,} levels a table, found more; "
            "score this model with `purchasecast predict`."
        )
    return table.filter(pc.is_valid(table["level"]))


def add_crossed_effects(writer: ScorerWriter, portable: Mapping[str, Any]) -> None:
    """Add the step and the tables of a `CrossedEffectsModel`."""
    groups = []
    counts = portable["counts"] or [""] * len(portable["inputs"])
    for name, output, count in zip(portable["inputs"], portable["outputs"], counts, strict=True):
        aligned = Aligned(writer, [name], collect_levels(portable["tables"][name]))
        for value in ("effect", "rows"):
            aligned.add(value, aligned.array(value))
        aligned.add("mean", aligned.array("mean", np.nan))
        entry = {"levels": aligned.number, "effect": "effect", "rows": "rows", "output": output, "count": count}
        groups.append(entry)
    writer.add_step(
        {
            "kind": "crossed_effects",
            "baseline": portable["baseline"],
            "fitted": portable["fitted"],
            "groups": groups,
            "attributes": portable["attributes"],
        }
    )


def add_latent_factors(
    writer: ScorerWriter, portable: Mapping[str, Any], patterns: Mapping[str, tuple[str, DataFrame]]
) -> None:
    """Add the step and the tables of a `LatentFactorModel`.

    Parameters
    ----------
    writer : ScorerWriter
        Where they are added.
    portable : mapping
        What the model's ``to_portable`` returned.
    patterns : mapping of str to (str, DataFrame)
        Columns of vectors made before: the column of the level, and a frame of ``level`` and ``pattern``.
    """
    output = portable["output"]
    names = [str(f) for f in range(portable["rank"])]
    sides, means = {}, {}
    for side, column in zip(("user", "item"), portable["inputs"], strict=True):
        rated = collect_levels(portable["tables"][side])
        entry, vector = dict(portable[f"{side}_means"]), portable[f"{side}_vector"]
        if vector and vector not in patterns:
            raise BundleError(
                f"scorer: expected the vectors of {vector} from PurchasePatternEncoder, found another source; "
                "score this model with `purchasecast predict`."
            )
        entry["patterns"] = _unrated_patterns(writer, rated["level"], *patterns[vector]) if vector else None
        means[f"{side}_means"] = entry
        aligned = Aligned(writer, [column], rated)
        aligned.add(f"{output} factors", np.column_stack([aligned.array(name) for name in names]))
        aligned.add(f"{output} rated", aligned.present())
        sides[side] = aligned
    sides["item"].add(f"{output} scale", sides["item"].array("scale"))
    writer.add_step(
        {
            "kind": "latent_factors",
            "user": sides["user"].number,
            "item": sides["item"].number,
            "factors": f"{output} factors",
            "rated": f"{output} rated",
            "item_scale": f"{output} scale",
            **means,
            "output": output,
            "scale": portable["scale"],
            "user_outputs": portable["user_factors"],
            "item_outputs": portable["item_factors"],
        }
    )


def _unrated_patterns(writer: ScorerWriter, rated: pa.ChunkedArray, column: str, frame: DataFrame) -> int | None:
    """Add a table of the patterns of levels without factors; return its number, None where there is no such level."""
    table = collect_levels(frame)
    table = table.filter(pc.invert(pc.is_in(table["level"], value_set=rated.combine_chunks())))
    if not len(table):
        return None
    number = writer.add_levels([column], table["level"].combine_chunks())
    values = np.stack(
        table.take(pc.index_in(writer.keys(number), value_set=table["level"].combine_chunks()))["pattern"].to_numpy()
    )
    writer.add_values(number, "pattern", _arrow(np.vstack([values, np.zeros(values.shape[1])])))
    return number


def add_level_statistics(writer: ScorerWriter, portable: Mapping[str, Any]) -> None:
    """Add the step and the tables of a `LevelStatisticsModel`."""
    keys = [tuple(key) for key in portable["keys"]]
    wanted = {output["name"] for output in portable["outputs"]} - {"count", "lift"}
    wanted |= {"rank"} if any(output["name"] == "lift" for output in portable["outputs"]) else set()
    overall = {**portable["overall"], "count": 0.0}
    numbers = []
    for key, frame in zip(keys, portable["tables"].values(), strict=True):
        aligned = Aligned(writer, key, collect_levels(frame))
        for name in sorted(wanted | {"count"}):
            aligned.add(f"statistics {name}", aligned.array(name, overall[name]))
        numbers.append(aligned.number)
    outputs = []
    for output in portable["outputs"]:
        key = keys[output["key"]]
        parent = numbers[keys.index(key[:1])] if len(key) > 1 and output["name"] != "count" else None
        entry = {"output": output["output"], "levels": numbers[output["key"]], "parent": parent, "name": output["name"]}
        outputs.append(entry)
    writer.add_step({"kind": "level_statistics", "scale": portable["scale"], "outputs": outputs})


def add_simple_predictors(writer: ScorerWriter, portable: Mapping[str, Any]) -> None:
    """Add the step and the table of a `SimplePredictorsModel`."""
    number = None
    if portable["table"] is not None:
        aligned = Aligned(writer, [portable["product"]], collect_levels(portable["table"]))
        number = aligned.number
        for name in portable["outputs"]:
            aligned.add(f"simple {name}", aligned.array(name, float(portable["overall"][name])))
    entry = {name: portable[name] for name in ("kind", "outputs", "overall", "quantity")}
    writer.add_step({**entry, "levels": number})


def add_unit_price(writer: ScorerWriter, portable: Mapping[str, Any]) -> None:
    """Add the step and the tables of a `UnitPriceModel`."""
    outputs, keys = portable["outputs"], portable["keys"]
    quantity_bin = f"{outputs['log_quantity']} bin"
    unseen = {**dict.fromkeys(("rows", "height", "slope", "effect", "recent"), 0.0), "spread": 0.2}  # others: none
    entries: dict[str, list[dict[str, Any]]] = {"level": [], "product": [], "effect": [], "attribute": []}
    for name, frame in portable["tables"].items():
        columns = [quantity_bin if column == portable["quantity_bin"] else column for column in keys[name]]
        table = collect_levels(frame)
        aligned = Aligned(writer, columns, table)
        values = {value: f"{outputs['amount']} {name} {value}" for value in table.column_names if value != "level"}
        for value, column in values.items():
            aligned.add(column, aligned.array(value, unseen.get(value, np.nan)))
        entries[name.partition("_")[0]].append({"levels": aligned.number, "values": values})
    writer.add_step(
        {
            "kind": "unit_price",
            "quantity": portable["quantity"],
            "bin": quantity_bin,
            "start": portable["start"],
            "levels": entries["level"],
            "product": entries["product"][0] if entries["product"] else None,
            "effects": entries["effect"],
            "attributes": entries["attribute"],
            "outputs": outputs,
        }
    )


def _arrow(values: NDArray[np.float64]) -> pa.Array:
    """Return numbers as Arrow; in single precision where that loses nothing."""
    single = values.astype(np.float32)
    kept = single if values.ndim > 1 and np.array_equal(single.astype(np.float64), values) else values
    flat = pa.array(np.ascontiguousarray(kept).ravel())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
