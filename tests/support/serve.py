"""A server in a process of its own, to be killed: prints its address and key when it is ready.

python -m tests.support.serve FOLDER
"""

import asyncio
import json
import sys
from pathlib import Path

from dreamgrid.server.app import ServerReady, run_server
from dreamgrid.server.config import ServerConfig


def say(ready: ServerReady) -> None:
    sys.stdout.write(json.dumps({"url": ready.url, "api_key": ready.api_key}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # Nothing is earned, as on the grids of the other tests: the one account would pay itself.
    config = ServerConfig(data_dir=Path(sys.argv[1]), port=0, worker_share_permille=0)
    asyncio.run(run_server(config, stop=asyncio.Event(), on_ready=say))
