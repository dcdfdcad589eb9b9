"""Respond links: signed, for one request, for a time; a form without a script."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any, Literal, Never

import httpx
import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from agent_framework_temporal import respond_link
from agent_framework_temporal.adapter.http import links
from pydantic import BaseModel, Field
from temporalio.client import Client

from tests.http._serving import API, api, begun, outputs, whole_stream
from tests.support import unique, worker

pytestmark = pytest.mark.hostile("F")
_KEY = secrets.token_bytes(32)
_HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Place(BaseModel):
    """Where."""

    street: str = Field(max_length=60, title=_HOSTILE)
    floor: int | None = Field(default=None, ge=0, le=99, description=_HOSTILE)


class Answer(BaseModel):
    """What a person says, of each kind a form has."""

    approved: bool = Field(title="Send it?")
    shade: Literal["red", "green"] = "red"
    weight: float = 1.5
    place: Place
    notes: list[str] = []
    remark: str = ""


class Asker(Executor):
    """Asks as often as it is told to, each time under the same id."""

    @handler
    async def ask(self, text: str, ctx: WorkflowContext) -> None:
        await ctx.request_info({"question": f"{text} {_HOSTILE}"}, Answer, request_id="same/id")

    @response_handler
    async def told(self, asked: dict, answer: Answer, ctx: WorkflowContext[Never, str]) -> None:  # type: ignore[type-arg]
        await ctx.yield_output(answer.model_dump_json())
        if answer.remark == "again":
            await ctx.request_info({"question": "again"}, Answer, request_id="same/id")


def asking() -> Workflow:
    """Build the workflow that asks."""
    return WorkflowBuilder(name="asking-by-mail", start_executor=Asker(id="asker")).build()


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        worker(client, asking) as queue,
        # With a token: whoever has the link needs none.
        api(client, asking, task_queue=queue, link_key=_KEY, token="t" * 20) as http,
    ):
        http.headers["Authorization"] = f"Bearer {'t' * 20}"
        yield http


class _Form(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        name = dict(attrs).get("name")
        if tag in ("input", "select", "textarea") and name:
            self.fields[name] = dict(attrs).get("value") or ""


async def _linked(http: httpx.AsyncClient, **body: Any) -> tuple[str, str]:
    thread = await begun(http, "asking-by-mail", "may I")
    await whole_stream(http, thread)
    made = await http.post(f"{API}/threads/{thread}/requests/same%2Fid/link", json=body)
    assert made.status_code == 201, made.text
    return thread, made.json()["url"]


def _fill(page: str, values: dict[str, str]) -> dict[str, str]:
    """Fill in a form by the last part of its fields' names."""
    names = _Form(page).fields
    by_end = {re.findall(r'"(\w+)"\]$', name)[0]: name for name in names}
    return {by_end[key]: value for key, value in values.items()}


async def test_a_person_answers_by_a_link(http: httpx.AsyncClient) -> None:
    thread, url = await _linked(http, responder="ada@example.org")
    async with httpx.AsyncClient() as mail:
        page = await mail.get(url)
        assert page.status_code == 200
        assert "script" not in _Form(page.text).tags and "img" not in _Form(page.text).tags
        assert html.escape(_HOSTILE) in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy and "frame-ancestors 'none'" in policy
        assert page.headers["referrer-policy"] == "no-referrer" and page.headers["cache-control"] == "no-store"

        values = {"approved": "yes", "street": _HOSTILE, "floor": "3", "weight": "2.5", "notes": '["a"]'}
        wrong = await mail.post(url, data=_fill(page.text, {**values, "floor": "300"}))
        assert wrong.status_code == 422 and 'role="alert"' in wrong.text
        assert html.escape(_HOSTILE) in wrong.text and "<script" not in wrong.text
        right = await mail.post(url, data=_fill(page.text, {**values, "remark": "again"}))
        assert right.status_code == 200, right.text
        await whole_stream(http, thread)
        # It has asked again under the same id: that is another request.
        for again in (await mail.get(url), await mail.post(url, data=_fill(page.text, values))):
            assert again.status_code == 410, again.text
    (output,) = outputs(await whole_stream(http, thread))
    place = {"street": _HOSTILE, "floor": 3}
    given = {"approved": True, "shade": "red", "weight": 2.5, "place": place, "notes": ["a"], "remark": "again"}
    assert json.loads(output) == given
    told = (await http.get(f"{API}/threads/{thread}/timeline", params={"events": True})).json()
    assert told["supersteps"]


