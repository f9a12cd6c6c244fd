"""The routes under ``/v1``, and those that machines watch."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.datastructures import UploadFile

from purchasecast.errors import PurchasecastError
from purchasecast.serve.metrics import CONTENT_TYPE_LATEST
from purchasecast.serve.predictions import explain_row, known_to_dict, predict_rows, recommend
from purchasecast.serve.problems import ProblemError
from purchasecast.serve.request_rows import parse_body, row_of_query, rows_of_body
from purchasecast.serve.state import state_of
from purchasecast.serve.uploads import CSV, PARQUET, new_spool, score_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from purchasecast.serve.state import State

__all__ = ["router"]

logger = logging.getLogger(__name__)
router = APIRouter()

_INLINE_ROWS = 32  # fewer are scored faster than a thread is woken
_CHUNK_BYTES = 1 << 16
_encode = json.JSONEncoder(allow_nan=False).encode
_KINDS = {CSV: CSV, "application/csv": CSV, PARQUET: PARQUET, "application/x-parquet": PARQUET}
_FORM = "multipart/form-data"

Limit = Annotated[int, Query(ge=1, le=100)]
Role = Literal["customer", "product"]


@router.post("/v1/predict")
async def predict(request: Request) -> Response:
    """Score 1 to 1,000 rows."""
    state = state_of(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(415, "Expected a body of the type application/json.")
    body = await request.body()
    served = state.holder.served
    document = parse_body(body)
    rows = rows_of_body(document, state.settings.max_rows)
    explain = bool(document.get("explain", False))
    score = partial(predict_rows, served.scorer, served.reader, rows, explain=explain)
    if len(rows) > _INLINE_ROWS and explain:
        answers = await state.heavy.run(score)  # parts of trees take up to a second for 1,000 rows
    elif len(rows) > _INLINE_ROWS or explain:
        answers = await anyio.to_thread.run_sync(score)
    else:
        answers = score()
    asyncio.get_running_loop().call_soon(_count, state, "/v1/predict", answers)  # once the answer is on its way
    found = {"model": served.id, "money": served.scorer.schema.money, "predictions": answers}
    return Response(_encode(found), media_type="application/json")


@router.post("/v1/predict/file")
async def predict_file(request: Request) -> Response:
    """Score a CSV or Parquet file; the answer is the same file with predictions."""
    state = state_of(request)
    served = state.holder.served
    source, kind, name = await _received(request)
    try:
        # The slot is taken only now: clients that send slowly must not keep others from it.
        scored = await state.heavy.run(partial(score_file, source, kind, served.scorer, state.settings.max_file_rows))
    finally:
        source.close()
    state.measures.rows("/v1/predict/file", scored.rows)
    headers = {
        "x-rows": str(scored.rows),
        "x-rows-without-prediction": str(scored.bad),
        "x-model": served.id,
        "content-disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(_chunks(scored.content), media_type=kind, headers=headers)


@router.get("/v1/explain")
async def explain(request: Request) -> Response:
    """Score the row that the query describes, and say what drives its prediction."""
    state = state_of(request)
    served = state.holder.served
    row = row_of_query(request.query_params, served.scorer)
    found = await anyio.to_thread.run_sync(lambda: explain_row(served.scorer, row))
    _count(state, "/v1/explain", [{"seen": found.seen}])
    document: dict[str, Any] = {
        "model": served.id,
        "money": served.scorer.schema.money,
        "row": found.row,
        "prediction": found.prediction,
        "base": found.base,
        "contributions": found.contributions,
        "seen": found.seen,
    }
    if found.lower is not None and found.upper is not None:
        document |= {"lower": found.lower, "upper": found.upper}
    return JSONResponse(document)


@router.get("/v1/recommend/{customer}")
async def recommendations(
    request: Request, customer: Annotated[str, Path(max_length=256)], limit: Limit = 10
) -> Response:
    """Return the products that a customer is predicted to spend most on."""
    state = state_of(request)
    served = state.holder.served
    scorer = served.scorer
    column = scorer.schema.customer
    if column is None or not scorer.catalogue.knows("customer", customer):
        raise ProblemError(404, "Expected a customer that the model knows, found none of that id.")
    row = dict(scorer.catalogue.complete({column: customer}))
    items = await state.heavy.run(partial(recommend, scorer, row, limit))
    return JSONResponse(
        {"model": served.id, "money": scorer.schema.money, "customer": customer, "recommendations": items}
    )


@router.get("/v1/similar/{product}")
async def similar(request: Request, product: Annotated[str, Path(max_length=256)], limit: Limit = 8) -> Response:
    """Return the products that are bought with the same tastes."""
    state = state_of(request)
    served = state.holder.served
    catalogue = served.scorer.catalogue
    if not catalogue.knows("product", product):
        raise ProblemError(404, "Expected a product that the model knows, found none of that id.")
    found = await state.heavy.run(partial(catalogue.similar, "product", product, limit))
    return JSONResponse({"model": served.id, "product": product, "similar": [known_to_dict(k) for k in found]})


@router.get("/v1/search/{role}")
async def search(
    request: Request, role: Role, q: Annotated[str, Query(max_length=64)] = "", limit: Limit = 10
) -> Response:
    """Return customers or products by the beginning or a part of their id; the busiest ones without a text."""
    catalogue = state_of(request).holder.served.scorer.catalogue
    try:
        q.encode()
    except UnicodeEncodeError:
        raise ProblemError(422, "Expected text in UTF-8.") from None
    found = await anyio.to_thread.run_sync(lambda: catalogue.search(role, q.strip(), limit))
    return JSONResponse({"found": [known_to_dict(known) for known in found]})


@router.get("/v1/model")
async def model(request: Request) -> Response:
    """Return what the model is, what it was trained on, and how good it was on rows it had not seen."""
    return JSONResponse(state_of(request).holder.served.describe())


@router.post("/v1/reload")
async def reload(request: Request) -> Response:
    """Put the model that lies in the bundle's place now to use; if it does not verify, the old one stays."""
    state = state_of(request)
    try:
        served, changed = await anyio.to_thread.run_sync(state.reload)
    except PurchasecastError as error:
        raise ProblemError(
            409, f"The new model does not verify ({type(error).__name__}); {state.holder.served.id} stays in use."
        ) from None
    return JSONResponse({"model": served.id, "changed": changed})


