"""Sound and video over HTTP: inputs in both spellings, results of the right kind, ranges."""

from typing import Any

import msgspec
import pytest

from tests.server.conftest import MakeGrid
from tests.support.grid import Grid
from tests.support.wire import PNG, App, Worker, finished, new_id

VIDEO_MODEL = "wan_v2.2-14b-fp8_t2v_lightx2v"
MUSIC_MODEL = "dreamlet-music-v1"
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 2_000  # longer than what is read at once
MP3 = b"ID3" + bytes(range(256)) * 4

MODELS = ("pattern-v1", VIDEO_MODEL, MUSIC_MODEL)


async def rendered(app: App, worker: Worker, data: bytes, **fields: Any) -> tuple[str, str]:
    """A finished project and its job, with a preview where there can be one."""
    project = await app.request(**fields)
    job = await worker.assigned()
    if job.preview is not None:
        await worker.upload_preview(job)
        await worker.progress(job, 1, preview_ready=True)
    await worker.finish(job, data)
    await app.wait_state("jobCompleted", jobID=project)
    return project, job.job_id


async def video(app: App, worker: Worker) -> tuple[str, str]:
    size = {"width": 512, "height": 512}
    return await rendered(app, worker, MP4, modelID=VIDEO_MODEL, outputFormat="mp4", **size)


async def music(app: App, worker: Worker) -> tuple[str, str]:
    return await rendered(app, worker, MP3, modelID=MUSIC_MODEL, outputFormat="mp3", steps=8)


