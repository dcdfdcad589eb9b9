"""Who is let in, and how much of what they send is read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from agent_framework_temporal import ApiRequest, HostingError, SealingCodec, codec_app, http_app
from temporalio.client import Client

from tests.flows import echo
from tests.http._serving import API, serving

pytestmark = pytest.mark.hostile("F")
_TOKEN = "only for this test"  # noqa: S105
_JSON = {"Content-Type": "application/json"}
_PATH = f"{API}/workflows/echo/threads"


@pytest.fixture(scope="module")
async def http(client: Client) -> AsyncIterator[httpx.AsyncClient]:
    """No worker: nothing that is sent here may come to one."""
    app = http_app(client, [echo], task_queue="nobody", body_timeout=timedelta(seconds=1))
    async with serving(app) as http:
        yield http


async def _asked(app: Any, path: str = f"{API}/service", **scope: Any) -> tuple[int, dict[str, str], bytes]:
    """Ask an application directly, as a server may."""
    answered: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    headers = [(name.encode(), value.encode()) for name, value in scope.pop("headers", {"host": "localhost"}).items()]
    asked = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", **scope}
    await app({"client": ("127.0.0.1", 1), "scheme": "http", "headers": headers, **asked}, receive, send)
    told = {name.decode(): value.decode() for name, value in answered[0]["headers"]}
    return answered[0]["status"], told, b"".join(message.get("body", b"") for message in answered[1:])


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost@evil.example", 403),
        ("127.0.0.1.nip.io", 403),
        ("", 403),
    ],
)
async def test_it_is_called_by_a_name_of_this_machine(client: Client, name: str, status: int) -> None:
    app = http_app(client, [echo])
    assert (await _asked(app, headers={"host": name}))[0] == status
    assert (await _asked(app, "/", headers={"host": name}))[0] == status


async def test_another_name_has_to_be_told(client: Client) -> None:
    app = http_app(client, [echo], allowed_hosts=["console.example"], token=_TOKEN)
    bearer = {"authorization": f"Bearer {_TOKEN}"}
    assert (await _asked(app, headers={"host": "console.example:443", **bearer}))[0] == 200
    assert (await _asked(app, headers={"host": "other.example", **bearer}))[0] == 403
    assert (await _asked(app, headers={}))[0] == 403


@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [("127.0.0.1", "localhost", 200), ("::1", "[::1]", 200), ("10.0.0.7", "localhost", 401), ("127.0.0.1", "a.b", 401)],
)
async def test_without_a_token_only_this_machine_is_let_in(client: Client, peer: str, host: str, status: int) -> None:
    app = http_app(client, [echo], allowed_hosts=["a.b"])
    found, headers, body = await _asked(app, client=(peer, 1), headers={"host": host})
    assert found == status
    if status == 401:
        assert headers["www-authenticate"] == "Bearer" and "token" in json.loads(body)["detail"]
    assert (await _asked(app, client=None, headers={"host": "localhost"}))[0] == 401
    for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
        assert (await _asked(app, headers={"host": "localhost", name: "10.0.0.7"}))[0] == 401


async def test_a_token_is_asked_of_everybody(client: Client) -> None:
    async with serving(http_app(client, [echo], token=_TOKEN)) as http:
        for wrong in ("", "Bearer", "Bearer x", f"Basic {_TOKEN}", f"Bearer {_TOKEN}x", "Bearer é"):
            refused = await http.get(f"{API}/service", headers={b"Authorization": wrong.encode()})
            assert (refused.status_code, refused.json()["title"]) == (401, "Unauthenticated")
        for path in ("/threads", "/requests", "/openapi.json", "/nothing", "/threads/x/events"):
            assert (await http.get(f"{API}{path}")).status_code == 401
        assert (await http.get(f"{API}/service", headers={"Authorization": f"Bearer {_TOKEN}"})).status_code == 200
        # A browser is given a cookie in its place, which other sites cannot use and scripts cannot read.
        assert (await http.post("/session", data={"token": "wrong"})).status_code == 401
        signed = await http.post("/session", data={"token": _TOKEN})
        cookie = signed.headers["set-cookie"]
        assert signed.status_code == 303 and _TOKEN not in cookie
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert (await http.get(f"{API}/service")).status_code == 200
        http.cookies.clear()
        http.cookies.set("agent_framework_temporal", _TOKEN)
        assert (await http.get(f"{API}/service")).status_code == 401


async def test_a_hook_decides_who_may_do_what(client: Client) -> None:
    seen: list[ApiRequest] = []

    async def authenticate(request: ApiRequest) -> str | None:
        seen.append(request)
        if request.method != "GET":
            raise PermissionError("Readers only read.")
        return request.headers.get("x-user")

    async with serving(http_app(client, [echo], authenticate=authenticate)) as http:
        assert (await http.get(f"{API}/service")).status_code == 401
        assert (await http.get(f"{API}/service", headers={"X-User": "ada"})).status_code == 200
        refused = await http.post(_PATH, json={"message": "x"}, headers={"X-User": "ada"})
        assert (refused.status_code, refused.json()["detail"]) == (403, "Readers only read.")
    assert seen[-1].path == _PATH and seen[-1].client == "127.0.0.1"
    with pytest.raises(ValueError, match="alternatives"):
        http_app(client, authenticate=authenticate, token=_TOKEN)
    with pytest.raises(ValueError, match="16 characters"):
        http_app(client, token="short")  # noqa: S106


async def test_a_hook_that_fails_lets_nobody_in_and_tells_nothing(client: Client) -> None:
    def authenticate(request: ApiRequest) -> Any:
        said = request.headers.get("x-user", "")
        if said == "fails":
            raise ValueError("the secret is 42")
        return {"nobody": None, "number": 7, "yes": True, "spaces": "  \n", "long": "x" * 9_000}.get(said, said)

    app = http_app(client, [echo], authenticate=authenticate)
    for user, status in (("fails", 500), ("number", 500), ("yes", 500)):
        found, _, body = await _asked(app, headers={"host": "localhost", "x-user": user})
        assert (found, b"42" in body, b"log" in body) == (status, False, True), user
    for user in ("", "nobody", "spaces"):
        found, headers, _ = await _asked(app, headers={"host": "localhost", "x-user": user})
        assert (found, headers["www-authenticate"]) == (401, "Bearer"), user
    assert (await _asked(app, headers={"host": "localhost", "x-user": "long"}))[0] == 200


@pytest.mark.parametrize("token", ["é" * 20, "twenty characters is\n", " twenty characters is", "a\x00" * 10])
def test_a_token_that_nobody_could_send_is_refused(client: Client, token: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        http_app(client, token=token)


async def test_the_headers_alone(http: httpx.AsyncClient) -> None:
    """HEAD is answered as GET, without a body, and opens no stream."""
    for path, status in ((f"{API}/service", 200), ("/", 200), (f"{API}/nothing", 404), (_PATH, 405)):
        found = await http.head(path)
        assert (found.status_code, found.content) == (status, b""), path
        assert found.headers["content-type"] == (await http.get(path)).headers["content-type"]
    assert (await _asked(http_app(await _unreachable(), token=_TOKEN), method="HEAD"))[0] == 401


async def _unreachable() -> Client:
    return await Client.connect("127.0.0.1:1", lazy=True)


async def test_pages_of_other_origins_are_kept_out(client: Client) -> None:
    async with serving(http_app(client, [echo], origins=["https://ours.example"])) as http:
        own = str(http.base_url).rstrip("/")
        for origin, status in ((own, 200), ("https://ours.example", 200), ("https://evil.example", 403), ("null", 403)):
            found = await http.get(f"{API}/service", headers={"Origin": origin})
            assert found.status_code == status, origin
            shared = found.headers.get("access-control-allow-origin")
            assert shared == ("https://ours.example" if origin == "https://ours.example" else None)
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            assert (await http.options(_PATH, headers=asked)).status_code == (204 if status == 200 else 403)
    async with serving(http_app(client, [echo])) as http:
        found = await http.get(f"{API}/service")
        assert not any(name.startswith("access-control") for name in found.headers)
        assert found.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in found.headers["content-security-policy"]


_DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", _JSON, 422),
        (b"{", _JSON, 400),
        (b"[]", _JSON, 422),
        (b'{"message": NaN}', _JSON, 400),
        (b'{"message": 1e999999}', _JSON, 422),
        (b'{"message": ' + b"9" * 5_000 + b"}", _JSON, 400),
        (b'{"message": "\\ud800"}', _JSON, 400),
        (b'{"message": "\xff"}', _JSON, 400),
        (b'{"message": ' + _DEEP + b"}", _JSON, 400),
        (_DEEP, _JSON, 400),
        (b'{"message": "x", "surprise": 1}', _JSON, 422),
        (b'{"message": "x", "thread_id": ""}', _JSON, 422),
        (b'{"message": "x", "thread_id": "' + b"x" * 600 + b'"}', _JSON, 422),
        (b'{"message": "x", "tags": ["' + b"x" * 200 + b'"]}', _JSON, 422),
        (b'{"message": {"a": "x"}}', _JSON, 422),
        (b'{"message": "x"}', {"Content-Type": "text/plain"}, 415),
        (b'{"message": "x"}', {}, 415),
        (b'{"message": "x"}', {**_JSON, "Content-Encoding": "gzip"}, 415),
        (b'{"message": "' + b"x" * 1_000_001 + b'"}', _JSON, 413),
    ],
)
async def test_a_hostile_body_is_refused(
    http: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    found = await http.post(_PATH, content=body, headers=headers)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["status"] == status and len(found.content) < 2_000


@pytest.mark.parametrize(
    ("length", "sent", "status"),
    [
        (b"9", b"{", 408),
        (b"1000001", b"", 413),
        (b"9" * 18, b"", 413),
        (b"-1", b"", 400),
        (b"1\r\nContent-Length: 9", b"{", 400),
    ],
)
async def test_a_length_that_lies(http: httpx.AsyncClient, length: bytes, sent: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    head = f"POST {_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ".encode()
    writer.write(head + length + b"\r\n\r\n" + sent)
    async with asyncio.timeout(30):
        first = await reader.readline()
        assert f" {status} ".encode() in first, first
    writer.close()


@pytest.mark.parametrize(("sent", "status"), [(b"10000\r\n" + b"x" * 65_536 + b"\r\n", 413), (b"1\r\n{\r\n", 408)])
async def test_a_body_of_no_length_is_bounded_and_a_slow_one_is_not_waited_for(
    http: httpx.AsyncClient, sent: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    head = f"POST {_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    writer.write(sent * (17 if status == 413 else 1))
    async with asyncio.timeout(30):
        assert f" {status} ".encode() in await reader.readline()
        assert b'"status":%d' % status in await reader.read()  # To its end: the connection is closed.
    writer.close()
    assert (await http.get(f"{API}/service")).status_code == 200


async def test_hostile_addresses(http: httpx.AsyncClient) -> None:
    before = time.monotonic()
    for path in (
        "/%FF",
        "/threads/%00",
        "/threads/%ED%A0%80",
        f"/threads/{'x' * 9_000}",
        "/threads/..%2F..%2Fetc",
        "/x//y",
        "/threads?search=%00",
        "/threads?since=2026-07-01T12:00:00",
        "/threads?since=0001-01-01T00:00:00%2B23:59",
        "/threads?older_than=nan",
        "/threads?query=x)%20OR%20(1=1",
    ):
        found = await http.get(f"{API}{path}")
        assert 400 <= found.status_code < 500, (path, found.text)
        assert found.headers["content-type"] == "application/problem+json"
    for last in ("x", "1.2", "1.2.3-1", "1.1.5-4,3", "5.1.1-2", "1.1.2-999999999999", "9" * 20, "1" * 9_000, "-2"):
        found = await http.get(f"{API}/threads/x/events", headers={"Last-Event-ID": last})
        assert (found.status_code, found.json()["title"]) == (400, "Bad event id"), last
    assert (await http.delete(f"{API}/threads")).status_code == 405
    assert (await http.get(f"{API}/nothing")).json()["title"] == "Not found"
    assert time.monotonic() - before < 60


async def test_it_is_mounted_in_another_application(client: Client) -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/agents", http_app(client, [echo]))
    async with serving(outer) as http:
        assert (await http.get(f"/agents{API}/workflows/echo")).json()["name"] == "echo"
        assert (await http.get(f"/agents{API}/threads/a%2Fb")).json()["title"] == "Thread not found"
        document = (await http.get(f"/agents{API}/openapi.json")).json()
        assert document["servers"] == [{"url": "/agents"}]
        assert f"/agents{API}/threads" in (await http.get("/agents/")).text


async def test_two_workflows_of_one_name(client: Client) -> None:
    async with serving(http_app(client, [echo, echo])) as http:
        assert (await http.get(f"{API}/workflows")).json()["title"] == "Hosting"
    with pytest.raises(HostingError):
        from temporalio.converter import DataConverter, DefaultPayloadConverter

        class _Own(DefaultPayloadConverter):
            pass

        config = client.config()
        config["data_converter"] = DataConverter(payload_converter_class=_Own)
        http_app(Client(**config))


async def test_temporal_cloud_has_a_web_ui_that_is_known() -> None:
    cloud = await Client.connect("orders.a2dd6.tmprl.cloud:7233", namespace="orders.a2dd6", lazy=True)
    status, _, body = await _asked(http_app(cloud, [echo]))
    assert (status, json.loads(body)["temporal_ui"]) == (200, "https://cloud.temporal.io")


@pytest.mark.parametrize(
    "names",
    [
        {"allowed_hosts": ["https://console.example"]},
        {"allowed_hosts": ["console.example/x"]},
        {"allowed_hosts": ["a\r\nb"]},
        {"origins": ["https://ours.example/"]},
        {"origins": ["ours.example"]},
        {"origins": ["*"]},
        {"base_url": "console.example"},
        {"temporal_ui": "javascript:alert(1)"},
    ],
)
def test_a_name_that_would_let_nobody_in_is_refused(client: Client, names: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="https"):
        http_app(client, [echo], **names)
    if "base_url" not in names and "temporal_ui" not in names:
        with pytest.raises(ValueError, match="https"):
            codec_app(SealingCodec({"k": bytes(32)}), **names)
