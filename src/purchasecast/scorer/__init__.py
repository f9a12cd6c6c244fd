"""Score without Spark: load the portable part of a model and predict with NumPy and Arrow.

Examples
--------
>>> from purchasecast.scorer import load
>>> scorer = load("model")  # doctest: +SKIP
>>> scorer.predict_one({"User_ID": 1000001, "Product_ID": "P00069042"}).prediction  # doctest: +SKIP
14812.3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.bundle import load_with
from purchasecast.scorer.contributions import Contributions
from purchasecast.scorer.format import FORMAT_VERSION
from purchasecast.scorer.inputs import Problem
from purchasecast.scorer.model import Estimate, Prediction, Scorer, read_scorer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMAT_VERSION", "Contributions", "Estimate", "Prediction", "Problem", "Scorer", "load", "read_scorer"]


def load(path: str | Path) -> Scorer:
    """Load a model for scoring without Spark.

    Parameters
    ----------
    path : str or Path
        The model directory, written by ``purchasecast train``.

    Returns
    -------
    Scorer
        The model; its files match their checksums, and it has passed its own test.

    Raises
    ------
    BundleError
        If there is no model, it has no scorer, or it is damaged or of another version.
    """
    return load_with(path, lambda bundle: read_scorer(bundle.scorer_files))
