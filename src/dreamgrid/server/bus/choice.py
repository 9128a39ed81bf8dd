"""Which bus an address means; NATS is loaded only where somebody uses it."""

from typing import Protocol

from dreamgrid.errors import ConfigError
from dreamgrid.server.bus.base import Bus


class BusBetweenNodes(Bus, Protocol):
    """A bus with a connection."""

    async def open(self) -> None:
        """Begins to connect; nobody has to wait for that.

        Raises:
            ConfigError: The address is none.
        """

    async def close(self) -> None:
        """Sends what was published and hangs up."""


def bus_between_nodes(address: str, grid: str) -> BusBetweenNodes:
    """The bus of the nodes of one grid; not opened yet.

    Raises:
        ConfigError: The extra is not installed.
    """
    try:
        from dreamgrid.server.bus.nats import NatsBus  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"NATS needs the extra 'nats' ({error}): pip install -e '.[nats]' in the clone"
        ) from None
    return NatsBus(address, grid)
