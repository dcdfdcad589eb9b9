"""A durable workflow behind agent-framework's AG-UI endpoint, called by its AG-UI client over a real socket."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from agent_framework import ChatResponse, Message, Workflow
from agent_framework_ag_ui import AGUIChatClient, AGUIHttpService, add_agent_framework_fastapi_endpoint
from agent_framework_temporal import DurableOptions, ag_ui_workflow
from agent_framework_temporal.adapter.http.ag_ui_thread import workflow_id
from agent_framework_temporal.workflows.messages import WhenRunning
from fastapi import FastAPI, Header
from temporalio.client import Client, WorkflowExecutionStatus

from tests.agents._flows import HOLD, desk, teller
from tests.http._serving import serving
from tests.sealing._rogue import connect
from tests.support import unique, worker


def principal(user: Annotated[str, Header()] = "ada") -> str:
    """Return who calls, as a header says."""
    return user


@dataclass
class Desk:
    """An AG-UI endpoint of the desk."""

    url: str
    queue: str

    async def say(self, thread: str, text: str = "", **options: Any) -> ChatResponse:
        """Send one request with the framework's client."""
        async with AGUIChatClient(endpoint=self.url) as client:
            more: Any = {"metadata": {"thread_id": thread}, **options}
            return await client.get_response([Message(role="user", contents=[text])] if text else [], options=more)

    async def events(self, thread: str, text: str = "", **more: Any) -> list[dict[str, Any]]:
        """Return the protocol's events for one request."""
        messages = [{"id": "1", "role": "user", "content": text}] if text else []
        async with AGUIHttpService(self.url) as service:
            return [event async for event in service.post_run(thread, "run", messages=messages, **more)]


@asynccontextmanager
async def endpoint(
    client: Client,
    queue: str,
    when_running: WhenRunning = "reject",
    build: Callable[[], Workflow] = desk,
    worker_timeout: float = 10,
    **scope: Any,
) -> AsyncIterator[Desk]:
    """Serve a workflow as a process of its own would."""
    app = FastAPI()
    options = DurableOptions(
        worker_timeout=timedelta(seconds=worker_timeout), max_attempts=1, when_running=when_running
    )
    workflow = ag_ui_workflow(client, build, task_queue=queue, options=options)
    add_agent_framework_fastapi_endpoint(app, workflow, "/desk", **(scope or {"single_user": True}))
    async with serving(app) as http:
        yield Desk(f"{http.base_url}/desk", queue)


@pytest.fixture(scope="module")
async def served(client: Client) -> AsyncIterator[Desk]:
    async with worker(client, desk, teller) as queue, endpoint(client, queue) as found:
        yield found


def resumed(interrupt: Mapping[str, Any], payload: Any) -> list[dict[str, Any]]:
    """Return what answers an interrupt."""
    return [{"interruptId": interrupt["id"], "status": "resolved", "payload": payload}]


def interrupts(response: ChatResponse) -> list[dict[str, Any]]:
    """Return what a run has ended with that wants an answer."""
    found: list[dict[str, Any]] = response.additional_properties.get("interrupts", [])
    return found


def _kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


