"""A small web application: a form, and a picture that appears while it is painted.

Usage: python web_app.py [PORT], then open the address that it prints. One client serves everybody;
the browser hears of each step through server-sent events, also after it was reloaded.
"""

import json
import sys
from collections.abc import AsyncIterator

from aiohttp import web

import dreamgrid

CLIENT = web.AppKey("client", dreamgrid.AsyncClient)

PAGE = """<!doctype html><title>dreamgrid</title>
<form><input name="prompt" value="a red apple"><button>Paint</button></form>
<progress max="1" value="0"></progress><p><img width="256"></p>
<script>
  const watch = id => {
    const source = new EventSource(`/pictures/${id}/events`)
    source.onmessage = ({data}) => {
      const event = JSON.parse(data)
      if (event.fraction) document.querySelector("progress").value = event.fraction
      if (event.url) document.querySelector("img").src = event.url
      if (event.last) source.close()
    }
  }
  document.querySelector("form").onsubmit = async event => {
    event.preventDefault()
    const answer = await fetch("/pictures", {method: "POST", body: new FormData(event.target)})
    watch(location.hash = (await answer.json()).id)
  }
  if (location.hash) watch(location.hash.slice(1))
</script>"""


async def page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def create(request: web.Request) -> web.Response:
    prompt = str((await request.post()).get("prompt", ""))
    try:
        project = await request.app[CLIENT].projects.create(
            model="dreamlet-v1", prompt=prompt, max_cost=1
        )
    except dreamgrid.DreamgridError as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({"id": project.id})


async def events(request: web.Request) -> web.StreamResponse:
    try:
        project = await request.app[CLIENT].projects.attach(request.match_info["id"])
    except dreamgrid.DreamgridError as error:
        return web.json_response({"error": str(error)}, status=404)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for event in project.events():
        told: dict[str, object] = {"kind": type(event).__name__}
        match event:
            case dreamgrid.Progressed():
                told["fraction"] = event.fraction
            case dreamgrid.JobCompleted():
                told["url"] = event.result.url
            case dreamgrid.Completed() | dreamgrid.Failed() | dreamgrid.Canceled():
                told["last"] = True
            case _:
                pass
        await response.write(f"data: {json.dumps(told)}\n\n".encode())
    return response


async def one_client(app: web.Application) -> AsyncIterator[None]:
    async with dreamgrid.AsyncClient() as app[CLIENT]:
        yield


def main() -> None:
    app = web.Application()
    app.add_routes(
        [
            web.get("/", page),
            web.post("/pictures", create),
            web.get("/pictures/{id}/events", events),
        ]
    )
    app.cleanup_ctx.append(one_client)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    web.run_app(app, host="127.0.0.1", port=port, print=lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
