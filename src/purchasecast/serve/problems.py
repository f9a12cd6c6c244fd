"""Errors as RFC 9457 problem details: what was expected, what was found, and which field it is about."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PROBLEM_TYPE", "FieldProblem", "ProblemError", "problem_response"]

PROBLEM_TYPE = "application/problem+json"
FieldProblem = dict[str, Any]
_MOST_FIELDS = 100  # field errors of one answer


class ProblemError(Exception):
    """A request that is answered with a problem.

    Parameters
    ----------
    status : int
        The HTTP status.
    detail : str
        One sentence for the client; no path, no stack, no secret.
    errors : sequence of dict
        What is wrong with which field: ``pointer`` (into the body) or ``parameter``, ``field`` and ``detail``.
    headers : mapping of str to str
        Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def problem_response(
    status: int,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that tells a problem.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str
        Sentence for people.
    errors : sequence of FieldProblem, default ()
        Problems of single fields.
    headers : mapping of str to str, optional
        Further headers.

    Returns
    -------
    Response
        ``application/problem+json``; past 100 fields the rest are counted only.
    """
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = list(errors[:_MOST_FIELDS])
    if len(errors) > _MOST_FIELDS:
        document["more_errors"] = len(errors) - _MOST_FIELDS
    body = json.dumps(document, ensure_ascii=True).encode()
    return Response(body, status_code=status, media_type=PROBLEM_TYPE, headers=dict(headers or {}))
