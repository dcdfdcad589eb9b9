"""One browser, one worker and one service for all tests of the console. Chromium is the system's."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from tests.console._flows import office, press, strange
from tests.flows import countdown, shop
from tests.http._serving import api
from tests.support import worker

CHROMIUM = shutil.which("chromium")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


@dataclass
class Console:
    """The console, served for a worker's queue."""

    browser: Any
    http: httpx.AsyncClient
    queue: str
    client: Client
    wrong: list[str] = field(default_factory=list)
    """What browsers have complained of."""

    @property
    def address(self) -> str:
        return str(self.http.base_url).rstrip("/")

    @asynccontextmanager
    async def page(self, path: str = "/", *, scripts: Sequence[str] = (), **options: Any) -> AsyncIterator[Any]:
        """Open a page with a profile of its own; what its console says of errors fails the test."""
        context = await self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        try:
            for script in scripts:
                await context.add_init_script(script)
            page = await context.new_page()
            page.set_default_timeout(30_000)
            page.on("console", lambda message: self._heard(message.type, message.text))
            page.on("pageerror", lambda error: self.wrong.append(str(error)))
            await page.goto(f"{self.address}{path}")
            yield page
        finally:
            await context.close()

    def _heard(self, kind: str, text: str) -> None:
        # Chromium says so of each answer beyond 399, also where the page shows it as the verdict that it is.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource: the server responded"):
            self.wrong.append(text)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Any]:
    playwright = pytest.importorskip("playwright.async_api", reason="the extra `test` has it")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def served(client: Client, browser: Any) -> AsyncIterator[Console]:
    async with (
        worker(client, press, office, strange, countdown, shop) as queue,  # The service does not know `shop`.
        api(client, press, office, strange, countdown, task_queue=queue, link_key=b"k" * 32) as http,
    ):
        yield Console(browser, http, queue, client)


@pytest.fixture
async def console(served: Console) -> AsyncIterator[Console]:
    served.wrong.clear()
    yield served
    assert served.wrong == []


async def shot(page: Any, name: str) -> None:
    """Keep a picture where CONSOLE_SCREENSHOTS says, for the documentation."""
    folder = os.environ.get("CONSOLE_SCREENSHOTS")
    if folder:
        await asyncio.to_thread(Path(folder).mkdir, parents=True, exist_ok=True)
        await page.screenshot(path=Path(folder) / f"{name}.png")
