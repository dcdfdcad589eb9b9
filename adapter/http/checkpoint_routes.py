"""Routes of checkpoints: what they hold, in what they differ, and threads that go on from one, edited or as it was."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ..checkpoints.edit_document import EditDocument
from ..checkpoints.editing import editable
from ..checkpoints.handle import Checkpoint
from ..checkpoints.lineage import is_ours, newest_infos
from ..checkpoints.outline import changes, outline
from ..client.edit import EditOrder, editor_name
from ..client.held_checkpoint import look_in_thread, raw_checkpoint
from ..temporal.server import rpc_errors
from .cursors import as_cursor, read_cursor
from .models import (
    CheckpointDetail,
    Checkpoints,
    CheckpointSummary,
    Difference,
    Differences,
    NewEdit,
    NewFork,
    ThreadRef,
)
from .problems import ProblemError
from .service import Service, caller_of
from .telling import told

_THREAD = "/threads/{thread_id:part}"
_CHECKPOINT_ID = Query(min_length=1, max_length=1_000)


def checkpoint_routes(service: Service) -> APIRouter:
    """Return the routes.

    Args:
        service: What they share.
    """
    router = APIRouter(tags=["checkpoints"])
    _add_reading(router, service)
    _add_going_on(router, service)
    return router


def _add_reading(router: APIRouter, service: Service) -> None:
    @router.get(_THREAD + "/checkpoints", summary="A thread's checkpoints, oldest first")
    async def listed(
        thread_id: str,
        limit: Annotated[int | None, Query(ge=1, le=1_000, description="The newest so many; all if left out.")] = None,
        cursor: Annotated[str | None, Query(max_length=3_000, description="`next` of the page before.")] = None,
    ) -> Checkpoints:
        async def read() -> Checkpoints:
            calls = await service.of_thread(thread_id)
            run_id, behind = calls.facts.run_id, None
            if cursor is not None:
                run_id, behind = read_cursor(cursor, str, str)
            with rpc_errors(service.client, f"list the checkpoints of thread {thread_id!r}", thread_id):
                found, more = await newest_infos(service.client, thread_id, run_id, limit=limit, behind=behind)
            return Checkpoints(
                checkpoints=[CheckpointSummary(**dataclasses.asdict(info)) for info in reversed(found)],
                next=as_cursor(found[-1].run_id, found[-1].checkpoint_id) if more else None,
            )

        return await service.reads.read(("checkpoints", thread_id, limit, cursor), read)

    @router.get(_THREAD + "/checkpoints/{checkpoint_id:part}", summary="What a checkpoint holds")
    async def shown(thread_id: str, checkpoint_id: str) -> CheckpointDetail:
        calls = await service.of_thread(thread_id)
        raw = await raw_checkpoint(service.client, checkpoint_id, thread_id)
        hosted = calls.definition
        document = None
        if hosted is not None:
            try:
                document = EditDocument(editable(raw, hosted), hosted.declared, hosted.catalog).content
            except Exception:  # Of another graph, for instance: it is shown all the same.
                document = None
        return CheckpointDetail(content=told(await outline(raw)), editable=told(document))

    @router.get(_THREAD + "/diff", summary="How a checkpoint differs from another")
    async def diff(
        thread_id: str, before: Annotated[str, _CHECKPOINT_ID], after: Annotated[str, _CHECKPOINT_ID]
    ) -> Differences:
        await service.of_thread(thread_id)
        outlines = [await outline(await raw_checkpoint(service.client, name, thread_id)) for name in (before, after)]
        found = [Difference(**told(dataclasses.asdict(change))) for change in changes(*outlines)]
        return Differences(before=before, after=after, differences=found)


def _add_going_on(router: APIRouter, service: Service) -> None:
    @router.post(_THREAD + "/forks", status_code=201, summary="Start a thread from a checkpoint, edited or unchanged")
    async def fork(thread_id: str, new: NewFork, request: Request, response: Response) -> ThreadRef:
        calls = await service.of_thread(thread_id, writes=True)
        workflow = calls.facts.workflow_name
        if not is_ours(new.checkpoint_id):
            raise ProblemError(
                404,
                "checkpoint-not-found",
                f"Thread {thread_id!r} has no checkpoint {new.checkpoint_id!r}, or no longer has it.",
            )
        await look_in_thread(service.client, calls.caller.locator, calls.facts, new.checkpoint_id)
        by = editor_name(new.edited_by or caller_of(request), service.client)
        handle = Checkpoint(workflow_name=workflow, thread_id=new.thread_id or f"{workflow}-{uuid.uuid4()}")
        await calls.start(
            handle,
            checkpoint_id=new.checkpoint_id,
            order=None if new.edit is None else EditOrder(new.edit, by),
            responses=new.responses or None,
            streaming=new.streaming,
        )
        ref = service.ref(request, workflow, handle.thread_id, handle.run_id)
        response.headers["Location"] = ref.events.removesuffix("/events")
        return ref

    @router.post(_THREAD + "/edit", status_code=202, summary="Continue a thread from an edited checkpoint of its own")
    async def edit(thread_id: str, new: NewEdit, request: Request) -> ThreadRef:
        calls = await service.of_thread(thread_id, writes=True)
        by = editor_name(new.edited_by or caller_of(request), service.client)
        order = EditOrder(new.edit, by, in_place=True)
        await calls.start(checkpoint_id=new.checkpoint_id, order=order, streaming=new.streaming)
        return service.ref(request, calls.facts.workflow_name, thread_id, calls.handle.run_id)
