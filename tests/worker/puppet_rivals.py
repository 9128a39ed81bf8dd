"""Two puppets that serve one model and share a GPU, each able to do a part of what jobs ask for.

The first takes jobs without inputs whose prompts are not `odd`, the second all but `impossible` and
`even`, and is not to be asked for `mine`. A file tells who made it, and who had to leave the GPU
for it until then.
"""

from collections.abc import Collection, Mapping

from dreamgrid.engines.base import Artifact, Engine, EngineSpec, OnStep, Step
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.renders import AnyRender
from tests.worker.puppet_engine import leave

MODEL = "rivals-v1"
_left: list[str] = []


class Rival:
    def __init__(self, name: str, refused: Collection[str], *, takes_inputs: bool) -> None:
        self._name = name
        self._refused = refused
        self._takes_inputs = takes_inputs
        self._prompt = ""

    def objection(self, render: AnyRender, roles: Collection[str]) -> str:
        self._prompt = render.prompt
        if render.prompt == "mine" and self._name == "second":
            leave("3")  # nobody had to ask it
        if render.prompt in self._refused:
            return f"{self._name} cannot make {render.prompt}"
        if render.prompt == "broken" and self._name == "first":
            raise ZeroDivisionError("a bug of the engine")
        return f"{self._name} takes no inputs" if roles and not self._takes_inputs else ""

    def make_way(self) -> None:
        _left.append(self._name)

    def load(self, model: str) -> None:
        if self._prompt == "gone" and self._name == "first":
            raise ModelNotAvailable("first has lost its weights")

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        for step in range(1, render.steps + 1):
            on_step(Step(step=step, step_count=render.steps))
        told = " ".join([self._name, *_left])
        _left.clear()
        return Artifact(data=told.encode(), content_type="image/png", steps=render.steps)


def first(threads: int) -> Engine:
    return Rival("first", ("odd", "impossible"), takes_inputs=False)


def second(threads: int) -> Engine:
    return Rival("second", ("even", "impossible"), takes_inputs=True)


FIRST = EngineSpec(name="first", models=lambda: (MODEL,), create=first)
SECOND = EngineSpec(name="second", models=lambda: (MODEL,), create=second)
REFERENCES = (f"{__name__}:FIRST", f"{__name__}:SECOND")
