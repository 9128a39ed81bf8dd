"""Paints the key pictures of a video, each by a run of the model of its own.

From words, a key picture begins with noise a little further along a walk. From given pictures, it
begins with those and a rising share of noise. What the model changes in a given picture even when
it barely touches it (its hand) is painted first and taken off again everywhere, so that the video
begins or ends with that very picture and nothing jumps next to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dreamgrid.engines.base import OnStep, Step
from dreamgrid.engines.dreamlet import pictures
from dreamgrid.engines.dreamlet.networks import Networks
from dreamgrid.engines.dreamlet.sampler import Floats, noise_levels, sample_many
from dreamgrid.engines.dreamlet.video import walk
from dreamgrid.engines.dreamlet.video.plan import Plan
from dreamgrid.protocol.renders import VideoRender


@dataclass(frozen=True)
class Key:
    """A key picture.

    Attributes:
        frame: Index of the frame that it is.
        canvas: float32 [3, h, w], about -1..1.
    """

    frame: int
    canvas: Floats


@dataclass(frozen=True)
class Ends:
    """The given pictures at the model's size, [3, h, w]; None where the model is free.

    Attributes:
        first: What the first frame shows.
        last: What the last frame shows.
        first_strength: How closely to follow it, 0..1.
        last_strength: The same for the last one.
    """

    first: Floats | None = None
    last: Floats | None = None
    first_strength: float = 1.0
    last_strength: float = 1.0

    def __bool__(self) -> bool:
        return self.starts or self.ends

    @property
    def starts(self) -> bool:
        """The first frame is given."""
        return self.first is not None

    @property
    def ends(self) -> bool:
        """The last frame is given."""
        return self.last is not None


class KeyPainter:
    """Paints the keys of one video, and tells every step."""

    def __init__(
        self,
        render: VideoRender,
        plan: Plan,
        parts: tuple[str, ...],
        networks: Networks,
        size: tuple[int, int],
        ends: Ends,
        on_step: OnStep,
    ) -> None:
        """Takes the parts of the prompt, and width and height of a key picture."""
        self._render = render
        self._plan = plan
        self._part_count = len(parts)
        self._texts = networks.encode(*parts, render.negative_prompt)
        self._paint = networks.paint
        self._ends = ends
        self._on_step = on_step
        self._noises = walk.Noises.draw(render.seed, size[1], size[0])
        self._levels = noise_levels(render.steps, render.shift or 1.0)
        self._steps_before = 0
        self.step_count = render.steps * (len(plan.batches) + bool(ends))
        """Steps in all."""

    def painted(self) -> Iterator[Key]:
        """All key pictures in order."""
        hands = self._hands()
        for batch in self._plan.batches:
            for frame, canvas in zip(batch, self._run(batch), strict=True):
                moment, ends = self._plan.moment(frame), self._ends
                shares = walk.hand_shares(moment, starts=ends.starts, ends=ends.ends)
                restored = canvas + shares[0] * hands[0] + shares[1] * hands[1]
                yield Key(frame, restored.astype(np.float32))

    def _hands(self) -> tuple[Floats, Floats]:
        """What is to be added so that the first and the last given picture come out unchanged."""
        first, last = self._ends.first, self._ends.last
        given = [(0, first, self._ends.first_strength)] if first is not None else []
        given += [(self._plan.last, last, self._ends.last_strength)] if last is not None else []
        hands: dict[int, Floats] = {}
        if given:
            painted = self._run(tuple(frame for frame, _, _ in given))
            for (frame, picture, strength), copy in zip(given, painted, strict=True):
                hands[frame] = np.float32(strength) * (picture - copy)
        nothing = np.zeros((1, 1, 1), np.float32)
        return hands.get(0, nothing), hands.get(self._plan.last, nothing)

    def _crossing(self, frame: int) -> np.float32:
        moment = self._plan.moment(frame)
        ends = self._ends
        return np.float32(walk.crossing(moment, starts=ends.starts, ends=ends.ends))

    def _run(self, frames: tuple[int, ...]) -> Floats:
        """Some key pictures, [B, 3, h, w], as the model leaves them."""
        moments = [self._plan.moment(frame) for frame in frames]
        ends = self._ends
        first_levels = np.array(
            [walk.first_level(moment, starts=ends.starts, ends=ends.ends) for moment in moments],
            np.float32,
        )
        painted = sample_many(
            self._paint,
            self._texts,
            weights=np.stack([walk.part_weights(self._part_count, moment) for moment in moments]),
            noise=np.stack([self._noises.at(self._plan.second(frame)) for frame in frames]),
            levels=self._levels[:, None] * first_levels,
            guidance=self._render.guidance,
            start=np.stack([self._begun(frame) for frame in frames]) if ends else None,
            on_predictions=self._told,
        )
        self._steps_before += self._render.steps
        return painted

    def _begun(self, frame: int) -> Floats:
        """The given picture, or the mean of both, that a key picture begins with."""
        share = self._crossing(frame)
        first, last = self._ends.first, self._ends.last
        if first is None or last is None:
            given = last if first is None else first
            assert given is not None
            return given
        return (1 - share) * first + share * last

    def _told(self, step: int, clean: Floats) -> None:
        def preview() -> bytes:
            shape = clean[0]
            if not self._ends:
                shape = pictures.extend(shape, self._render.width, self._render.height)
            return pictures.encode_preview(shape)

        done = self._steps_before + step
        self._on_step(Step(step=done, step_count=self.step_count, preview=preview))
