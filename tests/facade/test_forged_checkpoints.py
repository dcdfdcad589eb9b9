"""Starts that bring a checkpoint of somebody's own making: its text runs no code, on a worker or where it is read."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowCheckpoint
from agent_framework_temporal import DurableWorkflow, HistoryCheckpointStorage
from agent_framework_temporal.adapter.checkpoints.frames import Frame, digest, pack
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.framework.definition import define
from agent_framework_temporal.workflows.messages import RespondSignal, RunInput
from temporalio.client import Client, WorkflowExecutionStatus

from tests.facade._forged import framed, started
from tests.flows import Decision, Order, shop
from tests.support import unique, worker
from tests.unit import test_hostile_documents as hostile

_GENERIC = f"{hostile.__name__}:Loaded"
BOMBS: dict[str, Any] = {
    "list": ["of", "builtins:list", "SOURCE"],
    "union": ["union", "builtins:int", "SOURCE"],
    "dict": ["of", "builtins:dict", "builtins:str", "SOURCE"],
    "text": "SOURCE",
    "generic model": ["of", _GENERIC, "SOURCE"],
    "model of the OpenAI package": ["of", "openai.types.chat.parsed_chat_completion:ParsedChoice", "SOURCE"],
}
"""Response types that would run what stands for SOURCE, if anything in them was evaluated or subscripted."""


def _source(sentinel: Path) -> str:
    return f"__import__('os').system('touch {sentinel}')"


async def _waiting() -> WorkflowCheckpoint:
    """Return a checkpoint that waits, of a run in this process."""
    storage = InMemoryCheckpointStorage()
    await shop().run(Order(item="pen"), checkpoint_storage=storage)
    found = await storage.get_latest(workflow_name="shop")
    assert found is not None
    return found


async def _bomb(node: Any, sentinel: Path, thread: str, **fields: Any) -> RunInput:
    """Return a start whose checkpoint has `node` for the response type of its pending request."""
    checkpoint = await _waiting()
    start = await framed(shop, checkpoint, thread, **fields)
    hosted = await define(shop)
    declared = json.dumps({"$type": f"{Decision.__module__}:{Decision.__qualname__}"}, separators=(",", ":")).encode()
    raw = dumps(checkpoint, hosted.catalog)
    assert raw.count(declared) == 1
    forged = json.dumps({"$type": node}).replace("SOURCE", _source(sentinel)).encode()
    return _with(start, raw.replace(declared, forged))


def _with(start: RunInput, raw: bytes) -> RunInput:
    """Put other bytes in the place of a start's checkpoint, with the digest that is theirs."""
    frame, _ = pack(Frame(checkpoint=raw, payloads=b""), None)
    assert start.base_facts is not None
    start.base_facts.digest = digest(raw)
    start.base_facts.size_bytes, start.base_facts.frame_bytes = len(raw), len(frame)
    start.with_frame(frame)
    return start


_MODES: dict[str, dict[str, Any]] = {
    "resume": {},
    "responses": {
        "mode": "responses",
        "responses": [RespondSignal(request_id="approve-pen", response={"approved": 1})],
    },
    "cancel": {"mode": "cancel", "responses": [RespondSignal(request_id="approve-pen", cancel=True)]},
}


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("kind", BOMBS)
async def test_a_type_in_a_checkpoint_is_never_evaluated(kind: str, mode: str, client: Client, tmp_path: Path) -> None:
    sentinel = tmp_path / "exploited"
    async with worker(client, shop) as queue:
        own = unique("forged")
        start = await _bomb(BOMBS[kind], sentinel, own, **_MODES[mode])
        thread, status, message = await started(client, queue, start, own)
        assert status == WorkflowExecutionStatus.FAILED
        assert "cannot be read" in message or "not a type this workflow declares" in message
        # Nor by an honest caller who follows the thread.
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint(thread)
        for read in (
            lambda: durable.run(checkpoint=checkpoint),
            lambda: durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint),
            lambda: HistoryCheckpointStorage(client, shop, checkpoint=thread).list_checkpoints(workflow_name="shop"),
        ):
            try:
                await read()
            except Exception as error:
                assert str(error)  # Whatever it is, it says something.
    assert not sentinel.exists()


async def test_a_type_that_no_executor_declares_has_no_schema(client: Client, tmp_path: Path) -> None:
    """It may be put together from what the workflow knows, but no validator is built of what a stranger made up."""
    async with worker(client, shop) as queue:
        node = ["of", "builtins:frozenset", f"{Order.__module__}:{Order.__qualname__}"]
        own = unique("forged")
        thread, status, _ = await started(client, queue, await _bomb(node, tmp_path, own), own)
        assert status == WorkflowExecutionStatus.RUNNING
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        (request,) = await durable.pending_requests(durable.checkpoint(thread))
        assert request.response_schema is None
        assert request.request_schema is not None


class _Exploit:
    def __init__(self, sentinel: Path) -> None:
        self._command = f"touch {sentinel}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


async def test_a_pickle_in_place_of_a_checkpoint_is_no_checkpoint(client: Client, tmp_path: Path) -> None:
    sentinel = tmp_path / "exploited"
    async with worker(client, shop) as queue:
        for protocol in (0, 5):
            own = unique("forged")
            start = _with(await framed(shop, await _waiting(), own), pickle.dumps(_Exploit(sentinel), protocol))
            _, status, message = await started(client, queue, start, own)
            assert status == WorkflowExecutionStatus.FAILED
            assert "not a valid checkpoint" in message or "cannot be read" in message
    assert not sentinel.exists()
