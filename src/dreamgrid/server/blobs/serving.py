"""Answers to GET and HEAD for an open file: ranges, validators, and headers that keep it harmless.

aiohttp's own FileResponse answers some errors without a body, serves `x.gz` in place of `x`, and
visits a thread four times for a small picture; this one keeps to the wire contract and reads a
small file in one go.
"""

import asyncio
from io import FileIO

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from dreamgrid.protocol.failures import ErrorBody
from dreamgrid.server.blobs.folder import OpenFile, read_exactly
from dreamgrid.server.blobs.media_types import (
    HEAD_BYTES,
    OCTETS,
    SERVED_TYPES,
    by_extension,
    sniff,
)
from dreamgrid.server.http import bare_answer

AT_ONCE_BYTES = 256 * 1024
"""Parts up to this size are read before the answer begins; longer ones in steps of it."""


def file_response(
    request: web.Request, opened: OpenFile, key: str, content_type: str | None
) -> web.StreamResponse:
    """The answer to a request for an open file. Reads; to be called in a thread.

    Args:
        request: GET or HEAD.
        opened: The file; closed here, or by the answer when it has been sent.
        key: Its key, whose extension tells its type.
        content_type: Type that the link chose. None: the file's own.
    """
    keep_open = False
    try:
        kind = content_type or by_extension(key) or sniff(read_exactly(opened.file, HEAD_BYTES))
        headers = _headers(kind, opened.etag)
        if _unchanged(request, opened.etag):
            return web.Response(status=304, headers=headers)
        part = _part(request, opened)
        if part is None:
            return _out_of_range(opened.size_bytes)
        start, stop = part
        status = 200
        if hdrs.RANGE in request.headers and _if_range_holds(request, opened.etag):
            status = 206
            headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{opened.size_bytes}"
        opened.file.seek(start)
        if stop - start <= AT_ONCE_BYTES:
            body = read_exactly(opened.file, stop - start)
            return web.Response(status=status, headers=headers, body=body)
        keep_open = True
        return _LongResponse(opened.file, stop - start, status=status, headers=headers)
    finally:
        if not keep_open:
            opened.file.close()


def _headers(kind: str, etag: str) -> dict[str, str]:
    """An upload must never become a page or a script in a browser, whatever is in it."""
    shown = kind in SERVED_TYPES
    return {
        hdrs.CONTENT_TYPE: kind if shown else OCTETS,
        hdrs.CONTENT_DISPOSITION: "inline" if shown else "attachment",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        # A key can be uploaded again (previews are), so a kept copy is asked about each time.
        hdrs.CACHE_CONTROL: "private, no-cache",
        hdrs.ETAG: f'"{etag}"',
        hdrs.ACCEPT_RANGES: "bytes",
    }


def _unchanged(request: web.Request, etag: str) -> bool:
    known = request.if_none_match or ()
    return any(tag.value in (etag, "*") for tag in known)


def _if_range_holds(request: web.Request, etag: str) -> bool:
    """Whether a range still fits what the client has of the file; else it gets the whole."""
    return request.headers.get(hdrs.IF_RANGE, f'"{etag}"') == f'"{etag}"'


def _part(request: web.Request, opened: OpenFile) -> tuple[int, int] | None:
    """First byte and the byte after the last one; None when the range lies outside the file."""
    size = opened.size_bytes
    if hdrs.RANGE not in request.headers or not _if_range_holds(request, opened.etag):
        return 0, size
    try:
        asked = request.http_range
    except ValueError:
        return None
    start, stop, _ = asked.indices(size)
    return (start, stop) if start < stop else None


def _out_of_range(size_bytes: int) -> web.Response:
    response = bare_answer(
        ErrorBody(message=f"the file has {size_bytes} bytes", error_code=416), status=416
    )
    response.headers[hdrs.CONTENT_RANGE] = f"bytes */{size_bytes}"
    return response


class _LongResponse(web.StreamResponse):
    """Sends part of a file step by step.

    It begins when aiohttp prepares it, after all middlewares, so that these can still add headers.
    """

    def __init__(self, file: FileIO, count: int, *, status: int, headers: dict[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = count
        self._file = file
        self._count = count

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Sends headers and bytes, and closes the file."""
        loop = asyncio.get_running_loop()
        try:
            writer = await super().prepare(request)
            left = 0 if request.method == hdrs.METH_HEAD else self._count
            while left:
                step = min(left, AT_ONCE_BYTES)
                data = await loop.run_in_executor(None, read_exactly, self._file, step)
                if not data:  # cut short from outside; only a broken connection tells the client
                    raise ConnectionResetError("the file is shorter than it was")
                await self.write(data)
                left -= len(data)
            await self.write_eof()
        finally:
            self._file.close()
        return writer
