"""Replays stored runs, in Temporal's way and exactly.

Temporal's replay looks at the order of commands and at their kinds. A command that comes too early is taken for the one
that comes later, and what is in a command is not looked at: right for whether a worker can take over a run, which is
what histories of earlier releases are for, and too little to see that the workflow has changed. So the histories of the
present release are also replayed exactly: each workflow task must give the same commands with the same contents. Fields
may have been added: `messages.py` promises no more than that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from agent_framework_temporal import AgentFrameworkPlugin
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

Command: TypeAlias = dict[str, Any]


class Tasks(dict[int, list[Command]]):
    """The commands of workflow tasks, by the event id with which each started."""


_EVENTS = {
    "ACTIVITY_TASK_SCHEDULED": "schedule_activity",
    "ACTIVITY_TASK_CANCEL_REQUESTED": "request_cancel_activity",
    "TIMER_STARTED": "start_timer",
    "TIMER_CANCELED": "cancel_timer",
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": "upsert_workflow_search_attributes",
    "MARKER_RECORDED": "set_patch_marker",
    "WORKFLOW_EXECUTION_COMPLETED": "complete_workflow_execution",
    "WORKFLOW_EXECUTION_FAILED": "fail_workflow_execution",
    "WORKFLOW_EXECUTION_CANCELED": "cancel_workflow_execution",
    "WORKFLOW_EXECUTION_CONTINUED_AS_NEW": "continue_as_new_workflow_execution",
}
_CHANGE_VERSION = "TemporalChangeVersion"
_LAST = tuple(name for event, name in _EVENTS.items() if event.startswith("WORKFLOW_EXECUTION_"))


class ChangedCommandsError(AssertionError):
    """A replayed run does other than it did, though Temporal may not mind."""


async def replay(history: WorkflowHistory, *, exactly: bool) -> None:
    """Replay a run with the workflow as it is now, in the sandbox of workers.

    Raises:
        NondeterminismError: When a worker could not take over the run.
        ChangedCommandsError: When it is replayed exactly, and a workflow task gives other commands.
    """
    tasks = Tasks()
    watching = SimplePlugin("watching", workflow_runner=lambda runner: _Watched(_given(runner), tasks))
    # In debug mode no task is given up because a busy machine takes too long for it.
    replayer = Replayer(workflows=[], plugins=[AgentFrameworkPlugin(), watching], debug_mode=True)
    try:
        await replayer.replay_workflow(history)
    except RuntimeError as error:
        if "Fatal error in workflow machines" in str(error):  # What the SDK says where the order of timers has changed.
            raise NondeterminismError(str(error)) from error
        raise
    found = differences(history, tasks) if exactly else []
    if found:
        raise ChangedCommandsError(f"{history.workflow_id} does other than it did:\n" + "\n".join(found[:10]))


def _given(runner: WorkflowRunner | None) -> WorkflowRunner:
    assert isinstance(runner, SandboxedWorkflowRunner)  # As workers run it.
    return runner


class _Watched(WorkflowRunner):
    """Runs workflows by another runner and notes their commands."""

    def __init__(self, runner: WorkflowRunner, tasks: Tasks) -> None:
        self._runner = runner
        self._tasks = tasks

    def prepare_workflow(self, defn: Any) -> None:
        self._runner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Any) -> None:
        self._runner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(self._runner.create_instance(det), self._tasks)


class _Instance(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance, tasks: Tasks) -> None:
        self._instance = instance
        self._tasks = tasks

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        completion = self._instance.activate(act)
        commands = self._tasks.setdefault(act.history_length, [])
        commands += [_decided(command) for command in completion.successful.commands]
        return completion

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Any:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


def differences(history: WorkflowHistory, tasks: Tasks) -> list[str]:
    """Return where the commands of a replay are not those of the history; of tasks that were completed."""
    found: list[str] = []
    for started, then in _recorded(history.events).items():
        now = _quiescent(tasks.get(started, []))
        kinds = [[command["command"] for command in commands] for commands in (then, now)]
        if kinds[0] != kinds[1]:
            found.append(f"task {started}: {kinds[0]}, now {kinds[1]}")
            continue
        for before, after in zip(then, now, strict=True):
            same = _as_asyncio_rounds(before, after)
            found += [f"task {started}, {before['command']}: {text}" for text in _lost(before, same)]
    return found


def _as_asyncio_rounds(then: Command, now: Command) -> Command:
    """Return a timer as it was, if it differs by what the wait for a condition rounds otherwise since Python 3.12.

    There `asyncio.wait_for` adds the wait to the time, and the loop takes the time away again: of a time of ten digits
    the float ends within a microsecond, so a wait that is cut to milliseconds may be one longer. No run breaks of it:
    the server's and the SDK's check of a replay does not compare how long a timer is.
    """
    before, after = then.get("milliseconds"), now.get("milliseconds")
    if sys.version_info >= (3, 12) and before is not None and after is not None and abs(after - before) == 1:
        return {**now, "milliseconds": before}
    return now


def _quiescent(commands: list[Command]) -> list[Command]:
    """Return what the server gets of a task's commands: not a timer that goes as it comes, nothing behind the end."""
    timers = [[c.get("timer") for c in commands if c["command"] == kind] for kind in ("start_timer", "cancel_timer")]
    gone = set(timers[0]) & set(timers[1])
    kept = [c for c in commands if c["command"] in _EVENTS.values() and not ("timer" in c and c["timer"] in gone)]
    ends = [command for command in kept if command["command"] in _LAST]
    return [*(command for command in kept if command["command"] not in _LAST), *ends[:1]]


