"""The journal of one superstep: what finished in it, in the order in which it did.

It only grows. Each entry is encoded and compressed once, when it is made, behind those before it; a heartbeat carries
all of them. An entry that the server has acknowledged is there for the next attempt, whatever becomes of this worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, Protocol, TypeAlias

from ...adapter.encoding.decoding import loads
from ...adapter.encoding.document import max_checkpoint_bytes
from ...adapter.encoding.encoding import dumps
from ...adapter.errors import PayloadError
from ...adapter.framework.catalog import TypeCatalog
from ...adapter.framework.static import type_key
from ...workflows.messages import Calls
from .rules import JournalRules
from .stream import EntryStream, entries_of
from .tally import Tally, Tokens

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_DIGEST_BYTES = 16

Kind: TypeAlias = Literal["chat", "tool", "once", "executor", "step", "elsewhere"]
"""A call of a chat client, of a tool, of `once`; an executor's invocation; a step of a functional workflow; what an
invocation that ran elsewhere has called."""


Place: TypeAlias = tuple[str, str]
"""Kind and key."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an earlier attempt has left of something that had finished."""

    value: Any


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of something that had begun."""

    executor_id: str
    """Whose path."""
    call: str
    """Name of the call; empty of an invocation as a whole."""
    asks: bool
    """Whether a person is asked if its end is never known."""
    attempt: int
    at: str

    @classmethod
    def of(cls, found: Any) -> Beginning:
        """Read what `as_list` gave.

        Raises:
            ValueError: For anything else.
        """
        executor_id, call, asks, attempt, at = found
        return cls(str(executor_id), str(call), asks is True, int(attempt), str(at))

    def as_list(self) -> list[Any]:
        """Return it as an entry holds it."""
        return [self.executor_id, self.call, self.asks, self.attempt, self.at]


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
        self.tally: Tally = Tally()
        self.noted: int = 0
        """How many entries there are."""
        self._stream = EntryStream()
        self._spilled: list[bytes] = []
        self._spilled_size = 0
        self._finished: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self._begun: dict[tuple[str, str], int] = defaultdict(int)
        self._notes: dict[tuple[str, str], Beginning] = {}
        self._told: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._refused: set[tuple[str, str]] = set()
        self._likes: Counter[str] = Counter()
        self._calling: set[str] = set()
        self._unnamed: list[Name] = []
        self.is_new: bool = not any(before)
        """Whether no attempt before has left anything."""
        self.beside: dict[type[Any], Any] = {}
        """What belongs to this superstep beside it."""
        for text in (text for part in before for text in entries_of(part)):
            self._read(text)

    def next(self) -> Journal:
        """Return the journal of the next superstep of a burst, which has nothing yet."""
        return Journal(self._catalog, self._writer, self.rules)

    def take(self, kind: Kind, key: str, *, counted: bool = True) -> Taken | None:
        """Return what an earlier attempt has left of this, once for each time that it had finished; or None.

        Args:
            kind: What it is.
            key: Names it within the superstep.
            counted: Whether it is good whatever it is; else who takes it counts it once it has proved so.
        """
        found = self._finished.get((kind, key))
        if not found:
            return None
        if counted:
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

    def digest(self, value: Any) -> str:
        """Return what tells a value from others; of one that cannot be stored its type.

        Taken of a copy, always: what the value was is known later by the copy that the framework makes of it.
        """
        try:
            text = dumps(_copied(value), self._catalog)
        except PayloadError:
            text = type_key(type(value)).encode()
        return blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()

    def nth(self, key: str) -> int:
        """Count those in this attempt that have a key, and nothing else to tell them apart, from 1."""
        self._likes[key] += 1
        return self._likes[key]

    def finished(self, kind: Kind) -> Iterator[tuple[str, Any]]:
        """Yield key and value of what earlier attempts have left, oldest first; it is left to be taken."""
        for (found, key), values in self._finished.items():
            if found == kind:
                for value in values:
                    yield key, value

    def name_later(self, name: Name) -> None:
        """Take note of an invocation whose name may never be asked for."""
        self._unnamed.append(name)

    def name_all(self) -> None:
        """Name the invocations that have come so far, in their order."""
        unnamed, self._unnamed = self._unnamed, []
        for name in unnamed:
            name.find()

    def forget_names(self) -> None:
        """Let go of the messages by which invocations would have been named, as the superstep is over."""
        for name in self._unnamed:
            name.message = None
        self._unnamed = []

    def has_calls(self, scope: Scope) -> bool:
        """Tell whether an invocation has finished a call in this attempt."""
        return bool(self._calling) and scope.key in self._calling

    def beginning(self, kind: str, key: str) -> Beginning | None:
        """Return what is known of the begin of something in doubt."""
        return self._notes.get((kind, key))

    def refuse(self, kind: str, key: str) -> None:
        """Note that a person has said that something in doubt is not to run again."""
        self._refused.add((kind, key))

    def is_refused(self, kind: Kind, key: str) -> bool:
        """Tell whether a person has said that this is not to run again."""
        return (kind, key) in self._refused

    def was_told(self, kind: Kind, key: str, within: str) -> bool:
        """Tell whether people have been told that this is in doubt, in another activity than `within`."""
        return bool(self._told.get((kind, key), set()) - {within})

    def to_ask(self, scope: Scope) -> Place | None:
        """Return something that a person is asked about: what an invocation, or one below it, had begun.

        The last that had begun, as a call says more than the invocation that makes it.
        """
        if not self._notes:
            return None
        key = scope.key
        places = [place for place, note in self._notes.items() if note.asks and self._is_open(place, key)]
        return places[-1] if places else None

    def kept(self, key: str, asked: Place) -> list[list[Any]]:
        """Return all there is of an invocation that is to be done again later, for `adopt`.

        Args:
            key: Its key.
            asked: What a person is asked about, which is not in doubt any more then, nor are the invocations it is in.
        """
        ended = [
            [kind, name.removeprefix(key), value, None]
            for (kind, name), values in self._finished.items()
            if name.startswith(key)
            for value in values
        ]
        begun = [
            [place[0], place[1].removeprefix(key), None, note.as_list()]
            for place, note in self._notes.items()
            if place != asked and not _is_around(place, asked) and self._is_open(place, key)
        ]
        return ended + begun

    async def adopt(self, key: str, kept: list[list[Any]]) -> None:
        """Let the invocation with a key go on from what an earlier one had come to."""
        for kind, name, value, note in kept:
            place = (str(kind), key + str(name))
            if note is None:
                self._finished[place].append(value)
                await self._add([*place, "", True, value, None, None], durable=None)
            else:
                self._begun[place] += 1
                self._notes[place] = Beginning.of(note)
                await self._add([*place, "", False, note], durable=None)

    def _is_open(self, place: Place, key: str) -> bool:
        return place[1].startswith(key) and self._begun.get(place, 0) > 0

    async def withdraw(
        self, kind: Kind, key: str, name: str, *, durable: bool = False, told_within: str | None = None
    ) -> None:
        """Note that something that had begun has come to nothing: it is neither finished nor in doubt.

        Args:
            kind: What it is.
            key: Names it within the superstep.
            name: For people.
            durable: Return when the server has it, which is one round trip; else it is written soon.
            told_within: Instead, that people are told of the doubt: the activity that does. Only another one may run
                it again, which somebody starts who has been told.
        """
        if told_within is None:
            await self._add([kind, key, name, None], durable=durable)
        else:
            await self._add([kind, key, name, None, told_within], durable=None)

    async def begin(
        self, kind: Kind, key: str, name: str, *, durable: bool = False, note: Beginning | None = None
    ) -> None:
        """Note that something begins.

        Args:
            kind: What it is.
            key: Names it within the superstep: the same in each attempt.
            name: For people: of the tool, the executor.
            durable: Return when the server has it, which is one round trip; else it travels with what is written next.
            note: What a person is told if its end is never known.
        """
        known = [] if note is None else [note.as_list()]
        await self._add([kind, key, name, False, *known], durable=durable or None)

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
        scope, executor_id = current_scope(), current_executor()
        if scope is not None and kind != "executor":
            self._calling.add(scope.key)
        self.tally.made(kind, executor_id, tokens)
        usage = None if tokens is None else tokens.as_list()
        await self._add([kind, key, name, True, value, executor_id, usage], durable=durable)

    async def called_elsewhere(self, key: str, name: str, calls: Calls) -> None:
        """Count what an invocation has called that ran elsewhere: once, in whichever attempt it is told of first.

        Args:
            key: Names the invocation.
            name: For people: of the executor.
            calls: What it has called.
        """
        if self.take("elsewhere", key, counted=False) is None:
            self.tally.add(calls)
            await self._add(["elsewhere", key, name, True, None, None, None], durable=None)

    async def left_elsewhere(self, key: str, name: str, journal: bytes) -> None:
        """Keep the journal of an invocation that ran elsewhere and has failed, for when it runs again.

        Args:
            key: Names the invocation within the superstep.
            name: For people: of the executor.
            journal: What it has left; empty for nothing.
        """
        if journal:
            await self._add(["elsewhere", f"{key}:left", name, True, journal, None, None], durable=None)

    def take_elsewhere(self, key: str) -> bytes:
        """Return what `left_elsewhere` has kept in an earlier attempt; empty where there is nothing."""
        found = self.take("elsewhere", f"{key}:left", counted=False)
        return found.value if found is not None and isinstance(found.value, bytes) else b""

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
                "A superstep's journal has no room for its oldest entries, so what they record is repeated if this "
                "attempt is lost. Configure external storage on the client's data converter, or split the superstep."
            )
        self.tally.dropped += count

    async def _add(self, entry: list[Any], *, durable: bool | None) -> None:
        try:
            text = dumps(entry, self._catalog)
        except PayloadError as error:
            _LOGGER.warning(
                "The result of %s %r cannot be kept, so it is repeated if this attempt is lost: %s",
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
            if ended is None:
                if rest:
                    self._told[place].add(str(rest[0]))
                else:
                    self._begun[place] -= 1
            elif not ended:
                self._begun[place] += 1
                if rest:
                    self._notes[place] = Beginning.of(*rest)
            else:
                value, executor_id, usage = rest
                self._finished[place].append(value)
                self._begun[place] -= 1
                self.tally.known(executor_id, Tokens.of_list(usage))
        except (PayloadError, ValueError, TypeError) as error:
            _LOGGER.warning(
                "An entry of a superstep's journal cannot be read, so what it recorded is repeated: %s", error
            )
            return
        self._append(text)


def _is_around(place: Place, asked: Place) -> bool:
    """Tell whether a place is an invocation's that another place is in: keys of what it calls begin with its own."""
    return place[0] == "executor" and asked[1].startswith(place[1])


