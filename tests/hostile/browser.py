"""A real browser, and what of a page acted in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_LOCAL = ("127.0.0.1", "localhost", "")


class Watched:
    """A page, and whatever of data has acted in it.

    Args:
        page: The page, before it has loaded anything.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[str] = []
        """Requests to elsewhere, and dialogs."""
        page.on("request", self._request)
        page.on("dialog", self._dialog)

    async def acted(self) -> list[str]:
        """Return what acted: scripts of the corpus, requests to elsewhere, links that would run a script."""
        await self.page.wait_for_timeout(500)  # Images load, and their errors run handlers, in a moment.
        found = [*self.asked]
        if await self.page.evaluate("window.owned !== undefined"):
            found.append("a script ran")
        links = await self.page.eval_on_selector_all("[href]", "all => all.map(one => one.href)")
        found += [str(link) for link in links if str(link).startswith(("javascript:", "http://evil"))]
        found += await self.page.eval_on_selector_all(
            "script", "all => all.map(one => one.text).filter(t => t.includes('owned'))"
        )
        return found

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in _LOCAL:
            self.asked.append(request.url)

    async def _dialog(self, dialog: Any) -> None:
        self.asked.append(f"dialog {dialog.message}")
        await dialog.dismiss()


@asynccontextmanager
async def watched_page(playwright: Any, profile: Path) -> AsyncIterator[Watched]:
    """Open a page in a browser with an empty profile.

    Args:
        playwright: `playwright.async_api`.
        profile: A folder.
    """
    async with playwright.async_playwright() as driver:
        context = await driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=list(FLAGS),
            viewport={"width": 1400, "height": 900},
        )
        try:
            page = await context.new_page()
            page.set_default_timeout(20_000)
            yield Watched(page)
        finally:
            await context.close()
