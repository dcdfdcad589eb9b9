"""Reading a message of ours around what nobody can read in it, so that the rest of its thread stays readable.

What is written today can be read. A thread may hold what was written before, or by somebody else.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from ...workflows.messages import RunInput, SuperstepInput, SuperstepOutcome, WireModel
from ...workflows.value_limits import flaw, legible


def read_around(data: bytes, model: type[WireModel], error: ValidationError) -> Any:
    """Read a message that could not be read as it is.

    Args:
        data: Its JSON.
        model: What it should be.
        error: Why it could not be read.

    Returns:
        The message, with words in place of what is too deep or too long, and a `warning` in place of an logged event
        that is none. An input says in `flaw` that it is not as it was sent.

    Raises:
        ValidationError: When it is not that message, or no JSON at all.
    """
    problem = flaw(data) if _is_about_json(error) else None
    readable = legible(data) if problem is not None else data
    try:
        message = model.model_validate_json(readable)
    except ValidationError as invalid:
        places = {item["loc"][1:2] for item in invalid.errors() if item["loc"][:1] == ("events",)}
        elsewhere = any(item["loc"][:1] != ("events",) for item in invalid.errors())
        if not issubclass(model, SuperstepOutcome) or elsewhere or () in places:
            raise
        content = from_json(readable)
        for (place,) in places:
            content["events"][place] = _stand_in(content["events"], place)
        message = model.model_validate(content)
    if isinstance(message, RunInput | SuperstepInput):
        message.flaw = problem
    return message


def _is_about_json(error: ValidationError) -> bool:
    return any(item["type"] == "json_invalid" for item in error.errors())


def _stand_in(records: list[Any], place: Any) -> dict[str, Any]:
    """Return a record to stand in one's place, numbered by its neighbours."""
    offset = 0
    for index, record in enumerate(records):
        found = record.get("offset") if isinstance(record, dict) else None
        if type(found) is int:
            offset = found + place - index
            break
    words = f"Event {place} of this superstep cannot be read."
    return {"offset": offset, "type": "warning", "origin": "FRAMEWORK", "data": words}
