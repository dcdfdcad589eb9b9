"""Who may call, and how much of a call is read: before anything of it is parsed.

Pages of other sites are kept out by their origin, and by the name they call this service by: one that has its own name
point here (DNS rebinding) is of the same origin to a browser.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import ipaddress
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from pydantic_core import from_json

from ...workflows.value_limits import clean_text, flaw
from ..logging import data_logger
from .problems import MEDIA_TYPE, ProblemError, problem_of
from .settings import ApiRequest, AppSettings, AsgiApp, Authenticate, Receive, Scope, Send

CALLER = "agent_framework_temporal.caller"
"""Key of the scope: who calls."""
COOKIE = "agent_framework_temporal"
_LOGGER = data_logger("agent_framework_temporal")
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@/\s]+)(:\d{1,5})?", re.IGNORECASE)
_OPEN = re.compile(r"/(answer/.*|session|assets/.*|threads/.*|workflows/.*|)")
"""Paths without data of a thread: the pages' frames, and what a link's own signature opens."""
_FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-real-ip", "via"})
_MAX_PATH = 8_000
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Vary": "Origin, Cookie",
}
"""Of every answer that does not say them itself."""


class Guard:
    """The outermost part of the application.

    Args:
        app: What it guards.
        settings: What it is guarded by.
    """

    def __init__(self, app: AsgiApp, settings: AppSettings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = frozenset(host.lower() for host in (*_LOCAL_HOSTS, *settings.allowed_hosts))
        self._origins = frozenset(settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _headers(scope)
        origin = headers.get("origin")
        shared = self._cors(origin) if origin is not None and origin in self._origins else {}
        out = _Answer(send, shared, headers_only=scope["method"] == "HEAD")
        try:
            self._check_name(scope)
            self._check_origin(scope, headers)
            scope = _with_quoted_path(scope)
            if scope["method"] == "OPTIONS":
                await out.empty(204)
                return
            await self._check_caller(scope, headers)
            body = await self._body(scope, headers, receive)
            if scope["method"] == "HEAD":  # What GET would answer, without its body: it ends with its headers.
                scope, receive = {**scope, "method": "GET"}, out.has_ended
            await self._app(scope, _replayed(body, receive), out)
        except Exception as error:
            if out.has_begun:
                raise
            await out.problem(problem_of(error))

    def _check_name(self, scope: Scope) -> None:
        if "*" in self._hosts:
            return
        found = _host(scope)
        if found is None or not (found[0].lower() in self._hosts or found[1].lower() in self._hosts):
            raise ProblemError(
                403,
                "unknown-host",
                "This service does not answer to that host name. Add it with `allowed_hosts` or `--allowed-host NAME`.",
            )

    def _check_origin(self, scope: Scope, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return
        # A page of ours, or a form that a mail has led to; a browser says `null` where a page tells nothing of itself.
        host = headers.get("host", "").lower()
        if origin.lower() in (f"http://{host}", f"https://{host}"):
            return
        if origin == "null" and _path(scope).startswith("/answer/"):
            return
        raise ProblemError(
            403, "unknown-origin", "Pages of that origin are not allowed. Add it with `origins` or `--origin URL`."
        )

    def _cors(self, origin: str) -> dict[str, str]:
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
            "Access-Control-Expose-Headers": "Location, Retry-After",
        }

    async def _check_caller(self, scope: Scope, headers: Mapping[str, str]) -> None:
        path = _path(scope)
        if _OPEN.fullmatch(path):
            return
        settings = self._settings
        if settings.authenticate is not None:
            client = scope.get("client")
            request = ApiRequest(
                method=scope["method"], path=path, headers=headers, client=client[0] if client is not None else None
            )
            name = await _name_of(settings.authenticate, request)
            if not name:
                raise _unauthenticated("These credentials are not valid.")
            scope[CALLER] = name
        elif settings.token is not None:
            if not (_bears(headers, settings.token) or _has_session(headers, settings.token)):
                raise _unauthenticated("Send the token as `Authorization: Bearer ...`.")
        elif not _is_local(scope):
            raise _unauthenticated(
                "Without a token only this machine has access: pass a `token` or an `authenticate` hook to `http_app`."
            )

    async def _body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bytes:
        most = self._settings.max_body_bytes
        too_long = ProblemError(413, "too-large", f"A request's body may have at most {most:,} bytes.", headers=_CLOSE)
        if headers.get("content-encoding", "identity") != "identity":
            raise ProblemError(415, "unsupported-encoding", "Compressed bodies are not accepted.", headers=_CLOSE)
        said = headers.get("content-length", "0")
        if not said.isdecimal() or int(said[:20]) > most:
            raise too_long
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_timeout.total_seconds()):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ProblemError(400, "incomplete", "The body did not arrive completely.")
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_long
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise ProblemError(408, "too-slow", "The body took too long to arrive.", headers=_CLOSE) from None
        if body and _path(scope).startswith("/api/"):
            _check_json(bytes(body), headers.get("content-type", ""))
        return bytes(body)


_CLOSE = {"Connection": "close"}


async def _name_of(authenticate: Authenticate, request: ApiRequest) -> str | None:
    """Ask the hook who calls. What it fails with, but for PermissionError, is of this service, and told nobody."""
    try:
        found = authenticate(request)
        name = await found if inspect.isawaitable(found) else found
        if name is not None and not isinstance(name, str):
            raise TypeError(f"`authenticate` returns a name or None, got a {type(name).__name__}.")
    except PermissionError as error:
        raise ProblemError(403, "not-allowed", str(error) or "You are not allowed to do this.") from error
    except Exception as error:
        _LOGGER.error("The `authenticate` hook failed; nobody is let in.", exc_info=error)
        raise ProblemError(500, "internal", "The service cannot tell who calls; its log says why.") from error
    return None if name is None else clean_text(name).strip()[:200]


def _check_json(body: bytes, kind: str) -> None:
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise ProblemError(
            415, "unsupported-type", "The body must be JSON: send it as `Content-Type: application/json`."
        )
    problem = flaw(body)
    if problem is None:
        try:
            from_json(body, allow_inf_nan=False)
        except ValueError as error:
            problem = str(error)
    if problem is not None:
        raise ProblemError(400, "unreadable", f"The body is not acceptable JSON: {clean_text(problem)}.")


def session_of(token: str) -> str:
    """Return what the cookie of a browser holds that has been given the token."""
    return hmac.new(token.encode(), b"session", hashlib.sha256).hexdigest()


def _has_session(headers: Mapping[str, str], token: str) -> bool:
    try:
        cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return False
    found = cookies.get(COOKIE)
    return found is not None and is_same(found.value, session_of(token))


def _bears(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and is_same(given.strip(), token)


def is_same(given: str, wanted: str) -> bool:
    """Compare two secrets, in a time that tells nothing of them."""
    sent, known = (text.encode("utf-8", "surrogateescape") for text in (given, wanted))
    return hmac.compare_digest(sent, known)


def _unauthenticated(detail: str) -> ProblemError:
    return ProblemError(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})


def _is_local(scope: Scope) -> bool:
    """Tell whether a peer on this machine calls by a name of this machine."""
    client, found = scope.get("client"), _host(scope)
    if client is None or found is None or found[1].lower() not in _LOCAL_HOSTS:
        return False
    if _headers(scope).keys() & _FORWARDED:  # Of a proxy here, for somebody elsewhere.
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _host(scope: Scope) -> re.Match[str] | None:
    named = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
    return _HOST.fullmatch(named[0]) if len(named) == 1 else None


def _headers(scope: Scope) -> dict[str, str]:
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def _with_quoted_path(scope: Scope) -> Scope:
    """Return a scope whose path has each part quoted: an id may have slashes in it.

    Raises:
        ProblemError: When it is too long, or no text.
    """
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    if len(raw) > _MAX_PATH:
        raise ProblemError(414, "too-large", "The URL is too long.")
    if b"%00" in scope.get("query_string", b""):  # No server can look for it.
        raise ProblemError(400, "unreadable", "The URL is not text.")
    try:
        parts = [unquote_to_bytes(part).decode() for part in raw.partition(b"?")[0].split(b"/")]
    except UnicodeDecodeError as error:
        raise ProblemError(400, "unreadable", "The URL is not valid text.") from error
    root = quote(unquote(scope.get("root_path", "")))
    return {**scope, "path": "/".join(quote(part, safe="") for part in parts), "root_path": root}


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


class _Answer:
    """Sends what the application answers, with the headers of every answer."""

    def __init__(self, send: Send, more: Mapping[str, str], *, headers_only: bool) -> None:
        self._send = send
        self._more = more
        self._headers_only = headers_only
        self._ended = asyncio.Event()
        self.has_begun = False

    async def has_ended(self) -> MutableMapping[str, Any]:
        """Wait until all was sent that there will be, and say so to the application as ASGI does."""
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            said = {name.lower() for name, _ in message.get("headers", ())}
            ours = {**HEADERS, **self._more}
            added = [(name.lower().encode(), text.encode("latin-1")) for name, text in ours.items()]
            headers = [*message.get("headers", ()), *(pair for pair in added if pair[0] not in said)]
            message = {**message, "headers": headers}
        elif self._headers_only:
            return
        await self._send(message)
        if self._headers_only:
            await self._send({"type": "http.response.body", "body": b""})
            self._ended.set()

    async def empty(self, status: int) -> None:
        await self._whole(status, [], b"")

    async def problem(self, error: ProblemError) -> None:
        headers: Sequence[tuple[bytes, bytes]] = [
            (b"content-type", MEDIA_TYPE.encode()),
            *((name.lower().encode(), text.encode()) for name, text in error.headers.items()),
        ]
        await self._whole(error.problem.status, headers, error.problem.model_dump_json(exclude_none=True).encode())

    async def _whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await self({"type": "http.response.body", "body": body})
