"""Whether this server can take work now, as load balancers ask before they send somebody here."""

import asyncio
import logging
from collections.abc import Awaitable

from dreamgrid.errors import DreamgridError
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.projects import Projects
from dreamgrid.server.store.base import Store

ANSWER_S = 10.0
"""A part that takes longer to answer counts as away."""

GOOD_FOR_S = 1.0
"""How long an answer is given again: whoever asks a thousand times a second costs nothing more."""

_PROBE = "results/readiness/probe"  # never there
_log = logging.getLogger("dreamgrid.server")


class Readiness:
    """Asks the parts without which no project can begin.

    Args:
        store: Asked through its writer, so that one that hangs is noticed.
        blobs: Asked for a file.
        projects: Says whether the server is stopping.
    """

    def __init__(self, store: Store, blobs: Blobs, projects: Projects) -> None:
        self._store = store
        self._blobs = blobs
        self._projects = projects
        self._asking: asyncio.Task[list[str]] | None = None
        self._asked_s = float("-inf")

    async def missing(self) -> list[str]:
        """What keeps this server from taking work, in words; empty: nothing."""
        if not self._projects.accepting:
            return ["the server is stopping"]
        loop = asyncio.get_running_loop()
        old = self._asking is not None and self._asking.done()
        if self._asking is None or (old and loop.time() - self._asked_s >= GOOD_FOR_S):
            self._asked_s = loop.time()
            self._asking = asyncio.create_task(self._ask(), name="readiness")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> list[str]:
        answers = await asyncio.gather(
            _answers("the database", self._store.balances("mint")),
            _answers("the media store", self._blobs.stat(_PROBE)),
        )
        return [f"{name} does not answer" for name in answers if name]


async def _answers(name: str, question: Awaitable[object]) -> str:
    """The name of a part that does not answer; empty: it does."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await question
    except (DreamgridError, OSError, TimeoutError) as error:
        _log.warning("not ready: %s does not answer: %s", name, error)
        return name
    return ""