async def test_whoever_only_looks_answers_nothing_and_of_many_answers_one_counts(http: httpx.AsyncClient) -> None:
    thread, url = await _linked(http)
    async with httpx.AsyncClient() as mail:
        for method in ("HEAD", "GET", "OPTIONS", "HEAD", "GET"):  # As scanners of mail do.
            assert (await mail.request(method, url)).status_code in (200, 204)
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await mail.request(method, url)).status_code == 405
        page = (await mail.get(url)).text
        described = re.findall(r'aria-describedby="([^"]+)"', page)
        assert described and all(f'<small id="{name}"' in page for name in described)
        values = _fill(page, {"approved": "yes", "street": "x", "weight": "1"})
        answers = await asyncio.gather(*(mail.post(url, data=values) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410]
        assert (await mail.post(url, data=values)).status_code == 410
    assert len(outputs(await whole_stream(http, thread))) == 1


async def test_a_link_is_good_for_nothing_else(http: httpx.AsyncClient, client: Client) -> None:
    thread, url = await _linked(http)
    token = url.rpartition("/")[2]
    said, signature = token.split(".")
    base = url.removesuffix(f"/answer/{token}")
    forged = [
        token[:-2],
        f"{said}.{signature}x",
        f"{said}A.{signature}",
        f"{said}.{'A' * len(signature)}",
        f".{signature}",
        said,
        "x" * 7_000,
        "%00.%FF",
        "é.é",
        respond_link("", b"x" * 32, thread, "same/id").rpartition("/")[2],
        respond_link("", _KEY, thread, "same/id", namespace="another").rpartition("/")[2],
    ]
    async with httpx.AsyncClient() as mail:
        for wrong in forged:
            for answered in (
                await mail.get(f"{base}/answer/{wrong}"),
                await mail.post(f"{base}/answer/{wrong}", data={}),
            ):
                assert answered.status_code in (400, 403, 414), (wrong, answered.text)
        # It opens nothing but its form.
        for path in ("", f"/{thread}", f"/{thread}/requests"):
            assert (await mail.get(f"{base}{API}/threads{path}", headers={"X-Link": token})).status_code == 401
        assert (await mail.post(url, json={"approved": True})).status_code == 415
        for missing in (("nothing", "same/id"), (thread, "another")):
            good = respond_link(base, _KEY, *missing)
            assert (await mail.get(good)).status_code == 410
        assert (await mail.get(respond_link(base, _KEY, thread, "same/id"))).status_code == 200
    with pytest.raises(ValueError, match="expires_in"):
        respond_link(base, _KEY, thread, "same/id", expires_in=timedelta(0))


async def test_a_link_ends(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = await _linked(http, expires_in_seconds=60)

    class _Later(datetime):
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return super().now(zone) + timedelta(seconds=61)

    monkeypatch.setattr(links, "datetime", _Later)
    async with httpx.AsyncClient() as mail:
        for answered in (await mail.get(url), await mail.post(url, data={})):
            assert answered.status_code == 410 and "has expired" in answered.text


async def test_without_a_key_there_are_none(client: Client) -> None:
    async with worker(client, asking) as queue, api(client, asking, task_queue=queue) as http:
        thread = await begun(http, "asking-by-mail", unique("may I"))
        await whole_stream(http, thread)
        made = await http.post(f"{API}/threads/{thread}/requests/same%2Fid/link", json={})
        assert made.status_code == 501 and "link_key" in made.json()["detail"]
        assert (await http.get(respond_link(str(http.base_url), _KEY, thread, "same/id"))).status_code == 410
