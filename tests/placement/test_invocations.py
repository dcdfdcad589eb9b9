"""What an executor does on a task queue of its own is done in the superstep, once, whatever it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import (
    DurableWorkflow,
    ExecutorPolicy,
    HostingError,
    NoWorkerError,
    PlacementError,
    RunCancelledError,
    WorkflowNotHostedError,
    position_of,
)
from agent_framework_temporal.activities.placement import invocation, placing
from agent_framework_temporal.adapter.framework.error_data import rebuilt
from temporalio.client import Client

from tests.functional._flows import pipeline
from tests.placement._flows import PriceError, fan, office, research, speech, twice
from tests.placement._ledger import Ledger
from tests.sealing._rogue import connect
from tests.support import unique, worker

_FAST = timedelta(milliseconds=20)


def _durable(source: Any, client: Client, task_queue: str, **options: Any) -> DurableWorkflow:
    return DurableWorkflow(source, client=client, task_queue=task_queue, retry_initial_interval=_FAST, **options)


async def _invocations(client: Client, task_queue: str) -> int:
    found = await client.count_activities(f"TaskQueue = '{task_queue}'")
    return found.count


async def test_policies_by_id_pattern_and_default(client: Client, ledger: Ledger) -> None:
    gpu, rest = unique("gpu"), unique("rest")
    policies = {
        "*": ExecutorPolicy(task_queue=rest, max_attempts=2),
        "gpu-*": ExecutorPolicy(task_queue=gpu),
        "gpu-2": ExecutorPolicy(priority=1),
    }
    async with (
        worker(client, fan, executors=["start"]) as task_queue,
        worker(client, fan, executors=["gpu-*"], task_queue=gpu),
        worker(client, fan, executors=["!gpu-*"], task_queue=rest),
    ):
        durable = _durable(fan, client, task_queue, executors=policies)
        checkpoint = durable.checkpoint()
        result = await durable.run("x", checkpoint=checkpoint)
        # Each was built with its model where it runs, and not where the superstep runs.
        assert sorted(result.get_outputs()) == [
            "cpu-1(x) gpu-1(x) gpu-2(x) x#1 x#1 x#1",
            "cpu-1:1:model of cpu-1",
            "gpu-1:1:model of gpu-1",
            "gpu-2:1:model of gpu-2",
        ]
        assert (await _invocations(client, gpu), await _invocations(client, rest)) == (2, 3)
        # The executors' own state has come back, and goes there again.
        again = await durable.run("y", checkpoint=checkpoint)
        assert "cpu-1(y) gpu-1(y) gpu-2(y) y#2 y#2 y#2" in again.get_outputs()
    assert ledger.count("begin") == 6
    keys = [words[3] for words in ledger.lines("key")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no-journal"])
async def test_two_that_are_alike(journal: bool, client: Client, ledger: Ledger) -> None:
    """One comes after the other, and begins with the state that this has left."""
    gpu = unique("gpu")
    async with worker(client, twice) as task_queue, worker(client, twice, task_queue=gpu):
        durable = _durable(
            twice, client, task_queue, executors={"gpu-1": ExecutorPolicy(task_queue=gpu)}, journal=journal
        )
        assert (await durable.run("x")).get_outputs() == ["gpu-1:1:None", "gpu-1:2:None"]
    assert ledger.count("begin gpu-1") == await _invocations(client, gpu) == 2


async def test_attempts_are_its_own(client: Client, ledger: Ledger) -> None:
    gpu = unique("gpu")
    policies = {"gpu-1": ExecutorPolicy(task_queue=gpu, max_attempts=3, retry_initial_interval=_FAST)}
    async with worker(client, fan) as task_queue, worker(client, fan, task_queue=gpu):
        durable = _durable(fan, client, task_queue, executors=policies, max_attempts=5)
        handle = durable.checkpoint()
        ledger.close("cpu-1", "gpu-2")
        running = asyncio.ensure_future(durable.run("fail", checkpoint=handle))
        with pytest.raises(PriceError) as raised:
            await running
        # As the type that it is, with its attributes; and the superstep is not tried again for it.
        assert (raised.value.price, raised.value.args) == (3, ("fail", 3))
    assert (ledger.count("begin gpu-1"), ledger.count("begin cpu-1")) == (3, 1)


async def test_error_whose_class_only_its_worker_knows(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = unique("gpu")
    async with worker(client, fan) as task_queue, worker(client, fan, task_queue=gpu):
        policy = {"gpu-1": ExecutorPolicy(task_queue=gpu, max_attempts=1)}
        durable = _durable(fan, client, task_queue, executors=policy)
        ledger.close("cpu-1", "gpu-2")
        seen: list[Any] = []
        monkeypatch.setattr(f"{placing.__name__}.rebuilt", lambda *given, catalog: rebuilt(*given, catalog=None))
        with pytest.raises(PriceError, match="fail"):
            async for event in durable.run_stream("fail"):
                seen.append(event)
        failed = {event.executor_id: event.details for event in seen if event.type == "executor_failed"}
        assert failed["gpu-1"].error_type == "PriceError"
        assert next(event.details.error_type for event in seen if event.type == "failed") == "PriceError"


async def test_time_limit(client: Client, ledger: Ledger) -> None:
    gpu = unique("gpu")
    policy = ExecutorPolicy(
        task_queue=gpu, timeout=timedelta(seconds=0.3), max_attempts=2, retry_initial_interval=_FAST
    )
    ledger.close("gpu-1")
    async with worker(client, fan) as task_queue, worker(client, fan, task_queue=gpu):
        durable = _durable(fan, client, task_queue, executors={"gpu-1": policy})
        with pytest.raises(TimeoutError, match=r"^Executor 'gpu-1' took longer than 0\.3 seconds\.$"):
            await durable.run("x")
    assert ledger.count("begin gpu-1") == ledger.count("cancelled gpu-1") == 2


async def test_nobody_takes_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run waits for a worker for ever, says so meanwhile, and goes on when one comes; or for as long as it may."""
    monkeypatch.setattr(placing, "_PATIENCE", 0.1)
    monkeypatch.setattr(placing, "_LOOK_AGAIN", 0.2)
    gpu = unique("gpu")
    async with worker(client, fan) as task_queue:
        durable = _durable(fan, client, task_queue, executors={"gpu-1": ExecutorPolicy(task_queue=gpu)})
        handle = durable.checkpoint()
        warnings: list[Any] = []
        outputs: list[Any] = []

        async def read() -> None:
            async for event in durable.run_stream("x", checkpoint=handle):
                if event.type == "warning":
                    warnings.append(event.data)
                if event.type == "output":
                    outputs.append(event.data)

        reading = asyncio.create_task(read())
        while not warnings:
            await asyncio.sleep(0.02)
        while (attempt := await durable.attempt(handle)) is None or not attempt.waits_for:
            await asyncio.sleep(0.02)
        assert attempt.waits_for == {"gpu-1": gpu}
        async with worker(client, fan, task_queue=gpu):
            await reading
        assert warnings == [
            f"Executor 'gpu-1' waits for a worker: none polls task queue '{gpu}'. Start one: "
            f"`agent-framework-temporal-worker --workflow MODULE:ATTR --task-queue {gpu}`."
        ]
        assert "gpu-1:1:model of gpu-1" in outputs
        impatient = {"gpu-1": ExecutorPolicy(task_queue=unique("gpu"), worker_timeout=timedelta(seconds=0.5))}
        with pytest.raises(NoWorkerError, match=r"Executor 'gpu-1' waits for a worker.* It has waited for 0\.5 sec"):
            await _durable(fan, client, task_queue, executors=impatient).run("x")


