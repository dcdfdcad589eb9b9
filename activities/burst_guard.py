"""Lets a burst end where it should when its activity is cancelled, so that nothing is lost of what has finished.

Temporal knows one cancellation. Of a burst it may mean that the run is to stop here (it was cancelled, a message has
cut off the turn, the worker stops), or only that no further superstep is to begin, as somebody has asked for a pause or
set a breakpoint. The workflow's status tells which; nobody asks it but then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from ..workflows.messages import STATUS_QUERY, RunStatus

_T = TypeVar("_T")
_ASK_AGAIN = 1.0
"""Seconds between two looks whether a superstep that may finish still may."""
_PATIENCE = 30
"""After so many looks without an answer it is cut off."""


class BurstGuard:
    """Runs the body of an activity, and decides what a cancellation means for it.

    Args:
        client: The worker's.
        superstep_id: Names the burst.
    """

    def __init__(self, client: Client, superstep_id: str | None) -> None:
        self._client = client
        self._superstep_id = superstep_id
        self._inside = False
        self._unanswered = 0
        self.is_asked: bool = False
        """Whether the activity was cancelled, so that no further superstep may begin."""
        self.is_cut: bool = False
        """Whether the superstep that runs is to be cut off as well."""

    async def run(self, body: Coroutine[Any, Any, _T]) -> _T:
        """Run the body to its end, whatever comes; only what it does `inside` is cancelled."""
        task = asyncio.create_task(body)
        while not task.done():
            try:
                if self.is_cut or not self.is_asked:
                    await asyncio.wait({task})
                elif await self._may_finish():
                    await asyncio.wait({task}, timeout=_ASK_AGAIN)
                else:
                    self._cut(task)
            except asyncio.CancelledError:
                outer = asyncio.current_task()
                if outer is not None:
                    outer.uncancel()
                if self.is_asked:  # Once more: it is not the workflow that asks.
                    self._cut(task)
                self.is_asked = True
        return task.result()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Let the body be cancelled while it runs a superstep.

        Raises:
            CancelledError: When it was to be before.
        """
        if self.is_cut:
            raise asyncio.CancelledError
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    def _cut(self, task: asyncio.Task[Any]) -> None:
        if not self.is_cut and self._inside:
            task.cancel()
        self.is_cut = True

    async def _may_finish(self) -> bool:
        """Tell whether the superstep that runs may finish."""
        details = activity.cancellation_details()
        if details is None or not details.cancel_requested:
            return False
        info = activity.info()
        handle = self._client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        try:
            status: RunStatus = await handle.query(STATUS_QUERY, result_type=RunStatus)
        except (RPCError, TemporalError):
            self._unanswered += 1
            return self._unanswered < _PATIENCE
        return status.ending == self._superstep_id
