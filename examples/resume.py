"""A program that may be interrupted at any time: started again, it goes on where it was.

The project's id is all that has to be kept. Under the same id a project is made and paid once.
"""

import asyncio
import uuid
from pathlib import Path

import dreamgrid

KEPT = Path("project-id.txt")


def project_id() -> str:
    if not KEPT.exists():
        KEPT.write_text(str(uuid.uuid4()))
    return KEPT.read_text()


async def main() -> None:
    number = await asyncio.to_thread(project_id)
    async with dreamgrid.AsyncClient() as client:
        try:
            project = await client.projects.attach(number)
            print(f"found again: {project}")
        except dreamgrid.NotFound:
            project = await client.projects.create(
                model="dreamlet-v1", prompt="a castle", count=2, project_id=number
            )
        for image in await project.wait():
            print(await image.save(f"castle-{image.index}"))
    await asyncio.to_thread(KEPT.unlink)


asyncio.run(main())
