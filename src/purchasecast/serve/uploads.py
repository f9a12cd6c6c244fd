"""Receive an uploaded file, as the body itself or as a field of a form."""

from __future__ import annotations

import errno
from typing import IO, TYPE_CHECKING

from starlette.datastructures import UploadFile

from purchasecast.serve.file_reader import CSV, PARQUET
from purchasecast.serve.file_scoring import new_spool
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from fastapi import Request

    from purchasecast.serve.response_models import FieldError

__all__ = ["media_type", "receive_file"]

_FORM = "multipart/form-data"
_KINDS = {CSV: CSV, "application/csv": CSV, PARQUET: PARQUET, "application/x-parquet": PARQUET}


def media_type(request: Request) -> str:
    """Return the media type of a request's body, without parameters."""
    return _bare(request.headers.get("content-type"))


async def receive_file(request: Request) -> tuple[IO[bytes], str, str]:
    """Return the file of a request, to be closed by the caller; its media type; and a file name for the answer.

    Raises
    ------
    ProblemError
        If there is no file (422), it is of another type (415), or the disk is full (503).
    """
    kind = media_type(request)
    if kind == _FORM:
        return await _file_of_form(request)
    if kind not in _KINDS:
        raise ProblemError(415, f"Content-Type: expected {CSV}, {PARQUET} or {_FORM}, found another type.")
    spool = new_spool()
    try:
        async for chunk in request.stream():
            spool.write(chunk)
    except BaseException as error:  # also a timeout or a client that hangs up
        spool.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ProblemError(503, "The server's disk is full; try again later.") from None
        raise
    spool.seek(0)
    return spool, _KINDS[kind], _answer_name("", _KINDS[kind])


async def _file_of_form(request: Request) -> tuple[IO[bytes], str, str]:
    form = await request.form(max_files=1, max_fields=4)
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        error: FieldError = {"pointer": "#/file", "field": "file", "detail": "expected a file, found none"}
        raise ProblemError(422, "Form: expected a file in the field file, found none; choose one.", [error])
    name = file.filename or ""
    # Browsers send no useful type for Parquet.
    by_name = PARQUET if name.lower().endswith((".parquet", ".pq")) else CSV
    kind = _KINDS.get(_bare(file.content_type), by_name)
    return file.file, kind, _answer_name(name, kind)


def _bare(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _answer_name(name: str, kind: str) -> str:
    """Return a file name for the answer, made of harmless characters."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    stem = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in stem)
    return f"{stem[:60] or 'rows'}.scored.{'csv' if kind == CSV else 'parquet'}"
