"""Watches which functions run: the proof that data does not choose them."""

from __future__ import annotations

import gc
import sys
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import agent_framework_temporal

PACKAGE = Path(agent_framework_temporal.__file__).resolve().parent
STANDARD = Path(Path.__module__ and types.__file__).resolve().parent


class Calls:
    """The functions that ran, each with how often."""

    def __init__(self) -> None:
        self._codes: Counter[types.CodeType] = Counter()
        self.c: Counter[str] = Counter()
        """Functions of C that code of Python called, as `module.name` or `class.name`."""

    @property
    def python(self) -> set[tuple[str, str]]:
        """(file, name) of functions of Python; files of this package and of the standard library are relative to it."""
        return {(_file(code.co_filename), code.co_qualname) for code in self._codes}

    @property
    def number(self) -> int:
        """How many calls there were."""
        return self._codes.total() + self.c.total()

    def note(self, frame: types.FrameType, event: str, argument: Any) -> None:
        """Take an event of `sys.setprofile`."""
        if event == "call":
            self._codes[frame.f_code] += 1
        elif event == "c_call":
            self.c[_owner(argument)] += 1


@contextmanager
def watched() -> Iterator[Calls]:
    """Watch every call that the body makes in this thread."""
    calls = Calls()
    before = sys.getprofile()
    gc.disable()  # What it calls is nobody's doing.
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        gc.enable()


def _owner(function: Any) -> str:
    name, owner = function.__name__, function.__self__
    if name == "__subclasses__":
        return "type.__subclasses__"
    if isinstance(owner, types.ModuleType):
        return f"{owner.__name__}.{name}"
    cls = owner if isinstance(owner, type) else type(owner)
    defining = next((base for base in cls.__mro__ if name in vars(base)), cls)
    return f"{defining.__name__}.{name}"


def _file(name: str) -> str:
    path = Path(name)
    if name.startswith("<"):
        return name
    path = path.resolve()
    for root, prefix in ((PACKAGE, "package"), (STANDARD, "python")):
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            return f"{prefix}:{path.relative_to(root)}"
    return str(path)
