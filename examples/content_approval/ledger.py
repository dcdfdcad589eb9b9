"""The same workflow with a ledger: executors, models and tools note when they begin and end, in a file that stays.

The demo's worker hosts this one when it is going to be killed. A ledger shows what Temporal's history cannot: what a
worker did that did not live to report it, and what really ran again.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agent_framework import Agent, AgentExecutor, Executor, FunctionTool, Message, ResponseStream, Workflow

from . import workflow

LEDGER_VARIABLE = "CONTENT_APPROVAL_LEDGER"
_TOOL_SECONDS = 0.6
"""A tool that counts is done at once: here it takes its time, so that it has a middle to be killed in."""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    executor: str
    phase: Literal["begun", "ended"]
    pid: int
    kind: Literal["executor", "chat", "tool"] = "executor"
    call: str = ""
    """Names what was asked of a model or a tool."""


def content_approval() -> Workflow:
    """Build the workflow; its executors write to the file that CONTENT_APPROVAL_LEDGER names."""
    path = Path(os.environ[LEDGER_VARIABLE])
    built = workflow.content_approval()
    for executor in built.executors.values():
        _watch(executor, path)
        if isinstance(executor, AgentExecutor) and isinstance(executor.agent, Agent):
            _watch_model(executor.id, executor.agent.client, path)
            for tool in executor.agent.default_options.get("tools") or ():
                _watch_tool(executor.id, tool, path)
    return built


def read(path: Path) -> list[Entry]:
    """Return the entries so far, in the order in which they were written."""
    if not path.exists():
        return []
    return [Entry(**json.loads(line)) for line in path.read_text().splitlines()]


def _watch(executor: Executor, path: Path) -> None:
    execute: Callable[..., Awaitable[None]] = executor.execute

    @functools.wraps(execute)
    async def watched(*arguments: object, **options: object) -> None:
        with _noted(path, executor.id):
            await execute(*arguments, **options)

    # Executors of every kind are called through this method, those that run agents too.
    executor.execute = watched  # type: ignore[method-assign]


def _watch_model(executor: str, client: Any, path: Path) -> None:
    """Note what really goes to the model: what a provider's client implements, below all of the framework's layers."""
    respond: Callable[..., Any] = client._inner_get_response

    def watched(*, messages: Sequence[Message], stream: bool, **options: Any) -> Any:
        call = _digest([message.to_dict() for message in messages])
        if stream:
            response: ResponseStream[Any, Any] = respond(messages=messages, stream=True, **options)

            async def updates() -> AsyncIterator[Any]:
                with _noted(path, executor, "chat", call):
                    async for update in response:
                        yield update

            return ResponseStream(updates(), finalizer=lambda _: response.get_final_response())

        async def whole() -> Any:
            with _noted(path, executor, "chat", call):
                return await respond(messages=messages, stream=False, **options)

        return whole()

    client._inner_get_response = watched


def _watch_tool(executor: str, tool: FunctionTool, path: Path) -> None:
    work: Any = tool.func

    @functools.wraps(work)
    async def watched(**arguments: Any) -> Any:
        with _noted(path, executor, "tool", _digest([tool.name, arguments])):
            await asyncio.sleep(_TOOL_SECONDS)
            return work(**arguments)

    tool.func = watched


def _digest(asked: Any) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]


@contextmanager
def _noted(
    path: Path, executor: str, kind: Literal["executor", "chat", "tool"] = "executor", call: str = ""
) -> Iterator[None]:
    _append(Entry(executor, "begun", os.getpid(), kind, call), path)
    yield
    # Not in a `finally`: only what was carried through has ended.
    _append(Entry(executor, "ended", os.getpid(), kind, call), path)


def _append(entry: Entry, path: Path) -> None:
    line = f"{json.dumps(asdict(entry))}\n".encode()
    # One write of a short line in append mode: two workers never tear each other's, and SIGKILL cannot halve it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
