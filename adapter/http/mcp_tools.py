"""Workflows as tools of an MCP server: one begins a thread of each, one waits for a thread, one answers it."""

from __future__ import annotations

import asyncio
import functools
import operator
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from agent_framework import AgentResponse, Message, WorkflowEvent
from mcp import types
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..client.thread_facts import existing_thread
from ..errors import HostingError, ThreadNotFoundError
from ..framework.values import json_schema, preview
from .events import NOT_OF_THE_RUN
from .hosted import Hosted, ThreadCalls, Threads
from .problems import ProblemError, problem_of
from .requests import answer, pending_of
from .settings import ThreadSettings

_WAIT, _ANSWER = "wait_for_thread", "answer_request"
_LONGEST = 600.0
_READING = 30.0
"""For so long a thread that rests may be read."""
_Report: TypeAlias = Callable[[str], Awaitable[None]]
_ArgumentsT = TypeVar("_ArgumentsT", bound=BaseModel)


class _Waits(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    wait_seconds: float = Field(
        default=60, ge=0, le=_LONGEST, description="How long to wait for the run, which continues after that."
    )


class _Begin(_Waits):
    message: Any
    thread_id: str | None = Field(default=None, description="Continues an existing thread; a new one if omitted.")


class _Wait(_Waits):
    thread_id: str


class _Answer(_Wait):
    request_id: str
    response: Any = Field(description="Must match the request's `response_schema`.")


class WaitingRequest(BaseModel):
    """What a thread waits for."""

    request_id: str
    executor_id: str
    request: Any
    response_schema: dict[str, Any] | None


class ThreadOutcome(BaseModel):
    """Where a thread stands."""

    thread_id: str
    workflow: str
    state: Literal["running", "waiting", "paused", "idle", "failed"] = Field(
        description=f"running: call {_WAIT}; waiting: somebody has to answer its requests by {_ANSWER}."
    )
    outputs: list[Any] = Field(default=[], description="What it has output since its last message or response.")
    requests: list[WaitingRequest] = []
    error: str | None = Field(default=None, description="What the run failed with, or why it cannot be followed now.")


def build_server(settings: ThreadSettings, name: str, instructions: str | None) -> Server[Any]:
    """Return the server."""
    tools = _Tools(settings)
    return Server(name, instructions=instructions, on_list_tools=tools.list_tools, on_call_tool=tools.call_tool)


class _Tools:
    """The tools of some workflows.

    Args:
        settings: The workflows, and how their threads are reached.
    """

    def __init__(self, settings: ThreadSettings) -> None:
        self._client = settings.client
        self._threads = Threads(settings)

    async def list_tools(
        self, ctx: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Return the tools."""
        found = [_tool(name, _description(hosted), _Begin, hosted) for name, hosted in (await self._named()).items()]
        found.append(_tool(_WAIT, "Wait for a thread of a workflow, or get its state.", _Wait))
        found.append(_tool(_ANSWER, "Answer a request that a thread waits for, and wait for the thread.", _Answer))
        return types.ListToolsResult(tools=found)

    async def call_tool(
        self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Call a tool."""
        done = 0

        async def report(text: str) -> None:
            nonlocal done
            done += 1
            await ctx.session.report_progress(done, message=text)

        try:
            outcome = await self._call(params.name, params.arguments or {}, report)
        except Exception as error:
            problem = problem_of(error).problem
            return _result("\n".join([problem.detail, *(problem.errors or ())]), is_error=True)
        shown = outcome.model_dump(mode="json")
        return _result(outcome.model_dump_json(), is_error=outcome.error is not None, structured=shown)

    async def _named(self) -> Mapping[str, Hosted]:
        found: dict[str, Hosted] = {}
        for workflow, hosted in (await self._threads.hosted()).items():
            name = re.sub(r"[^A-Za-z0-9_-]", "_", workflow)[:64]
            if name in found or name in (_WAIT, _ANSWER):
                raise HostingError(
                    f"Workflow {workflow!r} and another one would both become the tool {name!r}: rename one of them."
                )
            found[name] = hosted
        return found

    async def _call(self, name: str, given: dict[str, Any], report: _Report) -> ThreadOutcome:
        if name == _WAIT:
            wait = _arguments(_Wait, given)
            calls = await self._calls(wait.thread_id)
            seconds = wait.wait_seconds
            if seconds < _READING and await _rests(calls):
                seconds = _READING  # There is nothing to wait for: it is only read.
            return await self._outcome(calls, seconds, report)
        if name == _ANSWER:
            answers = _arguments(_Answer, given)
            calls = await self._calls(answers.thread_id)
            await answer(calls, answers.request_id, answers.response, None)
            return await self._outcome(await self._calls(answers.thread_id), answers.wait_seconds, report)
        hosted = (await self._named()).get(name)
        if hosted is None:
            raise ProblemError(404, "tool-not-known", f"There is no tool {name[:200]!r}.")
        begin = _arguments(_Begin, given)
        return await self._outcome(await self._begin(hosted, begin), begin.wait_seconds, report)

    async def _begin(self, hosted: Hosted, begin: _Begin) -> ThreadCalls:
        if begin.message is None:
            raise ProblemError(422, "message-refused", "A message is any JSON except null.")
        hosted.check_message(begin.message)
        if begin.thread_id is None:
            handle = await self._threads.start(hosted, begin.message, None, None, streaming=False)
            return await self._calls(handle.thread_id)
        calls = await self._calls(begin.thread_id)
        if calls.facts.workflow_name != hosted.definition.name:
            raise _not_here(begin.thread_id)
        await calls.start(message=begin.message, streaming=False)
        return await self._calls(begin.thread_id)

    async def _calls(self, thread_id: str) -> ThreadCalls:
        facts = await existing_thread(self._client, thread_id)
        if facts.workflow_name not in await self._threads.hosted():
            raise _not_here(thread_id)
        return await self._threads.of_thread(facts)

    async def _outcome(self, calls: ThreadCalls, wait_seconds: float, report: _Report) -> ThreadOutcome:
        """Follow a thread until it rests, or as long as its caller waits."""
        facts = calls.facts
        found = ThreadOutcome(thread_id=facts.thread_id, workflow=facts.workflow_name, state="running")
        try:
            async with asyncio.timeout(wait_seconds), aclosing(calls.events(-1, calls.handle)) as events:
                async for event in events:
                    await _note(event, found.outputs, report)
        except TimeoutError:
            return found
        except NOT_OF_THE_RUN as error:
            # With the thread's id, by which the caller can look again.
            return found.model_copy(update={"error": problem_of(error).problem.detail})
        except Exception as error:
            found.error = f"{type(error).__name__}: {error}"
        facts = await existing_thread(self._client, facts.thread_id)
        pending = await pending_of(await self._threads.of_thread(facts))
        found.requests = [
            WaitingRequest(
                request_id=request.request_id,
                executor_id=request.executor_id,
                request=request.request,
                response_schema=request.response_schema,
            )
            for request in pending
        ]
        if found.error is not None:
            found.state = "failed"
        else:
            found.state = "idle" if not facts.is_open else "waiting" if pending else "paused"
        return found


async def _rests(calls: ThreadCalls) -> bool:
    """Tell whether a thread is over, or waits for people."""
    return not calls.facts.is_open or bool(await pending_of(calls))


async def _note(event: WorkflowEvent[Any], outputs: list[Any], report: _Report) -> None:
    if event.type == "started":
        outputs.clear()
    elif event.type == "output":
        outputs.append(_shown(event.data))
    elif event.type == "executor_invoked":
        await report(f"{event.executor_id} works")


def _shown(output: Any) -> Any:
    """Return an output as a model reads it best: words as text, and data as JSON."""
    if isinstance(output, AgentResponse | Message):
        return output.text
    if isinstance(output, list) and output and all(isinstance(item, Message) for item in output):
        return [item.text for item in output]
    return preview(output)[0]


def _arguments(model: type[_ArgumentsT], given: dict[str, Any]) -> _ArgumentsT:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors(include_input=False)]
        raise ProblemError(
            422, "arguments-refused", "The tool does not accept these arguments.", errors=places[:20]
        ) from error


def _not_here(thread_id: str) -> ThreadNotFoundError:
    return ThreadNotFoundError(f"There is no thread {thread_id[:200]!r} of the workflow: check its id.")


def _description(hosted: Hosted) -> str:
    what = hosted.workflow.description or f"Runs the workflow {hosted.definition.name}."
    return f"{what} Returns the thread's id, its outputs, and what it waits for."


def _tool(name: str, description: str, model: type[BaseModel], hosted: Hosted | None = None) -> types.Tool:
    schema = model.model_json_schema()
    if hosted is not None:
        # A reference in it begins at the root of the whole.
        message = dict(_message_schema(hosted))
        definitions = message.pop("$defs", None)
        schema["properties"]["message"] = {"title": "Message", **message}
        if definitions:
            schema["$defs"] = definitions
    return types.Tool(
        name=name,
        description=description,
        input_schema=schema,
        output_schema=ThreadOutcome.model_json_schema(),
    )


def _message_schema(hosted: Hosted) -> dict[str, Any]:
    kinds = [kind for kind in hosted.definition.catalog.input_types if json_schema(kind) is not None]
    return (json_schema(functools.reduce(operator.or_, kinds)) if kinds else None) or {}


def _result(text: str, *, is_error: bool, structured: dict[str, Any] | None = None) -> types.CallToolResult:
    content = types.TextContent(type="text", text=text)
    return types.CallToolResult(content=[content], structured_content=structured, is_error=is_error)
