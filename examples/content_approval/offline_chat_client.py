"""A deterministic chat client that needs no network, for running the example without a model account."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from agent_framework import (
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatOptions,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
    UsageDetails,
)
from agent_framework.observability import ChatTelemetryLayer

from .offline_personas import COUNT_TOOL, PERSONAS, Persona, Reply, reply

_WORDS_PER_PIECE = 3


class OfflineChatClient(
    FunctionInvocationLayer[ChatOptions[None]],
    ChatMiddlewareLayer[ChatOptions[None]],
    ChatTelemetryLayer[ChatOptions[None]],
    BaseChatClient[ChatOptions[None]],
):
    """Answers as one persona, from nothing but the conversation it is given.

    It stands where a provider's client stands: the framework's own layers run its tool calls, middleware and
    telemetry, and the same conversation always gets the same answer.
    """

    OTEL_PROVIDER_NAME: ClassVar[str] = "offline"

    def __init__(self, persona: Persona, *, delay: float = 0.0) -> None:
        """Create a client for `persona` that waits `delay` seconds before each streamed piece."""
        if persona not in PERSONAS:
            raise ValueError(f"Unknown persona {persona!r}; choose one of {', '.join(PERSONAS)}.")
        if delay < 0:
            raise ValueError(f"delay must not be negative, got {delay}.")
        super().__init__()
        self.persona: Persona = persona
        self.delay = delay
        self.model = f"offline-{persona}"

    def _inner_get_response(
        self,
        *,
        messages: Sequence[Message],
        stream: bool,
        options: Mapping[str, Any],
        **kwargs: Any,
    ) -> Awaitable[ChatResponse[Any]] | ResponseStream[ChatResponseUpdate, ChatResponse[Any]]:
        response = self._build_response_stream(
            self._updates(messages, options), response_format=options.get("response_format")
        )
        return response if stream else response.get_final_response()

    async def _updates(
        self, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> AsyncIterable[ChatResponseUpdate]:
        validated = await self._validate_options(options)
        answer = reply(self.persona, messages, can_count=_offers_counting(validated))
        # The conversation only grows, so its length names this turn the same way on every run.
        turn = f"{self.model}-{len(messages)}"
        contents = _contents(answer, call_id=f"call-{turn}")
        for index, content in enumerate(contents, start=1):
            if self.delay:
                await asyncio.sleep(self.delay)
            is_last = index == len(contents)
            yield ChatResponseUpdate(
                contents=[content, Content.from_usage(_usage(messages, answer))] if is_last else [content],
                role="assistant",
                message_id=turn,
                response_id=turn,
                model=self.model,
                finish_reason=_finish_reason(answer) if is_last else None,
            )
        await asyncio.sleep(0)  # A model is waited for: others go on meanwhile, here as on Temporal.


def _contents(answer: Reply, *, call_id: str) -> list[Content]:
    if answer.count is not None:
        return [Content.from_function_call(call_id, COUNT_TOOL, id=call_id, arguments={"text": answer.count})]
    words = re.findall(r"\S+\s*", answer.text)
    pieces = ("".join(words[i : i + _WORDS_PER_PIECE]) for i in range(0, len(words), _WORDS_PER_PIECE))
    return [Content.from_text(piece) for piece in pieces]


def _usage(messages: Sequence[Message], answer: Reply) -> UsageDetails:
    """Take a word for a token."""
    read = sum(len(message.text.split()) for message in messages)
    written = len((answer.text or answer.count or "").split())
    return UsageDetails(input_token_count=read, output_token_count=written, total_token_count=read + written)


def _finish_reason(answer: Reply) -> Literal["stop", "tool_calls"]:
    return "stop" if answer.count is None else "tool_calls"


def _offers_counting(options: Mapping[str, Any]) -> bool:
    choice = options.get("tool_choice")
    if choice == "none" or (isinstance(choice, Mapping) and choice.get("mode") == "none"):
        return False
    return any(getattr(tool, "name", None) == COUNT_TOOL for tool in options.get("tools") or ())
