"""Frames: the compressed binary part of a superstep's result, a checkpoint and the events' typed payloads.

A frame is zstd over a few length-prefixed parts. A *keyframe* stands alone; a *patch* is compressed with the raw
predecessor checkpoint as dictionary, so that it costs what changed. That needs match tables as large as the dictionary:
zstd's own stop growing at 256 KB of input, and with them a patch of a 5 MB checkpoint was as large as the checkpoint.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import zstandard

from ..errors import CheckpointCorruptedError, PayloadError

_LEVEL = 6
_FAST_LEVEL = 3
"""For patches of some size: half the time, and as small, since nearly all of a patch are a few long matches."""
_LARGE = 512 * 1024
_VERY_LARGE = 8 * 1024 * 1024
"""Sizes of dictionary and input together, from which the match tables have to grow and `_FAST_LEVEL` misses matches."""
_MAX_LOG, _MAX_HASH_LOG = 27, 24
"""Window of 128 MB, match table of 64 MB while a frame is compressed."""
_MAGIC = b"AFT1"
_SIZES = struct.Struct("<QQQ")
MAX_RAW_BYTES = 512 * 1024 * 1024
"""A frame that claims more is refused before memory is taken, and none is written."""
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
    """Pickled checkpoint; empty where nothing was committed."""
    payloads: bytes
    """Pickled list of the events' data; empty when there is none."""
    entry: bytes = b""
    """Pickled checkpoint a run entered with; only in its first superstep."""


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
    parts = (frame.checkpoint, frame.entry, frame.payloads)
    raw = b"".join((_MAGIC, _SIZES.pack(*map(len, parts)), *parts))
    if len(raw) > MAX_RAW_BYTES:
        raise PayloadError(
            f"A superstep's checkpoint and events take {len(raw):,} bytes; at most {MAX_RAW_BYTES:,} can be read back. "
            "Keep a reference in the state instead of the data."
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
        size = zstandard.get_frame_parameters(data).content_size
        if size > MAX_RAW_BYTES:
            raise CheckpointCorruptedError(f"A checkpoint frame claims {size:,} bytes; at most {MAX_RAW_BYTES:,} are.")
        dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
        raw = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(data, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise CheckpointCorruptedError(f"A checkpoint frame cannot be decompressed: {error}") from error
    start = len(_MAGIC) + _SIZES.size
    if len(raw) < start or not raw.startswith(_MAGIC):
        raise CheckpointCorruptedError("A checkpoint frame does not begin as one.")
    parts: list[bytes] = []
    for size in _SIZES.unpack_from(raw, len(_MAGIC)):
        parts.append(raw[start : start + size])
        start += size
    if start != len(raw):
        raise CheckpointCorruptedError("The parts of a checkpoint frame do not add up to its size.")
    return Frame(checkpoint=parts[0], entry=parts[1], payloads=parts[2])


def wants_keyframe(chain_length: int, chain_bytes: int, raw_bytes: int) -> bool:
    """Tell whether the next checkpoint should stand alone.

    Args:
        chain_length: Patches since the last keyframe.
        chain_bytes: Their total size.
        raw_bytes: Size of the raw checkpoint, of which a keyframe takes about a third.
    """
    return chain_length >= KEYFRAME_EVERY or chain_bytes > max(KEYFRAME_MIN_BYTES, raw_bytes // 3)


def _compress(raw: bytes, base: bytes | None) -> bytes:
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    return zstandard.ZstdCompressor(
        compression_params=_parameters(len(raw), len(base) if base else 0), dict_data=dictionary
    ).compress(raw)


def _parameters(size: int, base_size: int) -> zstandard.ZstdCompressionParameters:
    common = {"source_size": size, "dict_size": base_size, "write_checksum": True}
    total = size + base_size
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
