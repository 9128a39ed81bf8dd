"""One account sees, fetches, cancels and revokes nothing of another."""

from collections.abc import Callable

import pytest

from dreamgrid.server.blobs.keys import input_key
from tests.support.grid import Grid
from tests.support.wire import CANCELED, PNG, new_id


async def test_a_strangers_project_is_unknown_everywhere(grid: Grid) -> None:
    bob = await grid.account("bob")
    app, worker = await grid.app(), await grid.worker(slots=2)
    project = await app.request(numberOfImages=2, previews=1)
    done, running = await worker.assigned(), await worker.assigned()
    await worker.start(running)
    await worker.upload_preview(running)
    await worker.progress(running, 1, preview_ready=True)
    await worker.finish(done)
    paths = [
        f"/v1/projects/{project}",
        f"/v2/projects/{project}",
        f"/v1/image/downloadUrl?jobId={project}&imageId={done.job_id}&type=complete",
        f"/v1/image/downloadUrl?jobId={project}&imageId={running.job_id}&type=preview",
        f"/v1/image/downloadUrl?jobId={project}&imageId={done.job_id}&type=startingImage",
    ]
    for path in paths:
        status, body = await grid.get(path, key=bob)
        assert (status, body["status"]) == (404, "error"), path
        nobody = f"{path.replace(project, new_id())}"
        unknown = await grid.get(nobody, key=bob)
        assert unknown[0] == 404, "a stranger's project looks like one that never was"
    await worker.finish(running)
    await app.wait_state("jobCompleted")
    for path in paths:
        assert (await grid.get(path, key=bob))[0] == 404
    lists = ["/api/v1/artist/projects/active", "/api/v1/artist/projects/sync"]
    for path in lists:
        assert project not in str(await grid.get(path, key=bob))


async def test_a_stranger_cannot_cancel(grid: Grid) -> None:
    bob = await grid.app("app-1", key=await grid.account("bob"))
    app, worker = await grid.app("app-1"), await grid.worker()
    project = await app.request()
    job = await worker.assigned()
    await bob.send("jobError", {"jobID": project, **CANCELED})
    await bob.wait_for("artistCancelConfirmation", jobID=project)
    await worker.fence()
    await worker.finish(job)
    await app.wait_state("jobCompleted", jobID=project)
    assert "artistCancelConfirmation" not in app.told(project)


async def test_a_stranger_hears_nothing(grid: Grid) -> None:
    bob_key = await grid.account("bob")
    bob = await grid.app("app-1", key=bob_key)
    app, worker = await grid.app("app-1"), await grid.worker()
    project = await app.request()
    await worker.finish(await worker.assigned())
    await app.wait_state("jobCompleted", jobID=project)
    await bob.fence()
    assert bob.about(project) == []
    assert [frame.type for frame in bob.frames].count("balanceUpdate") == 1
    assert (await grid.spark(bob_key))["net"] == "1000.000000"


async def test_a_stranger_cannot_upload_for_a_project_of_another(grid: Grid) -> None:
    bob = await grid.account("bob")
    app = await grid.app()
    project = await app.request()
    await app.wait_state("queued")
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type=startingImage"
    status, body = await grid.get(asked, key=bob)
    assert (status, body["errorCode"]) == (409, 4005)


async def test_inputs_of_two_accounts_under_one_id_are_apart(grid: Grid) -> None:
    bob, project = await grid.account("bob"), new_id()
    asked = f"/v1/image/uploadUrl?imageId=X&jobId={project}&type=startingImage"
    for key, data in ((grid.key, b"mine"), (bob, b"his")):
        url = (await grid.data(asked, key=key))["uploadUrl"]
        async with grid.http.put(url, data=data) as answer:
            assert answer.status == 200
    fetch = f"/v1/image/downloadUrl?jobId={project}&type=startingImage"
    url = (await grid.data(fetch, key=bob))["downloadUrl"]
    async with grid.http.get(url) as answer:
        assert await answer.read() == b"his"
    app, worker = await grid.app(), await grid.worker()
    await app.request(project, hasStartingImage=True, strength=0.5)
    (given,) = (await worker.assigned()).inputs
    async with grid.http.get(given.url) as answer:
        assert await answer.read() == b"mine"


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.partition("?")[0],
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.replace("/results/", "/inputs/"),
        lambda url: url.replace("-1.png", "-2.png"),
        lambda url: url.replace("image%2Fpng", "text%2Fhtml"),
    ],
    ids=["no signature", "expiry", "signature", "folder", "attempt", "type"],
)
async def test_an_altered_link_opens_nothing(grid: Grid, change: Callable[[str], str]) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    await worker.finish(await worker.assigned())
    url = (await app.wait_for("jobResult"))["resultUrl"]
    async with grid.http.get(url) as answer:
        assert await answer.read() == PNG
    status, body = await grid.call("GET", change(url), key="")
    assert status in (403, 404)
    assert body["status"] == "error"


async def test_links_expire(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker()
    await app.request()
    await worker.finish(await worker.assigned())
    url = (await app.wait_for("jobResult"))["resultUrl"]
    grid.clock.advance(grid.config.download_url_s + 1)
    status, _ = await grid.call("GET", url, key="")
    assert status == 403


def test_inputs_are_kept_by_account() -> None:
    assert input_key("A", "P", "startingImage") != input_key("B", "P", "startingImage")
