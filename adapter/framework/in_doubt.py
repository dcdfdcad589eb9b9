"""What a person is asked when nobody knows whether something has done its work."""

from __future__ import annotations

from dataclasses import dataclass

from ...workflows.exported import exported


@exported
@dataclass(frozen=True, slots=True)
class InDoubt:
    """A request: an executor's work, or a call that it makes with `once`, had begun when its worker was lost.

    The answer is a bool. True: it has not done its work, or may do it twice; it runs again with what it was given, and
    takes the calls that had finished. False: it is not run again. An executor fails with InDoubtError then, and with it
    the run; a call of `once` raises it in the executor, which runs again and may catch it to take another way.
    """

    executor_id: str
    """Who; within a sub-workflow after the id of the executor around it, with a slash between."""
    call: str | None
    """The name that `once` was given; None where it is the executor's invocation as a whole."""
    message: str
    """What the executor was given, shortened."""
    attempt: int
    """In which attempt of the superstep it had begun."""
    began: str
    """When, in ISO 8601."""
    question: str
    """The same for people."""
