"""What an invocation shows of its going on, for `idle_timeout`: told by whatever it calls, in its own context."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from agent_framework import ResponseStream

_watch: ContextVar[Callable[[], None] | None] = ContextVar("agent_framework_temporal_progress", default=None)


def is_watched() -> bool:
    """Tell whether the invocation around has to show progress."""
    return _watch.get() is not None


def progressed() -> None:
    """Note that the invocation around, if there is one that has to show it, goes on."""
    watch = _watch.get()
    if watch is not None:
        watch()


@contextmanager
def watched(watch: Callable[[], None]) -> Iterator[None]:
    """Have the progress of what the body runs noted by `watch`."""
    before = _watch.get()
    _watch.set(watch)
    try:
        yield
    finally:
        _watch.set(before)


@contextmanager
def within() -> Iterator[None]:
    """Note the begin and the end of the body, which is a part of the invocation around: a child's, a call."""
    progressed()
    try:
        yield
    finally:
        progressed()


def progressing(stream: ResponseStream[Any, Any]) -> ResponseStream[Any, Any]:
    """Return a stream each piece of which is progress."""

    async def pieces() -> AsyncIterator[Any]:
        async with stream:
            async for piece in stream:
                progressed()
                yield piece

    return ResponseStream(pieces(), finalizer=lambda _: stream.get_final_response())
