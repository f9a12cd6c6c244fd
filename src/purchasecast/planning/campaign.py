"""A planned campaign as it is handed out: figures and lists, in a folder that is there whole or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from purchasecast.errors import DataError, SourceError
from purchasecast.files import cause, replace_folder, staging, sync_tree
from purchasecast.results import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.config import PlanSettings
    from purchasecast.planning.lines import Lines

__all__ = ["CONTACTS", "CONTROL", "PAGE", "PLAN", "PlannedCampaign", "list_of", "read_campaign", "write_campaign"]

PLAN, CONTACTS, CONTROL, PAGE = "plan.json", "contacts.csv", "control.csv", "plan.html"

# What a spreadsheet would compute when it opens the file. A field that begins so gets a quote in front, which the
# reader takes off; so does one that begins with quotes and then so, or the reader would change it.
_FORMULA = r"^('*[=+\-@\t\r\n])"
_QUOTED = re.compile(r"^''*[=+\-@\t\r\n]")

_NUMBERS = ("probability", "amount", "expected_revenue", "expected_profit")
_TYPES = {**dict.fromkeys(_NUMBERS, pa.float64()), "must": pa.bool_()}


@dataclass(frozen=True, slots=True, repr=False)
class PlannedCampaign:
    """A campaign: its figures, the contacts to send, and who is left alone.

    Attributes
    ----------
    plan : Plan
        Figures.
    contacts, control : pyarrow.Table
        Lines to send, and lines of the control group, which are not sent: customer, product, ``probability``,
        ``amount``, ``expected_revenue``, ``expected_profit`` (after the cost of the contact) and the segments; the
        largest profit first.
    """

    plan: Plan
    contacts: pa.Table
    control: pa.Table

    def __repr__(self) -> str:
        """Return the figures as text."""
        return repr(self.plan)

    def _repr_html_(self) -> str:
        """Return the figures as HTML, for a notebook."""
        return self.plan._repr_html_()


def list_of(lines: Lines, chosen: NDArray[np.int64], customer: str, product: str, settings: PlanSettings) -> pa.Table:
    """Return chosen lines as a table, the largest profit first."""
    profit = lines.profit - settings.cost
    order = chosen[np.argsort(-profit[chosen], kind="stable")]
    columns: dict[str, Any] = {
        customer: pa.array(lines.customers[lines.customer[order]], pa.string()),
        product: pa.array(lines.products[lines.product[order]], pa.string()),
        "probability": lines.probability[order],
        "amount": lines.amount[order],
        "expected_revenue": lines.revenue[order],
        "expected_profit": profit[order],
        "must": lines.must[order],
    }
    levels = {name: pa.array(of[lines.customer[order]], pa.string()) for name, of in lines.segments.items()}
    return pa.table({**columns, **levels})


def write_campaign(campaign: PlannedCampaign, folder: str | Path, page: str | None = None) -> Path:
    """Write the lists, the figures and the page; a plan that was there is replaced once all is written.

    Parameters
    ----------
    campaign : PlannedCampaign
        The campaign.
    folder : str or Path
        Folder to write.
    page : str, optional
        HTML for ``plan.html``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SourceError
        If `folder` holds something that is no plan, or cannot be written.
    """
    target = Path(folder).resolve()
    if target.exists() and not (target / PLAN).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise SourceError(
            f"{folder}: expected a new folder or an older plan, found something else; choose another place."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging(target) as aside:
            made = aside / "plan"
            made.mkdir()
            _write_csv(campaign.contacts, made / CONTACTS)
            _write_csv(campaign.control, made / CONTROL)
            text = json.dumps(campaign.plan.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
            (made / PLAN).write_text(text + "\n", encoding="utf-8")
            if page is not None:
                (made / PAGE).write_text(page, encoding="utf-8")
            sync_tree(made)
            replace_folder(made, target)
    except OSError as error:
        raise SourceError(f"{folder}: expected a place to write to, found {cause(error)}; choose another.") from error
    return Path(folder)


def read_campaign(folder: str | Path) -> PlannedCampaign:
    """Read what `write_campaign` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    PlannedCampaign
        The campaign.

    Raises
    ------
    SourceError
        If there is no plan.
    DataError
        If a file of it is not as it was written.
    """
    place = Path(folder)
    if not (place / PLAN).is_file():
        raise SourceError(f"{folder}: expected a folder with {PLAN}, found none; name what `plan --out` wrote.")
    try:
        plan = Plan.from_dict(json.loads((place / PLAN).read_text(encoding="utf-8")))
        return PlannedCampaign(plan, *(_read_csv(place / name, plan) for name in (CONTACTS, CONTROL)))
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{folder}: expected the files of a plan, found {error}; plan the campaign again.") from error


def _write_csv(table: pa.Table, file: Path) -> None:
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            safe = pa.compute.replace_substring_regex(table[field.name], _FORMULA, r"'\1")
            table = table.set_column(place, field, safe)
    csv.write_csv(table, file)


def _read_csv(file: Path, plan: Plan) -> pa.Table:
    texts = [plan.columns["customer"], plan.columns["product"], *plan.settings.get("segments", ())]
    types = {**_TYPES, **dict.fromkeys(texts, pa.string())}  # an empty list has no values to tell types by
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    table = csv.read_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=options)
    for name in texts:
        plain = [text[1:] if _QUOTED.match(text) else text for text in table[name].to_pylist()]
        table = table.set_column(table.column_names.index(name), name, pa.array(plain, pa.string()))
    return table
