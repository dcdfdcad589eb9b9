"""What is no `Exception`, or cannot be read, ends as a failure of its executor; the worker lives on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Workflow, WorkflowEvent
from agent_framework_temporal import DurableWorkflow, RunFailedError
from temporalio.client import Client

from tests.facade._escaping import (
    WAYS,
    Halt,
    escaping,
    escaping_in_a_thread,
    escaping_tools,
    escaping_when_restored,
    escaping_when_saved,
)
from tests.flows import LEDGER
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)
_ITSELF = "It cancelled itself; the run was not cancelled"
TOLD = {
    "cancelled": f"CancelledError: {_ITSELF}: Cancelled via cancel scope 7f",
    "child cancelled": f"CancelledError: {_ITSELF}.",
    "own task cancelled": f"CancelledError: {_ITSELF}: Cancelled via cancel scope 7f",
    "exit": "SystemExit: sys.exit was called: exit code 2",
    "exit with text": "SystemExit: sys.exit was called: exit code 1: cannot go on",
    "argparse": "SystemExit: sys.exit was called: exit code 2 (argument --n: invalid int value: 'many')",
    "child exits": "SystemExit: sys.exit was called: exit code 3",
    "group exits": "BaseExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception): "
    "SystemExit: sys.exit was called: exit code 3",
    "interrupt": "KeyboardInterrupt: KeyboardInterrupt was raised, but not by a signal.",
    "generator exit": "GeneratorExit: ",
    "halt": "Halt: stop",
    "group halts": "BaseExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception): Halt: all of it",
    "group": f"BaseExceptionGroup: both (2 sub-exceptions): ValueError: a; CancelledError: {_ITSELF}.",
    "unreadable": "Unreadable: Unreadable (its text cannot be read)",
    "exits when read": "ExitsWhenRead: ExitsWhenRead (its text cannot be read)",
}
"""What the caller is told by a `RunFailedError`; the others are rebuilt."""


async def _fails(durable: DurableWorkflow, message: str) -> tuple[Exception, list[WorkflowEvent[Any]]]:
    events: list[WorkflowEvent[Any]] = []
    async with asyncio.timeout(60):
        try:
            async for event in durable.run_stream(message, checkpoint=durable.checkpoint()):
                events.append(event)
        except Exception as error:
            return error, events
    raise AssertionError(f"{message} did not fail")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(path))
    return path


def _lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines()


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_an_executor_lets_out_is_its_failure(way: str, client: Client, ledger: Path) -> None:
    async with worker(client, escaping) as task_queue:
        durable = DurableWorkflow(
            escaping, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=_FAST
        )
        error, events = await _fails(durable, way)
        last = ["superstep_started", "executor_invoked", "executor_failed", "failed", "status"]
        assert [event.type for event in events][-5:] == last
        assert events[-3].executor_id == "escaping"
        assert len(_lines(ledger)) == 2
        if way in TOLD:
            assert isinstance(error, RunFailedError)
            assert str(error) == TOLD[way]
            for event in events[-3:-1]:
                assert event.details is not None
                assert event.details.error_type == TOLD[way].partition(":")[0]
        # The same worker goes on.
        assert (await durable.run("well", checkpoint=durable.checkpoint())).get_outputs() == ["well done"]


@pytest.mark.parametrize("way", ["exit", "argparse", "interrupt", "halt", "unreadable", "cancelled"])
async def test_out_of_a_thread_too(way: str, client: Client, ledger: Path) -> None:
    async with worker(client, escaping_in_a_thread) as task_queue:
        durable = DurableWorkflow(
            escaping_in_a_thread, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=_FAST
        )
        error, _ = await _fails(durable, way)
        assert str(error) == TOLD[way]
        assert len(_lines(ledger)) == 2


async def test_the_same_executor_in_process_is_left_as_it_is(client: Client, ledger: Path) -> None:
    """A function executor is one object in the workflows of the worker and in those of its process."""
    async with worker(client, escaping_in_a_thread) as task_queue:
        durable = DurableWorkflow(escaping_in_a_thread, client=client, task_queue=task_queue, max_attempts=1)
        await _fails(durable, "halt")
        with pytest.raises(Halt):
            await escaping_in_a_thread().run("halt")


@pytest.mark.parametrize("hook", [escaping_when_saved, escaping_when_restored])
@pytest.mark.parametrize("way", ["exit", "interrupt", "halt", "cancelled"])
async def test_out_of_a_hook_too(way: str, hook: Any, client: Client, ledger: Path) -> None:
    async with worker(client, hook, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(
            hook, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=_FAST
        )
        error, events = await _fails(durable, way)
        assert str(error) == TOLD[way]
        assert [event.type for event in events][-2:] == ["failed", "status"]


async def test_a_factory_that_ends_the_program_is_refused(client: Client) -> None:
    exiting = False

    def build() -> Workflow:
        if exiting:
            raise SystemExit(4)
        return escaping()

    async with worker(client, build) as task_queue:
        exiting = True
        durable = DurableWorkflow("escaping", client=client, task_queue=task_queue)
        error, _ = await _fails(durable, "well")
        assert "exit code 4" in str(error)
        exiting = False
        assert (await durable.run("well", checkpoint=durable.checkpoint())).get_outputs() == ["well done"]


@pytest.mark.parametrize("tool", ["exits", "exits_later"])
async def test_a_tool_that_ends_the_program_fails_its_agent(tool: str, client: Client, ledger: Path) -> None:
    async with worker(client, escaping_tools) as task_queue:
        durable = DurableWorkflow(
            escaping_tools, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=_FAST
        )
        error, events = await _fails(durable, tool)
        assert isinstance(error, RunFailedError)
        assert error.error_type == "SystemExit"
        assert str(error).startswith("SystemExit: sys.exit was called: exit code")
        assert [event.type for event in events][-3:] == ["executor_failed", "failed", "status"]
        assert len(_lines(ledger)) == 2


async def test_a_group_tells_its_members(client: Client, ledger: Path) -> None:
    async with worker(client, escaping) as task_queue:
        durable = DurableWorkflow(escaping, client=client, task_queue=task_queue, max_attempts=1)
        error, _ = await _fails(durable, "group")
        assert isinstance(error, RunFailedError)
        assert (error.error_module, error.error_type) == ("builtins", "BaseExceptionGroup")
        first, second = error.errors
        assert (type(first), str(first)) == (ValueError, "a")
        assert isinstance(second, RunFailedError)
        assert second.error_type == "CancelledError"


async def test_a_worker_process_and_its_other_runs_live_on(client: Client, ledger: Path) -> None:
    """All ways at once, beside a run that takes its time, on one worker."""
    task_queue = unique("queue")
    flows = ["tests.facade._escaping:escaping", "tests.flows:chain"]
    async with worker_process(client, task_queue, ledger, delay=1.0, workflows=flows) as process:
        chain = DurableWorkflow("chain", client=client, task_queue=task_queue)
        beside = asyncio.ensure_future(chain.run("a"))
        durable = DurableWorkflow(
            escaping, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=_FAST
        )
        await asyncio.gather(*(_fails(durable, way) for way in WAYS))
        assert (await beside).get_outputs() == ["a>first>second>third done"]
        assert process.returncode is None
    runs = [line for line in _lines(ledger) if " run " in line]
    assert {line.split()[0] for line in _lines(ledger)} == {str(process.pid)}
    assert {way: sum(line.endswith(f"run {way}") for line in runs) for way in WAYS} == dict.fromkeys(WAYS, 2)
