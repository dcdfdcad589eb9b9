"""Executors, sub-workflows and calls in doubt with a real server, and workers that are killed."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Workflow, WorkflowEvent, WorkflowRunState
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, InDoubt, InDoubtError, waiting_requests
from temporalio.client import Client

from tests.flows import LEDGER, Order
from tests.journal._paying import FAILS, KILLS, deep, fan, pay
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)
_ORDER = Order(item="pen")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    (tmp_path / "ledger").touch()
    return tmp_path / "ledger"


def _names(ledger: Path) -> list[str]:
    return sorted(line.split()[1] for line in ledger.read_text().splitlines())


def _durable(build: Callable[[], Workflow], client: Client, task_queue: str, **options: Any) -> DurableWorkflow:
    fast = {"heartbeat_timeout": timedelta(seconds=1), "retry_initial_interval": _FAST}
    return DurableWorkflow(build, client=client, task_queue=task_queue, **{**fast, **options})


def _told(events: list[WorkflowEvent[Any]]) -> list[tuple[Any, ...]]:
    """Return events as they are compared; those of executors beside each other come in any order."""
    return sorted((event.type, event.executor_id or "", repr(event.data)) for event in events)


async def _in_process(build: Callable[[], Workflow]) -> list[tuple[Any, ...]]:
    return _told(await build().run(_ORDER))


async def _killed(process: Process, running: asyncio.Future[Any]) -> None:
    """Wait until a worker has killed itself; what the caller is told instead is raised."""
    waiting = asyncio.ensure_future(process.wait())
    await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        raise AssertionError(f"The run has ended first: {await running}")


@pytest.mark.parametrize("streaming", [False, True], ids=["run", "stream"])
@pytest.mark.parametrize(
    ("build", "kills", "ran"),
    [(fan, "c", ["a", "b", "c", "c"]), (deep, "c", ["a", "b", "c", "c"]), (deep, "b", ["a", "b", "b", "c"])],
)
async def test_a_worker_is_killed(
    build: Callable[[], Workflow],
    kills: str,
    ran: list[str],
    streaming: bool,
    client: Client,
    ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = await _in_process(build)
    ledger.write_text("")
    monkeypatch.setenv(KILLS, kills)
    queue = unique("queue")
    durable = _durable(build, client, queue)
    name = f"tests.journal._paying:{build.__name__}"
    async with worker_process(client, queue, ledger, workflows=[name]) as first:
        running = asyncio.ensure_future(_events(durable, streaming=streaming))
        await _killed(first, running)
        async with worker(client, build, task_queue=queue):
            events = await running
    assert _told(events) == expected
    assert _names(ledger) == ran


async def _events(durable: DurableWorkflow, *, streaming: bool, **arguments: Any) -> list[WorkflowEvent[Any]]:
    given = arguments or {"message": _ORDER}
    if streaming:  # The durable sequence: a reader has been given what the lost attempt had told as well, and a notice.
        return list(await durable.run(stream=True, **given).get_final_response())
    return list(await durable.run(**given))


@pytest.mark.parametrize("build", [fan, deep])
async def test_an_executor_fails_and_only_it_runs_again(
    build: Callable[[], Workflow], client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await _in_process(build)
    ledger.write_text("")
    monkeypatch.setenv(FAILS, "c")
    async with worker(client, build) as queue:
        events = await _events(_durable(build, client, queue), streaming=True)
    assert _told(events) == expected
    assert _names(ledger) == ["a", "b", "c", "c"]


@pytest.mark.parametrize("held", [False, True], ids=["resume", "retry"])
@pytest.mark.parametrize("build", [fan, deep])
async def test_a_run_that_had_failed_for_good_begins_with_what_had_finished(
    build: Callable[[], Workflow], held: bool, client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAILS, "c")
    async with worker(client, build) as queue:
        durable = _durable(build, client, queue, max_attempts=1, pause_on_failure=held)
        thread = durable.checkpoint(unique("thread"))
        with pytest.raises(ConnectionError):
            await durable.run(_ORDER, checkpoint=thread)
        if held:
            await durable.retry(thread)
        result = await durable.run(checkpoint=thread)
    assert _names(ledger) == ["a", "b", "c", "c"]
    keys = {line.split()[2] for line in ledger.read_text().splitlines()}
    more = ["3 for pen"] if build is fan else []
    assert len(keys) == 3, "Also the run that goes on has the keys of the one that failed."
    said = [*result.get_outputs(), *result.get_intermediate_outputs()]
    assert sorted(said) == sorted([*(f"{name} {end}" for name in "abc" for end in ("begins", "1")), *more])


@pytest.mark.parametrize("build", [fan, deep])
async def test_an_executor_in_doubt_is_an_error(
    build: Callable[[], Workflow], client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KILLS, "b")
    queue = unique("queue")
    name = f"tests.journal._paying:{build.__name__}"
    rules = {"b" if build is fan else "sub": ExecutorPolicy(in_doubt="error")}
    durable = _durable(build, client, queue, executors=rules)
    thread = durable.checkpoint(unique("thread"))
    async with worker_process(client, queue, ledger, workflows=[name]) as first:
        running = asyncio.ensure_future(durable.run(_ORDER, checkpoint=thread))
        await _killed(first, running)
        async with worker(client, build, task_queue=queue):
            with pytest.raises(InDoubtError, match=r"had started in attempt 1.*it is unknown"):
                await running
            assert _names(ledger).count("b") == 1
            # Who goes on has looked.
            await durable.run(checkpoint=thread)
    assert _names(ledger).count("b") == 2
    assert _names(ledger).count("a") == 1


@pytest.mark.parametrize("build", [fan, deep, pay])
async def test_a_person_is_asked_and_answers_from_anywhere(
    build: Callable[[], Workflow], client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = "charge" if build is pay else "b"
    monkeypatch.setenv(KILLS, what)
    queue = unique("queue")
    name = f"tests.journal._paying:{build.__name__}"
    rules = {} if build is pay else {"b" if build is fan else "sub": ExecutorPolicy(in_doubt="ask")}
    durable = _durable(build, client, queue, executors=rules)
    thread = durable.checkpoint(unique("thread"))
    async with worker_process(client, queue, ledger, workflows=[name]) as first:
        running = asyncio.ensure_future(durable.run(_ORDER, checkpoint=thread))
        await _killed(first, running)
    async with worker_process(client, queue, ledger, workflows=[name]):
        (request,) = (await running).get_request_info_events()
    assert isinstance(request.data, InDoubt)
    assert request.data.executor_id == {"fan": "b", "deep": "sub/inner/b", "pay": "pay"}[build.__name__]
    assert request.data.call == ("charge" if build is pay else None)
    assert request.response_type is bool
    assert _names(ledger).count(what) == 1
    async with worker_process(client, queue, ledger, workflows=[name]):
        # Without Python's types.
        handle = client.get_workflow_handle(thread.thread_id)
        (waiting,) = [one async for one in waiting_requests(client) if one.request_id == request.request_id]
        assert waiting.response_schema == {"type": "boolean"}
        assert waiting.request["question"].endswith("Answer true to run it again, false to go on without it.")
        await handle.signal("respond", {"request_id": request.request_id, "response": True})
        result = await durable.run(checkpoint=thread)
    assert result.get_final_state() == WorkflowRunState.IDLE
    names = _names(ledger)
    assert names.count(what) == 2
    assert not [one for one in names if one not in (what, "pay") and names.count(one) > 1]
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert len({tuple(line[1:]) for line in lines if line[1] == what}) == 1, "The key is the same."
