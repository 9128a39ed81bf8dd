"""What to make: the one description that travels from the SDK call to the engine.

`ImageParams` is what an app asks for; a field that is None means "the model's default". The server
resolves it against the catalogue into one `ImageRender` per job, in which everything is decided.
"""

from typing import Literal

import msgspec

Network = Literal["fast", "relaxed"]
TokenType = Literal["spark", "sogni"]
ImageFormat = Literal["png", "jpg", "webp"]

NETWORKS: tuple[Network, ...] = ("fast", "relaxed")
TOKEN_TYPES: tuple[TokenType, ...] = ("spark", "sogni")
IMAGE_CONTENT_TYPES: dict[ImageFormat, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
}
MAX_SEED = 2**32 - 1

STARTING_IMAGE = "startingImage"
"""The asset role of the picture that image to image begins with."""

MAX_INPUT_BYTES = 20 * 1024 * 1024
"""Largest input picture: what every server of this protocol takes (`rest.md` section 3)."""

MAX_INPUT_PIXELS = 40_000_000
"""Largest input picture once decoded: 160 MB in memory."""


class ImageParams(msgspec.Struct, frozen=True, kw_only=True):
    """A request for `count` pictures.

    Attributes:
        model: Catalogue id of the model.
        prompt: What to show.
        negative_prompt: What to avoid.
        style_prompt: Appended to the prompt.
        count: How many pictures; each becomes one job.
        steps: Denoising steps. None: the model's default.
        guidance: Strength of the prompt (classifier-free guidance). None: the model's default.
        seed: Seed of the first picture, 0..2**32-1; the others get random seeds. None: random.
        width: Pixels; given together with `height`. None: the preset's or the model's size.
        height: Pixels.
        size_preset: Id of one of the model's size presets.
        assets: Roles of the inputs that were uploaded for this project, such as `startingImage`.
        strength: With a starting image: how much to change it, 0 keeps it, 1 ignores it.
        sampler: Name or alias of the sampler. None: the model's default.
        scheduler: Name or alias of the noise schedule. None: the model's default.
        loras: Ids of LoRAs to apply, in this order.
        control_nets: Names of ControlNets to steer by.
        previews: How many previews to send while each picture is made.
        output_format: File type of the result.
        disable_safety: Deliver pictures that the content filter objects to.
        network: Worker pool. None: the connection's.
        token_type: Currency to pay with. None: the server's default.
    """

    model: str
    prompt: str = ""
    negative_prompt: str = ""
    style_prompt: str = ""
    count: int = 1
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    size_preset: str | None = None
    assets: tuple[str, ...] = ()
    strength: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    loras: tuple[str, ...] = ()
    control_nets: tuple[str, ...] = ()
    previews: int = 0
    output_format: ImageFormat = "png"
    disable_safety: bool = False
    network: Network | None = None
    token_type: TokenType | None = None


class ImageRender(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to make, everything decided: what an engine receives.

    Attributes:
        model: Catalogue id of the model.
        prompt: What to show, style included.
        negative_prompt: What to avoid; empty for nothing.
        width: Pixels of the result.
        height: Pixels of the result.
        steps: Denoising steps.
        guidance: Strength of the prompt.
        seed: 0..2**32-1. The same render gives the same picture, bit for bit, on the same machine.
        strength: With a starting image: how much to change it, 0..1. None: no starting image.
        sampler: Alias of the sampler, or None when the model has no choice.
        scheduler: Alias of the noise schedule, or None when the model has no choice.
        previews: How many previews the app wants.
        output_format: File type of the result.
    """

    model: str
    prompt: str
    negative_prompt: str = ""
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    strength: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    previews: int = 0
    output_format: ImageFormat = "png"
