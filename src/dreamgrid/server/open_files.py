"""How many files, and so connections, this process may have open."""

import sys
from contextlib import suppress

MOST = 100_000


def allow_many() -> None:
    """Lets this process have as many open as the system grants it, up to `MOST`.

    Most systems begin with 1,024 or less, for the sake of programs that use select(); we do not.
    """
    if sys.platform == "win32":  # which has no such limit
        return
    import resource  # noqa: PLC0415 (not on every system)

    now, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if granted == resource.RLIM_INFINITY else min(granted, MOST)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):  # a system that promises more than it gives
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, granted))
