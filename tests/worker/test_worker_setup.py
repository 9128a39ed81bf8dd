"""Before the first connection: settings, identity, and which models can be served."""

import asyncio
import stat
import subprocess
import sys
import uuid
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from dreamgrid.engines.base import Engine, EngineSpec
from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import GIB
from dreamgrid.engines.registry import BrokenEngine, FoundEngine, Registry
from dreamgrid.errors import ConfigError, EngineCrashed
from dreamgrid.worker.events import Joined
from dreamgrid.worker.identity import worker_id
from dreamgrid.worker.worker import run_worker
from tests.worker.server_room import KEY, PUPPETS, ServerRoom, config_of, running_worker


@pytest.mark.parametrize(
    ("server_url", "base_url", "socket_url"),
    [
        ("http://h:8770", "http://h:8770", "ws://h:8770/v1/worker"),
        ("https://h/", "https://h", "wss://h/v1/worker"),
        ("ws://h:1/grid/", "http://h:1/grid", "ws://h:1/grid/v1/worker"),
        ("wss://h", "https://h", "wss://h/v1/worker"),
    ],
)
def test_every_spelling_of_the_server_is_understood(
    server_url: str, base_url: str, socket_url: str, tmp_path: Path
) -> None:
    config = config_of(server_url, tmp_path)
    config.validate()
    assert (config.base_url, config.socket_url) == (base_url, socket_url)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"server_url": "grid.example.org"}, "must look like https://"),
        ({"server_url": "ftp://grid.example.org"}, "must look like https://"),
        ({"api_key": ""}, "api_key is missing"),
        ({"api_key": "a\nb"}, "api_key is missing"),
        ({"name": "x" * 65}, "name must be"),
        ({"network": "slow"}, "is not one of fast, relaxed"),
        ({"engines": 0}, "slots"),
        ({"slots": -1}, "slots"),
        ({"engines": 2, "slots": 1}, r"slots \(1\) must be at least engines \(2\)"),
        ({"threads": -1}, "must be positive"),
        ({"reconnect_min_s": 20.0, "reconnect_max_s": 15.0}, "reconnect_min_s"),
    ],
)
async def test_a_wrong_setting_is_refused_before_anything_starts(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    config = config_of(str(changes.pop("server_url", "http://h")), tmp_path / "new", **changes)
    with pytest.raises(ConfigError, match=message):
        await run_worker(config, stop=asyncio.Event(), registry=PUPPETS)
    assert not (tmp_path / "new").exists()


def test_the_key_is_never_printed(tmp_path: Path) -> None:
    assert KEY not in repr(config_of("http://h", tmp_path))


def test_threads_are_shared_between_the_engines(tmp_path: Path) -> None:
    config = config_of("http://h", tmp_path, threads=8, engines=3, slots=3)
    assert config.threads_per_engine == 2
    assert config_of("http://h", tmp_path, threads=0).threads_per_engine >= 1


@pytest.mark.parametrize(
    ("gpu", "slots", "held"), [(True, 0, 6), (False, 0, 2), (True, 2, 2), (True, 7, 7)]
)
async def test_on_a_gpu_as_many_jobs_are_held_as_its_engine_wants_unless_its_owner_says(
    tmp_path: Path, gpu: bool, slots: int, held: int
) -> None:
    def wanted(folder: Path, models: Collection[str]) -> int:
        return 6 if (folder, *models) == (tmp_path, "puppet-v2") else 5

    (puppets,) = PUPPETS.engines
    wanting = replace(puppets, spec=replace(puppets.spec, held=wanted))
    on = Gpu(index=0, uuid="GPU-aa", name="Big", memory_bytes=24 * GIB) if gpu else None
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path, slots=slots, gpu=on, models=("puppet-v2",))
        async with running_worker(config, Registry(engines=(wanting,))) as worker:
            line = await room.line()
            assert line.hello.slots == held
            assert (await worker.event(Joined)).slots == held


