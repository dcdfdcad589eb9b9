"""A page that stays open: its worker and its service are killed, and its thread is long."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from agent_framework_temporal import http_app, register_search_attributes
from fastapi import FastAPI
from temporalio.client import Client

from tests.chaos.processes import Server
from tests.console._flows import press
from tests.console.conftest import Console, shot
from tests.flows import countdown
from tests.http._serving import API, api, begun, serving, whole_stream
from tests.support import unique, worker, worker_process

expect: Any = pytest.importorskip("playwright.async_api", reason="the extra `test` has it").expect
expect.set_options(timeout=30_000)
_KNOWN = "known to few, and to no others"
_EVENTS = int(os.environ.get("CONSOLE_EVENTS", "800"))
_PER_SUPERSTEP = 5


@asynccontextmanager
async def _service(client: Client, queue: str, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(
        http_app(client, [press], task_queue=queue), port=port, log_level="critical", timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await running


async def test_the_worker_is_killed_while_words_come(client: Client, browser: Any, tmp_path: Path) -> None:
    """What its attempt has told is taken back, and the page ends with each word once."""
    queue, topic, gate = unique("killed"), unique("boats"), tmp_path / "gate"
    flows = ["tests.console._flows:press"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
        worker_process(client, queue, workflows=flows) as first,
        _service(client, queue, port),
    ):
        thread = await begun(http, "press", {"topic": topic, "gate": str(gate)})
        async with Console(browser, http, queue, client).page(f"/threads/{thread}") as page:
            said = page.locator(".item[data-kind=output]")
            await expect(said).to_have_text(re.compile(f"{topic}-2 $"))
            first.kill()
            gate.touch()
            async with worker_process(client, queue, workflows=flows):
                await expect(page.locator(".request")).to_be_visible()
                await expect(said).to_have_count(1)
                whole = " ".join(f"{topic}-{number}" for number in range(6))
                await expect(said.locator(".said")).to_have_text(f"{whole} ")


async def test_the_service_is_away_for_a_while(client: Client, browser: Any, console: Console) -> None:
    """The page says so, and takes up where it was: it shows what somebody else has answered meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    topic = unique("boats")
    thread = await begun(console.http, "press", {"topic": topic})
    await whole_stream(console.http, thread)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        other = Console(browser, http, console.queue, client)
        async with _service(client, console.queue, port):
            context = other.page(f"/threads/{thread}")
            page = await context.__aenter__()
            await expect(page.locator(".request")).to_be_visible()
            await page.get_by_label("Grade").fill("3")
        await expect(page.get_by_text("cannot be reached").first).to_be_visible()
        address = f"{API}/threads/{thread}/requests/review-{topic}/response"
        answer = {"response": {"approved": True, "grade": 5}}
        assert (await console.http.post(address, json=answer)).status_code == 200
        async with _service(client, console.queue, port):
            await expect(page.get_by_text("approved, grade 5")).to_be_visible()
            await expect(page.get_by_text("cannot be reached")).to_have_count(0)
            await context.__aexit__(None, None, None)


async def test_the_server_is_killed_and_comes_back(browser: Any, tmp_path: Path) -> None:
    """With the same database: the page says what is missing meanwhile, and what was typed is there and is taken."""
    server = Server(tmp_path / "threads.db")
    await server.start()
    try:
        client, topic = await Client.connect(server.address), unique("boats")
        async with worker(client, press) as queue, api(client, press, task_queue=queue) as http:
            thread = await begun(http, "press", {"topic": topic})
            await whole_stream(http, thread)
            console = Console(browser, http, queue, client)
            async with console.page("/?state=waiting") as page:
                # This server does not know our search attributes.
                missing = page.get_by_text("agent-framework-temporal attributes register")
                await expect(missing).to_be_visible()
                await expect(page.locator(".thread-name")).to_have_text([thread])
                await page.get_by_role("link", name="Failed").click()
                await expect(page.get_by_text("No matching threads.")).to_be_visible()
                await expect(missing).to_be_visible()
                await register_search_attributes(client)
                await page.get_by_role("link", name="Running").click()
                await expect(page.get_by_text("No matching threads.")).to_be_visible()
                await expect(missing).to_have_count(0)

                await page.goto(f"{console.address}/threads/{thread}")
                await page.get_by_label("Yes").check()
                await page.get_by_label("Grade").fill("4")
                await server.kill()
                await expect(page.get_by_role("alert").first).to_contain_text("Server unreachable")
                await server.start()
                await expect(page.get_by_role("alert")).to_have_count(0)
                await expect(page.get_by_label("Grade")).to_have_value("4")
                await expect(page.get_by_text("No worker")).to_have_count(0)
                await page.get_by_role("button", name="Answer", exact=True).click()
                await expect(page.get_by_text("approved, grade 4")).to_be_visible()
                await expect(page.locator(".head .state")).to_have_text("idle")
    finally:
        await server.kill()


