"""Many pictures from a table, a few at a time, and never for more than a limit.

Usage: python batch_csv.py table.csv
The table has a column `prompt`, and may have `seed` and `count`. What is saved already is left out,
so that an interrupted batch can be started again.
"""

import asyncio
import csv
import sys
from decimal import Decimal
from pathlib import Path

import dreamgrid

MOST_SPARK = Decimal(10)
AT_ONCE = 4
EXAMPLE = [{"prompt": "a red apple", "seed": "1"}, {"prompt": "a castle", "seed": "2"}]


def rows() -> list[dict[str, str]]:
    if len(sys.argv) < 2:
        return EXAMPLE
    try:
        # utf-8-sig, as spreadsheets write a mark before the name of the first column.
        with Path(sys.argv[1]).open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns, found = table.fieldnames or (), list(table)
    except OSError as error:
        sys.exit(f"cannot read {sys.argv[1]}: {error.strerror}")
    except UnicodeDecodeError:
        sys.exit(f"{sys.argv[1]} is not UTF-8: save it as 'CSV UTF-8'")
    if "prompt" not in columns:
        sys.exit(f"{sys.argv[1]} has no column 'prompt' in its first line")
    return found


async def main(table: list[dict[str, str]]) -> None:
    async with dreamgrid.AsyncClient() as client:
        model = (await client.projects.wait_for_models())[0].id
        gate = asyncio.Semaphore(AT_ONCE)
        left = MOST_SPARK

        async def make(number: int, row: dict[str, str]) -> None:
            nonlocal left
            folder = Path("batch-csv") / f"{number:03}"
            if folder.is_dir():
                return
            count, seed = int(row.get("count") or 1), row.get("seed")
            async with gate:
                price = await client.projects.estimate_cost(model=model, count=count)
                if price.spark > left:
                    print(f"{number}: {price} is more than the {left} spark that are left")
                    return
                left -= price.spark
                results = await client.projects.generate(
                    model=model,
                    prompt=row["prompt"],
                    seed=int(seed) if seed else None,
                    count=count,
                    max_cost=price.token,
                )
            for image in results:
                print(await image.save(folder / str(image.index)))

        async with asyncio.TaskGroup() as group:
            for number, row in enumerate(table, start=1):
                group.create_task(make(number, row))


asyncio.run(main(rows()))
