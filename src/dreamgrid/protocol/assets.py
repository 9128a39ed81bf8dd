"""The roles that files play in a project, and the file types that may be uploaded for them.

Source: `rest.md` 3 of the wire contract. Inputs are looked up by account, project and role, so a
role is also part of a file's key in the store.
"""

from dreamgrid.protocol.params import STARTING_IMAGE

CONTROL_NET_IMAGE = "cnImage"
"""The picture that steers a ControlNet."""

CONTEXT_IMAGE = "contextImage"
"""Begins the roles of context images; the slot number, from 1, follows."""

KEYFRAME_IMAGE = "keyframeImage"
"""Begins the roles of a video's key frames; the slot number, from 1, follows."""

REFERENCE_IMAGE = "referenceImage"
"""The first frame of a video, or what it shows."""

REFERENCE_IMAGE_END = "referenceImageEnd"
"""The last frame of a video."""

REFERENCE_MASK = "referenceMask"
"""Which part of the reference to change."""

REFERENCE_AUDIO = "referenceAudio"
"""A sound to follow, or a voice to copy. With a slot number, from 1: one of several."""

REFERENCE_VIDEO = "referenceVideo"
"""A video to follow or to change. With a slot number, from 1: one of several."""

MAX_CONTEXT_IMAGES = 16
MAX_KEYFRAME_IMAGES = 8
MAX_REFERENCES = 3

IMAGE_ROLES = frozenset(
    {
        STARTING_IMAGE,
        CONTROL_NET_IMAGE,
        REFERENCE_IMAGE,
        REFERENCE_IMAGE_END,
        REFERENCE_MASK,
    }
    | {f"{CONTEXT_IMAGE}{slot}" for slot in range(1, MAX_CONTEXT_IMAGES + 1)}
    | {f"{KEYFRAME_IMAGE}{slot}" for slot in range(1, MAX_KEYFRAME_IMAGES + 1)}
)
"""Inputs that are pictures."""

AUDIO_ROLES = frozenset(
    {REFERENCE_AUDIO} | {f"{REFERENCE_AUDIO}{slot}" for slot in range(1, MAX_REFERENCES + 1)}
)
"""Inputs that are sound."""

VIDEO_ROLES = frozenset(
    {REFERENCE_VIDEO} | {f"{REFERENCE_VIDEO}{slot}" for slot in range(1, MAX_REFERENCES + 1)}
)
"""Inputs that are videos."""

REFERENCE_IMAGE_ROLES = frozenset(
    {REFERENCE_IMAGE, REFERENCE_IMAGE_END}
    | {f"{CONTEXT_IMAGE}{slot}" for slot in range(1, MAX_CONTEXT_IMAGES + 1)}
)
"""Pictures that a video is made from, key frames left out."""

KEYFRAME_ROLES = frozenset(f"{KEYFRAME_IMAGE}{slot}" for slot in range(1, MAX_KEYFRAME_IMAGES + 1))
"""Pictures at a place in a video."""

MEDIA_ROLES = AUDIO_ROLES | VIDEO_ROLES
"""Inputs that are sound or video."""

COMPLETE = "complete"
"""The result of a job."""

PREVIEW = "preview"
"""The newest preview of a job."""

IMAGE_UPLOAD_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
"""Content types that a picture may be uploaded with."""

MEDIA_UPLOAD_TYPES = (
    "audio/mpeg",
    "audio/mp4",
    "audio/wav",
    "audio/x-wav",
    "audio/flac",
    "audio/x-flac",
    "audio/ogg",
    "audio/webm",
    "audio/aac",
    "audio/x-m4a",
    "video/mp4",
    "video/quicktime",
    "video/webm",
    "video/ogg",
)
"""Content types that a sound or video may be uploaded with; some clients guess older spellings."""
