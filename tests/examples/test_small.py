"""The small examples, each as the command its README gives."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from examples.web_service.app import create_app
from examples.web_service.workflow import build
from tests.support import worker

ROOT = Path(__file__).parents[2]


async def _run(server: WorkflowEnvironment, module: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        cwd=ROOT,
        env={**os.environ, "TEMPORAL_ADDRESS": server.client.service_client.config.target_host},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def _shown(example: str) -> list[str]:
    """Return the output that the example's README shows."""
    text = (ROOT / "examples" / example / "README.md").read_text()
    found = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


async def test_order_handling(server: WorkflowEnvironment) -> None:
    out = await _run(server, "examples.order_handling.demo")
    assert sorted(out.splitlines()) == sorted(_shown("order_handling"))


async def test_research_loop(server: WorkflowEnvironment) -> None:
    assert (await _run(server, "examples.research_loop.demo")).splitlines() == _shown("research_loop")


async def test_functional_review(server: WorkflowEnvironment) -> None:
    assert (await _run(server, "examples.functional_review.demo")).splitlines() == _shown("functional_review")


async def test_group_chat(server: WorkflowEnvironment) -> None:
    lines = (await _run(server, "examples.group_chat.demo")).splitlines()
    assert lines[1] == "you say: Please, a shorter one."
    assert "you approve" in lines
    assert lines[-1].startswith("outcome: ")


async def test_web_service(client: Client) -> None:
    httpx = pytest.importorskip("httpx")

    @asynccontextmanager
    async def facade() -> AsyncIterator[DurableWorkflow]:
        async with worker(client, build) as queue:
            yield DurableWorkflow(build, client=client, task_queue=queue)

    app = create_app(facade())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=60) as browser,
    ):
        assert "<title>Durable replies</title>" in (await browser.get("/")).text
        thread = (await browser.post("/threads", json={"message": "a late train"})).json()["thread_id"]
        events = (await browser.get(f"/threads/{thread}/events")).text
        assert '"type": "request_info"' in events
        assert events.endswith("event: end\ndata: {}\n\n")
        [request] = (await browser.get(f"/threads/{thread}/requests")).json()
        assert request["response_schema"]["properties"]["wish"]["title"] == "What should change"
        answer = {"request_id": request["request_id"], "response": {"approved": "perhaps"}}
        wrong = await browser.post(f"/threads/{thread}/responses", json=answer)
        assert wrong.status_code == 422, wrong.text
        answer["response"] = {"approved": False, "wish": "a voucher"}
        assert (await browser.post(f"/threads/{thread}/responses", json=answer)).status_code == 202
        last = re.findall(r"id: (\d+)", events)[-1]
        more = (await browser.get(f"/threads/{thread}/events", headers={"Last-Event-ID": last})).text
        assert "You asked for: a voucher." in more
        # Two offsets lie between: what became of the two answers is in the thread's log.
        assert more.startswith(f"id: {int(last) + 3}\n")
        [request] = (await browser.get(f"/threads/{thread}/requests")).json()
        answer = {"request_id": request["request_id"], "response": {"approved": True}}
        await browser.post(f"/threads/{thread}/responses", json=answer)
        whole = (await browser.get(f"/threads/{thread}/events")).text
        assert '"type": "output"' in whole
        missing = await browser.get("/threads/nothing/events")
        assert "event: error" in missing.text


async def test_payments(server: WorkflowEnvironment) -> None:
    assert (await _run(server, "examples.payments.demo")).splitlines() == _shown("payments")
