"""Summary and details of a run: Markdown that says where it stands and which command answers it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from agent_framework import WorkflowBuilder
from agent_framework_temporal import DurableOptions, DurableWorkflow
from agent_framework_temporal.adapter.framework.definition import WorkflowDefinition
from agent_framework_temporal.adapter.framework.static_details import static_details
from agent_framework_temporal.workflows.details import COMMAND, current_details
from agent_framework_temporal.workflows.messages import Calls, ErrorDetails, PendingRequest, TokenCounts
from markdown_it import MarkdownIt
from markdown_it.token import Token
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from tests.flows import Decision, Echo, Order, shop
from tests.hostile.corpus import ALL, EVIL, unseen
from tests.support import unique, worker

pytestmark = pytest.mark.hostile("E")


async def _details(client: Client, thread_id: str) -> str:
    handle = client.get_workflow_handle(thread_id)
    found: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return found.current_details


async def test_a_run_says_what_it_is_and_where_it_stands(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="kettle", price=20), checkpoint=checkpoint)
        thread = checkpoint.thread_id
        described = await client.get_workflow_handle(thread).describe()
        assert await described.static_summary() == "shop"
        assert "- `shop` (start)" in (await described.static_details() or "")
        before = described.history_length
        details = await _details(client, thread)
        assert details.startswith(
            "**waiting**, 1 supersteps committed\n\n### 1 pending request\n\n`shop` asks `approve-kettle`"
        )
        assert '`{"item": "kettle", "price": 20}`' in details
        assert f"```\nagent-framework-temporal respond {thread} approve-kettle\n```" in details
        await durable.run(responses={"approve-kettle": Decision(approved=True)}, checkpoint=checkpoint)
        assert await _details(client, thread) == "**idle**, 2 supersteps committed"
        described = await client.get_workflow_handle(thread).describe()
        # 4 for the answer and 6 for its superstep, and the end; looking at it and showing it cost none.
        assert before + 10 <= described.history_length <= before + 11


async def test_a_run_leads_to_the_console(client: Client) -> None:
    """Where one is configured; its address stands in Markdown, and a thread's id cannot end it."""
    url = "https://example.org/agents/"
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue, console_url=url)
        checkpoint = durable.checkpoint(f"{unique('a')}/<b>](https://evil.example)")
        await durable.run(Order(item="pot", price=20), checkpoint=checkpoint)
        described = await client.get_workflow_handle(checkpoint.thread_id).describe()
    shown = _tokens(await described.static_details() or "")
    links = [token.attrs["href"] for token in shown if token.type == "link_open"]
    assert links == [f"{url}threads/{quote(checkpoint.thread_id, safe='')}"]
    for wrong in ("javascript:alert(1)", "https://a/)[b](https://evil", "https://a/ b", "/threads", "https://a/>"):
        with pytest.raises(ValueError, match="console_url"):
            DurableOptions(console_url=wrong)


def _request(request_id: str, data: object, executor_id: str = "e`vil\n# heading") -> PendingRequest:
    return PendingRequest(
        request_id=request_id,
        thread_id="t",
        executor_id=executor_id,
        asked_at="2026-11-25T10:00:00+00:00",
        request=data,
        request_type="a:B",
        response_type="a:C",
    )


def _tokens(text: str) -> list[Token]:
    """Return what a reader of Markdown makes of a text, as Temporal's Web UI does."""
    parsed = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text)
    return [inner for token in parsed for inner in (token, *(token.children or ()))]


def _words(command: str, tmp_path: Path) -> list[str]:
    """Return the arguments that bash gives to a command which is pasted there."""
    script = f"{COMMAND}() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=60, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("evil", [*ALL.values(), EVIL, "a\n```\n# b"], ids=[*ALL, "all", "a fence"])
def test_what_people_write_cannot_format_itself(evil: str, tmp_path: Path) -> None:
    pending = [_request(evil, {evil: evil}, evil), _request("q2", evil + "w" * 1000)]
    failure = ErrorDetails(error_type=evil, message=evil)
    text = current_details(
        thread_id=evil, state="paused", superstep=1, executors=[evil], pending=pending, failure=failure
    )
    assert unseen(text) == set()
    tokens = _tokens(text)
    assert {token.type.partition("_")[0] for token in tokens} <= {
        *("paragraph", "inline", "text", "strong", "heading", "fence", "code", "softbreak")
    }
    assert [token.content for token in tokens if token.type == "inline" and token.content.startswith("2 pend")] != []
    assert len([token for token in tokens if token.type == "heading_open"]) == 1
    retry, respond, second = [token.content for token in tokens if token.type == "fence"]
    assert _words(retry, tmp_path) in (["retry", evil], ["retry", "--", evil])
    assert _words(respond, tmp_path) in (["respond", evil, evil], ["respond", "--", evil, evil])
    assert _words(second, tmp_path)[-1] == "q2"


@pytest.mark.parametrize("evil", [*filter(None, ALL.values()), EVIL])
def test_names_of_a_graph_cannot_format_themselves(evil: str) -> None:
    first, second = Echo(id=evil), Echo(id=f"{evil}2")
    built = WorkflowBuilder(name=evil[:500], start_executor=first).add_edge(first, second).build()
    text = static_details(WorkflowDefinition(lambda: built, built)) or ""
    assert unseen(text) == set()
    tokens = _tokens(text)
    assert {token.type for token in tokens} <= {
        *("paragraph_open", "paragraph_close", "inline", "text", "code_inline", "list_item_open", "list_item_close"),
        *("bullet_list_open", "bullet_list_close"),
    }
    assert len([token for token in tokens if token.type == "code_inline"]) == 4


def test_a_run_that_cannot_be_named_in_a_shell_says_so() -> None:
    text = current_details(thread_id="a\0b", state="waiting", superstep=1, executors=[], pending=[_request("q", 1)])
    assert "no shell passes on" in text


def test_it_is_bounded() -> None:
    pending = [_request(f"r{number}", {"text": "x" * 10_000}) for number in range(1_000)]
    executors = [f"executor-{number}" for number in range(1_000)]
    text = current_details(
        thread_id="t",
        state="running",
        superstep=4,
        executors=executors,
        pending=pending,
        failure=ErrorDetails(error_type="ValueError", message="m" * 10_000),
    )
    assert "and 980 more." in text
    assert "And 990 more: query `pending_requests`" in text
    assert "agent-framework-temporal retry t" in text
    assert len(text) < 8_000


def test_the_details_say_what_was_called_and_spent() -> None:
    calls = Calls(
        made={"chat": 2}, taken={"chat": 3, "<b>": 1}, tokens={"a": TokenCounts(input=1000, output=5, total=1005)}
    )
    details = current_details(thread_id="t", state="idle", superstep=2, executors=[], pending=[], calls=calls)
    assert details.split("\n\n") == [
        "**idle**, 2 supersteps committed",
        "3 model calls and 1 \\<b\\> taken from the journal, 2 model calls made.",
        "1,005 tokens: 1,000 input, 5 output.",
    ]
