"""Errors as RFC 9457 problem details: what was expected, what was found, and which fields are wrong."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.serve.response_models import FieldError, Problem

__all__ = ["PROBLEM_TYPE", "SERVER_DEFECT", "ProblemError"]

PROBLEM_TYPE = "application/problem+json"
SERVER_DEFECT = "The server made a mistake; its log has the request's id."
_MAX_FIELDS = 100  # field errors in one answer; the rest are only counted


class ProblemError(Exception):
    """An error that the client is told.

    Parameters
    ----------
    status : int
        The HTTP status.
    detail : str
        One sentence for the client, without paths, stack traces or secrets.
    errors : sequence of FieldError, default ()
        What is wrong with each field.
    headers : mapping of str to str, optional
        Headers of the answer.
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer, of the type ``application/problem+json``."""
        title = HTTPStatus(self.status).phrase
        document: Problem = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        if self.errors:
            document["errors"] = self.errors[:_MAX_FIELDS]
        if len(self.errors) > _MAX_FIELDS:
            document["more_errors"] = len(self.errors) - _MAX_FIELDS
        body = json.dumps(document, ensure_ascii=True).encode()
        return Response(body, status_code=self.status, media_type=PROBLEM_TYPE, headers=self.headers)
