"""When a worker rests: told by its owner, the clock, and the driver of the GPU."""

from datetime import datetime
from pathlib import Path

import pytest

from dreamgrid.engines.gpus import Gpu
from dreamgrid.errors import ConfigError
from dreamgrid.worker import gpu_use
from dreamgrid.worker.rest import RestRules, Watch, hours_of, pause, paused, resume
from tests.support.nvidia import NvidiaSmi, nvidia_smi

__all__ = ["nvidia_smi"]

GPU = Gpu(index=0, uuid="GPU-big", name="Big GPU")
MONDAY_NOON = datetime(2026, 11, 23, 12).timestamp()


class Clock:
    def __init__(self) -> None:
        self.now_s = MONDAY_NOON

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("09:00-17:00", "2026-11-23 09:00", True),
        ("09:00-17:00", "2026-11-23 17:00", False),
        ("22:00-07:00", "2026-11-23 23:30", True),
        ("22:00-07:00", "2026-11-24 06:59", True),
        ("22:00-07:00", "2026-11-24 12:00", False),
        ("fri 22:00-07:00", "2026-11-28 06:00", True),  # Friday's night ends on Saturday
        ("fri 22:00-07:00", "2026-11-27 06:00", False),
        ("sat,sun 00:00-24:00", "2026-11-29 23:59", True),
        ("sat,sun 00:00-24:00", "2026-11-30 00:00", False),
        ("Fri-Mon 8:00-9:30", "2026-11-30 09:29", True),
        ("fri-mon 8:00-9:30", "2026-11-24 09:00", False),
    ],
)
def test_hours_are_understood(text: str, moment: str, *, expected: bool) -> None:
    assert hours_of(text).contain(datetime.fromisoformat(moment)) is expected


@pytest.mark.parametrize(
    "text", ["", "night", "25:00-07:00", "9-17", "22:60-23:00", "mox 9:00-10:00", "9:00-9:00"]
)
def test_hours_that_are_none_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write 22:00-07:00"):
        hours_of(text)


def test_a_pause_lasts_until_it_is_over(tmp_path: Path, clock: Clock) -> None:
    watch = Watch(RestRules(folder=tmp_path), None, now=clock)
    assert watch.look() is None
    pause(tmp_path, MONDAY_NOON + 60)
    rest = watch.look()
    assert rest is not None
    assert rest.urgent
    assert "12:01" in rest.reason
    clock.now_s += 60
    assert watch.look() is None


def test_a_pause_without_end_is_ended_by_hand(tmp_path: Path) -> None:
    assert not resume(tmp_path)
    pause(tmp_path / "new", None)
    assert paused(tmp_path / "new", 1e12) is not None
    assert resume(tmp_path / "new")
    assert paused(tmp_path / "new", 0.0) is None


def test_a_pause_that_cannot_be_read_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "paused.json").write_text("{")
    assert paused(tmp_path, 0.0) is not None


def test_outside_its_hours_a_worker_rests_without_hurry(tmp_path: Path, clock: Clock) -> None:
    rules = RestRules(folder=tmp_path, hours=(hours_of("22:00-07:00"), hours_of("13:00-14:00")))
    watch = Watch(rules, None, now=clock)
    rest = watch.look()
    assert rest is not None
    assert not rest.urgent
    clock.now_s += 3600
    assert watch.look() is None


def test_a_hot_gpu_rests_until_it_has_cooled_down(
    nvidia_smi: NvidiaSmi, tmp_path: Path, clock: Clock
) -> None:
    watch = Watch(RestRules(folder=tmp_path, max_celsius=80), GPU, now=clock)

    def at(celsius: int) -> bool:
        nvidia_smi.shows(f"0, GPU-big, Big GPU, 570.1, 81920, 80000, {celsius}, 0, 60.5")
        clock.now_s += 10
        return watch.look() is not None

    assert [at(80), at(81), at(75), at(70), at(75)] == [False, True, True, False, False]


PMON = """\
# gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command
# Idx           #    C/G      %      %      %      %      %      %    name
    0       {pid}     C     {sm}     12      -      -      -      -    python
    0          2     G      -      -      -      -      -      -    Xorg
"""


def test_a_gpu_is_left_to_others_and_taken_back_when_they_are_quiet(
    nvidia_smi: NvidiaSmi, tmp_path: Path, clock: Clock
) -> None:
    watch = Watch(RestRules(folder=tmp_path, give_way_percent=30), GPU, now=clock)

    def at(percent: int, after_s: float = 10.0) -> bool:
        nvidia_smi.shows(PMON.format(pid=2**30, sm=percent))
        clock.now_s += after_s
        rest = watch.look()
        assert rest is None or rest.urgent
        return rest is not None

    assert [at(90), at(0), at(90), at(90)] == [False, False, False, True]  # once is nothing
    assert [at(0, 40), at(40), at(0, 50), at(0, 20)] == [True, True, True, False]
    calls = nvidia_smi.calls.read_text().splitlines()
    assert calls[0] == "pmon -i GPU-big -c 1 -s u"


def test_a_program_that_renders_for_the_worker_is_no_reason_to_leave_its_gpu(
    nvidia_smi: NvidiaSmi, tmp_path: Path, clock: Clock
) -> None:
    lent = [True]
    rules = RestRules(folder=tmp_path, give_way_percent=30)
    watch = Watch(rules, GPU, now=clock, lends_gpu=lambda: lent[0])
    nvidia_smi.shows(PMON.format(pid=2**30, sm=90))

    def rests() -> bool:
        clock.now_s += 10
        return watch.look() is not None

    assert [rests(), rests(), rests()] == [False, False, False]
    lent[0] = False
    assert [rests(), rests()] == [False, True]


def test_the_driver_is_not_asked_at_every_look(
    nvidia_smi: NvidiaSmi, tmp_path: Path, clock: Clock
) -> None:
    watch = Watch(RestRules(folder=tmp_path, give_way_percent=30), GPU, now=clock)
    for _ in range(10):
        watch.look()
        clock.now_s += 1
    assert len(nvidia_smi.calls.read_text().splitlines()) == 1


def test_what_we_use_of_a_gpu_is_no_reason_to_leave_it(nvidia_smi: NvidiaSmi) -> None:
    import os

    nvidia_smi.shows(PMON.format(pid=os.getpid(), sm=90))
    assert gpu_use.others_percent(GPU) == 0
    nvidia_smi.shows(PMON.format(pid=2**30, sm=90))
    assert gpu_use.others_percent(GPU) == 90


def test_a_driver_that_does_not_tell_who_computes_is_believed_to_be_free(
    nvidia_smi: NvidiaSmi, tmp_path: Path
) -> None:
    nvidia_smi.fails("Not supported on the device(s)", 3)
    assert gpu_use.others_percent(GPU) is None
    assert Watch(RestRules(folder=tmp_path, give_way_percent=1), GPU).look() is None


def test_power_is_limited_by_the_driver_or_the_owner_reads_how(nvidia_smi: NvidiaSmi) -> None:
    assert gpu_use.limit_power(GPU, 250) == ""
    assert nvidia_smi.calls.read_text().splitlines() == ["-i GPU-big -pl 250"]
    nvidia_smi.fails("Insufficient Permissions", 4)
    objection = gpu_use.limit_power(GPU, 250)
    assert "Insufficient Permissions" in objection
    assert "sudo nvidia-smi -i 0 -pl 250" in objection
