"""How a worker hands workflow tasks to our workflow: signals that came together as one, and starts as they should be.

The SDK spends on each signal more than our workflow does on one that it refuses, and a workflow task of thousands has
the same two seconds.

Our workflow runs without the SDK's sandbox unless a worker asks for it. Its code is this package's alone, which the
sandbox takes from outside anyway, and is held to be deterministic by replaying stored histories in it. Entering it
costs CPU with each task and each payload. Other workflows of the worker keep theirs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

from ...workflows.messages import WORKFLOW_TYPE
from ...workflows.requests.arrivals import PACKED_SIGNAL, forget, hand_over
from ...workflows.unreadable import unreadable

FLOOD_SIGNALS = 20
"""More signals in one workflow task are many."""


def _ignore() -> None:
    """Do nothing about a flood."""


@dataclasses.dataclass(frozen=True)
class PackingSandboxedRunner(SandboxedWorkflowRunner):
    """The SDK's sandbox, whose instances of our workflow are `PackingInstance`s."""

    flooded: Callable[[], None] = _ignore
    """Told when a workflow task brings many signals."""

    sandboxed: bool = True
    """Whether our workflow runs in the sandbox too."""

    def prepare_workflow(self, defn: Any) -> None:
        """See base class."""
        if self.sandboxed or defn.name != WORKFLOW_TYPE:
            super().prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See base class."""
        if self.sandboxed or det.defn.name != WORKFLOW_TYPE:
            instance = super().create_instance(det)
        else:
            instance = UnsandboxedWorkflowRunner().create_instance(det)
        return _packing(instance, det, self.flooded)


class PackingRunner(WorkflowRunner):
    """The same around any other runner."""

    def __init__(self, runner: WorkflowRunner, flooded: Callable[[], None]) -> None:
        self._wrapped = runner
        self._flooded = flooded

    def prepare_workflow(self, defn: Any) -> None:
        """See base class."""
        self._wrapped.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See base class."""
        return _packing(self._wrapped.create_instance(det), det, self._flooded)

    def set_worker_level_failure_exception_types(self, types: Any) -> None:
        """See base class."""
        self._wrapped.set_worker_level_failure_exception_types(types)


class PackingInstance(WorkflowInstance):
    """One run of our workflow.

    Args:
        instance: The SDK's.
        flooded: See `PackingSandboxedRunner`.
    """

    def __init__(self, instance: WorkflowInstance, flooded: Callable[[], None]) -> None:
        self._instance = instance
        self._flooded = flooded
        self._context: SerializationContext | None = None

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """See base class."""
        _check_start(act)
        packed, count = _pack_signals(act)
        if count > FLOOD_SIGNALS:
            self._flooded()
        try:
            return self._instance.activate(act)
        finally:
            for payload in packed:
                forget(payload)

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        """See base class.

        The SDK asks three times for each signal, and enters the sandbox for it: of 10,000 signals that takes seconds.
        """
        if command_info is not None:
            return self._instance.get_serialization_context(command_info)
        if self._context is None:
            self._context = self._instance.get_serialization_context(None)
        return self._context

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        """See base class."""
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Info:
        """See base class."""
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        """See base class."""
        return self._instance.get_thread_id()


def packing(runner: WorkflowRunner, flooded: Callable[[], None] = _ignore, *, sandboxed: bool = True) -> WorkflowRunner:
    """Return a runner that packs; what it runs other workflows by stays.

    Args:
        runner: What the worker was given.
        flooded: See `PackingSandboxedRunner`.
        sandboxed: Whether our workflow runs in the SDK's sandbox, where others do. A runner of another kind runs ours
            as it runs others.
    """
    if isinstance(runner, PackingSandboxedRunner | PackingRunner):
        return runner
    if type(runner) is SandboxedWorkflowRunner:
        values = {field.name: getattr(runner, field.name) for field in dataclasses.fields(runner) if field.init}
        return PackingSandboxedRunner(**values, flooded=flooded, sandboxed=sandboxed)
    return PackingRunner(runner, flooded)


def _packing(
    instance: WorkflowInstance, details: WorkflowInstanceDetails, flooded: Callable[[], None]
) -> WorkflowInstance:
    return PackingInstance(instance, flooded) if details.defn.name == WORKFLOW_TYPE else instance


def _check_start(act: WorkflowActivation) -> None:
    """Give the workflow one argument, whatever it was started with: another number fails the task for ever."""
    for job in act.jobs:
        if job.HasField("initialize_workflow"):
            arguments = job.initialize_workflow.arguments
            if len(arguments) != 1:
                reason = f"it takes one argument, a `RunInput`, and was given {len(arguments)}"
                del arguments[:]
                arguments.append(unreadable(reason, lasting=True))


def _pack_signals(act: WorkflowActivation) -> tuple[list[Payload], int]:
    """Put signals that come one after the other together; returns what stands for them, and how many they are.

    Always, so that nobody can send what is put together.
    """
    packed: list[Payload] = []
    count, end = 0, len(act.jobs)
    while end:
        begin = end - 1
        if act.jobs[begin].HasField("signal_workflow"):
            while begin and act.jobs[begin - 1].HasField("signal_workflow"):
                begin -= 1
            count += end - begin
            first = WorkflowActivationJob()
            first.CopyFrom(act.jobs[begin])
            packed.append(hand_over([first, *act.jobs[begin + 1 : end]]))
            signal = act.jobs[begin].signal_workflow
            signal.signal_name = PACKED_SIGNAL
            signal.headers.clear()
            del signal.input[:]
            signal.input.append(packed[-1])
            del act.jobs[begin + 1 : end]
        end = begin
    return packed, count
