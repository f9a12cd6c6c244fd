"""The routes under ``/v1``, and those for health checks and metrics."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from purchasecast.errors import PurchasecastError
from purchasecast.serve.file_scoring import score_file
from purchasecast.serve.metrics import CONTENT_TYPE_LATEST
from purchasecast.serve.openapi import FILE_BODY, FILE_CONTENT, problems
from purchasecast.serve.predictions import (
    audience,
    explain_row,
    known_to_dict,
    offered_products,
    predict_rows,
    recommend,
)
from purchasecast.serve.problems import ProblemError
from purchasecast.serve.request_rows import parse_body, row_of_query, rows_of_body
from purchasecast.serve.response_models import (
    Audience,
    Explanation,
    ModelDescription,
    Predictions,
    Recommendations,
    ReloadResult,
    SearchResult,
    SimilarProducts,
)
from purchasecast.serve.state import state_of
from purchasecast.serve.uploads import media_type, receive_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    from purchasecast.serve.response_models import ExplainedRow, OfferedProduct, Prediction, Recommendation
    from purchasecast.serve.state import State

__all__ = ["predict", "router"]

router = APIRouter(responses=problems(400, 401, 403, 408, 413, 421, 503))

_INLINE_ROWS = 32  # up to so many are scored faster than a thread is woken
_CHUNK_BYTES = 1 << 16
_encode = json.JSONEncoder(allow_nan=False).encode

Id = Annotated[str, Path(max_length=256)]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("/v1/predict", response_model=Predictions, responses=problems(415, 422))
async def predict(request: Request) -> Response:
    """Predict 1 to 1,000 rows."""
    state = state_of(request)
    if media_type(request) != "application/json":
        raise ProblemError(415, "Content-Type: expected application/json, found another type; send JSON.")
    body = await request.body()
    served = state.holder.served
    document = parse_body(body)
    rows = rows_of_body(document, state.settings.max_rows)
    explain, amounts = document.get("explain", False), document.get("amounts", False)
    if amounts and not served.scorer.has_ladder:
        raise ProblemError(422, "amounts: expected a model of amounts on steps, found one without; leave it out.")
    score = partial(predict_rows, served.scorer, served.reader, rows, explain=explain, amounts=amounts)
    if len(rows) > _INLINE_ROWS and explain:
        predictions = await state.heavy.run(score)  # the parts of a thousand rows can take seconds
    elif len(rows) > _INLINE_ROWS or explain or amounts:
        predictions = await anyio.to_thread.run_sync(score)
    else:
        predictions = score()
    # The client does not wait for the counting: the answer is sent first.
    asyncio.get_running_loop().call_soon(_count, state, "/v1/predict", predictions)
    answer: Predictions = {"model": served.id, "money": served.scorer.schema.money, "predictions": predictions}
    return Response(_encode(answer), media_type="application/json")


@router.post(
    "/v1/predict/file",
    response_class=Response,
    responses={**problems(415, 422), 200: {"content": FILE_CONTENT}},
    openapi_extra={"requestBody": FILE_BODY},
)
async def predict_file(request: Request) -> Response:
    """Predict the rows of a CSV or Parquet file; the answer is the same file with predictions."""
    state = state_of(request)
    served = state.holder.served
    source, kind, name = await receive_file(request)
    try:
        # Only now is a slot taken: a client that sends slowly must not keep others waiting.
        limit = state.settings.max_file_rows
        scored = await state.heavy.run(partial(score_file, source, kind, served.scorer, limit, state.readers))
    finally:
        source.close()
    state.metrics.count_rows("/v1/predict/file", scored.rows)
    # The page reads these to say how many rows have no prediction, without reading the file.
    headers = {
        "x-rows": str(scored.rows),
        "x-rows-without-prediction": str(scored.bad),
        "x-model": served.id,
        "content-disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(_chunks(scored.content), media_type=kind, headers=headers)


@router.get("/v1/explain", response_model=Explanation, responses=problems(422))
async def explain(request: Request) -> Response:
    """Predict the row that the query describes, and show what drives the prediction."""
    state = state_of(request)
    served = state.holder.served
    row = row_of_query(request.query_params, served.scorer)
    explained = await anyio.to_thread.run_sync(partial(explain_row, served.scorer, row))
    _count(state, "/v1/explain", [explained])
    answer: Explanation = {"model": served.id, "money": served.scorer.schema.money, **explained}
    return JSONResponse(answer)


@router.get("/v1/recommend/{customer}", response_model=Recommendations, responses=problems(404, 422))
async def recommendations(request: Request, customer: Id, limit: Limit = 10) -> Response:
    """Return the products with the highest expected revenue from a customer, and why they are likely."""
    state = state_of(request)
    served = state.holder.served
    scorer = served.scorer
    column = scorer.schema.customer
    if column is None or not scorer.catalogue.knows("customer", customer):
        raise ProblemError(
            404, "customer: expected an id that the model knows, found another; see /v1/search/customer."
        )
    row = dict(scorer.catalogue.complete({column: customer}))
    items: list[OfferedProduct] | list[Recommendation]
    if served.offers is None:
        items = await state.heavy.run(partial(recommend, scorer, row, limit))
    else:
        items = await state.heavy.run(partial(offered_products, scorer, served.offers, str(row[column]), row, limit))
    answer: Recommendations = {
        "model": served.id,
        "money": scorer.schema.money,
        "customer": customer,
        "recommendations": items,
    }
    return JSONResponse(answer)


@router.get("/v1/audience/{product}", response_model=Audience, responses=problems(404, 422))
async def audience_of(request: Request, product: Id, limit: Limit = 10) -> Response:
    """Return the customers with the highest expected revenue from a product, and why they are likely to buy it."""
    state = state_of(request)
    served = state.holder.served
    scorer = served.scorer
    column = scorer.schema.product
    if column is None or served.offers is None or not scorer.catalogue.knows("product", product):
        raise ProblemError(
            404,
            "product: expected an id that the model knows, and a model that was trained with offers, found another; "
            "see /v1/search/product.",
        )
    row = dict(scorer.catalogue.complete({column: product}))
    members = await state.heavy.run(partial(audience, scorer, served.offers, product, row, limit))
    answer: Audience = {
        "model": served.id,
        "money": scorer.schema.money,
        "product": product,
        "audience": members,
    }
    return JSONResponse(answer)


@router.get("/v1/similar/{product}", response_model=SimilarProducts, responses=problems(404, 422))
async def similar(request: Request, product: Id, limit: Limit = 8) -> Response:
    """Return the products that the same customers like."""
    state = state_of(request)
    served = state.holder.served
    catalogue = served.scorer.catalogue
    if not catalogue.knows("product", product):
        raise ProblemError(404, "product: expected an id that the model knows, found another; see /v1/search/product.")
    products = await state.heavy.run(partial(catalogue.similar, "product", product, limit))
    answer: SimilarProducts = {
        "model": served.id,
        "product": product,
        "similar": [known_to_dict(known) for known in products],
    }
    return JSONResponse(answer)


@router.get("/v1/search/{role}", response_model=SearchResult, responses=problems(422))
async def search(
    request: Request,
    role: Literal["customer", "product"],
    q: Annotated[str, Query(max_length=64)] = "",
    limit: Limit = 10,
) -> Response:
    """Find customers or products by a part of their id; without a text, those with the most training rows."""
    catalogue = state_of(request).holder.served.scorer.catalogue
    try:
        q.encode()
    except UnicodeEncodeError:  # a lone surrogate, which %-escapes can spell
        raise ProblemError(422, "q: expected text in UTF-8, found other bytes; correct the query.") from None
    found = await anyio.to_thread.run_sync(partial(catalogue.search, role, q.strip(), limit))
    answer: SearchResult = {"found": [known_to_dict(known) for known in found]}
    return JSONResponse(answer)


@router.get("/v1/model", response_model=ModelDescription)
async def model(request: Request) -> Response:
    """Describe the model: its schema, its training data, and its figures on held-out rows."""
    return JSONResponse(state_of(request).holder.served.describe())


@router.post("/v1/reload", response_model=ReloadResult, responses=problems(409))
async def reload(request: Request) -> Response:
    """Load the bundle again and use it, if it passes its checks; otherwise the old model stays in use."""
    state = state_of(request)
    try:
        served, changed = await anyio.to_thread.run_sync(state.reload)
    except PurchasecastError as error:
        kept = state.holder.served.id
        raise ProblemError(
            409, f"The new model does not pass its checks ({type(error).__name__}); model {kept} stays in use."
        ) from None
    answer: ReloadResult = {"model": served.id, "changed": changed}
    return JSONResponse(answer)


@router.get("/healthz", response_class=PlainTextResponse)
async def health() -> Response:
    """Say that the server runs."""
    return PlainTextResponse("ok")


@router.get("/readyz", response_class=PlainTextResponse)
async def ready(request: Request) -> Response:
    """Say whether the server takes requests; it does until it is asked to stop."""
    if state_of(request).is_stopping:
        raise ProblemError(503, "The server is about to stop; ask another one.", headers={"retry-after": "5"})
    return PlainTextResponse("ready")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return counts and times in the text format of Prometheus."""
    return Response(state_of(request).metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _count(state: State, route: str, rows: Sequence[Prediction | ExplainedRow]) -> None:
    state.metrics.count_rows(route, len(rows))
    for row in rows:
        for role, is_seen in row["seen"].items():
            if not is_seen:
                state.metrics.count_unseen(role)
