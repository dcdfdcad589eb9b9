"""A thread's events as server-sent events. The next one is read when the last is on its way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from temporalio.service import RPCError

from ..client.event_json import event_json
from ..client.event_position import LiveEventsDiscarded
from ..client.look import Look, look_at
from ..client.threads import thread_info
from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    NewerReleaseError,
    NotSealedError,
    NoWorkerError,
    PayloadError,
    ServerBusyError,
    ServerUnreachableError,
    StaleCheckpointError,
    StartRefusedError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
)
from ..lru import BoundedCache
from .hosted import ThreadCalls
from .place import Place
from .problems import ProblemError, problem_of
from .settings import Receive, Scope, Send
from .shared_reads import SharedReads
from .telling import line

_BEAT_SECONDS = 15.0
"""After so long without an event a comment is sent, by which both ends see that the other is there."""
_STALLED_SECONDS = 60.0
"""For so long a reader may take nothing; then its stream is given up, and it reads on with another."""
_ENDING_SECONDS = 1.0
_RECONNECT_MILLISECONDS = 2_000
_FIRST_LOOK, _SLOWER, _SLOWEST = 0.5, 1.3, 4.0
"""Seconds between two looks whether a thread that rests goes on; all readers of it share one."""
_BEAT = b": \n\n"
_MOST_RESTED = 256
NOT_OF_THE_RUN = (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    NewerReleaseError,
    NotSealedError,
    NoWorkerError,
    PayloadError,
    ServerBusyError,
    ServerUnreachableError,
    StaleCheckpointError,
    StartRefusedError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
)
"""What a stream ends with; any other error is what the run has ended with."""


class Streams:
    """How many streams there are, and what they share.

    Args:
        most: How many there may be.
        reads: What was read a moment ago.
    """

    def __init__(self, most: int, reads: SharedReads) -> None:
        self._most = most
        self.reads = reads
        self.open = 0
        self._rested: BoundedCache[str, dict[str, Any]] = BoundedCache(_MOST_RESTED)

    def need_room(self) -> None:
        """Refuse another one where there are as many as may be.

        Raises:
            ProblemError: Saying so.
        """
        if self.open >= self._most:
            raise ProblemError(503, "too-many-streams", "This service has reached its maximum number of event streams.")

    def rests(self, thread_id: str, standing: dict[str, Any]) -> None:
        """Note where a thread rests: what was read before it came there is told nobody any more."""
        if self._rested.get(thread_id) != standing:
            self._rested.put(thread_id, standing)
            self.reads.changed()


class EventStream:
    """An ASGI response: the stream ends with its reader, and is given up where that takes nothing.

    Args:
        calls: The thread.
        place: Where the reader stands.
        streams: Counts it.
        goes_on: Whether it goes on when the thread rests, and ends only with its reader.
    """

    def __init__(self, calls: ThreadCalls, place: Place, streams: Streams, *, goes_on: bool) -> None:
        self._calls = calls
        self._place = place
        self._streams = streams
        self._goes_on = goes_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI has it."""
        self._streams.need_room()  # Others may have come since this one was asked for.
        self._streams.open += 1
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.open -= 1
            for task in (sending, leaving):
                task.cancel()
            sent, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
            if isinstance(sent, Exception) and not isinstance(sent, TimeoutError):
                problem_of(sent)  # Which logs what nobody foresaw.
            if isinstance(sent, asyncio.CancelledError):
                await _end(send)

    async def _send(self, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(_chunk(f"retry: {_RECONNECT_MILLISECONDS}\n\n".encode()))
        async with aclosing(_with_beats(self._messages())) as messages:
            async for message in messages:
                async with asyncio.timeout(_STALLED_SECONDS):
                    await send(_chunk(message))
        await _end(send)

    async def _messages(self) -> AsyncGenerator[bytes]:
        client, thread_id = self._calls.caller.client, self._calls.facts.thread_id
        look = look_at(client, thread_id, "")
        told: dict[str, Any] | None = None
        while True:
            error: Exception | None = None
            seen = await self._looked(look)
            handle = self._calls.handle.model_copy()
            try:
                if (undone := await self._undone()) is not None:
                    yield self._message(event_json(undone))
                async with aclosing(self._calls.events(self._place.base, handle)) as events:
                    async for event in events:
                        for new in self._place.take(event):
                            self._place.run_id = handle.run_id
                            yield self._message(event_json(new))
            except Exception as caught:  # An executor's own, of whatever class, is what its run ended with.
                error = caught
            try:
                if isinstance(error, NOT_OF_THE_RUN):
                    raise error
                standing = await self._standing(error)
            except Exception as failed:
                yield self._problem(failed)
                return
            if not self._goes_on:
                yield _named("end", standing, str(self._place))
                return
            if standing != told:
                yield _named("standing", standing, str(self._place))
                told = standing
            # It may have gone on while it was read: then it is read once more.
            await _change(look, seen)

    async def _undone(self) -> LiveEventsDiscarded | None:
        """Take back what an operator's reset has undone while nobody read."""
        if self._place.run_id is None:
            return None
        last = await self._calls.reset_since(self._place.run_id)
        if last is None:
            return None
        self._streams.reads.changed()
        self._place.run_id = None  # The next event says of which run it is.
        return self._place.reset(last)

    async def _looked(self, look: Look) -> tuple[str, int, int] | None:
        if not self._goes_on:
            return None
        with contextlib.suppress(RPCError):  # What is wrong is told by the stream.
            return await _standing(look, time.monotonic())
        return None

    async def _standing(self, error: Exception | None) -> dict[str, Any]:
        client, thread_id = self._calls.caller.client, self._calls.facts.thread_id
        info = await self._streams.reads.read(
            ("standing", thread_id), lambda: thread_info(client, thread_id), since=time.monotonic()
        )
        if info is None:
            raise ThreadNotFoundError(f"Thread {thread_id!r} does not exist, or no longer exists.")
        state: str = info.state
        if state == "open":  # It shows no search attributes; a stream ends so only where the run waits, or has failed.
            state = "waiting" if error is None else "paused"
        found: dict[str, Any] = {
            "thread_id": thread_id,
            "run_id": info.run_id,
            "state": state,
            "pending_requests": info.pending_requests,
        }
        self._streams.rests(thread_id, dict(found))
        if error is not None:
            found["error"] = {"type": type(error).__name__, "message": str(error)}
        return found

    def _message(self, data: dict[str, Any]) -> bytes:
        head = f"id: {self._place}\n".encode() if self._place.is_short else b""
        return head + b"data: " + line(data) + b"\n\n"

    def _problem(self, error: Exception) -> bytes:
        problem = problem_of(error).problem.model_dump(exclude_none=True)
        return _named("problem", problem, str(self._place))


def _named(name: str, data: dict[str, Any], place: str) -> bytes:
    return f"id: {place}\nevent: {name}\ndata: ".encode() + line(data) + b"\n\n"


def _chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _end(send: Send) -> None:
    """End an answer, also where its reader has left: whoever serves may be what leaves, and the reader still there."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_ENDING_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _with_beats(messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield messages, and a beat where none comes for a while."""
    coming: asyncio.Future[bytes] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(messages))
            done, _ = await asyncio.wait([coming], timeout=_BEAT_SECONDS)
            if not done:
                yield _BEAT
                continue
            taken, coming = coming, None
            try:
                yield taken.result()
            except StopAsyncIteration:
                return
    finally:
        if coming is not None:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await coming
        await messages.aclose()


async def _standing(look: Look, after: float) -> tuple[str, int, int]:
    """Return what tells whether a thread has gone on."""
    _, response = await look.after(after)
    info = response.workflow_execution_info
    return info.execution.run_id, info.history_length, info.status


async def _change(look: Look, seen: tuple[str, int, int] | None) -> None:
    """Wait until a thread stands elsewhere than when it was seen."""
    pause, asked = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(pause)
        with contextlib.suppress(RPCError):  # An outage is borne: the thread rests all the same.
            if await _standing(look, asked) != seen:
                return
        asked = time.monotonic()
        pause = min(_SLOWER * pause, _SLOWEST) if pause else _FIRST_LOOK
