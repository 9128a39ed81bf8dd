"""Weights come whole or not at all, from a real hub that breaks off, lies and refuses."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import aiohttp
import pytest

from dreamgrid.engines.base import Source
from dreamgrid.errors import ConfigError, DownloadFailed
from dreamgrid.worker import downloads, hub
from dreamgrid.worker.downloads import Download, Patience
from tests.support.hub import FILES, LARGE, REPOSITORY, Hub

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
QUICK = Patience(tries=3, wait_s=0.0)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub().running() as one:
        monkeypatch.setenv(hub.ENDPOINT_VARIABLE, f"{one.url}/")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield one


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(
        repository=REPOSITORY,
        folder=tmp_path / "weights" / "sd_xl_turbo_1.0_fp16",
        variant="fp16",
        without=("safety_checker",),
    )


async def fetch(source: Source, told: list[int] | None = None) -> Path:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        found = await hub.listing(session, source)
        return await Download(
            session,
            source,
            found,
            on_progress=(told if told is not None else []).append,
            patience=QUICK,
        ).fetch()


def kept(source: Source) -> Path:
    return source.folder.parent / ".downloads" / source.folder.name


async def test_a_model_comes_with_the_files_that_its_pipeline_reads(
    served: Hub, source: Source
) -> None:
    told: list[int] = []
    folder = await fetch(source, told)
    assert folder == source.folder
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    }
    assert (folder / "unet/diffusion_pytorch_model.safetensors").read_bytes() == LARGE  # fp16
    assert told == sorted(told)
    assert told[-1] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert not kept(source).exists()


async def test_a_token_goes_to_the_hub_and_to_nobody_else(served: Hub, source: Source) -> None:
    await fetch(source)
    assert {key for key in served.passwords if key[1]} == {("front", "Bearer hf_secret")}
    assert served.passwords["store", ""] == 2


async def test_what_breaks_off_goes_on_where_it_stopped(served: Hub, source: Source) -> None:
    served.breaks_after = [4000, 100_000, 70_000]
    folder = await fetch(source)
    assert (folder / "unet/diffusion_pytorch_model.safetensors").read_bytes() == LARGE
    assert [asked for name, asked in served.asked if name == UNET] == [
        "",
        "bytes=100000-",
        "bytes=170000-",
    ]


async def test_a_server_that_knows_no_ranges_sends_it_all_again(
    served: Hub, source: Source
) -> None:
    served.breaks_after = [4000, 100_000]
    served.ignores_ranges = True
    folder = await fetch(source)
    assert (folder / "unet/diffusion_pytorch_model.safetensors").read_bytes() == LARGE


async def test_an_interrupted_download_keeps_what_has_come(served: Hub, source: Source) -> None:
    served.breaks_after = [4000, 100_000]
    served.stopped.clear()
    arrived = asyncio.Event()

    async def interrupted() -> None:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            found = await hub.listing(session, source)

            def on_progress(done: int) -> None:
                if done > 100_000:
                    arrived.set()
                    served.holds.clear()

            download = Download(session, source, found, on_progress=on_progress, patience=QUICK)
            await download.fetch()

    task = asyncio.create_task(interrupted())
    async with asyncio.timeout(60):
        await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    served.holds.set()
    assert not source.folder.exists()
    served.breaks_after = []
    served.asked.clear()
    await fetch(source)
    ((name, asked),) = served.asked  # the text encoder was whole
    assert name == UNET
    begin = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert 0 < begin <= 100_000


async def test_a_damaged_file_is_fetched_once_more(served: Hub, source: Source) -> None:
    served.damages = 1
    folder = await fetch(source)
    assert (folder / "text_encoder/model.safetensors").read_bytes() == b"text" * 1000


async def test_a_file_that_stays_damaged_is_never_used(served: Hub, source: Source) -> None:
    served.damages = 99
    with pytest.raises(DownloadFailed, match="damaged twice"):
        await fetch(source)
    assert not source.folder.exists()
    served.damages = 0
    assert (await fetch(source)).is_dir()


async def test_a_hub_that_goes_away_is_told_and_nothing_is_lost(
    served: Hub, source: Source
) -> None:
    served.breaks_after = [4000, 100_000, 0, 0, 0]
    with pytest.raises(DownloadFailed, match=r"stopped at 100000 of 307200 bytes.*goes on"):
        await fetch(source)
    assert not source.folder.exists()
    assert (await fetch(source)).is_dir()
    assert served.asked[-1] == (UNET, "bytes=100000-")


async def test_a_file_that_changed_in_between_comes_anew(served: Hub, source: Source) -> None:
    served.breaks_after = [4000, 100_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        await fetch(source)
    served.files[UNET] = b"another version"
    folder = await fetch(source)
    assert (folder / "unet/diffusion_pytorch_model.safetensors").read_bytes() == b"another version"


async def test_too_little_room_is_told_before_anything_is_fetched(
    served: Hub, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(source.folder.parent.parent)
    monkeypatch.setattr(downloads, "SPARE_BYTES", usage.total)
    with pytest.raises(ConfigError, match="GB free: make room first"):
        await fetch(source)
    assert served.asked == []


async def test_a_folder_that_is_there_is_never_replaced(served: Hub, source: Source) -> None:
    source.folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match="is there already"):
        await fetch(source)


async def test_two_downloads_of_one_model_do_not_meet(served: Hub, source: Source) -> None:
    kept(source).mkdir(parents=True)
    with downloads._alone(kept(source)), pytest.raises(ConfigError, match="already"):
        await fetch(source)


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "accept its terms"), (403, "HF_TOKEN"), (404, "has no"), (503, "try again later")],
)
async def test_a_refusal_says_what_to_do(
    served: Hub, source: Source, status: int, says: str
) -> None:
    served.status = status
    with pytest.raises(DownloadFailed, match=says):
        await fetch(source)


async def test_a_hub_that_is_not_there_is_told(source: Source) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(hub.ENDPOINT_VARIABLE, "http://127.0.0.1:1")
        with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1:1 does not answer"):
            await fetch(source)


async def test_without_a_checksum_nothing_is_fetched(
    served: Hub, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = served.about().replace(b'"blobId"', b'"other"')
    monkeypatch.setattr(served, "about", lambda: unsigned)
    with pytest.raises(DownloadFailed, match="no checksum"):
        await fetch(source)


NETWORK = {
    "README.md": b"not needed",
    "config.json": b"{}",
    "diffusion_pytorch_model.safetensors": LARGE * 2,
    "diffusion_pytorch_model.fp16.safetensors": LARGE,
    "diffusion_pytorch_model_promax.safetensors": b"of another kind",
    "diffusion_pytorch_model.bin": b"a pickle",
}


async def test_a_control_net_comes_as_the_engine_looks_for_it(served: Hub, tmp_path: Path) -> None:
    served.files = dict(NETWORK)
    folder = tmp_path / "weights" / "controlnets" / "sdxl-turbo"
    source = Source(repository=REPOSITORY, folder=folder, layout="network", variant="fp16")
    assert await fetch(source) == folder
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {"config.json": b"{}", "diffusion_pytorch_model.safetensors": LARGE}


async def test_what_is_no_network_is_told(served: Hub, tmp_path: Path) -> None:
    source = Source(repository=REPOSITORY, folder=tmp_path / "net", layout="network")
    with pytest.raises(DownloadFailed, match="holds no network"):
        await fetch(source)


async def test_a_lora_comes_under_its_id_and_goes_on_where_it_stopped(
    served: Hub, tmp_path: Path
) -> None:
    served.files = {"ink style.safetensors": LARGE, "README.md": b"not needed"}
    served.breaks_after = [1000]
    source = Source(
        repository=REPOSITORY, folder=tmp_path / "loras" / "ink.safetensors", layout="file"
    )
    assert await fetch(source) == source.folder
    assert source.folder.read_bytes() == LARGE
    assert [asked for _, asked in served.asked] == ["", "bytes=1000-"]
    with pytest.raises(ConfigError, match="is there already"):
        await fetch(source)


async def test_of_several_files_one_must_be_named(served: Hub, tmp_path: Path) -> None:
    served.files = {"a.safetensors": b"a", "b.safetensors": b"b"}
    folder = tmp_path / "loras" / "ink.safetensors"
    vague = Source(repository=REPOSITORY, folder=folder, layout="file")
    with pytest.raises(DownloadFailed, match=r"there are a\.safetensors, b\.safetensors"):
        await fetch(vague)
    named = Source(repository=REPOSITORY, folder=folder, layout="file", file="b.safetensors")
    assert (await fetch(named)).read_bytes() == b"b"


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    folders = ("..", "unet", "/etc", "/", "//", "C:", "a\\..\\..")
    index = {folder: ["a", "b"] for folder in folders}
    names = [
        "../model.safetensors",
        "unet/../../x.json",
        "/etc/passwd.json",
        "unet/..",
        "/evil.json",
        "//evil.json",
        "C:/evil.json",
        "a\\..\\../evil.json",
        "unet/..\\..\\evil.json",
        "unet/a.json",
    ]
    chosen = hub.choose(names, index, Source(repository="a/b", folder=tmp_path))
    assert set(chosen.values()) == {PurePosixPath("unet/a.json"), PurePosixPath("model_index.json")}


def test_shards_and_their_index_belong_together(tmp_path: Path) -> None:
    names = [
        "unet/model-00001-of-00002.safetensors",
        "unet/model-00002-of-00002.safetensors",
        "unet/model.safetensors.index.json",
        "unet/model.fp16-00001-of-00001.safetensors",
        "unet/model.safetensors.index.fp16.json",
        "unet/pytorch_model.bin.index.json",
        "unet/openvino_model.xml",
    ]
    plain = hub.choose(names, {"unet": ["a", "b"]}, Source(repository="a/b", folder=tmp_path))
    assert sorted(plain) == ["model_index.json", *names[:3]]


def test_without_the_variant_the_plain_files_are_taken(tmp_path: Path) -> None:
    source = Source(repository="a/b", folder=tmp_path, variant="fp16")
    chosen = hub.choose(list(FILES), {"text_encoder": ["a", "b"]}, source)
    assert "text_encoder/model.safetensors" in chosen
