"""`graph`, `doctor`, `attributes register`, `worker`, `dev`, and what all commands share."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from agent_framework_temporal import start_dev_server
from agent_framework_temporal.adapter.cli.app import EXIT_CODES

from tests.cli._commands import MODULE, SCRIPT, Commands, environment, started
from tests.support import unique

COMMANDS = (
    *("dev", "worker", "run", "stream", "inbox", "respond", "status", "checkpoints", "fork", "cancel", "graph"),
    *("init", "retry", "doctor", "attributes", "pause", "continue", "breakpoints", "withdraw"),
)


async def test_help_names_every_command_and_exit_code(cli: Commands) -> None:
    text = (await cli("--help")).out
    for name in COMMANDS:
        assert f" {name} " in text
        await cli(name, "--help")
    assert " ".join(EXIT_CODES.split())[:40] in " ".join(text.split())
    assert "MODULE:ATTR" in (await cli("worker", "--help")).out
    assert (await cli("--version")).out.strip()
    assert "No such command" in (await cli("nothing", code=2)).err


def test_the_console_script_is_the_same() -> None:
    if not Path(SCRIPT).exists():
        pytest.skip("not installed with this version's scripts")
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, env=environment(), check=True, timeout=60)
    assert "checkpoints" in done.stdout


async def test_draws_a_graph(cli: Commands, tmp_path: Path) -> None:
    assert (await cli("graph", "tests.flows:countdown")).out == (
        "▶ tick  (Countdown)\n  └─▶ tock\n■ tock  (Countdown)\n  └─▶ tick\n"
    )
    drawn = (await cli("graph", "tests.requests._flows:nested")).out
    assert drawn.startswith("▶ inner  (WorkflowExecutor)\n  ┊ ▶ asker  (Asker)\n")
    assert (await cli("graph", "tests.flows:shop", "--format", "mermaid")).out.startswith("flowchart TD")
    assert (await cli("graph", "tests.flows:shop", "--format", "dot")).out.startswith("digraph")
    found = (await cli("graph", "tests.flows:countdown", "--json")).json
    assert found["edges"][0] == {"source": "tick", "target": "tock", "kind": "chain", "condition": None}
    file = tmp_path / "graph.svg"
    if shutil.which("dot") is None:
        done = await cli("graph", "tests.flows:shop", "-f", "svg", "-o", str(file), code=7)
        assert "Install graphviz" in done.err
    else:
        await cli("graph", "tests.flows:shop", "-f", "svg", "-o", str(file))
        assert b"<svg" in file.read_bytes()
    assert "a name alone does not tell" in (await cli("graph", "shop", code=2)).err


async def test_doctor_says_what_is_missing(cli: Commands, queue: str) -> None:
    nobody = unique("queue")
    done = await cli("doctor", "-q", nobody, code=1)
    assert f"✘ workers, workflows: none polls task queue '{nobody}'" in done.out
    assert f"agent-framework-temporal worker --workflow MODULE:ATTR --task-queue {nobody}" in done.out
    found = {item["what"]: item for item in (await cli("doctor", "-q", queue, "--json")).json}
    assert found["workers, workflows"]["verdict"] == found["workers, supersteps"]["verdict"] == "ok"
    assert "temporalio" in found["versions"]["found"]
    assert found["server"]["verdict"] == found["placement"]["verdict"] == "ok"


async def test_doctor_without_a_server(unused_tcp_port: int) -> None:
    done = await Commands(f"127.0.0.1:{unused_tcp_port}")("doctor", code=4)
    assert "✘ server: cannot use namespace 'default'" in done.out
    assert "agent-framework-temporal dev" in done.out


async def test_registers_search_attributes() -> None:
    async with await start_dev_server() as server:
        cli = Commands(server.address)
        before = {item["what"]: item for item in (await cli("doctor", "--json", code=1)).json}["search attributes"]
        assert before["to_do"] == "agent-framework-temporal attributes register"
        assert len((await cli("attributes", "register", "--json")).json["added"]) == 6
        assert "All are registered already" in (await cli("attributes", "register")).out
        after = {item["what"]: item for item in (await cli("doctor", "--json", code=1)).json}["search attributes"]
        assert after["verdict"] == "ok"


async def test_says_that_no_server_answers(unused_tcp_port: int) -> None:
    done = await Commands(f"127.0.0.1:{unused_tcp_port}")("status", "thread", code=4)
    assert done.err.startswith("agent-framework-temporal: cannot use namespace 'default' at 127.0.0.1:")
    done = await Commands(f"127.0.0.1:{unused_tcp_port}")("status", "thread", "--json", code=4)
    assert json.loads(done.err)["error"] == "ServerUnreachableError"


async def test_says_which_connection_flag_is_wrong(cli: Commands, tmp_path: Path) -> None:
    assert "no configuration file" in (await cli("status", "t", "--config-file", "/no/such.toml", code=2)).err
    profiles = tmp_path / "temporal.toml"
    profiles.write_text(f'[profile.staging]\naddress = "{cli.address}"\n')
    flags = ["--config-file", str(profiles), "--profile"]
    assert "Profile 'other' not found" in (await cli("status", "t", *flags, "other", code=2)).err
    assert "no thread 't'" in (await cli("status", "t", *flags, "staging", code=7)).err
    variables = {"TEMPORAL_CONFIG_FILE": str(profiles), "TEMPORAL_PROFILE": "staging"}
    async with started("status", "t", variables=variables) as process:
        assert await process.wait() == 7, "the SDK reads the variables"
    assert "namespace 'elsewhere'" in (await cli("status", "t", "--namespace", "elsewhere", code=4)).err


async def test_a_reader_that_leaves_is_no_error(cli: Commands, queue: str) -> None:
    command = f"{' '.join(MODULE)} run hello -w echo -q {queue} --json | head -n 1"
    done = await asyncio.to_thread(
        lambda: subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            env=environment({"TEMPORAL_ADDRESS": cli.address}),
            timeout=60,
            check=False,
        )
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_the_worker_takes_its_own_flags(cli: Commands) -> None:
    done = await cli("worker", "--workflow", "tests.flows:echo", code=2)
    assert "say which task queue to serve" in done.err


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


_MODULE = """
from agent_framework import WorkflowBuilder, WorkflowContext, executor

