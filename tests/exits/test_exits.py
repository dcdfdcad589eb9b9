"""A process that has used a client ends with its own exit code, also on a busy machine; `make exits` ends more."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from temporalio.client import Client

EXITS = int(os.environ.get("EXITS", "10"))


@pytest.mark.timeout(60 + 20 * EXITS)
@pytest.mark.parametrize(("way", "code"), [("calls", 0), ("polls", 0), ("worker", 0), ("command", 1)])
async def test_no_exit_is_abnormal(client: Client, way: str, code: int) -> None:
    """Without the handler two of three exits with a long poll in flight abort or hang."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.exits._zygote", client.service_client.config.target_host, way, str(EXITS)),
        cwd=Path(__file__).parents[2],
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert json.loads(out) == {str(code): EXITS}
