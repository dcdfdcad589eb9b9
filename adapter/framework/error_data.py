"""What is told of an exception and what rebuilds it at the caller, where nothing that arrives chooses what is called.

An exception is anybody's code: its text, its attributes and its causes may raise, lie or never end, so they are only
read here, and only so much of each. What arrives names a class that the workflow's catalog knows; an instance of it is
made by a built-in base, never by a constructor of the class itself, and what made it is restored as plain data.

| class | what is kept |
|---|---|
| built-in, `OSError` and its like | arguments that are plain scalars |
| `UnicodeDecodeError`, `UnicodeEncodeError` | all, of objects up to 16 KB |
| `ExceptionGroup` and its subclasses | the members, by this table: up to 32, nested up to 4 deep |
| `pydantic.ValidationError` | title and errors; inputs that are no plain JSON are left out |
| any other that is loaded at the caller | arguments that are plain scalars, attributes that are plain JSON |

Whatever would not say the same text at the caller is not rebuilt.
"""

from __future__ import annotations

import asyncio
import base64
import dis
import functools
import itertools
import json
import math
import signal
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, TracebackType
from typing import Any, TypeVar, get_args

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from pydantic_core.core_schema import ErrorType

from ..errors import RunFailedError
from .catalog import TypeCatalog, known_error
from .static import class_attribute, has_base, namespace, type_key

MAX_TEXT = 64 * 1024
"""A failure has to fit a gRPC message, some clients put a whole response body into their errors, and it is written
into history three times: as message, in the arguments and in the events."""
MAX_CAUSES = 20
MAX_MEMBERS = 32
MAX_DEPTH = 4
_MAX_DATA = 64 * 1024
_MAX_OBJECT = 16 * 1024
_MAX_ATTRIBUTES = 64
_MAX_MEMBER_TEXT = 1_000
_SCALARS = (str, int, float, bool, type(None))
_SLOTS: dict[type[Exception], tuple[str, ...]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("msg", "name", "path"),
    NameError: ("name",),
    AttributeError: ("name",),
}
"""What built-in classes keep outside of `__dict__`."""
_READ = frozenset(
    {
        *("__str__", "__repr__", "__getattribute__", "__getattr__", "__class__", "__format__", "__reduce__"),
        *("__cause__", "__context__", "__suppress_context__", "__traceback__", "__notes__", "args", "details"),
    }
)
"""What logs and Temporal read of an exception; a class that defines one of these may do anything there."""
_KNOWN_ERRORS = frozenset(get_args(ErrorType))
_RAISE = dis.opmap["RAISE_VARARGS"]
_T = TypeVar("_T")


class StandIn:
    """Base of exceptions that stand for another, which cannot be raised where they are."""

    original: BaseException


def original_of(error: BaseException) -> BaseException:
    """Return what an exception stands for, itself for most."""
    return error.original if isinstance(error, StandIn) else error


def read(value: Any, name: str) -> Any:
    """Return an attribute, None where reading it raises: it may be a property, and anybody's code."""
    return _quietly(lambda: getattr(value, name, None), None)


def native(error: BaseException, name: str, base: type[BaseException] = BaseException) -> Any:
    """Return what a built-in class itself keeps of an exception, whatever the exception's class says."""
    return vars(base)[name].__get__(error)


def _quietly(function: Callable[[], _T], default: _T) -> _T:
    try:
        return function()
    except BaseException as error:  # An exception's own code may raise what ends a program.
        if is_from_signal(error):
            raise
        return default


def text_of(error: BaseException) -> str:
    """Return what an exception says, at most `MAX_TEXT` of it, and always something that can be encoded."""
    text = _quietly(lambda: str(error), None)
    if text is None:
        text = f"{class_names(type(error))[1]} (its text cannot be read)"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ... ({len(text):,} characters)"


def told_of(error: BaseException, depth: int = 0) -> str:
    """Return what there is to say of what is no `Exception`, whose own text says little."""
    error = original_of(error)
    text = text_of(error)
    if isinstance(error, SystemExit):
        code = native(error, "code", SystemExit)
        if code is not None and not isinstance(code, int):
            return f"sys.exit was called: exit code 1: {text}"
        context = native(error, "__context__")
        return f"sys.exit was called: exit code {int(code or 0)}{f' ({text_of(context)})' if context else ''}"
    if isinstance(error, asyncio.CancelledError):
        return f"It cancelled itself; the run was not cancelled{f': {text}' if text else '.'}"
    if isinstance(error, KeyboardInterrupt):
        return f"KeyboardInterrupt was raised, but not by a signal{f': {text}' if text else '.'}"
    if isinstance(error, BaseExceptionGroup) and depth < MAX_DEPTH:
        members = map(original_of, native(error, "exceptions", BaseExceptionGroup)[:MAX_MEMBERS])
        shown = "; ".join(
            f"{class_names(type(member))[1]}: {told_of(member, depth + 1)[:_MAX_MEMBER_TEXT]}" for member in members
        )
        return f"{text}: {shown}"
    return text


