"""An executor's invocation as a value: what it was given, and all it did. One that had finished is not run again.

`Executor.execute` takes a message, the workflow's state and the runner's context. An invocation does nothing but write
the state, tell the context (messages, events, requests, outputs) and change its executor. What it did is noted in that
order; the next attempt does the same in its place.

The executors of a superstep run together, and the order of what they do shows: in the events, in the outputs, in the
state, where the last write counts. So everything noted has a number, and is done again in the order of the numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import hashlib
import json
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from agent_framework import Executor, Workflow

from ...adapter.framework.catalog import executors_of
from ...adapter.framework.internals import (
    Execute,
    RecordingContext,
    RecordingState,
    apply_recorded,
    drop_restored_events_of,
    message_parts,
    sessions_of,
    share_restored,
    wrap_execute,
)
from ..placement.current import placed
from ..progress import progressed
from .doubt import Invocation, add_answers, invoked, is_watched
from .journal import Journal, Name, Scope, current_scope, journalled

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_KEY_BYTES = 12
_TURNS = 3
"""Turns of the event loop that tasks made together need until all of them have begun."""
_PATIENCE = 2.0
"""Seconds to wait for an invocation that had finished before, and does not come: a condition may decide anew."""


def journal_invocations(workflow: Workflow) -> None:
    """Let invocations of the executors of a workflow and of its sub-workflows be kept in the journal of a superstep.

    Done once for an instance; without a journal the executors run as they did.
    """
    for executor in executors_of(workflow):
        wrap_execute(executor, functools.partial(_execute, workflow, executor))
    for executor in workflow.executors.values():
        add_answers(executor)


async def _execute(
    workflow: Workflow, executor: Executor, execute: Execute, message: Any, sources: list[str], state: Any, context: Any
) -> None:
    execute = placed(workflow, executor, execute)
    outer = current_scope()
    if outer is None:
        await execute(message, sources, state, context)
        return
    path = executor.id if outer.executor_id is None else f"{outer.executor_id}/{executor.id}"
    is_inner = outer.executor_id is not None
    journal = outer.journal
    keeps, invocations = journal.rules.keeps(path), _invocations_of(journal)
    data, request_id = message_parts(message)
    name = Name(functools.partial(_key, outer, executor.id, sources, request_id), data)
    # Alone, it is known later by the framework's copy of its message; to the others the message may belong as well.
    if journal.is_new and keeps and not is_inner and not invocations.any_active:
        journal.name_later(name)
    else:
        journal.name_all()
        name.find()
    scope = Scope(journal, name, path, is_inner)
    with journalled(scope):
        if not keeps:
            await execute(message, sources, state, context)
            return
        invocation = Invocation(executor, scope, message, sources, lambda: invocations.read(scope.key))
        async with invocations.active(is_inner=is_inner):
            await _invoke(workflow, invocation, invocations.group(outer.key), execute, state, context)


async def _invoke(
    workflow: Workflow, invocation: Invocation, group: _Group, execute: Execute, state: Any, context: Any
) -> None:
    executor, scope, message = invocation.executor, invocation.scope, invocation.message
    entry = group.arrived(scope)
    if entry is None:
        await group.settled(executor.id)
    else:
        await group.turn(entry.first)
    invocations = _invocations_of(scope.journal)
    async with invocations.lock(executor):  # The executor's state is read before its next invocation begins.
        if entry is not None and group.holds(entry) and await _restored(workflow, executor, entry):
            scope.journal.tally.took("executor")
            for number, name, *arguments in entry.done:
                await group.turn(number)
                await apply_recorded(executor, message, state, context, name, arguments)
                group.passed(number)
            group.remove(entry)
            return
        group.abandon(executor.id)
        done = Done(invocations.next_number)
        recording = RecordingContext(context, done, functools.partial(_begins, scope.name))
        with invoked(invocation):
            await execute(message, invocation.sources, RecordingState(state, done), recording)
        done.end()
        await invocations.finished(invocation, done.noted)


async def _restored(workflow: Workflow, executor: Executor, entry: _Entry) -> bool:
    """Bring an executor to where its invocation had left it; False where it does not take what it has saved."""
    sessions = sessions_of(executors_of(workflow))
    try:
        await executor.on_checkpoint_restore(entry.own)
        await drop_restored_events_of(executor)
    except Exception as error:
        _LOGGER.warning("Executor %r runs again because its state cannot be restored: %s", executor.id, error)
        return False
    share_restored(sessions)
    return True


def _begins(name: str | Name, message: Any) -> None:
    """Take the framework's copy of a message: the executor may change the message itself."""
    if isinstance(name, Name):
        name.message = message


