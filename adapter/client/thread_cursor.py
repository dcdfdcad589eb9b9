"""What this process has seen of the threads its handles name; a handle itself is a value that holds none of it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from agent_framework import WorkflowEvent, WorkflowRunState

from ...workflows.messages import CheckpointRef
from ..checkpoints.handle import Checkpoint
from .run_follower import RunFollower
from .superstep_decoder import SuperstepDecoder


class ThreadCursor:
    """Where one handle's reader stands, and what it was given.

    Args:
        handle: The handle, which the cursor moves forward.
    """

    def __init__(self, handle: Checkpoint) -> None:
        self._handle = weakref.ref(handle)
        self._reader: tuple[RunFollower, SuperstepDecoder] | None = None
        self.status: WorkflowRunState = WorkflowRunState.IDLE
        """State of the thread as far as this process was given its events; IDLE before."""
        self.requests: dict[str, WorkflowEvent[Any]] = {}
        """Requests that wait for a response, by id, as far as this process was given them."""

    def move(self, ref: CheckpointRef | None) -> None:
        """Move the handle forward to a checkpoint of its thread."""
        handle = self._handle()
        if handle is not None and ref is not None and ref.thread_id == handle.thread_id:
            handle.checkpoint_id = ref.checkpoint_id

    def note(self, event: WorkflowEvent[Any], answered: Iterable[str]) -> None:
        """Take note of an event that is given.

        Args:
            event: The event.
            answered: Ids of the requests that the call has answered.
        """
        if event.type == "status" and event.state is not None:
            self.status = event.state
            if event.state == WorkflowRunState.IDLE:
                self.requests.clear()
        elif event.type == "request_info":
            self.requests[event.request_id] = event
        elif event.type == "superstep_completed":
            # A superstep has taken the responses: only now do their requests count as answered.
            for request_id in answered:
                self.requests.pop(request_id, None)

    def keep_reader(self, follower: RunFollower, decoder: SuperstepDecoder) -> None:
        """Remember where a stream stopped reading, so that the next one of this process goes on from there."""
        self._reader = (follower, decoder)

    def take_reader(self, run_id: str) -> tuple[RunFollower, SuperstepDecoder] | tuple[None, None]:
        """Return what `keep_reader` remembered of a run, once."""
        reader, self._reader = self._reader, None
        return reader if reader is not None and reader[0].run_id == run_id else (None, None)


class ThreadCursors:
    """The cursor of each handle, for as long as the handle lives."""

    def __init__(self) -> None:
        self._cursors: dict[int, tuple[weakref.ref[Checkpoint], ThreadCursor]] = {}

    def of(self, handle: Checkpoint) -> ThreadCursor:
        """Return a handle's cursor. By identity: two equal handles may have been given different events."""
        found = self._cursors.get(id(handle))
        if found is not None and found[0]() is handle:
            return found[1]
        key, cursor = id(handle), ThreadCursor(handle)
        self._cursors[key] = (weakref.ref(handle, lambda _: self._cursors.pop(key, None)), cursor)
        return cursor
