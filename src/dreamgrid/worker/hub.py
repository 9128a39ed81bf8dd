"""Which files of a repository on Hugging Face make up a model, a ControlNet or a LoRA.

Nothing is run that comes from there: of the weights only safetensors are taken, never pickles.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

import aiohttp
import msgspec

from dreamgrid.engines.base import Source
from dreamgrid.errors import DownloadFailed

ENDPOINT_VARIABLE = "HF_ENDPOINT"
INDEX = "model_index.json"
CONFIG = "config.json"

_DEFAULT_ENDPOINT = "https://huggingface.co"
_PLAIN = (".json", ".txt", ".model", ".jinja")
_WEIGHTS = ".safetensors"
_OF_NETWORK = re.compile(
    r"diffusion_pytorch_model(-[0-9]+-of-[0-9]+)?\.safetensors(\.index\.json)?"
)
_ANSWERS_WITHIN = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """What a file must hash to: `sha256` of its bytes, or `git`, the SHA-1 that git gives it."""

    kind: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        url: Where it is.
        path: Where it belongs below the model's folder.
        size_bytes: How long it is.
        checksum: What it must hash to.
    """

    url: str
    path: PurePosixPath
    size_bytes: int
    checksum: Checksum


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A repository as it is now.

    Attributes:
        repository: `owner/name`.
        commit: The version that the files belong to.
        licence: As its authors name it; empty: they do not.
        files: What the model needs, the index last, so that a folder with it is whole.
    """

    repository: str
    commit: str
    licence: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


class _Lfs(msgspec.Struct):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Entry(msgspec.Struct):
    name: str = msgspec.field(name="rfilename")
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    blob: str = msgspec.field(name="blobId", default="")
    lfs: _Lfs | None = None


class _Card(msgspec.Struct):
    licence: str | list[str] | None = msgspec.field(name="license", default=None)


class _Repository(msgspec.Struct):
    sha: str
    siblings: list[_Entry]
    card: _Card | None = msgspec.field(name="cardData", default=None)


def endpoint() -> str:
    """Address of the hub, without a slash at the end."""
    return (os.environ.get(ENDPOINT_VARIABLE) or _DEFAULT_ENDPOINT).rstrip("/")


def headers() -> dict[str, str]:
    """Who asks: the token that `hf auth login` keeps, or `HF_TOKEN`; nobody without one."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        file = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
        token = file.read_text("utf-8").strip() if file.is_file() else ""
    return {"Authorization": f"Bearer {token}"} if token else {}


async def listing(session: aiohttp.ClientSession, source: Source) -> Listing:
    """Asks the hub what there is.

    Raises:
        DownloadFailed: It does not answer or refuses, or has no such model.
    """
    base = f"{endpoint()}/api/models/{source.repository}"
    said = await _get(session, f"{base}?blobs=true", source.repository)
    try:
        repository = msgspec.json.decode(said, type=_Repository)
        entries = {entry.name: entry for entry in repository.siblings}
        root = f"{endpoint()}/{source.repository}/resolve/{quote(repository.sha)}"
        if source.layout == "pipeline":
            if INDEX not in entries:
                raise DownloadFailed(f"{source.repository} is not in the layout of diffusers")
            index = msgspec.json.decode(
                await _get(session, f"{root}/{INDEX}", source.repository), type=dict[str, Any]
            )
            chosen = choose(list(entries), index, source)
        elif source.layout == "network":
            chosen = choose_network(list(entries), source)
        else:
            chosen = {_the_file(list(entries), source): PurePosixPath(source.folder.name)}
        files = tuple(_file(root, entries[name], path) for name, path in chosen.items())
    except msgspec.DecodeError as error:
        raise DownloadFailed(f"{endpoint()} sent no list of files: {error}") from error
    licence = repository.card.licence if repository.card else None
    return Listing(
        repository=source.repository,
        commit=repository.sha,
        licence=", ".join([licence] if isinstance(licence, str) else licence or ()),
        files=files,
    )


