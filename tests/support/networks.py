"""Machines of a test, each in a network of its own, that can be cut off from each other.

Network namespaces on one bridge: what is cut off is cut off by the kernel. All of it lies in a
namespace of the process that asked for it, and is gone with it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HUB = "10.213.0.1"
"""Where the test itself is, as its machines reach it."""

NETWORK = "10.213.0.0/24"

_INSIDE = "DREAMGRID_TESTS_NETWORK"
_TOOLS = ("unshare", "mount", "ip", "iptables")
_NAMES = Path("/run/netns")
_OWN_NAMES = ("mount", "-t", "tmpfs", "none", str(_NAMES))
_TRIAL = " && ".join(
    (
        shlex.join(_OWN_NAMES),
        "ip link add hub type bridge",
        "ip netns add trial",
        "ip link add plug type veth peer name net0 netns trial",
        "ip netns exec trial iptables -A OUTPUT -p tcp -j DROP",
        "ip netns exec trial iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset",
    )
)
"""All of what is needed later; where one of it is not allowed nobody gets a network."""


def inside() -> bool:
    """Whether this process has a network of its own."""
    return _INSIDE in os.environ


def enter() -> None:
    """Starts this program anew in a network of its own, where that is allowed.

    It takes root, iproute2 and iptables; without them nothing happens.
    """
    if inside() or os.geteuid() != 0 or not all(map(shutil.which, _TOOLS)):
        return
    own = ["unshare", "--net", "--mount"]
    try:
        _NAMES.mkdir(exist_ok=True)
    except OSError:
        return
    tried = subprocess.run([*own, "sh", "-c", _TRIAL], capture_output=True, check=False)
    if tried.returncode == 0:
        os.execvpe(own[0], [*own, *sys.orig_argv], os.environ | {_INSIDE: "yes"})


class Machines:
    """So many of them, all connected.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        _do(*_OWN_NAMES)  # two runs of the tests use the same names
        _do("ip", "link", "set", "lo", "up")
        _do("ip", "link", "add", "hub", "type", "bridge")
        _do("ip", "address", "add", f"{HUB}/24", "dev", "hub")
        _do("ip", "link", "set", "hub", "up")
        for number in range(count):
            name, plug = f"machine-{number}", f"plug-{number}"
            _do("ip", "netns", "add", name)
            _do("ip", "link", "add", plug, "type", "veth", "peer", "name", "net0", "netns", name)
            _do("ip", "link", "set", plug, "master", "hub", "up")
            _do("ip", "-n", name, "address", "add", f"{self.address(number)}/24", "dev", "net0")
            _do("ip", "-n", name, "link", "set", "net0", "up")
            _do("ip", "-n", name, "link", "set", "lo", "up")

    def address(self, number: int) -> str:
        """Where a machine is reached."""
        return f"10.213.0.{number + 10}"

    def others(self, number: int) -> list[str]:
        """Where all the others are reached."""
        return [self.address(other) for other in range(self._count) if other != number]

    def at(self, number: int) -> tuple[str, ...]:
        """What starts a command there: its first words."""
        return ("ip", "netns", "exec", f"machine-{number}")

    def cut_off(
        self, number: int, places: Sequence[str], *, port: int | None, silently: bool
    ) -> None:
        """Lets nothing through any more between a machine and some places.

        Args:
            number: The machine.
            places: Addresses or networks.
            port: The port there. None: any, on both sides.
            silently: Packets vanish, as where a cable is cut; else connections are reset.
        """
        verdict = ("DROP",) if silently else ("REJECT", "--reject-with", "tcp-reset")
        there = () if port is None else (str(port),)
        for place in places:
            to = ("-d", place, "-p", "tcp", *(word for one in there for word in ("--dport", one)))
            back = ("-s", place, "-p", "tcp", *(word for one in there for word in ("--sport", one)))
            _do(*self.at(number), "iptables", "-A", "OUTPUT", *to, "-j", *verdict)
            _do(*self.at(number), "iptables", "-A", "INPUT", *back, "-j", *verdict)

    def mend(self, number: int) -> None:
        """Lets everything through again."""
        _do(*self.at(number), "iptables", "-F")


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
