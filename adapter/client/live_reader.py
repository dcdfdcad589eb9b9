"""Reads the live events of a superstep that is running, from its heartbeat: no history, and no worker is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent_framework import WorkflowEvent
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from ...workflows.messages import SUPERSTEP_ACTIVITY, LiveWindow
from ..checkpoints.frames import unpack
from ..checkpoints.history import decode
from ..checkpoints.pickling import loads
from ..checkpoints.records import to_event
from ..framework.catalog import TypeCatalog
from ..temporal.client import is_unreachable
from .event_position import set_position

_FAST = 0.03
_SLOW = 0.5
_SLOWER = 1.25
"""Seconds between two looks: while events come, and at most; an idle superstep is looked at ever less often."""


@dataclass(frozen=True, slots=True)
class LiveEventsRead:
    """What a look has found."""

    attempt: int
    """The attempt that is running or awaited."""
    events: list[tuple[int, WorkflowEvent[Any]]]
    """Events of that attempt not read before, with their offsets."""


class LiveReader:
    """Looks at the heartbeat of a thread's running superstep; a look is one round trip to the server.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        catalog: The types of the workflow; None for plain JSON data.
    """

    def __init__(self, client: Client, thread_id: str, catalog: TypeCatalog | None) -> None:
        self._client = client
        self._thread_id = thread_id
        self._catalog = catalog
        self._offset = 0
        self._attempt = 1
        self._read = -1
        self.pause = _FAST
        """Seconds until the next look."""

    def begin(self, offset: int) -> None:
        """Make ready for another superstep, whose events begin at an offset."""
        self._offset = offset
        self._attempt = 1
        self._read = -1
        self.pause = _FAST

    async def read(self, run_id: str) -> LiveEventsRead:
        """Look once at a run's superstep."""
        self.pause = min(_SLOW, self.pause * _SLOWER)
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=self._thread_id, run_id=run_id)
        )
        try:
            response = await self._client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if not is_unreachable(error):
                raise
            return LiveEventsRead(self._attempt, [])  # The durable events come when the connection is back.
        for pending in response.pending_activities:
            if pending.activity_type.name == SUPERSTEP_ACTIVITY:
                window: LiveWindow | None = None
                if pending.heartbeat_details.payloads:
                    window = await decode(self._client, pending.heartbeat_details.payloads[0], LiveWindow)
                    if window is not None and window.offset not in (None, self._offset):
                        # The superstep after ours, as ours has ended and history has not come yet to say so. What is
                        # given of it now would be given again when it is its turn.
                        break
                if pending.attempt != self._attempt:
                    self._attempt, self._read = pending.attempt, -1
                return LiveEventsRead(self._attempt, [] if window is None else self._new(window))
        return LiveEventsRead(self._attempt, [])

    def _new(self, window: LiveWindow) -> list[tuple[int, WorkflowEvent[Any]]]:
        """Return what is new in a window; that of an earlier attempt stays until the next one beats."""
        if window.attempt != self._attempt or not window.events or window.events[-1].offset <= self._read:
            return []
        payloads: list[Any] | None = None
        if self._catalog is not None and window.frame:
            frame = unpack(window.frame, None)
            payloads = [loads(data, self._catalog) for data in loads(frame.payloads, self._catalog)]
        found: list[tuple[int, WorkflowEvent[Any]]] = []
        for record in window.events:
            if record.offset > self._read and record.origin is not None:
                event = to_event(record, payloads)
                set_position(event, record, live=True)
                found.append((record.offset, event))
        self._read = window.events[-1].offset
        self.pause = _FAST
        return found
