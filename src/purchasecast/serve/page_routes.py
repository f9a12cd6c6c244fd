"""The page: rendered here, made lively by a little JavaScript, usable without it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from purchasecast.serve.auth import COOKIE, SESSION_SECONDS
from purchasecast.serve.forms import FormReading, form_fields, read_form
from purchasecast.serve.page_views import Money, examples, model_facts, result_view
from purchasecast.serve.problems import ProblemError
from purchasecast.serve.state import state_of

if TYPE_CHECKING:
    from purchasecast.serve.model_holder import Served
    from purchasecast.serve.state import State

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; sandbox allow-scripts allow-popups"
)


@router.get("/")
async def index(request: Request) -> Response:
    """Show the page; with a query, also the result that it asks for."""
    state = state_of(request)
    if not state.guard.admits(request.headers):
        return _TEMPLATES.TemplateResponse(request, "login.html", {"failed": False})
    served = state.holder.served
    reading = read_form(request.query_params, served.scorer) if request.query_params else FormReading()
    result = await _result(served, reading, state) if request.query_params else None
    context = {
        **_common(served, state),
        "fields": form_fields(served.scorer, reading),
        "reading": reading,
        "result": result,
        "examples": examples(served.scorer),
        "columns": served.scorer.columns,
    }
    return _TEMPLATES.TemplateResponse(request, "index.html", context, status_code=422 if reading.errors else 200)


@router.get("/ui/result")
async def result(request: Request) -> Response:
    """Return the part of the page that shows a prediction, or what is wrong with the form."""
    state = state_of(request)
    served = state.holder.served
    reading = read_form(request.query_params, served.scorer)
    context = {**_common(served, state), "reading": reading, "result": await _result(served, reading, state)}
    return _TEMPLATES.TemplateResponse(request, "result.html", context, status_code=422 if reading.errors else 200)


@router.get("/report")
async def report(request: Request) -> Response:
    """Show the report that lies in the bundle; it runs in a sandbox, as it brings scripts of its own."""
    found = state_of(request).holder.served.report
    if found is None:
        raise ProblemError(404, "This model has no report; make one with `purchasecast report`.")
    return Response(found, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY})


@router.post("/login")
async def login(request: Request) -> Response:
    """Exchange the token for a cookie."""
    state = state_of(request)
    form = await request.form(max_files=0, max_fields=1)
    token = form.get("token")
    if not isinstance(token, str) or not state.guard.knows(token.strip()):
        return _TEMPLATES.TemplateResponse(request, "login.html", {"failed": True}, status_code=401)
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE,
        state.guard.session(),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def logout() -> Response:
    """Forget the cookie."""
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE)
    return response


def _common(served: Served, state: State) -> dict[str, Any]:
    return {
        "facts": model_facts(served),
        "money": Money(served.scorer.schema.money),
        "schema": served.scorer.schema,
        "has_report": served.report is not None,
        "has_login": not state.guard.is_open,
        "most_bytes": state.settings.max_file_bytes,
    }


async def _result(served: Served, reading: FormReading, state: State) -> dict[str, Any] | None:
    if reading.errors:
        return None
    return await state.heavy.run(partial(result_view, served.scorer, reading))
