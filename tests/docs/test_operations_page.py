"""The page about operations names what is there."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from dreamgrid.server.exposition import Relayed, exposed_relay
from tests.server.conftest import MakeGrid, make_grid

__all__ = ["make_grid"]

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")


async def told(make_grid: MakeGrid) -> set[str]:
    """The names of all metrics, as the page writes them: counters end with `_total`."""
    async with make_grid() as grid:
        headers = {"api-key": grid.key}
        async with grid.http.get(f"{grid.url}/metrics", headers=headers) as answer:
            families = list(text_string_to_metric_families(await answer.text()))
    relayed = exposed_relay(Relayed())[0].decode()  # what only a node tells that hands on
    families += text_string_to_metric_families(relayed)
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families
        if family.name.startswith("dreamgrid_")
    }


async def test_every_metric_is_on_the_page_and_the_page_names_no_other(
    make_grid: MakeGrid,
) -> None:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `dreamgrid_"))
    on_page = set(re.findall(r"`(dreamgrid_\w+)`", rows))
    assert on_page == await told(make_grid)
