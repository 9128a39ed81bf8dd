"""A real Ceph object gateway for tests: one monitor, one OSD in memory, one gateway.

Ceph is what large providers run behind their S3, and it is strict about signatures.
"""

import contextlib
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.support.real_servers import (
    S3Server,
    free_port,
    make_bucket,
    program,
    running,
    wait_for_http,
)

INSTALL = "apt install ceph-common ceph-mon ceph-osd radosgw"

_CONFIG = """\
[global]
fsid = {cluster}
mon_host = v1:127.0.0.1:{port}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
run_dir = {folder}/run
log_file = {folder}/log/$name.log
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
keyring = {folder}/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
auth_allow_insecure_global_id_reclaim = true
ms_bind_ipv6 = false
ms_bind_msgr2 = false
public_addr = 127.0.0.1
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
[mon.a]
mon_data = {folder}/mon
[osd]
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_data = {folder}/osd/$id
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
rgw_data = {folder}/rgw
"""

_KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
}


@contextlib.contextmanager
def ceph(folder: Path) -> Iterator[S3Server]:
    """A gateway with one user."""
    for name in ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"):
        program(name, install=INSTALL)
    port, gateway = free_port(), free_port()
    for name in ("run", "log", "osd/0", "rgw"):
        (folder / name).mkdir(parents=True)
    config = folder / "ceph.conf"
    cluster, osd = str(uuid.uuid4()), str(uuid.uuid4())
    config.write_text(_CONFIG.format(cluster=cluster, port=port, folder=folder, gateway=gateway))

    def ceph_tool(name: str, *arguments: str) -> None:
        subprocess.run(
            [name, "-c", str(config), *arguments], check=True, capture_output=True, timeout=60
        )

    log = folder / "log" / "output"
    _make_keys(folder)
    ceph_tool(
        "monmaptool",
        "--create",
        "--fsid",
        cluster,
        "--addv",
        "a",
        f"v1:127.0.0.1:{port}",
        str(folder / "monmap"),
    )
    maps = ("--monmap", str(folder / "monmap"), "--keyring", str(folder / "keyring"))
    ceph_tool("ceph-mon", "--mkfs", "-i", "a", *maps)
    with contextlib.ExitStack() as stack:
        stack.enter_context(running("ceph-mon", "-f", "-c", str(config), "-i", "a", log=log))
        ceph_tool("ceph", "osd", "new", osd)
        ceph_tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        stack.enter_context(running("ceph-osd", "-f", "-c", str(config), "-i", "0", log=log))
        found = S3Server(f"http://127.0.0.1:{gateway}")
        process = stack.enter_context(
            running("radosgw", "-f", "-c", str(config), "-n", "client.rgw.a", log=log)
        )
        wait_for_http(found.endpoint, process, log)
        keys = ("--access-key", found.access_key, "--secret-key", found.secret_key)
        ceph_tool(
            "radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "Tests", *keys
        )
        make_bucket(found)
        yield found


def _make_keys(folder: Path) -> None:
    create = ["--create-keyring"]
    for name, caps in _KEYS.items():
        allowed = [word for what, may in caps.items() for word in ("--cap", what, may)]
        subprocess.run(
            ["ceph-authtool", str(folder / "keyring"), *create, "--gen-key", "-n", name, *allowed],
            check=True,
            capture_output=True,
        )
        create = []
