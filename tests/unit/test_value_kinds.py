"""Every kind of value that an executor may hold comes back exactly, and no code of its class runs."""

from __future__ import annotations

import collections
import datetime
import enum
import math
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.encoding.document import MAX_DEPTH
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.errors import PayloadError
from pydantic import BaseModel, SecretStr

from tests.unit._calls import watched
from tests.unit._in_process import comparable
from tests.unit._kinds import (
    CATALOG,
    FRAMEWORK,
    KINDS,
    Dropping,
    Envelope,
    Frozen,
    IntEnvelope,
    Model,
    Names,
    Pair,
    Plain,
    ShopError,
    Slots,
    Table,
    Thing,
)


def round_trip(value: Any) -> Any:
    return loads(dumps(value, CATALOG), CATALOG)


def parts(value: Any, depth: int = 0) -> Any:
    """Take a value apart to the last attribute, with every type in it."""
    cls: Any = type(value)
    if isinstance(value, type) or depth > 20:
        return value
    if isinstance(value, enum.Enum):
        return (cls, value.name, value.value)
    if isinstance(value, float):
        return (cls, math.copysign(1, value), str(float(value)))
    attributes = _attributes(value)
    held = [(name, parts(item, depth + 1)) for name, item in attributes.items()]
    more = (getattr(value, "maxlen", None), getattr(value, "default_factory", None))
    return (cls, held, _content(value, depth + 1) if not held or cls.__mro__[-2] is not cls else None, more)


def _attributes(value: Any) -> dict[str, Any]:
    cls = type(value)
    found = dict(getattr(value, "__dict__", {})) if cls.__module__ not in ("typing", "types", "zoneinfo") else {}
    if isinstance(value, types.SimpleNamespace):
        return vars(value)
    for owner in cls.__mro__:
        if owner.__module__.startswith(("tests.", "pydantic.")):
            slots = [name for name, item in vars(owner).items() if isinstance(item, types.MemberDescriptorType)]
            found.update({name: getattr(value, name) for name in slots if hasattr(value, name)})
    return found


