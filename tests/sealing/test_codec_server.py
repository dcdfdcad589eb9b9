"""The codec server: Temporal's protocol, the browser's rules, and who may ask."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import sys
import zlib
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest
from agent_framework_temporal import SealingCodec, codec_app
from agent_framework_temporal.adapter.commands.codec_server import main
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec, WorkflowSerializationContext

pytestmark = pytest.mark.hostile("F")
_KEY = os.urandom(32)
_UI = "http://localhost:8233"


@asynccontextmanager
async def _server(**options: Any) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(codec_app(SealingCodec({"k1": _KEY}), **options))) as client:
        yield client


_SECRET = b'"the words that nobody is to read"'


def _payloads(data: bytes = _SECRET) -> dict[str, Any]:
    encoding = base64.b64encode(b"json/plain").decode()
    return {"payloads": [{"metadata": {"encoding": encoding}, "data": base64.b64encode(data).decode()}]}


@pytest.mark.parametrize("prefix", ["", "/default"])
async def test_there_and_back(prefix: str) -> None:
    async with _server() as client:
        sealed = await (await client.post(f"{prefix}/encode", json=_payloads())).json()
        assert _SECRET not in base64.b64decode(sealed["payloads"][0]["data"])
        response = await client.post(f"{prefix}/decode", json=sealed, headers={"Origin": _UI, "X-Namespace": "default"})
        opened = await response.json()
        assert opened["payloads"][0]["data"] == _payloads()["payloads"][0]["data"]
        assert response.headers["Access-Control-Allow-Origin"] == _UI
        assert response.headers["Cache-Control"] == "no-store"


async def test_what_is_sealed_for_a_place_is_shown() -> None:
    """The protocol tells no place; the payload says its own, and shows it."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=_SECRET)
    (sealed,) = await SealingCodec({"k1": _KEY}).with_context(WorkflowSerializationContext("d", "t")).encode([payload])
    body = json.loads(json_format.MessageToJson(Payloads(payloads=[sealed])))
    assert json.loads(base64.b64decode(body["payloads"][0]["metadata"]["sealed-for"])) == {
        "namespace": "d",
        "thread": "t",
    }
    async with _server() as client:
        opened = await (await client.post("/decode", json=body)).json()
        assert opened["payloads"][0]["data"] == _payloads()["payloads"][0]["data"]


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


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/decode", 405), ("POST", "/x/y/z", 404)])
async def test_every_answer_has_the_headers_of_a_browser(method: str, path: str, status: int) -> None:
    async with _server() as client:
        response = await client.request(method, path, headers={"Origin": _UI})
        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == _UI
        assert ("Allow" in response.headers) is (status == 405)
        assert (await client.options(path, headers={"Origin": _UI})).status == (204 if status == 405 else 404)


_HERE = ("localhost", "127.0.0.1", "[::1]", "LOCALHOST")


@pytest.mark.parametrize("host", [*_HERE, "localhost:8081", "127.0.0.1:1", "[::1]:8081"])
async def test_it_is_called_by_the_names_of_this_machine(host: str) -> None:
    async with _server() as client:
        assert (await client.post("/decode", json=_payloads(), headers={"Host": host})).status == 200


_REBOUND = (
    *("evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example:8081", "0.0.0.0:8081"),
    *(
        "localhost:1@evil.example",
        "evil.example@localhost",
        "localhost:",
        "localhost:8081:8081",
        "[::1",
        "",
        "10.0.0.1",
    ),
)


