"""The web page: rendered on the server, made smoother by a little JavaScript, and usable without it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from purchasecast.serve.auth import COOKIE, SESSION_SECONDS
from purchasecast.serve.campaign import CampaignSettings, campaign_view
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
_render = _TEMPLATES.TemplateResponse
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; sandbox allow-scripts allow-popups"
)


@router.get("/")
async def index(request: Request) -> Response:
    """Show the page; with a query, also the result that it asks for."""
    state = state_of(request)
    if not state.guard.admits(request.headers):
        return _render(request, "login.html", {"failed": False})
    served = state.holder.served
    is_asked = bool(request.query_params)
    reading = read_form(request.query_params, served.scorer) if is_asked else FormReading()
    context = {
        **await _context(state, served, reading, is_asked=is_asked),
        "fields": form_fields(served.scorer, reading),
        "examples": examples(served.scorer),
        "columns": served.scorer.columns,
    }
    return _render(request, "index.html", context, status_code=422 if reading.errors else 200)


@router.get("/ui/result")
async def result(request: Request) -> Response:
    """Return the part of the page that shows a prediction, or what is wrong with the form."""
    state = state_of(request)
    served = state.holder.served
    reading = read_form(request.query_params, served.scorer)
    context = await _context(state, served, reading, is_asked=True)
    return _render(request, "result.html", context, status_code=422 if reading.errors else 200)


@router.get("/campaign")
async def campaign(request: Request) -> Response:
    """Show the page of a campaign, with sliders for the budget and the margin."""
    return await _campaign(request, "campaign.html")


@router.get("/ui/campaign")
async def plan(request: Request) -> Response:
    """Return the part of the page of a campaign that shows the plan."""
    return await _campaign(request, "plan.html")


async def _campaign(request: Request, template: str) -> Response:
    state = state_of(request)
    if not state.guard.admits(request.headers):
        return _render(request, "login.html", {"failed": False})
    served = state.holder.served
    if served.campaign is None:
        raise ProblemError(404, "Campaign: expected a model that was trained with offers, found one without.")
    settings = CampaignSettings.of_query(request.query_params)
    context = {
        "facts": model_facts(served),
        "money": Money(served.scorer.schema.money),
        "plan": await state.heavy.run(partial(campaign_view, served.campaign, settings)),
    }
    return _render(request, template, context)


@router.get("/report")
async def report(request: Request) -> Response:
    """Show the report of the bundle, in a sandbox because it brings scripts of its own."""
    content = state_of(request).holder.served.report
    if content is None:
        raise ProblemError(404, "Report: expected one in the model, found none; make it with `purchasecast report`.")
    return Response(content, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY})


@router.post("/login")
async def login(request: Request) -> Response:
    """Exchange the token for a session cookie."""
    state = state_of(request)
    form = await request.form(max_files=0, max_fields=1)  # nobody has signed in yet: take as little as possible
    token = form.get("token")
    if not isinstance(token, str) or not state.guard.knows(token.strip()):
        return _render(request, "login.html", {"failed": True}, status_code=401)
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE,
        state.guard.session(),
        max_age=SESSION_SECONDS,
        httponly=True,  # no script can read it
        samesite="strict",  # no other site can make a browser send it
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def logout() -> Response:
    """Delete the session cookie."""
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE)
    return response


async def _context(state: State, served: Served, reading: FormReading, *, is_asked: bool) -> dict[str, Any]:
    """Return what both templates use; the result is computed if the form asks for one and has no errors."""
    has_result = is_asked and not reading.errors
    return {
        "facts": model_facts(served),
        "money": Money(served.scorer.schema.money),
        "has_report": served.report is not None,
        "has_campaign": served.campaign is not None,
        "has_login": not state.guard.is_open,
        "max_bytes": state.settings.max_file_bytes,
        "reading": reading,
        "result": await state.heavy.run(partial(result_view, served.scorer, reading, served.offers))
        if has_result
        else None,
    }
