"""A worker in a process of its own, whose engine shares passes and dies of `poison`.

`python -m tests.worker.deadly URL KEY FOLDER COUNT`. A pass waits until it has COUNT jobs, however
slow the machine is, unless its job renders alone. One with poison in it stops at the named pipe
`FOLDER/gate` after its first step, and then kills the worker and itself.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from dreamgrid.engines.base import Artifact, Engine, EngineSpec, Job, OnStep, Step, Unfinished
from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.worker import started_engines
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.frames import Setup
from dreamgrid.worker.worker import run_worker
from tests.worker.puppet_engine import gate

MODEL = "pattern-v1"
GATE_VARIABLE = "DEADLY_GATE"
COUNT_VARIABLE = "DEADLY_COUNT"


class Deadly:
    def load(self, model: str) -> None:
        pass

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        raise AssertionError("an engine of passes is asked for passes")

    def together(self, render: AnyRender, roles: Collection[str]) -> tuple[str, int]:
        return "all", int(os.environ[COUNT_VARIABLE])

    def render_together(self, jobs: Sequence[Job]) -> Sequence[Unfinished]:
        for job in jobs:
            job.on_step(Step(step=1, step_count=1))
        if any("poison" in job.render.prompt for job in jobs):
            gate(os.environ[GATE_VARIABLE])
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        data = f"{len(jobs)} in a pass".encode()
        made = Artifact(data=data, content_type="image/png", steps=1)
        return [lambda: made for _ in jobs]


def create(_threads: int) -> Engine:
    return Deadly()


ENGINE = EngineSpec(name="deadly", models=lambda: (MODEL,), create=create)


async def main(url: str, key: str, folder: Path, count: int) -> None:
    os.environ[GATE_VARIABLE] = str(folder / "gate")
    os.environ[COUNT_VARIABLE] = str(count)
    vars(started_engines)["Setup"] = partial(Setup, mates_within_s=60.0)
    config = WorkerConfig(
        server_url=url, api_key=key, data_dir=folder / "worker", threads=1, slots=count, quiet_s=0
    )
    found = FoundEngine(
        name="deadly", reference="tests.worker.deadly:ENGINE", spec=ENGINE, models=(MODEL,)
    )
    await run_worker(config, stop=asyncio.Event(), registry=Registry(engines=(found,)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
