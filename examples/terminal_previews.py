"""A picture in the terminal, redrawn with every preview while it is painted.

    pip install pillow
    python terminal_previews.py "a red apple"

Two pixels share a character: its upper half is the colour of the letter, its lower half that of the
ground. Into a pipe or a file only words are written.
"""

import asyncio
import io
import sys

from PIL import Image

import dreamgrid

COLUMNS = 40
UPPER_HALF = "\N{UPPER HALF BLOCK}"


def blocks(data: bytes) -> str:
    """A picture as lines of coloured characters."""
    with Image.open(io.BytesIO(data)) as picture:
        rows = max(1, round(COLUMNS * picture.height / picture.width / 2))
        small = picture.convert("RGB").resize((COLUMNS, 2 * rows)).tobytes()
    colors = [small[at : at + 3] for at in range(0, len(small), 3)]
    lines = ""
    for top in range(0, 2 * rows * COLUMNS, 2 * COLUMNS):
        for at in range(top, top + COLUMNS):
            (r, g, b), (red, green, blue) = colors[at], colors[at + COLUMNS]
            lines += f"\x1b[38;2;{r};{g};{b};48;2;{red};{green};{blue}m{UPPER_HALF}"
        lines += "\x1b[0m\n"
    return lines


def show(data: bytes, *, again: bool) -> None:
    """Draws a picture, over the one before it."""
    if sys.stdout.isatty():
        drawn = blocks(data)
        up = f"\x1b[{drawn.count(chr(10))}A" if again else ""
        print(up + drawn, end="", flush=True)


async def main() -> None:
    prompt = sys.argv[1] if len(sys.argv) > 1 else "a red apple"
    async with dreamgrid.AsyncClient() as client:
        model = (await client.projects.wait_for_models())[0].id
        project = await client.projects.create_image(model=model, prompt=prompt, previews=10)
        shown = False
        async for event in project.events():
            match event:
                case dreamgrid.Previewed():
                    show(event.data, again=shown)
                    shown = True
                case dreamgrid.JobRetried():
                    print(f"trying again: {event.message}")
                case _:
                    pass
        (image,) = await project.wait()
        show(await image.read(), again=shown)
        print(await image.save("terminal.png"), "seed", image.seed)


asyncio.run(main())
