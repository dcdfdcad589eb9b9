"""Signals that come together are handed over together, and what comes back is what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal.adapter.temporal.packing import (
    PackingInstance,
    PackingRunner,
    PackingSandboxedRunner,
    packing,
)
from agent_framework_temporal.workflows.messages import WORKFLOW_TYPE
from agent_framework_temporal.workflows.requests import arrivals as _arrivals
from agent_framework_temporal.workflows.requests.arrivals import PACKED_SIGNAL, taken_over
from agent_framework_temporal.workflows.unreadable import LASTING, UNREADABLE
from agent_framework_temporal.workflows.workflow import AgentFrameworkWorkflow
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import RawValue
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import _Definition


class _Given(WorkflowInstance):
    """Stands for the SDK's instance, and keeps what it is given, with the signals as our workflow takes them over."""

    def __init__(self) -> None:
        self.given: list[WorkflowActivation] = []
        self.signals: list[list[tuple[str, list[bytes]]]] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self.given.append(act)
        for job in act.jobs:
            if job.HasField("signal_workflow"):
                assert job.signal_workflow.signal_name == PACKED_SIGNAL
                jobs = taken_over(PACKED_SIGNAL, [RawValue(payload) for payload in job.signal_workflow.input])
                signals = [found.signal_workflow for found in jobs]
                self.signals.append([(found.signal_name, [each.data for each in found.input]) for found in signals])
        return WorkflowActivationCompletion()

    def get_serialization_context(self, command_info: Any) -> Any:
        raise NotImplementedError

    def get_external_store_context(self, command_info: Any) -> Any:
        raise NotImplementedError

    def get_info(self) -> Any:
        raise NotImplementedError


def _activated(act: WorkflowActivation) -> tuple[_Given, bool]:
    """Return what the SDK's instance is given of an activation, and whether a flood was noticed."""
    inner, noticed = _Given(), list[bool]()
    PackingInstance(inner, lambda: noticed.append(True)).activate(act)
    return inner, bool(noticed)


def _activation(*kinds: str) -> WorkflowActivation:
    act = WorkflowActivation()
    for number, kind in enumerate(kinds):
        job = act.jobs.add()
        if kind == "signal":
            job.signal_workflow.signal_name = f"s{number}"
            job.signal_workflow.originating_event_id = number + 5
            job.signal_workflow.input.add(data=b"%d" % number)
        elif kind == "update":
            job.do_update.name = f"u{number}"
        elif kind == "start":
            job.initialize_workflow.arguments.add(data=b"{}")
        else:
            job.fire_timer.seq = number
    return act


def test_signals_between_updates_keep_their_order() -> None:
    inner, _ = _activated(_activation("signal", "signal", "update", "signal", "timer", "start", "signal"))
    assert [job.WhichOneof("variant") for job in inner.given[0].jobs] == [
        "signal_workflow",
        "do_update",
        "signal_workflow",
        "fire_timer",
        "initialize_workflow",
        "signal_workflow",
    ]
    assert inner.signals == [[("s0", [b"0"]), ("s1", [b"1"])], [("s3", [b"3"])], [("s6", [b"6"])]]
    signals = [job.signal_workflow for job in inner.given[0].jobs if job.HasField("signal_workflow")]
    assert [signal.originating_event_id for signal in signals] == [5, 8, 11]


def test_nobody_can_send_what_stands_for_others() -> None:
    act = _activation("signal", "signal")
    for job in act.jobs:
        job.signal_workflow.signal_name = PACKED_SIGNAL
    assert _activated(act)[0].signals == [[(PACKED_SIGNAL, [b"0"]), (PACKED_SIGNAL, [b"1"])]]


def test_nothing_is_kept_of_what_nobody_took() -> None:
    class Broken(_Given):
        def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
            raise RuntimeError("broken")

    before = len(_arrivals._held._jobs)
    with pytest.raises(RuntimeError, match="broken"):
        PackingInstance(Broken(), lambda: None).activate(_activation("signal", "update", "signal"))
    assert len(_arrivals._held._jobs) == before


def test_a_signal_of_a_worker_that_does_not_hand_over() -> None:
    payload = Payload(data=b"1")
    (job,) = taken_over("respond", [RawValue(payload)])
    assert job.signal_workflow.signal_name == "respond"
    assert list(job.signal_workflow.input) == [payload]


def test_a_flood_is_noticed() -> None:
    assert [_activated(_activation(*["signal"] * number))[1] for number in (0, 1, 20, 21)] == [False] * 3 + [True]


@pytest.mark.parametrize("number", [0, 1, 2, 50])
def test_a_start_has_one_argument(number: int) -> None:
    act = WorkflowActivation()
    act.jobs.add().initialize_workflow.arguments.extend([Payload(data=b"{}")] * number)
    (argument,) = _activated(act)[0].given[0].jobs[0].initialize_workflow.arguments
    if number == 1:
        assert argument == Payload(data=b"{}")
    else:
        assert argument.metadata[UNREADABLE] == LASTING
        assert f"was given {number}" in argument.data.decode()


def test_every_kind_of_runner_packs_once() -> None:
    sandboxed = packing(SandboxedWorkflowRunner())
    assert isinstance(sandboxed, PackingSandboxedRunner)
    assert packing(sandboxed) is sandboxed

    class Derived(SandboxedWorkflowRunner):
        pass

    for runner in (UnsandboxedWorkflowRunner(), Derived()):
        packed = packing(runner)
        assert isinstance(packed, PackingRunner)
        assert packing(packed) is packed


@workflow.defn(name="OtherOfTheWorker")
class _Other:
    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("sandboxed", [True, False])
def test_other_workflows_stay_in_the_sandbox(sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str | None] = []
    monkeypatch.setattr(SandboxedWorkflowRunner, "prepare_workflow", lambda _, defn: entered.append(defn.name))
    runner = packing(SandboxedWorkflowRunner(), sandboxed=sandboxed)
    for kind in (AgentFrameworkWorkflow, _Other):
        runner.prepare_workflow(_Definition.must_from_class(kind))
    assert entered == [WORKFLOW_TYPE, "OtherOfTheWorker"][0 if sandboxed else 1 :]


def test_what_is_put_off_is_bounded_over_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrivals, "MAX_HELD_BYTES", 1_000)
    held = _arrivals._Held()
    handed_over = held.put([])
    keys = [held.put([], 300) for _ in range(5)]
    assert [held.get(key) is None for key in keys] == [True, True, False, False, False]
    assert held.get(handed_over) is not None  # A workflow task is about to take it.
    held.pop(keys[-1])
    assert held.put([], 300) > keys[-1]
    assert held.get(keys[2]) is not None