def _key(outer: Scope, executor_id: str, sources: list[str], request_id: str | None, message: Any) -> str:
    """Return what names an invocation within the one around it, the same in each attempt."""
    journal = outer.journal
    like = _digest(executor_id, sources, request_id, journal.digest(message))
    return f"{outer.key}/{journal.nth(f'{outer.key}/{like}')}.{like}"  # None begins as another, and goes on.


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=_KEY_BYTES).hexdigest()


class Done:
    """Notes what an invocation does.

    Args:
        next_number: Numbers it.
    """

    def __init__(self, next_number: Callable[[], int]) -> None:
        self._next_number = next_number
        self._copies: dict[int, asyncio.Handle] = {}
        self.noted: list[list[Any]] = []

    def __call__(self, name: str, *arguments: Any) -> None:
        """Note something."""
        progressed()  # Of the executor around, where it is one of a sub-workflow.
        place = len(self.noted)
        self.noted.append([self._next_number(), name, *arguments])
        if name == "event" and arguments[0].type in ("output", "intermediate", "data"):
            # The run takes an event when the executor next waits; what becomes of its data afterwards is not seen.
            self._copies[place] = asyncio.get_running_loop().call_soon(self._copy, place)

    def end(self) -> None:
        """Take what is there as it is: whoever is to see it has not been given it yet."""
        for handle in self._copies.values():
            handle.cancel()

    def _copy(self, place: int) -> None:
        with contextlib.suppress(Exception):  # The framework copies outputs as well; other data stays as it is.
            self.noted[place][2] = copy.deepcopy(self.noted[place][2])


@dataclass(eq=False, slots=True)
class _Entry:
    """An invocation that had finished in an earlier attempt."""

    key: str
    executor_id: str
    done: list[list[Any]]
    own: dict[str, Any]
    has_arrived: bool = False

    @classmethod
    def of(cls, key: str, value: Any) -> _Entry:
        """Read what a journal holds.

        Raises:
            ValueError: For anything else.
            TypeError: As well.
        """
        executor_id, done, own = value
        if not isinstance(own, dict) or not all(isinstance(step[0], int) for step in done):
            raise ValueError("This is no invocation.")
        return cls(key, str(executor_id), done, own)

    @property
    def first(self) -> int:
        return int(self.done[0][0]) if self.done else 0


class _Group:
    """The invocations in one workflow's run that had finished; those of a sub-workflow's run are another's."""

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self._entries = {entry.key: entry for entry in entries}  # The last, where one was done again.
        order = sorted((step[0], entry) for entry in self._entries.values() for step in entry.done)
        self._order = deque(order)
        self._last = 0
        self._changed = asyncio.Event()

    def arrived(self, scope: Scope) -> _Entry | None:
        """Return what there is of an invocation that is to begin."""
        entry = self._entries.get(scope.key) if self._entries else None
        if entry is not None:
            entry.has_arrived = True
        return entry

    def holds(self, entry: _Entry) -> bool:
        """Tell whether an entry may still be taken."""
        return self._entries.get(entry.key) is entry

    async def turn(self, number: int) -> None:
        """Wait until all that was done before has been done again."""
        while self._order and self._order[0][0] < number:
            if not await self._change():
                missing = {entry for place, entry in self._order if place < number and not entry.has_arrived}
                self._forget(missing)
        if number > self._last + 1:  # In between came one that had not finished: let it begin.
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    def passed(self, number: int) -> None:
        """Note that something has been done again."""
        if self._order and self._order[0][0] == number:
            self._order.popleft()
        else:
            self._order = deque(step for step in self._order if step[0] != number)
        self._last = max(self._last, number)
        self._tell()

    async def settled(self, executor_id: str) -> None:
        """Wait until an executor has what its other invocations had left: they had come first."""
        while any(entry.executor_id == executor_id for entry in self._entries.values()):
            if not await self._change():
                return

    def abandon(self, executor_id: str) -> None:
        """Leave what is left of an executor: its state goes another way."""
        left = [entry for entry in self._entries.values() if entry.executor_id == executor_id]
        for entry in left:
            del self._entries[entry.key]
        self._forget(set(left))

    def remove(self, entry: _Entry) -> None:
        """Note that an entry has been taken."""
        del self._entries[entry.key]
        self._tell()

    def _forget(self, entries: set[_Entry]) -> None:
        if entries:
            self._order = deque(step for step in self._order if step[1] not in entries)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> bool:
        changed = self._changed
        try:
            async with asyncio.timeout(_PATIENCE):
                await changed.wait()
        except TimeoutError:
            return changed.is_set()
        return True


