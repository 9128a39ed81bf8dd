"""Begin with a picture and change it a little, and then more.

Usage: python image_to_image.py "a green apple" apple.png
Without a file it makes one to begin with.
"""

import asyncio
import sys

import dreamgrid


async def main() -> None:
    prompt = sys.argv[1] if len(sys.argv) > 1 else "a green apple"
    async with dreamgrid.AsyncClient() as client:
        model = (await client.projects.wait_for_models())[0].id
        if len(sys.argv) > 2:
            start: str | bytes = sys.argv[2]  # bytes, open files and Pillow images do as well
        else:
            first = await client.projects.create(model=model, prompt="a red apple", seed=1)
            start = await (await first.wait())[0].read()
        for percent in (30, 60, 90):
            project = await client.projects.create(
                model=model, prompt=prompt, starting_image=start, strength=percent / 100, seed=1
            )
            (image,) = await project.wait()
            print(await image.save(f"changed-{percent}.png"))


asyncio.run(main())
