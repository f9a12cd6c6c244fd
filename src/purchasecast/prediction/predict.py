"""Score a table with a bundle: the same gate as in training, then one pass that scores, counts and writes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from pyspark.sql import Observation
from pyspark.sql import functions as sf

from purchasecast.bundle import MANIFEST, pinned
from purchasecast.bundle.pipeline import load_level_stages
from purchasecast.errors import SettingsError, SourceError
from purchasecast.evaluation import EVALUATED, evaluate, has_ladder
from purchasecast.io import check_folder, check_single_csv, write_single_csv, write_table
from purchasecast.prediction.scoring import readable, score, unseen_flags
from purchasecast.progress import Steps
from purchasecast.results import Evaluation, Reference, ValidationReport
from purchasecast.schema.reserved_columns import POSITION
from purchasecast.spark.columns import escape_formulas
from purchasecast.spark.executors import check_executors
from purchasecast.validation import checked_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.validation import Validated

__all__ = ["Output", "PredictResult", "checked_for_model", "evaluate_bundle", "predict"]


@dataclass(frozen=True, slots=True)
class Output:
    """Where predictions go.

    Parameters
    ----------
    location : str
        A file, a folder or a ``jdbc:`` URL.
    single_csv : bool, default False
        Whether to write one CSV file in the order of the source, rather than a folder of parts.
    format : str, optional
        Any format that Spark writes; by default told from the suffix, else Parquet.
    table : str, optional
        The table behind a ``jdbc:`` URL.
    options : mapping of str to str, optional
        Options of Spark's writer.
    overwrite : bool, default False
        Whether to replace what is there.
    """

    location: str
    single_csv: bool = False
    format: str | None = None
    table: str | None = None
    options: Mapping[str, str] | None = None
    overwrite: bool = False

    @property
    def is_csv(self) -> bool:
        """Whether people may open it in a spreadsheet."""
        kind = (self.format or self.location.rpartition(".")[2]).lower()
        return self.single_csv or kind in {"csv", "tsv", "txt"}

    @property
    def mode(self) -> Literal["error", "overwrite"]:
        """What to do where something is there already."""
        return "overwrite" if self.overwrite else "error"


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What a scoring run did; no Spark inside.

    Attributes
    ----------
    rows : int
        Rows written, one prediction each.
    rejected : int
        Rows that the gate turned away.
    reasons : dict of str to int
        Why, and how many rows for each reason.
    unseen : dict of str to int
        Rows by role, or by column, whose customer, product or level training has not seen.
    out : str
        Where the predictions are.
    seconds : dict of str to float
        Seconds a step.
    """

    rows: int
    rejected: int
    reasons: dict[str, int]
    unseen: dict[str, int]
    out: str
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)


def predict(
    raw: DataFrame,
    bundle: Bundle,
    output: Output,
    *,
    level: float | None = None,
    explain: bool = False,
    amounts: bool = False,
    max_reject_rate: float = 0.01,
    rejects: str | Path | None = None,
    steps: Steps | None = None,
) -> PredictResult:
    """Score the rows of a table and write the predictions.

    Parameters
    ----------
    raw : DataFrame
        What `purchasecast.io.tables.read_table` returned; a target is not needed.
    bundle : Bundle
        The model.
    output : Output
        Where the predictions go: the key columns (all columns, where the schema has no key) and ``prediction``.
    level : float, optional
        Share of purchases that are to fall between ``lower`` and ``upper``; by default 0.9.
    explain : bool, default False
        Whether to write what drives each prediction: ``base`` and a column ``from ...`` for each source.
    amounts : bool, default False
        Whether to write ``amounts``: the steps that the amount may stand on, with their probabilities; as JSON where
        the output has no lists.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    PredictResult
        Rows written, rejected and unseen.

    Raises
    ------
    RejectRateError
        If more rows are bad than allowed; nothing is written then but the rejects.
    SourceError
        If the predictions cannot be written, or would replace the rows that they are made from.
    SettingsError
        If the output is not one that can be, or amounts are asked of a model without a ladder.

    Notes
    -----
    One pass reads and checks the rows and keeps them, a second one scores and writes them; what was unseen is
    observed on the way.
    """
    _check_output(output, raw)
    writes = (
        None if "://" in output.location or output.location.startswith("jdbc:") else Path(output.location).resolve()
    )
    steps = steps or Steps()
    steps.expect(3)
    gate = (max_reject_rate, rejects)
    with pinned(bundle) as model, checked_for_model(raw, model, steps, "optional", *gate, writes=writes) as checked:
        with steps.step("load model"):
            kept = [*_named_by(checked.accepted, model), POSITION]
            scored = score(checked.accepted, model, kept, level=level, explain=explain, amounts=amounts)
        with steps.step("score and write") as step:
            observed = _write(scored, output, is_empty=not checked.report.accepted)
            step.rows = observed.pop("rows")
    return _result(checked.report, step.rows, observed, output, steps)


