"""A video from words, with a price limit and a bar.

Usage: python video.py "waves on a beach"
"""

import asyncio
import sys

import dreamgrid


async def main() -> None:
    prompt = sys.argv[1] if len(sys.argv) > 1 else "waves on a beach"
    async with dreamgrid.AsyncClient() as client:
        models = await client.projects.get_available_models()
        model = next(one.id for one in models if one.media == "video")
        price = await client.projects.estimate_video_cost(model=model, duration_s=1)
        print(f"{model}, {price}")
        project = await client.projects.create_video(
            model=model, prompt=prompt, duration_s=1, max_cost=50
        )
        for video in await project.wait(progress=True):
            print(await video.save("waves"))


asyncio.run(main())
