"""A FastAPI application: a picture appears in the browser while it is painted.

    pip install fastapi uvicorn
    python fastapi_app.py [PORT]

One client serves everybody. The browser hears of each step through server-sent events, also after
it was reloaded: the grid remembers.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse

import dreamgrid

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
    const answer = await fetch("/pictures", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify(Object.fromEntries(new FormData(event.target))),
    })
    const told = await answer.json()
    if (answer.ok) watch(location.hash = told.id)
    else alert(told.detail)
  }
  if (location.hash) watch(location.hash.slice(1))
</script>"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, dreamgrid.AsyncClient]]:
    """One client for as long as the application runs."""
    async with dreamgrid.AsyncClient() as client:
        yield {"client": client}


app = FastAPI(lifespan=lifespan)


def client_of(request: Request) -> dreamgrid.AsyncClient:
    client: dreamgrid.AsyncClient = request.state.client
    return client


Client = Annotated[dreamgrid.AsyncClient, Depends(client_of)]


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.post("/pictures")
async def create(client: Client, prompt: Annotated[str, Body(embed=True)]) -> dict[str, str]:
    try:
        project = await client.projects.create(model="dreamlet-v1", prompt=prompt, max_cost=1)
    except dreamgrid.DreamgridError as error:
        raise HTTPException(400, str(error)) from error
    return {"id": project.id}


@app.get("/pictures/{project_id}/events")
async def events(client: Client, project_id: str) -> StreamingResponse:
    try:
        project = await client.projects.attach(project_id)
    except dreamgrid.DreamgridError as error:
        raise HTTPException(404, str(error)) from error
    return StreamingResponse(told(project), media_type="text/event-stream")


async def told(project: dreamgrid.Project) -> AsyncIterator[str]:
    """What happens to a project, for the page's script."""
    async for event in project.events():
        line: dict[str, object] = {"kind": type(event).__name__}
        match event:
            case dreamgrid.Progressed():
                line["fraction"] = event.fraction
            case dreamgrid.JobCompleted():
                line["url"] = event.result.url
            case dreamgrid.Completed() | dreamgrid.Failed() | dreamgrid.Canceled():
                line["last"] = True
            case _:
                pass
        yield f"data: {json.dumps(line)}\n\n"


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    uvicorn.run(app, host="127.0.0.1", port=port)
