"""What ControlNets read, made from plain pictures, where that takes no network of its own."""

import cv2
import numpy as np
from PIL import Image

from dreamgrid.engines.diffusers.family import Net
from dreamgrid.errors import ModelNotAvailable

_WEAK, _STRONG = 100, 200
"""Differences of levels between which an edge counts if it touches a stronger one."""


def map_of(name: str, net: Net, picture: Image.Image) -> Image.Image:
    """What a ControlNet reads instead of a plain RGB picture, of the same size.

    Raises:
        ModelNotAvailable: Only a network can make it, and there is none here.
    """
    match net.from_picture:
        case "itself":
            return picture
        case "edges":
            edges = cv2.Canny(np.asarray(picture.convert("L")), _WEAK, _STRONG)
            return Image.fromarray(edges).convert("RGB")
    raise ModelNotAvailable(
        f"this worker cannot make the map for the ControlNet {name} from a picture: send the map"
    )
