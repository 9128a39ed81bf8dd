"""Many pictures from a table, a few at a time, tried again, and never for more than a limit.

Usage: python batch_csv.py table.csv
The table has a column `prompt`, and may have `seed` and `count`: whole numbers, or nothing. What is
saved already is left out, so that an interrupted batch can be started again.
"""

import asyncio
import csv
import sys
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import dreamgrid

MOST_SPARK = Decimal(10)
AT_ONCE = 4
TRIES = 3
WAIT_S = 5.0
PASSES = (  # errors that another try can cure
    dreamgrid.ConnectionFailed,
    dreamgrid.ServerUnavailable,
    dreamgrid.TooManyRequests,
)
FOLDER = Path("batch-csv")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    number: int
    prompt: str
    count: int = 1
    seed: int | None = None


EXAMPLE = [Row(1, "a red apple", seed=1), Row(2, "a castle", seed=2)]


def rows(file: str) -> list[Row]:
    """Reads the whole table before anything is made, so that no mistake costs anything."""
    try:
        # utf-8-sig, as spreadsheets write a mark before the name of the first column.
        with Path(file).open(newline="", encoding="utf-8-sig") as opened:
            table = csv.DictReader(opened)
            columns, lines = table.fieldnames or (), list(table)
    except OSError as error:
        sys.exit(f"cannot read {file}: {error.strerror}")
    except UnicodeDecodeError:
        sys.exit(f"{file} is not UTF-8: save it as 'CSV UTF-8'")
    if "prompt" not in columns:
        sys.exit(f"{file} has no column 'prompt' in its first line")
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            count, seed = int(line.get("count") or 1), line.get("seed")
            row = Row(number, line["prompt"] or "", count, int(seed) if seed else None)
        except ValueError as error:
            sys.exit(f"{file}, row {number}: count and seed are whole numbers ({error})")
        if not row.prompt or row.count < 1:
            sys.exit(f"{file}, row {number}: needs a prompt, and a count of 1 or more")
        found.append(row)
    return found


async def made(
    client: dreamgrid.AsyncClient, model: str, row: Row, most: Decimal
) -> list[dreamgrid.Result]:
    """What a row asks for; tried again under one id, it is made and paid once."""
    project_id = str(uuid.uuid4())
    for tries_left in reversed(range(TRIES)):
        try:
            return await client.projects.generate(
                model=model,
                prompt=row.prompt,
                count=row.count,
                seed=row.seed,
                max_cost=most,
                project_id=project_id,
            )
        except PASSES as error:
            if not tries_left:
                raise
            print(f"{row.number}: {error}; trying again")
            await asyncio.sleep(getattr(error, "retry_after_s", None) or WAIT_S)
    raise AssertionError("the last try returns or raises")


async def main(table: list[Row]) -> int:
    """Makes what is missing; how many rows did not work."""
    async with dreamgrid.AsyncClient() as client:
        model = (await client.projects.wait_for_models())[0].id
        gate = asyncio.Semaphore(AT_ONCE)
        left = MOST_SPARK
        failed = 0

        async def make(row: Row) -> None:
            nonlocal left, failed
            folder = FOLDER / f"{row.number:03}"
            if folder.is_dir():
                return
            try:
                async with gate:
                    price = await client.projects.estimate_cost(model=model, count=row.count)
                    if price.spark > left:
                        print(f"{row.number}: {price} is more than the {left} spark that are left")
                        return
                    left -= price.spark
                    results = await made(client, model, row, price.token)
                for image in results:
                    print(await image.save(folder / str(image.index)))
            except dreamgrid.DreamgridError as error:  # the other rows go on
                print(f"{row.number}: {error}")
                failed += 1

        async with asyncio.TaskGroup() as group:
            for row in table:
                group.create_task(make(row))
    return failed


if __name__ == "__main__":
    try:
        failed = asyncio.run(main(rows(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE))
    except dreamgrid.DreamgridError as error:
        sys.exit(f"{error}")
    if failed:
        sys.exit(f"{failed} did not work: start it again, and only those are made")
