"""Render pages: one HTML file each, with style and charts inside and without scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from purchasecast import __version__
from purchasecast.errors import SourceError
from purchasecast.files import cause, write_whole
from purchasecast.report.elements import Page
from purchasecast.report.sections.campaign import measurement_page
from purchasecast.report.sections.drift import drift_page
from purchasecast.report.sections.findings import decision_section, description_section
from purchasecast.report.sections.model import method_section, model_section
from purchasecast.report.sections.pairs import pair_section
from purchasecast.report.sections.plan import plan_page
from purchasecast.report.sections.profile import data_section, feature_section, order_section, target_section
from purchasecast.report.sections.quality import quality_section
from purchasecast.report.summary import (
    business_tiles,
    profile_summary,
    quality_summary,
    quality_tiles,
    top_actions,
    warning_summary,
)

if TYPE_CHECKING:
    from purchasecast.report.elements import Section
    from purchasecast.report.report_data import ReportData
    from purchasecast.results import DriftReport, Measurement, Plan, Profile, ValidationReport
    from purchasecast.schema import Schema

__all__ = ["render_drift", "render_measurement", "render_plan", "render_profile", "render_report", "write_page"]


def render_report(data: ReportData) -> str:
    """Return the report of a model.

    Parameters
    ----------
    data : ReportData
        As `read_report` returned it.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    schema, profile, evaluation, unit = data.schema, data.profile, data.evaluation, data.schema.money
    decisions, descriptions = decision_section(data.insights), description_section(data.insights)
    sections: list[Section | None] = [data_section(profile, data.validation), *_profile_sections(profile)]
    sections += [model_section(data), quality_section(evaluation, schema)]
    # A reader who decides wants the decisions first; where there are none, the sentence about them comes last.
    sections = [decisions, descriptions, *sections] if data.insights else [*sections, decisions]
    summaries = [quality_summary(evaluation, unit)]
    if profile:
        summaries = [profile_summary(profile), *summaries, *warning_summary(profile)]
    tiles = business_tiles(profile) if profile else ()
    page = Page(
        title=schema.title,
        subtitle=f"What is related to {schema.column(schema.target).label}, and what to do about it",
        summaries=tuple(summaries),
        actions=top_actions(data.insights),
        tiles=(*tiles, *(quality_tiles(evaluation, unit) if evaluation else ())),
        sections=tuple(section for section in (*sections, method_section(data)) if section),
        footer=f"purchasecast {__version__}, data {data.manifest.get('data', {}).get('hash', 'unknown')}",
    )
    return _render(page)


def render_profile(profile: Profile, validation: ValidationReport | None = None) -> str:
    """Return the page of a table.

    Parameters
    ----------
    profile : Profile
        Univariate analysis of the table.
    validation : ValidationReport, optional
        Accepted and rejected rows.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    sections = [data_section(profile, validation), *_profile_sections(profile)]
    page = Page(
        title=profile.title,
        subtitle=f"Univariate analysis of {profile.target.label} and {len(profile.features)} features",
        summaries=(profile_summary(profile), *warning_summary(profile)),
        actions=(),
        tiles=business_tiles(profile),
        sections=tuple(section for section in sections if section),
        footer=f"purchasecast {__version__}",
    )
    return _render(page)


def render_drift(report: DriftReport, schema: Schema) -> str:
    """Return the page of a comparison of new rows with the training data.

    Parameters
    ----------
    report : DriftReport
        The comparison.
    schema : Schema
        Description of the rows.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    return _render(drift_page(report, schema, f"purchasecast {__version__}"))


def render_plan(plan: Plan) -> str:
    """Return the page of a planned campaign.

    Parameters
    ----------
    plan : Plan
        The figures.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    return _render(plan_page(plan, f"purchasecast {__version__}"))


def render_measurement(measurement: Measurement) -> str:
    """Return the page of a measured campaign.

    Parameters
    ----------
    measurement : Measurement
        What the campaign has brought.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    return _render(measurement_page(measurement, f"purchasecast {__version__}"))


def write_page(html: str, path: str | Path) -> Path:
    """Write a page to a file.

    Parameters
    ----------
    html : str
        The page.
    path : str or Path
        The file. Missing folders are created.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SourceError
        If it cannot be written.
    """
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, html)
    except OSError as error:
        raise SourceError(f"{file}: expected a writable file, found {cause(error)}; choose another place.") from error
    return file


def _profile_sections(profile: Profile | None) -> list[Section | None]:
    if profile is None:
        return []
    return [target_section(profile), feature_section(profile), pair_section(profile), order_section(profile)]


def _render(page: Page) -> str:
    environment = Environment(
        loader=PackageLoader("purchasecast.report"),
        autoescape=True,  # names and levels come from the data, and must not become markup
        undefined=StrictUndefined,  # a misspelt name in the template is an error, not an empty text
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("style.css").render()
    return environment.get_template("page.html").render(page=page, style=style)
