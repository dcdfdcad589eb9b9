"""What travels between a superstep and an invocation that runs elsewhere, as a frame: the values of a checkpoint."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent_framework import WorkflowEvent

from ...adapter.checkpoints.frames import Frame, packed, unpacked
from ...adapter.encoding.decoding import decoded
from ...adapter.encoding.encoding import dumps
from ...adapter.errors import PayloadError
from ...adapter.framework.catalog import TypeCatalog
from ...adapter.framework.static import type_key

Step: TypeAlias = list[Any]
"""A number, which says in which order things were done; what was done; with what."""
EVENTS = frozenset({"event", "request"})
"""Steps whose one argument is an event."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an invocation is given."""

    message: Any
    sources: list[str]
    state: dict[str, Any]
    own: dict[str, Any]
    """The executor's state."""

    async def framed(self, catalog: TypeCatalog) -> bytes:
        """Return it as a frame.

        Raises:
            PayloadError: When some of it cannot travel.
        """
        return await _framed([self.message, self.sources, self.state, self.own], catalog)

    @classmethod
    async def of(cls, frame: bytes, catalog: TypeCatalog) -> Given:
        """Read what `framed` gave.

        Raises:
            PayloadError: For anything else.
        """
        values = await _values(frame, catalog)
        if len(values) == 4:
            message, sources, state, own = values
            if isinstance(sources, list) and isinstance(state, dict) and isinstance(own, dict):
                return cls(message, [str(source) for source in sources], state, own)
        raise PayloadError("This is not what an invocation is given.")


@dataclass(frozen=True, slots=True)
class Did:
    """What an invocation has done."""

    steps: list[Step]
    own: dict[str, Any] | None = None
    """The executor's state afterwards; None of an invocation that has failed."""

    async def framed(self, catalog: TypeCatalog) -> bytes:
        """Return it as a frame.

        Raises:
            PayloadError: When some of it cannot travel.
        """
        return await _framed([[_plain(step) for step in self.steps], self.own], catalog)

    @classmethod
    async def of(cls, frame: bytes, catalog: TypeCatalog) -> Did:
        """Read what `framed` gave.

        Raises:
            PayloadError: For anything else.
        """
        values = await _values(frame, catalog)
        if len(values) == 2:
            steps, own = values
            if isinstance(steps, list) and all(map(_is_step, steps)) and (own is None or isinstance(own, dict)):
                for step in steps:
                    _restore_class(step, catalog)
                return cls(steps, own)
        raise PayloadError("This is not what an invocation has done.")


def _plain(step: Step) -> Step:
    """Return a step whose event is of the framework's class, with the key of its own, undeclared one."""
    event = step[2] if step[1] in EVENTS and len(step) == 3 else None
    if event is None or type(event) is WorkflowEvent:
        return step
    plain = copy.copy(event)
    plain.__class__ = WorkflowEvent
    return [*step[:2], plain, type_key(type(event))]


def _restore_class(step: Step, catalog: TypeCatalog) -> None:
    if step[1] not in EVENTS or len(step) != 4:
        return
    key = step.pop()
    cls = catalog.event_class(key) if isinstance(key, str) else None
    if cls is not None:
        step[2].__class__ = cls


def _is_step(step: Any) -> bool:
    if not (isinstance(step, list) and len(step) >= 2 and isinstance(step[0], int) and isinstance(step[1], str)):
        return False
    return step[1] not in EVENTS or (len(step) > 2 and isinstance(step[2], WorkflowEvent))


async def _framed(values: list[Any], catalog: TypeCatalog) -> bytes:
    data, _ = await packed(Frame(checkpoint=dumps(values, catalog), payloads=b""), None)
    return data


async def _values(frame: bytes, catalog: TypeCatalog) -> list[Any]:
    values = await decoded((await unpacked(frame, None)).checkpoint, catalog) if frame else None
    return values if isinstance(values, list) else []
