"""An executor's error reaches the caller as it was: its type, its text, its members and its plain attributes."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, RunFailedError
from pydantic import ValidationError
from temporalio.client import Client

from tests.facade._raising import RAISED, CodedError, raising
from tests.support import worker


def _seen(error: BaseException) -> dict[str, Any]:
    """Return what two errors are compared by; an attribute that is no plain data does not travel."""
    attributes = {name: value for name, value in vars(error).items() if name != "client"}
    found: dict[str, Any] = {"type": type(error), "text": str(error), "attributes": attributes}
    if isinstance(error, ValidationError):
        found["errors"] = [{name: line[name] for name in ("type", "loc", "msg", "input")} for line in error.errors()]
    elif isinstance(error, BaseExceptionGroup):
        found["members"] = [_seen(member) for member in error.exceptions]
    elif isinstance(error, UnicodeError):
        found["unicode"] = error.args
    elif isinstance(error, OSError):
        found["os"] = (error.errno, error.strerror, error.filename)
    return found


async def _raised(run: Any) -> Exception:
    try:
        await run
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("what", RAISED)
async def test_an_error_is_the_same_as_in_process(what: str, client: Client) -> None:
    expected = await _raised(raising().run(what))
    async with worker(client, raising) as task_queue:
        durable = DurableWorkflow(raising, client=client, task_queue=task_queue, max_attempts=1)
        assert _seen(await _raised(durable.run(what))) == _seen(expected)


async def test_a_caller_that_does_not_know_the_type_is_told_its_data(client: Client) -> None:
    async with worker(client, raising) as task_queue:
        durable = DurableWorkflow("raising", client=client, task_queue=task_queue, max_attempts=1)
        error = await _raised(durable.run("an error with attributes"))
        if not isinstance(error, CodedError):  # Its class is loaded here, and a caller by name may not use it.
            assert isinstance(error, RunFailedError)
            assert (error.error_module, error.error_type) == (CodedError.__module__, "CodedError")
            assert error.data == {"code": 9, "hints": {"retry": [1, 2]}}
            assert str(error) == "CodedError: coded"
        group = await _raised(durable.run("a task group", checkpoint=durable.checkpoint()))
        assert isinstance(group, ExceptionGroup)
        assert [str(member) for member in group.exceptions] in (["in a task"], ["CodedError: in a task"])
