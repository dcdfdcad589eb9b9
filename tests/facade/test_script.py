"""A script whose classes are those of `__main__`, and a worker that has imported it: they are one."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.support import unique, worker_process

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command", [["tests/facade/_script.py"], ["-m", "tests.facade._script"]], ids=["file", "module"]
)
async def test_classes_of_a_script(command: list[str], client: Client) -> None:
    task_queue = unique("queue")
    async with worker_process(client, task_queue, workflows=["tests.facade._script:build"]):
        script = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, client.service_client.config.target_host, task_queue),
            cwd=_ROOT,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await script.communicate()
    assert out, err.decode()
    assert json.loads(out.splitlines()[-1]) == [True] * 9, err.decode()
