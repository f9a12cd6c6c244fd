"""Errors as RFC 9457 problem details: what was expected, what was found, and which fields are wrong."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.serve.response_models import FieldError, Problem

__all__ = ["PROBLEM_TYPE", "SERVER_DEFECT", "ProblemError"]

PROBLEM_TYPE = "application/problem+json"
SERVER_DEFECT = "The server made a mistake; its log has the request's id."
# They may repeat what was sent, and JSON writes some letters as six.
_MAX_LETTERS, _MAX_ALL_LETTERS = 300, 5_000  # of a name or a sentence about it, and of all in one answer
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
            shown = _shown(self.errors)
            document["errors"] = shown
            if len(self.errors) > len(shown):
                document["more_errors"] = len(self.errors) - len(shown)
        body = json.dumps(document, ensure_ascii=True).encode()
        return Response(body, status_code=self.status, media_type=PROBLEM_TYPE, headers=self.headers)


def _shown(errors: Sequence[FieldError]) -> list[FieldError]:
    """Return the first field errors, with long texts cut."""
    shown: list[FieldError] = []
    left = _MAX_ALL_LETTERS
    for error in errors[:_MAX_FIELDS]:
        short = {name: _short(str(text)) for name, text in error.items()}
        left -= sum(map(len, short.values()))
        if left < 0:
            break
        shown.append(cast("FieldError", short))
    return shown


def _short(text: str) -> str:
    return text if len(text) <= _MAX_LETTERS else f"{text[:_MAX_LETTERS]}..."
