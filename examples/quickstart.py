"""One picture, in ten lines. Set DREAMGRID_URL and DREAMGRID_API_KEY first."""

import asyncio

import dreamgrid


async def main() -> None:
    async with dreamgrid.AsyncClient() as client:
        (model, *_) = await client.projects.wait_for_models()
        project = await client.projects.create(model=model.id, prompt="a red apple")
        for image in await project.wait():
            print(await image.save("apple.png"))


asyncio.run(main())
