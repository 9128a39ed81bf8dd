"""Masks and ControlNets of workflows: which places they have, and what a job puts there. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.params import INPAINT, ControlNet
from dreamgrid.protocol.renders import AnyRender

Control = Literal["", "mask", "net"]
"""What the input `cnImage` is: a mask that says where to paint, or what a ControlNet reads."""


class ControlNetPlaces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a workflow takes a ControlNet, as `node.input`.

    Attributes:
        file: Takes the name of its file.
        strength: Takes how much it counts.
        start: Takes the share of the steps after which it sets in.
        end: Takes the share after which it lets go.
        files: The grid's name of each ControlNet to a pattern of file names.
    """

    file: str
    strength: str
    start: str
    end: str
    files: dict[str, str]


def control_of(render: AnyRender) -> Control:
    """What a job's `cnImage` is."""
    if render.control_net is None:
        return ""
    return "mask" if render.control_net.name == INPAINT else "net"


def check_mask(net: ControlNet) -> None:
    """Refuses a mask that counts for some of the steps only.

    Raises:
        ModelNotAvailable: Another worker may be able to.
    """
    if net.start not in (None, 0) or net.end not in (None, 1):
        raise ModelNotAvailable("this worker's masks count for all of the steps")


def values_of(
    places: ControlNetPlaces, files: Mapping[str, str], net: ControlNet
) -> dict[str, Any]:
    """What a job's ControlNet puts where.

    Args:
        places: Of the workflow.
        files: The grid's names of the ControlNets that are here, to their files.
        net: What the job asks for.

    Raises:
        ModelNotAvailable: It is not here, or cannot do what is asked for.
    """
    if net.name not in files:
        raise ModelNotAvailable(f"this worker has no ControlNet {net.name[:64]}")
    if net.mode not in (None, "balanced"):
        raise ModelNotAvailable(f"this worker's ControlNets have no {net.mode}")
    if net.preprocess:
        raise ModelNotAvailable(f"this worker makes no map for {net.name[:64]} of a plain picture")
    return {
        places.file: files[net.name],
        places.strength: 1.0 if net.strength is None else net.strength,
        places.start: net.start or 0.0,
        places.end: 1.0 if net.end is None else net.end,
    }
