"""The standard kinds of values that contain no other: each as JSON, and built from it by a constructor of our choice.

Every reader checks the types and sizes of what it is given before it calls the constructor, so that no argument makes
one do more than keep it: no text is evaluated, nothing is expanded, and the time is that of the argument's length.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import fractions
import functools
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from pydantic_core import TzInfo

from ..errors import PayloadError
from .static import has_base

SCALARS = frozenset({str, int, float, bool, type(None)})
"""What stands for itself."""
INTEGER, DATETIME, TIME = "$int", "$datetime", "$time"
_MAX_JSON_BITS = 64
_MAX_FRACTION_BITS = 65_536
"""A fraction is reduced by its greatest common divisor, which takes the square of its length."""
_DECIMAL = re.compile(r"-?(\d+(\.\d*)?|\.\d+)(E[+-]?\d{1,20})?|-?Infinity|-?s?NaN\d*", re.ASCII)
_HEXADECIMAL = re.compile(r"-?[0-9a-f]+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d{6})?", re.ASCII)
_DATETIME = re.compile(rf"{_DATE.pattern}T{_TIME.pattern}", re.ASCII)
_ZONE = re.compile(r"[\w+-]{1,40}(/[\w+-]{1,40}){0,3}", re.ASCII)
_SAFE = {member.value: member for member in uuid.SafeUUID}
_PATHS: dict[str, type[pathlib.PurePath]] = {
    cls.__name__: cls for cls in (pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.Path)
}


def integer_node(value: int) -> Any:
    """Return an integer of any size as JSON; one that JSON readers may refuse as hexadecimal text."""
    return value if value.bit_length() <= _MAX_JSON_BITS else {INTEGER: format(value, "x")}


def integer_of(node: Any) -> int:
    """Return the integer that `integer_node` wrote."""
    if type(node) is dict and list(node) == [INTEGER]:
        return int(_text(node[INTEGER], _HEXADECIMAL), 16)  # A power of two: it takes the time of its length.
    if type(node) is not int:
        raise ValueError(f"{type(node).__name__} is not an integer")
    return node


def datetime_text(value: datetime.datetime) -> str:
    """Return a datetime without its zone and fold."""
    return (value if value.tzinfo is None else value.replace(tzinfo=None)).isoformat()


def datetime_of(text: Any, fold: Any, zone: Any) -> datetime.datetime:
    """Return the datetime of a text, a fold and a zone."""
    _check_zone(fold, zone)
    return datetime.datetime.fromisoformat(_text(text, _DATETIME)).replace(fold=fold, tzinfo=zone)


def time_text(value: datetime.time) -> str:
    """Return a time without its zone and fold."""
    return (value if value.tzinfo is None else value.replace(tzinfo=None)).isoformat()


def time_of(text: Any, fold: Any, zone: Any) -> datetime.time:
    """Return the time of a text, a fold and a zone."""
    _check_zone(fold, zone)
    return datetime.time.fromisoformat(_text(text, _TIME)).replace(fold=fold, tzinfo=zone)


def bytes_of(node: Any) -> bytes:
    """Return the bytes of base64."""
    if type(node) is not str:
        raise ValueError(f"{type(node).__name__} is not text")
    return binascii.a2b_base64(node, strict_mode=True)


def bytes_node(value: bytes | bytearray) -> str:
    """Return bytes as base64."""
    return base64.b64encode(value).decode()


def _check_zone(fold: Any, zone: Any) -> None:
    if type(fold) is not int or fold not in (0, 1) or not (zone is None or has_base(type(zone), datetime.tzinfo)):
        raise ValueError("a fold or zone that is none")


def _text(node: Any, pattern: re.Pattern[str]) -> str:
    if type(node) is not str or pattern.fullmatch(node) is None:
        raise ValueError(f"{node!r:.60} is not what it should be")
    return node


def _items(node: Any, length: int) -> list[Any]:
    if type(node) is not list or len(node) != length:
        raise ValueError(f"{node!r:.60} is not what it should be")
    return node


def _float(node: Any) -> float:
    if type(node) not in (int, float):
        raise ValueError(f"{type(node).__name__} is not a number")
    return float(node)


def _fraction_node(value: fractions.Fraction) -> list[Any]:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_FRACTION_BITS:
        raise PayloadError("A fraction of more than 65,536 bits cannot be stored. Keep it as a Decimal or a float.")
    return [integer_node(value.numerator), integer_node(value.denominator)]


def _fraction_of(node: Any) -> fractions.Fraction:
    numerator, denominator = map(integer_of, _items(node, 2))
    if max(numerator.bit_length(), denominator.bit_length()) > _MAX_FRACTION_BITS:
        raise ValueError("a fraction that is too long")
    return fractions.Fraction(numerator, denominator)


def _uuid_node(value: uuid.UUID) -> Any:
    return value.hex if value.is_safe is uuid.SafeUUID.unknown else [value.hex, value.is_safe.value]


def _uuid_of(node: Any) -> uuid.UUID:
    text, safe = node if type(node) is list and len(node) == 2 else (node, None)
    if safe is not None and type(safe) is not int:
        raise ValueError("a UUID that is none")
    return uuid.UUID(hex=_text(text, _UUID), is_safe=_SAFE[safe])


def _timedelta_node(value: datetime.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _timedelta_of(node: Any) -> datetime.timedelta:
    parts = _items(node, 3)
    if any(type(part) is not int or abs(part) > 10**9 for part in parts):
        raise ValueError("a timedelta that is none")
    return datetime.timedelta(*parts)


def _timezone_node(value: datetime.timezone) -> list[Any]:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined] # What pickle and copy use.
    return [_timedelta_node(offset), *name]


def _timezone_of(node: Any) -> datetime.timezone:
    offset, *name = node if type(node) is list and len(node) in (1, 2) else [None]
    if any(type(part) is not str for part in name):
        raise ValueError("a timezone that is none")
    return datetime.timezone(_timedelta_of(offset), *name)


def _zone_node(value: zoneinfo.ZoneInfo) -> str:
    if not _is_zone(value.key):
        raise PayloadError(
            f"Time zone {value!r} has no name by which another process could find it. Use a named one, such as a "
            "`ZoneInfo`."
        )
    return value.key


def _zone_of(node: Any) -> zoneinfo.ZoneInfo:
    if type(node) is not str or not _is_zone(node):
        raise ValueError(f"time zone {node!r:.60} is not known here")
    return zoneinfo.ZoneInfo(node)


def _is_zone(name: str) -> bool:
    """Tell whether a time zone may be looked up: any other name would be a path, or a module, that the data chooses."""
    if name in _zones():
        return True
    return _ZONE.fullmatch(name) is not None and any(pathlib.Path(root, name).is_file() for root in zoneinfo.TZPATH)


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _tz_node(value: TzInfo) -> int:
    offset = value.utcoffset(None)
    return 0 if offset is None else offset.days * 86_400 + offset.seconds


def _tz_of(node: Any) -> TzInfo:
    if type(node) is not int or abs(node) >= 86_400:
        raise ValueError("a time zone that is none")
    return TzInfo(node)


def _path_node(value: pathlib.PurePath) -> list[str]:
    name = "Path" if isinstance(value, pathlib.Path) else type(value).__name__
    return [name, str(value)]


def _path_of(node: Any) -> pathlib.PurePath:
    name, text = _items(node, 2)
    if type(name) is not str or type(text) is not str:
        raise ValueError("a path that is none")
    return _PATHS[name](text)


def _decimal_of(node: Any) -> decimal.Decimal:
    return decimal.Decimal(_text(node, _DECIMAL))


def _complex_of(node: Any) -> complex:
    real, imaginary = map(_float, _items(node, 2))
    return complex(real, imaginary)


def _range_node(value: range) -> list[Any]:
    return [integer_node(value.start), integer_node(value.stop), integer_node(value.step)]


def _range_of(node: Any) -> range:
    return range(*map(integer_of, _items(node, 3)))


_KINDS: tuple[tuple[type[Any], str, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    (bytes, "$bytes", bytes_node, bytes_of),
    (complex, "$complex", lambda value: [value.real, value.imag], _complex_of),
    (range, "$range", _range_node, _range_of),
    (decimal.Decimal, "$decimal", str, _decimal_of),
    (fractions.Fraction, "$fraction", _fraction_node, _fraction_of),
    (uuid.UUID, "$uuid", _uuid_node, _uuid_of),
    (
        datetime.date,
        "$date",
        datetime.date.isoformat,
        lambda node: datetime.date.fromisoformat(_text(node, _DATE)),
    ),
    (datetime.timedelta, "$timedelta", _timedelta_node, _timedelta_of),
    (datetime.timezone, "$timezone", _timezone_node, _timezone_of),
    (zoneinfo.ZoneInfo, "$zone", _zone_node, _zone_of),
    (TzInfo, "$tz", _tz_node, _tz_of),
    *(
        (cls, "$path", _path_node, _path_of)
        for cls in (
            pathlib.PurePosixPath,
            pathlib.PureWindowsPath,
            pathlib.PosixPath,
            pathlib.WindowsPath,
        )
    ),
)
LEAVES: dict[type[Any], tuple[str, Callable[[Any], Any]]] = {cls: (tag, node) for cls, tag, node, _ in _KINDS}
"""Exact type -> its tag, and what is written under it."""
LEAF_READERS: dict[str, Callable[[Any], Any]] = {
    INTEGER: lambda node: integer_of({INTEGER: node}),
    **{tag: reader for _, tag, _, reader in _KINDS},
}
"""Tag -> what makes the value of what is under it."""
STANDARD_CLASSES: tuple[type[Any], ...] = (*LEAVES, datetime.datetime, datetime.time, pathlib.PurePath, pathlib.Path)
"""Standard classes that need no declaration beside the builtin ones."""
