"""Calls of models and tools in the journal: each that had finished is taken from it, whichever agent makes it.

The middleware runs innermost, so that all others, and what keeps the history of a conversation, see the same as when
the call was made.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from agent_framework import (
    AgentSession,
    ChatContext,
    ChatMiddleware,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationContext,
    FunctionMiddleware,
    InMemoryHistoryProvider,
    MiddlewareFailure,
    MiddlewareTermination,
    ResponseStream,
    UserInputRequiredException,
)

from ...adapter.framework.internals import (
    ask_for_approval,
    compact_again,
    give_carrier,
    give_format,
    has_not_run,
    result_carrier,
    run_innermost,
    without_value,
)
from ..progress import is_watched, progressing, within
from .call_keys import chat_key, tool_key
from .doubt import beginning
from .journal import Journal, Kind, Scope, current_scope
from .tally import Tokens

_LOGGER = logging.getLogger("agent_framework_temporal.worker")

OUTCOME_UNKNOWN = (
    "Error: this call had begun when the process that made it was lost. Whether it has done its work is not known. It "
    "has not been made again."
)
"""What a model is told of a tool's call in doubt."""
REFUSED = (
    "Error: this call had begun when the process that made it was lost. Whether it has done its work is not known. A "
    "person has said that it is not made again."
)
"""What a model is told of a tool's call in doubt that a person has refused."""
RUN_AGAIN = (
    "This call had begun when the process that made it was lost, and its end is not known: it may have done its work "
    "already. Approve to make it again; reject to leave it."
)
"""What a person is asked of a tool's call in doubt."""
_RETURNED, _RAISED, _ASKED, _TERMINATED = "returned", "raised", "asked", "terminated"


def journal_calls() -> None:
    """Have each call of a model or a tool that is made in a superstep go through its journal.

    Calling it again changes nothing; outside of supersteps the framework works as if it had never been called.
    """
    run_innermost(_chat_journal, _tool_journal)


def _chat_journal() -> ChatMiddleware | None:
    return _CHAT if current_scope() is not None or is_watched() else None


def _tool_journal(alone: bool) -> FunctionMiddleware | None:
    if current_scope() is None and not is_watched():
        return None
    return _TOOL_ALONE if alone else _TOOL


class _ChatJournal(ChatMiddleware):
    async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
        with within():
            await self._process(context, call_next)
        if is_watched() and isinstance(context.result, ResponseStream):
            context.result = progressing(context.result)

    async def _process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
        scope = current_scope()
        name = _client_name(context.client)
        if scope is None or not scope.journal.rules.keeps(scope.executor_id):
            if scope is not None:
                scope.journal.will_do("chat", name)
            await call_next()
            return
        place = _Place(scope, "chat", chat_key(context), name)
        taken = scope.journal.take("chat", place.key, counted=False)
        if taken is not None and _answer(context, taken.value):
            scope.journal.tally.took("chat")
            await compact_again(context)
            return
        scope.journal.will_do("chat", name)
        with place.freed_on_error():
            await call_next()
        if isinstance(context.result, ResponseStream):
            context.result = _noted(context.result, place)
        elif isinstance(context.result, ChatResponse):
            await place.end(_response_entry(context.result, None), tokens=_tokens(context.result))


def _noted(stream: ResponseStream[Any, Any], place: _Place) -> ResponseStream[Any, Any]:
    """Return the same stream; it is an end when it is read to its end, and none where its reader leaves before.

    What a reader who leaves has seen is no whole answer, and whether the next attempt's leaves there, nobody knows.
    """

    async def updates() -> AsyncIterator[ChatResponseUpdate]:
        seen: list[ChatResponseUpdate] = []
        with place.freed_on_error():
            async with stream:
                async for update in stream:
                    seen.append(_copy_of(update))  # As it is now: readers may change what they are given.
                    yield update
                response = await stream.get_final_response()
            if isinstance(response, ChatResponse):
                await place.end(_response_entry(response, seen), tokens=_tokens(response))

    return ResponseStream(updates(), finalizer=lambda _: stream.get_final_response())


def _response_entry(response: ChatResponse[Any], updates: list[ChatResponseUpdate] | None) -> list[Any]:
    """Return what is kept of an answer; what is parsed from its text is parsed again."""
    bare, has_format = without_value(response)
    return [bare, has_format, updates]


def _answer(context: ChatContext, entry: Any) -> bool:
    """Answer a call with what was kept; False where it is nothing that could have been."""
    match entry:
        case [ChatResponse() as response, bool(has_format), list(updates)] if context.stream:
            if not all(isinstance(update, ChatResponseUpdate) for update in updates):
                return False
        case [ChatResponse() as response, bool(has_format), None] if not context.stream:
            updates = []
        case _:
            return False
    if has_format:
        give_format(response, (context.options or {}).get("response_format"))
    if not context.stream:
        context.result = response
        return True

    async def again() -> AsyncIterator[ChatResponseUpdate]:
        for update in updates:
            yield update

    context.result = ResponseStream(again(), finalizer=lambda _: response)
    return True


