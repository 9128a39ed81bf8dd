"""Where an S3-compatible store is and how it wants to be spoken to: read from one address. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs.keys import is_key
from dreamgrid.server.blobs.sigv4 import Credentials

Style = Literal["path", "virtual"]

DEFAULT_REGION = "us-east-1"
ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN = "AWS_SESSION_TOKEN"
FROM_FILE = "_FILE"
"""Added to the name of a variable: it names a file that holds the value, as secrets are mounted."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+")
_KNOWN = ("endpoint", "public", "region", "style")
_SHAPE = "s3://BUCKET?endpoint=https://s3.example.org&region=us-east-1"


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """An S3-compatible store.

    Attributes:
        bucket: Its name.
        prefix: What every object's name begins with, with a slash at its end; empty: nothing.
        endpoint: Scheme, host and port under which this server reaches the store.
        public: The same for apps and workers; links lead there.
        region: As the store calls it; many stores take any.
        style: Where the bucket's name stands: `path` (host/bucket/name) or `virtual`
            (bucket.host/name).
        credentials: Who signs.
    """

    bucket: str
    prefix: str
    endpoint: str
    public: str
    region: str
    style: Style
    credentials: Credentials


def parse(address: str, environment: Mapping[str, str]) -> S3Settings:
    """The store that an address names.

    `s3://BUCKET/PREFIX?endpoint=URL&public=URL&region=NAME&style=path`, where all that follows the
    bucket may be left out. Without an endpoint the store is Amazon's. With one the style is `path`,
    which every store but Amazon's knows.

    Args:
        address: As above.
        environment: Holds the keys under the names that every S3 tool uses, or with `_FILE` at the
            end the names of the files that hold them.

    Raises:
        ConfigError: The address is none, or the keys are missing.
    """
    parts = urlsplit(address)
    prefix = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.netloc:
        raise ConfigError(f"'{address}' names no bucket: write {_SHAPE}")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ConfigError(
            f"'{parts.netloc}' is no name of a bucket: those have 3 to 63 small letters, digits, "
            "'.' and '-', and begin and end with a letter or digit"
        )
    if prefix and not is_key(prefix):
        raise ConfigError(f"the prefix '{prefix}' may have letters, digits, '.', '_', '-' and '/'")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(_KNOWN))
    if unknown:
        raise ConfigError(f"'{unknown[0]}' is no option of '{address}': use {', '.join(_KNOWN)}")
    region = options.get("region", DEFAULT_REGION)
    endpoint = options.get("endpoint", _amazon(region)).rstrip("/")
    public = options.get("public", endpoint).rstrip("/")
    for url in (endpoint, public):
        if not _ENDPOINT.fullmatch(url):
            raise ConfigError(
                f"'{url}' is no address of a store: write https://HOST, without a path"
            )
    style = options.get("style", "path" if "endpoint" in options else "virtual")
    if style not in get_args(Style):
        raise ConfigError(f"style '{style}' is unknown: use {' or '.join(get_args(Style))}")
    return S3Settings(
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        endpoint=endpoint,
        public=public,
        region=region,
        style=cast(Style, style),
        credentials=Credentials(
            access_key=_needed(ACCESS_KEY, environment),
            secret_key=_needed(SECRET_KEY, environment),
            session_token=_value(SESSION_TOKEN, environment),
        ),
    )


def address(settings: S3Settings) -> str:
    """The address of which `parse` makes these settings; without what it assumes."""
    amazon = settings.endpoint == _amazon(settings.region)
    options = {
        "endpoint": (settings.endpoint, _amazon(settings.region)),
        "public": (settings.public, settings.endpoint),
        "region": (settings.region, DEFAULT_REGION),
        "style": (settings.style, "virtual" if amazon else "path"),
    }
    said = urlencode(
        {name: value for name, (value, assumed) in options.items() if value != assumed}, safe=":/"
    )
    where = f"s3://{settings.bucket}/{settings.prefix}".rstrip("/")
    return f"{where}?{said}" if said else where


def _amazon(region: str) -> str:
    return f"https://s3.{region}.amazonaws.com"


def _needed(name: str, environment: Mapping[str, str]) -> str:
    value = _value(name, environment)
    if not value:
        raise ConfigError(f"set {name}, or {name}{FROM_FILE} to a file that holds it")
    return value


def _value(name: str, environment: Mapping[str, str]) -> str:
    path = environment.get(name + FROM_FILE)
    if path is None:
        return environment.get(name, "")
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"{name}{FROM_FILE} names {path}, which cannot be read: {error}"
        ) from None
