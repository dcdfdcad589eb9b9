"""The codec server: Temporal's protocol, the browser's rules, and who may ask."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agent_framework_temporal import SealingCodec, codec_app
from agent_framework_temporal.adapter.commands.codec_server import main
from aiohttp.test_utils import TestClient, TestServer

_KEY = os.urandom(32)
_UI = "http://localhost:8233"


@asynccontextmanager
async def _server(**options: Any) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(codec_app(SealingCodec({"k1": _KEY}), **options))) as client:
        yield client


def _payloads(data: bytes = b'"hi"') -> dict[str, Any]:
    encoding = base64.b64encode(b"json/plain").decode()
    return {"payloads": [{"metadata": {"encoding": encoding}, "data": base64.b64encode(data).decode()}]}


@pytest.mark.parametrize("prefix", ["", "/default"])
async def test_there_and_back(prefix: str) -> None:
    async with _server() as client:
        sealed = await (await client.post(f"{prefix}/encode", json=_payloads())).json()
        assert b"hi" not in base64.b64decode(sealed["payloads"][0]["data"])
        response = await client.post(f"{prefix}/decode", json=sealed, headers={"Origin": _UI, "X-Namespace": "default"})
        opened = await response.json()
        assert opened["payloads"][0]["data"] == _payloads()["payloads"][0]["data"]
        assert response.headers["Access-Control-Allow-Origin"] == _UI
        assert response.headers["Cache-Control"] == "no-store"


async def test_preflight_of_a_browser() -> None:
    async with _server() as client:
        headers = {"Origin": _UI, "Access-Control-Request-Method": "POST"}
        response = await client.options("/decode", headers=headers)
        assert response.status == 204
        allowed = response.headers["Access-Control-Allow-Headers"].lower()
        assert {"content-type", "x-namespace", "authorization"} <= set(allowed.split(", "))
        stranger = await client.options("/decode", headers={**headers, "Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in stranger.headers


async def test_token() -> None:
    async with _server(token="t0ken") as client:  # noqa: S106 - of the test
        for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "t0ken"}):
            assert (await client.post("/decode", json=_payloads(), headers=headers)).status == 401
        assert (await client.post("/decode", json=_payloads(), headers={"Authorization": "bearer t0ken"})).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"payloads": 3}', b'{"other": 1}', b"[" * 100_000])
async def test_what_is_no_payloads(body: bytes) -> None:
    async with _server() as client:
        response = await client.post("/decode", data=body, headers={"Origin": _UI})
        assert response.status == 400
        assert response.headers["Access-Control-Allow-Origin"] == _UI


async def test_other_paths_and_methods() -> None:
    async with _server() as client:
        assert (await client.get("/decode")).status == 405
        assert (await client.post("/other", json={})).status == 404


def test_start_that_cannot_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AGENT_FRAMEWORK_TEMPORAL_KEYS", raising=False)
    assert main([]) == 2
    assert "There are no keys" in capsys.readouterr().err
    monkeypatch.setenv("AGENT_FRAMEWORK_TEMPORAL_KEYS", f"k1={base64.b64encode(_KEY).decode()}")
    assert main(["--host", "0.0.0.0"]) == 2  # noqa: S104 - it is refused
    assert "lets others decode everything" in capsys.readouterr().err


async def test_command(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"k1={base64.b64encode(_KEY).decode()}\n")
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            "from agent_framework_temporal.adapter.commands.codec_server import command; command()",
        ),
        *("--keys-file", str(keys), "--port", "18081"),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        assert b"http://127.0.0.1:18081" in await process.stdout.readline()
        async with aiohttp.ClientSession() as session:
            response = await session.post("http://127.0.0.1:18081/encode", data=json.dumps(_payloads()))
            assert response.status == 200
    finally:
        process.terminate()
        await process.wait()
    assert process.returncode == 0
