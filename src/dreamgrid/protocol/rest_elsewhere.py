"""What clients ask that comes from other grids: subscriptions, announcements, saved uploads.

A grid of one's own has none of it. Where a list is asked for, it is empty, so that apps go on.
"""

from typing import Any

import msgspec


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the bodies here."""


class ElsewherePath(_Body, frozen=True, kw_only=True):
    """Something that this grid does not have.

    Attributes:
        id: Any id.
    """

    id: str


class Subscription(_Body, frozen=True, kw_only=True):
    """There are none on a grid of one's own."""

    active: bool = False
    status: str = "none"


class SubscriptionStatus(_Body, frozen=True, kw_only=True):
    """`GET /v1/subscriptions/status`."""

    subscription: Subscription = Subscription()


class Announcements(_Body, frozen=True, kw_only=True):
    """`GET /v1/announcements/active`: a grid of one's own makes none."""

    announcements: tuple[dict[str, Any], ...] = ()


class Dismissed(_Body, frozen=True, kw_only=True):
    """`POST /v1/announcements/:id/dismiss`."""

    dismissed: bool = True
    id: str


class SavedUploadLimits(_Body, frozen=True, kw_only=True):
    """What an account may keep: nothing."""

    entries: int = 0
    bytes: int = 0
    file_bytes: int = 0
    idle_days: int = 0
    copy_bytes_per_day: int = 0
    bindings_per_day: int = 0


class SavedUploads(_Body, frozen=True, kw_only=True):
    """`GET /v1/assets`: inputs that are kept for further projects."""

    assets: tuple[dict[str, Any], ...] = ()
    limits: SavedUploadLimits = SavedUploadLimits()


class ReplayRecords(_Body, frozen=True, kw_only=True):
    """`GET /v1/replay/records`: records of conversations with a language model."""

    records: tuple[dict[str, Any], ...] = ()
