"""Fixtures: the commands, and a worker of the shared flows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.cli._commands import Commands
from tests.flows import chain, echo, shop, talk
from tests.requests._flows import asker
from tests.support import worker


@pytest.fixture(scope="session")
def cli(server: WorkflowEnvironment) -> Commands:
    return Commands(server.client.service_client.config.target_host)


@pytest.fixture(scope="session")
async def queue(client: Client) -> AsyncIterator[str]:
    async with worker(client, asker, chain, echo, shop, talk) as task_queue:
        yield task_queue
