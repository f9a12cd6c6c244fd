"""The verbs of the package: draft a schema, train, evaluate, validate, profile, monitor, plan, measure.

The command line is a thin shell over them.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from purchasecast.bundle import check_place
from purchasecast.config import MonitorSettings, PlanSettings, TrainSettings
from purchasecast.io import session_of, take_table
from purchasecast.model import Model
from purchasecast.progress import Steps
from purchasecast.schema import Schema, load_schema
from purchasecast.validation import checked_rows, write_rejects
from purchasecast.validation import validate as check_rows

if TYPE_CHECKING:
    from purchasecast.config import ModelName
    from purchasecast.drafting import SchemaDraft
    from purchasecast.io import Session
    from purchasecast.planning import PlannedCampaign
    from purchasecast.results import DriftReport, Evaluation, Measurement, Profile, ValidationReport

__all__ = ["draft_schema", "evaluate", "measure", "monitor", "plan", "profile", "train", "validate"]

_READER = ("format", "table", "options")


def draft_schema(data: Any, *, session: Session = None, steps: Steps | None = None, **reader: Any) -> SchemaDraft:
    """Draft the schema of a table that nothing is known of.

    Parameters
    ----------
    data : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        Past transactions.
    session : SparkSession or callable, optional
        Session to use; by default that of a Spark frame, else one is started.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **reader
        ``format``, ``table`` and ``options`` for a path.

    Returns
    -------
    SchemaDraft
        The schema, the reason of every guess, questions where guesses are close, and how many rows it accepts.

    Raises
    ------
    DataError
        If there are no rows, or no column of numbers that can be the target.

    Examples
    --------
    >>> import purchasecast as pc
    >>> draft = pc.draft_schema("orders.csv")  # doctest: +SKIP
    >>> pc.train("orders.csv", schema=draft.schema)  # doctest: +SKIP
    """
    from purchasecast.drafting import draft_schema as draft  # noqa: PLC0415  takes a second to load

    return draft(data, session_of(session), steps=steps, **reader)


def train(
    data: Any,
    schema: str | Path | Schema = "black_friday",
    model: ModelName = "linear",
    *,
    out: str | Path | None = None,
    rejects: str | Path | None = None,
    pairs: Any = None,
    settings: TrainSettings | None = None,
    session: Session = None,
    steps: Steps | None = None,
    **options: Any,
) -> Model:
    """Train a model, measure it on rows that it has not seen, and fit it again on all rows.

    Parameters
    ----------
    data : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        Labelled transactions.
    schema : str, Path or Schema, default "black_friday"
        A shipped schema's name, a TOML file, or a schema.
    model : {"linear", "boosted", "blend", "auto"}, default "linear"
        Name of the recipe; ``auto`` chooses on the folds, and `Model.choice` says why.
    out : str or Path, optional
        Directory of the model; a model that is there is replaced. By default a temporary one, until `Model.save`.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    pairs : of the kinds of `data`, optional
        Rows that will be scored, with or without a target, which is never read. Purchase patterns see which customer
        buys which product there; the holdout's figures are those of a model that knows the same of its rows.
    settings : TrainSettings, optional
        All settings at once, instead of `model` and `options`.
    session : SparkSession or callable, optional
        Session to use; by default that of a Spark frame, else one is started.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **options
        Fields of `TrainSettings`, such as ``folds=5``, ``holdout=0.2``, ``refit=True``, ``seed=7``; and ``format``,
        ``table`` and ``options`` for a path.

    Returns
    -------
    Model
        The trained model; its figures are in `Model.evaluation`.

    Raises
    ------
    SettingsError
        If a setting is unknown or outside its range.
    RejectRateError
        If more rows are bad than allowed.
    DataError
        If there are too few rows, or the target never varies.
    BundleError
        If no model can be written to `out`.

    Examples
    --------
    >>> import purchasecast as pc
    >>> pc.train("train.csv", schema="black_friday", model="linear").evaluation  # doctest: +SKIP
    """
    from purchasecast.training import train as run_training  # noqa: PLC0415  takes a second to load

    reader = {name: options.pop(name) for name in _READER if name in options}
    if settings is None:
        settings = TrainSettings.of(model=model, **options)
    described = _schema(schema)
    place = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="purchasecast-")) / "model"
    check_place(place)
    raw = take_table(data, described, session_of(session), **reader)
    known = None if pairs is None else take_table(pairs, described, session_of(session), target="optional", **reader)
    result = run_training(raw, described, place, settings, rejects=rejects, steps=steps, pairs=known)
    trained = Model(result.bundle, result)
    if out is None:
        weakref.finalize(trained, shutil.rmtree, place.parent, ignore_errors=True)
    return trained


def evaluate(model: Model, data: Any, **options: Any) -> Evaluation:
    """Measure a model on labelled rows; the same as `Model.evaluate`.

    Parameters
    ----------
    model : Model
        A trained model.
    data : path, Spark DataFrame, or table in this process
        Labelled rows.
    **options
        As in `Model.evaluate`.

    Returns
    -------
    Evaluation
        Errors, coverage and baselines, overall and by slice.
    """
    return model.evaluate(data, **options)


def validate(
    data: Any,
    schema: str | Path | Schema = "black_friday",
    *,
    rejects: str | Path | None = None,
    session: Session = None,
    steps: Steps | None = None,
    **reader: Any,
) -> ValidationReport:
    """Validate rows against a schema.

    Parameters
    ----------
    data : path, Spark DataFrame, or table in this process
        Rows, with or without the target.
    schema : str, Path or Schema, default "black_friday"
        A shipped schema's name, a TOML file, or a schema.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    session : SparkSession or callable, optional
        Session to use; one is started by default.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **reader
        ``format``, ``table`` and ``options`` for a path.

    Returns
    -------
    ValidationReport
        Rows in, accepted and rejected, with the number of rows by reason.

    Raises
    ------
    ColumnMismatchError
        If columns are missing, unknown or there twice.
    """
    described = _schema(schema)
    raw = take_table(data, described, session_of(session), target="optional", **reader)
    target: Literal["required", "optional"] = "required" if described.target in raw.columns else "optional"
    with (steps or Steps()).step("validate") as step, check_rows(raw, described, target=target) as checked:
        step.rows = checked.report.rows
        if rejects is not None:
            write_rejects(checked, rejects)
    return checked.report


def profile(
    data: Any,
    schema: str | Path | Schema = "black_friday",
    *,
    out: str | Path | None = None,
    rejects: str | Path | None = None,
    max_reject_rate: float = 0.01,
    session: Session = None,
    steps: Steps | None = None,
    **reader: Any,
) -> Profile:
    """Describe a table: the target, every feature, and how they go together.

    Parameters
    ----------
    data : path, Spark DataFrame, or table in this process
        Labelled rows.
    schema : str, Path or Schema, default "black_friday"
        A shipped schema's name, a TOML file, or a schema.
    out : str or Path, optional
        HTML file to draw the profile as.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.
    session : SparkSession or callable, optional
        Session to use; one is started by default.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **reader
        ``format``, ``table`` and ``options`` for a path.

    Returns
    -------
    Profile
        Figures of the target and of every feature, and warnings.

    Raises
    ------
    RejectRateError
        If more rows are bad than allowed.
    """
    from purchasecast.profiling import profile as describe  # noqa: PLC0415  takes a second to load
    from purchasecast.spark.executors import check_executors  # noqa: PLC0415

    described, steps = _schema(schema), steps or Steps()
    raw = take_table(data, described, session_of(session), **reader)
    check_executors(raw.sparkSession)
    steps.expect(5)
    with checked_rows(raw, described, steps, max_reject_rate=max_reject_rate, rejects=rejects) as checked:
        result = describe(checked, described, steps=steps)
    if out is not None:
        from purchasecast.report import render_profile, write_page  # noqa: PLC0415  an extra

        with steps.step("draw"):
            write_page(render_profile(result, checked.report), Path(out))
    return result


def monitor(
    model: Model,
    data: Any,
    *,
    out: str | Path | None = None,
    settings: MonitorSettings | None = None,
    rejects: str | Path | None = None,
    max_reject_rate: float = 0.01,
    session: Session = None,
    steps: Steps | None = None,
    **options: Any,
) -> DriftReport:
    """Compare new rows with those that a model was trained on.

    Parameters
    ----------
    model : Model
        A trained model.
    data : path, Spark DataFrame, or table in this process
        New rows; with the target, errors and coverage are compared too.
    out : str or Path, optional
        HTML file to draw the result as.
    settings : MonitorSettings, optional
        All limits at once, instead of `options`.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.
    session : SparkSession or callable, optional
        Session to use; one is started by default.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **options
        Fields of `MonitorSettings`, such as ``threshold=0.2``; and ``format``, ``table`` and ``options`` for a path.

    Returns
    -------
    DriftReport
        The shift of every column, unseen levels, errors, and which limits held.

    Raises
    ------
    BundleError
        If the model has no profile.
    RejectRateError
        If more rows are bad than allowed.
    """
    from purchasecast.monitoring import monitor as compare  # noqa: PLC0415  takes a second to load

    limits = {field.name: options.pop(field.name) for field in fields(MonitorSettings) if field.name in options}
    raw = take_table(data, model.schema, session_of(session), target="optional", **options)
    report = compare(
        raw,
        model.bundle,
        settings or MonitorSettings(**limits),
        max_reject_rate=max_reject_rate,
        rejects=rejects,
        steps=steps,
    )
    if out is not None:
        from purchasecast.report import render_drift, write_page  # noqa: PLC0415  an extra

        write_page(render_drift(report, model.schema), Path(out))
    return report


def plan(
    offers: Any,
    *,
    stock: Any = None,
    must: Any = None,
    must_not: Any = None,
    customer: str = "customer",
    product: str = "product",
    amount: str = "amount",
    money: str | None = None,
    out: str | Path | None = None,
    settings: PlanSettings | None = None,
    steps: Steps | None = None,
    **options: Any,
) -> PlannedCampaign:
    """Choose whom to offer what, so that the expected profit is highest, and hold out a control group.

    Parameters
    ----------
    offers : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        One row per customer and product, with ``probability`` (of a purchase) and ``amount`` (of a purchase); optional
        ``margin`` (share of the amount) or ``cost_of_goods`` (of a purchase), ``units`` (of a purchase) and columns for
        ``segments``. A path is a CSV or Parquet file.
    stock : path or table, optional
        Columns of the product and ``stock``, in units; other products are not limited.
    must : path or table, optional
        Columns of the customer and the product: lines that are in the plan whatever they bring.
    must_not : path or table, optional
        Columns of the customer, the product or both: customers who do not want to be contacted, products that are not
        offered, or single lines.
    customer, product : str, default "customer" and "product"
        Names of the columns of both, in all tables.
    amount : str, default "amount"
        Name of the amounts in the results that `measure` will read.
    money : str, optional
        Unit of money.
    out : str or Path, optional
        Folder for ``contacts.csv``, ``control.csv``, ``plan.json`` and ``plan.html``; an older plan is replaced.
    settings : PlanSettings, optional
        All settings at once, instead of `options`.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **options
        Fields of `PlanSettings`, such as ``budget=5000``, ``cost=2.0``, ``margin=0.3``.

    Returns
    -------
    PlannedCampaign
        The figures (``plan``), the lines to send (``contacts``) and those of the control group (``control``).

    Raises
    ------
    DataError
        If the offers cannot be used, or the lines that must be exceed a limit.
    SourceError
        If `out` holds something that is no plan, or cannot be written.

    Examples
    --------
    >>> import purchasecast as pc
    >>> offers = [
    ...     {"customer": "Ann", "product": "tea", "probability": 0.5, "amount": 8.0},
    ...     {"customer": "Bob", "product": "tea", "probability": 0.1, "amount": 8.0},
    ... ]
    >>> pc.plan(offers, budget=1, cost=1.0, control_share=0.0).contacts["customer"].to_pylist()
    ['Ann']
    """
    from purchasecast.planning import plan_offers  # noqa: PLC0415  SciPy

    names = {"customer": customer, "product": product, "amount": amount}
    tables = {"stock": stock, "must": must, "must_not": must_not}
    chosen = settings or PlanSettings.of(**options)
    return plan_offers(offers, chosen, names, money=money, out=out, steps=steps, **tables)


def measure(
    campaign: PlannedCampaign | str | Path,
    results: Any,
    *,
    out: str | Path | None = None,
    steps: Steps | None = None,
) -> Measurement:
    """Say what a campaign has changed, by comparing those who were to be contacted with the control group.

    Parameters
    ----------
    campaign : PlannedCampaign or path
        What `plan` returned, or the folder it wrote.
    results : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        Purchases of the period after the contacts: the plan's columns of customer, amount and, to tell offered products
        from others, product; optional ``contacted``, where not everybody was contacted as planned. Customers without a
        row have bought nothing. A path is a CSV or Parquet file.
    out : str or Path, optional
        HTML file to draw the result as.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    Measurement
        Lift in revenue and purchases, profit, segments, and how many more customers are needed.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If the plan has no control group, or an amount is no number.
    SourceError
        If there is no plan in the folder, or a file cannot be read.
    """
    from purchasecast.campaigns import measure_campaign  # noqa: PLC0415  SciPy
    from purchasecast.planning import read_campaign  # noqa: PLC0415

    planned = read_campaign(campaign) if isinstance(campaign, str | Path) else campaign
    measurement = measure_campaign(planned.plan, planned.contacts, planned.control, results, steps=steps)
    if out is not None:
        from purchasecast.report import render_measurement, write_page  # noqa: PLC0415  an extra

        write_page(render_measurement(measurement), Path(out))
    return measurement


def _schema(schema: str | Path | Schema) -> Schema:
    return schema if isinstance(schema, Schema) else load_schema(schema)
