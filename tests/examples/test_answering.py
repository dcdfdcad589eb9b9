"""The examples of answering from outside, as they are, against a server with an HTTP API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import start_dev_server
from temporalio.client import Client

from examples.answering import order
from tests.support import worker

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "answering"
_WRONG = 'approved: the value is not of type "boolean"'


@dataclass
class Place:
    """A server, a worker, and the environment of the examples."""

    client: Client
    environment: dict[str, str] = field(default_factory=dict)

    async def call(self, *command: str, folder: Path = ROOT) -> str:
        """Run a command; returns what it prints."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=self.environment, stdout=PIPE, stderr=PIPE
        )
        out, error = await process.communicate()
        assert process.returncode == 0, (out + error).decode()
        return (out + error).decode()

    async def start(self, thread_id: str) -> None:
        """Start an order with the example that does."""
        out = await self.call(sys.executable, "-m", "examples.answering.start", thread_id, "pen")
        assert out == "['approve-pen']\n"

    async def outputs(self, thread_id: str) -> Any:
        """Wait for the end of a run."""
        return (await self.client.get_workflow_handle(thread_id).result())["outputs"]

    async def responder(self, thread_id: str) -> str:
        """Return who answered, by the event log."""
        page = await self.client.get_workflow_handle(thread_id).query("events", args=[-1, 500])
        return str(next(event for event in page["events"] if event["type"] == "response_accepted").get("responder"))


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    """Start a server with an HTTP API, and a worker."""
    async with await start_dev_server(port=0, ui_port=0, http_port=0) as server:
        client = await server.connect()
        async with worker(client, order.build) as task_queue:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            yield Place(
                client,
                {
                    **os.environ,
                    "PATH": path,
                    "TEMPORAL_ADDRESS": server.address,
                    "TEMPORAL_HTTP": str(server.http_url),
                    "TASK_QUEUE": task_queue,
                },
            )


async def test_command_line_update(place: Place) -> None:
    await place.start("cli-update")
    out = await place.call("sh", str(FOLDER / "answer.sh"), "cli-update", "approve-pen")
    assert '"response_schema"' in out
    assert _WRONG in out
    assert '"pen: ordered"' in out


async def test_command_line_signal(place: Place) -> None:
    await place.start("cli-signal")
    out = await place.call("sh", str(FOLDER / "answer_signal.sh"), "cli-signal", "approve-pen")
    assert '"pen: ordered"' in out
    assert '"response_accepted"' in out


async def test_http_update(place: Place) -> None:
    await place.start("http-update")
    out = await place.call("sh", str(FOLDER / "answer_http.sh"), "http-update", "approve-pen")
    asked, wrong, right = map(json.loads, out.splitlines())
    assert asked["queryResult"][0][0]["request"] == {"item": "pen", "price": 3}
    failure = wrong["outcome"]["failure"]
    assert failure["applicationFailureInfo"]["details"] == [{"errors": [_WRONG]}]
    assert right["outcome"]["success"][0]["queued"] == ["approve-pen"]
    assert await place.outputs("http-update") == ["pen: ordered"]


async def test_http_signal(place: Place) -> None:
    await place.start("http-signal")
    await place.call("sh", str(FOLDER / "answer_http_signal.sh"), "http-signal", "approve-pen")
    assert await place.outputs("http-signal") == ["pen: ordered"]
    assert await place.responder("http-signal") == "curl"


async def test_python_without_this_package(place: Place, tmp_path: Path) -> None:
    await place.start("python")
    # A copy, from a folder that has nothing of ours.
    script = shutil.copy(FOLDER / "answer.py", tmp_path)
    assert "agent_framework" not in Path(script).read_text()
    out = await place.call(sys.executable, str(script), "python", "approve-pen", folder=tmp_path)
    assert out.splitlines() == [
        "approve-pen {'item': 'pen', 'price': 3} ['approved', 'limit']",
        f"['{_WRONG}']",
        "{'queued': ['approve-pen'], 'early': []}",
        "['pen: ordered']",
    ]
    assert await place.responder("python") == "ada"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
async def test_node(place: Place, tmp_path: Path) -> None:
    for name in ("answer.mjs", "package.json"):
        shutil.copy(FOLDER / name, tmp_path)
    installed = await asyncio.create_subprocess_exec(
        *("npm", "install", "--no-audit", "--no-fund", "--loglevel=error"), cwd=tmp_path, stdout=PIPE, stderr=STDOUT
    )
    out_of_npm, _ = await installed.communicate()
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install here: {out_of_npm.decode()[-300:]}")
    await place.start("node")
    out = await place.call("node", "answer.mjs", "node", "approve-pen", folder=tmp_path)
    assert out.splitlines() == [
        "{ item: 'pen', price: 3 } [ 'approved', 'limit' ]",
        f"[ '{_WRONG}' ]",
        "[ 'approve-pen' ]",
        "[ 'pen: ordered' ]",
    ]
    assert await place.responder("node") == "node"
