"""Signals that nobody should send: every way in which one can be wrong, without end."""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent_framework._workflows import _checkpoint_encoding
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

_MARKERS = (_checkpoint_encoding._PICKLE_MARKER, _checkpoint_encoding._TYPE_MARKER)
_HUGE = 1_500_000


class _Exploit:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def _raw(data: bytes, encoding: bytes = b"json/plain", **metadata: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding, **metadata}, data=data))


def signals(seed: int, sentinel: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield names and arguments of signals for ever; none of them is a valid answer to `q0` or `q1`.

    Args:
        seed: Of the random choice.
        sentinel: The file that appears if anything is unpickled or executed.
    """
    random_of = random.Random(seed)
    exploit = pickle.dumps(_Exploit(sentinel))
    text = base64.b64encode(exploit).decode()
    marked = {_MARKERS[0]: text, _MARKERS[1]: "posix:system"}
    number = 0
    while True:
        number += 1
        kinds: list[tuple[str, list[Any]]] = [
            # No JSON.
            ("respond", [_raw(b"{")]),
            ("respond", [_raw(b"\xff\xfe\x00")]),
            ("respond", [_raw(exploit, b"binary/plain")]),
            ("respond", [_raw(exploit, b"python/pickle")]),
            ("respond", [_raw(b"", b"binary/null")]),
            ("respond", [_raw(b"{}", b"json/protobuf", messageType=b"google.protobuf.Any")]),
            ("respond", [_raw(exploit, b"binary/protobuf", messageType=b"no.Such")]),
            ("respond", [_raw(b"[" * 100_000)]),
            ("respond", [_raw(b'{"request_id": "q0", "response": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")]),
            ("respond", [_raw(json.dumps({"request_id": 7}).encode(), **{"agent-framework-frame": exploit})]),
            # JSON of another shape.
            ("respond", []),
            ("respond", [1, 2, 3]),
            ("respond", [None]),
            ("respond", ["q0"]),
            ("respond", [[[{"request_id": "q0"}]]]),
            ("respond", [{"request_id": None, "response": {"amount": 2}}]),
            ("respond", [{"request_id": ["q0"]}]),
            ("respond", [{"request_id": "x" * 100_000}]),
            ("respond", [{"request_id": "q0", "responder": {"name": "eve"}}]),
            ("respond", [{"request_id": f"unknown-{number}", "response": "x" * 1_000}]),
            ("respond", [[{"request_id": f"many-{number}-{index}"} for index in range(random_of.randrange(1_500))]]),
            ("cancel_requests", [{"request_ids": ["q7"]}]),
            ("cancel_requests", [{"request_ids": "q0"}]),
            (f"signal-{number}", [text]),
            ("__temporal_respond" if number % 2 else "__init__", [marked]),
            # Keys that decode elsewhere.
            ("respond", [marked]),
            ("respond", [{"request_id": marked, "response": marked}]),
            ("respond", [{"request_id": f"marked-{number}", "response": marked, "type": "posix:system"}]),
            ("respond", [{"request_id": "", "response": {"__class__": "os.system", "__reduce__": text}}]),
        ]
        if number % 50 == 0:  # Each costs an activity that refuses it.
            kinds = [
                ("respond", [{"request_id": "q0", "response": marked}]),
                ("respond", [{"request_id": "q0", "response": {"amount": marked}, "type": "posix:system"}]),
                ("respond", [{"request_id": "q0", "response": {"amount": 3}}]),
                ("respond", [{"request_id": "q1", "response": "x" * 50_000, "type": "subprocess:Popen"}]),
            ]
        elif number % 100 == 1:
            kinds = [
                ("respond", [{"request_id": f"huge-{number}", "response": "x" * _HUGE}]),
                ("respond", [_raw(b"x" * _HUGE)]),
            ]
        yield random_of.choice(kinds)
