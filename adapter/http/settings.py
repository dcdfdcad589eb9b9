"""What the application is made with, and what its modules share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from temporalio.client import Client

from ...workflows.exported import exported
from ..client.options import DurableOptions
from ..framework.definition import WorkflowSource

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

API_PREFIX = "/api/v1"
MAX_BODY_BYTES = 1_000_000
MAX_STREAMS = 256
WORKER_WAIT = timedelta(seconds=10)
"""For so long a worker may take to give a verdict."""


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request to the HTTP API, as the hook that authenticates is shown it."""

    method: str
    """The HTTP method, in upper case."""
    path: str
    """Below where the application is mounted."""
    headers: Mapping[str, str]
    """By lower-case name; of one that was sent twice the last."""
    client: str | None
    """Address of the peer."""


Authenticate: TypeAlias = Callable[[ApiRequest], str | Awaitable[str | None] | None]
"""Returns who calls, or None for nobody that may; raises PermissionError for somebody who may not do this.

Whatever else it raises lets nobody in, and is in the log.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSettings:
    """Which workflows there are, and how their threads are reached."""

    client: Client
    """With our payload converter."""
    workflows: Sequence[WorkflowSource]
    task_queue: str
    options: DurableOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings(ThreadSettings):
    """What `http_app` was given, checked."""

    token: str | None
    authenticate: Authenticate | None
    allowed_hosts: Sequence[str]
    origins: Sequence[str]
    link_key: bytes | None
    base_url: str | None
    temporal_ui: str | None
    max_body_bytes: int
    max_streams: int
    body_timeout: timedelta
