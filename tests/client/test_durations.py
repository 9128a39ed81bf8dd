"""A duration becomes the frames that the published SDKs ask for, as far as a model has them."""

import pytest

import dreamgrid
from dreamgrid.client.orders import order_of
from tests.support.grid import Grid

sogni = pytest.importorskip("sogni_client.utils")

MODELS = [
    "wan_v2.2-14b-fp8_t2v",
    "wan_v2.2-14b-fp8_t2v_lightx2v",
    "ltx2-19b-fp8_t2v",
    "ltx23-22b-fp8_t2v_distilled",
    "minimax-h3-fl2va-fp8_t2v",
]
SECONDS = (0.7, 1, 1.5, 2, 3.3, 4.1, 5, 5.2, 6, 7.25, 8, 9.99, 10, 12, 15)


async def test_frames_are_those_of_the_published_sdks(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    del house
    compared = 0
    for model in MODELS:
        entry = await guest._tracker.session._catalog.model(model)
        options = await guest.projects.get_model_options(model)
        assert isinstance(options, dreamgrid.VideoOptions)
        assert options.frames is not None
        fps = options.fps.default if options.fps else 24
        step = int(options.frames.step or 1)
        for duration_s in SECONDS:
            settings = {"model": model, "prompt": "x", "duration_s": duration_s}
            try:
                params = order_of(settings, entry, options, comfy=True).params
            except dreamgrid.InvalidRequest:
                continue  # longer or shorter than the model makes
            theirs = sogni.calculate_video_frames(model, duration_s, fps)
            ours = getattr(params, "frames")  # noqa: B009 (one kind of params of three)
            assert abs(ours - theirs) * 2 <= step, (model, duration_s, ours, theirs)
            assert (ours - options.frames.min) % step == 0
            compared += 1
    assert compared > 30


async def test_the_file_may_have_more_frames_than_the_motion(
    house: Grid, guest: dreamgrid.AsyncClient
) -> None:
    """Models that make up the frames between render no more of them."""
    del house
    model = "wan_v2.2-14b-fp8_t2v"
    entry = await guest._tracker.session._catalog.model(model)
    options = await guest.projects.get_model_options(model)
    settings = {"model": model, "prompt": "x", "duration_s": 5}
    slow, fast = (
        order_of(settings | {"fps": fps}, entry, options, comfy=True).params for fps in (16, 32)
    )
    assert getattr(slow, "frames") == getattr(fast, "frames") == 81  # noqa: B009
