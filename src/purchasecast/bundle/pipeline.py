"""The fitted pipeline of a model directory: the one part of it that only Spark can read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyspark.ml import PipelineModel, Transformer

from purchasecast.stages import ConformalIntervalsModel, CrossedEffectsModel, LatentFactorModel

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle.directory import Bundle

__all__ = ["load_level_stages", "load_pipeline", "save_pipeline"]

_FOLDER = "pipeline"
_LEVEL_STAGES = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (CrossedEffectsModel, LatentFactorModel, ConformalIntervalsModel)
}


def load_pipeline(bundle: Bundle) -> PipelineModel:
    """Read the fitted pipeline.

    Parameters
    ----------
    bundle : Bundle
        What `purchasecast.bundle.directory.load_bundle` returned.

    Returns
    -------
    PipelineModel
        Of the Spark session that is active, which must reach the directory.
    """
    return PipelineModel.load((bundle.path / _FOLDER).resolve().as_uri())


def load_level_stages(bundle: Bundle) -> PipelineModel:
    """Read the stages that hold levels and intervals, and no other: effects, latent factors, conformal intervals.

    Parameters
    ----------
    bundle : Bundle
        What `purchasecast.bundle.directory.load_bundle` returned.

    Returns
    -------
    PipelineModel
        These stages, in their order; for their tables, not to predict with.
    """
    folders = [*(bundle.path / _FOLDER / "stages").resolve().iterdir()]
    stages: list[Transformer] = []
    for folder in sorted(folders, key=lambda folder: int(folder.name.partition("_")[0])):
        metadata = next((folder / "metadata").glob("part-*")).read_text(encoding="utf-8")
        kind = _LEVEL_STAGES.get(json.loads(metadata)["class"])
        if kind is not None:
            stages.append(kind.load(folder.as_uri()))
    return PipelineModel(stages)


def save_pipeline(model: PipelineModel, folder: Path) -> None:
    """Write a fitted pipeline into the folder of a new bundle."""
    model.write().save((folder / _FOLDER).as_uri())
