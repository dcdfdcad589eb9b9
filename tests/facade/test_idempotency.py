"""The key of an invocation: the same however often its superstep is tried, another for everything else."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Never

import pytest
from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    executor,
    handler,
    response_handler,
)
from agent_framework_temporal import DurableWorkflow, current_superstep, idempotency_key
from temporalio.client import Client

from tests.flows import LEDGER, note
from tests.support import worker

_FAST = timedelta(milliseconds=20)
_FAIL = "TESTS_FAIL"
"""Environment variable: attempts of a superstep that fail."""


def _note(ctx: WorkflowContext[Any, Any], *parts: str | int) -> None:
    note(f"{ctx.request_id or '-'} {idempotency_key(ctx, *parts)}")
    assert idempotency_key(ctx, *parts) != idempotency_key(ctx, *parts, "other")


class Payer(Executor):
    """Pays, and fails after it has paid."""

    @handler
    async def pay(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        _note(ctx)
        step = current_superstep()
        if step is not None and step.attempt <= int(os.environ.get(_FAIL, "0")):
            raise OSError("the connection broke")
        await ctx.yield_output(f"{self.id} {step.superstep if step else 'in process'}")
        await ctx.send_message(text)


class Asker(Executor):
    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        for number in range(2):
            await ctx.request_info(text, str, request_id=f"{text}-{number}")

    @response_handler
    async def answered(self, text: str, answer: str, ctx: WorkflowContext[Never, str]) -> None:
        _note(ctx)


class Inner(Executor):
    """Counts down within one superstep of its parent."""

    @handler
    async def count(self, left: str, ctx: WorkflowContext[str, str]) -> None:
        _note(ctx)
        if len(left) > 1:
            await ctx.send_message(left[1:])
        else:
            await ctx.yield_output(left)


@executor(id="threaded")
def threaded(text: str, ctx: WorkflowContext[Never, str]) -> None:
    """Note the key from a thread of its own."""
    _note(ctx)


def fan_out() -> Workflow:
    first, left, right = (Payer(id=name) for name in ("first", "left", "right"))
    return WorkflowBuilder(name="keys-fan-out", start_executor=first).add_fan_out_edges(first, [left, right]).build()


def asking() -> Workflow:
    return WorkflowBuilder(name="keys-asking", start_executor=Asker(id="asker")).build()


def synchronous() -> Workflow:
    return WorkflowBuilder(name="keys-synchronous", start_executor=threaded).build()


def _child() -> Workflow:
    tick, tock = Inner(id="tick"), Inner(id="tock")
    return WorkflowBuilder(name="child", start_executor=tick).add_edge(tick, tock).add_edge(tock, tick).build()


def nested() -> Workflow:
    first = Payer(id="first")
    children = [WorkflowExecutor(_child(), id=name) for name in ("left", "right")]
    builder = WorkflowBuilder(name="keys-nested", start_executor=first)
    return builder.add_fan_out_edges(first, list(children)).build()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _keys(ledger: Path) -> Counter[str]:
    """Return how often each key was noted, and forget them."""
    keys = Counter(line.split()[-1] for line in ledger.read_text().splitlines())
    ledger.unlink()
    return keys


async def test_attempts_share_a_key_and_nothing_else_does(
    client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_FAIL, "2")
    async with worker(client, fan_out) as task_queue:
        durable = DurableWorkflow(fan_out, client=client, task_queue=task_queue, retry_initial_interval=_FAST)
        checkpoint = durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
        first = _keys(ledger)
        assert len(first) == 3
        assert max(first.values()) == 3  # One that fails cancels its sibling, perhaps before that begins.
        # The next message is another turn, although its supersteps have the same numbers; so is another thread's.
        monkeypatch.setenv(_FAIL, "0")
        await durable.run("a", checkpoint=checkpoint)
        second = _keys(ledger)
        await durable.run("a", checkpoint=durable.checkpoint())
        third = _keys(ledger)
        assert len(second) == len(third) == 3
        assert not (first & second or first & third or second & third)


async def test_resumed_run_has_the_keys_of_the_one_that_failed(
    client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(client, fan_out, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(fan_out, client=client, task_queue=task_queue, max_attempts=1, supersteps_per_run=1)
        checkpoint = durable.checkpoint()
        monkeypatch.setenv(_FAIL, "1")
        with pytest.raises(OSError, match="the connection broke"):
            await durable.run("a", checkpoint=checkpoint)
        (failed,) = _keys(ledger)
        monkeypatch.setenv(_FAIL, "0")
        result = await durable.run(checkpoint=checkpoint)
        assert failed in _keys(ledger)
        assert sorted(result.get_outputs()) == ["first 1", "left 2", "right 2"]


async def test_responses_have_keys_of_their_own(client: Client, ledger: Path) -> None:
    async with worker(client, asking) as task_queue:
        durable = DurableWorkflow(asking, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
        await durable.run(responses={"a-0": "yes", "a-1": "no"}, checkpoint=checkpoint)
        assert sorted(_keys(ledger).values()) == [1, 1]


@pytest.mark.parametrize("cache_bytes", [0, 1_000_000], ids=["uncached", "cached"])
async def test_supersteps_of_a_sub_workflow(cache_bytes: int, client: Client, ledger: Path) -> None:
    async with worker(client, nested, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(nested, client=client, task_queue=task_queue)
        await durable.run("abcd")
        assert sorted(_keys(ledger).values()) == [1] * 9


async def test_synchronous_executor(client: Client, ledger: Path) -> None:
    async with worker(client, synchronous) as task_queue:
        await DurableWorkflow(synchronous, client=client, task_queue=task_queue).run("a")
        assert len(_keys(ledger)) == 1


async def test_in_process_each_invocation_has_its_key(ledger: Path) -> None:
    assert current_superstep() is None
    workflow = fan_out()
    for _ in range(2):
        assert "first in process" in (await workflow.run("a")).get_outputs()
    assert sorted(_keys(ledger).values()) == [1] * 6
