"""Everything that happens to a project, as it happens: the queue, every step, previews, results."""

import asyncio
from pathlib import Path

import dreamgrid


async def main() -> None:
    async with dreamgrid.AsyncClient() as client:
        model = (await client.projects.wait_for_models())[0].id
        project = await client.projects.create(
            model=model, prompt="a red apple", count=2, previews=5
        )
        async for event in project.events():
            match event:
                case dreamgrid.Queued(no_workers=True):
                    print("nobody who is connected can render this; waiting for a worker")
                case dreamgrid.Queued():
                    print(f"place {event.position} in the queue")
                case dreamgrid.Started():
                    print(f"picture {event.job_index} begins on {event.worker}")
                case dreamgrid.Progressed():
                    print(f"picture {event.job_index}: {event.fraction:.0%}")
                case dreamgrid.Previewed():
                    path = Path(f"preview-{event.job_index}.jpg")
                    await asyncio.to_thread(path.write_bytes, event.data)
                    print(f"picture {event.job_index} looks like {path} right now")
                case dreamgrid.JobCompleted():
                    path = await event.result.save(f"picture-{event.job_index}.png")
                    print(f"picture {event.job_index} is {path}, seed {event.result.seed}")
                case dreamgrid.JobRetried() | dreamgrid.JobFailed() | dreamgrid.Failed():
                    print(event)
                case _:
                    pass
        print(f"{project.state}, {await project.charge()}")


asyncio.run(main())
