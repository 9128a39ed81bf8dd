"""A finished picture, video or piece of sound that reads and saves itself."""

import asyncio
import base64
import contextlib
import hashlib
import html
import io
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from typing_extensions import TypeVar

from dreamgrid.client.embedding import embedded
from dreamgrid.client.http import Http
from dreamgrid.client.inputs import content_type_of
from dreamgrid.errors import ConfigError, InvalidRequest, NotAllowed, NotFound, ProtocolError
from dreamgrid.protocol.params import CONTENT_TYPES, AnyParams, Media

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


MAX_RESULT_BYTES = 2 * 1024 * 1024 * 1024
"""Largest result that is fetched; a picture has a thousandth of it."""

_KEPT_BYTES = 8 * 1024 * 1024
"""Largest file that `read()` keeps, so that a notebook can show it."""

_FORMATS = {content_type: name for name, content_type in CONTENT_TYPES.items()}

_TYPES = {f".{name}": content_type for name, content_type in CONTENT_TYPES.items()} | {
    ".jpeg": "image/jpeg"
}

Enhance = Callable[["Image", str, str | None, str | None], Awaitable["Image"]]
"""Makes a picture finer: takes it, how much may change, the words and the model, or None for both.
"""

R_co = TypeVar("R_co", bound="Result", covariant=True, default="Result")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a result needs of the client that made it.

    Attributes:
        http: Fetches.
        find_url: Asks for a fresh address of the file.
        enhance: Makes another picture of one. None: not for this kind.
    """

    http: Http
    find_url: Callable[[], Awaitable[str]]
    enhance: Enhance | None = None


class Result:
    """One delivered file: an `Image`, a `Video` or an `Audio`.

    Attributes:
        project_id: The project it belongs to.
        job_id: The render that made it.
        index: Its place in the project, from 0.
        seed: The seed that makes it again. None: the server did not say.
        params: What was asked for.
        content_type: Its media type, such as `image/png`. None: not told yet; it is known as soon
            as the file was read.
        sha256: Hash of the file as the worker made it, 64 hex characters. None: not told.
        url: Where it can be fetched without a key, for about an hour. None: not told yet;
            `get_url()` asks.
        size_bytes: Length of the file. None: not fetched yet.
    """

    _media: ClassVar[Media] = "image"

    def __init__(
        self,
        origin: Origin,
        *,
        project_id: str,
        job_id: str,
        index: int,
        seed: int | None,
        params: AnyParams,
        content_type: str | None = None,
        url: str | None = None,
        sha256: str | None = None,
    ) -> None:
        self._origin = origin
        self._data: bytes | None = None
        self.project_id = project_id
        self.job_id = job_id
        self.index = index
        self.seed = seed
        self.params = params
        self.content_type = content_type
        self.url = url
        self.sha256 = sha256
        self.size_bytes: int | None = None

    def __repr__(self) -> str:
        kind = self.content_type or "of a type to come"
        return (
            f"<{type(self).__name__} {self.index} of project {self.project_id}, {kind}, "
            f"seed {self.seed}>"
        )

    @property
    def prompt(self) -> str:
        """The words that it was made from."""
        return self.params.prompt

    @property
    def model(self) -> str:
        """The model that made it."""
        return self.params.model

    async def get_url(self) -> str:
        """A fresh address of the file; valid for about an hour, without a key.

        Raises:
            NotFound: The server does not keep the file any more.
        """
        self.url = await self._origin.find_url()
        return self.url

    async def read(self) -> bytes:
        """Downloads the file.

        Raises:
            NotFound: The server does not keep it any more.
            ConnectionFailed: The download broke off.
            ProtocolError: What came is not what the worker made.
        """
        if self._data is None:
            async with aclosing(self._checked()) as chunks:
                data = b"".join([chunk async for chunk in chunks])
            if len(data) > _KEPT_BYTES:
                return data
            self._data = data
        return self._data

    async def save(self, path: str | os.PathLike[str], *, metadata: bool = True) -> Path:
        """Downloads the file to `path`; an existing file is replaced, but only by a whole one.

        Args:
            path: A file, or a folder that is there or whose name ends with `/`, in which it is
                named after its job. Missing folders are made; a missing suffix is added. Files are
                not converted: a PNG is not saved as `.jpg`.
            metadata: Write prompt, seed and settings into a PNG, JPEG or WebP that does not hold
                them yet. False: leave every byte as the worker made it.

        Returns:
            The path of the file.

        Raises:
            InvalidRequest: The name says that it is of another format than it is.
            OSError: It cannot be written.
            NotFound: The server does not keep it any more.
            ConnectionFailed: The download broke off.
            ProtocolError: What came is not what the worker made.
        """
        folder, name = await asyncio.to_thread(self._place, os.fspath(path))
        self._compare(name)
        partial = folder / f".{name or self.job_id}.{secrets.token_hex(4)}.part"
        try:
            file = await asyncio.to_thread(partial.open, "xb")
            try:
                await self._write(file, metadata=metadata)
            finally:
                await asyncio.to_thread(file.close)
            self._compare(name)  # again: the format may have been learned only now
            target = folder / (name or self.job_id)
            if name is None or not target.suffix:
                # By hand: with_suffix would take a dot in the name for the beginning of one.
                target = folder / f"{target.name}{self._suffix()}"
            await asyncio.to_thread(partial.replace, target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        return None if self.url is None else self._html(html.escape(self.url))

    def _html(self, url: str) -> str:
        return f'<a href="{url}">{html.escape(repr(self))}</a>'

    def _place(self, written: str) -> tuple[Path, str | None]:
        """The folder, which exists afterwards, and the name in it. None: after the job."""
        path = Path(written)
        if written.endswith(("/", os.sep)):
            path.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            return path, None
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.parent, path.name

    def _compare(self, name: str | None) -> None:
        """Refuses a name that stands for another format than the file's, where that is known."""
        path = Path(name or "")
        meant = _TYPES.get(path.suffix.lower())
        own = _FORMATS.get(self._bare_type())
        if meant is None or own is None or meant == CONTENT_TYPES[own]:
            return
        convert = ", or convert it: (await image.to_pillow()).save(...)"
        raise InvalidRequest(
            f"this {self._media} is a {own} file, so it is not saved as '{path.name}': name it "
            f"'{path.stem}.{own}' or '{path.stem}', ask for output_format='{_FORMATS[meant]}'"
            + (convert if self._media == "image" else "")
        )

    def _bare_type(self) -> str:
        return (self.content_type or "").partition(";")[0].strip()

    def _suffix(self) -> str:
        name = _FORMATS.get(self._bare_type())
        return f".{name}" if name else ".bin"

    async def _write(self, file: BinaryIO, *, metadata: bool) -> None:
        if isinstance(self, Image):
            data = await self.read()  # kept, so that a notebook shows it from then on
            if metadata:
                data = embedded(data, self.params, seed=self.seed)
            await asyncio.to_thread(file.write, data)
            return
        async with aclosing(self._checked()) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)

    async def _checked(self) -> AsyncGenerator[bytes, None]:
        """The file in pieces; the last one comes only if the whole has the right hash."""
        digest = hashlib.sha256()
        size = 0
        held = b""
        async with aclosing(self._pieces()) as chunks:
            async for chunk in chunks:
                if self.content_type is None:
                    self.content_type = content_type_of(chunk, self._media)
                digest.update(chunk)
                size += len(chunk)
                if held:
                    yield held
                held = chunk
        if self.sha256 is not None and digest.hexdigest() != self.sha256.lower():
            raise ProtocolError(f"the file of job {self.job_id} is not what the worker made")
        self.size_bytes = size
        if held:
            yield held

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """The file from the address we have, or from a fresh one when that has run out."""
        if self.url is not None:
            with contextlib.suppress(NotAllowed, NotFound):
                async with aclosing(self._stream(self.url)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
        async with aclosing(self._stream(await self.get_url())) as chunks:
            async for chunk in chunks:
                yield chunk

    def _stream(self, url: str) -> AsyncGenerator[bytes, None]:
        return self._origin.http.stream(
            url, max_bytes=MAX_RESULT_BYTES, on_type=self._learn_content_type
        )

    def _learn_content_type(self, content_type: str) -> None:
        if self.content_type is None and content_type in _FORMATS:
            self.content_type = content_type


class Image(Result):
    """One delivered picture; see `Result` for its attributes.

    Attributes:
        enhanced: What the last `enhance()` made of it. None: nothing yet.
    """

    enhanced: "Image | None" = None

    async def to_pillow(self) -> "PillowImage":
        """The picture as a Pillow image.

        Raises:
            ConfigError: Pillow is not installed.
            NotFound: The server does not keep the file any more.
            ConnectionFailed: The download broke off.
            ProtocolError: What came is not what the worker made.
        """
        return as_pillow(await self.read())

    async def enhance(
        self, strength: str = "medium", *, prompt: str | None = None, model: str | None = None
    ) -> "Image":
        """Makes the picture finer with a model that is good at it, and waits for the result.

        Args:
            strength: How much may change: `light`, `medium` or `heavy`.
            prompt: What to show. Default: the words that this picture was made from.
            model: Default: the grid's enhancing model, or else the one that made this picture.

        Raises:
            InvalidRequest: There is no such strength, or the model takes no starting image.
            ProjectFailed: It could not be made.
            InsufficientFunds: The balance does not cover it.
        """
        assert self._origin.enhance is not None
        self.enhanced = await self._origin.enhance(self, strength, prompt, model)
        return self.enhanced

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows and keeps, once the picture was read."""
        return self._data if self.content_type == "image/png" else None

    def _repr_jpeg_(self) -> bytes | None:
        """The same for a JPEG."""
        return self._data if self.content_type == "image/jpeg" else None

    def _repr_html_(self) -> str | None:
        """Other kinds of pictures, and by its address one that was not read."""
        if self._data is None or self.content_type is None:
            return super()._repr_html_()
        if self._repr_png_() or self._repr_jpeg_():
            return None
        inside = base64.b64encode(self._data).decode()
        return self._html(f"data:{self.content_type};base64,{inside}")

    def _html(self, url: str) -> str:
        return f'<img src="{url}" alt="{html.escape(self.prompt)}" style="max-width: 100%">'


class Video(Result):
    """One delivered video; see `Result` for its attributes."""

    _media = "video"

    def _html(self, url: str) -> str:
        return f'<video src="{url}" controls loop style="max-width: 100%"></video>'


class Audio(Result):
    """One delivered piece of music or speech; see `Result` for its attributes."""

    _media = "audio"

    def _html(self, url: str) -> str:
        return f'<audio src="{url}" controls></audio>'


def as_pillow(data: bytes) -> "PillowImage":
    """An encoded picture as a Pillow image.

    Raises:
        ConfigError: Pillow is not installed.
        ProtocolError: It is no picture.
    """
    try:
        from PIL import Image as pillow  # noqa: N813, PLC0415 (optional, and heavy)
    except ImportError:
        raise ConfigError("this needs Pillow: pip install pillow") from None
    try:
        picture = pillow.open(io.BytesIO(data))
        picture.load()
    except (OSError, ValueError, pillow.DecompressionBombError) as error:
        raise ProtocolError(f"the server sent a picture that is none: {error}") from None
    return picture
