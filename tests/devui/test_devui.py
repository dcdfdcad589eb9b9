"""DevUI in headless Chromium: a durable workflow runs, shows its events and its form, takes the answer and goes on.

`make devui-test` installs what it needs from PyPI; Chromium is the system's. Without either the suite leaves it out.
Screenshots go to the folder that DEVUI_SCREENSHOTS names.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from examples.answering import order
from tests.support import worker

pytest.importorskip("agent_framework_devui", reason="make devui-test installs it")
playwright = pytest.importorskip("playwright.async_api", reason="make devui-test installs it")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

_ROOT = Path(__file__).parents[2]
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@asynccontextmanager
async def devui(
    client: Client, task_queue: str, workflow: str = "examples.answering.order:build"
) -> AsyncIterator[tuple[str, str]]:
    """Serve DevUI as a process of its own; yields its address and the token that it has printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = client.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.devui.app", address, task_queue, str(port), workflow), cwd=_ROOT, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        token = (await process.stdout.readline()).decode().rpartition(" ")[2].strip()
        while True:
            assert process.returncode is None
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            break
        yield f"http://127.0.0.1:{port}", token
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def signed_in(page: Any, url: str, token: str) -> None:
    """Open DevUI as a person does who has read the script's line."""
    await page.goto(url)
    await page.get_by_text("Authentication Required").wait_for()
    await page.locator("input[type=password]").fill(token)
    await page.keyboard.press("Enter")


@pytest.fixture
async def page(client: Client, tmp_path: Path) -> AsyncIterator[Any]:
    """Open DevUI in a browser with an empty profile."""
    async with (
        worker(client, order.build) as task_queue,
        devui(client, task_queue) as (url, token),
        playwright.async_playwright() as driver,
    ):
        context = await driver.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            headless=True,
            args=list(_FLAGS),
            viewport={"width": 1400, "height": 900},
        )
        try:
            opened = await context.new_page()
            opened.set_default_timeout(20_000)
            await signed_in(opened, url, token)
            yield opened
        finally:
            await context.close()


async def _shot(page: Any, name: str) -> None:
    folder = os.environ.get("DEVUI_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def _order(page: Any, item: str) -> None:
    """Fill in the form of the start executor's input, and run."""
    await page.get_by_role("button", name=re.compile("Configure & Run|Run Again")).click()
    await page.locator("#item").fill(item)
    await page.locator("#price").fill("3")
    await _shot(page, f"{item}-input")
    await page.get_by_role("button", name="Run Workflow").click()
    await page.get_by_text("Workflow needs your input").wait_for()


async def _thread(client: Client, item: str) -> str:
    """Return the thread that waits for the item's approval."""
    async with asyncio.timeout(50):
        while True:
            async for execution in client.list_workflows("ExecutionStatus = 'Running'"):
                if not execution.id.startswith("order-"):
                    continue
                pending = await client.get_workflow_handle(execution.id).query("pending_requests")
                if [request["request_id"] for request in pending] == [f"approve-{item}"]:
                    return execution.id
            await asyncio.sleep(0.2)


async def test_run_form_answer_and_end(client: Client, page: Any) -> None:
    await _order(page, "pen")
    await _shot(page, "pen-waiting")
    text = await page.inner_text("body")
    assert "item: pen" in text  # What is asked,
    assert "Whether the order may be placed." in text  # and the schema of what is answered.
    assert "request_info.requested" in text
    thread_id = await _thread(client, "pen")
    await page.locator("#approved").click()
    await page.locator("input[type=number]").last.fill("5")
    await _shot(page, "pen-answer")
    await page.get_by_role("button", name="Submit Response").click()
    await page.get_by_text("pen: ordered").first.wait_for()
    await _shot(page, "pen-done")
    handle = client.get_workflow_handle(thread_id)
    assert (await handle.result())["outputs"] == ["pen: ordered"]
    page_of_events = await handle.query("events", args=[-1, 500])
    accepted = [event for event in page_of_events["events"] if event["type"] == "response_accepted"]
    assert [event["data"] for event in accepted] == [{"approved": True, "limit": 5}]
    # One thread, which has been answered where it waited: nothing was forked.
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED


async def test_answer_that_comes_after_somebody_elses(client: Client, page: Any) -> None:
    await _order(page, "ink")
    handle = client.get_workflow_handle(await _thread(client, "ink"))
    await handle.execute_update("respond", {"request_id": "approve-ink", "response": {"approved": False}})
    assert (await handle.result())["outputs"] == ["ink: not ordered"]
    await page.locator("#approved").click()
    await page.locator("input[type=number]").last.fill("5")
    await page.get_by_role("button", name="Submit Response").click()
    await page.get_by_text("No pending requests found in workflow context").first.wait_for()
    await _shot(page, "ink-too-late")


async def test_second_run_of_a_session_is_a_thread_of_its_own(client: Client, page: Any) -> None:
    await _order(page, "cap")
    first = await _thread(client, "cap")
    await page.locator("#approved").click()
    await page.locator("input[type=number]").last.fill("5")
    await page.get_by_role("button", name="Submit Response").click()
    await page.get_by_text("cap: ordered").first.wait_for()
    await _order(page, "hat")
    assert await _thread(client, "hat") != first
    await _shot(page, "hat-waiting")
