"""Classes of every kind that an executor declares, for the tests of pickling."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
)
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from pydantic import BaseModel, SecretStr

T = TypeVar("T")


class Colour(enum.Enum):
    RED = (255, 0, 0)
    CRIMSON = (255, 0, 0)  # noqa: PIE796 - an alias.
    BLUE = (0, 0, 255)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


class Grown(BaseModel):
    due: datetime.datetime
    colour: Colour = Colour.RED
    secret: SecretStr = SecretStr("hidden")


class Box(BaseModel, Generic[T]):
    content: T


@dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    tags: frozenset[str] = frozenset()


@dataclass
class Node:
    value: Any = None
    children: list[Node] = field(default_factory=list)

    class Inner(BaseModel):
        deep: int


class Shelf(dict[str, int]):
    """A subclass of a container, with an attribute of its own."""

    label = ""


class WithReduce:
    """Restored by its constructor, as its own __reduce__ asks for."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return WithReduce, (self.text,)


class Odd(Exception):
    def __init__(self, item: str, wanted: int) -> None:
        super().__init__(f"{wanted} of {item}")
        self.item = item


class Keeper(Executor):
    reduced: WithReduce | None = None
    shelf: Shelf | None = None

    @handler
    async def keep(self, node: Node | Slotted | WithReduce | Shelf, ctx: WorkflowContext[Box[Grown]]) -> None:
        """Declare the types."""


def build() -> Workflow:
    return WorkflowBuilder(name="keeper", start_executor=Keeper(id="keeper")).build()


CATALOG = TypeCatalog(build())
