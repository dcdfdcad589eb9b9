"""The curl lines of docs/http.md, as they are written."""

from __future__ import annotations

import asyncio
import importlib
import json
import shlex
import sys
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.docs._pages import ROOT, blocks, write_files
from tests.http._serving import API, api
from tests.support import unique, worker


async def _run(line: str) -> str:
    process = await asyncio.create_subprocess_exec(*shlex.split(line), stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode == 0, line
    return out.decode()


async def test_the_page_runs_as_written(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, replace={"asyncio.sleep(3)": "asyncio.sleep(0.1)"})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_workflow", raising=False)
    build = importlib.import_module("my_workflow").build
    page = ROOT / "docs" / "http.md"
    told = "".join(line for line in page.read_text().splitlines() if line.startswith(("| `GET", "| `POST")))
    text = [block.text.replace("\\\n", " ") for block in blocks(page, "sh") if block.text.startswith("curl")]
    thread = unique("essay")
    async with worker(client, build) as queue, api(client, build, task_queue=queue) as http:
        address = str(http.base_url).rstrip("/")
        lines = [line.replace("http://localhost:8234", address).replace("essay-7", thread) for line in text]
        begun, events, requests, wrong, right, rest = [await _run(line) for line in lines]
        assert json.loads(begun)["thread_id"] == thread
        assert events.rstrip().splitlines()[-1].startswith(f'data: {{"thread_id":"{thread}"')
        shown = next(block.text for block in blocks(page, "text"))
        assert shown.splitlines()[1].partition(',"live"')[0] in events
        assert "event: end\n" in events
        assert json.loads(requests)["requests"][0]["request_id"] == "draft-1"
        assert json.loads(wrong)["verdict"] == "rejected" and "approved" in json.loads(wrong)["errors"][0]
        assert json.loads(right)["verdict"] == "accepted"
        assert "All about night trains." in rest and "id: 5@" in events and "id: 5@" not in rest
        served = (await http.get(f"{API}/openapi.json")).json()["paths"]
        missing = [path for path in served if path.replace("}", "{").split("{")[-1].rpartition("/")[2] not in told]
        assert missing == [], "say in the table of docs/http.md what these do"
    sys.modules.pop("my_workflow", None)