async def test_tokens_come_one_by_one(served: Desk) -> None:
    events = await served.events(unique("thread"), "a pen")
    deltas = [event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(deltas) == "The clerk has read 1 and says yes to a pen"
    assert len(deltas) > 3
    assert _kinds(events)[0] == "RUN_STARTED" and _kinds(events)[-1] == "RUN_FINISHED"
    assert {event["stepName"] for event in events if event["type"] == "STEP_STARTED"} >= {"desk", "clerk"}


async def test_an_interrupt_is_answered_at_another_process(client: Client, served: Desk) -> None:
    thread = unique("thread")
    asked = await served.say(thread, "refund a pen")
    (interrupt,) = interrupts(asked)
    shown = interrupt["metadata"]["agent_framework"]
    assert (shown["request_type"], shown["data"]) == ("Refund", {"reason": "refund a pen"})
    # Another registration has seen nothing of the thread, as another process, and is shown the same.
    async with endpoint(client, served.queue) as other:
        assert interrupts(await other.say(thread)) == [interrupt]
        again = await other.events(thread, "refund a cup")  # As in process: first the answer.
        assert (again[-1]["type"], again[-1]["code"]) == ("RUN_ERROR", "WORKFLOW_RESUME_REQUIRED")
        wrong = await other.events(thread, resume=resumed(interrupt, {"approved": "perhaps"}))
        assert wrong[-1]["code"] == "WORKFLOW_RESUME_INVALID_RESPONSE"
        unknown = await other.events(thread, resume=resumed({"id": "<script>"}, True))
        assert unknown[-1]["code"] == "WORKFLOW_RESUME_NOT_FOUND"
        answered = await other.say(thread, resume=resumed(interrupt, {"approved": True, "by": "ada"}))
    assert answered.text == "refund a pen: paid, says ada"
    assert interrupts(answered) == []
    # The thread goes on where it was, at the first one again.
    assert "yes to a cup" in (await served.say(thread, "a cup")).text
    late = await served.events(thread, resume=resumed(interrupt, {"approved": False}))
    assert late[-1]["type"] == "RUN_ERROR"
    found = [run async for run in client.list_workflows(f"WorkflowId = '{workflow_id('desk', None, thread)}'")]
    assert {run.status for run in found} <= {WorkflowExecutionStatus.COMPLETED}


async def test_an_interrupt_that_is_cancelled(served: Desk) -> None:
    thread = unique("thread")
    (interrupt,) = interrupts(await served.say(thread, "refund a pen"))
    events = await served.events(thread, resume=[{"interruptId": interrupt["id"], "status": "cancelled"}])
    assert _kinds(events)[-1] == "RUN_FINISHED", events
    assert "yes to a cup" in (await served.say(thread, "a cup")).text


@pytest.mark.parametrize(("decision", "paid"), [({"approved": True}, "5 paid"), ({"approved": False}, "rejected")])
async def test_an_agents_tool_is_approved(client: Client, served: Desk, decision: dict[str, Any], paid: str) -> None:
    thread = unique("thread")
    async with endpoint(client, served.queue, build=teller) as first:
        (interrupt,) = interrupts(await first.say(thread, "pay them"))
    assert interrupt["reason"] == "tool_call"
    async with endpoint(client, served.queue, build=teller) as second:
        assert interrupts(await second.say(thread)) == [interrupt]
        answered = await second.say(thread, resume=resumed(interrupt, decision))
    assert paid in answered.text


async def test_a_run_that_fails_ends_with_the_protocols_error(served: Desk) -> None:
    events = await served.events(thread := unique("thread"), "fail at this")
    assert _kinds(events)[-1] == "RUN_ERROR"
    assert _kinds(events).count("RUN_ERROR") == 1
    assert events[-1]["code"] == "ValueError"
    assert "internal" not in events[-1]["message"]  # The log has it.
    assert "yes to a cup" in (await served.say(thread, "a cup")).text


async def test_a_client_that_leaves_does_not_stop_the_run(
    client: Client, served: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    monkeypatch.setenv(HOLD, str(go))
    thread = unique("thread")
    async with AGUIHttpService(served.url) as service:
        messages = [{"id": "1", "role": "user", "content": "wait for it"}]
        async for event in service.post_run(thread, "run", messages=messages):
            if event["type"] == "RUN_STARTED":
                break
    busy = await served.events(thread, "a cup")
    assert (busy[-1]["type"], busy[-1]["code"]) == ("RUN_ERROR", "AlreadyRunningError")
    followed = []  # It comes back, and is given the rest.
    async with AGUIHttpService(served.url) as service:
        async for event in service.post_run(thread, "run", messages=[]):
            go.touch()
            followed.append(event)
    assert (_kinds(followed)[0], _kinds(followed)[-1]) == ("RUN_STARTED", "RUN_FINISHED")
    assert "yes to wait for it" in "".join(e["delta"] for e in followed if e["type"] == "TEXT_MESSAGE_CONTENT")
    result = await client.get_workflow_handle(workflow_id("desk", None, thread)).result()
    assert result["outputs"]
    assert _kinds(await served.events(thread)) == ["RUN_STARTED", "RUN_FINISHED"]  # It rests, and nothing waits.
    assert "yes to a cup" in (await served.say(thread, "a cup")).text


async def test_a_message_waits_for_its_turn_where_the_options_say_so(
    client: Client, served: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOLD, str(go := tmp_path / "go"))
    thread = unique("thread")
    async with AGUIHttpService(served.url) as service, endpoint(client, served.queue, "enqueue") as patient:
        messages = [{"id": "1", "role": "user", "content": "wait for it"}]
        async for event in service.post_run(thread, "run", messages=messages):
            if event["type"] == "RUN_STARTED":
                break
        said = asyncio.ensure_future(patient.say(thread, "a cup"))
        handle = client.get_workflow_handle(workflow_id("desk", None, thread))
        while not (await handle.query("status")).get("queued_messages"):
            await asyncio.sleep(0.05)
        go.touch()
        assert "yes to a cup" in (await said).text


async def test_a_client_names_no_checkpoint(served: Desk) -> None:
    body = {"threadId": unique("thread"), "runId": "r", "messages": [], "forwardedProps": {"checkpoint_id": "x"}}
    async with httpx.AsyncClient() as http:
        text = (await http.post(served.url, json=body)).text
    assert "RUN_ERROR" in text and "Traceback" not in text


HOSTILE = (
    "../../x",
    "a b\n\r\x00",
    "<script>alert(1)</script>",
    "x" * 100_000,
    "\U0001f600 ü",
    "' OR 1=1 --",
    "ag-ui-",
)


@pytest.mark.parametrize("thread", HOSTILE, ids=range(len(HOSTILE)))
async def test_any_thread_id_is_a_thread(served: Desk, thread: str) -> None:
    thread += unique("x")
    response = await served.say(thread, "a pen")
    assert response.text.endswith("yes to a pen")
    assert response.additional_properties["thread_id"] == thread


def test_ids_of_threads_are_apart() -> None:
    ids = [workflow_id(*given) for given in (("a", "b", "c"), ("a", "b-c", "c"), ("ab", "", "c"), ("a", None, "c"))]
    assert len(set(ids)) == len(ids)
    assert all(len(workflow_id("desk", None, thread)) < 300 for thread in HOSTILE)
    assert workflow_id("a", "ag-ui:single-user:1", "t") == workflow_id("a", "ag-ui:single-user:2", "t")


async def test_nobody_answers_for_another(client: Client, served: Desk) -> None:
    async with endpoint(client, served.queue, authorization_scope_resolver=principal) as found:
        thread = unique("thread")
        (interrupt,) = interrupts(await found.say(thread, "refund a pen"))
        # Neither in the single user's scope of the other endpoint, nor as somebody else at this one.
        assert (await served.events(thread, resume=resumed(interrupt, {"approved": True})))[-1]["type"] == "RUN_ERROR"
        async with serving_as(found, "eve") as eve:
            answer = resumed(interrupt, {"approved": True})
            refused = [event async for event in eve.post_run(thread, "run", messages=[], resume=answer)]
            assert refused[-1]["type"] == "RUN_ERROR"
            shown = [event async for event in eve.post_run(thread, "run", messages=[])]
            assert _kinds(shown) == ["RUN_STARTED", "RUN_FINISHED"]
            assert "refund" not in str(shown)
        assert interrupts(await found.say(thread)) == [interrupt]


@asynccontextmanager
async def serving_as(desk_of: Desk, user: str) -> AsyncIterator[AGUIHttpService]:
    async with (
        httpx.AsyncClient(headers={"user": user}, timeout=60) as http,
        AGUIHttpService(desk_of.url, http_client=http) as service,
    ):
        yield service


async def test_a_sealed_thread_with_keys_and_without(client: Client) -> None:
    sealing = await connect(client)
    thread = unique("thread")
    async with worker(sealing, desk) as queue:
        async with endpoint(sealing, queue) as found:
            (interrupt,) = interrupts(await found.say(thread, "refund a pen"))
        async with endpoint(client, queue) as blind:
            events = await blind.events(thread)
            assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "NotSealedError")
            refused = await blind.events(thread, "a cup")
            assert (refused[-1]["type"], refused[-1]["code"]) == ("RUN_ERROR", "NotSealedError")
        async with endpoint(sealing, queue) as found:
            answered = await found.say(thread, resume=resumed(interrupt, {"approved": True, "by": "ada"}))
            assert answered.text == "refund a pen: paid, says ada"


async def test_what_cannot_be_read_is_an_error_and_no_end(client: Client) -> None:
    thread = unique("thread")
    async with worker(client, desk) as queue, endpoint(client, queue) as found:
        (interrupt,) = interrupts(await found.say(thread, "refund a pen"))
    async with endpoint(client, queue, worker_timeout=0.5) as found:
        for resume in (None, [{"interruptId": interrupt["id"], "status": "cancelled"}]):
            events = await found.events(thread, resume=resume)
            assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "NoWorkerError"), resume


