"""What is struck comes back, also when something fails meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest

from tests.support import postgres


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of this test alone: the connections of others to theirs stand."""
    monkeypatch.setattr(postgres, "_running", [])
    try:
        yield postgres.server()
    finally:
        postgres.stop()


@pytest.mark.parametrize("strike", [postgres.paused, postgres.away])
def test_postgresql_comes_back_from_a_strike_in_which_something_fails(
    own_server: str, strike: Callable[[], AbstractContextManager[None]]
) -> None:
    with pytest.raises(ZeroDivisionError), strike():
        _ = 1 / 0
    psycopg.connect(own_server, connect_timeout=int(postgres.PATIENCE_S)).close()
