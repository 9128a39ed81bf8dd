"""Engines with tiny weights, written once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamgrid.engines import diffusers as engine
from dreamgrid.engines.base import Engine
from dreamgrid.engines.diffusers.family import Net, families
from dreamgrid.engines.diffusers.weights import MODELS_VARIABLE

STEERED = {
    "sd-v1-5": ("canny", "depth"),
    "sd_xl_base_1.0": ("canny",),
    "flux1-dev-fp8": ("canny",),
    "sd3.5_medium": ("depth",),
}
"""Models to the ControlNets that their tests have."""


def control_net_of(model: str, name: str) -> Net:
    """A ControlNet as the data has it."""
    (family,) = (family for family in families() if model in family.weights)
    return family.control_nets[name]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The owner's folder of weights; models are written when somebody asks for them."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="session")
def engines(folder: Path) -> Iterator[Callable[[str], Engine]]:
    """Engines with a model loaded, one for each."""
    import diffusers  # not at the top: where they are missing, these tests are skipped
    import transformers

    from tests.engines.diffusers import tiny

    diffusers.utils.logging.disable_progress_bar()
    made: dict[str, Engine] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, str(folder))
        patch.setenv("HF_HUB_CACHE", str(folder / "no-cache"))
        # Without its reader of videos, which nobody uses here, it does without torchvision.
        parts = ["image_processor", "tokenizer"]
        patch.setattr(transformers.Qwen2VLProcessor, "get_attributes", staticmethod(lambda: parts))

        def engine_of(model: str) -> Engine:
            if model not in made:
                tiny.write(model, folder)
                for name in STEERED.get(model, ()):
                    tiny.write_control_net(model, control_net_of(model, name).repository, folder)
                one = engine.ENGINE.create(1)
                one.load(model)
                made[model] = one
            return made[model]

        yield engine_of
