"""`status`, `checkpoints`, `cancel`, `respond`, `inbox`: a thread is looked at and answered."""

from __future__ import annotations

import json

from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.client import Client

from tests.cli._commands import Commands
from tests.flows import Order, echo, shop
from tests.requests._flows import Question, asker
from tests.support import unique, worker


async def _waiting(client: Client, queue: str, count: int = 1) -> Checkpoint:
    durable = DurableWorkflow(asker, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Question(text="how many", count=count), checkpoint=checkpoint)
    return checkpoint


async def test_status_of_a_thread_that_waits(cli: Commands, client: Client, queue: str) -> None:
    checkpoint = await _waiting(client, queue)
    found = (await cli("status", checkpoint.thread_id, "--json")).json
    assert (found["state"], found["workflow"], found["superstep"]) == ("waiting", "asker", 1)
    assert found["checkpoint_id"] == checkpoint.checkpoint_id
    assert found["pending_requests"][0]["response_schema"]["properties"]["amount"]["maximum"] == 100
    text = (await cli("status", checkpoint.thread_id)).out
    assert "state          waiting\n" in text
    assert f"answer with    agent-framework-temporal respond {checkpoint.thread_id} q0\n" in text
    assert max(len(line) for line in text.splitlines() if "answer with" not in line) <= 80


async def test_status_without_a_worker(cli: Commands, client: Client) -> None:
    async with worker(client, asker) as queue:
        thread = (await _waiting(client, queue)).thread_id
    assert f"state          open; no worker answers on task queue '{queue}'\n" in (await cli("status", thread)).out
    assert (await cli("status", thread, "--json")).json["worker"] is False


async def test_answers_are_judged_at_once(cli: Commands, client: Client, queue: str) -> None:
    thread = (await _waiting(client, queue, count=2)).thread_id
    wrong = await cli("respond", thread, "q0", "--data", '{"amount": "many"}', code=8)
    assert "does not fit tests.requests._flows:Reply: amount" in wrong.err
    assert "say which request, as there are 2: q0, q1" in (await cli("respond", thread, "--data", "{}", code=2)).err
    assert "in a terminal only" in (await cli("respond", thread, "q0", code=2)).err
    right = await cli("respond", thread, "q0", "--data", '{"amount": 4}', "--responder", "ann", "--json")
    assert right.json == {"thread_id": thread, "queued": ["q0"], "early": []}
    last = await cli("respond", thread, "--data", "-", "--stream", "--json", text='{"amount": 6}')
    assert last.lines[-1]["outputs"] == ["how many: 6"]
    assert (await cli("status", thread, "--json")).json["state"] == "idle"
    assert "is over" in (await cli("respond", thread, code=2)).err
    assert "no pending" in (await cli("respond", thread, "q0", "--data", "{}", code=8)).err.lower()


async def test_a_typo_in_a_request_id_is_not_kept_for_later(cli: Commands, client: Client, queue: str) -> None:
    thread = (await _waiting(client, queue, count=2)).thread_id
    wrong = await cli("respond", thread, "q00", "--data", '{"amount": 2}', code=7)
    assert f"Thread '{thread}' has no pending request 'q00'. Did you mean 'q0'?" in wrong.err
    assert "--early" in wrong.err
    assert "It waits for q0, q1." in (await cli("respond", thread, "zebra", "--data", "1", code=7)).err
    assert json.loads((await cli("respond", thread, "q00", "--data", "1", "--json", code=7)).err)["exit_code"] == 7
    await cli("respond", thread, "q0", "--data", '{"amount": 2}')
    # What was answered already is no typo.
    assert "already answered" in (await cli("respond", thread, "q0", "--data", '{"amount": 2}', code=8)).err
    assert (await cli("status", thread, "--json")).json["pending_requests"][0]["request_id"] == "q1"


async def test_an_early_answer_waits_for_its_request(cli: Commands, client: Client, queue: str) -> None:
    thread = (await _waiting(client, queue)).thread_id
    done = await cli("respond", thread, "q-again", "--early", "--data", '{"amount": 2}')
    assert done.out == "Kept until 'q-again' is asked: it is not pending now.\n"


async def test_cancels_a_request_or_the_run(cli: Commands, client: Client, queue: str) -> None:
    thread = (await _waiting(client, queue, count=2)).thread_id
    assert (await cli("cancel", thread, "--request", "q1", "--json")).json["cancelled"] == ["q1"]
    assert "Nothing to cancel" in (await cli("cancel", thread, "-r", "nothing", code=8)).err
    await cli("cancel", thread)
    await client.get_workflow_handle(thread).describe()
    assert (await cli("status", thread, "--json")).json["state"] in ("cancelled", "waiting")
    durable = DurableWorkflow(asker, client=client, task_queue=queue)
    try:
        await durable.run_stream(checkpoint=durable.checkpoint(thread), after=-1).get_final_response()
    except Exception as error:
        assert "was cancelled" in str(error)
    assert "no open run" in (await cli("cancel", thread, code=7)).err
    assert "no open run" in (await cli("cancel", thread, "-r", "q0", code=7)).err


async def test_tries_a_paused_run_again(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue=queue, max_attempts=1, pause_on_failure=True)
    checkpoint = durable.checkpoint()
    stream = durable.run_stream("fail", checkpoint=checkpoint)
    async for event in stream:
        if event.type == "failed":
            break
    assert (await cli("status", checkpoint.thread_id, "--json")).json["state"] == "paused"
    assert "tries again" in (await cli("retry", checkpoint.thread_id)).out
    await cli("cancel", checkpoint.thread_id)


async def test_the_inbox_has_what_waits(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    item = unique("kettle")
    checkpoint = durable.checkpoint()
    await durable.run(Order(item=item), checkpoint=checkpoint)
    for _ in range(20):
        found = (await cli("inbox", "-w", "shop", "--json")).json
        if any(request["request_id"] == f"approve-{item}" for request in found):
            break
    text = (await cli("inbox", "-w", "shop")).out
    assert f"  agent-framework-temporal respond {checkpoint.thread_id} approve-{item}\n" in text


async def test_checkpoints_as_a_table(cli: Commands, client: Client, queue: str) -> None:
    checkpoint = await _waiting(client, queue)
    lines = (await cli("checkpoints", checkpoint.thread_id)).out.splitlines()
    assert lines[0].split() == ["step", "kind", "state", "size", "checkpoint"]
    assert lines[-1].endswith(str(checkpoint.checkpoint_id))
    assert max(map(len, lines)) <= 80


async def test_says_that_there_is_no_such_thread(cli: Commands, client: Client) -> None:
    for command in (["status"], ["checkpoints"], ["cancel"], ["stream"], ["respond"]):
        assert "There is no thread 'nothing'" in (await cli(*command, "nothing", code=7)).err
    other = unique("other")
    await client.start_workflow("Something", id=other, task_queue="nobody")
    assert "of type 'Something', not a thread" in (await cli("status", other, code=7)).err
