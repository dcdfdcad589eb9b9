"""The search attributes of a namespace: whether it knows ours, and their registration."""

from __future__ import annotations

import re
import weakref
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ...workflows.search_attributes import ALL_KEYS
from ..advice import Advice, Step, Way
from ..errors import DurableWorkflowError, SearchAttributesError
from ..logging import data_logger
from .process_exit import settle_at_exit
from .server import is_transient, retried, rpc_errors

_LOGGER = data_logger("agent_framework_temporal")
_TYPES = {
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD: "Keyword",
    IndexedValueType.INDEXED_VALUE_TYPE_INT: "Int",
    IndexedValueType.INDEXED_VALUE_TYPE_DATETIME: "Datetime",
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST: "KeywordList",
}
_UNKNOWN = re.compile("search attribute", re.IGNORECASE)
"""How the server speaks of one that it does not take."""
_registered: weakref.WeakKeyDictionary[Any, dict[str, bool]] = weakref.WeakKeyDictionary()
"""By connection and namespace: whether the attributes were found there, so that it is asked once and not each run."""


async def missing_search_attributes(client: Client) -> list[str]:
    """Return which of our search attributes the client's namespace lacks; one round trip.

    Raises:
        SearchAttributesError: When one is registered with another type.
        DurableWorkflowError: When the server does not let itself be asked.
    """
    settle_at_exit()
    with rpc_errors(client, "list the search attributes"):
        request = ListSearchAttributesRequest(namespace=client.namespace)
        response = await retried(lambda: client.operator_service.list_search_attributes(request, retry=True))
    missing: list[str] = []
    for key in ALL_KEYS:
        found = response.custom_attributes.get(key.name)
        if found is None:
            missing.append(key.name)
        elif found != int(key.indexed_value_type):
            raise SearchAttributesError(
                f"Search attribute {key.name!r} of namespace {client.namespace!r} is registered with a type other "
                f"than {_TYPES[IndexedValueType.ValueType(int(key.indexed_value_type))]}. Remove it, or set "
                "`search_attributes=False`."
            )
    return missing


@exported
async def register_search_attributes(client: Client) -> list[str]:
    """Register what is missing of the search attributes in the client's namespace; needs an operator's permission.

    Runs that begin afterwards show themselves there. Costs two round trips; the server may take a few seconds to know.

    Returns:
        The names that were added; none when all were there.

    Raises:
        SearchAttributesError: When the server refuses; on Temporal Cloud they are added in the console or with `tcld`.
        ServerUnreachableError: When no server answers.
    """
    try:
        missing = await missing_search_attributes(client)
        if missing:
            request = AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    key.name: IndexedValueType.ValueType(int(key.indexed_value_type))
                    for key in ALL_KEYS
                    if key.name in missing
                },
            )
            with rpc_errors(client, "register search attributes"):
                await retried(lambda: client.operator_service.add_search_attributes(request, retry=True))
    except DurableWorkflowError as error:
        if isinstance(error, SearchAttributesError) or is_transient(error.__cause__):
            raise
        raise SearchAttributesError(
            f"The server did not register search attributes in namespace {client.namespace!r}: {error}. Ask its "
            f"operator to add {all_names()}; on Temporal Cloud use the console or `tcld namespace search-attributes "
            "add`."
        ) from error
    _registered.pop(client.service_client, None)
    return missing


def all_names() -> str:
    """Return names and types of the search attributes, for a message."""
    return ", ".join(
        f"{key.name} ({_TYPES[IndexedValueType.ValueType(int(key.indexed_value_type))]})" for key in ALL_KEYS
    )


async def use_search_attributes(client: Client, wanted: bool | None, *, anew: bool = False) -> bool:
    """Decide whether runs show search attributes: upserting one that is not registered would leave a run stuck.

    Args:
        client: The client that starts them.
        wanted: The option; None for where they are registered.
        anew: Ask again where they were missing before: somebody may have registered them.

    Raises:
        SearchAttributesError: When they are wanted and missing.
    """
    if wanted is False:
        return False
    known = _registered.setdefault(client.service_client, {})
    if client.namespace not in known or ((wanted or anew) and not known[client.namespace]):
        try:
            missing = await missing_search_attributes(client)
        except DurableWorkflowError as error:
            if wanted:
                raise
            _LOGGER.info("Search attributes are not used: %s", error)
            if is_transient(error.__cause__):
                return False  # The next run asks again.
            missing = ["unknown"]
        known[client.namespace] = not missing
        if missing and wanted:
            raise SearchAttributesError(
                Advice(
                    f"Namespace {client.namespace!r} does not know the search attributes {', '.join(missing)}. "
                    "Register them with ",
                    Step(Way.REGISTER),
                    ", or leave `search_attributes` out.",
                )
            )
        if missing:
            _LOGGER.info(
                "Namespace %r does not have this package's search attributes, so threads cannot be searched by state "
                "or workflow. Register them with `agent-framework-temporal attributes register`.",
                client.namespace,
            )
    return known[client.namespace]


def refuse_attributes(error: RPCError, client: Client, attributes: TypedSearchAttributes) -> None:
    """Say which search attributes a start was refused for, if it was.

    Raises:
        SearchAttributesError: When the namespace does not know one, or has it with another type.
    """
    if error.status == RPCStatusCode.INVALID_ARGUMENT and _UNKNOWN.search(error.message):
        kinds = ", ".join(f"{pair.key.name} ({pair.key.indexed_value_type.name})" for pair in attributes)
        raise SearchAttributesError(
            f"Namespace {client.namespace!r} does not accept the search attributes {kinds}: {error.message}. Register "
            "your own with `temporal operator search-attribute create --name ... --type ...`, or omit them."
        ) from error
