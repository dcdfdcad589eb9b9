"""Functional workflows on the command line: they are drawn by their steps, hosted, run and answered like any other."""

from __future__ import annotations

from temporalio.client import Client

from tests.cli._commands import Commands
from tests.functional._flows import review
from tests.support import unique, worker


async def test_graph_shows_the_steps(cli: Commands) -> None:
    text = (await cli("graph", "tests.functional._flows:pipeline")).out
    assert text.splitlines() == [
        "ƒ pipeline  (functional workflow: its code says what follows what)",
        "  · fetch  (step)",
        "  · publish  (step)",
        "  · write  (step)",
    ]
    drawn = (await cli("graph", "tests.functional._flows:pipeline", "--json")).json
    assert (drawn["workflow"], drawn["steps"], drawn["executors"]) == ("pipeline", ["fetch", "publish", "write"], [])
    assert 'n0["fetch"]' in (await cli("graph", "tests.functional._flows:instance", "--format", "mermaid")).out
    assert 'n1 [label="publish"]' in (await cli("graph", "tests.functional._flows:pipeline", "--format", "dot")).out


async def test_runs_and_is_answered(client: Client, cli: Commands) -> None:
    thread = unique("thread")
    async with worker(client, review) as task_queue:
        done = await cli("run", "tides", "-w", "tests.functional._flows:review", "-q", task_queue, "-t", thread)
        assert "  write is done\n" in done.out
        assert f"answer with    agent-framework-temporal respond {thread} auto::0\n" in done.out
        await cli("respond", thread, "auto::0", "--data", '{"accepted": false, "remark": "dull"}')
        followed = await cli("stream", thread, "--json")
        assert followed.lines[-1]["outputs"] == ["tides rejected: dull"]