class _ToolJournal(FunctionMiddleware):
    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone

    async def process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
        with within():
            await self._process(context, call_next)

    async def _process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
        scope, name = current_scope(), context.function.name
        if scope is None or not scope.journal.rules.keeps(scope.executor_id, name):
            if scope is not None:
                scope.journal.will_do("tool", name)
            await call_next()
            return
        journal = scope.journal
        place = _Place(scope, "tool", tool_key(context), name)
        taken = journal.take("tool", place.key, counted=False)
        if taken is not None and _give(context, taken.value, place):
            return
        in_doubt = journal.rules.in_doubt(scope.executor_id, name)
        if journal.is_refused("tool", place.key):
            context.result = [Content.from_text(REFUSED)]
            return
        if in_doubt != "again" and journal.is_in_doubt("tool", place.key):
            context.result = _doubted(context, in_doubt)
            return
        journal.will_do("tool", name)
        # What becomes of a child's requests the executor around it decides, perhaps nothing: there that one asks.
        note = beginning(scope, name, in_doubt) if in_doubt == "ask" and scope.is_inner else None
        await journal.begin("tool", place.key, name, durable=in_doubt != "again", note=note)
        before = _Before(context)
        try:
            with place.freed_on_error():
                await call_next()
        except Exception as raised:
            context.result = None  # The framework leaves its coroutine there, and would take it for the result.
            # Where no middleware is, nothing ends the loop.
            ends = self._alone and isinstance(raised, MiddlewareTermination)
            error = RuntimeError(str(raised)) if ends else raised
            outcome = _outcome_of(error)
            if outcome is None:
                await journal.withdraw("tool", place.key, name)
            else:
                place.claim()
                await place.end([*outcome, before.changes(place)])
            raise error from (raised if ends else raised.__cause__)
        if before.tools_changed():
            # The tools it has added or removed are objects of this process: it has to run again to do so.
            await journal.withdraw("tool", place.key, name)
        else:
            await place.end([_RETURNED, context.result, before.changes(place)])


def _outcome_of(error: Exception) -> list[Any] | None:
    """Return what a tool has raised as data; None where it has come to nothing, and may be tried again.

    An error is an end: the model is told of it and goes on from there, so that it has to be told the same again.
    """
    if isinstance(error, MiddlewareFailure) or has_not_run(error):
        return None
    if isinstance(error, UserInputRequiredException):
        return [_ASKED, [list(error.contents), str(error)]]
    if isinstance(error, MiddlewareTermination):
        return [_TERMINATED, [str(error), error.result]]
    return [_RAISED, error]


def _give(context: FunctionInvocationContext, entry: Any, place: _Place) -> bool:
    """Give a call the outcome that was kept, or raise it; False where it is nothing that could have been."""
    raised: Exception | None = None
    match entry:
        case [str(kind), outcome, dict(changes)] if kind == _RETURNED:
            pass
        case [str(kind), Exception() as outcome, dict(changes)] if kind == _RAISED:
            raised = outcome
        case [str(kind), [list(contents), str(said)], dict(changes)] if kind == _ASKED:
            raised = UserInputRequiredException(contents, said)
        case [str(kind), [str(said), result], dict(changes)] if kind == _TERMINATED:
            raised = MiddlewareTermination(said, result=result)
        case _:
            return False
    try:
        _apply(context, changes, place)
    except (TypeError, ValueError):
        return False
    place.taken()
    context.function.invocation_count += 1
    if raised is not None:
        context.function.invocation_exception_count += 1
        raise raised
    context.result = outcome
    return True


def _doubted(context: FunctionInvocationContext, in_doubt: str) -> Any:
    """Return what takes the place of a result: a text for the model, or a request to a person."""
    if in_doubt == "ask":
        try:
            return ask_for_approval(context, RUN_AGAIN)
        except Exception as error:
            _LOGGER.warning(
                "Nobody can be asked whether tool %r may run again, so the model is told that its outcome is not "
                "known: its arguments cannot be part of a request: %s",
                context.function.name,
                error,
            )
    return [Content.from_text(OUTCOME_UNKNOWN)]


class _Before:
    """What a tool may change besides returning something: its agent's session, and the tools of the run."""

    def __init__(self, context: FunctionInvocationContext) -> None:
        self._context = context
        self._tools = list(map(id, context.tools or ()))
        self._state = {key: found for key, value in _state_of(context) if (found := _copied(value)) is not _NO_COPY}

    def tools_changed(self) -> bool:
        return self._tools != list(map(id, self._context.tools or ()))

    def changes(self, place: _Place) -> dict[str, Any]:
        """Return as data what has changed since."""
        found: dict[str, Any] = {}
        carrier = result_carrier(self._context)
        if carrier is not None:
            found["carrier"] = carrier
        state = dict(_state_of(self._context))
        changed = {
            key: value for key, value in state.items() if key not in self._state or not _same(self._state[key], value)
        }
        removed = [key for key in self._state if key not in state]
        if changed or removed:
            found["state"] = [place.places.next_change(), changed, removed]
        return found


_NO_COPY = object()


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # A value's own code; what cannot be copied is no part of a checkpoint either.
        return _NO_COPY


