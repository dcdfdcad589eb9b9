"""The form: a response as its JSON Schema says, from what a person writes."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.cli.form import Form
from agent_framework_temporal.adapter.cli.output import Output
from pydantic import BaseModel, Field, TypeAdapter
from temporalio.client import Client

from tests.cli._commands import MODULE, ROOT, Commands, environment
from tests.flows import Order, shop


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    city: str
    zip: int | None = None


class Wish(BaseModel):
    colour: Colour
    amount: int = Field(ge=1, le=9)
    gift: bool = False
    tags: list[str] = Field(default_factory=list)
    place: Place
    spare: Place | None = None
    weights: dict[str, float] = Field(default_factory=dict)


def _filled(annotation: Any, lines: list[str]) -> tuple[Any, list[str]]:
    rest: Iterator[str] = iter(lines)
    asked: list[str] = []

    def read(prompt: str) -> str:
        asked.append(prompt)
        return next(rest)

    schema = TypeAdapter(annotation).json_schema()
    value = Form(Output(as_json=True), schema, read).fill()
    assert list(rest) == [], asked
    return value, asked


def test_an_object_is_asked_field_by_field() -> None:
    lines = ["green", "red", "10", "two", "2", "", "a, b", "Kiel", "", "no", '{"a": 1.5}']
    value, asked = _filled(Wish, lines)
    wish = TypeAdapter(Wish).validate_python(value)
    assert wish == Wish(
        colour=Colour.RED, amount=2, tags=["a", "b"], place=Place(city="Kiel"), spare=None, weights={"a": 1.5}
    )
    assert asked[0] == "  colour (one of red, blue): "
    assert asked[2] == "  amount (whole number from 1 to 9): "
    assert "  place.city (text): " in asked


@pytest.mark.parametrize(
    ("annotation", "lines", "value"),
    [
        (bool, ["perhaps", "yes"], True),
        (str, ["ja"], "ja"),
        (int, ["x", "-3"], -3),
        (float, ["1.5"], 1.5),
        (list[int], ["1", "[1, 2]"], 1),
        (Any, ["{", '{"a": [1]}'], {"a": [1]}),
        (dict[str, int], ['{"a": 1}'], {"a": 1}),
    ],
)
def test_values(annotation: Any, lines: list[str], value: Any) -> None:
    if annotation == list[int]:
        lines, value = lines[1:], [1, 2]
    assert _filled(annotation, lines)[0] == value


async def test_respond_asks_in_a_terminal(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=checkpoint)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*MODULE, "respond", checkpoint.thread_id, "--stream"),
        cwd=ROOT,
        env=environment({"TEMPORAL_ADDRESS": cli.address, "TERM": "xterm"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = ""

    async def until(text: str) -> None:
        nonlocal seen
        async with asyncio.timeout(50):
            while text not in seen:
                seen += (await asyncio.to_thread(os.read, ours, 4096)).decode(errors="replace")

    try:
        await until("approved")
        os.write(ours, b"yes\n")
        await until("by (text)")
        os.write(ours, b"ann\n")
        await until("kettle approved by ann, order 1")
        assert await asyncio.wait_for(process.wait(), 50) == 0
    finally:
        if process.returncode is None:
            process.kill()
        os.close(ours)
    assert sys.platform != "win32"
