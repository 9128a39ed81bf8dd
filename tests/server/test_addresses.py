"""Connections of one address are counted; who has too many is told so, others notice nothing."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dreamgrid.errors import ConfigError
from dreamgrid.server.addresses import Connections, Networks, place
from dreamgrid.server.config import ServerConfig
from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PATIENCE_S

ASK = b"GET /healthz HTTP/1.1\r\nHost: grid\r\n\r\n"

other_addresses = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux gives a machine 127.0.0.2 without being asked"
)


class Caller:
    """A connection from one of this machine's addresses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def of(cls, grid: Grid, source: str) -> AsyncGenerator["Caller"]:
        """Connects, and closes the connection at the end."""
        host, port = grid.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):  # the server may have been first
                await writer.wait_closed()

    async def ask(self) -> tuple[int, dict[str, Any]]:
        """The status and the body of an answer, on a connection that may have had others."""
        self.writer.write(ASK)
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            body = await self.reader.readexactly(int(fields["Content-Length"]))
        return int(head.split()[1]), json.loads(body)


async def status(grid: Grid, source: str) -> int:
    """What a new connection is answered."""
    async with Caller.of(grid, source) as caller:
        return (await caller.ask())[0]


@other_addresses
async def test_an_address_has_only_so_many_connections_open(make_grid: MakeGrid) -> None:
    async with make_grid(max_connections=2) as grid, Caller.of(grid, "127.0.0.2") as first:
        assert (await first.ask())[0] == 200
        async with Caller.of(grid, "127.0.0.2") as second:
            assert (await second.ask())[0] == 200
            async with Caller.of(grid, "127.0.0.2") as third:
                refused, body = await third.ask()
                assert (refused, body["errorCode"], body["retryAfter"]) == (429, 429, 15)
                assert "too many connections" in body["message"]
                async with asyncio.timeout(PATIENCE_S):
                    assert await third.reader.read() == b"", "it is closed, whatever else is sent"
            assert (await first.ask())[0] == (await second.ask())[0] == 200
        async with asyncio.timeout(PATIENCE_S):
            while await status(grid, "127.0.0.2") != 200:
                pass


@other_addresses
async def test_others_notice_nothing_of_an_address_with_too_many_connections(
    make_grid: MakeGrid,
) -> None:
    async with make_grid(max_connections=1) as grid, Caller.of(grid, "127.0.0.2") as first:
        assert (await first.ask())[0] == 200
        assert await status(grid, "127.0.0.2") == 429
        assert await status(grid, "127.0.0.3") == 200
        async with Caller.of(grid, "127.0.0.1") as own, Caller.of(grid, "127.0.0.1") as another:
            assert (await own.ask())[0] == (await another.ask())[0] == 200


@other_addresses
async def test_a_socket_counts_as_long_as_it_is_open(make_grid: MakeGrid) -> None:
    async with make_grid(max_connections=1) as grid:
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            headers = {"api-key": grid.key}
            async with session.ws_connect(grid.url, headers=headers) as socket:
                assert (await socket.receive(PATIENCE_S)).type is aiohttp.WSMsgType.BINARY
                assert await status(grid, "127.0.0.2") == 429


def test_a_connection_that_was_not_counted_is_not_missed_either() -> None:
    counts = Connections(1, Networks(["192.0.2.9"]))
    assert counts.begin("192.0.2.9") == counts.begin("192.0.2.9") == ""
    counts.end("")
    assert counts.begin("::ffff:192.0.2.9") == "", "the same, told by a socket for both kinds"
    where = counts.begin("192.0.2.1")
    assert where == "192.0.2.1"
    assert counts.begin("192.0.2.1") is None
    counts.end(where)
    assert counts.begin("192.0.2.1") == where


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_of_an_ipv6_address_only_the_network_counts(address: str, counted_as: str) -> None:
    assert place(address) == counted_as


@pytest.mark.parametrize(
    ("peer", "said", "comes_from"),
    [
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),  # no proxy of ours: whatever it says
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "203.0.113.5, 198.51.100.1", "198.51.100.1"),  # the first was only claimed
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),  # two of our own in a row
        ("10.1.2.3", "198.51.100.1, fd00::7 , 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", "unknown", "unknown"),
    ],
)
def test_only_proxies_that_are_trusted_say_where_a_request_comes_from(
    peer: str, said: str, comes_from: str
) -> None:
    assert Networks(["10.0.0.0/8", "fd00::7"]).behind(peer, said) == comes_from


@pytest.mark.parametrize("wrong", ["proxy.example.org", "10.0.0.1/8", "10.0.0.0/99", ""])
def test_what_names_no_proxy_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is no address and no network"):
        ServerConfig(data_dir=Path(), trusted_proxies=(wrong,)).validate()
