"""What everybody must be able to see and use: axe, both colours, phone and desktop."""

from pathlib import Path
from typing import Any

import pytest

from tests.interop.worker import ScriptedWorker, png
from tests.studio.conftest import OpenStudio, Studio
from tests.studio.test_inputs import open_painter

pytestmark = pytest.mark.asyncio(loop_scope="session")

STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


async def barriers(studio: Studio, axe: str) -> list[str]:
    """What axe finds on the page, one line for each."""
    await studio.page.evaluate(axe)
    wish = {"runOnly": STANDARDS, "resultTypes": ["violations"]}
    found: dict[str, Any] = await studio.page.evaluate("(wish) => axe.run(document, wish)", wish)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.fixture(scope="session")
def axe(web_src: Path) -> str:
    """The script that looks for barriers."""
    return (web_src / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.timeout(300)  # the first one may have to install what looks
@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
async def test_nobody_is_shut_out_and_nothing_overflows(
    open_studio: OpenStudio, worker: ScriptedWorker, axe: str, colors: str, phone: bool
) -> None:
    studio = await open_studio(colors=colors, phone=phone, reduced=True)
    page = studio.page
    await page.goto(studio.grid.url)
    await page.get_by_role("button", name="Sign in", exact=True).wait_for()
    found = {"sign-in": await barriers(studio, axe)}
    await page.goto("about:blank")
    await studio.sign_in()
    await open_painter(page)
    found["mask"] = await barriers(studio, axe)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Remove: Begin with a picture").click()
    await studio.ask_for("a penguin")
    await (await worker.job()).render(png(30))
    await studio.see_tiles("completed")
    await studio.ask_for("a castle", count=3)
    done, running, failing = await worker.jobs(3)
    await done.render(png(120))
    await running.start()
    await running.step(4)
    await failing.start()
    await failing.fail("It could not be made.")
    for status, count in {"completed": 2, "running": 1, "failed": 1}.items():
        await studio.see_tiles(status, count)
    found["create"] = await barriers(studio, axe)
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    await page.get_by_role("button", name="Open: a penguin").click()
    found["viewer"] = await barriers(studio, axe)
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog", name="Delete 1 result?").wait_for()
    found["question"] = await barriers(studio, axe)
    await page.keyboard.press("Escape")
    if phone:
        await page.get_by_role("button", name="Details").click()
    await page.get_by_role("button", name="Compare").click()
    await page.get_by_role("img", name="a castle").wait_for()
    found["compare"] = await barriers(studio, axe)
    await page.keyboard.press("Escape")
    widths = [width]
    for name, heading in (
        ("gallery", "Gallery"),
        ("operator/overview", "What is wanted"),
        ("operator/workers", "scripted"),
        ("operator/queue", "Open projects"),
        ("operator/models", "Models"),
        ("operator/accounts", "Accounts"),
        ("operator/trail", "What administrators did"),
        ("operator/health", "The books"),
        ("account", "Statement"),
    ):
        await page.goto(f"{studio.grid.url}/#/{name}")
        await page.get_by_role("heading", name=heading).wait_for()
        if name != "operator/trail":  # nothing was done yet
            await page.locator("li.piece, article, td, dd").first.wait_for()
        found[name] = await barriers(studio, axe)
        widths.append(await page.evaluate("document.documentElement.scrollWidth - innerWidth"))
    assert found == {name: [] for name in found}
    assert max(widths) <= 0
