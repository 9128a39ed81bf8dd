"""The roles that files play in a project, and the file types that may be uploaded for them.

Source: `rest.md` 3 of the wire contract. Inputs are looked up by account, project and role, so a
role is also part of a file's key in the store.
"""

from dreamgrid.protocol.params import STARTING_IMAGE

CONTROL_NET_IMAGE = "cnImage"
"""The picture that steers a ControlNet."""

CONTEXT_IMAGE = "contextImage"
"""Begins the roles of context images; the slot number, from 1, follows."""

MAX_CONTEXT_IMAGES = 16

IMAGE_ROLES = frozenset(
    {STARTING_IMAGE, CONTROL_NET_IMAGE, "referenceImage", "referenceImageEnd", "referenceMask"}
    | {f"{CONTEXT_IMAGE}{slot}" for slot in range(1, MAX_CONTEXT_IMAGES + 1)}
    | {f"keyframeImage{slot}" for slot in range(1, 9)}
)
"""Inputs that are pictures."""

MEDIA_ROLES = frozenset(
    {"referenceAudio", "referenceVideo"}
    | {f"referenceAudio{slot}" for slot in range(1, 4)}
    | {f"referenceVideo{slot}" for slot in range(1, 4)}
)
"""Inputs that are sound or video."""

COMPLETE = "complete"
"""The result of a job."""

PREVIEW = "preview"
"""The newest preview of a job."""

IMAGE_UPLOAD_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
"""Content types that a picture may be uploaded with."""
