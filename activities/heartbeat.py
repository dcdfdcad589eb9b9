"""The activity's heartbeat: how a lost worker is noticed, how a cancellation arrives, and where live events travel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pydantic import ValidationError
from temporalio import activity

from ..workflows.messages import LiveWindow
from .live_events import LiveEvents

_PAUSE = 0.05
"""Between two beats that carry events, in seconds: each is a round trip to the server."""


class Beat:
    """Heartbeats at a quarter of the timeout, and as soon as there are live events to tell.

    The first comes after a pause: most supersteps without a model are over by then, and cost no round trip. Heartbeats
    also carry how many attempts an executor has failed in: the server counts attempts, in which a worker that was lost
    is one like any other, and gives the last heartbeat of an attempt to the next.
    """

    def __init__(self) -> None:
        info = activity.info()
        timeout = info.heartbeat_timeout
        self.failures = _failures(info)
        """Attempts before this one in which an executor failed."""
        self._attempt = info.attempt
        self._interval = timeout.total_seconds() / 4 if timeout else 5.0
        self._live: LiveEvents | None = None

    def tell(self, live: LiveEvents) -> LiveEvents:
        """Tell these live events with each beat; returns them."""
        self._live = live
        return live

    def failed(self) -> None:
        """Tell the next attempt that an executor has failed in this one; one round trip."""
        self.failures += 1
        activity.heartbeat(*self._details())

    def _details(self) -> list[LiveWindow]:
        """Return what the next heartbeat says: it replaces what the one before said."""
        if self._live is None and not self.failures:
            return []
        window = self._live.window() if self._live is not None else LiveWindow(attempt=self._attempt)
        window.failures = self.failures or None
        return [window]

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            await asyncio.sleep(_PAUSE)
            changed = self._live is not None and self._live.changed
            if changed or loop.time() - beat_at >= self._interval:
                activity.heartbeat(*self._details())
                beat_at = loop.time()


@contextlib.asynccontextmanager
async def beating() -> AsyncIterator[Beat]:
    """Heartbeat while the body runs."""
    beat = Beat()
    task = asyncio.create_task(beat.run())
    try:
        yield beat
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _failures(info: activity.Info) -> int:
    if info.attempt == 1 or not info.heartbeat_details:
        return 0
    try:
        return LiveWindow.model_validate(info.heartbeat_details[0]).failures or 0
    except ValidationError:
        return 0  # Of another release, perhaps: an attempt more does no harm.
