"""When a worker rests, because its owner needs the machine: by hand, by the clock, by the GPU.

A worker that rests has left its grid and ended its engine, so that all of the GPU's memory is free.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from dreamgrid.engines.gpus import Gpu, see
from dreamgrid.errors import ConfigError
from dreamgrid.worker.gpu_use import others_percent

try:
    import fcntl
except ImportError:  # not on Windows; there nobody can tell who is at work
    fcntl = None  # type: ignore[assignment]

PAUSE_FILE = "paused.json"
_WORK_FILE = "at-work.lock"

COOLER_C = 10
"""How far a GPU must cool down below its limit before work goes on."""

_GPU_EVERY_S = 10.0
_QUIET_S = 60.0  # without others on the GPU, before work goes on
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(?:([a-z,-]+) +)?(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A stretch of time that comes every week.

    Attributes:
        days: On which days it begins; Monday is 0.
        begin_min: Minutes after midnight at which it begins.
        end_min: Minutes after midnight at which it ends; before `begin_min`: on the next day.
    """

    days: frozenset[int]
    begin_min: int
    end_min: int

    def contain(self, local: datetime) -> bool:
        """Whether a moment is in it."""
        day, minute = local.weekday(), local.hour * 60 + local.minute
        if self.begin_min < self.end_min:
            return day in self.days and self.begin_min <= minute < self.end_min
        if minute >= self.begin_min:
            return day in self.days
        return (day - 1) % 7 in self.days and minute < self.end_min


def hours_of(text: str) -> Hours:
    """Reads `22:00-07:00`, `sat,sun 00:00-24:00` or `mon-fri 19:30-23:00`.

    Raises:
        ConfigError: It is none of these.
    """
    found = _HOURS.fullmatch(text.strip().lower())
    advice = f"'{text}' is no time: write 22:00-07:00, or mon-fri 19:30-23:00"
    if found is None:
        raise ConfigError(advice)
    days, *numbers = found.groups()
    begin_h, begin_m, end_h, end_m = map(int, numbers)
    begin_min, end_min = begin_h * 60 + begin_m, end_h * 60 + end_m
    if begin_m > 59 or end_m > 59 or begin_min >= 1440 or end_min > 1440 or begin_min == end_min:
        raise ConfigError(advice)
    try:
        return Hours(days=_days_of(days), begin_min=begin_min, end_min=end_min)
    except ValueError:
        raise ConfigError(f"{advice}; days are {', '.join(_DAYS)}") from None


def _days_of(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _DAYS.index(first)
        end = _DAYS.index(last) if dash else begin
        days |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return frozenset(days)


class Pause(msgspec.Struct, frozen=True):
    """What the owner said by hand; `until_s` in seconds since 1970, None: until they say so."""

    until_s: float | None = None


def pause(folder: Path, until_s: float | None) -> None:
    """Lets the workers of a folder rest, those of its subfolders included."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = folder / f"{PAUSE_FILE}.part"
    partial.write_bytes(msgspec.json.encode(Pause(until_s)))
    partial.replace(folder / PAUSE_FILE)


def resume(folder: Path) -> bool:
    """Ends a pause; False when there was none."""
    there = paused(folder, time.time()) is not None
    (folder / PAUSE_FILE).unlink(missing_ok=True)
    return there


def paused(folder: Path, now_s: float) -> Pause | None:
    """The pause of a folder, unless it is over."""
    try:
        said = msgspec.json.decode((folder / PAUSE_FILE).read_bytes(), type=Pause)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return Pause()  # somebody wanted one; working on against their will would be worse
    return None if said.until_s is not None and said.until_s <= now_s else said


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Lets `anyone_at_work` know of the workers of a folder, for as long as the block runs."""
    with ExitStack() as held:
        with suppress(OSError):  # a folder that cannot be used is for the workers to refuse
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = held.enter_context((folder / _WORK_FILE).open("a"))
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_SH)
        yield


def anyone_at_work(folder: Path) -> bool | None:
    """Whether workers run from a folder now, resting ones too; None: the system cannot tell."""
    found: bool | None = None
    try:
        with (folder / _WORK_FILE).open("a") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = False
    except FileNotFoundError:
        found = False
    except BlockingIOError:
        found = True
    return found


@dataclass(frozen=True, kw_only=True)
class RestRules:
    """When to rest.

    Attributes:
        folder: Where `pause` leaves its word.
        hours: When to work; empty: always.
        give_way_percent: Share of a GPU, 1..100, that others may use before the worker leaves it to
            them. 0: they are not looked at.
        max_celsius: How hot a GPU may become. 0: whatever it stands.
        look_every_s: Seconds between two looks.
    """

    folder: Path
    hours: Sequence[Hours] = ()
    give_way_percent: int = 0
    max_celsius: int = 0
    look_every_s: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Why to rest now.

    Attributes:
        reason: In words for the owner.
        urgent: They wait for the GPU: a render under way is handed back instead of finished.
    """

    reason: str
    urgent: bool


class Watch:
    """Tells one worker when to rest; remembers what a single look cannot tell."""

    def __init__(
        self,
        rules: RestRules,
        gpu: Gpu | None,
        *,
        now: Callable[[], float] = time.time,
        lends_gpu: Callable[[], bool] = lambda: False,
    ) -> None:
        """Takes what to look at.

        Args:
            rules: When to rest.
            gpu: The worker's, if it has one.
            now: The clock.
            lends_gpu: Whether another program renders for the worker now: what uses the GPU may be
                that one, and is not looked at.
        """
        self._lends_gpu = lends_gpu
        self._rules = rules
        self._gpu = gpu
        self._now = now
        self._next_gpu_look_s = 0.0
        self._hot = False
        self._others_until_s = 0.0
        self._seen_before = False

    def look(self) -> Rest | None:
        """Why to rest now; None: work. Asks the driver now and then, which takes a second."""
        now_s = self._now()
        said = paused(self._rules.folder, now_s)
        if said is not None:
            until = "" if said.until_s is None else f" until {_clock(said.until_s)}"
            return Rest(reason=f"paused{until} by its owner", urgent=True)
        local = datetime.fromtimestamp(now_s)
        if self._rules.hours and not any(hours.contain(local) for hours in self._rules.hours):
            return Rest(reason="outside its hours", urgent=False)
        if self._gpu is not None and now_s >= self._next_gpu_look_s:
            self._next_gpu_look_s = now_s + _GPU_EVERY_S
            self._look_at_gpu(self._gpu, now_s)
        if now_s < self._others_until_s:
            return Rest(reason="somebody else needs the GPU", urgent=True)
        if self._hot:
            return Rest(reason=f"the GPU is hotter than {self._rules.max_celsius} °C", urgent=False)
        return None

    def _look_at_gpu(self, gpu: Gpu, now_s: float) -> None:
        if self._rules.max_celsius:
            celsius = next((one.celsius for one in see().gpus if one.uuid == gpu.uuid), None)
            limit = self._rules.max_celsius - (COOLER_C if self._hot else 0)
            self._hot = celsius is not None and celsius > limit
        if self._rules.give_way_percent and not self._lends_gpu():
            others = others_percent(gpu) or 0
            seen = others >= self._rules.give_way_percent
            # Once is nothing: a window that opens uses the GPU for a moment, too.
            if seen and (self._seen_before or now_s < self._others_until_s):
                self._others_until_s = now_s + _QUIET_S
            self._seen_before = seen


def _clock(seconds: float) -> str:
    local = datetime.fromtimestamp(seconds)
    return f"{local:%H:%M}" if local.date() == datetime.now().date() else f"{local:%d %b %H:%M}"
