"""What API keys do in SQL, and what they may spend."""

from typing import Any, cast

import msgspec

from dreamgrid.protocol.params import TokenType
from dreamgrid.server.store.base import KeyRow, ProjectRow, SubmitResult, Submitted
from dreamgrid.server.store.connection import Connection

DAY_MS = 24 * 60 * 60 * 1000

Caps = tuple[int | None, int | None]
"""Most micro-units that a key may spend on a day, and at all."""

_FIELDS = KeyRow.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_INSERT = f"INSERT INTO api_key ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"
CAPS = (
    "SELECT id, max_per_day_micros, max_total_micros FROM api_key WHERE id IN ({})"
    " AND (max_per_day_micros IS NOT NULL OR max_total_micros IS NOT NULL)"
)
"""What keys may spend; those that have no cap are not found."""

_SPENT = (
    "SELECT coalesce(sum(CASE WHEN day = ?3 THEN micros ELSE 0 END), 0), coalesce(sum(micros), 0)"
    " FROM spending WHERE key_id = ?1 AND currency = ?2"
)
_SPEND = (
    "INSERT INTO spending (key_id, currency, day, micros) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key_id, currency, day) DO UPDATE SET micros = spending.micros + excluded.micros"
)
_GIVE_BACK = "UPDATE spending SET micros = micros - ? WHERE key_id = ? AND currency = ? AND day = ?"


def add(connection: Connection, key: KeyRow, most: int | None) -> bool:
    """Adds a key, unless its account has as many as it may."""
    ((count,),) = connection.execute(
        "SELECT count(*) FROM api_key WHERE account_id = ? AND revoked_ms IS NULL",
        (key.account_id,),
    )
    if most is not None and count >= most:
        return False
    connection.execute(_INSERT, msgspec.structs.astuple(key))
    return True


def of_account(connection: Connection, account_id: str) -> list[KeyRow]:
    """The account's keys that are not revoked, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM api_key"
        " WHERE account_id = ? AND revoked_ms IS NULL ORDER BY created_ms, id",
        (account_id,),
    )
    return [_key(row) for row in rows]


def by_hash(connection: Connection, key_hash: bytes) -> KeyRow | None:
    """A key that is not revoked."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM api_key WHERE hash = ? AND revoked_ms IS NULL", (key_hash,)
    ).fetchone()
    return _key(row) if row else None


def _key(row: tuple[Any, ...]) -> KeyRow:
    return KeyRow(**dict(zip(_FIELDS, row, strict=True)))


def revoke(connection: Connection, account_id: str, key_id: str, at_ms: int) -> bytes | None:
    """Revokes a key; its hash."""
    row = connection.execute(
        "UPDATE api_key SET revoked_ms = ?"
        " WHERE id = ? AND account_id = ? AND revoked_ms IS NULL RETURNING hash",
        (at_ms, key_id, account_id),
    ).fetchone()
    return cast(bytes, row[0]) if row else None


def refusal(connection: Connection, project: ProjectRow, caps: Caps) -> Submitted | None:
    """Why a project's key may not spend what the project costs; None: it may."""
    spent = connection.execute(
        _SPENT, (project.key_id, project.token_type, project.created_ms // DAY_MS)
    ).fetchone()
    results = (SubmitResult.OVER_DAY_CAP, SubmitResult.OVER_TOTAL_CAP)
    for result, cap, used in zip(results, caps, spent, strict=True):
        if cap is not None and used + project.hold_micros > cap:
            return Submitted(result=result, cap_micros=cap, left_micros=max(0, cap - used))
    return None


def spend(connection: Connection, project: ProjectRow) -> None:
    """Counts what a project holds against its key, which has a cap."""
    day = project.created_ms // DAY_MS
    connection.execute(_SPEND, (project.key_id, project.token_type, day, project.hold_micros))


def give_back(
    connection: Connection,
    key_id: str | None,
    currency: TokenType,
    submitted_ms: int,
    amount_micros: int,
) -> None:
    """Takes back what was counted for jobs that were not charged."""
    if key_id and amount_micros:
        day = submitted_ms // DAY_MS
        connection.execute(_GIVE_BACK, (amount_micros, key_id, currency, day))
