"""A thousand requests in one run: asked, listed, answered one by one and in batches, over continue-as-new."""

from __future__ import annotations

import copy

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow
from agent_framework_temporal.workflows.limits import MAX_SCHEMAS_BYTES
from agent_framework_temporal.workflows.messages import (
    ContinuedRun,
    PendingRequest,
    SuperstepResult,
    json_bytes,
)
from agent_framework_temporal.workflows.requests.pending import (
    MAX_ANSWER_BYTES,
    complete,
    packed,
    shown,
    unpack,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from tests.requests._flows import Question, Reply, asker
from tests.support import worker

_MANY = 1_000


async def _runs(client: Client, checkpoint: Checkpoint) -> int:
    """Return how many runs a thread's execution has had; each has read no more than a payload."""
    run_id: str | None = checkpoint.run_id
    description = await client.get_workflow_handle(checkpoint.thread_id).describe()
    run_id = description.raw_description.workflow_execution_info.first_run_id
    runs = 0
    while run_id:
        runs += 1
        handle = client.get_workflow_handle(checkpoint.thread_id, run_id=run_id)
        run_id = None
        async for event in handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                run_id = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            assert event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    return runs


@pytest.mark.timeout(300)
async def test_a_thousand(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        # One by one they make the history of their run grow.
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue, history_bytes_per_run=2_000_000)
        checkpoint = durable.checkpoint()
        result = await durable.run(Question(text="how many", count=_MANY), checkpoint=checkpoint)
        assert len(result.get_request_info_events()) == _MANY
        handle = client.get_workflow_handle(checkpoint.thread_id)
        pending = await durable.pending_requests(checkpoint)
        assert [request.request_id for request in pending] == [f"q{number}" for number in range(_MANY)]
        assert all(request.response_schema == Reply.model_json_schema() for request in pending)
        assert all(request.thread_id == checkpoint.thread_id for request in pending)
        # As any other language sees it.
        plain = await handle.query("pending_requests")
        assert len(plain) == _MANY
        assert plain[0]["response_schema"]["properties"]["amount"]["maximum"] == 100
        ids = {request["response_schema_id"] for request in plain}
        assert ids == {plain[0]["response_schema_id"]}
        for number in range(12):
            result = await durable.run(responses={f"q{number}": Reply(amount=2)}, checkpoint=checkpoint)
            assert result.get_outputs() == ["how many: 2"]
        await handle.signal("respond", [{"request_id": "q12", "response": {"amount": 4}}])
        receipt = await handle.execute_update("respond", {"request_id": "q13", "response": {"amount": 4}})
        assert receipt["queued"] == ["q13"]
        await durable.run(checkpoint=checkpoint)
        left = [request.request_id for request in await durable.pending_requests(checkpoint)]
        assert left == [f"q{number}" for number in range(14, _MANY)]
        for ids_ in (left[:400], left[400:]):
            result = await durable.run(responses={name: Reply(amount=2) for name in ids_}, checkpoint=checkpoint)
            assert result.get_outputs() == ["how many: 2"] * len(ids_)
        assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED
        assert await _runs(client, checkpoint) > 1


def _request(number: int, size: int, schemas: int) -> PendingRequest:
    schema = {"type": "object", "title": "x" * size, "description": str(number % schemas)}
    return PendingRequest(
        request_id=f"r{number}",
        thread_id="thread",
        executor_id="e",
        asked_at="now",
        request={"n": number},
        request_type="a:B",
        response_type="a:C",
        request_schema={"type": "string"},
        response_schema=schema,
    )


@pytest.mark.parametrize(
    ("size", "schemas", "left_out"), [(100, 1, 0), (5_000, 3, 0), (5_000, 100, 75), (200_000, 2, 2)]
)
def test_a_schema_is_handed_on_once(size: int, schemas: int, left_out: int) -> None:
    requests = [_request(number, size, schemas) for number in range(100)]
    given = copy.deepcopy(requests)
    pending, by_id = packed(requests)
    assert requests == given
    assert json_bytes(by_id) <= MAX_SCHEMAS_BYTES + 2_000
    assert sum(map(json_bytes, pending)) < 25_000
    for handed_on in (
        SuperstepResult(state="waiting", pending=pending, schemas=by_id),
        ContinuedRun(previous_run_id="r", pending=pending, schemas=by_id),
    ):
        text = handed_on.model_dump_json()
        read = type(handed_on).model_validate_json(text)
        unpack(read.pending, read.schemas, thread_id="thread", workflow_name="w")
        lacking = [request for request in read.pending if request.response_schema is None]
        assert len({request.request_id for request in lacking}) == left_out if schemas > 2 else True
        for request, original in zip(read.pending, given, strict=True):
            assert request.request_schema == original.request_schema
            assert request.response_schema in (original.response_schema, None)
            assert (request.thread_id, request.workflow_name) == ("thread", "w")
        # Handed on once more it is the same.
        assert packed(read.pending) == (pending, by_id)


@pytest.mark.parametrize("size", [10, 2_000, 20_000])
def test_an_answer_is_bounded_and_complete(size: int) -> None:
    pending, by_id = packed([_request(number, size, 2) for number in range(1_000)])
    unpack(pending, by_id, thread_id="thread", workflow_name="w")
    given = copy.deepcopy(pending)
    answer = [PendingRequest.model_validate_json(request.model_dump_json()) for request in shown(pending)]
    assert json_bytes(answer) < MAX_ANSWER_BYTES + 350_000
    assert pending == given
    assert answer[0].response_schema is not None
    assert answer[1].response_schema is not None
    complete(answer)
    assert answer == given
