"""The activity's heartbeat: how a lost worker is noticed, how a cancellation arrives, and where live events travel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from temporalio import activity

from ._live_events import LiveEvents

_PAUSE = 0.05
"""Between two beats that carry events, in seconds: each is a round trip to the server."""


class Beat:
    """Heartbeats at a quarter of the timeout, and as soon as there are live events to tell.

    The first comes after a pause: most supersteps without a model are over by then, and cost no round trip.
    """

    def __init__(self) -> None:
        timeout = activity.info().heartbeat_timeout
        self._interval = timeout.total_seconds() / 4 if timeout else 5.0
        self._live: LiveEvents | None = None

    def tell(self, live: LiveEvents) -> LiveEvents:
        """Tell these live events with each beat; returns them."""
        self._live = live
        return live

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            await asyncio.sleep(_PAUSE)
            live = self._live
            if live is not None and live.changed:
                activity.heartbeat(live.window())
            elif loop.time() - beat_at >= self._interval:
                # The details of a beat replace those of the one before.
                activity.heartbeat(*([] if live is None else [live.window()]))
            else:
                continue
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
