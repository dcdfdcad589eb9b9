"""What serves AG-UI, MCP and HTTP is killed between what is asked and the answer: another process goes on with it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from temporalio.client import Client

from tests.agents._flows import desk
from tests.agents.test_ag_ui import Desk, interrupts, resumed
from tests.agents.test_mcp import Tools
from tests.docs._pages import ROOT
from tests.flows import shop
from tests.forked import python
from tests.http._serving import Sent, outputs, read_stream, whole_stream
from tests.support import unique, worker


@asynccontextmanager
async def _process(client: Client, queue: str) -> AsyncIterator[str]:
    """Serve in a process that is killed at the end; yields its address."""
    address = client.service_client.config.target_host
    command = python("-m", "tests.agents._process", address, queue)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def test_all_of_them_go_on_in_another_process(client: Client) -> None:
    item, thread = unique("pen"), unique("thread")
    async with worker(client, desk, shop) as queue:
        async with _process(client, queue) as url:
            (interrupt,) = interrupts(await Desk(f"{url}/desk", queue).say(thread, "refund a pen"))
            asked = await Tools(f"{url}/tools/mcp").call("shop", message={"item": item})
            sent: list[Sent] = []
            async with httpx.AsyncClient(base_url=f"{url}/agents") as http:
                reader = read_stream(http, asked["thread_id"], follow=True)
                async for found in reader:
                    sent.append(found)
                    if found.name == "standing":
                        break
                dropped = asyncio.ensure_future(_rest(reader))
        assert await dropped == []
        async with _process(client, queue) as url:
            found_desk = Desk(f"{url}/desk", queue)
            assert interrupts(await found_desk.say(thread)) == [interrupt]
            answered = await found_desk.say(thread, resume=resumed(interrupt, {"approved": True, "by": "ada"}))
            assert answered.text == "refund a pen: paid, says ada"
            (request,) = asked["requests"]
            done = await Tools(f"{url}/tools/mcp").call(
                "answer_request",
                thread_id=asked["thread_id"],
                request_id=request["request_id"],
                response={"approved": True},
            )
            assert done["outputs"] == [f"{item} approved by nobody, order 1"]
            async with httpx.AsyncClient(base_url=f"{url}/agents") as http:
                rest = await whole_stream(http, asked["thread_id"], last=sent[-1].id)
                whole = await whole_stream(http, asked["thread_id"])
    assert outputs(rest) == done["outputs"]
    told = [found.data["offset"] for found in [*sent, *rest] if found.name == "message"]
    assert told == [found.data["offset"] for found in whole if found.name == "message"]


async def _rest(reader: AsyncIterator[Sent]) -> list[Sent]:
    found: list[Sent] = []
    with suppress(httpx.RemoteProtocolError, httpx.ReadError):  # It was killed in the middle.
        async for sent in reader:
            found.append(sent)
    return found
