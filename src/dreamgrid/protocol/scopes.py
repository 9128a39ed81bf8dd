"""What an API key may do."""

from typing import Literal

Scope = Literal["all", "render", "work", "read"]
"""`all`: everything that its account may. `render`: submit and cancel projects, and look. `work`:
run a worker, and nothing else. `read`: look."""

_INCLUDES: dict[Scope, frozenset[Scope]] = {
    "all": frozenset({"all", "render", "work", "read"}),
    "render": frozenset({"render", "read"}),
    "work": frozenset({"work"}),
    "read": frozenset({"read"}),
}


def includes(scope: Scope, needed: Scope) -> bool:
    """Whether a key with `scope` may do what needs `needed`."""
    return needed in _INCLUDES[scope]
