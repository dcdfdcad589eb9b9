"""Superstep outcomes to the framework's events: unpacks their frames and mirrors their checkpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from agent_framework import CheckpointStorage, WorkflowCheckpoint, WorkflowEvent
from temporalio.client import Client

from ...workflows.messages import CheckpointRef, SuperstepFailure, SuperstepResult
from ..checkpoints.frames import Frame, unpack
from ..checkpoints.history import StoredFrame, load_checkpoint, restore
from ..checkpoints.mirror import ThreadSource
from ..checkpoints.pickling import loads
from ..checkpoints.records import to_event
from ..framework.catalog import TypeCatalog
from ..framework.internals import new_event
from .event_position import set_position
from .stream_mirror import StreamMirror


class StepDecoder:
    """Decodes the supersteps of one run in order.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: Temporal run id.
        catalog: The types of the workflow; None for a client without its definition, which gets plain JSON data.
    """

    def __init__(self, client: Client, thread_id: str, run_id: str, catalog: TypeCatalog | None) -> None:
        self._client = client
        self._thread_id = thread_id
        self._run_id = run_id
        self._catalog = catalog
        self._raw: bytes | None = None
        self._raw_id: str | None = None
        self._mirrors: dict[int, StreamMirror] = {}

    def enter(self, run_id: str) -> None:
        """Go on with another run of the thread."""
        self._run_id = run_id

    async def events(
        self, outcome: SuperstepResult | SuperstepFailure, *, mirror: CheckpointStorage | None
    ) -> AsyncIterator[tuple[int, WorkflowEvent[Any]]]:
        """Yield the events of an outcome with their offsets.

        Args:
            outcome: What a superstep reported.
            mirror: Takes the outcome's checkpoints before the events are yielded, if it can.

        Raises:
            CheckpointCorruptedError: When the frame does not restore to its digest.
            PayloadError: When it holds a type this process does not declare.
        """
        frame = await self._frame(outcome)
        payloads: list[Any] | None = None
        if frame is not None and self._catalog is not None:
            if frame.payloads:
                payloads = loads(frame.payloads, self._catalog)
            if mirror is not None:
                await self._mirror(frame, mirror)
        for record in outcome.events:
            if record.origin is None:
                continue  # For people who read the log; the framework knows no such event.
            event = to_event(record, payloads)
            set_position(event, record, live=False)
            yield record.offset, event

    def pending(self, result: SuperstepResult) -> list[WorkflowEvent[Any]]:
        """Return the pending requests of the checkpoint that was decoded last, of this result, as events."""
        if self._catalog is not None and self._raw:
            checkpoint: WorkflowCheckpoint = loads(self._raw, self._catalog)
            return list(checkpoint.pending_request_info_events.values())
        return [
            new_event(
                "request_info",
                data=request.request,
                request_id=request.request_id,
                source_executor_id=request.executor_id,
                request_type=type(request.request),
                response_type=object,
            )
            for request in result.pending
        ]

    async def _frame(self, outcome: SuperstepResult | SuperstepFailure) -> Frame | None:
        if self._catalog is None or not outcome.frame:
            return None
        facts = outcome.checkpoint
        if facts is None:
            return unpack(outcome.frame, None)
        base: bytes | None = None
        if facts.base_checkpoint_id is not None:
            base = self._raw if self._raw_id == facts.base_checkpoint_id else None
            if base is None:
                ref = CheckpointRef(
                    thread_id=self._thread_id, run_id=self._run_id, checkpoint_id=facts.base_checkpoint_id
                )
                base = await load_checkpoint(self._client, ref)
        frame = restore(StoredFrame(facts, outcome.frame), base)
        self._raw, self._raw_id = frame.checkpoint, facts.checkpoint_id
        return frame

    async def _mirror(self, frame: Frame, mirror: CheckpointStorage) -> None:
        if self._catalog is None:
            return
        copies = self._mirrors.setdefault(id(mirror), StreamMirror(mirror))
        source = ThreadSource(self._client, self._thread_id, self._run_id, self._catalog)
        await copies.take(source, [raw for raw in (frame.entry, frame.checkpoint) if raw])
