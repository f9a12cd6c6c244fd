"""The application: routes, errors, and the gate around them."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from purchasecast import __version__
from purchasecast.serve import api, page_routes
from purchasecast.serve.auth import Guard
from purchasecast.serve.heavy_work import HeavyWork
from purchasecast.serve.metrics import Measures
from purchasecast.serve.middleware import Gate
from purchasecast.serve.model_holder import ModelHolder
from purchasecast.serve.openapi import describe_api
from purchasecast.serve.problems import ProblemError, problem_response
from purchasecast.serve.settings import ServeSettings
from purchasecast.serve.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

__all__ = ["create_app"]

_STATIC = Path(__file__).parent / "static"


def create_app(model: str | Path, settings: ServeSettings | None = None) -> Gate:
    """Return the server of a model as an ASGI application.

    Parameters
    ----------
    model : str or Path
        The bundle.
    settings : ServeSettings, optional
        Limits and token; the defaults where not given.

    Returns
    -------
    Gate
        An ASGI application.

    Raises
    ------
    BundleError
        If the bundle cannot be used.
    """
    settings = settings or ServeSettings()
    heavy = HeavyWork(settings.max_heavy_requests)
    state = State(ModelHolder(Path(model)), settings, Guard(settings.token), Measures(), heavy)
    state.measures.model(state.holder.served.id)
    app = FastAPI(title="purchasecast", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.shared = state
    app.include_router(api.router)
    app.include_router(page_routes.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_exception_handler(ProblemError, _tell)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(Exception, _tell_mistake)
    app.openapi = lambda: describe_api(app, state)  # type: ignore[method-assign]  # FastAPI's own way to change it
    return Gate(_Shortcut(app, "/v1/predict", api.predict), settings, state.guard, state.measures)


class _Shortcut:
    """Answers the `POST`s of one address itself, and hands all else to FastAPI.

    FastAPI's layers take longer than the prediction, and this address needs none of them: it has no parameters, and
    the gate takes its errors. FastAPI has the route, too, and describes it.
    """

    def __init__(self, app: FastAPI, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self.app, self.path, self._endpoint = app, path, endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        scope["app"], scope["route"] = self.app, self  # its path is what the log and the metrics name
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Reload on SIGHUP while the server runs; say that it stops when it does."""
    state: State = app.state.shared
    loop, tasks = asyncio.get_running_loop(), set()

    def reload() -> None:
        task = loop.run_in_executor(None, state.reload_quietly)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    handles = hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread()
    if handles:
        loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        state.is_stopping = True
        if handles:
            loop.remove_signal_handler(signal.SIGHUP)


async def _tell(request: Request, error: Exception) -> Response:  # noqa: ARG001  the form of a handler
    if not isinstance(error, ProblemError):
        raise error
    return problem_response(error.status, error.detail, error.errors, error.headers)


async def _tell_mistake(request: Request, error: Exception) -> Response:  # noqa: ARG001  the form of a handler
    """Answer for what no other handler takes; the gate logs it."""
    return problem_response(500, "The server made a mistake; its log has the request's id.")


async def _tell_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    details = {
        400: "Expected a well-formed request, found a malformed one.",
        404: "There is nothing at this address.",
        405: f"Expected another method than {request.method}.",
    }
    headers = dict(error.headers or {})
    return problem_response(error.status_code, details.get(error.status_code, "The request failed."), (), headers)


async def _tell_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001  the form of a handler
    if not isinstance(error, RequestValidationError):
        raise error
    errors: list[dict[str, Any]] = []
    for found in error.errors():
        name = str(found["loc"][-1])
        errors.append({"parameter": name, "field": name, "detail": str(found["msg"])})
    return problem_response(422, "Expected other values of the parameters.", errors)
