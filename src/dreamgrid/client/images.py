"""A finished picture that reads and saves itself."""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from dreamgrid.client.http import Http
from dreamgrid.errors import NotAllowed, NotFound, ProtocolError

MAX_RESULT_BYTES = 512 * 1024 * 1024
"""Largest result that is fetched; a picture has a hundredth of it."""

_SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


class Image:
    """One delivered picture.

    Attributes:
        project_id: The project it belongs to.
        job_id: The render that made it.
        index: Its place in the project, from 0.
        seed: The seed that makes it again. None: the server did not say.
        content_type: Its media type, such as `image/png`.
        sha256: Hash of the file as the worker made it, 64 hex characters. None: not told.
        url: Where it can be fetched without a key, for about an hour. None: not told yet;
            `get_url()` asks.
        size_bytes: Length of the file. None: not fetched yet.
    """

    def __init__(
        self,
        *,
        http: Http,
        find_url: Callable[[], Awaitable[str]],
        project_id: str,
        job_id: str,
        index: int,
        seed: int | None,
        content_type: str,
        url: str | None = None,
        sha256: str | None = None,
    ) -> None:
        self._http = http
        self._find_url = find_url
        self.project_id = project_id
        self.job_id = job_id
        self.index = index
        self.seed = seed
        self.content_type = content_type
        self.url = url
        self.sha256 = sha256
        self.size_bytes: int | None = None

    def __repr__(self) -> str:
        return (
            f"<Image {self.index} of project {self.project_id}, {self.content_type}, "
            f"seed {self.seed}>"
        )

    async def get_url(self) -> str:
        """A fresh address of the file; valid for about an hour, without a key.

        Raises:
            NotFound: The server does not keep the file any more.
        """
        self.url = await self._find_url()
        return self.url

    async def read(self) -> bytes:
        """Downloads the file.

        Raises:
            NotFound: The server does not keep it any more.
            ConnectionFailed: The download broke off.
            ProtocolError: What came is not what the worker made.
        """
        async with aclosing(self._checked()) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Downloads the file to `path`; an existing file is replaced, but only by a whole one.

        Args:
            path: A file, or a folder, in which it is named after its job. Missing folders are
                made; a missing suffix is added.

        Returns:
            The path of the file.

        Raises:
            OSError: It cannot be written.
            NotFound: The server does not keep it any more.
            ConnectionFailed: The download broke off.
            ProtocolError: What came is not what the worker made.
        """
        target = await asyncio.to_thread(self._target, Path(path))
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            file = await asyncio.to_thread(partial.open, "xb")
            try:
                await self._write(file)
            finally:
                await asyncio.to_thread(file.close)
            await asyncio.to_thread(partial.replace, target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    async def _write(self, file: BinaryIO) -> None:
        async with aclosing(self._checked()) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)

    def _target(self, path: Path) -> Path:
        suffix = _SUFFIX.get(self.content_type, ".bin")
        if path.is_dir():
            return path / f"{self.job_id}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path if path.suffix else path.with_suffix(suffix)

    async def _checked(self) -> AsyncGenerator[bytes, None]:
        """The file in pieces; the last one comes only if the whole has the right hash."""
        digest = hashlib.sha256()
        size = 0
        held = b""
        async with aclosing(self._pieces()) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                if held:
                    yield held
                held = chunk
        if self.sha256 is not None and digest.hexdigest() != self.sha256.lower():
            raise ProtocolError(f"the file of job {self.job_id} is not what the worker made")
        self.size_bytes = size
        if held:
            yield held

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """The file from the address we have, or from a fresh one when that has run out."""
        if self.url is not None:
            with contextlib.suppress(NotAllowed, NotFound):
                async with aclosing(
                    self._http.stream(self.url, max_bytes=MAX_RESULT_BYTES)
                ) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
        async with aclosing(
            self._http.stream(await self.get_url(), max_bytes=MAX_RESULT_BYTES)
        ) as chunks:
            async for chunk in chunks:
                yield chunk
