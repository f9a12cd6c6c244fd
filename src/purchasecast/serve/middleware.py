"""The outermost layer, which every request and every answer passes.

It gives ids to requests, checks access, limits size, time and number, adds security headers, writes one log line a
request and counts it. It is plain ASGI: one more layer of Starlette's own would cost a third of the time of a row.
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
from purchasecast.serve.problems import SERVER_DEFECT, ProblemError
from purchasecast.serve.settings import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from purchasecast.serve.auth import Guard
    from purchasecast.serve.metrics import Metrics
    from purchasecast.serve.settings import ServeSettings

__all__ = ["Middleware"]

logger = logging.getLogger(__name__)

_FILE_ROUTE = "/v1/predict/file"
_FILE_BODY_FACTOR = 6  # how much longer a file may take to arrive than other bodies
_ALWAYS = ("/healthz", "/metrics")  # answered under any load, or an orchestrator restarts a server that is only busy
_OPEN = ("/healthz", "/readyz", "/login", "/static/")  # need no token
_PROCESS, _numbers = secrets.token_hex(8), count(1)  # a request id is made of both
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
_NO_ANSWER = 499  # for the log only: the client has hung up, or an answer has not begun


class Middleware:
    """Wraps an application in all of that."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, guard: Guard, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._guard = guard
        self._metrics = metrics
        self._active: set[_Exchange] = set()
        self._stops_at: float | None = None

    def stop(self, seconds: float) -> None:
        """Answer what is under way after so many seconds, because the server is about to stop; the rest finishes."""
        self._stops_at = asyncio.get_running_loop().time() + seconds
        for exchange in self._active:
            exchange.stop_at(self._stops_at)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._settings)
        self._active.add(exchange)
        try:
            self._check(exchange)
            if self._stops_at is not None:
                exchange.stop_at(self._stops_at)
            async with exchange.clock:
                await self._app(scope, exchange.receive, exchange.send)
        except ProblemError as problem:
            await exchange.send_problem(problem)
        except TimeoutError:
            await exchange.send_problem(exchange.timeout())
        except ClientDisconnect:
            pass  # nobody waits for an answer
        except Exception as error:  # noqa: BLE001  nothing of it may reach the client
            exchange.error = f"{type(error).__name__} at {place_of(error.__traceback__)}"
            await exchange.send_problem(ProblemError(500, SERVER_DEFECT))
        finally:
            self._active.discard(exchange)
            exchange.seconds = time.perf_counter() - exchange.started
            # The event loop sends the answer before it comes to this, so no client waits for a log line.
            asyncio.get_running_loop().call_soon(self._record, exchange)

    def _check(self, exchange: _Exchange) -> None:
        """Raise a problem if the request may not pass."""
        headers, path = exchange.headers, exchange.path
        if self._guard.is_open and not _is_own_name(headers.get(b"host", b"")):
            # Against DNS rebinding: a foreign page can make its own name point to this machine.
            raise ProblemError(
                421, "Host: expected this machine's own name, found another; set a token to serve others."
            )
        if exchange.method not in {"GET", "HEAD"} and headers.get(b"sec-fetch-site") == b"cross-site":
            raise ProblemError(403, "Request: expected one from this site, found one from another.")
        needs_token = not (self._guard.is_open or path == "/" or path.startswith(_OPEN))  # "/" shows the sign-in page
        if needs_token and not self._guard.admits(Headers(scope=exchange.scope)):
            detail = "Authorization: expected `Bearer TOKEN`, found no valid token; send it."
            raise ProblemError(401, detail, headers={"www-authenticate": "Bearer"})
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced[:18]) > exchange.max_bytes:
            raise exchange.too_large()
        if len(self._active) > self._settings.max_requests and path not in _ALWAYS:
            raise ProblemError(503, "The server is busy; try again in a moment.", headers={"retry-after": "1"})

    def _record(self, exchange: _Exchange) -> None:
        """Count and log a request that has been answered."""
        # The route's template, because the address itself may name a customer.
        route = getattr(exchange.scope.get("route"), "path", "other")
        self._metrics.count_request(exchange.method, route, exchange.status, exchange.seconds)
        level = logging.ERROR if exchange.error else logging.INFO
        if not logger.isEnabledFor(level):
            return
        fields: dict[str, Any] = {
            "request_id": exchange.id,
            "method": exchange.method,
            "route": route,
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
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # of repeated headers the first counts
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.started = time.perf_counter()
        self.seconds = 0.0
        wished = self.headers.get(b"x-request-id", b"").decode("latin-1")
        self.id = wished if _REQUEST_ID.fullmatch(wished) else f"{_PROCESS}{next(_numbers):016x}"
        self.status = _NO_ANSWER
        self.error: str | None = None
        is_file = self.path == _FILE_ROUTE
        self.max_bytes = settings.max_file_bytes if is_file else settings.max_body_bytes
        self._receive, self._send = receive, send
        self._bytes = 0
        has_body = b"transfer-encoding" in self.headers or self.headers.get(b"content-length", b"0") != b"0"
        self._is_complete = not has_body
        self._is_waiting = self._is_gone = False
        now = asyncio.get_running_loop().time()
        self._end = now + (settings.file_seconds if is_file else settings.request_seconds)
        self._body_end = min(now + settings.body_seconds * (_FILE_BODY_FACTOR if is_file else 1), self._end)
        self._stops = False
        self.clock = asyncio.timeout_at(self._end)

    def stop_at(self, end: float) -> None:
        """End the request at this time of the event loop at the latest."""
        self._stops = True
        self._end, self._body_end = min(self._end, end), min(self._body_end, end)
        when = self.clock.when()
        if when is not None and when > end:
            self.clock.reschedule(end)

    async def receive(self) -> Message:
        """Receive a piece of the body, within the limits of size and time."""
        if self._is_complete:
            return await self._receive()
        self._is_waiting = True
        self.clock.reschedule(self._body_end)
        message = await self._receive()
        self.clock.reschedule(self._end)
        self._is_waiting = False
        self._bytes += len(message.get("body", b""))
        self._is_gone = message["type"] == "http.disconnect"
        self._is_complete = self._is_gone or not message.get("more_body", False)
        if self._bytes > self.max_bytes:
            raise self.too_large()
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; its first piece gets the headers that all answers have."""
        if self._is_gone:
            return  # FastAPI answers even now; the log must not say that the client got anything
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"]
            present = {name for name, _ in headers}
            added = [pair for pair in _HEADERS.items() if pair[0] not in present]
            message["headers"] = [*headers, *added, (b"x-request-id", self.id.encode())]
        await self._send(message)

    async def send_problem(self, problem: ProblemError) -> None:
        """Answer with a problem, unless an answer has begun."""
        if self.status != _NO_ANSWER:
            self.error = self.error or f"answer cut short: {problem.status}"
            return
        await problem.response()(self.scope, self._receive, self.send)

    def timeout(self) -> ProblemError:
        """Return the problem of a request that has run out of time."""
        if self._stops:
            detail = "The server is about to stop; ask another one, or again."
            return ProblemError(503, detail, headers={"retry-after": "5", "connection": "close"})
        if self._is_waiting:
            detail = "Body: expected all of it in time, found only a part; send it faster."
            return ProblemError(408, detail, headers={"connection": "close"})
        return ProblemError(503, "The request took too long; ask for less.", headers={"retry-after": "5"})

    def too_large(self) -> ProblemError:
        """Return the problem of a body that is too large."""
        detail = f"Body: expected at most {self.max_bytes:,} bytes, found more; send less."
        return ProblemError(413, detail, headers={"connection": "close"})


@lru_cache(maxsize=64)
def _is_own_name(host: bytes) -> bool:
    """Tell whether a Host header names this machine only."""
    text = host.decode("latin-1")
    return is_loopback(text.rpartition("]")[0].lstrip("[") if text.startswith("[") else text.partition(":")[0])
