"""Read from a model directory what a report shows, without Spark or Java."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from purchasecast.errors import SourceError
from purchasecast.report.model_description import ModelDescription, describe_model
from purchasecast.results import Evaluation, Insights, Profile, SearchResult, ValidationReport

if TYPE_CHECKING:
    from purchasecast.bundle import Bundle
    from purchasecast.results import Record
    from purchasecast.schema import Schema

    Result = TypeVar("Result", bound=Record)

__all__ = ["ReportData", "read_report"]

_FINDINGS = "findings"


@dataclass(frozen=True, slots=True)
class ReportData:
    """Results of a training run and of the commands after it. Results that do not exist are None.

    Attributes
    ----------
    schema : Schema
        Description of the rows.
    manifest : dict
        Settings, versions and data fingerprint.
    validation : ValidationReport or None
        Accepted and rejected rows.
    profile : Profile or None
        Univariate analysis.
    search : SearchResult or None
        The grid search.
    evaluation : Evaluation or None
        Errors on the holdout.
    model : ModelDescription or None
        Steps and coefficients of the model.
    insights : Insights or None
        Findings and target lists.
    """

    schema: Schema
    manifest: dict[str, Any]
    validation: ValidationReport | None = None
    profile: Profile | None = None
    search: SearchResult | None = None
    evaluation: Evaluation | None = None
    model: ModelDescription | None = None
    insights: Insights | None = None


def read_report(bundle: Bundle, *, insights: str | Path | None = None) -> ReportData:
    """Read what a report shows.

    Parameters
    ----------
    bundle : Bundle
        The model directory.
    insights : str or Path, optional
        Folder that `find_insights` wrote; by default the findings in the bundle, where there are any.

    Returns
    -------
    ReportData
        All results that exist.

    Raises
    ------
    SourceError
        If `insights` has no findings.
    """
    findings = bundle.document(_FINDINGS) if insights is None else _read_findings(Path(insights))

    def read(kind: type[Result], document: dict[str, Any] | None) -> Result | None:
        return kind.from_dict(document) if document else None

    return ReportData(
        schema=bundle.schema,
        manifest=bundle.manifest,
        validation=read(ValidationReport, bundle.document("validation")),
        profile=read(Profile, bundle.document("profile")),
        search=read(SearchResult, bundle.document("search")),
        evaluation=read(Evaluation, bundle.document("evaluation")),
        model=describe_model(bundle),
        insights=read(Insights, findings),
    )


def _read_findings(folder: Path) -> dict[str, Any]:
    # The folder of a run, or the file itself.
    file = folder if folder.suffix == ".json" else folder / f"{_FINDINGS}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise SourceError(
            f"{file}: expected the findings that `insights` wrote, found {problem}; name its folder."
        ) from error
    return found
