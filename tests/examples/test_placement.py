"""The example with two worker pools, with the commands of its README."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

ROOT = Path(__file__).parents[2]
README = ROOT / "examples" / "placement" / "README.md"


async def test_two_worker_pools(server: WorkflowEnvironment) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", README.read_text(), re.DOTALL)
    commands = [shlex.split(text) for language, text in blocks if language == "sh"]
    (shown,) = (text for language, text in blocks if language == "text")
    environment = {**os.environ, "TEMPORAL_ADDRESS": server.client.service_client.config.target_host}
    async with AsyncExitStack() as stack:
        for command, *arguments in commands[:2]:
            assert command == "agent-framework-temporal-worker"
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "worker.py", *arguments), cwd=ROOT, env=environment, stdout=PIPE
            )
            stack.push_async_callback(worker.wait)
            stack.callback(worker.kill)
        start = await asyncio.create_subprocess_exec(
            *(sys.executable, *commands[2][1:]), cwd=ROOT, env=environment, stdout=PIPE
        )
        printed, _ = await start.communicate()
    assert start.returncode == 0
    assert printed.decode() == shown
