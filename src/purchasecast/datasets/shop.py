"""The frames of a generated shop, and how they are written."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from purchasecast.errors import SettingsError, SourceError
from purchasecast.files import cause, write_whole
from purchasecast.io import write_single_csv, write_table
from purchasecast.schema import shipped_schemas

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.schema import Schema

__all__ = ["SCORING_SHARE", "GeneratedShop", "ShopTruth", "write_shop"]

logger = logging.getLogger(__name__)

SCORING_SHARE = 0.4  # rows to score for each labelled row
_SUFFIXES = (".csv", ".parquet", ".pq", "")


@dataclass(frozen=True, slots=True)
class ShopTruth:
    """What was planted.

    Attributes
    ----------
    customers : DataFrame
        One row a customer: attributes, effects, taste.
    products : DataFrame
        One row a product: categories, price, level, effect, factors, whether it is unseen.
    attributes : DataFrame
        One row a level of a customers' attribute: its effect.
    rows : DataFrame
        One row a transaction, labelled or to be scored: key, part, expected and actual amount; where a shop has
        dates, also quantity, discount and the unit price on the day.
    pairs : DataFrame or None, default None
        One row a customer and product, where a shop has dates: the probability that a line to score of this customer
        is of this product. It has customers x products rows, and is computed only if asked for.
    """

    customers: DataFrame
    products: DataFrame
    attributes: DataFrame
    rows: DataFrame
    pairs: DataFrame | None = None


@dataclass(frozen=True, slots=True)
class GeneratedShop:
    """A generated shop: lazily evaluated frames.

    Attributes
    ----------
    transactions : DataFrame
        The labelled rows.
    scoring : DataFrame
        Rows without a target; some of their products are not in `transactions`.
    truth : ShopTruth
        What was planted.
    schema : Schema
        The description of `transactions`.
    order : tuple of str
        Columns that name a row, to sort by when writing.
    """

    transactions: DataFrame
    scoring: DataFrame
    truth: ShopTruth
    schema: Schema
    order: tuple[str, ...]


def write_shop(
    shop: GeneratedShop, out: str, *, truth: bool = False, scoring: bool = False, overwrite: bool = False
) -> dict[str, str]:
    """Write a generated shop, sorted by what names a row, so that a seed always gives the same file.

    Where the shop's schema is none that comes with the package, it is written beside the rows as ``<out>.toml``.

    Parameters
    ----------
    shop : GeneratedShop
        What to write.
    out : str
        One CSV file if it ends in ``.csv``; a Parquet folder if it ends in ``.parquet``, or in no suffix.
    truth : bool, default False
        Write the truth beside it as Parquet, into ``<out>.truth``.
    scoring : bool, default False
        Write the rows to score beside it, as ``<out>.scoring`` with the same suffix.
    overwrite : bool, default False
        Replace what is there already.

    Returns
    -------
    dict of str to str
        What was written, by name, and where.

    Raises
    ------
    SourceError
        If something cannot be written, or is there already and `overwrite` is off.
    SettingsError
        If `out` ends in another suffix.
    """
    stem, suffix = os.path.splitext(str(out))  # noqa: PTH122 -- an address like hdfs://... is no local path
    if suffix.lower() not in _SUFFIXES:
        raise SettingsError(
            f"{out}: expected a name that ends in .csv or .parquet, found {suffix or 'no suffix'}; rename it."
        )
    mode: Literal["overwrite", "error"] = "overwrite" if overwrite else "error"
    tables = {"transactions": (shop.transactions, str(out))}
    if scoring:
        tables["scoring"] = (shop.scoring, f"{stem}.scoring{suffix}")
    for name, (frame, path) in tables.items():
        ordered = frame.orderBy(*shop.order)
        if suffix.lower() == ".csv":
            write_single_csv(ordered, path, mode=mode)
        else:
            write_table(ordered, path, format="parquet", mode=mode)
        logger.info("Wrote %s to %s", name, path)
    written = {name: path for name, (_, path) in tables.items()}
    if shop.schema.name not in shipped_schemas():
        written["schema"] = f"{stem}.toml"
        _write_schema(shop.schema, written["schema"])
    if truth:
        for name in ("customers", "products", "attributes", "rows"):
            written[f"truth_{name}"] = f"{stem}.truth/{name}"
            write_table(getattr(shop.truth, name), written[f"truth_{name}"], format="parquet", mode=mode)
    return written


def _write_schema(schema: Schema, path: str) -> None:
    """Write a schema as TOML; texts, numbers and lists of them are written there as in JSON."""
    document = schema.to_dict()
    columns = document.pop("columns")
    lines = [f"{name} = {json.dumps(value)}" for name, value in document.items() if value is not None]
    for column in columns:
        lines += ["", f"[columns.{json.dumps(column.pop('name'))}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in column.items()]
    try:
        write_whole(path, "\n".join([*lines, ""]))
    except OSError as error:
        raise SourceError(f"cannot write the schema {path}: {cause(error)}; choose another name.") from None
