"""What travels between a superstep and an executor elsewhere: sealed, of bounded size, and only of its own place."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Workflow, WorkflowBuilder
from agent_framework_temporal import (
    DurableWorkflow,
    ExecutorPolicy,
    FileStorageDriver,
    GraphChangedError,
    NotSealedError,
    PayloadError,
)
from agent_framework_temporal.workflows.messages import INVOCATION_ACTIVITY, InvocationInput, SuperstepInput
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import DescribeActivityExecutionRequest, DescribeActivityExecutionResponse
from temporalio.client import ActivityFailureError, Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tests.limits._flows import Order, hoard
from tests.limits.test_external_storage import connected
from tests.placement._flows import Work, fan
from tests.placement._ledger import Ledger
from tests.sealing._rogue import connect, plain
from tests.support import unique, worker

_LARGE = 3_000_000


def _durable(source: Any, client: Client, task_queue: str, *, gpu: str, name: str = "gpu-1") -> DurableWorkflow:
    policies = {name: ExecutorPolicy(task_queue=gpu)}
    return DurableWorkflow(source, client=client, task_queue=task_queue, executors=policies, max_attempts=1)


async def _invocation(client: Client, task_queue: str) -> DescribeActivityExecutionResponse:
    """Return the one invocation of a queue as the server has it."""
    found = [execution.activity_id async for execution in client.list_activities(f"TaskQueue = '{task_queue}'")]
    return await client.workflow_service.describe_activity_execution(
        DescribeActivityExecutionRequest(
            namespace=client.namespace, activity_id=found[0], include_input=True, include_outcome=True
        )
    )


async def _refused_by_hand(client: Client, sealing: Client, task_queue: str, given: Payload) -> ApplicationError:
    """Start an invocation as somebody without keys, and return what its worker says of it to one with keys."""
    handle: Any = await client.start_activity(
        INVOCATION_ACTIVITY,
        RawValue(given),
        id=unique("by-hand"),
        task_queue=task_queue,
        start_to_close_timeout=timedelta(seconds=20),
    )
    with pytest.raises(ActivityFailureError) as raised:
        await sealing.get_activity_handle(handle.id).result()
    assert isinstance(raised.value.cause, ApplicationError)
    return raised.value.cause


async def test_sealed(client: Client, ledger: Ledger) -> None:
    sealing, gpu = await connect(client), unique("gpu")
    async with worker(sealing, fan) as task_queue, worker(sealing, fan, task_queue=gpu):
        durable = _durable(fan, sealing, task_queue, gpu=gpu)
        assert "gpu-1:1:model of gpu-1" in (await durable.run("secret")).get_outputs()
        seen = await _invocation(client, gpu)
        assert b"secret" not in seen.SerializeToString()
        begun = ledger.count("begin gpu-1")
        # Neither what nobody has sealed is run, nor what was sealed for another invocation.
        forged = InvocationInput(
            executor_id="gpu-1",
            graph_hash="",
            invocation_id="forged",
            thread_id="t",
            run_id="r",
            activity_id="1",
            message_run_id="r",
            superstep=1,
            superstep_attempt=1,
            step=SuperstepInput(workflow_name="fan", mode="continue"),
        )
        for given, words in ((plain(forged), "was not sealed"), (seen.input.payloads[0], "is sealed for activity")):
            refused = await _refused_by_hand(client, sealing, gpu, given)
            assert (refused.type, refused.non_retryable) == ("NotSealedError", True)
            assert words in refused.message
        assert ledger.count("begin gpu-1") == begun


class _Rogue:
    """Answers invocations with what somebody without keys can make up."""

    def __init__(self, answer: Payload | Exception) -> None:
        self._answer = answer

    @activity.defn(name=INVOCATION_ACTIVITY)
    async def invocation(self, given: RawValue) -> RawValue:
        """Answer as told."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return RawValue(self._answer)


async def test_outcome_of_a_worker_without_keys(client: Client, ledger: Ledger) -> None:
    sealing, gpu = await connect(client), unique("gpu")
    async with worker(sealing, fan) as task_queue:
        async with worker(sealing, fan, task_queue=gpu):
            await _durable(fan, sealing, task_queue, gpu=gpu).run("x")
            copied = (await _invocation(client, gpu)).outcome.result.payloads[0]
        forged = {"kind": "invocation", "answers": "x"}
        for answer in (plain(forged), copied, ApplicationError("It is so.", {"message": "so"}, non_retryable=True)):
            rogue = unique("gpu")
            async with Worker(client, task_queue=rogue, activities=[_Rogue(answer).invocation]):
                with pytest.raises(NotSealedError, match="sealed"):
                    await _durable(fan, sealing, task_queue, gpu=rogue).run("x")


async def test_what_is_too_large(client: Client, tmp_path: Path) -> None:
    """Without external storage the error says what is; with it all that size travels."""
    gpu = unique("gpu")
    async with worker(client, hoard) as task_queue, worker(client, hoard, task_queue=gpu):
        with pytest.raises(PayloadError, match="The result of executor 'hoard' on its task queue takes"):
            await _durable(hoard, client, task_queue, gpu=gpu, name="hoard").run(Order(state=_LARGE))
    stored = connected(client, FileStorageDriver(tmp_path / "payloads"))
    gpu = unique("gpu")
    async with worker(stored, hoard) as task_queue, worker(stored, hoard, task_queue=gpu):
        result = await _durable(hoard, stored, task_queue, gpu=gpu, name="*").run(
            Order(state=_LARGE, message=_LARGE, output=_LARGE)
        )
        assert [len(output) for output in result.get_outputs()] == [_LARGE, len(f"sink {_LARGE}")]


def _lone_fan() -> Workflow:
    """Build another graph under the name of `fan`."""
    return WorkflowBuilder(name="fan", start_executor=Work("gpu-1")).build()


async def test_another_graph_on_the_queue(client: Client, ledger: Ledger) -> None:
    gpu = unique("gpu")
    async with worker(client, fan) as task_queue, worker(client, _lone_fan, task_queue=gpu):
        with pytest.raises(GraphChangedError, match="Deploy the same version to both"):
            await _durable(fan, client, task_queue, gpu=gpu).run("x")
    assert ledger.count("begin gpu-1") == 0
