"""The fitted pipeline of a model directory: the one part of it that only Spark can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml import PipelineModel

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle import Bundle

__all__ = ["load_pipeline", "save_pipeline"]

_FOLDER = "pipeline"


def load_pipeline(bundle: Bundle) -> PipelineModel:
    """Read the fitted pipeline.

    Parameters
    ----------
    bundle : Bundle
        What `purchasecast.bundle.load_bundle` returned.

    Returns
    -------
    PipelineModel
        Of the Spark session that is active, which must reach the directory.
    """
    return PipelineModel.load((bundle.path / _FOLDER).resolve().as_uri())


def save_pipeline(model: PipelineModel, folder: Path) -> None:
    """Write a fitted pipeline into the folder of a new bundle."""
    model.write().save((folder / _FOLDER).as_uri())
