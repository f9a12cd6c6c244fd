"""What commands print for people."""

from __future__ import annotations

from typing import Any

from purchasecast.results.evaluation import PREDICTION_TENTH

__all__ = ["evaluation_text", "training_text"]


def training_text(result: Any, money: str | None) -> str:
    """Return what a training run found."""
    report = result.validation
    lines = [f"{report.rows:,} rows = {report.accepted:,} accepted + {report.rejected:,} rejected"]
    if result.evaluation:
        lines += [evaluation_text(result.evaluation, money)]
    return "\n".join([*lines, f"model: {result.bundle.path}"])


def evaluation_text(evaluation: Any, money: str | None) -> str:
    """Return an evaluation as a table, tenths of prediction left out."""
    unit = f" {money}" if money else ""
    whole = evaluation.overall
    lines = [
        evaluation.computed_on,
        f"  {'':34}{'rows':>10}{'RMSE' + unit:>14}{'R2':>8}{'product mean':>14}{'coverage':>10}{'width':>8}",
    ]
    for part in (whole, *[part for part in evaluation.slices if part.by != PREDICTION_TENTH]):
        name = "all" if part.by == "all" else f"{part.by} {part.level}"
        r2 = "-" if part.r2 is None else f"{part.r2:.3f}"
        lines.append(
            f"  {name[:34]:34}{part.rows:>10,}{part.rmse:>14,.0f}{r2:>8}{part.baseline_rmse['product_mean']:>14,.0f}"
            + ("" if part.coverage is None else f"{part.coverage:>10.1%}{part.mean_width:>8,.0f}")
        )
    return "\n".join(lines)
