"""A thread goes into a file and is read, replayed, run from and begun anew where its server is not."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflow,
    FileStorageDriver,
    HistoryCheckpointStorage,
    HistoryReadOnlyError,
    NotSealedError,
    RunCancelledError,
    ThreadArchive,
    ThreadNotFoundError,
    export_thread,
    sealing_data_converter,
)
from agent_framework_temporal.adapter.temporal.server import MEMO_WORKFLOW_NAME
from agent_framework_temporal.testing import replay_history
from agent_framework_temporal.workflows.messages import WORKFLOW_TYPE
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.converter import ExternalStorage
from temporalio.testing import WorkflowEnvironment

from tests.cli._commands import Commands
from tests.conftest import local_server
from tests.flows import Decision, Order, chain, shop
from tests.support import unique, worker

_KEYS = {"k1": bytes(range(32))}


async def _lived(client: Client, queue: str, **options: Any) -> tuple[DurableWorkflow, str]:
    """Return a thread of four runs, the last of which waits."""
    durable = DurableWorkflow(shop, client=client, task_queue=queue, **options)
    handle = durable.checkpoint(unique("thread"), tags=["exported"])
    for item in ("kettle", "cup"):
        await durable.run(Order(item=item), checkpoint=handle)
        await durable.run(responses={f"approve-{item}": Decision(approved=True, by="ann")}, checkpoint=handle)
    await durable.run([Order(item="pot"), Order(item="pan")], checkpoint=handle)
    return durable, handle.thread_id


async def _saved(client: Client, thread_id: str, folder: Path, *, opened: bool = False) -> Path:
    path = folder / "thread.jsonl"
    with path.open("w", encoding="utf-8") as file:
        async for line in export_thread(client, thread_id, opened=opened):
            file.write(line)
    return path


def _lines(path: Path, kind: str) -> list[dict[str, Any]]:
    return [found for line in path.read_text().splitlines() if (found := json.loads(line))["kind"] == kind]


@pytest.fixture(scope="module")
async def elsewhere() -> AsyncIterator[WorkflowEnvironment]:
    """Run another server, which knows nothing of the first."""
    async with await local_server("history.transferProcessorMaxPollRPS=2000") as environment:
        yield environment


async def test_is_read_without_a_server(client: Client, tmp_path: Path) -> None:
    async with worker(client, shop) as queue:
        durable, thread_id = await _lived(client, queue)
        path = await _saved(client, thread_id, tmp_path)
        infos = await durable.checkpoints(thread_id)
        live = [event async for event in _some(durable, thread_id, 8)]
    archive = ThreadArchive(path)
    assert (archive.thread_id, archive.workflow_name, archive.namespace) == (thread_id, "shop", "default")
    assert len(archive.run_ids) == 3
    offline = DurableWorkflow(shop, client=archive.client, task_queue="none")
    assert await offline.checkpoints(thread_id) == infos
    assert [info.checkpoint_id for info in infos] == [line["checkpoint_id"] for line in _lines(path, "checkpoint")]
    assert [event async for event in _some(offline, thread_id, 8)] == live
    storage, real = HistoryCheckpointStorage(archive.client, shop), HistoryCheckpointStorage(client, shop)
    for info in infos:
        assert repr(await storage.load(info.checkpoint_id)) == repr(await real.load(info.checkpoint_id))
    # It goes on in this process, from any of them.
    result = await shop().run(
        checkpoint_id=infos[1].checkpoint_id,
        responses={"approve-kettle": Decision(approved=False)},
        checkpoint_storage=_Copied(storage),
    )
    assert result.get_outputs() == ["kettle refused by nobody, order 1"]

    # What people and jq read of it: types are named, values are JSON.
    state = json.dumps(_lines(path, "checkpoint")[-1]["checkpoint"])
    assert "tests.flows:Order" in state and '"pan"' in state
    events = _lines(path, "event")
    offsets = [event["offset"] for event in events]
    assert offsets == sorted(set(offsets))  # What the workflow itself has noted of requests is between them.
    assert any(event["type"] == "output" and event["data"] == "cup approved by ann, order 2" for event in events)

    # Nothing can be sent to it.
    with pytest.raises(HistoryReadOnlyError, match=r"does not support the call.*import FILE --into"):
        await offline.run(Order(item="more"), checkpoint="other")
    with pytest.raises(HistoryReadOnlyError, match="does not support the call"):
        await offline.cancel(thread_id)
    with pytest.raises(ThreadNotFoundError):
        await offline.checkpoints("another")


async def _some(durable: DurableWorkflow, thread_id: str, count: int) -> AsyncIterator[tuple[str, Any]]:
    stream = durable.run_stream(checkpoint=thread_id, after=-1)
    async for event in stream:
        yield event.type, event.data
        count -= 1
        if not count:
            return


class _Copied:
    """A storage that takes what a run in process saves, and loads from another."""

    def __init__(self, source: HistoryCheckpointStorage) -> None:
        from agent_framework import InMemoryCheckpointStorage

        self._source = source
        self._own = InMemoryCheckpointStorage()

    async def load(self, checkpoint_id: str) -> Any:
        return await self._source.load(checkpoint_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


async def test_replays_with_temporals_own_tools(client: Client, tmp_path: Path) -> None:
    async with worker(client, shop) as queue:
        _, thread_id = await _lived(client, queue)
        path = await _saved(client, thread_id, tmp_path)
    runs = _lines(path, "run")
    assert len(runs) == 3
    for line in runs:  # A line is a history in JSON, beside what else it says.
        await replay_history(WorkflowHistory.from_json(thread_id, json.dumps(line)))
    archive = ThreadArchive(path)
    for run_id in archive.run_ids:
        await replay_history(archive.history(run_id))
    # The same that the server's own command writes.
    handle = client.get_workflow_handle(thread_id, run_id=archive.run_ids[0])
    assert runs[0]["events"] == (await handle.fetch_history()).to_json_dict()["events"]


async def test_is_begun_on_another_server(client: Client, elsewhere: WorkflowEnvironment, tmp_path: Path) -> None:
    async with worker(client, shop) as queue:
        _, thread_id = await _lived(client, queue)
        path = await _saved(client, thread_id, tmp_path)
    other = elsewhere.client
    commands = Commands(other.service_client.config.target_host)
    async with worker(other, shop) as queue:
        into = ("import", str(path), "--into", "debugged", "-q", queue)
        assert "say where workflow 'shop' is defined" in (await commands(*into, code=2)).err
        assert "is another workflow" in (await commands(*into, "-w", "tests.flows:echo", code=2)).err
        begun = await commands(*into, "-w", "tests.flows:shop", "--json")
        assert begun.lines[-1]["state"] == "IDLE_WITH_PENDING_REQUESTS"
        durable = DurableWorkflow(shop, client=other, task_queue=queue)
        pending = {request.request_id for request in await durable.pending_requests("debugged")}
        assert pending == {"approve-pot", "approve-pan"}
        answered = await durable.run(responses={"approve-pot": Decision(approved=True)}, checkpoint="debugged")
        assert answered.get_outputs() == ["pot approved by nobody, order 4"]
        # From an earlier checkpoint, answered otherwise than it was.
        first = (
            await DurableWorkflow(shop, client=ThreadArchive(path).client, task_queue="none").checkpoints(thread_id)
        )[1]
        again = await commands(
            *("import", str(path), "--into", "otherwise", "-q", queue, "-w", "tests.flows:shop", "--json"),
            *("--checkpoint", first.checkpoint_id),
            *("--responses", '{"approve-kettle": {"approved": false}}'),
        )
        assert again.lines[-1]["outputs"] == ["kettle refused by nobody, order 1"]


async def test_a_start_that_was_refused_stays_behind(client: Client, tmp_path: Path) -> None:
    commands = Commands("127.0.0.1:1")
    async with worker(client, shop) as queue:
        durable, thread_id = await _lived(client, queue)
        await durable.cancel(thread_id)
        with pytest.raises(RunCancelledError):
            await durable.run_stream(checkpoint=thread_id, after=-1).get_final_response()
        forged = await client.start_workflow(
            WORKFLOW_TYPE, {"mode": 7}, id=thread_id, task_queue=queue, memo={MEMO_WORKFLOW_NAME: "shop"}
        )
        with pytest.raises(WorkflowFailureError):
            await forged.result()
        path = await _saved(client, thread_id, tmp_path)
        ids = [info.checkpoint_id for info in await durable.checkpoints(thread_id)]
    assert len(ThreadArchive(path).run_ids) == 3
    assert (await commands("import", str(path), "--json")).json["checkpoints"] == ids


async def test_one_that_runs_ends_where_it_was(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "60")
    nowhere = Commands("127.0.0.1:1")
    async with worker(client, chain) as queue:
        durable = DurableWorkflow(chain, client=client, task_queue=queue)
        thread_id = unique("running")
        running = asyncio.ensure_future(durable.run("a", checkpoint=thread_id))
        while await durable.attempt(thread_id) is None:
            await asyncio.sleep(0.1)
        path = await _saved(client, thread_id, tmp_path)
        assert (await nowhere("status", thread_id, "--from-file", str(path), "--json")).json["state"] == "open"
        ends = await nowhere("stream", thread_id, "--from-file", str(path), code=1)
        assert f"ends here: thread '{thread_id}' was running when it was exported" in ends.err
        await durable.cancel(thread_id)
        with pytest.raises(RunCancelledError):
            await running


async def test_the_commands(client: Client, tmp_path: Path) -> None:
    commands = Commands(client.service_client.config.target_host)
    async with worker(client, shop) as queue:
        _, thread_id = await _lived(client, queue)
        path = tmp_path / "thread.jsonl"
        path.write_text((await commands("export", thread_id)).out)
        listed = (await commands("checkpoints", thread_id, "--json")).json
    nowhere = Commands("127.0.0.1:1")
    found = (await nowhere("import", str(path), "--json")).json
    assert (found["thread_id"], len(found["runs"])) == (thread_id, 3)
    assert found["checkpoints"] == [info["checkpoint_id"] for info in listed]
    text = (await nowhere("import", str(path))).out
    assert f"agent-framework-temporal stream {thread_id} --from-file {path}" in text
    assert (await nowhere("checkpoints", thread_id, "--from-file", str(path), "--json")).json == listed
    stream = await nowhere("stream", thread_id, "--from-file", str(path), "--json")
    assert stream.lines[-1]["state"] == "IDLE_WITH_PENDING_REQUESTS"
    status = (await nowhere("status", thread_id, "--from-file", str(path), "--json")).json
    assert (status["workflow"], status["worker"]) == ("shop", False)
    assert (await nowhere("import", str(path), "--replay", "--json")).json == {
        "replayed": dict.fromkeys(found["runs"], True)
    }
    assert "go with --into" in (await nowhere("import", str(path), "--checkpoint", "x", code=2)).err
    assert "No such file" in (await nowhere("import", str(tmp_path / "none"), code=2)).err
    assert "There is no thread" in (await commands("export", unique("none"), code=7)).err


def _told(text: str) -> set[bytes]:
    """Return which words of a thread a file tells, also in base64, as which it has payloads.

    Three letters are in a ciphertext now and then, so these are looked for with their quotes.
    """
    encoded = re.findall(r'"([A-Za-z0-9+/]+={0,2})"', text)
    parts = [text.encode(), *(base64.b64decode(found) for found in encoded if len(found) % 4 == 0)]
    return {word for word in (b"kettle", b"approve", b'"cup"', b'"ann"') if any(word in part for part in parts)}


async def test_sealed_threads_stay_sealed(client: Client, tmp_path: Path) -> None:
    converter = sealing_data_converter(keys=_KEYS)
    config = client.config()
    config["data_converter"] = converter
    sealed = Client(**config)
    async with worker(sealed, shop) as queue:
        durable, thread_id = await _lived(sealed, queue)
        infos = await durable.checkpoints(thread_id)
        path = await _saved(sealed, thread_id, tmp_path)
        text = path.read_text()
        assert not _told(text)
        assert {json.loads(line)["kind"] for line in text.splitlines()} == {"thread", "run"}
        with pytest.raises(NotSealedError, match="Read it with the keys"):
            ThreadArchive(path)
        archive = ThreadArchive(path, data_converter=converter)
        offline = DurableWorkflow(shop, client=archive.client, task_queue="none")
        assert await offline.checkpoints(thread_id) == infos
        await replay_history(archive.history(archive.run_ids[0]), data_converter=converter)
        # Nor does it take a key to export them so.
        keyless = await _saved(client, thread_id, tmp_path)
        archive = ThreadArchive(keyless, data_converter=converter)
        offline = DurableWorkflow(shop, client=archive.client, task_queue="none")
        assert (archive.workflow_name, await offline.checkpoints(thread_id)) == ("", infos)
        with pytest.raises(NotSealedError, match="connect with the keys"):
            await anext(export_thread(client, thread_id, opened=True))
        with pytest.raises(NotSealedError):
            wrong = ThreadArchive(path, data_converter=sealing_data_converter(keys={"k1": os.urandom(32)}))
            await DurableWorkflow(shop, client=wrong.client, task_queue="none").checkpoints(thread_id)

        path = await _saved(sealed, thread_id, tmp_path, opened=True)
    assert _told(path.read_text()) == {b"kettle", b"approve", b'"cup"', b'"ann"'}
    assert len(_lines(path, "checkpoint")) == len(infos)
    opened = ThreadArchive(path)
    offline = DurableWorkflow(shop, client=opened.client, task_queue="none")
    assert await offline.checkpoints(thread_id) == infos
    storage = HistoryCheckpointStorage(opened.client, shop)
    assert (await storage.load(infos[-1].checkpoint_id)).pending_request_info_events.keys() == {
        "approve-pot",
        "approve-pan",
    }
    for run_id in opened.run_ids:
        await replay_history(opened.history(run_id))
    # A process with keys reads it as what it is, too: unsealed data.
    assert len(ThreadArchive(path, data_converter=converter).run_ids) == 3


async def test_what_lies_in_external_storage_is_fetched_when_it_is_opened(client: Client, tmp_path: Path) -> None:
    storage = ExternalStorage(drivers=[FileStorageDriver(tmp_path / "stored")], payload_size_threshold=500)
    config = client.config()
    config["data_converter"] = dataclasses.replace(client.data_converter, external_storage=storage)
    stored = Client(**config)
    async with worker(stored, shop) as queue:
        durable, thread_id = await _lived(stored, queue)
        infos = await durable.checkpoints(thread_id)
        path = await _saved(stored, thread_id, tmp_path)
        with_storage = ThreadArchive(path, data_converter=stored.data_converter)
        read = DurableWorkflow(shop, client=with_storage.client, task_queue="none")
        assert await read.checkpoints(thread_id) == infos
        with pytest.raises(CheckpointCorruptedError, match="external storage"):
            await DurableWorkflow(shop, client=ThreadArchive(path).client, task_queue="none").checkpoints(thread_id)
        path = await _saved(stored, thread_id, tmp_path, opened=True)
    alone = ThreadArchive(path)
    assert await DurableWorkflow(shop, client=alone.client, task_queue="none").checkpoints(thread_id) == infos
    for run_id in alone.run_ids:
        await replay_history(alone.history(run_id))


async def test_what_is_no_exported_thread(client: Client, tmp_path: Path) -> None:
    async with worker(client, shop) as queue:
        _, thread_id = await _lived(client, queue)
        lines = [line async for line in export_thread(client, thread_id)]
    run = next(line for line in lines if line.startswith('{"kind":"run"'))
    other = json.loads(run)
    other["run_id"] = "another"
    deep = '{"kind":"run","run_id":"a","info":' + "[" * 100_000
    for text, why in (
        ("", "its first line"),
        ("{}\n", "its first line"),
        (lines[0].replace('"format":1', '"format":9'), "upgrade this package"),
        (lines[0], "it has no run"),
        (lines[0] + run + run, "the same run twice"),
        (lines[0] + json.dumps(other, separators=(",", ":")) + "\n", "not the one that it claims"),
        (lines[0] + '{"kind":"run",broken\n', "cannot be read"),
        (lines[0] + deep, "cannot be read"),
    ):
        path = tmp_path / "bad"
        path.write_text(text)
        with pytest.raises(CheckpointCorruptedError, match=why):
            ThreadArchive(path)
    # A checkpoint that was altered restores to another digest, as in any history.
    altered = json.loads(run)
    frames = [event for event in altered["events"] if "activityTaskCompletedEventAttributes" in event]
    payload = frames[0]["activityTaskCompletedEventAttributes"]["result"]["payloads"][0]
    payload["data"] = payload["data"][:-40] + "AAAA" + payload["data"][-36:]
    path.write_text(lines[0] + json.dumps(altered, separators=(",", ":")) + "\n")
    storage = HistoryCheckpointStorage(ThreadArchive(path).client, shop)
    with pytest.raises((CheckpointCorruptedError, CheckpointNotFoundError)):
        for checkpoint_id in await storage.list_checkpoint_ids(workflow_name="shop"):
            await storage.load(checkpoint_id)
