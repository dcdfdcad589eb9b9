"""What reading costs: the round trips that docs/checkpoints.md states, counted on the connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from agent_framework_temporal import HistoryCheckpointStorage
from temporalio.client import Client

from tests.checkpoints._threads import durable_chain, durable_echo
from tests.flows import chain, echo
from tests.support import worker

READ = "get_workflow_execution_history_reverse"
DESCRIBE = "describe_workflow_execution"
QUERY = "list_workflow_executions"


@contextmanager
def counting(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count the calls of a client's connection by name."""
    counts: Counter[str] = Counter()
    connection = client.service_client
    original = connection._rpc_call

    async def counted(rpc: str, *arguments: Any, **keywords: Any) -> Any:
        counts[rpc] += 1
        return await original(rpc, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_rpc_call", counted)
        yield counts


async def test_lists_and_loads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        infos = await durable.checkpoints()
    thread_id = infos[0].thread_id
    with counting(client, monkeypatch) as counts:
        await durable.checkpoints()
    assert counts == {DESCRIBE: 1, READ: 1}

    storage = HistoryCheckpointStorage(client, chain)
    with counting(client, monkeypatch) as counts:
        await storage.load(infos[2].checkpoint_id)
    assert counts == {QUERY: 1, READ: 1}
    with counting(client, monkeypatch) as counts:
        await storage.load(infos[3].checkpoint_id)
    assert counts == {READ: 1}

    storage = HistoryCheckpointStorage(client, chain, checkpoint=thread_id)
    with counting(client, monkeypatch) as counts:
        await storage.list_checkpoint_ids(workflow_name="chain")
    assert counts == {DESCRIBE: 1, READ: 1}
    with counting(client, monkeypatch) as counts:
        await storage.list_checkpoints(workflow_name="chain")
    assert counts == {DESCRIBE: 1, READ: 1}
    with counting(client, monkeypatch) as counts:
        await storage.get_latest(workflow_name="chain")
    assert counts == {DESCRIBE: 1, READ: 2}


async def test_one_more_for_each_run_of_the_thread(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        for text in ("one", "two", "three"):
            await durable.run(text)
    with counting(client, monkeypatch) as counts:
        await durable.checkpoints()
    assert counts == {DESCRIBE: 1, READ: 3}


async def test_a_fork(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, chain) as task_queue:
        durable, another = durable_chain(client, task_queue), durable_chain(client, task_queue)
        await durable.run("a")
        middle = (await durable.checkpoints())[2].checkpoint_id
        for facade, queries in ((durable, 0), (another, 1)):
            forked = facade.checkpoint()
            with counting(client, monkeypatch) as counts:
                stream = facade.run_stream(checkpoint_id=middle, checkpoint=forked)
                await anext(aiter(stream))
            # The stream describes the run for its live events meanwhile, and the worker shares the connection.
            assert (counts[QUERY], counts["start_workflow_execution"]) == (queries, 1)
            await stream.get_final_response()
            started = await anext(client.get_workflow_handle(forked.thread_id).fetch_history_events())
            # References, options, and what the Web UI shows of the run: no state.
            assert started.ByteSize() < 1_500
