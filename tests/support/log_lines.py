"""Waits for what a server in this process says in its log."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.wire import PATIENCE_S


@contextmanager
def awaiting(words: str) -> Iterator[asyncio.Event]:
    """Meanwhile the event is set as soon as the loop's thread says these words."""
    said = asyncio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                said.set()

    logger, listener = logging.getLogger("dreamgrid"), Listener()
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


async def heard(said: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await said.wait()
