"""What a server says about itself."""

import msgspec


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /healthz`: it answers, so it is well. `workers` are connected now."""

    status: str = "ok"
    name: str = "dreamgrid"
    version: str
    workers: int


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /readyz`: the server can take work."""

    status: str = "ready"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /` for programs: where to read on."""

    name: str = "dreamgrid"
    version: str
    openapi: str
    docs: tuple[str, ...]
