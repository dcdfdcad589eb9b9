"""The OpenAPI document is valid, and what the service answers is as it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from agent_framework_temporal import http_app
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from temporalio.client import Client

from tests.flows import echo, shop
from tests.http._serving import API, serving, whole_stream
from tests.support import unique, worker

_KEY = b"k" * 32


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with worker(client, shop, echo) as queue:
        app = http_app(client, [shop, echo], task_queue=queue, link_key=_KEY, temporal_ui="http://ui.example/")
        async with serving(app) as http:
            yield http


@pytest.fixture(scope="module")
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"{API}/openapi.json")).json()
    return found


async def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)
    for path, operations in document["paths"].items():
        assert path.startswith(API)
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            refs = [operation["responses"][kind]["content"]["application/problem+json"] for kind in ("4XX", "5XX")]
            assert refs == [{"schema": {"$ref": "#/components/schemas/Problem"}}] * 2


class _Called:
    """Calls the service, and holds each answer to the document."""

    def __init__(self, http: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self._http = http
        self._document = document
        self.called: set[tuple[str, str]] = set()

    async def __call__(self, method: str, path: str, body: Any = None, query: Any = None, **parts: str) -> Any:
        operation = self._document["paths"][f"{API}{path}"][method]
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            self._check(body, content["schema"])
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(parts) | set(query or ()) <= names
        response = await self._http.request(method, f"{API}{path}".format(**parts), json=body, params=query)
        told = operation["responses"].get(str(response.status_code)) or operation["responses"].get(
            f"{response.status_code // 100}XX"
        )
        assert told is not None, (method, path, response.status_code, response.text)
        kind = response.headers["content-type"].partition(";")[0]
        self._check(response.json(), told["content"][kind]["schema"])
        self.called.add((method, path))
        return response.json()

    def _check(self, value: Any, schema: dict[str, Any]) -> None:
        whole = {**schema, "components": self._document["components"]}
        jsonschema_rs.Draft202012Validator(whole).validate(value)


async def test_it_is_true(http: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """Each operation is called, once as it is meant and once with what is not there."""
    call = _Called(http, document)
    thread_id = unique("documented")
    await call("get", "/service")
    await call("get", "/workflows")
    await call("get", "/workflows/{name}", name="shop")
    order = {"message": {"item": thread_id}, "thread_id": thread_id, "tags": ["blue"]}
    begun = await call("post", "/workflows/{name}/threads", order, name="shop")
    run_id = begun["run_id"]
    assert begun["temporal"] == f"http://ui.example/namespaces/default/workflows/{thread_id}/{run_id}/history"
    of = {"thread_id": thread_id}
    await whole_stream(http, thread_id)
    request = {**of, "request_id": f"approve-{thread_id}"}
    for path in ("", "/requests", "/checkpoints", "/usage"):
        await call("get", f"/threads/{{thread_id}}{path}", **of)
    await call("get", "/threads/{thread_id}/timeline", query={"events": True}, **of)
    await call("get", "/threads", query={"limit": 2})
    await call("get", "/requests", query={"limit": 2})
    await call("post", "/threads/{thread_id}/requests/{request_id}/link", {"expires_in_seconds": 9}, **request)
    await call("post", "/threads/{thread_id}/pause", {"reason": "tea"}, **of)
    await call("post", "/threads/{thread_id}/continue", **of)
    await call("post", "/threads/{thread_id}/breakpoints", {"executors": []}, **of)
    await call(
        "post", "/threads/{thread_id}/messages", {"message": {"item": unique("b")}, "when_running": "enqueue"}, **of
    )
    await call("post", "/threads/{thread_id}/edit", {"edit": {"state": {"orders": 5}}}, **of)
    await whole_stream(http, thread_id)
    await call(
        "post", "/threads/{thread_id}/requests/{request_id}/response", {"response": {"approved": True}}, **request
    )
    await whole_stream(http, thread_id)
    ids = [
        info["checkpoint_id"] for info in (await call("get", "/threads/{thread_id}/checkpoints", **of))["checkpoints"]
    ]
    await call("get", "/threads/{thread_id}/checkpoints/{checkpoint_id}", **of, checkpoint_id=ids[-1])
    await call("get", "/threads/{thread_id}/diff", query={"before": ids[0], "after": ids[-1]}, **of)
    forked = await call("post", "/threads/{thread_id}/forks", {"checkpoint_id": ids[1]}, **of)
    await whole_stream(http, forked["thread_id"])
    await call("post", "/threads/{thread_id}/requests/{request_id}/cancel", **{**request, **of})
    for path in ("/resume", "/retry", "/cancel"):
        await call("post", f"/threads/{{thread_id}}{path}", **of)
    nothing = {"thread_id": "nothing", "request_id": "nothing", "checkpoint_id": "nothing", "name": "nothing"}
    nothing["message_id"] = "nothing"
    for path, method, body in list(_bodies(document)):
        query = {"before": "x", "after": "y"} if path.endswith("/diff") else None
        parts = {name: value for name, value in nothing.items() if f"{{{name}}}" in path}
        await call(method, path, body, query, **parts)
    every = {(method, path.removeprefix(API)) for path, found in document["paths"].items() for method in found}
    assert call.called == every


@pytest.mark.parametrize("gone", ["server", "namespace"])
async def test_what_cannot_be_reached_is_the_same_problem_everywhere(
    client: Client, document: dict[str, Any], gone: str
) -> None:
    if gone == "server":
        away = await Client.connect("127.0.0.1:1", lazy=True)
    else:
        config = client.config()
        config["namespace"] = "missing"
        away = Client(**config)
    parts = {name: "nothing" for name in ("thread_id", "request_id", "message_id")}
    parts |= {"name": "echo", "checkpoint_id": "01a22dd9-d830-7b01-ab36-e0c11b92747a.0c79b6dd2db1"}
    query = {"before": parts["checkpoint_id"], "after": parts["checkpoint_id"]}
    async with serving(http_app(away, [shop, echo], link_key=_KEY)) as http:
        for path, method, body in _bodies(document):
            sent = {"message": "x"} if path.endswith("/threads") else body
            more = query if path.endswith("/diff") else None
            found = await http.request(method, f"{API}{path}".format(**parts), json=sent, params=more)
            if "/threads" not in path and path != "/requests":
                assert found.status_code == 200, path
                continue
            assert (found.status_code, found.json()["title"]) == (503, "Server unreachable"), (path, found.text)
            assert found.headers["retry-after"] == "1"
            assert ("'missing'" if gone == "namespace" else "127.0.0.1:1") in found.json()["detail"]


def _bodies(document: dict[str, Any]) -> Any:
    bodies = {
        "threads": {"message": 1},
        "messages": {"message": 1},
        "response": {"response": 1},
        "link": {},
        "pause": {},
        "breakpoints": {"executors": []},
        "forks": {"checkpoint_id": "x"},
        "edit": {"edit": {}},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = bodies[path.rpartition("/")[2]] if "requestBody" in operation else None
            yield path.removeprefix(API), method, body


async def test_who_may_call_is_documented(client: Client) -> None:
    token = "t" * 20
    async with serving(http_app(client, [echo], token=token), Authorization=f"Bearer {token}") as http:
        document = (await http.get(f"{API}/openapi.json")).json()
    assert document["security"] == [{"bearer": []}]
    validate(document, cls=OpenAPIV31SpecValidator)