@executor(id="hello")
async def hello(name: str, ctx: WorkflowContext) -> None:
    await ctx.yield_output(f"{WORD} {name}")

def build():
    return WorkflowBuilder(name="greeting", description=WORD, start_executor=hello).build()
"""


async def _descriptions(console: str) -> list[str]:
    """Return what the console's workflows say of themselves; while it restarts, callers wait."""
    async with httpx.AsyncClient(base_url=console, timeout=60) as http:
        assert "text/html" in (await http.get("/")).headers["content-type"]
        return [found["description"] for found in (await http.get("/api/v1/workflows")).json()]


@pytest.mark.timeout(180)
async def test_dev_serves_and_takes_over_changes(tmp_path: Path) -> None:
    module, port = tmp_path / "greeting.py", _free_port()
    module.write_text(f'{_MODULE}\nWORD = "Hello"\n')
    flags = ["dev", "-w", "greeting:build", "--port", str(port), "--ui-port", "0", "--database", "threads.db"]
    flags += ["--console-port", "0"]
    cli = Commands(f"127.0.0.1:{port}")
    async with started(*flags, folder=tmp_path) as process:
        assert process.stdout is not None

        async def until(text: str) -> str:
            async with asyncio.timeout(60):
                while line := (await process.stdout.readline()).decode():  # type: ignore[union-attr]
                    if text in line:
                        return line
            raise AssertionError(f"{text!r} does not come: {await process.stderr.read()!r}")  # type: ignore[union-attr]

        console = (await until("console ")).split()[-1]
        assert f"--address 127.0.0.1:{port} 'a message'" in await until("try ")
        await until("Serving greeting on task queue 'agent-framework'")
        done = await cli("run", "Ann", "-w", "greeting", "-t", "greeting-1", "--json", folder=tmp_path)
        assert done.lines[-1]["outputs"] == ["Hello Ann"]
        assert await _descriptions(console) == ["Hello"]
        module.write_text(f'{_MODULE}\nWORD = "Good morning"\n')
        await until("greeting.py changed: the worker and the console restart")
        await until("Serving greeting")
        assert await _descriptions(console) == ["Good morning"]
        done = await cli("run", "Bob", "-t", "greeting-1", "--json", folder=tmp_path)
        assert done.lines[-1]["outputs"] == ["Good morning Bob"]
        module.write_text("this is no Python\n")
        await until("The worker has ended with exit code 3.")
        module.write_text(f'{_MODULE}\nWORD = "Good night"\n')
        await until("changed")
        await until("Serving greeting")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(50):
            _, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert b"SyntaxError" in errors
    assert b"Traceback" not in errors


async def test_dev_says_what_it_cannot_do(tmp_path: Path, unused_tcp_port: int) -> None:
    cli = Commands(f"127.0.0.1:{unused_tcp_port}")
    assert "TEMPORAL_ADDRESS names another: unset it" in (await cli("dev", "-w", "tests.flows:echo", code=2)).err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        flags = ["dev", "-w", "tests.flows:echo", "--console-port", str(taken.getsockname()[1])]
        async with started(*flags) as process:
            _, errors = await process.communicate()
            assert process.returncode == 2
        assert b"choose another --console-port, or --no-console" in errors
    async with started("dev", "-w", "tests.flows:nothing") as process:
        _, errors = await process.communicate()
        assert process.returncode == 3
    assert b"has no 'nothing'" in errors
