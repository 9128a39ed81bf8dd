import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import pytest

import dreamgrid
from dreamgrid.client.inputs import read_input
from dreamgrid.client.results import as_pillow
from tests.client import stub as wire
from tests.client.stub import JOB_A, Stub

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000
HASH = hashlib.sha256(PICTURE).hexdigest()


async def nowhere(url: str, max_bytes: int) -> bytes:
    raise AssertionError(f"{url} is no URL, or should not be fetched")


async def delivered(
    stub: Stub, client: dreamgrid.AsyncClient, *, url: bool = True, sha256: str | None = HASH
) -> dreamgrid.Image:
    stub.files[f"{JOB_A}-complete"] = PICTURE
    project = await wire.submitted(stub, client)
    address = stub.file_url(f"{JOB_A}-complete") if url else None
    await stub.send(
        wire.started(project.id),
        wire.result(project.id, url=address, sha256=sha256),
        wire.completed(project.id),
    )
    (image,) = await project.wait(timeout_s=45)
    assert isinstance(image, dreamgrid.Image)
    return image


async def test_a_picture_is_saved_where_it_was_told(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    image = await delivered(stub, client)
    path = await image.save(tmp_path / "new folder" / "apple.png")
    assert path == tmp_path / "new folder" / "apple.png"
    assert path.read_bytes() == PICTURE
    assert image.size_bytes == len(PICTURE)
    assert os.listdir(path.parent) == ["apple.png"], "something was left beside it"
    assert not stub.asked("/v1/image/downloadUrl"), "asked for an address that it had"


async def test_a_folder_and_a_name_without_suffix_do_as_well(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    image = await delivered(stub, client)
    assert await image.save(tmp_path) == tmp_path / f"{JOB_A}.png"
    assert await image.save(tmp_path / "apple") == tmp_path / "apple.png"


@pytest.mark.parametrize("known", ["before it is fetched", "only when it came"])
async def test_a_name_that_says_another_format_is_refused_and_nothing_is_left(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path, known: str
) -> None:
    image = await delivered(stub, client)
    image.content_type = "image/png" if known == "before it is fetched" else None
    for name in ("apple.jpg", "apple.JPEG", "apple.webp", "apple.mp4"):
        with pytest.raises(dreamgrid.InvalidRequest, match=r"is a png file.*name it 'apple\.png'"):
            await image.save(tmp_path / name)
    assert os.listdir(tmp_path) == []
    with pytest.raises(dreamgrid.InvalidRequest, match=r"output_format='jpg'.*to_pillow"):
        await image.save(tmp_path / "apple.jpg")


async def test_names_that_say_the_same_format_or_none_are_taken(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    image = await delivered(stub, client)
    for name in ("apple.PNG", "apple.v2", "apple.download"):
        assert (await image.save(tmp_path / name)).name == name
    image.content_type = "image/jpeg"
    assert (await image.save(tmp_path / "apple.jpeg")).name == "apple.jpeg"


async def test_an_address_that_was_not_told_is_asked_for(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    image = await delivered(stub, client, url=False)
    assert image.url is None
    assert await image.read() == PICTURE
    assert stub.asked("/v1/image/downloadUrl")[0] == {
        "imageId": JOB_A,
        "jobId": image.project_id,
        "type": "complete",
    }


async def test_an_address_that_has_run_out_is_replaced(
    stub: Stub, client: dreamgrid.AsyncClient
) -> None:
    image = await delivered(stub, client)
    stub.answer(f"/files/{JOB_A}-complete", lambda _: wire.error(403, 4004, "expired"))
    assert await image.read() == PICTURE


@pytest.mark.parametrize("content", [b"", b"something else", PICTURE[:-1]])
async def test_a_file_that_is_not_what_the_worker_made_is_never_saved(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path, content: bytes
) -> None:
    image = await delivered(stub, client)
    stub.files[f"{JOB_A}-complete"] = content
    target = tmp_path / "apple.png"
    target.write_bytes(b"the one from yesterday")
    with pytest.raises(dreamgrid.ProtocolError, match="not what the worker made"):
        await image.save(target)
    with pytest.raises(dreamgrid.ProtocolError, match="not what the worker made"):
        await image.read()
    assert target.read_bytes() == b"the one from yesterday"
    assert os.listdir(tmp_path) == ["apple.png"]


async def test_a_folder_that_cannot_be_made_is_an_ordinary_os_error(
    stub: Stub, client: dreamgrid.AsyncClient, tmp_path: Path
) -> None:
    image = await delivered(stub, client)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        await image.save(tmp_path / "file" / "apple.png")


async def test_inputs_may_be_anything_that_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(PICTURE)
    for source in (path, str(path), PICTURE, bytearray(PICTURE), io.BytesIO(PICTURE)):
        found = await read_input(source, "starting_image", download=nowhere)
        assert (found.data, found.content_type) == (PICTURE, "image/png")
    with path.open("rb") as file:
        assert (await read_input(file, "starting_image", download=nowhere)).data == PICTURE


async def test_a_pillow_image_is_sent_as_png() -> None:
    pillow = pytest.importorskip("PIL.Image")
    for mode in ("RGB", "RGBA", "CMYK", "L"):
        found = await read_input(pillow.new(mode, (8, 8)), "starting_image", download=nowhere)
        assert found.content_type == "image/png"
        assert pillow.open(io.BytesIO(found.data)).size == (8, 8)


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"GIF89a", "image/gif"),
    ],
)
async def test_the_kind_of_a_file_is_told_by_its_first_bytes(
    head: bytes, content_type: str
) -> None:
    assert (
        await read_input(head + bytes(32), "starting_image", download=nowhere)
    ).content_type == content_type


async def test_a_folder_and_a_text_file_are_no_input(tmp_path: Path) -> None:
    with pytest.raises(dreamgrid.UnreadableMedia, match="cannot read"):
        await read_input(tmp_path, "starting_image", download=nowhere)
    with pytest.raises(dreamgrid.UnreadableMedia, match="as text"):
        await read_input(io.StringIO("words"), "starting_image", download=nowhere)


def test_pictures_made_to_fill_the_memory_are_refused() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(dreamgrid.ProtocolError, match="a picture that is none"):
        as_pillow(bomb + chunk(b"IEND", b""))
