"""Signals, updates and queries whose payloads nobody can read: refused in words, and the valid answer is taken."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, sealing_data_converter
from agent_framework_temporal.adapter.temporal.reading import (
    REFERENCE_ENCODING,
    REFERENCE_MARKER,
    REFERENCE_MESSAGE,
)
from agent_framework_temporal.testing import replay_history
from agent_framework_temporal.workflows.limits import MAX_READ
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.converter import DataConverter, PayloadCodec

from tests.requests._converters import KEYS, converters, storing, with_converter
from tests.requests._flows import Question, Reply, asker
from tests.support import unique, worker

_DIGEST = "0" * 64
_LARGE = 50_000
"""Bytes of what goes to external storage where only signals should."""


def _raw(data: bytes, encoding: bytes = REFERENCE_ENCODING, **metadata: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding, **metadata}, data=data))


def _reference(driver: str, **claim: str) -> RawValue:
    data = json.dumps({"driverName": driver, "claimData": claim}).encode()
    return _raw(data, b"json/protobuf", messageType=REFERENCE_MESSAGE)


_ANSWER = json.dumps({"request_id": "q0", "response": {"amount": 2}}).encode()
_UNREADABLE = {
    "empty": _raw(b"{}"),
    "no json": _raw(b"\xff{"),
    "legacy": _raw(b'{"driver_name": "agent-framework.file", "driver_claim": {"claim_data": {"sha256": "x"}}}'),
    "unknown driver": _reference("nobody's"),
    "no such file": _reference("agent-framework.file", sha256=_DIGEST),
    "no proto": _raw(b"[[", b"json/protobuf", messageType=REFERENCE_MESSAGE),
    "marked": _raw(b"{}", b"json/plain", **{REFERENCE_MARKER: b"true"}),
    "marked answer": _raw(_ANSWER, b"json/plain", **{REFERENCE_MARKER: b"true"}),
    "marked by ours": _raw(_ANSWER, b"binary/plain", **{"agent-framework-unreadable": b"ever"}),
    "sealed by nobody": _raw(b"x" * 40, b"binary/encrypted", **{"encryption-key-id": b"k1"}),
}


async def _failed_tasks(handle: WorkflowHandle[Any, Any]) -> int:
    history = await handle.fetch_history()
    return sum(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events)


async def _replay(handle: WorkflowHandle[Any, Any], converter: DataConverter) -> None:
    await replay_history(await handle.fetch_history(), data_converter=converter)


@pytest.mark.parametrize("kind", ["plain", "stored", "codec", "stored-codec", "sealed", "stored-sealed"])
async def test_unreadable_signals_cost_nothing_but_a_line_each(kind: str, client: Client, tmp_path: Path) -> None:
    converter = converters(tmp_path)[kind]
    ours = with_converter(client, converter)
    async with worker(ours, asker) as task_queue:
        durable = DurableWorkflow(asker, client=ours, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        stranger = client.get_workflow_handle(checkpoint.thread_id)
        for value in _UNREADABLE.values():
            await stranger.signal("respond", args=[value])
        await stranger.signal("respond", args=list(_UNREADABLE.values()))
        await stranger.signal("cancel_requests", args=[_UNREADABLE["empty"]])
        await stranger.signal("no-such-signal", args=[_UNREADABLE["empty"]])
        for value in _UNREADABLE.values():
            # Where a codec seals the words, a stranger's client cannot read them.
            with pytest.raises((WorkflowUpdateFailedError, KeyError, RuntimeError)) as caught:
                await stranger.execute_update("respond", args=[value])
            if kind in ("plain", "stored"):
                assert "cannot be read: " in str(caught.value.__cause__) or "no JSON" in str(caught.value.__cause__)
        with pytest.raises((WorkflowQueryFailedError, KeyError, RuntimeError)):
            await stranger.query("events", args=[_UNREADABLE["empty"]])
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]
        handle = ours.get_workflow_handle(checkpoint.thread_id)
        page = await handle.query("events")
        errors = [event["error"] for event in page["events"] if event["type"] == "response_rejected"]
        assert len(errors) == len(_UNREADABLE) + 3
        assert await _failed_tasks(handle) == 0
        await _replay(handle, converter)


def _padded(amount: int) -> dict[str, Any]:
    return {"request_id": "q0", "response": {"amount": amount}, "padding": "x" * _LARGE}


async def test_honest_references_are_read_and_found_again_when_replayed(client: Client, tmp_path: Path) -> None:
    converter = storing(tmp_path, payload_size_threshold=_LARGE)
    ours = with_converter(client, converter)
    async with worker(ours, asker) as task_queue:
        durable = DurableWorkflow(asker, client=ours, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = ours.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", _padded(7))
        await handle.signal("respond", _padded(2))
        assert (await handle.result())["outputs"] == ["how many: 2"]
        await _replay(handle, converter)
        assert list(tmp_path.iterdir())
        # What was read has to be there for as long as the run: a replay that cannot read it must not decide otherwise.
        shutil.rmtree(tmp_path)
        with pytest.raises(RuntimeError, match="was read from external storage before cannot be read now"):
            await _replay(handle, converter)


async def test_what_was_not_there_stays_refused_when_it_appears(client: Client, tmp_path: Path) -> None:
    elsewhere, converter = (storing(tmp_path / name, payload_size_threshold=_LARGE) for name in ("elsewhere", "here"))
    ours, other = with_converter(client, converter), with_converter(client, elsewhere)
    async with worker(ours, asker, max_cached_workflows=0) as task_queue:
        durable = DurableWorkflow(asker, client=ours, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        await other.get_workflow_handle(checkpoint.thread_id).signal("respond", _padded(4))
        handle = ours.get_workflow_handle(checkpoint.thread_id)
        async with asyncio.timeout(50):
            while not (pending := await durable.pending_requests(checkpoint)) or not await _errors(handle):
                await asyncio.sleep(0.05)
        assert [request.request_id for request in pending] == ["q0"]
        shutil.copytree(tmp_path / "elsewhere", tmp_path / "here", dirs_exist_ok=True)
        # With nothing cached each of these replays the run, which can read the first answer now.
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 2}})
        assert (await handle.result())["outputs"] == ["how many: 2"]
        assert await _failed_tasks(handle) == 0
        await _replay(handle, converter)


async def test_what_one_worker_has_no_key_for_stays_refused_by_those_that_have_it(client: Client) -> None:
    """A worker without the key refuses a sealed answer; one that has it replays the run, and decides the same."""
    keyed = with_converter(client, sealing_data_converter(keys=KEYS, accept_unsealed=True))
    task_queue = unique("queue")
    durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
    async with worker(client, asker, task_queue=task_queue):
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        await keyed.get_workflow_handle(checkpoint.thread_id).signal(
            "respond", {"request_id": "q0", "response": {"amount": 4}}
        )
        handle = client.get_workflow_handle(checkpoint.thread_id)
        async with asyncio.timeout(50):
            while not (errors := await _errors(handle)):
                await asyncio.sleep(0.05)
        assert "key 'k1' has sealed it, and this worker does not have that key" in errors[0]
    async with worker(keyed, asker, task_queue=task_queue, max_cached_workflows=0):
        await client.get_workflow_handle(checkpoint.thread_id).signal(
            "respond", {"request_id": "q0", "response": {"amount": 2}}
        )
        result = await keyed.get_workflow_handle(checkpoint.thread_id).result()
        assert result["outputs"] == ["how many: 2"]
        assert await _failed_tasks(handle) == 0
    await _replay(handle, keyed.data_converter)


async def test_a_codec_that_fails_for_a_while(client: Client) -> None:
    codec = _Failing()
    converter = dataclasses.replace(DataConverter.default, payload_codec=codec)
    ours = with_converter(client, converter)
    async with worker(ours, asker, max_cached_workflows=0) as task_queue:
        durable = DurableWorkflow(asker, client=ours, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = ours.get_workflow_handle(checkpoint.thread_id)
        codec.failing = b'"amount": 4'
        await client.get_workflow_handle(checkpoint.thread_id).signal(
            "respond", args=[_raw(b'{"request_id": "q0", "response": {"amount": 4}}', b"json/plain")]
        )
        async with asyncio.timeout(50):
            while not await _errors(handle):
                await asyncio.sleep(0.05)
        codec.failing = None
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 2}})
        assert (await handle.result())["outputs"] == ["how many: 2"]
        await _replay(handle, converter)
        # And the other way round: what was decoded must not be refused by a replay.
        codec.failing = b'"amount":2'
        with pytest.raises(RuntimeError, match="was decoded before cannot be decoded now"):
            await _replay(handle, converter)


async def test_references_are_read_up_to_a_number_and_again_after_continuing_as_new(
    client: Client, tmp_path: Path
) -> None:
    converter = storing(tmp_path, payload_size_threshold=_LARGE)
    ours = with_converter(client, converter)
    async with worker(ours, asker) as task_queue:
        durable = DurableWorkflow(asker, client=ours, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = ours.get_workflow_handle(checkpoint.thread_id)
        for number in range(MAX_READ + 5):
            await handle.signal("respond", {**_padded(2), "request_id": f"later-{number}"})
        async with asyncio.timeout(50):
            while (await handle.describe()).run_id == checkpoint.run_id:
                await asyncio.sleep(0.05)
        await handle.signal("respond", _padded(2))
        assert (await handle.result())["outputs"] == ["how many: 2"]
        first = ours.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id)
        await _replay(first, converter)


async def _errors(handle: WorkflowHandle[Any, Any]) -> list[str]:
    page = await handle.query("events")
    return [event["error"] for event in page["events"] if event["type"] == "response_rejected"]


class _Failing(PayloadCodec):
    """Fails for payloads that hold some bytes."""

    failing: bytes | None = None

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self.failing is not None and any(self.failing in payload.data for payload in payloads):
            raise TimeoutError("the key service does not answer")
        return list(payloads)
