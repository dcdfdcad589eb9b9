"""An unpickler that can only put data together: it names allowed classes, and calls next to nothing.

The framework's restricted unpickler checks names and then lets the pickle call and change whatever it named. This one
also checks what each opcode is applied to: a class of the framework is never called (its instances are made by
`__new__` and filled), a declared class may be, functions are limited to our own helpers, and nothing that outlives the
load, such as a class, a function or an enum member, can be changed.
"""

from __future__ import annotations

import enum
import io
import pickle  # The pure Python unpickler, with most of its opcodes taken away.
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..framework.catalog import CALLABLE_CLASSES, PLAIN_CLASSES, TypeCatalog, type_key
from ..framework.internals import is_framework_module

_OPCODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_LOAD: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
_HARMLESS = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "MEMOIZE", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "EMPTY_SET", "FROZENSET"),
    "STACK_GLOBAL",
)

_FILLING = {"APPEND": 2, "SETITEM": 3, "APPENDS": 0, "SETITEMS": 0, "ADDITEMS": 0}
"""Opcodes that fill a collection, and how deep on the stack it lies; 0 for below the last mark."""


def _on_container(name: str, depth: int) -> Callable[[Any], None]:
    """Wrap an opcode that fills a collection by calling a method of it: on a class that could be any function."""
    load = _LOAD[_OPCODES[name]]

    def checked(unpickler: Any) -> None:
        target = unpickler.stack[-depth] if depth else unpickler.metastack[-1][-1]
        if _is_class(target):
            raise pickle.UnpicklingError(f"{target!r} is not a collection")
        load(unpickler)

    return checked


class CheckpointUnpickler(pickle._Unpickler):
    """Reads one pickle of protocol 5.

    Args:
        data: The pickle.
        catalog: The classes that may be part of it.
        helpers: Functions that may be called, by `module:name`.
    """

    stack: list[Any]
    metastack: list[list[Any]]

    def __init__(self, data: bytes, catalog: TypeCatalog, helpers: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(io.BytesIO(data))
        self._size = len(data)
        self._catalog = catalog
        self._helpers = helpers
        self._callable = set(helpers.values())
        self._instantiable: dict[type[Any], bool] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed class or a helper; never imports anything.

        Raises:
            UnpicklingError: For every other name.
        """
        key = f"{module}:{name}"
        found = self._helpers.get(key) or self._catalog.resolve(key)
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name} is not a type this workflow declares, or is not imported")
        return found

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not (_is_class(function) and self._may_call(function)) and function not in self._callable:
            raise pickle.UnpicklingError(f"{function!r} must not be called")
        self.stack[-1] = function(*arguments)

    def _new_object(self) -> None:
        arguments = self.stack.pop()
        self._instantiate(self.stack.pop(), arguments, {})

    def _new_object_ex(self) -> None:
        keywords, arguments = self.stack.pop(), self.stack.pop()
        self._instantiate(self.stack.pop(), arguments, keywords)

    def _instantiate(self, cls: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if not self._may_instantiate(cls):
            raise pickle.UnpicklingError(f"{cls!r} must not be instantiated")
        self.stack.append(cls.__new__(cls, *arguments, **keywords))

    def _build(self) -> None:
        instance = self.stack[-2]
        if not self._may_instantiate(type(instance)):
            raise pickle.UnpicklingError(f"{instance!r} must not be changed")
        _LOAD[_OPCODES["BUILD"]](self)

    def _bytearray(self) -> None:
        size = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        if size > self._size:
            raise pickle.UnpicklingError("a bytearray claims more bytes than there are")
        self.stack.append(bytearray(self.read(size)))  # type: ignore[attr-defined]

    def _may_call(self, cls: type[Any]) -> bool:
        if type_key(cls) in PLAIN_CLASSES:
            return CALLABLE_CLASSES.get(type_key(cls)) is cls
        return self._may_instantiate(cls) and not is_framework_module(cls.__module__)

    def _may_instantiate(self, cls: Any) -> bool:
        """Tell whether a pickle may make instances of `cls`; enum members are shared, so they are only looked up."""
        if not _is_class(cls):
            return False
        if cls not in self._instantiable:
            plain = type_key(cls) in PLAIN_CLASSES and type_key(cls) not in CALLABLE_CLASSES and cls is not object
            shared = issubclass(cls, enum.Enum | type)
            self._instantiable[cls] = self._catalog.is_allowed(cls) and not plain and not shared
        return self._instantiable[cls]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **{_OPCODES[name]: _LOAD[_OPCODES[name]] for name in _HARMLESS},
        **{_OPCODES[name]: _on_container(name, depth) for name, depth in _FILLING.items()},
        _OPCODES["REDUCE"]: _reduce,
        _OPCODES["NEWOBJ"]: _new_object,
        _OPCODES["NEWOBJ_EX"]: _new_object_ex,
        _OPCODES["BUILD"]: _build,
        _OPCODES["BYTEARRAY8"]: _bytearray,
    }


def _is_class(value: Any) -> bool:
    # Not isinstance(value, type): an object may claim any class as its own.
    return issubclass(type(value), type)
