"""Looking at classes and modules without asking them: no descriptor, metaclass or `__getattr__` has a say."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import PurePath
from typing import Any

MAIN = "__main__"
ABSENT: Any = object()
"""Stands for what a class does not have."""
mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
"""Return a class and those it derives from."""
namespace: Callable[[type], dict[str, Any]] = type.__dict__["__dict__"].__get__
"""Return what a class itself defines."""
_module: Callable[[type], str] = type.__dict__["__module__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module_namespace: Any = vars(types.ModuleType)["__dict__"].__get__


def is_class(value: Any) -> bool:
    """Tell whether a value is a class; an object may claim any class as its own."""
    return type in mro(type(value))


def type_key(cls: type[Any]) -> str:
    """Return `module:qualname`, the name of a class in checkpoints and on the wire.

    A class of the script that runs here has the name by which other processes import it.
    """
    module = _module(cls)
    return f"{main_module() if module == MAIN else module}:{_qualname(cls)}"


def main_module() -> str:
    """Return the name by which other processes import the script that runs here; `__main__` where it has none.

    Of `python -m package.module` that is its own, of `python module.py` the file's.
    """
    names = _module_namespace(sys.modules[MAIN])
    spec, file = names.get("__spec__"), names.get("__file__")
    if isinstance(spec, ModuleSpec):
        return spec.name
    path = PurePath(file) if isinstance(file, str) else PurePath()
    return path.stem if path.suffix == ".py" and path.stem.isidentifier() else MAIN


def class_attribute(cls: type[Any], name: str) -> Any:
    """Return what a class has under a name, as it lies in the namespaces; `ABSENT` if nothing does."""
    for owner in mro(cls):
        found = namespace(owner).get(name, ABSENT)
        if found is not ABSENT:
            return found
    return ABSENT


def has_base(cls: type[Any], *bases: type[Any]) -> bool:
    """Tell whether a class derives from one of others, or is one: no `__subclasscheck__` is asked."""
    return any(owner is base for owner in mro(cls) for base in bases)


def loaded_class(key: str) -> type[Any] | None:
    """Return the class named `module:qualname` from the modules this process has already imported.

    Looks into namespaces and not through attributes: a module's `__getattr__` would import.
    """
    module, _, qualname = key.partition(":")
    # A script that some module of its own imports once more is there twice; the workflow is built by the one that runs.
    loaded = sys.modules.get(MAIN if module == main_module() else module)
    names = _module_namespace(loaded) if isinstance(loaded, types.ModuleType) else {}
    found: Any = None
    for part in qualname.split("."):
        found = names.get(part)
        if not is_class(found):
            return None
        names = namespace(found)
    return found  # type: ignore[no-any-return] # A class, by the loop.
