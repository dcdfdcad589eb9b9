"""DevUI and the web service with hostile data in every field, in headless Chromium: nothing of it runs."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from agent_framework import AgentExecutorResponse, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal.testing import Reply, scripted_agent
from temporalio.client import Client

from examples.web_service.workflow import Desk, Draft, Verdict
from tests.examples._web_service import web_service
from tests.hostile.browser import CHROMIUM, watched_page
from tests.hostile.corpus import EVIL
from tests.hostile.flows import build_for_devui
from tests.support import worker

pytest.importorskip("agent_framework_devui", reason="make devui-test installs it")
playwright = pytest.importorskip("playwright.async_api", reason="make devui-test installs it")
from tests.devui.test_devui import devui, signed_in  # noqa: E402 - it skips itself, which an import does not.

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.hostile("E"),
]


@pytest.mark.parametrize("kind", ["say", "agent", "ask", "fail"])
async def test_devui(client: Client, tmp_path: Path, kind: str) -> None:
    async with (
        worker(client, build_for_devui) as queue,
        devui(client, queue, "tests.hostile.flows:build_for_devui") as (url, token),
        watched_page(playwright, tmp_path) as watched,
    ):
        page = watched.page
        await signed_in(page, url, token)
        await page.get_by_role("button", name=re.compile("Configure & Run|Run Again")).click()
        await page.locator("#kind").fill(kind)
        assert await watched.acted() == []
        await page.get_by_role("button", name="Run Workflow").click()
        await page.get_by_text(_ENDS[kind]).first.wait_for()
        if kind == "ask":
            await page.get_by_text("Workflow needs your input").wait_for()
        # All that can be opened: outputs, errors, and the events as they came.
        for shut in await page.locator("svg.lucide-chevron-right:visible").all():
            with contextlib.suppress(playwright.Error):  # Another that was opened has taken its place.
                await shut.click(timeout=500)
        assert await watched.acted() == []
        assert "onerror" in await page.inner_text("body")


_ENDS = {"say": "completed", "agent": "completed", "ask": "Workflow is waiting for your input", "fail": "failed"}


class EvilDesk(Desk):
    """Asks under a hostile id."""

    @handler
    async def show(self, drafted: AgentExecutorResponse, ctx: WorkflowContext) -> None:
        await ctx.request_info(Draft(text=drafted.agent_response.text), Verdict, request_id=EVIL[:500])


def build_replies() -> Workflow:
    """Build the web service's workflow with hostile ids; its scripted agent repeats what it is told."""
    desk, writer = EvilDesk(id=f"desk {EVIL}"), scripted_agent("writer", lambda prompt: Reply(prompt.texts[-1]))
    builder = WorkflowBuilder(
        name="replies", start_executor=desk, output_from=[desk], intermediate_output_from="all_other"
    )
    return builder.add_edge(desk, writer).add_edge(writer, desk).build()


async def test_the_web_service(client: Client, tmp_path: Path) -> None:
    async with web_service(client, build_replies) as url, watched_page(playwright, tmp_path) as watched:
        page, errors = watched.page, []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        await page.goto(url)
        evil = EVIL.replace("\n", " ").replace("\r", " ")  # An input takes one line.
        await page.locator("#message").fill(evil)
        await page.get_by_role("button", name="Begin").click()
        await page.locator("#draft").filter(has_text="onerror").wait_for()
        assert await page.locator("#draft").inner_text() != ""
        assert await watched.acted() == []
        await page.reload()  # The thread's id is in the address.
        await page.locator("#draft").filter(has_text="onerror").wait_for()
        await page.locator("#wish").fill(evil[:200])
        await page.get_by_role("button", name="Send it").click()
        await page.locator("#done").filter(has_text="onerror").wait_for()
        assert await watched.acted() == []
        assert [error for error in errors if "Content Security Policy" in error] == []
        # Should a page of this kind put data into itself as HTML one day, its policy keeps that from running.
        await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.owned=1>')")
        assert await watched.acted() == []


async def test_a_link_cannot_lead_the_web_service_elsewhere(client: Client, tmp_path: Path) -> None:
    async with web_service(client, build_replies) as url, watched_page(playwright, tmp_path) as watched:
        asked: list[str] = []
        watched.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        for thread in ("../../openapi.json?", "..%2F..%2Fopenapi.json%23", "//evil.example/", "%", "a/b?c#d", EVIL):
            await watched.page.goto("about:blank")
            await watched.page.goto(f"{url}/#{thread}")
            assert await watched.acted() == []
        paths = {path for path in asked if path not in ("/", "blank")}
        assert all(re.fullmatch(r"/threads/[^/]+/(events|requests)", path) for path in paths), paths
        assert len(paths) > 3