class _Invocations:
    """The invocations of one superstep.

    The only one of a superstep is not noted, nor is the last one that ends: the superstep ends with it. Until it is
    known whether another follows it is held back.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._groups: dict[str, _Group] = {}
        self._locks: weakref.WeakKeyDictionary[Executor, asyncio.Lock] = weakref.WeakKeyDictionary()
        self._active = 0
        self._held: Callable[[], Awaitable[None]] | None = None
        self._number = 0
        self.read("")

    @property
    def any_active(self) -> bool:
        """Whether an invocation runs, or is held back."""
        return self._active > 0 or self._held is not None

    def read(self, key: str) -> None:
        """Take what the journal has of the invocations with keys that begin so."""
        found: dict[str, list[_Entry]] = {}
        for name, value in self._journal.finished("executor"):
            if not name.startswith(key):
                continue
            with contextlib.suppress(ValueError, TypeError, IndexError):
                entry = _Entry.of(name, value)
                found.setdefault(name.rpartition("/")[0], []).append(entry)
                self._number = max([self._number, *(step[0] for step in entry.done)])
        self._groups.update((name, _Group(entries)) for name, entries in found.items())

    def group(self, key: str) -> _Group:
        """Return those of a workflow's run."""
        return self._groups.setdefault(key, _Group(()))

    def lock(self, executor: Executor) -> asyncio.Lock:
        """Return what lets an executor have one invocation at a time."""
        return self._locks.setdefault(executor, asyncio.Lock())

    def next_number(self) -> int:
        """Number something that is done."""
        self._number += 1
        return self._number

    @contextlib.asynccontextmanager
    async def active(self, *, is_inner: bool) -> AsyncIterator[None]:
        """Count an invocation while it runs; those of sub-workflows are within one."""
        if is_inner:
            yield
            return
        self._active += 1
        try:
            await self.settle()
            yield
        finally:
            self._active -= 1

    async def settle(self) -> None:
        """Note what was held back."""
        held, self._held = self._held, None
        if held is not None:
            await held()

    async def finished(self, invocation: Invocation, done: list[list[Any]]) -> None:
        """Note an invocation that has finished, if it has to be."""
        is_inner = invocation.scope.is_inner
        durable = is_inner or is_watched(invocation) or self._journal.has_calls(invocation.scope)
        note = functools.partial(self._note, invocation, done, durable=durable)
        if is_inner or is_watched(invocation) or self._active > 1:
            await note()
        else:
            self._held = note

    async def _note(self, invocation: Invocation, done: list[list[Any]], *, durable: bool) -> None:
        executor, scope = invocation.executor, invocation.scope
        try:
            own = await executor.on_checkpoint_save()
        except Exception as error:  # The checkpoint will say so, where it counts.
            _LOGGER.debug("Executor %r does not save its state: %s", executor.id, error)
            return
        with journalled(scope):
            await self._journal.end("executor", scope.key, executor.id, [executor.id, done, own], durable=durable)


def _invocations_of(journal: Journal) -> _Invocations:
    found = journal.beside.get(_Invocations)
    if found is None:
        found = journal.beside[_Invocations] = _Invocations(journal)
    assert isinstance(found, _Invocations)  # noqa: S101 - for the type checker
    return found


async def settle() -> None:
    """Note what was held back: the superstep has failed, and not in an executor."""
    scope = current_scope()
    if scope is not None:
        await _invocations_of(scope.journal).settle()
