"""What waits to be sent to the server, and what it has not settled yet. No I/O.

Kept small by meaning: progress of a job supersedes older progress of it, a heartbeat is sent or
not, and the rest is a few messages per job. An outcome (`Finished`, `Failed`) stays until the
server says `Settled`, and goes out again on every new connection.
"""

import asyncio
import logging
from collections import deque

import msgspec

from dreamgrid.protocol.worker import (
    Failed,
    Finished,
    Heartbeat,
    Progress,
    RunningJob,
    WorkerMessage,
)

MAX_WAITING = 1000
"""Messages about jobs that are kept, and unsettled outcomes. Far more than any worker has jobs, so
only a server that settles nothing at all reaches it; then the oldest outcome is given up."""

MAX_SPEEDS = 100
"""Most speeds that a heartbeat tells."""

_Key = tuple[str, int]
_log = logging.getLogger(__name__)


class Outbox:
    """Messages to the server, in order, with the newest progress of each job behind them."""

    def __init__(self) -> None:
        self._messages: deque[WorkerMessage] = deque(maxlen=MAX_WAITING)
        self._progress: dict[_Key, Progress] = {}
        self._unsettled: dict[_Key, Finished | Failed] = {}
        self._heartbeat: Heartbeat | None = None
        self._ready = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def post(self, message: WorkerMessage) -> None:
        """Queues a message; returns at once."""
        match message:
            case Progress():
                self._put_progress(message)
            case Heartbeat():
                if self._heartbeat is not None:  # what it would have told is news still
                    speeds = (*self._heartbeat.speeds, *message.speeds)[-MAX_SPEEDS:]
                    message = msgspec.structs.replace(message, speeds=speeds)
                self._heartbeat = message
            case Finished() | Failed():
                key = (message.job_id, message.attempt)
                self._progress.pop(key, None)  # it would come after the end
                self._unsettled[key] = message
                self._messages.append(message)
                self._keep_bounded()
            case _:
                self._messages.append(message)
        self._ready.set()
        self._empty.clear()

    def settle(self, job_id: str, attempt: int) -> None:
        """Forgets a job: the server has stored its outcome, or does not want it any more."""
        key = (job_id, attempt)
        outcome = self._unsettled.pop(key, None)
        if outcome is not None and outcome in self._messages:
            self._messages.remove(outcome)
        self._progress.pop(key, None)
        self._note_emptiness()

    def unsettled(self) -> tuple[RunningJob, ...]:
        """The jobs whose outcome the server may not know yet."""
        return tuple(RunningJob(job_id=job, attempt=number) for job, number in self._unsettled)

    def begin_connection(self) -> None:
        """Puts every unsettled outcome in front again: a message may be lost with a connection."""
        others = [
            message for message in self._messages if not isinstance(message, Finished | Failed)
        ]
        self._messages.clear()
        self._messages.extend([*self._unsettled.values(), *others])
        self._heartbeat = None
        if self._messages:
            self._ready.set()

    async def next(self) -> WorkerMessage:
        """Waits for the next message to send and takes it out."""
        while True:
            if self._messages:
                return self._messages.popleft()
            if self._heartbeat is not None:
                beat, self._heartbeat = self._heartbeat, None
                return beat
            if self._progress:
                return self._progress.pop(next(iter(self._progress)))
            self._note_emptiness()
            self._ready.clear()
            await self._ready.wait()

    async def wait_empty(self) -> None:
        """Waits until everything was sent and every outcome settled."""
        await self._empty.wait()

    def _put_progress(self, progress: Progress) -> None:
        key = (progress.job_id, progress.attempt)
        older = self._progress.pop(key, None)
        if older is not None and older.preview_ready:  # nobody has been told of that preview yet
            progress = msgspec.structs.replace(progress, preview_ready=True)
        self._progress[key] = progress

    def _keep_bounded(self) -> None:
        if len(self._unsettled) > MAX_WAITING:
            oldest = next(iter(self._unsettled))
            del self._unsettled[oldest]
            _log.error("the server settles nothing; the outcome of job %s is given up", oldest[0])

    def _note_emptiness(self) -> None:
        if not (self._messages or self._progress or self._heartbeat or self._unsettled):
            self._empty.set()
