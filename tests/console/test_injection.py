"""What comes from a thread is text in the console, wherever it stands."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.console.conftest import Console
from tests.http._serving import API, whole_stream
from tests.support import unique

expect: Any = pytest.importorskip("playwright.async_api", reason="the extra `test` has it").expect
expect.set_options(timeout=30_000)
pytestmark = pytest.mark.hostile("E")

_HOSTILE = "<img src=x onerror=\"window.ran='img'\"><script>window.ran='script'</script>"


async def test_hostile_strings_stay_text(console: Console) -> None:
    """In an input, a request, a state, an output, an error, an id and a tag; nothing runs, and nothing is asked for."""
    topic = f"jam {unique('x')}{_HOSTILE}[a](javascript:ran=1)"
    response = await console.http.post(
        f"{API}/workflows/press/threads",
        json={"message": {"topic": topic}, "thread_id": f"{_HOSTILE}{unique('id')}", "tags": [_HOSTILE[:100]]},
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