async def link(grid: Grid, host: str, direction: str, **query: str) -> tuple[int, Any]:
    """The answer of `/v1/{host}/{direction}Url`: status, and the link or the message."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    status, body = await grid.get(f"/v1/{host}/{direction}Url?{asked}")
    return status, body["data"][f"{direction}Url"] if status == 200 else body["message"]


async def put(grid: Grid, url: str, data: bytes, kind: str = "audio/mpeg") -> int:
    async with grid.http.put(url, data=data, headers={"Content-Type": kind}) as answer:
        return answer.status


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────

SPELLINGS = [
    {"type": "referenceAudio2"},
    {"type": "referenceAudio", "id": "referenceAudio2"},
    {"type": "referenceAudio2", "id": "referenceAudio2"},
    {"type": "referenceAudio2", "id": "44BABD98-2112-412D-91DA-B5429A1DF233"},
]


@pytest.mark.parametrize("up", SPELLINGS)
async def test_both_spellings_of_a_slot_mean_the_same_file(grid: Grid, up: dict[str, str]) -> None:
    project = new_id()
    status, url = await link(grid, "media", "upload", jobId=project, **up)
    assert (status, await put(grid, url, MP3)) == (200, 200)
    for down in SPELLINGS:
        status, url = await link(grid, "media", "download", jobId=project, **down)
        assert status == 200
        async with grid.http.get(url) as answer:
            assert (answer.content_type, await answer.read()) == ("audio/mpeg", MP3)
    for other in ("referenceAudio", "referenceAudio1", "referenceVideo2"):
        assert (await link(grid, "media", "download", jobId=project, type=other))[0] == 404


async def test_every_type_that_clients_send_is_taken_and_pinned(grid: Grid) -> None:
    kinds = ["audio/mpeg", "audio/mp4", "audio/wav", "audio/flac", "audio/ogg", "audio/webm"]
    kinds += ["video/mp4", "video/quicktime", "video/ogg", "video/webm"]
    for kind in kinds:
        query = {"jobId": new_id(), "type": "referenceVideo", "contentType": kind}
        status, url = await link(grid, "media", "upload", **query)
        assert status == 200, kind
        assert await put(grid, url, MP3, "audio/x-other") == 403
        assert await put(grid, url, MP3, kind) == 200


async def test_codecs_beside_the_type_make_no_difference(grid: Grid) -> None:
    query = {"jobId": new_id(), "type": "referenceAudio", "contentType": "audio/webm;codecs=opus"}
    status, url = await link(grid, "media", "upload", **query)
    assert status == 200
    assert await put(grid, url, MP3, "audio/webm;codecs=opus") == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "startingImage"}, "no role of an input sound or video"),
        ({"type": "referenceAudio4"}, "no role"),
        ({"type": "complete"}, "no role"),
        ({"type": "referenceAudio", "id": "referenceVideo1"}, "contradicts"),
        ({"type": "referenceAudio2", "id": "referenceAudio3"}, "contradicts"),
        ({"contentType": "image/png"}, "audio/mpeg"),
        ({"contentType": "text/html"}, "audio/mpeg"),
        ({"jobId": "none"}, "is no id"),
    ],
)
async def test_a_wrong_media_upload_is_refused_by_name(
    grid: Grid, changes: dict[str, str], message: str
) -> None:
    query = {"jobId": new_id(), "type": "referenceAudio"} | changes
    status, told = await link(grid, "media", "upload", **query)
    assert status == 400
    assert message in told


async def test_media_may_be_larger_than_pictures(make_grid: MakeGrid) -> None:
    async with make_grid(max_image_bytes=100, max_media_bytes=1_000) as grid:
        assert grid.config.max_media_bytes == 1_000
        for host, role, limit in (
            ("image", "startingImage", 100),
            ("media", "referenceVideo", 1_000),
        ):
            _, url = await link(grid, host, "upload", jobId=new_id(), type=role)
            assert await put(grid, url, b"x" * limit) == 200
            assert await put(grid, url, b"x" * (limit + 1)) == 413


async def test_by_default_media_may_have_a_hundred_megabytes(grid: Grid) -> None:
    assert grid.config.max_media_bytes >= 100_000_000
    assert grid.config.max_image_bytes >= 20_000_000


# ── results ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [video, music])
async def test_results_that_are_no_pictures_are_at_the_media_endpoint(
    grid: Grid, make: Any
) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project, job = await make(app, worker)
    status, told = await link(
        grid, "image", "download", jobId=project, imageId=job, type="complete"
    )
    assert (status, "/v1/media/downloadUrl" in told) == (404, True)
    status, url = await link(grid, "media", "download", jobId=project, id=job, type="complete")
    assert status == 200
    async with grid.http.get(url) as answer:
        kind, expected = ("video/mp4", MP4) if make is video else ("audio/mpeg", MP3)
        assert (answer.content_type, await answer.read()) == (kind, expected)
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Disposition"] == "inline"
    assert url.split("?")[0].endswith(".mp4" if make is video else ".mp3")


async def test_a_picture_is_not_at_the_media_endpoint_but_its_preview_is_at_both(
    grid: Grid,
) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project, job = await rendered(app, worker, b"\x89PNG\r\n\x1a\n", previews=1)
    status, told = await link(grid, "media", "download", jobId=project, id=job, type="complete")
    assert (status, "/v1/image/downloadUrl" in told) == (404, True)
    for host, name in (("image", "imageId"), ("media", "id")):
        query = {"jobId": project, name: job, "type": "preview"}
        status, url = await link(grid, host, "download", **query)
        assert status == 200
        async with grid.http.get(url) as answer:
            assert await answer.read() == b"\xff\xd8\xff preview"


async def test_parts_of_a_video_are_served_also_to_pages_of_other_origins(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project, job = await video(app, worker)
    _, url = await link(grid, "media", "download", jobId=project, id=job, type="complete")
    origin = {"Origin": "https://studio.example"}
    async with grid.http.head(url, headers=origin) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(MP4)))
        etag = answer.headers["ETag"]
    for asked, start, stop in (
        ("bytes=0-1", 0, 2),
        ("bytes=100-", 100, len(MP4)),
        ("bytes=-5", len(MP4) - 5, len(MP4)),
    ):
        headers = origin | {"Range": asked, "If-Range": etag}
        async with grid.http.get(url, headers=headers) as answer:
            assert answer.status == 206
            assert await answer.read() == MP4[start:stop]
            assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(MP4)}"
            assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
            assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    async with grid.http.get(url, headers={"Range": f"bytes={len(MP4)}-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(MP4)}"


async def test_a_result_has_links_for_as_long_as_it_is_kept(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project, job = await video(app, worker)
    query = {"jobId": project, "id": job, "type": "complete"}
    _, early = await link(grid, "media", "download", **query)
    grid.clock.advance(grid.config.download_url_s + 1)
    async with grid.http.get(early) as answer:
        assert answer.status == 403
    _, late = await link(grid, "media", "download", **query)
    async with grid.http.get(late) as answer:
        assert answer.status == 200
    for file in (grid.config.data_dir / "blobs" / "results").rglob("*.mp4"):
        file.unlink()  # what upkeep does when its time has come
    status, told = await link(grid, "media", "download", **query)
    assert (status, "24 hours" in told) == (404, True)


async def test_a_video_without_a_last_frame_says_so(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project, job = await video(app, worker)
    query = {"jobId": project, "id": job, "type": "complete", "artifact": "lastFrame"}
    status, told = await link(grid, "media", "download", **query)
    assert (status, "last frame" in told) == (404, True)
    assert (await link(grid, "media", "download", **query | {"artifact": "x"}))[0] == 400


async def test_the_last_frame_of_a_video_is_a_picture_of_its_own(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project = await app.request(modelID=VIDEO_MODEL, outputFormat="mp4", width=512, height=512)
    job = await worker.assigned()
    query = {"jobId": project, "id": job.job_id, "type": "complete", "artifact": "lastFrame"}
    await worker.upload_last_frame(job, PNG)
    assert (await link(grid, "media", "download", **query))[0] == 404, "the job has not ended"
    await worker.finish(job, MP4)
    ended = await app.wait_for("jobResult", imgID=job.job_id)
    for url in (ended["lastFrameUrl"], (await link(grid, "media", "download", **query))[1]):
        async with grid.http.get(url) as answer:
            assert (answer.status, answer.content_type) == (200, "image/png")
            assert await answer.read() == PNG
    film = {name: value for name, value in query.items() if name != "artifact"}
    async with grid.http.get((await link(grid, "media", "download", **film))[1]) as answer:
        assert await answer.read() == MP4
    path = "&".join(f"{name}={value}" for name, value in query.items())
    bob = await grid.account("bob")
    assert (await grid.get(f"/v1/media/downloadUrl?{path}", key=bob))[0] == 404


@pytest.mark.parametrize("videos", [1, 2], ids=["ended", "still open"])
async def test_an_app_hears_of_a_last_frame_after_a_restart_too(grid: Grid, videos: int) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project = await app.request(
        modelID=VIDEO_MODEL, outputFormat="mp4", width=512, height=512, numberOfImages=videos
    )
    job = await worker.assigned()
    await worker.upload_last_frame(job, PNG)
    await app.drop()
    await grid.without_apps()
    await worker.finish(job, MP4)
    await worker.fence() if videos == 1 else await worker.assigned()
    await grid.restart()
    back = await grid.app()
    ended = await back.wait_for("jobResult", jobID=project, imgID=job.job_id)
    async with grid.http.get(ended["lastFrameUrl"]) as answer:
        assert (answer.status, await answer.read()) == (200, PNG)


async def test_the_last_frame_of_a_withheld_video_is_nowhere_on_the_server(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project = await app.request(modelID=VIDEO_MODEL, width=512, height=512)
    job = await worker.assigned()
    await worker.upload_last_frame(job, PNG)
    told = finished(job.job_id, job.attempt, MP4)
    await worker.send(msgspec.structs.replace(told, sensitive=("image",)))
    await worker.expect_settled(job)
    ended = await app.wait_for("jobResult", imgID=job.job_id)
    assert (ended["triggeredNSFWFilter"], ended["lastFrameUrl"]) == (True, None)
    query = {"jobId": project, "id": job.job_id, "type": "complete", "artifact": "lastFrame"}
    assert (await link(grid, "media", "download", **query))[0] == 404
    assert not list((grid.config.data_dir / "blobs" / "results").rglob("*.png"))


async def test_a_picture_has_no_last_frame(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project = await app.request()
    job = await worker.assigned()
    assert job.last_frame is None
    await worker.finish(job)
    query = {"jobId": project, "id": job.job_id, "type": "complete", "artifact": "lastFrame"}
    await app.wait_state("jobCompleted", jobID=project)
    assert (await link(grid, "media", "download", **query))[0] == 404


async def test_nobody_gets_a_link_to_the_video_of_another(grid: Grid) -> None:
    app, worker = await grid.app(), await grid.worker(models=MODELS)
    project, job = await video(app, worker)
    bob = await grid.account("bob")
    path = f"/v1/media/downloadUrl?jobId={project}&id={job}&type=complete"
    assert (await grid.get(path, key=bob))[0] == 404
    assert (await grid.get(path, key=""))[0] == 401


@pytest.mark.parametrize(
    "query", [{"type": "complete"}, {"type": "complete", "id": "x"}, {"type": "none"}, {}]
)
async def test_a_wrong_media_download_is_refused(grid: Grid, query: dict[str, str]) -> None:
    assert (await link(grid, "media", "download", jobId=new_id(), **query))[0] == 400
