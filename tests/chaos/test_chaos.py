"""The short form of `make chaos`: some workers and a server are killed, one is stopped, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import run


@pytest.mark.timeout(180)
async def test_nothing_is_lost() -> None:
    findings, _ = await run(workers=2, threads=4, worker_kills=5, server_kills=1, pauses=1)
    assert findings.wrong == []
    assert findings.figures["workers killed"] == 5
    assert findings.figures["servers killed"] == 1
    assert findings.figures["threads"] >= 4
