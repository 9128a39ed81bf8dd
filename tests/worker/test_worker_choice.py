"""One model of several engines: which of them makes a job."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.errors import ModelNotAvailable
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.worker import Finished
from dreamgrid.worker.frames import Setup
from dreamgrid.worker.host import EngineHost
from dreamgrid.worker.tasks import task_group
from tests.worker import puppet_rivals
from tests.worker.server_room import ServerRoom, config_of, running_worker

FIRST, SECOND = puppet_rivals.REFERENCES
SETUP = Setup(engines={puppet_rivals.MODEL: (FIRST, SECOND)}, threads=1)
RIVALS = Registry(
    engines=tuple(
        FoundEngine(name=spec.name, reference=reference, spec=spec, models=spec.models())
        for spec, reference in (
            (puppet_rivals.FIRST, FIRST),
            (puppet_rivals.SECOND, SECOND),
        )
    )
)


@pytest.fixture
async def host() -> AsyncIterator[EngineHost]:
    async with task_group() as tasks:
        host = EngineHost(tasks, SETUP)
        try:
            yield host
        finally:
            await host.close()


async def made(host: EngineHost, prompt: str, *roles: str, engines: tuple[str, ...] = ()) -> str:
    render = ImageRender(
        model=puppet_rivals.MODEL, prompt=prompt, width=8, height=8, steps=1, guidance=1.0, seed=1
    )
    return (await host.render(render, dict.fromkeys(roles, b""), engines=engines)).data.decode()


async def test_a_job_goes_to_the_first_engine_that_can_do_it(host: EngineHost) -> None:
    assert (await made(host, "even")).split()[0] == "first"
    assert (await made(host, "odd")).split()[0] == "second"
    assert (await made(host, "even")).split()[0] == "first"
    assert (await made(host, "a fox", "startingImage")).split()[0] == "second"
    assert (await made(host, "a fox", engines=(SECOND, FIRST))).split()[0] == "second"


async def test_those_after_it_are_not_even_asked(host: EngineHost) -> None:
    assert (await made(host, "mine")).split()[0] == "first"


async def test_of_two_that_use_a_gpu_one_leaves_it_before_the_other_begins(
    host: EngineHost,
) -> None:
    assert await made(host, "even", engines=(FIRST,)) == "first", "nobody was there"
    assert await made(host, "odd") == "second first"
    assert await made(host, "odd") == "second first"
    assert await made(host, "even") == "first second"


async def test_what_one_engine_has_lost_or_breaks_at_another_makes(host: EngineHost) -> None:
    assert (await made(host, "gone")).split()[0] == "second"
    assert (await made(host, "broken")).split()[0] == "second"


async def test_what_none_can_do_is_refused_in_the_words_of_the_first(host: EngineHost) -> None:
    with pytest.raises(ModelNotAvailable, match=r"^first cannot make impossible\nsecond cannot"):
        await made(host, "impossible")
    assert (await made(host, "even")).split()[0] == "first"


async def test_a_worker_offers_what_its_engines_can_do_together(tmp_path: Path) -> None:
    async with ServerRoom().open() as room:
        config = config_of(room.url, tmp_path)
        for registry, plain in ((RIVALS, b"first"), (RIVALS.preferring(["second"]), b"second")):
            async with running_worker(config, registry):
                line = await room.line()
                assert line.hello.models == (puppet_rivals.MODEL,)
                for job_id, prompt in (("1", "a fox"), ("2", "odd"), ("3", "even")):
                    await line.send(room.assign(job_id, prompt, model=puppet_rivals.MODEL))
                    await line.expect(Finished, job_id)
            made_by = [room.files[f"result/{number}"].split()[0] for number in (1, 2, 3)]
            assert made_by == [plain, b"second", b"first"]
