"""The pages that are made here: the place of the console's, the form of a respond link, and the one for the token."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ...workflows.display import json_text
from ...workflows.messages import PendingRequest
from .forms import Field, fields_of, html_of, value_of
from .guard import COOKIE, is_same, session_of
from .links import RespondClaim, read_link
from .problems import ProblemError, problem_of
from .requests import answer, pending_request
from .service import Service

_ASSETS = Path(__file__).with_name("assets")
_MAX_SHOWN = 20_000
_MAX_FIELDS = 400
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_CONSOLE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Of the console: what comes from its own address, and nothing that gets in later."""


def page_routes(service: Service) -> APIRouter:
    """Return the routes.

    Args:
        service: What they share.
    """
    router = APIRouter(include_in_schema=False)
    _add_console(router, service)
    _add_answer(router, service)
    return router


def _add_console(router: APIRouter, service: Service) -> None:
    # Each thing has an address of its own, which stays: a thread, a superstep of it, a checkpoint, a request.
    async def console(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        frame = _assets()["index.html"].decode().replace("{root}", escape(root))
        return HTMLResponse(frame, headers=_policy(_CONSOLE_POLICY))

    for path in ("/", "/threads/{rest:path}", "/workflows/{rest:path}"):
        router.add_api_route(path, console, methods=["GET"], response_class=HTMLResponse)

    @router.get("/assets/{name:part}")
    async def asset(name: str, request: Request) -> Response:
        found = _assets().get(name)
        if found is None:
            raise ProblemError(404, "not-found", f"There is no file {name[:100]!r}.")
        kind = _KINDS[Path(name).suffix]
        tag = f'"{hashlib.sha256(found).hexdigest()[:32]}"'
        headers = {"Cache-Control": "no-cache", "ETag": tag, **_policy(_CONSOLE_POLICY)}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(found, media_type=kind, headers=headers)

    @router.post("/session")
    async def sign_in(request: Request) -> Response:
        token = service.settings.token
        sent = await _sent(request)
        if token is None or not is_same(sent.get("token", ""), token):
            raise ProblemError(401, "unauthenticated", "This token is not valid.")
        root = request.scope.get("root_path", "")
        response = RedirectResponse(f"{root}/", status_code=303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, session_of(token), httponly=True, samesite="strict", secure=secure, path=f"{root}/")
        return response


def _add_answer(router: APIRouter, service: Service) -> None:
    @router.get("/answer/{token:part}")
    async def form(token: str, request: Request) -> HTMLResponse:
        page = _Pages(request)
        try:
            waiting, _ = await _waiting(service, token)
        except Exception as error:
            return page.refused(error)
        return page.form(waiting, {}, None)

    @router.post("/answer/{token:part}")
    async def answered(token: str, request: Request) -> HTMLResponse:
        page = _Pages(request)
        try:
            waiting, claim = await _waiting(service, token)
            sent = await _sent(request)
        except Exception as error:
            return page.refused(error)
        try:
            response = value_of(_fields(waiting), sent)
        except ValueError as error:
            return page.form(waiting, sent, str(error))
        try:
            calls = await service.of_thread(claim.thread_id, writes=True)
            await answer(calls, claim.request_id, response, claim.responder or "respond link", once=True)
        except ProblemError as error:
            if error.problem.verdict is None:
                return page.refused(error)
            service.reads.changed()
            try:
                await _waiting(service, token)  # Else it takes no answer any more: another was first.
            except Exception as over:
                return page.refused(over)
            return page.form(waiting, sent, "; ".join(error.problem.errors or [error.problem.detail]))
        except Exception as error:
            return page.refused(error)
        return page.made("Thank you", "<h1>Thank you</h1><p>Your answer was sent. This link cannot be used again.</p>")


class _Pages:
    """The pages of a link, for whoever asks for one.

    Args:
        request: What asks.
    """

    def __init__(self, request: Request) -> None:
        self._root = request.scope.get("root_path", "")

    def form(self, request: PendingRequest, given: dict[str, str], wrong: str | None) -> HTMLResponse:
        """Return the form, with what was given before and what is wrong with it."""
        asked = _shown(request.request)
        controls = "".join(html_of(field, given.get(field.name)) for field in _fields(request))
        refused = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong is not None else ""
        body = (
            f"<h1>{escape(request.executor_id)} asks</h1><pre>{escape(asked)}</pre>{refused}"
            f'<form method="post">{controls}<button>Answer</button></form>'
        )
        return self.made("A request for you", body, status=422 if wrong is not None else 200)

    def refused(self, error: Exception) -> HTMLResponse:
        """Return what says why there is no form."""
        problem = problem_of(error).problem
        if problem.status == 404:
            text = "It is no longer waiting for an answer: it was answered or cancelled, or its thread has ended."
            return self.made("Nothing to answer", f"<h1>Nothing to answer</h1><p>{text}</p>", status=410)
        title = escape(problem.title)
        return self.made(problem.title, f"<h1>{title}</h1><p>{escape(problem.detail)}</p>", status=problem.status)

    def made(self, title: str, body: str, *, status: int = 200) -> HTMLResponse:
        """Return a page."""
        return _page(self._root, title, body, status=status)


async def _waiting(service: Service, token: str) -> tuple[PendingRequest, RespondClaim]:
    key = service.settings.link_key
    if key is None:
        raise ProblemError(404, "no-links", "This service does not create respond links.")
    claim = read_link(key, token, service.client.namespace)
    request = await pending_request(await service.of_thread(claim.thread_id), claim.request_id)
    if claim.asked_at is not None and request.asked_at != claim.asked_at:
        raise ProblemError(
            410, "link-over", "The request of this link was answered, and a new one has taken its place."
        )
    return request, claim


async def _sent(request: Request) -> dict[str, str]:
    """Return the fields of a form; its length is bounded already."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ProblemError(415, "unsupported-type", "This accepts only form data.")
    try:
        found = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise ProblemError(400, "unreadable", "This is not valid form data.") from error
    return {name: values[-1] for name, values in found.items()}


def _fields(request: PendingRequest) -> list[Field]:
    return fields_of(request.response_schema or {})


def _shown(data: Any) -> str:
    if isinstance(data, dict):
        lines = (f"{key}: {value if isinstance(value, str) else json_text(value)}" for key, value in data.items())
        text = "\n".join(lines)
    else:
        text = data if isinstance(data, str) else json_text(data, indent=2)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} ..."


@cache
def _assets() -> Mapping[str, bytes]:
    """Return the console's files by name, of the kinds that it has."""
    return {path.name: path.read_bytes() for path in _ASSETS.iterdir() if path.suffix in _KINDS}


def _policy(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy}


def _page(root: str, title: str, body: str, *, status: int = 200) -> HTMLResponse:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="{escape(root)}/assets/style.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )
    return HTMLResponse(html, status_code=status, headers=_policy(_POLICY))
