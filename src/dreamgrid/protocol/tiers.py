"""A model's tier: what its settings may be, as `models/tiers` serves it. Facts, never code.

Older image models name their sampler in `sampler` and `scheduler`, newer ones in `comfySampler` and
`comfyScheduler`. Source: `job-request.md` section 9 of the wire contract.
"""

import msgspec

from dreamgrid.protocol.rest import NumberRange, StringChoice


class ImageTier(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The tier of an image model. What is None may be anything that the server accepts."""

    type: str | None = None
    nickname: str | None = None
    steps: NumberRange | None = None
    guidance: NumberRange | None = None
    width: NumberRange | None = None
    height: NumberRange | None = None
    strength: NumberRange | None = None
    sampler: StringChoice | None = None
    scheduler: StringChoice | None = None
    comfy_sampler: StringChoice | None = None
    comfy_scheduler: StringChoice | None = None
    default_size: int | None = None
