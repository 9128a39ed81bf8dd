"""What only the local media folder promises: its disk, its secret, and harmless answers."""

import asyncio
import os
import resource
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs.folder import ID_FILE, Folder
from dreamgrid.server.blobs.local import LocalBlobs
from dreamgrid.server.http import Handler, errors_middleware

KEY = "results/P1/J1-1.png"
MEGABYTE = b"m" * 1024 * 1024


class Served:
    """A local store behind HTTP; `handled` gets an item for every request that has ended.

    `cancels`: a request whose client is gone is cancelled; by default aiohttp goes on with it.
    """

    def __init__(
        self, folder: Path, *, upload_limit_s: float = 60.0, cancels: bool = False
    ) -> None:
        self.folder = folder
        self.blobs = LocalBlobs(folder, upload_limit_s=upload_limit_s)
        self.handled: asyncio.Queue[None] = asyncio.Queue()
        self.cancels = cancels
        self.origin = ""
        self.http: aiohttp.ClientSession

    def put_url(self, *, max_bytes: int = 10 * len(MEGABYTE)) -> str:
        return self.blobs.put_url(
            KEY, content_type=None, max_bytes=max_bytes, expires_s=60, origin=self.origin
        )

    def get_url(self, content_type: str | None = None, key: str = KEY) -> str:
        return self.blobs.get_url(key, expires_s=60, origin=self.origin, content_type=content_type)

    def files(self) -> list[str]:
        """Every file below the media folder, leftovers included."""
        root = self.folder / "blobs"
        found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return sorted(found - {ID_FILE})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Served"]:
        @web.middleware
        async def note_end(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            finally:
                self.handled.put_nowait(None)

        app = web.Application(middlewares=[note_end, errors_middleware])
        app.add_routes(self.blobs.routes())
        runner = web.AppRunner(app, handler_cancellation=self.cancels, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession() as self.http:
                yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with Served(tmp_path).serve() as opened:
        yield opened


@asynccontextmanager
async def half_upload(
    served: Served, header: str, body: bytes
) -> AsyncIterator[asyncio.StreamReader]:
    """An upload that has sent part of its body and waits."""
    parts = urlsplit(served.put_url())
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: test\r\n{header}\r\n"
    try:
        writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert b" 100 " in await reader.readline()  # the server has begun to handle it
        await reader.readline()
        writer.write(body)
        await writer.drain()
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (f"Content-Length: {len(MEGABYTE)}", MEGABYTE[:-1]),
        (f"Content-Length: {len(MEGABYTE)}", b""),
        ("Transfer-Encoding: chunked", b"80000\r\n" + MEGABYTE[:0x80000] + b"\r\n"),
        ("Transfer-Encoding: chunked", b"80000\r\n" + MEGABYTE[:0x80000] + b"\r\nzzz\r\n"),
    ],
    ids=["declared", "nothing", "chunked", "broken chunk"],
)
@pytest.mark.parametrize("cancels", [True, False])
async def test_an_interrupted_upload_leaves_nothing_behind(
    tmp_path: Path, cancels: bool, header: str, body: bytes
) -> None:
    async with Served(tmp_path, cancels=cancels).serve() as served:
        async with half_upload(served, header, body):
            pass
        await served.handled.get()
        assert served.files() == []


async def test_an_interrupted_upload_leaves_the_older_file_as_it_was(served: Served) -> None:
    async with served.http.put(served.put_url(), data=b"older"):
        await served.handled.get()
    async with half_upload(served, "Content-Length: 1048576", MEGABYTE[:700_000]):
        pass
    await served.handled.get()
    assert (served.folder / "blobs" / KEY).read_bytes() == b"older"
    assert served.files() == [KEY]


async def test_an_upload_that_never_ends_is_given_up(tmp_path: Path) -> None:
    async with (
        Served(tmp_path, upload_limit_s=0.05).serve() as served,
        half_upload(served, "Content-Length: 1048576", MEGABYTE[:700_000]) as reader,
    ):
        assert b" 408 " in await reader.readline()
        assert served.files() == []


async def test_an_upload_cut_off_while_it_is_written_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Served(tmp_path, cancels=True).serve() as served:
        uploads = tmp_path / "blobs" / ".uploads"
        async with half_upload(served, "Content-Length: 1048576", MEGABYTE[:700_000]):
            while not list(uploads.iterdir()):  # noqa: ASYNC110 -- a disk sends no event
                await asyncio.sleep(0)
        await served.handled.get()
        assert served.files() == []


