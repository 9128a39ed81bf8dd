"""Which store an address means; PostgreSQL's is loaded only where somebody uses it."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.base import Store
from dreamgrid.server.store.schema import Schema


def postgres_store(address: str) -> Store:
    """The store of the one server of a PostgreSQL database; not opened yet.

    Raises:
        ConfigError: The address is none, or the extra is not installed.
    """
    return cast(Store, _postgres(address).PostgresStore(address, alone=True))


def copy_to_postgres(
    file: Path, address: str, on_progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Copies the database in a file into the empty one at an address. See `moving.copy_rows`.

    Raises:
        ConfigError: One of them cannot be used, or the extra is not installed.
    """
    _postgres(address)
    from dreamgrid.server.store.moving import copy_rows  # noqa: PLC0415

    return copy_rows(file, address, on_progress)


def check_copy_to_postgres(file: Path, address: str) -> None:
    """Looks whether that could be done. See `moving.check_rows`.

    Raises:
        ConfigError: It could not.
    """
    _postgres(address)
    from dreamgrid.server.store.moving import check_rows  # noqa: PLC0415

    check_rows(file, address)


def schema_at(address: str | None, file: Path) -> Schema:
    """How far the PostgreSQL database at an address is, or where there is none the one in a file.

    Raises:
        ConfigError: It cannot be read, is newer, or the extra is not installed.
    """
    if address is not None:
        return cast(Schema, _postgres(address).schema_of(address))
    from dreamgrid.server.store.sqlite import schema_of  # noqa: PLC0415

    return schema_of(file)


def migrate_at(address: str | None, file: Path) -> None:
    """Brings such a database to the newest version; one in a file must not be in use.

    Raises:
        ConfigError: It cannot be, or the extra is not installed.
    """
    if address is not None:
        _postgres(address).migrate_database(address)
        return
    from dreamgrid.server.store.sqlite import migrate_file  # noqa: PLC0415

    migrate_file(file)


def audit_at(address: str | None, file: Path) -> Audit:
    """Audits the PostgreSQL database at an address, or where there is none the one in a file.

    Raises:
        ConfigError: It cannot be read, is of another version, or the extra is not installed.
    """
    if address is not None:
        return cast(Audit, _postgres(address).audit_database(address))
    from dreamgrid.server.store.sqlite_audit import audit_file  # noqa: PLC0415

    return audit_file(file)


def rotate_shared_at(
    address: str, name: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> bool:
    """Changes what nodes share in a database. See `postgres_nodes.rotate_shared`.

    Raises:
        ConfigError: It cannot be, or the extra is not installed.
    """
    _postgres(address)
    from dreamgrid.server.store.postgres_nodes import rotate_shared  # noqa: PLC0415

    return rotate_shared(address, name, change)


def _postgres(address: str) -> ModuleType:
    if not address.startswith(("postgresql://", "postgres://")):
        raise ConfigError("the store's address must begin with postgresql://")
    try:
        from dreamgrid.server.store import postgres  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"PostgreSQL needs the extra 'postgres' ({error}): "
            "pip install -e '.[postgres]' in the clone"
        ) from None
    return postgres
