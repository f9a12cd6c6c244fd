"""Everything a report is made of, read from a model directory; no Spark and no Java needed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast.errors import SourceError
from purchasecast.report.model_description import read_outline
from purchasecast.results import Evaluation, Insights, Profile, SearchResult, ValidationReport

if TYPE_CHECKING:
    from purchasecast.bundle import Bundle
    from purchasecast.schema import Schema

__all__ = ["ReportData", "read_report"]

_FINDINGS = "findings"


@dataclass(frozen=True, slots=True)
class ReportData:
    """The results of a training run, and of what came after it; a part that was not made is None.

    Attributes
    ----------
    schema : Schema
        Description of the rows.
    manifest : dict
        Settings, versions and data fingerprint.
    validation : ValidationReport or None
        Rows in, accepted and rejected.
    profile : Profile or None
        Univariate analysis.
    search : SearchResult or None
        The grid search.
    evaluation : Evaluation or None
        Figures of the holdout.
    model : dict or None
        The stages, and the coefficients, with their intervals where the training run kept them.
    insights : Insights or None
        Findings and target lists.
    """

    schema: Schema
    manifest: dict[str, Any]
    validation: ValidationReport | None = None
    profile: Profile | None = None
    search: SearchResult | None = None
    evaluation: Evaluation | None = None
    model: dict[str, Any] | None = None
    insights: Insights | None = None


def read_report(bundle: Bundle, *, insights: str | Path | None = None) -> ReportData:
    """Collect what a report shows.

    Parameters
    ----------
    bundle : Bundle
        The model directory.
    insights : str or Path, optional
        Folder that ``purchasecast insights --out`` wrote; by default the findings in the bundle, where it has some.

    Returns
    -------
    ReportData
        The parts that there are.

    Raises
    ------
    SourceError
        If `insights` holds no findings.
    """
    found = bundle.document(_FINDINGS) if insights is None else _read_findings(Path(insights))
    validation, profile = bundle.document("validation"), bundle.document("profile")
    search, evaluation = bundle.document("search"), bundle.document("evaluation")
    return ReportData(
        schema=bundle.schema,
        manifest=bundle.manifest,
        validation=ValidationReport.from_dict(validation) if validation else None,
        profile=Profile.from_dict(profile) if profile else None,
        search=SearchResult.from_dict(search) if search else None,
        evaluation=Evaluation.from_dict(evaluation) if evaluation else None,
        model=read_outline(bundle, bundle.schema),
        insights=Insights.from_dict(found) if found else None,
    )


def _read_findings(folder: Path) -> dict[str, Any]:
    file = folder if folder.suffix == ".json" else folder / f"{_FINDINGS}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{file}: expected the findings that `purchasecast insights --out` wrote, found "
            f"{'no such file' if isinstance(error, FileNotFoundError) else type(error).__name__}; name its folder."
        ) from error
    return found
