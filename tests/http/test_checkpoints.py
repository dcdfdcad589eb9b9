"""Checkpoints over HTTP: listed, shown, compared, forked and edited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from tests.flows import echo, shop
from tests.http._serving import API, api, begun, outputs, whole_stream
from tests.support import unique, worker


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with worker(client, shop, echo) as queue, api(client, shop, echo, task_queue=queue) as http:
        yield http


@pytest.fixture(scope="module")
async def thread(http: httpx.AsyncClient) -> str:
    """A thread that has had two messages."""
    thread = await begun(http, "echo", "one")
    await whole_stream(http, thread)
    await http.post(f"{API}/threads/{thread}/messages", json={"message": "two"})
    await whole_stream(http, thread)
    return thread


async def _ids(http: httpx.AsyncClient, thread: str) -> list[str]:
    found = (await http.get(f"{API}/threads/{thread}/checkpoints")).json()["checkpoints"]
    assert all(info["thread_id"] == thread for info in found)
    return [info["checkpoint_id"] for info in found]


async def test_shown_and_compared(http: httpx.AsyncClient, thread: str) -> None:
    ids = await _ids(http, thread)
    path = f"{API}/threads/{thread}"
    shown = (await http.get(f"{path}/checkpoints/{ids[-1]}")).json()
    assert shown["content"]["state"] == {"count": 2} == shown["editable"]["state"]
    diff = (await http.get(f"{path}/diff", params={"before": ids[1], "after": ids[-1]})).json()
    assert diff["differences"] == [{"kind": "changed", "place": "state.count", "before": 1, "after": 2}]
    same = (await http.get(f"{path}/diff", params={"before": ids[1], "after": ids[1]})).json()
    assert same["differences"] == []
    for missing in ("nothing", "0" * 36, f"{ids[1]}0", "../../service", "%00"):
        response = await http.get(f"{path}/diff", params={"before": ids[1], "after": missing})
        assert (response.status_code, response.json()["title"]) == (404, "Checkpoint not found"), response.text
    assert (await http.get(f"{path}/diff", params={"before": ids[1]})).status_code == 422


async def test_page_by_page(http: httpx.AsyncClient, thread: str) -> None:
    ids = await _ids(http, thread)
    path = f"{API}/threads/{thread}/checkpoints"
    pages: list[list[str]] = []
    cursor: str | None = None
    while cursor is not None or not pages:
        query: dict[str, Any] = {"limit": 3, **({} if cursor is None else {"cursor": cursor})}
        page = (await http.get(path, params=query)).json()
        pages.append([info["checkpoint_id"] for info in page["checkpoints"]])
        cursor = page["next"]
    assert [len(page) for page in pages] == [3, len(ids) - 3]
    assert [name for page in reversed(pages) for name in page] == ids
    for wrong in ("xyz", "WzFd", "x" * 4_000):
        assert (await http.get(path, params={"cursor": wrong})).status_code in (400, 422)


async def test_one_of_the_thread_that_it_was_forked_from(http: httpx.AsyncClient, thread: str) -> None:
    """A fork's first checkpoint follows one of another thread, which is shown and compared there too."""
    ids = await _ids(http, thread)
    forked = (await http.post(f"{API}/threads/{thread}/forks", json={"checkpoint_id": ids[1]})).json()["thread_id"]
    await whole_stream(http, forked)
    await http.post(f"{API}/threads/{forked}/messages", json={"message": "other"})
    await whole_stream(http, forked)
    own = await _ids(http, forked)
    found = await http.get(f"{API}/threads/{forked}/diff", params={"before": ids[1], "after": own[-1]})
    assert found.status_code == 200, found.text
    assert {"state.count"} <= {change["place"] for change in found.json()["differences"]}


async def test_forked_as_it_was_and_edited(http: httpx.AsyncClient, thread: str) -> None:
    ids = await _ids(http, thread)
    forks = f"{API}/threads/{thread}/forks"
    plain = await http.post(forks, json={"checkpoint_id": ids[1]})
    assert plain.status_code == 201, plain.text
    forked = plain.json()["thread_id"]
    assert plain.headers["location"].endswith(f"{API}/threads/{forked}")
    await whole_stream(http, forked)
    await http.post(f"{API}/threads/{forked}/messages", json={"message": "other"})
    assert outputs(await whole_stream(http, forked))[-1] == "other 2"

    named = unique("forked")
    edit = {"checkpoint_id": ids[1], "thread_id": named, "edit": {"state": {"count": 40}}, "edited_by": "ada"}
    assert (await http.post(forks, json=edit)).status_code == 201
    await whole_stream(http, named)
    await http.post(f"{API}/threads/{named}/messages", json={"message": "again"})
    assert outputs(await whole_stream(http, named))[-1] == "again 41"
    first = (await http.get(f"{API}/threads/{named}/checkpoints")).json()["checkpoints"][0]
    assert (first["kind"], first["edited_by"]) == ("edit", "ada")

    assert (await http.post(forks, json=edit)).json()["title"] == "Thread exists"
    other = {**edit, "thread_id": unique("forked"), "edit": {"state": {"count": 1}, "colour": {}}}
    refused = await http.post(forks, json=other)
    assert refused.status_code == 422 and refused.json()["title"] == "Edit refused"
    assert any("colour" in place for place in refused.json()["errors"])
    assert (await http.post(forks, json={"checkpoint_id": "nothing"})).status_code == 404
    elsewhere = await begun(http, "echo", "x")
    await whole_stream(http, elsewhere)
    foreign = await http.post(f"{API}/threads/{elsewhere}/forks", json={"checkpoint_id": ids[1]})
    assert foreign.status_code == 404


async def test_edited_in_place_while_it_waits(http: httpx.AsyncClient) -> None:
    item = unique("tea")
    thread = await begun(http, "shop", {"item": item})
    sent = await whole_stream(http, thread)
    path = f"{API}/threads/{thread}"
    edited = await http.post(f"{path}/edit", json={"edit": {"state": {"orders": 9}}, "edited_by": "bob"})
    assert edited.status_code == 202, edited.text
    await whole_stream(http, thread, last=sent[-1].id)
    (waiting,) = (await http.get(f"{path}/requests")).json()["requests"]
    address = f"{path}/requests/{waiting['request_id']}/response"
    assert (await http.post(address, json={"response": {"approved": True}})).status_code == 200
    assert outputs(await whole_stream(http, thread))[-1] == f"{item} approved by nobody, order 9"
    nothing = await http.post(f"{path}/edit", json={"edit": {}})
    assert nothing.status_code == 422 and "nothing was changed" in nothing.json()["detail"]
