"""The worker's health endpoint and deployment versions, with the worker as a process."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from agent_framework_temporal import DurableWorkflow, start_dev_server
from agent_framework_temporal.adapter.commands.health import Health
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.support import unique
from tests.worker.test_worker_command import line, refused, started

FLAGS = ("--workflow", "tests.worker.graphs:build_echo")


def _get(url: str) -> tuple[int, object]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


async def _status(port: int, path: str) -> tuple[int, object]:
    return await asyncio.to_thread(_get, f"http://127.0.0.1:{port}{path}")


async def test_health_follows_the_worker_and_the_server() -> None:
    async with await start_dev_server() as server:
        flags = [*FLAGS, "--task-queue", unique("queue"), "--address", server.address, "--health-port", "0"]
        async with started(*flags) as process:
            await line(process)
            port = int((await line(process)).rsplit(" ", 1)[1])
            assert await _status(port, "/healthz") == (200, {"alive": True})
            async with asyncio.timeout(50):
                while (await _status(port, "/readyz"))[0] != 200:
                    await asyncio.sleep(0.1)
            assert (await _status(port, "/other"))[0] == 404
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\xff\xfe nonsense\n")
            await asyncio.wait_for(reader.read(), 10)
            await server.stop()
            async with asyncio.timeout(50):
                while (await _status(port, "/readyz"))[0] != 503:
                    await asyncio.sleep(0.1)
            assert await _status(port, "/healthz") == (200, {"alive": True})
            process.send_signal(signal.SIGTERM)


class _Service:
    """Stands for the connection of a worker, and counts what probes ask of the server."""

    def __init__(self) -> None:
        self.asked = 0
        self.service_client = self

    async def check_health(self, *, timeout: timedelta) -> bool:  # noqa: ASYNC109 - as of the SDK
        self.asked += 1
        await asyncio.sleep(0.05)
        return True


async def _first_line(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.hostile("F")
async def test_strangers_cost_a_worker_nothing() -> None:
    service = _Service()
    async with Health(service, lambda: True).serve(0) as port:  # type: ignore[arg-type] # All it is asked for.
        for request, status in (
            (b"GET /healthz HTTP/1.1\r\n\r\n", b"200"),
            (b"GET /readyz?x=%0d%0aSet-Cookie:a HTTP/1.1\r\n\r\n", b"200"),
            (b"HEAD /readyz HTTP/1.1\r\n\r\n", b"200"),
            (b"POST /readyz HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"405"),
            (b"DELETE /healthz HTTP/1.1\r\n\r\n", b"405"),
            (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
            (b"\xff\xfe\x00 \x1b]0;owned\x07 x\r\n", b"404"),
        ):
            answer = await _first_line(port, request)
            assert answer.split()[1] == status, request
            assert b"owned" not in answer
            assert answer.startswith(b"HEAD") or b"Set-Cookie" not in answer
        assert (await _first_line(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
        assert await _first_line(port, b"GET /" + b"x" * 100_000) == b""
        before = service.asked
        answers = await asyncio.gather(*(_first_line(port, b"GET /readyz HTTP/1.1\r\n\r\n") for _ in range(50)))
        assert {answer.split()[1] for answer in answers} == {b"200"}
        assert service.asked - before <= 2
        # More connections than probes ever open are closed, and then it answers again.
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        assert await _first_line(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10):
            while await _first_line(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b"":
                await asyncio.sleep(0.05)


async def test_says_that_the_port_is_taken(server: WorkflowEnvironment) -> None:
    taken = server.client.service_client.config.target_host
    flags = [*FLAGS, "--task-queue", "q", "--address", taken, "--health-port", taken.rpartition(":")[2]]
    async with started(*flags) as process, asyncio.timeout(50):
        _, errors = await process.communicate()
    assert process.returncode == 2, errors
    assert b"cannot be listened on" in errors
    code, error = await refused(*FLAGS, "--task-queue", "q", "--deployment", "d")
    assert (code, "--deployment and --build-id go together" in error) == (2, True)


async def test_runs_stay_on_the_version_they_began_on(server: WorkflowEnvironment) -> None:
    client, queue, name = server.client, unique("queue"), unique("deployment")
    flags = [*FLAGS, "--task-queue", queue, "--address", client.service_client.config.target_host, "--deployment", name]
    async with started(*flags, "--build-id", "1") as process:
        await line(process)
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace, deployment_name=name, build_id="1", ignore_missing_task_queues=True
        )
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.workflow_service.set_worker_deployment_current_version(request)
                    break
                except RPCError:  # The server learns of a version by its first poll.
                    await asyncio.sleep(0.2)
        durable = DurableWorkflow("echo", client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        assert (await durable.run("a", checkpoint=checkpoint)).get_outputs() == ["a"]
        described = await client.get_workflow_handle(checkpoint.thread_id).describe()
        versioning = described.raw_description.workflow_execution_info.versioning_info
        assert versioning.deployment_version.build_id == "1"
        process.terminate()
