"""The phases of a call's reader: what a run's history tells, one step after another, and which of it is the call's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from agent_framework_temporal import Checkpoint, RunFailedError
from agent_framework_temporal.adapter.checkpoints.history import Closed
from agent_framework_temporal.adapter.client.call_reader import CallPhase, CallReader, CallScope, RunPhase
from agent_framework_temporal.adapter.client.run_follower import FollowedEvent, Quiescent, RunFollower, SuperstepLost
from agent_framework_temporal.adapter.client.superstep_decoder import SuperstepDecoder
from agent_framework_temporal.adapter.client.thread_cursor import ThreadCursors
from agent_framework_temporal.workflows.messages import (
    LoggedEvent,
    ResponseInput,
    RunResult,
    SuperstepInput,
    SuperstepResult,
)
from temporalio.client import Client

_HANDLE = Checkpoint(workflow_name="w", thread_id="t", run_id="r")
_CLIENT = cast(Client, None)
"""Nothing that is read here asks the server."""
_REF = {"thread_id": "t", "run_id": "r", "checkpoint_id": "c"}


class Told(RunFollower):
    """Tells what it is given, and then nothing more."""

    def __init__(self, steps: Sequence[FollowedEvent]) -> None:
        self.thread_id, self.run_id, self.client = "t", "r", _CLIENT
        self._steps = list(steps)

    async def next(self) -> FollowedEvent:
        if not self._steps:
            await asyncio.Event().wait()
        return self._steps.pop(0)

    def rest(self) -> None:
        """Nothing is waited for."""


def _reader(scope: CallScope, *steps: FollowedEvent) -> CallReader:
    decoder = SuperstepDecoder(_CLIENT, "t", "r", None)
    return CallReader(Told(steps), decoder, _HANDLE, ThreadCursors().of(_HANDLE), scope, None)


def _scheduled(*call_ids: str) -> SuperstepInput:
    responses = [ResponseInput(request_id=call_id, call_id=call_id) for call_id in call_ids]
    return SuperstepInput(workflow_name="w", mode="responses", responses=responses)


def _ended(offset: int, state: Any = "running") -> SuperstepResult:
    return SuperstepResult(
        state=state, events=[LoggedEvent(offset=offset, type="superstep_started", origin="FRAMEWORK")]
    )


async def _read(reader: CallReader) -> tuple[int, RunPhase, CallPhase]:
    """Return how many events are given before there is no more to read, and the phases then."""
    given = 0
    try:
        async with asyncio.timeout(0.2):
            async for _ in reader.events():
                given += 1
    except TimeoutError:
        pass
    return given, reader._run, reader._call


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((), RunPhase.BETWEEN),
        ((_scheduled(),), RunPhase.RUNNING),
        ((_scheduled(), _ended(0)), RunPhase.BETWEEN),
        ((_scheduled(), _ended(0, "waiting")), RunPhase.WAITING),
        ((_scheduled(), _ended(0, "waiting"), _scheduled()), RunPhase.RUNNING),
        ((_scheduled(), SuperstepLost("gone")), RunPhase.FAILED),
        ((_scheduled(), SuperstepLost("gone"), _scheduled()), RunPhase.RUNNING),
        ((_scheduled(), _ended(0, "waiting"), Quiescent(9)), RunPhase.OVER),
        ((_scheduled(), _ended(0), Quiescent(9)), RunPhase.BETWEEN),
    ],
)
async def test_the_phase_of_a_run_is_what_was_told_last(steps: tuple[FollowedEvent, ...], phase: RunPhase) -> None:
    assert (await _read(_reader(CallScope(after=-1), *steps)))[1:] == (phase, CallPhase.UNDER_WAY)


async def test_a_call_begins_with_the_superstep_that_takes_its_responses() -> None:
    scope = CallScope(after=-1, call_id="mine")
    others = (_scheduled("other"), _ended(0))
    assert await _read(_reader(scope, *others)) == (0, RunPhase.BETWEEN, CallPhase.SENT)
    taken = (*others, _scheduled("mine"), _ended(1))
    assert await _read(_reader(scope, *taken)) == (1, RunPhase.BETWEEN, CallPhase.TAKEN)
    after = (*taken, _scheduled(), _ended(2))
    assert await _read(_reader(scope, *after)) == (2, RunPhase.BETWEEN, CallPhase.UNDER_WAY)


async def test_a_pause_is_raised_where_nothing_wakes_the_run() -> None:
    with pytest.raises(RunFailedError, match="gone"):
        await _read(_reader(CallScope(after=-1), _scheduled(), SuperstepLost("gone"), Quiescent(9)))


async def test_a_run_that_ends_without_taking_the_responses_had_no_such_request() -> None:
    closed = Closed("idle", result=RunResult.model_validate({"checkpoint": _REF, "graph_hash": "g", "next_offset": 1}))
    with pytest.raises(RuntimeError, match="No pending requests"):
        await _read(_reader(CallScope(after=-1, call_id="mine"), closed))
