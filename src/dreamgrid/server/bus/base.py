"""The contract of a bus: fan-out of frames to whoever listens right now.

Nothing is kept: a message without a listener is gone, so whatever must not be lost lies in the
store first. Subjects are slash-joined words; the functions below are the only ones that spell them.
"""

from collections.abc import Callable
from typing import Protocol

Receiver = Callable[[bytes, str | None], None]
"""Takes a frame and its coalescing key; must not block."""


class Bus(Protocol):
    """See the module's text."""

    def publish(self, subject: str, frame: bytes, key: str | None = None) -> None:
        """Hands `frame` to every listener of `subject`, in the order of the calls.

        Those of this process are called before it returns; those of others hear it soon, if at
        all.

        Args:
            subject: Who it concerns.
            frame: Ready to be sent.
            key: Frames of one key supersede each other: a listener that has fallen behind may keep
                only the newest. None: must be kept.
        """

    def subscribe(self, subject: str, receiver: Receiver) -> Callable[[], None]:
        """Adds a listener; the returned function removes it."""

    def listening(self, subject: str) -> bool:
        """Whether anybody of this process listens now."""


COORDINATOR_SUBJECT = "nodes/coordinator"
"""Between nodes: another one coordinates, or none. The database says which."""


def app_subject(account_id: str, app_id: str) -> str:
    """Frames about the projects of one app."""
    return f"app/{account_id}/{app_id}"


def queue_subject(account_id: str, app_id: str) -> str:
    """Why projects of one app wait; apart from its other frames, because few apps want it."""
    return f"queue/{account_id}/{app_id}"


def project_subject(project_id: str) -> str:
    """That something happened to one project, whoever watches it. See `event_feed`."""
    return f"project/{project_id}"


def account_subject(account_id: str) -> str:
    """Frames for every app of an account, such as balances."""
    return f"account/{account_id}"


def network_subject(network: str) -> str:
    """Frames for every app on a network, such as its models."""
    return f"network/{network}"


def ban_subject(kind: str, target: str) -> str:
    """That an account or an app id was banned, for the sockets of it: close code and reason."""
    return f"ban/{kind}/{target}"


def key_subject(key_hash: bytes) -> str:
    """That an API key was revoked, for the connections that it opened."""
    return f"key/{key_hash.hex()}"


def session_subject(session_id: str) -> str:
    """That a sign-in has ended, for the connections that its tokens opened."""
    return f"session/{session_id}"