async def test_of_models_whose_jobs_are_short_more_are_held_than_of_others(tmp_path: Path) -> None:
    (puppets,) = PUPPETS.engines

    def wanted(_folder: Path, models: Collection[str]) -> int:
        return 8 if set(models) == {"puppet-v2"} else 2

    wanting = replace(puppets, spec=replace(puppets.spec, held=wanted))
    gpu = Gpu(index=0, uuid="GPU-aa", name="Big", memory_bytes=24 * GIB)
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path, slots=0, gpu=gpu, models=("puppet-v1", "puppet-v2"))
        async with running_worker(config, Registry(engines=(wanting,))):
            hello = (await room.line()).hello
    assert (hello.slots, hello.slots_of) == (2, {"puppet-v2": 8})


def test_the_id_of_a_worker_is_stable_private_and_upper_case(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "worker"
    first = worker_id(folder)
    assert worker_id(folder) == first == str(uuid.UUID(first)).upper()
    assert worker_id(tmp_path / "other") != first
    assert stat.S_IMODE((folder / "worker_id").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_that_holds_no_id_is_named(tmp_path: Path) -> None:
    (tmp_path / "worker_id").write_text("certainly not")
    with pytest.raises(ConfigError, match="worker_id holds no id; delete it"):
        worker_id(tmp_path)


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot keep the worker's id in"):
        worker_id(tmp_path / "file")


def create(_threads: int) -> Engine:
    raise AssertionError("an engine without models is never created")


async def test_without_any_model_the_owner_reads_what_to_install(tmp_path: Path) -> None:
    spec = EngineSpec(
        name="gpu", models=lambda: (), create=create, missing="pip install 'dreamgrid[gpu]'"
    )
    registry = Registry(
        engines=(FoundEngine(name="gpu", reference="gpu:ENGINE", spec=spec, models=()),),
        broken=(BrokenEngine(name="theirs", reference="x:Y", reason="ImportError: no x"),),
    )
    with pytest.raises(ConfigError) as error:
        await run_worker(config_of("http://h", tmp_path), stop=asyncio.Event(), registry=registry)
    assert str(error.value).split("\n") == [
        "no engine can serve a model on this machine",
        "gpu: pip install 'dreamgrid[gpu]'",
        "theirs: ImportError: no x",
    ]


async def test_a_model_that_nothing_serves_is_named(tmp_path: Path) -> None:
    config = config_of("http://h", tmp_path, models=("puppet-v1", "flux1-schnell"))
    with pytest.raises(ConfigError, match="no installed engine serves flux1-schnell"):
        await run_worker(config, stop=asyncio.Event(), registry=PUPPETS)


async def test_a_model_that_is_misspelled_is_told_with_the_one_that_was_meant(
    tmp_path: Path,
) -> None:
    config = config_of("http://h", tmp_path, models=("puppet-v9",))
    with pytest.raises(ConfigError, match="did you mean puppet-v"):
        await run_worker(config, stop=asyncio.Event(), registry=PUPPETS)


async def test_a_sound_font_that_cannot_be_played_is_named_at_the_start(tmp_path: Path) -> None:
    pytest.importorskip("midirenderer")
    config = config_of("http://h", tmp_path, sound_font=tmp_path / "none.sf2")
    with pytest.raises(ConfigError, match=r"the sound font .*none\.sf2 cannot be read"):
        await run_worker(config, stop=asyncio.Event(), registry=PUPPETS)


async def test_only_the_wanted_models_are_offered(tmp_path: Path) -> None:
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path, models=("puppet-v2",))
        async with running_worker(config):
            assert (await room.line()).hello.models == ("puppet-v2",)


async def test_an_engine_process_that_cannot_start_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EngineCrashed, match="ended with exit code 1"):
        await run_worker(config_of("http://h", tmp_path), stop=asyncio.Event(), registry=PUPPETS)


def test_the_child_process_loads_no_http_library() -> None:
    code = "import sys, dreamgrid.worker.child; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
