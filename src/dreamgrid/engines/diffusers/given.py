"""The pictures that come with a job, of the size of its result and under a pipeline's names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageOps

from dreamgrid.engines.diffusers.family import Moment, Net, Task
from dreamgrid.engines.diffusers.maps import map_of
from dreamgrid.engines.mask import Mask
from dreamgrid.engines.starting_image import decode
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.assets import CONTROL_NET_IMAGE
from dreamgrid.protocol.params import STARTING_IMAGE
from dreamgrid.protocol.renders import AnyRender, AudioRender


@dataclass(frozen=True)
class Given:
    """What comes with a job.

    Attributes:
        pictures: By role. What sticks out is cut off, so that nothing is stretched.
        mask: Where to paint in the starting image; None: everywhere.
    """

    pictures: Mapping[str, Image.Image]
    mask: Mask | None = None

    @classmethod
    def of(
        cls, task: Task, net: Net | None, render: AnyRender, inputs: Mapping[str, bytes]
    ) -> "Given":
        """Reads the inputs of a job, for a task and its ControlNet.

        Raises:
            UnreadableMedia: One cannot be read or is too large.
            ModelNotAvailable: The mask is only for some of the steps, which no pipeline can do, or
                nothing here makes the map that the ControlNet reads.
            EngineError: A number of the mask is out of all bounds.
        """
        if isinstance(render, AudioRender):
            return cls({})
        size = (render.width, render.height)
        mask = None
        pictures = {
            role: ImageOps.fit(decode(data, what=role), size, Image.Resampling.LANCZOS)
            for role, data in inputs.items()
        }
        asked = render.control_net
        if asked is not None and task.control == "mask":
            mask = Mask.of(asked, inputs[CONTROL_NET_IMAGE], *size)
            if mask.start > 0 or mask.end < 1:
                raise ModelNotAvailable("this worker can keep to a mask only in all steps")
            pictures[CONTROL_NET_IMAGE] = mask.area
        elif asked is not None and net is not None and asked.preprocess:
            pictures[CONTROL_NET_IMAGE] = map_of(asked.name, net, pictures[CONTROL_NET_IMAGE])
        return cls(pictures, mask)

    def arguments(self, task: Task, render: AnyRender) -> dict[str, Any]:
        """Pictures by argument; several of one become a list."""
        taken: dict[str, list[Any]] = {}
        for role, argument in task.inputs.items():
            picture: Any = self.pictures[role]
            moment = task.moments.get(role)
            if moment is not None:
                picture = _at(moment, picture, getattr(render, moment.strength))
            taken.setdefault(argument, []).append(picture)
        return {name: one[0] if len(one) == 1 else one for name, one in taken.items()}

    def finish(self, picture: Image.Image) -> Image.Image:
        """The result, with what the mask keeps as it was: pipelines change it a little."""
        if self.mask is None:
            return picture
        return self.mask.lay(picture.convert("RGB"), over=self.pictures[STARTING_IMAGE])


def _at(moment: Moment, picture: Image.Image, strength: float | None) -> Any:
    """A picture at its place in a video, as LTX-2 takes it."""
    from diffusers.pipelines.ltx2 import LTX2VideoCondition  # noqa: PLC0415 - heavy

    return LTX2VideoCondition(
        frames=picture, index=moment.index, strength=1.0 if strength is None else strength
    )
