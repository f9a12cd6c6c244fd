"""The model that users hold: predict, explain, evaluate, find insights, report, save."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from purchasecast.bundle import REPORT, Bundle, add_document, add_file, copy_bundle, load_bundle
from purchasecast.errors import SettingsError
from purchasecast.frames import add_columns, of_kind
from purchasecast.io import session_of, temporary_folder
from purchasecast.progress import Steps
from purchasecast.results import Evaluation, Explanation, Insights, Profile, SearchResult, ValidationReport
from purchasecast.scorer import read_scorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.config import PlanSettings
    from purchasecast.io import Session
    from purchasecast.planning import PlannedCampaign
    from purchasecast.prediction import PredictResult
    from purchasecast.schema import Schema
    from purchasecast.scorer import Scorer
    from purchasecast.training import TrainResult

__all__ = ["Model", "load"]

_LEVEL = 0.9


class Model:
    """A trained model in its directory.

    Make one with `purchasecast.train` or `purchasecast.load`.

    Parameters
    ----------
    bundle : Bundle
        The directory that the model lives in.
    training : TrainResult, optional
        Result of the training run that has just written it.

    Attributes
    ----------
    bundle, training
        As given; `training` is None for a model that was loaded.
    """

    def __init__(self, bundle: Bundle, training: TrainResult | None = None) -> None:
        self.bundle = bundle
        self.training = training

    def __repr__(self) -> str:
        """Return path, recipe and shop."""
        settings = self.bundle.manifest.get("settings", {})
        return f"<purchasecast.Model {settings.get('model', '')} for {self.schema.name} in {self.path}>"

    @property
    def path(self) -> Path:
        """Directory of the model; a temporary one until `save`, where `train` was called without ``out``."""
        return self.bundle.path

    @property
    def schema(self) -> Schema:
        """Description of the rows that the model takes."""
        return self.bundle.schema

    @property
    def evaluation(self) -> Evaluation | None:
        """Figures on the holdout; None where the model was trained without one."""
        if self.training is not None:
            return self.training.evaluation
        return Evaluation.from_dict(document) if (document := self.bundle.document("evaluation")) else None

    @property
    def validation(self) -> ValidationReport | None:
        """Counts of accepted and rejected training rows."""
        return ValidationReport.from_dict(document) if (document := self.bundle.document("validation")) else None

    @property
    def profile(self) -> Profile | None:
        """Univariate analysis of the training rows."""
        return Profile.from_dict(document) if (document := self.bundle.document("profile")) else None

    @property
    def search(self) -> SearchResult | None:
        """The grid search; None where the recipe has no linear member."""
        return SearchResult.from_dict(document) if (document := self.bundle.document("search")) else None

    @property
    def members(self) -> dict[str, float]:
        """Weight of each member in the prediction."""
        return dict(self.bundle.manifest.get("members", {}))

    @property
    def choice(self) -> str:
        """Which combination of the members was chosen, and why; empty where the recipe has one member."""
        return str(self.bundle.manifest.get("choice", ""))

    @cached_property
    def scorer(self) -> Scorer:
        """The portable form of the model, which needs neither Spark nor Java."""
        return read_scorer(self.bundle.scorer_files)

    def predict(
        self,
        rows: Any,
        *,
        level: float | None = None,
        explain: bool = False,
        amounts: bool = False,
        errors: Literal["raise", "mark"] = "raise",
    ) -> Any:
        """Predict what each row will bring.

        Parameters
        ----------
        rows : Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
            Rows with the columns of the schema; a target is not needed. A dict may leave out attributes of a customer
            or product that training has seen.
        level : float, optional
            Share of purchases that are to lie between ``lower`` and ``upper``; 0.9 by default.
        explain : bool, default False
            Whether to add ``base`` and a column ``from ...`` for each source of the prediction; they sum to it.
        amounts : bool, default False
            Whether to add ``amounts``: a list of the steps that the amount may stand on, with ``step``, ``low``,
            ``high``, ``probability`` and ``in_set``. A share `level` of the amounts is in the sets.
        errors : {"raise", "mark"}, default "raise"
            Whether a row that breaks a rule of the schema is an error, or has null predictions. In a Spark frame the
            error comes when the frame is computed.

        Returns
        -------
        table or list of dict
            The kind that was given, with ``prediction`` and, where the model has intervals, ``lower`` and ``upper``. A
            Spark frame stays lazy; all other kinds need no Java.

        Raises
        ------
        ColumnMismatchError
            If columns are missing or unknown.
        DataError
            If a row breaks a rule and `errors` is ``"raise"``.
        SettingsError
            If amounts are asked of a model whose amounts stand on no steps.
        """
        if type(rows).__module__.startswith("pyspark."):
            from purchasecast.prediction import readable, score  # noqa: PLC0415  needs Spark

            return readable(score(rows, self.bundle, level=level, explain=explain, amounts=amounts, errors=errors))
        scorer = self.scorer
        if scorer.level is not None or level is not None:
            # The scorer is shared between calls: each sets its level.
            scorer.set_level(level if level is not None else scorer.trained_level or _LEVEL)
        result = scorer.predict(rows, explain=explain, errors=errors, amounts=amounts)
        return add_columns(rows, result.to_columns())

    def predict_table(
        self,
        data: Any,
        out: str | Path,
        *,
        out_format: str | None = None,
        out_table: str | None = None,
        out_options: Mapping[str, str] | None = None,
        overwrite: bool = False,
        level: float | None = None,
        explain: bool = False,
        amounts: bool = False,
        max_reject_rate: float = 0.01,
        rejects: str | Path | None = None,
        session: Session = None,
        steps: Steps | None = None,
        **reader: Any,
    ) -> PredictResult:
        """Score a table of any size and write the predictions.

        Parameters
        ----------
        data : path, Spark DataFrame, or table in this process
            Rows to score; a target is not needed.
        out : str or Path
            One ``.csv`` file in the order of the source, a folder of parts, or a ``jdbc:`` URL.
        out_format : str, optional
            Any format that Spark writes; by default told from the suffix, else Parquet.
        out_table : str, optional
            The table behind a ``jdbc:`` URL.
        out_options : mapping of str to str, optional
            Options of Spark's writer.
        overwrite : bool, default False
            Whether to replace what is there.
        level : float, optional
            Share of purchases that are to lie between ``lower`` and ``upper``; 0.9 by default.
        explain : bool, default False
            Whether to write ``base`` and a column ``from ...`` for each source of the prediction.
        amounts : bool, default False
            Whether to write ``amounts``, as in `predict`; as JSON in CSV files and databases.
        max_reject_rate : float, default 0.01
            Largest share of bad rows that a run goes on with.
        rejects : str or Path, optional
            Folder for the rejected rows and their reasons.
        session : SparkSession or callable, optional
            Session to use; one is started by default.
        steps : Steps, optional
            Times the steps.
        **reader
            ``format``, ``table`` and ``options`` for a path.

        Returns
        -------
        PredictResult
            Rows written, rejected and unseen.

        Raises
        ------
        RejectRateError
            If more rows are bad than allowed; nothing is written then but the rejects.
        SourceError
            If the predictions cannot be written, or would replace the table that they are made from.
        """
        from purchasecast.io import check_other_table, take_table  # noqa: PLC0415  needs Spark
        from purchasecast.prediction import Output, predict  # noqa: PLC0415

        check_other_table(data, reader, str(out), out_table, out_options)
        raw = take_table(data, self.schema, session_of(session), target="optional", **reader)
        is_file = str(out).endswith(".csv") and out_format is None
        output = Output(str(out), is_file, out_format, out_table, out_options, overwrite)
        chosen: dict[str, Any] = {"level": level, "explain": explain, "amounts": amounts, "steps": steps}
        return predict(raw, self.bundle, output, max_reject_rate=max_reject_rate, rejects=rejects, **chosen)

    def explain(self, row: Mapping[str, Any]) -> Explanation:
        """Explain the prediction of one row.

        Parameters
        ----------
        row : mapping of str to object
            Values by column, as in `predict`.

        Returns
        -------
        Explanation
            The prediction, that of an average row, and what each column adds; it prints as a table.

        Raises
        ------
        DataError
            If a value breaks a rule of the schema.
        """
        result = self.scorer.predict([dict(row)], explain=True)
        if result.contributions is None:
            raise SettingsError("explain: expected a model that can be explained, found one without; train it again.")
        return Explanation.of(result, self.schema.money)

    def evaluate(self, data: Any, *, session: Session = None, steps: Steps | None = None, **options: Any) -> Evaluation:
        """Measure the model on labelled rows.

        Parameters
        ----------
        data : path, Spark DataFrame, or table in this process
            Labelled rows.
        session : SparkSession or callable, optional
            Session to use; one is started by default.
        steps : Steps, optional
            Times the steps.
        **options
            ``max_reject_rate`` and ``rejects`` as in `purchasecast.train`; ``format``, ``table`` and ``options`` for a
            path.

        Returns
        -------
        Evaluation
            Errors, coverage and baselines, overall and by slice.

        Raises
        ------
        RejectRateError
            If more rows are bad than allowed.
        """
        from purchasecast.io import take_table  # noqa: PLC0415  needs Spark
        from purchasecast.prediction import evaluate_bundle  # noqa: PLC0415

        gate = {name: options.pop(name) for name in ("max_reject_rate", "rejects") if name in options}
        raw = take_table(data, self.schema, session_of(session), **options)
        return evaluate_bundle(raw, self.bundle, steps=steps, **gate)

    def offers(
        self,
        data: Any,
        per_customer: int = 50,
        repeat: bool | None = None,
        purchases: float | None = None,
        *,
        columns: Sequence[str] = (),
        max_reject_rate: float = 0.01,
        session: Session = None,
        **reader: Any,
    ) -> Any:
        """Return for each customer the products with the highest expected revenue: probability x amount.

        Parameters
        ----------
        data : path, Spark DataFrame, or table in this process
            Past purchases; a target is not needed.
        per_customer : int, default 50
            Largest number of products per customer.
        repeat : bool, optional
            False leaves out what the customer has bought before, True all else; both are offered by default.
        purchases : float, optional
            Number of purchases in the period, of all customers; by default as many as were hidden in training.
        columns : sequence of str, default ()
            Attributes of the customer or the product to add.
        max_reject_rate : float, default 0.01
            Largest share of bad rows that a run goes on with.
        session : SparkSession or callable, optional
            Session to use; one is started by default.
        **reader
            ``format``, ``table`` and ``options`` for a path.

        Returns
        -------
        table or list of dict
            As given, Arrow for a path: ids, ``probability``, ``amount``, ``expected_revenue``, ``bought_before``.

        Raises
        ------
        SettingsError
            If the model was trained without offers, a number is not above 0, or a wanted column is no attribute.
        """
        from purchasecast.io import take_table  # noqa: PLC0415  needs Spark
        from purchasecast.prediction import score_offers  # noqa: PLC0415
        from purchasecast.results import check_reject_rate  # noqa: PLC0415
        from purchasecast.validation import validate  # noqa: PLC0415

        raw = take_table(data, self.schema, session_of(session), target="optional", **reader)
        is_on_spark = type(data).__module__.startswith("pyspark.")
        with validate(raw, self.schema, target="optional", cache=not is_on_spark) as checked:
            check_reject_rate(checked.report, max_reject_rate, schema=self.schema)
            wanted: Any = {"per_customer": per_customer, "repeat": repeat, "purchases": purchases, "columns": columns}
            found = score_offers(checked.accepted, self.bundle, **wanted)
            return found if is_on_spark else of_kind(found.toArrow(), data)

    def plan(self, data: Any, *, settings: PlanSettings, **options: Any) -> PlannedCampaign:
        """Plan a campaign of the model's own offers.

        Parameters
        ----------
        data : path, Spark DataFrame, or table in this process
            Past purchases, as `offers` takes them.
        settings : PlanSettings
            Budget, costs and limits.
        **options
            ``stock``, ``must``, ``must_not``, ``out`` and ``steps`` as in `purchasecast.plan`; all others of `offers`.

        Returns
        -------
        PlannedCampaign
            The figures, the lines to send and those of the control group.
        """
        from purchasecast.planning import plan_offers  # noqa: PLC0415  SciPy

        of_plan = {name: options.pop(name) for name in ("stock", "must", "must_not", "out", "steps") if name in options}
        schema = self.schema
        columns = {"customer": str(schema.customer), "product": str(schema.product), "amount": schema.target}
        offers = self.offers(data, columns=settings.segments, **options)
        return plan_offers(offers, settings, columns, money=schema.money, **of_plan)

    def insights(
        self,
        data: Any = None,
        *,
        demand: Any = None,
        out: str | Path | None = None,
        settings: Any = None,
        keep: bool = True,
        max_reject_rate: float = 0.01,
        session: Session = None,
        steps: Steps | None = None,
        **reader: Any,
    ) -> Insights:
        """Find what to do, and write target lists.

        Parameters
        ----------
        data : path, Spark DataFrame, or table in this process, optional
            Past, labelled transactions. Without them only what the model itself knows can be told.
        demand : path, Spark DataFrame, or table in this process, optional
            Rows to come, without a target.
        out : str or Path, optional
            Folder for findings and lists; by default a temporary one.
        settings : InsightSettings, optional
            Levels, caps and pairs of columns.
        keep : bool, default True
            Whether to put the findings into the model's directory, for its report.
        max_reject_rate : float, default 0.01
            Largest share of bad rows that a run goes on with.
        session : SparkSession or callable, optional
            Session to use; one is started by default.
        steps : Steps, optional
            Times the steps.
        **reader
            ``format``, ``table`` and ``options`` for a path.

        Returns
        -------
        Insights
            Findings, ranked, and the lists that were written.
        """
        from purchasecast.insights import find_insights  # noqa: PLC0415  needs Spark
        from purchasecast.io import take_table  # noqa: PLC0415

        start = session_of(session)
        tables = {
            name: take_table(table, self.schema, start, target="optional", **reader)
            for name, table in (("data", data), ("demand", demand))
            if table is not None
        }
        if not tables:
            start()
        folder = Path(out) if out is not None else temporary_folder(self)
        insights = find_insights(
            self.bundle, folder, **tables, settings=settings, max_reject_rate=max_reject_rate, steps=steps
        )
        if keep:
            self.bundle = add_document(self.bundle, "findings", insights.to_dict())
        return insights

    def report(
        self, path: str | Path, *, insights: str | Path | None = None, keep: bool = True, steps: Steps | None = None
    ) -> Path:
        """Write the report: one HTML page that needs no network.

        Parameters
        ----------
        path : str or Path
            File to write.
        insights : str or Path, optional
            Folder that `insights` wrote; by default the findings kept in the model's directory.
        keep : bool, default True
            Whether to put the page into the model's directory, for the server.
        steps : Steps, optional
            Times the steps.

        Returns
        -------
        Path
            The file.
        """
        from purchasecast.report import read_report, render_report, write_page  # noqa: PLC0415  an extra

        with (steps or Steps()).step("draw"):
            page = write_page(html := render_report(read_report(self.bundle, insights=insights)), Path(path))
        if keep:
            self.bundle = add_file(self.bundle, REPORT, html)
        return page

    def save(self, path: str | Path) -> Model:
        """Copy the model to a directory of its own.

        Parameters
        ----------
        path : str or Path
            Directory to write; a model that is there is replaced.

        Returns
        -------
        Model
            This model, which lives in the new directory from now on.

        Raises
        ------
        BundleError
            If `path` holds something that is no model, or cannot be written.
        """
        copy_bundle(self.path, path)
        self.bundle = load_bundle(path)
        self.__dict__.pop("scorer", None)
        return self


def load(path: str | Path) -> Model:
    """Load a model that `purchasecast.train` or ``purchasecast train`` wrote.

    Parameters
    ----------
    path : str or Path
        The model's directory.

    Returns
    -------
    Model
        The model; its files have been checked against their checksums.

    Raises
    ------
    BundleError
        If there is no model, it is damaged, or of a format that this version does not read.
    """
    return Model(load_bundle(path))
