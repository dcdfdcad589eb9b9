"""Annotations, such as a request's response type, as data, and back through what the workflow declares.

What a checkpoint holds of an annotation is looked up among those that the graph declares. Only what no executor
declares is put together again: from builtin generics, and classes that the catalog knows. No text is ever a type, and
nothing is subscripted that has a subscript of its own.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from ..errors import PayloadError
from ..framework.catalog import PLAIN_CLASSES, TypeCatalog, generic_args, generic_origin
from ..framework.internals import registered_type_keys
from ..framework.standard import SCALARS, bytes_node, bytes_of, integer_node, integer_of
from ..framework.static import class_attribute, has_base, is_class, type_key
from .enums import member_of
from .layouts import refusal_of

_UNIONS = (typing.Union, types.UnionType)
_CONSTANTS: dict[str, Any] = {"any": typing.Any, "none": type(None), "...": ...}
_MAX_PARTS = 64
"""Of an annotation that the graph does not declare: to build its validator takes the time of its parts."""
_MAX_DEPTH = 16


def annotation_node(annotation: Any, catalog: TypeCatalog) -> Any:
    """Return an annotation as JSON: the closest one that can be put together again.

    Raises:
        PayloadError: Naming the class in it that is not declared.
    """
    node = _node(annotation, catalog, 0)
    if _key(node) not in _declared(catalog) and _parts(node) > _MAX_PARTS:
        raise PayloadError(
            f"{annotation} has more than {_MAX_PARTS} parts. Declare it as the response type of a `response_handler`."
        )
    return node


def annotation_of(node: Any, catalog: TypeCatalog) -> Any:
    """Return the annotation that `annotation_node` wrote; one that the graph declares is that very object.

    Raises:
        ValueError: For any other JSON, and for a class that is not declared.
    """
    declared = _declared(catalog).get(_key(node))
    if declared is not None:
        return declared
    if _parts(node) > _MAX_PARTS:
        raise ValueError("an annotation of too many parts")
    return _built(node, catalog, 0)


def schema_type(annotation: Any, catalog: TypeCatalog) -> Any:
    """Return the graph's own annotation that equals one from a checkpoint, to make a JSON Schema of; None without one.

    One of builtin types alone is as good: nobody's code takes part in its schema.
    """
    if is_class(annotation) and catalog.is_allowed(annotation):
        return annotation
    try:
        node = _node(annotation, catalog, 0)
    except (PayloadError, ValueError):
        return None
    declared = _declared(catalog).get(_key(node))
    if declared is not None:
        return declared
    return annotation if _is_builtin(node) and _parts(node) <= _MAX_PARTS else None


def _declared(catalog: TypeCatalog) -> dict[str, Any]:
    """Return the annotations that a workflow declares, by what is written of them."""
    found = _DECLARED.get(catalog)
    if found is None:
        found = {}
        for annotation in list(catalog.annotations):
            try:
                found.setdefault(_key(_node(annotation, catalog, 0)), annotation)
            except (PayloadError, ValueError):
                continue  # Of a class that cannot be stored: no request of it is ever written.
        _DECLARED[catalog] = found
    return found


_DECLARED: WeakKeyDictionary[TypeCatalog, dict[str, Any]] = WeakKeyDictionary()


def _key(node: Any) -> str:
    return json.dumps(node, separators=(",", ":"))


def _parts(node: Any) -> int:
    """Count the parts of an annotation, up to a few more than it may have."""
    count, waiting = 0, [node]
    while waiting and count <= _MAX_PARTS:
        item = waiting.pop()
        count += 1
        if isinstance(item, list):
            waiting += item[: _MAX_PARTS + 1]
    return count


def _node(annotation: Any, catalog: TypeCatalog, depth: int) -> Any:
    if annotation is None:
        return "none"
    for name, constant in _CONSTANTS.items():
        if annotation is constant:
            return name
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _node(annotation.__origin__, catalog, depth)
    if depth > _MAX_DEPTH:
        return "any"
    if origin in _UNIONS:
        return ["union", *(_node(arg, catalog, depth + 1) for arg in typing.get_args(annotation))]
    if origin is typing.Literal:
        return ["literal", *map(_literal_node, typing.get_args(annotation))]
    if is_class(annotation):
        return _generic_node(annotation, generic_origin(annotation), generic_args(annotation), catalog, depth)
    if is_class(origin):
        bare = not hasattr(annotation, "__args__")
        return _generic_node(origin, origin, typing.get_args(annotation), catalog, depth, bare=bare)
    return "any"  # A type variable, a new type, a text: nothing a value could be checked against.


def _generic_node(
    cls: type[Any], origin: Any, args: tuple[Any, ...], catalog: TypeCatalog, depth: int, *, bare: bool = True
) -> Any:
    """Return a class, or an alias of one, `bare` if it is not parametrized where `args` are empty: `tuple[()]` is."""
    if not catalog.is_allowed(cls):
        raise PayloadError(refusal_of(cls))
    # The arguments of a callable are a list, which no alias takes back; nobody sends a callable anyway.
    if (bare and not args) or any(isinstance(arg, list) for arg in args):
        return type_key(origin)
    return ["of", type_key(origin), *(_node(arg, catalog, depth + 1) for arg in args)]


def _literal_node(member: Any) -> Any:
    if isinstance(member, enum.Enum):
        return ["enum", type_key(type(member)), member.name]
    if type(member) is bytes:
        return ["bytes", bytes_node(member)]
    if type(member) is int:
        return integer_node(member)
    if type(member) not in SCALARS:
        raise ValueError(f"{member!r} is not a member of a Literal")
    return member


def _built(node: Any, catalog: TypeCatalog, depth: int) -> Any:
    if depth > _MAX_DEPTH + 1:
        raise ValueError("an annotation that is too deep")
    if type(node) is str:
        if node in _CONSTANTS:
            return _CONSTANTS[node]
        return _silent_class(node, catalog) if depth else _class(node, catalog)
    if type(node) is not list or len(node) < 2:
        raise ValueError(f"{node!r:.60} is not an annotation")
    kind, *rest = node
    if kind == "union":
        return typing.Union[tuple(_built(arg, catalog, depth + 1) for arg in rest)]  # noqa: UP007 - they are a tuple.
    if kind == "literal":
        return typing.Literal[tuple(_literal(member, catalog) for member in rest)]
    if kind != "of" or type(rest[0]) is not str:
        raise ValueError(f"{node!r:.60} is not an annotation")
    origin = _silent_class(rest[0], catalog)
    args = tuple(_built(arg, catalog, depth + 1) for arg in rest[1:])
    if has_base(origin, BaseModel):
        return _registered(origin, args)
    if class_attribute(origin, "__class_getitem__") is class_attribute(object, "__class_getitem__"):
        return typing.Any  # It is generic no more.
    return types.GenericAlias(origin, args)


def _class(key: str, catalog: TypeCatalog) -> type[Any]:
    found = catalog.resolve(key)
    if found is None:
        raise ValueError(f"{key.replace(':', '.'):.200} is not a type this workflow declares, or is not imported")
    return found


def _silent_class(key: str, catalog: TypeCatalog) -> type[Any]:
    """Return a class to be part of a union or an alias, which ask the metaclass of what they are made of."""
    found = _class(key, catalog)
    for name in ("__eq__", "__hash__", "__getattr__", "__getattribute__"):
        module = getattr(class_attribute(type(found), name), "__module__", "")
        if module and module.partition(".")[0] not in ("abc", "enum", "typing", "typing_extensions", "pydantic"):
            raise ValueError(
                f"{type_key(found)} has a metaclass that would be called; declare the type that it is part of"
            )
    return found


def _registered(origin: type[Any], args: tuple[Any, ...]) -> type[Any]:
    """Return a parametrized model that somebody has made and registered; none is made here, as that runs its code."""
    for found in type.__subclasses__(origin):
        given = generic_args(found)
        same = len(given) == len(args) and all(one is other for one, other in zip(given, args, strict=True))
        if same and type_key(found) in registered_type_keys():
            return found
    raise ValueError(f"{type_key(origin)} with these arguments is not a type this workflow declares")


def _literal(node: Any, catalog: TypeCatalog) -> Any:
    if type(node) is dict:
        return integer_of(node)
    if type(node) is not list:
        return node
    if len(node) == 2 and node[0] == "bytes":
        return bytes_of(node[1])
    if len(node) == 3 and node[0] == "enum" and type(node[1]) is str and type(node[2]) is str:
        return member_of(_class(node[1], catalog), node[2])
    raise ValueError(f"{node!r:.60} is not a member of a Literal")


def _is_builtin(node: Any) -> bool:
    if type(node) is list:
        return node[0] == "literal" or all(_is_builtin(part) for part in node[1:])
    return node in _CONSTANTS or node in PLAIN_CLASSES
