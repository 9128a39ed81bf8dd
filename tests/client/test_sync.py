import asyncio
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import dreamgrid
from dreamgrid.client import account, aio, project, projects, results, stats, sync, webhooks
from dreamgrid.protocol.job_request import JobRequest
from tests.client import stub as wire
from tests.client.stub import JOB_A, KEY, MODEL, Stub

PAIRS = [
    (aio.AsyncClient, sync.Client),
    (projects.Projects, sync.Projects),
    (project.Project, sync.Project),
    (results.Result, sync.Result),
    (results.Image, sync.Image),
    (results.Video, sync.Video),
    (results.Audio, sync.Audio),
    (stats.Stats, sync.Stats),
    (account.Account, sync.Account),
    (account.Keys, sync.Keys),
    (webhooks.Webhooks, sync.Webhooks),
]
RENAMED = {"aclose": "close"}


def public(kind: type) -> set[str]:
    names: set[str] = set()
    for one in kind.__mro__:
        if one.__module__.startswith("dreamgrid"):
            names |= {*vars(one), *vars(one).get("__annotations__", {})}
    names = {name for name in names if not name.startswith("_")}
    return {RENAMED.get(name, name) for name in names}


def attributes_set_in_init(kind: type) -> set[str]:
    found: set[str] = set()
    for one in kind.__mro__:
        if one.__module__.startswith("dreamgrid"):
            source = inspect.getsource(one)
            found |= set(
                re.findall(r"^        self\.([a-z]\w*)(?:: [^=]+)? = ", source, re.MULTILINE)
            )
    return found


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_both_doors_have_the_same_names(asynchronous: type, synchronous: type) -> None:
    wanted = public(asynchronous) | attributes_set_in_init(asynchronous)
    offered = public(synchronous) | attributes_set_in_init(synchronous)
    assert wanted == offered


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_both_doors_take_the_same_arguments(asynchronous: type, synchronous: type) -> None:
    for name in public(asynchronous):
        method = getattr(asynchronous, {"close": "aclose"}.get(name, name), None)
        twin = getattr(synchronous, name, None)
        if inspect.isfunction(method):
            assert twin is not None, name
            assert inspect.signature(method).parameters == inspect.signature(twin).parameters, name
            assert not inspect.iscoroutinefunction(twin), name
            assert twin.__doc__, name
    first, second = (inspect.signature(kind) for kind in (asynchronous, synchronous))
    if asynchronous is aio.AsyncClient:
        assert first.parameters == second.parameters


class Server:
    """A stub server in a thread of its own, for callers that block."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.finish = asyncio.Event()
        self.stub: Stub
        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._run()))
        self.thread.start()
        assert self.started.wait(60)

    async def _run(self) -> None:
        async with wire.running() as self.stub:
            answering = asyncio.create_task(self._answer())
            self.started.set()
            await self.finish.wait()
            answering.cancel()
            await asyncio.wait([answering])

    async def _answer(self) -> None:
        """Renders everything at once, except what is prompted to wait."""
        while True:
            request = await self.stub.received(JobRequest, timeout_s=None)
            number = request.project_id
            self.stub.files[f"{JOB_A}-complete"] = b"a picture"
            await self.stub.send(wire.queued(number))
            if request.key_frames[0].positive_prompt != "wait":
                await self.stub.send(
                    wire.started(number), wire.result(number), wire.completed(number)
                )

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.finish.set)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def test_a_script_without_asyncio_makes_a_picture(server: Server, tmp_path: Path) -> None:
    with dreamgrid.Client(server.stub.url, KEY) as client:
        project = client.projects.create(model=MODEL, prompt="x")
        seen = []
        for event in project.events():
            seen.append(type(event).__name__)
            if isinstance(event, dreamgrid.JobCompleted):
                assert event.result.read() == b"a picture"
        (image,) = project.wait(timeout_s=45)
        assert image.save(tmp_path / "x").read_bytes() == b"a picture"
        assert seen == ["Queued", "Started", "JobCompleted", "Completed"]
        assert project.jobs[0].result == image
        assert client.projects.tracked_projects == (project,)
        assert (image.seed, project.state, project.progress) == (42, "completed", 100)
        assert "completed" in repr(project)
        with pytest.raises(AttributeError, match="no attribute 'typo'"):
            project.typo  # noqa: B018
    with pytest.raises(dreamgrid.ConnectionFailed, match="closed"):
        client.projects.create(model=MODEL, prompt="x")
    client.close()


def test_one_client_serves_many_threads(server: Server) -> None:
    with dreamgrid.Client(server.stub.url, KEY) as client, ThreadPoolExecutor(8) as threads:

        def make(number: int) -> int:
            made = client.projects.create(model=MODEL, prompt=str(number))
            return len(made.wait(timeout_s=45)[0].read())

        assert list(threads.map(make, range(24))) == [9] * 24
    assert len(server.stub.upgrades) == 1


def test_leaving_a_loop_over_events_early_leaves_nothing_behind(server: Server) -> None:
    with dreamgrid.Client(server.stub.url, KEY) as client:
        project = client.projects.create(model=MODEL, prompt="wait")
        for _ in project.events():
            break
        with pytest.raises(dreamgrid.WaitTimeout):
            project.wait(timeout_s=0.01)


def test_a_client_that_is_forgotten_ends_its_thread(server: Server) -> None:
    client = dreamgrid.Client(server.stub.url, KEY)
    projects_only = client.projects
    del client
    made = projects_only.create(model=MODEL, prompt="x")
    assert len(made.wait(timeout_s=45)) == 1, "the client went away while it was in use"
    (thread,) = (one for one in threading.enumerate() if one.name == "dreamgrid-client")
    del projects_only, made
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("ending", ["", "client.close()", "raise SystemExit(0)"])
def test_a_program_ends_without_a_word_whether_it_closes_or_not(
    server: Server, ending: str
) -> None:
    program = f"""
