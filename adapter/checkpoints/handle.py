"""The handle an application keeps, and the form in which it hands over responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...workflows.exported import exported


@exported
class Checkpoint(BaseModel):
    """One thread of a workflow: all that any process needs to continue it.

    It moves forward by itself while `run` or `run_stream` proceeds with it. `to_json()` writes it, `from_json()` reads
    it back in another process. It holds no state of the workflow, only references of a few hundred bytes.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(validate_assignment=True, extra="forbid")

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
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(default=None, max_length=20)
    """Tags that runs started with this handle give the thread; None leaves those it has. Threads are found by them
    (`DurableWorkflow.threads`). They are not sealed where the namespace has our search attributes."""

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
            raise ValueError(f"This is not a valid thread handle: {where}: {mistake['msg']}") from error


def thread_id_of(checkpoint: Checkpoint | str) -> str:
    """Return the id of the thread that a handle names, or an id itself."""
    return checkpoint if isinstance(checkpoint, str) else checkpoint.thread_id


@exported
@dataclass(frozen=True, slots=True)
class Response:
    """The response to one pending request, for `run_stream([Response(...)], checkpoint=checkpoint)`.

    Args:
        request_id: Id of the request_info event.
        data: The response, of the type the request declares, or JSON data that pydantic can make into it.
    """

    request_id: str
    data: Any