async def test_requests_are_asked_and_answered_there(client: Client) -> None:
    placed = unique("placed")
    async with worker(client, office) as task_queue, worker(client, office, task_queue=placed):
        durable = _durable(office, client, task_queue, executors={"clerk": ExecutorPolicy(task_queue=placed)})
        handle = durable.checkpoint()
        asked = await durable.run("x", checkpoint=handle)
        (request,) = asked.get_request_info_events()
        assert (request.request_id, request.data, request.response_type) == ("may-x", "x", bool)
        done = await durable.run(responses={"may-x": True}, checkpoint=handle)
        assert done.get_outputs()[0].endswith("after 1")
    assert await _invocations(client, placed) == 2


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
async def test_live_events(sealed: bool, client: Client, ledger: Ledger) -> None:
    """Words come while the executor speaks, in their order, and once."""
    client = await connect(client) if sealed else client
    placed = unique("placed")
    words = " ".join(f"w{number}" for number in range(6))
    ledger.close("speaker-4")
    async with worker(client, speech) as task_queue, worker(client, speech, task_queue=placed):
        durable = _durable(speech, client, task_queue, executors={"*": ExecutorPolicy(task_queue=placed)})
        seen: list[Any] = []
        async for event in durable.run_stream(words):
            position = position_of(event)
            assert position is not None
            assert position.offset == len(seen)
            seen.append(event)
            if event.type == "output" and event.data == "w3":  # The fifth is not said until the fourth is heard.
                assert position.live
                ledger.open("speaker-4")
        assert [event.data for event in seen if event.type == "output"] == words.split()
        assert [event.type for event in seen].count("executor_invoked") == 1
        assert seen[3].type == "executor_invoked"


