"""`idle_timeout`: what goes on is not cut off, however long it takes, and what falls silent is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import DurableOptions, DurableWorkflow, ExecutorPolicy
from temporalio.client import Client

from tests.facade._idle import GOING_ON, silent, silent_beside, silent_child, silent_function, telling
from tests.flows import LEDGER
from tests.support import worker

_FAST = timedelta(milliseconds=20)
_LONG, _SHORT = timedelta(seconds=2.5), timedelta(seconds=0.3)
_SAID = r"has shown no progress for 0\.3 seconds, its `idle_timeout`"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def _begun(ledger: Path, who: str) -> int:
    return ledger.read_text().count(f"begin {who}")


async def test_what_goes_on_is_not_cut_off(client: Client) -> None:
    async with worker(client, *GOING_ON.values()) as task_queue:

        async def run(name: str, *, stream: bool, **options: Any) -> bool:
            durable = DurableWorkflow(
                GOING_ON[name], client=client, task_queue=task_queue, idle_timeout=_LONG, max_attempts=1, **options
            )
            if not stream:
                return bool((await durable.run("a")).get_outputs())
            return bool((await durable.run_stream("a").get_final_response()).get_outputs())

        calls = [run(name, stream=name == "streaming") for name in GOING_ON]
        # What calls models and tools shows it whether or not it is kept.
        calls += [run(name, stream=False, journal=False) for name in ("noting", "asking", "calling", "parent")]
        assert all(await asyncio.gather(*calls))


async def test_what_falls_silent_is_tried_again_and_what_is_beside_it_is_kept(client: Client, ledger: Path) -> None:
    async with worker(client, silent_beside) as task_queue:
        policy = ExecutorPolicy(idle_timeout=_SHORT, retry_initial_interval=_FAST)
        durable = DurableWorkflow(silent_beside, client=client, task_queue=task_queue, executors={"silent": policy})
        outputs = (await durable.run("a")).get_outputs()
    assert sorted(outputs) == ["a beside done", "a silent done", "going on"]
    assert (_begun(ledger, "silent"), _begun(ledger, "beside")) == (2, 1)


@pytest.mark.parametrize("workflow", [silent, silent_child, silent_function], ids=lambda found: found.__name__)
async def test_the_error_says_what_was_silent(client: Client, ledger: Path, workflow: Any) -> None:
    who = {"silent": "silent", "silent_child": "child", "silent_function": "silent_step"}[workflow.__name__]
    async with worker(client, workflow) as task_queue:
        durable = DurableWorkflow(
            workflow,
            client=client,
            task_queue=task_queue,
            idle_timeout=_SHORT,
            max_attempts=2,
            retry_initial_interval=_FAST,
        )
        with pytest.raises(TimeoutError, match=rf"^Executor '{who}' {_SAID}"):
            await durable.run("a")
    assert _begun(ledger, "s") == 2


async def test_an_executors_own_limit_comes_before_the_runs(client: Client) -> None:
    async with worker(client, telling) as task_queue:
        executors = {"telling": ExecutorPolicy(idle_timeout=timedelta(minutes=1))}
        durable = DurableWorkflow(
            telling,
            client=client,
            task_queue=task_queue,
            idle_timeout=_SHORT,
            max_attempts=1,
            executors=executors,
        )
        assert len((await durable.run("a")).get_outputs()) > 1


def test_limits_that_cannot_work(client: Client) -> None:
    with pytest.raises(ValueError, match="`idle_timeout` must be longer than 0"):
        ExecutorPolicy(idle_timeout=timedelta(0))
    with pytest.raises(ValueError, match="`idle_timeout` must not be longer than ten years"):
        DurableOptions(idle_timeout=timedelta(days=4000))


async def test_no_limit_within_a_sub_workflow(client: Client) -> None:
    executors = {"child/silent": ExecutorPolicy(idle_timeout=_SHORT)}
    durable = DurableWorkflow(silent_child, client=client, task_queue="none", executors=executors)
    with pytest.raises(ValueError, match=r"inside a sub-workflow.*not \['idle_timeout'\]"):
        await durable.run("a")
