"""The page of the web service, in headless Chromium: what it shows after a reload is what there is to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import Client

from examples.web_service.workflow import build
from tests.examples._web_service import web_service
from tests.hostile.browser import CHROMIUM, watched_page

playwright = pytest.importorskip("playwright.async_api")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


async def test_after_a_reload_only_what_waits_is_asked(client: Client, tmp_path: Path) -> None:
    async with web_service(client, build) as url, watched_page(playwright, tmp_path) as watched:
        page = watched.page
        await page.goto(url)
        await page.get_by_role("button", name="Begin").click()
        await page.locator("#draft").filter(has_text="Dear customer").wait_for()
        await page.locator("#wish").fill("a voucher")
        await page.get_by_role("button", name="Another one").click()
        await page.locator("#draft").filter(has_text="a voucher").wait_for()
        await page.reload()
        # Two requests are among the events; the form is that of the one that still waits.
        await page.locator("#draft").filter(has_text="a voucher").wait_for()
        assert await page.locator("#form").is_visible()
        await page.get_by_role("button", name="Send it").click()
        await page.locator("#done").filter(has_text="Sent: ").wait_for()
        async with page.expect_response(lambda answer: answer.url.endswith("/events")):
            await page.reload()
        await page.locator("#done").filter(has_text="Sent: ").wait_for()
        await page.wait_for_load_state("networkidle")
        assert not await page.locator("#form").is_visible(), "it was answered"
