"""The worked example of CONTRIBUTING.md: a change of the workflow after a release, from its first day to its last.

The change: a run that continues as new between supersteps stores its checkpoint whole before it goes on, as one that
waits does already. That is one more superstep activity, so replay minds.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.workflows.messages import RunInput, SuperstepInput
from agent_framework_temporal.workflows.workflow import AgentFrameworkWorkflow
from temporalio import workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.workflow import NondeterminismError

from tests.docs._pages import ROOT, blocks
from tests.flows import countdown
from tests.replay.replaying import replay
from tests.replay.stage import Stage, counted
from tests.replay.store import stored
from tests.support import worker

_METHOD = "_first_step"
_released: Callable[..., Any] = getattr(AgentFrameworkWorkflow, _METHOD)


async def without_a_guard(self: Any, run_input: RunInput) -> SuperstepInput:
    if run_input.continued is not None and not run_input.continued.waiting:
        await self._superstep(self._step("store"))
    return await _released(self, run_input)  # type: ignore[no-any-return]


async def first_step(self: Any, run_input: RunInput) -> SuperstepInput:
    goes_on = run_input.continued is not None and not run_input.continued.waiting
    if goes_on and workflow.patched("0.2.0-store-in-each-run"):
        await self._superstep(self._step("store"))
    return await _released(self, run_input)  # type: ignore[no-any-return]


async def without_the_old_branch(self: Any, run_input: RunInput) -> SuperstepInput:
    if run_input.continued is not None and not run_input.continued.waiting:
        workflow.deprecate_patch("0.2.0-store-in-each-run")
        await self._superstep(self._step("store"))
    return await _released(self, run_input)  # type: ignore[no-any-return]


def _continued() -> list[WorkflowHistory]:
    """Return stored runs that a run before has continued as, between supersteps."""
    return [run.history() for run in stored(scenario="continued-after-supersteps")[1:]]


@pytest.fixture(scope="module")
async def changed(client: Client) -> AsyncIterator[list[WorkflowHistory]]:
    """Runs of a worker with the change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentFrameworkWorkflow, _METHOD, first_step)
        async with worker(client, countdown) as task_queue:
            durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, supersteps_per_run=3)
            thread = durable.checkpoint()
            result = await durable.run(7, checkpoint=thread)
            assert result.get_outputs()[-1] == "0 left"
        stage = Stage(client, task_queue)
        await stage.keep(thread)
    yield stage.kept


async def test_without_a_guard_no_worker_could_take_over_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentFrameworkWorkflow, _METHOD, without_a_guard)
    with pytest.raises(NondeterminismError):
        await replay(_continued()[0], exactly=False)


async def test_with_a_guard_runs_that_began_before_go_on_as_they_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentFrameworkWorkflow, _METHOD, first_step)
    for history in _continued():
        await replay(history, exactly=True)


async def test_runs_that_begin_now_do_what_is_new(
    changed: list[WorkflowHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [counted([history])["MARKER_RECORDED"] for history in changed] == [0, 1, 1]
    for history in changed[1:]:
        # A worker of the release before cannot take them over.
        with pytest.raises(NondeterminismError):
            await replay(history, exactly=False)
    monkeypatch.setattr(AgentFrameworkWorkflow, _METHOD, first_step)
    for history in changed:
        await replay(history, exactly=True)


async def test_when_no_older_run_is_open_the_old_branch_goes(
    changed: list[WorkflowHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AgentFrameworkWorkflow, _METHOD, without_the_old_branch)
    for history in changed:
        await replay(history, exactly=False)


def test_it_is_what_the_page_shows() -> None:
    shown = [block.text for block in blocks(ROOT / "CONTRIBUTING.md", "python")]
    assert inspect.getsource(first_step).replace("  # type: ignore[no-any-return]", "") in shown
