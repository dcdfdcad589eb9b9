"""The text of a stored value: three lines of JSON, and the bounds that writer and reader hold it to.

    {"v":1,"shapes":{"Draft~3f2a01":["my_workflow:Draft",["topic","words","author"],[2]]}}
    [...]
    {"$o":["Draft~3f2a01","trains",["hello"]]}

The first line names the classes of the objects and their attributes, with those that are None. The second holds what is
part of the value more than once, or lies too deep in it, by number. The third is the value. JSON stands for itself; all
else is an object whose only key begins with `$` (`encoding.py` writes them, `decoding.py` reads them). So a value is
the same text wherever it is part of something, which a patch says in one reference, and can be read without its types.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import to_json

from ..errors import PayloadError

FORMAT = 1
OBJECT, CONTENT, REFERENCE = "$o", "$of", "$r"
"""Keys of an object's attributes, of what one of a builtin class contains beside them, and of a number."""
NESTING = 80
"""Levels of a value in one line; what lies deeper is given a number. So no reader recurses deeper, and an executor that
is deep in calls can still be read in."""
MAX_DEPTH = 500
"""Levels of a value at most. Python itself copies no value that is deeper than about 300."""
MAX_BYTES_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_MAX_CHECKPOINT_BYTES"
_DEFAULT_MAX_BYTES = 64 * 1024 * 1024
_BYTES_A_VALUE, _BYTES_A_CONTAINER = 16, 64
"""Of the configured limit, for each value and each list or object: a list in two bytes of JSON takes 72 of memory."""
_MAX_PLAIN = 100_000
_CHUNK = 1024 * 1024
_LINES = 3


def max_checkpoint_bytes() -> int:
    """Return how many bytes of checkpoints and events a superstep may store and any process reads back.

    64 MiB, or what the environment variable AGENT_FRAMEWORK_TEMPORAL_MAX_CHECKPOINT_BYTES says. Workers and callers
    need the same. Decoding takes at most about 20 times as much memory.

    Raises:
        PayloadError: When the variable is no positive number.
    """
    text = os.environ.get(MAX_BYTES_VARIABLE)
    if not text:
        return _DEFAULT_MAX_BYTES
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 19) or int(text) == 0:
        raise PayloadError(f"{MAX_BYTES_VARIABLE} is {text!r}. Set it to a number of bytes, for example 67108864.")
    return int(text)


def max_attributes() -> int:
    """Return how many attributes that are None the objects of one value may have: they take no text of their own."""
    return max_checkpoint_bytes() // 4


class Document:
    """A value's text, parsed but not decoded.

    Args:
        shapes: Class key, attributes and which of them are None, by name.
        parts: What references name, by index.
        body: The value.
    """

    def __init__(self, shapes: dict[str, Any], parts: list[Any], body: Any) -> None:
        self.shapes = shapes
        self.parts = parts
        self.body = body

    def fields(self, node: Any) -> tuple[str, dict[str, Any]]:
        """Return the class key of an object and its attributes, not decoded; no class is resolved.

        Raises:
            ValueError: When the node is no object.
        """
        shape, *values = self._followed(node)[OBJECT]
        key, names, empty = self.shapes[shape]
        absent = set(empty)
        given = iter(values)
        return key, {name: None if index in absent else next(given) for index, name in enumerate(names)}

    def plain(self, node: Any) -> Any:
        """Return a node as plain JSON data: an object by its attributes, any other kind as it is written.

        Raises:
            ValueError: When it is too deep, or too much once its references are followed.
        """
        return self._plain(node, 0, iter(range(_MAX_PLAIN)))

    def _plain(self, node: Any, depth: int, left: Iterator[int]) -> Any:
        if depth > NESTING or next(left, None) is None:
            raise ValueError("it is too deep, or too much")
        node = self._followed(node)
        if isinstance(node, list):
            return [self._plain(item, depth + 1, left) for item in node]
        if not isinstance(node, dict):
            return node
        if OBJECT in node:
            node = self.fields(node)[1]
        return {key: self._plain(item, depth + 1, left) for key, item in node.items()}

    def _followed(self, node: Any) -> Any:
        if isinstance(node, dict) and REFERENCE in node:
            node = self.parts[node[REFERENCE]]
        return node


