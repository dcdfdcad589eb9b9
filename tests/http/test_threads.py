"""Threads over HTTP: begun, followed, answered, and brought to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from agent_framework_temporal import DurableOptions
from temporalio.client import Client

from tests.flows import chain, echo, shop
from tests.http._serving import API, api, begun, outputs, whole_stream
from tests.support import unique, worker

_BASE = "https://example.org/agents"


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        worker(client, shop, echo, chain) as queue,
        api(client, shop, echo, chain, task_queue=queue, base_url=_BASE) as http,
    ):
        yield http


async def test_a_thread_from_its_start_to_its_outcome(client: Client, http: httpx.AsyncClient) -> None:
    item = unique("tea")
    thread = await begun(http, "shop", {"item": item, "price": 3})
    details = await (await client.get_workflow_handle(thread).describe()).static_details()
    assert details is not None and details.endswith(f"(<{_BASE}/threads/{thread}>)")
    sent = await whole_stream(http, thread)
    assert [found.data["state"] for found in sent if found.name == "end"] == ["waiting"]
    waiting = (await http.get(f"{API}/threads/{thread}/requests")).json()["requests"]
    assert [request["request_id"] for request in waiting] == [f"approve-{item}"]
    assert waiting[0]["response_schema"]["properties"].keys() == {"approved", "by"}

    address = f"{API}/threads/{thread}/requests/approve-{item}/response"
    wrong = await http.post(address, json={"response": {"approved": "perhaps"}})
    assert wrong.status_code == 422
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["verdict"] == "rejected" and "approved" in wrong.text

    right = await http.post(address, json={"response": {"approved": True, "by": "ada"}, "responder": "Ada"})
    assert (right.status_code, right.json()["verdict"]) == (200, "accepted")
    rest = await whole_stream(http, thread, last=sent[-1].id)
    assert outputs(rest) == [f"{item} approved by ada, order 1"]
    assert rest[-1].name == "end" and rest[-1].data["state"] == "idle"
    assert not {found.id for found in sent} & {found.id for found in rest[:-1]}
    steps = (await http.get(f"{API}/threads/{thread}/timeline")).json()["supersteps"]
    (given,) = [answer for step in steps for answer in step["answers"]]
    assert (given["request_id"], given["responder"], given["cancelled"]) == (f"approve-{item}", "Ada", False)


async def test_a_message_that_fits_no_type_is_refused_before_anything_runs(http: httpx.AsyncClient) -> None:
    for message in ({"item": "tea", "price": "much"}, "tea", 7, [{"price": 1}], None):
        response = await http.post(f"{API}/workflows/shop/threads", json={"message": message})
        assert response.status_code == 422, response.text
        assert response.json()["type"] == "urn:agent-framework-temporal:problem:message-refused"
    thread = await begun(http, "echo", "hello")
    await whole_stream(http, thread)
    assert (await http.post(f"{API}/threads/{thread}/messages", json={"message": {"a": 1}})).status_code == 422


async def test_of_many_at_once_one_counts(http: httpx.AsyncClient) -> None:
    item, thread = unique("tea"), unique("many")
    begin = {"message": {"item": item}, "thread_id": thread}
    sent = await asyncio.gather(*(http.post(f"{API}/workflows/shop/threads", json=begin) for _ in range(6)))
    assert sorted(response.status_code for response in sent) == [201, *[409] * 5]
    first = await whole_stream(http, thread)
    address = f"{API}/threads/{thread}/requests/approve-{item}/response"
    answers = [{"response": {"approved": True, "by": str(number)}} for number in range(6)]
    given = await asyncio.gather(*(http.post(address, json=answer) for answer in answers))
    accepted = [number for number, response in enumerate(given) if response.status_code == 200]
    assert len(accepted) == 1
    for response in given:
        assert response.status_code in (200, 404, 409, 422), response.text
        assert response.json()["title" if response.status_code != 200 else "verdict"] != "Thread not found"
    rest = await whole_stream(http, thread, last=first[-1].id)
    assert outputs(rest) == [f"{item} approved by {accepted[0]}, order 1"]
    # What was read before it came to rest is told nobody after that.
    assert (await http.get(f"{API}/threads/{thread}")).json()["closed_at"] is not None


async def test_messages_in_turn(http: httpx.AsyncClient) -> None:
    thread = await begun(http, "echo", "one", thread_id=unique("a/b c%2Fd#?é"))
    path = f"{API}/threads/{quote(thread, safe='')}"
    assert outputs(await whole_stream(http, quote(thread, safe=""))) == ["one 1"]
    again = await http.post(f"{API}/workflows/echo/threads", json={"message": "one", "thread_id": thread})
    assert (again.status_code, again.json()["title"]) == (409, "Thread exists")
    assert (await http.post(f"{path}/messages", json={"message": "two"})).status_code == 202
    sent = await whole_stream(http, quote(thread, safe=""))
    assert outputs(sent) == ["one 1", "two 2"]
    status = (await http.get(path)).json()
    assert (status["thread_id"], status["state"], status["known"]) == (thread, "idle", True)
    assert status["temporal"] is None


async def test_what_waits_is_steered(http: httpx.AsyncClient) -> None:
    item = unique("jam")
    thread = await begun(http, "shop", {"item": item})
    await whole_stream(http, thread)
    path = f"{API}/threads/{thread}"
    assert (await http.post(f"{path}/resume")).status_code == 409
    assert (await http.post(f"{path}/retry")).json()["title"] == "Pending requests"
    assert (await http.post(f"{path}/pause", json={"reason": "lunch"})).status_code == 202
    assert (await http.get(path)).json()["pause"]["reason"] == "lunch"
    assert (await http.post(f"{path}/continue")).status_code == 202
    assert (await http.post(f"{path}/breakpoints", json={"executors": ["shop"]})).status_code == 202
    queued = await http.post(f"{path}/messages", json={"message": {"item": unique("tea")}, "when_running": "enqueue"})
    assert queued.status_code == 202, queued.text
    found = (await http.get(path)).json()
    assert found["breakpoints"] == ["shop"]
    more = await http.post(f"{path}/messages", json={"message": {"item": unique("oat")}, "when_running": "enqueue"})
    assert more.status_code == 202, more.text
    *_, last = (await http.get(path)).json()["queued_messages"]
    withdraw = f"{path}/messages/{quote(last['message_id'], safe='')}/withdraw"
    assert (await http.post(withdraw)).json()["done"] == "message withdrawn"
    assert last not in (await http.get(path)).json()["queued_messages"]
    again = await http.post(withdraw)
    assert (again.status_code, again.json()["title"]) == (404, "Message not queued")
    assert (await http.post(f"{path}/breakpoints", json={"executors": []})).status_code == 202
    await _until(http, path, lambda status: bool(status["pending_requests"]))
    assert (await http.post(f"{path}/requests/approve-{item}/cancel")).status_code == 200
    assert (await http.post(f"{path}/cancel")).status_code == 202
    await _until(http, path, lambda status: status["state"] == "cancelled")
    assert (await http.post(f"{path}/cancel")).status_code == 404


async def _until(http: httpx.AsyncClient, path: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = (await http.get(path)).json()
            if reached(found):
                return found
            await asyncio.sleep(0.1)


async def test_a_failure_is_told_and_resumed(http: httpx.AsyncClient) -> None:
    thread = await begun(http, "echo", "fail now")
    sent = await whole_stream(http, thread)
    assert sent[-1].data["state"] == "failed"
    assert sent[-1].data["error"] == {"type": "ValueError", "message": "told to fail now"}
    status = (await http.get(f"{API}/threads/{thread}")).json()
    assert status["failure"]["message"] == "told to fail now" and status["failure"]["executor_id"] == "echo"
    resumed = await http.post(f"{API}/threads/{thread}/resume")
    assert (resumed.status_code, resumed.json()["done"]) == (202, "resuming")
    more = await whole_stream(http, thread, last=sent[-1].id)
    assert more[-1].data["state"] == "failed" and not {found.id for found in more[:-1]} & {found.id for found in sent}
    assert (await http.post(f"{API}/threads/{thread}/retry")).status_code == 404


async def test_a_list_with_pages_and_filters(http: httpx.AsyncClient) -> None:
    prefix = unique("listed")
    for number in range(3):
        thread = await begun(http, "echo", "hello", thread_id=f"{prefix}-{number}", tags=["blue"] if number else None)
        await whole_stream(http, thread)
    await begun(http, "echo", "fail", thread_id=f"{prefix}-3")
    await whole_stream(http, f"{prefix}-3")

    async def listed(**query: Any) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            response = await http.get(f"{API}/threads", params={"search": prefix, **query, **more})
            page = response.json()
            assert response.status_code == 200, page
            found += [thread["thread_id"].removeprefix(f"{prefix}-") for thread in page["threads"]]
            cursor = page["next"]
            if cursor is None:
                return sorted(found)

    async with asyncio.timeout(60):
        while await listed(limit=2) != ["0", "1", "2", "3"]:  # The server lists what began about a second ago.
            await asyncio.sleep(0.2)
    assert await listed(state="failed") == ["3"]
    assert await listed(state=["failed", "idle"], limit=1) == ["0", "1", "2", "3"]
    assert await listed(tag="blue") == ["1", "2"]
    assert await listed(workflow="shop") == []
    assert await listed(older_than=3600) == []
    for wrong in ({"state": "asleep"}, {"limit": 0}, {"cursor": "xyz"}, {"query": "this is no query"}):
        response = await http.get(f"{API}/threads", params=wrong)
        assert response.status_code in (400, 422), response.text
        assert response.headers["content-type"] == "application/problem+json"


async def test_what_each_superstep_took(http: httpx.AsyncClient) -> None:
    thread = await begun(http, "chain", "go")
    sent = await whole_stream(http, thread)
    first = (await http.get(f"{API}/threads/{thread}/timeline", params={"limit": 3, "events": True})).json()
    rest = (await http.get(f"{API}/threads/{thread}/timeline", params={"cursor": first["next"]})).json()
    assert rest["next"] is None
    steps = [*first["supersteps"], *rest["supersteps"]]
    assert [step["superstep"] for step in steps] == sorted((step["superstep"] for step in steps), reverse=True)
    assert steps[0]["state"] == "idle" and {step["state"] for step in steps[1:]} == {"running"}
    assert all(step["worker"] and step["seconds"] >= 0 and step["attempts"] == 1 for step in steps)
    assert steps[0]["events"][-1]["offset"] == steps[0]["last_offset"] == int((sent[-1].id or "").partition("@")[0])
    assert steps[-1]["events"] is None and steps[-1]["first_offset"] == 0
    for wrong in ("xyz", "WzFd", first["next"][:-4]):
        assert (await http.get(f"{API}/threads/{thread}/timeline", params={"cursor": wrong})).status_code == 400
    usage = (await http.get(f"{API}/threads/{thread}/usage")).json()
    assert usage["run_id"] == steps[0]["run_id"] and usage["calls_made"] == {}


async def test_workflows_and_their_graphs(http: httpx.AsyncClient) -> None:
    service = (await http.get(f"{API}/service")).json()
    assert service["workflows"] == ["chain", "echo", "shop"] and service["sealed"] is False
    found = {workflow["name"]: workflow for workflow in (await http.get(f"{API}/workflows")).json()}
    schemas = {kind["type"]: kind["json_schema"] for kind in found["shop"]["inputs"]}
    assert schemas["tests.flows:Order"]["properties"].keys() == {"item", "price"}
    graph = (await http.get(f"{API}/workflows/chain")).json()["graph"]
    assert list(graph["executors"]) == ["first", "second", "third", "fourth"]
    assert (await http.get(f"{API}/workflows/nothing")).status_code == 404


async def test_a_thread_of_a_workflow_that_is_not_known_here(client: Client) -> None:
    """It is shown and answered as plain JSON."""
    item = unique("oil")
    async with worker(client, shop) as queue:
        async with api(client, shop, task_queue=queue) as http:
            thread = await begun(http, "shop", {"item": item})
            await whole_stream(http, thread)
        async with api(client, task_queue="elsewhere") as http:
            assert (await http.get(f"{API}/threads/{thread}")).json()["known"] is False
            (waiting,) = (await http.get(f"{API}/threads/{thread}/requests")).json()["requests"]
            assert waiting["request"] == {"item": item, "price": 1}
            address = f"{API}/threads/{thread}/requests/{waiting['request_id']}/response"
            assert (await http.post(address, json={"response": {"approved": 1}})).status_code == 422
            assert (await http.post(address, json={"response": {"approved": False}})).status_code == 200
            assert outputs(await whole_stream(http, thread)) == [f"{item} refused by nobody, order 1"]
            (last, *_, first) = (await http.get(f"{API}/threads/{thread}/checkpoints")).json()["checkpoints"]
            shown = (await http.get(f"{API}/threads/{thread}/checkpoints/{first['checkpoint_id']}")).json()
            assert shown["editable"] is None and shown["content"]["state"] == {"orders": 1}
            refused = await http.post(f"{API}/threads/{thread}/edit", json={"edit": {"state": {"orders": 7}}})
            assert refused.status_code == 422 and "factory" in refused.json()["detail"]
            assert (await http.post(f"{API}/workflows/shop/threads", json={"message": "x"})).status_code == 404
            assert last["kind"] == "entry"


async def test_without_a_worker(client: Client) -> None:
    """History tells what a thread waits for; what needs a worker says so at once."""
    item = unique("salt")
    async with worker(client, shop) as queue, api(client, shop, task_queue=queue) as http:
        thread = await begun(http, "shop", {"item": item})
        await whole_stream(http, thread)
    quickly = DurableOptions(worker_timeout=timedelta(seconds=1))
    async with api(client, shop, task_queue=queue, options=quickly) as http:
        (waiting,) = (await http.get(f"{API}/threads/{thread}/requests")).json()["requests"]
        assert waiting["response_schema"]["properties"].keys() == {"approved", "by"}
        found = (await http.get(f"{API}/threads/{thread}")).json()
        assert (found["worker"], found["state"]) == (False, "waiting")
        assert [request["request_id"] for request in found["pending_requests"]] == [waiting["request_id"]]
        assert found["pending_requests"][0]["asked_at"] == waiting["asked_at"]
        paused = await http.post(f"{API}/threads/{thread}/pause", json={})
        assert (paused.status_code, paused.json()["title"]) == (503, "No worker")
        assert paused.headers["retry-after"] == "1"
