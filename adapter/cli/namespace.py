"""Commands about a whole namespace: `inbox` and `attributes register`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..client.thread_status import moment
from ..client.waiting_requests import waiting_requests as waiting_requests
from ..temporal.search_attributes import all_names, register_search_attributes
from .command import Session
from .text import elapsed, short


async def inbox(
    session: Session,
    *,
    workflow: Annotated[
        str | None, typer.Option("--workflow", "-w", metavar="NAME", help="Only requests from this workflow.")
    ] = None,
) -> None:
    """List all requests waiting for a response in the namespace, oldest first."""
    # It tells of threads that are left out as no worker answers for them.
    logging.getLogger("agent_framework_temporal").setLevel(logging.WARNING)
    found = [request async for request in waiting_requests(await session.client(), workflow)]
    found.sort(key=lambda request: request.asked_at)
    output, now = session.output, datetime.now(UTC)
    output.json([request.model_dump() for request in found])
    for request in found:
        asked = elapsed(moment(request.asked_at), now)
        output.line(f"{request.workflow_name or ''} · {request.executor_id} waiting for {asked}", style="bold")
        output.quoted(short(request.request, 240))
        deadline = moment(request.deadline)
        if deadline is not None:
            output.line(f"  by {deadline:%Y-%m-%d %H:%M} UTC, then {request.on_deadline}")
        output.line(f"  {session.again('respond', request.thread_id, request.request_id)}", style="dim")
    if not found:
        output.line("Nothing is waiting.")


async def register(session: Session) -> None:
    """Register the search attributes used to find threads. Needs operator permissions."""
    added = await register_search_attributes(await session.client())
    session.output.json({"added": added})
    session.output.wrapped(f"Added: {', '.join(added)}" if added else f"All are registered already: {all_names()}")
