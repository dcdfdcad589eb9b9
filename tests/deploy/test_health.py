"""The worker's health endpoint and deployment versions, with the worker as a process."""

from __future__ import annotations

import asyncio
import json
import signal
from urllib.error import HTTPError
from urllib.request import urlopen

from agent_framework_temporal import DurableWorkflow, start_dev_server
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
            async with asyncio.timeout(20):
                while (await _status(port, "/readyz"))[0] != 200:
                    await asyncio.sleep(0.1)
            assert (await _status(port, "/other"))[0] == 404
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\xff\xfe nonsense\n")
            await asyncio.wait_for(reader.read(), 10)
            await server.stop()
            async with asyncio.timeout(30):
                while (await _status(port, "/readyz"))[0] != 503:
                    await asyncio.sleep(0.1)
            assert await _status(port, "/healthz") == (200, {"alive": True})
            process.send_signal(signal.SIGTERM)


async def test_says_that_the_port_is_taken(server: WorkflowEnvironment) -> None:
    taken = server.client.service_client.config.target_host
    flags = [*FLAGS, "--task-queue", "q", "--address", taken, "--health-port", taken.rpartition(":")[2]]
    async with started(*flags) as process, asyncio.timeout(30):
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
