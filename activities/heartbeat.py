"""The activity's heartbeat: how a lost worker is noticed, how a cancellation arrives, and where live events travel.

There is one channel, the SDK's, and what a heartbeat says replaces what the one before said. The pacemaker's thread
repeats it in time; what is new is said from the event loop, where it is encoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.workflowservice.v1 import RecordActivityTaskHeartbeatRequest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RPCError

from ..adapter.temporal.sdk import heartbeat_converter
from ..workflows.messages import LiveWindow, OverdueSuperstep, SuperstepInput
from .containment import Place
from .executor_rules import ExecutorTimeouts
from .live_events import LiveEvents
from .pacemaker import Pacemaker, Pulse, beat_interval

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_PAUSE = 0.05
"""Between two beats that carry events, in seconds: each is a round trip to the server."""
_BEGIN_TIMEOUT = timedelta(seconds=5)
_SOON = 3600.0
"""Seconds: a superstep that may take longer than this is not prepared for having to be given up."""


class Beat:
    """Heartbeats at a quarter of the timeout, and as soon as there are live events to tell.

    The first comes after a pause: most supersteps without a model are over by then, and cost no round trip. Heartbeats
    also carry how many attempts an executor has failed in: the server counts attempts, in which a worker that was lost
    is one like any other, and gives the last heartbeat of an attempt to the next.

    Args:
        client: The worker's, with our payload converter: the frames of live events are none of another's.
        step: The superstep.
        timeouts: Its time limits.
        pacemaker: Beats from a thread; without one the event loop does.
    """

    def __init__(
        self, client: Client, step: SuperstepInput, timeouts: ExecutorTimeouts, pacemaker: Pacemaker | None
    ) -> None:
        info = activity.info()
        self._superstep_id = step.superstep_id
        last = _said_before(info, step.superstep_id)
        self.failures = last.failures or 0
        """Attempts before this one in which an executor failed."""
        self._begun = (1 if last.begun is None else last.begun) if info.attempt > 1 else 0
        self.losses = max(self._begun - self.failures, 0)
        """Attempts before this one that began and ended without a word: their worker was lost. The server counts those
        too that a worker was given and never began, for instance as its event loop was blocked."""
        self.overdue = last.overdue
        """Set where the last attempt took too long in a blocked event loop, which could not end it."""
        self._info = info
        self._client = client
        self._attempt = info.attempt
        self._interval = beat_interval(info.heartbeat_timeout)
        self._timeouts = timeouts
        self._converter: DataConverter = heartbeat_converter(self._client.data_converter, info)
        self._live: LiveEvents | None = None
        self._overdue_details: Sequence[Payload] | None = None
        self._pacemaker = pacemaker
        known = pacemaker.pulse(info.task_token) if pacemaker is not None else None
        self._watched = known is not None
        self._pulse = known or Pulse(info.task_token, self._interval)
        self._pulse.workflow_name = step.workflow_name
        self._pulse.task = asyncio.current_task()
        self._may_be_given_up = timeouts.has_limits or (step.timeout is not None and step.timeout <= _SOON)
        self._encoding = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Note that this attempt begins, so that it counts if its worker is lost; one round trip, but for the first."""
        self._begun += 1
        if self._info.attempt == 1:
            return
        async with self._encoding:
            self._pulse.details = await self._encoded(self._window())
        request = RecordActivityTaskHeartbeatRequest(
            namespace=self._info.namespace,
            task_token=self._info.task_token,
            identity=self._client.identity,
            details=Payloads(payloads=self._pulse.details),
        )
        # Past the SDK, which does not say when it is written. Whether the attempt still counts the next beat tells.
        with contextlib.suppress(RPCError):
            await self._client.workflow_service.record_activity_task_heartbeat(request, timeout=_BEGIN_TIMEOUT)

    def tell(self, live: LiveEvents) -> LiveEvents:
        """Tell these live events with each beat; returns them."""
        self._live = live
        self._start(self._tell(live))
        return live

    async def failed(self) -> None:
        """Tell the next attempt that an executor has failed in this one; one round trip."""
        self.failures += 1
        await self._beat()

    async def released(self) -> None:
        """Note that this attempt ends as its worker stops in order, so that it does not count."""
        self._begun -= 1
        await self._beat()

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat while the body runs."""
        self._start(self._prepare())
        if self._pacemaker is None:
            self._start(self._beat_from_the_loop())
        elif not self._watched:
            self._pacemaker.add(self._pulse)
        self._pulse.ends_at, self._pulse.last_words = self._timeouts.ends_at, self._last_words
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._pulse.ends_at = lambda: None  # It beats on until the SDK has encoded its outcome.
            if self._pacemaker is not None and not self._watched:
                self._pacemaker.ended(self._info.task_token)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(coroutine))

    async def _prepare(self) -> None:
        """Encode what the thread may have to say, where it cannot do so itself."""
        if self._may_be_given_up and not self._encodes_anywhere:
            self._overdue_details = await self._encoded(self._overdue_window(None))

    async def _tell(self, live: LiveEvents) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            if live.changed:
                await self._beat()

    async def _beat_from_the_loop(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._beat()

    async def _beat(self) -> None:
        async with self._encoding:  # Else what is said first might be sent last.
            said = self._live is not None or self.failures > 0 or self._begun != 1
            if self._pacemaker is None:
                activity.heartbeat(*([self._window()] if said else []))
            else:
                self._pacemaker.beat(self._pulse, await self._encoded(self._window()) if said else ())

    async def _encoded(self, window: LiveWindow) -> Sequence[Payload]:
        try:
            return await self._converter.encode([window])
        except Exception:  # The codec is code of others; without its details the superstep goes on.
            _LOGGER.warning("The details of a heartbeat could not be encoded", exc_info=True)
            return self._pulse.details

    @property
    def _encodes_anywhere(self) -> bool:
        """Whether another thread may encode: a codec and a storage may be bound to this event loop."""
        return self._converter.payload_codec is None and self._converter.external_storage is None

    def _last_words(self, place: Place | None) -> Sequence[Payload] | None:
        """Return what a superstep says that is given up; called in the pacemaker's thread."""
        if not self._encodes_anywhere:
            return self._overdue_details
        return self._converter.payload_converter.to_payloads([self._overdue_window(place)])

    def _overdue_window(self, place: Place | None) -> LiveWindow:
        late, seconds = self._timeouts.overdue()
        executor = late or (place.executor_id if place is not None else None)
        overdue = OverdueSuperstep(executor_id=executor, limited=late is not None, seconds=seconds)
        window = self._counted(LiveWindow(attempt=self._attempt, overdue=overdue))
        window.failures = self.failures + 1
        return window

    def _window(self) -> LiveWindow:
        """Return what the next heartbeat says: it replaces what the one before said."""
        window = self._live.window() if self._live is not None else LiveWindow(attempt=self._attempt)
        return self._counted(window)

    def _counted(self, window: LiveWindow) -> LiveWindow:
        window.answers = self._superstep_id
        window.failures = self.failures or None
        window.begun = self._begun if self._begun != 1 else None
        return window


def _said_before(info: activity.Info, superstep_id: str | None) -> LiveWindow:
    """Return what the attempts before this one have said."""
    if info.attempt > 1 and info.heartbeat_details:
        # Of another release, or of nobody with a key: an attempt more does no harm.
        with contextlib.suppress(ValidationError):
            window = LiveWindow.model_validate(info.heartbeat_details[0])
            if window.answers == superstep_id:
                return window
    return LiveWindow(attempt=0)
