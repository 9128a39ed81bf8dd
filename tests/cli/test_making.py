"""How files are named, and Ctrl-C at moments that a test with processes meets only by chance."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

import dreamgrid
from dreamgrid.cli.making import Interrupted, Wish, _accepted
from dreamgrid.cli.screen import Screen
from dreamgrid.errors import ServerUnavailable

NO_CLIENT = cast("dreamgrid.AsyncClient", None)
"""Nothing is asked of it where the first request is answered."""


class Project:
    """What a request became; it only notes that it was canceled."""

    id = "P"

    def __init__(self) -> None:
        self.canceled = False

    async def cancel(self) -> None:
        self.canceled = True


class Request:
    """A request on its way: its server answers when the test says so."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()
        self.answer: asyncio.Future[Project] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> dreamgrid.Project[dreamgrid.Result]:
        self.sent.set()
        return cast("dreamgrid.Project[dreamgrid.Result]", await self.answer)

    async def interrupted(self) -> "asyncio.Task[dreamgrid.Project[dreamgrid.Result]]":
        """Sends it, and presses Ctrl-C before it is answered."""
        asking = asyncio.create_task(_accepted(NO_CLIENT, self, Screen(), 0.0))
        await self.sent.wait()
        asking.cancel()
        await asyncio.sleep(0)
        return asking


@pytest.mark.parametrize(
    ("prompt", "source", "name"),
    [
        ("A red apple, 3/4!", None, "a-red-apple-3-4"),
        ("日本の猫", None, "日本の猫"),
        ("a cat", Path("photos/Old house.jpg"), "a-cat"),
        (None, Path("photos/Old_house.jpg"), "old-house"),
        ("", Path("..."), "untitled"),
        ("../../etc", None, "etc"),
        ("a " * 40, None, "a-" * 19 + "a"),
    ],
)
def test_files_are_named_after_the_prompt_or_what_they_are_made_from(
    prompt: str | None, source: Path | None, name: str
) -> None:
    wish = Wish(media="image", settings={"prompt": prompt}, sized_like=source)
    assert wish.file_name == name


async def test_a_project_that_the_server_took_during_ctrl_c_is_canceled() -> None:
    request, project = Request(), Project()
    asking = await request.interrupted()
    request.answer.set_result(project)
    with pytest.raises(Interrupted) as interrupted:
        await asking
    assert project.canceled
    assert (interrupted.value.project_id, interrupted.value.canceled) == ("P", True)


async def test_a_request_that_is_refused_during_ctrl_c_was_interrupted_before_it_asked() -> None:
    request = Request()
    asking = await request.interrupted()
    request.answer.set_exception(ServerUnavailable("down"))
    with pytest.raises(asyncio.CancelledError) as canceled:
        await asking
    assert not isinstance(canceled.value, Interrupted)


async def test_a_server_that_does_not_answer_holds_ctrl_c_up_only_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dreamgrid.cli.making._ANSWER_S", 0.01)
    request = Request()
    asking = await request.interrupted()
    with pytest.raises(asyncio.CancelledError) as canceled:
        await asking
    assert not isinstance(canceled.value, Interrupted)
    assert request.answer.cancelled()