@contextmanager
def longest_file(limit_bytes: int) -> Iterator[None]:
    """The operating system lets no file grow beyond a limit: a real write error, without root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100_000, len(MEGABYTE)], ids=["at the end", "on the way"])
async def test_a_full_disk_is_a_507_and_keeps_nothing(served: Served, size: int) -> None:
    with longest_file(50_000):
        async with served.http.put(served.put_url(), data=MEGABYTE[:size]) as response:
            assert response.status == 507
            body = await response.json()
    assert body["status"] == "error"
    assert "room" in body["message"]
    assert served.files() == []


@pytest.mark.parametrize(
    "page",
    [b"<html><script>alert(1)</script>", b"<svg onload='alert(1)'/>", b"GIF90a<script>", b""],
)
@pytest.mark.parametrize("claimed", [None, "text/html", "image/svg+xml"])
async def test_an_uploaded_page_never_runs_in_a_browser(
    served: Served, page: bytes, claimed: str | None
) -> None:
    key = "inputs/A1/P1/startingImage"
    url = served.blobs.put_url(
        key, content_type=claimed, max_bytes=1000, expires_s=60, origin=served.origin
    )
    headers = {"Content-Type": claimed or "text/html"}
    async with served.http.put(url, data=page, headers=headers) as response:
        assert response.status == 200
    async with served.http.get(served.get_url(claimed, key)) as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"] == "sandbox"


async def test_links_survive_a_restart(tmp_path: Path) -> None:
    async with Served(tmp_path).serve() as before:
        link = before.get_url()
        async with before.http.put(before.put_url(), data=b"kept"):
            pass
    query = urlsplit(link).query
    async with (
        Served(tmp_path).serve() as after,
        after.http.get(f"{after.origin}/blobs/{KEY}?{query}") as response,
    ):
        assert await response.read() == b"kept"


def test_the_secret_is_random_and_for_the_owner_only(tmp_path: Path) -> None:
    for name in ("one", "two"):
        LocalBlobs(tmp_path / name)
    one, two = (tmp_path / name / "blob-secret" for name in ("one", "two"))
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert len(one.read_bytes()) >= 32
    assert one.read_bytes() != two.read_bytes()
    assert [path.name for path in one.parent.iterdir() if path.is_file()] == ["blob-secret"]


def test_a_damaged_secret_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "blob-secret").write_bytes(b"short")
    with pytest.raises(ConfigError, match="blob-secret is damaged"):
        LocalBlobs(tmp_path)


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        LocalBlobs(tmp_path / "data")


def test_leftovers_of_a_crash_are_removed_at_the_start(tmp_path: Path) -> None:
    leftover = tmp_path / "blobs" / ".uploads" / "half"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half a picture")
    LocalBlobs(tmp_path)
    assert not leftover.exists()


def test_each_file_expires_by_its_own_age_and_empty_folders_go(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for key in ("a/old", "a/b/old", "c/new"):
        folder.begin().commit(b"x", folder.path(key), False)
    for key in ("a/old", "a/b/old"):
        os.utime(folder.path(key), (1000, 1000))
    assert folder.remove_older(2000, lambda key: False) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".uploads", "c"]
    folder.begin().commit(b"x", folder.path("a/b/again"), True)
    assert folder.size("a/b/again") == 1


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.begin().commit(b"x", folder.path("a/b"), False)
    assert folder.size("a") is None
    assert folder.open("a") is None
    assert not folder.remove("a")
    assert folder.size("a/b/c") is None
    assert not folder.remove("a/b/c")


def test_nothing_is_written_after_an_upload_was_given_up(tmp_path: Path) -> None:
    incoming = Folder(tmp_path).begin()
    incoming.append(b"half")
    incoming.abort()
    with pytest.raises(OSError, match="given up"):
        incoming.append(b"late")
    with pytest.raises(OSError, match="given up"):
        incoming.commit(b"late", str(tmp_path / "x"), False)
    assert [path.name for path in tmp_path.rglob("*")] == [".uploads"]


async def test_a_sweep_that_takes_a_folder_away_while_it_is_made_loses_no_upload(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    makedirs = os.makedirs
    swept: list[str] = []

    def makedirs_in_vain(path: str, *rest: object, **more: object) -> None:
        if path.endswith("/results/P1") and not swept:
            swept.append(path)
            raise FileNotFoundError(path)  # as when `results` goes before `P1` is made in it
        makedirs(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "makedirs", makedirs_in_vain)
    async with served.http.put(served.put_url(), data=b"whole") as answer:
        assert answer.status == 200
    assert swept
    assert served.files() == [KEY]
