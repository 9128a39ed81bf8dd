"""Names of stored files: how they are checked and how they are laid out. Pure.

A key is safe as a path, as a URL and as the name of an object anywhere: segments of letters,
digits, `.`, `_` and `-`, joined by single slashes, none beginning with a dot. So `..`, absolute
paths, hidden files, escapes and control characters cannot be written down at all.
"""

import re

MAX_KEY_CHARS = 400
MAX_SEGMENT_CHARS = 128

INPUTS = "inputs"
RESULTS = "results"
PREVIEWS = "previews"
FOLDERS = (INPUTS, RESULTS, PREVIEWS)
"""What the key of every stored file begins with."""

_SEGMENT = rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{MAX_SEGMENT_CHARS - 1}}}"
_RENDERED = re.compile(
    rf"(?:{RESULTS}|{PREVIEWS})/[^/]+/(?P<job>[^/.]+)-(?P<attempt>[0-9]+)(?:-last)?\.[^/.]+"
)
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def is_key(text: str) -> bool:
    """Whether `text` may name a stored file."""
    return len(text) <= MAX_KEY_CHARS and _KEY.fullmatch(text) is not None


def check_key(text: str) -> str:
    """`text`, which must be a key.

    Raises:
        ValueError: It is none. Keys are made by the server, so this is a bug, not bad input.
    """
    if not is_key(text):
        raise ValueError(f"{text[:80]!r} is no blob key")
    return text


def input_key(account_id: str, project_id: str, role: str) -> str:
    """Where an input lies.

    Inputs are uploaded before their project exists, when its id alone proves nothing. So the
    account is part of the key: nobody reaches somebody else's input by naming their project.
    """
    return f"{INPUTS}/{account_id}/{project_id}/{role}"


def result_key(project_id: str, job_id: str, attempt: int, extension: str) -> str:
    """Where the result of one attempt lies; `extension` without a dot.

    Apps name downloads by the last segment, so it is distinct and has the extension.
    """
    return f"{RESULTS}/{project_id}/{job_id}-{attempt}.{extension}"


def last_frame_key(project_id: str, job_id: str, attempt: int) -> str:
    """Where the last frame of the video of one attempt lies, as a picture."""
    return f"{RESULTS}/{project_id}/{job_id}-{attempt}-last.png"


def preview_key(project_id: str, job_id: str, attempt: int) -> str:
    """Where the newest preview of one attempt lies."""
    return f"{PREVIEWS}/{project_id}/{job_id}-{attempt}.jpg"


def folders_of_project(account_id: str, project_id: str) -> tuple[str, ...]:
    """Where everything of a project lies."""
    return (
        f"{INPUTS}/{account_id}/{project_id}",
        f"{RESULTS}/{project_id}",
        f"{PREVIEWS}/{project_id}",
    )


def rendered_by(key: str) -> tuple[str, int] | None:
    """The job and the attempt at it that a file is of. None: no worker makes such a file."""
    found = _RENDERED.fullmatch(key)
    return (found["job"], int(found["attempt"])) if found else None
