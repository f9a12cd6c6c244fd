"""Reach what a run needs beside its tables: a Spark session, and a folder that goes with its owner."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    Session = SparkSession | Callable[[], SparkSession] | None

__all__ = ["session_of", "temporary_folder"]


def session_of(session: Session) -> Callable[[], SparkSession]:
    """Return a function that returns the session: the one given, or one that is started when it is needed.

    Parameters
    ----------
    session : SparkSession or callable, optional
        The session, or a function that starts one.

    Returns
    -------
    callable
        The function.
    """
    if session is None:
        from purchasecast.spark import get_session  # noqa: PLC0415  needs Spark

        return get_session
    return session if callable(session) else lambda: session


def temporary_folder(owner: Any) -> Path:
    """Return a new folder that is removed when its owner is no longer used.

    Parameters
    ----------
    owner : object
        Whatever needs the folder.

    Returns
    -------
    Path
        The folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="purchasecast-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder
