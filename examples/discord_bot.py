"""A Discord bot: `/paint a red apple`, and the answer shows how far it is, and what it cost.

    pip install discord.py
    export DISCORD_TOKEN=...        # from https://discord.com/developers, page "Bot"
    python discord_bot.py

Invite it with the scopes `bot` and `applications.commands`; it needs no permissions.
"""

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator

import dreamgrid

try:
    import discord
    from discord import app_commands
except ModuleNotFoundError:
    sys.exit("this bot needs discord.py: pip install discord.py")

MODEL = "dreamlet-v1"
MOST_SPARK = 1
EDIT_EVERY_S = 1.0  # Discord slows down those who change a message more often
GIVE_UP_S = 14 * 60  # after 15 minutes Discord lets nobody change an answer


class Bot(discord.Client):
    """Answers commands; renders go on in tasks of their own, so that nobody waits for another."""

    def __init__(self, grid: dreamgrid.AsyncClient) -> None:
        super().__init__(intents=discord.Intents(guilds=True))
        self.grid = grid
        self.tree = commands_of(self)
        self.tasks: set[asyncio.Task[None]] = set()

    async def setup_hook(self) -> None:
        """Before the bot goes online: tells Discord which commands there are."""
        await self.tree.sync()

    async def begin(self, interaction: discord.Interaction, prompt: str) -> None:
        """Answers at once, because Discord waits for 3 seconds only, and paints behind."""
        await interaction.response.defer(thinking=True)
        task = asyncio.create_task(paint(self.grid, interaction, prompt))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self) -> None:
        """Also after Ctrl-C: what is unfinished is canceled, and people are told."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await super().close()


def commands_of(bot: Bot) -> app_commands.CommandTree[Bot]:
    tree = app_commands.CommandTree(bot)

    @tree.command(name="paint", description="Paint a picture")
    @app_commands.describe(prompt="What to show")
    async def _(interaction: discord.Interaction, prompt: app_commands.Range[str, 1, 500]) -> None:
        await bot.begin(interaction, prompt)

    return tree


async def paint(grid: dreamgrid.AsyncClient, interaction: discord.Interaction, prompt: str) -> None:
    """One picture, from the question to the answer."""

    async def say(words: str, *files: discord.File) -> None:
        await interaction.edit_original_response(
            content=f"**{discord.utils.escape_markdown(prompt)}**\n{words}"[:2000],
            attachments=files,
            allowed_mentions=discord.AllowedMentions.none(),
        )

    try:
        price = await grid.projects.estimate_cost(model=MODEL)
        project = await grid.projects.create_image(model=MODEL, prompt=prompt, max_cost=MOST_SPARK)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVE_UP_S):
                    async for words in stages(project):
                        await say(f"{words}, costs {price}")
        finally:
            if not project.finished:
                await project.cancel()
        (image,) = await project.wait()
        picture = discord.File(io.BytesIO(await image.read()), f"{image.job_id}.png")
        await say(f"{await project.charge()}, seed {image.seed}", picture)
    except dreamgrid.DreamgridError as error:
        await say(f"That did not work: {error}")
    except asyncio.CancelledError:
        await say("The bot was stopped; what was not delivered is not charged.")
        raise


async def stages(project: dreamgrid.Project[dreamgrid.Image]) -> AsyncIterator[str]:
    """How far it is, at most once in `EDIT_EVERY_S`."""
    clock = asyncio.get_running_loop()
    told_at = -EDIT_EVERY_S
    async for event in project.events():
        match event:
            case dreamgrid.Queued(no_workers=True):
                words = "Waiting for a worker"
            case dreamgrid.Queued(position=place):
                words = f"Place {place} in the queue"
            case dreamgrid.Assigned():
                words = "A worker has it"
            case dreamgrid.Progressed(fraction=fraction):
                words = f"{fraction:.0%}"
            case _:
                continue
        if clock.time() - told_at >= EDIT_EVERY_S:
            yield words
            told_at = clock.time()


async def main() -> None:
    token = os.environ.get("DISCORD_TOKEN") or sys.exit("DISCORD_TOKEN is not set")
    async with dreamgrid.AsyncClient() as grid, Bot(grid) as bot:
        await bot.start(token)


if __name__ == "__main__":
    discord.utils.setup_logging()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
