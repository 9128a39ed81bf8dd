"""Pictures made larger, and pictures made finer."""

from collections.abc import Callable

from PIL import Image

from dreamgrid.engines.base import OnStep, Step
from dreamgrid.engines.dreamlet import enlarging, painting, pictures
from dreamgrid.engines.dreamlet.given import Given
from dreamgrid.engines.dreamlet.networks import Networks
from dreamgrid.engines.dreamlet.painting import Made
from dreamgrid.engines.dreamlet.sampler import step_count
from dreamgrid.errors import RenderRefused
from dreamgrid.protocol.renders import ImageRender


def upscale(render: ImageRender, given: Given, networks: Networks, on_step: OnStep) -> Made:
    """Fits a picture to a size, by the network where it has to grow. Tells every tile."""
    picture, _ = _needed(render, given)
    tiles = enlarging.tile_count(picture, render.width, render.height)
    told = _counter(on_step, max(1, tiles))
    large = enlarging.fit(networks.upscale, picture, render.width, render.height, told)
    if not tiles:
        told()
    return Made(large, render.steps)


def enhance(render: ImageRender, given: Given, networks: Networks, on_step: OnStep) -> Made:
    """Fits a picture to a size and makes it finer.

    First its outlines: it is drawn anew by the network from half its size, as far as the strength
    says. Then, if there is a prompt, the painter goes over it with that strength.
    """
    picture, strength = _needed(render, given)
    size = (render.width, render.height)
    painted = bool(render.prompt.strip())
    alive = painting.still(on_step, 0, step_count(render.steps, strength) if painted else 1)
    large = enlarging.fit(networks.upscale, picture, *size, alive)
    half = large.resize((max(1, size[0] // 2), max(1, size[1] // 2)), Image.Resampling.LANCZOS)
    redrawn = pictures.fit(enlarging.enlarge(networks.upscale, half, alive), *size)
    clean = Image.blend(large, redrawn, min(1.0, 2 * strength))
    if not painted:
        _counter(on_step, 1)()
        return Made(clean, render.steps)
    return painting.paint_over(clean, strength, render, given, networks, on_step)


def _needed(render: ImageRender, given: Given) -> tuple[Image.Image, float]:
    if given.start is None:
        raise RenderRefused(f"{render.model} needs a starting image")
    return given.start


def _counter(on_step: OnStep, count: int) -> Callable[[], None]:
    """Tells one more of so many steps at each call."""
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        on_step(Step(step=done, step_count=count))

    return tell