@pytest.mark.parametrize("host", _REBOUND)
async def test_a_name_that_is_made_to_point_here_is_refused(host: str) -> None:
    """DNS rebinding: to a browser the page that calls and this server are of one origin."""
    async with _server(token="t0ken") as client:  # noqa: S106 - of the test
        for headers in ({}, {"Origin": _UI}, {"Authorization": "Bearer t0ken"}):
            response = await client.post("/decode", json=_payloads(), headers={"Host": host, **headers})
            assert response.status in (400, 403)
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_other_names_are_added() -> None:
    async with _server(allowed_hosts=["codec.example", "other.example:8443"]) as client:
        for host, status in (
            *(("codec.example", 200), ("codec.example:1", 200), ("Codec.Example", 200), ("localhost", 200)),
            *(("other.example:8443", 200), ("other.example", 403), ("other.example:1", 403), ("x.codec.example", 403)),
        ):
            assert (await client.post("/decode", json=_payloads(), headers={"Host": host})).status == status, host
    async with _server(allowed_hosts=["*"]) as client:
        assert (await client.post("/decode", json=_payloads(), headers={"Host": "any.example"})).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8233.evil.example", ""])
async def test_a_page_of_another_origin_costs_nothing(origin: str) -> None:
    """A browser sends such a request all the same, and only keeps the answer back."""
    async with _server() as client:
        response = await client.post("/decode", json=_payloads(), headers={"Origin": origin})
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers


