"""What may run while data is decoded: a closed set of functions, and nothing that the interpreter would report.

An audit hook sees what an exploit would do: processes, sockets, code that is compiled or run, files that are opened to
write, modules that are imported. A profiler sees every function that is called, of Python or of C.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent_framework_temporal.adapter.checkpoints.label import CheckpointLabel, read_label
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.errors import CheckpointCorruptedError, PayloadError
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog

from tests.unit._calls import Calls, watched

_FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "ctypes.dlopen",
    "pickle.find_class",
)
_PACKAGE = (
    *(
        f"encoding/{name}"
        for name in ["decoding", "document", "annotations", "enums", "exceptions", "layouts", "parts"]
    ),
    *("framework/" + name for name in ("standard", "static", "catalog", "internals", "graph", "error_data")),
    *("checkpoints/frames", "checkpoints/label", "errors", "advice"),
)
_PYTHON = re.compile(
    r"""
      package:adapter/(PACKAGE)\.py:.*
    | python:json/\w+\.py:.*                               # reads, and writes annotations to look them up
    | python:(fractions|uuid|pathlib(/\w+)?)\.py:.*       # their constructors, hashes, comparisons
    | python:zoneinfo/\w+\.py:.*
    | python:enum\.py:.*                                   # combinations of flags, and members' hashes
    | python:typing\.py:.*                                 # unions and literals
    | python:collections/__init__\.py:Counter\..*
    | python:weakref\.py:WeakKeyDictionary\.get
    | python:contextlib\.py:_GeneratorContextManager\.__exit__
    | package:tests/unit/_(calls|watch)\.py:.*
    | .*/agent_framework/exceptions\.py:AgentFrameworkException\.__init__  # our own error, logged
    | python:logging/__init__\.py:(Logger|Manager)\..* | python:logging/__init__\.py:_(acquire|release)Lock
    | .*/typing_extensions\.py:_(collect_parameters|has_generic_or_protocol_as_origin)  # instead of typing's
    | <frozen\ (os|_collections_abc|abc|codecs|posixpath|genericpath)>:.*   # environment variables; zone files
    | <string>:__create_fn__\.<locals>\.__(hash|eq)__      # of frozen dataclasses that are keys
    | .*/pydantic/_internal/_model_construction\.py:make_hash_func\.<locals>\.hash_func
    | .*/pydantic/main\.py:BaseModel\.__eq__
    """.replace("PACKAGE", "|".join(_PACKAGE)),
    re.VERBOSE,
)


def _is_error(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, BaseException)


_C = frozenset(
    """
    Counter.update Decimal.__new__ Match.end OrderedDict.items Pattern.fullmatch Pattern.match RLock.acquire
    RLock.release SimpleNamespace.__new__ _abc._abc_instancecheck _collections._count_elements
    _json.encode_basestring_ascii binascii.a2b_base64 builtins.abs builtins.all builtins.any builtins.callable
    builtins.getattr builtins.hasattr builtins.hash builtins.id builtins.isinstance builtins.iter builtins.len
    builtins.max builtins.next builtins.repr bytes.__new__ bytes.count bytes.decode bytes.find bytes.join bytes.replace
    bytes.split date.__new__ date.fromisoformat datetime.__new__ datetime.fromisoformat datetime.replace deque.__new__
    deque.append deque.popleft dict.__new__ dict.fromkeys dict.get dict.items dict.setdefault dict.update dict.values
    float.__new__ frozenset.__new__ frozenset.isdisjoint int.__new__ int.bit_length list.__new__ list.append list.count
    list.extend list.pop list.reverse mappingproxy.get mappingproxy.items math.gcd object.__new__
    posix._path_splitroot_ex posix.fspath
    posix.stat set.__new__ set.add set.discard set.update str.__new__ str.count str.encode str.endswith str.format
    str.join str.lstrip str.partition str.replace str.rfind str.rpartition str.split str.startswith str.strip
    sys._getframe sys.get_int_max_str_digits sys.intern sys.setprofile time.fromisoformat time.replace tuple.__new__
    type.__subclasses__
    """.split()  # noqa: SIM905
) | {f"{name}.__{method}__" for name, item in vars(builtins).items() for method in ("new", "init") if _is_error(item)}
_watching = False
_seen: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _FORBIDDEN or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        _seen.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_audit)


@contextmanager
def audited(*, allowed: tuple[str, ...] = ()) -> Iterator[None]:
    """Watch what the body does to the world outside; `allowed` are beginnings of what it may do."""
    global _watching
    _seen.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    assert [event for event in _seen if not event.startswith(allowed)] == []


@contextmanager
def decoding(*also: str) -> Iterator[Calls]:
    """Watch the body, which decodes: nothing but the closed set may run, and what else is named."""
    with audited(), watched() as calls:
        yield calls
    python = {name for name in (f"{file}:{name}" for file, name in calls.python) if _PYTHON.fullmatch(name) is None}
    assert not python - set(also), sorted(python - set(also))
    assert not set(calls.c) - _C, sorted(set(calls.c) - _C)


def outcome(data: bytes, catalog: TypeCatalog) -> Any:
    """Decode, watched, and return the value or the `PayloadError`."""
    with decoding():
        try:
            return loads(data, catalog)
        except PayloadError as error:
            return error


def label_outcome(data: bytes) -> CheckpointLabel | CheckpointCorruptedError:
    """Read the label of a checkpoint, watched, and return it or the error."""
    with decoding("<string>:__create_fn__.<locals>.__init__"):  # Of the label, a dataclass of ours.
        try:
            return read_label(data)
        except CheckpointCorruptedError as error:
            return error
