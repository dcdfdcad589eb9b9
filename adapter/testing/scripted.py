"""A chat client that needs no model: its answer, ids included, is a function of the conversation it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
    UsageDetails,
)
from agent_framework.observability import ChatTelemetryLayer

from .exported import exported_for_tests

_CREATED_AT = "2025-01-01T00:00:00Z"
_MODEL = "scripted-1"
_WAITS = 20
"""Turns of the event loop that a model takes: counted, so that what runs beside it comes in the same order always."""


@exported_for_tests
@dataclass(frozen=True)
class ToolCall:
    """A tool call the model asks for."""

    name: str
    """Name of the tool."""
    arguments: Mapping[str, Any]
    """What it is called with."""


@exported_for_tests
@dataclass(frozen=True)
class Reply:
    """What the model answers: text, tool calls, or both."""

    text: str = ""
    """What it says."""
    calls: tuple[ToolCall, ...] = ()
    """The tools it calls."""
    seconds: float = 0.0
    """How long the model takes; a streamed text comes word by word over this time."""


@exported_for_tests
@dataclass(frozen=True)
class Prompt:
    """What the model is sent."""

    messages: tuple[Message, ...]
    """The conversation."""
    instructions: str
    """The agent's instructions."""
    kwargs: Mapping[str, Any]
    """The options of the call."""

    @property
    def texts(self) -> list[str]:
        """The text of every message that has some."""
        return [message.text for message in self.messages if message.text]

    @property
    def user_texts(self) -> list[str]:
        """The text of every message of the user."""
        return [message.text for message in self.messages if message.role == "user" and message.text]

    @property
    def tool_results(self) -> list[str]:
        """The results of the tool calls since the last message of the user that has text."""
        results: list[str] = []
        for message in self.messages:
            if message.role == "user" and message.text:
                results.clear()
            results.extend(str(content.result) for content in message.contents if content.type == "function_result")
        return results


Script = Callable[[Prompt], Reply]


class _RawScriptedChatClient(BaseChatClient):
    """The client without the layers for tools, middleware and telemetry."""

    OTEL_PROVIDER_NAME: ClassVar[str] = "scripted"
    DEFAULT_EXCLUDE: ClassVar[set[str]] = {*BaseChatClient.DEFAULT_EXCLUDE, "script"}

    def __init__(self, *, name: str, script: Script, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.script = script

    def _inner_get_response(
        self,
        *,
        messages: Sequence[Message],
        stream: bool,
        options: Mapping[str, Any],
        **kwargs: Any,
    ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
        prompt = Prompt(tuple(messages), str(options.get("instructions") or ""), kwargs)
        if stream:
            return self._build_response_stream(self._stream(prompt), response_format=options.get("response_format"))
        return self._respond(prompt, options.get("response_format"))

    async def _respond(self, prompt: Prompt, response_format: Any) -> ChatResponse:
        reply, digest = self.script(prompt), _digest(self.name, prompt)
        await _wait(reply.seconds)
        texts = [Content.from_text(reply.text)] if reply.text else []
        calls = [
            Content.from_function_call(call_id, call.name, arguments=json.dumps(call.arguments), id=call_id)
            for call_id, call in _identified(reply, digest)
        ]
        return ChatResponse(
            messages=Message("assistant", [*texts, *calls], message_id=f"msg-{digest}"),
            response_id=f"resp-{digest}",
            model=_MODEL,
            created_at=_CREATED_AT,
            finish_reason="tool_calls" if reply.calls else "stop",
            usage_details=_usage(prompt, reply),
            response_format=response_format,
        )

    async def _stream(self, prompt: Prompt) -> AsyncIterable[ChatResponseUpdate]:
        reply, digest = self.script(prompt), _digest(self.name, prompt)
        words = reply.text.split(" ")
        for word in words if reply.text else []:
            if reply.seconds:
                await asyncio.sleep(reply.seconds / len(words))
            yield _update(digest, Content.from_text(word if reply.text.startswith(word) else f" {word}"))
        for call_id, call in _identified(reply, digest):
            arguments = json.dumps(call.arguments)
            middle = len(arguments) // 2
            yield _update(
                digest, Content.from_function_call(call_id, call.name, arguments=arguments[:middle], id=call_id)
            )
            yield _update(
                digest, Content.from_function_call(call_id, call.name, arguments=arguments[middle:], id=call_id)
            )
        yield _update(
            digest,
            Content.from_usage(_usage(prompt, reply)),
            finish_reason="tool_calls" if reply.calls else "stop",
        )
        await _wait(0.0 if reply.text else reply.seconds)


@exported_for_tests
class ScriptedChatClient(FunctionInvocationLayer, ChatMiddlewareLayer, ChatTelemetryLayer, _RawScriptedChatClient):
    """The client with every layer a provider's client has."""


@exported_for_tests
def scripted_agent(name: str, script: Script, **kwargs: Any) -> Agent:
    """Build an agent that answers by ``script``; its id is its name, since the default one is random."""
    return Agent(ScriptedChatClient(name=name, script=script), id=name, name=name, **kwargs)


async def _wait(seconds: float) -> None:
    """Let what goes on beside it go on, as each client does that waits for a model.

    On Temporal a call that is journalled waits for the server, so that what needs no model is done before it there too.
    """
    for _ in range(_WAITS):
        await asyncio.sleep(0)
    if seconds:
        await asyncio.sleep(seconds)


def _update(digest: str, content: Content, **kwargs: Any) -> ChatResponseUpdate:
    return ChatResponseUpdate(
        contents=[content],
        role="assistant",
        response_id=f"resp-{digest}",
        message_id=f"msg-{digest}",
        model=_MODEL,
        created_at=_CREATED_AT,
        **kwargs,
    )


def _identified(reply: Reply, digest: str) -> list[tuple[str, ToolCall]]:
    return [(f"call-{digest}-{index}", call) for index, call in enumerate(reply.calls)]


def _usage(prompt: Prompt, reply: Reply) -> UsageDetails:
    read = sum(len(text.split()) for text in prompt.texts)
    written = len(reply.text.split()) + len(reply.calls)
    return UsageDetails(input_token_count=read, output_token_count=written, total_token_count=read + written)


def _digest(name: str, prompt: Prompt) -> str:
    seen = [
        [
            message.role,
            message.author_name,
            [
                [content.type, content.text, content.call_id, content.name, str(content.result), str(content.approved)]
                for content in message.contents
            ],
        ]
        for message in prompt.messages
    ]
    return hashlib.sha256(json.dumps([name, prompt.instructions, seen]).encode()).hexdigest()[:12]