def evaluate_bundle(
    raw: DataFrame,
    bundle: Bundle,
    *,
    max_reject_rate: float = 0.01,
    rejects: str | Path | None = None,
    steps: Steps | None = None,
) -> Evaluation:
    """Measure a bundle on the labelled rows of a table.

    Parameters
    ----------
    raw : DataFrame
        What `purchasecast.io.tables.read_table` returned, with the target.
    bundle : Bundle
        The model.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    Evaluation
        Figures of the accepted rows.

    Raises
    ------
    RejectRateError
        If more rows are bad than allowed.
    DataError
        If there is no row.
    """
    steps = steps or Steps()
    steps.expect(3)
    with pinned(bundle) as fixed, checked_for_model(raw, fixed, steps, "required", max_reject_rate, rejects) as checked:
        with steps.step("load model"):
            model = load_level_stages(fixed)
        with steps.step("evaluate") as step:
            kept = [name for name in bundle.schema.names if name in checked.accepted.columns]
            found = evaluate(
                score(checked.accepted, fixed, kept, derived=EVALUATED, amounts=has_ladder(model)),
                bundle.schema,
                model,
                Reference.from_dict(bundle.manifest["reference"]),
                computed_on="Computed on the rows given; whether training saw them is for the caller to know.",
            )
            step.rows = found.overall.rows
    return found.with_seconds(steps.seconds).with_transform(bundle.manifest.get("target_transform"))


def _check_output(output: Output, raw: DataFrame) -> None:
    """Refuse, before anything is computed, an output that cannot be, or that would replace the rows to score."""
    is_database = output.location.startswith("jdbc:")
    if output.table is not None and not is_database:
        raise SettingsError(
            f"expected a table's name with a jdbc: URL only, found {output.table} for {output.location}; leave it out."
        )
    if output.single_csv:
        check_single_csv(output.location, mode=output.mode)
    else:
        check_folder(output.location, raw.sparkSession, mode=output.mode)
    if is_database or "://" in output.location:
        return
    place = Path(output.location).resolve()
    for address in map(urlsplit, raw.inputFiles()):
        file = Path(unquote(address.path))
        if address.scheme == "file" and (file == place or place in file.parents):
            raise SourceError(
                f"expected another place than that of the rows to score, found {output.location}; choose another."
            )


@contextmanager
def checked_for_model(
    raw: DataFrame,
    bundle: Bundle,
    steps: Steps,
    target: Literal["required", "optional"],
    max_reject_rate: float,
    rejects: str | Path | None,
    *,
    writes: Path | None = None,
) -> Iterator[Validated]:
    """Check the rows against the bundle's schema, write the bad ones, and stop where they are too many.

    Raises
    ------
    RejectRateError
        If more rows are bad than allowed.
    SourceError
        If the executors of a cluster do not see the model, or the folder to write to.
    """
    check_executors(raw.sparkSession, reads=bundle.path.resolve() / MANIFEST, writes=writes)
    options: Any = {"target": target, "max_reject_rate": max_reject_rate, "rejects": rejects}
    with checked_rows(raw, bundle.schema, steps, **options) as checked:
        yield checked


def _named_by(rows: DataFrame, bundle: Bundle) -> list[str]:
    """Return the columns that name a row: the key, else all but the target."""
    schema = bundle.schema
    return list(schema.key) or [name for name in schema.names if name in rows.columns and name != schema.target]


def _write(scored: DataFrame, output: Output, *, is_empty: bool) -> dict[str, int]:
    """Write the predictions; return the rows written and, by role or column, the rows that were unseen."""
    unseen = unseen_flags(scored)
    counts = [sf.count_if(flag).alias(name) for name, flag in unseen.items()]
    observation = Observation()
    # Adaptive execution drops an observation together with the plan of rows that turn out to be none.
    watched = scored if is_empty else scored.observe(observation, sf.count(sf.lit(1)).alias("rows"), *counts)
    named = readable(watched, as_text=output.is_csv or output.location.startswith("jdbc:"))
    if output.is_csv:
        named = escape_formulas(named)
    if output.single_csv:
        write_single_csv(named, output.location, mode=output.mode)
    else:
        write_table(
            named.drop(POSITION),
            output.location,
            format=output.format,
            table=output.table,
            options=output.options,
            mode=output.mode,
        )
    if is_empty:
        return {"rows": 0, **dict.fromkeys(unseen, 0)}
    return {name: int(value) for name, value in observation.get.items()}


def _result(report: ValidationReport, rows: int, unseen: dict[str, int], output: Output, steps: Steps) -> PredictResult:
    roles = {role: count for role, count in unseen.items() if role in {"customer", "product"} or count}
    return PredictResult(rows, report.rejected, report.reasons, roles, output.location, dict(steps.seconds))
