"""The README's tour, step by step: its files and command lines, its processes, and the output it shows."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from tests.docs._openai import FakeOpenAI
from tests.docs._pages import README, ROOT, blocks, write_files

FACADE = ROOT / "docs" / "facade.md"


def _line(start: str, page: Path = README) -> list[str]:
    """Return the one command line of a page that begins so."""
    lines = [line for block in blocks(page, "sh") for line in block.text.splitlines() if line.startswith(start)]
    assert len(lines) == 1, lines
    return shlex.split(lines[0], comments=True)


def _environment(client: Client, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tour uses the default address and whatever is on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    address = client.service_client.config.target_host
    return {**os.environ, "TEMPORAL_ADDRESS": address, "PATH": path, **(variables or {})}


async def _run(command: list[str], folder: Path, client: Client) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=_environment(client),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = (stream.decode() for stream in await process.communicate())
    assert process.returncode == 0, errors
    return output


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, text: str) -> None:
        """Read its output until a line with `text`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while not (self.lines and text in self.lines[-1]):
                line = await self.process.stdout.readline()
                assert line, self.lines
                self.lines.append(line.decode())


@asynccontextmanager
async def _worker(
    folder: Path, client: Client, workflow: str = "my_workflow:build", variables: Mapping[str, str] | None = None
) -> AsyncIterator[_Worker]:
    process = await asyncio.create_subprocess_exec(
        *(word.replace("my_workflow:build", workflow) for word in _line("agent-framework-temporal-worker")),
        cwd=folder,
        env=_environment(client, variables),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        worker = _Worker(process)
        await worker.until("Serving essay on task queue 'essays'")
        yield worker
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_tour(client: Client, tmp_path: Path) -> None:
    address = client.service_client.config.target_host
    # A person needs longer to find the worker than a test does.
    files = write_files(tmp_path, replace={"localhost:7233": address, "seconds=5": "seconds=2"})
    assert files == ["my_workflow.py", "start.py", "go_on.py", "my_model.py"], "a file of the README that no test runs"
    shown = [block.text for block in blocks(README, "text")]

    async with _worker(tmp_path, client) as worker:
        printed = await _run(_line("python start.py"), tmp_path, client)
        assert [line.rstrip() for line in printed.splitlines()] == shown[0].splitlines()
        waiting = await _run(_line("temporal workflow query"), tmp_path, client)
        assert '"request_id":"draft-1"' in waiting
        await _run(_line("temporal workflow signal"), tmp_path, client)
        await worker.until("revising: add the sea")
        await worker.until("looking up")
        worker.process.kill()

    async with _worker(tmp_path, client) as worker:
        assert await _run(_line("python go_on.py"), tmp_path, client) == shown[1]
        assert not [line for line in worker.lines if "looking up" in line]

    described = await _run(_line("temporal workflow describe", FACADE), tmp_path, client)
    counted = re.search(r"HistoryLength +(\d+)", described)
    assert counted is not None
    assert f"{counted[1]} events for 6 supersteps and 2 answers" in FACADE.read_text()


async def test_one_argument_away_from_a_real_model(client: Client, tmp_path: Path) -> None:
    """The framework's own client of OpenAI, in a worker that is told where to find the model: here, in this process."""
    write_files(
        tmp_path, replace={"localhost:7233": client.service_client.config.target_host, "essay-1": "essay-model"}
    )
    assert "Start the worker with `--workflow my_model:build`" in README.read_text()
    with FakeOpenAI("look_up", {"topic": "night trains"}, "They leave after dark.") as model:
        async with _worker(tmp_path, client, "my_model:build", model.variables) as worker:
            printed = await _run(_line("python start.py"), tmp_path, client)
            await worker.until("looking up night trains")
    assert "asks: draft-1 They leave after dark." in printed
    asked, told = model.requests
    assert [tool["name"] for tool in asked["tools"]] == ["look_up"]
    assert [item["output"] for item in told["input"] if item.get("type") == "function_call_output"] == [
        "All about night trains."
    ]