def _state_of(context: FunctionInvocationContext) -> Iterator[tuple[str, Any]]:
    """Give a session's state but for the history of its conversation: no tool writes it, and it is long."""
    session = context.session
    if isinstance(session, AgentSession):
        for key, value in session.state.items():
            if key != InMemoryHistoryProvider.DEFAULT_SOURCE_ID:
                yield key, value


def _apply(context: FunctionInvocationContext, changes: dict[str, Any], place: _Place) -> None:
    """Do what a tool had done besides returning something.

    Raises:
        TypeError: For what is no such change.
        ValueError: The same.
    """
    if "carrier" in changes:
        give_carrier(context, changes["carrier"])
    if "state" not in changes or not isinstance(context.session, AgentSession):
        return
    number, changed, removed = changes["state"]
    if not (isinstance(number, int) and isinstance(changed, dict) and isinstance(removed, list)):
        raise TypeError("a number, what has changed, and what is gone")
    state = context.session.state
    # Tools that run beside each other end in an order of their own: what the last one has left counts.
    newest = place.places.newest(context.session, number, [*changed, *removed])
    for key in newest:
        if key not in changed:
            state.pop(key, None)
        elif isinstance(state.get(key), dict) and isinstance(changed[key], dict):
            state[key].clear()  # Whoever holds it goes on to do so.
            state[key].update(changed[key])
        elif isinstance(state.get(key), list) and isinstance(changed[key], list):
            state[key][:] = changed[key]
        else:
            state[key] = changed[key]


class _Places:
    """Which calls of one attempt there are, so that equal ones have each a key of its own: by the order they begin."""

    def __init__(self) -> None:
        self._used: dict[str, set[int]] = {}
        self._changes = 0
        self._newest: WeakKeyDictionary[AgentSession, dict[str, int]] = WeakKeyDictionary()

    def claim(self, key: str) -> int:
        used = self._used.setdefault(key, set())
        number = next(number for number in range(len(used) + 1) if number not in used)
        used.add(number)
        return number

    def free(self, key: str, number: int) -> None:
        self._used[key].discard(number)

    def next_change(self) -> int:
        """Return a number higher than those of all changes so far."""
        self._changes += 1
        return self._changes

    def newest(self, session: AgentSession, number: int, keys: list[str]) -> list[str]:
        """Return the keys of a session that nothing newer has changed."""
        self._changes = max(self._changes, number)
        known = self._newest.setdefault(session, {})
        found = [key for key in keys if known.get(key, 0) <= number]
        known.update(dict.fromkeys(found, number))
        return found


_places: WeakKeyDictionary[Journal, _Places] = WeakKeyDictionary()


class _Place:
    """The place of one call in the journal."""

    def __init__(self, scope: Scope, kind: Kind, key: str, name: str) -> None:
        self._journal, self._kind, self._name = scope.journal, kind, name
        self._base = f"{scope.key}/{key}" if scope.key else key
        self.places = _places.setdefault(scope.journal, _Places())
        self.claim()

    def claim(self) -> None:
        self._number = self.places.claim(f"{self._kind} {self._base}")
        self.key = f"{self._base}#{self._number}" if self._number else self._base

    @contextmanager
    def freed_on_error(self) -> Iterator[None]:
        """Leave the place to the next call that is equal if this one does not end: it is made again."""
        try:
            yield
        except BaseException:
            self.places.free(f"{self._kind} {self._base}", self._number)
            raise

    def taken(self) -> None:
        """Count that the call was taken from the journal."""
        self._journal.tally.took(self._kind)

    async def end(self, value: Any, *, tokens: Tokens | None = None) -> None:
        """Note the end of the call, and return when the server has it."""
        await self._journal.end(self._kind, self.key, self._name, value, tokens=tokens)


def _client_name(client: Any) -> str:
    for name in (getattr(client, "name", None), getattr(client, "model", None)):
        if isinstance(name, str) and name:
            return name
    return type(client).__name__


def _tokens(response: ChatResponse[Any]) -> Tokens | None:
    return Tokens.of_usage(response.usage_details)


def _copy_of(update: ChatResponseUpdate) -> ChatResponseUpdate:
    """Return a copy with contents of its own; what a model has sent raw is not kept."""
    found: ChatResponseUpdate = _twin_of(update)
    found.contents = [_twin_of(content) for content in update.contents]
    return found


def _twin_of(value: Any) -> Any:
    """Copy an object of the framework's attribute by attribute; `copy.copy` is ten times as slow, for each token."""
    twin: Any = object.__new__(type(value))
    twin.__dict__.update(value.__dict__, raw_representation=None)
    return twin


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are stored alike; raw representations are not stored."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            key == "raw_representation" or _same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, str | bytes | int | float | bool | None):
        return bool(one == other)
    if hasattr(one, "__dict__"):
        return _same(vars(one), vars(other))
    try:
        return bool(one == other)
    except Exception:  # A value's own code.
        return False


_CHAT, _TOOL, _TOOL_ALONE = _ChatJournal(), _ToolJournal(), _ToolJournal(alone=True)