async def test_a_server_that_does_not_answer_is_an_error_of_the_protocol() -> None:
    async with endpoint(await Client.connect("127.0.0.1:1", lazy=True), "nobody") as found:
        for text in ("refund a pen", ""):
            events = await found.events(unique("thread"), text)
            assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "ServerUnreachableError")


async def test_of_two_who_answer_one_counts(client: Client, served: Desk) -> None:
    thread = unique("thread")
    (interrupt,) = interrupts(await served.say(thread, "refund a pen"))
    async with endpoint(client, served.queue) as other:
        answers = [
            desk_of.events(thread, resume=resumed(interrupt, {"approved": True, "by": by}))
            for desk_of, by in ((served, "ada"), (other, "bob"))
        ]
        told = await asyncio.gather(*answers)
    ends = sorted(events[-1]["type"] for events in told)
    text = "".join(event["delta"] for events in told for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")
    assert text.count("refund a pen: paid, says") >= 1 and not ("says ada" in text and "says bob" in text), told
    assert "RUN_FINISHED" in ends, told


def test_without_the_extra_it_says_which(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agent_framework_temporal.adapter.http.ag_ui_runner", None)
    with pytest.raises(ImportError, match=r"agent-framework-temporal\[ag-ui\]"):
        ag_ui_workflow(client, desk)