def is_from_signal(error: BaseException) -> bool:
    """Tell whether a signal's handler has raised `error`, in the middle of whatever was running."""
    if not isinstance(error, SystemExit | KeyboardInterrupt):
        return False
    handlers = {_code(handler) for handler in map(signal.getsignal, signal.valid_signals()) if callable(handler)}
    if any(frame.tb_frame.f_code in handlers for frame in _trace(error)):
        return True
    # Python's own handler of SIGINT leaves no frame.
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and default and not is_raised(error)


def is_raised(error: BaseException) -> bool:
    """Tell whether a `raise` has raised `error`, in contrast to something that interrupted what was running."""
    last = next(iter(deque(_trace(error), maxlen=1)), None)
    return last is None or last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE


def _trace(error: BaseException) -> Iterator[TracebackType]:
    trace: TracebackType | None = native(error, "__traceback__")
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _code(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return getattr(handler, "__code__", None)


def class_names(cls: type[Any]) -> tuple[str, str]:
    """Return module and qualified name of a class; a metaclass may give anything for them."""
    module, name = read(cls, "__module__"), read(cls, "__qualname__")
    return module if type(module) is str else "builtins", name if type(name) is str and name else "Exception"


def is_readable(error: BaseException) -> bool:
    """Tell whether an exception can say what it is called and what it says, as all that handles one asks of it."""
    names = _quietly(lambda: (error.__class__.__name__, str(error)), None)
    return names is not None and all(isinstance(name, str) for name in names)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, at most `MAX_CAUSES`."""
    seen: set[int] = set()
    current: Any = error
    while isinstance(current, BaseException) and id(current) not in seen and len(seen) < MAX_CAUSES:
        seen.add(id(current))
        yield current
        current = read(current, "__cause__") or (
            None if read(current, "__suppress_context__") else read(current, "__context__")
        )


def args_of(error: BaseException) -> list[Any] | None:
    """Return the arguments that rebuild an exception; None when they are not plain scalars, or too large."""

    def arguments() -> list[Any] | None:
        args: Any = native(error, "args")
        if type(error).__module__ == "builtins":
            args = error.__reduce__()[1]  # OSError leaves the file name out of its args.
        return list(args) if all(_is_scalar(arg) for arg in args) and _fits(list(args), MAX_TEXT) else None

    return _quietly(arguments, None)


def data_of(error: BaseException) -> dict[str, Any] | None:
    """Return what rebuilds an exception beside its arguments, as JSON; None where there is nothing of it."""
    error = original_of(error)
    data = _quietly(lambda: _data(error, itertools.count(1), 0), None)
    return data if data and _fits(data, _MAX_DATA) else None


def _data(error: BaseException, counter: Iterator[int], depth: int) -> dict[str, Any]:
    if isinstance(error, BaseExceptionGroup):
        found = _group(error, counter, depth)
    elif isinstance(error, UnicodeDecodeError | UnicodeEncodeError):
        found = {"unicode": _unicode(error)} if len(error.object) <= _MAX_OBJECT else {}
    elif type(error) is ValidationError:
        return {"validation": _validation(error)}
    else:
        found = {}
    slots: dict[str, Any] = {}
    for base, names in _SLOTS.items():
        if isinstance(error, base) and type(error).__module__ != "builtins":
            slots |= {name: native(error, name, base) for name in names}
    attributes = {
        name: value
        for name, value in itertools.islice(_attributes(error).items(), _MAX_ATTRIBUTES)
        if type(name) is str and _is_plain(value) and _fits(value, MAX_TEXT)
    }
    plain = {name: value for name, value in slots.items() if value is not None and _is_scalar(value)}
    return {**found, **({"attributes": attributes} if attributes else {}), **({"slots": plain} if plain else {})}


def _attributes(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(error, "__dict__")
    return found


def _group(group: BaseExceptionGroup[Any], counter: Iterator[int], depth: int) -> dict[str, Any]:
    members: list[dict[str, Any]] = []
    for member in map(original_of, native(group, "exceptions", BaseExceptionGroup)):
        if depth >= MAX_DEPTH or next(counter) > MAX_MEMBERS:
            return {}
        module, name = class_names(type(member))
        members.append(
            {
                "module": module,
                "type": name,
                "message": text_of(member) if isinstance(member, Exception) else told_of(member),
                "args": args_of(member),
                "data": _data(member, counter, depth + 1) or None,
            }
        )
    text = native(group, "message", BaseExceptionGroup)
    return {"group": {"message": text, "members": members}}


def _unicode(error: UnicodeDecodeError | UnicodeEncodeError) -> list[Any]:
    value = error.object
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return [error.encoding, base64.b64encode(raw).decode(), error.start, error.end, error.reason]


def _validation(error: ValidationError) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for item in error.errors(include_url=False):
        context = {
            name: text_of(value) if isinstance(value, BaseException) else value
            for name, value in item.get("ctx", {}).items()
        }
        line: dict[str, Any] = {"type": item["type"], "loc": list(item["loc"]), "msg": item["msg"]}
        if _is_plain(item["input"]):
            line["input"] = item["input"]
        if context and _is_plain(context):
            line["ctx"] = context
        found.append(line)
    return {"title": error.title, "errors": found}


def parts_of(error: BaseException) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """Return what rebuilds an exception at the caller: its arguments, and its data.

    Whether it would say the same is tried here, where the class's own code may run: a caller does not run it. The
    arguments are left out where it would not.
    """
    args, data = args_of(error), data_of(error)
    if isinstance(error, Exception) and not isinstance(error, StandIn):  # That bears the name of another class.
        cls = type(error)
        copy = _quietly(lambda: _rebuilt(cls, args, text_of(error), data or {}, None), None)
        if copy is not None and _quietly(lambda: str(copy), None) == text_of(error):
            return args, data
    return None, data


def _class_of(key: str, catalog: TypeCatalog | None) -> type[Exception] | None:
    """Return the class of an exception that may be made here: one of a closed set, or that the catalog knows."""
    for made_here in (ValidationError, ExceptionGroup):
        if key == type_key(made_here):
            return made_here
    return catalog.error_class(key) if catalog is not None else known_error(key)


def rebuilt(
    module: str,
    name: str,
    args: list[Any] | None,
    text: str,
    data: Any,
    *,
    catalog: TypeCatalog | None = None,
) -> Exception:
    """Return the exception that an executor raised, or a `RunFailedError` that offers what is known of it.

    No code of the exception's class runs: neither its constructor nor its `__str__`.

    Args:
        module: Module of its class.
        name: Qualified name of its class.
        args: What `args_of` returned.
        text: What it said.
        data: What `data_of` returned.
        catalog: The types of the workflow; without it only exceptions of Python, the framework and this package are
            made again.
    """
    known: Mapping[str, Any] = data if isinstance(data, dict) else {}
    cls = _class_of(f"{module}:{name}", catalog)
    if cls is not None:
        error = _quietly(lambda: _rebuilt(cls, args, text, known, catalog), None)
        if error is not None:
            return error
    failed = RunFailedError(f"{name}: {text}")
    failed.error_module, failed.error_type = module, name
    attributes, group, validation = (known.get(part) for part in ("attributes", "group", "validation"))
    if isinstance(attributes, dict):
        failed.data = attributes
    if isinstance(group, dict):
        failed.errors = _quietly(lambda: _members(group, catalog), [])
    elif isinstance(validation, dict):
        failed.errors = list(validation.get("errors", ()))
    return failed


def _rebuilt(
    cls: type[Exception], args: list[Any] | None, text: str, data: Mapping[str, Any], catalog: TypeCatalog | None
) -> Exception | None:
    silent = _is_silent(cls)
    if args is None and not silent:
        return None  # It says what it does by code of its own, and not the same once made again.
    given = args if args is not None and all(map(_is_scalar, args)) else [text]
    error: Exception
    if cls is ValidationError:
        return _rebuilt_validation(data["validation"], text)
    if has_base(cls, ExceptionGroup):
        group = data["group"]
        # The class's own `__new__` and `__init__` are passed by.
        of_group: Any = cls
        error = ExceptionGroup.__new__(of_group, str(group["message"]), _members(group, catalog))
    elif cls in (UnicodeDecodeError, UnicodeEncodeError):
        error = _rebuilt_unicode(cls, data["unicode"])
    elif cls.__module__ == "builtins":  # OSError and its like format their text from what the constructor sets.
        error = cls(*given)
    else:
        base = next(base for base in cls.__mro__ if base.__module__ == "builtins")
        error = _made(base, cls)
        namespace(BaseException)["args"].__set__(error, tuple(given))
    slots = data.get("slots", {})
    for kind, names in _SLOTS.items():
        if has_base(cls, kind):
            for name in names:
                if name in slots and _is_scalar(slots[name]):
                    namespace(kind)[name].__set__(error, slots[name])
    attributes = data.get("attributes", {})
    _attributes(error).update({name: value for name, value in attributes.items() if type(name) is str})
    return error if not silent or str(error) == text else None


def _is_silent(cls: type[Exception]) -> bool:
    """Tell whether a class leaves it to a built-in one what it says."""
    return type(class_attribute(cls, "__str__")) is types.WrapperDescriptorType


def _made(base: Any, cls: type[Exception]) -> Exception:
    """Make an exception by a built-in base of its class."""
    error: Exception = base.__new__(cls)
    return error


def _members(group: Mapping[str, Any], catalog: TypeCatalog | None) -> list[Exception]:
    return [
        rebuilt(
            str(member["module"]),
            str(member["type"]),
            member["args"],
            str(member["message"]),
            member["data"],
            catalog=catalog,
        )
        for member in group["members"][:MAX_MEMBERS]
    ]


def _rebuilt_unicode(cls: type[Exception], given: list[Any]) -> Exception:
    encoding, data, start, end, reason = given
    if not (type(start) is int and type(end) is int and 0 <= start <= end):
        raise ValueError("no positions in the object")
    raw = base64.b64decode(data, validate=True)
    if cls is UnicodeDecodeError:
        return UnicodeDecodeError(str(encoding), raw, start, end, str(reason))
    return UnicodeEncodeError(str(encoding), raw.decode("utf-8", "surrogatepass"), start, end, str(reason))


def _rebuilt_validation(given: Mapping[str, Any], text: str) -> Exception | None:
    """Rebuild pydantic's error by its own function, which takes known kinds of errors only."""
    wanted = [(line["type"], tuple(line["loc"]), line["msg"]) for line in given["errors"]]
    lines = [_line(line) for line in given["errors"]]
    hidden = any("input" not in line for line in given["errors"])
    best: Exception | None = None
    for read_from in ("python", "json"):  # They differ in words, as in "dictionary" and "object".
        error = ValidationError.from_exception_data(
            str(given["title"]),
            lines,
            input_type="json" if read_from == "json" else "python",
            hide_input=hidden,
        )
        found = [(line["type"], line["loc"], line["msg"]) for line in error.errors(include_url=False)]
        if found == wanted:
            if str(error) == text:
                return error
            best = best or error
    return best


def _line(line: Mapping[str, Any]) -> InitErrorDetails:
    kind, context = str(line["type"]), dict(line.get("ctx", {}))
    if kind == "value_error":
        context = {"error": ValueError(context.get("error", ""))}
    elif kind == "assertion_error":
        context = {"error": AssertionError(context.get("error", ""))}
    custom: Any = PydanticCustomError
    found: InitErrorDetails = {
        "type": kind if kind in _KNOWN_ERRORS else custom(kind, str(line["msg"])),
        "loc": tuple(line["loc"]),
        "input": line.get("input"),
    }
    if kind in _KNOWN_ERRORS and context:
        found["ctx"] = context
    return found


def _is_scalar(value: Any) -> bool:
    return type(value) in _SCALARS and _is_plain(value)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Tell whether JSON gives a value back as it was."""
    kind = type(value)
    if kind is str:
        return not any("\ud800" <= character <= "\udfff" for character in str(value))
    if kind is float:
        return math.isfinite(value)
    if kind is int:
        return bool(-(2**63) <= value < 2**63)
    if kind is list:
        return depth < 16 and all(_is_plain(item, depth + 1) for item in value)
    if kind is dict:
        return depth < 16 and all(
            type(key) is str and _is_plain(key) and _is_plain(item, depth + 1) for key, item in value.items()
        )
    return value is None or kind is bool


def _fits(value: Any, limit: int) -> bool:
    return len(json.dumps(value).encode()) <= limit


def is_told_as_it_is(error: BaseException, depth: int = 0) -> bool:
    """Tell whether an exception runs no code of its own when somebody reads it: logs and Temporal do, several times."""
    cls = type(error)
    for base in cls.__mro__:
        if base.__module__ != "builtins" and not _READ.isdisjoint(vars(base)):
            return False
    args: Any = native(error, "args")
    notes = _attributes(error).get("__notes__", [])
    if not isinstance(notes, list) or not all(type(note) is str for note in notes):
        return False
    if isinstance(error, BaseExceptionGroup):
        members = native(error, "exceptions", BaseExceptionGroup)
        return depth < MAX_DEPTH and all(is_told_as_it_is(member, depth + 1) for member in members)
    return all(_is_scalar(arg) for arg in args)
