"""A codec server: lets Temporal's Web UI and CLI show and write sealed payloads, without giving them the keys.

It answers `POST /encode` and `POST /decode`, also below a namespace (`/{namespace}/decode`), with JSON of payloads as
Temporal's codec server protocol has it, and the CORS headers that a browser asks for. Who may decode may read all there
is: it listens on this machine only unless told otherwise, and then wants a token.

Pages of other sites are kept out by their origin, and by the name they call this server by: one that has its own name
point here (DNS rebinding) is of the same origin to a browser. What a request may take is bounded before it is parsed.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads
from temporalio.converter import PayloadCodec

from ...workflows.display import terminal_line, terminal_text
from ...workflows.exported import exported
from ..logging import data_logger, log_to_terminal
from ..temporal.sealing import KEYS_VARIABLE, SealingCodec, parse_keys
from ..web_names import check_web_names
from .parser import CommandParser

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler
    from aiohttp.web import Application, Request, Response, StreamResponse

_LOGGER = data_logger("agent_framework_temporal")
_LOCAL_UI = ("http://localhost:8233", "http://127.0.0.1:8233")
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@/\s]+)(:\d{1,5})?", re.IGNORECASE)
_MAX_BODY_BYTES = 16 * 1024 * 1024
"""A page of history in the Web UI, as JSON."""
_MAX_PAYLOADS = 10_000
_MARKS_PER_PAYLOAD = 40
"""Commas and brackets in the JSON of one: two, and two for each entry of its metadata. What a body becomes when it is
parsed grows with these; 6 MB of empty payloads become 2 GB."""
_BODY_TIMEOUT = timedelta(seconds=30)
_IDLE_SECONDS = 15
"""For a request's head, and between two requests of a connection."""
_MAX_REQUESTS = 32
"""That are read or wait at a time; more are told to come again."""
_AT_ONCE = 4
_TOKEN_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_CODEC_TOKEN"  # noqa: S105 - its name


@exported
def codec_app(
    codec: PayloadCodec,
    *,
    origins: Sequence[str] = _LOCAL_UI,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    max_body_bytes: int = _MAX_BODY_BYTES,
    max_payloads: int = _MAX_PAYLOADS,
    body_timeout: timedelta = _BODY_TIMEOUT,
) -> Application:
    """Return the server as an aiohttp application, to be run alone or mounted in one of yours.

    Args:
        codec: Decodes and encodes; `SealingCodec` for sealed payloads.
        origins: Origins (`https://host:port`) of the Web UIs that browsers may call it from; a request with another
            origin is refused, one without, as of the CLI, is not.
        token: What callers must send as `Authorization: Bearer ...`; None for no check. The Web UI sends its user's
            access token if it is told to; check that in a middleware of yours instead.
        allowed_hosts: Names, `name` or `name:port`, by which it may be called besides those of this machine,
            `localhost`, `127.0.0.1` and `[::1]`; the header `Host` has to be one of them. `*` is any.
        max_body_bytes: Longest body of a request. A request takes about ten times its body's size while it is answered,
            and 4 are at a time.
        max_payloads: Most payloads of a request.
        body_timeout: How long the body of a request may take to come.

    Raises:
        ImportError: Without the extra `crypto`.
        ValueError: When a limit is not positive, or a name or origin is not one.
    """
    try:
        from aiohttp import web
    except ImportError as error:
        raise ImportError("The codec server needs the extra: pip install 'agent-framework-temporal[crypto]'") from error
    check_web_names(allowed_hosts, origins)
    gate = _Gate(origins, token, allowed_hosts)
    conversion = _Conversion(codec, max_body_bytes, max_payloads, body_timeout)

    @web.middleware
    async def guarded(request: Request, handler: Handler) -> StreamResponse:
        headers = gate.headers(request)
        try:
            gate.check(request)
            is_known = not isinstance(request.match_info.http_exception, web.HTTPNotFound)
            if request.method == "OPTIONS" and is_known:
                return web.Response(status=204, headers=headers)
            gate.check_token(request)
            response = await handler(request)
        except _RefusedError as error:
            return web.Response(status=error.status, text=str(error), headers={**headers, **error.headers})
        except web.HTTPException as error:  # Another path or method, or a body that is too long.
            error.headers.update(headers)
            raise
        except Exception as error:  # The codec may be anybody's.
            _LOGGER.error("The codec failed: %s: %s", type(error).__name__, error)
            return web.Response(status=500, text="The codec failed; the server's log says how.", headers=headers)
        response.headers.update(headers)
        return response

    async def encode(request: Request) -> Response:
        return web.json_response(text=await conversion.answer(request, encoding=True))

    async def decode(request: Request) -> Response:
        return web.json_response(text=await conversion.answer(request, encoding=False))

    app = web.Application(middlewares=[guarded], client_max_size=max_body_bytes)
    for prefix in ("", "/{namespace}"):
        app.router.add_post(f"{prefix}/encode", encode)
        app.router.add_post(f"{prefix}/decode", decode)
    return app


