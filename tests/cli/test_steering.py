"""`pause`, `continue`, `breakpoints`, `withdraw`, `run --when-running` and `--break-before`: a thread is steered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from temporalio.client import Client

from tests.cli._commands import Commands, started
from tests.steering._line import line
from tests.support import unique, worker


@pytest.fixture
async def line_queue(client: Client) -> AsyncIterator[str]:
    async with worker(client, line) as task_queue:
        yield task_queue


async def _until(cli: Commands, thread: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with started("status", thread, "--json", variables={"TEMPORAL_ADDRESS": cli.address}) as process:
                out, _ = await process.communicate()
            if process.returncode == 0:
                found: dict[str, Any] = json.loads(out)
                if is_so(found):
                    return found
            await asyncio.sleep(0.2)


async def test_a_thread_is_steered(cli: Commands, line_queue: str) -> None:
    thread = unique("steered")
    flags = ("-w", "line", "-q", line_queue, "-t", thread)
    variables = {"TEMPORAL_ADDRESS": cli.address}
    begun = started("run", "--data", '{"text": "one"}', *flags, "--break-before", "middle", variables=variables)
    async with begun as running:
        held = await _until(cli, thread, lambda found: found["state"] == "paused")
        assert held["pause"]["executors"] == ["middle"]
        assert held["breakpoints"] == ["middle"]
        text = (await cli("status", thread)).out
        assert "breakpoint before middle" in text
        assert f"agent-framework-temporal continue {thread}" in text
        wrong = await cli("run", "--data", '{"text": "two"}', *flags, "--when-running", "later", code=2)
        assert "--when-running takes one of reject, enqueue, interrupt, rollback" in wrong.err
        assert "running" in (await cli("run", "--data", '{"text": "two"}', *flags, code=8)).err
        queued = started("run", "--data", '{"text": "two"}', *flags, "--when-running", "enqueue", variables=variables)
        async with queued as waiting:
            found = await _until(cli, thread, lambda found: bool(found["queued_messages"]))
            (message,) = found["queued_messages"]
            assert message["message"] == '{"text":"two"}'
            assert f"queued         {message['message_id']}" in (await cli("status", thread)).out
            await cli("withdraw", thread, message["message_id"], "--responder", "ann")
            _, err = await asyncio.wait_for(waiting.communicate(), 60)
            assert "withdrawn by ann" in err.decode()
            assert "not in the queue" in (await cli("withdraw", thread, message["message_id"], code=8)).err
        assert (await cli("breakpoints", thread, "last", "--json")).json["breakpoints"] == ["last"]
        await cli("continue", thread)
        await _until(cli, thread, lambda found: (found["pause"] or {}).get("executors") == ["last"])
        await cli("breakpoints", thread)
        await cli("pause", thread, "--reason", "let me look", "--responder", "ann")
        assert "asked for by ann: let me look" in (await cli("status", thread)).out
        await cli("continue", thread)
        out, _ = await asyncio.wait_for(running.communicate(), 60)
        assert b"It pauses before middle." in out
        assert b"first one, middle one, last one" in out
    assert "no open run" in (await cli("pause", thread, code=7)).err