def text(node: Any) -> str:
    """Return the JSON of one node.

    Raises:
        ValueError: When it holds an integer of too many digits.
    """
    try:
        data = to_json(node, inf_nan_mode="constants")
    except (ValueError, RecursionError):  # It takes no text but Unicode.
        return _ENCODER.encode(node)
    # It writes integers of any length, which nobody could read; where they are texts of digits all is well.
    return _ENCODER.encode(node) if _has_long_number(data) else data.decode()


def _has_long_number(data: bytes) -> bool:
    """Tell whether there are so many digits in a row that Python refuses an integer of as many."""
    most = sys.get_int_max_str_digits() or MAX_DIGITS
    for place in range(0, len(data), most):
        if 48 <= data[place] < 58:
            before, after = data[max(0, place - most) : place], data[place : place + most + 1]
            digits = len(before) - len(before.rstrip(_DIGITS)) + len(after) - len(after.lstrip(_DIGITS))
            if digits > most:
                return True
    return False


def lines(shapes: Mapping[str, Any], parts: list[Any], body: str) -> bytes:
    """Return the text of a value whose body is JSON already; raises what `write` raises."""
    data = "\n".join((text({"v": FORMAT, "shapes": shapes}), text(parts), body)).encode("utf-8", "surrogatepass")
    excess = _excess(data)
    if excess:
        raise PayloadError(
            f"{excess}. Keep a reference in the state instead of the data, or raise {MAX_BYTES_VARIABLE}."
        )
    return data


def parse(data: bytes) -> Document:
    """Parse the text of a value.

    Raises:
        ValueError: When it is none, or larger than the configured limit.
        RecursionError: When it is nested deeper than anything that `write` writes.
    """
    excess = _excess(data)
    if excess:
        raise ValueError(excess)
    found = data.decode("utf-8", "surrogatepass").split("\n", _LINES)
    if len(found) != _LINES:
        raise ValueError("it is not the text of a stored value")
    decoder = _DECODER if plain_digits() else _CAREFUL_DECODER
    header, parts, body = (decoder.decode(line) for line in found)
    if not isinstance(header, dict) or header.get("v") != FORMAT:
        raise ValueError("it is not the text of a stored value, or one of a newer release")
    if not isinstance(header.get("shapes"), dict) or not isinstance(parts, list):
        raise ValueError("it is not the text of a stored value")
    return Document(header["shapes"], parts, body)


def join(documents: Iterable[bytes]) -> bytes:
    """Put several texts one after the other."""
    return b"\n".join(documents)


def split(data: bytes) -> Iterator[bytes]:
    """Take apart what `join` put together: no line of JSON holds a line break."""
    found = data.split(b"\n")
    for start in range(0, len(found), _LINES):
        yield b"\n".join(found[start : start + _LINES])


def plain_digits() -> bool:
    """Tell whether Python itself refuses integers of too many digits, as it does where nobody has changed that."""
    return 0 < sys.get_int_max_str_digits() <= MAX_DIGITS


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


MAX_DIGITS = 4_300
"""Of an integer in JSON: to read one takes the square of its digits."""
_DIGITS = b"0123456789"
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
_DECODER = json.JSONDecoder()
_CAREFUL_DECODER = json.JSONDecoder(parse_int=_integer)


def _excess(data: bytes) -> str:
    """Say in what a text is over the limits; nothing is parsed."""
    limit = max_checkpoint_bytes()
    if len(data) > limit:
        return f"It takes {len(data):,} bytes; at most {limit:,} can be read back"
    if len(data) // 2 <= limit // _BYTES_A_CONTAINER:
        return ""  # Too short to hold as many.
    values, containers = _count(data)
    if containers > limit // _BYTES_A_CONTAINER:
        return f"It holds {containers:,} lists and objects; at most {limit // _BYTES_A_CONTAINER:,} can be read back"
    if values > limit // _BYTES_A_VALUE:
        return f"It holds {values:,} values; at most {limit // _BYTES_A_VALUE:,} can be read back"
    return ""


def _count(data: bytes) -> tuple[int, int]:
    """Count the values, and the lists and objects among them, of JSON that need not be valid."""
    # Without escapes a quotation mark always begins or ends a text. A backslash outside of one ends the parsing.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    values = containers = 0
    within = 0
    for start in range(0, len(bare), _CHUNK):
        pieces = bare[start : start + _CHUNK].split(b'"')
        outside = b"".join(pieces[within::2])
        within ^= (len(pieces) - 1) & 1
        found = outside.count(b"[") + outside.count(b"{")
        containers += found
        values += found + outside.count(b",")
    return values, containers
