"""Durable workflows as MCP tools, called by the clients of `mcp` and of agent-framework over a real socket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from agent_framework import Content, MCPStdioTool, MCPStreamableHTTPTool
from agent_framework_temporal import DurableOptions, mcp_server
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from temporalio.client import Client

from tests.agents._flows import HOLD, desk
from tests.docs._pages import ROOT
from tests.flows import chain, echo, shop
from tests.http._serving import serving
from tests.sealing._rogue import connect
from tests.support import unique, worker


class Tools:
    """The tools of a server, by the client of `mcp`: each call is a session of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        """Connect."""
        async with streamable_http_client(self.url) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            yield session

    async def result(self, name: str, arguments: dict[str, Any], **options: Any) -> CallToolResult:
        """Call a tool."""
        async with self.session() as session:
            result: CallToolResult = await session.call_tool(name, arguments, **options)
            return result

    async def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool; returns its structured result."""
        result = await self.result(name, arguments)
        assert result.structured_content is not None, result
        found: dict[str, Any] = result.structured_content
        return found

    async def refused(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that refuses; returns what it says."""
        result = await self.result(name, arguments)
        assert result.is_error and result.structured_content is None, result
        (said,) = result.content
        assert isinstance(said, TextContent)
        return said.text


@asynccontextmanager
async def tools(client: Client, *workflows: Any, task_queue: str) -> AsyncIterator[Tools]:
    """Serve workflows as a process of its own would."""
    options = DurableOptions(max_attempts=1)
    app = mcp_server(client, workflows, task_queue=task_queue, options=options).streamable_http_app()
    async with serving(app) as http:
        yield Tools(f"{http.base_url}/mcp")


@pytest.fixture(scope="module")
async def served(client: Client) -> AsyncIterator[Tools]:
    async with (
        worker(client, shop, echo, chain) as queue,
        tools(client, shop, echo, chain, task_queue=queue) as found,
    ):
        yield found


async def test_the_tools_have_the_workflows_schemas(served: Tools) -> None:
    async with served.session() as session:
        found = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert set(found) == {"shop", "echo", "chain", "wait_for_thread", "answer_request"}
    for tool in found.values():
        jsonschema_rs.meta.validate(tool.input_schema)
        assert tool.output_schema is not None
    order = jsonschema_rs.validator_for(found["shop"].input_schema)
    assert order.is_valid({"message": {"item": "pen"}})
    assert order.is_valid({"message": [{"item": "pen", "price": 2}], "thread_id": "t", "wait_seconds": 0})
    assert not order.is_valid({"message": {"price": 2}})
    assert not order.is_valid({"message": {"item": "pen"}, "more": 1})


async def test_run_and_go_on(served: Tools) -> None:
    first = await served.call("echo", message="hello")
    assert (first["state"], first["outputs"], first["workflow"]) == ("idle", ["hello 1"], "echo")
    again = await served.call("echo", message="again", thread_id=first["thread_id"])
    assert (again["thread_id"], again["outputs"]) == (first["thread_id"], ["again 2"])
    assert await served.call("wait_for_thread", thread_id=first["thread_id"]) == again


async def test_a_request_is_answered_at_another_server(client: Client, served: Tools) -> None:
    item = unique("pen")
    asked = await served.call("shop", message={"item": item})
    assert (asked["state"], asked["outputs"]) == ("waiting", [])
    (request,) = asked["requests"]
    assert request["request"] == {"item": item, "price": 1}
    assert request["response_schema"]["required"] == ["approved"]
    thread = {"thread_id": asked["thread_id"], "request_id": request["request_id"]}
    async with tools(client, shop, task_queue="elsewhere") as other:
        refused = await other.refused("answer_request", **thread, response={"approved": "perhaps"})
        assert "approved" in refused
        assert "does not wait" in await other.refused(
            "answer_request", thread_id=asked["thread_id"], request_id="<script>", response={"approved": True}
        )
        assert (await other.call("wait_for_thread", thread_id=asked["thread_id"]))["requests"] == [request]
        done = await other.call("answer_request", **thread, response={"approved": True, "by": "ada"})
    assert (done["state"], done["outputs"], done["requests"]) == ("idle", [f"{item} approved by ada, order 1"], [])
    assert await served.refused("answer_request", **thread, response={"approved": True})


