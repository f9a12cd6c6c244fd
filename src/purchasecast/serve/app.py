"""The application: routes, error handlers, and the middleware around them."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from purchasecast import __version__
from purchasecast.serve import api, page_routes
from purchasecast.serve.auth import Guard
from purchasecast.serve.file_readers import FileReaders
from purchasecast.serve.heavy_work import HeavyWork
from purchasecast.serve.metrics import Metrics
from purchasecast.serve.middleware import Middleware
from purchasecast.serve.model_holder import ModelHolder
from purchasecast.serve.openapi import describe_api
from purchasecast.serve.problems import SERVER_DEFECT, ProblemError
from purchasecast.serve.settings import ServeSettings
from purchasecast.serve.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from purchasecast.serve.response_models import FieldError

__all__ = ["create_app"]

_STATIC = Path(__file__).parent / "static"
_PREDICT = "/v1/predict"
_HTTP_DETAILS = {
    400: "Request: expected a well-formed one, found a malformed one.",
    404: "Address: expected one of this server, found another; see /openapi.json.",
    405: "Method: expected another one for this address; see the header Allow.",
}


def create_app(model: str | Path, settings: ServeSettings | None = None) -> Middleware:
    """Return the server of a model as an ASGI application.

    Parameters
    ----------
    model : str or Path
        The model directory, written by ``purchasecast train``.
    settings : ServeSettings, optional
        Limits and token; the defaults if not given.

    Returns
    -------
    Middleware
        An ASGI application, for ``uvicorn`` or a test client.

    Raises
    ------
    BundleError
        If the model cannot be used.

    Examples
    --------
    >>> from purchasecast.serve import create_app
    >>> app = create_app("model")  # doctest: +SKIP
    """
    settings = settings or ServeSettings()
    heavy = HeavyWork(settings.max_heavy_requests)
    readers = FileReaders(wait_seconds=settings.file_seconds)
    state = State(ModelHolder(Path(model)), settings, Guard(settings.token), Metrics(), heavy, readers)
    state.metrics.set_model(state.holder.served.id)
    app = FastAPI(title="purchasecast", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.shared = state
    app.include_router(api.router)
    app.include_router(page_routes.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.exception_handler(ProblemError)(_answer_problem)
    app.exception_handler(HTTPException)(_answer_http_error)
    app.exception_handler(RequestValidationError)(_answer_wrong_parameters)
    app.exception_handler(Exception)(_answer_defect)
    app.openapi = lambda: describe_api(app, state)  # type: ignore[method-assign]  # FastAPI documents this way
    return Middleware(_PredictShortcut(app), settings, state.guard, state.metrics)


class _PredictShortcut:
    """Answers `POST /v1/predict` itself and passes all other requests to FastAPI.

    FastAPI's layers take longer than a prediction, and this route needs none of them: it has no parameters, and the
    middleware handles its errors. FastAPI has the route as well, for the OpenAPI document.
    """

    path = _PREDICT  # what the log and the metrics name as the route

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != _PREDICT or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route"] = self._app, self
        response = await api.predict(Request(scope, receive, send))
        await response(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Reload the model on SIGHUP while the server runs; note when it is about to stop."""
    state: State = app.state.shared
    loop = asyncio.get_running_loop()
    # Signal handlers are only possible in the main thread, where tests do not always run the server.
    handles = hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread()
    if handles:
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, state.reload_quietly))
    try:
        yield
    finally:
        state.is_stopping = True
        state.readers.close()
        if handles:
            loop.remove_signal_handler(signal.SIGHUP)


async def _answer_problem(_: Request, error: ProblemError) -> Response:
    return error.response()


async def _answer_http_error(_: Request, error: HTTPException) -> Response:
    detail = _HTTP_DETAILS.get(error.status_code, "The request failed.")
    return ProblemError(error.status_code, detail, headers=error.headers).response()


async def _answer_wrong_parameters(_: Request, error: RequestValidationError) -> Response:
    errors: list[FieldError] = []
    for wrong in error.errors():
        name = str(wrong["loc"][-1])
        errors.append({"parameter": name, "field": name, "detail": str(wrong["msg"])})
    return ProblemError(422, "Parameters: expected other values; see errors.", errors).response()


async def _answer_defect(_: Request, __: Exception) -> Response:
    """Answer an unexpected error; the middleware logs it."""
    return ProblemError(500, SERVER_DEFECT).response()
