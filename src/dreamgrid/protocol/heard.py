"""Frames of the app socket as a client reads them: what another server may leave out has a default.

Our server says more in some frames and less in others than the original one does; a client has to
understand both. Source: `socket.md` 4 of the wire contract.
"""

from typing import ClassVar

import msgspec

from dreamgrid.protocol.codec import Message


class Authenticated(Message, frozen=True, kw_only=True):
    """As `Authenticated`: all of it that a client needs."""

    message_type: ClassVar[str] = "authenticated"

    username: str = ""
    address: str = ""


class Progress(Message, frozen=True, kw_only=True, rename="camel"):
    """As `JobProgress`. `progress` counts more than steps: up to 1 a fraction, above a percentage.

    Renders that cannot count their steps send it alone.
    """

    message_type: ClassVar[str] = "jobProgress"

    project_id: str = msgspec.field(name="jobID")
    job_id: str = msgspec.field(name="imgID")
    step: int = 0
    step_count: int = 0
    progress: float | None = None
    has_image: bool = False
    eta_s: float | None = msgspec.field(default=None, name="etaSeconds")
    assignment: int | None = None
