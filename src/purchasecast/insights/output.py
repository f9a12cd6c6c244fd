"""Write findings as JSON, and tables and target lists as CSV and Parquet."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv, parquet

from purchasecast.bundle import MANIFEST
from purchasecast.errors import PurchasecastError, SourceError
from purchasecast.files import cause, escape_formulas, put_entries, staging
from purchasecast.formatting import money

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from purchasecast.results import Insights

__all__ = ["results_folder", "summary", "table_of", "write_findings", "write_list"]

_FINDINGS = "findings.json"


@contextmanager
def results_folder(out: Path) -> Iterator[Path]:
    """Create the folder that a run writes to; at the end its files are put into `out`, ``findings.json`` last.

    A new folder gets its name by one rename. In an existing one, a folder without ``findings.json`` is one in which a
    run was stopped while it replaced the files of another.
    """
    target = out.resolve()
    if (target / MANIFEST).exists():
        raise SourceError(f"{out}: expected a folder for results, found a model; choose another.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging(target / _FINDINGS if target.is_dir() else target) as aside:
            folder = aside / target.name
            folder.mkdir()
            yield folder
            put_entries(folder, target, last=_FINDINGS)
    except PurchasecastError:
        raise
    except OSError as error:
        raise SourceError(f"{out}: expected a folder to write to, found {cause(error)}; choose another.") from error


def table_of(columns: Sequence[str], lines: Sequence[Sequence[str | float]]) -> pa.Table:
    """Return lines as a table."""
    return pa.table({name: [line[i] for line in lines] for i, name in enumerate(columns)})


def write_list(table: pa.Table, out: Path, name: str) -> tuple[str, ...]:
    """Write a table as CSV and as Parquet, and return the names of the files."""
    files = (f"{name}.csv", f"{name}.parquet")
    csv.write_csv(escape_formulas(table), out / files[0])
    parquet.write_table(table, out / files[1])
    return files


def write_findings(insights: Insights, out: Path) -> Path:
    """Write ``findings.json``, and return its path."""
    path = out / _FINDINGS
    text = json.dumps(insights.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
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
