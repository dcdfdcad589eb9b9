"""Threads over HTTP: begun, followed, answered, and brought to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from temporalio.client import Client

from tests.flows import chain, echo, shop, talk
from tests.http._serving import API, api, begun, outputs, whole_stream
from tests.support import unique, worker


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        worker(client, shop, echo, chain, talk) as queue,
        api(client, shop, echo, chain, task_queue=queue) as http,
    ):
        yield http


async def test_a_thread_from_its_start_to_its_outcome(http: httpx.AsyncClient) -> None:
    item = unique("tea")
    thread = await begun(http, "shop", {"item": item, "price": 3})
    sent = await whole_stream(http, thread)
    assert [found.data["state"] for found in sent if found.name == "end"] == ["open"]
    waiting = (await http.get(f"{API}/threads/{thread}/requests")).json()["requests"]
    assert [request["request_id"] for request in waiting] == [f"approve-{item}"]
    assert waiting[0]["response_schema"]["properties"].keys() == {"approved", "by"}

    address = f"{API}/threads/{thread}/requests/approve-{item}/response"
    wrong = await http.post(address, json={"response": {"approved": "perhaps"}})
    assert wrong.status_code == 422
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["verdict"] == "rejected" and "approved" in wrong.text

    right = await http.post(address, json={"response": {"approved": True, "by": "ada"}})
    assert (right.status_code, right.json()["verdict"]) == (200, "accepted")
    rest = await whole_stream(http, thread, last=sent[-1].id)
    assert outputs(rest) == [f"{item} approved by ada, order 1"]
    assert rest[-1].name == "end" and rest[-1].data["state"] == "idle"
    assert not {found.id for found in sent} & {found.id for found in rest[:-1]}
