"""Frames: the compressed binary part of a superstep's result, a checkpoint and the events' typed payloads.

A frame is zstd over a few length-prefixed parts. A *keyframe* stands alone; a *patch* is compressed with the raw
predecessor checkpoint as dictionary, so that it costs what changed. That needs match tables as large as the dictionary:
zstd's own stop growing at 256 KB of input, and with them a patch of a 5 MB checkpoint was as large as the checkpoint.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import zstandard

from ..encoding.document import MAX_BYTES_VARIABLE, max_checkpoint_bytes
from ..encoding.off_loop import off_loop
from ..errors import CheckpointCorruptedError, PayloadError

_LEVEL = 6
_FAST_LEVEL = 3
"""For patches of some size: half the time, and as small, since nearly all of a patch are a few long matches."""
_LARGE = 512 * 1024
_FAR = 1024 * 1024
"""Size of a keyframe from which copies within it lie too far apart for zstd's own window."""
_VERY_LARGE = 8 * 1024 * 1024
"""Sizes of dictionary and input together, from which the match tables have to grow and `_FAST_LEVEL` misses matches."""
_MAX_LOG, _MAX_HASH_LOG = 27, 24
"""Window of 128 MB, match table of 64 MB while a frame is compressed."""
_MAGIC, _MAGIC_BETWEEN = b"AFT2", b"AFT3"
_SIZES, _SIZES_BETWEEN = struct.Struct("<QQQQ"), struct.Struct("<QQQQQ")
"""The longer ones of a frame with checkpoints between, which is one part more."""
_LENGTH = struct.Struct("<Q")
_SMALL_PATCH = 4 * 1024
_SAMPLE = 64 * 1024
KEYFRAME_EVERY = 100
"""Patches between keyframes; bounds how far a cache miss reads back."""
KEYFRAME_MIN_BYTES = 64 * 1024
"""Patches may add up to the larger of this and the raw checkpoint's compressed size before a keyframe."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts of a frame."""

    checkpoint: bytes
    """Checkpoint as text; empty where nothing was committed."""
    payloads: bytes
    """List of the events' data as text; empty when there is none."""
    entry: bytes = b""
    """Checkpoint as text that a run entered with; only in its first superstep."""
    readable: bytes = b""
    """A JSON array of the events' and requests' data that is too large for their records; empty when there is none."""
    between: tuple[bytes, ...] = ()
    """Checkpoints that the superstep has passed before its last, oldest first: each as a patch on the one after it,
    which holds all that it holds, and more. Who does not ask for them does not pay for them."""

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(map(len, (self.entry, *self.between, self.checkpoint, self.payloads, self.readable)))

    def passed(self, first: int = 0) -> list[bytes]:
        """Return the checkpoints between as text, oldest first.

        Args:
            first: The oldest that is wanted.

        Raises:
            CheckpointCorruptedError: When they do not restore, or together claim more than may be read.
        """
        wanted, limit = self.between[first:], max_checkpoint_bytes()
        try:
            size = sum(map(raw_size, wanted))
        except zstandard.ZstdError as error:
            raise CheckpointCorruptedError(f"A checkpoint in a frame cannot be decompressed: {error}") from error
        if size > limit:
            raise CheckpointCorruptedError(
                f"The checkpoints in a frame claim {size:,} bytes, but at most {limit:,} are read. If you trust this "
                f"data, raise {MAX_BYTES_VARIABLE}."
            )
        found = [self.checkpoint]
        for data in reversed(wanted):
            found.append(_decompressed(data, found[-1]))
        return found[:0:-1]


def digest(checkpoint: bytes) -> str:
    """Return a BLAKE2b digest of a raw checkpoint, 16 bytes as hexadecimal.

    It tells damage, and a patch applied to the wrong base. Against an author of false checkpoints only sealing helps:
    whoever can write a checkpoint into history can write its digest beside it.
    """
    return hashlib.blake2b(checkpoint, digest_size=16).hexdigest()


