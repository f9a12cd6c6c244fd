"""Keep a frame in memory for as long as it is read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.storagelevel import StorageLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

__all__ = ["cached"]


@contextmanager
def cached(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame in memory, and on disk where memory does not suffice, inside a ``with`` block.

    Parameters
    ----------
    frame : DataFrame
        What is read more than once.

    Yields
    ------
    DataFrame
        The same frame. Afterwards it is no longer cached, unless the caller had cached it before.
    """
    # Spark keeps one entry for equal plans: to unpersist what was cached before would take it from the caller.
    if frame.storageLevel != StorageLevel.NONE:
        yield frame
        return
    frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()