async def test_cancelled_with_its_thread(client: Client, ledger: Ledger) -> None:
    placed = unique("placed")
    ledger.close("gpu-1")
    async with worker(client, fan) as task_queue, worker(client, fan, task_queue=placed):
        durable = _durable(fan, client, task_queue, executors={"gpu-1": ExecutorPolicy(task_queue=placed)})
        handle = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("x", checkpoint=handle))
        await ledger.until("begin gpu-1")
        await durable.cancel(handle)
        with pytest.raises(RunCancelledError):
            await running
        await ledger.until("cancelled gpu-1")


async def test_ended_as_nobody_waits(client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is terminated tells nobody: the invocation looks itself."""
    monkeypatch.setattr(invocation, "_LOOK_SECONDS", 0.2)
    placed = unique("placed")
    ledger.close("gpu-1")
    async with worker(client, fan) as task_queue, worker(client, fan, task_queue=placed):
        durable = _durable(fan, client, task_queue, executors={"gpu-1": ExecutorPolicy(task_queue=placed)})
        handle = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("x", checkpoint=handle))
        await ledger.until("begin gpu-1")
        await client.get_workflow_handle(handle.thread_id).terminate()
        await ledger.until("cancelled gpu-1")
        with pytest.raises(Exception, match="terminated"):
            await running


async def test_calls_and_tokens_are_counted(client: Client, ledger: Ledger) -> None:
    placed = unique("placed")
    async with worker(client, research) as task_queue, worker(client, research, task_queue=placed):
        usages = []
        for policies in (None, {"gpu-agent": ExecutorPolicy(task_queue=placed)}):
            durable = _durable(research, client, task_queue, executors=policies)
            handle = durable.checkpoint()
            await durable.run("x", checkpoint=handle)
            found = await durable.usage(handle)
            usages.append((dict(found.calls_made), dict(found.usage), dict(found.executors)))
        assert usages[0] == usages[1]
        assert usages[0][0] == {"chat": 4, "tool": 3}


async def test_calls_of_one_that_failed_are_not_made_again(client: Client, ledger: Ledger) -> None:
    """A run that resumes hands on what the invocation had come to that had failed for good."""
    placed, message = unique("placed"), unique("fail")
    policy = {"*": ExecutorPolicy(task_queue=placed, max_attempts=1)}
    async with worker(client, research) as task_queue, worker(client, research, task_queue=placed):
        durable = _durable(research, client, task_queue, executors=policy)
        handle = durable.checkpoint()
        with pytest.raises(OSError, match="told to fail"):
            async for _ in durable.run_stream(message, checkpoint=handle):
                pass
        events = [event async for event in durable.run_stream(checkpoint=handle)]
        usage = await durable.usage(handle)
    assert any(event.type == "output" for event in events)
    assert [ledger.count(f"look up {topic}") for topic in range(3)] == [1, 1, 1]
    assert [ledger.count(f"model {number}") for number in range(4)] == [1, 1, 1, 2]
    assert usage.calls_taken == {"chat": 3, "tool": 3}


async def test_one_that_is_hosted_as_an_instance(client: Client) -> None:
    placed = unique("placed")
    async with worker(client, office()) as task_queue, worker(client, office, task_queue=placed):
        durable = _durable(office, client, task_queue, executors={"*": ExecutorPolicy(task_queue=placed)})
        with pytest.raises(PlacementError, match="is hosted as a single instance"):
            await durable.run("x")


async def test_workers_run_only_what_they_host(client: Client) -> None:
    """The worker of a queue runs executors of its workflows, of the same graph, and of these those that it takes."""
    other, third = unique("placed"), unique("placed")
    async with (
        worker(client, office, executors=["!clerk"]) as task_queue,
        worker(client, speech, task_queue=other),
        worker(client, office, executors=["!clerk"], task_queue=third),
    ):
        with pytest.raises(PlacementError, match=r"This worker runs \['!clerk'\], not executor 'clerk'"):
            await _durable(office, client, task_queue).run("x")
        placed = {"clerk": ExecutorPolicy(task_queue=other)}
        with pytest.raises(WorkflowNotHostedError, match="does not host workflow 'office'"):
            await _durable(office, client, task_queue, executors=placed).run("x")
        itself = {"clerk": ExecutorPolicy(task_queue=task_queue)}
        with pytest.raises(PlacementError, match="cannot use the task queue of its superstep"):
            await _durable(office, client, task_queue, executors=itself).run("x")
        itself = {"clerk": ExecutorPolicy(task_queue=third)}
        with pytest.raises(PlacementError, match=r"not executor 'clerk'\. Start it with `--executors clerk`"):
            await _durable(office, client, task_queue, executors=itself).run("x")


async def test_a_server_without_standalone_activities(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_framework_temporal.adapter.temporal import standalone

    async def has_none(client: Client) -> bool:
        return False

    monkeypatch.setattr(standalone, "has_standalone_activities", has_none)
    # What a client has learnt of its server it does not ask again.
    durable_client = await Client.connect(client.service_client.config.target_host)
    durable = _durable(office, durable_client, unique("queue"), executors={"clerk": ExecutorPolicy(task_queue="gpu")})
    with pytest.raises(PlacementError, match=r"1\.31 or newer"):
        await durable.run("x")


async def test_refused_policies(client: Client) -> None:
    with pytest.raises(ValueError, match="must be the name of a task queue"):
        ExecutorPolicy(task_queue="")
    with pytest.raises(ValueError, match="`priority` must be a whole number from 1"):
        ExecutorPolicy(task_queue="gpu", priority=0)
    with pytest.raises(ValueError, match="`worker_timeout` must be longer than 0"):
        ExecutorPolicy(worker_timeout=timedelta(0))
    with pytest.raises(ValueError, match="no executor 'gpu-\\*' in the workflow"):
        await _durable(office, client, "queue", executors={"gpu-*": ExecutorPolicy(task_queue="gpu")}).run("x")
    with pytest.raises(ValueError, match="steps of a functional workflow run where its function runs"):
        await _durable(pipeline, client, "queue", executors={"fetch": ExecutorPolicy(task_queue="gpu")}).run(1)
    with pytest.raises(HostingError, match="must be a list of executor ids"):
        async with worker(client, office, executors="gpu"):
            pass
