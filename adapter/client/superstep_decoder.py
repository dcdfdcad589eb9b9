"""Superstep outcomes to the framework's events: unpacks their frames and mirrors their checkpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from agent_framework import CheckpointStorage, WorkflowCheckpoint, WorkflowCheckpointException, WorkflowEvent
from pydantic_core import from_json
from temporalio.client import Client

from ...workflows.messages import SuperstepFailure, SuperstepResult
from ..checkpoints.frames import Frame, unpacked
from ..checkpoints.history import FrameReader, checkpoints_of, stored_frame
from ..checkpoints.logged_events import ALWAYS_READABLE, readable_event, typed_payloads
from ..checkpoints.mirror import ThreadSource
from ..encoding.decoding import decoded
from ..framework.catalog import TypeCatalog
from ..framework.internals import new_event
from ..temporal.server import rpc_errors
from .event_position import set_position
from .stream_mirror import StreamMirror


class SuperstepDecoder:
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
        self._frames = FrameReader(client, thread_id, run_id)
        self._mirrors: dict[int, StreamMirror] = {}
        self._readable: list[Any] = []
        """Readable data of the outcome that was decoded last."""

    def enter(self, run_id: str) -> None:
        """Go on with another run of the thread."""
        self._run_id = run_id
        self._frames.enter(run_id)

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
                payloads = await typed_payloads(frame.payloads, self._catalog)
            if mirror is not None:
                await self._mirror(outcome, frame, mirror)
        self._readable = _readable(frame) if payloads is None else []
        for record in outcome.events:
            if record.origin is None:
                continue  # For people who read the log; the framework knows no such event.
            if payloads is None and record.data is None and record.type in ALWAYS_READABLE:
                record.data = self._shown(record.readable, record.data_bytes)
            event = readable_event(record, payloads, self._catalog)
            is_last = record.type in ("superstep_completed", "failed")
            set_position(event, record, live=False, calls=outcome.calls if is_last else None)
            yield record.offset, event

    @property
    def catalog(self) -> TypeCatalog | None:
        """The types of the workflow; None for a client without its definition."""
        return self._catalog

    async def pending(self, result: SuperstepResult) -> list[WorkflowEvent[Any]]:
        """Return the pending requests of the checkpoint that was decoded last, of this result, as events."""
        raw = self._frames.last
        if self._catalog is not None and raw:
            checkpoint: WorkflowCheckpoint = await decoded(raw, self._catalog)
            return list(checkpoint.pending_request_info_events.values())
        pending: list[WorkflowEvent[Any]] = []
        for request in result.pending:
            data = request.request
            if data is None:
                data = self._shown(request.readable, request.request_bytes)
            pending.append(
                new_event(
                    "request_info",
                    data=data,
                    request_id=request.request_id,
                    source_executor_id=request.executor_id,
                    request_type=type(data),
                    response_type=object,
                )
            )
        return pending

    def _shown(self, index: int | None, size: int | None) -> Any:
        """Return data that is too large for its record, or its size where it is not in the frame either."""
        if index is not None and 0 <= index < len(self._readable):
            return self._readable[index]
        return None if size is None else f"({size:,} bytes, which only a reader with the workflow's types can read)"

    async def _frame(self, outcome: SuperstepResult | SuperstepFailure) -> Frame | None:
        # A client without types needs a frame only for what is too large for the records.
        shown = (*outcome.events, *(outcome.pending if isinstance(outcome, SuperstepResult) else ()))
        if not outcome.frame or (self._catalog is None and all(record.readable is None for record in shown)):
            return None
        try:
            return await self._unpacked(outcome)
        except WorkflowCheckpointException:
            if self._catalog is not None:
                raise
            return None  # Its records say how large that was.

    async def _unpacked(self, outcome: SuperstepResult | SuperstepFailure) -> Frame:
        facts = outcome.checkpoint
        if facts is None:
            return await unpacked(outcome.frame, None)
        with rpc_errors(self._client, f"read the checkpoints of thread {self._thread_id!r}", self._thread_id):
            return await self._frames.restore(stored_frame(outcome, facts))

    async def _mirror(
        self, outcome: SuperstepResult | SuperstepFailure, frame: Frame, mirror: CheckpointStorage
    ) -> None:
        if self._catalog is None or outcome.checkpoint is None:
            return
        checkpoints = await checkpoints_of(stored_frame(outcome, outcome.checkpoint), frame)
        copies = self._mirrors.setdefault(id(mirror), StreamMirror(mirror))
        source = ThreadSource(self._client, self._thread_id, self._run_id, self._catalog)
        await copies.take(source, list(checkpoints.values()))


def _readable(frame: Frame | None) -> list[Any]:
    try:
        found = from_json(frame.readable) if frame is not None and frame.readable else []
    except ValueError:
        return []
    return found if isinstance(found, list) else []
