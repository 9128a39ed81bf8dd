"""A server that speaks TLS itself, with certificates of an authority of the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import trustme

from dreamgrid.errors import ConfigError
from dreamgrid.server import certificate
from dreamgrid.server.blobs.s3_settings import parse
from dreamgrid.server.certificate import Certificate
from dreamgrid.server.config import NodeSettings, ServerConfig, TlsFiles
from tests.server.nodes.conftest import MakeNode, address, make_node
from tests.server.nodes.test_takeover import answers
from tests.support import real_servers
from tests.support.grid import Grid
from tests.support.log_lines import awaiting, heard

__all__ = ["address", "make_node"]

AUTHORITY = trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """A certificate for this machine, and its key."""
    return renewed(TlsFiles(certificate=tmp_path / "grid.pem", key=tmp_path / "grid.key"))


def renewed(files: TlsFiles) -> TlsFiles:
    """Other ones in the same place."""
    made = AUTHORITY.issue_cert("127.0.0.1")
    fresh = files.certificate.with_suffix(".new")
    for path, blobs in (
        (files.certificate, [blob.bytes() for blob in made.cert_chain_pems]),
        (files.key, [made.private_key_pem.bytes()]),
    ):
        fresh.write_bytes(b"".join(blobs))
        fresh.replace(path)
    return files


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@asynccontextmanager
async def trusted(grid: Grid) -> AsyncIterator[Grid]:
    """The grid, whose test trusts the authority."""
    await grid.http.close()
    grid.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting()))
    yield grid


async def serial(port: int) -> str:
    """Which certificate a new connection gets."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.transport.abort()
    return str(found)


async def test_apps_and_workers_are_served_over_tls_and_links_say_so(
    tmp_path: Path, files: TlsFiles
) -> None:
    async with Grid(tmp_path / "data", tls=files) as grid, trusted(grid):
        assert grid.url.startswith("https://127.0.0.1:")
        app, worker = await grid.app(), await grid.worker()
        project = await app.request()
        job = await worker.assigned()
        await worker.finish(job)
        result = await app.wait_for("jobResult", jobID=project)
        assert result["resultUrl"].startswith(grid.url)
        async with grid.http.get(result["resultUrl"]) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await grid.http.get(grid.url.replace("https:", "http:"))


async def test_renewed_files_are_used_without_a_restart_and_spoiled_ones_are_not(
    tmp_path: Path, files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "LOOK_S", 0.01)
    async with Grid(tmp_path / "data", tls=files) as grid, trusted(grid):
        port = grid.config.port
        before, app = await serial(port), await grid.app()
        with awaiting("is not taken") as refused:
            files.key.write_text("half of a pair")
            await heard(refused)
        assert await serial(port) == before
        with awaiting("is in use") as taken:
            renewed(files)
            await heard(taken)
        assert await serial(port) != before
        await app.request()  # connections of before go on
        await app.fence()


@pytest.mark.parametrize("spoiled", ["certificate", "key", "both"])
def test_files_that_cannot_be_used_are_said_at_the_start(
    files: TlsFiles, tmp_path: Path, spoiled: str
) -> None:
    other = trustme.CA().issue_cert("127.0.0.1").private_key_pem
    match spoiled:
        case "certificate":
            files.certificate.unlink()
        case "key":
            files.key.write_bytes(other.bytes())
        case "both":
            files.certificate.write_text("no PEM")
    with pytest.raises(ConfigError, match=r"TLS cannot be spoken with .*grid\.pem"):
        Certificate(files.certificate, files.key)


async def test_every_node_speaks_tls(make_node: MakeNode, files: TlsFiles) -> None:
    def settings() -> dict[str, object]:
        port = real_servers.free_port()
        return {"port": port, "public_url": f"https://127.0.0.1:{port}", "tls": files}

    one, two = await make_node(**settings()), await make_node(**settings())
    async with trusted(one), trusted(two):
        await answers(two)
        app = await two.app()
        await one.stop()
        await app.closed()
        await answers(two)


def test_nodes_that_speak_tls_are_told_how_they_are_reached(
    tmp_path: Path, files: TlsFiles
) -> None:
    blobs = parse("s3://media", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    node = ServerConfig(
        data_dir=tmp_path,
        store="postgresql://db/grid",
        blobs=blobs,
        node=NodeSettings(address="10.0.0.5:8771"),
        tls=files,
    )
    with pytest.raises(ConfigError, match="--public-url"):
        node.validate()
    replace(node, public_url="https://grid.example.org").validate()