class _RefusedError(Exception):
    """A request that gets another answer than the one it asks for."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}


class _Gate:
    """Who may call."""

    def __init__(self, origins: Sequence[str], token: str | None, allowed_hosts: Sequence[str]) -> None:
        self._origins = frozenset(origins)
        self._token = token
        self._hosts = frozenset(host.lower() for host in (*_LOCAL_HOSTS, *allowed_hosts))

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers of every answer, with those of CORS for an origin that may call."""
        headers = {"Vary": "Origin", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        origin = request.headers.get("Origin")
        if origin is not None and origin in self._origins and self._is_named(request):
            headers |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
                "Access-Control-Allow-Headers": "Content-Type, X-Namespace, Authorization",
                "Access-Control-Allow-Credentials": "true",
            }
        return headers

    def check(self, request: Request) -> None:
        """Refuse a page of another site, also one that calls this server by a name of its own.

        Raises:
            _RefusedError: Saying which flag would let it in.
        """
        if not self._is_named(request):
            raise _RefusedError(403, "This server is not called by that name; `--allowed-host NAME` adds one.")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            raise _RefusedError(403, "Pages of that origin may not; `--origin URL` adds one.")

    def check_token(self, request: Request) -> None:
        """Refuse a caller without the token.

        Raises:
            _RefusedError: Saying how it is sent.
        """
        if self._token is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # Headers and variables are any bytes, which Python's texts hold as lone surrogates.
        sent, wanted = (text.encode("utf-8", "surrogateescape") for text in (given.strip(), self._token))
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent, wanted):
            raise _RefusedError(401, "Send the token as `Authorization: Bearer ...`.")

    def _is_named(self, request: Request) -> bool:
        if "*" in self._hosts:
            return True
        named = request.headers.getall("Host", [])
        found = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        return found is not None and (found[0].lower() in self._hosts or found[1].lower() in self._hosts)


class _Conversion:
    """Encodes and decodes, with a bound on what a request takes, and on how many there are."""

    def __init__(self, codec: PayloadCodec, max_body_bytes: int, max_payloads: int, body_timeout: timedelta) -> None:
        if min(max_body_bytes, max_payloads, body_timeout.total_seconds()) <= 0:
            raise ValueError("The longest body, the most payloads and the timeout must be more than 0.")
        self._codec = codec
        self._max_payloads = max_payloads
        self._body_timeout = body_timeout.total_seconds()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._in_hand = 0

    async def answer(self, request: Request, *, encoding: bool) -> str:
        """Return the JSON of a request's payloads, encoded or decoded.

        Raises:
            _RefusedError: When there is too much of something, or the body is no JSON of payloads.
        """
        if self._in_hand >= _MAX_REQUESTS:
            raise _RefusedError(503, "Too many requests at a time.", {"Retry-After": "1"})
        self._in_hand += 1
        try:
            body = await self._read(request)
            async with self._at_once:
                return await self._converted(body, encoding=encoding)
        finally:
            self._in_hand -= 1

    async def _read(self, request: Request) -> bytes:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise _RefusedError(415, "A compressed body is not taken.")
        try:
            async with asyncio.timeout(self._body_timeout):
                return await request.read()
        except TimeoutError:
            raise _RefusedError(408, "The body took too long to come.", {"Connection": "close"}) from None
        except Exception as error:
            if getattr(error, "status", None) == 413:
                raise
            raise _RefusedError(400, "The body did not come whole.") from error

    async def _converted(self, body: bytes, *, encoding: bool) -> str:
        too_many = _RefusedError(413, f"More than {self._max_payloads:,} payloads; ask for fewer at a time.")
        if sum(map(body.count, (b"{", b"[", b","))) > _MARKS_PER_PAYLOAD * self._max_payloads:
            raise too_many
        try:
            # In a thread, as other requests are read meanwhile.
            given = await asyncio.to_thread(_parsed, body, self._max_payloads)
        except (ValueError, json_format.ParseError, RecursionError):
            raise _RefusedError(400, 'The body is not JSON of payloads: {"payloads": [...]}.') from None
        if given is None:
            raise too_many
        payloads = list(given.payloads)
        found = Payloads(payloads=await (self._codec.encode(payloads) if encoding else self._codec.decode(payloads)))
        return await asyncio.to_thread(json_format.MessageToJson, found, indent=None)


