"""Camera moves: which ones a prompt names, and what the camera sees at each moment.

A move leads from the whole picture, seen straight, to another pose, slowly at both ends. The
picture has a margin all around (`MARGIN`), into which the camera may look a little. Nothing here
knows about models: a frame is a picture seen through a mesh of small quadrilaterals, resampled by
pillow.

Coordinates are those of the picture without its margin: -1..1 from left to right and from top to
bottom.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MARGIN = 0.15
"""How much picture there is outside of each edge, as a share of half a side."""

MESH = 8
"""The mesh has this many quadrilaterals a side: enough for `orbit`, the only move that bends."""

FULL_MOVE_S = 2.0
"""A shorter video makes only its share of a move, so that none is hasty."""

_NEARNESS = 1.2  # how quickly things get farther away from the middle of the picture


@dataclass(frozen=True)
class Pose:
    """Where the camera looks from.

    Attributes:
        zoom: 2 sees half of the width.
        x: How far to the right of the middle it looks.
        y: How far below the middle it looks.
        roll_deg: How far it is turned, clockwise.
        orbit: How far it went around the middle of the picture: what is there is taken for near and
            moves against it, more than the edges do (parallax).
    """

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0
    roll_deg: float = 0.0
    orbit: float = 0.0


MOVES = {
    "zoom in": Pose(zoom=1.3),
    "zoom out": Pose(zoom=0.88),
    "pan left": Pose(x=-0.14),
    "pan right": Pose(x=0.14),
    "pan up": Pose(y=-0.14),
    "pan down": Pose(y=0.14),
    "rotate left": Pose(roll_deg=-7),
    "rotate right": Pose(roll_deg=7),
    "orbit left": Pose(orbit=-0.16),
    "orbit right": Pose(orbit=0.16),
    "still": Pose(),
}
"""Every move and where it ends."""

UNASKED = ("zoom in", "pan left", "pan right", "orbit left", "orbit right", "zoom out")
"""What the seed chooses among when the prompt names no move."""

_CAMERA = r"(?:the )?(?:camera )?(?:slowly |slow |gently |gentle |smoothly )?"
_WORDS = {
    "zoom in": r"zoom(?:s|ing)? in|(?:push|dolly)(?:es|ing)? in|dollies in",
    "zoom out": r"zoom(?:s|ing)? out|(?:pull|dolly)(?:s|ing)? (?:out|back)|dollies out",
    "pan left": r"(?:pan|truck)(?:s|ning|ing)? (?:to the )?left|moves? left",
    "pan right": r"(?:pan|truck)(?:s|ning|ing)? (?:to the )?right|moves? right",
    "pan up": r"(?:pan|tilt|crane)(?:s|ning|ing)? up",
    "pan down": r"(?:pan|tilt|crane)(?:s|ning|ing)? down",
    "rotate left": r"(?:rotat|roll)(?:e|es|ing|s)? (?:to the )?(?:left|counterclockwise)",
    "rotate right": r"(?:rotat|roll)(?:e|es|ing|s)?(?: (?:to the )?(?:right|clockwise))?",
    "orbit left": r"orbit(?:s|ing)? (?:to the )?left",
    "orbit right": r"orbit(?:s|ing)?(?: (?:to the )?right)?|parallax",
    "still": r"(?:static|still|fixed) (?:camera|shot)|camera (?:is |stays )?still|no camera moves?",
}
_PHRASES = {
    move: re.compile(rf"[,;.]?\s*\b{_CAMERA}(?:{words})\b(?: shot| effect)?", re.IGNORECASE)
    for move, words in _WORDS.items()
}


def read_moves(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt without its words about the camera, and the moves that they name.

    The model has never seen such words; left in, they would only confuse it.
    """
    moves = []
    for move, phrase in _PHRASES.items():
        shorter = phrase.sub("", prompt)
        if shorter != prompt:
            moves.append(move)
            prompt = shorter
    return prompt.strip(" ,;."), tuple(moves)


@dataclass(frozen=True)
class Camera:
    """A way through a whole video.

    Attributes:
        end: The pose at the end of the way.
        starts_whole: The first frame shows the whole picture, seen straight.
        ends_whole: The last one does.
    """

    end: Pose
    starts_whole: bool = True
    ends_whole: bool = False

    def at(self, moment: float) -> Pose:
        """The pose at a moment, 0 at the first frame to 1 at the last."""
        if self.ends_whole:
            moment = 1 - abs(2 * moment - 1) if self.starts_whole else 1 - moment
        share = moment * moment * (3 - 2 * moment)
        return _toward(self.end, share)


