"""A workflow whose executor raises errors of many kinds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from pydantic import BaseModel, field_validator


class Answer(BaseModel):
    """What a model is asked for."""

    n: int
    word: str = ""

    @field_validator("word")
    @classmethod
    def _is_lower(cls, word: str) -> str:
        if word != word.lower():
            raise ValueError("shouts")
        return word


class CodedError(ValueError):
    """Has more to say than its text."""

    def __init__(self, text: str, code: int = 5) -> None:
        super().__init__(text)
        self.code = code
        self.hints = {"retry": [1, 2]}
        self.client = object()


class NoArgumentsError(Exception):
    """Takes none, and says the same each time."""

    def __init__(self) -> None:
        super().__init__("fixed text")


class GroupError(ExceptionGroup[Exception]):
    """A group of one's own."""


def _task_group() -> Any:
    async def fails() -> None:
        raise CodedError("in a task", code=9)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            group.create_task(asyncio.sleep(0))

    return run()


def _raise(error: Exception) -> Any:
    raise error


RAISED: dict[str, Callable[[], Any]] = {
    "a failed response_format": lambda: Answer(n="x"),
    "a failed response_format in JSON": lambda: Answer.model_validate_json('{"n": [1], "word": "LOUD"}'),
    "no JSON at all": lambda: Answer.model_validate_json("nope"),
    "JSON": lambda: json.loads("{"),
    "bytes": lambda: b"a\xffb".decode(),
    "text": lambda: "\u20ac".encode("ascii"),
    "a task group": _task_group,
    "a group": lambda: _raise(ExceptionGroup("g", [ValueError("a"), ExceptionGroup("h", [KeyError("b")])])),
    "a group of one's own": lambda: _raise(GroupError("own", [OSError(2, "No such file", "x")])),
    "an error with attributes": lambda: _raise(CodedError("coded", code=9)),
    "an error without arguments": lambda: _raise(NoArgumentsError()),
    "a file": lambda: open("/nonexistent/x"),  # noqa: SIM115
    "nothing": lambda: _raise(RuntimeError()),
}


class Raising(Executor):
    """Raises what it is told to."""

    @handler
    async def go(self, what: str, ctx: WorkflowContext[Never, str]) -> None:
        result = RAISED[what]()
        if asyncio.iscoroutine(result):
            await result


def raising() -> Workflow:
    """Build the workflow."""
    return WorkflowBuilder(name="raising", start_executor=Raising(id="raising")).build()
