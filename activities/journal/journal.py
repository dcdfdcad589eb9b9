"""The journal of one superstep: what finished in it, in the order in which it did.

It only grows. Each entry is encoded and compressed once, when it is made, behind those before it; a heartbeat carries
all of them. An entry that the server has acknowledged is there for the next attempt, whatever becomes of this worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from ...adapter.encoding.decoding import loads
from ...adapter.encoding.document import max_checkpoint_bytes
from ...adapter.encoding.encoding import dumps
from ...adapter.errors import PayloadError
from ...adapter.framework.catalog import TypeCatalog
from .rules import JournalRules
from .stream import EntryStream, entries_of
from .tally import Tally, Tokens

_LOGGER = logging.getLogger("agent_framework_temporal.worker")

Kind: TypeAlias = Literal["chat", "tool", "once", "executor", "step"]
"""A call of a chat client, of a tool, of `once`; an executor's invocation; a step of a functional workflow."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an earlier attempt has left of something that had finished."""

    value: Any


class Writer(Protocol):
    """Brings the journal to the server."""

    async def write(self) -> None:
        """Return when the server has what the journal holds now; one round trip, shared by all who wait."""

    def write_soon(self) -> None:
        """Bring what the journal holds to the server soon, unless the superstep is over before."""


class Journal:
    """What has finished in one superstep, in this attempt and in those before it.

    Args:
        catalog: The types that may be stored.
        writer: Brings it to the server.
        rules: What is kept of whom.
        before: What the attempts before this one have left, in parts, oldest first: as `packed` and `spilled` gave it.
    """

    def __init__(self, catalog: TypeCatalog, writer: Writer, rules: JournalRules, before: Sequence[bytes] = ()) -> None:
        self._catalog = catalog
        self._writer = writer
        self.rules = rules
        self.tally = Tally()
        self.noted = 0
        """How many entries there are."""
        self._stream = EntryStream()
        self._spilled: list[bytes] = []
        self._spilled_size = 0
        self._finished: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self._begun: dict[tuple[str, str], int] = defaultdict(int)
        for text in (text for part in before for text in entries_of(part)):
            self._read(text)

    def take(self, kind: Kind, key: str) -> Taken | None:
        """Return what an earlier attempt has left of this, once for each time that it had finished; or None."""
        found = self._finished.get((kind, key))
        if not found:
            return None
        self.tally.took(kind)
        return Taken(found.popleft())

    def is_in_doubt(self, kind: Kind, key: str) -> bool:
        """Tell, once for each time, whether this had begun in an earlier attempt and nobody knows of its end.

        Ask when `take` has found nothing.
        """
        if self._begun.get((kind, key), 0) <= 0:
            return False
        self._begun[kind, key] -= 1
        return True

    async def begin(self, kind: Kind, key: str, name: str, *, durable: bool = False) -> None:
        """Note that something begins.

        Args:
            kind: What it is.
            key: Names it within the superstep: the same in each attempt.
            name: For people: of the tool, the executor.
            durable: Return when the server has it, which is one round trip; else it travels with what is written next.
        """
        await self._add([kind, key, name, False], durable=durable or None)

    async def end(
        self, kind: Kind, key: str, name: str, value: Any, *, tokens: Tokens | None = None, durable: bool = True
    ) -> None:
        """Note that something has finished, and what came of it.

        What cannot be stored is done again in the next attempt; a warning says so.

        Args:
            kind: What it is.
            key: Names it within the superstep.
            name: For people.
            value: What came of it; any value that a checkpoint may hold.
            tokens: What it cost.
            durable: Return when the server has it, which is one round trip; else it is written soon.
        """
        executor_id = current_executor()
        self.tally.made(kind, executor_id, tokens)
        usage = None if tokens is None else tokens.as_list()
        await self._add([kind, key, name, True, value, executor_id, usage], durable=durable)

    async def withdraw(self, kind: Kind, key: str, name: str) -> None:
        """Note that something that had begun has come to nothing: it is neither finished nor in doubt.

        Args:
            kind: What it is.
            key: Names it within the superstep.
            name: For people.
        """
        await self._add([kind, key, name, None], durable=False)

    @property
    def packed(self) -> bytes:
        """What a heartbeat carries, compressed; empty where nothing was noted."""
        return self._stream.packed

    @property
    def packed_size(self) -> int:
        """Size of `packed`."""
        return self._stream.packed_size

    def spilled(self) -> bytes:
        """Hand over all entries, compressed, for a heartbeat to carry a reference to them; it goes on without them."""
        packed = self._stream.packed
        self._spilled_size += self._stream.size
        self._spilled += self._stream.take_all()
        return packed

    def fit(self, most: int) -> None:
        """Drop the oldest entries until the rest packs to so many bytes; a warning says so."""
        dropped = self._stream.keep_newest(most)
        if dropped:
            self._drop(dropped)

    def whole(self, most: int) -> bytes:
        """Return the newest entries that pack to so many bytes, with those that were handed over, for a failure."""
        stream = EntryStream()
        for text in (*self._spilled, *self._stream):
            stream.append(text)
        dropped = stream.keep_newest(most)
        if dropped:
            self._drop(dropped)
        return stream.packed

    def newest(self, most: int) -> bytes:
        """Return the newest entries that pack to so many bytes, with those that were handed over, for people."""
        stream = EntryStream()
        for text in (*self._spilled, *self._stream):
            stream.append(text)
        stream.keep_newest(most)
        return stream.packed

    def will_do(self, kind: Kind, name: str) -> None:
        """Be told that something is done now which no attempt before has left; a journal of another kind refuses it.

        Args:
            kind: What it is.
            name: For people.
        """

    def _drop(self, count: int) -> None:
        if not self.tally.dropped:
            _LOGGER.warning(
                "A superstep's journal has no room for its oldest entries: what they say is done again if this attempt "
                "is lost. Give the client's data converter external storage, or divide the superstep."
            )
        self.tally.dropped += count

    async def _add(self, entry: list[Any], *, durable: bool | None) -> None:
        try:
            text = dumps(entry, self._catalog)
        except PayloadError as error:
            _LOGGER.warning(
                "What %s %r has come to cannot be kept, so that it is done again if this attempt is lost: %s",
                entry[0],
                entry[2],
                error,
            )
            return
        self._append(text)
        if durable:
            await self._writer.write()
        elif durable is not None:
            self._writer.write_soon()

    def _append(self, text: bytes) -> None:
        self._stream.append(text)
        self.noted += 1
        if self._stream.size + self._spilled_size > max_checkpoint_bytes():
            if self._spilled:
                self._drop(len(self._spilled))
                self._spilled, self._spilled_size = [], 0
            else:
                self.fit(self.packed_size // 2)

    def _read(self, text: bytes) -> None:
        """Take over an entry of an earlier attempt; one that cannot be read is done again."""
        try:
            kind, key, _name, ended, *rest = loads(text, self._catalog)
            place = (str(kind), str(key))
            if not ended:
                self._begun[place] += -1 if ended is None else 1
            else:
                value, executor_id, usage = rest
                self._finished[place].append(value)
                self._begun[place] -= 1
                self.tally.known(executor_id, Tokens.of_list(usage))
        except (PayloadError, ValueError, TypeError) as error:
            _LOGGER.warning("An entry of a superstep's journal cannot be read, and is done again: %s", error)
            return
        self._append(text)


def newest(parts: Iterable[bytes], most: int) -> bytes:
    """Return the newest entries of a journal in parts that pack to so many bytes together."""
    stream = EntryStream()
    for text in (text for part in parts for text in entries_of(part)):
        stream.append(text)
    stream.keep_newest(most)
    return stream.packed


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose call it is that runs: the invocation of an executor, and the journal of its superstep."""

    journal: Journal
    key: str = ""
    """Names the invocation within the superstep; keys of what it calls begin with it."""
    executor_id: str | None = None
    """The executor's path: within a sub-workflow after the id of the executor around it, with a slash between."""


class _Entered:
    """A scope as long as it lasts: tasks that outlive it, such as those of an MCP server's connection, keep it."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope | None = scope
        self.loop = _running_loop()


_scope: ContextVar[_Entered | None] = ContextVar("agent_framework_temporal_journal", default=None)


def current_scope() -> Scope | None:
    """Return whose call it is that runs.

    None outside of a superstep with a journal, in a task that has outlived the invocation it was begun in, and in
    another event loop, where nobody can wait for the server: a tool's that runs in a thread, say.
    """
    entered = _scope.get()
    if entered is None or _running_loop() not in (None, entered.loop):
        return None
    return entered.scope


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def current_executor() -> str | None:
    """Return the path of the executor that runs."""
    scope = current_scope()
    return scope.executor_id if scope is not None else None


@contextlib.contextmanager
def journalled(scope: Scope | None) -> Iterator[None]:
    """Let what the body calls be noted there."""
    entered = None if scope is None else _Entered(scope)
    token = _scope.set(entered)
    try:
        yield
    finally:
        if entered is not None:
            entered.scope = None
        _scope.reset(token)
