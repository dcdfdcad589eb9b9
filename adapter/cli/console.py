"""The command `console`: the HTTP API, and the console's place, for one namespace."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import signal
import socket
from collections.abc import MutableMapping
from typing import Annotated, Any

import typer

from ..commands.connection import configuration
from ..commands.exit_codes import UsageError
from ..commands.references import load_workflow
from ..http.app import http_app
from ..http.settings import API_PREFIX, AsgiApp, Receive, Scope, Send
from .command import Session, TaskQueue
from .lookup import DEFAULT_TASK_QUEUE

TOKEN_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_CONSOLE_TOKEN"  # noqa: S105 - its name
LINK_KEY_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_LINK_KEY"
_LOCAL = ("127.0.0.1", "::1", "localhost")
_LOCAL_UI = "http://localhost:8233"


async def console(
    session: Session,
    *,
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow", "-w", metavar="MODULE:ATTR", help="Workflow whose graph and types to load; can be repeated."
        ),
    ] = None,
    task_queue: TaskQueue = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.")] = 8234,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:PORT]", help="Host name that requests may use besides --host; can be repeated."),
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Origin of pages that may also call it; can be repeated.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Its public URL, for respond links.")] = None,
    temporal_ui: Annotated[
        str | None, typer.Option(metavar="URL", help="Temporal's Web UI, for links to runs.")
    ] = None,
    descriptor: Annotated[int | None, typer.Option(hidden=True, help="A socket that listens already.")] = None,
) -> None:
    """Serve the HTTP API of a namespace: its threads, their events, requests and checkpoints."""
    if not can_serve():
        raise UsageError("`console` needs the http extra: pip install 'agent-framework-temporal[cli,http]'")
    import uvicorn

    token = os.environ.get(TOKEN_VARIABLE) or None
    made = token is None and host not in _LOCAL
    if made:
        token = secrets.token_urlsafe(32)
    key = os.environ.get(LINK_KEY_VARIABLE, "").encode() or secrets.token_bytes(32)
    bracketed = f"[{host}]" if ":" in host else host
    try:
        app = http_app(
            await session.client(),
            [load_workflow(reference) for reference in workflow or ()],
            task_queue=task_queue or DEFAULT_TASK_QUEUE,
            token=token,
            allowed_hosts=[bracketed, *(allowed_host or ())],
            origins=origin or (),
            link_key=key,
            base_url=base_url,
            temporal_ui=temporal_ui or _ui_of(session),
        )
    except ValueError as error:
        raise UsageError(f"{error} ({TOKEN_VARIABLE}, {LINK_KEY_VARIABLE})") from error
    with listening(host, port) if descriptor is None else socket.socket(fileno=descriptor) as listener:
        address = f"http://{bracketed}:{listener.getsockname()[1]}"
        _tell(session, address, token if made else None)
        stopping = asyncio.Event()
        config = uvicorn.Config(
            _until(stopping, app),
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            limit_concurrency=1_000,
        )
        server = uvicorn.Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # The server ends by these itself, once its answers have ended: event streams do so only if they are told.
            loop.add_signal_handler(number, stopping.set)
        await server.serve(sockets=[listener])


def _until(stopping: asyncio.Event, app: AsgiApp) -> AsgiApp:
    """Return an application whose callers all leave when this process is told to stop."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def received() -> MutableMapping[str, Any]:
            coming, told = asyncio.ensure_future(receive()), asyncio.ensure_future(stopping.wait())
            try:
                await asyncio.wait([coming, told], return_when=asyncio.FIRST_COMPLETED)
                return coming.result() if coming.done() else {"type": "http.disconnect"}
            finally:
                coming.cancel()
                told.cancel()

        await app(scope, received if scope["type"] == "http" else receive, send)

    return serve


def can_serve() -> bool:
    """Return whether what it is served by is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("fastapi", "uvicorn"))


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: When the address is taken, or not an address of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # The last three: no host, or port, at all.
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host}, port {port}: {reason}") from error


def _tell(session: Session, address: str, token: str | None) -> None:
    kept = bool(os.environ.get(LINK_KEY_VARIABLE))
    session.output.json({"address": address, "token": token, "links_kept": kept}, line=True)
    session.output.facts(
        [
            ("console", address),
            ("API", f"{address}{API_PREFIX}/threads"),
            ("token", f"{token} (made up, as {TOKEN_VARIABLE} is not set)" if token is not None else ""),
            ("respond links", "" if kept else f"end with this process; set {LINK_KEY_VARIABLE} to keep them"),
            ("stop", "ctrl-C"),
        ]
    )


def _ui_of(session: Session) -> str | None:
    """Return the Web UI of a local dev server, which lies at a port of its own."""
    address = session.settings.address or configuration(session.settings).get("target_host", "localhost:7233")
    return _LOCAL_UI if address in ("localhost:7233", "127.0.0.1:7233") else None
