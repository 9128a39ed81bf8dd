"""What workers uploaded of their renders: is it there and whole, and away with what is withheld."""

import asyncio

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
        self._most_frame_bytes = config.max_image_bytes
        self._blobs = blobs
        self._kept = kept

    async def look(self, job: LiveJob, size_bytes: int) -> str | None:
        """What is wrong with the result of a job that should have `size_bytes`. None: nothing.

        Also notes whether a video came with its last frame. What is wrong is not counted as kept:
        whoever asked removes it.

        Raises:
            ServerUnavailable: The media store is away, so nobody knows.
        """
        keys = _keys_of(job)
        found = await asyncio.gather(*map(self._blobs.stat, keys))
        sizes = [None if one is None else one.size_bytes for one in found]
        return self._judged(job, size_bytes, dict(zip(keys, sizes, strict=True)))

    def look_at_once(self, job: LiveJob, size_bytes: int) -> bool:
        """Whether nothing is wrong, as far as the store can tell without waiting.

        False: `look` tells.
        """
        size_of = self._blobs.size_at_once
        if size_of is None:
            return False
        sizes = {key: size_of(key) for key in _keys_of(job)}
        return self._judged(job, size_bytes, sizes) is None

    def _judged(self, job: LiveJob, size_bytes: int, sizes: dict[str, int | None]) -> str | None:
        """The same for files of which `sizes` says how many bytes of each are there."""
        result_bytes, *others = sizes.values()
        frame_bytes = others[0] if others else None
        if result_bytes != size_bytes:
            return "the result never arrived whole"
        for name, stored_bytes, most_bytes in (
            ("result", result_bytes, self._most_bytes),
            ("last frame", frame_bytes or 0, self._most_frame_bytes),
        ):
            if stored_bytes > most_bytes:
                return f"the {name} has {stored_bytes} bytes, at most {most_bytes} are taken"
        job.last_frame = frame_bytes is not None
        for key, there_bytes in sizes.items():
            if there_bytes is not None:
                self._kept.arrived(key, there_bytes)
        return None

    async def remove(self, job: LiveJob) -> None:
        """Removes what workers uploaded of a render that nobody shall get, in any attempt at it.

        Raises:
            ServerUnavailable: The media store is away; some of it may be left.
        """
        keys = list(keys_of_attempts(job))
        await asyncio.gather(*(self._blobs.delete(key) for key in keys))
        for key in keys:
            self._kept.gone(key)


def _keys_of(job: LiveJob) -> list[str]:
    """Where the result lies, and the last frame of a video."""
    if isinstance(job.render, VideoRender):
        return [key_of_result(job), key_of_last_frame(job)]
    return [key_of_result(job)]
