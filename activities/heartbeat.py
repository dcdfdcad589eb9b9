"""The activity's heartbeat: how a lost worker is noticed, how a cancellation arrives, where events and journal travel.

What a heartbeat says replaces what the one before said, so each says all: the newest live events, the failures before,
the journal. What is new is written past the SDK, which holds heartbeats back and does not say when one has arrived:
what the server has acknowledged is there for the next attempt. The pacemaker's thread repeats it through the SDK, whose
core gives up an activity that it hears nothing of, and which tells the activity of a cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.workflowservice.v1 import (
    RecordActivityTaskHeartbeatRequest,
    RespondActivityTaskCanceledRequest,
)
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ..adapter.checkpoints.journals import left_journal
from ..adapter.errors import DurableWorkflowError
from ..adapter.framework.catalog import TypeCatalog
from ..adapter.temporal.converter import JournalledDict
from ..adapter.temporal.sdk import heartbeat_converter
from ..workflows.messages import Calls, JournalPart, LiveWindow, OverdueSuperstep, SuperstepInput
from .containment import Place
from .executor_rules import ExecutorTimeouts
from .journal.journal import Journal, newest
from .journal.rules import JournalRules
from .journal.tally import Tally, calls_of
from .limits import MAX_JOURNAL_BYTES
from .live_events import LiveEvents
from .pacemaker import Pacemaker, Pulse, beat_interval

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_PAUSE = 0.05
"""Seconds until the first beat that carries something: most supersteps without a model are over by then."""
_BETWEEN = 0.03
"""Seconds between two beats that carry events: each is a round trip to the server."""
_BYTES_PER_SECOND = 4_000_000
"""Of heartbeats that carry events: one with a large journal makes the next wait for longer."""
_WRITE_TIMEOUT = timedelta(seconds=5)
_WRITE_SECONDS = 20.0
"""For so long a write is tried again where the server does not answer; then the superstep goes on without it."""
_RETRY_PAUSE = 0.2
_GONE = (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT)
_LEAST_ROOM = 128 * 1024
"""Of the journal in a heartbeat, however little external storage leaves to Temporal."""
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
        self.burst_before: list[bytes]
        last, self._before, self.burst_before = _said_before(info, step.superstep_id)
        self._finished: bytes = b"".join(self.burst_before)
        """Of a burst: what has finished, packed."""
        self._finished_offset: int | None = last.finished
        self.refusal: DurableWorkflowError | ApplicationError | None = None
        """Why there is no other attempt, where something has finished that is to be committed all the same."""
        self.is_asked_to_end: bool = False
        """Whether the server has told that the activity is to end, and why is not known yet."""
        self._said_before = last.attempt > 0
        self._calls_before = last.calls
        self.failures: int = last.failures or 0
        """Attempts before this one in which an executor failed."""
        self._begun = (1 if last.begun is None else last.begun) if info.attempt > 1 else 0
        self.losses: int = max(self._begun - self.failures, 0)
        """Attempts before this one that began and ended without a word: their worker was lost. The server counts those
        too that a worker was given and never began, for instance as its event loop was blocked."""
        self.overdue: OverdueSuperstep | None = last.overdue
        """Set where the last attempt took too long in a blocked event loop, which could not end it."""
        self._info = info
        self._client = client
        self._attempt = info.attempt
        self._interval = beat_interval(info.heartbeat_timeout)
        self._timeouts = timeouts
        self._live: LiveEvents | None = None
        self._journal: Journal | None = None
        self._spilled: list[Payload] = []
        storage = client.data_converter.external_storage
        self._outside: DataConverter | None = None
        """Puts what it encodes into external storage, however small."""
        self._room = MAX_JOURNAL_BYTES
        if storage is not None:
            self._room = min(MAX_JOURNAL_BYTES, max(_LEAST_ROOM, storage.payload_size_threshold * 3 // 4))
            outside = replace(client.data_converter, external_storage=replace(storage, payload_size_threshold=0))
            self._outside = heartbeat_converter(outside, info)
        self._overdue_details: Sequence[Payload] | None = None
        self.waits: dict[str, str] = {}
        """Executor id -> task queue that no worker polls, on which its invocation waits."""
        self._pacemaker = pacemaker
        known = pacemaker.pulse(info.task_token) if pacemaker is not None else None
        self._watched = known is not None
        self._pulse = known or Pulse(info.task_token, self._interval)
        self._pulse.workflow_name = step.workflow_name
        self._pulse.task = asyncio.current_task()
        self._may_be_given_up = timeouts.has_limits or (step.timeout is not None and step.timeout <= _SOON)
        self._writing = asyncio.Lock()
        self._wanted = self._written = 0
        self._patient = True
        """Whether a write is worth waiting for: not where the last one had no answer."""
        self._over = False
        self._soon: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None
        """Until there are no events to tell, or they have been told."""
        self._tell_from = asyncio.get_running_loop().time() + _PAUSE
        self._tasks: set[asyncio.Task[None]] = set()

    @functools.cached_property
    def _converter(self) -> DataConverter:
        """Encodes what is said; most supersteps are over before they say anything."""
        return heartbeat_converter(self._client.data_converter, self._info)

    async def begin(self) -> None:
        """Note that this attempt begins, so that it counts if its worker is lost; one round trip, but for the first."""
        self._begun += 1
        if self._info.attempt > 1:
            await self.write()

    async def open_journal(self, catalog: TypeCatalog, step: SuperstepInput, left: bytes = b"") -> Journal | None:
        """Open the superstep's journal with what attempts before this one have left, or `left`; None where it has none.

        Costs a round trip where a superstep is retried that had failed for good.
        """
        rules = JournalRules(step)
        if not rules.enabled:
            return None
        before = self._before or ([left] if left else [])
        if not before and step.begun_in is not None and step.begun is None and self._info.workflow_id is not None:
            before = await left_journal(self._client, self._info.workflow_id, step.begun_in)
        self._journal, self._before = Journal(catalog, self, rules, before), []
        self._journal.tally.resume(self._calls_before)
        return self._journal

    async def finished(self, packed: bytes, offset: int) -> bool:
        """Tell that a superstep of a burst has finished, and begin with the next; one round trip.

        Returns whether the server has it.

        Args:
            packed: All that have finished in this burst.
            offset: Of the next superstep's first event.
        """
        self._finished, self._finished_offset = packed, offset
        self.failures, self._begun = 0, 1
        self._calls_before = None
        self._before, self._spilled = [], []
        if self._journal is not None:
            self._journal = self._journal.next()
        written = self._written
        await self.write()
        return self._written > written

    @property
    def current_journal(self) -> Journal | None:
        """The journal of the superstep that runs."""
        return self._journal

    @property
    def has_said(self) -> bool:
        """Whether attempts before this one have said something of the superstep."""
        return self._said_before

    def begin_with(self, journal: bytes, calls: Calls | None) -> None:
        """Begin with the journal that another activity has left of this superstep, and what that has called."""
        self._before = [journal] if journal else []
        self._calls_before = calls

    @property
    def calls(self) -> Calls | None:
        """What this attempt has called so far, and what was spent with those before it."""
        tally = Tally()
        if self._journal is not None:
            tally = self._journal.tally
        else:
            tally.resume(self._calls_before)
        return calls_of(tally)

    def journal(self, most: int) -> bytes:
        """Return the newest of the journal, packed to so many bytes at most, for the failure that is reported."""
        return newest(self._before, most) if self._journal is None else self._journal.whole(most)

    async def write(self) -> None:
        """Return when the server has what there is to say now; one round trip, shared by all who wait meanwhile.

        Where the server does not answer for long, the superstep goes on: what it has come to travels with the next.
        """
        if self._over:  # What an executor has left running has nobody to tell.
            return
        self._wanted += 1
        wanted = self._wanted
        async with self._writing:
            if self._written >= wanted:
                return
            including = self._wanted
            if await self._send():
                self._written = including

    def write_soon(self) -> None:
        """Say what there is to say after a pause, unless the superstep is over by then."""
        if self._over:
            return
        if self._soon is None or self._soon.done():
            self._soon = self._start(self._write_after_pause())

    def tell(self, live: LiveEvents) -> LiveEvents:
        """Tell these live events, with each beat and soon after each of them; returns them."""
        self._live = live
        live.on_news = self._tell_soon
        return live

    def _tell_soon(self) -> None:
        if self._telling is None and not self._over:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_at(max(self._tell_from, loop.time()), self._tell_now)

    def _tell_now(self) -> None:
        if self._live is not None and not self._over:
            self._start(self._tell(self._live))

    async def failed(self) -> None:
        """Tell the next attempt that an executor has failed in this one; one round trip."""
        self.failures += 1
        await self.write()

    async def released(self) -> None:
        """Note that this attempt ends as its worker stops in order, so that it does not count."""
        self._begun -= 1
        await self.write()

    async def cancelled(self) -> None:
        """Leave the journal in history as the attempt is cancelled: the superstep may run again, or be looked into.

        One round trip, and none where nothing was kept. The SDK can report a cancellation without details only; what it
        reports after this comes too late.
        """
        if self._journal is None or not self._journal.packed_size:
            return
        request = RespondActivityTaskCanceledRequest(
            namespace=self._info.namespace,
            task_token=self._info.task_token,
            identity=self._client.identity,
            details=Payloads(payloads=await self._details()),
        )
        with contextlib.suppress(RPCError):
            await self._client.workflow_service.respond_activity_task_canceled(request, timeout=_WRITE_TIMEOUT)

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat while the body runs."""
        if self._may_be_given_up and not self._encodes_anywhere:
            self._start(self._prepare())
        if self._pacemaker is None:
            self._start(self._beat_from_the_loop())
        elif not self._watched:
            self._pacemaker.add(self._pulse)
        self._pulse.ends_at, self._pulse.last_words = self._timeouts.ends_at, self._last_words
        try:
            yield
        except BaseException:
            if self._pulse.details:  # With a failure the SDK sends what it was given last.
                self._repeat(self._pulse.details)
            raise
        finally:
            self._over = True
            if self._telling is not None:
                self._telling.cancel()
            if self._tasks:
                tasks = list(self._tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            self._pulse.ends_at = lambda: None  # It beats on until the SDK has encoded its outcome.
            self._live = self._journal = None  # It is referred to by its pulse, and they may be large.
            if self._pacemaker is not None and not self._watched:
                self._pacemaker.ended(self._info.task_token)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _prepare(self) -> None:
        """Encode what the thread may have to say, where it cannot do so itself."""
        with contextlib.suppress(Exception):  # The codec is code of others.
            self._overdue_details = await self._converter.encode([self._overdue_window(None), *self._burst_part()])

    async def _tell(self, live: LiveEvents) -> None:
        try:
            if live.changed():
                async with self._writing:
                    await self._send(certain=False)
        finally:
            size = self._journal.packed_size if self._journal is not None else 0
            self._tell_from = asyncio.get_running_loop().time() + _BETWEEN + size / _BYTES_PER_SECOND
            self._telling = None
            if live.has_new:  # Of meanwhile.
                self._tell_soon()

    async def _write_after_pause(self) -> None:
        await asyncio.sleep(_PAUSE)
        await self.write()

    async def _beat_from_the_loop(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._beat_through_the_sdk()

    def _beat_through_the_sdk(self) -> None:
        said = self._live is not None or self._journal is not None or self.failures > 0 or self._begun != 1
        said = said or bool(self.waits)
        activity.heartbeat(*([self._window(), *self._burst_part()] if said else []))

    async def _send(self, *, certain: bool = True) -> bool:
        """Write what there is to say.

        Args:
            certain: Whether to see to it that nothing of before replaces it.

        Returns:
            Whether the server has it.
        """
        details = await self._details()
        if self._pacemaker is not None:
            self._pacemaker.refresh(self._pulse, details)
        self._pulse.details = details
        request = RecordActivityTaskHeartbeatRequest(
            namespace=self._info.namespace,
            task_token=self._info.task_token,
            identity=self._client.identity,
            details=Payloads(payloads=details),
        )
        give_up = time.monotonic() + _WRITE_SECONDS
        while True:
            begun = time.monotonic()
            try:
                response = await self._client.workflow_service.record_activity_task_heartbeat(
                    request, timeout=_WRITE_TIMEOUT
                )
            except RPCError as error:
                if error.status in _GONE:  # The attempt counts no more: the SDK finds out, and cancels it.
                    self._repeat(details)
                    return False
                if not self._patient or time.monotonic() >= give_up:
                    if self._patient:
                        _LOGGER.warning(
                            "The server does not accept heartbeats of thread %r: %s. The superstep continues, but "
                            "what it does meanwhile is repeated if this worker is lost.",
                            self._info.workflow_id,
                            error,
                        )
                    self._patient = False
                    return False
                await asyncio.sleep(_RETRY_PAUSE)
                continue
            self._patient = True
            if response.cancel_requested or response.activity_paused or response.activity_reset:
                self.is_asked_to_end = True
                self._repeat(details)  # The SDK hears it too, and tells the activity.
                return True
            if self._pacemaker is None:
                return True
            self._pacemaker.written(self._pulse)
            on_its_way = self._pacemaker.sending_for(self._pulse, time.monotonic() - begun)
            if not certain or on_its_way <= 0:
                return True
            await asyncio.sleep(on_its_way)  # Then what came through the SDK is undone by writing once more.

    def _repeat(self, details: Sequence[Payload]) -> None:
        if self._pacemaker is not None:
            self._pacemaker.beat(self._pulse, details)
        else:
            self._beat_through_the_sdk()

    async def _details(self) -> Sequence[Payload]:
        """Encode what the next heartbeat says: it replaces what the one before said."""
        try:
            if self._journal is not None and self._journal.packed_size > self._room:
                await self._make_room(self._journal)
            before = await (self._outside or self._converter).encode(list(map(self._part, self._before)))
            if self._overdue_details is not None:
                overdue = await self._converter.encode([self._overdue_window(None), *self._burst_part()])
                self._overdue_details = [*overdue, *self._spilled]
            burst = await self._converter.encode(self._burst_part())
            return [*await self._converter.encode([self._window()]), *before, *self._spilled, *burst]
        except Exception:  # The codec is code of others; without its details the superstep goes on.
            _LOGGER.warning("The details of a heartbeat could not be encoded", exc_info=True)
            return self._pulse.details

    async def _make_room(self, journal: Journal) -> None:
        if self._outside is None:
            journal.fit(self._room // 2)
        else:
            self._spilled += await self._outside.encode([self._part(journal.spilled())])

    def _burst_part(self) -> list[JournalPart]:
        if not self._finished:
            return []
        return [JournalPart(answers=self._superstep_id, of="burst").with_journal(self._finished)]

    def _part(self, journal: bytes) -> JournalPart:
        part: JournalPart = JournalPart(answers=self._superstep_id).with_journal(journal)
        return part

    @property
    def _encodes_anywhere(self) -> bool:
        """Whether another thread may encode: a codec and a storage may be bound to this event loop."""
        converter = self._client.data_converter
        return converter.payload_codec is None and converter.external_storage is None

    def _last_words(self, place: Place | None) -> Sequence[Payload] | None:
        """Return what a superstep says that is given up; called in the pacemaker's thread."""
        if not self._encodes_anywhere:
            return self._overdue_details
        return self._converter.payload_converter.to_payloads([self._overdue_window(place), *self._burst_part()])

    def _overdue_window(self, place: Place | None) -> LiveWindow:
        late = self._timeouts.overdue()
        executor = late.executor_id or (place.executor_id if place is not None else None)
        limited = late.executor_id is not None
        overdue = OverdueSuperstep(executor_id=executor, limited=limited, seconds=late.seconds, idle=late.idle or None)
        window = self._counted(LiveWindow(attempt=self._attempt, overdue=overdue))
        window.failures = self.failures + 1
        return window

    def _window(self) -> LiveWindow:
        window = self._live.window() if self._live is not None else LiveWindow(attempt=self._attempt)
        return self._counted(window)

    def _counted(self, window: LiveWindow) -> LiveWindow:
        window.answers = self._superstep_id
        window.failures = self.failures or None
        window.finished = self._finished_offset
        window.begun = self._begun if self._begun != 1 else None
        window.calls = self.calls
        window.waits = self.waits or None
        if self._journal is not None:
            window.with_journal(self._journal.packed)
        return window


def _said_before(info: activity.Info, superstep_id: str | None) -> tuple[LiveWindow, list[bytes], list[bytes]]:
    """Return what the attempts before this one have said, and the parts of their journal, oldest first.

    At last what had finished of a burst, packed.
    """
    older: list[bytes] = []
    burst: list[bytes] = []
    newest_part: list[bytes] = []
    window = LiveWindow(attempt=0)
    for index, details in enumerate(info.heartbeat_details if info.attempt > 1 else ()):
        # Of another release, or of nobody with a key: an attempt more does no harm.
        with contextlib.suppress(ValidationError):
            found = (LiveWindow if index == 0 else JournalPart).model_validate(details)
            if found.answers != superstep_id:
                continue
            if isinstance(found, LiveWindow):
                window = found
            if isinstance(found, JournalPart) and found.of is not None:
                burst += [details.journal] if isinstance(details, JournalledDict) and found.of == "burst" else []
                continue
            if isinstance(details, JournalledDict):  # The window's is empty where all was just moved to storage.
                (newest_part if index == 0 else older).append(details.journal)
    return window, older + newest_part, burst