def _recorded(events: Any) -> Tasks:
    """Return the commands of a history: their events lie right behind the completion of their task."""
    tasks = Tasks()
    current: list[Command] | None = None
    for event in events:
        name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        if name == "WORKFLOW_TASK_COMPLETED":
            current = tasks[event.workflow_task_completed_event_attributes.started_event_id] = []
        elif name in _EVENTS and current is not None:
            command = _event(event, _EVENTS[name])
            if _CHANGE_VERSION not in command:  # The SDK's own, behind the marker of a patch.
                current.append(command)
        elif not name.startswith("WORKFLOW_EXECUTION_UPDATE_"):
            current = None
    return tasks


def _event(event: HistoryEvent, kind: str) -> Command:
    attributes = getattr(event, str(event.WhichOneof("attributes")))
    return {"command": kind, **_contents(kind, attributes, event.user_metadata)}


def _decided(command: WorkflowCommand) -> Command:
    kind = str(command.WhichOneof("variant"))
    return {"command": kind, **_contents(kind, getattr(command, kind), command.user_metadata)}


def _contents(kind: str, of: Any, metadata: UserMetadata) -> Command:
    """Return what is compared of a command or of the event it became, whose fields have other names in part."""
    recorded = of.DESCRIPTOR.name.endswith("EventAttributes")
    if kind == "schedule_activity":
        return {
            "id": of.activity_id,
            "type": of.activity_type.name if recorded else of.activity_type,
            "input": _texts(of.input.payloads if recorded else of.arguments),
            "start_to_close": of.start_to_close_timeout.ToMilliseconds(),
            "heartbeat": of.heartbeat_timeout.ToMilliseconds(),
            "retry": MessageToDict(of.retry_policy),
            "priority": [of.priority.priority_key, of.priority.fairness_key, of.priority.fairness_weight],
            "summary": _text(metadata.summary),
        }
    if kind == "start_timer":
        return {
            "timer": of.timer_id if recorded else str(of.seq),
            "milliseconds": of.start_to_fire_timeout.ToMilliseconds(),
            "summary": _text(metadata.summary),
        }
    if kind == "cancel_timer":
        return {"timer": of.timer_id if recorded else str(of.seq)}
    if kind == "upsert_workflow_search_attributes":
        return {name: _text(value) for name, value in of.search_attributes.indexed_fields.items()}
    if kind == "complete_workflow_execution":
        return {"result": _texts(of.result.payloads) if recorded else [_text(of.result)]}
    if kind == "fail_workflow_execution":
        details = of.failure.application_failure_info.details.payloads
        return {"message": of.failure.message, "details": _texts(details)}
    if kind == "continue_as_new_workflow_execution":
        return {"input": _texts(of.input.payloads if recorded else of.arguments)}
    return {}


def _texts(payloads: Iterable[Payload]) -> list[Any]:
    return [_text(payload) for payload in payloads]


def _text(payload: Payload) -> Any:
    return json.loads(payload.data) if payload.data else None


def _lost(then: Any, now: Any, place: str = "") -> Iterator[str]:
    """Yield what was there then and is not now, or is something else; not what has been added."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            if key in now:
                yield from _lost(value, now[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is gone"
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, (before, after) in enumerate(zip(then, now, strict=True)):
            yield from _lost(before, after, f"{place}.{index}")
    elif then != now:
        yield f"{place} was {str(then)[:200]}, now {str(now)[:200]}"