def pack(frame: Frame, base: bytes | None) -> tuple[bytes, bool]:
    """Compress a frame.

    Args:
        frame: What to store.
        base: Raw predecessor checkpoint to patch against, or None for a keyframe.

    Returns:
        The compressed frame, and whether it is a patch: one that would be no smaller than a keyframe is stored as a
        keyframe.

    Raises:
        PayloadError: When the parts are larger than `unpack` would take back.
    """
    raw = _joined(frame)
    limit = max_checkpoint_bytes()
    if len(raw) > limit:
        raise PayloadError(
            f"A superstep's result takes {len(raw):,} bytes: its checkpoint {len(frame.checkpoint):,}, the one it "
            f"started from {len(frame.entry):,} and its events {len(frame.payloads):,}. At most {limit:,} can be read "
            f"back. Keep a reference to the data in the state, or raise {MAX_BYTES_VARIABLE}."
        )
    patch = _compress(raw, base) if base else None
    # A small patch is a good one, and so is one smaller than the first part of a keyframe would be; any other is worth
    # compressing everything a second time to compare.
    if patch is not None and len(patch) <= min(_SMALL_PATCH, len(raw) // 64):
        return patch, True
    if patch is not None and len(raw) > _SAMPLE and len(patch) <= len(_compress(raw[:_SAMPLE], None)):
        return patch, True
    keyframe = _compress(raw, None)
    if patch is not None and len(patch) < len(keyframe):
        return patch, True
    return keyframe, False


def unpack(data: bytes, base: bytes | None) -> Frame:
    """Restore what `pack` compressed.

    Raises:
        CheckpointCorruptedError: When the bytes are no frame, or `base` is not what they were packed against.
    """
    try:
        size, limit = raw_size(data), max_checkpoint_bytes()
        if size > limit:
            raise CheckpointCorruptedError(
                f"A checkpoint frame claims {size:,} bytes, but at most {limit:,} are read. If you trust this data, "
                f"raise {MAX_BYTES_VARIABLE}."
            )
    except zstandard.ZstdError as error:
        raise CheckpointCorruptedError(f"A checkpoint frame cannot be decompressed: {error}") from error
    raw = _decompressed(data, base)
    sizes = _SIZES_BETWEEN if raw.startswith(_MAGIC_BETWEEN) else _SIZES
    start = len(_MAGIC) + sizes.size
    if len(raw) < start or not raw.startswith((_MAGIC, _MAGIC_BETWEEN)):
        raise CheckpointCorruptedError("A checkpoint frame has an invalid header.")
    parts: list[bytes] = []
    for size in sizes.unpack_from(raw, len(_MAGIC)):
        parts.append(raw[start : start + size])
        start += size
    if start != len(raw):
        raise CheckpointCorruptedError("The parts of a checkpoint frame do not add up to its size.")
    between = tuple(_split(parts[4])) if len(parts) > 4 else ()
    return Frame(checkpoint=parts[0], entry=parts[1], payloads=parts[2], readable=parts[3], between=between)


def patch(raw: bytes, other: bytes | None) -> bytes:
    """Compress a checkpoint as a patch on another: for `Frame.between` the one that follows it."""
    return _compress(raw, other)


def unpatched(data: bytes, other: bytes | None) -> bytes:
    """Restore what `patch` compressed.

    Raises:
        CheckpointCorruptedError: When it does not restore, or claims more than may be read.
        ZstdError: When it is no frame of zstd.
    """
    if raw_size(data) > max_checkpoint_bytes():
        raise CheckpointCorruptedError(f"A checkpoint claims {raw_size(data):,} bytes, more than may be read.")
    return _decompressed(data, other)


def _joined(frame: Frame) -> bytes:
    parts = [frame.checkpoint, frame.entry, frame.payloads, frame.readable]
    if not frame.between:
        return b"".join((_MAGIC, _SIZES.pack(*map(len, parts)), *parts))
    parts.append(b"".join(piece for raw in frame.between for piece in (_LENGTH.pack(len(raw)), raw)))
    return b"".join((_MAGIC_BETWEEN, _SIZES_BETWEEN.pack(*map(len, parts)), *parts))


def _split(part: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(part):
        end = start + _LENGTH.size
        size = _LENGTH.unpack_from(part, start)[0] if end <= len(part) else len(part)
        start = end + size
        if start > len(part):
            raise CheckpointCorruptedError("The checkpoints in a checkpoint frame do not add up to its size.")
        yield part[end:start]


def raw_size(data: bytes) -> int:
    """Return the size that a frame claims to have unpacked; larger than any limit where it does not say.

    Raises:
        ZstdError: When it is no frame of zstd.
    """
    return zstandard.get_frame_parameters(data).content_size


async def packed(frame: Frame, base: bytes | None) -> tuple[bytes, bool]:
    """Do as `pack`, beside the event loop where it takes long."""
    return await off_loop(frame.size, lambda: pack(frame, base))


async def unpacked(data: bytes, base: bytes | None, check: Callable[[Frame], None] | None = None) -> Frame:
    """Do as `unpack`, beside the event loop where it takes long.

    Args:
        data: The frame.
        base: The raw checkpoint that it was packed against.
        check: Is given the frame there, and may raise.
    """

    def work() -> Frame:
        frame = unpack(data, base)
        if check is not None:
            check(frame)
        return frame

    try:
        size = raw_size(data)
    except zstandard.ZstdError:
        size = 0  # What is wrong is for `unpack` to say.
    return await off_loop(size, work)


def wants_keyframe(chain_length: int, chain_bytes: int, raw_bytes: int) -> bool:
    """Tell whether the next checkpoint should stand alone.

    Args:
        chain_length: Patches since the last keyframe.
        chain_bytes: Their total size.
        raw_bytes: Size of the raw checkpoint, of which a keyframe takes about a third.
    """
    return chain_length >= KEYFRAME_EVERY or chain_bytes > max(KEYFRAME_MIN_BYTES, raw_bytes // 3)


def _decompressed(data: bytes, base: bytes | None) -> bytes:
    try:
        dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
        decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << _MAX_LOG)
        return decompressor.decompress(data, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise CheckpointCorruptedError(f"A checkpoint frame cannot be decompressed: {error}") from error


def _compress(raw: bytes, base: bytes | None) -> bytes:
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    return zstandard.ZstdCompressor(
        compression_params=_parameters(len(raw), len(base) if base else 0), dict_data=dictionary
    ).compress(raw)


def _parameters(size: int, base_size: int) -> zstandard.ZstdCompressionParameters:
    common = {"source_size": size, "dict_size": base_size, "write_checksum": True}
    total = size + base_size
    if not base_size and size > _FAR:
        # Events hold copies of what the checkpoint holds, and readable ones of what they hold.
        log = min(_MAX_LOG, (size - 1).bit_length())
        return zstandard.ZstdCompressionParameters.from_level(_LEVEL, window_log=log, enable_ldm=True, **common)
    if not base_size or total < _LARGE:
        return zstandard.ZstdCompressionParameters.from_level(_LEVEL, **common)
    log = min(_MAX_LOG, (total - 1).bit_length())
    if total < _VERY_LARGE:
        return zstandard.ZstdCompressionParameters.from_level(
            _FAST_LEVEL, window_log=log, hash_log=log - 4, chain_log=log - 5, **common
        )
    return zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, window_log=log, hash_log=min(_MAX_HASH_LOG, log - 2), **common
    )
