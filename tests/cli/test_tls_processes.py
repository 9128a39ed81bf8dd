"""Server, worker and app in three processes, over TLS that an authority of their own signed."""

import signal
from pathlib import Path

import trustme

from tests.cli.conftest import Call
from tests.cli.processes import run, running


def test_a_private_authority_is_trusted_by_name(tmp_path: Path, call: Call) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    chain, key, trusted = tmp_path / "grid.pem", tmp_path / "grid.key", tmp_path / "authority.pem"
    made.cert_chain_pems[0].write_to_path(str(chain))
    made.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    tls = ("--tls-cert", str(chain), "--tls-key", str(key))
    with running("serve", "--json", "--port", "0", *tls, data=tmp_path / "data") as grid:
        assert grid.ready["url"].startswith("https://")
        strange = call("models", "--all", "--json", environment=grid.environment)
        assert (strange.returncode, "SSL_CERT_FILE" in strange.last_json["message"]) == (3, True)
        here = {"DREAMGRID_DATA": str(grid.data)}
        for command in (("keys", "create", "attic"), ("status",)):
            told = call(*command, "--json", environment=here)
            message = told.last_json["message"]
            assert (told.returncode, "SSL_CERT_FILE" in message) == (3, True)
            assert f"(process {grid.process.pid}) is at {grid.ready['url']}" in message
        trusting = here | {"SSL_CERT_FILE": str(trusted)}
        made_key = run("keys", "create", "attic", environment=trusting, cwd=tmp_path)
        assert made_key.returncode == 0, made_key.stderr
        environment = grid.environment | {"SSL_CERT_FILE": str(trusted)}
        wanted = ("--json", "--model", "pattern-v1")
        with running("work", *wanted, data=tmp_path / "work", environment=environment) as work:
            wish = ("generate", "a red apple", "--model", "pattern-v1", "--steps", "2", "--json")
            drawn = run(*wish, environment=environment, cwd=tmp_path)
            assert drawn.returncode == 0, drawn.stderr
            assert (tmp_path / drawn.last_json["files"][0]).stat().st_size
            assert work.stop(signal.SIGTERM)[0] == 0
        assert grid.stop(signal.SIGTERM)[0] == 0


def test_half_of_a_pair_is_not_enough(call: Call) -> None:
    ran = call("serve", "--json", "--tls-cert", "grid.pem", environment={})
    assert (ran.returncode, "--tls-key" in ran.last_json["message"]) == (2, True)
