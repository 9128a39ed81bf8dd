import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

import dreamgrid
from dreamgrid.cli.exits import advice_for
from dreamgrid.client.endpoint import Endpoint
from dreamgrid.client.http import Http
from dreamgrid.protocol import rest
from tests.client import stub as wire
from tests.client.stub import KEY, Stub

ME = "/v1/account/me"
KEYS = "/v1/account/keys"


@pytest.fixture
async def waits() -> list[float]:
    return []


@pytest.fixture
async def http(stub: Stub, waits: list[float]) -> AsyncIterator[Http]:
    async def note(seconds: float) -> None:
        waits.append(seconds)

    one = Http(Endpoint.resolve(stub.url, KEY), user_agent="test", sleep=note)
    yield one
    await one.aclose()


def refuse(status: int, code: int, **headers: str) -> Callable[[web.Request], web.Response]:
    return lambda _: wire.error(status, code, "the reason", **headers)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 4000, dreamgrid.InvalidRequest),
        (401, 401, dreamgrid.AuthenticationFailed),
        (402, 4003, dreamgrid.InsufficientFunds),
        (403, 4004, dreamgrid.NotAllowed),
        (404, 404, dreamgrid.NotFound),
        (404, 4001, dreamgrid.UnknownModel),
        (409, 4005, dreamgrid.DuplicateProject),
        (418, 0, dreamgrid.DreamgridError),
        (500, 500, dreamgrid.DreamgridError),
    ],
)
async def test_an_error_body_becomes_its_class(
    stub: Stub, http: Http, status: int, code: int, kind: type[Exception]
) -> None:
    stub.answer(ME, refuse(status, code))
    with pytest.raises(kind, match="the reason") as caught:
        await http.rest("GET", ME, rest.Me)
    assert type(caught.value) is kind


async def test_the_key_is_sent_to_the_server(stub: Stub, http: Http) -> None:
    seen: list[str | None] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("api-key"))
        return wire.ok(rest.Me(username="alice"))

    stub.answer(ME, answer)
    assert (await http.rest("GET", ME, rest.Me)).username == "alice"
    assert seen == [KEY]


async def test_retry_after_is_respected_when_asking_again_is_harmless(
    stub: Stub, http: Http, waits: list[float]
) -> None:
    stub.answer(
        ME,
        refuse(429, 429, **{"Retry-After": "7"}),
        refuse(429, 429, **{"Retry-After": "3"}),
        lambda _: wire.ok(rest.Me(username="alice")),
    )
    assert (await http.rest("GET", ME, rest.Me)).username == "alice"
    assert waits == [7, 3]


async def test_a_wait_that_is_too_long_is_left_to_the_caller(
    stub: Stub, http: Http, waits: list[float]
) -> None:
    stub.answer(ME, refuse(429, 429, **{"Retry-After": "3600"}))
    with pytest.raises(dreamgrid.TooManyRequests) as caught:
        await http.rest("GET", ME, rest.Me)
    assert caught.value.retry_after_s == 3600
    assert not waits


async def test_what_cannot_be_repeated_safely_is_sent_once(
    stub: Stub, http: Http, waits: list[float]
) -> None:
    stub.answer(KEYS, refuse(503, 1001), refuse(503, 1001))
    with pytest.raises(dreamgrid.ServerUnavailable):
        await http.rest("POST", KEYS, rest.KeyInfo, body=rest.NewKey())
    assert not waits
    assert len(stub.requests) == 1


async def test_an_overloaded_server_is_asked_three_times_in_all(
    stub: Stub, http: Http, waits: list[float]
) -> None:
    stub.answer(ME, *[refuse(503, 1001)] * 3)
    with pytest.raises(dreamgrid.ServerUnavailable):
        await http.rest("GET", ME, rest.Me)
    assert len(waits) == 2
    assert waits[1] > waits[0]


async def test_api_calls_do_not_follow_redirects(stub: Stub, http: Http) -> None:
    def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": stub.url + "/elsewhere"})

    stub.answer(ME, elsewhere)
    with pytest.raises(dreamgrid.ProtocolError, match="redirects"):
        await http.rest("GET", ME, rest.Me)
    assert [path for _, path, _ in stub.requests] == [ME]


async def test_downloads_follow_redirects_without_our_key(stub: Stub, http: Http) -> None:
    stub.files["b"] = b"the bytes"

    def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": stub.file_url("b")})

    stub.answer("/files/a", elsewhere)
    assert await http.download(stub.file_url("a"), max_bytes=100) == b"the bytes"


async def test_a_file_that_is_too_large_is_not_read_to_its_end(stub: Stub, http: Http) -> None:
    stub.files["big"] = bytes(200_000)
    with pytest.raises(dreamgrid.ProtocolError, match="larger than the 1000 bytes"):
        await http.download(stub.file_url("big"), max_bytes=1000)