_FIRST_CONTENT = """() => performance.getEntriesByName("first-message")[0]?.startTime ?? null"""
_ASKED = """() => {
  const first = performance.getEntriesByName("first-message")[0].startTime;
  const asked = performance.getEntriesByType("resource").filter((entry) => entry.responseEnd <= first + 1);
  return [asked.length, asked.reduce((sum, entry) => sum + entry.encodedBodySize, 0)];
}"""
_MARK = """new MutationObserver((_, observer) => {
  if (document.querySelector(".item")) { performance.mark("first-message"); observer.disconnect(); }
}).observe(document, {subtree: true, childList: true})"""


@pytest.mark.timeout(400)
async def test_a_long_thread_is_shown_as_soon_as_a_short_one(console: Console) -> None:
    """Its newest page alone is read; what was before comes when it is asked for, and the page stays small."""
    short = await begun(console.http, "countdown", 100 // _PER_SUPERSTEP)
    long = await begun(console.http, "countdown", _EVENTS // _PER_SUPERSTEP)
    for thread in (short, long):
        await whole_stream(console.http, thread)
    best: dict[str, float] = {}
    asked: dict[str, tuple[int, int]] = {}
    for thread in (short, long) * 3:
        async with console.page(f"/threads/{thread}", scripts=[_MARK]) as page:
            await expect(page.locator(".item").first).to_be_visible()
            took = await page.evaluate(_FIRST_CONTENT)
            best[thread] = min(took, best.get(thread, took))
            count, size = await page.evaluate(_ASKED)
            asked[thread] = (count, size)
    print({"short": round(best[short]), "long": round(best[long]), "events": _EVENTS, "asked": list(asked.values())})
    # Whatever the machine is doing beside: as many requests, and not much more to read.
    assert asked[long][0] <= asked[short][0] + 3, asked
    assert asked[long][1] <= 2 * asked[short][1], asked
    if "CONSOLE_EVENTS" in os.environ:  # `make console-long`, on a machine that does nothing else.
        assert best[long] - best[short] < 200, best
    async with console.page(f"/threads/{long}") as page:
        await expect(page.locator(".item").last).to_contain_text("0 left")
        await page.get_by_label("All events").check()
        for _ in range(8):
            before = await page.locator(".item").first.get_attribute("id")
            await page.get_by_role("button", name="Show older").click()
            await expect(page.locator(".item").first).not_to_have_id(before)
            assert await page.locator(".item").count() <= 150
        await page.get_by_role("button", name="Show newer").click()
        assert await page.evaluate("document.querySelectorAll('*').length") < 3_000
        await shot(page, "long")


async def test_it_is_mounted_under_a_path_and_asks_for_its_token(console: Console, browser: Any) -> None:
    """Its addresses are below the path, and nothing but the form is shown before the token is given."""
    thread = await begun(console.http, "countdown", 1)
    app = FastAPI()
    inner = http_app(console.client, [countdown], task_queue=console.queue, token=_KNOWN)
    app.mount("/a b", inner)
    async with (
        serving(app) as http,
        Console(browser, http, console.queue, console.client).page(f"/a%20b/threads/{thread}") as page,
    ):
        await page.get_by_label("Token").fill("a guess")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("This token is not valid.")
        assert await page.locator(".item").count() == 0
        await page.get_by_label("Token").fill(_KNOWN)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("0 left")).to_be_visible()
        await page.get_by_role("link", name="Supersteps").click()
        assert page.url.endswith(f"/a%20b/threads/{thread}/supersteps")
        await page.reload()
        await expect(page.locator(".step")).to_have_count(2)