async def _raw(client: TestClient[Any, Any], request: bytes) -> bytes:
    """Send bytes as they are; returns the answer's first line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.readline(), 50)
    finally:
        writer.close()


@pytest.mark.parametrize("authorization", [b"Bearer \xff\xfe", "Bearer tökén".encode(), b"Bearer t0ken\xc3", b"\xe9"])
async def test_a_token_of_any_bytes_is_wrong_and_no_more(authorization: bytes) -> None:
    head = b"POST /decode HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nAuthorization: %s\r\n\r\n{}"
    async with _server(token="t0ken") as client:  # noqa: S106 - of the test
        assert (await _raw(client, head % authorization)).split()[1] == b"401"


async def test_a_token_need_not_be_ascii() -> None:
    async with _server(token="tökén") as client:  # noqa: S106 - of the test
        head = "POST /decode HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nAuthorization: Bearer tökén\r\n\r\n{}"
        assert (await _raw(client, head.encode())).split()[1] == b"200"


@pytest.mark.parametrize("head", [b"POST /decode HTTP/1.0", b"POST /decode HTTP/1.1\r\nHost: localhost\r\nHost: b"])
async def test_a_request_has_one_name(head: bytes) -> None:
    async with _server() as client:
        answer = await _raw(client, head + b"\r\nContent-Length: 2\r\n\r\n{}")
        assert answer.split()[1] in (b"400", b"403")


class _Failing(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        raise RuntimeError("secret \x1b]0;owned\x07")

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        raise RuntimeError("secret")


async def test_a_codec_that_fails_tells_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with TestClient(TestServer(codec_app(_Failing()))) as client:
        asyncio.get_running_loop().set_debug(True)
        try:
            response = await client.post("/encode", json=_payloads(), headers={"Origin": _UI})
        finally:
            asyncio.get_running_loop().set_debug(False)
        assert response.status == 500
        assert response.headers["Access-Control-Allow-Origin"] == _UI
        text = await response.text()
        assert "secret" not in text
        assert "Traceback" not in text
    assert r"The codec failed: RuntimeError: secret \x1b]0;owned\x07" in caplog.messages


def _many(count: int) -> bytes:
    return b'{"payloads":[' + b",".join([b"{}"] * count) + b"]}"


_FLOODS = {
    "empty payloads": _many(2_000_000),
    "a few too many": _many(10_001),
    "empty lists": b'{"payloads":[' + b",".join([b"[]"] * 2_000_000) + b"]}",
    "metadata": b'{"payloads":[{"metadata":{' + b",".join(b'"%d":""' % number for number in range(500_000)) + b"}}]}",
    "other fields": b"{" + b",".join(b'"%d":0' % number for number in range(500_000)) + b"}",
    "too long": b'{"payloads":[{"data":"' + b"A" * (17 * 1024 * 1024) + b'"}]}',
    "digits": b'{"payloads":' + b"1" * 1_000_000 + b"}",
    "nesting": b'{"payloads":' + b"[" * 300_000 + b"]" * 300_000 + b"}",
}


@pytest.mark.parametrize("body", _FLOODS.values(), ids=_FLOODS)
async def test_too_much_is_refused_before_it_is_parsed(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = mock.Mock(wraps=json_format.ParseDict)
    monkeypatch.setattr(json_format, "ParseDict", parsed)
    async with _server() as client:
        response = await client.post("/decode", data=body, headers={"Origin": _UI})
        assert response.status in (400, 413)
        assert response.headers["Access-Control-Allow-Origin"] == _UI
        assert not parsed.called
        assert (await client.post("/decode", json=_payloads())).status == 200


async def test_compressed_bodies_are_refused() -> None:
    async with _server() as client:
        bomb = zlib.compress(b"0" * 50_000_000)
        response = await client.post("/decode", data=bomb, headers={"Content-Encoding": "deflate"})
        assert response.status == 415


async def test_as_many_as_fit_come_back() -> None:
    async with _server(max_payloads=500) as client:
        whole = {"payloads": _payloads()["payloads"] * 500}
        sealed = await (await client.post("/encode", json=whole)).json()
        opened = (await (await client.post("/decode", json=sealed)).json())["payloads"]
        assert [payload["data"] for payload in opened] == [payload["data"] for payload in whole["payloads"]]
        assert (await client.post("/encode", json={"payloads": whole["payloads"] * 2})).status == 413


async def test_slow_bodies_hold_up_nobody() -> None:
    """A body that does not come is given up, and so many at a time are waited for."""
    head = b"POST /decode HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    async with _server(body_timeout=timedelta(seconds=2)) as client:
        slow = [asyncio.create_task(_raw(client, head)) for _ in range(60)]
        answers = [(await task).split()[1] for task in slow]
        assert set(answers) == {b"408", b"503"}
        assert answers.count(b"408") == 32
        assert (await client.post("/decode", json=_payloads())).status == 200


def test_limits_are_checked() -> None:
    for wrong in ({"max_body_bytes": 0}, {"max_payloads": -1}, {"body_timeout": timedelta(0)}):
        with pytest.raises(ValueError, match="must be more than 0"):
            codec_app(SealingCodec({"k1": _KEY}), **wrong)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
async def test_a_flood_takes_bounded_memory(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"k1={base64.b64encode(_KEY).decode()}\n")
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            "from agent_framework_temporal.adapter.commands.codec_server import command; command()",
        ),
        *("--keys-file", str(keys), "--port", str(port)),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        before = _peak(process.pid)
        async with aiohttp.ClientSession() as session:

            async def send(body: bytes) -> int:
                async with session.post(f"http://127.0.0.1:{port}/decode", data=body) as response:
                    return response.status

            # At once, and each many times: what is refused leaves nothing behind.
            for _ in range(3):
                statuses = await asyncio.gather(*map(send, _FLOODS.values()))
                assert set(statuses) <= {400, 413}
            assert await send(json.dumps({"payloads": _payloads()["payloads"] * 10_000}).encode()) == 200
        grown = _peak(process.pid) - before
    finally:
        process.terminate()
        await process.wait()
    # It was 2,100 MB for one of them.
    assert grown < 300 * 1024 * 1024
    record_property("figure", f"codec server: {grown / 1024 / 1024:.0f} MB at most under {3 * len(_FLOODS)} floods")


def _peak(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


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
        *("--keys-file", str(keys), "--port", "0"),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        address = (await process.stdout.readline()).decode().split()[-1]
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", address), address
        async with aiohttp.ClientSession() as session:
            response = await session.post(f"{address}/encode", data=json.dumps(_payloads()))
            assert response.status == 200
    finally:
        process.terminate()
        await process.wait()
    assert process.returncode == 0
