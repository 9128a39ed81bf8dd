"""The least that a server takes for an S3-compatible store; it answers at once and trusts anybody.

Objects are files of a folder, into which the load writes past this process, as it does into the
embedded server's. A real S3 server on the same machine would be measured instead of dreamgrid:
rclone's lists a folder for every question, and so gets slower with every file.
"""

import argparse
import asyncio
import signal
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from benchmarks import machine

BUCKET = "media"
_EMPTY_LIST = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def _app(folder: Path) -> web.Application:
    async def objects(request: web.Request) -> web.StreamResponse:
        if not request.match_info["name"]:  # the bucket: its list, or its rules
            return web.Response(body=_EMPTY_LIST)
        file = folder / request.match_info["name"]
        match request.method:
            case "HEAD":
                try:
                    length = file.stat().st_size
                except FileNotFoundError:
                    return web.Response(status=404)
                return web.Response(headers={"Content-Length": str(length)})
            case "PUT":
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(await request.read())
                return web.Response()
        return web.Response(status=405)

    app = web.Application()
    app.router.add_route("*", f"/{BUCKET}/{{name:.*}}", objects)
    return app


async def _serve(folder: Path) -> None:
    runner = web.AppRunner(_app(folder), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    address = machine.Address(url=f"http://{host}:{port}", keys=(), results=str(folder))
    print(msgspec.json.encode(address).decode(), flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    machine.pin(machine.SERVER_CORE)
    uvloop.run(_serve(given.data))


if __name__ == "__main__":
    main()
