"""Asserts that a workflow does on Temporal what it does in process."""

from __future__ import annotations

import difflib
import pprint
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_framework import Workflow, WorkflowEvent
from agent_framework_temporal.adapter.client.durable_workflow import DurableWorkflow
from agent_framework_temporal.adapter.client.event_position import without_void
from agent_framework_temporal.adapter.framework.definition import WorkflowSource, build

from .canonical import Canonical
from .environment import DurableTestEnvironment
from .exported import exported_for_tests

Responses = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]


@exported_for_tests
@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of `run`: a message or responses.

    Args:
        message: The message.
        responses: By request id; or a function that makes them of the pending requests, `{id: data}`.
        stream: Whether agents stream.
    """

    message: Any = None
    responses: Responses | None = None
    stream: bool = False


@exported_for_tests
async def assert_same_as_in_process(
    workflow: WorkflowSource, calls: Sequence[Call | Any], environment: DurableTestEnvironment | None = None
) -> None:
    """Run calls in process and on Temporal, and compare events, outputs and errors of each.

    Random ids and times are left out; what is random in the workflow itself makes it differ.

    Args:
        workflow: A factory: both sides need an instance of their own.
        calls: One after the other on one instance and one thread. What is no `Call` is a message.
        environment: Hosts the workflow; one is started when left out.

    Raises:
        AssertionError: With the difference, `-` in process and `+` on Temporal.
        ValueError: For an instance.
    """
    if isinstance(workflow, Workflow):
        raise ValueError("Give the factory, not an instance: both sides would share its state.")
    if environment is None:
        async with DurableTestEnvironment.start([workflow]) as started:
            await assert_same_as_in_process(workflow, calls, started)
        return
    if workflow not in environment.workflows:
        async with environment.host([workflow]) as hosting:
            await assert_same_as_in_process(workflow, calls, hosting)
        return
    calls = [call if isinstance(call, Call) else Call(message=call) for call in calls]
    durable = environment.durable(workflow, max_attempts=1)
    there = await _record(durable, calls)
    here = await _record(await build(workflow), calls)
    if here != there:
        before, after = (pprint.pformat(side, width=120).splitlines() for side in (here, there))
        lines = difflib.unified_diff(before, after, "in process", "on Temporal", lineterm="", n=2)
        raise AssertionError("The durable run differs from the one in process:\n" + "\n".join(lines))


async def _record(runner: Workflow | DurableWorkflow, calls: Sequence[Call]) -> list[Any]:
    canonical, pending = Canonical(), dict[str, Any]()
    recorded: list[Any] = []
    for call in calls:
        responses = call.responses(pending) if callable(call.responses) else call.responses
        events: list[WorkflowEvent[Any]] = []
        seen: dict[str, Any] = {}
        try:
            if call.stream:
                stream = runner.run(call.message, responses=responses, stream=True)
                async for event in stream:
                    events.append(event)
                result = await stream.get_final_response()
            else:
                result = await runner.run(call.message, responses=responses, include_status_events=True)
                events = list(result)
            seen["outputs"] = [canonical.value(output) for output in result.get_outputs()]
            seen["state"] = result.get_final_state().name
        except Exception as error:
            seen["error"] = canonical.value(f"{type(error).__name__}: {error}")
        for request_id in responses or ():
            pending.pop(request_id, None)
        pending.update({event.request_id: event.data for event in events if event.type == "request_info"})
        recorded.append({"events": canonical.events(without_void(events)), **seen})
    return recorded
