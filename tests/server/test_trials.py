"""What a server tells workers to measure themselves by."""

from pathlib import Path

from dreamgrid.protocol.renders import VideoRender
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.trials import trial_of, trials_of

LIMITS = ServerConfig(data_dir=Path("unused"))


def test_a_model_is_measured_by_its_defaults() -> None:
    catalog = Catalog.load()
    trial = trial_of(catalog, "z_image_turbo_bf16", LIMITS)
    assert trial is not None
    assert (trial.model, trial.steps, trial.loras, trial.assets) == (
        "z_image_turbo_bf16",
        8,
        (),
        (),
    )
    assert isinstance(trial_of(catalog, "wan_v2.2-14b-fp8_t2v", LIMITS), VideoRender)


def test_what_needs_an_input_or_is_unknown_is_left_out() -> None:
    catalog = Catalog.load()
    served = ("wan_v2.2-14b-fp8_i2v", "unheard-v1", "sd-v1-5")
    assert [one.model for one in trials_of(catalog, served, LIMITS)] == ["sd-v1-5"]
