"""Which store an address means; PostgreSQL's is loaded only where somebody uses it."""

from pathlib import Path
from types import ModuleType
from typing import cast

from dreamgrid.errors import ConfigError
from dreamgrid.server.store.audit import Audit
from dreamgrid.server.store.base import Store


def postgres_store(address: str) -> Store:
    """The store of the one server of a PostgreSQL database; not opened yet.

    Raises:
        ConfigError: The address is none, or the extra is not installed.
    """
    return cast(Store, _postgres(address).PostgresStore(address, alone=True))


def audit_at(address: str | None, file: Path) -> Audit:
    """Audits the PostgreSQL database at an address, or where there is none the one in a file.

    Raises:
        ConfigError: It cannot be read, is of another version, or the extra is not installed.
    """
    if address is not None:
        return cast(Audit, _postgres(address).audit_database(address))
    from dreamgrid.server.store.sqlite_audit import audit_file  # noqa: PLC0415

    return audit_file(file)


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
