"""What was quoted holds for a while, also when the catalogue has changed since.

The server keeps a note of what its models cost. When it starts with a catalogue in which something
is dearer, what it cost before holds until everything that was quoted then has run out.
"""

import logging
import os
from pathlib import Path

import msgspec

from dreamgrid.server.catalog import Catalog, EarlierPrice, Price

QUOTE_HOLDS_S = 15 * 60
"""How long what an estimate says holds, at least."""

FILE = "prices.json"

_log = logging.getLogger("dreamgrid.server")


class _Note(msgspec.Struct, kw_only=True):
    """What lies in the file: what models cost, and what they cost before."""

    prices: dict[str, Price] = {}
    earlier: dict[str, tuple[EarlierPrice, ...]] = {}


def keep_quotes(folder: Path, catalog: Catalog, now_ms: int) -> None:
    """Lets the catalogue know what was quoted not long ago, and notes what is quoted from now on.

    Args:
        folder: Where the note is kept.
        catalog: The models as they cost now.
        now_ms: The time.
    """
    path = folder / FILE
    before = _read(path)
    prices = catalog.prices()
    earlier: dict[str, tuple[EarlierPrice, ...]] = {}
    for model_id, price in prices.items():
        held = [one for one in before.earlier.get(model_id, ()) if one.until_ms > now_ms]
        was = before.prices.get(model_id, price)
        if was != price:
            held.append(EarlierPrice(price=was, until_ms=now_ms + QUOTE_HOLDS_S * 1000))
        if held:
            earlier[model_id] = tuple(held)
    catalog.note_earlier_prices(earlier)
    note = _Note(prices=prices, earlier=earlier)
    if note != before:
        _write(path, note)


def _write(path: Path, note: _Note) -> None:
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.encode(note))
        os.replace(fresh, path)
    except OSError as error:  # a full disk: the server is of use without the note
        _log.warning(
            "what was quoted may not hold after a restart: cannot write %s: %s", path, error
        )


def _read(path: Path) -> _Note:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Note)
    except (OSError, msgspec.DecodeError):  # then nothing is known to have been quoted
        return _Note()
