"""Whole models in one `.safetensors` file, known by the names and shapes of what is in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dreamgrid.engines.diffusers.family import Family

ENDING = ".safetensors"

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 64 * 1024 * 1024
_SCALES = (".scale_weight", ".weight_scale", "scaled_fp8")
"""What ends the names in files whose numbers mean nothing without a second set of numbers."""

Shapes = Mapping[str, tuple[int, ...]]


class _Tensor(msgspec.Struct, frozen=True):
    shape: tuple[int, ...] = ()


def shapes_of(file: Path) -> Shapes:
    """The names and shapes of the numbers in a file, none of which is read; {}: it is broken."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            header = opened.read(length) if length <= _MAX_HEADER_BYTES else b""
        found = msgspec.json.decode(header, type=dict[str, _Tensor])
    except (OSError, msgspec.DecodeError):
        return {}
    return {name: tensor.shape for name, tensor in found.items() if name != "__metadata__"}


def family_of(shapes: Shapes, families: Sequence[Family]) -> Family | None:
    """The family whose marks are all in a file; None: none that diffusers could read from it."""
    if any(name.endswith(_SCALES) for name in shapes):
        return None
    return next((family for family in families if _is_marked(shapes, family)), None)


def _is_marked(shapes: Shapes, family: Family) -> bool:
    kind = family.single_file
    return kind is not None and all(
        name in shapes and _is_like(shapes[name], wanted) for name, wanted in kind.marks.items()
    )


def _is_like(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape begins as it should; 0 stands for any number."""
    if len(shape) < len(wanted):
        return False
    return all(want in (0, has) for has, want in zip(shape, wanted, strict=False))


def why_not(file: Path, wanted: Family | None, families: Sequence[Family]) -> str:
    """What is wrong with a file that is to be a model, in words for its owner; "" for nothing.

    Args:
        file: The file.
        wanted: The family that it should be, by its name. None: any.
        families: All that there are.
    """
    shapes = shapes_of(file)
    if not shapes:
        return "is no readable safetensors file"
    if any(name.endswith(_SCALES) for name in shapes):
        return "holds numbers with scales of their own (fp8 scaled), which diffusers does not read"
    known = [family.single_file.name for family in families if family.single_file]
    found = family_of(shapes, families)
    if found is None or found.single_file is None:
        return f"holds none of the whole models that are known: {', '.join(known)}"
    if wanted is None or wanted is found:
        return ""
    if wanted.single_file is None:
        return f"holds {found.single_file.name}, which is not what its name says"
    return f"holds {found.single_file.name}, but its name says {wanted.single_file.name}"
