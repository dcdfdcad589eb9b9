"""A server on which workflows can be paused, and that deletes promptly; and Temporal's command line."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.conftest import temporal_binary

_SETTINGS = (
    "frontend.WorkflowPauseEnabled=true",
    # A server deletes a run only after these, 30 seconds each by default.
    'history.transferProcessorUpdateAckInterval="300ms"',
    'history.visibilityProcessorUpdateAckInterval="300ms"',
    "history.transferProcessorMaxPollRPS=2000",
)

Temporal = Callable[..., Awaitable[str]]


@pytest.fixture(scope="package")
async def client() -> AsyncIterator[Client]:
    """Return a client of that server."""
    arguments = [part for setting in _SETTINGS for part in ("--dynamic-config-value", setting)]
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="never", dev_server_extra_args=arguments
    )
    async with environment:
        yield environment.client


@pytest.fixture
def temporal(client: Client) -> Temporal:
    """Return a function that runs a command of Temporal's and returns what it prints."""

    async def run(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(temporal_binary(), *words, "--address", client.service_client.config.target_host),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()

    return run
