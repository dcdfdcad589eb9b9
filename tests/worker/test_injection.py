"""What a worker logs and prints of data can do nothing on the terminal it is started from."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.logging import data_logger
from temporalio.client import Client

from tests.hostile.corpus import ALL, EVIL, unseen
from tests.hostile.flows import Ask, build
from tests.support import unique

pytestmark = pytest.mark.hostile("E")
_ROOT = Path(__file__).parents[2]


async def test_a_worker_shows_data_as_data(client: Client) -> None:
    queue = f"{EVIL}{unique('queue')}"
    flags = ["--workflow", "tests.hostile.flows:build", "--task-queue", queue, "--log-level", "info"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "worker.py", *flags, "--address", client.service_client.config.target_host),
        cwd=_ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        first = await process.stdout.readline()
        durable = DurableWorkflow(build, client=client, task_queue=queue, max_attempts=1)
        with pytest.raises(ValueError, match="owned"):
            await durable.run(Ask(kind="fail"), checkpoint=durable.checkpoint(f"{EVIL}{unique('fail')}"))
    finally:
        process.terminate()
        rest, errors = await process.communicate()
    shown = first.decode() + rest.decode() + errors.decode()
    assert unseen(shown) == set()
    assert r"ValueError: \x1b]0;owned\x07" in errors.decode()
    # No line of a text passes for a record, or for the worker's own.
    assert not [line for line in shown.splitlines() if line.startswith(("thread", "b", "ca", "#", "```"))]


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_a_record_is_one_line_whatever_writes_it(text: str) -> None:
    logger, written = data_logger("agent_framework_temporal"), io.StringIO()
    handler = logging.StreamHandler(written)
    logger.addHandler(handler)
    try:
        logger.warning("Thread %r: %s, %d%%", text, ValueError(text), 7)
    finally:
        logger.removeHandler(handler)
    (line,) = written.getvalue().removesuffix("\n").split("\n")
    assert unseen(line) == set()
    assert line.endswith("7%")
