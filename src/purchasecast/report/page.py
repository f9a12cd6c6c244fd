"""Put sections into the template: one HTML file with style and pictures inside, and no script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from purchasecast import __version__
from purchasecast._words import money, percent
from purchasecast.errors import SourceError
from purchasecast.report.drift_page import drift_page
from purchasecast.report.finding_section import finding_section, summary_sentences
from purchasecast.report.model_sections import method_section, model_section, quality_section, quality_tile
from purchasecast.report.parts import Page
from purchasecast.report.profile_sections import (
    data_section,
    explained,
    feature_section,
    headline_tiles,
    order_section,
    pair_section,
    target_section,
)

if TYPE_CHECKING:
    from purchasecast._validation_report import ValidationReport
    from purchasecast.drift import DriftReport
    from purchasecast.profile import Profile
    from purchasecast.report.parts import Section
    from purchasecast.report.sources import ReportData
    from purchasecast.schema import Schema

__all__ = ["render_drift", "render_profile", "render_report", "write_page"]


def render_report(data: ReportData) -> str:
    """Return the page of a model.

    Parameters
    ----------
    data : ReportData
        What `read_report` collected.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    schema, profile, evaluation = data.schema, data.profile, data.evaluation
    findings = finding_section(data.insights)
    sections: list[Section | None] = [data_section(profile, data.validation), *_profile_sections(profile)]
    sections += [model_section(data), quality_section(evaluation, schema)]
    sections = [findings, *sections] if data.insights else [*sections, findings]
    sections.append(method_section(data))
    tiles = headline_tiles(profile) if profile else ()
    if evaluation:
        tiles = (*tiles, quality_tile(evaluation, schema.money))
    page = Page(
        title=schema.title,
        subtitle=f"What drives {schema.column(schema.target).label}, and what to do about it",
        tiles=tiles,
        summary=(*summary_sentences(data.insights), *_quality_summary(data), *_profile_summary(profile)),
        sections=tuple(section for section in sections if section),
        footer=f"purchasecast {__version__}, data {data.manifest.get('data', {}).get('hash', 'unknown')}",
    )
    return _render(page)


def render_profile(profile: Profile, validation: ValidationReport | None = None) -> str:
    """Return the page of a table.

    Parameters
    ----------
    profile : Profile
        Its univariate analysis.
    validation : ValidationReport, optional
        Rows in, accepted and rejected.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    sections = [data_section(profile, validation), *_profile_sections(profile)]
    page = Page(
        title=profile.title,
        subtitle=f"Univariate analysis of {profile.target.label} and {len(profile.features)} features",
        tiles=headline_tiles(profile),
        summary=_profile_summary(profile),
        sections=tuple(section for section in sections if section),
        footer=f"purchasecast {__version__}",
    )
    return _render(page)


def render_drift(found: DriftReport, schema: Schema) -> str:
    """Return the page of a comparison of new rows with those of the training.

    Parameters
    ----------
    found : DriftReport
        The comparison.
    schema : Schema
        Description of the rows.

    Returns
    -------
    str
        HTML that needs no network and no script.
    """
    return _render(drift_page(found, schema, f"purchasecast {__version__}"))


def write_page(html: str, path: str | Path) -> Path:
    """Write a page.

    Raises
    ------
    SourceError
        If it cannot be written.
    """
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write {file}: {error.strerror}; choose another --out.") from error
    return file


def _profile_sections(profile: Profile | None) -> list[Section | None]:
    if profile is None:
        return []
    return [target_section(profile), feature_section(profile), pair_section(profile), order_section(profile)]


def _profile_summary(profile: Profile | None) -> tuple[str, ...]:
    """Return what a manager should know of the data, in two or three sentences."""
    if profile is None:
        return ()
    label = profile.target.label
    sentences = []
    strongest = max(explained(profile), key=lambda pair: pair[1], default=None)
    if strongest is not None:
        name, share = strongest[0], percent(strongest[1])
        sentences.append(f"{name} by itself explains {share} of the differences in {label}, more than any other.")
    weak = [one.label for one in profile.features if one.explained < 0.005]
    if weak:
        sentences.append(f"By themselves these explain less than 0.5% each: {', '.join(weak)}.")
    if profile.warnings:
        first = profile.warnings[0].sentence
        more = len(profile.warnings) - 1
        sentences.append(f"Mind: {first}{f' And {more} more below.' if more else ''}")
    return tuple(sentences)


def _quality_summary(data: ReportData) -> tuple[str, ...]:
    if data.evaluation is None:
        return ()
    whole = data.evaluation.overall
    error = money(whole.mae, data.schema.money)
    explained = "" if whole.r2 is None else f", and explains {percent(whole.r2)} of the differences"
    return (f"The model is {error} off on average on {whole.rows:,} rows that it has not seen{explained}.",)


def _render(page: Page) -> str:
    environment = Environment(
        loader=PackageLoader("purchasecast.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("style.css").render()
    return environment.get_template("page.html").render(page=page, style=style)
