"""What comes from a thread is text in the console, wherever it stands."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.console._flows import HOSTILE
from tests.console.conftest import Console
from tests.http._serving import API, whole_stream
from tests.support import unique

expect: Any = pytest.importorskip("playwright.async_api", reason="the extra `test` has it").expect
expect.set_options(timeout=30_000)
pytestmark = pytest.mark.hostile("E")


async def test_hostile_strings_stay_text(console: Console) -> None:
    """In an input, a request, a state, an output, an error, an id and a tag; nothing runs, and nothing is asked for."""
    topic = f"jam {unique('x')}{HOSTILE}[a](javascript:ran=1)"
    response = await console.http.post(
        f"{API}/workflows/press/threads",
        json={"message": {"topic": topic}, "thread_id": f"{HOSTILE}{unique('id')}", "tags": [HOSTILE[:100]]},
    )
    thread = quote(response.json()["thread_id"], safe="")
    await whole_stream(console.http, thread)
    asked: list[str] = []
    async with console.page("/") as page:
        page.on("request", lambda request: asked.append(request.url))
        await expect(page.locator(".thread-name").first).to_be_visible()
        for path in ("", f"/requests/{quote('review-' + topic, safe='')}", "/supersteps", "/checkpoints"):
            await page.goto(f"{console.address}/threads/{thread}{path}")
            await expect(page.locator("h1")).to_contain_text("<img src=x")
        await page.goto(f"{console.address}/threads/{thread}")
        await expect(page.locator(".request")).to_contain_text("<script>window.ran")
        await page.get_by_label("Yes").check()
        await page.get_by_label("Grade").fill("1")
        await page.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.locator(".standing")).to_contain_text("<script>window.ran")
        await page.goto(f"{console.address}/threads/{thread}/checkpoints")
        await page.locator(".checkpoint-list a").first.click()
        await expect(page.get_by_role("region", name="State", exact=True)).to_contain_text("<script>window.ran")
        assert await page.evaluate("window.ran") is None
    assert all(url.startswith(console.address) and not url.endswith("/x") for url in asked)


async def test_hostile_names_and_schemas_stay_text(console: Console) -> None:
    """Of executors, in and beside a sub-workflow, of state; titles, descriptions and choices of what is asked."""
    text = f"{unique('y')}{HOSTILE}"
    response = await console.http.post(f"{API}/workflows/strange/threads", json={"message": text})
    thread = response.json()["thread_id"]
    await whole_stream(console.http, thread)
    asked: list[str] = []
    async with console.page("/workflows/strange") as page:
        page.on("request", lambda request: asked.append(request.url))
        await expect(page.locator(".node").first).to_be_visible()
        await page.goto(f"{console.address}/threads/{thread}")
        await page.locator("[data-executor^='office']").click()
        await expect(page.locator(".inner .node")).to_have_count(2)
        await page.get_by_text("Breakpoints", exact=True).click()
        await expect(page.locator(".breakpoints")).to_contain_text("<script>window.ran")
        card = page.locator(".request")
        await card.locator("select").select_option(label="<script>window.ran='choice'</script>")
        await card.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.locator(".item[data-kind=output]").last).to_contain_text("window.ran='choice'")
        await page.get_by_label("All events").check()
        await expect(page.locator(".item").first).to_contain_text("started")
        for path in ("/supersteps", "/checkpoints"):
            await page.goto(f"{console.address}/threads/{thread}{path}")
            await page.locator(".step h2 a, .checkpoint-list a").first.click()
            await expect(page.get_by_text("<script>window.ran").first).to_be_visible()
        await page.get_by_label("Compare from superstep 0, entry").check()
        await page.get_by_label(re.compile("Compare to superstep")).first.check()
        await page.get_by_role("button", name="Compare").click()
        await expect(page.locator(".difference").first).to_contain_text("<script>window.ran")
        assert await page.evaluate("window.ran") is None
    assert all(url.startswith(console.address) and not url.endswith("/x") for url in asked)
