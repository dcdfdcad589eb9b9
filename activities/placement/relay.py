"""Live events of an invocation that runs elsewhere: passed on as its heartbeats tell of them.

What is passed on is done: it has its place among the events of the superstep. So it is passed on in order and without a
gap, and the rest is done when the invocation is over. Where another attempt begins after that, what the first has told
has to be taken back, which an attempt of the whole superstep does: its next one takes up the invocation as it stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from temporalio.api.activity.v1 import ActivityExecutionInfo, ActivityExecutionOutcome
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client

from ...adapter.checkpoints.frames import unpacked
from ...adapter.checkpoints.history import UnreadableError, decode
from ...adapter.checkpoints.logged_events import readable_event
from ...adapter.encoding.decoding import decoded
from ...adapter.encoding.document import split
from ...adapter.errors import DurableWorkflowError
from ...adapter.framework.catalog import TypeCatalog
from ...adapter.temporal.standalone import StandaloneActivity
from ...workflows.messages import LiveWindow
from .carried import EVENTS, Step


class AttemptOverError(Exception):
    """An invocation has begun another attempt after it had told of events in this one."""


class Relay:
    """Passes on the events of one invocation.

    Args:
        client: A client with our payload converter.
        catalog: The types of the workflow.
        started: The invocation's activity.
        context: Takes the events: the runner's.
        invoked: Tells that the executor is invoked, of which heartbeats say nothing: it repeats the message.
    """

    def __init__(
        self,
        client: Client,
        catalog: TypeCatalog,
        started: StandaloneActivity,
        context: Any,
        invoked: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._started = started
        self._context = context
        self._invoked = invoked
        self._was_invoked = False
        self._attempt = 0
        self._passed = 0

    async def outcome(self) -> ActivityExecutionOutcome:
        """Wait for what comes of the invocation, and pass on its events meanwhile.

        Raises:
            AttemptOverError: When there was another attempt after some were passed on.
            RPCError: When the server refuses.
        """
        async for found in self._started.changes():
            if self._passed and found.info.attempt > self._attempt:
                raise AttemptOverError
            self._attempt = found.info.attempt
            if found.HasField("outcome"):
                return found.outcome
            if found.info.run_state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED and not self._was_invoked:
                self._was_invoked = True
                await self._invoked()
            await self._tell(found.info)
        raise RuntimeError("An activity has ended without an outcome; this is a bug.")

    def left_of(self, steps: list[Step]) -> Iterator[Step]:
        """Yield what an invocation has done, without what was passed on."""
        passed = self._passed
        for step in steps:
            if passed and step[1] in EVENTS:
                passed -= 1
            elif not (self._was_invoked and step[1] == "invoked"):
                yield step

    async def _tell(self, info: ActivityExecutionInfo) -> None:
        if not info.heartbeat_details.payloads:
            return
        try:
            place = self._started.place
            window: LiveWindow = await decode(self._client, info.heartbeat_details.payloads[0], LiveWindow, place)
        except (DurableWorkflowError, UnreadableError):
            return  # What it has done comes all the same.
        if window.answers != self._started.id or window.attempt != info.attempt:
            return
        new = [record for record in window.events if record.offset >= self._passed]
        if not new or new[0].offset != self._passed:
            return
        payloads = await self._payloads(window)
        for record in new:
            if record.offset != self._passed:
                return
            event = readable_event(record, payloads, self._catalog)
            if event.type == "request_info":
                await self._context.add_request_info_event(event)
            else:
                await self._context.add_event(event)
            self._passed += 1

    async def _payloads(self, window: LiveWindow) -> list[Any]:
        if not window.frame:
            return []
        frame = await unpacked(window.frame, None)
        return [await decoded(data, self._catalog) for data in split(frame.payloads)]
