"""External storage in a folder: by content, whole or not there, checked when read."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from agent_framework_temporal import FileStorageDriver
from temporalio.api.common.v1 import Payload
from temporalio.converter import StorageDriverClaim, StorageDriverRetrieveContext, StorageDriverStoreContext

_STORE, _RETRIEVE = StorageDriverStoreContext(), StorageDriverRetrieveContext()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_payloads_come_back(tmp_path: Path) -> None:
    payloads = [Payload(metadata={"encoding": b"json/plain", "frame": bytes(1_000)}, data=b"1"), Payload(data=b"2")]
    claims = await FileStorageDriver(tmp_path / "new" / "folder").store(_STORE, payloads)
    assert await FileStorageDriver(tmp_path / "new" / "folder").retrieve(_RETRIEVE, claims) == payloads
    assert {path.name for path in _files(tmp_path)} == {
        hashlib.sha256(payload.SerializeToString(deterministic=True)).hexdigest() for payload in payloads
    }


async def test_the_same_payload_is_one_file(tmp_path: Path) -> None:
    driver = FileStorageDriver(tmp_path)
    payload = Payload(metadata={"a": b"1", "b": b"2", "c": b"3"}, data=b"x" * 100_000)
    claims = await asyncio.gather(*(driver.store(_STORE, [payload]) for _ in range(20)))
    assert all(claim == claims[0] for claim in claims)
    (path,) = _files(tmp_path)
    written = path.stat().st_mtime_ns
    await driver.store(_STORE, [payload])
    assert path.stat().st_mtime_ns == written
    # A file that an interrupted host has left half is written again.
    path.write_bytes(b"x")
    await driver.store(_STORE, [payload])
    assert await driver.retrieve(_RETRIEVE, claims[0]) == [payload]


async def test_what_it_does_not_take(tmp_path: Path) -> None:
    driver = FileStorageDriver(tmp_path, max_payload_size=100)
    with pytest.raises(ValueError, match=r"more than the 100 that 'agent-framework\.file' accepts"):
        await driver.store(_STORE, [Payload(data=bytes(101))])
    assert _files(tmp_path) == []
    with pytest.raises(ValueError, match="`max_payload_size` must be 1 or more"):
        FileStorageDriver(tmp_path, max_payload_size=0)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "/" * 64, "A" * 64, "0" * 63])
async def test_a_reference_that_is_none(digest: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not belong to 'mine'"):
        await FileStorageDriver(tmp_path, driver_name="mine").retrieve(
            _RETRIEVE, [StorageDriverClaim(claim_data={"sha256": digest})]
        )


async def test_files_that_are_not_what_they_were(tmp_path: Path) -> None:
    driver = FileStorageDriver(tmp_path)
    claims = await driver.store(_STORE, [Payload(data=b"1")])
    (path,) = _files(tmp_path)
    path.write_bytes(b"altered")
    with pytest.raises(ValueError, match="the file was altered"):
        await driver.retrieve(_RETRIEVE, claims)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="point this process at the folder"):
        await driver.retrieve(_RETRIEVE, claims)


async def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        await FileStorageDriver(tmp_path).store(_STORE, [Payload(data=b"1")])
    assert _files(tmp_path) == []