def _parsed(body: bytes, max_payloads: int) -> Payloads | None:
    """Parse a body; None when it has too many payloads.

    Raises:
        ValueError: When it is something else.
        ParseError: When a payload is none.
    """
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    payloads = found.get("payloads")
    if isinstance(payloads, list) and len(payloads) > max_payloads:
        return None
    return json_format.ParseDict(found, Payloads())


def command() -> NoReturn:
    """Run a codec server and exit; the console script `agent-framework-temporal-codec-server`."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a codec server until SIGINT or SIGTERM; returns the exit code."""
    options = _options(arguments)
    token = os.environ.get(_TOKEN_VARIABLE) or None
    try:
        text = options.keys_file.read_text() if options.keys_file else os.environ.get(KEYS_VARIABLE, "")
        codec = SealingCodec(parse_keys(text))
        if token is None and options.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"--host {options.host} lets others decode everything: set {_TOKEN_VARIABLE}.")
        host = f"[{options.host}]" if ":" in options.host else options.host
        app = codec_app(
            codec,
            origins=options.origin or _LOCAL_UI,
            token=token,
            allowed_hosts=[host, *(options.allowed_host or ())],
            max_body_bytes=options.max_body * 1024 * 1024,
            max_payloads=options.max_payloads,
        )
    except (OSError, ValueError, ImportError) as error:
        print(terminal_text(f"agent-framework-temporal-codec-server: {error}", margin="  "), file=sys.stderr)
        return 2
    from aiohttp import web

    log_to_terminal("WARNING", "%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listening = socket.create_server((options.host, options.port), family=family)
        port = listening.getsockname()[1]
        web.run_app(
            app,
            sock=listening,
            access_log=None,
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=1.0,
            print=lambda *_: print(terminal_line(f"Codec server at http://{host}:{port}"), flush=True),
        )
    except (OSError, OverflowError) as error:
        print(terminal_text(f"agent-framework-temporal-codec-server: {error}", margin="  "), file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="agent-framework-temporal-codec-server",
        description="Decode and encode sealed payloads for Temporal's Web UI and CLI (--codec-endpoint).",
        epilog=f"If {_TOKEN_VARIABLE} is set, callers must send it as `Authorization: Bearer ...`.",
    )
    add = parser.add_argument
    add(
        "--keys-file",
        type=Path,
        metavar="FILE",
        help=f"file with keys, one `id=base64` a line; defaults to [{KEYS_VARIABLE}]",
    )
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=8081, help="port to listen on (8081; 0: any free one)")
    text = f"origin of the Web UI; can be repeated ({' and '.join(_LOCAL_UI)})"
    add("--origin", action="append", metavar="URL", help=text)
    text = "host name that requests may use besides --host and local ones; can be repeated"
    add("--allowed-host", action="append", metavar="NAME[:PORT]", help=text)
    add("--max-body", type=int, default=16, metavar="MB", help="largest request body (16)")
    text = f"most payloads per request ({_MAX_PAYLOADS})"
    add("--max-payloads", type=int, default=_MAX_PAYLOADS, metavar="N", help=text)
    parser.add_completion()
    return parser.parse_args(arguments)