async def test_a_call_need_not_wait(served: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    monkeypatch.setenv(HOLD, str(go))
    begun = await served.call("chain", message="text", wait_seconds=0)
    assert (begun["state"], begun["outputs"]) == ("running", [])
    seen: list[str | None] = []

    async def note(done: float, total: float | None, message: str | None) -> None:
        seen.append(message)
        go.touch()

    waited = await served.result("wait_for_thread", {"thread_id": begun["thread_id"]}, progress_callback=note)
    assert waited.structured_content is not None and waited.structured_content["outputs"], waited
    assert seen == [f"{name} works" for name in ("first", "second", "third", "fourth")]


async def test_a_look_tells_where_a_thread_stands(served: Tools) -> None:
    """Also one that is given no time: what rests needs none."""
    item = unique("pen")
    thread = {"thread_id": (await served.call("shop", message={"item": item}))["thread_id"]}
    look = await served.call("wait_for_thread", **thread, wait_seconds=0)
    assert (look["state"], len(look["requests"])) == ("waiting", 1)
    answer = {"request_id": look["requests"][0]["request_id"], "response": {"approved": True}}
    both = await asyncio.gather(*(served.result("answer_request", {**thread, **answer}) for _ in range(2)))
    assert sorted(result.is_error for result in both) == [False, True]
    look = await served.call("wait_for_thread", **thread, wait_seconds=0)
    assert (look["state"], look["outputs"]) == ("idle", [f"{item} approved by nobody, order 1"])


async def test_a_call_that_is_given_up_leaves_the_run_alone(
    served: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    monkeypatch.setenv(HOLD, str(go))
    thread = {"thread_id": (await served.call("chain", message="text", wait_seconds=0))["thread_id"]}
    works = asyncio.Event()

    async def note(done: float, total: float | None, message: str | None) -> None:
        works.set()

    waiting = asyncio.ensure_future(served.result("wait_for_thread", thread, progress_callback=note))
    await works.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.touch()
    assert (await served.call("wait_for_thread", **thread))["state"] == "idle"


async def test_a_server_that_does_not_answer_is_told(client: Client) -> None:
    away = await Client.connect("127.0.0.1:1", lazy=True)
    async with tools(away, echo, task_queue="nobody") as found:
        for name, arguments in (("echo", {"message": "x"}), ("wait_for_thread", {"thread_id": "x"})):
            assert "no Temporal server answers" in await found.refused(name, **arguments)


async def test_a_run_that_fails(served: Tools) -> None:
    result = await served.result("echo", {"message": "fail at this"})
    assert result.is_error and result.structured_content is not None
    assert result.structured_content["state"] == "failed"
    assert "told to fail at this" in result.structured_content["error"]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("shop", {"message": {"price": 2}}, "item"),
        ("shop", {"message": None}, "null"),
        ("shop", {}, "message"),
        ("echo", {"message": "x", "wait_seconds": 1e9}, "wait_seconds"),
        ("echo", {"message": "x", "more": 1}, "more"),
        ("wait_for_thread", {"thread_id": "../../no such\n"}, "no thread"),
        ("wait_for_thread", {"thread_id": ""}, ""),
        ("wait_for_thread", {"thread_id": "x" * 100_000}, ""),
        ("echo", {"message": "x", "thread_id": "no-such"}, "no thread"),
        ("<script>", {}, "no tool"),
    ],
)
async def test_what_is_refused(served: Tools, name: str, arguments: dict[str, Any], said: str) -> None:
    assert said in await served.refused(name, **arguments)


async def test_threads_of_other_workflows_are_not_there(client: Client, served: Tools) -> None:
    thread = (await served.call("echo", message="hello"))["thread_id"]
    assert "no thread" in await served.refused("shop", message={"item": "pen"}, thread_id=thread)
    async with tools(client, shop, task_queue="elsewhere") as other:
        assert "no thread" in await other.refused("wait_for_thread", thread_id=thread)


async def test_the_frameworks_own_client(client: Client) -> None:
    async with (
        worker(client, desk) as queue,
        tools(client, desk, task_queue=queue) as found,
        MCPStreamableHTTPTool(name="desk", url=found.url) as tool,
    ):
        assert {function.name for function in tool.functions} == {"desk", "wait_for_thread", "answer_request"}
        said = await tool.call_tool("desk", message=[{"role": "user", "contents": [{"type": "text", "text": "a pen"}]}])
        assert "yes to a pen" in str(said[0])


async def test_a_sealed_thread_with_keys_and_without(client: Client) -> None:
    sealing = await connect(client)
    item = unique("secret")
    async with worker(sealing, shop) as queue:
        async with tools(sealing, shop, task_queue=queue) as found:
            asked = await found.call("shop", message={"item": item})
        async with tools(client, shop, task_queue=queue) as blind:
            said = await blind.refused("wait_for_thread", thread_id=asked["thread_id"])
            assert "key" in said and item not in said


async def test_two_workflows_are_not_one_tool(client: Client) -> None:
    async with tools(client, echo, echo, task_queue="q") as found:
        assert "named 'echo'" in await found.refused("echo", message="x")


def _read(result: str | list[Content]) -> dict[str, Any]:
    assert not isinstance(result, str) and result[0].text is not None
    found: dict[str, Any] = json.loads(result[0].text)
    return found


async def test_a_process_over_stdio(client: Client, served: Tools) -> None:
    """It begins a thread and ends; another one goes on with it."""
    item = unique("pen")
    async with worker(client, shop) as queue:
        address = client.service_client.config.target_host
        arguments = ["-m", "tests.agents._stdio", address, queue]
        async with MCPStdioTool("shop", sys.executable, args=arguments, cwd=str(ROOT)) as tool:
            asked = _read(await tool.call_tool("shop", message={"item": item}))
        (request,) = asked.pop("requests")
        answer = {"thread_id": asked["thread_id"], "request_id": request["request_id"], "response": {"approved": True}}
        done = await served.call("answer_request", **answer)
    assert done["outputs"] == [f"{item} approved by nobody, order 1"]


async def test_what_cannot_be_followed_is_told_with_its_thread(client: Client) -> None:
    async with worker(client, echo) as queue, tools(client, shop, task_queue=queue) as found:
        result = await found.result("shop", {"message": {"item": "pen"}, "wait_seconds": 30})
    assert result.is_error and result.structured_content is not None, result
    told = result.structured_content
    assert told["thread_id"].startswith("shop-") and "shop" in told["error"]


def test_without_the_extra_it_says_which(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agent_framework_temporal.adapter.http.mcp_tools", None)
    with pytest.raises(ImportError, match=r"agent-framework-temporal\[mcp\]"):
        mcp_server(client, [shop])
