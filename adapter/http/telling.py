"""JSON as it is sent, whatever is in it: a client that cannot read one value would have nothing of the whole."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json, to_json

from ...workflows.value_limits import legible

_LINE_ENDS = tuple((text.encode(), f"\\u{ord(text):04x}".encode()) for text in "\x85\u2028\u2029")
"""To some readers of lines; in JSON they are nowhere but in texts."""


def told(data: Any) -> Any:
    """Return JSON data as it can be sent, with words or marks for what is no Unicode, or too deep."""
    try:
        to_json(data)
    except ValueError:
        return from_json(legible(json.dumps(data, default=str).encode()))
    return data


def line(data: Any) -> bytes:
    """Return JSON data as one line, for whatever takes lines apart."""
    try:
        text = to_json(data, inf_nan_mode="null", serialize_unknown=True)
    except ValueError:
        text = to_json(told(data), inf_nan_mode="null")
    for end, escaped in _LINE_ENDS:
        text = text.replace(end, escaped)
    return text
