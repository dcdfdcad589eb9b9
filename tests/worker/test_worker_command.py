"""The worker as it is deployed: a process of its own, against the real server, judged by its output and exit code.

How it starts is the same in all: where something else is tested it is forked, see `tests/forked.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from agent_framework import WorkflowRunResult
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.forked import python
from tests.support import unique, worker
from tests.worker.graphs import build_slow

ROOT = Path(__file__).parents[2]
SCRIPT = (sys.executable, "worker.py")
FORKED = python("worker.py")
CONSOLE_SCRIPT = (str(Path(sys.executable).with_name("agent-framework-temporal-worker")),)
GRAPHS = "tests.worker.graphs"
READ_SECONDS = 30


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment without what would configure the worker, and with `extra`."""
    ours = ("TEMPORAL_", "AGENT_FRAMEWORK_TEMPORAL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | dict(extra or {})


@contextlib.asynccontextmanager
async def started(
    *arguments: str, command: tuple[str, ...] = FORKED, variables: Mapping[str, str] | None = None, folder: Path = ROOT
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, cwd=folder, env=environment(variables), stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(READ_SECONDS):
        return (await process.stdout.readline()).decode()


async def refused(*arguments: str) -> tuple[int, str]:
    """Run a worker that must not start; returns its exit code and the one line it says."""
    async with started(*arguments) as process, asyncio.timeout(READ_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode is not None
    assert output == b""
    assert b"Traceback" not in errors
    return process.returncode, errors.decode().strip().splitlines()[-1]


@pytest.fixture
def address(server: WorkflowEnvironment) -> str:
    return server.client.service_client.config.target_host


@pytest.mark.parametrize("command", [SCRIPT, CONSOLE_SCRIPT], ids=["script", "console-script"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_says_what_it_serves_and_stops_when_told(
    address: str, command: tuple[str, ...], number: signal.Signals
) -> None:
    queue = unique("queue")
    flags = ["--workflow", f"{GRAPHS}:build_shout", "--workflow", f"{GRAPHS}:build_echo", "--task-queue", queue]
    async with started(*flags, "--address", address, command=command) as process:
        assert await line(process) == f"Serving echo, shout on task queue '{queue}', namespace 'default' at {address}\n"
        process.send_signal(number)
        async with asyncio.timeout(10):
            output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert output.decode() == "Stopping: running supersteps have 25 s to end\n"
    assert errors == b""


async def test_every_flag_is_an_environment_variable(address: str) -> None:
    variables = {
        "AGENT_FRAMEWORK_TEMPORAL_WORKFLOWS": f"{GRAPHS}:build_echo, {GRAPHS}:Namespaced.workflow",
        "AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE": unique("queue"),
        "AGENT_FRAMEWORK_TEMPORAL_SHUTDOWN_TIMEOUT": "7",
        "AGENT_FRAMEWORK_TEMPORAL_MAX_SUPERSTEPS": "3",
        "AGENT_FRAMEWORK_TEMPORAL_LOG_LEVEL": "info",
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": "default",
    }
    async with started(command=SCRIPT, variables=variables) as process:
        assert (await line(process)).startswith("Serving echo, namespaced on task queue")
        process.terminate()
        output, errors = await process.communicate()
    assert b"have 7 s to end" in output
    assert b"INFO temporalio.worker" in errors


async def test_connects_by_a_profile_of_the_configuration_file(address: str, tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.staging]\naddress = "{address}"\nnamespace = "default"\n')
    flags = ["--workflow", f"{GRAPHS}:build_echo", "--task-queue", unique("queue")]
    async with started(*flags, "--config-file", str(file), "--profile", "staging") as process:
        assert (await line(process)).endswith(f"namespace 'default' at {address}\n")
    code, error = await refused(*flags, "--config-file", str(file), "--profile", "production")
    assert (code, error) == (
        2,
        "agent-framework-temporal-worker: the connection profile cannot be used: Profile 'production' not found",
    )


async def test_imports_workflows_from_the_folder_it_is_called_in(address: str, tmp_path: Path) -> None:
    package = tmp_path / "workflows"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from agent_framework import WorkflowBuilder, WorkflowContext, executor\n"
        "@executor(id='e')\n"
        "async def e(text: str, ctx: WorkflowContext) -> None: ...\n"
        "def build(): return WorkflowBuilder(start_executor=e, name='mine').build()\n"
    )
    flags = ["--workflow", "workflows:build", "--task-queue", unique("queue"), "--address", address]
    async with started(*flags, command=CONSOLE_SCRIPT, folder=tmp_path) as process:
        assert (await line(process)).startswith("Serving mine on task queue")


@contextlib.asynccontextmanager
async def stopped_amid_a_superstep(
    client: Client, folder: Path, *, seconds: float, flags: Sequence[str] = ()
) -> AsyncIterator[tuple[Process, asyncio.Future[WorkflowRunResult], str]]:
    """Start a run whose one superstep takes `seconds`, and tell its worker to stop when that has begun."""
    queue = unique("queue")
    (folder / "seconds").write_text(str(seconds))
    host = ["--address", client.service_client.config.target_host, "--task-queue", queue]
    async with started("--workflow", f"{GRAPHS}:build_slow", *host, *flags) as process:
        run = asyncio.ensure_future(DurableWorkflow(build_slow, client=client, task_queue=queue).run(str(folder)))
        try:
            async with asyncio.timeout(READ_SECONDS):
                while not list(folder.glob("begun-*")):
                    await asyncio.sleep(0.05)
            process.terminate()
            yield process, run, queue
        finally:
            run.cancel()


async def test_a_running_superstep_ends_before_the_worker_does(client: Client, tmp_path: Path) -> None:
    async with stopped_amid_a_superstep(client, tmp_path, seconds=2) as (process, run, queue):
        assert await asyncio.wait_for(process.wait(), READ_SECONDS) == 0
        async with worker(client, build_slow, task_queue=queue):
            result = await asyncio.wait_for(run, READ_SECONDS)
    assert result.get_outputs() == ["done"]


async def test_a_superstep_that_takes_too_long_goes_on_elsewhere(client: Client, tmp_path: Path) -> None:
    flags = ["--shutdown-timeout", "0.5"]
    async with stopped_amid_a_superstep(client, tmp_path, seconds=300, flags=flags) as (process, run, queue):
        assert await asyncio.wait_for(process.wait(), 10) == 0
        async with worker(client, build_slow, task_queue=queue):
            result = await asyncio.wait_for(run, READ_SECONDS)
    assert result.get_outputs() == ["done again"]


async def test_a_second_signal_does_not_wait(client: Client, tmp_path: Path) -> None:
    async with stopped_amid_a_superstep(client, tmp_path, seconds=300) as (process, _, _):
        assert (await line(process)).startswith("Serving slow")
        assert (await line(process)).startswith("Stopping")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("references", "code", "says"),
    [
        (["tests.worker.no_such_module:build"], 3, "there is no module 'tests.worker.no_such_module'"),
        (["no_such_package.module:build"], 3, "there is no module 'no_such_package'"),
        ([f"{GRAPHS}.build_echo"], 3, "is not of the form package.module:attr"),
        ([f"{GRAPHS}:build_eco"], 3, "has no 'build_eco'; did you mean 'build_echo'?"),
        ([f"{GRAPHS}:NOT_A_WORKFLOW"], 3, "is a str, not a Workflow or a function that builds one"),
        (["tests.worker.broken:build"], 3, "importing 'tests.worker.broken' raised RuntimeError: broken on purpose"),
        ([f"{GRAPHS}:build_nothing"], 5, "Factory 'build_nothing' returned 'str', not a Workflow."),
        ([f"{GRAPHS}:build_unnamed"], 5, "is auto-generated and differs in every process"),
        ([f"{GRAPHS}:build_echo", f"{GRAPHS}:build_echo_again"], 5, "Two workflows are named 'echo'"),
    ],
)
async def test_refuses_what_it_cannot_serve(address: str, references: list[str], code: int, says: str) -> None:
    flags = [part for reference in references for part in ("--workflow", reference)]
    got, error = await refused(*flags, "--task-queue", "queue", "--address", address)
    assert got == code
    assert says in error


async def test_says_that_no_server_answers(unused_tcp_port: int) -> None:
    where = f"127.0.0.1:{unused_tcp_port}"
    code, error = await refused("--workflow", f"{GRAPHS}:build_echo", "--task-queue", "queue", "--address", where)
    assert code == 4
    assert f"cannot use namespace 'default' at {where}: Connection refused." in error


async def test_says_that_there_is_no_such_namespace(address: str) -> None:
    flags = ["--workflow", f"{GRAPHS}:build_echo", "--task-queue", "queue", "--address", address]
    code, error = await refused(*flags, "--namespace", "elsewhere")
    assert code == 4
    assert f"cannot use namespace 'elsewhere' at {address}: Namespace elsewhere is not found." in error


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "say what to host"),
        (["--workflow", "a:b"], "say which task queue to serve"),
        (["--workflow", "a:b", "--task-queue", "q", "--config-file", "/no/such.toml"], "no configuration file"),
        (["--workflow", "a:b", "--task-queue", "q", "--max-supersteps", "0"], "--max-supersteps 1 or more"),
        (["--workflow", "a:b", "--task-queue", "q", "--max-per-second", "0"], "--max-per-second must be more than 0"),
        (["--workflow", "a:b", "--task-queue", "q", "--log-level", "loud"], "'loud' is not a valid level"),
    ],
)
async def test_says_which_flag_is_wrong(flags: list[str], says: str) -> None:
    code, error = await refused(*flags)
    assert code == 2
    assert says in error
