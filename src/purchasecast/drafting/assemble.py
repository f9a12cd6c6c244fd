"""From a survey to a draft: roles first, then every other column."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from purchasecast.drafting.calendars import calendar_column
from purchasecast.drafting.describe import describe_feature, describe_role
from purchasecast.drafting.draft import ColumnDraft, Question, SchemaDraft
from purchasecast.drafting.evidence import Evidence
from purchasecast.drafting.ignored import Candidate, reason_to_ignore
from purchasecast.drafting.kinds import find_owner, guess_kind
from purchasecast.drafting.money import find_money
from purchasecast.drafting.roles import Roles, find_rows, find_time
from purchasecast.drafting.trade import find_trade
from purchasecast.drafting.visits import find_visit
from purchasecast.drafting.words import CODE, CUSTOMER, DISCOUNT, PRODUCT, QUANTITY, TARGET
from purchasecast.errors import DataError
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from purchasecast.drafting.roles import Guess
    from purchasecast.drafting.survey import Survey, SurveyedColumn
    from purchasecast.schema import Column

__all__ = ["draft_from_survey"]

_SHOWN_ROLES = {"visit": "row"}
_VOCABULARIES = {"target": TARGET, "customer": CUSTOMER, "product": PRODUCT}
_WALK_INS = 0.05  # share of the rows of one customer from which it is no customer


@dataclass
class _Findings:
    """What is gathered column by column."""

    described: list[Column] = field(default_factory=list)
    drafts: list[ColumnDraft] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    kept: list[SurveyedColumn] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)


def draft_from_survey(survey: Survey, source: str, *, passes: int = 0) -> SchemaDraft:
    """Draft a schema.

    Parameters
    ----------
    survey : Survey
        What is known of the table.
    source : str
        Where it came from, for the schema's name and for people.
    passes : int, default 0
        How often the table was read.

    Returns
    -------
    SchemaDraft
        The draft, not yet tried on the data.

    Raises
    ------
    DataError
        If no column can be the target.
    """
    evidence = Evidence(survey)
    roles = _find_roles(survey, evidence, source)
    findings = _Findings()
    _ask_about_roles(roles, evidence, findings)
    for column in survey.columns:
        role = roles.of(column.name)
        if role is not None:
            _add_role(column, role, roles, survey, findings)
        else:
            _add_feature(column, roles, evidence, findings)
    for name, why in survey.unusable.items():
        findings.ignored.append(name)
        findings.drafts.append(ColumnDraft(name, used=False, reasons=(why,)))
    if findings.doubtful:
        text = (
            f"{', '.join(findings.doubtful)}: whole numbers, drafted as codes. Is one of them a quantity? Then numeric."
        )
        findings.questions.append(Question(None, text))
    if not {"customer", "product", None} & {column.role for column in findings.described}:
        raise DataError(
            f"{source}: expected a customer, a product or another column beside {roles.target.column}, found none that "
            "can be used; add one to the table."
        )
    money = find_money(survey, roles.target.column)
    schema = Schema(
        name=_schema_name(source),
        title=_schema_name(source),
        columns=tuple(findings.described),
        key=_find_key(roles, survey, findings.described),
        ignore=tuple(dict.fromkeys(findings.ignored)),
        money=money[0] if money else None,
        csv=survey.csv,
    )
    return SchemaDraft(source, schema, tuple(findings.drafts), tuple(findings.questions), survey.rows, passes)


def _find_roles(survey: Survey, evidence: Evidence, source: str) -> Roles:
    rows = find_rows(survey)
    taken = [guess.column for guess in rows]
    time = find_time(survey, evidence)
    taken += [time.column] if time else []
    visit = find_visit(evidence, time, taken)
    if visit is not None:
        evidence.visit = visit.column
        taken.append(visit.column)
    trade = find_trade(survey, evidence, taken)
    if trade.target is None:
        found = ", ".join(f"{column.name} ({column.content})" for column in survey.columns) or "no column"
        raise DataError(
            f"{source}: expected a column of numbers that can be the amount of a sale, found {found}; check the "
            "separator and how numbers are written, or write the schema yourself."
        )
    return Roles(
        target=trade.target,
        customer=trade.customer,
        product=trade.product,
        time=time,
        quantity=trade.quantity,
        visit=visit,
        rows=rows,
        unit_price=trade.unit_price,
    )


def _ask_about_roles(roles: Roles, evidence: Evidence, findings: _Findings) -> None:
    survey = evidence.survey
    for role in ("target", "customer", "product", "time", "quantity"):
        guess: Guess | None = getattr(roles, role)
        if guess is None:
            if role in {"customer", "product"}:
                findings.questions.append(
                    Question(None, f'No column looks like a {role}. If one is, give it role = "{role}".')
                )
        elif guess.runner_up is not None:
            text = f"Is {guess.column} or {guess.runner_up} the {role}? Drafted: {guess.column}, {guess.reason}."
            findings.questions.append(Question(guess.column, text))
        elif role in _VOCABULARIES and _VOCABULARIES[role].score(guess.column) <= 0:
            text = f"Is {guess.column} the {role}? Its values look like it, its name does not say so."
            findings.questions.append(Question(guess.column, text))
    if roles.time is not None:
        date_format = survey.by_name[roles.time.column].date_format
        if date_format is not None and date_format.other is not None:
            text = f"Are the dates written as {date_format.pattern} (drafted) or as {date_format.other}? All fit both."
            findings.questions.append(Question(roles.time.column, text))
    _ask_for_line_amount(roles, evidence, findings)
    _ask_about_walk_ins(roles, survey, findings)


def _ask_for_line_amount(roles: Roles, evidence: Evidence, findings: _Findings) -> None:
    """Ask where the target looks like the price of one piece: nothing in the table is the amount of a line."""
    target, product = roles.target.column, roles.product.column if roles.product else None
    if roles.quantity is not None:
        return
    for column in evidence.survey.columns:
        if not column.is_number or column.name == target or QUANTITY.score(column.name) < 1:
            continue
        growth = evidence.growth(target, column.name, product)
        if growth.is_known and not growth.is_proportional:
            text = (
                f"{target} does not grow with {column.name}: it looks like the price of one piece, and no column holds "
                f"the amount of a line. To predict amounts, add a column {column.name} x {target} and draft again."
            )
            findings.questions.append(Question(target, text))
            return


def _ask_about_walk_ins(roles: Roles, survey: Survey, findings: _Findings) -> None:
    if roles.customer is None:
        return
    counts = survey.by_name[roles.customer.column].counts
    level, rows = max(counts.levels.items(), key=lambda item: item[1], default=("", 0))
    if rows > max(_WALK_INS * counts.rows, 20 * counts.rows_per_level):
        text = (
            f"{counts.name} is {level} in {rows / counts.rows:.0%} of the rows. Does it stand for customers that "
            "nobody knows? Then leave it empty in the data."
        )
        findings.questions.append(Question(counts.name, text))


def _add_role(column: SurveyedColumn, role: str, roles: Roles, survey: Survey, findings: _Findings) -> None:
    guess = getattr(roles, role, None) or next(item for item in roles.rows if item.column == column.name)
    days, taken = None, []
    if role == "time":
        days = survey.days(column.name)
        others = [other for other in survey.columns if other.content in {"text", "integer"}]
        taken = [part for other in others if (part := calendar_column(other.name, column.name, survey))]
    described, reasons = describe_role(column, role, days, taken)
    findings.described.append(described)
    shown = _SHOWN_ROLES.get(role, role)
    findings.drafts.append(
        ColumnDraft(column.name, True, shown, described.kind, described.of, (f"{shown}: {guess.reason}", *reasons))
    )


def _add_feature(column: SurveyedColumn, roles: Roles, evidence: Evidence, findings: _Findings) -> None:
    ignored = reason_to_ignore(Candidate(column, roles, evidence, tuple(findings.kept)))
    if column.content in {"nested", "empty", "constant"}:
        findings.ignored.append(column.name)
        findings.drafts.append(ColumnDraft(column.name, False, reasons=(ignored.text,) if ignored else ()))
        return
    attribute = find_owner(column, roles, evidence)
    kind = guess_kind(column, attribute.of, roles, evidence)
    if ignored is not None:
        findings.ignored.append(column.name)
        findings.drafts.append(ColumnDraft(column.name, False, None, kind.kind, attribute.of, (ignored.text,)))
        if ignored.question:
            findings.questions.append(Question(column.name, ignored.question))
        return
    described, reasons = describe_feature(column, kind, attribute)
    reasons = [f"{kind.kind}: {kind.reason}", *([attribute.reason] if attribute.reason else []), *reasons]
    findings.described.append(described)
    findings.kept.append(column)
    findings.drafts.append(ColumnDraft(column.name, True, None, kind.kind, attribute.of, tuple(reasons)))
    if attribute.question and attribute.of is None:
        findings.questions.append(Question(column.name, attribute.question))
    if kind.kind == "numeric" and DISCOUNT.score(column.name) > 0:
        text = f"Is {column.name} known before the sale? It is kept; if it is not, move it to ignore."
        findings.questions.append(Question(column.name, text))
    if kind.doubt and CODE.score(column.name) <= 0:
        findings.doubtful.append(column.name)


def _find_key(roles: Roles, survey: Survey, described: list[Column]) -> tuple[str, ...]:
    """Return what names a row: a column without repeats, else customer and product where no pair comes twice."""
    for guess in roles.rows:
        if survey.by_name[guess.column].distinct == survey.rows:
            return (guess.column,)
    if roles.customer is None or roles.product is None or roles.visit is not None or roles.time is not None:
        return ()
    pair = (roles.customer.column, roles.product.column)
    if any(column.name in pair and column.null != "forbidden" for column in described):
        return ()
    sample = survey.sample
    rows = sample.whole.get(pair[0], sample.random)
    keys = set(zip(sample.codes[pair[0]][rows].tolist(), sample.codes[pair[1]][rows].tolist(), strict=True))
    return pair if len(keys) == rows.sum() else ()


def _schema_name(source: str) -> str:
    stem = re.split(r"[/\\]", source.rstrip("/\\"))[-1].partition(".")[0]
    return re.sub(r"\W+", "_", stem).strip("_").lower() or "table"
