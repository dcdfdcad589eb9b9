"""External storage in a folder: payloads that are too large for Temporal, for a single host or a shared file system."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from ...workflows.exported import exported

_DIGITS = frozenset("0123456789abcdef")


@exported
class FileStorageDriver(StorageDriver):
    """Keeps large payloads as files named by their SHA-256, for `ExternalStorage(drivers=[FileStorageDriver(folder)])`.

    Give it to the data converter of every client and worker that reads the threads, with the same folder. A payload
    that is there already is not written again, a file is complete or not there, and what is read is checked against its
    digest. Files are never deleted: those of threads past their retention can be removed by age.

    Args:
        folder: Where the files are; made when the first is written. It has to be as durable as the threads.
        driver_name: Name in the references; to use two of them, name them apart.
        max_payload_size: Largest payload it takes, in bytes; 512 MB.

    Cost: a payload takes a hash, a write and an fsync in a thread, a few milliseconds for each MB, and no history
    beyond a reference of about 300 bytes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        driver_name: str = "agent-framework.file",
        max_payload_size: int = 512 * 1024 * 1024,
    ) -> None:
        if max_payload_size < 1:
            raise ValueError(f"`max_payload_size` must be 1 or more, got {max_payload_size!r}.")
        self._folder = Path(folder)
        self._name = driver_name
        self._max_payload_size = max_payload_size

    def name(self) -> str:
        """Return the driver's name."""
        return self._name

    def type(self) -> str:
        """Return the type of driver."""
        return "agent-framework.file"

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        """Write payloads.

        Raises:
            ValueError: When one is too large.
            OSError: When the folder cannot be written to.
        """
        return [await asyncio.to_thread(self._store, payload) for payload in payloads]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Read payloads.

        Raises:
            ValueError: When a reference is not one of this driver's, or a file was altered.
            OSError: When a file is not there.
        """
        return [await asyncio.to_thread(self._retrieve, claim) for claim in claims]

    def _store(self, payload: Payload) -> StorageDriverClaim:
        data = payload.SerializeToString(deterministic=True)
        if len(data) > self._max_payload_size:
            raise ValueError(
                f"A payload takes {len(data):,} bytes, more than the {self._max_payload_size:,} that {self._name!r} "
                "accepts. Keep a reference in the state instead of the data, or raise `max_payload_size`."
            )
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        # An interrupted host may leave a file of another length behind, whatever is done against it.
        if not path.exists() or path.stat().st_size != len(data):
            _write(path, data)
        return StorageDriverClaim(claim_data={"sha256": digest})

    def _retrieve(self, claim: StorageDriverClaim) -> Payload:
        digest = claim.claim_data.get("sha256", "")
        if len(digest) != 64 or not _DIGITS.issuperset(digest):  # It becomes part of a path.
            raise ValueError(f"Reference {dict(claim.claim_data)!r} does not belong to {self._name!r}.")
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"External payload {digest} is not in {str(self._folder)!r}: point this process at the folder that "
                "the threads were written with, or restore the file."
            ) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"External payload {str(path)!r} does not match its digest: the file was altered.")
        return Payload.FromString(data)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or not there, also after a crash of the host."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
