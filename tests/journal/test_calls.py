"""Calls of models and tools that an earlier attempt has finished, one kind after the other."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    Agent,
    BaseChatClient,
    ChatContext,
    ChatMiddleware,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationContext,
    FunctionMiddleware,
    MCPStdioTool,
    Message,
    MiddlewareFailure,
    MiddlewareTermination,
    ResponseStream,
    SlidingWindowStrategy,
    UserInputRequiredException,
    tool,
)
from agent_framework.openai import OpenAIChatCompletionClient
from agent_framework_temporal.activities.journal.calls import OUTCOME_UNKNOWN
from agent_framework_temporal.activities.journal.journal import current_scope
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.testing import Prompt, Reply, ScriptedChatClient, ToolCall
from agent_framework_temporal.workflows.messages import ToolRule
from pydantic import BaseModel

from tests.journal._attempts import Attempts
from tests.unit._in_process import row

CATALOG = TypeCatalog(row("shared-state").build())


class LostError(BaseException):
    """The process is gone."""


class Verdict(BaseModel):
    fine: bool


def _client(script: Callable[[Prompt], Reply], **kwargs: Any) -> ScriptedChatClient:
    return ScriptedChatClient(name="m", script=script, **kwargs)


def _agent(script: Callable[[Prompt], Reply], **kwargs: Any) -> Agent:
    return Agent(_client(script), id="agent", name="agent", **kwargs)


class Model:
    """A script that calls tools at first, and counts how often it is asked."""

    def __init__(self, *calls: ToolCall, lost_at: int | None = None) -> None:
        self.asked = 0
        self.lost_at = lost_at
        self._calls = calls

    def __call__(self, prompt: Prompt) -> Reply:
        if self.asked == self.lost_at:
            self.lost_at = None
            raise LostError
        self.asked += 1
        return Reply(" ".join(prompt.tool_results)) if prompt.tool_results else Reply(calls=self._calls)


def _plain(response: ChatResponse) -> Any:
    return [response.to_dict(), response.additional_properties]


async def test_an_answer_has_the_value_of_its_format_again() -> None:
    attempts, model = Attempts(CATALOG), Model()
    client = _client(lambda prompt: model(prompt) and Reply('{"fine": true}'))
    for _ in range(2):
        with attempts.attempt():
            response = await client.get_response([Message("user", ["?"])], options={"response_format": Verdict})
            assert response.value == Verdict(fine=True)
            assert response.usage_details is not None
    assert model.asked == 1


async def test_a_stream_is_replayed_as_the_same_updates_and_the_same_response() -> None:
    attempts, model = Attempts(CATALOG), Model()
    client = _client(lambda prompt: model(prompt) and Reply("one two three"))
    seen = []
    for _ in range(2):
        with attempts.attempt() as journal:
            stream = client.get_response([Message("user", ["?"])], stream=True)
            updates = [(update.to_dict(), update.additional_properties) async for update in stream]
            seen.append((updates, _plain(await stream.get_final_response())))
    assert seen[0] == seen[1]
    assert model.asked == 1
    assert journal.tally.taken == {"chat": 1}
    assert journal.tally.tokens["made-up"].total > 0, "known from the attempt before"
    assert journal.tally.spent.total == 0


async def test_a_stream_whose_response_is_more_than_its_updates() -> None:
    class Client(BaseChatClient):
        def _inner_get_response(
            self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
        ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
            asked.append(1)

            async def updates() -> AsyncIterator[ChatResponseUpdate]:
                yield ChatResponseUpdate(contents=[Content.from_text("hi")], role="assistant")

            final = ChatResponse(messages=Message("assistant", ["hi"]), conversation_id="kept-by-the-service")
            return ResponseStream(updates(), finalizer=lambda _: final)

    attempts, asked = Attempts(CATALOG), list[int]()
    for _ in range(2):
        with attempts.attempt():
            stream = Client().get_response([Message("user", ["?"])], stream=True)
            assert [update.text async for update in stream] == ["hi"]
            assert (await stream.get_final_response()).conversation_id == "kept-by-the-service"
    assert asked == [1]


async def test_a_stream_that_its_reader_leaves_is_no_end() -> None:
    attempts, model = Attempts(CATALOG), Model()
    client = _client(lambda prompt: model(prompt) and Reply("one two three"))
    for _ in range(2):
        with attempts.attempt() as journal:
            async with client.get_response([Message("user", ["?"])], stream=True) as stream:
                async for update in stream:
                    assert update.text == "one"
                    break
        assert not journal.packed
    assert model.asked == 2


async def test_what_a_reader_does_to_updates_is_not_kept() -> None:
    class Louder(ChatMiddleware):
        async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
            def shout(update: ChatResponseUpdate) -> ChatResponseUpdate:
                for content in update.contents:
                    if content.type == "text":
                        content.text = f"{content.text}!"
                return update

            context.stream_transform_hooks.append(shout)
            await call_next()

    attempts = Attempts(CATALOG)
    client = _client(lambda prompt: Reply("one two"), middleware=[Louder()])
    for _ in range(2):
        with attempts.attempt():
            stream = client.get_response([Message("user", ["?"])], stream=True)
            assert [update.text async for update in stream if update.text] == ["one!", " two!"]


async def test_equal_calls_beside_each_other_have_each_its_own_answer() -> None:
    attempts, answers = Attempts(CATALOG), iter(range(9))
    lost = [False]

    class Client(BaseChatClient):
        def _inner_get_response(
            self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
        ) -> Any:
            async def respond() -> ChatResponse:
                number = next(answers)
                await asyncio.sleep((0.03, 0.01, 0.02)[number % 3])  # They end in another order than they begin.
                return ChatResponse(messages=Message("assistant", [str(number)]))

            return respond()

    seen = []
    for _ in range(2):
        with attempts.attempt():
            found = await asyncio.gather(*(Client().get_response([Message("user", ["?"])]) for _ in range(3)))
            seen.append([response.text for response in found])
    assert seen == [["0", "1", "2"]] * 2
    assert lost == [False]


async def test_a_call_that_fails_leaves_its_place_to_the_one_that_tries_again() -> None:
    class Retry(ChatMiddleware):
        async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
            try:
                await call_next()
            except ConnectionError:
                await call_next()

    asked = []

    def script(prompt: Prompt) -> Reply:
        asked.append(1)
        if len(asked) == 1:
            raise ConnectionError("lost")
        return Reply("hi")

    attempts = Attempts(CATALOG)
    client = _client(script, middleware=[Retry()])
    for _ in range(2):
        with attempts.attempt():
            assert (await client.get_response([Message("user", ["?"])])).text == "hi"
    assert len(asked) == 2


async def test_polls_of_a_background_response_are_replayed_in_order() -> None:
    asked = []

    class Client(BaseChatClient):
        def _inner_get_response(
            self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
        ) -> Any:
            async def respond() -> ChatResponse:
                asked.append(options.get("continuation_token"))
                token = {"id": "job"} if len(asked) < 4 else None
                text = [] if token else ["done"]
                return ChatResponse(messages=[Message("assistant", text)], continuation_token=token)  # type: ignore[arg-type]

            return respond()

    attempts = Attempts(CATALOG)
    for _ in range(2):
        with attempts.attempt():
            response, polls = await Client().get_response([Message("user", ["?"])]), 0
            while response.continuation_token is not None:
                options: Any = {"continuation_token": response.continuation_token}
                response, polls = await Client().get_response([], options=options), polls + 1
            assert (response.text, polls) == ("done", 3)
    assert len(asked) == 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_that_raises_has_ended_and_raises_the_same_again(stream: bool) -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def fail() -> str:
        ran.append(1)
        raise ValueError(f"out of stock {len(ran)}")

    attempts, model = Attempts(CATALOG), Model(ToolCall("fail", {}), lost_at=1)
    agent = Agent(
        _client(model, function_invocation_configuration={"include_detailed_errors": True}), name="a", tools=[fail]
    )
    for number in range(2):
        with attempts.attempt():
            try:
                run = agent.run("?", stream=True).get_final_response() if stream else agent.run("?")
                text = (await run).text
            except LostError:
                assert number == 0
    assert text == "Error: Function failed. Exception: out of stock 1"
    assert (len(ran), model.asked) == (1, 2)


async def test_a_middleware_that_tries_a_tool_again_sees_each_outcome_again() -> None:
    class Retry(FunctionMiddleware):
        async def process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
            for _ in range(3):
                try:
                    await call_next()
                    break
                except ConnectionError as error:
                    caught.append(str(error))

    ran, caught = list[int](), list[str]()

    @tool(approval_mode="never_require")
    async def flaky() -> str:
        ran.append(1)
        if len(ran) < 3:
            raise ConnectionError(f"lost {len(ran)}")
        return "at last"

    attempts, model = Attempts(CATALOG), Model(ToolCall("flaky", {}), lost_at=1)
    agent = _agent(model, tools=[flaky], middleware=[Retry()])
    with pytest.raises(LostError), attempts.attempt():
        await agent.run("?")
    with attempts.attempt():
        assert (await agent.run("?")).text == "at last"
    assert len(ran) == 3
    assert caught == ["lost 1", "lost 2"] * 2


@pytest.mark.parametrize("in_doubt", ["again", "error"])
async def test_a_tool_that_came_to_nothing_is_not_in_doubt(in_doubt: Any) -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def guard() -> str:
        ran.append(1)
        if len(ran) == 1:
            raise MiddlewareFailure("stop")
        return "fine"

    attempts, model = Attempts(CATALOG, {"guard": ToolRule(in_doubt=in_doubt)}), Model(ToolCall("guard", {}))
    agent = _agent(model, tools=[guard])
    with pytest.raises(MiddlewareFailure), attempts.attempt() as journal:
        await agent.run("?")
    attempts.server.has = journal.packed  # The failure of an attempt has the whole of it.
    with attempts.attempt():
        assert (await agent.run("?")).text == "fine"
    assert model.asked == 2


async def test_arguments_that_are_refused_are_so_again() -> None:
    @tool(approval_mode="never_require")
    async def charge(amount: int) -> str:
        raise AssertionError

    rules = {"charge": ToolRule(in_doubt="error")}
    attempts, model = Attempts(CATALOG, rules), Model(ToolCall("charge", {"amount": "much"}), lost_at=1)
    agent = _agent(model, tools=[charge])
    with pytest.raises(LostError), attempts.attempt() as journal:
        await agent.run("?")
    attempts.server.has = journal.packed
    with attempts.attempt():
        assert (await agent.run("?")).text == "Error: Argument parsing failed."


class _Nothing(FunctionMiddleware):
    async def process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
        await call_next()


@pytest.mark.parametrize("middleware", [[], [_Nothing()]], ids=["alone", "with another"])
@pytest.mark.parametrize("kind", ["ends", "asks"])
async def test_a_tool_that_ends_the_loop_or_asks_does_so_again(kind: str, middleware: list[Any]) -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def stop() -> str:
        ran.append(1)
        if kind == "ends":
            raise MiddlewareTermination(result="enough")
        raise UserInputRequiredException([Content.from_oauth_consent_request(consent_link="https://example.com")])

    attempts, model = Attempts(CATALOG), Model(ToolCall("stop", {}))
    agent = _agent(model, tools=[stop], middleware=middleware)
    seen = []
    for number in range(3):
        with attempts.attempt() if number else nullcontext():  # At first in process.
            response = await agent.run("?")
            contents = [content for message in response.messages for content in message.contents]
            seen.append([content.to_dict(exclude={"id"}) for content in contents])
    assert seen[1] == seen[2]
    if kind == "asks" or not middleware:  # Else the framework shows a coroutine of its own, in process.
        assert seen[0] == seen[1]
    else:
        assert seen[1][-1]["result"] == "enough"
    assert ran == [1, 1]


async def test_what_tools_beside_each_other_leave_in_the_session_is_there_again() -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def note(text: str, delay: float, ctx: FunctionInvocationContext) -> str:
        assert ctx.session is not None
        ran.append(text)
        notes = ctx.session.state.setdefault("notes", [])
        await asyncio.sleep(delay)
        notes.append(text)
        ctx.session.state.pop("draft", None)
        return "ok"

    calls = [
        ToolCall("note", {"text": text, "delay": delay}) for text, delay in (("a", 0.03), ("b", 0.01), ("c", 0.02))
    ]
    attempts, model = Attempts(CATALOG), Model(*calls, lost_at=1)
    agent = _agent(model, tools=[note])
    for number in range(2):
        session = agent.create_session()
        session.state["draft"] = "x"
        with attempts.attempt():
            try:
                await agent.run("?", session=session)
            except LostError:
                assert number == 0
        assert session.state["notes"] == ["b", "c", "a"]
        assert "draft" not in session.state
    assert sorted(ran) == ["a", "b", "c"]


async def test_a_tool_that_changes_the_tools_of_its_run_runs_again() -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def late() -> str:
        ran.append("late")
        return "later"

    @tool(approval_mode="never_require")
    async def load(ctx: FunctionInvocationContext) -> str:
        ran.append("load")
        ctx.add_tools([late])
        return "loaded"

    def script(prompt: Prompt) -> Reply:
        asked.append(1)
        if len(asked) == 3:
            raise LostError
        calls = [Reply(calls=(ToolCall(name, {}),)) for name in ("load", "late")]
        return calls[len(prompt.tool_results)] if len(prompt.tool_results) < 2 else Reply("done")

    asked = list[int]()
    attempts = Attempts(CATALOG)
    agent = _agent(script, tools=[load])
    with pytest.raises(LostError), attempts.attempt():
        await agent.run("?")
    with attempts.attempt():
        assert (await agent.run("?")).text == "done"
    assert ran == ["load", "late", "load"]
    assert len(asked) == 4


async def test_a_limit_of_invocations_counts_those_that_were_taken() -> None:
    ran = []

    @tool(approval_mode="never_require", max_invocations=1)
    async def once_only(text: str) -> str:
        ran.append(text)
        return text

    def script(prompt: Prompt) -> Reply:
        if len(prompt.tool_results) < 2:
            return Reply(calls=(ToolCall("once_only", {"text": str(len(prompt.tool_results))}),))
        return Reply(prompt.tool_results[-1])

    for lost in (True, False):
        attempts = Attempts(CATALOG)
        for _ in range(2 if lost else 1):
            once_only.invocation_count = 0
            with attempts.attempt():
                assert (await _agent(script, tools=[once_only]).run("?")).text == "Error: Function failed."
    assert ran == ["0", "0"]


@pytest.mark.parametrize("stream", [False, True])
async def test_compaction_is_done_again_where_the_call_is_not(stream: bool) -> None:
    attempts, model = Attempts(CATALOG), Model()
    client = _client(lambda prompt: model(prompt) and Reply(f"{len(prompt.messages)} messages"))
    client.compaction_strategy = SlidingWindowStrategy(keep_last_groups=2)
    seen = []
    for _ in range(2):
        messages = [Message("user", [str(number)]) for number in range(6)]
        with attempts.attempt():
            if stream:
                response = await client.get_response(messages, stream=True).get_final_response()
            else:
                response = await client.get_response(messages)
        seen.append((response.text, [message.additional_properties.get("_excluded") for message in messages]))
        flags = [sorted(message.additional_properties) for message in messages]
        seen[-1] = (*seen[-1], flags)  # type: ignore[assignment]
    assert seen[0] == seen[1]
    assert seen[0][0] == "2 messages"
    assert model.asked == 1


async def test_a_call_in_doubt_is_told_to_the_model_and_is_no_error_of_the_loop() -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def charge() -> str:
        ran.append(1)
        raise LostError

    attempts, model = Attempts(CATALOG, {"charge": ToolRule(in_doubt="error")}), Model(ToolCall("charge", {}))
    client = _client(model, function_invocation_configuration={"max_consecutive_errors_per_request": 1})
    agent = Agent(client, name="a", tools=[charge])
    with pytest.raises(LostError), attempts.attempt():
        await agent.run("?")
    for _ in range(2):  # In every attempt after it the same.
        with attempts.attempt():
            assert (await agent.run("?")).text == OUTCOME_UNKNOWN
    assert (len(ran), model.asked) == (1, 2)


async def test_a_call_that_was_not_made_is_not_in_doubt() -> None:
    @tool(approval_mode="never_require")
    async def charge() -> str:
        return "charged"

    rules = {"charge": ToolRule(in_doubt="error")}
    attempts, model = Attempts(CATALOG, rules), Model(ToolCall("charge", {}), lost_at=0)
    agent = _agent(model, tools=[charge])
    with pytest.raises(LostError), attempts.attempt():
        await agent.run("?")
    with attempts.attempt():
        assert (await agent.run("?")).text == "charged"
    assert attempts.server.writes == 4, "two of the model, a beginning and an end of the tool"


async def test_a_call_that_begins_costs_nothing_where_it_may_run_again() -> None:
    @tool(approval_mode="never_require")
    async def look() -> str:
        return "seen"

    attempts, model = Attempts(CATALOG), Model(ToolCall("look", {}))
    with attempts.attempt():
        await _agent(model, tools=[look]).run("?")
    assert attempts.server.writes == 3, "two of the model, one of the tool"


async def test_nothing_is_kept_of_a_tool_whose_policy_says_so() -> None:
    ran = []

    @tool(approval_mode="never_require")
    async def look() -> str:
        ran.append(1)
        return "seen"

    attempts, model = Attempts(CATALOG, {"look": ToolRule(journal=False)}), Model(ToolCall("look", {}), lost_at=1)
    agent = _agent(model, tools=[look])
    with pytest.raises(LostError), attempts.attempt():
        await agent.run("?")
    with attempts.attempt():
        await agent.run("?")
    assert (len(ran), model.asked) == (2, 2)


async def test_outside_of_a_superstep_the_framework_works_as_it_does() -> None:
    attempts, model = Attempts(CATALOG), Model()
    client = _client(lambda prompt: model(prompt) and Reply("hi"), middleware=[])
    with attempts.attempt() as journal:
        await client.get_response([Message("user", ["?"])])
        task = asyncio.create_task(_later(client))
    pipeline = client._get_chat_middleware_pipeline([])
    assert not pipeline.has_middlewares
    assert pipeline is client._get_chat_middleware_pipeline([]), "it is kept"
    await task
    await asyncio.to_thread(lambda: asyncio.run(_ask(client)))
    assert model.asked == 3
    assert journal.tally.calls == {"chat": 1}


async def _later(client: ScriptedChatClient) -> None:
    """Outlive the superstep that has begun it, as the connection of an MCP server does."""
    await asyncio.sleep(0.01)
    assert current_scope() is None
    await _ask(client)


async def _ask(client: ScriptedChatClient) -> None:
    await client.get_response([Message("user", ["?"])])


async def test_a_tool_in_a_loop_of_its_own_calls_past_the_journal() -> None:
    model, inner = Model(ToolCall("nested", {})), Model()
    client = _client(lambda prompt: inner(prompt) and Reply("nested"))

    @tool(approval_mode="never_require")
    def nested() -> str:
        asyncio.run(_ask(client))
        return "ran"

    attempts = Attempts(CATALOG)
    for _ in range(2):
        with attempts.attempt():
            assert (await _agent(model, tools=[nested]).run("?")).text == "ran"
    assert (inner.asked, model.asked) == (1, 2)


@pytest.mark.parametrize("entry", [None, 1, [], ["returned", 1], [None, False, None], ["raised", "x", {}], [1, 2, 3]])
async def test_an_entry_that_is_none_is_done_again(entry: Any) -> None:
    @tool(approval_mode="never_require")
    async def look() -> str:
        return "seen"

    attempts, model = Attempts(CATALOG), Model(ToolCall("look", {}))
    agent = _agent(model, tools=[look])
    keys = list[tuple[Any, str]]()
    with attempts.attempt() as journal:
        end = journal.end

        async def noted(kind: Any, key: str, name: str, value: Any, **kwargs: Any) -> None:
            keys.append((kind, key))
            await end(kind, key, name, entry, **kwargs)

        journal.end = noted  # type: ignore[method-assign]
        await agent.run("?")
    assert len(keys) == 3
    with attempts.attempt() as journal:
        assert (await agent.run("?")).text == "seen"
    assert model.asked == 4
    assert not journal.tally.taken


async def test_the_result_of_an_mcp_server_is_the_same_with_what_lies_beside_it(tmp_path: Path) -> None:
    ledger = tmp_path / "sold"
    server = str(Path(__file__).with_name("_mcp_server.py"))
    attempts, model = Attempts(CATALOG), Model(ToolCall("sell", {"item": "pen"}), lost_at=1)
    async with MCPStdioTool(
        name="selling", command=sys.executable, args=[server, str(ledger)], load_prompts=False
    ) as selling:
        agent = _agent(model, tools=[selling])
        with pytest.raises(LostError), attempts.attempt():
            await agent.run("?")
        with attempts.attempt():
            taken = await agent.run("?")
        assert ledger.read_text() == "pen\n"
        model.asked = 0
        undisturbed = await agent.run("?")
    found, expected = (
        [content for message in response.messages for content in message.contents if content.type == "function_result"]
        for response in (taken, undisturbed)
    )
    assert [content.to_dict(exclude={"id"}) for content in found] == [
        content.to_dict(exclude={"id"}) for content in expected
    ]
    assert found[0].additional_properties["_meta"]["receipt"] == 7


_COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": '{"fine": true}', "refusal": None},
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}
_CHUNKS: list[dict[str, Any]] = [
    *({"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]} for text in ('{"fine"', ": true}")),
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": _COMPLETION["usage"]},
]


@asynccontextmanager
async def _provider(asked: list[Any]) -> AsyncIterator[str]:
    """Serve a provider of models by HTTP; yields its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = json.loads(await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0])))
        asked.append(body)
        kind, text = "application/json", json.dumps(_COMPLETION)
        if body.get("stream"):
            known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            sent = [json.dumps({**known, **chunk}) for chunk in _CHUNKS]
            kind, text = "text/event-stream", "".join(f"data: {line}\n\n" for line in [*sent, "[DONE]"])
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(text)}\r\nconnection: close"
        writer.write(f"{head}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_a_provider(stream: bool) -> None:
    attempts, asked = Attempts(CATALOG), list[Any]()
    seen = []
    async with _provider(asked) as address:
        client = OpenAIChatCompletionClient(model="m", api_key="none", base_url=address)
        options: Any = {"response_format": Verdict}
        agent = Agent(client, name="agent", default_options=options)
        for number in range(3):
            with attempts.attempt() if number else nullcontext():  # At first in process.
                updates = []
                if stream:
                    run = agent.run("?", stream=True)
                    updates = [update.to_dict() async for update in run]
                    response = await run.get_final_response()
                else:
                    response = await agent.run("?")
            assert response.value == Verdict(fine=True)
            seen.append((updates, response.to_dict()))
    assert seen[0] == seen[1] == seen[2]
    assert len(asked) == 2