@router.get("/healthz")
async def health() -> Response:
    """Say that the server runs."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """Say whether the server takes requests: it has a model, and is not about to stop."""
    if state_of(request).is_stopping:
        raise ProblemError(503, "The server is about to stop.", headers={"retry-after": "5"})
    return PlainTextResponse("ready")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return counts and times in Prometheus' text format."""
    return Response(state_of(request).measures.text(), headers={"content-type": CONTENT_TYPE_LATEST})


async def _received(request: Request) -> tuple[IO[bytes], str, str]:
    """Return the file that was sent, as a body or in a form, its kind, and a name for the answer."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in _KINDS:
        spool = new_spool()
        try:
            async for piece in request.stream():
                spool.write(piece)
        except BaseException as error:
            spool.close()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise ProblemError(503, "The server has no room for the file; try again later.") from None
            raise
        spool.seek(0)
        return spool, _KINDS[media_type], _answer_name("", _KINDS[media_type])
    if media_type != _FORM:
        raise ProblemError(415, f"Expected a body of the type {CSV}, {PARQUET} or {_FORM}.")
    form = await request.form(max_files=1, max_fields=4)
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        raise ProblemError(422, "Expected a file.", [{"pointer": "#/file", "field": "file", "detail": "not there"}])
    name = file.filename or ""
    guessed = PARQUET if name.lower().endswith((".parquet", ".pq")) else CSV
    kind = _KINDS.get((file.content_type or "").partition(";")[0].strip().lower(), guessed)
    return file.file, kind, _answer_name(name, kind)


def _answer_name(name: str, kind: str) -> str:
    """Return a file name for the answer, of harmless characters only."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    stem = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in stem)
    return f"{stem[:60] or 'rows'}.scored.{'csv' if kind == CSV else 'parquet'}"


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        while piece := content.read(_CHUNK_BYTES):
            yield piece


def _count(state: State, route: str, answers: list[dict[str, Any]]) -> None:
    state.measures.rows(route, len(answers))
    for answer in answers:
        for role, is_seen in answer["seen"].items():
            if not is_seen:
                state.measures.unseen(role)
