"""A server in a process of its own, which tells how many tasks it has for each line on stdin.

python -m tests.fuzz.serve FOLDER
"""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from dreamgrid.server.app import ServerReady, run_server
from dreamgrid.server.config import NO_LIMIT, Rate, ServerConfig


def say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def serve(folder: Path, *, limited: bool) -> None:
    config = ServerConfig(data_dir=folder, port=0)
    if limited:  # by more than they do by default, so that tests have not to wait for so long
        config = replace(config, messages=Rate(3_000, burst=5_000))
    else:
        config = replace(config, requests=NO_LIMIT, messages=NO_LIMIT, worker_messages=NO_LIMIT)

    def ready(server: ServerReady) -> None:
        say(url=server.url, key=server.api_key)

    def asked() -> None:
        if sys.stdin.readline():
            say(tasks=Counter(task.get_name().split("-")[0] for task in asyncio.all_tasks()))

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), asked)
    await run_server(config, stop=asyncio.Event(), on_ready=ready)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), limited="--limited" in sys.argv))
