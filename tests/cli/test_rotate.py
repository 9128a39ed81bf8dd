import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dreamgrid.server import whereabouts
from dreamgrid.server.blobs.folder import load_secret
from dreamgrid.server.config import NodeSettings, ServerConfig
from dreamgrid.server.store.postgres_nodes import PostgresNodes
from tests.cli.conftest import Call
from tests.support import postgres
from tests.support.grid import Grid


async def begun(data: Path) -> None:
    async with Grid(data):
        pass


def test_new_secrets_replace_those_of_the_folder(tmp_path: Path, call: Call) -> None:
    data = tmp_path / "data"
    asyncio.run(begun(data))
    before = {name: (data / name).read_bytes() for name in ("token-secret", "blob-secret")}
    ran = call("rotate", "--json", "--data", str(data), environment={})
    assert ran.returncode == 0
    assert ran.last_json == {"event": "rotated", "where": "folder", "secrets": list(before)}
    for name, secret in before.items():
        assert (data / name).read_bytes() != secret
        assert (data / f"{name}.old-1").read_bytes() == secret
    asyncio.run(begun(data))


def test_a_folder_without_secrets_is_said(tmp_path: Path, call: Call) -> None:
    ran = call("rotate", "--json", "--data", str(tmp_path), environment={})
    assert (ran.returncode, "no secrets" in ran.last_json["message"]) == (2, True)


def test_a_node_s_folder_wants_the_database_that_its_secret_is_shared_through(
    tmp_path: Path, call: Call
) -> None:
    address = postgres.new_database()
    node = ServerConfig(
        data_dir=tmp_path, store=address, node=NodeSettings(address="10.0.0.5:8771")
    )
    secret = load_secret(tmp_path / "token-secret")
    whereabouts.note(node)
    ran = call("rotate", "--json", "--data", str(tmp_path), environment={})
    assert (ran.returncode, "--store" in ran.last_json["message"]) == (2, True)
    named = {"DREAMGRID_STORE": address}
    ran = call("rotate", "--json", "--data", str(tmp_path), environment=named)
    assert (ran.returncode, "no nodes share" in ran.last_json["message"]) == (2, True)
    assert (tmp_path / "token-secret").read_bytes() == secret
    whereabouts.note(replace(node, node=None))
    ran = call("rotate", "--data", str(tmp_path), environment=named)  # a server by itself
    assert (ran.returncode, (tmp_path / "token-secret").read_bytes() != secret) == (0, True)


def test_a_database_that_is_named_goes_before_the_secrets_of_a_folder(
    tmp_path: Path, call: Call
) -> None:
    """An operator's machine may have a grid of its own in the folder that is taken by default."""
    name, address = "token-secret", postgres.new_database()
    secret = load_secret(tmp_path / name)
    with closing(PostgresNodes(address)) as nodes:
        shared = nodes.change_secrets(name, lambda known: {name: secret.hex()})
        ran = call("rotate", "--json", "--data", str(tmp_path), "--store", address, environment={})
        after = nodes.secrets(name)
    assert ran.returncode == 0
    assert ran.last_json == {"event": "rotated", "where": "database", "secrets": [name]}
    assert (tmp_path / name).read_bytes() == secret
    assert after[name] != shared[name]
    assert after[f"{name}.old-1"].startswith(shared[name])


def test_the_address_of_a_store_may_lie_in_a_file(tmp_path: Path, call: Call) -> None:
    named, environment = tmp_path / "store", {"DREAMGRID_STORE_FILE": str(tmp_path / "store")}
    missing = call("migrate", "--check", "--json", environment=environment)
    assert (missing.returncode, "cannot be read" in missing.last_json["message"]) == (2, True)
    named.write_text(postgres.new_database() + "\n")
    looked = call("migrate", "--check", "--json", environment=environment)
    assert (looked.returncode, looked.last_json["version"]) == (1, 0)
    assert call("migrate", "--json", environment=environment).returncode == 0
    assert call("audit", "--json", environment=environment).last_json["clean"]


def test_an_audit_names_the_database_without_who_may_use_it(call: Call) -> None:
    address = postgres.new_database()
    assert call("migrate", "--store", address, environment={}).returncode == 0
    audited = call("audit", "--store", f"{address}&password=s3cret", environment={})
    assert audited.returncode == 0
    assert audited.stdout.strip().endswith(f" in {address.replace('postgres@', '')}")


def test_the_address_of_a_bus_may_lie_in_a_file(tmp_path: Path, call: Call) -> None:
    (tmp_path / "bus").write_text("nats://nats.example.org\n")
    environment = {"DREAMGRID_BUS_FILE": str(tmp_path / "bus")}
    ran = call("serve", "--json", "--data", str(tmp_path / "data"), environment=environment)
    assert (ran.returncode, "--node" in ran.last_json["message"]) == (2, True)
