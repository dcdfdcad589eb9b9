"""Reads the live events of a superstep that is running, from its heartbeat: no history, and no worker is asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from agent_framework import WorkflowEvent
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.service import RPCError

from ...workflows.messages import SUPERSTEP_ACTIVITY, LiveWindow
from ..checkpoints.frames import unpacked
from ..checkpoints.history import UnreadableError, decode, of_superstep, warn_refused
from ..checkpoints.logged_events import readable_event
from ..encoding.decoding import decoded
from ..encoding.document import split
from ..errors import NotSealedError
from ..framework.catalog import TypeCatalog
from .event_position import set_position
from .look import Look, look_at

_FAST = 0.03
_SLOW = 0.5
_SLOWER = 1.25
"""Seconds between two looks: while events come, and before long; an idle superstep is looked at ever less often."""
_SLOWEST = 2.0
_OF_SILENCE = 30
"""After so many times as long without a new event, up to `_SLOWEST` seconds."""
_BYTES_PER_SECOND = 4_000_000
"""At most, of looks."""
_LONGEST = 8.0
"""Where the server refuses looks, as for a rate limit."""


@dataclass(frozen=True, slots=True)
class LiveEventsRead:
    """What a look has found."""

    attempt: int
    """The attempt that is running or awaited."""
    events: list[tuple[int, WorkflowEvent[Any]]]
    """Events of that attempt not read before, with their offsets."""
    finished: int = 0
    """Events before this offset stand, whichever attempt has told them: their supersteps have finished in a burst."""


class LiveReader:
    """Looks at the heartbeat of a thread's running superstep; a look is one round trip for all readers of the process.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        catalog: The types of the workflow; None for plain JSON data.
    """

    def __init__(self, client: Client, thread_id: str, catalog: TypeCatalog | None) -> None:
        self._client = client
        self._thread_id = thread_id
        self._catalog = catalog
        self._place = of_superstep(client, thread_id)
        self._offset = 0
        self._superstep_id: str | None = None
        self._attempt = 1
        self._read = -1
        self._refused = False
        self._least = 0.0
        self._look: Look | None = None
        self._looked = 0.0
        self._begun = self._news = time.monotonic()
        self.pause: float = _FAST
        """Seconds until the next look."""

    def begin(self, offset: int, superstep_id: str | None = None, first_look: float = _FAST) -> None:
        """Make ready for another superstep, whose events begin at an offset; it is looked at after so many seconds."""
        self._offset = offset
        self._superstep_id = superstep_id
        self._attempt = 1
        self._read = -1
        self._begun = self._news = time.monotonic()
        self.pause = self.pause if self._refused else first_look

    async def read(self, run_id: str) -> LiveEventsRead:
        """Look once at a run's superstep."""
        now = time.monotonic()
        longest = max(_SLOW, min((now - self._news) / _OF_SILENCE, _SLOWEST))
        before, self.pause = self.pause, min(longest, self.pause * _SLOWER)
        if self._look is None or self._look.run_id != run_id:
            self._look = look_at(self._client, self._thread_id, run_id)
        try:
            self._looked, response = await self._look.after(max(self._begun, self._looked, now - before))
        except RPCError:
            # Live events are a courtesy: the durable ones come all the same, and say what is wrong if something is.
            self.pause, self._refused = min(_LONGEST, 2 * max(before, _SLOW)), True
            return LiveEventsRead(self._attempt, [])
        self._refused = False
        for pending in response.pending_activities:
            if pending.activity_type.name == SUPERSTEP_ACTIVITY:
                window: LiveWindow | None = None
                if pending.heartbeat_details.payloads:
                    # It may carry a large journal beside the events, which each look brings along.
                    self._least = pending.heartbeat_details.ByteSize() / _BYTES_PER_SECOND
                    window = await self._window(run_id, pending.heartbeat_details.payloads[0])
                    if window is not None and not self._is_ours(window):
                        # The superstep after ours, as ours has ended and history has not come yet to say so. What is
                        # given of it now would be given again when it is its turn.
                        break
                if pending.attempt != self._attempt:
                    self._attempt, self._read = pending.attempt, -1
                if window is None:
                    return LiveEventsRead(self._attempt, [])
                return LiveEventsRead(self._attempt, await self._new(window), window.finished or 0)
        return LiveEventsRead(self._attempt, [])

    async def _window(self, run_id: str, payload: Payload) -> LiveWindow | None:
        try:
            window: LiveWindow = await decode(self._client, payload, LiveWindow, self._place)
        except (NotSealedError, UnreadableError) as error:  # The durable events come in any case, or the error.
            warn_refused(self._thread_id, run_id, "A heartbeat", error)
            return None
        return window

    def _is_ours(self, window: LiveWindow) -> bool:
        if self._superstep_id is not None and window.answers not in (None, self._superstep_id):
            return False
        return window.offset in (None, self._offset)

    async def _new(self, window: LiveWindow) -> list[tuple[int, WorkflowEvent[Any]]]:
        """Return what is new in a window; that of an earlier attempt stays until the next one beats."""
        if window.attempt != self._attempt or not window.events or window.events[-1].offset <= self._read:
            return []
        payloads: list[Any] | None = None
        if self._catalog is not None and window.frame:
            frame = await unpacked(window.frame, None)
            payloads = [await decoded(data, self._catalog) for data in split(frame.payloads)]
        found: list[tuple[int, WorkflowEvent[Any]]] = []
        for record in window.events:
            if record.offset > self._read and record.origin is not None:
                event = readable_event(record, payloads, self._catalog)
                set_position(event, record, live=True, calls=window.calls)
                found.append((record.offset, event))
        self._read = window.events[-1].offset
        self._news, self.pause = time.monotonic(), max(_FAST, self._least)
        return found
