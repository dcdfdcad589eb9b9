"""An agent's streamed response is one output for a person, however many pieces its client gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent_framework import (
    Agent,
    AgentExecutor,
    AgentResponseUpdate,
    Content,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    executor,
)
from agent_framework.openai import OpenAIChatCompletionClient
from agent_framework_temporal.adapter.cli.outputs import output_blocks
from agent_framework_temporal.testing import Reply, scripted_agent
from temporalio.client import Client

from tests.cli._commands import Commands
from tests.support import unique, worker

_SAID = "Night trains are back. They cross Europe while you sleep, and you wake up by the sea."
_WORDS = _SAID.split(" ")
_KNOWN = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


@asynccontextmanager
async def _provider() -> AsyncIterator[str]:
    """Serve a model by HTTP that answers word by word, with empty pieces at both ends as the real ones do."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": f" {word}" if place else word} for place, word in enumerate(_WORDS)]
        chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        chunks += [{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 19, "total_tokens": 22}}]
        for chunk in chunks:
            writer.write(f"data: {json.dumps({**_KNOWN, **chunk})}\n\n".encode())
            await writer.drain()
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def _blocks(out: str) -> list[str]:
    """Return what stands in the blocks headed `output`, on one line each."""
    found: list[str] = []
    lines = iter(out.splitlines())
    for line in lines:
        if line == "output":
            found.append("")
        elif found and line.startswith("│ "):
            found[-1] = f"{found[-1]} {line.removeprefix('│ ')}".strip()
        elif line:
            continue
    return found


async def test_a_real_streaming_client_gives_one_block(cli: Commands, client: Client) -> None:
    async with _provider() as address:

        def build() -> Workflow:
            model = OpenAIChatCompletionClient(model="m", api_key="none", base_url=address)
            return WorkflowBuilder(
                name="streaming", start_executor=AgentExecutor(Agent(model, name="writer"), id="writer")
            ).build()

        async with worker(client, build) as queue:
            thread = unique("thread")
            done = await cli("run", "night trains", "-w", "streaming", "-q", queue, "-t", thread)
            assert _blocks(done.out) == [_SAID]
            # By its history, too, and once more after a second message.
            assert _blocks((await cli("stream", thread)).out) == [_SAID]
            await cli("run", "again", "-t", thread)
            assert _blocks((await cli("stream", thread)).out) == [_SAID] * 2
            pieces = (await cli("stream", thread, "--json")).lines[-1]["outputs"]
            assert len(pieces) > 2 * len(_WORDS), "a program still gets the pieces"


async def test_a_scripted_client_gives_one_block(cli: Commands, client: Client) -> None:
    def build() -> Workflow:
        return WorkflowBuilder(
            name="scripted",
            start_executor=AgentExecutor(scripted_agent("writer", lambda _prompt: Reply("One. Two.")), id="writer"),
        ).build()

    async with worker(client, build) as queue:
        assert _blocks((await cli("run", "hello", "-w", "scripted", "-q", queue)).out) == ["One. Two."]


@executor(id="plain")
async def plain(_message: str, ctx: WorkflowContext[Any, Any]) -> None:
    """Put out what is no piece of anything."""
    for value in ("one", {"two": 2}, ["three"]):
        await ctx.yield_output(value)


async def test_other_outputs_are_a_block_each(cli: Commands, client: Client) -> None:
    def build() -> Workflow:
        return WorkflowBuilder(name="plain", start_executor=plain).build()

    async with worker(client, build) as queue:
        done = await cli("run", "hello", "-w", "plain", "-q", queue)
    assert _blocks(done.out) == ["one", '{"two": 2}', '["three"]']


def _update(name: str, text: str, response_id: str | None = None, message_id: str | None = None) -> WorkflowEvent[Any]:
    update = AgentResponseUpdate(contents=[Content.from_text(text)], response_id=response_id, message_id=message_id)
    return WorkflowEvent("output", executor_id=name, data=update)


def test_responses_that_are_streamed_side_by_side_stay_apart() -> None:
    done: WorkflowEvent[Any] = WorkflowEvent("executor_completed", executor_id="a")
    events = [
        *(_update("a", "one ", "1"), _update("b", "ONE "), _update("a", "two", "1"), _update("b", "TWO"), done),
        *(_update("a", "three", "1", "m"), _update("a", "four", "1", "n"), _update("a", "", "2"), done),
    ]
    assert output_blocks(events) == ["one two", "ONE TWO", "three\nfour"]
