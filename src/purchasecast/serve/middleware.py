"""The outermost layer: every request passes here, and every answer leaves here.

Request ids, access, limits on size, time and number, security headers, one log line and the metrics. Plain ASGI, as
a layer more costs a third of the time that a row takes.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from purchasecast.serve.json_logs import place_of
from purchasecast.serve.problems import ProblemError, problem_response
from purchasecast.serve.settings import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from purchasecast.serve.auth import Guard
    from purchasecast.serve.metrics import Measures
    from purchasecast.serve.settings import ServeSettings

__all__ = ["FILE_ROUTE", "Gate"]

logger = logging.getLogger(__name__)

FILE_ROUTE = "/v1/predict/file"
_ALWAYS = ("/healthz", "/metrics")  # whoever restarts or watches the server must reach it under any load
_OPEN = ("/healthz", "/readyz", "/login", "/static/")
_PROCESS, _numbers = secrets.token_hex(8), count(1)  # together a request's id
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    b"content-security-policy": _PAGE_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
_BROKEN = 499  # the client went away: no answer, and for the log only


class Gate:
    """Wraps the application.

    Parameters
    ----------
    app : ASGI application
        What answers.
    settings : ServeSettings
        The limits.
    guard : Guard
        Who may ask.
    measures : Measures
        Counts and times.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, guard: Guard, measures: Measures) -> None:
        self.app = app
        self._settings = settings
        self._guard = guard
        self._measures = measures
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._settings)
        self._active += 1
        try:
            self._admit(exchange)
            async with exchange.clock:
                await self.app(scope, exchange.receive, exchange.send)
        except ProblemError as problem:
            await exchange.tell(problem)
        except TimeoutError:
            await exchange.tell(exchange.lateness())
        except ClientDisconnect:
            pass  # nobody waits for an answer; the log has status 499
        except Exception as error:  # noqa: BLE001  nothing of it may reach the client
            exchange.error = f"{type(error).__name__} at {place_of(error.__traceback__)}"
            await exchange.tell(ProblemError(500, "The server made a mistake; its log has the request's id."))
        finally:
            self._active -= 1
            exchange.seconds = time.perf_counter() - exchange.started
            # The loop sends the answer before it comes to this: no client waits for a log line.
            asyncio.get_running_loop().call_soon(self._finish, exchange)

    def _admit(self, exchange: _Exchange) -> None:
        headers = exchange.headers
        if self._guard.is_open and not _is_own_name(headers.get(b"host", b"")):
            # A page elsewhere may make a browser look up its own name here; without a token the name must be ours.
            raise ProblemError(421, "Expected a request to this machine by its own name; set a token to serve others.")
        if exchange.method not in {"GET", "HEAD"} and headers.get(b"sec-fetch-site") == b"cross-site":
            raise ProblemError(403, "Expected a request from this site, found one from another.")
        is_open = self._guard.is_open or exchange.path.startswith(_OPEN) or exchange.path == "/"
        if not is_open and not self._guard.admits(Headers(scope=exchange.scope)):
            raise ProblemError(
                401, "Expected the header `Authorization: Bearer TOKEN`.", headers={"www-authenticate": "Bearer"}
            )
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced[:18]) > exchange.most_bytes:
            raise ProblemError(413, f"Expected a body of at most {exchange.most_bytes:,} bytes, found a larger one.")
        if self._active > self._settings.max_requests and exchange.path not in _ALWAYS:
            raise ProblemError(503, "The server is busy; try again in a moment.", headers={"retry-after": "1"})

    def _finish(self, exchange: _Exchange) -> None:
        """Count and log a request that has been answered."""
        route = getattr(exchange.scope.get("route"), "path", "other")
        self._measures.request(exchange.method, route, exchange.status, exchange.seconds)
        level = logging.ERROR if exchange.error else logging.INFO
        if not logger.isEnabledFor(level):
            return
        fields: dict[str, Any] = {
            "request_id": exchange.id,
            "method": exchange.method,
            "route": route,  # the template, not the address: that may name a customer
            "status": exchange.status,
            "milliseconds": round(exchange.seconds * 1_000, 3),
        }
        if exchange.error:
            fields["error"] = exchange.error
        logger.log(level, "request", extra={"fields": fields})


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServeSettings) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # of two alike the first counts
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.started = time.perf_counter()
        self.seconds = 0.0
        wished = self.headers.get(b"x-request-id", b"").decode("latin-1")
        self.id = wished if wished and _REQUEST_ID.fullmatch(wished) else f"{_PROCESS}{next(_numbers):016x}"
        self.status = _BROKEN
        self.error: str | None = None
        is_file = self.path == FILE_ROUTE
        self.most_bytes = settings.max_file_bytes if is_file else settings.max_body_bytes
        self._receive, self._send = receive, send
        self._bytes = 0
        self._complete = b"transfer-encoding" not in self.headers and self.headers.get(b"content-length", b"0") == b"0"
        self._is_waiting = self._is_gone = False
        now = asyncio.get_running_loop().time()
        self._until = now + settings.request_seconds * (10 if is_file else 1)
        self._body_until = min(now + settings.body_seconds * (6 if is_file else 1), self._until)
        self.clock = asyncio.timeout_at(self._until)

    async def receive(self) -> Message:
        """Take a piece of the body, within the limits of size and time."""
        if self._complete:
            return await self._receive()
        self._is_waiting = True
        self.clock.reschedule(self._body_until)
        message = await self._receive()
        self.clock.reschedule(self._until)
        self._is_waiting = False
        self._bytes += len(message.get("body", b""))
        self._is_gone = message["type"] == "http.disconnect"
        self._complete = self._is_gone or not message.get("more_body", False)
        if self._bytes > self.most_bytes:
            raise ProblemError(
                413,
                f"Expected a body of at most {self.most_bytes:,} bytes, found a larger one.",
                headers={"connection": "close"},
            )
        return message

    def lateness(self) -> ProblemError:
        """Return what is told when the clock has run out."""
        if self._is_waiting:
            return ProblemError(408, "Expected the whole body sooner.", headers={"connection": "close"})
        return ProblemError(503, "The request took too long; ask for less.", headers={"retry-after": "5"})

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; to its start, add what every answer carries."""
        if self._is_gone:
            return  # FastAPI answers even so: the log must not say that anything was sent
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"]
            there = {name for name, _ in headers}
            more = [pair for pair in _HEADERS.items() if pair[0] not in there]
            message["headers"] = [*headers, *more, (b"x-request-id", self.id.encode())]
        await self._send(message)

    async def tell(self, problem: ProblemError) -> None:
        """Answer with a problem, if nothing has been answered yet."""
        if self.status != _BROKEN:
            self.error = self.error or f"cut short: {problem.status}"
            return
        response = problem_response(problem.status, problem.detail, problem.errors, problem.headers)
        await response(self.scope, self._receive, self.send)


@lru_cache(maxsize=64)
def _is_own_name(host: bytes) -> bool:
    """Tell whether a Host header names this machine only."""
    text = host.decode("latin-1")
    return is_loopback(text.rpartition("]")[0].lstrip("[") if text.startswith("[") else text.partition(":")[0])
