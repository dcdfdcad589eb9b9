"""Values that no reader of JSON or of lines takes, in every place that the API shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from temporalio.client import Client

from tests.http._serving import API, api, begun, outputs, whole_stream
from tests.support import unique, worker

pytestmark = pytest.mark.hostile("F")
_LINES = "one\u2028two\u2029three\x85four"
_ODD = "r\u2028<b>"


class Odd(Executor):
    """Keeps, says and asks for what is hard to tell of."""

    @handler
    async def go(self, text: str, ctx: WorkflowContext[str, Any]) -> None:
        ctx.set_state("surrogate", "a\ud800b")
        ctx.set_state("number", float("nan"))
        ctx.set_state("large", 10**4_000)
        for said in (_LINES, "a\ud800b", {"number": float("inf")}, {"key\ud800": 1}):
            await ctx.yield_output(said)
        if text == "fail":
            raise ValueError(f"\ud800 {_LINES}")
        await ctx.request_info({"question": f"\ud800 {_LINES}"}, float, request_id=_ODD)

    @response_handler
    async def told(self, asked: dict, answer: float, ctx: WorkflowContext[str, Any]) -> None:  # type: ignore[type-arg]
        await ctx.yield_output(answer)


def odd() -> Workflow:
    """Build the workflow."""
    return WorkflowBuilder(name="odd", start_executor=Odd(id="<odd>")).build()


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        worker(client, odd) as queue,
        api(client, odd, task_queue=queue, link_key=b"k" * 32) as http,
    ):
        yield http


@pytest.mark.parametrize(("text", "state"), [("ask", "waiting"), ("fail", "failed")])
async def test_every_reader_takes_what_is_told(http: httpx.AsyncClient, text: str, state: str) -> None:
    thread = await begun(http, "odd", text, thread_id=unique("odd"))
    # By a client that ends a line wherever Python does.
    sent = await whole_stream(http, thread)
    assert sent[-1].data["state"] == state
    assert outputs(sent)[0] == _LINES or state == "failed"
    path = f"{API}/threads/{thread}"
    for place in ("", "/requests", "/timeline?events=true", "/usage"):
        assert (await http.get(f"{path}{place}")).status_code == 200
    checkpoints = (await http.get(f"{path}/checkpoints")).json()["checkpoints"]
    ids = [found["checkpoint_id"] for found in checkpoints]
    for name in ids:
        shown = await http.get(f"{path}/checkpoints/{name}")
        assert shown.status_code == 200, shown.text
    if state == "waiting":
        assert shown.json()["content"]["state"]["surrogate"] == "a\ufffdb"
        compared = await http.get(f"{path}/diff", params={"before": ids[0], "after": ids[-1]})
        assert "state.surrogate" in {found["place"] for found in compared.json()["differences"]}


async def test_a_link_asks_and_takes_it(http: httpx.AsyncClient) -> None:
    thread = await begun(http, "odd", "ask")
    await whole_stream(http, thread)
    made = await http.post(f"{API}/threads/{thread}/requests/{quote(_ODD, safe='')}/link", json={})
    url = made.json()["url"]
    page = await http.get(url)
    assert page.status_code == 200 and "<b>" not in page.text and "&lt;odd&gt; asks" in page.text
    for wrong in ("nan", "inf", "1e999", "x", ""):
        refused = await http.post(url, data={"field:[]": wrong})
        assert refused.status_code == 422 and 'role="alert"' in refused.text, wrong
    assert (await http.post(url, data={"field:[]": "2.5"})).status_code == 200
    assert outputs(await whole_stream(http, thread))[-1] == 2.5