async def test_an_answer_that_is_too_large_is_refused(stub: Stub, http: Http) -> None:
    stub.answer(ME, lambda _: web.Response(body=bytes(17 * 1024 * 1024)))
    with pytest.raises(dreamgrid.ProtocolError, match="larger than"):
        await http.rest("GET", ME, rest.Me)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b'{"status":"success"}', b'{"data":{"username":1}}']
)
async def test_an_answer_that_makes_no_sense_is_a_protocol_error(
    stub: Stub, http: Http, body: bytes
) -> None:
    stub.answer(ME, lambda _: web.Response(body=body))
    with pytest.raises(dreamgrid.ProtocolError, match="/v1/account/me"):
        await http.rest("GET", ME, rest.Me)


async def test_an_error_page_of_something_else_is_still_an_error(stub: Stub, http: Http) -> None:
    stub.answer(ME, lambda _: web.Response(status=404, text="<html>nginx</html>"))
    with pytest.raises(dreamgrid.NotFound):
        await http.rest("GET", ME, rest.Me)


async def test_a_connection_that_breaks_off_is_a_failed_connection(stub: Stub, http: Http) -> None:
    def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    stub.answer(ME, hang_up, hang_up)
    with pytest.raises(dreamgrid.ConnectionFailed, match="cannot reach"):
        await http.rest("GET", ME, rest.Me)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "//host/x", "http://", "/relative"])
async def test_a_file_address_that_is_none_is_refused(http: Http, url: str) -> None:
    with pytest.raises(dreamgrid.ProtocolError, match="file address"):
        await http.download(url, max_bytes=10)


async def test_signed_addresses_stay_out_of_messages(http: Http) -> None:
    with pytest.raises(dreamgrid.ConnectionFailed) as caught:
        await http.download("http://127.0.0.1:9/x?signature=secret", max_bytes=10)
    assert "secret" not in str(caught.value)


async def test_a_media_store_that_is_down_is_not_taken_for_the_server(
    http: Http, unused_tcp_port: int
) -> None:
    store = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(dreamgrid.FilesUnreachable) as caught:
        await http.upload(f"{store}/x?signature=secret", b"picture", "image/png")
    assert str(caught.value) == f"cannot reach the files at {store}: nobody listens there"
    assert "--server" not in advice_for(caught.value)
    with pytest.raises(dreamgrid.FilesUnreachable):
        await http.download(f"{store}/x", max_bytes=10)


async def test_files_at_the_server_itself_are_lost_with_it(unused_tcp_port: int) -> None:
    http = Http(Endpoint.resolve(f"http://127.0.0.1:{unused_tcp_port}", KEY), user_agent="test")
    with pytest.raises(dreamgrid.ConnectionFailed) as caught:
        await http.download(f"http://127.0.0.1:{unused_tcp_port}/x", max_bytes=10)
    assert type(caught.value) is dreamgrid.ConnectionFailed
    await http.aclose()


async def test_a_server_that_hangs_up_on_plain_http_may_speak_tls() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        http = Http(Endpoint.resolve(f"http://127.0.0.1:{port}", KEY), user_agent="test")
        with pytest.raises(dreamgrid.ConnectionFailed, match="write https:// if it speaks TLS"):
            await http.rest("GET", ME, rest.Me)
        with pytest.raises(dreamgrid.ConnectionFailed, match="write https:// if it speaks TLS"):
            await http.open_socket({})
        await http.aclose()


async def test_a_server_that_says_nothing_times_out(
    stub: Stub, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    import aiohttp

    silence = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await silence.wait()
        return web.Response()

    monkeypatch.setattr("dreamgrid.client.http._API", aiohttp.ClientTimeout(total=0.05))
    stub.answer(ME, wait)
    with pytest.raises(dreamgrid.ConnectionFailed, match="did not answer in time"):
        await http.rest("GET", ME, rest.Me)
    silence.set()


@pytest.mark.parametrize(
    ("url", "http_url", "socket_url"),
    [
        ("http://h:1", "http://h:1", "ws://h:1/"),
        ("https://h/", "https://h", "wss://h/"),
        ("ws://h:1", "http://h:1", "ws://h:1/"),
        ("wss://h/grid/", "https://h/grid", "wss://h/grid/"),
        ("http://[::1]:8770", "http://[::1]:8770", "ws://[::1]:8770/"),
    ],
)
def test_one_address_serves_both_protocols(url: str, http_url: str, socket_url: str) -> None:
    endpoint = Endpoint.resolve(url, KEY)
    assert (endpoint.url, endpoint.socket_url) == (http_url, socket_url)
    assert KEY not in repr(endpoint)


@pytest.mark.parametrize("url", ["localhost:8770", "ftp://h", "http://", "h", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(dreamgrid.ConfigError):
        dreamgrid.AsyncClient(url, KEY)


def test_a_key_that_cannot_be_a_header_is_refused() -> None:
    with pytest.raises(dreamgrid.ConfigError, match="copy it again"):
        dreamgrid.AsyncClient("http://h", "key\r\nX: y")


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DREAMGRID_URL", raising=False)
    with pytest.raises(dreamgrid.ConfigError, match="DREAMGRID_URL"):
        dreamgrid.AsyncClient()
    monkeypatch.setenv("DREAMGRID_URL", "http://from-env:1")
    assert "from-env" in repr(dreamgrid.AsyncClient())
    assert "from-arg" in repr(dreamgrid.AsyncClient("http://from-arg:1"))
