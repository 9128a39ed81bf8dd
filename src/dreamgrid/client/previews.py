"""Fetches previews: the newest of each job, one at a time per job, a few at a time in all."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from dreamgrid.client.history import History
from dreamgrid.client.http import Http
from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.rest import DownloadUrl

_log = logging.getLogger("dreamgrid.client")

MAX_PREVIEW_BYTES = 8 * 1024 * 1024

_AT_ONCE = 4


class Previews:
    """Turns "there is a preview" into its bytes. A preview that is out of date is skipped.

    Args:
        http: Fetches.
        spawn: Starts a task that the client ends when it is closed.
    """

    def __init__(
        self, http: Http, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._http = http
        self._spawn = spawn
        self._wanted: dict[str, bool] = {}  # job being fetched -> whether there is a newer one
        self._gate = asyncio.Semaphore(_AT_ONCE)

    def want(self, history: History, job_id: str) -> None:
        """A new preview of this job lies at the server."""
        if job_id in self._wanted:
            self._wanted[job_id] = True
            return
        self._wanted[job_id] = False
        self._spawn(self._fetch(history, job_id))

    async def _fetch(self, history: History, job_id: str) -> None:
        query = {"jobId": history.id, "imageId": job_id, "type": "preview"}
        try:
            again = True
            while again and not history.finished:
                self._wanted[job_id] = False
                async with self._gate:
                    answer = await self._http.rest(
                        "GET", "/v1/image/downloadUrl", DownloadUrl, query=query
                    )
                    data = await self._http.download(
                        answer.download_url, max_bytes=MAX_PREVIEW_BYTES
                    )
                history.on_preview(job_id, data, answer.download_url)
                again = self._wanted[job_id]
        except DreamgridError as error:
            _log.info("no preview of job %s: %s", job_id, error)
        finally:
            del self._wanted[job_id]
