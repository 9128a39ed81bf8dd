"""Engines with tiny weights, written once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamgrid.engines import diffusers as engine
from dreamgrid.engines.base import Engine
from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The owner's folder of weights; models are written when somebody asks for them."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="session")
def engines(folder: Path) -> Iterator[Callable[[str], Engine]]:
    """Engines with a model loaded, one for each."""
    import diffusers  # not at the top: where it is missing, these tests are skipped

    from tests.engines.diffusers import tiny

    diffusers.utils.logging.disable_progress_bar()
    made: dict[str, Engine] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, str(folder))
        patch.setenv("HF_HUB_CACHE", str(folder / "no-cache"))

        def engine_of(model: str) -> Engine:
            if model not in made:
                tiny.write(model, folder)
                one = engine.ENGINE.create(1)
                one.load(model)
                made[model] = one
            return made[model]

        yield engine_of
