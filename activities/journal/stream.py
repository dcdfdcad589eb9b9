"""Texts one behind the other, compressed as they come: no entry is compressed twice, and each is small by those before.

A journal is written whole with each heartbeat, so that packing it anew each time would cost its square.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

import zstandard

from ...adapter.encoding.document import max_checkpoint_bytes

_LEVEL = 3
_LENGTH = struct.Struct("<I")
_CHUNK = 256 * 1024


class EntryStream:
    """Texts, compressed, oldest first."""

    def __init__(self) -> None:
        self._texts: deque[bytes] = deque()
        self._size = 0
        self._begin()

    def _begin(self) -> None:
        self._compressor: zstandard.ZstdCompressionObj | None = None  # It takes time and memory, and most need none.
        self._packed = bytearray()

    def append(self, text: bytes) -> None:
        """Add a text."""
        self._texts.append(text)
        self._size += len(text)
        self._pack(text)

    def _pack(self, text: bytes) -> None:
        if self._compressor is None:
            self._compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._packed += self._compressor.compress(_LENGTH.pack(len(text)) + text)
        self._packed += self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    @property
    def packed(self) -> bytes:
        """What `entries_of` reads; empty without any text."""
        return bytes(self._packed)

    @property
    def packed_size(self) -> int:
        """Size of `packed`."""
        return len(self._packed)

    @property
    def size(self) -> int:
        """Size of the texts."""
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the texts."""
        return iter(self._texts)

    def keep_newest(self, most_packed: int) -> int:
        """Drop the oldest texts until what is left packs to about this much; returns how many were dropped."""
        dropped = 0
        while self._texts and len(self._packed) > most_packed:
            # By their share of the whole; looked at once more, as texts do not pack alike.
            excess = self._size * (len(self._packed) - most_packed) // len(self._packed) + 1
            while self._texts and excess > 0:
                text = self._texts.popleft()
                self._size -= len(text)
                excess -= len(text)
                dropped += 1
            self._begin()
            for text in self._texts:
                self._pack(text)
        return dropped

    def take_all(self) -> list[bytes]:
        """Return all texts and go on without any."""
        texts = list(self._texts)
        self._texts.clear()
        self._size = 0
        self._begin()
        return texts


def entries_of(packed: bytes) -> Iterator[bytes]:
    """Give back what was packed, as far as it is whole and within the limit of checkpoints.

    The last heartbeat may be of another release, or of anybody who can reach the server: whatever it is, the superstep
    runs, if need be from its beginning.
    """
    data = _unpacked(packed)
    start = 0
    while start + _LENGTH.size <= len(data):
        (size,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if start + size > len(data):
            return
        yield bytes(data[start : start + size])
        start += size


def _unpacked(packed: bytes) -> bytearray:
    data = bytearray()
    if not packed:
        return data
    limit = max_checkpoint_bytes()
    reader = zstandard.ZstdDecompressor().stream_reader(packed)
    try:
        while len(data) < limit:
            chunk = reader.read(min(_CHUNK, limit - len(data)))
            if not chunk:
                break
            data += chunk
    except zstandard.ZstdError:
        pass
    return data
