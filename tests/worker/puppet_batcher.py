"""A puppet that renders several jobs in one pass: as many as their negative prompts say.

Jobs with the same first word in their prompts may share one. A file tells how many did. Together,
those that say `leave` end when one of them was told to, and those that say `all` when all were.
The file of one that says `passes` tells how many there were instead of its seed.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from dreamgrid.engines.base import Artifact, Engine, EngineSpec, Job, OnStep, Step, Unfinished
from dreamgrid.errors import OutOfMemory, RenderCanceled
from dreamgrid.protocol.renders import AnyRender
from tests.worker.puppet_engine import gate, leave

MODEL = "puppet-batcher-v1"

LEARNING_VARIABLE = "PUPPET_LEARNING"
"""Names a pipe that shall hear when the engine has a quiet moment."""


class PuppetBatcher:
    def __init__(self) -> None:
        self._passes = 0

    def load(self, model: str) -> None:
        pass

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        raise AssertionError("an engine of passes is asked for passes")

    def learn(self, busy: Callable[[], bool]) -> None:
        with open(os.environ[LEARNING_VARIABLE], "w") as listener:
            listener.write("quiet")
        while not busy():
            time.sleep(0.001)

    def together(self, render: AnyRender, roles: Collection[str]) -> tuple[str, int]:
        return render.prompt.partition(" ")[0], int(render.negative_prompt or 1)

    def render_together(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
        canceled: set[int] = set()
        self._passes += 1

        def tell(step: int) -> None:
            for number, job in enumerate(jobs):
                try:
                    job.on_step(Step(step=step, step_count=2))
                except RenderCanceled:
                    canceled.add(number)

        tell(1)
        self._obey(jobs)
        while jobs[0].render.prompt == "leave" and len(jobs) > 1 and not canceled:
            time.sleep(0.001)
            tell(1)
        while jobs[0].render.prompt == "all" and len(jobs) > 1:
            time.sleep(0.001)
            tell(1)
            if len(canceled) == len(jobs):
                raise RenderCanceled("all were told to stop")
        tell(2)
        return [
            _refused if number in canceled else _finish_of(job, len(jobs), self._passes)
            for number, job in enumerate(jobs)
        ]

    def _obey(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            command, _, argument = job.render.prompt.partition(" ")
            if command == "gate" and argument:
                gate(argument)
            if command == "quarrel" and len(jobs) > 1:
                raise OutOfMemory("two are too many")
            if command == "fall" and len(jobs) > 1:
                leave("3")


def _refused() -> Artifact:
    raise RenderCanceled("told to stop")


def _finish_of(job: Job, count: int, passes: int) -> Unfinished:
    def finish() -> Artifact:
        command, _, argument = job.render.prompt.partition(" ")
        if command == "late":
            gate(argument)
        seed = passes if command == "passes" else job.render.seed
        return Artifact(
            data=f"{os.getpid()} {count} {seed}".encode(),
            content_type="image/png",
            steps=2,
        )

    return finish


def create(_threads: int) -> Engine:
    return PuppetBatcher()


ENGINE = EngineSpec(name="puppet batcher", models=lambda: (MODEL,), create=create)
REFERENCE = f"{__name__}:ENGINE"
