"""The real server in a process of its own, with one account for every app of the load."""

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks import machine
from dreamgrid.server import open_files
from dreamgrid.server.accounts import Accounts
from dreamgrid.server.app import ServerReady, run_server
from dreamgrid.server.blobs import s3_settings
from dreamgrid.server.bus.memory import MemoryBus
from dreamgrid.server.clock import system_clock
from dreamgrid.server.config import MICROS, NO_LIMIT, NodeSettings, ServerConfig
from dreamgrid.server.garbage import rarely_collected
from dreamgrid.server.store.base import Store
from dreamgrid.server.store.postgres import PostgresStore
from dreamgrid.server.store.sqlite import SqliteStore


async def _keys(config: ServerConfig, count: int) -> tuple[str, ...]:
    """Makes accounts before the server starts; a key of each."""
    store: Store = SqliteStore(config.data_dir / "dreamgrid.sqlite")
    if config.store is not None:
        store = PostgresStore(config.store)
    await store.open()
    accounts = Accounts(config, store, MemoryBus(), system_clock)

    async def new_key(number: int) -> str:
        account = await accounts.create(f"app-{number}")
        assert account is not None, "the data folder must be empty"
        info = await accounts.create_key(account, "benchmark")
        return str(info.key)

    keys = await asyncio.gather(*(new_key(number) for number in range(count)))
    await store.close()
    return tuple(keys)


def _outside(given: argparse.Namespace) -> dict[str, Any]:
    """Settings of a node, whose data lie outside of its folder."""
    if given.node is None:
        return {}
    keys = {"AWS_ACCESS_KEY_ID": given.access_key, "AWS_SECRET_ACCESS_KEY": given.secret_key}
    return {
        "store": given.store,
        "blobs": s3_settings.parse(given.blobs, keys),
        "node": NodeSettings(address=given.node, bus=given.bus),
    }


async def _serve(given: argparse.Namespace) -> None:
    config = ServerConfig(
        data_dir=given.data,
        port=0,
        **_outside(given),
        starting_grant_micros=1_000_000_000 * MICROS,
        lease_s=3600,
        max_queued_projects=100_000,
        max_running_jobs=100_000,
        messages=NO_LIMIT,
        requests=NO_LIMIT,
        worker_messages=NO_LIMIT,
    )
    keys = tuple(given.keys.split(",")) if given.keys else ()
    if given.accounts:
        keys = await _keys(config, given.accounts)

    def ready(server: ServerReady) -> None:
        address = machine.Address(
            url=server.url, keys=keys, results=given.results or str(given.data / "blobs")
        )
        print(msgspec.json.encode(address).decode(), flush=True)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with rarely_collected():
        await run_server(config, stop=stop, on_ready=ready)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--accounts", type=int, default=1, help="0: those that are there")
    parser.add_argument("--keys", help="keys of accounts that are there")
    parser.add_argument("--results", help="where results are expected, unless in the data folder")
    for option in ("--node", "--store", "--blobs", "--bus", "--access-key", "--secret-key"):
        parser.add_argument(option, help="of a node; see `dreamgrid serve`")
    given = parser.parse_args()
    machine.pin(machine.SERVER_CORE)
    open_files.allow_many()
    uvloop.run(_serve(given))


if __name__ == "__main__":
    main()
