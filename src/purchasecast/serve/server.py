"""Run the application: one process, one socket, a clean stop."""

from __future__ import annotations

import gc
import signal
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from purchasecast.errors import SettingsError
from purchasecast.serve.app import create_app

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from purchasecast.serve.settings import ServeSettings

__all__ = ["run_server"]

_MOST_HEADER_BYTES = 65_536
_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _HurryingProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers do not arrive in time: uvicorn itself would wait for ever."""

    header_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        waiting = self._deadline is not None
        if waiting:
            self._header_bytes += len(data)
        super().data_received(data)
        if waiting and self._deadline is not None and self._header_bytes > _MOST_HEADER_BYTES:
            self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._header_bytes = 0
        self._deadline = self.loop.call_later(self.header_seconds, self._give_up)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._forget()
        if not self.transport.is_closing():
            self.transport.write(_LATE)
            self.transport.close()


def run_server(model: Path, settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Serve a model until a signal says stop; requests under way are finished first.

    Parameters
    ----------
    model : Path
        The bundle.
    settings : ServeSettings
        Address, limits and token.
    announce : callable
        Is told the server's address once it can be reached.

    Raises
    ------
    SettingsError
        If the address cannot be listened on.
    BundleError
        If the bundle cannot be used.
    """
    app = create_app(model, settings)
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
        http=type("Protocol", (_HurryingProtocol,), {"header_seconds": settings.header_seconds}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=30,
    )
    host = f"[{settings.host}]" if family == socket.AF_INET6 else settings.host
    announce(f"http://{host}:{listener.getsockname()[1]}/")
    # uvicorn stops cleanly and then raises the signal again, which would make a clean stop look like a crash.
    signal.signal(signal.SIGTERM, lambda *_: None)
    # The model stays: without this, every full collection would go through it and hold requests up.
    gc.collect()
    gc.freeze()
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
