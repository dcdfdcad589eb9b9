"""Threads that are sealed, and those whose payloads lie outside."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from agent_framework_temporal import FileStorageDriver
from temporalio.client import Client
from temporalio.converter import DataConverter, ExternalStorage

from tests.flows import echo, shop
from tests.http._serving import API, api, begun, outputs, whole_stream
from tests.sealing._rogue import connect
from tests.support import unique, worker


async def test_a_sealed_thread_with_keys_and_without(client: Client) -> None:
    sealing = await connect(client)
    item = unique("secret")
    async with worker(sealing, shop) as queue:
        async with api(sealing, shop, task_queue=queue) as http:
            assert (await http.get(f"{API}/service")).json()["sealed"] is True
            thread = await begun(http, "shop", {"item": item})
            sent = await whole_stream(http, thread)
            (waiting,) = (await http.get(f"{API}/threads/{thread}/requests")).json()["requests"]
            assert waiting["request"]["item"] == item
        async with api(client, shop, task_queue=queue) as blind:
            for path in ("", "/requests", "/checkpoints", "/timeline", "/usage", "/events"):
                found = await blind.get(f"{API}/threads/{thread}{path}")
                assert (found.status_code, found.json()["title"]) == (424, "Not sealed"), (path, found.text)
                assert "key" in found.json()["detail"] and item not in found.text
            listed = (await blind.get(f"{API}/threads", params={"search": thread})).json()
            if listed["unreadable"]:  # The server lists it a moment later.
                assert listed["threads"] == []
        async with api(sealing, task_queue="elsewhere") as http:
            address = f"{API}/threads/{thread}/requests/approve-{item}/response"
            assert (await http.post(address, json={"response": {"approved": True}})).status_code == 200
            rest = await whole_stream(http, thread, last=sent[-1].id)
            assert outputs(rest) == [f"{item} approved by nobody, order 1"]


async def test_what_lies_in_external_storage(client: Client, tmp_path: Path) -> None:
    config = client.config()
    storage = ExternalStorage(drivers=[FileStorageDriver(tmp_path)], payload_size_threshold=1_000)
    config["data_converter"] = dataclasses.replace(DataConverter.default, external_storage=storage)
    stored = Client(**config)
    text = "x" * 500_000
    async with worker(stored, echo) as queue, api(stored, echo, task_queue=queue) as http:
        thread = await begun(http, "echo", text)
        assert outputs(await whole_stream(http, thread)) == [f"{text} 1"]
        found = (await http.get(f"{API}/threads/{thread}/checkpoints")).json()["checkpoints"]
        shown = await http.get(f"{API}/threads/{thread}/checkpoints/{found[-1]['checkpoint_id']}")
        assert shown.json()["content"]["state"] == {"count": 1}
    assert list(tmp_path.rglob("*"))


async def test_runs_that_continue_as_new_are_one_thread(client: Client) -> None:
    from agent_framework_temporal import DurableOptions

    from tests.flows import countdown

    often = DurableOptions(supersteps_per_run=3)
    async with worker(client, countdown) as queue, api(client, countdown, task_queue=queue, options=often) as http:
        thread = await begun(http, "countdown", 10)
        sent = await whole_stream(http, thread)
        assert outputs(sent) == [f"{left} left" for left in range(10, -1, -1)]
        offsets = [found.data["offset"] for found in sent if found.name == "message"]
        assert offsets == sorted(set(offsets))
        half = [found for found in sent if found.name == "message"][len(sent) // 2]
        rest = await whole_stream(http, thread, last=half.id)
        assert [found.data["offset"] for found in rest[:-1]] == [
            offset for offset in offsets if offset > half.data["offset"]
        ]
        steps: list[int] = []
        cursor = None
        while True:
            query = {"limit": 4, **({} if cursor is None else {"cursor": cursor})}
            page = (await http.get(f"{API}/threads/{thread}/timeline", params=query)).json()
            steps += [step["superstep"] for step in page["supersteps"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert steps == list(range(11, 0, -1))
        assert len({info["run_id"] for info in (await _checkpoints(http, thread))}) > 2


async def _checkpoints(http: object, thread: str) -> list[dict[str, str]]:
    found = (await http.get(f"{API}/threads/{thread}/checkpoints")).json()["checkpoints"]  # type: ignore[attr-defined]
    return list(found)
