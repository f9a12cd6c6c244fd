"""Structured logs: one JSON object a line on stderr, without paths, stack traces or secrets."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["JsonFormatter", "place_of", "set_up_logs"]

_encode = json.JSONEncoder(default=str).encode  # writes ASCII, so that no value can break the line


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; of an exception, only its type and the line that raised it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            document["error"] = record.exc_info[0].__name__
            document["where"] = place_of(record.exc_info[2])
            document["message"] = document["message"].partition("\n")[0]
        return _encode(document)


def place_of(trace: TracebackType | None) -> str | None:
    """Return the module and line that raised an exception, without the path of its file."""
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"


def set_up_logs(*, verbose: bool = False) -> None:
    """Send all logs to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("purchasecast").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
