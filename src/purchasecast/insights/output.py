"""Write findings as JSON, and tables and target lists as CSV and Parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv, parquet

from purchasecast.errors import SourceError
from purchasecast.formatting import money

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from purchasecast.results import Insights

__all__ = ["make_folder", "summary", "table_of", "write_findings", "write_list"]


def make_folder(out: Path) -> None:
    """Create the folder of a run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"{out}: expected a folder to write to, found {error.strerror}; choose another.") from error


def table_of(columns: Sequence[str], lines: Sequence[Sequence[str | float]]) -> pa.Table:
    """Return lines as a table."""
    return pa.table({name: [line[i] for line in lines] for i, name in enumerate(columns)})


def write_list(table: pa.Table, out: Path, name: str) -> tuple[str, ...]:
    """Write a table as CSV and as Parquet, and return the names of the files."""
    files = (f"{name}.csv", f"{name}.parquet")
    try:
        csv.write_csv(table, out / files[0])
        parquet.write_table(table, out / files[1])
    except OSError as error:
        raise SourceError(f"{out / name}: expected a writable file, found {error}; choose another folder.") from error
    return files


def write_findings(insights: Insights, out: Path) -> Path:
    """Write ``findings.json``, and return its path."""
    path = out / "findings.json"
    text = json.dumps(insights.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"{path}: expected a writable file, found {error.strerror}; choose another folder."
        ) from error
    return path


def summary(insights: Insights, most: int = 10) -> str:
    """Return the best findings as text for a terminal.

    Parameters
    ----------
    insights : Insights
        All findings of a run.
    most : int, default 10
        Number of findings to show.

    Returns
    -------
    str
        One line per finding, with who does what by when and the gain to expect; what is missing and why; the lists.
    """
    lines = [insights.computed_on, ""]
    for finding in insights.findings[:most]:
        gain = "" if finding.money is None else f" [{money(finding.money, insights.money_unit)}: {finding.stake}]"
        action = f" {finding.who}, {finding.when}: {finding.action}" if finding.is_decision else ""
        lines.append(f"- {finding.claim}{action}{gain}")
    if len(insights.findings) > most:
        lines.append(f"  and {len(insights.findings) - most} more in findings.json")
    lines += ["", *[f"no findings on {absent.kind}: {absent.reason}" for absent in insights.absent]]
    lines += [f"{campaign.rows:>10,} lines  {campaign.files[0]}  {campaign.title}" for campaign in insights.campaigns]
    return "\n".join(lines)
