"""When a video shows what: the frames of the file, and the key pictures that they come from."""

from dataclasses import dataclass

from dreamgrid.protocol.renders import VideoRender

KEYS_PER_S = 8
"""Key pictures a second. The frames between are means of their neighbours, which the walk leaves so
close together that a mean and the picture itself differ by a tenth of a level of 255, and by a
level where one thing turns into another."""

BATCH = 4
"""Key pictures that are painted together: nearly twice as fast as one by one."""


@dataclass(frozen=True)
class Plan:
    """Frames and key pictures, by index.

    Attributes:
        frame_count: Frames of the file.
        fps: Frames per second of the file.
        keys: Indexes of the frames that are painted; the first and the last always are.
    """

    frame_count: int
    fps: float
    keys: tuple[int, ...]

    @classmethod
    def of(cls, render: VideoRender) -> "Plan":
        """The plan of a render. `trim_end_frame` leaves the last frame out, after all is timed."""
        shown = round((render.frames - 1) * render.fps / render.motion_fps) + 1
        every = max(1, -(-int(render.fps) // KEYS_PER_S))
        keys = (*range(0, shown - 1, every), shown - 1)
        trimmed = bool(render.trim_end_frame) and shown > 1
        return cls(shown - trimmed, render.fps, keys)

    @property
    def last(self) -> int:
        """Index of the last key picture."""
        return self.keys[-1]

    @property
    def batches(self) -> tuple[tuple[int, ...], ...]:
        """The keys in the groups in which they are painted."""
        begins = range(0, len(self.keys), BATCH)
        return tuple(self.keys[begin : begin + BATCH] for begin in begins)

    def moment(self, frame: int) -> float:
        """Where a frame is in the video, 0 at the first to 1 at the last."""
        return frame / self.last if self.last else 0.0

    def second(self, frame: int) -> float:
        """When a frame is shown."""
        return frame / self.fps
