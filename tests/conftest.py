"""Settings for every test."""

import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import nats_server, postgres, real_servers
from tests.support.ceph import ceph
from tests.support.real_servers import S3Server

# No deadline: on a busy machine a slow example says nothing about the code. The examples are the
# same in every run, so that nobody's change fails by what a run found that was there before;
# `--hypothesis-profile=fresh` looks for that.
settings.register_profile(
    "dreamgrid",
    deadline=None,
    max_examples=40,
    print_blob=True,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fresh", settings.get_profile("dreamgrid"), derandomize=False)
settings.load_profile("dreamgrid")

# A ComfyUI of whoever runs the tests would offer models that no test expects.
os.environ["DREAMGRID_COMFYUI_URL"] = "off"

MEMORY = Path("/dev/shm")
ROOM_BYTES = 8 * 1024**3


def pytest_configure() -> None:
    """What the tests and their processes find."""
    _write_into_memory()
    # A shell lets what it runs in the background ignore Ctrl-C, and the processes of tests with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _write_into_memory() -> None:
    """Lets tests write into memory where a system has a folder there, with room in it.

    On a disk a database that is asked to lose nothing waits for it at every step, and half of the
    tests have one. `--basetemp` still says otherwise.
    """
    usable = (
        os.access(MEMORY, os.W_OK)
        and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # some tests write programs
        and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    )
    if usable:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, or the process that runs it ends long after the others."""
    items.sort(key=lambda item: item.path.parent.name != "soak")


SKIP_NOTHING = "DREAMGRID_SKIP_NOTHING"
"""Set where everything that tests may need is installed: then a skipped test is a failed one."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that would be skipped as a whole."""
    report = yield
    if report.skipped and os.environ.get(SKIP_NOTHING):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {SKIP_NOTHING} is set: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure in a run that may skip nothing."""
    report = yield
    if report.skipped and os.environ.get(SKIP_NOTHING):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {SKIP_NOTHING} is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3-compatible store as large providers run it."""
    with ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3-compatible store that starts in a moment."""
    with real_servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


def pytest_sessionfinish() -> None:
    """Ends the servers that this process has started."""
    postgres.stop()
    nats_server.stop()