def _content(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return [(parts(key, depth), parts(item, depth)) for key, item in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return [parts(item, depth) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((parts(item, depth) for item in value), key=repr)
    if isinstance(value, datetime.datetime | datetime.time):
        return (value.isoformat(), value.fold, repr(value.tzinfo))
    if isinstance(value, int | str):
        return int(value) if isinstance(value, int) else value.encode("utf-8", "surrogatepass")
    return repr(value) if "object at 0x" not in repr(value) else None


@pytest.mark.parametrize("value", KINDS, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_to_the_last_attribute(value: Any) -> None:
    for given in (value, [value], {"a": (value,)}, Plain(a=value)):
        assert parts(round_trip(given)) == parts(given)


@pytest.mark.parametrize("value", FRAMEWORK, ids=lambda value: type(value).__name__)
def test_the_frameworks_own_data_comes_back(value: Any) -> None:
    restored = round_trip(value)
    assert comparable(restored) == comparable(value)
    assert list(vars(restored)) == list(vars(value))


def test_no_code_of_a_class_runs_where_its_instances_are_read() -> None:
    for value in [*KINDS, *FRAMEWORK]:
        stored = dumps(value, CATALOG)
        with watched() as calls:
            loads(stored, CATALOG)
        unexpected = {
            (file, name)
            for file, name in calls.python
            if not file.startswith(("package:", "python:", "<frozen"))
            and not name.endswith(("__hash__", "hash_func", "__eq__"))  # Those that are generated from fields.
        }
        assert unexpected == set()


def test_nan_comes_back() -> None:
    assert math.isnan(round_trip(float("nan")))
    assert math.isnan(round_trip([1 + 1j, complex(0, float("nan"))])[1].imag)


def _nested(make: Callable[[Any], Any], depth: int) -> Any:
    value: Any = make(None)
    for _ in range(depth):
        value = make(value)
    return value


DEEP: dict[str, Callable[[Any], Any]] = {
    "list": lambda inner: [inner],
    "dict": lambda inner: {"a": inner},
    "dict of numbers": lambda inner: {1: inner},
    "tuple": lambda inner: (inner,),
    "frozen": Frozen,
    "object": lambda inner: Plain(a=inner),
    "object in list": lambda inner: Plain(a=[inner]),
    "model": lambda inner: Model(x=inner),
    "list subclass": lambda inner: Names([inner]),
    "deque": lambda inner: collections.deque([inner]),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_value_may_be_nested_deep(name: str) -> None:
    for depth in (1, 79, 80, 81, 160, 240):
        value = _nested(DEEP[name], depth)
        restored, levels = round_trip(value), 0
        while restored is not None:
            inner = restored
            if isinstance(restored, Plain | Model | Frozen):
                assert type(restored) is type(value)
                inner = next(iter(vars(restored).values()))
            else:
                assert type(restored) is type(value) or isinstance(restored, list)
                inner = next(iter(restored.values())) if isinstance(restored, dict) else restored[0]
            restored, levels = inner, levels + 1
        assert levels == (depth + 1) * (2 if name == "object in list" else 1)


@pytest.mark.parametrize("name", DEEP)
def test_a_value_that_is_nested_too_deep_is_refused_when_it_is_written(name: str) -> None:
    with pytest.raises(PayloadError, match=f"nested more than {MAX_DEPTH} levels deep"):
        dumps([_nested(DEEP[name], 2_000)], CATALOG)


def test_what_contains_itself_comes_back() -> None:
    plain, names, table, thing = Plain(), Names(), Table(), Thing()
    vars(plain).update(me=plain, pair=(plain, [plain]))
    names.append(names)
    table["me"] = table
    vars(thing).update(things={thing: {thing}})
    pair = Pair([1])
    pair.label = pair  # type: ignore[assignment]
    queue: Any = collections.deque(maxlen=3)
    queue.append(queue)
    ordered: Any = collections.OrderedDict()
    ordered["me"] = ordered
    default: Any = collections.defaultdict(list)
    default["me"].append(default)
    counter: Any = collections.Counter()
    counter["me"] = counter
    numbered: Any = {}
    numbered[1] = numbered
    found = round_trip(plain)
    assert found.me is found
    assert found.pair[0] is found
    assert found.pair[1][0] is found
    assert (lambda it: it[0] is it)(round_trip(names))
    assert (lambda it: it["me"] is it)(round_trip(table))
    assert (lambda it: it.label is it)(round_trip(pair))
    assert (lambda it: it[0] is it and it.maxlen == 3)(round_trip(queue))
    assert (lambda it: it["me"] is it)(round_trip(ordered))
    assert (lambda it: it["me"][0] is it and it.default_factory is list)(round_trip(default))
    assert (lambda it: it["me"] is it)(round_trip(counter))
    assert (lambda it: it[1] is it)(round_trip(numbered))
    found = round_trip(thing)
    ((key, members),) = found.things.items()
    assert key is found
    assert members == {found}


def test_a_tuple_that_contains_itself_by_way_of_a_list_comes_back() -> None:
    value: Any = ([], {"a": Plain()}, "x")
    value[0].append(value)
    vars(value[1]["a"]).update(back=[value, frozenset({1})])
    found = round_trip(value)
    assert found[0][0] is found
    assert found[1]["a"].back[0] is found


def test_what_is_held_twice_is_restored_once() -> None:
    for make in (list, dict, set, bytearray, Plain, Thing, Names, Table, collections.deque, collections.OrderedDict):
        shared: Any = make()
        found = round_trip([shared, {"a": shared}, (shared,)])
        assert found[0] is found[1]["a"] is found[2][0]
        assert type(found[0]) is make
    pair = ([1], {"a": 2})
    found = round_trip([pair, pair, pair[0]])
    assert found[0] is found[1]
    assert found[0][0] is found[2]
    thing = Thing()
    found = round_trip({"things": [thing], "done": {thing}, "by": {thing: 1, (thing, 2): 3}})
    assert found["done"] == {found["things"][0]}
    assert list(found["by"]) == [found["things"][0], (found["things"][0], 2)]


def test_a_nest_of_shared_values_takes_the_space_of_its_parts() -> None:
    for make in (lambda inner: [inner, inner], lambda inner: (inner, inner), lambda inner: Plain(a=inner, b=inner)):
        value = _nested(make, 60)
        data = dumps(value, CATALOG)
        assert len(data) < 10_000
        found = loads(data, CATALOG)
        for _ in range(59):
            pair = [*vars(found).values()] if isinstance(found, Plain) else found
            assert pair[0] is pair[1]
            found = pair[0]


def test_a_long_text_is_written_once() -> None:
    text, data = "x" * 100_000, b"y" * 100_000
    stored = dumps([{"a": text, "b": data} for _ in range(50)], CATALOG)
    assert len(stored) < 300_000
    assert loads(stored, CATALOG) == [{"a": text, "b": data} for _ in range(50)]


def test_the_order_of_a_set_does_not_depend_on_the_process() -> None:
    words = [f"word {number}" for number in range(100)]
    assert dumps({*words}, CATALOG) == dumps({*reversed(words)}, CATALOG)
    members = [(word, Frozen(word)) for word in words]
    assert dumps({*members}, CATALOG) == dumps({*reversed(members)}, CATALOG)


def test_an_exception_keeps_what_plain_data_it_holds() -> None:
    error = ShopError("pens", 3)
    error.__dict__["client"] = threading.Lock()
    error.add_note("a note")
    restored = round_trip(error)
    assert type(restored) is ShopError
    assert str(restored) == "3 of pens"
    assert vars(restored) == {"item": "pens", "left": 3, "__notes__": ["a note"]}


def test_a_generic_model_is_stored_if_the_workflows_module_names_it() -> None:
    assert type(round_trip(IntEnvelope(content=1))) is Envelope[int]
    with pytest.raises(PayloadError, match=r"Envelope\[str\] is stored .*no executor declares it.*`Stored = Envelope"):
        dumps(Envelope[str](content="x"), CATALOG)


# What cannot be put together without running its code is refused when it is written.


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.lock = threading.Lock()


class Texts:
    def __getstate__(self) -> str:
        return "state"


class Dying:
    def __del__(self) -> None:
        """Run when the last reference goes."""


class Meta(type):
    def __hash__(cls) -> int:
        raise AssertionError("the metaclass is asked")

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("the metaclass is asked")


class Hashing:
    def __hash__(self) -> int:
        return 1


class Equal:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class HashedModel(BaseModel):
    x: int = 0

    def __hash__(self) -> int:
        return 1


class HashedEnum(enum.Enum):
    A = 1

    def __hash__(self) -> int:
        return 1


class Method:
    def run(self) -> None:
        """Be called by someone."""


class Unions(enum.Flag):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return super()._missing_(value)


def _shadowing() -> Method:
    method = Method()
    vars(method)["run"] = Model
    return method


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (Locked, "changes its attributes through its own __getstate__ and __setstate__"),
    (Texts, "something other than its attributes"),
    (Dying, "its __del__ would run"),
    (lambda: {Hashing()}, "its own __hash__ and __eq__ would run"),
    (lambda: {Equal(): 1}, "Use a frozen dataclass"),
    (lambda: {(1, Hashing()): 1}, "Use a frozen dataclass"),
    (lambda: {Frozen(Hashing())}, "Use a frozen dataclass"),
    (lambda: {HashedModel()}, "its own __hash__"),
    (lambda: {HashedEnum.A: 1}, "its own __hash__"),
    (_shadowing, "has a callable attribute 'run' that hides its method"),
    (
        lambda: collections.defaultdict(lambda: 1),
        "its factory must be a builtin class or one that the workflow declares",
    ),
    (
        lambda: collections.defaultdict(threading.Lock),
        "its factory must be a builtin class or one that the workflow declares",
    ),
    (lambda: Unions.A | Unions.B, "can be found by name"),
    (lambda: {1: threading.Lock()}, "it is not data"),
    (lambda: Slots(threading.Lock()), "it is not data"),
    (lambda: NotImplemented, "not data"),
    (lambda: SecretStr, ""),
]


@pytest.mark.parametrize("index", range(len(REFUSED) - 1))
def test_what_needs_its_own_code_is_refused_with_what_to_do(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_framework._workflows import _checkpoint_encoding as encoding

    keys = {f"{__name__}:{cls.__qualname__}" for cls in vars().values() if isinstance(cls, type)}
    keys |= {f"{__name__}:{name}" for name, cls in globals().items() if isinstance(cls, type)}
    monkeypatch.setattr(encoding, "_REGISTERED_CHECKPOINT_TYPE_KEYS", keys)
    make, text = REFUSED[index]
    with pytest.raises(PayloadError, match=text):
        dumps([make()], CATALOG)


def test_what_a_class_leaves_out_is_left_out() -> None:
    assert vars(round_trip(Dropping())) == {"kept": 1}
