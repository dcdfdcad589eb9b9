"""Signals that come together are handed over together, and what comes back is what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal.adapter._packing import (
    PackingInstance,
    PackingRunner,
    PackingSandboxedRunner,
    packing,
)
from agent_framework_temporal.workflows._arrivals import ARGUMENTS, BYTES, PACKED_SIGNAL, SIGNAL_NAME, pack, unpack
from agent_framework_temporal.workflows._signals import MAX_SIGNAL_BYTES
from agent_framework_temporal.workflows._unreadable import LASTING, UNREADABLE, why_unreadable
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import RawValue
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

_names = st.one_of(st.text(max_size=20), st.sampled_from([PACKED_SIGNAL, "respond"]))
_metadata = st.dictionaries(st.sampled_from([SIGNAL_NAME, ARGUMENTS, BYTES, "encoding"]), st.binary(max_size=3))
_payloads = st.builds(lambda data, metadata: Payload(data=data, metadata=metadata), st.binary(max_size=20), _metadata)


def _raw(payloads: list[Payload]) -> list[RawValue]:
    return [RawValue(payload) for payload in payloads]


@given(st.lists(st.tuples(_names, st.lists(_payloads, max_size=3)), max_size=5))
def test_what_was_put_together_comes_apart_again(signals: list[tuple[str, list[Payload]]]) -> None:
    found = list(unpack(PACKED_SIGNAL, _raw(pack(signals))))
    assert [(name, [argument.payload for argument in arguments]) for name, arguments, _ in found] == signals
    assert [size for _, _, size in found] == [sum(map(Payload.ByteSize, payloads)) for _, payloads in signals]


def test_what_is_too_large_is_left_out_and_told() -> None:
    large = Payload(data=b"x" * MAX_SIGNAL_BYTES)
    packed = pack([("respond", [large, large]), ("respond", [Payload(data=b"1")])])
    assert sum(payload.ByteSize() for payload in packed) < 1_000
    (_, refused, size), (_, kept, _) = unpack(PACKED_SIGNAL, _raw(packed))
    assert why_unreadable(refused) == f"it takes {size:,} bytes"
    assert size > 2 * MAX_SIGNAL_BYTES
    assert [argument.payload.data for argument in kept] == [b"1"]


@pytest.mark.parametrize(
    "metadata",
    [{}, {SIGNAL_NAME: b"respond"}, {SIGNAL_NAME: b"respond", ARGUMENTS: b"-1", BYTES: b"1"}, {ARGUMENTS: b"1"}],
)
def test_what_was_not_put_together_by_us_is_nothing(metadata: dict[str, bytes]) -> None:
    assert list(unpack(PACKED_SIGNAL, _raw([Payload(metadata=metadata)] * 3))) == []
    alone = _raw([Payload(metadata=metadata)])
    assert list(unpack("other", alone)) == [("other", alone, alone[0].payload.ByteSize())]


class _Given(WorkflowInstance):
    """Stands for the SDK's instance, and keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[WorkflowActivation] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self.given.append(act)
        return WorkflowActivationCompletion()

    def get_serialization_context(self, command_info: Any) -> Any:
        raise NotImplementedError

    def get_external_store_context(self, command_info: Any) -> Any:
        raise NotImplementedError

    def get_info(self) -> Any:
        raise NotImplementedError


def _activated(act: WorkflowActivation) -> tuple[WorkflowActivation, bool]:
    """Return what the SDK's instance is given of an activation, and whether a flood was noticed."""
    inner, noticed = _Given(), list[bool]()
    PackingInstance(inner, lambda: noticed.append(True)).activate(act)
    (given,) = inner.given
    return given, bool(noticed)


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


def _jobs(act: WorkflowActivation) -> list[Any]:
    found: list[Any] = []
    for job in act.jobs:
        if job.HasField("signal_workflow"):
            assert job.signal_workflow.signal_name == PACKED_SIGNAL
            signals = unpack(PACKED_SIGNAL, _raw(list(job.signal_workflow.input)))
            found.append([(name, [argument.payload.data for argument in arguments]) for name, arguments, _ in signals])
        else:
            found.append(job.WhichOneof("variant"))
    return found


def test_signals_between_updates_keep_their_order() -> None:
    act, _ = _activated(_activation("signal", "signal", "update", "signal", "timer", "start", "signal"))
    assert _jobs(act) == [
        [("s0", [b"0"]), ("s1", [b"1"])],
        "do_update",
        [("s3", [b"3"])],
        "fire_timer",
        "initialize_workflow",
        [("s6", [b"6"])],
    ]
    assert [job.signal_workflow.originating_event_id for job in act.jobs if job.HasField("signal_workflow")] == [
        5,
        8,
        11,
    ]


def test_a_flood_is_noticed() -> None:
    assert [_activated(_activation(*["signal"] * number))[1] for number in (0, 1, 20, 21)] == [False] * 3 + [True]


@pytest.mark.parametrize("number", [0, 1, 2, 50])
def test_a_start_has_one_argument(number: int) -> None:
    act = WorkflowActivation()
    act.jobs.add().initialize_workflow.arguments.extend([Payload(data=b"{}")] * number)
    (argument,) = _activated(act)[0].jobs[0].initialize_workflow.arguments
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
