"""Run the application in one process on one socket, until a signal says stop."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from purchasecast.errors import SettingsError
from purchasecast.serve.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from purchasecast.serve.middleware import Middleware
    from purchasecast.serve.settings import ServeSettings

__all__ = ["run_server"]

_MAX_HEADER_BYTES = 65_536
_ANSWER_SECONDS = 3  # for the answers to requests that could not be finished
_IDLE_SECONDS = 30  # for connections without a request
_TIMEOUT_ANSWER = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _DeadlineProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers do not arrive in time; uvicorn itself waits for ever."""

    header_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        was_waiting = self._deadline is not None
        if was_waiting:
            self._header_bytes += len(data)
        super().data_received(data)
        if was_waiting and self._deadline is not None and self._header_bytes > _MAX_HEADER_BYTES:
            self._close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:  # a later request on the same connection
            self._start_deadline()

    def on_headers_complete(self) -> None:
        self._cancel_deadline()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        self._header_bytes = 0
        self._deadline = self.loop.call_later(self.header_seconds, self._close)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._cancel_deadline()
        if not self.transport.is_closing():
            self.transport.write(_TIMEOUT_ANSWER)
            self.transport.close()


class _Server(uvicorn.Server):
    """Tells the application that it is asked to stop; uvicorn itself cuts what is not finished in time."""

    def __init__(self, config: uvicorn.Config, app: Middleware, grace: float) -> None:
        super().__init__(config)
        self._app, self._grace = app, grace

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer all requests before the time is up that uvicorn waits for them."""
        asyncio.get_running_loop().call_soon_threadsafe(self._app.stop, self._grace - _ANSWER_SECONDS)
        super().handle_exit(sig, frame)


def run_server(model: Path, settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Serve a model until SIGTERM or SIGINT; requests in progress are finished first.

    Parameters
    ----------
    model : Path
        The model directory, written by ``purchasecast train``.
    settings : ServeSettings
        Address, limits and token.
    announce : callable
        Called with the server's address once it accepts connections.

    Raises
    ------
    SettingsError
        If the server cannot listen on the address.
    BundleError
        If the model cannot be used.
    """
    app = create_app(model, settings)  # before the socket: nobody should reach a server without a model
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2_048)
    except OSError as error:
        raise SettingsError(
            f"host and port: expected a free address, found {settings.host}:{settings.port} "
            f"({error.strerror}); choose another."
        ) from error
    config = uvicorn.Config(
        app,
        http=type("Protocol", (_DeadlineProtocol,), {"header_seconds": settings.header_seconds}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.stop_seconds),
    )
    host = f"[{settings.host}]" if family == socket.AF_INET6 else settings.host
    announce(f"http://{host}:{listener.getsockname()[1]}/")
    # uvicorn stops cleanly and then raises the signal again, which would make a clean stop look like a crash.
    signal.signal(signal.SIGTERM, lambda *_: None)
    # Full garbage collections would go through the whole model again and again and hold requests up.
    gc.collect()
    gc.freeze()
    with listener:
        _Server(config, app, settings.stop_seconds).run(sockets=[listener])