def choose(
    names: Sequence[str], index: Mapping[str, Any], source: Source
) -> dict[str, PurePosixPath]:
    """The files that the pipeline reads, and where each of them belongs. Pure.

    Args:
        names: Every file of the repository.
        index: What its `model_index.json` says.
        source: Which variant to take, and which parts to leave out.
    """
    parts = {
        name
        for name, kind in index.items()
        if isinstance(kind, list) and any(kind) and name not in source.without
    }
    chosen: dict[PurePosixPath, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if len(path.parts) != 2 or path.parts[0] not in parts or not _stays_inside(path):
            continue
        if _is_weights(path.name) or (path.suffix in _PLAIN and ".index." not in path.name):
            chosen.setdefault(path, name)
        elif source.variant and _is_weights(plain := _without(source.variant, path.name)):
            chosen[path.with_name(plain)] = name
    chosen[PurePosixPath(INDEX)] = INDEX
    return {name: path for path, name in chosen.items()}


def choose_network(names: Sequence[str], source: Source) -> dict[str, PurePosixPath]:
    """The files of a single network, and what they are called here. Pure.

    Raises:
        DownloadFailed: There is none, or its weights are in another format.
    """
    chosen: dict[str, str] = {}
    for name in sorted(names):
        if _OF_NETWORK.fullmatch(name):
            chosen.setdefault(name, name)
        elif source.variant and _OF_NETWORK.fullmatch(plain := _without(source.variant, name)):
            chosen[plain] = name
    if CONFIG not in names or not chosen:
        raise DownloadFailed(
            f"{source.repository} holds no network in the layout of diffusers as safetensors"
        )
    return {name: PurePosixPath(path) for path, name in chosen.items()} | {
        CONFIG: PurePosixPath(CONFIG)
    }


def _the_file(names: Sequence[str], source: Source) -> str:
    """The one file that is meant.

    Raises:
        DownloadFailed: It is not there, or it is not said which of several is meant.
    """
    there = [name for name in sorted(names) if name.endswith(_WEIGHTS)]
    if source.file:
        there = [name for name in there if name == source.file]
    if len(there) == 1:
        return there[0]
    which = source.file or f"one {_WEIGHTS} file"
    listed = ", ".join(name for name in sorted(names) if name.endswith(_WEIGHTS)) or "none"
    raise DownloadFailed(f"{source.repository} has not just {which}: name one; there are {listed}")


def _stays_inside(path: PurePosixPath) -> bool:
    """Whether it leads nowhere but below a folder, on Windows too."""
    return not path.is_absolute() and ".." not in path.parts and not set(str(path)) & set("\\:")


def _is_weights(name: str) -> bool:
    """Whether these are weights without a variant, a shard of some, or the index of shards."""
    stem = re.sub(r"\.safetensors(\.index\.json)?$", "", name)
    return stem != name and "." not in stem


def _without(variant: str, name: str) -> str:
    """The name of a variant's file as if it were none; shards keep theirs: an index names them."""
    return name if "-of-" in name else name.replace(f".{variant}{_WEIGHTS}", _WEIGHTS)


def _file(root: str, entry: _Entry, path: PurePosixPath) -> RemoteFile:
    checksum = (
        Checksum(kind="sha256", digest=entry.lfs.sha256)
        if entry.lfs
        else Checksum(kind="git", digest=entry.blob)
    )
    if not re.fullmatch("[0-9a-f]{40}([0-9a-f]{24})?", checksum.digest):
        raise DownloadFailed(f"{endpoint()} names no checksum of {entry.name}")
    url = f"{root}/{quote(entry.name)}"
    return RemoteFile(url=url, path=path, size_bytes=entry.size, checksum=checksum)


async def _get(session: aiohttp.ClientSession, url: str, repository: str) -> bytes:
    # The session decompresses nothing: what it fetches must be the bytes that were hashed.
    asked = headers() | {"Accept-Encoding": "identity"}
    try:
        async with session.get(url, headers=asked, timeout=_ANSWERS_WITHIN) as answer:
            refuse(answer.status, repository)
            return await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise DownloadFailed(f"{endpoint()} does not answer: {reason}") from error


def refuse(status: int, repository: str) -> None:
    """Raises what a status of the hub means; returns for those of success.

    Raises:
        DownloadFailed: The repository is closed to this machine or does not exist.
    """
    if status in {401, 403}:
        raise DownloadFailed(
            f"{repository} is not open to everybody: accept its terms at "
            f"{endpoint()}/{repository}, then sign in here with 'hf auth login', or set HF_TOKEN"
        )
    if status == 404:
        raise DownloadFailed(f"{endpoint()} has no {repository}")
    if status >= 400:
        raise DownloadFailed(f"{endpoint()} answers {status} for {repository}; try again later")