def newest(parts: Iterable[bytes], most: int) -> bytes:
    """Return the newest entries of a journal in parts that pack to so many bytes together."""
    stream = EntryStream()
    for text in (text for part in parts for text in entries_of(part)):
        stream.append(text)
    stream.keep_newest(most)
    return stream.packed


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # The framework says so, as it copies each message too.
        return value


class Name:
    """What names an invocation within a superstep, found when somebody asks: of one that calls nothing, nobody does.

    Args:
        find: Finds it, given the message as it came.
        message: The message, until the executor may change it.
    """

    def __init__(self, find: Callable[[Any], str], message: Any) -> None:
        self._find = find
        self.message: Any = message
        self._found: str | None = None

    def find(self) -> str:
        """Return it."""
        if self._found is None:
            self._found = self._find(self.message)
            self.message = None
        return self._found


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose call it is that runs: the invocation of an executor, and the journal of its superstep."""

    journal: Journal
    name: str | Name = ""
    executor_id: str | None = None
    """The executor's path: within a sub-workflow after the id of the executor around it, with a slash between."""
    is_inner: bool = False
    """Whether the executor is one of a sub-workflow."""

    @property
    def key(self) -> str:
        """Names the invocation within the superstep; keys of what it calls begin with it."""
        if isinstance(self.name, str):
            return self.name
        self.journal.name_all()
        return self.name.find()


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


def enter(scope: Scope) -> Callable[[], None]:
    """Let what runs in this context from now on be noted there; what is returned ends it, and need not be called."""
    before, entered = _scope.get(), _Entered(scope)
    _scope.set(entered)

    def leave() -> None:
        entered.scope = None
        _scope.set(before)

    return leave


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
        if scope is not None and scope.executor_id is None:
            scope.journal.forget_names()
        _scope.reset(token)
