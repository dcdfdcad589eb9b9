"""`http_app`: the ASGI application, without the web framework until it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client

from ...workflows.exported import exported
from ..client.options import DurableOptions, check_address
from ..framework.definition import WorkflowSource
from ..temporal.client import framed_client
from ..web_names import check_web_names
from .settings import MAX_BODY_BYTES, MAX_STREAMS, AppSettings, AsgiApp, Authenticate


@exported
def http_app(
    client: Client,
    workflows: Sequence[WorkflowSource] = (),
    *,
    task_queue: str = "agent-framework",
    options: DurableOptions | None = None,
    token: str | None = None,
    authenticate: Authenticate | None = None,
    allowed_hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    link_key: bytes | None = None,
    base_url: str | None = None,
    temporal_ui: str | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_streams: int = MAX_STREAMS,
    body_timeout: timedelta = timedelta(seconds=30),
) -> AsgiApp:
    """Return the HTTP API as an ASGI application, to be served alone or mounted in one of yours.

    It keeps nothing: any number of processes serve the same threads. What runs is in workers; this reads history, which
    needs none, and asks a worker where it sends something.

    Args:
        client: A connected client; its data converter has the keys and the external storage.
        workflows: Workflows that can be started and whose values are typed here: factories, instances, functional
            workflows. Threads of others are shown, and answered, as plain JSON.
        task_queue: Where threads of these begin; a thread that has begun stays on its own.
        options: Options of the runs that are started here.
        token: What callers must send as `Authorization: Bearer ...`.
        authenticate: Your own check in its place. With neither, only this machine is let in: a peer on a loopback
            address that calls by a loopback name.
        allowed_hosts: Names, `name` or `name:port`, by which it may be called besides `localhost`, `127.0.0.1` and
            `[::1]`; the header `Host` has to be one of them. `*` is any.
        origins: Origins (`https://host:port`) whose pages may call it too; none.
        link_key: Signs respond links, 32 random bytes; without it there are none.
        base_url: How people reach it from outside, `https://host/path`: for respond links, which have by default the
            address by which the API was called, and for the link to the console that runs which are started here show
            in the Web UI (`DurableOptions.console_url`), which have none by default.
        temporal_ui: Address of Temporal's Web UI, for links there.
        max_body_bytes: Longest body of a request.
        max_streams: Most event streams at a time; more are told to come again.
        body_timeout: How long a body may take to come.

    Raises:
        ImportError: Without the extra `http`.
        ValueError: For an argument that cannot work.
        HostingError: When the client has a payload converter of its own.
    """
    if token is not None and authenticate is not None:
        raise ValueError("`token` and `authenticate` are alternatives: pass only one of them.")
    if token is not None and len(token) < 16:
        raise ValueError("`token` must have 16 characters or more. Create one with `secrets.token_urlsafe(32)`.")
    if token is not None and (not token.isascii() or not token.isprintable() or token != token.strip()):
        raise ValueError("`token` must be printable ASCII without spaces around it: another cannot come in a header.")
    if link_key is not None and len(link_key) < 16:
        raise ValueError("`link_key` must have 16 bytes or more. Create one with `secrets.token_bytes(32)`.")
    if min(max_body_bytes, max_streams, body_timeout.total_seconds()) <= 0:
        raise ValueError("The maximum body size, the maximum number of streams and the timeout must be greater than 0.")
    check_web_names(allowed_hosts, origins)
    check_address("base_url", base_url)
    check_address("temporal_ui", temporal_ui)
    try:
        from .api import build_api
    except ImportError as error:
        raise ImportError("The HTTP API needs the extra: pip install 'agent-framework-temporal[http]'") from error
    options = options or DurableOptions()
    if base_url and options.console_url is None:
        options = dataclasses.replace(options, console_url=base_url)
    return build_api(
        AppSettings(
            client=framed_client(client),
            workflows=tuple(workflows),
            task_queue=task_queue,
            options=options,
            token=token,
            authenticate=authenticate,
            allowed_hosts=tuple(allowed_hosts),
            origins=tuple(origins),
            link_key=link_key,
            base_url=base_url.rstrip("/") if base_url else None,
            temporal_ui=temporal_ui.rstrip("/") if temporal_ui else None,
            max_body_bytes=max_body_bytes,
            max_streams=max_streams,
            body_timeout=body_timeout,
        )
    )
