"""How smooth the studio stays while 200 tiles are alive: frame times in a real browser.

A real server, 200 jobs on a scripted worker, each with steps and previews as fast as `STEPS_PER_S`
says; the browser is Chromium without a screen, which draws on the processor. The floor is the same
page in the same window when nothing happens. Frame times say what a person sees, and suffer from
whoever else wants the processor; the browser's own processor time does not.
"""

import asyncio
import io
import itertools
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
from PIL import Image
from playwright.async_api import Locator, Page, async_playwright, expect
from tests.interop.grid import Grid, running_grid
from tests.interop.worker import Job, ScriptedWorker, scripted_worker
from tests.support.chromium import find_chromium

TILES = 200
AT_ONCE = 16
STEPS_PER_S = 4.0
"""Of each tile; the whole page hears 200 times as many."""
PREVIEW_EVERY = 4
WATCH_S = 10.0
_MODEL = "dreamlet-v1"
_PATIENCE_MS = 120_000
_FRAMES = """(forMs) => new Promise((done) => {
  const times = [];
  let last = performance.now();
  const end = last + forMs;
  const next = (now) => {
    times.push(now - last);
    last = now;
    if (now < end) requestAnimationFrame(next); else done(times.slice(1));
  };
  requestAnimationFrame(next);
})"""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen within `WATCH_S`.

    Attributes:
        frame_ms: Times between two frames: median, 95 and 99 of 100, the longest.
        slow_share: Frames that took longer than 33 ms, which people begin to see.
        cpu_s: Processor time of all processes of the browser, each second.
    """

    frame_ms: tuple[float, float, float, float]
    slow_share: float
    cpu_s: float


class Tiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found; one element for each round.

    Attributes:
        tiles: How many were alive at once.
        steps_per_s: How many steps the page was told of, of all tiles together, in each round.
        idle: The same page, with nothing alive.
        live: With all of them alive.
    """

    tiles: int
    steps_per_s: list[float]
    idle: list[Watched]
    live: list[Watched]


def run(rounds: int, say: Callable[[str], None]) -> Tiles:
    """Measures in turns: idle, live, idle, live, ..."""
    return asyncio.run(_run(rounds, say))


async def _run(rounds: int, say: Callable[[str], None]) -> Tiles:
    expect.set_options(timeout=_PATIENCE_MS)
    found = Tiles(tiles=TILES, steps_per_s=[], idle=[], live=[])
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_grid(Path(folder)) as grid,
            scripted_worker(grid.direct_url, grid.key, slots=256, models=(_MODEL,)) as worker,
            async_playwright() as driver,
        ):
            browser = await driver.chromium.launch(
                executable_path=find_chromium(), args=["--no-sandbox"]
            )
            page = await browser.new_page(viewport={"width": 1920, "height": 1080})
            await page.goto(await asyncio.to_thread(_link, grid))
            await page.get_by_label("Prompt", exact=True).wait_for()
            for number in range(rounds):
                found.idle.append(await _watch(page))
                jobs = await _begin(page, worker)
                steps = itertools.count()
                work = [asyncio.create_task(_work(job, place, steps)) for place, job in jobs]
                await asyncio.sleep(1)
                before = next(steps)
                found.live.append(await _watch(page))
                found.steps_per_s.append(round((next(steps) - before) / WATCH_S, 1))
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                await _end(page, jobs)
                say(f"tiles: {number + 1}/{rounds}")
            await browser.close()
    return found


def _link(grid: Grid) -> str:
    asked = urllib.request.Request(  # noqa: S310 (our own server)
        f"{grid.url}/v1/account/sign-in-links",
        b"{}",
        {"api-key": grid.key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        return str(json.load(answer)["data"]["url"])


async def _begin(page: Page, worker: ScriptedWorker) -> list[tuple[int, Job]]:
    """Asks for all of them in the form, and waits until the page shows them at work."""
    jobs: list[tuple[int, Job]] = []
    while len(jobs) < TILES:
        count = min(AT_ONCE, TILES - len(jobs))
        await page.get_by_label("How many").fill(str(count))
        await page.get_by_label("Prompt", exact=True).fill(f"a boat, number {len(jobs)}")
        await page.keyboard.press("Control+Enter")
        for job in await worker.jobs(count):
            await job.start()
            jobs.append((len(jobs), job))
    await expect(_alive(page)).to_have_count(TILES)
    return jobs


async def _end(page: Page, jobs: list[tuple[int, Job]]) -> None:
    for _, job in jobs:
        await job.finish(_picture(0))
    await expect(_alive(page)).to_have_count(0)


def _alive(page: Page) -> Locator:
    return page.locator('[data-testid=tile][data-status="running"]')


async def _work(job: Job, place: int, steps: "itertools.count[int]") -> None:
    """Tells of steps again and again, with a preview now and then."""
    most = job.assign.render.steps
    await asyncio.sleep(place / TILES / STEPS_PER_S)  # not all in the same moment
    for step in itertools.count(place):
        preview = _picture(step % 16) if step % PREVIEW_EVERY == 0 else None
        await job.step(1 + step % most, preview=preview)
        next(steps)
        await asyncio.sleep(1 / STEPS_PER_S)


_PICTURES: dict[int, bytes] = {}


def _picture(shade: int) -> bytes:
    """A preview as engines send them: a small JPEG."""
    if shade not in _PICTURES:
        made = io.BytesIO()
        Image.linear_gradient("L").rotate(22.5 * shade).convert("RGB").save(made, "JPEG")
        _PICTURES[shade] = made.getvalue()
    return _PICTURES[shade]


async def _watch(page: Page) -> Watched:
    began_s, before_s = time.perf_counter(), _cpu_s()
    times: list[float] = sorted(await page.evaluate(_FRAMES, WATCH_S * 1000))
    cpu_s = (_cpu_s() - before_s) / (time.perf_counter() - began_s)

    def at(share: float) -> float:
        return round(times[min(len(times) - 1, int(len(times) * share))], 1)

    return Watched(
        frame_ms=(at(0.5), at(0.95), at(0.99), round(times[-1], 1)),
        slow_share=round(sum(one > 33.4 for one in times) / len(times), 4),
        cpu_s=round(cpu_s, 3),
    )


def _cpu_s() -> float:
    """Of all processes of the browser, since they began; there are no others below this one."""
    found = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found += times.user + times.system
    return found


def tell(found: Tiles, out: Callable[[str], None]) -> None:
    """Prints medians of the rounds."""
    heard = statistics.median(found.steps_per_s)
    out(f"{found.tiles} live tiles, {heard:.0f} steps a second together")
    out("                       idle      live")
    for name, place in (("frame ms, p50", 0), ("p95", 1), ("p99", 2), ("longest", 3)):
        sides = (
            statistics.median(one.frame_ms[place] for one in side)
            for side in (found.idle, found.live)
        )
        out(f"{name:>18} " + " ".join(f"{value:>9.1f}" for value in sides))
    for name, field in (("over 33 ms", "slow_share"), ("processor time", "cpu_s")):
        sides = (
            statistics.median(getattr(one, field) for one in side)
            for side in (found.idle, found.live)
        )
        out(f"{name:>18} " + " ".join(f"{value:>9.1%}" for value in sides))
