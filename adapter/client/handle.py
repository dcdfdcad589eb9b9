"""The handle an application keeps, and the form in which it hands over responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_framework import WorkflowEvent, WorkflowRunState
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from ...workflows.messages import CheckpointRef
from .run_follower import RunFollower
from .superstep_decoder import StepDecoder


class Checkpoint(BaseModel):
    """One thread of a workflow: all that is needed to go on with it, from any process.

    It moves forward by itself while `run` or `run_stream` proceeds with it. `to_json()` writes it, `from_json()` reads
    it back in another process. It holds no state of the workflow, only references of a few hundred bytes.
    """

    model_config = ConfigDict(validate_assignment=True, extra="forbid")

    workflow_name: str
    """Name of the framework workflow."""
    thread_id: str = Field(min_length=1)
    """Temporal workflow id."""
    run_id: str | None = None
    """Temporal run id of the last run seen; None before the first."""
    checkpoint_id: str | None = None
    """The framework's id of the last checkpoint seen."""
    offset: int = -1
    """Offset of the last event the caller was given; -1 before the first."""
    _reader: tuple[RunFollower, StepDecoder] | None = PrivateAttr(default=None)
    _status: WorkflowRunState = PrivateAttr(default=WorkflowRunState.IDLE)
    _requests: dict[str, WorkflowEvent[Any]] = PrivateAttr(default_factory=dict)

    def to_json(self) -> str:
        """Return the handle as JSON."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Checkpoint:
        """Read a handle written by `to_json`.

        Raises:
            ValueError: When the text is no such JSON.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            mistake = error.errors()[0]
            where = ".".join(map(str, mistake["loc"])) or "text"
            raise ValueError(f"This is no checkpoint handle: {where}: {mistake['msg']}") from error

    def move(self, ref: CheckpointRef | None) -> None:
        """Move forward to a checkpoint of this thread; the facade does that."""
        if ref is not None and ref.thread_id == self.thread_id:
            self.checkpoint_id = ref.checkpoint_id

    @property
    def status(self) -> WorkflowRunState:
        """State of the thread as far as this process was given its events; IDLE before."""
        return self._status

    @property
    def requests(self) -> Mapping[str, WorkflowEvent[Any]]:
        """Requests that wait for a response, by id, as far as this process was given them."""
        return self._requests

    def note(self, event: WorkflowEvent[Any], answered: Iterable[str]) -> None:
        """Take note of an event that is given; the facade does that.

        Args:
            event: The event.
            answered: Ids of the requests that the call has answered.
        """
        if event.type == "status" and event.state is not None:
            self._status = event.state
        elif event.type == "request_info":
            self._requests[event.request_id] = event
        elif event.type == "superstep_completed":
            # A superstep has taken the responses: only now do their requests count as answered.
            for request_id in answered:
                self._requests.pop(request_id, None)

    def keep_reader(self, follower: RunFollower, decoder: StepDecoder) -> None:
        """Remember where a stream stopped reading, so that the next one of this process goes on from there."""
        self._reader = (follower, decoder)

    def take_reader(self, run_id: str) -> tuple[RunFollower, StepDecoder] | tuple[None, None]:
        """Return what `keep_reader` remembered of a run, once."""
        reader, self._reader = self._reader, None
        return reader if reader is not None and reader[0].run_id == run_id else (None, None)


@dataclass(frozen=True, slots=True)
class Response:
    """The response to one pending request, for `run_stream([Response(...)], checkpoint=checkpoint)`.

    Args:
        request_id: Id of the request_info event.
        data: The response, of the type the request declares, or JSON data that pydantic can make into it.
    """

    request_id: str
    data: Any
