"""One project that is followed, and its frames while they have to wait for its log."""

import time
from collections.abc import Callable

from dreamgrid.client.history import History

QUIET_S = 60.0
"""After this long without a word of a project it is asked for."""

MAX_HELD = 1_000
"""Frames of one project that wait; a server that sends more within seconds is not waited for."""


class Tracked:
    """A project that is followed.

    Attributes:
        history: What is known of it.
        frame: The request that makes it. None: somebody else sent it.
        holders: Calls of `submit` that were given it and did not withdraw.
        canceling: It is to be canceled, whatever comes between.
        polled: Nothing tells of it by itself; it has to be asked for.
        strikes: How often in a row the server did not know it.
        known: Number of the last event of its log that was told; 0: none yet.
        has_log: The server may keep a log of it.
        log_failures: How often in a row its log could not be read.
        held: Folds that wait for the log. None: frames are folded as they come.
    """

    def __init__(self, history: History, frame: bytes | None) -> None:
        self.history = history
        self.frame = frame
        self.holders = 1
        self.canceling = False
        self.polled = False
        self.strikes = 0
        self.known = 0
        self.has_log = True
        self.log_failures = 0
        self.held: list[Callable[[], None]] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the server has to be asked about it."""
        history = self.history
        if history.settled:
            return False
        if self.polled or history.needs_check:
            return True
        return time.monotonic() - history.heard_at > QUIET_S

    def hold(self) -> None:
        """From here on frames wait: something may have happened before them that was not heard.

        Those that wait already are dropped: the log knows what they tell.
        """
        self.held = []
        self.has_log = True
        self.log_failures = 0

    def take(self, fold: Callable[[], None]) -> None:
        """Folds a frame, now or when the log has been read."""
        if self.held is None:
            fold()
            return
        self.held.append(fold)
        if len(self.held) >= MAX_HELD:
            self.release()

    def release(self) -> None:
        """Folds the frames that waited."""
        held, self.held = self.held, None
        for fold in held or ():
            fold()
