"""What commands print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purchasecast import Model, ValidationReport

__all__ = ["counts_text", "training_text"]


def counts_text(report: ValidationReport) -> str:
    """Return the counts of a validation in one line."""
    return f"{report.rows:,} rows = {report.accepted:,} accepted + {report.rejected:,} rejected"


def training_text(model: Model) -> str:
    """Return the counts, the evaluation and the path of a trained model."""
    lines = [counts_text(model.validation)] if model.validation else []
    lines += [repr(model.evaluation)] if model.evaluation else []
    return "\n".join([*lines, f"model: {model.path}"])
