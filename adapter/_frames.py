"""Frames: the compressed binary part of a superstep's result, a checkpoint and the events' typed payloads.

A frame is zstd over a few length-prefixed parts. A *keyframe* stands alone; a *patch* is compressed with the raw
predecessor checkpoint as dictionary, so that it costs what changed. `dict_size` in the parameters matters: without it
the match finder's tables are sized for the small output and a patch came out 20 times larger.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import zstandard

from ._errors import CheckpointCorruptedError, PayloadError

_LEVEL = 6
_MAGIC = b"AFT1"
_SIZES = struct.Struct("<QQQ")
MAX_RAW_BYTES = 512 * 1024 * 1024
"""A frame that claims more is refused before memory is taken, and none is written."""
_SMALL_PATCH = 4 * 1024
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
    """Return the SHA-256 of a raw checkpoint, hexadecimal."""
    return hashlib.sha256(checkpoint).hexdigest()


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
    # A small patch is a good one; any other is worth compressing a second time to compare.
    if patch is not None and len(patch) <= min(_SMALL_PATCH, len(raw) // 64):
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
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, source_size=len(raw), dict_size=len(base) if base else 0, write_checksum=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters, dict_data=dictionary).compress(raw)
