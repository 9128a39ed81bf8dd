"""Who we are: an API key, or the two tokens of somebody who signed in with a name and password."""

import base64
import time
from typing import NamedTuple

import msgspec

_MARGIN_S = 30.0


class Tokens(NamedTuple):
    """A session. Keep both to go on with it in another process: `client.set_tokens(tokens)`.

    Attributes:
        token: Short-lived; goes with every request.
        refresh_token: Long-lived; exchanged for a new pair when the first runs out.
    """

    token: str
    refresh_token: str

    def __repr__(self) -> str:
        return "Tokens(...)"


class _Claims(msgspec.Struct):
    exp: float = 0.0


class Credential:
    """What goes with every request. Changes when somebody signs in or out.

    Attributes:
        api_key: The key, or empty.
        tokens: The session, which comes before the key. None: nobody has signed in.
    """

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.tokens: Tokens | None = None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return bool(self.api_key) or self.tokens is not None

    @property
    def run_out(self) -> bool:
        """Whether the access token has to be exchanged first."""
        return self.tokens is not None and _expires_at(self.tokens.token) < time.time() + _MARGIN_S

    def header(self) -> dict[str, str]:
        """The HTTP header that carries it; none, if there is none."""
        if self.tokens is not None:
            return {"Authorization": self.tokens.token}
        return {"api-key": self.api_key} if self.api_key else {}


def _expires_at(token: str) -> float:
    """When a JWT runs out, in seconds since 1970. One that cannot be read never does."""
    try:
        payload = token.split(".")[1]
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(raw, type=_Claims).exp
    except (IndexError, ValueError, msgspec.MsgspecError):
        return float("inf")
