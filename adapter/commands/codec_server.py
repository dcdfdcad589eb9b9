"""A codec server: lets Temporal's Web UI and CLI show and write sealed payloads, without giving them the keys.

It answers `POST /encode` and `POST /decode`, also below a namespace (`/{namespace}/decode`), with JSON of payloads as
Temporal's codec server protocol has it, and the CORS headers that a browser asks for. Who may decode may read all there
is: it listens on this machine only unless told otherwise, and then wants a token.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads
from temporalio.converter import PayloadCodec

from ...workflows.exported import exported
from ..temporal.sealing import KEYS_VARIABLE, SealingCodec, parse_keys
from .process_exit import exit_process

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler
    from aiohttp.web import Application, Request, Response, StreamResponse

_LOCAL_UI = ("http://localhost:8233", "http://127.0.0.1:8233")
_MAX_BODY = 64 * 1024 * 1024
"""A page of history in the Web UI, as JSON."""
_TOKEN_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_CODEC_TOKEN"  # noqa: S105 - its name


@exported
def codec_app(codec: PayloadCodec, *, origins: Sequence[str] = _LOCAL_UI, token: str | None = None) -> Application:
    """Return the server as an aiohttp application, to be run alone or mounted in one of yours.

    Args:
        codec: Decodes and encodes; `SealingCodec` for sealed payloads.
        origins: Origins (`https://host:port`) of the Web UIs that browsers may call it from.
        token: What callers must send as `Authorization: Bearer ...`; None for no check. The Web UI sends its user's
            access token if it is told to; check that in a middleware of yours instead.

    Raises:
        ImportError: Without the extra `crypto`.
    """
    try:
        from aiohttp import web
    except ImportError as error:
        raise ImportError("The codec server needs the extra: pip install 'agent-framework-temporal[crypto]'") from error

    @web.middleware
    async def guarded(request: Request, handler: Handler) -> StreamResponse:
        headers = _cors(request.headers.get("Origin"), origins)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=headers)
        if token is not None and not _is_authorized(request, token):
            return web.Response(status=401, text="Send the token as `Authorization: Bearer ...`.", headers=headers)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        response.headers.update(headers)
        return response

    async def encode(request: Request) -> Response:
        return await answer(request, encoding=True)

    async def decode(request: Request) -> Response:
        return await answer(request, encoding=False)

    async def answer(request: Request, *, encoding: bool) -> Response:
        try:
            body = json.loads(await request.read())
            if not isinstance(body, dict):
                raise ValueError("not an object")
            payloads = json_format.ParseDict(body, Payloads())
        except (ValueError, json_format.ParseError, RecursionError):
            return web.Response(status=400, text='The body is no JSON of payloads: {"payloads": [...]}.')
        given = list(payloads.payloads)
        found = Payloads(payloads=await (codec.encode(given) if encoding else codec.decode(given)))
        return web.json_response(text=json_format.MessageToJson(found, indent=None))

    app = web.Application(middlewares=[guarded], client_max_size=_MAX_BODY)
    for prefix in ("", "/{namespace}"):
        app.router.add_post(f"{prefix}/encode", encode)
        app.router.add_post(f"{prefix}/decode", decode)
    return app


def _cors(origin: str | None, origins: Sequence[str]) -> dict[str, str]:
    headers = {"Vary": "Origin", "Cache-Control": "no-store"}
    if origin is not None and origin in origins:
        headers |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
            "Access-Control-Allow-Headers": "Content-Type, X-Namespace, Authorization",
            "Access-Control-Allow-Credentials": "true",
        }
    return headers


def _is_authorized(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def command() -> NoReturn:
    """Run a codec server and exit; the console script `agent-framework-temporal-codec-server`."""
    exit_process(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a codec server until SIGINT or SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="agent-framework-temporal-codec-server",
        description="Decode and encode sealed payloads for Temporal's Web UI and CLI (--codec-endpoint).",
        epilog=f"Callers must send what {_TOKEN_VARIABLE} holds as `Authorization: Bearer ...`, if it is set.",
    )
    add = parser.add_argument
    add("--keys-file", type=Path, metavar="FILE", help=f"keys, `id=base64` on lines; else [{KEYS_VARIABLE}]")
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=8081, help="port to listen on (8081)")
    text = f"origin of the Web UI; can be repeated ({' and '.join(_LOCAL_UI)})"
    add("--origin", action="append", metavar="URL", help=text)
    options = parser.parse_args(arguments)
    token = os.environ.get(_TOKEN_VARIABLE) or None
    try:
        text = options.keys_file.read_text() if options.keys_file else os.environ.get(KEYS_VARIABLE, "")
        codec = SealingCodec(parse_keys(text))
        if token is None and options.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"--host {options.host} lets others decode everything: set {_TOKEN_VARIABLE}.")
        app = codec_app(codec, origins=options.origin or _LOCAL_UI, token=token)
    except (OSError, ValueError, ImportError) as error:
        print(f"agent-framework-temporal-codec-server: {error}", file=sys.stderr)
        return 2
    from aiohttp import web

    try:
        web.run_app(
            app,
            host=options.host,
            port=options.port,
            print=lambda *_: print(f"Codec server at http://{options.host}:{options.port}", flush=True),
        )
    except OSError as error:
        print(f"agent-framework-temporal-codec-server: {error}", file=sys.stderr)
        return 1
    return 0
