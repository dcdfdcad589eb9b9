"""Clients of the test server that are set up in each way in which a payload may be unreadable."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent_framework_temporal import FileStorageDriver, sealing_data_converter
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import DataConverter, ExternalStorage, PayloadCodec

KEYS = {"k1": os.urandom(32)}


class Picky(PayloadCodec):
    """A codec that raises for whatever it has not encoded itself."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"picky"}, data=payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if any(payload.metadata.get("encoding") != b"picky" for payload in payloads):
            raise ValueError("this is none of mine")
        return [Payload.FromString(payload.data) for payload in payloads]


def with_converter(client: Client, converter: DataConverter) -> Client:
    """Return a client of the same server with another data converter."""
    config = client.config()
    config["data_converter"] = converter
    return Client(**config)


def storing(folder: Path, converter: DataConverter = DataConverter.default, **options: Any) -> DataConverter:
    """Return a data converter that keeps in a folder what takes 1,000 bytes."""
    options = {"payload_size_threshold": 1_000, **options}
    return dataclasses.replace(
        converter, external_storage=ExternalStorage(drivers=[FileStorageDriver(folder)], **options)
    )


def converters(folder: Path) -> dict[str, DataConverter]:
    """Return the data converters by name."""
    picky = dataclasses.replace(DataConverter.default, payload_codec=Picky())
    return {
        "plain": DataConverter.default,
        "stored": storing(folder),
        "codec": picky,
        "stored-codec": storing(folder, picky),
        "sealed": sealing_data_converter(keys=KEYS),
        "stored-sealed": sealing_data_converter(storing(folder), keys=KEYS),
    }
