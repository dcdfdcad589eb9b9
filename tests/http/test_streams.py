"""Event streams: tokens as they come, read on from anywhere, by many, slow ones, and through outages."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import DurableOptions
from agent_framework_temporal.adapter.http import events
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from benchmarks._requests import ServedRequests
from tests.chaos.processes import Server
from tests.conftest import temporal_binary
from tests.flows import countdown, shop
from tests.http._serving import API, Sent, api, begun, outputs, read_stream, whole_stream
from tests.support import unique, worker, worker_process


class Gated(Executor):
    """Yields words, and waits in the middle for a file to be there."""

    @handler
    async def say(self, gate: str, ctx: WorkflowContext[str, str]) -> None:
        for number in range(6):
            await ctx.yield_output(f"{self.id} {number}")
        async with asyncio.timeout(60):
            while not Path(gate, self.id).exists():
                await asyncio.sleep(0.02)
        for number in range(6, 9):
            await ctx.yield_output(f"{self.id} {number}")
        await ctx.send_message(gate)


class Loud(Executor):
    """Yields much, over and over."""

    @handler
    async def shout(self, left: int, ctx: WorkflowContext[int, str]) -> None:
        await ctx.yield_output(f"{left} {random.Random(left).randbytes(100_000).hex()}")
        if left > 1:
            await ctx.send_message(left - 1)


def loud() -> Workflow:
    """Build the workflow with large events."""
    one, two = Loud(id="one"), Loud(id="two")
    return WorkflowBuilder(name="loud", start_executor=one).add_edge(one, two).add_edge(two, one).build()


def gated() -> Workflow:
    """Build the workflow whose supersteps end when a test says so."""
    executors = [Gated(id=name) for name in ("ada", "bob")]
    return WorkflowBuilder(name="gated", start_executor=executors[0]).add_chain(list(executors)).build()


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with worker(client, gated, shop) as queue, api(client, gated, shop, task_queue=queue) as http:
        yield http


_ALL = [f"{name} {number}" for name in ("ada", "bob") for number in range(9)]


async def _some(http: httpx.AsyncClient, thread: str, last: str | None, count: int) -> list[Sent]:
    found: list[Sent] = []
    async with asyncio.timeout(60):
        async for sent in read_stream(http, thread, last=last):
            found.append(sent)
            if len(found) == count:
                break
    return found


async def test_a_reader_that_comes_back_in_the_middle_of_a_superstep_gets_each_event_once(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    thread = await begun(http, "gated", str(tmp_path))
    found: list[Sent] = []
    for count in (3, 1, 2):  # Each time by a connection of its own, while the superstep runs.
        found += await _some(http, thread, found[-1].id if found else None, count)
    assert any(sent.data["live"] for sent in found)
    (tmp_path / "ada").touch()
    while "bob 2" not in outputs(found):
        found += await _some(http, thread, found[-1].id, 1)
    (tmp_path / "bob").touch()
    found += await whole_stream(http, thread, last=found[-1].id)
    assert sorted(outputs(found)) == sorted(_ALL)
    offsets = [sent.data["offset"] for sent in found if sent.name == "message"]
    whole = await whole_stream(http, thread)
    assert sorted(offsets) == [sent.data["offset"] for sent in whole if sent.name == "message"]


async def test_what_a_lost_attempt_has_told_is_taken_back(client: Client, tmp_path: Path) -> None:
    """Its worker is killed while two read: one stays, one comes back later. Both end with what was committed."""
    queue = unique("killed")
    flows = ["tests.http.test_streams:gated"]
    async with api(client, gated, task_queue=queue) as http:
        async with worker_process(client, queue, workflows=flows) as first:
            thread = await begun(http, "gated", str(tmp_path))
            gone = await _some(http, thread, None, 5)
            assert gone[-1].data["live"] is True
            staying = asyncio.ensure_future(whole_stream(http, thread))
            first.kill()
        for name in ("ada", "bob"):
            (tmp_path / name).touch()
        async with worker_process(client, queue, workflows=flows):
            stayed = await staying
            back = gone + await whole_stream(http, thread, last=gone[-1].id)
        whole = await whole_stream(http, thread)
    for sent in (stayed, back, whole):
        assert _counting(sent) == _ALL
        assert _told(sent).keys() == _told(whole).keys()
        assert sent[-1].name == "end" and sent[-1].data["state"] == "idle"
    assert any(sent.data.get("type") == "live_events_discarded" for sent in back)


def _told(sent: list[Sent]) -> dict[int, dict[str, Any]]:
    """Return the events that count in the end, by what the stream says."""
    told: dict[int, dict[str, Any]] = {}
    for found in sent:
        if found.data.get("type") == "live_events_discarded":
            for offset in found.data["offsets"]:
                told.pop(offset, None)
        elif found.name == "message":
            assert found.data["offset"] not in told, "told twice"
            told[found.data["offset"]] = found.data
    return told


def _counting(sent: list[Sent]) -> list[Any]:
    return [data["data"] for _, data in sorted(_told(sent).items()) if data["type"] == "output"]


async def test_a_stream_that_goes_on_shows_the_answer_of_another(http: httpx.AsyncClient) -> None:
    item = unique("tea")
    thread = await begun(http, "shop", {"item": item})
    states: list[str] = []
    found: list[Sent] = []
    async with asyncio.timeout(60):
        async for sent in read_stream(http, thread, follow=True):
            found.append(sent)
            if sent.name != "standing":
                continue
            states.append(sent.data["state"])
            if sent.data["state"] == "waiting" and len(states) == 1:
                address = f"{API}/threads/{thread}/requests/approve-{item}/response"
                answered = await http.post(address, json={"response": {"approved": True}})
                assert answered.status_code == 200
            if sent.data["state"] == "idle":
                if "again" in states:
                    break
                states.append("again")
                await http.post(f"{API}/threads/{thread}/messages", json={"message": {"item": unique("jam")}})
            if "again" in states and sent.data["state"] == "waiting":
                break
    assert states == ["waiting", "idle", "again", "waiting"]
    ids = [sent.id for sent in found if sent.name == "message"]
    assert len(ids) == len(set(ids))
    assert outputs(found) == [f"{item} approved by nobody, order 1"]


@pytest.fixture(scope="module")
async def counted() -> AsyncIterator[tuple[httpx.AsyncClient, ServedRequests]]:
    """The API over a server that counts what it is asked."""
    counter, arguments = ServedRequests.with_arguments()
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="error", dev_server_extra_args=arguments
    )
    async with (
        environment,
        worker(environment.client, gated, countdown) as queue,
        api(environment.client, gated, countdown, task_queue=queue) as http,
    ):
        yield http, counter


async def test_many_readers_of_a_thread_cost_the_server_as_much_as_one(
    counted: tuple[httpx.AsyncClient, ServedRequests], tmp_path: Path
) -> None:
    http, counter = counted
    served: list[Counter[str]] = []
    for readers in (1, 50):
        folder = tmp_path / str(readers)
        folder.mkdir()
        thread = await begun(http, "gated", str(folder))
        await counter.since()
        follow = [asyncio.ensure_future(whole_stream(http, thread)) for _ in range(readers)]
        await asyncio.gather(*[_poll(http, thread) for _ in range(min(readers, 8))])
        for name in ("ada", "bob"):
            (folder / name).touch()
        assert all(sorted(outputs(sent)) == sorted(_ALL) for sent in await asyncio.gather(*follow))
        served.append(await counter.since())
        print(served[-1])
    one, many = served
    # What comes is awaited once for all of them. Each reads by itself what was before it came, and where that stands.
    assert many["PollWorkflowExecutionHistory"] <= one["PollWorkflowExecutionHistory"] + 3
    assert many["GetWorkflowExecutionHistory"] <= one["GetWorkflowExecutionHistory"] + 49 * 3
    # 120 times they have asked where the thread stands.
    assert many["QueryWorkflow"] <= 120 / 4
    assert many["DescribeWorkflowExecution"] <= 49 + 120 / 2


_SHOWN = (
    "",
    "/requests",
    "/usage",
    "/timeline?limit=20&events=true",
    "/checkpoints?limit=20",
    "/checkpoints/LAST",
    "/diff?before=BEFORE&after=LAST",
)
"""What a page shows of a thread."""


async def test_a_long_thread_is_shown_for_as_many_requests_as_a_short_one(
    counted: tuple[httpx.AsyncClient, ServedRequests],
) -> None:
    http, counter = counted
    served: list[Counter[str]] = []
    for left in (3, 100):
        thread = await begun(http, "countdown", left)
        last = (await whole_stream(http, thread))[-2].id
        newest = (await http.get(f"{API}/threads/{thread}/checkpoints", params={"limit": 2})).json()["checkpoints"]
        before, after = (info["checkpoint_id"] for info in newest)
        await counter.since()
        for path in _SHOWN:
            chosen = path.replace("LAST", after).replace("BEFORE", before)
            assert (await http.get(f"{API}/threads/{thread}{chosen}")).status_code == 200, path
        assert [sent.name for sent in await whole_stream(http, thread, last=last)] == ["end"]
        served.append(await counter.since())
        print(served[-1])
    short, long = ({name: count for name, count in of.items() if "History" in name} for of in served)
    assert long.keys() == short.keys()
    # Of a checkpoint also what its last keyframe lies in is read, and a long poll may be cut: all else is a page.
    assert sum(long.values()) <= sum(short.values()) + 3 + 1


async def _poll(http: httpx.AsyncClient, thread: str) -> None:
    for _ in range(15):
        assert (await http.get(f"{API}/threads/{thread}")).status_code == 200


async def test_who_leaves_is_followed_no_more(client: Client, tmp_path: Path) -> None:
    async with worker(client, gated) as queue, api(client, gated, task_queue=queue, max_streams=2) as few:
        thread = await begun(few, "gated", str(tmp_path))
        for _ in range(4):  # More than there may be at a time: each makes room when it leaves.
            streams = [read_stream(few, thread) for _ in range(2)]
            for stream in streams:
                await anext(stream)
            refused = await few.get(f"{API}/threads/{thread}/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            for stream in streams:
                await stream.aclose()
            async with asyncio.timeout(10):
                while (await _status(few, thread)) == 503:
                    await asyncio.sleep(0.05)
        at_once = [asyncio.ensure_future(_held(few, thread)) for _ in range(12)]
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while sum(task.done() for task in at_once) < 10:
                await asyncio.sleep(0.05)
        for name in ("ada", "bob"):
            (tmp_path / name).touch()
        assert sorted(await asyncio.gather(*at_once)) == [200] * 2 + [503] * 10


async def _held(http: httpx.AsyncClient, thread: str) -> int:
    """Read a stream to its end; returns its status."""
    async with http.stream("GET", f"{API}/threads/{thread}/events", timeout=60) as response:
        await response.aread()
        return response.status_code


async def _status(http: httpx.AsyncClient, thread: str) -> int:
    async with http.stream("GET", f"{API}/threads/{thread}/events") as response:
        return response.status_code


async def test_the_server_is_killed_while_a_stream_is_open(tmp_path: Path) -> None:
    """The stream goes on when it is back, with what it has on disk; without it, it ends with a problem."""
    server = Server(tmp_path / "threads.db")
    await server.start()
    try:
        client = await Client.connect(server.address)
        soon = DurableOptions(server_timeout=timedelta(seconds=3))
        async with worker(client, gated) as queue, api(client, gated, task_queue=queue) as patient:
            thread = await begun(patient, "gated", str(tmp_path))
            reader = read_stream(patient, thread)
            found = [await anext(reader) for _ in range(3)]
            async with api(client, gated, task_queue=queue, options=soon) as impatient:
                hasty = read_stream(impatient, thread)
                await anext(hasty)
                await server.kill()
                async with asyncio.timeout(60):
                    last = [sent async for sent in hasty][-1]
            assert last.name == "problem" and last.data["title"] == "Server unreachable", last
            await server.start()
            for name in ("ada", "bob"):
                (tmp_path / name).touch()
            found += [sent async for sent in reader]
    finally:
        await server.kill()
    assert _counting(found) == _ALL
    assert found[-1].name == "end"


async def test_a_reader_that_takes_nothing_holds_nothing_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events wait in history and not here: the connection's buffers are full long before. It is left after a while."""
    monkeypatch.setattr(events, "_STALLED_SECONDS", 2.0)
    async with worker(client, loud) as queue, api(client, loud, task_queue=queue, max_streams=1) as http:
        thread = await begun(http, "loud", 60)
        whole = await whole_stream(http, thread)
        size = sum(len(str(sent.data)) for sent in whole)
        assert size > 10_000_000
        url = http.base_url
        _reader, writer = await asyncio.open_connection(url.host, url.port, limit=1)
        writer.write(f"GET {API}/threads/{thread}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        before = _resident()
        async with asyncio.timeout(30):
            while await _status(http, thread) != 503:
                await asyncio.sleep(0.05)
        assert (await http.get(f"{API}/threads/{thread}")).status_code == 200
        async with asyncio.timeout(60):
            while await _status(http, thread) == 503:  # The one stream that there may be is its.
                await asyncio.sleep(0.1)
        assert outputs(await whole_stream(http, thread)) == outputs(whole)
        assert _resident() - before < 200_000_000
        writer.close()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
