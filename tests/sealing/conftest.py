"""Fixtures: a client with keys."""

from __future__ import annotations

import pytest
from temporalio.client import Client

from tests.sealing._rogue import connect


@pytest.fixture
async def sealing(client: Client) -> Client:
    """A client with keys, on the same server."""
    return await connect(client)