def camera_for(
    moves: Sequence[str],
    seed: int,
    duration_s: float,
    *,
    starts_whole: bool = True,
    ends_whole: bool = False,
    full: bool = False,
) -> Camera:
    """The camera that makes all these moves at once; the seed chooses one if there is none.

    Args:
        moves: Names in `MOVES`.
        seed: Chooses a move when there is none.
        duration_s: Length of the video.
        starts_whole: See `Camera`.
        ends_whole: See `Camera`.
        full: The picture is full of things up to its edges: the camera comes nearer as it moves
            aside or turns, so that it does not see beyond them.
    """
    end = Pose()
    for move in moves or (UNASKED[seed % len(UNASKED)],):
        pose = MOVES[move]
        end = replace(
            end,
            zoom=end.zoom * pose.zoom,
            x=end.x + pose.x,
            y=end.y + pose.y,
            roll_deg=end.roll_deg + pose.roll_deg,
            orbit=end.orbit + pose.orbit,
        )
    if full:
        beyond = max(abs(end.x), abs(end.y)) + abs(end.orbit) / 2
        turned = math.sin(math.radians(abs(end.roll_deg)))
        end = replace(end, zoom=end.zoom * (1 + turned) / (1 - beyond))
    share = min(1.0, duration_s / FULL_MOVE_S)
    return Camera(_toward(end, share), starts_whole=starts_whole, ends_whole=ends_whole)


def margin_px(side_px: int) -> int:
    """Pixels of margin on each end of a side."""
    return math.ceil(side_px * MARGIN / 2)


def look(
    picture: Image.Image, width: int, height: int, pose: Pose, *, soft: bool = False
) -> Image.Image:
    """What the camera sees, `width` x `height`, of a picture with `margin_px` around that size.

    `soft`: the picture has no fine detail, so it may be resampled in half the time.
    """
    left, top = margin_px(width), margin_px(height)
    if pose == Pose():
        return picture.crop((left, top, left + width, top + height))
    nodes = np.linspace(-1, 1, MESH + 1)
    x, y = np.meshgrid(nodes, nodes)
    seen_x, seen_y = _seen(x, y, width / height, pose)
    columns = np.clip(left + (seen_x + 1) / 2 * width, 0, picture.width)
    rows = np.clip(top + (seen_y + 1) / 2 * height, 0, picture.height)
    across = [round(width * n / MESH) for n in range(MESH + 1)]
    down = [round(height * n / MESH) for n in range(MESH + 1)]
    mesh = []
    for r in range(MESH):
        for c in range(MESH):
            corners = ((r, c), (r + 1, c), (r + 1, c + 1), (r, c + 1))
            quad = tuple(float(edge[corner]) for corner in corners for edge in (columns, rows))
            mesh.append(((across[c], down[r], across[c + 1], down[r + 1]), quad))
    resampling = Image.Resampling.BILINEAR if soft else Image.Resampling.BICUBIC
    return picture.transform((width, height), Image.Transform.MESH, mesh, resampling)


def _toward(end: Pose, share: float) -> Pose:
    """The pose after a share of the way; zoom grows by the same factor in the same time."""
    return Pose(
        zoom=end.zoom**share,
        x=end.x * share,
        y=end.y * share,
        roll_deg=end.roll_deg * share,
        orbit=end.orbit * share,
    )


def _seen(
    x: NDArray[np.float64], y: NDArray[np.float64], aspect: float, pose: Pose
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which points of the picture lie at points of the frame."""
    angle = math.radians(pose.roll_deg)
    turned_x = (x * math.cos(angle) * aspect - y * math.sin(angle)) / aspect
    turned_y = x * math.sin(angle) * aspect + y * math.cos(angle)
    seen_x, seen_y = turned_x / pose.zoom + pose.x, turned_y / pose.zoom + pose.y
    near = np.exp(-_NEARNESS * (seen_x**2 + seen_y**2))
    return seen_x + pose.orbit * (near - 0.3), seen_y
