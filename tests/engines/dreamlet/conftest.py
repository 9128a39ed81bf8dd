"""One loaded engine for all tests of the folder."""

from typing import Any

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from dreamgrid.engines.base import Artifact, OnStep
from dreamgrid.engines.dreamlet import MODEL, WEIGHTS
from dreamgrid.engines.dreamlet.engine import DreamletEngine
from dreamgrid.protocol.params import STARTING_IMAGE
from tests.engines.dreamlet.helpers import Paint, ignore, render_of


@pytest.fixture(scope="session")
def engine() -> DreamletEngine:
    engine = DreamletEngine(WEIGHTS, threads=1)
    engine.load(MODEL)
    return engine


@pytest.fixture
def paint(engine: DreamletEngine) -> Paint:
    """Paints with the shared engine: `paint(prompt="a cat", start=png_bytes)`."""

    def paint(*, start: bytes | None = None, on_step: OnStep = ignore, **settings: Any) -> Artifact:
        inputs = {} if start is None else {STARTING_IMAGE: start}
        return engine.generate(render_of(**settings), inputs, on_step)

    return paint
