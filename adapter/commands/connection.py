"""How the commands connect: by Temporal's own client configuration, and by flags that override it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, Plugin
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import RPCError

from ..errors import ServerUnreachableError
from ..temporal.process_exit import settle_at_exit
from ..temporal.sealing import KEYS_VARIABLE, parse_keys, sealing_data_converter
from .exit_codes import UsageError

_CONNECT_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """What a command line says of the connection; None is what the profile says.

    Args:
        address: The server, `host:port`; by default the profile's, else localhost:7233.
        namespace: The namespace; by default the profile's, else `default`.
        profile: Profile of the configuration file; by default `default`.
        config_file: The configuration file; by default Temporal's usual one.
    """

    address: str | None = None
    namespace: str | None = None
    profile: str | None = None
    config_file: str | None = None


def configuration(settings: ConnectionSettings, *, of_file: bool = True) -> ClientConnectConfig:
    """Return what Temporal's configuration says: its file's profile, and the variables that override it.

    Args:
        settings: What the command line says; its address and namespace are not in it.
        of_file: Whether the file counts.

    Raises:
        UsageError: When the profile cannot be used.
    """
    if settings.config_file is not None and not os.path.isfile(settings.config_file):
        raise UsageError(f"there is no configuration file {settings.config_file!r}")
    try:
        return ClientConfig.load_client_connect_config(
            settings.profile, config_file=settings.config_file, disable_file=not of_file
        )
    except Exception as error:
        raise UsageError(f"the connection profile cannot be used: {error}") from error


def converter_of_environment() -> DataConverter | None:
    """Return the data converter that seals with the environment's keys; None where it has none.

    Raises:
        UsageError: When they are no keys.
    """
    if not os.environ.get(KEYS_VARIABLE):
        return None
    try:
        return sealing_data_converter(keys=parse_keys(os.environ[KEYS_VARIABLE]))
    except (ValueError, ImportError) as error:
        raise UsageError(f"payloads cannot be sealed as {KEYS_VARIABLE} says: {error}") from error


async def connect(settings: ConnectionSettings, plugins: Sequence[Plugin] = ()) -> Client:
    """Connect, and make sure that the namespace is there; seal payloads if the environment has keys.

    Args:
        settings: What the command line says.
        plugins: Plugins of the client.

    Raises:
        UsageError: When the profile cannot be used.
        ServerUnreachableError: When no server answers, it refuses the credentials, or it has no such namespace.
    """
    config = configuration(settings)
    converter = converter_of_environment()
    sealing = {} if converter is None else {"data_converter": converter}
    address = settings.address or config.get("target_host", "localhost:7233")
    namespace = settings.namespace or config.get("namespace", "default")
    options: dict[str, Any] = {
        **config,
        **sealing,
        "target_host": address,
        "namespace": namespace,
        "plugins": list(plugins),
    }
    settle_at_exit()
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            client = await Client.connect(**options)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (RuntimeError, RPCError, TimeoutError) as error:
        # The cause lies deep in the text of a transport error.
        causes = re.findall(r'message: "([^"]+)"', str(error))
        why = causes[-1] if causes else str(error).rstrip(".") or f"no answer in {_CONNECT_SECONDS} s"
        text = f"cannot use namespace {namespace!r} at {address}: {why}. Set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, "
        text += "or start a local server with agent-framework-temporal-dev-server."
        raise ServerUnreachableError(text) from error
    return client
