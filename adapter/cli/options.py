"""Values of flags that are not text: durations, and options of runs as `--option NAME=VALUE`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import typer
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from ..client.executor_policy import ExecutorPolicy
from ..client.options import DurableOptions, OptionArguments
from ..client.request_policy import RequestPolicy
from ..client.tool_policy import ToolPolicy
from ..commands.exit_codes import UsageError
from ..errors import DurableWorkflowError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NOTHING = ("none", "null", "")
_POLICIES: tuple[type[Any], ...] = (ExecutorPolicy, ToolPolicy, RequestPolicy)


def option_names(incomplete: str = "") -> list[str]:
    """Return the names that `--option` takes, each with its `=`; for completion."""
    return [f"{name}=" for name in _hints() if name.startswith(incomplete)]


Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="A run option such as `max_attempts=1` or `superstep_timeout=5m`; can be repeated.",
        autocompletion=option_names,
    ),
]


def read_options(given: Sequence[str] | None) -> OptionArguments:
    """Return options of a run from flags.

    Durations are `30s`, `5m`, `1h30m` or `2d`; yes and no are `true` and `false`; what is optional takes `none`; lists
    are `one,two`; policies are JSON, whose durations are texts of that form. All of `DurableOptions` can be given.

    Raises:
        UsageError: When there is no such option, or it does not take the value.
    """
    hints, values = _hints(), dict[str, Any]()
    for item in given or ():
        name, equals, text = item.partition("=")
        if not equals or name not in hints:
            what = f"there is no option {name!r}" if equals else f"{item!r} is not NAME=VALUE"
            raise UsageError(f"--option: {what}; the options are {', '.join(hints)}")
        try:
            values[name] = _search_attributes(text) if name == "search_attributes" else _value(hints[name], text)
        except (ValueError, RecursionError, TypeError, DurableWorkflowError) as error:
            raise UsageError(f"--option {name}: {error}") from error
    try:
        DurableOptions(**values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--option: {error}") from error
    return cast(OptionArguments, values)


def read_duration(text: str, flag: str) -> timedelta:
    """Return a duration from a flag.

    Raises:
        UsageError: When it is none.
    """
    try:
        return _duration(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def _hints() -> dict[str, Any]:
    hints = get_type_hints(DurableOptions)
    return {field.name: hints[field.name] for field in dataclasses.fields(DurableOptions)}


def _duration(text: str) -> timedelta:
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a valid duration; use for example 30s, 5m, 1h30m or 2d")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long") from error


def _value(hint: Any, text: str) -> Any:
    """Return the value of an option from the text on the command line."""
    kinds = _kinds(hint)
    if NoneType in kinds and text.lower() in _NOTHING:
        return None
    policies = [kind for kind in kinds if _policy(kind) is not None]
    if policies:
        return _policies(policies, json.loads(text))
    return _scalar(kinds, text)


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _scalar(kinds: Sequence[Any], text: str) -> Any:
    kind = next(found for found in kinds if found is not NoneType)
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError(f"it is one of {', '.join(get_args(kind))}, got {text!r}")
        return text
    readers: dict[Any, Callable[[str], Any]] = {
        bool: _truth,
        int: int,
        float: float,
        timedelta: _duration,
        str: str,
        Sequence[str]: _listed,
    }
    return readers[kind](text)


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _truth(text: str) -> bool:
    if text.lower() in _YES + _NO:
        return text.lower() in _YES
    raise ValueError(f"it is true or false, got {text!r}")


def _policy(kind: Any) -> type[Any] | None:
    """Return the policy that a type is, or maps to."""
    if kind in _POLICIES:
        return cast("type[Any]", kind)
    arguments = get_args(kind)
    return arguments[-1] if arguments and arguments[-1] in _POLICIES else None


def _policies(kinds: Sequence[Any], given: Any) -> Any:
    policy = next(found for kind in kinds if (found := _policy(kind)) is not None)
    names = {field.name for field in dataclasses.fields(policy)}
    if not isinstance(given, dict):
        raise ValueError("it takes a JSON object")
    if policy in kinds and given.keys() <= names:
        return _built(policy, given)
    for key, values in given.items():
        if not isinstance(values, dict):
            raise ValueError(f"{key!r} takes a JSON object, whose keys are among {', '.join(sorted(names))}")
    return {key: _built(policy, values) for key, values in given.items()}


def _built(policy: type[Any], given: Mapping[str, Any]) -> Any:
    hints = get_type_hints(policy)
    names = {field.name for field in dataclasses.fields(policy)}
    unknown = given.keys() - names
    if unknown:
        raise ValueError(f"a {policy.__name__} has no {sorted(unknown)[0]!r}, but {', '.join(sorted(names))}")
    values = {
        name: _duration(value) if isinstance(value, str) and timedelta in _kinds(hints[name]) else value
        for name, value in given.items()
    }
    for name, value in values.items():
        if timedelta in _kinds(hints[name]) and not isinstance(value, timedelta | None):
            raise ValueError(f'{name!r} takes a duration in quotes, as "30s"')
    return policy(**values)


def _search_attributes(text: str) -> Any:
    if text.lower() in _NOTHING:
        return None
    if text.lower() in _YES + _NO:
        return _truth(text)
    given = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError('it is true, false, or a JSON object of yours, as {"Customer": "c-7"}')
    return TypedSearchAttributes([_pair(name, value) for name, value in given.items()])


def _pair(name: str, value: Any) -> SearchAttributePair[Any]:
    keys: dict[type[Any], Callable[[str], SearchAttributeKey[Any]]] = {
        str: SearchAttributeKey.for_keyword,
        bool: SearchAttributeKey.for_bool,
        int: SearchAttributeKey.for_int,
        float: SearchAttributeKey.for_float,
        list: SearchAttributeKey.for_keyword_list,
    }
    if type(value) not in keys:
        raise ValueError(f"{name!r} takes a text, a number, true, false, or a list of texts")
    return SearchAttributePair(keys[type(value)](name), value)
