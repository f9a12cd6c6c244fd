"""The fitted pipeline of a model directory, and who buys what: the parts of it that only Spark can read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyspark.ml import PipelineModel, Transformer

from purchasecast.errors import BundleError
from purchasecast.stages import (
    ConformalIntervalsModel,
    CrossedEffectsModel,
    LatentFactorModel,
    PriceLadderModel,
    PurchasePropensityModel,
)

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle.directory import Bundle

__all__ = [
    "check_complete",
    "load_level_stages",
    "load_pipeline",
    "load_propensity",
    "save_pipeline",
    "save_propensity",
]

_FOLDER, _PROPENSITY = "pipeline", "propensity"
_LEVEL_STAGES = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (CrossedEffectsModel, LatentFactorModel, ConformalIntervalsModel, PriceLadderModel)
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
    """Read the stages that hold levels, intervals and ladders, and no other.

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
    """Write a fitted pipeline into the folder of a new bundle.

    Parameters
    ----------
    model : PipelineModel
        The pipeline.
    folder : Path
        Folder on a disk that the executors share with this machine.

    Raises
    ------
    BundleError
        If a part of it is not there: executors without that disk write to their own, and Spark does not notice.
    """
    place = folder / _FOLDER
    model.write().save(place.as_uri())
    check_complete(place, stages=len(model.stages))


def check_complete(place: Path, *, stages: int) -> None:
    """Check that a saved pipeline has all its stages, and that no folder that Spark has written is without its part.

    Parameters
    ----------
    place : Path
        Folder of the pipeline.
    stages : int
        Number of stages.

    Raises
    ------
    BundleError
        If something is missing.
    """
    # Every table of a stage is written by one task, so that one part is all of it.
    written = {done.parent for done in place.rglob("_SUCCESS")}
    empty = sorted(one.relative_to(place).as_posix() for one in written if not any(one.glob("part-*")))
    described = {one.relative_to(place).parts[1] for one in written if one.relative_to(place).parts[0] == "stages"}
    if empty or len(described) != stages or place / "metadata" not in written:
        missing = f"no data in {empty[0]}" if empty else f"{len(described)} of them"
        raise BundleError(
            f"{place}: expected {stages} stages that the executors wrote, found {missing}; "
            "choose a folder on a disk that this machine shares with all executors."
        )


def save_propensity(model: PurchasePropensityModel, folder: Path) -> None:
    """Write who buys what into the folder of a new bundle."""
    model.save((folder / _PROPENSITY).as_uri())


def load_propensity(bundle: Bundle) -> PurchasePropensityModel | None:
    """Read who buys what.

    Parameters
    ----------
    bundle : Bundle
        What `purchasecast.bundle.directory.load_bundle` returned.

    Returns
    -------
    PurchasePropensityModel or None
        The model; None if the bundle was trained without offers.
    """
    folder = bundle.path / _PROPENSITY
    if not folder.is_dir():
        return None
    model: PurchasePropensityModel = PurchasePropensityModel.load(folder.resolve().as_uri())
    return model
