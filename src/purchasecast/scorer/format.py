"""The scorer's folder: ``scorer.json`` and, beside it, Arrow files of level tables; written and read without Spark.

::

    scorer/
      scorer.json      format, schema, feature vectors, steps in order, averages, known attributes, self-test
      levels/0.arrow   one file for each kind of key: a customer, a product, another column, or a pair of columns

docs/reference/portable-format.md describes every member. ``FORMAT_VERSION`` changes when an older reader would misread
a newer folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from purchasecast.errors import BundleCorruptError, BundleError, BundleVersionError
from purchasecast.scorer.levels import write_levels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from purchasecast.files import SealedFiles
    from purchasecast.schema import Schema

__all__ = ["FORMAT", "FORMAT_VERSION", "MANIFEST", "OFFERS", "ScorerWriter", "read_manifest"]

FORMAT = "purchasecast-scorer"
FORMAT_VERSION = 3  # 1 had no factors for customers and products without ratings, 2 told repeats with first purchases
MANIFEST = "scorer.json"
OFFERS = "offers"  # folder beside it, which `purchasecast.scorer.offers` reads


@dataclass(slots=True)
class _Levels:
    """A level table in the making."""

    columns: tuple[str, ...]
    keys: pa.Array
    values: dict[str, pa.Array] = field(default_factory=dict)


class ScorerWriter:
    """Collects the parts of a portable model and writes its folder.

    Parameters
    ----------
    schema : Schema
        Schema of the rows that the model takes.

    Examples
    --------
    >>> from purchasecast.schema.table import load_schema
    >>> writer = ScorerWriter(load_schema("black_friday"))
    >>> writer.add_step({"kind": "clip", "input": "raw", "output": "prediction", "minimum": 0.0})
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._levels: list[_Levels] = []
        self._vectors: dict[str, list[dict[str, Any]]] = {}
        self._steps: list[dict[str, Any]] = []
        self._files: dict[str, bytes] = {}
        self._members: dict[str, Any] = {}

    def add_levels(self, columns: Sequence[str], keys: pa.Array) -> int:
        """Add a level table with distinct keys, made of the values of these columns; return its number."""
        self._levels.append(_Levels(tuple(columns), keys))
        return len(self._levels) - 1

    def levels_of(self, columns: Sequence[str]) -> int | None:
        """Return the number of the table whose keys are made of these columns; None if there is none."""
        return next((k for k, levels in enumerate(self._levels) if levels.columns == tuple(columns)), None)

    def keys(self, number: int) -> pa.Array:
        """Return the keys of a table."""
        return self._levels[number].keys

    def value_names(self, number: int) -> tuple[str, ...]:
        """Return the names of a table's value columns."""
        return tuple(self._levels[number].values)

    def add_values(self, number: int, name: str, values: pa.Array) -> None:
        """Add a value column to a table: one value for each key, and a last one for unseen levels."""
        self._levels[number].values[name] = values

    def add_vector(self, name: str, features: Sequence[Mapping[str, Any]]) -> None:
        """Add a feature vector: for each column ``column`` and, if it becomes indicators, ``size``."""
        self._vectors[name] = [dict(feature) for feature in features]

    def add_step(self, entry: Mapping[str, Any]) -> None:
        """Add a step; steps run in the order in which they are added."""
        self._steps.append(dict(entry))

    def add_file(self, name: str, content: bytes) -> None:
        """Add a file that a step's entry names."""
        self._files[name] = content

    def set(self, name: str, value: Any) -> None:
        """Set the member ``known``, ``averages``, ``typical`` or ``self_test``."""
        self._members[name] = value

    def write(self, folder: Path) -> None:
        """Create the folder and write all files."""
        (folder / "levels").mkdir(parents=True, exist_ok=True)
        for name, content in self._files.items():
            (folder / name).write_bytes(content)
        tables = []
        for number, levels in enumerate(self._levels):
            name = f"levels/{number}.arrow"
            write_levels(folder / name, levels.keys, levels.values)
            tables.append({"columns": list(levels.columns), "file": name, "rows": len(levels.keys)})
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "schema": self.schema.to_dict(),
            "levels": tables,
            "vectors": self._vectors,
            "steps": self._steps,
            **self._members,
        }
        # NaN is not JSON, although Python writes and reads it; readers in other languages would fail.
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(files: SealedFiles) -> dict[str, Any]:
    """Return the content of ``scorer.json``.

    Raises
    ------
    BundleError
        If the folder has no ``scorer.json``.
    BundleVersionError
        If it is of a format that this version does not read.
    BundleCorruptError
        If it does not describe a scorer.
    """
    try:
        content = files.read(MANIFEST)
    except OSError as error:
        raise BundleError(
            f"{files.folder}: expected a scorer ({MANIFEST}), found none; train the model again with this purchasecast."
        ) from error
    try:
        document: dict[str, Any] = json.loads(content)
        kind, version = document["format"], document["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleCorruptError(
            f"{MANIFEST}: expected the description of a scorer, found something else; train the model again."
        ) from error
    if kind != FORMAT or version != FORMAT_VERSION:
        raise BundleVersionError(
            f"{MANIFEST}: expected {FORMAT} {FORMAT_VERSION}, found {kind} {version}; "
            "use the purchasecast that wrote it or train again."
        )
    return document