import dreamgrid
client = dreamgrid.Client({server.stub.url!r}, {KEY!r})
project = client.projects.create(model={MODEL!r}, prompt="wait")
{ending}
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "struck",
    ["main_thread", "current_thread"],
    ids=["which wakes the main thread", "which does not, as when it is about to fall asleep"],
)
def test_ctrl_c_stops_the_call_and_the_client_stays_usable(server: Server, struck: str) -> None:
    program = f"""
import signal, threading, dreamgrid
def interrupt():
    next(project.events())
    signal.pthread_kill(getattr(threading, {struck!r})().ident, signal.SIGINT)
with dreamgrid.Client({server.stub.url!r}, {KEY!r}) as client:
    project = client.projects.create(model={MODEL!r}, prompt="wait")
    watching = threading.Thread(target=interrupt)
    try:
        watching.start()
        project.wait()
    except KeyboardInterrupt:
        print("interrupted")
    watching.join()
    print(len(client.projects.create(model={MODEL!r}, prompt="x").wait()))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert (ran.stdout, ran.stderr) == ("interrupted\n1\n", "")


def test_listeners_of_the_synchronous_door_may_use_the_client(
    server: Server, tmp_path: Path
) -> None:
    saved = threading.Event()

    def save(event: dreamgrid.JobCompleted[sync.Result]) -> None:
        assert threading.current_thread().name == "dreamgrid-listeners"
        event.result.save(tmp_path / "heard.png")
        saved.set()

    with dreamgrid.Client(server.stub.url, KEY) as client:
        client.projects.on(dreamgrid.JobCompleted, save)
        never = client.projects.on(dreamgrid.Completed, lambda _: pytest.fail("taken away"))
        never()
        (image,) = client.projects.generate(model=MODEL, prompt="x", timeout_s=45)
        assert saved.wait(60)
        assert (tmp_path / "heard.png").read_bytes() == image.read()
        client.projects.off(dreamgrid.JobCompleted, save)
        client.projects.remove_all_listeners()


def test_the_synchronous_door_works_inside_a_running_loop(server: Server) -> None:
    async def cell() -> int:
        with dreamgrid.Client(server.stub.url, KEY) as client:
            return len(client.projects.generate(model=MODEL, prompt="x", timeout_s=45))

    assert asyncio.run(cell()) == 1


FORGETFUL = """
import asyncio, dreamgrid
URL, KEY, MODEL = {url!r}, {key!r}, {model!r}
calm = dreamgrid.Client(URL, KEY)
calm.projects.on(dreamgrid.Event, lambda event: None)
print(len(calm.projects.generate(model=MODEL, prompt="x", progress=True)))

async def main():
    async with dreamgrid.AsyncClient(URL, KEY) as client:
        client.on(dreamgrid.Connected, lambda event: asyncio.sleep(60))
        project = await client.projects.create(model=MODEL, prompt="wait")
        watching = asyncio.create_task(anext(project.events()))
        await watching
    print(len(asyncio.all_tasks()))

asyncio.run(main())
# The synchronous client was never closed, and one of its projects is still waiting.
calm.projects.create(model=MODEL, prompt="wait")
"""


def test_nothing_is_left_behind_and_nothing_is_said_at_exit(server: Server) -> None:
    program = FORGETFUL.format(url=server.stub.url, key=KEY, model=MODEL)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("1\n1\n", "", 0)
