"""One loaded engine for all tests of the folder."""

from typing import Any

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from dreamgrid.engines.base import Artifact, OnStep
from dreamgrid.engines.dreamlet import MODEL, WEIGHTS
from dreamgrid.engines.dreamlet.engine import DreamletEngine
from dreamgrid.protocol.assets import CONTEXT_IMAGE, CONTROL_NET_IMAGE
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

    def paint(
        *,
        start: bytes | None = None,
        mask: bytes | None = None,
        like: bytes | None = None,
        on_step: OnStep = ignore,
        **settings: Any,
    ) -> Artifact:
        given = {STARTING_IMAGE: start, CONTROL_NET_IMAGE: mask, f"{CONTEXT_IMAGE}1": like}
        inputs = {role: data for role, data in given.items() if data is not None}
        return engine.generate(render_of(**settings), inputs, on_step)

    return paint
