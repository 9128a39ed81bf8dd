"""What a request says beyond what to make: its prompts, and whom it names. Pure.

The store keeps requests as the apps sent them, and all of this is in there: so it needs no columns,
and a server that was restarted reads it again.
"""

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.codec import UNREADABLE
from dreamgrid.protocol.dynamic_prompts import DynamicPrompts, Prompts
from dreamgrid.protocol.job_request import JobRequest
from dreamgrid.protocol.params import Network
from dreamgrid.server.worker_flags import ANYBODY, Targeting, take_out, targeting_of


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What prompts say.

    Attributes:
        prompt: The prompt without flags.
        targeting: Which workers it wants. Only the network `fast` listens to the flags in prompts.
        dynamic: Whether braces give each job its own text, which its app is told.
    """

    prompt: str = ""
    targeting: Targeting = ANYBODY
    dynamic: bool = False


_NOTHING = Said()

_SIGNS = (b"=", b"|", b"\\", b'orkers"')
"""One of these is in every request that says something: a flag's, a choice's, an escape, which may
stand for either, or a field that names workers. One byte is found ten times as fast as two."""


def read(request: JobRequest, network: Network) -> Said:
    """What a request says.

    Raises:
        InvalidRequest: Flags or fields contradict each other, or name too many workers.
    """
    frame = request.key_frames[0]
    prompt, targeting = take_out(frame.positive_prompt or "")
    texts = Prompts(prompt, frame.style_prompt or "", frame.negative_prompt or "")
    flags = targeting if network == "fast" else ANYBODY
    return Said(
        prompt=prompt,
        targeting=targeting_of(
            (*flags.required, *(request.workers or ())),
            (*flags.preferred, *(request.preferred_workers or ())),
            (*flags.skipped, *(request.skip_workers or ())),
        ),
        dynamic=DynamicPrompts(texts).dynamic,
    )


def recall(raw: bytes, network: Network) -> Said:
    """What a request says that was accepted and stored before.

    After a restart every open request is looked at; most say nothing, and are not even decoded.
    """
    if not any(sign in raw for sign in _SIGNS):
        return _NOTHING
    try:
        return read(msgspec.json.decode(raw, type=JobRequest), network)
    except (*UNREADABLE, InvalidRequest):  # an older version wrote it, with other rules
        return Said()
