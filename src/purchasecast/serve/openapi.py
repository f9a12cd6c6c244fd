"""The OpenAPI document: what FastAPI knows of the routes, and what the model's schema says of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from purchasecast import __version__
from purchasecast.serve.file_reader import CSV, PARQUET
from purchasecast.serve.problems import PROBLEM_TYPE
from purchasecast.serve.request_rows import parameter_schema, row_schema
from purchasecast.serve.response_models import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI

    from purchasecast.scorer import Scorer
    from purchasecast.serve.state import State

__all__ = ["FILE_BODY", "FILE_CONTENT", "describe_api", "problems"]

_MEANINGS = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "The request comes from another site.",
    404: "The model does not know this customer or product.",
    408: "The body did not arrive in time.",
    409: "The new model was refused; the old one stays in use.",
    413: "The body or the file is too large.",
    415: "The body has another media type.",
    421: "The request names another host.",
    422: "A value is not allowed; `errors` names the fields.",
    503: "The server is busy or about to stop; try again later.",
}
FILE_CONTENT: dict[str, Any] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (CSV, PARQUET)}
_FORM = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
FILE_BODY = {"required": True, "content": {**FILE_CONTENT, "multipart/form-data": {"schema": _FORM}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these errors."""
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses}


def describe_api(app: FastAPI, state: State) -> dict[str, Any]:
    """Return the document, in OpenAPI 3.1; schema and examples of a row come from the model in use."""
    scorer = state.holder.served.scorer
    document = get_openapi(
        title=f"purchasecast: {scorer.schema.title}",
        version=__version__,
        description="Predicts what a customer will spend on a product. Errors are RFC 9457 problem details.",
        routes=app.routes,
    )
    document["components"]["schemas"]["Row"] = row_schema(scorer)
    paths = document["paths"]
    for operation in (operation for item in paths.values() for operation in item.values()):
        responses = operation["responses"]
        if state.guard.is_open:
            del responses["401"]
        for status in responses.keys() - {"200"}:
            # FastAPI writes every model under the media type of the route's good answer.
            (content,) = responses[status]["content"].values()
            responses[status]["content"] = {PROBLEM_TYPE: content}
    # FastAPI cannot know these two: the columns are those of the model.
    paths["/v1/predict"]["post"]["requestBody"] = _rows_body(scorer, state.settings.max_rows)
    paths["/v1/explain"]["get"]["parameters"] = _row_parameters(scorer)
    if not state.guard.is_open:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    return document


def _rows_body(scorer: Scorer, limit: int) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": limit, "items": {"$ref": "#/components/schemas/Row"}}
    asked = ("explain", "amounts") if scorer.has_ladder else ("explain",)
    body = {
        "type": "object",
        "required": ["rows"],
        "additionalProperties": False,
        "properties": {"rows": rows, **{name: {"type": "boolean", "default": False} for name in asked}},
    }
    content: dict[str, Any] = {"schema": body}
    if scorer.examples:
        content["examples"] = {"two rows": {"value": {"rows": list(scorer.examples[:2]), "explain": False}}}
    return {"required": True, "content": {"application/json": content}}


def _row_parameters(scorer: Scorer) -> list[dict[str, Any]]:
    example = scorer.examples[0] if scorer.examples else {}
    required = row_schema(scorer).get("required", [])
    parameters = []
    for name in scorer.columns:
        schema = parameter_schema(scorer.schema.column(name))
        parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
        if example.get(name) is not None:
            parameter["example"] = example[name]
        parameters.append(parameter)
    return parameters
