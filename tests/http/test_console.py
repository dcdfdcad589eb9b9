"""The command `console`, as a shell starts it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from temporalio.client import Client

from tests.cli._commands import Commands, started
from tests.flows import shop
from tests.http._serving import API, Sent, begun, outputs, read_stream, whole_stream
from tests.support import unique, worker


@asynccontextmanager
async def _console(
    client: Client, *flags: str, variables: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[dict[str, Any], httpx.AsyncClient]]:
    address = client.service_client.config.target_host
    command = ("console", "--port", "0", "--json", *flags)
    # By Temporal's own configuration, as every command.
    configured = {"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": client.namespace, **(variables or {})}
    async with started(*command, variables=configured) as process:
        assert process.stdout is not None and process.stderr is not None
        line = await process.stdout.readline()
        assert line, (await process.stderr.read()).decode()
        told = json.loads(line)
        local = told["address"].replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        async with httpx.AsyncClient(base_url=local, timeout=30) as http:
            yield told, http
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert "Traceback" not in (await process.stderr.read()).decode()


async def test_it_serves_a_namespace(client: Client) -> None:
    async with worker(client, shop) as queue:
        flags = ("--workflow", "tests.flows:shop", "--task-queue", queue, "--temporal-ui", "http://ui.example")
        known = {"AGENT_FRAMEWORK_TEMPORAL_CONSOLE_TOKEN": "of the environment"}
        async with _console(client, *flags, variables=known) as (told, http):
            assert told["token"] is None
            assert (await http.get(f"{API}/threads")).status_code == 401
            http.headers["Authorization"] = "Bearer of the environment"
            item = unique("tea")
            thread = await begun(http, "shop", {"item": item})
            await whole_stream(http, thread)
            link = await http.post(f"{API}/threads/{thread}/requests/approve-{item}/link", json={})
            assert (await http.get(link.json()["url"])).status_code == 200
            address = f"{API}/threads/{thread}/requests/approve-{item}/response"
            answered = await http.post(address, json={"response": {"approved": True}})
            assert answered.status_code == 200
            assert outputs(await whole_stream(http, thread)) == [f"{item} approved by nobody, order 1"]
            status = (await http.get(f"{API}/threads/{thread}")).json()
            assert status["temporal"].startswith("http://ui.example/namespaces/default/workflows/")
            for path in ("/", f"/threads/{thread}", f"/threads/{thread}/checkpoints/x", "/workflows/shop"):
                page = await http.get(path)
                assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
                assert "default-src 'none'" in page.headers["content-security-policy"]
                assert '<link rel="stylesheet" href="/assets/console-style.css">' in page.text
            style = await http.get("/assets/style.css")
            assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
            for missing in ("none.js", "..%2Fpages.py", "%2Fetc%2Fpasswd", "style.css%00"):
                assert (await http.get(f"/assets/{missing}")).status_code == 404, missing


async def test_it_ends_at_once_though_a_page_is_open(client: Client) -> None:
    """Its stream has an end, from which the page reads on elsewhere; and the terminal stays clean."""
    async with worker(client, shop) as queue:
        async with _console(client, "--workflow", "tests.flows:shop", "--task-queue", queue) as (_, http):
            thread = await begun(http, "shop", {"item": unique("tea")})
            reader = read_stream(http, thread, follow=True)
            while (await anext(reader)).name != "standing":
                pass
            rest = asyncio.ensure_future(_rest(reader))
        assert await rest == []


async def _rest(reader: AsyncGenerator[Sent]) -> list[Sent]:
    return [sent async for sent in reader]


async def test_beyond_this_machine_it_makes_a_token(client: Client) -> None:
    async with _console(client, "--host", "0.0.0.0") as (told, http):  # noqa: S104
        assert len(told["token"]) > 30
        assert (await http.get(f"{API}/threads")).status_code == 401
        bearer = {"Authorization": f"Bearer {told['token']}"}
        assert (await http.get(f"{API}/threads", headers=bearer)).status_code == 200
        assert (await http.get(f"{API}/threads", headers={**bearer, "Host": "rebound.example"})).status_code == 403


async def test_what_is_wrong_is_told_in_a_line(client: Client) -> None:
    commands = Commands(client.service_client.config.target_host)
    refused = await commands("console", "--host", "203.0.113.1", code=2)
    assert "cannot listen on 203.0.113.1" in refused.err
