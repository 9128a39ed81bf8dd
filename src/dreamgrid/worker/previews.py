"""Uploads previews beside a render: one at a time, the newest wins, the render never waits."""

import asyncio
import logging
from collections.abc import Callable

from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.worker import Upload
from dreamgrid.worker.transfers import Files

_log = logging.getLogger(__name__)


class PreviewUploads:
    """The previews of one render.

    While one is on its way, only the newest of those that follow is kept. One that fails is
    skipped: the next one replaces it anyway.
    """

    def __init__(self, files: Files, upload: Upload, on_uploaded: Callable[[], None]) -> None:
        self._files = files
        self._upload = upload
        self._on_uploaded = on_uploaded
        self._newest = b""
        self._offered = asyncio.Event()

    def offer(self, preview: bytes) -> None:
        """Takes a preview; returns at once."""
        self._newest = preview
        self._offered.set()

    async def run(self) -> None:
        """Uploads what is offered until canceled, at the latest when the render ends."""
        while True:
            await self._offered.wait()
            self._offered.clear()
            try:
                await self._files.put_preview(self._upload, self._newest)
            except DreamgridError as error:
                _log.info("a preview was skipped: %s", error)
            else:
                self._on_uploaded()
