"""What workers uploaded of their renders: is it there and whole, and away with what is withheld."""

from dreamgrid.protocol.renders import VideoRender
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.kept_files import KeptFiles
from dreamgrid.server.live import LiveJob
from dreamgrid.server.open_projects import key_of_last_frame, key_of_result, keys_of_attempts


class DeliveredFiles:
    """Looks at results and removes them. Not every store tells what arrives, or limits it."""

    def __init__(self, config: ServerConfig, blobs: Blobs, kept: KeptFiles) -> None:
        self._most_bytes = config.max_result_bytes
        self._blobs = blobs
        self._kept = kept

    async def look(self, job: LiveJob, size_bytes: int) -> str | None:
        """What is wrong with the result of a job that should have `size_bytes`. None: nothing.

        Also notes whether a video came with its last frame.

        Raises:
            ServerUnavailable: The media store is away, so nobody knows.
        """
        if isinstance(job.render, VideoRender):
            job.last_frame = await self._arrived(key_of_last_frame(job)) is not None
        stored_bytes = await self._arrived(key_of_result(job))
        if stored_bytes != size_bytes:
            return "the result never arrived whole"
        if stored_bytes > self._most_bytes:
            return f"the result has {stored_bytes} bytes, at most {self._most_bytes} are taken"
        return None

    async def remove(self, job: LiveJob) -> None:
        """Removes what workers uploaded of a render that is withheld, in any attempt at it."""
        for key in keys_of_attempts(job):
            await self._blobs.delete(key)

    async def _arrived(self, key: str) -> int | None:
        stored = await self._blobs.stat(key)
        if stored is None:
            return None
        self._kept.arrived(key, stored.size_bytes)
        return stored.size_bytes
