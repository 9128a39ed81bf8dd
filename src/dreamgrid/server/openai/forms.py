"""Forms with files, as the published clients send pictures to edit and to begin videos with."""

import asyncio
import base64
import binascii
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import MAX_INPUT_BYTES
from dreamgrid.server import http
from dreamgrid.server.auth import Account
from dreamgrid.server.http import Refused
from dreamgrid.server.limits import Limits
from dreamgrid.server.openai.wishes import wrong

Struct = TypeVar("Struct", bound=msgspec.Struct)

FORM = "multipart/form-data"
JSON = "application/json"
FORM_WITHIN_S = 5 * 60.0
"""How long a form with its files may take to arrive."""

MAX_FORM_BYTES = 64 * 1024 * 1024
"""Largest form: it is held in memory until its files are stored."""

TOO_MUCH = {408: "The form took too long.", 413: "A file is too large."}
_MAX_TEXT_BYTES = 1024 * 1024
_PLACE = re.compile(r"\[[^\]]*\]$")
_DATA_URL = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,")


@dataclass
class Form:
    """What came in a form: its plain fields, and its files by the name of their field."""

    plain: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)

    def filled(self, kind: type[Struct]) -> Struct:
        """The plain fields as `kind`.

        Raises:
            InvalidRequest: One is missing, wrong or unknown; names it.
        """
        return http.parameters("form", self.plain, kind)

    def take(self, name: str, *, most: int) -> list[bytes]:
        """The files of a field, which is used up by that.

        Raises:
            InvalidRequest: There are too many.
        """
        files = self.files.pop(name, [])
        if len(files) > most:
            raise wrong(name, f"send at most {most} of them")
        return files

    def check_rest(self) -> None:
        """Refuses files that nobody took.

        Raises:
            InvalidRequest: There is one; names it.
        """
        for name in self.files:
            raise wrong(name, "no such file is taken here: leave it out")


async def read_form(request: web.Request, account: Account, limits: Limits) -> Form:
    """A form with its files; or a JSON object, whose files are data URLs.

    Args:
        request: Its body was not read yet.
        account: Who sends it.
        limits: Say how much of that account may arrive at once.

    Raises:
        InvalidRequest: The body is neither, or is broken.
        TooManyRequests: Too much arrives at once.
        Refused: It is too large, or takes too long.
    """
    form = Form()
    if request.content_type == JSON:
        for name, value in (await http.body(request, dict[str, Any])).items():
            if isinstance(value, dict) and "image_url" in value:
                form.files[name] = [file_in(str(value["image_url"]), name)]
            elif value is not None:
                form.plain[name] = value
        return form
    if request.content_type != FORM:
        raise InvalidRequest(f"send a form ({FORM}), not {request.content_type[:80]}")
    try:
        with limits.form(account) as arrive:
            async with asyncio.timeout(FORM_WITHIN_S):
                left_bytes = MAX_FORM_BYTES
                async for part in await request.multipart():
                    if not isinstance(part, BodyPartReader) or not part.name:
                        raise InvalidRequest("every part of the form needs a name of its own")
                    left_bytes -= await _take(part, form, left_bytes, arrive)
    except TimeoutError:
        raise Refused(408, f"the form took longer than {FORM_WITHIN_S:g} seconds") from None
    except (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError):
        raise InvalidRequest("the form is broken or cut off: send it again") from None
    return form


async def _take(
    part: BodyPartReader, form: Form, left_bytes: int, arrive: Callable[[int], None]
) -> int:
    """Puts a part where it belongs; its length in bytes."""
    name = _PLACE.sub("", part.name or "")  # of several files, each has a place in brackets
    is_file = part.filename is not None or part.headers.get("Content-Type", "").startswith("image/")
    nested = name != part.name and not is_file
    most = MAX_INPUT_BYTES if is_file else _MAX_TEXT_BYTES
    if nested:
        most = MAX_INPUT_BYTES * 2  # base64 takes a third more
    arriving, size_bytes = io.BytesIO(), 0
    while chunk := await part.read_chunk(64 * 1024):
        arrive(len(chunk))
        size_bytes += arriving.write(chunk)
        if size_bytes > min(most, left_bytes):
            raise Refused(413, f"{name[:64]} is too large: at most {min(most, left_bytes)} bytes")
    data = arriving.getvalue()  # without a copy
    if is_file:
        form.files.setdefault(name, []).append(data)
        return size_bytes
    text = data.decode("utf-8")
    if nested and part.name == f"{name}[image_url]":
        form.files.setdefault(name, []).append(file_in(text, name))
    elif nested:
        raise wrong(name, "this is not supported here: send a file, or a data URL as image_url")
    elif name in form.plain:
        raise wrong(name, "send it once only")
    else:
        form.plain[name] = text
    return size_bytes


def file_in(url: str, name: str) -> bytes:
    """The file that a data URL holds. Addresses elsewhere are not visited.

    Raises:
        InvalidRequest: It is another kind of URL, or broken.
    """
    head = _DATA_URL.match(url)
    if head is None:
        raise wrong(name, "this server fetches nothing: send the file, or a base64 data URL of it")
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise wrong(name, "the data URL is no proper base64") from None
