"""The API's description: what FastAPI knows of the routes, and what the model's schema says of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from purchasecast import __version__
from purchasecast.serve.problems import PROBLEM_TYPE
from purchasecast.serve.request_rows import parameter_schema, row_schema
from purchasecast.serve.uploads import CSV, PARQUET

if TYPE_CHECKING:
    from fastapi import FastAPI

    from purchasecast.scorer import Scorer
    from purchasecast.serve.state import State

__all__ = ["describe_api"]

_NUMBER: dict[str, Any] = {"type": "number"}
_TEXT: dict[str, Any] = {"type": "string"}
_SEEN = {
    "type": "object",
    "description": "Whether training has seen the customer and the product.",
    "additionalProperties": {"type": "boolean"},
}
_CONTRIBUTIONS = {
    "type": "array",
    "description": "What each column, or two together, adds to the base; base and contributions sum to the prediction.",
    "items": {
        "type": "object",
        "required": ["columns", "label", "contribution"],
        "properties": {
            "columns": {"type": "array", "items": _TEXT},
            "label": _TEXT,
            "contribution": _NUMBER,
        },
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "more_errors": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"pointer": _TEXT, "parameter": _TEXT, "field": _TEXT, "detail": _TEXT},
            },
        },
    },
}
_KNOWN = {
    "type": "object",
    "required": ["id", "rows", "mean", "attributes"],
    "properties": {
        "id": _TEXT,
        "rows": _NUMBER,
        "mean": {"type": ["number", "null"]},
        "attributes": {"type": "object"},
        "similarity": _NUMBER,
    },
}
_COMMON = {400: "malformed", 403: "from another site", 408: "too slow", 413: "too large", 421: "another host's name"}
_STATUSES = {  # beside those that any request can get
    "/v1/predict": (415, 422),
    "/v1/predict/file": (415, 422),
    "/v1/explain": (422,),
    "/v1/recommend/{customer}": (404, 422),
    "/v1/similar/{product}": (404, 422),
    "/v1/search/{role}": (422,),
    "/v1/reload": (409,),
}


def describe_api(app: FastAPI, state: State) -> dict[str, Any]:
    """Return the OpenAPI document for the model in use.

    Parameters
    ----------
    app : FastAPI
        The application.
    state : State
        Its model and settings.

    Returns
    -------
    dict
        OpenAPI 3.1, with a row's schema and examples taken from the model.
    """
    scorer = state.holder.served.scorer
    document = get_openapi(
        title=f"purchasecast: {scorer.schema.title}",
        version=__version__,
        description="Predicts what a customer will spend on a product. Errors are RFC 9457 problem details.",
        routes=[route for route in app.routes if getattr(route, "path", "") not in _HIDDEN],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {"Row": row_schema(scorer), "Prediction": _prediction(), "Problem": _PROBLEM, "Known": _KNOWN}
    paths = document["paths"]
    for path, item in paths.items():
        for operation in item.values():
            operation["responses"] = _responses(path, operation["responses"], is_open=state.guard.is_open)
    _describe_predict(paths["/v1/predict"]["post"], scorer, state.settings.max_rows)
    _describe_file(paths["/v1/predict/file"]["post"])
    _describe_explain(paths["/v1/explain"]["get"], scorer)
    if not state.guard.is_open:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    return document


_HIDDEN = ("/", "/ui/result", "/report", "/login", "/logout")


def _responses(path: str, found: dict[str, Any], *, is_open: bool) -> dict[str, Any]:
    """Return the answers of a route: the good one, typed, and every problem that it can be."""
    good = {"200": {"description": "Done.", "content": _CONTENT.get(path, found["200"].get("content", {}))}}
    problems = {status: what.capitalize() for status, what in _COMMON.items()}
    problems |= dict.fromkeys(_STATUSES.get(path, ()), "See the detail.")
    problems |= {503: "Busy, or about to stop."}
    if not is_open:
        problems |= {401: "No token, or a wrong one."}
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return good | {str(k): {"description": f"{v}", "content": content} for k, v in sorted(problems.items())}


def _object(required: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": list(required), "properties": required}
    return {"application/json": {"schema": schema}}


def _prediction() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["prediction", "seen"],
        "properties": {
            "prediction": {**_NUMBER, "description": "In money."},
            "lower": {**_NUMBER, "description": "Lower bound, where the model has an interval."},
            "upper": {**_NUMBER, "description": "Upper bound, where the model has an interval."},
            "seen": _SEEN,
            "base": {**_NUMBER, "description": "What is predicted for an average row; where asked to explain."},
            "contributions": _CONTRIBUTIONS,
        },
    }


_MONEY = {"type": ["string", "null"]}
_RECOMMENDED = {
    "type": "object",
    "required": ["product", "prediction", "rows", "mean"],
    "properties": {
        "product": _TEXT,
        "prediction": _NUMBER,
        "lower": _NUMBER,
        "upper": _NUMBER,
        "rows": _NUMBER,
        "mean": {"type": ["number", "null"]},
    },
}
_LIST_OF_KNOWN = {"type": "array", "items": {"$ref": "#/components/schemas/Known"}}
_PLAIN = {"text/plain": {"schema": _TEXT}}
_FILES = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (CSV, PARQUET)}
_CONTENT: dict[str, Any] = {
    "/healthz": _PLAIN,
    "/readyz": _PLAIN,
    "/metrics": _PLAIN,
    "/v1/predict/file": _FILES,
    "/v1/predict": _object(
        {
            "model": _TEXT,
            "money": _MONEY,
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        }
    ),
    "/v1/explain": _object(
        {
            "model": _TEXT,
            "money": _MONEY,
            "row": {"type": "object"},
            "prediction": _NUMBER,
            "base": _NUMBER,
            "contributions": _CONTRIBUTIONS,
            "seen": _SEEN,
        }
    ),
    "/v1/recommend/{customer}": _object(
        {
            "model": _TEXT,
            "money": _MONEY,
            "customer": _TEXT,
            "recommendations": {"type": "array", "items": _RECOMMENDED},
        }
    ),
    "/v1/similar/{product}": _object({"model": _TEXT, "product": _TEXT, "similar": _LIST_OF_KNOWN}),
    "/v1/search/{role}": _object({"found": _LIST_OF_KNOWN}),
    "/v1/reload": _object({"model": _TEXT, "changed": {"type": "boolean"}}),
    "/v1/model": _object({"id": _TEXT, "schema": {"type": "object"}, "columns": {"type": "array", "items": _TEXT}}),
}


def _describe_predict(operation: dict[str, Any], scorer: Scorer, most: int) -> None:
    rows = {"type": "array", "minItems": 1, "maxItems": most, "items": {"$ref": "#/components/schemas/Row"}}
    body = {
        "type": "object",
        "required": ["rows"],
        "additionalProperties": False,
        "properties": {"rows": rows, "explain": {"type": "boolean", "default": False}},
    }
    examples = {"two rows": {"value": {"rows": list(scorer.examples[:2]), "explain": False}}}
    content = {"schema": body, **({"examples": examples} if scorer.examples else {})}
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}


def _describe_file(operation: dict[str, Any]) -> None:
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
    operation["requestBody"] = {"required": True, "content": {**_FILES, "multipart/form-data": {"schema": form}}}


def _describe_explain(operation: dict[str, Any], scorer: Scorer) -> None:
    example = scorer.examples[0] if scorer.examples else {}
    required = row_schema(scorer).get("required", [])
    operation["parameters"] = []
    for name in scorer.columns:
        schema = parameter_schema(scorer.schema.column(name))
        parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
        if example.get(name) is not None:
            parameter["example"] = example[name]
        operation["parameters"].append(parameter)
